/* SPDX-License-Identifier: Apache-2.0 */
/* What is added to a product or a convolution along its channels is its bias. */
#include <string.h>

#include "passes/match.h"

/* The operand of n that is its bias, which it has not; UINT32_MAX where there is none to have. */
static uint32_t free_bias(const ScNode *n)
{
    return n->op->bias && sc_bias(n) < 0 ? n->op->bias : UINT32_MAX;
}

/* The product n again with the addend, of n's extent at axis, as its bias; the caller has asked
 * free_bias for at. */
static ScVal with_bias(ScMatch *m, const ScNode *n, uint32_t at, const ScTerm *extent, ScVal addend)
{
    ScVal in[SC_MAX_IN];
    memcpy(in, n->in, n->n_in * sizeof *in);
    for (uint32_t k = n->n_in; k < at; k++)
        in[k] = SC_ABSENT;
    m->b.at = sc_loc_join(m->b.cx, n->loc, m->n->loc);
    in[at] = sc_reshaped(&m->b, addend, 1, &extent);
    if (sc_built_def(&m->b, addend)->op->flags & SC_CONST_OP) /* what a bias is, in all stages */
        sc_set_name(&m->b, in[at], sc_built(&m->b, addend)->name);
    return sc_node1(&m->b, n->op, n->attr, at + 1, in);
}

/* x W + b, with b along the last axis; a convolution's along the second. */
static ScVal bias(ScMatch *m)
{
    for (uint32_t i = 0; i < 2; i++) {
        ScVal product = m->in[i], addend = m->in[1 - i];
        if (product < SC_FIRST || addend < SC_FIRST || !match_used_once(m, i))
            continue;
        ScNode n = *sc_built_def(&m->b, product);
        uint32_t at = free_bias(&n);
        n.first = m->n->in[i]; /* rows ask the old graph */
        const ScType *t = match_type(m, product);
        if (at == UINT32_MAX || t != sc_type_of(m->g, m->n->first) || t->rank == 0)
            continue;
        uint32_t axis = sc_bias_axis(m->g, &n, t->rank);
        if (match_along(match_type(m, addend), t, axis))
            return with_bias(m, &n, at, t->dim[axis], addend);
    }
    return SC_POISON;
}

/* t is the last extents of `to`, after ones, and has as many elements as `extent` says. */
static bool last_extents(ScMatch *m, const ScType *t, const ScType *to, const ScTerm *extent)
{
    if (t->kind != SC_TYPE_TENSOR || t->rank > to->rank || sc_type_count(m->b.cx, t) != extent)
        return false;
    const ScTerm *const *last = to->dim + to->rank - t->rank;
    uint32_t d = 0;
    while (d < t->rank && sc_term_is(t->dim[d], 1))
        d++;
    return d == t->rank || memcmp(t->dim + d, last + d, (t->rank - d) * sizeof *last) == 0;
}

/* reshape(x W) + b, where the reshape splits the last axis and b has all of the parts. */
static ScVal reshaped_bias(ScMatch *m)
{
    for (uint32_t i = 0; i < 2; i++) {
        ScVal v = m->n->in[i], base = m->plain[v], addend = m->in[1 - i];
        const ScType *t = sc_type_of(m->g, v), *from = sc_type_of(m->g, base);
        if (base == v || t != sc_type_of(m->g, m->n->first) || from->rank == 0)
            continue;
        bool once = true;
        for (ScVal up = v; once; up = sc_def(m->g, up)->in[0]) {
            once = m->use.first[up + 1] - m->use.first[up] == 1;
            if (up == base)
                break;
            once = once && sc_is_view(sc_def(m->g, up));
        }
        ScNode n = *sc_built_def(&m->b, m->env[base]);
        uint32_t at = once && !n.op->bias_axis ? free_bias(&n) : UINT32_MAX;
        const ScTerm *extent = from->dim[from->rank - 1];
        if (at != UINT32_MAX && last_extents(m, match_type(m, addend), t, extent))
            return sc_reshaped(&m->b, with_bias(m, &n, at, extent, addend), t->rank, t->dim);
    }
    return SC_POISON;
}

const ScIdiom sc_idioms_bias[] = {
    {"bias of a product or convolution", &sc_op_add, bias},
    {"bias of a product, reshaped", &sc_op_add, reshaped_bias},
    {NULL, NULL, NULL},
};
