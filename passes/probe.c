/* SPDX-License-Identifier: Apache-2.0 */
/* probe: what calibration measures on samples, measured on synthetic inputs instead. Estimates of
 * growth drift where weights are not what they assume; a run of the compiled graph on normal
 * numbers shows it, and one on ramps what does not hang on the inputs. Here the graph that
 * measures, and the statistics from its outputs; who compiles and runs it stands above this folder.
 *
 * Measured are the sites: values that a recipe may store, which are the operands of products, and
 * in a graph with f16 every value of f16. What lies between them follows by growth. Of what
 * constant weights sum the means of the channels are measured too.
 *
 * Of an `if` the branch that is not taken is run beside the other one: its products are as likely
 * those that real inputs meet.
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

/* What is measured of a graph: of each site, in their order, its mean square and its largest
 * magnitude, and of each value that constant weights sum the means of its channels; then the same
 * of those nested in it, node by node. What is nested gives them as results more: a loop those of
 * each turn, of which the mean and the largest are taken; a branch NaN for what is in the other
 * one. */
typedef struct Number {
    bool largest;
    int64_t channels; /* 0: one number */
} Number;

typedef struct Numbers {
    Number *each;
    uint32_t n, cap;
} Numbers;

typedef struct Probed {
    bool both;  /* branches are measured, whichever is taken */
    bool means; /* are */
} Probed;

typedef struct Measure {
    ScBuild *b;
    const Probed *what;
    ScVal *v; /* [n] as Numbers has them */
    uint32_t n, cap;
    uint32_t *n_symbol; /* the program's: each loop's turns have symbols of their own */
} Measure;

/* Of one graph, nested ones apart. */
static void add_numbers(Numbers *x, const ScGraph *g, const Probed *what, ScArena *a)
{
    for (uint32_t i = 0, n = sites(g, a).n; i < n; i++) {
        sc_buf_push(x->each, x->n, x->cap, ((Number){false, 0}));
        sc_buf_push(x->each, x->n, x->cap, ((Number){true, 0}));
    }
    const ScSummed *s = sc_summed_values(g, a);
    for (ScVal v = SC_FIRST; what->means && v < g->n_value; v++)
        if (s[v].n > 0)
            sc_buf_push(x->each, x->n, x->cap, ((Number){false, s[v].n}));
}

/* Of g and what is nested in it; freed with sc_buf_free. */
static Numbers numbers(const ScGraph *g, const Probed *what)
{
    Numbers x = {0};
    ScArena *a = sc_arena_new();
    uint32_t n_level;
    const ScLevel *l = sc_levels(g, a, &n_level);
    for (uint32_t i = 0; i < n_level; i++)
        add_numbers(&x, l[i].g, what, a);
    sc_arena_free(a);
    return x;
}

static void add(Measure *m, ScVal v)
{
    sc_buf_push(m->v, m->n, m->cap, v);
}

/* Along n axes from the first-th on. */
static ScVal reduced(ScBuild *b, const ScOp *op, ScVal x, uint32_t first, uint32_t n)
{
    int64_t axes[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < n; d++)
        axes[d] = first + d;
    return n > 0 ? sc_node1(b, op, SC_ATTRS(SC_INTS(n, axes), SC_INT(0)), 1, &x) : x;
}

static ScVal in_f32(ScBuild *b, ScVal x)
{
    bool is = sc_built(b, x)->type->dtype == SCRT_F32;
    return is ? x : sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_F32)), x);
}

static void measure(Measure *m, ScVal x)
{
    ScBuild *b = m->b;
    uint32_t rank = sc_built(b, x)->type->rank;
    x = in_f32(b, x);
    add(m, reduced(b, &sc_op_reduce_mean, sc_op(b, mul, x, x), 0, rank));
    add(m, reduced(b, &sc_op_reduce_max, sc_op(b, abs, x), 0, rank));
}

/* The mean of each channel: first along what lies together. As many as the weight has rows,
 * whatever the extent is called: what stands for it in another branch has as many. */
static ScVal means(ScBuild *b, ScVal x, const ScSummed *s)
{
    const ScTerm *n = sc_term(b->cx, s->n);
    uint32_t at = sc_built(b, x)->type->rank - 1 - s->behind;
    x = reduced(b, &sc_op_reduce_mean, in_f32(b, x), at + 1, s->behind);
    x = reduced(b, &sc_op_reduce_mean, x, 0, at);
    return sc_built(b, x)->type->dim[0] == n ? x
                                             : sc_op_at(b, reshape, SC_ATTRS(SC_TERMS(1, &n)), x);
}

/* What stands for n numbers that are not measured here. */
static void add_nan(Measure *m, const Number *each, uint32_t n)
{
    ScCtx *cx = m->b->cx;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t rank = each[i].channels > 0;
        size_t count = rank ? (size_t)each[i].channels : 1;
        float *x = sc_array(sc_ctx_arena(cx), float, count);
        for (size_t k = 0; k < count; k++)
            x[k] = NAN;
        const ScBlob *blob = sc_blob_folded(cx, SCRT_F32, rank, &each[i].channels, x);
        add(m, sc_const_shaped(m->b, blob, SCRT_F32, rank, &each[i].channels, NULL));
    }
}

static void copy_nodes(Measure *m, const ScGraph *g, ScVal *env);

/* g with what it measures as outputs behind its own: of the numbers all its are those from the
 * first-th up to past, the others those of other branches. */
static ScGraph *measured(Measure *outer, const ScGraph *g, const Numbers *all, uint32_t first,
                         uint32_t past)
{
    SC_PASS(outer->b->cx, g, b, env);
    Measure m = {.b = &b, .what = outer->what, .n_symbol = outer->n_symbol};
    add_nan(&m, all->each, first);
    copy_nodes(&m, g, env);
    add_nan(&m, all->each + past, all->n - past);
    ScGraph *ret = sc_pass_end_with(&b, env, m.n, m.v);
    sc_buf_free(m.v);
    return ret;
}

/* The attribute that names the extents of a loop's results, with that of the turns of each number
 * more. */
static ScAttr named_turns(Measure *m, const ScGraph *g, const ScNode *n, const Numbers *more,
                          ScArena *a)
{
    ScCtx *cx = m->b->cx;
    const ScAttr *was = sc_attr(n, 0);
    uint32_t n_was = 0, k = 0;
    for (uint32_t i = 0; i < n->n_out; i++)
        n_was += sc_type_of(g, n->first + i)->rank;
    const ScTerm **as = sc_array(a, const ScTerm *, n_was + 2 * (size_t)more->n);
    for (; k < n_was; k++)
        as[k] = was->kind == SC_A_NONE ? sc_term(cx, 0) : was->ts[k];
    for (uint32_t i = 0; i < more->n; i++) {
        as[k++] = sc_term_sym(cx, sc_printf(a, "probe.%u", (*m->n_symbol)++));
        if (more->each[i].channels > 0)
            as[k++] = sc_term(cx, 0);
    }
    return SC_TERMS(k, as);
}

/* n with nested graphs that measure; ret: its results, and the numbers behind them. */
static void build_control(Measure *m, const ScGraph *g, const ScNode *n, const Numbers *more,
                          const ScVal *in, ScVal *ret)
{
    ScArena *a = sc_arena_new();
    ScGraph **sub = sc_array(a, ScGraph *, n->op->n_sub);
    ScAttr *attr = sc_memdup(a, n->attr, n->op->n_attr * sizeof *attr);
    uint32_t first = 0;
    for (uint32_t k = 0; k < n->op->n_sub; k++) {
        Numbers own = numbers(n->sub[k], m->what);
        sub[k] = measured(m, n->sub[k], more, first, first + own.n);
        first += own.n;
        sc_buf_free(own.each);
    }
    if (n->op->control == SC_TURNS)
        attr[0] = named_turns(m, g, n, more, a);
    sc_node(m->b, n->op, attr, sub, n->n_in, in, n->n_out + more->n, ret);
    for (uint32_t i = 0; n->op->control == SC_TURNS && i < more->n; i++) {
        const ScOp *op = more->each[i].largest ? &sc_op_reduce_max : &sc_op_reduce_mean;
        ret[n->n_out + i] = reduced(m->b, op, ret[n->n_out + i], 0, 1);
    }
    sc_arena_free(a);
}

/* What both branches measure: of that which is not taken what it would. */
static void add_other_branch(Measure *m, const ScGraph *g, const ScNode *n, const Numbers *more,
                             const ScVal *in, ScVal *numbers, ScArena *a)
{
    ScBuild *b = m->b;
    ScVal *turned = sc_memdup(a, in, n->n_in * sizeof *in);
    ScVal *out = sc_array(a, ScVal, n->n_out + more->n);
    turned[0] = sc_op(b, not, in[0]);
    build_control(m, g, n, more, turned, out);
    for (uint32_t i = 0; i < more->n; i++)
        numbers[i] = sc_op(b, where, sc_op(b, isnan, numbers[i]), out[n->n_out + i], numbers[i]);
}

/* A node with nested graphs that measure. */
static void copy_control(Measure *m, const ScGraph *g, const ScNode *n, const Numbers *more,
                         const ScVal *in, ScVal *ret)
{
    ScArena *a = sc_arena_new();
    ScVal *out = sc_array(a, ScVal, n->n_out + more->n);
    build_control(m, g, n, more, in, out);
    for (uint32_t i = 0; i < n->n_out; i++) {
        ret[i] = out[i];
        sc_set_name(m->b, out[i], g->value[n->first + i].name);
    }
    if (n->op->control == SC_BRANCH && m->what->both)
        add_other_branch(m, g, n, more, in, out + n->n_out, a);
    for (uint32_t i = 0; i < more->n; i++)
        add(m, out[n->n_out + i]);
    sc_arena_free(a);
}

/* What is nested in n. */
static Numbers nested_numbers(const ScNode *n, const Probed *what)
{
    Numbers x = {0};
    for (uint32_t k = 0; n->op->control && k < n->op->n_sub; k++) {
        Numbers own = numbers(n->sub[k], what);
        for (uint32_t i = 0; i < own.n; i++)
            sc_buf_push(x.each, x.n, x.cap, own.each[i]);
        sc_buf_free(own.each);
    }
    return x;
}

static void copy_nodes(Measure *m, const ScGraph *g, ScVal *env)
{
    ScArena *a = sc_pass_scratch(env);
    Sites s = sites(g, a);
    const ScSummed *summed = sc_summed_values(g, a);
    Measure nested = {.b = m->b, .what = m->what, .n_symbol = m->n_symbol};
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->flags & SC_BARRIER)
            continue;
        m->b->at = n->loc;
        Numbers more = nested_numbers(n, m->what);
        if (more.n)
            copy_control(&nested, g, n, &more, sc_map(env, n), &env[n->first]);
        else
            sc_copy_node(m->b, g, n, sc_map(env, n), &env[n->first]);
        sc_buf_free(more.each);
    }
    for (uint32_t i = 0; i < s.n; i++) {
        m->b->at = sc_def(g, s.v[i])->loc;
        measure(m, env[s.v[i]]);
    }
    for (ScVal v = SC_FIRST; m->what->means && v < g->n_value; v++)
        if (summed[v].n > 0)
            add(m, means(m->b, env[v], &summed[v]));
    for (uint32_t i = 0; i < nested.n; i++)
        add(m, nested.v[i]);
    sc_buf_free(nested.v);
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
    return sc_op_at(b, slice,
                    SC_ATTRS(SC_TERMS(t->rank, zero), SC_TERMS(t->rank, t->dim),
                             {.kind = SC_A_NONE}, SC_INTS(t->rank, step)),
                    in_f32(b, x));
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

/* Of each site some elements. */
static void add_some(ScBuild *b, const ScGraph *g, ScVal *env)
{
    ScCtx *cx = b->cx;
    Sites s = sites(g, sc_pass_scratch(env));
    uint32_t n_size;
    ScBinding *size = sc_nominal_sizes(g, &n_size);
    for (uint32_t i = 0; i < s.n; i++)
        if (has_factor(g, &s, i))
            sc_output(b, sc_printf(sc_ctx_arena(cx), "probe.some.%u", i),
                      some(b, env[s.v[i]], n_size, size));
    sc_buf_free(size);
}

ScGraph *sc_probe_graph(ScCtx *cx, const ScGraph *g, bool both)
{
    uint32_t n_symbol = 0;
    Probed what = {.both = both, .means = sc_probe_confirms(g)};
    SC_PASS(cx, g, b, env);
    Measure m = {.b = &b, .what = &what, .n_symbol = &n_symbol};
    copy_nodes(&m, g, env);
    for (uint32_t i = 0; i < m.n; i++)
        sc_output(&b, sc_printf(sc_ctx_arena(cx), "probe.%u", i), m.v[i]);
    sc_buf_free(m.v);
    if (what.means)
        add_some(&b, g, env);
    return sc_pass_end(&b, env);
}

/* --- Statistics ------------------------------------------------------------------------------ */

typedef struct Factor { /* see ScStat */
    double by, gain;
} Factor;

typedef struct Reading {
    const ScrtTensor *out;   /* what is not read yet, */
    const ScrtTensor *other; /* and of the other run; NULL: there was none */
    bool means;              /* are measured */
    Factor *factor;          /* [n_value] by site: of the graph itself */
    ScStat *stat;
    uint32_t n, cap;
} Reading;

/* The mean square and the largest magnitude of site k over the runs. Which inputs are nearer to
 * real ones nobody knows: of two mean squares the geometric mean. */
static void read_size(const Reading *r, uint32_t k, double *ret_square, double *ret_amax)
{
    double square = scrt_load(SCRT_F32, r->out[2 * k].data, 0);
    double amax = scrt_load(SCRT_F32, r->out[2 * k + 1].data, 0);
    if (r->other) {
        double other = scrt_load(SCRT_F32, r->other[2 * k].data, 0);
        square = square > 0 && other > 0 ? sqrt(square) * sqrt(other) : fmax(square, other);
        amax = fmax(amax, scrt_load(SCRT_F32, r->other[2 * k + 1].data, 0));
    }
    *ret_square = square;
    *ret_amax = amax;
}

/* What both runs say of a mean: where the signs agree the geometric mean, else 0. */
static double agreed(double x, double y)
{
    return x * y <= 0 ? 0 : copysign(sqrt(fabs(x)) * sqrt(fabs(y)), x);
}

/* Means are of the size of the lesser run, or up to half as much again: by how much they are less
 * than both sizes' geometric mean. So a correction is rather too small than wrong where the mean
 * follows from the inputs' own. */
static double cautious(double size, double other)
{
    double more = sqrt(size > other ? size / other : other / size);
    return more > 1.5 ? 1.5 / more : 1;
}

/* The means of the channels of v, whose site is k (1 + its number, 0: none), from number `at` of
 * its graph's. */
static const ScMeans *read_means(const Reading *r, ScCtx *cx, const ScSummed *s, uint32_t k,
                                 uint32_t at, ScArena *a)
{
    double *x = sc_array(a, double, (size_t)s->n), by = 1;
    if (k > 0)
        by = cautious(sqrt(scrt_load(SCRT_F32, r->out[2 * (k - 1)].data, 0)),
                      sqrt(scrt_load(SCRT_F32, r->other[2 * (k - 1)].data, 0)));
    bool finite = true;
    for (int64_t c = 0; c < s->n; c++) {
        x[c] = by * agreed(scrt_load(SCRT_F32, r->out[at].data, (size_t)c),
                           scrt_load(SCRT_F32, r->other[at].data, (size_t)c));
        finite = finite && isfinite(x[c]);
    }
    return finite ? sc_means(cx, s, x) : NULL;
}

static void read_level(Reading *r, ScCtx *cx, const ScLevel *l, ScArena *a)
{
    Sites s = sites(l->g, a);
    const ScSummed *summed = sc_summed_values(l->g, a);
    const char *const *label = sc_stat_labels(l->g, l->prefix, a);
    uint32_t at = 2 * s.n;
    for (ScVal v = SC_FIRST; v < l->g->n_value; v++) {
        uint32_t k = s.of[v];
        bool has_means = r->means && summed[v].n > 0;
        if (k > 0) {
            double square, amax;
            read_size(r, k - 1, &square, &amax);
            ScStat stat = {
                .name = sc_intern(cx, label[v]), .rms = sqrt(square), .amax = amax, .n_finite = 1};
            if (has_means && r->other)
                stat.means = read_means(r, cx, &summed[v], k, at, a);
            if (l->first == 0) {
                stat.factor = r->factor[k - 1].by;
                stat.gain = r->factor[k - 1].gain;
            }
            if (isfinite(square) && isfinite(amax)) /* overflow says nothing of the rest */
                sc_buf_push(r->stat, r->n, r->cap, stat);
        }
        at += has_means;
    }
    r->out += at;
    if (r->other)
        r->other += at;
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
    Reading r = {.out = out, .other = ramp, .means = sc_probe_confirms(g)};
    ScArena *a = sc_arena_new();
    uint32_t n_level;
    const ScLevel *l = sc_levels(g, a, &n_level);
    r.factor = sc_array(a, Factor, g->n_value);
    if (ramp && r.means) {
        Numbers all = numbers(g, &(Probed){.means = true});
        read_factors(&r, g, out + all.n, ramp + all.n, a);
        sc_buf_free(all.each);
    }
    for (uint32_t i = 0; i < n_level; i++)
        read_level(&r, cx, &l[i], a);
    sc_arena_free(a);
    ScStat *kept = sc_array(sc_ctx_arena(cx), ScStat, r.n + 1);
    if (r.n)
        memcpy(kept, r.stat, r.n * sizeof *kept);
    sc_buf_free(r.stat);
    return sc_stats_of(cx, g, kept, r.n);
}
