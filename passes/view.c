/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about chains of views: where the elements of a view lie in the buffer beneath. */
#include <string.h>

#include "passes/passes_priv.h"

void sc_view_of(ScCtx *cx, const ScType *t, ScView *ret)
{
    *ret = (ScView){.rank = t->rank, .offset = sc_term(cx, 0)};
    const ScTerm *stride = sc_term(cx, 1);
    for (uint32_t d = t->rank; d-- > 0;) {
        ret->dim[d] = t->dim[d];
        ret->stride[d] = stride;
        stride = sc_term_mul(cx, stride, t->dim[d]);
    }
}

bool sc_view_is_plain(ScCtx *cx, const ScView *v)
{
    const ScTerm *stride = sc_term(cx, 1);
    for (uint32_t d = v->rank; d-- > 0;) {
        if (sc_term_is(v->dim[d], 1))
            continue; /* its stride is never taken */
        if (v->stride[d] != stride)
            return false;
        stride = sc_term_mul(cx, stride, v->dim[d]);
    }
    return sc_term_is(v->offset, 0);
}

bool sc_is_view(const ScNode *n)
{
    return n->op->lower.cls == SC_VIEW && n->n_in == 1 && n->n_out == 1;
}

bool sc_view_chain(const ScGraph *g, ScVal base, uint32_t n_chain, const uint32_t *chain,
                   ScView *ret)
{
    sc_view_of(g->cx, sc_type_of(g, base), ret);
    for (uint32_t i = n_chain; i-- > 0;) {
        const ScNode *n = &g->node[chain[i]];
        if (!n->op->view || !n->op->view(g->cx, g, n, ret))
            return false;
    }
    return true;
}

/* --- Values that hold the same elements in the same order ------------------------------------- */

/* The order in which a value reads a buffer: extents and strides without extents of 1, those that
 * follow each other evenly joined, and the offset. Equal orders are equal words. */
typedef struct Order {
    uint32_t hash, n;
    ScVal root, first;         /* the buffer's value; the first value that reads it so, 0: free */
    const ScTerm *const *word; /* [n] */
} Order;

typedef struct Plain {
    const ScGraph *g;
    ScArena *a;
    Order *order; /* [cap], a power of two, at most half full */
    uint32_t cap;
    ScVal *base, *root;  /* [n_value] */
    const ScView **view; /* [n_value] over the root's buffer; NULL: it is a root */
} Plain;

static Order order_of(Plain *p, ScVal root, const ScView *v)
{
    const ScTerm *word[2 * SCRT_MAX_RANK + 1];
    uint32_t n = 0;
    for (uint32_t d = 0; d < v->rank; d++) {
        if (sc_term_is(v->dim[d], 1))
            continue;
        bool joins = n && word[n - 1] == sc_term_mul(p->g->cx, v->stride[d], v->dim[d]);
        if (joins) {
            word[n - 2] = sc_term_mul(p->g->cx, word[n - 2], v->dim[d]);
            word[n - 1] = v->stride[d];
        } else {
            word[n++] = v->dim[d];
            word[n++] = v->stride[d];
        }
    }
    word[n++] = v->offset;
    uint64_t h = root;
    for (uint32_t i = 0; i < n; i++)
        h = sc_hash_word(h, (uintptr_t)word[i]);
    return (Order){(uint32_t)(h ^ h >> 32), n, root, SC_POISON,
                   sc_memdup(p->a, word, n * sizeof *word)};
}

/* The first value that reads root's buffer in this order; v where there was none. */
static ScVal first_of(Plain *p, ScVal v, ScVal root, const ScView *view)
{
    Order o = order_of(p, root, view);
    uint32_t k = o.hash & (p->cap - 1);
    for (; p->order[k].first; k = (k + 1) & (p->cap - 1)) {
        const Order *q = &p->order[k];
        if (q->hash == o.hash && q->root == root && q->n == o.n &&
            memcmp(q->word, o.word, o.n * sizeof *o.word) == 0)
            return q->first;
    }
    o.first = v;
    p->order[k] = o;
    return v;
}

static bool overflowed(const ScView *v)
{
    bool bad = sc_term_overflowed(v->offset);
    for (uint32_t d = 0; d < v->rank; d++)
        bad = bad || sc_term_overflowed(v->dim[d]) || sc_term_overflowed(v->stride[d]);
    return bad;
}

/* v is a view of u. */
static void look(Plain *p, const ScNode *n, ScVal v, ScVal u)
{
    const ScGraph *g = p->g;
    ScView view;
    ScVal root = p->root[u];
    if (p->view[u])
        view = *p->view[u];
    else
        sc_view_of(g->cx, sc_type_of(g, u), &view);
    if (!n->op->view || !n->op->view(g->cx, g, n, &view) || overflowed(&view)) {
        root = p->base[u]; /* begins anew: u is a reshape of its base */
        sc_view_of(g->cx, sc_type_of(g, u), &view);
        if (!n->op->view || !n->op->view(g->cx, g, n, &view) || overflowed(&view))
            return;
    }
    ScView whole;
    sc_view_of(g->cx, sc_type_of(g, root), &whole);
    first_of(p, root, root, &whole);
    p->root[v] = root;
    p->view[v] = sc_memdup(p->a, &view, sizeof view);
    p->base[v] = first_of(p, v, root, &view);
}

const ScVal *sc_view_plain_bases(const ScGraph *g, ScArena *a)
{
    Plain p = {.g = g, .a = a, .cap = 16};
    while (p.cap < 4 * g->n_value) /* a view enters itself and perhaps its root */
        p.cap *= 2;
    p.order = sc_array(a, Order, p.cap);
    p.base = sc_array(a, ScVal, g->n_value);
    p.root = sc_array(a, ScVal, g->n_value);
    p.view = sc_array(a, const ScView *, g->n_value);
    for (ScVal v = 0; v < g->n_value; v++)
        p.base[v] = p.root[v] = v;
    for (uint32_t i = 0; i < g->n_node; i++)
        if (sc_is_view(&g->node[i]))
            look(&p, &g->node[i], g->node[i].first, g->node[i].in[0]);
    return p.base;
}
