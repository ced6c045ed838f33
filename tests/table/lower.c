/* SPDX-License-Identifier: Apache-2.0 */
/* Each loop class run naively from what the row says of it: body, descriptor, view. What the
 * compiler makes of a row rests on these facts alone, so they must reproduce the evaluation. */
#include "tests/table/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RANK SCRT_MAX_RANK

/* --- Index spaces ---------------------------------------------------------------------------- */

static bool next(uint32_t rank, const int64_t *dims, int64_t *idx)
{
    for (uint32_t d = rank; d-- > 0;) {
        if (++idx[d] < dims[d])
            return true;
        idx[d] = 0;
    }
    return false;
}

static void dense(uint32_t rank, const int64_t *dims, int64_t *ret_stride)
{
    int64_t step = 1;
    for (uint32_t d = rank; d-- > 0; step *= dims[d])
        ret_stride[d] = step;
}

static int64_t offset(uint32_t rank, const int64_t *idx, const int64_t *stride)
{
    int64_t at = 0;
    for (uint32_t d = 0; d < rank; d++)
        at += idx[d] * stride[d];
    return at;
}

/* Where element idx of a space of that rank lies in t, which broadcasts to it. */
static int64_t broadcast(const ScrtTensor *t, uint32_t rank, const int64_t *idx)
{
    int64_t stride[RANK], at = 0;
    dense(t->rank, t->dims, stride);
    for (uint32_t d = 0; d < t->rank; d++)
        at += t->dims[d] == 1 ? 0 : idx[rank - t->rank + d] * stride[d];
    return at;
}

static double load(const ScrtTensor *t, int64_t i)
{
    return scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i);
}

static void store(const Case *c, ScrtTensor *t, int64_t i, double x)
{
    ScrtDtype d = (ScrtDtype)t->dtype;
    scrt_store(d, t->data, (size_t)i, x, stores_saturated(c->n, d));
}

static ScrtTensor result_like(const ScrtTensor *t)
{
    ScrtTensor r = *t;
    ck_assert_int_eq(scrt_tensor_alloc(&r), SCRT_OK);
    return r;
}

static const char *judge(const Case *c, ScrtTensor *got, double max_ulp)
{
    const char *why = compare(c, 0, got, max_ulp, false, "its lowering");
    scrt_free(got->data);
    return why;
}

/* --- MAP ------------------------------------------------------------------------------------- */

static ScXType x_type(ScrtDtype t)
{
    return scrt_dtype_is_float(t) ? SC_XF : t == SCRT_BOOL ? SC_XB : SC_XI;
}

/* Bodies compute in f64 where a float of theirs is f64, else in f32; without floats in the type of
 * their integers, or as truth values. */
static ScBody new_body(const Case *c, ScArena *a)
{
    ScBody b = {.arena = a, .g = c->g};
    bool real = false, wide = false;
    for (uint32_t i = 0; i < c->n->n_in + c->n->n_out; i++) {
        ScVal v = i < c->n->n_in ? c->n->in[i] : c->n->first + (i - c->n->n_in);
        const ScType *t = sc_type_of(c->g, v);
        if (t->kind != SC_TYPE_TENSOR)
            continue;
        real |= scrt_dtype_is_float(t->dtype);
        wide |= t->dtype == SCRT_F64;
        if (!b.integer && t->dtype != SCRT_BOOL && !scrt_dtype_is_float(t->dtype))
            b.integer = t->dtype;
    }
    b.compute = wide ? SCRT_F64 : real ? SCRT_F32 : b.integer ? b.integer : SCRT_BOOL;
    return b;
}

const char *lower_map(Case *c)
{
    ScArena *a = sc_arena_new();
    ScBody b = new_body(c, a);
    ScX in[SC_MAX_IN + 2] = {0}, out[SC_MAX_OUT];
    const char *why = NULL;
    for (uint32_t i = 0; i < c->n->n_in; i++)
        if (c->in[i].data)
            in[i] = sc_x_in(&b, i, x_type((ScrtDtype)c->in[i].dtype));
    c->op->lower.body(&b, c->n, in, out);
    for (uint32_t k = 0; k < c->n->n_out && !why; k++) {
        ScrtTensor got = result_like(&c->out[k]);
        int64_t idx[RANK] = {0}, n = scrt_count(&got);
        for (int64_t i = 0; i < n; i++, next(got.rank, got.dims, idx)) {
            double x[SC_MAX_IN + 2] = {0};
            for (uint32_t p = 0; p < c->n->n_in; p++)
                if (c->in[p].data)
                    x[p] = load(&c->in[p], broadcast(&c->in[p], got.rank, idx));
            store(c, &got, i, sc_body_run(&b, out[k], x, 0, NULL));
        }
        why = compare(c, k, &got, (double)c->op->max_ulp, false, "its body");
        scrt_free(got.data);
    }
    sc_arena_free(a);
    return why;
}

/* --- REDUCE ---------------------------------------------------------------------------------- */

static double start_of(ScMonoid m)
{
    return m == SC_SUM ? 0 : m == SC_PROD ? 1 : m == SC_MAX ? -INFINITY : INFINITY;
}

static double combine(ScMonoid m, double acc, double x)
{
    switch (m) {
    case SC_SUM:
        return acc + x;
    case SC_PROD:
        return acc * x;
    case SC_MAX:
        return x > acc || isnan(x) ? x : acc;
    case SC_MIN:
        return x < acc || isnan(x) ? x : acc;
    }
    return 0;
}

static double run_part(Case *c, void (*part)(ScBody *, const ScNode *, const ScX *, ScX *),
                       int64_t count, double x)
{
    if (!part)
        return x;
    ScArena *a = sc_arena_new();
    ScBody b = new_body(c, a);
    b.count = sc_term(c->g->cx, count);
    ScX in = sc_x_in(&b, 0, x_type((ScrtDtype)c->in[0].dtype)), out;
    part(&b, c->n, &in, &out);
    double y = sc_body_run(&b, out, &x, 0, NULL);
    sc_arena_free(a);
    return y;
}

const char *lower_reduce(Case *c)
{
    ScReduce r = {0};
    c->op->reduce(c->g, c->n, &r);
    const ScrtTensor *x = &c->in[0];
    ScrtTensor got = result_like(&c->out[0]);
    int64_t n_out = scrt_count(&got), n = scrt_count(x), count = 1, idx[RANK] = {0}, stride[RANK];
    int64_t to[RANK] = {0}; /* stride of each axis of x in the result, 0 where it is reduced */
    double *acc = calloc((size_t)n_out + 1, sizeof *acc);
    dense(got.rank, got.dims, stride);
    for (uint32_t d = 0, k = 0, o = 0; d < x->rank; d++) {
        bool gone = k < r.n_axis && r.axis[k] == d;
        count *= gone ? x->dims[d] : 1;
        k += gone;
        to[d] = gone ? 0 : stride[o];
        o += !gone || r.keep;
    }
    for (int64_t i = 0; i < n_out; i++)
        acc[i] = start_of(r.monoid);
    for (int64_t i = 0; i < n; i++, next(x->rank, x->dims, idx)) {
        double *p = &acc[offset(x->rank, idx, to)];
        *p = combine(r.monoid, *p, run_part(c, c->op->lower.body, 1, load(x, i)));
    }
    for (int64_t i = 0; i < n_out; i++) {
        bool f32 = got.dtype == SCRT_F32;
        double y = f32 ? (double)(float)acc[i] : acc[i]; /* what `post` receives */
        store(c, &got, i, run_part(c, c->op->lower.post, count, y));
    }
    free(acc);
    return judge(c, &got, fmax((double)c->op->max_ulp, c->op->lower.post ? 1 : 0));
}

/* --- CONTRACT -------------------------------------------------------------------------------- */

/* Operand 0 or 1 as [batch..., rows, columns]; a vector lacks one of the two. */
typedef struct Matrix {
    const ScrtTensor *t;
    uint32_t n_batch;
    int64_t stride_k, stride_other, k, other;
} Matrix;

static Matrix matrix(const ScrtTensor *t, bool k_is_last)
{
    Matrix m = {.t = t, .stride_k = 1, .k = t->dims[t->rank - 1], .other = 1};
    if (t->rank == 1)
        return m;
    int64_t last = t->dims[t->rank - 1], before = t->dims[t->rank - 2];
    m.n_batch = t->rank - 2;
    m.k = k_is_last ? last : before;
    m.other = k_is_last ? before : last;
    m.stride_k = k_is_last ? 1 : last;
    m.stride_other = k_is_last ? last : 1;
    return m;
}

/* The first element of the matrix for a batch index of rank n_batch, aligned at the last. */
static int64_t batch(const Matrix *m, uint32_t n_batch, const int64_t *idx)
{
    ScrtTensor leading = *m->t;
    leading.rank = m->n_batch;
    return broadcast(&leading, n_batch, idx) * m->k * m->other;
}

/* The row's bias, or NULL. */
static const ScrtTensor *bias_of(const Case *c)
{
    uint32_t i = c->op->bias;
    return i > 0 && i < c->n->n_in && c->in[i].data ? &c->in[i] : NULL;
}

/* Element b of B, at row k of a column: times the scale of its block, rounded to f32, where it has
 * one. */
static double scaled(const Case *c, const ScContract *d, double b, int64_t k, int64_t column)
{
    if (!d->scales)
        return b;
    const ScrtTensor *s = &c->in[d->scales];
    int64_t i =
        d->trans_b ? column * s->dims[1] + k / d->block : k / d->block * s->dims[1] + column;
    return (float)(b * load(s, i));
}

const char *lower_contract(Case *c)
{
    ScContract d = {0};
    c->op->contract(c->g, c->n, &d);
    Matrix a = matrix(&c->in[0], !d.trans_a), b = matrix(&c->in[1], d.trans_b);
    const ScrtTensor *bias = bias_of(c);
    ScrtTensor got = result_like(&c->out[0]);
    uint32_t has_m = a.t->rank > 1, has_n = b.t->rank > 1, n_batch = got.rank - has_m - has_n;
    int64_t idx[RANK] = {0}, n = scrt_count(&got);
    for (int64_t i = 0; i < n; i++, next(got.rank, got.dims, idx)) {
        int64_t row = has_m ? idx[n_batch] : 0, column = has_n ? idx[n_batch + has_m] : 0;
        int64_t at = batch(&a, n_batch, idx) + row * a.stride_other;
        int64_t bt = batch(&b, n_batch, idx) + column * b.stride_other;
        double sum = 0;
        for (int64_t k = 0; k < a.k; k++)
            sum += load(a.t, at + k * a.stride_k) *
                   scaled(c, &d, load(b.t, bt + k * b.stride_k), k, column);
        if (bias)
            sum += load(bias, broadcast(bias, got.rank, idx));
        store(c, &got, i, sum);
    }
    return judge(c, &got, 0);
}

/* --- CONV and POOL --------------------------------------------------------------------------- */

/* The place in x's spatial extents that tap k of the window at out looks at; -1 in its pads, -2
 * beyond them. */
static int64_t look(const ScWindow *w, const int64_t *extent, const int64_t *out, const int64_t *k)
{
    int64_t at = 0, outside = 0;
    for (uint32_t d = 0; d < w->n_spatial; d++) {
        int64_t pad, end, i = out[d] * w->stride[d] + k[d] * w->dilation[d];
        ck_assert(sc_term_const(w->pad_begin[d], &pad) && sc_term_const(w->pad_end[d], &end));
        i -= pad;
        if (i < 0 || i >= extent[d])
            outside = i >= extent[d] + end || outside == -2 ? -2 : -1;
        at = at * extent[d] + i;
    }
    return outside ? outside : at;
}

static int64_t product(uint32_t n, const int64_t *x)
{
    int64_t p = 1;
    for (uint32_t i = 0; i < n; i++)
        p *= x[i];
    return p;
}

/* One channel of one image: element `at` of its plane is the tensor's first + at * step. */
typedef struct Plane {
    const ScrtTensor *x;
    const int64_t *extent;
    int64_t first, step, channels;
} Plane;

static Plane plane_of(const ScWindow *w, const ScrtTensor *x, int64_t image, int64_t channel)
{
    Plane p = {x, x->dims + (w->channels_last ? 1 : 2), 0, 1, x->dims[1]};
    int64_t size = product(w->n_spatial, p.extent);
    if (w->channels_last)
        p.step = p.channels = x->dims[x->rank - 1];
    p.first = image * p.channels * size + (w->channels_last ? channel : channel * size);
    return p;
}

/* Sums one plane of x against one plane of w. */
static double conv_plane(const ScWindow *w, const Plane *x, const ScrtTensor *weight, int64_t w0,
                         const int64_t *out, double sum)
{
    int64_t k[RANK] = {0}, taps = product(w->n_spatial, w->kernel);
    for (int64_t i = 0; i < taps; i++, next(w->n_spatial, w->kernel, k)) {
        int64_t at = look(w, x->extent, out, k);
        if (at >= 0)
            sum += load(x->x, x->first + at * x->step) * load(weight, w0 + i);
    }
    return sum;
}

static double pool_plane(const ScPool *p, const Plane *x, const int64_t *out)
{
    const ScWindow *w = &p->window;
    int64_t k[RANK] = {0}, taps = product(w->n_spatial, w->kernel), used = 0;
    double acc = start_of(p->monoid);
    for (int64_t i = 0; i < taps; i++, next(w->n_spatial, w->kernel, k)) {
        int64_t at = look(w, x->extent, out, k);
        used += at >= 0 || (p->count_pad && at == -1);
        if (at >= 0)
            acc = combine(p->monoid, acc, load(x->x, x->first + at * x->step));
    }
    return !p->mean ? acc : used ? acc / (double)used : 0;
}

const char *lower_conv(Case *c)
{
    ScConv d = {0};
    c->op->conv(c->g, c->n, &d);
    const ScWindow *w = &d.window;
    const ScrtTensor *x = &c->in[0], *bias = bias_of(c);
    ScrtTensor got = result_like(&c->out[0]);
    uint32_t ch = w->channels_last ? got.rank - 1 : 1, sp = w->channels_last ? 1 : 2;
    int64_t idx[RANK] = {0}, n = scrt_count(&got), taps = product(w->n_spatial, w->kernel);
    for (int64_t i = 0; i < n; i++, next(got.rank, got.dims, idx)) {
        Plane p = plane_of(w, x, idx[0], idx[ch]);
        int64_t each = p.channels / d.group, group = idx[ch] / (got.dims[ch] / d.group);
        double sum = 0;
        for (int64_t k = 0; k < each; k++) {
            p = plane_of(w, x, idx[0], group * each + k);
            sum = conv_plane(w, &p, &c->in[1], (idx[ch] * each + k) * taps, idx + sp, sum);
        }
        sum += bias ? load(bias, idx[c->op->bias_axis(c->g, c->n)]) : 0;
        store(c, &got, i, sum);
    }
    return judge(c, &got, 0);
}

const char *lower_pool(Case *c)
{
    ScPool d = {0};
    c->op->pool(c->g, c->n, &d);
    const ScWindow *w = &d.window;
    ScrtTensor got = result_like(&c->out[0]);
    uint32_t ch = w->channels_last ? got.rank - 1 : 1, sp = w->channels_last ? 1 : 2;
    int64_t idx[RANK] = {0}, n = scrt_count(&got);
    for (int64_t i = 0; i < n; i++, next(got.rank, got.dims, idx)) {
        Plane p = plane_of(w, &c->in[0], idx[0], idx[ch]);
        store(c, &got, i, pool_plane(&d, &p, idx + sp));
    }
    return judge(c, &got, 0);
}

/* --- VIEW, CONCAT, GATHER -------------------------------------------------------------------- */

const char *lower_view(Case *c)
{
    const ScrtTensor *x = &c->in[0];
    ScrtTensor got = result_like(&c->out[0]);
    ScView v = {.rank = x->rank, .offset = sc_term(c->cx, 0)};
    int64_t dims[RANK], stride[RANK], start, idx[RANK] = {0}, n = scrt_count(&got);
    dense(x->rank, x->dims, stride);
    for (uint32_t d = 0; d < x->rank; d++) {
        v.dim[d] = sc_term(c->cx, x->dims[d]);
        v.stride[d] = sc_term(c->cx, stride[d]);
    }
    const char *why = NULL;
    if (!c->op->view(c->cx, c->g, c->n, &v))
        why = say("%s: strides cannot say a view of dense data", c->op->name);
    else if (v.rank != got.rank || !sc_term_const(v.offset, &start))
        why = say("%s: its view has another rank", c->op->name);
    for (uint32_t d = 0; d < v.rank && !why; d++)
        if (!sc_term_const(v.dim[d], &dims[d]) || dims[d] != got.dims[d] ||
            !sc_term_const(v.stride[d], &stride[d]))
            why = say("%s: its view has another extent %u", c->op->name, d);
    if (why) {
        scrt_free(got.data);
        return why;
    }
    for (int64_t i = 0; i < n; i++, next(v.rank, dims, idx)) {
        int64_t at = start + offset(v.rank, idx, stride);
        if (at < 0 || at >= scrt_count(x)) {
            scrt_free(got.data);
            return say("%s: its view leaves the operand's buffer", c->op->name);
        }
        store(c, &got, i, load(x, at));
    }
    return judge(c, &got, 0);
}

const char *lower_concat(Case *c)
{
    uint32_t axis = c->op->concat_axis(c->g, c->n);
    ScrtTensor got = result_like(&c->out[0]);
    int64_t stride[RANK], begin = 0, n_out = scrt_count(&got);
    dense(got.rank, got.dims, stride);
    for (uint32_t k = 0; k < c->n->n_in; k++) {
        const ScrtTensor *x = &c->in[k];
        int64_t idx[RANK] = {0}, n = scrt_count(x);
        for (int64_t i = 0; i < n; i++, next(x->rank, x->dims, idx)) {
            int64_t at = begin * stride[axis] + offset(x->rank, idx, stride);
            if (at < n_out) /* what is not written stays 0 and is found */
                store(c, &got, at, load(x, i));
        }
        begin += x->dims[axis];
    }
    return judge(c, &got, 0);
}

const char *lower_gather(Case *c)
{
    const ScrtTensor *x = &c->in[0], *index = &c->in[1];
    uint32_t axis = c->op->gather_axis(c->g, c->n), q = index->rank;
    ScrtTensor got = result_like(&c->out[0]);
    int64_t idx[RANK] = {0}, from[RANK], stride[RANK], at[RANK], n = scrt_count(&got);
    dense(x->rank, x->dims, stride);
    dense(q, index->dims, at);
    for (int64_t i = 0; i < n; i++, next(got.rank, got.dims, idx)) {
        int64_t end = x->dims[axis];
        int64_t k = (int64_t)load(index, offset(q, idx + axis, at));
        k = k < 0 ? k + end : k;
        for (uint32_t d = 0; d < x->rank; d++)
            from[d] = d < axis ? idx[d] : d > axis ? idx[d + q - 1] : k;
        from[axis] = k < 0 ? 0 : k < end ? k : end - 1;
        store(c, &got, i, load(x, offset(x->rank, from, stride)));
    }
    return judge(c, &got, 0);
}

const char *lower_scan(Case *c)
{
    const ScrtTensor *x = &c->in[0];
    ScScan s = {0};
    c->op->scan(c->g, c->n, &s);
    ScrtTensor got = result_like(&c->out[0]);
    int64_t idx[RANK] = {0}, stride[RANK], n = x->dims[s.axis], count = scrt_count(x);
    dense(x->rank, x->dims, stride);
    for (int64_t i = 0; i < count; i++, next(x->rank, x->dims, idx)) {
        int64_t k = idx[s.axis], first = i - k * stride[s.axis];
        int64_t from = s.reverse ? k + s.exclusive : 0, to = s.reverse ? n : k + !s.exclusive;
        double acc = start_of(s.monoid); /* in the order that the row states */
        for (int64_t j = from; j < to; j++)
            acc = combine(s.monoid, acc,
                          load(x, first + (s.reverse ? n - 1 - (j - from) : j) * stride[s.axis]));
        store(c, &got, i, acc);
    }
    return judge(c, &got, (double)c->op->max_ulp);
}

/* The score of query i of a head (q: its elements) with key j (k: its elements). */
static double score(const Case *c, const ScAttention *s, const int64_t *scores, int64_t q,
                    int64_t k, int64_t diagonal)
{
    double x = 0, scale = load(&c->in[3], 0);
    for (int64_t e = 0; e < c->in[0].dims[3]; e++)
        x += load(&c->in[0], q + e) * load(&c->in[1], k + e);
    x *= scale;
    x = s->softcap > 0 ? s->softcap * tanh(x / s->softcap) : x;
    if (s->keep >= 0 && !load(&c->in[s->keep], broadcast(&c->in[s->keep], 4, scores)))
        x = s->fill;
    if (s->addend >= 0)
        x += load(&c->in[s->addend], broadcast(&c->in[s->addend], 4, scores));
    return s->diagonal && scores[3] > scores[2] + diagonal ? -INFINITY : x;
}

/* Key by key, relative to the largest score so far. */
const char *lower_attention(Case *c)
{
    const ScrtTensor *q = &c->in[0], *k = &c->in[1], *v = &c->in[2];
    ScAttention s = {0};
    int64_t idx[RANK] = {0}, diagonal = 0, each = q->dims[1] / k->dims[1], n = k->dims[2];
    ScrtTensor got = result_like(&c->out[0]);
    c->op->attention(c->g, c->n, &s);
    if (s.diagonal)
        sc_term_const(s.diagonal, &diagonal);
    for (int64_t i = 0; i < scrt_count(&got); i++, next(4, got.dims, idx)) {
        int64_t matrix = (idx[0] * k->dims[1] + idx[1] / each) * n;
        int64_t row = (idx[0] * q->dims[1] + idx[1]) * q->dims[2] + idx[2];
        double top = -INFINITY, sum = 0, y = 0;
        for (int64_t j = 0; j < n; j++) {
            const int64_t at[4] = {idx[0], idx[1], idx[2], j};
            double x = score(c, &s, at, row * q->dims[3], (matrix + j) * q->dims[3], diagonal);
            double now = x > top ? x : top, base = now == -INFINITY ? 0 : now;
            double factor = exp(top - base), p = exp(x - base);
            sum = sum * factor + p;
            y = y * factor + p * load(v, (matrix + j) * v->dims[3] + idx[3]);
            top = now;
        }
        store(c, &got, i,
              (s.zeros && top == -INFINITY) || (s.zeros > 1 && isnan(sum)) ? 0 : y / sum);
    }
    return judge(c, &got, (double)c->op->max_ulp);
}
