/* SPDX-License-Identifier: Apache-2.0 */
/* Operators on sequences and optionals: see sequence.h. */
#include "frontend/control_priv.h"
#include "frontend/sequence.h"

#include <string.h>

/* --- Positions ------------------------------------------------------------------------------- */

static ScVal unsqueezed(const ImNode *n, ScVal x)
{
    const int64_t first = 0;
    return im_build(n, &sc_op_unsqueeze, IM_SET({"axes", SC_INTS(1, &first)}), IM_IN(x));
}

/* Nobody can tell while the loop's body is built what it has collected so far. */
static bool refuse_grown(const ImNode *n, const ImSeq *s)
{
    if (s->kind != IM_GROWS)
        return true;
    s->of->read = true;
    return sc_fail(
        n->im->cx, n->loc, SC_E_UNSUPPORTED,
        "%s of a sequence that a loop carries, of which nothing tells the elements' shape",
        n->pb->op_type);
}

static const ScTerm *length_of(const ImNode *n, const ImSeq *s)
{
    if (s->kind == IM_LIST)
        return sc_term(n->im->cx, s->n);
    const ScType *t = im_type_of(n, s->stack);
    if (t->kind != SC_TYPE_TENSOR)
        return NULL;
    return s->kind == IM_PIECES ? sc_term_cdiv(n->im->cx, t->dim[s->axis], s->each) : t->dim[0];
}

/* Operand i, a position from the front or, below 0, from the end, as one from 0 to `last`, which is
 * the length less `less`. */
static const ScTerm *position(const ImNode *n, uint32_t i, const ScTerm *length, int64_t less)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *at = im_content1(n, i), *last = sc_term_addc(cx, length, -less);
    if (!at || !im_require(n, SC_GUARD_AT_MOST, at, last, "positions in a sequence"))
        return NULL;
    if (sc_term_range(cx, at).lo >= 0)
        return at;
    const ScTerm *front = sc_term_mul(cx, length, sc_term(cx, -1)); /* counted from the end */
    const ScTerm *is_negative =                                     /* 0, or -1 */
        sc_term_min(cx, sc_term_max(cx, at, sc_term(cx, -1)), sc_term(cx, 0));
    return im_require(n, SC_GUARD_AT_MOST, front, at, "positions in a sequence")
               ? sc_term_sub(cx, at, sc_term_mul(cx, length, is_negative))
               : NULL;
}

/* --- Making ---------------------------------------------------------------------------------- */

static bool sequence_empty(const ImNode *n, ScVal *ret_out)
{
    ret_out[0] = im_seq_list(n->im, 0, NULL);
    return im_arity(n, 0, 0) && IM_ONLY(n, "dtype");
}

static bool sequence_construct(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 1, UINT32_MAX) || !IM_ONLY(n) || !im_tensors(n, n->n_in, n->in))
        return false;
    ret_out[0] = im_seq_list(n->im, n->n_in, n->in);
    return true;
}

/* The elements of list s before `from`, then those from `to` on; where that is all of them, with
 * room for one between them. NULL after sc_fail: what a model copies altogether is bounded. */
static ScVal *list_parts(const ImNode *n, const ImSeq *s, uint32_t from, uint32_t to)
{
    n->im->n_listed += s->n;
    if (n->im->n_listed > IM_MAX_LISTED) {
        sc_fail(n->im->cx, n->loc, SC_E_LIMIT, "sequences of more than %u elements altogether",
                IM_MAX_LISTED);
        return NULL;
    }
    ScVal *elem = sc_array(sc_ctx_arena(n->im->cx), ScVal, s->n + 1u);
    const uint32_t gap = to == from;
    memcpy(elem, s->elem, from * sizeof *elem);
    memcpy(elem + from + gap, s->elem + to, (s->n - to) * sizeof *elem);
    return elem;
}

static bool insert_stacked(const ImNode *n, ScVal seq, ScVal x, const ScTerm *at, ScVal *ret_out)
{
    ScVal all = im_seq_stacked(n, seq, im_type_of(n, x));
    ScVal parts[] = {all, unsqueezed(n, x), SC_POISON};
    if (all == SC_POISON || !at) {
        ret_out[0] = im_seq_stack(n->im, im_concat(n, 0, 2, parts));
        return ret_out[0] != SC_POISON;
    }
    parts[0] = im_slice(n, all, 0, sc_term(n->im->cx, 0), at);
    parts[2] = im_slice(n, all, 0, at, NULL);
    ret_out[0] = im_seq_stack(n->im, im_concat(n, 0, 3, parts));
    return ret_out[0] != SC_POISON;
}

/* List s, of which no two may be alike, with x at `at`: each element is the one that was there, x,
 * or the one before. */
static bool insert_somewhere(const ImNode *n, const ImSeq *s, ScVal x, const ScTerm *at,
                             ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    ScVal *elem = list_parts(n, s, 0, 0);
    for (uint32_t i = 0; elem && i <= s->n; i++) {
        const ScVal v[] = {i < s->n ? s->elem[i] : x, x, i > 0 ? s->elem[i - 1] : x};
        const ScTerm *past = sc_term_sub(cx, sc_term(cx, i), at), *one = sc_term(cx, 1);
        past = sc_term_min(cx, sc_term_max(cx, past, sc_term(cx, -1)), one);
        const bool first = i == 0, last = i == s->n; /* -1 or 0; 0 or 1 */
        elem[i] = im_chosen(n, 3 - first - last, v + last, sc_term_addc(cx, past, !last));
        if (elem[i] == SC_POISON)
            return false;
    }
    ret_out[0] = elem ? im_seq_list(n->im, s->n + 1, elem) : SC_POISON;
    return elem != NULL;
}

/* List s without the element at `at`: each is the one that was there, or the next. */
static bool erase_somewhere(const ImNode *n, const ImSeq *s, const ScTerm *at, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    ScVal *elem = list_parts(n, s, 0, 0);
    for (uint32_t i = 0; elem && i + 1 < s->n; i++) {
        const ScTerm *past = sc_term_sub(cx, sc_term(cx, i + 1), at);
        past = sc_term_min(cx, sc_term_max(cx, past, sc_term(cx, 0)), sc_term(cx, 1));
        elem[i] = im_chosen(n, 2, s->elem + i, past);
        if (elem[i] == SC_POISON)
            return false;
    }
    ret_out[0] = elem ? im_seq_list(n->im, s->n - 1, elem) : SC_POISON;
    return elem != NULL;
}

/* The value without its piece at `at`; they stay as long as they were. */
static bool erase_piece(const ImNode *n, const ImSeq *s, const ScTerm *at, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *from = sc_term_mul(cx, at, s->each),
                 *total = im_type_of(n, s->stack)->dim[s->axis];
    const ScTerm *to = sc_term_min(cx, sc_term_add(cx, from, s->each), total);
    const ScVal part[] = {im_slice(n, s->stack, s->axis, sc_term(cx, 0), from),
                          im_slice(n, s->stack, s->axis, to, NULL)};
    ret_out[0] = im_seq_pieces(n->im, im_concat(n, s->axis, 2, part), s->axis, s->each);
    return ret_out[0] != SC_POISON;
}

/* The sequence that operand 0 is; false after sc_fail. */
static bool sequence_of(const ImNode *n, ImSeq *ret)
{
    if (!im_is_seq(im_in(n, 0)))
        return sc_fail(n->im->cx, n->loc, SC_E_TYPE, "operand 0 is no sequence");
    *ret = im_seq(n, im_in(n, 0));
    return true;
}

static bool sequence_insert(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 2, 3) || !IM_ONLY(n) || !im_tensors(n, n->n_in - 1, n->in + 1))
        return false;
    ImSeq s;
    if (!sequence_of(n, &s))
        return false;
    ScVal x = im_in(n, 1);
    int64_t c;
    if (s.kind == IM_GROWS) {
        s.of->elem = s.of->elem ? s.of->elem : im_type(n, 1);
        if (im_has(n, 2))
            return refuse_grown(n, &s);
        ret_out[0] = im_seq_appended(n->im, &s, x);
        return true;
    }
    const ScTerm *length = length_of(n, &s), *at = NULL;
    if (!length || (im_has(n, 2) && !(at = position(n, 2, length, 0))))
        return false;
    if (s.kind == IM_LIST && (!at || sc_term_is(at, s.n))) {
        ret_out[0] = im_seq_appended(n->im, &s, x);
        return true;
    }
    if (s.kind == IM_LIST && sc_term_const(at, &c)) {
        ScVal *elem = list_parts(n, &s, (uint32_t)c, (uint32_t)c);
        if (!elem)
            return false;
        elem[c] = x;
        ret_out[0] = im_seq_list(n->im, s.n + 1, elem);
        return true;
    }
    if (s.kind == IM_LIST &&
        (!im_alike(n, s.n, s.elem) || im_type(n, 1) != im_type_of(n, s.elem[0])))
        return insert_somewhere(n, &s, x, at, ret_out);
    return insert_stacked(n, im_in(n, 0), x, at, ret_out);
}

static bool sequence_erase(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 1, 2) || !IM_ONLY(n) || !im_tensors(n, n->n_in - 1, n->in + 1))
        return false;
    ImSeq s;
    if (!sequence_of(n, &s))
        return false;
    const ScTerm *length = refuse_grown(n, &s) ? length_of(n, &s) : NULL, *at = NULL;
    int64_t c;
    if (!length)
        return false;
    at = im_has(n, 1) ? position(n, 1, length, 1) : sc_term_addc(n->im->cx, length, -1);
    if (!at || (!im_has(n, 1) && !im_require(n, SC_GUARD_AT_MOST, sc_term(n->im->cx, 1), length,
                                             "elements of a sequence")))
        return false;
    if (s.kind == IM_LIST && sc_term_const(at, &c)) {
        const ScVal *elem = list_parts(n, &s, (uint32_t)c, (uint32_t)c + 1);
        if (!elem)
            return false;
        ret_out[0] = im_seq_list(n->im, s.n - 1, elem);
        return true;
    }
    if (s.kind == IM_PIECES)
        return erase_piece(n, &s, at, ret_out);
    if (s.kind == IM_LIST && !im_alike(n, s.n, s.elem))
        return erase_somewhere(n, &s, at, ret_out);
    ScVal all = im_seq_stacked(n, im_in(n, 0), NULL);
    const ScVal part[] = {im_slice(n, all, 0, sc_term(n->im->cx, 0), at),
                          im_slice(n, all, 0, sc_term_addc(n->im->cx, at, 1), NULL)};
    ret_out[0] = im_seq_stack(n->im, im_concat(n, 0, 2, part));
    return ret_out[0] != SC_POISON;
}

/* --- Reading --------------------------------------------------------------------------------- */

/* Element `at` of pieces or of a list: its shape, too, may depend on the position. at: NULL after
 * sc_fail. */
static ScVal element_at(const ImNode *n, const ImSeq *s, const ScTerm *at)
{
    ScCtx *cx = n->im->cx;
    if (!at)
        return SC_POISON;
    if (s->kind == IM_LIST)
        return im_chosen(n, s->n, s->elem, at);
    const ScTerm *from = sc_term_mul(cx, at, s->each);
    return im_slice(n, s->stack, s->axis, from, sc_term_add(cx, from, s->each));
}

static bool sequence_at(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 2, 2) || !IM_ONLY(n) || !im_tensors(n, 1, n->in + 1))
        return false;
    ImSeq s;
    if (!sequence_of(n, &s))
        return false;
    int64_t c;
    if (!refuse_grown(n, &s))
        return false;
    if (s.kind == IM_LIST && im_known_int(n, im_in(n, 1), &c)) {
        if (c < -(int64_t)s.n || c >= (int64_t)s.n)
            return sc_fail(n->im->cx, n->loc, SC_E_AXIS, "position %lld in a sequence of %u",
                           (long long)c, s.n);
        return im_answer(s.elem[c < 0 ? c + s.n : c], ret_out);
    }
    if (s.kind == IM_PIECES || (s.kind == IM_LIST && !im_alike(n, s.n, s.elem)))
        return im_answer(element_at(n, &s, position(n, 1, length_of(n, &s), 1)), ret_out);
    ScVal all = im_seq_stacked(n, im_in(n, 0), NULL);
    if (!im_is_one(n, im_in(n, 1)))
        return sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "the position must be one element");
    return im_answer(im_gather(n, all, 0, im_one(n, im_in(n, 1))), ret_out);
}

static bool sequence_length(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 1, 1) || !IM_ONLY(n))
        return false;
    ImSeq s;
    if (!sequence_of(n, &s))
        return false;
    const ScTerm *length = refuse_grown(n, &s) ? length_of(n, &s) : NULL;
    return length && im_answer(im_number(n, length), ret_out);
}

/* --- One tensor and a sequence ---------------------------------------------------------------- */

static bool concat_from_sequence(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    int64_t given = im_int(n, "axis", 0, &ok);
    const int64_t fresh = im_int(n, "new_axis", 0, &ok);
    uint32_t axis;
    if (!ok || !im_arity(n, 1, 1) || !IM_ONLY(n, "axis", "new_axis"))
        return false;
    ImSeq s;
    if (!sequence_of(n, &s))
        return false;
    if (!refuse_grown(n, &s))
        return false;
    if (s.kind == IM_LIST && !s.n)
        return sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "a sequence without elements");
    if (s.kind == IM_LIST && !fresh) {
        const ScType *t = im_type_of(n, s.elem[0]);
        return im_axis(n, given, t->rank, &axis) &&
               im_answer(im_concat(n, axis, s.n, s.elem), ret_out);
    }
    if (s.kind == IM_PIECES && !fresh) {
        if (!im_axis(n, given, im_type_of(n, s.stack)->rank, &axis))
            return false;
        if (axis == s.axis) /* they lie as they did before they were cut */
            return im_answer(s.stack, ret_out);
    }
    ScVal all = im_seq_stacked(n, im_in(n, 0), NULL);
    const ScType *t = im_type_of(n, all);
    if (t->kind != SC_TYPE_TENSOR || !im_axis(n, given, t->rank - !fresh, &axis))
        return false;
    all = im_moved(n, all, 0, axis);
    if (fresh)
        return im_answer(all, ret_out);
    const ScTerm *dim[SCRT_MAX_RANK];
    for (uint32_t d = 0; d + 1 < t->rank; d++)
        dim[d] = d == axis ? sc_term_mul(n->im->cx, t->dim[0], t->dim[1 + d]) : t->dim[1 + d];
    return im_answer(im_reshape(n, all, t->rank - 1, dim), ret_out);
}

/* Pieces [at[i], at[i + 1]) of x, without the axis where it is to go. */
static bool pieces(const ImNode *n, uint32_t axis, bool keep, uint32_t count,
                   const ScTerm *const *at, ScVal *ret_out)
{
    const int64_t axes = axis;
    ScVal *elem = sc_array(sc_ctx_arena(n->im->cx), ScVal, count + 1u);
    for (uint32_t i = 0; i < count; i++) {
        elem[i] = im_slice(n, im_in(n, 0), axis, at[i], at[i + 1]);
        if (!keep)
            elem[i] =
                im_build(n, &sc_op_squeeze, IM_SET({"axes", SC_INTS(1, &axes)}), IM_IN(elem[i]));
        if (elem[i] == SC_POISON)
            return false;
    }
    ret_out[0] = im_seq_list(n->im, count, elem);
    return true;
}

/* Pieces of `each` elements, the last one of what is left. */
static bool equal_pieces(const ImNode *n, uint32_t axis, bool keep, const ScTerm *each,
                         ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    const ScType *t = im_type(n, 0);
    const ScTerm *total = t->dim[axis];
    int64_t count = 0;
    if (!im_require(n, SC_GUARD_AT_MOST, sc_term(cx, 1), each, "elements of a piece"))
        return false;
    if (sc_term_const(sc_term_cdiv(cx, total, each), &count) && count <= IM_MAX_PORTS) {
        const ScTerm **at = sc_array(sc_ctx_arena(cx), const ScTerm *, (size_t)count + 1);
        for (int64_t i = 0; i <= count; i++)
            at[i] = i < count ? sc_term_mul(cx, sc_term(cx, i), each) : total;
        return pieces(n, axis, keep, (uint32_t)count, at, ret_out);
    }
    ret_out[0] = im_seq_pieces(n->im, im_in(n, 0), axis, each);
    if (keep)
        return true;
    const int64_t gone = axis + 1; /* each is 1 */
    ScVal all = im_seq_stacked(n, ret_out[0], NULL);
    all = im_build(n, &sc_op_squeeze, IM_SET({"axes", SC_INTS(1, &gone)}), IM_IN(all));
    ret_out[0] = im_seq_stack(n->im, all);
    return ret_out[0] != SC_POISON;
}

static bool split_to_sequence(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    int64_t given = im_int(n, "axis", 0, &ok), keep = im_int(n, "keepdims", 1, &ok);
    uint32_t axis = 0, count;
    if (!ok || !im_arity(n, 1, 2) || !IM_ONLY(n, "axis", "keepdims") ||
        !im_axis(n, given, im_type(n, 0)->rank, &axis))
        return false;
    if (!im_has(n, 1))
        return equal_pieces(n, axis, keep, sc_term(cx, 1), ret_out);
    const ScTerm *const *size = im_content(n, 1, &count);
    if (!size)
        return false;
    if (im_type(n, 1)->rank == 0)
        return equal_pieces(n, axis, true, size[0], ret_out);
    const ScTerm **at = sc_array(sc_ctx_arena(cx), const ScTerm *, count + 1u);
    at[0] = sc_term(cx, 0);
    for (uint32_t i = 0; i < count; i++) {
        if (!im_require(n, SC_GUARD_AT_MOST, at[0], size[i], "elements of a piece"))
            return false;
        at[i + 1] = sc_term_add(cx, at[i], size[i]);
    }
    return im_require(n, SC_GUARD_EQUAL, at[count], im_type(n, 0)->dim[axis], "sizes of pieces") &&
           pieces(n, axis, true, count, at, ret_out);
}

/* --- SequenceMap ----------------------------------------------------------------------------- */

/* Turn i of a map over lists. */
static bool map_turn(const ImNode *n, const Onnxpb__Graph *body, uint32_t i, ScVal *in, ScVal *out)
{
    for (uint32_t k = 0; k < n->n_in; k++) {
        in[k] = im_in(n, k);
        if (!im_is_seq(in[k]))
            continue;
        const ImSeq s = im_seq(n, in[k]);
        if (s.n <= i)
            return sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "sequences of %u and of more elements",
                           s.n);
        in[k] = s.elem[i];
    }
    return im_body(n, body, in, n->n_out, out) && im_tensors(n, n->n_out, out);
}

static bool map_lists(const ImNode *n, const Onnxpb__Graph *body, uint32_t count, ScVal *ret_out)
{
    ScArena *a = sc_ctx_arena(n->im->cx);
    ScVal *in = sc_array(a, ScVal, n->n_in), *out = sc_array(a, ScVal, n->n_out);
    ScVal *elem = sc_array(a, ScVal, (size_t)n->n_out * count + 1);
    for (uint32_t i = 0; i < count; i++) {
        if (!map_turn(n, body, i, in, out))
            return false;
        for (uint32_t k = 0; k < n->n_out; k++)
            elem[k * count + i] = out[k];
    }
    for (uint32_t k = 0; k < n->n_out; k++)
        ret_out[k] = im_seq_list(n->im, count, elem + (size_t)k * count);
    return true;
}

/* As a loop over the stacked elements; what is no sequence is the same in each turn. */
static bool map_stacks(const ImNode *n, const Onnxpb__Graph *body, ScVal *ret_out)
{
    ScArena *a = sc_ctx_arena(n->im->cx);
    ScVal *in = sc_array(a, ScVal, n->n_in);
    ImScanForm *in_form = sc_array(a, ImScanForm, n->n_in);
    ImScanForm *out_form = sc_array(a, ImScanForm, body->n_output + 1);
    const ScTerm *length = NULL, *dim[SCRT_MAX_RANK + 1];
    for (uint32_t k = 0; k < n->n_in; k++) {
        in[k] = im_is_seq(im_in(n, k)) ? im_seq_stacked(n, im_in(n, k), NULL) : SC_ABSENT;
        if (in[k] == SC_POISON)
            return false;
        const ScTerm *l = in[k] == SC_ABSENT ? length : im_type_of(n, in[k])->dim[0];
        if (length && !im_require(n, SC_GUARD_EQUAL, length, l, "lengths of sequences"))
            return false;
        length = length ? length : l;
    }
    for (uint32_t k = 0; k < n->n_in; k++) {
        if (in[k] != SC_ABSENT)
            continue;
        const ScType *t = im_type(n, k);
        im_dims(t, dim + 1);
        dim[0] = length;
        in[k] = im_expand(n, im_in(n, k), t->rank + 1, dim);
    }
    ImNode of = *n;
    of.in = in;
    if (!im_scan_loop(&of, body, 0, length, in_form, out_form, ret_out))
        return false;
    for (uint32_t k = 0; k < n->n_out; k++)
        ret_out[k] = im_seq_stack(n->im, ret_out[k]);
    return true;
}

static bool sequence_map(const ImNode *n, ScVal *ret_out)
{
    const Onnxpb__Graph *body = im_graph_attr(n, "body");
    if (!body || !IM_ONLY(n, "body") || !im_arity(n, 1, UINT32_MAX))
        return false;
    if (body->n_input != n->n_in || body->n_output < n->n_out || body->n_output > IM_MAX_PORTS)
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "a body of %zu inputs and %zu outputs",
                       body->n_input, body->n_output);
    bool lists = true;
    for (uint32_t k = 0; k < n->n_in; k++) {
        if (!im_is_seq(im_in(n, k)))
            continue;
        const ImSeq s = im_seq(n, im_in(n, k));
        lists = lists && s.kind == IM_LIST;
        if (!refuse_grown(n, &s))
            return false;
    }
    ImSeq s;
    if (!sequence_of(n, &s))
        return false;
    return lists ? map_lists(n, body, s.n, ret_out) : map_stacks(n, body, ret_out);
}

/* --- Optionals ------------------------------------------------------------------------------- */

static bool optional(const ImNode *n, ScVal *ret_out)
{
    ret_out[0] = im_in(n, 0);
    return im_arity(n, 0, 1) && IM_ONLY(n, "type");
}

static bool has_element(const ImNode *n, ScVal *ret_out)
{
    return im_arity(n, 0, 1) && IM_ONLY(n) &&
           im_answer(im_scalar(n, SCRT_BOOL, im_has(n, 0)), ret_out);
}

static bool get_element(const ImNode *n, ScVal *ret_out)
{
    ret_out[0] = im_in(n, 0);
    if (!im_has(n, 0))
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "an optional without an element");
    return im_arity(n, 1, 1) && IM_ONLY(n);
}

static bool identity(const ImNode *n, ScVal *ret_out)
{
    ScVal x = im_in(n, 0);
    if (n->n_in > 1 || !IM_ONLY(n))
        return n->n_in <= 1 || im_arity(n, 1, 1);
    ret_out[0] = im_is_seq(x) || (x == SC_ABSENT && n->pb->n_input)
                     ? x
                     : sc_node1(&n->im->b, &sc_op_identity, NULL, n->n_in, n->in);
    return ret_out[0] != SC_POISON;
}

const ImAdapter im_sequence_adapters[] = {
    {"", "SequenceEmpty", 11, 0, sequence_empty, 1, 0},
    {"", "SequenceConstruct", 11, 0, sequence_construct, 1, 0},
    {"", "SequenceInsert", 11, 0, sequence_insert, 1, 1},
    {"", "SequenceErase", 11, 0, sequence_erase, 1, 1},
    {"", "SequenceAt", 11, 0, sequence_at, 1, 1},
    {"", "SequenceLength", 11, 0, sequence_length, 1, 1},
    {"", "ConcatFromSequence", 11, 0, concat_from_sequence, 1, 1},
    {"", "SplitToSequence", 11, 0, split_to_sequence, 1, 0},
    {"", "SequenceMap", 17, 0, sequence_map, IM_MAX_PORTS, UINT32_MAX},
    {"", "Optional", 15, 0, optional, 1, 1},
    {"", "OptionalHasElement", 15, 0, has_element, 1, 1},
    {"", "OptionalGetElement", 15, 0, get_element, 1, 1},
    {"", "Identity", 1, 0, identity, 1, 1},
    {NULL, NULL, 0, 0, NULL, 0, 0},
};
