/* SPDX-License-Identifier: Apache-2.0 */
/* Weights with a scale for each output channel: the channel's weights are divided by the number at
 * which they are best stored, and its results multiplied by it in the epilogue. That number need
 * not be a power of two (factor.c), and what scales the activations leaves with it. A bias that
 * stands before the product's end is divided too, so it must be a constant. */
#include "passes/scale_priv.h"

#include <math.h>
#include <string.h>

#define MOST 100 /* the largest exponent of a channel's number, either way */

const ScBlob *sc_float_blob(const ScGraph *g, ScVal v)
{
    const ScNode *n = sc_def(g, v);
    while (n->op->flags & SC_REBALANCES) /* of a symbolic exponent */
        n = sc_def(g, n->in[0]);
    const ScBlob *b = n->op->flags & SC_CONST_OP ? n->attr[0].blob : NULL;
    return b && b->data && scrt_dtype_is_float(b->dtype) && scrt_dtype_bits(b->dtype) <= 32 ? b
                                                                                            : NULL;
}

/* The channels of the weight: none where it is no constant that they can be told of. */
static void find_channels(const ScGraph *g, const ScNode *n, uint32_t axis, ScScaledProduct *p)
{
    const ScType *t = sc_type_of(g, n->in[1]);
    p->rank = t->rank;
    p->inner = 1;
    if (t->rank < 2 || !sc_type_const_dims(t, p->dim) || !sc_float_blob(g, n->in[1]))
        return;
    p->channels = p->dim[axis];
    for (uint32_t d = axis + 1; d < t->rank; d++)
        p->inner *= p->dim[d];
}

void sc_product_of(const ScGraph *g, const ScNode *n, ScScaledProduct *ret)
{
    *ret = (ScScaledProduct){.bias = -1, .all = 1};
    if (n->n_out != 1 || n->n_in < 2 || !sc_type_is_float(sc_type_of(g, n->first)))
        return;
    ret->bias = sc_bias(n);
    if (n->op->contract) {
        ScContract c;
        n->op->contract(g, n, &c);
        if (sc_type_of(g, n->in[1])->rank == 2 && sc_type_of(g, n->in[0])->rank >= 1)
            find_channels(g, n, c.trans_b ? 0 : 1, ret);
    } else if (n->op->conv) {
        ScConv c;
        n->op->conv(g, n, &c);
        ret->trailing = c.window.channels_last ? 0 : c.window.n_spatial;
        find_channels(g, n, 0, ret);
    } else {
        return;
    }
    const ScBlob *bias = ret->bias < 0 ? NULL : sc_float_blob(g, n->in[ret->bias]);
    ret->can =
        ret->bias < 0 || (bias && ret->channels > 0 && sc_type_of(g, n->in[ret->bias])->rank == 1 &&
                          bias->count == (size_t)ret->channels);
    const ScMeans *m = n->in[0] < SC_FIRST ? NULL : g->value[n->in[0]].means;
    if (m && ret->can && ret->channels > 0 && sc_summed_axis(g, n, &ret->summed) &&
        m->n == ret->summed.n && m->behind == ret->summed.behind)
        ret->means = m;
}

/* --- The number that suits a channel ---------------------------------------------------------- */

/* The largest number of a format, or where its highest exponents stay free, as many as its mantissa
 * has bits. Codes without those are decoded fastest (codegen: CG_CODES_LOW). */
static double largest(const ScrtFormat *f, bool low)
{
    return low ? ldexp(2 - ldexp(1, -f->man_bits), ilogb(f->max) - f->man_bits) : f->max;
}

static float as_float(int32_t bits)
{
    float ret;
    memcpy(&ret, &bits, sizeof ret);
    return ret;
}

typedef struct Search {
    ScStrips s;
    const ScrtFormat *f;
    const ScFactors *factors;
    double few;     /* below it are subnormals where the largest is in [1, 2) */
    uint32_t *best; /* [channels] the factor */
    float *amax;    /* [channels] */
    bool *low;      /* [channels] its codes' highest exponents may stay free */
} Search;

/* One strip's. */
typedef struct Found {
    int32_t amax[SC_RUN]; /* as bits, which are ordered like magnitudes */
    float to_1[SC_RUN];   /* brings the largest to [1, 2) */
    float power[SC_RUN][SC_MANTISSAS];
    uint32_t n_few[SC_RUN];
} Found;

/* along: element k is of channel k, else all are of channel 0. */
SC_RUN_BODY void see_largest(size_t n, bool along, const float *restrict x, int32_t *restrict amax)
{
    int32_t most = amax[0];
    for (size_t k = 0; k < n; k++) {
        int32_t bits;
        memcpy(&bits, &x[k], sizeof bits);
        bits &= 0x7fffffff;
        if (along)
            amax[k] = bits > amax[k] ? bits : amax[k];
        else
            most = bits > most ? bits : most;
    }
    if (!along)
        amax[0] = most;
}

/* The square of each, at which mantissa it counts, and whether it is small. */
SC_RUN_BODY void see_squares(size_t n, bool along, float few, const float *restrict x,
                             const float *restrict to_1, float *restrict square,
                             uint32_t *restrict bin, uint32_t *restrict small)
{
    enum { REST = 23 - SC_MANTISSA_BITS };
    for (size_t k = 0; k < n; k++) {
        uint32_t bits;
        float y = x[k] * to_1[along ? k : 0];
        memcpy(&bits, &x[k], sizeof bits);
        square[k] = y * y;
        bin[k] = (bits + (1u << (REST - 1))) >> REST & (SC_MANTISSAS - 1);
        small[k] = (x[k] != 0) & (fabsf(y) < few);
    }
}

/* In f32, where a product with a power of two is exact, and of what is lost below the squares are
 * below too. */
static void add_run(const ScRun *r, bool along, float few, const float *x, Found *f)
{
    float square[SC_RUN];
    uint32_t bin[SC_RUN], small[SC_RUN];
    size_t c = r->c - r->first;
    if (along)
        SC_ON_RUN(r->n, see_squares, true, few, x, f->to_1 + c, square, bin, small);
    else
        SC_ON_RUN(r->n, see_squares, false, few, x, f->to_1 + c, square, bin, small);
    for (size_t k = 0; k < r->n; k++) {
        f->power[along ? c + k : c][bin[k]] += square[k];
        f->n_few[along ? c + k : c] += small[k];
    }
}

/* The same in f64. */
static void add_far_run(const ScRun *r, bool along, double few, const float *x, Found *f)
{
    for (size_t k = 0; k < r->n; k++) {
        size_t c = r->c - r->first + (along ? k : 0);
        if (x[k] == 0)
            continue;
        double y = ldexp((double)x[k], -ilogbf(as_float(f->amax[c])));
        sc_mantissas_add(f->power[c], y);
        f->n_few[c] += fabs(y) < few;
    }
}

/* Whether a channel whose n_few smallest numbers are subnormal then has a thousandth more error at
 * most; k: the factor. Of the numbers the largest is in [1, 2). */
static bool may_stay_low(const ScrtFormat *f, const ScFactors *factors, uint32_t k,
                         const float *power, size_t n_few)
{
    double sum = 0, step = 4 / largest(f, true) * f->min_denorm;
    for (uint32_t i = 0; i < SC_MANTISSAS; i++)
        sum += (double)(factors->error[i][k] * power[i]);
    return (double)n_few * step * step / 12 <= 1e-3 * sum;
}

static void search_strip(void *arg, size_t strip)
{
    Search *s = arg;
    Found f = {0};
    float x[SC_RUN], few = (float)s->few;
    const bool along = s->s.inner == 1;
    bool far = false;
    double gain;
    ScRun r = sc_run_begin(&s->s, strip);
    while (sc_run_next(&s->s, &r)) {
        sc_run_load(s->s.b, &r, x);
        if (along)
            SC_ON_RUN(r.n, see_largest, true, x, f.amax + (r.c - r.first));
        else
            SC_ON_RUN(r.n, see_largest, false, x, f.amax + (r.c - r.first));
    }
    for (size_t c = 0; c < r.past - r.first; c++) { /* so that squares stay in range */
        float amax = as_float(f.amax[c]);
        f.to_1[c] = amax > 0 ? ldexpf(1, -ilogbf(amax)) : 0;
        far = far || (amax > 0 && (amax < 0x1p-40f || amax > 0x1p60f));
    }
    few = (double)few < s->few ? nextafterf(few, INFINITY) : few; /* the same floats are below */
    r = sc_run_begin(&s->s, strip);
    while (sc_run_next(&s->s, &r)) {
        sc_run_load(s->s.b, &r, x);
        if (far)
            add_far_run(&r, along, s->few, x, &f);
        else
            add_run(&r, along, few, x, &f);
    }
    for (size_t c = 0; c < r.past - r.first; c++) {
        uint32_t k = sc_factor_best(s->factors, f.power[c], NULL, &gain);
        s->best[r.first + c] = k;
        s->amax[r.first + c] = as_float(f.amax[c]);
        s->low[r.first + c] = may_stay_low(s->f, s->factors, k, f.power[c], f.n_few[c]);
    }
}

const float *sc_channel_units(ScScaler *s, const ScBlob *b, const ScScaledProduct *p,
                              const ScrtFormat *f)
{
    size_t n = (size_t)p->channels;
    ScFactors *factors = sc_new(s->scratch, ScFactors);
    Search at = {.s = sc_strips(b, p),
                 .f = f,
                 .factors = factors,
                 .few = 4 / largest(f, true) * f->min_normal,
                 .best = sc_array(s->scratch, uint32_t, n),
                 .amax = sc_array(s->scratch, float, n),
                 .low = sc_array(s->scratch, bool, n)};
    sc_factors_init(factors, f->man_bits);
    sc_strips_each(&at.s, search_strip, &at);
    bool low = f->bits == 8 && f->has_neg_zero;
    for (size_t c = 0; c < n; c++)
        low = low && at.low[c];
    float *unit = sc_array(sc_ctx_arena(s->b.cx), float, n + 1);
    for (size_t c = 0; c < n; c++) {
        double factor = sc_factor_at(at.best[c]), amax = (double)at.amax[c];
        int e = amax > 0 ? sc_fit_exp(amax / factor, largest(f, low)) : 0;
        if (e < -MOST || e > MOST)
            return NULL;
        unit[c] = amax > 0 ? (float)ldexp(factor, e) : 1;
    }
    return unit;
}

/* --- Rounding --------------------------------------------------------------------------------- */

typedef struct Rounding {
    ScStrips s;
    const float *unit; /* [channels] */
    ScrtDtype fmt;
    unsigned char *code;
} Rounding;

SC_RUN_BODY void divide(size_t n, bool along, const float *restrict x, const float *restrict unit,
                        double *restrict ret)
{
    for (size_t k = 0; k < n; k++)
        ret[k] = (double)x[k] / (double)unit[along ? k : 0];
}

/* The codes of a strip's elements, each divided by its channel's number. */
static void round_strip(void *arg, size_t strip)
{
    const Rounding *w = arg;
    uint32_t bits = scrt_dtype_bits(w->fmt);
    float x[SC_RUN];
    double y[SC_RUN];
    uint8_t code[SC_RUN];
    ScRun r = sc_run_begin(&w->s, strip);
    while (sc_run_next(&w->s, &r)) {
        sc_run_load(w->s.b, &r, x);
        if (w->s.inner == 1)
            SC_ON_RUN(r.n, divide, true, x, w->unit + r.c, y);
        else
            SC_ON_RUN(r.n, divide, false, x, w->unit + r.c, y);
        scrt_round_codes(w->fmt, r.n, y, bits == 8 ? w->code + r.at : code);
        for (size_t k = 0; bits < 8 && k < r.n; k++)
            scrt_store_bits(w->fmt, w->code, r.at + k, code[k]);
    }
}

static void round_channels(const ScBlob *b, const ScScaledProduct *p, ScrtDtype fmt, void *code)
{
    Rounding w = {.s = sc_strips(b, p), .unit = p->unit, .fmt = fmt, .code = code};
    if (scrt_dtype_bits(fmt) == 8)
        sc_strips_each(&w.s, round_strip, &w);
    else /* strips share bytes */
        for (size_t i = 0; i < w.s.n; i++)
            round_strip(&w, i);
}

ScVal sc_channel_weight(ScScaler *s, const ScNode *n, ScrtDtype fmt, ScScaledProduct *p)
{
    ScCtx *cx = s->b.cx;
    const ScBlob *b = p->channels > 0 ? sc_float_blob(s->g, n->in[1]) : NULL;
    size_t bytes;
    if (!p->can || !b || b->count == 0 || !scrt_bytes(fmt, b->count, &bytes))
        return SC_ABSENT;
    p->unit = sc_channel_units(s, b, p, scrt_format(fmt));
    if (!p->unit)
        return SC_ABSENT;
    void *code = sc_alloc(sc_ctx_arena(cx), bytes);
    round_channels(b, p, fmt, code);
    sc_find_moved(s, n, b, fmt, code, 0, p);
    sc_blob_forget(cx, b);
    const ScBlob *codes = sc_blob_rounded(cx, &(ScBlob){.dtype = fmt,
                                                        .rank = p->rank,
                                                        .dims = p->dim,
                                                        .data = code,
                                                        .from = b,
                                                        .unit = p->unit,
                                                        .n_unit = (size_t)p->channels,
                                                        .inner = (size_t)p->inner});
    s->b.at = sc_def(s->g, n->in[1])->loc;
    ScVal w = sc_const_shaped(&s->b, codes, fmt, p->rank, p->dim, sc_term(cx, 0));
    sc_set_name(&s->b, w, s->g->value[n->in[1]].name);
    s->b.at = n->loc;
    return w;
}

double sc_product_factor_at(const ScScaledProduct *p, size_t c)
{
    return p->all * (p->unit ? (double)p->unit[c] : 1);
}

ScVal sc_product_factor(ScScaler *s, const ScScaledProduct *p)
{
    ScCtx *cx = s->b.cx;
    if (!p->unit && p->all == 1)
        return SC_ABSENT;
    bool each = p->unit != NULL;
    size_t count = each ? (size_t)p->channels : 1;
    int64_t dim[SCRT_MAX_RANK] = {p->channels};
    uint32_t rank = each ? 1 + p->trailing : 0;
    for (uint32_t d = 1; d < rank; d++)
        dim[d] = 1;
    float *x = sc_array(sc_ctx_arena(cx), float, count + 1);
    for (size_t c = 0; c < count; c++)
        x[c] = (float)sc_product_factor_at(p, c);
    const ScBlob *factor = sc_blob_folded(cx, SCRT_F32, rank, dim, x);
    return sc_const_shaped(&s->b, factor, SCRT_F32, rank, dim, sc_term(cx, 0));
}
