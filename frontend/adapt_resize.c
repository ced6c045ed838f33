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
    double scale;      /* 0: out / in, which a run tells */
    double start, end; /* of the region, in parts of the axis */
} Axis;

#define F64(x)           im_scalar(r->n, SCRT_F64, (x))
#define OP(op, lhs, rhs) sc_op(&r->n->im->b, op, (lhs), (rhs))

static ScVal number(const Resize *r, const ScTerm *t)
{
    return im_cast(r->n, im_number(r->n, t), SCRT_F64);
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* --- Where ------------------------------------------------------------------------------------ */

static ScVal scale_of(const Resize *r, const Axis *a)
{
    return a->scale ? F64(a->scale) : OP(div, number(r, a->out), number(r, a->in));
}

/* start (in - 1) + y (end - start) (in - 1) / (width - 1), of the axis' own width; where that is 1,
 * `single` in place of the second part. */
static ScVal spread(const Resize *r, const Axis *a, ScVal y, double start, double end,
                    double single)
{
    ScVal last = OP(sub, number(r, a->in), F64(1));
    ScVal width = OP(mul, scale_of(r, a), number(r, a->in));
    ScVal way = OP(mul, last, F64(end - start));
    ScVal step = OP(div, OP(mul, y, way), OP(sub, width, F64(1)));
    ScVal one = OP(mul, last, F64(single));
    ScVal x = sc_op(&r->n->im->b, where, OP(equal, width, F64(1)), one, step);
    return OP(add, x, OP(mul, last, F64(start)));
}

/* The position in x of each element along the axis: f64[out]. */
static ScVal positions(const Resize *r, const Axis *a)
{
    ScVal y = im_cast(r->n, im_iota(r->n, a->out, 0), SCRT_F64);
    if (is(r->where, "asymmetric"))
        return OP(div, y, scale_of(r, a));
    if (is(r->where, "align_corners"))
        return spread(r, a, y, 0, 1, 0);
    if (is(r->where, "tf_crop_and_resize"))
        return spread(r, a, y, a->start, a->end, (a->end - a->start) / 2);
    ScVal x = OP(sub, OP(div, OP(add, y, F64(0.5)), scale_of(r, a)), F64(0.5));
    ScVal width = OP(mul, scale_of(r, a), number(r, a->in));
    if (is(r->where, "pytorch_half_pixel"))
        return sc_op(&r->n->im->b, where, OP(less_or_equal, width, F64(1)), F64(0), x);
    if (is(r->where, "half_pixel_symmetric")) {
        ScVal rest = OP(sub, F64(1), OP(div, number(r, a->out), width));
        return OP(add, OP(mul, OP(mul, number(r, a->in), F64(0.5)), rest), x);
    }
    return x;
}

/* f64 positions as indices of x, at most at its ends. */
static ScVal picked(const Resize *r, const Axis *a, ScVal x, ScVal at)
{
    ScVal top = OP(sub, number(r, a->in), F64(1));
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

/* A weighted sum of the elements around `at`. Smaller and without aliasing, the weights are spread
 * over 1 / scale times as many, and divided by their sum. */
static ScVal interpolated(const Resize *r, const Axis *a, ScVal x, const ScType *t, ScVal at)
{
    const ImNode *n = r->n;
    ScBuild *b = &n->im->b;
    int reach = is(r->mode, "cubic") ? 2 : 1;
    double squeeze = r->antialias && a->scale > 0 && a->scale < 1 ? a->scale : 1;
    int first = (int)floor(fmax(-reach / squeeze, -MAX_TAPS)) + 1, taps = 2 - 2 * first;
    bool divide = squeeze < 1 || r->exclude;
    if (taps > MAX_TAPS || (r->antialias && a->scale == 0)) {
        sc_fail(b->cx, n->loc, SC_E_UNSUPPORTED, "Resize with antialias and %s",
                taps > MAX_TAPS ? "so small a scale" : "a scale that is not known");
        return SC_POISON;
    }
    ScrtDtype in = im_at_least_f32(t->dtype);
    ScVal w[MAX_TAPS], index[MAX_TAPS], below = sc_op(b, floor, at), total = SC_ABSENT;
    ScVal ratio = OP(sub, at, below), top = OP(sub, number(r, a->in), F64(1));
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
    return im_cast(n, sum, t->dtype);
}

/* The axis a of x, of type t so far, resized. */
static ScVal resize_axis(const Resize *r, const Axis *a, ScVal x, const ScType *t)
{
    ScBuild *b = &r->n->im->b;
    bool crop = is(r->where, "tf_crop_and_resize");
    if (a->in == a->out && (a->scale == 1 || a->scale == 0) && !crop)
        return x;
    ScVal at = positions(r, a);
    ScVal y = is(r->mode, "nearest") ? nearest(r, a, x, at) : interpolated(r, a, x, t, at);
    if (!crop)
        return y;
    const ScTerm *dim[SCRT_MAX_RANK] = {a->out};
    for (uint32_t d = a->axis + 1; d < t->rank; d++)
        dim[d - a->axis] = sc_term(b->cx, 1);
    ScVal top = OP(sub, number(r, a->in), F64(1));
    ScVal beyond = OP(or, OP(less, at, F64(0)), OP(greater, at, top));
    beyond = im_reshape(r->n, beyond, t->rank - a->axis, dim);
    return sc_op(b, where, beyond, im_scalar(r->n, t->dtype, r->outside), y);
}

/* --- How large -------------------------------------------------------------------------------- */

/* floor(in scale): of a symbolic extent where scale is a fraction of small numbers. */
static const ScTerm *scaled(const ImNode *n, const ScTerm *in, double scale)
{
    ScCtx *cx = n->im->cx;
    int64_t c;
    if (!(scale > 0) || scale > INT32_MAX) {
        sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "a scale of %g", scale);
        return NULL;
    }
    if (sc_term_const(in, &c) && (double)c * scale < 0x1p62)
        return sc_term(cx, (int64_t)floor((double)c * scale));
    for (int64_t by = 1; by <= 64; by++)
        if (scale * (double)by == floor(scale * (double)by))
            return sc_term_fdiv(cx, sc_term_scale(cx, in, (int64_t)(scale * (double)by)),
                                sc_term(cx, by));
    im_number_of(n, in, "an extent that is scaled by no simple fraction", &c);
    return NULL;
}

/* Operand i as doubles, [*ret_n]; NULL where there is none or it is empty, and after sc_fail. */
static const double *known_floats(const ImNode *n, uint32_t i, uint32_t *ret_n, bool *ok)
{
    ScrtTensor t = {0};
    *ret_n = 0;
    if (!*ok || !im_has(n, i) || sc_term_is(sc_type_count(n->im->cx, im_type(n, i)), 0))
        return NULL;
    *ok = im_known(n, im_in(n, i), &t) || im_unknown(n, i);
    uint32_t count = *ok ? (uint32_t)scrt_count(&t) : 0;
    double *x = sc_array(sc_ctx_arena(n->im->cx), double, count + 1u);
    for (uint32_t k = 0; k < count; k++)
        x[k] = scrt_load((ScrtDtype)t.dtype, t.data, k);
    scrt_free(t.data);
    *ret_n = count;
    return *ok ? x : NULL;
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
        if (!im_number_of(n, a[i].in, "an extent whose ratio is kept", &in) ||
            !im_number_of(n, a[i].out, "an extent whose ratio is kept", &out))
            return false;
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

/* Which axes, and to what; *ret_n of them. `first` is the operand with scales. */
static bool all_axes(const ImNode *n, uint32_t first, Axis *ret, uint32_t *ret_n)
{
    bool ok = true;
    uint32_t n_axis = 0, n_scale = 0, n_size = 0, n_roi = 0;
    const ScType *t = im_type(n, 0);
    const int64_t *axis = im_ints(n, "axes", &n_axis, &ok);
    const double *scale = known_floats(n, first, &n_scale, &ok);
    const double *roi = first == 2 ? known_floats(n, 1, &n_roi, &ok) : NULL;
    const ScTerm *const *size = ok && !scale && im_has(n, 3) ? im_content(n, 3, &n_size) : NULL;
    n_axis = axis ? n_axis : t->rank;
    if (!ok || (!scale && !size))
        return ok && !im_has(n, 3) && sc_fail(n->im->cx, n->loc, SC_E_ARITY, "no scales, no sizes");
    if (n_axis > t->rank || (scale ? n_scale : n_size) != n_axis || (roi && n_roi != 2 * n_axis))
        return sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "%u scales, %u sizes, %u bounds for %u axes",
                       n_scale, n_size, n_roi, n_axis);
    for (uint32_t i = 0; i < n_axis; i++) {
        Axis *a = &ret[i];
        *a = (Axis){.scale = scale ? scale[i] : 0, .end = roi ? roi[n_axis + i] : 1};
        a->start = roi ? roi[i] : 0;
        if (!im_axis(n, axis ? axis[i] : i, t->rank, &a->axis))
            return false;
        a->in = t->dim[a->axis];
        a->out = scale ? scaled(n, a->in, scale[i]) : size[i];
        int64_t in, out;
        if (!a->out)
            return false;
        if (!scale && sc_term_const(a->in, &in) && sc_term_const(a->out, &out) && in > 0)
            a->scale = (double)out / (double)in;
    }
    *ret_n = n_axis;
    return scale ||
           keep_ratio(n, im_str(n, "keep_aspect_ratio_policy", "stretch", &ok), n_axis, ret);
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
        "tf_crop_and_resize",
        "floor",
        "ceil",
        "round_prefer_floor",
        "round_prefer_ceil",
    };
    const char *got[] = {r->mode, r->where, r->nearest};
    static const uint32_t from[] = {0, 3, 9, 13};
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
    if (!known_words(r) || !all_axes(r->n, first, axis, &n_axis))
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
    return im_answer(x, ret_out);
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
