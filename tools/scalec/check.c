/* SPDX-License-Identifier: Apache-2.0 */
/* scalec check: the low-precision graph beside the f32 one on samples. Of each storage site: the
 * rounding there alone, the error that has piled up, and what the outputs gain where this site
 * alone stays in f32, by which they are ranked; of all tensors, what they look like. */
#include "tools/scalec/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET 60 /* seconds for what looks at tensors, and for the runs that measure gains */
#define WIDEST 64 /* columns of a name */

typedef struct Line { /* of the table */
    const ScReport *r;
    const ScalecGain *gain; /* NULL: no storage site */
} Line;

/* The graph as quantize and settle left it, and the graph that scalify received. */
typedef struct Check {
    ScGraph *low, *plain;
    uint32_t n, n_sample, n_site, n_measured;
    uint32_t n_seen;        /* samples on which tensors were looked at, the first ones */
    const ScalecGain *gain; /* [n_site] the largest first */
    ScalecSuggest suggest;
    Line *line;      /* [n] sites by gain, then the rest in graph order */
    uint32_t *depth; /* [low->n_value] the longest way from an input, in nodes; 0: a constant's */
} Check;

static bool build_pair(Cli *cli, ScalecModel *m, Check *ret)
{
    cli->opt.until = "settle";
    ret->plain = scalec_raised(cli->cx, m, &cli->opt);
    ret->low = ret->plain ? scalec_rewrite(cli->cx, m, &cli->opt) : NULL;
    return ret->low != NULL;
}

static const ScReport *measure(Cli *cli, Check *c, ScalecSamples *s, double seconds)
{
    ScDamage *d = sc_damage_begin(cli->cx, c->low, c->plain);
    bool ok = cli_add_samples(cli, s, seconds, d, &c->n_seen);
    const ScReport *r = sc_damage_end(d, &c->n);
    return ok ? r : NULL;
}

/* Of outputs the SQNR is that of the compiled program on all samples, where it could be run. */
static const ScReport *with_outputs(Cli *cli, const Check *c, const ScReport *r, const double *sqnr)
{
    ScReport *ret = sc_memdup(sc_ctx_arena(cli->cx), r, (c->n + 1) * sizeof *ret);
    for (uint32_t i = 0; i < c->low->n_out; i++)
        for (uint32_t k = 0; k < c->n && !isnan(sqnr[i]); k++)
            if (ret[k].v == c->low->out[i])
                ret[k].sqnr = sqnr[i];
    return ret;
}

/* Lines of sites come first; no sample has met one that is in a branch that none took. */
static void rank(Cli *cli, Check *c, const ScReport *r)
{
    bool *site = sc_array(sc_ctx_arena(cli->cx), bool, sc_count_values(c->low));
    uint32_t at = 0;
    c->line = sc_array(sc_ctx_arena(cli->cx), Line, c->n + 1);
    for (uint32_t i = 0; i < c->n_site; i++) {
        for (uint32_t k = 0; k < c->n && !site[c->gain[i].v]; k++)
            if (r[k].v == c->gain[i].v) {
                c->line[at++] = (Line){&r[k], &c->gain[i]};
                site[c->gain[i].v] = true;
            }
        c->n_measured += c->gain[i].measured;
    }
    for (uint32_t k = 0; k < c->n; k++)
        if (!site[r[k].v])
            c->line[at++] = (Line){&r[k], NULL};
}

static const char *exponent_text(const ScReport *r, ScStr *s)
{
    if (r->exp)
        sc_term_print(r->exp, s);
    return r->exp ? sc_str_get(s) : "-";
}

static bool is_output(const ScGraph *g, ScVal v)
{
    for (uint32_t i = 0; i < g->n_out; i++)
        if (g->out[i] == v)
            return true;
    return false;
}

static const char *decibels(double x, char text[32])
{
    snprintf(text, 32, isnan(x) ? "-" : "%.1f", x);
    return text;
}

/* The end of a name that is wider than the column tells it from others; --json has all of it. */
static const char *fitting(const char *name, int width, char text[WIDEST + 1])
{
    size_t n = strlen(name);
    if (n <= (size_t)width)
        return name;
    snprintf(text, WIDEST + 1, "...%s", name + n - (size_t)width + 3);
    return text;
}

static void print_line(const Line *l, int width)
{
    ScStr e = {0};
    char name[WIDEST + 1], rounding[32], sqnr[32], gain[32] = "-", expected[32] = "-", together[32],
                                                   factor[32];
    const ScReport *r = l->r;
    if (l->gain)
        snprintf(gain, sizeof gain, "%s%.2f", l->gain->measured ? "" : "~", l->gain->gain);
    if (r->g != SC_NO_G)
        snprintf(expected, sizeof expected, "%.2f", r->g / 256.0);
    decibels(l->gain ? l->gain->together : (double)NAN, together);
    printf("%-*s %-9s %5s %8s %8.2f %9.4g %7.2f %7.2f %8s %6s %8s %8s %8s%s\n", width,
           fitting(r->name, width, name), scrt_dtype_name(r->type->dtype), exponent_text(r, &e),
           expected, log2(r->rms), r->amax, 100 * r->underflow, 100 * r->saturated,
           decibels(r->rounding, rounding), decibels(r->factor, factor), decibels(r->sqnr, sqnr),
           gain, together, r->outside ? "  outside its format's range" : "");
    sc_str_free(&e);
}

static int by_place(const void *a, const void *b)
{
    ScVal x = ((const Line *)a)->r->v, y = ((const Line *)b)->r->v;
    return x < y ? -1 : x > y;
}

static bool as_the_graph_goes(const Cli *cli)
{
    return cli->order && !strcmp(cli->order, "graph");
}

static void print_table(const Cli *cli, const Check *c)
{
    uint32_t shown = cli->top && cli->top < c->n ? cli->top : c->n;
    Line *line = sc_memdup(sc_ctx_arena(cli->cx), c->line, (c->n + 1) * sizeof *line);
    bool ranked = !as_the_graph_goes(cli);
    if (!ranked)
        qsort(line, shown, sizeof *line, by_place);
    uint32_t corrected = sc_count_corrected(c->low);
    char seen[64] = "";
    if (c->n_seen < c->n_sample)
        snprintf(seen, sizeof seen, ", tensors on the first %u, outputs on all", c->n_seen);
    printf("%s, recipe %s, %u sample%s%s\n"
           "%u storage sites%s what the outputs gain where one alone stays in f32: %u measured%s\n"
           "%s what they gain together with those %s\n"
           "%u bias%s back what rounded weights add on average\n\n",
           cli->args.item[0], cli->opt.recipe, c->n_sample, c->n_sample == 1 ? "" : "s", seen,
           c->n_site, ranked ? " first, by" : ":", c->n_measured,
           c->n_measured < c->n_site ? ", the rest (~) estimated" : "",
           ranked ? "the first of them by" : "of some,",
           ranked ? "above" : "that gain most before them", corrected,
           corrected == 1 ? " takes" : "es take");
    int width = (int)strlen("tensor");
    for (uint32_t i = 0; i < shown; i++)
        width = (int)strlen(line[i].r->name) > width ? (int)strlen(line[i].r->name) : width;
    width = width > WIDEST ? WIDEST : width;
    printf("%-*s %-9s %5s %8s %8s %9s %7s %7s %8s %6s %8s %8s %8s\n", width, "tensor", "type",
           "exp", "expected", "log2 RMS", "amax", "under %", "satur %", "rounding", "factor",
           "SQNR dB", "gain dB", "together");
    for (uint32_t i = 0; i < shown; i++)
        print_line(&line[i], width);
    putchar('\n');
    for (uint32_t i = 0; i < c->n; i++)
        if (is_output(c->low, c->line[i].r->v))
            printf("output %s: SQNR %.1f dB\n", c->line[i].r->name, c->line[i].r->sqnr);
}

/* JSON has no infinities; null stands for a number that is none. */
json_t *cli_json_real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* Of a level's values, from those of the level around it: what is nested begins as deep as what its
 * node reads. */
static void level_depths(const ScLevel *all, const ScLevel *l, uint32_t *depth)
{
    const ScNode *around = &all[l->outer].g->node[l->node];
    uint32_t *own = depth + l->first;
    uint32_t given = l == all ? 0 : depth[all[l->outer].first + around->first] - 1;
    for (uint32_t i = 0; i < l->g->n_node; i++) {
        const ScNode *n = &l->g->node[i];
        uint32_t most = n->op->flags & SC_BARRIER ? given : 0;
        for (uint32_t k = 0; k < n->n_in; k++)
            most = n->in[k] >= SC_FIRST && own[n->in[k]] > most ? own[n->in[k]] : most;
        for (uint32_t k = 0; k < n->n_out && !(n->op->flags & SC_CONST_OP); k++)
            own[n->first + k] = most + 1;
    }
}

/* [sc_count_values] */
static uint32_t *depths(Cli *cli, const ScGraph *g)
{
    ScArena *a = sc_ctx_arena(cli->cx);
    uint32_t n, *depth = sc_array(a, uint32_t, sc_count_values(g));
    const ScLevel *l = sc_levels(g, a, &n);
    for (uint32_t i = 0; i < n; i++)
        level_depths(l, &l[i], depth);
    return depth;
}

/* How many of the numbers that are stored lie in each octave, and where the format has its least
 * number, its least normal one and its largest. */
static json_t *octaves_json(const ScReport *r)
{
    const ScrtFormat *f = scrt_format(r->type->dtype);
    json_t *count = json_array();
    for (uint32_t i = 0; i < r->n_octave; i++)
        json_array_append_new(count, json_integer((json_int_t)r->octave[i]));
    return json_pack("{s:i, s:o, s:i, s:i, s:i}", "first", r->octave_first, "count", count, "least",
                     ilogb(f->min_denorm), "normal", ilogb(f->min_normal), "most", ilogb(f->max));
}

static json_t *line_json(const Check *c, const Line *l)
{
    const ScReport *r = l->r;
    ScStr e = {0};
    json_t *from = json_array();
    for (uint32_t k = 0; r->loc && k < r->loc->n; k++)
        json_array_append_new(from, json_string(r->loc->origin[k].name));
    json_t *o = json_pack("{s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:b}",
                          "name", r->name, "from", from, "dtype", scrt_dtype_name(r->type->dtype),
                          "exponent", exponent_text(r, &e), "rms", cli_json_real(r->rms), "amax",
                          cli_json_real(r->amax), "underflow", cli_json_real(r->underflow),
                          "saturated", cli_json_real(r->saturated), "rounding_db",
                          cli_json_real(r->rounding), "sqnr_db", cli_json_real(r->sqnr), "outside",
                          r->outside, "output", is_output(c->low, r->v), "site", l->gain != NULL);
    if (o)
        json_object_set_new(o, "log2_rms_expected",
                            r->g == SC_NO_G ? json_null() : json_real(r->g / 256.0));
    if (o) {
        json_object_set_new(o, "factor_db", cli_json_real(r->factor));
        json_object_set_new(o, "depth", json_integer(c->depth[r->v]));
        json_object_set_new(o, "constant", json_boolean(r->constant));
    }
    if (o && r->octave)
        json_object_set_new(o, "octaves", octaves_json(r));
    if (o && l->gain) {
        json_object_set_new(o, "gain_db", cli_json_real(l->gain->gain));
        json_object_set_new(o, "gain_measured", json_boolean(l->gain->measured));
        json_object_set_new(o, "gain_together_db", cli_json_real(l->gain->together));
    }
    sc_str_free(&e);
    return o;
}

/* A node's name as a pattern that only it matches. */
static void add_pattern(ScStr *out, const char *name)
{
    ScStr s = {0};
    for (const char *p = name; *p; p++)
        sc_str_addf(&s, "%s%c", strchr("*?[\\", *p) ? "\\" : "", *p);
    sc_str_quote(out, sc_str_get(&s));
    sc_str_free(&s);
}

/* The nodes of g that read v where it is stored, a line for each. */
static void add_layers(ScStr *out, const ScGraph *g, ScVal v)
{
    const char *kind = sc_def(g, v)->op->flags & SC_CONST_OP ? "weight" : "activation";
    for (uint32_t k = 0; k < g->n_node; k++) {
        const ScNode *n = &g->node[k];
        bool reads = false;
        for (uint32_t j = 0; j < n->n_in; j++)
            reads = reads || (n->in[j] == v && sc_reads_site(g, n, j));
        if (!reads || n->loc->n == 0 || !n->loc->origin[0].name)
            continue;
        sc_str_add(out, "layer ");
        add_pattern(out, n->loc->origin[0].name);
        sc_str_addf(out, " %s=f32\n", kind);
    }
}

/* The name that a recipe knows site v of g by: its own, or that of what was cast; NULL: none. */
static const char *site_name(const ScGraph *g, ScVal v)
{
    return g->value[sc_stored_of(g, v)].name;
}

/* The names [c->n_site] that a recipe knows sites by: NULL where another has it too. */
static const char **own_names(Cli *cli, const Check *c, const ScLevel *level, uint32_t n_level)
{
    const char **name = sc_array(sc_ctx_arena(cli->cx), const char *, c->n_site + 1);
    for (uint32_t i = 0; i < c->n_site; i++) {
        const ScLevel *l = sc_level_of(level, n_level, c->gain[i].v);
        name[i] = site_name(l->g, c->gain[i].v - l->first);
    }
    for (uint32_t i = 0; i < c->n_site; i++) {
        bool shared = false;
        for (uint32_t k = i + 1; name[i] && k < c->n_site; k++)
            if (name[k] == name[i]) {
                name[k] = NULL;
                shared = true;
            }
        name[i] = shared ? NULL : name[i];
    }
    return name;
}

/* The recipe with the first sites in f32: by their names, or by the nodes that read them. */
static void suggested(Cli *cli, const Check *c, ScStr *out)
{
    ScRecipe r = *sc_recipe(cli->cx, cli->opt.recipe);
    ScArena *a = sc_ctx_arena(cli->cx);
    uint32_t n_level;
    const ScLevel *level = sc_levels(c->low, a, &n_level);
    r.name = sc_printf(a, "%s-suggested", r.name);
    sc_recipe_print(&r, out);
    const char **name = own_names(cli, c, level, n_level);
    for (uint32_t i = 0; i < c->suggest.keep; i++) {
        const ScLevel *l = sc_level_of(level, n_level, c->gain[i].v);
        ScVal v = c->gain[i].v - l->first;
        if (name[i]) {
            sc_str_add(out, "site ");
            add_pattern(out, name[i]);
            sc_str_add(out, " format=f32\n");
        } else {
            add_layers(out, l->g, v);
        }
    }
}

static bool suggest(Cli *cli, const Check *c)
{
    ScStr s = {0};
    if (c->suggest.n_step == 0)
        return sc_fail_file(cli->cx, NULL, SC_E_SUGGEST, "--suggest: nothing could be tried");
    if (!c->suggest.reached)
        return sc_fail_file(cli->cx, NULL, SC_E_SUGGEST,
                            "--suggest: with all sites in f32 the metric is %g, not %g",
                            c->suggest.step[0].metric, c->suggest.want);
    suggested(cli, c, &s);
    bool ok = !cli->output || scalec_write_file(cli->cx, cli->output, sc_str_get(&s), s.n);
    if (!cli->json) {
        printf(cli->metric ? "\nfor a metric of %g:\n" : "\nfor %.1f dB:\n", c->suggest.want);
        for (uint32_t i = 0; i < c->suggest.n_step; i++) {
            printf("%6u of %u sites in f32: %.1f dB", c->suggest.step[i].keep, c->n_site,
                   c->suggest.step[i].sqnr);
            if (cli->metric)
                printf(", metric %g", c->suggest.step[i].metric);
            printf("\n");
        }
        printf("the fewest: %u\n%s%s", c->suggest.keep, cli->output ? "" : "\n",
               cli->output ? "" : sc_str_get(&s));
    }
    sc_str_free(&s);
    return ok;
}

static json_t *suggest_json(const Check *c)
{
    json_t *steps = json_array();
    for (uint32_t i = 0; i < c->suggest.n_step; i++) {
        json_t *o = json_pack("{s:I, s:o}", "sites", (json_int_t)c->suggest.step[i].keep, "sqnr_db",
                              cli_json_real(c->suggest.step[i].sqnr));
        if (o && c->suggest.metric)
            json_object_set_new(o, "metric", cli_json_real(c->suggest.step[i].metric));
        json_array_append_new(steps, o);
    }
    return json_pack("{s:f, s:I, s:o}", c->suggest.metric ? "wanted_metric" : "wanted_db",
                     c->suggest.want, "sites", (json_int_t)c->suggest.keep, "steps", steps);
}

static json_t *tensors_json(const Check *c)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < c->n; i++)
        json_array_append_new(list, line_json(c, &c->line[i]));
    return list;
}

static void print_json(const Cli *cli, const Check *c)
{
    json_t *o = json_pack("{s:s, s:s, s:i, s:i, s:i, s:o}", "model", cli->args.item[0], "recipe",
                          cli->opt.recipe, "samples", (int)c->n_sample, "samples_of_tensors",
                          (int)c->n_seen, "corrected_biases", (int)sc_count_corrected(c->low),
                          "tensors", tensors_json(c));
    if (o && cli->suggest_given)
        json_object_set_new(o, "suggest", suggest_json(c));
    if (o)
        cli_print_json(o);
    json_decref(o);
}

/* A state that grows is stored in fmt. */
static bool has_cache(const ScGraph *g, ScrtDtype fmt)
{
    for (uint32_t i = 0; i < g->n_state; i++)
        if (g->state[i].grows && sc_type_of(g, g->state[i].past)->dtype == fmt)
            return true;
    return false;
}

/* The model keeps its graph. */
static bool look(Cli *cli, const ScalecModel *m, Check *c)
{
    ScalecModel copy = *m;
    ScalecSamples *s = scalec_samples_open(cli->cx, m->graph, cli->data, &cli->sample);
    c->n_sample = s ? scalec_samples_count(s) : 0;
    bool ok = s && (c->n_sample > 0 ||
                    sc_fail_file(cli->cx, cli->data, SC_E_INPUT, "it holds no sample"));
    ok = ok && cli_statistics(cli, m);
    copy.graph = ok ? sc_graph_clone(m->graph) : NULL;
    double budget = cli->budget_given ? cli->budget : BUDGET;
    const ScReport *r = ok && build_pair(cli, &copy, c) ? measure(cli, c, s, budget) : NULL;
    if (r) {
        double *sqnr = sc_array(sc_ctx_arena(cli->cx), double, c->low->n_out + 1);
        const ScRecipe *recipe = sc_recipe(cli->cx, cli->opt.recipe);
        if (has_cache(c->low, recipe->cache))
            sc_warn(cli->cx, NULL, SC_E_CACHED, "cache = %s", scrt_dtype_name(recipe->cache));
        c->suggest.want = cli->suggest;
        c->suggest.metric = cli->metric;
        c->gain = scalec_gains(cli->cx, c->low, s, r, c->n, budget,
                               cli->suggest_given ? &c->suggest : NULL, sqnr, &c->n_site);
        ok = c->gain != NULL;
        if (ok)
            rank(cli, c, with_outputs(cli, c, r, sqnr));
        c->depth = depths(cli, c->low);
    }
    scalec_samples_close(s);
    return r && ok;
}

static void forget(Check *c)
{
    sc_graph_free(c->low);
    sc_graph_free(c->plain);
}

static bool show(Cli *cli, const Check *c)
{
    (cli->json ? print_json : print_table)(cli, c);
    return !cli->suggest_given || suggest(cli, c);
}

json_t *cli_check_tensors(Cli *cli, const ScalecModel *m, bool alone)
{
    Check c = {0};
    json_t *ret = NULL;
    if (look(cli, m, &c) && (!alone || show(cli, &c)))
        ret = tensors_json(&c);
    forget(&c);
    return ret;
}

static bool check(Cli *cli, const ScalecModel *m)
{
    Check c = {0};
    bool ok = look(cli, m, &c) && show(cli, &c);
    forget(&c);
    return ok;
}

int cmd_check(Cli *cli)
{
    ScalecModel m;
    if (!cli->data)
        return cli_misuse(cli, "on what? --data PATH");
    if (!cli->opt.recipe || !strcmp(cli->opt.recipe, "f32"))
        return cli_misuse(cli, "what beside f32? --recipe R, one that stores something low");
    bool several = cli_is_several(cli);
    if (cli->suggest_given && several)
        return cli_misuse(cli, "--suggest is for one recipe");
    if (cli->suggest_given && !cli->metric && cli->suggest < 0)
        return cli_misuse(cli, "--suggest: %g dB: outputs are noise below 0", cli->suggest);
    if (cli->metric && !*cli->metric)
        return cli_misuse(cli, "--metric wants a command");
    if (cli->metric && !several && !cli->suggest_given)
        return cli_misuse(cli, "--metric is for several recipes, --recipe A,B, or for --suggest");
    if (cli->html && !strcmp(cli->html, "-"))
        return cli_misuse(cli, "--html is a file: standard output has the table");
    if (cli->output && !cli->suggest_given)
        return cli_misuse(cli, "-o is where --suggest writes");
    if (cli->output && !strcmp(cli->output, "-"))
        return cli_misuse(cli, "-o is a file: standard output has the table, and the recipe too");
    if (cli->order && (several || cli->json))
        return cli_misuse(cli, "--order is for the table of one recipe");
    if (!cli_load(cli, &m))
        return cli_failed(cli);
    bool ok = cli_can_write(cli) && (cli->html ? cli_sheet(cli, &m)
                                     : several ? cli_columns(cli, &m)
                                               : check(cli, &m));
    sc_graph_free(m.graph);
    return ok ? cli_done(cli) : cli_failed(cli);
}
