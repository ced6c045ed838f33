/* SPDX-License-Identifier: Apache-2.0 */
/* Trigonometric and hyperbolic functions: rare in models, computed by libm, one row each. */
#include "ir/ops/ops_priv.h"

#define ROW(row, type, opset, lo, hi, ...)                                                         \
    {.name = #row,                                                                                 \
     .doc = "libm's " #row,                                                                        \
     .onnx = {"", type, opset},                                                                    \
     FLOAT_TO_FLOAT,                                                                               \
     .scale = "0 -> 0",                                                                            \
     .lower = {SC_MAP, body_##row},                                                                \
     .eval = eval_##row,                                                                           \
     .domain = {lo, hi},                                                                           \
     .max_ulp = 1,                                                                                 \
     __VA_ARGS__}

UNARY_BODY(sin, sc_x_libm1(b, SCRT_LIBM1_SIN, in[0]))
UNARY_EVAL(sin, sin(x))
const ScOp sc_op_sin = ROW(sin, "Sin", 7, -8, 8, .most = 1);

UNARY_BODY(cos, sc_x_libm1(b, SCRT_LIBM1_COS, in[0]))
UNARY_EVAL(cos, cos(x))
const ScOp sc_op_cos = ROW(cos, "Cos", 7, -8, 8, .most = 1);

UNARY_BODY(tan, sc_x_libm1(b, SCRT_LIBM1_TAN, in[0]))
UNARY_EVAL(tan, tan(x))
const ScOp sc_op_tan = ROW(tan, "Tan", 7, -1.5, 1.5);

UNARY_BODY(asin, sc_x_libm1(b, SCRT_LIBM1_ASIN, in[0]))
UNARY_EVAL(asin, asin(x))
const ScOp sc_op_asin = ROW(asin, "Asin", 7, -1, 1);

UNARY_BODY(acos, sc_x_libm1(b, SCRT_LIBM1_ACOS, in[0]))
UNARY_EVAL(acos, acos(x))
const ScOp sc_op_acos = ROW(acos, "Acos", 7, -1, 1);

UNARY_BODY(atan, sc_x_libm1(b, SCRT_LIBM1_ATAN, in[0]))
UNARY_EVAL(atan, atan(x))
const ScOp sc_op_atan = ROW(atan, "Atan", 7, -8, 8);

UNARY_BODY(sinh, sc_x_libm1(b, SCRT_LIBM1_SINH, in[0]))
UNARY_EVAL(sinh, sinh(x))
const ScOp sc_op_sinh = ROW(sinh, "Sinh", 9, -4, 4);

UNARY_BODY(cosh, sc_x_libm1(b, SCRT_LIBM1_COSH, in[0]))
UNARY_EVAL(cosh, cosh(x))
const ScOp sc_op_cosh = ROW(cosh, "Cosh", 9, -4, 4);

UNARY_BODY(asinh, sc_x_libm1(b, SCRT_LIBM1_ASINH, in[0]))
UNARY_EVAL(asinh, asinh(x))
const ScOp sc_op_asinh = ROW(asinh, "Asinh", 9, -8, 8);

UNARY_BODY(acosh, sc_x_libm1(b, SCRT_LIBM1_ACOSH, in[0]))
UNARY_EVAL(acosh, acosh(x))
const ScOp sc_op_acosh = ROW(acosh, "Acosh", 9, 1, 8);

UNARY_BODY(atanh, sc_x_libm1(b, SCRT_LIBM1_ATANH, in[0]))
UNARY_EVAL(atanh, atanh(x))
const ScOp sc_op_atanh = ROW(atanh, "Atanh", 9, -0.99, 0.99);
