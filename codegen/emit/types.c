/* SPDX-License-Identifier: Apache-2.0 */
/* Elements between memory and registers. FP8 travels as i8, f16 and bf16 as i16: LLVM's own
 * conversions of them become library calls where the target lacks the instructions, so they are
 * emitted as integer operations on 32-bit lanes (F16C apart) and give the bits of runtime/num.
 *
 * Rounding from f64 goes through f32 rounded to odd: toward zero, with the last bit set where
 * anything was cut off. It has more than two bits beyond every format here, so rounding it again
 * gives what rounding once would have given. (Boldo, Melquiond: When double rounding is odd.) */
#include "codegen/emit/emit.h"

#include <assert.h>

bool cg_type_ok(CgModule *m, const ScLoc *loc, ScrtDtype t)
{
    ScrtKind k = scrt_dtype_kind(t);
    if (scrt_dtype_bits(t) >= 8 && k != SCRT_KIND_COMPLEX)
        return true;
    const char *name = scrt_dtype_name(t);
    return sc_fail(m->cx, loc, SC_E_LOWER, "element type %s", name ? name : "?");
}

LLVMTypeRef cg_storage_type(CgModule *m, ScrtDtype t)
{
    switch (scrt_dtype_bits(t)) {
    case 8:
        return m->i8;
    case 16:
        return m->i16;
    case 32:
        return t == SCRT_F32 ? m->f32 : m->i32;
    default:
        return t == SCRT_F64 ? m->f64 : m->i64;
    }
}

LLVMTypeRef cg_compute_type(CgModule *m, ScrtDtype t)
{
    if (t == SCRT_BOOL)
        return m->i1;
    return scrt_dtype_is_float(t) && t != SCRT_F64 ? m->f32 : cg_storage_type(m, t);
}

static uint32_t lanes_of(LLVMValueRef v)
{
    LLVMTypeRef t = LLVMTypeOf(v);
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetVectorSize(t) : 1;
}

#define ICONST(x)       cg_iconst(t, (int64_t)(x))
#define AND(x, y)       LLVMBuildAnd(cg->b, x, y, "")
#define OR(x, y)        LLVMBuildOr(cg->b, x, y, "")
#define ADD(x, y)       LLVMBuildAdd(cg->b, x, y, "")
#define SUB(x, y)       LLVMBuildSub(cg->b, x, y, "")
#define SHL(x, k)       LLVMBuildShl(cg->b, x, ICONST(k), "")
#define SHR(x, k)       LLVMBuildLShr(cg->b, x, ICONST(k), "")
#define CMP(p, x, y)    LLVMBuildICmp(cg->b, LLVMInt##p, x, y, "")
#define PICK(c, x, y)   LLVMBuildSelect(cg->b, c, x, y, "")
#define CAST(x, t_type) LLVMBuildBitCast(cg->b, x, t_type, "")

/* --- Decoding -------------------------------------------------------------------------------- */

/* The pattern above which a format has no finite values, without the sign. */
static uint32_t max_pattern(const ScrtFormat *f)
{
    uint32_t all = (1u << (f->bits - 1)) - 1;
    if (f->has_inf)
        return all - (1u << f->man_bits);
    return f->has_nan && f->has_neg_zero ? all - 1 : all;
}

static LLVMValueRef decode_e8m0(Cg *cg, LLVMValueRef c, LLVMTypeRef t)
{
    LLVMValueRef v = SHL(c, 23);
    v = PICK(CMP(EQ, c, ICONST(0)), ICONST(0x400000), v); /* 2^-127 is subnormal in f32 */
    return PICK(CMP(EQ, c, ICONST(0xff)), ICONST(0x7fc00000), v);
}

/* c: the pattern, zero-extended to i32. Subnormals are small integers times a power of two. */
static LLVMValueRef decode_bits(Cg *cg, const ScrtFormat *f, LLVMValueRef c, uint32_t w)
{
    LLVMTypeRef t = cg_vec(cg->m->i32, w), tf = cg_vec(cg->m->f32, w);
    uint32_t shift = 23 - f->man_bits, all = (1u << (f->bits - 1)) - 1;
    LLVMValueRef a = AND(c, ICONST(all)), sign = AND(SHL(c, 32 - f->bits), ICONST(0x80000000));
    LLVMValueRef r = ADD(SHL(a, shift), ICONST((uint32_t)(127 - f->bias) << 23));
    if (f->bias < 127) {
        LLVMValueRef x = LLVMBuildSIToFP(cg->b, a, tf, "");
        x = LLVMBuildFMul(cg->b, x, cg_fconst(tf, f->min_denorm), "");
        r = PICK(CMP(ULT, a, ICONST(1u << f->man_bits)), CAST(x, t), r);
    }
    if (!f->has_neg_zero)
        return PICK(CMP(EQ, c, ICONST(all + 1)), ICONST(0x7fc00000), OR(r, sign));
    LLVMValueRef special = f->has_inf ? OR(SHL(a, shift), ICONST(0x7f800000)) : ICONST(0x7fc00000);
    r = PICK(CMP(UGT, a, ICONST(max_pattern(f))), special, r);
    return OR(r, sign);
}

LLVMValueRef cg_decode(Cg *cg, ScrtDtype dtype, LLVMValueRef code)
{
    CgModule *m = cg->m;
    uint32_t w = lanes_of(code);
    LLVMTypeRef t = cg_vec(m->i32, w), tf = cg_vec(m->f32, w);
    if (dtype == SCRT_F16 && m->target.f16)
        return LLVMBuildFPExt(cg->b, CAST(code, cg_vec(m->f16, w)), tf, "");
    LLVMValueRef fast;
    if (cg_decode_in_order(cg, dtype, code, &fast))
        return fast;
    LLVMValueRef c = LLVMBuildZExt(cg->b, code, t, "");
    if (dtype == SCRT_BF16)
        return CAST(SHL(c, 16), tf);
    if (dtype == SCRT_F8E8M0)
        return CAST(decode_e8m0(cg, c, t), tf);
    return CAST(decode_bits(cg, scrt_format(dtype), c, w), tf);
}

/* --- Encoding -------------------------------------------------------------------------------- */

/* f64 to f32, rounded to odd. */
static LLVMValueRef to_odd(Cg *cg, LLVMValueRef x)
{
    uint32_t w = lanes_of(x);
    LLVMTypeRef t = cg_vec(cg->m->i32, w), tf = cg_vec(cg->m->f32, w), td = LLVMTypeOf(x);
    LLVMValueRef near = LLVMBuildFPTrunc(cg->b, x, tf, "");
    LLVMValueRef back = LLVMBuildFPExt(cg->b, near, td, "");
    LLVMValueRef far =
        LLVMBuildFCmp(cg->b, LLVMRealOGT, cg_intrinsic(cg, "llvm.fabs", 1, &td, 1, &back),
                      cg_intrinsic(cg, "llvm.fabs", 1, &td, 1, &x), "");
    LLVMValueRef exact = LLVMBuildFCmp(cg->b, LLVMRealUEQ, back, x, "");
    LLVMValueRef bits = CAST(near, t);
    LLVMValueRef cut = OR(SUB(bits, LLVMBuildZExt(cg->b, far, t, "")), ICONST(1));
    return CAST(PICK(exact, bits, cut), tf);
}

/* The rounded magnitude as a pattern, beyond max_pattern where it overflows. a: the bits of |x|. */
static LLVMValueRef round_magnitude(Cg *cg, const ScrtFormat *f, LLVMValueRef a, uint32_t w)
{
    LLVMTypeRef t = cg_vec(cg->m->i32, w), tf = cg_vec(cg->m->f32, w);
    uint32_t shift = 23 - f->man_bits;
    LLVMValueRef even = AND(SHR(a, shift), ICONST(1));
    LLVMValueRef r = SHR(ADD(ADD(a, ICONST((1u << (shift - 1)) - 1)), even), shift);
    r = SUB(r, ICONST((uint32_t)(127 - f->bias) << f->man_bits));
    if (f->bias == 127)
        return r; /* subnormals lie on the same grid */
    /* Adding 2^23 units of the subnormal grid rounds to it and leaves the integer in the low bits.
     */
    LLVMValueRef magic = cg_fconst(tf, f->min_denorm * 0x1p23);
    LLVMValueRef small = LLVMBuildFAdd(cg->b, CAST(a, tf), magic, "");
    small = SUB(CAST(small, t), CAST(magic, t));
    uint32_t normal = (uint32_t)(127 + 1 - f->bias) << 23;
    return PICK(CMP(ULT, a, ICONST(normal)), small, r);
}

static LLVMValueRef encode_bits(Cg *cg, const ScrtFormat *f, LLVMValueRef x, bool saturate)
{
    uint32_t w = lanes_of(x), top = 1u << (f->bits - 1), max = max_pattern(f);
    uint32_t nan = !f->has_neg_zero ? top : max + 1;
    if (f->has_inf)
        nan |= 1u << (f->man_bits - 1);
    LLVMTypeRef t = cg_vec(cg->m->i32, w);
    LLVMValueRef bits = CAST(x, t), a = AND(bits, ICONST(0x7fffffff));
    LLVMValueRef sign = AND(SHR(bits, 32 - f->bits), ICONST(top));
    LLVMValueRef r = round_magnitude(cg, f, a, w);
    LLVMValueRef beyond = ICONST(saturate || !f->has_nan ? max : f->has_inf ? max + 1 : nan);
    /* Signed: a pattern below zero is none, and none arises above 2^31. */
    r = PICK(CMP(SGT, r, ICONST(max)), beyond, r);
    r = PICK(CMP(UGT, a, ICONST(0x7f800000)), ICONST(nan), r);
    if (!f->has_neg_zero)
        sign = PICK(OR(CMP(EQ, r, ICONST(0)), CMP(EQ, r, ICONST(top))), ICONST(0), sign);
    return OR(r, sign);
}

/* Powers of two; what is negative is none. Two thresholds decide about f32's subnormals. */
static LLVMValueRef encode_e8m0(Cg *cg, LLVMValueRef x, bool saturate, ScrtRound mode)
{
    uint32_t w = lanes_of(x);
    LLVMTypeRef t = cg_vec(cg->m->i32, w);
    LLVMValueRef a = CAST(x, t), man = AND(a, ICONST(0x7fffff)), up, to_one, to_zero;
    if (mode == SCRT_UP) {
        up = LLVMBuildZExt(cg->b, CMP(NE, man, ICONST(0)), t, "");
        to_one = CMP(UGT, a, ICONST(0x400000));
        to_zero = CMP(UGT, a, ICONST(0x200000));
    } else if (mode == SCRT_DOWN) {
        up = ICONST(0);
        to_one = CMP(UGT, a, ICONST(0x7fffff)); /* never among subnormals */
        to_zero = CMP(UGE, a, ICONST(0x400000));
    } else {
        up = SHR(man, 22);
        to_one = CMP(UGE, a, ICONST(0x600000));
        to_zero = CMP(UGE, a, ICONST(0x300000));
    }
    LLVMValueRef code = ADD(SHR(a, 23), up);
    code = PICK(CMP(UGT, code, ICONST(254)), ICONST(saturate ? 254 : 255), code);
    LLVMValueRef least = PICK(to_zero, ICONST(0), ICONST(saturate ? 0 : 255));
    least = PICK(to_one, ICONST(1), least);
    code = PICK(CMP(ULT, a, ICONST(0x800000)), least, code);
    LLVMValueRef zero = CMP(EQ, SHL(a, 1), ICONST(0));
    code = PICK(CMP(UGT, a, ICONST(0x7f800000)), ICONST(255), code); /* NaN, or negative */
    return PICK(zero, ICONST(saturate ? 0 : 255), code);
}

/* The conversion instruction, with runtime/num's NaN. */
static LLVMValueRef encode_f16(Cg *cg, LLVMValueRef x, bool saturate)
{
    uint32_t w = lanes_of(x);
    LLVMTypeRef t = cg_vec(cg->m->i16, w);
    LLVMValueRef r = CAST(LLVMBuildFPTrunc(cg->b, x, cg_vec(cg->m->f16, w), ""), t);
    LLVMValueRef a = AND(r, ICONST(0x7fff)), sign = AND(r, ICONST(0x8000));
    if (saturate)
        a = PICK(CMP(EQ, a, ICONST(0x7c00)), ICONST(0x7bff), a);
    a = PICK(CMP(UGT, a, ICONST(0x7c00)), ICONST(0x7e00), a);
    return OR(a, sign);
}

static LLVMValueRef saturate_float(Cg *cg, LLVMValueRef x, double max)
{
    LLVMTypeRef t = LLVMTypeOf(x);
    LLVMValueRef hi = cg_fconst(t, max), lo = cg_fconst(t, -max);
    x = PICK(LLVMBuildFCmp(cg->b, LLVMRealOGT, x, hi, ""), hi, x);
    return PICK(LLVMBuildFCmp(cg->b, LLVMRealOLT, x, lo, ""), lo, x);
}

/* Whether on_grid rounds as a code would. */
static bool has_grid(const ScrtFormat *f, bool saturate)
{
    return saturate && f->has_neg_zero && f->bits <= 8;
}

/* The number that a format has for x, by an addition of what is so large that a step of the format
 * at x is the unit of its last place. */
static LLVMValueRef on_grid(Cg *cg, const ScrtFormat *f, LLVMValueRef x)
{
    uint32_t w = lanes_of(x), step = 23 - f->man_bits;
    LLVMTypeRef t = cg_vec(cg->m->i32, w), tf = LLVMTypeOf(x);
    LLVMValueRef a = saturate_float(cg, x, f->max);
    LLVMValueRef e = AND(CAST(a, t), ICONST(0x7f800000));
    LLVMValueRef least = ICONST((uint32_t)(127 + 1 - f->bias) << 23);
    e = PICK(CMP(SGT, e, least), e, least);
    LLVMValueRef far = CAST(ADD(e, ICONST(step << 23 | 1u << 22)), tf);
    LLVMValueRef r = LLVMBuildFSub(cg->b, LLVMBuildFAdd(cg->b, a, far, ""), far, "");
    return CAST(OR(CAST(r, t), AND(CAST(x, t), ICONST(0x80000000))), tf);
}

CgVal cg_round(Cg *cg, ScrtDtype dtype, LLVMValueRef x, bool saturate, ScrtRound mode)
{
    CgModule *m = cg->m;
    uint32_t w = lanes_of(x);
    bool wide = LLVMTypeOf(x) == cg_vec(m->f64, w);
    const ScrtFormat *f = scrt_format(dtype);
    if (dtype == SCRT_F64 || dtype == SCRT_F32) {
        if (dtype == SCRT_F64 && !wide)
            x = LLVMBuildFPExt(cg->b, x, cg_vec(m->f64, w), "");
        if (dtype == SCRT_F32 && wide)
            x = LLVMBuildFPTrunc(cg->b, x, cg_vec(m->f32, w), "");
        return (CgVal){saturate ? saturate_float(cg, x, f->max) : x, dtype, NULL};
    }
    if (wide)
        x = to_odd(cg, x);
    LLVMValueRef code;
    if (dtype == SCRT_F16 && m->target.f16)
        code = encode_f16(cg, x, saturate);
    else
        code = dtype == SCRT_F8E8M0 ? encode_e8m0(cg, x, saturate, mode)
                                    : encode_bits(cg, f, x, saturate);
    LLVMTypeRef t = cg_vec(f->bits == 8 ? m->i8 : m->i16, w);
    if (LLVMTypeOf(code) != t)
        code = LLVMBuildTrunc(cg->b, code, t, "");
    /* Of the code and the number LLVM drops the one that nobody reads. */
    LLVMValueRef number = has_grid(f, saturate) ? on_grid(cg, f, x) : cg_decode(cg, dtype, code);
    return (CgVal){number, dtype, code};
}

/* --- Memory ---------------------------------------------------------------------------------- */

static uint32_t bytes_of(ScrtDtype t)
{
    return scrt_dtype_bits(t) / 8;
}

static LLVMValueRef masked_load(Cg *cg, LLVMTypeRef t, LLVMValueRef p, uint32_t align,
                                LLVMValueRef mask)
{
    LLVMTypeRef types[] = {t, cg->m->t_ptr};
    LLVMValueRef args[] = {p, LLVMConstInt(cg->m->i32, align, 0), mask, LLVMConstNull(t)};
    return cg_intrinsic(cg, "llvm.masked.load", 2, types, 4, args);
}

static CgVal from_storage(Cg *cg, ScrtDtype dtype, LLVMValueRef v)
{
    if (dtype == SCRT_BOOL) {
        LLVMTypeRef t = LLVMTypeOf(v);
        return (CgVal){CMP(NE, v, ICONST(0)), dtype, NULL};
    }
    if (scrt_dtype_is_float(dtype) && scrt_dtype_bits(dtype) < 32)
        return (CgVal){cg_decode(cg, dtype, v), dtype, v};
    return (CgVal){v, dtype, NULL};
}

CgVal cg_load(Cg *cg, ScrtDtype dtype, LLVMValueRef base, LLVMValueRef index, uint32_t w,
              LLVMValueRef mask)
{
    LLVMTypeRef e = cg_storage_type(cg->m, dtype), t = cg_vec(e, w);
    LLVMValueRef p = cg_gep(cg, e, base, index), v;
    if (mask) {
        v = masked_load(cg, t, p, bytes_of(dtype), mask);
    } else {
        v = LLVMBuildLoad2(cg->b, t, p, "");
        LLVMSetAlignment(v, bytes_of(dtype));
    }
    return from_storage(cg, dtype, v);
}

static LLVMValueRef load_one(Cg *cg, ScrtDtype dtype, LLVMValueRef base, LLVMValueRef index)
{
    LLVMTypeRef e = cg_storage_type(cg->m, dtype);
    LLVMValueRef v = LLVMBuildLoad2(cg->b, e, cg_gep(cg, e, base, index), "");
    LLVMSetAlignment(v, bytes_of(dtype));
    return v;
}

/* Lane by lane. What the mask excludes reads the first lane's element, which is always there, and
 * becomes 0: no branches. */
static LLVMValueRef load_lanes(Cg *cg, ScrtDtype dtype, LLVMValueRef base, LLVMValueRef index,
                               LLVMValueRef stride, uint32_t w, LLVMValueRef mask)
{
    LLVMTypeRef t = cg_vec(cg_storage_type(cg->m, dtype), w);
    LLVMValueRef v = LLVMGetPoison(t);
    for (uint32_t i = 0; i < w; i++) {
        LLVMValueRef lane = LLVMConstInt(cg->m->i32, i, 0);
        LLVMValueRef at = cg_add_int(cg, index, cg_mul_int(cg, stride, cg_int(cg, i)));
        if (mask)
            at = PICK(LLVMBuildExtractElement(cg->b, mask, lane, ""), at, index);
        v = LLVMBuildInsertElement(cg->b, v, load_one(cg, dtype, base, at), lane, "");
    }
    return mask ? PICK(mask, v, LLVMConstNull(t)) : v;
}

CgVal cg_load_strided(Cg *cg, ScrtDtype dtype, LLVMValueRef base, LLVMValueRef index,
                      LLVMValueRef stride, uint32_t w, LLVMValueRef mask)
{
    bool known = LLVMIsAConstantInt(stride);
    int64_t s = known ? LLVMConstIntGetSExtValue(stride) : -1;
    if (w == 1 || (known && s == 1))
        return cg_load(cg, dtype, base, index, w, mask);
    if (known && s == 0)
        return from_storage(cg, dtype, cg_splat(cg, load_one(cg, dtype, base, index), w));
    return from_storage(cg, dtype, load_lanes(cg, dtype, base, index, stride, w, mask));
}

CgVal cg_load_at(Cg *cg, ScrtDtype dtype, LLVMValueRef base, LLVMValueRef index, uint32_t w)
{
    if (w == 1)
        return cg_load(cg, dtype, base, index, 1, NULL);
    CgModule *m = cg->m;
    LLVMTypeRef e = cg_storage_type(m, dtype), t = cg_vec(e, w);
    LLVMValueRef p = cg_gep(cg, e, base, index), all = LLVMConstAllOnes(cg_vec(m->i1, w));
    LLVMTypeRef types[] = {t, LLVMTypeOf(p)};
    LLVMValueRef args[] = {p, LLVMConstInt(m->i32, bytes_of(dtype), 0), all, LLVMGetPoison(t)};
    return from_storage(cg, dtype, cg_intrinsic(cg, "llvm.masked.gather", 2, types, 4, args));
}

/* x as it lies in memory. */
static LLVMValueRef to_storage(Cg *cg, CgVal x, uint32_t w)
{
    LLVMTypeRef t = cg_vec(cg_storage_type(cg->m, x.t), w);
    LLVMValueRef v = x.code ? x.code : x.v;
    if (x.t == SCRT_BOOL)
        v = LLVMBuildZExt(cg->b, v, t, "");
    assert(LLVMTypeOf(v) == t);
    return v;
}

void cg_store(Cg *cg, CgVal x, LLVMValueRef base, LLVMValueRef index, uint32_t w, LLVMValueRef mask)
{
    CgModule *m = cg->m;
    LLVMValueRef v = to_storage(cg, x, w), p = cg_gep(cg, cg_storage_type(m, x.t), base, index);
    if (mask) {
        LLVMTypeRef types[] = {LLVMTypeOf(v), m->t_ptr};
        LLVMValueRef args[] = {v, p, LLVMConstInt(m->i32, bytes_of(x.t), 0), mask};
        cg_intrinsic(cg, "llvm.masked.store", 2, types, 4, args);
        return;
    }
    LLVMSetAlignment(LLVMBuildStore(cg->b, v, p), bytes_of(x.t));
}

void cg_store_past(Cg *cg, CgVal x, LLVMValueRef base, LLVMValueRef index, uint32_t w,
                   LLVMValueRef mask)
{
    CgModule *m = cg->m;
    if (w == 1 || mask) {
        cg_store(cg, x, base, index, w, mask);
        return;
    }
    LLVMContextRef c = LLVMGetTypeContext(m->i32);
    LLVMValueRef p = cg_gep(cg, cg_storage_type(m, x.t), base, index), v = to_storage(cg, x, w);
    LLVMMetadataRef one = LLVMValueAsMetadata(LLVMConstInt(m->i32, 1, 0));
    static const char kind[] = "nontemporal";
    uint32_t part = w < m->target.w ? w : m->target.w; /* of several vectors each is aligned */
    for (uint32_t i = 0; i < w; i += part) {
        LLVMValueRef at = cg_gep(cg, cg_storage_type(m, x.t), p, cg_int(cg, i));
        LLVMValueRef s = LLVMBuildStore(cg->b, w == part ? v : cg_take(cg, v, i, part), at);
        LLVMSetAlignment(s, part * bytes_of(x.t));
        LLVMSetMetadata(s, LLVMGetMDKindIDInContext(c, kind, sizeof kind - 1),
                        LLVMMetadataAsValue(c, LLVMMDNodeInContext2(c, &one, 1)));
    }
}

void cg_store_fence(Cg *cg)
{
    if (cg->m->target.fence) /* elsewhere what hands work between threads orders such stores too */
        cg_intrinsic(cg, "llvm.x86.sse.sfence", 0, NULL, 0, NULL);
}

/* Extents of which one is known at run time only are taken to be small. A copy between the same
 * places, again and again, is faster through caches of 32 MiB up to 16 MiB, and past them from 32
 * on (`tests/bench-limits stores`, in tests/bench/README.md). */
bool cg_is_past_caches(CgModule *m, const ScType *t)
{
    enum { CACHES = 32 << 20 }; /* bytes */
    int64_t n;
    return sc_term_const(sc_type_count(m->cx, t), &n) && n >= CACHES / (int64_t)bytes_of(t->dtype);
}
