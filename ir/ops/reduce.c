/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions over axes: sum, mean, max, min. */
#include "ir/ops/ops_priv.h"

enum { AXES, KEEPDIMS };

/* One bit for each axis that is reduced; axes were checked by inference. */
static uint32_t reduced(const ScAttr *axes, uint32_t rank)
{
    uint32_t set = 0;
    if (axes->kind == SC_A_NONE)
        return (1u << rank) - 1;
    for (uint32_t i = 0; i < axes->n; i++)
        set |= 1u << sc_ops_axis(axes->is[i], rank);
    return set;
}

bool sc_ops_infer_reduce(ScInfer *in)
{
    const ScType *x = in->in[0];
    const ScAttr *axes = &in->attr[AXES];
    const ScTerm *dim[SCRT_MAX_RANK], *one = sc_term(in->cx, 1);
    uint32_t rank = 0, axis;
    if (axes->kind != SC_A_NONE)
        for (uint32_t i = 0; i < axes->n; i++)
            if (!sc_axis(in, axes->is[i], x->rank, &axis))
                return false;
    uint32_t set = reduced(axes, x->rank);
    for (uint32_t d = 0; d < x->rank; d++)
        if (!(set >> d & 1))
            dim[rank++] = x->dim[d];
        else if (in->attr[KEEPDIMS].i)
            dim[rank++] = one;
    return sc_ops_result(in, x->dtype, rank, dim);
}

static void describe(const ScGraph *g, const ScNode *n, ScMonoid monoid, ScReduce *ret)
{
    uint32_t rank = sc_type_of(g, n->in[0])->rank;
    uint32_t set = reduced(sc_attr(n, AXES), rank);
    *ret = (ScReduce){.monoid = monoid, .keep = sc_attr(n, KEEPDIMS)->i != 0};
    for (uint32_t d = 0; d < rank; d++)
        if (set >> d & 1)
            ret->axis[ret->n_axis++] = d;
}

static void reduce_sum(const ScGraph *g, const ScNode *n, ScReduce *ret)
{
    describe(g, n, SC_SUM, ret);
}

static void reduce_max(const ScGraph *g, const ScNode *n, ScReduce *ret)
{
    describe(g, n, SC_MAX, ret);
}

static void reduce_min(const ScGraph *g, const ScNode *n, ScReduce *ret)
{
    describe(g, n, SC_MIN, ret);
}

static ScCount reduced_count(const ScGraph *g, const ScNode *n)
{
    const ScType *x = sc_type_of(g, n->in[0]);
    uint32_t set = reduced(sc_attr(n, AXES), x->rank);
    ScCount count = {1, NULL};
    for (uint32_t d = 0; d < x->rank; d++)
        if (set >> d & 1)
            sc_ops_count(g->cx, &count, x->dim[d]);
    return count;
}

/* --- Evaluation ------------------------------------------------------------------------------ */

/* Walks x in order; *acc is the element of the result that x[i] belongs to. */
typedef void Combine(double *acc, double x);
typedef void CombineInt(int64_t *acc, int64_t x, bool no_sign);

/* Strides into the result for an index of x: reduced axes stand still. */
static void result_strides(const ScEval *e, int64_t *ret)
{
    uint32_t rank = e->in[0]->rank, set = reduced(sc_attr(e->n, AXES), rank);
    int64_t stride = 1;
    for (uint32_t d = rank; d-- > 0;) {
        ret[d] = set >> d & 1 ? 0 : stride;
        stride *= set >> d & 1 ? 1 : e->in[0]->dims[d];
    }
}

static void reduce_floats(ScEval *e, ScArena *a, double start, Combine *combine, double divisor)
{
    const ScrtTensor *x = e->in[0];
    int64_t stride[SCRT_MAX_RANK], idx[SCRT_MAX_RANK] = {0};
    int64_t n = scrt_count(x), n_out = scrt_count(&e->out[0]);
    double *v = sc_ops_doubles(a, x), *acc = sc_array(a, double, (size_t)n_out + 1);
    result_strides(e, stride);
    for (int64_t i = 0; i < n_out; i++)
        acc[i] = start;
    for (int64_t i = 0; i < n; i++, sc_ops_next(x->rank, x->dims, idx))
        combine(&acc[sc_ops_at(x->rank, idx, stride)], v[i]);
    for (int64_t i = 0; i < n_out; i++)
        sc_ops_store(&e->out[0], i, acc[i] / divisor);
}

static void reduce_ints(ScEval *e, ScArena *a, int64_t start, CombineInt *combine)
{
    const ScrtTensor *x = e->in[0];
    int64_t stride[SCRT_MAX_RANK], idx[SCRT_MAX_RANK] = {0};
    int64_t n = scrt_count(x), n_out = scrt_count(&e->out[0]);
    int64_t *v = sc_ops_ints(a, x), *acc = sc_array(a, int64_t, (size_t)n_out + 1);
    bool no_sign = scrt_dtype_kind(x->dtype) == SCRT_KIND_UINT;
    result_strides(e, stride);
    for (int64_t i = 0; i < n_out; i++)
        acc[i] = start;
    for (int64_t i = 0; i < n; i++, sc_ops_next(x->rank, x->dims, idx))
        combine(&acc[sc_ops_at(x->rank, idx, stride)], v[i], no_sign);
    for (int64_t i = 0; i < n_out; i++)
        scrt_store_int(x->dtype, e->out[0].data, (size_t)i, acc[i]);
}

static bool reduce(ScEval *e, double start, Combine *combine, int64_t start_int,
                   CombineInt *combine_int)
{
    ScArena *a = sc_arena_new();
    if (scrt_dtype_is_float(e->in[0]->dtype))
        reduce_floats(e, a, start, combine, 1);
    else
        reduce_ints(e, a, start_int, combine_int);
    sc_arena_free(a);
    return true;
}

/* The least and greatest integer of a type, as bits. */
static int64_t int_limit(ScrtDtype t, bool greatest)
{
    uint32_t bits = scrt_dtype_bits(t);
    if (scrt_dtype_kind(t) == SCRT_KIND_UINT)
        return greatest ? (int64_t)(UINT64_MAX >> (64 - bits)) : 0;
    int64_t top = INT64_MAX >> (64 - bits);
    return greatest ? top : -top - 1;
}

/* --- Sum and mean ---------------------------------------------------------------------------- */

static void add(double *acc, double x)
{
    *acc += x;
}

static void add_int(int64_t *acc, int64_t x, bool no_sign)
{
    (void)no_sign;
    *acc = (int64_t)((uint64_t)*acc + (uint64_t)x);
}

static bool eval_sum(ScEval *e)
{
    return reduce(e, 0, add, 0, add_int);
}

static void grow_sum(const ScGrow *g)
{
    sc_ops_grow(g, reduced_count(g->g, g->n), g->nonneg[0] ? 2 : 1);
}

static void top_sum(const ScTop *t)
{
    ScCount n = reduced_count(t->g, t->n);
    if (t->in[0] != SC_NO_TOP && !n.sym)
        t->ret[0] = t->in[0] + sc_log2_256(n.c) + 1;
}

const ScOp sc_op_reduce_sum = {
    .name = "reduce_sum",
    .doc = "the sum over axes",
    .onnx = {"", "ReduceSum", 1},
    .in = "data: num",
    .out = "reduced: num",
    SC_REDUCE_ATTRS,
    .flags = SC_SUMS,
    .infer = sc_ops_infer_reduce,
    .scale = "a -> a",
    .top = top_sum,
    .growth = grow_sum,
    .lower = {SC_REDUCE},
    .reduce = reduce_sum,
    .eval = eval_sum,
};

static bool eval_mean(ScEval *e)
{
    ScArena *a = sc_arena_new();
    uint32_t set = reduced(sc_attr(e->n, AXES), e->in[0]->rank);
    double count = 1;
    for (uint32_t d = 0; d < e->in[0]->rank; d++)
        count *= set >> d & 1 ? (double)e->in[0]->dims[d] : 1;
    reduce_floats(e, a, 0, add, count);
    sc_arena_free(a);
    return true;
}

static void grow_mean(const ScGrow *g)
{
    sc_ops_grow_mean(g, reduced_count(g->g, g->n));
}

static void post_mean(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    int64_t c;
    (void)n;
    bool known = sc_term_const(b->count, &c);
    ScX divisor = known ? sc_ops_const(b, (double)c) : SC_X1(b, TOFLOAT, sc_x_term(b, b->count));
    ret_out[0] = SC_X2(b, DIV, in[0], divisor);
}

const ScOp sc_op_reduce_mean = {
    .name = "reduce_mean",
    .doc = "the mean over axes",
    .onnx = {"", "ReduceMean", 1},
    .in = "data: float",
    .out = "reduced: float",
    SC_REDUCE_ATTRS,
    .flags = SC_SUMS | SC_AVERAGES,
    .infer = sc_ops_infer_reduce,
    .scale = "a -> a",
    .top = sc_ops_top_first,
    .growth = grow_mean,
    .lower = {SC_REDUCE, .post = post_mean},
    .reduce = reduce_sum,
    .eval = eval_mean,
};

/* --- Largest and smallest -------------------------------------------------------------------- */

static void take_larger(double *acc, double x)
{
    if (x > *acc || x != x)
        *acc = x;
}

static void take_larger_int(int64_t *acc, int64_t x, bool no_sign)
{
    if (no_sign ? (uint64_t)x > (uint64_t)*acc : x > *acc)
        *acc = x;
}

static bool eval_max(ScEval *e)
{
    return reduce(e, -INFINITY, take_larger, int_limit(e->in[0]->dtype, false), take_larger_int);
}

const ScOp sc_op_reduce_max = {
    .name = "reduce_max",
    .doc = "the largest element over axes; NaN where one is NaN; -inf where there is none",
    .onnx = {"", "ReduceMax", 1},
    .in = "data: num",
    .out = "reduced: num",
    SC_REDUCE_ATTRS,
    .infer = sc_ops_infer_reduce,
    .scale = "a -> a",
    .top = sc_ops_top_first,
    .lower = {SC_REDUCE},
    .reduce = reduce_max,
    .eval = eval_max,
};

static void take_smaller(double *acc, double x)
{
    if (x < *acc || x != x)
        *acc = x;
}

static void take_smaller_int(int64_t *acc, int64_t x, bool no_sign)
{
    if (no_sign ? (uint64_t)x < (uint64_t)*acc : x < *acc)
        *acc = x;
}

static bool eval_min(ScEval *e)
{
    return reduce(e, INFINITY, take_smaller, int_limit(e->in[0]->dtype, true), take_smaller_int);
}

const ScOp sc_op_reduce_min = {
    .name = "reduce_min",
    .doc = "the smallest element over axes; NaN where one is NaN; inf where there is none",
    .onnx = {"", "ReduceMin", 1},
    .in = "data: num",
    .out = "reduced: num",
    SC_REDUCE_ATTRS,
    .infer = sc_ops_infer_reduce,
    .scale = "a -> a",
    .top = sc_ops_top_first,
    .lower = {SC_REDUCE},
    .reduce = reduce_min,
    .eval = eval_min,
};

/* --- Product --------------------------------------------------------------------------------- */

static void times(double *acc, double x)
{
    *acc *= x;
}

static void times_int(int64_t *acc, int64_t x, bool no_sign)
{
    (void)no_sign;
    *acc = (int64_t)((uint64_t)*acc * (uint64_t)x);
}

static bool eval_prod(ScEval *e)
{
    return reduce(e, 1, times, 1, times_int);
}

static void reduce_prod(const ScGraph *g, const ScNode *n, ScReduce *ret)
{
    describe(g, n, SC_PROD, ret);
}

/* The number of elements of a shape that is known. */
static bool infer_prod(ScInfer *in)
{
    int64_t n;
    if (!sc_ops_infer_reduce(in))
        return false;
    const ScType *x = in->in[0];
    if (!in->content[0] || x->rank != 1 || reduced(&in->attr[AXES], 1) != 1 ||
        !sc_term_const(x->dim[0], &n))
        return true;
    const ScTerm **content = sc_array(in->arena, const ScTerm *, 1);
    content[0] = sc_term(in->cx, 1);
    for (int64_t i = 0; i < n && content[0]; i++)
        content[0] =
            sc_ops_held(in->cx, x->dtype, sc_term_mul(in->cx, content[0], in->content[0][i]));
    in->ret_content[0] = content[0] ? content : NULL;
    return true;
}

const ScOp sc_op_reduce_prod = {
    .name = "reduce_prod",
    .doc = "the product over axes",
    .onnx = {"", "ReduceProd", 1},
    .in = "data: num",
    .out = "reduced: num",
    SC_REDUCE_ATTRS,
    .infer = infer_prod,
    .scale = "0 -> 0",
    .lower = {SC_REDUCE},
    .reduce = reduce_prod,
    .eval = eval_prod,
};
