/* SPDX-License-Identifier: Apache-2.0 */
/* Strings: what reads their bytes has rows of its own, and what chooses among strings or numbers is
 * a lookup and a gather. */
#include "frontend/frontend_priv.h"

#include "runtime/handles.h"

#include <stdlib.h>
#include <string.h>

static bool equal(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 2, 2) || !IM_ONLY(n))
        return false;
    const ScOp *op = im_type(n, 0)->dtype == SCRT_STRING ? &sc_op_string_equal : &sc_op_equal;
    return im_answer(im_build(n, op, 0, NULL, 2, n->in), ret_out);
}

/* --- Attributes ------------------------------------------------------------------------------- */

static ScVal constant(const ImNode *n, const ScrtTensor *t)
{
    return sc_const(&n->im->b, sc_blob_of(n->im->cx, NULL, t), (ScrtDtype)t->dtype, NULL);
}

/* A string as a constant scalar; def where it is absent. */
static ScVal string(const ImNode *n, const char *name, const char *def)
{
    const Onnxpb__Attribute *a = im_attr(n, name);
    const ScrtString *handle = a && a->has_s
                                   ? sc_string(n->im->cx, (const char *)a->s.data, a->s.len)
                                   : sc_string(n->im->cx, def, strlen(def));
    return constant(n, &(ScrtTensor){.dtype = SCRT_STRING, .data = &handle});
}

/* A list of one type as a tensor of rank 1 in the session's memory; false where the attribute is
 * absent or, after SC_E_ATTRIBUTE, of another type. */
static bool list(const ImNode *n, const char *name, ScrtDtype t, ScrtTensor *ret, bool *ok)
{
    const Onnxpb__Attribute *a = im_attr(n, name);
    if (!a)
        return false;
    size_t count = t == SCRT_STRING ? a->n_strings : t == SCRT_I64 ? a->n_ints : a->n_floats;
    if (a->n_strings + a->n_ints + a->n_floats != count) {
        *ok = sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" is no list of %s", name,
                      scrt_dtype_name(t));
        return false;
    }
    *ret = (ScrtTensor){.dtype = t, .rank = 1, .dims = {(int64_t)count}};
    ret->data = t == SCRT_STRING ? (void *)im_strings(n->im->cx, count, a->strings)
                : t == SCRT_I64  ? (void *)a->ints
                                 : (void *)a->floats;
    return true;
}

/* --- Keys ------------------------------------------------------------------------------------- */

/* As lookup orders them; of equal ones the first in the list first, as ONNX Runtime has it. */
static int by_key(const void *p, const void *q, void *arg)
{
    const ScrtTensor *t = arg;
    int64_t i = *(const int64_t *)p, j = *(const int64_t *)q;
    int c;
    if (t->dtype == SCRT_STRING) {
        c = scrt_chars_compare(scrt_chars(NULL, t, i), scrt_chars(NULL, t, j));
    } else if (scrt_dtype_is_float((ScrtDtype)t->dtype)) {
        double x = scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i);
        double y = scrt_load((ScrtDtype)t->dtype, t->data, (size_t)j);
        c = (x > y) - (x < y);
        if (x != x || y != y)
            c = (x != x) - (y != y);
    } else {
        int64_t x = scrt_load_int((ScrtDtype)t->dtype, t->data, (size_t)i);
        int64_t y = scrt_load_int((ScrtDtype)t->dtype, t->data, (size_t)j);
        c = (x > y) - (x < y);
    }
    return c ? c : (i > j) - (i < j);
}

/* The elements of t in the order of their places. */
static ScVal ordered(const ImNode *n, const ScrtTensor *t, const int64_t *place)
{
    ScVal at = sc_const_i64(&n->im->b, (uint32_t)t->dims[0], place);
    return im_folded(n, im_gather(n, constant(n, t), 0, at));
}

/* x looked up among keys: positions in ascending order of them, where *ret_place, which has room
 * for all, has their places. */
static ScVal looked_up(const ImNode *n, ScVal x, const ScrtTensor *keys, int64_t *ret_place)
{
    int64_t count = keys->dims[0];
    for (int64_t i = 0; i < count; i++)
        ret_place[i] = i;
    qsort_r(ret_place, (size_t)count, sizeof *ret_place, by_key, (void *)(uintptr_t)keys);
    return sc_op(&n->im->b, lookup, x, ordered(n, keys, ret_place));
}

/* --- StringNormalizer ------------------------------------------------------------------------- */

static ScVal cased(const ImNode *n, ScVal x, bool upper)
{
    return im_build(n, &sc_op_string_case, IM_SET({"upper", SC_INT(upper)}), IM_IN(x));
}

/* x [m] without the words among stop; one empty string where none is left. */
static ScVal without(const ImNode *n, ScVal x, ScrtTensor *stop, bool sensitive)
{
    ScBuild *b = &n->im->b;
    ScCtx *cx = n->im->cx;
    int64_t *place = sc_array(sc_ctx_arena(cx), int64_t, (size_t)stop->dims[0] + 1);
    const ScrtString **word = stop->data;
    ScArena *a = sc_arena_new();
    for (int64_t i = 0; i < stop->dims[0] && !sensitive; i++) {
        ScrtChars c = scrt_chars(NULL, stop, i);
        size_t length = scrt_chars_case(c, false, NULL);
        char *p = sc_alloc(a, length + 1);
        scrt_chars_case(c, false, p);
        word[i] = sc_string(cx, p, length);
    }
    sc_arena_free(a);
    ScVal at = looked_up(n, sensitive ? x : cased(n, x, false), stop, place);
    ScVal keeps = sc_op(b, equal, at, im_number(n, sc_term(cx, stop->dims[0])));
    ScVal kept = im_positions(n, keeps);
    if (kept == SC_POISON)
        return SC_POISON;
    const ScTerm *all = im_type_of(n, x)->dim[0], *left = im_type_of(n, kept)->dim[1];
    const ScTerm *one = sc_term(cx, 1), *zero = sc_term(cx, 0);
    ScVal beyond = im_reshape(n, im_number(n, all), 1, &one);
    kept = im_concat(n, 0, 2, (ScVal[]){im_reshape(n, kept, 1, &left), beyond});
    kept = im_slice(n, kept, 0, zero, sc_term_max(cx, left, one));
    const ScrtString *none = NULL;
    ScVal empty =
        constant(n, &(ScrtTensor){.dtype = SCRT_STRING, .rank = 1, .dims = {1}, .data = &none});
    return im_gather(n, im_concat(n, 0, 2, (ScVal[]){x, empty}), 0, kept);
}

static bool normalizer(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    const char *action = im_str(n, "case_change_action", "NONE", &ok);
    int64_t sensitive = im_int(n, "is_case_sensitive", 0, &ok);
    ScrtTensor stop;
    ScVal x = im_in(n, 0);
    const char *locale = im_str(n, "locale", "", &ok);
    bool upper = strcmp(action, "UPPER") == 0, keeps = strcmp(action, "NONE") == 0;
    if (!im_arity(n, 1, 1) || !ok ||
        !IM_ONLY(n, "case_change_action", "is_case_sensitive", "locale", "stopwords"))
        return false;
    const ScType *t = im_type(n, 0);
    if (t->dtype != SCRT_STRING || t->rank < 1 || t->rank > 2)
        return sc_fail(n->im->cx, n->loc, SC_E_RANK, "strings of one or two dimensions are needed");
    if (!upper && !keeps && strcmp(action, "LOWER") != 0)
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"case_change_action\" %s", action);
    if (!keeps && locale[0] && strcmp(locale, "C") != 0 && strcmp(locale, "en_US") != 0)
        sc_warn(n->im->cx, n->loc, SC_E_IGNORED,
                "\"locale\" %s is not asked: letters change as in Unicode", locale);
    const ScTerm *one = sc_term(n->im->cx, 1);
    if (t->rank == 2 && !im_require(n, SC_GUARD_EQUAL, t->dim[0], one, "rows of strings"))
        return false;
    bool stops = list(n, "stopwords", SCRT_STRING, &stop, &ok) && stop.dims[0] > 0;
    if (!ok)
        return false;
    if (stops) {
        x = im_reshape(n, x, 1, &t->dim[t->rank - 1]);
        x = without(n, x, &stop, sensitive != 0);
        if (x == SC_POISON)
            return false;
        const ScTerm *dim[] = {one, im_type_of(n, x)->dim[0]};
        x = im_reshape(n, x, t->rank, t->rank == 2 ? dim : dim + 1);
    }
    return im_answer(keeps ? x : cased(n, x, upper), ret_out);
}

/* --- StringSplit ------------------------------------------------------------------------------ */

static bool split(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    int64_t most = im_int(n, "maxsplit", -1, &ok);
    ScVal x = im_in(n, 0);
    if (!im_arity(n, 1, 1) || !ok || !IM_ONLY(n, "delimiter", "maxsplit"))
        return false;
    ScVal delimiter = string(n, "delimiter", "");
    ScVal count =
        im_build(n, &sc_op_string_parts, IM_SET({"most", SC_INT(most)}), IM_IN(x, delimiter));
    if (count == SC_POISON)
        return false;
    /* 0 beside them: there may be none */
    const ScTerm *all = sc_type_count(n->im->cx, im_type_of(n, count)), *one = sc_term(b->cx, 1);
    ScVal flat = im_reshape(n, im_cast(n, count, SCRT_U64), 1, &all);
    ScVal zero = im_reshape(n, im_scalar(n, SCRT_U64, 0), 1, &one);
    flat = im_concat(n, 0, 2, (ScVal[]){flat, zero});
    const ScTerm *parts =
        im_counted(n, im_reduce(n, &sc_op_reduce_max, flat, 1, (const int64_t[]){0}, false));
    if (!parts)
        return false;
    ret_out[0] = im_build(n, &sc_op_string_split,
                          IM_SET({"most", SC_INT(most)}, {"parts", SC_TERMS(1, &parts)}),
                          IM_IN(x, delimiter));
    if (n->n_out > 1)
        ret_out[1] = count;
    return ret_out[0] != SC_POISON;
}

/* --- LabelEncoder ----------------------------------------------------------------------------- */

static const struct {
    const char *keys, *values, *def;
    ScrtDtype type;
} lists[] = {{"keys_strings", "values_strings", "default_string", SCRT_STRING},
             {"keys_int64s", "values_int64s", "default_int64", SCRT_I64},
             {"keys_floats", "values_floats", "default_float", SCRT_F32}};

/* A tensor in an attribute, as a list; false where it is absent or not one. */
static bool tensor(const ImNode *n, const char *name, ScrtTensor *ret, bool *ok)
{
    const Onnxpb__Attribute *a = im_attr(n, name);
    const ScBlob *b = a && a->t ? im_tensor(n->im->cx, n->loc, im_dirs(n->im), name, a->t) : NULL;
    if (!b) {
        if (a && a->t)
            *ok = false;
        return false;
    }
    *ret = (ScrtTensor){.dtype = b->dtype, .rank = 1, .dims = {(int64_t)b->count}};
    ret->data = (void *)(uintptr_t)b->data;
    return true;
}

/* The default as a constant of rank 1. */
static ScVal otherwise(const ImNode *n, ScrtDtype t, bool *ok)
{
    ScBuild *b = &n->im->b;
    const ScTerm *one = sc_term(b->cx, 1);
    ScrtTensor given;
    if (tensor(n, "default_tensor", &given, ok)) {
        if (given.dtype != (uint32_t)t || given.dims[0] != 1)
            *ok = sc_fail(b->cx, n->loc, SC_E_ATTRIBUTE, "\"default_tensor\" is not one value");
        return constant(n, &given);
    }
    if (t == SCRT_STRING)
        return im_reshape(n, string(n, "default_string", "_Unused"), 1, &one);
    double x = scrt_dtype_is_integer(t) ? (double)im_int(n, "default_int64", -1, ok)
                                        : im_float(n, "default_float", -0.0, ok);
    if (t == SCRT_I64) {
        int64_t exact = im_int(n, "default_int64", -1, ok);
        return sc_const_i64(b, 1, &exact);
    }
    return im_reshape(n, im_scalar(n, t, x), 1, &one);
}

static bool label_encoder(const ImNode *n, ScVal *ret_out)
{
    ScrtTensor keys, values;
    bool ok = true, has_keys = tensor(n, "keys_tensor", &keys, &ok),
         has_values = tensor(n, "values_tensor", &values, &ok);
    if (!im_arity(n, 1, 1) ||
        !IM_ONLY(n, "keys_tensor", "values_tensor", "default_tensor", "keys_strings", "keys_int64s",
                 "keys_floats", "values_strings", "values_int64s", "values_floats",
                 "default_string", "default_int64", "default_float"))
        return false;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        has_keys = has_keys || list(n, lists[i].keys, lists[i].type, &keys, &ok);
        has_values = has_values || list(n, lists[i].values, lists[i].type, &values, &ok);
    }
    if (!ok)
        return false;
    if (!has_keys || !has_values || keys.dims[0] != values.dims[0])
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE,
                       "keys and values are needed, as many of one as of the other");
    int64_t *place = sc_array(sc_ctx_arena(n->im->cx), int64_t, (size_t)keys.dims[0] + 1);
    ScVal at = looked_up(n, im_in(n, 0), &keys, place);
    ScVal def = otherwise(n, (ScrtDtype)values.dtype, &ok);
    if (!ok || at == SC_POISON)
        return false;
    ScVal value[] = {ordered(n, &values, place), def};
    return im_answer(im_gather(n, im_folded(n, im_concat(n, 0, 2, value)), 0, at), ret_out);
}

const ImAdapter im_string_adapters[] = {
    {"", "Equal", 7, 0, equal, 1},        {"", "StringNormalizer", 10, 0, normalizer, 1},
    {"", "StringSplit", 20, 0, split, 2}, {"ai.onnx.ml", "LabelEncoder", 2, 0, label_encoder, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
