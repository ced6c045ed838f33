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

/* Rows of A as integers beside blocks of codes of 4 bits (whole.c): stored in how many
 * bits, 0: they are not multiplied so; whether units are to be wide for it; a row of f32 in
 * scratch, of n_k finite numbers and zeros up to a vector's end, to blocks of integers in its
 * place; how many elements such a block has; where one begins in the row. */
uint32_t cg_whole(const CgModule *m, const CgContract *c);
bool cg_whole_units(const CgContract *c);
void cg_whole_row(Cg *cg, const CgContract *c, LLVMValueRef n_k, LLVMValueRef row);
uint32_t cg_whole_len(const CgContract *c);
LLVMValueRef cg_whole_block(Cg *cg, const CgContract *c, LLVMValueRef row, LLVMValueRef block);
/* Of a panel and a row, in as many variables as a row of the panel has vectors: the sums begin;
 * plus the products of unit `unit` of the block, x: its numbers by cg_unit_whole or _whole8, in
 * turns: how many units came before it, where their parity is known; the sums of vector j of the
 * columns; acc + those, times the scales of B and of the block. */
LLVMTypeRef cg_whole_sums(const CgModule *m, const CgContract *c);
void cg_whole_begin(Cg *cg, const CgContract *c, LLVMValueRef block, const LLVMValueRef *sum);
void cg_whole_pairs(Cg *cg, const CgContract *c, LLVMValueRef block, LLVMValueRef unit,
                    LLVMValueRef *ret);
void cg_whole_add(Cg *cg, const CgContract *c, const LLVMValueRef *pair, const LLVMValueRef *x,
                  uint32_t turn, const LLVMValueRef *sum);
LLVMValueRef cg_whole_end(Cg *cg, const CgContract *c, LLVMValueRef block, const LLVMValueRef *sum,
                          uint32_t j, LLVMValueRef scale, LLVMValueRef acc);

#endif
