/* SPDX-License-Identifier: Apache-2.0 */
/* scalec check: the low-precision graph beside the f32 one on samples, tensors ranked by the noise
 * that arose at them, and what reaches the outputs. */
#include "tools/scalec/cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The graph as quantize and settle left it, and the graph that scalify received. */
typedef struct Pair {
    ScGraph *low, *plain;
} Pair;

static bool build_pair(Cli *cli, ScalecModel *m, Pair *ret)
{
    cli->opt.until = "settle";
    ret->plain = scalec_raised(cli->cx, m, &cli->opt);
    ret->low = ret->plain ? scalec_rewrite(cli->cx, m, &cli->opt) : NULL;
    return ret->low != NULL;
}

static const ScReport *measure(Cli *cli, const Pair *p, uint32_t *ret_n, uint32_t *ret_samples)
{
    ScalecSamples *s = scalec_samples_open(cli->cx, p->low, cli->data);
    ScDamage *d = s ? sc_damage_begin(cli->cx, p->low, p->plain) : NULL;
    const ScrtTensor *in;
    bool ok = d != NULL;
    *ret_samples = s ? scalec_samples_count(s) : 0;
    for (uint32_t i = 0; ok && i < *ret_samples; i++) {
        ok = scalec_samples_get(s, i, &in) && sc_damage_add(d, in);
        cli_progress(cli, i + 1, *ret_samples);
    }
    cli_progress_end();
    if (ok && *ret_samples == 0)
        ok = sc_fail(cli->cx, NULL, SC_E_INPUT, "%s: holds no sample", cli->data);
    const ScReport *r = d ? sc_damage_end(d, ret_n) : NULL;
    scalec_samples_close(s);
    return ok ? r : NULL;
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

static void print_table(const Cli *cli, const Pair *p, const ScReport *r, uint32_t n,
                        uint32_t samples)
{
    uint32_t shown = cli->top && cli->top < n ? cli->top : n;
    printf("%s, recipe %s, %u samples; worst first\n\n", cli->args.item[0], cli->opt.recipe,
           samples);
    printf("%-32s %-12s %5s %9s %9s %8s %8s %8s %9s\n", "tensor", "type", "exp", "log2 RMS", "amax",
           "under %", "satur %", "SQNR dB", "from here");
    for (uint32_t i = 0; i < shown; i++) {
        ScStr e = {0};
        printf("%-32s %-12s %5s %9.2f %9.4g %8.3f %8.3f %8.1f %9.2g%s\n", r[i].name,
               scrt_dtype_name(r[i].type->dtype), exponent_text(&r[i], &e), log2(r[i].rms),
               r[i].amax, 100 * r[i].underflow, 100 * r[i].saturated, r[i].sqnr, r[i].damage,
               r[i].outside ? "  outside its format's range" : "");
        sc_str_free(&e);
    }
    for (uint32_t i = 0; i < n; i++)
        if (is_output(p->low, r[i].v))
            printf("\noutput %s: SQNR %.1f dB\n", r[i].name, r[i].sqnr);
}

/* JSON has no infinities; null stands for a number that is none. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static void print_json(const Cli *cli, const Pair *p, const ScReport *r, uint32_t n,
                       uint32_t samples)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++) {
        ScStr e = {0};
        json_t *from = json_array();
        for (uint32_t k = 0; r[i].loc && k < r[i].loc->n; k++)
            json_array_append_new(from, json_string(r[i].loc->origin[k].name));
        json_array_append_new(
            list, json_pack("{s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b}", "name",
                            r[i].name, "from", from, "dtype", scrt_dtype_name(r[i].type->dtype),
                            "exponent", exponent_text(&r[i], &e), "rms", number(r[i].rms), "amax",
                            number(r[i].amax), "underflow", number(r[i].underflow), "saturated",
                            number(r[i].saturated), "sqnr_db", number(r[i].sqnr), "damage",
                            number(r[i].damage), "outside", r[i].outside, "output",
                            is_output(p->low, r[i].v)));
        sc_str_free(&e);
    }
    json_t *o = json_pack("{s:s, s:s, s:i, s:o}", "model", cli->args.item[0], "recipe",
                          cli->opt.recipe, "samples", (int)samples, "tensors", list);
    if (o)
        json_dumpf(o, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(o);
}

int cmd_check(Cli *cli)
{
    ScalecModel m;
    Pair p = {0};
    uint32_t n = 0, samples = 0;
    if (!cli->data)
        return cli_misuse(cli, "on what? --data PATH");
    if (!cli->opt.recipe || !strcmp(cli->opt.recipe, "f32"))
        return cli_misuse(cli, "what beside f32? --recipe R, one that stores something low");
    if (!cli_load(cli, &m))
        return cli_failed(cli);
    bool ok = cli_statistics(cli, &m) && build_pair(cli, &m, &p);
    const ScReport *r = ok ? measure(cli, &p, &n, &samples) : NULL;
    if (r)
        (cli->json ? print_json : print_table)(cli, &p, r, n, samples);
    sc_graph_free(p.low);
    sc_graph_free(p.plain);
    sc_graph_free(m.graph);
    return r ? cli_done(cli) : cli_failed(cli);
}
