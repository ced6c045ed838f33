/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of the model are inlined before the walk: each call becomes the function's nodes, whose
 * values and nodes get the call's name in front. What a function calls is inlined in turn; a cycle,
 * and calls that multiply without end, are refused. Everything made here lies in the session. */
#include "frontend/frontend_priv.h"

#include <string.h>

#define MAX_CALLS  64     /* functions that call each other, one in the other */
#define MIN_BUDGET 100000 /* nodes that any model's functions may make */

typedef struct Inline {
    ScCtx *cx;
    ScArena *a;
    const Onnxpb__Model *m;
    uint64_t budget;   /* nodes that may still be made */
    ImNames functions; /* "domain\ntype\noverload" -> index */
    ImNames prefixes;  /* of calls so far */
    ImNames taken;     /* values of the model's own graph */
    uint32_t depth;    /* of calls */
} Inline;

/* One call: what the names and attributes of the function's body stand for. */
typedef struct Call {
    const Onnxpb__Node *node; /* NULL: the model's own graph */
    const Onnxpb__Function *f;
    const char *prefix; /* "" or "call/" */
    ImNames to;         /* name in the body -> index in `name`: operands and results */
    char **name;
} Call;

typedef struct Nodes {
    Onnxpb__Node **p;
    uint32_t n, cap;
} Nodes;

static char *some(char *s)
{
    static char none[] = "";
    return s ? s : none;
}

/* --- Finding --------------------------------------------------------------------------------- */

static const char *key_of(Inline *in, const char *domain, const char *type, const char *overload)
{
    ScStr s = {0};
    sc_str_addf(&s, "%s\n%s\n%s", strcmp(im_text(domain), "ai.onnx") ? im_text(domain) : "",
                im_text(type), im_text(overload));
    const char *key = sc_intern(in->cx, sc_str_get(&s));
    sc_str_free(&s);
    return key;
}

static const Onnxpb__Function *callee(Inline *in, const Onnxpb__Node *n)
{
    ScVal i;
    const char *key = key_of(in, n->domain, n->op_type, n->overload);
    return im_names_get(&in->functions, key, &i) ? in->m->functions[i] : NULL;
}

/* --- Names ----------------------------------------------------------------------------------- */

static char *inner_name(Inline *in, const char *prefix, const char *name)
{
    ScVal v;
    char *s = sc_printf(in->a, "%s%s", prefix, name);
    while (im_names_get(&in->taken, sc_intern(in->cx, s), &v))
        s = sc_printf(in->a, "%s_", s);
    return s;
}

static char *renamed(Inline *in, const Call *c, char *name)
{
    ScVal i;
    if (!c->node || !*name)
        return name;
    if (im_names_get(&c->to, sc_intern(in->cx, name), &i))
        return c->name[i];
    return inner_name(in, c->prefix, name);
}

static char **renamed_list(Inline *in, const Call *c, size_t n, char *const *name)
{
    char **ret = sc_array(in->a, char *, n + 1);
    for (size_t i = 0; i < n; i++)
        ret[i] = renamed(in, c, name[i]);
    return ret;
}

/* --- Copying --------------------------------------------------------------------------------- */

static bool expand(Inline *in, const Call *c, size_t n, Onnxpb__Node *const *node, Nodes *out);

static bool copy_graph(Inline *in, const Call *c, const Onnxpb__Graph *g, Onnxpb__Graph **ret)
{
    Nodes nodes = {0};
    Onnxpb__Graph *y = sc_memdup(in->a, g, sizeof *g);
    bool ok = expand(in, c, g->n_node, g->node, &nodes);
    y->node = sc_memdup(in->a, nodes.p, nodes.n * sizeof(Onnxpb__Node *));
    y->n_node = nodes.n;
    sc_buf_free(nodes.p);
    y->initializer = sc_memdup(in->a, g->initializer, g->n_initializer * sizeof *g->initializer);
    for (size_t i = 0; i < g->n_initializer && c->node; i++) {
        y->initializer[i] = sc_memdup(in->a, g->initializer[i], sizeof *g->initializer[i]);
        y->initializer[i]->name = renamed(in, c, some(g->initializer[i]->name));
    }
    const size_t sparse = g->n_sparse_initializer * sizeof *g->sparse_initializer;
    y->sparse_initializer = sc_memdup(in->a, g->sparse_initializer, sparse);
    for (size_t i = 0; i < g->n_sparse_initializer && c->node; i++) {
        Onnxpb__SparseTensor *t = sc_memdup(in->a, g->sparse_initializer[i], sizeof *t);
        y->sparse_initializer[i] = t;
        if (t->values)
            t->values = sc_memdup(in->a, t->values, sizeof *t->values);
        if (t->values)
            t->values->name = renamed(in, c, some(t->values->name));
    }
    const size_t n[3] = {g->n_input, g->n_output, g->n_value_info};
    Onnxpb__ValueInfo **list[3] = {g->input, g->output, g->value_info};
    for (uint32_t k = 0; k < 3; k++) {
        list[k] = sc_memdup(in->a, list[k], n[k] * sizeof *list[k]);
        for (size_t i = 0; i < n[k] && c->node; i++) {
            list[k][i] = sc_memdup(in->a, list[k][i], sizeof *list[k][i]);
            list[k][i]->name = renamed(in, c, some(list[k][i]->name));
        }
    }
    y->input = list[0];
    y->output = list[1];
    y->value_info = list[2];
    *ret = y;
    return ok;
}

static const Onnxpb__Attribute *named(size_t n, Onnxpb__Attribute *const *a, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(im_text(a[i]->name), name))
            return a[i];
    return NULL;
}

/* An attribute as it is inside the call: one that refers to the call's becomes that, or the
 * function's default; *ret NULL where there is neither. */
static bool copy_attribute(Inline *in, const Call *c, const Onnxpb__Attribute *a,
                           Onnxpb__Attribute **ret)
{
    const Onnxpb__Attribute *from = a;
    *ret = NULL;
    if (c->node && a->ref_attr_name && *a->ref_attr_name) {
        from = named(c->node->n_attribute, c->node->attribute, a->ref_attr_name);
        if (!from)
            from = named(c->f->n_attribute_proto, c->f->attribute_proto, a->ref_attr_name);
        if (!from)
            return true;
    }
    Onnxpb__Attribute *y = sc_memdup(in->a, from, sizeof *from);
    y->name = a->name;
    *ret = y;
    if (from != a) /* its graphs were copied where the call was */
        return true;
    bool ok = !a->g || copy_graph(in, c, a->g, &y->g);
    y->graphs = sc_memdup(in->a, a->graphs, a->n_graphs * sizeof *a->graphs);
    for (size_t i = 0; i < a->n_graphs && ok; i++)
        ok = copy_graph(in, c, a->graphs[i], &y->graphs[i]);
    return ok;
}

/* The version of a domain that a function imports; 0 where it imports none. */
static int64_t version_in(const Onnxpb__Function *f, const char *domain)
{
    for (size_t i = 0; i < f->n_opset_import; i++) {
        const char *d = im_text(f->opset_import[i]->domain);
        if (!strcmp(strcmp(d, "ai.onnx") ? d : "", strcmp(domain, "ai.onnx") ? domain : ""))
            return f->opset_import[i]->version;
    }
    return 0;
}

static bool copy_node(Inline *in, const Call *c, const Onnxpb__Node *n, Onnxpb__Node **ret)
{
    Onnxpb__Node *y = sc_memdup(in->a, n, sizeof *n);
    const char *name = n->name && *n->name ? n->name : n->n_output ? n->output[0] : "";
    if (c->node) {
        y->name = sc_printf(in->a, "%s%s", c->prefix, name);
        y->has_opset = true;
        y->opset = version_in(c->f, im_text(n->domain));
    } else { /* prefixes of calls come from names */
        y->name = sc_strdup(in->a, name);
        y->has_opset = false;
    }
    y->input = renamed_list(in, c, n->n_input, n->input);
    y->output = renamed_list(in, c, n->n_output, n->output);
    y->attribute = sc_array(in->a, Onnxpb__Attribute *, n->n_attribute + 1);
    y->n_attribute = 0;
    for (size_t i = 0; i < n->n_attribute; i++) {
        Onnxpb__Attribute *a;
        if (!copy_attribute(in, c, n->attribute[i], &a))
            return false;
        if (a)
            y->attribute[y->n_attribute++] = a;
    }
    *ret = y;
    return true;
}

/* --- Calls ----------------------------------------------------------------------------------- */

/* What a function hands on without making it. */
static void hand_on(Inline *in, char *name, char *from, char *to, Nodes *out)
{
    static char type[] = "Identity";
    Onnxpb__Node *n = sc_new(in->a, Onnxpb__Node);
    onnxpb__node__init(n);
    n->op_type = type;
    n->name = name;
    n->input = sc_memdup(in->a, &from, sizeof from);
    n->output = sc_memdup(in->a, &to, sizeof to);
    n->n_input = n->n_output = 1;
    sc_buf_push(out->p, out->n, out->cap, n);
}

/* "name/", or with more behind the name where another call has it. */
static const char *prefix_of(Inline *in, const Onnxpb__Node *n)
{
    ScStr s = {0};
    sc_str_add(&s, im_text(n->name));
    while (!im_names_define(&in->prefixes, sc_intern(in->cx, sc_str_get(&s)), 0))
        sc_str_add(&s, "_");
    sc_str_add(&s, "/");
    const char *ret = sc_intern(in->cx, sc_str_get(&s));
    sc_str_free(&s);
    return ret;
}

/* Puts the body of f in the place of n, whose names are the caller's. */
static bool call(Inline *in, const Onnxpb__Node *n, const Onnxpb__Function *f, Nodes *out)
{
    Call c = {.node = n, .f = f, .prefix = prefix_of(in, n)};
    uint32_t k = 0;
    if (n->n_input > f->n_input || n->n_output > f->n_output)
        return sc_fail(in->cx, NULL, SC_E_ARITY, "call \"%s\" of the function %s", im_text(n->name),
                       im_text(f->name));
    c.name = sc_array(in->a, char *, f->n_input + f->n_output + 1);
    for (size_t i = 0; i < f->n_input; i++, k++) {
        c.name[k] = i < n->n_input ? n->input[i] : some(NULL);
        im_names_define(&c.to, sc_intern(in->cx, f->input[i]), k);
    }
    bool *made = sc_array(in->a, bool, f->n_output + 1);
    for (size_t i = 0; i < f->n_output; i++, k++) {
        bool given = i < n->n_output && *n->output[i];
        c.name[k] = given ? n->output[i] : inner_name(in, c.prefix, f->output[i]);
        made[i] = im_names_define(&c.to, sc_intern(in->cx, f->output[i]), k);
    }
    bool ok = ++in->depth <= MAX_CALLS ||
              sc_fail(in->cx, NULL, SC_E_LIMIT, "functions call each other more than %d deep: %s",
                      MAX_CALLS, im_text(f->name));
    ok = ok && expand(in, &c, f->n_node, f->node, out);
    in->depth--;
    for (size_t i = 0; i < f->n_output && ok; i++)
        if (!made[i])
            hand_on(in, n->name, renamed(in, &c, f->output[i]), c.name[f->n_input + i], out);
    im_names_free(&c.to);
    return ok;
}

/* The nodes of the body that c is in, calls replaced. */
static bool expand(Inline *in, const Call *c, size_t n, Onnxpb__Node *const *node, Nodes *out)
{
    for (size_t i = 0; i < n; i++) {
        Onnxpb__Node *y;
        if (in->budget-- == 0)
            return sc_fail(in->cx, NULL, SC_E_LIMIT, "the model's functions make too many nodes");
        if (!copy_node(in, c, node[i], &y))
            return false;
        const Onnxpb__Function *f = callee(in, y);
        if (!f)
            sc_buf_push(out->p, out->n, out->cap, y);
        else if (!call(in, y, f, out))
            return false;
    }
    return true;
}

/* --- The model ------------------------------------------------------------------------------- */

static bool add_functions(Inline *in)
{
    for (size_t i = 0; i < in->m->n_functions; i++) {
        const Onnxpb__Function *f = in->m->functions[i];
        if (!im_names_define(&in->functions, key_of(in, f->domain, f->name, f->overload), (ScVal)i))
            return sc_fail(in->cx, NULL, SC_E_NAME, "function \"%s\" is defined twice",
                           im_text(f->name));
    }
    return true;
}

const Onnxpb__Model *im_inline(ScCtx *cx, const Onnxpb__Model *m)
{
    if (!m->n_functions || !m->graph)
        return m;
    Inline in = {.cx = cx, .a = sc_ctx_arena(cx), .m = m};
    in.budget = MIN_BUDGET + 16 * (uint64_t)m->graph->n_node;
    Onnxpb__Model *y = sc_memdup(in.a, m, sizeof *m);
    im_names_of_graph(cx, m->graph, &in.taken); /* names made here are others */
    bool ok = add_functions(&in) && copy_graph(&in, &(Call){.prefix = ""}, m->graph, &y->graph);
    im_names_free(&in.functions);
    im_names_free(&in.prefixes);
    im_names_free(&in.taken);
    return ok ? y : NULL;
}
