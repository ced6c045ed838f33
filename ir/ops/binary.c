/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic of two or more numbers, broadcast. On i64 they compute shapes, so their content is
 * followed as terms. */
#include "ir/ops/ops_priv.h"

static bool is_unsigned(const ScrtTensor *t)
{
    return scrt_dtype_kind(t->dtype) == SCRT_KIND_UINT;
}

static bool less_int(const ScEval *e, int64_t x, int64_t y)
{
    return is_unsigned(e->in[0]) ? (uint64_t)x < (uint64_t)y : x < y;
}

/* g of a sum of independent terms: half the log2 of the sum of their squares. */
static void grow_sum(const ScGrow *g)
{
    double sum = 0;
    for (uint32_t i = 0; i < g->n->n_in; i++)
        if (g->in[i] != SC_NO_G)
            sum += sc_exp2_256(2 * g->in[i]);
    g->ret[0] = sum > 0 ? sc_log2_256(sum) / 2 : SC_NO_G;
}

static void grow_largest(const ScGrow *g)
{
    g->ret[0] = SC_NO_G;
    for (uint32_t i = 0; i < g->n->n_in; i++)
        if (g->in[i] > g->ret[0])
            g->ret[0] = g->in[i];
}
