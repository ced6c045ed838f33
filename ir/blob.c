/* SPDX-License-Identifier: Apache-2.0 */
/* Constants' data: shared, never copied, found again by its bytes. */
#include "ir/ir.h"

#include "runtime/handles.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define INLINE_COUNT 16 /* up to this many elements stand in the text, without a name */

/* Eight bytes at a time: weights may be gigabytes. The last word is filled with zeros. */
static uint64_t hash_data(uint64_t h, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint64_t w;
    for (; bytes >= 8; bytes -= 8, p += 8) {
        memcpy(&w, p, 8);
        h = sc_hash_word(h, w);
    }
    w = 0;
    if (bytes)
        memcpy(&w, p, bytes);
    return sc_hash_word(h, w);
}

/* Of what strings hold: their handles are addresses. */
static uint64_t hash_strings(uint64_t h, const void *data, size_t n)
{
    const ScrtTensor t = {.dtype = SCRT_STRING, .data = (void *)(uintptr_t)data};
    for (size_t i = 0; i < n; i++) {
        ScrtChars c = scrt_chars(NULL, &t, (int64_t)i);
        h = hash_data(sc_hash_word(h, c.n), c.at, c.n);
    }
    return h;
}

/* What blobs have in common that are equal but for accidents of hashing. */
typedef struct Key {
    uint64_t what, hash; /* what keeps the uses of interned bytes in this file apart */
    const char *name;
    const int64_t *dims;
    const ScBlob *from;
    uint32_t dtype, rank;
} Key;
enum { IS_BLOB = 1, IS_NAME = 2 };

typedef struct Same { /* blobs of one key */
    const ScBlob *blob;
    struct Same *next;
} Same;

/* The first blob of this name, NULL before there is one. */
static const ScBlob **first_of_name(ScCtx *cx, const char *name)
{
    Key key;
    memset(&key, 0, sizeof key);
    key.what = IS_NAME;
    key.name = name;
    return sc_ctx_slot(cx, sc_intern_bytes(cx, &key, sizeof key), sizeof(ScBlob *));
}

/* The blob that is like b, whose name may be NULL, under that name. hash: the one that it
 * has (0: it is not known yet). */
static const ScBlob *keep(ScCtx *cx, const ScBlob *b, const char *name, uint64_t hash)
{
    const int64_t *dims = b->dims;
    const void *data = b->data;
    uint32_t rank = b->rank;
    ScrtDtype dtype = b->dtype;
    size_t count = 1, bytes = 0;
    bool fits = true;
    for (uint32_t i = 0; i < rank; i++)
        fits = fits && dims[i] >= 0 && !__builtin_mul_overflow(count, (size_t)dims[i], &count);
    fits = fits && (scrt_bytes(dtype, count, &bytes) || !data);
    assert(fits); /* whoever read the dims has checked them */
    (void)fits;
    Key key;
    memset(&key, 0, sizeof key);
    key.what = IS_BLOB;
    key.name = name ? sc_intern(cx, name) : NULL;
    key.dims = sc_intern_bytes(cx, dims, rank * sizeof *dims);
    key.dtype = dtype;
    key.rank = rank;
    key.from = b->from;
    key.hash = sc_hash(SC_HASH, &(uint32_t[]){dtype, rank}, 2 * sizeof(uint32_t));
    key.hash = hash_data(key.hash, dims, rank * sizeof *dims);
    if (data && hash)
        key.hash = hash;
    else if (data)
        key.hash = dtype == SCRT_STRING ? hash_strings(key.hash, data, count)
                                        : hash_data(key.hash, data, bytes);
    else if (name)
        key.hash = sc_hash(key.hash, name, strlen(name));

    Same **same = sc_ctx_slot(cx, sc_intern_bytes(cx, &key, sizeof key), sizeof *same);
    for (const Same *s = *same; s; s = s->next)
        if (!s->blob->data == !data && (!data || memcmp(s->blob->data, data, bytes) == 0))
            return s->blob;
    ScBlob *kept = sc_new(sc_ctx_arena(cx), ScBlob);
    *kept = *b;
    kept->name = key.name;
    kept->dims = key.dims;
    kept->count = count;
    kept->hash = key.hash;
    Same *s = sc_new(sc_ctx_arena(cx), Same);
    *s = (Same){kept, *same};
    *same = s;
    if (key.name && !*first_of_name(cx, key.name))
        *first_of_name(cx, key.name) = kept;
    if (data)
        sc_forget(cx, data, bytes);
    return kept;
}

void sc_blob_forget(ScCtx *cx, const ScBlob *b)
{
    size_t bytes;
    if (b->data && scrt_bytes(b->dtype, b->count, &bytes))
        sc_forget(cx, b->data, bytes);
}

const ScBlob *sc_blob(ScCtx *cx, const char *name, ScrtDtype dtype, uint32_t rank,
                      const int64_t *dims, const void *data)
{
    return keep(cx, &(ScBlob){.dtype = dtype, .rank = rank, .dims = dims, .data = data}, name, 0);
}

const ScrtString *sc_string(ScCtx *cx, const char *p, size_t n)
{
    if (n == 0)
        return NULL;
    ScArena *a = sc_arena_new();
    ScrtString *s = sc_alloc(a, sizeof *s + n);
    s->n = n;
    memcpy(s->bytes, p, n);
    const ScrtString *kept = sc_intern_bytes(cx, s, sizeof *s + n);
    sc_arena_free(a);
    return kept;
}

const ScBlob *sc_blob_of(ScCtx *cx, const char *name, const ScrtTensor *t)
{
    size_t bytes;
    bool fits = scrt_tensor_bytes(t, &bytes);
    assert(fits);
    (void)fits;
    void *data = sc_alloc(sc_ctx_arena(cx), bytes ? bytes : 1);
    if (bytes)
        memcpy(data, t->data, bytes);
    for (int64_t i = 0, n = scrt_count(t); t->dtype == SCRT_STRING && i < n; i++) {
        ScrtChars c = scrt_chars(NULL, t, i);
        ((const ScrtString **)data)[i] = sc_string(cx, c.at, c.n);
    }
    return sc_blob(cx, name, (ScrtDtype)t->dtype, t->rank, t->dims, data);
}

const ScBlob *sc_blob_scalar(ScCtx *cx, ScrtDtype dtype, double x)
{
    unsigned char element[16] = {0};
    size_t bytes;
    bool fits = scrt_bytes(dtype, 1, &bytes) && bytes <= sizeof element;
    assert(fits);
    (void)fits;
    scrt_store(dtype, element, 0, x, false);
    return sc_blob(cx, NULL, dtype, 0, NULL, sc_intern_bytes(cx, element, bytes));
}

const ScBlob *sc_blob_i64(ScCtx *cx, uint32_t n, const int64_t *x)
{
    int64_t dims[1] = {n};
    return sc_blob(cx, NULL, SCRT_I64, 1, dims, sc_intern_bytes(cx, x, n * sizeof *x));
}

const ScBlob *sc_blob_folded(ScCtx *cx, ScrtDtype dtype, uint32_t rank, const int64_t *dims,
                             const void *data)
{
    return sc_blob_rounded(cx, &(ScBlob){.dtype = dtype, .rank = rank, .dims = dims, .data = data});
}

double sc_blob_unit(const ScBlob *b, size_t i)
{
    size_t at = b->unit ? i / b->inner : 0, blocks;
    if (!b->unit)
        return 1;
    if (b->block == 0)
        return (double)b->unit[at % b->n_unit];
    blocks = (b->extent + b->block - 1) / b->block;
    at = at / b->extent * blocks + at % b->extent / b->block;
    return (double)b->unit[at * b->inner + i % b->inner];
}

const ScBlob *sc_blob_rounded(ScCtx *cx, const ScBlob *b)
{
    ScBlob own = *b;
    own.computed = true;
    const uint64_t hash = keep(cx, b, NULL, 0)->hash;
    for (uint64_t h = hash;; h++) { /* on to the next where another constant has this name */
        char text[32];
        snprintf(text, sizeof text, "fold.%016" PRIx64, h);
        const char *name = sc_intern(cx, text);
        const ScBlob *first = *first_of_name(cx, name), *named = keep(cx, &own, name, hash);
        if (!first || first == named)
            return named;
    }
}

const ScBlob *sc_blob_computed(ScCtx *cx, const ScrtTensor *t)
{
    const ScBlob *b = sc_blob_of(cx, NULL, t);
    return b->count <= INLINE_COUNT ? b : sc_blob_rounded(cx, b);
}
