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
#include <sys/mman.h>
#include <unistd.h>

/* Processors fetch lines in pairs: weights in the caches that are streamed from the middle of a
 * pair took 1.1 times as long (a layer of 784 x 512 in f32, one row). */
enum {
    ALIGN = 64,
    PAIR = 128,
    PAIR_FROM = 4096, /* bytes from which a constant begins at a pair */
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

/* A piece of the file in memory, or of the memory. */
typedef struct Window {
    unsigned char *at; /* where the entry's bytes go */
    void *map;         /* NULL: memory that stays */
    size_t n_map;
} Window;

static bool open_window(CgModule *m, int fd, const CgEntry *e, Window *ret)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), begin = e->offset & ~(page - 1);
    *ret = (Window){.at = m->weights.p ? m->weights.p + e->offset : NULL};
    if (fd < 0 || e->bytes == 0)
        return true;
    ret->n_map = (size_t)(e->offset + e->bytes - begin);
    ret->map = mmap(NULL, ret->n_map, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)begin);
    if (ret->map == MAP_FAILED)
        return sc_fail_file(m->cx, m->opt->weights_name, SC_E_WRITE, "the weights: %s",
                            strerror(errno));
    ret->at = (unsigned char *)ret->map + (e->offset - begin);
    return true;
}

/* The entry's bytes, in zeroed memory. The data of a blob that needs no conversion is read where it
 * is. */
static bool write_entry(CgModule *m, const CgEntry *e, unsigned char *at)
{
    const ScType *t = e->g->value[e->node->first].type;
    const ScBlob *b = blob_of(e);
    bool as_stored = b->dtype == t->dtype && e->exp == 0, ok = true;
    size_t n;
    ScrtTensor x = {.dtype = t->dtype, .rank = t->rank, .data = (void *)(uintptr_t)b->data};
    if (e->bytes == 0 || !scrt_bytes(b->dtype, b->count, &n))
        return true;
    if (t->dtype == SCRT_STRING) {
        assert(!e->pack.fn); /* no kernel multiplies strings */
        write_strings(e, at);
    } else if (!e->pack.fn && as_stored) {
        memcpy(at, b->data, e->bytes);
    } else if (!e->pack.fn) {
        sc_blob_store(b, t->dtype, e->exp, at);
    } else if (as_stored) {
        sc_type_const_dims(t, x.dims);
        e->pack.fn(&x, e->pack.arg, at);
    } else {
        ok = sc_blob_tensor(b, t, e->exp, &x) ||
             sc_fail(m->cx, e->node->loc, SC_E_LOWER, "a constant of this type");
        if (ok)
            e->pack.fn(&x, e->pack.arg, at);
        if (ok)
            scrt_free(x.data);
    }
    sc_forget(m->cx, b->data, n);
    return ok;
}

static bool allocate(CgModule *m, int *ret_fd)
{
    CgWeights *w = &m->weights;
    const ScCodegenOptions *opt = m->opt;
    *ret_fd = -1;
    if (w->n > opt->embed_limit && opt->weights_file) {
        *ret_fd = opt->weights_file(opt->arg);
        /* Room is asked for now: a full disk would be a signal later. */
        int why = *ret_fd < 0 ? errno : posix_fallocate(*ret_fd, 0, (off_t)w->n);
        return why == 0 || sc_fail_file(m->cx, m->opt->weights_name, SC_E_WRITE, "the weights: %s",
                                        strerror(why));
    }
    /* Whole lines: a buffer may begin at no more than a multiple of what divides its size. */
    size_t room = (w->n / ALIGN + 1) * ALIGN;
    w->p = scrt_alloc(room);
    if (w->p)
        memset(w->p, 0, room);
    return w->p ||
           sc_fail_file(m->cx, m->opt->weights_name, SC_E_WRITE, "the weights: not enough memory");
}

bool cg_weights_write(CgModule *m)
{
    SC_STAGE(m->cx, "packing");
    CgWeights *w = &m->weights;
    ScrtHash hash = scrt_hash_begin();
    int fd;
    bool ok = allocate(m, &fd);
    for (uint32_t i = 0; ok && i < w->n_entry; i++) {
        const CgEntry *e = &w->entry[i];
        Window window;
        sc_stage_share(m->cx, e->offset, w->n);
        ok = open_window(m, fd, e, &window) && write_entry(m, e, window.at);
        if (ok) { /* with the zeros up to the next one */
            uint64_t end = i + 1 < w->n_entry ? w->entry[i + 1].offset : w->n;
            static const unsigned char zero[PAIR];
            scrt_hash_add(&hash, window.at, e->bytes);
            scrt_hash_add(&hash, zero, (size_t)(end - e->offset - e->bytes));
        }
        if (window.map && window.map != MAP_FAILED)
            munmap(window.map, window.n_map);
    }
    w->hash = scrt_hash_end(&hash);
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
