/* SPDX-License-Identifier: Apache-2.0 */
/* The end of building: what outputs and states reach is put in order and numbered anew. */
#include "ir/build_priv.h"

#include <string.h>

/* Frees all that is not the graph's. */
static void finish(ScBuild *b)
{
    ScBuildPriv *p = b->priv;
    sc_buf_free(p->node);
    sc_buf_free(p->value);
    sc_buf_free(p->out);
    sc_buf_free(p->state);
    sc_buf_free(p->owned);
    sc_guards_free(&p->guards);
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

/* The graph so far as far as questions about its nodes need it. */
static ScGraph view_of(const ScBuildPriv *p)
{
    return (ScGraph){
        .node = p->node, .value = p->value, .n_node = p->n_node, .n_value = p->n_value};
}

typedef struct Binders {
    const ScBuildPriv *p;
    ScSymbols of; /* symbols that nodes bind, inputs and states apart */
    bool *live;
} Binders;

static void add_binder(void *arg, const char *sym, uint32_t node)
{
    Binders *b = arg;
    sc_symbols_add(&b->of, b->p->scratch, sym, node);
}

static void keep_binder(void *arg, const char *sym)
{
    const Binders *b = arg;
    uint32_t node;
    if (sc_symbols_find(&b->of, sym, &node))
        b->live[node] = true;
}

static Binders find_binders(const ScBuildPriv *p, bool *live)
{
    Binders b = {.p = p, .live = live};
    ScGraph g = view_of(p);
    for (uint32_t i = 0; i < p->n_node; i++)
        if (p->node[i].op->flags & SC_BINDS)
            sc_node_binders(&g, i, add_binder, &b);
    for (uint32_t i = 0; i < p->guards.n; i++) {
        sc_term_symbols(p->guards.p[i].a, keep_binder, &b);
        sc_term_symbols(p->guards.p[i].b, keep_binder, &b);
    }
    return b;
}

/* Marks the nodes that outputs and states reach, all inputs and states, and the binders of symbols
 * that live nodes and guards need. */
static bool *mark_live(const ScBuildPriv *p)
{
    bool *live = sc_array(p->scratch, bool, p->n_node);
    Binders b = find_binders(p, live);
    ScGraph g = view_of(p);
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
        if (live[i] && b.of.n)
            sc_node_symbols(&g, &p->node[i], keep_binder, &b);
    }
    return live;
}

/* The finished graph's nodes and values while they are numbered; map: old value -> new one. */
typedef struct Order {
    const ScBuildPriv *p;
    ScNode *node;
    ScValue *value;
    uint32_t n_node, n_value;
    ScVal *map; /* SC_POISON where the value has no number yet */
} Order;

static bool is_const(const ScNode *n)
{
    return n->op->flags & SC_CONST_OP;
}

/* Gives node i its place, and before it the constants that it is the first to use. */
static void place(Order *o, uint32_t i)
{
    const ScNode *n = &o->p->node[i];
    ScVal *in = (ScVal *)n->in; /* the arena's, and this builder made it */
    if (n->n_out > 0 && o->map[n->first] != SC_POISON)
        return;
    for (uint32_t k = 0; k < n->n_in; k++) {
        const uint32_t def = o->p->value[in[k]].node;
        if (in[k] >= SC_FIRST && is_const(&o->p->node[def]))
            place(o, def); /* no deeper: a constant has no operands */
        in[k] = o->map[in[k]];
    }
    for (uint32_t k = 0; k < n->n_out; k++) {
        o->value[o->n_value + k] = o->p->value[n->first + k];
        o->value[o->n_value + k].node = o->n_node;
        o->map[n->first + k] = o->n_value + k;
    }
    o->node[o->n_node] = *n;
    o->node[o->n_node++].first = o->n_value;
    o->n_value += n->n_out;
}

/* Moves the live nodes and their values to g in the order of the text: inputs, states, the rest as
 * it was built; each constant just before its first user, whenever it was made, so that passes that
 * make constants anew and passes that keep them end in the same graph. */
static void number_anew(const ScBuildPriv *p, const bool *live, ScGraph *g, ScVal *map)
{
    uint32_t n_node = 0, n_value = SC_FIRST;
    for (uint32_t i = 0; i < p->n_node; i++)
        if (live[i]) {
            n_node++;
            n_value += p->node[i].n_out;
        }
    Order o = {.p = p,
               .node = sc_array(p->arena, ScNode, n_node),
               .value = sc_array(p->arena, ScValue, n_value),
               .n_value = SC_FIRST,
               .map = map};
    o.value[SC_POISON] = p->value[SC_POISON];
    o.value[SC_ABSENT] = p->value[SC_ABSENT];
    memset(map, 0, p->n_value * sizeof *map);
    map[SC_ABSENT] = SC_ABSENT;
    for (uint32_t i = 0; i < p->n_node; i++)
        if (live[i] && p->node[i].op == &sc_op_input)
            place(&o, i);
    for (uint32_t i = 0; i < p->n_node; i++)
        if (live[i] && p->node[i].op == &sc_op_state)
            place(&o, i);
    for (uint32_t i = 0; i < p->n_node; i++)
        if (live[i] && !is_const(&p->node[i]))
            place(&o, i);
    for (uint32_t i = 0; i < p->n_node; i++) /* those that are outputs and nothing else */
        if (live[i])
            place(&o, i);
    g->node = o.node;
    g->value = o.value;
    g->n_node = o.n_node;
    g->n_value = o.n_value;
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
    g->guard = sc_memdup(p->arena, p->guards.p, p->guards.n * sizeof *p->guards.p);
    g->n_guard = p->guards.n;
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
