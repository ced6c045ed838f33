/* SPDX-License-Identifier: Apache-2.0 */
/* GATHER kernels: for each index the elements behind the axis are copied, through the epilogue. A
 * row of the loop is one index and one position before the axis; the dims behind it are the column,
 * or as many of them as data and epilogue walk as one. Where nothing lies behind the axis, the
 * indices are the column, and each lane is read at its own. An index outside the axis is noted in
 * the call, which ends the run after the kernel, and element 0 is read for it; that the axis has
 * one was checked where the extents were bound. */
#include "codegen/loops/loops.h"

typedef struct Dims {
    uint32_t rank;
    const ScTerm *dim[SCRT_MAX_RANK];
} Dims;

typedef struct Gather {
    CgEpi *epi;
    CgAccess data, index;
    Dims x, at, y;        /* of data, indices, result */
    uint32_t axis, n_idx; /* of data; dims of the result before the column */
    bool by_index;        /* the column is indices */
    const ScTerm *column; /* elements */
    CgEpiRow row;
    LLVMValueRef from, at_index; /* the row's first element in data; by_index: its first index */
} Gather;

/* The dim of data that dim d of the result is, behind the axis. */
static uint32_t data_dim(const Gather *k, uint32_t d)
{
    return d + 1 - k->at.rank;
}

/* As many dims of indices, from the last on, as indices and epilogue walk as one. */
static void plan_indices(CgModule *m, Gather *k)
{
    uint32_t n = k->axis + k->at.rank;
    if (!k->at.rank || !sc_term_is(cg_product(m, n, k->y.rank, k->y.dim), 1))
        return;
    while (n > k->axis && cg_epi_mergeable(k->epi, n - 1) &&
           cg_merge(m, 1, &k->index, n - 1 - k->axis, k->at.rank, k->at.dim))
        n--;
    k->by_index = n < k->axis + k->at.rank;
    k->n_idx = n;
}

static Dims dims_of(const ScType *t)
{
    Dims d = {.rank = t->rank};
    for (uint32_t i = 0; i < t->rank; i++)
        d.dim[i] = t->dim[i];
    return d;
}

static bool prepare(CgModule *m, CgFunc *f, const ScNode *n, Gather *k)
{
    const ScGraph *g = f->sub;
    k->x = dims_of(sc_type_of(g, n->in[0]));
    k->at = dims_of(sc_type_of(g, n->in[1]));
    k->y = dims_of(sc_type_of(g, n->first));
    k->axis = n->op->gather_axis(g, n);
    if (!cg_access(m, f, n->in[0], k->x.rank, k->x.dim, &k->data) ||
        !cg_access(m, f, n->in[1], k->at.rank, k->at.dim, &k->index))
        return false;
    plan_indices(m, k);
    if (!k->by_index) {
        k->n_idx = k->axis + k->at.rank;
        while (k->n_idx + 1 < k->y.rank &&
               !(cg_epi_mergeable(k->epi, k->n_idx) &&
                 cg_merge(m, 1, &k->data, data_dim(k, k->n_idx), k->x.rank, k->x.dim)))
            k->n_idx++;
    }
    k->column = cg_product(m, k->n_idx, k->y.rank, k->y.dim);
    return true;
}

/* Rare: which of the lanes' and the threads' indices is noted does not matter. */
static void note_outside(Cg *cg, LLVMValueRef is_outside, LLVMValueRef index, LLVMValueRef extent,
                         uint32_t w)
{
    const uint64_t byte[] = {offsetof(ScrtCall, index), offsetof(ScrtCall, extent)};
    LLVMTypeRef bits = LLVMIntTypeInContext(LLVMGetTypeContext(cg->m->i8), w);
    LLVMValueRef lanes = LLVMBuildBitCast(cg->b, is_outside, bits, "");
    LLVMValueRef at = cg_gep(cg, cg->m->t_ptr, cg->args, cg_int(cg, CG_ARG_CALL));
    CgIf note =
        cg_if(cg, LLVMBuildICmp(cg->b, LLVMIntNE, lanes, LLVMConstNull(LLVMTypeOf(lanes)), ""));
    if (w > 1) {
        LLVMValueRef arg[2] = {lanes, LLVMConstInt(cg->m->i1, 1, 0)};
        index = LLVMBuildExtractElement(cg->b, index,
                                        cg_intrinsic(cg, "llvm.cttz", 1, &bits, 2, arg), "");
    }
    LLVMValueRef value[] = {index, extent};
    LLVMValueRef call = LLVMBuildLoad2(cg->b, cg->m->t_ptr, at, "");
    for (int k = 0; k < 2; k++) {
        LLVMValueRef to = cg_gep(cg, cg->m->i8, call, cg_int(cg, (int64_t)byte[k]));
        LLVMSetOrdering(LLVMBuildStore(cg->b, value[k], to), LLVMAtomicOrderingMonotonic);
    }
    cg_endif(cg, &note);
}

/* w indices, in [0, extent): negative ones count from the end. */
static LLVMValueRef load_index(Cg *cg, const Gather *k, LLVMValueRef at, const ScTerm *stride,
                               uint32_t w, LLVMValueRef mask)
{
    LLVMBuilderRef b = cg->b;
    LLVMTypeRef t = cg_vec(cg->m->i64, w);
    LLVMValueRef zero = LLVMConstNull(t), extent = cg_term(cg, k->x.dim[k->axis]);
    LLVMValueRef n = cg_splat(cg, extent, w);
    CgVal v = cg_access_load(cg, &k->index, at, stride, w, mask);
    bool has_sign = scrt_dtype_kind(v.t) == SCRT_KIND_INT;
    LLVMValueRef i =
        has_sign ? LLVMBuildSExtOrBitCast(b, v.v, t, "") : LLVMBuildZExtOrBitCast(b, v.v, t, "");
    LLVMValueRef negative = LLVMBuildICmp(b, LLVMIntSLT, i, zero, "");
    LLVMValueRef from = LLVMBuildSelect(b, negative, LLVMBuildAdd(b, i, n, ""), i, "");
    LLVMValueRef is_outside = LLVMBuildICmp(b, LLVMIntUGE, from, n, "");
    note_outside(cg, is_outside, i, extent, w);
    return LLVMBuildSelect(b, is_outside, zero, from, "");
}

static void indexed(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Gather *k = arg;
    const ScTerm *s = cg_merged_stride(cg->m, &k->index, k->n_idx - k->axis, k->at.rank, k->at.dim);
    LLVMValueRef at = cg_add_int(cg, k->at_index, cg_mul_int(cg, i, cg_term(cg, s)));
    LLVMValueRef index = load_index(cg, k, at, s, w, mask);
    LLVMValueRef step = cg_splat(cg, cg_term(cg, k->data.stride[k->axis]), w);
    LLVMValueRef from = LLVMBuildMul(cg->b, index, step, "");
    from = LLVMBuildAdd(cg->b, from, cg_splat(cg, k->from, w), "");
    CgVal x = cg_access_load_at(cg, &k->data, from, w);
    cg_epi_store_val(cg, k->epi, &k->row, i, x, w, mask);
}

static void elements(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Gather *k = arg;
    uint32_t first = k->n_idx < k->y.rank ? data_dim(k, k->n_idx) : k->x.rank;
    const ScTerm *s = cg_merged_stride(cg->m, &k->data, first, k->x.rank, k->x.dim);
    LLVMValueRef at = cg_add_int(cg, k->from, cg_mul_int(cg, i, cg_term(cg, s)));
    CgVal x = cg_access_load(cg, &k->data, at, s, w, mask);
    cg_epi_store_val(cg, k->epi, &k->row, i, x, w, mask);
}

/* idx: of the dims before the column. */
static void begin_row(Cg *cg, Gather *k, LLVMValueRef const *idx)
{
    LLVMValueRef from[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < k->axis; d++)
        from[d] = idx[d];
    k->row = cg_epi_row(cg, k->epi, idx, k->n_idx);
    if (k->by_index) {
        k->at_index = cg_address(cg, &k->index, k->n_idx - k->axis, idx + k->axis);
        k->from = cg_address(cg, &k->data, k->axis, from);
        return;
    }
    LLVMValueRef at = cg_address(cg, &k->index, k->at.rank, idx + k->axis);
    from[k->axis] = load_index(cg, k, at, sc_term(cg->m->cx, 1), 1, NULL);
    for (uint32_t d = k->axis + k->at.rank; d < k->n_idx; d++)
        from[data_dim(k, d)] = idx[d];
    k->from = cg_address(cg, &k->data, k->n_idx + 1 - k->at.rank, from);
}

static LLVMValueRef emit_body(CgModule *m, CgFunc *f, Gather *k)
{
    Cg cg;
    LLVMValueRef idx[SCRT_MAX_RANK] = {0};
    LLVMValueRef body = cg_begin_body(&cg, m, f, "rows");
    CgLanes lanes = k->by_index ? indexed : elements;
    if (k->n_idx == 0) { /* the column is shared out */
        begin_row(&cg, k, idx);
        cg_lanes(&cg, cg.begin, cg.end, m->target.w, lanes, k);
        cg_end_fn(&cg);
        return body;
    }
    CgLoop row = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    cg_unflatten(&cg, row.i, k->n_idx, k->y.dim, idx);
    begin_row(&cg, k, idx);
    uint32_t vectors = k->by_index ? 1 : cg_epi_at_once(k->epi, k->column);
    cg_lanes_at_once(&cg, cg_int(&cg, 0), cg_term(&cg, k->column), m->target.w, vectors, lanes, k);
    cg_next(&cg, &row);
    cg_end_fn(&cg);
    return body;
}

static void shape_dims(CgShape *s, Dims *d)
{
    cg_shape_word(s, d->rank);
    cg_shape_terms(s, d->rank, d->dim);
}

static bool plan(CgModule *m, CgFunc *f, CgShape *ret)
{
    const ScNode *n = sc_leader(f->sub);
    Gather *k = sc_new(m->plans, Gather);
    f->loop = k;
    k->epi = cg_epi_new(m, f, n);
    if (!k->epi || !prepare(m, f, n, k))
        return false;
    cg_shape_nodes(f, ret);
    cg_epi_shape(k->epi, ret);
    cg_shape_access(f, ret, &k->data);
    cg_shape_access(f, ret, &k->index);
    shape_dims(ret, &k->x);
    shape_dims(ret, &k->at);
    shape_dims(ret, &k->y);
    cg_shape_word(ret, k->axis);
    cg_shape_word(ret, k->n_idx);
    cg_shape_word(ret, k->by_index);
    cg_shape_term(ret, &k->column);
    return true;
}

static bool emit(CgModule *m, CgFunc *f)
{
    Gather *k = f->loop;
    Cg cg;
    LLVMValueRef body = emit_body(m, f, k);
    cg_begin_entry(&cg, m, f);
    if (k->n_idx == 0)
        cg_parallel(&cg, body, cg_term(&cg, k->column), cg_int(&cg, cg_element_grain(f->sub)));
    else
        cg_parallel(&cg, body, cg_term(&cg, cg_product(m, 0, k->n_idx, k->y.dim)),
                    cg_row_grain(&cg, k->column));
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "gather: axis %u, %u lanes%s", k->axis, m->target.w,
                        k->by_index ? " of indices" : "");
    return true;
}

const CgClass cg_gather = {.plan = plan, .emit = emit};
