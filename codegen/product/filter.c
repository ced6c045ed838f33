/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of convolutions whose channels lie last: packed where they are constant, else each
 * panel is gathered as it is met. */
#include "codegen/product/filter.h"

#include <string.h>

bool cg_filter_init(CgModule *m, CgFunc *f, const ScNode *n, const ScConv *desc, CgFilter *ret)
{
    const ScType *w = sc_type_of(f->sub, n->in[1]), *x = sc_type_of(f->sub, n->in[0]);
    const ScWindow *d = &desc->window;
    *ret = (CgFilter){.dtype = w->dtype, .group = sc_term(m->cx, desc->group), .n_kernel = 1};
    if (!cg_type_ok(m, n->loc, w->dtype) ||
        !cg_access(m, f, n->in[1], w->rank, w->dim, &ret->access))
        return false;
    memcpy(ret->dim, w->dim, w->rank * sizeof *w->dim);
    for (uint32_t i = 0; i < d->n_spatial; i++)
        ret->n_kernel *= d->kernel[i];
    ret->in = w->dim[1];
    ret->out = sc_term_fdiv(m->cx, w->dim[0], ret->group);
    ret->depthwise = desc->group > 1 && sc_term_is(ret->in, 1) && sc_term_is(ret->out, 1) &&
                     sc_term_is(x->dim[x->rank - 1], desc->group);
    if (ret->depthwise) {
        ret->group = sc_term(m->cx, 1);
        ret->out = w->dim[0];
    }
    return true;
}

bool cg_filter_may_pack(const CgFunc *f, CgFilter *w)
{
    CgPanels *p = &w->panels;
    const CgAccess *a = &w->access;
    int64_t stride, dense = 1, dim, group, in, outer;
    if (a->operand < 0 || !f->const_in[a->operand] || !sc_term_const(w->group, &group) ||
        !sc_term_const(w->in, &in) || !sc_term_const(w->out, &p->n) ||
        !sc_term_const(a->offset, &p->offset))
        return false;
    for (uint32_t i = a->rank; i-- > 0;) {
        if (!sc_term_const(w->dim[i], &dim) || !sc_term_const(a->stride[i], &stride) ||
            (dim != 1 && stride != dense))
            return false;
        dense *= dim;
    }
    outer = in * w->n_kernel;
    p->k = outer;
    p->k_inner = in;
    p->k_outer = 1;
    p->k_stride = w->n_kernel;
    p->n_stride = outer;
    p->n_batch = 1;
    p->batch[0] = group;
    p->batch_stride[0] = p->n * outer;
    return cg_uses(f->sub, a->root) == 1;
}

void cg_filter_pack(CgModule *m, CgFunc *f, const CgTile *t, CgFilter *w)
{
    w->tile = *t;
    cg_panels_init(m, w->dtype, f->trait, t, &w->panels);
    w->packed = cg_filter_may_pack(f, w);
    if (w->packed) {
        f->pack[w->access.operand] = cg_panels_pack(m, &w->panels);
        cg_panel_prepare(m, &w->panels, t);
    }
}

/* --- Weights that are computed --------------------------------------------------------------- */

typedef struct Gather {
    const CgFilter *w;
    LLVMValueRef at, dst, col0; /* address at column 0; the row of the panel */
} Gather;

static void gather_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Gather *g = arg;
    const CgTile *t = &g->w->tile;
    const ScTerm *stride = g->w->access.stride[0];
    LLVMValueRef at = cg_add_int(cg, g->at, cg_mul_int(cg, i, cg_term(cg, stride)));
    CgVal x = cg_access_load(cg, &g->w->access, at, stride, w, mask);
    LLVMValueRef to = cg_gep(cg, t->b.type, g->dst, LLVMBuildSub(cg->b, i, g->col0, ""));
    LLVMSetAlignment(LLVMBuildStore(cg->b, cg_number(cg, t->b.type, x, w), to), t->b.size);
}

/* Lanes beyond the last column are zeros: a panel has room for whole vectors. */
static void gather_row(Cg *cg, const CgFilter *w, const CgAt *at, LLVMValueRef matrix,
                       LLVMValueRef k, LLVMValueRef dst)
{
    LLVMValueRef idx[SCRT_MAX_RANK], in = cg_term(cg, w->in);
    idx[0] = cg_mul_int(cg, matrix, cg_term(cg, w->out));
    idx[1] = LLVMBuildURem(cg->b, k, in, "");
    cg_unflatten(cg, LLVMBuildUDiv(cg->b, k, in, ""), w->access.rank - 2, w->dim + 2, idx + 2);
    Gather g = {w, cg_address(cg, &w->access, w->access.rank, idx), dst, at->col0};
    cg_lanes(cg, at->col0, at->col1, w->tile.w, gather_lanes, &g);
}

static LLVMValueRef packed(Cg *cg, const CgFilter *w, const CgAt *at, LLVMValueRef matrix)
{
    return cg_panel_at(cg, &w->panels, (uint32_t)w->access.operand, matrix, at->panel, at->k0);
}

LLVMValueRef cg_filter_ahead(Cg *cg, const CgFilter *w, const CgAt *at, LLVMValueRef matrix,
                             LLVMValueRef *ret)
{
    LLVMValueRef row;
    *ret = cg_panel_end(cg, &w->panels, packed(cg, w, at, matrix), at->n_k, &row);
    return row;
}

LLVMValueRef cg_filter_panel(Cg *cg, const CgFilter *w, const CgAt *at, LLVMValueRef matrix,
                             LLVMValueRef dst)
{
    if (w->packed)
        return cg_panel_values(cg, &w->panels, &w->tile, packed(cg, w, at, matrix), NULL, at->n_k,
                               dst);
    CgLoop k = cg_for(cg, cg_int(cg, 0), at->n_k, cg_int(cg, 1));
    LLVMValueRef row = cg_mul_int(cg, k.i, cg_int(cg, w->tile.nr));
    gather_row(cg, w, at, matrix, cg_add_int(cg, at->k0, k.i),
               cg_gep(cg, w->tile.b.type, dst, row));
    cg_next(cg, &k);
    return dst;
}
