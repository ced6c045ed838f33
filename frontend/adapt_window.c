/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions and pools: automatic padding becomes pads (terms, where an extent is symbolic),
 * absent strides and dilations become ones, global pools become reductions. */
#include "frontend/frontend_priv.h"

#include <string.h>

/* A list of n positive integers, ones where the attribute is absent. */
static bool ones_or(const ImNode *n, const char *name, uint32_t len, int64_t *ret)
{
    bool ok = true;
    uint32_t got;
    const int64_t *is = im_ints(n, name, &got, &ok);
    if (!ok)
        return false;
    if (is && got != len)
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE,
                       "\"%s\" has %u entries for %u spatial dims", name, got, len);
    for (uint32_t i = 0; i < len; i++) {
        ret[i] = is ? is[i] : 1;
        if (ret[i] < 1 || ret[i] > INT32_MAX)
            return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" has the entry %lld", name,
                           (long long)ret[i]);
    }
    return true;
}

/* So that the result has ceil(extent / stride): the padding needed, the odd element at the end for
 * SAME_UPPER and at the begin for SAME_LOWER. */
static void pad_same(const ImNode *n, const ScTerm *extent, const ImWindow *w, uint32_t i,
                     bool upper, const ScTerm **ret_begin, const ScTerm **ret_end)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *kernel = w->kernel[i] ? sc_term(cx, w->kernel[i]) : im_type(n, 1)->dim[2 + i];
    const ScTerm *out = sc_term_cdiv(cx, extent, sc_term(cx, w->stride[i]));
    const ScTerm *span =
        sc_term_addc(cx,
                     sc_term_add(cx, sc_term_scale(cx, sc_term_addc(cx, out, -1), w->stride[i]),
                                 sc_term_scale(cx, sc_term_addc(cx, kernel, -1), w->dilation[i])),
                     1);
    const ScTerm *total = sc_term_max(cx, sc_term_sub(cx, span, extent), sc_term(cx, 0));
    const ScTerm *half = sc_term_fdiv(cx, total, sc_term(cx, 2));
    const ScTerm *rest = sc_term_sub(cx, total, half);
    *ret_begin = upper ? half : rest;
    *ret_end = upper ? rest : half;
}

static bool pads(const ImNode *n, const ScType *x, ImWindow *w)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    uint32_t got;
    const char *mode = im_str(n, "auto_pad", "NOTSET", &ok);
    const int64_t *is = im_ints(n, "pads", &got, &ok);
    bool same = !strcmp(mode, "SAME_UPPER") || !strcmp(mode, "SAME_LOWER");
    if (!ok)
        return false;
    if (!same && strcmp(mode, "NOTSET") && strcmp(mode, "VALID"))
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"auto_pad\" is \"%s\"", mode);
    if (is && got != 2 * w->n)
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"pads\" has %u entries for %u spatial dims",
                       got, w->n);
    for (uint32_t i = 0; i < w->n; i++) {
        if (same) {
            pad_same(n, x->dim[i + 2], w, i, !strcmp(mode, "SAME_UPPER"), &w->pads[i],
                     &w->pads[w->n + i]);
            continue;
        }
        for (uint32_t end = 0; end < 2; end++) {
            int64_t p = is && !strcmp(mode, "NOTSET") ? is[end * w->n + i] : 0;
            if (p < 0 || p > INT32_MAX)
                return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"pads\" has the entry %lld",
                               (long long)p);
            w->pads[end * w->n + i] = sc_term(cx, p);
        }
    }
    return true;
}

bool im_window(const ImNode *n, ImWindow *w)
{
    const ScType *x = im_type(n, 0);
    if (x->kind != SC_TYPE_TENSOR || x->rank < 3)
        return sc_fail(n->im->cx, n->loc, SC_E_RANK, "x has rank %u, at least 3 is needed",
                       x->rank);
    w->n = x->rank - 2;
    return ones_or(n, "strides", w->n, w->stride) && ones_or(n, "dilations", w->n, w->dilation);
}

bool im_window_of_weight(const ImNode *n, ImWindow *w)
{
    bool ok = true;
    uint32_t got;
    const ScType *t = im_type(n, 1);
    const int64_t *is = im_ints(n, "kernel_shape", &got, &ok);
    if (!ok)
        return false;
    if (t->rank != w->n + 2)
        return sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "w must have rank %u", w->n + 2);
    for (uint32_t i = 0; i < w->n; i++) {
        const ScTerm *k = is && got == w->n ? sc_term(n->im->cx, is[i]) : t->dim[i + 2];
        if (!im_number_of(n, k, "an extent of the kernel", &w->kernel[i]))
            return false;
        if (w->kernel[i] < 1 || w->kernel[i] > INT32_MAX || (is && got != w->n))
            return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"kernel_shape\" is no kernel's");
        if (!im_require(n, SC_GUARD_EQUAL, t->dim[i + 2], k, "\"kernel_shape\" and that of w"))
            return false;
    }
    return true;
}

ScVal im_weight(const ImNode *n, const ImWindow *w)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    im_dims(im_type(n, 1), dim);
    for (uint32_t i = 0; i < w->n; i++)
        dim[i + 2] = sc_term(n->im->cx, w->kernel[i]);
    return im_reshape(n, im_in(n, 1), w->n + 2, dim);
}

bool im_late_kernel(const ImNode *n)
{
    const ScType *t = im_type(n, 1);
    bool late = false;
    for (uint32_t d = 2; d < t->rank; d++)
        late = late || t->dim[d]->kind != SC_T_CONST;
    return late && !im_attr(n, "kernel_shape");
}

bool im_conv(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    ImWindow w = {0};
    int64_t group = im_int(n, "group", 1, &ok);
    if (n->n_in < 2 || n->n_in > 3)
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "%u operands", n->n_in);
    if (!ok || !im_window(n, &w))
        return false;
    if (im_late_kernel(n) && im_type(n, 1)->rank == w.n + 2)
        return pads(n, im_type(n, 0), &w) && im_conv_unfolded(n, &w, group, ret_out);
    if (!im_window_of_weight(n, &w) || !pads(n, im_type(n, 0), &w))
        return false;
    const ScVal in[] = {im_in(n, 0), im_weight(n, &w), im_in(n, 2)};
    ret_out[0] =
        im_build(n, &sc_op_conv,
                 IM_SET({"strides", SC_INTS(w.n, w.stride)}, {"pads", SC_TERMS(2 * w.n, w.pads)},
                        {"dilations", SC_INTS(w.n, w.dilation)}, {"group", SC_INT(group)}),
                 n->n_in, in);
    return ret_out[0] != SC_POISON;
}

static bool conv(const ImNode *n, ScVal *ret_out)
{
    return IM_ONLY(n, IM_CONV_ATTRS) && im_conv(n, ret_out);
}

/* A depthwise convolution of what lies before each position: the state, or zeros, comes before x;
 * its last positions are the next state. */
static bool causal_conv(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    bool ok = true;
    int64_t channels, taps;
    const char *gate = im_str(n, "activation", "none", &ok);
    bool silu = !strcmp(gate, "silu") || !strcmp(gate, "swish");
    if (!ok || !im_arity(n, 2, 4) || !IM_ONLY(n, "activation"))
        return false;
    const ScType *t = im_type(n, 0), *w = im_type(n, 1);
    if ((!silu && strcmp(gate, "none")) || t->rank != 3 || w->rank != 3 ||
        !sc_term_const(w->dim[0], &channels) || !sc_term_const(w->dim[2], &taps) || taps < 1)
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE,
                       "\"activation\" is \"%s\", the ranks are %u and %u", gate, t->rank, w->rank);
    const ScTerm *before = sc_term(cx, taps - 1), *dim[] = {t->dim[0], t->dim[1], before};
    const ScTerm *no_pads[] = {sc_term(cx, 0), sc_term(cx, 0)};
    ScVal past = im_has(n, 3) ? im_in(n, 3) : im_expand(n, im_scalar(n, t->dtype, 0), 3, dim);
    ScVal whole = taps == 1 ? im_in(n, 0) : im_concat(n, 2, 2, (ScVal[]){past, im_in(n, 0)});
    ScVal in[] = {whole, im_in(n, 1), im_in(n, 2)};
    const int64_t one = 1;
    ScVal y = im_build(n, &sc_op_conv,
                       IM_SET({"strides", SC_INTS(1, &one)}, {"pads", SC_TERMS(2, no_pads)},
                              {"dilations", SC_INTS(1, &one)}, {"group", SC_INT(channels)}),
                       im_has(n, 2) ? 3 : 2, in);
    y = silu ? sc_op(b, silu, y, im_scalar(n, t->dtype, 1)) : y;
    if (n->n_out > 1)
        ret_out[1] = im_slice(n, whole, 2, t->dim[2], NULL);
    return im_answer(y, ret_out) && (n->n_out < 2 || ret_out[1] != SC_POISON);
}

static bool pool(const ImNode *n, const ScOp *op, const char *extra, ScVal *ret_out)
{
    const char *const known[] = {"auto_pad", "dilations", "ceil_mode", "kernel_shape",
                                 "pads",     "strides",   extra,       NULL};
    bool ok = true, mean = !strcmp(extra, "count_include_pad");
    ImWindow w;
    int64_t ceil_mode = im_int(n, "ceil_mode", 0, &ok), value = im_int(n, extra, 0, &ok);
    if (!ok || !im_only_attrs(n, known) || !im_window(n, &w))
        return false;
    if (!im_attr(n, "kernel_shape"))
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"kernel_shape\" is missing");
    if (!ones_or(n, "kernel_shape", w.n, w.kernel) || !pads(n, im_type(n, 0), &w))
        return false;
    ImSet set[] = {
        {"kernel_shape", SC_INTS(w.n, w.kernel)}, {"strides", SC_INTS(w.n, w.stride)},
        {"pads", SC_TERMS(2 * w.n, w.pads)},      {"dilations", SC_INTS(w.n, w.dilation)},
        {"ceil_mode", SC_INT(ceil_mode != 0)},    {"count_include_pad", SC_INT(value != 0)}};
    if (!im_answer(im_build(n, op, mean ? 6 : 5, set, IM_IN(im_in(n, 0))), ret_out))
        return false;
    return n->n_out < 2 ||
           im_answer(im_pool_indices(n, &w, value == 1, im_type_of(n, ret_out[0])->dim),
                     &ret_out[1]);
}

static bool maxpool(const ImNode *n, ScVal *ret_out)
{
    return pool(n, &sc_op_maxpool, "storage_order", ret_out);
}

static bool avgpool(const ImNode *n, ScVal *ret_out)
{
    return pool(n, &sc_op_avgpool, "count_include_pad", ret_out);
}

static bool global_pool(const ImNode *n, ScVal *ret_out)
{
    int64_t axes[SCRT_MAX_RANK];
    uint32_t rank = im_type(n, 0)->rank;
    if (rank < 3)
        return sc_fail(n->im->cx, n->loc, SC_E_RANK, "x has rank %u, at least 3 is needed", rank);
    for (uint32_t i = 2; i < rank; i++)
        axes[i - 2] = i;
    const ScOp *op =
        strcmp(n->pb->op_type, "GlobalMaxPool") ? &sc_op_reduce_mean : &sc_op_reduce_max;
    ret_out[0] = im_build(n, op, IM_SET({"axes", SC_INTS(rank - 2, axes)}, {"keepdims", SC_INT(1)}),
                          IM_IN(im_in(n, 0)));
    return ret_out[0] != SC_POISON;
}

/* x to the power p, without its sign; and the root that undoes it. */
static ScVal power(const ImNode *n, ScVal x, double p)
{
    ScBuild *b = &n->im->b;
    x = p == 1 ? sc_op(b, abs, x) : x;
    return p == 1   ? x
           : p == 2 ? sc_op(b, mul, x, x)
                    : sc_op(b, pow, sc_op(b, abs, x), im_scalar(n, im_type(n, 0)->dtype, p));
}

static ScVal root(const ImNode *n, ScVal x, double p)
{
    ScBuild *b = &n->im->b;
    return p == 1   ? x
           : p == 2 ? sc_op(b, sqrt, x)
                    : sc_op(b, pow, x, im_scalar(n, im_type(n, 0)->dtype, 1 / p));
}

/* p was a float in the first version. */
static bool norm_order(const ImNode *n, double *ret)
{
    bool ok = true;
    *ret = n->opset < 2 ? im_float(n, "p", 2, &ok) : (double)im_int(n, "p", 2, &ok);
    return ok && (*ret > 0 || sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"p\" is %g", *ret));
}

/* The root of sums of powers: sums are convolutions with ones, each channel a sample of its own. */
static bool lp_pool(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    ImWindow w;
    double p;
    int64_t ceil_mode = im_int(n, "ceil_mode", 0, &ok);
    if (!ok || !im_arity(n, 1, 1) || !norm_order(n, &p) || !im_window(n, &w) ||
        !IM_ONLY(n, "auto_pad", "dilations", "ceil_mode", "kernel_shape", "pads", "strides", "p") ||
        !ones_or(n, "kernel_shape", w.n, w.kernel) || !pads(n, im_type(n, 0), &w))
        return false;
    const ScType *t = im_type(n, 0);
    const ScTerm *flat[SCRT_MAX_RANK], *taps[SCRT_MAX_RANK], *one = sc_term(cx, 1);
    flat[0] = sc_term_mul(cx, t->dim[0], t->dim[1]);
    flat[1] = taps[0] = taps[1] = one;
    for (uint32_t i = 0; i < w.n; i++) {
        flat[2 + i] = t->dim[2 + i];
        taps[2 + i] = sc_term(cx, w.kernel[i]);
        if (ceil_mode)
            w.pads[w.n + i] = sc_term_addc(cx, w.pads[w.n + i], w.stride[i] - 1);
    }
    ScVal x = im_reshape(n, power(n, im_in(n, 0), p), t->rank, flat);
    ScVal y =
        im_build(n, &sc_op_conv,
                 IM_SET({"strides", SC_INTS(w.n, w.stride)}, {"pads", SC_TERMS(2 * w.n, w.pads)},
                        {"dilations", SC_INTS(w.n, w.dilation)}, {"group", SC_INT(1)}),
                 IM_IN(x, im_expand(n, im_scalar(n, t->dtype, 1), t->rank, taps)));
    if (y == SC_POISON)
        return false;
    for (uint32_t i = 0; i < t->rank; i++)
        flat[i] = i < 2 ? t->dim[i] : im_type_of(n, y)->dim[i];
    return im_answer(root(n, im_reshape(n, y, t->rank, flat), p), ret_out);
}

static bool global_lp_pool(const ImNode *n, ScVal *ret_out)
{
    int64_t axes[SCRT_MAX_RANK];
    uint32_t rank = im_type(n, 0)->rank;
    double p;
    if (!im_arity(n, 1, 1) || !norm_order(n, &p) || !IM_ONLY(n, "p"))
        return false;
    if (rank < 3)
        return sc_fail(n->im->cx, n->loc, SC_E_RANK, "x has rank %u, at least 3 is needed", rank);
    for (uint32_t i = 2; i < rank; i++)
        axes[i - 2] = i;
    ScVal sum = im_reduce(n, &sc_op_reduce_sum, power(n, im_in(n, 0), p), rank - 2, axes, true);
    return im_answer(root(n, sum, p), ret_out);
}

const ImAdapter im_window_adapters[] = {
    {"", "Conv", 1, 0, conv, 1},
    {"", "CausalConvWithState", 27, 0, causal_conv, 2},
    {"", "MaxPool", 1, 0, maxpool, 2},
    {"", "AveragePool", 1, 0, avgpool, 1},
    {"", "GlobalAveragePool", 1, 0, global_pool, 1},
    {"", "GlobalMaxPool", 1, 0, global_pool, 1},
    {"", "LpPool", 1, 0, lp_pool, 1},
    {"", "GlobalLpPool", 1, 0, global_lp_pool, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
