/* SPDX-License-Identifier: Apache-2.0 */
/* MAP kernels: elementwise over one space, operands broadcast to it. The last dim (after those that
 * can be one have become one) is the vector loop; what does not move along it is loaded before. */
#include "codegen/loops/loops.h"

typedef struct Map {
    CgFunc *f;
    uint32_t n_access;
    ScVal *value;     /* [n_access] of the nested graph: what is loaded */
    CgAccess *access; /* [n_access], then of each result */
    CgSpace space;    /* outer: rows; inner: one dim or none */
    bool past;        /* the result, of which there is one, is stored past the caches */
    uint32_t n_copy;
    CgTranspose *copy; /* [n_copy] operands that are copied first */
    /* While a row is emitted: */
    LLVMValueRef *at; /* as access: its address */
    CgVal *fixed;     /* [n_access] the element that serves the whole row, or v NULL */
} Map;

static bool add(CgModule *m, Map *k, ScVal v, const ScType *space)
{
    const ScGraph *g = k->f->sub;
    if (v < SC_FIRST || !cg_is_access(g, v))
        return true;
    for (uint32_t i = 0; i < k->n_access; i++) {
        if (k->value[i] == v)
            return true;
    }
    k->value[k->n_access] = v;
    return cg_access(m, k->f, v, space->rank, space->dim, &k->access[k->n_access++]);
}

static bool prepare(CgModule *m, Map *k)
{
    const ScGraph *g = k->f->sub;
    const ScType *space = sc_type_of(g, g->out[0]);
    k->value = sc_array(m->plans, ScVal, g->n_value);
    k->access = sc_array(m->plans, CgAccess, g->n_value + g->n_out);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t j = 0; n->op->lower.cls == SC_MAP && j < n->n_in; j++) {
            if (!add(m, k, n->in[j], space))
                return false;
        }
    }
    for (uint32_t i = 0; i < g->n_out; i++) {
        if (!cg_type_ok(m, k->f->node->loc, sc_type_of(g, g->out[i])->dtype) ||
            !add(m, k, g->out[i], space))
            return false;
    }
    for (uint32_t i = 0; i < g->n_out; i++)
        k->access[k->n_access + i] = cg_result_access(m, k->f, i);
    cg_space_init(m, &k->space, space->rank, space->dim, space->rank, k->n_access + g->n_out,
                  k->access);
    k->copy = sc_array(m->plans, CgTranspose, k->n_access + 1);
    k->n_copy = cg_transpose_operands(m, k->f, k->n_access, k->access, k->space.dim, k->copy);
    if (k->space.n_outer) { /* the last one is the vector loop */
        k->space.inner = k->space.dim[--k->space.n_outer];
        k->space.outer = cg_product(m, 0, k->space.n_outer, k->space.dim);
    }
    k->past = g->n_out == 1 && cg_is_past_caches(m, space);
    k->at = sc_array(m->plans, LLVMValueRef, k->n_access + g->n_out);
    k->fixed = sc_array(m->plans, CgVal, k->n_access);
    return true;
}

static const ScTerm *inner_stride(CgModule *m, const Map *k, uint32_t i)
{
    return k->space.rank ? k->access[i].stride[k->space.rank - 1] : sc_term(m->cx, 1);
}

/* idx: of the outer dims. */
static void begin_row(Cg *cg, Map *k, LLVMValueRef const *idx)
{
    for (uint32_t i = 0; i < k->f->n_out; i++)
        k->at[k->n_access + i] = cg_address(cg, &k->access[k->n_access + i], k->space.n_outer, idx);
    for (uint32_t i = 0; i < k->n_access; i++) {
        const ScTerm *s = inner_stride(cg->m, k, i);
        k->at[i] = cg_address(cg, &k->access[i], k->space.n_outer, idx);
        k->fixed[i] = sc_term_is(s, 0) || cg_is_constant(&k->access[i])
                          ? cg_access_load(cg, &k->access[i], k->at[i], s, 1, NULL)
                          : (CgVal){0};
    }
}

static void elements(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    Map *k = arg;
    const ScGraph *g = k->f->sub;
    ScArena *scratch = sc_arena_new();
    CgVal *x = sc_array(scratch, CgVal, g->n_value);
    for (uint32_t j = 0; j < k->n_access; j++) {
        const ScTerm *s = inner_stride(cg->m, k, j);
        LLVMValueRef at = cg_add_int(cg, k->at[j], cg_mul_int(cg, i, cg_term(cg, s)));
        x[k->value[j]] = k->fixed[j].v ? cg_splat_val(cg, k->fixed[j], w)
                                       : cg_access_load(cg, &k->access[j], at, s, w, mask);
    }
    for (uint32_t j = 0; j < g->n_node; j++) {
        if (g->node[j].op->lower.cls == SC_MAP)
            cg_node_of(cg, g, &g->node[j], x, w);
    }
    for (uint32_t j = 0; j < g->n_out; j++) {
        LLVMValueRef at = cg_add_int(cg, k->at[k->n_access + j], i);
        (k->past ? cg_store_past : cg_store)(cg, x[g->out[j]], cg_result(cg, j), at, w, mask);
    }
    sc_arena_free(scratch);
}

static uint32_t at_once(CgModule *m, const Map *k)
{
    const ScGraph *g = k->f->sub;
    ScArena *scratch = sc_arena_new();
    CgChain work = {0};
    for (uint32_t i = 0; i < g->n_node; i++)
        if (g->node[i].op->lower.cls == SC_MAP)
            cg_chain_add(&work, g, &g->node[i], scratch);
    for (uint32_t i = 0; i < k->n_access; i++)
        cg_chain_access(&work, inner_stride(m, k, i));
    sc_arena_free(scratch);
    return cg_at_once(m, &work, k->space.inner);
}

static void row(Cg *cg, Map *k, LLVMValueRef from, LLVMValueRef to)
{
    const ScGraph *g = k->f->sub;
    uint32_t w = cg->m->target.w, n = at_once(cg->m, k);
    if (k->past)
        cg_lanes_past(cg, from, to, w, n, sc_type_of(g, g->out[0])->dtype, cg_result(cg, 0),
                      cg_add_int(cg, k->at[k->n_access], from), elements, k);
    else
        cg_lanes_at_once(cg, from, to, w, n, elements, k);
}

static void shape(Map *k, CgShape *s)
{
    const CgFunc *f = k->f;
    cg_shape_nodes(f, s);
    cg_shape_word(s, k->past);
    cg_shape_word(s, k->space.rank);
    cg_shape_word(s, k->space.n_outer);
    cg_shape_terms(s, k->space.rank, k->space.dim);
    cg_shape_term(s, &k->space.outer);
    cg_shape_term(s, &k->space.inner);
    cg_shape_word(s, k->n_access);
    for (uint32_t i = 0; i < k->n_access + f->n_out; i++)
        cg_shape_access(f, s, &k->access[i]);
    for (uint32_t i = 0; i < k->n_access; i++)
        cg_shape_word(s, k->value[i]);
    cg_shape_word(s, k->n_copy);
    for (uint32_t i = 0; i < k->n_copy; i++)
        cg_transpose_shape(f, s, &k->copy[i]);
}

static bool plan(CgModule *m, CgFunc *f, CgShape *ret)
{
    Map *k = sc_new(m->plans, Map);
    k->f = f;
    f->loop = k;
    if (!prepare(m, k))
        return false;
    shape(k, ret);
    return true;
}

static void emit_body(CgModule *m, Map *k, LLVMValueRef *ret_body)
{
    Cg cg;
    LLVMValueRef idx[SCRT_MAX_RANK];
    *ret_body = cg_begin_body(&cg, m, k->f, "body");
    if (k->space.n_outer == 0) {
        begin_row(&cg, k, NULL);
        row(&cg, k, cg.begin, cg.end);
    } else {
        CgLoop r = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
        cg_unflatten(&cg, r.i, k->space.n_outer, k->space.dim, idx);
        begin_row(&cg, k, idx);
        row(&cg, k, cg_int(&cg, 0), cg_term(&cg, k->space.inner));
        cg_next(&cg, &r);
    }
    if (k->past)
        cg_store_fence(&cg);
    cg_end_fn(&cg);
}

static bool emit(CgModule *m, CgFunc *f)
{
    Map *k = f->loop;
    LLVMValueRef body;
    Cg cg;
    emit_body(m, k, &body);
    LLVMValueRef *copy = cg_transpose_bodies(m, f, k->n_copy, k->copy);
    cg_begin_entry(&cg, m, f);
    for (uint32_t i = 0; i < k->n_copy; i++)
        cg_transpose_run(&cg, &k->copy[i], copy[i]);
    if (k->space.n_outer == 0)
        cg_parallel(&cg, body, cg_term(&cg, k->space.inner), cg_int(&cg, cg_element_grain(f->sub)));
    else
        cg_parallel(&cg, body, cg_term(&cg, k->space.outer), cg_row_grain(&cg, k->space.inner));
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "map: %u dims as %u, %u lanes%s",
                        sc_type_of(f->sub, f->sub->out[0])->rank, k->space.n_outer + 1, m->target.w,
                        cg_transpose_text(m, k->n_copy));
    return true;
}

const CgClass cg_map = {.plan = plan, .emit = emit};
