/* SPDX-License-Identifier: Apache-2.0 */
/* REDUCE kernels: row-wise chains such as softmax and the normalisations. A row is the trailing
 * dims that are reduced; rows are independent, and a thread takes some of them.
 *
 * A row is walked in phases. A value's level is how many reductions must be finished before it can
 * be computed: an operand has level 0, the result of a reduction the level of what it reduces
 * plus 1. Phase p is one loop over the row: it computes what the reductions and the results of
 * level p need, combines, and stores. What an earlier phase computed already is computed again if
 * that is cheap, else kept in a row of scratch memory.
 *
 * A sum has a fixed order that depends on the row's length and the target only: 4 vectors of
 * partial sums, then the tail, then a tree over lanes. So threads and the row's position change
 * nothing. */
#include "codegen/loops/reduce_priv.h"

#include <assert.h>

enum { CHEAP = 8 }; /* instructions: recomputed rather than kept */

/* --- Shapes ---------------------------------------------------------------------------------- */

static bool same_reduction(const ScReduce *a, const ScReduce *b)
{
    return a->n_axis == b->n_axis && a->axis[0] == b->axis[0];
}

/* The space, from the reductions: they must agree on it and reduce its last dims. */
static bool find_space(CgModule *m, Red *k)
{
    const ScGraph *g = k->f->sub;
    ScReduce first = {0};
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        ScReduce r = {0};
        if (n->op->lower.cls != SC_REDUCE)
            continue;
        n->op->reduce(g, n, &r);
        const ScType *t = sc_type_of(g, n->in[0]);
        if (!k->type) {
            k->type = t;
            first = r;
            k->n_outer = t->rank - r.n_axis;
        }
        bool last = r.n_axis == 0 || (r.axis[0] == k->n_outer && k->n_outer + r.n_axis == t->rank);
        if (!last || !sc_type_same_shape(t, k->type) || !same_reduction(&r, &first))
            return sc_fail(m->cx, n->loc, SC_E_LOWER,
                           "reductions of one kernel must share their last axes");
    }
    assert(k->type);
    return true;
}

/* Whether a shape aligned at the last dim varies along the row. */
static bool varies(const Red *k, const ScType *t)
{
    for (uint32_t d = k->n_outer; d < k->type->rank; d++) {
        uint32_t lead = k->type->rank - d; /* distance from the end */
        if (lead <= t->rank && !sc_term_is(t->dim[t->rank - lead], 1))
            return true;
    }
    return false;
}

static bool add_access(CgModule *m, Red *k, ScVal v, bool outer)
{
    const ScGraph *g = k->f->sub;
    if (v < SC_FIRST || !cg_is_access(g, v) || k->info[v].access[outer])
        return true;
    CgAccess *a = &k->access[k->n_access];
    uint32_t rank = outer ? k->n_outer : k->type->rank;
    if (!cg_access(m, k->f, v, rank, k->type->dim, a))
        return false;
    for (uint32_t d = rank; d < k->type->rank; d++)
        a->stride[d] = sc_term(m->cx, 0);
    k->info[v].access[outer] = ++k->n_access;
    if (!outer)
        k->info[v].full = varies(k, sc_type_of(g, v));
    return true;
}

/* --- Levels ---------------------------------------------------------------------------------- */

/* A reduction without kept axes, or a MAP node of one: its shape is the outer dims alone. */
static bool is_outer(const Red *k, const ScNode *n)
{
    if (n->op->lower.cls == SC_REDUCE) {
        ScReduce r = {0};
        n->op->reduce(k->f->sub, n, &r);
        return !r.keep;
    }
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (k->info[n->in[i]].outer)
            return true;
    }
    return false;
}

static bool classify(CgModule *m, Red *k, const ScNode *n)
{
    const ScGraph *g = k->f->sub;
    bool reduce = n->op->lower.cls == SC_REDUCE, outer = is_outer(k, n), full = false;
    uint32_t level = 0;
    for (uint32_t i = 0; i < n->n_in; i++) {
        const RedInfo *in = &k->info[n->in[i]];
        if (n->in[i] < SC_FIRST)
            continue;
        if (!add_access(m, k, n->in[i], outer && !reduce))
            return false;
        level = in->level > level ? in->level : level;
        full |= in->full && !(cg_is_access(g, n->in[i]) && outer && !reduce);
    }
    if (outer && !reduce && full && k->n_outer > 0)
        return sc_fail(m->cx, n->loc, SC_E_LOWER, "a reduced value meets rows of another shape");
    for (uint32_t i = 0; i < n->n_out; i++)
        k->info[n->first + i] =
            (RedInfo){.level = level + reduce, .full = full && !reduce, .outer = outer, .node = n};
    return true;
}

static bool add_result(CgModule *m, Red *k, ScVal v)
{
    const ScGraph *g = k->f->sub;
    const ScType *t = sc_type_of(g, v);
    if (!cg_type_ok(m, k->f->node->loc, t->dtype) || !add_access(m, k, v, false))
        return false;
    const ScTerm *count = sc_type_count(m->cx, t);
    const ScTerm *rows = sc_term(m->cx, 1), *all = sc_type_count(m->cx, k->type);
    for (uint32_t d = 0; d < k->n_outer; d++)
        rows = sc_term_mul(m->cx, rows, k->type->dim[d]);
    if (count != (k->info[v].full ? all : rows))
        return sc_fail(m->cx, k->f->node->loc, SC_E_LOWER,
                       "a result that is neither of the rows nor of the reduced shape");
    return true;
}

/* Where result i lies in the space; along the row, where it has one, it is dense. */
static CgAccess result_access(CgModule *m, const Red *k, uint32_t i)
{
    CgAccess own = cg_result_access(m, k->f, i), a = own;
    const ScTerm *zero = sc_term(m->cx, 0);
    ScVal v = k->f->sub->out[i];
    bool full = k->info[v].full;
    uint32_t lead = full ? k->type->rank - own.rank : 0;
    a.rank = k->type->rank;
    for (uint32_t d = 0; d < a.rank; d++)
        a.stride[d] = d < lead || (!full && d >= k->n_outer) ? zero : own.stride[d - lead];
    return a;
}

/* --- What each phase computes ---------------------------------------------------------------- */

static void need(Red *k, ScVal v, uint64_t phases)
{
    k->info[v].need |= phases;
}

/* Backward over the nodes: in which phases a value along the row is needed, and whether it is kept.
 */
static bool plan_phases(CgModule *m, Red *k)
{
    const ScGraph *g = k->f->sub;
    ScArena *scratch = sc_arena_new();
    k->row_bytes = sc_term(m->cx, 0);
    for (uint32_t i = 0; i < g->n_out; i++) {
        const RedInfo *o = &k->info[g->out[i]];
        if (o->full)
            need(k, g->out[i], UINT64_C(1) << o->level);
        k->n_phase = o->full && o->level >= k->n_phase ? o->level + 1 : k->n_phase;
    }
    for (uint32_t i = g->n_node; i-- > 0;) {
        const ScNode *n = &g->node[i];
        RedInfo *r = &k->info[n->first];
        if (n->op->lower.cls == SC_REDUCE) {
            need(k, n->in[0], UINT64_C(1) << (r->level - 1));
            k->n_phase = r->level > k->n_phase ? r->level : k->n_phase;
        }
        if (n->op->lower.cls != SC_MAP || !r->full || !r->need)
            continue;
        uint64_t first = r->need & -r->need;
        bool some = !sc_term_is(k->space.inner, 0); /* a row of no elements has nothing to keep */
        if (some && r->need != first && n->n_out == 1 && cg_cost(g, n, scratch) > CHEAP) {
            int64_t bytes = scrt_dtype_bits(sc_type_of(g, n->first)->dtype) / 8;
            r->kept = true;
            r->scratch = k->row_bytes;
            const ScTerm *row = sc_term_scale(m->cx, k->space.inner, bytes);
            k->row_bytes = sc_term_add(m->cx, k->row_bytes, cg_round64(m, row));
        }
        for (uint32_t j = 0; j < n->n_in; j++)
            need(k, n->in[j], r->kept ? first : r->need);
    }
    sc_arena_free(scratch);
    k->f->scratch_thread = sc_term_is(k->row_bytes, 0) ? NULL : k->row_bytes;
    if (k->n_phase > 63)
        return sc_fail(m->cx, k->f->node->loc, SC_E_LOWER, "more than 63 phases");
    return true;
}

static bool prepare(CgModule *m, Red *k)
{
    const ScGraph *g = k->f->sub;
    k->info = sc_array(m->plans, RedInfo, g->n_value);
    k->access = sc_array(m->plans, CgAccess, 2 * g->n_value + g->n_out);
    if (!find_space(m, k))
        return false;
    for (uint32_t i = 0; i < g->n_node; i++) {
        ScClass c = g->node[i].op->lower.cls;
        if ((c == SC_MAP || c == SC_REDUCE) && !classify(m, k, &g->node[i]))
            return false;
    }
    for (uint32_t i = 0; i < g->n_out; i++) {
        if (!add_result(m, k, g->out[i]))
            return false;
    }
    for (uint32_t i = 0; i < g->n_out; i++)
        k->access[k->n_access + i] = result_access(m, k, i);
    cg_space_init(m, &k->space, k->type->rank, k->type->dim, k->n_outer, k->n_access + g->n_out,
                  k->access);
    k->past =
        g->n_out == 1 && k->info[g->out[0]].full && cg_is_past_caches(m, sc_type_of(g, g->out[0]));
    k->copy = sc_array(m->plans, CgTranspose, k->n_access + 1);
    k->n_copy = cg_transpose_operands(m, k->f, k->n_access, k->access, k->space.dim, k->copy);
    return plan_phases(m, k);
}

static void shape(Red *k, CgShape *s)
{
    const CgFunc *f = k->f;
    cg_shape_nodes(f, s);
    cg_shape_word(s, k->past);
    cg_shape_word(s, k->n_phase);
    cg_shape_word(s, k->space.rank);
    cg_shape_word(s, k->space.n_outer);
    cg_shape_terms(s, k->space.rank, k->space.dim);
    cg_shape_term(s, &k->space.outer);
    cg_shape_term(s, &k->space.inner);
    for (ScVal v = SC_FIRST; v < f->sub->n_value; v++) {
        RedInfo *i = &k->info[v];
        cg_shape_word(s, (uint64_t)i->level << 3 | i->full << 2 | i->outer << 1 | i->kept);
        cg_shape_word(s, i->need);
        cg_shape_word(s, (uint64_t)i->access[0] << 32 | i->access[1]);
        cg_shape_any(s, &i->scratch);
    }
    for (uint32_t i = 0; i < k->n_access + f->n_out; i++)
        cg_shape_access(f, s, &k->access[i]);
    cg_shape_word(s, k->n_copy);
    for (uint32_t i = 0; i < k->n_copy; i++)
        cg_transpose_shape(f, s, &k->copy[i]);
}

static bool plan(CgModule *m, CgFunc *f, CgShape *ret)
{
    Red *k = sc_new(m->plans, Red);
    k->f = f;
    f->loop = k;
    if (!prepare(m, k))
        return false;
    shape(k, ret);
    return true;
}

static bool emit(CgModule *m, CgFunc *f)
{
    const Red *k = f->loop;
    LLVMValueRef body = cg_red_body(m, k);
    LLVMValueRef *copy = cg_transpose_bodies(m, f, k->n_copy, k->copy);
    Cg cg;
    cg_begin_entry(&cg, m, f);
    for (uint32_t i = 0; i < k->n_copy; i++)
        cg_transpose_run(&cg, &k->copy[i], copy[i]);
    cg_parallel(&cg, body, cg_term(&cg, k->space.outer), cg_row_grain(&cg, k->space.inner));
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "reduce: %u phases a row, %u lanes%s", k->n_phase, m->target.w,
                        cg_transpose_text(m, k->n_copy));
    return true;
}

const CgClass cg_reduce = {.plan = plan, .emit = emit};
