/* SPDX-License-Identifier: Apache-2.0 */
/* Activations whose parameters are attributes in ONNX and operands here. */
#include "frontend/frontend_priv.h"

/* x sigmoid(alpha x). */
static bool swish(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    double alpha = im_float(n, "alpha", 1, &ok);
    if (!ok || !im_arity(n, 1, 1) || !IM_ONLY(n, "alpha"))
        return false;
    ScVal beta = im_scalar(n, im_type(n, 0)->dtype, alpha);
    return im_answer(sc_op(&n->im->b, silu, im_in(n, 0), beta), ret_out);
}

/* The swish of the first operand times the second, of the same shape. */
static bool swiglu(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    double alpha = im_float(n, "alpha", 1, &ok);
    if (!ok || !im_arity(n, 2, 2) || !IM_ONLY(n, "alpha"))
        return false;
    ScVal beta = im_scalar(n, im_type(n, 0)->dtype, alpha);
    return im_answer(sc_op(b, mul, sc_op(b, silu, im_in(n, 0), beta), im_in(n, 1)), ret_out);
}

/* x + bias below -lambd, x - bias above lambd, else 0. */
static bool shrink(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    double bias = im_float(n, "bias", 0, &ok), lambd = im_float(n, "lambd", 0.5, &ok);
    if (!ok || !im_arity(n, 1, 1) || !IM_ONLY(n, "bias", "lambd"))
        return false;
    ScrtDtype t = im_type(n, 0)->dtype, in = scrt_dtype_is_float(t) ? t : SCRT_F64;
    ScVal x = im_cast(n, im_in(n, 0), in), by = im_scalar(n, in, bias);
    ScVal low = sc_op(b, less, x, im_scalar(n, in, -lambd));
    ScVal high = sc_op(b, greater, x, im_scalar(n, in, lambd));
    ScVal y = sc_op(b, where, high, sc_op(b, sub, x, by), im_scalar(n, in, 0));
    return im_answer(im_cast(n, sc_op(b, where, low, sc_op(b, add, x, by), y), t), ret_out);
}

const ImAdapter im_gate_adapters[] = {
    {"", "Swish", 24, 0, swish, 1},
    {"", "SwiGLU", 28, 0, swiglu, 1},
    {"", "Shrink", 9, 0, shrink, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
