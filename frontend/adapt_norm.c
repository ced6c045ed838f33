/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisations: rows layernorm and rmsnorm over the axes that each of them means, and what is a
 * mean or a norm and a quotient. */
#include "frontend/frontend_priv.h"

bool im_stash(const ImNode *n, ScrtDtype *ret)
{
    bool ok = true;
    int64_t t = im_int(n, "stash_type", SCRT_F32, &ok);
    *ret = (ScrtDtype)t;
    return ok && (t == SCRT_F16 || t == SCRT_BF16 || t == SCRT_F32 || t == SCRT_F64 ||
                  sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"stash_type\" is %lld, no float",
                          (long long)t));
}

ScVal im_epsilon(const ImNode *n, ScrtDtype t, double def, bool *ok)
{
    return im_scalar(n, im_at_least_f32(t), im_float(n, "epsilon", def, ok));
}

/* The normalisation of each row of [.., .., row], without parameters. */
static ScVal rows(const ImNode *n, ScVal x, ScrtDtype t, ScVal eps)
{
    ScVal in[] = {x, im_scalar(n, t, 1), SC_ABSENT, eps};
    return im_build(n, &sc_op_layernorm, IM_SET({"axis", SC_INT(2)}), 4, in);
}

/* A parameter [C] as [C, 1, ..], to broadcast over `after` axes. */
static ScVal along(const ImNode *n, ScVal p, ScrtDtype t, uint32_t after)
{
    const ScTerm *dim[SCRT_MAX_RANK] = {sc_type_count(n->im->cx, im_type_of(n, p))};
    for (uint32_t d = 1; d <= after; d++)
        dim[d] = sc_term(n->im->cx, 1);
    return im_reshape(n, im_cast(n, p, t), after + 1, dim);
}

static ScVal affine(const ImNode *n, ScVal x, ScVal scale, ScVal bias)
{
    ScBuild *b = &n->im->b;
    return sc_op(b, add, sc_op(b, mul, x, scale), bias);
}

static bool is_channels(const ImNode *n, uint32_t least)
{
    uint32_t rank = im_type(n, 0)->rank;
    return rank >= least || sc_fail(n->im->cx, n->loc, SC_E_RANK,
                                    "x has rank %u, at least %u is needed", rank, least);
}

/* The extents of t from axis d on, multiplied. */
static const ScTerm *rest(ScCtx *cx, const ScType *t, uint32_t d)
{
    const ScTerm *count = sc_term(cx, 1);
    for (; d < t->rank; d++)
        count = sc_term_mul(cx, count, t->dim[d]);
    return count;
}

static bool instance_norm(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    if (!im_arity(n, 3, 3) || !is_channels(n, 3) ||
        !IM_ONLY(n, "epsilon", n->opset < 6 ? "consumed_inputs" : NULL))
        return false;
    const ScType *t = im_type(n, 0);
    ScVal eps = im_epsilon(n, t->dtype, 1e-5, &ok);
    const ScTerm *flat[] = {t->dim[0], t->dim[1], rest(cx, t, 2)};
    ScVal y = rows(n, im_reshape(n, im_in(n, 0), 3, flat), t->dtype, eps);
    y = im_reshape(n, y, t->rank, t->dim);
    return ok && im_answer(affine(n, y, along(n, im_in(n, 1), t->dtype, t->rank - 2),
                                  along(n, im_in(n, 2), t->dtype, t->rank - 2)),
                           ret_out);
}

/* Before opset 21 the parameters were one a group. */
static bool group_norm(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true, a_group = n->opset < 21;
    if (!im_arity(n, 3, 3) || !is_channels(n, 2) ||
        !IM_ONLY(n, "epsilon", "num_groups", "stash_type"))
        return false;
    const ScType *t = im_type(n, 0);
    int64_t groups = im_int(n, "num_groups", 0, &ok);
    ScrtDtype stash;
    if (!ok || !im_stash(n, &stash))
        return false;
    if (groups < 1)
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"num_groups\" %lld", (long long)groups);
    ScrtDtype in = stash == SCRT_F64 ? stash : t->dtype;
    ScVal eps = im_epsilon(n, in, 1e-5, &ok);
    const ScTerm *of = sc_term(cx, groups);
    if (!im_require(n, SC_GUARD_DIVIDES, of, t->dim[1], "the channels of the groups"))
        return false;
    const ScTerm *each = sc_term_mul(cx, sc_term_fdiv(cx, t->dim[1], of), rest(cx, t, 2));
    const ScTerm *flat[] = {t->dim[0], of, each};
    ScVal y = rows(n, im_reshape(n, im_cast(n, im_in(n, 0), in), 3, flat), in, eps);
    y = im_cast(n, y, t->dtype);
    uint32_t after = a_group ? 1 : t->rank - 2;
    y = a_group ? y : im_reshape(n, y, t->rank, t->dim);
    y = affine(n, y, along(n, im_in(n, 1), t->dtype, after),
               along(n, im_in(n, 2), t->dtype, after));
    return ok && im_answer(im_reshape(n, y, t->rank, t->dim), ret_out);
}

/* The result has the scale's type. */
static bool rms_norm(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    if (!im_arity(n, 2, 2) || !IM_ONLY(n, "axis", "epsilon", "stash_type"))
        return false;
    const ScType *t = im_type(n, 0);
    ScrtDtype to = im_type(n, 1)->dtype, stash;
    int64_t axis = im_int(n, "axis", -1, &ok);
    if (!ok || !im_stash(n, &stash))
        return false;
    ScrtDtype in_type = stash == SCRT_F64 ? stash : t->dtype == to ? to : im_at_least_f32(t->dtype);
    ScVal eps = im_epsilon(n, in_type, 1e-5, &ok);
    ScVal in[] = {im_cast(n, im_in(n, 0), in_type), im_cast(n, im_in(n, 1), in_type), eps};
    ScVal y = im_build(n, &sc_op_rmsnorm, IM_SET({"axis", SC_INT(axis)}), 3, in);
    return ok && im_answer(im_cast(n, y, to), ret_out);
}

/* d / (sqrt(mean d^2) + 1e-9), of d = x - mean x. */
static bool mean_variance(const ImNode *n, ScVal *ret_out)
{
    static const int64_t batch_and_space[] = {0, 2, 3};
    ScBuild *b = &n->im->b;
    bool ok = true;
    uint32_t n_axis = 0, at = 0;
    if (!im_arity(n, 1, 1) || !IM_ONLY(n, "axes"))
        return false;
    const ScType *t = im_type(n, 0);
    const int64_t *axis = im_ints(n, "axes", &n_axis, &ok);
    if (!axis) {
        axis = batch_and_space;
        n_axis = 3;
    }
    for (uint32_t i = 0; ok && i < n_axis; i++)
        ok = im_axis(n, axis[i], t->rank, &at);
    if (!ok)
        return false;
    ScVal x = im_in(n, 0), mean = im_reduce(n, &sc_op_reduce_mean, x, n_axis, axis, true);
    ScVal d = sc_op(b, sub, x, mean);
    ScVal var = im_reduce(n, &sc_op_reduce_mean, sc_op(b, mul, d, d), n_axis, axis, true);
    ScVal deviation = sc_op(b, add, sc_op(b, sqrt, var), im_scalar(n, t->dtype, 1e-9));
    return im_answer(sc_op(b, div, d, deviation), ret_out);
}

/* Where all is zero, zero. */
static bool lp_norm(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    uint32_t at = 0;
    if (!im_arity(n, 1, 1) || !IM_ONLY(n, "axis", "p"))
        return false;
    const ScType *t = im_type(n, 0);
    int64_t axis = im_int(n, "axis", -1, &ok), p = im_int(n, "p", 2, &ok);
    if (!ok || !im_axis(n, axis, t->rank, &at))
        return false;
    if (p != 1 && p != 2)
        return sc_fail(b->cx, n->loc, SC_E_ATTRIBUTE, "\"p\" is %lld, not 1 or 2", (long long)p);
    axis = at;
    ScVal zero = im_scalar(n, t->dtype, 0);
    ScVal norm =
        im_reduce(n, p == 1 ? &sc_op_reduce_l1 : &sc_op_reduce_l2, im_in(n, 0), 1, &axis, true);
    ScVal none = sc_op(b, equal, norm, zero);
    ScVal by = sc_op(b, where, none, im_scalar(n, t->dtype, 1), norm);
    return im_answer(sc_op(b, div, im_in(n, 0), by), ret_out);
}

/* x / (bias + alpha mean of the squares of `size` channels)^beta: the mean is an average pool over
 * the channels, taken for an image's height. */
static bool lrn(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    bool ok = true;
    if (!im_arity(n, 1, 1) || !is_channels(n, 2) || !IM_ONLY(n, "alpha", "beta", "bias", "size"))
        return false;
    const ScType *t = im_type(n, 0);
    double alpha = im_float(n, "alpha", 1e-4, &ok), beta = im_float(n, "beta", 0.75, &ok);
    double bias = im_float(n, "bias", 1, &ok);
    int64_t size = im_int(n, "size", 0, &ok), kernel[] = {size, 1}, ones[] = {1, 1};
    if (!ok || size < 1 || size > INT32_MAX)
        return ok && sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"size\" is %lld", (long long)size);
    const ScTerm *one = sc_term(cx, 1), *zero = sc_term(cx, 0);
    const ScTerm *flat[] = {t->dim[0], one, t->dim[1], rest(cx, t, 2)};
    const ScTerm *pads[] = {sc_term(cx, (size - 1) / 2), zero, sc_term(cx, size / 2), zero};
    ScVal x = im_in(n, 0);
    ScVal squares = im_reshape(n, sc_op(b, mul, x, x), 4, flat);
    ScVal mean = im_build(n, &sc_op_avgpool,
                          IM_SET({"kernel_shape", SC_INTS(2, kernel)},
                                 {"strides", SC_INTS(2, ones)}, {"pads", SC_TERMS(4, pads)},
                                 {"dilations", SC_INTS(2, ones)}, {"count_include_pad", SC_INT(1)}),
                          IM_IN(squares));
    mean = sc_op(b, mul, im_reshape(n, mean, t->rank, t->dim), im_scalar(n, t->dtype, alpha));
    ScVal base = sc_op(b, add, mean, im_scalar(n, t->dtype, bias));
    ScVal by = sc_op(b, pow, base, im_scalar(n, t->dtype, beta));
    return im_answer(sc_op(b, div, x, by), ret_out);
}

const ImAdapter im_norm_adapters[] = {
    {"", "InstanceNormalization", 1, 0, instance_norm, 1},
    {"", "GroupNormalization", 18, 0, group_norm, 1},
    {"", "RMSNormalization", 23, 0, rms_norm, 1},
    {"", "MeanVarianceNormalization", 9, 0, mean_variance, 1},
    {"", "LpNormalization", 1, 0, lp_norm, 1},
    {"", "LRN", 1, 0, lrn, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
