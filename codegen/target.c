/* SPDX-License-Identifier: Apache-2.0 */
/* The target description. Features of this machine come from LLVM's list for the host. Those of a
 * named processor are asked of LLVM too, but its C interface has no question for them: so a probe
 * module is made, for each feature a function that needs it and a caller that is for that
 * processor, and a feature is there where LLVM finds that the one may be inlined into the other. */
#include "codegen/target.h"

#include <assert.h>
#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
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
    const char *features; /* of one that is an architecture; NULL: LLVM knows the name */
} names[] = {
#define CPU(arch, name)            {arch, name, NULL},
#define ARCH(arch, name, features) {arch, name, features},
#define FAT(arch, name)
#include "codegen/cpus.def"
#undef CPU
#undef ARCH
#undef FAT
};
enum { N_NAMES = sizeof names / sizeof *names };

/* The levels of "fat". */
static const struct Name fat[] = {
#define CPU(arch, name)
#define ARCH(arch, name, features)
#define FAT(arch, name) {arch, name, NULL},
#include "codegen/cpus.def"
#undef CPU
#undef ARCH
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

/* What code may use beyond the baseline, where the processor has it. */
static const uint32_t used[] = {
    SCRT_CPU_SSE3,       SCRT_CPU_SSSE3,    SCRT_CPU_SSE41,      SCRT_CPU_SSE42,
    SCRT_CPU_POPCNT,     SCRT_CPU_AVX,      SCRT_CPU_AVX2,       SCRT_CPU_FMA,
    SCRT_CPU_F16C,       SCRT_CPU_BMI,      SCRT_CPU_BMI2,       SCRT_CPU_LZCNT,
    SCRT_CPU_MOVBE,      SCRT_CPU_AVX512F,  SCRT_CPU_AVX512BW,   SCRT_CPU_AVX512VL,
    SCRT_CPU_AVX512DQ,   SCRT_CPU_AVX512CD, SCRT_CPU_AVX512VBMI, SCRT_CPU_AVX512FP16,
    SCRT_CPU_AVX512BF16, SCRT_CPU_AMXTILE,  SCRT_CPU_AMXBF16,    SCRT_CPU_FULLFP16,
    SCRT_CPU_BF16,
};
enum { N_USED = sizeof used / sizeof *used };

static const char *feature_name(uint32_t bit)
{
    uint32_t i = 0;
    while (features[i].bit != bit)
        i++;
    return features[i].name;
}

/* What LLVM is asked about: a processor, or features beyond an architecture's baseline. */
typedef struct Asked {
    ArchId arch;
    const char *cpu, *features;
} Asked;

static Asked asked_of(ArchId arch, const char *cpu)
{
    for (uint32_t i = 0; i < N_NAMES; i++)
        if (names[i].arch == arch && names[i].features && strcmp(names[i].cpu, cpu) == 0)
            return (Asked){arch, archs[arch].cpu, names[i].features};
    return (Asked){arch, cpu, ""};
}

static bool is_of(ArchId arch, uint32_t bit)
{
    return (arch == AARCH64) == (bit >= SCRT_CPU_AARCH64);
}

/* For each feature a function @f that needs it beside all that the processor has, and a caller @p
 * for the processor. */
static LLVMModuleRef probe_module(LLVMContextRef ctx, const char *triple, const Asked *q)
{
    ScStr ir = {0};
    for (uint32_t i = 0; i < N_USED; i++) {
        if (!is_of(q->arch, used[i]))
            continue;
        sc_str_addf(&ir,
                    "define internal void @f%u() #%u { store volatile i8 0, ptr null ret void }\n"
                    "define void @p%u() #%u { call void @f%u() ret void }\n"
                    "attributes #%u = { \"target-cpu\"=\"%s\" \"target-features\"=\"%s%s+%s\" }\n",
                    i, i, i, N_USED, i, i, q->cpu, q->features, *q->features ? "," : "",
                    feature_name(used[i]));
    }
    sc_str_addf(&ir, "attributes #%u = { \"target-cpu\"=\"%s\" \"target-features\"=\"%s\" }\n",
                N_USED, q->cpu, q->features);
    LLVMMemoryBufferRef text = LLVMCreateMemoryBufferWithMemoryRangeCopy(ir.s, ir.n, "probe");
    LLVMModuleRef mod = NULL;
    char *message = NULL;
    if (LLVMParseIRInContext(ctx, text, &mod, &message)) {
        assert(!"the probe module is parsed");
        LLVMDisposeMessage(message);
    }
    sc_str_free(&ir);
    if (mod)
        LLVMSetTarget(mod, triple);
    return mod;
}

static uint64_t named_features(LLVMTargetRef target, const char *triple, const Asked *q)
{
    LLVMTargetMachineRef tm = LLVMCreateTargetMachine(
        target, triple, q->cpu, "", LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelDefault);
    LLVMContextRef ctx = LLVMContextCreate();
    LLVMModuleRef mod = probe_module(ctx, triple, q);
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef e = LLVMRunPasses(mod, "cgscc(inline)", tm, options);
    assert(!e);
    LLVMConsumeError(e);
    uint64_t bits = 0;
    for (uint32_t i = 0; i < N_USED; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%u", i);
        LLVMValueRef fn = LLVMGetNamedFunction(mod, name);
        if (!fn)
            continue;
        LLVMValueRef first = LLVMGetFirstInstruction(LLVMGetEntryBasicBlock(fn));
        if (!LLVMIsACallInst(first))
            bits |= UINT64_C(1) << used[i];
    }
    LLVMDisposePassBuilderOptions(options);
    LLVMDisposeModule(mod);
    LLVMContextDispose(ctx);
    LLVMDisposeTargetMachine(tm);
    return bits;
}

#define BIT(x) (UINT64_C(1) << SCRT_CPU_##x)

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
    const uint64_t tiles = BIT(AMXTILE) | BIT(AMXBF16) | BIT(AMXINT8) | BIT(AMXFP16);
    return bits & (~tiles | scrt_cpu_features()); /* which asks the kernel, too */
}

static bool has_all(uint64_t bits, uint64_t want)
{
    return (bits & want) == want;
}

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
    t->vec_bits = t->avx512 ? 512 : t->avx2 ? 256 : 128;
    t->n_reg = t->avx512 ? 32 : 16;
    /* From the second cache 64 codes take 9 clocks by tables, 11 by f16, whichever instruction
     * converts that. */
    t->f8 = t->vbmi ? CG_F8_TABLE : t->f16 ? CG_F8_F16 : CG_F8_BITS;
}

/* Armv8-A has four lanes, 32 registers, fma and conversions of f16; what is beyond it the emitters
 * ask of the features. */
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
    /* Of a vector's numbers codes take some 30 instructions to make, where bytes are not gathered
     * from lanes at once, and 9 to read; numbers on FP8's grid take 9. */
    t->numbers = !t->avx512 && !(t->bits & BIT(BF16));
    t->w = t->vec_bits / 32;
    t->tile_nv = 2;
    t->kc = t->n_reg > 16 ? 256 : 384;           /* of narrower panels as many bytes */
    t->cache_l2 = (t->avx512 ? 512 : 256) << 10; /* half of what there is at least */
    t->cache_block = (t->avx512 ? 1 : 2) << 20;  /* low tiles are turned, and read from the third */
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
    const Asked q = asked_of(arch, cpu ? cpu : archs[arch].cpu);
    *ret = cpu || arch == AARCH64 ? named_features(target, triple, &q) : host_features();
    return arch == AARCH64 || has_all(*ret, BIT(SSSE3) | BIT(SSE41) | BIT(SSE42) | BIT(POPCNT)) ||
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
    bool tuned = cpu && strncmp(cpu, "x86-64", 6) != 0 && !*asked_of(arch, cpu).features;
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
    if (n > CG_LEVELS) {
        sc_fail_file(cx, NULL, SC_E_TARGET, "more than %d processors", CG_LEVELS);
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!init(cx, a, triple, target, arch, name[i], &ret[i]))
            return 0;
        ret[i].level = i;
        ret[i].modelled = opt->tiles ? BIT(AMXTILE) | BIT(AMXBF16) : 0;
        ret[i].tiles = opt->tiles;
    }
    return check_order(cx, n, ret) ? n : 0;
}
