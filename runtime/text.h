/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of .npy and .safetensors are text: what reading both of them shares. Each take_*
 * skips blanks, moves past what it takes, and is false where something else stands. */
#ifndef SCRT_TEXT_H
#define SCRT_TEXT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ScrtText {
    const char *at, *end;
} ScrtText;

static inline void scrt_skip_blanks(ScrtText *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t' || *t->at == '\r'))
        t->at++;
}

static inline bool scrt_take(ScrtText *t, char c)
{
    scrt_skip_blanks(t);
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

/* Digits only: a count or an extent. */
static inline bool scrt_take_number(ScrtText *t, int64_t *ret)
{
    scrt_skip_blanks(t);
    const char *begin = t->at;
    int64_t x = 0;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++)
        if (__builtin_mul_overflow(x, 10, &x) || __builtin_add_overflow(x, *t->at - '0', &x))
            return false;
    *ret = x;
    return t->at != begin;
}

#endif
