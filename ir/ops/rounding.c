/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that round a number or say what kind of number it is. */
#include "ir/ops/ops_priv.h"

UNARY_BODY(floor, SC_X1(b, FLOOR, in[0]))
UNARY_EVAL(floor, floor(x))
const ScOp sc_op_floor = {
    .name = "floor",
    .doc = "the largest integer not above x",
    .onnx = {"", "Floor", 6},
    FLOAT_TO_FLOAT,
    .scale = "0 -> 0",
    .lower = {SC_MAP, body_floor},
    .eval = eval_floor,
};

UNARY_BODY(ceil, SC_X1(b, CEIL, in[0]))
UNARY_EVAL(ceil, ceil(x))
const ScOp sc_op_ceil = {
    .name = "ceil",
    .doc = "the smallest integer not below x",
    .onnx = {"", "Ceil", 6},
    FLOAT_TO_FLOAT,
    .scale = "0 -> 0",
    .lower = {SC_MAP, body_ceil},
    .eval = eval_ceil,
};

UNARY_BODY(round, SC_X1(b, ROUND, in[0]))
UNARY_EVAL(round, rint(x))
const ScOp sc_op_round = {
    .name = "round",
    .doc = "the integer nearest to x, of two the even one",
    .onnx = {"", "Round", 11},
    FLOAT_TO_FLOAT,
    .scale = "0 -> 0",
    .lower = {SC_MAP, body_round},
    .eval = eval_round,
};

static double sign_float(const ScEval *e, const double *x)
{
    (void)e;
    return x[0] > 0 ? 1 : x[0] < 0 ? -1 : x[0]; /* zeros and NaN as they are */
}

static int64_t sign_int(const ScEval *e, const int64_t *x)
{
    bool has_sign = scrt_dtype_kind(e->in[0]->dtype) == SCRT_KIND_INT;
    return x[0] < 0 && has_sign ? -1 : x[0] != 0;
}

static bool eval_sign(ScEval *e)
{
    return sc_ops_map(e, sign_float, sign_int);
}

static void body_sign(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    ScX x = in[0], zero = sc_ops_num(b, x, 0), one = sc_ops_num(b, x, 1);
    (void)n;
    ScX below = SC_SELECT(b, SC_X2(b, LT, x, zero), SC_X1(b, NEG, one), x);
    ret_out[0] = SC_SELECT(b, SC_X2(b, LT, zero, x), one, below);
}

const ScOp sc_op_sign = {
    .name = "sign",
    .doc = "1, 0 or -1 as x is above, at or below 0",
    .onnx = {"", "Sign", 9},
    .in = "input: num",
    .out = "output: num",
    .infer = sc_infer_same,
    .scale = "a -> 0",
    .most = 1,
    .lower = {SC_MAP, body_sign},
    .eval = eval_sign,
};

/* --- Kinds ----------------------------------------------------------------------------------- */

UNARY_BODY(isnan, SC_X1(b, NOT, SC_X2(b, EQ, in[0], in[0])))
UNARY_EVAL(isnan, x != x)
const ScOp sc_op_isnan = {
    .name = "isnan",
    .doc = "whether x is NaN",
    .onnx = {"", "IsNaN", 9},
    .in = "X: float",
    .out = "Y: bool",
    .infer = sc_infer_compare,
    .scale = "a -> _",
    .lower = {SC_MAP, body_isnan},
    .eval = eval_isnan,
};

enum { NEGATIVE, POSITIVE };

static double infinite(const ScEval *e, const double *x)
{
    return (x[0] == -INFINITY && sc_attr(e->n, NEGATIVE)->i) ||
           (x[0] == INFINITY && sc_attr(e->n, POSITIVE)->i);
}

static bool eval_isinf(ScEval *e)
{
    return sc_ops_map(e, infinite, NULL);
}

static void body_isinf(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    bool negative = sc_attr(n, NEGATIVE)->i != 0, positive = sc_attr(n, POSITIVE)->i != 0;
    ScX x = negative && positive ? SC_X1(b, ABS, in[0]) : in[0];
    ScX at = sc_x_const(b, positive ? INFINITY : negative ? -INFINITY : NAN); /* NaN: never */
    ret_out[0] = SC_X2(b, EQ, x, at);
}

const ScOp sc_op_isinf = {
    .name = "isinf",
    .doc = "whether x is infinite",
    .onnx = {"", "IsInf", 10},
    .in = "X: float",
    .out = "Y: bool",
    .attr =
        {
            {.name = "detect_negative",
             .kind = SC_A_INT,
             .def = SC_INT(1),
             .doc = "-infinity counts"},
            {.name = "detect_positive",
             .kind = SC_A_INT,
             .def = SC_INT(1),
             .doc = "infinity counts"},
        },
    .n_attr = 2,
    .infer = sc_infer_compare,
    .scale = "a -> _",
    .lower = {SC_MAP, body_isinf},
    .eval = eval_isinf,
};
