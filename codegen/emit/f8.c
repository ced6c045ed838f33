/* SPDX-License-Identifier: Apache-2.0 */
/* FP8 codes in the order of memory, e.g. of activations, to f32: what the target has for it. */
#include "codegen/emit/emit.h"

#include <math.h>
#include <string.h>

void cg_f8_table(Cg *cg, ScrtDtype t, int shift, LLVMValueRef ret[2])
{
    LLVMValueRef byte[64];
    for (uint32_t h = 0; h < 2; h++) {
        for (uint32_t i = 0; i < 64; i++) {
            double x = scrt_value(t, h * 64 + i);
            float f = isnan(x) ? NAN : (float)x;
            uint32_t bits;
            memcpy(&bits, &f, 4);
            bits = isnan(x) ? 0x7fc00000 : bits;
            byte[i] = LLVMConstInt(cg->m->i8, bits >> shift & 0xff, 0);
        }
        ret[h] = LLVMConstVector(byte, 64);
    }
}

/* Dwords whose bytes 2 and 3 are the code, the others zero: a byte permutation. */
static LLVMValueRef to_upper_half(Cg *cg, LLVMValueRef code, uint32_t w)
{
    LLVMValueRef lane[64], zero = LLVMConstNull(LLVMTypeOf(code));
    for (uint32_t i = 0; i < 4 * w; i++)
        lane[i] = LLVMConstInt(cg->m->i32, i % 4 < 2 ? w : i / 4, 0);
    return LLVMBuildShuffleVector(cg->b, code, zero, LLVMConstVector(lane, 4 * w), "");
}

static LLVMValueRef in_order_table(Cg *cg, ScrtDtype t, LLVMValueRef code)
{
    static const char name[] = "llvm.x86.avx512.vpermi2var.qi.512";
    LLVMTypeRef ti = cg_vec(cg->m->i32, 16);
    LLVMValueRef x = to_upper_half(cg, code, 16), part[2], half[2];
    for (int j = 0; j < 2; j++) {
        cg_f8_table(cg, t, 16 + 8 * j, half);
        LLVMValueRef arg[3] = {half[0], x, half[1]};
        part[j] = LLVMBuildBitCast(cg->b, cg_intrinsic(cg, name, 0, NULL, 3, arg), ti, "");
        part[j] = cg_and(cg, part[j], j ? (int32_t)0xff000000 : 0x00ff0000);
    }
    LLVMValueRef sign = cg_and(cg, LLVMBuildBitCast(cg->b, x, ti, ""), INT32_MIN);
    LLVMValueRef r = LLVMBuildOr(cg->b, LLVMBuildOr(cg->b, part[0], part[1], ""), sign, "");
    return LLVMBuildBitCast(cg->b, r, cg_vec(cg->m->f32, 16), "");
}

/* Of several vectors at once: each looked up by itself. */
static LLVMValueRef in_order_tables(Cg *cg, ScrtDtype t, LLVMValueRef code, uint32_t w)
{
    LLVMValueRef part[4];
    if (w == 16)
        return in_order_table(cg, t, code);
    for (uint32_t i = 0; i < w / 16; i++)
        part[i] = in_order_table(cg, t, cg_take(cg, code, 16 * i, 16));
    return cg_join(cg, part, w / 16);
}

/* An f16 number of E4M3's bits is 2^8 too small. */
static LLVMValueRef from_f16(Cg *cg, ScrtDtype t, LLVMValueRef x, LLVMTypeRef tf)
{
    bool small = t != SCRT_F8E5M2, in_f16 = cg_has(&cg->m->target, SCRT_CPU_FULLFP16);
    if (small && in_f16)
        x = LLVMBuildFMul(cg->b, x, cg_fconst(LLVMTypeOf(x), 256), "");
    x = LLVMBuildFPExt(cg->b, x, tf, "");
    return small && !in_f16 ? LLVMBuildFMul(cg->b, x, cg_fconst(tf, 256), "") : x;
}

static LLVMValueRef in_order_f16(Cg *cg, ScrtDtype t, LLVMValueRef code, uint32_t w)
{
    CgModule *m = cg->m;
    LLVMBuilderRef b = cg->b;
    const bool e5m2 = t == SCRT_F8E5M2;
    LLVMTypeRef words = cg_vec(m->i16, w), tf = cg_vec(m->f32, w);
    LLVMValueRef x = cg_shl(cg, LLVMBuildSExt(b, code, words, ""), e5m2 ? 8 : 7);
    if (!e5m2) { /* NaN becomes f16's, of its sign */
        x = cg_and(cg, x, (int16_t)0xbf80);
        LLVMValueRef sign = cg_iconst(words, (int16_t)0x8000),
                     most = cg_iconst(words, (int16_t)0xbf80);
        LLVMValueRef nan = LLVMBuildICmp(b, LLVMIntEQ, LLVMBuildOr(b, x, sign, ""), most, "");
        nan = cg_and(cg, LLVMBuildSExt(b, nan, words, ""), 0x3f80 ^ 0x7e00);
        x = LLVMBuildXor(b, x, nan, "");
    }
    return from_f16(cg, t, LLVMBuildBitCast(b, x, cg_vec(m->f16, w), ""), tf);
}

bool cg_decode_in_order(Cg *cg, ScrtDtype t, LLVMValueRef code, LLVMValueRef *ret)
{
    const CgTarget *target = &cg->m->target;
    LLVMTypeRef type = LLVMTypeOf(code);
    uint32_t w = LLVMGetTypeKind(type) == LLVMVectorTypeKind ? LLVMGetVectorSize(type) : 1;
    uint32_t least = target->w < 8 ? target->w : 8;
    if ((t != SCRT_F8E4M3FN && t != SCRT_F8E5M2) || w < least)
        return false;
    if (w >= 16 && target->f8 == CG_F8_TABLE && t == SCRT_F8E4M3FN)
        *ret = in_order_tables(cg, t, code, w);
    else if (target->f16)
        *ret = in_order_f16(cg, t, code, w);
    else
        return false;
    return true;
}
