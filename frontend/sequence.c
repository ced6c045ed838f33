/* SPDX-License-Identifier: Apache-2.0 */
/* Handles of sequences, and their elements as one value. */
#include "frontend/sequence.h"

/* Elements of several sequences, each of which begins with those of the one before. */
struct ImRoom {
    uint32_t n, cap;
    ScVal elem[];
};

static ScVal keep(Import *im, ImSeq s)
{
    ImSeq *kept = sc_memdup(sc_ctx_arena(im->cx), &s, sizeof s);
    sc_buf_push(im->seq, im->n_seq, im->cap_seq, kept);
    return IM_SEQ_FIRST + im->n_seq - 1;
}

static ScVal add(Import *im, ImSeq s, const ScVal *elem)
{
    s.elem = sc_memdup(sc_ctx_arena(im->cx), elem, s.n * sizeof *elem);
    return keep(im, s);
}

ScVal im_seq_appended(Import *im, const ImSeq *s, ScVal x)
{
    ImSeq longer = *s;
    if (!s->room || s->room->n != s->n || s->room->n == s->room->cap) {
        uint32_t cap = 2 * s->n + 8;
        longer.room = sc_alloc(sc_ctx_arena(im->cx), sizeof *longer.room + cap * sizeof(ScVal));
        longer.room->n = s->n;
        longer.room->cap = cap;
        for (uint32_t i = 0; i < s->n; i++)
            longer.room->elem[i] = s->elem[i];
        longer.elem = longer.room->elem;
    }
    longer.room->elem[longer.room->n++] = x;
    longer.n++;
    return keep(im, longer);
}

ImSeq im_seq(const ImNode *n, ScVal v)
{
    return *n->im->seq[v - IM_SEQ_FIRST];
}

ScVal im_seq_list(Import *im, uint32_t n, const ScVal *elem)
{
    return add(im, (ImSeq){.kind = IM_LIST, .n = n}, elem);
}

ScVal im_seq_stack(Import *im, ScVal stack)
{
    return stack == SC_POISON ? stack : add(im, (ImSeq){.kind = IM_STACK, .stack = stack}, NULL);
}

ScVal im_seq_pieces(Import *im, ScVal x, uint32_t axis, const ScTerm *each)
{
    const ImSeq s = {.kind = IM_PIECES, .stack = x, .axis = axis, .each = each};
    return x == SC_POISON ? x : add(im, s, NULL);
}

ScVal im_seq_grows(Import *im, ImGrowth *of, uint32_t n, const ScVal *elem)
{
    return add(im, (ImSeq){.kind = IM_GROWS, .of = of, .n = n}, elem);
}

/* --- All elements as one value --------------------------------------------------------------- */

/* No elements of this type. */
static ScVal nothing(const ImNode *n, const ScType *elem)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *dim[SCRT_MAX_RANK];
    int64_t none[SCRT_MAX_RANK] = {0};
    if (!elem || elem->rank == SCRT_MAX_RANK) {
        sc_fail(cx, n->loc, SC_E_UNSUPPORTED,
                "a sequence without elements, whose shape nothing tells");
        return SC_POISON;
    }
    for (uint32_t d = 0; d < elem->rank; d++) {
        dim[1 + d] = elem->dim[d];
        none[1 + d] = 1;
    }
    dim[0] = sc_term(cx, 0);
    const ScBlob *blob = sc_blob(cx, NULL, elem->dtype, elem->rank + 1, none, "");
    return im_expand(n, sc_const(&n->im->b, blob, elem->dtype, NULL), elem->rank + 1, dim);
}

/* Pieces, none of which is shorter than the others. */
static ScVal stacked_pieces(const ImNode *n, const ImSeq *s)
{
    ScCtx *cx = n->im->cx;
    const ScType *t = im_type_of(n, s->stack);
    const ScTerm *dim[SCRT_MAX_RANK + 1], *total = t->dim[s->axis];
    if (t->rank == SCRT_MAX_RANK) {
        sc_fail(cx, n->loc, SC_E_LIMIT, "pieces of rank %u", t->rank);
        return SC_POISON;
    }
    if (!im_require(n, SC_GUARD_DIVIDES, s->each, total, "pieces of one shape"))
        return SC_POISON;
    for (uint32_t d = 0; d <= t->rank; d++)
        dim[d] = t->dim[d - (d > s->axis)];
    dim[s->axis] = sc_term_fdiv(cx, total, s->each);
    dim[s->axis + 1] = s->each;
    return im_moved(n, im_reshape(n, s->stack, t->rank + 1, dim), s->axis, 0);
}

ScVal im_seq_stacked(const ImNode *n, ScVal seq, const ScType *elem)
{
    ScBuild *b = &n->im->b;
    const ImSeq s = im_seq(n, seq);
    const int64_t first = 0;
    if (s.kind == IM_STACK)
        return s.stack;
    if (s.kind == IM_PIECES)
        return stacked_pieces(n, &s);
    if (s.kind == IM_GROWS) {
        s.of->read = true;
        sc_fail(n->im->cx, n->loc, SC_E_UNSUPPORTED,
                "a sequence that a loop carries, of which nothing tells the elements' shape");
        return SC_POISON;
    }
    if (!s.n)
        return nothing(n, elem);
    ScVal *part = sc_array(sc_ctx_arena(n->im->cx), ScVal, s.n);
    const ScType *t = sc_built(b, s.elem[0])->type;
    for (uint32_t i = 0; i < s.n; i++) {
        const ScType *is = sc_built(b, s.elem[i])->type;
        bool alike = is->kind == SC_TYPE_TENSOR && is->dtype == t->dtype && is->rank == t->rank;
        for (uint32_t d = 0; alike && d < t->rank; d++)
            alike = sc_guard_decide(b->cx, SC_GUARD_EQUAL, t->dim[d], is->dim[d]) != SC_NEVER;
        if (!alike) {
            sc_fail(b->cx, n->loc, SC_E_UNSUPPORTED,
                    "a sequence whose elements are of unlike shapes, where they must lie side by "
                    "side");
            return SC_POISON;
        }
        part[i] =
            im_build(n, &sc_op_unsqueeze, IM_SET({"axes", SC_INTS(1, &first)}), IM_IN(s.elem[i]));
    }
    return im_concat(n, 0, s.n, part);
}

/* --- One of several --------------------------------------------------------------------------- */

bool im_alike(const ImNode *n, uint32_t k, const ScVal *v)
{
    bool alike = true;
    for (uint32_t i = 1; i < k && alike; i++)
        alike = im_type_of(n, v[i]) == im_type_of(n, v[0]);
    return alike;
}

/* Of one element type and rank; *ret_fixed: bit d: extent d is the same of all. */
static bool are_comparable(const ImNode *n, uint32_t k, const ScVal *v, const ScTerm *pick,
                           uint32_t *ret_fixed)
{
    const ScType *t = im_type_of(n, v[0]);
    *ret_fixed = UINT32_MAX;
    for (uint32_t i = 0; i < k; i++) {
        const ScType *is = im_type_of(n, v[i]);
        if (is->kind != SC_TYPE_TENSOR || t->kind != SC_TYPE_TENSOR)
            return false;
        if (is->dtype != t->dtype)
            return sc_fail(n->im->cx, n->loc, SC_E_TYPE, "elements of a sequence, %s and %s",
                           scrt_dtype_name(t->dtype), scrt_dtype_name(is->dtype));
        if (is->rank != t->rank)
            return im_undecided(
                n, "elements of unlike ranks in a sequence, whose position only the run knows",
                pick);
        for (uint32_t d = 0; d < t->rank; d++)
            if (is->dim[d] != t->dim[d])
                *ret_fixed &= ~(1u << d);
    }
    return true;
}

/* Row `at` of numbers of extents, k rows of m, as terms that are known not to be negative. */
static const ScTerm *const *picked(const ImNode *n, uint32_t k, uint32_t m, ScVal numbers, ScVal at)
{
    const ScTerm *dim[] = {sc_term(n->im->cx, k), sc_term(n->im->cx, m)};
    ScVal row = im_gather(n, im_reshape(n, numbers, 2, dim), 0, at);
    row = row == SC_POISON ? row : im_bind(n, im_cast(n, row, SCRT_U64));
    return row == SC_POISON ? NULL : sc_built(&n->im->b, row)->content;
}

/* The elements of all lie one after the other: the ones that are meant begin where those of the
 * values before them end. */
ScVal im_chosen(const ImNode *n, uint32_t k, const ScVal *v, const ScTerm *pick)
{
    ScCtx *cx = n->im->cx;
    ScArena *a = sc_ctx_arena(cx);
    int64_t c;
    uint32_t fixed, m = 0;
    if (sc_term_const(pick, &c))
        return v[c];
    if (!are_comparable(n, k, v, pick, &fixed))
        return SC_POISON;
    ScVal at = im_number(n, pick);
    if (im_alike(n, k, v))
        return im_gather(n, im_seq_stacked(n, im_seq_list(n->im, k, v), NULL), 0, at);
    const ScType *t = im_type_of(n, v[0]);
    const ScTerm *dim[SCRT_MAX_RANK], *one = sc_term(cx, 1);
    ScVal *flat = sc_array(a, ScVal, k), *size = sc_array(a, ScVal, k);
    ScVal *extent = sc_array(a, ScVal, (size_t)k * t->rank);
    for (uint32_t i = 0; i < k; i++) {
        const ScType *is = im_type_of(n, v[i]);
        const ScTerm *count = sc_type_count(cx, is);
        flat[i] = im_reshape(n, v[i], 1, &count);
        size[i] = im_reshape(n, im_number(n, count), 1, &one);
        for (uint32_t d = 0; d < t->rank; d++)
            if (!(fixed >> d & 1))
                extent[m++] = im_reshape(n, im_number(n, is->dim[d]), 1, &one);
    }
    ScVal begin = im_build(n, &sc_op_cumsum, IM_SET({"axis", SC_INT(0)}, {"exclusive", SC_INT(1)}),
                           IM_IN(im_concat(n, 0, k, size)));
    const ScTerm *const *from = picked(n, k, 1, begin, at);
    const ScTerm *const *is = picked(n, k, m / k, im_concat(n, 0, m, extent), at);
    const ScTerm *count = one;
    if (!from || !is)
        return SC_POISON;
    for (uint32_t d = 0; d < t->rank; d++) {
        dim[d] = fixed >> d & 1 ? t->dim[d] : *is++;
        count = sc_term_mul(cx, count, dim[d]);
    }
    ScVal piece = im_slice(n, im_concat(n, 0, k, flat), 0, *from, sc_term_add(cx, *from, count));
    return im_reshape(n, piece, t->rank, dim);
}

bool im_tensors(const ImNode *n, uint32_t k, const ScVal *v)
{
    for (uint32_t i = 0; i < k; i++)
        if (im_is_seq(v[i]) || v[i] == SC_ABSENT)
            return sc_fail(n->im->cx, n->loc, SC_E_TYPE, "%s where a tensor is needed",
                           im_is_seq(v[i]) ? "a sequence" : "an optional without an element");
    return true;
}
