/* SPDX-License-Identifier: Apache-2.0 */
/* A one-hot times a constant matrix picks rows of it: an embedding, as JAX writes one. What picks
 * adds nothing up, and a small table is not stored in low precision, since that would save nothing.
 * An integer that chooses no row gives zeros. */
#include <math.h>

#include "passes/match.h"

/* v is a constant 0, 1, 2, ... along its last axis. */
static bool counts_up(ScMatch *m, ScVal v, int64_t *ret_n)
{
    const ScBlob *b = sc_built_blob(&m->b, v);
    const ScType *t = b ? match_type(m, v) : NULL;
    if (!b || !b->data || !scrt_dtype_is_integer(b->dtype) || t->rank == 0 || b->count < 2 ||
        !sc_term_is(t->dim[t->rank - 1], (int64_t)b->count))
        return false;
    for (size_t i = 0; i < b->count; i++)
        if (scrt_load_int(b->dtype, b->data, i) != (int64_t)i)
            return false;
    *ret_n = (int64_t)b->count;
    return true;
}

/* v is 1 where *ret holds, else 0. */
static bool is_one_where(ScMatch *m, ScVal v, ScVal *ret)
{
    ScNode n;
    if (v < SC_FIRST)
        return false;
    bool chosen = match_is(m, v, &sc_op_where, &n) && match_about(m, n.in[1], 1) &&
                  match_about(m, n.in[2], 0);
    if (!chosen && !match_is(m, v, &sc_op_cast, &n))
        return false;
    *ret = n.in[0];
    return match_type(m, *ret)->dtype == SCRT_BOOL && match_type(m, *ret)->rank > 0;
}

/* v says which of 0, 1, ... `rows` - 1, along its last axis, *ret_index is, which has extent 1
 * there and v's others before it. */
static bool compares(ScMatch *m, ScVal v, int64_t rows, ScVal *ret_index)
{
    ScNode n;
    int64_t count;
    const ScType *t = match_type(m, v);
    if (!match_is(m, v, &sc_op_equal, &n))
        return false;
    for (uint32_t i = 0; i < 2; i++) {
        const ScType *x = match_type(m, n.in[i]);
        bool same = x->rank == t->rank && sc_term_is(x->dim[x->rank - 1], 1);
        for (uint32_t d = 0; same && d + 1 < t->rank; d++)
            same = x->dim[d] == t->dim[d];
        *ret_index = n.in[i];
        if (same && counts_up(m, n.in[1 - i], &count) && count == rows)
            return true;
    }
    return false;
}

/* w, a constant matrix that is finite: times 0 all of it is 0. */
static bool is_table(ScMatch *m, ScVal w, int64_t dim[2])
{
    const ScBlob *b = w < SC_FIRST ? NULL : sc_built_blob(&m->b, w);
    const ScType *t = b ? match_type(m, w) : NULL;
    if (!b || !b->data || t->rank != 2 || !scrt_dtype_is_float(b->dtype) || t->dtype != b->dtype ||
        !sc_type_const_dims(t, dim))
        return false;
    for (size_t i = 0; i < b->count; i++)
        if (!isfinite(scrt_load(b->dtype, b->data, i)))
            return false;
    return true;
}

/* one-hot(x) W */
static ScVal picked_rows(ScMatch *m)
{
    ScBuild *b = &m->b;
    ScContract c;
    ScVal is, x;
    int64_t dim[2];
    const ScNode *n = m->n;
    n->op->contract(m->g, n, &c);
    match_begin(m);
    if (c.trans_a || c.trans_b || c.scales || sc_bias(n) >= 0 || !is_one_where(m, m->in[0], &is) ||
        !is_table(m, m->in[1], dim) || !compares(m, is, dim[0], &x))
        return SC_POISON;
    const ScType *t = match_type(m, x);
    ScVal last = sc_const_scalar(b, t->dtype, (double)(dim[0] - 1));
    ScVal row = sc_op(b, min, sc_op(b, max, x, sc_const_scalar(b, t->dtype, 0)), last);
    ScVal there = sc_op(b, equal, x, row);
    row = sc_reshaped(b, row, t->rank - 1, t->dim);
    ScVal y = sc_op_at(b, gather, SC_ATTRS(SC_INT(0)), m->in[1], row);
    return sc_op(b, where, there, y, sc_const_scalar(b, match_type(m, y)->dtype, 0));
}

const ScIdiom sc_idioms_one_hot[] = {
    {"rows that a one-hot picks", &sc_op_matmul, picked_rows},
    {NULL, NULL, NULL},
};
