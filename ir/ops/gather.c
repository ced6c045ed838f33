/* SPDX-License-Identifier: Apache-2.0 */
/* Gather: picks by indices, as an embedding does. Exported models pick extents of shapes with it,
 * too, so it follows content. Position: indices that are reckoned with before they pick. */
#include "ir/ops/ops_priv.h"

enum { DATA, INDICES };
enum { AXIS };

static void gather_content(ScInfer *in)
{
    const ScType *x = in->in[DATA], *index = in->in[INDICES];
    int64_t n, at, dims[SCRT_MAX_RANK];
    size_t count = 1;
    if (!in->content[DATA] || !in->content[INDICES] || x->rank != 1 ||
        !sc_term_const(x->dim[0], &n) || !sc_type_const_dims(index, dims))
        return;
    for (uint32_t d = 0; d < index->rank; d++)
        count *= (size_t)dims[d];
    const ScTerm **content = sc_array(in->arena, const ScTerm *, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (!sc_term_const(in->content[INDICES][i], &at) || at < -n || at >= n)
            return;
        content[i] = in->content[DATA][at < 0 ? at + n : at];
    }
    in->ret_content[0] = content;
}

static bool infer_gather(ScInfer *in)
{
    const ScType *x = in->in[DATA], *index = in->in[INDICES];
    const ScTerm *dim[2 * SCRT_MAX_RANK];
    uint32_t axis, rank = 0;
    if (!sc_axis(in, in->attr[AXIS].i, x->rank, &axis))
        return false;
    const ScTerm *n_index = sc_type_count(in->cx, index);
    if (!sc_holds(in, SC_GUARD_AT_MOST, sc_term_min(in->cx, n_index, sc_term(in->cx, 1)),
                  x->dim[axis], "indices, and an axis that has no element to pick"))
        return sc_infer_fail(in, SC_E_SHAPE, "axis %u has no element to pick", axis);
    if (x->rank + index->rank - 1 > SCRT_MAX_RANK)
        return sc_infer_fail(in, SC_E_RANK, "the result would have more than %d dimensions",
                             SCRT_MAX_RANK);
    for (uint32_t d = 0; d < axis; d++)
        dim[rank++] = x->dim[d];
    for (uint32_t d = 0; d < index->rank; d++)
        dim[rank++] = index->dim[d];
    for (uint32_t d = axis + 1; d < x->rank; d++)
        dim[rank++] = x->dim[d];
    sc_ops_result(in, x->dtype, rank, dim);
    gather_content(in);
    return true;
}

/* Index k from the start of an axis; false after an error. */
static bool counted(const ScEval *e, const ScrtTensor *index, int64_t k, int64_t extent,
                    int64_t *ret)
{
    int64_t at = scrt_load_int(index->dtype, index->data, (size_t)k);
    *ret = at < 0 ? at + extent : at;
    return (*ret >= 0 && *ret < extent) ||
           sc_fail(e->cx, e->n->loc, SC_E_INPUT, "index %lld is outside an axis of %lld",
                   (long long)at, (long long)extent);
}

static bool eval_gather(ScEval *e)
{
    const ScrtTensor *x = e->in[DATA], *index = e->in[INDICES];
    uint32_t axis = sc_ops_axis(sc_attr(e->n, AXIS)->i, x->rank);
    int64_t n = x->dims[axis], n_index = scrt_count(index), outer = 1, inner = 1;
    for (uint32_t d = 0; d < x->rank; d++)
        *(d < axis ? &outer : &inner) *= d == axis ? 1 : x->dims[d];
    for (int64_t k = 0; k < n_index; k++) {
        int64_t at;
        if (!counted(e, index, k, n, &at))
            return false;
        for (int64_t i = 0; i < outer * inner; i++)
            sc_ops_move(&e->out[0], (i / inner * n_index + k) * inner + i % inner, x,
                        (i / inner * n + at) * inner + i % inner);
    }
    return true;
}

static uint32_t gather_axis(const ScGraph *g, const ScNode *n)
{
    return sc_ops_axis(sc_attr(n, AXIS)->i, sc_type_of(g, n->in[DATA])->rank);
}

static const ScTerm *gather_counts(const ScGraph *g, const ScNode *n, uint32_t operand)
{
    return operand == INDICES ? sc_type_of(g, n->in[DATA])->dim[gather_axis(g, n)] : NULL;
}

static uint32_t make_gather(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK], pick[6], shape[2] = {2, 3};
    uint32_t rank = sc_ops_shape(r, 1, 3, dims), axis = sc_ops_pick(r, 0, rank - 1);
    uint32_t index_rank = sc_ops_pick(r, 0, 2), n = index_rank == 2 ? 6 : index_rank ? 3 : 1;
    for (uint32_t i = 0; i < n; i++)
        pick[i] = (int64_t)sc_ops_pick(r, 0, 2 * (uint32_t)dims[axis] - 1) - dims[axis];
    const ScBlob *blob = sc_blob(b->cx, NULL, SCRT_I64, index_rank, shape + (index_rank == 1),
                                 sc_intern_bytes(b->cx, pick, n * sizeof *pick));
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims), index = sc_const(b, blob, SCRT_I64, NULL);
    ret_out[0] = sc_op_at(b, gather, SC_ATTRS(SC_INT(axis)), x, index);
    return 1;
}

const ScOp sc_op_gather = {
    .name = "gather",
    .doc = "the parts of data along an axis that indices name; negative ones count from the end, "
           "one outside ends the run",
    .onnx = {"", "Gather", 1},
    .in = "data: any, indices: int",
    .out = "output: any",
    .attr = {{.name = "axis", .kind = SC_A_INT, .def = SC_INT(0), .doc = "what indices count"}},
    .n_attr = 1,
    .flags = SC_VIEW_OP | SC_ANY_THROUGH | SC_PASSES_CONVEX,
    .infer = infer_gather,
    .scale = "a, _ -> a",
    .top = sc_ops_top_first,
    .lower = {SC_GATHER},
    .storable = 1 << DATA,
    .gather_axis = gather_axis,
    .counts = gather_counts,
    .eval = eval_gather,
    .domain = {.make = make_gather},
};

/* --- position -------------------------------------------------------------------------------- */

static bool infer_position(ScInfer *in)
{
    return sc_ops_result(in, SCRT_I64, in->in[0]->rank, in->in[0]->dim);
}

static bool eval_position(ScEval *e)
{
    const ScrtTensor *index = e->in[0];
    int64_t extent = sc_eval_term(e, sc_attr(e->n, 0)->ts[0]);
    for (int64_t k = 0, at; k < scrt_count(index); k++) {
        if (!counted(e, index, k, extent, &at))
            return false;
        scrt_store_int(SCRT_I64, e->out[0].data, (size_t)k, at);
    }
    return true;
}

static const ScTerm *position_counts(const ScGraph *g, const ScNode *n, uint32_t operand)
{
    (void)g;
    return operand == 0 ? sc_attr(n, 0)->ts[0] : NULL;
}

static void call_position(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    (void)g;
    *ret = (ScCall){.callee = SCRT_CALLEE_POSITION, .n_param = 1, .in_place = -1};
    ret->param[0] = sc_attr(n, 0)->ts[0];
}

/* The same of indices that are known to be inside. */
static void expand_position(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                            ScVal *ret_out)
{
    (void)g;
    ScVal zero = sc_op_at(b, term, SC_ATTRS(SC_TERMS(1, (const ScTerm *[]){sc_term(b->cx, 0)})));
    ScVal extent = sc_op_at(b, term, SC_ATTRS(*sc_attr(n, 0)));
    ScVal i = sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_I64)), in[0]);
    ret_out[0] = sc_op(b, where, sc_op(b, less, i, zero), sc_op(b, add, i, extent), i);
}

/* i mod 2 n, less n: both ends are met. */
static uint32_t make_position(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK], extent = sc_ops_pick(r, 1, 9), twice = 2 * extent;
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    const ScTerm *t = sc_term(b->cx, extent);
    ScVal n = sc_const(b, sc_blob_i64(b->cx, 1, &extent), SCRT_I64, NULL);
    ScVal n2 = sc_const(b, sc_blob_i64(b->cx, 1, &twice), SCRT_I64, NULL);
    ScVal i = sc_op(b, mod, sc_ops_input(b, "i", SCRT_I64, rank, dims), n2);
    ret_out[0] = sc_op_at(b, position, SC_ATTRS(SC_TERMS(1, &t)), sc_op(b, sub, i, n));
    return 1;
}

const ScOp sc_op_position = {
    .name = "position",
    .doc = "indices of an axis as positions from its start: negative ones count from the end, one "
           "outside ends the run",
    .in = "indices: int",
    .out = "positions: int",
    .attr =
        {{.name = "extent", .kind = SC_A_TERMS, .required = true, .doc = "the axis', one term"}},
    .n_attr = 1,
    .infer = infer_position,
    .lower = {SC_CALL},
    .call = call_position,
    .counts = position_counts,
    .expand = expand_position,
    .eval = eval_position,
    .domain = {.make = make_position},
};
