/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine allows on two threads, beside which benchmarks stand: a line "READ COPY FMA DOT
 * TILE" for each line that comes in. READ: two or four streams, summed, the best of what asking
 * memory ahead makes of them, GB/s. COPY: of 64 MiB, stored past the caches, GB/s; both directions
 * count. FMA: of f32 in registers, GFLOP/s. DOT: the same of pairs of bf16, where an instruction
 * multiplies them, else 0. TILE: the same in tile registers (AMX).
 *
 * With the argument `stores`: a copy by size, again and again between the same places, through the
 * caches and past them: from which size on the second is faster. */
#include "runtime/scrt_priv.h"

#include <immintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZE = 64 << 20, STREAMS = 4, AHEAD = 2048, STEPS = 1 << 22, CHAINS = 12 };

/* Ways of reading. On Intel's Xeons four streams with AHEAD bytes asked for are fastest; on Zen 3
 * these reach two thirds of what four alone do, or two with them. */
static const struct Way {
    size_t streams, ahead;
} ways[] = {{4, AHEAD}, {2, AHEAD}, {4, 0}};
enum { N_WAYS = sizeof ways / sizeof *ways };
static const struct Way *way;
enum { READ, PAST, THROUGH, FMA, DOT, TILE, END };

static char *from, *to;
static pthread_barrier_t begin, end;
static int job;
static size_t half = SIZE / 2; /* bytes of a thread */

static void past(const char *x, char *y)
{
    for (size_t i = 0; i < half; i += sizeof(__m128i))
        _mm_stream_si128((__m128i *)(y + i), _mm_load_si128((const __m128i *)(x + i)));
    _mm_sfence();
}

static void through(const char *x, char *y)
{
    for (size_t i = 0; i < half; i += sizeof(__m128i))
        _mm_store_si128((__m128i *)(y + i), _mm_load_si128((const __m128i *)(x + i)));
}

static void sum(const char *x)
{
    __m128i acc[STREAMS] = {{0}};
    size_t part = half / way->streams;
    for (size_t i = 0; i < part; i += 64)
        for (size_t s = 0; s < way->streams; s++) {
            const char *p = x + s * part + i;
            _mm_prefetch(p + way->ahead, _MM_HINT_T0);
            for (size_t k = 0; k < 64; k += sizeof(__m128i))
                acc[s] = _mm_xor_si128(acc[s], _mm_load_si128((const __m128i *)(p + k)));
        }
    for (size_t s = 1; s < STREAMS; s++)
        acc[0] = _mm_xor_si128(acc[0], acc[s]);
    volatile int keep = _mm_cvtsi128_si32(acc[0]);
    (void)keep;
}

/* Chains of multiplications and additions, enough of them to hide the latency of one. */
__attribute__((target("avx512f"))) static void fma512(void)
{
    volatile float factor = 0.5f, keep;
    __m512 x = _mm512_set1_ps(factor), acc[CHAINS];
    for (int k = 0; k < CHAINS; k++)
        acc[k] = x;
    for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++)
            acc[k] = _mm512_fmadd_ps(acc[k], x, x);
    }
    for (int k = 0; k < CHAINS; k++)
        keep = _mm512_cvtss_f32(acc[k]);
    (void)keep;
}

__attribute__((target("avx2,fma"))) static void fma256(void)
{
    volatile float factor = 0.5f, keep;
    __m256 x = _mm256_set1_ps(factor), acc[CHAINS];
    for (int k = 0; k < CHAINS; k++)
        acc[k] = x;
    for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++)
            acc[k] = _mm256_fmadd_ps(acc[k], x, x);
    }
    for (int k = 0; k < CHAINS; k++)
        keep = _mm256_cvtss_f32(acc[k]);
    (void)keep;
}

/* The same of pairs of bf16. */
__attribute__((target("avx512f,avx512bf16"))) static void dot512(void)
{
    volatile float factor = 0.5f, keep;
    __m512 x = _mm512_set1_ps(factor), acc[CHAINS];
    __m512bh pairs = _mm512_cvtne2ps_pbh(x, x);
    for (int k = 0; k < CHAINS; k++)
        acc[k] = x;
    for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++)
            acc[k] = _mm512_dpbf16_ps(acc[k], pairs, pairs);
    }
    for (int k = 0; k < CHAINS; k++)
        keep = _mm512_cvtss_f32(acc[k]);
    (void)keep;
}

static unsigned char operand[1024]; /* of a register */
enum { TILE_ROWS = 16, TILE_CHAINS = 4, TILE_STEPS = STEPS / 16 };

/* Four sums, of two registers by two. */
__attribute__((target("amx-tile,amx-bf16"))) static void tiles(void)
{
    /* Of all eight registers 16 rows of 64 bytes. Static: GCC 12 takes _tile_loadconfig for a
     * reader of the first 8 bytes, and would not write the others into a variable of the function.
     */
    static const unsigned char config[64] __attribute__((aligned(64))) = {
        1,         [16] = 64, [18] = 64, [20] = 64, [22] = 64, [24] = 64,
        [26] = 64, [28] = 64, [30] = 64, [48] = 16, [49] = 16, [50] = 16,
        [51] = 16, [52] = 16, [53] = 16, [54] = 16, [55] = 16,
    };
    _tile_loadconfig(config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, operand, 64);
    _tile_loadd(5, operand, 64);
    _tile_loadd(6, operand, 64);
    _tile_loadd(7, operand, 64);
    for (int i = 0; i < TILE_STEPS; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
}

/* Whether the processor has tile registers and the kernel lets this process use them. */
static bool has_tiles(void)
{
    const uint64_t need = UINT64_C(1) << SCRT_CPU_AMXTILE | UINT64_C(1) << SCRT_CPU_AMXBF16;
    return (scrt_cpu_features() & need) == need && scrt_cpu_enable(need);
}

/* Lanes of the widest vectors that multiply and add; 0: none do. */
static int lanes(void)
{
    return __builtin_cpu_supports("avx512f")                                 ? 16
           : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 8
                                                                             : 0;
}

/* Lanes of pairs. */
static int pairs(void)
{
    return __builtin_cpu_supports("avx512bf16") ? 16 : 0;
}

static void work(size_t offset)
{
    if (job == READ)
        sum(from + offset);
    else if (job == PAST)
        past(from + offset, to + offset);
    else if (job == THROUGH)
        through(from + offset, to + offset);
    else if (job == DOT)
        dot512();
    else if (job == TILE)
        tiles();
    else if (lanes() == 16)
        fma512();
    else if (lanes())
        fma256();
}

static void *other(void *arg)
{
    for (;;) {
        pthread_barrier_wait(&begin);
        if (job == END)
            return arg;
        work(half);
        pthread_barrier_wait(&end);
    }
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Each thread `count` things: the best of a few, in 10^9 of them a second. */
static double rate(int what, double count)
{
    double best = 1;
    job = what;
    for (int i = 0; i < 5; i++) {
        double start = seconds();
        pthread_barrier_wait(&begin);
        work(0);
        pthread_barrier_wait(&end);
        double took = seconds() - start;
        best = took < best ? took : best;
    }
    return 2e-9 * count / best;
}

static double reading(void)
{
    double best = 0;
    for (way = ways; way < ways + N_WAYS; way++) {
        double now = rate(READ, (double)half);
        best = now > best ? now : best;
    }
    return best;
}

static void stores(void)
{
    printf("MiB of the result   through   past the caches, GB/s\n");
    for (half = 1 << 20; half <= SIZE / 2; half *= 2) {
        double through = rate(THROUGH, 2.0 * (double)half);
        printf("%17zu %9.1f %9.1f\n", 2 * half >> 20, through, rate(PAST, 2.0 * (double)half));
    }
}

int main(int argc, char **argv)
{
    from = aligned_alloc(4096, SIZE + 4096);
    to = aligned_alloc(4096, SIZE);
    const bool amx = has_tiles();          /* asked for before there are threads */
    memset(operand, 0x3d, sizeof operand); /* 0.05 */
    pthread_t thread;
    if (!from || !to || pthread_barrier_init(&begin, NULL, 2) ||
        pthread_barrier_init(&end, NULL, 2) || pthread_create(&thread, NULL, other, NULL))
        return 1;
    for (size_t i = 0; i < SIZE; i++)
        from[i] = to[i] = (char)i;
    if (argc > 1 && strcmp(argv[1], "stores") == 0)
        stores();
    else
        while (getchar() != EOF) {
            double read = reading(), copy = rate(PAST, 2.0 * (double)half);
            double fma = rate(FMA, 2.0 * CHAINS * STEPS * lanes());
            double dot = pairs() ? rate(DOT, 4.0 * CHAINS * STEPS * pairs()) : 0;
            double tile =
                amx ? rate(TILE, 2.0 * TILE_CHAINS * TILE_STEPS * TILE_ROWS * 16 * 32) : 0;
            printf("%.2f %.2f %.1f %.1f %.1f\n", read, copy, fma, dot, tile);
            fflush(stdout);
        }
    job = END;
    pthread_barrier_wait(&begin);
    pthread_join(thread, NULL);
    free(from);
    free(to);
    return 0;
}
