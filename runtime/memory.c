/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, tensors and what has no other home: status texts, the hash of weights. */
#include "runtime/num/num.h"
#include "runtime/scrt.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 128 }; /* a pair of lines, as processors fetch them */

static void *default_alloc(void *self, size_t bytes, size_t align)
{
    (void)self;
    if (bytes > SIZE_MAX - align)
        return NULL;
    return aligned_alloc(align, (bytes + align - 1) / align * align);
}

static void default_free(void *self, void *p)
{
    (void)self;
    free(p);
}

static ScrtAllocator allocator = {default_alloc, default_free, NULL};

void scrt_set_allocator(const ScrtAllocator *a)
{
    allocator = a ? *a : (ScrtAllocator){default_alloc, default_free, NULL};
}

void *scrt_alloc(size_t bytes)
{
    return allocator.alloc(allocator.self, bytes ? bytes : 1, ALIGN);
}

void scrt_free(void *p)
{
    if (p)
        allocator.free(allocator.self, p);
}

int64_t scrt_count(const ScrtTensor *t)
{
    int64_t n = 1;
    bool empty = false;
    if (t->rank > SCRT_MAX_RANK)
        return -1;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->dims[i] < 0)
            return -1;
        if (t->dims[i] == 0)
            empty = true; /* the others may be anything, but not negative */
        else if (__builtin_mul_overflow(n, t->dims[i], &n))
            return -1;
    }
    return empty ? 0 : n;
}

bool scrt_tensor_bytes(const ScrtTensor *t, size_t *ret)
{
    int64_t n = scrt_count(t);
    return n >= 0 && scrt_bytes((ScrtDtype)t->dtype, (size_t)n, ret) && *ret <= PTRDIFF_MAX;
}

ScrtStatus scrt_tensor_alloc(ScrtTensor *t)
{
    size_t bytes;
    if (!scrt_dtype_bits((ScrtDtype)t->dtype))
        return SCRT_E_DTYPE;
    if (!scrt_tensor_bytes(t, &bytes))
        return SCRT_E_SHAPE;
    void *p = scrt_alloc(bytes);
    if (!p)
        return SCRT_E_MEMORY;
    memset(p, 0, bytes);
    t->data = p;
    return SCRT_OK;
}

const char *scrt_status_text(ScrtStatus s)
{
    switch (s) {
    case SCRT_OK:
        return "no error";
    case SCRT_E_MEMORY:
        return "out of memory";
    case SCRT_E_SHAPE:
        return "a shape does not fit the model's signature";
    case SCRT_E_DTYPE:
        return "an element type does not fit the model's signature";
    case SCRT_E_CPU:
        return "this processor lacks features that the model was compiled for";
    case SCRT_E_ABI:
        return "the model was compiled for another version of the runtime";
    case SCRT_E_FILE:
        return "a file cannot be opened, read, written or understood";
    case SCRT_E_WEIGHTS:
        return "the weights are missing or are not the model's";
    case SCRT_E_STATE:
        return "a saved state is not this model's";
    case SCRT_E_ARGUMENT:
        return "an argument is not valid";
    case SCRT_E_DATA:
        return "the model does not take this data";
    case SCRT_E_FULL:
        return "a state would outgrow its capacity";
    }
    return "unknown status";
}

/* One step of the hash: for a fixed h it maps different words to different results, so a change
 * within one word cannot be lost. */
static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

/* Four chains, so that the latency of a multiplication is not the limit. Words are little endian,
 * as is every target. */
static void mix_block(uint64_t *h, const unsigned char *p)
{
    uint64_t w[4];
    memcpy(w, p, sizeof w);
    for (int i = 0; i < 4; i++)
        h[i] = mix(h[i], w[i]);
}

ScrtHash scrt_hash_begin(void)
{
    return (ScrtHash){.h = {1, 2, 3, 4}};
}

void scrt_hash_add(ScrtHash *hash, const void *data, size_t n)
{
    const unsigned char *p = data;
    size_t block = sizeof hash->rest, have = hash->n % block;
    hash->n += n;
    if (have) {
        size_t more = n < block - have ? n : block - have;
        memcpy(hash->rest + have, p, more);
        p += more;
        n -= more;
        if (have + more < block)
            return;
        mix_block(hash->h, hash->rest);
    }
    for (; n >= block; n -= block, p += block)
        mix_block(hash->h, p);
    if (n)
        memcpy(hash->rest, p, n);
}

uint64_t scrt_hash_end(const ScrtHash *hash)
{
    uint64_t h[4], all = mix(0, hash->n);
    size_t left = hash->n % sizeof hash->rest;
    memcpy(h, hash->h, sizeof h);
    if (left) {
        unsigned char last[sizeof hash->rest] = {0};
        memcpy(last, hash->rest, left);
        mix_block(h, last);
    }
    for (int i = 0; i < 4; i++)
        all = mix(all, h[i]);
    return all;
}

uint64_t scrt_hash(const void *data, size_t n)
{
    ScrtHash hash = scrt_hash_begin();
    scrt_hash_add(&hash, data, n);
    return scrt_hash_end(&hash);
}
