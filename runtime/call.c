/* SPDX-License-Identifier: Apache-2.0 */
/* What the functions that steps call are given, and what they share. */
#include "runtime/call.h"

#include "runtime/num/num.h"
#include "runtime/scrt_priv.h"

#include <string.h>

/* --- The call -------------------------------------------------------------------------------- */

enum { SCRATCH, SCRATCH_THREAD }; /* the first places */

static const int64_t *take_tensor(const int64_t *p, void *const *place, ScrtTensor *ret)
{
    int64_t at = *p++;
    ret->dtype = (uint32_t)*p++;
    ret->rank = (uint32_t)*p++;
    ret->data = at >= 0 ? place[at] : NULL;
    memcpy(ret->dims, p, ret->rank * sizeof *p);
    return p + ret->rank;
}

ScrtStatus scrt_call(ScrtCallee f, ScrtPool *pool, void *const *arg, const char **ret_why)
{
    static ScrtCalled *const function[SCRT_N_CALLEE] = {
#define SCRT_CALLEE(id, fn) scrt_call_##fn,
#include "runtime/calls.def"
#undef SCRT_CALLEE
    };
    const int64_t *p = arg[SCRT_ARG_PARAMS];
    void *const *place = arg + SCRT_ARG_PLACES;
    ScrtArgs a = {.pool = pool,
                  .call = arg[SCRT_ARG_CALL],
                  .scratch = place[SCRATCH],
                  .scratch_thread = place[SCRATCH_THREAD]};
    a.n_in = (uint32_t)*p++;
    a.n_out = (uint32_t)*p++;
    a.n_param = (uint32_t)*p++;
    a.out = a.t + a.n_in;
    for (uint32_t i = 0; i < a.n_in + a.n_out; i++)
        p = take_tensor(p, place, &a.t[i]);
    a.param = p;
    return function[f](&a, ret_why);
}

/* --- What they share ------------------------------------------------------------------------- */

typedef struct Copy {
    char *dst;
    const char *src;
} Copy;

static void copy_piece(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const Copy *c = arg;
    (void)thread;
    memcpy(c->dst + begin, c->src + begin, (size_t)(end - begin));
}

void scrt_copy(ScrtPool *pool, void *dst, const void *src, size_t n)
{
    Copy c = {dst, src};
    if (n && dst != src) /* 128 KiB: some 10 microseconds */
        scrt_pool_run(pool, copy_piece, &c, (int64_t)n, 128 << 10);
}

/* --- Combining ------------------------------------------------------------------------------- */

#define EACH(expression)                                                                           \
    do {                                                                                           \
        for (int64_t i = 0; i < n; i++)                                                            \
            d[i] = (expression);                                                                   \
    } while (0)

/* Sums and products wrap. */
#define INTEGERS(T)                                                                                \
    static void combine_##T(ScrtCombine how, int64_t n, T *d, const T *s)                          \
    {                                                                                              \
        if (how == SCRT_COMBINE_ADD)                                                               \
            EACH((T)((uint64_t)d[i] + (uint64_t)s[i]));                                            \
        else if (how == SCRT_COMBINE_MUL)                                                          \
            EACH((T)((uint64_t)d[i] * (uint64_t)s[i]));                                            \
        else if (how == SCRT_COMBINE_MAX)                                                          \
            EACH(d[i] > s[i] ? d[i] : s[i]);                                                       \
        else                                                                                       \
            EACH(d[i] < s[i] ? d[i] : s[i]);                                                       \
    }
INTEGERS(int8_t)
INTEGERS(uint8_t)
INTEGERS(int16_t)
INTEGERS(uint16_t)
INTEGERS(int32_t)
INTEGERS(uint32_t)
INTEGERS(int64_t)
INTEGERS(uint64_t)

#define FLOATS(T)                                                                                  \
    static void combine_##T(ScrtCombine how, int64_t n, T *d, const T *s)                          \
    {                                                                                              \
        if (how == SCRT_COMBINE_ADD)                                                               \
            EACH(d[i] + s[i]);                                                                     \
        else if (how == SCRT_COMBINE_MUL)                                                          \
            EACH(d[i] * s[i]);                                                                     \
        else if (how == SCRT_COMBINE_MAX)                                                          \
            EACH(d[i] >= s[i] || d[i] != d[i] ? d[i] : s[i]);                                      \
        else                                                                                       \
            EACH(d[i] <= s[i] || d[i] != d[i] ? d[i] : s[i]);                                      \
    }
FLOATS(float)
FLOATS(double)

static void combine_low(ScrtCombine how, ScrtDtype t, int64_t n, void *dst, const void *src)
{
    for (int64_t i = 0; i < n; i++) {
        double d = scrt_load(t, dst, (size_t)i), s = scrt_load(t, src, (size_t)i);
        combine_double(how, 1, &d, &s);
        scrt_store(t, dst, (size_t)i, d, scrt_dtype_is_low(t));
    }
}

/* Of truth values a sum is an or, a product an and. */
static void combine_bool(ScrtCombine how, int64_t n, uint8_t *dst, const uint8_t *src)
{
    bool either = how == SCRT_COMBINE_ADD || how == SCRT_COMBINE_MAX;
    combine_uint8_t(either ? SCRT_COMBINE_MAX : SCRT_COMBINE_MIN, n, dst, src);
}

void scrt_combine(ScrtCombine how, ScrtDtype t, int64_t n, void *dst, const void *src)
{
    if (how == SCRT_COMBINE_NONE) {
        memcpy(dst, src, (size_t)n * (scrt_dtype_bits(t) / 8));
        return;
    }
    switch (t) {
    case SCRT_BOOL:
        combine_bool(how, n, dst, src);
        break;
#define CASE(dtype, T)                                                                             \
    case dtype:                                                                                    \
        combine_##T(how, n, dst, src);                                                             \
        break;
        CASE(SCRT_I8, int8_t)
        CASE(SCRT_U8, uint8_t)
        CASE(SCRT_I16, int16_t)
        CASE(SCRT_U16, uint16_t)
        CASE(SCRT_I32, int32_t)
        CASE(SCRT_U32, uint32_t)
        CASE(SCRT_I64, int64_t)
        CASE(SCRT_U64, uint64_t)
        CASE(SCRT_F32, float)
        CASE(SCRT_F64, double)
#undef CASE
    default:
        combine_low(how, t, n, dst, src);
    }
}
