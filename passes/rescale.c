/* SPDX-License-Identifier: Apache-2.0 */
/* Exponents that a run finds. Row `measure` says what suits a value's data, `bind` gives that
 * number a symbol, and a rebalance brings the value to it: from there the symbol travels by the
 * scale signatures, as the symbols of extents do, until settle lets it go where nothing is stored.
 *
 * Values that a recipe stores low by dynamic or delayed scales are measured where they are made,
 * once, however many read them; so are the results of nodes that a recipe names. What demand wants
 * at 0 and what a mask has gone into is left alone. Rows of a product's operand have no symbol
 * each: they become codes and scales of their own, and the result's rows are multiplied by these.
 *
 * SCALES, Exponents that a run finds. */
#include "passes/scale_priv.h"

/* --- Where ----------------------------------------------------------------------------------- */

bool sc_by_rows(const ScGraph *g, const ScNode *n, const ScSite *site)
{
    ScContract c;
    int64_t k;
    if (site->source != SC_DYNAMIC_ROWS || !n->op->contract || n->n_out != 1 || n->n_in < 2 ||
        site->scale == SC_BY_BLOCK || !sc_is_fp8(site->operand[0]))
        return false;
    const ScType *a = sc_type_of(g, n->in[0]);
    n->op->contract(g, n, &c);
    return sc_type_is_float(a) && scrt_dtype_bits(a->dtype) <= 32 && !scrt_dtype_is_low(a->dtype) &&
           !c.block && !c.trans_a && a->rank >= 2 && sc_term_const(a->dim[a->rank - 1], &k) &&
           k >= 1 && k <= SC_LONGEST_BLOCK && !(sc_def(g, n->in[0])->op->flags & SC_CONST_OP);
}

/* Whether what is measured can be brought to any exponent. */
static bool is_free(const ScGraph *g, const ScFact *fact, ScVal v)
{
    const ScType *t = sc_type_of(g, v);
    const ScFact *f = &fact[v];
    return v >= SC_FIRST && sc_type_is_float(t) && scrt_dtype_bits(t->dtype) <= 32 &&
           !scrt_dtype_is_low(t->dtype) && !f->wants0 && !f->masked && f->any != SC_ANY_VALUE &&
           !(sc_def(g, v)->op->flags & SC_CONST_OP);
}

/* What is said of operand i of n, which may be stored low. */
static ScSource at_operand(const ScGraph *g, const ScNode *n, uint32_t i, const ScSite *site)
{
    ScrtDtype t = site->operand[i];
    bool narrow = scrt_format(t)->exp_bits < 8 &&
                  scrt_dtype_bits(t) < scrt_dtype_bits(sc_type_of(g, n->in[i])->dtype);
    if (!narrow || (i == 0 && (site->scale == SC_BY_BLOCK || sc_by_rows(g, n, site))))
        return SC_STATIC;
    return site->source == SC_DYNAMIC_ROWS ? SC_DYNAMIC : site->source;
}

/* Results of n that are free are measured where a pattern says so. */
static void measure_named(const ScGraph *g, const ScFact *fact, const ScNode *n, const ScRecipe *r,
                          ScSource *at, bool *met)
{
    for (uint32_t i = 0; i < r->n_rescale; i++)
        for (uint32_t k = 0; sc_is_named(n, r->rescale[i]) && k < n->n_out; k++)
            if (is_free(g, fact, n->first + k)) {
                at[n->first + k] = SC_DYNAMIC;
                met[i] = true;
            }
}

const ScSource *sc_rescale_points(const ScGraph *g, const ScFact *fact, const ScPassEnv *env,
                                  ScArena *a, bool *met)
{
    ScSource *at = sc_array(a, ScSource, g->n_value);
    for (uint32_t i = 0; env->recipe && i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        measure_named(g, fact, n, env->recipe, at, met);
        if (!n->op->quantizable)
            continue;
        ScSite site = sc_site(env, g, n, NULL);
        for (uint32_t k = 0; k < n->n_in && k < 32; k++) {
            if (!(n->op->quantizable >> k & 1) || !is_free(g, fact, n->in[k]))
                continue;
            ScSource s = at_operand(g, n, k, &site), *was = &at[n->in[k]];
            if (s > SC_STATIC && *was != SC_DYNAMIC)
                *was = s;
        }
    }
    return at;
}

/* --- What ------------------------------------------------------------------------------------ */

static int64_t within(int64_t e)
{
    return e < -SC_MEASURE_LIMIT ? -SC_MEASURE_LIMIT : e > SC_MEASURE_LIMIT ? SC_MEASURE_LIMIT : e;
}

/* The exponent that suits x, which has exponent 0, bound to sym; what else row measure says. */
static ScVal measured(ScScaler *s, ScVal x, const ScTerm *sym, int64_t known, int64_t margin)
{
    ScVal m[2];
    sc_node(&s->b, &sc_op_measure, SC_ATTRS(SC_INT(within(known)), SC_INT(margin)), NULL, 1, &x, 2,
            m);
    sc_set_exp(&s->b, m[1], sc_term(s->b.cx, 0));
    sc_op_at(&s->b, bind, SC_ATTRS(SC_TERMS(1, &sym)), m[0]);
    return m[1];
}

/* Its largest magnitude is 7 to 14, so its RMS is about 1. */
static ScVal moved(ScScaler *s, ScVal x, const ScTerm *sym)
{
    ScVal y = sc_scale_move(s, x, sym, false);
    sc_set_g(&s->b, y, 0);
    return y;
}

ScVal sc_rescaled(ScScaler *s, ScVal x, const ScTerm *sym, int64_t known)
{
    measured(s, sc_scale_move(s, x, sc_term(s->b.cx, 0), false), sym, known, 0);
    return moved(s, x, sym);
}

/* The history without its oldest entry, and the newest. */
static ScVal pushed(ScScaler *s, ScVal past, int64_t window, ScVal amax)
{
    ScCtx *cx = s->b.cx;
    const ScTerm *zero = sc_term(cx, 0), *one = sc_term(cx, 1), *end = sc_term(cx, window);
    const int64_t axis = 0;
    ScVal now = sc_reshaped(&s->b, amax, 1, &one);
    if (window == 1)
        return now;
    ScVal rest = sc_op_at(&s->b, slice,
                          SC_ATTRS(SC_TERMS(1, &one), SC_TERMS(1, &end), SC_INTS(1, &axis)), past);
    sc_set_exp(&s->b, rest, zero);
    ScVal next = sc_op_at(&s->b, concat, SC_ATTRS(SC_INT(0)), rest, now);
    sc_set_exp(&s->b, next, zero);
    return next;
}

ScVal sc_rescaled_by_history(ScScaler *s, ScVal x, const ScTerm *sym, int64_t known,
                             const char *name, const ScRecipe *r)
{
    ScCtx *cx = s->b.cx;
    const ScTerm *zero = sc_term(cx, 0);
    const int64_t window = r->window > 1 ? r->window : 1;
    const ScTerm *dim = sc_term(cx, window);
    ScVal own[2], plain = sc_scale_move(s, x, zero, false);
    ScVal past = sc_state(&s->b, name, sc_type(cx, SCRT_F32, 1, &dim), zero, NULL);
    measured(s, past, sym, known, r->margin);
    sc_node(&s->b, &sc_op_measure, SC_ATTRS(SC_INT(0), SC_INT(0)), NULL, 1, &plain, 2, own);
    sc_set_exp(&s->b, own[1], zero);
    sc_state_next(&s->b, past, pushed(s, past, window, own[1]));
    return moved(s, x, sym);
}

/* --- Rows ------------------------------------------------------------------------------------ */

ScVal sc_row_codes(ScScaler *s, ScVal x, ScrtDtype t, ScVal *ret_factor)
{
    const ScTerm *zero = sc_term(s->b.cx, 0);
    const ScTerm *e = sc_scale_exp(s, x);
    const ScType *type = sc_built(&s->b, x)->type;
    int64_t k = 1;
    ScVal out[2];
    sc_term_const(type->dim[type->rank - 1], &k);
    if (type->dtype != SCRT_F32) {
        x = sc_op_at(&s->b, cast, SC_ATTRS(SC_DT(SCRT_F32)), x);
        sc_set_exp(&s->b, x, e);
    }
    x = sc_scale_move(s, x, zero, false);
    sc_node(&s->b, &sc_op_quantize, SC_ATTRS(SC_INT(-1), SC_INT(k), SC_DT(t)), NULL, 1, &x, 2, out);
    sc_set_exp(&s->b, out[0], zero);
    sc_set_exp(&s->b, out[1], zero);
    *ret_factor = sc_op_at(&s->b, cast, SC_ATTRS(SC_DT(SCRT_F32)), out[1]);
    sc_set_exp(&s->b, *ret_factor, zero);
    return out[0];
}

/* --- What is stored -------------------------------------------------------------------------- */

/* The value whose elements v has, some or all of them, at whatever exponent. */
static ScVal base_of(const ScGraph *g, ScVal v)
{
    while (sc_def(g, v)->n_in > 0 && sc_def(g, v)->op->flags & (SC_VIEW_OP | SC_REBALANCES))
        v = sc_def(g, v)->in[0];
    return v;
}

/* What node m measures; of a history, what its newest entry measures. */
static ScVal subject(const ScGraph *g, const ScNode *m)
{
    ScVal v = base_of(g, m->in[0]);
    for (uint32_t i = 0; i < g->n_state; i++) {
        if (g->state[i].past != v)
            continue;
        const ScNode *n = sc_def(g, base_of(g, g->state[i].next));
        if (n->n_in > 0 &&
            !(n->op->flags & SC_MEASURES)) /* the newest is the last that is joined */
            n = sc_def(g, base_of(g, n->in[n->n_in - 1]));
        return n->op->flags & SC_MEASURES ? base_of(g, n->in[0]) : v;
    }
    return v;
}

typedef struct Found {
    const ScGraph *g;
    ScSymbols *of;
    ScArena *a;
} Found;

static void add(void *arg, const char *sym, uint32_t node)
{
    const Found *f = arg;
    const ScNode *bind = &f->g->node[node];
    sc_symbols_add(f->of, f->a, sym, subject(f->g, sc_def(f->g, bind->in[0])));
}

void sc_find_measured(const ScGraph *g, ScSymbols *s, ScArena *a)
{
    Found f = {g, s, a};
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->flags & SC_BINDS && !n->op->control &&
            sc_def(g, n->in[0])->op->flags & SC_MEASURES)
            sc_node_binders(g, i, add, &f);
    }
}

const ScTerm *sc_measured_exp(const ScGraph *g, const ScSymbols *s, ScVal v, ScrtDtype fmt)
{
    const ScTerm *e = g->value[v].exp;
    ScVal of;
    return e->kind == SC_T_SYM && sc_symbols_find(s, e->sym, &of) && of == base_of(g, v)
               ? sc_term_addc(g->cx, e,
                              scrt_dtype_is_low(fmt) ? sc_fit_exp(14, scrt_format(fmt)->max) : 0)
               : NULL;
}
