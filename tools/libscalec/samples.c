/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs from files: archives are cut into sets, folders are walked in the order of their names.
 * One set is in memory at a time, or one archive. */
#include "tools/libscalec/scalec.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct Source { /* one file or folder */
    const char *path;
    bool folder;       /* a test_data_set */
    uint32_t first, n; /* its sets */
} Source;

struct ScalecSamples {
    ScCtx *cx;
    ScGraph *g; /* a copy: the caller's may go to the pipeline */
    Source *source;
    uint32_t n_source, cap_source, n;
    int64_t open;         /* the source whose data is held, or -1 */
    ScrtTensor *held;     /* [n_in] of that source, whole */
    ScrtTensor *in;       /* [n_in] the set given out: points into held */
    ScrtTensor *expected; /* [n_out] of a folder */
    uint32_t n_expected;
    ScalecSampleOptions opt;
    ScrtImage image;
    bool saw_picture;
};

static const char *input_name(const ScGraph *g, uint32_t i)
{
    const char *name = g->value[g->in[i]].name;
    return name ? name : "";
}

static bool bad(ScalecSamples *s, const char *path, const char *input, const char *why)
{
    return sc_fail_file(s->cx, path, SC_E_INPUT, "input \"%s\" %s", input, why);
}

static void drop_held(ScalecSamples *s)
{
    for (uint32_t i = 0; i < s->g->n_in; i++) {
        scrt_free(s->held[i].data);
        s->held[i].data = NULL;
    }
    for (uint32_t i = 0; i < s->g->n_out; i++) {
        scrt_free(s->expected[i].data);
        s->expected[i].data = NULL;
    }
    s->open = -1;
    s->n_expected = 0;
}

/* The input that a name means; -1 where there is none. */
static int find_input(const ScGraph *g, const char *name)
{
    for (uint32_t i = 0; i < g->n_in; i++)
        if (!strcmp(input_name(g, i), name))
            return (int)i;
    return -1;
}

static int find_output(const ScGraph *g, const char *name)
{
    for (uint32_t i = 0; i < g->n_out; i++)
        if (!strcmp(g->out_name[i], name))
            return (int)i;
    return -1;
}

/* Whether a tensor can be input i, of one set or of several: known before its elements are read. */
static bool head_fits(ScalecSamples *s, const char *path, uint32_t i, const ScrtTensor *head)
{
    const ScType *t = sc_type_of(s->g, s->g->in[i]);
    bool fits = scrt_dtype_adopts(head->dtype, t->dtype) && head->rank == t->rank;
    if (head->dtype == SCRT_DTYPE_NONE) /* reading it says why */
        return true;
    for (uint32_t k = 1; fits && k < t->rank; k++) {
        int64_t c;
        fits = !sc_term_const(t->dim[k], &c) || c == head->dims[k];
    }
    if (fits)
        return true;
    ScStr have = {0}, want = {0};
    sc_str_addf(&have, "%s[", scrt_dtype_name((ScrtDtype)head->dtype));
    for (uint32_t k = 0; k < head->rank; k++)
        sc_str_addf(&have, "%s%lld", k ? "," : "", (long long)head->dims[k]);
    sc_type_print(t, &want);
    sc_fail_file(s->cx, path, SC_E_INPUT, "input \"%s\" is %s], the model takes %s",
                 input_name(s->g, i), sc_str_get(&have), sc_str_get(&want));
    sc_str_free(&have);
    sc_str_free(&want);
    return false;
}

static bool hold_tensor(ScalecSamples *s, const char *path, const ScrtTensorFile *f, uint32_t k,
                        uint32_t i)
{
    ScrtIoError err;
    return head_fits(s, path, i, &scrt_tensors_item(f, k)->tensor) &&
           (scrt_tensors_read(f, k, sc_type_of(s->g, s->g->in[i])->dtype, &s->held[i], &err) ==
                SCRT_OK ||
            scalec_read_failed(s->cx, path, &err));
}

/* What a file holds, for one that lacks an input. */
static bool lacks(ScalecSamples *s, const char *path, const ScrtTensorFile *f, uint32_t i)
{
    ScStr names = {0};
    for (uint32_t k = 0; k < scrt_tensors_count(f) && names.n < 400; k++)
        sc_str_addf(&names, "%s\"%s\"", k ? ", " : "", scrt_tensors_item(f, k)->name);
    sc_fail_file(s->cx, path, SC_E_INPUT, "input \"%s\" is missing", input_name(s->g, i));
    sc_note(s->cx, "it holds %s", names.n ? sc_str_get(&names) : "nothing");
    sc_str_free(&names);
    return false;
}

/* Arrays by name; the only array of a file is the only input, whatever its name. */
static bool hold_arrays(ScalecSamples *s, const char *path, const ScrtTensorFile *f)
{
    uint32_t n = scrt_tensors_count(f);
    if (s->g->n_in == 1 && n == 1)
        return hold_tensor(s, path, f, 0, 0);
    if (scrt_tensors_single(f))
        return sc_fail_file(s->cx, path, SC_E_INPUT,
                            "one array for a model of %u inputs; an .npz names them", s->g->n_in);
    for (uint32_t i = 0; i < s->g->n_in; i++) {
        int64_t k = scrt_tensors_find(f, input_name(s->g, i));
        if (k < 0 ? !lacks(s, path, f, i) : !hold_tensor(s, path, f, (uint32_t)k, i))
            return false;
    }
    return true;
}

/* --shape, where it is of this model's only input. */
static bool take_shape(ScalecSamples *s, const char *path, ScrtWish *wish)
{
    const char *name = input_name(s->g, 0);
    size_t n = strlen(name);
    uint32_t rank;
    for (uint32_t k = 0; k < s->opt.n_shape; k++) {
        const char *text = s->opt.shape[k];
        if (!strncmp(text, name, n) && text[n] == '=')
            text += n + 1;
        if (!scrt_shape_parse(text, &rank, wish->dims) || rank != wish->rank)
            return sc_fail_file(s->cx, path, SC_E_INPUT, "--shape %s is no shape of input \"%s\"",
                                s->opt.shape[k], name);
    }
    return true;
}

/* A picture, or bytes, of which there may be several sets. */
static bool hold_bare(ScalecSamples *s, const char *path, const ScrtTensorFile *f)
{
    if (s->g->n_in != 1)
        return sc_fail_file(s->cx, path, SC_E_INPUT,
                            "one array for a model of %u inputs; an .npz names them", s->g->n_in);
    const ScType *t = sc_type_of(s->g, s->g->in[0]);
    ScrtWish wish = {.dtype = t->dtype, .rank = t->rank, .image = &s->image};
    ScrtIoError err;
    uint32_t n_open = 0;
    for (uint32_t k = 0; k < t->rank && k < SCRT_MAX_RANK; k++)
        if (!sc_term_const(t->dim[k], &wish.dims[k])) {
            wish.dims[k] = -1;
            n_open++;
        }
    if (t->rank && !n_open && !scrt_tensors_picture(f))
        wish.dims[0] = -1;
    s->saw_picture |= scrt_tensors_picture(f);
    return take_shape(s, path, &wish) &&
           (scrt_tensors_make(f, &wish, &s->held[0], &err) == SCRT_OK ||
            scalec_read_failed(s->cx, path, &err)) &&
           head_fits(s, path, 0, &s->held[0]);
}

static bool hold_file(ScalecSamples *s, const char *path)
{
    ScrtTensorFile *f;
    ScrtIoError err;
    if (scrt_tensors_open(path, &f, &err) != SCRT_OK)
        return scalec_read_failed(s->cx, path, &err);
    bool ok = scrt_tensors_bare(f) ? hold_bare(s, path, f) : hold_arrays(s, path, f);
    scrt_tensors_close(f);
    return ok;
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* The tensor files of an ONNX test_data_set go by place; a name inside, where there is one, wins.
 */
static bool hold_folder(ScalecSamples *s, const char *path)
{
    ScArena *a = sc_arena_new();
    bool ok = true;
    for (uint32_t side = 0; ok && side < 2; side++) {
        uint32_t n = side ? s->g->n_out : s->g->n_in;
        for (uint32_t i = 0; ok && i < n; i++) {
            ScrtNamed t;
            ScrtIoError err;
            char *file = sc_printf(a, "%s/%s_%u.pb", path, side ? "output" : "input", i);
            if (!scalec_note_file(s->cx, file)) {
                ok = side || bad(s, path, input_name(s->g, i), "is missing");
                continue;
            }
            if (scrt_pb_read(file, &t, &err) != SCRT_OK) {
                ok = scalec_read_failed(s->cx, file, &err);
                break;
            }
            int named = side ? find_output(s->g, t.name) : find_input(s->g, t.name);
            ScrtTensor *to = (side ? s->expected : s->held) + (named >= 0 ? (uint32_t)named : i);
            scrt_free(to->data);
            *to = t.tensor;
            scrt_free(t.name);
            s->n_expected = side ? n : 0;
        }
    }
    for (uint32_t i = 0; ok && i < s->g->n_in; i++)
        ok = s->held[i].data || bad(s, path, input_name(s->g, i), "is missing");
    sc_arena_free(a);
    return ok;
}

static bool hold(ScalecSamples *s, uint32_t k)
{
    if (s->open == k)
        return true;
    drop_held(s);
    if (!(s->source[k].folder ? hold_folder : hold_file)(s, s->source[k].path))
        return false;
    s->open = k;
    return true;
}

/* Into how many sets the held tensors fall: 1 where all have the model's ranks and no fixed leading
 * extent is exceeded. */
static bool count_sets(ScalecSamples *s, const char *path, uint32_t *ret)
{
    int64_t sets = 0;
    for (uint32_t i = 0; i < s->g->n_in; i++) {
        const ScType *t = sc_type_of(s->g, s->g->in[i]);
        const ScrtTensor *h = &s->held[i];
        int64_t lead, mine = 1;
        if (h->dtype != (uint32_t)t->dtype || h->rank != t->rank)
            return bad(s, path, input_name(s->g, i),
                       "has another element type or rank than the model's");
        if (t->rank > 0 && sc_term_const(t->dim[0], &lead) && h->dims[0] != lead) {
            if (lead < 1 || h->dims[0] % lead)
                return bad(s, path, input_name(s->g, i), "has a leading extent that does not fit");
            mine = h->dims[0] / lead;
        }
        if (sets && mine != sets)
            return bad(s, path, input_name(s->g, i),
                       "holds another number of samples than the first");
        sets = mine;
    }
    if (sets > UINT32_MAX - s->n)
        return sc_fail_file(s->cx, path, SC_E_LIMIT, "too many samples");
    *ret = s->g->n_in ? (uint32_t)sets : 1;
    return true;
}

static bool add_source(ScalecSamples *s, bool folder, const char *path)
{
    Source src = {sc_intern(s->cx, path), folder, s->n, 0};
    scalec_note_file(s->cx, path);
    sc_buf_push(s->source, s->n_source, s->cap_source, src);
    if (!hold(s, s->n_source - 1) || !count_sets(s, path, &src.n))
        return false;
    s->source[s->n_source - 1] = src;
    s->n += src.n;
    return true;
}

static bool has_suffix(const char *name, const char *const *suffix, size_t n_suffix)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n_suffix; i++) {
        size_t k = strlen(suffix[i]);
        if (n > k && !strcasecmp(name + n - k, suffix[i]))
            return true;
    }
    return false;
}

static bool is_archive(const char *name)
{
    static const char *const suffix[] = {".npz", ".safetensors"};
    return has_suffix(name, suffix, sizeof suffix / sizeof *suffix);
}

static bool is_single(const char *name)
{
    static const char *const suffix[] = {".npy", ".bin", ".ppm", ".pgm", ".png", ".jpg", ".jpeg"};
    return has_suffix(name, suffix, sizeof suffix / sizeof *suffix);
}

/* Whether a folder is one set: of a model without inputs it holds nothing but outputs. */
static bool is_set(const ScalecSamples *s, ScArena *a, const char *path)
{
    return exists(sc_printf(a, "%s/%s_0.pb", path, s->g->n_in ? "input" : "output"));
}

/* Of the folder's entries those that are sets or archives, or else single tensors. */
static bool add_entries(ScalecSamples *s, ScArena *a, const char *path, struct dirent *const *entry,
                        int n, bool single)
{
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        char *child = sc_printf(a, "%s/%s", path, entry[i]->d_name);
        if (entry[i]->d_name[0] == '.')
            continue;
        if (single ? is_single(child) : is_archive(child))
            ok = add_source(s, false, child);
        else if (!single && is_set(s, a, child))
            ok = add_source(s, true, child);
    }
    return ok;
}

/* A folder is one set, or holds sets and archives; where it holds none of them, and the model has
 * one input, it may hold pictures and the like, which beside sets are something else. */
static bool add_folder(ScalecSamples *s, const char *path)
{
    struct dirent **entry;
    ScArena *a = sc_arena_new();
    uint32_t before = s->n_source;
    if (is_set(s, a, path)) {
        sc_arena_free(a);
        return add_source(s, true, path);
    }
    int n = scandir(path, &entry, NULL, alphasort);
    bool ok = add_entries(s, a, path, entry, n, false);
    if (ok && s->n_source == before && s->g->n_in == 1)
        ok = add_entries(s, a, path, entry, n, true);
    for (int i = 0; i < n; i++)
        free(entry[i]);
    if (n >= 0)
        free(entry);
    sc_arena_free(a);
    return ok && (s->n_source > before || sc_fail_file(s->cx, path, SC_E_INPUT,
                                                       "it holds no %s_0.pb and no file of samples",
                                                       s->g->n_in ? "input" : "output"));
}

/* What the options say is used. */
static bool check_options(const ScalecSamples *s, const char *path)
{
    return !s->opt.image || s->saw_picture ||
           sc_fail_file(s->cx, path, SC_E_INPUT, "--image: it holds no picture");
}

static bool parse_options(ScalecSamples *s, const ScalecSampleOptions *opt)
{
    ScrtIoError err;
    s->opt = opt ? *opt : (ScalecSampleOptions){0};
    s->image.decoders = scalec_decoders();
    return !s->opt.image || scrt_image_parse(s->opt.image, &s->image, &err) == SCRT_OK ||
           sc_fail(s->cx, NULL, SC_E_INPUT, "--image: %s", err.text);
}

ScalecSamples *scalec_samples_open(ScCtx *cx, const ScGraph *g, const char *path,
                                   const ScalecSampleOptions *opt)
{
    struct stat st;
    ScalecSamples *s = sc_calloc(1, sizeof *s);
    *s = (ScalecSamples){.cx = cx, .g = sc_graph_clone(g), .open = -1};
    s->held = sc_calloc(g->n_in + 1, sizeof *s->held);
    s->in = sc_calloc(g->n_in + 1, sizeof *s->in);
    s->expected = sc_calloc(g->n_out + 1, sizeof *s->expected);
    bool ok = parse_options(s, opt) &&
              (stat(path, &st) == 0 || sc_fail_file(cx, path, SC_E_FILE, "%s", strerror(errno)));
    if (ok)
        ok = S_ISDIR(st.st_mode) ? add_folder(s, path) : add_source(s, false, path);
    if (ok && check_options(s, path))
        return s;
    scalec_samples_close(s);
    return NULL;
}

uint32_t scalec_samples_count(const ScalecSamples *s)
{
    return s->n;
}

static uint32_t source_of_set(const ScalecSamples *s, uint32_t i)
{
    uint32_t k = 0;
    while (i >= s->source[k].first + s->source[k].n)
        k++;
    return k;
}

bool scalec_samples_get(ScalecSamples *s, uint32_t i, const ScrtTensor **ret_in)
{
    uint32_t k = source_of_set(s, i);
    if (!hold(s, k))
        return false;
    for (uint32_t p = 0; p < s->g->n_in; p++) {
        s->in[p] = s->held[p];
        if (s->source[k].n > 1) {
            size_t bytes;
            s->in[p].dims[0] /= s->source[k].n;
            if (!scrt_tensor_bytes(&s->in[p], &bytes))
                return bad(s, s->source[k].path, input_name(s->g, p), "is too large");
            s->in[p].data = (char *)s->held[p].data + bytes * (i - s->source[k].first);
        }
    }
    *ret_in = s->in;
    return true;
}

uint32_t scalec_samples_expected(ScalecSamples *s, uint32_t i, const ScrtTensor **ret_out)
{
    *ret_out = s->expected;
    return hold(s, source_of_set(s, i)) ? s->n_expected : 0;
}

void scalec_samples_close(ScalecSamples *s)
{
    if (!s)
        return;
    drop_held(s);
    free(s->held);
    free(s->in);
    free(s->expected);
    sc_graph_free(s->g);
    sc_buf_free(s->source);
    free(s);
}
