/* SPDX-License-Identifier: Apache-2.0 */
/* probe: what calibration measures on samples, measured on synthetic inputs instead. Estimates of
 * growth drift where weights are not what they assume; a run of the compiled graph on normal
 * numbers shows it, and one on ramps what does not hang on the inputs. Here the graph that
 * measures, and the statistics from its outputs; who compiles and runs it stands above this folder.
 *
 * Measured are the sites: values that a recipe may store, which are the operands of products, and
 * in a graph with f16 every value of f16. What lies between them follows by growth. Of what
 * constant weights sum, nested graphs apart, the means of the channels are measured too.
 *
 * Of each site some elements are kept too, from which a factor follows (factor.c), where both runs
 * say that it pays. */
#include "passes/scale_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SOME  4096      /* elements that are looked at of a site */
#define WHOLE (1 << 18) /* a site of as many is kept whole: it is there anyway */

/* --- Sites ----------------------------------------------------------------------------------- */

typedef struct Sites {
    uint32_t n;
    ScVal *v;      /* [n] the values measured */
    uint32_t *of;  /* [n_value] 1 + the site whose elements the value has, 0: none */
    bool *product; /* [n] a product reads it, which can give a factor back */
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
    Sites s = {.v = sc_array(a, ScVal, g->n_value),
               .of = sc_array(a, uint32_t, g->n_value),
               .product = sc_array(a, bool, g->n_value)};
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t k = 0; k < n->n_in && k < 32; k++)
            if ((n->op->quantizable >> k & 1) && n->in[k] != SC_ABSENT) {
                add_site(g, n->in[k], &s);
                if (s.of[n->in[k]] > 0 && (n->op->contract || n->op->conv))
                    s.product[s.of[n->in[k]] - 1] = true;
            }
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

/* Some elements of x, evenly from all over it, or all. */
static ScVal some(ScBuild *b, ScVal x, uint32_t n_size, const ScBinding *size)
{
    const ScType *t = sc_built(b, x)->type;
    const ScTerm *zero[SCRT_MAX_RANK];
    int64_t left[SCRT_MAX_RANK], step[SCRT_MAX_RANK];
    double count = 1;
    for (uint32_t d = 0; d < t->rank; d++) {
        zero[d] = sc_term(b->cx, 0);
        step[d] = 1;
        if (!sc_term_eval(t->dim[d], n_size, size, &left[d]))
            left[d] = 1; /* the run finds how many */
        count *= (double)left[d];
    }
    if (count <= WHOLE && t->dtype == SCRT_F32)
        return x;
    while (count > SOME) { /* half of the longest axis */
        uint32_t at = 0;
        for (uint32_t d = 1; d < t->rank; d++)
            at = left[d] > left[at] ? d : at;
        count /= (double)left[at];
        left[at] = (left[at] + 1) / 2;
        count *= (double)left[at];
        step[at] *= 2;
    }
    if (t->dtype != SCRT_F32)
        x = sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_F32)), x);
    return sc_op_at(b, slice,
                    SC_ATTRS(SC_TERMS(t->rank, zero), SC_TERMS(t->rank, t->dim),
                             {.kind = SC_A_NONE}, SC_INTS(t->rank, step)),
                    x);
}

/* Whether a factor is looked for at site k: one hangs on details of the numbers, which drawn
 * integers and inputs that we made up all do not tell. */
static bool has_factor(const ScGraph *g, const Sites *s, uint32_t k)
{
    bool ret = s->product[k] && !(sc_def(g, s->v[k])->op->flags & SC_BARRIER);
    for (uint32_t i = 0; i < g->n_in; i++)
        ret = ret && sc_type_is_float(sc_type_of(g, g->in[i]));
    return ret;
}

/* What both runs tell: the means of channels, and some elements of each site. */
static void add_confirmed(ScBuild *b, const ScGraph *g, ScVal *env)
{
    ScCtx *cx = b->cx;
    ScArena *a = sc_pass_scratch(env);
    const ScSummed *summed = sc_summed_values(g, a);
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        if (summed[v].n > 0)
            sc_output(b, sc_printf(sc_ctx_arena(cx), "probe.means.%u", v),
                      means(b, env[v], &summed[v]));
    Sites s = sites(g, a);
    uint32_t n_size;
    ScBinding *size = sc_nominal_sizes(g, &n_size);
    for (uint32_t i = 0; i < s.n; i++)
        if (has_factor(g, &s, i))
            sc_output(b, sc_printf(sc_ctx_arena(cx), "probe.some.%u", i),
                      some(b, env[s.v[i]], n_size, size));
    sc_buf_free(size);
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
    sc_buf_free(m.v);
    if (sc_probe_confirms(g))
        add_confirmed(&b, g, env);
    return sc_pass_end(&b, env);
}

/* --- Statistics ------------------------------------------------------------------------------ */

typedef struct Factor { /* see ScStat */
    double by, gain;
} Factor;

typedef struct Reading {
    const ScrtTensor *out;   /* what is not read yet, */
    const ScrtTensor *other; /* and of the other run; NULL: there was none */
    const ScMeans **means;   /* [n_value] of the graph itself */
    Factor *factor;          /* [n_value] by site: of the graph itself */
    bool sized;              /* sc_probe_knows_size */
    ScStat *stat;
    uint32_t n, cap;
} Reading;

/* The mean square and the largest magnitude of site k over the runs. Which inputs are nearer to
 * real ones nobody knows: of two mean squares the geometric mean, but where ramps are small. */
static void read_size(const Reading *r, uint32_t k, double *ret_square, double *ret_amax)
{
    double square = scrt_load(SCRT_F32, r->out[2 * k].data, 0);
    double amax = scrt_load(SCRT_F32, r->out[2 * k + 1].data, 0);
    if (r->other) {
        double other = scrt_load(SCRT_F32, r->other[2 * k].data, 0);
        if (square > 0 && other > 0)
            square = r->sized ? sqrt(square) * sqrt(other) : square;
        else
            square = fmax(square, other);
        amax = fmax(amax, scrt_load(SCRT_F32, r->other[2 * k + 1].data, 0));
    }
    *ret_square = square;
    *ret_amax = amax;
}

static void read_sites(Reading *r, ScCtx *cx, const ScLevel *l, ScArena *a)
{
    Sites s = sites(l->g, a);
    const char *const *label = sc_stat_labels(l->g, l->prefix, a);
    for (ScVal v = SC_FIRST; v < l->g->n_value; v++) {
        uint32_t k = s.of[v];
        if (k == 0)
            continue;
        double square, amax;
        read_size(r, k - 1, &square, &amax);
        ScStat stat = {
            .name = sc_intern(cx, label[v]), .rms = sqrt(square), .amax = amax, .n_finite = 1};
        if (l->first == 0) {
            stat.means = r->means[v];
            stat.factor = r->factor[k - 1].by;
            stat.gain = r->factor[k - 1].gain;
        }
        if (isfinite(square) && isfinite(amax)) /* overflow says nothing of the rest */
            sc_buf_push(r->stat, r->n, r->cap, stat);
    }
    r->out += 2 * s.n;
    if (r->other)
        r->other += 2 * s.n;
}

/* What both runs say of a mean: where the signs agree the geometric mean, else 0. */
static double agreed(double x, double y)
{
    return x * y <= 0 ? 0 : copysign(sqrt(fabs(x)) * sqrt(fabs(y)), x);
}

/* Means are of the size of the lesser run, or up to half as much again: by how much they are less
 * than both sizes' geometric mean. So a correction is rather too small than wrong where the mean
 * follows from the inputs' own. An input's own mean no drawn number tells. */
static double cautious(double size, double other)
{
    double more = sqrt(size > other ? size / other : other / size);
    return more > 1.5 ? 1.5 / more : 1;
}

/* Whether v's elements are those of an input of floats. */
static bool is_given(const ScGraph *g, ScVal v)
{
    while (sc_is_view(sc_def(g, v)))
        v = sc_def(g, v)->in[0];
    return sc_def(g, v)->op == &sc_op_input;
}

static void read_means(Reading *r, ScCtx *cx, const ScGraph *g, const ScrtTensor **out,
                       const ScrtTensor **other, ScArena *a)
{
    const ScSummed *s = sc_summed_values(g, a);
    Sites site = sites(g, a);
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        if (s[v].n == 0)
            continue;
        double *x = sc_array(a, double, (size_t)s[v].n), by = is_given(g, v) ? 0 : 1;
        if (by > 0 && site.of[v] > 0) {
            uint32_t k = 2 * (site.of[v] - 1);
            by = cautious(sqrt(scrt_load(SCRT_F32, r->out[k].data, 0)),
                          sqrt(scrt_load(SCRT_F32, r->other[k].data, 0)));
        }
        bool finite = true;
        for (int64_t c = 0; c < s[v].n; c++) {
            x[c] = by * agreed(scrt_load(SCRT_F32, (*out)->data, (size_t)c),
                               scrt_load(SCRT_F32, (*other)->data, (size_t)c));
            finite = finite && isfinite(x[c]);
        }
        r->means[v] = finite && by > 0 ? sc_means(cx, &s[v], x) : NULL;
        ++*out;
        ++*other;
    }
}

/* The power of some elements by their mantissa. */
static const float *powers(const ScrtTensor *t, ScArena *a)
{
    float *ret = sc_array(a, float, SC_MANTISSAS);
    int64_t n = scrt_count(t), step = n / SOME | 1; /* odd: extents are mostly even */
    for (int64_t i = 0; i < n; i += step)
        sc_mantissas_add(ret, scrt_load(SCRT_F32, t->data, (size_t)i));
    return ret;
}

static void read_factors(Reading *r, const ScGraph *g, const ScrtTensor *out,
                         const ScrtTensor *other, ScArena *a)
{
    Sites s = sites(g, a);
    ScFactors *f = sc_new(a, ScFactors);
    sc_factors_init(f, scrt_format(SCRT_F8E4M3FN)->man_bits);
    for (uint32_t i = 0; i < s.n; i++) {
        if (!has_factor(g, &s, i))
            continue;
        Factor *one = &r->factor[i];
        uint32_t k = sc_factor_best(f, powers(out++, a), powers(other++, a), &one->gain);
        one->by = sc_factor_at(k);
    }
}

const ScStats *sc_probe_stats(ScCtx *cx, const ScGraph *g, const ScrtTensor *out,
                              const ScrtTensor *ramp)
{
    Reading r = {.out = out, .other = ramp, .sized = sc_probe_knows_size(g)};
    ScArena *a = sc_arena_new();
    uint32_t n_level;
    const ScLevel *l = sc_levels(g, a, &n_level);
    r.means = sc_array(a, const ScMeans *, g->n_value);
    r.factor = sc_array(a, Factor, g->n_value);
    if (ramp && sc_probe_confirms(g)) {
        out += n_measured(g);
        ramp += n_measured(g);
        read_means(&r, cx, g, &out, &ramp, a);
        read_factors(&r, g, out, ramp, a);
    }
    for (uint32_t i = 0; i < n_level; i++)
        read_sites(&r, cx, &l[i], a);
    sc_arena_free(a);
    ScStat *kept = sc_array(sc_ctx_arena(cx), ScStat, r.n + 1);
    if (r.n)
        memcpy(kept, r.stat, r.n * sizeof *kept);
    sc_buf_free(r.stat);
    return sc_stats_of(cx, g, kept, r.n);
}
