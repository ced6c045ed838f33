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
#define ROW(row, meaning, type)                                                                    \
    {.name = #row,                                                                                 \
     .doc = meaning,                                                                               \
     .onnx = {"", type, 7},                                                                        \
     .in = "A: bool, B: bool",                                                                     \
     .out = "C: bool",                                                                             \
     .flags = SC_COMMUTES,                                                                         \
     .infer = sc_infer_broadcast,                                                                  \
     .lower = {SC_MAP, body_##row},                                                                \
     .eval = eval_##row}

LOGIC(and, AND, x[0] && x[1])
const ScOp sc_op_and = ROW(and, "whether both hold", "And");

LOGIC(or, OR, x[0] || x[1])
const ScOp sc_op_or = ROW(or, "whether one holds", "Or");

LOGIC(xor, XOR, !x[0] != !x[1])
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

const ScOp sc_op_not = {
    .name = "not",
    .doc = "whether x does not hold",
    .onnx = {"", "Not", 1},
    .in = "X: bool",
    .out = "Y: bool",
    .infer = sc_infer_same,
    .lower = {SC_MAP, body_not},
    .eval = eval_not,
};
