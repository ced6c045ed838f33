/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of libscrt. */
#ifndef SCRT_PRIV_H
#define SCRT_PRIV_H

#include "runtime/scrt.h"

#include <time.h>

/* The floating-point environment of compiled code: to nearest, exceptions masked. On x86 results of
 * f32 and f64 that would be subnormal are zeros unless they are asked for: some processors take 100
 * clocks and more for each, and again where it is an operand (f16 and FP8 have theirs in any case).
 * Operands are read as they are: a block of zeros is divided by its scale, 2^-127, which read as 0
 * would make NaN of it. A host may have set its thread otherwise. */
#if defined(__x86_64__)
typedef uint32_t ScrtFpEnv;
static inline ScrtFpEnv scrt_fp_get(void)
{
    return __builtin_ia32_stmxcsr();
}
static inline void scrt_fp_set(ScrtFpEnv env)
{
    __builtin_ia32_ldmxcsr(env);
}
static inline ScrtFpEnv scrt_fp_plain(bool subnormals)
{
    return subnormals ? 0x1f80 : 0x1f80 | 0x8000; /* FTZ */
}
#elif defined(__aarch64__)
typedef uint64_t ScrtFpEnv;
static inline ScrtFpEnv scrt_fp_get(void)
{
    ScrtFpEnv env;
    __asm__ volatile("mrs %0, fpcr" : "=r"(env));
    return env;
}
static inline void scrt_fp_set(ScrtFpEnv env)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(env));
}
static inline ScrtFpEnv scrt_fp_plain(bool subnormals)
{
    (void)subnormals; /* they take no longer; what makes zeros of them (FZ) does of operands too */
    return 0;
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
