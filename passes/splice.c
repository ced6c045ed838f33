/* SPDX-License-Identifier: Apache-2.0 */
/* Branches and loops that nothing is left to decide about: an `if` whose condition is known becomes
 * the nodes of its branch, a `loop` of one turn those of its body, one of none what it carries.
 * What such a node bound for extents of its results, and a body at its head, is bound to what the
 * extents are. */
#include "passes/passes_priv.h"

/* Operands and results of row `loop`: see ir/ops/control.c. */
enum { TRIPS = 0, CONDITION = 1, HEAD = 2, ON = 0, TURN = 0 };

typedef struct Splice {
    ScBuild *b;
    const ScGraph *g;
    const ScNode *n;
    const ScVal *in; /* its operands in the new graph */
} Splice;

/* --- What is known --------------------------------------------------------------------------- */

static bool is_known(const ScValue *v, int64_t *ret)
{
    return v->content && sc_term_const(v->content[0], ret);
}

/* Turns of a loop: 0 or 1; -1 where it may be another number. */
static int turns(const Splice *s)
{
    const ScGraph *body = s->n->sub[0];
    int64_t trips, goes, on;
    bool counted = is_known(sc_built(s->b, s->in[TRIPS]), &trips);
    bool asked = is_known(sc_built(s->b, s->in[CONDITION]), &goes);
    if ((counted && trips < 1) || (asked && !goes))
        return 0;
    bool once = is_known(&body->value[body->out[ON]], &on) && !on;
    return counted && asked && (trips == 1 || once) ? 1 : -1;
}

/* --- Symbols --------------------------------------------------------------------------------- */

/* x as a value of type t: an extent of t that is a symbol, and not x's, is bound to x's. */
static ScVal as_type(ScBuild *b, ScVal x, const ScType *t)
{
    const ScType *is = sc_built(b, x)->type;
    for (uint32_t d = 0; is->kind == SC_TYPE_TENSOR && d < t->rank; d++) {
        if (is->dim[d] == t->dim[d] || t->dim[d]->kind != SC_T_SYM)
            continue;
        ScVal extent = sc_op_at(b, term, SC_ATTRS(SC_TERMS(1, &is->dim[d])));
        sc_op_at(b, bind, SC_ATTRS(SC_TERMS(1, &t->dim[d])), extent);
    }
    return is == t ? x : sc_op_at(b, reshape, SC_ATTRS(SC_TERMS(t->rank, t->dim)), x);
}

typedef struct Binders {
    ScSymbols outer;
    ScArena *a;
    bool twice;
} Binders;

static void add(void *arg, const char *sym, uint32_t node)
{
    Binders *s = arg;
    sc_symbols_add(&s->outer, s->a, sym, node);
}

static void look(void *arg, const char *sym, uint32_t node)
{
    Binders *s = arg;
    uint32_t other;
    s->twice = s->twice || sc_symbols_find(&s->outer, sym, &other);
    (void)node;
}

/* Whether a symbol that nested graph `sub` binds is bound around it too. */
static bool collides(const Splice *s, uint32_t sub)
{
    Binders all = {.a = sc_arena_new()};
    for (uint32_t i = 0; i < s->g->n_node; i++)
        sc_node_binders(s->g, i, add, &all);
    sc_nested_binders(s->g, s->n, sub, look, &all);
    sc_arena_free(all.a);
    return all.twice;
}

/* --- Nodes ----------------------------------------------------------------------------------- */

/* Node m of nested graph g, whose rule is asked again: what it needs of symbols that were
 * extents at the head of a body, and are any numbers here, is guarded. */
static void again(const Splice *s, const ScGraph *g, const ScNode *m, ScArena *a, const ScVal *in,
                  ScVal *ret_out)
{
    if (m->op->flags & SC_CONST_OP) {
        sc_copy_node(s->b, g, m, in, ret_out);
        return;
    }
    ScGraph **sub = sc_array(a, ScGraph *, m->op->n_sub + 1u);
    for (uint32_t i = 0; i < m->op->n_sub; i++)
        sub[i] = sc_graph_clone(m->sub[i]);
    s->b->at = m->loc;
    sc_node(s->b, m->op, m->attr, sub, m->n_in, in, m->n_out, ret_out);
    for (uint32_t i = 0; i < m->n_out; i++)
        sc_set_name(s->b, ret_out[i], g->value[m->first + i].name);
}

/* The nodes of nested graph g, whose inputs are in; its outputs. */
static void nodes(const Splice *s, const ScGraph *g, const ScVal *in, ScVal *ret_out)
{
    ScArena *a = sc_arena_new();
    ScVal *env = sc_array(a, ScVal, g->n_value);
    env[SC_ABSENT] = SC_ABSENT;
    for (uint32_t i = 0; i < g->n_guard; i++)
        sc_build_guard(s->b, &g->guard[i]);
    for (uint32_t i = 0; i < g->n_in; i++)
        env[g->in[i]] = as_type(s->b, in[i], sc_type_of(g, g->in[i]));
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *m = &g->node[i];
        if (m->op->flags & SC_BARRIER)
            continue;
        ScVal *x = sc_array(a, ScVal, m->n_in);
        for (uint32_t k = 0; k < m->n_in; k++)
            x[k] = env[m->in[k]];
        again(s, g, m, a, x, &env[m->first]);
    }
    s->b->at = s->n->loc;
    for (uint32_t i = 0; i < g->n_out; i++)
        ret_out[i] = env[g->out[i]];
    sc_arena_free(a);
}

/* Result i is x. */
static void answer(const Splice *s, uint32_t i, ScVal x, ScVal *ret_out)
{
    const ScValue *was = &s->g->value[s->n->first + i];
    ret_out[i] = as_type(s->b, x, was->type);
    sc_set_name(s->b, ret_out[i], was->name);
}

static void branch(const Splice *s, const ScGraph *g, ScArena *a, ScVal *ret_out)
{
    ScVal *out = sc_array(a, ScVal, g->n_out + 1);
    nodes(s, g, s->in + s->n->op->enter.operand, out);
    for (uint32_t i = 0; i < g->n_out; i++)
        answer(s, i, out[i], ret_out);
}

static void one_turn(const Splice *s, ScArena *a, ScVal *ret_out)
{
    const ScGraph *g = s->n->sub[0];
    const int64_t first = 0;
    ScVal *in = sc_array(a, ScVal, g->n_in), *out = sc_array(a, ScVal, g->n_out);
    in[TURN] = sc_const_scalar(s->b, SCRT_I64, 0);
    for (uint32_t i = 1; i < g->n_in; i++)
        in[i] = s->in[HEAD + i - 1];
    nodes(s, g, in, out);
    for (uint32_t i = 0; i < s->n->n_out; i++) {
        ScVal x = out[1 + i];
        if (i >= sc_carried(s->n)) /* what each turn gives, of the only one */
            x = sc_op_at(s->b, unsqueeze, SC_ATTRS(SC_INTS(1, &first)), x);
        answer(s, i, x, ret_out);
    }
}

bool sc_splice(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, ScVal *ret_out)
{
    const Splice s = {.b = b, .g = g, .n = n, .in = in};
    int64_t holds;
    const int count = n->op->control == SC_TURNS ? turns(&s) : -1;
    const bool decided = n->op->control == SC_BRANCH && is_known(sc_built(b, in[0]), &holds);
    const uint32_t sub = decided && !holds;
    if ((g->flags & SC_G_SCALED) || (!decided && count < 0) || collides(&s, sub) ||
        (count == 0 && n->n_out > sc_carried(n)))
        return false;
    ScArena *a = sc_arena_new();
    if (decided)
        branch(&s, n->sub[sub], a, ret_out);
    else if (count == 1)
        one_turn(&s, a, ret_out);
    for (uint32_t i = 0; count == 0 && i < n->n_out; i++)
        answer(&s, i, in[HEAD + i], ret_out);
    sc_arena_free(a);
    return true;
}
