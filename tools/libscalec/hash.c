/* SPDX-License-Identifier: Apache-2.0 */
/* XXH64 of a model's file: four chains side by side, so that memory is the limit. The definition is
 * that of https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, with seed 0. */
#include "tools/libscalec/hash.h"

#include <string.h>
#include <sys/mman.h>

#define P1    0x9e3779b185ebca87u
#define P2    0xc2b2ae3d27d4eb4fu
#define P3    0x165667b19e3779f9u
#define P4    0x85ebca77c2b2ae63u
#define P5    0x27d4eb2f165667c5u
#define PIECE ((size_t)4 << 20) /* what of the file is in memory for this */

static uint64_t turn(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    return turn(h + word * P2, 31) * P1;
}

/* Words are little endian, as is every target. */
static uint64_t word_at(const unsigned char *p, size_t n)
{
    uint64_t w = 0;
    memcpy(&w, p, n);
    return w;
}

static uint64_t mix_tail(uint64_t h, const unsigned char *p, size_t n)
{
    for (; n >= 8; n -= 8, p += 8)
        h = turn(h ^ mix(0, word_at(p, 8)), 27) * P1 + P4;
    if (n >= 4) {
        h = turn(h ^ word_at(p, 4) * P1, 23) * P2 + P3;
        n -= 4;
        p += 4;
    }
    for (; n > 0; n--, p++)
        h = turn(h ^ *p * P5, 11) * P1;
    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P3;
    return h ^ h >> 32;
}

uint64_t scalec_hash(const ScrtFile *f, const atomic_bool *stop)
{
    const unsigned char *p = f->data, *end = p + f->n, *last = end - f->n % 32;
    uint64_t v[4] = {P1 + P2, P2, 0, 0 - P1}, h = P5;
    while (p < last && !(stop && atomic_load(stop))) {
        const unsigned char *from = p, *to = (size_t)(last - p) < PIECE ? last : p + PIECE;
        for (; p < to; p += 32)
            for (int i = 0; i < 4; i++)
                v[i] = mix(v[i], word_at(p + 8 * i, 8));
        if (f->mapped) /* from its first byte, a page's; what others read comes back */
            madvise((void *)(uintptr_t)from, (size_t)(to - from), MADV_DONTNEED);
    }
    if (f->n >= 32) {
        h = turn(v[0], 1) + turn(v[1], 7) + turn(v[2], 12) + turn(v[3], 18);
        for (int i = 0; i < 4; i++)
            h = (h ^ mix(0, v[i])) * P1 + P4;
    }
    return mix_tail(h + f->n, last, (size_t)(end - last));
}
