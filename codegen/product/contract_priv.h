/* SPDX-License-Identifier: Apache-2.0 */
/* A CONTRACT kernel under construction: contract.c plans it, stream.c and the tiles read its
 * operands through matrix.c. */
#ifndef SC_CODEGEN_CONTRACT_PRIV_H
#define SC_CODEGEN_CONTRACT_PRIV_H

#include "codegen/product/product.h"

enum { CG_STREAM_ROWS = 3 }; /* rows up to which the panels are streamed */

typedef struct CgContract {
    CgFunc *f;
    const ScNode *node;
    ScContract desc;
    uint32_t nb; /* batch dims of the result */
    const ScTerm *batch[SCRT_MAX_RANK], *m, *n, *k;
    bool has_m, has_n;
    bool flat;               /* B has no batch: the rows run over the batch too */
    bool packed;             /* B is constant, in panels */
    CgAccess a, b;           /* dims [batch.., m, k] and [batch.., k, n] */
    CgPanels panels, scales; /* scales: of the blocks of rows, where panels have some */
    uint32_t scale_operand;
    CgTile tile;
    CgEpi *epi;
    CgJob job;
} CgContract;

/* Where the packed panel of (outer, panel) begins at row k0, a multiple of ku. */
LLVMValueRef cg_packed_panel(Cg *cg, const CgContract *c, LLVMValueRef outer, LLVMValueRef panel,
                             LLVMValueRef k0);
/* The scales of that panel's blocks from row k0 on, a multiple of the block; NULL: there are none.
 */
LLVMValueRef cg_panel_scales(Cg *cg, const CgContract *c, LLVMValueRef panel, LLVMValueRef k0);
void cg_contract_a_row(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row, LLVMValueRef dst);
void cg_contract_ask(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row);
void cg_contract_finish(Cg *cg, const CgJob *j, const CgAt *at, uint32_t n, LLVMValueRef row,
                        LLVMValueRef acc);

/* Few rows (stream.c). */
uint32_t cg_stream_panels(CgModule *m, const CgContract *c, uint32_t rows); /* read side by side */
const ScTerm *cg_stream_scratch(CgModule *m, const CgContract *c);
LLVMValueRef cg_stream_body(CgModule *m, const CgContract *c);
void cg_stream_run(Cg *cg, const CgContract *c, LLVMValueRef body);

/* Rows of A as integers beside blocks of codes of 4 bits (whole.c): whether they are multiplied so;
 * a row of f32 in scratch, of n_k finite numbers and zeros up to a vector's end, to blocks of
 * integers in its place; where a block begins in the row. */
bool cg_whole(const CgModule *m, const CgContract *c);
void cg_whole_row(Cg *cg, const CgContract *c, LLVMValueRef n_k, LLVMValueRef row);
LLVMValueRef cg_whole_block(Cg *cg, const CgContract *c, LLVMValueRef row, LLVMValueRef block);
/* Of a block: what sums begin with; its pair `pair` of elements, in the order of cg_unit_whole, for
 * every lane; sum + a * b, b of cg_unit_whole; acc + sum, times the scales of B and of the block.
 */
LLVMValueRef cg_whole_start(Cg *cg, LLVMValueRef block);
LLVMValueRef cg_whole_pair(Cg *cg, LLVMValueRef block, LLVMValueRef pair);
LLVMValueRef cg_whole_mac(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef sum);
LLVMValueRef cg_whole_sum(Cg *cg, LLVMValueRef block, LLVMValueRef sum, LLVMValueRef scale,
                          LLVMValueRef acc);

#endif
