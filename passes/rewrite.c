/* SPDX-License-Identifier: Apache-2.0 */
/* The rewrite of one node, for whichever pass moves exponents: bind the variables of its scale
 * signature to the exponents of its operands, bring the operands that disagree into line, build the
 * same node on the data, read the exponents of the results off. SCALES, Binding.
 *
 * In order: (1) what is no float forces its expression to 0; (2) a variable takes the exponent of
 * the first operand that is this variable alone; operands under the ellipsis vote, the largest of
 * those that are not `any` wins where it is known which one that is, else the first one, or 0 under
 * demand; (3) else the first operand k*v gives floor(E / k), else 0. */
#include "passes/scale_priv.h"

#include <math.h>
#include <string.h>

const ScTerm *sc_scale_exp(ScScaler *s, ScVal v)
{
    const ScTerm *e = sc_built(&s->b, v)->exp;
    return e ? e : sc_term(s->b.cx, 0);
}

ScVal sc_scale_times(ScScaler *s, ScVal x, ScVal factor)
{
    const ScTerm *e = sc_scale_exp(s, x);
    ScVal y = sc_op(&s->b, mul, x, factor);
    sc_set_exp(&s->b, y, e);
    return y;
}

int sc_scale_const_exp(const ScTerm *t, bool *ret_symbolic)
{
    int64_t e = 0;
    bool ok = sc_term_const(t, &e) && e >= -(1 << 20) && e <= 1 << 20;
    if (ret_symbolic)
        *ret_symbolic = !ok;
    return ok ? (int)e : 0;
}

static bool is_float_in(const ScScaler *s, const ScNode *n, uint32_t i)
{
    return n->in[i] != SC_ABSENT && sc_type_is_float(sc_type_of(s->g, n->in[i]));
}

/* Whether the expression is k times variable v and nothing else. */
static bool alone(const ScSchema *sc, const ScScaleExpr *e, uint32_t v, int8_t *ret_k)
{
    for (uint32_t k = 0; k < sc->n_var; k++)
        if (k != v && e->coef[k] != 0)
            return false;
    *ret_k = e->coef[v];
    return *ret_k != 0 && !e->none;
}

static void force0(const ScScaler *s, const ScSchema *sc, const ScScaleExpr *e, const ScTerm **var)
{
    for (uint32_t k = 0; k < sc->n_var && !e->none; k++)
        if (e->coef[k] != 0)
            var[k] = sc_term(s->b.cx, 0);
}

/* Whether a constant keeps every nonzero element normal at exponent t. */
static bool can_move(const ScFact *f, const ScType *type, const ScTerm *t)
{
    bool symbolic;
    int e = sc_scale_const_exp(t, &symbolic);
    const ScrtFormat *fmt = scrt_format(type->dtype);
    if (symbolic || !f->c || f->c->n == 0 || !fmt)
        return true;
    return ldexp(f->c->amax, -e) <= fmt->max && ldexp(f->c->amin, -e) >= fmt->min_normal;
}

#define MAX_LEAVES 16        /* a longer exponent says nothing to anybody and only grows */
#define MAX_COEF   (1 << 20) /* nor does one that no float reaches */

static bool has_leaves(const ScTerm *t, uint32_t *left)
{
    if (t->n == 0 && (*left)-- == 0)
        return false;
    for (uint32_t i = 0; i < t->n; i++)
        if ((t->coef && (t->coef[i] > MAX_COEF || t->coef[i] < -MAX_COEF)) ||
            !has_leaves(t->arg[i], left))
            return false;
    return t->c <= MAX_COEF && t->c >= -MAX_COEF;
}

static bool too_long(const ScTerm *t)
{
    uint32_t left = MAX_LEAVES;
    return sc_term_overflowed(t) || !has_leaves(t, &left);
}

/* The largest of the votes, where it is one of them and short; else the first one; NULL: none. */
static const ScTerm *largest_vote(ScCtx *cx, uint32_t n, const ScTerm *const *vote)
{
    const ScTerm *win = n ? vote[0] : NULL;
    for (uint32_t i = 1; i < n; i++) {
        const ScTerm *most = sc_term_max(cx, win, vote[i]);
        if (most != win && (most != vote[i] || too_long(most)))
            return vote[0];
        win = most;
    }
    return win;
}

/* The exponent on which the operands under the ellipsis agree, or NULL where none has a say. */
static const ScTerm *vote(ScScaler *s, const ScNode *n, const ScSchema *sc, const ScVal *in)
{
    const ScTerm *win = NULL, *fixed = NULL;
    const ScTerm **e = sc_array(s->scratch, const ScTerm *, n->n_in);
    if (s->fact[n->first].wants0)
        return sc_term(s->b.cx, 0);
    for (uint32_t pass = 0; pass < 2 && !win; pass++) { /* second: constants among themselves */
        uint32_t n_vote = 0;
        for (uint32_t i = 0; i < n->n_in; i++)
            if (is_float_in(s, n, i) && sc_scale_in(sc, i)->repeats &&
                !sc_operand_any(s->fact, n, i) &&
                (pass == 1 || !s->constants_follow || !s->fact[n->in[i]].constant))
                e[n_vote++] = sc_scale_exp(s, in[i]);
        win = largest_vote(s->b.cx, n_vote, e);
    }
    for (uint32_t i = 0; i < n->n_in && s->constants_follow && win; i++)
        if (is_float_in(s, n, i) && sc_scale_in(sc, i)->repeats && s->fact[n->in[i]].constant &&
            !sc_operand_any(s->fact, n, i) &&
            !can_move(&s->fact[n->in[i]], sc_type_of(s->g, n->in[i]), win))
            fixed = fixed ? fixed : sc_scale_exp(s, in[i]);
    return fixed ? fixed : win;
}

/* An exponent that goes on into a result goes back to 0 once it is too long; `a!`: also where it is
 * so far from 0 that a temperature would be infinite, as 2^128 is. */
static const ScTerm *near_enough(ScScaler *s, const ScScaleExpr *e, const ScTerm *t)
{
    int x = sc_scale_const_exp(t, NULL);
    return too_long(t) || (e->wants0 && (x > 100 || x < -100)) ? sc_term(s->b.cx, 0) : t;
}

static void bind(ScScaler *s, const ScNode *n, const ScSchema *sc, const ScVal *in,
                 const ScTerm **var)
{
    bool at0 = s->fact[n->first].product || (s->low_at_0 && n->n_out > 0 &&
                                             scrt_dtype_is_low(sc_type_of(s->g, n->first)->dtype));
    for (uint32_t k = 0; k < SC_MAX_VARS; k++)
        var[k] = at0 ? sc_term(s->b.cx, 0) : NULL;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] != SC_ABSENT && !is_float_in(s, n, i))
            force0(s, sc, sc_scale_in(sc, i), var);
    for (uint32_t i = 0; i < n->n_out; i++)
        if (!sc_type_is_float(sc_type_of(s->g, n->first + i)))
            force0(s, sc, sc_scale_out(sc, i), var);

    for (uint32_t v = 0; v < sc->n_var; v++) {
        int8_t k;
        for (uint32_t i = 0; i < n->n_in && !var[v]; i++) {
            const ScScaleExpr *e = sc_scale_in(sc, i);
            if (!is_float_in(s, n, i) || !alone(sc, e, v, &k) || k != 1)
                continue;
            const ScTerm *t = e->repeats ? vote(s, n, sc, in) : sc_scale_exp(s, in[i]);
            var[v] = t ? near_enough(s, e, t) : NULL;
        }
        for (uint32_t i = 0; i < n->n_in && !var[v]; i++)
            if (is_float_in(s, n, i) && alone(sc, sc_scale_in(sc, i), v, &k) && k != 1)
                var[v] = sc_term_fdiv(s->b.cx, sc_scale_exp(s, in[i]), sc_term(s->b.cx, k));
        if (!var[v])
            var[v] = sc_term(s->b.cx, 0);
    }
}

/* The data of v is that of old times 2^(old.exp - v's exponent); a symbolic step leaves g. */
static void annotate(ScScaler *s, ScVal v, const ScValue *old)
{
    bool symbolic;
    int d = sc_scale_const_exp(sc_term_sub(s->b.cx, sc_scale_exp(s, v), old->exp), &symbolic);
    sc_set_g(&s->b, v, old->g == SC_NO_G || symbolic ? old->g : old->g - 256 * d);
    sc_set_amax(&s->b, v, old->amax);
    sc_set_factor(&s->b, v, old->factor);
    sc_set_means(&s->b, v, old->means);
}

void sc_scale_annotate(ScScaler *s, ScVal v, ScVal old)
{
    if (s->g->value[old].exp && v != SC_POISON)
        annotate(s, v, &s->g->value[old]);
}

ScVal sc_scale_move(ScScaler *s, ScVal v, const ScTerm *t, bool any)
{
    if (v == SC_POISON || v == SC_ABSENT || sc_scale_exp(s, v) == t)
        return v;
    const ScNode *def = sc_built_def(&s->b, v);
    bool constant = def->op->flags & SC_CONST_OP, symbolic;
    int e = sc_scale_const_exp(t, &symbolic);
    if (any && constant && !symbolic) { /* what cannot overflow needs no care */
        const ScConstFacts *c = sc_const_facts(s->b.cx, def->attr[0].blob);
        const ScrtFormat *fmt = scrt_format(sc_built(&s->b, v)->type->dtype);
        any = !c || ldexp(c->amax, -e) > fmt->max;
    }
    const ScValue old = *sc_built(&s->b, v);
    ScVal moved;
    if (!any) {
        moved = sc_rebalance(&s->b, v, t);
        if (constant)
            sc_set_name(&s->b, moved, old.name);
    } else {
        if (constant)
            v = sc_rebalance(&s->b, v, sc_term(s->b.cx, 0));
        moved = sc_op_at(&s->b, rebalance, SC_ATTRS(SC_TERMS(1, &t), SC_INT(1)), v);
        sc_set_exp(&s->b, moved, t);
    }
    annotate(s, moved, &old);
    return moved;
}

void sc_scale_build(ScScaler *s, const ScNode *n, ScGraph *const *sub, const ScVal *in,
                    ScVal *ret_out)
{
    sc_node(&s->b, n->op, n->attr, sub, n->n_in, in, n->n_out, ret_out);
    for (uint32_t i = 0; i < n->n_out; i++)
        if (!s->unnamed && !s->is_out[n->first + i])
            sc_set_name(&s->b, ret_out[i], s->g->value[n->first + i].name);
}

static void build(ScScaler *s, const ScNode *n, const ScVal *in, ScVal *ret_out)
{
    ScGraph **sub = n->op->n_sub ? sc_array(s->scratch, ScGraph *, n->op->n_sub) : NULL;
    for (uint32_t i = 0; i < n->op->n_sub; i++)
        sub[i] = sc_graph_clone(n->sub[i]);
    sc_scale_build(s, n, sub, in, ret_out);
}

/* log2 of about the largest magnitude of new value x in the original numbers; -HUGE_VAL: it has
 * nothing but zeros. */
static double largest(ScScaler *s, ScVal x)
{
    const ScValue *v = sc_built(&s->b, x);
    const ScNode *def = sc_built_def(&s->b, x);
    bool symbolic;
    int e = sc_scale_const_exp(v->exp, &symbolic);
    if (def->op->flags & SC_CONST_OP) {
        const ScConstFacts *c = sc_const_facts(s->b.cx, def->attr[0].blob);
        return c ? log2(c->amax) : 0;
    }
    if (v->amax > 0) /* other inputs may make it larger */
        return log2((double)v->amax) + 4;
    return symbolic || v->g == SC_NO_G ? 8 : v->g / 256.0 + e + 8;
}

typedef struct Least {
    ScScaler *s;
    const ScTerm *t;
} Least;

static void at_least(void *arg, const char *sym)
{
    Least *l = arg;
    ScCtx *cx = l->s->b.cx;
    if (sc_symbols_find(l->s->measured, sym, NULL))
        l->t = sc_term_subst(cx, l->t, 1, &sym, &(const ScTerm *){sc_term(cx, -SC_MEASURE_LIMIT)});
}

/* Whether x stays a few bits below what its format holds, whatever a run finds for the symbols of
 * exponent t. */
static bool has_room(ScScaler *s, ScVal x, const ScTerm *t)
{
    const ScrtFormat *f = scrt_format(sc_built(&s->b, x)->type->dtype);
    Least least = {s, t};
    if (s->measured)
        sc_term_symbols(t, at_least, &least);
    int64_t lo = sc_term_range(s->b.cx, least.t).lo;
    return lo < -MAX_COEF || largest(s, x) - (double)lo <= log2(f->max) - 4;
}

/* Of an exponent that a run finds n may use as much as leaves its bias room: the operand that has
 * it, one of in, is moved no further than that. t: the bias's exponent; returns what it becomes;
 * NULL where no run finds any. */
static const ScTerm *make_room(ScScaler *s, const ScNode *n, uint32_t bias, const ScTerm *t,
                               ScVal *in)
{
    ScCtx *cx = s->b.cx;
    const ScrtFormat *f = scrt_format(sc_built(&s->b, in[bias])->type->dtype);
    double least = ceil(largest(s, in[bias]) - log2(f->max) + 4);
    for (uint32_t i = 0; i < n->n_in; i++) {
        int64_t known;
        if (i == bias || in[i] == SC_ABSENT || !is_float_in(s, n, i) ||
            sc_term_const(sc_scale_exp(s, in[i]), &known))
            continue;
        const ScTerm *e = sc_scale_exp(s, in[i]), *others = sc_term_sub(cx, t, e);
        e = sc_term_max(cx, e, sc_term_sub(cx, sc_term(cx, (int64_t)least), others));
        in[i] = sc_scale_move(s, in[i], e, false);
        return sc_term_add(cx, e, others);
    }
    return NULL;
}

/* y, the result of n without its bias, plus the bias, both in the original numbers. */
static ScVal biased(ScScaler *s, const ScNode *n, ScVal y, ScVal bias)
{
    const ScTerm *zero = sc_term(s->b.cx, 0);
    const ScType *t = sc_built(&s->b, y)->type, *was = sc_built(&s->b, bias)->type;
    uint32_t axis = sc_bias_axis(s->g, n, t->rank);
    const ScTerm *dim[SCRT_MAX_RANK];
    y = sc_scale_move(s, y, zero, false);
    bias = sc_scale_move(s, bias, zero, false);
    if (axis + 1 < t->rank) {
        dim[0] = was->dim[0];
        for (uint32_t d = 1; d < t->rank - axis; d++)
            dim[d] = sc_term(s->b.cx, 1);
        bias = sc_reshaped(&s->b, bias, t->rank - axis, dim);
        sc_set_exp(&s->b, bias, zero);
    }
    if (was->dtype != t->dtype) {
        bias = sc_op_at(&s->b, cast, SC_ATTRS(SC_DT(t->dtype)), bias);
        sc_set_exp(&s->b, bias, zero);
    }
    y = sc_op(&s->b, add, y, bias);
    sc_set_exp(&s->b, y, zero);
    if (!s->unnamed && !s->is_out[n->first])
        sc_set_name(&s->b, y, s->g->value[n->first].name);
    return y;
}

/* Node n on data, at the exponents that its signature gives. */
static void scaled(ScScaler *s, const ScNode *n, const ScSchema *sc, const ScTerm *const *var,
                   const ScVal *data, ScVal *ret_out)
{
    build(s, n, data, ret_out);
    for (uint32_t i = 0; i < n->n_out; i++)
        if (sc_type_is_float(sc_built(&s->b, ret_out[i])->type))
            sc_set_exp(&s->b, ret_out[i],
                       sc && sc->has_scale ? sc_scale_apply(s->b.cx, sc_scale_out(sc, i), var)
                                           : sc_term(s->b.cx, 0));
}

/* Operands at the exponents that n's signature gives; sc: it, or NULL. */
static void move_operands(ScScaler *s, const ScNode *n, const ScSchema *sc, const ScVal *in,
                          const ScTerm **var, ScVal *ret_data)
{
    if (sc)
        bind(s, n, sc, in, var);
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScScaleExpr *e = sc ? sc_scale_in(sc, i) : NULL;
        ret_data[i] = in[i];
        if (is_float_in(s, n, i) && !(e && e->none))
            ret_data[i] =
                sc_scale_move(s, in[i], e ? sc_scale_apply(s->b.cx, e, var) : sc_term(s->b.cx, 0),
                              sc_operand_any(s->fact, n, i));
    }
}

void sc_scale_node(ScScaler *s, const ScNode *n, const ScVal *in, ScVal *ret_data, ScVal *ret_out)
{
    const ScSchema *sc = sc_schema(s->b.cx, n->op);
    const ScTerm *var[SC_MAX_VARS];
    sc = sc && sc->has_scale ? sc : NULL;
    s->b.at = n->loc;
    move_operands(s, n, sc, in, var, ret_data);

    int bias = sc ? sc_bias(n) : -1;
    bool one = bias >= 0 && in[bias] != SC_POISON && is_float_in(s, n, (uint32_t)bias);
    bool room = !one || has_room(s, in[bias], sc_scale_exp(s, ret_data[bias]));
    if (!room) {
        ScVal *near = sc_memdup(s->scratch, in, n->n_in * sizeof *near);
        const ScTerm *want = make_room(s, n, (uint32_t)bias, sc_scale_exp(s, ret_data[bias]), near);
        if (want) {
            move_operands(s, n, sc, near, var, ret_data);
            room = sc_scale_exp(s, ret_data[bias]) == want;
        }
    }
    if (room) {
        scaled(s, n, sc, var, ret_data, ret_out);
        return;
    }
    ScVal *bare = sc_memdup(s->scratch, ret_data, n->n_in * sizeof *bare);
    bool unnamed = s->unnamed;
    bare[bias] = SC_ABSENT;
    s->unnamed = true;
    scaled(s, n, sc, var, bare, ret_out);
    s->unnamed = unnamed;
    ret_out[0] = biased(s, n, ret_out[0], in[bias]);
}

void sc_scale_copy(ScScaler *s, const ScNode *n)
{
    ScVal *in = sc_array(s->scratch, ScVal, n->n_in + 1);
    s->b.at = n->loc;
    for (uint32_t i = 0; i < n->n_in; i++) {
        in[i] = s->env[n->in[i]];
        if (is_float_in(s, n, i))
            in[i] =
                sc_scale_move(s, in[i], s->g->value[n->in[i]].exp, sc_operand_any(s->fact, n, i));
    }
    build(s, n, in, &s->env[n->first]);
    for (uint32_t i = 0; i < n->n_out; i++) {
        sc_set_exp(&s->b, s->env[n->first + i], s->g->value[n->first + i].exp);
        sc_scale_annotate(s, s->env[n->first + i], n->first + i);
    }
}

ScVal sc_scale_const(ScScaler *s, const ScNode *n, ScrtDtype dtype, const ScTerm *exp)
{
    int64_t dims[SCRT_MAX_RANK];
    const ScType *t = sc_type_of(s->g, n->first);
    s->b.at = n->loc;
    sc_type_const_dims(t, dims);
    ScVal v = sc_const_shaped(&s->b, n->attr[0].blob, dtype, t->rank, dims, exp);
    sc_set_name(&s->b, v, s->g->value[n->first].name);
    return v;
}

void sc_scaler_begin(ScScaler *s, ScCtx *cx, const ScGraph *g,
                     const ScTerm *(*exp)(ScScaler *s, ScVal v, void *arg), void *arg)
{
    s->g = g;
    s->scratch = sc_arena_new();
    s->fact = sc_scale_facts(g, s->scratch);
    s->env = sc_array(s->scratch, ScVal, g->n_value);
    s->past = sc_array(s->scratch, ScVal, g->n_state + 1);
    s->lean = sc_array(s->scratch, uint8_t, g->n_value);
    bool *is_out = sc_array(s->scratch, bool, g->n_value);
    for (uint32_t i = 0; i < g->n_out; i++)
        is_out[g->out[i]] = !(sc_def(g, g->out[i])->op->flags & (SC_BARRIER | SC_CONST_OP));
    s->is_out = is_out;
    s->env[SC_POISON] = SC_POISON;
    s->env[SC_ABSENT] = SC_ABSENT;

    sc_build_init(&s->b, cx, g->name, g->file);
    sc_build_source(&s->b, g->source);
    for (uint32_t i = 0; i < g->n_in; i++) {
        const ScValue *v = &g->value[g->in[i]];
        s->b.at = sc_def(g, g->in[i])->loc;
        s->env[g->in[i]] = sc_input(&s->b, v->name, v->type, exp(s, g->in[i], arg));
    }
    for (uint32_t i = 0; i < g->n_state; i++) {
        const ScState *st = &g->state[i];
        const ScValue *v = &g->value[st->past];
        s->b.at = sc_def(g, st->past)->loc;
        const ScType *as = s->state_type ? s->state_type[i] : NULL;
        s->past[i] = as ? sc_state_like(&s->b, st, as, sc_term(cx, 0))
                        : sc_state_like(&s->b, st, v->type, exp(s, st->past, arg));
        s->env[st->past] = s->past[i];
        sc_set_name(&s->b, s->past[i], v->name);
    }
    for (uint32_t i = 0; i < g->n_guard; i++)
        sc_build_guard(&s->b, &g->guard[i]);
}

static ScVal settle(ScScaler *s, ScVal old, const ScTerm *t)
{
    ScVal v = s->env[old];
    s->b.at = sc_def(s->g, old)->loc;
    if (t && sc_type_is_float(sc_type_of(s->g, old)))
        v = sc_scale_move(s, v, t, s->fact[old].any == SC_ANY_VALUE);
    return v;
}

ScGraph *sc_scaler_end(ScScaler *s, const ScTerm *(*out_exp)(ScScaler *s, uint32_t i),
                       uint32_t flags)
{
    for (uint32_t i = 0; i < s->g->n_out; i++) {
        ScVal old = s->g->out[i], v = settle(s, old, out_exp ? out_exp(s, i) : NULL);
        sc_set_name(&s->b, v, s->g->value[old].name);
        sc_output(&s->b, s->g->out_name[i], v);
    }
    for (uint32_t i = 0; i < s->g->n_state; i++) {
        const ScState *st = &s->g->state[i];
        bool other = s->state_type && s->state_type[i];
        sc_state_next(&s->b, s->past[i],
                      other ? s->state_next[i] : settle(s, st->next, sc_scale_exp(s, s->past[i])));
    }
    sc_build_flags(&s->b, flags);
    sc_arena_free(s->scratch);
    return sc_build_end(&s->b);
}
