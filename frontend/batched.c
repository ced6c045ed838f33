/* SPDX-License-Identifier: Apache-2.0 */
/* Scan of opset 8, which runs along axis 1 for each element of a batch, axis 0: a scan of today's
 * kind over the batch, whose body is one over the sequence, as the model would write it. */
#include "frontend/control_priv.h"

#include <string.h>

enum { LENGTHS }; /* the operand before the states and the scanned inputs */

/* A name that no model gives. */
static char *made_name(ScCtx *cx, const char *what, size_t i)
{
    return sc_printf(sc_ctx_arena(cx), "\x01%s%zu", what, i);
}

/* The scan over the sequence of one element of the batch: of the names in and out. */
static Onnxpb__Node *inner_node(const ImNode *n, Onnxpb__Graph *body, int64_t scanned, size_t n_in,
                                char **in, size_t n_out, char **out)
{
    ScCtx *cx = n->im->cx;
    const Onnxpb__Attribute *directions = im_attr(n, "directions");
    Onnxpb__Node *node = sc_new(sc_ctx_arena(cx), Onnxpb__Node);
    onnxpb__node__init(node);
    node->attribute = sc_array(sc_ctx_arena(cx), Onnxpb__Attribute *, 3);
    node->name = n->pb->name;
    node->op_type = n->pb->op_type;
    node->has_opset = 1;
    node->opset = 9;
    node->n_input = n_in;
    node->input = in;
    node->n_output = n_out;
    node->output = out;
    Onnxpb__Attribute *count = im_new_attr(cx, "num_scan_inputs"), *graph = im_new_attr(cx, "body");
    count->has_i = 1;
    count->i = scanned;
    graph->g = body;
    node->attribute[node->n_attribute++] = count;
    node->attribute[node->n_attribute++] = graph;
    if (directions) {
        Onnxpb__Attribute *a = im_new_attr(cx, "scan_input_directions");
        a->n_ints = directions->n_ints;
        a->ints = directions->ints;
        node->attribute[node->n_attribute++] = a;
    }
    return node;
}

static Onnxpb__ValueInfo **infos(ScCtx *cx, size_t count, char **name)
{
    Onnxpb__ValueInfo **ret = sc_array(sc_ctx_arena(cx), Onnxpb__ValueInfo *, count + 1);
    for (size_t i = 0; i < count; i++) {
        ret[i] = sc_new(sc_ctx_arena(cx), Onnxpb__ValueInfo);
        onnxpb__value_info__init(ret[i]);
        ret[i]->name = name[i];
    }
    return ret;
}

/* What is done for one element of the batch. */
static const Onnxpb__Graph *outer_body(const ImNode *n, const Onnxpb__Graph *body, int64_t scanned)
{
    ScCtx *cx = n->im->cx;
    ScArena *a = sc_ctx_arena(cx);
    const size_t n_in = body->n_input, n_out = body->n_output;
    char **in = sc_array(a, char *, n_in + 1), **out = sc_array(a, char *, n_out + 1);
    for (size_t i = 0; i < n_in; i++)
        in[i] = made_name(cx, "in", i);
    for (size_t i = 0; i < n_out; i++)
        out[i] = made_name(cx, "out", i);
    Onnxpb__Graph *g = sc_new(a, Onnxpb__Graph);
    onnxpb__graph__init(g);
    g->name = body->name;
    g->n_node = 1;
    g->node = sc_array(a, Onnxpb__Node *, 1);
    g->node[0] = inner_node(n, sc_memdup(a, body, sizeof *body), scanned, n_in, in, n_out, out);
    g->n_input = n_in;
    g->input = infos(cx, n_in, in);
    g->n_output = n_out;
    g->output = infos(cx, n_out, out);
    return g;
}

bool im_batched_scan(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    ScArena *a = sc_ctx_arena(cx);
    const Onnxpb__Graph *body = im_graph_attr(n, "body");
    bool ok = true;
    int64_t scanned = im_int(n, "num_scan_inputs", 0, &ok);
    if (!ok || !body || !IM_ONLY(n, "body", "directions", "num_scan_inputs"))
        return false;
    if (im_has(n, LENGTHS))
        return sc_fail(cx, n->loc, SC_E_UNSUPPORTED, "Scan of opset 8 with sequence_lens");
    if (n->n_in < 2 || body->n_input != n->n_in - 1 || scanned < 1 || scanned > n->n_in - 1 ||
        n->n_out > body->n_output || body->n_output > IM_MAX_PORTS)
        return sc_fail(cx, n->loc, SC_E_ARITY, "a body of %zu inputs and %zu outputs",
                       body->n_input, body->n_output);
    ImNode each = *n;
    each.in = n->in + 1;
    each.n_in = n->n_in - 1;
    const ScTerm *batch = NULL;
    for (uint32_t i = 0; i < each.n_in; i++) {
        const ScType *t = im_type(&each, i);
        if (t->kind != SC_TYPE_TENSOR || t->rank < 1)
            return sc_fail(cx, n->loc, SC_E_RANK, "operand %u has no batch", 1 + i);
        if (batch && !im_require(n, SC_GUARD_EQUAL, batch, t->dim[0], "batches"))
            return false;
        batch = batch ? batch : t->dim[0];
    }
    ImScanForm *in = sc_array(a, ImScanForm, each.n_in);
    ImScanForm *out = sc_array(a, ImScanForm, body->n_output + 1);
    return im_scan_loop(&each, outer_body(n, body, scanned), 0, batch, in, out, ret_out);
}
