/* SPDX-License-Identifier: Apache-2.0 */
/* scalec: finds the subcommand, prints diagnostics, and what several subcommands share. */
#include "tools/scalec/options.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_diags(Cli *cli)
{
    for (uint32_t i = 0; i < sc_n_diags(cli->cx); i++) {
        ScStr s = {0};
        if (cli->json)
            sc_diag_json(sc_diag(cli->cx, i), &s);
        else
            sc_diag_text(sc_diag(cli->cx, i), &s);
        fputs(sc_str_get(&s), stderr);
        if (s.n == 0 || s.s[s.n - 1] != '\n')
            fputc('\n', stderr);
        sc_str_free(&s);
    }
}

/* What no input can cause is our mistake: a text graph that does not verify is the text's. */
static bool is_bug(const ScDiag *d)
{
    bool text = d->loc && d->loc->line > 0;
    return !d->warning &&
           (d->id == SC_E_LLVM || (!text && (d->id == SC_E_VERIFY || d->id == SC_E_EXPONENT)));
}

/* What the command line asks for and nobody has: a processor, a pass, a stage, a recipe. */
static bool is_usage(const Cli *cli, const ScDiag *d)
{
    return !d->warning && (d->id == SC_E_TARGET || d->id == SC_E_PASS || d->id == SC_E_STAGE ||
                           d->id == SC_E_TENSOR || d->id == SC_E_STATE ||
                           (d->id == SC_E_RECIPE && access(cli->opt.recipe, F_OK) != 0));
}

int cli_misuse(const Cli *cli, const char *fmt, ...)
{
    va_list ap;
    ScStr whole = {0};
    va_start(ap, fmt);
    sc_str_addv(&whole, fmt, ap);
    va_end(ap);
    ScStr text = sc_without_middles(sc_str_get(&whole));
    fprintf(stderr, "scalec %s: %s; see scalec %s --help\n", cli->command, sc_str_get(&text),
            cli->command);
    sc_str_free(&whole);
    sc_str_free(&text);
    return EXIT_USAGE;
}

int cli_failed(Cli *cli)
{
    bool bug = sc_n_errors(cli->cx) == 0, usage = cli->usage;
    print_diags(cli);
    for (uint32_t i = 0; i < sc_n_diags(cli->cx); i++) {
        bug = bug || is_bug(sc_diag(cli->cx, i));
        usage = usage || is_usage(cli, sc_diag(cli->cx, i));
    }
    if (!bug)
        return usage ? EXIT_USAGE : EXIT_INPUT;
    fprintf(stderr,
            "scalec: this is a bug of scalec %s. Please report the lines above, the command and, "
            "if you can, the model.\n",
            SCALEC_VERSION);
    return EXIT_BUG;
}

int cli_done(Cli *cli)
{
    print_diags(cli);
    return 0;
}

/* Whether --dim number i, perhaps ENTRY:NAME, is of this entry; *ret: its name. */
static bool dim_of(const Cli *cli, uint32_t i, const char *entry, const char **ret)
{
    const char *name = cli->dim_name.item[i], *colon = strchr(name, ':');
    size_t n = colon ? (size_t)(colon - name) : 0;
    bool scoped = colon && n == 4 && strncmp(name, "main", n) == 0;
    for (uint32_t k = 0; k < cli->entry.n && colon && !scoped; k++)
        scoped = strcspn(cli->entry.item[k], "=") == n && strncmp(cli->entry.item[k], name, n) == 0;
    *ret = scoped ? sc_intern(cli->cx, colon + 1) : name;
    return !scoped || (strlen(entry) == n && strncmp(entry, name, n) == 0);
}

static const char *past_of(void *arg, ScCtx *cx, const char *out)
{
    const Cli *cli = arg;
    const char *past = NULL;
    for (uint32_t i = 0; i < cli->n_state && !past; i++)
        past = sc_state_rule_past(cx, &cli->state[i], out);
    return past;
}

/* same: what was loaded of that path already, or NULL. */
static bool load_one(Cli *cli, const char *path, const ScalecModel *same, const char *entry,
                     ScalecModel *ret)
{
    ScArena *a = sc_ctx_arena(cli->cx);
    uint32_t n = cli->dim_name.n, k = 0;
    const char **name = sc_array(a, const char *, n + 1);
    int64_t *value = sc_array(a, int64_t, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        value[k] = cli->dim_value[i];
        k += dim_of(cli, i, entry, &name[k]);
    }
    ScImportOptions opt = {.n_dim = k,
                           .dim_name = name,
                           .dim_value = value,
                           .every_node = cli->verbose || cli->json,
                           .past_of = cli->n_state ? past_of : NULL,
                           .past_arg = cli};
    if (same ? scalec_load_again(cli->cx, same, &opt, ret) : scalec_load(cli->cx, path, &opt, ret))
        return true;
    for (uint32_t i = 0; i < sc_n_diags(cli->cx); i++) /* loading takes no inputs but --dim */
        cli->usage |= sc_diag(cli->cx, i)->id == SC_E_INPUT;
    return false;
}

bool cli_load(Cli *cli, ScalecModel *ret)
{
    return load_one(cli, cli->args.item[0], NULL, "main", ret) &&
           scalec_make_states(cli->cx, ret, cli->n_state, cli->state, cli->state_capacity);
}

/* The rules of --state that are for entry i; one that is for none is the first's, to be refused. */
static bool make_states(Cli *cli, uint32_t n, ScalecEntry *e, uint32_t i)
{
    ScStateRule *rule = sc_array(sc_ctx_arena(cli->cx), ScStateRule, cli->n_state + 1);
    uint32_t k = 0;
    for (uint32_t r = 0; r < cli->n_state; r++) {
        bool any = false;
        for (uint32_t j = i + 1; j < n && i == 0; j++)
            any = any || sc_state_rule_applies(e[j].model.graph, &cli->state[r]);
        if ((i == 0 && !any) || sc_state_rule_applies(e[i].model.graph, &cli->state[r]))
            rule[k++] = cli->state[r];
    }
    sc_set_file(cli->cx, e[i].model.path);
    return scalec_make_states(cli->cx, &e[i].model, k, rule, cli->state_capacity);
}

/* What the samples say of the first entry's values they say of those that others have; synthetic
 * inputs are run through each. */
static bool entry_statistics(Cli *cli, ScalecEntry *e)
{
    e->stats = cli->opt.scales == SC_SCALES_CALIBRATE ? cli->opt.stats : NULL;
    if (cli->opt.scales != SC_SCALES_PROBE)
        return true;
    sc_set_file(cli->cx, e->model.path);
    ScGraph *raised = scalec_raised(cli->cx, &e->model, &cli->opt);
    if (raised)
        e->stats = scalec_probe(cli->cx, raised, NULL);
    bool ok = raised != NULL;
    sc_graph_free(raised);
    return ok;
}

bool cli_load_entries(Cli *cli, ScalecEntry **ret, uint32_t *ret_n)
{
    uint32_t n = *ret_n = 1 + cli->entry.n;
    ScalecEntry *e = *ret = sc_array(sc_ctx_arena(cli->cx), ScalecEntry, n);
    bool ok = true;
    for (uint32_t i = 0; i < n && ok; i++) {
        const char *text = i ? cli->entry.item[i - 1] : "main", *eq = strchr(text, '=');
        e[i].name = sc_intern_n(cli->cx, text, strcspn(text, "="));
        const char *path = i && eq ? eq + 1 : cli->args.item[0];
        const ScalecModel *same = NULL;
        for (uint32_t k = 0; k < i && !same; k++)
            same = strcmp(e[k].model.path, path) ? NULL : &e[k].model;
        ok = load_one(cli, path, same, e[i].name, &e[i].model);
    }
    for (uint32_t i = 0; i < n && ok; i++)
        ok = make_states(cli, n, e, i);
    ok = ok && cli_statistics(cli, &e[0].model);
    for (uint32_t i = 1; i < n && ok; i++)
        ok = entry_statistics(cli, &e[i]);
    return ok;
}

bool cli_is_stats(const char *path)
{
    static const char suffix[] = ".stats";
    size_t n = strlen(path), k = sizeof suffix - 1;
    return n >= k && !strcmp(path + n - k, suffix);
}

/* Which source of scales this command line means: by default samples where there are some, a probe
 * where values are stored low and nothing better is given. */
static void choose_scales(Cli *cli, const ScalecModel *m, const ScRecipe *r)
{
    if (cli->calibrate && !cli->scales_given)
        cli->opt.scales = SC_SCALES_CALIBRATE;
    if (cli->calibrate || cli->scales_given || (m->graph->flags & SC_G_SCALED))
        return;
    if (sc_recipe_stores_low(r) && sc_recipe_is_static(r, cli->opt.source))
        cli->opt.scales = SC_SCALES_PROBE;
}

static bool calibrate(Cli *cli, const ScGraph *raised, ScalecRuns *runs)
{
    SC_STAGE(cli->cx, "calibrate");
    ScalecSamples *s = scalec_samples_open(cli->cx, raised, cli->calibrate, &cli->sample);
    if (s)
        cli->opt.stats = scalec_calibrate(cli->cx, raised, s, runs);
    scalec_samples_close(s);
    return cli->opt.stats != NULL;
}

bool cli_add_samples(Cli *cli, ScalecSamples *s, double seconds, ScDamage *d, uint32_t *ret)
{
    SC_STAGE(cli->cx, "samples");
    const ScrtTensor *in;
    double begin = cli_now(), spent = 0;
    uint32_t n = scalec_samples_count(s), i = 0;
    bool ok = true;
    for (; ok && i < n && (i == 0 || spent < seconds); i++) {
        sc_stage_share(cli->cx, (uint64_t)(1000 * fmax((double)i / n, spent / seconds)), 1000);
        ok = scalec_samples_get(s, i, &in) && sc_damage_add(d, in);
        spent = cli_now() - begin;
    }
    *ret = i;
    return ok;
}

/* Statistics of the raised graph, of samples or a probe. Without any where the model cannot be run
 * on synthetic inputs: a warning says why. */
static bool measure(Cli *cli, const ScGraph *raised, ScalecRuns *runs)
{
    if (cli->opt.scales != SC_SCALES_PROBE)
        return calibrate(cli, raised, runs);
    cli->opt.stats = scalec_probe(cli->cx, raised, runs);
    if (!cli->opt.stats)
        cli->opt.scales = SC_SCALES_PROPAGATE;
    cli->runs_failed = !cli->opt.stats;
    return true;
}

static bool save_statistics(Cli *cli)
{
    ScStr text = {0};
    sc_stats_print(cli->opt.stats, &text);
    bool ok = scalec_write_file(cli->cx, cli->save_stats, sc_str_get(&text), text.n);
    sc_str_free(&text);
    return ok;
}

/* What compile compares with: the runs that gave the scales, or else one on synthetic inputs. */
static void run_for_cost(Cli *cli, const ScGraph *raised)
{
    if (cli->runs.n == 0 && !cli->runs_failed)
        cli->runs_failed = !scalec_try(cli->cx, raised, &cli->runs);
}

bool cli_statistics(Cli *cli, const ScalecModel *m)
{
    const ScRecipe *r = sc_recipe(cli->cx, cli->opt.recipe ? cli->opt.recipe : "f32");
    if (!r)
        return false;
    choose_scales(cli, m, r);
    if (cli->opt.scales == SC_SCALES_PROPAGATE && cli->save_stats) {
        cli->usage = true;
        return sc_fail_file(cli->cx, NULL, SC_E_UNMEASURED, "--save-stats: nothing is measured");
    }
    bool is_object = cli->opt.output != NULL, measures = cli->opt.scales != SC_SCALES_PROPAGATE;
    bool costs = is_object && !sc_recipe_is_plain(r) && !(m->graph->flags & SC_G_SCALED);
    if (measures && cli->calibrate && cli_is_stats(cli->calibrate)) {
        cli->opt.stats = scalec_read_stats(cli->cx, cli->calibrate);
        if (!cli->opt.stats)
            return false;
        measures = false;
    }
    if (!measures && !costs)
        return true;
    ScGraph *raised = scalec_raised(cli->cx, m, &cli->opt);
    bool ok = raised && (!measures || measure(cli, raised, is_object ? &cli->runs : NULL));
    if (ok && costs)
        run_for_cost(cli, raised);
    sc_graph_free(raised);
    return ok && cli->save_stats && cli->opt.stats && measures ? save_statistics(cli) : ok;
}

static int dispatch(Cli *cli)
{
    static const struct {
        const char *name;
        int (*run)(Cli *cli);
    } table[] = {{"compile", cmd_compile}, {"run", cmd_run},  {"dump", cmd_dump},
                 {"check", cmd_check},     {"ops", cmd_ops},  {"explain", cmd_explain},
                 {"rewrite", cmd_rewrite}, {"diff", cmd_diff}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, cli->command))
            return table[i].run(cli);
    return EXIT_USAGE;
}

/* Large files are mapped; where one is cut short meanwhile there is nothing left to read. */
static void on_cut_file(int signal_number)
{
    static const char text[] = "scalec: a file was cut short while it was read\n";
    (void)signal_number;
    scrt_temporaries_remove();
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    _exit(n < 0 ? EXIT_BUG : EXIT_INPUT);
}

static void on_no_memory(size_t bytes)
{
    scrt_temporaries_remove();
    fputs("scalec: out of memory", stderr);
    if (bytes > 0)
        fprintf(stderr, ": %zu bytes more are needed", bytes);
    fputc('\n', stderr);
    _exit(EXIT_INPUT);
}

void cli_print_json(const json_t *j)
{
    json_dumpf(j, stdout, JSON_INDENT(1) | JSON_ENCODE_ANY);
    putchar('\n');
}

static int no_command(const char *word)
{
    const char *near = cli_nearest_command(word);
    ScStr said = sc_without_middles(word);
    fprintf(stderr, "scalec: there is no command \"%s\"%s%s%s; see scalec --help\n",
            sc_str_get(&said), near ? "; " : "", near ? near : "", near ? " is near" : "");
    sc_str_free(&said);
    return EXIT_USAGE;
}

/* scalec help [COMMAND], and what the table of options is made into for man and the shell. */
static int help(int argc, char **argv)
{
    static const struct {
        const char *word;
        void (*print)(void);
    } made[] = {{"--man", cli_man_page},
                {"--bash", cli_bash_completion},
                {"--zsh", cli_zsh_completion},
                {"--fish", cli_fish_completion}};
    const CliCommand *c = argc > 2 ? cli_find_command(argv[2]) : NULL;
    for (size_t i = 0; argc > 2 && i < sizeof made / sizeof *made; i++)
        if (!strcmp(argv[2], made[i].word)) {
            made[i].print();
            return 0;
        }
    if (c)
        cli_command_help(c);
    else if (argc > 2 && strcmp(argv[2], "help"))
        return no_command(argv[2]);
    else
        cli_usage(stdout);
    return 0;
}

static int run_command(int argc, char **argv)
{
    int status;
    Cli cli = {.cx = sc_ctx_new(), .command = argv[1]};
    CliWatch *watch = cli.watch = cli_watch_begin(cli.cx, cli.command);
    if (cli_parse(&cli, argc - 1, argv + 1, &status)) {
        cli_note_inputs(&cli);
        status = dispatch(&cli);
    }
    cli_watch_stop(watch);
    cli_free(&cli);
    sc_ctx_free(cli.cx);
    if (cli.time_passes)
        cli_watch_print(watch);
    cli_watch_free(watch);
    return status;
}

int main(int argc, char **argv)
{
    const char *word = argc >= 2 ? argv[1] : "";
    int status = EXIT_USAGE;
    scalec_end_on_signals();
    signal(SIGBUS, on_cut_file);
    sc_set_memory_hook(on_no_memory);
    if (argc < 2)
        cli_usage(stderr);
    else if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help"))
        status = help(argc, argv);
    else if (!strcmp(word, "--version") || !strcmp(word, "version"))
        status = printf("scalec %s\n", SCALEC_VERSION) < 0;
    else if (cli_find_command(word))
        status = run_command(argc, argv);
    else
        status = no_command(word);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "scalec: standard output could not be written\n");
        return status ? status : EXIT_INPUT;
    }
    return status;
}
