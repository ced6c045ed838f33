/* SPDX-License-Identifier: Apache-2.0 */
/* Parts and wholes: slice, concat, and the extents themselves, shape. Exported models compute
 * shapes with them, so they follow content. */
#include "ir/ops/ops_priv.h"

/* --- slice ----------------------------------------------------------------------------------- */

enum { STARTS, ENDS, AXES, STEPS };

/* One axis: the first index, the step, and how many. */
typedef struct Range {
    const ScTerm *start, *count;
    int64_t step;
} Range;

/* An index counted from the end where negative, then bounded to [lo, n + hi]. A symbolic one must
 * not be negative: import knows no more about it. */
static const ScTerm *bound(ScCtx *cx, const ScTerm *index, const ScTerm *n, int64_t lo, int64_t hi)
{
    int64_t c;
    const ScTerm *top = sc_term_addc(cx, n, hi);
    if (sc_term_const(index, &c) && c < 0) {
        index = c < -INT32_MAX ? sc_term(cx, lo) : sc_term_addc(cx, n, c);
        return sc_term_max(cx, index, sc_term(cx, lo));
    }
    if (sc_term_is(index, 0) && hi == 0)
        return index;
    if (sc_term_const(index, &c) && c >= INT32_MAX)
        return top;
    return sc_term_min(cx, index, top);
}

static Range range(ScCtx *cx, const ScAttr *attr, uint32_t i, const ScTerm *n)
{
    Range r = {.step = attr[STEPS].kind == SC_A_NONE ? 1 : attr[STEPS].is[i]};
    bool down = r.step < 0;
    r.start = bound(cx, attr[STARTS].ts[i], n, 0, down ? -1 : 0);
    const ScTerm *end = bound(cx, attr[ENDS].ts[i], n, down ? -1 : 0, down ? -1 : 0);
    const ScTerm *length = down ? sc_term_sub(cx, r.start, end) : sc_term_sub(cx, end, r.start);
    const ScTerm *step = sc_term(cx, down ? -r.step : r.step);
    r.count = sc_term_cdiv(cx, length, step);
    if (!sc_ops_nonneg(r.count))
        r.count = sc_term_max(cx, r.count, sc_term(cx, 0));
    return r;
}

/* The ranges of all axes of an operand of type x; rank and attributes were checked. */
static void ranges(ScCtx *cx, const ScAttr *attr, const ScType *x, Range *ret)
{
    for (uint32_t d = 0; d < x->rank; d++)
        ret[d] = (Range){sc_term(cx, 0), x->dim[d], 1};
    for (uint32_t i = 0; i < attr[STARTS].n; i++) {
        uint32_t axis = attr[AXES].kind == SC_A_NONE ? i : sc_ops_axis(attr[AXES].is[i], x->rank);
        ret[axis] = range(cx, attr, i, x->dim[axis]);
    }
}

static bool check_slice(ScInfer *in)
{
    const ScAttr *attr = in->attr;
    uint32_t n = attr[STARTS].n, seen = 0, axis;
    if (attr[ENDS].n != n || (attr[AXES].kind != SC_A_NONE && attr[AXES].n != n) ||
        (attr[STEPS].kind != SC_A_NONE && attr[STEPS].n != n))
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "starts, ends, axes and steps must be as many");
    for (uint32_t i = 0; i < n; i++) {
        if (!sc_axis(in, attr[AXES].kind == SC_A_NONE ? i : attr[AXES].is[i], in->in[0]->rank,
                     &axis))
            return false;
        if (seen >> axis & 1)
            return sc_infer_fail(in, SC_E_AXIS, "axis %u is given twice", axis);
        seen |= 1u << axis;
        if (attr[STEPS].kind != SC_A_NONE &&
            (attr[STEPS].is[i] == 0 || attr[STEPS].is[i] < -INT32_MAX))
            return sc_infer_fail(in, SC_E_ATTRIBUTE, "step %lld is not possible",
                                 (long long)attr[STEPS].is[i]);
    }
    return true;
}

static bool infer_slice(ScInfer *in)
{
    const ScType *x = in->in[0];
    const ScTerm *dim[SCRT_MAX_RANK];
    Range r[SCRT_MAX_RANK];
    if (!check_slice(in))
        return false;
    ranges(in->cx, in->attr, x, r);
    for (uint32_t d = 0; d < x->rank; d++)
        dim[d] = r[d].count;
    sc_ops_result(in, x->dtype, x->rank, dim);
    int64_t start, count;
    if (!in->content[0] || x->rank != 1 || !sc_term_const(r[0].start, &start) ||
        !sc_term_const(r[0].count, &count))
        return true;
    const ScTerm **content = sc_array(in->arena, const ScTerm *, (size_t)count + 1);
    for (int64_t i = 0; i < count; i++)
        content[i] = in->content[0][start + i * r[0].step];
    in->ret_content[0] = content;
    return true;
}

static bool view_slice(ScCtx *cx, const ScGraph *g, const ScNode *n, ScView *io)
{
    Range r[SCRT_MAX_RANK];
    ranges(cx, n->attr, sc_type_of(g, n->in[0]), r);
    for (uint32_t d = 0; d < io->rank; d++) {
        io->offset = sc_term_add(cx, io->offset, sc_term_mul(cx, r[d].start, io->stride[d]));
        io->stride[d] = sc_term_scale(cx, io->stride[d], r[d].step);
        io->dim[d] = r[d].count;
    }
    return true;
}

/* By ONNX's definition, in numbers: an index counts from the end where negative and is clamped. */
static int64_t clamped(int64_t index, int64_t n, int64_t lo, int64_t hi)
{
    index = index < 0 ? index + n : index;
    return index < lo ? lo : index > hi ? hi : index;
}

static bool eval_slice(ScEval *e)
{
    const ScrtTensor *x = e->in[0];
    const ScAttr *attr = e->n->attr;
    ScrtTensor *out = &e->out[0];
    int64_t stride[SCRT_MAX_RANK], idx[SCRT_MAX_RANK] = {0}, offset = 0, n = scrt_count(out);
    sc_ops_strides(x, x->rank, stride);
    for (uint32_t i = 0; i < attr[STARTS].n; i++) {
        uint32_t axis = attr[AXES].kind == SC_A_NONE ? i : sc_ops_axis(attr[AXES].is[i], x->rank);
        int64_t step = attr[STEPS].kind == SC_A_NONE ? 1 : attr[STEPS].is[i], m = x->dims[axis];
        int64_t start = sc_eval_term(e, attr[STARTS].ts[i]);
        offset += stride[axis] * clamped(start, m, 0, step < 0 ? m - 1 : m);
        stride[axis] *= step;
    }
    for (int64_t i = 0; i < n; i++, sc_ops_next(out->rank, out->dims, idx))
        sc_ops_move(out, i, x, offset + sc_ops_at(out->rank, idx, stride));
    return true;
}

static uint32_t make_slice(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK], step[SCRT_MAX_RANK];
    const ScTerm *start[SCRT_MAX_RANK], *end[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    for (uint32_t d = 0; d < rank; d++) {
        bool down = sc_ops_pick(r, 0, 1);
        int64_t lo = sc_ops_pick(r, 0, (uint32_t)dims[d] - 1);
        start[d] = sc_term(b->cx, down ? dims[d] - 1 : lo);
        end[d] = sc_term(b->cx, down ? lo - dims[d] - 1 : INT64_MAX); /* from the end; the end */
        step[d] = down ? -1 : (int64_t)sc_ops_pick(r, 1, 2);
    }
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    ret_out[0] = sc_op_at(b, slice,
                          SC_ATTRS(SC_TERMS(rank, start), SC_TERMS(rank, end), {.kind = SC_A_NONE},
                                   SC_INTS(rank, step)),
                          x);
    return 1;
}

const ScOp sc_op_slice = {
    .name = "slice",
    .doc = "a range of indices of some axes",
    .onnx = {"", "Slice", 1},
    .in = "data: any",
    .out = "output: any",
    .attr =
        {
            {.name = "starts", .kind = SC_A_TERMS, .required = true, .doc = "first indices"},
            {.name = "ends", .kind = SC_A_TERMS, .required = true, .doc = "past the last"},
            {.name = "axes", .kind = SC_A_INTS, .doc = "0, 1, ... where not given"},
            {.name = "steps", .kind = SC_A_INTS, .doc = "1 where not given; negative: downward"},
        },
    .n_attr = 4,
    .flags = SC_VIEW_OP | SC_ANY_THROUGH | SC_PASSES_CONVEX,
    .infer = infer_slice,
    .scale = "a -> a",
    .lower = {SC_VIEW},
    .view = view_slice,
    .eval = eval_slice,
    .domain = {.make = make_slice},
};

/* --- concat ---------------------------------------------------------------------------------- */

enum { AXIS };

static void concat_content(ScInfer *in)
{
    size_t n = 0, at = 0;
    int64_t count;
    for (uint32_t i = 0; i < in->n_in; i++) {
        if (!in->content[i] || in->in[i]->rank != 1 || !sc_term_const(in->in[i]->dim[0], &count))
            return;
        n += (size_t)count;
    }
    const ScTerm **content = sc_array(in->arena, const ScTerm *, n + 1);
    for (uint32_t i = 0; i < in->n_in; i++) {
        sc_term_const(in->in[i]->dim[0], &count);
        for (int64_t k = 0; k < count; k++)
            content[at++] = in->content[i][k];
    }
    in->ret_content[0] = content;
}

static bool infer_concat(ScInfer *in)
{
    const ScType *x = in->in[0];
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t axis;
    if (!sc_axis(in, in->attr[AXIS].i, x->rank, &axis))
        return false;
    for (uint32_t d = 0; d < x->rank; d++)
        dim[d] = x->dim[d];
    for (uint32_t i = 1; i < in->n_in; i++) {
        const ScType *t = in->in[i];
        if (t->dtype != x->dtype)
            return sc_infer_fail(in, SC_E_TYPE, "operand %u", i);
        if (t->rank != x->rank)
            return sc_infer_fail(in, SC_E_RANK, "operand %u", i);
        for (uint32_t d = 0; d < x->rank; d++)
            if (d != axis && t->dim[d] != x->dim[d])
                return sc_infer_fail(in, SC_E_SHAPE, "operand %u differs at axis %u", i, d);
        dim[axis] = sc_term_add(in->cx, dim[axis], t->dim[axis]);
    }
    sc_ops_result(in, x->dtype, x->rank, dim);
    concat_content(in);
    return true;
}

static uint32_t concat_axis(const ScGraph *g, const ScNode *n)
{
    return sc_ops_axis(sc_attr(n, AXIS)->i, sc_type_of(g, n->first)->rank);
}

static bool eval_concat(ScEval *e)
{
    ScrtTensor *out = &e->out[0];
    uint32_t axis = sc_ops_axis(sc_attr(e->n, AXIS)->i, out->rank);
    int64_t base = 0, stride[SCRT_MAX_RANK];
    sc_ops_strides(out, out->rank, stride);
    for (uint32_t k = 0; k < e->n->n_in; k++) {
        const ScrtTensor *x = e->in[k];
        int64_t idx[SCRT_MAX_RANK] = {0}, n = scrt_count(x);
        for (int64_t i = 0; i < n; i++, sc_ops_next(x->rank, x->dims, idx))
            sc_ops_move(out, base * stride[axis] + sc_ops_at(x->rank, idx, stride), x, i);
        base += x->dims[axis];
    }
    return true;
}

static uint32_t make_concat(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const char *const name[] = {"x", "y", "z"};
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims), n = sc_ops_pick(r, 1, 3);
    uint32_t axis = sc_ops_pick(r, 0, rank - 1);
    ScVal in[3];
    for (uint32_t i = 0; i < n; i++) {
        dims[axis] = sc_ops_pick(r, 1, 4);
        in[i] = sc_ops_input(b, name[i], SCRT_F32, rank, dims);
    }
    ret_out[0] = sc_node1(b, &sc_op_concat, SC_ATTRS(SC_INT(axis)), n, in);
    return 1;
}

const ScOp sc_op_concat = {
    .name = "concat",
    .doc = "operands side by side along an axis",
    .onnx = {"", "Concat", 4},
    .in = "inputs...: any",
    .out = "concat_result: any",
    .attr = {{.name = "axis", .kind = SC_A_INT, .required = true, .doc = "where they meet"}},
    .n_attr = 1,
    .flags = SC_ANY_THROUGH,
    .infer = infer_concat,
    .scale = "a... -> a",
    .growth = sc_ops_grow_pick,
    .lower = {SC_CONCAT},
    .concat_axis = concat_axis,
    .eval = eval_concat,
    .domain = {.make = make_concat},
};

/* --- shape ----------------------------------------------------------------------------------- */

enum { START, END };

/* The range [first, end) of axes, as ONNX bounds it. */
static uint32_t shape_range(const ScAttr *attr, uint32_t rank, uint32_t *ret_first)
{
    int64_t first = clamped(attr[START].i, rank, 0, rank);
    int64_t end = attr[END].kind == SC_A_NONE ? rank : clamped(attr[END].i, rank, 0, rank);
    *ret_first = (uint32_t)first;
    return (uint32_t)(end > first ? end - first : 0);
}

static bool infer_shape(ScInfer *in)
{
    const ScType *x = in->in[0];
    uint32_t first, n = shape_range(in->attr, x->rank, &first);
    in->ret_content[0] = x->dim + first;
    return sc_ops_result(in, SCRT_I64, 1, (const ScTerm *[]){sc_term(in->cx, n)});
}

static bool eval_shape(ScEval *e)
{
    uint32_t first, n = shape_range(e->n->attr, e->in[0]->rank, &first);
    for (uint32_t i = 0; i < n; i++)
        scrt_store_int(SCRT_I64, e->out[0].data, i, e->in[0]->dims[first + i]);
    return true;
}

/* What folding left is not known before the model runs: each extent is computed then. */
static void expand_shape(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                         ScVal *ret_out)
{
    (void)g;
    const ScType *x = sc_built(b, in[0])->type;
    uint32_t first, count = shape_range(n->attr, x->rank, &first);
    ScVal one[SCRT_MAX_RANK];
    for (uint32_t i = 0; i < count; i++) {
        const ScTerm *dim = x->dim[first + i];
        int64_t c;
        one[i] = sc_term_const(dim, &c) ? sc_const_i64(b, 1, &c)
                                        : sc_op_at(b, term, SC_ATTRS(SC_TERMS(1, &dim)));
    }
    if (count == 0)
        ret_out[0] = sc_const_i64(b, 0, NULL);
    else if (count == 1)
        ret_out[0] = one[0];
    else
        ret_out[0] = sc_node1(b, &sc_op_concat, SC_ATTRS(SC_INT(0)), count, one);
}

const ScOp sc_op_shape = {
    .name = "shape",
    .doc = "the extents of x, from `start` up to `end`",
    .onnx = {"", "Shape", 1},
    .in = "data: any",
    .out = "shape: shape",
    .attr =
        {
            {.name = "start", .kind = SC_A_INT, .def = SC_INT(0), .doc = "the first axis"},
            {.name = "end", .kind = SC_A_INT, .doc = "past the last axis; all where not given"},
        },
    .n_attr = 2,
    .infer = infer_shape,
    .scale = "a -> _",
    .expand = expand_shape,
    .eval = eval_shape,
};

/* --- term ------------------------------------------------------------------------------------ */

static bool infer_term(ScInfer *in)
{
    const ScAttr *value = &in->attr[0];
    if (value->n != 1)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "`value` must be one term");
    in->ret_content[0] = value->ts;
    return sc_ops_result(in, SCRT_I64, 1, (const ScTerm *[]){sc_term(in->cx, 1)});
}

static bool eval_term(ScEval *e)
{
    scrt_store_int(SCRT_I64, e->out[0].data, 0, sc_eval_term(e, sc_attr(e->n, 0)->ts[0]));
    return true;
}

static void body_term(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)in;
    ret_out[0] = sc_x_term(b, sc_attr(n, 0)->ts[0]);
}

static uint32_t make_term(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    const ScTerm *t = sc_term(b->cx, (int64_t)sc_ops_pick(r, 0, 1000) - 500);
    ret_out[0] = sc_op_at(b, term, SC_ATTRS(SC_TERMS(1, &t)));
    return 1;
}

const ScOp sc_op_term = {
    .name = "term",
    .doc = "the value that a term has when the model runs",
    .in = "",
    .out = "y: shape",
    .attr = {{.name = "value", .kind = SC_A_TERMS, .required = true, .doc = "one term"}},
    .n_attr = 1,
    .infer = infer_term,
    .lower = {SC_MAP, body_term},
    .eval = eval_term,
    .domain = {.make = make_term},
};
