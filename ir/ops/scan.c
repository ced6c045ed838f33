/* SPDX-License-Identifier: Apache-2.0 */
/* Running sums and products along an axis. */
#include "ir/ops/ops_priv.h"

enum { AXIS, EXCLUSIVE, REVERSE };

static bool infer_scan(ScInfer *in)
{
    uint32_t axis;
    return sc_axis(in, in->attr[AXIS].i, in->in[0]->rank, &axis) && sc_infer_same(in);
}

static void describe(const ScGraph *g, const ScNode *n, ScMonoid monoid, ScScan *ret)
{
    *ret = (ScScan){.monoid = monoid,
                    .axis = sc_ops_axis(sc_attr(n, AXIS)->i, sc_type_of(g, n->in[0])->rank),
                    .exclusive = sc_attr(n, EXCLUSIVE)->i != 0,
                    .reverse = sc_attr(n, REVERSE)->i != 0};
}

static void scan_sum(const ScGraph *g, const ScNode *n, ScScan *ret)
{
    describe(g, n, SC_SUM, ret);
}

static void scan_prod(const ScGraph *g, const ScNode *n, ScScan *ret)
{
    describe(g, n, SC_PROD, ret);
}

/* Floats as doubles in f, integers exactly, as bits, in i. */
typedef struct Running {
    double f;
    uint64_t i;
} Running;

static void step(Running *r, bool product, double x, int64_t i)
{
    r->f = product ? r->f * x : r->f + x;
    r->i = product ? r->i * (uint64_t)i : r->i + (uint64_t)i;
}

static bool eval_scan(ScEval *e, bool product)
{
    const ScrtTensor *x = e->in[0];
    ScArena *a = sc_arena_new();
    bool real = scrt_dtype_is_float(x->dtype);
    double *f = real ? sc_ops_doubles(a, x) : NULL;
    int64_t *v = real ? NULL : sc_ops_ints(a, x);
    uint32_t axis = sc_ops_axis(sc_attr(e->n, AXIS)->i, x->rank);
    bool exclusive = sc_attr(e->n, EXCLUSIVE)->i, reverse = sc_attr(e->n, REVERSE)->i;
    int64_t n = x->dims[axis], rows = scrt_count(x) / (n ? n : 1), inner = 1;
    for (uint32_t d = axis + 1; d < x->rank; d++)
        inner *= x->dims[d];
    for (int64_t row = 0; n && row < rows; row++) {
        Running r = {product, product};
        for (int64_t k = 0; k < n; k++) {
            int64_t at = (row / inner * n + (reverse ? n - 1 - k : k)) * inner + row % inner;
            Running before = r;
            step(&r, product, real ? f[at] : 0, real ? 0 : v[at]);
            const Running *y = exclusive ? &before : &r;
            if (real)
                sc_ops_store(&e->out[0], at, y->f);
            else
                scrt_store_int(x->dtype, e->out[0].data, (size_t)at, (int64_t)y->i);
        }
    }
    sc_arena_free(a);
    return true;
}

static bool eval_cumsum(ScEval *e)
{
    return eval_scan(e, false);
}

static bool eval_cumprod(ScEval *e)
{
    return eval_scan(e, true);
}

/* On average an element is the sum of half of them. */
static void grow_cumsum(const ScGrow *g)
{
    ScScan s;
    ScCount count = {0.5, NULL};
    scan_sum(g->g, g->n, &s);
    sc_ops_count(g->g->cx, &count, sc_ops_in(g, 0)->dim[s.axis]);
    sc_ops_grow(g, count, g->nonneg[0] ? 2 : 1);
}

static void top_cumsum(const ScTop *t)
{
    ScScan s;
    int64_t n;
    scan_sum(t->g, t->n, &s);
    if (t->in[0] != SC_NO_TOP && sc_term_const(sc_type_of(t->g, t->n->in[0])->dim[s.axis], &n))
        t->ret[0] = t->in[0] + sc_log2_256(n > 1 ? (double)n : 1) + 1;
}

static uint32_t make(ScBuild *b, uint64_t *r, const ScOp *op, ScVal *ret_out)
{
    static const ScrtDtype types[] = {SCRT_F32, SCRT_F32, SCRT_I32, SCRT_F64, SCRT_I64};
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 4, dims);
    int64_t axis = (int64_t)sc_ops_pick(r, 0, 2 * rank - 1) - rank;
    int64_t exclusive = sc_ops_pick(r, 0, 1), reverse = sc_ops_pick(r, 0, 1);
    ScVal x = sc_ops_input(b, "x", types[sc_ops_pick(r, 0, 4)], rank, dims);
    ret_out[0] = sc_node1(b, op, SC_ATTRS(SC_INT(axis), SC_INT(exclusive), SC_INT(reverse)), 1, &x);
    return 1;
}

static uint32_t make_cumsum(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    return make(b, r, &sc_op_cumsum, ret_out);
}

static uint32_t make_cumprod(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    return make(b, r, &sc_op_cumprod, ret_out);
}

#define SCAN_ATTRS                                                                                 \
    .attr = {{.name = "axis", .kind = SC_A_INT, .required = true, .doc = "what it runs along"},    \
             {.name = "exclusive",                                                                 \
              .kind = SC_A_INT,                                                                    \
              .def = SC_INT(0),                                                                    \
              .doc = "without the element itself"},                                                \
             {.name = "reverse",                                                                   \
              .kind = SC_A_INT,                                                                    \
              .def = SC_INT(0),                                                                    \
              .doc = "from the last to the first"}},                                               \
    .n_attr = 3

const ScOp sc_op_cumsum = {
    .name = "cumsum",
    .doc = "the running sum along an axis",
    .in = "x: num",
    .out = "y: num",
    SCAN_ATTRS,
    .flags = SC_SUMS,
    .infer = infer_scan,
    .scale = "a -> a",
    .top = top_cumsum,
    .growth = grow_cumsum,
    .lower = {SC_SCAN},
    .scan = scan_sum,
    .eval = eval_cumsum,
    .domain = {.make = make_cumsum},
};

const ScOp sc_op_cumprod = {
    .name = "cumprod",
    .doc = "the running product along an axis",
    .in = "x: num",
    .out = "y: num",
    SCAN_ATTRS,
    .infer = infer_scan,
    .scale = "0 -> 0",
    .lower = {SC_SCAN},
    .scan = scan_prod,
    .eval = eval_cumprod,
    .domain = {.make = make_cumprod},
};
