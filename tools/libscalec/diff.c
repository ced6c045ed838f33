/* SPDX-License-Identifier: Apache-2.0 */
/* Where two graphs differ, node by node. A node is known by the name of its first result, which
 * passes keep, or else by its operator and the ONNX nodes that it came from; of several nodes
 * with one such text the first of A is paired with the first of B, and so on. */
#include "tools/libscalec/scalec.h"

#include <stdlib.h>
#include <string.h>

typedef struct Key {
    const char *text;
    uint32_t count; /* which one of that text */
    uint32_t node;
} Key;

typedef struct Side {
    const ScGraph *g;
    const char *const *label;
    Key *sorted; /* [g->n_node] */
    Key *of;     /* [g->n_node] by node */
} Side;

typedef struct Diff {
    ScCtx *cx;
    ScArena *a;
    const char *path; /* of the nested graph, ended by a slash */
    ScalecDifference *d;
    uint32_t n, cap, same;
} Diff;

static int compare_keys(const void *pa, const void *pb)
{
    const Key *a = pa, *b = pb;
    int c = strcmp(a->text, b->text);
    return c ? c : (a->count > b->count) - (a->count < b->count);
}

/* The text as the session's; s is freed. */
static const char *kept(Diff *d, ScStr *s)
{
    const char *ret = sc_intern(d->cx, sc_str_get(s));
    sc_str_free(s);
    return ret;
}

static const char *from_text(Diff *d, const ScNode *n)
{
    ScStr s = {0};
    for (uint32_t i = 0; i < n->loc->n; i++)
        sc_str_addf(&s, "%s%s", i ? ", " : "",
                    n->loc->origin[i].name ? n->loc->origin[i].name : "");
    return kept(d, &s);
}

static Side side(Diff *d, const ScGraph *g)
{
    Side s = {g, sc_labels(g, d->a), sc_array(d->a, Key, g->n_node + 1u),
              sc_array(d->a, Key, g->n_node + 1u)};
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        const char *name = n->n_out ? g->value[n->first].name : NULL;
        const char *text = name ? sc_printf(d->a, "%%%s", name)
                                : sc_printf(d->a, "%s from %s", n->op->name, from_text(d, n));
        s.sorted[i] = (Key){text, i, i};
    }
    qsort(s.sorted, g->n_node, sizeof *s.sorted, compare_keys);
    for (uint32_t i = 0; i < g->n_node; i++) {
        bool again = i && strcmp(s.sorted[i].text, s.sorted[i - 1].text) == 0;
        s.sorted[i].count = again ? s.sorted[i - 1].count + 1 : 0;
        s.of[s.sorted[i].node] = s.sorted[i];
    }
    return s;
}

static const ScNode *partner(const Side *s, const Key *k)
{
    const Key *found = bsearch(k, s->sorted, s->g->n_node, sizeof *k, compare_keys);
    return found ? &s->g->node[found->node] : NULL;
}

/* --- Words ------------------------------------------------------------------------------------ */

static void add(Diff *d, ScalecDifferenceKind kind, const Side *s, const ScNode *n,
                const char *what, const char *a, const char *b)
{
    ScalecDifference x = {
        .kind = kind, .op = n->op->name, .from = from_text(d, n), .what = what, .a = a, .b = b};
    x.name = sc_intern(d->cx, sc_printf(d->a, "%s%s", d->path, n->n_out ? s->label[n->first] : ""));
    sc_buf_push(d->d, d->n, d->cap, x);
}

static const char *type_text(Diff *d, const ScGraph *g, ScVal v)
{
    ScStr s = {0};
    sc_type_print(g->value[v].type, &s);
    return kept(d, &s);
}

static const char *exp_text(Diff *d, const ScTerm *e)
{
    ScStr s = {0};
    if (e)
        sc_term_print(e, &s);
    else
        sc_str_add(&s, "none");
    return kept(d, &s);
}

static const char *operand_text(Diff *d, const Side *s, const ScNode *n)
{
    ScStr t = {0};
    for (uint32_t i = 0; i < n->n_in; i++) {
        const Key *k = n->in[i] < SC_FIRST ? NULL : &s->of[s->g->value[n->in[i]].node];
        uint32_t which = k ? n->in[i] - sc_def(s->g, n->in[i])->first : 0;
        sc_str_addf(&t, "%s%s", i ? ", " : "", k ? k->text : "_");
        if (k && k->count)
            sc_str_addf(&t, " (%u)", k->count + 1);
        if (which)
            sc_str_addf(&t, "~%u", which + 1);
    }
    return kept(d, &t);
}

static const char *attr_text(Diff *d, const ScAttr *a)
{
    ScStr s = {0};
    if (a->kind == SC_A_BLOB)
        sc_str_addf(&s, "%s %016llx", a->blob->name ? a->blob->name : "inline",
                    (unsigned long long)a->blob->hash);
    else
        sc_attr_print(a, &s);
    return kept(d, &s);
}

/* --- Comparing -------------------------------------------------------------------------------- */

static void graphs(Diff *d, const ScGraph *a, const ScGraph *b);

/* Equal, or the same data by two names: what folding made has a name of its own. */
static bool same_data(const ScAttr *a, const ScAttr *b)
{
    bool data = a->kind == SC_A_BLOB && b->kind == SC_A_BLOB && a->blob->data && b->blob->data;
    return sc_attr_equal(a, b) || (data && a->blob->hash == b->blob->hash);
}

static void pair(Diff *d, const Side *sa, const ScNode *a, const Side *sb, const ScNode *b)
{
    uint32_t before = d->n;
    if (a->op != b->op || a->n_out != b->n_out) {
        add(d, SCALEC_CHANGED, sa, a, "operator", a->op->name, b->op->name);
        return;
    }
    for (uint32_t i = 0; i < a->n_out; i++) {
        const ScValue *x = &sa->g->value[a->first + i], *y = &sb->g->value[b->first + i];
        if (x->type != y->type)
            add(d, SCALEC_CHANGED, sa, a, "type", type_text(d, sa->g, a->first + i),
                type_text(d, sb->g, b->first + i));
        if (x->exp != y->exp)
            add(d, SCALEC_CHANGED, sa, a, "exponent", exp_text(d, x->exp), exp_text(d, y->exp));
    }
    for (uint32_t i = 0; i < a->op->n_attr; i++)
        if (!same_data(&a->attr[i], &b->attr[i]) && a->op->attr[i].text != SC_TEXT_DTYPE &&
            a->op->attr[i].text != SC_TEXT_SHAPE)
            add(d, SCALEC_CHANGED, sa, a, a->op->attr[i].name, attr_text(d, &a->attr[i]),
                attr_text(d, &b->attr[i]));
    const char *x = operand_text(d, sa, a), *y = operand_text(d, sb, b);
    if (x != y)
        add(d, SCALEC_CHANGED, sa, a, "operands", x, y);
    for (uint32_t i = 0; i < a->op->n_sub; i++) {
        const char *path = d->path;
        d->path = sc_printf(d->a, "%s%s/", path, sa->label[a->first]);
        graphs(d, a->sub[i], b->sub[i]);
        d->path = path;
    }
    d->same += d->n == before;
}

static void outputs(Diff *d, const Side *a, const Side *b)
{
    for (uint32_t i = 0; i < a->g->n_out || i < b->g->n_out; i++) {
        const Side *s = i < a->g->n_out ? a : b;
        const ScNode *n = sc_def(s->g, s->g->out[i]);
        if (i >= a->g->n_out || i >= b->g->n_out)
            add(d, SCALEC_CHANGED, s, n, "outputs", i < a->g->n_out ? a->g->out_name[i] : "none",
                i < b->g->n_out ? b->g->out_name[i] : "none");
        else if (a->g->out_name[i] != b->g->out_name[i])
            add(d, SCALEC_CHANGED, s, n, "outputs", a->g->out_name[i], b->g->out_name[i]);
    }
}

static void graphs(Diff *d, const ScGraph *ga, const ScGraph *gb)
{
    Side a = side(d, ga), b = side(d, gb);
    for (uint32_t i = 0; i < ga->n_node; i++) {
        const ScNode *other = partner(&b, &a.of[i]);
        if (other)
            pair(d, &a, &ga->node[i], &b, other);
        else
            add(d, SCALEC_ONLY_A, &a, &ga->node[i], NULL, NULL, NULL);
    }
    for (uint32_t i = 0; i < gb->n_node; i++)
        if (!partner(&a, &b.of[i]))
            add(d, SCALEC_ONLY_B, &b, &gb->node[i], NULL, NULL, NULL);
    outputs(d, &a, &b);
}

const ScalecDifference *scalec_diff(ScCtx *cx, const ScGraph *a, const ScGraph *b, uint32_t *ret_n,
                                    uint32_t *ret_same)
{
    Diff d = {.cx = cx, .a = sc_arena_new(), .path = ""};
    graphs(&d, a, b);
    const ScalecDifference *ret = sc_memdup(sc_ctx_arena(cx), d.d, d.n * sizeof *d.d);
    *ret_n = d.n;
    *ret_same = d.same;
    sc_buf_free(d.d);
    sc_arena_free(d.a);
    return ret;
}
