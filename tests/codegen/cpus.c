/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/codegen/cpus.h"

#include "codegen/target.h"
#include "tests/codegen/tiles.h"

#include <stdlib.h>
#include <string.h>

const char *const sct_cpus[] = {"x86-64-v2", "native", "x86-64-v3", "x86-64-v4"};

static const char tiles[] = "native, with tile registers";

const char *sct_product_cpu(int c)
{
    return c < SCT_N_CPU ? sct_cpus[c] : tiles;
}

ScCodegenOptions sct_cpu_options(const char *cpu)
{
    bool modelled = strcmp(cpu, tiles) == 0;
    return (ScCodegenOptions){.cpu = modelled ? "native" : cpu,
                              .tiles = modelled ? &sct_tiles : NULL};
}

int sct_rounds(int c, int n)
{
    return !SCT_SANITIZED && strncmp(sct_product_cpu(c), "native", 6) == 0 ? n : n / 2;
}

const char *sct_levels(int c, int round)
{
    static const char *const with[] = {"x86-64-v2,x86-64-v4", NULL, "x86-64-v3,x86-64-v4", NULL};
    return c < SCT_N_CPU && round % 2 && with[c] ? with[c] : sct_product_cpu(c);
}

bool sct_runs(const char *cpu)
{
    ScCtx *cx = sc_ctx_new();
    ScArena *a = sc_arena_new();
    CgTarget t[CG_LEVELS];
    const ScCodegenOptions opt = sct_cpu_options(cpu);
    if (!cg_targets(cx, a, &opt, t))
        abort(); /* no ck_assert: who asks need not be a test of Check's */
    bool runs = strcmp(cpu, "native") == 0 || (t->bits & ~scrt_cpu_features()) == 0;
    runs = runs && (!opt.tiles || t->vbmi); /* which code with tile registers asks for, too */
    sc_arena_free(a);
    sc_ctx_free(cx);
    return runs;
}
