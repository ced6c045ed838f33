/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary embedding as Hugging Face writes it: x cos + rotated(x) sin, where the halves of the last
 * axis change places and one of them its sign:
 *
 *     rotated(x) = concat(-x[h:2h], x[0:h])
 *
 * With that axis taken apart, [.., 2, h], rotated(x) is x read backward along the 2, times a sign;
 * so all of it is elementwise over views, one kernel, and no bit changes. */
#include "passes/match.h"

/* v is the first half of x's last axis, or the second, or that with the other sign. */
static bool is_half(ScMatch *m, ScVal v, ScVal x, bool second, float *ret_sign)
{
    ScNode n;
    int64_t whole, half, start;
    const ScType *t = match_type(m, v), *of = match_type(m, x);
    bool negative = match_is(m, v, &sc_op_neg, &n);
    if (!match_is(m, negative ? n.in[0] : v, &sc_op_slice, &n) || n.in[0] != x)
        return false;
    const ScAttr *starts = sc_attr_named(&n, "starts"), *steps = sc_attr_named(&n, "steps");
    const ScAttr *axes = sc_attr_named(&n, "axes");
    const uint32_t last = of->rank - 1;
    if (starts->n != 1 || !sc_term_const(starts->ts[0], &start) ||
        (steps->kind != SC_A_NONE && steps->is[0] != 1) ||
        match_axes(axes, of->rank) != 1u << last || !sc_term_const(of->dim[last], &whole) ||
        !sc_term_const(t->dim[last], &half) || half == 0 || whole != 2 * half)
        return false;
    *ret_sign = negative ? -1 : 1;
    return (start < 0 ? start + whole : start) == (second ? half : 0);
}

/* v is x rotated; sign: of what comes first and second. */
static bool is_rotated(ScMatch *m, ScVal v, ScVal x, float sign[2])
{
    ScNode n;
    if (!match_is(m, v, &sc_op_concat, &n) || n.n_in != 2 ||
        !is_half(m, n.in[0], x, true, &sign[0]) || !is_half(m, n.in[1], x, false, &sign[1]))
        return false;
    int64_t axis = sc_attr_named(&n, "axis")->i;
    uint32_t rank = match_type(m, x)->rank;
    return (sign[0] < 0 || sign[1] < 0) && (axis < 0 ? axis + rank : axis) == rank - 1;
}

/* v with its last axis as two halves; one of an extent of 1 has no halves. */
static ScVal halved(ScMatch *m, ScVal v)
{
    const ScType *t = match_type(m, v);
    const ScTerm *dim[SCRT_MAX_RANK], *two = sc_term(m->b.cx, 2);
    uint32_t rank = t->rank;
    if (rank == 0)
        return v;
    for (uint32_t d = 0; d < rank; d++)
        dim[d] = t->dim[d];
    bool one = sc_term_is(dim[rank - 1], 1);
    dim[rank] = one ? dim[rank - 1] : sc_term_fdiv(m->b.cx, dim[rank - 1], two);
    dim[rank - 1] = one ? dim[rank - 1] : two;
    return sc_reshaped(&m->b, v, rank + 1, dim);
}

/* The last axis of v is x's, or has an extent of 1; all others broadcast to x's. */
static bool lies_along(const ScMatch *m, ScVal v, const ScType *x)
{
    const ScType *t = match_type(m, v);
    return t->kind == SC_TYPE_TENSOR && t->rank <= x->rank &&
           (t->rank == 0 || sc_term_is(t->dim[t->rank - 1], 1) ||
            t->dim[t->rank - 1] == x->dim[x->rank - 1]);
}

static ScVal signs(ScMatch *m, ScrtDtype t, const float sign[2])
{
    static const int64_t dims[] = {2, 1};
    ScCtx *cx = m->b.cx;
    const void *kept = sc_memdup(sc_ctx_arena(cx), sign, 2 * sizeof *sign);
    const ScBlob *blob = sc_blob(cx, NULL, SCRT_F32, 2, dims, kept);
    return sc_const_shaped(&m->b, blob, t, 2, dims, NULL);
}

/* x cosine + rotated(x) sine, of these halves. */
static ScVal build(ScMatch *m, ScVal x, ScVal cosine, ScVal sine, const float sign[2])
{
    ScBuild *b = &m->b;
    const ScType *t = match_type(m, x);
    const ScTerm *from = sc_term(b->cx, -1), *to = sc_term(b->cx, INT64_MIN + 1);
    const int64_t axis = t->rank - 1, step = -1;
    ScVal whole = halved(m, x);
    ScVal back = sc_op_at(
        b, slice,
        SC_ATTRS(SC_TERMS(1, &from), SC_TERMS(1, &to), SC_INTS(1, &axis), SC_INTS(1, &step)),
        whole);
    ScVal turned = sc_op(b, mul, back, signs(m, t->dtype, sign));
    ScVal y = sc_op(b, add, sc_op(b, mul, whole, halved(m, cosine)),
                    sc_op(b, mul, turned, halved(m, sine)));
    return sc_reshaped(b, y, t->rank, t->dim);
}

/* Operand i is x times a cosine, the other one x rotated times a sine. */
static ScVal rotary_of(ScMatch *m, uint32_t i)
{
    ScNode plain, turned;
    float sign[2];
    if (!match_is(m, m->in[i], &sc_op_mul, &plain) ||
        !match_is(m, m->in[1 - i], &sc_op_mul, &turned))
        return SC_POISON;
    for (uint32_t k = 0; k < 4; k++) {
        ScVal x = plain.in[k / 2], cosine = plain.in[1 - k / 2], sine = turned.in[1 - k % 2];
        const ScType *t = match_type(m, x);
        if (t == sc_type_of(m->g, m->n->first) && t->rank < SCRT_MAX_RANK && sc_type_is_float(t) &&
            is_rotated(m, turned.in[k % 2], x, sign) && lies_along(m, cosine, t) &&
            lies_along(m, sine, t))
            return build(m, x, cosine, sine, sign);
    }
    return SC_POISON;
}

static ScVal rotary(ScMatch *m)
{
    ScVal v = SC_POISON;
    for (uint32_t i = 0; i < 2 && v == SC_POISON; i++) {
        match_begin(m);
        if (match_used_once(m, 1 - i))
            v = rotary_of(m, i);
    }
    return v;
}

const ScIdiom sc_idioms_rotary[] = {
    {"rotary embedding", &sc_op_add, rotary},
    {NULL, NULL, NULL},
};
