/* SPDX-License-Identifier: Apache-2.0 */
/* Truth values: and, or, xor, not. They carry no scale. */
#include "ir/ops/ops_priv.h"

#define LOGIC(row, instruction, expression)                                                        \
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
    }
#define INFER(row, term)                                                                           \
    static const ScTerm *row##_term(ScCtx *cx, const ScTerm *const *x)                             \
    {                                                                                              \
        return (term);                                                                             \
    }                                                                                              \
    static bool infer_##row(ScInfer *in)                                                           \
    {                                                                                              \
        return sc_infer_broadcast(in) && sc_ops_content(in, row##_term);                           \
    }
#define ROW(row, meaning, type)                                                                    \
    {.name = #row,                                                                                 \
     .doc = meaning,                                                                               \
     .onnx = {"", type, 7},                                                                        \
     .in = "A: bool, B: bool",                                                                     \
     .out = "C: bool",                                                                             \
     .flags = SC_COMMUTES,                                                                         \
     .infer = infer_##row,                                                                         \
     .lower = {SC_MAP, body_##row},                                                                \
     .eval = eval_##row}

LOGIC(and, AND, x[0] && x[1])
INFER(and, sc_term_min(cx, x[0], x[1]))
const ScOp sc_op_and = ROW(and, "whether both hold", "And");

LOGIC(or, OR, x[0] || x[1])
INFER(or, sc_term_max(cx, x[0], x[1]))
const ScOp sc_op_or = ROW(or, "whether one holds", "Or");

LOGIC(xor, XOR, !x[0] != !x[1])
INFER(xor, sc_term(cx, x[0] != x[1]))
const ScOp sc_op_xor = ROW(xor, "whether exactly one holds", "Xor");

static void body_not(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ret_out[0] = SC_X1(b, NOT, in[0]);
}

static int64_t value_not(const ScEval *e, const int64_t *x)
{
    (void)e;
    return !x[0];
}

static bool eval_not(ScEval *e)
{
    return sc_ops_map(e, NULL, value_not);
}

static const ScTerm *not_term(ScCtx *cx, const ScTerm *const *x)
{
    return sc_term_sub(cx, sc_term(cx, 1), x[0]);
}

static bool infer_not(ScInfer *in)
{
    return sc_infer_same(in) && sc_ops_content(in, not_term);
}

const ScOp sc_op_not = {
    .name = "not",
    .doc = "whether x does not hold",
    .onnx = {"", "Not", 1},
    .in = "X: bool",
    .out = "Y: bool",
    .infer = infer_not,
    .lower = {SC_MAP, body_not},
    .eval = eval_not,
};
