/* SPDX-License-Identifier: Apache-2.0 */
/* Layer, group, instance and root mean square normalisation, as PyTorch, TensorFlow, JAX and
 * Hugging Face write them, over the last axes: over others the kernel of what is written out turns
 * its operands round by itself, which is faster than transposing them. Here d is x less its mean;
 * the deviation is sqrt(V + eps), where V is the mean of d squared, or of x squared, or the mean of
 * x squared less the square of the mean. */
#include <string.h>

#include "passes/match.h"

/* A normalisation without parameters. */
typedef struct Norm {
    const ScOp *op; /* layernorm or rmsnorm */
    ScVal x;
    uint32_t axis; /* the first of those that are normalised over, up to the last */
    double eps;
} Norm;

/* The axes are the last ones of x, from *ret_axis on. */
static bool trailing(const ScAttr *axes, uint32_t rank, uint32_t *ret_axis)
{
    uint32_t set = match_axes(axes, rank);
    *ret_axis = rank - axes->n;
    return axes->n > 0 && axes->n <= rank && set == ((1u << rank) - 1) - ((1u << *ret_axis) - 1);
}

static bool is_mean(ScMatch *m, ScVal v, ScVal x, const ScAttr *axes)
{
    const ScAttr *own;
    ScVal of;
    uint32_t rank = match_type(m, x)->rank;
    return match_reduces(m, v, &sc_op_reduce_mean, &of, &own) && of == x &&
           match_axes(own, rank) == match_axes(axes, rank);
}

/* v is *ret_x less its mean over these axes. */
static bool centred(ScMatch *m, ScVal v, const ScAttr *axes, ScVal *ret_x)
{
    ScNode n;
    if (!match_is(m, v, &sc_op_sub, &n) || !is_mean(m, n.in[1], n.in[0], axes))
        return false;
    *ret_x = n.in[0];
    return true;
}

/* v is the mean of the square of *ret. */
static bool mean_square(ScMatch *m, ScVal v, ScVal *ret, const ScAttr **ret_axes)
{
    ScVal square, base;
    ScNode n;
    if (!match_reduces(m, v, &sc_op_reduce_mean, &square, ret_axes))
        return false;
    if (match_is(m, square, &sc_op_mul, &n) && n.in[0] == n.in[1])
        base = n.in[0];
    else if (!match_with_const(m, square, &sc_op_pow, 2, &base))
        return false;
    *ret = base;
    return true;
}

/* v is mean(x x) - mean(x) mean(x), at least 0 or not. */
static bool difference(ScMatch *m, ScVal v, ScVal *ret_x, const ScAttr **ret_axes)
{
    ScNode n;
    ScVal inner, mean;
    if (match_with_const(m, v, &sc_op_max, 0, &inner) || match_is(m, v, &sc_op_relu, &n))
        v = sc_built_def(&m->b, v)->op == &sc_op_relu ? n.in[0] : inner;
    if (!match_is(m, v, &sc_op_sub, &n) || !mean_square(m, n.in[0], ret_x, ret_axes))
        return false;
    ScNode square;
    if (match_is(m, n.in[1], &sc_op_mul, &square) && square.in[0] == square.in[1])
        mean = square.in[0];
    else if (!match_with_const(m, n.in[1], &sc_op_pow, 2, &mean))
        return false;
    return is_mean(m, mean, *ret_x, *ret_axes);
}

/* v is sqrt(*ret + eps). */
static bool root(ScMatch *m, ScVal v, ScVal *ret, double *ret_eps)
{
    ScNode n, sum;
    if (!match_is(m, v, &sc_op_sqrt, &n) || !match_is(m, n.in[0], &sc_op_add, &sum))
        return false;
    for (uint32_t i = 0; i < 2; i++)
        if (sc_built_splat(&m->b, sum.in[1 - i], ret_eps)) {
            *ret = sum.in[i];
            return true;
        }
    return false;
}

/* top / deviation is a normalisation: of x where top is d, else of top itself. */
static bool normalises(ScMatch *m, ScVal top, ScVal deviation, Norm *ret)
{
    ScVal v, of;
    const ScAttr *axes;
    if (!root(m, deviation, &v, &ret->eps))
        return false;
    ret->op = &sc_op_layernorm;
    if (mean_square(m, v, &of, &axes) && of == top) {
        if (!centred(m, top, axes, &ret->x)) {
            ret->op = &sc_op_rmsnorm;
            ret->x = top;
        }
    } else if (!difference(m, v, &of, &axes) || !centred(m, top, axes, &ret->x) || ret->x != of) {
        return false;
    }
    return trailing(axes, match_type(m, ret->x)->rank, &ret->axis);
}

/* The parameter p broadcasts over the normalised axes alone, which are the last ones from axis on.
 */
static bool fits(const ScMatch *m, ScVal p, ScVal x, uint32_t axis)
{
    const ScType *t = match_type(m, p), *of = match_type(m, x);
    return t->kind == SC_TYPE_TENSOR && t->dtype == of->dtype && t->rank <= of->rank - axis;
}

static ScVal rows(ScMatch *m, const Norm *n, ScVal scale, ScVal bias)
{
    ScrtDtype t = match_type(m, n->x)->dtype, stats = t == SCRT_F64 ? SCRT_F64 : SCRT_F32;
    ScVal eps = sc_const_scalar(&m->b, stats, n->eps);
    scale = scale == SC_ABSENT ? sc_const_scalar(&m->b, t, 1) : scale;
    if (n->op == &sc_op_rmsnorm)
        return sc_op_at(&m->b, rmsnorm, SC_ATTRS(SC_INT(n->axis)), n->x, scale, eps);
    bias = bias == SC_ABSENT ? sc_const_scalar(&m->b, t, 0) : bias;
    return sc_op_at(&m->b, layernorm, SC_ATTRS(SC_INT(n->axis)), n->x, scale, bias, eps);
}

/* scale and bias: SC_ABSENT where there is none. Those of groups and instances, which are numbers
 * for the channels, come after the rows. */
static ScVal build(ScMatch *m, const Norm *n, ScVal scale, ScVal bias)
{
    if ((scale == SC_ABSENT || fits(m, scale, n->x, n->axis)) &&
        (bias == SC_ABSENT || fits(m, bias, n->x, n->axis)))
        return rows(m, n, scale, bias);
    ScVal y = rows(m, n, SC_ABSENT, SC_ABSENT);
    y = scale == SC_ABSENT ? y : sc_op(&m->b, mul, y, scale);
    return bias == SC_ABSENT ? y : sc_op(&m->b, add, y, bias);
}

/* top / deviation */
static ScVal divided(ScMatch *m)
{
    Norm n;
    match_begin(m);
    return normalises(m, m->in[0], m->in[1], &n) ? build(m, &n, SC_ABSENT, SC_ABSENT) : SC_POISON;
}

/* v is 1 / deviation, or that times *ret_scale; *ret_scale is SC_ABSENT for the first. */
static bool factor(ScMatch *m, ScVal v, ScVal *ret_deviation, ScVal *ret_scale)
{
    ScNode n;
    *ret_scale = SC_ABSENT;
    if (match_inverse(m, v, ret_deviation))
        return true;
    if (!match_is(m, v, &sc_op_mul, &n))
        return false;
    for (uint32_t i = 0; i < 2; i++)
        if (match_inverse(m, n.in[i], ret_deviation)) {
            *ret_scale = n.in[1 - i];
            return true;
        }
    return false;
}

/* top * (1 / deviation), or top * (1 / deviation * scale) as Flax has it */
static ScVal multiplied(ScMatch *m)
{
    Norm n;
    for (uint32_t i = 0; i < 2; i++) {
        ScVal deviation, scale;
        match_begin(m);
        if (factor(m, m->in[i], &deviation, &scale) && normalises(m, m->in[1 - i], deviation, &n))
            return build(m, &n, scale, SC_ABSENT);
    }
    return SC_POISON;
}

/* v is a times b. */
static bool is_product(ScMatch *m, ScVal v, ScVal a, ScVal b)
{
    ScNode n;
    return match_is(m, v, &sc_op_mul, &n) &&
           ((n.in[0] == a && n.in[1] == b) || (n.in[0] == b && n.in[1] == a));
}

/* x k + (beta - mean k), of k = 1 / deviation * gamma, as Keras has it: v is x k, rest the other.
 */
static ScVal distributed_of(ScMatch *m, ScVal v, ScVal rest)
{
    ScNode product, minus;
    if (!match_is(m, v, &sc_op_mul, &product) || !match_is(m, rest, &sc_op_sub, &minus))
        return SC_POISON;
    for (uint32_t i = 0; i < 2; i++) {
        ScVal x = product.in[1 - i], k = product.in[i], deviation, scale, variance, d, of;
        ScNode shift;
        const ScAttr *axes;
        Norm n = {.op = &sc_op_layernorm, .x = x};
        if (!factor(m, k, &deviation, &scale) || !root(m, deviation, &variance, &n.eps) ||
            !mean_square(m, variance, &d, &axes) || !centred(m, d, axes, &of) || of != x ||
            !match_is(m, minus.in[1], &sc_op_mul, &shift))
            continue;
        ScVal mean = shift.in[shift.in[0] == k];
        if (is_mean(m, mean, x, axes) && is_product(m, minus.in[1], mean, k) &&
            trailing(axes, match_type(m, x)->rank, &n.axis))
            return build(m, &n, scale, minus.in[0]);
    }
    return SC_POISON;
}

static ScVal distributed(ScMatch *m)
{
    ScVal v = SC_POISON;
    for (uint32_t i = 0; v == SC_POISON && i < 2; i++) {
        match_begin(m);
        v = distributed_of(m, m->in[i], m->in[1 - i]);
    }
    return v;
}

/* v is a normalisation with one result. */
static bool is_norm(ScMatch *m, ScVal v, ScNode *ret)
{
    return (match_is(m, v, &sc_op_layernorm, ret) || match_is(m, v, &sc_op_rmsnorm, ret)) &&
           ret->n_out == 1;
}

static bool has_parameters(const ScMatch *m, const ScNode *norm)
{
    bool layer = norm->op == &sc_op_layernorm;
    return !match_about(m, norm->in[1], 1) ||
           (layer && norm->in[2] != SC_ABSENT && !match_about(m, norm->in[2], 0));
}

/* The operands of n with the norm among them taken apart and one of its parameters, 1 the scale and
 * 2 the bias, replaced; poison where it has that one already, or it does not fit. */
static ScVal with_parameter(ScMatch *m, uint32_t parameter)
{
    for (uint32_t i = 0; i < 2; i++) {
        ScNode n;
        ScVal in[4];
        match_begin(m);
        if (!match_used_once(m, i) || !is_norm(m, m->in[i], &n) ||
            (parameter == 2 && n.op != &sc_op_layernorm))
            continue;
        const ScType *t = match_type(m, n.in[0]);
        int64_t axis = sc_attr_named(&n, "axis")->i;
        bool has = parameter == 1 ? has_parameters(m, &n)
                                  : n.in[2] != SC_ABSENT && !match_about(m, n.in[2], 0);
        if (has || t != sc_type_of(m->g, m->n->first) ||
            !fits(m, m->in[1 - i], n.in[0], (uint32_t)(axis < 0 ? axis + t->rank : axis)))
            continue;
        memcpy(in, n.in, n.n_in * sizeof *in);
        in[parameter] = m->in[1 - i];
        return sc_node1(&m->b, n.op, n.attr, n.n_in, in);
    }
    return SC_POISON;
}

static ScVal scale(ScMatch *m)
{
    return with_parameter(m, 1);
}

static ScVal bias(ScMatch *m)
{
    return with_parameter(m, 2);
}

/* A narrow x, widened, normalised and narrowed again: the rows do that themselves. */
static ScVal narrowed(ScMatch *m)
{
    ScNode n, wide;
    ScVal in[4];
    match_begin(m);
    ScrtDtype to = sc_type_of(m->g, m->n->first)->dtype;
    if (!is_norm(m, m->in[0], &n) || has_parameters(m, &n) ||
        match_type(m, m->in[0])->dtype != SCRT_F32 || !match_is(m, n.in[0], &sc_op_cast, &wide) ||
        match_type(m, wide.in[0])->dtype != to)
        return SC_POISON;
    memcpy(in, n.in, n.n_in * sizeof *in);
    in[0] = wide.in[0];
    in[1] = sc_const_scalar(&m->b, to, 1);
    if (n.op == &sc_op_layernorm)
        in[2] = sc_const_scalar(&m->b, to, 0);
    return sc_node1(&m->b, n.op, n.attr, n.n_in, in);
}

const ScIdiom sc_idioms_norms[] = {
    {"norm, divided", &sc_op_div, divided},
    {"norm, multiplied", &sc_op_mul, multiplied},
    {"norm, distributed", &sc_op_add, distributed},
    {"norm, narrowed", &sc_op_cast, narrowed},
    {"a norm's scale", &sc_op_mul, scale},
    {"a norm's bias", &sc_op_add, bias},
    {NULL, NULL, NULL},
};
