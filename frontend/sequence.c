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

ScVal im_seq_grows(Import *im, ImGrowth *of, uint32_t n, const ScVal *elem)
{
    return add(im, (ImSeq){.kind = IM_GROWS, .of = of, .n = n}, elem);
}

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

ScVal im_seq_stacked(const ImNode *n, ScVal seq, const ScType *elem)
{
    ScBuild *b = &n->im->b;
    const ImSeq s = im_seq(n, seq);
    const int64_t first = 0;
    if (s.kind == IM_STACK)
        return s.stack;
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
            sc_fail(
                b->cx, n->loc, SC_E_UNSUPPORTED,
                "only the run knows which element of the sequence is meant, and they are of unlike "
                "shapes");
            return SC_POISON;
        }
        part[i] =
            im_build(n, &sc_op_unsqueeze, IM_SET({"axes", SC_INTS(1, &first)}), IM_IN(s.elem[i]));
    }
    return im_concat(n, 0, s.n, part);
}

bool im_tensors(const ImNode *n, uint32_t k, const ScVal *v)
{
    for (uint32_t i = 0; i < k; i++)
        if (im_is_seq(v[i]) || v[i] == SC_ABSENT)
            return sc_fail(n->im->cx, n->loc, SC_E_TYPE, "%s where a tensor is needed",
                           im_is_seq(v[i]) ? "a sequence" : "an optional without an element");
    return true;
}
