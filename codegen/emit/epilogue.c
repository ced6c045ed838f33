/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a leader's result before it is stored: the kernel's MAP nodes, on vectors. None
 * of them leads to the leader; those that come before it may be beside it, as a condition is. */
#include "codegen/emit/emit.h"

struct CgEpi {
    CgModule *m;
    const CgFunc *f;
    const ScNode *leader;
    const ScType *type;        /* of the leader's result: the iteration space */
    uint32_t n, n_access;      /* MAP nodes; accesses, the bias last */
    const ScNode *const *node; /* [n] */
    CgAccess *access;          /* [n_access] */
    const ScVal *value;        /* [n_access] of the nested graph */
    int32_t bias;              /* index of the bias among the accesses, or -1 */
};

/* At least as many accesses as there are. */
static uint32_t most_accesses(const ScGraph *g)
{
    uint32_t n = g->n_out + 1; /* the bias */
    for (uint32_t i = 0; i < g->n_node; i++)
        n += g->node[i].op->lower.cls == SC_MAP ? g->node[i].n_in : 0;
    return n < SC_EPILOGUE_MAX + 1 ? n : SC_EPILOGUE_MAX + 1;
}

static bool add_access(CgModule *m, CgEpi *e, ScVal v)
{
    ScVal *value = (ScVal *)e->value;
    for (uint32_t i = 0; i < e->n_access; i++) {
        if (value[i] == v)
            return true;
    }
    if (e->n_access + e->f->n_out >= SC_EPILOGUE_MAX)
        return sc_fail(m->cx, e->f->node->loc, SC_E_LOWER, "more than %d operands of an epilogue",
                       SC_EPILOGUE_MAX);
    value[e->n_access] = v;
    return cg_access(m, e->f, v, e->type->rank, e->type->dim, &e->access[e->n_access++]);
}

/* A bias lies along one dim, or broadcasts. */
static bool add_bias(CgModule *m, CgEpi *e)
{
    const ScGraph *g = e->f->sub;
    const ScNode *n = e->leader;
    int bias = sc_bias(n);
    e->bias = -1;
    if (bias < 0)
        return true;
    bool along = n->op->bias_axis;
    uint32_t axis = along ? n->op->bias_axis(g, n) : 0, rank = along ? 1 : e->type->rank;
    const ScTerm *const *dim = e->type->dim + axis;
    CgAccess *a = &e->access[e->n_access];
    ((ScVal *)e->value)[e->n_access] = n->in[bias];
    if (!cg_access(m, e->f, n->in[bias], rank, dim, a))
        return false;
    if (along) {
        const ScTerm *stride = a->stride[0];
        a->rank = e->type->rank;
        for (uint32_t d = 0; d < a->rank; d++)
            a->stride[d] = d == axis ? stride : sc_term(m->cx, 0);
    }
    e->bias = (int32_t)e->n_access++;
    return true;
}

CgEpi *cg_epi_new(CgModule *m, CgFunc *f, const ScNode *leader)
{
    CgEpi *e = sc_new(m->plans, CgEpi);
    const ScGraph *g = f->sub;
    e->m = m;
    e->f = f;
    e->leader = leader;
    e->type = sc_type_of(g, leader->first);
    e->access = sc_array(m->plans, CgAccess, most_accesses(g));
    e->value = sc_array(m->plans, ScVal, most_accesses(g));
    const ScNode **node = sc_array(m->plans, const ScNode *, g->n_node);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->lower.cls != SC_MAP || sc_on_way(g, leader, n))
            continue;
        node[e->n++] = n;
        for (uint32_t k = 0; k < n->n_in; k++) {
            if (n->in[k] >= SC_FIRST && cg_is_access(g, n->in[k]) && !add_access(m, e, n->in[k]))
                return NULL;
        }
    }
    e->node = node;
    for (uint32_t i = 0; i < f->n_out; i++) {
        if (!cg_type_ok(m, f->node->loc, sc_type_of(g, g->out[i])->dtype))
            return NULL;
    }
    if (!add_bias(m, e))
        return NULL;
    for (uint32_t i = 0; i < f->n_out; i++)
        e->access[e->n_access + i] = cg_result_access(m, f, i);
    return e;
}

/* Operands and results. */
static uint32_t n_port(const CgEpi *e)
{
    return e->n_access + e->f->n_out;
}

bool cg_epi_mergeable(const CgEpi *e, uint32_t n_idx)
{
    return cg_merge(e->m, n_port(e), e->access, n_idx, e->type->rank, e->type->dim);
}

void cg_epi_shape(CgEpi *e, CgShape *s)
{
    for (uint32_t d = 0; d < e->type->rank; d++)
        cg_shape_word(s, sc_term_is(e->type->dim[d], 1));
    cg_shape_word(s, e->n_access);
    cg_shape_word(s, (uint64_t)e->bias + 1);
    for (uint32_t i = 0; i < n_port(e); i++)
        cg_shape_access(e->f, s, &e->access[i]);
    for (uint32_t i = 0; i < e->n_access; i++)
        cg_shape_word(s, e->value[i]);
}

CgEpiRow cg_epi_row(Cg *cg, const CgEpi *e, LLVMValueRef const *idx, uint32_t n_idx)
{
    CgEpiRow r = {.n_idx = n_idx};
    for (uint32_t i = 0; i < n_port(e); i++)
        r.at[i] = cg_address(cg, &e->access[i], n_idx, idx);
    return r;
}

static LLVMValueRef row_address(Cg *cg, const CgEpi *e, const CgAccess *a, LLVMValueRef row,
                                uint32_t n_idx)
{
    const ScTerm *pitch = cg_merged_stride(e->m, a, 0, n_idx, e->type->dim);
    return cg_add_int(cg, cg_address(cg, a, 0, NULL), cg_mul_int(cg, row, cg_term(cg, pitch)));
}

CgEpiRow cg_epi_flat_row(Cg *cg, const CgEpi *e, LLVMValueRef row, uint32_t n_idx)
{
    LLVMValueRef idx[SCRT_MAX_RANK];
    CgEpiRow r = {.n_idx = n_idx};
    if (!cg_merge(e->m, n_port(e), e->access, 0, n_idx, e->type->dim)) {
        cg_unflatten(cg, row, n_idx, e->type->dim, idx);
        return cg_epi_row(cg, e, idx, n_idx);
    }
    for (uint32_t i = 0; i < n_port(e); i++)
        r.at[i] = row_address(cg, e, &e->access[i], row, n_idx);
    return r;
}

/* Access i in the columns of each row. */
static CgVal load(Cg *cg, const CgEpi *e, const CgEpiRow *r, uint32_t i, LLVMValueRef col,
                  uint32_t w, LLVMValueRef mask)
{
    const CgAccess *a = &e->access[i];
    const ScTerm *s = cg_merged_stride(cg->m, a, r->n_idx, e->type->rank, e->type->dim);
    LLVMValueRef column = cg_mul_int(cg, col, cg_term(cg, s)), v[CG_AT_ONCE], code[CG_AT_ONCE];
    uint32_t n = 0;
    CgVal x;
    for (; r; r = r->beside, n++) {
        x = cg_access_load(cg, a, cg_add_int(cg, r->at[i], column), s, w, mask);
        v[n] = x.v;
        code[n] = x.code;
    }
    return n == 1 ? x : (CgVal){cg_join(cg, v, n), x.t, x.code ? cg_join(cg, code, n) : NULL};
}

static void store(Cg *cg, const CgEpi *e, const CgEpiRow *r, uint32_t i, LLVMValueRef col, CgVal x,
                  uint32_t w, LLVMValueRef mask)
{
    CgVal part = x;
    bool one = !r->beside;
    for (uint32_t from = 0; r; r = r->beside, from += w) {
        if (!one)
            part.v = cg_take(cg, x.v, from, w);
        if (!one && x.code)
            part.code = cg_take(cg, x.code, from, w);
        cg_store(cg, part, cg_result(cg, i), cg_add_int(cg, r->at[e->n_access + i], col), w, mask);
    }
}

static uint32_t n_row(const CgEpiRow *r)
{
    uint32_t n = 0;
    for (; r; r = r->beside)
        n++;
    return n;
}

/* Whether each row has elements of its own there, side by side in memory. */
static bool own_elements(const CgAccess *a, uint32_t n_idx)
{
    bool own = false;
    for (uint32_t d = 0; d < n_idx; d++)
        own = own || !sc_term_is(a->stride[d], 0);
    return own && a->operand >= 0 && !a->index && !a->scratch && a->rank > n_idx &&
           sc_term_is(a->stride[a->rank - 1], 1);
}

bool cg_epi_waits(const CgEpi *e, uint32_t n_idx)
{
    bool waits = false;
    for (uint32_t i = 0; i < e->n_access; i++)
        waits = waits || own_elements(&e->access[i], n_idx);
    return waits;
}

void cg_epi_ask(Cg *cg, const CgEpi *e, const CgEpiRow *r, LLVMValueRef col, uint32_t n)
{
    enum { LINE = 64, SECOND_CACHE = 2 };
    for (uint32_t i = 0; i < e->n_access; i++) {
        const CgAccess *a = &e->access[i];
        if (!own_elements(a, r->n_idx))
            continue;
        uint32_t bytes = scrt_dtype_bits(sc_type_of(e->f->sub, a->root)->dtype) * n / 8;
        LLVMValueRef from = cg_access_pointer(cg, a, cg_add_int(cg, r->at[i], col));
        for (uint32_t k = 0; k < bytes; k += LINE)
            cg_prefetch(cg, cg_gep(cg, cg->m->i8, from, cg_int(cg, k)), SECOND_CACHE);
    }
}

LLVMValueRef cg_epi_add_bias(Cg *cg, const CgEpi *e, const CgEpiRow *r, LLVMValueRef col,
                             LLVMValueRef acc, uint32_t w, LLVMValueRef mask)
{
    if (e->bias < 0)
        return acc;
    LLVMValueRef y = load(cg, e, r, (uint32_t)e->bias, col, w, mask).v;
    return scrt_dtype_is_float(e->type->dtype) ? LLVMBuildFAdd(cg->b, acc, y, "")
                                               : LLVMBuildAdd(cg->b, acc, y, "");
}

/* The type of elements that an accumulator holds. */
static ScrtDtype accumulated(Cg *cg, LLVMValueRef acc, ScrtDtype result)
{
    LLVMTypeRef t = LLVMTypeOf(acc);
    if (LLVMGetTypeKind(t) == LLVMVectorTypeKind)
        t = LLVMGetElementType(t);
    return t == cg->m->f32 ? SCRT_F32 : t == cg->m->f64 ? SCRT_F64 : result;
}

void cg_epi_store_val(Cg *cg, const CgEpi *e, const CgEpiRow *r, LLVMValueRef col, CgVal x,
                      uint32_t w, LLVMValueRef mask)
{
    const ScGraph *g = e->f->sub;
    ScArena *scratch = sc_arena_new();
    CgVal *all = sc_array(scratch, CgVal, g->n_value);
    all[e->leader->first] = x;
    for (uint32_t i = 0; i < e->n_access; i++) {
        if ((int32_t)i != e->bias)
            all[e->value[i]] = load(cg, e, r, i, col, w, mask);
    }
    for (uint32_t i = 0; i < e->n; i++)
        cg_node_of(cg, g, e->node[i], all, w * n_row(r));
    for (uint32_t i = 0; i < g->n_out; i++)
        store(cg, e, r, i, col, all[g->out[i]], w, mask);
    sc_arena_free(scratch);
}

uint32_t cg_epi_at_once(const CgEpi *e, const ScTerm *columns)
{
    ScArena *scratch = sc_arena_new();
    CgChain k = {0};
    for (uint32_t i = 0; i < e->n; i++)
        cg_chain_add(&k, e->f->sub, e->node[i], scratch);
    for (uint32_t i = 0; i < e->n_access && e->type->rank; i++)
        cg_chain_access(&k, e->access[i].stride[e->type->rank - 1]);
    sc_arena_free(scratch);
    return cg_at_once(e->m, &k, columns);
}

void cg_epi_store(Cg *cg, const CgEpi *e, const CgEpiRow *r, LLVMValueRef col, LLVMValueRef acc,
                  uint32_t w, LLVMValueRef mask)
{
    ScrtDtype t = e->type->dtype;
    CgVal x = {acc, accumulated(cg, acc, t), NULL};
    x = cg_result_value(cg, e->leader, t, x, w * n_row(r));
    cg_epi_store_val(cg, e, r, col, x, w, mask);
}
