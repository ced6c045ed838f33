/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic of two or more numbers, broadcast. On i64 they compute shapes, so their content is
 * followed as terms. */
#include "ir/ops/ops_priv.h"

/* Evaluation and body of a row, from one expression for floats (x, y) and one for integers. */
#define EVAL(name, on_float, on_int)                                                               \
    static double name##_float(const ScEval *e, const double *v)                                   \
    {                                                                                              \
        (void)e;                                                                                   \
        const double x = v[0], y = v[1];                                                           \
        return (on_float);                                                                         \
    }                                                                                              \
    static int64_t name##_int(const ScEval *e, const int64_t *v)                                   \
    {                                                                                              \
        (void)e;                                                                                   \
        const uint64_t x = (uint64_t)v[0], y = (uint64_t)v[1]; /* wraps */                         \
        return (int64_t)(on_int);                                                                  \
    }                                                                                              \
    static bool eval_##name(ScEval *e)                                                             \
    {                                                                                              \
        return sc_ops_map(e, name##_float, name##_int);                                            \
    }
#define BODY(name, instruction)                                                                    \
    static void body_##name(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)               \
    {                                                                                              \
        (void)n;                                                                                   \
        ret_out[0] = SC_X2(b, instruction, in[0], in[1]);                                          \
    }
/* Inference of a row whose content a function of terms gives. */
#define INFER(name, term)                                                                          \
    static const ScTerm *name##_term(ScCtx *cx, const ScTerm *const *x)                            \
    {                                                                                              \
        return (term);                                                                             \
    }                                                                                              \
    static bool infer_##name(ScInfer *in)                                                          \
    {                                                                                              \
        return sc_infer_broadcast(in) && sc_ops_content(in, name##_term);                          \
    }

EVAL(add, x + y, x + y)
BODY(add, ADD)
INFER(add, sc_term_add(cx, x[0], x[1]))
const ScOp sc_op_add = {
    .name = "add",
    .doc = "a + b",
    .onnx = {"", "Add", 7},
    .in = "A: num, B: num",
    .out = "C: num",
    .flags = SC_COMMUTES,
    .infer = infer_add,
    .scale = "a... -> a",
    .top = sc_ops_top_add,
    .growth = sc_ops_grow_add,
    .lower = {SC_MAP, body_add},
    .eval = eval_add,
};

EVAL(sub, x - y, x - y)
BODY(sub, SUB)
INFER(sub, sc_term_sub(cx, x[0], x[1]))
const ScOp sc_op_sub = {
    .name = "sub",
    .doc = "a - b",
    .onnx = {"", "Sub", 7},
    .in = "A: num, B: num",
    .out = "C: num",
    .infer = infer_sub,
    .scale = "a... -> a",
    .top = sc_ops_top_add,
    .growth = sc_ops_grow_add,
    .lower = {SC_MAP, body_sub},
    .eval = eval_sub,
};

EVAL(mul, x *y, x *y)
BODY(mul, MUL)
INFER(mul, sc_term_mul(cx, x[0], x[1]))
static void grow_mul(const ScGrow *g)
{
    for (uint32_t i = 0; i < 2; i++)
        if (g->nonneg[i] && g->lean[!i] > g->ret_lean[0])
            g->ret_lean[0] = g->lean[!i];
}

static void top_mul(const ScTop *t)
{
    if (t->in[0] != SC_NO_TOP && t->in[1] != SC_NO_TOP)
        t->ret[0] = t->in[0] + t->in[1];
}

const ScOp sc_op_mul = {
    .name = "mul",
    .doc = "a * b",
    .onnx = {"", "Mul", 7},
    .in = "A: num, B: num",
    .out = "C: num",
    .flags = SC_COMMUTES | SC_ANY_SINGLE | SC_ANY_PRODUCT | SC_SQUARES,
    .infer = infer_mul,
    .scale = "a, b -> a+b",
    .growth = grow_mul,
    .top = top_mul,
    .lower = {SC_MAP, body_mul},
    .eval = eval_mul,
};

/* Integers divide toward zero; by zero they give 0, and the least by -1 wraps, because a compiled
 * model must not trap. */
static int64_t divide(const ScEval *e, const int64_t *v)
{
    if (v[1] == 0)
        return 0;
    if (scrt_dtype_kind(e->in[0]->dtype) == SCRT_KIND_UINT)
        return (int64_t)((uint64_t)v[0] / (uint64_t)v[1]);
    return v[1] == -1 ? (int64_t)(0 - (uint64_t)v[0]) : v[0] / v[1];
}

static double quotient(const ScEval *e, const double *x)
{
    (void)e;
    return x[0] / x[1];
}

static bool eval_div(ScEval *e)
{
    return sc_ops_map(e, quotient, divide);
}

static void body_div(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    if (b->ins[in[0]].type == SC_XF) {
        ret_out[0] = SC_X2(b, DIV, in[0], in[1]);
        return;
    }
    ScX zero = sc_x_int(b, 0), by0 = SC_X2(b, EQ, in[1], zero), bad = by0, other = zero;
    if (scrt_dtype_kind(b->compute) == SCRT_KIND_INT) {
        ScX by_1 = SC_X2(b, EQ, in[1], sc_x_int(b, -1));
        bad = SC_X2(b, OR, by0, by_1);
        other = SC_SELECT(b, by_1, SC_X1(b, NEG, in[0]), zero);
    }
    ScX divisor = SC_SELECT(b, bad, sc_x_int(b, 1), in[1]);
    ret_out[0] = SC_SELECT(b, bad, other, SC_X2(b, DIV, in[0], divisor));
}

/* Division of terms rounds down, of i64 toward zero: the same where nothing is negative. */
static const ScTerm *div_term(ScCtx *cx, const ScTerm *const *x)
{
    int64_t a, b;
    if (sc_term_const(x[0], &a) && sc_term_const(x[1], &b))
        return b == 0 || b == -1 ? NULL : sc_term(cx, a / b);
    bool exact = sc_ops_nonneg(cx, x[0]) && sc_term_const(x[1], &b) && b > 0;
    return exact ? sc_term_fdiv(cx, x[0], x[1]) : NULL;
}

static bool infer_div(ScInfer *in)
{
    return sc_infer_broadcast(in) && sc_ops_content(in, div_term);
}

static void top_div(const ScTop *t)
{
    if (t->in[0] != SC_NO_TOP && t->least[1] != SC_NO_TOP)
        t->ret[0] = t->in[0] - t->least[1];
}

const ScOp sc_op_div = {
    .name = "div",
    .doc = "a / b; integers toward zero",
    .onnx = {"", "Div", 7},
    .in = "A: num, B: num",
    .out = "C: num",
    .infer = infer_div,
    .scale = "a, b -> a-b",
    .top = top_div,
    .lower = {SC_MAP, body_div},
    .eval = eval_div,
    .domain = {0.125, 4},
};

/* --- Any number of operands ------------------------------------------------------------------ */

static bool before(const ScEval *e, int64_t x, int64_t y)
{
    return scrt_dtype_kind(e->in[0]->dtype) == SCRT_KIND_UINT ? (uint64_t)x < (uint64_t)y : x < y;
}

/* The first NaN stays; of equal ones (0 and -0) the later is taken, as SC_X_MAX says. */
static double max_float(const ScEval *e, const double *x)
{
    double y = x[0];
    for (uint32_t i = 1; i < e->n->n_in; i++)
        y = y > x[i] || y != y ? y : x[i];
    return y;
}

static int64_t max_int(const ScEval *e, const int64_t *x)
{
    int64_t y = x[0];
    for (uint32_t i = 1; i < e->n->n_in; i++)
        y = before(e, y, x[i]) ? x[i] : y;
    return y;
}

static bool eval_max(ScEval *e)
{
    return sc_ops_map(e, max_float, max_int);
}

static double min_float(const ScEval *e, const double *x)
{
    double y = x[0];
    for (uint32_t i = 1; i < e->n->n_in; i++)
        y = y < x[i] || y != y ? y : x[i];
    return y;
}

static int64_t min_int(const ScEval *e, const int64_t *x)
{
    int64_t y = x[0];
    for (uint32_t i = 1; i < e->n->n_in; i++)
        y = before(e, x[i], y) ? x[i] : y;
    return y;
}

static bool eval_min(ScEval *e)
{
    return sc_ops_map(e, min_float, min_int);
}

static void chain(ScBody *b, ScXOp op, const ScNode *n, const ScX *in, ScX *ret_out)
{
    ret_out[0] = in[0];
    for (uint32_t i = 1; i < n->n_in; i++)
        ret_out[0] = sc_x(b, op, ret_out[0], in[i], 0);
}

static void body_max(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    chain(b, SC_X_MAX, n, in, ret_out);
}

static void body_min(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    chain(b, SC_X_MIN, n, in, ret_out);
}

/* Content for two operands, as exporters compute shapes with. */
static const ScTerm *max_term(ScCtx *cx, const ScTerm *const *x)
{
    return sc_term_max(cx, x[0], x[1]);
}

static bool infer_max(ScInfer *in)
{
    return sc_infer_broadcast(in) && (in->n_in != 2 || sc_ops_content(in, max_term));
}

static const ScTerm *min_term(ScCtx *cx, const ScTerm *const *x)
{
    return sc_term_min(cx, x[0], x[1]);
}

static bool infer_min(ScInfer *in)
{
    return sc_infer_broadcast(in) && (in->n_in != 2 || sc_ops_content(in, min_term));
}

const ScOp sc_op_max = {
    .name = "max",
    .doc = "the largest operand; NaN where one is NaN",
    .onnx = {"", "Max", 8},
    .in = "data_0...: num",
    .out = "max: num",
    .flags = SC_ANY_SINGLE,
    .infer = infer_max,
    .scale = "a... -> a",
    .top = sc_ops_top_through,
    .growth = sc_ops_grow_pick,
    .lower = {SC_MAP, body_max},
    .eval = eval_max,
};

/* The least of what is never negative lies below each operand. */
static void top_min(const ScTop *t)
{
    bool nonneg = true;
    int32_t least = SC_NO_TOP;
    for (uint32_t i = 0; i < t->n->n_in; i++) {
        nonneg = nonneg && t->nonneg[i];
        least = t->in[i] < least ? t->in[i] : least;
    }
    if (nonneg)
        t->ret[0] = least;
    else
        sc_ops_top_through(t);
}

const ScOp sc_op_min = {
    .name = "min",
    .doc = "the smallest operand; NaN where one is NaN",
    .onnx = {"", "Min", 8},
    .in = "data_0...: num",
    .out = "min: num",
    .flags = SC_ANY_SINGLE,
    .infer = infer_min,
    .scale = "a... -> a",
    .top = top_min,
    .growth = sc_ops_grow_pick,
    .lower = {SC_MAP, body_min},
    .eval = eval_min,
};

/* --- Powers ---------------------------------------------------------------------------------- */

/* The exponent may have a type of its own. A scale passes through a power only where the exponent
 * is known, and then the power is a product: simplify writes those as mul, sqrt, reciprocal. */
static bool infer_pow(ScInfer *in)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t rank;
    return sc_broadcast(in, in->in[0], in->in[1], &rank, dim) &&
           sc_ops_result(in, in->in[0]->dtype, rank, dim);
}

static double pow_float(const ScEval *e, const double *x)
{
    (void)e;
    return pow(x[0], x[1]);
}

static bool eval_pow(ScEval *e)
{
    return sc_ops_map(e, pow_float, NULL);
}

static void body_pow(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ScX y = b->ins[in[1]].type == SC_XF ? in[1] : SC_X1(b, TOFLOAT, in[1]);
    ret_out[0] = sc_x_libm2(b, SCRT_LIBM2_POW, in[0], y);
}

const ScOp sc_op_pow = {
    .name = "pow",
    .doc = "x to the power y",
    .onnx = {"", "Pow", 7},
    .in = "X: float, Y: num",
    .out = "Z: float",
    .infer = infer_pow,
    .scale = "0, 0 -> 0",
    .lower = {SC_MAP, body_pow},
    .eval = eval_pow,
    .domain = {0.125, 3},
    .max_ulp = 1,
};
