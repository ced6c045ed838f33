/* SPDX-License-Identifier: Apache-2.0 */
/* The synthetic inputs on which a model is probed.
 *
 * Inputs of floats are normal, those that become a mask by a product with a huge constant are ones.
 * What a window moves over as one channel of one axis is a waveform, which lies between -1 and 1
 * and is mostly much quieter: an eighth of that. What it moves over along two axes or more, or has
 * 1 or 3 channels beside three other extents, is a picture, which is about as large as normal
 * numbers; how large other floats are, features and states, nobody knows. Integers are drawn from
 * the extent of the axis that they index; integers and bools that are compared or made floats are
 * masks of ones, those of 8 bits that become floats are drawn from all of their range, as pixels
 * are; a number that is compared with a constant, such as a rate, is that constant; what enters a
 * nested graph means what it means there. Symbols take nominal sizes: 1 for leading extents from
 * which nothing is picked, 64 else, and what guards tie to others the size that these have it.
 *
 * The other run has inputs that are unlike these: ramps, small where nobody knows the size, so that
 * what follows it is told by how much less that is too; of integers few, repeated, and numbers that
 * make comparisons turn out otherwise, so that the other branch runs too. */
#include "passes/scale_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOMINAL 64
#define LESS    16 /* than pictures are ramps of what may have any size */

typedef struct Meaning { /* of an input, by its uses */
    int64_t limit;       /* it indexes an axis of this extent; 0: it does not */
    bool mask, pixels, unknown;
    bool other; /* what is computed from it indexes an axis: positions times a stride */
    bool wave, picture;
    int64_t rival[2]; /* what it is compared with, */
    uint32_t n_rival; /* of which the first two are kept */
} Meaning;

typedef struct Sizes {
    ScBinding *env;
    uint32_t n, cap;
    int64_t value; /* of the next new symbol */
} Sizes;

static void see_symbol(void *arg, const char *sym)
{
    Sizes *s = arg;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->env[i].sym == sym)
            return;
    ScBinding b = {.sym = sym, .value = s->value};
    sc_buf_push(s->env, s->n, s->cap, b);
}

/* Whether a node picks from an axis of this extent: it counts things that others refer to, such as
 * the nodes of a graph, of which one alone says little. */
static bool is_picked_from(const ScGraph *g, const ScTerm *extent)
{
    bool found = false;
    for (uint32_t i = 0; i < g->n_node && !found; i++) {
        const ScNode *n = &g->node[i];
        found = n->op->gather_axis &&
                sc_type_of(g, n->in[0])->dim[n->op->gather_axis(g, n)] == extent &&
                !(sc_def(g, n->in[1])->op->flags & SC_CONST_OP);
    }
    return found;
}

#define MOST 8192 /* a longer extent is no extent of a sample */

/* Whether a guard holds, as far as the inputs' sizes alone say; what both sides are. */
static bool holds(const ScGuard *q, const Sizes *s, int64_t side[2])
{
    return !sc_term_eval(q->a, s->n, s->env, &side[0]) ||
           !sc_term_eval(q->b, s->n, s->env, &side[1]) || sc_guard_holds(q->kind, side[0], side[1]);
}

static uint32_t n_held(const ScGraph *g, const Sizes *s)
{
    int64_t side[2];
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_guard; i++)
        n += holds(&g->guard[i], s, side);
    return n;
}

/* What the graph and those nested in it need of sizes. */
static bool fit(const ScGraph *g, const Sizes *s)
{
    bool ok = n_held(g, s) == g->n_guard;
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; g->node[i].op->control && k < g->node[i].op->n_sub; k++)
            ok = ok && fit(g->node[i].sub[k], s);
    return ok;
}

/* Gives the symbol one of these values if more guards hold so. */
static bool improve(const ScGraph *g, Sizes *s, uint32_t i, const int64_t value[2])
{
    const int64_t was = s->env[i].value;
    const uint32_t held = n_held(g, s);
    for (uint32_t k = 0; k < 2; k++) {
        s->env[i].value = value[k] > 0 && value[k] <= MOST ? value[k] : was;
        if (n_held(g, s) > held)
            return true;
    }
    s->env[i].value = was;
    return false;
}

/* A symbol that a guard ties to others takes its value from them: the extent of a mask over what a
 * cache holds and new tokens is a symbol of its own, and must be the sum of theirs. */
static void tie(const ScGraph *g, Sizes *s, uint32_t first)
{
    int64_t side[2];
    for (uint32_t q = 0; q < g->n_guard; q++) {
        const ScGuardKind kind = g->guard[q].kind;
        bool better = kind != SC_GUARD_EQUAL && kind != SC_GUARD_MEET && kind != SC_GUARD_FITS;
        for (uint32_t i = first; i < s->n && !better && !holds(&g->guard[q], s, side); i++)
            better = improve(g, s, i, side);
    }
}

/* Leading extents have their say first; the others double until what moves over them fits. */
static Sizes nominal_sizes(const ScGraph *g)
{
    Sizes s = {0};
    uint32_t n_leading = 0;
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < g->n_in; i++) {
            const ScType *t = sc_type_of(g, g->in[i]);
            s.value = pass ? NOMINAL : 1;
            if (!pass && t->rank > 0 && is_picked_from(g, t->dim[0]))
                s.value = NOMINAL;
            for (uint32_t d = pass; d < (pass || t->rank == 0 ? t->rank : 1); d++)
                sc_term_symbols(t->dim[d], see_symbol, &s);
        }
        n_leading = pass ? n_leading : s.n;
    }
    ScBinding *begin = s.env;
    Sizes found = {sc_memdup(sc_ctx_arena(g->cx), begin, s.n * sizeof *begin), s.n, 0, NOMINAL};
    tie(g, &found, n_leading);
    while (found.n > n_leading && !fit(g, &found) && (found.value *= 2) <= MOST) {
        for (uint32_t i = n_leading; i < found.n; i++)
            found.env[i].value = found.value;
        tie(g, &found, n_leading);
    }
    for (uint32_t i = n_leading; found.value <= MOST && i < s.n; i++)
        s.env[i].value = found.env[i].value;
    return s;
}

ScBinding *sc_nominal_sizes(const ScGraph *g, uint32_t *ret_n)
{
    Sizes s = nominal_sizes(g);
    *ret_n = s.n;
    return s.env;
}

/* Whether a result counts in the units of operand k: a product does not. */
static bool same_units(const ScGraph *g, const ScNode *n, uint32_t k)
{
    const ScSchema *s = sc_schema(g->cx, n->op);
    return !s || !s->has_scale ||
           memcmp(sc_scale_in(s, k)->coef, sc_scale_out(s, 0)->coef,
                  sizeof sc_scale_in(s, k)->coef) == 0;
}

/* A use of floats; f may be NULL. */
static bool use_floats(const ScGraph *g, const ScFact *f, const ScNode *n, uint32_t k, Meaning *m)
{
    m->mask = m->mask || (f && n->n_out > 0 && f[n->first].product);
    if (n->op->conv && k == 0) {
        ScConv c;
        int64_t channels;
        n->op->conv(g, n, &c);
        const ScType *x = sc_type_of(g, n->in[0]);
        m->wave = m->wave || (c.window.n_spatial == 1 &&
                              sc_term_const(x->dim[c.window.channels_last ? 2 : 1], &channels) &&
                              channels == 1);
        m->picture = m->picture || c.window.n_spatial > 1;
    }
    bool picked = n->op->gather_axis && k == 0; /* as what mirrors the ends of a waveform does */
    return (n->op->lower.cls == SC_MAP || (n->op->flags & SC_VIEW_OP) || picked) && n->n_out > 0 &&
           sc_type_is_float(sc_type_of(g, n->first));
}

/* The integer that v is, known when the model is compiled. */
static bool known_number(const ScGraph *g, ScVal v, int64_t *ret)
{
    const ScNode *n = sc_def(g, v);
    const ScBlob *b = n->op->flags & SC_CONST_OP ? n->attr[0].blob : NULL;
    if (!b || !b->data || b->count != 1 || !scrt_dtype_is_integer(b->dtype))
        return false;
    *ret = scrt_load_int(b->dtype, b->data, 0);
    return true;
}

/* What a use of value v as operand k of n says; true where the result means the same as v. exact: v
 * counts in the units of the input. */
static bool use(const ScGraph *g, const ScFact *f, const ScNode *n, uint32_t k, bool exact,
                const Sizes *sizes, Meaning *m)
{
    const ScType *x = sc_type_of(g, n->in[k]);
    const ScType *y = n->n_out > 0 ? sc_type_of(g, n->first) : NULL;
    int64_t extent;
    if (sc_type_is_float(x))
        return use_floats(g, f, n, k, m);
    const ScTerm *counted = n->op->counts ? n->op->counts(g, n, k) : NULL;
    if (counted) {
        if (!sc_term_eval(counted, sizes->n, sizes->env, &extent) || extent < 1)
            return false;
        if (!exact)
            m->other = true;
        else if (m->limit == 0 || extent < m->limit)
            m->limit = extent;
        return false;
    }
    if (n->op == &sc_op_equal && exact && m->n_rival < 2 &&
        known_number(g, n->in[1 - k], &m->rival[m->n_rival]))
        m->n_rival += m->n_rival == 0 || m->rival[0] != m->rival[1];
    if (!y || n->op->n_sub > 0)
        m->unknown = true;
    else if (sc_type_is_float(y) && scrt_dtype_bits(x->dtype) == 8 && x->dtype != SCRT_BOOL)
        m->pixels = true;
    else if (sc_type_is_float(y) || y->dtype == SCRT_BOOL || x->dtype == SCRT_BOOL)
        m->mask = true;
    else
        return true;
    return false;
}

typedef struct Reached { /* [n_value] each */
    bool *at, *exact;
} Reached;

static Reached reached_none(const ScGraph *g, ScArena *a)
{
    return (Reached){sc_array(a, bool, g->n_value), sc_array(a, bool, g->n_value)};
}

static void follow(const ScGraph *g, const ScFact *f, const Reached *r, const Sizes *sizes,
                   ScArena *a, Meaning *m);

/* Into what a node with control runs: operand k enters as input k - 1. What says whether, and how
 * often, is like a mask. */
static void enter(const ScNode *n, const Reached *outer, const Sizes *sizes, ScArena *a, Meaning *m)
{
    uint32_t n_head = n->op->control == SC_TURNS ? 2 : 1;
    for (uint32_t k = 0; k < n_head; k++)
        m->mask = m->mask || outer->at[n->in[k]];
    for (uint32_t i = 0; i < n->op->n_sub; i++) {
        const ScGraph *sub = n->sub[i];
        Reached inner = reached_none(sub, a);
        bool any = false;
        for (uint32_t k = n_head; k < n->n_in; k++) {
            bool on = outer->at[n->in[k]];
            inner.at[sub->in[k - 1]] = on;
            inner.exact[sub->in[k - 1]] = on && outer->exact[n->in[k]];
            any = any || on;
        }
        if (any)
            follow(sub, NULL, &inner, sizes, a, m);
    }
}

/* f: NULL where nobody asks for masks of floats. */
static void follow(const ScGraph *g, const ScFact *f, const Reached *r, const Sizes *sizes,
                   ScArena *a, Meaning *m)
{
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        bool on = false, units = false;
        if (n->op->control) {
            enter(n, r, sizes, a, m);
            continue;
        }
        for (uint32_t k = 0; k < n->n_in; k++)
            if (r->at[n->in[k]] && use(g, f, n, k, r->exact[n->in[k]], sizes, m)) {
                on = true;
                units = units || (r->exact[n->in[k]] && same_units(g, n, k));
            }
        for (uint32_t k = 0; k < n->n_out; k++) {
            r->at[n->first + k] = r->at[n->first + k] || on;
            r->exact[n->first + k] = r->exact[n->first + k] || units;
        }
    }
}

/* Whether x has the form of a picture. */
static bool has_few_channels(const ScType *x)
{
    bool ret = false;
    for (uint32_t d = 1; x->rank == 4 && d < 4; d += 2)
        ret = ret || sc_term_is(x->dim[d], 1) || sc_term_is(x->dim[d], 3);
    return ret;
}

static Meaning meaning(const ScGraph *g, const ScFact *f, ScVal input, const Sizes *sizes,
                       ScArena *a)
{
    Meaning m = {.picture = has_few_channels(sc_type_of(g, input))};
    Reached r = reached_none(g, a);
    r.at[input] = r.exact[input] = true;
    follow(g, f, &r, sizes, a, &m);
    if (m.other && m.limit == 0)
        m.limit = 1; /* the first, whatever the stride */
    return m;
}

int64_t sc_index_limit(const ScGraph *g, uint32_t i)
{
    int64_t ret = 0;
    if (!sc_type_is_float(sc_type_of(g, g->in[i]))) { /* facts are asked for floats alone */
        ScArena *a = sc_arena_new();
        ret = meaning(g, NULL, g->in[i], &(Sizes){0}, a).limit;
        sc_arena_free(a);
    }
    return ret;
}

static uint64_t next(uint64_t *r)
{
    *r ^= *r >> 12;
    *r ^= *r << 25;
    *r ^= *r >> 27;
    return *r * 0x2545f4914f6cdd1du;
}

static double uniform(uint64_t *r) /* [0, 1) */
{
    return (double)(next(r) >> 11) * 0x1p-53;
}

/* About normal: twelve uniforms. */
static double normal(uint64_t *r)
{
    double x = -6;
    for (int i = 0; i < 12; i++)
        x += uniform(r);
    return x;
}

/* From 0 to 1 along the last axis. */
static double on_ramp(const ScrtTensor *t, int64_t k)
{
    int64_t n = t->rank > 0 ? t->dims[t->rank - 1] : 1;
    return ((double)(k % n) + 0.5) / (double)n;
}

/* In [0, 1): along the last axis eight numbers, each of which is repeated before the next begins.
 */
static double in_stretches(const ScrtTensor *t, int64_t k)
{
    double x = 0.5 + 0.6180339887498949 * floor(8 * on_ramp(t, k)); /* by the golden ratio */
    return x - floor(x);
}

/* What turns comparisons out one way, or the other. */
static int64_t compared(const Meaning *m, bool ramp)
{
    int64_t other = m->n_rival > 1 ? m->rival[1] : m->rival[0] == 1 ? 0 : 1;
    return ramp ? other : m->rival[0];
}

/* Element k of t. What indexes an axis is as likely any index as another, in no order; on the other
 * run few are repeated. */
static double draw(const Meaning *m, const ScrtTensor *t, int64_t k, ScProbeKind kind, uint64_t *r)
{
    bool ramp = kind == SC_PROBE_RAMP;
    if (scrt_dtype_is_float((ScrtDtype)t->dtype) && !m->mask) {
        double y = ramp ? on_ramp(t, k) + normal(r) / 8 : normal(r);
        if (m->wave)
            return ramp ? (y - 0.5) / 4 : y / 8;
        return ramp && !m->picture ? y / LESS : y;
    }
    double x = uniform(r), limit = (double)m->limit;
    if (m->limit > 0)
        return floor(limit * (ramp ? in_stretches(t, k) : x));
    if (!m->pixels) /* of a mask that is compared nobody knows which it is not */
        return m->n_rival > 0 && scrt_count(t) == 1 ? (double)compared(m, ramp) : 1;
    x = floor((ramp ? on_ramp(t, k) : x) * 256);
    return scrt_dtype_kind((ScrtDtype)t->dtype) == SCRT_KIND_UINT ? x : x - 128;
}

static bool fill(const ScGraph *g, const ScFact *f, uint32_t i, const Sizes *sizes, ScArena *a,
                 ScProbeKind kind, ScrtTensor *ret)
{
    const ScType *t = sc_type_of(g, g->in[i]);
    const char *name = g->value[g->in[i]].name;
    uint64_t r = 0x9e3779b97f4a7c15u * (i + 1 + kind * UINT64_C(1000003));
    *ret = (ScrtTensor){.dtype = t->dtype, .rank = t->rank};
    for (uint32_t d = 0; d < t->rank; d++)
        if (!sc_term_eval(t->dim[d], sizes->n, sizes->env, &ret->dims[d]) || ret->dims[d] < 0)
            return sc_fail(g->cx, NULL, SC_E_INPUT, "input \"%s\" has no nominal size", name);
    Meaning m = meaning(g, f, g->in[i], sizes, a);
    bool counts = scrt_dtype_is_integer(t->dtype);
    if (m.unknown || (counts && m.limit == 0 && !m.mask && !m.pixels))
        return sc_fail(g->cx, NULL, SC_E_INPUT, "what input \"%s\" means is not known", name);
    if (scrt_tensor_alloc(ret) != SCRT_OK)
        return sc_fail(g->cx, NULL, SC_E_LIMIT, "not enough memory for input \"%s\"", name);
    for (int64_t k = 0; k < scrt_count(ret); k++) {
        double x = draw(&m, ret, k, kind, &r);
        if (counts || t->dtype == SCRT_BOOL)
            scrt_store_int(t->dtype, ret->data, (size_t)k, (int64_t)x);
        else
            scrt_store(t->dtype, ret->data, (size_t)k, x, true);
    }
    return true;
}

bool sc_probe_inputs(ScCtx *cx, const ScGraph *g, ScProbeKind kind, ScrtTensor *ret_in)
{
    (void)cx;
    ScArena *a = sc_arena_new();
    const ScFact *f = sc_scale_facts(g, a);
    Sizes sizes = nominal_sizes(g);
    bool ok = true;
    for (uint32_t i = 0; i < g->n_in; i++)
        ret_in[i] = (ScrtTensor){0};
    for (uint32_t i = 0; ok && i < g->n_in; i++)
        ok = fill(g, f, i, &sizes, a, kind, &ret_in[i]);
    sc_buf_free(sizes.env);
    sc_arena_free(a);
    return ok;
}

/* Whether all inputs of raised are as told. */
static bool all_inputs(const ScGraph *raised, bool (*told)(ScCtx *cx, const ScType *t, Meaning m))
{
    ScArena *a = sc_arena_new();
    const ScFact *f = sc_scale_facts(raised, a);
    Sizes sizes = nominal_sizes(raised);
    bool ok = true;
    for (uint32_t i = 0; i < raised->n_in && ok; i++)
        ok = told(raised->cx, sc_type_of(raised, raised->in[i]),
                  meaning(raised, f, raised->in[i], &sizes, a));
    sc_buf_free(sizes.env);
    sc_arena_free(a);
    return ok;
}

static bool has_size(ScCtx *cx, const ScType *t, Meaning m)
{
    (void)cx;
    return !sc_type_is_float(t) || m.mask || m.wave || m.picture;
}

bool sc_probe_knows_size(const ScGraph *raised)
{
    return all_inputs(raised, has_size);
}

static bool confirms(ScCtx *cx, const ScType *t, Meaning m)
{
    int64_t count;
    bool one = sc_term_const(sc_type_count(cx, t), &count) && count == 1;
    return sc_type_is_float(t) ? !m.wave : m.limit > 0 || m.pixels || !one;
}

bool sc_probe_confirms(const ScGraph *raised)
{
    return all_inputs(raised, confirms);
}
