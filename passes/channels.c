/* SPDX-License-Identifier: Apache-2.0 */
/* Weights with an exponent for each output channel: the channel's weights are divided by the power
 * of two by which its largest is smaller than the tensor's, and its results multiplied by it. The
 * codes then use the format's range in every channel. A bias that stands before the product's end
 * is divided too, so it must be a constant. */
#include "passes/scale_priv.h"

#include <math.h>

#define MOST 60 /* bits that a channel may move */

typedef struct Shape {                           /* of the weight, around its output channels */
    uint32_t rank, trailing;                     /* extents of the result behind its channels */
    int64_t dim[SCRT_MAX_RANK], channels, inner; /* inner: elements behind a channel's index */
    int bias;                                    /* sc_bias */
} Shape;

static bool shape_of(const ScGraph *g, const ScNode *n, uint32_t i, Shape *ret)
{
    const ScType *t = sc_type_of(g, n->in[i]);
    uint32_t axis = 0;
    *ret = (Shape){.rank = t->rank, .inner = 1, .bias = sc_bias(n)};
    if (i != 1 || n->n_out != 1 || t->rank < 2 || !sc_type_const_dims(t, ret->dim))
        return false;
    if (n->op->contract) {
        ScContract c;
        n->op->contract(g, n, &c);
        axis = c.trans_b ? 0 : 1;
        if (t->rank != 2 || sc_type_of(g, n->in[0])->rank < 1)
            return false;
    } else if (n->op->conv) {
        ScConv c;
        n->op->conv(g, n, &c);
        ret->trailing = c.window.channels_last ? 0 : c.window.n_spatial;
    } else {
        return false;
    }
    ret->channels = ret->dim[axis];
    for (uint32_t d = axis + 1; d < t->rank; d++)
        ret->inner *= ret->dim[d];
    return true;
}

static const ScBlob *blob_of(const ScGraph *g, ScVal v)
{
    const ScNode *n = sc_def(g, v);
    const ScBlob *b = n->op->flags & SC_CONST_OP ? n->attr[0].blob : NULL;
    return b && b->data && scrt_dtype_is_float(b->dtype) && scrt_dtype_bits(b->dtype) <= 32 ? b
                                                                                            : NULL;
}

/* Bits by which each channel moves, none above 0; false where none does. */
static bool bits_of(const ScBlob *b, const Shape *s, double max, ScArena *a, int *ret)
{
    double *amax = sc_array(a, double, (size_t)s->channels), all = 0;
    bool any = false;
    for (size_t i = 0; i < b->count; i++) {
        size_t c = i / (size_t)s->inner % (size_t)s->channels;
        amax[c] = fmax(amax[c], fabs(scrt_load(b->dtype, b->data, i)));
        all = fmax(all, amax[c]);
    }
    for (int64_t c = 0; c < s->channels; c++) {
        ret[c] = amax[c] > 0 ? sc_fit_exp(amax[c], max) - sc_fit_exp(all, max) : 0;
        ret[c] = ret[c] < -MOST ? -MOST : ret[c];
        any = any || ret[c] != 0;
    }
    return any;
}

/* The elements of b times 2^-bits of their channel, as f32. */
static const ScBlob *moved(ScCtx *cx, const ScBlob *b, const Shape *s, int64_t inner,
                           const int *bits, uint32_t rank, const int64_t *dim)
{
    float *x = sc_array(sc_ctx_arena(cx), float, b->count + 1);
    for (size_t i = 0; i < b->count; i++)
        x[i] = (float)ldexp(scrt_load(b->dtype, b->data, i),
                            -bits[i / (size_t)inner % (size_t)s->channels]);
    return sc_blob_folded(cx, SCRT_F32, rank, dim, x);
}

static ScVal factors(ScScaler *p, const Shape *s, const int *bits)
{
    int64_t dim[SCRT_MAX_RANK] = {s->channels};
    float *x = sc_array(sc_ctx_arena(p->b.cx), float, (size_t)s->channels + 1);
    for (int64_t c = 0; c < s->channels; c++)
        x[c] = ldexpf(1, bits[c]);
    for (uint32_t d = 1; d <= s->trailing; d++)
        dim[d] = 1;
    const ScBlob *b = sc_blob_folded(p->b.cx, SCRT_F32, 1 + s->trailing, dim, x);
    return sc_const_shaped(&p->b, b, SCRT_F32, 1 + s->trailing, dim, sc_term(p->b.cx, 0));
}

bool sc_channel_weight(ScScaler *p, const ScNode *n, uint32_t i, ScrtDtype fmt, ScVal *in,
                       ScVal *ret_factor)
{
    Shape s;
    ScCtx *cx = p->b.cx;
    double max = scrt_format(fmt)->max;
    const ScBlob *w = blob_of(p->g, n->in[i]), *bias = NULL;
    if (!w || !shape_of(p->g, n, i, &s) || s.channels < 1 || p->fact[n->in[i]].c->n == 0)
        return false;
    if (s.bias >= 0) {
        bias = blob_of(p->g, n->in[s.bias]);
        if (!bias || sc_type_of(p->g, n->in[s.bias])->rank != 1 ||
            bias->count != (size_t)s.channels)
            return false;
    }
    int *bits = sc_array(p->scratch, int, (size_t)s.channels);
    if (!bits_of(w, &s, max, p->scratch, bits))
        return false;
    p->b.at = sc_def(p->g, n->in[i])->loc;
    in[i] = sc_const_shaped(&p->b, moved(cx, w, &s, s.inner, bits, s.rank, s.dim), fmt, s.rank,
                            s.dim, sc_term(cx, sc_fit_exp(p->fact[n->in[i]].c->amax, max)));
    sc_set_name(&p->b, in[i], p->g->value[n->in[i]].name);
    if (bias)
        in[s.bias] = sc_const_shaped(&p->b, moved(cx, bias, &s, 1, bits, 1, &s.channels), SCRT_F32,
                                     1, &s.channels, sc_term(cx, 0));
    *ret_factor = factors(p, &s, bits);
    p->b.at = n->loc;
    return true;
}
