/* SPDX-License-Identifier: Apache-2.0 */
/* A product with a constant matrix that is dequantized by blocks, as opset 21 writes it, reads the
 * blocks: row block_matmul. The matrix is never made. */
#include "passes/match.h"

enum { AXIS, BLOCK }; /* of row dequantize */
enum { DEEP = 4 };    /* views between it and a product, before simplify joins them */

/* The axis of a matrix along which the blocks of row dequantize, d, lie. */
static int64_t axis_of(const ScNode *d)
{
    int64_t axis = sc_attr(d, AXIS)->i;
    return axis < 0 ? axis + 2 : axis;
}

/* Product n can read what d makes of such codes and scales as they are; turned: it reads the
 * transpose. */
static bool reads(const ScGraph *g, const ScNode *n, const ScNode *d, const ScType *codes,
                  const ScType *scales, bool turned)
{
    ScContract c;
    n->op->contract(g, n, &c);
    return !c.block && !c.trans_a && sc_type_of(g, n->in[0])->dtype == SCRT_F32 &&
           sc_type_of(g, n->first)->dtype == SCRT_F32 && codes->rank == 2 &&
           scrt_dtype_is_low(codes->dtype) && scales->dtype == SCRT_F8E8M0 &&
           axis_of(d) == (c.trans_b != turned) && sc_block_fits(sc_attr(d, BLOCK)->i);
}

/* The same of some product that reads v, which is d's result or the transpose of that. */
static bool is_read(const ScGraph *g, const ScUses *use, const ScNode *d, ScVal v, bool turned,
                    uint32_t depth)
{
    bool read = false;
    for (uint32_t u = use->first[v]; depth < DEEP && !read && u < use->first[v + 1]; u++) {
        if (use->use[u].node == UINT32_MAX)
            continue;
        const ScNode *n = &g->node[use->use[u].node];
        if (n->op->contract && use->use[u].operand == 1)
            read = reads(g, n, d, sc_type_of(g, d->in[0]), sc_type_of(g, d->in[1]), turned);
        else if (n->op == &sc_op_transpose)
            read = is_read(g, use, d, n->first, !turned, depth + 1);
        else if ((n->op->flags & SC_VIEW_OP) && sc_type_of(g, n->first) == sc_type_of(g, v))
            read = is_read(g, use, d, n->first, turned, depth + 1);
    }
    return read;
}

bool sc_is_read_as_codes(const ScGraph *g, const ScUses *use, const ScNode *n)
{
    return n->op == &sc_op_dequantize && is_read(g, use, n, n->first, false, 0);
}

static ScVal blocks(ScMatch *m)
{
    const ScNode *n = m->n;
    ScNode t, d;
    int bias = sc_bias(n);
    match_begin(m);
    bool turned = match_is(m, m->in[1], &sc_op_transpose, &t);
    if (!match_is(m, turned ? t.in[0] : m->in[1], &sc_op_dequantize, &d) ||
        !sc_built_blob(&m->b, d.in[0]) || !sc_built_blob(&m->b, d.in[1]) ||
        !reads(m->g, n, &d, match_type(m, d.in[0]), match_type(m, d.in[1]), turned))
        return SC_POISON;
    const ScVal in[] = {m->in[0], d.in[0], d.in[1]};
    ScVal y = sc_node1(&m->b, &sc_op_block_matmul,
                       SC_ATTRS(*sc_attr(&d, BLOCK), SC_INT(axis_of(&d)), SC_INT(0)), 3, in);
    return bias < 0 ? y : sc_op(&m->b, add, y, m->in[bias]);
}

const ScIdiom sc_idioms_blocks[] = {
    {"matmul of blocks", &sc_op_matmul, blocks},
    {"gemm of blocks", &sc_op_gemm, blocks},
    {NULL, NULL, NULL},
};
