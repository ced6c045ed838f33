/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions and sums that are compositions of others: norms, logarithms of sums, and the sum and
 * mean of any number of operands. They have no evaluation of their own but their expansion's. */
#include "ir/ops/ops_priv.h"

/* The node's own axes for a reduction in its expansion; keep: with extents of 1 left. */
#define SAME(n) SC_ATTRS(*sc_attr(n, 0), *sc_attr(n, 1))
#define KEEP(n) SC_ATTRS(*sc_attr(n, 0), SC_INT(1))

#define EXPAND(row, expression)                                                                    \
    static void expand_##row(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,       \
                             ScVal *ret_out)                                                       \
    {                                                                                              \
        (void)g;                                                                                   \
        const ScVal x = in[0];                                                                     \
        ret_out[0] = (expression);                                                                 \
    }
#define ROW(row, meaning, type, signature, facts, ...)                                             \
    {.name = #row,                                                                                 \
     .doc = meaning,                                                                               \
     .onnx = {"", type, 1},                                                                        \
     .in = "data: float",                                                                          \
     .out = "reduced: float",                                                                      \
     SC_REDUCE_ATTRS,                                                                              \
     .infer = sc_ops_infer_reduce,                                                                 \
     .scale = signature,                                                                           \
     .expand = expand_##row,                                                                       \
     .max_ulp = 4,                                                                                 \
     .flags = SC_ROUNDS_ONCE | (facts),                                                            \
     __VA_ARGS__}

EXPAND(reduce_l1, sc_op_at(b, reduce_sum, SAME(n), sc_op(b, abs, x)))
const ScOp sc_op_reduce_l1 =
    ROW(reduce_l1, "the sum of magnitudes over axes", "ReduceL1", "a -> a", SC_NONNEG, );

EXPAND(reduce_sum_square, sc_op_at(b, reduce_sum, SAME(n), sc_op(b, mul, x, x)))
const ScOp sc_op_reduce_sum_square = ROW(reduce_sum_square, "the sum of squares over axes",
                                         "ReduceSumSquare", "a -> 2a", SC_NONNEG, );

EXPAND(reduce_l2, sc_op(b, sqrt, sc_op_at(b, reduce_sum, SAME(n), sc_op(b, mul, x, x))))
const ScOp sc_op_reduce_l2 =
    ROW(reduce_l2, "the root of the sum of squares over axes", "ReduceL2", "a -> a", SC_NONNEG, );

EXPAND(reduce_log_sum, sc_op(b, log, sc_op_at(b, reduce_sum, SAME(n), x)))
const ScOp sc_op_reduce_log_sum = ROW(reduce_log_sum, "the logarithm of the sum over axes",
                                      "ReduceLogSum", "0 -> 0", 0, .domain = {1, 4});

/* The largest element is taken out, so that no exponential overflows; an infinite one stays, for
 * inf - inf would be NaN. */
static void expand_reduce_log_sum_exp(ScBuild *b, const ScGraph *g, const ScNode *n,
                                      const ScVal *in, ScVal *ret_out)
{
    (void)g;
    ScrtDtype t = sc_built(b, in[0])->type->dtype;
    ScVal top = sc_op_at(b, reduce_max, KEEP(n), in[0]);
    ScVal finite = sc_op(b, less, sc_op(b, abs, top), sc_const_scalar(b, t, INFINITY));
    ScVal base = sc_op(b, where, finite, top, sc_const_scalar(b, t, 0));
    ScVal e = sc_op(b, exp, sc_op(b, sub, in[0], base));
    ScVal y = sc_op(b, add, sc_op(b, log, sc_op_at(b, reduce_sum, KEEP(n), e)), base);
    ret_out[0] = sc_op_at(b, reduce_sum, SAME(n), y); /* of one element: drops the axes if asked */
}

const ScOp sc_op_reduce_log_sum_exp =
    ROW(reduce_log_sum_exp, "the logarithm of the sum of exponentials over axes", "ReduceLogSumExp",
        "0 -> 0", 0, );

/* --- Of any number of operands --------------------------------------------------------------- */

static ScVal add_up(ScBuild *b, const ScNode *n, const ScVal *in)
{
    ScVal y = in[0];
    for (uint32_t i = 1; i < n->n_in; i++)
        y = sc_op(b, add, y, in[i]);
    return y;
}

static void expand_sum(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                       ScVal *ret_out)
{
    (void)g;
    ret_out[0] = add_up(b, n, in);
}

const ScOp sc_op_sum = {
    .name = "sum",
    .doc = "the sum of the operands",
    .onnx = {"", "Sum", 8},
    .in = "data_0...: float",
    .out = "sum: float",
    .infer = sc_infer_broadcast,
    .scale = "a... -> a",
    .top = sc_ops_top_add,
    .growth = sc_ops_grow_add,
    .flags = SC_ROUNDS_ONCE,
    .expand = expand_sum,
    .max_ulp = 2,
};

static void expand_mean(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                        ScVal *ret_out)
{
    (void)g;
    ScVal y = add_up(b, n, in);
    ret_out[0] = sc_op(b, div, y, sc_const_scalar(b, sc_built(b, y)->type->dtype, n->n_in));
}

static void grow_mean(const ScGrow *g)
{
    sc_ops_grow_add(g);
    if (g->ret[0] != SC_NO_G)
        g->ret[0] -= sc_log2_256(g->n->n_in);
}

const ScOp sc_op_mean = {
    .name = "mean",
    .doc = "the mean of the operands",
    .onnx = {"", "Mean", 8},
    .in = "data_0...: float",
    .out = "mean: float",
    .infer = sc_infer_broadcast,
    .scale = "a... -> a",
    .top = sc_ops_top_through,
    .growth = grow_mean,
    .flags = SC_ROUNDS_ONCE,
    .expand = expand_mean,
    .max_ulp = 2,
};
