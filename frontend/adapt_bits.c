/* SPDX-License-Identifier: Apache-2.0 */
/* MatMulNBits of com.microsoft: a product with a constant of 2, 4 or 8 bits an element, which has a
 * scale and a zero point for each block of a row. */
#include "frontend/frontend_priv.h"

#define OP(op, ...) sc_op(&n->im->b, op, __VA_ARGS__)

enum { A, B, SCALES, ZEROS, GROUPS, BIAS };

typedef struct Packed {
    const ImNode *n;
    int64_t k, n_row, bits, block, n_block;
    ScrtDtype codes, in; /* of the elements; of what is computed with them */
} Packed;

/* The bytes of operand i as elements of fewer bits, the lowest first, [n_row, len]; SC_POISON after
 * sc_fail where it is no constant of so many bytes. */
static ScVal unpacked(const Packed *p, uint32_t i, int64_t len)
{
    const ImNode *n = p->n;
    const ScNode *def = sc_built_def(&n->im->b, im_in(n, i));
    const ScBlob *blob = def && (def->op->flags & SC_CONST_OP) ? sc_attr(def, 0)->blob : NULL;
    const int64_t dims[] = {p->n_row, len};
    if (!blob || !blob->data || blob->dtype != SCRT_U8) {
        sc_fail(n->im->cx, n->loc, SC_E_DYNAMIC, "operand %u must be a constant of bytes", i);
        return SC_POISON;
    }
    if ((uint64_t)blob->count * 8 != (uint64_t)p->n_row * (uint64_t)len * (uint64_t)p->bits) {
        sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "operand %u has %zu bytes", i, blob->count);
        return SC_POISON;
    }
    const ScBlob *bits = sc_blob_folded(n->im->cx, p->codes, 2, dims, blob->data);
    return sc_const(&n->im->b, bits, p->codes, NULL);
}

/* x [n_row, n_block ...] with the blocks of a row apart, [n_row, n_block, len]. */
static ScVal apart(const Packed *p, ScVal x, int64_t len)
{
    ScCtx *cx = p->n->im->cx;
    const ScTerm *dim[] = {sc_term(cx, p->n_row), sc_term(cx, p->n_block), sc_term(cx, len)};
    return im_reshape(p->n, x, 3, dim);
}

/* Zero points: bytes, of which each row has whole ones, or numbers. */
static ScVal zeros(const Packed *p)
{
    const ImNode *n = p->n;
    ScCtx *cx = n->im->cx;
    if (!im_has(n, ZEROS))
        return im_scalar(n, p->in, (double)(1 << (p->bits - 1)));
    if (im_type(n, ZEROS)->dtype != SCRT_U8)
        return apart(p, im_cast(n, im_in(n, ZEROS), p->in), 1);
    const int64_t each = 8 / p->bits, len = (p->n_block + each - 1) / each * each;
    ScVal z = im_slice(n, unpacked(p, ZEROS, len), 1, sc_term(cx, 0), sc_term(cx, p->n_block));
    return apart(p, im_cast(n, z, p->in), 1);
}

/* The constant that is multiplied with, [k, n_row]. */
static ScVal weight(const Packed *p)
{
    static const int64_t turned[] = {1, 0};
    const ImNode *n = p->n;
    ScCtx *cx = n->im->cx;
    const int64_t len = p->n_block * p->block;
    const ScTerm *flat[] = {sc_term(cx, p->n_row), sc_term(cx, len)};
    ScVal q = unpacked(p, B, len), z = zeros(p);
    if (q == SC_POISON || z == SC_POISON)
        return SC_POISON;
    ScVal w = OP(sub, apart(p, im_cast(n, q, p->in), p->block), z);
    w = OP(mul, w, apart(p, im_cast(n, im_in(n, SCALES), p->in), 1));
    w = im_reshape(n, w, 2, flat);
    w = len == p->k ? w : im_slice(n, w, 1, sc_term(cx, 0), sc_term(cx, p->k));
    return im_folded(n, im_transpose(n, w, 2, turned));
}

static bool matmul(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    Packed p = {
        .n = n, .bits = im_int(n, "bits", 4, &ok), .block = im_int(n, "block_size", 0, &ok)};
    p.k = im_int(n, "K", 0, &ok);
    p.n_row = im_int(n, "N", 0, &ok);
    if (!ok || !im_arity(n, 3, 6) || !IM_ONLY(n, "K", "N", "bits", "block_size", "accuracy_level"))
        return false;
    p.codes = p.bits == 2 ? SCRT_U2 : p.bits == 4 ? SCRT_U4 : SCRT_U8;
    if ((p.bits != 2 && p.bits != 4 && p.bits != 8) || p.block < 1 || p.block % 8 || p.k < 1 ||
        p.n_row < 1 || p.k > INT32_MAX || p.n_row > INT32_MAX || p.block > INT32_MAX)
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "%lld bits in blocks of %lld, K %lld, N %lld",
                       (long long)p.bits, (long long)p.block, (long long)p.k, (long long)p.n_row);
    if (im_has(n, GROUPS))
        return sc_fail(cx, n->loc, SC_E_UNSUPPORTED, "MatMulNBits with g_idx");
    p.n_block = (p.k + p.block - 1) / p.block;
    p.in = im_type(n, A)->dtype == SCRT_F64 ? SCRT_F64 : SCRT_F32;
    ScVal y = OP(matmul, im_in(n, A), im_cast(n, weight(&p), im_type(n, A)->dtype));
    return im_answer(im_has(n, BIAS) ? OP(add, y, im_in(n, BIAS)) : y, ret_out);
}

const ImAdapter im_bits_adapters[] = {
    {"com.microsoft", "MatMulNBits", 1, 0, matmul, 1, 0},
    {NULL, NULL, 0, 0, NULL, 0, 0},
};
