/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that compute nothing themselves: where values come from, and the kernel, which holds a graph
 * of nodes that run as one loop. The evaluator and codegen know these by their flags and class. */
#include "ir/ops/ops_priv.h"

/* A source's type is the node's own: whoever infers gives it in ret[0]. */
static bool infer_source(ScInfer *in)
{
    return in->ret[0] != NULL || sc_infer_fail(in, SC_E_VERIFY, "a source without a type");
}

const ScOp sc_op_input = {
    .name = "input",
    .doc = "an input of the graph",
    .in = "",
    .out = "y: any",
    .flags = SC_BARRIER | SC_FRESH,
    .infer = infer_source,
    .lower = {SC_SOURCE},
};

const ScOp sc_op_state = {
    .name = "state",
    .doc = "the present value of a state",
    .in = "",
    .out = "y: any",
    .flags = SC_BARRIER | SC_FRESH,
    .infer = infer_source,
    .lower = {SC_SOURCE},
};

enum { BLOB, SHAPE };

/* Either the blob's own shape or another of as many elements. */
static bool infer_const(ScInfer *in)
{
    const ScAttr *shape = &in->attr[SHAPE];
    const ScBlob *blob = in->attr[BLOB].blob;
    size_t n = 1;
    if (!infer_source(in))
        return false;
    for (uint32_t d = 0; shape->kind != SC_A_NONE && d < shape->n; d++) {
        int64_t extent;
        if (!sc_term_const(shape->ts[d], &extent) || extent < 0)
            return sc_infer_fail(in, SC_E_SHAPE, "a constant's extents are numbers");
        n *= (size_t)extent;
    }
    if (shape->kind != SC_A_NONE && n != blob->count)
        return sc_infer_fail(in, SC_E_SHAPE, "%zu elements cannot be seen as %zu", blob->count, n);
    return true;
}

const ScOp sc_op_const = {
    .name = "const",
    .doc = "round(blob * 2^-exponent) in the result's element type",
    .in = "",
    .out = "y: any",
    .attr =
        {
            {.name = "blob", .kind = SC_A_BLOB, .required = true, .doc = "the data"},
            {.name = "shape",
             .kind = SC_A_TERMS,
             .doc = "the blob's where not given",
             .text = SC_TEXT_SHAPE},
        },
    .n_attr = 2,
    .flags = SC_CONST_OP,
    .infer = infer_const,
    .lower = {SC_SOURCE},
};

/* Operands are the nested graph's inputs, results its outputs. */
static bool infer_kernel(ScInfer *in)
{
    const ScGraph *g = in->sub[0];
    if (in->n_in != g->n_in || in->n_out != g->n_out)
        return sc_infer_fail(in, SC_E_ARITY, "the nested graph takes %u and gives %u", g->n_in,
                             g->n_out);
    for (uint32_t i = 0; i < in->n_in; i++)
        if (in->in[i] != sc_type_of(g, g->in[i]))
            return sc_infer_fail(in, SC_E_TYPE, "operand %u is not what the nested graph takes", i);
    for (uint32_t i = 0; i < in->n_out; i++)
        in->ret[i] = sc_type_of(g, g->out[i]);
    return true;
}

const ScOp sc_op_kernel = {
    .name = "kernel",
    .doc = "a graph that runs as one loop of a class",
    .in = "args?...: any",
    .out = "results...: any",
    .attr = {{.name = "class", .kind = SC_A_STR, .required = true, .doc = "the loop's class"}},
    .n_attr = 1,
    .n_sub = 1,
    .infer = infer_kernel,
    .lower = {SC_KERNEL},
};
