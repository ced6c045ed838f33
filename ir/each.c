/* SPDX-License-Identifier: Apache-2.0 */
/* Work on constants, on as many threads as there are processors. They live for one call: a thread
 * takes some 20 us to make, and who sleeps in between would have to be ended with the session. */
#include "ir/ir.h"

#include <signal.h>
#include <stdatomic.h>

enum { MOST = 16 }; /* threads: what is done here soon waits for memory */

typedef struct Each {
    void (*body)(void *arg, size_t i);
    void *arg;
    size_t n;
    atomic_size_t next;
} Each;

static void *work(void *arg)
{
    Each *e = arg;
    for (size_t i; (i = atomic_fetch_add_explicit(&e->next, 1, memory_order_relaxed)) < e->n;)
        e->body(e->arg, i);
    return NULL;
}

bool sc_thread(pthread_t *ret, void *(*fn)(void *arg), void *arg)
{
    sigset_t most, was;
    sigfillset(&most);
    sigdelset(&most, SIGBUS); /* goes to whoever reads */
    pthread_sigmask(SIG_SETMASK, &most, &was);
    bool ok = pthread_create(ret, NULL, fn, arg) == 0;
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    return ok;
}

void sc_each(size_t n, void (*body)(void *arg, size_t i), void *arg)
{
    Each e = {.body = body, .arg = arg, .n = n};
    pthread_t thread[MOST - 1];
    uint32_t most = n > 1 ? scrt_processors() : 1, made = 0;
    while (made + 1 < most && made + 1 < n && made < MOST - 1 && sc_thread(&thread[made], work, &e))
        made++;
    work(&e);
    while (made > 0)
        pthread_join(thread[--made], NULL);
}
