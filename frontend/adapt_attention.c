/* SPDX-License-Identifier: Apache-2.0 */
/* Attention and the rotation of positions that goes with it, as products, masks and a softmax.
 * Names of extents: B batch, H heads, L queries, S keys (with the past ones), E width of a head. */
#include "frontend/frontend_priv.h"

#include <math.h>

typedef struct Attention {
    const ImNode *n;
    const ScTerm *heads, *kv_heads, *queries, *keys, *past; /* past NULL: no cache */
    ScrtDtype t;                                            /* of the scores */
    bool masked;                                            /* a row may have no key at all */
    int64_t causal, left, right;                            /* left, right: -1 where unbounded */
} Attention;

/* x [B, L, heads * E] as [B, heads, L, E]; four axes are that already. */
static ScVal apart(const ImNode *n, ScVal x, int64_t heads)
{
    static const int64_t perm[] = {0, 2, 1, 3};
    ScCtx *cx = n->im->cx;
    const ScType *t = im_type_of(n, x);
    if (t->rank == 4)
        return x;
    const ScTerm *h = sc_term(cx, heads);
    const ScTerm *dim[] = {t->dim[0], t->dim[1], h, sc_term_fdiv(cx, t->dim[2], h)};
    return im_transpose(n, im_reshape(n, x, 4, dim), 4, perm);
}

ScVal im_heads_product(const ImNode *n, ScVal a, ScVal b, const ScTerm *heads, const ScTerm *kv)
{
    ScBuild *bd = &n->im->b;
    ScCtx *cx = bd->cx;
    const ScType *ta = sc_built(bd, a)->type, *tb = sc_built(bd, b)->type;
    if (heads == kv || ta->rank != 4 || tb->rank != 4)
        return sc_op(bd, matmul, a, b);
    const ScTerm *each = sc_term_fdiv(cx, heads, kv);
    const ScTerm *da[] = {ta->dim[0], kv, each, ta->dim[2], ta->dim[3]};
    const ScTerm *db[] = {tb->dim[0], kv, sc_term(cx, 1), tb->dim[2], tb->dim[3]};
    const ScTerm *to[] = {ta->dim[0], heads, ta->dim[2], tb->dim[3]};
    ScVal y = sc_op(bd, matmul, im_reshape(n, a, 5, da), im_reshape(n, b, 5, db));
    return im_reshape(n, y, 4, to);
}

/* The mask up to all keys: what is missing is not attended to. */
static ScVal whole_mask(const Attention *at)
{
    const ImNode *n = at->n;
    ScCtx *cx = n->im->cx;
    const ScType *t = im_type(n, 3);
    ScVal mask = im_in(n, 3);
    const ScTerm *dim[SCRT_MAX_RANK];
    if (t->rank == 0 || t->dim[t->rank - 1] == at->keys || sc_term_is(t->dim[t->rank - 1], 1))
        return mask;
    const ScTerm *more = sc_term_sub(cx, at->keys, t->dim[t->rank - 1]);
    for (uint32_t d = 0; d < t->rank; d++)
        dim[d] = d + 1 < t->rank ? t->dim[d] : more;
    ScVal none = t->dtype == SCRT_BOOL ? im_cast(n, im_number(n, sc_term(cx, 0)), SCRT_BOOL)
                                       : im_scalar(n, t->dtype, -INFINITY);
    ScVal part[] = {mask, im_expand(n, none, t->rank, dim)};
    return im_concat(n, t->rank - 1, 2, part);
}

/* Position p = i + offset of query i, [L, 1], or [B, 1, L, 1] where each sample has its own: the
 * valid keys before the first query. */
static ScVal query_positions(const Attention *at, ScVal valid)
{
    ScBuild *b = &at->n->im->b;
    ScVal i = im_iota(at->n, at->queries, 1);
    if (at->past)
        return sc_op(b, add, i, im_number(at->n, at->past));
    if (valid == SC_ABSENT)
        return i;
    return sc_op(b, add, i, sc_op(b, sub, valid, im_number(at->n, at->queries)));
}

/* What scores are added, and where they are not -inf instead: absent where nothing is said. */
typedef struct Masks {
    ScVal addend, keep;
    const ScTerm *diagonal; /* query i looks at keys up to i + diagonal; NULL: all */
} Masks;

static void keep_only(const Attention *at, Masks *m, ScVal where)
{
    m->keep = m->keep == SC_ABSENT ? where : sc_op(&at->n->im->b, and, m->keep, where);
}

/* The windows around the diagonal. */
static void windows(const Attention *at, Masks *m, ScVal j, ScVal p)
{
    const ImNode *n = at->n;
    ScBuild *b = &n->im->b;
    if (at->left >= 0)
        keep_only(at, m,
                  sc_op(b, greater_or_equal, j,
                        sc_op(b, sub, p, im_number(n, sc_term(b->cx, at->left)))));
    if (at->right >= 0)
        keep_only(
            at, m,
            sc_op(b, less_or_equal, j, sc_op(b, add, p, im_number(n, sc_term(b->cx, at->right)))));
}

/* diagonal: what is causal may be said by that. */
static Masks masks(Attention *at, bool diagonal)
{
    const ImNode *n = at->n;
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    Masks m = {SC_ABSENT, SC_ABSENT, NULL};
    ScVal j = im_iota(n, at->keys, 0), valid = SC_ABSENT;
    /* key 0 lies before every query, whatever is causal or bounded to the right */
    at->masked = im_has(n, 3) || im_has(n, 6) || at->left >= 0;
    if (im_has(n, 6)) {
        const ScTerm *one = sc_term(cx, 1), *dim[] = {im_type(n, 6)->dim[0], one, one, one};
        valid = im_reshape(n, im_in(n, 6), 4, dim);
    }
    if (im_has(n, 3))
        *(im_type(n, 3)->dtype == SCRT_BOOL ? &m.keep : &m.addend) = whole_mask(at);
    ScVal p = query_positions(at, valid);
    if (at->causal && diagonal && valid == SC_ABSENT)
        m.diagonal = at->past ? at->past : sc_term(cx, 0);
    else if (at->causal)
        keep_only(at, &m, sc_op(b, less_or_equal, j, p));
    windows(at, &m, j, p);
    if (valid != SC_ABSENT)
        keep_only(at, &m, sc_op(b, less, j, valid));
    return m;
}

static ScVal masked(Attention *at, ScVal s)
{
    const ImNode *n = at->n;
    ScBuild *b = &n->im->b;
    Masks m = masks(at, false);
    if (m.addend != SC_ABSENT)
        s = sc_op(b, add, s, im_cast(n, m.addend, at->t));
    return m.keep == SC_ABSENT ? s : sc_op(b, where, m.keep, s, im_scalar(n, at->t, -INFINITY));
}

/* The softmax over the keys; a query that may look at none has weights of 0, by the operator's
 * definition. */
static ScVal weights(const Attention *at, ScVal s, ScrtDtype precision)
{
    const ImNode *n = at->n;
    ScBuild *b = &n->im->b;
    const int64_t last = 3;
    s = im_cast(n, s, precision);
    ScVal zero = im_scalar(n, precision, 0), none = SC_ABSENT;
    if (at->masked) {
        ScVal most = im_reduce(n, &sc_op_reduce_max, s, 1, &last, true);
        none = sc_op(b, equal, most, im_scalar(n, precision, -INFINITY));
        s = sc_op(b, where, none, zero, s);
    }
    ScVal w = im_build(n, &sc_op_softmax, IM_SET({"axis", SC_INT(3)}),
                       IM_IN(s, im_scalar(n, precision, 1)));
    return at->masked ? sc_op(b, where, none, zero, w) : w;
}

/* Q, K, V with four axes, K and V with what is past before them. False after sc_fail. */
static bool operands(Attention *at, ScVal *ret)
{
    const ImNode *n = at->n;
    bool ok = true;
    int64_t heads = im_int(n, "q_num_heads", 0, &ok), kv = im_int(n, "kv_num_heads", 0, &ok);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t rank = im_type(n, i)->rank;
        if (rank != 4 && (rank != 3 || heads < 1 || kv < 1))
            return ok &&
                   sc_fail(n->im->cx, n->loc, SC_E_RANK,
                           "operand %u has rank %u, 4 is needed, or 3 with the number of heads", i,
                           rank);
        ret[i] = apart(n, im_in(n, i), i ? kv : heads);
    }
    if (im_has(n, 4) != im_has(n, 5) || (im_has(n, 4) && im_type(n, 4)->rank != 4))
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "past_key and past_value come together");
    for (uint32_t i = 1; i < 3 && im_has(n, 4); i++)
        ret[i] = im_concat(n, 2, 2, (ScVal[]){im_in(n, i + 3), ret[i]});
    for (uint32_t i = 0; i < 3; i++)
        ok = ok && ret[i] != SC_POISON;
    if (!ok)
        return false;
    const ScType *q = im_type_of(n, ret[0]), *k = im_type_of(n, ret[1]);
    at->heads = q->dim[1];
    at->kv_heads = k->dim[1];
    at->queries = q->dim[2];
    at->keys = k->dim[2];
    at->past = im_has(n, 4) ? im_type(n, 4)->dim[2] : NULL;
    at->t = q->dtype;
    return true;
}

/* 1 / sqrt(width): a number, or computed when the model runs. */
static ScVal inverse_root(const ImNode *n, const ScTerm *width, ScrtDtype t)
{
    ScBuild *b = &n->im->b;
    int64_t c;
    if (sc_term_const(width, &c))
        return im_scalar(n, t, 1 / sqrt((double)c));
    ScVal w = im_cast(n, im_number(n, width), SCRT_F32);
    return im_cast(n, sc_op(b, reciprocal, sc_op(b, sqrt, w)), t);
}

/* What the node's attributes say beside the masks. */
typedef struct Says {
    ScVal scale; /* in the type that it is multiplied in */
    double cap;
    int64_t mode; /* which scores are a result of their own */
    ScrtDtype precision;
} Says;

static bool says(Attention *at, Says *ret)
{
    const ImNode *n = at->n;
    bool ok = true;
    at->causal = im_int(n, "is_causal", 0, &ok);
    at->left = im_int(n, "left_window_size", -1, &ok);
    at->right = im_int(n, "right_window_size", -1, &ok);
    ret->cap = im_float(n, "softcap", 0, &ok);
    ret->mode = im_int(n, "qk_matmul_output_mode", 0, &ok);
    int64_t precision = im_int(n, "softmax_precision", 0, &ok);
    ret->precision = (ScrtDtype)precision;
    if (!ok || !im_arity(n, 3, 7) ||
        !IM_ONLY(n, "is_causal", "kv_num_heads", "q_num_heads", "left_window_size",
                 "right_window_size", "scale", "softcap", "qk_matmul_output_mode",
                 "softmax_precision"))
        return false;
    return ((precision == 0 || scrt_dtype_is_float(ret->precision)) && ret->mode >= 0 &&
            ret->mode <= 3) ||
           sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"softmax_precision\" %lld, mode %lld",
                   (long long)precision, (long long)ret->mode);
}

/* Written out, with the scores at each step. */
static ScVal in_steps(Attention *at, const Says *says, const ScVal *qkv, ScVal *shown)
{
    static const int64_t last_two[] = {0, 1, 3, 2};
    const ImNode *n = at->n;
    ScBuild *b = &n->im->b;
    ScVal s =
        im_heads_product(n, qkv[0], im_transpose(n, qkv[1], 4, last_two), at->heads, at->kv_heads);
    shown[0] = s = sc_op(b, mul, s, says->scale);
    if (says->cap > 0) {
        ScVal c = im_scalar(n, at->t, says->cap);
        s = sc_op(b, mul, sc_op(b, tanh, sc_op(b, div, s, c)), c);
    }
    shown[1] = s;
    shown[2] = s = masked(at, s);
    ScVal w = weights(at, s, says->precision ? says->precision : at->t);
    shown[3] = im_cast(n, w, at->t);
    return im_heads_product(n, im_cast(n, w, im_type(n, 2)->dtype), qkv[2], at->heads,
                            at->kv_heads);
}

/* The row, which shows no scores and computes in f32 or f64, all in one type. */
static bool is_whole(const Attention *at, const Says *says)
{
    const ImNode *n = at->n;
    ScrtDtype inner = im_at_least_f32(at->t);
    return n->n_out < 4 &&
           (!says->precision || says->precision == inner || says->precision == at->t) &&
           im_type(n, 1)->dtype == at->t && im_type(n, 2)->dtype == at->t;
}

static ScVal as_whole(Attention *at, const Says *says, const ScVal *qkv)
{
    const ImNode *n = at->n;
    Masks m = masks(at, true);
    ScVal in[] = {qkv[0], qkv[1], qkv[2], says->scale, m.addend, m.keep};
    ScAttr *attr =
        SC_ATTRS({.kind = SC_A_NONE}, SC_FLOAT(says->cap > 0 ? says->cap : 0), SC_INT(at->masked));
    if (m.diagonal)
        attr[0] = SC_TERMS(1, &m.diagonal);
    return sc_node1(&n->im->b, &sc_op_attention, attr, 6, in);
}

static bool attention(const ImNode *n, ScVal *ret_out)
{
    static const int64_t heads_last[] = {0, 2, 1, 3};
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    bool ok = true;
    ScVal qkv[3], shown[4] = {SC_ABSENT};
    Attention at = {.n = n};
    Says say;
    if (!says(&at, &say) || !operands(&at, qkv))
        return false;
    bool whole = is_whole(&at, &say);
    ScrtDtype inner = whole ? im_at_least_f32(at.t) : at.t;
    say.scale = im_attr(n, "scale") ? im_scalar(n, inner, im_float(n, "scale", 0, &ok))
                                    : inverse_root(n, sc_built(b, qkv[0])->type->dim[3], inner);
    if (!ok)
        return false;
    ScVal y = whole ? as_whole(&at, &say, qkv) : in_steps(&at, &say, qkv, shown);
    if (im_type(n, 0)->rank == 3 && y != SC_POISON) {
        const ScType *t = sc_built(b, y)->type;
        const ScTerm *dim[] = {t->dim[0], t->dim[2], sc_term_mul(cx, t->dim[1], t->dim[3])};
        y = im_reshape(n, im_transpose(n, y, 4, heads_last), 3, dim);
    }
    ScVal all[] = {im_cast(n, y, at.t), qkv[1], qkv[2], shown[say.mode]};
    for (uint32_t i = 0; i < n->n_out; i++)
        ok = im_answer(all[i], &ret_out[i]) && ok;
    return ok;
}

/* --- Rotary embedding ------------------------------------------------------------------------- */

/* cos or sin as [B, 1, L, half] or [1, 1, L, half]: the rows that positions name, or as given. */
static ScVal table(const ImNode *n, ScVal v, ScVal at)
{
    v = at == SC_ABSENT ? v : im_gather(n, v, 0, at);
    const ScType *t = im_type_of(n, v);
    if (t->kind == SC_TYPE_TENSOR && t->rank != 3)
        sc_fail(n->im->cx, n->loc, SC_E_RANK, "cosines or sines of rank %u", t->rank);
    if (t->kind != SC_TYPE_TENSOR || t->rank != 3)
        return SC_POISON;
    const ScTerm *dim[] = {t->dim[0], sc_term(n->im->cx, 1), t->dim[1], t->dim[2]};
    return im_reshape(n, v, 4, dim);
}

/* v with its last axis as pairs of what is turned together, [.., half, 2]; or as halves. */
static ScVal paired(const ImNode *n, ScVal v, bool pairs, const ScTerm *half, const ScTerm *two)
{
    const ScType *t = im_type_of(n, v);
    const ScTerm *dim[] = {t->dim[0], t->dim[1], t->dim[2], pairs ? half : two, pairs ? two : half};
    return im_reshape(n, v, 5, dim);
}

/* What is turned together, exchanged; the first of it with the other sign. */
static ScVal exchanged(const ImNode *n, ScVal v, bool pairs)
{
    static const int64_t dims[] = {2, 1};
    static const float sign[] = {-1, 1};
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    const ScTerm *from = sc_term(cx, -1), *to = sc_term(cx, INT64_MIN + 1);
    const int64_t axis = pairs ? 4 : 3, step = -1;
    ScVal back = sc_op_at(
        b, slice,
        SC_ATTRS(SC_TERMS(1, &from), SC_TERMS(1, &to), SC_INTS(1, &axis), SC_INTS(1, &step)), v);
    uint32_t rank = pairs ? 1 : 2;
    const ScBlob *signs = sc_blob(cx, NULL, SCRT_F32, rank, dims, sign);
    return sc_op(b, mul, back,
                 sc_const_shaped(b, signs, im_type_of(n, v)->dtype, rank, dims, NULL));
}

ScVal im_rotated(const ImNode *n, const ImRotary *r)
{
    static const int64_t heads_last[] = {0, 2, 1, 3};
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    const ScType *t = sc_built(b, r->x)->type;
    if (t->kind == SC_TYPE_TENSOR && t->rank != 4 && (t->rank != 3 || r->heads < 1))
        sc_fail(cx, n->loc, SC_E_RANK, "x has rank %u, \"num_heads\" is %lld", t->rank,
                (long long)r->heads);
    if (t->kind != SC_TYPE_TENSOR || (t->rank != 4 && (t->rank != 3 || r->heads < 1)))
        return SC_POISON;
    ScVal x = apart(n, r->x, r->heads), cosine = table(n, r->cosine, r->at),
          sine = table(n, r->sine, r->at);
    if (x == SC_POISON || cosine == SC_POISON || sine == SC_POISON)
        return SC_POISON;
    const ScType *at = sc_built(b, x)->type;
    const ScTerm *width = r->width ? r->width : at->dim[3], *two = sc_term(cx, 2);
    const ScTerm *half = sc_term_fdiv(cx, width, two), *one = sc_term(cx, 1);
    const ScTerm *turned_dim[] = {at->dim[0], at->dim[1], at->dim[2], width};
    const bool partly = width != at->dim[3];
    ScVal whole = partly ? im_slice(n, x, 3, sc_term(cx, 0), width) : x;
    ScVal u = paired(n, whole, r->pairs, half, two), v = exchanged(n, u, r->pairs);
    cosine = paired(n, cosine, r->pairs, im_type_of(n, cosine)->dim[3], one);
    sine = paired(n, sine, r->pairs, im_type_of(n, sine)->dim[3], one);
    ScVal y = sc_op(b, add, sc_op(b, mul, cosine, u), sc_op(b, mul, sine, v));
    y = im_reshape(n, y, 4, turned_dim);
    if (partly)
        y = im_concat(n, 3, 2, (ScVal[]){y, im_slice(n, x, 3, width, NULL)});
    return t->rank == 3 ? im_reshape(n, im_transpose(n, y, 4, heads_last), 3, t->dim) : y;
}

/* x turned as the attributes say. */
static bool rotated(const ImNode *n, int64_t heads, ScVal cosine, ScVal sine, ScVal at,
                    ScVal *ret_out)
{
    bool ok = true;
    ImRotary r = {.x = im_in(n, 0), .cosine = cosine, .sine = sine, .at = at, .heads = heads};
    r.pairs = im_int(n, "interleaved", 0, &ok) != 0;
    int64_t width = im_int(n, "rotary_embedding_dim", 0, &ok);
    r.width = width ? sc_term(n->im->cx, width) : NULL;
    return ok && im_answer(im_rotated(n, &r), ret_out);
}

static bool rotary(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    int64_t heads = im_int(n, "num_heads", 0, &ok);
    return ok && im_arity(n, 3, 4) &&
           IM_ONLY(n, "interleaved", "num_heads", "rotary_embedding_dim") &&
           rotated(n, heads, im_in(n, 1), im_in(n, 2), im_in(n, 3), ret_out);
}

/* com.microsoft: positions come second; one number is that of the first query. Without a number of
 * heads a head is as wide as the tables say. */
static bool rotary_at(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    int64_t heads = im_int(n, "num_heads", 0, &ok), half, width;
    double scale = im_float(n, "scale", 1, &ok);
    int64_t packed = im_int(n, "is_packed_batching", 0, &ok);
    if (!ok || !im_arity(n, 4, 4) ||
        !IM_ONLY(n, "interleaved", "num_heads", "rotary_embedding_dim", "scale",
                 "is_packed_batching"))
        return false;
    const ScType *x = im_type(n, 0), *table = im_type(n, 2);
    if (packed || scale != 1 || (x->rank != 3 && x->rank != 4) || table->rank != 2)
        return sc_fail(b->cx, n->loc, SC_E_UNSUPPORTED, "RotaryEmbedding, packed or scaled");
    if (x->rank == 3 && heads == 0 && sc_term_const(table->dim[1], &half) && half > 0 &&
        sc_term_const(x->dim[2], &width))
        heads = width / (2 * half);
    ScVal at = im_in(n, 1);
    const ScTerm *dim[] = {x->dim[0], x->dim[x->rank - 2]};
    if (im_type(n, 1)->rank < 2) {
        at = sc_op(b, add, im_iota(n, dim[1], 0), im_reshape(n, at, 0, NULL));
        at = im_expand(n, at, 2, dim);
    }
    return rotated(n, heads, im_in(n, 2), im_in(n, 3), at, ret_out);
}

const ImAdapter im_attention_adapters[] = {
    {"", "Attention", 23, 0, attention, 4},
    {"", "RotaryEmbedding", 23, 0, rotary, 1},
    {"com.microsoft", "RotaryEmbedding", 1, 0, rotary_at, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
