/* SPDX-License-Identifier: Apache-2.0 */
/* Options: a row says who takes it, what it takes and what it means. */
#include "tools/scalec/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMPILE = 1,
    RUN = 2,
    DUMP = 4,
    CHECK = 8,
    OPS = 16,
    EXPLAIN = 32,
    REWRITE = 64,
    DIFF = 128,
    MODEL = COMPILE | RUN | DUMP | CHECK | REWRITE | DIFF
};

const CliCommand cli_commands[] = {
    {"compile", "MODEL -o OUT", "compile to an executable, shared object, object or text", COMPILE,
     1, 1, "scalec compile mnist.onnx --recipe fp8 -o mnist"},
    {"run", "MODEL [-i NAME=FILE]...",
     "compile in memory and run, or compare with expected outputs", RUN, 1, 1,
     "scalec run mnist.onnx -i digit.npy --top 3"},
    {"dump", "MODEL", "print the graph at any stage of the pipeline", DUMP, 1, 1,
     "scalec dump mnist.onnx --recipe fp8 --stage scalify"},
    {"rewrite", "MODEL -o OUT.onnx",
     "write the scaled, quantized graph as standard ONNX for other runtimes", REWRITE, 1, 1,
     "scalec rewrite mnist.onnx --recipe fp8 -o small.onnx"},
    {"check", "MODEL --data PATH",
     "run low precision beside f32 and rank what is stored by its cost", CHECK, 1, 1,
     "scalec check mnist.onnx --recipe fp8 --data samples.npz"},
    {"diff", "A B", "where two graphs differ, node by node, and their values on samples", DIFF, 2,
     2, "scalec diff before.onnx after.onnx --data samples.npz"},
    {"ops", "[MODEL]", "the operators that are supported, or those of a model", OPS, 0, 1,
     "scalec ops resnet.onnx"},
    {"explain", "E0203", "what an error means", EXPLAIN, 0, 1, "scalec explain E0203"},
};
const uint32_t cli_n_commands = sizeof cli_commands / sizeof *cli_commands;

typedef enum OptId {
    O_OUTPUT,
    O_EMIT,
    O_RECIPE,
    O_SCALES,
    O_CALIBRATE,
    O_SAVE_STATS,
    O_SATURATIONS,
    O_DIM,
    O_STATE,
    O_STATE_CAPACITY,
    O_ENTRY,
    O_CPU,
    O_TARGET,
    O_DISABLE,
    O_DUMP_AFTER,
    O_VERIFY,
    O_TIME,
    O_EVAL_EACH,
    O_SYMBOL,
    O_LINES,
    O_EMBED,
    O_ONNX_PROFILE,
    O_FAULT,
    O_INPUT,
    O_EVALUATE,
    O_THREADS,
    O_TOP,
    O_LABELS,
    O_IMAGE,
    O_SHAPE,
    O_DATA,
    O_RTOL,
    O_ATOL,
    O_BUDGET,
    O_SUGGEST,
    O_METRIC,
    O_ORDER,
    O_HTML,
    O_BENCH,
    O_PROFILE,
    O_REPEAT,
    O_STATE_LOAD,
    O_STATE_SAVE,
    O_STAGE,
    O_FORMAT,
    O_WHY,
    O_DTYPE,
    O_JSON,
    O_INTERNAL,
    O_ALL,
    O_PRINT_LINK,
    O_VERBOSE,
    O_HELP,
    N_OPTS,
} OptId;

const CliOption cli_options[] = {
    [O_OUTPUT] = {"output", "OUT", "file to write; - is standard output", 'o',
                  COMPILE | RUN | DUMP | REWRITE | CHECK},
    [O_EMIT] = {"emit", "KIND", "exe (default), so, obj, asm or llvm", 0, COMPILE,
                .choice = "exe so obj asm llvm"},
    [O_RECIPE] = {"recipe", "R",
                  "f32 (default), f16, bf16, fp8, fp8-weights, mxfp8, mxfp6, mxfp4-weights, or a "
                  "recipe file; for check also several, A,B",
                  0, MODEL, .hint = "f32 f16 bf16 fp8 fp8-weights mxfp8 mxfp6 mxfp4-weights"},
    [O_SCALES] = {"scales", "S",
                  "propagate, probe or calibrate, by default the best that is given; dynamic, "
                  "dynamic-rows, delayed",
                  0, MODEL, .choice = "propagate probe calibrate dynamic dynamic-rows delayed"},
    [O_CALIBRATE] = {"calibrate", "FILE",
                     "sample inputs (arrays, pictures, a folder of them) or a .stats file", 0,
                     MODEL},
    [O_SAVE_STATS] = {"save-stats", "FILE", "write what --calibrate or the probe measured", 0,
                      MODEL & ~DIFF},
    [O_SATURATIONS] = {"saturations", NULL,
                       "count the elements that saturate in each tensor that a run stores low; "
                       "run prints them, a program does for its own --saturations",
                       0, COMPILE | RUN | DUMP},
    [O_DIM] =
        {"dim", "NAME=N",
         "give a symbolic dimension a size; ENTRY:NAME=N: in that entry alone; may be repeated", 0,
         MODEL},
    [O_STATE] = {"state", "OUT=IN",
                 "keep input IN in the program: output OUT is its next value; * stands for the "
                 "same text in both; may be repeated",
                 0, MODEL},
    [O_STATE_CAPACITY] = {"state-capacity", "N",
                          "the most that such a state grows to; 2048 by default", 0, MODEL},
    [O_ENTRY] = {"entry", "NAME[=MODEL]",
                 "one more entry of the program: of that model, or of the first with other sizes; "
                 "all share weights, and states of equal names; may be repeated",
                 0, COMPILE},
    [O_CPU] = {"cpu", "CPU",
               "native (default), x86-64-v2, x86-64-v3, x86-64-v4 or LLVM's name; several, A,B: "
               "code for each, of which the last runs that the processor has; fat: "
               "x86-64-v3,x86-64-v4,sapphirerapids, on AArch64 "
               "generic,armv8.2-a+fp16,armv8.6-a+bf16",
               0, COMPILE | DUMP, .hint = "native fat x86-64-v2 x86-64-v3 x86-64-v4"},
    [O_TARGET] = {"target", "TRIPLE",
                  "LLVM target triple, the host's by default; objects are made for "
                  "aarch64-linux-gnu too",
                  0, COMPILE | DUMP, .hint = "x86_64-linux-gnu aarch64-linux-gnu"},
    [O_DISABLE] = {"disable", "PASS", "leave a pass out; may be repeated", 0, MODEL},
    [O_DUMP_AFTER] = {"dump-after", "STAGE", "print the graph after a stage, or after `all`", 0,
                      COMPILE | RUN | CHECK},
    [O_VERIFY] = {"verify", NULL, "verify and round-trip the graph after every pass", 0, MODEL},
    [O_TIME] = {"time-passes", NULL, "say how long each stage took", 0, MODEL},
    [O_EVAL_EACH] = {"eval-each", NULL,
                     "with --data: run every stage and name the pass that differs", 0,
                     COMPILE | DUMP},
    [O_LINES] = {"lines", "FILE",
                 "write the graph of kernels to FILE and give the code debug lines of it, for perf "
                 "annotate, objdump -l and gdb",
                 0, COMPILE},
    [O_SYMBOL] = {"symbol", "NAME", "C identifier of the model in the object", 0, COMPILE},
    [O_EMBED] = {"embed-limit", "BYTES",
                 "weights above this go to OUT.weights (64 MiB by default), of ONNX to OUT.data "
                 "(1 GiB)",
                 0, COMPILE | DUMP | REWRITE},
    [O_ONNX_PROFILE] = {"profile", "P",
                        "how FP8 is written: qdq (default), QuantizeLinear and DequantizeLinear, "
                        "or cast, casts and products with powers of two",
                        0, REWRITE | DUMP, .choice = "qdq cast"},
    [O_FAULT] = {"fault-tail", NULL, NULL, 0, COMPILE | RUN},
    [O_INPUT] = {"input", "NAME=FILE",
                 "an input: .npy, .npz, .safetensors, .pb, .bin or a picture; or all of them", 'i',
                 RUN},
    [O_EVALUATE] = {"evaluate", NULL, "use the evaluator instead of compiled code", 0, RUN},
    [O_THREADS] = {"threads", "N", "threads to run on; one for each processor by default", 0, RUN},
    [O_TOP] = {"top", "N", "show the N largest elements, or the N worst tensors", 0, RUN | CHECK},
    [O_LABELS] = {"labels", "FILE", "with --top: line i names element i", 0, RUN},
    [O_IMAGE] =
        {"image", "KEY=VALUE,...",
         "how pictures become inputs; without it stretched to their size, bytes / 255: "
         "resize=SIDE or WxH, crop=SIDE or WxH, pad=GREY, "
         "filter=bilinear, bicubic or nearest; scale=1/255, mean=R,G,B, std=R,G,B: "
         "(byte * scale - mean) / std; order=rgb or bgr; layout=nchw, nhwc, chw, hwc or hw; "
         "the other way for run's -o OUT.png, .ppm or .pgm",
         0, MODEL},
    [O_SHAPE] = {"shape", "NAME=D,D,...",
                 "the shape of an input from a .bin, where the model's is open", 0, MODEL},
    [O_DATA] =
        {"data", "PATH",
         "sample inputs, as for --calibrate; a test_data_set folder also has expected outputs", 0,
         RUN | CHECK | COMPILE | DUMP | DIFF},
    [O_RTOL] = {"rtol", "X", "relative tolerance of floats (1e-3)", 0, RUN | COMPILE | DUMP | DIFF},
    [O_ATOL] = {"atol", "X", "absolute tolerance (1e-5)", 0, RUN | DIFF},
    [O_SUGGEST] = {"suggest", "X",
                   "write to -o the recipe that keeps the fewest sites high until the outputs have "
                   "an SQNR of X dB, or --metric says X or more",
                   0, CHECK},
    [O_METRIC] =
        {"metric", "CMD",
         "with several recipes, or --suggest: a command that gets a folder, the outputs of "
         "sample N in N.npz, and prints a number",
         0, CHECK},
    [O_ORDER] = {"order", "O", "the table by rank (default) or as the graph goes: rank or graph", 0,
                 CHECK, .choice = "rank graph"},
    [O_HTML] = {"html", "FILE", "also write a page: recipes as columns, histograms, error by depth",
                0, CHECK},
    [O_BUDGET] = {"budget", "SECONDS",
                  "how long to look at tensors, then to try sites; 60 by default", 0, CHECK},
    [O_BENCH] = {"bench", NULL, "time it, on made-up inputs if none are given", 0, RUN},
    [O_PROFILE] = {"profile", NULL, "time each kernel, on such inputs if none are given", 0, RUN},
    [O_REPEAT] = {"repeat", "N", "run N times, states moving on", 0, RUN},
    [O_STATE_LOAD] = {"state-load", "FILE", "states to begin with (.npz)", 0, RUN},
    [O_STATE_SAVE] = {"state-save", "FILE", "where the states go at the end (.npz)", 0, RUN},
    [O_STAGE] =
        {"stage", "STAGE",
         "import (default of diff), fold, simplify, raise, scalify, quantize, settle (of html "
         "and onnx), expand, layout or fuse (of dump)",
         0, DUMP | DIFF},
    [O_WHY] = {"why", "TENSOR",
               "where a tensor's exponent comes from, instead of the graph; at stage settle unless "
               "another is named",
               0, DUMP},
    [O_FORMAT] = {"format", "F", "text, dot, json, html or onnx; by default as OUT ends, else text",
                  0, DUMP, .choice = "text dot json html onnx"},
    [O_DTYPE] = {"dtype", "T", "only operators that take this element type", 0, OPS},
    [O_JSON] = {"json", NULL, "print JSON for programs", 0,
                RUN | CHECK | OPS | COMPILE | DUMP | DIFF},
    [O_INTERNAL] = {"internal", NULL, "the compiler's own rows as well", 0, OPS},
    [O_ALL] = {"all", NULL, "every error and warning", 0, EXPLAIN},
    [O_PRINT_LINK] = {"print-link", NULL, "say how a program is linked with the result, so or obj",
                      0, COMPILE},
    [O_VERBOSE] = {"verbose", NULL,
                   "every node that is not supported, not the operators alone; of diff each "
                   "value that differs",
                   'v', MODEL | OPS},
    [O_HELP] = {"help", NULL, "this text", 'h', ~0u},
};
const uint32_t cli_n_options = N_OPTS;
_Static_assert(sizeof cli_options / sizeof *cli_options == N_OPTS, "an option without a row");

const CliCommand *cli_find_command(const char *name)
{
    for (uint32_t i = 0; i < cli_n_commands; i++)
        if (!strcmp(cli_commands[i].name, name))
            return &cli_commands[i];
    return NULL;
}

/* --- Values ----------------------------------------------------------------------------------- */

static bool count_arg(const Cli *cli, const char *name, const char *text, uint64_t min,
                      uint64_t max, uint64_t *ret)
{
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    if (errno || *end || text[0] < '0' || text[0] > '9' || v < min || v > max) {
        cli_misuse(cli, "--%s: \"%s\" is not a whole number from %llu to %llu", name, text,
                   (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *ret = v;
    return true;
}

static bool is_number(const char *text, double *ret)
{
    char *end;
    double v = strtod(text, &end);
    if (*end || end == text || !isfinite(v))
        return false;
    *ret = v;
    return true;
}

static bool number_arg(const Cli *cli, const char *name, const char *text, double *ret)
{
    if (is_number(text, ret))
        return true;
    cli_misuse(cli, "--%s: \"%s\" is not a number", name, text);
    return false;
}

static bool real_arg(const Cli *cli, const char *name, const char *text, double *ret)
{
    double v;
    if (is_number(text, &v) && v >= 0) {
        *ret = v;
        return true;
    }
    cli_misuse(cli, "--%s: \"%s\" is not a number of 0 or more", name, text);
    return false;
}

static bool dim_arg(Cli *cli, const char *text)
{
    const char *eq = strrchr(text, '=');
    uint64_t v;
    if (!eq || eq == text) {
        cli_misuse(cli, "--dim: \"%s\" is not NAME=N", text);
        return false;
    }
    if (!count_arg(cli, "dim", eq + 1, 0, INT32_MAX, &v))
        return false;
    sc_buf_push(cli->dim_name.item, cli->dim_name.n, cli->dim_name.cap,
                sc_intern_n(cli->cx, text, (size_t)(eq - text)));
    sc_buf_push(cli->dim_value, cli->n_dim_value, cli->cap_dim_value, (int64_t)v);
    return true;
}

static bool entry_arg(Cli *cli, const char *text)
{
    size_t n = strcspn(text, "=");
    bool twice = n == 4 && strncmp(text, "main", n) == 0;
    for (uint32_t i = 0; i < cli->entry.n; i++)
        twice = twice || (strncmp(cli->entry.item[i], text, n) == 0 &&
                          strcspn(cli->entry.item[i], "=") == n);
    if (n == 0 || (text[n] && !text[n + 1]) || memchr(text, ':', n)) {
        cli_misuse(cli, "--entry: \"%s\" is not NAME or NAME=MODEL", text);
        return false;
    }
    if (twice) {
        cli_misuse(cli, "--entry: there is another entry \"%.*s\"", (int)n, text);
        return false;
    }
    sc_buf_push(cli->entry.item, cli->entry.n, cli->entry.cap, text);
    return true;
}

static bool state_arg(Cli *cli, const char *text)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text || !eq[1] || strchr(eq + 1, '=')) {
        cli_misuse(cli, "--state: \"%s\" is not OUT=IN", text);
        return false;
    }
    ScStateRule r = {sc_intern_n(cli->cx, text, (size_t)(eq - text)), sc_intern(cli->cx, eq + 1)};
    const char *a = strchr(r.out, '*'), *b = strchr(r.in, '*');
    if (!a != !b || (a && (strchr(a + 1, '*') || strchr(b + 1, '*')))) {
        cli_misuse(cli, "--state: \"%s\" has not one * on either side", text);
        return false;
    }
    sc_buf_push(cli->state, cli->n_state, cli->cap_state, r);
    return true;
}

/* One of those that a run finds leaves open what is static beside it. */
static void set_scales(Cli *cli, const char *text)
{
    cli->opt.source = sc_source_named(text);
    cli->scales_given = cli->opt.source == SC_SOURCE_UNSAID;
    if (!cli->scales_given)
        return;
    cli->opt.source = SC_STATIC;
    cli->opt.scales = *text == 'c'     ? SC_SCALES_CALIBRATE
                      : text[3] == 'b' ? SC_SCALES_PROBE
                                       : SC_SCALES_PROPAGATE;
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
    case O_LINES:
        return &cli->lines;
    case O_CPU:
        return &cli->opt.cpu;
    case O_TARGET:
        return &cli->opt.target;
    case O_DUMP_AFTER:
        return &cli->dump_after;
    case O_SYMBOL:
        return &cli->opt.symbol;
    case O_LABELS:
        return &cli->labels;
    case O_IMAGE:
        return &cli->image;
    case O_DATA:
        return &cli->data;
    case O_METRIC:
        return &cli->metric;
    case O_ORDER:
        return &cli->order;
    case O_HTML:
        return &cli->html;
    case O_STATE_LOAD:
        return &cli->state_load;
    case O_STATE_SAVE:
        return &cli->state_save;
    case O_STAGE:
        return &cli->stage;
    case O_WHY:
        return &cli->why;
    case O_FORMAT:
        return &cli->format;
    case O_DTYPE:
        return &cli->dtype;
    case O_ONNX_PROFILE:
        return &cli->onnx_profile;
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
    case O_SATURATIONS:
        return &cli->opt.count_saturated;
    case O_BENCH:
        return &cli->bench;
    case O_PROFILE:
        return &cli->profile;
    case O_JSON:
        return &cli->json;
    case O_INTERNAL:
        return &cli->internal;
    case O_ALL:
        return &cli->all;
    case O_PRINT_LINK:
        return &cli->print_link;
    case O_VERBOSE:
        return &cli->verbose;
    default:
        return NULL;
    }
}

/* The words of a choice as a sentence has them: "a, b or c". */
static void say_choice(const char *choice, char *buf, size_t room)
{
    size_t n = 0;
    buf[0] = '\0';
    for (const char *p = choice; *p && n < room;) {
        int k = (int)strcspn(p, " ");
        const char *comma = p == choice ? "" : strchr(p, ' ') ? ", " : " or ";
        n += (size_t)snprintf(buf + n, room - n, "%s%.*s", comma, k, p);
        p += k + (p[k] == ' ');
    }
}

bool cli_is_word(const char *words, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = words; *p; p += strspn(p, " ")) {
        size_t k = strcspn(p, " ");
        if (k == n && !memcmp(p, text, n))
            return true;
        p += k;
    }
    return false;
}

static bool set(Cli *cli, OptId id, const char *arg)
{
    char words[200];
    if (cli_options[id].choice && !cli_is_word(cli_options[id].choice, arg)) {
        say_choice(cli_options[id].choice, words, sizeof words);
        cli_misuse(cli, "--%s: \"%s\" is not %s", cli_options[id].name, arg, words);
        return false;
    }
    const char *name = cli_options[id].name, **text = text_slot(cli, id);
    bool *flag = flag_slot(cli, id);
    uint64_t v = 0;
    if (text)
        *text = arg;
    else if (flag)
        *flag = true;
    else if (id == O_SCALES)
        set_scales(cli, arg);
    else if (id == O_DIM)
        return dim_arg(cli, arg);
    else if (id == O_STATE)
        return state_arg(cli, arg);
    else if (id == O_ENTRY)
        return entry_arg(cli, arg);
    else if (id == O_DISABLE)
        sc_buf_push(cli->disable.item, cli->disable.n, cli->disable.cap, arg);
    else if (id == O_INPUT)
        sc_buf_push(cli->input.item, cli->input.n, cli->input.cap, arg);
    else if (id == O_SHAPE)
        sc_buf_push(cli->shape.item, cli->shape.n, cli->shape.cap, arg);
    else if (id == O_RTOL)
        return (cli->tolerance_given = real_arg(cli, name, arg, &cli->rtol));
    else if (id == O_ATOL)
        return (cli->tolerance_given = real_arg(cli, name, arg, &cli->atol));
    else if (id == O_SUGGEST)
        return (cli->suggest_given = number_arg(cli, name, arg, &cli->suggest));
    else if (id == O_BUDGET)
        return (cli->budget_given = real_arg(cli, name, arg, &cli->budget));
    else if (id == O_EMBED && !count_arg(cli, name, arg, 0, UINT64_MAX, &v))
        return false;
    else if (id != O_EMBED && !count_arg(cli, name, arg, 1, 1u << 20, &v))
        return false;
    else if (id == O_EMBED)
        cli->opt.embed_limit = v ? v : 1;
    else if (id == O_THREADS)
        cli->threads = (uint32_t)v;
    else if (id == O_STATE_CAPACITY)
        cli->state_capacity = (uint32_t)v;
    else if (id == O_TOP)
        cli->top = (uint32_t)v;
    else if (id == O_REPEAT)
        cli->repeat = (uint32_t)v;
    return true;
}

/* --- Parsing ---------------------------------------------------------------------------------- */

static const char *option_name(uint32_t i)
{
    return cli_options[i].name;
}

static const char *command_name(uint32_t i)
{
    return cli_commands[i].name;
}

const char *cli_nearest_command(const char *word)
{
    return cli_nearest(word, command_name, cli_n_commands);
}

/* Why there is no such option here: it is another command's, or a slip. */
static void fail_option(const Cli *cli, const char *name)
{
    ScStr who = {0};
    const char *near = cli_nearest(name, option_name, N_OPTS);
    for (uint32_t k = 0; k < cli_n_commands; k++)
        for (uint32_t i = 0; i < N_OPTS; i++)
            if (!strcmp(cli_options[i].name, name) && (cli_options[i].who & cli_commands[k].bit))
                sc_str_addf(&who, "%s%s", who.n ? ", " : "", cli_commands[k].name);
    if (who.n)
        cli_misuse(cli, "--%s is an option of %s", name, sc_str_get(&who));
    else if (near)
        cli_misuse(cli, "there is no option --%s; --%s is near", name, near);
    else
        cli_misuse(cli, "there is no option --%s", name);
    sc_str_free(&who);
}

/* The option of a long name (letter 0) or of a letter that command c takes; N_OPTS where there is
 * none. */
static OptId find_option(const CliCommand *c, const char *name, size_t n, char letter)
{
    for (uint32_t i = 0; i < N_OPTS; i++) {
        const CliOption *o = &cli_options[i];
        if ((o->who & c->bit) &&
            (letter ? o->letter == letter : strlen(o->name) == n && !memcmp(o->name, name, n)))
            return (OptId)i;
    }
    return N_OPTS;
}

typedef struct Words { /* the command line that is being read */
    char **at, **end;
} Words;

/* The value of an option: what stands behind it in its word, or the next word. NULL after a
 * message.
 */
static const char *take_value(const Cli *cli, OptId id, const char *behind, Words *w)
{
    if (behind)
        return behind;
    if (w->at < w->end)
        return *w->at++;
    cli_misuse(cli, "--%s needs a value: %s", cli_options[id].name, cli_options[id].arg);
    return NULL;
}

static bool take_long(Cli *cli, const CliCommand *c, const char *word, Words *w, bool *help)
{
    size_t n = strcspn(word, "=");
    OptId id = find_option(c, word, n, 0);
    if (id == N_OPTS) {
        fail_option(cli, sc_intern_n(cli->cx, word, n));
        return false;
    }
    const char *behind = word[n] ? word + n + 1 : NULL;
    if (!cli_options[id].arg && behind) {
        cli_misuse(cli, "--%s takes no value", cli_options[id].name);
        return false;
    }
    *help |= id == O_HELP;
    const char *value = cli_options[id].arg ? take_value(cli, id, behind, w) : NULL;
    return id == O_HELP || ((value || !cli_options[id].arg) && set(cli, id, value));
}

static bool take_letters(Cli *cli, const CliCommand *c, const char *word, Words *w, bool *help)
{
    for (; *word; word++) {
        OptId id = find_option(c, NULL, 0, *word);
        if (id == N_OPTS) {
            cli_misuse(cli, "there is no option -%c", *word);
            return false;
        }
        *help |= id == O_HELP;
        if (cli_options[id].arg) {
            const char *value = take_value(cli, id, word[1] ? word + 1 : NULL, w);
            return value && set(cli, id, value);
        }
        if (id != O_HELP && !set(cli, id, NULL))
            return false;
    }
    return true;
}

bool cli_parse(Cli *cli, int argc, char **argv, int *ret_status)
{
    const CliCommand *c = cli_find_command(cli->command);
    Words w = {argv + 1, argv + argc};
    bool help = false, ok = true, options = true;
    *ret_status = EXIT_USAGE;
    cli->rtol = 1e-3;
    cli->atol = 1e-5;
    while (ok && !help && w.at < w.end) {
        const char *word = *w.at++;
        if (!options || word[0] != '-' || !word[1])
            sc_buf_push(cli->args.item, cli->args.n, cli->args.cap, word);
        else if (!strcmp(word, "--"))
            options = false;
        else
            ok = word[1] == '-' ? take_long(cli, c, word + 2, &w, &help)
                                : take_letters(cli, c, word + 1, &w, &help);
    }
    if (help) {
        cli_command_help(c);
        *ret_status = 0;
    }
    if (help || !ok)
        return false;
    if (cli->args.n < c->min_args || cli->args.n > c->max_args) {
        cli_misuse(cli, "%s %s %s", c->max_args > 1 ? "two arguments are" : "one argument is",
                   cli->args.n > c->max_args ? "taken:" : "needed:", c->args);
        return false;
    }
    if (!cli_goes_together(cli))
        return false;
    cli->state_capacity = cli->state_capacity ? cli->state_capacity : 2048;
    cli->opt.disable = cli->disable.item;
    cli->opt.n_disable = cli->disable.n;
    cli->sample = (ScalecSampleOptions){cli->image, cli->shape.item, cli->shape.n};
    return true;
}

void cli_free(Cli *cli)
{
    scalec_runs_free(&cli->runs);
    sc_buf_free(cli->args.item);
    sc_buf_free(cli->input.item);
    sc_buf_free(cli->shape.item);
    sc_buf_free(cli->disable.item);
    sc_buf_free(cli->dim_name.item);
    sc_buf_free(cli->entry.item);
    sc_buf_free(cli->state);
    sc_buf_free(cli->dim_value);
    sc_str_free(&cli->dumped);
}
