/* SPDX-License-Identifier: Apache-2.0 */
/* What register tiles multiply with: a table, of whose rows the first is taken that the target has
 * and that fits the types. An instruction that multiplies other types is a row more and its step;
 * where B is decoded for it, a way of decode.c; where A is neither bf16 nor what the result
 * computes with, what cg_tile_put makes of it. */
#include "codegen/product/product.h"

/* --- One number at a time, in the compute type of the result ---------------------------------- */

static bool any(const CgTypes *t)
{
    (void)t;
    return true;
}

static LLVMValueRef multiply_add(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef acc)
{
    LLVMTypeRef t = LLVMTypeOf(acc);
    if (LLVMGetTypeKind(t) == LLVMVectorTypeKind)
        t = LLVMGetElementType(t);
    if (LLVMGetTypeKind(t) != LLVMIntegerTypeKind)
        return cg_fma(cg, a, b, acc);
    return LLVMBuildAdd(cg->b, acc, LLVMBuildMul(cg->b, a, b, ""), "");
}

/* --- Pairs of bf16 numbers into f32 sums ------------------------------------------------------ */

/* The instruction reads subnormal numbers as zeros and makes zeros of subnormal sums. Neither
 * occurs with FP8: its numbers are normal as bf16, and a sum of products is a multiple of the
 * product of the least numbers, which is a normal f32. So each step rounds and no more: as fma
 * does, or on AArch64 twice and to odd. */
static bool both_fp8(const CgTypes *t)
{
    const ScrtDtype type[2] = {t->a, t->b};
    for (int i = 0; i < 2; i++) {
        const ScrtFormat *f = scrt_format(type[i]);
        if (!f || f->bits > 8 || f->min_denorm < 0x1p-63)
            return false;
    }
    return t->packed && (t->b == SCRT_F8E4M3FN || t->b == SCRT_F8E5M2) &&
           scrt_dtype_is_float(t->result) && t->result != SCRT_F64;
}

static LLVMValueRef dot_bf16(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef acc)
{
    uint32_t w = LLVMGetVectorSize(LLVMTypeOf(acc));
    const char *name = w == 16  ? "llvm.x86.avx512bf16.dpbf16ps.512"
                       : w == 8 ? "llvm.x86.avx512bf16.dpbf16ps.256"
                                : "llvm.x86.avx512bf16.dpbf16ps.128";
    LLVMTypeRef pairs = cg_vec(cg->m->bf16, 2 * w);
    LLVMValueRef arg[3] = {acc, LLVMBuildBitCast(cg->b, a, pairs, ""),
                           LLVMBuildBitCast(cg->b, b, pairs, "")};
    return cg_intrinsic(cg, name, 0, NULL, 3, arg);
}

/* Numbers that a bf16 holds exactly, in both operands. Of bf16 operands themselves tile
 * registers, BFDOT and BFMMLA read subnormal ones as zeros: less than 2^-126 of a number's partner
 * is lost. */
static bool both_bf16(const CgTypes *t)
{
    bool bf16 = t->packed && t->a == SCRT_BF16 && t->b == SCRT_BF16;
    return both_fp8(t) || (bf16 && (t->result == SCRT_BF16 || t->result == SCRT_F32));
}

/* Even numbers of each pair, then odd ones, as f32. */
static LLVMValueRef apart(Cg *cg, LLVMValueRef pairs, uint32_t w)
{
    LLVMTypeRef bits = cg_vec(cg->m->i32, w);
    LLVMValueRef lane[64], x = LLVMBuildBitCast(cg->b, pairs, bits, "");
    LLVMValueRef even = cg_shl(cg, x, 16), odd = cg_and(cg, x, (int32_t)0xffff0000);
    for (uint32_t i = 0; i < 2 * w; i++)
        lane[i] = LLVMConstInt(cg->m->i32, i, 0);
    x = LLVMBuildShuffleVector(cg->b, even, odd, LLVMConstVector(lane, 2 * w), "");
    return LLVMBuildBitCast(cg->b, x, cg_vec(cg->m->f32, 2 * w), "");
}

static LLVMValueRef fma_bf16(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef acc)
{
    uint32_t w = LLVMGetVectorSize(LLVMTypeOf(acc)) / 2;
    return cg_fma(cg, apart(cg, a, w), apart(cg, b, w), acc);
}

static LLVMValueRef even_and_odd(Cg *cg, LLVMValueRef acc)
{
    uint32_t w = LLVMGetVectorSize(LLVMTypeOf(acc)) / 2;
    return LLVMBuildFAdd(cg->b, cg_take(cg, acc, 0, w), cg_take(cg, acc, w, w), "");
}

/* BFDOT. Products are exact; their sum, and that with acc, are rounded to odd each (of the two
 * neighbours to that whose last bit is 1), whatever FPCR says but for its EBF, which Linux leaves
 * 0. A step of two products errs by less than a unit of the sum, two fma by half a unit each: the
 * bound is the same, the mean square twice as large. Subnormal numbers are read as zeros, and
 * results made zeros, as in tile registers. BFMMLA, which tiles take, is two such steps for each of
 * its sums, to the bit.
 *
 * Source: Arm ARM (DDI 0487), BFDOT, BFMMLA. */
static LLVMValueRef dot_arm(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef acc)
{
    uint32_t w = LLVMGetVectorSize(LLVMTypeOf(acc));
    LLVMTypeRef pairs = cg_vec(cg->m->bf16, 2 * w), type[2] = {LLVMTypeOf(acc), pairs};
    LLVMValueRef arg[3] = {acc, LLVMBuildBitCast(cg->b, a, pairs, ""),
                           LLVMBuildBitCast(cg->b, b, pairs, "")};
    return cg_intrinsic(cg, "llvm.aarch64.neon.bfdot", 2, type, 3, arg);
}

/* --- Pairs of i16 integers into i32 sums ------------------------------------------------------ */

static bool both_i16(const CgTypes *t)
{
    return t->packed && t->a == SCRT_I16 && t->b == SCRT_I16 && t->result == SCRT_I32;
}

/* Modulo 2^32, as the sum is. */
static LLVMValueRef dot_i16(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef acc)
{
    uint32_t w = LLVMGetVectorSize(LLVMTypeOf(acc));
    const char *name = w == 16  ? "llvm.x86.avx512.pmaddw.d.512"
                       : w == 8 ? "llvm.x86.avx2.pmadd.wd"
                                : "llvm.x86.sse2.pmadd.wd";
    LLVMTypeRef pairs = cg_vec(cg->m->i16, 2 * w);
    LLVMValueRef arg[2] = {LLVMBuildBitCast(cg->b, a, pairs, ""),
                           LLVMBuildBitCast(cg->b, b, pairs, "")};
    return LLVMBuildAdd(cg->b, acc, cg_intrinsic(cg, name, 0, NULL, 2, arg), "");
}

/* --- The table -------------------------------------------------------------------------------- */

#define BIT(x) (UINT64_C(1) << SCRT_CPU_##x)

/* Where AVX512-FP16 is, the bf16 dot product was measured at a third of what fma does. */
static const CgMicro micros[] = {
    {.name = "registers",
     .text = " in tile registers",
     .needs = BIT(AVX512F) | BIT(AVX512BW) | BIT(AVX512VL) | BIT(AVX512VBMI) | BIT(AMXTILE) |
              BIT(AMXBF16),
     .fits = both_bf16,
     .a = SCRT_BF16,
     .b = SCRT_BF16,
     .sum = SCRT_F32,
     .ku = 2,
     .deep = 32,
     .large = true,
     .registers = true,
     .way = CG_UNIT_PAIRS,
     .mac = fma_bf16,
     .part = even_and_odd},
    {.name = "pairs",
     .text = " of bf16 pairs",
     .needs = BIT(AVX512F) | BIT(AVX512BW) | BIT(AVX512VL) | BIT(AVX512VBMI) | BIT(AVX512BF16),
     .unless = BIT(AVX512FP16),
     .fits = both_fp8,
     .a = SCRT_BF16,
     .b = SCRT_BF16,
     .sum = SCRT_F32,
     .ku = 2,
     .way = CG_UNIT_PAIRS,
     .mac = dot_bf16},
    {.name = "squares",
     .text = " of bf16, 2 x 2 at once",
     .needs = BIT(BF16),
     .fits = both_bf16,
     .a = SCRT_BF16,
     .b = SCRT_BF16,
     .sum = SCRT_F32,
     .ku = 2,
     .deep = 4,
     .squares = true,
     .way = CG_UNIT_PAIRS,
     .mac = dot_arm},
    {.name = "words",
     .text = " of i16 pairs",
     .needs = BIT(SSSE3),
     .fits = both_i16,
     .a = SCRT_I16,
     .b = SCRT_I16,
     .sum = SCRT_I32,
     .ku = 2,
     .way = CG_UNIT_PAIRS,
     .mac = dot_i16},
    {.name = "plain", .text = "", .fits = any, .ku = 1, .way = CG_UNIT_PLAIN, .mac = multiply_add},
};
enum { N_MICRO = sizeof micros / sizeof *micros, PLAIN = N_MICRO - 1 };

static const CgMicro *choose(const CgTarget *t, const CgTypes *types, bool large)
{
    const uint64_t has = t->bits | t->modelled;
    uint32_t i = 0;
    while (i < PLAIN && ((has & micros[i].needs) != micros[i].needs || (has & micros[i].unless) ||
                         (micros[i].large && !large) || !micros[i].fits(types)))
        i++;
    return &micros[i];
}

static CgElement stored(CgModule *m, ScrtDtype t)
{
    return (CgElement){cg_storage_type(m, t), scrt_dtype_bits(t) / 8};
}

static CgElement computing(CgModule *m, ScrtDtype t)
{
    uint32_t bits = scrt_dtype_bits(t);
    uint32_t size = scrt_dtype_is_float(t) && bits < 32 ? 4 : bits / 8;
    return (CgElement){cg_compute_type(m, t), size};
}

void cg_tile_types(CgModule *m, const CgTypes *types, bool large, CgTile *ret)
{
    const CgMicro *u = choose(&m->target, types, large);
    CgElement sum = computing(m, u->sum ? u->sum : types->result);
    *ret = (CgTile){.micro = u, .ku = u->ku, .el = sum.type, .size = sum.size};
    ret->deep = u->deep ? u->deep : u->ku;
    ret->a = u->a ? stored(m, u->a) : sum;
    ret->b = u->b ? stored(m, u->b) : sum;
    ret->w = sum.size > 4 ? m->target.w / 2 : m->target.w;
}

LLVMTypeRef cg_tile_sums(const CgTile *t)
{
    return cg_vec(t->el, t->micro->part ? t->w * t->ku : t->w);
}

LLVMValueRef cg_tile_mac(Cg *cg, const CgTile *t, LLVMValueRef a, LLVMValueRef b, LLVMValueRef acc)
{
    return t->micro->mac(cg, a, b, acc);
}

LLVMValueRef cg_tile_group(Cg *cg, const CgTile *t, LLVMValueRef ptr, uint32_t w)
{
    uint32_t size = t->ku * t->a.size;
    LLVMTypeRef type = t->ku == 1 ? t->a.type : LLVMIntTypeInContext(cg->m->ctx, 8 * size);
    LLVMValueRef x = LLVMBuildLoad2(cg->b, type, ptr, "");
    LLVMSetAlignment(x, size);
    x = cg_splat(cg, x, w);
    return t->ku == 1 ? x : LLVMBuildBitCast(cg->b, x, cg_vec(t->a.type, w * t->ku), "");
}

LLVMValueRef cg_number(Cg *cg, LLVMTypeRef el, CgVal x, uint32_t w)
{
    const bool stored = scrt_dtype_is_integer(x.t) && scrt_dtype_bits(x.t) <= 16;
    if (!stored || cg_compute_type(cg->m, x.t) == el)
        return x.v;
    const bool no_sign = scrt_dtype_kind(x.t) == SCRT_KIND_UINT;
    LLVMTypeRef to = cg_vec(el, w);
    if (LLVMGetTypeKind(el) == LLVMIntegerTypeKind)
        return no_sign ? LLVMBuildZExt(cg->b, x.v, to, "") : LLVMBuildSExt(cg->b, x.v, to, "");
    return no_sign ? LLVMBuildUIToFP(cg->b, x.v, to, "") : LLVMBuildSIToFP(cg->b, x.v, to, "");
}

/* A bf16 number is the upper half of the f32 that it is. */
void cg_tile_put(Cg *cg, const CgTile *t, CgVal x, uint32_t w, LLVMValueRef ptr)
{
    LLVMValueRef y = x.v;
    if (t->micro->a == SCRT_BF16) {
        LLVMTypeRef bits = cg_vec(cg->m->i32, w);
        y = LLVMBuildBitCast(cg->b, y, bits, "");
        y = LLVMBuildTrunc(cg->b, LLVMBuildLShr(cg->b, y, cg_iconst(bits, 16), ""),
                           cg_vec(t->a.type, w), "");
    } else {
        y = cg_number(cg, t->a.type, x, w);
    }
    LLVMSetAlignment(LLVMBuildStore(cg->b, y, ptr), t->a.size);
}

void cg_tile_zeros(Cg *cg, const CgTile *t, LLVMValueRef ptr)
{
    LLVMValueRef zeros = LLVMConstNull(cg_vec(t->a.type, t->w));
    LLVMSetAlignment(LLVMBuildStore(cg->b, zeros, ptr), t->a.size);
}
