/* SPDX-License-Identifier: Apache-2.0 */
/* What memory allows on two threads, beside which benchmarks stand: a line "READ COPY" in GB/s for
 * each line that comes in. READ: four streams, summed. COPY: of 64 MiB, stored past the caches;
 * both directions count. */
#include <emmintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SIZE = 64 << 20, HALF = SIZE / 2, STREAMS = 4, PART = HALF / STREAMS, AHEAD = 2048 };

static char *from, *to;
static pthread_barrier_t begin, end;
static int job; /* 0: read; 1: copy; 2: no more */

static void copy(const char *x, char *y)
{
    for (size_t i = 0; i < HALF; i += sizeof(__m128i))
        _mm_stream_si128((__m128i *)(y + i), _mm_load_si128((const __m128i *)(x + i)));
    _mm_sfence();
}

static void sum(const char *x)
{
    __m128i acc[STREAMS] = {{0}};
    for (size_t i = 0; i < PART; i += 64)
        for (size_t s = 0; s < STREAMS; s++) {
            const char *p = x + s * PART + i;
            _mm_prefetch(p + AHEAD, _MM_HINT_T0);
            for (size_t k = 0; k < 64; k += sizeof(__m128i))
                acc[s] = _mm_xor_si128(acc[s], _mm_load_si128((const __m128i *)(p + k)));
        }
    for (size_t s = 1; s < STREAMS; s++)
        acc[0] = _mm_xor_si128(acc[0], acc[s]);
    volatile int keep = _mm_cvtsi128_si32(acc[0]);
    (void)keep;
}

static void half(size_t offset)
{
    if (job)
        copy(from + offset, to + offset);
    else
        sum(from + offset);
}

static void *other(void *arg)
{
    for (;;) {
        pthread_barrier_wait(&begin);
        if (job == 2)
            return arg;
        half(HALF);
        pthread_barrier_wait(&end);
    }
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of a few, GB/s. */
static double rate(int what, double bytes)
{
    double best = 1;
    job = what;
    for (int i = 0; i < 5; i++) {
        double start = seconds();
        pthread_barrier_wait(&begin);
        half(0);
        pthread_barrier_wait(&end);
        double took = seconds() - start;
        best = took < best ? took : best;
    }
    return 1e-9 * bytes / best;
}

int main(void)
{
    from = aligned_alloc(4096, SIZE + 4096);
    to = aligned_alloc(4096, SIZE);
    pthread_t thread;
    if (!from || !to || pthread_barrier_init(&begin, NULL, 2) ||
        pthread_barrier_init(&end, NULL, 2) || pthread_create(&thread, NULL, other, NULL))
        return 1;
    for (size_t i = 0; i < SIZE; i++)
        from[i] = to[i] = (char)i;
    while (getchar() != EOF) {
        double read = rate(0, SIZE);
        printf("%.2f %.2f\n", read, rate(1, 2.0 * SIZE));
        fflush(stdout);
    }
    job = 2;
    pthread_barrier_wait(&begin);
    pthread_join(thread, NULL);
    free(from);
    free(to);
    return 0;
}
