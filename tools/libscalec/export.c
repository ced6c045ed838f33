/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs for scripts: JSON. */
#include "tools/libscalec/scalec.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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
