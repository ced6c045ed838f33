/* SPDX-License-Identifier: Apache-2.0 */
/* Files in and out: models told apart by content, text graphs with their constants, whole files
 * written to a temporary name first. */
#include "tools/libscalec/hash.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool scalec_open(ScCtx *cx, const char *path, ScrtFile *ret)
{
    ScrtIoError why;
    sc_set_file(cx, path);
    if (scrt_file_open(path, INT32_MAX, ret, &why) != SCRT_OK)
        return sc_fail(cx, NULL, SC_E_FILE, "%s", why.text);
    sc_note_read(cx, path, ret->device, ret->inode);
    return true;
}

bool scalec_note_file(ScCtx *cx, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    sc_note_read(cx, path, st.st_dev, st.st_ino);
    return true;
}

bool scalec_may_write(ScCtx *cx, const char *path)
{
    struct stat st;
    bool file = strcmp(path, "-") && stat(path, &st) == 0 && S_ISREG(st.st_mode);
    const char *read = file ? sc_was_read(cx, st.st_dev, st.st_ino) : NULL;
    if (!read)
        return true;
    return sc_fail_file(cx, path, SC_E_WRITE,
                        strcmp(read, path) ? "it is an input, \"%s\"" : "it is an input", read);
}

/* What went wrong with path: the message names it and says "cannot read" or "write" itself. */
static bool io_failed(ScCtx *cx, const char *path, ScDiagId id, const char *text)
{
    static const char *const said[] = {": ", "cannot be read: ", "cannot be written: "};
    size_t n = strlen(path);
    text += strncmp(text, path, n) ? 0 : n;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        text += strncmp(text, said[i], strlen(said[i])) ? 0 : strlen(said[i]);
    return sc_fail_file(cx, path, id, "%s", text);
}

bool scalec_read_failed(ScCtx *cx, const char *path, const ScrtIoError *err)
{
    return io_failed(cx, path, SC_E_FILE, err->text);
}

bool scalec_write_failed(ScCtx *cx, const char *path, const ScrtIoError *err)
{
    return io_failed(cx, path, SC_E_WRITE, err->text);
}

bool scalec_write_file(ScCtx *cx, const char *path, const void *bytes, size_t n)
{
    ScrtIoError err;
    return scalec_may_write(cx, path) && (scrt_file_write(path, bytes, n, &err) == SCRT_OK ||
                                          scalec_write_failed(cx, path, &err));
}

bool scalec_can_write(ScCtx *cx, const char *path)
{
    struct stat st;
    char at[PATH_MAX];
    const char *why = NULL;
    if (!scalec_may_write(cx, path))
        return false;
    if (!strcmp(path, "-"))
        return true;
    bool there = stat(path, &st) == 0;
    if (there && !S_ISREG(st.st_mode)) /* a pipe is not opened before there is something for it */
        why = S_ISDIR(st.st_mode) ? strerror(EISDIR) : NULL;
    else if (access(scalec_folder(cx, there && realpath(path, at) ? at : path), W_OK | X_OK) != 0)
        why = strerror(errno); /* a new file takes the place of the old one */
    return !why || sc_fail_file(cx, path, SC_E_WRITE, "%s", why);
}

const char *scalec_folder(ScCtx *cx, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    return slash == path ? "/" : sc_intern_n(cx, path, (size_t)(slash - path));
}

/* --- Constants of a text graph ---------------------------------------------------------------- */

typedef struct Blobs {
    ScCtx *cx;
    ScInitializers *model; /* of the `source` line, or NULL */
    ScrtTensorFile *npz;   /* PATH.npz, or NULL */
} Blobs;

static const ScBlob *find_blob(void *self, const char *name, uint64_t count)
{
    Blobs *b = self;
    const ScBlob *found = b->model ? sc_initializers_find(b->model, name) : NULL;
    int64_t k = !found && b->npz ? scrt_tensors_find(b->npz, name) : -1;
    ScrtTensor t;
    ScrtIoError err;
    if (k < 0)
        return found;
    const ScrtTensor *head = &scrt_tensors_item(b->npz, (uint32_t)k)->tensor;
    if (head->dtype != SCRT_DTYPE_NONE && (uint64_t)scrt_count(head) != count) /* not unpacked */
        return sc_blob(b->cx, sc_intern(b->cx, name), (ScrtDtype)head->dtype, head->rank,
                       head->dims, NULL);
    if (scrt_tensors_read(b->npz, (uint32_t)k, SCRT_DTYPE_NONE, &t, &err) != SCRT_OK)
        return found;
    found = sc_blob_of(b->cx, sc_intern(b->cx, name), &t);
    scrt_free(t.data);
    return found;
}

/* Where a model's external data may lie. */
static ScDataDirs dirs_of(ScCtx *cx, const char *path)
{
    if (!strcmp(path, "-"))
        return (ScDataDirs){0};
    char *real = realpath(path, NULL);
    ScDataDirs dirs = {scalec_folder(cx, path), real ? scalec_folder(cx, real) : NULL};
    free(real);
    return dirs;
}

/* The path of a `source "..."` line at the head of a text, or NULL: the constants must be at hand
 * before the text is parsed. A path that is not absolute lies beside the text. */
static const char *source_of(ScCtx *cx, const char *path, const char *text)
{
    while (*text) {
        text += strspn(text, " \t\r\n");
        if (*text == ';') {
            text += strcspn(text, "\n");
            continue;
        }
        if (strncmp(text, "source", 6) != 0)
            return NULL;
        text += 6 + strspn(text + 6, " \t");
        size_t n = *text == '"' ? strcspn(text + 1, "\"\n") : 0;
        if (n == 0 || text[1 + n] != '"')
            return NULL;
        const char *file = sc_intern_n(cx, text + 1, n);
        if (*file == '/' || !strcmp(path, "-"))
            return file;
        return sc_printf(sc_ctx_arena(cx), "%s/%s", scalec_folder(cx, path), file);
    }
    return NULL;
}

static ScGraph *load_text(ScCtx *cx, const char *path, const char *text)
{
    Blobs blobs = {.cx = cx};
    const char *source = source_of(cx, path, text);
    ScGraph *g = NULL;
    bool ok = true;
    if (source) {
        ScrtFile file;
        ok = scalec_open(cx, source, &file);
        if (ok) {
            blobs.model = sc_initializers(cx, source, file.data, file.n, dirs_of(cx, source));
            ok = blobs.model != NULL;
            scrt_file_close(&file);
        }
    }
    char *npz = sc_printf(sc_ctx_arena(cx), "%s.npz", path);
    ScrtIoError err;
    if (ok && strcmp(path, "-") && scalec_note_file(cx, npz) &&
        scrt_tensors_open(npz, &blobs.npz, &err) != SCRT_OK)
        ok = scalec_read_failed(cx, npz, &err);
    sc_set_file(cx, path);
    if (ok)
        g = sc_parse(cx, path, text, &(ScBlobSource){find_blob, &blobs}, NULL);
    scrt_tensors_close(blobs.npz);
    return g;
}

/* --- Loading ---------------------------------------------------------------------------------- */

/* No ModelProto begins with white space, a comment or a letter of these two words: its first byte
 * is a field's tag. */
static bool is_text(const char *p)
{
    p += strspn(p, " \t\r\n");
    return *p == ';' || !strncmp(p, "graph", 5) || !strncmp(p, "source", 6);
}

static ScGraph *load_onnx(ScCtx *cx, const char *path, const char *bytes, size_t n,
                          const ScImportOptions *opt)
{
    ScGraph *g = sc_import(cx, path, bytes, n, opt);
    if (!g)
        return NULL;
    /* The folder's true path, but the model's own name, beside which external data lies. */
    char *dir = strcmp(path, "-") ? realpath(scalec_folder(cx, path), NULL) : NULL;
    const char *slash = strrchr(path, '/');
    const char *end = dir && dir[strlen(dir) - 1] == '/' ? "" : "/";
    if (dir)
        g->source = sc_intern(
            cx, sc_printf(sc_ctx_arena(cx), "%s%s%s", dir, end, slash ? slash + 1 : path));
    free(dir);
    return g;
}

static void close_file(void *file)
{
    scrt_file_close(file);
}

static ScGraph *load_any(ScCtx *cx, const char *path, const ScrtFile *file,
                         const ScImportOptions *opt)
{
    SC_STAGE(cx, "import");
    const char *text = (const char *)file->data;
    if (!is_text(text))
        return load_onnx(cx, path, text, file->n, opt);
    if (opt->n_dim == 0)
        return load_text(cx, path, text);
    sc_fail(cx, NULL, SC_E_INPUT, "--dim is for ONNX models; a text graph says its sizes itself");
    return NULL;
}

bool scalec_load_again(ScCtx *cx, const ScalecModel *m, const ScImportOptions *opt,
                       ScalecModel *ret)
{
    ScImportOptions import = opt ? *opt : (ScImportOptions){0};
    import.dirs = dirs_of(cx, m->path);
    import.lasts = true;
    sc_set_file(cx, m->path);
    ScGraph *g = load_any(cx, m->path, m->file, &import);
    if (!g)
        return false;
    *ret = *m;
    ret->graph = g;
    return true;
}

typedef struct Hashing {
    const ScrtFile *file;
    atomic_bool stop;
    uint64_t hash;
} Hashing;

static void *hash(void *arg)
{
    Hashing *h = arg;
    h->hash = scalec_hash(h->file, &h->stop);
    return NULL;
}

bool scalec_load(ScCtx *cx, const char *path, const ScImportOptions *opt, ScalecModel *ret)
{
    ScrtFile *file = sc_new(sc_ctx_arena(cx), ScrtFile);
    ScalecModel m = {.path = sc_intern(cx, path), .file = file};
    if (!scalec_open(cx, path, file))
        return false;
    sc_at_end(cx, close_file, file);
    if (file->mapped)
        sc_note_mapped(cx, file->data, file->n);
    Hashing h = {.file = file};
    pthread_t thread; /* while the file is imported */
    bool begun = sc_thread(&thread, hash, &h);
    bool ok = scalec_load_again(cx, &m, opt, ret);
    SC_STAGE(cx, "hash");
    atomic_store(&h.stop, !ok);
    if (begun)
        pthread_join(thread, NULL);
    else
        hash(&h);
    if (ok)
        ret->hash = h.hash;
    return ok;
}

bool scalec_make_states(ScCtx *cx, ScalecModel *m, uint32_t n, const ScStateRule *rule,
                        int64_t capacity)
{
    ScGraph *g = n ? sc_make_states(cx, m->graph, n, rule, capacity) : m->graph;
    if (g == m->graph)
        return true;
    sc_graph_free(m->graph);
    m->graph = g;
    return g != NULL;
}

/* --- Text out --------------------------------------------------------------------------------- */

typedef struct Archive {
    ScrtNamed *item; /* [n] */
    uint32_t n, cap;
    ScArena *arena;
    ScSymbols names;
} Archive;

/* In f32 where the archive could not say the type: FP8 and the like, whose numbers f32 has. */
static void widen(Archive *a, ScrtNamed *named, const ScBlob *b)
{
    if (!scrt_dtype_is_low(b->dtype) && b->dtype != SCRT_BF16)
        return;
    named->tensor.data = sc_alloc_array(a->arena, b->count, sizeof(float));
    named->tensor.dtype = SCRT_F32;
    sc_blob_store(b, SCRT_F32, 0, named->tensor.data);
}

/* A constant that the text names and no model holds. */
static void add_constant(Archive *a, const ScGraph *g, const ScBlob *b)
{
    if (!b || !b->name || !b->data || b->rank > SCRT_MAX_RANK ||
        (g->source && strncmp(b->name, "fold.", 5) != 0) ||
        !sc_symbols_add(&a->names, a->arena, b->name, 0))
        return;
    ScrtNamed named = {
        .name = (char *)b->name,
        .tensor = {.dtype = b->dtype, .rank = b->rank, .data = (void *)b->data},
    };
    memcpy(named.tensor.dims, b->dims, b->rank * sizeof *b->dims);
    widen(a, &named, b);
    sc_buf_push(a->item, a->n, a->cap, named);
}

/* Those of g, which is `top` or lies in it, nested graphs among them. */
static void add_constants(Archive *a, const ScGraph *top, const ScGraph *g)
{
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t k = 0; k < n->op->n_attr; k++)
            if (n->attr[k].kind == SC_A_BLOB)
                add_constant(a, top, n->attr[k].blob);
        for (uint32_t k = 0; k < n->op->n_sub; k++)
            add_constants(a, top, n->sub[k]);
    }
    for (uint32_t i = 0; i < g->n_state; i++)
        add_constant(a, top, g->state[i].init);
}

/* The folded constants, in one archive. */
static bool write_blobs(ScCtx *cx, const ScGraph *g, const char *path)
{
    Archive a = {.arena = sc_arena_new()};
    ScrtIoError err;
    add_constants(&a, g, g);
    bool ok = a.n == 0 ||
              (scalec_may_write(cx, path) && (scrt_npz_write(path, a.item, a.n, &err) == SCRT_OK ||
                                              scalec_write_failed(cx, path, &err)));
    sc_buf_free(a.item);
    sc_arena_free(a.arena);
    return ok;
}

/* The totals, as comments. */
static void add_head(const ScGraph *g, ScStr *s)
{
    ScStr text = {0};
    scalec_totals(g, &text);
    for (const char *at = sc_str_get(&text); *at;) {
        size_t n = strcspn(at, "\n") + 1;
        sc_str_add(s, "; ");
        sc_str_addn(s, at, n);
        at += n;
    }
    sc_str_free(&text);
}

bool scalec_write_text(ScCtx *cx, const ScGraph *g, uint32_t print_flags, const char *tail,
                       const char *path)
{
    ScStr s = {0};
    if (print_flags & SC_PRINT_COMMENTS)
        add_head(g, &s);
    sc_print(g, print_flags, &s);
    sc_str_add(&s, tail);
    bool ok = scalec_may_write(cx, path); /* before the constants beside it are written */
    if (ok && strcmp(path, "-")) {
        char *npz = sc_printf(sc_ctx_arena(cx), "%s.npz", path);
        ok = write_blobs(cx, g, npz);
    }
    ok = ok && scalec_write_file(cx, path, sc_str_get(&s), s.n);
    sc_str_free(&s);
    return ok;
}
