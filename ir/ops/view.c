/* SPDX-License-Identifier: Apache-2.0 */
/* Views: the same elements seen with other extents and strides. Codegen composes them, so that most
 * cost nothing; what strides cannot say becomes a copy. */
#include "ir/ops/ops_priv.h"

#define VIEW_FLAGS (SC_VIEW_OP | SC_ANY_THROUGH | SC_PASSES_CONVEX)

/* What all views have in common. */
#define VIEW_ROW .flags = VIEW_FLAGS, .scale = "a -> a", .lower = {SC_VIEW}

/* Copies each element of the result from where the strides say. */
static bool copy(ScEval *e, const int64_t *stride, int64_t offset)
{
    ScrtTensor *out = &e->out[0];
    int64_t idx[SCRT_MAX_RANK] = {0}, n = scrt_count(out);
    for (int64_t i = 0; i < n; i++, sc_ops_next(out->rank, out->dims, idx))
        sc_ops_move(out, i, e->in[0], offset + sc_ops_at(out->rank, idx, stride));
    return true;
}

/* --- The same elements in the same order ----------------------------------------------------- */

static bool eval_same_order(ScEval *e)
{
    int64_t n = scrt_count(&e->out[0]);
    if (n != scrt_count(e->in[0]))
        return sc_fail(e->cx, e->n->loc, SC_E_SHAPE, "%lld elements cannot be seen as %lld",
                       (long long)scrt_count(e->in[0]), (long long)n);
    for (int64_t i = 0; i < n; i++)
        sc_ops_move(&e->out[0], i, e->in[0], i);
    return true;
}

/* Strides of the extents `to`, given those of io, which hold the same elements in order: groups of
 * extents with equal products correspond, and within a group the elements must lie evenly. False
 * where a group does not, or is not proven to match. */
static bool regroup(ScCtx *cx, const ScView *io, uint32_t rank, const ScTerm *const *to,
                    const ScTerm **ret_stride)
{
    const ScTerm *dim[SCRT_MAX_RANK], *stride[SCRT_MAX_RANK];
    uint32_t n = 0, i = 0, j = 0;
    for (uint32_t d = 0; d < io->rank; d++) /* the stride of an extent of 1 says nothing */
        if (!sc_term_is(io->dim[d], 1)) {
            dim[n] = io->dim[d];
            stride[n++] = io->stride[d];
        }
    while (j < rank) {
        if (sc_term_is(to[j], 1)) {
            ret_stride[j++] = sc_term(cx, 0);
            continue;
        }
        if (i == n)
            return false;
        const uint32_t j0 = j;
        const ScTerm *have = dim[i++], *want = to[j++];
        while (have != want) { /* one more extent on the smaller side */
            int64_t a, b;
            bool less = sc_term_const(have, &a) && sc_term_const(want, &b) && a < b;
            if (i == n && j == rank)
                return false;
            if (less && i < n && sc_term_mul(cx, stride[i], dim[i]) == stride[i - 1])
                have = sc_term_mul(cx, have, dim[i++]);
            else if (!less && j < rank)
                want = sc_term_mul(cx, want, to[j++]);
            else
                return false;
        }
        const ScTerm *step = stride[i - 1];
        for (uint32_t k = j; k-- > j0; step = sc_term_mul(cx, step, to[k]))
            ret_stride[k] = step;
    }
    return i == n;
}

/* All elements one after the other, whatever the extents. */
static bool is_dense(ScCtx *cx, const ScView *v)
{
    const ScTerm *stride = sc_term(cx, 1);
    for (uint32_t d = v->rank; d-- > 0; stride = sc_term_mul(cx, stride, v->dim[d]))
        if (!sc_term_is(v->dim[d], 1) && v->stride[d] != stride)
            return false;
    return true;
}

static bool view_same_order(ScCtx *cx, const ScGraph *g, const ScNode *n, ScView *io)
{
    const ScType *t = sc_type_of(g, n->first);
    const ScTerm *stride[SCRT_MAX_RANK], *dense = sc_term(cx, 1);
    if (is_dense(cx, io))
        for (uint32_t d = t->rank; d-- > 0; dense = sc_term_mul(cx, dense, t->dim[d]))
            stride[d] = dense;
    else if (!regroup(cx, io, t->rank, t->dim, stride))
        return false;
    io->rank = t->rank;
    for (uint32_t d = 0; d < t->rank; d++) {
        io->dim[d] = t->dim[d];
        io->stride[d] = stride[d];
    }
    return true;
}

static bool infer_identity(ScInfer *in)
{
    return sc_infer_same(in) && sc_ops_same_content(in);
}

const ScOp sc_op_identity = {
    .name = "identity",
    .doc = "x",
    .onnx = {"", "Identity", 1},
    .in = "input: any",
    .out = "output: any",
    VIEW_ROW,
    .infer = infer_identity,
    .view = view_same_order,
    .eval = eval_same_order,
};

enum { SHAPE };

static bool infer_reshape(ScInfer *in)
{
    const ScAttr *shape = &in->attr[SHAPE];
    sc_ops_result(in, in->in[0]->dtype, shape->n, shape->ts);
    const ScTerm *have = sc_type_count(in->cx, in->in[0]);
    const ScTerm *want = sc_type_count(in->cx, in->ret[0]);
    if (!sc_holds(in, SC_GUARD_EQUAL, have, want, "elements, and those of the shape asked for"))
        return sc_infer_fail(in, SC_E_SHAPE, "%s elements cannot be seen as %s",
                             sc_ops_text(in, have), sc_ops_text(in, want));
    return sc_ops_same_content(in);
}

static uint32_t make_reshape(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 4, dims), split = sc_ops_pick(r, 0, rank);
    const ScTerm *to[2] = {sc_term(b->cx, 1), sc_term(b->cx, 1)};
    for (uint32_t d = 0; d < rank; d++)
        to[d >= split] = sc_term_scale(b->cx, to[d >= split], dims[d]);
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    ret_out[0] = sc_op_at(b, reshape, SC_ATTRS(SC_TERMS(2, to)), x);
    return 1;
}

const ScOp sc_op_reshape = {
    .name = "reshape",
    .doc = "the same elements with other extents",
    .onnx = {"", "Reshape", 5}, /* import resolves 0 and -1 */
    .in = "data: any",
    .out = "reshaped: any",
    .attr = {{.name = "shape",
              .kind = SC_A_TERMS,
              .required = true,
              .doc = "the extents",
              .text = SC_TEXT_SHAPE}},
    .n_attr = 1,
    VIEW_ROW,
    .infer = infer_reshape,
    .view = view_same_order,
    .eval = eval_same_order,
    .domain = {.make = make_reshape},
};

enum { AXIS };

static bool infer_flatten(ScInfer *in)
{
    const ScType *x = in->in[0];
    const ScTerm *dim[2] = {sc_term(in->cx, 1), sc_term(in->cx, 1)};
    int64_t axis = in->attr[AXIS].i;
    if (axis < -(int64_t)x->rank || axis > x->rank) /* the rank itself is allowed */
        return sc_infer_fail(in, SC_E_AXIS, "axis %lld of rank %u", (long long)axis, x->rank);
    axis = axis < 0 ? axis + x->rank : axis;
    for (uint32_t d = 0; d < x->rank; d++)
        dim[d >= axis] = sc_term_mul(in->cx, dim[d >= axis], x->dim[d]);
    return sc_ops_result(in, x->dtype, 2, dim) && sc_ops_same_content(in);
}

const ScOp sc_op_flatten = {
    .name = "flatten",
    .doc = "a matrix: the extents before `axis` and those from it on",
    .onnx = {"", "Flatten", 1},
    .in = "input: any",
    .out = "output: any",
    .attr = {{.name = "axis", .kind = SC_A_INT, .def = SC_INT(1), .doc = "the first of the rows'"}},
    .n_attr = 1,
    VIEW_ROW,
    .infer = infer_flatten,
    .view = view_same_order,
    .eval = eval_same_order,
};

enum { AXES };

/* Without axes, what is 1 at run time would change the rank. */
static bool squeeze_keeps(ScInfer *in, uint32_t d)
{
    return sc_require_differ(in, in->in[0]->dim[d], sc_term(in->cx, 1),
                             "an extent that is kept by a squeeze without axes");
}

static bool infer_squeeze(ScInfer *in)
{
    const ScType *x = in->in[0];
    const ScAttr *axes = &in->attr[AXES];
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t rank = 0, set = 0, axis;
    for (uint32_t d = 0; axes->kind == SC_A_NONE && d < x->rank; d++) {
        if (sc_term_is(x->dim[d], 1))
            set |= 1u << d;
        else if (!squeeze_keeps(in, d))
            return false;
    }
    for (uint32_t i = 0; axes->kind != SC_A_NONE && i < axes->n; i++) {
        if (!sc_axis(in, axes->is[i], x->rank, &axis))
            return false;
        if (!sc_holds(in, SC_GUARD_EQUAL, x->dim[axis], sc_term(in->cx, 1),
                      "an extent to be squeezed"))
            return sc_infer_fail(in, SC_E_SHAPE, "axis %u has extent %s, not 1", axis,
                                 sc_ops_text(in, x->dim[axis]));
        set |= 1u << axis;
    }
    for (uint32_t d = 0; d < x->rank; d++)
        if (!(set >> d & 1))
            dim[rank++] = x->dim[d];
    return sc_ops_result(in, x->dtype, rank, dim) && sc_ops_same_content(in);
}

static uint32_t make_squeeze(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 4, dims);
    int64_t axis = sc_ops_pick(r, 0, rank - 1);
    dims[axis] = 1;
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    ret_out[0] = sc_op_at(b, squeeze, SC_ATTRS(SC_INTS(1, &axis)), x);
    return 1;
}

const ScOp sc_op_squeeze = {
    .name = "squeeze",
    .doc = "without axes of extent 1",
    .onnx = {"", "Squeeze", 1},
    .in = "data: any",
    .out = "squeezed: any",
    .attr = {{.name = "axes", .kind = SC_A_INTS, .doc = "all of extent 1 where not given"}},
    .n_attr = 1,
    VIEW_ROW,
    .infer = infer_squeeze,
    .view = view_same_order,
    .eval = eval_same_order,
    .domain = {.make = make_squeeze},
};

static bool infer_unsqueeze(ScInfer *in)
{
    const ScType *x = in->in[0];
    const ScAttr *axes = &in->attr[AXES];
    const ScTerm *dim[2 * SCRT_MAX_RANK];
    uint32_t set = 0, axis, from = 0;
    if (axes->n > SCRT_MAX_RANK || x->rank + axes->n > SCRT_MAX_RANK)
        return sc_infer_fail(in, SC_E_RANK, "the result would have more than %d dimensions",
                             SCRT_MAX_RANK);
    for (uint32_t i = 0; i < axes->n; i++) {
        if (!sc_axis(in, axes->is[i], x->rank + axes->n, &axis))
            return false;
        if (set >> axis & 1)
            return sc_infer_fail(in, SC_E_AXIS, "axis %u is given twice", axis);
        set |= 1u << axis;
    }
    for (uint32_t d = 0; d < x->rank + axes->n; d++)
        dim[d] = set >> d & 1 ? sc_term(in->cx, 1) : x->dim[from++];
    return sc_ops_result(in, x->dtype, x->rank + axes->n, dim) && sc_ops_same_content(in);
}

static uint32_t make_unsqueeze(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK], axes[2];
    uint32_t rank = sc_ops_shape(r, 0, 3, dims);
    axes[0] = sc_ops_pick(r, 0, rank);
    axes[1] = -1;
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    ret_out[0] = sc_op_at(b, unsqueeze, SC_ATTRS(SC_INTS(2, axes)), x);
    return 1;
}

const ScOp sc_op_unsqueeze = {
    .name = "unsqueeze",
    .doc = "with axes of extent 1 inserted",
    .onnx = {"", "Unsqueeze", 1},
    .in = "data: any",
    .out = "expanded: any",
    .attr = {{.name = "axes",
              .kind = SC_A_INTS,
              .required = true,
              .doc = "where they are in the result"}},
    .n_attr = 1,
    VIEW_ROW,
    .infer = infer_unsqueeze,
    .view = view_same_order,
    .eval = eval_same_order,
    .domain = {.make = make_unsqueeze},
};

/* --- Other orders ---------------------------------------------------------------------------- */

enum { PERM };

static uint32_t perm_of(const ScAttr *perm, uint32_t rank, uint32_t d)
{
    return perm->kind == SC_A_NONE ? rank - 1 - d : (uint32_t)perm->is[d];
}

static bool infer_transpose(ScInfer *in)
{
    const ScType *x = in->in[0];
    const ScAttr *perm = &in->attr[PERM];
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t seen = 0;
    if (perm->kind != SC_A_NONE) {
        if (perm->n != x->rank)
            return sc_infer_fail(in, SC_E_ATTRIBUTE, "perm must have %u elements", x->rank);
        for (uint32_t d = 0; d < perm->n; d++)
            seen |= perm->is[d] >= 0 && perm->is[d] < x->rank ? 1u << perm->is[d] : 0;
        if (seen != (1u << x->rank) - 1)
            return sc_infer_fail(in, SC_E_ATTRIBUTE, "perm must hold each axis once");
    }
    for (uint32_t d = 0; d < x->rank; d++)
        dim[d] = x->dim[perm_of(perm, x->rank, d)];
    sc_ops_result(in, x->dtype, x->rank, dim);
    return x->rank > 1 || sc_ops_same_content(in);
}

static bool view_transpose(ScCtx *cx, const ScGraph *g, const ScNode *n, ScView *io)
{
    ScView x = *io;
    (void)cx;
    (void)g;
    for (uint32_t d = 0; d < x.rank; d++) {
        uint32_t from = perm_of(sc_attr(n, PERM), x.rank, d);
        io->dim[d] = x.dim[from];
        io->stride[d] = x.stride[from];
    }
    return true;
}

static bool eval_transpose(ScEval *e)
{
    int64_t stride[SCRT_MAX_RANK], permuted[SCRT_MAX_RANK];
    uint32_t rank = e->in[0]->rank;
    sc_ops_strides(e->in[0], rank, stride);
    for (uint32_t d = 0; d < rank; d++)
        permuted[d] = stride[perm_of(sc_attr(e->n, PERM), rank, d)];
    return copy(e, permuted, 0);
}

static uint32_t make_transpose(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK], perm[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 2, 4, dims);
    for (uint32_t d = 0; d < rank; d++) { /* insert d at a random place */
        uint32_t at = sc_ops_pick(r, 0, d);
        perm[d] = perm[at];
        perm[at] = d;
    }
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    ret_out[0] = sc_op_at(b, transpose, SC_ATTRS(SC_INTS(rank, perm)), x);
    return 1;
}

const ScOp sc_op_transpose = {
    .name = "transpose",
    .doc = "axes permuted: result axis i is x's axis perm[i]",
    .onnx = {"", "Transpose", 1},
    .in = "data: any",
    .out = "transposed: any",
    .attr = {{.name = "perm", .kind = SC_A_INTS, .doc = "reversed where not given"}},
    .n_attr = 1,
    VIEW_ROW,
    .infer = infer_transpose,
    .view = view_transpose,
    .eval = eval_transpose,
    .domain = {.make = make_transpose},
};

static bool infer_expand(ScInfer *in)
{
    const ScType *x = in->in[0];
    const ScAttr *shape = &in->attr[SHAPE];
    int64_t dims[SCRT_MAX_RANK];
    size_t n = 1;
    sc_ops_result(in, x->dtype, shape->n, shape->ts);
    if (!sc_ops_fits_result(in, 0))
        return false;
    if (!in->content[0] || sc_type_count(in->cx, x)->kind != SC_T_CONST ||
        sc_type_count(in->cx, x)->c != 1 || !sc_type_const_dims(in->ret[0], dims))
        return true;
    for (uint32_t d = 0; d < shape->n; d++)
        n *= n > SC_CONTENT_MAX ? 1 : (size_t)dims[d];
    if (n > SC_CONTENT_MAX)
        return true;
    const ScTerm **content = sc_array(in->arena, const ScTerm *, n + 1);
    for (size_t i = 0; i < n; i++)
        content[i] = in->content[0][0];
    in->ret_content[0] = content;
    return true;
}

static bool view_expand(ScCtx *cx, const ScGraph *g, const ScNode *n, ScView *io)
{
    const ScType *t = sc_type_of(g, n->first);
    ScView x = *io;
    io->rank = t->rank;
    for (uint32_t d = 0; d < t->rank; d++) {
        uint32_t lead = t->rank - x.rank; /* extents that x lacks */
        io->dim[d] = t->dim[d];
        io->stride[d] =
            d < lead ? sc_term(cx, 0)
                     : sc_broadcast_stride(cx, x.dim[d - lead], t->dim[d], x.stride[d - lead]);
    }
    return true;
}

static bool eval_expand(ScEval *e)
{
    int64_t stride[SCRT_MAX_RANK];
    sc_ops_strides(e->in[0], e->out[0].rank, stride);
    return copy(e, stride, 0);
}

static uint32_t make_expand(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK];
    const ScTerm *to[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 4, dims), lead = sc_ops_pick(r, 0, rank);
    for (uint32_t d = 0; d < rank; d++) {
        to[d] = sc_term(b->cx, dims[d]);
        if (sc_ops_pick(r, 0, 1))
            dims[d] = 1;
    }
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank - lead, dims + lead);
    ret_out[0] = sc_op_at(b, expand, SC_ATTRS(SC_TERMS(rank, to)), x);
    return 1;
}

const ScOp sc_op_expand = {
    .name = "expand",
    .doc = "repeated along axes of extent 1 to the extents given",
    .onnx = {"", "Expand", 8}, /* at import x's own extents are taken into the shape */
    .in = "input: any",
    .out = "output: any",
    .attr = {{.name = "shape",
              .kind = SC_A_TERMS,
              .required = true,
              .doc = "the extents of the result",
              .text = SC_TEXT_SHAPE}},
    .n_attr = 1,
    VIEW_ROW,
    .infer = infer_expand,
    .view = view_expand,
    .eval = eval_expand,
    .domain = {.make = make_expand},
};
