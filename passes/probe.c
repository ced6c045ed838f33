/* SPDX-License-Identifier: Apache-2.0 */
/* probe: what calibration measures on samples, measured on synthetic inputs instead. Estimates of
 * growth drift where weights are not what they assume; a run of the compiled graph on normal
 * numbers shows it, and one on ramps which means of channels do not hang on the inputs. Here the
 * graph that measures, its inputs, and the statistics from its outputs; who compiles and runs it
 * stands above this folder.
 *
 * Measured are the sites: values that a recipe may store, which are the operands of products, and
 * in a graph with f16 every value of f16. What lies between them follows by growth. Of what
 * constant weights sum, nested graphs apart, the means of the channels are measured too.
 *
 * Inputs of floats are normal, those that become a mask by a product with a huge constant are ones.
 * Integers are drawn from the extent of the axis that they index; integers and bools that are
 * compared or made floats are masks of ones, those of 8 bits that become floats are drawn from all
 * of their range, as pixels are; what enters a nested graph means what it means there. Symbols take
 * nominal sizes: 1 for leading extents from which nothing is picked, 64 else. */
#include "passes/scale_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOMINAL 64

/* --- Sites ----------------------------------------------------------------------------------- */

typedef struct Sites {
    uint32_t n;
    ScVal *v;     /* [n] the values measured */
    uint32_t *of; /* [n_value] 1 + the site whose elements the value has, 0: none */
} Sites;

static bool is_half(const ScGraph *g, ScVal v)
{
    const ScType *t = sc_type_of(g, v);
    return sc_type_is_float(t) && scrt_format(t->dtype)->exp_bits < 8 &&
           !scrt_dtype_is_low(t->dtype);
}

/* v, and what is beneath v but for the order of the elements, are one site. */
static void add_site(const ScGraph *g, ScVal v, Sites *s)
{
    ScVal base = v;
    const ScTerm *count = sc_type_count(g->cx, sc_type_of(g, v));
    for (const ScNode *n = sc_def(g, base);
         (n->op->flags & SC_VIEW_OP) && sc_type_count(g->cx, sc_type_of(g, n->in[0])) == count;
         n = sc_def(g, base))
        base = n->in[0];
    if (v < SC_FIRST || !sc_type_is_float(sc_type_of(g, v)) || sc_type_of(g, base)->rank == 0 ||
        scrt_dtype_is_low(sc_type_of(g, v)->dtype) || (sc_def(g, base)->op->flags & SC_CONST_OP))
        return;
    if (!s->of[base]) {
        s->v[s->n++] = base;
        s->of[base] = s->n;
    }
    for (; v != base; v = sc_def(g, v)->in[0])
        s->of[v] = s->of[base];
}

static Sites sites(const ScGraph *g, ScArena *a)
{
    Sites s = {.v = sc_array(a, ScVal, g->n_value), .of = sc_array(a, uint32_t, g->n_value)};
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t k = 0; k < n->n_in && k < 32; k++)
            if ((n->op->quantizable >> k & 1) && n->in[k] != SC_ABSENT)
                add_site(g, n->in[k], &s);
        for (uint32_t k = 0; k < n->n_out; k++)
            if (is_half(g, n->first + k))
                add_site(g, n->first + k, &s);
    }
    return s;
}

/* --- The graph that measures ----------------------------------------------------------------- */

/* Two numbers for each site, its mean square and its largest magnitude: first of a graph's own, in
 * their order, then of those nested in it, node by node. What is nested gives them as results more:
 * a loop those of each turn, of which the mean and the largest are taken; a branch NaN for what is
 * in the other one. */
typedef struct Measure {
    ScBuild *b;
    ScVal *v; /* [n] pairs */
    uint32_t n, cap;
    uint32_t *n_symbol; /* the program's: each loop's turns have symbols of their own */
} Measure;

static void add(Measure *m, ScVal v)
{
    sc_buf_push(m->v, m->n, m->cap, v);
}

static ScVal reduced(ScBuild *b, const ScOp *op, ScVal x)
{
    int64_t axes[SCRT_MAX_RANK];
    uint32_t rank = sc_built(b, x)->type->rank;
    for (uint32_t d = 0; d < rank; d++)
        axes[d] = d;
    return sc_node1(b, op, SC_ATTRS(SC_INTS(rank, axes), SC_INT(0)), 1, &x);
}

static void measure(Measure *m, ScVal x)
{
    ScBuild *b = m->b;
    if (sc_built(b, x)->type->dtype != SCRT_F32)
        x = sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_F32)), x);
    add(m, reduced(b, &sc_op_reduce_mean, sc_op(b, mul, x, x)));
    add(m, reduced(b, &sc_op_reduce_max, sc_op(b, abs, x)));
}

/* How many numbers come from g and what is nested in it. */
static uint32_t n_measured(const ScGraph *g)
{
    ScArena *a = sc_arena_new();
    uint32_t n_level, n = 0;
    const ScLevel *l = sc_levels(g, a, &n_level);
    for (uint32_t i = 0; i < n_level; i++)
        n += 2 * sites(l[i].g, a).n;
    sc_arena_free(a);
    return n;
}

static void copy_nodes(Measure *m, const ScGraph *g, ScVal *env);

/* g with what it measures as outputs behind its own: `before` and `after` are those of other
 * branches. */
static ScGraph *measured(Measure *outer, const ScGraph *g, uint32_t before, uint32_t after)
{
    SC_PASS(outer->b->cx, g, b, env);
    Measure m = {.b = &b, .n_symbol = outer->n_symbol};
    ScVal nan = before + after ? sc_const_scalar(&b, SCRT_F32, NAN) : SC_ABSENT;
    for (uint32_t i = 0; i < before; i++)
        add(&m, nan);
    copy_nodes(&m, g, env);
    for (uint32_t i = 0; i < after; i++)
        add(&m, nan);
    ScGraph *ret = sc_pass_end_with(&b, env, m.n, m.v);
    sc_buf_free(m.v);
    return ret;
}

/* The attribute that names the extents of a loop's results, with one more for each of n results. */
static ScAttr named_turns(Measure *m, const ScGraph *g, const ScNode *n, uint32_t more, ScArena *a)
{
    ScCtx *cx = m->b->cx;
    const ScAttr *was = sc_attr(n, 0);
    uint32_t n_was = 0;
    for (uint32_t i = 0; i < n->n_out; i++)
        n_was += sc_type_of(g, n->first + i)->rank;
    const ScTerm **as = sc_array(a, const ScTerm *, n_was + more);
    for (uint32_t i = 0; i < n_was + more; i++)
        as[i] = i >= n_was ? sc_term_sym(cx, sc_printf(a, "probe.%u", (*m->n_symbol)++))
                : was->kind == SC_A_NONE ? sc_term(cx, 0)
                                         : was->ts[i];
    return SC_TERMS(n_was + more, as);
}

/* A node with nested graphs that measure. */
static void copy_control(Measure *m, const ScGraph *g, const ScNode *n, uint32_t more,
                         const ScVal *in, ScVal *ret)
{
    ScArena *a = sc_arena_new();
    ScGraph **sub = sc_array(a, ScGraph *, n->op->n_sub);
    ScAttr *attr = sc_memdup(a, n->attr, n->op->n_attr * sizeof *attr);
    uint32_t before = 0;
    for (uint32_t k = 0; k < n->op->n_sub; k++) {
        uint32_t own = n_measured(n->sub[k]);
        sub[k] = measured(m, n->sub[k], before, more - before - own);
        before += own;
    }
    bool turns = n->op->control == SC_TURNS;
    if (turns)
        attr[0] = named_turns(m, g, n, more, a);
    ScVal *out = sc_array(a, ScVal, n->n_out + more);
    sc_node(m->b, n->op, attr, sub, n->n_in, in, n->n_out + more, out);
    for (uint32_t i = 0; i < n->n_out; i++) {
        ret[i] = out[i];
        sc_set_name(m->b, out[i], g->value[n->first + i].name);
    }
    for (uint32_t i = 0; i < more; i++) {
        ScVal x = out[n->n_out + i];
        add(m, turns ? reduced(m->b, i % 2 ? &sc_op_reduce_max : &sc_op_reduce_mean, x) : x);
    }
    sc_arena_free(a);
}

static void copy_nodes(Measure *m, const ScGraph *g, ScVal *env)
{
    Sites s = sites(g, sc_pass_scratch(env));
    Measure nested = {.b = m->b, .n_symbol = m->n_symbol};
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->flags & SC_BARRIER)
            continue;
        m->b->at = n->loc;
        uint32_t more = 0;
        for (uint32_t k = 0; n->op->control && k < n->op->n_sub; k++)
            more += n_measured(n->sub[k]);
        if (more)
            copy_control(&nested, g, n, more, sc_map(env, n), &env[n->first]);
        else
            sc_copy_node(m->b, g, n, sc_map(env, n), &env[n->first]);
    }
    for (uint32_t i = 0; i < s.n; i++) {
        m->b->at = sc_def(g, s.v[i])->loc;
        measure(m, env[s.v[i]]);
    }
    for (uint32_t i = 0; i < nested.n; i++)
        add(m, nested.v[i]);
    sc_buf_free(nested.v);
}

/* The mean of each channel. */
static ScVal means(ScBuild *b, ScVal x, const ScSummed *s)
{
    int64_t axes[SCRT_MAX_RANK];
    uint32_t rank = sc_built(b, x)->type->rank, at = rank - 1 - s->behind;
    if (sc_built(b, x)->type->dtype != SCRT_F32)
        x = sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_F32)), x);
    for (uint32_t d = 0; d < s->behind; d++)
        axes[d] = at + 1 + d;
    if (s->behind > 0) /* first along what lies together */
        x = sc_node1(b, &sc_op_reduce_mean, SC_ATTRS(SC_INTS(s->behind, axes), SC_INT(0)), 1, &x);
    for (uint32_t d = 0; d < at; d++)
        axes[d] = d;
    if (at > 0)
        x = sc_node1(b, &sc_op_reduce_mean, SC_ATTRS(SC_INTS(at, axes), SC_INT(0)), 1, &x);
    return x;
}

ScGraph *sc_probe_graph(ScCtx *cx, const ScGraph *g)
{
    static const char *const what[2] = {"square", "amax"};
    uint32_t n_symbol = 0;
    SC_PASS(cx, g, b, env);
    Measure m = {.b = &b, .n_symbol = &n_symbol};
    copy_nodes(&m, g, env);
    for (uint32_t i = 0; i < m.n; i++)
        sc_output(&b, sc_printf(sc_ctx_arena(cx), "probe.%u.%s", i / 2, what[i % 2]), m.v[i]);
    const ScSummed *s = sc_summed_values(g, sc_pass_scratch(env));
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        if (s[v].n > 0)
            sc_output(&b, sc_printf(sc_ctx_arena(cx), "probe.means.%u", v),
                      means(&b, env[v], &s[v]));
    sc_buf_free(m.v);
    return sc_pass_end(&b, env);
}

/* --- Inputs ---------------------------------------------------------------------------------- */

typedef struct Meaning { /* of an input, by its uses */
    int64_t limit;       /* it indexes an axis of this extent; 0: it does not */
    bool mask, pixels, unknown;
    bool other; /* what is computed from it indexes an axis: positions times a stride */
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

/* What the graph and those nested in it need of sizes, as far as the inputs' alone say. */
static bool fit(const ScGraph *g, const Sizes *s)
{
    int64_t a, b;
    bool ok = true;
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; g->node[i].op->control && k < g->node[i].op->n_sub; k++)
            ok = ok && fit(g->node[i].sub[k], s);
    for (uint32_t i = 0; i < g->n_guard; i++)
        ok = ok && (!sc_term_eval(g->guard[i].a, s->n, s->env, &a) ||
                    !sc_term_eval(g->guard[i].b, s->n, s->env, &b) ||
                    sc_guard_holds(g->guard[i].kind, a, b));
    return ok;
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
    Sizes longer = {sc_memdup(sc_ctx_arena(g->cx), s.env, s.n * sizeof *s.env), s.n, 0, NOMINAL};
    while (s.n > n_leading && !fit(g, &longer) && (longer.value *= 2) <= MOST)
        for (uint32_t i = n_leading; i < s.n; i++)
            longer.env[i].value = longer.value;
    for (uint32_t i = n_leading; longer.value <= MOST && i < s.n; i++)
        s.env[i].value = longer.env[i].value;
    return s;
}

/* Whether a result counts in the units of operand k: a product does not. */
static bool same_units(const ScGraph *g, const ScNode *n, uint32_t k)
{
    const ScSchema *s = sc_schema(g->cx, n->op);
    return !s || !s->has_scale ||
           memcmp(sc_scale_in(s, k)->coef, sc_scale_out(s, 0)->coef,
                  sizeof sc_scale_in(s, k)->coef) == 0;
}

/* What a use of value v as operand k of n says; true where the result means the same as v. exact: v
 * counts in the units of the input. */
static bool use(const ScGraph *g, const ScFact *f, const ScNode *n, uint32_t k, bool exact,
                const Sizes *sizes, Meaning *m)
{
    const ScType *x = sc_type_of(g, n->in[k]);
    const ScType *y = n->n_out > 0 ? sc_type_of(g, n->first) : NULL;
    int64_t extent;
    if (sc_type_is_float(x)) {
        m->mask = m->mask || f[n->first].product;
        return (n->op->lower.cls == SC_MAP || (n->op->flags & SC_VIEW_OP)) && y &&
               sc_type_is_float(y);
    }
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
static void enter(const ScGraph *g, const ScNode *n, const Reached *outer, const Sizes *sizes,
                  ScArena *a, Meaning *m)
{
    uint32_t n_head = n->op->control == SC_TURNS ? 2 : 1;
    for (uint32_t k = 0; k < n_head; k++)
        m->mask = m->mask || outer->at[n->in[k]];
    for (uint32_t i = 0; i < n->op->n_sub; i++) {
        const ScGraph *sub = n->sub[i];
        Reached inner = reached_none(sub, a);
        bool any = false;
        for (uint32_t k = n_head; k < n->n_in; k++) {
            bool on = outer->at[n->in[k]] && !sc_type_is_float(sc_type_of(g, n->in[k]));
            inner.at[sub->in[k - 1]] = on;
            inner.exact[sub->in[k - 1]] = on && outer->exact[n->in[k]];
            any = any || on;
        }
        if (any)
            follow(sub, NULL, &inner, sizes, a, m);
    }
}

/* f: NULL where only integers are followed. */
static void follow(const ScGraph *g, const ScFact *f, const Reached *r, const Sizes *sizes,
                   ScArena *a, Meaning *m)
{
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        bool on = false, units = false;
        if (n->op->control) {
            enter(g, n, r, sizes, a, m);
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

static Meaning meaning(const ScGraph *g, const ScFact *f, ScVal input, const Sizes *sizes,
                       ScArena *a)
{
    Meaning m = {0};
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

static double draw(const Meaning *m, ScrtDtype t, uint64_t *r)
{
    double x = -6, lo = 0, hi = (double)m->limit;
    if (scrt_dtype_is_float(t) && !m->mask) { /* about normal: twelve uniforms */
        for (int i = 0; i < 12; i++)
            x += uniform(r);
        return x;
    }
    if (m->limit == 0 && !m->pixels)
        return 1;
    if (m->limit == 0) {
        lo = scrt_dtype_kind(t) == SCRT_KIND_UINT ? 0 : -128;
        hi = lo + 256;
    }
    return floor(lo + uniform(r) * (hi - lo));
}

/* From 0 to 1 along the last axis. */
static double on_ramp(const ScrtTensor *t, int64_t k)
{
    int64_t n = t->rank > 0 ? t->dims[t->rank - 1] : 1;
    return ((double)(k % n) + 0.5) / (double)n;
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
        double x = draw(&m, t->dtype, &r);
        if (kind == SC_PROBE_RAMP && scrt_dtype_is_float(t->dtype) && !m.mask)
            x = on_ramp(ret, k) + x / 8;
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

/* --- Statistics ------------------------------------------------------------------------------ */

typedef struct Reading {
    const ScrtTensor *out; /* what is not read yet */
    const ScMeans **means; /* [n_value] of the graph itself */
    ScStat *stat;
    uint32_t n, cap;
} Reading;

static void read_sites(Reading *r, ScCtx *cx, const ScLevel *l, ScArena *a)
{
    Sites s = sites(l->g, a);
    const char *const *label = sc_stat_labels(l->g, l->prefix, a);
    for (ScVal v = SC_FIRST; v < l->g->n_value; v++) {
        uint32_t k = s.of[v];
        if (k == 0)
            continue;
        double square = scrt_load(SCRT_F32, r->out[2 * (k - 1)].data, 0);
        double amax = scrt_load(SCRT_F32, r->out[2 * (k - 1) + 1].data, 0);
        ScStat stat = {
            .name = sc_intern(cx, label[v]), .rms = sqrt(square), .amax = amax, .n_finite = 1};
        if (l->first == 0)
            stat.means = r->means[v];
        if (isfinite(square) && isfinite(amax)) /* overflow says nothing of the rest */
            sc_buf_push(r->stat, r->n, r->cap, stat);
    }
    r->out += 2 * s.n;
}

/* What both runs say: the lesser of two means of one sign, else 0. So a correction is rather too
 * small than wrong where the mean follows from the inputs' own. */
static double agreed(double x, double y)
{
    return x * y <= 0 ? 0 : fabs(x) < fabs(y) ? x : y;
}

static void read_means(Reading *r, ScCtx *cx, const ScGraph *g, const ScrtTensor *out,
                       const ScrtTensor *other, ScArena *a)
{
    const ScSummed *s = sc_summed_values(g, a);
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        if (s[v].n == 0)
            continue;
        double *x = sc_array(a, double, (size_t)s[v].n);
        bool finite = true;
        for (int64_t c = 0; c < s[v].n; c++) {
            x[c] = agreed(scrt_load(SCRT_F32, out->data, (size_t)c),
                          scrt_load(SCRT_F32, other->data, (size_t)c));
            finite = finite && isfinite(x[c]);
        }
        r->means[v] = finite ? sc_means(cx, &s[v], x) : NULL;
        out++;
        other++;
    }
}

bool sc_probe_confirms(const ScGraph *raised)
{
    bool floats = true;
    for (uint32_t i = 0; i < raised->n_in; i++)
        floats = floats && sc_type_is_float(sc_type_of(raised, raised->in[i]));
    return floats;
}

const ScStats *sc_probe_stats(ScCtx *cx, const ScGraph *g, const ScrtTensor *out,
                              const ScrtTensor *ramp)
{
    Reading r = {.out = out};
    ScArena *a = sc_arena_new();
    uint32_t n_level;
    const ScLevel *l = sc_levels(g, a, &n_level);
    r.means = sc_array(a, const ScMeans *, g->n_value);
    if (ramp)
        read_means(&r, cx, g, out + n_measured(g), ramp + n_measured(g), a);
    for (uint32_t i = 0; i < n_level; i++)
        read_sites(&r, cx, &l[i], a);
    sc_arena_free(a);
    ScStat *kept = sc_array(sc_ctx_arena(cx), ScStat, r.n + 1);
    if (r.n)
        memcpy(kept, r.stat, r.n * sizeof *kept);
    sc_buf_free(r.stat);
    return sc_stats_of(cx, g, kept, r.n);
}
