/* SPDX-License-Identifier: Apache-2.0 */
/* Products with weights in blocks of 32 along the sum, each with a scale of E8M0: the weight
 * becomes two constants, codes and scales, which row block_matmul reads. Of the least scale that
 * clips nothing and the one below it, which may clip the block's largest but halves the steps, a
 * block has the one of the least squared error. Powers of two move no mantissa: weights of 8 bits
 * are divided by a number for each output channel before, and an activation by one that calibration
 * found, which the result is multiplied by (factor.c). Activations, where they are to be low, are
 * quantised when the program runs, in blocks too. Blocks need no exponent. */
#include "passes/scale_priv.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32, LEAST = -127, MOST = 127 };

/* A weight [k, n], or [n, k], as it lies in memory. */
typedef struct Weight {
    const ScBlob *b;
    int64_t k, n, k_stride, n_stride, blocks;
    bool trans;
} Weight;

static bool is_weight(const ScScaler *s, const ScNode *n, const ScConstFacts *c, Weight *ret)
{
    int64_t dim[SCRT_MAX_RANK];
    const ScNode *def = sc_def(s->g, n->in[1]);
    const ScType *t = sc_type_of(s->g, n->in[1]);
    ScContract d;
    if (!n->op->contract || n->n_out != 1 || !(def->op->flags & SC_CONST_OP) || t->rank != 2 ||
        !sc_type_const_dims(t, dim) || sc_type_of(s->g, n->in[0])->rank < 1)
        return false;
    const ScBlob *b = def->attr[0].blob;
    n->op->contract(s->g, n, &d);
    if (d.block || d.trans_a || !c || c->not_finite || !b->data || b->count == 0 ||
        !scrt_dtype_is_float(b->dtype) || scrt_dtype_bits(b->dtype) > 32)
        return false;
    *ret = (Weight){.b = b, .trans = d.trans_b, .k = dim[d.trans_b], .n = dim[!d.trans_b]};
    ret->k_stride = d.trans_b ? 1 : ret->n;
    ret->n_stride = d.trans_b ? ret->k : 1;
    ret->blocks = (ret->k + BLOCK - 1) / BLOCK;
    return true;
}

/* A weight while it is rounded: by strips of channels, which threads share. */
typedef struct Rounding {
    const Weight *w;
    ScrtDtype t;
    uint32_t bits;
    const ScScaledProduct *p; /* its unit, means */
    double value[256];        /* of each code */
    void *codes;
    uint8_t *scales; /* [blocks * n] */
    float *unit;     /* [blocks * n] */
    double *moved;   /* [n] or NULL */
} Rounding;

/* Rounds n numbers at 2^e to codes, one a byte; the squared error. No number of these formats, nor
 * of f32, is so far out that such a factor were not exact in f64. */
static double round_block(const Rounding *r, const double *x, int64_t n, int e, uint8_t *code)
{
    double y[BLOCK] = {0}, sum = 0, up = ldexp(1, e), down = ldexp(1, -e);
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * down;
    scrt_round_codes(r->t, (size_t)n, y, code);
    for (int64_t i = 0; i < n; i++) {
        double off = r->value[code[i]] * up - x[i];
        sum += off * off;
    }
    return sum;
}

/* One block: its codes, and the exponent of its scale. */
static int best_block(const Rounding *r, const double *x, int64_t n, uint8_t *code)
{
    uint8_t other[BLOCK];
    double amax = 0;
    for (int64_t i = 0; i < n; i++)
        amax = fabs(x[i]) > amax ? fabs(x[i]) : amax;
    int e = amax > 0 ? sc_fit_exp(amax, scrt_format(r->t)->max) : LEAST;
    e = e < LEAST ? LEAST : e > MOST ? MOST : e;
    double fit = round_block(r, x, n, e, code);
    if (e == LEAST || round_block(r, x, n, e - 1, other) >= fit)
        return e;
    memcpy(code, other, (size_t)n);
    return e - 1;
}

/* What the rounding of a block adds to its channel of the result, by which it is divided. */
static double moved(const Rounding *r, const double *x, int64_t n, int e, const uint8_t *code,
                    const float *mean)
{
    double sum = 0, up = ldexp(1, e);
    for (int64_t i = 0; i < n; i++)
        sum += (r->value[code[i]] * up - x[i]) * (double)mean[i];
    return sum;
}

static double element(const ScBlob *b, size_t i)
{
    float x;
    if (b->dtype != SCRT_F32)
        return scrt_load(b->dtype, b->data, i);
    memcpy(&x, (const char *)b->data + i * sizeof x, sizeof x); /* nothing is aligned in a file */
    return x;
}

static void store_block(const Rounding *r, int64_t j, int64_t b)
{
    const Weight *w = r->w;
    double x[BLOCK], by = r->p->unit ? (double)r->p->unit[j] : 1;
    uint8_t code[BLOCK];
    int64_t n = w->k - b * BLOCK < BLOCK ? w->k - b * BLOCK : BLOCK;
    int64_t first = b * BLOCK * w->k_stride + j * w->n_stride;
    for (int64_t i = 0; i < n; i++)
        x[i] = element(w->b, (size_t)(first + i * w->k_stride)) / by;
    int e = best_block(r, x, n, code);
    if (r->moved)
        r->moved[j] += moved(r, x, n, e, code, r->p->means->x + b * BLOCK) * by;
    for (int64_t i = 0; i < n; i++)
        if (r->bits == 8)
            ((uint8_t *)r->codes)[first + i * w->k_stride] = code[i];
        else
            scrt_store_bits(r->t, r->codes, (size_t)(first + i * w->k_stride), code[i]);
    int64_t place = w->trans ? j * w->blocks + b : b * w->n + j;
    r->scales[place] = (uint8_t)(e + 127);
    r->unit[place] = ldexpf((float)by, e);
}

enum { STRIP = 64 }; /* channels, whose rows lie together */

static void store_strip(void *arg, size_t strip)
{
    const Rounding *r = arg;
    int64_t first = (int64_t)strip * STRIP, past = first + STRIP;
    past = past < r->w->n ? past : r->w->n;
    for (int64_t b = 0; b < r->w->blocks; b++)
        for (int64_t j = first; j < past; j++)
            store_block(r, j, b);
}

/* Strips share no byte where rows hold whole bytes. */
static void store_blocks(const Rounding *r)
{
    int64_t row = r->w->trans ? r->w->k : r->w->n;
    size_t n = (size_t)((r->w->n + STRIP - 1) / STRIP);
    if (row * r->bits % 8 == 0 && r->w->b->count >= 1 << 16)
        sc_each(n, store_strip, (void *)(uintptr_t)r);
    else
        for (size_t i = 0; i < n; i++)
            store_strip((void *)(uintptr_t)r, i);
}

/* Of each channel the number in [1, 2) that suits weights of 8 bits best: powers of two are the
 * blocks' own. NULL: 1. */
static const float *channel_factors(ScScaler *s, const Weight *w, ScrtDtype t,
                                    const ScScaledProduct *p)
{
    const float *unit = p->channels > 0 && scrt_dtype_bits(t) == 8
                            ? sc_channel_units(s, w->b, p, scrt_format(t))
                            : NULL;
    float *ret = unit ? sc_array(sc_ctx_arena(s->b.cx), float, (size_t)w->n) : NULL;
    for (int64_t j = 0; ret && j < w->n; j++)
        ret[j] = ldexpf(unit[j], -ilogbf(unit[j]));
    return ret;
}

/* The weight's codes and scales, as constants: by its name, and NAME.scale. */
static bool store_weight(ScScaler *s, const Weight *w, const char *name, ScrtDtype t,
                         ScScaledProduct *p, ScVal ret[2])
{
    ScCtx *cx = s->b.cx;
    size_t bytes;
    int64_t dims[2] = {w->trans ? w->n : w->k, w->trans ? w->k : w->n};
    int64_t few[2] = {w->trans ? w->n : w->blocks, w->trans ? w->blocks : w->n};
    if (!scrt_bytes(t, w->b->count, &bytes))
        return false;
    float *unit = sc_array(sc_ctx_arena(cx), float, (size_t)(w->blocks * w->n));
    void *codes = sc_alloc(sc_ctx_arena(cx), bytes + 1);
    p->unit = channel_factors(s, w, t, p);
    p->moved = p->means ? sc_array(s->scratch, double, (size_t)w->n) : NULL;
    uint8_t *scales = sc_array(sc_ctx_arena(cx), uint8_t, (size_t)(w->blocks * w->n));
    Rounding r = {.w = w,
                  .t = t,
                  .bits = scrt_dtype_bits(t),
                  .p = p,
                  .codes = codes,
                  .scales = scales,
                  .unit = unit,
                  .moved = p->moved};
    for (uint32_t i = 0; i < 1u << r.bits; i++)
        r.value[i] = scrt_value(t, i);
    store_blocks(&r);
    sc_blob_forget(cx, w->b);
    const ScTerm *zero = sc_term(cx, 0);
    const ScBlob *code = sc_blob_rounded(cx, &(ScBlob){.dtype = t,
                                                       .rank = 2,
                                                       .dims = dims,
                                                       .data = codes,
                                                       .from = w->b,
                                                       .unit = unit,
                                                       .n_unit = (size_t)(w->blocks * w->n),
                                                       .inner = w->trans ? 1 : (size_t)w->n,
                                                       .extent = (size_t)w->k,
                                                       .block = BLOCK});
    ret[0] = sc_const_shaped(&s->b, code, t, 2, dims, zero);
    ret[1] = sc_const_shaped(&s->b, sc_blob_folded(cx, SCRT_F8E8M0, 2, few, scales), SCRT_F8E8M0, 2,
                             few, zero);
    if (name) {
        sc_set_name(&s->b, ret[0], name);
        sc_set_name(&s->b, ret[1], sc_printf(sc_ctx_arena(cx), "%s.scale", name));
    }
    return true;
}

/* x in f32 and in its own numbers. */
static ScVal plain(ScScaler *s, ScVal x)
{
    const ScTerm *zero = sc_term(s->b.cx, 0);
    if (sc_built(&s->b, x)->type->dtype != SCRT_F32) {
        const ScTerm *e = sc_scale_exp(s, x);
        x = sc_op_at(&s->b, cast, SC_ATTRS(SC_DT(SCRT_F32)), x);
        sc_set_exp(&s->b, x, e);
    }
    return sc_scale_move(s, x, zero, false);
}

/* x as its blocks are stored. */
static ScVal rounded(ScScaler *s, ScVal x, ScrtDtype t)
{
    const ScTerm *zero = sc_term(s->b.cx, 0);
    ScVal low[2];
    sc_node(&s->b, &sc_op_quantize, SC_ATTRS(SC_INT(-1), SC_INT(BLOCK), SC_DT(t)), NULL, 1, &x, 2,
            low);
    sc_set_exp(&s->b, low[0], zero);
    sc_set_exp(&s->b, low[1], zero);
    ScVal y = sc_node1(&s->b, &sc_op_dequantize, SC_ATTRS(SC_INT(-1), SC_INT(BLOCK)), 2, low);
    sc_set_exp(&s->b, y, zero);
    return y;
}

/* Operand 0 as the product reads it; the factor that it is divided by becomes p's. */
static ScVal operand(ScScaler *s, ScVal old, ScrtDtype t, ScScaledProduct *p)
{
    const ScTerm *zero = sc_term(s->b.cx, 0);
    ScVal x = plain(s, s->env[old]);
    float factor = s->g->value[old].factor;
    if (!scrt_dtype_is_low(t))
        return x;
    if (factor > 1 && t == SCRT_F8E4M3FN) {
        const ScBlob *by = sc_blob_scalar(s->b.cx, SCRT_F32, 1 / (double)factor);
        x = sc_scale_times(s, x, sc_const(&s->b, by, SCRT_F32, zero));
        p->all = factor;
    }
    return rounded(s, x, t);
}

/* The product y with p's factor and its bias, which has no part in the factor. */
static ScVal finished(ScScaler *s, const ScNode *n, const ScScaledProduct *p, ScVal y)
{
    ScVal factor = sc_product_factor(s, p);
    if (factor != SC_ABSENT)
        y = sc_scale_times(s, y, factor);
    if (p->moved)
        return sc_moved_back(s, p->bias >= 0 ? n->in[p->bias] : SC_ABSENT, p, y);
    if (p->bias < 0)
        return y;
    y = sc_op(&s->b, add, y, plain(s, s->env[n->in[p->bias]]));
    sc_set_exp(&s->b, y, sc_term(s->b.cx, 0));
    return y;
}

ScVal sc_block_product(ScScaler *s, const ScNode *n, ScrtDtype weight, ScrtDtype activation,
                       uint32_t row_bits)
{
    Weight w;
    ScVal in[3];
    ScScaledProduct p;
    s->b.at = n->loc;
    if (!scrt_dtype_is_low(weight) || n->n_in < 2 || !is_weight(s, n, s->fact[n->in[1]].c, &w))
        return SC_ABSENT;
    sc_product_of(s->g, n, &p);
    if (!store_weight(s, &w, s->g->value[n->in[1]].name, weight, &p, in + 1))
        return SC_ABSENT;
    in[0] = operand(s, n->in[0], activation, &p);
    const int64_t a_bits = scrt_dtype_bits(weight) == 4 ? row_bits : 0;
    ScVal y = sc_node1(&s->b, &sc_op_block_matmul,
                       SC_ATTRS(SC_INT(BLOCK), SC_INT(w.trans), SC_INT(a_bits)), 3, in);
    sc_set_exp(&s->b, y, sc_term(s->b.cx, 0));
    y = finished(s, n, &p, y);
    if (!s->is_out[n->first])
        sc_set_name(&s->b, y, s->g->value[n->first].name);
    return y;
}
