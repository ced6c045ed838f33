/* SPDX-License-Identifier: Apache-2.0 */
/* Products of flattened rows. Exporters write a linear layer on [batch, position, k] as a reshape
 * to [batch * position, k], a product, and a reshape back; what follows, a residual or an
 * activation of several nodes, then stands behind a view and outside the product's kernel. Here the
 * product takes the rows as they are, for its rows run over leading extents anyway, and the views
 * around it meet. */
#include "passes/passes_priv.h"

#include <string.h>

/* Dims of t before the last ones, whose product is k; 0 where there are not at least two, or what
 * follows is not k. */
static uint32_t leading(ScCtx *cx, const ScType *t, const ScTerm *k)
{
    const ScTerm *inner = sc_term(cx, 1);
    uint32_t n = t->rank;
    while (n > 2 && inner != k)
        inner = sc_term_mul(cx, inner, t->dim[--n]);
    return inner == k && n < t->rank && n >= 2 ? n : 0;
}

/* The value in the views above a, closest first, that has a's elements in a's order and more
 * extents than rows and k; SC_ABSENT where there is none. */
static ScVal unflattened(const ScGraph *g, const ScVal *plain, ScVal a, const ScTerm *k)
{
    ScVal v = a;
    while (sc_is_view(sc_def(g, v))) {
        v = sc_def(g, v)->in[0];
        if (plain[v] != plain[a])
            return SC_ABSENT;
        if (leading(g->cx, sc_type_of(g, v), k))
            return v;
    }
    return SC_ABSENT;
}

/* The leading extents of t are as many rows as there are in a. Where the elements are as many and a
 * row has some, they are: only of rows of nothing, [3,0], may a reshape make any others, [5,0]. */
static bool same_rows(ScCtx *cx, const ScType *t, uint32_t n_lead, const ScType *a)
{
    int64_t k;
    const ScTerm *rows = sc_term(cx, 1);
    for (uint32_t d = 0; d < n_lead; d++)
        rows = sc_term_mul(cx, rows, t->dim[d]);
    return rows == a->dim[0] || (sc_term_const(a->dim[1], &k) && k > 0);
}

/* A bias that does not depend on the row. */
static bool bias_fits(const ScGraph *g, const ScNode *n)
{
    int at = sc_bias(n);
    const ScType *t = at < 0 ? NULL : sc_type_of(g, n->in[at]);
    return !n->op->bias_axis && (!t || t->rank < 2 || sc_term_is(t->dim[t->rank - 2], 1));
}

/* Row matmul of x and n's matrix, which may lie transposed. */
static ScVal of_matrix(ScBuild *b, const ScGraph *g, const ScNode *n, bool trans_b, ScVal x,
                       const ScVal *env)
{
    ScVal in[3] = {x, env[n->in[1]], SC_ABSENT};
    if (trans_b)
        in[1] = sc_annotated(
            b, sc_op_at(b, transpose, SC_ATTRS(SC_INTS(2, ((int64_t[]){1, 0}))), in[1]),
            &g->value[n->in[1]]);
    int bias = sc_bias(n), out = sc_attr_index(n->op, "out");
    if (bias >= 0)
        in[2] = env[n->in[bias]];
    return sc_node1(b, &sc_op_matmul, SC_ATTRS(n->attr[out]), bias >= 0 ? 3 : 2, in);
}

/* n's own row, which takes x of any rank and needs the scales of its blocks. */
static ScVal of_blocks(ScBuild *b, const ScNode *n, ScVal x, const ScVal *env)
{
    ScVal in[SC_MAX_IN] = {x};
    for (uint32_t i = 1; i < n->n_in; i++)
        in[i] = env[n->in[i]];
    return sc_node1(b, n->op, n->attr, n->n_in, in);
}

/* The product n again, on rows of more extents than one; SC_ABSENT where n is not of the kind. */
static ScVal on_rows(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *plain,
                     const ScVal *env)
{
    ScContract c = {0};
    if (!n->op->contract)
        return SC_ABSENT;
    n->op->contract(g, n, &c);
    const ScType *a = sc_type_of(g, n->in[0]), *w = sc_type_of(g, n->in[1]);
    if (c.trans_a || a->rank != 2 || w->rank != 2 || !bias_fits(g, n))
        return SC_ABSENT;
    ScVal x = unflattened(g, plain, n->in[0], a->dim[1]);
    if (x == SC_ABSENT)
        return SC_ABSENT;
    const ScTerm *dim[SCRT_MAX_RANK];
    const ScType *from = sc_type_of(g, x), *to = sc_type_of(g, n->first);
    uint32_t n_lead = leading(g->cx, from, a->dim[1]);
    if (!same_rows(g->cx, from, n_lead, a))
        return SC_ABSENT;
    memcpy(dim, from->dim, n_lead * sizeof *dim);
    dim[n_lead] = a->dim[1];
    b->at = n->loc;
    ScVal data = sc_annotated(b, sc_reshaped(b, env[x], n_lead + 1, dim), &g->value[x]);
    ScVal y = c.block ? of_blocks(b, n, data, env) : of_matrix(b, g, n, c.trans_b, data, env);
    sc_annotated(b, y, &g->value[n->first]);
    return sc_reshaped(b, y, 2, to->dim);
}

ScGraph *sc_fuse_rows(ScCtx *cx, const ScGraph *g)
{
    SC_PASS(cx, g, b, env);
    const ScVal *plain = sc_view_plain_bases(g, sc_pass_scratch(env));
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->flags & SC_BARRIER)
            continue;
        ScVal y = on_rows(&b, g, n, plain, env);
        if (y == SC_ABSENT) {
            sc_copy_node(&b, g, n, sc_map(env, n), &env[n->first]);
            continue;
        }
        sc_set_name(&b, y, g->value[n->first].name);
        env[n->first] = y;
    }
    return sc_pass_end(&b, env);
}
