/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a model and what they stand for; who reads a name; an order of nodes. */
#include "frontend/frontend_priv.h"

#include <stdlib.h>
#include <string.h>

/* --- Maps ------------------------------------------------------------------------------------- */

static uint32_t find(const ImNames *m, const char *name)
{
    uint32_t i = (uint32_t)((uintptr_t)name >> 4) * 2654435761u & (m->cap - 1);
    while (m->slot[i].name && m->slot[i].name != name)
        i = (i + 1) & (m->cap - 1);
    return i;
}

static void grow(ImNames *m)
{
    ImNames old = *m;
    m->cap = old.cap ? 2 * old.cap : 64;
    m->slot = sc_calloc(m->cap, sizeof *m->slot);
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.slot[i].name)
            m->slot[find(m, old.slot[i].name)] = old.slot[i];
    free(old.slot);
}

bool im_names_define(ImNames *m, const char *name, ScVal v)
{
    if (2 * (m->n + 1) > m->cap)
        grow(m);
    uint32_t i = find(m, name);
    if (m->slot[i].name)
        return false;
    m->slot[i].name = name;
    m->slot[i].v = v;
    m->n++;
    return true;
}

bool im_names_get(const ImNames *m, const char *name, ScVal *ret)
{
    for (; m; m = m->outer) {
        uint32_t i = m->cap ? find(m, name) : 0;
        if (!m->cap || !m->slot[i].name)
            continue;
        *ret = m->slot[i].v;
        return true;
    }
    return false;
}

void im_names_set(ImNames *m, const char *name, ScVal v)
{
    m->slot[find(m, name)].v = v;
}

void im_names_free(ImNames *m)
{
    free(m->slot);
    *m = (ImNames){0};
}

/* --- Who reads a name ------------------------------------------------------------------------- */

typedef struct Reader { /* of a nested graph, which has names of its own */
    void (*see)(void *arg, const char *name);
    void *arg;
    ScCtx *cx;
    ImNames own;
} Reader;

static void each_read(ScCtx *cx, const Onnxpb__Node *n, void (*see)(void *arg, const char *name),
                      void *arg);

static void each_read_of_graph(ScCtx *cx, const Onnxpb__Graph *g,
                               void (*see)(void *arg, const char *name), void *arg)
{
    for (size_t i = 0; i < g->n_node; i++)
        each_read(cx, g->node[i], see, arg);
    for (size_t i = 0; i < g->n_output; i++)
        if (g->output[i]->name)
            see(arg, g->output[i]->name);
}

static void see_free(void *arg, const char *name)
{
    const Reader *r = arg;
    ScVal v;
    if (!im_names_get(&r->own, sc_intern(r->cx, name), &v))
        r->see(r->arg, name);
}

void im_names_of_graph(ScCtx *cx, const Onnxpb__Graph *g, ImNames *ret)
{
    for (size_t i = 0; i < g->n_input; i++)
        im_names_define(ret, sc_intern(cx, im_text(g->input[i]->name)), 0);
    for (size_t i = 0; i < g->n_initializer; i++)
        im_names_define(ret, sc_intern(cx, im_text(g->initializer[i]->name)), 0);
    for (size_t i = 0; i < g->n_sparse_initializer; i++)
        im_names_define(ret, sc_intern(cx, im_sparse_name(g->sparse_initializer[i])), 0);
    for (size_t i = 0; i < g->n_node; i++)
        for (size_t k = 0; k < g->node[i]->n_output; k++)
            im_names_define(ret, sc_intern(cx, g->node[i]->output[k]), 0);
}

/* What a graph nested in a node reads from around it. */
void im_each_free(ScCtx *cx, const Onnxpb__Graph *g, void (*see)(void *arg, const char *name),
                  void *arg)
{
    Reader r = {.see = see, .arg = arg, .cx = cx};
    im_names_of_graph(cx, g, &r.own);
    each_read_of_graph(cx, g, see_free, &r);
    im_names_free(&r.own);
}

/* Calls see for each name that a node reads, by itself or in its nested graphs. The pre-scan has
 * bounded their depth. */
static void each_read(ScCtx *cx, const Onnxpb__Node *n, void (*see)(void *arg, const char *name),
                      void *arg)
{
    for (size_t i = 0; i < n->n_input; i++)
        see(arg, n->input[i]);
    for (size_t i = 0; i < n->n_attribute; i++) {
        const Onnxpb__Attribute *a = n->attribute[i];
        if (a->g)
            im_each_free(cx, a->g, see, arg);
        for (size_t k = 0; k < a->n_graphs; k++)
            im_each_free(cx, a->graphs[k], see, arg);
    }
}

static void note_read(void *arg, const char *name)
{
    Import *im = arg;
    im_names_define(im->reads, sc_intern(im->cx, name), 0);
}

bool im_wanted(const ImNode *n, uint32_t i)
{
    ScVal v;
    const char *name = i < n->pb->n_output ? n->pb->output[i] : "";
    return *name && im_names_get(n->im->reads, sc_intern(n->im->cx, name), &v);
}

/* --- Order ------------------------------------------------------------------------------------ */

typedef enum State { UNSEEN, ON_PATH, DONE } State;

typedef struct Step { /* of the walk from users to what they read */
    uint32_t node;
    bool leave; /* what it reads is in the order: now the node itself */
} Step;

typedef struct Order {
    Import *im;
    const Onnxpb__Graph *g;
    ImNames makes; /* a result's name -> the index of its node */
    uint8_t *state;
    Step *step;
    uint32_t n_step, cap;
    uint32_t *out;
    uint32_t n_out;
    uint32_t user; /* whose reads are being looked at */
    bool sorted, ok;
} Order;

/* The nodes on the path from the one that closes the circle, at most a few. */
static void report_cycle(Order *o, uint32_t first)
{
    ScStr s = {0};
    uint32_t shown = 0;
    bool inside = false;
    for (uint32_t i = 0; i < o->n_step; i++) {
        if (!o->step[i].leave)
            continue;
        inside |= o->step[i].node == first;
        if (inside && shown++ < 4)
            sc_str_addf(&s, "\"%s\" -> ", im_node_name(o->g->node[o->step[i].node]));
    }
    sc_str_addf(&s, "%s\"%s\"", shown > 4 ? "... -> " : "", im_node_name(o->g->node[first]));
    sc_fail(o->im->cx, NULL, SC_E_ORDER, "each needs the one before it: %s", sc_str_get(&s));
    sc_str_free(&s);
    o->ok = false;
}

static void follow(void *arg, const char *name)
{
    Order *o = arg;
    ScVal k;
    if (!o->ok || !im_names_get(&o->makes, sc_intern(o->im->cx, name), &k))
        return;
    if (o->state[k] == ON_PATH) {
        report_cycle(o, k);
    } else if (o->state[k] == UNSEEN) {
        Step s = {.node = k};
        sc_buf_push(o->step, o->n_step, o->cap, s);
    }
}

static void visit(Order *o, uint32_t root)
{
    Step s = {.node = root};
    sc_buf_push(o->step, o->n_step, o->cap, s);
    while (o->n_step > 0 && o->ok) {
        s = o->step[o->n_step - 1];
        if (s.leave) {
            o->state[s.node] = DONE;
            o->out[o->n_out++] = s.node;
            o->n_step--;
        } else if (o->state[s.node] != UNSEEN) {
            o->n_step--;
        } else {
            o->state[s.node] = ON_PATH;
            o->step[o->n_step - 1].leave = true;
            each_read(o->im->cx, o->g->node[s.node], follow, o);
        }
    }
    o->n_step = 0;
}

static void check_sorted(void *arg, const char *name)
{
    Order *o = arg;
    ScVal k;
    if (o->sorted && im_names_get(&o->makes, sc_intern(o->im->cx, name), &k) && k >= o->user) {
        o->sorted = false;
        if (k > o->user)
            sc_warn(o->im->cx, NULL, SC_E_ORDER, "\"%s\" stands before \"%s\", which it reads",
                    im_node_name(o->g->node[o->user]), im_node_name(o->g->node[k]));
    }
}

const uint32_t *im_order(Import *im, const Onnxpb__Graph *g)
{
    uint32_t n = (uint32_t)g->n_node;
    Order o = {.im = im, .g = g, .sorted = true, .ok = true};
    o.out = sc_array(sc_ctx_arena(im->cx), uint32_t, n + 1);
    for (uint32_t i = 0; i < n; i++)
        for (size_t k = 0; k < g->node[i]->n_output; k++)
            if (*g->node[i]->output[k])
                im_names_define(&o.makes, sc_intern(im->cx, g->node[i]->output[k]), i);
    each_read_of_graph(im->cx, g, note_read, im);
    for (o.user = 0; o.user < n && o.sorted; o.user++)
        each_read(im->cx, g->node[o.user], check_sorted, &o);
    o.state = sc_calloc(n + 1u, 1);
    for (uint32_t i = 0; i < n && o.ok; i++) {
        if (o.sorted)
            o.out[i] = i;
        else if (o.state[i] == UNSEEN)
            visit(&o, i);
    }
    im_names_free(&o.makes);
    free(o.state);
    sc_buf_free(o.step);
    return o.ok ? o.out : NULL;
}
