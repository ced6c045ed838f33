/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a dump: how much of what a graph has, and what lies near the end of its format. */
#include "tools/libscalec/scalec.h"

#include <math.h>

enum { ROOM_ABOVE = 3, ROOM_BELOW = 4, SHOWN = 5, TYPES = 64 }; /* bits; names */

typedef struct Totals {
    uint32_t cls[SC_N_CLASS], nodes, casts[TYPES], n_cast, moves, n_outlier;
    uint64_t bytes[TYPES];
    ScStr outlier;
} Totals;

typedef struct Level { /* a graph, and what is known of its values */
    const ScGraph *g;
    ScArena *a;
    const char *const *label;
    const int32_t *top; /* of sc_ceilings; NULL until somebody asks */
} Level;

/* Whether no element of x can be beyond what format f holds: what pinned a value is often that. */
static bool is_proven_to_fit(Level *l, ScVal v, const ScrtFormat *f)
{
    int64_t e;
    if (!sc_term_const(l->g->value[v].exp, &e))
        return false;
    l->top = l->top ? l->top : sc_ceilings(l->g, l->a);
    return l->top[v] != SC_NO_TOP && l->top[v] / 256.0 - (double)e <= log2(f->max);
}

/* Data whose RMS, as estimated, lies so near the largest number of a narrow format that some of it
 * saturates, or near the least normal one, so that much of it is subnormal. */
static bool is_outlier(Level *l, ScVal v)
{
    const ScValue *x = &l->g->value[v];
    if (!x->exp || x->g == SC_NO_G || !sc_type_is_float(x->type))
        return false;
    const ScrtFormat *f = scrt_format(x->type->dtype);
    double rms = x->g / 256.0;
    bool fits = l->g->node[x->node].op->flags & SC_CONST_OP; /* its exponent is chosen so */
    return f->exp_bits < 8 &&
           ((!fits && rms > log2(f->max) - ROOM_ABOVE && !is_proven_to_fit(l, v, f)) ||
            rms < log2(f->min_normal) + ROOM_BELOW);
}

static void look_at_value(Level *l, ScVal v, Totals *t)
{
    if (!is_outlier(l, v))
        return;
    if (t->n_outlier++ < SHOWN)
        sc_str_addf(&t->outlier, "%s%%%s (log2 RMS %.1f)", t->outlier.n ? ", " : "", l->label[v],
                    l->g->value[v].g / 256.0);
}

/* inside: a kernel, whose values have no names of their own. */
static void look(const ScGraph *g, bool inside, Totals *t)
{
    ScArena *a = sc_arena_new();
    Level l = {g, a, inside ? NULL : sc_labels(g, a), NULL};
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        ScrtDtype d = n->n_out ? sc_type_of(g, n->first)->dtype : SCRT_DTYPE_NONE;
        size_t bytes;
        int64_t count;
        if (n->op->lower.cls == SC_SOURCE) {
            if ((n->op->flags & SC_CONST_OP) && (uint32_t)d < TYPES &&
                sc_term_const(sc_type_count(g->cx, sc_type_of(g, n->first)), &count) &&
                scrt_bytes(d, (size_t)count, &bytes))
                t->bytes[d] += bytes;
        } else {
            t->nodes += n->op->lower.cls != SC_KERNEL; /* those in it are counted */
            t->cls[n->op->lower.cls]++;
        }
        if ((n->op->flags & SC_CONVERTS) && (uint32_t)d < TYPES) {
            t->casts[d]++;
            t->n_cast++;
        }
        t->moves += (n->op->flags & SC_REBALANCES) != 0;
        for (uint32_t k = 0; k < n->n_out && !inside; k++)
            look_at_value(&l, n->first + k, t);
        for (uint32_t k = 0; k < n->op->n_sub; k++)
            look(n->sub[k], n->op->lower.cls == SC_KERNEL, t);
    }
    sc_arena_free(a);
}

void scalec_totals(const ScGraph *g, ScStr *out)
{
    Totals t = {0};
    const char *comma = " (";
    look(g, false, &t);
    sc_str_addf(out, "nodes: %u", t.nodes);
    for (uint32_t i = 0; i < SC_N_CLASS; i++)
        if (t.cls[i]) {
            sc_str_addf(out, "%s%u %s", comma, t.cls[i],
                        i == SC_NO_LOWERING ? "to be expanded" : sc_class[i].name);
            comma = ", ";
        }
    sc_str_addf(out, "%s\ncasts: %u", t.nodes ? ")" : "", t.n_cast);
    comma = " (";
    for (uint32_t i = 0; i < TYPES; i++)
        if (t.casts[i]) {
            sc_str_addf(out, "%s%u to %s", comma, t.casts[i], scrt_dtype_name((ScrtDtype)i));
            comma = ", ";
        }
    sc_str_addf(out, "%s, rebalances: %u\nconstants:", t.n_cast ? ")" : "", t.moves);
    comma = " ";
    for (uint32_t i = 0; i < TYPES; i++)
        if (t.bytes[i]) {
            sc_str_addf(out, "%s%llu bytes of %s", comma, (unsigned long long)t.bytes[i],
                        scrt_dtype_name((ScrtDtype)i));
            comma = ", ";
        }
    sc_str_addf(out, "%s\n", *comma == ' ' ? " none" : "");
    if (t.n_outlier)
        sc_str_addf(out, "near the end of their format: %u, %s%s\n", t.n_outlier,
                    sc_str_get(&t.outlier), t.n_outlier > SHOWN ? ", ..." : "");
    sc_str_free(&t.outlier);
}
