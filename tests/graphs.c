/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/graphs.h"

#include "runtime/handles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t sct_random(uint64_t *r) /* splitmix64, Steele and others, public domain */
{
    uint64_t z = *r += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double sct_uniform(uint64_t *r, double lo, double hi)
{
    return lo + (hi - lo) * (double)(sct_random(r) >> 11) * 0x1p-53;
}

int64_t sct_between(uint64_t *r, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(sct_random(r) % (uint64_t)(hi - lo + 1));
}

const char *sct_messages(ScCtx *cx)
{
    static ScStr s;
    sc_str_free(&s);
    s = (ScStr){0};
    for (uint32_t i = 0; i < sc_n_diags(cx); i++) {
        sc_diag_text(sc_diag(cx, i), &s);
        sc_str_add(&s, "\n");
    }
    return sc_str_get(&s);
}

const char *sct_print(const ScGraph *g)
{
    static ScStr s;
    sc_str_free(&s);
    s = (ScStr){0};
    sc_print(g, 0, &s);
    return sc_str_get(&s);
}

ScGraph *sct_graph(ScCtx *cx, const char *text)
{
    ScGraph *g = sc_parse(cx, "test", text, NULL, NULL);
    ck_assert_msg(g != NULL, "%s\nin\n%s", sct_messages(cx), text);
    return g;
}

void sct_round_trip(const ScGraph *g)
{
    ScStr first = {0}, why = {0};
    ScArena *a = sc_arena_new();
    ScBlobSource src = sc_graph_blobs(g, a);
    sc_print(g, 0, &first);
    ck_assert_msg(sc_verify(g, NULL), "%s\n%s", sct_messages(g->cx), sc_str_get(&first));
    ScGraph *back = sc_parse(g->cx, "back", sc_str_get(&first), &src, NULL);
    ck_assert_msg(back != NULL, "%s\n%s", sct_messages(g->cx), sc_str_get(&first));
    ck_assert_msg(sc_graph_equal(g, back, &why), "%s\n%s", sc_str_get(&why), sc_str_get(&first));
    ck_assert_str_eq(sct_print(back), sc_str_get(&first));
    ck_assert_uint_eq(sc_graph_hash(g), sc_graph_hash(back));
    sc_graph_free(back);
    sc_arena_free(a);
    sc_str_free(&first);
    sc_str_free(&why);
}

ScrtDtype sct_dtype_for(ScOperandClass cls)
{
    switch (cls) {
    case SC_IS_INT:
    case SC_IS_SHAPE:
        return SCRT_I64;
    case SC_IS_BOOL:
        return SCRT_BOOL;
    case SC_IS_STRING:
        return SCRT_STRING;
    default:
        return SCRT_F32;
    }
}

/* Handles of strings that are always there. */
static void fill_strings(ScrtTensor *t, uint64_t *r)
{
    static const struct {
        uint64_t n;
        char bytes[16];
    } word[] = {{1, "a"},
                {1, "b"},
                {5, "a.b.c"},
                {3, "a b"},
                {7, "\xc3\x9cml aut"},
                {6, "x..y.b"},
                {6, "Monday"},
                {6, " a  b "},
                {4, "1e-3"},
                {2, "12"},
                {6, "\xce\x91\xce\x92\xce\x93"},
                {3, "a\0b"}};
    const int64_t n = sizeof word / sizeof *word;
    for (int64_t i = 0; i < scrt_count(t); i++) {
        int64_t k = sct_between(r, 0, n);
        ((const void **)t->data)[i] = k < n ? (const void *)&word[k] : NULL;
    }
}

void sct_fill(ScrtTensor *t, uint64_t *r, double lo, double hi)
{
    ScrtDtype dtype = (ScrtDtype)t->dtype;
    ck_assert_int_eq(scrt_tensor_alloc(t), SCRT_OK);
    if (dtype == SCRT_STRING)
        fill_strings(t, r);
    for (int64_t i = 0; i < scrt_count(t) && dtype != SCRT_STRING; i++) {
        if (scrt_dtype_is_float(dtype))
            scrt_store(dtype, t->data, (size_t)i, sct_uniform(r, lo, hi), true);
        else if (scrt_dtype_kind(dtype) == SCRT_KIND_BOOL)
            scrt_store_int(dtype, t->data, (size_t)i, sct_between(r, 0, 1));
        else if (scrt_dtype_kind(dtype) == SCRT_KIND_INT && scrt_dtype_bits(dtype) >= 8)
            scrt_store_int(dtype, t->data, (size_t)i, sct_between(r, -8, 8));
        else
            scrt_store_int(dtype, t->data, (size_t)i, sct_between(r, 0, 1));
    }
}

ScrtTensor *sct_inputs(const ScGraph *g, uint64_t *r, double lo, double hi, uint32_t n_env,
                       const ScBinding *env)
{
    ScrtTensor *t = calloc(g->n_in + 1u, sizeof *t);
    ck_assert_ptr_nonnull(t);
    for (uint32_t i = 0; i < g->n_in; i++) {
        const ScType *type = sc_type_of(g, g->in[i]);
        t[i] = (ScrtTensor){.dtype = type->dtype, .rank = type->rank};
        for (uint32_t k = 0; k < type->rank; k++)
            ck_assert(sc_term_eval(type->dim[k], n_env, env, &t[i].dims[k]));
        sct_fill(&t[i], r, lo, hi);
    }
    return t;
}

void sct_free(ScrtTensor *t, uint32_t n)
{
    for (uint32_t i = 0; t && i < n; i++)
        scrt_free(t[i].data);
    free(t);
}

bool sct_same_bits(const ScrtTensor *a, const ScrtTensor *b)
{
    if (a->dtype != b->dtype || a->rank != b->rank ||
        memcmp(a->dims, b->dims, a->rank * sizeof *a->dims) != 0)
        return false;
    ScrtDtype t = (ScrtDtype)a->dtype;
    size_t bytes, n = (size_t)scrt_count(a);
    for (size_t i = 0; i < n && t == SCRT_STRING; i++)
        if (!scrt_strings_equal(a, b, (int64_t)i))
            return false;
    if (t == SCRT_STRING)
        return true;
    if (!scrt_bytes(t, n, &bytes) || memcmp(a->data, b->data, bytes) == 0)
        return bytes == 0 || memcmp(a->data, b->data, bytes) == 0;
    for (size_t i = 0; i < n && scrt_dtype_is_float(t); i++) {
        double x = scrt_load(t, a->data, i), y = scrt_load(t, b->data, i);
        if (!(isnan(x) && isnan(y)) && memcmp(&x, &y, sizeof x) != 0)
            return false;
    }
    return scrt_dtype_is_float(t);
}
