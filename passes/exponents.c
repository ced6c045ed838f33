/* SPDX-License-Identifier: Apache-2.0 */
/* Recomputed exponents, part of simplify (SCALES, From scaled graph to code). Where a value is
 * stored in low precision its exponent is pinned; all others are free, and the choice that costs
 * least at run time is: f32 constants, inputs and outputs in their own numbers, the rest by the
 * signatures. Each rebalance is dropped, and stands again only where a signature asks for one:
 * before a pinned value, an operand that must be 0, an output, and where the operands of an
 * ellipsis disagree; there constants follow the others. With static scales nothing is left of
 * scalify but casts and one factor behind a matmul, and without low precision nothing at all.
 *
 * One more stands behind a product of a stored operand and one that is not (fp8-weights): the
 * stored one's exponent leaves there, in the epilogue. It would otherwise travel on and add up
 * layer by layer, until the data of a deep network overflows f32. */
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

/* Whether operand i of n, now data[i], is stored in low precision where n could take it so. */
static bool is_stored(ScScaler *s, const ScPassEnv *env, const ScNode *n, const ScVal *data,
                      uint32_t i)
{
    return i < 32 && n->op->quantizable >> i & 1 && data[i] != SC_ABSENT &&
           is_storage(env, sc_built(&s->b, data[i])->type->dtype);
}

/* What the stored operands alone contribute to the exponent of result r; NULL unless some of those
 * that could be stored are and some are not. */
static const ScTerm *stored_part(ScScaler *s, const ScPassEnv *env, const ScNode *n,
                                 const ScVal *data, uint32_t r)
{
    ScCtx *cx = s->b.cx;
    const ScSchema *schema = sc_schema(cx, n->op);
    const ScTerm *part = sc_term(cx, 0);
    uint32_t stored = 0, other = 0;
    for (uint32_t i = 0; i < n->n_in && i < 32; i++) {
        if (!is_stored(s, env, n, data, i)) {
            other += n->op->quantizable >> i & 1;
            continue;
        }
        stored++;
        for (uint32_t v = 0; v < schema->n_var; v++)
            if (sc_scale_in(schema, i)->coef[v] == 1)
                part = sc_term_add(
                    cx, part,
                    sc_term_scale(cx, sc_scale_exp(s, data[i]), sc_scale_out(schema, r)->coef[v]));
    }
    return stored && other ? part : NULL;
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
    for (uint32_t i = 0; i < n->n_out; i++) {
        ScVal *now = &s->env[n->first + i];
        const ScTerm *part = *now == SC_POISON ? NULL : stored_part(s, env, n, data, i);
        sc_scale_annotate(s, *now, n->first + i);
        if (part)
            *now = sc_scale_move(s, *now, sc_term_sub(s->b.cx, sc_scale_exp(s, *now), part), false);
    }
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
