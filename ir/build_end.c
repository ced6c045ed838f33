/* SPDX-License-Identifier: Apache-2.0 */
/* The end of building: what outputs and states reach is put in order and numbered anew. */
#include "ir/build_priv.h"

/* Frees all that is not the graph's. */
static void finish(ScBuild *b)
{
    ScBuildPriv *p = b->priv;
    sc_buf_free(p->node);
    sc_buf_free(p->hash);
    sc_buf_free(p->value);
    sc_buf_free(p->out);
    sc_buf_free(p->state);
    sc_buf_free(p->owned);
    sc_arena_free(p->scratch); /* p with it */
    b->priv = NULL;
}

void sc_build_drop(ScBuild *b)
{
    for (uint32_t i = 0; i < b->priv->n_owned; i++)
        sc_graph_free(b->priv->owned[i]);
    sc_arena_free(b->priv->arena);
    finish(b);
}

static bool has_failed(ScBuild *b)
{
    ScBuildPriv *p = b->priv;
    bool poison = false;
    for (uint32_t i = 0; i < p->n_out; i++)
        poison |= p->out[i].v == SC_POISON;
    for (uint32_t i = 0; i < p->n_state; i++) {
        if (p->state[i].next == SC_ABSENT)
            sc_build_mistake(b, SC_E_VERIFY, "no next value for state", p->state[i].name);
        poison |= p->state[i].next == SC_POISON;
    }
    return poison || p->failed || sc_n_errors(b->cx) != p->errors_before;
}

/* Marks the nodes that outputs and states reach, and all inputs and states. */
static bool *mark_live(const ScBuildPriv *p)
{
    bool *live = sc_array(p->scratch, bool, p->n_node);
    for (uint32_t i = 0; i < p->n_out; i++)
        if (p->out[i].v >= SC_FIRST)
            live[p->value[p->out[i].v].node] = true;
    for (uint32_t i = 0; i < p->n_state; i++)
        live[p->value[p->state[i].next].node] = true;
    for (uint32_t i = p->n_node; i-- > 0;) {
        live[i] |= (p->node[i].op->flags & SC_BARRIER) != 0;
        for (uint32_t k = 0; live[i] && k < p->node[i].n_in; k++)
            if (p->node[i].in[k] >= SC_FIRST)
                live[p->value[p->node[i].in[k]].node] = true;
    }
    return live;
}

/* The place of a node in the order of the text: inputs, states, the rest. */
static int rank_of(const ScNode *n)
{
    return n->op == &sc_op_input ? 0 : n->op == &sc_op_state ? 1 : 2;
}

/* Moves the live nodes and their values to g in order; map: old value -> new one. */
static void number_anew(const ScBuildPriv *p, const bool *live, ScGraph *g, ScVal *map)
{
    uint32_t n_node = 0, n_value = SC_FIRST;
    for (uint32_t i = 0; i < p->n_node; i++)
        if (live[i]) {
            n_node++;
            n_value += p->node[i].n_out;
        }
    ScNode *node = sc_array(p->arena, ScNode, n_node);
    ScValue *value = sc_array(p->arena, ScValue, n_value);
    value[SC_POISON] = p->value[SC_POISON];
    value[SC_ABSENT] = p->value[SC_ABSENT];
    map[SC_POISON] = SC_POISON;
    map[SC_ABSENT] = SC_ABSENT;
    n_node = 0;
    n_value = SC_FIRST;
    for (int rank = 0; rank < 3; rank++)
        for (uint32_t i = 0; i < p->n_node; i++) {
            const ScNode *n = &p->node[i];
            if (!live[i] || rank_of(n) != rank)
                continue;
            ScVal *in = (ScVal *)n->in; /* the arena's, and this builder made it */
            for (uint32_t k = 0; k < n->n_in; k++)
                in[k] = map[in[k]];
            for (uint32_t k = 0; k < n->n_out; k++) {
                value[n_value + k] = p->value[n->first + k];
                value[n_value + k].node = n_node;
                map[n->first + k] = n_value + k;
            }
            node[n_node] = *n;
            node[n_node++].first = n_value;
            n_value += n->n_out;
        }
    g->node = node;
    g->value = value;
    g->n_node = n_node;
    g->n_value = n_value;
}

/* The lists of a graph: inputs, outputs, states, nested graphs. */
static void make_lists(const ScBuildPriv *p, ScGraph *g, const ScVal *map)
{
    while (g->n_in < g->n_node && g->node[g->n_in].op == &sc_op_input)
        g->n_in++;
    ScVal *in = sc_array(p->arena, ScVal, g->n_in), *out = sc_array(p->arena, ScVal, p->n_out);
    const char **name = sc_array(p->arena, const char *, p->n_out);
    ScState *state = sc_array(p->arena, ScState, p->n_state);
    for (uint32_t i = 0; i < g->n_in; i++)
        in[i] = g->node[i].first;
    for (uint32_t i = 0; i < p->n_out; i++) {
        out[i] = map[p->out[i].v];
        name[i] = p->out[i].name;
    }
    for (uint32_t i = 0; i < p->n_state; i++) {
        state[i] = p->state[i];
        state[i].past = map[state[i].past];
        state[i].next = map[state[i].next];
    }
    g->in = in;
    g->out = out;
    g->out_name = name;
    g->state = state;
    g->n_out = p->n_out;
    g->n_state = p->n_state;
    g->owned = sc_memdup(p->arena, p->owned, p->n_owned * sizeof *p->owned);
    g->n_owned = p->n_owned;
}

ScGraph *sc_build_end(ScBuild *b)
{
    ScBuildPriv *p = b->priv;
    if (has_failed(b)) {
        sc_build_drop(b);
        return NULL;
    }
    ScGraph *g = sc_new(p->arena, ScGraph);
    g->cx = b->cx;
    g->arena = p->arena;
    g->name = p->name;
    g->file = p->file;
    g->source = p->source;
    g->flags = p->flags;
    ScVal *map = sc_array(p->scratch, ScVal, p->n_value);
    number_anew(p, mark_live(p), g, map);
    make_lists(p, g, map);
    finish(b);
    return g;
}
