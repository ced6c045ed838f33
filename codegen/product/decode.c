/* SPDX-License-Identifier: Apache-2.0 */
/* Packed FP8 codes to f32 or bf16 vectors in registers, in the way that is fast on the target.
 *
 * What every way must keep: the decoded number is the code's own, exactly, subnormals included, and
 * NaN where the codes may hold it. What every way wants: no instruction that moves lanes, hence the
 * order of the packed codes is the way's; and no operand that is an f32 subnormal, because a
 * multiplication of one costs some 100 clocks on half of the processors. The ways:
 *
 *   bits   16 lanes take 9 integer operations; runs everywhere, on codes of 4 and 6 bits too. Small
 *          integers take two shifts and a conversion.
 *   perm   codes of 4 bits choose among the 16 numbers, or with AVX2 among the upper bytes of
 *          these, where a level with wider vectors or 8-bit rows want them packed so.
 *   nibbles  codes of 4 bits choose bytes, which are decoded as by shift.
 *   f16    an FP8 number is an f16 number with bits of its own: E5M2 its upper byte, E4M3 the same
 *          shifted by one, times 2^8. f16 subnormals convert at full speed.
 *   table  the upper 16 bits of the f32 are a function of 7 bits: two lookups of 128 bytes.
 *   pairs  the same lookups; the 16 bits stay what they are, a bf16 number, beside that of the next
 *          row. bf16 numbers are packed so, and not decoded. On AArch64 the two bytes are shifts of
 *          the code, and where that is below 16, entries of tables: 9 instructions for 16 codes.
 *   shift  pmaddubsw shifts two codes of each dword into the place of exponent and mantissa of an
 *          f32 that is 2^120 (E5M2: 2^112) too small. Subnormal codes would be subnormal f32: where
 *          the highest exponents are free, as with weights of RMS 1, all codes are packed with
 *          exponents that much higher, and none is subnormal. */
#include "codegen/product/product.h"

#include <math.h>
#include <string.h>

/* Exponents by which subnormal numbers become normal: bits of the mantissa. */
static uint32_t raise_bits(ScrtDtype t)
{
    return t == SCRT_F8E5M2 ? 2 : 3;
}

/* The largest magnitude, and the smallest above 0 less 1: of bytes, which are vectors where n is a
 * constant. */
static inline __attribute__((always_inline)) void
see_codes(size_t n, const uint8_t *restrict c, uint8_t *restrict most, uint8_t *restrict least)
{
    uint8_t m = *most, l = *least;
    for (size_t i = 0; i < n; i++) {
        uint8_t mag = c[i] & 0x7f, below = (uint8_t)(mag - 1);
        m = mag > m ? mag : m;
        l = below < l ? below : l;
    }
    *most = m;
    *least = l;
}

uint64_t cg_codes_facts(ScrtDtype t, const void *code, size_t n)
{
    enum { RUN = 256 };
    const uint8_t *c = code, *end = c + n;
    if (t == SCRT_F8E8M0)
        return (memchr(code, 0, n) ? 0 : CG_CODES_NORMAL) |
               (memchr(code, 0xff, n) ? 0 : CG_CODES_FINITE);
    const bool e5m2 = t == SCRT_F8E5M2;
    const uint8_t man = e5m2 ? 3 : 7, inf = e5m2 ? 0x7c : 0x7f;
    const uint8_t low = (uint8_t)(0x7f - (raise_bits(t) << raise_bits(t)));
    uint8_t most = 0, least = UINT8_MAX;
    for (; end - c >= RUN; c += RUN)
        see_codes(RUN, c, &most, &least);
    see_codes((size_t)(end - c), c, &most, &least);
    return (least >= man ? CG_CODES_NORMAL : 0) | (most < inf ? CG_CODES_FINITE : 0) |
           (most <= low ? CG_CODES_LOW : 0);
}

uint8_t cg_unit_code(const CgUnit *u, uint8_t code)
{
    const uint32_t man = u->raised, least = 1u << man, mag = code & 0x7f;
    if (!man || !mag)
        return code;
    if (mag >= least)
        return (uint8_t)(code + (man << man));
    uint32_t high = 31 - (uint32_t)__builtin_clz(mag); /* becomes the 1 before the mantissa */
    uint32_t up = (high + 1) << man | (mag << (man - high) & (least - 1));
    return (uint8_t)((code & 0x80) | up);
}

CgUnit cg_unit(const CgTarget *t, ScrtDtype dtype, uint64_t facts)
{
    CgUnit u = {.way = CG_UNIT_PLAIN, .dtype = dtype, .w = t->w, .facts = (uint32_t)facts};
    if (scrt_dtype_bits(dtype) < 8) {
        bool four = scrt_dtype_bits(dtype) == 4;
        u.way = four && t->w == 16 && t->avx512 ? CG_UNIT_PERM
                : four && t->w == 8 && t->avx2  ? CG_UNIT_NIBBLES
                                                : CG_UNIT_BITS;
        u.facts = CG_CODES_FINITE;
        return u;
    }
    if (dtype != SCRT_F8E4M3FN && dtype != SCRT_F8E5M2)
        return u;
    bool finite = facts & CG_CODES_FINITE, e5m2 = dtype == SCRT_F8E5M2;
    bool shifts = t->w == 4 ? cg_has(t, SCRT_CPU_SSSE3) : t->w == 8 ? t->avx2 : t->avx512;
    if (shifts && (facts & CG_CODES_LOW)) {
        u.way = CG_UNIT_SHIFT;
        u.raised = raise_bits(dtype);
    } else if (shifts && finite && (facts & CG_CODES_NORMAL)) {
        u.way = CG_UNIT_SHIFT;
    } else if (t->f8 == CG_F8_TABLE && t->w == 16) {
        u.way = CG_UNIT_TABLE;
    } else if (t->f8 == CG_F8_F16 && (finite || e5m2)) {
        u.way = CG_UNIT_F16;
    } else {
        u.way = CG_UNIT_BITS;
    }
    return u;
}

const char *cg_unit_name(const CgUnit *u)
{
    static const char *const name[] = {
        [CG_UNIT_PLAIN] = "plain",     [CG_UNIT_BITS] = "bits",   [CG_UNIT_F16] = "f16",
        [CG_UNIT_TABLE] = "table",     [CG_UNIT_SHIFT] = "shift", [CG_UNIT_PERM] = "perm",
        [CG_UNIT_NIBBLES] = "nibbles", [CG_UNIT_PAIRS] = "pairs",
    };
    return name[u->way];
}

uint32_t cg_unit_place(const CgUnit *u, uint32_t i)
{
    uint32_t vec = i / u->w, lane = i % u->w;
    switch (u->way) {
    case CG_UNIT_F16: /* words: even bytes, then odd ones; each in two halves */
        return 2 * (lane + (vec & 1) * u->w) + vec / 2;
    case CG_UNIT_TABLE: /* bytes unpack to words within 128 bits, words to dwords in place */
        return lane / 4 * 16 + vec / 2 * 8 + lane % 4 * 2 + vec % 2;
    case CG_UNIT_PAIRS: { /* of 16 bits: in order; else: word w of vector v is byte w of every 8
                             that unpack to it */
        uint32_t word = 2 * lane + vec / u->nv % 2;
        if (scrt_dtype_bits((ScrtDtype)u->dtype) == 16)
            return (vec / (2 * u->nv) * u->nv + vec % u->nv) * 2 * u->w + word;
        return word / 8 * 16 + (vec / (2 * u->nv) * u->nv + vec % u->nv) * 8 + word % 8;
    }
    case CG_UNIT_PLAIN:
        return i;
    default: /* byte `vec` of dword `lane` */
        return lane * 4 + vec;
    }
}

/* Where byte `byte` of word `lane` of codes of fewer than 8 bits lies. */
static uint32_t word_at(const CgUnit *u, uint32_t lane, uint32_t byte)
{
    uint32_t bytes = scrt_dtype_bits((ScrtDtype)u->dtype) / 2;
    return bytes > 2 ? byte * u->w + lane : lane * bytes + byte;
}

uint32_t cg_unit_bit(const CgUnit *u, uint32_t i, uint32_t bit)
{
    uint32_t vec = i / u->w, lane = i % u->w, half = u->w / 2;
    if (u->way == CG_UNIT_NIBBLES) /* byte `vec` of a dword, of which two lanes have a half each */
        return 8 * (lane % half * 4 + vec) + lane / half * 4 + bit;
    uint32_t at = vec * scrt_dtype_bits((ScrtDtype)u->dtype) + bit;
    return 8 * word_at(u, lane, at / 8) + at % 8;
}

/* Dword lanes whose highest bits are the code, whatever is below. Below the least normal number the
 * bits are read as 1.m at the least exponent, and the 1 is taken away again: no f32 subnormal
 * appears. */
static LLVMValueRef from_top_byte(Cg *cg, const CgUnit *u, LLVMValueRef x)
{
    CgModule *m = cg->m;
    const ScrtFormat *f = scrt_format((ScrtDtype)u->dtype);
    const bool e5m2 = u->dtype == SCRT_F8E5M2;
    const int man = 16 + f->exp_bits, bias = 127 - f->bias; /* f32's bias less the format's */
    LLVMTypeRef ti = LLVMTypeOf(x), tf = cg_vec(m->f32, u->w);
    LLVMBuilderRef b = cg->b;

    LLVMValueRef sign = cg_and(cg, x, INT32_MIN);
    LLVMValueRef mag = LLVMBuildLShr(b, cg_and(cg, x, ((1 << (f->bits - 1)) - 1) << (32 - f->bits)),
                                     cg_iconst(ti, 24 - man), "");
    LLVMValueRef normal = LLVMBuildAdd(b, mag, cg_iconst(ti, (int64_t)bias << 23), "");
    LLVMValueRef one = LLVMBuildAdd(b, mag, cg_iconst(ti, (int64_t)(bias + 1) << 23), "");
    LLVMValueRef sub = LLVMBuildFSub(b, LLVMBuildBitCast(b, one, tf, ""),
                                     cg_fconst(tf, ldexp(1, bias + 1 - 127)), "");
    LLVMValueRef small = LLVMBuildICmp(b, LLVMIntULT, mag, cg_iconst(ti, 1 << 23), "");
    LLVMValueRef r = LLVMBuildSelect(b, small, LLVMBuildBitCast(b, sub, ti, ""), normal, "");
    if (!(u->facts & CG_CODES_FINITE)) { /* E4M3: one NaN; E5M2: infinity and NaNs as they are */
        int64_t least = e5m2 ? 0x7c000000 : 0x7f000000;
        LLVMValueRef high =
            LLVMBuildICmp(b, LLVMIntUGE, mag, cg_iconst(ti, least >> (24 - man)), "");
        LLVMValueRef top =
            e5m2 ? LLVMBuildOr(b, mag, cg_iconst(ti, 0x7f800000), "") : cg_iconst(ti, 0x7fc00000);
        r = LLVMBuildSelect(b, high, top, r, "");
    }
    return LLVMBuildBitCast(b, LLVMBuildOr(b, r, sign, ""), tf, "");
}

static bool is_int(const CgUnit *u)
{
    return !scrt_dtype_is_float((ScrtDtype)u->dtype);
}

/* Dword lanes whose highest bits are an integer with a sign, whatever is below. */
static LLVMValueRef from_top_bits(Cg *cg, const CgUnit *u, LLVMValueRef x)
{
    uint32_t bits = scrt_dtype_bits((ScrtDtype)u->dtype);
    x = LLVMBuildAShr(cg->b, x, cg_iconst(LLVMTypeOf(x), 32 - bits), "");
    return LLVMBuildSIToFP(cg->b, x, cg_vec(cg->m->f32, u->w), "");
}

static void decode_bits(Cg *cg, const CgUnit *u, LLVMValueRef x, LLVMValueRef ret[4])
{
    uint32_t bits = scrt_dtype_bits((ScrtDtype)u->dtype);
    LLVMValueRef d = LLVMBuildBitCast(cg->b, x, cg_vec(cg->m->i32, u->w), "");
    for (uint32_t j = 0; j < 4; j++)
        ret[j] = is_int(u) ? from_top_bits(cg, u, cg_shl(cg, d, 32 - bits * (j + 1)))
                           : from_top_byte(cg, u, cg_shl(cg, d, 32 - bits * (j + 1)));
}

/* u->w words of codes of fewer than 8 bits: at once, or byte by byte, `apart` from one to the next,
 * where there is no such integer. */
static LLVMValueRef load_words(Cg *cg, const CgUnit *u, uint32_t apart, LLVMValueRef ptr)
{
    LLVMTypeRef ti = cg_vec(cg->m->i32, u->w);
    uint32_t bytes = scrt_dtype_bits((ScrtDtype)u->dtype) / 2;
    LLVMTypeRef part = apart == 1 ? LLVMIntTypeInContext(cg->m->ctx, 8 * bytes) : cg->m->i8;
    LLVMValueRef d = NULL;
    for (uint32_t q = 0; q < (apart == 1 ? 1 : bytes); q++) {
        LLVMValueRef at = cg_gep(cg, cg->m->i8, ptr, cg_int(cg, q * apart));
        LLVMValueRef x = LLVMBuildLoad2(cg->b, cg_vec(part, u->w), at, "");
        LLVMSetAlignment(x, 1);
        x = LLVMBuildZExt(cg->b, x, ti, "");
        d = d ? LLVMBuildOr(cg->b, d, cg_shl(cg, x, 8 * q), "") : x;
    }
    return d;
}

static float number(const CgUnit *u, uint32_t code)
{
    return is_int(u) ? (float)((int)(code ^ 8) - 8) : (float)scrt_value((ScrtDtype)u->dtype, code);
}

static void decode_perm(Cg *cg, const CgUnit *u, LLVMValueRef d, LLVMValueRef ret[4])
{
    LLVMTypeRef ti = cg_vec(cg->m->i32, 16);
    LLVMValueRef all[16];
    for (uint32_t i = 0; i < 16; i++)
        all[i] = LLVMConstReal(cg->m->f32, number(u, i));
    for (uint32_t j = 0; j < 4; j++) { /* low bits of the index count */
        LLVMValueRef code = LLVMBuildLShr(cg->b, d, cg_iconst(ti, 4 * j), "");
        LLVMValueRef arg[2] = {LLVMConstVector(all, 16), code};
        ret[j] = cg_intrinsic(cg, "llvm.x86.avx512.permvar.sf.512", 0, NULL, 2, arg);
    }
}

/* Lanes of x, then of y, in pieces of n: those whose numbers `from` names. */
static LLVMValueRef pieces(Cg *cg, LLVMValueRef x, LLVMValueRef y, uint32_t n, uint32_t n_piece,
                           const uint32_t *from)
{
    LLVMValueRef lane[32];
    for (uint32_t i = 0; i < n * n_piece; i++)
        lane[i] = LLVMConstInt(cg->m->i32, from[i / n] * n + i % n, 0);
    return LLVMBuildShuffleVector(cg->b, x, y, LLVMConstVector(lane, n * n_piece), "");
}

/* The entry of each of 32 codes, a byte each. */
static LLVMValueRef entries_of(Cg *cg, const uint8_t entry[16], LLVMValueRef codes)
{
    LLVMValueRef table[32];
    for (uint32_t i = 0; i < 32; i++)
        table[i] = LLVMConstInt(cg->m->i8, entry[i % 16], 0);
    LLVMValueRef arg[2] = {LLVMConstVector(table, 32), codes};
    return cg_intrinsic(cg, "llvm.x86.avx2.pshuf.b", 0, NULL, 2, arg);
}

/* Byte `byte` of the f32 of each of 32 codes, a byte each. */
static LLVMValueRef byte_of(Cg *cg, const CgUnit *u, LLVMValueRef codes, uint32_t byte)
{
    uint8_t entry[16];
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t bits;
        float x = number(u, i);
        memcpy(&bits, &x, sizeof bits);
        entry[i] = (uint8_t)(bits >> 8 * byte);
    }
    return entries_of(cg, entry, codes);
}

/* 8 words of 4 codes each: the lower half of the f32 is 0, the two bytes of the upper one are
 * looked up. Codes 0 and 2 of the words stand in the lower 16 bytes, 1 and 3 in the upper ones, as
 * unpacking leaves them beside each other. */
static void decode_bytes(Cg *cg, const CgUnit *u, LLVMValueRef d, LLVMValueRef ret[4])
{
    CgModule *m = cg->m;
    LLVMTypeRef bytes = cg_vec(m->i8, 16), ti = cg_vec(m->i32, 8), tf = cg_vec(m->f32, 8);
    static const uint32_t both[] = {0, 1}, even[] = {0, 2}, odd[] = {1, 3};
    uint32_t low[32], high[32];
    /* within 16 bytes, byte by byte from the one and the other */
    for (uint32_t i = 0; i < 32; i++) {
        low[i] = i / 16 * 16 + i % 16 / 2 + i % 2 * 32;
        high[i] = low[i] + 8;
    }
    LLVMValueRef x = LLVMBuildTrunc(cg->b, d, cg_vec(m->i16, 8), "");
    x = LLVMBuildBitCast(cg->b, x, bytes, "");
    LLVMValueRef half[2] = {cg_and(cg, x, 15), LLVMBuildLShr(cg->b, x, cg_iconst(bytes, 4), "")};
    x = pieces(cg, half[0], half[1], 16, 2, both);
    LLVMValueRef lower = byte_of(cg, u, x, 2), upper = byte_of(cg, u, x, 3);
    LLVMValueRef left = pieces(cg, lower, upper, 1, 32, low);
    LLVMValueRef right = pieces(cg, lower, upper, 1, 32, high);
    left = LLVMBuildBitCast(cg->b, left, ti, "");
    right = LLVMBuildBitCast(cg->b, right, ti, "");
    for (uint32_t j = 0; j < 4; j++) {
        LLVMValueRef w = pieces(cg, left, right, 4, 2, j % 2 ? odd : even);
        w = j / 2 ? cg_and(cg, w, (int32_t)0xffff0000) : cg_shl(cg, w, 16);
        ret[j] = LLVMBuildBitCast(cg->b, w, tf, "");
    }
}

/* The exponent of the largest number of 4 bits. */
static int nibble_exp(const CgUnit *u)
{
    return is_int(u) ? 3 : ilogb(scrt_format((ScrtDtype)u->dtype)->max);
}

uint32_t cg_unit_small(const CgUnit *u)
{
    const bool e5m2 = u->dtype == SCRT_F8E5M2;
    if (u->way == CG_UNIT_NIBBLES) /* the largest has the highest of 15 exponents */
        return (uint32_t)(127 - 15 + nibble_exp(u));
    if (u->way == CG_UNIT_SHIFT)
        return (e5m2 ? 112 : 120) - u->raised;
    return u->way == CG_UNIT_F16 && !e5m2 ? 8 : 0;
}

static LLVMValueRef made_right(Cg *cg, const CgUnit *u, LLVMValueRef x)
{
    uint32_t small = cg_unit_small(u) - u->left;
    if (!small)
        return x;
    return LLVMBuildFMul(cg->b, x, cg_fconst(LLVMTypeOf(x), ldexp(1, (int)small)), "");
}

static void decode_f16(Cg *cg, const CgUnit *u, LLVMValueRef x, LLVMValueRef ret[4])
{
    CgModule *m = cg->m;
    LLVMTypeRef words = cg_vec(m->i16, 2 * u->w), tf = cg_vec(m->f32, u->w);
    LLVMValueRef w = LLVMBuildBitCast(cg->b, x, words, "");
    LLVMValueRef f16[2] = {cg_shl(cg, w, 8), w};
    const bool in_f16 = cg_has(&m->target, SCRT_CPU_FULLFP16) && cg_unit_small(u) > u->left;
    for (int j = 0; j < 2; j++) {
        if (u->dtype == SCRT_F8E5M2)
            f16[j] = j ? cg_and(cg, f16[j], (int16_t)0xff00) : f16[j];
        else /* the sign twice, then 7 bits: the mask takes the second sign away */
            f16[j] =
                cg_and(cg, LLVMBuildAShr(cg->b, f16[j], cg_iconst(words, 1), ""), (int16_t)0xbf80);
        f16[j] = LLVMBuildBitCast(cg->b, f16[j], cg_vec(m->f16, 2 * u->w), "");
        if (in_f16) /* twice as many at a time */
            f16[j] = made_right(cg, u, f16[j]);
    }
    for (uint32_t j = 0; j < 4; j++) {
        LLVMValueRef h = cg_take(cg, f16[j / 2], j % 2 * u->w, u->w);
        h = LLVMBuildFPExt(cg->b, h, tf, "");
        ret[j] = in_f16 ? h : made_right(cg, u, h);
    }
}

static LLVMValueRef unpack(Cg *cg, LLVMValueRef lo, LLVMValueRef hi, uint32_t half)
{
    LLVMValueRef lane[64];
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t from = i / 16 * 16 + half * 8 + i % 16 / 2;
        lane[i] = LLVMConstInt(cg->m->i32, from + i % 2 * 64, 0);
    }
    return LLVMBuildShuffleVector(cg->b, lo, hi, LLVMConstVector(lane, 64), "");
}

/* Entries of a table for codes below 16, all others as they are in x. */
static LLVMValueRef small_codes(Cg *cg, ScrtDtype dtype, uint32_t shift, LLVMValueRef x,
                                LLVMValueRef mag)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef entry[16];
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t bits;
        float v = (float)scrt_value(dtype, i);
        memcpy(&bits, &v, sizeof bits);
        entry[i] = LLVMConstInt(cg->m->i8, bits >> shift & 0xff, 0);
    }
    LLVMValueRef arg[3] = {x, LLVMConstVector(entry, 16), mag};
    return cg_intrinsic(cg, "llvm.aarch64.neon.tbx1", 1, &type, 3, arg);
}

/* The same of 8 codes each, for NEON. The lower byte has the last bit of the exponent and the
 * mantissa, the upper one the sign and the others: those of normal codes are shifts of theirs. */
static void look_up_neon(Cg *cg, const CgUnit *u, LLVMValueRef x, LLVMValueRef ret[2])
{
    const ScrtDtype dtype = (ScrtDtype)u->dtype;
    const ScrtFormat *f = scrt_format(dtype);
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef mag = cg_and(cg, x, 0x7f), lane[16];
    LLVMValueRef low = small_codes(cg, dtype, 16, cg_shl(cg, x, 7 - (int)f->man_bits), mag);
    LLVMValueRef high = LLVMBuildLShr(cg->b, mag, cg_iconst(type, (int64_t)f->man_bits + 1), "");
    high = LLVMBuildAdd(cg->b, high, cg_iconst(type, (127 - f->bias) / 2), "");
    high = small_codes(cg, dtype, 24, high, mag);
    if (!(u->facts & CG_CODES_FINITE)) { /* all of the exponent */
        int64_t least = dtype == SCRT_F8E5M2 ? 0x7c : 0x7f;
        LLVMValueRef top = LLVMBuildICmp(cg->b, LLVMIntUGE, mag, cg_iconst(type, least), "");
        high = LLVMBuildOr(cg->b, high, LLVMBuildSExt(cg->b, top, type, ""), "");
    }
    high = LLVMBuildOr(cg->b, cg_and(cg, high, 0x7f), cg_and(cg, x, -128), "");
    for (uint32_t j = 0; j < 2; j++) {
        for (uint32_t i = 0; i < 16; i++)
            lane[i] = LLVMConstInt(cg->m->i32, 8 * j + i / 2 + i % 2 * 16, 0);
        ret[j] = LLVMBuildShuffleVector(cg->b, low, high, LLVMConstVector(lane, 16), "");
        ret[j] = LLVMBuildBitCast(cg->b, ret[j], cg_vec(cg->m->i16, 8), "");
    }
}

/* Words that are the upper halves of the f32: of 32 codes each. */
static void look_up(Cg *cg, ScrtDtype dtype, LLVMValueRef x, LLVMValueRef ret[2])
{
    static const char name[] = "llvm.x86.avx512.vpermi2var.qi.512";
    LLVMValueRef t[2], byte[2];
    for (int j = 0; j < 2; j++) {
        cg_f8_table(cg, dtype, 16 + 8 * j, t);
        LLVMValueRef arg[3] = {t[0], x, t[1]};
        byte[j] = cg_intrinsic(cg, name, 0, NULL, 3, arg);
    }
    byte[1] = LLVMBuildOr(cg->b, byte[1], cg_and(cg, x, -128), "");
    for (uint32_t j = 0; j < 2; j++)
        ret[j] =
            LLVMBuildBitCast(cg->b, unpack(cg, byte[0], byte[1], j), cg_vec(cg->m->i16, 32), "");
}

/* For AVX-512 what unpacks together lies 32 codes apart in memory, 8 at a time. */
void cg_pairs_decode(Cg *cg, ScrtDtype dtype, LLVMValueRef codes, LLVMValueRef ret[2])
{
    LLVMValueRef lane[64];
    if (LLVMGetVectorSize(LLVMTypeOf(codes)) == 16) {
        look_up_neon(cg, &(CgUnit){.dtype = dtype}, codes, ret);
        return;
    }
    for (uint32_t i = 0; i < 64; i++)
        lane[i] = LLVMConstInt(cg->m->i32, i / 8 % 2 * 32 + i / 16 * 8 + i % 8, 0);
    LLVMValueRef none = LLVMGetPoison(LLVMTypeOf(codes));
    look_up(cg, dtype, LLVMBuildShuffleVector(cg->b, codes, none, LLVMConstVector(lane, 64), ""),
            ret);
}

static void decode_table(Cg *cg, const CgUnit *u, LLVMValueRef x, LLVMValueRef ret[4])
{
    LLVMTypeRef ti = cg_vec(cg->m->i32, 16), tf = cg_vec(cg->m->f32, 16);
    LLVMValueRef half[2];
    look_up(cg, (ScrtDtype)u->dtype, x, half);
    for (uint32_t j = 0; j < 4; j++) {
        LLVMValueRef w = LLVMBuildBitCast(cg->b, half[j / 2], ti, "");
        w = j % 2 ? cg_and(cg, w, (int32_t)0xffff0000) : cg_shl(cg, w, 16);
        ret[j] = LLVMBuildBitCast(cg->b, w, tf, "");
    }
}

/* Dwords of four codes each, x as bytes. */
static void decode_shift(Cg *cg, const CgUnit *u, LLVMValueRef x, LLVMValueRef ret[4])
{
    CgModule *m = cg->m;
    const bool e5m2 = u->dtype == SCRT_F8E5M2;
    const char *name = u->w == 16  ? "llvm.x86.avx512.pmaddubs.w.512"
                       : u->w == 8 ? "llvm.x86.avx2.pmadd.ub.sw"
                                   : "llvm.x86.ssse3.pmadd.ub.sw.128";
    LLVMTypeRef ti = cg_vec(m->i32, u->w), tf = cg_vec(m->f32, u->w);
    LLVMValueRef t[2], byte[64];
    for (uint32_t odd = 0; odd < 2; odd++) {
        for (uint32_t i = 0; i < 4 * u->w; i++)
            byte[i] = LLVMConstInt(m->i8, i % 2 != odd ? 0 : e5m2 ? 32 : 16, 0);
        LLVMValueRef arg[2] = {LLVMConstVector(byte, 4 * u->w), x};
        t[odd] = LLVMBuildBitCast(cg->b, cg_intrinsic(cg, name, 0, NULL, 2, arg), ti, "");
    }
    for (uint32_t j = 0; j < 4; j++) {
        LLVMValueRef d = j < 2 ? cg_shl(cg, t[j], 16) : t[j - 2];
        d = cg_and(cg, d, (int32_t)(e5m2 ? 0x8fe00000 : 0x87f00000));
        ret[j] = made_right(cg, u, LLVMBuildBitCast(cg->b, d, tf, ""));
    }
}

/* What `entry` makes of the 32 codes of x, 16 bytes of two each: those of the lower four lanes,
 * then of the upper ones. */
static LLVMValueRef look_up_nibbles(Cg *cg, LLVMValueRef x, const uint8_t entry[16])
{
    CgModule *m = cg->m;
    LLVMTypeRef ti = cg_vec(m->i32, 8), bytes = cg_vec(m->i8, 32);
    LLVMValueRef from[32], by[8];
    for (uint32_t i = 0; i < 32; i++) {
        from[i] = LLVMConstInt(m->i32, i % 16, 0);
        by[i / 4] = LLVMConstInt(m->i32, i < 16 ? 0 : 4, 0);
    }
    x = LLVMBuildShuffleVector(cg->b, x, LLVMGetPoison(LLVMTypeOf(x)), LLVMConstVector(from, 32),
                               "");
    x = LLVMBuildLShr(cg->b, LLVMBuildBitCast(cg->b, x, ti, ""), LLVMConstVector(by, 8), "");
    x = LLVMBuildBitCast(cg->b, cg_and(cg, x, 0x0f0f0f0f), bytes, "");
    return entries_of(cg, entry, x);
}

/* The bytes are codes of E4M3 of 15 exponents, none subnormal. */
static void decode_nibbles(Cg *cg, const CgUnit *u, LLVMValueRef x, LLVMValueRef ret[4])
{
    uint8_t entry[16];
    for (uint32_t i = 0; i < 16; i++) {
        float v = number(u, i);
        int e = 0, sign = v < 0 || (v == 0 && !is_int(u) && i) ? 0x80 : 0;
        float f = frexpf(fabsf(v), &e); /* [0.5, 1) */
        int code = v == 0 ? 0 : (15 - nibble_exp(u) + e - 1) << 3 | ((int)(f * 16) & 7);
        entry[i] = (uint8_t)(sign | code);
    }
    decode_shift(cg, u, look_up_nibbles(cg, x, entry), ret);
}

static void decode(Cg *cg, const CgUnit *u, LLVMValueRef x, LLVMValueRef ret[4])
{
    if (u->way == CG_UNIT_PERM)
        (u->w == 16 ? decode_perm : decode_bytes)(cg, u, x, ret);
    else if (u->way == CG_UNIT_F16)
        decode_f16(cg, u, x, ret);
    else if (u->way == CG_UNIT_TABLE)
        decode_table(cg, u, x, ret);
    else if (u->way == CG_UNIT_PAIRS && u->w == 4)
        look_up_neon(cg, u, x, ret);
    else if (u->way == CG_UNIT_PAIRS)
        look_up(cg, (ScrtDtype)u->dtype, x, ret);
    else if (u->way == CG_UNIT_SHIFT)
        decode_shift(cg, u, x, ret);
    else if (u->way == CG_UNIT_NIBBLES)
        decode_nibbles(cg, u, x, ret);
    else
        decode_bits(cg, u, x, ret);
}

bool cg_unit_splits(const CgUnit *u)
{
    return u->way != CG_UNIT_TABLE && u->way != CG_UNIT_PAIRS && u->way != CG_UNIT_NIBBLES;
}

uint32_t cg_unit_layout(const CgUnit *u)
{
    bool dwords = u->way == CG_UNIT_SHIFT || u->way == CG_UNIT_PERM;
    return dwords ? CG_UNIT_BITS : u->way;
}

/* Where vector j of w lanes of piece h of a unit comes from: the first of those lanes. */
static uint32_t piece_lane(const CgUnit *u, uint32_t w, uint32_t h, uint32_t j)
{
    if (u->way != CG_UNIT_F16)
        return j * u->w + h * w;
    uint32_t word = (2 * h + j % 2) * w; /* of the unit's: see cg_unit_place */
    return (word / u->w + j / 2 * 2) * u->w + word % u->w;
}

static LLVMValueRef load_bytes(Cg *cg, uint32_t n, LLVMValueRef ptr)
{
    LLVMValueRef x = LLVMBuildLoad2(cg->b, cg_vec(cg->m->i8, n), ptr, "");
    LLVMSetAlignment(x, 1);
    return x;
}

int32_t cg_unit_least(const CgUnit *u, float *ret_step)
{
    float least = 0;
    for (uint32_t i = 0; i < 16; i++)
        least = fminf(least, number(u, i));
    *ret_step = is_int(u) ? 1 : 0.5f;
    return (int32_t)(least / *ret_step);
}

static void whole_entries(const CgUnit *u, uint8_t ret[16])
{
    float step;
    int32_t least = cg_unit_least(u, &step);
    for (uint32_t i = 0; i < 16; i++)
        ret[i] = (uint8_t)((int32_t)(number(u, i) / step) - least);
}

/* Of 8 words of 4 codes: bytes become words, whose nibbles are looked up. */
static void whole_words(Cg *cg, LLVMValueRef x, const uint8_t entry[16], LLVMValueRef ret[2])
{
    LLVMTypeRef words = cg_vec(cg->m->i16, 16), bytes = cg_vec(cg->m->i8, 32);
    x = LLVMBuildZExt(cg->b, x, words, "");
    for (uint32_t j = 0; j < 2; j++) {
        LLVMValueRef code =
            j ? LLVMBuildLShr(cg->b, x, cg_iconst(words, 4), "") : cg_and(cg, x, 15);
        code = entries_of(cg, entry, LLVMBuildBitCast(cg->b, code, bytes, ""));
        ret[j] = cg_and(cg, LLVMBuildBitCast(cg->b, code, words, ""), 0xff);
    }
}

void cg_unit_whole(Cg *cg, const CgUnit *u, LLVMValueRef ptr, LLVMValueRef *ret)
{
    uint8_t entry[16];
    const uint32_t parts = u->w / 8;
    whole_entries(u, entry);
    for (uint32_t h = 0; h < parts; h++) {
        LLVMTypeRef words = cg_vec(cg->m->i16, 16);
        LLVMValueRef from = cg_gep(cg, cg->m->i8, ptr, cg_int(cg, (int64_t)16 * h)), row[2];
        LLVMValueRef x = load_bytes(cg, 16, from);
        if (u->way == CG_UNIT_NIBBLES) {
            x = LLVMBuildBitCast(cg->b, look_up_nibbles(cg, x, entry), words, "");
            row[0] = cg_and(cg, x, 0xff);
            row[1] = LLVMBuildLShr(cg->b, x, cg_iconst(words, 8), "");
        } else {
            whole_words(cg, x, entry, row);
        }
        ret[h] = row[0];
        ret[parts + h] = row[1];
    }
}

void cg_unit_whole8(Cg *cg, const CgUnit *u, LLVMValueRef ptr, LLVMValueRef ret[2])
{
    uint8_t entry[16];
    LLVMTypeRef words = cg_vec(cg->m->i16, 16), bytes = cg_vec(cg->m->i8, 32);
    LLVMValueRef x = LLVMBuildBitCast(cg->b, load_bytes(cg, 32, ptr), words, "");
    whole_entries(u, entry);
    for (uint32_t j = 0; j < 2; j++) { /* codes 0 and 2 of a word, then 1 and 3 */
        LLVMValueRef code = j ? LLVMBuildLShr(cg->b, x, cg_iconst(words, 4), "") : x;
        code = LLVMBuildBitCast(cg->b, cg_and(cg, code, 0x0f0f), bytes, "");
        ret[j] = entries_of(cg, entry, code);
    }
}

/* A unit falls into pieces that are units of w lanes, but that they hold other lanes. */
void cg_unit_decode(Cg *cg, const CgUnit *u, uint32_t w, LLVMValueRef ptr, LLVMValueRef *ret)
{
    CgUnit own = *u;
    uint32_t bits = scrt_dtype_bits((ScrtDtype)u->dtype);
    own.w = w;
    for (uint32_t j = 0; j < 2 && bits == 16; j++)
        ret[j] = load_bytes(cg, 4 * w, cg_gep(cg, cg->m->i8, ptr, cg_int(cg, (int64_t)j * 4 * w)));
    if (bits == 16)
        return;
    for (uint32_t h = 0; h < u->w / w; h++) {
        LLVMValueRef y[4];
        uint32_t at = bits < 8 ? word_at(u, h * w, 0) : 4 * h * w;
        LLVMValueRef from = h ? cg_gep(cg, cg->m->i8, ptr, cg_int(cg, at)) : ptr;
        LLVMValueRef x = u->way == CG_UNIT_NIBBLES ? load_bytes(cg, 2 * w, from)
                         : bits < 8                ? load_words(cg, &own, word_at(u, 0, 1), from)
                                                   : load_bytes(cg, 4 * w, from);
        decode(cg, &own, x, y);
        for (uint32_t j = 0; j < 4; j++)
            ret[piece_lane(u, w, h, j) / w] = y[j];
    }
}
