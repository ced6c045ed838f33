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

static bool makes_needed(const ScNode *n, const bool *needed)
{
    bool any = false;
    for (uint32_t r = 0; r < n->n_out && !any; r++)
        any = needed[n->first + r];
    return any;
}

/* Of all nodes; needed, if given, says whose values count. */
static void find_rounding(const ScGraph *g, const bool *needed, ScrtDtype *ret)
{
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        bool any = !needed || makes_needed(n, needed);
        for (uint32_t r = 0; r < n->n_out && any && !(n->op->flags & SC_CONST_OP); r++)
            if (!needed || needed[n->first + r] || n->op->n_sub)
                meet(ret, rounds_to(g, n, r));
        for (uint32_t k = 0; k < n->op->n_sub && any; k++)
            find_rounding(n->sub[k], NULL, ret);
    }
}

/* What v needs, in needed[n_value]. A state's past value comes of the next one of an earlier run,
 * so that walks back too, until nothing new is found. */
static void find_needed(const ScGraph *g, ScVal v, bool *needed)
{
    bool more = true;
    needed[v] = true;
    while (more) {
        more = false;
        for (uint32_t i = g->n_node; i-- > 0;) {
            const ScNode *n = &g->node[i];
            bool any = makes_needed(n, needed);
            for (uint32_t k = 0; k < n->n_in && any; k++)
                needed[n->in[k]] = true;
        }
        for (uint32_t i = 0; i < g->n_state; i++)
            if (needed[g->state[i].past] && !needed[g->state[i].next])
                more = needed[g->state[i].next] = true;
    }
}

json_t *scalec_rounding(const ScGraph *g)
{
    json_t *ret = json_object();
    bool *needed = malloc(g->n_value * sizeof *needed);
    if (!needed)
        abort();
    for (uint32_t i = 0; i < g->n_out; i++) {
        const char *name = g->out_name[i];
        ScrtDtype d = SCRT_DTYPE_NONE;
        memset(needed, 0, g->n_value * sizeof *needed);
        find_needed(g, g->out[i], needed);
        find_rounding(g, needed, &d);
        if (d != SCRT_DTYPE_NONE && name && strlen(name) < SCALEC_INFO_NAME)
            json_object_set_new(ret, name, json_string(scrt_dtype_name(d)));
    }
    free(needed);
    return ret;
}
