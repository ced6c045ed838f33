/* SPDX-License-Identifier: Apache-2.0 */
/* scalify: gives every float value an exponent, so that it stands for data * 2^exp and its data has
 * an RMS of about 1. The graph computes what it computed before, bit for bit, while nothing under-
 * or overflows. For each node: rewrite it by its scale signature (rewrite.c), estimate the RMS of
 * its results (growth.c), and once an estimate is more than half a bit off, move whole bits between
 * data and exponent by a `rebalance`.
 *
 * Inputs, outputs and states stay at exponent 0, so that callers and saved files see the model's
 * own numbers; what enters and leaves nested graphs has the exponent that it has around them. What
 * the model itself stores in 8 bits or fewer stays in its own numbers too. Recipe `round = down`
 * follows the paper instead of growth: a sum of n terms moves floor(floor(log2 n) / 2) bits,
 * nothing else moves. Source of the idea: arXiv 2407.17353. */
#include "passes/scale_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_GAIN 0.2 /* dB: below, a factor is not worth its multiplication */
#define ROUNDS     4   /* in which the estimate of what a loop carries is found; see Doorway */

/* Exponents that a run finds, over the graph and all that are nested in it. */
typedef struct Found {
    ScArena *a;
    ScSymbols taken; /* symbols of the graphs */
    ScSymbols new;   /* those of them that were found here */
    uint32_t n;
    ScRecipeUse *use; /* of what it rescales: some node of such a name is measured */
} Found;

typedef struct Pass {
    ScScaler s;
    const ScPassEnv *env;
    Found *found;
    const ScSource *source; /* [n_value] see sc_rescale_points */
    bool *has_own; /* [n_value] an exponent was found for it, or for what it is a view of */
    const char *const *label; /* [n_value] names in the statistics; NULL where none are asked for */
    bool down;
    uint32_t n_symbol;          /* of --scaled-io */
    const char *prefix;         /* of names in the statistics: see sc_stat_labels */
    uint32_t n_nested;          /* nested graphs so far */
    const struct Doorway *door; /* of a nested graph; NULL: of the whole */
} Pass;

/* What a nested graph is entered and left with. Exponents of no float are NULL. */
typedef struct Doorway {
    const ScTerm **in;  /* [n_in] */
    int32_t *g;         /* [n_in] the estimates of what enters */
    const ScTerm **out; /* [n_out] NULL: its own where that is a number, else 0 */
    uint32_t rounds;    /* of loops in it; of those in a trial, and in trials in that, 1 and 0, for
                         * else their number is multiplied with each level */
} Doorway;

static int by_name(const void *name, const void *stat)
{
    return strcmp(name, ((const ScStat *)stat)->name);
}

static const ScStat *find_stat(const Pass *p, ScVal v)
{
    const ScStats *st = p->env->scales == SC_SCALES_PROPAGATE ? NULL : p->env->stats;
    if (!st || st->n == 0 || p->s.fact[v].masked || p->s.fact[v].any == SC_ANY_VALUE)
        return NULL;
    const ScStat *s = bsearch(p->label[v], st->stat, st->n, sizeof *st->stat, by_name);
    return s && s->n_finite > 0 ? s : NULL;
}

static bool is_symbol_of(const ScGraph *g, const char *name)
{
    for (uint32_t i = 0; i < g->n_in; i++) {
        const ScType *t = sc_type_of(g, g->in[i]);
        for (uint32_t d = 0; d < t->rank; d++)
            if (t->dim[d]->kind == SC_T_SYM && strcmp(t->dim[d]->sym, name) == 0)
                return true;
    }
    return false;
}

/* p, q, r, ... z, then e11, e12, ...: names that no extent of an input has. */
static const ScTerm *fresh_symbol(Pass *p)
{
    char name[16];
    do {
        uint32_t i = p->n_symbol++;
        if (i < 11)
            snprintf(name, sizeof name, "%c", (char)('p' + i));
        else
            snprintf(name, sizeof name, "e%u", i);
    } while (is_symbol_of(p->s.g, name));
    return sc_term_sym(p->s.b.cx, name);
}

static uint32_t input_index(const ScGraph *g, ScVal v)
{
    uint32_t i = 0;
    while (i < g->n_in && g->in[i] != v)
        i++;
    return i;
}

static const ScTerm *source_exp(ScScaler *s, ScVal v, void *arg)
{
    Pass *p = arg;
    if (!sc_type_is_float(sc_type_of(s->g, v)))
        return NULL;
    uint32_t i = input_index(s->g, v);
    if (p->door)
        return p->door->in[i];
    return i < s->g->n_in && p->env->scaled_io ? fresh_symbol(p) : sc_term(s->b.cx, 0);
}

/* The scaler is a Pass's. */
static const ScTerm *out_exp(ScScaler *s, uint32_t i)
{
    const Pass *p = (const Pass *)s;
    if (!p->door)
        return p->env->scaled_io ? NULL : sc_term(s->b.cx, 0);
    if (p->door->out[i])
        return p->door->out[i];
    bool symbolic;
    int e = sc_scale_const_exp(sc_scale_exp(s, s->env[s->g->out[i]]), &symbolic);
    return sc_term(s->b.cx, symbolic ? 0 : e);
}

/* The exponent of a constant: floor(log2 RMS), so that its data has RMS 1 to 2, but no element may
 * become subnormal or infinite. `any` constants and those without data stay at 0. */
static int64_t constant_exp(const ScFact *f, ScrtDtype dtype, int32_t *ret_g)
{
    *ret_g = f->any == SC_ANY_VALUE ? SC_NO_G : 0;
    const ScrtFormat *fmt = scrt_format(dtype);
    if (!f->c || f->any == SC_ANY_VALUE)
        return 0;
    int e, least, most, normal;
    frexp(f->c->rms, &e);
    frexp(f->c->amin, &least);
    frexp(f->c->amax, &most);
    frexp(fmt->min_normal, &normal);
    e--;
    if (scrt_dtype_is_low(dtype))
        e = 0;
    else if (e > least - normal)
        e = least - normal;
    if (ldexp(f->c->amax, -e) > fmt->max)
        e = 0;
    *ret_g = sc_log2_256(f->c->rms) - 256 * e;
    return e;
}

static void constant(Pass *p, const ScNode *n)
{
    ScScaler *s = &p->s;
    const ScType *t = sc_type_of(s->g, n->first);
    int32_t g = SC_NO_G;
    const ScTerm *e = NULL;
    if (sc_type_is_float(t))
        e = sc_term(s->b.cx, constant_exp(&s->fact[n->first], t->dtype, &g));
    s->env[n->first] = sc_scale_const(s, n, t->dtype, e);
    sc_set_g(&s->b, s->env[n->first], g);
}

/* --- Exponents that a run finds --------------------------------------------------------------- */

static void take(void *arg, const char *sym)
{
    Found *f = arg;
    sc_symbols_add(&f->taken, f->a, sym, 0);
}

static void take_bound(void *arg, const char *sym, uint32_t node)
{
    (void)node;
    take(arg, sym);
}

static void take_symbols(Found *f, const ScGraph *g)
{
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        sc_node_binders(g, i, take_bound, f);
        sc_node_symbols(g, n, take, f);
        for (uint32_t k = 0; k < n->op->n_sub; k++)
            take_symbols(f, n->sub[k]);
    }
}

static const ScTerm *new_exponent(Pass *p)
{
    Found *f = p->found;
    ScCtx *cx = p->s.b.cx;
    const ScTerm *t;
    do
        t = sc_term_sym(cx, sc_intern(cx, sc_printf(p->s.scratch, "e.%u", f->n++)));
    while (!sc_symbols_add(&f->taken, f->a, t->sym, 0));
    sc_symbols_add(&f->new, f->a, t->sym, 0);
    return t;
}

/* The new value of v at the exponent that a run finds, where that is asked for and v is no view of
 * what has one already. */
static void rescale(Pass *p, ScVal v, const ScStat *st)
{
    ScScaler *s = &p->s;
    ScVal *now = &s->env[v];
    ScSource source = p->source[v];
    const ScTerm *e = sc_scale_exp(s, *now);
    const ScNode *n = sc_def(s->g, v);
    bool view = n->n_in > 0 && n->op->flags & SC_VIEW_OP && p->has_own[n->in[0]] &&
                e == sc_scale_exp(s, s->env[n->in[0]]);
    p->has_own[v] = view || source > SC_STATIC;
    if (view || source <= SC_STATIC)
        return;
    if (source == SC_DELAYED && p->door) {
        const char *name = s->b.at->n ? s->b.at->origin[0].name : NULL;
        sc_fail(
            s->b.cx, s->b.at, SC_E_RECIPE,
            "%s: delayed scales are kept in states, which a nested graph has none of; layers that "
            "read it may have scales=dynamic",
            name ? name : "a node");
        return;
    }
    int64_t known = st && st->amax > 0 ? sc_fit_exp(st->amax, 14) : sc_scale_const_exp(e, NULL);
    const ScTerm *sym = new_exponent(p);
    if (source == SC_DELAYED)
        *now = sc_rescaled_by_history(
            s, *now, sym, known, sc_intern(s->b.cx, sc_printf(s->scratch, "amax.%s", p->label[v])),
            p->env->recipe);
    else
        *now = sc_rescaled(s, *now, sym, known);
}

/* --- Values ----------------------------------------------------------------------------------- */

/* Settles the new value of v: annotates it with its estimate g, replaced by what was measured, and
 * moves the bits that it is off, and those of symbolic extents. */
static void settle(Pass *p, ScVal v, int32_t g, const ScTerm *shift)
{
    ScScaler *s = &p->s;
    const ScFact *f = &s->fact[v];
    const ScStat *st = find_stat(p, v);
    const ScTerm *e = sc_scale_exp(s, s->env[v]);
    bool symbolic;
    int at = sc_scale_const_exp(e, &symbolic);
    if (f->any == SC_ANY_VALUE || p->down)
        g = SC_NO_G;
    if (st && st->rms > 0 && !symbolic) {
        g = sc_log2_256(st->rms) - 256 * at;
        shift = NULL; /* what the extents do was measured, too */
    } else if (g != SC_NO_G && !symbolic && !shift && f->top != SC_NO_TOP &&
               g + 256 * at > f->top) {
        g = f->top - 256 * at; /* an estimate above what can be proven has drifted */
    }
    sc_set_g(&s->b, s->env[v], g);
    if (st)
        sc_set_amax(&s->b, s->env[v], (float)st->amax);
    if (st && st->gain >= LEAST_GAIN)
        sc_set_factor(&s->b, s->env[v], (float)st->factor);
    if (st && !p->down && !(p->env->recipe && p->env->recipe->keep_bias))
        sc_set_means(&s->b, s->env[v], st->means);
    if (f->wants0 || f->any == SC_ANY_VALUE || scrt_dtype_is_low(sc_type_of(s->g, v)->dtype))
        return;
    int64_t k = sc_growth_bits(g);
    if (p->down) /* floor for what was measured, and no estimate */
        k = st && g != SC_NO_G ? (g >= 0 ? g / 256 : -((-g + 255) / 256)) : 0;
    const ScTerm *to = sc_term_addc(s->b.cx, e, k);
    if (shift)
        to = sc_term_add(s->b.cx, to, shift);
    s->env[v] = sc_scale_move(s, s->env[v], to, false);
    if (g != SC_NO_G)
        sc_set_g(&s->b, s->env[v], g - 256 * (int32_t)k); /* a symbolic shift leaves g */
    rescale(p, v, st);
}

static void node(Pass *p, const ScNode *n)
{
    ScScaler *s = &p->s;
    ScVal *in = sc_array(s->scratch, ScVal, n->n_in + 1);
    ScVal *data = sc_array(s->scratch, ScVal, n->n_in + 1);
    int32_t *g = sc_array(s->scratch, int32_t, n->n_out + 1);
    const ScTerm **shift = sc_array(s->scratch, const ScTerm *, n->n_out + 1);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = s->env[n->in[i]];
    sc_scale_node(s, n, in, data, &s->env[n->first]);
    sc_growth(s, n, data, g, shift);
    if (sc_bias(n) >= 0 && g[0] != SC_NO_G) /* that of a bias behind it is another */
        g[0] -= 256 * sc_scale_const_exp(sc_term_sub(s->b.cx, sc_scale_exp(s, s->env[n->first]),
                                                     sc_scale_exp(s, data[sc_bias(n)])),
                                         NULL);
    for (uint32_t i = 0; i < n->n_out; i++) {
        ScVal v = n->first + i;
        if (!sc_type_is_float(sc_type_of(s->g, v)) || s->env[v] == SC_POISON)
            continue;
        settle(p, v, g[i], p->down ? (i == 0 ? sc_growth_down(s->g, n) : NULL) : shift[i]);
    }
}

/* The estimate for an input or a state: RMS 1, what is known outside, or what was measured. */
static void source(Pass *p, const ScNode *n)
{
    ScVal v = n->first;
    if (sc_type_is_float(sc_type_of(p->s.g, v)))
        settle(p, v, p->door ? p->door->g[input_index(p->s.g, v)] : 0, NULL);
}

/* --- Nested graphs --------------------------------------------------------------------------- */

static ScGraph *scalified(ScCtx *cx, const ScGraph *g, const ScPassEnv *env, Found *found,
                          const char *prefix, const Doorway *door);

/* What enters keeps its exponent. */
static Doorway doorway(Pass *p, const ScNode *n, const ScGraph *sub)
{
    ScScaler *s = &p->s;
    const uint32_t operand = n->op->enter.operand, input = n->op->enter.input;
    Doorway d = {.in = sc_array(s->scratch, const ScTerm *, sub->n_in + 1),
                 .g = sc_array(s->scratch, int32_t, sub->n_in + 1),
                 .out = sc_array(s->scratch, const ScTerm *, sub->n_out + 1),
                 .rounds = p->door ? p->door->rounds : ROUNDS};
    for (uint32_t i = operand; i < n->n_in; i++) {
        const ScValue *v = sc_built(&s->b, s->env[n->in[i]]);
        d.in[i - operand + input] = v->exp;
        d.g[i - operand + input] = v->g;
    }
    for (uint32_t i = 0; i < sc_carried(n); i++) /* as it began, so that turns are alike */
        d.out[sub->n_out - n->n_out + i] = d.in[input + i];
    return d;
}

/* What is carried is in every turn but the first what the turn before left. So its estimate is what
 * the body makes of it, which is asked again with that: sums that go on growing end after a few
 * rounds. False with errors. */
static bool estimate_carried(Pass *p, const ScNode *n, const char *prefix, Doorway *door)
{
    const ScGraph *body = n->sub[0];
    const ScPassEnv env = {.scales = SC_SCALES_PROPAGATE}; /* nothing is measured by a trial */
    const uint32_t skip = body->n_out - n->n_out, input = n->op->enter.input;
    const uint32_t rounds = door->rounds;
    bool moved = sc_carried(n) > 0 && p->env->scales == SC_SCALES_PROPAGATE && !p->down;
    for (uint32_t round = 0; moved && round < rounds; round++) {
        door->rounds = rounds > 1;
        ScGraph *trial = scalified(p->s.b.cx, body, &env, p->found, prefix, door);
        if (!trial)
            return false;
        moved = false;
        for (uint32_t i = 0; i < sc_carried(n); i++) {
            int32_t g = trial->value[trial->out[skip + i]].g, *known = &door->g[input + i];
            if (!door->in[input + i] || g == SC_NO_G)
                continue;
            moved = moved || *known == SC_NO_G || abs(g - *known) > 256 / 4;
            *known = g;
        }
        sc_graph_free(trial);
    }
    door->rounds = rounds;
    return true;
}

/* A node with nested graphs: what leaves a branch has the first one's exponents. */
static void control(Pass *p, const ScNode *n)
{
    ScScaler *s = &p->s;
    ScGraph **sub = sc_array(s->scratch, ScGraph *, n->op->n_sub);
    int32_t *g = sc_array(s->scratch, int32_t, n->n_out + 1);
    const ScTerm **e = sc_array(s->scratch, const ScTerm *, n->n_out + 1);
    ScVal *in = sc_array(s->scratch, ScVal, n->n_in + 1);
    bool ok = true;
    for (uint32_t i = 0; i < n->n_in; i++) {
        in[i] = s->env[n->in[i]];
        ok = ok && in[i] != SC_POISON;
    }
    for (uint32_t i = 0; i < n->n_out; i++)
        g[i] = SC_NO_G;
    for (uint32_t k = 0; ok && k < n->op->n_sub; k++) {
        uint32_t skip = n->sub[k]->n_out - n->n_out;
        Doorway door = doorway(p, n, n->sub[k]);
        for (uint32_t i = 0; k > 0 && i < n->n_out; i++)
            door.out[skip + i] = e[i];
        const char *prefix = sc_nested_prefix(p->prefix, p->n_nested++, s->scratch);
        ok = estimate_carried(p, n, prefix, &door) &&
             (sub[k] = scalified(s->b.cx, n->sub[k], p->env, p->found, prefix, &door)) != NULL;
        for (uint32_t i = 0; ok && i < n->n_out; i++) {
            const ScValue *v = &sub[k]->value[sub[k]->out[skip + i]];
            e[i] = v->exp;
            g[i] = g[i] == SC_NO_G || v->g > g[i] ? v->g : g[i];
        }
    }
    sc_scale_build(s, n, sub, in, &s->env[n->first]);
    for (uint32_t i = 0; i < n->n_out; i++) {
        if (!e[i] || s->env[n->first + i] == SC_POISON)
            continue;
        sc_set_exp(&s->b, s->env[n->first + i], e[i]);
        settle(p, n->first + i, g[i], NULL);
    }
}

static bool check_stats(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    if (env->scales == SC_SCALES_PROPAGATE)
        return true;
    if (!env->stats)
        return sc_fail(cx, NULL, SC_E_CALIBRATION, "no statistics were given");
    if (env->stats->graph != sc_graph_hash(g))
        return sc_fail(cx, NULL, SC_E_CALIBRATION,
                       "the statistics were measured on another graph than this one");
    return true;
}

static bool any_delayed(const ScGraph *g, const ScSource *source)
{
    bool any = false;
    for (ScVal v = 0; v < g->n_value; v++)
        any = any || source[v] == SC_DELAYED;
    return any;
}

static ScGraph *scalified(ScCtx *cx, const ScGraph *g, const ScPassEnv *env, Found *found,
                          const char *prefix, const Doorway *door)
{
    Pass p = {.env = env,
              .found = found,
              .down = env->recipe && env->recipe->round_down,
              .prefix = prefix,
              .door = door};
    p.s.low_at_0 = true;
    p.s.measured = &found->new;
    sc_scaler_begin(&p.s, cx, g, source_exp, &p);
    p.has_own = sc_array(p.s.scratch, bool, g->n_value);
    p.source = sc_rescale_points(g, p.s.fact, env, p.s.scratch, found->use->rescale);
    if (env->scales != SC_SCALES_PROPAGATE || any_delayed(g, p.source))
        p.label = sc_stat_labels(g, prefix, p.s.scratch);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        p.s.b.at = n->loc;
        if (n->op->flags & SC_BARRIER)
            source(&p, n);
        else if (n->op->flags & SC_CONST_OP)
            constant(&p, n);
        else if (n->op->control)
            control(&p, n);
        else
            node(&p, n);
    }
    return sc_scaler_end(&p.s, out_exp, g->flags | SC_G_SCALED);
}

ScGraph *sc_pass_scalify(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    if (g->flags & SC_G_SCALED) {
        sc_fail(cx, NULL, SC_E_SCALED, "scalify");
        return NULL;
    }
    if (!check_stats(cx, g, env))
        return NULL;
    ScRecipeUse own = {0};
    if (!env->use && env->recipe)
        sc_recipe_use_begin(env->recipe, &own);
    Found found = {.a = sc_arena_new(), .use = env->use ? env->use : &own};
    found.use->scaled = true;
    take_symbols(&found, g);
    ScGraph *ret = scalified(cx, g, env, &found, "", NULL);
    if (env->recipe)
        sc_recipe_use_end(cx, env->recipe, &own);
    sc_arena_free(found.a);
    return ret;
}
