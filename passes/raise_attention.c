/* SPDX-License-Identifier: Apache-2.0 */
/* Attention as PyTorch's exporters, TensorFlow, Hugging Face and JAX write it:
 *
 *     softmax(mask(scale q k^T)) v
 *
 * The scale is a constant times the scores, q, k, or the root of it times both. Masks are added,
 * or chosen by a `where`. Heads may be merged with the batch on the way, and those of k and v
 * repeated for groups of q's, or of extent 1 beside the group's axis: five axes, B, heads of k,
 * group, as `rewrite` writes it. What is stored in FP8 is read so: raise_stored.c has been at q and
 * k, and the scale of v multiplies the result. Names of extents: B batch, H heads, L queries, S
 * keys, E width. */
#include <math.h>
#include <string.h>

#include "passes/match.h"

enum {
    RANK = 4,
    GROUPED = 5,
    DEEP = 12, /* nodes between softmax and product, and views between a repeated head and it */
};

typedef struct Attention {
    ScVal q, k, v;      /* k as the product reads it, its last two axes exchanged */
    ScVal addend, keep; /* or absent */
    double scale, softcap, fill;
    int64_t zeros;
    bool flipped;          /* what is looked at has a row for each key, not for each query */
    const ScTerm *lead[2]; /* B, H; NULL while nobody said */
} Attention;

static const ScTerm *extent(const ScMatch *m, ScVal v, uint32_t from_last)
{
    const ScType *t = match_type(m, v);
    return t->rank > from_last ? t->dim[t->rank - 1 - from_last] : sc_term(m->b.cx, 1);
}

static ScVal swapped(ScMatch *m, ScVal v)
{
    uint32_t rank = match_type(m, v)->rank;
    int64_t perm[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < rank; d++)
        perm[d] = d + 2 < rank ? d : 2 * (int64_t)rank - 3 - d;
    return sc_op_at(&m->b, transpose, SC_ATTRS(SC_INTS(rank, perm)), v);
}

/* --- Views as factors ------------------------------------------------------------------------- */

/* The extents of a value as factors of those of a value below it, in order: dim d has factors
 * begin[d] .. begin[d + 1] - 1. */
typedef struct Factors {
    uint32_t rank, begin[SCRT_MAX_RANK + 1], factor[SCRT_MAX_RANK];
} Factors;

static bool regroup(ScCtx *cx, const ScType *to, const ScType *base, const Factors *f, Factors *ret)
{
    uint32_t at = 0, n = f->begin[f->rank];
    *ret = *f;
    ret->rank = to->rank;
    for (uint32_t d = 0; d < to->rank; d++) {
        const ScTerm *have = sc_term(cx, 1);
        ret->begin[d] = at;
        while (have != to->dim[d] && at < n)
            have = sc_term_mul(cx, have, base->dim[f->factor[at++]]);
        if (have != to->dim[d])
            return false;
    }
    ret->begin[to->rank] = at;
    return at == n;
}

static void permute(const ScNode *n, const Factors *f, Factors *ret)
{
    const ScAttr *perm = sc_attr(n, 0);
    uint32_t at = 0;
    ret->rank = f->rank;
    for (uint32_t d = 0; d < f->rank; d++) {
        uint32_t from = perm->kind == SC_A_NONE ? f->rank - 1 - d : (uint32_t)perm->is[d];
        ret->begin[d] = at;
        for (uint32_t i = f->begin[from]; i < f->begin[from + 1]; i++)
            ret->factor[at++] = f->factor[i];
    }
    ret->begin[f->rank] = at;
}

/* Each extent of base a factor of its own, but those of 1. */
static Factors factors_of(const ScType *base)
{
    Factors f = {.rank = base->rank};
    for (uint32_t d = 0; d < base->rank; d++) {
        uint32_t end = f.begin[d];
        if (!sc_term_is(base->dim[d], 1))
            f.factor[end++] = d;
        f.begin[d + 1] = end;
    }
    return f;
}

/* The factors of chain[0], whose views down to the base are the n of the chain. */
static bool factors_through(ScMatch *m, const ScType *base, uint32_t n, const ScVal *chain,
                            Factors *ret)
{
    Factors next;
    *ret = factors_of(base);
    for (uint32_t i = n; i-- > 0; *ret = next) {
        const ScNode *node = sc_built_def(&m->b, chain[i]);
        if (node->op == &sc_op_transpose)
            permute(node, ret, &next);
        else if (!regroup(m->b.cx, match_type(m, chain[i]), base, ret, &next))
            return false;
    }
    return true;
}

/* --- What lies between softmax and product --------------------------------------------------- */

/* v without constants that it is multiplied or divided by, which go into *c. */
static ScVal without_factors(ScMatch *m, ScVal v, double *c)
{
    ScNode n;
    double x;
    for (uint32_t i = 0; i < DEEP; i++) {
        const ScNode *def = v < SC_FIRST ? NULL : sc_built_def(&m->b, v);
        bool product = def && def->op == &sc_op_mul;
        if (!product && !(def && def->op == &sc_op_div))
            return v;
        bool second = sc_built_splat(&m->b, def->in[1], &x);
        if (!second && !(product && sc_built_splat(&m->b, def->in[0], &x)))
            return v;
        ScVal rest = def->in[!second];
        if (match_type(m, rest) != match_type(m, v))
            return v;
        match_is(m, v, def->op, &n);
        *c *= product ? x : 1 / x;
        v = rest;
    }
    return v;
}

/* The same for an operand of the product, which may be transposed on the way. */
static ScVal without_scale(ScMatch *m, ScVal v, double *c)
{
    ScNode n;
    v = without_factors(m, v, c);
    if (v < SC_FIRST || sc_built_def(&m->b, v)->op != &sc_op_transpose)
        return v;
    n = *sc_built_def(&m->b, v);
    ScVal below = without_factors(m, n.in[0], c);
    return below == n.in[0] ? v : sc_node1(&m->b, n.op, n.attr, 1, &below);
}

/* The extents of `other`, of 3 axes or of 5 with a group, are those of `apart`, of 4, where heads
 * are joined with the batch or with the group. */
static bool same_heads(const ScMatch *m, const ScType *other, const ScType *apart)
{
    uint32_t last = other->rank - 2;
    if (apart->rank != RANK || (other->rank != 3 && other->rank != GROUPED) ||
        memcmp(other->dim + last, apart->dim + 2, 2 * sizeof *apart->dim) != 0)
        return false;
    return other->rank == 3 ||
           (other->dim[0] == apart->dim[0] &&
            sc_term_mul(m->b.cx, other->dim[1], other->dim[2]) == apart->dim[1]);
}

/* A reshape that only splits or joins the axes before the last two: 3 or 5 axes and 4. */
static bool joins_leading(ScMatch *m, ScVal v, Attention *a, ScVal *ret)
{
    ScNode n;
    const ScNode *def = sc_built_def(&m->b, v);
    if (def->op != &sc_op_reshape)
        return false;
    const ScType *t = match_type(m, v), *of = match_type(m, def->in[0]);
    const ScType *apart = t->rank == RANK ? t : of;
    if (!same_heads(m, apart == t ? of : t, apart))
        return false;
    if (a->lead[0] && (a->lead[0] != apart->dim[0] || a->lead[1] != apart->dim[1]))
        return false;
    memcpy(a->lead, apart->dim, sizeof a->lead);
    match_is(m, v, def->op, &n);
    *ret = n.in[0];
    return true;
}

/* Views that exchange the last two axes, and else only split or join those before: how TensorFlow
 * multiplies keys by queries. *ret is what they stand on. */
static bool flips(ScMatch *m, ScVal v, Attention *a, ScVal *ret)
{
    ScVal chain[DEEP], base = v;
    uint32_t n = 0;
    ScNode node;
    Factors f;
    for (; n < DEEP && base >= SC_FIRST; base = sc_built_def(&m->b, base)->in[0]) {
        const ScOp *op = sc_built_def(&m->b, base)->op;
        if (op != &sc_op_reshape && op != &sc_op_transpose)
            break;
        chain[n++] = base;
    }
    const ScType *t = match_type(m, v), *of = match_type(m, base);
    if (n == 0 || n == DEEP || t->rank < 2 || of->rank < 2 || t->rank > RANK || of->rank > RANK ||
        t->dim[t->rank - 1] != of->dim[of->rank - 2] ||
        t->dim[t->rank - 2] != of->dim[of->rank - 1] || !factors_through(m, of, n, chain, &f))
        return false;
    uint32_t row = f.begin[f.rank - 2], column = f.begin[f.rank - 1], end = f.begin[f.rank];
    if (column != row + 1 || end != column + 1 || f.factor[row] != of->rank - 1 ||
        f.factor[column] != of->rank - 2)
        return false;
    for (uint32_t i = 1; i < row; i++)
        if (f.factor[i] < f.factor[i - 1])
            return false;
    const ScType *apart = t->rank == RANK ? t : of->rank == RANK ? of : NULL;
    if (a->lead[0] && apart && (a->lead[0] != apart->dim[0] || a->lead[1] != apart->dim[1]))
        return false;
    if (apart)
        memcpy(a->lead, apart->dim, sizeof a->lead);
    for (uint32_t i = 0; i < n; i++)
        match_is(m, chain[i], sc_built_def(&m->b, chain[i])->op, &node);
    a->flipped = !a->flipped;
    *ret = base;
    return true;
}

/* A mask beside scores of that rank, as one beside scores with four axes; SC_POISON where there is
 * no saying it. */
static ScVal mask_of(ScMatch *m, const Attention *a, uint32_t rank, ScVal mask)
{
    const ScType *t = match_type(m, mask);
    if (t->kind != SC_TYPE_TENSOR || t->rank > rank)
        return SC_POISON;
    if (rank == RANK || t->rank < 3)
        return mask;
    if (rank > RANK)
        return SC_POISON;
    const ScTerm *one = sc_term(m->b.cx, 1), *apart[] = {t->dim[0], one, t->dim[1], t->dim[2]};
    if (a->lead[0] && !sc_term_is(t->dim[0], 1)) {
        if (sc_term_mul(m->b.cx, a->lead[0], a->lead[1]) != t->dim[0])
            return SC_POISON;
        memcpy(apart, a->lead, sizeof a->lead);
    }
    return sc_reshaped(&m->b, mask, RANK, apart);
}

static bool scores(ScMatch *m, ScVal v, Attention *a, uint32_t depth);

static bool add_mask(ScMatch *m, ScVal mask, ScVal beside, Attention *a)
{
    ScVal x = mask_of(m, a, match_type(m, beside)->rank, mask);
    if (x == SC_POISON || !sc_type_is_float(match_type(m, x)))
        return false;
    a->addend = a->addend == SC_ABSENT ? x : sc_op(&m->b, add, a->addend, x);
    return a->addend != SC_POISON;
}

/* scores + mask, in either order. */
static bool added(ScMatch *m, ScVal v, Attention *a, uint32_t depth)
{
    ScNode n;
    if (a->flipped || !match_is(m, v, &sc_op_add, &n))
        return false;
    const ScLoc *at = m->b.at;
    for (uint32_t i = 0; i < 2; i++) {
        Attention one = *a;
        m->b.at = at;
        if (match_type(m, n.in[i])->rank == match_type(m, v)->rank &&
            scores(m, n.in[i], &one, depth + 1) && add_mask(m, n.in[1 - i], n.in[i], &one)) {
            *a = one;
            return true;
        }
    }
    return false;
}

/* where(keep, scores, fill), or where(hide, fill, scores). What is added below stays what it was
 * only where the fill is -inf. */
static bool chosen(ScMatch *m, ScVal v, Attention *a, uint32_t depth)
{
    ScNode n;
    double fill;
    if (a->flipped || a->keep != SC_ABSENT || !match_is(m, v, &sc_op_where, &n))
        return false;
    bool kept = sc_built_splat(&m->b, n.in[2], &fill);
    if ((!kept && !sc_built_splat(&m->b, n.in[1], &fill)) || isnan(fill))
        return false;
    ScVal rest = n.in[kept ? 1 : 2], mask = n.in[0];
    if (match_type(m, rest)->rank != match_type(m, v)->rank || !scores(m, rest, a, depth + 1) ||
        a->keep != SC_ABSENT || (a->addend != SC_ABSENT && isfinite(fill)))
        return false;
    mask = mask_of(m, a, match_type(m, rest)->rank, mask);
    a->keep = kept || mask == SC_POISON ? mask : sc_op(&m->b, not, mask);
    a->fill = fill;
    return a->keep != SC_POISON;
}

/* The product itself: q and k, with constants that they are multiplied by. */
static bool product(ScMatch *m, ScVal v, Attention *a)
{
    ScNode n;
    if (!match_is(m, v, &sc_op_matmul, &n) || match_type(m, v)->rank < 2 ||
        match_type(m, n.in[0])->rank != match_type(m, v)->rank ||
        match_type(m, n.in[1])->rank != match_type(m, v)->rank)
        return false;
    if (sc_built_blob(&m->b, n.in[!a->flipped])) /* packed weights are faster */
        return false;
    a->q = without_scale(m, n.in[0], &a->scale);
    a->k = without_scale(m, n.in[1], &a->scale);
    if (a->flipped) {
        ScVal queries = a->k;
        a->k = swapped(m, a->q);
        a->q = swapped(m, queries);
    }
    return n.n_in < 3 || n.in[2] == SC_ABSENT || (!a->flipped && add_mask(m, n.in[2], v, a));
}

/* Reads v down to the product. a is filled from the product on, so that what stands above is added
 * to what stands below. */
static bool scores(ScMatch *m, ScVal v, Attention *a, uint32_t depth)
{
    ScNode n;
    ScVal below;
    double c = 1;
    if (depth > DEEP || v < SC_FIRST || !sc_type_is_float(match_type(m, v)))
        return false;
    const ScOp *op = sc_built_def(&m->b, v)->op;
    if (op == &sc_op_add)
        return added(m, v, a, depth);
    if (op == &sc_op_where)
        return chosen(m, v, a, depth);
    if (op == &sc_op_cast && sc_type_is_float(match_type(m, sc_built_def(&m->b, v)->in[0])))
        return match_is(m, v, op, &n) && scores(m, n.in[0], a, depth + 1);
    if (joins_leading(m, v, a, &below) || flips(m, v, a, &below))
        return scores(m, below, a, depth + 1);
    if (op == &sc_op_matmul)
        return product(m, v, a);
    below = without_factors(m, v, &c);
    if (below == v)
        return false;
    /* softcap tanh(s / softcap), before masks and after the scale */
    if (a->softcap == 0 && c > 0 && match_is(m, below, &sc_op_tanh, &n)) {
        a->softcap = c;
        below = n.in[0];
    }
    if (!scores(m, below, a, depth + 1) || a->addend != SC_ABSENT || a->keep != SC_ABSENT)
        return false;
    a->scale *= c;
    return true;
}

/* The weights: a softmax along the last axis, perhaps rounded, perhaps 0 where they are NaN. */
static bool weights(ScMatch *m, ScVal v, Attention *a)
{
    ScNode n, test;
    ScVal below;
    for (uint32_t i = 0; i < DEEP; i++) {
        const ScOp *op = v < SC_FIRST ? NULL : sc_built_def(&m->b, v)->op;
        if (op == &sc_op_softmax)
            break;
        if (op == &sc_op_cast && sc_type_is_float(match_type(m, sc_built_def(&m->b, v)->in[0]))) {
            match_is(m, v, op, &n);
            v = n.in[0];
        } else if (op == &sc_op_where && match_is(m, v, op, &n) && match_about(m, n.in[1], 0) &&
                   match_is(m, n.in[0], &sc_op_isnan, &test) && test.in[0] == n.in[2]) {
            v = n.in[2];
            a->zeros = 2;
        } else if (op && (joins_leading(m, v, a, &below) || flips(m, v, a, &below))) {
            v = below;
        } else {
            return false;
        }
    }
    if (!match_is(m, v, &sc_op_softmax, &n) || !match_about(m, n.in[1], 1))
        return false;
    int64_t axis = sc_attr(&n, 0)->i, rank = match_type(m, v)->rank;
    axis = axis < 0 ? axis + rank : axis;
    return axis == rank - 1 - a->flipped && scores(m, n.in[0], a, 0);
}

/* --- Heads that are repeated ------------------------------------------------------------------ */

/* The expand below v, through transposes and reshapes, whose nodes are collected from v down; or
 * SC_POISON. */
static ScVal expanded(ScMatch *m, ScVal v, ScVal *chain, uint32_t *ret_n)
{
    for (*ret_n = 0; *ret_n < DEEP && v >= SC_FIRST; v = sc_built_def(&m->b, v)->in[0]) {
        const ScOp *op = sc_built_def(&m->b, v)->op;
        if (op == &sc_op_expand)
            return v;
        if (op != &sc_op_reshape && op != &sc_op_transpose)
            return SC_POISON;
        chain[(*ret_n)++] = v;
    }
    return SC_POISON;
}

/* v [B, H, S, E] without the repetition of its heads, [B, Hkv, S, E]; v where there is none. */
static ScVal shared(ScMatch *m, ScVal v)
{
    ScCtx *cx = m->b.cx;
    ScVal chain[DEEP];
    uint32_t n, repeated = UINT32_MAX;
    ScVal at = expanded(m, v, chain, &n);
    if (at == SC_POISON)
        return v;
    ScVal source = sc_built_def(&m->b, at)->in[0];
    const ScType *base = match_type(m, at), *from = match_type(m, source);
    Factors f;
    if (from->rank != base->rank)
        return v;
    for (uint32_t d = 0; d < base->rank; d++) {
        if (from->dim[d] == base->dim[d])
            continue;
        if (repeated != UINT32_MAX || !sc_term_is(from->dim[d], 1))
            return v;
        repeated = d;
    }
    if (!factors_through(m, base, n, chain, &f))
        return v;
    /* The head's factors: those of k and v, then the repetition. */
    uint32_t last = f.rank == RANK ? f.begin[2] : 0;
    if (repeated == UINT32_MAX || last == f.begin[1] || f.factor[last - 1] != repeated)
        return v;
    /* The source's axes in v's order, and v's extents without the repetition. */
    int64_t perm[SCRT_MAX_RANK];
    uint32_t n_perm = 0;
    const ScTerm *dim[RANK];
    for (uint32_t d = 0; d < RANK; d++) {
        dim[d] = sc_term(cx, 1);
        for (uint32_t i = f.begin[d]; i < f.begin[d + 1]; i++) {
            if (f.factor[i] == repeated)
                continue;
            perm[n_perm++] = f.factor[i];
            dim[d] = sc_term_mul(cx, dim[d], base->dim[f.factor[i]]);
        }
    }
    for (uint32_t d = 0; d < from->rank; d++)
        if (sc_term_is(from->dim[d], 1)) /* one element: anywhere */
            perm[n_perm++] = d;
    ScVal x = sc_op_at(&m->b, transpose, SC_ATTRS(SC_INTS(from->rank, perm)), source);
    return sc_reshaped(&m->b, x, RANK, dim);
}

/* --- The idiom -------------------------------------------------------------------------------- */

/* The heads of t, of a group's axis too. */
static const ScTerm *heads(const ScMatch *m, const ScType *t)
{
    return t->rank == GROUPED ? sc_term_mul(m->b.cx, t->dim[1], t->dim[2]) : t->dim[1];
}

/* x with four axes: B, H (its own where there are groups) and its own last two. */
static ScVal four(ScMatch *m, const Attention *a, ScVal x)
{
    const ScType *t = match_type(m, x);
    const ScTerm *h = t->rank == GROUPED ? heads(m, t) : a->lead[1];
    const ScTerm *dim[] = {a->lead[0], h, extent(m, x, 1), extent(m, x, 0)};
    return sc_reshaped(&m->b, x, RANK, dim);
}

/* q, k, v and the result have one type, or f32 and what is stored low beside it. */
static bool types_agree(const ScMatch *m, const Attention *a, const ScType *to)
{
    const ScVal in[] = {a->q, a->k, a->v};
    bool alike = true, f32_or_low = to->dtype == SCRT_F32;
    for (uint32_t i = 0; i < 3; i++) {
        ScrtDtype t = match_type(m, in[i])->dtype;
        alike = alike && t == to->dtype;
        f32_or_low = f32_or_low && (t == SCRT_F32 || sc_is_fp8(t));
    }
    return alike || f32_or_low;
}

static ScVal build(ScMatch *m, Attention *a)
{
    ScCtx *cx = m->b.cx;
    const ScType *q = match_type(m, a->q), *to = sc_type_of(m->g, m->n->first);
    const ScTerm *one = sc_term(cx, 1);
    if (!a->lead[0]) {
        a->lead[0] = q->rank < 3 ? one : q->dim[0];
        a->lead[1] = q->rank < RANK ? one : heads(m, q);
    }
    if (!types_agree(m, a, to) || extent(m, a->k, 0) != extent(m, a->v, 1) || !isfinite(a->scale))
        return SC_POISON;
    ScrtDtype wide = q->dtype == SCRT_F64 ? SCRT_F64 : SCRT_F32;
    ScVal keys = swapped(m, four(m, a, a->k)), values = four(m, a, a->v);
    ScVal k = shared(m, keys), v = shared(m, values);
    if (extent(m, k, 2) != extent(m, v, 2)) /* one of them was repeated in another way */
        k = keys, v = values;
    if (extent(m, k, 2) != extent(m, v, 2))
        return SC_POISON;
    ScVal scale = sc_const_scalar(&m->b, wide, wide == SCRT_F32 ? (float)a->scale : a->scale);
    const ScTerm *diagonal =
        match_causal(m, extent(m, a->q, 1), extent(m, a->v, 1), a->fill, &a->addend, &a->keep);
    ScVal in[] = {four(m, a, a->q), k, v, scale, a->addend, a->keep};
    ScAttr *attr = SC_ATTRS({.kind = SC_A_NONE}, SC_FLOAT(a->softcap), SC_INT(a->zeros),
                            SC_FLOAT(a->keep == SC_ABSENT ? -INFINITY : a->fill));
    if (diagonal)
        attr[0] = SC_TERMS(1, &diagonal);
    ScVal y = sc_node1(&m->b, &sc_op_attention, attr, 6, in);
    return y == SC_POISON ? y : sc_reshaped(&m->b, y, to->rank, to->dim);
}

/* The axes of a before the last two are those of b, which may have one head for each group. */
static bool same_leading(const ScMatch *m, ScVal a, ScVal b)
{
    const ScType *x = match_type(m, a), *y = match_type(m, b);
    if (x->rank != y->rank || x->rank < 2 || x->rank > GROUPED)
        return false;
    uint32_t alike = x->rank - 2;
    if (x->rank == GROUPED && sc_term_is(y->dim[2], 1))
        alike = 2;
    return memcmp(x->dim, y->dim, alike * sizeof *x->dim) == 0;
}

static ScVal attention(ScMatch *m)
{
    Attention a = {.v = m->in[1], .addend = SC_ABSENT, .keep = SC_ABSENT, .fill = -INFINITY};
    a.scale = 1;
    double by = 1;
    match_begin(m);
    if (m->in[0] < SC_FIRST || a.v < SC_FIRST || m->n->n_in > 2 || !match_used_once(m, 0) ||
        !weights(m, m->in[0], &a))
        return SC_POISON;
    match_stored(m, a.v, &a.v, &by);
    if (sc_built_blob(&m->b, a.v) || !same_leading(m, a.q, a.k) || !same_leading(m, m->in[0], a.v))
        return SC_POISON;
    ScVal y = build(m, &a);
    return y == SC_POISON || by == 1 ? y
                                     : sc_op(&m->b, mul, y, sc_const_scalar(&m->b, SCRT_F32, by));
}

const ScIdiom sc_idioms_attention[] = {
    {"attention", &sc_op_matmul, attention},
    {NULL, NULL, NULL},
};
