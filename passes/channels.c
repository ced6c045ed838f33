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

size_t sc_blob_block(const ScBlob *b, size_t first, double *ret)
{
    size_t n = b->count - first < SC_BLOB_BLOCK ? b->count - first : SC_BLOB_BLOCK;
    float x[SC_BLOB_BLOCK];
    if (b->dtype == SCRT_F32) { /* nearly all of them; in a file, where nothing is aligned */
        memcpy(x, (const char *)b->data + first * sizeof *x, n * sizeof *x);
        for (size_t k = 0; k < n; k++)
            ret[k] = x[k];
        return n;
    }
    scrt_convert(n, SCRT_F64, ret, b->dtype,
                 (const char *)b->data + first * scrt_dtype_bits(b->dtype) / 8, false,
                 SCRT_NEAREST);
    return n;
}

/* The channels of a weight's elements, one after the other. */
typedef struct Channel {
    size_t at, in, n, inner; /* in: of the inner elements of channel at */
} Channel;

static Channel first_channel(const ScScaledProduct *p)
{
    return (Channel){.n = (size_t)p->channels, .inner = (size_t)p->inner};
}

static inline size_t next_channel(Channel *c)
{
    size_t ret = c->at;
    if (++c->in == c->inner) {
        c->in = 0;
        c->at = ret + 1 == c->n ? 0 : ret + 1;
    }
    return ret;
}

/* The codes of b's elements, each divided by its channel's number. */
static void round_channels(const ScBlob *b, const ScScaledProduct *p, ScrtDtype fmt, void *code)
{
    double x[SC_BLOB_BLOCK];
    Channel at = first_channel(p);
    for (size_t i = 0, n; i < b->count; i += n) {
        n = sc_blob_block(b, i, x);
        for (size_t k = 0; k < n; k++)
            x[k] /= (double)p->unit[next_channel(&at)];
        scrt_convert(n, fmt, (char *)code + i * scrt_dtype_bits(fmt) / 8, SCRT_F64, x, true,
                     SCRT_NEAREST);
    }
}

/* The largest number of a format, or where its highest exponents stay free, as many as its mantissa
 * has bits. Codes without those are decoded fastest (codegen: CG_CODES_LOW). */
static double largest(const ScrtFormat *f, bool low)
{
    return low ? ldexp(2 - ldexp(1, -f->man_bits), ilogb(f->max) - f->man_bits) : f->max;
}

/* Whether a channel whose n_few smallest numbers are subnormal then has a thousandth more error at
 * most; error: at each mantissa. Of the numbers the largest is in [1, 2). */
static bool may_stay_low(const ScrtFormat *f, const float *error, const float *power, size_t n_few)
{
    double sum = 0, step = 4 / largest(f, true) * f->min_denorm;
    for (uint32_t i = 0; i < SC_MANTISSAS; i++)
        sum += (double)(error[i] * power[i]);
    return (double)n_few * step * step / 12 <= 1e-3 * sum;
}

const float *sc_channel_units(ScScaler *s, const ScBlob *b, const ScScaledProduct *p,
                              const ScrtFormat *f)
{
    size_t n = (size_t)p->channels, c;
    float *power = sc_array(s->scratch, float, n *SC_MANTISSAS);
    size_t *n_few = sc_array(s->scratch, size_t, n);
    double *amax = sc_array(s->scratch, double, n), gain;
    const double few = 4 / largest(f, true) * f->min_normal;
    bool low = f->bits == 8 && f->has_neg_zero;
    float *unit = sc_array(sc_ctx_arena(s->b.cx), float, n + 1);
    ScFactors *factors = sc_new(s->scratch, ScFactors);
    sc_factors_init(factors, f->man_bits);
    double x[SC_BLOB_BLOCK], *to_1 = sc_array(s->scratch, double, n);
    Channel at = first_channel(p);
    for (size_t i = 0, m; i < b->count; i += m) {
        m = sc_blob_block(b, i, x);
        for (size_t k = 0; k < m; k++) {
            c = next_channel(&at);
            amax[c] = fabs(x[k]) > amax[c] ? fabs(x[k]) : amax[c];
        }
    }
    for (c = 0; c < n; c++) /* by the largest, so that squares stay in range */
        to_1[c] = amax[c] > 0 ? ldexp(1, -ilogb(amax[c])) : 0;
    at = first_channel(p);
    for (size_t i = 0, m; i < b->count; i += m) {
        m = sc_blob_block(b, i, x);
        for (size_t k = 0; k < m; k++) {
            c = next_channel(&at);
            if (to_1[c] > 0 && x[k] != 0) {
                sc_mantissas_add(power + c * SC_MANTISSAS, x[k] * to_1[c]);
                n_few[c] += fabs(x[k] * to_1[c]) < few;
            }
        }
    }
    uint32_t *best = sc_array(s->scratch, uint32_t, n);
    for (c = 0; c < n; c++) {
        best[c] = sc_factor_best(factors, power + c * SC_MANTISSAS, NULL, &gain);
        low = low && may_stay_low(f, factors->error[best[c]], power + c * SC_MANTISSAS, n_few[c]);
    }
    for (c = 0; c < n; c++) {
        double factor = sc_factor_at(best[c]);
        int e = amax[c] > 0 ? sc_fit_exp(amax[c] / factor, largest(f, low)) : 0;
        if (e < -MOST || e > MOST)
            return NULL;
        unit[c] = amax[c] > 0 ? (float)ldexp(factor, e) : 1;
    }
    return unit;
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
