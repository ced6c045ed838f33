/* SPDX-License-Identifier: Apache-2.0 */
/* What slides a window over the spatial extents of [batch, channel, spatial...]: convolution and
 * pools, over one to three spatial extents. Automatic pads are resolved at import. With
 * channels_last the input and the result are [batch, spatial..., channel]; weights are the same. */
#include "ir/ops/ops_priv.h"

#include <string.h>

enum { X, W, BIAS };
#define MAX_SPATIAL 3

/* The attributes of all rows here; conv has no kernel_shape, its weights say it. */
typedef struct Attrs {
    const ScAttr *kernel, *strides, *pads, *dilations;
    bool ceil, last;
} Attrs;
enum { C_STRIDES, C_PADS, C_DILATIONS, C_GROUP, C_OUT, C_LAST };
enum { P_KERNEL, P_STRIDES, P_PADS, P_DILATIONS, P_CEIL, P_LAST, P_COUNT_PAD };

static Attrs conv_attrs(const ScAttr *a)
{
    return (Attrs){.strides = &a[C_STRIDES],
                   .pads = &a[C_PADS],
                   .dilations = &a[C_DILATIONS],
                   .last = a[C_LAST].i != 0};
}

static Attrs pool_attrs(const ScAttr *a)
{
    return (Attrs){.kernel = &a[P_KERNEL],
                   .strides = &a[P_STRIDES],
                   .pads = &a[P_PADS],
                   .dilations = &a[P_DILATIONS],
                   .ceil = a[P_CEIL].i != 0,
                   .last = a[P_LAST].i != 0};
}

/* Which extent of a tensor of that rank has the channels; which one is the first spatial one. */
static uint32_t channel_dim(const Attrs *a, uint32_t rank)
{
    return a->last ? rank - 1 : 1;
}

static uint32_t spatial_dim(const Attrs *a)
{
    return a->last ? 1 : 2;
}

static int64_t value_or_1(const ScAttr *a, uint32_t i)
{
    return a->kind == SC_A_NONE ? 1 : a->is[i];
}

static const ScTerm *pad_or_0(ScCtx *cx, const ScAttr *a, uint32_t i)
{
    return a->kind == SC_A_NONE ? sc_term(cx, 0) : a->ts[i];
}

/* The attributes have as many elements as there are spatial extents, and positive ones. */
static bool check_attrs(const ScInfer *in, const Attrs *a, uint32_t n)
{
    const ScAttr *list[] = {a->strides, a->dilations, a->kernel};
    const char *name[] = {"strides", "dilations", "kernel_shape"};
    int64_t pad;
    for (uint32_t k = 0; k < 3; k++) {
        if (!list[k] || list[k]->kind == SC_A_NONE)
            continue;
        if (list[k]->n != n)
            return sc_infer_fail(in, SC_E_ATTRIBUTE, "%s must have %u elements", name[k], n);
        for (uint32_t i = 0; i < n; i++)
            if (list[k]->is[i] < 1 || list[k]->is[i] > INT32_MAX)
                return sc_infer_fail(in, SC_E_ATTRIBUTE, "%s must be positive", name[k]);
    }
    if (a->pads->kind != SC_A_NONE && a->pads->n != 2 * n)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "pads must have %u elements", 2 * n);
    for (uint32_t i = 0; a->pads->kind != SC_A_NONE && i < 2 * n; i++)
        if (sc_term_const(a->pads->ts[i], &pad) && pad < 0)
            return sc_infer_fail(in, SC_E_ATTRIBUTE, "pads must not be negative");
    return true;
}

/* How often a window of `size` elements fits into extent x with pads. With ceil a last window may
 * hang over the end, provided it begins inside x or the pads before it. */
static const ScTerm *positions(const ScInfer *in, const Attrs *a, uint32_t n, uint32_t d,
                               const ScTerm *x, int64_t size)
{
    ScCtx *cx = in->cx;
    const ScTerm *stride = sc_term(cx, value_or_1(a->strides, d));
    const ScTerm *before = sc_term_add(cx, x, pad_or_0(cx, a->pads, d));
    const ScTerm *padded = sc_term_add(cx, before, pad_or_0(cx, a->pads, n + d));
    const ScTerm *room = sc_term_addc(cx, padded, -size);
    if (!sc_holds(in, SC_GUARD_AT_MOST, sc_term(cx, size), padded,
                  "a window and the extent that it moves over")) {
        sc_infer_fail(in, SC_E_SHAPE, "the window, %lld long, does not fit into axis %u",
                      (long long)size, d + spatial_dim(a));
        return NULL;
    }
    if (!a->ceil)
        return sc_term_addc(cx, sc_term_fdiv(cx, room, stride), 1);
    return sc_term_min(cx, sc_term_addc(cx, sc_term_cdiv(cx, room, stride), 1),
                       sc_term_cdiv(cx, before, stride));
}

static bool spatial(const ScInfer *in, const Attrs *a, const int64_t *kernel, const ScTerm **dim)
{
    uint32_t n = in->in[X]->rank - 2, at = spatial_dim(a);
    for (uint32_t d = 0; d < n; d++) {
        int64_t size = (kernel[d] - 1) * value_or_1(a->dilations, d) + 1;
        if (!(dim[at + d] = positions(in, a, n, d, in->in[X]->dim[at + d], size)))
            return false;
    }
    return true;
}

static bool check_rank(const ScInfer *in)
{
    uint32_t rank = in->in[X]->rank;
    return (rank >= 3 && rank <= 2 + MAX_SPATIAL) ||
           sc_infer_fail(in, SC_E_RANK,
                         "the input must be [batch, channel, 1 to %d spatial "
                         "extents]",
                         MAX_SPATIAL);
}

/* What conv and the pools have in common in their descriptor. */
static void describe(ScCtx *cx, const Attrs *a, uint32_t n, ScWindow *ret)
{
    ret->n_spatial = n;
    ret->hangs = a->ceil;
    ret->channels_last = a->last;
    for (uint32_t d = 0; d < n; d++) {
        ret->kernel[d] = a->kernel ? a->kernel->is[d] : 0;
        ret->stride[d] = value_or_1(a->strides, d);
        ret->dilation[d] = value_or_1(a->dilations, d);
        ret->pad_begin[d] = pad_or_0(cx, a->pads, d);
        ret->pad_end[d] = pad_or_0(cx, a->pads, n + d);
    }
}

#define STRIDES   {.name = "strides", .kind = SC_A_INTS, .doc = "1 where not given"}
#define PADS      {.name = "pads", .kind = SC_A_TERMS, .doc = "before each, after each; 0"}
#define DILATIONS {.name = "dilations", .kind = SC_A_INTS, .doc = "steps within the window; 1"}
#define LAST                                                                                       \
    {.name = "channels_last",                                                                      \
     .kind = SC_A_INT,                                                                             \
     .def = SC_INT(0),                                                                             \
     .doc = "channels are the last extent, not the second"}

/* --- Evaluation ------------------------------------------------------------------------------ */

/* A window's places in x, for one position of the result. */
typedef struct Place {
    uint32_t n;
    int64_t kernel[MAX_SPATIAL], stride[MAX_SPATIAL], dilation[MAX_SPATIAL], pad[MAX_SPATIAL];
    int64_t pad_end[MAX_SPATIAL], extent[MAX_SPATIAL];
} Place;

static Place place(const ScEval *e, const Attrs *a, const int64_t *kernel)
{
    Place p = {.n = e->in[X]->rank - 2};
    for (uint32_t d = 0; d < p.n; d++) {
        bool pads = a->pads->kind != SC_A_NONE;
        p.kernel[d] = kernel[d];
        p.stride[d] = value_or_1(a->strides, d);
        p.dilation[d] = value_or_1(a->dilations, d);
        p.pad[d] = pads ? sc_eval_term(e, a->pads->ts[d]) : 0;
        p.pad_end[d] = pads ? sc_eval_term(e, a->pads->ts[p.n + d]) : 0;
        p.extent[d] = e->in[X]->dims[spatial_dim(a) + d];
    }
    return p;
}

/* Where element k of the window at out lies in a channel of x; -1 outside it. Counts in *ret_padded
 * whether it lies in x or its pads. */
static int64_t locate(const Place *p, const int64_t *out, const int64_t *k, bool *ret_padded)
{
    int64_t at = 0;
    bool inside = true;
    *ret_padded = true;
    for (uint32_t d = 0; d < p->n; d++) {
        int64_t i = out[d] * p->stride[d] + k[d] * p->dilation[d] - p->pad[d];
        inside = inside && i >= 0 && i < p->extent[d];
        *ret_padded = *ret_padded && i < p->extent[d] + p->pad_end[d];
        at = at * p->extent[d] + i;
    }
    return inside ? at : -1;
}

static int64_t product(uint32_t n, const int64_t *x)
{
    int64_t y = 1;
    for (uint32_t i = 0; i < n; i++)
        y *= x[i];
    return y;
}

/* x as doubles, [batch, channel, plane], wherever its channels lie. */
static const double *planes(ScArena *arena, const ScrtTensor *x, const Attrs *a)
{
    const double *from = sc_ops_doubles(arena, x);
    int64_t c = x->dims[channel_dim(a, x->rank)];
    int64_t plane = product(x->rank - 2, x->dims + spatial_dim(a)), at = 0;
    double *to = sc_array(arena, double, (size_t)(x->dims[0] * c * plane));
    for (int64_t b = 0; b < x->dims[0]; b++)
        for (int64_t i = 0; i < c; i++)
            for (int64_t k = 0; k < plane; k++)
                to[at++] = from[a->last ? (b * plane + k) * c + i : (b * c + i) * plane + k];
    return to;
}

/* Where element k of channel c of image b of a result lies. */
static int64_t stored_at(const ScrtTensor *out, const Attrs *a, int64_t b, int64_t c, int64_t k)
{
    int64_t channels = out->dims[channel_dim(a, out->rank)];
    int64_t plane = product(out->rank - 2, out->dims + spatial_dim(a));
    return a->last ? (b * plane + k) * channels + c : (b * channels + c) * plane + k;
}

/* --- Convolution ----------------------------------------------------------------------------- */

static bool infer_conv(ScInfer *in)
{
    const ScType *x = in->in[X], *w = in->in[W];
    const ScTerm *dim[SCRT_MAX_RANK];
    int64_t kernel[SCRT_MAX_RANK], group = in->attr[C_GROUP].i;
    Attrs a = conv_attrs(in->attr);
    ScrtDtype dtype;
    if (!check_rank(in) || !check_attrs(in, &a, x->rank - 2) ||
        !sc_ops_product_dtype(in, BIAS, C_OUT, &dtype))
        return false;
    if (scrt_dtype_is_integer(dtype) && in->attr[C_OUT].kind != SC_A_DTYPE)
        return sc_infer_fail(in, SC_E_TYPE, "integers are i16 and the result i32");
    if (w->rank != x->rank)
        return sc_infer_fail(in, SC_E_RANK, "the weights must have the input's rank");
    for (uint32_t d = 2; d < w->rank; d++)
        if (!sc_term_const(w->dim[d], &kernel[d - 2]) || kernel[d - 2] < 1)
            return sc_infer_fail(in, SC_E_SHAPE, "the window's extents must be positive numbers");
    if (group < 1 || !sc_holds(in, SC_GUARD_DIVIDES, sc_term(in->cx, group), w->dim[0],
                               "group and the output channels"))
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "group must divide the output channels");
    const ScTerm *channels = x->dim[channel_dim(&a, x->rank)];
    if (!sc_holds(in, SC_GUARD_EQUAL, channels, sc_term_scale(in->cx, w->dim[1], group),
                  "channels and those of the weights")) {
        sc_infer_fail(in, SC_E_SHAPE, "channels differ");
        sc_note(in->cx, "X's channels, %s, must equal W's second extent, %s, times group, %lld",
                sc_ops_text(in, channels), sc_ops_text(in, w->dim[1]), (long long)group);
        return false;
    }
    bool bias = in->n_in > BIAS && in->in[BIAS]->kind != SC_TYPE_ABSENT;
    if (bias && (in->in[BIAS]->rank != 1 || !sc_holds(in, SC_GUARD_EQUAL, w->dim[0],
                                                      in->in[BIAS]->dim[0], "weights and bias")))
        return sc_infer_fail(in, SC_E_SHAPE, "the bias must have one element for each of W's");
    dim[0] = x->dim[0];
    dim[channel_dim(&a, x->rank)] = bias ? sc_unified(w->dim[0], in->in[BIAS]->dim[0]) : w->dim[0];
    return spatial(in, &a, kernel, dim) && sc_ops_result(in, dtype, x->rank, dim);
}

static void describe_conv(const ScGraph *g, const ScNode *n, ScConv *ret)
{
    const ScType *w = sc_type_of(g, n->in[W]);
    Attrs a = conv_attrs(n->attr);
    *ret = (ScConv){.group = sc_attr(n, C_GROUP)->i};
    describe(g->cx, &a, w->rank - 2, &ret->window);
    for (uint32_t d = 2; d < w->rank; d++)
        sc_term_const(w->dim[d], &ret->window.kernel[d - 2]);
}

static uint32_t channel_axis(const ScGraph *g, const ScNode *n)
{
    Attrs a = conv_attrs(n->attr);
    return channel_dim(&a, sc_type_of(g, n->first)->rank);
}

static void grow_conv(const ScGrow *g)
{
    const ScType *w = sc_ops_in(g, W);
    ScCount k = {1, NULL};
    for (uint32_t d = 1; d < w->rank; d++)
        sc_ops_count(g->g->cx, &k, w->dim[d]);
    sc_ops_grow(g, k, g->nonneg[X] && g->nonneg[W] ? 2 : 1);
    sc_ops_grow_bias(g, BIAS);
}

enum { CHANNELS = 8 }; /* whose sums are made side by side: each waits for its last addition */

/* The sums of one position for n output channels, over the input channels of their group. x and w
 * start at those; `step`: elements of w for each output channel. */
static inline void convolve(const Place *p, const double *x, const double *w, int64_t channels,
                            const int64_t *out, int64_t step, int n, double *ret)
{
    int64_t k[MAX_SPATIAL] = {0}, size = product(p->n, p->kernel), plane = product(p->n, p->extent);
    double sum[CHANNELS] = {0};
    bool padded;
    for (int64_t i = 0; i < size; i++, sc_ops_next(p->n, p->kernel, k)) {
        int64_t at = locate(p, out, k, &padded);
        for (int64_t c = 0; at >= 0 && c < channels; c++)
            for (int j = 0; j < n; j++)
                sum[j] += x[c * plane + at] * w[c * size + i + j * step];
    }
    memcpy(ret, sum, (size_t)n * sizeof *sum);
}

/* Integers modulo their type's size: f64 holds the sum of 2^23 products of i16. */
static void store_sum(ScrtTensor *out, int64_t at, double x)
{
    if (scrt_dtype_is_float(out->dtype))
        sc_ops_store(out, at, x);
    else
        scrt_store_int(out->dtype, out->data, (size_t)at, (int64_t)x);
}

static bool eval_conv(ScEval *e)
{
    const ScrtTensor *w = e->in[W], *out = &e->out[0];
    ScArena *arena = sc_arena_new();
    Attrs a = conv_attrs(e->n->attr);
    Place p = place(e, &a, w->dims + 2);
    int64_t channels = w->dims[1], group = sc_attr(e->n, C_GROUP)->i;
    const int64_t *extent = out->dims + spatial_dim(&a);
    int64_t each = product(p.n, extent), plane = product(p.n, p.extent);
    int64_t size = channels * product(p.n, p.kernel), m_group = w->dims[0] / group;
    const double *x = planes(arena, e->in[X], &a), *v = sc_ops_doubles(arena, w);
    const double *bias =
        e->n->n_in > BIAS && e->in[BIAS] ? sc_ops_doubles(arena, e->in[BIAS]) : NULL;
    int64_t n = m_group % CHANNELS ? 1 : CHANNELS;
    for (int64_t b = 0; b < out->dims[0]; b++)
        for (int64_t m = 0; m < w->dims[0]; m += n) {
            int64_t idx[MAX_SPATIAL] = {0}, first = (b * group + m / m_group) * channels;
            for (int64_t i = 0; i < each; i++, sc_ops_next(p.n, extent, idx)) {
                const double *from = x + first * plane, *by = v + m * size;
                double y[CHANNELS];
                if (n == CHANNELS)
                    convolve(&p, from, by, channels, idx, size, CHANNELS, y);
                else
                    convolve(&p, from, by, channels, idx, size, 1, y);
                for (int64_t j = 0; j < n; j++)
                    store_sum(&e->out[0], stored_at(out, &a, b, m + j, i),
                              bias ? y[j] + bias[m + j] : y[j]);
            }
        }
    sc_arena_free(arena);
    return true;
}

/* Random strides, pads and dilations for n spatial extents. */
typedef struct Random {
    uint32_t n;
    int64_t kernel[MAX_SPATIAL], stride[MAX_SPATIAL], dilation[MAX_SPATIAL], x[2 + MAX_SPATIAL];
    const ScTerm *pad[2 * MAX_SPATIAL];
} Random;

static Random draw(ScBuild *b, uint64_t *r)
{
    Random w = {.n = sc_ops_pick(r, 1, MAX_SPATIAL)};
    w.x[0] = sc_ops_pick(r, 1, 2);
    for (uint32_t d = 0; d < w.n; d++) {
        w.kernel[d] = sc_ops_pick(r, 1, 3);
        w.stride[d] = sc_ops_pick(r, 1, 3);
        w.dilation[d] = sc_ops_pick(r, 1, 2);
        w.x[2 + d] = sc_ops_pick(r, 0, 4) + (w.kernel[d] - 1) * w.dilation[d] + 1;
        w.pad[d] = sc_term(b->cx, sc_ops_pick(r, 0, (uint32_t)w.kernel[d] - 1));
        w.pad[w.n + d] = sc_term(b->cx, sc_ops_pick(r, 0, (uint32_t)w.kernel[d] - 1));
    }
    return w;
}

/* Moves the channels of x to its end, or not. */
static uint32_t channels_anywhere(uint64_t *r, int64_t *x, uint32_t n)
{
    uint32_t last = sc_ops_pick(r, 0, 1);
    int64_t c = x[1];
    for (uint32_t d = 0; last && d < n; d++)
        x[1 + d] = x[2 + d];
    if (last)
        x[1 + n] = c;
    return last;
}

static uint32_t make_conv(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    Random p = draw(b, r);
    int64_t group = sc_ops_pick(r, 1, 2), w[2 + MAX_SPATIAL];
    w[0] = group * sc_ops_pick(r, 1, 3);
    w[1] = sc_ops_pick(r, 1, 3);
    p.x[1] = w[1] * group;
    for (uint32_t d = 0; d < p.n; d++)
        w[2 + d] = p.kernel[d];
    uint32_t last = channels_anywhere(r, p.x, p.n);
    ScVal in[3] = {sc_ops_input(b, "x", SCRT_F32, 2 + p.n, p.x),
                   sc_ops_input(b, "w", SCRT_F32, 2 + p.n, w)};
    uint32_t n_in = 2;
    if (sc_ops_pick(r, 0, 1))
        in[n_in++] = sc_ops_input(b, "bias", SCRT_F32, 1, w);
    ScAttr *attr = SC_ATTRS(SC_INTS(p.n, p.stride), SC_TERMS(2 * p.n, p.pad),
                            SC_INTS(p.n, p.dilation), SC_INT(group), {0}, SC_INT(last));
    ret_out[0] = sc_node1(b, &sc_op_conv, attr, n_in, in);
    return 1;
}

const ScOp sc_op_conv = {
    .name = "conv",
    .doc = "convolution (correlation) of [n, c, ...] with [m, c / group, window...], plus a bias",
    .onnx = {"", "Conv", 1},
    .in = "X: num, W: num, B?: num",
    .out = "Y: num",
    .attr = {STRIDES,
             PADS,
             DILATIONS,
             {.name = "group", .kind = SC_A_INT, .def = SC_INT(1), .doc = "channels in groups"},
             SC_OPS_OUT,
             LAST},
    .n_attr = 6,
    .flags = SC_SUMS | SC_MASK_ENDS,
    .infer = infer_conv,
    .scale = "a, b, a+b -> a+b",
    .growth = grow_conv,
    .quantizable = 1 << X | 1 << W,
    .bias = BIAS,
    .bias_axis = channel_axis,
    .lower = {SC_CONV},
    .conv = describe_conv,
    .eval = eval_conv,
    .domain = {.make = make_conv},
};

/* --- Pools ----------------------------------------------------------------------------------- */

static bool infer_pool(ScInfer *in)
{
    const ScType *x = in->in[X];
    const ScTerm *dim[SCRT_MAX_RANK];
    Attrs a = pool_attrs(in->attr);
    if (!check_rank(in) || !check_attrs(in, &a, x->rank - 2))
        return false;
    uint32_t c = channel_dim(&a, x->rank);
    dim[0] = x->dim[0];
    dim[c] = x->dim[c];
    return spatial(in, &a, a.kernel->is, dim) && sc_ops_result(in, x->dtype, x->rank, dim);
}

static bool infer_maxpool(ScInfer *in)
{
    ScrtDtype t = in->in[X]->dtype;
    if (!scrt_dtype_is_float(t) && scrt_dtype_bits(t) != 8)
        return sc_infer_fail(in, SC_E_TYPE, "integers must have 8 bits");
    return infer_pool(in);
}

static void describe_maxpool(const ScGraph *g, const ScNode *n, ScPool *ret)
{
    Attrs a = pool_attrs(n->attr);
    *ret = (ScPool){.monoid = SC_MAX};
    describe(g->cx, &a, a.kernel->n, &ret->window);
}

static void describe_avgpool(const ScGraph *g, const ScNode *n, ScPool *ret)
{
    Attrs a = pool_attrs(n->attr);
    *ret = (ScPool){.monoid = SC_SUM, .mean = true, .count_pad = sc_attr(n, P_COUNT_PAD)->i != 0};
    describe(g->cx, &a, a.kernel->n, &ret->window);
}

static void grow_avgpool(const ScGrow *g)
{
    const ScAttr *kernel = sc_attr(g->n, P_KERNEL);
    ScCount k = {1, NULL};
    for (uint32_t i = 0; i < kernel->n; i++)
        k.c *= (double)kernel->is[i];
    sc_ops_grow_mean(g, k);
}

/* One position: the largest element inside x, at least top; or the mean, whose divisor counts what
 * is inside x, or inside its pads: what hangs over those counts nowhere. */
static double pool(const Place *p, const double *x, const int64_t *out, double top, bool mean,
                   bool count_pad)
{
    int64_t k[MAX_SPATIAL] = {0}, size = product(p->n, p->kernel), count = 0;
    double sum = 0;
    for (int64_t i = 0; i < size; i++, sc_ops_next(p->n, p->kernel, k)) {
        bool padded;
        int64_t at = locate(p, out, k, &padded);
        count += count_pad ? padded : at >= 0;
        if (at < 0)
            continue;
        sum += x[at];
        top = x[at] > top || x[at] != x[at] ? x[at] : top;
    }
    return !mean ? top : count ? sum / (double)count : 0;
}

static bool eval_pool(ScEval *e, bool mean, bool count_pad)
{
    const ScrtTensor *out = &e->out[0];
    ScArena *arena = sc_arena_new();
    Attrs a = pool_attrs(e->n->attr);
    Place p = place(e, &a, a.kernel->is);
    const int64_t *extent = out->dims + spatial_dim(&a);
    int64_t each = product(p.n, extent), plane = product(p.n, p.extent);
    int64_t channels = out->dims[channel_dim(&a, out->rank)];
    const double *x = planes(arena, e->in[X], &a);
    double least = scrt_dtype_is_float(out->dtype) ? -INFINITY : out->dtype == SCRT_I8 ? -128 : 0;
    for (int64_t c = 0; c < out->dims[0] * channels; c++) {
        int64_t idx[MAX_SPATIAL] = {0};
        for (int64_t i = 0; i < each; i++, sc_ops_next(p.n, extent, idx))
            sc_ops_store(&e->out[0], stored_at(out, &a, c / channels, c % channels, i),
                         pool(&p, x + c * plane, idx, least, mean, count_pad));
    }
    sc_arena_free(arena);
    return true;
}

static bool eval_maxpool(ScEval *e)
{
    return eval_pool(e, false, false);
}

static bool eval_avgpool(ScEval *e)
{
    return eval_pool(e, true, sc_attr(e->n, P_COUNT_PAD)->i != 0);
}

static uint32_t make_pool(ScBuild *b, uint64_t *r, const ScOp *op, ScrtDtype dtype, ScVal *ret_out)
{
    Random p = draw(b, r);
    p.x[1] = sc_ops_pick(r, 1, 3);
    uint32_t ceil = sc_ops_pick(r, 0, 1), count_pad = sc_ops_pick(r, 0, 1);
    uint32_t last = channels_anywhere(r, p.x, p.n);
    ScVal x = sc_ops_input(b, "x", dtype, 2 + p.n, p.x);
    ScAttr *attr =
        SC_ATTRS(SC_INTS(p.n, p.kernel), SC_INTS(p.n, p.stride), SC_TERMS(2 * p.n, p.pad),
                 SC_INTS(p.n, p.dilation), SC_INT(ceil), SC_INT(last), SC_INT(count_pad));
    ret_out[0] = sc_node1(b, op, attr, 1, &x);
    return 1;
}

static uint32_t make_maxpool(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const ScrtDtype t[] = {SCRT_F32, SCRT_U8, SCRT_I8};
    uint32_t pick = sc_ops_pick(r, 0, 5);
    return make_pool(b, r, &sc_op_maxpool, t[pick < 3 ? pick : 0], ret_out);
}

static uint32_t make_avgpool(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    return make_pool(b, r, &sc_op_avgpool, SCRT_F32, ret_out);
}

#define KERNEL                                                                                     \
    {.name = "kernel_shape", .kind = SC_A_INTS, .required = true, .doc = "the window's extents"}
#define CEIL                                                                                       \
    {.name = "ceil_mode", .kind = SC_A_INT, .def = SC_INT(0), .doc = "a last window may hang over"}

const ScOp sc_op_maxpool = {
    .name = "maxpool",
    .doc = "the largest element in a window; positions outside the input are skipped",
    .onnx = {"", "MaxPool", 1},
    .in = "X: num",
    .out = "Y: num",
    .attr = {KERNEL, STRIDES, PADS, DILATIONS, CEIL, LAST},
    .n_attr = 6,
    .infer = infer_maxpool,
    .scale = "a -> a",
    .top = sc_ops_top_first,
    .lower = {SC_POOL},
    .pool = describe_maxpool,
    .eval = eval_maxpool,
    .domain = {.make = make_maxpool},
};

const ScOp sc_op_avgpool = {
    .name = "avgpool",
    .doc = "the mean of a window, of its positions inside the input or of those in pads too",
    .onnx = {"", "AveragePool", 1},
    .in = "X: float",
    .out = "Y: float",
    .attr = {KERNEL,
             STRIDES,
             PADS,
             DILATIONS,
             CEIL,
             LAST,
             {.name = "count_include_pad",
              .kind = SC_A_INT,
              .def = SC_INT(0),
              .doc = "pads count as zeros"}},
    .n_attr = 7,
    .flags = SC_SUMS | SC_AVERAGES,
    .infer = infer_pool,
    .scale = "a -> a",
    .top = sc_ops_top_first,
    .growth = grow_avgpool,
    .lower = {SC_POOL},
    .pool = describe_avgpool,
    .eval = eval_avgpool,
    .domain = {.make = make_avgpool},
};
