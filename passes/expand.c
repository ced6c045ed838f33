/* SPDX-License-Identifier: Apache-2.0 */
/* Operators without a lowering become their expansions, until all that is left can be compiled.
 *
 * A row writes its expansion without exponents. In a scaled graph each node of it is built anew by
 * its scale signature: operands are brought to what the signature asks, results get what it gives,
 * and the last ones are brought to the exponents that the operator's results had. */
#include "passes/passes_priv.h"

#define MAX_ROUNDS 16 /* expansions of expansions; deeper ones go in circles */

/* The expansion of n as a graph of its own: inputs are the present operands in order. */
static ScGraph *expansion(ScCtx *cx, const ScGraph *g, const ScNode *n, ScArena *a)
{
    ScBuild b;
    ScVal *in = sc_array(a, ScVal, n->n_in), *out = sc_array(a, ScVal, n->n_out);
    sc_build_init(&b, cx, n->op->name, NULL);
    b.at = n->loc;
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] =
            n->in[i] == SC_ABSENT ? SC_ABSENT : sc_input(&b, NULL, sc_type_of(g, n->in[i]), NULL);
    b.at = n->loc;
    sc_expand(&b, g, n, in, out);
    for (uint32_t i = 0; i < n->n_out; i++)
        sc_output(&b, sc_intern(cx, sc_printf(a, "y%u", i)), out[i]);
    return sc_build_end(&b);
}

/* The nested graphs of n, which an expansion writes without exponents as well. */
static ScGraph *const *nested(ScBuild *b, const ScNode *n, ScArena *a, bool scaled)
{
    ScGraph **sub = n->op->n_sub ? sc_array(a, ScGraph *, n->op->n_sub) : NULL;
    for (uint32_t i = 0; i < n->op->n_sub; i++)
        sub[i] = scaled ? sc_graph_at_0(b->cx, n->sub[i]) : sc_graph_clone(n->sub[i]);
    return sub;
}

/* Builds n with its operands at the exponents that its signature gives them, and sets its
 * results'. */
static void build_scaled(ScBuild *b, const ScGraph *from, const ScNode *n, ScArena *a, ScVal *in,
                         ScVal *ret_out)
{
    const ScSchema *s = sc_schema(b->cx, n->op);
    const ScType **type = sc_array(a, const ScType *, n->n_in), *out_type[SC_MAX_OUT];
    const ScTerm **exp = sc_array(a, const ScTerm *, n->n_in), *var[SC_MAX_VARS] = {NULL};
    uint32_t bad;
    for (uint32_t i = 0; i < n->n_out; i++)
        out_type[i] = from->value[n->first + i].type;
    for (uint32_t tries = 0; tries <= n->n_in; tries++) {
        for (uint32_t i = 0; i < n->n_in; i++) {
            const ScValue *v = sc_built(b, in[i]);
            type[i] = v->type;
            exp[i] = v->exp;
        }
        if (sc_scale_check(b->cx, s, n->n_in, type, exp, n->n_out, out_type, var, &bad))
            break;
        in[bad] = sc_rebalance(b, in[bad], sc_scale_apply(b->cx, sc_scale_in(s, bad), var));
    }
    sc_node(b, n->op, n->attr, nested(b, n, a, true), n->n_in, in, n->n_out, ret_out);
    for (uint32_t i = 0; i < n->n_out; i++)
        if (sc_type_is_float(out_type[i]))
            sc_set_exp(b, ret_out[i], sc_scale_apply(b->cx, sc_scale_out(s, i), var));
}

/* A single constant that an expansion widens is one of the wider type. */
static bool widens_single(const ScBuild *b, const ScNode *n, const ScVal *in, const ScType *to)
{
    if (!(n->op->flags & SC_CONVERTS) || in[0] < SC_FIRST)
        return false;
    const ScType *t = sc_built(b, in[0])->type;
    return (sc_built_def(b, in[0])->op->flags & SC_CONST_OP) && t->rank == 0 &&
           scrt_dtype_bits(t->dtype) < scrt_dtype_bits(to->dtype);
}

/* One node of an expansion in the new graph. */
static void build(ScBuild *b, bool scaled, const ScGraph *from, const ScNode *n, ScArena *a,
                  ScVal *in, ScVal *ret_out)
{
    if (n->op->flags & SC_CONST_OP) {
        ScValue v = from->value[n->first];
        v.exp = scaled && sc_type_is_float(v.type) ? sc_term(b->cx, 0) : NULL;
        ret_out[0] = sc_const_again(b, n, &v);
    } else if (widens_single(b, n, in, from->value[n->first].type)) {
        ScValue v = *sc_built(b, in[0]);
        v.type = from->value[n->first].type;
        ret_out[0] = sc_const_again(b, sc_built_def(b, in[0]), &v);
    } else if (scaled) {
        build_scaled(b, from, n, a, in, ret_out);
    } else {
        sc_node(b, n->op, n->attr, nested(b, n, a, false), n->n_in, in, n->n_out, ret_out);
    }
}

/* Replaces node n of g; false with errors in cx. */
static bool expand_node(ScBuild *b, const ScGraph *g, const ScNode *n, ScVal *env)
{
    ScArena *a = sc_arena_new();
    ScGraph *x = expansion(b->cx, g, n, a);
    ScVal *map = x ? sc_array(a, ScVal, x->n_value) : NULL;
    uint32_t present = 0;
    bool scaled = g->flags & SC_G_SCALED;
    if (x)
        map[SC_ABSENT] = SC_ABSENT;
    for (uint32_t i = 0; x && i < n->n_in; i++)
        if (n->in[i] != SC_ABSENT)
            map[x->in[present++]] = env[n->in[i]];
    b->at = n->loc;
    for (uint32_t i = 0; x && i < x->n_node; i++) {
        const ScNode *m = &x->node[i];
        ScVal *in = sc_array(a, ScVal, m->n_in);
        for (uint32_t k = 0; k < m->n_in; k++)
            in[k] = map[m->in[k]];
        if (!(m->op->flags & SC_BARRIER))
            build(b, scaled, x, m, a, in, &map[m->first]);
    }
    for (uint32_t i = 0; x && i < n->n_out; i++) {
        const ScValue *was = &g->value[n->first + i];
        ScVal v = map[x->out[i]];
        env[n->first + i] = was->exp ? sc_rebalance(b, v, was->exp) : v;
        sc_set_name(b, env[n->first + i], was->name);
        sc_annotated(b, env[n->first + i], was);
    }
    sc_graph_free(x);
    sc_arena_free(a);
    return x != NULL;
}

/* Which nodes stay. */
typedef struct Keep {
    bool (*node)(void *arg, const ScGraph *g, const ScNode *n);
    void *arg;
} Keep;

static ScGraph *once(ScCtx *cx, const ScGraph *g, const Keep *keep, bool *ret_left)
{
    SC_PASS(cx, g, b, env);
    bool ok = true;
    *ret_left = false;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->flags & SC_BARRIER)
            continue;
        if (keep->node(keep->arg, g, n)) {
            sc_copy_node(&b, g, n, sc_map(env, n), &env[n->first]);
        } else if (n->op->expand) {
            ok = expand_node(&b, g, n, env) && ok;
            *ret_left = true;
        } else {
            ok = sc_fail(cx, n->loc, SC_E_LOWER, "%s", n->op->name);
        }
    }
    return ok ? sc_pass_end(&b, env) : sc_pass_drop(&b, env);
}

/* Without nested graphs. */
static ScGraph *expanded(ScCtx *cx, const ScGraph *g, const Keep *keep)
{
    bool left;
    ScGraph *ret = once(cx, g, keep, &left);
    bool any = left;
    for (uint32_t round = 0; ret && left; round++) {
        if (round == MAX_ROUNDS) {
            sc_fail(cx, NULL, SC_E_LOWER, "expansions go in circles");
            sc_graph_free(ret);
            return NULL;
        }
        ScGraph *next = once(cx, ret, keep, &left);
        sc_graph_free(ret);
        ret = next;
    }
    return any ? sc_identities(cx, ret) : ret; /* such as a temperature of 1 */
}

static bool is_lowered(void *arg, const ScGraph *g, const ScNode *n)
{
    (void)arg;
    (void)g;
    return n->op->lower.cls != SC_NO_LOWERING;
}

ScGraph *sc_pass_expand(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    ScGraph *ret = expanded(cx, g, &(Keep){is_lowered, NULL});
    return sc_pass_inside(cx, sc_widen(cx, ret), sc_pass_expand, env);
}

static ScGraph *expand_inside(ScCtx *cx, const ScGraph *g, void *arg)
{
    return sc_pass_nested(cx, expanded(cx, g, arg), expand_inside, arg);
}

ScGraph *sc_expand_rows(ScCtx *cx, ScGraph *g,
                        bool (*keep)(void *arg, const ScGraph *g, const ScNode *n), void *arg)
{
    ScGraph *ret = g ? expand_inside(cx, g, &(Keep){keep, arg}) : NULL;
    sc_graph_free(g);
    return ret;
}
