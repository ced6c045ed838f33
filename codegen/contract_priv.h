/* SPDX-License-Identifier: Apache-2.0 */
/* A CONTRACT kernel under construction: what contract.c knows and stream.c uses. */
#ifndef SC_CONTRACT_PRIV_H
#define SC_CONTRACT_PRIV_H

#include "codegen/tile_priv.h"

enum { CG_STREAM_ROWS = 3 }; /* rows up to which the panels are streamed */

typedef struct CgContract {
    CgFunc *f;
    const ScNode *node;
    ScContract desc;
    uint32_t nb; /* batch dims of the result */
    const ScTerm *batch[SCRT_MAX_RANK], *m, *n, *k;
    bool has_m, has_n;
    bool flat;     /* B has no batch: the rows run over the batch too */
    bool packed;   /* B is constant, in panels */
    CgAccess a, b; /* dims [batch.., m, k] and [batch.., k, n] */
    CgPanels panels;
    CgTile tile;
    CgEpi *epi;
    CgJob job;
} CgContract;

/* The vectors of a unit of a packed panel, ku * nv of them, as compute numbers. */
void cg_unit_load(Cg *cg, const CgPanels *p, LLVMValueRef panel, LLVMValueRef unit,
                  LLVMValueRef ret[4]);
/* Where the packed panel begins at row k0, a multiple of ku. */
LLVMValueRef cg_packed_panel(Cg *cg, const CgContract *c, LLVMValueRef outer, LLVMValueRef panel,
                             LLVMValueRef k0);
void cg_contract_a_row(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row, LLVMValueRef dst);
void cg_contract_finish(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row, LLVMValueRef acc);

/* Few rows (stream.c). */
uint32_t cg_stream_panels(CgModule *m, const CgContract *c, uint32_t rows); /* read side by side */
const ScTerm *cg_stream_scratch(CgModule *m, const CgContract *c);
LLVMValueRef cg_stream_body(CgModule *m, const CgContract *c);
void cg_stream_run(Cg *cg, const CgContract *c, LLVMValueRef body);

#endif
