/* SPDX-License-Identifier: Apache-2.0 */
/* Recomputed exponents, part of simplify (SCALES, From scaled graph to code). Where a value is
 * stored in low precision its exponent is pinned; all others are free, and the choice that costs
 * least at run time is: f32 constants, inputs and outputs in their own numbers, the rest by the
 * signatures. Each rebalance is dropped, and stands again only where a signature asks for one:
 * before a pinned value, an operand that must be 0, an output, and where the operands of an
 * ellipsis disagree; there constants follow the others. With static scales nothing is left of
 * scalify but casts and one factor behind a matmul, and without low precision nothing at all. */
#include "passes/scale_priv.h"

/* Whether a type is one that values are stored in, not computed in. */
static bool is_storage(const ScPassEnv *env, ScrtDtype t)
{
    const ScRecipe *r = env->recipe;
    if (scrt_dtype_is_low(t))
        return true;
    if (!r || !scrt_dtype_is_float(t) || scrt_dtype_bits(t) > 16)
        return false;
    bool named = t == r->activation || t == r->weight;
    for (uint32_t i = 0; i < r->n_rule; i++)
        named = named || t == r->rule[i].operand[0] || t == r->rule[i].operand[1];
    return named;
}

static const ScTerm *old_exp(ScScaler *s, ScVal v, void *arg)
{
    (void)arg;
    return s->g->value[v].exp;
}

static const ScTerm *old_out_exp(ScScaler *s, ScVal v)
{
    return s->g->value[v].exp;
}

/* A rebalance is the same number: its users see its operand. */
static void drop(ScScaler *s, const ScNode *n)
{
    ScVal v = s->env[n->in[0]];
    if (!s->is_out[n->first])
        sc_set_name(&s->b, v, s->g->value[n->first].name);
    s->env[n->first] = v;
}

static void node(ScScaler *s, const ScPassEnv *env, const ScNode *n)
{
    ScVal *in = sc_array(s->scratch, ScVal, n->n_in + 1);
    ScVal *data = sc_array(s->scratch, ScVal, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = s->env[n->in[i]];
    const ScType *t = sc_type_of(s->g, n->first);
    s->b.at = n->loc;
    if (n->n_in > 0 && is_storage(env, t->dtype) && sc_type_is_float(sc_type_of(s->g, n->in[0])) &&
        sc_type_of(s->g, n->in[0])->dtype != t->dtype) /* a conversion into storage: pinned */
        in[0] = sc_scale_move(s, in[0], s->g->value[n->first].exp, false);
    sc_scale_node(s, n, in, data, &s->env[n->first]);
    for (uint32_t i = 0; i < n->n_out; i++)
        sc_scale_annotate(s, s->env[n->first + i], n->first + i);
}

ScGraph *sc_recompute_exponents(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    ScScaler s = {.constants_follow = true};
    sc_scaler_begin(&s, cx, g, old_exp, NULL);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        const ScValue *v = &g->value[n->first];
        s.b.at = n->loc;
        if (n->op->flags & SC_BARRIER) {
            sc_scale_annotate(&s, s.env[n->first], n->first);
        } else if (n->op->flags & SC_CONST_OP) {
            bool pinned = v->exp && is_storage(env, v->type->dtype);
            s.env[n->first] =
                sc_scale_const(&s, n, v->type->dtype, !v->exp || pinned ? v->exp : sc_term(cx, 0));
            sc_scale_annotate(&s, s.env[n->first], n->first);
        } else if ((n->op->flags & SC_REBALANCES) && !(n->op->flags & SC_FRESH)) {
            drop(&s, n);
        } else {
            node(&s, env, n);
        }
    }
    return sc_scaler_end(&s, old_out_exp, g->flags);
}
