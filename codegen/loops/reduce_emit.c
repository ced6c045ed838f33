/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of a REDUCE kernel: see reduce.c for the plan. Two kinds of values are at hand while a
 * row is emitted: those of the row, one lane, and those along it, as vectors inside a phase's loop.
 */
#include "codegen/loops/reduce_priv.h"

#include <assert.h>

enum {
    PARTIAL = 4, /* vectors of partial sums: hides the latency of an addition */
    SHORT = 16,  /* instructions of a body that does no more than add */
    HELD = 8,    /* registers that a longer one takes: as many as fit are computed side by side */
};

typedef struct Acc { /* a reduction under way */
    const ScNode *node;
    ScMonoid monoid;
    ScrtDtype t;                      /* of the elements that are combined: the compute type */
    LLVMValueRef part[PARTIAL], tail; /* variables */
} Acc;

typedef struct Row {
    const Red *k;
    LLVMValueRef *at; /* [n_access] addresses of the row's first element; those in the results */
    CgVal *one[2];    /* [n_value] values of the row; accesses by alignment */
    uint32_t phase, n_acc, n_part, part;
    bool wide;                               /* n_part vectors are computed as one */
    Acc *acc;                                /* [n_acc] of this phase */
    LLVMValueRef inner[SCRT_MAX_RANK], base; /* indices of the inner dims but the last; elements */
} Row;

/* --- Values ---------------------------------------------------------------------------------- */

static bool by_outer(const Row *r, const ScNode *n)
{
    return n->op->lower.cls == SC_MAP && r->k->info[n->first].outer;
}

/* What the row is told once: operands that do not vary along it. */
static void load_row(Cg *cg, Row *r)
{
    const ScGraph *g = r->k->f->sub;
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        const RedInfo *i = &r->k->info[v];
        for (int outer = 0; outer < 2; outer++) {
            if (!i->access[outer] || (!outer && i->full))
                continue;
            const CgAccess *a = &r->k->access[i->access[outer] - 1];
            const ScTerm *one = sc_term(cg->m->cx, 1);
            r->one[outer][v] = cg_access_load(cg, a, r->at[i->access[outer] - 1], one, 1, NULL);
        }
    }
}

/* The MAP nodes of the row that this many finished reductions allow. */
static void row_nodes(Cg *cg, Row *r, uint32_t level)
{
    const ScGraph *g = r->k->f->sub;
    CgVal in[SC_MAX_IN];
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        const RedInfo *info = &r->k->info[n->first];
        if (n->op->lower.cls != SC_MAP || info->full || info->level != level)
            continue;
        assert(n->n_in <= SC_MAX_IN);
        for (uint32_t j = 0; j < n->n_in; j++) {
            bool access = r->k->info[n->in[j]].access[by_outer(r, n)] != 0;
            in[j] = r->one[access && by_outer(r, n)][n->in[j]];
        }
        cg_node(cg, g, n, in, 1, &r->one[0][n->first]);
    }
}

static CgVal load_full(Cg *cg, const Row *r, ScVal v, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const CgSpace *s = &r->k->space;
    const CgAccess *a = &r->k->access[r->k->info[v].access[0] - 1];
    LLVMValueRef at = r->at[r->k->info[v].access[0] - 1];
    if (s->rank == s->n_outer) /* an extent that is 1 whatever its term */
        return cg_access_load(cg, a, at, sc_term(cg->m->cx, 1), w, mask);
    for (uint32_t d = s->n_outer; d + 1 < s->rank; d++)
        at =
            cg_add_int(cg, at, cg_mul_int(cg, r->inner[d - s->n_outer], cg_term(cg, a->stride[d])));
    const ScTerm *step = a->stride[s->rank - 1];
    at = cg_add_int(cg, at, cg_mul_int(cg, i, cg_term(cg, step)));
    return cg_access_load(cg, a, at, step, w, mask);
}

static LLVMValueRef kept_row(Cg *cg, const RedInfo *i)
{
    return cg_gep(cg, cg->m->i8, cg_scratch_thread(cg), cg_term(cg, i->scratch));
}

/* --- A phase's loop -------------------------------------------------------------------------- */

/* Whether this phase reads what an earlier one kept. */
static bool is_again(const Row *r, const RedInfo *i)
{
    return i->kept && i->need & ((UINT64_C(1) << r->phase) - 1);
}

/* All values along the row that this phase needs, at position i of the last dim. */
static void full_values(Cg *cg, const Row *r, LLVMValueRef i, uint32_t w, LLVMValueRef mask,
                        CgVal *x)
{
    const ScGraph *g = r->k->f->sub;
    LLVMValueRef pos = cg_add_int(cg, r->base, i);
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        const RedInfo *info = &r->k->info[v];
        const ScNode *n = info->node;
        if (!info->full && r->one[0][v].v)
            x[v] = cg_splat_val(cg, r->one[0][v], w);
        if (!info->full || !(info->need >> r->phase & 1))
            continue;
        bool again = is_again(r, info);
        if (again)
            x[v] = cg_load(cg, sc_type_of(g, v)->dtype, kept_row(cg, info), pos, w, mask);
        else if (info->access[0])
            x[v] = load_full(cg, r, v, i, w, mask);
        else if (n->first == v)
            cg_node_of(cg, g, n, x, w);
        if (info->kept && !again)
            cg_store(cg, x[v], kept_row(cg, info), pos, w, mask);
    }
}

/* Whether this phase does no more than store the result, past the caches. */
static bool is_past(const Row *r)
{
    return r->k->past && r->phase + 1 == r->k->n_phase && r->n_acc == 0;
}

/* Vectors of this phase that are computed at once where partial sums do not say it. */
static uint32_t at_once(CgModule *m, const Row *r)
{
    const Red *k = r->k;
    const ScGraph *g = k->f->sub;
    const CgSpace *s = &k->space;
    const ScTerm *one = sc_term(m->cx, 1);
    ScArena *scratch = sc_arena_new();
    CgChain chain = {0};
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        const RedInfo *i = &k->info[v];
        bool here = i->full && i->need >> r->phase & 1 && !is_again(r, i);
        if (here && i->node && i->node->first == v)
            cg_chain_add(&chain, g, i->node, scratch);
        if (here && i->access[0] && s->rank > s->n_outer)
            cg_chain_access(&chain, k->access[i->access[0] - 1].stride[s->rank - 1]);
    }
    sc_arena_free(scratch);
    return cg_at_once(m, &chain, s->rank > s->n_outer ? s->dim[s->rank - 1] : one);
}

/* While the second phase computes, memory brings the row after this one: w elements, from i on. */
static void next_row(Cg *cg, const Row *r, LLVMValueRef i, uint32_t w)
{
    const Red *k = r->k;
    bool is_matrix = k->space.n_outer == 1 && k->space.rank == 2;
    for (ScVal v = SC_FIRST; is_matrix && v < k->f->sub->n_value; v++) {
        const RedInfo *info = &k->info[v];
        const CgAccess *a = info->access[0] ? &k->access[info->access[0] - 1] : NULL;
        if (!a || !info->full || a->operand < 0 || a->scratch || !sc_term_is(a->stride[1], 1))
            continue;
        LLVMTypeRef e = cg_storage_type(cg->m, sc_type_of(k->f->sub, a->root)->dtype);
        LLVMValueRef at = cg_add_int(cg, r->at[info->access[0] - 1], cg_term(cg, a->stride[0]));
        LLVMValueRef p = cg_gep(cg, e, cg_operand(cg, (uint32_t)a->operand), cg_add_int(cg, at, i));
        for (uint32_t j = 0; j < w; j += cg->m->target.w)
            cg_prefetch(cg, cg_gep(cg, e, p, cg_int(cg, j)), 2);
    }
}

/* Adds one to a variable. */
static void add_to(Cg *cg, const Acc *a, LLVMValueRef var, LLVMValueRef x, LLVMValueRef mask)
{
    LLVMValueRef old = cg_get(cg, LLVMTypeOf(x), var),
                 sum = cg_combine(cg, a->monoid, a->t, old, x);
    cg_set(cg, var, mask ? LLVMBuildSelect(cg->b, mask, sum, old, "") : sum);
}

/* w elements: one, a vector or several, one after another for the partial sums that there are. */
static void combine(Cg *cg, const Row *r, const Acc *a, LLVMValueRef x, uint32_t w,
                    LLVMValueRef mask)
{
    const uint32_t lanes = cg->m->target.w;
    if (w <= lanes) {
        add_to(cg, a, w == lanes ? a->part[r->part] : a->tail, x, mask);
        return;
    }
    for (uint32_t p = 0; p < w / lanes; p++)
        add_to(cg, a, a->part[p % r->n_part], cg_take(cg, x, p * lanes, lanes), NULL);
}

static void elements(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    Row *r = arg;
    const ScGraph *g = r->k->f->sub;
    ScArena *scratch = sc_arena_new();
    CgVal *x = sc_array(scratch, CgVal, g->n_value);
    full_values(cg, r, i, w, mask, x);
    if (r->k->past && r->phase == 1)
        next_row(cg, r, i, w);
    for (uint32_t j = 0; j < r->n_acc; j++) {
        const Acc *a = &r->acc[j];
        CgVal y = cg_reduce_body(cg, g, a->node, x[a->node->in[0]], w);
        combine(cg, r, a, y.v, w, mask);
    }
    for (uint32_t j = 0; j < g->n_out; j++) {
        const RedInfo *o = &r->k->info[g->out[j]];
        if (!o->full || o->level != r->phase)
            continue;
        LLVMValueRef at = cg_add_int(cg, r->at[r->k->n_access + j], cg_add_int(cg, r->base, i));
        (is_past(r) ? cg_store_past : cg_store)(cg, x[g->out[j]], cg_result(cg, j), at, w, mask);
    }
    sc_arena_free(scratch);
}

/* The last dim: whole groups of n_part vectors first. */
static void last_dim(Cg *cg, Row *r, LLVMValueRef n)
{
    uint32_t w = cg->m->target.w;
    LLVMValueRef from = cg_int(cg, 0);
    if (r->n_part > 1) {
        LLVMValueRef group = cg_int(cg, (int64_t)w * r->n_part);
        LLVMValueRef whole = LLVMBuildSub(cg->b, n, LLVMBuildURem(cg->b, n, group, ""), "");
        CgLoop l = cg_for(cg, from, whole, group);
        if (r->wide)
            elements(cg, r, l.i, w * r->n_part, NULL);
        for (r->part = 0; !r->wide && r->part < r->n_part; r->part++)
            elements(cg, r, cg_add_int(cg, l.i, cg_int(cg, r->part * w)), w, NULL);
        cg_next(cg, &l);
        from = whole;
    }
    r->part = 0;
    const ScGraph *g = r->k->f->sub;
    uint32_t vectors = r->n_part > 1 ? 1 : at_once(cg->m, r);
    if (is_past(r))
        cg_lanes_past(cg, from, n, w, vectors, sc_type_of(g, g->out[0])->dtype, cg_result(cg, 0),
                      cg_add_int(cg, r->at[r->k->n_access], r->base), elements, r);
    else
        cg_lanes_at_once(cg, from, n, w, vectors, elements, r);
}

static void inner_dims(Cg *cg, Row *r)
{
    const CgSpace *s = &r->k->space;
    uint32_t n = s->rank - s->n_outer;
    CgLoop loop[SCRT_MAX_RANK];
    LLVMValueRef flat = cg_int(cg, 0);
    for (uint32_t d = 0; d + 1 < n; d++) {
        LLVMValueRef extent = cg_term(cg, s->dim[s->n_outer + d]);
        loop[d] = cg_for(cg, cg_int(cg, 0), extent, cg_int(cg, 1));
        r->inner[d] = loop[d].i;
        flat = cg_add_int(cg, cg_mul_int(cg, flat, extent), loop[d].i);
    }
    LLVMValueRef last = n ? cg_term(cg, s->dim[s->rank - 1]) : cg_int(cg, 1);
    r->base = cg_mul_int(cg, flat, last);
    last_dim(cg, r, last);
    for (uint32_t d = n; d-- > 1;)
        cg_next(cg, &loop[d - 1]);
}

/* --- Phases ---------------------------------------------------------------------------------- */

/* The type of what is combined: what `body` makes of an element. */
static ScrtDtype combined_type(const ScGraph *g, const ScNode *n)
{
    ScrtDtype t = sc_type_of(g, n->in[0])->dtype;
    return scrt_dtype_is_float(t) ? (t == SCRT_F64 ? SCRT_F64 : SCRT_F32) : t;
}

/* Whether all that this phase computes along the row is f32. */
static bool is_f32(const Row *r)
{
    const ScGraph *g = r->k->f->sub;
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        const RedInfo *i = &r->k->info[v];
        if (i->full && i->need >> r->phase & 1 && sc_type_of(g, v)->dtype != SCRT_F32)
            return false;
    }
    return true;
}

/* A sum needs several partial ones, so that additions do not wait for one another, and a long body
 * is computed for several vectors at once, instruction by instruction: a processor that looks ahead
 * by a hundred of them or so would else wait for each. */
static void begin_reductions(Cg *cg, Row *r, ScArena *scratch)
{
    const ScGraph *g = r->k->f->sub;
    uint32_t cost = 0;
    r->acc = sc_array(scratch, Acc, g->n_node);
    r->n_acc = 0;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        const RedInfo *info = &r->k->info[n->first];
        if (info->full && info->need >> r->phase & 1)
            cost += cg_cost(g, n, scratch);
        if (n->op->lower.cls == SC_REDUCE && info->level == r->phase + 1) {
            ScReduce d = {0};
            n->op->reduce(g, n, &d);
            r->acc[r->n_acc++] = (Acc){n, d.monoid, combined_type(g, n), {0}, NULL};
        }
    }
    r->wide = is_f32(r);
    r->n_part = !r->n_acc ? 1 : cost <= SHORT ? PARTIAL : r->wide ? cg->m->target.n_reg / HELD : 1;
    for (uint32_t i = 0; i < r->n_acc; i++) {
        Acc *a = &r->acc[i];
        LLVMTypeRef e = cg_compute_type(cg->m, a->t), v = cg_vec(e, cg->m->target.w);
        for (uint32_t p = 0; p < r->n_part; p++)
            a->part[p] = cg_var(cg, v, cg_neutral(v, a->t, a->monoid));
        a->tail = cg_var(cg, e, cg_neutral(e, a->t, a->monoid));
    }
}

static void end_reductions(Cg *cg, Row *r)
{
    const ScGraph *g = r->k->f->sub;
    uint32_t w = cg->m->target.w;
    for (uint32_t i = 0; i < r->n_acc; i++) {
        const Acc *a = &r->acc[i];
        LLVMTypeRef e = cg_compute_type(cg->m, a->t), v = cg_vec(e, w);
        LLVMValueRef sum = cg_get(cg, v, a->part[0]);
        for (uint32_t p = 1; p < r->n_part; p++)
            sum = cg_combine(cg, a->monoid, a->t, sum, cg_get(cg, v, a->part[p]));
        sum = cg_combine(cg, a->monoid, a->t, cg_across(cg, a->monoid, a->t, sum, w),
                         cg_get(cg, e, a->tail));
        CgVal y = cg_reduce_post(cg, g, a->node, r->k->space.inner, (CgVal){sum, a->t, NULL});
        ScrtDtype t = sc_type_of(g, a->node->first)->dtype;
        r->one[0][a->node->first] = cg_result_value(cg, a->node, t, y, 1);
    }
}

static void emit_row(Cg *cg, Row *r)
{
    const Red *k = r->k;
    const ScGraph *g = k->f->sub;
    ScArena *scratch = sc_arena_new();
    r->one[0] = sc_array(scratch, CgVal, g->n_value);
    r->one[1] = sc_array(scratch, CgVal, g->n_value);
    load_row(cg, r);
    for (r->phase = 0; r->phase < k->n_phase; r->phase++) {
        row_nodes(cg, r, r->phase);
        begin_reductions(cg, r, scratch);
        inner_dims(cg, r);
        end_reductions(cg, r);
    }
    row_nodes(cg, r, k->n_phase);
    for (uint32_t j = 0; j < g->n_out; j++) {
        ScVal v = g->out[j];
        if (!k->info[v].full)
            cg_store(cg, r->one[0][v], cg_result(cg, j), r->at[k->n_access + j], 1, NULL);
    }
    sc_arena_free(scratch);
}

LLVMValueRef cg_red_body(CgModule *m, const Red *k)
{
    Cg cg;
    LLVMValueRef idx[SCRT_MAX_RANK];
    uint32_t n = k->n_access + k->f->n_out;
    Row r = {.k = k, .at = sc_array(m->arena, LLVMValueRef, n)};
    LLVMValueRef body = cg_begin_body(&cg, m, k->f, "rows");
    CgLoop row = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    cg_unflatten(&cg, row.i, k->space.n_outer, k->space.dim, idx);
    for (uint32_t i = 0; i < n; i++)
        r.at[i] = cg_address(&cg, &k->access[i], k->space.n_outer, idx);
    emit_row(&cg, &r);
    cg_next(&cg, &row);
    if (k->past)
        cg_store_fence(&cg);
    cg_end_fn(&cg);
    return body;
}
