/* SPDX-License-Identifier: Apache-2.0 */
/* Parts and wholes: operators that only move elements, said by slices, views and concatenations. */
#include "frontend/frontend_priv.h"

#include <math.h>
#include <string.h>

/* --- Split ------------------------------------------------------------------------------------ */

/* The sizes of the parts, [n_output]: an attribute before opset 13, an operand since; without any,
 * equal ones (since opset 18 the last may be smaller). NULL after sc_fail. */
static const ScTerm *const *part_sizes(const ImNode *n, const ScTerm *extent)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    uint32_t len = 0, n_part = (uint32_t)n->pb->n_output;
    const ScTerm **size = sc_array(sc_ctx_arena(cx), const ScTerm *, n_part);
    const int64_t *is = im_ints(n, "split", &len, &ok);
    const ScTerm *const *ts = im_has(n, 1) ? im_content_of(n, 1, n_part) : NULL;
    int64_t parts = im_int(n, "num_outputs", n_part, &ok);
    if (!ok || (im_has(n, 1) && !ts))
        return NULL;
    parts = is ? len : ts ? n_part : parts;
    if (parts != n_part) {
        sc_fail(cx, n->loc, SC_E_ARITY, "%u results, %lld parts", n_part, (long long)parts);
        return NULL;
    }
    const ScTerm *count = sc_term(cx, n_part), *zero = sc_term(cx, 0), *sum = zero;
    for (uint32_t i = 0; i < n_part && ok; i++) {
        size[i] = ts ? ts[i] : is ? sc_term(cx, is[i]) : sc_term_cdiv(cx, extent, count);
        sum = sc_term_add(cx, sum, size[i]);
        ok = im_require(n, SC_GUARD_AT_MOST, zero, size[i], "the extent of a part");
    }
    if (ok && (is || ts))
        ok = im_require(n, SC_GUARD_EQUAL, sum, extent, "the extents of the parts and the whole");
    else if (ok && n->opset < 18)
        ok = im_require(n, SC_GUARD_DIVIDES, count, extent, "equal parts and the whole");
    return ok ? size : NULL;
}

static bool split(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    uint32_t axis = 0;
    if (!im_arity(n, 1, 2) || !IM_ONLY(n, "axis", "split", "num_outputs"))
        return false;
    const ScType *t = im_type(n, 0);
    int64_t at = im_int(n, "axis", 0, &ok);
    if (!ok || !im_axis(n, at, t->rank, &axis))
        return false;
    const ScTerm *const *size = part_sizes(n, t->dim[axis]), *from = sc_term(cx, 0);
    for (uint32_t i = 0; size && i < n->n_out; i++) {
        const ScTerm *to = sc_term_add(cx, from, size[i]);
        ret_out[i] = n->pb->n_output == 1 ? im_in(n, 0) : im_slice(n, im_in(n, 0), axis, from, to);
        ok = ok && ret_out[i] != SC_POISON;
        from = to;
    }
    return size && ok;
}

/* --- Tile ------------------------------------------------------------------------------------- */

/* x repeated along an axis: [.., d, ..] as [.., 1, d, ..], then [.., times, d, ..]. */
static ScVal repeat(const ImNode *n, ScVal x, uint32_t rank, const ScTerm **dim, uint32_t axis,
                    const ScTerm *times)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *wide[SCRT_MAX_RANK + 1];
    if (sc_term_is(times, 1))
        return x;
    if (!sc_term_is(dim[axis], 1)) {
        for (uint32_t d = 0; d <= rank; d++)
            wide[d] = d < axis ? dim[d] : d == axis ? sc_term(cx, 1) : dim[d - 1];
        x = im_reshape(n, x, rank + 1, wide);
        wide[axis] = times;
        x = im_expand(n, x, rank + 1, wide);
        dim[axis] = sc_term_mul(cx, dim[axis], times);
        return im_reshape(n, x, rank, dim);
    }
    dim[axis] = times;
    return im_expand(n, x, rank, dim);
}

static bool tile(const ImNode *n, ScVal *ret_out)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    if (!im_arity(n, 2, 2) || !IM_ONLY(n))
        return false;
    const ScType *t = im_type(n, 0);
    const ScTerm *const *times = im_content_of(n, 1, t->rank);
    if (!times)
        return false;
    if (t->rank == SCRT_MAX_RANK)
        return sc_fail(n->im->cx, n->loc, SC_E_LIMIT, "repeats for rank %u", t->rank);
    im_dims(t, dim);
    ScVal x = im_in(n, 0);
    for (uint32_t d = 0; d < t->rank; d++)
        x = repeat(n, x, t->rank, dim, d, times[d]);
    return im_answer(x, ret_out);
}

/* The first version repeated along one axis; how often and along which were numbers of x's type. */
static bool tile_axis(const ImNode *n, ScVal *ret_out)
{
    double times = 0, given = 0;
    uint32_t axis;
    const ScTerm *dim[SCRT_MAX_RANK];
    const ScType *t = im_type(n, 0);
    if (!im_arity(n, 3, 3) || !IM_ONLY(n) || !im_known1(n, 1, &times) || !im_known1(n, 2, &given) ||
        !im_axis(n, (int64_t)fmin(fmax(given, INT32_MIN), INT32_MAX), t->rank, &axis))
        return false;
    if (!(times >= 0 && times <= INT32_MAX) || t->rank == SCRT_MAX_RANK)
        return sc_fail(n->im->cx, n->loc, SC_E_LIMIT, "%g repeats for rank %u", times, t->rank);
    im_dims(t, dim);
    const ScTerm *repeats = sc_term(n->im->cx, (int64_t)times);
    return im_answer(repeat(n, im_in(n, 0), t->rank, dim, axis, repeats), ret_out);
}

/* --- Depth and space -------------------------------------------------------------------------- */

/* x [N, C, H, W], C = depth b b, as [N, depth b b apart, H, W], moved, and joined. */
static bool depth_to_space(const ImNode *n, ScVal *ret_out)
{
    static const int64_t dcr[] = {0, 3, 4, 1, 5, 2}, crd[] = {0, 1, 4, 2, 5, 3};
    ScCtx *cx = n->im->cx;
    bool ok = true;
    if (!im_arity(n, 1, 1) || !IM_ONLY(n, "blocksize", "mode"))
        return false;
    const ScType *t = im_type(n, 0);
    int64_t size = im_int(n, "blocksize", 0, &ok);
    const char *mode = im_str(n, "mode", "DCR", &ok);
    bool depth_last = !strcmp(mode, "DCR");
    if (!ok || t->rank != 4 || size < 1 || (!depth_last && strcmp(mode, "CRD")))
        return ok && sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "x of rank %u, \"blocksize\" %lld",
                             t->rank, (long long)size);
    const ScTerm *b = sc_term(cx, size);
    const ScTerm *depth = sc_term_fdiv(cx, t->dim[1], sc_term_mul(cx, b, b));
    const ScTerm *apart[2][6] = {{t->dim[0], depth, b, b, t->dim[2], t->dim[3]},
                                 {t->dim[0], b, b, depth, t->dim[2], t->dim[3]}};
    const ScTerm *to[] = {t->dim[0], depth, sc_term_mul(cx, t->dim[2], b),
                          sc_term_mul(cx, t->dim[3], b)};
    ScVal x = im_reshape(n, im_in(n, 0), 6, apart[depth_last]);
    x = im_transpose(n, x, 6, depth_last ? dcr : crd);
    return im_answer(im_reshape(n, x, 4, to), ret_out);
}

static bool space_to_depth(const ImNode *n, ScVal *ret_out)
{
    static const int64_t perm[] = {0, 3, 5, 1, 2, 4};
    ScCtx *cx = n->im->cx;
    bool ok = true;
    if (!im_arity(n, 1, 1) || !IM_ONLY(n, "blocksize"))
        return false;
    const ScType *t = im_type(n, 0);
    int64_t size = im_int(n, "blocksize", 0, &ok);
    if (!ok || t->rank != 4 || size < 1)
        return ok && sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "x of rank %u, \"blocksize\" %lld",
                             t->rank, (long long)size);
    const ScTerm *b = sc_term(cx, size), *h = sc_term_fdiv(cx, t->dim[2], b);
    const ScTerm *w = sc_term_fdiv(cx, t->dim[3], b);
    const ScTerm *apart[] = {t->dim[0], t->dim[1], h, b, w, b};
    const ScTerm *to[] = {t->dim[0], sc_term_scale(cx, t->dim[1], size * size), h, w};
    ScVal x = im_transpose(n, im_reshape(n, im_in(n, 0), 6, apart), 6, perm);
    return im_answer(im_reshape(n, x, 4, to), ret_out);
}

/* --- Pad -------------------------------------------------------------------------------------- */

typedef enum PadMode { PAD_CONSTANT, PAD_EDGE, PAD_REFLECT, PAD_WRAP } PadMode;

/* The index in x, of extent d, that element i of the padded axis is a copy of: i - before folded
 * back into [0, d). */
static ScVal folded(const ImNode *n, PadMode mode, const ScTerm *d, const ScTerm *before,
                    const ScTerm *extent)
{
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    ScVal i = sc_op(b, sub, im_iota(n, extent, 0), im_number(n, before));
    ScVal last = im_number(n, sc_term_addc(cx, d, -1));
    if (mode == PAD_EDGE)
        return sc_op(b, clip, i, im_number(n, sc_term(cx, 0)), last);
    if (mode == PAD_WRAP)
        return sc_op(b, mod, i, im_number(n, d));
    /* there and back: a period of 2 (d - 1), at least 1 */
    const ScTerm *period =
        sc_term_max(cx, sc_term_addc(cx, sc_term_scale(cx, d, 2), -2), sc_term(cx, 1));
    ScVal m = sc_op(b, mod, i, im_number(n, period));
    return sc_op(b, sub, last, sc_op(b, abs, sc_op(b, sub, m, last)));
}

/* A block of the value beside x. */
static ScVal block(const ImNode *n, ScVal value, uint32_t rank, const ScTerm *const *like,
                   uint32_t axis, const ScTerm *extent)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    memcpy(dim, like, rank * sizeof *dim);
    dim[axis] = extent;
    return im_expand(n, value, rank, dim);
}

/* What a pad of x adds, and what one below 0 cuts off; of most the sign is known. */
static const ScTerm *added(ScCtx *cx, const ScTerm *pad)
{
    return sc_term_range(cx, pad).lo >= 0 ? pad : sc_term_max(cx, pad, sc_term(cx, 0));
}

static const ScTerm *cut(ScCtx *cx, const ScTerm *pad)
{
    return sc_term_range(cx, pad).lo >= 0 ? sc_term(cx, 0) : added(cx, sc_term_scale(cx, pad, -1));
}

/* One axis; dim is kept up to date. Negative pads cut off, first. */
static ScVal pad_axis(const ImNode *n, PadMode mode, ScVal x, ScVal value, uint32_t rank,
                      const ScTerm **dim, uint32_t axis, const ScTerm *before, const ScTerm *after)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *from = cut(cx, before);
    const ScTerm *to = sc_term_sub(cx, dim[axis], cut(cx, after));
    if (!sc_term_is(from, 0) || to != dim[axis]) {
        if (!im_require(n, SC_GUARD_AT_MOST, from, to, "what pads below 0 leave"))
            return SC_POISON;
        x = im_slice(n, x, axis, from, to);
        dim[axis] = im_type_of(n, x)->dim[axis];
    }
    before = added(cx, before);
    after = added(cx, after);
    if (sc_term_is(before, 0) && sc_term_is(after, 0))
        return x;
    const ScTerm *old = dim[axis];
    ScVal part[3];
    uint32_t n_part = 0;
    dim[axis] = sc_term_add(cx, old, sc_term_add(cx, before, after));
    if (mode != PAD_CONSTANT)
        return im_gather(n, x, axis, folded(n, mode, old, before, dim[axis]));
    if (!sc_term_is(before, 0))
        part[n_part++] = block(n, value, rank, dim, axis, before);
    part[n_part++] = x;
    if (!sc_term_is(after, 0))
        part[n_part++] = block(n, value, rank, dim, axis, after);
    return im_concat(n, axis, n_part, part);
}

/* The pads of all axes: [2 rank], the ends after the beginnings. */
static const ScTerm *const *all_pads(const ImNode *n, uint32_t rank)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    uint32_t len = 0, n_axes = rank, at = 0;
    const char *name = n->opset < 2 ? "paddings" : "pads";
    const ScTerm **pads = sc_array(sc_ctx_arena(cx), const ScTerm *, 2 * rank + 1);
    const int64_t *is = n->opset < 11 ? im_ints(n, name, &len, &ok) : NULL, *axes = NULL;
    if (im_has(n, 3))
        axes = im_const_ints(n, 3, &n_axes);
    const ScTerm *const *ts =
        n->opset < 11 || (im_has(n, 3) && !axes) ? NULL : im_content_of(n, 1, 2 * n_axes);
    if (!ok || (n->opset < 11 ? !is : !ts) || (im_has(n, 3) && !axes))
        return NULL;
    if (is && len != 2 * n_axes) {
        sc_fail(cx, n->loc, SC_E_SHAPE, "%u pads for %u axes", len, n_axes);
        return NULL;
    }
    for (uint32_t i = 0; i < 2 * rank; i++)
        pads[i] = sc_term(cx, 0);
    for (uint32_t i = 0; i < n_axes; i++) {
        if (!im_axis(n, axes ? axes[i] : i, rank, &at))
            return NULL;
        pads[at] = is ? sc_term(cx, is[i]) : ts[i];
        pads[rank + at] = is ? sc_term(cx, is[n_axes + i]) : ts[n_axes + i];
    }
    return pads;
}

static bool pad_mode(const ImNode *n, PadMode *ret)
{
    static const char *const name[] = {"constant", "edge", "reflect", "wrap"};
    bool ok = true;
    const char *mode = im_str(n, "mode", name[0], &ok);
    for (uint32_t i = 0; ok && i < 4; i++)
        if (!strcmp(mode, name[i])) {
            *ret = (PadMode)i;
            return true;
        }
    return ok && sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"mode\" is \"%s\"", mode);
}

/* Before opset 11 pads and value were attributes. */
static bool pad(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    PadMode mode = PAD_CONSTANT;
    const ScTerm *dim[SCRT_MAX_RANK];
    if (!im_arity(n, n->opset < 11 ? 1 : 2, 4) ||
        !IM_ONLY(n, "mode", n->opset < 2 ? "paddings" : "pads", "value") || !pad_mode(n, &mode))
        return false;
    const ScType *t = im_type(n, 0);
    double c = im_float(n, "value", 0, &ok);
    const ScTerm *const *pads = all_pads(n, t->rank);
    if (!ok || !pads)
        return false;
    ScVal x = im_in(n, 0);
    ScVal value = im_has(n, 2) ? im_reshape(n, im_in(n, 2), 0, NULL) : im_scalar(n, t->dtype, c);
    im_dims(t, dim);
    for (uint32_t d = 0; d < t->rank; d++)
        x = pad_axis(n, mode, x, value, t->rank, dim, d, pads[d], pads[t->rank + d]);
    return im_answer(x, ret_out);
}

/* t / 2, rounded toward 0. */
static const ScTerm *half(ScCtx *cx, const ScTerm *t)
{
    const ScTerm *two = sc_term(cx, 2), *zero = sc_term(cx, 0);
    return sc_term_add(cx, sc_term_max(cx, sc_term_fdiv(cx, t, two), zero),
                       sc_term_min(cx, sc_term_cdiv(cx, t, two), zero));
}

/* Where the new extent is odd against the old one, the larger half of what is added or cut lies
 * behind. */
static bool center_crop_pad(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    uint32_t n_axes = 0, len = 0, at = 0;
    const ScTerm *dim[SCRT_MAX_RANK];
    if (!im_arity(n, 2, 2) || !IM_ONLY(n, "axes"))
        return false;
    const ScType *t = im_type(n, 0);
    const int64_t *axes = im_ints(n, "axes", &n_axes, &ok);
    const ScTerm *const *want = im_content(n, 1, &len);
    if (!ok || !want)
        return false;
    if (len != (axes ? n_axes : t->rank))
        return sc_fail(cx, n->loc, SC_E_SHAPE, "%u extents for %u axes", len,
                       axes ? n_axes : t->rank);
    ScVal x = im_in(n, 0), zero = im_scalar(n, t->dtype, 0);
    im_dims(t, dim);
    for (uint32_t i = 0; i < len; i++) {
        if (!im_axis(n, axes ? axes[i] : i, t->rank, &at))
            return false;
        if (dim[at] == want[i])
            continue;
        const ScTerm *more = sc_term_sub(cx, want[i], dim[at]), *before = half(cx, more);
        x = pad_axis(n, PAD_CONSTANT, x, zero, t->rank, dim, at, before,
                     sc_term_sub(cx, more, before));
    }
    return im_answer(x, ret_out);
}

const ImAdapter im_parts_adapters[] = {
    {"", "Split", 1, 0, split, UINT16_MAX},
    {"", "Tile", 1, 5, tile_axis, 1},
    {"", "Tile", 6, 0, tile, 1},
    {"", "DepthToSpace", 1, 0, depth_to_space, 1},
    {"", "SpaceToDepth", 1, 0, space_to_depth, 1},
    {"", "Pad", 1, 0, pad, 1},
    {"", "CenterCropPad", 18, 0, center_crop_pad, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
