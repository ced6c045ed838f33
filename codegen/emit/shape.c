/* SPDX-License-Identifier: Apache-2.0 */
/* What a function is but for its numbers: words, and terms that a general function has as its
 * parameters. */
#include "codegen/emit/emit.h"

#include <assert.h>

enum { A_TERM = 2 }; /* as a word; 0 and 1 are themselves */

void cg_shape_word(CgShape *s, uint64_t word)
{
    sc_buf_push(s->word, s->n_word, s->cap_word, word);
}

void cg_shape_any(CgShape *s, const ScTerm **term)
{
    cg_shape_word(s, *term != NULL);
    if (*term)
        sc_buf_push(s->term, s->n_term, s->cap_term, term);
}

void cg_shape_term(CgShape *s, const ScTerm **term)
{
    bool is_0 = sc_term_is(*term, 0), is_1 = sc_term_is(*term, 1);
    cg_shape_word(s, is_0 ? 0 : is_1 ? 1 : A_TERM);
    if (!is_0 && !is_1)
        sc_buf_push(s->term, s->n_term, s->cap_term, term);
}

void cg_shape_terms(CgShape *s, uint32_t n, const ScTerm **term)
{
    for (uint32_t i = 0; i < n; i++)
        cg_shape_term(s, &term[i]);
}

void cg_shape_access(const CgFunc *f, CgShape *s, CgAccess *a)
{
    bool is_result = a->operand >= (int32_t)f->n_in;
    assert(!a->way); /* its numbers are in no shape: classes of rows with n_way have no plan */
    cg_shape_word(s, (uint64_t)a->operand + 1);
    cg_shape_word(s, a->index);
    cg_shape_word(s, is_result ? 0 : sc_type_of(f->sub, a->root)->dtype);
    cg_shape_word(s, a->rank);
    cg_shape_terms(s, a->rank, a->stride);
    cg_shape_any(s, &a->offset);
    cg_shape_any(s, &a->scratch);
    cg_shape_any(s, &a->number);
}

void cg_shape_nodes(const CgFunc *f, CgShape *s)
{
    const ScGraph *g = f->sub;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->lower.cls != SC_MAP && n->op->lower.cls != SC_REDUCE)
            continue;
        cg_shape_word(s, (uintptr_t)n->op);
        cg_shape_word(s, (uintptr_t)n->attr); /* equal ones are one */
        for (uint32_t k = 0; k < n->n_in; k++)
            cg_shape_word(s, n->in[k]);
        for (uint32_t k = 0; k < n->n_out; k++) {
            cg_shape_word(s, n->first + k);
            cg_shape_word(s, sc_type_of(g, n->first + k)->dtype);
        }
    }
    for (uint32_t i = 0; i < g->n_out; i++) {
        cg_shape_word(s, g->out[i]);
        cg_shape_word(s, sc_type_of(g, g->out[i])->dtype);
    }
}
