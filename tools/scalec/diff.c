/* SPDX-License-Identifier: Apache-2.0 */
/* scalec diff: two graphs, node by node, and with --data what their outputs are on samples, and the
 * values inside that have the same name and type in both. */
#include "runtime/handles.h"
#include "tools/scalec/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An output or another value over all samples, A's beside B's. */
typedef struct Output {
    const char *name, *op;
    const char *label;    /* its printed name, which no other value has */
    double signal, noise; /* squares */
    double most;          /* the largest difference */
    uint64_t beyond, n;   /* elements beyond tolerance, of how many */
    bool shape;           /* differs */
    bool shown;           /* by both on some sample */
} Output;

/* Values of both graphs, outside nested ones, in A's order. */
typedef struct Pairs {
    const Cli *cli;
    uint32_t *of[2]; /* [n_value] of A and B: 1 + which pair; 0: none */
    Output *seen;    /* [n] */
    ScrtTensor *a;   /* [n] A's of one sample, data from malloc */
    int64_t *exp;    /* [n] of these */
    uint32_t n;
} Pairs;

/* --- Graphs ----------------------------------------------------------------------------------- */

static ScGraph *load(Cli *cli, uint32_t i)
{
    ScalecModel m;
    cli->args.item[0] = cli->args.item[i];
    if (!cli_load(cli, &m))
        return NULL;
    cli->opt.until = cli->stage ? cli->stage : "import";
    bool later = cli->stage && strcmp(cli->stage, "import") != 0;
    bool ok = !later || cli_statistics(cli, &m);
    ScGraph *g = ok ? scalec_rewrite(cli->cx, &m, &cli->opt) : NULL;
    sc_graph_free(m.graph);
    return g;
}

static void print_node(const ScalecDifference *d)
{
    bool changed = d->kind == SCALEC_CHANGED;
    printf("%c %%%s = %s%s%s%s",
           changed                    ? '~'
           : d->kind == SCALEC_ONLY_A ? '-'
                                      : '+',
           d->name, d->op, *d->from ? " from \"" : "", d->from, *d->from ? "\"" : "");
    if (changed)
        printf(": %s %s -> %s", d->what, d->a, d->b);
    putchar('\n');
}

static json_t *node_json(const ScalecDifference *d)
{
    static const char *const kind[] = {"only_a", "only_b", "changed"};
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:s?}", "kind", kind[d->kind], "name",
                     d->name, "op", d->op, "from", d->from, "what", d->what, "a", d->a, "b", d->b);
}

/* --- Outputs ---------------------------------------------------------------------------------- */

static void compare(const Cli *cli, const ScrtTensor *a, int64_t exp_a, const ScrtTensor *b,
                    int64_t exp_b, Output *o)
{
    o->shown = true;
    o->shape =
        o->shape || a->rank != b->rank || memcmp(a->dims, b->dims, a->rank * sizeof *a->dims);
    for (size_t i = 0; !o->shape && i < (size_t)scrt_count(a); i++) {
        double x = ldexp(scrt_load(a->dtype, a->data, i), (int)exp_a);
        double y = ldexp(scrt_load(b->dtype, b->data, i), (int)exp_b);
        double d = x == y || (isnan(x) && isnan(y)) ? 0 : fabs(x - y);
        if (a->dtype == SCRT_STRING && !scrt_strings_equal(a, b, (int64_t)i))
            d = INFINITY;
        o->beyond += !(d <= cli->atol + cli->rtol * fabs(x));
        o->most = d > o->most || isnan(d) ? d : o->most;
        o->signal += isfinite(x) ? x * x : 0;
        o->noise += d * d;
        o->n++;
    }
}

static void see_a(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                  uint32_t depth)
{
    Pairs *p = arg;
    uint32_t k = depth ? 0 : p->of[0][v];
    size_t bytes;
    (void)g;
    if (k == 0 || !scrt_tensor_bytes(t, &bytes))
        return;
    p->a[k - 1] = *t;
    p->a[k - 1].data = memcpy(sc_calloc(bytes + 1, 1), t->data, bytes);
    p->exp[k - 1] = exp;
}

static void see_b(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                  uint32_t depth)
{
    Pairs *p = arg;
    uint32_t k = depth ? 0 : p->of[1][v];
    (void)g;
    if (k && p->a[k - 1].data)
        compare(p->cli, &p->a[k - 1], p->exp[k - 1], t, exp, &p->seen[k - 1]);
}

static bool is_seen(const ScGraph *g, ScVal v)
{
    return g->value[v].name && sc_type_is_float(sc_type_of(g, v)) &&
           !(sc_def(g, v)->op->flags & (SC_BARRIER | SC_CONST_OP));
}

typedef struct Named {
    const char *name; /* the session's, as the type is */
    const ScType *type;
    ScVal v;
} Named;

static int by_name(const void *pa, const void *pb)
{
    const Named *a = pa, *b = pb;
    if (a->name != b->name)
        return strcmp(a->name, b->name);
    if (a->type != b->type)
        return (uintptr_t)a->type < (uintptr_t)b->type ? -1 : 1;
    return (a->v > b->v) - (a->v < b->v);
}

/* The values of g with a name, sorted: [*ret_n], the caller's to free. */
static Named *named(const ScGraph *g, uint32_t *ret_n)
{
    Named *ret = sc_calloc(g->n_value + 1u, sizeof *ret);
    *ret_n = 0;
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        if (is_seen(g, v))
            ret[(*ret_n)++] = (Named){g->value[v].name, sc_type_of(g, v), v};
    qsort(ret, *ret_n, sizeof *ret, by_name);
    return ret;
}

/* Of several values of one name and type the first of A goes with the first of B, and so on. */
static void find_pairs(const Cli *cli, const ScGraph *const *g, Pairs *p)
{
    uint32_t n[2], i = 0, k = 0;
    *p = (Pairs){.cli = cli};
    for (uint32_t side = 0; side < 2; side++)
        p->of[side] = sc_calloc(g[side]->n_value + 1u, sizeof *p->of[side]);
    p->seen = sc_calloc(g[0]->n_value + 1u, sizeof *p->seen);
    p->a = sc_calloc(g[0]->n_value + 1u, sizeof *p->a);
    p->exp = sc_calloc(g[0]->n_value + 1u, sizeof *p->exp);
    Named *a = named(g[0], &n[0]), *b = named(g[1], &n[1]);
    const char *const *label = sc_labels(g[0], sc_ctx_arena(cli->cx));
    ScVal *with = sc_calloc(g[0]->n_value + 1u, sizeof *with);
    while (i < n[0] && k < n[1]) {
        Named x = a[i], y = b[k];
        x.v = y.v = 0;
        int c = by_name(&x, &y);
        if (c == 0)
            with[a[i].v] = b[k].v;
        i += c <= 0;
        k += c >= 0;
    }
    for (ScVal v = SC_FIRST; v < g[0]->n_value; v++) {
        if (with[v] < SC_FIRST)
            continue;
        p->seen[p->n].name = g[0]->value[v].name;
        p->seen[p->n].label = label[v];
        p->seen[p->n].op = sc_def(g[0], v)->op->name;
        p->of[0][v] = p->of[1][with[v]] = ++p->n;
    }
    free(with);
    free(a);
    free(b);
}

static void free_pairs(Pairs *p)
{
    free(p->of[0]);
    free(p->of[1]);
    free(p->seen);
    free(p->a);
    free(p->exp);
}

static bool run_sample(Cli *cli, const ScGraph *const *g, const ScrtTensor *in, Output *out,
                       Pairs *p)
{
    uint32_t n = g[0]->n_out;
    ScrtTensor *t[2] = {sc_calloc(n + 1u, sizeof **t), sc_calloc(n + 1u, sizeof **t)};
    bool ok = true;
    for (uint32_t k = 0; ok && k < 2; k++)
        ok = sc_eval(g[k], in, t[k], &(ScEvalOptions){.see = k ? see_b : see_a, .arg = p});
    for (uint32_t i = 0; ok && i < n; i++)
        compare(cli, &t[0][i], 0, &t[1][i], 0, &out[i]);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < 2; k++)
            scrt_free(t[k][i].data);
    for (uint32_t i = 0; i < p->n; i++) {
        free(p->a[i].data);
        p->a[i].data = NULL;
    }
    free(t[0]);
    free(t[1]);
    return ok;
}

static bool same_interface(Cli *cli, const ScGraph *a, const ScGraph *b)
{
    bool ok = a->n_in == b->n_in && a->n_out == b->n_out;
    for (uint32_t i = 0; ok && i < a->n_in; i++)
        ok = a->value[a->in[i]].name == b->value[b->in[i]].name &&
             sc_type_of(a, a->in[i])->dtype == sc_type_of(b, b->in[i])->dtype;
    return ok ||
           sc_fail(cli->cx, NULL, SC_E_COMPARED, "they take other inputs, or give other outputs");
}

/* [*g[0]->n_out], the caller's to free; NULL with errors. */
static Output *run_both(Cli *cli, const ScGraph *const *g, Pairs *p)
{
    Output *out = sc_calloc(g[0]->n_out + 1u, sizeof *out);
    const ScrtTensor *in;
    ScalecSamples *s = same_interface(cli, g[0], g[1])
                           ? scalec_samples_open(cli->cx, g[0], cli->data, &cli->sample)
                           : NULL;
    bool ok = s != NULL;
    for (uint32_t i = 0; ok && i < scalec_samples_count(s); i++)
        ok = scalec_samples_get(s, i, &in) && run_sample(cli, g, in, out, p);
    for (uint32_t i = 0; ok && i < g[0]->n_out; i++)
        out[i].name = g[0]->out_name[i];
    scalec_samples_close(s);
    if (!ok) {
        free(out);
        return NULL;
    }
    return out;
}

static double sqnr(const Output *o)
{
    return 10 * log10(o->signal / o->noise);
}

static bool is_equal(const Output *o)
{
    return !o->shape && o->noise == 0;
}

/* what: in front of its name; the operator of a value behind. */
static void print_output(const char *what, const Output *o)
{
    printf("%s%s%s%s: ", what, o->label ? o->label : o->name, o->op ? " = " : "",
           o->op ? o->op : "");
    if (o->shape)
        puts("other shapes");
    else if (o->noise == 0)
        puts("equal");
    else
        printf("SQNR %.1f dB, largest difference %.3g, %llu of %llu beyond tolerance\n", sqnr(o),
               o->most, (unsigned long long)o->beyond, (unsigned long long)o->n);
}

/* How many are equal, the first that differs and the one that differs most; all that do if verbose.
 */
static void print_values(const Cli *cli, const Pairs *p)
{
    uint32_t shown = 0, equal = 0;
    const Output *first = NULL, *most = NULL;
    for (uint32_t i = 0; i < p->n; i++) {
        const Output *o = &p->seen[i];
        shown += o->shown;
        equal += o->shown && is_equal(o);
        if (!o->shown || is_equal(o))
            continue;
        first = first ? first : o;
        if (!most || (!most->shape && (o->shape || !(sqnr(o) >= sqnr(most)))))
            most = o;
        if (cli->verbose)
            print_output("value %", o);
    }
    printf("%u values of both by name, %u of them equal\n", shown, equal);
    if (first)
        print_output("first that differs: %", first);
    if (most != first)
        print_output("differs most: %", most);
}

static json_t *output_json(const Output *o)
{
    bool some = !o->shape && o->noise > 0 && isfinite(sqnr(o));
    return json_pack("{s:s, s:b, s:o, s:o, s:I, s:I}", "name", o->name, "same_shape", !o->shape,
                     "sqnr", some ? json_real(sqnr(o)) : json_null(), "largest",
                     cli_json_real(o->most), "beyond", (json_int_t)o->beyond, "elements",
                     (json_int_t)o->n);
}

/* --- Both ------------------------------------------------------------------------------------- */

static void print_all(const Cli *cli, const ScalecDifference *d, uint32_t n, uint32_t same,
                      const Output *out, uint32_t n_out, const Pairs *p)
{
    if (cli->json) {
        json_t *nodes = json_array(), *outputs = json_array(), *values = json_array();
        for (uint32_t i = 0; i < n; i++)
            json_array_append_new(nodes, node_json(&d[i]));
        for (uint32_t i = 0; out && i < n_out; i++)
            json_array_append_new(outputs, output_json(&out[i]));
        for (uint32_t i = 0; i < p->n; i++)
            if (p->seen[i].shown)
                json_array_append_new(values, output_json(&p->seen[i]));
        json_t *all = json_pack("{s:i, s:o, s:o, s:o}", "same", (int)same, "nodes", nodes,
                                "outputs", outputs, "values", values);
        cli_print_json(all);
        json_decref(all);
        return;
    }
    uint32_t count[3] = {0};
    for (uint32_t i = 0; i < n; i++) {
        print_node(&d[i]);
        count[d[i].kind]++;
    }
    printf("%u nodes are the same; %u differences, %u nodes only in A, %u only in B\n", same,
           count[SCALEC_CHANGED], count[SCALEC_ONLY_A], count[SCALEC_ONLY_B]);
    if (out)
        print_values(cli, p);
    for (uint32_t i = 0; out && i < n_out; i++)
        print_output("output ", &out[i]);
}

int cmd_diff(Cli *cli)
{
    ScGraph *g[2] = {load(cli, 0), NULL};
    g[1] = g[0] ? load(cli, 1) : NULL;
    bool ok = g[0] && g[1];
    uint32_t n = 0, same = 0;
    const ScalecDifference *d = ok ? scalec_diff(cli->cx, g[0], g[1], &n, &same) : NULL;
    Pairs p = {0};
    if (ok && cli->data)
        find_pairs(cli, (const ScGraph *const *)g, &p);
    Output *out = ok && cli->data ? run_both(cli, (const ScGraph *const *)g, &p) : NULL;
    ok = ok && (!cli->data || out);
    bool differ = !cli->data && n > 0;
    for (uint32_t i = 0; out && i < g[0]->n_out; i++)
        differ = differ || out[i].shape || out[i].beyond;
    if (ok)
        print_all(cli, d, n, same, out, g[0]->n_out, &p);
    free(out);
    free_pairs(&p);
    sc_graph_free(g[0]);
    sc_graph_free(g[1]);
    int status = ok ? cli_done(cli) : cli_failed(cli);
    return status == 0 && differ ? EXIT_DIFFER : status;
}
