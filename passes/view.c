/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about chains of views: where the elements of a view lie in the buffer beneath. */
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

ScVal sc_view_plain_base(const ScGraph *g, ScVal v)
{
    uint32_t n = 0, cap = 0, *chain = NULL;
    ScVal best = v, base = v;
    ScView view;
    while (sc_is_view(sc_def(g, base))) {
        sc_buf_push(chain, n, cap, g->value[base].node);
        base = sc_def(g, base)->in[0];
        if (sc_type_count(g->cx, sc_type_of(g, base)) == sc_type_count(g->cx, sc_type_of(g, v)) &&
            sc_view_chain(g, base, n, chain, &view) && sc_view_is_plain(g->cx, &view))
            best = base;
    }
    sc_buf_free(chain);
    return best;
}
