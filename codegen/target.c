/* SPDX-License-Identifier: Apache-2.0 */
/* The target description. Features of this machine come from LLVM's list for the host. Those of a
 * named processor are asked of LLVM too, but its C interface has no question for them: so a probe
 * module, one small function for each feature, is compiled for that processor, and a feature is
 * there where the instruction it brings stands in the assembly. */
#include "codegen/target.h"

#include <assert.h>
#include <llvm-c/Core.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <string.h>

typedef enum ArchId { X86_64, AARCH64 } ArchId;

static const struct Arch {
    const char *triple; /* how one begins */
    const char *cpu;    /* LLVM's processor of the baseline, to which features are added */
} archs[] = {
    [X86_64] = {"x86_64-", "x86-64"},
    [AARCH64] = {"aarch64-", "generic"},
};
enum { N_ARCH = sizeof archs / sizeof *archs };

static const struct Name {
    ArchId arch;
    const char *cpu;
} names[] = {
#define CPU(arch, name) {arch, name},
#define FAT(arch, name)
#include "codegen/cpus.def"
#undef CPU
#undef FAT
};
enum { N_NAMES = sizeof names / sizeof *names };

/* The levels of "fat". */
static const struct Name fat[] = {
#define CPU(arch, name)
#define FAT(arch, name) {arch, name},
#include "codegen/cpus.def"
#undef CPU
#undef FAT
};
enum { N_FAT = sizeof fat / sizeof *fat };

static const struct Feature {
    const char *name;
    uint32_t bit;
} features[] = {
#define SCRT_CPU(id, text, bit) {text, bit},
#include "runtime/cpu.def"
#undef SCRT_CPU
};
enum { N_FEATURES = sizeof features / sizeof *features };

/* A function that makes LLVM use `insn` on registers named `reg` where the feature is there. */
static const struct Probe {
    uint32_t bit;
    const char *insn, *reg, *result, *params, *body;
} probes[] = {
    {SCRT_CPU_SSSE3, "pshufb", "", "<16 x i8>", "(<16 x i8> %a)",
     "%r = shufflevector <16 x i8> %a, <16 x i8> poison, <16 x i32> <i32 7, i32 1, "
     "i32 13, i32 4, i32 15, i32 2, i32 9, i32 0, i32 5, i32 14, i32 3, i32 11, i32 "
     "6, i32 12, i32 10, i32 8> ret <16 x i8> %r"},
    {SCRT_CPU_SSE41, "round", "", "<4 x float>", "(<4 x float> %a)",
     "%r = call <4 x float> @llvm.floor.v4f32(<4 x float> %a) ret <4 x float> %r"},
    {SCRT_CPU_SSE42, "pcmpgtq", "", "<2 x i64>", "(<2 x i64> %a, <2 x i64> %b)",
     "%c = icmp sgt <2 x i64> %a, %b %r = sext <2 x i1> %c to <2 x i64> ret <2 x "
     "i64> %r"},
    {SCRT_CPU_POPCNT, "popcnt", "", "i64", "(i64 %a)",
     "%r = call i64 @llvm.ctpop.i64(i64 %a) ret i64 %r"},
    {SCRT_CPU_AVX, "vaddps", "ymm", "<8 x float>", "(<8 x float> %a, <8 x float> %b)",
     "%r = fadd <8 x float> %a, %b ret <8 x float> %r"},
    {SCRT_CPU_AVX2, "vpmulld", "ymm", "<8 x i32>", "(<8 x i32> %a, <8 x i32> %b)",
     "%r = mul <8 x i32> %a, %b ret <8 x i32> %r"},
    {SCRT_CPU_FMA, "vfmadd2", "", "<4 x float>", "(<4 x float> %a, <4 x float> %b, <4 x float> %c)",
     "%r = call <4 x float> @llvm.fma.v4f32(<4 x float> %a, <4 x float> %b, <4 x "
     "float> %c) ret <4 x float> %r"},
    {SCRT_CPU_F16C, "vcvtph2ps", "", "<4 x float>", "(<4 x i16> %a)",
     "%h = bitcast <4 x i16> %a to <4 x half> %r = fpext <4 x half> %h to <4 x "
     "float> ret <4 x float> %r"},
    {SCRT_CPU_BMI, "andn", "", "i64", "(i64 %a, i64 %b)",
     "%n = xor i64 %a, -1 %r = and i64 %n, %b ret i64 %r"},
    {SCRT_CPU_BMI2, "shlx", "", "i64", "(i64 %a, i64 %b)", "%r = shl i64 %a, %b ret i64 %r"},
    {SCRT_CPU_LZCNT, "lzcnt", "", "i64", "(i64 %a)",
     "%r = call i64 @llvm.ctlz.i64(i64 %a, i1 false) ret i64 %r"},
    {SCRT_CPU_MOVBE, "movbe", "", "i64", "(ptr %a)",
     "%v = load i64, ptr %a %r = call i64 @llvm.bswap.i64(i64 %v) ret i64 %r"},
    {SCRT_CPU_AVX512F, "vaddps", "zmm", "<16 x float>", "(<16 x float> %a, <16 x float> %b)",
     "%r = fadd <16 x float> %a, %b ret <16 x float> %r"},
    {SCRT_CPU_AVX512BW, "vpaddb", "zmm", "<64 x i8>", "(<64 x i8> %a, <64 x i8> %b)",
     "%r = add <64 x i8> %a, %b ret <64 x i8> %r"},
    {SCRT_CPU_AVX512VL, "vprolvd", "xmm", "<4 x i32>", "(<4 x i32> %a, <4 x i32> %b)",
     "%r = call <4 x i32> @llvm.fshl.v4i32(<4 x i32> %a, <4 x i32> %a, <4 x i32> %b) "
     "ret <4 x i32> %r"},
    {SCRT_CPU_AVX512DQ, "vpmullq", "", "<8 x i64>", "(<8 x i64> %a, <8 x i64> %b)",
     "%r = mul <8 x i64> %a, %b ret <8 x i64> %r"},
    {SCRT_CPU_AVX512CD, "vplzcntd", "", "<16 x i32>", "(<16 x i32> %a)",
     "%r = call <16 x i32> @llvm.ctlz.v16i32(<16 x i32> %a, i1 false) ret <16 x i32> "
     "%r"},
    {SCRT_CPU_AVX512VBMI, "vpermb", "", "<64 x i8>", "(<64 x i8> %a)",
     "%r = shufflevector <64 x i8> %a, <64 x i8> poison, <64 x i32> <i32 37, i32 12, "
     "i32 58, i32 3, i32 41, i32 22, i32 9, i32 63, i32 17, i32 50, i32 28, i32 5, "
     "i32 33, i32 44, i32 19, i32 8, i32 61, i32 14, i32 2, i32 39, i32 55, i32 26, "
     "i32 47, i32 11, i32 30, i32 0, i32 52, i32 21, i32 36, i32 7, i32 60, i32 25, "
     "i32 43, i32 16, i32 34, i32 57, i32 1, i32 29, i32 48, i32 13, i32 62, i32 20, "
     "i32 38, i32 6, i32 53, i32 27, i32 45, i32 10, i32 59, i32 18, i32 4, i32 40, "
     "i32 31, i32 56, i32 23, i32 49, i32 15, i32 35, i32 42, i32 24, i32 54, i32 "
     "46, i32 32, i32 51> ret <64 x i8> %r"},
    {SCRT_CPU_AVX512FP16, "vaddph", "", "<8 x half>", "(<8 x half> %a, <8 x half> %b)",
     "%r = fadd <8 x half> %a, %b ret <8 x half> %r"},
    {SCRT_CPU_AVX512BF16, "vcvtneps2bf16", "zmm", "<16 x bfloat>", "(<16 x float> %a)",
     "%r = fptrunc <16 x float> %a to <16 x bfloat> ret <16 x bfloat> %r"},
};
enum { N_PROBES = sizeof probes / sizeof *probes };

/* The assembly of all probes for a processor. */
static LLVMMemoryBufferRef probe_assembly(LLVMTargetMachineRef tm)
{
    ScStr ir = {0};
    for (uint32_t i = 0; i < N_PROBES; i++)
        sc_str_addf(&ir, "define %s @p%u%s #0 { %s }\n", probes[i].result, i, probes[i].params,
                    probes[i].body);
    sc_str_add(&ir, "attributes #0 = { nounwind \"prefer-vector-width\"=\"512\" "
                    "\"min-legal-vector-width\"=\"512\" }\n");
    LLVMContextRef ctx = LLVMContextCreate();
    LLVMMemoryBufferRef text = LLVMCreateMemoryBufferWithMemoryRangeCopy(ir.s, ir.n, "probe");
    LLVMModuleRef mod = NULL;
    LLVMMemoryBufferRef out = NULL;
    char *message = NULL;
    if (LLVMParseIRInContext(ctx, text, &mod, &message) ||
        LLVMTargetMachineEmitToMemoryBuffer(tm, mod, LLVMAssemblyFile, &message, &out)) {
        assert(!"the probe module compiles for every x86-64 processor");
        LLVMDisposeMessage(message);
    }
    if (mod)
        LLVMDisposeModule(mod);
    LLVMContextDispose(ctx);
    sc_str_free(&ir);
    return out;
}

/* Whether a line of text between begin and end has both words. */
static bool has_insn(const char *begin, const char *end, const char *insn, const char *reg)
{
    for (const char *line = begin; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop ? stop : end;
        size_t n = (size_t)(stop - line);
        if (memmem(line, n, insn, strlen(insn)) && memmem(line, n, reg, strlen(reg)))
            return true;
        line = stop + 1;
    }
    return false;
}

static uint64_t named_features(LLVMTargetRef target, const char *triple, const char *cpu)
{
    LLVMTargetMachineRef tm = LLVMCreateTargetMachine(
        target, triple, cpu, "", LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelDefault);
    LLVMMemoryBufferRef text = probe_assembly(tm);
    uint64_t bits = 0;
    const char *p = LLVMGetBufferStart(text), *stop = p + LLVMGetBufferSize(text);
    for (uint32_t i = 0; i < N_PROBES; i++) {
        char label[16];
        int n = snprintf(label, sizeof label, "\np%u:", i);
        const char *begin = memmem(p, (size_t)(stop - p), label, (size_t)n);
        const char *end = begin ? memmem(begin, (size_t)(stop - begin), ".Lfunc_end", 10) : NULL;
        if (end && has_insn(begin, end, probes[i].insn, probes[i].reg))
            bits |= UINT64_C(1) << probes[i].bit;
    }
    LLVMDisposeMemoryBuffer(text);
    LLVMDisposeTargetMachine(tm);
    if (bits >> SCRT_CPU_SSSE3 & 1)
        bits |= UINT64_C(1) << SCRT_CPU_SSE3; /* which no code generator uses by itself */
    return bits;
}

static uint64_t host_features(void)
{
    uint64_t bits = 0;
    char *list = LLVMGetHostCPUFeatures(); /* "+sse3,-avx,..." */
    for (uint32_t i = 0; i < N_FEATURES; i++) {
        size_t n = strlen(features[i].name);
        for (const char *p = list; (p = strstr(p, features[i].name)); p += n) {
            if (p > list && p[-1] == '+' && (p[n] == ',' || p[n] == '\0'))
                bits |= UINT64_C(1) << features[i].bit;
        }
    }
    LLVMDisposeMessage(list);
    return bits;
}

static bool has_all(uint64_t bits, uint64_t want)
{
    return (bits & want) == want;
}

#define BIT(x) (UINT64_C(1) << SCRT_CPU_##x)

/* Everything about code shapes follows from the features. */
static void describe_x86(CgTarget *t)
{
    t->fence = true;
    t->avx2 = t->bits & BIT(AVX2);
    t->fma = t->bits & BIT(FMA);
    t->f16 = t->bits & BIT(F16C);
    t->avx512 = t->avx2 && t->fma && t->f16 &&
                has_all(t->bits, BIT(AVX512F) | BIT(AVX512BW) | BIT(AVX512VL) | BIT(AVX512DQ) |
                                     BIT(AVX512CD));
    t->vbmi = t->avx512 && (t->bits & BIT(AVX512VBMI));
    t->fp16 = t->avx512 && (t->bits & BIT(AVX512FP16));
    t->vec_bits = t->avx512 ? 512 : t->avx2 ? 256 : 128;
    t->n_reg = t->avx512 ? 32 : 16;
    t->f8 = t->fp16 ? CG_F8_FP16 : t->vbmi ? CG_F8_TABLE : t->f16 ? CG_F8_F16 : CG_F8_BITS;
}

/* Armv8-A has four lanes, 32 registers, fma and conversions of f16. */
static void describe_aarch64(CgTarget *t)
{
    t->fma = t->f16 = true;
    t->vec_bits = 128;
    t->n_reg = 32;
    t->f8 = CG_F8_F16;
}

static void describe(CgTarget *t, ArchId arch)
{
    if (arch == AARCH64)
        describe_aarch64(t);
    else
        describe_x86(t);
    t->w = t->vec_bits / 32;
    t->tile_nv = 2;
    t->kc = 256;
    t->cache_l2 = (t->avx512 ? 512 : 256) << 10; /* half of what there is at least */
}

static const char *feature_text(ScArena *a, uint64_t bits)
{
    ScStr s = {0};
    for (uint32_t i = 0; i < N_FEATURES; i++) {
        if (bits >> features[i].bit & 1)
            sc_str_addf(&s, "%s+%s", s.n ? "," : "", features[i].name);
    }
    return sc_str_keep(&s, a);
}

static bool known_cpu(ArchId arch, const char *cpu)
{
    for (uint32_t i = 0; i < N_NAMES; i++) {
        if (names[i].arch == arch && strcmp(cpu, names[i].cpu) == 0)
            return true;
    }
    return false;
}

static bool unknown_cpu(ScCtx *cx, ArchId arch, bool native, const char *cpu)
{
    ScStr s = {0};
    for (uint32_t i = 0; i < N_NAMES; i++)
        if (names[i].arch == arch)
            sc_str_addf(&s, "%s%s", s.n ? ", " : native ? "native, " : "", names[i].cpu);
    for (uint32_t i = 0, n = 0; i < N_FAT; i++)
        if (fat[i].arch == arch)
            sc_str_addf(&s, "%s%s", n++ ? "," : "; fat, for ", fat[i].cpu);
    sc_fail_file(cx, NULL, SC_E_TARGET, "processor \"%s\"", cpu);
    sc_note(cx, "known are %s", s.s);
    sc_str_free(&s);
    return false;
}

static bool find_arch(const char *triple, ArchId *ret)
{
    for (uint32_t i = 0; i < N_ARCH; i++)
        if (strncmp(triple, archs[i].triple, strlen(archs[i].triple)) == 0 &&
            strstr(triple, "linux")) {
            *ret = (ArchId)i;
            return true;
        }
    return false;
}

bool sc_target_is_elsewhere(const char *triple)
{
    ArchId arch, host;
    return triple && find_arch(triple, &arch) && find_arch(CG_TRIPLE, &host) && arch != host;
}

static void initialize(ArchId arch)
{
    if (arch == AARCH64) {
        LLVMInitializeAArch64TargetInfo();
        LLVMInitializeAArch64Target();
        LLVMInitializeAArch64TargetMC();
        LLVMInitializeAArch64AsmPrinter();
    } else {
        LLVMInitializeX86TargetInfo();
        LLVMInitializeX86Target();
        LLVMInitializeX86TargetMC();
        LLVMInitializeX86AsmPrinter();
    }
}

/* What the processor has beyond the baseline. */
static bool find_features(ScCtx *cx, ArchId arch, LLVMTargetRef target, const char *triple,
                          const char *cpu, uint64_t *ret)
{
    *ret = 0;
    if (arch == AARCH64)
        return true; /* code keeps to Armv8-A */
    *ret = cpu ? named_features(target, triple, cpu) : host_features();
    return has_all(*ret, BIT(SSSE3) | BIT(SSE41) | BIT(SSE42) | BIT(POPCNT)) ||
           sc_fail_file(cx, NULL, SC_E_TARGET, "processor \"%s\": x86-64-v2 is the least",
                        cpu ? cpu : "native");
}

static bool init(ScCtx *cx, ScArena *a, const char *triple, LLVMTargetRef target, ArchId arch,
                 const char *cpu, CgTarget *ret)
{
    bool here = !sc_target_is_elsewhere(triple);
    const char *name = cpu ? cpu : here ? "native" : archs[arch].cpu;
    if (cpu && here && strcmp(cpu, "native") == 0)
        cpu = NULL;
    if (cpu && !known_cpu(arch, cpu))
        return unknown_cpu(cx, arch, here, cpu);
    uint64_t bits;
    if (!find_features(cx, arch, target, triple, cpu, &bits))
        return false;
    bool tuned = cpu && strncmp(cpu, "x86-64", 6) != 0;
    *ret = (CgTarget){
        .name = sc_strdup(a, name),
        .triple = sc_strdup(a, triple),
        .cpu = archs[arch].cpu, /* the features below and no others */
        .tune = tuned ? sc_strdup(a, cpu) : "generic",
        .features = feature_text(a, bits),
        .bits = bits,
    };
    describe(ret, arch);
    return true;
}

/* The names of the levels, in a; NULL: one, which the host or its architecture tells. */
static uint32_t list_levels(ScArena *a, ArchId arch, const char *cpu,
                            const char *ret[CG_LEVELS + 1])
{
    uint32_t n = 0;
    if (!cpu) {
        ret[0] = NULL;
        return 1;
    }
    if (strcmp(cpu, "fat") == 0) {
        for (uint32_t i = 0; i < N_FAT; i++)
            if (fat[i].arch == arch)
                ret[n++] = fat[i].cpu;
        return n;
    }
    for (const char *p = cpu; p && n <= CG_LEVELS; n++) {
        size_t len = strcspn(p, ",");
        ret[n] = sc_printf(a, "%.*s", (int)len, p);
        p = p[len] ? p + len + 1 : NULL;
    }
    return n;
}

/* No level is there in vain: of two that a processor has the later one runs. */
static bool check_order(ScCtx *cx, uint32_t n, const CgTarget *t)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = i + 1; k < n; k++)
            if (!(t[k].bits & ~t[i].bits))
                return sc_fail_file(cx, NULL, SC_E_TARGET,
                                    "processors \"%s\" and \"%s\": the code for the second, which "
                                    "needs no more, would run in the place of the first's",
                                    t[i].name, t[k].name);
    return true;
}

uint32_t cg_targets(ScCtx *cx, ScArena *a, const ScCodegenOptions *opt, CgTarget ret[CG_LEVELS])
{
    const char *triple = opt->target ? opt->target : CG_TRIPLE, *name[CG_LEVELS + 1];
    ArchId arch;
    if (!find_arch(triple, &arch)) {
        sc_fail_file(cx, NULL, SC_E_TARGET,
                     "target \"%s\": code is made for Linux on x86_64 and aarch64", triple);
        return 0;
    }
    initialize(arch);
    LLVMTargetRef target;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        sc_fail_file(cx, NULL, SC_E_TARGET, "target \"%s\": %s", triple, message);
        LLVMDisposeMessage(message);
        return 0;
    }
    uint32_t n = list_levels(a, arch, opt->cpu, name);
    if (n == 0) /* "fat" where an architecture has no usual levels */
        unknown_cpu(cx, arch, !sc_target_is_elsewhere(triple), opt->cpu);
    if (n > CG_LEVELS) {
        sc_fail_file(cx, NULL, SC_E_TARGET, "more than %d processors", CG_LEVELS);
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!init(cx, a, triple, target, arch, name[i], &ret[i]))
            return 0;
        ret[i].level = i;
    }
    return check_order(cx, n, ret) ? n : 0;
}
