/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs for graphviz. Edges of low precision are red; the fill of a node says what the rounding of
 * what it makes, and of the constants that it reads, costs (rounding.h); what only moves an
 * exponent is grey. Nodes whose names begin alike stand together, and so do those of a kernel, and
 * of a nested graph, to which a dashed edge leads from the node that it is nested in. Edges go from
 * node to node, also from one kernel into another: what enters or leaves a kernel has no box. */
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
    const Rounding *at;        /* of its values */
    const struct Part *outer;  /* of a kernel the graph that it is in; else NULL */
    const ScNode *kernel;      /* there */
    const struct Part *inside; /* [g->n_node] of kernels */
} Part;

typedef struct Place { /* a value, in the graph where it is drawn */
    const Part *p;
    ScVal v;
} Place;

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

static uint32_t index_of(const ScVal *v, uint32_t n, ScVal x)
{
    uint32_t i = 0;
    while (i < n && v[i] != x)
        i++;
    return i;
}

/* What a kernel is given is the value outside, and what it gives too. */
static Place place(const Part *p, ScVal v)
{
    uint32_t in = p->kernel ? index_of(p->g->in, p->g->n_in, v) : 0;
    uint32_t out = p->kernel ? index_of(p->g->out, p->g->n_out, v) : 0;
    if (p->kernel && in < p->g->n_in)
        return place(p->outer, p->kernel->in[in]);
    if (p->kernel && out < p->g->n_out)
        return place(p->outer, p->kernel->first + out);
    return (Place){p, v};
}

static bool is_kernel(const ScNode *n)
{
    return n->op == &sc_op_kernel;
}

/* The node that makes v, in a kernel the one inside, as "p->id n node". */
static Place maker(const Part *p, ScVal v)
{
    uint32_t node = p->g->value[v].node;
    uint32_t in = p->kernel ? index_of(p->g->in, p->g->n_in, v) : 0;
    if (p->kernel && in < p->g->n_in)
        return maker(p->outer, p->kernel->in[in]);
    const ScNode *n = &p->g->node[node];
    return is_kernel(n) ? maker(&p->inside[node], n->sub[0]->out[v - n->first]) : (Place){p, v};
}

static bool is_constant(Place x)
{
    return sc_def(x.p->g, x.v)->op->flags & SC_CONST_OP;
}

static void fill(const Part *p, const ScNode *n, ScStr *s)
{
    bool low = false;
    Rounding worst = {(double)NAN, false};
    for (uint32_t k = 0; k < n->n_in + n->n_out; k++) {
        if (k < n->n_in && n->in[k] < SC_FIRST)
            continue;
        Place x = place(p, k < n->n_in ? n->in[k] : n->first + (k - n->n_in));
        if (k >= n->n_in || is_constant(x))
            rounding_meet(x.p->g, x.v, x.p->at, &worst, &low);
    }
    if (low)
        sc_str_addf(s, ", style=filled, fillcolor=\"%s\"", rounding_colour(worst.db));
    else if (n->op->flags & SC_REBALANCES)
        sc_str_add(s, ", style=filled, fillcolor=\"#e9ecef\"");
}

/* "%name: type * 2^exponent, 31.5 dB" behind `what` on a line of its own; ~: expected. */
static void value(Place at, const char *what, ScStr *s)
{
    const Part *p = at.p;
    const ScVal v = at.v;
    ScStr text = {0};
    sc_str_add(&text, what);
    if (!p->kernel) /* names inside would be mistaken for those outside */
        sc_str_addf(&text, "%%%s: ", p->label[v]);
    type_text(p->g, v, &text);
    if (!isnan(p->at[v].db))
        sc_str_addf(&text, ", %s%.1f dB", p->at[v].measured ? "" : "~", p->at[v].db);
    sc_str_add(s, "\\n");
    quoted(s, sc_str_get(&text));
    sc_str_free(&text);
}

/* "conv from /layer/conv", "kernel map from ...". */
static void title(const ScNode *n, ScStr *s)
{
    ScStr text = {0};
    sc_str_addf(&text, "%s%s%s", n->op->name, n->op->n_sub ? " " : "",
                n->op->n_sub && n->op->n_attr && n->attr[0].kind == SC_A_STR ? n->attr[0].s : "");
    for (uint32_t k = 0; k < n->loc->n; k++)
        sc_str_addf(&text, "%s%s", k ? ", " : " from ", n->loc->origin[k].name);
    quoted(s, sc_str_get(&text));
    sc_str_free(&text);
}

/* Constants are text of what reads them, and types stand at what makes them: nodes with long edges,
 * and edges with labels, are what keeps dot busy. */
static void node(const Part *p, uint32_t i, ScStr *s)
{
    const ScNode *n = &p->g->node[i];
    sc_str_addf(s, "  %sn%u [label=\"", p->id, i);
    title(n, s);
    for (uint32_t k = 0; k < n->n_in; k++)
        if (n->in[k] >= SC_FIRST && is_constant(place(p, n->in[k])))
            value(place(p, n->in[k]), "", s);
    for (uint32_t k = 0; k < n->n_out; k++)
        value(place(p, n->first + k), "-> ", s);
    sc_str_addf(s, "\", shape=%s", n->op->lower.cls == SC_SOURCE ? "ellipse" : "box");
    fill(p, n, s);
    sc_str_add(s, "];\n");
}

/* Whether node i has a box of its own. */
static bool is_drawn(const Part *p, uint32_t i)
{
    const ScNode *n = &p->g->node[i];
    bool given = p->kernel && n->n_out && index_of(p->g->in, p->g->n_in, n->first) < p->g->n_in;
    return !given && !(n->op->flags & SC_CONST_OP);
}

/* The nodes of kernel i. */
static void kernel(const Part *p, uint32_t i, ScStr *s)
{
    const Part *in = &p->inside[i];
    sc_str_addf(s, "  subgraph cluster_%s {\n  color=\"#868e96\"; label=\"", in->id);
    title(&p->g->node[i], s);
    sc_str_add(s, "\";\n");
    for (uint32_t k = 0; k < in->g->n_node; k++)
        if (is_drawn(in, k))
            node(in, k, s);
    sc_str_add(s, "  }\n");
}

/* Those that lead to the nodes of p. In the text of a cluster they would draw both ends into it. */
static void edges(const Part *p, ScStr *s)
{
    for (uint32_t i = 0; i < p->g->n_node; i++) {
        const ScNode *n = &p->g->node[i];
        if (is_kernel(n)) {
            edges(&p->inside[i], s);
            continue;
        }
        for (uint32_t k = 0; k < n->n_in; k++) {
            if (n->in[k] < SC_FIRST || is_constant(place(p, n->in[k])))
                continue;
            Place from = maker(p, n->in[k]);
            sc_str_addf(s, "  %sn%u -> %sn%u%s;\n", from.p->id, from.p->g->value[from.v].node,
                        p->id, i,
                        rounding_is_low(p->g, n->in[k]) ? " [color=\"#c92a2a\", penwidth=2]" : "");
        }
    }
}

/* A node and the part of its ONNX name before the last slash; "": none. */
typedef struct Member {
    const char *prefix;
    uint32_t node;
} Member;

static int by_prefix(const void *pa, const void *pb)
{
    const Member *a = pa, *b = pb;
    int c = strcmp(a->prefix, b->prefix);
    return c ? c : (a->node > b->node) - (a->node < b->node);
}

static const char *prefix_of(const ScNode *n, ScArena *a)
{
    const char *name = n->loc->n ? n->loc->origin[0].name : NULL;
    const char *end = name ? strrchr(name, '/') : NULL;
    return end && end > name ? sc_printf(a, "%.*s", (int)(end - name), name) : "";
}

static void nodes(const Part *p, ScArena *a, ScStr *s)
{
    const ScGraph *g = p->g;
    Member *m = sc_array(a, Member, g->n_node + 1u);
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_node; i++)
        if (is_drawn(p, i))
            m[n++] = (Member){prefix_of(&g->node[i], a), i};
    qsort(m, n, sizeof *m, by_prefix);
    for (uint32_t i = 0; i < n; i++) {
        bool first = i == 0 || strcmp(m[i].prefix, m[i - 1].prefix) != 0;
        bool last = i + 1 == n || strcmp(m[i].prefix, m[i + 1].prefix) != 0;
        if (first && *m[i].prefix) {
            sc_str_addf(s, "  subgraph cluster_%s%u {\n    color=\"#ced4da\"; label=\"", p->id, i);
            quoted(s, m[i].prefix);
            sc_str_add(s, "\";\n");
        }
        (is_kernel(&g->node[m[i].node]) ? kernel : node)(p, m[i].node, s);
        sc_str_add(s, last && *m[i].prefix ? "  }\n" : "");
    }
}

static void results(const Part *p, ScStr *s)
{
    const ScGraph *g = p->g;
    for (uint32_t i = 0; i < g->n_out; i++) {
        ScVal v = g->out[i];
        sc_str_addf(s, "  %sout%u [label=\"", p->id, i);
        quoted(s, g->out_name[i] ? g->out_name[i] : "");
        bool constant = is_constant((Place){p, v});
        if (constant)
            value((Place){p, v}, "", s);
        sc_str_add(s, "\", shape=ellipse];\n");
        Place from = maker(p, v);
        if (!constant)
            sc_str_addf(s, "  %sn%u -> %sout%u;\n", from.p->id, from.p->g->value[from.v].node,
                        p->id, i);
    }
}

/* What is inside of the kernels of p. */
static const Part *insides(const Dot *d, const Part *p)
{
    Part *ret = sc_array(d->a, Part, p->g->n_node + 1u);
    for (uint32_t i = 0; i < p->g->n_node; i++) {
        const ScNode *n = &p->g->node[i];
        if (is_kernel(n))
            ret[i] = (Part){.g = n->sub[0],
                            .id = sc_printf(d->a, "%sn%u_0_", p->id, i),
                            .label = sc_labels(n->sub[0], d->a),
                            .at = rounding_of(n->sub[0], NULL, 0, d->a),
                            .outer = p,
                            .kernel = n};
    }
    return ret;
}

static const char *graph(Dot *d, const ScGraph *g, const char *id);

/* The graphs nested in node i, in the order of levels. */
static void nested(Dot *d, const Part *p, uint32_t i)
{
    const ScNode *n = &p->g->node[i];
    for (uint32_t k = 0; n->op->control && k < n->op->n_sub; k++) {
        const char *id = sc_printf(d->a, "%sn%u_%u_", p->id, i, k);
        const char *what = n->op->control != SC_BRANCH ? "body" : k ? "else" : "then";
        sc_str_addf(&d->s, "  subgraph cluster_%s {\n  style=dashed; label=\"%s\";\n", id, what);
        const char *first = graph(d, n->sub[k], id);
        sc_str_addf(&d->s, "  }\n  %sn%u -> %s [style=dashed, lhead=cluster_%s];\n", p->id, i,
                    first, id);
    }
}

/* The name of its first box. */
static const char *graph(Dot *d, const ScGraph *g, const char *id)
{
    Part p = {.g = g,
              .id = id,
              .label = sc_labels(g, d->a),
              .at = d->rounding + d->level[d->next++].first};
    p.inside = insides(d, &p);
    nodes(&p, d->a, &d->s);
    edges(&p, &d->s);
    results(&p, &d->s);
    for (uint32_t i = 0; i < g->n_node; i++)
        nested(d, &p, i);
    uint32_t first = 0;
    while (first < g->n_node && !is_drawn(&p, first))
        first++;
    if (first == g->n_node)
        return sc_printf(d->a, "%sout0", id);
    Place at = maker(&p, g->node[first].first);
    return sc_printf(d->a, "%sn%u", at.p->id, at.p->g->value[at.v].node);
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
