/* SPDX-License-Identifier: Apache-2.0 */
/* What the rounding of each value costs that a graph stores low, for dumps that show it: measured
 * where somebody ran the graph, and of constants always; else what normal numbers of the RMS that
 * the value is expected to have would lose in its format. */
#include "tools/libscalec/rounding.h"

#include <math.h>

const RoundingStep rounding_step[ROUNDING_STEPS] = {
    {30, "#fff3bf"}, {24, "#ffd8a8"}, {18, "#ffa94d"}, {12, "#ff8787"}, {-HUGE_VAL, "#e03131"},
};

const char *rounding_colour(double db)
{
    uint32_t i = 0;
    while (db < rounding_step[i].from)
        i++;
    return isnan(db) ? ROUNDING_UNKNOWN : rounding_step[i].colour;
}

bool rounding_is_low(const ScGraph *g, ScVal v)
{
    const ScType *t = g->value[v].type;
    return sc_type_is_float(t) && scrt_dtype_bits(t->dtype) <= 8;
}

/* Of normal numbers whose log2 RMS is g, up to 6 times that. The step is none of a format's own. */
static double of_normal(ScrtDtype t, double g)
{
    const double step = 0.0157;
    double signal = 0, noise = 0;
    for (double u = step / 2; u < 6; u += step) {
        double x = u * exp2(g), off = scrt_value(t, scrt_round(t, x, true, SCRT_NEAREST)) - x;
        signal += exp(-u * u / 2) * x * x;
        noise += exp(-u * u / 2) * off * off;
    }
    return noise > 0 ? 10 * log10(signal / noise) : HUGE_VAL;
}

static Rounding expected(const ScGraph *g, ScVal v)
{
    const ScValue *x = &g->value[v];
    bool known = x->g != SC_NO_G && x->type->dtype != SCRT_F8E8M0 &&
                 !(g->node[x->node].op->flags & SC_CONST_OP);
    return (Rounding){known ? of_normal(x->type->dtype, x->g / 256.0) : (double)NAN, false};
}

/* Views hold what their operand does. */
static void look(const ScGraph *g, Rounding *at)
{
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t k = 0; k < n->n_out; k++) {
            ScVal v = n->first + k;
            if (!rounding_is_low(g, v) || !isnan(at[v].db))
                continue;
            bool same = (n->op->flags & SC_VIEW_OP) && rounding_is_low(g, n->in[0]);
            at[v] = same ? at[n->in[0]] : expected(g, v);
        }
    }
}

const Rounding *rounding_of(const ScGraph *g, const ScReport *r, uint32_t n, ScArena *a)
{
    uint32_t n_level, count = sc_count_values(g);
    const ScLevel *l = sc_levels(g, a, &n_level);
    Rounding *ret = sc_array(a, Rounding, count + 1);
    for (uint32_t v = 0; v < count; v++)
        ret[v].db = (double)NAN;
    for (uint32_t i = 0; i < n; i++) {
        const ScLevel *at = sc_level_of(l, n_level, r[i].v);
        if (!isnan(r[i].rounding) && rounding_is_low(at->g, r[i].v - at->first))
            ret[r[i].v] = (Rounding){r[i].rounding, true};
    }
    for (uint32_t i = 0; i < n_level; i++)
        look(l[i].g, ret + l[i].first);
    return ret;
}

void rounding_meet(const ScGraph *g, ScVal v, const Rounding *at, Rounding *worst, bool *low)
{
    if (isnan(at[v].db) && !rounding_is_low(g, v))
        return;
    *low = true;
    if (isnan(worst->db) || at[v].db < worst->db)
        *worst = at[v];
}

Rounding rounding_worst(const ScGraph *g, const ScNode *n, const Rounding *at, bool *ret_low)
{
    Rounding worst = {(double)NAN, false};
    *ret_low = false;
    for (uint32_t k = 0; k < n->n_in + n->n_out; k++) {
        ScVal v = k < n->n_in ? n->in[k] : n->first + (k - n->n_in);
        bool own = k >= n->n_in || (v >= SC_FIRST && (sc_def(g, v)->op->flags & SC_CONST_OP));
        if (own)
            rounding_meet(g, v, at, &worst, ret_low);
    }
    return worst;
}
