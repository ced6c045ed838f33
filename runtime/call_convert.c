/* SPDX-License-Identifier: Apache-2.0 */
/* Elements in another type, by runtime/num: for types that kernels neither load nor store, those of
 * fewer than 8 bits. */
#include "runtime/call.h"
#include "runtime/num/num.h"
#include "runtime/scrt_priv.h"

#include <string.h>

enum { SATURATE, ROUND_MODE }; /* param */
enum { GROUP = 8 };            /* elements of any type fill whole bytes */

static void *at(const ScrtTensor *t, int64_t i) /* i: a multiple of GROUP */
{
    return (char *)t->data + i / GROUP * scrt_dtype_bits((ScrtDtype)t->dtype);
}

static void convert_piece(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const ScrtArgs *a = arg;
    const ScrtTensor *x = &a->t[0], *y = a->out;
    size_t bytes, n = (size_t)(end - begin);
    (void)thread;
    if (!scrt_bytes((ScrtDtype)y->dtype, n, &bytes))
        return;                     /* an extent that has memory does not overflow */
    memset(at(y, begin), 0, bytes); /* the last byte's unused bits too */
    scrt_convert(n, (ScrtDtype)y->dtype, at(y, begin), (ScrtDtype)x->dtype, at(x, begin),
                 a->param[SATURATE] != 0, (ScrtRound)a->param[ROUND_MODE]);
}

ScrtStatus scrt_call_convert(ScrtArgs *a, const char **ret_why)
{
    (void)ret_why;
    scrt_pool_run(a->pool, convert_piece, a, scrt_count(a->out), 64 * GROUP);
    return SCRT_OK;
}
