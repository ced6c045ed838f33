/* SPDX-License-Identifier: Apache-2.0 */
/* What changes how a number is stored and not which number it is: cast and rebalance. */
#include "ir/ops/ops_priv.h"

#include <float.h>

/* --- cast ------------------------------------------------------------------------------------ */

enum { TO, SATURATE, ROUND_MODE };

static const ScTerm *truth_term(ScCtx *cx, const ScTerm *const *x)
{
    ScRange r = sc_term_range(cx, x[0]);
    return r.lo > 0 || r.hi < 0 || sc_term_is(x[0], 0) ? sc_term(cx, !sc_term_is(x[0], 0)) : NULL;
}

static const ScTerm *same_term(ScCtx *cx, const ScTerm *const *x)
{
    (void)cx;
    return x[0];
}

static bool infer_cast(ScInfer *in)
{
    if (in->attr[TO].dtype == SCRT_STRING)
        return sc_infer_fail(in, SC_E_TYPE, "numbers become strings by `format`");
    if (in->attr[ROUND_MODE].i < SCRT_NEAREST || in->attr[ROUND_MODE].i > SCRT_DOWN)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "round_mode %lld is not 0, 1 or 2",
                             (long long)in->attr[ROUND_MODE].i);
    in->ret[0] = sc_type_with(in->cx, in->in[0], in->attr[TO].dtype);
    bool to_bool = in->attr[TO].dtype == SCRT_BOOL && in->in[0]->dtype != SCRT_BOOL;
    return sc_ops_content(in, to_bool ? truth_term : same_term);
}

static bool eval_cast(ScEval *e)
{
    const ScAttr *a = e->n->attr;
    bool saturate = a[SATURATE].i != 0 && scrt_dtype_is_low((ScrtDtype)e->out[0].dtype);
    scrt_convert((size_t)scrt_count(e->in[0]), e->out[0].dtype, e->out[0].data, e->in[0]->dtype,
                 e->in[0]->data, saturate, (ScrtRound)a[ROUND_MODE].i);
    return true;
}

/* A whole number modulo 2^bits, exactly: each step is, for the result has no more bits than x. What
 * is not finite becomes NaN on the way, and 0. */
static ScX wrapped(ScBody *b, ScX whole, int bits, bool has_sign)
{
    ScX size = sc_x_const(b, ldexp(1, bits));
    ScX turns = SC_X1(b, FLOOR, SC_X2(b, MUL, whole, sc_x_const(b, ldexp(1, -bits))));
    ScX low = SC_X2(b, SUB, whole, SC_X2(b, MUL, turns, size));
    if (has_sign) {
        ScX fits = SC_X2(b, LT, low, sc_x_const(b, ldexp(1, bits - 1)));
        low = SC_SELECT(b, fits, low, SC_X2(b, SUB, low, size));
    }
    return SC_X1(b, TOINT, SC_SELECT(b, SC_X2(b, EQ, low, low), low, sc_x_const(b, 0)));
}

/* Beyond the range of the type its limits; NaN gives 0. A limit that the float cannot hold is
 * replaced by comparing with the power of two beyond it. */
static ScX saturated(ScBody *b, ScX whole, int bits, bool has_sign)
{
    int room = has_sign ? bits - 1 : bits;
    double beyond = ldexp(1, room), least = has_sign ? -beyond : 0;
    int64_t top = (int64_t)(UINT64_MAX >> (64 - room));
    ScX zero = sc_x_const(b, 0);
    ScX high = SC_X2(b, LE, sc_x_const(b, beyond), whole);
    ScX inside = SC_X2(b, AND, SC_X2(b, LE, sc_x_const(b, least), whole), SC_X1(b, NOT, high));
    ScX low = SC_SELECT(b, SC_X2(b, LT, whole, zero), sc_x_int(b, has_sign ? -top - 1 : 0),
                        sc_x_int(b, 0));
    ScX number = SC_X1(b, TOINT, SC_SELECT(b, inside, whole, zero));
    ScX bounded = SC_SELECT(b, high, sc_x_int(b, top), low); /* NaN compares false: 0 */
    return SC_SELECT(b, inside, number, bounded);
}

/* Toward zero; what is out of range as scrt_store has it. */
static ScX to_integer(ScBody *b, ScX x, ScrtDtype to)
{
    bool has_sign = scrt_dtype_kind(to) == SCRT_KIND_INT;
    int bits = (int)scrt_dtype_bits(to);
    ScX negative = SC_X2(b, LT, x, sc_x_const(b, 0));
    ScX whole = SC_SELECT(b, negative, SC_X1(b, CEIL, x), SC_X1(b, FLOOR, x));
    return bits < 32 ? wrapped(b, whole, bits, has_sign) : saturated(b, whole, bits, has_sign);
}

/* Between floats the conversion is that of loads and stores, and so it is between integers. */
static void body_cast(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    ScrtDtype to = sc_attr(n, TO)->dtype;
    ScXType from = (ScXType)b->ins[in[0]].type;
    if (to == SCRT_BOOL && from == SC_XF)
        ret_out[0] = SC_X1(b, NOT, SC_X2(b, EQ, in[0], sc_x_const(b, 0)));
    else if (to == SCRT_BOOL && from == SC_XI)
        ret_out[0] = SC_X1(b, NOT, SC_X2(b, EQ, in[0], sc_x_int(b, 0)));
    else if (scrt_dtype_is_float(to) && from != SC_XF)
        ret_out[0] = SC_X1(b, TOFLOAT, in[0]);
    else if (!scrt_dtype_is_float(to) && from == SC_XF)
        ret_out[0] = to_integer(b, in[0], to);
    else if (to != SCRT_BOOL && from == SC_XB)
        ret_out[0] = SC_SELECT(b, in[0], sc_x_int(b, 1), sc_x_int(b, 0));
    else
        ret_out[0] = in[0];
}

/* Of integers and bools the estimate is that of numbers about 1. */
static void grow_cast(const ScGrow *g)
{
    if (!sc_type_is_float(sc_ops_in(g, 0)))
        g->ret[0] = 0;
}

/* Of bools and small integers the type says it. */
static void top_cast(const ScTop *t)
{
    const ScType *x = sc_type_of(t->g, t->n->in[0]);
    uint32_t bits = x->dtype == SCRT_BOOL ? 0 : scrt_dtype_bits(x->dtype);
    if (sc_type_is_float(x))
        t->ret[0] = t->in[0];
    else if (bits <= 16)
        t->ret[0] = 256 * (int32_t)bits;
}

static uint32_t make_cast(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const ScrtDtype to[] = {SCRT_F16, SCRT_BF16, SCRT_F8E4M3FN, SCRT_F8E5M2,
                                   SCRT_F32, SCRT_I8,   SCRT_U16,      SCRT_U32};
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    ret_out[0] = sc_op_at(b, cast, SC_ATTRS(SC_DT(to[sc_ops_pick(r, 0, 7)])), x);
    return 1;
}

/* clang-format off */
#define CAST_ATTRS                                                                                 \
    SC_OPS_TO,                                                                                     \
    {.name = "saturate", .kind = SC_A_INT, .def = SC_INT(1),                                       \
     .doc = "to 8 bits or fewer: the largest number where it would be beyond"},                    \
    {.name = "round_mode", .kind = SC_A_INT, .def = SC_INT(SCRT_NEAREST),                          \
     .doc = "to f8e8m0: 0 nearest, 1 up, 2 down"}
/* clang-format on */

const ScOp sc_op_cast = {
    .name = "cast",
    .doc = "x in another element type; integers truncate, out of range as scrt_store says",
    .onnx = {"", "Cast", 6},
    .in = "input: plain",
    .out = "output: plain",
    .attr = {CAST_ATTRS},
    .n_attr = 3,
    .flags = SC_ANY_THROUGH | SC_PASSES_CONVEX | SC_CONVERTS,
    .infer = infer_cast,
    .scale = "a -> a",
    .growth = grow_cast,
    .top = top_cast,
    .lower = {SC_MAP, body_cast},
    .packs = &sc_op_convert,
    .eval = eval_cast,
    .domain = {.make = make_cast},
};

static void call_convert(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    bool low = scrt_dtype_is_low(sc_attr(n, TO)->dtype);
    ret->callee = SCRT_CALLEE_CONVERT;
    ret->n_param = 2;
    ret->param[0] = sc_term(g->cx, low && sc_attr(n, SATURATE)->i != 0);
    ret->param[1] = sc_term(g->cx, sc_attr(n, ROUND_MODE)->i);
}

static uint32_t make_convert(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const ScrtDtype to[] = {SCRT_I4, SCRT_U4, SCRT_I2, SCRT_U2, SCRT_F16, SCRT_F8E5M2};
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ScVal x = sc_ops_input(b, "x", SCRT_F32, rank, dims);
    ret_out[0] = sc_op_at(b, convert, SC_ATTRS(SC_DT(to[sc_ops_pick(r, 0, 5)])), x);
    return 1;
}

const ScOp sc_op_convert = {
    .name = "convert",
    .doc = "cast by a function, which packs and unpacks elements of fewer than 8 bits",
    .in = "input: plain",
    .out = "output: plain",
    .attr = {CAST_ATTRS},
    .n_attr = 3,
    .flags = SC_ANY_THROUGH | SC_PASSES_CONVEX,
    .infer = infer_cast,
    .scale = "a -> a",
    .growth = grow_cast,
    .top = top_cast,
    .lower = {SC_CALL},
    .call = call_convert,
    .packs = &sc_op_convert,
    .eval = eval_cast,
    .domain = {.make = make_convert},
};

/* --- rebalance ------------------------------------------------------------------------------- */

enum { R_TO, R_SATURATE };

static bool infer_rebalance(ScInfer *in)
{
    if (in->attr[R_TO].n != 1)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "`to` must be one term");
    return sc_infer_same(in);
}

static bool eval_rebalance(ScEval *e)
{
    const ScrtTensor *x = e->in[0];
    int64_t shift = e->exp_in[0] - sc_eval_term(e, sc_attr(e->n, R_TO)->ts[0]);
    int by = (int)(shift < -10000 ? -10000 : shift > 10000 ? 10000 : shift);
    bool saturate = sc_attr(e->n, R_SATURATE)->i != 0 || scrt_dtype_is_low(x->dtype);
    size_t n = (size_t)scrt_count(x);
    double top = scrt_format(x->dtype)->max;
    for (size_t i = 0; i < n; i++) {
        double v = scrt_load(x->dtype, x->data, i), y = ldexp(v, by);
        if (saturate && isfinite(v) && fabs(y) > top)
            y = copysign(top, y);
        scrt_store(x->dtype, e->out[0].data, i, y, saturate && isfinite(v));
    }
    return true;
}

/* Data times 2^(exponent of x - to). */
static void body_rebalance(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    const ScTerm *from = b->g->value[n->in[0]].exp, *to = sc_attr(n, R_TO)->ts[0];
    ScX y = sc_x_ldexp(b, in[0], sc_x_term(b, sc_term_sub(b->g->cx, from, to)));
    if (sc_attr(n, R_SATURATE)->i) {
        ScX most = sc_x_const(b, b->compute == SCRT_F64 ? DBL_MAX : (double)FLT_MAX);
        ScX top = sc_x_const(b, scrt_format(b->g->value[n->first].type->dtype)->max);
        ScX bounded = SC_X2(b, MAX, SC_X2(b, MIN, y, top), SC_X1(b, NEG, top));
        ScX finite = SC_X2(b, LE, SC_X1(b, ABS, in[0]), most); /* an infinite mask stays as it is */
        y = SC_SELECT(b, finite, bounded, y);
    }
    ret_out[0] = y;
}

const ScOp sc_op_rebalance = {
    .name = "rebalance",
    .doc = "the same numbers with exponent `to`: data times 2^(exponent of x - to)",
    .in = "x: float",
    .out = "y: float",
    .attr =
        {
            {.name = "to",
             .kind = SC_A_TERMS,
             .required = true,
             .doc = "the exponent, one term",
             .text = SC_TEXT_OPERAND},
            {.name = "saturate",
             .kind = SC_A_INT,
             .def = SC_INT(0),
             .doc = "finite data stays finite"},
        },
    .n_attr = 2,
    .flags = SC_REBALANCES | SC_ANY_THROUGH | SC_PASSES_CONVEX,
    .infer = infer_rebalance,
    .scale = "a -> a",
    .lower = {SC_MAP, body_rebalance},
    .eval = eval_rebalance,
};
