/* SPDX-License-Identifier: Apache-2.0 */
/* Resize and Upsample: axis after axis. Where an element of the result lies in x is arithmetic on
 * row iota in f64, so that symbolic extents work and known ones fold; then come one gather of the
 * nearest elements, or one a tap and a weighted sum. */
#include "frontend/frontend_priv.h"

#include <math.h>
#include <string.h>

#define MAX_TAPS 64 /* of an axis that is made smaller without aliasing */

typedef struct Resize {
    const ImNode *n;
    const char *mode, *where, *nearest; /* where: coordinate_transformation_mode */
    bool antialias, exclude;
    double cubic_a, outside; /* outside: what tf_crop_and_resize gives beyond x */
} Resize;

/* One axis. */
typedef struct Axis {
    uint32_t axis;
    const ScTerm *in, *out;
    double scale;     /* 0: `by`, which only a run tells */
    ScVal by;         /* f64; SC_ABSENT: out / in */
    ScVal start, end; /* of the region that is cropped, in parts of the axis: f64 */
} Axis;

#define F64(x)           im_scalar(r->n, SCRT_F64, (x))
#define OP(op, lhs, rhs) sc_op(&r->n->im->b, op, (lhs), (rhs))

static ScVal number(const ImNode *n, const ScTerm *t)
{
    return im_cast(n, im_number(n, t), SCRT_F64);
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* --- Where ------------------------------------------------------------------------------------ */

static ScVal scale_of(const Resize *r, const Axis *a)
{
    if (a->by != SC_ABSENT)
        return a->by;
    return a->scale ? F64(a->scale) : OP(div, number(r->n, a->out), number(r->n, a->in));
}

/* start (in - 1) + y (end - start) (in - 1) / (width - 1), of the axis' own width; where that is 1,
 * `single` in place of the second part. */
static ScVal spread(const Resize *r, const Axis *a, ScVal y, ScVal start, ScVal end, ScVal single)
{
    ScVal last = OP(sub, number(r->n, a->in), F64(1));
    ScVal width = OP(mul, scale_of(r, a), number(r->n, a->in));
    ScVal way = OP(mul, last, OP(sub, end, start));
    ScVal step = OP(div, OP(mul, y, way), OP(sub, width, F64(1)));
    ScVal one = OP(mul, last, single);
    ScVal x = sc_op(&r->n->im->b, where, OP(equal, width, F64(1)), one, step);
    return OP(add, x, OP(mul, last, start));
}

/* The position in x of each element along the axis: f64[out]. */
static ScVal positions(const Resize *r, const Axis *a)
{
    ScVal y = im_cast(r->n, im_iota(r->n, a->out, 0), SCRT_F64);
    if (is(r->where, "asymmetric"))
        return OP(div, y, scale_of(r, a));
    if (is(r->where, "align_corners"))
        return spread(r, a, y, F64(0), F64(1), F64(0));
    if (is(r->where, "tf_crop_and_resize"))
        return spread(r, a, y, a->start, a->end, OP(mul, OP(sub, a->end, a->start), F64(0.5)));
    ScVal x = OP(div, OP(add, y, F64(0.5)), scale_of(r, a));
    if (is(r->where, "tf_half_pixel_for_nn"))
        return x;
    x = OP(sub, x, F64(0.5));
    ScVal width = OP(mul, scale_of(r, a), number(r->n, a->in));
    if (is(r->where, "pytorch_half_pixel"))
        return sc_op(&r->n->im->b, where, OP(less_or_equal, width, F64(1)), F64(0), x);
    if (is(r->where, "half_pixel_symmetric")) {
        ScVal rest = OP(sub, F64(1), OP(div, number(r->n, a->out), width));
        return OP(add, OP(mul, OP(mul, number(r->n, a->in), F64(0.5)), rest), x);
    }
    return x;
}

/* f64 positions as indices of x, at most at its ends. */
static ScVal picked(const Resize *r, const Axis *a, ScVal x, ScVal at)
{
    ScVal top = OP(sub, number(r->n, a->in), F64(1));
    at = sc_op(&r->n->im->b, clip, at, F64(0), top);
    return im_gather(r->n, x, a->axis, im_cast(r->n, at, SCRT_I64));
}

static ScVal nearest(const Resize *r, const Axis *a, ScVal x, ScVal at)
{
    ScBuild *b = &r->n->im->b;
    if (is(r->nearest, "floor"))
        at = sc_op(b, floor, at);
    else if (is(r->nearest, "ceil"))
        at = sc_op(b, ceil, at);
    else if (is(r->nearest, "round_prefer_ceil"))
        at = sc_op(b, floor, OP(add, at, F64(0.5)));
    else
        at = sc_op(b, ceil, OP(sub, at, F64(0.5)));
    return picked(r, a, x, at);
}

/* --- Weights ---------------------------------------------------------------------------------- */

/* The weight of an element at distance d >= 0, f64[out]. */
static ScVal linear(const Resize *r, ScVal d)
{
    return OP(max, OP(sub, F64(1), d), F64(0));
}

/* c[0] + c[1] d + c[2] d^2 + c[3] d^3 */
static ScVal polynomial(const Resize *r, ScVal d, const double *c)
{
    ScVal y = F64(c[3]);
    for (int i = 2; i >= 0; i--)
        y = OP(add, OP(mul, y, d), F64(c[i]));
    return y;
}

/* Keys' cubic convolution: one polynomial up to 1, another up to 2, nothing beyond. */
static ScVal cubic(const Resize *r, ScVal d)
{
    ScBuild *b = &r->n->im->b;
    double A = r->cubic_a;
    ScVal near = polynomial(r, d, (double[]){1, 0, -(A + 3), A + 2});
    ScVal far = polynomial(r, d, (double[]){-4 * A, 8 * A, -5 * A, A});
    far = sc_op(b, where, OP(less, d, F64(2)), far, F64(0));
    return sc_op(b, where, OP(less_or_equal, d, F64(1)), near, far);
}

/* How many elements are weighed must be known: without aliasing it follows from the scale. */
static bool knows_taps(const Resize *r, const Axis *a, int taps)
{
    static const char what[] = "an extent that is resized without aliasing";
    int64_t c;
    if (taps > MAX_TAPS)
        return sc_fail(r->n->im->cx, r->n->loc, SC_E_UNSUPPORTED,
                       "Resize with antialias and so small a scale");
    return !r->antialias || a->scale != 0 ||
           (im_number_of(r->n, a->in, what, &c) && im_number_of(r->n, a->out, what, &c) &&
            sc_fail(r->n->im->cx, r->n->loc, SC_E_DYNAMIC, "scales of a Resize with antialias"));
}

/* A weighted sum of the elements around `at`, in f32 at least: rounded once all axes are done.
 * Smaller and without aliasing, the weights are spread over 1 / scale times as many, and divided by
 * their sum. */
static ScVal interpolated(const Resize *r, const Axis *a, ScVal x, const ScType *t, ScVal at)
{
    const ImNode *n = r->n;
    ScBuild *b = &n->im->b;
    int reach = is(r->mode, "cubic") ? 2 : 1;
    double squeeze = r->antialias && a->scale > 0 && a->scale < 1 ? a->scale : 1;
    int first = (int)floor(fmax(-reach / squeeze, -MAX_TAPS)) + 1, taps = 2 - 2 * first;
    bool divide = squeeze < 1 || r->exclude;
    if (!knows_taps(r, a, taps))
        return SC_POISON;
    ScrtDtype in = im_at_least_f32(im_type_of(n, x)->dtype);
    ScVal w[MAX_TAPS], index[MAX_TAPS], below = sc_op(b, floor, at), total = SC_ABSENT;
    ScVal ratio = OP(sub, at, below), top = OP(sub, number(r->n, a->in), F64(1));
    for (int k = 0; k < taps; k++) {
        ScVal d = sc_op(b, abs, OP(mul, OP(sub, F64(first + k), ratio), F64(squeeze)));
        w[k] = reach == 2 ? cubic(r, d) : linear(r, d);
        index[k] = OP(add, below, F64(first + k));
        if (r->exclude) {
            ScVal inside =
                OP(and, OP(greater_or_equal, index[k], F64(0)), OP(less_or_equal, index[k], top));
            w[k] = sc_op(b, where, inside, w[k], F64(0));
        }
        total = k ? OP(add, total, w[k]) : w[k];
    }
    const ScTerm *dim[SCRT_MAX_RANK] = {a->out};
    for (uint32_t d = a->axis + 1; d < t->rank; d++)
        dim[d - a->axis] = sc_term(b->cx, 1);
    ScVal sum = SC_ABSENT;
    x = im_cast(n, x, in);
    for (int k = 0; k < taps; k++) {
        ScVal part = im_cast(n, divide ? OP(div, w[k], total) : w[k], in);
        part = OP(mul, picked(r, a, x, index[k]), im_reshape(n, part, t->rank - a->axis, dim));
        sum = k ? OP(add, sum, part) : part;
    }
    return sum;
}

/* The axis a of x, of type t so far, resized. */
static ScVal resize_axis(const Resize *r, const Axis *a, ScVal x, const ScType *t)
{
    ScBuild *b = &r->n->im->b;
    bool crop = is(r->where, "tf_crop_and_resize");
    if (a->in == a->out && a->by == SC_ABSENT && (a->scale == 1 || a->scale == 0) && !crop)
        return x;
    ScVal at = positions(r, a);
    ScVal y = is(r->mode, "nearest") ? nearest(r, a, x, at) : interpolated(r, a, x, t, at);
    if (!crop)
        return y;
    const ScTerm *dim[SCRT_MAX_RANK] = {a->out};
    for (uint32_t d = a->axis + 1; d < t->rank; d++)
        dim[d - a->axis] = sc_term(b->cx, 1);
    ScVal top = OP(sub, number(r->n, a->in), F64(1));
    ScVal beyond = OP(or, OP(less, at, F64(0)), OP(greater, at, top));
    beyond = im_reshape(r->n, beyond, t->rank - a->axis, dim);
    ScVal outside =
        im_cast(r->n, im_scalar(r->n, t->dtype, r->outside), im_type_of(r->n, y)->dtype);
    return sc_op(b, where, beyond, outside, y);
}

/* --- How large -------------------------------------------------------------------------------- */

/* floor(in scale), where terms can say it: of a symbolic extent where scale is a fraction of small
 * numbers; else NULL. */
static const ScTerm *scaled(const ImNode *n, const ScTerm *in, double scale)
{
    ScCtx *cx = n->im->cx;
    int64_t c;
    if (sc_term_const(in, &c) && (double)c * scale < 0x1p62)
        return sc_term(cx, (int64_t)floor((double)c * scale));
    for (int64_t by = 1; by <= 64; by++)
        if (scale * (double)by == floor(scale * (double)by))
            return sc_term_fdiv(cx, sc_term_scale(cx, in, (int64_t)(scale * (double)by)),
                                sc_term(cx, by));
    return NULL;
}

/* The scalar f64 sizes, rounded down, as extents: from 0 to INT32_MAX - 1, which is guarded. */
static bool bind_sizes(const ImNode *n, uint32_t n_axis, ScVal *size, Axis *const *a)
{
    ScBuild *b = &n->im->b;
    const ScTerm *one = sc_term(b->cx, 1), *zero = sc_term(b->cx, 0);
    for (uint32_t i = 0; i < n_axis; i++) {
        ScVal most = sc_op(b, min, sc_op(b, floor, size[i]), im_scalar(n, SCRT_F64, INT32_MAX));
        size[i] = im_reshape(n, most, 1, &one);
    }
    ScVal all = im_cast(n, im_concat(n, 0, n_axis, size), SCRT_I64);
    if (all == SC_POISON)
        return false;
    const ScTerm *const *is = sc_built(b, im_bind(n, all))->content;
    for (uint32_t i = 0; i < n_axis; i++) {
        a[i]->out = is[i];
        if (!im_require(n, SC_GUARD_AT_MOST, zero, is[i], "an extent times its scale") ||
            !im_require(n, SC_GUARD_AT_MOST, is[i], sc_term(b->cx, INT32_MAX - 1),
                        "an extent times its scale"))
            return false;
    }
    return true;
}

/* The element i of a vector of floats, in f64. */
static ScVal float_at(const ImNode *n, ScVal v, uint32_t i)
{
    ScCtx *cx = n->im->cx;
    ScVal one = im_slice(n, v, 0, sc_term(cx, i), sc_term(cx, i + 1));
    return im_cast(n, im_reshape(n, one, 0, NULL), SCRT_F64);
}

/* As keep_ratio, of extents that only the run knows. */
static bool keep_ratio_late(const ImNode *n, bool larger, uint32_t n_axis, Axis *a)
{
    ScBuild *b = &n->im->b;
    Axis *each[SCRT_MAX_RANK];
    ScVal size[SCRT_MAX_RANK], by = SC_ABSENT;
    for (uint32_t i = 0; i < n_axis; i++) {
        ScVal one = sc_op(b, div, number(n, a[i].out), number(n, a[i].in));
        by = i == 0 ? one : larger ? sc_op(b, max, by, one) : sc_op(b, min, by, one);
    }
    for (uint32_t i = 0; i < n_axis; i++) {
        each[i] = &a[i];
        a[i].scale = 0;
        a[i].by = by;
        ScVal product = sc_op(b, mul, number(n, a[i].in), by);
        size[i] = sc_op(b, add, product, im_scalar(n, SCRT_F64, 0.5));
    }
    return bind_sizes(n, n_axis, size, each);
}

/* One scale for all axes, so that no extent is larger, or none is smaller, than wanted. */
static bool keep_ratio(const ImNode *n, const char *policy, uint32_t n_axis, Axis *a)
{
    bool larger = is(policy, "not_smaller");
    double scale = larger ? 0 : INFINITY;
    int64_t in, out;
    if (is(policy, "stretch"))
        return true;
    if (!larger && !is(policy, "not_larger"))
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"keep_aspect_ratio_policy\" is \"%s\"",
                       policy);
    for (uint32_t i = 0; i < n_axis; i++) {
        if (!sc_term_const(a[i].in, &in) || !sc_term_const(a[i].out, &out))
            return keep_ratio_late(n, larger, n_axis, a);
        double s = (double)out / (double)in;
        scale = larger ? fmax(scale, s) : fmin(scale, s);
    }
    for (uint32_t i = 0; i < n_axis; i++) {
        sc_term_const(a[i].in, &in);
        a[i].scale = scale;
        a[i].out = sc_term(n->im->cx, (int64_t)floor(scale * (double)in + 0.5));
    }
    return true;
}

/* The axes that are named, or all. */
static uint32_t how_many(const ImNode *n)
{
    uint32_t named;
    bool ok = true;
    return im_ints(n, "axes", &named, &ok) ? named : im_type(n, 0)->rank;
}

/* Operand i, a vector of floats, which is not empty; else SC_ABSENT. *ret_n: its elements, as many
 * as are wanted where only a run tells. */
static ScVal floats(const ImNode *n, uint32_t i, uint32_t want, uint32_t *ret_n)
{
    ScCtx *cx = n->im->cx;
    int64_t count = 0;
    const ScTerm *all = sc_type_count(cx, im_type(n, i)), *wanted = sc_term(cx, want);
    *ret_n = 0;
    if (!im_has(n, i) || sc_term_is(all, 0))
        return SC_ABSENT;
    *ret_n = sc_term_const(all, &count) ? (uint32_t)count : want;
    return sc_term_const(all, &count) ? im_in(n, i) : im_reshape(n, im_in(n, i), 1, &wanted);
}

/* The axes, their extents and, of what is cropped, the regions; *ret_n of them. */
static bool which_axes(const ImNode *n, bool crop, uint32_t count, Axis *ret, uint32_t *ret_n)
{
    bool ok = true;
    uint32_t n_axis = 0, n_roi = 0;
    const ScType *t = im_type(n, 0);
    const int64_t *axis = im_ints(n, "axes", &n_axis, &ok);
    n_axis = axis ? n_axis : t->rank;
    ScVal roi = crop ? floats(n, 1, 2 * n_axis, &n_roi) : SC_ABSENT;
    if (!ok || roi == SC_POISON)
        return false;
    if (n_axis > t->rank || count != n_axis || (n_roi && n_roi != 2 * n_axis))
        return sc_fail(n->im->cx, n->loc, SC_E_SHAPE,
                       "%u scales or sizes and %u bounds for %u axes", count, n_roi, n_axis);
    for (uint32_t i = 0; i < n_axis; i++) {
        Axis *a = &ret[i];
        *a = (Axis){.by = SC_ABSENT};
        a->start = n_roi ? float_at(n, roi, i) : im_scalar(n, SCRT_F64, 0);
        a->end = n_roi ? float_at(n, roi, n_axis + i) : im_scalar(n, SCRT_F64, 1);
        if (!im_axis(n, axis ? axis[i] : i, t->rank, &a->axis))
            return false;
        a->in = t->dim[a->axis];
    }
    *ret_n = n_axis;
    return true;
}

/* By scales, operand `first`. Where terms cannot say floor(in scale), the run computes it: -1 where
 * the scale is not above 0. */
static bool by_scales(const ImNode *n, uint32_t first, uint32_t n_axis, Axis *a)
{
    ScBuild *b = &n->im->b;
    ScrtTensor t = {0};
    Axis *late[SCRT_MAX_RANK];
    ScVal size[SCRT_MAX_RANK], none = im_scalar(n, SCRT_F64, 0);
    uint32_t n_late = 0;
    bool known = im_known(n, im_in(n, first), &t), ok = true;
    for (uint32_t i = 0; i < n_axis && ok; i++) {
        if (known) {
            a[i].scale = scrt_load((ScrtDtype)t.dtype, t.data, i);
            ok = (a[i].scale > 0 && a[i].scale <= INT32_MAX) ||
                 sc_fail(b->cx, n->loc, SC_E_ATTRIBUTE, "a scale of %g", a[i].scale);
            a[i].out = ok ? scaled(n, a[i].in, a[i].scale) : NULL;
            if (a[i].out)
                continue;
        }
        ScVal by = float_at(n, im_in(n, first), i), is_scale = sc_op(b, greater, by, none);
        a[i].by = known ? SC_ABSENT : by;
        size[n_late] = sc_op(b, where, is_scale, sc_op(b, mul, number(n, a[i].in), by),
                             im_scalar(n, SCRT_F64, -1));
        late[n_late++] = &a[i];
    }
    scrt_free(t.data);
    return ok && (n_late == 0 || bind_sizes(n, n_late, size, late));
}

/* Which axes, and to what; *ret_n of them. `first` is the operand with scales. */
static bool all_axes(const Resize *r, uint32_t first, Axis *ret, uint32_t *ret_n)
{
    const ImNode *n = r->n;
    bool ok = true, crop = first == 2 && is(r->where, "tf_crop_and_resize");
    uint32_t n_scale = 0, n_size = 0;
    ScVal scales = floats(n, first, how_many(n), &n_scale);
    if (scales == SC_POISON)
        return false;
    if (scales != SC_ABSENT)
        return which_axes(n, crop, n_scale, ret, ret_n) && by_scales(n, first, *ret_n, ret);
    if (!im_has(n, 3))
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "no scales, no sizes");
    bool counted = sc_type_count(n->im->cx, im_type(n, 3))->kind == SC_T_CONST;
    const ScTerm *const *size =
        counted ? im_content(n, 3, &n_size) : im_content_of(n, 3, n_size = how_many(n));
    if (!size || !which_axes(n, crop, n_size, ret, ret_n))
        return false;
    for (uint32_t i = 0; i < *ret_n; i++) {
        int64_t in, out;
        ret[i].out = size[i];
        if (sc_term_const(ret[i].in, &in) && sc_term_const(size[i], &out) && in > 0)
            ret[i].scale = (double)out / (double)in;
    }
    return keep_ratio(n, im_str(n, "keep_aspect_ratio_policy", "stretch", &ok), *ret_n, ret) && ok;
}

static bool known_words(const Resize *r)
{
    static const char *const words[] = {
        "nearest",
        "linear",
        "cubic",
        "half_pixel",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
        "half_pixel_symmetric",
        "tf_half_pixel_for_nn",
        "tf_crop_and_resize",
        "floor",
        "ceil",
        "round_prefer_floor",
        "round_prefer_ceil",
    };
    const char *got[] = {r->mode, r->where, r->nearest};
    static const uint32_t from[] = {0, 3, 10, 14};
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t k = from[i];
        while (k < from[i + 1] && !is(words[k], got[i]))
            k++;
        if (k == from[i + 1])
            return sc_fail(r->n->im->cx, r->n->loc, SC_E_ATTRIBUTE, "\"%s\" is not known here",
                           got[i]);
    }
    return true;
}

static bool resized(const Resize *r, uint32_t first, ScVal *ret_out)
{
    Axis axis[SCRT_MAX_RANK];
    uint32_t n_axis = 0;
    if (!known_words(r) || !all_axes(r, first, axis, &n_axis))
        return false;
    const ScType *t = im_type(r->n, 0);
    const ScTerm *dim[SCRT_MAX_RANK];
    im_dims(t, dim);
    ScVal x = im_in(r->n, 0);
    for (uint32_t i = 0; i < n_axis; i++) {
        const ScType *now = sc_type(r->n->im->cx, t->dtype, t->rank, dim);
        x = resize_axis(r, &axis[i], x, now);
        dim[axis[i].axis] = axis[i].out;
    }
    return x != SC_POISON && im_answer(im_cast(r->n, x, t->dtype), ret_out);
}

static bool resize(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    if (!im_arity(n, 1, 4) || !IM_ONLY(n, "antialias", "axes", "coordinate_transformation_mode",
                                       "cubic_coeff_a", "exclude_outside", "extrapolation_value",
                                       "keep_aspect_ratio_policy", "mode", "nearest_mode"))
        return false;
    Resize r = {.n = n,
                .mode = im_str(n, "mode", "nearest", &ok),
                .where = im_str(n, "coordinate_transformation_mode", "half_pixel", &ok),
                .nearest = im_str(n, "nearest_mode", "round_prefer_floor", &ok),
                .antialias = im_int(n, "antialias", 0, &ok),
                .exclude = im_int(n, "exclude_outside", 0, &ok),
                .cubic_a = im_float(n, "cubic_coeff_a", -0.75, &ok),
                .outside = im_float(n, "extrapolation_value", 0, &ok)};
    return ok && resized(&r, 2, ret_out);
}

/* The first Resize, with scales as its second operand, and Upsample. */
static bool upsample(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    if (!im_arity(n, 2, 2) || !IM_ONLY(n, "mode"))
        return false;
    Resize r = {.n = n, .where = "asymmetric", .nearest = "floor"};
    r.mode = im_str(n, "mode", "nearest", &ok);
    return ok && resized(&r, 1, ret_out);
}

/* The scales were an attribute. */
static bool upsample_old(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    const Onnxpb__Attribute *a = im_attr(n, "scales");
    if (!im_arity(n, 1, 1) || !IM_ONLY(n, "mode", "scales"))
        return false;
    if (!a || !a->n_floats)
        return sc_fail(b->cx, n->loc, SC_E_ATTRIBUTE, "\"scales\" is missing");
    const int64_t len = (int64_t)a->n_floats;
    const void *data = sc_memdup(sc_ctx_arena(b->cx), a->floats, a->n_floats * sizeof *a->floats);
    ScVal in[] = {im_in(n, 0),
                  sc_const(b, sc_blob(b->cx, NULL, SCRT_F32, 1, &len, data), SCRT_F32, NULL)};
    bool ok = true;
    ImNode as_operand = *n;
    as_operand.in = in;
    as_operand.n_in = 2;
    Resize r = {.n = &as_operand, .where = "asymmetric", .nearest = "floor"};
    r.mode = im_str(n, "mode", "nearest", &ok);
    return ok && resized(&r, 1, ret_out);
}

const ImAdapter im_resize_adapters[] = {
    {"", "Resize", 10, 10, upsample, 1},
    {"", "Resize", 11, 0, resize, 1},
    {"", "Upsample", 7, 8, upsample_old, 1},
    {"", "Upsample", 9, 9, upsample, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
