/* SPDX-License-Identifier: Apache-2.0 */
/* A graph and all that is nested in it, whose values are numbered through. */
#include "passes/scale_priv.h"

typedef struct Levels {
    ScArena *a;
    ScLevel *l;
    uint32_t n, cap;
    ScVal next;
} Levels;

const char *sc_nested_prefix(const char *prefix, uint32_t k, ScArena *a)
{
    return sc_printf(a, "%s%u/", prefix, k + 1);
}

/* The nesting of graphs is as shallow as the importer and the parser let it be. */
static void add_level(Levels *x, ScLevel l)
{
    uint32_t at = x->n;
    l.first = x->next;
    x->next += l.g->n_value;
    sc_buf_push(x->l, x->n, x->cap, l);
    for (uint32_t i = 0, k = 0; i < l.g->n_node; i++)
        for (uint32_t j = 0; l.g->node[i].op->control && j < l.g->node[i].op->n_sub; j++)
            add_level(x, (ScLevel){.g = l.g->node[i].sub[j],
                                   .prefix = sc_nested_prefix(l.prefix, k++, x->a),
                                   .outer = at,
                                   .node = i,
                                   .sub = j});
}

const ScLevel *sc_levels(const ScGraph *g, ScArena *a, uint32_t *ret_n)
{
    Levels x = {.a = a};
    add_level(&x, (ScLevel){.g = g, .prefix = ""});
    const ScLevel *ret = sc_memdup(a, x.l, x.n * sizeof *x.l);
    sc_buf_free(x.l);
    *ret_n = x.n;
    return ret;
}

uint32_t sc_count_values(const ScGraph *g)
{
    uint32_t n = g->n_value;
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; g->node[i].op->control && k < g->node[i].op->n_sub; k++)
            n += sc_count_values(g->node[i].sub[k]);
    return n;
}

const ScLevel *sc_level_of(const ScLevel *l, uint32_t n, ScVal v)
{
    uint32_t lo = 0;
    while (n > 1) {
        uint32_t half = n / 2;
        lo += l[lo + half].first <= v ? half : 0;
        n -= half;
    }
    return &l[lo];
}

const char *const *sc_stat_labels(const ScGraph *g, const char *prefix, ScArena *a)
{
    const char *const *label = sc_labels(g, a);
    if (!*prefix)
        return label;
    const char **ret = sc_array(a, const char *, g->n_value + 1u);
    for (ScVal v = 0; v < g->n_value; v++)
        ret[v] = sc_printf(a, "%s%s", prefix, label[v]);
    return ret;
}
