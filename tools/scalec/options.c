/* SPDX-License-Identifier: Apache-2.0 */
/* Options: a row says who takes it, what it takes and what it means. */
#include "tools/scalec/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { COMPILE = 1, RUN = 2, DUMP = 4, CHECK = 8, OPS = 16, EXPLAIN = 32, MODEL = 15 };

static const struct Command {
    const char *name, *args, *doc;
    uint32_t bit, min_args, max_args;
} commands[] = {
    {"compile", "MODEL -o OUT", "compile to an executable, shared object, object or text", COMPILE,
     1, 1},
    {"run", "MODEL [-i name=x.npy]...",
     "compile in memory and run, or compare with expected outputs", RUN, 1, 1},
    {"dump", "MODEL", "print the graph at any stage of the pipeline", DUMP, 1, 1},
    {"check", "MODEL --data PATH",
     "run low precision beside f32 and rank what is stored by its cost", CHECK, 1, 1},
    {"ops", "", "the operators that are supported, from the op table", OPS, 0, 0},
    {"explain", "E0203", "what an error means", EXPLAIN, 1, 1},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

typedef enum OptId {
    O_OUTPUT,
    O_EMIT,
    O_RECIPE,
    O_SCALES,
    O_CALIBRATE,
    O_SAVE_STATS,
    O_DIM,
    O_CPU,
    O_TARGET,
    O_DISABLE,
    O_DUMP_AFTER,
    O_VERIFY,
    O_TIME,
    O_EVAL_EACH,
    O_SYMBOL,
    O_EMBED,
    O_FAULT,
    O_INPUT,
    O_EVALUATE,
    O_THREADS,
    O_TOP,
    O_DATA,
    O_RTOL,
    O_ATOL,
    O_BUDGET,
    O_BENCH,
    O_PROFILE,
    O_REPEAT,
    O_STATE_LOAD,
    O_STATE_SAVE,
    O_STAGE,
    O_FORMAT,
    O_DTYPE,
    O_JSON,
    O_HELP,
    N_OPTS,
} OptId;

static const struct Opt {
    const char *name, *arg, *doc; /* arg NULL: takes none; doc NULL: not shown */
    char letter;
    uint32_t who;
} opts[N_OPTS] = {
    [O_OUTPUT] = {"output", "OUT", "file to write; - is standard output", 'o',
                  COMPILE | RUN | DUMP},
    [O_EMIT] = {"emit", "KIND", "exe (default), so, obj, asm or llvm", 0, COMPILE},
    [O_RECIPE] = {"recipe", "R", "f32 (default), f16, bf16, fp8, fp8-weights, or a recipe file", 0,
                  MODEL},
    [O_SCALES] = {"scales", "S", "propagate, probe or calibrate; by default the best that is given",
                  0, MODEL},
    [O_CALIBRATE] = {"calibrate", "FILE", "sample inputs (.npz, .npy or a folder) or a .stats file",
                     0, MODEL},
    [O_SAVE_STATS] = {"save-stats", "FILE", "write what --calibrate or the probe measured", 0,
                      MODEL},
    [O_DIM] = {"dim", "NAME=N", "give a symbolic dimension a size; may be repeated", 0, MODEL},
    [O_CPU] = {"cpu", "CPU", "native (default), x86-64-v2, x86-64-v3, x86-64-v4 or LLVM's name", 0,
               COMPILE | DUMP},
    [O_TARGET] = {"target", "TRIPLE", "LLVM target triple; the host's by default", 0,
                  COMPILE | DUMP},
    [O_DISABLE] = {"disable", "PASS", "leave a pass out; may be repeated", 0, MODEL},
    [O_DUMP_AFTER] = {"dump-after", "STAGE", "print the graph after a stage, or after `all`", 0,
                      COMPILE | RUN | CHECK},
    [O_VERIFY] = {"verify", NULL, "verify and round-trip the graph after every pass", 0, MODEL},
    [O_TIME] = {"time-passes", NULL, "say how long each pass took", 0, COMPILE | RUN | DUMP},
    [O_EVAL_EACH] = {"eval-each", NULL,
                     "with --data: run every stage and name the pass that differs", 0,
                     COMPILE | DUMP},
    [O_SYMBOL] = {"symbol", "NAME", "C identifier of the model in the object", 0, COMPILE},
    [O_EMBED] = {"embed-limit", "BYTES", "weights above this go to OUT.weights; 64 MiB by default",
                 0, COMPILE},
    [O_FAULT] = {"fault-tail", NULL, NULL, 0, COMPILE | RUN},
    [O_INPUT] = {"input", "NAME=FILE", "an input from .npy, or all of them from .npz", 'i', RUN},
    [O_EVALUATE] = {"evaluate", NULL, "use the evaluator instead of compiled code", 0, RUN},
    [O_THREADS] = {"threads", "N", "threads to run on; one for each processor by default", 0, RUN},
    [O_TOP] = {"top", "N", "show the N largest elements, or the N worst tensors", 0, RUN | CHECK},
    [O_DATA] = {"data", "PATH", "sample inputs; a test_data_set folder also has expected outputs",
                0, RUN | CHECK | COMPILE | DUMP},
    [O_RTOL] = {"rtol", "X", "relative tolerance (1e-3)", 0, RUN | COMPILE | DUMP},
    [O_ATOL] = {"atol", "X", "absolute tolerance (1e-5)", 0, RUN},
    [O_BUDGET] = {"budget", "SECONDS", "how long to try sites one by one; 60 by default", 0, CHECK},
    [O_BENCH] = {"bench", NULL, "time it; with --json: median_ms", 0, RUN},
    [O_PROFILE] = {"profile", NULL, "time each kernel", 0, RUN},
    [O_REPEAT] = {"repeat", "N", "run N times, states moving on", 0, RUN},
    [O_STATE_LOAD] = {"state-load", "FILE", "states to begin with (.npz)", 0, RUN},
    [O_STATE_SAVE] = {"state-save", "FILE", "where the states go at the end (.npz)", 0, RUN},
    [O_STAGE] =
        {"stage", "STAGE",
         "import, fold, simplify, raise, scalify, quantize, settle, expand or fuse (default)", 0,
         DUMP},
    [O_FORMAT] = {"format", "F", "text (default), dot or json", 0, DUMP},
    [O_DTYPE] = {"dtype", "T", "only operators that take this element type", 0, OPS},
    [O_JSON] = {"json", NULL, "print JSON for programs", 0, RUN | CHECK | OPS | COMPILE | DUMP},
    [O_HELP] = {"help", NULL, "this text", 'h', ~0u},
};

static const struct Command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

bool cli_is_command(const char *name)
{
    return find_command(name) != NULL;
}

void cli_usage(FILE *f)
{
    fprintf(f, "usage: scalec COMMAND [OPTION]...\n\n");
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].doc);
    fprintf(
        f, "\nscalec COMMAND --help says more. MODEL is an ONNX file or a text graph, - is "
           "standard input."
           "\nExit status: 0 done, 1 the input is at fault, 2 usage, 3 results differ, 70 a bug of "
           "scalec.\n");
}

static void command_help(const struct Command *c)
{
    printf("usage: scalec %s %s [OPTION]...\n%s\n\n", c->name, c->args, c->doc);
    for (int i = 0; i < N_OPTS; i++) {
        char left[64];
        if (!opts[i].doc || !(opts[i].who & c->bit))
            continue;
        snprintf(left, sizeof left, "%c%c%s --%s%s%s", opts[i].letter ? '-' : ' ',
                 opts[i].letter ? opts[i].letter : ' ', opts[i].letter ? "," : " ", opts[i].name,
                 opts[i].arg ? " " : "", opts[i].arg ? opts[i].arg : "");
        printf("  %-26s %s\n", left, opts[i].doc);
    }
}

int cli_misuse(const Cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "scalec %s: ", cli->command);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "; see scalec %s --help\n", cli->command);
    va_end(ap);
    return EXIT_USAGE;
}

/* --- Values ----------------------------------------------------------------------------------- */

static bool count_arg(const Cli *cli, const char *name, const char *text, uint64_t max,
                      uint64_t *ret)
{
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    if (errno || *end || text[0] < '0' || text[0] > '9' || v > max) {
        cli_misuse(cli, "--%s: \"%s\" is not a whole number up to %llu", name, text,
                   (unsigned long long)max);
        return false;
    }
    *ret = v;
    return true;
}

static bool real_arg(const Cli *cli, const char *name, const char *text, double *ret)
{
    char *end;
    double v = strtod(text, &end);
    if (*end || end == text || !(v >= 0)) {
        cli_misuse(cli, "--%s: \"%s\" is not a number of 0 or more", name, text);
        return false;
    }
    *ret = v;
    return true;
}

static bool dim_arg(Cli *cli, const char *text)
{
    const char *eq = strrchr(text, '=');
    uint64_t v;
    if (!eq || eq == text) {
        cli_misuse(cli, "--dim: \"%s\" is not NAME=N", text);
        return false;
    }
    if (!count_arg(cli, "dim", eq + 1, INT32_MAX, &v))
        return false;
    sc_buf_push(cli->dim_name.item, cli->dim_name.n, cli->dim_name.cap,
                sc_intern_n(cli->cx, text, (size_t)(eq - text)));
    sc_buf_push(cli->dim_value, cli->n_dim_value, cli->cap_dim_value, (int64_t)v);
    return true;
}

static bool scales_arg(Cli *cli, const char *text)
{
    static const char *const name[] = {"propagate", "calibrate", "probe"};
    cli->scales_given = true;
    for (uint32_t i = 0; i < 3; i++)
        if (!strcmp(text, name[i])) {
            cli->opt.scales = (ScScales)i;
            return true;
        }
    cli_misuse(cli, "--scales: \"%s\" is not propagate, probe or calibrate%s", text,
               !strcmp(text, "delayed") || !strcmp(text, "dynamic")
                   ? " (scales measured at run time are not supported by this version)"
                   : "");
    return false;
}

static const char **text_slot(Cli *cli, OptId id)
{
    switch (id) {
    case O_OUTPUT:
        return &cli->output;
    case O_EMIT:
        return &cli->emit;
    case O_RECIPE:
        return &cli->opt.recipe;
    case O_CALIBRATE:
        return &cli->calibrate;
    case O_SAVE_STATS:
        return &cli->save_stats;
    case O_CPU:
        return &cli->opt.cpu;
    case O_TARGET:
        return &cli->opt.target;
    case O_DUMP_AFTER:
        return &cli->dump_after;
    case O_SYMBOL:
        return &cli->opt.symbol;
    case O_DATA:
        return &cli->data;
    case O_STATE_LOAD:
        return &cli->state_load;
    case O_STATE_SAVE:
        return &cli->state_save;
    case O_STAGE:
        return &cli->stage;
    case O_FORMAT:
        return &cli->format;
    case O_DTYPE:
        return &cli->dtype;
    default:
        return NULL;
    }
}

static bool *flag_slot(Cli *cli, OptId id)
{
    switch (id) {
    case O_VERIFY:
        return &cli->opt.verify;
    case O_TIME:
        return &cli->time_passes;
    case O_EVAL_EACH:
        return &cli->eval_each;
    case O_FAULT:
        return &cli->opt.fault_tail;
    case O_EVALUATE:
        return &cli->evaluate;
    case O_BENCH:
        return &cli->bench;
    case O_PROFILE:
        return &cli->profile;
    case O_JSON:
        return &cli->json;
    default:
        return NULL;
    }
}

static bool set(Cli *cli, OptId id, const char *arg)
{
    const char *name = opts[id].name, **text = text_slot(cli, id);
    bool *flag = flag_slot(cli, id);
    uint64_t v = 0;
    if (text)
        *text = arg;
    else if (flag)
        *flag = true;
    else if (id == O_SCALES)
        return scales_arg(cli, arg);
    else if (id == O_DIM)
        return dim_arg(cli, arg);
    else if (id == O_DISABLE)
        sc_buf_push(cli->disable.item, cli->disable.n, cli->disable.cap, arg);
    else if (id == O_INPUT)
        sc_buf_push(cli->input.item, cli->input.n, cli->input.cap, arg);
    else if (id == O_RTOL)
        return real_arg(cli, name, arg, &cli->rtol);
    else if (id == O_ATOL)
        return real_arg(cli, name, arg, &cli->atol);
    else if (id == O_BUDGET)
        return (cli->budget_given = real_arg(cli, name, arg, &cli->budget));
    else if (!count_arg(cli, name, arg, id == O_EMBED ? UINT64_MAX : 1u << 20, &v))
        return false;
    else if (id == O_EMBED)
        cli->opt.embed_limit = v ? v : 1;
    else if (id == O_THREADS)
        cli->threads = (uint32_t)v;
    else if (id == O_TOP)
        cli->top = (uint32_t)v;
    else if (id == O_REPEAT)
        cli->repeat = (uint32_t)v;
    return true;
}

bool cli_parse(Cli *cli, int argc, char **argv, int *ret_status)
{
    const struct Command *c = find_command(cli->command);
    struct option longs[N_OPTS + 1] = {0};
    char shorts[2 * N_OPTS + 2] = "";
    int n = 0, k = 0, got;
    for (int i = 0; i < N_OPTS; i++) {
        if (!(opts[i].who & c->bit))
            continue;
        longs[n++] = (struct option){opts[i].name, opts[i].arg ? required_argument : no_argument,
                                     NULL, 256 + i};
        if (opts[i].letter) {
            shorts[k++] = opts[i].letter;
            if (opts[i].arg)
                shorts[k++] = ':';
        }
    }
    *ret_status = EXIT_USAGE;
    cli->rtol = 1e-3;
    cli->atol = 1e-5;
    while ((got = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        int id = got - 256;
        for (int i = 0; got < 256 && i < N_OPTS; i++)
            if (opts[i].letter == got && (opts[i].who & c->bit))
                id = i;
        if (id < 0) /* getopt has said why */
            return false;
        if (id == O_HELP) {
            command_help(c);
            *ret_status = 0;
            return false;
        }
        if (!set(cli, (OptId)id, optarg))
            return false;
    }
    for (int i = optind; i < argc; i++)
        sc_buf_push(cli->args.item, cli->args.n, cli->args.cap, argv[i]);
    if (cli->args.n < c->min_args || cli->args.n > c->max_args) {
        cli_misuse(cli, c->max_args ? "one argument is needed: %s" : "no arguments are taken%s",
                   c->args);
        return false;
    }
    cli->opt.disable = cli->disable.item;
    cli->opt.n_disable = cli->disable.n;
    return true;
}

void cli_free(Cli *cli)
{
    sc_buf_free(cli->args.item);
    sc_buf_free(cli->input.item);
    sc_buf_free(cli->disable.item);
    sc_buf_free(cli->dim_name.item);
    sc_buf_free(cli->dim_value);
    sc_str_free(&cli->dumped);
}
