/* SPDX-License-Identifier: Apache-2.0 */
/* --help and --info of a compiled executable. */
#include "runtime/main_priv.h"

static void print_port(const ScrtPort *p)
{
    fputs("  ", stdout);
    scrtio_print_text(stdout, p->name);
    printf("  %s[", scrt_dtype_name((ScrtDtype)p->dtype));
    scrtio_print_text(stdout, p->dims);
    puts("]");
}

static void print_ports(const char *title, const ScrtPort *p, uint32_t n)
{
    if (n)
        printf("%s\n", title);
    for (uint32_t i = 0; i < n; i++)
        print_port(&p[i]);
}

/* Of the entry that is run; the names of all where there are several. */
static void print_signature(const Cli *c)
{
    const ScrtModel *m = c->model;
    const ScrtEntry *e = c->entry;
    for (uint32_t i = 0; i < m->n_entry && m->n_entry > 1; i++) {
        fputs(i ? ", " : "entries\n  ", stdout);
        scrtio_print_text(stdout, m->entry[i].name);
        fputs(i == (uint32_t)(e - m->entry) % m->n_entry ? " (this)" : "", stdout);
    }
    fputs(m->n_entry > 1 ? "\n" : "", stdout);
    print_ports("inputs", e->in, e->n_in);
    print_ports("outputs", e->out, e->n_out);
    fputs(e->n_state ? "states\n" : "", stdout);
    for (uint32_t i = 0; i < e->n_state; i++)
        print_port(&m->state[e->state[i]]);
}

void scrtio_print_help(const Cli *c)
{
    const ScrtModel *m = c->model;
    const ScrtEntry *e = c->entry;
    fputs("usage: ", stdout);
    scrtio_print_text(stdout, c->program);
    fputs(" [options]\n\nRuns the model ", stdout);
    scrtio_print_text(stdout, m->name);
    puts(" once.\n");
    print_signature(c);
    fputs("\n"
          "  -i NAME=FILE        an input: .npy, .npz, .safetensors, an ONNX .pb, the bytes of a "
          ".bin\n"
          "                      or a picture (.ppm, .pgm); - is standard input\n"
          "  -i FILE.npz         several inputs, by name; .safetensors too\n",
          stdout);
    if (e->n_in == 1)
        puts("  -i FILE             the input");
    fputs(
        "  --shape NAME=D,D    the shape of an input from a .bin, where it is open\n"
        "  --image KEY=VALUE,... how pictures become inputs; without it stretched to their size,\n"
        "                      bytes / 255: resize=SIDE or WxH, crop=SIDE or WxH, pad=GREY,\n"
        "                      filter=bilinear, bicubic or nearest; scale, mean and std:\n"
        "                      (byte * scale - mean) / std; order=rgb or bgr; layout=nchw, nhwc, "
        "...\n"
        "  -o FILE             the outputs: .npz, .safetensors, or where there is one .npy, .bin\n"
        "                      or a picture, .ppm or .pgm, made by --image the other way; without\n"
        "                      it they are printed\n"
        "  --top N             prints the N largest elements of the outputs; --labels FILE: line "
        "i\n"
        "                      names element i\n"
        "  --threads N         instead of one for each processor\n"
        "  --repeat N          runs N times, with the same inputs\n",
        stdout);
    if (m->n_entry > 1)
        puts("  --entry NAME        runs this entry instead of the first");
    fputs("  --level NAME        runs the code for these processors instead of the last that "
          "this\n                      one has:",
          stdout);
    for (uint32_t i = 0; i < m->n_level; i++) {
        fputs(i ? ", " : " ", stdout);
        scrtio_print_text(stdout, m->level[i].name);
    }
    putchar('\n');
    if (m->n_state)
        fputs("  --state-load FILE   the states before the run, an .npz\n"
              "  --state-save FILE   the states after it\n",
              stdout);
    if (!m->weights && m->weights_size)
        puts("  --weights FILE      the weights, instead of the file beside the executable");
    fputs("  --bench             measures the time of a run, on random inputs if none are given\n"
          "  --dim NAME=NUMBER   a size of such inputs; 1 where nothing is said\n"
          "  --profile           the time of each kernel, on such inputs if none are given\n"
          "  --saturations       elements that saturated, if it was compiled to count them\n"
          "  --subnormals        keeps results of f32 below 2^-126, of f64 below 2^-1022, else "
          "zeros\n"
          "  --data DIR          runs the sets of an ONNX test_data_set and compares: --rtol X\n"
          "                      (1e-3, of floats), --atol X (1e-5); without them the rounding of\n"
          "                      the model itself to less than f32 is granted too\n"
          "  --info              how it was made, what it needs\n"
          "  --json              outputs, --bench and --info for programs\n"
          "  --version           of the compiler that made it\n"
          "  -h, --help          this\n\n"
          "exit status: 0 done, 1 an input or a file is at fault, 2 usage, 3 outputs differ\n",
          stdout);
}

/* --- The compiler's JSON, as lines --- */

typedef struct Json {
    const char *at;
    char path[256]; /* "options.recipe" */
} Json;

static void skip_space(Json *j)
{
    j->at += strspn(j->at, " \n\t\r");
}

/* Moves behind the string that begins here and answers its inside, escapes as they stand. */
static bool take_string(Json *j, const char **ret, size_t *ret_n)
{
    if (*j->at != '"')
        return false;
    const char *begin = ++j->at;
    while (*j->at && *j->at != '"')
        j->at += j->at[0] == '\\' && j->at[1] ? 2 : 1;
    if (*j->at != '"')
        return false;
    *ret = begin;
    *ret_n = (size_t)(j->at++ - begin);
    return true;
}

static void print_raw(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        putchar((unsigned char)p[i] < 0x20 ? '?' : p[i]);
}

/* A value that is no object: a string without its quotes, anything else as it stands. */
static bool print_value(Json *j)
{
    const char *text;
    size_t n;
    if (take_string(j, &text, &n)) {
        for (const char *end = text + n; text < end; text++) {
            text += text[0] == '\\' && strchr("\"\\/", text[1]); /* other escapes stay */
            print_raw(text, 1);
        }
        return true;
    }
    const char *begin = j->at;
    int depth = 0;
    while (*j->at && (depth > 0 || !strchr(",}", *j->at))) {
        if (*j->at == '"') {
            if (!take_string(j, &text, &n))
                return false;
            continue;
        }
        depth += (*j->at == '[' || *j->at == '{') - (*j->at == ']' || *j->at == '}');
        j->at++;
    }
    print_raw(begin, (size_t)(j->at - begin));
    return j->at != begin;
}

/* Each member of the object that begins here as a line "path: value". Objects within are entered,
 * by a path of their own: as many levels as the path has room. */
static bool print_members(Json *j)
{
    size_t base = strlen(j->path);
    j->at++; /* the brace */
    for (skip_space(j); *j->at != '}'; skip_space(j)) {
        const char *key;
        size_t n;
        if (!take_string(j, &key, &n))
            return false;
        skip_space(j);
        if (*j->at++ != ':' || base + n + 2 > sizeof j->path)
            return false;
        memcpy(j->path + base, key, n);
        j->path[base + n] = '\0';
        skip_space(j);
        if (*j->at == '{') {
            memcpy(j->path + base + n, ".", 2);
            if (!print_members(j))
                return false;
        } else {
            print_raw(j->path, base + n);
            fputs(": ", stdout);
            if (!print_value(j))
                return false;
            putchar('\n');
        }
        j->path[base] = '\0';
        skip_space(j);
        if (*j->at == ',')
            j->at++;
        else if (*j->at != '}')
            return false;
    }
    j->at++;
    return true;
}

/* Moves to the value of a member of the object at j. */
static bool find_member(Json *j, const char *key)
{
    const char *is;
    size_t n;
    skip_space(j);
    if (*j->at++ != '{')
        return false;
    for (skip_space(j); take_string(j, &is, &n); skip_space(j)) {
        skip_space(j);
        if (*j->at++ != ':')
            return false;
        skip_space(j);
        if (n == strlen(key) && memcmp(is, key, n) == 0)
            return true;
        for (int depth = 0; *j->at && (depth > 0 || !strchr(",}", *j->at));) {
            if (*j->at == '"') {
                if (!take_string(j, &is, &n))
                    return false;
                continue;
            }
            depth += (*j->at == '[' || *j->at == '{') - (*j->at == ']' || *j->at == '}');
            j->at++;
        }
        if (*j->at++ != ',')
            return false;
        skip_space(j);
    }
    return false;
}

bool scrtio_input_range(const ScrtModel *m, const char *input, int64_t *lo, int64_t *hi)
{
    Json j = {.at = m->info};
    long long x, y;
    if (!find_member(&j, "ranges") || !find_member(&j, input) ||
        sscanf(j.at, "[%lld,%lld]", &x, &y) != 2 || y <= x)
        return false;
    *lo = x;
    *hi = y;
    return true;
}

ScrtDtype scrtio_rounding(const ScrtModel *m, const char *output)
{
    Json j = {.at = m->info};
    const char *text;
    size_t n;
    bool found = find_member(&j, "rounds") && find_member(&j, output) && take_string(&j, &text, &n);
    return found ? scrt_dtype_find(text, n) : SCRT_DTYPE_NONE;
}

void scrtio_print_version(const Cli *c)
{
    Json j = {.at = c->model->info};
    const char *text;
    size_t n;
    scrtio_print_text(stdout, c->model->name);
    fputs(", compiled by scalec ", stdout);
    if (find_member(&j, "scalec") && take_string(&j, &text, &n))
        print_raw(text, n);
    putchar('\n');
}

/* --- The information --- */

static const char *weights_place(const ScrtModel *m)
{
    return m->weights_size == 0 ? "none" : m->weights ? "in the executable" : "in a file";
}

static void print_made_dims(const Cli *c)
{
    for (uint32_t i = 0; i < c->entry->n_in; i++) {
        fputs(i ? ", " : "", stdout);
        scrtio_print_text(stdout, c->entry->in[i].name);
        fputc(' ', stdout);
        scrtio_print_dims(stdout, &c->in[i]);
    }
}

static void print_features(const ScrtLevel *l)
{
    fputs("processor features:", stdout);
    for (uint32_t b = 0; b < 64; b++)
        if (l->features >> b & 1)
            printf(" %s", scrt_cpu_name(b) ? scrt_cpu_name(b) : "?");
    puts(l->features ? "" : " none beyond the baseline");
}

/* Where there are several: of each how much of the weights it reads. */
static void print_levels(const Cli *c)
{
    const ScrtModel *m = c->model;
    for (uint32_t i = 0; i < m->n_level && m->n_level > 1; i++) {
        fputs("level ", stdout);
        scrtio_print_text(stdout, m->level[i].name);
        printf(": reads %llu bytes of the weights%s\n", (unsigned long long)m->level[i].weights,
               i == c->level ? " (this)" : "");
    }
}

static void print_info_words(const Cli *c)
{
    const ScrtModel *m = c->model;
    const ScrtEntry *e = c->entry;
    Json j = {.at = m->info};
    scrtio_print_text(stdout, m->name);
    putchar('\n');
    print_signature(c);
    skip_space(&j);
    if (*j.at == '{' && !print_members(&j))
        puts("(the rest of what the compiler noted is not understood)");
    printf("weights: %llu bytes, %s\n", (unsigned long long)m->weights_size, weights_place(m));
    print_levels(c);
    print_features(&m->level[c->level]);
    printf("kernels: %u\n", e->n_kernel);
    if (c->ran) {
        printf("peak memory: %llu bytes beside the weights, with ",
               (unsigned long long)scrt_peak_bytes(c->session));
        print_made_dims(c);
        printf("; %u thread%s\n", scrt_threads(c->session),
               scrt_threads(c->session) == 1 ? "" : "s");
    }
}

static void print_ports_json(const char *key, const ScrtPort *p, uint32_t n)
{
    printf(", \"%s\": [", key);
    for (uint32_t i = 0; i < n; i++) {
        fputs(i ? ", {\"name\": " : "{\"name\": ", stdout);
        scrtio_print_json_string(stdout, p[i].name);
        printf(", \"type\": \"%s\", \"dims\": ", scrt_dtype_name((ScrtDtype)p[i].dtype));
        scrtio_print_json_string(stdout, p[i].dims);
        putchar('}');
    }
    putchar(']');
}

static void print_features_json(const ScrtLevel *l)
{
    const char *comma = "";
    fputs("\"features\": [", stdout);
    for (uint32_t b = 0; b < 64; b++)
        if (l->features >> b & 1) {
            fputs(comma, stdout);
            scrtio_print_json_string(stdout, scrt_cpu_name(b) ? scrt_cpu_name(b) : "?");
            comma = ", ";
        }
    putchar(']');
}

static void print_levels_json(const Cli *c)
{
    const ScrtModel *m = c->model;
    fputs(", \"level\": ", stdout);
    scrtio_print_json_string(stdout, m->level[c->level].name);
    fputs(", \"levels\": [", stdout);
    for (uint32_t i = 0; i < m->n_level; i++) {
        fputs(i ? ", {\"name\": " : "{\"name\": ", stdout);
        scrtio_print_json_string(stdout, m->level[i].name);
        printf(", \"weights_bytes\": %llu, ", (unsigned long long)m->level[i].weights);
        print_features_json(&m->level[i]);
        putchar('}');
    }
    fputs("], ", stdout);
    print_features_json(&m->level[c->level]);
}

static void print_info_json(const Cli *c)
{
    const ScrtModel *m = c->model;
    const ScrtEntry *e = c->entry;
    fputs("{\"model\": ", stdout);
    scrtio_print_json_string(stdout, m->name);
    printf(", \"info\": %s", m->info);
    print_ports_json("inputs", e->in, e->n_in);
    print_ports_json("outputs", e->out, e->n_out);
    print_ports_json("states", m->state, m->n_state);
    fputs(", \"entry\": ", stdout);
    scrtio_print_json_string(stdout, e->name);
    fputs(", \"entries\": [", stdout);
    for (uint32_t i = 0; i < m->n_entry; i++) {
        fputs(i ? ", " : "", stdout);
        scrtio_print_json_string(stdout, m->entry[i].name);
    }
    putchar(']');
    printf(", \"weights_bytes\": %llu, \"weights_embedded\": %s",
           (unsigned long long)m->weights_size, m->weights ? "true" : "false");
    print_levels_json(c);
    printf(", \"kernels\": [");
    for (uint32_t i = 0; i < e->n_kernel; i++) {
        fputs(i ? ", {\"name\": " : "{\"name\": ", stdout);
        scrtio_print_json_string(stdout, e->kernel[i].name);
        fputs(", \"from\": ", stdout);
        scrtio_print_json_string(stdout, e->kernel[i].from);
        fputs(", \"what\": ", stdout);
        scrtio_print_json_string(stdout, e->kernel[i].what);
        putchar('}');
    }
    putchar(']');
    if (c->ran)
        printf(", \"peak_bytes\": %llu, \"threads\": %u",
               (unsigned long long)scrt_peak_bytes(c->session), scrt_threads(c->session));
    puts("}");
}

int scrtio_print_info(const Cli *c)
{
    if (c->json)
        print_info_json(c);
    else
        print_info_words(c);
    return DONE;
}
