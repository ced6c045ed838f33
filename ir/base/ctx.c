/* SPDX-License-Identifier: Apache-2.0 */
/* The session: its arena, the table that interns bytes, and slots for the caches of upper floors.
 * Both tables are open-addressed and at most two thirds full. */
#include "ir/base/base_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

ScCtx *sc_ctx_new(void)
{
    ScCtx *cx = sc_realloc(NULL, sizeof *cx);
    *cx = (ScCtx){.arena = sc_arena_new()};
    return cx;
}

void sc_ctx_free(ScCtx *cx)
{
    if (!cx)
        return;
    for (const ScAtEnd *e = cx->at_end; e; e = e->next)
        e->end(e->arg);
    sc_buf_free(cx->diag);
    free(cx->interned);
    free(cx->slot);
    sc_buf_free(cx->read);
    sc_arena_free(cx->arena);
    free(cx);
}

void sc_at_end(ScCtx *cx, void (*end)(void *arg), void *arg)
{
    ScAtEnd *e = sc_new(cx->arena, ScAtEnd);
    *e = (ScAtEnd){end, arg, cx->at_end};
    cx->at_end = e;
}

void sc_note_mapped(ScCtx *cx, const void *p, size_t n)
{
    ScMapped *m = sc_new(cx->arena, ScMapped);
    *m = (ScMapped){p, n, cx->mapped};
    cx->mapped = m;
}

void sc_forget(ScCtx *cx, const void *p, size_t n)
{
    const ScMapped *m = cx->mapped;
    const char *begin = p;
    while (m && !(begin >= m->p && begin < m->p + m->n))
        m = m->next;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), skip = (0 - (uintptr_t)begin) & (page - 1);
    if (!m || n > (size_t)(m->p + m->n - begin) || n < skip + page)
        return;
    /* Only whole pages; and the mapping is private and was never written to, so they come back. */
    madvise((void *)(uintptr_t)(begin + skip), (n - skip) & ~(page - 1), MADV_DONTNEED);
}

ScArena *sc_ctx_arena(ScCtx *cx)
{
    return cx->arena;
}

uint64_t sc_hash(uint64_t h, const void *p, size_t n)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

/* Eight bytes at a time: FNV's byte loop would cost more than everything else in a rebuild. */
static uint64_t hash_bytes(const void *p, size_t n)
{
    const unsigned char *b = p;
    uint64_t h = n, w;
    for (; n >= 8; n -= 8, b += 8) {
        memcpy(&w, b, 8);
        h = sc_hash_word(h, w);
    }
    if (n) {
        w = 0;
        memcpy(&w, b, n);
        h = sc_hash_word(h, w);
    }
    return h ^ (h >> 32);
}

static void grow_interned(ScCtx *cx)
{
    size_t cap = cx->interned_cap ? 2 * cx->interned_cap : 256;
    ScInterned *e = sc_realloc(NULL, cap * sizeof *e);
    memset(e, 0, cap * sizeof *e);
    for (size_t i = 0; i < cx->interned_cap; i++) {
        if (!cx->interned[i].p)
            continue;
        size_t k = cx->interned[i].hash & (cap - 1);
        while (e[k].p)
            k = (k + 1) & (cap - 1);
        e[k] = cx->interned[i];
    }
    free(cx->interned);
    cx->interned = e;
    cx->interned_cap = cap;
}

const void *sc_intern_bytes(ScCtx *cx, const void *p, size_t n)
{
    if (3 * cx->n_interned >= 2 * cx->interned_cap)
        grow_interned(cx);
    uint64_t h = hash_bytes(p, n);
    size_t k = h & (cx->interned_cap - 1);
    for (; cx->interned[k].p; k = (k + 1) & (cx->interned_cap - 1)) {
        const ScInterned *e = &cx->interned[k];
        if (e->hash == h && e->n == n && (n == 0 || memcmp(e->p, p, n) == 0))
            return e->p;
    }
    /* One byte more than asked for, so that strings end. */
    char *q = sc_alloc(cx->arena, n + 1);
    if (n)
        memcpy(q, p, n);
    cx->interned[k] = (ScInterned){.hash = h, .p = q, .n = n};
    cx->n_interned++;
    return q;
}

const char *sc_intern_n(ScCtx *cx, const char *s, size_t n)
{
    return sc_intern_bytes(cx, s, n);
}

const char *sc_intern(ScCtx *cx, const char *s)
{
    return sc_intern_bytes(cx, s, strlen(s));
}

/* From the latest backwards: tensors of one file follow each other. */
const char *sc_was_read(const ScCtx *cx, uint64_t device, uint64_t inode)
{
    for (uint32_t i = cx->n_read; i-- > 0;)
        if (cx->read[i].inode == inode && cx->read[i].device == device)
            return cx->read[i].path;
    return NULL;
}

void sc_note_read(ScCtx *cx, const char *path, uint64_t device, uint64_t inode)
{
    if (sc_was_read(cx, device, inode))
        return;
    ScRead r = {device, inode, sc_intern(cx, path)};
    sc_buf_push(cx->read, cx->n_read, cx->read_cap, r);
}

static size_t slot_of(const ScSlot *slot, size_t cap, const void *key)
{
    size_t k = sc_hash_word(0, (uintptr_t)key) & (cap - 1);
    while (slot[k].key && slot[k].key != key)
        k = (k + 1) & (cap - 1);
    return k;
}

static void grow_slots(ScCtx *cx)
{
    size_t cap = cx->slot_cap ? 2 * cx->slot_cap : 64;
    ScSlot *s = sc_realloc(NULL, cap * sizeof *s);
    memset(s, 0, cap * sizeof *s);
    for (size_t i = 0; i < cx->slot_cap; i++)
        if (cx->slot[i].key)
            s[slot_of(s, cap, cx->slot[i].key)] = cx->slot[i];
    free(cx->slot);
    cx->slot = s;
    cx->slot_cap = cap;
}

void *sc_ctx_slot(ScCtx *cx, const void *key, size_t bytes)
{
    if (3 * cx->n_slot >= 2 * cx->slot_cap)
        grow_slots(cx);
    ScSlot *s = &cx->slot[slot_of(cx->slot, cx->slot_cap, key)];
    if (!s->key) {
        *s = (ScSlot){.key = key, .p = sc_alloc(cx->arena, bytes)};
        cx->n_slot++;
    }
    return s->p;
}
