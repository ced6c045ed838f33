/* SPDX-License-Identifier: Apache-2.0 */
/* scalec check with several recipes: a column of numbers for each, on compiled programs. */
#include "tools/scalec/cli.h"

#include <math.h>
#include <string.h>

enum { MOST = 16 };

/* How many recipes; beyond MOST they are not kept. */
static uint32_t split(Cli *cli, const char **ret)
{
    uint32_t n = 0;
    for (const char *p = cli->opt.recipe;; p++) {
        size_t length = strcspn(p, ",");
        if (n < MOST)
            ret[n] = sc_intern_n(cli->cx, p, length);
        n++;
        p += length;
        if (!*p)
            return n;
    }
}

static void print_text(const Cli *cli, uint32_t n, const char *const *recipe, const ScalecColumn *c,
                       uint32_t n_sample)
{
    printf("%s, %u sample%s\n\n%-24s %12s %9s %12s %9s%s\n", cli->args.item[0], n_sample,
           n_sample == 1 ? "" : "s", "recipe", "weights", "SQNR dB", "max error", "top-1 %",
           cli->metric ? "       metric" : "");
    for (uint32_t i = 0; i < n; i++) {
        printf("%-24s %12llu %9.1f %12.4g", recipe[i], (unsigned long long)c[i].bytes, c[i].sqnr,
               c[i].max_error);
        if (c[i].rows)
            printf(" %9.2f", 100 * (double)c[i].same / (double)c[i].rows);
        else
            printf(" %9s", "-");
        if (cli->metric)
            printf(" %12.6g", c[i].metric);
        printf("\n");
    }
}

static json_t *columns_json(const Cli *cli, uint32_t n, const char *const *recipe,
                            const ScalecColumn *c, uint32_t n_sample)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++) {
        json_t *o = json_pack("{s:s, s:I, s:o, s:o, s:I, s:I}", "recipe", recipe[i], "weights",
                              (json_int_t)c[i].bytes, "sqnr_db", cli_json_real(c[i].sqnr),
                              "max_error", cli_json_real(c[i].max_error), "rows",
                              (json_int_t)c[i].rows, "same", (json_int_t)c[i].same);
        if (o && cli->metric)
            json_object_set_new(o, "metric", cli_json_real(c[i].metric));
        json_array_append_new(list, o);
    }
    return json_pack("{s:s, s:i, s:o}", "model", cli->args.item[0], "samples", (int)n_sample,
                     "recipes", list);
}

bool cli_is_several(const Cli *cli)
{
    return cli->opt.recipe && strchr(cli->opt.recipe, ',') != NULL;
}

json_t *cli_columns_json(Cli *cli, const ScalecModel *m, bool print)
{
    const char *recipe[MOST];
    ScalecColumn column[MOST];
    uint32_t n = split(cli, recipe);
    ScScales scales = cli->opt.scales;
    json_t *ret = NULL;
    if (n > MOST) {
        cli->usage = true;
        sc_fail_file(cli->cx, NULL, SC_E_RECIPE,
                     "%u recipes, of which %d can stand beside each other", n, MOST);
        return NULL;
    }
    bool ok = true; /* all are read before anything is measured, or written */
    for (uint32_t i = 0; ok && i < n; i++)
        ok = sc_recipe(cli->cx, cli->opt.recipe = recipe[i]) != NULL;
    ScalecSamples *s = ok ? scalec_samples_open(cli->cx, m->graph, cli->data, &cli->sample) : NULL;
    uint32_t n_sample = s ? scalec_samples_count(s) : 0;
    ok = s && (n_sample > 0 || sc_fail_file(cli->cx, cli->data, SC_E_INPUT, "it holds no sample"));
    ScalecReference *ref = ok ? scalec_reference(cli->cx, m, &cli->opt, s) : NULL;
    ok = ref != NULL;
    for (uint32_t i = 0; ok && i < n; i++) {
        cli->opt.recipe = recipe[i];
        cli->opt.scales = scales;
        cli->opt.stats = NULL;
        ok = cli_statistics(cli, m) &&
             scalec_column(cli->cx, m, &cli->opt, s, ref, cli->metric, &column[i]);
    }
    if (ok && print && !cli->json)
        print_text(cli, n, recipe, column, n_sample);
    if (ok)
        ret = columns_json(cli, n, recipe, column, n_sample);
    if (ret && print && cli->json)
        cli_print_json(ret);
    cli->opt.scales = scales;
    cli->opt.stats = NULL;
    scalec_reference_free(ref);
    scalec_samples_close(s);
    return ret;
}

bool cli_columns(Cli *cli, const ScalecModel *m)
{
    json_t *all = cli_columns_json(cli, m, true);
    json_decref(all);
    return all != NULL;
}
