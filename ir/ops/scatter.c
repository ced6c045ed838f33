/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of data in which updates replace what indices name, or are combined with it, in the order
 * of the indices. Negative ones count from the end; one outside its axis ends the run. A product is
 * a row of its own, for its updates carry no scale. */
#include "ir/ops/ops_priv.h"
#include "runtime/call.h"

#include <string.h>

enum { DATA, INDICES, UPDATES };
enum { REDUCTION, AXIS }; /* the attributes, of products without the first */

static const char *const name_of[] = {[SCRT_COMBINE_NONE] = "none",
                                      [SCRT_COMBINE_ADD] = "add",
                                      [SCRT_COMBINE_MAX] = "max",
                                      [SCRT_COMBINE_MIN] = "min"};

static bool find_rule(const ScAttr *a, ScrtCombine *ret)
{
    for (uint32_t i = 0; i < sizeof name_of / sizeof *name_of; i++)
        if (name_of[i] && strcmp(a->s, name_of[i]) == 0) {
            *ret = (ScrtCombine)i;
            return true;
        }
    return false;
}

static bool is_product(const ScOp *op)
{
    return sc_attr_index(op, "reduction") < 0;
}

static ScrtCombine rule_of(const ScNode *n)
{
    ScrtCombine ret = SCRT_COMBINE_MUL;
    if (!is_product(n->op))
        find_rule(sc_attr(n, REDUCTION), &ret);
    return ret;
}

static int64_t axis_of(const ScOp *op, const ScAttr *attr)
{
    return attr[is_product(op) ? AXIS - 1 : AXIS].i;
}

/* --- Inference ------------------------------------------------------------------------------- */

static bool check_updates(const ScInfer *in)
{
    ScrtCombine how = SCRT_COMBINE_MUL;
    if (!is_product(in->op) && !find_rule(&in->attr[REDUCTION], &how))
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "reduction \"%s\"", in->attr[REDUCTION].s);
    if (in->in[UPDATES]->dtype != in->in[DATA]->dtype)
        return sc_infer_fail(in, SC_E_TYPE, "the updates must have the type of the data");
    if (in->in[DATA]->dtype == SCRT_STRING && how != SCRT_COMBINE_NONE)
        return sc_infer_fail(in, SC_E_TYPE, "strings are replaced, not combined");
    return true;
}

static bool answer(ScInfer *in)
{
    return sc_ops_result(in, in->in[DATA]->dtype, in->in[DATA]->rank, in->in[DATA]->dim);
}

static bool infer_elements(ScInfer *in)
{
    const ScType *x = in->in[DATA], *index = in->in[INDICES], *y = in->in[UPDATES];
    uint32_t axis;
    if (!check_updates(in))
        return false;
    if (x->rank == 0 || index->rank != x->rank || y->rank != x->rank)
        return sc_infer_fail(in, SC_E_RANK, "ranks must agree, and be at least 1");
    if (!sc_axis(in, axis_of(in->op, in->attr), x->rank, &axis))
        return false;
    for (uint32_t d = 0; d < x->rank; d++) {
        if (!sc_require_equal(in, index->dim[d], y->dim[d], "extents of indices and updates"))
            return false;
        if (d != axis && !sc_require_at_most(in, index->dim[d], x->dim[d],
                                             "extents of the indices and of the data"))
            return false;
    }
    return answer(in);
}

static bool infer_nd(ScInfer *in)
{
    const ScType *x = in->in[DATA], *index = in->in[INDICES], *y = in->in[UPDATES];
    if (!check_updates(in))
        return false;
    /* the ranks say how many positions each index has */
    int64_t depth = (int64_t)index->rank - 1 + x->rank - y->rank;
    if (index->rank == 0 || depth < 0 || depth > x->rank)
        return sc_infer_fail(in, SC_E_RANK, "%lld positions in each index", (long long)depth);
    if (!sc_require_equal(in, index->dim[index->rank - 1], sc_term(in->cx, depth),
                          "the last extent of the indices and the positions that the ranks ask"))
        return false;
    for (uint32_t d = 0; d < y->rank; d++) {
        uint32_t lead = index->rank - 1;
        bool named = d < lead;
        if (!sc_require_equal(in, y->dim[d],
                              named ? index->dim[d] : x->dim[d - lead + (uint32_t)depth],
                              named ? "extents of indices and updates"
                                    : "extents of the updates and of what an index names"))
            return false;
    }
    return answer(in);
}

/* --- Evaluation ------------------------------------------------------------------------------ */

static double combined(ScrtCombine how, double have, double x)
{
    switch (how) {
    case SCRT_COMBINE_ADD:
        return have + x;
    case SCRT_COMBINE_MUL:
        return have * x;
    case SCRT_COMBINE_MAX:
        return x > have || isnan(x) ? x : have;
    default:
        return x < have || isnan(x) ? x : have;
    }
}

static int64_t combined_int(ScrtCombine how, int64_t have, int64_t x, bool sign)
{
    bool more = sign ? x > have : (uint64_t)x > (uint64_t)have;
    switch (how) {
    case SCRT_COMBINE_ADD:
        return (int64_t)((uint64_t)have + (uint64_t)x);
    case SCRT_COMBINE_MUL:
        return (int64_t)((uint64_t)have * (uint64_t)x);
    case SCRT_COMBINE_MAX:
        return more ? x : have;
    default:
        return more ? have : x;
    }
}

static void put(ScEval *e, ScrtCombine how, int64_t to, int64_t from)
{
    ScrtTensor *y = &e->out[0];
    const ScrtTensor *x = e->in[UPDATES];
    if (how == SCRT_COMBINE_NONE) {
        sc_ops_move(y, to, x, from);
    } else if (scrt_dtype_is_float(y->dtype)) {
        double have = scrt_load(y->dtype, y->data, (size_t)to);
        sc_ops_store(y, to, combined(how, have, scrt_load(x->dtype, x->data, (size_t)from)));
    } else {
        bool sign = scrt_dtype_kind(y->dtype) == SCRT_KIND_INT;
        int64_t have = scrt_load_int(y->dtype, y->data, (size_t)to);
        int64_t with = scrt_load_int(x->dtype, x->data, (size_t)from);
        scrt_store_int(y->dtype, y->data, (size_t)to, combined_int(how, have, with, sign));
    }
}

static void copy_data(ScEval *e)
{
    for (int64_t i = 0; i < scrt_count(e->in[DATA]); i++)
        sc_ops_move(&e->out[0], i, e->in[DATA], i);
}

/* Index i, counted from the start of an axis; false after an error. */
static bool read_index(const ScEval *e, int64_t i, int64_t extent, int64_t *ret)
{
    const ScrtTensor *index = e->in[INDICES];
    int64_t at = scrt_load_int(index->dtype, index->data, (size_t)i);
    *ret = at < 0 ? at + extent : at;
    return (*ret >= 0 && *ret < extent) ||
           sc_fail(e->cx, e->n->loc, SC_E_INPUT, "index %lld is outside an axis of %lld",
                   (long long)at, (long long)extent);
}

static bool eval_elements(ScEval *e)
{
    const ScrtTensor *x = e->in[DATA], *index = e->in[INDICES];
    uint32_t axis = sc_ops_axis(axis_of(e->n->op, e->n->attr), x->rank);
    int64_t idx[SCRT_MAX_RANK] = {0}, n = scrt_count(index);
    copy_data(e);
    for (int64_t i = 0; i < n; i++, sc_ops_next(index->rank, index->dims, idx)) {
        int64_t at, to = 0;
        if (!read_index(e, i, x->dims[axis], &at))
            return false;
        for (uint32_t d = 0; d < x->rank; d++)
            to = to * x->dims[d] + (d == axis ? at : idx[d]);
        put(e, rule_of(e->n), to, i);
    }
    return true;
}

static bool eval_nd(ScEval *e)
{
    const ScrtTensor *x = e->in[DATA], *index = e->in[INDICES];
    int64_t depth = index->dims[index->rank - 1], n = 1, inner = 1;
    for (uint32_t d = 0; d + 1 < index->rank; d++)
        n *= index->dims[d];
    for (uint32_t d = (uint32_t)depth; d < x->rank; d++)
        inner *= x->dims[d];
    copy_data(e);
    for (int64_t i = 0; i < n; i++) {
        int64_t at, to = 0;
        for (int64_t d = 0; d < depth; d++) {
            if (!read_index(e, i * depth + d, x->dims[d], &at))
                return false;
            to = to * x->dims[d] + at;
        }
        for (int64_t k = 0; k < inner; k++)
            put(e, rule_of(e->n), to * inner + k, i * inner + k);
    }
    return true;
}

/* --- The call, growth ------------------------------------------------------------------------ */

static void call_elements(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    uint32_t axis = sc_ops_axis(axis_of(n->op, n->attr), sc_type_of(g, n->in[DATA])->rank);
    ret->callee = SCRT_CALLEE_SCATTER_ELEMENTS;
    ret->param[ret->n_param++] = sc_term(g->cx, rule_of(n));
    ret->param[ret->n_param++] = sc_term(g->cx, axis);
    ret->in_place = DATA;
}

static void call_nd(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    ret->callee = SCRT_CALLEE_SCATTER_ND;
    ret->param[ret->n_param++] = sc_term(g->cx, rule_of(n));
    ret->in_place = DATA;
}

static void grow(const ScGrow *g)
{
    if (rule_of(g->n) == SCRT_COMBINE_ADD)
        sc_ops_grow_add(g);
    else
        sc_ops_grow_pick(g);
}

/* Sums may add up any number of updates in one place. */
static void top(const ScTop *t)
{
    if (rule_of(t->n) != SCRT_COMBINE_ADD)
        sc_ops_top_through(t);
}

/* --- Random nodes ---------------------------------------------------------------------------- */

static ScVal draw_indices(ScBuild *b, uint64_t *r, uint32_t rank, const int64_t *dims,
                          uint32_t depth, const int64_t *extent)
{
    int64_t n = 1, pick[1024];
    for (uint32_t d = 0; d < rank; d++)
        n *= dims[d];
    for (int64_t i = 0; i < n; i++) {
        int64_t most = extent[i % depth];
        pick[i] = (int64_t)sc_ops_pick(r, 0, (uint32_t)(2 * most - 1)) - most;
    }
    const void *data = sc_intern_bytes(b->cx, pick, (size_t)n * sizeof *pick);
    return sc_const(b, sc_blob(b->cx, NULL, SCRT_I64, rank, dims, data), SCRT_I64, NULL);
}

static ScVal node(ScBuild *b, uint64_t *r, const ScOp *op, const ScVal *in, int axis)
{
    ScAttr attr[2] = {SC_STR(name_of[SCRT_COMBINE_NONE]), SC_INT(axis)};
    while (!is_product(op) && (attr[0].s = name_of[sc_ops_pick(r, 0, 4)]) == NULL)
        continue;
    return sc_node1(b, op, is_product(op) ? attr + 1 : attr, 3, in);
}

static uint32_t draw_elements(ScBuild *b, uint64_t *r, const ScOp *op, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK], small[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims), axis = sc_ops_pick(r, 0, rank - 1);
    for (uint32_t d = 0; d < rank; d++)
        small[d] = sc_ops_pick(r, 1, (uint32_t)dims[d] + (d == axis ? 2 : 0));
    ScVal in[] = {sc_ops_input(b, "x", SCRT_F32, rank, dims),
                  draw_indices(b, r, rank, small, 1, &dims[axis]),
                  sc_ops_input(b, "u", SCRT_F32, rank, small)};
    ret_out[0] = node(b, r, op, in, (int)axis - (sc_ops_pick(r, 0, 1) ? (int)rank : 0));
    return 1;
}

static uint32_t draw_nd(ScBuild *b, uint64_t *r, const ScOp *op, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK], tuples[3], update[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims), depth = sc_ops_pick(r, 1, rank);
    uint32_t lead = sc_ops_pick(r, 0, 2), n = 0;
    for (uint32_t d = 0; d < lead; d++)
        update[n++] = tuples[d] = sc_ops_pick(r, 1, 3);
    tuples[lead] = depth;
    for (uint32_t d = depth; d < rank; d++)
        update[n++] = dims[d];
    ScVal in[] = {sc_ops_input(b, "x", SCRT_F32, rank, dims),
                  draw_indices(b, r, lead + 1, tuples, depth, dims),
                  sc_ops_input(b, "u", SCRT_F32, n, update)};
    ret_out[0] = node(b, r, op, in, 0);
    return 1;
}

#define DRAW(kind, row)                                                                            \
    static uint32_t make_##row(ScBuild *b, uint64_t *r, ScVal *ret_out)                            \
    {                                                                                              \
        return draw_##kind(b, r, &sc_op_##row, ret_out);                                           \
    }
static const ScTerm *elements_count(const ScGraph *g, const ScNode *n, uint32_t operand)
{
    const ScType *x = sc_type_of(g, n->in[DATA]);
    return operand == INDICES ? x->dim[sc_ops_axis(axis_of(n->op, n->attr), x->rank)] : NULL;
}

DRAW(elements, scatter_elements)
DRAW(elements, scatter_elements_mul)
DRAW(nd, scatter_nd)
DRAW(nd, scatter_nd_mul)

/* --- The rows -------------------------------------------------------------------------------- */

#define OPERANDS .in = "data: any, indices: int, updates: any", .out = "output: any"
#define REDUCTION_ATTR                                                                             \
    {.name = "reduction",                                                                          \
     .kind = SC_A_STR,                                                                             \
     .def = {.kind = SC_A_STR, .s = "none"},                                                       \
     .doc = "what an update does to what is there: none (replaces it), add, max, min"}
#define AXIS_ATTR {.name = "axis", .kind = SC_A_INT, .def = SC_INT(0), .doc = "what indices count"}

const ScOp sc_op_scatter_elements = {
    .name = "scatter_elements",
    .doc = "data with elements, at indices along an axis, replaced by updates or combined with "
           "them, one after another",
    .onnx = {"", "ScatterElements", 11},
    OPERANDS,
    .attr = {REDUCTION_ATTR, AXIS_ATTR},
    .n_attr = 2,
    .flags = SC_ANY_THROUGH,
    .infer = infer_elements,
    .scale = "a..., _, a... -> a",
    .growth = grow,
    .top = top,
    .lower = {SC_CALL},
    .call = call_elements,
    .counts = elements_count,
    .eval = eval_elements,
    .domain = {.make = make_scatter_elements},
};

const ScOp sc_op_scatter_elements_mul = {
    .name = "scatter_elements_mul",
    .doc = "data with elements, at indices along an axis, multiplied by updates",
    OPERANDS,
    .attr = {AXIS_ATTR},
    .n_attr = 1,
    .infer = infer_elements,
    .scale = "a, _, 0 -> a",
    .lower = {SC_CALL},
    .call = call_elements,
    .counts = elements_count,
    .eval = eval_elements,
    .domain = {.make = make_scatter_elements_mul},
};

const ScOp sc_op_scatter_nd = {
    .name = "scatter_nd",
    .doc = "data with slices, that the tuples in the last axis of indices name, replaced by "
           "updates or combined with them, one after another",
    .onnx = {"", "ScatterND", 11},
    OPERANDS,
    .attr = {REDUCTION_ATTR},
    .n_attr = 1,
    .flags = SC_ANY_THROUGH,
    .infer = infer_nd,
    .scale = "a..., _, a... -> a",
    .growth = grow,
    .top = top,
    .lower = {SC_CALL},
    .call = call_nd,
    .eval = eval_nd,
    .domain = {.make = make_scatter_nd},
};

const ScOp sc_op_scatter_nd_mul = {
    .name = "scatter_nd_mul",
    .doc = "data with slices, that the tuples in the last axis of indices name, multiplied by "
           "updates",
    OPERANDS,
    .infer = infer_nd,
    .scale = "a, _, 0 -> a",
    .lower = {SC_CALL},
    .call = call_nd,
    .eval = eval_nd,
    .domain = {.make = make_scatter_nd_mul},
};

/* --- tensor_scatter -------------------------------------------------------------------------- */

enum { T_AXIS, MODE };
enum { CACHE, UPDATE, BEGIN };

static bool circular(const ScAttr *attr)
{
    return strcmp(attr[MODE].s, "circular") == 0;
}

static bool infer_stretch(ScInfer *in)
{
    const ScType *x = in->in[CACHE], *u = in->in[UPDATE], *at = in->in[BEGIN];
    uint32_t axis;
    if (!circular(in->attr) && strcmp(in->attr[MODE].s, "linear") != 0)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "mode \"%s\"", in->attr[MODE].s);
    if (!sc_axis(in, in->attr[T_AXIS].i, x->rank, &axis))
        return false;
    if (axis == 0 || u->rank != x->rank || (at->kind == SC_TYPE_TENSOR && at->rank != 1))
        return sc_infer_fail(in, SC_E_RANK, "axis %u of ranks %u and %u", axis, x->rank, u->rank);
    if (u->dtype != x->dtype)
        return sc_infer_fail(in, SC_E_TYPE, "the update must have the type of the cache");
    for (uint32_t d = 0; d < x->rank; d++)
        if (d != axis &&
            !sc_require_equal(in, x->dim[d], u->dim[d], "extents of the cache and the update"))
            return false;
    if (at->kind == SC_TYPE_TENSOR &&
        !sc_require_equal(in, at->dim[0], x->dim[0], "samples, and where their updates begin"))
        return false;
    return sc_require_at_most(in, u->dim[axis], x->dim[axis], "the update's length, the cache's") &&
           answer(in);
}

static bool eval_stretch(ScEval *e)
{
    const ScrtTensor *x = e->in[CACHE], *u = e->in[UPDATE];
    const ScrtTensor *at = BEGIN < e->n->n_in ? e->in[BEGIN] : NULL;
    uint32_t axis = sc_ops_axis(sc_attr(e->n, T_AXIS)->i, x->rank);
    int64_t idx[SCRT_MAX_RANK] = {0}, stride[SCRT_MAX_RANK], n = scrt_count(u);
    sc_ops_strides(x, x->rank, stride);
    copy_data(e);
    for (int64_t k = 0; at && !circular(e->n->attr) && k < x->dims[0]; k++) {
        int64_t begin = scrt_load_int(at->dtype, at->data, (size_t)k);
        if (begin < 0 || begin > x->dims[axis] - u->dims[axis])
            return sc_fail(e->cx, e->n->loc, SC_E_INPUT, "an update at %lld", (long long)begin);
    }
    for (int64_t i = 0; i < n; i++, sc_ops_next(u->rank, u->dims, idx)) {
        int64_t begin = at ? scrt_load_int(at->dtype, at->data, (size_t)idx[0]) : 0;
        begin = (begin % x->dims[axis] + x->dims[axis]) % x->dims[axis];
        int64_t to = sc_ops_at(x->rank, idx, stride) - idx[axis] * stride[axis];
        sc_ops_move(&e->out[0], to + (begin + idx[axis]) % x->dims[axis] * stride[axis], u, i);
    }
    return true;
}

static void call_stretch(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    ret->callee = SCRT_CALLEE_TENSOR_SCATTER;
    ret->param[ret->n_param++] =
        sc_term(g->cx, sc_ops_axis(sc_attr(n, T_AXIS)->i, sc_type_of(g, n->in[CACHE])->rank));
    ret->param[ret->n_param++] = sc_term(g->cx, circular(n->attr));
    ret->in_place = CACHE;
}

static uint32_t make_tensor_scatter(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK], small[SCRT_MAX_RANK], begin[5];
    uint32_t rank = sc_ops_shape(r, 2, 4, dims), axis = sc_ops_pick(r, 1, rank - 1);
    bool turns = sc_ops_pick(r, 0, 1);
    memcpy(small, dims, sizeof small);
    small[axis] = sc_ops_pick(r, 0, (uint32_t)dims[axis]);
    for (int64_t i = 0; i < dims[0]; i++)
        begin[i] = turns ? (int64_t)sc_ops_pick(r, 0, 20) - 10
                         : sc_ops_pick(r, 0, (uint32_t)(dims[axis] - small[axis]));
    ScVal in[] = {sc_ops_input(b, "x", SCRT_F32, rank, dims),
                  sc_ops_input(b, "u", SCRT_F32, rank, small),
                  sc_ops_pick(r, 0, 3) ? sc_const_i64(b, (uint32_t)dims[0], begin) : SC_ABSENT};
    ret_out[0] = sc_node1(b, &sc_op_tensor_scatter,
                          SC_ATTRS(SC_INT(axis), SC_STR(turns ? "circular" : "linear")), 3, in);
    return 1;
}

const ScOp sc_op_tensor_scatter = {
    .name = "tensor_scatter",
    .doc = "a cache with an update written along an axis from where each sample says",
    .onnx = {"", "TensorScatter", 24},
    .in = "past_cache: any, update: any, write_indices?: int",
    .out = "present_cache: any",
    .attr = {{.name = "axis", .kind = SC_A_INT, .def = SC_INT(-2), .doc = "not the first"},
             {.name = "mode",
              .kind = SC_A_STR,
              .def = {.kind = SC_A_STR, .s = "linear"},
              .doc = "linear; circular: goes on at the start"}},
    .n_attr = 2,
    .flags = SC_ANY_THROUGH,
    .infer = infer_stretch,
    .scale = "a..., a..., _ -> a",
    .growth = sc_ops_grow_pick,
    .lower = {SC_CALL},
    .call = call_stretch,
    .eval = eval_stretch,
    .domain = {.make = make_tensor_scatter},
};
