/* SPDX-License-Identifier: Apache-2.0 */
/* Inference: the checks that the schema makes for every row, the rules that many rows share, and
 * how a mistake is reported. */
#include "ir/op.h"

#include <stdarg.h>
#include <string.h>

/* --- Reporting ------------------------------------------------------------------------------- */

/* The location with the row's name for nodes that have no ONNX operator. */
static const ScLoc *named(const ScInfer *in)
{
    const ScLoc *l = in->loc;
    if (l->n > 0 && l->origin[0].op)
        return l;
    ScOrigin o = {.op = in->op->name, .index = -1};
    if (l->n > 0)
        o.name = l->origin[0].name;
    return sc_loc(in->cx, l->file, l->line, l->phase, 1, &o);
}

/* A single letter is ONNX's spelling in capitals: a is A. */
static void add_label(const ScInfer *in, const ScSchema *s, uint32_t i, ScStr *out)
{
    const ScOperand *o = i < s->n_in ? &s->in[i] : s->n_in ? &s->in[s->n_in - 1] : NULL;
    if (!o || (i >= s->n_in && !s->in_repeats))
        sc_str_addf(out, "operand %u", i);
    else if (o->repeats && in->n_in > s->n_in)
        sc_str_addf(out, "%s[%u]", o->name, i - (s->n_in - 1));
    else if (o->name[1] == '\0' && o->name[0] >= 'a' && o->name[0] <= 'z')
        sc_str_addf(out, "%c", o->name[0] - 'a' + 'A');
    else
        sc_str_add(out, o->name);
}

bool sc_infer_fail(const ScInfer *in, ScDiagId id, const char *fmt, ...)
{
    ScStr text = {0}, label = {0}, type = {0};
    va_list ap;
    va_start(ap, fmt);
    sc_str_addv(&text, fmt, ap);
    va_end(ap);
    sc_fail(in->cx, named(in), id, "%s", sc_str_get(&text));
    const ScSchema *s = sc_schema(in->cx, in->op);
    for (uint32_t i = 0; s && i < in->n_in; i++) {
        if (in->in[i]->kind == SC_TYPE_ABSENT)
            continue;
        label.n = type.n = 0;
        add_label(in, s, i, &label);
        sc_type_print(in->in[i], &type);
        sc_detail(in->cx, sc_str_get(&label), in->name[i], sc_str_get(&type));
    }
    sc_str_free(&text);
    sc_str_free(&label);
    sc_str_free(&type);
    return false;
}

/* --- What the schema says -------------------------------------------------------------------- */

static const char *const class_names[] = {[SC_IS_ANY] = "a tensor",
                                          [SC_IS_FLOAT] = "a float tensor",
                                          [SC_IS_INT] = "an integer tensor",
                                          [SC_IS_BOOL] = "a bool tensor",
                                          [SC_IS_NUM] = "a tensor of numbers",
                                          [SC_IS_SHAPE] = "an i64 tensor",
                                          [SC_IS_PLAIN] = "a tensor that is not of strings",
                                          [SC_IS_STRING] = "a tensor of strings"};

static bool check_arity(const ScInfer *in, const ScSchema *s)
{
    if (in->n_in < s->min_in || (in->n_in > s->n_in && !s->in_repeats)) {
        if (s->in_repeats)
            return sc_infer_fail(in, SC_E_ARITY, "%u operands, at least %u are needed", in->n_in,
                                 s->min_in);
        if (s->min_in == s->n_in)
            return sc_infer_fail(in, SC_E_ARITY, "%u operands, %u are needed", in->n_in, s->n_in);
        return sc_infer_fail(in, SC_E_ARITY, "%u operands, %u to %u are needed", in->n_in,
                             s->min_in, s->n_in);
    }
    if (in->n_out < s->min_out || (in->n_out > s->n_out && !s->out_repeats))
        return sc_infer_fail(in, SC_E_ARITY, "%u results, %u to %u are possible", in->n_out,
                             s->min_out, s->n_out);
    return true;
}

static bool check_operands(const ScInfer *in, const ScSchema *s)
{
    for (uint32_t i = 0; i < in->n_in; i++) {
        const ScOperand *o = &s->in[i < s->n_in ? i : s->n_in - 1];
        if (in->in[i]->kind == SC_TYPE_ABSENT) {
            if (!o->optional)
                return sc_infer_fail(in, SC_E_ARITY, "operand %s is missing", o->name);
        } else if (!sc_class_takes(o->cls, in->in[i]->dtype)) {
            return sc_infer_fail(in, SC_E_TYPE, "operand %s must be %s", o->name,
                                 class_names[o->cls]);
        }
    }
    return true;
}

static bool check_attrs(const ScInfer *in)
{
    static const char *const kinds[] = {
        [SC_A_NONE] = "absent",    [SC_A_INT] = "an integer",
        [SC_A_FLOAT] = "a number", [SC_A_STR] = "a string",
        [SC_A_DTYPE] = "a type",   [SC_A_BLOB] = "a constant",
        [SC_A_INTS] = "integers",  [SC_A_FLOATS] = "numbers",
        [SC_A_STRS] = "strings",   [SC_A_TERMS] = "integers or terms",
    };
    for (uint32_t i = 0; i < in->op->n_attr; i++) {
        const ScAttrDef *d = &in->op->attr[i];
        if (in->attr[i].kind == SC_A_NONE) {
            if (d->required)
                return sc_infer_fail(in, SC_E_ATTRIBUTE, "%s is missing", d->name);
        } else if (in->attr[i].kind != d->kind) {
            return sc_infer_fail(in, SC_E_ATTRIBUTE, "%s must be %s", d->name, kinds[d->kind]);
        }
    }
    return true;
}

/* No result has an extent below 0, or one that no term can say. */
static bool check_extents(const ScInfer *in)
{
    for (uint32_t i = 0; i < in->n_out; i++)
        for (uint32_t d = 0; in->ret[i]->kind == SC_TYPE_TENSOR && d < in->ret[i]->rank; d++) {
            const ScTerm *t = in->ret[i]->dim[d];
            if (sc_term_overflowed(t))
                return sc_infer_fail(in, SC_E_LIMIT, "extent %u of result %u is too large", d, i);
            if (t->kind == SC_T_CONST && t->c < 0)
                return sc_infer_fail(in, SC_E_SHAPE, "extent %u, %lld, is negative", d,
                                     (long long)t->c);
            if (!sc_require_nonneg(in, t, "an extent of the result"))
                return false;
        }
    return true;
}

bool sc_infer(ScInfer *in)
{
    const ScSchema *s = sc_schema(in->cx, in->op);
    return s && check_arity(in, s) && check_operands(in, s) && check_attrs(in) &&
           in->op->infer(in) && check_extents(in);
}

/* --- Rules that rows share ------------------------------------------------------------------- */

bool sc_infer_same(ScInfer *in)
{
    for (uint32_t i = 0; i < in->n_out; i++)
        in->ret[i] = in->in[0];
    return true;
}

/* The common extent of two, guarded where it is not certain, or NULL where there is none. A common
 * extent may leave out one that is never more than another, which is then that one or 1: so where
 * it is more than the two side by side, each of them must fit it. */
static const ScTerm *common_extent(const ScInfer *in, const ScTerm *a, const ScTerm *b)
{
    static const char why[] = "extents that meet in a broadcast";
    int64_t c;
    if (!sc_term_const(a, &c) && !sc_term_const(b, &c)) {
        const ScTerm *t = sc_term_bcast(in->cx, a, b);
        if (t == a || t == b || a->kind == SC_T_BCAST || b->kind == SC_T_BCAST)
            return sc_holds(in, SC_GUARD_FITS, a, t, why) && sc_holds(in, SC_GUARD_FITS, b, t, why)
                       ? t
                       : NULL;
    }
    return sc_holds(in, SC_GUARD_MEET, a, b, why) ? sc_term_bcast(in->cx, a, b) : NULL;
}

bool sc_broadcast(const ScInfer *in, const ScType *a, const ScType *b, uint32_t *ret_rank,
                  const ScTerm **ret_dim)
{
    uint32_t rank = a->rank > b->rank ? a->rank : b->rank;
    const ScTerm *dim[SCRT_MAX_RANK], *one = sc_term(in->cx, 1);
    for (uint32_t i = 0; i < rank; i++) { /* counted from the last */
        const ScTerm *x = i < a->rank ? a->dim[a->rank - 1 - i] : one;
        const ScTerm *y = i < b->rank ? b->dim[b->rank - 1 - i] : one;
        dim[rank - 1 - i] = common_extent(in, x, y);
        if (!dim[rank - 1 - i]) {
            ScStr sx = {0}, sy = {0};
            sc_term_print(x, &sx);
            sc_term_print(y, &sy);
            sc_infer_fail(in, SC_E_BROADCAST, "%s", "");
            sc_note(in->cx, "extents %s and %s, counted %u from the last, are neither equal nor 1",
                    sc_str_get(&sx), sc_str_get(&sy), i + 1);
            sc_str_free(&sx);
            sc_str_free(&sy);
            return false;
        }
    }
    memcpy(ret_dim, dim, rank * sizeof *dim);
    *ret_rank = rank;
    return true;
}

const ScTerm *sc_broadcast_stride(ScCtx *cx, const ScTerm *have, const ScTerm *space,
                                  const ScTerm *stride)
{
    if (have == space)
        return stride;
    if (sc_term_is(have, 1))
        return sc_term(cx, 0);
    if (have->kind == SC_T_CONST)
        return stride;
    const ScTerm *more = sc_term_min(cx, sc_term_addc(cx, have, -1), sc_term(cx, 1));
    return sc_term_mul(cx, stride, more);
}

/* The common shape and element type of all operands that are there, as a type; NULL after failing.
 */
static const ScType *joined(ScInfer *in)
{
    const ScType *t = NULL;
    for (uint32_t i = 0; i < in->n_in; i++) {
        const ScType *x = in->in[i];
        if (x->kind == SC_TYPE_ABSENT || x == t)
            continue;
        if (!t) {
            t = x;
            continue;
        }
        const ScTerm *dim[SCRT_MAX_RANK];
        uint32_t rank;
        if (x->dtype != t->dtype) {
            sc_infer_fail(in, SC_E_TYPE, "%s and %s", scrt_dtype_name(t->dtype),
                          scrt_dtype_name(x->dtype));
            return NULL;
        }
        if (!sc_broadcast(in, t, x, &rank, dim))
            return NULL;
        t = sc_type(in->cx, t->dtype, rank, dim);
    }
    if (!t)
        sc_infer_fail(in, SC_E_ARITY, "%s", "no operand is given");
    return t;
}

bool sc_infer_broadcast(ScInfer *in)
{
    const ScType *t = joined(in);
    for (uint32_t i = 0; t && i < in->n_out; i++)
        in->ret[i] = t;
    return t != NULL;
}

bool sc_infer_compare(ScInfer *in)
{
    const ScType *t = joined(in);
    for (uint32_t i = 0; t && i < in->n_out; i++)
        in->ret[i] = sc_type_with(in->cx, t, SCRT_BOOL);
    return t != NULL;
}

bool sc_axis(const ScInfer *in, int64_t axis, uint32_t rank, uint32_t *ret)
{
    if (axis < -(int64_t)rank || axis >= (int64_t)rank)
        return sc_infer_fail(in, SC_E_AXIS, "axis %lld of rank %u", (long long)axis, rank);
    *ret = (uint32_t)(axis < 0 ? axis + rank : axis);
    return true;
}
