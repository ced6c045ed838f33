/* SPDX-License-Identifier: Apache-2.0 */
/* Activations that mix x with an exponential or with a bound of their own, so that a scale does not
 * pass. */
#include "ir/ops/ops_priv.h"

enum { ALPHA, BETA };
#define ALPHA_ATTR(value)                                                                          \
    {.name = "alpha", .kind = SC_A_FLOAT, .def = SC_FLOAT(value), .doc = "alpha"}

/* An attribute as f32 code has it: ONNX attributes are f32. */
static double param(const ScEval *e, uint32_t i)
{
    double v = sc_attr(e->n, i)->f;
    return e->in[0]->dtype == SCRT_F64 ? v : (double)(float)v;
}

static ScX param_x(ScBody *b, const ScNode *n, uint32_t i)
{
    return sc_ops_const(b, sc_attr(n, i)->f);
}

/* --- elu, selu, celu ------------------------------------------------------------------------- */

/* Most of x is kept: all that is positive, some of what is not. */
static void grow_kept(const ScGrow *g)
{
    if (g->in[0] != SC_NO_G)
        g->ret[0] = g->in[0] - 77;
    g->ret_lean[0] = g->lean[0] > 128 ? g->lean[0] : 128;
}

static double elu(const ScEval *e, const double *x)
{
    return x[0] < 0 ? param(e, ALPHA) * expm1(x[0]) : x[0];
}

static bool eval_elu(ScEval *e)
{
    return sc_ops_map(e, elu, NULL);
}

static void body_elu(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    ScX below = SC_X2(b, MUL, param_x(b, n, ALPHA), sc_x_expm1(b, in[0]));
    ret_out[0] = SC_SELECT(b, SC_X2(b, LT, in[0], sc_x_const(b, 0)), below, in[0]);
}

const ScOp sc_op_elu = {
    .name = "elu",
    .doc = "x where it is not negative, else alpha (e^x - 1)",
    .onnx = {"", "Elu", 6},
    FLOAT_TO_FLOAT,
    .attr = {ALPHA_ATTR(1)},
    .n_attr = 1,
    .scale = "0 -> 0",
    .growth = grow_kept,
    .lower = {SC_MAP, body_elu},
    .eval = eval_elu,
    .max_ulp = 4,
};

enum { GAMMA = 1 };

static double selu(const ScEval *e, const double *x)
{
    double y = x[0] > 0 ? x[0] : param(e, ALPHA) * expm1(x[0]);
    return param(e, GAMMA) * y;
}

static bool eval_selu(ScEval *e)
{
    return sc_ops_map(e, selu, NULL);
}

static void body_selu(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    ScX below = SC_X2(b, MUL, param_x(b, n, ALPHA), sc_x_expm1(b, in[0]));
    ScX y = SC_SELECT(b, SC_X2(b, LT, sc_x_const(b, 0), in[0]), in[0], below);
    ret_out[0] = SC_X2(b, MUL, param_x(b, n, GAMMA), y);
}

const ScOp sc_op_selu = {
    .name = "selu",
    .doc = "gamma x where it is positive, else gamma alpha (e^x - 1)",
    .onnx = {"", "Selu", 6},
    FLOAT_TO_FLOAT,
    /* The defaults of ONNX Selu. */
    .attr = {ALPHA_ATTR(1.67326319217681884765625),
             {.name = "gamma",
              .kind = SC_A_FLOAT,
              .def = SC_FLOAT(1.05070102214813232421875),
              .doc = "gamma"}},
    .n_attr = 2,
    .scale = "0 -> 0",
    .growth = grow_kept,
    .lower = {SC_MAP, body_selu},
    .eval = eval_selu,
    .max_ulp = 4,
};

static double celu(const ScEval *e, const double *x)
{
    double alpha = param(e, ALPHA);
    return x[0] < 0 ? alpha * expm1(x[0] / alpha) : x[0];
}

static bool eval_celu(ScEval *e)
{
    return sc_ops_map(e, celu, NULL);
}

static void body_celu(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    ScX alpha = param_x(b, n, ALPHA);
    ScX below = SC_X2(b, MUL, alpha, sc_x_expm1(b, SC_X2(b, DIV, in[0], alpha)));
    ret_out[0] = SC_SELECT(b, SC_X2(b, LT, in[0], sc_x_const(b, 0)), below, in[0]);
}

const ScOp sc_op_celu = {
    .name = "celu",
    .doc = "x where it is not negative, else alpha (e^(x / alpha) - 1)",
    .onnx = {"", "Celu", 12},
    FLOAT_TO_FLOAT,
    .attr = {ALPHA_ATTR(1)},
    .n_attr = 1,
    .scale = "0 -> 0",
    .growth = grow_kept,
    .lower = {SC_MAP, body_celu},
    .eval = eval_celu,
    .max_ulp = 4,
};

/* --- softplus, softsign, thresholded_relu ---------------------------------------------------- */

UNARY_EVAL(softplus, (x > 0 ? x : 0) + log1p(exp(-fabs(x))))

/* log(1 + e) for e = e^-|x|: with u = 1 + e rounded, log(u) e / (u - 1) corrects what the rounding
 * did (W. Kahan); e itself where nothing is left of it in u. */
static void body_softplus(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ScX x = in[0], zero = sc_x_const(b, 0), one = sc_x_const(b, 1);
    ScX e = sc_x_exp(b, SC_X1(b, NEG, SC_X1(b, ABS, x)));
    ScX u = SC_X2(b, ADD, one, e), rest = SC_X2(b, SUB, u, one);
    ScX log1p = SC_X2(b, DIV, SC_X2(b, MUL, sc_x_log(b, u), e), rest);
    log1p = SC_SELECT(b, SC_X2(b, EQ, rest, zero), e, log1p);
    ret_out[0] = SC_X2(b, ADD, SC_SELECT(b, SC_X2(b, LT, zero, x), x, zero), log1p);
}

const ScOp sc_op_softplus = {
    .name = "softplus",
    .doc = "log(1 + e^x)",
    .onnx = {"", "Softplus", 1},
    FLOAT_TO_FLOAT,
    .flags = SC_NONNEG,
    .scale = "0 -> 0",
    .lower = {SC_MAP, body_softplus},
    .eval = eval_softplus,
    .max_ulp = 5,
};

UNARY_BODY(softsign, SC_X2(b, DIV, in[0], SC_X2(b, ADD, sc_x_const(b, 1), SC_X1(b, ABS, in[0]))))
UNARY_EVAL(softsign, x / (1 + fabs(x)))
const ScOp sc_op_softsign = {
    .name = "softsign",
    .doc = "x / (1 + |x|)",
    .onnx = {"", "Softsign", 1},
    FLOAT_TO_FLOAT,
    .scale = "0 -> 0",
    .growth = sc_ops_grow_bend,
    .most = 1,
    .lower = {SC_MAP, body_softsign},
    .eval = eval_softsign,
    .max_ulp = 2,
};

static double thresholded_relu(const ScEval *e, const double *x)
{
    return x[0] > param(e, ALPHA) ? x[0] : 0;
}

static bool eval_thresholded_relu(ScEval *e)
{
    return sc_ops_map(e, thresholded_relu, NULL);
}

static void body_thresholded_relu(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    ScX above = SC_X2(b, LT, param_x(b, n, ALPHA), in[0]);
    ret_out[0] = SC_SELECT(b, above, in[0], sc_x_const(b, 0));
}

const ScOp sc_op_thresholded_relu = {
    .name = "thresholded_relu",
    .doc = "x where it is above alpha, else 0",
    .onnx = {"", "ThresholdedRelu", 10},
    FLOAT_TO_FLOAT,
    .attr = {ALPHA_ATTR(1)},
    .n_attr = 1,
    .scale = "0 -> 0",
    .growth = grow_kept,
    .top = sc_ops_top_first,
    .lower = {SC_MAP, body_thresholded_relu},
    .eval = eval_thresholded_relu,
};

/* --- Compositions ---------------------------------------------------------------------------- */

static double hard(double x, double alpha, double beta)
{
    double y = alpha * x + beta;
    return y < 0 ? 0 : y > 1 ? 1 : y;
}

static double hard_sigmoid(const ScEval *e, const double *x)
{
    return hard(x[0], param(e, ALPHA), param(e, BETA));
}

static bool eval_hard_sigmoid(ScEval *e)
{
    return sc_ops_map(e, hard_sigmoid, NULL);
}

static ScVal build_hard(ScBuild *b, ScVal x, double alpha, double beta)
{
    ScrtDtype t = sc_built(b, x)->type->dtype;
    ScVal scaled = sc_op(b, mul, x, sc_const_scalar(b, t, alpha));
    ScVal y = sc_op(b, add, scaled, sc_const_scalar(b, t, beta));
    return sc_op(b, clip, y, sc_const_scalar(b, t, 0), sc_const_scalar(b, t, 1));
}

static void expand_hard_sigmoid(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                                ScVal *ret_out)
{
    (void)g;
    ret_out[0] = build_hard(b, in[0], sc_attr(n, ALPHA)->f, sc_attr(n, BETA)->f);
}

const ScOp sc_op_hard_sigmoid = {
    .name = "hard_sigmoid",
    .doc = "alpha x + beta, bounded to [0, 1]",
    .onnx = {"", "HardSigmoid", 6},
    FLOAT_TO_FLOAT,
    .attr = {ALPHA_ATTR(0.2f),
             {.name = "beta", .kind = SC_A_FLOAT, .def = SC_FLOAT(0.5), .doc = "beta"}},
    .n_attr = 2,
    .flags = SC_NONNEG | SC_ROUNDS_ONCE,
    .scale = "0 -> 0",
    .grow = {-0.9f}, /* a half and what x about 1 adds */
    .most = 1,
    .expand = expand_hard_sigmoid,
    .eval = eval_hard_sigmoid,
    .domain = {-1.5, 4}, /* near its zero the sum cancels */
    .max_ulp = 2,
};

UNARY_EVAL(hard_swish, x *hard(x, (double)(1 / 6.0f), 0.5))

static void expand_hard_swish(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                              ScVal *ret_out)
{
    (void)g;
    (void)n;
    ret_out[0] = sc_op(b, mul, in[0], build_hard(b, in[0], (double)(1 / 6.0f), 0.5));
}

const ScOp sc_op_hard_swish = {
    .name = "hard_swish",
    .doc = "x times x / 6 + 1/2 bounded to [0, 1]",
    .onnx = {"", "HardSwish", 14},
    FLOAT_TO_FLOAT,
    .scale = "0 -> 0",
    .growth = sc_ops_grow_gate,
    .top = sc_ops_top_first,
    .flags = SC_ROUNDS_ONCE,
    .expand = expand_hard_swish,
    .eval = eval_hard_swish,
    .domain = {-1.5, 4}, /* near its zero the sum cancels */
    .max_ulp = 4,
};

UNARY_EVAL(mish, x *tanh((x > 0 ? x : 0) + log1p(exp(-fabs(x)))))

static void expand_mish(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                        ScVal *ret_out)
{
    (void)g;
    (void)n;
    ret_out[0] = sc_op(b, mul, in[0], sc_op(b, tanh, sc_op(b, softplus, in[0])));
}

const ScOp sc_op_mish = {
    .name = "mish",
    .doc = "x tanh(log(1 + e^x))",
    .onnx = {"", "Mish", 18},
    FLOAT_TO_FLOAT,
    .scale = "0 -> 0",
    .growth = sc_ops_grow_gate,
    .top = sc_ops_top_first,
    .flags = SC_ROUNDS_ONCE,
    .expand = expand_mish,
    .eval = eval_mish,
    .max_ulp = 8,
};
