/* SPDX-License-Identifier: Apache-2.0 */
/* Bump allocation. An arena is a list of zeroed chunks that double up to a megabyte; what is larger
 * than a chunk gets one of its own. Under AddressSanitizer whatever was not handed out is poisoned,
 * so that a step past the end of an allocation is found although malloc never saw it. */
#include "ir/base/base_priv.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SC_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SC_ASAN)
#include <sanitizer/asan_interface.h>
#define REDZONE        16
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define REDZONE        0
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGN = 16, FIRST_CHUNK = 1 << 9, LAST_CHUNK = 1 << 20 };

typedef struct Chunk {
    struct Chunk *next;
    size_t size; /* bytes after this header */
} Chunk;
_Static_assert(sizeof(Chunk) % ALIGN == 0, "what follows the header must be aligned");

struct ScArena {
    Chunk *chunk; /* the newest first */
    char *at, *end;
    size_t next_size, bytes;
};

static void abort_hook(size_t bytes)
{
    (void)bytes;
    abort();
}

static void (*memory_hook)(size_t bytes) = abort_hook;

void sc_set_memory_hook(void (*out_of_memory)(size_t bytes))
{
    memory_hook = out_of_memory ? out_of_memory : abort_hook;
}

void sc_out_of_memory(size_t bytes)
{
    memory_hook(bytes);
    abort(); /* a hook that returns breaks its contract */
}

static void *or_hook(void *p, size_t bytes)
{
    if (!p)
        sc_out_of_memory(bytes);
    return p;
}

void *sc_calloc(size_t n, size_t size)
{
    return or_hook(calloc(n ? n : 1, size), n * size); /* calloc sees an overflow */
}

void *sc_realloc(void *p, size_t bytes)
{
    return or_hook(realloc(p, bytes ? bytes : 1), bytes);
}

ScArena *sc_arena_new(void)
{
    ScArena *a = sc_calloc(1, sizeof *a);
    a->next_size = FIRST_CHUNK;
    return a;
}

void sc_arena_free(ScArena *a)
{
    if (!a)
        return;
    for (Chunk *c = a->chunk, *next; c; c = next) {
        next = c->next;
        UNPOISON(c + 1, c->size);
        free(c);
    }
    free(a);
}

static char *new_chunk(ScArena *a, size_t size)
{
    if (size > SIZE_MAX - sizeof(Chunk))
        sc_out_of_memory(size);
    Chunk *c = sc_calloc(1, sizeof *c + size);
    c->next = a->chunk;
    c->size = size;
    a->chunk = c;
    POISON(c + 1, size);
    return (char *)(c + 1);
}

void *sc_alloc(ScArena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        sc_out_of_memory(bytes);
    size_t room = (bytes + REDZONE + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (room == 0)
        room = ALIGN;
    a->bytes += bytes;
    char *p;
    if (room <= (size_t)(a->end - a->at)) {
        p = a->at;
        a->at += room;
    } else if (room > a->next_size / 2) {
        p = new_chunk(a, room); /* on its own; the current chunk stays in use */
    } else {
        p = new_chunk(a, a->next_size);
        a->at = p + room;
        a->end = p + a->next_size;
        if (a->next_size < LAST_CHUNK)
            a->next_size *= 2;
    }
    UNPOISON(p, bytes);
    return p;
}

void *sc_alloc_array(ScArena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        sc_out_of_memory(SIZE_MAX);
    return sc_alloc(a, bytes);
}

void *sc_memdup(ScArena *a, const void *p, size_t bytes)
{
    void *q = sc_alloc(a, bytes);
    if (bytes)
        memcpy(q, p, bytes);
    return q;
}

char *sc_strdup(ScArena *a, const char *s)
{
    return sc_memdup(a, s, strlen(s) + 1);
}

char *sc_printf(ScArena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *s = sc_alloc(a, n < 0 ? 1 : (size_t)n + 1);
    if (n > 0)
        vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return s;
}

size_t sc_arena_bytes(const ScArena *a)
{
    return a->bytes;
}

void *sc_buf_grow(void *p, uint32_t *cap, size_t size)
{
    if (*cap > UINT32_MAX / 2)
        sc_out_of_memory(SIZE_MAX);
    uint32_t n = *cap ? 2 * *cap : 16;
    size_t bytes;
    if (__builtin_mul_overflow((size_t)n, size, &bytes))
        sc_out_of_memory(SIZE_MAX);
    *cap = n;
    return sc_realloc(p, bytes);
}

void sc_buf_free(void *p)
{
    free(p);
}
