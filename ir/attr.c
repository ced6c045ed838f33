/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes: compared, and interned for the builder. */
#include "ir/op.h"

#include <assert.h>
#include <string.h>

/* Bytes of the payload behind the pointer of a plural kind; *ret_p is that pointer. 0 for others.
 */
static size_t payload(const ScAttr *a, const void **ret_p)
{
    switch (a->kind) {
    case SC_A_INTS:
        *ret_p = a->is;
        return a->n * sizeof *a->is;
    case SC_A_FLOATS:
        *ret_p = a->fs;
        return a->n * sizeof *a->fs;
    case SC_A_STRS:
        *ret_p = a->ss;
        return a->n * sizeof *a->ss;
    case SC_A_TERMS:
        *ret_p = a->ts;
        return a->n * sizeof *a->ts;
    default:
        *ret_p = NULL;
        return 0;
    }
}

static bool is_plural(ScAttrKind kind)
{
    return kind >= SC_A_INTS;
}

bool sc_attr_equal(const ScAttr *a, const ScAttr *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case SC_A_NONE:
        return true;
    case SC_A_INT:
        return a->i == b->i;
    case SC_A_FLOAT:
        return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case SC_A_STR:
        return strcmp(a->s, b->s) == 0; /* a row's default is not interned */
    case SC_A_DTYPE:
        return a->dtype == b->dtype;
    case SC_A_BLOB:
        return a->blob == b->blob;
    default:
        break;
    }
    const void *p, *q;
    size_t n = payload(a, &p);
    return a->n == b->n && payload(b, &q) == n && (n == 0 || p == q || memcmp(p, q, n) == 0);
}

/* With everything that equality ignores zero, and the payload interned. ret is zeroed. */
static void canonical(ScCtx *cx, const ScAttr *a, ScAttr *ret)
{
    const void *p;
    size_t n = payload(a, &p);
    ret->kind = a->kind;
    if (is_plural(a->kind)) {
        ret->n = a->n;
        ret->is = sc_intern_bytes(cx, p, n); /* the pointers share their place */
    } else if (a->kind == SC_A_DTYPE) {
        ret->dtype = a->dtype;
    } else if (a->kind == SC_A_STR) {
        ret->s = sc_intern(cx, a->s);
    } else if (a->kind != SC_A_NONE) {
        ret->i = a->i; /* 64 bits of an int, a float or a pointer */
    }
}

const ScAttr *sc_attr_intern(ScCtx *cx, uint32_t n, const ScAttr *a)
{
    ScAttr c[SC_MAX_ATTR];
    assert(n <= SC_MAX_ATTR);
    if (n == 0)
        return NULL;
    memset(c, 0, n * sizeof *c);
    for (uint32_t i = 0; i < n; i++)
        canonical(cx, &a[i], &c[i]);
    return sc_intern_bytes(cx, c, n * sizeof *c);
}

int sc_attr_index(const ScOp *op, const char *name)
{
    for (uint32_t i = 0; i < op->n_attr; i++)
        if (strcmp(op->attr[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool sc_attrs_known(const ScNode *n)
{
    int64_t x;
    for (uint32_t i = 0; i < n->op->n_attr; i++)
        for (uint32_t k = 0; n->attr[i].kind == SC_A_TERMS && k < n->attr[i].n; k++)
            if (!sc_term_const(n->attr[i].ts[k], &x))
                return false;
    return true;
}
