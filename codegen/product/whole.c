/* SPDX-License-Identifier: Apache-2.0 */
/* Few rows of A beside blocks of 4-bit codes, multiplied as integers, where the product lets A be
 * rounded (ScContract.a_bits). Codes are looked up as small integers, from 0 on, and an instruction
 * multiplies two rows of B: of A in 16 bits pmaddwd, 9 instructions for 32 codes, where decoding to
 * f32 and fma take 17; of A in 8 bits pmaddubsw, 9 for 64. Sums of a block are exact, and are
 * scaled once. On Zen 3 one core so reads 15 and 25 GB/s from its second cache, and 9 by f32. (Two
 * words an element, upper and lower 16 bits, would round no more than f32 does: 10.6 GB/s there,
 * and from memory no more than by f32.)
 *
 * Bytes want panels whose units are words of four codes (CgTypes.wide_units), so that a sum's 16
 * bits are a column each and nothing moves between lanes; beside other panels the same integers are
 * words, and sums have the same bits.
 * Products with codes from 0 on may pass 16 bits, and come back by the start of the sum, which
 * makes them those with the codes themselves: these fit.
 *
 * A block of a row lies where its f32 lay or before: */
#include "codegen/product/contract_priv.h"

enum {
    START = 0, /* i32, or two i16: what sums begin with, since codes are looked up from 0 on */
    SCALE = 4, /* f32: what they are to be multiplied by */
    HEAD = 8,  /* and then the integers */
    LANES = 8,
};

/* As many rows of bytes as fit 16 bits when they are added up: 16 products, each below 127 * 12. */
enum { BYTES_LEN = 32 };

/* Blocks whose integers lie in place of their f32, and whose sums fit. */
static bool blocks_fit(const CgContract *c)
{
    const int64_t n = c->desc.block;
    return c->desc.a_bits && n > 0 && n % LANES == 0 && (c->desc.a_bits == 8 || n <= 1024);
}

/* However many rows there are: products with few and with many read the same panels. */
bool cg_whole_units(const CgContract *c)
{
    return c->desc.a_bits == 8 && blocks_fit(c) &&
           scrt_dtype_bits(sc_type_of(c->f->sub, c->node->in[1])->dtype) == 4;
}

uint32_t cg_whole(const CgModule *m, const CgContract *c)
{
    const CgPanels *q = &c->panels;
    const CgTile *t = &c->tile;
    bool fits = m->target.avx2 && t->w == LANES && (q->ku == 2 || q->ku == 4) &&
                (q->unit.way == CG_UNIT_NIBBLES || q->unit.way == CG_UNIT_PERM) &&
                t->el == m->f32 && t->micro->way == CG_UNIT_PLAIN;
    if (!fits || !blocks_fit(c))
        return 0;
    bool words = q->unit.way == CG_UNIT_PERM && q->unit.w == 2 * LANES;
    return c->desc.a_bits == 8 && words ? 8 : 16;
}

uint32_t cg_whole_len(const CgContract *c)
{
    uint32_t n = c->panels.block;
    return c->desc.a_bits == 8 && n > BYTES_LEN ? BYTES_LEN : n;
}

LLVMValueRef cg_whole_block(Cg *cg, const CgContract *c, LLVMValueRef row, LLVMValueRef block)
{
    int64_t bytes = HEAD + (int64_t)cg_whole(cg->m, c) / 8 * cg_whole_len(c);
    return cg_gep(cg, cg->m->i8, row, cg_mul_int(cg, block, cg_int(cg, bytes)));
}

LLVMTypeRef cg_whole_sums(const CgModule *m, const CgContract *c)
{
    return cg_whole(m, c) == 8 ? cg_vec(m->i16, 2 * LANES) : cg_vec(m->i32, LANES);
}

/* Two integers for every lane, or a start. */
static LLVMValueRef splat(Cg *cg, LLVMTypeRef type, LLVMTypeRef as, LLVMValueRef block,
                          LLVMValueRef at)
{
    LLVMValueRef x = LLVMBuildLoad2(cg->b, type, cg_gep(cg, cg->m->i8, block, at), "");
    uint32_t bytes = LLVMGetIntTypeWidth(type) / 8;
    LLVMSetAlignment(x, bytes);
    return LLVMBuildBitCast(cg->b, cg_splat(cg, x, 4 * LANES / bytes), as, "");
}

/* Of bytes: which of two starts and of two pairs of a row's four integers goes into variable i. */
static uint32_t half_of(const CgContract *c, uint32_t i)
{
    return c->panels.ku == 4 ? i : i / 2;
}

void cg_whole_begin(Cg *cg, const CgContract *c, LLVMValueRef block, const LLVMValueRef *sum)
{
    CgModule *m = cg->m;
    const uint32_t nv = c->tile.nr / c->tile.w;
    const bool bytes = cg_whole(m, c) == 8;
    for (uint32_t i = 0; i < nv; i++) {
        LLVMValueRef at = cg_int(cg, START + (bytes ? 2 * half_of(c, i) : 0));
        cg_set(cg, sum[i], splat(cg, bytes ? m->i16 : m->i32, cg_whole_sums(m, c), block, at));
    }
}

void cg_whole_pairs(Cg *cg, const CgContract *c, LLVMValueRef block, LLVMValueRef unit,
                    LLVMValueRef *ret)
{
    CgModule *m = cg->m;
    const uint32_t pairs = c->panels.ku / 2, bits = cg_whole(m, c);
    LLVMTypeRef type = bits == 8 ? m->i16 : m->i32;
    LLVMTypeRef as = bits == 8 ? cg_vec(m->i8, 4 * LANES) : cg_vec(m->i16, 2 * LANES);
    for (uint32_t i = 0; i < pairs; i++) {
        LLVMValueRef at = cg_add_int(cg, cg_mul_int(cg, unit, cg_int(cg, pairs)), cg_int(cg, i));
        at = cg_add_int(cg, cg_mul_int(cg, at, cg_int(cg, bits / 4)), cg_int(cg, HEAD));
        ret[i] = splat(cg, type, as, block, at);
    }
}

static void add(Cg *cg, const char *name, LLVMTypeRef type, LLVMValueRef x, LLVMValueRef y,
                LLVMValueRef sum)
{
    LLVMValueRef arg[2] = {x, y}, more = cg_intrinsic(cg, name, 0, NULL, 2, arg);
    cg_set(cg, sum, LLVMBuildAdd(cg->b, cg_get(cg, type, sum), more, ""));
}

void cg_whole_add(Cg *cg, const CgContract *c, const LLVMValueRef *pair, const LLVMValueRef *x,
                  uint32_t turn, const LLVMValueRef *sum)
{
    const uint32_t pairs = c->panels.ku / 2, nv = c->tile.nr / c->tile.w;
    LLVMTypeRef type = cg_whole_sums(cg->m, c);
    if (cg_whole(cg->m, c) == 8)
        for (uint32_t i = 0; i < 2; i++)
            add(cg, "llvm.x86.avx2.pmadd.ub.sw", type, x[i], pair[i % pairs],
                sum[pairs == 2 ? i : turn % 2 * 2 + i]);
    else
        for (uint32_t i = 0; i < pairs * nv; i++)
            add(cg, "llvm.x86.avx2.pmadd.wd", type, pair[i / nv], x[i], sum[i % nv]);
}

/* Columns LANES * h and on of sums of 16 columns, in 32 bits. */
static LLVMValueRef wide(Cg *cg, const CgContract *c, LLVMValueRef sum, uint32_t h)
{
    LLVMValueRef lane[LANES], x = cg_get(cg, cg_whole_sums(cg->m, c), sum);
    for (uint32_t i = 0; i < LANES; i++)
        lane[i] = LLVMConstInt(cg->m->i32, LANES * h + i, 0);
    x = LLVMBuildShuffleVector(cg->b, x, LLVMGetPoison(LLVMTypeOf(x)), LLVMConstVector(lane, LANES),
                               "");
    return LLVMBuildSExt(cg->b, x, cg_vec(cg->m->i32, LANES), "");
}

/* The sum as what it stands for first, which is finite (stream.c: largest_exp): a sum of 0 adds
 * nothing then, however large the scales are. */
LLVMValueRef cg_whole_end(Cg *cg, const CgContract *c, LLVMValueRef block, const LLVMValueRef *sum,
                          uint32_t j, LLVMValueRef scale, LLVMValueRef acc)
{
    LLVMValueRef at = cg_gep(cg, cg->m->i8, block, cg_int(cg, SCALE)), x;
    LLVMValueRef own = LLVMBuildLoad2(cg->b, cg->m->f32, at, "");
    LLVMSetAlignment(own, 4);
    if (cg_whole(cg->m, c) == 8) {
        const LLVMValueRef *of = sum + j / 2; /* j: 0, 1 of the lower columns, 2, 3 of the upper */
        x = LLVMBuildAdd(cg->b, wide(cg, c, of[0], j % 2),
                         wide(cg, c, of[c->panels.ku == 4 ? 1 : 2], j % 2), "");
    } else {
        x = cg_get(cg, cg_whole_sums(cg->m, c), sum[j]);
    }
    x = LLVMBuildSIToFP(cg->b, x, LLVMTypeOf(acc), "");
    x = LLVMBuildFMul(cg->b, x, cg_splat(cg, own, LANES), "");
    return cg_fma(cg, x, scale, acc);
}

/* --- Rows to integers ------------------------------------------------------------------------- */

static LLVMValueRef load(Cg *cg, LLVMTypeRef type, LLVMValueRef block, LLVMValueRef i)
{
    LLVMValueRef at = cg_gep(cg, cg->m->f32, block, cg_mul_int(cg, i, cg_int(cg, LANES)));
    LLVMValueRef x = LLVMBuildLoad2(cg->b, type, at, "");
    LLVMSetAlignment(x, 4);
    return x;
}

static LLVMValueRef reduce(Cg *cg, const char *name, LLVMValueRef x)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    return cg_intrinsic(cg, name, 1, &type, 1, &x);
}

/* What the largest number of a block becomes. Of 16 bits a power of two becomes it: short numbers
 * stay what they are. */
static double largest_integer(const CgContract *c)
{
    return c->desc.a_bits == 8 ? INT8_MAX : 1 << 14;
}

/* The largest magnitude of n vectors, of 16 bits the power of two that is not above it, and at
 * least 2^-111: what it takes to make it the largest integer, and back, are normal numbers. */
static LLVMValueRef largest(Cg *cg, const CgContract *c, LLVMValueRef src, LLVMValueRef n)
{
    CgModule *m = cg->m;
    LLVMTypeRef bits = cg_vec(m->i32, LANES);
    LLVMValueRef most = cg_var(cg, bits, LLVMConstNull(bits));
    cg_set(cg, most, cg_iconst(bits, (int64_t)16 << 23));
    CgLoop i = cg_for(cg, cg_int(cg, 0), n, cg_int(cg, 1));
    LLVMValueRef x = cg_and(cg, load(cg, bits, src, i.i), INT32_MAX);
    LLVMValueRef arg[2] = {x, cg_get(cg, bits, most)};
    cg_set(cg, most, cg_intrinsic(cg, "llvm.umax", 1, &bits, 2, arg));
    cg_next(cg, &i);
    LLVMValueRef all = reduce(cg, "llvm.vector.reduce.umax", cg_get(cg, bits, most));
    if (c->desc.a_bits != 8)
        all = cg_and(cg, all, (int64_t)0xff << 23);
    return LLVMBuildBitCast(cg->b, all, m->f32, "");
}

/* In the order of cg_unit_whole: of four rows the even ones, then the odd ones. */
static LLVMValueRef in_pairs(Cg *cg, const CgContract *c, LLVMValueRef x)
{
    LLVMValueRef lane[LANES];
    for (uint32_t i = 0; i < LANES; i++)
        lane[i] = LLVMConstInt(cg->m->i32, i / 4 * 4 + i % 2 * 2 + i / 2 % 2, 0);
    if (c->panels.ku == 2)
        return x;
    return LLVMBuildShuffleVector(cg->b, x, LLVMGetPoison(LLVMTypeOf(x)),
                                  LLVMConstVector(lane, LANES), "");
}

/* What sums begin with, of the sums of each lane in the order that they lie in: of bytes those of
 * the first and second two of four, else of all. */
static LLVMValueRef start(Cg *cg, LLVMValueRef sum, int32_t least, bool bytes)
{
    CgModule *m = cg->m;
    LLVMValueRef all = NULL;
    for (uint32_t h = 0; h < (bytes ? 2 : 1); h++) {
        LLVMValueRef lane[LANES / 2], x = sum;
        for (uint32_t i = 0; i < LANES / 2; i++)
            lane[i] = LLVMConstInt(m->i32, i / 2 * 4 + 2 * h + i % 2, 0);
        if (bytes)
            x = LLVMBuildShuffleVector(cg->b, x, LLVMGetPoison(LLVMTypeOf(x)),
                                       LLVMConstVector(lane, LANES / 2), "");
        x = reduce(cg, "llvm.vector.reduce.add", x);
        x = LLVMBuildMul(cg->b, x, LLVMConstInt(m->i32, (uint32_t)least, 0), "");
        if (bytes)
            x = h ? cg_shl(cg, x, 16) : cg_and(cg, x, 0xffff);
        all = all ? LLVMBuildOr(cg->b, all, x, "") : x;
    }
    return all;
}

static void fill_block(Cg *cg, const CgContract *c, LLVMValueRef src, LLVMValueRef n,
                       LLVMValueRef dst)
{
    CgModule *m = cg->m;
    LLVMBuilderRef b = cg->b;
    LLVMTypeRef tf = cg_vec(m->f32, LANES), ti = cg_vec(m->i32, LANES);
    const bool bytes = cg_whole(m, c) == 8;
    LLVMTypeRef el = bytes ? m->i8 : m->i16;
    LLVMValueRef most = LLVMConstReal(m->f32, largest_integer(c));
    float step;
    const int32_t least = cg_unit_least(&c->panels.unit, &step);
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), high = largest(cg, c, src, n);
    LLVMValueRef by = cg_splat(cg, LLVMBuildFDiv(b, most, high, ""), LANES);
    LLVMValueRef scale = LLVMBuildFDiv(b, high, most, "");
    scale = LLVMBuildFMul(b, scale, LLVMConstReal(m->f32, step), "");
    LLVMValueRef sum = cg_var(cg, ti, LLVMConstNull(ti));
    cg_set(cg, sum, LLVMConstNull(ti));
    CgLoop i = cg_for(cg, zero, n, one);
    LLVMValueRef x = LLVMBuildFMul(b, load(cg, tf, src, i.i), by, "");
    x = cg_intrinsic(cg, "llvm.roundeven", 1, &tf, 1, &x);
    LLVMValueRef arg[2] = {LLVMBuildFPToSI(b, x, ti, ""), cg_iconst(ti, INT16_MAX)};
    x = in_pairs(cg, c, cg_intrinsic(cg, "llvm.smin", 1, &ti, 2, arg));
    cg_set(cg, sum, LLVMBuildAdd(b, cg_get(cg, ti, sum), x, ""));
    LLVMValueRef at = cg_mul_int(cg, i.i, cg_int(cg, bytes ? LANES : 2 * LANES));
    LLVMValueRef to = cg_gep(cg, m->i8, dst, cg_add_int(cg, at, cg_int(cg, HEAD)));
    LLVMSetAlignment(LLVMBuildStore(b, LLVMBuildTrunc(b, x, cg_vec(el, LANES), ""), to), 1);
    cg_next(cg, &i);
    x = start(cg, cg_get(cg, ti, sum), least, bytes);
    LLVMSetAlignment(LLVMBuildStore(b, x, dst), 4);
    LLVMSetAlignment(LLVMBuildStore(b, scale, cg_gep(cg, m->i8, dst, cg_int(cg, SCALE))), 4);
}

/* Block by block upwards: none is written over before it is read. */
void cg_whole_row(Cg *cg, const CgContract *c, LLVMValueRef n_k, LLVMValueRef row)
{
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1);
    LLVMValueRef len = cg_int(cg, cg_whole_len(c));
    CgLoop block = cg_for(cg, zero, cg_cdiv_int(cg, n_k, len), one);
    LLVMValueRef first = cg_mul_int(cg, block.i, len);
    LLVMValueRef n = cg_min_int(cg, len, LLVMBuildSub(cg->b, n_k, first, ""));
    fill_block(cg, c, cg_gep(cg, cg->m->f32, row, first), cg_cdiv_int(cg, n, cg_int(cg, LANES)),
               cg_whole_block(cg, c, row, block.i));
    cg_next(cg, &block);
}
