/* SPDX-License-Identifier: Apache-2.0 */
/* Tensor types: interned, printed, parsed. */
#include "ir/ir.h"

#include <assert.h>
#include <string.h>

/* There are n_dim, of which rank count. Without any, dim is no null pointer either: what an axis
 * is counted from must be one that may be counted from. */
static const ScType *intern(ScCtx *cx, ScTypeKind kind, ScrtDtype dtype, uint32_t rank,
                            uint32_t n_dim, const ScTerm *const *dim)
{
    static const ScTerm *const none[1];
    ScType t;
    memset(&t, 0, sizeof t); /* padding is compared too */
    t.kind = kind;
    t.dtype = dtype;
    t.rank = rank;
    t.dim = n_dim ? sc_intern_bytes(cx, dim, n_dim * sizeof *dim) : none;
    return sc_intern_bytes(cx, &t, sizeof t);
}

const ScType *sc_type(ScCtx *cx, ScrtDtype dtype, uint32_t rank, const ScTerm *const *dim)
{
    return intern(cx, SC_TYPE_TENSOR, dtype, rank, rank, dim);
}

const ScType *sc_type_c(ScCtx *cx, ScrtDtype dtype, uint32_t rank, const int64_t *dim)
{
    const ScTerm *t[SCRT_MAX_RANK];
    assert(rank <= SCRT_MAX_RANK);
    for (uint32_t i = 0; i < rank; i++)
        t[i] = sc_term(cx, dim[i]);
    return sc_type(cx, dtype, rank, t);
}

const ScType *sc_type_poison(ScCtx *cx)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    for (uint32_t i = 0; i < SCRT_MAX_RANK; i++)
        dim[i] = sc_term_sym(cx, "?");
    return intern(cx, SC_TYPE_POISON, SCRT_DTYPE_NONE, 0, SCRT_MAX_RANK, dim);
}

const ScType *sc_type_absent(ScCtx *cx)
{
    return intern(cx, SC_TYPE_ABSENT, SCRT_DTYPE_NONE, 0, 0, NULL);
}

const ScType *sc_type_with(ScCtx *cx, const ScType *t, ScrtDtype dtype)
{
    return t->kind != SC_TYPE_TENSOR || t->dtype == dtype ? t : sc_type(cx, dtype, t->rank, t->dim);
}

bool sc_type_same_shape(const ScType *a, const ScType *b)
{
    return a->kind == b->kind && a->rank == b->rank && a->dim == b->dim; /* interned */
}

bool sc_type_is_float(const ScType *t)
{
    return t->kind == SC_TYPE_TENSOR && scrt_dtype_is_float(t->dtype);
}

const ScTerm *sc_type_count(ScCtx *cx, const ScType *t)
{
    const ScTerm *n = sc_term(cx, 1);
    for (uint32_t i = 0; i < t->rank; i++)
        n = sc_term_mul(cx, n, t->dim[i]);
    return n;
}

bool sc_type_const_dims(const ScType *t, int64_t *ret)
{
    for (uint32_t i = 0; i < t->rank; i++)
        if (!sc_term_const(t->dim[i], NULL))
            return false;
    for (uint32_t i = 0; ret && i < t->rank; i++)
        ret[i] = t->dim[i]->c;
    return true;
}

void sc_type_print(const ScType *t, ScStr *out)
{
    if (t->kind != SC_TYPE_TENSOR) {
        sc_str_add(out, t->kind == SC_TYPE_POISON ? "poison" : "_");
        return;
    }
    sc_str_addf(out, "%s[", scrt_dtype_name(t->dtype));
    for (uint32_t i = 0; i < t->rank; i++) {
        sc_str_add(out, i ? "," : "");
        sc_term_print(t->dim[i], out);
    }
    sc_str_add(out, "]");
}

const ScType *sc_type_parse(ScCtx *cx, const char **p)
{
    const char *q = *p;
    while ((*q >= 'a' && *q <= 'z') || (*q >= '0' && *q <= '9'))
        q++;
    ScrtDtype dtype = scrt_dtype_find(*p, (size_t)(q - *p));
    if (dtype == SCRT_DTYPE_NONE)
        return NULL;
    *p = q;
    if (*q != '[')
        return NULL;
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t rank = 0;
    bool more = *++q != ']';
    while (more) {
        if (rank < SCRT_MAX_RANK)
            dim[rank] = sc_term_parse(cx, &q);
        *p = q;
        if (rank == SCRT_MAX_RANK || !dim[rank] || (*q != ',' && *q != ']'))
            return NULL;
        rank++;
        more = *q == ',';
        q += more;
    }
    *p = q + 1;
    return sc_type(cx, dtype, rank, dim);
}
