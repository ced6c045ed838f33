/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of libscrt. */
#ifndef SCRT_PRIV_H
#define SCRT_PRIV_H

#include "runtime/scrt.h"

#include <time.h>

/* The floating-point environment of compiled code: to nearest, subnormals kept, exceptions masked.
 * A host may have asked its thread for something else (audio and game code flush subnormals), and a
 * new thread inherits that from its maker. */
#if defined(__x86_64__)
typedef uint32_t ScrtFpEnv;
static inline ScrtFpEnv scrt_fp_enter(void)
{
    ScrtFpEnv was = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(0x1f80);
    return was;
}
static inline void scrt_fp_leave(ScrtFpEnv was)
{
    __builtin_ia32_ldmxcsr(was);
}
#elif defined(__aarch64__)
typedef uint64_t ScrtFpEnv;
static inline ScrtFpEnv scrt_fp_enter(void)
{
    ScrtFpEnv was, plain = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(was));
    __asm__ volatile("msr fpcr, %0" : : "r"(plain));
    return was;
}
static inline void scrt_fp_leave(ScrtFpEnv was)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(was));
}
#else
#error "no floating-point environment for this processor yet"
#endif

static inline uint64_t scrt_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* scrt_parallel for a caller whose floating-point environment is that of compiled code already. */
void scrt_pool_run(ScrtPool *p, ScrtBody body, void *arg, int64_t n, int64_t grain);

/* Asks the system for the tile registers, where code needs them; before any thread is made. */
bool scrt_cpu_enable(uint64_t features);

#endif
