/* SPDX-License-Identifier: Apache-2.0 */
/* Integers as bits, and remainders. They carry no scale, but for the remainder of floats. */
#include "ir/ops/ops_priv.h"

#include <string.h>

/* --- Bit by bit ------------------------------------------------------------------------------ */

#define BITWISE(row, instruction, expression, meaning, type)                                       \
    static void body_##row(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)                \
    {                                                                                              \
        (void)n;                                                                                   \
        ret_out[0] = SC_X2(b, instruction, in[0], in[1]);                                          \
    }                                                                                              \
    static int64_t value_##row(const ScEval *e, const int64_t *x)                                  \
    {                                                                                              \
        (void)e;                                                                                   \
        return (expression);                                                                       \
    }                                                                                              \
    static bool eval_##row(ScEval *e)                                                              \
    {                                                                                              \
        return sc_ops_map(e, NULL, value_##row);                                                   \
    }                                                                                              \
    const ScOp sc_op_##row = {                                                                     \
        .name = #row,                                                                              \
        .doc = meaning,                                                                            \
        .onnx = {"", type, 18},                                                                    \
        .in = "A: int, B: int",                                                                    \
        .out = "C: int",                                                                           \
        .flags = SC_COMMUTES,                                                                      \
        .infer = sc_infer_broadcast,                                                               \
        .lower = {SC_MAP, body_##row},                                                             \
        .eval = eval_##row,                                                                        \
    };

BITWISE(bitwise_and, AND, x[0] & x[1], "the bits that both have", "BitwiseAnd")
BITWISE(bitwise_or, OR, x[0] | x[1], "the bits that one has", "BitwiseOr")
BITWISE(bitwise_xor, XOR, x[0] ^ x[1], "the bits that exactly one has", "BitwiseXor")

static void body_bitwise_not(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ret_out[0] = SC_X1(b, NOT, in[0]);
}

static int64_t value_bitwise_not(const ScEval *e, const int64_t *x)
{
    (void)e;
    return ~x[0];
}

static bool eval_bitwise_not(ScEval *e)
{
    return sc_ops_map(e, NULL, value_bitwise_not);
}

const ScOp sc_op_bitwise_not = {
    .name = "bitwise_not",
    .doc = "the bits that x has not",
    .onnx = {"", "BitwiseNot", 18},
    .in = "X: int",
    .out = "Y: int",
    .infer = sc_infer_same,
    .lower = {SC_MAP, body_bitwise_not},
    .eval = eval_bitwise_not,
};

/* --- bit_shift ------------------------------------------------------------------------------- */

enum { DIRECTION };

static bool to_left(const ScAttr *a)
{
    return !strcmp(a->s, "LEFT");
}

static bool infer_bit_shift(ScInfer *in)
{
    const ScAttr *direction = &in->attr[DIRECTION];
    if (!to_left(direction) && strcmp(direction->s, "RIGHT"))
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "direction is \"%s\", not LEFT or RIGHT",
                             direction->s);
    for (uint32_t i = 0; i < 2; i++)
        if (scrt_dtype_kind(in->in[i]->dtype) != SCRT_KIND_UINT)
            return sc_infer_fail(in, SC_E_TYPE, "only unsigned integers are shifted");
    return sc_infer_broadcast(in);
}

/* As many bits as the type has, or more, leave none. */
static int64_t value_bit_shift(const ScEval *e, const int64_t *x)
{
    uint64_t bits = scrt_dtype_bits(e->in[0]->dtype), by = (uint64_t)x[1], v = (uint64_t)x[0];
    if (by >= bits)
        return 0;
    return (int64_t)(to_left(sc_attr(e->n, DIRECTION)) ? v << by : v >> by);
}

static bool eval_bit_shift(ScEval *e)
{
    return sc_ops_map(e, NULL, value_bit_shift);
}

static void body_bit_shift(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    ScX most = sc_x_int(b, (int64_t)scrt_dtype_bits(b->compute) - 1);
    ScX fits = SC_X2(b, LE, in[1], most), by = SC_SELECT(b, fits, in[1], most);
    ScX y = to_left(sc_attr(n, DIRECTION)) ? SC_X2(b, SHL, in[0], by) : SC_X2(b, SHR, in[0], by);
    ret_out[0] = SC_SELECT(b, fits, y, sc_x_int(b, 0));
}

static uint32_t make_bit_shift(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const ScrtDtype type[] = {SCRT_U8, SCRT_U16, SCRT_U32, SCRT_U64};
    ScrtDtype t = type[sc_ops_pick(r, 0, 3)];
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ScVal x = sc_ops_input(b, "x", t, rank, dims), y = sc_ops_input(b, "y", t, rank, dims);
    const char *way = sc_intern(b->cx, sc_ops_pick(r, 0, 1) ? "LEFT" : "RIGHT");
    ret_out[0] = sc_op_at(b, bit_shift, SC_ATTRS(SC_STR(way)), x, y);
    return 1;
}

const ScOp sc_op_bit_shift = {
    .name = "bit_shift",
    .doc = "x shifted by y bits, zeros coming in",
    .onnx = {"", "BitShift", 11},
    .in = "X: int, Y: int",
    .out = "Z: int",
    .attr = {{.name = "direction", .kind = SC_A_STR, .required = true, .doc = "LEFT or RIGHT"}},
    .n_attr = 1,
    .infer = infer_bit_shift,
    .lower = {SC_MAP, body_bit_shift},
    .eval = eval_bit_shift,
    .domain = {.make = make_bit_shift},
};

/* --- bit_cast -------------------------------------------------------------------------------- */

enum { TO };

/* Bodies hold narrow floats as f32, which have other bits: only f32 and f64 are seen as integers.
 */
static bool infer_bit_cast(ScInfer *in)
{
    ScrtDtype from = in->in[0]->dtype, to = in->attr[TO].dtype;
    bool wide = scrt_dtype_bits(from) >= 32;
    if (scrt_dtype_bits(from) != scrt_dtype_bits(to) || to == SCRT_STRING)
        return sc_infer_fail(in, SC_E_TYPE, "%s has not as many bits as %s", scrt_dtype_name(from),
                             scrt_dtype_name(to));
    if (from != to && !wide && (scrt_dtype_is_float(from) || scrt_dtype_is_float(to)))
        return sc_infer_fail(in, SC_E_UNSUPPORTED, "the bits of %s as %s", scrt_dtype_name(from),
                             scrt_dtype_name(to));
    in->ret[0] = sc_type_with(in->cx, in->in[0], to);
    return true;
}

static bool eval_bit_cast(ScEval *e)
{
    size_t bytes;
    if (scrt_tensor_bytes(e->in[0], &bytes))
        memcpy(e->out[0].data, e->in[0]->data, bytes);
    return true;
}

static void body_bit_cast(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    ScrtDtype to = sc_attr(n, TO)->dtype;
    ScXType from = (ScXType)b->ins[in[0]].type;
    if (from == SC_XF && !scrt_dtype_is_float(to))
        ret_out[0] = SC_X1(b, BITS, in[0]);
    else if (from != SC_XF && scrt_dtype_is_float(to))
        ret_out[0] = SC_X1(b, FLOAT, in[0]);
    else if (from == SC_XB && to != SCRT_BOOL)
        ret_out[0] = SC_SELECT(b, in[0], sc_x_int(b, 1), sc_x_int(b, 0));
    else if (from == SC_XI && to == SCRT_BOOL)
        ret_out[0] = SC_X1(b, NOT, SC_X2(b, EQ, in[0], sc_x_int(b, 0)));
    else
        ret_out[0] = in[0];
}

static uint32_t make_bit_cast(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const ScrtDtype pair[][2] = {
        {SCRT_F32, SCRT_I32}, {SCRT_I16, SCRT_U16}, {SCRT_I8, SCRT_U8}, {SCRT_BOOL, SCRT_U8}};
    const ScrtDtype *t = pair[sc_ops_pick(r, 0, 3)];
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ScVal x = sc_ops_input(b, "x", t[0], rank, dims);
    ret_out[0] = sc_op_at(b, bit_cast, SC_ATTRS(SC_DT(t[1])), x);
    return 1;
}

const ScOp sc_op_bit_cast = {
    .name = "bit_cast",
    .doc = "the bits of x as another type of as many bits",
    .onnx = {"", "BitCast", 26},
    .in = "input: plain",
    .out = "output: plain",
    .attr = {SC_OPS_TO},
    .n_attr = 1,
    .infer = infer_bit_cast,
    .scale = "0 -> 0",
    .lower = {SC_MAP, body_bit_cast},
    .eval = eval_bit_cast,
    .domain = {.make = make_bit_cast},
};

/* --- mod ------------------------------------------------------------------------------------- */

enum { FMOD };

/* Terms divide downward, as integers do without fmod. */
static const ScTerm *mod_term(ScCtx *cx, const ScTerm *const *x)
{
    int64_t by;
    return sc_term_const(x[1], &by) && by > 0 ? sc_term_mod(cx, x[0], x[1]) : NULL;
}

static bool infer_mod(ScInfer *in)
{
    bool c_like = in->attr[FMOD].i != 0;
    if (!c_like && scrt_dtype_is_float(in->in[0]->dtype))
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "floats have a remainder with fmod = 1 only");
    return sc_infer_broadcast(in) && (c_like || sc_ops_content(in, mod_term));
}

/* By zero it is 0, as the quotient is. */
static int64_t mod_int(const ScEval *e, const int64_t *x)
{
    if (x[1] == 0 || x[1] == -1)
        return x[1] == 0 || scrt_dtype_kind(e->in[0]->dtype) == SCRT_KIND_INT
                   ? 0
                   : (int64_t)((uint64_t)x[0] % (uint64_t)x[1]);
    if (scrt_dtype_kind(e->in[0]->dtype) == SCRT_KIND_UINT)
        return (int64_t)((uint64_t)x[0] % (uint64_t)x[1]);
    int64_t m = x[0] % x[1];
    bool floors = sc_attr(e->n, FMOD)->i == 0;
    return floors && m != 0 && (m < 0) != (x[1] < 0) ? m + x[1] : m;
}

static double mod_float(const ScEval *e, const double *x)
{
    (void)e;
    return fmod(x[0], x[1]);
}

static bool eval_mod(ScEval *e)
{
    return sc_ops_map(e, mod_float, mod_int);
}

static void body_mod(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    if (b->ins[in[0]].type == SC_XF) {
        ret_out[0] = sc_x_libm2(b, SCRT_LIBM2_FMOD, in[0], in[1]);
        return;
    }
    bool has_sign = scrt_dtype_kind(b->compute) == SCRT_KIND_INT;
    ScX zero = sc_x_int(b, 0), bad = SC_X2(b, EQ, in[1], zero);
    if (has_sign)
        bad = SC_X2(b, OR, bad, SC_X2(b, EQ, in[1], sc_x_int(b, -1)));
    ScX by = SC_SELECT(b, bad, sc_x_int(b, 1), in[1]); /* of which everything is a multiple */
    ScX m = SC_X2(b, SUB, in[0], SC_X2(b, MUL, SC_X2(b, DIV, in[0], by), by));
    if (has_sign && sc_attr(n, FMOD)->i == 0) {
        ScX unlike = SC_X2(b, LT, SC_X2(b, XOR, m, by), zero);
        ScX moved = SC_X2(b, AND, unlike, SC_X1(b, NOT, SC_X2(b, EQ, m, zero)));
        m = SC_SELECT(b, moved, SC_X2(b, ADD, m, by), m);
    }
    ret_out[0] = m;
}

static uint32_t make_mod(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const ScrtDtype type[] = {SCRT_F32, SCRT_I32, SCRT_I64, SCRT_U8, SCRT_I8};
    ScrtDtype t = type[sc_ops_pick(r, 0, 4)];
    int64_t dims[SCRT_MAX_RANK], c_like = t == SCRT_F32 || sc_ops_pick(r, 0, 1);
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ScVal x = sc_ops_input(b, "x", t, rank, dims), y = sc_ops_input(b, "y", t, rank, dims);
    ret_out[0] = sc_op_at(b, mod, SC_ATTRS(SC_INT(c_like)), x, y);
    return 1;
}

const ScOp sc_op_mod = {
    .name = "mod",
    .doc = "the remainder of a / b, with the sign of b, or of a where fmod is 1; by 0 it is 0",
    .onnx = {"", "Mod", 10},
    .in = "A: num, B: num",
    .out = "C: num",
    .attr = {{.name = "fmod", .kind = SC_A_INT, .def = SC_INT(0), .doc = "1: as C has it"}},
    .n_attr = 1,
    .infer = infer_mod,
    .scale = "a... -> a",
    .lower = {SC_MAP, body_mod},
    .eval = eval_mod,
    .domain = {.make = make_mod},
};
