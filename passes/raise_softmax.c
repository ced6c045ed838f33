/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax as its definition. */
#include "passes/match.h"

/* e / sum e, of e = exp(x - max x) */
static ScVal softmax(ScMatch *m)
{
    ScNode e, d;
    ScVal x, of;
    const ScAttr *sum, *max;
    match_begin(m);
    if (!match_reduces(m, m->in[1], &sc_op_reduce_sum, &of, &sum) || of != m->in[0] ||
        sum->n != 1 || !match_is(m, m->in[0], &sc_op_exp, &e) ||
        !match_is(m, e.in[0], &sc_op_sub, &d) ||
        !match_reduces(m, d.in[1], &sc_op_reduce_max, &x, &max) || x != d.in[0] ||
        !sc_attr_equal(sum, max))
        return SC_POISON;
    int64_t axis = sum->is[0];
    ScVal beta = sc_const_scalar(&m->b, match_type(m, x)->dtype, 1);
    return sc_op_at(&m->b, softmax, SC_ATTRS(SC_INT(axis)), x, beta);
}

const ScIdiom sc_idioms_softmax[] = {
    {"softmax", &sc_op_div, softmax},
    {NULL, NULL, NULL},
};
