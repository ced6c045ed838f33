/* SPDX-License-Identifier: Apache-2.0 */
/* Comparisons, choices and bounds. A comparison brings its operands to one exponent and carries no
 * scale itself. */
#include "ir/ops/ops_priv.h"

/* --- Comparisons ----------------------------------------------------------------------------- */

/* Exporters ask of extents whether they are -1, to keep them: what ranges decide is known. */
static const ScTerm *truth(ScCtx *cx, bool known, bool value)
{
    return known ? sc_term(cx, value) : NULL;
}

static const ScTerm *equal_term(ScCtx *cx, const ScTerm *const *x)
{
    ScRange r = sc_term_range(cx, sc_term_sub(cx, x[0], x[1]));
    bool same = x[0] == x[1];
    return truth(cx, same || r.lo > 0 || r.hi < 0, same);
}

static const ScTerm *less_term(ScCtx *cx, const ScTerm *const *x)
{
    ScRange r = sc_term_range(cx, sc_term_sub(cx, x[1], x[0]));
    return truth(cx, r.lo > 0 || r.hi <= 0, r.lo > 0);
}

static const ScTerm *less_or_equal_term(ScCtx *cx, const ScTerm *const *x)
{
    ScRange r = sc_term_range(cx, sc_term_sub(cx, x[1], x[0]));
    return truth(cx, r.lo >= 0 || r.hi < 0, r.lo >= 0);
}

static const ScTerm *greater_term(ScCtx *cx, const ScTerm *const *x)
{
    return less_term(cx, (const ScTerm *[]){x[1], x[0]});
}

static const ScTerm *greater_or_equal_term(ScCtx *cx, const ScTerm *const *x)
{
    return less_or_equal_term(cx, (const ScTerm *[]){x[1], x[0]});
}

#define INFER(row)                                                                                 \
    static bool infer_##row(ScInfer *in)                                                           \
    {                                                                                              \
        return sc_infer_compare(in) && sc_ops_content(in, row##_term);                             \
    }
INFER(equal)
INFER(less)
INFER(less_or_equal)
INFER(greater)
INFER(greater_or_equal)

static double equal_float(const ScEval *e, const double *x)
{
    (void)e;
    return x[0] == x[1];
}

static int64_t equal_int(const ScEval *e, const int64_t *x)
{
    (void)e;
    return x[0] == x[1];
}

static bool eval_equal(ScEval *e)
{
    return sc_ops_map(e, equal_float, equal_int);
}

static void body_equal(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ret_out[0] = SC_X2(b, EQ, in[0], in[1]);
}

/* Compared with 0, 1, 2, ... an integer chooses one of them: a one-hot written out. */
static const ScTerm *equal_counts(const ScGraph *g, const ScNode *n, uint32_t operand)
{
    const ScNode *def = sc_def(g, n->in[1 - operand]);
    const ScBlob *b = def && def->op->flags & SC_CONST_OP ? def->attr[0].blob : NULL;
    if (!b || !b->data || b->count < 3 || !scrt_dtype_is_integer(b->dtype))
        return NULL;
    for (size_t i = 0; i < b->count; i++)
        if (scrt_load_int(b->dtype, b->data, i) != (int64_t)i)
            return NULL;
    return sc_term(g->cx, (int64_t)b->count);
}

const ScOp sc_op_equal = {
    .name = "equal",
    .doc = "whether a = b",
    .onnx = {"", "Equal", 7},
    .in = "A: plain, B: plain",
    .out = "C: bool",
    .flags = SC_COMMUTES,
    .infer = infer_equal,
    .scale = "a... -> _",
    .lower = {SC_MAP, body_equal},
    .counts = equal_counts,
    .eval = eval_equal,
};

static double less_float(const ScEval *e, const double *x)
{
    (void)e;
    return x[0] < x[1];
}

static int64_t less_int(const ScEval *e, const int64_t *x)
{
    bool no_sign = scrt_dtype_kind(e->in[0]->dtype) == SCRT_KIND_UINT;
    return no_sign ? (uint64_t)x[0] < (uint64_t)x[1] : x[0] < x[1];
}

static bool eval_less(ScEval *e)
{
    return sc_ops_map(e, less_float, less_int);
}

static void body_less(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ret_out[0] = SC_X2(b, LT, in[0], in[1]);
}

const ScOp sc_op_less = {
    .name = "less",
    .doc = "whether a < b",
    .onnx = {"", "Less", 7},
    .in = "A: num, B: num",
    .out = "C: bool",
    .infer = infer_less,
    .scale = "a... -> _",
    .lower = {SC_MAP, body_less},
    .eval = eval_less,
};

static double less_or_equal_float(const ScEval *e, const double *x)
{
    (void)e;
    return x[0] <= x[1];
}

static int64_t less_or_equal_int(const ScEval *e, const int64_t *x)
{
    return !less_int(e, (int64_t[]){x[1], x[0]});
}

static bool eval_less_or_equal(ScEval *e)
{
    return sc_ops_map(e, less_or_equal_float, less_or_equal_int);
}

static void body_less_or_equal(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ret_out[0] = SC_X2(b, LE, in[0], in[1]);
}

const ScOp sc_op_less_or_equal = {
    .name = "less_or_equal",
    .doc = "whether a <= b",
    .onnx = {"", "LessOrEqual", 12},
    .in = "A: num, B: num",
    .out = "C: bool",
    .infer = infer_less_or_equal,
    .scale = "a... -> _",
    .lower = {SC_MAP, body_less_or_equal},
    .eval = eval_less_or_equal,
};

static double greater_float(const ScEval *e, const double *x)
{
    (void)e;
    return x[0] > x[1];
}

static int64_t greater_int(const ScEval *e, const int64_t *x)
{
    return less_int(e, (int64_t[]){x[1], x[0]});
}

static bool eval_greater(ScEval *e)
{
    return sc_ops_map(e, greater_float, greater_int);
}

static void body_greater(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ret_out[0] = SC_X2(b, LT, in[1], in[0]);
}

const ScOp sc_op_greater = {
    .name = "greater",
    .doc = "whether a > b",
    .onnx = {"", "Greater", 7},
    .in = "A: num, B: num",
    .out = "C: bool",
    .infer = infer_greater,
    .scale = "a... -> _",
    .lower = {SC_MAP, body_greater},
    .eval = eval_greater,
};

static double greater_or_equal_float(const ScEval *e, const double *x)
{
    (void)e;
    return x[0] >= x[1];
}

static int64_t greater_or_equal_int(const ScEval *e, const int64_t *x)
{
    return !less_int(e, x);
}

static bool eval_greater_or_equal(ScEval *e)
{
    return sc_ops_map(e, greater_or_equal_float, greater_or_equal_int);
}

static void body_greater_or_equal(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ret_out[0] = SC_X2(b, LE, in[1], in[0]);
}

const ScOp sc_op_greater_or_equal = {
    .name = "greater_or_equal",
    .doc = "whether a >= b",
    .onnx = {"", "GreaterOrEqual", 12},
    .in = "A: num, B: num",
    .out = "C: bool",
    .infer = infer_greater_or_equal,
    .scale = "a... -> _",
    .lower = {SC_MAP, body_greater_or_equal},
    .eval = eval_greater_or_equal,
};

/* --- Choice ---------------------------------------------------------------------------------- */

static const ScTerm *where_term(ScCtx *cx, const ScTerm *const *x)
{
    int64_t holds;
    (void)cx;
    if (x[1] == x[2])
        return x[1];
    return sc_term_const(x[0], &holds) ? x[holds ? 1 : 2] : NULL;
}

static bool infer_where(ScInfer *in)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t rank;
    if (in->in[1]->dtype != in->in[2]->dtype)
        return sc_infer_fail(in, SC_E_TYPE, "X and Y must agree");
    if (!sc_broadcast(in, in->in[1], in->in[2], &rank, dim))
        return false;
    const ScType *both = sc_type(in->cx, in->in[1]->dtype, rank, dim);
    return sc_broadcast(in, in->in[0], both, &rank, dim) &&
           sc_ops_result(in, both->dtype, rank, dim) && sc_ops_content(in, where_term);
}

static bool eval_where(ScEval *e)
{
    ScrtTensor *y = &e->out[0];
    int64_t stride[3][SCRT_MAX_RANK], idx[SCRT_MAX_RANK] = {0}, n = scrt_count(y);
    for (uint32_t i = 0; i < 3; i++)
        sc_ops_strides(e->in[i], y->rank, stride[i]);
    for (int64_t i = 0; i < n; i++, sc_ops_next(y->rank, y->dims, idx)) {
        int64_t at = sc_ops_at(y->rank, idx, stride[0]);
        uint32_t from = scrt_load_int(SCRT_BOOL, e->in[0]->data, (size_t)at) ? 1 : 2;
        sc_ops_move(y, i, e->in[from], sc_ops_at(y->rank, idx, stride[from]));
    }
    return true;
}

static void body_where(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ret_out[0] = SC_SELECT(b, in[0], in[1], in[2]);
}

/* As large as the larger operand; what leans to one side leans by the share of its power. */
static void grow_where(const ScGrow *g)
{
    double sum = 0, leans = 0;
    sc_ops_grow_pick(g);
    for (uint32_t i = 1; i < 3; i++) {
        if (g->in[i] == SC_NO_G || g->in[i] < g->ret[0] - 64 * 256)
            continue;
        double power = sc_ops_exp2(2 * (g->in[i] - g->ret[0]));
        sum += power;
        leans += g->lean[i] * power;
    }
    g->ret_lean[0] = sum > 0 ? (uint8_t)(leans / sum + 0.5) : 0; /* not the condition's */
}

const ScOp sc_op_where = {
    .name = "where",
    .doc = "x where the condition holds, else y",
    .onnx = {"", "Where", 9},
    .in = "condition: bool, X: any, Y: any",
    .out = "output: any",
    .flags = SC_ANY_THROUGH | SC_ANY_SINGLE | SC_PASSES_CONVEX,
    .infer = infer_where,
    .scale = "_, a... -> a",
    .growth = grow_where,
    .lower = {SC_MAP, body_where},
    .eval = eval_where,
};

/* --- Bounds ---------------------------------------------------------------------------------- */

static bool infer_clip(ScInfer *in)
{
    in->ret[0] = in->in[0];
    for (uint32_t i = 1; i < in->n_in; i++) {
        if (in->in[i]->kind == SC_TYPE_ABSENT)
            continue;
        if (in->in[i]->dtype != in->in[0]->dtype)
            return sc_infer_fail(in, SC_E_TYPE, "the bounds must have the type of the input");
        if (!sc_ops_repeats_to_result(in, i))
            return false;
    }
    return true;
}

/* First the lower bound, then the upper: where they are crossed the upper one wins. */
static double clip_float(const ScEval *e, const double *x)
{
    double y = x[0];
    if (e->n->n_in > 1 && e->in[1] && y < x[1])
        y = x[1];
    if (e->n->n_in > 2 && e->in[2] && y > x[2])
        y = x[2];
    return y;
}

static int64_t clip_int(const ScEval *e, const int64_t *x)
{
    int64_t y = x[0];
    if (e->n->n_in > 1 && e->in[1] && less_int(e, (int64_t[]){y, x[1]}))
        y = x[1];
    if (e->n->n_in > 2 && e->in[2] && less_int(e, (int64_t[]){x[2], y}))
        y = x[2];
    return y;
}

static bool eval_clip(ScEval *e)
{
    return sc_ops_map(e, clip_float, clip_int);
}

static void body_clip(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    ScX y = in[0];
    if (n->n_in > 1 && n->in[1] != SC_ABSENT)
        y = SC_SELECT(b, SC_X2(b, LT, y, in[1]), in[1], y);
    if (n->n_in > 2 && n->in[2] != SC_ABSENT)
        y = SC_SELECT(b, SC_X2(b, LT, in[2], y), in[2], y);
    ret_out[0] = y;
}

/* Bounded below by 0, as relu6 is, it rectifies. */
static void grow_clip(const ScGrow *g)
{
    if (g->n->n_in > 1 && g->n->in[1] != SC_ABSENT && g->nonneg[1])
        sc_ops_grow_relu(g);
}

/* Between two bounds nothing is larger than both; without a lower one that holds of x >= 0. */
static void top_clip(const ScTop *t)
{
    int32_t lo = t->n->n_in > 1 && t->n->in[1] != SC_ABSENT ? t->in[1] : SC_NO_TOP;
    int32_t hi = t->n->n_in > 2 && t->n->in[2] != SC_ABSENT ? t->in[2] : SC_NO_TOP;
    if (lo == SC_NO_TOP && hi != SC_NO_TOP && t->nonneg[0] && t->nonneg[2] &&
        t->n->in[1] == SC_ABSENT)
        lo = hi;
    t->ret[0] = lo > hi ? lo : hi;
}

const ScOp sc_op_clip = {
    .name = "clip",
    .doc = "x bounded below and above; without a bound there is none",
    .onnx = {"", "Clip", 11},
    .in = "input: num, min?: num, max?: num",
    .out = "output: num",
    .flags = SC_ANY_SINGLE,
    .infer = infer_clip,
    .scale = "a, a, a -> a",
    .growth = grow_clip,
    .top = top_clip,
    .lower = {SC_MAP, body_clip},
    .eval = eval_clip,
};
