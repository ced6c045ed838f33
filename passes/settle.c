/* SPDX-License-Identifier: Apache-2.0 */
/* settle: chooses exponents anew (SCALES, From scaled graph to code). Where a value is stored in a
 * narrow format its exponent is what scalify or quantize chose; all others are free, and the choice
 * that costs least at run time is: wide constants, inputs and outputs in their own numbers, the
 * rest by the signatures. Each rebalance is dropped, and stands again only where a signature asks
 * for one: before a stored value, an operand that must be 0, an output, and where the operands of
 * an ellipsis disagree; there constants follow the others. With static scales nothing is left of
 * scalify but casts and one factor behind a matmul, and without low precision nothing at all.
 *
 * Narrow are the formats whose range is less than f32's: f16, E5M2, E4M3 and the rest of 8 bits and
 * fewer. There an exponent is what keeps data from overflow, so nodes that make such a value keep
 * the exponents of all their operands. In a graph that nothing quantizes, f16 is the model's own
 * number format, and its values go back to the model's own numbers like the rest.
 *
 * One more rebalance stands behind a product of a stored operand and one that is not (fp8-weights):
 * the stored one's exponent leaves there, in the epilogue. It would otherwise travel on and add up
 * layer by layer, until the data of a deep network overflows f32. So do exponents that a run finds:
 * where symbols meet nobody knows which one is larger. And so does an exponent beyond +-32: what an
 * operand becomes that a signature wants at it (a bias; twice it, an epsilon) stays in f32. */
#include "passes/scale_priv.h"

#define FARTHEST 32 /* an exponent that goes on, either way */

typedef struct Settle {
    ScScaler s;
    ScSymbols *measured; /* exponents that a run finds, of the graphs so far: the scaler's */
    ScArena *arena;
} Settle;

static bool is_narrow(const ScGraph *g, ScVal v)
{
    ScrtDtype t = sc_type_of(g, v)->dtype;
    return scrt_dtype_is_low(t) ||
           ((g->flags & SC_G_QUANTIZED) && sc_type_is_float(sc_type_of(g, v)) &&
            scrt_format(t)->exp_bits < 8);
}

/* What enters and leaves nested graphs: as it was where that is narrow, else in its own numbers. */
static const ScTerm *door_exp(ScScaler *s, const ScGraph *g, ScVal v)
{
    const ScTerm *e = g->value[v].exp;
    return e && !is_narrow(g, v) ? sc_term(s->b.cx, 0) : e;
}

static const ScTerm *old_exp(ScScaler *s, ScVal v, void *nested)
{
    return *(const bool *)nested ? door_exp(s, s->g, v) : s->g->value[v].exp;
}

static const ScTerm *old_out_exp(ScScaler *s, uint32_t i)
{
    return s->g->value[s->g->out[i]].exp;
}

static const ScTerm *nested_out_exp(ScScaler *s, uint32_t i)
{
    return door_exp(s, s->g, s->g->out[i]);
}

/* A rebalance is the same number: its users see its operand. */
static void drop(ScScaler *s, const ScNode *n)
{
    ScVal v = s->env[n->in[0]];
    if (!s->is_out[n->first])
        sc_set_name(&s->b, v, s->g->value[n->first].name);
    s->env[n->first] = v;
}

/* Whether operand i of n is stored in low precision where n could take it so. */
static bool is_stored(const ScScaler *s, const ScNode *n, uint32_t i)
{
    return i < 32 && n->op->quantizable >> i & 1 && n->in[i] != SC_ABSENT &&
           is_narrow(s->g, n->in[i]);
}

/* What the stored operands alone contribute to the exponent of result r, where that is not to
 * travel on: some of those that could be stored are and some are not, or only a run knows it. Else
 * NULL. */
static const ScTerm *stored_part(Settle *p, const ScNode *n, const ScVal *data, uint32_t r)
{
    ScScaler *s = &p->s;
    ScCtx *cx = s->b.cx;
    const ScSchema *schema = sc_schema(cx, n->op);
    const ScTerm *part = sc_term(cx, 0);
    uint32_t stored = 0, other = 0;
    for (uint32_t i = 0; i < n->n_in && i < 32; i++) {
        if (!is_stored(s, n, i)) {
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
    return stored && (other || sc_symbols_meet(p->measured, part)) ? part : NULL;
}

/* The exponent that result r of n goes on with. */
static const ScTerm *left_over(Settle *p, const ScNode *n, const ScVal *data, uint32_t r)
{
    ScScaler *s = &p->s;
    ScCtx *cx = s->b.cx;
    const ScTerm *e = sc_scale_exp(s, s->env[n->first + r]);
    int bias = sc_bias(n);
    bool behind = bias >= 0 && sc_scale_exp(s, data[bias]) != e; /* a bias: all is at 0 */
    const ScTerm *part = behind ? NULL : stored_part(p, n, data, r);
    if (part)
        e = sc_term_sub(cx, e, part);
    int k = sc_scale_const_exp(e, NULL);
    return k < -FARTHEST || k > FARTHEST ? sc_term(cx, 0) : e;
}

/* Whether n makes a narrow value, or none that is a float from narrow ones: such a node keeps the
 * exponents that it has. */
static bool is_kept(const ScScaler *s, const ScNode *n)
{
    bool narrow_in = false, narrow_out = false, wide_out = false;
    for (uint32_t i = 0; i < n->n_in; i++)
        narrow_in = narrow_in || (n->in[i] != SC_ABSENT && is_narrow(s->g, n->in[i]));
    for (uint32_t i = 0; i < n->n_out; i++) {
        bool narrow = is_narrow(s->g, n->first + i);
        narrow_out = narrow_out || narrow;
        wide_out = wide_out || (!narrow && sc_type_is_float(sc_type_of(s->g, n->first + i)));
    }
    return narrow_out || (narrow_in && !wide_out);
}

static void node(Settle *p, const ScNode *n)
{
    ScScaler *s = &p->s;
    ScVal *in = sc_array(s->scratch, ScVal, n->n_in + 1);
    ScVal *data = sc_array(s->scratch, ScVal, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = s->env[n->in[i]];
    sc_scale_node(s, n, in, data, &s->env[n->first]);
    for (uint32_t i = 0; i < n->n_out; i++) {
        ScVal *now = &s->env[n->first + i];
        if (*now == SC_POISON || !s->g->value[n->first + i].exp)
            continue;
        sc_scale_annotate(s, *now, n->first + i);
        *now = sc_scale_move(s, *now, left_over(p, n, data, i), false);
    }
}

static void constant(ScScaler *s, const ScNode *n)
{
    const ScValue *v = &s->g->value[n->first];
    bool stays = !v->exp || is_narrow(s->g, n->first);
    s->env[n->first] = sc_scale_const(s, n, v->type->dtype, stays ? v->exp : sc_term(s->b.cx, 0));
    sc_scale_annotate(s, s->env[n->first], n->first);
}

static ScGraph *settled(ScCtx *cx, const ScGraph *g, bool nested, ScSymbols *measured, ScArena *a);

static void control(Settle *p, const ScNode *n)
{
    ScScaler *s = &p->s;
    ScVal *in = sc_array(s->scratch, ScVal, n->n_in + 1);
    ScGraph **sub = sc_array(s->scratch, ScGraph *, n->op->n_sub);
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScTerm *e = door_exp(s, s->g, n->in[i]);
        in[i] = s->env[n->in[i]];
        if (e)
            in[i] = sc_scale_move(s, in[i], e, sc_operand_any(s->fact, n, i));
    }
    for (uint32_t k = 0; k < n->op->n_sub; k++)
        sub[k] = settled(s->b.cx, n->sub[k], true, p->measured, p->arena);
    s->b.at = n->loc;
    sc_scale_build(s, n, sub, in, &s->env[n->first]);
    for (uint32_t i = 0; i < n->n_out; i++) {
        sc_set_exp(&s->b, s->env[n->first + i], door_exp(s, s->g, n->first + i));
        sc_scale_annotate(s, s->env[n->first + i], n->first + i);
    }
}

static ScGraph *settled(ScCtx *cx, const ScGraph *g, bool nested, ScSymbols *measured, ScArena *a)
{
    Settle p = {
        .s = {.constants_follow = true, .measured = measured}, .measured = measured, .arena = a};
    ScScaler *s = &p.s;
    sc_scaler_begin(s, cx, g, old_exp, &nested);
    sc_find_measured(g, measured, a);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        s->b.at = n->loc;
        if (n->op->flags & SC_BARRIER)
            sc_scale_annotate(s, s->env[n->first], n->first);
        else if (n->op->flags & SC_CONST_OP)
            constant(s, n);
        else if (n->op->control)
            control(&p, n);
        else if (is_kept(s, n))
            sc_scale_copy(s, n);
        else if (n->op->flags & SC_REBALANCES)
            drop(s, n);
        else
            node(&p, n);
    }
    return sc_identities(cx, sc_scaler_end(s, nested ? nested_out_exp : old_out_exp, g->flags));
}

ScGraph *sc_pass_settle(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    ScGraph *ret = sc_pass_simplify(cx, g, env);
    if (!ret || !(g->flags & SC_G_SCALED))
        return ret;
    ScArena *a = sc_arena_new();
    ScSymbols measured = {0};
    ScGraph *again = settled(cx, ret, false, &measured, a);
    sc_graph_free(ret);
    sc_arena_free(a);
    return again;
}
