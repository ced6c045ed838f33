/* SPDX-License-Identifier: Apache-2.0 */
/* Layer, root mean square and batch normalisation. */
#include "ir/ops/ops_priv.h"

enum { X, SCALE, BIAS, EPS }; /* of layernorm */
enum { Y, MEAN, INV };
enum { AXIS };

/* Statistics are kept in f32, or f64 where x is f64. */
static ScrtDtype stats_dtype(ScrtDtype x)
{
    return x == SCRT_F64 ? SCRT_F64 : SCRT_F32;
}

static bool infer_layernorm(ScInfer *in)
{
    const ScType *x = in->in[X], *eps = in->in[EPS];
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t axis;
    if (!sc_axis(in, in->attr[AXIS].i, x->rank, &axis))
        return false;
    in->ret[Y] = x;
    for (uint32_t i = SCALE; i <= BIAS; i++) {
        if (in->in[i]->kind == SC_TYPE_ABSENT)
            continue;
        if (in->in[i]->dtype != x->dtype)
            return sc_infer_fail(in, SC_E_TYPE, "X, Scale and B must agree");
        if (!sc_ops_repeats_to_result(in, i))
            return false;
    }
    if (eps->rank != 0 || eps->dtype != stats_dtype(x->dtype))
        return sc_infer_fail(in, SC_E_TYPE, "epsilon must be a scalar of type %s",
                             scrt_dtype_name(stats_dtype(x->dtype)));
    for (uint32_t d = 0; d < x->rank; d++)
        dim[d] = d < axis ? x->dim[d] : sc_term(in->cx, 1);
    for (uint32_t i = MEAN; i < in->n_out; i++)
        in->ret[i] = sc_type(in->cx, stats_dtype(x->dtype), x->rank, dim);
    return true;
}

static void expand_layernorm(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                             ScVal *ret_out)
{
    (void)g;
    const ScType *t = sc_built(b, in[X])->type;
    int64_t axis[SCRT_MAX_RANK];
    if (t->kind == SC_TYPE_POISON) {
        for (uint32_t i = 0; i < n->n_out; i++)
            ret_out[i] = SC_POISON;
        return;
    }
    uint32_t first = sc_ops_axis(sc_attr(n, AXIS)->i, t->rank), n_axis = t->rank - first;
    for (uint32_t i = 0; i < n_axis; i++)
        axis[i] = first + i;
    ScAttr *over = SC_ATTRS(SC_INTS(n_axis, axis), SC_INT(1));
    ScVal mean = sc_op_at(b, reduce_mean, over, in[X]);
    ScVal d = sc_op(b, sub, in[X], mean);
    ScVal var = sc_op_at(b, reduce_mean, over, sc_op(b, mul, d, d));
    ScVal inv = sc_op(b, reciprocal, sc_op(b, sqrt, sc_op(b, add, var, in[EPS])));
    ScVal y = sc_op(b, mul, sc_op(b, mul, d, inv), in[SCALE]);
    ScVal all[] = {in[BIAS] == SC_ABSENT ? y : sc_op(b, add, y, in[BIAS]), mean, inv};
    for (uint32_t i = 0; i < n->n_out; i++)
        ret_out[i] = all[i];
}

/* What one row of n elements, at x, becomes. */
static void normalise(ScEval *e, const double *x, int64_t row, int64_t n, double *const param[2],
                      const int64_t *const at[2], double eps)
{
    double mean = n ? 0 : NAN, var = mean; /* of nothing there is none */
    for (int64_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean) / (double)n;
    double inv = 1 / sqrt(var + eps);
    for (int64_t i = 0; i < n; i++) {
        int64_t k = row * n + i;
        double y = (x[i] - mean) * inv * param[0][at[0][k]];
        sc_ops_store(&e->out[Y], k, param[1] ? y + param[1][at[1][k]] : y);
    }
    if (e->n->n_out > MEAN)
        sc_ops_store(&e->out[MEAN], row, mean);
    if (e->n->n_out > INV)
        sc_ops_store(&e->out[INV], row, inv);
}

static bool eval_layernorm(ScEval *e)
{
    const ScrtTensor *x = e->in[X];
    ScArena *a = sc_arena_new();
    uint32_t axis = sc_ops_axis(sc_attr(e->n, AXIS)->i, x->rank);
    int64_t rows = 1, n = 1, count = scrt_count(x), *at[2] = {NULL, NULL};
    double *v = sc_ops_doubles(a, x), eps = *sc_ops_doubles(a, e->in[EPS]);
    double *param[2] = {NULL, NULL};
    for (uint32_t d = 0; d < x->rank; d++)
        *(d < axis ? &rows : &n) *= x->dims[d];
    for (uint32_t p = 0; p < 2; p++) { /* gamma and beta broadcast to x */
        int64_t stride[SCRT_MAX_RANK], idx[SCRT_MAX_RANK] = {0};
        if (!e->in[SCALE + p])
            continue;
        param[p] = sc_ops_doubles(a, e->in[SCALE + p]);
        at[p] = sc_array(a, int64_t, (size_t)count + 1);
        sc_ops_strides(e->in[SCALE + p], x->rank, stride);
        for (int64_t i = 0; i < count; i++, sc_ops_next(x->rank, x->dims, idx))
            at[p][i] = sc_ops_at(x->rank, idx, stride);
    }
    for (int64_t row = 0; row < rows; row++)
        normalise(e, v + row * n, row, n, param, (const int64_t *const *)at, eps);
    sc_arena_free(a);
    return true;
}

static uint32_t make_layernorm(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims), axis = sc_ops_pick(r, 0, rank - 1);
    dims[axis] += 3; /* of very few elements the deviations cancel */
    ScVal in[4] = {
        sc_ops_input(b, "x", SCRT_F32, rank, dims),
        sc_ops_input(b, "scale", SCRT_F32, rank - axis, dims + axis),
        sc_ops_pick(r, 0, 1) ? sc_ops_input(b, "bias", SCRT_F32, rank - axis, dims + axis)
                             : SC_ABSENT,
        sc_ops_input(b, "eps", SCRT_F32, 0, NULL),
    };
    sc_node(b, &sc_op_layernorm, SC_ATTRS(SC_INT(axis)), NULL, 4, in, 3, ret_out);
    return 3;
}

const ScOp sc_op_layernorm = {
    .name = "layernorm",
    .doc = "x less its mean, over its deviation, times scale plus B, over the axes from `axis` on",
    .onnx = {"", "LayerNormalization", 17},
    .in = "X: float, Scale: float, B?: float, epsilon: float",
    .out = "Y: float, Mean?: float, InvStdDev?: float",
    .attr = {{.name = "axis", .kind = SC_A_INT, .def = SC_INT(-1), .doc = "the first of the axes"}},
    .n_attr = 1,
    .infer = infer_layernorm,
    .scale = "a, s, s, 2a -> s, a, -a",
    .flags = SC_ROUNDS_ONCE,
    .expand = expand_layernorm,
    .eval = eval_layernorm,
    .domain = {0.125, 4, make_layernorm},
    .max_ulp = 8,
};

/* --- rmsnorm --------------------------------------------------------------------------------- */

enum { R_EPS = 2 };

static bool infer_rmsnorm(ScInfer *in)
{
    const ScType *x = in->in[X], *eps = in->in[R_EPS];
    uint32_t axis;
    if (!sc_axis(in, in->attr[AXIS].i, x->rank, &axis))
        return false;
    in->ret[Y] = x;
    if (in->in[SCALE]->dtype != x->dtype)
        return sc_infer_fail(in, SC_E_TYPE, "X and scale must agree");
    if (eps->rank != 0 || eps->dtype != stats_dtype(x->dtype))
        return sc_infer_fail(in, SC_E_TYPE, "epsilon must be a scalar of type %s",
                             scrt_dtype_name(stats_dtype(x->dtype)));
    return sc_ops_fits_result(in, SCALE);
}

static void expand_rmsnorm(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                           ScVal *ret_out)
{
    const ScType *t = sc_type_of(g, n->in[X]);
    int64_t axis[SCRT_MAX_RANK];
    uint32_t first = sc_ops_axis(sc_attr(n, AXIS)->i, t->rank), n_axis = t->rank - first;
    for (uint32_t i = 0; i < n_axis; i++)
        axis[i] = first + i;
    ScAttr *over = SC_ATTRS(SC_INTS(n_axis, axis), SC_INT(1));
    ScVal square = sc_op_at(b, reduce_mean, over, sc_op(b, mul, in[X], in[X]));
    ScVal inv = sc_op(b, reciprocal, sc_op(b, sqrt, sc_op(b, add, square, in[R_EPS])));
    ret_out[0] = sc_op(b, mul, sc_op(b, mul, in[X], inv), in[SCALE]);
}

static bool eval_rmsnorm(ScEval *e)
{
    const ScrtTensor *x = e->in[X];
    ScArena *a = sc_arena_new();
    uint32_t axis = sc_ops_axis(sc_attr(e->n, AXIS)->i, x->rank);
    int64_t n = 1, count = scrt_count(x), idx[SCRT_MAX_RANK] = {0}, stride[SCRT_MAX_RANK];
    double *v = sc_ops_doubles(a, x), *scale = sc_ops_doubles(a, e->in[SCALE]), mean = 0;
    double eps = *sc_ops_doubles(a, e->in[R_EPS]);
    for (uint32_t d = axis; d < x->rank; d++)
        n *= x->dims[d];
    sc_ops_strides(e->in[SCALE], x->rank, stride);
    for (int64_t i = 0; i < count; i++, sc_ops_next(x->rank, x->dims, idx)) {
        for (int64_t k = i % n ? n : 0; k < n; k++) /* at the beginning of a row */
            mean = (k ? mean : 0) + v[i + k] * v[i + k] / (double)n;
        sc_ops_store(&e->out[Y], i,
                     v[i] / sqrt(mean + eps) * scale[sc_ops_at(x->rank, idx, stride)]);
    }
    sc_arena_free(a);
    return true;
}

static uint32_t make_rmsnorm(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims), axis = sc_ops_pick(r, 0, rank - 1);
    ScVal in[] = {sc_ops_input(b, "x", SCRT_F32, rank, dims),
                  sc_ops_input(b, "scale", SCRT_F32, rank - axis, dims + axis),
                  sc_ops_input(b, "eps", SCRT_F32, 0, NULL)};
    ret_out[0] = sc_node1(b, &sc_op_rmsnorm, SC_ATTRS(SC_INT(axis)), 3, in);
    return 1;
}

const ScOp sc_op_rmsnorm = {
    .name = "rmsnorm",
    .doc = "x over its root mean square, times scale, over the axes from `axis` on",
    .onnx = {"", "RMSNormalization", 23}, /* epsilon becomes an operand at import */
    .in = "X: float, scale: float, epsilon: float",
    .out = "Y: float",
    .attr = {{.name = "axis", .kind = SC_A_INT, .def = SC_INT(-1), .doc = "the first of the axes"}},
    .n_attr = 1,
    .infer = infer_rmsnorm,
    .scale = "a, s, 2a -> s",
    .flags = SC_ROUNDS_ONCE,
    .expand = expand_rmsnorm,
    .eval = eval_rmsnorm,
    .domain = {0.125, 4, make_rmsnorm},
    .max_ulp = 8,
};

/* --- batchnorm ------------------------------------------------------------------------------- */

enum { B_MEAN = 3, B_VAR, B_EPS };

static bool infer_batchnorm(ScInfer *in)
{
    const ScType *x = in->in[X];
    const ScTerm *dim[SCRT_MAX_RANK];
    if (x->rank < 2)
        return sc_infer_fail(in, SC_E_RANK, "the input must be [batch, channel, ...]");
    for (uint32_t d = 0; d < x->rank; d++)
        dim[d] = x->dim[d];
    for (uint32_t i = SCALE; i <= B_VAR; i++) {
        if (in->in[i]->dtype != x->dtype)
            return sc_infer_fail(in, SC_E_TYPE, "operand %u must have the input's type", i);
        if (in->in[i]->rank != 1 ||
            !sc_holds(in, SC_GUARD_EQUAL, dim[1], in->in[i]->dim[0], "channels and parameters"))
            return sc_infer_fail(in, SC_E_SHAPE, "operand %u must have an element a channel", i);
        dim[1] = sc_unified(dim[1], in->in[i]->dim[0]);
    }
    if (in->in[B_EPS]->rank != 0 || in->in[B_EPS]->dtype != x->dtype)
        return sc_infer_fail(in, SC_E_TYPE, "epsilon must be a scalar of the input's type");
    return sc_ops_result(in, x->dtype, x->rank, dim);
}

/* (x - mean) / sqrt(var + eps) * scale + B, where the parameters are one a channel. */
static void expand_batchnorm(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                             ScVal *ret_out)
{
    const ScType *x = sc_type_of(g, n->first);
    const ScTerm *dim[SCRT_MAX_RANK] = {x->dim[1]};
    ScVal p[B_EPS]; /* [channel, 1, ...], to broadcast */
    for (uint32_t d = 1; d + 1 < x->rank; d++)
        dim[d] = sc_term(b->cx, 1);
    for (uint32_t i = SCALE; i <= B_VAR; i++)
        p[i] = sc_op_at(b, reshape, SC_ATTRS(SC_TERMS(x->rank - 1, dim)), in[i]);
    ScVal deviation = sc_op(b, sqrt, sc_op(b, add, p[B_VAR], in[B_EPS]));
    ScVal factor = sc_op(b, div, p[SCALE], deviation);
    ScVal centred = sc_op(b, sub, in[X], p[B_MEAN]);
    ret_out[0] = sc_op(b, add, sc_op(b, mul, centred, factor), p[BIAS]);
}

static bool eval_batchnorm(ScEval *e)
{
    const ScrtTensor *x = e->in[X];
    ScArena *a = sc_arena_new();
    double *v = sc_ops_doubles(a, x), *p[B_EPS + 1];
    int64_t inner = 1, n = scrt_count(x);
    for (uint32_t i = SCALE; i <= B_EPS; i++)
        p[i] = sc_ops_doubles(a, e->in[i]);
    for (uint32_t d = 2; d < x->rank; d++)
        inner *= x->dims[d];
    for (int64_t i = 0; i < n; i++) {
        int64_t c = i / inner % x->dims[1];
        double z = (v[i] - p[B_MEAN][c]) / sqrt(p[B_VAR][c] + *p[B_EPS]);
        sc_ops_store(&e->out[0], i, z * p[SCALE][c] + p[BIAS][c]);
    }
    sc_arena_free(a);
    return true;
}

static uint32_t make_batchnorm(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const char *const name[] = {"x", "scale", "bias", "mean", "var", "eps"};
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 2, 4, dims);
    ScVal in[6] = {sc_ops_input(b, name[X], SCRT_F32, rank, dims)};
    for (uint32_t i = SCALE; i <= B_EPS; i++)
        in[i] = sc_ops_input(b, name[i], SCRT_F32, i < B_EPS, &dims[1]);
    ret_out[0] = sc_node1(b, &sc_op_batchnorm, NULL, 6, in);
    return 1;
}

/* The statistics are those of x: the result is as large as the scale. A mean of nothing but zeros
 * was never measured, and then the result is as large as x makes it. */
static void grow_batchnorm(const ScGrow *g)
{
    if (g->in[3] != SC_NO_G || g->in[0] == SC_NO_G || g->in[1] == SC_NO_G || g->in[4] == SC_NO_G)
        return;
    g->ret[0] = g->in[0] + g->in[1] - g->in[4] / 2;
    sc_ops_grow_bias(g, 2);
    g->ret_lean[0] = g->nonneg[1] ? g->lean[0] : 0;
}

const ScOp sc_op_batchnorm = {
    .name = "batchnorm",
    .doc = "(x - mean) / sqrt(var + epsilon) * scale + B, each one a channel",
    .onnx = {"", "BatchNormalization", 9}, /* epsilon becomes an operand at import */
    .in = "X: float, scale: float, B: float, mean: float, var: float, epsilon: float",
    .out = "Y: float",
    .infer = infer_batchnorm,
    .scale = "a, s, s, a, 2a, 2a -> s",
    .growth = grow_batchnorm,
    .flags = SC_ROUNDS_ONCE,
    .expand = expand_batchnorm,
    .eval = eval_batchnorm,
    .domain = {0.125, 4, make_batchnorm},
    .max_ulp = 8,
};
