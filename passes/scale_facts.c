/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about values that scale propagation needs, in side tables: one sweep from the first node to
 * the last for what operands pass on, one back for what users demand.
 *
 * `any` marks masks and zeros: values whose exponent nobody should follow. Where scores and a mask
 * of finfo.min meet, the mask would win every vote and push the scores' data to 0; so it does not
 * vote, and a rebalance of it never makes it infinite. Which constants are masks is decided by
 * their elements alone: zeros, infinities and NaN; or at most two values, one of them of magnitude
 * 2^13 and more. A single such number may be an honest factor, so it counts only where masks are
 * made or applied (where, max, min, clip, mul: SC_ANY_SINGLE). */
#include "passes/scale_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MASK_SIZE 0x1p13
#define LARGE     (1 << 14) /* elements of a constant that is worth a thread */

/* The ceiling of zeros; what is less than half of it is below each number that any type has. */
#define NOTHING (-(1 << 20))

static double element(const ScBlob *b, size_t i)
{
    float x;
    if (b->dtype != SCRT_F32)
        return scrt_load(b->dtype, b->data, i);
    /* Nearly all of them, and there may be a billion; in a file, where nothing is aligned. */
    memcpy(&x, (const char *)b->data + i * sizeof x, sizeof x);
    return x;
}

/* Counts different values up to 3; seen holds the first two. */
static void count_distinct(double x, double seen[2], uint32_t *n)
{
    if (*n == 3)
        return;
    for (uint32_t i = 0; i < *n; i++)
        if (seen[i] == x || (isnan(seen[i]) && isnan(x)))
            return;
    if (*n < 2)
        seen[*n] = x;
    ++*n;
}

/* The codes of a type of at most 8 bits, and how often each stands in a blob: weights of such types
 * are many, and a code is decoded once. */
typedef struct Codes {
    uint8_t code[256];
    size_t times[256];
} Codes;

static void count_codes(const ScBlob *blob, Codes *ret)
{
    const uint8_t *data = blob->data;
    uint32_t bits = scrt_dtype_bits(blob->dtype);
    enum { SIDE = 4 }; /* counts side by side: a code is often like the one before */
    size_t whole = bits % 4 ? 0 : blob->count * bits / 8 / SIDE * SIDE, bytes[SIDE][256] = {0};
    *ret = (Codes){0};
    for (uint32_t i = 0; i < 1u << bits; i++)
        scrt_store_bits(blob->dtype, ret->code, i, i);
    for (size_t i = 0; i < whole; i += SIDE)
        for (uint32_t k = 0; k < SIDE; k++)
            bytes[k][data[i + k]]++;
    for (uint32_t i = 0; i < SIDE * 256; i++) {
        uint32_t byte = i % 256;
        ret->times[bits == 4 ? byte & 15 : byte] += bytes[i / 256][byte];
        ret->times[byte >> 4] += bits == 4 ? bytes[i / 256][byte] : 0;
    }
    for (size_t i = whole * 8 / bits; i < blob->count; i++)
        ret->times[scrt_load_bits(blob->dtype, data, i)]++;
}

/* Element x, which stands `times` times. */
static void see(ScConstFacts *c, double seen[2], double x, size_t times)
{
    double m = fabs(x);
    count_distinct(x, seen, &c->distinct);
    c->nonneg = c->nonneg && x >= 0;
    c->not_finite = c->not_finite || !isfinite(x);
    if (!isfinite(x) || m == 0)
        return;
    c->amin = c->n == 0 || m < c->amin ? m : c->amin;
    c->amax = m > c->amax ? m : c->amax;
    c->n += times;
}

/* Of RUN floats, if they are all finite, all but how many are distinct: magnitudes are ordered like
 * their bits, so these are vectors. */
enum { RUN = 64 };
static bool see_run(ScConstFacts *c, const float *x)
{
    const int32_t all = 0x7fffffff, inf = 0x7f800000;
    int32_t most = 0, least = all, zeros = 0, negative = 0;
    for (int k = 0; k < RUN; k++) {
        int32_t bits, m;
        memcpy(&bits, &x[k], sizeof bits);
        m = bits & all;
        most = m > most ? m : most;
        int32_t below = (m - 1) & all; /* of 0 the most there is */
        least = below < least ? below : least;
        zeros += m == 0;
        negative |= m == 0 ? 0 : bits;
    }
    float amax, amin;
    if (most >= inf)
        return false;
    c->nonneg = c->nonneg && negative >= 0;
    if (zeros == RUN)
        return true;
    least++;
    memcpy(&amax, &most, sizeof amax);
    memcpy(&amin, &least, sizeof amin);
    c->amin = c->n == 0 || (double)amin < c->amin ? (double)amin : c->amin;
    c->amax = (double)amax > c->amax ? (double)amax : c->amax;
    c->n += (size_t)(RUN - zeros);
    return true;
}

/* The sum and the squares of RUN floats times unit, one after the other. */
static double add_squares(double sum, double unit, const float *run)
{
    double square[RUN];
    for (int k = 0; k < RUN; k++) {
        double x = (double)run[k] * unit;
        square[k] = x * x;
    }
    for (int k = 0; k < RUN; k++)
        sum += square[k];
    return sum;
}

static ScConstFacts measure(const ScBlob *blob)
{
    ScConstFacts c = {.measured = true, .nonneg = true, .count = blob->count};
    Codes codes;
    ScBlob each = *blob;
    bool coded = scrt_dtype_bits(blob->dtype) <= 8;
    if (coded) {
        count_codes(blob, &codes);
        each.data = codes.code;
        each.count = (size_t)1 << scrt_dtype_bits(blob->dtype);
    }
    double seen[2];
    for (size_t i = 0; i < each.count;) {
        float run[RUN];
        if (each.dtype == SCRT_F32 && c.distinct == 3 && each.count - i >= RUN) {
            memcpy(run, (const char *)each.data + i * sizeof *run, sizeof run);
            if (see_run(&c, run)) {
                i += RUN;
                continue;
            }
        }
        size_t times = coded ? codes.times[i] : 1;
        if (times > 0)
            see(&c, seen, element(&each, i), times);
        i++;
    }
    if (c.n > 0) { /* scaled by the largest, so that squares of f64 stay in range */
        int e;
        double sum = 0;
        frexp(c.amax, &e);
        e = e < -1000 ? -1000 : e > 1000 ? 1000 : e;
        double unit = ldexp(1, -e);
        for (size_t i = 0; i < each.count;) {
            if (each.dtype == SCRT_F32 && !c.not_finite && each.count - i >= RUN) {
                float run[RUN];
                memcpy(run, (const char *)each.data + i * sizeof *run, sizeof run);
                sum = add_squares(sum, unit, run);
                i += RUN;
                continue;
            }
            size_t times = coded ? codes.times[i] : 1;
            double x = times == 0 ? 0 : element(&each, i) * unit;
            if (isfinite(x))
                sum += (double)times * x * x;
            i++;
        }
        c.rms = ldexp(sqrt(sum / (double)c.n), e);
    }
    return c;
}

static ScConstFacts *facts_slot(ScCtx *cx, const ScBlob *blob)
{
    static const char tag;
    const void *key[2] = {&tag, blob};
    return sc_ctx_slot(cx, sc_intern_bytes(cx, key, sizeof key), sizeof(ScConstFacts));
}

/* Weights are many and three passes ask, so the session remembers. */
const ScConstFacts *sc_const_facts(ScCtx *cx, const ScBlob *blob)
{
    if (!blob->data && blob->count > 0)
        return NULL;
    ScConstFacts *c = facts_slot(cx, blob);
    if (!c->measured) {
        *c = measure(blob);
        sc_blob_forget(cx, blob);
    }
    return c;
}

typedef struct Asked {
    const ScBlob *blob;
    ScConstFacts *facts;
} Asked;

/* The largest first: the last one leaves no thread alone for long. */
static int larger_first(const void *a, const void *b)
{
    size_t x = ((const Asked *)a)->blob->count, y = ((const Asked *)b)->blob->count;
    return (x < y) - (x > y);
}

static void measure_asked(void *arg, size_t i)
{
    const Asked *a = (const Asked *)arg + i;
    *a->facts = measure(a->blob);
}

/* Those of g's weights that are not known yet, side by side. */
static void measure_weights(const ScGraph *g, ScArena *a)
{
    Asked *asked = sc_array(a, Asked, g->n_node + 1);
    size_t n = 0;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *node = &g->node[i];
        if (!(node->op->flags & SC_CONST_OP) || !sc_type_is_float(sc_type_of(g, node->first)) ||
            node->attr[0].kind != SC_A_BLOB)
            continue;
        const ScBlob *b = node->attr[0].blob;
        ScConstFacts *facts = b->data && b->count >= LARGE ? facts_slot(g->cx, b) : NULL;
        if (!facts || facts->measured)
            continue;
        facts->measured = true; /* asked for once */
        asked[n++] = (Asked){b, facts};
    }
    qsort(asked, n, sizeof *asked, larger_first);
    sc_each(n, measure_asked, asked);
    for (size_t i = 0; i < n; i++)
        sc_blob_forget(g->cx, asked[i].blob);
}

static bool is_float(const ScGraph *g, ScVal v)
{
    return sc_type_is_float(sc_type_of(g, v));
}

static void constant_facts(const ScGraph *g, const ScNode *n, ScFact *f)
{
    f->constant = true;
    if (!is_float(g, n->first) || n->attr[0].kind != SC_A_BLOB)
        return;
    const ScConstFacts *c = sc_const_facts(g->cx, n->attr[0].blob);
    if (!c)
        return;
    f->c = c;
    f->nonneg = c->nonneg;
    if (!c->not_finite)
        f->top = c->n > 0 ? sc_log2_256(c->amax) + 1 : NOTHING;
    if (c->n == 0)
        f->any = SC_ANY_VALUE;
    else if (c->distinct <= 2 && c->amax >= MASK_SIZE)
        f->any = c->distinct == 1 ? SC_ANY_ALONE : SC_ANY_VALUE;
    f->big = f->any != SC_ANY_NOT && (c->not_finite || c->amax >= MASK_SIZE);
}

static bool any_at(const ScFact *f, const ScNode *n)
{
    return f->any == SC_ANY_VALUE || (f->any == SC_ANY_ALONE && (n->op->flags & SC_ANY_SINGLE));
}

bool sc_operand_any(const ScFact *f, const ScNode *n, uint32_t i)
{
    return any_at(&f[n->in[i]], n);
}

/* No variable at all: the operand or result is taken in the original numbers. */
static bool is_zero_expr(const ScSchema *sc, const ScScaleExpr *e)
{
    bool zero = true;
    for (uint32_t k = 0; k < sc->n_var; k++)
        zero = zero && e->coef[k] == 0;
    return zero;
}

/* Whether operand i is taken at 0 by the signature; an unknown signature takes all at 0. */
static bool takes0(const ScSchema *sc, uint32_t i)
{
    return !sc || !sc->has_scale || is_zero_expr(sc, sc_scale_in(sc, i));
}

/* How many of the float operands have a fact. */
typedef struct Tally {
    uint32_t n, any, alone, big, finite_mask, nonneg, convex, masked;
} Tally;

static Tally tally(const ScGraph *g, const ScNode *n, const ScFact *f, const ScSchema *sc)
{
    Tally t = {0};
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScFact *o = &f[n->in[i]];
        if (n->in[i] == SC_ABSENT || !is_float(g, n->in[i]))
            continue;
        bool any = any_at(o, n);
        t.n++;
        t.any += any;
        t.alone += o->any == SC_ANY_ALONE;
        t.big += o->any != SC_ANY_NOT && o->big;
        t.finite_mask += any && o->c && o->c->amax >= MASK_SIZE && !o->c->not_finite;
        t.nonneg += o->nonneg;
        t.convex += o->convex;
        t.masked += !takes0(sc, i) && (o->masked || (any && o->big));
    }
    return t;
}

/* Whether some product may store what becomes of each value, [n_value]: no mask goes that way, for
 * masks end at a softmax or where something else is taken in the original numbers. */
static const bool *reaches_product(const ScGraph *g, ScArena *a)
{
    bool *ret = sc_array(a, bool, g->n_value);
    for (uint32_t i = g->n_node; i-- > 0;) {
        const ScNode *n = &g->node[i];
        const ScSchema *sc = sc_schema(g->cx, n->op);
        bool goes_on = false;
        for (uint32_t k = 0; k < n->n_out; k++)
            goes_on = goes_on || (ret[n->first + k] && !(n->op->flags & SC_MASK_ENDS));
        for (uint32_t k = 0; k < n->n_in; k++)
            if ((k < 32 && n->op->quantizable >> k & 1) || (goes_on && !takes0(sc, k)))
                ret[n->in[k]] = true;
    }
    return ret;
}

/* Facts of the results of node n from those of its operands. reaches: see reaches_product. */
static void forward(const ScGraph *g, const ScNode *n, const bool *reaches, ScFact *f)
{
    uint32_t fl = n->op->flags;
    Tally t = tally(g, n, f, sc_schema(g->cx, n->op));
    bool carries = fl & (SC_VIEW_OP | SC_ANY_THROUGH | SC_REBALANCES);
    ScFact r = {0};

    if (carries && t.n > 0 && t.any == t.n)
        r.any = SC_ANY_VALUE;
    else if (carries && t.n == 1 && t.alone == 1) /* a view or cast of a single number is one too */
        r.any = SC_ANY_ALONE;
    r.big = r.any != SC_ANY_NOT && t.big > 0;
    r.product = (fl & SC_ANY_PRODUCT) && t.finite_mask > 0 && !reaches[n->first];
    if (r.product) {
        r.any = SC_ANY_VALUE;
        r.big = true;
    }
    r.masked = t.masked > 0 && !(fl & SC_MASK_ENDS);
    r.nonneg = carries && t.n > 0 && t.nonneg == t.n;
    r.convex = (fl & (SC_PASSES_CONVEX | SC_REBALANCES)) && t.convex > 0 && t.convex + t.any >= t.n;
    for (uint32_t k = 0; k < n->n_out; k++)
        if (is_float(g, n->first + k))
            f[n->first + k] = r;

    ScFact *first = &f[n->first];
    if (fl & SC_NONNEG)
        first->nonneg = true;
    if ((fl & SC_SQUARES) && n->n_in >= 2 && n->in[0] == n->in[1])
        first->nonneg = true;
    if (fl & SC_CONVEX)
        first->convex = true;
}

/* The ceiling of the results of node n. */
static void ceilings(const ScGraph *g, const ScNode *n, ScArena *a, ScFact *f)
{
    int32_t *in = sc_array(a, int32_t, n->n_in + 1), *least = sc_array(a, int32_t, n->n_in + 1);
    int32_t *ret = sc_array(a, int32_t, n->n_out + 1);
    bool *nonneg = sc_array(a, bool, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScFact *o = &f[n->in[i]];
        const ScConstFacts *c = o->c;
        in[i] = o->top;
        nonneg[i] = o->nonneg;
        least[i] = c && c->n == c->count && c->n > 0 ? sc_log2_256(c->amin) - 1 : SC_NO_TOP;
    }
    sc_row_top(&(ScTop){.g = g, .n = n, .in = in, .least = least, .nonneg = nonneg, .ret = ret});
    for (uint32_t i = 0; i < n->n_out; i++) {
        ScFact *r = &f[n->first + i];
        if (!is_float(g, n->first + i))
            continue;
        r->top = ret[i];
        if (ret[i] < NOTHING / 2) { /* a product of zeros, say: nobody should follow it either */
            r->top = NOTHING;
            r->any = SC_ANY_VALUE;
        }
    }
}

/* Whether this use asks for exponent 0 (SCALES, Demand). */
static bool asks0(const ScNode *n, const ScSchema *sc, const ScFact *f, uint32_t i)
{
    if (n->op->control) /* nested graphs take what comes */
        return false;
    if (takes0(sc, i))
        return true;
    const ScScaleExpr *e = sc_scale_in(sc, i);
    if (e->wants0)
        return true;
    bool passes = e->repeats || (n->op->flags & (SC_VIEW_OP | SC_REBALANCES));
    return passes && f[n->first].wants0;
}

static void demand(const ScGraph *g, ScArena *a, ScFact *f)
{
    bool *refused = sc_array(a, bool, g->n_value);
    bool *asked = sc_array(a, bool, g->n_value);
    for (uint32_t i = g->n_node; i-- > 0;) { /* users come after what they use */
        const ScNode *n = &g->node[i];
        const ScSchema *sc = sc_schema(g->cx, n->op);
        for (uint32_t k = 0; k < n->n_out; k++) {
            ScVal v = n->first + k;
            f[v].wants0 = asked[v] && !refused[v] && is_float(g, v);
        }
        for (uint32_t k = 0; k < n->n_in; k++) {
            if (asks0(n, sc, f, k))
                asked[n->in[k]] = true;
            else
                refused[n->in[k]] = true;
        }
    }
}

ScFact *sc_scale_facts(const ScGraph *g, ScArena *a)
{
    SC_STAGE(g->cx, "facts");
    ScFact *f = sc_array(a, ScFact, g->n_value);
    for (ScVal v = 0; v < g->n_value; v++)
        f[v].top = SC_NO_TOP;
    const bool *reaches = reaches_product(g, a);
    measure_weights(g, a);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        sc_stage_share(g->cx, i, g->n_node);
        if (n->op->flags & SC_CONST_OP)
            constant_facts(g, n, &f[n->first]);
        else if (!(n->op->flags & SC_BARRIER)) {
            forward(g, n, reaches, f);
            ceilings(g, n, a, f);
        }
    }
    demand(g, a, f);
    return f;
}

const int32_t *sc_ceilings(const ScGraph *g, ScArena *a)
{
    const ScFact *f = sc_scale_facts(g, a);
    int32_t *ret = sc_array(a, int32_t, g->n_value);
    for (ScVal v = 0; v < g->n_value; v++)
        ret[v] = f[v].top;
    return ret;
}
