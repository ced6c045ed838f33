/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of threads. Its source is included, so that making a thread can be made to fail. */
#include <pthread.h>

static int threads_left = -1; /* how many more may be made; -1: any number */
static int create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
#define pthread_create create
#include "runtime/pool.c" /* NOLINT(bugprone-suspicious-include) */
#undef pthread_create

#include "tests/harness.h"

#include <errno.h>
#include <stdlib.h>

static atomic_bool gate_closed; /* threads that are made do not begin before it opens */
static struct {
    void *(*fn)(void *);
    void *arg;
} behind_gate[16];
static unsigned n_behind_gate;

static void *wait_at_gate(void *number)
{
    while (atomic_load(&gate_closed))
        usleep(1000);
    return behind_gate[(uintptr_t)number].fn(behind_gate[(uintptr_t)number].arg);
}

static int create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
    if (threads_left == 0)
        return EAGAIN;
    if (threads_left > 0)
        threads_left--;
    if (!atomic_load(&gate_closed))
        return pthread_create(t, a, fn, arg);
    behind_gate[n_behind_gate].fn = fn;
    behind_gate[n_behind_gate].arg = arg;
    return pthread_create(t, a, wait_at_gate, (void *)(uintptr_t)n_behind_gate++);
}

enum { MOST = 16 };

typedef struct Seen { /* what the bodies saw, by thread */
    int64_t begin[MOST], end[MOST];
    int calls[MOST];
    uint32_t csr[MOST];
} Seen;

static void look(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    Seen *s = arg;
    s->begin[thread] = begin;
    s->end[thread] = end;
    s->calls[thread]++;
#if defined(__x86_64__)
    s->csr[thread] = __builtin_ia32_stmxcsr();
#endif
}

static ScrtPool *pool(uint32_t n)
{
    ScrtPool *p = NULL;
    ck_assert_int_eq(scrt_pool_new(n, &p), SCRT_OK);
    return p;
}

/* The pieces cover [0, n) in order, one a thread at most, multiples of grain but the last, and
 * their sizes differ by one grain at most. */
static void check_pieces(const Seen *s, uint32_t size, int64_t n, int64_t grain)
{
    int64_t at = 0, least = INT64_MAX, most = 0;
    uint32_t pieces = 0;
    for (uint32_t t = 0; t < MOST; t++) {
        sct_need(s->calls[t] <= 1, "thread %u had %d pieces", t, s->calls[t]);
        if (!s->calls[t])
            continue;
        sct_need(t == pieces, "thread %u has a piece, %u has none", t, pieces);
        pieces++;
        sct_need(s->begin[t] == at && s->end[t] > at, "thread %u begins at %lld, not %lld", t,
                 (long long)s->begin[t], (long long)at);
        at = s->end[t];
        int64_t units = (s->end[t] - s->begin[t] + grain - 1) / grain;
        sct_need(at == n || (at - s->begin[t]) % grain == 0, "thread %u ends within a grain", t);
        least = units < least ? units : least;
        most = units > most ? units : most;
    }
    ck_assert_int_eq(at, n);
    int64_t units = (n + grain - 1) / grain;
    ck_assert_int_eq(pieces, units < size ? units : size);
    ck_assert_int_le(most - least, 1);
}

START_TEST(pieces_depend_on_the_numbers_only)
{
    uint32_t size = (uint32_t)_i;
    ScrtPool *p = pool(size);
    ck_assert_uint_eq(scrt_pool_size(p), size);
    for (int64_t n = 1; n < 70; n++)
        for (int64_t grain = 1; grain < 20; grain += 3) {
            Seen a = {0}, b = {0};
            scrt_parallel(p, look, &a, n, grain);
            check_pieces(&a, size, n, grain);
            scrt_parallel(p, look, &b, n, grain);
            ck_assert_mem_eq(a.end, b.end, sizeof a.end);
        }
    Seen far = {0};
    scrt_parallel(p, look, &far, INT64_MAX, (int64_t)1 << 60);
    ck_assert_int_eq(far.end[size - 1 < 7 ? size - 1 : 7], INT64_MAX);
    Seen none = {0};
    scrt_parallel(p, look, &none, 0, 1);
    scrt_parallel(p, look, &none, -5, 1);
    ck_assert_int_eq(none.calls[0], 0);
    scrt_parallel(p, look, &none, 5, 0); /* counts as 1 */
    check_pieces(&none, size, 5, 1);
    scrt_pool_free(p);
}
END_TEST

START_TEST(no_pool_is_one_thread)
{
    Seen s = {0};
    scrt_parallel(NULL, look, &s, 10, 1);
    check_pieces(&s, 1, 10, 1);
    ck_assert_uint_eq(scrt_pool_size(NULL), 1);
    scrt_pool_free(NULL);
    ScrtPool *p = pool(0);
    ck_assert_uint_ge(scrt_pool_size(p), 1);
    scrt_pool_free(p);
}
END_TEST

static void sum(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    int64_t *part = arg;
    for (int64_t i = begin; i < end; i++)
        part[8 * thread] += i;
}

/* Loops in quick succession, and with pauses in which the threads fall asleep. */
START_TEST(no_start_and_no_end_is_lost)
{
    ScrtPool *p = pool((uint32_t)_i);
    for (int round = 0; round < 5000; round++) {
        int64_t part[8 * MOST] = {0}, all = 0, n = round % 300;
        scrt_parallel(p, sum, part, n, 1 + round % 3);
        for (int t = 0; t < MOST; t++)
            all += part[8 * t];
        sct_need(all == n * (n - 1) / 2, "round %d", round);
        if (round % 1000 == 0)
            usleep(500);
        if (round % 200 == 0)
            for (uint64_t until = scrt_now_ns() + SPIN_NS; scrt_now_ns() < until;)
                relax(); /* so that some fall asleep just as the next loop begins */
    }
    scrt_pool_free(p);
}
END_TEST

static void slow(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    (void)begin, (void)end;
    if (thread == *(uint32_t *)arg)
        usleep(3000);
}

START_TEST(waits_for_the_slowest)
{
    ScrtPool *p = pool(3);
    for (uint32_t late = 0; late < 3; late++) {
        uint64_t before = scrt_now_ns();
        scrt_parallel(p, slow, &late, 3, 1);
        ck_assert_uint_ge(scrt_now_ns() - before, 3000000);
    }
    scrt_pool_free(p);
}
END_TEST

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

START_TEST(idle_threads_sleep)
{
    ScrtPool *p = pool(_i ? 4 : 0); /* one a processor: they spin for a while; more: never */
    Seen s = {0};
    scrt_parallel(p, look, &s, 4, 1);
    uint64_t before = cpu_ns();
    usleep(100000);
    ck_assert_uint_lt(cpu_ns() - before, 20000000); /* one that spins would take 100 ms */
    scrt_pool_free(p);
}
END_TEST

typedef struct Together {
    Seen seen;
    atomic_int begun;
    pthread_t thread[MOST];
} Together;

/* Ends only when all four pieces have begun, so that each is run by a thread of its own. */
static void look_together(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    Together *t = arg;
    look(&t->seen, begin, end, thread);
    t->thread[thread] = pthread_self();
    atomic_fetch_add(&t->begun, 1);
    for (uint64_t until = scrt_now_ns() + 5000000000u; atomic_load(&t->begun) < 4;)
        if (scrt_now_ns() > until)
            return;
}

/* Workers that are made but do not get to run, as on a busy machine, are done without; when they
 * come they have missed some loops, and take part in the next. */
START_TEST(late_threads_are_not_waited_for)
{
    atomic_store(&gate_closed, true);
    ScrtPool *p = pool(4);
    ck_assert_uint_eq(scrt_pool_size(p), 4);
    for (int64_t n = 1; n < 20; n++) {
        Seen s = {0};
        scrt_parallel(p, look, &s, n, 1);
        check_pieces(&s, 4, n, 1);
    }
    atomic_store(&gate_closed, false);
    Together t = {0};
    scrt_parallel(p, look_together, &t, 4, 1);
    ck_assert_int_eq(atomic_load(&t.begun), 4);
    for (int k = 0; k < 4; k++)
        for (int o = 0; o < k; o++)
            ck_assert(!pthread_equal(t.thread[k], t.thread[o]));
    scrt_pool_free(p);
}
END_TEST

START_TEST(fewer_threads_do_as_well)
{
    for (int can = 0; can < 4; can++) {
        threads_left = can;
        ScrtPool *p = pool(4);
        ck_assert_uint_eq(scrt_pool_size(p), (uint32_t)(can < 3 ? can : 3) + 1);
        for (int64_t n = 1; n < 20; n++) {
            Seen s = {0};
            scrt_parallel(p, look, &s, n, 2);
            check_pieces(&s, scrt_pool_size(p), n, 2);
        }
        scrt_pool_free(p);
    }
    threads_left = -1;
}
END_TEST

#if defined(__x86_64__)
START_TEST(every_thread_has_the_plain_environment)
{
    uint32_t was = __builtin_ia32_stmxcsr(), odd = 0x1f80 | 0x40 | 0x6000;
    Together s = {0};
    __builtin_ia32_ldmxcsr(odd); /* what a new thread would inherit */
    ScrtPool *p = pool(4);
    scrt_parallel(p, look_together, &s, 4, 1);
    uint32_t after = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(was);
    ck_assert_uint_eq(after, odd);
    for (int t = 0; t < 4; t++) {
        ck_assert_uint_eq(s.seen.csr[t] & 0xffc0, 0x1f80 | 0x8000);
        for (int o = 0; o < t; o++)
            ck_assert(!pthread_equal(s.thread[t], s.thread[o]));
    }
    scrt_pool_free(p);
}
END_TEST
#endif

int main(void)
{
    Suite *s = suite_create("runtime-pool");
    TCase *c = tcase_create("pool");
    tcase_add_loop_test(c, pieces_depend_on_the_numbers_only, 1, 9);
    tcase_add_test(c, no_pool_is_one_thread);
    tcase_add_loop_test(c, no_start_and_no_end_is_lost, 1, 5);
    tcase_add_test(c, waits_for_the_slowest);
    tcase_add_loop_test(c, idle_threads_sleep, 0, 2);
    tcase_add_test(c, late_threads_are_not_waited_for);
    tcase_add_test(c, fewer_threads_do_as_well);
#if defined(__x86_64__)
    tcase_add_test(c, every_thread_has_the_plain_environment);
#endif
    suite_add_tcase(s, c);
    return sct_main("runtime-pool", s);
}
