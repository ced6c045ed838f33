/* SPDX-License-Identifier: Apache-2.0 */
/* Random bits. They are a function of a key and a counter, so they depend neither on threads nor on
 * what was drawn before; what is to be new on each run takes a key that a state counts. */
#include "ir/ops/ops_priv.h"

enum { N_ROUND = 20, ROUNDS_A_KEY = 4, PARITY = 0x1BD11BDA };
static const uint32_t turn[] = {13, 15, 26, 6, 17, 29, 16, 24};

static uint32_t rotated(uint32_t x, uint32_t by)
{
    return x << by | x >> (32 - by);
}

/* Threefry-2x32 of 20 rounds, the first word of two: x is {counter, counter, key, key}. */
static int64_t value_threefry(const ScEval *e, const int64_t *x)
{
    (void)e;
    const uint32_t key[] = {(uint32_t)x[2], (uint32_t)x[3],
                            PARITY ^ (uint32_t)x[2] ^ (uint32_t)x[3]};
    uint32_t a = (uint32_t)x[0] + key[0], b = (uint32_t)x[1] + key[1];
    for (uint32_t i = 0; i < N_ROUND; i++) {
        a += b;
        b = rotated(b, turn[i % 8]) ^ a;
        if ((i + 1) % ROUNDS_A_KEY)
            continue;
        const uint32_t k = (i + 1) / ROUNDS_A_KEY;
        a += key[k % 3];
        b += key[(k + 1) % 3] + k;
    }
    return a;
}

static bool eval_threefry(ScEval *e)
{
    return sc_ops_map(e, NULL, value_threefry);
}

static void body_threefry(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    const ScX both = SC_X2(b, XOR, in[2], in[3]);
    const ScX key[] = {in[2], in[3], SC_X2(b, XOR, both, sc_x_int(b, PARITY))};
    ScX x = SC_X2(b, ADD, in[0], key[0]), y = SC_X2(b, ADD, in[1], key[1]);
    for (uint32_t i = 0; i < N_ROUND; i++) {
        const ScX by = sc_x_int(b, turn[i % 8]), rest = sc_x_int(b, 32 - turn[i % 8]);
        x = SC_X2(b, ADD, x, y);
        y = SC_X2(b, OR, SC_X2(b, SHL, y, by), SC_X2(b, SHR, y, rest));
        y = SC_X2(b, XOR, y, x);
        if ((i + 1) % ROUNDS_A_KEY)
            continue;
        const uint32_t k = (i + 1) / ROUNDS_A_KEY;
        x = SC_X2(b, ADD, x, key[k % 3]);
        y = SC_X2(b, ADD, y, SC_X2(b, ADD, key[(k + 1) % 3], sc_x_int(b, k)));
    }
    ret_out[0] = x;
}

/* As rows that every runtime has: words are i64, whose low half is kept. */
static ScVal low(ScBuild *b, ScVal x)
{
    return sc_op(b, bitwise_and, x, sc_const_scalar(b, SCRT_I64, UINT32_MAX));
}

static ScVal turned(ScBuild *b, ScVal x, uint32_t by)
{
    ScVal high = sc_op(b, mul, x, sc_const_scalar(b, SCRT_I64, (double)(1u << by)));
    ScVal rest = sc_op(b, div, x, sc_const_scalar(b, SCRT_I64, (double)(1u << (32 - by))));
    return low(b, sc_op(b, add, high, rest));
}

static void expand_threefry(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                            ScVal *ret_out)
{
    ScVal word[4];
    (void)g;
    for (uint32_t i = 0; i < n->n_in; i++)
        word[i] = sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_I64)), in[i]);
    const ScVal both = sc_op(b, bitwise_xor, word[2], word[3]);
    const ScVal key[] = {word[2], word[3],
                         sc_op(b, bitwise_xor, both, sc_const_scalar(b, SCRT_I64, PARITY))};
    ScVal x = low(b, sc_op(b, add, word[0], key[0])), y = low(b, sc_op(b, add, word[1], key[1]));
    for (uint32_t i = 0; i < N_ROUND; i++) {
        x = low(b, sc_op(b, add, x, y));
        y = sc_op(b, bitwise_xor, turned(b, y, turn[i % 8]), x);
        if ((i + 1) % ROUNDS_A_KEY)
            continue;
        const uint32_t k = (i + 1) / ROUNDS_A_KEY;
        x = low(b, sc_op(b, add, x, key[k % 3]));
        y = sc_op(b, add, y, sc_const_scalar(b, SCRT_I64, k));
        y = low(b, sc_op(b, add, y, key[(k + 1) % 3]));
    }
    ret_out[0] = sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_U32)), x);
}

static bool infer_threefry(ScInfer *in)
{
    for (uint32_t i = 0; i < in->n_in; i++)
        if (in->in[i]->dtype != SCRT_U32)
            return sc_infer_fail(in, SC_E_TYPE, "counters and keys are u32");
    return sc_infer_broadcast(in);
}

static uint32_t make_threefry(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ScVal in[] = {sc_ops_input(b, "counter", SCRT_U32, rank, dims),
                  sc_ops_input(b, "draw", SCRT_U32, 0, NULL),
                  sc_ops_input(b, "key", SCRT_U32, rank, dims),
                  sc_ops_input(b, "key2", SCRT_U32, 0, NULL)};
    ret_out[0] = sc_node1(b, &sc_op_threefry, NULL, 4, in);
    return 1;
}

/* Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011). */
const ScOp sc_op_threefry = {
    .name = "threefry",
    .doc = "32 random bits: Threefry-2x32-20 of a counter in two words under a key in two",
    .in = "counter: int, draw: int, key: int, key2: int",
    .out = "bits: int",
    .infer = infer_threefry,
    .lower = {SC_MAP, body_threefry},
    .expand = expand_threefry,
    .eval = eval_threefry,
    .domain = {.make = make_threefry},
};
