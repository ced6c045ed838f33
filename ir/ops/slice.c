/* SPDX-License-Identifier: Apache-2.0 */
/* Parts and wholes: slice, concat, and the extents themselves, shape. Exported models compute
 * shapes with them, so they follow content. */
#include "ir/ops/ops_priv.h"

/* --- slice ----------------------------------------------------------------------------------- */

enum { STARTS, ENDS, AXES, STEPS };

/* One axis: the first index, the step, and how many. */
typedef struct Range {
    const ScTerm *start, *count;
    int64_t step; /* 0 where there is one element at most */
} Range;

/* Exporters write "to the end" as the greatest or least number of 64 or of 32 bits. */
static bool is_far(int64_t c)
{
    return c >= INT32_MAX || c <= -INT32_MAX;
}

/* Elements; no memory holds so many. */
#define MANY (INT64_C(1) << 48)

/* The extent is below what stands for its end; in is NULL where that was required before. */
static bool fits_below(const ScInfer *in, const ScTerm *n, int64_t c)
{
    int64_t top = c < 0 ? -(c + 1) : c;
    return !in || top >= MANY ||
           sc_require_at_most(in, n, sc_term(in->cx, top), "the extent and a slice's bound");
}

/* An index counted from the end where it is negative, before it is clamped. A term may be either:
 * min(max(i, -1), 0) is -1 where i is negative, else 0. */
static const ScTerm *from_end(ScCtx *cx, const ScTerm *index, const ScTerm *n)
{
    ScRange r = sc_term_range(cx, index);
    if (r.lo >= 0)
        return index;
    if (r.hi < 0)
        return sc_term_add(cx, index, n);
    const ScTerm *sign = sc_term_min(cx, sc_term_max(cx, index, sc_term(cx, -1)), sc_term(cx, 0));
    return sc_term_sub(cx, index, sc_term_mul(cx, n, sign));
}

static const ScTerm *at_least(ScCtx *cx, const ScTerm *t, int64_t c)
{
    return sc_term_range(cx, t).lo >= c ? t : sc_term_max(cx, t, sc_term(cx, c));
}

static const ScTerm *at_most(ScCtx *cx, const ScTerm *t, const ScTerm *top)
{
    return sc_term_at_most(cx, t, top) ? t : sc_term_min(cx, t, top);
}

/* An index that is data may be any number: beyond MANY it is as good as that, and sums hold. */
static const ScTerm *within(ScCtx *cx, const ScTerm *index)
{
    return sc_term_range(cx, index).lo >= -MANY
               ? index
               : sc_term_max(cx, sc_term_min(cx, index, sc_term(cx, MANY)), sc_term(cx, -MANY));
}

/* A bound, at least lo. Far ones are the ends themselves. */
static const ScTerm *bound(ScCtx *cx, const ScTerm *index, const ScTerm *n, int64_t lo,
                           const ScTerm *top)
{
    int64_t c;
    if (sc_term_const(index, &c) && is_far(c))
        return c < 0 ? sc_term(cx, lo) : top;
    return at_least(cx, from_end(cx, within(cx, index), n), lo);
}

static bool range(ScCtx *cx, const ScInfer *in, const ScAttr *attr, uint32_t i, const ScTerm *n,
                  Range *ret)
{
    int64_t step = attr[STEPS].kind == SC_A_NONE ? 1 : attr[STEPS].is[i], c;
    bool down = step < 0;
    const ScTerm *top = sc_term_addc(cx, n, down ? -1 : 0);
    const ScTerm *start = bound(cx, attr[STARTS].ts[i], n, 0, top);
    const ScTerm *end = bound(cx, attr[ENDS].ts[i], n, down ? -1 : 0, top);
    if ((sc_term_const(attr[STARTS].ts[i], &c) && is_far(c) && !fits_below(in, n, c)) ||
        (sc_term_const(attr[ENDS].ts[i], &c) && is_far(c) && !fits_below(in, n, c)) ||
        (is_far(step) && !fits_below(in, n, step)))
        return false;
    /* The bound at which the walk begins needs no clamping here: beyond the other one it leaves
     * less than nothing. */
    const ScTerm *length = down ? sc_term_sub(cx, at_most(cx, start, top), end)
                                : sc_term_sub(cx, at_most(cx, end, top), start);
    /* Nor does a number at which a walk upward begins: where that lies beyond the end nothing is
     * read, and the offsets of slices of slices stay numbers. */
    ret->start = !down && start->kind == SC_T_CONST ? start : at_most(cx, start, top);
    ret->step = is_far(step) ? 0 : step;
    if (is_far(step))
        ret->count = sc_term_min(cx, at_least(cx, length, 0), sc_term(cx, 1));
    else
        ret->count = at_least(cx, sc_term_cdiv(cx, length, sc_term(cx, down ? -step : step)), 0);
    return true;
}

/* The ranges of all axes of an operand of type x; rank and attributes were checked. in: as
 * inference asks, or NULL. */
static bool ranges(ScCtx *cx, const ScInfer *in, const ScAttr *attr, const ScType *x, Range *ret)
{
    for (uint32_t d = 0; d < x->rank; d++)
        ret[d] = (Range){sc_term(cx, 0), x->dim[d], 1};
    for (uint32_t i = 0; i < attr[STARTS].n; i++) {
        uint32_t axis = attr[AXES].kind == SC_A_NONE ? i : sc_ops_axis(attr[AXES].is[i], x->rank);
        if (!range(cx, in, attr, i, x->dim[axis], &ret[axis]))
            return false;
    }
    return true;
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
        if (attr[STEPS].kind != SC_A_NONE && attr[STEPS].is[i] == 0)
            return sc_infer_fail(in, SC_E_ATTRIBUTE, "step 0 is not possible");
    }
    return true;
}

static bool infer_slice(ScInfer *in)
{
    const ScType *x = in->in[0];
    const ScTerm *dim[SCRT_MAX_RANK];
    Range r[SCRT_MAX_RANK];
    if (!check_slice(in) || !ranges(in->cx, in, in->attr, x, r))
        return false;
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
    ranges(cx, NULL, n->attr, sc_type_of(g, n->in[0]), r);
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
    int64_t stride[SCRT_MAX_RANK], idx[SCRT_MAX_RANK] = {0}, n = scrt_count(out);
    int64_t first[SCRT_MAX_RANK] = {0}, step[SCRT_MAX_RANK];
    sc_ops_strides(x, x->rank, stride);
    for (uint32_t d = 0; d < x->rank; d++)
        step[d] = 1;
    for (uint32_t i = 0; i < attr[STARTS].n; i++) {
        uint32_t axis = attr[AXES].kind == SC_A_NONE ? i : sc_ops_axis(attr[AXES].is[i], x->rank);
        int64_t start = sc_eval_term(e, attr[STARTS].ts[i]), m = x->dims[axis];
        step[axis] = attr[STEPS].kind == SC_A_NONE ? 1 : attr[STEPS].is[i];
        first[axis] = clamped(start, m, 0, step[axis] < 0 ? m - 1 : m);
    }
    for (int64_t i = 0; i < n; i++, sc_ops_next(out->rank, out->dims, idx)) {
        int64_t from = 0;
        for (uint32_t d = 0; d < x->rank; d++)
            from += (first[d] + idx[d] * step[d]) * stride[d];
        sc_ops_move(out, i, x, from);
    }
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
    const ScTerm **along = sc_array(in->arena, const ScTerm *, in->n_in);
    along[0] = x->dim[axis];
    for (uint32_t i = 1; i < in->n_in; i++) {
        const ScType *t = in->in[i];
        if (t->dtype != x->dtype)
            return sc_infer_fail(in, SC_E_TYPE, "operand %u", i);
        if (t->rank != x->rank)
            return sc_infer_fail(in, SC_E_RANK, "operand %u", i);
        for (uint32_t d = 0; d < x->rank; d++)
            if (d != axis && !sc_holds(in, SC_GUARD_EQUAL, dim[d], t->dim[d],
                                       "extents of operands that lie side by side"))
                return sc_infer_fail(in, SC_E_SHAPE, "operand %u differs at axis %u", i, d);
            else if (d != axis)
                dim[d] = sc_unified(dim[d], t->dim[d]);
        along[i] = t->dim[axis];
    }
    dim[axis] = sc_term_sum(in->cx, in->n_in, along, NULL);
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

/* The mean of the parts' powers by their extents; with one that is not known, the largest. */
static void grow_concat(const ScGrow *g)
{
    uint32_t axis = concat_axis(g->g, g->n);
    double sum = 0, all = 0, leans = 0;
    sc_ops_grow_pick(g);
    int32_t top = g->ret[0];
    for (uint32_t i = 0; i < g->n->n_in; i++) {
        int64_t extent;
        if (!sc_term_const(sc_ops_in(g, i)->dim[axis], &extent))
            return;
        double power = g->in[i] == SC_NO_G || g->in[i] < top - 64 * 256
                           ? 0
                           : (double)extent * sc_ops_exp2(2 * (g->in[i] - top));
        sum += power;
        leans += g->lean[i] * power;
        all += (double)extent;
    }
    if (top == SC_NO_G || sum <= 0)
        return;
    g->ret[0] = top + sc_log2_256(sum / all) / 2;
    g->ret_lean[0] = (uint8_t)(leans / sum + 0.5); /* not the first operand's */
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
    .growth = grow_concat,
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
