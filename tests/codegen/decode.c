/* SPDX-License-Identifier: Apache-2.0 */
/* Every way to decode packed FP8 codes, over all codes it may meet, for every target that this
 * machine runs: the numbers of runtime/num, bit for bit (of NaN: that it is one). A way that makes
 * bf16 numbers of them makes the same numbers. */
#include "codegen/product/product.h"
#include "tests/codegen/cpus.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Decode)(const uint8_t *packed, float *out, int64_t units);

/* Two vectors of w pairs of bf16 to the four vectors of f32 of which they were made. */
static void apart(Cg *cg, const CgUnit *u, LLVMValueRef x[4])
{
    LLVMTypeRef bits = cg_vec(cg->m->i32, u->w), f32 = cg_vec(cg->m->f32, u->w);
    LLVMValueRef pair[2] = {LLVMBuildBitCast(cg->b, x[0], bits, ""),
                            LLVMBuildBitCast(cg->b, x[1], bits, "")};
    for (uint32_t j = 0; j < 4; j++) {
        LLVMValueRef from = pair[j / (2 * u->nv) * u->nv + j % u->nv];
        from = j / u->nv % 2 ? cg_and(cg, from, (int32_t)0xffff0000) : cg_shl(cg, from, 16);
        x[j] = LLVMBuildBitCast(cg->b, from, f32, "");
    }
}

/* void (packed, out, units): decodes one unit after the other, into the same order of lanes. */
static void build(CgModule *m, const CgUnit *u)
{
    LLVMTypeRef p[3] = {m->t_ptr, m->t_ptr, m->i64};
    Cg cg;
    LLVMValueRef fn =
        cg_begin_fn(&cg, m, NULL, "decode_units", LLVMFunctionType(m->t_void, p, 3, 0));
    LLVMSetLinkage(fn, LLVMExternalLinkage);
    CgLoop i = cg_for(&cg, cg_int(&cg, 0), LLVMGetParam(fn, 2), cg_int(&cg, 1));
    LLVMValueRef x[CG_UNIT_VECS], first = cg_mul_int(&cg, i.i, cg_int(&cg, 4 * u->w));
    uint32_t lanes = m->target.w;
    uint32_t bytes = u->w * scrt_dtype_bits((ScrtDtype)u->dtype) / 2;
    LLVMValueRef at_byte = cg_mul_int(&cg, i.i, cg_int(&cg, bytes));
    cg_unit_decode(&cg, u, lanes, cg_gep(&cg, m->i8, LLVMGetParam(fn, 0), at_byte), x);
    if (u->way == CG_UNIT_PAIRS)
        apart(&cg, u, x);
    for (uint32_t j = 0; j < 4 * u->w / lanes; j++) {
        LLVMValueRef at = cg_add_int(&cg, first, cg_int(&cg, j * lanes));
        LLVMSetAlignment(LLVMBuildStore(cg.b, x[j], cg_gep(&cg, m->f32, LLVMGetParam(fn, 1), at)),
                         4);
    }
    cg_next(&cg, &i);
    cg_end_fn(&cg);
}

/* Compiles the module and hands back the function; the JIT owns it. */
static Decode load(CgModule *m, LLVMOrcLLJITRef *ret_jit)
{
    void *bytes;
    size_t n;
    ck_assert(cg_optimize(m));
    ck_assert(cg_emit_module(m, SC_EMIT_OBJ, m->arena, &bytes, &n));
    ck_assert(LLVMOrcCreateLLJIT(ret_jit, NULL) == LLVMErrorSuccess);
    LLVMMemoryBufferRef buf = LLVMCreateMemoryBufferWithMemoryRangeCopy(bytes, n, "decode");
    LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(*ret_jit);
    ck_assert(LLVMOrcLLJITAddObjectFile(*ret_jit, lib, buf) == LLVMErrorSuccess);
    LLVMOrcExecutorAddress at = 0;
    ck_assert(LLVMOrcLLJITLookup(*ret_jit, &at, "decode_units") == LLVMErrorSuccess);
    return (Decode)at;
}

static bool may_hold(const CgUnit *u, uint8_t code)
{
    if (scrt_dtype_bits((ScrtDtype)u->dtype) < 8)
        return true;
    uint64_t facts = cg_codes_facts((ScrtDtype)u->dtype, &code, 1);
    return (facts & u->facts) == u->facts;
}

/* Where the code of lane i % w of vector i / w lies, of units from packed on: product.h says it. */
static void put(const CgUnit *u, uint8_t *packed, uint32_t i, uint8_t code)
{
    uint32_t bits = scrt_dtype_bits((ScrtDtype)u->dtype), unit = 4 * u->w, k = i % unit;
    packed += i / unit * unit * bits / 8;
    if (bits == 8)
        packed[cg_unit_place(u, k)] = cg_unit_code(u, code);
    for (uint32_t b = 0; bits < 8 && b < bits; b++) {
        uint32_t at = cg_unit_bit(u, k, b);
        packed[at / 8] |= (uint8_t)((code >> b & 1) << at % 8);
    }
}

static void compare(const CgUnit *u, Decode decode, const char *target)
{
    uint32_t unit = 4 * u->w, units = 256 / unit;
    uint8_t code[256], packed[256] = {0},
                       mask = (uint8_t)(0xff >> (8 - scrt_dtype_bits((ScrtDtype)u->dtype)));
    float out[256];
    for (int i = 0; i < 256; i++) {
        code[i] = may_hold(u, (uint8_t)(i * 37)) ? (uint8_t)(i * 37) & mask : 0;
        put(u, packed, (uint32_t)i, code[i]);
    }
    decode(packed, out, units);
    for (int i = 0; i < 256; i++) {
        bool is_float = scrt_dtype_is_float((ScrtDtype)u->dtype);
        float want =
            is_float ? (float)scrt_value((ScrtDtype)u->dtype, code[i]) : (float)((code[i] ^ 8) - 8);
        if (isnan(want))
            ck_assert_msg(isnan(out[i]), "%s %s: code %02x is NaN, not %g", target, cg_unit_name(u),
                          code[i], (double)out[i]);
        else
            ck_assert_msg(memcmp(&want, &out[i], 4) == 0, "%s %s %s: code %02x is %g, not %g",
                          target, scrt_dtype_name((ScrtDtype)u->dtype), cg_unit_name(u), code[i],
                          (double)want, (double)out[i]);
    }
}

/* A unit of more lanes than the target's vectors have is decoded in pieces. */
static void try_lanes(CgModule *m, const CgUnit *u, const char *target)
{
    LLVMModuleRef whole = m->mod;
    m->mod = LLVMCloneModule(whole);
    build(m, u);
    LLVMOrcLLJITRef jit = NULL;
    Decode decode = load(m, &jit);
    compare(u, decode, target);
    LLVMErrorRef e = LLVMOrcDisposeLLJIT(jit);
    ck_assert(e == LLVMErrorSuccess);
    LLVMDisposeModule(m->mod);
    m->mod = whole;
}

/* False where this machine or the target lacks the way. */
static bool try_unit(const char *target, uint32_t way, ScrtDtype dtype, uint32_t facts, uint32_t nv)
{
    uint32_t raised = !(facts & CG_CODES_LOW) ? 0 : dtype == SCRT_F8E5M2 ? 2 : 3;
    ScCtx *cx = sc_ctx_new();
    ScCodegenOptions opt = {.cpu = target};
    CgModule m;
    ck_assert(cg_module_init(&m, cx, &opt));
    const CgTarget *t = &m.target;
    bool has = (t->bits & ~scrt_cpu_features()) == 0;
    has = has && (way != CG_UNIT_PERM || (t->w == 16 ? t->avx512 : t->w == 8 && t->avx2));
    has = has && (way != CG_UNIT_NIBBLES || (t->w == 8 && t->avx2));
    has = has && (way != CG_UNIT_F16 || t->f16) &&
          (t->vbmi || (way != CG_UNIT_TABLE && way != CG_UNIT_PAIRS));
    if (has) {
        CgUnit u = {
            .way = way, .dtype = dtype, .w = t->w, .nv = nv, .facts = facts, .raised = raised};
        for (; u.w <= (cg_unit_splits(&u) ? 16 : t->w); u.w *= 2)
            try_lanes(&m, &u, target);
    }
    cg_module_done(&m);
    sc_ctx_free(cx);
    return has;
}

static bool try_way(const char *target, uint32_t way, ScrtDtype dtype, uint32_t facts)
{
    return try_unit(target, way, dtype, facts, 0);
}

static void all_targets(uint32_t way, uint32_t facts_e4m3, uint32_t facts_e5m2)
{
    bool ran = false;
    for (int i = 0; i < SCT_N_CPU; i++) {
        ran |= try_way(sct_cpus[i], way, SCRT_F8E4M3FN, facts_e4m3);
        ran |= try_way(sct_cpus[i], way, SCRT_F8E5M2, facts_e5m2);
    }
    if (!ran)
        sct_skip("no target that this machine runs has the way");
}

START_TEST(bits)
{
    all_targets(CG_UNIT_BITS, 0, 0);
    all_targets(CG_UNIT_BITS, CG_CODES_FINITE, CG_CODES_FINITE);
}
END_TEST

START_TEST(few_bits)
{
    static const ScrtDtype small[] = {SCRT_F4E2M1, SCRT_F6E2M3, SCRT_F6E3M2};
    for (int i = 0; i < SCT_N_CPU; i++) {
        try_way(sct_cpus[i], CG_UNIT_PERM, SCRT_F4E2M1, CG_CODES_FINITE);
        try_way(sct_cpus[i], CG_UNIT_PERM, SCRT_I4, CG_CODES_FINITE);
        try_way(sct_cpus[i], CG_UNIT_NIBBLES, SCRT_F4E2M1, CG_CODES_FINITE);
        try_way(sct_cpus[i], CG_UNIT_NIBBLES, SCRT_I4, CG_CODES_FINITE);
        for (int k = 0; k < 3; k++)
            try_way(sct_cpus[i], CG_UNIT_BITS, small[k], CG_CODES_FINITE);
    }
}
END_TEST

START_TEST(f16)
{
    all_targets(CG_UNIT_F16, CG_CODES_FINITE, 0);
}
END_TEST

START_TEST(table)
{
    all_targets(CG_UNIT_TABLE, 0, 0);
}
END_TEST

START_TEST(pairs)
{
    bool ran = false;
    for (int i = 0; i < SCT_N_CPU; i++)
        for (uint32_t nv = 1; nv <= 2; nv++) {
            ran |= try_unit(sct_cpus[i], CG_UNIT_PAIRS, SCRT_F8E4M3FN, 0, nv);
            ran |= try_unit(sct_cpus[i], CG_UNIT_PAIRS, SCRT_F8E5M2, 0, nv);
        }
    if (!ran)
        sct_skip("no target that this machine runs has the way");
}
END_TEST

START_TEST(shift)
{
    uint32_t facts = CG_CODES_FINITE | CG_CODES_NORMAL;
    all_targets(CG_UNIT_SHIFT, facts, facts);
    facts = CG_CODES_FINITE | CG_CODES_LOW;
    all_targets(CG_UNIT_SHIFT, facts, facts);
}
END_TEST

/* A raised code is that of a number so much larger, and none is subnormal. */
START_TEST(raised)
{
    static const ScrtDtype type[] = {SCRT_F8E4M3FN, SCRT_F8E5M2};
    static const uint32_t n_low[] = {2 * 0x68, 2 * 0x78};
    for (int k = 0; k < 2; k++) {
        CgUnit u = {.way = CG_UNIT_SHIFT, .dtype = type[k], .raised = k ? 2 : 3};
        uint32_t n = 0, man = k ? 3 : 7;
        for (uint32_t c = 0; c < 256; c++) {
            uint8_t code = (uint8_t)c, up = cg_unit_code(&u, code), mag = up & 0x7f;
            if (!(cg_codes_facts(type[k], &code, 1) & CG_CODES_LOW))
                continue;
            n++;
            double x = scrt_value(type[k], code);
            double exp = mag >> (k ? 2 : 3), one = 1 + (mag & man) / (man + 1.0);
            double y = mag ? ldexp(one, (int)exp - (k ? 15 : 7)) : 0;
            ck_assert(up >> 7 == code >> 7 && (mag == 0 || mag > man));
            ck_assert_double_eq(fabs(x) * (1 << u.raised), y);
        }
        ck_assert_uint_eq(n, n_low[k]);
    }
}
END_TEST

/* The place of a lane is a permutation of the unit, for every way and width. */
START_TEST(places)
{
    static const uint32_t ways[] = {CG_UNIT_PLAIN, CG_UNIT_BITS,  CG_UNIT_F16,  CG_UNIT_TABLE,
                                    CG_UNIT_SHIFT, CG_UNIT_PAIRS, CG_UNIT_PAIRS};
    for (uint32_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        uint32_t way = ways[k];
        bool wide = way == CG_UNIT_TABLE || way == CG_UNIT_PAIRS;
        for (uint32_t w = wide ? 16 : 4; w <= 16; w *= 2) {
            CgUnit u = {.way = way, .dtype = SCRT_F8E4M3FN, .w = w, .nv = 1 + k % 2};
            bool seen[64] = {false};
            for (uint32_t i = 0; i < 4 * w; i++) {
                uint32_t at = cg_unit_place(&u, i);
                ck_assert_msg(at < 4 * w && !seen[at], "%s, %u lanes: %u lies at %u",
                              cg_unit_name(&u), w, i, at);
                seen[at] = true;
            }
        }
    }
}
END_TEST

START_TEST(facts)
{
    const uint8_t zero[2] = {0x00, 0x80}, sub[2] = {0x38, 0x87}, nan[1] = {0xff}, big[1] = {0x7e};
    const uint8_t edge[2] = {0xe7, 0xe8};
    uint64_t both = CG_CODES_NORMAL | CG_CODES_FINITE, low = CG_CODES_LOW;
    ck_assert_uint_eq(cg_codes_facts(SCRT_F8E4M3FN, zero, 2), both | low);
    ck_assert_uint_eq(cg_codes_facts(SCRT_F8E4M3FN, big, 1), both);
    ck_assert_uint_eq(cg_codes_facts(SCRT_F8E4M3FN, edge, 1), both | low);
    ck_assert_uint_eq(cg_codes_facts(SCRT_F8E4M3FN, edge, 2), both);
    ck_assert_uint_eq(cg_codes_facts(SCRT_F8E4M3FN, sub, 2), CG_CODES_FINITE | low);
    ck_assert_uint_eq(cg_codes_facts(SCRT_F8E4M3FN, nan, 1), CG_CODES_NORMAL);
    ck_assert_uint_eq(cg_codes_facts(SCRT_F8E5M2, sub, 2), both | low);
    ck_assert_uint_eq(cg_codes_facts(SCRT_F8E5M2, big, 1), CG_CODES_NORMAL);
    ck_assert_uint_eq(cg_codes_facts(SCRT_F8E8M0, big, 1), both);
    ck_assert_uint_eq(cg_codes_facts(SCRT_F8E8M0, zero, 2), CG_CODES_FINITE);
    ck_assert_uint_eq(cg_codes_facts(SCRT_F8E8M0, nan, 1), CG_CODES_NORMAL);
}
END_TEST

/* Which way a target takes: never one that its codes or the target forbid. */
START_TEST(choice)
{
    CgTarget v3 = {.w = 8, .n_reg = 16, .avx2 = true, .f16 = true, .f8 = CG_F8_F16};
    CgTarget v4 = {.w = 16,
                   .n_reg = 32,
                   .avx2 = true,
                   .avx512 = true,
                   .f16 = true,
                   .vbmi = true,
                   .f8 = CG_F8_TABLE};
    uint64_t finite = CG_CODES_FINITE, both = finite | CG_CODES_NORMAL, low = finite | CG_CODES_LOW;
    const CgTarget *const target[2] = {&v3, &v4};
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(cg_unit(target[i], SCRT_F8E4M3FN, low).way, CG_UNIT_SHIFT);
        ck_assert_uint_eq(cg_unit(target[i], SCRT_F8E4M3FN, low).raised, 3);
        ck_assert_uint_eq(cg_unit(target[i], SCRT_F8E5M2, low).raised, 2);
        ck_assert_uint_eq(cg_unit(target[i], SCRT_F8E4M3FN, both).raised, 0);
    }
    ck_assert_uint_eq(cg_unit(&v3, SCRT_F8E4M3FN, finite).way, CG_UNIT_F16);
    ck_assert_uint_eq(cg_unit(&v3, SCRT_F8E4M3FN, 0).way, CG_UNIT_BITS);
    ck_assert_uint_eq(cg_unit(&v3, SCRT_F8E5M2, 0).way, CG_UNIT_F16);
    ck_assert_uint_eq(cg_unit(&v3, SCRT_F8E4M3FN, both).way, CG_UNIT_SHIFT);
    ck_assert_uint_eq(cg_unit(&v4, SCRT_F8E4M3FN, 0).way, CG_UNIT_TABLE);
    ck_assert_uint_eq(cg_unit(&v4, SCRT_F32, both).way, CG_UNIT_PLAIN);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-decode");
    TCase *t = tcase_create("ways");
    tcase_add_test(t, bits);
    tcase_add_test(t, few_bits);
    tcase_add_test(t, f16);
    tcase_add_test(t, table);
    tcase_add_test(t, pairs);
    tcase_add_test(t, shift);
    tcase_add_test(t, raised);
    tcase_add_test(t, places);
    tcase_add_test(t, facts);
    tcase_add_test(t, choice);
    suite_add_tcase(s, t);
    return sct_main("codegen-decode", s);
}
