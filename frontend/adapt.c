/* SPDX-License-Identifier: Apache-2.0 */
/* Operators whose ONNX form is not simply a row: attributes that became operands or back, defaults
 * that changed between opsets, factors that are nodes here. All differences between opsets are in
 * this folder's adapters and in the rows' since and until. */
#include "frontend/frontend_priv.h"

#include <stdlib.h>
#include <string.h>

/* --- Constants -------------------------------------------------------------------------------- */

/* What an attribute of its own kind says; of no element type where it is of none. */
static ScrtTensor listed(const ImNode *n, const Onnxpb__Attribute *a, const char *kind)
{
    if (!strcmp(kind, "value_int"))
        return (ScrtTensor){.dtype = SCRT_I64, .data = &((Onnxpb__Attribute *)a)->i};
    if (!strcmp(kind, "value_ints"))
        return (ScrtTensor){
            .dtype = SCRT_I64, .rank = 1, .dims = {(int64_t)a->n_ints}, .data = a->ints};
    if (!strcmp(kind, "value_float"))
        return (ScrtTensor){.dtype = SCRT_F32, .data = &((Onnxpb__Attribute *)a)->f};
    if (!strcmp(kind, "value_floats"))
        return (ScrtTensor){
            .dtype = SCRT_F32, .rank = 1, .dims = {(int64_t)a->n_floats}, .data = a->floats};
    if (!strcmp(kind, "value_string"))
        return (ScrtTensor){.dtype = SCRT_STRING, .data = im_strings(n->im->cx, 1, &a->s)};
    if (!strcmp(kind, "value_strings"))
        return (ScrtTensor){.dtype = SCRT_STRING,
                            .rank = 1,
                            .dims = {(int64_t)a->n_strings},
                            .data = im_strings(n->im->cx, a->n_strings, a->strings)};
    return (ScrtTensor){0};
}

/* A tensor's data is found under its name again; what stands in other attributes is not. */
static bool constant(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    const char *name = sc_intern(cx, n->pb->output[0]);
    if (n->pb->n_attribute != 1)
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "a constant has one attribute, its value");
    const Onnxpb__Attribute *a = n->pb->attribute[0];
    const char *kind = a->name ? a->name : "";
    const ScrtTensor t = listed(n, a, kind);
    const ScBlob *blob = NULL;
    if (t.dtype)
        blob = sc_blob_computed(cx, &t);
    else if (!strcmp(kind, "value") && a->t)
        blob = im_own_tensor(n->im, n->loc, name, a->t);
    else if (!strcmp(kind, "sparse_value") && a->sparse_tensor)
        blob = im_sparse(n->im, n->loc, name, a->sparse_tensor);
    else
        sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" is not supported here", kind);
    return blob && im_answer(sc_const(&n->im->b, blob, blob->dtype, NULL), ret_out);
}

static bool constant_of_shape(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    const Onnxpb__Attribute *a = im_attr(n, "value");
    uint32_t rank;
    const ScTerm *const *dim = im_content(n, 0, &rank);
    if (!dim || !IM_ONLY(n, "value"))
        return false;
    const ScBlob *blob = a && a->t ? im_tensor(cx, n->loc, (ScDataDirs){0}, NULL, a->t)
                                   : sc_blob_scalar(cx, SCRT_F32, 0);
    if (!blob)
        return false;
    if (blob->count != 1)
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"value\" must have one element");
    blob = sc_blob(cx, NULL, blob->dtype, 0, NULL, blob->data);
    ScVal v = sc_const(&n->im->b, blob, blob->dtype, NULL);
    return im_answer(im_build(n, &sc_op_expand, IM_SET({"shape", SC_TERMS(rank, dim)}), IM_IN(v)),
                     ret_out);
}

/* --- Shapes ----------------------------------------------------------------------------------- */

/* The same where only a run knows which extents are 0 and -1: the shape is computed as ONNX says,
 * by nodes, and its elements are bound. */
static bool reshape_late(const ImNode *n, bool allowzero, uint32_t rank, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    const ScType *t = im_type(n, 0);
    int64_t zeros[SCRT_MAX_RANK] = {0}, ones[1] = {1}, minus[1] = {-1}, axis = 0;
    ScVal want = im_in(n, 1), none = sc_const_i64(b, 1, zeros), less = sc_const_i64(b, 1, minus);
    ScVal all = im_build(n, &sc_op_shape, 0, NULL, IM_IN(im_in(n, 0)));
    if (!allowzero && rank > 0) {
        ScVal own = all;
        if (t->rank > rank)
            own = im_build(n, &sc_op_shape, IM_SET({"end", SC_INT(rank)}), IM_IN(im_in(n, 0)));
        else if (t->rank < rank)
            own = im_build(n, &sc_op_concat, IM_SET({"axis", SC_INT(0)}),
                           IM_IN(all, sc_const_i64(b, rank - t->rank, zeros)));
        want = sc_op(b, where, sc_op(b, equal, want, none), own, want);
    }
    ScVal rest = sc_op(b, equal, want, less);
    ImSet over[] = {{"axes", SC_INTS(1, &axis)}, {"keepdims", SC_INT(1)}};
    ScVal count = im_build(n, &sc_op_reduce_prod, 2, over, IM_IN(all));
    ScVal known = im_build(n, &sc_op_reduce_prod, 2, over,
                           IM_IN(sc_op(b, where, rest, sc_const_i64(b, 1, ones), want)));
    want = sc_op(b, where, rest, sc_op(b, div, count, known), want);
    ScVal bound = im_bind(n, want);
    if (bound < SC_FIRST)
        return bound == SC_ABSENT && sc_fail(n->im->cx, n->loc, SC_E_DYNAMIC, "operand 1");
    const ScTerm *dim[SCRT_MAX_RANK];
    memcpy(dim, sc_built(b, bound)->content, rank * sizeof *dim);
    return im_answer(im_reshape(n, im_in(n, 0), rank, dim), ret_out);
}

/* 0 copies the operand's extent (unless allowzero), -1 is what remains. */
static bool reshape(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    uint32_t rank = 0;
    const ScTerm *dim[SCRT_MAX_RANK], *const *want;
    const ScType *t = im_type(n, 0);
    if (n->opset < 5) {
        const int64_t *is = im_ints(n, "shape", &rank, &ok);
        const ScTerm **ts = sc_array(sc_ctx_arena(cx), const ScTerm *, rank);
        for (uint32_t i = 0; i < rank; i++)
            ts[i] = sc_term(cx, is[i]);
        want = ts;
    } else {
        want = im_content(n, 1, &rank);
    }
    int64_t allowzero = im_int(n, "allowzero", 0, &ok);
    if (!ok || !want || !IM_ONLY(n, "allowzero", "shape"))
        return false;
    if (rank > SCRT_MAX_RANK)
        return sc_fail(cx, n->loc, SC_E_LIMIT, "rank %u, at most %d", rank, SCRT_MAX_RANK);

    bool signs_known = true;
    for (uint32_t i = 0; i < rank; i++)
        signs_known =
            signs_known && (want[i]->kind == SC_T_CONST || sc_term_range(cx, want[i]).lo >= 0);
    if (!signs_known)
        return reshape_late(n, allowzero, rank, ret_out);
    const ScTerm *known = sc_term(cx, 1);
    int infer = -1;
    for (uint32_t i = 0; i < rank; i++) {
        dim[i] = want[i];
        if (sc_term_is(want[i], -1)) {
            if (infer >= 0)
                return sc_fail(cx, n->loc, SC_E_SHAPE, "more than one extent is -1");
            infer = (int)i;
            continue;
        }
        if (sc_term_is(want[i], 0) && !allowzero) {
            if (i >= t->rank)
                return sc_fail(cx, n->loc, SC_E_SHAPE, "extent %u is 0, to copy, of rank %u", i,
                               t->rank);
            dim[i] = t->dim[i];
        }
        known = sc_term_mul(cx, known, dim[i]);
    }
    if (infer >= 0) {
        if (sc_term_is(known, 0))
            return sc_fail(cx, n->loc, SC_E_SHAPE, "an extent of -1 beside one of 0");
        const ScTerm *count = sc_type_count(cx, t);
        if (!im_require(n, SC_GUARD_DIVIDES, known, count, "the extents given and the elements"))
            return false;
        dim[infer] = sc_term_fdiv(cx, count, known);
    }
    return im_answer(im_reshape(n, im_in(n, 0), rank, dim), ret_out);
}

/* axes: an attribute before opset 13, an operand since. NULL and *ok true where there are none. */
static const int64_t *axes_of(const ImNode *n, int since_operand, uint32_t *ret_n, bool *ok)
{
    *ret_n = 0;
    if (n->opset < since_operand)
        return im_ints(n, "axes", ret_n, ok);
    if (!im_has(n, 1))
        return NULL;
    const int64_t *axes = im_const_ints(n, 1, ret_n);
    *ok = *ok && axes;
    return axes;
}

/* Without axes those of extent 1 go. A symbol is 1 where the model declares a result of the rank
 * that remains when all symbols go; else the row guards that it is not. */
static const int64_t *squeezed_axes(const ImNode *n, uint32_t *ret_n)
{
    const ScType *t = im_type(n, 0);
    int64_t *axes = sc_array(sc_ctx_arena(n->im->cx), int64_t, t->rank + 1);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->dim[i]->kind == SC_T_CONST && t->dim[i]->c != 1)
            kept++;
        else
            axes[(*ret_n)++] = i;
    }
    return im_declared_rank(n, 0) == (int)kept ? axes : NULL;
}

static bool squeeze(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    uint32_t n_axes;
    const int64_t *axes = axes_of(n, 13, &n_axes, &ok);
    if (!ok || !IM_ONLY(n, "axes"))
        return false;
    if (!axes)
        axes = squeezed_axes(n, &n_axes);
    return im_answer(im_build(n, &sc_op_squeeze,
                              IM_SET({"axes", axes ? SC_INTS(n_axes, axes) : (ScAttr){0}}),
                              IM_IN(im_in(n, 0))),
                     ret_out);
}

static bool unsqueeze(const ImNode *n, ScVal *ret_out)
{
    bool ok = true, fresh[SCRT_MAX_RANK] = {false};
    uint32_t n_axes, a = 0;
    const ScTerm *dim[SCRT_MAX_RANK];
    const ScType *t = im_type(n, 0);
    const int64_t *axes = axes_of(n, 13, &n_axes, &ok);
    if (!ok || !IM_ONLY(n, "axes"))
        return false;
    if (!axes || n_axes + t->rank > SCRT_MAX_RANK)
        return sc_fail(n->im->cx, n->loc, SC_E_LIMIT, "rank %u, at most %d", n_axes + t->rank,
                       SCRT_MAX_RANK);
    for (uint32_t i = 0; i < n_axes; i++) {
        if (!im_axis(n, axes[i], t->rank + n_axes, &a))
            return false;
        if (fresh[a])
            return sc_fail(n->im->cx, n->loc, SC_E_AXIS, "%u is named twice", a);
        fresh[a] = true;
    }
    for (uint32_t i = 0, k = 0; i < t->rank + n_axes; i++)
        dim[i] = fresh[i] ? sc_term(n->im->cx, 1) : t->dim[k++];
    return im_answer(im_reshape(n, im_in(n, 0), t->rank + n_axes, dim), ret_out);
}

/* Without a permutation the axes are reversed. */
static bool transpose(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    uint32_t len, rank = im_type(n, 0)->rank;
    const int64_t *perm = im_ints(n, "perm", &len, &ok);
    int64_t reversed[SCRT_MAX_RANK];
    if (!ok || !IM_ONLY(n, "perm"))
        return false;
    for (uint32_t i = 0; !perm && i < rank; i++)
        reversed[i] = rank - 1 - i;
    return im_answer(im_build(n, &sc_op_transpose,
                              IM_SET({"perm", perm ? SC_INTS(len, perm) : SC_INTS(rank, reversed)}),
                              IM_IN(im_in(n, 0))),
                     ret_out);
}

static bool expand(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    uint32_t rank;
    const ScTerm *const *want = im_content(n, 1, &rank);
    const ScType *t = im_type(n, 0);
    const ScTerm *dim[SCRT_MAX_RANK];
    if (!want || !IM_ONLY(n))
        return false;
    uint32_t full = rank > t->rank ? rank : t->rank;
    if (full > SCRT_MAX_RANK)
        return sc_fail(cx, n->loc, SC_E_LIMIT, "rank %u, at most %d", full, SCRT_MAX_RANK);
    for (uint32_t i = 0; i < full; i++) { /* both aligned at the last axis */
        const ScTerm *x = i + t->rank >= full ? t->dim[i + t->rank - full] : sc_term(cx, 1);
        const ScTerm *w = i + rank >= full ? want[i + rank - full] : sc_term(cx, 1);
        if (!im_require(n, SC_GUARD_MEET, x, w, "an extent and the one asked for"))
            return false;
        dim[i] = sc_term_bcast(cx, x, w);
    }
    return im_answer(
        im_build(n, &sc_op_expand, IM_SET({"shape", SC_TERMS(full, dim)}), IM_IN(im_in(n, 0))),
        ret_out);
}

/* Starts, ends, axes and steps were attributes before opset 10. */
static bool slice(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true, old = n->opset < 10;
    uint32_t len[4] = {0};
    const ScTerm *const *bound[2] = {NULL, NULL};
    const int64_t *whole[2] = {NULL, NULL};
    for (uint32_t i = 0; i < 2 && old; i++) {
        const int64_t *is = im_ints(n, i ? "ends" : "starts", &len[i], &ok);
        const ScTerm **ts = sc_array(sc_ctx_arena(cx), const ScTerm *, len[i] + 1);
        for (uint32_t k = 0; k < len[i]; k++)
            ts[k] = sc_term(cx, is[k]);
        bound[i] = ts;
    }
    for (uint32_t i = 0; i < 2 && !old; i++)
        if (im_has(n, i + 3)) {
            whole[i] = im_const_ints(n, i + 3, &len[i + 2]);
            ok = ok && whole[i];
        }
    for (uint32_t i = 0; i < 2 && !old && ok; i++) {
        len[i] = len[2];
        bound[i] = whole[0] ? im_content_of(n, i + 1, len[2]) : im_content(n, i + 1, &len[i]);
        ok = bound[i] != NULL;
    }
    if (old)
        whole[0] = im_ints(n, "axes", &len[2], &ok);
    if (!ok || (old ? !IM_ONLY(n, "starts", "ends", "axes") : !IM_ONLY(n)))
        return false;
    return im_answer(im_build(n, &sc_op_slice,
                              IM_SET({"starts", SC_TERMS(len[0], bound[0])},
                                     {"ends", SC_TERMS(len[1], bound[1])},
                                     {"axes", whole[0] ? SC_INTS(len[2], whole[0]) : (ScAttr){0}},
                                     {"steps", whole[1] ? SC_INTS(len[3], whole[1]) : (ScAttr){0}}),
                              IM_IN(im_in(n, 0))),
                     ret_out);
}

/* --- Products --------------------------------------------------------------------------------- */

static ScVal times(const ImNode *n, ScVal x, double factor)
{
    ScBuild *b = &n->im->b;
    return factor == 1 ? x
                       : sc_op(b, mul, x, sc_const_scalar(b, sc_built(b, x)->type->dtype, factor));
}

/* Whether an integer type holds x. */
static bool fits_integer(ScrtDtype t, double x)
{
    uint64_t bits = 0;
    scrt_store(t, &bits, 0, x, false);
    return scrt_load(t, &bits, 0) == x;
}

/* alpha A B + beta C: factors other than 1 are products of their own; beta = 0 drops C. Integers
 * whose factors are none are multiplied in f64 and rounded toward zero at the end. */
bool im_gemm(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    double alpha = im_float(n, "alpha", 1, &ok), beta = im_float(n, "beta", 1, &ok);
    int64_t ta = im_int(n, "transA", 0, &ok), tb = im_int(n, "transB", 0, &ok);
    if (!ok)
        return false;
    if (n->n_in < 2 || n->n_in > 3)
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "%u operands", n->n_in);
    ScVal c = beta == 0 ? SC_ABSENT : im_in(n, 2);
    ScVal in[3] = {im_in(n, 0), im_in(n, 1), alpha == 1 && beta == 1 ? c : SC_ABSENT};
    ScVal y =
        im_build(n, &sc_op_gemm, IM_SET({"trans_a", SC_INT(ta != 0)}, {"trans_b", SC_INT(tb != 0)}),
                 in[2] == SC_ABSENT ? 2 : 3, in);
    ScrtDtype t = im_type(n, 0)->dtype;
    bool wide = scrt_dtype_is_integer(t) && (!fits_integer(t, alpha) || !fits_integer(t, beta));
    y = times(n, wide ? im_cast(n, y, SCRT_F64) : y, alpha);
    if (c != SC_ABSENT && in[2] == SC_ABSENT)
        y = sc_op(&n->im->b, add, y, times(n, wide ? im_cast(n, c, SCRT_F64) : c, beta));
    return im_answer(wide ? im_cast(n, y, t) : y, ret_out);
}

static bool gemm(const ImNode *n, ScVal *ret_out)
{
    return IM_ONLY(n, IM_GEMM_ATTRS, n->opset < 7 ? "broadcast" : NULL) && im_gemm(n, ret_out);
}

/* --- Pointwise -------------------------------------------------------------------------------- */

/* The result has the base's type. Integers are raised in f64, as other runtimes do: exact below
 * 2^53, and what is no integer or out of range as a cast has it. */
static bool power(const ImNode *n, ScVal *ret_out)
{
    if (n->n_in != 2)
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "%u operands, 2 are needed", n->n_in);
    ScVal x = im_in(n, 0), y = im_in(n, 1);
    ScrtDtype t = im_type(n, 0)->dtype;
    if (!IM_ONLY(n))
        return false;
    if (!scrt_dtype_is_integer(t))
        return im_answer(sc_node1(&n->im->b, &sc_op_pow, NULL, 2, n->in), ret_out);
    ScVal z = sc_op(&n->im->b, pow, im_cast(n, x, SCRT_F64), im_cast(n, y, SCRT_F64));
    return im_answer(im_cast(n, z, t), ret_out);
}

/* Before opset 11 the bounds were attributes. */
static bool clip(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    ScrtDtype t = im_type(n, 0)->dtype;
    double lo = im_float(n, "min", 0, &ok), hi = im_float(n, "max", 0, &ok);
    if (!ok || !IM_ONLY(n, "min", "max", "consumed_inputs"))
        return false;
    ScVal in[3] = {im_in(n, 0), im_attr(n, "min") ? sc_const_scalar(b, t, lo) : SC_ABSENT,
                   im_attr(n, "max") ? sc_const_scalar(b, t, hi) : SC_ABSENT};
    return im_answer(sc_node1(b, &sc_op_clip, NULL, 3, in), ret_out);
}

/* The temperature, 1, is an operand here. */
static bool gelu(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    const char *form = im_str(n, "approximate", "none", &ok);
    if (!ok || !IM_ONLY(n, "approximate"))
        return false;
    ScVal beta = sc_const_scalar(&n->im->b, im_type(n, 0)->dtype, 1);
    return im_answer(
        im_build(n, &sc_op_gelu, IM_SET({"approximate", SC_STR(form)}), IM_IN(im_in(n, 0), beta)),
        ret_out);
}

/* Whether operand i is known and one number, x. */
static bool is_known(const ImNode *n, uint32_t i, double x)
{
    ScrtTensor t = {0};
    bool is = im_has(n, i) && im_known(n, im_in(n, i), &t) && scrt_count(&t) == 1 &&
              scrt_load((ScrtDtype)t.dtype, t.data, 0) == x;
    scrt_free(t.data);
    return is;
}

/* The result and the mask where only the run knows whether it trains. */
static void maybe_dropped(const ImNode *n, ScVal *y, ScVal *mask)
{
    ScBuild *b = &n->im->b;
    ScVal trains = im_reshape(n, im_in(n, 2), 0, NULL);
    *y = sc_op(b, where, trains, *y, im_in(n, 0));
    *mask = sc_op(b, or, *mask, sc_op(b, not, trains));
}

/* Inference keeps everything; training that drops nothing does too. The mask is of bools since
 * opset 10, before of x's type. */
static bool dropout(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    im_int(n, "seed", 0, &ok);
    if (!ok || !IM_ONLY(n, "ratio", "seed", "is_test"))
        return false;
    const ScType *x = im_type(n, 0);
    ScVal y = im_in(n, 0), mask = sc_const_scalar(b, n->opset < 10 ? x->dtype : SCRT_BOOL, 1);
    if (im_has(n, 2) && !is_known(n, 2, 0) && !is_known(n, 1, 0)) {
        ScVal ratio = im_has(n, 1) ? im_in(n, 1) : im_scalar(n, x->dtype, 0.5);
        if (!im_drop(n, ratio, &y, &mask))
            return false;
        if (!is_known(n, 2, 1))
            maybe_dropped(n, &y, &mask);
    }
    if (n->n_out > 1)
        ret_out[1] = im_expand(n, mask, x->rank, x->dim);
    return im_answer(y, ret_out) && (n->n_out < 2 || ret_out[1] != SC_POISON);
}

static bool cast_like(const ImNode *n, int64_t to, ScVal *ret_out)
{
    bool ok = true;
    int64_t saturate = im_int(n, "saturate", 1, &ok);
    const char *mode = im_str(n, "round_mode", "up", &ok);
    if (!ok || !IM_ONLY(n, "to", "saturate", "round_mode"))
        return false;
    if (scrt_dtype_bits((ScrtDtype)to) == 0)
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"to\" is no element type: %lld",
                       (long long)to);
    bool text = im_type(n, 0)->dtype == SCRT_STRING;
    if (text && to == SCRT_STRING)
        return im_answer(im_in(n, 0), ret_out);
    if (to == SCRT_STRING)
        return im_answer(sc_op(&n->im->b, format, im_in(n, 0)), ret_out);
    if (text)
        return im_answer(
            im_build(n, &sc_op_parse, IM_SET({"to", SC_DT((ScrtDtype)to)}), IM_IN(im_in(n, 0))),
            ret_out);
    int64_t round = to != SCRT_F8E8M0 || !strcmp(mode, "nearest") ? SCRT_NEAREST
                    : !strcmp(mode, "down")                       ? SCRT_DOWN
                                                                  : SCRT_UP;
    return im_answer(
        im_build(n, &sc_op_cast,
                 IM_SET({"to", SC_DT((ScrtDtype)to)}, {"saturate", SC_INT(saturate != 0)},
                        {"round_mode", SC_INT(round)}),
                 IM_IN(im_in(n, 0))),
        ret_out);
}

static bool cast(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    int64_t to = im_int(n, "to", 0, &ok);
    return ok && cast_like(n, to, ret_out);
}

static bool cast_to_other(const ImNode *n, ScVal *ret_out)
{
    return im_arity(n, 2, 2) && cast_like(n, im_type(n, 1)->dtype, ret_out);
}

/* --- Rows of elements ------------------------------------------------------------------------- */

/* Before opset 13 the extents from the axis on count as one row. */
static bool softmax_like(const ImNode *n, const ScOp *op, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    ScCtx *cx = n->im->cx;
    bool ok = true;
    uint32_t axis = 0, rank = im_type(n, 0)->rank;
    const ScType *t = im_type(n, 0);
    ScVal x = im_in(n, 0);
    int64_t given = im_int(n, "axis", n->opset < 13 ? 1 : -1, &ok);
    if (!ok || !IM_ONLY(n, "axis") || !im_axis(n, given, rank, &axis))
        return false;
    const ScTerm *flat[2] = {sc_term(cx, 1), sc_term(cx, 1)};
    for (uint32_t i = 0; i < rank; i++)
        flat[i >= axis] = sc_term_mul(cx, flat[i >= axis], t->dim[i]);
    bool flatten = n->opset < 13 && axis + 1 < rank;
    if (flatten)
        x = im_reshape(n, x, 2, flat);
    ScVal beta = sc_const_scalar(b, t->dtype, 1);
    ScVal y = im_build(n, op, IM_SET({"axis", SC_INT(flatten ? 1 : axis)}), IM_IN(x, beta));
    return im_answer(flatten ? im_reshape(n, y, rank, t->dim) : y, ret_out);
}

static bool softmax(const ImNode *n, ScVal *ret_out)
{
    return softmax_like(n, &sc_op_softmax, ret_out);
}

static bool log_softmax(const ImNode *n, ScVal *ret_out)
{
    return softmax_like(n, &sc_op_log_softmax, ret_out);
}

/* The type that operands first .. end - 1 are computed in: their own where they agree, else f64
 * where one is, else f32. What is no float stays for the row to refuse. */
static ScrtDtype common_float(const ImNode *n, uint32_t first, uint32_t end)
{
    ScrtDtype t = im_type(n, first)->dtype;
    for (uint32_t i = first + 1; i < end && i < n->n_in; i++) {
        ScrtDtype x = im_type(n, i)->dtype;
        bool floats = scrt_dtype_is_float(x) && scrt_dtype_is_float(t);
        if (im_has(n, i) && floats && x != t)
            t = x == SCRT_F64 || t == SCRT_F64 ? SCRT_F64 : SCRT_F32;
    }
    return t;
}

/* The mean over all axes but the second, without them. */
static ScVal channel_mean(const ImNode *n, ScVal x, uint32_t rank)
{
    int64_t axes[SCRT_MAX_RANK] = {0};
    for (uint32_t d = 2; d < rank; d++)
        axes[d - 1] = d;
    return im_build(n, &sc_op_reduce_mean,
                    IM_SET({"axes", SC_INTS(rank - 1, axes)}, {"keepdims", SC_INT(0)}), IM_IN(x));
}

/* old * momentum + now * (1 - momentum) */
static ScVal running(const ImNode *n, ScVal old, ScVal now, double momentum)
{
    return sc_op(&n->im->b, add, times(n, old, momentum), times(n, now, 1 - momentum));
}

/* Normalised by the batch's own statistics, as training does. Results after the first: the running
 * mean and variance, then (before opset 14) those of the batch. */
static bool batchnorm_training(const ImNode *n, ScVal in[6], ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    double momentum;
    bool ok = true;
    const ScType *x = im_type(n, 0);
    if (x->rank < 2)
        return sc_fail(n->im->cx, n->loc, SC_E_RANK, "x has rank %u, at least 2 is needed",
                       x->rank);
    momentum = im_float(n, "momentum", 0.9, &ok);
    const ScTerm *dim[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < x->rank; d++)
        dim[d] = d == 1 ? x->dim[1] : sc_term(n->im->cx, 1);
    ScVal mean = channel_mean(n, in[0], x->rank);
    ScVal d = sc_op(b, sub, in[0], im_reshape(n, mean, x->rank, dim));
    ScVal var = channel_mean(n, sc_op(b, mul, d, d), x->rank);
    ScVal all[5] = {SC_ABSENT, running(n, in[3], mean, momentum), running(n, in[4], var, momentum),
                    mean, var};
    in[3] = mean;
    in[4] = var;
    all[0] = sc_node1(b, &sc_op_batchnorm, NULL, 6, in);
    for (uint32_t i = 0; i < n->n_out; i++) {
        ScrtDtype t = i == 0 ? x->dtype : im_type(n, i % 2 ? 3 : 4)->dtype;
        ret_out[i] = t == sc_built(b, all[i])->type->dtype ? all[i] : im_cast(n, all[i], t);
        ok = ok && ret_out[i] != SC_POISON;
    }
    return ok;
}

/* Statistics of each place in a sample, not of each channel. */
static ScVal batchnorm_places(const ImNode *n, const ScVal in[6])
{
    ScBuild *b = &n->im->b;
    ScVal deviation = sc_op(b, sqrt, sc_op(b, add, in[4], in[5]));
    ScVal scaled = sc_op(b, mul, sc_op(b, div, sc_op(b, sub, in[0], in[3]), deviation), in[1]);
    return sc_op(b, add, scaled, in[2]);
}

/* Before opset 14 more than one result says that it is training. Statistics may have another type
 * than x. */
static bool batchnorm(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    double eps = im_float(n, "epsilon", 1e-5, &ok);
    int64_t training = im_int(n, "training_mode", 0, &ok), spatial = im_int(n, "spatial", 1, &ok);
    if (!ok || !IM_ONLY(n, "epsilon", "momentum", "training_mode", n->opset < 9 ? "spatial" : NULL))
        return false;
    if (n->n_in != 5)
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "%u operands, 5 are needed", n->n_in);
    for (uint32_t i = 1; n->opset < 14 && i < n->pb->n_output; i++)
        training = training || *n->pb->output[i];
    ScVal in[6] = {0};
    ScrtDtype t = im_type(n, 0)->dtype, all = common_float(n, 0, 5);
    for (uint32_t i = 0; i < 5; i++)
        in[i] = im_type(n, i)->dtype == all ? im_in(n, i) : im_cast(n, im_in(n, i), all);
    in[5] = sc_const_scalar(&n->im->b, all, eps);
    if (training && !spatial)
        return sc_fail(n->im->cx, n->loc, SC_E_UNSUPPORTED,
                       "BatchNormalization that trains with \"spatial\" 0");
    if (training)
        return batchnorm_training(n, in, ret_out);
    if (n->n_out > 1)
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "%u results of inference", n->n_out);
    ScVal y =
        spatial ? sc_node1(&n->im->b, &sc_op_batchnorm, NULL, 6, in) : batchnorm_places(n, in);
    return im_answer(t == all ? y : im_cast(n, y, t), ret_out);
}

static bool layernorm(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    const ScType *t = im_type(n, 0);
    double eps = im_float(n, "epsilon", 1e-5, &ok);
    int64_t axis = im_int(n, "axis", -1, &ok);
    ScrtDtype stash;
    if (!ok || !IM_ONLY(n, "axis", "epsilon", "stash_type") || !im_stash(n, &stash))
        return false;
    ScrtDtype all = stash == SCRT_F64 ? stash : common_float(n, 0, 3);
    ScVal in[4] = {[3] = sc_const_scalar(b, im_at_least_f32(all), eps)};
    for (uint32_t i = 0; i < 3; i++)
        in[i] = !im_has(n, i) || im_type(n, i)->dtype == all ? im_in(n, i)
                                                             : im_cast(n, im_in(n, i), all);
    ScAttr attr[SC_MAX_ATTR] = {SC_INT(axis)};
    ok = sc_node(b, &sc_op_layernorm, attr, NULL, 4, in, n->n_out, ret_out);
    for (uint32_t i = 0; ok && i < n->n_out; i++) {
        ret_out[i] = im_cast(n, ret_out[i], i ? stash : t->dtype);
        ok = ret_out[i] != SC_POISON;
    }
    return ok;
}

const ImAdapter im_basic_adapters[] = {
    {"", "Constant", 1, 0, constant, 1},
    {"", "ConstantOfShape", 9, 0, constant_of_shape, 1},
    {"", "Reshape", 1, 0, reshape, 1},
    {"", "Squeeze", 1, 0, squeeze, 1},
    {"", "Unsqueeze", 1, 0, unsqueeze, 1},
    {"", "Transpose", 1, 0, transpose, 1},
    {"", "Expand", 8, 0, expand, 1},
    {"", "Gemm", 1, 0, gemm, 1},
    {"", "Slice", 1, 0, slice, 1},
    {"", "Pow", 7, 0, power, 1},
    {"", "Clip", 1, 10, clip, 1},
    {"", "Gelu", 20, 0, gelu, 1},
    {"", "Dropout", 7, 0, dropout, 2, .draws = true},
    {"", "Cast", 6, 0, cast, 1},
    {"", "CastLike", 15, 0, cast_to_other, 1},
    {"", "Softmax", 1, 0, softmax, 1},
    {"", "LayerNormalization", 1, 0, layernorm, 3},
    {"", "LogSoftmax", 1, 0, log_softmax, 1},
    {"", "BatchNormalization", 7, 0, batchnorm, 5},
    {NULL, NULL, 0, 0, NULL, 0},
};
