/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that wait for pieces of loops. A kernel may take a few microseconds, so a start must cost
 * about one; but a thread that spins for long takes the processor from whoever runs next, so after
 * SPIN_NS it sleeps. That is longer than most kernels which one thread runs alone: the wake-up
 * after one costs tens of microseconds where the processor is an idle virtual one.
 *
 * Each worker has a mailbox: the caller puts a piece into it and advances `go`; the worker claims
 * the piece, runs it and advances `done` to the same round. Either side waits for the other's word:
 * it spins, then announces that it sleeps, looks once more, and sleeps in the kernel. The writer
 * advances the word first and then looks at the announcement; both orders are sequentially
 * consistent, so one of the two sees the other and no wake-up is lost. A worker without a piece in
 * this loop is not woken and its mailbox is not touched.
 *
 * When the caller has run its own piece, it claims the pieces that no worker has begun, and runs
 * them under their numbers: a worker that still sleeps, or that has no processor on a busy machine,
 * is not waited for. The fields of a mailbox belong to who has claimed its round, and to the caller
 * again when that round is done.
 *
 * Which piece goes to which thread is arithmetic on (n, grain, size), never who came first. */
#include "runtime/scrt_priv.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPIN_NS = 200000, MAX_THREADS = 1024, LINE = 64 };

typedef struct Word { /* a number that one side advances and the other waits for */
    atomic_uint value, asleep;
} Word;

typedef struct Worker {
    _Alignas(LINE) Word go;
    ScrtBody body; /* NULL: end */
    void *arg;
    int64_t begin, end;
    ScrtFpEnv env; /* the caller's */
    uint32_t index;
    bool spins;
    pthread_t thread;
    _Alignas(LINE) atomic_uint claimed; /* the last round that someone has begun */
    Word done;
} Worker;

struct ScrtPool {
    uint32_t size;   /* threads, the caller among them */
    bool spins;      /* not where threads must share processors */
    Worker worker[]; /* [size - 1]; number i is thread i + 1 */
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
}

/* Waits until w is not what it was last; answers what it is. */
static uint32_t await(Word *w, uint32_t last, bool spins)
{
    uint32_t value;
    if (spins)
        for (uint64_t until = 0;;) {
            for (int i = 0; i < 16; i++) {
                if ((value = atomic_load_explicit(&w->value, memory_order_acquire)) != last)
                    return value;
                relax();
            }
            uint64_t now = scrt_now_ns();
            if (!until)
                until = now + SPIN_NS;
            else if (now >= until)
                break;
        }
    for (;;) {
        atomic_store(&w->asleep, 1);
        if ((value = atomic_load(&w->value)) != last)
            break;
        syscall(SYS_futex, &w->value, FUTEX_WAIT_PRIVATE, last, NULL, NULL, 0);
    }
    atomic_store(&w->asleep, 0);
    return value;
}

static void advance(Word *w, uint32_t to)
{
    atomic_store(&w->value, to);
    if (atomic_load(&w->asleep) && atomic_exchange(&w->asleep, 0)) /* woken once is enough */
        syscall(SYS_futex, &w->value, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* True for one of those who try to begin a round. */
static bool claim(Worker *w, uint32_t round)
{
    uint32_t before = round - 1;
    return atomic_compare_exchange_strong(&w->claimed, &before, round);
}

static void *work(void *arg)
{
    Worker *w = arg;
    for (uint32_t round = 0;;) {
        round = await(&w->go, round, w->spins); /* rounds that the caller ran itself are skipped */
        if (!claim(w, round))
            continue;
        if (!w->body)
            return NULL;
        scrt_fp_set(w->env);
        w->body(w->arg, w->begin, w->end, w->index);
        advance(&w->done, round);
    }
}

uint32_t scrt_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN); /* more processors than a cpu_set_t has bits */
    return n > 0 ? (uint32_t)n : 1;
}

/* Adds workers until there are n threads or no thread can be made. They take no signals: those are
 * the host program's. */
static void hire(ScrtPool *p, uint32_t n)
{
    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    while (p->size < n) {
        Worker *w = &p->worker[p->size - 1];
        w->index = p->size;
        w->spins = p->spins;
        if (pthread_create(&w->thread, NULL, work, w) != 0)
            break;
        p->size++;
    }
    pthread_sigmask(SIG_SETMASK, &was, NULL);
}

ScrtStatus scrt_pool_new(uint32_t n, ScrtPool **ret)
{
    uint32_t have = scrt_processors();
    if (n == 0)
        n = have;
    if (n > MAX_THREADS)
        n = MAX_THREADS;
    size_t bytes = sizeof(ScrtPool) + (n - 1) * sizeof(Worker);
    ScrtPool *p = scrt_alloc(bytes);
    if (!p)
        return SCRT_E_MEMORY;
    memset(p, 0, bytes);
    p->size = 1;
    p->spins = n <= have;
    hire(p, n);
    *ret = p;
    return SCRT_OK;
}

void scrt_pool_free(ScrtPool *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i + 1 < p->size; i++) {
        Worker *w = &p->worker[i];
        w->body = NULL;
        advance(&w->go, atomic_load(&w->go.value) + 1);
        pthread_join(w->thread, NULL);
    }
    scrt_free(p);
}

uint32_t scrt_pool_size(const ScrtPool *p)
{
    return p ? p->size : 1;
}

/* Ends the round of a worker: runs its piece if it has not begun, else waits for it. */
static void finish(Worker *w)
{
    uint32_t round = atomic_load_explicit(&w->go.value, memory_order_relaxed);
    if (claim(w, round)) {
        w->body(w->arg, w->begin, w->end, w->index);
        return;
    }
    for (uint32_t done = atomic_load(&w->done.value); done != round;)
        done = await(&w->done, done, w->spins);
}

void scrt_pool_run(ScrtPool *p, ScrtBody body, void *arg, int64_t n, int64_t grain)
{
    if (n < 1)
        return;
    if (grain < 1)
        grain = 1;
    int64_t units = (n - 1) / grain + 1, pieces = scrt_pool_size(p);
    if (units < pieces)
        pieces = units;
    if (pieces == 1) {
        body(arg, 0, n, 0);
        return;
    }
    /* piece k has per units, and one more where k < more */
    int64_t per = units / pieces, more = units % pieces;
    int64_t first = (per + (more > 0)) * grain;
    for (int64_t k = 1, begin = first; k < pieces; k++) {
        Worker *w = &p->worker[k - 1];
        int64_t end = k == pieces - 1 ? n : begin + (per + (k < more)) * grain;
        w->body = body;
        w->arg = arg;
        w->env = scrt_fp_get();
        w->begin = begin;
        w->end = end;
        advance(&w->go, atomic_load_explicit(&w->go.value, memory_order_relaxed) + 1);
        begin = end;
    }
    body(arg, 0, first, 0);
    for (int64_t k = pieces - 1; k > 0; k--) /* the last was told last */
        finish(&p->worker[k - 1]);
}

void scrt_parallel(ScrtPool *p, ScrtBody body, void *arg, int64_t n, int64_t grain)
{
    ScrtFpEnv was = scrt_fp_get();
    scrt_fp_set(scrt_fp_plain(false));
    scrt_pool_run(p, body, arg, n, grain);
    scrt_fp_set(was);
}
