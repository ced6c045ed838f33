/* SPDX-License-Identifier: Apache-2.0 */
/* Attention as com.microsoft has it: MultiHeadAttention of projected operands, Attention with the
 * projection. Masked scores have a large negative number added, so that a row without any key looks
 * at all alike. Names of extents as in adapt_attention.c: B batch, H heads, L queries, S keys. */
#include "frontend/frontend_priv.h"

#include <math.h>

#define OP(op, ...) sc_op(&n->im->b, op, __VA_ARGS__)

typedef struct Heads {
    const ImNode *n;
    int64_t heads, causal;
    double scale, masked; /* 0: by the width of a head; what is added to a masked score */
    ScVal q, k, v;        /* [B, H, L, E], [B, H, S, E], [B, H, S, Ev] */
    ScVal mask, bias;     /* operands, or absent */
    const ScTerm *past;   /* keys before the first query */
} Heads;

/* x [B, L, H E] as [B, H, L, E]; four axes are that already. */
static ScVal apart(const Heads *a, ScVal x)
{
    static const int64_t perm[] = {0, 2, 1, 3};
    const ImNode *n = a->n;
    ScCtx *cx = n->im->cx;
    const ScType *t = im_type_of(n, x);
    if (t->kind != SC_TYPE_TENSOR || t->rank != 3)
        return x;
    const ScTerm *h = sc_term(cx, a->heads);
    if (!im_require(n, SC_GUARD_DIVIDES, h, t->dim[2], "heads and the width of all"))
        return SC_POISON;
    const ScTerm *dim[] = {t->dim[0], t->dim[1], h, sc_term_fdiv(cx, t->dim[2], h)};
    return im_transpose(n, im_reshape(n, x, 4, dim), 4, perm);
}

static const ScType *type_of(const Heads *a, ScVal v)
{
    return sc_built(&a->n->im->b, v)->type;
}

/* 0 where a condition holds, the negative number elsewhere. */
static ScVal unless(const Heads *a, ScVal keep, ScrtDtype t)
{
    return sc_op(&a->n->im->b, where, keep, im_scalar(a->n, t, 0), im_scalar(a->n, t, a->masked));
}

/* What a mask of one axis keeps: of [B], the keys before that number; of [2 B], where they end and
 * then, for all samples again, where they begin. Poison after sc_fail. */
static ScVal between(const Heads *a, ScVal mask, const ScTerm *count)
{
    const ImNode *n = a->n;
    ScCtx *cx = n->im->cx;
    const ScTerm *one = sc_term(cx, 1), *batch = type_of(a, a->q)->dim[0];
    const ScTerm *dim[] = {batch, one, one, one}, *both = sc_term_mul(cx, sc_term(cx, 2), batch);
    ScVal key = im_iota(n, type_of(a, a->k)->dim[2], 0), first = mask;
    bool begins = count == both;
    if (begins)
        first = im_slice(n, mask, 0, sc_term(cx, 0), batch);
    else if (!im_require(n, SC_GUARD_EQUAL, count, batch, "a mask of lengths and the batch"))
        return SC_POISON;
    ScVal keep = OP(less, key, im_reshape(n, first, 4, dim));
    if (!begins)
        return keep;
    ScVal from = im_reshape(n, im_slice(n, mask, 0, batch, both), 4, dim);
    return OP(and, keep, OP(greater_or_equal, key, from));
}

/* What the mask adds to scores: of [B, S] or [B, L, S], 0 is masked. Poison after sc_fail. */
static ScVal mask_addend(const Heads *a, ScrtDtype t)
{
    const ImNode *n = a->n;
    ScCtx *cx = n->im->cx;
    const ScType *m = type_of(a, a->mask);
    const ScTerm *one = sc_term(cx, 1), *dim[4] = {m->rank ? m->dim[0] : one, one, one, one};
    ScVal zero = im_number(n, sc_term(cx, 0)), mask = im_cast(n, a->mask, SCRT_I64);
    if (m->rank == 1)
        return unless(a, between(a, mask, m->dim[0]), t);
    if (m->rank != 2 && m->rank != 3) {
        sc_fail(cx, n->loc, SC_E_UNSUPPORTED, "%s with a mask of rank %u", n->pb->op_type, m->rank);
        return SC_POISON;
    }
    dim[3] = m->dim[m->rank - 1];
    dim[2] = m->rank == 3 ? m->dim[1] : one;
    return unless(a, OP(greater, im_reshape(n, mask, 4, dim), zero), t);
}

/* [B, L, H Ev] */
static ScVal attended(const Heads *a)
{
    static const int64_t last_two[] = {0, 1, 3, 2}, heads_last[] = {0, 2, 1, 3};
    const ImNode *n = a->n;
    ScCtx *cx = n->im->cx;
    int64_t width;
    if (a->q == SC_POISON || a->k == SC_POISON || a->v == SC_POISON)
        return SC_POISON;
    const ScType *q = type_of(a, a->q), *k = type_of(a, a->k);
    ScrtDtype t = q->dtype;
    if (q->rank != 4 || k->rank != 4 || type_of(a, a->v)->rank != 4 ||
        !sc_term_const(q->dim[3], &width) || width < 1) {
        sc_fail(cx, n->loc, SC_E_RANK, "the operands' ranks, or a width that is not known");
        return SC_POISON;
    }
    double scale = a->scale != 0 ? a->scale : 1 / sqrt((double)width);
    ScVal s = OP(matmul, a->q, im_transpose(n, a->k, 4, last_two));
    s = OP(mul, s, im_scalar(n, t, scale));
    if (a->bias != SC_ABSENT)
        s = OP(add, s, a->bias);
    if (a->mask != SC_ABSENT)
        s = OP(add, s, mask_addend(a, t));
    if (a->causal) {
        ScVal i = OP(add, im_iota(n, q->dim[2], 1), im_number(n, a->past));
        s = OP(add, s, unless(a, OP(less_or_equal, im_iota(n, k->dim[2], 0), i), t));
    }
    ScVal w =
        im_build(n, &sc_op_softmax, IM_SET({"axis", SC_INT(3)}), IM_IN(s, im_scalar(n, t, 1)));
    ScVal y = OP(matmul, w, a->v);
    if (y == SC_POISON)
        return y;
    const ScType *got = type_of(a, y);
    const ScTerm *dim[] = {got->dim[0], got->dim[2], sc_term_mul(cx, got->dim[1], got->dim[3])};
    return im_reshape(n, im_transpose(n, y, 4, heads_last), 3, dim);
}

static bool read_heads(Heads *a)
{
    const ImNode *n = a->n;
    bool ok = true;
    a->heads = im_int(n, "num_heads", 0, &ok);
    a->causal = im_int(n, "unidirectional", 0, &ok);
    a->scale = im_float(n, "scale", 0, &ok);
    a->masked = im_float(n, "mask_filter_value", -10000, &ok);
    a->mask = a->bias = SC_ABSENT;
    a->past = sc_term(n->im->cx, 0);
    return ok && (a->heads > 0 || sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE,
                                          "\"num_heads\" is %lld", (long long)a->heads));
}

/* Elements from .. to - 1 of the bias, added to x. */
static ScVal biased(const ImNode *n, ScVal x, const ScTerm *from, const ScTerm *to)
{
    return im_has(n, 3) ? OP(add, x, im_slice(n, im_in(n, 3), 0, from, to)) : x;
}

/* query, key, value, bias, key mask, attention bias, past key, past value. Keys and values of four
 * axes are those of a cache, which have their bias. */
static bool multi_head(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    Heads a = {.n = n};
    if (!im_arity(n, 3, 8) ||
        !IM_ONLY(n, "num_heads", "unidirectional", "scale", "mask_filter_value") || !read_heads(&a))
        return false;
    const ScType *q = im_type(n, 0), *k = im_type(n, 1), *v = im_type(n, 2);
    if (q->rank != 3 || (k->rank != 3 && k->rank != 4) || k->rank != v->rank ||
        im_has(n, 6) != im_has(n, 7))
        return sc_fail(cx, n->loc, SC_E_UNSUPPORTED, "MultiHeadAttention of ranks %u, %u, %u",
                       q->rank, k->rank, v->rank);
    const ScTerm *zero = sc_term(cx, 0), *one = q->dim[2], *two = sc_term_add(cx, one, k->dim[2]);
    a.q = apart(&a, biased(n, im_in(n, 0), zero, one));
    a.k = k->rank == 4 ? im_in(n, 1) : apart(&a, biased(n, im_in(n, 1), one, two));
    a.v = k->rank == 4 ? im_in(n, 2) : apart(&a, biased(n, im_in(n, 2), two, NULL));
    if (im_has(n, 6)) {
        a.past = im_type(n, 6)->rank == 4 ? im_type(n, 6)->dim[2] : zero;
        a.k = im_concat(n, 2, 2, (ScVal[]){im_in(n, 6), a.k});
        a.v = im_concat(n, 2, 2, (ScVal[]){im_in(n, 7), a.v});
    }
    a.mask = im_in(n, 4);
    a.bias = im_in(n, 5);
    ScVal all[] = {attended(&a), a.k, a.v};
    bool ok = true;
    for (uint32_t i = 0; i < n->n_out; i++)
        ok = im_answer(all[i], &ret_out[i]) && ok;
    return ok;
}

/* x, the weights and biases of all three projections side by side, mask, past [2, B, H, S, E] */
static bool attention(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    Heads a = {.n = n};
    uint32_t n_size = 0;
    bool ok = true;
    const int64_t *size = im_ints(n, "qkv_hidden_sizes", &n_size, &ok);
    if (!ok || !im_arity(n, 2, 6) ||
        !IM_ONLY(n, "num_heads", "unidirectional", "scale", "mask_filter_value",
                 "qkv_hidden_sizes") ||
        !read_heads(&a))
        return false;
    const ScType *w = im_type(n, 1);
    if (w->rank != 2 || (size && n_size != 3) || (im_has(n, 4) && im_type(n, 4)->rank != 5))
        return sc_fail(cx, n->loc, SC_E_SHAPE, "weights of rank %u, or the past's", w->rank);
    ScVal y = OP(matmul, im_in(n, 0), im_in(n, 1)), part[3];
    y = im_has(n, 2) ? OP(add, y, im_in(n, 2)) : y;
    const ScTerm *from = sc_term(cx, 0), *third = sc_term_fdiv(cx, w->dim[1], sc_term(cx, 3));
    for (uint32_t i = 0; i < 3; i++) {
        const ScTerm *to = sc_term_add(cx, from, size ? sc_term(cx, size[i]) : third);
        part[i] = apart(&a, im_slice(n, y, 2, from, to));
        from = to;
    }
    for (uint32_t i = 0; i < 2 && im_has(n, 4); i++) {
        const ScType *past = im_type(n, 4);
        ScVal one = im_slice(n, im_in(n, 4), 0, sc_term(cx, i), sc_term(cx, i + 1));
        a.past = past->dim[3];
        part[1 + i] =
            im_concat(n, 2, 2, (ScVal[]){im_reshape(n, one, 4, past->dim + 1), part[1 + i]});
    }
    a.q = part[0];
    a.k = part[1];
    a.v = part[2];
    a.mask = im_in(n, 3);
    a.bias = im_in(n, 5);
    ok = im_answer(attended(&a), ret_out);
    if (!ok || n->n_out < 2)
        return ok;
    for (uint32_t i = 1; i < 3; i++) {
        const ScType *t = type_of(&a, part[i]);
        const ScTerm *dim[] = {sc_term(cx, 1), t->dim[0], t->dim[1], t->dim[2], t->dim[3]};
        part[i] = im_reshape(n, part[i], 5, dim);
    }
    return im_answer(im_concat(n, 0, 2, part + 1), &ret_out[1]);
}

const ImAdapter im_heads_adapters[] = {
    {"com.microsoft", "MultiHeadAttention", 1, 0, multi_head, 3},
    {"com.microsoft", "Attention", 1, 0, attention, 2},
    {NULL, NULL, 0, 0, NULL, 0},
};
