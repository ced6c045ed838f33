/* SPDX-License-Identifier: Apache-2.0 */
/* Processor features against what the kernel prints of them. */
#include "runtime/scrt.h"
#include "tests/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(bits_have_names_once)
{
    static const char *const name[] = {
#define SCRT_CPU(id, text, bit) [bit] = (text),
#include "runtime/cpu.def"
#undef SCRT_CPU
    };
    enum { N = sizeof name / sizeof *name };
    for (uint32_t b = 0; b < 70; b++) {
        const char *text = scrt_cpu_name(b);
        if (b >= N || !name[b]) {
            ck_assert_ptr_null(text);
            continue;
        }
        ck_assert_msg(text && strcmp(text, name[b]) == 0, "bit %u", b);
        for (uint32_t o = 0; o < b; o++)
            ck_assert_msg(!scrt_cpu_name(o) || strcmp(text, scrt_cpu_name(o)) != 0, "%s", text);
    }
}
END_TEST

#if defined(__aarch64__)
START_TEST(levels)
{
    const uint64_t fp16 = (uint64_t)1 << SCRT_CPU_FULLFP16, bf16 = (uint64_t)1 << SCRT_CPU_BF16;
    ck_assert_str_eq(scrt_cpu_level(0), "generic");
    ck_assert_str_eq(scrt_cpu_level(bf16), "generic");
    ck_assert_str_eq(scrt_cpu_level(fp16), "armv8.2-a+fp16");
    ck_assert_str_eq(scrt_cpu_level(fp16 | bf16), "armv8.6-a+bf16");
}
END_TEST
#else
START_TEST(levels)
{
    uint64_t mine = scrt_cpu_features(), v2 = 0;
    ck_assert_ptr_null(scrt_cpu_level(0));
    for (uint32_t b = 0; b < 64; b++)
        if (scrt_cpu_name(b) && strncmp(scrt_cpu_name(b), "avx", 3) != 0)
            v2 |= (uint64_t)1 << b;
    ck_assert_str_eq(scrt_cpu_level(v2), "x86-64-v2");
    ck_assert_str_eq(scrt_cpu_level(UINT64_MAX), "x86-64-v4");
    ck_assert_str_eq(scrt_cpu_level(UINT64_MAX & ~(1u << SCRT_CPU_AVX512VL)), "x86-64-v3");
    ck_assert_str_eq(scrt_cpu_level(UINT64_MAX & ~(1u << SCRT_CPU_FMA)), "x86-64-v2");
    ck_assert_ptr_null(scrt_cpu_level(UINT64_MAX & ~(1u << SCRT_CPU_POPCNT)));
    for (int v = 2; v <= 4; v++) { /* the compiler asks the same of CPUID */
        char name[16];
        snprintf(name, sizeof name, "x86-64-v%d", v);
        const char *level = scrt_cpu_level(mine);
        bool has = v == 2   ? __builtin_cpu_supports("x86-64-v2")
                   : v == 3 ? __builtin_cpu_supports("x86-64-v3")
                            : __builtin_cpu_supports("x86-64-v4");
        ck_assert_msg(has == (level && strcmp(level, name) >= 0), "%s", name);
    }
}
END_TEST
#endif

/* LLVM's name as Linux spells it in /proc/cpuinfo. */
static const char *kernel_name(const char *llvm, char *buf, size_t n)
{
    static const char *const differs[][2] = {
        {"sse3", "pni"},
        {"sse4.1", "sse4_1"},
        {"sse4.2", "sse4_2"},
        {"bmi", "bmi1"},
        {"lzcnt", "abm"},
        {"sahf", "lahf_lm"},
        {"amx-tile", "amx_tile"},
        {"amx-bf16", "amx_bf16"},
        {"amx-int8", "amx_int8"},
        {"amx-fp16", "amx_fp16"},
        {"avxvnni", "avx_vnni"},
        {"prfchw", "3dnowprefetch"},
        {"avx512bf16", "avx512_bf16"},
        {"avx512fp16", "avx512_fp16"},
        {"avx512vnni", "avx512_vnni"},
        {"avx512vbmi2", "avx512_vbmi2"},
        {"avx512bitalg", "avx512_bitalg"},
        {"avx512vpopcntdq", "avx512_vpopcntdq"},
    };
    for (size_t i = 0; i < sizeof differs / sizeof *differs; i++)
        if (strcmp(llvm, differs[i][0]) == 0)
            llvm = differs[i][1];
    snprintf(buf, n, " %s ", llvm);
    return buf;
}

START_TEST(agrees_with_the_kernel)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f)
        sct_skip("no /proc/cpuinfo");
    char *line = NULL, flags[8192] = "";
    size_t cap = 0;
    while (getline(&line, &cap, f) > 0 && !flags[0])
        if (strncmp(line, "flags", 5) == 0 && strchr(line, ':')) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(flags, sizeof flags, "%s ", strchr(line, ':') + 1);
        }
    free(line);
    fclose(f);
    if (!flags[0])
        sct_skip("/proc/cpuinfo has no flags here");
    uint64_t have = scrt_cpu_features();
    for (uint32_t b = 0; scrt_cpu_name(b); b++) {
        char name[64];
        bool listed = strstr(flags, kernel_name(scrt_cpu_name(b), name, sizeof name)) != NULL;
        ck_assert_msg(listed == (have >> b & 1), "%s: the kernel says %d", scrt_cpu_name(b),
                      listed);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runtime-cpu");
    TCase *c = tcase_create("cpu");
    tcase_add_test(c, bits_have_names_once);
    tcase_add_test(c, levels);
    tcase_add_test(c, agrees_with_the_kernel);
    suite_add_tcase(s, c);
    return sct_main("runtime-cpu", s);
}
