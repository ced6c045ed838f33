/* SPDX-License-Identifier: Apache-2.0 */
/* Iteration spaces: dims that every access walks alike become one, so that most elementwise kernels
 * are one loop, whatever their rank. */
#include "codegen/emit/emit.h"

#include <string.h>

const ScTerm *cg_product(CgModule *m, uint32_t from, uint32_t to, const ScTerm *const *dim)
{
    const ScTerm *n = sc_term(m->cx, 1);
    for (uint32_t d = from; d < to; d++)
        n = sc_term_mul(m->cx, n, dim[d]);
    return n;
}

/* Collapses dims from .. to - 1, appending groups to out and strides to a[k].stride[at ...]. */
static uint32_t collapse(CgModule *m, uint32_t n, const CgAccess *in, CgAccess *out, uint32_t from,
                         uint32_t to, const ScTerm *const *dim, uint32_t at, const ScTerm **ret_dim)
{
    uint32_t first[SCRT_MAX_RANK + 1], n_group = 0;
    for (uint32_t end = to; end > from;) {
        uint32_t begin = end - 1;
        while (begin > from && cg_merge(m, n, in, begin - 1, end, dim))
            begin--;
        first[n_group++] = begin;
        end = begin;
    }
    for (uint32_t i = n_group; i-- > 0;) { /* they were found from the last to the first */
        uint32_t begin = first[i], end = i ? first[i - 1] : to;
        const ScTerm *extent = cg_product(m, begin, end, dim);
        if (sc_term_is(extent, 1))
            continue;
        for (uint32_t k = 0; k < n; k++)
            out[k].stride[at] = cg_merged_stride(m, &in[k], begin, end, dim);
        ret_dim[at++] = extent;
    }
    return at;
}

void cg_space_init(CgModule *m, CgSpace *s, uint32_t rank, const ScTerm *const *dim,
                   uint32_t n_outer, uint32_t n, CgAccess *a)
{
    CgAccess *old = sc_array(m->arena, CgAccess, n + 1);
    if (n)
        memcpy(old, a, n * sizeof *a);
    s->n_outer = collapse(m, n, old, a, 0, n_outer, dim, 0, s->dim);
    s->rank = collapse(m, n, old, a, n_outer, rank, dim, s->n_outer, s->dim);
    for (uint32_t k = 0; k < n; k++)
        a[k].rank = s->rank;
    s->outer = cg_product(m, 0, s->n_outer, s->dim);
    s->inner = cg_product(m, s->n_outer, s->rank, s->dim);
}

void cg_unflatten(Cg *cg, LLVMValueRef i, uint32_t n, const ScTerm *const *dim,
                  LLVMValueRef *ret_idx)
{
    for (uint32_t d = n; d-- > 0;) {
        LLVMValueRef extent = cg_term(cg, dim[d]);
        ret_idx[d] = d ? LLVMBuildURem(cg->b, i, extent, "") : i;
        i = d ? LLVMBuildUDiv(cg->b, i, extent, "") : i;
    }
}

/* An instruction is taken as a quarter of a nanosecond for an element of a vector. */
int64_t cg_element_grain(const ScGraph *g)
{
    int64_t cost = 8; /* loads and stores */
    ScArena *scratch = sc_arena_new();
    for (uint32_t i = 0; i < g->n_node; i++)
        cost += cg_cost(g, &g->node[i], scratch);
    sc_arena_free(scratch);
    int64_t grain = (1 << 18) / cost;
    return grain < 1024 ? 1024 : grain & ~INT64_C(1023);
}

LLVMValueRef cg_row_grain(Cg *cg, const ScTerm *inner)
{
    LLVMValueRef n = cg_max_int(cg, cg_term(cg, inner), cg_int(cg, 1));
    return cg_cdiv_int(cg, cg_int(cg, cg_element_grain(cg->f->sub)), n);
}
