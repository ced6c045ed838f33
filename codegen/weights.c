/* SPDX-License-Identifier: Apache-2.0 */
/* The packed constants: planned, then streamed. */
#include "codegen/weights.h"

#include "codegen/module.h"
#include "runtime/handles.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Processors fetch lines in pairs: weights in the caches that are streamed from the middle of a
 * pair took 1.1 times as long (a layer of 784 x 512 in f32, one row). */
enum {
    ALIGN = 64,
    PAIR = 128,
    PAIR_FROM = 4096, /* bytes from which a constant begins at a pair */
    FEW = 1 << 20,    /* bytes that are not worth a thread */
};

typedef struct CgEntry {
    const ScGraph *g;
    const ScNode *node;
    int64_t exp;
    CgPack pack;
    size_t bytes;
    uint64_t offset, hash;
    uint64_t gap;    /* bytes before it that align it */
    uint32_t levels; /* that read it: 1 << each */
} CgEntry;

static const ScBlob *blob_of(const CgEntry *e)
{
    return sc_attr(e->node, 0)->blob;
}

static ScrtDtype dtype_of(const CgEntry *e)
{
    return e->g->value[e->node->first].type->dtype;
}

/* --- Strings: handles, then what they stand for ----------------------------------------------- */

/* Handles of equal strings are equal, of which neighbours share one. */
static const ScrtString *string_at(const ScBlob *b, size_t i, bool *ret_again)
{
    const ScrtString *const *p = b->data;
    *ret_again = i > 0 && p[i - 1] == p[i];
    return p[i];
}

static bool strings_size(const ScBlob *b, size_t *ret)
{
    bool again;
    if (!scrt_bytes(SCRT_STRING, b->count, ret))
        return false;
    for (size_t i = 0; i < b->count; i++) {
        const ScrtString *s = string_at(b, i, &again);
        if (s && !again && __builtin_add_overflow(*ret, scrt_string_room(s->n), ret))
            return false;
    }
    return true;
}

static void write_strings(const CgEntry *e, unsigned char *at)
{
    const ScBlob *b = blob_of(e);
    uint64_t *handle = (uint64_t *)(void *)at, to = b->count * sizeof *handle;
    for (size_t i = 0; i < b->count; i++) {
        bool again;
        const ScrtString *s = string_at(b, i, &again);
        handle[i] = again ? handle[i - 1] : s ? 2 * (e->offset + to) + 1 : 0;
        if (!s || again)
            continue;
        memcpy(at + to, s, sizeof *s + s->n);
        to += scrt_string_room(s->n);
    }
}

/* --- Planning -------------------------------------------------------------------------------- */

static uint64_t hash_entry(const CgEntry *e)
{
    const ScBlob *b = blob_of(e);
    uint64_t h = sc_hash_word(b->hash, dtype_of(e));
    h = sc_hash_word(h, (uint64_t)e->exp);
    h = sc_hash_word(h, (uintptr_t)e->pack.fn);
    return e->pack.fn ? sc_hash(h, e->pack.arg, e->pack.n_arg) : h;
}

/* Both have the same bytes in the weights. The same data under other dims has another hash. */
static bool same(const CgEntry *a, const CgEntry *b)
{
    const ScBlob *x = blob_of(a), *y = blob_of(b);
    size_t n;
    if (a->hash != b->hash || dtype_of(a) != dtype_of(b) || a->exp != b->exp ||
        a->pack.fn != b->pack.fn || x->dtype != y->dtype || x->count != y->count)
        return false;
    if (a->pack.fn &&
        (a->pack.n_arg != b->pack.n_arg || memcmp(a->pack.arg, b->pack.arg, a->pack.n_arg) != 0))
        return false;
    return x == y || (scrt_bytes(x->dtype, x->count, &n) && memcmp(x->data, y->data, n) == 0);
}

static void grow_table(CgWeights *w)
{
    uint32_t cap = w->cap_table ? 2 * w->cap_table : 64;
    uint32_t *t = sc_calloc(cap, sizeof *t);
    for (uint32_t i = 0; i < w->n_entry; i++) {
        uint32_t k = (uint32_t)w->entry[i].hash & (cap - 1);
        while (t[k])
            k = (k + 1) & (cap - 1);
        t[k] = i + 1;
    }
    free(w->table);
    w->table = t;
    w->cap_table = cap;
}

bool cg_weights_enter(CgModule *m, uint32_t levels, const ScGraph *g, const ScNode *n,
                      const CgPack *pack, uint64_t *ret_offset)
{
    CgWeights *w = &m->weights;
    CgEntry e = {.g = g, .node = n, .pack = pack ? *pack : (CgPack){0}, .levels = levels};
    if (!cg_const_check(m, g, n, &e.exp))
        return false;
    if (e.pack.fn)
        e.bytes = e.pack.bytes;
    else if (dtype_of(&e) == SCRT_STRING ? !strings_size(blob_of(&e), &e.bytes)
                                         : !scrt_bytes(dtype_of(&e), blob_of(&e)->count, &e.bytes))
        return sc_fail(m->cx, n->loc, SC_E_LIMIT, "a constant that is too large");
    if (2 * (w->n_entry + 1) > w->cap_table)
        grow_table(w);
    e.hash = hash_entry(&e);
    uint32_t k = (uint32_t)e.hash & (w->cap_table - 1);
    for (; w->table[k]; k = (k + 1) & (w->cap_table - 1)) {
        CgEntry *there = &w->entry[w->table[k] - 1];
        if (same(there, &e)) {
            there->levels |= levels;
            *ret_offset = there->offset;
            return true;
        }
    }
    uint64_t align = e.bytes < PAIR_FROM ? ALIGN : PAIR;
    *ret_offset = e.offset = (w->n + align - 1) / align * align;
    e.gap = e.offset - w->n;
    w->n = e.offset + e.bytes;
    sc_buf_push(w->entry, w->n_entry, w->cap_entry, e);
    w->table[k] = w->n_entry;
    return true;
}

uint64_t cg_weights_of(const CgWeights *w, uint32_t level)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < w->n_entry; i++)
        n += w->entry[i].levels >> level & 1 ? w->entry[i].gap + w->entry[i].bytes : 0;
    return n;
}

/* --- Writing --------------------------------------------------------------------------------- */

typedef struct Job { /* an entry, or elements of one that is not packed */
    const CgEntry *e;
    size_t first, n; /* elements */
    uint64_t offset;
    size_t bytes;
    int why; /* errno */
} Job;
enum { PIECE = 1 << 18 };

typedef struct Writing {
    CgModule *m;
    int fd; /* -1: into memory */
    Job *job;
    uint32_t n, cap;
} Writing;

/* The job's bytes, in zeroed memory; 0 or why not. The data of a blob that needs no conversion is
 * read where it is. */
static int do_job(ScCtx *cx, const Job *j, unsigned char *at)
{
    const CgEntry *e = j->e;
    const ScType *t = e->g->value[e->node->first].type;
    const ScBlob *b = blob_of(e);
    ScrtTensor x = {.dtype = t->dtype, .rank = t->rank, .data = (void *)(uintptr_t)b->data};
    if (t->dtype == SCRT_STRING) {
        assert(!e->pack.fn); /* no kernel multiplies strings */
        write_strings(e, at);
    } else if (!e->pack.fn) {
        ScBlob part = *b;
        part.data = (const char *)b->data + j->first * scrt_dtype_bits(b->dtype) / 8;
        part.count = j->n;
        sc_blob_store(&part, t->dtype, e->exp, at);
        sc_blob_forget(cx, &part);
        return 0;
    } else if (b->dtype == t->dtype && e->exp == 0) {
        sc_type_const_dims(t, x.dims);
        e->pack.fn(&x, e->pack.arg, at);
    } else {
        if (!sc_blob_tensor(b, t, e->exp, &x))
            return ENOMEM; /* the graph is verified: it has the type's shape */
        e->pack.fn(&x, e->pack.arg, at);
        scrt_free(x.data);
    }
    sc_blob_forget(cx, b);
    return 0;
}

static int write_at(int fd, const unsigned char *p, size_t n, uint64_t offset)
{
    while (n > 0) {
        ssize_t some = pwrite(fd, p, n, (off_t)offset);
        if (some < 0 && errno != EINTR)
            return errno;
        some = some < 0 ? 0 : some;
        p += some;
        n -= (size_t)some;
        offset += (uint64_t)some;
    }
    return 0;
}

/* Into a file by writing: pages of a mapped one are read first, as zeros. */
static void run_job(void *arg, size_t i)
{
    const Writing *w = arg;
    Job *j = &w->job[i];
    unsigned char *at = w->m->weights.p ? w->m->weights.p + j->offset : NULL;
    if (w->fd < 0) {
        memset(at, 0, j->bytes);
        j->why = do_job(w->m->cx, j, at);
        return;
    }
    unsigned char *p = sc_calloc(j->bytes, 1);
    j->why = do_job(w->m->cx, j, p);
    if (!j->why)
        j->why = write_at(w->fd, p, j->bytes, j->offset);
    free(p);
}

static bool allocate(CgModule *m, int *ret_fd)
{
    CgWeights *w = &m->weights;
    const ScCodegenOptions *opt = m->opt;
    *ret_fd = -1;
    if (w->n > opt->embed_limit && opt->weights_file) {
        *ret_fd = opt->weights_file(opt->arg);
        /* Room is asked for now: to find in the end that the disk is full would cost more. */
        int why = *ret_fd < 0 ? errno : posix_fallocate(*ret_fd, 0, (off_t)w->n);
        return why == 0 || sc_fail_file(m->cx, m->opt->weights_name, SC_E_WRITE, "the weights: %s",
                                        strerror(why));
    }
    /* Whole lines: a buffer may begin at no more than a multiple of what divides its size. */
    w->p = scrt_alloc((w->n / ALIGN + 1) * ALIGN);
    return w->p ||
           sc_fail_file(m->cx, m->opt->weights_name, SC_E_WRITE, "the weights: not enough memory");
}

/* The largest first: the last one leaves no thread alone for long. */
static int larger_first(const void *a, const void *b)
{
    const Job *x = a, *y = b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes) - (x->bytes > y->bytes)
                                : (x->offset > y->offset) - (x->offset < y->offset);
}

static void add_jobs(Writing *w, const CgEntry *e)
{
    size_t count = blob_of(e)->count, bits = scrt_dtype_bits(dtype_of(e)), bytes;
    bool whole = e->pack.fn || dtype_of(e) == SCRT_STRING || count <= PIECE;
    if (e->bytes == 0 || !scrt_bytes(blob_of(e)->dtype, count, &bytes))
        return;
    for (size_t at = 0, n; at < count; at += n) {
        n = whole || count - at < PIECE ? count - at : PIECE;
        Job j = {.e = e,
                 .first = at,
                 .n = n,
                 .offset = e->offset + at * bits / 8,
                 .bytes = whole ? e->bytes : (n * bits + 7) / 8};
        sc_buf_push(w->job, w->n, w->cap, j);
    }
}

static bool write_entries(CgModule *m, int fd)
{
    Writing w = {.m = m, .fd = fd};
    bool ok = true;
    for (uint32_t i = 0; i < m->weights.n_entry; i++)
        add_jobs(&w, &m->weights.entry[i]);
    if (w.n)
        qsort(w.job, w.n, sizeof *w.job, larger_first);
    if (m->weights.n >= FEW)
        sc_each(w.n, run_job, &w);
    for (uint32_t i = 0; i < w.n && m->weights.n < FEW; i++)
        run_job(&w, i);
    for (uint32_t i = 0; i < w.n && ok; i++)
        if (w.job[i].why)
            ok = sc_fail_file(m->cx, m->opt->weights_name, SC_E_WRITE, "the weights: %s",
                              strerror(w.job[i].why));
    sc_buf_free(w.job);
    return ok;
}

/* Zeros between entries in memory: in a file they are there. */
static void fill_gaps(CgWeights *w)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < w->n_entry; at = w->entry[i].offset + w->entry[i].bytes, i++)
        memset(w->p + at, 0, (size_t)(w->entry[i].offset - at));
    memset(w->p + at, 0, (w->n / ALIGN + 1) * ALIGN - at);
}

/* Of the file as it lies there. */
static bool hash_written(CgModule *m, int fd)
{
    CgWeights *w = &m->weights;
    unsigned char *p = sc_calloc(PIECE, 1);
    ScrtHash hash = scrt_hash_begin();
    ssize_t n = 0;
    for (uint64_t at = 0; at < w->n; at += (uint64_t)n) {
        do
            n = pread(fd, p, PIECE, (off_t)at);
        while (n < 0 && errno == EINTR);
        if (n <= 0)
            break;
        scrt_hash_add(&hash, p, (size_t)n);
    }
    free(p);
    w->hash = scrt_hash_end(&hash);
    return n > 0 || sc_fail_file(m->cx, m->opt->weights_name, SC_E_WRITE, "the weights: %s",
                                 n < 0 ? strerror(errno) : "the file was cut off");
}

bool cg_weights_write(CgModule *m)
{
    SC_STAGE(m->cx, "packing");
    CgWeights *w = &m->weights;
    int fd;
    bool ok = allocate(m, &fd) && write_entries(m, fd);
    if (ok && fd < 0) {
        fill_gaps(w);
        w->hash = m->opt->quick ? 0 : scrt_hash(w->p, w->n); /* who runs it at once has them */
    } else if (ok) {
        ok = hash_written(m, fd);
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

void cg_weights_done(CgWeights *w)
{
    sc_buf_free(w->entry);
    free(w->table);
    scrt_free(w->p);
    *w = (CgWeights){0};
}
