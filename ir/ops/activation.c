/* SPDX-License-Identifier: Apache-2.0 */
/* Activations: what networks put between their products. One that is homogeneous keeps the scale;
 * one of the form x g(beta x) takes a temperature beta, 1 at import, which takes up x's exponent.
 */
#include "ir/ops/ops_priv.h"

#include <string.h>

/* --- leaky_relu ------------------------------------------------------------------------------ */

enum { ALPHA };

static double leaky_relu(const ScEval *e, const double *x)
{
    double alpha = sc_attr(e->n, ALPHA)->f;
    if (e->in[0]->dtype != SCRT_F64)
        alpha = (float)alpha; /* ONNX attributes are f32 */
    return x[0] < 0 ? alpha * x[0] : x[0];
}

static bool eval_leaky_relu(ScEval *e)
{
    return sc_ops_map(e, leaky_relu, NULL);
}

static void body_leaky_relu(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    ScX negative = SC_X2(b, LT, in[0], sc_x_const(b, 0));
    ScX scaled = SC_X2(b, MUL, in[0], sc_ops_const(b, sc_attr(n, ALPHA)->f));
    ret_out[0] = SC_SELECT(b, negative, scaled, in[0]);
}

static void top_leaky_relu(const ScTop *t)
{
    if (fabs(sc_attr(t->n, ALPHA)->f) <= 1)
        t->ret[0] = t->in[0];
}

const ScOp sc_op_leaky_relu = {
    .name = "leaky_relu",
    .doc = "x where it is not negative, else alpha x",
    .onnx = {"", "LeakyRelu", 6},
    .in = "X: float",
    .out = "Y: float",
    .attr = {{.name = "alpha", .kind = SC_A_FLOAT, .def = SC_FLOAT(0.01f), .doc = "the slope"}},
    .n_attr = 1,
    .infer = sc_infer_same,
    .scale = "a -> a",
    .growth = sc_ops_grow_relu, /* the negative half nearly vanishes */
    .top = top_leaky_relu,
    .lower = {SC_MAP, body_leaky_relu},
    .eval = eval_leaky_relu,
};

/* Of x about 1; what is left of the negative half is small. */
static void grow_swish(const ScGrow *g)
{
    if (g->ret[0] != SC_NO_G)
        g->ret[0] -= 179;
    g->ret_lean[0] = SC_LEANS;
}

/* --- gelu ------------------------------------------------------------------------------------ */

enum { X, BETA };
enum { APPROXIMATE };

static bool tanh_form(const ScAttr *a)
{
    return !strcmp(a->s, "tanh");
}

static bool infer_gelu(ScInfer *in)
{
    const ScAttr *form = &in->attr[APPROXIMATE];
    if (!tanh_form(form) && strcmp(form->s, "none"))
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "approximate is \"%s\", not none or tanh",
                             form->s);
    if (in->in[BETA]->rank != 0 || in->in[BETA]->dtype != in->in[X]->dtype)
        return sc_infer_fail(in, SC_E_TYPE, "beta must be a scalar of the input's type");
    return sc_infer_same(in);
}

static double gelu(const ScEval *e, const double *x)
{
    double u = x[X] * x[BETA];
    if (tanh_form(sc_attr(e->n, APPROXIMATE)))
        return x[X] * (0.5 * (1 + tanh(M_2_SQRTPI / M_SQRT2 * (u + 0.044715 * u * u * u))));
    return x[X] * (0.5 * erfc(-u / M_SQRT2));
}

static bool eval_gelu(ScEval *e)
{
    return sc_ops_map(e, gelu, NULL);
}

/* x times the normal distribution's cumulated density at beta x. */
static void expand_gelu(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                        ScVal *ret_out)
{
    (void)g;
    ScrtDtype t = sc_built(b, in[X])->type->dtype;
    ScVal u = sc_op(b, mul, in[X], in[BETA]), half = sc_const_scalar(b, t, 0.5), s;
    if (tanh_form(sc_attr(n, APPROXIMATE))) {
        ScVal cubic = sc_op(b, mul, sc_op(b, mul, u, u), sc_const_scalar(b, t, 0.044715));
        ScVal inner = sc_op(b, add, u, sc_op(b, mul, cubic, u));
        s = sc_op(b, tanh, sc_op(b, mul, inner, sc_const_scalar(b, t, M_2_SQRTPI / M_SQRT2)));
    } else {
        s = sc_op(b, erf, sc_op(b, mul, u, sc_const_scalar(b, t, M_SQRT1_2)));
    }
    ScVal phi = sc_op(b, mul, sc_op(b, add, s, sc_const_scalar(b, t, 1)), half);
    ret_out[0] = sc_op(b, mul, in[X], phi);
}

static uint32_t make_gelu(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    ScVal beta = sc_ops_input(b, "beta", SCRT_F32, 0, NULL);
    const char *form = sc_intern(b->cx, sc_ops_pick(r, 0, 1) ? "tanh" : "none");
    ret_out[0] = sc_op_at(b, gelu, SC_ATTRS(SC_STR(form)), x, beta);
    return 1;
}

const ScOp sc_op_gelu = {
    .name = "gelu",
    .doc = "x times the normal distribution at beta x",
    .onnx = {"", "Gelu", 20},
    .in = "X: float, beta: float",
    .out = "Y: float",
    .attr = {{.name = "approximate",
              .kind = SC_A_STR,
              .def = SC_STR("none"),
              .doc = "none, or tanh: the form with a hyperbolic tangent"}},
    .n_attr = 1,
    .infer = infer_gelu,
    .scale = "a, -a -> a",
    .top = sc_ops_top_first,
    .growth = grow_swish,
    .flags = SC_ROUNDS_ONCE,
    .expand = expand_gelu,
    .eval = eval_gelu,
    .domain = {-0.5, 2, make_gelu}, /* far below 0, 1 + erf cancels */
    .max_ulp = 8,
};

/* silu: x sigmoid(beta x), which gated networks use. */
static bool infer_silu(ScInfer *in)
{
    if (in->in[BETA]->rank != 0 || in->in[BETA]->dtype != in->in[X]->dtype)
        return sc_infer_fail(in, SC_E_TYPE, "beta must be a scalar of the input's type");
    return sc_infer_same(in);
}

static double silu(const ScEval *e, const double *x)
{
    (void)e;
    return x[X] / (1 + exp(-x[X] * x[BETA]));
}

static bool eval_silu(ScEval *e)
{
    return sc_ops_map(e, silu, NULL);
}

static void expand_silu(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                        ScVal *ret_out)
{
    (void)g;
    (void)n;
    ret_out[0] = sc_op(b, mul, in[X], sc_op(b, sigmoid, sc_op(b, mul, in[X], in[BETA])));
}

static uint32_t make_silu(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    ret_out[0] = sc_op(b, silu, x, sc_ops_input(b, "beta", SCRT_F32, 0, NULL));
    return 1;
}

const ScOp sc_op_silu = {
    .name = "silu",
    .doc = "x sigmoid(beta x)",
    .in = "X: float, beta: float",
    .out = "Y: float",
    .infer = infer_silu,
    .scale = "a, -a -> a",
    .top = sc_ops_top_first,
    .growth = grow_swish,
    .flags = SC_ROUNDS_ONCE,
    .expand = expand_silu,
    .eval = eval_silu,
    .domain = {-2, 2, make_silu},
    .max_ulp = 8,
};

/* --- prelu ----------------------------------------------------------------------------------- */

enum { SLOPE = 1 };

static bool infer_prelu(ScInfer *in)
{
    if (in->in[SLOPE]->dtype != in->in[X]->dtype)
        return sc_infer_fail(in, SC_E_TYPE, "X and slope must agree");
    return sc_infer_same(in) && sc_ops_repeats_to_result(in, SLOPE);
}

static double prelu(const ScEval *e, const double *x)
{
    (void)e;
    return x[X] < 0 ? x[SLOPE] * x[X] : x[X];
}

static int64_t prelu_int(const ScEval *e, const int64_t *x)
{
    bool below = scrt_dtype_kind(e->in[X]->dtype) == SCRT_KIND_INT && x[X] < 0;
    return below ? (int64_t)((uint64_t)x[SLOPE] * (uint64_t)x[X]) : x[X];
}

static bool eval_prelu(ScEval *e)
{
    return sc_ops_map(e, prelu, prelu_int);
}

static void body_prelu(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ScX negative = SC_X2(b, LT, in[X], sc_ops_num(b, in[X], 0));
    ret_out[0] = SC_SELECT(b, negative, SC_X2(b, MUL, in[SLOPE], in[X]), in[X]);
}

const ScOp sc_op_prelu = {
    .name = "prelu",
    .doc = "x where it is not negative, else slope x; slope broadcasts to x",
    .onnx = {"", "PRelu", 9},
    .in = "X: num, slope: num",
    .out = "Y: num",
    .infer = infer_prelu,
    .scale = "a, 0 -> a",
    .grow = {-0.5f},
    .lower = {SC_MAP, body_prelu},
    .eval = eval_prelu,
};
