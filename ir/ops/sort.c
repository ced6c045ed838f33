/* SPDX-License-Identifier: Apache-2.0 */
/* Selecting and sorting by size. -0 is 0; a NaN is larger than all else, and equal to another. */
#include "ir/ops/ops_priv.h"

#include <stdlib.h>
#include <string.h>

/* --- Order, for evaluation ------------------------------------------------------------------- */

/* -1, 0 or 1: elements i and j of t. */
static int compare(const ScrtTensor *t, int64_t i, int64_t j)
{
    ScrtDtype type = (ScrtDtype)t->dtype;
    if (scrt_dtype_is_float(type)) {
        double x = scrt_load(type, t->data, (size_t)i), y = scrt_load(type, t->data, (size_t)j);
        if (isnan(x) || isnan(y))
            return isnan(x) - isnan(y);
        return (x > y) - (x < y);
    }
    int64_t x = scrt_load_int(type, t->data, (size_t)i),
            y = scrt_load_int(type, t->data, (size_t)j);
    if (scrt_dtype_kind(type) == SCRT_KIND_INT)
        return (x > y) - (x < y);
    return ((uint64_t)x > (uint64_t)y) - ((uint64_t)x < (uint64_t)y);
}

/* A tensor as slices along an axis. */
typedef struct Slices {
    const ScrtTensor *t;
    int64_t n, outer, inner; /* extents: of the axis, before and behind it */
    bool descending;
} Slices;

static Slices slices_of(const ScrtTensor *t, uint32_t axis)
{
    Slices s = {.t = t, .n = t->dims[axis], .outer = 1, .inner = 1};
    for (uint32_t d = 0; d < t->rank; d++)
        if (d != axis)
            *(d < axis ? &s.outer : &s.inner) *= t->dims[d];
    return s;
}

/* --- topk ------------------------------------------------------------------------------------ */

enum { K, AXIS, LARGEST };

static bool infer_topk(ScInfer *in)
{
    const ScType *x = in->in[0];
    const ScTerm *dim[SCRT_MAX_RANK], *k;
    uint32_t axis;
    if (in->attr[K].n != 1)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "`k` must be one term");
    k = in->attr[K].ts[0];
    if (!sc_axis(in, in->attr[AXIS].i, x->rank, &axis) ||
        !sc_require_nonneg(in, k, "how many are wanted") ||
        !sc_require_at_most(in, k, x->dim[axis], "how many are wanted and how many there are"))
        return false;
    for (uint32_t d = 0; d < x->rank; d++)
        dim[d] = d == axis ? k : x->dim[d];
    in->ret[1] = sc_type(in->cx, SCRT_I64, x->rank, dim);
    return sc_ops_result(in, x->dtype, x->rank, dim);
}

/* Picks the best of what is left, k times. */
static bool eval_topk(ScEval *e)
{
    const ScrtTensor *x = e->in[0];
    uint32_t axis = sc_ops_axis(sc_attr(e->n, AXIS)->i, x->rank);
    Slices s = slices_of(x, axis);
    int64_t k = e->out[0].dims[axis];
    int sign = sc_attr(e->n, LARGEST)->i ? 1 : -1;
    bool *taken = sc_calloc((size_t)s.n + 1, sizeof *taken);
    if (k > s.n) {
        free(taken);
        return sc_fail(e->cx, e->n->loc, SC_E_INPUT, "%lld of %lld elements are wanted",
                       (long long)k, (long long)s.n);
    }
    for (int64_t row = 0; row < s.outer * s.inner; row++) {
        int64_t base = row / s.inner * s.n * s.inner + row % s.inner;
        memset(taken, 0, (size_t)s.n);
        for (int64_t i = 0; i < k; i++) {
            int64_t best = -1, to = (row / s.inner * k + i) * s.inner + row % s.inner;
            for (int64_t j = 0; j < s.n; j++)
                if (!taken[j] &&
                    (best < 0 || sign * compare(x, base + j * s.inner, base + best * s.inner) > 0))
                    best = j;
            taken[best] = true;
            sc_ops_move(&e->out[0], to, x, base + best * s.inner);
            scrt_store_int(SCRT_I64, e->out[1].data, (size_t)to, best);
        }
    }
    free(taken);
    return true;
}

static void call_topk(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    ret->callee = SCRT_CALLEE_TOPK;
    ret->param[ret->n_param++] =
        sc_term(g->cx, sc_ops_axis(sc_attr(n, AXIS)->i, sc_type_of(g, n->in[0])->rank));
    ret->param[ret->n_param++] = sc_term(g->cx, sc_attr(n, LARGEST)->i != 0);
    ret->scratch_thread = sc_term_scale(g->cx, sc_attr(n, K)->ts[0], 16);
}

static uint32_t make_topk(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims), axis = sc_ops_pick(r, 0, rank - 1);
    const ScTerm *k = sc_term(b->cx, sc_ops_pick(r, 1, (uint32_t)dims[axis]));
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    sc_node(b, &sc_op_topk, SC_ATTRS(SC_TERMS(1, &k), SC_INT(axis), SC_INT(sc_ops_pick(r, 0, 1))),
            NULL, 1, &x, 2, ret_out);
    return 2;
}

const ScOp sc_op_topk = {
    .name = "topk",
    .doc = "the k largest or smallest elements along an axis, the first of equals first, and their "
           "positions",
    .onnx = {"", "TopK", 1},
    .in = "X: num",
    .out = "Values: num, Indices: int",
    .attr = {{.name = "k", .kind = SC_A_TERMS, .required = true, .doc = "how many, one term"},
             {.name = "axis", .kind = SC_A_INT, .def = SC_INT(-1), .doc = "along which"},
             {.name = "largest", .kind = SC_A_INT, .def = SC_INT(1), .doc = "0: the smallest"}},
    .n_attr = 3,
    .infer = infer_topk,
    .scale = "a -> a, _",
    .top = sc_ops_top_first,
    .lower = {SC_CALL},
    .call = call_topk,
    .eval = eval_topk,
    .domain = {.make = make_topk},
};

/* --- unique ---------------------------------------------------------------------------------- */

enum { U_AXIS, SORTED };
enum { FIRST, INVERSE, COUNTS, COUNT };

static bool infer_unique(ScInfer *in)
{
    const ScType *x = in->in[0];
    uint32_t axis;
    if (!sc_axis(in, in->attr[U_AXIS].i, x->rank, &axis))
        return false;
    for (uint32_t i = FIRST; i <= COUNTS; i++)
        in->ret[i] = sc_type(in->cx, SCRT_I64, 1, &x->dim[axis]);
    in->ret[COUNT] = sc_type(in->cx, SCRT_U64, 0, NULL);
    return true;
}

static int compare_slices(const Slices *s, int64_t a, int64_t b)
{
    for (int64_t i = 0; i < s->outer; i++)
        for (int64_t j = 0; j < s->inner; j++) {
            int c = compare(s->t, (i * s->n + a) * s->inner + j, (i * s->n + b) * s->inner + j);
            if (c)
                return c;
        }
    return 0;
}

/* Equal ones in the order of their places. */
static int by_size(const void *p, const void *q, void *arg)
{
    int64_t a = *(const int64_t *)p, b = *(const int64_t *)q;
    int c = compare_slices(arg, a, b);
    return c ? c : (a > b) - (a < b);
}

static int by_place(const void *p, const void *q)
{
    int64_t a = *(const int64_t *)p, b = *(const int64_t *)q;
    return (a > b) - (a < b);
}

static bool eval_unique(ScEval *e)
{
    Slices s = slices_of(e->in[0], sc_ops_axis(sc_attr(e->n, U_AXIS)->i, e->in[0]->rank));
    int64_t *first = e->out[FIRST].data, *inverse = e->out[INVERSE].data;
    int64_t *counts = e->out[COUNTS].data, n = 0;
    ScArena *a = sc_arena_new();
    int64_t *order = sc_array(a, int64_t, (size_t)s.n + 1);
    for (int64_t i = 0; i < s.n; i++)
        order[i] = i;
    qsort_r(order, (size_t)s.n, sizeof *order, by_size, &s);
    for (int64_t i = 0; i < s.n; i++)
        if (i == 0 || compare_slices(&s, order[i - 1], order[i]) != 0)
            first[n++] = order[i];
    sc_arena_free(a);
    if (!sc_attr(e->n, SORTED)->i)
        qsort(first, (size_t)n, sizeof *first, by_place);
    for (int64_t i = 0; i < s.n; i++)
        for (int64_t k = 0; k < n; k++)
            if (compare_slices(&s, first[k], i) == 0) {
                inverse[i] = k;
                counts[k]++;
            }
    *(uint64_t *)e->out[COUNT].data = (uint64_t)n;
    return true;
}

static void call_unique(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    const ScType *x = sc_type_of(g, n->in[0]);
    uint32_t axis = sc_ops_axis(sc_attr(n, U_AXIS)->i, x->rank);
    ret->callee = SCRT_CALLEE_UNIQUE;
    ret->param[ret->n_param++] = sc_term(g->cx, axis);
    ret->param[ret->n_param++] = sc_term(g->cx, sc_attr(n, SORTED)->i != 0);
    ret->scratch = sc_term_scale(g->cx, x->dim[axis], 16);
}

/* Few different numbers, so that slices are equal. */
static uint32_t make_unique(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims), axis = sc_ops_pick(r, 0, rank - 1);
    ScVal x = sc_op(b, sign, sc_ops_input(b, "x", SCRT_F32, rank, dims));
    sc_node(b, &sc_op_unique, SC_ATTRS(SC_INT(axis), SC_INT(sc_ops_pick(r, 0, 1))), NULL, 1, &x, 4,
            ret_out);
    return 4;
}

const ScOp sc_op_unique = {
    .name = "unique",
    .doc = "slices along an axis that are equal, as groups: where each group begins, the group of "
           "each slice, the size of each, and, one number, how many there are; 0 beyond them",
    .onnx = {"", "Unique", 11},
    .in = "X: num",
    .out = "first: int, inverse: int, counts: int, count: int",
    .attr = {{.name = "axis", .kind = SC_A_INT, .def = SC_INT(0), .doc = "along which"},
             {.name = "sorted",
              .kind = SC_A_INT,
              .def = SC_INT(1),
              .doc = "groups by size; 0: as they first appear"}},
    .n_attr = 2,
    .infer = infer_unique,
    .scale = "a -> _, _, _, _",
    .lower = {SC_CALL},
    .call = call_unique,
    .eval = eval_unique,
    .domain = {.make = make_unique},
};
