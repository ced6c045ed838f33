/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/codegen/cpus.h"

#include "codegen/target.h"

#include <stdlib.h>
#include <string.h>

const char *const sct_cpus[] = {"x86-64-v2", "native", "x86-64-v3", "x86-64-v4"};

int sct_rounds(int c, int n)
{
    return !SCT_SANITIZED && strcmp(sct_cpus[c], "native") == 0 ? n : n / 2;
}

const char *sct_levels(int c, int round)
{
    static const char *const with[] = {"x86-64-v2,x86-64-v4", NULL, "x86-64-v3,x86-64-v4", NULL};
    return round % 2 && with[c] ? with[c] : sct_cpus[c];
}

bool sct_runs(const char *cpu)
{
    ScCtx *cx = sc_ctx_new();
    ScArena *a = sc_arena_new();
    CgTarget t[CG_LEVELS];
    if (!cg_targets(cx, a, &(ScCodegenOptions){.cpu = cpu}, t))
        abort(); /* no ck_assert: who asks need not be a test of Check's */
    bool runs = strcmp(cpu, "native") == 0 || (t->bits & ~scrt_cpu_features()) == 0;
    sc_arena_free(a);
    sc_ctx_free(cx);
    return runs;
}
