/* SPDX-License-Identifier: Apache-2.0 */
/* MatMulNBits and GatherBlockQuantized of com.microsoft: products with, and rows of, constants of
 * 2, 4 or 8 bits an element, which have a scale and a zero point for each block of a row. */
#include "frontend/frontend_priv.h"

#define OP(op, ...) sc_op(&n->im->b, op, __VA_ARGS__)

enum { A, B, SCALES, ZEROS, GROUPS, BIAS };

typedef struct Packed {
    const ImNode *n;
    int64_t k, n_row, bits, block, n_block;
    ScrtDtype codes, in; /* of the elements; of what is computed with them */
    int64_t a_bits;      /* of the integers that A may be rounded to; 0: it may not */
} Packed;

/* The bytes of operand i as elements of fewer bits, the lowest first, [n_row, len]; SC_POISON after
 * sc_fail where it is no constant of so many bytes. */
static ScVal unpacked(const Packed *p, uint32_t i, int64_t len)
{
    const ImNode *n = p->n;
    const ScBlob *blob = im_const(n, im_in(n, i));
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

/* What is multiplied with as one constant of numbers, not codes: [k, n_row]. */
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

/* The codes as integers with a sign, which are those of the bytes less half of their range: [n_row,
 * k]. Of the last block of a row less may be used than there is. */
static ScVal with_sign(const Packed *p)
{
    const ImNode *n = p->n;
    ScCtx *cx = n->im->cx;
    const ScrtDtype t = p->bits == 2 ? SCRT_I2 : SCRT_I4;
    const int64_t len = p->n_block * p->block, dims[] = {p->n_row, p->k};
    const uint64_t sign = 1u << (p->bits - 1);
    const ScVal q = unpacked(p, B, len);
    size_t bytes;
    if (q == SC_POISON || !scrt_bytes(t, (size_t)(p->n_row * p->k), &bytes))
        return SC_POISON;
    const void *from = sc_attr(sc_built_def(&n->im->b, q), 0)->blob->data;
    void *data = sc_alloc(sc_ctx_arena(cx), bytes + 1);
    for (int64_t i = 0; i < p->n_row * p->k; i++) {
        uint64_t code = scrt_load_bits(p->codes, from, (size_t)(i / p->k * len + i % p->k));
        scrt_store_bits(t, data, (size_t)i, code ^ sign);
    }
    return sc_const(&n->im->b, sc_blob_folded(cx, t, 2, dims, data), t, NULL);
}

/* The scales [n_row, n_block], in f16 where that holds all of them. */
static ScVal scales(const Packed *p)
{
    const ImNode *n = p->n;
    ScCtx *cx = n->im->cx;
    const ScTerm *dim[] = {sc_term(cx, p->n_row), sc_term(cx, p->n_block)};
    ScVal s = im_folded(n, im_reshape(n, im_cast(n, im_in(n, SCALES), SCRT_F32), 2, dim));
    const ScBlob *b = im_const(n, s);
    if (!b)
        return SC_POISON;
    for (size_t i = 0; i < b->count; i++) {
        double x = scrt_load(SCRT_F32, b->data, i);
        uint16_t half = (uint16_t)scrt_round(SCRT_F16, x, false, SCRT_NEAREST);
        if (scrt_load(SCRT_F16, &half, 0) != x)
            return s;
    }
    return im_folded(n, im_cast(n, s, SCRT_F16));
}

/* x [.., k] times what zero points other than half of the range take away: of each block the sum,
 * times (half - zero point) scale. */
static ScVal moved(const Packed *p, ScVal x)
{
    static const int64_t turned[] = {1, 0};
    const ImNode *n = p->n;
    ScCtx *cx = n->im->cx;
    const ScType *t = im_type_of(n, x);
    const int64_t last = t->rank;
    const ScTerm *flat[] = {sc_term(cx, p->n_row), sc_term(cx, p->n_block)};
    const ScTerm *dim[SCRT_MAX_RANK];
    im_dims(t, dim);
    dim[t->rank - 1] = sc_term(cx, p->n_block);
    dim[t->rank] = sc_term(cx, p->block);
    ScVal by = OP(sub, im_scalar(n, p->in, (double)(1 << (p->bits - 1))), zeros(p));
    by = OP(mul, by, apart(p, im_cast(n, im_in(n, SCALES), p->in), 1));
    by = im_folded(n, im_transpose(n, im_reshape(n, by, 2, flat), 2, turned));
    ScVal sums =
        im_reduce(n, &sc_op_reduce_sum, im_reshape(n, x, t->rank + 1, dim), 1, &last, false);
    return OP(matmul, sums, by);
}

/* The row takes codes of 2 and 4 bits, in f32, in blocks of a power of two. */
static bool is_blocked(const Packed *p)
{
    const ImNode *n = p->n;
    const ScType *t = im_type(n, A);
    const ScTerm *k = sc_term(n->im->cx, p->k);
    bool turns = !im_has(n, ZEROS) || (p->k % p->block == 0 && t->rank < SCRT_MAX_RANK);
    return p->bits < 8 && p->in == SCRT_F32 && !(p->block & (p->block - 1)) && p->block <= 4096 &&
           im_const(n, im_in(n, SCALES)) && t->rank > 0 && t->dim[t->rank - 1] == k && turns;
}

/* [.., n_row] */
static ScVal product(const Packed *p)
{
    const ImNode *n = p->n;
    const ScrtDtype t = im_type(n, A)->dtype;
    if (!is_blocked(p))
        return OP(matmul, im_in(n, A), im_cast(n, weight(p), t));
    ScVal x = im_cast(n, im_in(n, A), SCRT_F32);
    ScVal y = im_build(
        n, &sc_op_block_matmul,
        IM_SET({"block", SC_INT(p->block)}, {"trans_b", SC_INT(1)}, {"a_bits", SC_INT(p->a_bits)}),
        IM_IN(x, with_sign(p), scales(p)));
    return im_cast(n, im_has(n, ZEROS) ? OP(add, y, moved(p, x)) : y, t);
}

static bool matmul(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    Packed p = {
        .n = n, .bits = im_int(n, "bits", 4, &ok), .block = im_int(n, "block_size", 0, &ok)};
    p.k = im_int(n, "K", 0, &ok);
    p.n_row = im_int(n, "N", 0, &ok);
    /* at least: 0 and 1 as f32, 2 as f16, 3 as bf16, 4 as integers of 8 bits */
    const int64_t level = im_int(n, "accuracy_level", 0, &ok);
    /* what zero points move by is exact: in 8 bits the difference of both would lose too much */
    p.a_bits = level > 3 && !im_has(n, ZEROS) ? 8 : level > 1 ? 16 : 0;
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
    p.in = im_at_least_f32(im_type(n, A)->dtype);
    ScVal y = product(&p);
    return im_answer(im_has(n, BIAS) ? OP(add, y, im_in(n, BIAS)) : y, ret_out);
}

/* --- GatherBlockQuantized -------------------------------------------------------------------- */

enum { DATA, INDICES, BLOCK_SCALES, BLOCK_ZEROS };

typedef struct Table {
    const ImNode *n;
    int64_t bits, block;
    uint32_t axis; /* of what indices pick */
    ScVal at;
} Table;

/* A constant of 4-bit integers as the bytes that hold them, two in each; others as they are. */
static ScVal as_bytes(const ImNode *n, uint32_t i)
{
    const ScType *t = im_type(n, i);
    const ScBlob *blob = im_const(n, im_in(n, i));
    int64_t dims[SCRT_MAX_RANK];
    if (scrt_dtype_bits(t->dtype) == 8)
        return im_in(n, i);
    if (!blob || !blob->data || !sc_type_const_dims(t, dims) || !t->rank ||
        scrt_dtype_bits(t->dtype) != 4 || dims[t->rank - 1] % 2) {
        sc_fail(n->im->cx, n->loc, SC_E_UNSUPPORTED,
                "operand %u: 4-bit integers must be a constant, with an even number in a row", i);
        return SC_POISON;
    }
    dims[t->rank - 1] /= 2;
    blob = sc_blob_folded(n->im->cx, SCRT_U8, t->rank, dims, blob->data);
    return sc_const(&n->im->b, blob, SCRT_U8, NULL);
}

/* Bytes x [.., L] as their 4-bit halves [.., 2 L], the lower first. */
static ScVal halves(const ImNode *n, ScVal x)
{
    ScBuild *b = &n->im->b;
    const ScType *t = sc_built(b, x)->type;
    if (t->kind != SC_TYPE_TENSOR || t->rank == SCRT_MAX_RANK)
        return SC_POISON;
    const ScTerm *wide[SCRT_MAX_RANK], *flat[SCRT_MAX_RANK];
    im_dims(t, wide);
    im_dims(t, flat);
    wide[t->rank] = sc_term(b->cx, 1);
    flat[t->rank - 1] = sc_term_scale(b->cx, t->dim[t->rank - 1], 2);
    ScVal right = sc_op_at(b, bit_shift, SC_ATTRS(SC_STR(sc_intern(b->cx, "RIGHT"))), x,
                           im_scalar(n, SCRT_U8, 4));
    const ScVal part[] = {
        im_reshape(n, OP(bitwise_and, x, im_scalar(n, SCRT_U8, 15)), t->rank + 1, wide),
        im_reshape(n, right, t->rank + 1, wide)};
    return im_reshape(n, im_concat(n, t->rank, 2, part), t->rank, flat);
}

/* The codes of operand i that indices pick, [.., count] as f32: as the type says, with its
 * sign. */
static ScVal picked(const Table *t, uint32_t i, const ScTerm *count)
{
    const ImNode *n = t->n;
    const bool packed = t->bits == 4, has_sign = im_type(n, i)->dtype == SCRT_I4;
    ScVal x = im_gather(n, as_bytes(n, i), t->axis, t->at);
    x = packed ? halves(n, x) : x;
    const ScType *is = im_type_of(n, x);
    if (is->kind != SC_TYPE_TENSOR)
        return SC_POISON;
    if (is->dim[is->rank - 1] != count)
        x = im_slice(n, x, is->rank - 1, sc_term(n->im->cx, 0), count);
    if (has_sign) /* two's complement: the sign bit turned, and 8 less */
        x = OP(bitwise_xor, x, im_scalar(n, SCRT_U8, 8));
    x = im_cast(n, x, SCRT_F32);
    return has_sign ? OP(sub, x, im_scalar(n, SCRT_F32, 8)) : x;
}

/* x [.., blocks] with an extent of 1 behind. */
static ScVal each_block(const ImNode *n, ScVal x)
{
    const ScType *t = im_type_of(n, x);
    const int64_t last = t->rank;
    return im_build(n, &sc_op_unsqueeze, IM_SET({"axes", SC_INTS(1, &last)}), IM_IN(x));
}

/* Rows are picked first, and only those become numbers. */
static bool gather_blocks(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    Table t = {.n = n, .bits = im_int(n, "bits", 4, &ok), .at = im_in(n, INDICES)};
    t.block = im_int(n, "block_size", 128, &ok);
    const int64_t axis = im_int(n, "gather_axis", 0, &ok),
                  along = im_int(n, "quantize_axis", 1, &ok);
    const ScType *data = im_type(n, DATA), *scales = im_type(n, BLOCK_SCALES);
    uint32_t last;
    if (!ok || !im_arity(n, 3, 4) ||
        !IM_ONLY(n, "bits", "block_size", "gather_axis", "quantize_axis") ||
        !im_axis(n, axis, data->rank, &t.axis) || !im_axis(n, along, data->rank, &last))
        return false;
    const bool byte = scrt_dtype_bits(data->dtype) == 8;
    t.bits = byte ? t.bits : 4;
    if ((t.bits != 4 && t.bits != 8) || t.block < 1 || last + 1 != data->rank || t.axis == last ||
        scales->rank != data->rank || data->dtype == SCRT_I8)
        return sc_fail(cx, n->loc, SC_E_UNSUPPORTED,
                       "%lld bits in blocks of %lld along axis %u, of which axis %u is picked",
                       (long long)t.bits, (long long)t.block, last, t.axis);
    const ScTerm *blocks = scales->dim[last], *all = sc_term_scale(cx, blocks, t.block);
    const ScTerm *count = sc_term_scale(cx, data->dim[last], byte && t.bits == 4 ? 2 : 1);
    if (!im_require(n, SC_GUARD_EQUAL, all, count, "blocks and the extent that they fill"))
        return false;
    ScVal x = picked(&t, DATA, count);
    ScVal s = im_gather(n, im_cast(n, im_in(n, BLOCK_SCALES), SCRT_F32), t.axis, t.at);
    if (x == SC_POISON || s == SC_POISON)
        return false;
    const ScType *is = im_type_of(n, x);
    const ScTerm *apart[SCRT_MAX_RANK], *flat[SCRT_MAX_RANK];
    if (is->rank == SCRT_MAX_RANK)
        return sc_fail(cx, n->loc, SC_E_LIMIT, "blocks of rank %u", is->rank);
    im_dims(is, flat);
    im_dims(is, apart);
    apart[is->rank - 1] = blocks;
    apart[is->rank] = sc_term(cx, t.block);
    ScVal z = im_has(n, BLOCK_ZEROS) ? each_block(n, picked(&t, BLOCK_ZEROS, blocks))
                                     : im_scalar(n, SCRT_F32,
                                                 !byte         ? 0
                                                 : t.bits == 4 ? 8
                                                               : 128);
    x = OP(mul, OP(sub, im_reshape(n, x, is->rank + 1, apart), z), each_block(n, s));
    return im_answer(im_cast(n, im_reshape(n, x, is->rank, flat), scales->dtype), ret_out);
}

const ImAdapter im_bits_adapters[] = {
    {"com.microsoft", "MatMulNBits", 1, 0, matmul, 1, 0},
    {"com.microsoft", "GatherBlockQuantized", 1, 0, gather_blocks, 1, 0},
    {NULL, NULL, 0, 0, NULL, 0, 0},
};
