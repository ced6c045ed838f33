/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that build terms share. */
#ifndef SC_TERM_PRIV_H
#define SC_TERM_PRIV_H

#include "ir/base/base_priv.h"

const ScTerm *sc_term_poison(ScCtx *cx);
static inline bool is_poison(ScCtx *cx, const ScTerm *t)
{
    return t == sc_term_poison(cx);
}

/* Interns a term whose operands are canonical already; poison where one of them is, or where it
 * would be too large. */
const ScTerm *sc_term_make(ScCtx *cx, ScTermKind kind, bool has_c, int64_t c, uint32_t n,
                           const ScTerm *const *arg, const int64_t *coef);

/* A term as addend + sum of coef * atom. A constant has no summands, an atom is one of itself. */
static inline uint32_t n_summand(const ScTerm *t)
{
    return t->kind == SC_T_CONST ? 0 : t->kind == SC_T_SUM ? t->n : 1;
}
static inline const ScTerm *summand(const ScTerm *t, uint32_t i)
{
    return t->kind == SC_T_SUM ? t->arg[i] : t;
}
static inline int64_t summand_coef(const ScTerm *t, uint32_t i)
{
    return t->kind == SC_T_SUM ? t->coef[i] : 1;
}
static inline int64_t addend(const ScTerm *t)
{
    return t->kind == SC_T_CONST || t->kind == SC_T_SUM ? t->c : 0;
}

/* An atom as a product. */
static inline uint32_t n_factor(const ScTerm *atom)
{
    return atom->kind == SC_T_MUL ? atom->n : 1;
}
static inline const ScTerm *factor(const ScTerm *atom, uint32_t i)
{
    return atom->kind == SC_T_MUL ? atom->arg[i] : atom;
}

#endif
