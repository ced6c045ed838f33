/* SPDX-License-Identifier: Apache-2.0 */
/* What this processor can do and its operating system lets programs use. Asked of CPUID, never
 * guessed from a name: virtual machines mask the model but not the features. A vector feature
 * counts only if the system saves its registers (XCR0), tiles only if the kernel grants them. On
 * AArch64, where programs may not ask the processor, Linux tells (AT_HWCAP and AT_HWCAP2).
 *
 * Source: Intel SDM volume 2A, CPUID, and volume 1, chapters 13 and 18; AMD APM volume 3; Linux,
 * Documentation/arch/arm64/elf_hwcaps.rst. */
#include "runtime/scrt_priv.h"

#include <stddef.h>

const char *scrt_cpu_name(uint32_t bit)
{
    static const char *const name[64] = {
#define SCRT_CPU(id, text, bit) [bit] = (text),
#include "runtime/cpu.def"
#undef SCRT_CPU
    };
    return bit < 64 ? name[bit] : NULL;
}

/* Source: System V ABI, AMD64 supplement, table 3.1. What cpu.def does not tell apart stays out.
 * AArch64's levels are those of codegen/cpus.def. */
const char *scrt_cpu_level(uint64_t features)
{
#define BIT(feature) ((uint64_t)1 << SCRT_CPU_##feature)
    static const struct {
        const char *name;
        uint64_t adds;
    } level[] = {
#if defined(__aarch64__)
        {"generic", 0},
        {"armv8.2-a+fp16", BIT(FULLFP16)},
        {"armv8.6-a+bf16", BIT(BF16)},
#else
        {"x86-64-v2",
         BIT(CX16) | BIT(SAHF) | BIT(POPCNT) | BIT(SSE3) | BIT(SSSE3) | BIT(SSE41) | BIT(SSE42)},
        {"x86-64-v3", BIT(AVX) | BIT(AVX2) | BIT(BMI) | BIT(BMI2) | BIT(F16C) | BIT(FMA) |
                          BIT(LZCNT) | BIT(MOVBE)},
        {"x86-64-v4", BIT(AVX512F) | BIT(AVX512BW) | BIT(AVX512CD) | BIT(AVX512DQ) | BIT(AVX512VL)},
#endif
    };
#undef BIT
    const char *ret = NULL;
    for (size_t i = 0; i < sizeof level / sizeof *level && !(level[i].adds & ~features); i++)
        ret = level[i].name;
    return ret;
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EAX, EBX, ECX, EDX };
enum { NO_STATE = 0, YMM = 0x6, ZMM = 0xe6, TILE = 0x60000 };                 /* bits of XCR0 */
enum { GET_SUPPORTED = 0x1021, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* of arch_prctl */

static const struct Line {
    uint8_t feature; /* SCRT_CPU_ */
    uint32_t leaf;
    uint8_t sub, reg, bit;
    uint32_t state;
} lines[] = {
    {SCRT_CPU_SSE3, 1, 0, ECX, 0, NO_STATE},
    {SCRT_CPU_SSSE3, 1, 0, ECX, 9, NO_STATE},
    {SCRT_CPU_FMA, 1, 0, ECX, 12, YMM},
    {SCRT_CPU_CX16, 1, 0, ECX, 13, NO_STATE},
    {SCRT_CPU_SSE41, 1, 0, ECX, 19, NO_STATE},
    {SCRT_CPU_SSE42, 1, 0, ECX, 20, NO_STATE},
    {SCRT_CPU_MOVBE, 1, 0, ECX, 22, NO_STATE},
    {SCRT_CPU_POPCNT, 1, 0, ECX, 23, NO_STATE},
    {SCRT_CPU_AVX, 1, 0, ECX, 28, YMM},
    {SCRT_CPU_F16C, 1, 0, ECX, 29, YMM},
    {SCRT_CPU_BMI, 7, 0, EBX, 3, NO_STATE},
    {SCRT_CPU_AVX2, 7, 0, EBX, 5, YMM},
    {SCRT_CPU_BMI2, 7, 0, EBX, 8, NO_STATE},
    {SCRT_CPU_AVX512F, 7, 0, EBX, 16, ZMM},
    {SCRT_CPU_AVX512DQ, 7, 0, EBX, 17, ZMM},
    {SCRT_CPU_AVX512IFMA, 7, 0, EBX, 21, ZMM},
    {SCRT_CPU_AVX512CD, 7, 0, EBX, 28, ZMM},
    {SCRT_CPU_AVX512BW, 7, 0, EBX, 30, ZMM},
    {SCRT_CPU_AVX512VL, 7, 0, EBX, 31, ZMM},
    {SCRT_CPU_AVX512VBMI, 7, 0, ECX, 1, ZMM},
    {SCRT_CPU_AVX512VBMI2, 7, 0, ECX, 6, ZMM},
    {SCRT_CPU_GFNI, 7, 0, ECX, 8, NO_STATE},
    {SCRT_CPU_AVX512VNNI, 7, 0, ECX, 11, ZMM},
    {SCRT_CPU_AVX512BITALG, 7, 0, ECX, 12, ZMM},
    {SCRT_CPU_AVX512VPOPCNTDQ, 7, 0, ECX, 14, ZMM},
    {SCRT_CPU_AMXBF16, 7, 0, EDX, 22, TILE},
    {SCRT_CPU_AVX512FP16, 7, 0, EDX, 23, ZMM},
    {SCRT_CPU_AMXTILE, 7, 0, EDX, 24, TILE},
    {SCRT_CPU_AMXINT8, 7, 0, EDX, 25, TILE},
    {SCRT_CPU_AVXVNNI, 7, 1, EAX, 4, YMM},
    {SCRT_CPU_AVX512BF16, 7, 1, EAX, 5, ZMM},
    {SCRT_CPU_AMXFP16, 7, 1, EAX, 21, TILE},
    {SCRT_CPU_SAHF, 0x80000001, 0, ECX, 0, NO_STATE},
    {SCRT_CPU_LZCNT, 0x80000001, 0, ECX, 5, NO_STATE},
    {SCRT_CPU_PRFCHW, 0x80000001, 0, ECX, 8, NO_STATE},
};

enum {
    N_FEATURE = 0
#define SCRT_CPU(id, text, bit) +((bit) < SCRT_CPU_AARCH64)
#include "runtime/cpu.def"
#undef SCRT_CPU
};
_Static_assert(sizeof lines / sizeof *lines == N_FEATURE, "each line of cpu.def is detected");

static bool has(const struct Line *l)
{
    unsigned r[4];
    return __get_cpuid_count(l->leaf, l->sub, &r[EAX], &r[EBX], &r[ECX], &r[EDX]) &&
           r[l->reg] >> l->bit & 1;
}

/* Register files that the system saves; XGETBV exists where OSXSAVE is set. */
static uint64_t saved_state(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    uint64_t state = (uint64_t)d << 32 | a, granted = 0;
    if ((state & TILE) == TILE &&
        (syscall(SYS_arch_prctl, GET_SUPPORTED, &granted) != 0 || !(granted >> TILE_DATA & 1)))
        state &= ~(uint64_t)TILE;
    return state;
}

uint64_t scrt_cpu_features(void)
{
    uint64_t state = saved_state(), features = 0;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if ((state & lines[i].state) == lines[i].state && has(&lines[i]))
            features |= (uint64_t)1 << lines[i].feature;
    return features;
}

bool scrt_cpu_enable(uint64_t features)
{
    return !(features >> SCRT_CPU_AMXTILE & 1) ||
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#else
#if defined(__aarch64__)
#include <sys/auxv.h>

static const struct Line {
    uint8_t feature; /* SCRT_CPU_ */
    unsigned long type, bits;
} lines[] = {
    {SCRT_CPU_FULLFP16, AT_HWCAP, 1ul << 9 | 1ul << 10}, /* FPHP, ASIMDHP */
    {SCRT_CPU_BF16, AT_HWCAP2, 1ul << 14},
};

enum {
    N_FEATURE = 0
#define SCRT_CPU(id, text, bit) +((bit) >= SCRT_CPU_AARCH64)
#include "runtime/cpu.def"
#undef SCRT_CPU
};
_Static_assert(sizeof lines / sizeof *lines == N_FEATURE, "each line of cpu.def is detected");

uint64_t scrt_cpu_features(void)
{
    uint64_t features = 0;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if ((getauxval(lines[i].type) & lines[i].bits) == lines[i].bits)
            features |= (uint64_t)1 << lines[i].feature;
    return features;
}
#else
uint64_t scrt_cpu_features(void)
{
    return 0;
}
#endif

bool scrt_cpu_enable(uint64_t features)
{
    return !(features & ~scrt_cpu_features());
}
#endif
