/* SPDX-License-Identifier: Apache-2.0 */
/* States that grow in a recipe's `cache` format: keys and values of a decoder, say. What such a
 * state holds is only ordered anew and appended to on its way from one run to the next, so it is
 * the new part that is cast, once, and all readers meet what is stored: products as it is, all else
 * widened. It stands in its own numbers, at exponent 0: entries that share it and files of saved
 * states need to know of no scale. SCALES, Where a value is stored in low precision. */
#include "passes/scale_priv.h"

#include <math.h>

static bool is_append(const ScNode *n)
{
    return n->op == &sc_op_concat;
}

bool sc_keeps_elements(const ScNode *n)
{
    return n->n_in > 0 && n->op->flags & (SC_VIEW_OP | SC_REBALANCES);
}

/* The operand of n through which a state comes that n orders anew or appends to: one whose from is
 * set, if there is one such; else n_in. */
static uint32_t carrier(const ScNode *n, const uint32_t *from)
{
    uint32_t at = n->n_in;
    if (sc_keeps_elements(n))
        return from[n->in[0]] ? 0 : n->n_in;
    for (uint32_t k = 0; is_append(n) && k < n->n_in; k++) {
        if (!from[n->in[k]])
            continue;
        if (at < n->n_in)
            return n->n_in;
        at = k;
    }
    return at;
}

bool sc_is_wider(const ScGraph *g, ScVal v, ScrtDtype fmt)
{
    const ScType *t = sc_type_of(g, v);
    return sc_type_is_float(t) && scrt_dtype_bits(t->dtype) > scrt_dtype_bits(fmt);
}

void sc_find_cached(const ScGraph *g, ScrtDtype fmt, const bool *high, ScArena *a, ScCached *ret)
{
    uint32_t *from = sc_array(a, uint32_t, g->n_value); /* 1 + the state whose elements v has */
    bool *way = sc_array(a, bool, g->n_value);          /* and it leads to that one's next value */
    ret->state = sc_array(a, bool, g->n_state + 1);
    ret->value = sc_array(a, bool, g->n_value);
    for (uint32_t i = 0; i < g->n_state; i++)
        if (!high[i] && g->state[i].grows && sc_is_wider(g, g->state[i].past, fmt))
            from[g->state[i].past] = i + 1;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        uint32_t k = carrier(n, from);
        if (k < n->n_in)
            from[n->first] = from[n->in[k]];
    }
    for (uint32_t i = 0; i < g->n_state; i++) {
        const ScState *s = &g->state[i];
        ret->state[i] = from[s->past] == i + 1 && from[s->next] == i + 1;
        ret->value[s->past] = way[s->next] = ret->state[i];
    }
    for (uint32_t i = g->n_node; i-- > 0;) {
        const ScNode *n = &g->node[i];
        uint32_t k = way[n->first] ? carrier(n, from) : n->n_in;
        if (k < n->n_in)
            way[n->in[k]] = true;
    }
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        uint32_t k = carrier(n, from);
        if (k < n->n_in && ret->value[n->in[k]])
            ret->value[n->first] = sc_keeps_elements(n) || way[n->first];
    }
}

/* Numbers that are known to be beyond the format's range are no surprise of a run. */
static void warn_of_range(ScScaler *s, ScVal v, ScrtDtype fmt)
{
    double most = scrt_format(fmt)->max, amax = s->g->value[v].amax;
    const char *name = s->g->value[v].name;
    if (isfinite(amax) && amax > most)
        sc_warn(s->b.cx, s->b.at, SC_E_SATURATES,
                "%s holds numbers of up to %.3g, and cache = %s ends at %g",
                name ? name : "a state", amax, scrt_dtype_name(fmt), most);
}

ScVal sc_cached_node(ScScaler *s, const ScNode *n, ScrtDtype fmt, const ScVal *low)
{
    const ScTerm *zero = sc_term(s->b.cx, 0);
    ScVal *in = sc_memdup(s->scratch, n->in, n->n_in * sizeof *in);
    s->b.at = n->loc;
    if (n->op->flags & SC_REBALANCES)
        return low[n->in[0]];
    for (uint32_t k = 0; k < n->n_in; k++) {
        if (low[n->in[k]] != SC_ABSENT || !sc_type_is_float(sc_type_of(s->g, n->in[k]))) {
            in[k] = low[n->in[k]] != SC_ABSENT ? low[n->in[k]] : s->env[n->in[k]];
            continue;
        }
        ScVal x = sc_scale_move(s, s->env[n->in[k]], zero, false);
        in[k] = sc_op_at(&s->b, cast, SC_ATTRS(SC_DT(fmt)), x);
        sc_set_exp(&s->b, in[k], zero);
        sc_scale_annotate(s, in[k], n->in[k]);
    }
    ScVal y = sc_node1(&s->b, n->op, n->attr, n->n_in, in);
    sc_set_exp(&s->b, y, zero);
    sc_scale_annotate(s, y, n->first);
    if (is_append(n))
        warn_of_range(s, n->first, fmt);
    if (!s->is_out[n->first])
        sc_set_name(&s->b, y, s->g->value[n->first].name);
    return y;
}
