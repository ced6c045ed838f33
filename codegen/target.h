/* SPDX-License-Identifier: Apache-2.0 */
/* What code is made for: facts from LLVM's feature list, never from a processor's name. */
#ifndef SC_CODEGEN_TARGET_H
#define SC_CODEGEN_TARGET_H

#include "codegen/codegen.h"

#define CG_TRIPLE "x86_64-pc-linux-gnu" /* unless another is given */

typedef enum CgF8Way { /* how FP8 weights are decoded in registers where nothing is known of them */
                       CG_F8_BITS,  /* integer operations on 32-bit lanes: every target */
                       CG_F8_F16,   /* bits into f16, then the conversion instruction to f32 */
                       CG_F8_TABLE, /* two-register byte permutations (VBMI) */
} CgF8Way;

enum { CG_LEVELS = 8 }; /* of a program, at most */

typedef struct CgTarget {
    const char *name;                           /* as it was asked for: "x86-64-v3", "native" */
    uint32_t level;                             /* which of the program's it is */
    const char *triple, *cpu, *tune, *features; /* as LLVM is given them */
    uint64_t bits;     /* SCRT_CPU_ features the code may use, as 1 << bit: no others are enabled */
    uint64_t modelled; /* features whose instructions are calls of tiles instead */
    const ScTileModel *tiles; /* see ScCodegenOptions */
    uint32_t vec_bits;        /* 128, 256, 512 */
    uint32_t w;               /* f32 lanes of a vector: 4, 8, 16 */
    uint32_t n_reg;           /* vector registers: 16, 32 */
    bool fma, f16;            /* f16: instructions convert it */
    bool fence;               /* stores past the caches need one */
    bool avx2;
    bool avx512; /* F, BW, VL, DQ, CD: masks at every width */
    bool vbmi;
    CgF8Way f8;
    bool numbers;         /* rounding to FP8 codes and reading them takes longer than moving f32 */
    uint32_t tile_nv;     /* most columns of a packed panel, in vectors, in general */
    uint32_t kc;          /* depth of a decoded panel */
    uint32_t cache_l2;    /* bytes a thread may count on for a panel */
    uint32_t cache_block; /* and for a block of rows, whose tiles are read one after the other */
} CgTarget;
static inline bool cg_has(const CgTarget *t, ScrtCpu f)
{
    return t->bits >> f & 1;
}
/* The levels that opt.cpu names: their number, the least first; 0 with SC_E_TARGET in cx where LLVM
 * does not know the triple or a processor, or one would run in another's place. Strings are in a.
 */
uint32_t cg_targets(ScCtx *cx, ScArena *a, const ScCodegenOptions *opt, CgTarget ret[CG_LEVELS]);

#endif
