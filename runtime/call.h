/* SPDX-License-Identifier: Apache-2.0 */
/* What is no loop nest: functions that steps of a program call, on dense tensors. They check what
 * they read of data, and write nothing outside their results. */
#ifndef SCRT_CALL_H
#define SCRT_CALL_H

#include "runtime/num/num.h"
#include "runtime/scrt.h"

typedef struct ScrtArgs {
    uint32_t n_in, n_out, n_param;
    ScrtTensor t[SCRT_CALL_TENSORS]; /* operands, those that are absent without a dtype; results */
    ScrtTensor *out;                 /* [n_out] within t */
    const int64_t *param;            /* [n_param] as the function says */
    void *scratch;                   /* as its row says, aligned to 64 */
    unsigned char *scratch_thread;   /* thread i's at i times its size, rounded up to 64 */
    ScrtPool *pool;
    ScrtCall *call;
} ScrtArgs;

/* Runs f on what arg holds: see ScrtCallee. A failure is told in *ret_why, until the next run, or
 * NULL where the call holds an index that is outside its axis, which may be of 0. */
ScrtStatus scrt_call(ScrtCallee f, ScrtPool *pool, void *const *arg, const char **ret_why);

/* Each: a status, and in *ret_why what is wrong where it is none and not scrt_outside's. */
typedef ScrtStatus ScrtCalled(ScrtArgs *a, const char **ret_why);
#define SCRT_CALLEE(id, fn) ScrtCalled scrt_call_##fn;
#include "runtime/calls.def"
#undef SCRT_CALLEE

/* How updates and what is there already become one; param 0 of the scatters. */
typedef enum ScrtCombine {
    SCRT_COMBINE_NONE, /* the update */
    SCRT_COMBINE_ADD,
    SCRT_COMBINE_MUL,
    SCRT_COMBINE_MAX, /* a NaN on either side is kept */
    SCRT_COMBINE_MIN,
} ScrtCombine;
/* dst[i] = dst[i] combined with src[i], n elements of a type; each result is rounded to it. */
void scrt_combine(ScrtCombine how, ScrtDtype t, int64_t n, void *dst, const void *src);

/* Copies n bytes on the pool. Nothing where both are one. */
void scrt_copy(ScrtPool *pool, void *dst, const void *src, size_t n);
/* Elements in dims from to end - 1. */
static inline int64_t scrt_extents(const ScrtTensor *t, uint32_t from, uint32_t end)
{
    int64_t n = 1;
    for (uint32_t d = from; d < end; d++)
        n *= t->dims[d];
    return n;
}
/* Element i of a tensor of integers. */
static inline int64_t scrt_index(const ScrtTensor *t, int64_t i)
{
    if (t->dtype == SCRT_I64)
        return ((const int64_t *)t->data)[i];
    if (t->dtype == SCRT_I32)
        return ((const int32_t *)t->data)[i];
    return scrt_load_int((ScrtDtype)t->dtype, t->data, (size_t)i);
}
/* What a function answers that met an index outside an axis. */
static inline ScrtStatus scrt_outside(ScrtArgs *a, int64_t index, int64_t extent)
{
    a->call->index = index;
    a->call->extent = extent;
    return SCRT_E_DATA;
}
/* Where index counts from the end if it is negative; -1 where it is outside. */
static inline int64_t scrt_wrap(int64_t index, int64_t extent)
{
    index += index < 0 ? extent : 0;
    return index >= 0 && index < extent ? index : -1;
}

#endif
