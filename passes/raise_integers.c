/* SPDX-License-Identifier: Apache-2.0 */
/* Models that are quantised to integers of 8 bits, as QuantizeLinear and DequantizeLinear around
 * their products say it, or operators on integers. Integers less their zero point, in i16, are what
 * lies between kernels (row codes); weights, which are constants, become such integers too, and
 * products add up integers, in i32: exactly, since it is proven of each that no sum leaves i32.
 * Scales multiply the sum. So it is rounded once where the product of f32 rounds each operand and
 * each addition. A depthwise convolution, whose sums are short, has them in f32, as exactly, where
 * they stay below 2^24.
 *
 * Rules look at the old graph: fold, which leaves such weights alone, has asked the same of it. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/match.h"

enum { MAX_VIEWS = 8, F32_EXACT = 1 << 24 }; /* views over codes; integers up to it are f32 */

static bool is_byte(const ScType *t)
{
    return t->kind == SC_TYPE_TENSOR && (t->dtype == SCRT_I8 || t->dtype == SCRT_U8);
}

static void limits(ScrtDtype t, double *lo, double *hi)
{
    *lo = t == SCRT_I8 ? INT8_MIN : 0;
    *hi = t == SCRT_I8 ? INT8_MAX : UINT8_MAX;
}

/* Old value v's node if it is of this row, else NULL. */
static const ScNode *is(const ScGraph *g, ScVal v, const ScOp *op)
{
    return v >= SC_FIRST && sc_def(g, v)->op == op ? sc_def(g, v) : NULL;
}

/* (q - zero) scale, as far as it is said, of q in 8 bits. */
typedef struct Dequantized {
    ScVal q, zero, scale; /* SC_ABSENT: there is none */
} Dequantized;

static bool dequantized(const ScGraph *g, ScVal v, Dequantized *ret)
{
    const ScNode *mul = is(g, v, &sc_op_mul), *sub = is(g, mul ? mul->in[0] : v, &sc_op_sub);
    const ScNode *cast = is(g, sub ? sub->in[0] : mul ? mul->in[0] : v, &sc_op_cast);
    if (!cast || !is_byte(sc_type_of(g, cast->in[0])))
        return false;
    *ret = (Dequantized){cast->in[0], sub ? sub->in[1] : SC_ABSENT, mul ? mul->in[1] : SC_ABSENT};
    const ScrtDtype t = sc_type_of(g, v)->dtype;
    return (t == SCRT_F32 || t == SCRT_F64) &&
           sc_type_same_shape(sc_type_of(g, v), sc_type_of(g, ret->q));
}

/* --- What fold leaves ------------------------------------------------------------------------- */

/* Product n may take weights of type w as integers. */
static bool takes_integers(const ScGraph *g, const ScNode *n, const ScType *w)
{
    int out = sc_attr_index(n->op, "out");
    return (n->op->conv || (n->op->contract && w->rank == 2)) && out >= 0 &&
           sc_attr(n, (uint32_t)out)->kind == SC_A_NONE && n->op->quantizable == 3 &&
           sc_type_of(g, n->first)->dtype == sc_type_of(g, n->in[0])->dtype;
}

/* p is one number, or one for each channel of weights w; or absent. */
static bool is_parameter(const ScGraph *g, const ScNode *n, ScVal p, const ScType *w)
{
    const ScType *t = sc_type_of(g, p);
    return p == SC_ABSENT || sc_term_is(sc_type_count(g->cx, t), 1) || match_by_channel(g, n, t, w);
}

/* The views over what is dequantized, up to old value v; false where that is a constant. */
static bool is_activation(const ScGraph *g, const bool *constant, ScVal v, Dequantized *ret)
{
    for (uint32_t i = 0;
         i < MAX_VIEWS && v >= SC_FIRST && sc_is_view(sc_def(g, v)) && sc_def(g, v)->n_in == 1; i++)
        v = sc_def(g, v)->in[0];
    return dequantized(g, v, ret) && !is(g, ret->q, &sc_op_const) &&
           !(constant && constant[ret->q]);
}

/* Product n may read the integers of weights v. */
static bool may_read(const ScGraph *g, const bool *constant, const ScNode *n, ScVal v)
{
    Dequantized w, x;
    const ScType *t = sc_type_of(g, v);
    return takes_integers(g, n, t) && dequantized(g, v, &w) && constant[w.q] &&
           is_parameter(g, n, w.zero, t) && is_parameter(g, n, w.scale, t) &&
           is_activation(g, constant, n->in[0], &x);
}

/* Such products are all that reads v or, so many steps on, what dequantizes it further. */
static bool is_read_so(const ScGraph *g, const ScUses *use, const bool *constant, ScVal v,
                       uint32_t steps)
{
    bool ret = use->first[v] < use->first[v + 1];
    for (uint32_t u = use->first[v]; ret && u < use->first[v + 1]; u++) {
        const ScUse *at = &use->use[u];
        const ScNode *n = at->node == UINT32_MAX ? NULL : &g->node[at->node];
        if (n && at->operand == 1)
            ret = may_read(g, constant, n, v);
        else
            ret = n && at->operand == 0 && steps && (n->op == &sc_op_sub || n->op == &sc_op_mul) &&
                  is_read_so(g, use, constant, n->first, steps - 1);
    }
    return ret;
}

bool sc_is_read_as_integers(const ScGraph *g, const ScUses *use, const bool *constant,
                            const ScNode *n)
{
    const ScNode *cast = n->op == &sc_op_mul ? sc_def(g, n->in[0]) : n;
    if (cast->op == &sc_op_sub)
        cast = sc_def(g, cast->in[0]);
    return cast->op == &sc_op_cast && is_byte(sc_type_of(g, cast->in[0])) &&
           is_read_so(g, use, constant, cast->first, 2);
}

/* --- Codes ------------------------------------------------------------------------------------ */

static bool number(const ScMatch *m, ScVal old, double *ret)
{
    return old >= SC_FIRST && sc_built_splat(&m->b, m->env[old], ret);
}

/* The same of an integer that a code may be. */
static bool whole(const ScMatch *m, ScVal old, double *ret)
{
    return number(m, old, ret) && *ret == rint(*ret) && fabs(*ret) <= 255;
}

static const ScNode *see(ScMatch *m, ScVal v, const ScOp *op)
{
    const ScNode *n = is(m->g, v, op);
    if (n)
        m->b.at = sc_loc_join(m->b.cx, m->b.at, n->loc);
    return n;
}

static bool read_once(const ScMatch *m, ScVal v)
{
    return m->use.first[v + 1] - m->use.first[v] == 1;
}

/* Old value x without bounds that change no code: rounding keeps order, so bounds whose codes are
 * at the ends or beyond do nothing. */
static ScVal unbounded(ScMatch *m, ScVal x, double scale, double least, double most)
{
    double lo, hi = INFINITY, by = fabs(scale);
    const ScNode *n = read_once(m, x) ? see(m, x, &sc_op_relu) : NULL;
    if (n)
        return scale > 0 && least >= 0 ? n->in[0] : x;
    n = read_once(m, x) ? see(m, x, &sc_op_clip) : NULL;
    if (!n || n->n_in != 3 || !number(m, n->in[1], &lo) || !number(m, n->in[2], &hi) || scale != by)
        return x;
    bool free = rintf((float)lo / (float)by) <= least && rintf((float)hi / (float)by) >= most;
    return free ? n->in[0] : x;
}

/* What QuantizeLinear is imported as: the integer nearest to x / scale, plus a zero point, within
 * the type's limits. */
static ScVal codes(ScMatch *m)
{
    const ScType *t = sc_type_of(m->g, m->n->first);
    double lo, hi, zero = 0, scale, type_lo, type_hi;
    match_begin(m);
    const ScNode *clip = is_byte(t) ? see(m, m->n->in[0], &sc_op_clip) : NULL;
    if (!clip || clip->n_in != 3 || !whole(m, clip->in[1], &lo) || !whole(m, clip->in[2], &hi))
        return SC_POISON;
    const ScNode *add = see(m, clip->in[0], &sc_op_add);
    const ScNode *round = see(m, add ? add->in[0] : clip->in[0], &sc_op_round);
    const ScNode *div = round ? see(m, round->in[0], &sc_op_div) : NULL;
    limits(t->dtype, &type_lo, &type_hi);
    if (!div || (add && !whole(m, add->in[1], &zero)) || !number(m, div->in[1], &scale) ||
        lo < type_lo || hi > type_hi || lo > 0 || hi < 0 ||
        sc_type_of(m->g, div->in[0])->dtype != SCRT_F32 ||
        !sc_type_same_shape(sc_type_of(m->g, div->in[0]), t))
        return SC_POISON;
    ScVal x = unbounded(m, div->in[0], scale, lo - zero, hi - zero);
    ScAttr *attr = SC_ATTRS(SC_DT(zero != 0 ? SCRT_I16 : t->dtype), SC_INT((int64_t)(lo - zero)),
                            SC_INT((int64_t)(hi - zero)), SC_INT((int64_t)-zero));
    ScVal y = sc_op_at(&m->b, codes, attr, m->env[x], sc_const_scalar(&m->b, SCRT_F32, scale));
    if (zero == 0)
        return y;
    y = sc_op(&m->b, add, y, sc_const_scalar(&m->b, SCRT_I16, zero));
    return sc_op_at(&m->b, cast, SC_ATTRS(SC_DT(t->dtype)), y);
}

static bool is_depthwise(const ScGraph *g, const ScNode *n)
{
    ScConv c = {.group = 1};
    if (n->op->conv)
        n->op->conv(g, n, &c);
    return c.group > 1 && sc_term_is(sc_type_of(g, n->in[1])->dim[1], 1);
}

/* A product that is none of single channels reads old value v, or what is dequantized of it. */
static bool is_multiplied(const ScMatch *m, ScVal v, uint32_t depth)
{
    bool ret = false;
    for (uint32_t u = m->use.first[v]; depth < MAX_VIEWS && !ret && u < m->use.first[v + 1]; u++) {
        if (m->use.use[u].node == UINT32_MAX || m->use.use[u].operand)
            continue;
        const ScNode *n = &m->g->node[m->use.use[u].node];
        if (n->op->conv || n->op->contract)
            ret = takes_integers(m->g, n, sc_type_of(m->g, n->in[1])) && !is_depthwise(m->g, n);
        else if (n->op == &sc_op_cast || n->op == &sc_op_sub || n->op == &sc_op_mul ||
                 sc_is_view(n))
            ret = is_multiplied(m, n->first, depth + 1);
    }
    return ret;
}

/* Old value q, of 8 bits, less a zero point, where it comes from codes of that zero point; else
 * SC_ABSENT. In i16 for all its readers where a product wants that. */
static ScVal codes_of(ScMatch *m, ScVal q, double zero)
{
    ScVal v = m->env[q];
    const ScNode *n = sc_built_def(&m->b, v);
    double z = 0;
    if (n->op == &sc_op_codes && zero == 0)
        return is_multiplied(m, q, 0) ? sc_op_at(&m->b, cast, SC_ATTRS(SC_DT(SCRT_I16)), v) : v;
    if (n->op != &sc_op_cast || sc_built_def(&m->b, n->in[0])->op != &sc_op_add)
        return SC_ABSENT;
    n = sc_built_def(&m->b, n->in[0]);
    bool same = sc_built_splat(&m->b, n->in[1], &z) && z == zero;
    return same && sc_built_def(&m->b, n->in[0])->op == &sc_op_codes ? n->in[0] : SC_ABSENT;
}

/* What is dequantized for others than products comes from the same codes. */
static ScVal from_codes(ScMatch *m)
{
    Dequantized d;
    double zero = 0;
    match_begin(m);
    if (!dequantized(m->g, m->n->first, &d) || (d.zero != SC_ABSENT && !whole(m, d.zero, &zero)))
        return SC_POISON;
    ScVal c = codes_of(m, d.q, zero);
    if (c == SC_ABSENT)
        return SC_POISON;
    c = sc_op_at(&m->b, cast, SC_ATTRS(SC_DT(sc_type_of(m->g, m->n->first)->dtype)), c);
    return sc_op(&m->b, mul, c, m->env[d.scale]);
}

/* --- Products --------------------------------------------------------------------------------- */

typedef struct Activation {
    ScVal codes;
    double by, most; /* what they are multiplied with; their largest magnitude */
} Activation;

/* Old value v, operand 0; d: what it is, below its views. */
static bool activation(ScMatch *m, ScVal v, Activation *ret)
{
    Dequantized d;
    double zero = 0, lo, hi;
    if (sc_is_view(sc_def(m->g, v))) {
        const ScNode *n = sc_def(m->g, v);
        if (!activation(m, n->in[0], ret))
            return false;
        ret->codes = sc_node1(&m->b, n->op, n->attr, 1, &ret->codes);
        return true;
    }
    ret->by = 1;
    if (!dequantized(m->g, v, &d) || (d.zero != SC_ABSENT && !whole(m, d.zero, &zero)) ||
        (d.scale != SC_ABSENT && !number(m, d.scale, &ret->by)))
        return false;
    limits(sc_type_of(m->g, d.q)->dtype, &lo, &hi);
    ret->most = fmax(fabs(lo - zero), fabs(hi - zero));
    ret->codes = codes_of(m, d.q, zero);
    if (ret->codes != SC_ABSENT)
        return true;
    ret->codes = sc_op_at(&m->b, cast, SC_ATTRS(SC_DT(SCRT_I16)), m->env[d.q]);
    if (zero != 0)
        ret->codes = sc_op(&m->b, sub, ret->codes, sc_const_scalar(&m->b, SCRT_I16, zero));
    return true;
}

typedef struct Weights {
    const ScType *type;
    size_t count, inner, n; /* elements; behind each position of a channel; channels */
    int64_t dims[SCRT_MAX_RANK];
    const ScBlob *q, *zero, *scale; /* NULL: there is none */
    int64_t largest;                /* sum of magnitudes of a channel's integers */
} Weights;

/* A parameter of the weights: one number, or one a channel. */
static bool parameter(ScMatch *m, ScVal old, const ScType *w, const ScBlob **ret)
{
    *ret = NULL;
    if (old == SC_ABSENT)
        return true;
    const ScVal v = m->env[old];
    const ScBlob *b = sc_built_blob(&m->b, v);
    *ret = b;
    return b && b->data && is_parameter(m->g, m->n, old, w);
}

static double of_channel(const ScBlob *b, size_t channel, double none)
{
    return b ? scrt_load(b->dtype, b->data, b->count == 1 ? 0 : channel) : none;
}

static int64_t weight(const Weights *w, size_t i)
{
    return (int64_t)scrt_load(w->q->dtype, w->q->data, i) -
           (int64_t)of_channel(w->zero, i / w->inner % w->n, 0);
}

/* Old value v, operand 1. */
static bool weights(ScMatch *m, ScVal v, Weights *ret)
{
    Dequantized d;
    const ScType *t = sc_type_of(m->g, v);
    *ret = (Weights){.type = t, .inner = 1};
    if (!takes_integers(m->g, m->n, t) || !dequantized(m->g, v, &d) ||
        !is(m->g, d.q, &sc_op_const) || !sc_type_const_dims(t, ret->dims) ||
        !parameter(m, d.zero, t, &ret->zero) || !parameter(m, d.scale, t, &ret->scale))
        return false;
    uint32_t axis = match_channel_axis(m->g, m->n, t);
    ret->q = sc_built_blob(&m->b, m->env[d.q]);
    if (!ret->q || !ret->q->data || !is_byte(&(ScType){.dtype = ret->q->dtype}) || !ret->q->count)
        return false;
    for (uint32_t i = axis + 1; i < t->rank; i++)
        ret->inner *= (size_t)ret->dims[i];
    ret->count = ret->q->count;
    ret->n = (size_t)ret->dims[axis];
    for (size_t c = 0; ret->zero && c < ret->zero->count; c++) {
        double z = of_channel(ret->zero, c, 0);
        if (!(fabs(z) <= 255) || z != rint(z))
            return false;
    }
    ScArena *a = sc_arena_new();
    int64_t *sum = sc_array(a, int64_t, ret->n);
    for (size_t i = 0; i < ret->count; i++)
        sum[i / ret->inner % ret->n] += llabs(weight(ret, i));
    for (size_t c = 0; c < ret->n; c++)
        ret->largest = sum[c] > ret->largest ? sum[c] : ret->largest;
    sc_arena_free(a);
    return true;
}

/* The weights as integers of type t or, `scaled`, as what they stand for, in f32 or f64. */
static ScVal constant(ScMatch *m, const Weights *w, ScrtDtype t, bool scaled)
{
    ScArena *a = sc_arena_new();
    ScrtTensor x = {.dtype = t, .rank = w->type->rank};
    memcpy(x.dims, w->dims, x.rank * sizeof *x.dims);
    x.data = sc_array(a, double, w->count);
    for (size_t i = 0; i < w->count; i++) {
        double y = (double)weight(w, i);
        if (scaled)
            y *= of_channel(w->scale, i / w->inner % w->n, 1);
        scrt_store(t, x.data, i, y, false);
    }
    ScVal ret = sc_const(&m->b, sc_blob_computed(m->b.cx, &x), t, NULL);
    sc_arena_free(a);
    sc_set_name(&m->b, ret, m->g->value[m->n->in[1]].name);
    return ret;
}

/* What the sum of integers is multiplied with, f32: one number, or one a channel. SC_ABSENT: 1.
 * SC_POISON: f32 cannot say it. */
static ScVal factor(ScMatch *m, const Weights *w, double by)
{
    ScArena *a = sc_arena_new();
    size_t n = w->scale ? w->scale->count : 1;
    ScrtTensor x = {.dtype = SCRT_F32, .rank = 1, .dims = {(int64_t)n}};
    float *f = sc_array(a, float, n);
    bool ok = true;
    x.data = f;
    for (size_t c = 0; c < n; c++) {
        double y = by * of_channel(w->scale, c, 1);
        f[c] = (float)y;
        ok = ok && isfinite(f[c]) && (y == 0 || fabsf(f[c]) >= FLT_MIN);
    }
    ScVal ret = n > 1       ? sc_const(&m->b, sc_blob_computed(m->b.cx, &x), SCRT_F32, NULL)
                : f[0] == 1 ? SC_ABSENT
                            : sc_const_scalar(&m->b, SCRT_F32, f[0]);
    sc_arena_free(a);
    return ok ? ret : SC_POISON;
}

/* The sum of products of integers, in the result's type; SC_POISON where it may be too large. */
static ScVal sum(ScMatch *m, const Activation *x, const Weights *w)
{
    const ScNode *n = m->n;
    const ScrtDtype t = sc_type_of(m->g, n->first)->dtype;
    const double largest = (double)w->largest * x->most;
    if (is_depthwise(m->g, n) && t == SCRT_F32 && largest <= F32_EXACT)
        return sc_node1(&m->b, n->op, n->attr, 2,
                        (ScVal[]){x->codes, constant(m, w, SCRT_F32, false)});
    if (largest > INT32_MAX)
        return SC_POISON;
    ScAttr attr[SC_MAX_ATTR];
    memcpy(attr, n->attr, n->op->n_attr * sizeof *attr);
    attr[sc_attr_index(n->op, "out")] = SC_DT(SCRT_I32);
    ScVal c = match_type(m, x->codes)->dtype == SCRT_I16
                  ? x->codes
                  : sc_op_at(&m->b, cast, SC_ATTRS(SC_DT(SCRT_I16)), x->codes);
    ScVal y = sc_node1(&m->b, n->op, attr, 2, (ScVal[]){c, constant(m, w, SCRT_I16, false)});
    return sc_op_at(&m->b, cast, SC_ATTRS(SC_DT(t)), y);
}

/* The product of integers, times scales, plus the bias; SC_POISON where it is none. */
static ScVal of_integers(ScMatch *m, const Weights *w)
{
    const ScNode *n = m->n;
    const ScrtDtype t = sc_type_of(m->g, n->first)->dtype;
    int bias = sc_bias(n);
    Activation x;
    Dequantized d;
    if (!is_activation(m->g, NULL, n->in[0], &d) || !activation(m, n->in[0], &x))
        return SC_POISON;
    ScVal by = factor(m, w, x.by), y = by == SC_POISON ? by : sum(m, &x, w);
    if (y == SC_POISON || (t != SCRT_F32 && by != SC_ABSENT))
        return SC_POISON;
    bool one = by == SC_ABSENT || match_type(m, by)->rank == 0;
    if (by != SC_ABSENT)
        y = sc_op(&m->b, mul, y, one ? by : match_beside(m, y, by));
    return bias < 0 ? y : match_with_bias(m, y, m->in[bias]);
}

static ScVal product(ScMatch *m)
{
    const ScNode *n = m->n;
    ScVal in[SC_MAX_IN];
    Weights w;
    match_begin(m);
    if (!weights(m, n->in[1], &w))
        return SC_POISON;
    ScVal y = of_integers(m, &w);
    if (y != SC_POISON)
        return y;
    memcpy(in, m->in, n->n_in * sizeof *in); /* fold has left the weights */
    in[1] = constant(m, &w, w.type->dtype, true);
    return sc_node1(&m->b, n->op, n->attr, n->n_in, in);
}

const ScIdiom sc_idioms_integers[] = {
    {"codes of 8 bits", &sc_op_cast, codes},     {"what codes stand for", &sc_op_mul, from_codes},
    {"matmul of codes", &sc_op_matmul, product}, {"gemm of codes", &sc_op_gemm, product},
    {"conv of codes", &sc_op_conv, product},     {NULL, NULL, NULL},
};
