/* SPDX-License-Identifier: Apache-2.0 */
/* Short words for adapters that say an ONNX operator as several nodes. */
#include "frontend/frontend_priv.h"

bool im_answer(ScVal v, ScVal *ret_out)
{
    ret_out[0] = v;
    return v != SC_POISON;
}

bool im_axis(const ImNode *n, int64_t axis, uint32_t rank, uint32_t *ret)
{
    if (axis < -(int64_t)rank || axis >= (int64_t)rank)
        return sc_fail(n->im->cx, n->loc, SC_E_AXIS, "%lld for rank %u", (long long)axis, rank);
    *ret = (uint32_t)(axis < 0 ? axis + rank : axis);
    return true;
}

bool im_arity(const ImNode *n, uint32_t lo, uint32_t hi)
{
    bool ok = n->n_in >= lo && n->n_in <= hi;
    for (uint32_t i = 0; ok && i < lo; i++)
        ok = im_has(n, i);
    return ok || sc_fail(n->im->cx, n->loc, SC_E_ARITY, "%u operands, %u to %u are needed", n->n_in,
                         lo, hi);
}

void im_dims(const ScType *t, const ScTerm **ret)
{
    for (uint32_t d = 0; d < t->rank; d++)
        ret[d] = t->dim[d];
}

ScVal im_cast(const ImNode *n, ScVal x, ScrtDtype to)
{
    if (im_type_of(n, x)->dtype == to)
        return x;
    return sc_op_at(&n->im->b, cast, SC_ATTRS(SC_DT(to)), x);
}

static bool has_shape(const ImNode *n, ScVal x, uint32_t rank, const ScTerm *const *dim)
{
    const ScType *t = im_type_of(n, x);
    bool same = t->kind == SC_TYPE_TENSOR && t->rank == rank;
    for (uint32_t d = 0; same && d < rank; d++)
        same = t->dim[d] == dim[d];
    return same;
}

ScVal im_reshape(const ImNode *n, ScVal x, uint32_t rank, const ScTerm *const *dim)
{
    return has_shape(n, x, rank, dim)
               ? x
               : sc_op_at(&n->im->b, reshape, SC_ATTRS(SC_TERMS(rank, dim)), x);
}

ScVal im_expand(const ImNode *n, ScVal x, uint32_t rank, const ScTerm *const *dim)
{
    return has_shape(n, x, rank, dim)
               ? x
               : sc_op_at(&n->im->b, expand, SC_ATTRS(SC_TERMS(rank, dim)), x);
}

ScVal im_transpose(const ImNode *n, ScVal x, uint32_t rank, const int64_t *perm)
{
    bool moves = false;
    for (uint32_t d = 0; d < rank; d++)
        moves = moves || perm[d] != d;
    return moves ? sc_op_at(&n->im->b, transpose, SC_ATTRS(SC_INTS(rank, perm)), x) : x;
}

ScVal im_moved(const ImNode *n, ScVal x, uint32_t from, uint32_t to)
{
    const uint32_t rank = im_type_of(n, x)->rank; /* of SC_POISON 0 */
    int64_t perm[SCRT_MAX_RANK];
    uint32_t at = 0;
    for (uint32_t d = 0; d < rank; d++) {
        at += at == from;
        perm[d] = d == to ? from : at++;
    }
    return im_transpose(n, x, rank, perm);
}

ScVal im_slice(const ImNode *n, ScVal x, uint32_t axis, const ScTerm *start, const ScTerm *end)
{
    const ScTerm *last = sc_term(n->im->cx, INT64_MAX);
    const int64_t at = axis;
    if (sc_term_is(start, 0) && !end)
        return x;
    return sc_op_at(&n->im->b, slice,
                    SC_ATTRS(SC_TERMS(1, &start), SC_TERMS(1, end ? &end : &last), SC_INTS(1, &at)),
                    x);
}

ScVal im_gather(const ImNode *n, ScVal x, uint32_t axis, ScVal index)
{
    return sc_op_at(&n->im->b, gather, SC_ATTRS(SC_INT(axis)), x, index);
}

ScVal im_concat(const ImNode *n, uint32_t axis, uint32_t n_in, const ScVal *in)
{
    return n_in == 1 ? in[0] : sc_node1(&n->im->b, &sc_op_concat, SC_ATTRS(SC_INT(axis)), n_in, in);
}

ScVal im_scalar(const ImNode *n, ScrtDtype t, double x)
{
    return sc_const_scalar(&n->im->b, t, x);
}

ScVal im_number(const ImNode *n, const ScTerm *t)
{
    ScBuild *b = &n->im->b;
    int64_t c;
    if (!sc_term_const(t, &c))
        return im_reshape(n, sc_op_at(b, term, SC_ATTRS(SC_TERMS(1, &t))), 0, NULL);
    const void *data = sc_memdup(sc_ctx_arena(b->cx), &c, sizeof c);
    return sc_const(b, sc_blob(b->cx, NULL, SCRT_I64, 0, NULL, data), SCRT_I64, NULL);
}

ScVal im_iota(const ImNode *n, const ScTerm *count, uint32_t after)
{
    ScBuild *b = &n->im->b;
    const ScTerm *dim[SCRT_MAX_RANK] = {count};
    for (uint32_t d = 1; d <= after; d++)
        dim[d] = sc_term(b->cx, 1);
    return im_reshape(n, sc_op_at(b, iota, SC_ATTRS(SC_TERMS(1, &count))), after + 1, dim);
}

ScVal im_reduce(const ImNode *n, const ScOp *op, ScVal x, uint32_t n_axis, const int64_t *axis,
                bool keep)
{
    return im_build(n, op, IM_SET({"axes", SC_INTS(n_axis, axis)}, {"keepdims", SC_INT(keep)}),
                    IM_IN(x));
}
