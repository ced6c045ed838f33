/* SPDX-License-Identifier: Apache-2.0 */
/* A REDUCE kernel: what reduce.c plans and reduce_emit.c emits. */
#ifndef SC_CODEGEN_REDUCE_PRIV_H
#define SC_CODEGEN_REDUCE_PRIV_H

#include "codegen/loops/loops.h"

typedef struct RedInfo {   /* of a value of the nested graph */
    const ScNode *node;    /* the MAP or REDUCE node, or NULL */
    uint32_t level;        /* reductions that must be finished first */
    bool full;             /* varies along the row */
    bool outer;            /* its shape is the outer dims alone: no kept axes */
    bool kept;             /* in scratch, from its first phase on */
    uint64_t need;         /* phases that use it, 1 << phase */
    const ScTerm *scratch; /* bytes into the thread's scratch */
    uint32_t access[2];    /* 1 + index: aligned at the row's last dim, at the outer dims */
} RedInfo;

typedef struct Red {
    CgFunc *f;
    const ScType *type; /* what is reduced: the space */
    uint32_t n_outer;
    RedInfo *info; /* [n_value] */
    uint32_t n_access, n_phase;
    CgAccess *access; /* [n_access] what is loaded, then the results */
    CgSpace space;
    bool past; /* the result, of which there is one, is stored past the caches */
    uint32_t n_copy;
    CgTranspose *copy;       /* [n_copy] operands that are copied first */
    const ScTerm *row_bytes; /* scratch for each thread */
} Red;

LLVMValueRef cg_red_body(CgModule *m, const Red *k);

#endif
