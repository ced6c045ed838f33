/* SPDX-License-Identifier: Apache-2.0 */
/* The positions that MaxPool answers beside its maxima, and MaxUnpool, which takes them. */
#include "frontend/frontend_priv.h"

#include <float.h>
#include <math.h>

#define OP(op, ...) sc_op(&n->im->b, op, __VA_ARGS__)
#define MAX_TAPS    256 /* elements of a window: each is some nodes */

/* What is below every other element. */
static ScVal least(const ImNode *n, ScrtDtype t)
{
    int bits = (int)scrt_dtype_bits(t);
    if (scrt_dtype_is_float(t))
        return im_scalar(n, t, -INFINITY);
    return im_scalar(n, t, scrt_dtype_kind(t) == SCRT_KIND_UINT ? 0 : -ldexp(1, bits - 1));
}

/* x with what no window picks before and after its spatial extents, so that all windows, out of
 * them, lie inside. */
static ScVal padded(const ImNode *n, const ImWindow *w, ScVal x, const ScTerm *const *out)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *dim[SCRT_MAX_RANK], *zero = sc_term(cx, 0);
    for (uint32_t a = 0; a < w->n; a++) {
        const ScType *t = im_type_of(n, x);
        const ScTerm *reach =
            sc_term_addc(cx, sc_term_scale(cx, sc_term_addc(cx, out[2 + a], -1), w->stride[a]),
                         (w->kernel[a] - 1) * w->dilation[a] + 1);
        const ScTerm *have = sc_term_add(cx, t->dim[2 + a], w->pads[a]);
        const ScTerm *size[] = {w->pads[a], sc_term_max(cx, sc_term_sub(cx, reach, have), zero)};
        ScVal part[3];
        uint32_t n_part = 0;
        for (uint32_t end = 0; end < 2; end++) {
            im_dims(t, dim);
            dim[2 + a] = size[end];
            if (end == 1)
                part[n_part++] = x;
            if (!sc_term_is(size[end], 0))
                part[n_part++] = im_expand(n, least(n, t->dtype), t->rank, dim);
        }
        x = im_concat(n, 2 + a, n_part, part);
        if (x == SC_POISON)
            return x;
    }
    return x;
}

/* The elements of x that element k of each window is. */
static ScVal tap(const ImNode *n, const ImWindow *w, ScVal x, const int64_t *k,
                 const ScTerm *const *out)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *from[SCRT_MAX_RANK], *to[SCRT_MAX_RANK];
    int64_t axes[SCRT_MAX_RANK];
    for (uint32_t a = 0; a < w->n; a++) {
        axes[a] = 2 + a;
        from[a] = sc_term(cx, k[a] * w->dilation[a]);
        to[a] = sc_term_addc(cx, sc_term_scale(cx, sc_term_addc(cx, out[2 + a], -1), w->stride[a]),
                             k[a] * w->dilation[a] + 1);
    }
    return sc_op_at(&n->im->b, slice,
                    SC_ATTRS(SC_TERMS(w->n, from), SC_TERMS(w->n, to), SC_INTS(w->n, axes),
                             SC_INTS(w->n, w->stride)),
                    x);
}

/* An axis' number times by, to broadcast over those behind. */
static ScVal along(const ImNode *n, const ScTerm *extent, uint32_t after, ScVal by)
{
    return OP(mul, im_iota(n, extent, after), by);
}

typedef struct Walk {
    const ImNode *n;
    const ImWindow *w;
    const ScTerm *const *out;  /* extents of the pool's result */
    ScVal step[SCRT_MAX_RANK]; /* how far one element along a spatial axis is, i64 */
    const ScTerm *plane;       /* elements of a channel */
} Walk;

static Walk walk(const ImNode *n, const ImWindow *w, bool by_column, const ScTerm *const *out)
{
    Walk k = {.n = n, .w = w, .out = out, .plane = sc_term(n->im->cx, 1)};
    for (uint32_t i = 0; i < w->n; i++) {
        uint32_t a = by_column ? i : w->n - 1 - i;
        k.step[a] = im_number(n, k.plane);
        k.plane = sc_term_mul(n->im->cx, k.plane, im_type(n, 0)->dim[2 + a]);
    }
    return k;
}

/* Where each window begins, were there no pads: it may lie before x. */
static ScVal beginnings(const Walk *k)
{
    const ImNode *n = k->n;
    ScCtx *cx = n->im->cx;
    const ScType *t = im_type(n, 0);
    const ScTerm *head[SCRT_MAX_RANK] = {t->dim[0], t->dim[1]};
    for (uint32_t a = 0; a < k->w->n; a++)
        head[2 + a] = sc_term(cx, 1);
    ScVal at = along(n, sc_term_mul(cx, t->dim[0], t->dim[1]), 0, im_number(n, k->plane));
    at = im_reshape(n, at, t->rank, head);
    for (uint32_t a = 0; a < k->w->n; a++) {
        ScVal stride = OP(mul, k->step[a], im_number(n, sc_term(cx, k->w->stride[a])));
        at = OP(add, at, along(n, k->out[2 + a], k->w->n - 1 - a, stride));
        at = OP(sub, at, OP(mul, k->step[a], im_number(n, k->w->pads[a])));
    }
    return at;
}

/* How far element e of a window lies behind its beginning. */
static ScVal distance(const Walk *k, const int64_t *e)
{
    const ImNode *n = k->n;
    ScCtx *cx = n->im->cx;
    ScVal d = im_number(n, sc_term(cx, 0));
    for (uint32_t a = 0; a < k->w->n; a++) {
        ScVal by = im_number(n, sc_term(cx, e[a] * k->w->dilation[a]));
        d = OP(add, d, OP(mul, k->step[a], by));
    }
    return d;
}

/* Of equal elements the first. */
ScVal im_pool_indices(const ImNode *n, const ImWindow *w, bool by_column, const ScTerm *const *out)
{
    ScVal best = SC_ABSENT, at = SC_ABSENT;
    int64_t e[SCRT_MAX_RANK] = {0}, taps = 1;
    for (uint32_t a = 0; a < w->n; a++)
        taps *= taps > MAX_TAPS ? 1 : w->kernel[a];
    if (taps > MAX_TAPS) {
        sc_fail(n->im->cx, n->loc, SC_E_UNSUPPORTED, "MaxPool with indices and a window of %lld",
                (long long)taps);
        return SC_POISON;
    }
    Walk k = walk(n, w, by_column, out);
    ScVal x = padded(n, w, im_in(n, 0), out);
    for (int64_t i = 0; i < taps && x != SC_POISON; i++) {
        ScVal v = tap(n, w, x, e, out), here = distance(&k, e);
        ScVal better = i ? OP(greater, v, best) : SC_ABSENT;
        best = i ? OP(where, better, v, best) : v;
        at = i ? OP(where, better, here, at) : here;
        for (uint32_t a = w->n; a-- > 0 && ++e[a] == w->kernel[a];)
            e[a] = 0;
    }
    return x == SC_POISON ? x : OP(add, beginnings(&k), at);
}

/* Zeros but for the elements of x at their indices, which count in the extents that the attributes
 * give; a larger output shape has more zeros behind. */
static bool max_unpool(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    bool ok = true;
    uint32_t n_pad, n_shape = 0;
    ImWindow w;
    if (!im_arity(n, 2, 3) || !IM_ONLY(n, "kernel_shape", "pads", "strides") || !im_window(n, &w))
        return false;
    uint32_t n_kernel;
    const int64_t *kernel = im_ints(n, "kernel_shape", &n_kernel, &ok);
    const int64_t *pads = im_ints(n, "pads", &n_pad, &ok);
    if (!ok || n_kernel != w.n || (pads && n_pad != 2 * w.n))
        return ok && sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"kernel_shape\" or \"pads\"");
    const ScType *x = im_type(n, 0);
    const ScTerm *dim[SCRT_MAX_RANK] = {x->dim[0], x->dim[1]}, *count = sc_type_count(cx, x);
    const ScTerm *const *shape = im_has(n, 2) ? im_content(n, 2, &n_shape) : NULL;
    if (im_has(n, 2) && (!shape || n_shape != x->rank))
        return shape && sc_fail(cx, n->loc, SC_E_SHAPE, "%u extents", n_shape);
    for (uint32_t a = 0; a < w.n; a++)
        dim[2 + a] =
            sc_term_addc(cx, sc_term_scale(cx, sc_term_addc(cx, x->dim[2 + a], -1), w.stride[a]),
                         kernel[a] - (pads ? pads[a] + pads[w.n + a] : 0));
    const ScTerm *all = sc_term(cx, 1);
    for (uint32_t d = 0; d < x->rank; d++)
        all = sc_term_mul(cx, all, dim[d]);
    ScVal none = im_expand(n, im_scalar(n, x->dtype, 0), 1, &all);
    ScVal in[] = {none, im_reshape(n, im_in(n, 1), 1, &count),
                  im_reshape(n, im_in(n, 0), 1, &count)};
    ScVal y =
        im_build(n, &sc_op_scatter_elements,
                 IM_SET({"reduction", SC_STR(sc_intern(cx, "none"))}, {"axis", SC_INT(0)}), 3, in);
    y = im_reshape(n, y, x->rank, dim);
    for (uint32_t d = 0; shape && d < x->rank; d++) {
        const ScTerm *more = sc_term_sub(cx, shape[d], dim[d]);
        if (sc_term_is(more, 0))
            continue;
        if (!im_require(n, SC_GUARD_AT_MOST, dim[d], shape[d], "extents and those asked for"))
            return false;
        const ScTerm *rest[SCRT_MAX_RANK];
        im_dims(sc_built(b, y)->type, rest);
        rest[d] = more;
        ScVal part[] = {y, im_expand(n, im_scalar(n, x->dtype, 0), x->rank, rest)};
        y = im_concat(n, d, 2, part);
        if (y == SC_POISON)
            return false;
    }
    return im_answer(y, ret_out);
}

const ImAdapter im_unpool_adapters[] = {
    {"", "MaxUnpool", 9, 0, max_unpool, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
