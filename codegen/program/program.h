/* SPDX-License-Identifier: Apache-2.0 */
/* From kernels to a model: which kernels there are, where their values live, and the functions and
 * the constant that make up a ScrtModel. codegen.c runs them in this order. */
#ifndef SC_CODEGEN_PROGRAM_H
#define SC_CODEGEN_PROGRAM_H

#include "codegen/emit/emit.h"

/* --- Symbols: which input dim binds which ---------------------------------------------------- */

typedef struct CgSymbol {
    const char *name;
    uint32_t input, dim;
} CgSymbol;

typedef struct CgSymbols {
    uint32_t n;
    CgSymbol *sym;
} CgSymbols;
CgSymbols cg_symbols(CgModule *m);
/* False after sc_fail where t has a symbol that no input binds. */
bool cg_bound(CgModule *m, const CgSymbols *s, const ScLoc *loc, const ScTerm *t);
/* The input that binds the first symbol of t, or 0. */
uint32_t cg_blame(const CgSymbols *s, const ScTerm *t);

/* --- Kernels --------------------------------------------------------------------------------- */

typedef struct CgKernel { /* a kernel node of the graph */
    const ScNode *node;
    CgFunc *f;         /* equal kernels share it */
    const char *name;  /* "k3" */
    const char *from;  /* ONNX nodes, comma separated */
    uint64_t *weights; /* [n_in] offsets of constant operands */
} CgKernel;

typedef struct CgKernels {
    uint32_t n;
    CgKernel *k;
} CgKernels;
/* Emits every kernel's code. False with errors in cx. */
bool cg_kernels(CgModule *m, CgKernels *ret);
/* Packs the constant operands of kernels, as their code wants them. */
bool cg_pack_operands(CgModule *m, const CgKernels *k);

/* --- Buffers --------------------------------------------------------------------------------- */

typedef enum CgPlaceKind {
    CG_NOWHERE,
    CG_IN,     /* index: input */
    CG_STATE,  /* index: state */
    CG_WEIGHT, /* offset into the weights, as stored */
    CG_OUT,
    CG_NEXT,
    CG_WORK, /* index: slot of the workspace */
} CgPlaceKind;

typedef struct CgPlace {
    CgPlaceKind kind;
    uint64_t index;
} CgPlace;

typedef struct CgCopy { /* after the last kernel */
    ScVal from;
    CgPlace to;
} CgCopy;

typedef struct CgPlan {
    CgPlace *place; /* [n_value] */
    uint32_t n_slot;
    const ScTerm **slot; /* [n_slot] bytes, a multiple of 64: one after another in the workspace */
    const ScTerm *scratch, *scratch_thread; /* then these, the latter for each thread */
    uint32_t n_copy;
    CgCopy *copy;
} CgPlan;
bool cg_plan(CgModule *m, const CgKernels *k, const CgSymbols *s, CgPlan *ret);
const ScTerm *cg_bytes(CgModule *m, const ScType *t); /* of a value */

/* --- Terms as code --------------------------------------------------------------------------- */

typedef struct CgTerms {
    Cg *cg;
    const CgSymbols *sym;
    LLVMValueRef *value;    /* [sym->n] i64 */
    bool checked;           /* note overflows and divisions by 0 in `bad` */
    LLVMValueRef bad;       /* i1 */
    uint32_t n, cap, cap_v; /* terms already emitted */
    const ScTerm **term;
    LLVMValueRef *done;
    uint32_t n_v;
} CgTerms;
LLVMValueRef cg_emit_term(CgTerms *t, const ScTerm *term);
void cg_terms_done(CgTerms *t);

/* --- The model ------------------------------------------------------------------------------- */

LLVMValueRef cg_emit_shapes(CgModule *m, const CgSymbols *s, const CgPlan *p);
LLVMValueRef cg_emit_run(CgModule *m, const CgKernels *k, const CgSymbols *s, const CgPlan *p);

typedef struct CgModelParts {
    const char *symbol, *name, *info;
    LLVMValueRef shapes, run;
    bool embed;
} CgModelParts;
/* Adds the constant ScrtModel. */
bool cg_emit_model(CgModule *m, const CgKernels *k, const CgSymbols *s, const CgModelParts *p);
/* C header text in a. */
const char *cg_header(CgModule *m, ScArena *a, const char *symbol);
/* "batch,784" */
const char *cg_dims_text(ScArena *a, const ScType *t);

#endif
