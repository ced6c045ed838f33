/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs for other programs: DOT for graphviz, JSON for scripts. */
#include "tools/libscalec/scalec.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* --- DOT -------------------------------------------------------------------------------------- */

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

static bool is_low(const ScGraph *g, ScVal v)
{
    return sc_type_is_float(g->value[v].type) && scrt_dtype_bits(g->value[v].type->dtype) <= 8;
}

/* Low precision stands out: its edges are red, the nodes that make it filled; what only moves an
 * exponent is grey. */
static const char *dot_fill(const ScGraph *g, const ScNode *n)
{
    return n->n_out && is_low(g, n->first) ? ", style=filled, fillcolor=\"#ffd8a8\""
           : n->op->flags & SC_REBALANCES  ? ", style=filled, fillcolor=\"#e9ecef\""
                                           : "";
}

/* "%name: type * 2^exponent" behind `what` on a line of its own. */
static void dot_value(const ScGraph *g, ScVal v, const char *const *label, const char *what,
                      ScStr *s)
{
    ScStr text = {0};
    sc_str_addf(&text, "%s%%%s: ", what, label[v]);
    type_text(g, v, &text);
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
static void dot_node(const ScGraph *g, uint32_t i, const char *const *label, ScStr *s)
{
    const ScNode *n = &g->node[i];
    ScStr text = {0};
    sc_str_addf(&text, "%s%s%s", n->op->name, n->op->n_sub ? " " : "",
                n->op->n_sub && n->op->n_attr && n->attr[0].kind == SC_A_STR ? n->attr[0].s : "");
    for (uint32_t k = 0; k < n->loc->n; k++)
        sc_str_addf(&text, "%s%s", k ? ", " : " from ", n->loc->origin[k].name);
    sc_str_addf(s, "  n%u [label=\"", i);
    quoted(s, sc_str_get(&text));
    sc_str_free(&text);
    for (uint32_t k = 0; k < n->n_in; k++)
        if (n->in[k] >= SC_FIRST && is_constant(g, n->in[k]))
            dot_value(g, n->in[k], label, "", s);
    for (uint32_t k = 0; k < n->n_out; k++)
        dot_value(g, n->first + k, label, "-> ", s);
    sc_str_addf(s, "\", shape=%s%s];\n", n->op->lower.cls == SC_SOURCE ? "ellipse" : "box",
                dot_fill(g, n));
    for (uint32_t k = 0; k < n->n_in; k++)
        if (n->in[k] >= SC_FIRST && !is_constant(g, n->in[k]))
            sc_str_addf(s, "  n%u -> n%u%s;\n", g->value[n->in[k]].node, i,
                        is_low(g, n->in[k]) ? " [color=\"#c92a2a\", penwidth=2]" : "");
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

/* Nodes whose names begin alike stand together. */
static void dot_clusters(const ScGraph *g, ScArena *a, ScStr *s)
{
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
            sc_str_addf(s, "  subgraph cluster_%u {\n    color=\"#ced4da\"; label=\"", i);
            quoted(s, place[i].prefix);
            sc_str_add(s, "\";\n   ");
        }
        sc_str_addf(s, " n%u;", place[i].node);
        sc_str_add(s, last ? "\n  }\n" : "");
    }
}

bool scalec_write_dot(ScCtx *cx, const ScGraph *g, const char *path)
{
    ScArena *a = sc_arena_new();
    const char *const *label = sc_labels(g, a);
    ScStr s = {0};
    sc_str_add(&s, "digraph \"");
    quoted(&s, g->name);
    sc_str_add(&s, "\" {\n  node [fontname=\"sans-serif\", fontsize=10];\n");
    for (uint32_t i = 0; i < g->n_node; i++)
        if (!(g->node[i].op->flags & SC_CONST_OP))
            dot_node(g, i, label, &s);
    dot_clusters(g, a, &s);
    for (uint32_t i = 0; i < g->n_out; i++) {
        ScVal v = g->out[i];
        sc_str_addf(&s, "  out%u [label=\"", i);
        quoted(&s, g->out_name[i]);
        if (is_constant(g, v))
            dot_value(g, v, label, "", &s);
        sc_str_add(&s, "\", shape=ellipse];\n");
        if (!is_constant(g, v))
            sc_str_addf(&s, "  n%u -> out%u;\n", g->value[v].node, i);
    }
    sc_str_add(&s, "}\n");
    bool ok = scalec_write_file(cx, path, sc_str_get(&s), s.n);
    sc_str_free(&s);
    sc_arena_free(a);
    return ok;
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* Names that are no UTF-8 have their odd bytes replaced: JSON cannot hold them. */
static json_t *string(const char *text)
{
    json_t *j = json_string(text);
    if (j)
        return j;
    char *copy = strdup(text);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    j = json_string(copy ? copy : "");
    free(copy);
    return j;
}

/* A printed name without its quotes. */
static json_t *name_json(const char *label)
{
    ScStr s = {0};
    const char *p = label;
    if (*label != '"' || !sc_read_name(&p, &s))
        return string(label);
    sc_str_add(&s, p);
    json_t *j = string(sc_str_get(&s));
    sc_str_free(&s);
    return j;
}

static json_t *term_json(const ScTerm *t)
{
    int64_t c;
    if (!t)
        return json_null();
    if (sc_term_const(t, &c))
        return json_integer(c);
    ScStr s = {0};
    sc_term_print(t, &s);
    json_t *j = string(sc_str_get(&s));
    sc_str_free(&s);
    return j;
}

static json_t *value_json(const ScGraph *g, ScVal v, const char *const *label)
{
    const ScValue *x = &g->value[v];
    json_t *o = json_object(), *dims = json_array();
    json_object_set_new(o, "name", name_json(label[v]));
    json_object_set_new(o, "dtype", json_string(scrt_dtype_name(x->type->dtype)));
    for (uint32_t i = 0; i < x->type->rank; i++)
        json_array_append_new(dims, term_json(x->type->dim[i]));
    json_object_set_new(o, "dims", dims);
    json_object_set_new(o, "exponent", term_json(x->exp));
    json_object_set_new(o, "log2_rms", x->g == SC_NO_G ? json_null() : json_real(x->g / 256.0));
    return o;
}

static json_t *graph_json(const ScGraph *g);

static json_t *node_json(const ScGraph *g, const ScNode *n, const char *const *label)
{
    json_t *o = json_object(), *in = json_array(), *out = json_array(), *from = json_array();
    json_object_set_new(o, "op", json_string(n->op->name));
    for (uint32_t i = 0; i < n->n_in; i++)
        json_array_append_new(in, n->in[i] < SC_FIRST ? json_null() : name_json(label[n->in[i]]));
    for (uint32_t i = 0; i < n->n_out; i++)
        json_array_append_new(out, value_json(g, n->first + i, label));
    for (uint32_t i = 0; i < n->loc->n; i++)
        json_array_append_new(from, string(n->loc->origin[i].name));
    json_object_set_new(o, "in", in);
    json_object_set_new(o, "out", out);
    json_object_set_new(o, "signature", n->op->scale ? json_string(n->op->scale) : json_null());
    json_object_set_new(o, "from", from);
    if (n->op->n_sub) {
        json_t *sub = json_array();
        for (uint32_t i = 0; i < n->op->n_sub; i++)
            json_array_append_new(sub, graph_json(n->sub[i]));
        json_object_set_new(o, "graphs", sub);
    }
    return o;
}

static json_t *graph_json(const ScGraph *g)
{
    ScArena *a = sc_arena_new();
    const char *const *label = sc_labels(g, a);
    json_t *o = json_object(), *in = json_array(), *out = json_array(), *state = json_array(),
           *node = json_array();
    json_object_set_new(o, "graph", string(g->name));
    for (uint32_t i = 0; i < g->n_in; i++)
        json_array_append_new(in, name_json(label[g->in[i]]));
    for (uint32_t i = 0; i < g->n_out; i++)
        json_array_append_new(out, json_pack("{s:o, s:o}", "name", string(g->out_name[i]), "value",
                                             name_json(label[g->out[i]])));
    for (uint32_t i = 0; i < g->n_state; i++)
        json_array_append_new(state, json_pack("{s:o, s:o, s:o}", "name", string(g->state[i].name),
                                               "past", name_json(label[g->state[i].past]), "next",
                                               name_json(label[g->state[i].next])));
    for (uint32_t i = 0; i < g->n_node; i++)
        json_array_append_new(node, node_json(g, &g->node[i], label));
    json_object_set_new(o, "inputs", in);
    json_object_set_new(o, "outputs", out);
    json_object_set_new(o, "states", state);
    json_object_set_new(o, "nodes", node);
    sc_arena_free(a);
    return o;
}

bool scalec_write_json(ScCtx *cx, const ScGraph *g, const char *path)
{
    json_t *o = graph_json(g);
    char *text = json_dumps(o, JSON_INDENT(1));
    json_decref(o);
    if (!text)
        return sc_fail(cx, NULL, SC_E_WRITE, "%s: not enough memory", path);
    ScStr s = {0};
    sc_str_addf(&s, "%s\n", text);
    free(text);
    bool ok = scalec_write_file(cx, path, sc_str_get(&s), s.n);
    sc_str_free(&s);
    return ok;
}
