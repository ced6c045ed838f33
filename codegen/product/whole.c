/* SPDX-License-Identifier: Apache-2.0 */
/* Few rows of A beside blocks of 4-bit codes, multiplied as integers, where the product lets A be
 * rounded (ScContract.short_a). Codes are looked up as small integers, from 0 on, and pmaddwd
 * multiplies two rows of B at once: 9 instructions for 32 codes, where decoding to f32 and fma take
 * 17. Sums of a block are exact, and are scaled once. On Zen 3 one core so reads 16.4 GB/s from its
 * second cache, and 9.2 by f32. (Two integers an element, upper and lower 16 bits, would round no
 * more than f32 does; so it reads 10.6 GB/s there, and from memory no more than by f32.)
 *
 * A block of a row lies where its f32 lay or before: */
#include "codegen/product/contract_priv.h"

enum {
    START = 0, /* i32: what sums begin with, since codes are looked up from 0 on (cg_unit_least) */
    SCALE = 4, /* f32: what they are to be multiplied by */
    HEAD = 8,  /* and then the integers */
    LANES = 8,
};

bool cg_whole(const CgModule *m, const CgContract *c)
{
    const CgPanels *q = &c->panels;
    const CgTile *t = &c->tile;
    return c->desc.short_a && m->target.avx2 && t->w == LANES && (q->ku == 2 || q->ku == 4) &&
           (q->unit.way == CG_UNIT_NIBBLES || q->unit.way == CG_UNIT_PERM) &&
           q->block % LANES == 0 && q->block && q->block <= 1024 && t->el == m->f32 &&
           t->micro->way == CG_UNIT_PLAIN;
}

static int64_t block_bytes(const CgContract *c)
{
    return HEAD + 2 * (int64_t)c->panels.block;
}

LLVMValueRef cg_whole_block(Cg *cg, const CgContract *c, LLVMValueRef row, LLVMValueRef block)
{
    return cg_gep(cg, cg->m->i8, row, cg_mul_int(cg, block, cg_int(cg, block_bytes(c))));
}

LLVMValueRef cg_whole_start(Cg *cg, LLVMValueRef block)
{
    LLVMValueRef x = LLVMBuildLoad2(cg->b, cg->m->i32, block, "");
    return cg_splat(cg, x, LANES);
}

/* The sum as what it stands for first, which is finite (stream.c: largest_exp): a sum of 0 adds
 * nothing then, however large the scales are. */
LLVMValueRef cg_whole_sum(Cg *cg, LLVMValueRef block, LLVMValueRef sum, LLVMValueRef scale,
                          LLVMValueRef acc)
{
    LLVMValueRef at = cg_gep(cg, cg->m->i8, block, cg_int(cg, SCALE));
    LLVMValueRef own = LLVMBuildLoad2(cg->b, cg->m->f32, at, "");
    sum = LLVMBuildSIToFP(cg->b, sum, LLVMTypeOf(acc), "");
    sum = LLVMBuildFMul(cg->b, sum, cg_splat(cg, own, LANES), "");
    return cg_fma(cg, sum, scale, acc);
}

LLVMValueRef cg_whole_pair(Cg *cg, LLVMValueRef block, LLVMValueRef pair)
{
    LLVMValueRef at = cg_add_int(cg, cg_mul_int(cg, pair, cg_int(cg, 4)), cg_int(cg, HEAD));
    LLVMValueRef x = LLVMBuildLoad2(cg->b, cg->m->i32, cg_gep(cg, cg->m->i8, block, at), "");
    return LLVMBuildBitCast(cg->b, cg_splat(cg, x, LANES), cg_vec(cg->m->i16, 2 * LANES), "");
}

LLVMValueRef cg_whole_mac(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef sum)
{
    LLVMValueRef arg[2] = {a, b};
    LLVMValueRef x = cg_intrinsic(cg, "llvm.x86.avx2.pmadd.wd", 0, NULL, 2, arg);
    return LLVMBuildAdd(cg->b, sum, x, "");
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

/* Bits of the power of two that is not above the largest of n vectors, and not below 2^-111: what
 * it takes to make it 2^14, and back, are normal numbers. */
static LLVMValueRef largest(Cg *cg, LLVMValueRef src, LLVMValueRef n)
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
    return cg_and(cg, reduce(cg, "llvm.vector.reduce.umax", cg_get(cg, bits, most)),
                  (int64_t)0xff << 23);
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

static void fill_block(Cg *cg, const CgContract *c, LLVMValueRef src, LLVMValueRef n,
                       LLVMValueRef dst)
{
    CgModule *m = cg->m;
    LLVMBuilderRef b = cg->b;
    LLVMTypeRef tf = cg_vec(m->f32, LANES), ti = cg_vec(m->i32, LANES);
    float step;
    const int32_t least = cg_unit_least(&c->panels.unit, &step);
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1);
    LLVMValueRef high = largest(cg, src, n);
    LLVMValueRef by =
        LLVMBuildSub(b, LLVMConstInt(m->i32, (uint64_t)(2 * 127 + 14) << 23, 0), high, "");
    LLVMValueRef scale = LLVMBuildSub(b, high, LLVMConstInt(m->i32, (uint64_t)14 << 23, 0), "");
    by = cg_splat(cg, LLVMBuildBitCast(b, by, m->f32, ""), LANES);
    scale =
        LLVMBuildFMul(b, LLVMBuildBitCast(b, scale, m->f32, ""), LLVMConstReal(m->f32, step), "");
    LLVMValueRef sum = cg_var(cg, ti, LLVMConstNull(ti));
    cg_set(cg, sum, LLVMConstNull(ti));
    CgLoop i = cg_for(cg, zero, n, one);
    LLVMValueRef x = LLVMBuildFMul(b, load(cg, tf, src, i.i), by, "");
    x = cg_intrinsic(cg, "llvm.roundeven", 1, &tf, 1, &x);
    LLVMValueRef arg[2] = {LLVMBuildFPToSI(b, x, ti, ""), cg_iconst(ti, INT16_MAX)};
    x = cg_intrinsic(cg, "llvm.smin", 1, &ti, 2, arg);
    cg_set(cg, sum, LLVMBuildAdd(b, cg_get(cg, ti, sum), x, ""));
    LLVMValueRef at = cg_add_int(cg, cg_mul_int(cg, i.i, cg_int(cg, 2 * LANES)), cg_int(cg, HEAD));
    x = in_pairs(cg, c, LLVMBuildTrunc(b, x, cg_vec(m->i16, LANES), ""));
    LLVMSetAlignment(LLVMBuildStore(b, x, cg_gep(cg, m->i8, dst, at)), 2);
    cg_next(cg, &i);
    x = reduce(cg, "llvm.vector.reduce.add", cg_get(cg, ti, sum));
    x = LLVMBuildMul(b, x, LLVMConstInt(m->i32, (uint32_t)least, 0), "");
    LLVMSetAlignment(LLVMBuildStore(b, x, dst), 4);
    LLVMSetAlignment(LLVMBuildStore(b, scale, cg_gep(cg, m->i8, dst, cg_int(cg, SCALE))), 4);
}

/* Block by block upwards: none is written over before it is read. */
void cg_whole_row(Cg *cg, const CgContract *c, LLVMValueRef n_k, LLVMValueRef row)
{
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), wide = cg_int(cg, c->panels.block);
    CgLoop block = cg_for(cg, zero, cg_cdiv_int(cg, n_k, wide), one);
    LLVMValueRef first = cg_mul_int(cg, block.i, wide);
    LLVMValueRef n = cg_min_int(cg, wide, LLVMBuildSub(cg->b, n_k, first, ""));
    fill_block(cg, c, cg_gep(cg, cg->m->f32, row, first), cg_cdiv_int(cg, n, cg_int(cg, LANES)),
               cg_whole_block(cg, c, row, block.i));
    cg_next(cg, &block);
}
