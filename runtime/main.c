/* SPDX-License-Identifier: Apache-2.0 */
/* The main function of a compiled executable: one run of its model by files, with the states kept
 * in files too; or a benchmark of it, or what it is. */
#include "runtime/main_priv.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- The command line --- */

enum {
    HELP = 'h',
    INPUT = 'i',
    OUTPUT = 'o',
    INFO = 256,
    TOP,
    THREADS,
    BENCH,
    JSON,
    DIM,
    PROFILE,
    SATURATIONS,
    SUBNORMALS,
    STATE_LOAD,
    STATE_SAVE,
    REPEAT,
    WEIGHTS,
    DATA,
    RTOL,
    ATOL,
    LABELS,
    SHAPE,
    IMAGE,
    ENTRY,
    LEVEL,
    VERSION
};

static const struct option long_options[] = {
    {"help", no_argument, NULL, HELP},
    {"input", required_argument, NULL, INPUT},
    {"output", required_argument, NULL, OUTPUT},
    {"info", no_argument, NULL, INFO},
    {"top", required_argument, NULL, TOP},
    {"threads", required_argument, NULL, THREADS},
    {"bench", no_argument, NULL, BENCH},
    {"json", no_argument, NULL, JSON},
    {"dim", required_argument, NULL, DIM},
    {"profile", no_argument, NULL, PROFILE},
    {"saturations", no_argument, NULL, SATURATIONS},
    {"subnormals", no_argument, NULL, SUBNORMALS},
    {"state-load", required_argument, NULL, STATE_LOAD},
    {"state-save", required_argument, NULL, STATE_SAVE},
    {"repeat", required_argument, NULL, REPEAT},
    {"weights", required_argument, NULL, WEIGHTS},
    {"data", required_argument, NULL, DATA},
    {"rtol", required_argument, NULL, RTOL},
    {"atol", required_argument, NULL, ATOL},
    {"labels", required_argument, NULL, LABELS},
    {"shape", required_argument, NULL, SHAPE},
    {"image", required_argument, NULL, IMAGE},
    {"entry", required_argument, NULL, ENTRY},
    {"level", required_argument, NULL, LEVEL},
    {"version", no_argument, NULL, VERSION},
    {0},
};

enum { MOST = 1 << 20 }; /* threads, repeats, elements shown */

static int number_option(const Cli *c, const char *name, int64_t *ret)
{
    if (scrtio_parse_number(optarg, 1, ret) && *ret <= MOST)
        return DONE;
    return scrtio_fail(c, USAGE, "--%s takes a number from 1 to %d, not '%.100s'", name, MOST,
                       optarg);
}

static int real_option(const Cli *c, const char *name, double *ret)
{
    char *end;
    *ret = strtod(optarg, &end);
    if (end != optarg && !*end && *ret >= 0 && !isinf(*ret))
        return DONE;
    return scrtio_fail(c, USAGE, "--%s takes a number of at least 0, not '%.100s'", name, optarg);
}

static int image_option(Cli *c)
{
    ScrtIoError err;
    c->has_image = true;
    if (scrt_image_parse(optarg, &c->image, &err) == SCRT_OK)
        return DONE;
    return scrtio_fail(c, USAGE, "--image: %s", err.text);
}

static int entry_option(Cli *c)
{
    uint32_t i = scrt_entry_named(c->model, optarg);
    char names[400] = "";
    if (i < c->model->n_entry) {
        c->entry = &c->model->entry[c->level * c->model->n_entry + i];
        return DONE;
    }
    for (uint32_t k = 0; k < c->model->n_entry; k++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", k ? ", " : "", c->model->entry[k].name);
    }
    return scrtio_fail(c, USAGE, "--entry %.100s: there is none of that name; there are: %s",
                       optarg, names);
}

/* From now on entries are those of this level. */
static void set_level(Cli *c, uint32_t level)
{
    size_t which = (size_t)(c->entry - c->model->entry) % c->model->n_entry;
    c->level = level;
    c->entry = &c->model->entry[level * c->model->n_entry + which];
}

static int level_option(Cli *c)
{
    uint32_t i = scrt_level_named(c->model, optarg);
    char names[400] = "";
    if (i < c->model->n_level) {
        set_level(c, i);
        c->level_given = true;
        return DONE;
    }
    for (uint32_t k = 0; k < c->model->n_level; k++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", k ? ", " : "", c->model->level[k].name);
    }
    return scrtio_fail(c, USAGE, "--level %.100s: the program has none of that name; it has: %s",
                       optarg, names);
}

static int take_option(Cli *c, int option)
{
    switch (option) {
    case HELP:
        c->help = true;
        return DONE;
    case INPUT:
        c->input[c->n_input++] = optarg;
        return DONE;
    case OUTPUT:
        c->output = optarg;
        return DONE;
    case INFO:
        c->info = true;
        return DONE;
    case TOP:
        return number_option(c, "top", &c->top);
    case THREADS:
        return number_option(c, "threads", &c->threads);
    case BENCH:
        c->bench = true;
        return DONE;
    case JSON:
        c->json = true;
        return DONE;
    case DIM:
        c->dim[c->n_dim++] = optarg;
        return DONE;
    case PROFILE:
        c->profile = true;
        return DONE;
    case SATURATIONS:
        c->saturations = true;
        return DONE;
    case SUBNORMALS:
        c->subnormals = true;
        return DONE;
    case STATE_LOAD:
        c->state_load = optarg;
        return DONE;
    case STATE_SAVE:
        c->state_save = optarg;
        return DONE;
    case REPEAT:
        return number_option(c, "repeat", &c->repeat);
    case WEIGHTS:
        c->weights = optarg;
        return DONE;
    case DATA:
        c->data = optarg;
        return DONE;
    case RTOL:
        c->tolerance_given = true;
        return real_option(c, "rtol", &c->rtol);
    case ATOL:
        c->tolerance_given = true;
        return real_option(c, "atol", &c->atol);
    case LABELS:
        c->labels = optarg;
        return DONE;
    case SHAPE:
        c->shape[c->n_shape++] = optarg;
        return DONE;
    case IMAGE:
        return image_option(c);
    case ENTRY:
        return entry_option(c);
    case LEVEL:
        return level_option(c);
    default:
        c->version = true;
        return DONE;
    }
}

static int unknown_symbol(const Cli *c, const char *argument)
{
    const ScrtEntry *e = c->entry;
    char names[400] = "none";
    for (uint32_t k = 0; k < e->n_sym; k++) {
        size_t n = k ? strlen(names) : 0;
        snprintf(names + n, sizeof names - n, "%s%s", k ? ", " : "", e->sym[k]);
    }
    return scrtio_fail(c, USAGE, "--dim %.100s: the model has no symbol of that name; it has: %s",
                       argument, names);
}

static int check_dims(const Cli *c)
{
    for (int i = 0; i < c->n_dim; i++) {
        const char *equals = strchr(c->dim[i], '=');
        int64_t x;
        if (!equals || !scrtio_parse_number(equals + 1, 0, &x))
            return scrtio_fail(c, USAGE, "--dim takes NAME=NUMBER, not '%.100s'", c->dim[i]);
        if (scrtio_find_symbol(c, c->dim[i], (size_t)(equals - c->dim[i])) < 0)
            return unknown_symbol(c, c->dim[i]);
    }
    return DONE;
}

/* What cannot be asked for at once. */
static int check_options(const Cli *c)
{
    if (c->output && strcmp(c->output, "-") != 0) {
        bool single = scrt_ends_with(c->output, ".npy") || scrt_ends_with(c->output, ".bin") ||
                      scrt_picture_name(c->output);
        if (!scrt_ends_with(c->output, ".npz") && !single &&
            !scrt_ends_with(c->output, ".safetensors"))
            return scrtio_fail(c, USAGE,
                               "-o %.300s: the name must end in .npz, .npy, .safetensors, .bin or, "
                               "for a picture, .ppm, .pgm or .png",
                               c->output);
        if (single && c->entry->n_out != 1)
            return scrtio_fail(c, USAGE, "-o %.300s: the model has %u outputs, which need an .npz",
                               c->output, c->entry->n_out);
    } else if (c->output && (c->top || c->profile || c->saturations)) {
        return scrtio_fail(
            c, USAGE, "-o - fills standard output, so --top, --profile and --saturations cannot");
    }
    if (c->weights && (c->model->weights || !c->model->weights_size))
        return scrtio_fail(c, USAGE, "--weights: this executable holds its weights itself");
    if (c->json && (c->top || c->data))
        return scrtio_fail(c, USAGE, "--json goes with neither --top nor --data");
    if (c->json && c->output && strcmp(c->output, "-") == 0)
        return scrtio_fail(c, USAGE, "-o - fills standard output, so --json cannot");
    if (c->n_dim && !c->bench && !c->info && !c->profile)
        return scrtio_fail(
            c, USAGE, "--dim goes with --bench, --profile or --info; inputs bring their own dims");
    if (c->data && (c->n_input || c->output || c->top || c->bench || c->profile || c->repeat ||
                    c->info || c->state_load || c->state_save))
        return scrtio_fail(c, USAGE,
                           "--data compares with expected outputs, and goes with none of -i, "
                           "-o, --top, --bench, --profile, --repeat, --info and states");
    if (c->saturations && (c->data || c->bench || c->info))
        return scrtio_fail(c, USAGE, "--saturations goes with none of --data, --bench and --info");
    if (c->saturations && c->run)
        return scrtio_fail(c, USAGE, "--saturations: the evaluator has no states that count");
    if (c->saturations && !scrtio_counts_saturations(c))
        return scrtio_fail(
            c, USAGE,
            "--saturations: this program counts nothing: it was compiled without "
            "--saturations, or stores nothing low by fixed or delayed scales outside "
            "nested graphs");
    if (c->tolerance_given && !c->data)
        return scrtio_fail(c, USAGE, "--rtol and --atol go with --data");
    if (c->labels && !c->top)
        return scrtio_fail(c, USAGE, "--labels goes with --top");
    if ((c->n_shape || c->has_image) && !c->n_input)
        return scrtio_fail(c, USAGE, "--shape and --image say what files of -i are");
    if (c->n_dim && c->n_input)
        return scrtio_fail(c, USAGE,
                           "--dim and -i cannot be given together: inputs bring their own dims");
    if (c->bench && (c->output || c->top || c->repeat || c->info || c->state_save))
        return scrtio_fail(c, USAGE,
                           "--bench cannot go with -o, --top, --repeat, --info or --state-save");
    return check_dims(c);
}

static int parse(Cli *c, int argc, char **argv)
{
    int option, status = DONE;
    optind = 0; /* from the beginning, though the process may have parsed other options */
    opterr = 0;
    while (status == DONE &&
           (option = getopt_long(argc, argv, ":hi:o:", long_options, NULL)) != -1) {
        if (option == ':')
            status = scrtio_fail(c, USAGE, "%.100s needs a value; see --help", argv[optind - 1]);
        else if (option == '?' && optopt && optopt < 256)
            status = scrtio_fail(c, USAGE, "there is no option -%c; see --help", optopt);
        else if (option == '?')
            status =
                scrtio_fail(c, USAGE, "there is no option %.100s; see --help", argv[optind - 1]);
        else
            status = take_option(c, option);
    }
    if (status == DONE && optind < argc)
        return scrtio_fail(c, USAGE, "'%.300s' is no option; inputs are given as -i NAME=FILE",
                           argv[optind]);
    return status == DONE && !c->help && !c->version ? check_options(c) : status;
}

/* --- The session --- */

static int fail_cpu(const Cli *c)
{
    const ScrtLevel *own = &c->model->level[c->level];
    uint64_t lacks = own->features & ~scrt_cpu_features();
    char list[512] = "", what[64] = "the model was compiled for";
    for (uint32_t b = 0; b < 64; b++) {
        size_t n = strlen(list);
        const char *name = scrt_cpu_name(b);
        if (lacks >> b & 1)
            snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", name ? name : "?");
    }
    const char *level = scrt_cpu_level(scrt_cpu_features());
    if (c->level_given)
        snprintf(what, sizeof what, "level %.40s needs", own->name);
    else if (c->model->n_level > 1)
        snprintf(what, sizeof what, "the least level, %.30s, needs", own->name);
    return scrtio_fail(c, FAULT, "this processor lacks %s, which %s: compile it for %s%s",
                       list[0] ? list : "the permission to use tile registers", what,
                       level ? "--cpu " : "",
                       level ? level : "another machine, the least is --cpu x86-64-v2");
}

static int fail_weights(const Cli *c, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return scrtio_fail(c, FAULT, "%.300s: the model's weights cannot be opened: %s", path,
                           strerror(errno));
    if ((uint64_t)st.st_size != c->model->weights_size)
        return scrtio_fail(c, FAULT, "%.300s: has %lld bytes, the model's weights have %llu", path,
                           (long long)st.st_size, (unsigned long long)c->model->weights_size);
    return scrtio_fail(c, FAULT, "%.300s: cannot be read, or is not this model's weights", path);
}

/* The sidecar beside the executable; "" where the system does not tell where that is. */
static const char *default_weights(Cli *c)
{
    static const char suffix[] = ".weights";
    const size_t room = sizeof c->sidecar - sizeof suffix;
    ssize_t n = readlink("/proc/self/exe", c->sidecar, room);
    if (n <= 0 || (size_t)n == room)
        return "";
    memcpy(c->sidecar + n, suffix, sizeof suffix);
    return c->sidecar;
}

static int open_session(Cli *c)
{
    if (!c->weights && !c->model->weights && c->model->weights_size)
        c->weights = default_weights(c);
    ScrtOptions o = {.entry = (uint32_t)(c->entry - c->model->entry) % c->model->n_entry,
                     .level = c->level_given ? c->level + 1 : 0,
                     .n_thread = (uint32_t)(c->threads < 1024 ? c->threads : 1024),
                     .profile = c->profile,
                     .subnormals = c->subnormals,
                     .weights_file = c->weights};
    if (c->threads > scrt_processors())
        scrtio_fail(c, DONE, "note: more threads, %lld, than processors that may be used, %u",
                    (long long)c->threads, scrt_processors());
    ScrtStatus s = scrt_open(c->model, &o, &c->session);
    if (s == SCRT_OK) /* the level may be lower: where the system grants no tiles */
        set_level(c, (uint32_t)(scrt_level(c->session) - c->model->level));
    if (s == SCRT_OK)
        return DONE;
    if (s == SCRT_E_CPU)
        return fail_cpu(c);
    if (s == SCRT_E_WEIGHTS)
        return fail_weights(c, o.weights_file);
    return scrtio_fail(c, FAULT, "%s", scrt_status_text(s));
}

int scrtio_begin_states(Cli *c)
{
    ScrtIoError err;
    if (c->run)
        return DONE;
    scrt_state_reset(c->session);
    if (!c->state_load || scrt_state_load(c->session, c->state_load, &err) == SCRT_OK)
        return DONE;
    return scrtio_fail(c, FAULT, "%s", err.text);
}

static int save_state(Cli *c)
{
    ScrtIoError err;
    if (!c->state_save || scrt_state_save(c->session, c->state_save, &err) == SCRT_OK)
        return DONE;
    return scrtio_fail(c, FAULT, "%s", err.text);
}

/* --- Running --- */

int scrtio_fail_run(const Cli *c)
{
    char sizes[300] = "";
    for (uint32_t k = 0; c->made_up && k < c->entry->n_sym; k++) {
        const char *name = c->entry->sym[k];
        size_t n = strlen(sizes);
        int64_t x;
        if (!scrtio_given_size(c, name, strlen(name), &x))
            snprintf(sizes + n, sizeof sizes - n, "%s%s = %lld", n ? ", " : "", name,
                     (long long)scrtio_made_up_size(c, k));
    }
    if (!sizes[0])
        return scrtio_fail(c, FAULT, "%s", scrt_error(c->session));
    return scrtio_fail(c, FAULT,
                       "%s; the inputs were made up with %s: --dim NAME=N says other sizes",
                       scrt_error(c->session), sizes);
}

/* Whether it is a file that this run reads. A state that is saved where it was loaded moves on. */
static bool is_read(const Cli *c, const char *out)
{
    const char *const file[] = {c->labels, c->weights, out == c->output ? c->state_load : NULL,
                                "/proc/self/exe"};
    bool read = false;
    for (size_t i = 0; i < sizeof file / sizeof *file; i++)
        read = read || (file[i] && scrt_same_file(out, file[i]));
    for (uint32_t i = 0; i < c->entry->n_in; i++)
        read = read || (c->source[i] && scrt_same_file(out, c->source[i]));
    return read;
}

/* An output that would replace an input. */
static int check_outputs(const Cli *c)
{
    const char *const out[] = {c->output, c->state_save};
    for (size_t k = 0; k < sizeof out / sizeof *out; k++)
        if (out[k] && strcmp(out[k], "-") != 0 && is_read(c, out[k]))
            return scrtio_fail(c, FAULT, "%.300s: cannot be written: it is an input", out[k]);
    if (c->output && c->state_save && scrt_same_file(c->output, c->state_save))
        return scrtio_fail(c, USAGE, "-o and --state-save are one file: %.300s", c->output);
    return DONE;
}

static int save_outputs(const Cli *c)
{
    const ScrtEntry *e = c->entry;
    ScrtIoError err;
    ScrtStatus s = SCRT_OK;
    bool npy = scrt_ends_with(c->output, ".npy") || (strcmp(c->output, "-") == 0 && e->n_out == 1);
    bool bin = scrt_ends_with(c->output, ".bin"), picture = scrt_picture_name(c->output);
    if (npy)
        s = scrt_npy_write(c->output, &c->out[0], &err);
    else if (bin)
        s = scrt_bytes_write(c->output, &c->out[0], &err);
    else if (picture)
        s = scrt_picture_write(c->output, &c->out[0], &c->image, &err);
    if (npy || bin || picture)
        return s == SCRT_OK ? DONE : scrtio_fail(c, FAULT, "%s", err.text);
    ScrtNamed *item = scrt_alloc(e->n_out * sizeof *item);
    if (!item)
        return scrtio_fail(c, FAULT, "out of memory");
    for (uint32_t i = 0; i < e->n_out; i++)
        item[i] = (ScrtNamed){(char *)e->out[i].name, c->out[i]};
    s = scrt_ends_with(c->output, ".safetensors")
            ? scrt_safetensors_write(c->output, item, e->n_out, &err)
            : scrt_npz_write(c->output, item, e->n_out, &err);
    scrt_free(item);
    return s == SCRT_OK ? DONE : scrtio_fail(c, FAULT, "%s", err.text);
}

/* One object: the outputs, unless a file has them or their inputs are no one's, and the kernels. */
static void print_run_json(const Cli *c)
{
    bool outputs = !c->output && !c->made_up;
    if (!outputs && !c->profile && !c->saturations)
        return;
    fputs(outputs ? "{\"outputs\": [" : "{", stdout);
    for (uint32_t i = 0; outputs && i < c->entry->n_out; i++) {
        fputs(i ? ", " : "", stdout);
        scrtio_print_json_tensor(c->entry->out[i].name, &c->out[i]);
    }
    const char *comma = outputs ? ", " : "";
    fputs(outputs ? "]" : "", stdout);
    if (c->profile) {
        fputs(comma, stdout);
        scrtio_print_kernels_json(c);
        comma = ", ";
    }
    if (c->saturations) {
        fputs(comma, stdout);
        scrtio_print_saturations_json(c);
    }
    puts("}");
}

static void print_outputs(const Cli *c)
{
    for (uint32_t i = 0; i < c->entry->n_out; i++) {
        const char *name = c->entry->out[i].name;
        if (c->labels)
            scrtio_check_labels(c, name, &c->out[i]);
        if (c->top && c->out[i].dtype != SCRT_STRING)
            scrtio_print_top(c, name, &c->out[i], c->top);
        else if (c->top || (!c->output && !c->made_up))
            scrtio_print_tensor(name, &c->out[i]);
    }
}

static int run_once(Cli *c)
{
    int status = scrtio_run_model(c);
    if (status == DONE)
        status = save_state(c);
    if (status == DONE && c->output)
        status = save_outputs(c);
    if (status != DONE)
        return status;
    if (c->json) {
        print_run_json(c);
        return DONE;
    }
    print_outputs(c);
    if (c->profile)
        scrtio_print_profile(c);
    if (c->saturations)
        scrtio_print_saturations(c);
    return DONE;
}

enum { LABELS_MOST = 64 << 20 }; /* bytes */

static int load_labels(Cli *c)
{
    ScrtIoError err;
    if (scrt_file_open(c->labels, LABELS_MOST, &c->label, &err) == SCRT_OK)
        return DONE;
    return scrtio_fail(c, FAULT, "%.300s: cannot be read: %s", c->labels, err.text);
}

/* What the model is; with a run for its peak memory, where it can run here and now. */
static int inform(Cli *c)
{
    int status = open_session(c);
    if (status == DONE)
        status = c->n_input ? scrtio_load_inputs(c) : scrtio_make_inputs(c);
    if (status == DONE &&
        c->made_up) /* sizes of 1 may be none that it takes: then no peak is known */
        c->ran = scrt_run(c->session, c->in, c->out) == SCRT_OK;
    else if (status == DONE)
        status = scrtio_run_model(c);
    int printed = scrtio_print_info(c);
    return status != DONE ? status : printed;
}

static int execute(Cli *c)
{
    if (c->help) {
        scrtio_print_help(c);
        return DONE;
    }
    if (c->version) {
        scrtio_print_version(c);
        return DONE;
    }
    if (c->info)
        return inform(c);
    if (c->run && (c->bench || c->profile || c->saturations || c->threads || c->repeat ||
                   c->state_load || c->state_save))
        return scrtio_fail(c, USAGE, "the evaluator has no threads, timings or states");
    int status = c->run ? DONE : open_session(c);
    if (status == DONE)
        status = scrtio_begin_states(c);
    if (status == DONE && c->data)
        return scrtio_run_data(c);
    if (status == DONE && c->labels)
        status = load_labels(c);
    if (status == DONE) /* a measurement needs no inputs of anybody's */
        status =
            (c->bench || c->profile) && !c->n_input ? scrtio_make_inputs(c) : scrtio_load_inputs(c);
    if (status == DONE)
        status = check_outputs(c);
    if (status != DONE)
        return status;
    return c->bench ? scrtio_run_bench(c) : run_once(c);
}

static void *zeroed(size_t bytes)
{
    void *p = scrt_alloc(bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

/* For what options say. */
static bool make_lists(Cli *c, int argc)
{
    c->input = zeroed(3 * (size_t)argc * sizeof *c->input);
    if (!c->input)
        return false;
    c->dim = c->input + argc;
    c->shape = c->dim + argc;
    return true;
}

/* For the entry that they chose. */
static bool make_room(Cli *c)
{
    const ScrtEntry *e = c->entry;
    c->in = zeroed(e->n_in * sizeof *c->in);
    c->out = zeroed(e->n_out * sizeof *c->out);
    c->next_out = zeroed(e->n_out * sizeof *c->next_out);
    c->source = zeroed(e->n_in * sizeof *c->source);
    c->bare = zeroed(e->n_in * sizeof *c->bare);
    return c->bare && c->in && c->out && c->next_out && c->source;
}

void scrtio_free_tensors(Cli *c)
{
    for (uint32_t i = 0; c->in && i < c->entry->n_in; i++) {
        scrt_free(c->in[i].data);
        c->in[i].data = NULL;
        c->source[i] = NULL;
    }
    for (uint32_t i = 0; c->out && i < c->entry->n_out; i++) {
        scrt_free(c->out[i].data);
        c->out[i].data = NULL;
    }
}

static void release(Cli *c)
{
    if (c->source)
        scrtio_free_tensors(c);
    scrt_file_close(&c->label);
    scrt_free(c->in);
    scrt_free(c->out);
    scrt_free(c->next_out);
    scrt_free(c->source);
    scrt_free(c->bare);
    scrt_free(c->input);
    scrt_close(c->session);
}

int scrt_main(const ScrtModel *model, int argc, char **argv)
{
    scrt_end_on_signals(NULL);
    return scrt_main_with(model, argc, argv, NULL);
}

int scrt_main_with(const ScrtModel *model, int argc, char **argv, const ScrtMainOptions *opt)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    Cli c = {.model = model,
             .entry = model->abi == SCRT_ABI ? model->entry : NULL,
             .program = slash      ? slash + 1
                        : argc > 0 ? argv[0]
                                   : model->name,
             .rtol = 1e-3,
             .atol = 1e-5,
             .run = opt ? opt->run : NULL,
             .self = opt ? opt->self : NULL,
             .image = {.decoders = opt ? opt->decoders : NULL}};
    if (model->abi != SCRT_ABI)
        return scrtio_fail(&c, FAULT, "%s", scrt_status_text(SCRT_E_ABI));
    uint32_t here = scrt_level_here(model);
    if (here < model->n_level)
        set_level(&c, here);
    int status = USAGE;
    if (!make_lists(&c, argc))
        status = scrtio_fail(&c, FAULT, "out of memory");
    else if ((status = parse(&c, argc, argv)) == DONE)
        status = make_room(&c) ? execute(&c) : scrtio_fail(&c, FAULT, "out of memory");
    release(&c);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == DONE)
        status = scrtio_fail(&c, FAULT, "standard output: %s", strerror(errno));
    return status;
}
