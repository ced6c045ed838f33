/* SPDX-License-Identifier: Apache-2.0 */
/* DeformConv: a convolution whose taps are moved by offsets of their own. What they read, between
 * elements, is gathered into rows, which a product sums up. Names of extents: N batch, C channels,
 * G groups of channels that are moved alike, K taps, Y and X of the result. */
#include "frontend/frontend_priv.h"

#define OP(op, ...) sc_op(&d->n->im->b, op, __VA_ARGS__)
#define NUM(x)      im_scalar(d->n, d->t, (x))

enum { INPUT, WEIGHT, OFFSET, BIAS, MASK };

typedef struct Deform {
    const ImNode *n;
    ImWindow w;
    int64_t pad[4], groups, moved; /* moved: G */
    ScrtDtype t;
    const ScType *x;
    const ScTerm *taps, *each; /* K; channels in one of G */
    const ScTerm *place[5];    /* N, G, K, Y, X */
    ScVal index[2][2]; /* of each axis, of the element before a position and of that behind */
    ScVal share[2][2]; /* what they weigh: 0 where they are outside */
} Deform;

static bool read_attributes(Deform *d)
{
    const ImNode *n = d->n;
    bool ok = true;
    uint32_t n_pad = 0;
    d->groups = im_int(n, "group", 1, &ok);
    d->moved = im_int(n, "offset_group", 1, &ok);
    const int64_t *pads = im_ints(n, "pads", &n_pad, &ok);
    if (!ok || !im_arity(n, 3, 5) ||
        !IM_ONLY(n, "dilations", "group", "kernel_shape", "offset_group", "pads", "strides"))
        return false;
    if (im_type(n, INPUT)->rank != 4 || im_type(n, WEIGHT)->rank != 4 ||
        im_type(n, OFFSET)->rank != 4 || (im_has(n, MASK) && im_type(n, MASK)->rank != 4))
        return sc_fail(n->im->cx, n->loc, SC_E_RANK, "operands have rank 4");
    for (uint32_t i = 0; pads && n_pad == 4 && i < 4; i++)
        ok = ok && pads[i] >= INT32_MIN && pads[i] <= INT32_MAX;
    if (!ok || d->groups < 1 || d->groups > INT32_MAX || d->moved < 1 || d->moved > INT32_MAX ||
        (pads && n_pad != 4))
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE,
                       "\"group\" %lld, \"offset_group\" %lld, %u pads", (long long)d->groups,
                       (long long)d->moved, n_pad);
    for (uint32_t i = 0; pads && i < 4; i++)
        d->pad[i] = pads[i];
    d->w.n = 2;
    return im_window_of_weight(n, &d->w) && im_window(n, &d->w);
}

/* What the offsets' extents must be, and the channels. */
static bool extents(Deform *d)
{
    const ImNode *n = d->n;
    ScCtx *cx = n->im->cx;
    const ScType *x = im_type(n, INPUT), *o = im_type(n, OFFSET), *w = im_type(n, WEIGHT);
    const ScTerm *g = sc_term(cx, d->moved);
    d->x = x;
    d->t = im_at_least_f32(x->dtype);
    d->taps = sc_term(cx, d->w.kernel[0] * d->w.kernel[1]);
    d->each = sc_term_fdiv(cx, x->dim[1], g);
    const ScTerm *place[] = {x->dim[0], g, d->taps, o->dim[2], o->dim[3]};
    for (uint32_t i = 0; i < 5; i++)
        d->place[i] = place[i];
    for (uint32_t a = 0; a < 2; a++) {
        const int64_t reach = (d->w.kernel[a] - 1) * d->w.dilation[a] + 1;
        const ScTerm *room = sc_term_addc(cx, x->dim[2 + a], d->pad[a] + d->pad[2 + a] - reach);
        const ScTerm *out =
            sc_term_addc(cx, sc_term_fdiv(cx, room, sc_term(cx, d->w.stride[a])), 1);
        if (!im_require(n, SC_GUARD_EQUAL, out, o->dim[2 + a], "extents of the offsets"))
            return false;
    }
    return im_require(n, SC_GUARD_DIVIDES, g, x->dim[1], "groups of offsets and channels") &&
           im_require(n, SC_GUARD_EQUAL, sc_term_scale(cx, w->dim[1], d->groups), x->dim[1],
                      "channels of the groups") &&
           im_require(n, SC_GUARD_EQUAL, sc_term_scale(cx, d->taps, 2 * d->moved), o->dim[1],
                      "offsets of the taps");
}

/* i of an extent, along axis `at` of five. */
static ScVal along(const Deform *d, const ScTerm *count, uint32_t at)
{
    return im_iota(d->n, count, 4 - at);
}

/* Where the taps read along an axis: [N, G, K, Y, X]. */
static void positions(Deform *d, uint32_t axis)
{
    const ImNode *n = d->n;
    ScCtx *cx = n->im->cx;
    const ScTerm *two = sc_term(cx, 2), *one = sc_term(cx, 1);
    const ScTerm *pairs[] = {d->place[0], d->place[1], d->place[2], two, d->place[3], d->place[4]};
    ScVal o = im_reshape(n, im_cast(n, im_in(n, OFFSET), d->t), 6, pairs);
    o = im_reshape(n, im_slice(n, o, 3, sc_term(cx, axis), sc_term(cx, axis + 1)), 5, d->place);
    /* tap k is (k / width, k mod width) */
    const ScTerm *row = sc_term(cx, d->w.kernel[1]), *height = sc_term(cx, d->w.kernel[0]);
    const ScTerm *grid[] = {height, row}, *column[] = {d->taps, one, one};
    const ScTerm *own[] = {axis ? one : height, axis ? row : one};
    ScVal k = im_reshape(n, im_iota(n, axis ? row : height, 0), 2, own);
    k = im_reshape(n, im_expand(n, k, 2, grid), 3, column);
    ScVal i = OP(mul, along(d, d->place[3 + axis], 3 + axis),
                 im_number(n, sc_term(cx, d->w.stride[axis])));
    ScVal at = OP(add, i, OP(mul, k, im_number(n, sc_term(cx, d->w.dilation[axis]))));
    at = OP(sub, at, im_number(n, sc_term(cx, d->pad[axis])));
    ScVal p = OP(add, im_cast(n, at, d->t), o), low = OP(floor, p), r = OP(sub, p, low);
    ScVal last = im_cast(n, im_number(n, sc_term_addc(cx, d->x->dim[2 + axis], -1)), d->t);
    for (uint32_t k2 = 0; k2 < 2; k2++) {
        ScVal e = OP(add, low, NUM(k2)), inside = OP(clip, e, NUM(0), last);
        d->share[axis][k2] = OP(where, OP(equal, e, inside), k2 ? r : OP(sub, NUM(1), r), NUM(0));
        d->index[axis][k2] = im_cast(n, inside, SCRT_I64);
    }
}

/* What the taps read, [N, G, K, Y, X, C / G]. */
static ScVal sampled(const Deform *d)
{
    static const int64_t channels_last[] = {0, 1, 3, 4, 2};
    const ImNode *n = d->n;
    ScCtx *cx = n->im->cx;
    const ScTerm *height = d->x->dim[2], *width = d->x->dim[3], *one = sc_term(cx, 1);
    const ScTerm *apart[] = {d->place[0], d->place[1], d->each, height, width};
    const ScTerm *rows[] = {
        sc_term_mul(cx, sc_term_mul(cx, d->place[0], d->place[1]), sc_term_mul(cx, height, width)),
        d->each};
    const ScTerm *weights[] = {d->place[0], d->place[1], d->place[2],
                               d->place[3], d->place[4], one};
    ScVal x = im_reshape(n, im_cast(n, im_in(n, INPUT), d->t), 5, apart);
    x = im_reshape(n, im_transpose(n, x, 5, channels_last), 2, rows);
    ScVal image = OP(add, OP(mul, along(d, d->place[0], 0), im_number(n, d->place[1])),
                     along(d, d->place[1], 1));
    ScVal sum = SC_ABSENT;
    for (uint32_t k = 0; k < 4; k++) {
        ScVal at = OP(add, OP(mul, image, im_number(n, height)), d->index[0][k / 2]);
        at = OP(add, OP(mul, at, im_number(n, width)), d->index[1][k % 2]);
        ScVal share = OP(mul, d->share[0][k / 2], d->share[1][k % 2]);
        if (im_has(n, MASK))
            share = OP(mul, share, im_reshape(n, im_cast(n, im_in(n, MASK), d->t), 5, d->place));
        ScVal part = OP(mul, im_gather(n, x, 0, at), im_reshape(n, share, 6, weights));
        sum = k ? OP(add, sum, part) : part;
    }
    return sum;
}

/* All are computed in one type, which would hide that they are of several. */
static bool is_of_one_type(const ImNode *n)
{
    ScrtDtype t = im_type(n, INPUT)->dtype;
    for (uint32_t i = 1; i < n->n_in; i++)
        if (im_has(n, i) && im_type(n, i)->dtype != t)
            return sc_fail(n->im->cx, n->loc, SC_E_TYPE, "%s and %s", scrt_dtype_name(t),
                           scrt_dtype_name(im_type(n, i)->dtype));
    return true;
}

static bool deform(const ImNode *n, ScVal *ret_out)
{
    static const int64_t taps_inside[] = {0, 1, 5, 2, 3, 4};
    Deform all = {.n = n}, *d = &all;
    ScCtx *cx = n->im->cx;
    if (!read_attributes(d) || !is_of_one_type(n) || !extents(d))
        return false;
    positions(d, 0);
    positions(d, 1);
    const ScType *w = im_type(n, WEIGHT);
    const ScTerm *g = sc_term(cx, d->groups), *one = sc_term(cx, 1);
    const ScTerm *depth = sc_term_mul(cx, w->dim[1], d->taps);
    const ScTerm *out = sc_term_fdiv(cx, w->dim[0], g);
    const ScTerm *rows[] = {d->place[0], g, depth, sc_term_mul(cx, d->place[3], d->place[4])};
    const ScTerm *weight[] = {one, g, out, depth};
    const ScTerm *result[] = {d->place[0], w->dim[0], d->place[3], d->place[4]};
    if (!im_require(n, SC_GUARD_DIVIDES, g, w->dim[0], "groups and channels of the result"))
        return false;
    ScVal s = im_reshape(n, im_transpose(n, sampled(d), 6, taps_inside), 4, rows);
    ScVal y = OP(matmul, im_reshape(n, im_cast(n, im_in(n, WEIGHT), d->t), 4, weight), s);
    y = im_reshape(n, y, 4, result);
    if (im_has(n, BIAS)) {
        const ScTerm *channel[] = {w->dim[0], one, one};
        y = OP(add, y, im_reshape(n, im_cast(n, im_in(n, BIAS), d->t), 3, channel));
    }
    return im_answer(im_cast(n, y, d->x->dtype), ret_out);
}

const ImAdapter im_deform_adapters[] = {
    {"", "DeformConv", 19, 0, deform, 1, 0},
    {NULL, NULL, 0, 0, NULL, 0, 0},
};
