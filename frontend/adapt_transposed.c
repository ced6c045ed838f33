/* SPDX-License-Identifier: Apache-2.0 */
/* ConvTranspose without a zero between the elements of x. Position o of the uncut result gets
 * x[i] w[k] wherever i s + k d = o: with o = q s + p, phase p is an ordinary convolution of x with
 * those k for which k d = t s + p, at x[q - t]. So one convolution with a channel for each phase
 * and ceil(k / s) taps computes all; its phases are then put side by side, and the pads cut off.
 * Strides and dilations with a common divisor reach only its multiples: zeros lie between those. */
#include "frontend/frontend_priv.h"

#include <string.h>

#define MAX_SPACE 3

/* Along one axis. */
typedef struct Axis {
    int64_t phases, between; /* the stride is their product; `between` divides the dilation too */
    int64_t taps, step,
        span; /* of the convolution, the elements between its taps, and all: span + 1 */
    const ScTerm *begin, *end; /* its pads */
    const ScTerm *cut, *out;   /* where the result begins, and its extent */
} Axis;

typedef struct Transposed {
    const ImNode *n;
    ImWindow w;
    Axis axis[MAX_SPACE];
    int64_t group, phases;   /* of all axes together */
    bool spread;             /* zeros lie between elements of the result */
    bool late;               /* only the run knows the kernel's extents */
    const ScTerm *out_group; /* output channels of a group */
} Transposed;

static int64_t common_divisor(int64_t a, int64_t b)
{
    return b ? common_divisor(b, a % b) : a;
}

/* Zeros like x, but `extent` long along an axis. */
static ScVal zeros(const ImNode *n, const ScType *t, uint32_t axis, const ScTerm *extent)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    im_dims(t, dim);
    dim[axis] = extent;
    return im_expand(n, im_scalar(n, t->dtype, 0), t->rank, dim);
}

/* Element i of an axis becomes element i * by, zeros between and after them. */
static ScVal spread(const ImNode *n, ScVal x, uint32_t axis, int64_t by)
{
    ScCtx *cx = n->im->cx;
    if (by == 1 || x == SC_POISON)
        return x;
    const ScType *t = im_type_of(n, x);
    const ScTerm *apart[SCRT_MAX_RANK], *dim[SCRT_MAX_RANK];
    for (uint32_t d = 0; d <= t->rank; d++)
        apart[d] = d == axis + 1 ? sc_term(cx, 1) : t->dim[d - (d > axis)];
    im_dims(t, dim);
    dim[axis] = sc_term_scale(cx, dim[axis], by);
    ScVal part[] = {im_reshape(n, x, t->rank + 1, apart)};
    const ScType *one = im_type_of(n, part[0]);
    ScVal both[] = {part[0], zeros(n, one, axis + 1, sc_term(cx, by - 1))};
    return im_reshape(n, im_concat(n, axis + 1, 2, both), t->rank, dim);
}

/* The first `extent` elements of an axis, which is known, or all and zeros. */
static ScVal fit(const ImNode *n, ScVal x, uint32_t axis, int64_t have, int64_t extent)
{
    ScCtx *cx = n->im->cx;
    if (x == SC_POISON || have == extent)
        return x;
    if (have > extent)
        return im_slice(n, x, axis, sc_term(cx, 0), sc_term(cx, extent));
    ScVal more = zeros(n, im_type_of(n, x), axis, sc_term(cx, extent - have));
    return im_concat(n, axis, 2, (ScVal[]){x, more});
}

/* w [in, out / group, k..] as the convolution's [group * out / group * phases, in / group,
 * taps..]. */
static ScVal weights(const Transposed *t)
{
    const ImNode *n = t->n;
    ScCtx *cx = n->im->cx;
    uint32_t s = t->w.n;
    ScVal w = im_weight(n, &t->w);
    for (uint32_t a = 0; a < s; a++) {
        const Axis *x = &t->axis[a];
        int64_t by = x->phases > 1 ? t->w.dilation[a] / x->between : 1;
        w = fit(n, spread(n, w, 2 + a, by), 2 + a, t->w.kernel[a] * by, x->taps * x->phases);
    }
    const ScTerm *group = sc_term(cx, t->group),
                 *in = sc_term_fdiv(cx, im_type(n, 1)->dim[0], group);
    const ScTerm *apart[3 + 2 * MAX_SPACE] = {group, in, t->out_group};
    const ScTerm *to[2 + MAX_SPACE] = {
        sc_term_scale(cx, sc_term_mul(cx, group, t->out_group), t->phases), in};
    const ScTerm *last[MAX_SPACE], *all[MAX_SPACE];
    int64_t axes[MAX_SPACE], back[MAX_SPACE], perm[3 + 2 * MAX_SPACE] = {0, 2};
    perm[2 + s] = 1;
    for (uint32_t a = 0; a < s; a++) {
        apart[3 + 2 * a] = to[2 + a] = sc_term(cx, t->axis[a].taps);
        apart[4 + 2 * a] = sc_term(cx, t->axis[a].phases);
        perm[2 + a] = 4 + 2 * a;
        perm[3 + s + a] = axes[a] = 3 + 2 * a;
        last[a] = sc_term(cx, t->axis[a].taps - 1);
        all[a] = sc_term(cx, INT64_MIN);
        back[a] = -1;
    }
    w = im_reshape(n, w, 3 + 2 * s, apart);
    w = sc_op_at(&n->im->b, slice,
                 SC_ATTRS(SC_TERMS(s, last), SC_TERMS(s, all), SC_INTS(s, axes), SC_INTS(s, back)),
                 w);
    return im_reshape(n, im_transpose(n, w, 3 + 2 * s, perm), 2 + s, to);
}

/* The bias, the same for each phase of a channel. */
static ScVal phase_bias(const Transposed *t)
{
    const ImNode *n = t->n;
    ScCtx *cx = n->im->cx;
    const ScTerm *channels = im_type(n, 2)->dim[0], *one = sc_term(cx, 1);
    const ScTerm *column[] = {channels, one}, *wide[] = {channels, sc_term(cx, t->phases)};
    const ScTerm *flat = sc_term_scale(cx, channels, t->phases);
    return im_reshape(n, im_expand(n, im_reshape(n, im_in(n, 2), 2, column), 2, wide), 1, &flat);
}

static ScVal convolved(const Transposed *t)
{
    uint32_t s = t->w.n;
    const ScTerm *pads[2 * MAX_SPACE];
    int64_t ones[MAX_SPACE], steps[MAX_SPACE];
    bool bias = im_has(t->n, 2) && !t->spread;
    for (uint32_t a = 0; a < s; a++) {
        pads[a] = t->axis[a].begin;
        pads[s + a] = t->axis[a].end;
        ones[a] = 1;
        steps[a] = t->axis[a].step;
    }
    ScVal in[] = {im_in(t->n, 0), weights(t), bias ? phase_bias(t) : SC_ABSENT};
    return im_build(t->n, &sc_op_conv,
                    IM_SET({"strides", SC_INTS(s, ones)}, {"pads", SC_TERMS(2 * s, pads)},
                           {"dilations", SC_INTS(s, steps)}, {"group", SC_INT(t->group)}),
                    bias ? 3 : 2, in);
}

/* y [batch, out * phases, extents..] with its phases between the elements of the extents. */
static ScVal interleaved(const Transposed *t, ScVal y)
{
    const ImNode *n = t->n;
    ScCtx *cx = n->im->cx;
    uint32_t s = t->w.n;
    const ScType *type = im_type_of(n, y);
    const ScTerm *channels = sc_term_scale(cx, t->out_group, t->group);
    const ScTerm *apart[2 + 2 * MAX_SPACE] = {type->dim[0], channels};
    const ScTerm *to[2 + MAX_SPACE] = {type->dim[0], channels};
    int64_t perm[2 + 2 * MAX_SPACE] = {0, 1};
    for (uint32_t a = 0; a < s; a++) {
        apart[2 + a] = sc_term(cx, t->axis[a].phases);
        apart[2 + s + a] = type->dim[2 + a];
        perm[2 + 2 * a] = 2 + s + a;
        perm[3 + 2 * a] = 2 + a;
        to[2 + a] = sc_term_scale(cx, type->dim[2 + a], t->axis[a].phases);
    }
    if (t->phases == 1)
        return y;
    y = im_transpose(n, im_reshape(n, y, 2 + 2 * s, apart), 2 + 2 * s, perm);
    return im_reshape(n, y, 2 + s, to);
}

/* The part of an axis that is the result. */
static ScVal cut(const Transposed *t, ScVal y, uint32_t a)
{
    ScCtx *cx = t->n->im->cx;
    const Axis *x = &t->axis[a];
    if (y == SC_POISON)
        return y;
    const ScTerm *end = sc_term_add(cx, x->cut, x->out);
    bool whole = sc_term_is(x->cut, 0) && sc_built(&t->n->im->b, y)->type->dim[2 + a] == end;
    return whole ? y : im_slice(t->n, y, 2 + a, x->cut, end);
}

/* --- What the attributes say ------------------------------------------------------------------ */

/* The attributes that place the result in the uncut one. */
typedef struct Places {
    const char *mode;
    const int64_t *pads, *more, *shape; /* NULL where absent; [2 n], [n], [n] */
} Places;

static bool ints_of(const Transposed *t, const char *name, uint32_t want, const int64_t **ret)
{
    const ImNode *n = t->n;
    bool ok = true;
    uint32_t len;
    *ret = im_ints(n, name, &len, &ok);
    if (*ret && !strcmp(name, "output_shape") && len == want + 2) { /* with batch and channels */
        *ret += 2;
        len = want;
    }
    if (ok && *ret && len != want)
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" has %u entries, not %u", name,
                       len, want);
    for (uint32_t i = 0; ok && *ret && i < want; i++)
        if ((*ret)[i] < 0 || (*ret)[i] > INT32_MAX)
            return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" has the entry %lld", name,
                           (long long)(*ret)[i]);
    return ok;
}

static bool places(const Transposed *t, Places *p)
{
    const ImNode *n = t->n;
    bool ok = true;
    p->mode = im_str(n, "auto_pad", "NOTSET", &ok);
    if (!ok || !ints_of(t, "pads", 2 * t->w.n, &p->pads) ||
        !ints_of(t, "output_padding", t->w.n, &p->more) ||
        !ints_of(t, "output_shape", t->w.n, &p->shape))
        return false;
    return !strcmp(p->mode, "NOTSET") || !strcmp(p->mode, "VALID") ||
           !strcmp(p->mode, "SAME_UPPER") || !strcmp(p->mode, "SAME_LOWER") ||
           sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"auto_pad\" is \"%s\"", p->mode);
}

/* How much is cut off before the result along axis a, and its extent. uncut: that of what is not
 * cut, with the padding of the output. */
static void extent_of(const Transposed *t, const Places *p, uint32_t a, const ScTerm *uncut,
                      const ScTerm **ret_before, const ScTerm **ret_out)
{
    ScCtx *cx = t->n->im->cx;
    bool same = !strncmp(p->mode, "SAME", 4);
    const ScTerm *zero = sc_term(cx, 0);
    if (!same && !p->shape) {
        bool pads = p->pads && !strcmp(p->mode, "NOTSET");
        int64_t before = pads ? p->pads[a] : 0, after = pads ? p->pads[t->w.n + a] : 0;
        *ret_before = sc_term(cx, before);
        *ret_out = sc_term_addc(cx, uncut, -before - after);
        return;
    }
    *ret_out = p->shape ? sc_term(cx, p->shape[a])
                        : sc_term_scale(cx, im_type(t->n, 0)->dim[2 + a], t->w.stride[a]);
    const ScTerm *total = sc_term_max(cx, sc_term_sub(cx, uncut, *ret_out), zero);
    const ScTerm *half = sc_term_fdiv(cx, total, sc_term(cx, 2));
    *ret_before = !strcmp(p->mode, "SAME_UPPER") ? half : sc_term_sub(cx, total, half);
}

static bool plan_axis(Transposed *t, const Places *p, uint32_t a)
{
    ScCtx *cx = t->n->im->cx;
    Axis *x = &t->axis[a];
    const ScTerm *zero = sc_term(cx, 0), *extent = im_type(t->n, 0)->dim[2 + a], *before;
    int64_t k = t->w.kernel[a], s = t->w.stride[a], d = t->w.dilation[a];
    int64_t more = p->more ? p->more[a] : 0, reach = (k - 1) * d + more;
    if (k > INT32_MAX / d || reach > INT32_MAX)
        return sc_fail(cx, t->n->loc, SC_E_LIMIT, "a window of %lld elements", (long long)reach);
    x->between = common_divisor(s, d);
    x->phases = s / x->between;
    x->step = x->phases > 1 ? 1 : d / x->between;
    x->taps = x->phases > 1 ? (k - 1) * (d / x->between) / x->phases + 1 : k;
    x->span = (x->taps - 1) * x->step;
    const ScTerm *uncut = sc_term_addc(cx, sc_term_scale(cx, extent, s), reach + 1 - s);
    extent_of(t, p, a, uncut, &before, &x->out);
    if (!im_require(t->n, SC_GUARD_AT_MOST, sc_term(cx, 1), x->out, "there is a result"))
        return false;
    /* The convolution's first position is the last one, of those it has, before the result, where
     * that is known. */
    const ScTerm *stride = sc_term(cx, s), *first = zero;
    if (before->kind == SC_T_CONST)
        first = sc_term_min(cx, sc_term(cx, x->span), sc_term_fdiv(cx, before, stride));
    const ScTerm *after = sc_term_sub(cx, uncut, sc_term_add(cx, before, x->out));
    x->begin = sc_term_sub(cx, sc_term(cx, x->span), first);
    x->end =
        sc_term_max(cx, zero, sc_term_fdiv(cx, sc_term_sub(cx, sc_term(cx, reach), after), stride));
    x->cut = sc_term_sub(cx, before, sc_term_scale(cx, first, s));
    t->phases *= x->phases;
    t->spread = t->spread || x->between > 1;
    return true;
}

/* All but the axes. */
static bool plan(Transposed *t, Places *p)
{
    const ImNode *n = t->n;
    ScCtx *cx = n->im->cx;
    bool ok = true;
    t->late = im_late_kernel(n);
    t->group = im_int(n, "group", 1, &ok);
    if (!ok || !im_arity(n, 2, 3) ||
        !IM_ONLY(n, "auto_pad", "dilations", "group", "kernel_shape", "output_padding",
                 "output_shape", "pads", "strides") ||
        !im_window(n, &t->w) || (!t->late && !im_window_of_weight(n, &t->w)) || !places(t, p))
        return false;
    const ScType *x = im_type(n, 0), *w = im_type(n, 1), *bias = im_type(n, 2);
    if (t->w.n > MAX_SPACE || w->rank != t->w.n + 2)
        return sc_fail(cx, n->loc, SC_E_RANK, "x has %u spatial extents, at most %d; w has rank %u",
                       t->w.n, MAX_SPACE, w->rank);
    if (t->group < 1 || t->group > INT32_MAX)
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"group\" is %lld", (long long)t->group);
    t->out_group = w->dim[1];
    t->phases = 1;
    if (!im_require(n, SC_GUARD_EQUAL, x->dim[1], w->dim[0], "channels and those of the weights") ||
        !im_require(n, SC_GUARD_DIVIDES, sc_term(cx, t->group), w->dim[0],
                    "group and the input channels"))
        return false;
    if (im_has(n, 2) && bias->rank != 1)
        return sc_fail(cx, n->loc, SC_E_RANK, "the bias has rank %u", bias->rank);
    return !im_has(n, 2) || im_require(n, SC_GUARD_EQUAL, sc_term_scale(cx, t->out_group, t->group),
                                       bias->dim[0], "output channels and the bias");
}

/* By a kernel whose extents only the run knows: x with zeros between its elements, convolved by the
 * kernel turned around. */
static bool late(const Transposed *t, const Places *p, ScVal *ret_out)
{
    const ImNode *n = t->n;
    ScCtx *cx = n->im->cx;
    const ScType *f = im_type(n, 1);
    const ScTerm *one = sc_term(cx, 1), *group = sc_term(cx, t->group);
    const ScTerm *apart[3 + MAX_SPACE] = {group, sc_term_fdiv(cx, f->dim[0], group), t->out_group};
    const ScTerm *to[2 + MAX_SPACE] = {sc_term_mul(cx, group, t->out_group), apart[1]};
    ImWindow w = {.n = t->w.n};
    ScVal in[] = {im_in(n, 0), im_in(n, 1), im_in(n, 2)};
    for (uint32_t a = 0; a < w.n; a++) {
        const ScTerm *kernel = f->dim[2 + a], *before, *out;
        const ScTerm *last = sc_term_addc(cx, kernel, -1);
        const ScTerm *reach = sc_term_scale(cx, last, t->w.dilation[a]);
        const ScTerm *all = sc_term_scale(cx, im_type(n, 0)->dim[2 + a], t->w.stride[a]);
        int64_t more = (p->more ? p->more[a] : 0) + 1 - t->w.stride[a];
        extent_of(t, p, a, sc_term_addc(cx, sc_term_add(cx, all, reach), more), &before, &out);
        if (!im_require(n, SC_GUARD_AT_MOST, one, kernel, "an extent of the kernel") ||
            !im_require(n, SC_GUARD_AT_MOST, one, out, "there is a result"))
            return false;
        w.stride[a] = 1;
        w.dilation[a] = t->w.dilation[a];
        w.pads[a] = sc_term_sub(cx, reach, before);
        w.pads[w.n + a] = sc_term_sub(cx, sc_term_add(cx, out, before), all);
        ScVal back = sc_op(&n->im->b, sub, im_number(n, last), im_iota(n, kernel, 0));
        in[0] = spread(n, in[0], 2 + a, t->w.stride[a]);
        in[1] = im_gather(n, in[1], 2 + a, back);
        apart[3 + a] = to[2 + a] = kernel;
    }
    in[1] = im_moved(n, im_reshape(n, in[1], 3 + w.n, apart), 1, 2);
    in[1] = im_reshape(n, in[1], 2 + w.n, to);
    ImNode of = *n;
    of.in = in;
    return in[0] != SC_POISON && in[1] != SC_POISON && im_conv_unfolded(&of, &w, t->group, ret_out);
}

static bool conv_transpose(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    Transposed t = {.n = n};
    Places p;
    if (!plan(&t, &p))
        return false;
    if (t.late)
        return late(&t, &p, ret_out);
    for (uint32_t a = 0; a < t.w.n; a++)
        if (!plan_axis(&t, &p, a))
            return false;
    ScVal y = convolved(&t);
    if (y == SC_POISON)
        return false;
    y = interleaved(&t, y);
    for (uint32_t a = 0; a < t.w.n; a++)
        y = cut(&t, spread(n, y, 2 + a, t.axis[a].between), a);
    if (t.spread && im_has(n, 2)) { /* the zeros too have it */
        const ScTerm *dim[2 + MAX_SPACE] = {sc_term(cx, 1), im_type(n, 2)->dim[0]};
        for (uint32_t a = 0; a < t.w.n; a++)
            dim[2 + a] = dim[0];
        y = sc_op(&n->im->b, add, y, im_reshape(n, im_in(n, 2), 2 + t.w.n, dim));
    }
    return im_answer(y, ret_out);
}

const ImAdapter im_transposed_adapters[] = {
    {"", "ConvTranspose", 1, 0, conv_transpose, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
