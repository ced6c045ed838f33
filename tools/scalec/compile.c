/* SPDX-License-Identifier: Apache-2.0 */
/* scalec compile, and the hooks of the pipeline that other subcommands use too. */
#include "tools/scalec/cli.h"
#include "tools/scalec/hooks.h"

#include <string.h>

/* --- Hooks ------------------------------------------------------------------------------------ */

static void after(void *arg, const char *stage, const ScGraph *g, double seconds)
{
    Cli *cli = arg;
    if (cli->time_passes)
        fprintf(stderr, "%-10s %8.2f ms  %u nodes\n", stage, 1e3 * seconds, g->n_node);
    if (cli->dump_after && (!strcmp(cli->dump_after, stage) || !strcmp(cli->dump_after, "all"))) {
        sc_str_addf(&cli->dumped, "; after %s\n", stage);
        sc_print(g, SC_PRINT_COMMENTS, &cli->dumped);
    }
}

bool hooks_begin(Cli *cli, const ScalecModel *m, ScalecSamples **ret_samples)
{
    *ret_samples = NULL;
    cli->opt.after = after;
    cli->opt.arg = cli;
    if (!cli->eval_each)
        return true;
    if (!cli->data)
        return sc_fail(cli->cx, NULL, SC_E_INPUT, "--eval-each needs inputs: --data PATH");
    *ret_samples = scalec_samples_open(cli->cx, m->graph, cli->data);
    cli->opt.eval_rtol = cli->rtol;
    return *ret_samples && scalec_samples_get(*ret_samples, 0, &cli->opt.eval_in);
}

bool hooks_end(Cli *cli, ScalecSamples *samples, bool ok)
{
    scalec_samples_close(samples);
    cli->opt.eval_in = NULL;
    return (!ok || cli->dumped.n == 0 ||
            scalec_write_file(cli->cx, "-", cli->dumped.s, cli->dumped.n)) &&
           ok;
}

/* --- compile ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    ScalecOutput out;
    ScEmit emit;
} kinds[] = {{"exe", SCALEC_EXE, SC_EMIT_OBJ},
             {"so", SCALEC_SO, SC_EMIT_OBJ},
             {"obj", SCALEC_OBJ, SC_EMIT_OBJ},
             {"asm", SCALEC_ASM, SC_EMIT_ASM},
             {"llvm", SCALEC_LLVM, SC_EMIT_LLVM}};

/* It goes into C text and an object's symbol table. */
static bool is_identifier(const char *s)
{
    static const char letters[] = "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t n = strspn(s, letters);
    while (n > 0 && (strchr(letters, s[n]) || (s[n] >= '0' && s[n] <= '9')) && s[n])
        n++;
    return n > 0 && s[n] == '\0';
}

int cmd_compile(Cli *cli)
{
    size_t k = 0;
    ScalecModel m;
    ScalecSamples *samples = NULL;
    while (cli->emit && k < sizeof kinds / sizeof *kinds && strcmp(kinds[k].name, cli->emit))
        k++;
    if (k == sizeof kinds / sizeof *kinds)
        return cli_misuse(cli, "--emit: \"%s\" is not exe, so, obj, asm or llvm", cli->emit);
    if (cli->opt.symbol && !is_identifier(cli->opt.symbol))
        return cli_misuse(cli, "--symbol: \"%s\" is no C identifier", cli->opt.symbol);
    if (!cli->output)
        return cli_misuse(cli, "where to? -o OUT");
    if (!cli_load(cli, &m))
        return cli_failed(cli);
    if (kinds[k].emit == SC_EMIT_OBJ)
        cli->opt.output = cli->output;
    bool ok = cli_statistics(cli, &m) && hooks_begin(cli, &m, &samples);
    ScObject *o = ok ? scalec_compile(cli->cx, &m, &cli->opt, kinds[k].emit) : NULL;
    ok = hooks_end(cli, samples, o != NULL) && scalec_write(cli->cx, o, kinds[k].out, cli->output);
    scalec_object_free(o);
    sc_graph_free(m.graph);
    return ok ? cli_done(cli) : cli_failed(cli);
}
