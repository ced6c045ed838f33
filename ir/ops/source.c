/* SPDX-License-Identifier: Apache-2.0 */
/* Where values come from, and the kernel, which holds a graph of nodes that run as one loop. The
 * evaluator and codegen know these by their flags and class. */
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
    .out = "y: plain",
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

/* --- iota ------------------------------------------------------------------------------------ */

static bool infer_iota(ScInfer *in)
{
    const ScAttr *shape = &in->attr[0];
    int64_t n;
    if (shape->n != 1)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "`shape` must be one extent");
    if (sc_term_const(shape->ts[0], &n) && n < 0)
        return sc_infer_fail(in, SC_E_SHAPE, "extent %lld is negative", (long long)n);
    sc_ops_result(in, SCRT_I64, 1, shape->ts);
    if (!sc_term_const(shape->ts[0], &n) || n > SC_MAX_CONTENT)
        return true;
    const ScTerm **content = sc_array(in->arena, const ScTerm *, (size_t)n + 1);
    for (int64_t i = 0; i < n; i++)
        content[i] = sc_term(in->cx, i);
    in->ret_content[0] = content;
    return true;
}

static bool eval_iota(ScEval *e)
{
    for (int64_t i = 0; i < e->out[0].dims[0]; i++)
        scrt_store_int(SCRT_I64, e->out[0].data, (size_t)i, i);
    return true;
}

static uint32_t make_iota(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    const ScTerm *n = sc_term(b->cx, sc_ops_pick(r, 0, 1) ? sc_ops_pick(r, 0, 9) : 1000);
    ret_out[0] = sc_op_at(b, iota, SC_ATTRS(SC_TERMS(1, &n)));
    return 1;
}

const ScOp sc_op_iota = {
    .name = "iota",
    .doc = "0, 1, 2, ...: kernels compute it where they read it",
    .in = "",
    .out = "y: shape",
    .attr = {{.name = "shape",
              .kind = SC_A_TERMS,
              .required = true,
              .doc = "how many",
              .text = SC_TEXT_SHAPE}},
    .n_attr = 1,
    .flags = SC_INDEX,
    .infer = infer_iota,
    .lower = {SC_SOURCE},
    .eval = eval_iota,
    .domain = {.make = make_iota},
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
