/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and its logarithm. */
#include "ir/ops/ops_priv.h"

enum { X, BETA };
enum { AXIS };

static bool infer_softmax(ScInfer *in)
{
    uint32_t axis;
    if (in->in[BETA]->rank != 0 || in->in[BETA]->dtype != in->in[X]->dtype)
        return sc_infer_fail(in, SC_E_TYPE, "beta must be a scalar of the input's type");
    return sc_axis(in, in->attr[AXIS].i, in->in[X]->rank, &axis) && sc_infer_same(in);
}

/* Of weights that sum to 1 over n places the RMS lies between 1/n and 1/sqrt n; taken as 1/n
 * rounded up to a power of two. */
static void grow_softmax(const ScGrow *g)
{
    const ScType *x = sc_ops_in(g, X);
    const ScTerm *n = x->dim[sc_ops_axis(sc_attr(g->n, AXIS)->i, x->rank)];
    const ScTerm *bits = sc_term_log2(g->g->cx, n);
    int64_t c = 0;
    if (!sc_term_const(bits, &c))
        g->ret_shift[0] = sc_term_scale(g->g->cx, bits, -1);
    g->ret[0] = (int32_t)(-256 * c);
}

/* Both rows: along each row, exp(y - top) over its sum, or the logarithm of that. */
static bool normalise(ScEval *e, bool logarithm)
{
    const ScrtTensor *x = e->in[X];
    ScArena *a = sc_arena_new();
    uint32_t axis = sc_ops_axis(sc_attr(e->n, AXIS)->i, x->rank);
    int64_t outer = 1, n = x->dims[axis], inner = 1;
    double *v = sc_ops_doubles(a, x), beta = *sc_ops_doubles(a, e->in[BETA]);
    for (uint32_t d = 0; d < x->rank; d++)
        *(d < axis ? &outer : &inner) *= d == axis ? 1 : x->dims[d];
    for (int64_t row = 0; row < outer * inner; row++) {
        int64_t at = row / inner * n * inner + row % inner;
        double top = -INFINITY, sum = 0;
        for (int64_t i = 0; i < n; i++) {
            double y = v[at + i * inner] *= beta;
            top = y > top || y != y ? y : top;
        }
        for (int64_t i = 0; i < n; i++)
            sum += exp(v[at + i * inner] - top);
        for (int64_t i = 0; i < n; i++) {
            double d = v[at + i * inner] - top;
            sc_ops_store(&e->out[0], at + i * inner, logarithm ? d - log(sum) : exp(d) / sum);
        }
    }
    sc_arena_free(a);
    return true;
}

static bool eval_softmax(ScEval *e)
{
    return normalise(e, false);
}

/* beta x less the largest of its row, so that no exp overflows. */
static ScVal centred(ScBuild *b, const ScAttr *over, const ScVal *in)
{
    ScVal y = sc_op(b, mul, in[X], in[BETA]);
    return sc_op(b, sub, y, sc_op_at(b, reduce_max, over, y));
}

static void expand_softmax(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                           ScVal *ret_out)
{
    (void)g;
    int64_t axis = sc_attr(n, AXIS)->i;
    ScAttr *over = SC_ATTRS(SC_INTS(1, &axis), SC_INT(1));
    ScVal d = centred(b, over, in);
    ScVal p = sc_op(b, exp, d);
    ret_out[0] = sc_op(b, div, p, sc_op_at(b, reduce_sum, over, p));
}

static uint32_t make(ScBuild *b, uint64_t *r, const ScOp *op, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    ScVal beta = sc_ops_input(b, "beta", SCRT_F32, 0, NULL);
    int64_t axis = (int64_t)sc_ops_pick(r, 0, 2 * rank - 1) - rank;
    ret_out[0] = sc_node1(b, op, SC_ATTRS(SC_INT(axis)), 2, (ScVal[]){x, beta});
    return 1;
}

static uint32_t make_softmax(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    return make(b, r, &sc_op_softmax, ret_out);
}

const ScOp sc_op_softmax = {
    .name = "softmax",
    .doc = "exp(beta x) over its sum along an axis",
    .onnx = {"", "Softmax", 13},
    .in = "input: float, beta: float", /* the temperature, 1 at import, takes up x's exponent */
    .out = "output: float",
    .attr = {{.name = "axis", .kind = SC_A_INT, .def = SC_INT(-1), .doc = "what sums to 1"}},
    .n_attr = 1,
    .flags = SC_NONNEG | SC_CONVEX | SC_MASK_ENDS | SC_ROUNDS_ONCE,
    .infer = infer_softmax,
    .scale = "a!, -a -> 0",
    .most = 1,
    .growth = grow_softmax,
    .expand = expand_softmax,
    .eval = eval_softmax,
    .domain = {-2, 2, make_softmax},
    .max_ulp = 4,
};

static bool eval_log_softmax(ScEval *e)
{
    return normalise(e, true);
}

static void expand_log_softmax(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                               ScVal *ret_out)
{
    (void)g;
    int64_t axis = sc_attr(n, AXIS)->i;
    ScAttr *over = SC_ATTRS(SC_INTS(1, &axis), SC_INT(1));
    ScVal d = centred(b, over, in);
    ScVal sum = sc_op_at(b, reduce_sum, over, sc_op(b, exp, d));
    ret_out[0] = sc_op(b, sub, d, sc_op(b, log, sum));
}

static uint32_t make_log_softmax(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    return make(b, r, &sc_op_log_softmax, ret_out);
}

const ScOp sc_op_log_softmax = {
    .name = "log_softmax",
    .doc = "the logarithm of softmax",
    .onnx = {"", "LogSoftmax", 13},
    .in = "input: float, beta: float",
    .out = "output: float",
    .attr = {{.name = "axis", .kind = SC_A_INT, .def = SC_INT(-1), .doc = "what is normalised"}},
    .n_attr = 1,
    .flags = SC_MASK_ENDS | SC_ROUNDS_ONCE,
    .infer = infer_softmax,
    .scale = "a!, -a -> 0",
    .expand = expand_log_softmax,
    .eval = eval_log_softmax,
    .domain = {-2, 2, make_log_softmax},
    .max_ulp = 8,
};
