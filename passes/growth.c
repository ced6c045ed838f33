/* SPDX-License-Identifier: Apache-2.0 */
/* Growth: beside each exponent travels g, the expected log2 RMS of the data in 1/256 of a bit.
 * The scale signature, read on the operands' g instead of their exponents, says what g a result has
 * by its units; the row adds what summing, rectifying or averaging does (.growth). What scalify
 * does with it is its own business. SCALES, Growth. */
#include "passes/scale_priv.h"

/* What the signature's variables are worth in g; 0 where nothing is known, as for what was no
 * float. An ellipsis takes the largest: rows that add say so in .growth. */
static void bind_g(const ScNode *n, const ScSchema *sc, const int32_t *in, int32_t *var)
{
    for (uint32_t v = 0; v < sc->n_var; v++) {
        int32_t whole = SC_NO_G, part = SC_NO_G;
        bool done = false;
        for (uint32_t i = 0; i < n->n_in && !done; i++) {
            const ScScaleExpr *e = sc_scale_in(sc, i);
            bool alone = !e->none && e->coef[v] != 0 && in[i] != SC_NO_G;
            for (uint32_t k = 0; k < sc->n_var; k++)
                alone = alone && (k == v || e->coef[k] == 0);
            if (!alone)
                continue;
            if (e->coef[v] != 1)
                part = part == SC_NO_G ? in[i] / e->coef[v] : part;
            else
                whole = whole == SC_NO_G || in[i] > whole ? in[i] : whole;
            done = e->coef[v] == 1 && !e->repeats;
        }
        var[v] = whole != SC_NO_G ? whole : part != SC_NO_G ? part : 0;
    }
}

void sc_growth(ScScaler *s, const ScNode *n, const ScVal *data, int32_t *ret_g,
               const ScTerm **ret_shift)
{
    const ScSchema *sc = sc_schema(s->b.cx, n->op);
    int32_t var[SC_MAX_VARS] = {0};
    int32_t *in = sc_array(s->scratch, int32_t, n->n_in + 1);
    bool *nonneg = sc_array(s->scratch, bool, n->n_in + 1);
    bool *convex = sc_array(s->scratch, bool, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScFact *f = &s->fact[n->in[i]];
        bool counts =
            sc_type_is_float(sc_type_of(s->g, n->in[i])) && !sc_operand_any(s->fact, n, i);
        in[i] = counts ? sc_built(&s->b, data[i])->g : SC_NO_G;
        nonneg[i] = f->nonneg;
        convex[i] = f->convex;
    }
    uint8_t *lean = sc_array(s->scratch, uint8_t, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++)
        lean[i] = nonneg[i] ? 255 : s->lean[n->in[i]];
    bool has = sc && sc->has_scale;
    bool carries = n->op->flags & (SC_VIEW_OP | SC_ANY_THROUGH | SC_REBALANCES);
    if (has)
        bind_g(n, sc, in, var);
    for (uint32_t i = 0; i < n->n_out; i++) {
        ret_g[i] = 0;
        ret_shift[i] = NULL;
        s->lean[n->first + i] = s->fact[n->first + i].nonneg       ? 255
                                : carries && n->n_in > 0 && i == 0 ? lean[0]
                                                                   : 0;
        for (uint32_t k = 0; has && k < sc->n_var; k++)
            ret_g[i] += sc_scale_out(sc, i)->coef[k] * var[k];
        if (!n->op->growth && i < 2)
            ret_g[i] += (int32_t)(n->op->grow[i] * 256 + (n->op->grow[i] < 0 ? -0.5f : 0.5f));
    }
    if (n->op->growth) {
        const ScTerm *e0 = n->n_in > 0 ? sc_built(&s->b, data[0])->exp : NULL;
        n->op->growth(&(ScGrow){.g = s->g,
                                .n = n,
                                .in = in,
                                .nonneg = nonneg,
                                .convex = convex,
                                .lean = lean,
                                .ret_lean = &s->lean[n->first],
                                .e_first = e0 ? sc_scale_const_exp(e0, NULL) : 0,
                                .ret = ret_g,
                                .ret_shift = ret_shift});
    }
}

int64_t sc_growth_bits(int32_t g)
{
    if (g == SC_NO_G)
        return 0;
    int32_t m = g < 0 ? -g : g;
    if (m <= 128)
        return 0;
    int64_t k = (m - 128 + 255) / 256;
    return g < 0 ? -k : k;
}

const ScTerm *sc_growth_down(const ScGraph *g, const ScNode *n)
{
    ScCtx *cx = g->cx;
    const ScTerm *count = sc_term(cx, 1);
    if (!(n->op->flags & SC_SUMS) || (n->op->flags & SC_AVERAGES))
        return NULL;
    const ScType *x = sc_type_of(g, n->in[0]);
    if (n->op->contract) {
        ScContract c;
        n->op->contract(g, n, &c);
        count = x->dim[x->rank - (x->rank > 1 && c.trans_a ? 2 : 1)];
    } else if (n->op->reduce) {
        ScReduce r;
        n->op->reduce(g, n, &r);
        if (r.monoid != SC_SUM)
            return NULL;
        for (uint32_t i = 0; i < r.n_axis; i++)
            count = sc_term_mul(cx, count, x->dim[r.axis[i]]);
    } else if (n->op->scan) {
        ScScan s;
        n->op->scan(g, n, &s);
        if (s.monoid != SC_SUM)
            return NULL;
        count = x->dim[s.axis];
    } else if (n->op->conv) { /* the kernel's volume times the channels that w sees */
        const ScType *w = sc_type_of(g, n->in[1]);
        for (uint32_t i = 1; i < w->rank; i++)
            count = sc_term_mul(cx, count, w->dim[i]);
    }
    return sc_term_fdiv(cx, sc_term_log2(cx, count), sc_term(cx, 2));
}
