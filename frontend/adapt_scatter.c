/* SPDX-License-Identifier: Apache-2.0 */
/* Scatters: the rows' own operators, but that products are rows apart; and what undoes a pool or
 * the columns of a convolution, which scatter what they are given over zeros. */
#include "frontend/frontend_priv.h"

#include <string.h>

/* The row for a reduction, whose attribute products do not have. */
static bool build(const ImNode *n, const ScOp *plain, const ScOp *product, const ImSet *axis,
                  ScVal *ret_out)
{
    bool ok = true;
    const char *how = im_str(n, "reduction", "none", &ok);
    if (!im_arity(n, 3, 3) || !ok)
        return false;
    bool mul = strcmp(how, "mul") == 0;
    ImSet set[] = {{"reduction", SC_STR(how)}, axis ? *axis : (ImSet){0}};
    return im_answer(im_build(n, mul ? product : plain, (mul ? 0 : 1) + (axis != NULL),
                              mul ? set + 1 : set, 3, n->in),
                     ret_out);
}

static bool scatter_elements(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    const ImSet axis = {"axis", SC_INT(im_int(n, "axis", 0, &ok))};
    return ok && IM_ONLY(n, "axis", "reduction") &&
           build(n, &sc_op_scatter_elements, &sc_op_scatter_elements_mul, &axis, ret_out);
}

static bool scatter_nd(const ImNode *n, ScVal *ret_out)
{
    return IM_ONLY(n, "reduction") &&
           build(n, &sc_op_scatter_nd, &sc_op_scatter_nd_mul, NULL, ret_out);
}

/* --- Col2Im ----------------------------------------------------------------------------------- */

typedef struct Blocks { /* along one spatial axis */
    const ScTerm *image, *block, *count;
    int64_t stride, dilation, before, after;
} Blocks;

static bool read_blocks(const ImNode *n, uint32_t rank, Blocks *ret)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    uint32_t n_image, n_block, n_stride, n_pad, n_dilation;
    const int64_t *stride = im_ints(n, "strides", &n_stride, &ok);
    const int64_t *pad = im_ints(n, "pads", &n_pad, &ok);
    const int64_t *dilation = im_ints(n, "dilations", &n_dilation, &ok);
    const ScTerm *const *image = im_content(n, 1, &n_image), *const *block =
                                                                 image ? im_content(n, 2, &n_block)
                                                                       : NULL;
    if (!block || !ok)
        return false;
    if (n_image != rank || n_block != rank || (n_stride && n_stride != rank) ||
        (n_pad && n_pad != 2 * rank) || (n_dilation && n_dilation != rank))
        return sc_fail(cx, n->loc, SC_E_RANK, "an image of %u extents", rank);
    for (uint32_t d = 0; d < rank; d++) {
        Blocks *b = &ret[d];
        *b = (Blocks){.image = image[d],
                      .block = block[d],
                      .stride = n_stride ? stride[d] : 1,
                      .dilation = n_dilation ? dilation[d] : 1,
                      .before = n_pad ? pad[d] : 0,
                      .after = n_pad ? pad[rank + d] : 0};
        if (b->stride < 1 || b->dilation < 1 || b->before < 0 || b->after < 0)
            return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "strides, dilations or pads");
        const ScTerm *reach =
            sc_term_addc(cx, sc_term_scale(cx, sc_term_addc(cx, block[d], -1), b->dilation), 1);
        const ScTerm *room =
            sc_term_sub(cx, sc_term_addc(cx, image[d], b->before + b->after), reach);
        b->count = sc_term_addc(cx, sc_term_fdiv(cx, room, sc_term(cx, b->stride)), 1);
    }
    return true;
}

/* Where element [k..., l...] of the blocks lies in the padded image, counted in elements. */
static ScVal block_positions(const ImNode *n, uint32_t rank, const Blocks *blocks)
{
    ScCtx *cx = n->im->cx;
    ScBuild *b = &n->im->b;
    const ScTerm *step = sc_term(cx, 1);
    ScVal at = im_number(n, sc_term(cx, 0));
    for (uint32_t d = rank; d-- > 0;) {
        const Blocks *x = &blocks[d];
        ScVal in_block = im_iota(n, x->block, 2 * rank - 1 - d);
        ScVal block = im_iota(n, x->count, rank - 1 - d);
        const ScTerm *per_k = sc_term_scale(cx, step, x->dilation);
        const ScTerm *per_l = sc_term_scale(cx, step, x->stride);
        at = sc_op(b, add, at, sc_op(b, mul, in_block, im_number(n, per_k)));
        at = sc_op(b, add, at, sc_op(b, mul, block, im_number(n, per_l)));
        step = sc_term_mul(cx, step, sc_term_addc(cx, x->image, x->before + x->after));
    }
    return at;
}

/* Sums of the blocks where they overlap: rows of all samples and channels, one for each element of
 * the padded image, of which the image is cut out. */
static bool col2im(const ImNode *n, ScVal *ret_out)
{
    static const int64_t front[] = {2, 0, 1}, back[] = {1, 2, 0};
    ScCtx *cx = n->im->cx;
    Blocks blocks[SCRT_MAX_RANK];
    const ScTerm *k = sc_term(cx, 1), *l = k, *padded = k;
    const ScTerm *dim[SCRT_MAX_RANK];
    if (!im_arity(n, 3, 3) || !IM_ONLY(n, "dilations", "pads", "strides"))
        return false;
    const ScType *x = im_type(n, 0);
    int64_t rank;
    if (x->rank != 3 || !sc_term_const(sc_type_count(cx, im_type(n, 1)), &rank) || rank < 1 ||
        2 * rank > SCRT_MAX_RANK)
        return sc_fail(cx, n->loc, SC_E_RANK, "rank %u, 3 is needed", x->rank);
    if (!read_blocks(n, (uint32_t)rank, blocks))
        return false;
    for (uint32_t d = 0; d < rank; d++) {
        k = sc_term_mul(cx, k, blocks[d].block);
        l = sc_term_mul(cx, l, blocks[d].count);
        dim[d + 2] = sc_term_addc(cx, blocks[d].image, blocks[d].before + blocks[d].after);
        padded = sc_term_mul(cx, padded, dim[d + 2]);
    }
    if (!im_require(n, SC_GUARD_EQUAL, x->dim[2], l, "columns, and blocks in the image") ||
        !im_require(n, SC_GUARD_AT_MOST, sc_term(cx, 1), k, "elements of a block") ||
        !im_require(n, SC_GUARD_DIVIDES, k, x->dim[1], "elements of a block, and rows"))
        return false;
    const ScTerm *channels = sc_term_fdiv(cx, x->dim[1], k), *all = sc_term_mul(cx, k, l);
    const ScTerm *rows[] = {all, sc_term(cx, 1)}, *image[] = {padded, x->dim[0], channels};
    const ScTerm *flat[] = {x->dim[0], channels, all};
    ScVal u = im_transpose(n, im_reshape(n, im_in(n, 0), 3, flat), 3, front);
    ScVal in[] = {im_expand(n, im_scalar(n, x->dtype, 0), 3, image),
                  im_reshape(n, block_positions(n, (uint32_t)rank, blocks), 2, rows), u};
    ScVal y = im_build(n, &sc_op_scatter_nd, IM_SET({"reduction", SC_STR("add")}), 3, in);
    dim[0] = x->dim[0];
    dim[1] = channels;
    y = im_reshape(n, im_transpose(n, y, 3, back), (uint32_t)rank + 2, dim);
    for (uint32_t d = 0; d < rank; d++)
        if (blocks[d].before || blocks[d].after)
            y = im_slice(n, y, d + 2, sc_term(cx, blocks[d].before),
                         sc_term_addc(cx, blocks[d].image, blocks[d].before));
    return im_answer(y, ret_out);
}

const ImAdapter im_scatter_adapters[] = {
    {"", "Scatter", 9, 10, scatter_elements, 1},
    {"", "ScatterElements", 11, 0, scatter_elements, 1},
    {"", "ScatterND", 11, 0, scatter_nd, 1},
    {"", "Col2Im", 18, 0, col2im, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
