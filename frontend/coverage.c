/* SPDX-License-Identifier: Apache-2.0 */
/* Which operators there are, which of them a model uses, and which of those are not imported. */
#include "frontend/frontend_priv.h"

#include <stdlib.h>
#include <string.h>

/* --- The operators of a model ----------------------------------------------------------------- */

typedef struct Uses {
    ScCtx *cx;
    const Onnxpb__Model *model;
    ScModelOp *op;
    uint32_t n, cap;
} Uses;

static ScModelOp *use_of(Uses *u, const Onnxpb__Node *n)
{
    const char *domain = sc_intern(u->cx, im_domain(n->domain));
    const char *type = sc_intern(u->cx, im_node_op(n));
    for (uint32_t i = 0; i < u->n; i++)
        if (u->op[i].type == type && u->op[i].domain == domain)
            return &u->op[i];
    int opset = im_opset(u->model, n);
    ScModelOp op = {
        .domain = domain,
        .type = type,
        .opset = opset,
        .known = im_adapter(domain, type, opset) || sc_op_onnx(u->cx, domain, type, opset),
        .first = sc_intern(u->cx, im_node_name(n)),
    };
    sc_buf_push(u->op, u->n, u->cap, op);
    return &u->op[u->n - 1];
}

/* Nested graphs are entered; the pre-scan has bounded how deep they are. */
static void add_graph(Uses *u, const Onnxpb__Graph *g)
{
    for (size_t i = 0; i < g->n_node; i++) {
        const Onnxpb__Node *n = g->node[i];
        use_of(u, n)->n++;
        for (size_t k = 0; k < n->n_attribute; k++) {
            const Onnxpb__Attribute *a = n->attribute[k];
            if (a->g)
                add_graph(u, a->g);
            for (size_t j = 0; j < a->n_graphs; j++)
                add_graph(u, a->graphs[j]);
        }
    }
}

/* The most frequent first, and of equals the first in the model. */
static int by_count(const void *a, const void *b)
{
    const ScModelOp *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n) - (x->n > y->n)
                        : (x->place > y->place) - (x->place < y->place);
}

static Uses uses_of(ScCtx *cx, const Onnxpb__Model *model)
{
    Uses u = {.cx = cx, .model = model};
    add_graph(&u, model->graph);
    for (uint32_t i = 0; i < u.n; i++)
        u.op[i].place = i;
    if (u.n)
        qsort(u.op, u.n, sizeof *u.op, by_count);
    return u;
}

const ScModelOp *sc_model_ops(ScCtx *cx, const char *file, const void *bytes, size_t n,
                              uint32_t *ret_n)
{
    sc_set_file(cx, file);
    Onnxpb__Model *m = im_scan(cx, bytes, n) ? im_model_unpack(cx, bytes, n, false) : NULL;
    const ScModelOp *ret = NULL;
    if (m && !m->graph)
        sc_fail(cx, NULL, SC_E_ONNX, "it has no graph");
    const Onnxpb__Model *whole = m && m->graph ? im_inline(cx, m) : NULL;
    if (whole) {
        Uses u = uses_of(cx, whole);
        ret = sc_memdup(sc_ctx_arena(cx), u.op, u.n * sizeof *u.op);
        *ret_n = u.n;
        sc_buf_free(u.op);
    }
    im_model_free(m);
    return ret;
}

/* --- What is not imported --------------------------------------------------------------------- */

/* One row a node of an operator that is not known. */
static void list_nodes(Import *im)
{
    const Onnxpb__Graph *g = im->model->graph;
    for (size_t i = 0; i < g->n_node; i++) {
        const Onnxpb__Node *n = g->node[i];
        const char *domain = im_domain(n->domain), *type = im_node_op(n);
        int opset = im_opset(im->model, n);
        char place[32];
        if (im_adapter(domain, type, opset) || sc_op_onnx(im->cx, domain, type, opset))
            continue;
        snprintf(place, sizeof place, "node %zu", i);
        sc_detail(im->cx, type, im_node_name(n), place);
    }
}

bool im_check_supported(Import *im)
{
    Uses u = uses_of(im->cx, im->model);
    ScStr text = {0};
    uint32_t unknown = 0;
    for (uint32_t i = 0; i < u.n; i++) {
        const ScModelOp *op = &u.op[i];
        if (op->known)
            continue;
        sc_str_addf(&text, "%s%s%s", unknown++ ? "; " : "", op->domain, *op->domain ? "::" : "");
        sc_str_short(&text, op->type, strlen(op->type));
        sc_str_addf(&text, ", opset %d (%u node%s, first \"", op->opset, op->n,
                    op->n == 1 ? "" : "s");
        sc_str_short(&text, op->first, strlen(op->first));
        sc_str_add(&text, "\")");
    }
    if (unknown) {
        sc_fail(im->cx, NULL, SC_E_UNSUPPORTED, "%u of %u: %s", unknown, u.n, sc_str_get(&text));
        if (im->opt && im->opt->every_node)
            list_nodes(im);
    }
    sc_str_free(&text);
    sc_buf_free(u.op);
    return unknown == 0;
}

/* --- The operators that are imported ---------------------------------------------------------- */

/* "ReduceSum" -> "reduce_sum" */
static const char *snake(ScCtx *cx, const char *type)
{
    ScStr s = {0};
    for (const char *p = type; *p; p++) {
        char low = (char)(*p >= 'A' && *p <= 'Z' ? *p + 'a' - 'A' : *p);
        if (low != *p && p > type && !(p[-1] >= 'A' && p[-1] <= 'Z'))
            sc_str_add(&s, "_");
        sc_str_addn(&s, &low, 1);
    }
    const char *ret = sc_intern(cx, sc_str_get(&s));
    sc_str_free(&s);
    return ret;
}

/* The row that an adapter makes, as far as names tell. */
static const ScOp *row_of(ScCtx *cx, const ImAdapter *a)
{
    uint32_t n;
    const ScOp *const *row = sc_op_rows(cx, &n);
    for (uint32_t i = 0; i < n; i++)
        if (row[i]->onnx.type && !strcmp(row[i]->onnx.type, a->type) &&
            !strcmp(row[i]->onnx.domain, a->domain))
            return row[i];
    return sc_op_find(cx, snake(cx, a->type));
}

static int by_name(const void *a, const void *b)
{
    const ScImported *x = a, *y = b;
    int c = strcmp(x->domain, y->domain);
    c = c ? c : strcmp(x->type, y->type);
    return c ? c : (x->since > y->since) - (x->since < y->since);
}

const ScImported *sc_imported_ops(ScCtx *cx, uint32_t *ret_n)
{
    ScImported *list = NULL;
    uint32_t n = 0, cap = 0, n_row;
    const ScOp *const *row = sc_op_rows(cx, &n_row);
    for (uint32_t i = 0; i < n_row; i++) {
        ScImported op = {row[i]->onnx.domain, row[i]->onnx.type, row[i]->onnx.since,
                         row[i]->onnx.until, row[i]};
        if (op.type && !im_adapter(op.domain, op.type, op.since))
            sc_buf_push(list, n, cap, op);
    }
    for (uint32_t i = 0; im_adapter_at(i); i++) {
        const ImAdapter *a = im_adapter_at(i);
        ScImported op = {a->domain, a->type, a->since, a->until, row_of(cx, a)};
        sc_buf_push(list, n, cap, op);
    }
    qsort(list, n, sizeof *list, by_name);
    const ScImported *ret = sc_memdup(sc_ctx_arena(cx), list, n * sizeof *list);
    sc_buf_free(list);
    *ret_n = n;
    return ret;
}
