/* SPDX-License-Identifier: Apache-2.0 */
/* GroupQueryAttention of com.microsoft, which generators write: heads in groups that share keys, a
 * cache, positions turned. Names of extents as in adapt_attention.c: B batch, H heads, L queries,
 * S keys with the past ones, E width of a head. */
#include "frontend/frontend_priv.h"

#include <math.h>

#define OP(op, ...) sc_op(&n->im->b, op, __VA_ARGS__)

enum {
    QUERY,
    KEY,
    VALUE,
    PAST_KEY,
    PAST_VALUE,
    LENGTHS,
    TOTAL,
    COSINES,
    SINES,
    POSITIONS,
    BIAS,
    SINK
};

typedef struct Grouped {
    const ImNode *n;
    int64_t heads, kv_heads, window;
    double scale, cap;
    ScVal q, k, v;              /* [B, heads, L, E], [B, kv_heads, S, E] */
    const ScTerm *past, *width; /* keys before the first query; E */
} Grouped;

/* x [B, L, heads E] as [B, heads, L, E]. */
static ScVal apart(const Grouped *a, ScVal x, int64_t heads)
{
    static const int64_t perm[] = {0, 2, 1, 3};
    const ScType *t = im_type_of(a->n, x);
    if (t->kind != SC_TYPE_TENSOR)
        return SC_POISON;
    const ScTerm *dim[] = {t->dim[0], t->dim[1], sc_term(a->n->im->cx, heads), a->width};
    return im_transpose(a->n, im_reshape(a->n, x, 4, dim), 4, perm);
}

/* The query, and where there is no key the keys and values behind it. */
static bool split(Grouped *a)
{
    const ImNode *n = a->n;
    ScCtx *cx = n->im->cx;
    const ScType *t = im_type(n, QUERY);
    const bool packed = !im_has(n, KEY);
    const ScTerm *all = sc_term(cx, packed ? a->heads + 2 * a->kv_heads : a->heads);
    if (t->rank != 3 || packed == im_has(n, VALUE) || (!packed && im_type(n, KEY)->rank != 3))
        return sc_fail(cx, n->loc, SC_E_RANK, "query, key and value have rank 3");
    if (!im_require(n, SC_GUARD_DIVIDES, all, t->dim[2], "heads and the width of all"))
        return false;
    a->width = sc_term_fdiv(cx, t->dim[2], all);
    const ScTerm *one = sc_term_scale(cx, a->width, a->heads);
    const ScTerm *two = sc_term_add(cx, one, sc_term_scale(cx, a->width, a->kv_heads));
    ScVal x = im_in(n, QUERY);
    a->q = apart(a, packed ? im_slice(n, x, 2, sc_term(cx, 0), one) : x, a->heads);
    a->k = apart(a, packed ? im_slice(n, x, 2, one, two) : im_in(n, KEY), a->kv_heads);
    a->v = apart(a, packed ? im_slice(n, x, 2, two, NULL) : im_in(n, VALUE), a->kv_heads);
    return a->q != SC_POISON && a->k != SC_POISON && a->v != SC_POISON;
}

/* The cache has no room behind its keys, and of a batch all have as many: the operands that count
 * keys must say so where there is a past. Where there is none, shorter samples are padded behind.
 */
static bool check_lengths(const Grouped *a, const ScTerm *total)
{
    const ImNode *n = a->n;
    ScCtx *cx = n->im->cx;
    const int64_t first = 0;
    const ScTerm *one = sc_term(cx, 1), *any_past = sc_term_min(cx, a->past, one);
    if (im_has(n, TOTAL)) {
        const ScTerm *said = im_content1(n, TOTAL);
        if (!said || !im_require(n, SC_GUARD_EQUAL, said, total, "total_sequence_length"))
            return false;
    }
    if (sc_term_is(a->past, 0))
        return true;
    ScVal lengths = im_cast(n, im_in(n, LENGTHS), SCRT_I64);
    lengths = im_reshape(n, lengths, 1, (const ScTerm *[]){sc_type_count(cx, im_type(n, LENGTHS))});
    for (uint32_t i = 0; i < 2; i++) {
        const ScOp *op = i ? &sc_op_reduce_max : &sc_op_reduce_min;
        ScVal at = im_bind(n, im_reduce(n, op, lengths, 1, &first, false));
        const ScTerm *const *is = at < SC_FIRST ? NULL : sc_built(&n->im->b, at)->content;
        if (!is ||
            !im_require(n, SC_GUARD_EQUAL, sc_term_mul(cx, any_past, sc_term_addc(cx, is[0], 1)),
                        sc_term_mul(cx, any_past, total), "seqlens_k + 1 and all keys"))
            return false;
    }
    return true;
}

static bool turn(Grouped *a)
{
    const ImNode *n = a->n;
    ScCtx *cx = n->im->cx;
    bool ok = true;
    const ScType *t = im_type_of(n, a->q);
    const ScTerm *dim[] = {t->dim[0], t->dim[2]};
    if (!im_has(n, COSINES) || !im_has(n, SINES) || im_type(n, COSINES)->rank != 2)
        return sc_fail(cx, n->loc, SC_E_ARITY, "\"do_rotary\" without cosines and sines");
    ScVal at = im_in(n, POSITIONS);
    if (at == SC_ABSENT) {
        at = OP(add, im_iota(n, dim[1], 0), im_number(n, a->past));
        at = im_expand(n, at, 2, dim);
    }
    ImRotary r = {.cosine = im_in(n, COSINES), .sine = im_in(n, SINES), .at = at};
    r.pairs = im_int(n, "rotary_interleaved", 0, &ok) != 0;
    r.width = sc_term_scale(cx, im_type(n, COSINES)->dim[1], 2);
    r.x = a->q;
    a->q = im_rotated(n, &r);
    r.x = a->k;
    a->k = im_rotated(n, &r);
    return ok && a->q != SC_POISON && a->k != SC_POISON;
}

/* The past before the keys and values. */
static bool join_past(Grouped *a)
{
    const ImNode *n = a->n;
    ScVal *x[] = {&a->k, &a->v};
    for (uint32_t i = 0; i < 2 && im_has(n, PAST_KEY); i++)
        *x[i] = im_concat(n, 2, 2, (ScVal[]){im_in(n, PAST_KEY + i), *x[i]});
    return a->k != SC_POISON && a->v != SC_POISON;
}

/* x [B, H, m, k] by y [B, kv_heads, k, n] */
static ScVal product(const Grouped *a, ScVal x, ScVal y)
{
    ScCtx *cx = a->n->im->cx;
    return im_heads_product(a->n, x, y, sc_term(cx, a->heads), sc_term(cx, a->kv_heads));
}

/* The weights of the keys: softmax, with one more score that nothing is looked at for, the sink's
 * or 0. s: [B, H, L, S] */
static ScVal weights(const Grouped *a, ScVal s)
{
    const ImNode *n = a->n;
    ScCtx *cx = n->im->cx;
    const ScType *t = im_type_of(n, s);
    if (t->rank < 4)
        return SC_POISON;
    const ScTerm *one = sc_term(cx, 1), *keys = t->dim[3];
    const ScTerm *column[] = {t->dim[0], t->dim[1], t->dim[2], one};
    const ScTerm *head[] = {one, sc_term(cx, a->heads), one, one};
    ScVal extra = im_has(n, SINK) ? im_reshape(n, im_cast(n, im_in(n, SINK), t->dtype), 4, head)
                                  : im_scalar(n, t->dtype, 0);
    s = im_concat(n, 3, 2, (ScVal[]){s, im_expand(n, extra, 4, column)});
    ScVal w = im_build(n, &sc_op_softmax, IM_SET({"axis", SC_INT(3)}),
                       IM_IN(s, im_scalar(n, t->dtype, 1)));
    return im_slice(n, w, 3, sc_term(cx, 0), keys);
}

/* Which keys a query looks at beside those before it; absent: all. */
static ScVal in_window(const Grouped *a)
{
    const ImNode *n = a->n;
    if (a->window <= 0)
        return SC_ABSENT;
    ScVal j = im_iota(n, im_type_of(n, a->k)->dim[2], 0);
    ScVal i = OP(add, im_iota(n, im_type_of(n, a->q)->dim[2], 1), im_number(n, a->past));
    return OP(less, OP(sub, i, im_number(n, sc_term(n->im->cx, a->window))), j);
}

/* The row, which knows no sink: [B, H, L, E]. */
static ScVal as_whole(const Grouped *a)
{
    const ImNode *n = a->n;
    ScVal scale = im_scalar(n, im_at_least_f32(im_type_of(n, a->q)->dtype), a->scale);
    ScVal in[] = {a->q, a->k, a->v, scale, im_in(n, BIAS), in_window(a)};
    return im_build(n, &sc_op_attention,
                    IM_SET({"diagonal", SC_TERMS(1, &a->past)}, {"softcap", SC_FLOAT(a->cap)}), 6,
                    in);
}

/* Written out, with a sink: [B, H, L, E]. */
static ScVal in_steps(const Grouped *a)
{
    static const int64_t last_two[] = {0, 1, 3, 2};
    const ImNode *n = a->n;
    const ScType *q = im_type_of(n, a->q), *k = im_type_of(n, a->k);
    const ScrtDtype t = q->dtype;
    ScVal none = im_scalar(n, t, -INFINITY);
    ScVal s = product(a, a->q, im_transpose(n, a->k, 4, last_two));
    s = OP(mul, s, im_scalar(n, t, a->scale));
    if (a->cap > 0)
        s = OP(mul, OP(tanh, OP(div, s, im_scalar(n, t, a->cap))), im_scalar(n, t, a->cap));
    if (im_has(n, BIAS))
        s = OP(add, s, im_in(n, BIAS));
    ScVal i = OP(add, im_iota(n, q->dim[2], 1), im_number(n, a->past)), near = in_window(a);
    s = OP(where, OP(less_or_equal, im_iota(n, k->dim[2], 0), i), s, none);
    s = near == SC_ABSENT ? s : OP(where, near, s, none);
    return product(a, weights(a, s), a->v);
}

/* [B, L, H E] */
static ScVal attended(const Grouped *a, bool smooth)
{
    static const int64_t heads_last[] = {0, 2, 1, 3};
    const ImNode *n = a->n;
    const ScType *q = im_type_of(n, a->q);
    const ScTerm *dim[] = {q->dim[0], q->dim[2], sc_term_scale(n->im->cx, a->width, a->heads)};
    ScVal y = im_has(n, SINK) || smooth ? in_steps(a) : as_whole(a);
    return im_reshape(n, im_transpose(n, y, 4, heads_last), 3, dim);
}

static bool read_attributes(Grouped *a, bool *ret_rotary, bool *ret_smooth)
{
    const ImNode *n = a->n;
    bool ok = true;
    a->heads = im_int(n, "num_heads", 0, &ok);
    a->kv_heads = im_int(n, "kv_num_heads", 0, &ok);
    a->window = im_int(n, "local_window_size", -1, &ok);
    a->scale = im_float(n, "scale", 0, &ok);
    a->cap = im_float(n, "softcap", 0, &ok);
    *ret_rotary = im_int(n, "do_rotary", 0, &ok) != 0;
    *ret_smooth = im_int(n, "smooth_softmax", 0, &ok) == 1;
    if (!ok || !im_arity(n, 1, 12) ||
        !IM_ONLY(n, "num_heads", "kv_num_heads", "local_window_size", "scale", "softcap",
                 "do_rotary", "rotary_interleaved", "smooth_softmax"))
        return false;
    return (a->kv_heads > 0 && a->heads > 0 && a->heads % a->kv_heads == 0) ||
           sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"num_heads\" %lld, \"kv_num_heads\" %lld",
                   (long long)a->heads, (long long)a->kv_heads);
}

static bool grouped(const ImNode *n, ScVal *ret_out)
{
    Grouped a = {.n = n};
    ScCtx *cx = n->im->cx;
    bool rotary, smooth, ok = true;
    int64_t width;
    if (!read_attributes(&a, &rotary, &smooth) || !split(&a))
        return false;
    if (im_has(n, PAST_KEY) != im_has(n, PAST_VALUE) ||
        (im_has(n, PAST_KEY) && im_type(n, PAST_KEY)->rank != 4))
        return sc_fail(cx, n->loc, SC_E_ARITY, "past_key and past_value come together");
    a.past = im_has(n, PAST_KEY) ? im_type(n, PAST_KEY)->dim[2] : sc_term(cx, 0);
    if (!check_lengths(&a, sc_term_add(cx, a.past, im_type(n, QUERY)->dim[1])) ||
        (rotary && !turn(&a)) || !join_past(&a))
        return false;
    if (a.scale == 0) {
        if (!im_number_of(n, a.width, "the width of a head", &width))
            return false;
        if (width < 1)
            return sc_fail(cx, n->loc, SC_E_SHAPE, "heads of width %lld", (long long)width);
        a.scale = 1 / sqrt((double)width);
    }
    ScVal all[] = {attended(&a, smooth), a.k, a.v};
    for (uint32_t i = 0; i < n->n_out; i++)
        ok = im_answer(all[i], &ret_out[i]) && ok;
    return ok;
}

const ImAdapter im_grouped_adapters[] = {
    {"com.microsoft", "GroupQueryAttention", 1, 0, grouped, 3, 0},
    {NULL, NULL, 0, 0, NULL, 0, 0},
};
