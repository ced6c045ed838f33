/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of one number. How an operator is born: `neg`, below, states what it is (name, doc,
 * ONNX), what it takes (in, out, infer), how scales pass through it (scale), how a compiled loop
 * computes an element (body_neg) and, apart from that, how the evaluator does (neg, eval_neg). One
 * word in ops.def puts it into the table, and the table's tests then hold it to every claim. */
#include "ir/ops/ops_priv.h"

static double neg(const ScEval *e, const double *x)
{
    (void)e;
    return -x[0];
}

static int64_t neg_int(const ScEval *e, const int64_t *x)
{
    (void)e;
    return (int64_t)(0 - (uint64_t)x[0]);
}

static bool eval_neg(ScEval *e)
{
    return sc_ops_map(e, neg, neg_int);
}

static void body_neg(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ret_out[0] = SC_X1(b, NEG, in[0]);
}

static const ScTerm *neg_term(ScCtx *cx, const ScTerm *const *x)
{
    return sc_term_scale(cx, x[0], -1);
}

static bool infer_neg(ScInfer *in)
{
    return sc_infer_same(in) && sc_ops_content(in, neg_term); /* shapes are computed with it */
}

const ScOp sc_op_neg = {
    .name = "neg",
    .doc = "-x",
    .onnx = {"", "Neg", 6},
    .in = "X: num",
    .out = "Y: num",
    .infer = infer_neg,
    .scale = "a -> a",
    .top = sc_ops_top_first,
    .lower = {SC_MAP, body_neg},
    .eval = eval_neg,
};

/* Functions of one float need less: UNARY_BODY and UNARY_EVAL write both in a line each. */

/* --- Any numbers ----------------------------------------------------------------------------- */

UNARY_BODY(abs, SC_X1(b, ABS, in[0]))

static double value_abs(const ScEval *e, const double *x)
{
    (void)e;
    return fabs(x[0]);
}

static int64_t abs_int(const ScEval *e, const int64_t *x)
{
    bool negative = x[0] < 0 && scrt_dtype_kind(e->in[0]->dtype) == SCRT_KIND_INT;
    return negative ? (int64_t)(0 - (uint64_t)x[0]) : x[0];
}

static bool eval_abs(ScEval *e)
{
    return sc_ops_map(e, value_abs, abs_int);
}

const ScOp sc_op_abs = {
    .name = "abs",
    .doc = "|x|",
    .onnx = {"", "Abs", 6},
    .in = "X: num",
    .out = "Y: num",
    .flags = SC_NONNEG,
    .infer = sc_infer_same,
    .scale = "a -> a",
    .top = sc_ops_top_first,
    .lower = {SC_MAP, body_abs},
    .eval = eval_abs,
};

UNARY_BODY(relu, SC_SELECT(b, SC_X2(b, LT, in[0], sc_ops_num(b, in[0], 0)), sc_ops_num(b, in[0], 0),
                           in[0]))

static double value_relu(const ScEval *e, const double *x)
{
    (void)e;
    return x[0] < 0 ? 0 : x[0]; /* NaN stays NaN */
}

static int64_t relu_int(const ScEval *e, const int64_t *x)
{
    return x[0] < 0 && scrt_dtype_kind(e->in[0]->dtype) == SCRT_KIND_INT ? 0 : x[0];
}

static bool eval_relu(ScEval *e)
{
    return sc_ops_map(e, value_relu, relu_int);
}

const ScOp sc_op_relu = {
    .name = "relu",
    .doc = "max(x, 0)",
    .onnx = {"", "Relu", 6},
    .in = "X: num",
    .out = "Y: num",
    .flags = SC_NONNEG,
    .infer = sc_infer_same,
    .scale = "a -> a",
    .growth = sc_ops_grow_relu,
    .top = sc_ops_top_first,
    .lower = {SC_MAP, body_relu},
    .eval = eval_relu,
};

/* --- Floats ---------------------------------------------------------------------------------- */

UNARY_BODY(sqrt, SC_X1(b, SQRT, in[0]))
UNARY_EVAL(sqrt, sqrt(x))
const ScOp sc_op_sqrt = {
    .name = "sqrt",
    .doc = "the square root of x",
    .onnx = {"", "Sqrt", 6},
    FLOAT_TO_FLOAT,
    .flags = SC_NONNEG,
    .scale = "2a -> a",
    .lower = {SC_MAP, body_sqrt},
    .eval = eval_sqrt,
    .domain = {0, 16},
};

UNARY_BODY(reciprocal, SC_X2(b, DIV, sc_x_const(b, 1), in[0]))
UNARY_EVAL(reciprocal, 1 / x)
const ScOp sc_op_reciprocal = {
    .name = "reciprocal",
    .doc = "1 / x",
    .onnx = {"", "Reciprocal", 6},
    FLOAT_TO_FLOAT,
    .scale = "a -> -a",
    .lower = {SC_MAP, body_reciprocal},
    .eval = eval_reciprocal,
    .domain = {0.125, 4},
};

UNARY_BODY(exp, sc_x_exp(b, in[0]))
UNARY_EVAL(exp, exp(x))
const ScOp sc_op_exp = {
    .name = "exp",
    .doc = "e to the power x",
    .onnx = {"", "Exp", 6},
    FLOAT_TO_FLOAT,
    .flags = SC_NONNEG,
    .scale = "0 -> 0",
    .lower = {SC_MAP, body_exp},
    .eval = eval_exp,
    .max_ulp = 2,
};

UNARY_BODY(log, sc_x_log(b, in[0]))
UNARY_EVAL(log, log(x))
const ScOp sc_op_log = {
    .name = "log",
    .doc = "the natural logarithm of x",
    .onnx = {"", "Log", 6},
    FLOAT_TO_FLOAT,
    .scale = "0 -> 0",
    .lower = {SC_MAP, body_log},
    .eval = eval_log,
    .domain = {0.01, 16},
    .max_ulp = 2,
};

UNARY_BODY(tanh, sc_x_tanh(b, in[0]))
UNARY_EVAL(tanh, tanh(x))
const ScOp sc_op_tanh = {
    .name = "tanh",
    .doc = "the hyperbolic tangent of x",
    .onnx = {"", "Tanh", 6},
    FLOAT_TO_FLOAT,
    .scale = "0 -> 0",
    .growth = sc_ops_grow_bend,
    .most = 1,
    .lower = {SC_MAP, body_tanh},
    .eval = eval_tanh,
    .max_ulp = 2,
};

UNARY_BODY(erf, sc_x_erf(b, in[0]))
UNARY_EVAL(erf, erf(x))
const ScOp sc_op_erf = {
    .name = "erf",
    .doc = "the error function of x",
    .onnx = {"", "Erf", 9},
    FLOAT_TO_FLOAT,
    .scale = "0 -> 0",
    .growth = sc_ops_grow_bend,
    .most = 1,
    .lower = {SC_MAP, body_erf},
    .eval = eval_erf,
    .max_ulp = 2,
};

UNARY_BODY(sigmoid, sc_x_sigmoid(b, in[0]))
UNARY_EVAL(sigmoid, 1 / (1 + exp(-x)))
const ScOp sc_op_sigmoid = {
    .name = "sigmoid",
    .doc = "1 / (1 + e^-x)",
    .onnx = {"", "Sigmoid", 6},
    FLOAT_TO_FLOAT,
    .flags = SC_NONNEG,
    .scale = "0 -> 0",
    .grow = {-0.9f}, /* a half and what x about 1 adds */
    .most = 1,
    .lower = {SC_MAP, body_sigmoid},
    .eval = eval_sigmoid,
    .max_ulp = 2,
};
