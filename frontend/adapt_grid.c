/* SPDX-License-Identifier: Apache-2.0 */
/* GridSample and AffineGrid: an image read at positions that a grid holds, by gathers from its
 * elements laid out one after the other, and the grid itself. */
#include "frontend/frontend_priv.h"

#include <string.h>

#define MAX_SPACE 3
#define MAX_TAPS  4

typedef struct Sample {
    const ImNode *n;
    uint32_t space; /* spatial axes */
    bool cubic, nearest, zeros, reflect, corners;
    const ScType *x;
    ScrtDtype t; /* that positions and weights are computed in */
    /* For each axis and tap: where it reads (i64) and what it weighs, both [N, out..]. */
    ScVal index[MAX_SPACE][MAX_TAPS], weight[MAX_SPACE][MAX_TAPS];
    uint32_t taps;
} Sample;

#define OP(op, lhs, rhs) sc_op(&s->n->im->b, op, (lhs), (rhs))
#define NUM(x)           im_scalar(s->n, s->t, (x))

static ScVal extent(const Sample *s, uint32_t axis)
{
    return im_cast(s->n, im_number(s->n, s->x->dim[2 + axis]), s->t);
}

/* p folded back at the borders, which are the centres of the outer elements or their edges. */
static ScVal reflected(const Sample *s, uint32_t axis, ScVal p)
{
    ScVal d = extent(s, axis), lo = NUM(s->corners ? 0 : -0.5);
    ScVal span = OP(max, s->corners ? OP(sub, d, NUM(1)) : d, NUM(1)), twice = OP(add, span, span);
    ScVal m = sc_op_at(&s->n->im->b, mod, SC_ATTRS(SC_INT(1)),
                       sc_op(&s->n->im->b, abs, OP(sub, p, lo)), twice);
    return OP(add, lo, OP(min, m, OP(sub, twice, m)));
}

static ScVal bounded(const Sample *s, uint32_t axis, ScVal p)
{
    return sc_op(&s->n->im->b, clip, p, NUM(0), OP(sub, extent(s, axis), NUM(1)));
}

/* Keys' weights for taps at floor(p) - 1 .. + 2, r in [0, 1) beyond floor(p): |d| <= 1, or <= 2. */
static ScVal cubic_weight(const Sample *s, ScVal r, int tap)
{
    const double a = -0.75;
    ScVal d = sc_op(&s->n->im->b, abs, OP(sub, NUM(tap - 1), r));
    ScVal near = OP(sub, OP(mul, d, NUM(a + 2)), NUM(a + 3));
    ScVal far = OP(sub, OP(mul, d, NUM(a)), NUM(5 * a));
    if (tap == 1 || tap == 2)
        return OP(add, OP(mul, near, OP(mul, d, d)), NUM(1));
    return OP(sub, OP(mul, OP(add, OP(mul, far, d), NUM(8 * a)), d), NUM(4 * a));
}

/* The taps of one axis around position p. */
static void taps_of(Sample *s, uint32_t axis, ScVal p)
{
    ScBuild *b = &s->n->im->b;
    p = s->nearest ? sc_op(b, round, p) : p;
    if (s->reflect)
        p = reflected(s, axis, p);
    else if (!s->zeros)
        p = bounded(s, axis, p);
    ScVal at = sc_op(b, floor, p), r = OP(sub, p, at);
    for (uint32_t k = 0; k < s->taps; k++) {
        ScVal i = s->nearest ? at : OP(add, at, NUM(s->cubic ? (double)k - 1 : (double)k)),
              w = NUM(1);
        if (s->cubic)
            w = cubic_weight(s, r, (int)k);
        else if (!s->nearest)
            w = k ? r : OP(sub, NUM(1), r);
        ScVal inside = bounded(s, axis, s->reflect ? reflected(s, axis, i) : i);
        if (s->zeros)
            w = sc_op(b, where, OP(equal, i, inside), w, NUM(0));
        s->weight[axis][k] = w;
        s->index[axis][k] = im_cast(s->n, inside, SCRT_I64);
    }
}

/* Component c of the grid as positions along an axis of x: from [-1, 1] to elements. */
static ScVal position(const Sample *s, uint32_t axis, const ScType *grid)
{
    ScCtx *cx = s->n->im->cx;
    int64_t c = s->space - 1 - axis;
    ScVal g = im_slice(s->n, im_in(s->n, 1), grid->rank - 1, sc_term(cx, c), sc_term(cx, c + 1));
    g = im_cast(s->n, im_reshape(s->n, g, grid->rank - 1, grid->dim), s->t);
    ScVal d = extent(s, axis), up = OP(add, g, NUM(1));
    if (s->corners)
        return OP(mul, OP(mul, up, NUM(0.5)), OP(sub, d, NUM(1)));
    return OP(mul, OP(sub, OP(mul, up, d), NUM(1)), NUM(0.5));
}

/* x [N, C, space..] as rows [N * space.., C], which are gathered. */
static ScVal as_rows(const Sample *s)
{
    ScCtx *cx = s->n->im->cx;
    int64_t perm[2 + MAX_SPACE] = {0};
    const ScTerm *dim[] = {s->x->dim[0], s->x->dim[1]};
    for (uint32_t a = 0; a < s->space; a++) {
        perm[1 + a] = 2 + a;
        dim[0] = sc_term_mul(cx, dim[0], s->x->dim[2 + a]);
    }
    perm[1 + s->space] = 1;
    return im_reshape(s->n, im_transpose(s->n, im_in(s->n, 0), 2 + s->space, perm), 2, dim);
}

/* The sum over all combinations of taps. */
static ScVal sampled(const Sample *s, const ScType *grid)
{
    const ImNode *n = s->n;
    ScBuild *b = &n->im->b;
    const ScTerm *wide[2 + MAX_SPACE];
    ScVal rows = im_cast(n, as_rows(s), s->t), sum = SC_ABSENT;
    uint32_t rank = grid->rank, all = 1;
    im_dims(grid, wide);
    wide[rank - 1] = sc_term(b->cx, 1);
    for (uint32_t a = 0; a < s->space; a++)
        all *= s->taps;
    for (uint32_t k = 0; k < all; k++) {
        ScVal at = im_iota(n, s->x->dim[0], rank - 2), weight = SC_ABSENT;
        for (uint32_t a = 0, rest = k; a < s->space; a++, rest /= s->taps) {
            uint32_t tap = rest % s->taps;
            at = OP(add, OP(mul, at, im_number(n, s->x->dim[2 + a])), s->index[a][tap]);
            weight = a ? OP(mul, weight, s->weight[a][tap]) : s->weight[a][tap];
        }
        ScVal part = im_gather(n, rows, 0, at);
        if (!s->nearest || s->zeros)
            part =
                OP(mul, part, im_reshape(n, im_expand(n, weight, rank - 1, grid->dim), rank, wide));
        sum = k ? OP(add, sum, part) : part;
    }
    return sum;
}

/* The linear and cubic modes were called bilinear and bicubic before opset 20. */
static bool grid_sample(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    if (!im_arity(n, 2, 2) || !IM_ONLY(n, "align_corners", "mode", "padding_mode"))
        return false;
    const ScType *x = im_type(n, 0), *grid = im_type(n, 1);
    const char *mode = im_str(n, "mode", "linear", &ok);
    const char *padding = im_str(n, "padding_mode", "zeros", &ok);
    mode += strncmp(mode, "bi", 2) ? 0 : 2;
    Sample s = {.n = n,
                .space = x->rank - 2,
                .x = x,
                .t = im_at_least_f32(x->dtype),
                .cubic = !strcmp(mode, "cubic"),
                .nearest = !strcmp(mode, "nearest"),
                .zeros = !strcmp(padding, "zeros"),
                .reflect = !strcmp(padding, "reflection"),
                .corners = im_int(n, "align_corners", 0, &ok)};
    s.taps = s.nearest ? 1 : s.cubic ? 4 : 2;
    if (!ok || (!s.cubic && !s.nearest && strcmp(mode, "linear")) ||
        (!s.zeros && !s.reflect && strcmp(padding, "border")))
        return ok && sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"mode\" %s, \"padding_mode\" %s", mode,
                             padding);
    if (x->rank < 3 || s.space > MAX_SPACE || grid->rank != x->rank)
        return sc_fail(cx, n->loc, SC_E_RANK, "x of rank %u, a grid of rank %u", x->rank,
                       grid->rank);
    if (!im_require(n, SC_GUARD_EQUAL, x->dim[0], grid->dim[0], "the batches of x and the grid") ||
        !im_require(n, SC_GUARD_EQUAL, sc_term(cx, s.space), grid->dim[grid->rank - 1],
                    "the components of the grid"))
        return false;
    for (uint32_t a = 0; a < s.space; a++)
        taps_of(&s, a, position(&s, a, grid));
    int64_t perm[2 + MAX_SPACE] = {0, grid->rank - 1};
    for (uint32_t a = 0; a < s.space; a++)
        perm[2 + a] = 1 + a;
    return im_answer(im_cast(n, im_transpose(n, sampled(&s, grid), grid->rank, perm), x->dtype),
                     ret_out);
}

/* The positions along an axis, in [-1, 1], of the image that theta is applied to. */
static ScVal base_positions(const ImNode *n, const ScTerm *extent, bool corners, ScrtDtype t)
{
    ScBuild *b = &n->im->b;
    ScVal i = im_cast(n, im_iota(n, extent, 0), t), one = im_scalar(n, t, 1);
    ScVal two = im_scalar(n, t, 2), d = im_cast(n, im_number(n, extent), t);
    if (corners)
        return sc_op(b, sub, sc_op(b, div, sc_op(b, mul, i, two), sc_op(b, sub, d, one)), one);
    return sc_op(b, sub, sc_op(b, div, sc_op(b, add, sc_op(b, mul, i, two), one), d), one);
}

/* [x, y, 1] or [x, y, z, 1] of each position, times theta [N, 2, 3] or [N, 3, 4]. */
static bool affine_grid(const ImNode *n, ScVal *ret_out)
{
    static const int64_t turn[] = {0, 2, 1};
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    bool ok = true;
    uint32_t len = 0;
    int64_t corners = im_int(n, "align_corners", 0, &ok);
    if (!ok || !im_arity(n, 2, 2) || !IM_ONLY(n, "align_corners"))
        return false;
    const ScType *t = im_type(n, 0);
    const ScTerm *const *size = im_content(n, 1, &len);
    if (!size)
        return false;
    if ((len != 4 && len != 5) || t->rank != 3)
        return sc_fail(cx, n->loc, SC_E_SHAPE, "theta has rank %u, there are %u extents", t->rank,
                       len);
    uint32_t space = len - 2;
    ScVal column[MAX_SPACE + 1];
    const ScTerm *dim[MAX_SPACE + 2], *count = sc_term(cx, 1), *one = count;
    for (uint32_t a = 0; a < space; a++) {
        dim[a] = size[2 + a];
        count = sc_term_mul(cx, count, size[2 + a]);
    }
    const ScTerm *flat[] = {count, one};
    for (uint32_t c = 0; c <= space; c++) { /* the last axis first, then a column of ones */
        uint32_t axis = c < space ? space - 1 - c : 0;
        const ScTerm *along[MAX_SPACE] = {size[2 + axis], one, one};
        ScVal p = c == space ? im_scalar(n, t->dtype, 1)
                             : base_positions(n, size[2 + axis], corners, t->dtype);
        if (c < space)
            p = im_reshape(n, p, space - axis, along);
        column[c] = im_reshape(n, im_expand(n, p, space, dim), 2, flat);
    }
    ScVal base = im_concat(n, 1, space + 1, column);
    ScVal y = sc_op(b, matmul, base, im_transpose(n, im_in(n, 0), 3, turn));
    const ScTerm *to[MAX_SPACE + 2] = {t->dim[0]};
    for (uint32_t a = 0; a < space; a++)
        to[1 + a] = size[2 + a];
    to[1 + space] = sc_term(cx, space);
    return im_answer(im_reshape(n, y, space + 2, to), ret_out);
}

const ImAdapter im_grid_adapters[] = {
    {"", "GridSample", 16, 0, grid_sample, 1},
    {"", "AffineGrid", 20, 0, affine_grid, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
