/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of a node's attributes and of integer operands whose values are known at import. */
#include "frontend/sequence.h"

#include <stdlib.h>
#include <string.h>

/* AttributeProto.AttributeType; files of the first format have none, so 0 fits any. */
enum { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_STRING = 3, TYPE_INTS = 7 };
/* Leaves and operators of an extent: far from SC_TERM_MAX, as one node may make it some times as
 * long. Of all extents multiplied LONG_COUNT: the next node's may be some times as long each, and
 * where they are more than that now, those are bound that are longer than SHORT_TERM. */
enum { LONG_TERM = 128, LONG_COUNT = 512, SHORT_TERM = 16 };

const Onnxpb__Attribute *im_attr(const ImNode *n, const char *name)
{
    for (size_t i = 0; i < n->pb->n_attribute; i++)
        if (n->pb->attribute[i]->name && !strcmp(n->pb->attribute[i]->name, name))
            return n->pb->attribute[i];
    return NULL;
}

/* The attribute if there is one of that type; NULL with *ok false if it is of another. */
static const Onnxpb__Attribute *typed(const ImNode *n, const char *name, int type, const char *what,
                                      bool *ok)
{
    const Onnxpb__Attribute *a = im_attr(n, name);
    if (a && a->ref_attr_name && *a->ref_attr_name)
        *ok = sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" refers to a function's attribute",
                      name);
    else if (a && a->has_type && a->type != 0 && a->type != type)
        *ok = sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" must be %s", name, what);
    else
        return a;
    return NULL;
}

int64_t im_int(const ImNode *n, const char *name, int64_t def, bool *ok)
{
    const Onnxpb__Attribute *a = typed(n, name, TYPE_INT, "an integer", ok);
    return a ? a->i : def;
}

double im_float(const ImNode *n, const char *name, double def, bool *ok)
{
    const Onnxpb__Attribute *a = typed(n, name, TYPE_FLOAT, "a float", ok);
    return a ? (double)a->f : def;
}

const char *im_str(const ImNode *n, const char *name, const char *def, bool *ok)
{
    const Onnxpb__Attribute *a = typed(n, name, TYPE_STRING, "a string", ok);
    return a ? sc_intern_n(n->im->cx, (const char *)a->s.data, a->s.len)
             : sc_intern(n->im->cx, def);
}

const int64_t *im_ints(const ImNode *n, const char *name, uint32_t *ret_n, bool *ok)
{
    const Onnxpb__Attribute *a = typed(n, name, TYPE_INTS, "a list of integers", ok);
    *ret_n = a ? (uint32_t)a->n_ints : 0;
    return a ? sc_memdup(sc_ctx_arena(n->im->cx), a->ints, a->n_ints * sizeof *a->ints) : NULL;
}

bool im_only_attrs(const ImNode *n, const char *const *known)
{
    for (size_t i = 0; i < n->pb->n_attribute; i++) {
        const char *name = n->pb->attribute[i]->name ? n->pb->attribute[i]->name : "";
        uint32_t k = 0;
        while (known[k] && strcmp(known[k], name))
            k++;
        if (!known[k])
            return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" is not supported here", name);
    }
    return true;
}

const ScType *im_type(const ImNode *n, uint32_t i)
{
    ScVal v = im_in(n, i);
    return im_type_of(n, im_is_seq(v) ? SC_ABSENT : v);
}

/* Integers that inference does not follow: through floats, comparisons, choices. */
static const ScTerm *const *computed_content(const ImNode *n, uint32_t i, uint32_t *ret_n)
{
    ScCtx *cx = n->im->cx;
    ScrtTensor t = {0};
    const ScTerm **ret = NULL;
    if (im_known(n, im_in(n, i), &t) && !scrt_dtype_is_float((ScrtDtype)t.dtype)) {
        *ret_n = (uint32_t)scrt_count(&t);
        ret = sc_array(sc_ctx_arena(cx), const ScTerm *, *ret_n + 1u);
        for (uint32_t k = 0; k < *ret_n; k++)
            ret[k] = sc_term(cx, scrt_load_int((ScrtDtype)t.dtype, t.data, k));
    }
    scrt_free(t.data);
    return ret;
}

/* Says where the value was lost: the nearest node up the chain of whose operands all are known. */
static void note_loss(const ImNode *n, ScVal v)
{
    const ScBuild *b = &n->im->b;
    for (;;) {
        const ScNode *def = sc_built_def(b, v);
        ScVal next = SC_ABSENT;
        for (uint32_t i = 0; def && i < def->n_in; i++)
            if (def->in[i] >= SC_FIRST && !sc_built(b, def->in[i])->content &&
                !(sc_built_def(b, def->in[i])->op->flags & SC_CONST_OP))
                next = def->in[i];
        if (next == SC_ABSENT || (sc_built_def(b, next)->op->flags & SC_BARRIER)) {
            if (def && def->loc->n && def->loc->origin[0].name)
                sc_note(n->im->cx, "%s \"%s\" makes it of values that only a run knows",
                        def->loc->origin[0].op ? def->loc->origin[0].op : def->op->name,
                        def->loc->origin[0].name);
            return;
        }
        v = next;
    }
}

const ScTerm *im_fresh_symbol(Import *im, const char *base, uint32_t i)
{
    ScStr s = {0};
    sc_str_addf(&s, "%s.%u", base, i);
    while (!im_name_symbol(im, sc_intern(im->cx, sc_str_get(&s))))
        sc_str_add(&s, "_");
    const ScTerm *t = sc_term_sym(im->cx, sc_str_get(&s));
    sc_str_free(&s);
    return t;
}

/* The elements of an integer tensor are known, in terms that bear to be reckoned with. */
static bool are_short(ScCtx *cx, const ScValue *v)
{
    int64_t count = 0;
    bool ok = v->content && sc_term_const(sc_type_count(cx, v->type), &count);
    for (int64_t i = 0; ok && i < count; i++)
        ok = v->content[i]->size <= LONG_TERM;
    return ok;
}

static ScVal bind_all(const ImNode *n, ScVal v, int64_t count)
{
    Import *im = n->im;
    const ScValue *x = sc_built(&im->b, v);
    const ScTerm *as[SC_MAX_CONTENT];
    const char *base = x->name ? x->name : n->loc->origin[0].name;
    for (uint32_t i = 0; i < count; i++)
        as[i] = im_fresh_symbol(im, base, i);
    return im_build(n, &sc_op_bind, IM_SET({"as", SC_TERMS((uint32_t)count, as)}), IM_IN(v));
}

/* Of what is put together from parts, some of which are known: those that are not. SC_ABSENT where
 * it is not such. */
static ScVal bind_parts(const ImNode *n, ScVal v)
{
    const ScBuild *b = &n->im->b;
    const ScNode *def = sc_built_def(b, v);
    ScVal part[SC_MAX_CONTENT];
    bool known = false;
    if (!def || def->op != &sc_op_concat || def->n_in > SC_MAX_CONTENT ||
        sc_built(b, v)->type->rank != 1)
        return SC_ABSENT;
    uint32_t n_part = def->n_in;
    memcpy(part, def->in, n_part * sizeof *part);
    for (uint32_t i = 0; i < n_part; i++)
        known = known || are_short(n->im->cx, sc_built(b, part[i]));
    for (uint32_t i = 0; known && i < n_part; i++) {
        int64_t count;
        if (are_short(n->im->cx, sc_built(b, part[i])))
            continue;
        if (!sc_term_const(sc_type_count(n->im->cx, sc_built(b, part[i])->type), &count))
            return SC_ABSENT;
        part[i] = bind_all(n, part[i], count);
    }
    ScVal ret = known ? im_concat(n, 0, n_part, part) : SC_ABSENT;
    return ret >= SC_FIRST && sc_built(b, ret)->content ? ret : SC_ABSENT;
}

ScVal im_bind(const ImNode *n, ScVal v)
{
    Import *im = n->im;
    int64_t count;
    if (!sc_term_const(sc_type_count(im->cx, sc_built(&im->b, v)->type), &count) ||
        count > SC_MAX_CONTENT)
        return SC_ABSENT;
    for (uint32_t i = 0; i < im->n_bound; i++)
        if (im->bound[i][0] == v)
            return im->bound[i][1];
    ScVal ret = bind_parts(n, v);
    ret = ret == SC_ABSENT ? bind_all(n, v, count) : ret;
    if (im->n_bound == sizeof im->bound / sizeof *im->bound)
        im->n_bound = 0; /* a value that is bound twice costs little */
    im->bound[im->n_bound][0] = v;
    im->bound[im->n_bound++][1] = ret;
    return ret;
}

/* A step computes what the term says, and a symbol is bound to it. */
ScVal im_short_dims(const ImNode *n, ScVal v)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    const ScType *t = v < SC_FIRST || im_is_seq(v) ? NULL : im_type_of(n, v);
    if (!t || t->kind != SC_TYPE_TENSOR)
        return v;
    im_dims(t, dim);
    uint32_t most = sc_type_count(n->im->cx, t)->size > LONG_COUNT ? SHORT_TERM : LONG_TERM;
    for (uint32_t d = 0; d < t->rank; d++) {
        if (dim[d]->size <= most)
            continue;
        ScVal at =
            im_bind(n, im_build(n, &sc_op_term, IM_SET({"value", SC_TERMS(1, &dim[d])}), 0, NULL));
        dim[d] = sc_built(&n->im->b, at)->content[0];
    }
    return im_reshape(n, v, t->rank, dim);
}

/* Of operand i, or of what was made of it, `given`. */
static const ScTerm *const *content(const ImNode *n, uint32_t i, ScVal given, uint32_t *ret_n)
{
    ScVal at = given;
    int64_t count;
    const ScType *t = im_type_of(n, given);
    if (t->kind == SC_TYPE_POISON)
        return NULL;
    bool whole = t->kind == SC_TYPE_TENSOR && (scrt_dtype_kind(t->dtype) == SCRT_KIND_INT ||
                                               scrt_dtype_kind(t->dtype) == SCRT_KIND_UINT);
    if (whole && !are_short(n->im->cx, sc_built(&n->im->b, given))) {
        const ScTerm *const *computed = computed_content(n, i, ret_n);
        if (computed)
            return computed;
        at = im_bind(n, given);
    }
    const ScValue *v = sc_built(&n->im->b, at);
    if (at < SC_FIRST || !v->content || !sc_term_const(sc_type_count(n->im->cx, t), &count)) {
        const char *name = sc_built(&n->im->b, given)->name;
        sc_fail(n->im->cx, n->loc, SC_E_DYNAMIC, "operand %u, \"%s\"", i, name ? name : "");
        im_advise(n, i);
        note_loss(n, given);
        return NULL;
    }
    *ret_n = (uint32_t)count;
    return v->content;
}

const ScTerm *const *im_content(const ImNode *n, uint32_t i, uint32_t *ret_n)
{
    return content(n, i, im_in(n, i), ret_n);
}

const ScTerm *const *im_content_of(const ImNode *n, uint32_t i, uint32_t count)
{
    ScVal v = im_in(n, i);
    const ScType *t = im_type_of(n, v);
    const ScTerm *want = sc_term(n->im->cx, count);
    uint32_t got = 0;
    if (t->kind == SC_TYPE_TENSOR && t->rank == 1 && t->dim[0]->kind != SC_T_CONST)
        v = im_reshape(n, v, 1, &want);
    const ScTerm *const *ts = content(n, i, v, &got);
    if (ts && got != count)
        sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "operand %u has %u elements, %u are needed", i, got,
                count);
    return ts && got == count ? ts : NULL;
}

const int64_t *im_const_ints(const ImNode *n, uint32_t i, uint32_t *ret_n)
{
    const ScTerm *const *t = im_content(n, i, ret_n);
    if (!t)
        return NULL;
    int64_t *ret = sc_array(sc_ctx_arena(n->im->cx), int64_t, *ret_n ? *ret_n : 1);
    for (uint32_t k = 0; k < *ret_n; k++)
        if (!sc_term_const(t[k], &ret[k])) {
            sc_fail(n->im->cx, n->loc, SC_E_DYNAMIC, "operand %u must be constant", i);
            im_advise(n, i);
            note_loss(n, im_in(n, i));
            return NULL;
        }
    return ret;
}

bool im_require(const ImNode *n, ScGuardKind kind, const ScTerm *a, const ScTerm *b,
                const char *what)
{
    if (sc_build_require(&n->im->b, kind, a, b, what))
        return true;
    ScGuard g = {.kind = kind, .a = a, .b = b, .what = what};
    ScStr s = {0};
    sc_guard_text(&g, &s);
    sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "%s", sc_str_get(&s));
    sc_str_free(&s);
    return false;
}

const ScTerm *im_content1(const ImNode *n, uint32_t i)
{
    const ScTerm *const *t = im_content_of(n, i, 1);
    return t ? t[0] : NULL;
}

ScVal im_build(const ImNode *n, const ScOp *op, uint32_t n_set, const ImSet *set, uint32_t n_in,
               const ScVal *in)
{
    ScAttr attr[SC_MAX_ATTR] = {0};
    for (uint32_t i = 0; i < n_set; i++) {
        int at = sc_attr_index(op, set[i].name);
        if (at < 0)
            abort(); /* an adapter names an attribute that the row does not have */
        attr[at] = set[i].value;
    }
    return sc_node1(&n->im->b, op, attr, n_in, in);
}

Onnxpb__Attribute *im_new_attr(ScCtx *cx, const char *name)
{
    Onnxpb__Attribute *a = sc_new(sc_ctx_arena(cx), Onnxpb__Attribute);
    onnxpb__attribute__init(a);
    a->name = sc_strdup(sc_ctx_arena(cx), name);
    return a;
}
