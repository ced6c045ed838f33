/* SPDX-License-Identifier: Apache-2.0 */
/* Idioms that exporters write in small operators become the one operator they are: better scales
 * (a raised normalisation grows as a whole, see SCALES), fewer roundings, and rows that more is
 * known about. What a rule took apart stays if somebody else uses it.
 *
 * A rule looks from the idiom's last node upward in the new graph, so that rules build on each
 * other: a bias joins the gemm that a rule before it made. The rules are in raise_FAMILY.c, in the
 * words of match.h. */
#include "passes/match.h"

static const ScIdiom *const family[] = {
    sc_idioms_softmax,   sc_idioms_gelu,     sc_idioms_norms,   sc_idioms_activations,
    sc_idioms_attention, sc_idioms_channels, sc_idioms_bias,    sc_idioms_stored,
    sc_idioms_blocks,    sc_idioms_rotary,   sc_idioms_one_hot, sc_idioms_integers,
};

/* What one of the idioms makes of the node, or SC_POISON. */
static ScVal apply(ScMatch *m)
{
    ScVal v = SC_POISON;
    for (size_t f = 0; f < sizeof family / sizeof *family; f++)
        for (const ScIdiom *i = family[f]; v == SC_POISON && i->op; i++)
            v = i->op == m->n->op ? i->apply(m) : SC_POISON;
    return v;
}

ScGraph *sc_pass_raise(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    ScMatch m = {.g = g};
    bool raised = false;
    m.env = sc_pass_begin(&m.b, cx, g);
    m.use = sc_uses(g, sc_pass_scratch(m.env));
    m.plain = sc_view_plain_bases(g, sc_pass_scratch(m.env));
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = m.n = &g->node[i];
        ScVal *out = &m.env[n->first];
        if (n->op->flags & SC_BARRIER)
            continue;
        m.in = sc_map(m.env, n);
        ScVal v = apply(&m);
        if (v != SC_POISON && match_type(&m, v) == sc_type_of(g, n->first)) {
            out[0] = v;
            raised = true;
            sc_set_name(&m.b, v, g->value[n->first].name);
        } else {
            sc_copy_node(&m.b, g, n, m.in, out);
        }
    }
    ScGraph *ret = sc_pass_end(&m.b, m.env);
    ret = raised ? sc_identities(cx, ret) : ret; /* reshapes that moved may have met others */
    return sc_pass_inside(cx, ret, sc_pass_raise, env);
}
