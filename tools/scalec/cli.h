/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: one table of options that parses and explains itself, one function a
 * subcommand. */
#ifndef SC_CLI_H
#define SC_CLI_H

#include "tools/libscalec/scalec.h"
#include "tools/scalec/watch.h"

#include <jansson.h>

/* Exit statuses, for scripts. */
enum { EXIT_INPUT = 1, EXIT_USAGE = 2, EXIT_DIFFER = 3, EXIT_BUG = 70 };

typedef struct CliList {
    const char **item;
    uint32_t n, cap;
} CliList;

typedef struct Cli {
    ScCtx *cx;
    const char *command;
    CliList args; /* what is no option */
    const char *output, *emit, *stage, *format, *calibrate, *save_stats, *lines, *data, *dump_after;
    const char *state_load, *state_save, *dtype, *labels, *image, *why, *onnx_profile;
    const char *metric; /* of check: a command */
    const char *order;  /* of check: rank (NULL is it) or graph */
    const char *html;   /* of check: a page */
    ScalecOptions opt;
    bool json, evaluate, time_passes, bench, profile, eval_each, scales_given, budget_given,
        suggest_given;
    bool internal, all, print_link, verbose;
    bool tolerance_given; /* --rtol or --atol */
    bool usage;           /* the command line is at fault, as only the model shows */
    uint32_t threads, top, repeat;
    double suggest;            /* dB that check is to find a recipe for */
    double rtol, atol, budget; /* budget: seconds for what check measures */
    CliList input, shape, disable, dim_name;
    CliList entry;              /* NAME, or NAME=MODEL */
    ScalecSampleOptions sample; /* image and shape */
    int64_t *dim_value;
    uint32_t n_dim_value, cap_dim_value;
    ScStateRule *state;
    uint32_t n_state, cap_state, state_capacity;
    CliWatch *watch;
    ScalecSummary given, last; /* of the graph that was given, and of the last one of no kernels */
    ScalecRuns runs;           /* of the f32 graph, on samples or synthetic inputs: for compile */
    bool runs_failed;          /* it could not be run on synthetic inputs */
    ScStr dumped; /* what --dump-after printed, for standard output once all went well */
} Cli;

/* Parses argv[1..] for cli->command. False after a message on standard error; *ret_status says how
 * to exit (0 after --help). */
bool cli_parse(Cli *cli, int argc, char **argv, int *ret_status);
bool cli_is_stats(const char *path); /* of statistics, by its name */
void cli_print_json(const json_t *j);
json_t *cli_json_real(double x);                       /* null where x is not finite */
bool cli_is_word(const char *words, const char *text); /* one of them, which spaces separate */
const char *cli_nearest_command(const char *word);     /* NULL: none is near */
void cli_usage(FILE *f);                               /* all subcommands */
void cli_man_page(void); /* from the table of options, on standard output */
void cli_bash_completion(void);
void cli_zsh_completion(void);
void cli_fish_completion(void);
void cli_free(Cli *cli);
/* Whether the options that were given go together. False after a message. */
bool cli_goes_together(Cli *cli);
/* Whether all files that the command line would write are apart. False after a message. */
bool cli_files_apart(Cli *cli);
/* Whether each of them can be made: asked before the work whose result they get. False with errors.
 */
bool cli_can_write(Cli *cli);
/* Notes the files that it names as inputs as read, before anything is written: one that is read
 * late, or by the runtime, must be no output either. Recipes are noted as they are read. */
void cli_note_inputs(Cli *cli);
ScalecOutput cli_emit_kind(const Cli *cli); /* what --emit names */

/* A usage error on standard error; answers EXIT_USAGE. */
int cli_misuse(const Cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints the session's diagnostics on standard error and answers the exit status that they mean. */
int cli_failed(Cli *cli);
/* The same when there may be only warnings: prints them and answers 0. */
int cli_done(Cli *cli);

/* The model of the first argument, with --dim; and the statistics for --scales calibrate. */
bool cli_load(Cli *cli, ScalecModel *ret);
bool cli_statistics(Cli *cli, const ScalecModel *m);
/* That model as entry "main", and those of --entry with their dims, states and statistics: *ret_n
 * entries, which the caller frees the graphs of even where it fails. */
bool cli_load_entries(Cli *cli, ScalecEntry **ret, uint32_t *ret_n);
bool cli_is_several(const Cli *cli); /* whether --recipe is a list, with commas */
/* check with several recipes: prints their columns. */
bool cli_columns(Cli *cli, const ScalecModel *m);
/* The numbers of several recipes, or of one, printed too if so asked; NULL with errors. */
json_t *cli_columns_json(Cli *cli, const ScalecModel *m, bool print);
/* What check says of each tensor under cli's one recipe; alone: it prints and suggests as well.
 * NULL with errors. */
json_t *cli_check_tensors(Cli *cli, const ScalecModel *m, bool alone);
bool cli_sheet(Cli *cli, const ScalecModel *m); /* check --html */
/* Runs samples for d in the evaluator until so many seconds have passed, one at least: the stage
 * "samples". ret gets how many. */
bool cli_add_samples(Cli *cli, ScalecSamples *s, double seconds, ScDamage *d, uint32_t *ret);

static inline ScalecProfile cli_profile(const Cli *cli)
{
    return cli->onnx_profile && *cli->onnx_profile == 'c' ? SCALEC_CAST : SCALEC_QDQ;
}

int cmd_compile(Cli *cli);
int cmd_run(Cli *cli);
int cmd_dump(Cli *cli);
int cmd_check(Cli *cli);
int cmd_rewrite(Cli *cli);
int cmd_diff(Cli *cli);
int cmd_ops(Cli *cli);
int cmd_explain(Cli *cli);

#endif
