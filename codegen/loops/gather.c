/* SPDX-License-Identifier: Apache-2.0 */
/* GATHER kernels: for each index the elements behind the axis are copied, through the epilogue. A
 * row of the loop is one index and one position before the axis; the dims behind it are the column,
 * or as many of them as data and epilogue walk as one. An index outside the axis is noted in the
 * call, which ends the run after the kernel, and element 0 is read for it; that the axis has one
 * was checked where the extents were bound. */
#include "codegen/loops/loops.h"

typedef struct Gather {
    const CgEpi *epi;
    CgAccess data, index;
    const ScType *x, *at, *y; /* of data, indices, result */
    uint32_t axis, n_idx;     /* of data; dims of the result before the column */
    const ScTerm *column;     /* elements */
    CgEpiRow row;
    LLVMValueRef from; /* the row's first element in data */
} Gather;

/* The dim of data that dim d of the result is, behind the axis. */
static uint32_t data_dim(const Gather *k, uint32_t d)
{
    return d + 1 - k->at->rank;
}

static bool prepare(CgModule *m, CgFunc *f, const ScNode *n, Gather *k)
{
    const ScGraph *g = f->sub;
    k->x = sc_type_of(g, n->in[0]);
    k->at = sc_type_of(g, n->in[1]);
    k->y = sc_type_of(g, n->first);
    k->axis = n->op->gather_axis(g, n);
    if (!cg_access(m, f, n->in[0], k->x->rank, k->x->dim, &k->data) ||
        !cg_access(m, f, n->in[1], k->at->rank, k->at->dim, &k->index))
        return false;
    k->n_idx = k->axis + k->at->rank;
    while (k->n_idx + 1 < k->y->rank &&
           !(cg_epi_mergeable(k->epi, k->n_idx) &&
             cg_merge(m, 1, &k->data, data_dim(k, k->n_idx), k->x->rank, k->x->dim)))
        k->n_idx++;
    k->column = cg_product(m, k->n_idx, k->y->rank, k->y->dim);
    return true;
}

/* Rare: which of the threads' indices is noted does not matter. */
static void note_outside(Cg *cg, LLVMValueRef is_outside, LLVMValueRef index, LLVMValueRef extent)
{
    const uint64_t byte[] = {offsetof(ScrtCall, index), offsetof(ScrtCall, extent)};
    LLVMValueRef value[] = {index, extent};
    LLVMValueRef at = cg_gep(cg, cg->m->t_ptr, cg->args, cg_int(cg, CG_ARG_CALL));
    CgIf note = cg_if(cg, is_outside);
    LLVMValueRef call = LLVMBuildLoad2(cg->b, cg->m->t_ptr, at, "");
    for (int k = 0; k < 2; k++) {
        LLVMValueRef to = cg_gep(cg, cg->m->i8, call, cg_int(cg, (int64_t)byte[k]));
        LLVMSetOrdering(LLVMBuildStore(cg->b, value[k], to), LLVMAtomicOrderingMonotonic);
    }
    cg_endif(cg, &note);
}

/* The index for this row, in [0, extent): negative ones count from the end. */
static LLVMValueRef load_index(Cg *cg, const Gather *k, LLVMValueRef const *idx)
{
    LLVMBuilderRef b = cg->b;
    LLVMValueRef zero = cg_int(cg, 0), n = cg_term(cg, k->x->dim[k->axis]);
    LLVMValueRef at = cg_address(cg, &k->index, k->at->rank, idx + k->axis);
    CgVal v = cg_access_load(cg, &k->index, at, sc_term(cg->m->cx, 1), 1, NULL);
    bool has_sign = scrt_dtype_kind(v.t) == SCRT_KIND_INT;
    LLVMValueRef i = has_sign ? LLVMBuildSExtOrBitCast(b, v.v, cg->m->i64, "")
                              : LLVMBuildZExtOrBitCast(b, v.v, cg->m->i64, "");
    LLVMValueRef negative = LLVMBuildICmp(b, LLVMIntSLT, i, zero, "");
    LLVMValueRef from = LLVMBuildSelect(b, negative, LLVMBuildAdd(b, i, n, ""), i, "");
    LLVMValueRef is_outside = LLVMBuildICmp(b, LLVMIntUGE, from, n, "");
    note_outside(cg, is_outside, i, n);
    return LLVMBuildSelect(b, is_outside, zero, from, "");
}

static void elements(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Gather *k = arg;
    uint32_t first = k->n_idx < k->y->rank ? data_dim(k, k->n_idx) : k->x->rank;
    const ScTerm *s = cg_merged_stride(cg->m, &k->data, first, k->x->rank, k->x->dim);
    LLVMValueRef at = cg_add_int(cg, k->from, cg_mul_int(cg, i, cg_term(cg, s)));
    CgVal x = cg_access_load(cg, &k->data, at, s, w, mask);
    cg_epi_store_val(cg, k->epi, &k->row, i, x, w, mask);
}

static LLVMValueRef emit_body(CgModule *m, CgFunc *f, Gather *k)
{
    Cg cg;
    LLVMValueRef idx[SCRT_MAX_RANK], from[SCRT_MAX_RANK];
    LLVMValueRef body = cg_begin_body(&cg, m, f, "rows");
    CgLoop row = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    cg_unflatten(&cg, row.i, k->n_idx, k->y->dim, idx);
    for (uint32_t d = 0; d < k->axis; d++)
        from[d] = idx[d];
    from[k->axis] = load_index(&cg, k, idx);
    for (uint32_t d = k->axis + k->at->rank; d < k->n_idx; d++)
        from[data_dim(k, d)] = idx[d];
    k->from = cg_address(&cg, &k->data, k->n_idx + 1 - k->at->rank, from);
    k->row = cg_epi_row(&cg, k->epi, idx, k->n_idx);
    cg_lanes(&cg, cg_int(&cg, 0), cg_term(&cg, k->column), m->target.w, elements, k);
    cg_next(&cg, &row);
    cg_end_fn(&cg);
    return body;
}

static bool emit(CgModule *m, CgFunc *f)
{
    Gather k = {0};
    Cg cg;
    const ScNode *n = sc_leader(f->sub);
    k.epi = cg_epi_new(m, f, n);
    if (!k.epi || !prepare(m, f, n, &k))
        return false;
    LLVMValueRef body = emit_body(m, f, &k);
    const ScTerm *rows = sc_term(m->cx, 1);
    for (uint32_t d = 0; d < k.n_idx; d++)
        rows = sc_term_mul(m->cx, rows, k.y->dim[d]);
    cg_begin_entry(&cg, m, f);
    cg_parallel(&cg, body, cg_term(&cg, rows), cg_row_grain(&cg, k.column));
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "gather: axis %u, %u lanes", k.axis, m->target.w);
    return true;
}

const CgClass cg_gather = {NULL, emit};
