/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs for graphviz. Edges of low precision are red; the fill of a node says what the rounding of
 * what it makes, and of the constants that it reads, costs (rounding.h); what only moves an
 * exponent is grey. Nodes whose names begin alike stand together, and so do those of a nested
 * graph, to which a dashed edge leads from the node that it is nested in. */
#include "tools/libscalec/rounding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Dot {
    ScArena *a;
    ScStr s;
    const Rounding *rounding; /* numbered through */
    const ScLevel *level;
    uint32_t next; /* the level that comes next */
} Dot;

typedef struct Part { /* a graph of the drawing */
    const ScGraph *g;
    const char *id; /* before the names of its nodes: "", "n7_0_" */
    const char *const *label;
    const Rounding *at; /* of its values */
} Part;

/* Names are data: quotes and backslashes are escaped, control characters become spaces. */
static void quoted(ScStr *s, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            sc_str_addn(s, "\\", 1);
        sc_str_addn(s, (unsigned char)*text < 0x20 ? " " : text, 1);
    }
}

static void type_text(const ScGraph *g, ScVal v, ScStr *s)
{
    sc_type_print(g->value[v].type, s);
    if (g->value[v].exp && !sc_term_is(g->value[v].exp, 0)) {
        sc_str_add(s, " * 2^");
        sc_term_print(g->value[v].exp, s);
    }
}

static void fill(const Part *p, const ScNode *n, ScStr *s)
{
    bool low;
    Rounding worst = rounding_worst(p->g, n, p->at, &low);
    if (low)
        sc_str_addf(s, ", style=filled, fillcolor=\"%s\"", rounding_colour(worst.db));
    else if (n->op->flags & SC_REBALANCES)
        sc_str_add(s, ", style=filled, fillcolor=\"#e9ecef\"");
}

/* "%name: type * 2^exponent, 31.5 dB" behind `what` on a line of its own; ~: expected. */
static void value(const Part *p, ScVal v, const char *what, ScStr *s)
{
    ScStr text = {0};
    sc_str_addf(&text, "%s%%%s: ", what, p->label[v]);
    type_text(p->g, v, &text);
    if (!isnan(p->at[v].db))
        sc_str_addf(&text, ", %s%.1f dB", p->at[v].measured ? "" : "~", p->at[v].db);
    sc_str_add(s, "\\n");
    quoted(s, sc_str_get(&text));
    sc_str_free(&text);
}

static bool is_constant(const ScGraph *g, ScVal v)
{
    return sc_def(g, v)->op->flags & SC_CONST_OP;
}

/* Constants are text of what reads them, and types stand at what makes them: nodes with long edges,
 * and edges with labels, are what keeps dot busy. */
static void node(const Part *p, uint32_t i, ScStr *s)
{
    const ScNode *n = &p->g->node[i];
    ScStr text = {0};
    sc_str_addf(&text, "%s%s%s", n->op->name, n->op->n_sub ? " " : "",
                n->op->n_sub && n->op->n_attr && n->attr[0].kind == SC_A_STR ? n->attr[0].s : "");
    for (uint32_t k = 0; k < n->loc->n; k++)
        sc_str_addf(&text, "%s%s", k ? ", " : " from ", n->loc->origin[k].name);
    sc_str_addf(s, "  %sn%u [label=\"", p->id, i);
    quoted(s, sc_str_get(&text));
    sc_str_free(&text);
    for (uint32_t k = 0; k < n->n_in; k++)
        if (n->in[k] >= SC_FIRST && is_constant(p->g, n->in[k]))
            value(p, n->in[k], "", s);
    for (uint32_t k = 0; k < n->n_out; k++)
        value(p, n->first + k, "-> ", s);
    sc_str_addf(s, "\", shape=%s", n->op->lower.cls == SC_SOURCE ? "ellipse" : "box");
    fill(p, n, s);
    sc_str_add(s, "];\n");
    for (uint32_t k = 0; k < n->n_in; k++)
        if (n->in[k] >= SC_FIRST && !is_constant(p->g, n->in[k]))
            sc_str_addf(s, "  %sn%u -> %sn%u%s;\n", p->id, p->g->value[n->in[k]].node, p->id, i,
                        rounding_is_low(p->g, n->in[k]) ? " [color=\"#c92a2a\", penwidth=2]" : "");
}

/* A node and the part of its ONNX name before the last slash. */
typedef struct Place {
    const char *prefix;
    uint32_t node;
} Place;

static int by_prefix(const void *pa, const void *pb)
{
    const Place *a = pa, *b = pb;
    int c = strcmp(a->prefix, b->prefix);
    return c ? c : (a->node > b->node) - (a->node < b->node);
}

static void clusters(const Part *p, ScArena *a, ScStr *s)
{
    const ScGraph *g = p->g;
    Place *place = sc_array(a, Place, g->n_node + 1u);
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScLoc *loc = g->node[i].loc;
        const char *name = loc->n ? loc->origin[0].name : NULL,
                   *end = name ? strrchr(name, '/') : NULL;
        if (end && end > name && !(g->node[i].op->flags & SC_CONST_OP))
            place[n++] = (Place){sc_printf(a, "%.*s", (int)(end - name), name), i};
    }
    qsort(place, n, sizeof *place, by_prefix);
    for (uint32_t i = 0; i < n; i++) {
        bool first = i == 0 || strcmp(place[i].prefix, place[i - 1].prefix) != 0;
        bool last = i + 1 == n || strcmp(place[i].prefix, place[i + 1].prefix) != 0;
        if (first) {
            sc_str_addf(s, "  subgraph cluster_%s%u {\n    color=\"#ced4da\"; label=\"", p->id, i);
            quoted(s, place[i].prefix);
            sc_str_add(s, "\";\n   ");
        }
        sc_str_addf(s, " %sn%u;", p->id, place[i].node);
        sc_str_add(s, last ? "\n  }\n" : "");
    }
}

static void results(const Part *p, ScStr *s)
{
    const ScGraph *g = p->g;
    for (uint32_t i = 0; i < g->n_out; i++) {
        ScVal v = g->out[i];
        sc_str_addf(s, "  %sout%u [label=\"", p->id, i);
        quoted(s, g->out_name[i] ? g->out_name[i] : "");
        if (is_constant(g, v))
            value(p, v, "", s);
        sc_str_add(s, "\", shape=ellipse];\n");
        if (!is_constant(g, v))
            sc_str_addf(s, "  %sn%u -> %sout%u;\n", p->id, g->value[v].node, p->id, i);
    }
}

static void graph(Dot *d, const ScGraph *g, const char *id);

/* The graphs nested in node i, in the order of levels; kernels are boxes. */
static void nested(Dot *d, const Part *p, uint32_t i)
{
    const ScNode *n = &p->g->node[i];
    for (uint32_t k = 0; n->op->control && k < n->op->n_sub; k++) {
        const ScGraph *sub = n->sub[k];
        const char *id = sc_printf(d->a, "%sn%u_%u_", p->id, i, k);
        const char *what = n->op->control != SC_BRANCH ? "body" : k ? "else" : "then";
        uint32_t first = 0;
        while (first < sub->n_node && (sub->node[first].op->flags & SC_CONST_OP))
            first++;
        sc_str_addf(&d->s, "  subgraph cluster_%s {\n  style=dashed; label=\"%s\";\n", id, what);
        graph(d, sub, id);
        sc_str_addf(&d->s, "  }\n  %sn%u -> %s%s%u [style=dashed, lhead=cluster_%s];\n", p->id, i,
                    id, first < sub->n_node ? "n" : "out", first < sub->n_node ? first : 0, id);
    }
}

static void graph(Dot *d, const ScGraph *g, const char *id)
{
    const Part p = {g, id, sc_labels(g, d->a), d->rounding + d->level[d->next++].first};
    for (uint32_t i = 0; i < g->n_node; i++)
        if (!(g->node[i].op->flags & SC_CONST_OP))
            node(&p, i, &d->s);
    clusters(&p, d->a, &d->s);
    results(&p, &d->s);
    for (uint32_t i = 0; i < g->n_node; i++)
        nested(d, &p, i);
}

/* What the colours mean, as the graph's title. */
static void legend(ScStr *s)
{
    sc_str_add(s,
               "  label=<<table border=\"0\" cellspacing=\"0\"><tr><td>rounding of what is stored, "
               "dB below it:</td>");
    for (uint32_t i = 0; i < ROUNDING_STEPS; i++)
        if (i + 1 < ROUNDING_STEPS)
            sc_str_addf(s, "<td bgcolor=\"%s\">%g or more</td>", rounding_step[i].colour,
                        rounding_step[i].from);
        else
            sc_str_addf(s, "<td bgcolor=\"%s\">less</td>", rounding_step[i].colour);
    sc_str_add(s, "<td bgcolor=\"" ROUNDING_UNKNOWN "\">not known</td></tr></table>>;\n");
}

static bool any_low(const ScLevel *l, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (ScVal v = SC_FIRST; v < l[i].g->n_value; v++)
            if (rounding_is_low(l[i].g, v))
                return true;
    return false;
}

bool scalec_write_dot(ScCtx *cx, const ScGraph *g, const ScReport *r, uint32_t n, const char *path)
{
    ScArena *a = sc_arena_new();
    uint32_t n_level;
    Dot d = {.a = a, .rounding = rounding_of(g, r, n, a), .level = sc_levels(g, a, &n_level)};
    sc_str_add(&d.s, "digraph \"");
    quoted(&d.s, g->name);
    sc_str_add(&d.s, "\" {\n  compound=true; labelloc=t; fontname=\"sans-serif\"; fontsize=10;\n"
                     "  node [fontname=\"sans-serif\", fontsize=10];\n");
    if (any_low(d.level, n_level))
        legend(&d.s);
    graph(&d, g, "");
    sc_str_add(&d.s, "}\n");
    bool ok = scalec_write_file(cx, path, sc_str_get(&d.s), d.s.n);
    sc_str_free(&d.s);
    sc_arena_free(a);
    return ok;
}
