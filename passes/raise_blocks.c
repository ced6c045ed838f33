/* SPDX-License-Identifier: Apache-2.0 */
/* A product with a constant matrix that is dequantized by blocks, as opset 21 writes it, reads the
 * blocks: row block_matmul. The matrix is never made. */
#include "passes/match.h"

enum { AXIS, BLOCK };                  /* of row dequantize */
enum { LEAST_BLOCK = 4, MOST = 4096 }; /* of row block_matmul, which takes powers of two */

/* Operand 1 of the product is dequantize of *ret, stored [n, k] where *turned. */
static bool is_blocks(ScMatch *m, bool *turned, ScNode *ret)
{
    ScNode n;
    ScVal v = m->in[1];
    if (match_type(m, v)->rank != 2)
        return false;
    if (match_is(m, v, &sc_op_transpose, &n)) {
        *turned = !*turned;
        v = n.in[0];
    }
    return match_is(m, v, &sc_op_dequantize, ret) && sc_built_blob(&m->b, ret->in[0]) &&
           sc_built_blob(&m->b, ret->in[1]);
}

static ScVal blocks(ScMatch *m)
{
    const ScNode *n = m->n;
    ScNode d;
    ScContract c;
    int bias = sc_bias(n);
    n->op->contract(m->g, n, &c);
    bool turned = c.trans_b;
    match_begin(m);
    if (c.block || c.trans_a || sc_type_of(m->g, n->in[0])->dtype != SCRT_F32 ||
        sc_type_of(m->g, n->first)->dtype != SCRT_F32 || !is_blocks(m, &turned, &d))
        return SC_POISON;
    int64_t axis = sc_attr(&d, AXIS)->i, block = sc_attr(&d, BLOCK)->i;
    axis += axis < 0 ? 2 : 0;
    if (axis != turned || block < LEAST_BLOCK || block > MOST || (block & (block - 1)) ||
        match_type(m, d.in[1])->dtype != SCRT_F8E8M0)
        return SC_POISON;
    const ScVal in[] = {m->in[0], d.in[0], d.in[1]};
    ScVal y = sc_node1(&m->b, &sc_op_block_matmul, SC_ATTRS(SC_INT(block), SC_INT(turned)), 3, in);
    return bias < 0 ? y : sc_op(&m->b, add, y, m->in[bias]);
}

const ScIdiom sc_idioms_blocks[] = {
    {"matmul of blocks", &sc_op_matmul, blocks},
    {"gemm of blocks", &sc_op_gemm, blocks},
    {NULL, NULL, NULL},
};
