/* SPDX-License-Identifier: Apache-2.0 */
/* What a graph holds: bytes of constants, and where operands of products are narrow. */
#include "tools/libscalec/scalec.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct Blobs {
    const ScBlob **item;
    uint32_t n, cap;
} Blobs;

/* Numbers of n were rounded to its integers; those that were given, a picture's say, were not. */
static bool was_rounded(const ScGraph *g, const ScNode *n)
{
    return n->op->flags & SC_CONST_OP ||
           (n->op->flags & SC_CONVERTS && sc_type_is_float(sc_type_of(g, n->in[0])));
}

/* The integers of 8 bits or fewer from which v was scaled: as DequantizeLinear is taken apart, a
 * cast, a difference and a product stand between. v's own type where there are none. */
static ScrtDtype stored_as(const ScGraph *g, ScVal v)
{
    ScrtDtype own = sc_type_of(g, v)->dtype;
    for (int step = 0; step <= 3 && v >= SC_FIRST; step++) {
        ScrtDtype d = sc_type_of(g, v)->dtype;
        const ScNode *n = sc_def(g, v);
        if (n && scrt_dtype_is_integer(d) && scrt_dtype_bits(d) <= 8)
            return was_rounded(g, n) ? d : own;
        if (!n || !n->n_in)
            break;
        v = n->in[0];
    }
    return own;
}

static void count_product(const ScGraph *g, const ScNode *n, ScalecSummary *s)
{
    ScrtDtype least = SCRT_F32;
    uint32_t low = 0, all = 0, i = 0;
    for (uint32_t k = 0; k < n->n_in && k < 32; k++) {
        if (!(n->op->quantizable >> k & 1) || n->in[k] < SC_FIRST)
            continue;
        ScrtDtype d = stored_as(g, n->in[k]);
        bool narrow = scrt_dtype_bits(d) < 32;
        all++;
        low += narrow;
        if (narrow && scrt_dtype_bits(d) < scrt_dtype_bits(least))
            least = d;
    }
    s->n_product += all > 0;
    while (low && i < s->n_low && s->low[i].dtype != least)
        i++;
    if (!low || i == SCALEC_FORMATS)
        return;
    s->n_low += i == s->n_low;
    s->low[i].dtype = least;
    s->low[i].all += low == all;
    s->low[i].some += low < all;
}

static void look(const ScGraph *g, Blobs *b, ScalecSummary *s)
{
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        const ScBlob *data = n->op->flags & SC_CONST_OP ? n->attr[0].blob : NULL;
        if (data)
            sc_buf_push(b->item, b->n, b->cap, data->from ? data->from : data);
        count_product(g, n, s);
        for (uint32_t k = 0; k < n->op->n_sub; k++)
            look(n->sub[k], b, s);
    }
    for (uint32_t i = 0; i < g->n_state; i++)
        if (g->state[i].init)
            sc_buf_push(b->item, b->n, b->cap, g->state[i].init);
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return x < y ? -1 : x > y;
}

void scalec_summary(const ScGraph *g, ScalecSummary *ret)
{
    Blobs b = {0};
    *ret = (ScalecSummary){0};
    look(g, &b, ret);
    if (b.n)
        qsort(b.item, b.n, sizeof *b.item, by_address);
    for (uint32_t i = 0; i < b.n; i++) {
        size_t bytes;
        if ((i == 0 || b.item[i] != b.item[i - 1]) &&
            scrt_bytes(b.item[i]->dtype, b.item[i]->count, &bytes))
            ret->constants += bytes;
    }
    sc_buf_free(b.item);
}

/* --- What a model rounds ---------------------------------------------------------------------- */

/* The type that n, which is no constant, rounds its result r to; SCRT_DTYPE_NONE: to none below
 * f32. Integers round where they were made of floats and become floats again. */
static ScrtDtype rounds_to(const ScGraph *g, const ScNode *n, uint32_t r)
{
    const ScType *t = sc_type_of(g, n->first + r);
    if (!sc_type_is_float(t))
        return SCRT_DTYPE_NONE;
    if (scrt_dtype_bits(t->dtype) < 32)
        return t->dtype;
    if (!(n->op->flags & SC_CONVERTS) || n->in[0] < SC_FIRST)
        return SCRT_DTYPE_NONE;
    ScrtDtype d = sc_type_of(g, n->in[0])->dtype;
    const ScNode *from = sc_def(g, n->in[0]);
    bool codes = from && !(from->op->flags & SC_CONST_OP) && scrt_dtype_is_integer(d) &&
                 scrt_dtype_bits(d) <= 8 && was_rounded(g, from);
    return codes ? d : SCRT_DTYPE_NONE;
}

/* Of two such types the coarser one counts. */
static void meet(ScrtDtype *ret, ScrtDtype d)
{
    if (d != SCRT_DTYPE_NONE && (*ret == SCRT_DTYPE_NONE || *ret == SCRT_F16))
        *ret = d;
}

static ScrtDtype rounds_anywhere(const ScGraph *g)
{
    ScrtDtype ret = SCRT_DTYPE_NONE;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t r = 0; r < n->n_out && !(n->op->flags & SC_CONST_OP); r++)
            meet(&ret, rounds_to(g, n, r));
        for (uint32_t k = 0; k < n->op->n_sub; k++)
            meet(&ret, rounds_anywhere(n->sub[k]));
    }
    return ret;
}

/* What each value of g is rounded to, or one that it is made of: of[n_value]. A node with nested
 * graphs rounds as they do. A state's past value comes of the next one of an earlier run: true
 * where that says more of one. */
static bool find_rounding(const ScGraph *g, ScrtDtype *of)
{
    bool more = false;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->flags & SC_CONST_OP)
            continue;
        ScrtDtype d = SCRT_DTYPE_NONE;
        for (uint32_t k = 0; k < n->n_in; k++)
            meet(&d, of[n->in[k]]);
        for (uint32_t k = 0; k < n->op->n_sub; k++)
            meet(&d, rounds_anywhere(n->sub[k]));
        for (uint32_t r = 0; r < n->n_out && n->op->n_sub; r++)
            meet(&d, rounds_to(g, n, r));
        for (uint32_t r = 0; r < n->n_out; r++) {
            meet(&of[n->first + r], d);
            meet(&of[n->first + r], rounds_to(g, n, r));
        }
    }
    for (uint32_t i = 0; i < g->n_state; i++) {
        ScrtDtype *past = &of[g->state[i].past], before = *past;
        meet(past, of[g->state[i].next]);
        more = more || *past != before;
    }
    return more;
}

json_t *scalec_rounding(const ScGraph *g)
{
    json_t *ret = json_object();
    ScrtDtype *of = sc_calloc(g->n_value, sizeof *of);
    while (find_rounding(g, of))
        ;
    for (uint32_t i = 0; i < g->n_out; i++) {
        const char *name = g->out_name[i];
        ScrtDtype d = of[g->out[i]];
        if (d != SCRT_DTYPE_NONE && name && strlen(name) < SCALEC_INFO_NAME)
            json_object_set_new(ret, name, json_string(scrt_dtype_name(d)));
    }
    free(of);
    return ret;
}
