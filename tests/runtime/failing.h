/* SPDX-License-Identifier: Apache-2.0 */
/* An allocator that fails once, and counts what is not freed. */
#ifndef SCT_FAILING_H
#define SCT_FAILING_H

#include "runtime/scrt.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

typedef struct Failing {
    unsigned calls, fail_at, out; /* fail_at counts from 1; 0: none */
} Failing;

static inline void *failing_alloc(void *self, size_t bytes, size_t align)
{
    Failing *f = self;
    if (++f->calls == f->fail_at)
        return NULL;
    f->out++;
    void *p = aligned_alloc(align, (bytes + align - 1) / align * align);
    if (p)
        memset(p, 0xa5, bytes); /* nobody may count on zeros */
    return p;
}

static inline void failing_free(void *self, void *p)
{
    ((Failing *)self)->out--;
    free(p);
}

/* Runs act with the 1st, 2nd, 3rd ... allocation failing, until none is left to fail. Each run must
 * give SCRT_E_MEMORY, the last SCRT_OK, and nothing may stay allocated. Returns how many failed. */
static inline unsigned fail_each_allocation(ScrtStatus (*act)(void))
{
    for (unsigned k = 1;; k++) {
        Failing f = {.fail_at = k};
        const ScrtAllocator a = {failing_alloc, failing_free, &f};
        scrt_set_allocator(&a);
        ScrtStatus st = act();
        scrt_set_allocator(NULL);
        ck_assert_msg(f.out == 0, "allocation %u failing leaves %u", k, f.out);
        if (f.calls < k) {
            ck_assert_int_eq(st, SCRT_OK);
            return k - 1;
        }
        ck_assert_msg(st == SCRT_E_MEMORY, "allocation %u failing gives %d", k, st);
    }
}

#endif
