/* SPDX-License-Identifier: Apache-2.0 */
/* How the loops of a CONTRACT kernel reach its matrices: packed panels of B, rows of A, rows of the
 * result through the epilogue. */
#include "codegen/product/contract_priv.h"

LLVMValueRef cg_packed_panel(Cg *cg, const CgContract *c, LLVMValueRef outer, LLVMValueRef panel,
                             LLVMValueRef k0)
{
    const CgPanels *p = &c->panels;
    LLVMValueRef matrix = cg_int(cg, 0), idx[SCRT_MAX_RANK];
    if (p->n_batch) {
        cg_unflatten(cg, outer, c->nb, c->batch, idx);
        for (uint32_t i = 0, j = 0; i < c->nb; i++)
            if (!sc_term_is(c->b.stride[i], 0))
                matrix = cg_add_int(cg, cg_mul_int(cg, matrix, cg_int(cg, p->batch[j++])), idx[i]);
    }
    return cg_panel_at(cg, p, (uint32_t)c->b.operand, matrix, panel, k0);
}

LLVMValueRef cg_panel_scales(Cg *cg, const CgContract *c, LLVMValueRef panel, LLVMValueRef k0)
{
    if (!c->panels.block)
        return NULL;
    LLVMValueRef block = LLVMBuildUDiv(cg->b, k0, cg_int(cg, c->panels.block), "");
    return cg_panel_at(cg, &c->scales, c->scale_operand, cg_int(cg, 0), panel, block);
}

/* Batch indices and m of a row: where B has no batch, rows run over the batch too. */
static void row_index(Cg *cg, const CgContract *c, LLVMValueRef outer, LLVMValueRef row,
                      LLVMValueRef *ret)
{
    if (!c->nb || !c->flat) {
        cg_unflatten(cg, outer, c->nb, c->batch, ret);
        ret[c->nb] = row;
        return;
    }
    LLVMValueRef m = cg_term(cg, c->m);
    if (sc_term_is(c->m, 1)) {
        ret[c->nb] = cg_int(cg, 0);
    } else {
        ret[c->nb] = LLVMBuildURem(cg->b, row, m, "");
        row = LLVMBuildUDiv(cg->b, row, m, "");
    }
    cg_unflatten(cg, row, c->nb, c->batch, ret);
}

void cg_contract_a_row(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row, LLVMValueRef dst)
{
    const CgContract *c = j->self;
    LLVMValueRef idx[SCRT_MAX_RANK + 1];
    row_index(cg, c, at->outer, row, idx);
    const ScTerm *sk = c->a.stride[c->nb + 1];
    LLVMValueRef address = cg_address(cg, &c->a, c->nb + 1, idx);
    address = cg_add_int(cg, address, cg_mul_int(cg, at->k0, cg_term(cg, sk)));
    cg_row_copy(cg, &c->tile, &c->a, address, sk, at->n_k, dst);
}

static CgEpiRow epilogue_row(Cg *cg, const CgContract *c, const CgAt *at, LLVMValueRef row)
{
    LLVMValueRef idx[SCRT_MAX_RANK + 1];
    row_index(cg, c, at->outer, row, idx);
    return cg_epi_row(cg, c->epi, idx, c->nb + c->has_m);
}

void cg_contract_ask(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row)
{
    const CgContract *c = j->self;
    CgEpiRow r = epilogue_row(cg, c, at, row);
    cg_epi_ask(cg, c->epi, &r, at->col0, c->tile.nr);
}

void cg_contract_finish(Cg *cg, const CgJob *j, const CgAt *at, uint32_t n, LLVMValueRef row,
                        LLVMValueRef acc)
{
    const CgContract *c = j->self;
    CgEpiRow r[CG_AT_ONCE];
    for (uint32_t i = 0; i < n; i++)
        r[i] = epilogue_row(cg, c, at, cg_add_int(cg, row, cg_int(cg, i)));
    cg_epi_beside(r, n);
    cg_finish_panel(cg, &c->tile, c->epi, r, acc, at->col0, at->col1, j->cols, cg_int(cg, 0));
}
