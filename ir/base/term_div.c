/* SPDX-License-Identifier: Apache-2.0 */
/* Quotients and remainders of terms, reduced as far as linear arithmetic goes:
 *
 *     floor((q*b + r) / b) = q + floor(r / b)        floor(g*x / (g*y)) = floor(x / y)
 *     floor((g*x + c) / (g*k)) = floor((x + floor(c / g)) / k)         for constants g, k > 0
 *     floor((floor(x / k) + c) / m) = floor((x + c*k) / (k*m))         for constants k, m > 0
 *     ceil(a / k) = floor((a + k - 1) / k)                             for constants k > 0
 *
 * so that what shape chains of exported models compute comes out as the extent that went in. */
#include "ir/base/term_priv.h"

#include <stdlib.h>

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static uint64_t magnitude(int64_t x)
{
    return x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
}

uint64_t sc_gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* atom / by where by is one factor of it, else NULL. The constant 1 where nothing is left. */
static const ScTerm *atom_without(ScCtx *cx, const ScTerm *atom, const ScTerm *by)
{
    const ScTerm *t = sc_term(cx, 1);
    bool found = false;
    for (uint32_t i = 0; i < n_factor(atom); i++) {
        if (!found && factor(atom, i) == by)
            found = true;
        else
            t = sc_term_mul(cx, t, factor(atom, i));
    }
    return found ? t : NULL;
}

/* t / by where each summand has the factor `by`, else NULL. */
static const ScTerm *without(ScCtx *cx, const ScTerm *t, const ScTerm *by)
{
    if (addend(t) != 0)
        return NULL;
    const ScTerm *sum = sc_term(cx, 0);
    for (uint32_t i = 0; i < n_summand(t); i++) {
        const ScTerm *q = atom_without(cx, summand(t, i), by);
        if (!q)
            return NULL;
        sum = sc_term_add(cx, sum, sc_term_scale(cx, q, summand_coef(t, i)));
    }
    return sum;
}

/* Each coefficient and the constant divided by k, rounded down: exact where k divides all. */
static const ScTerm *scaled_down(ScCtx *cx, const ScTerm *t, int64_t k)
{
    uint32_t n = n_summand(t);
    const ScTerm **arg = sc_realloc(NULL, (n + 1) * sizeof *arg);
    int64_t *coef = sc_realloc(NULL, (n + 1) * sizeof *coef);
    for (uint32_t i = 0; i < n; i++) {
        arg[i] = summand(t, i);
        coef[i] = floor_div(summand_coef(t, i), k);
    }
    arg[n] = sc_term(cx, floor_div(addend(t), k));
    coef[n] = 1;
    const ScTerm *sum = sc_term_sum(cx, n + 1, arg, coef);
    free(arg);
    free(coef);
    return sum;
}

/* The greatest common divisor of all coefficients, and of the constant if with_addend. */
static uint64_t content(const ScTerm *t, bool with_addend)
{
    uint64_t g = with_addend ? magnitude(addend(t)) : 0;
    for (uint32_t i = 0; i < n_summand(t); i++)
        g = sc_gcd(g, magnitude(summand_coef(t, i)));
    return g;
}

/* Cancels common symbolic factors, and the common integer factor, of both. */
static void cancel(ScCtx *cx, const ScTerm **a, const ScTerm **b)
{
    for (uint32_t i = 0; n_summand(*b) > 0 && i < n_factor(summand(*b, 0));) {
        const ScTerm *f = factor(summand(*b, 0), i);
        const ScTerm *qb = without(cx, *b, f), *qa = qb ? without(cx, *a, f) : NULL;
        if (qa) {
            *a = qa;
            *b = qb;
            i = 0;
        } else {
            i++;
        }
    }
    uint64_t g = sc_gcd(content(*a, true), content(*b, true));
    if (g > 1 && g <= INT64_MAX) {
        *a = scaled_down(cx, *a, (int64_t)g);
        *b = scaled_down(cx, *b, (int64_t)g);
    }
}

/* The summands of a that b divides, divided: b is k * atom, or a sum that a is a multiple of. */
static const ScTerm *whole_part(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    const ScTerm *q = sc_term(cx, 0);
    if (n_summand(b) == 1 && addend(b) == 0) {
        for (uint32_t i = 0; i < n_summand(a); i++) {
            const ScTerm *t = summand(a, i);
            for (uint32_t j = 0; t && j < n_factor(summand(b, 0)); j++)
                t = t->kind == SC_T_CONST ? NULL : atom_without(cx, t, factor(summand(b, 0), j));
            if (t && magnitude(summand_coef(a, i)) % magnitude(summand_coef(b, 0)) == 0)
                q = sc_term_add(cx, q,
                                sc_term_scale(cx, t, summand_coef(a, i) / summand_coef(b, 0)));
        }
    } else if (n_summand(a) == n_summand(b) && n_summand(a) > 0 &&
               magnitude(summand_coef(a, 0)) % magnitude(summand_coef(b, 0)) == 0) {
        int64_t k = summand_coef(a, 0) / summand_coef(b, 0);
        if (a == sc_term_scale(cx, b, k))
            q = sc_term(cx, k);
    }
    return q;
}

/* The remainders of a's coefficients and constant by k > 0, each in [0, k); the rest goes to *q. */
static const ScTerm *reduced(ScCtx *cx, const ScTerm *a, int64_t k, const ScTerm **q)
{
    *q = scaled_down(cx, a, k);
    return sc_term_sub(cx, a, sc_term_scale(cx, *q, k));
}

static const ScTerm *node(ScCtx *cx, ScTermKind kind, const ScTerm *a, const ScTerm *b)
{
    return sc_term_make(cx, kind, false, 0, 2, (const ScTerm *[]){a, b}, NULL);
}

static const ScTerm *fdiv_const(ScCtx *cx, const ScTerm *a, int64_t k)
{
    const ScTerm *q, *r = reduced(cx, a, k, &q);
    if (n_summand(r) == 0) /* its constant lies in [0, k) */
        return q;
    int64_t g = (int64_t)sc_gcd(content(r, false), (uint64_t)k), inner, product, c;
    if (g > 1) {
        r = scaled_down(cx, r, g);
        k /= g;
        if (k == 1)
            return sc_term_add(cx, q, r);
    }
    const ScTerm *p = summand(r, 0);
    if (n_summand(r) == 1 && summand_coef(r, 0) == 1 && p->kind == SC_T_FDIV &&
        sc_term_const(p->arg[1], &inner) && inner > 0 &&
        !__builtin_mul_overflow(inner, k, &product) &&
        !__builtin_mul_overflow(inner, addend(r), &c))
        return sc_term_add(cx, q, fdiv_const(cx, sc_term_addc(cx, p->arg[0], c), product));
    return sc_term_add(cx, q, node(cx, SC_T_FDIV, r, sc_term(cx, k)));
}

static const ScTerm *mod_const(ScCtx *cx, const ScTerm *a, int64_t k)
{
    const ScTerm *q, *r = reduced(cx, a, k, &q);
    if (n_summand(r) == 0)
        return r;
    int64_t g = (int64_t)sc_gcd(content(r, false), (uint64_t)k), low = 0, inner;
    if (g > 1) { /* mod(g*x + c, g*m) = g * mod(x + floor(c / g), m) + c mod g */
        low = addend(r) % g;
        r = scaled_down(cx, r, g);
        k /= g;
    }
    const ScTerm *p = summand(r, 0), *m;
    if (k == 1)
        m = sc_term(cx, 0);
    else if (n_summand(r) == 1 && addend(r) == 0 && summand_coef(r, 0) == 1 &&
             p->kind == SC_T_MOD && sc_term_const(p->arg[1], &inner) && inner == k)
        m = p;
    else
        m = node(cx, SC_T_MOD, r, sc_term(cx, k));
    return sc_term_addc(cx, sc_term_scale(cx, m, g), low);
}

static bool is_division(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    return !sc_term_is(b, 0) && !is_poison(cx, a) && !is_poison(cx, b);
}

/* Makes the divisor's leading coefficient, or the divisor if it is constant, positive. False after
 * an overflow. */
static bool make_positive(ScCtx *cx, const ScTerm **a, const ScTerm **b)
{
    if ((n_summand(*b) ? summand_coef(*b, 0) : addend(*b)) < 0) {
        *a = sc_term_scale(cx, *a, -1);
        *b = sc_term_scale(cx, *b, -1);
    }
    return !is_poison(cx, *a) && !is_poison(cx, *b);
}

/* a / b rounded down (SC_T_FDIV) or up (SC_T_CDIV). */
static const ScTerm *divide(ScCtx *cx, ScTermKind kind, const ScTerm *a, const ScTerm *b)
{
    if (!a || !b)
        return NULL;
    if (!is_division(cx, a, b))
        return sc_term_poison(cx);
    cancel(cx, &a, &b);
    if (!make_positive(cx, &a, &b))
        return sc_term_poison(cx);
    if (b->kind == SC_T_CONST)
        return fdiv_const(cx, kind == SC_T_CDIV ? sc_term_addc(cx, a, b->c - 1) : a, b->c);
    const ScTerm *q = whole_part(cx, a, b), *r = sc_term_sub(cx, a, sc_term_mul(cx, q, b));
    return sc_term_is(r, 0) ? q : sc_term_add(cx, q, node(cx, kind, r, b));
}

const ScTerm *sc_term_fdiv(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    return divide(cx, SC_T_FDIV, a, b);
}

const ScTerm *sc_term_cdiv(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    return divide(cx, SC_T_CDIV, a, b);
}

const ScTerm *sc_term_mod(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    if (!a || !b)
        return NULL;
    const ScTerm *divisor = b, *r;
    if (!is_division(cx, a, b) || !make_positive(cx, &a, &b))
        return sc_term_poison(cx);
    if (b->kind == SC_T_CONST) {
        r = mod_const(cx, a, b->c);
    } else {
        r = sc_term_sub(cx, a, sc_term_mul(cx, whole_part(cx, a, b), b));
        if (!sc_term_is(r, 0))
            r = node(cx, SC_T_MOD, r, b);
    }
    return b == divisor ? r : sc_term_scale(cx, r, -1); /* mod(a, -b) = -mod(-a, b) */
}
