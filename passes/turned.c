/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of 8 bits that are dequantized and turned, as a linear layer's are that stores a row for
 * each output: turned first, as the codes that they are, with what they are dequantized with. Not
 * an element changes; and a product finds integers where it looks for them. */
#include "passes/passes_priv.h"

enum { STEPS = 3, MOST_VIEWS = 4 }; /* cast, sub, mul; views in a row */

/* A product or convolution, or views on the way to them, are all that reads old value v. */
static bool is_weight(const ScGraph *g, const ScUses *use, ScVal v, uint32_t depth)
{
    bool ret = use->first[v] < use->first[v + 1] && depth < MOST_VIEWS;
    for (uint32_t u = use->first[v]; ret && u < use->first[v + 1]; u++) {
        const ScUse *at = &use->use[u];
        const ScNode *n = at->node == UINT32_MAX ? NULL : &g->node[at->node];
        ret = n && (sc_is_view(n) ? is_weight(g, use, n->first, depth + 1)
                                  : at->operand == 1 && (n->op->conv || n->op->contract));
    }
    return ret;
}

/* New value p, with which something of this type is computed, where view n turns that; poison where
 * it cannot be said. */
static ScVal parameter(ScBuild *b, const ScNode *n, ScVal p, const ScType *type, uint32_t to_rank)
{
    const ScType *t = sc_built(b, p)->type;
    const ScTerm *dim[SCRT_MAX_RANK];
    if (sc_term_is(sc_type_count(b->cx, t), 1) && t->rank <= to_rank)
        return p;
    if (n->op != &sc_op_transpose || t->rank > type->rank)
        return SC_POISON;
    for (uint32_t d = 0, one = type->rank - t->rank; d < type->rank; d++)
        dim[d] = d < one ? sc_term(b->cx, 1) : t->dim[d - one];
    ScVal x = sc_reshaped(b, p, type->rank, dim);
    return sc_node1(b, n->op, n->attr, 1, &x);
}

/* View n of new value v, codes of 8 bits that a cast and then a sub, a mul or both, of parameters,
 * dequantize, in so many steps: below these. Poison where v is something else. */
static ScVal below(ScBuild *b, const ScNode *n, ScVal v, uint32_t to_rank, uint32_t steps)
{
    const ScNode def = *sc_built_def(b, v);
    const ScType *t = sc_built(b, v)->type;
    const bool cast = def.op == &sc_op_cast;
    if (!steps || (!cast && def.op != &sc_op_sub && def.op != &sc_op_mul))
        return SC_POISON;
    const ScVal x = def.in[0], p = cast ? SC_ABSENT : def.in[1];
    const ScType *from = sc_built(b, x)->type;
    if (!sc_type_same_shape(from, t) || t->dtype != SCRT_F32 ||
        (cast && from->dtype != SCRT_I8 && from->dtype != SCRT_U8))
        return SC_POISON;
    ScVal in[2] = {SC_POISON, cast ? SC_ABSENT : parameter(b, n, p, t, to_rank)};
    if (in[1] != SC_POISON)
        in[0] = cast ? sc_node1(b, n->op, n->attr, 1, &x) : below(b, n, x, to_rank, steps - 1);
    return in[0] == SC_POISON ? in[0] : sc_node1(b, def.op, def.attr, def.n_in, in);
}

ScGraph *sc_turn_weights(ScCtx *cx, const ScGraph *g, const bool *constant)
{
    bool any = false;
    SC_PASS(cx, g, b, env);
    ScUses use = sc_uses(g, sc_pass_scratch(env));
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        ScVal y = SC_POISON;
        if (n->op->flags & SC_BARRIER)
            continue;
        b.at = n->loc;
        if (sc_is_view(n) && n->n_in == 1 && constant[n->first] && is_weight(g, &use, n->first, 0))
            y = below(&b, n, env[n->in[0]], sc_type_of(g, n->first)->rank, STEPS);
        any |= y != SC_POISON;
        if (y == SC_POISON)
            sc_copy_node(&b, g, n, sc_map(env, n), &env[n->first]);
        else
            sc_set_name(&b, env[n->first] = y, g->value[n->first].name);
    }
    return any ? sc_pass_end(&b, env) : sc_pass_drop(&b, env);
}
