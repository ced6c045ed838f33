/* SPDX-License-Identifier: Apache-2.0 */
/* Terms: construction into canonical form. A term is taken apart as a linear combination of
 * monomials (Lin), combined there, and interned again; whatever is not linear is an atom with
 * operands of its own. What a constructor answers depends on its operands only, never on the order
 * of earlier work: operands are sorted by sc_term_cmp, which looks at structure and names. */
#include "ir/base/term_priv.h"

#include <stdlib.h>
#include <string.h>

/* c + sum coef[i] * arg[i]; args are sorted, distinct, and neither constants nor sums. Freed with
 * lin_free. bad: an overflow happened. */
typedef struct Lin {
    int64_t c;
    uint32_t n, cap;
    struct Part {
        const ScTerm *arg;
        int64_t coef;
    } *part;
    bool bad;
} Lin;

static void lin_free(Lin *l)
{
    free(l->part);
}

/* --- Interning ------------------------------------------------------------------------------- */

/* Its name is not interned, so that no symbol of a model is it. */
static const char poison_name[] = "overflow!";

const ScTerm *sc_term_poison(ScCtx *cx)
{
    if (cx->poison)
        return cx->poison;
    ScTerm *t = sc_new(cx->arena, ScTerm);
    *t = (ScTerm){.kind = SC_T_SYM, .size = 1, .sym = poison_name};
    return cx->poison = t;
}

bool sc_term_overflowed(const ScTerm *t)
{
    return t && t->kind == SC_T_SYM && t->sym == poison_name;
}

const ScTerm *sc_term_make(ScCtx *cx, ScTermKind kind, bool has_c, int64_t c, uint32_t n,
                           const ScTerm *const *arg, const int64_t *coef)
{
    ScTerm t;
    memset(&t, 0, sizeof t); /* padding is compared too */
    t.kind = kind;
    t.has_c = has_c;
    t.n = n;
    t.c = c;
    t.size = 1;
    for (uint32_t i = 0; i < n; i++) {
        t.size += arg[i]->size;
        if (is_poison(cx, arg[i]) || t.size > SC_TERM_MAX)
            return sc_term_poison(cx);
    }
    t.arg = n ? sc_intern_bytes(cx, arg, n * sizeof *arg) : NULL;
    t.coef = coef ? sc_intern_bytes(cx, coef, n * sizeof *coef) : NULL;
    return sc_intern_bytes(cx, &t, sizeof t);
}

const ScTerm *sc_term(ScCtx *cx, int64_t c)
{
    return sc_term_make(cx, SC_T_CONST, false, c, 0, NULL, NULL);
}

const ScTerm *sc_term_sym(ScCtx *cx, const char *name)
{
    ScTerm t;
    memset(&t, 0, sizeof t);
    t.kind = SC_T_SYM;
    t.size = 1;
    t.sym = sc_intern(cx, name);
    return sc_intern_bytes(cx, &t, sizeof t);
}

bool sc_term_const(const ScTerm *t, int64_t *ret)
{
    if (!t || t->kind != SC_T_CONST)
        return false;
    if (ret)
        *ret = t->c;
    return true;
}

/* --- Order ----------------------------------------------------------------------------------- */

static int cmp_int(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int cmp_list(uint32_t na, const ScTerm *const *a, uint32_t nb, const ScTerm *const *b)
{
    for (uint32_t i = 0; i < na && i < nb; i++) {
        int d = sc_term_cmp(a[i], b[i]);
        if (d)
            return d;
    }
    return cmp_int(na, nb);
}

/* Atoms go by their factors, so that n stands before n*m, and a factor by kind, name, operands. */
static int cmp_atom(const ScTerm *a, const ScTerm *b)
{
    if (a == b)
        return 0;
    if (a->kind == SC_T_MUL || b->kind == SC_T_MUL) {
        bool ma = a->kind == SC_T_MUL, mb = b->kind == SC_T_MUL;
        return cmp_list(n_factor(a), ma ? a->arg : &a, n_factor(b), mb ? b->arg : &b);
    }
    if (a->kind != b->kind)
        return cmp_int(a->kind, b->kind);
    if (a->kind == SC_T_SYM)
        return strcmp(a->sym, b->sym) < 0 ? -1 : 1; /* interned, so they differ */
    int d = cmp_list(a->n, a->arg, b->n, b->arg);
    if (!d)
        d = cmp_int(a->has_c, b->has_c);
    return d ? d : cmp_int(a->c, b->c);
}

int sc_term_cmp(const ScTerm *a, const ScTerm *b)
{
    if (a == b)
        return 0;
    uint32_t na = n_summand(a), nb = n_summand(b);
    for (uint32_t i = 0; i < na && i < nb; i++) {
        int d = cmp_atom(summand(a, i), summand(b, i));
        if (d)
            return d;
    }
    if (na != nb)
        return na < nb ? -1 : 1;
    for (uint32_t i = 0; i < na; i++) {
        int d = cmp_int(summand_coef(a, i), summand_coef(b, i));
        if (d)
            return d;
    }
    return cmp_int(addend(a), addend(b));
}

/* --- Linear combinations --------------------------------------------------------------------- */

static void lin_addc(Lin *l, int64_t c)
{
    l->bad |= __builtin_add_overflow(l->c, c, &l->c);
}

/* Adds k * atom; parts stay sorted, and a coefficient of 0 stays until lin_term. */
static void lin_add_atom(Lin *l, const ScTerm *atom, int64_t k)
{
    uint32_t lo = 0, hi = l->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int d = cmp_atom(l->part[mid].arg, atom);
        if (d == 0) {
            l->bad |= __builtin_add_overflow(l->part[mid].coef, k, &l->part[mid].coef);
            return;
        }
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (l->n >= SC_TERM_MAX) {
        l->bad = true;
        return;
    }
    struct Part part = {atom, k};
    sc_buf_push(l->part, l->n, l->cap, part);
    memmove(&l->part[lo + 1], &l->part[lo], (l->n - 1 - lo) * sizeof *l->part);
    l->part[lo] = part;
}

/* Adds k * t. */
static void lin_add(Lin *l, const ScTerm *t, int64_t k)
{
    int64_t x;
    l->bad |= __builtin_mul_overflow(addend(t), k, &x);
    if (l->bad)
        return;
    lin_addc(l, x);
    for (uint32_t i = 0; i < n_summand(t); i++) {
        l->bad |= __builtin_mul_overflow(summand_coef(t, i), k, &x);
        lin_add_atom(l, summand(t, i), x);
    }
}

/* The term; frees l. */
static const ScTerm *lin_term(ScCtx *cx, Lin *l)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n; i++)
        if (l->part[i].coef != 0)
            l->part[n++] = l->part[i];
    const ScTerm *t;
    if (l->bad) {
        t = sc_term_poison(cx);
    } else if (n == 0) {
        t = sc_term(cx, l->c);
    } else if (n == 1 && l->c == 0 && l->part[0].coef == 1) {
        t = l->part[0].arg;
    } else {
        const ScTerm *few_arg[8], **arg = few_arg;
        int64_t few_coef[8], *coef = few_coef;
        if (n > 8) {
            arg = sc_realloc(NULL, n * sizeof *arg);
            coef = sc_realloc(NULL, n * sizeof *coef);
        }
        for (uint32_t i = 0; i < n; i++) {
            arg[i] = l->part[i].arg;
            coef[i] = l->part[i].coef;
        }
        t = sc_term_make(cx, SC_T_SUM, false, l->c, n, arg, coef);
        if (n > 8) {
            free(arg);
            free(coef);
        }
    }
    lin_free(l);
    return t;
}

static const ScTerm *combine(ScCtx *cx, const ScTerm *a, int64_t ka, const ScTerm *b, int64_t kb)
{
    if (is_poison(cx, a) || is_poison(cx, b))
        return sc_term_poison(cx);
    Lin l = {0};
    lin_add(&l, a, ka);
    lin_add(&l, b, kb);
    return lin_term(cx, &l);
}

const ScTerm *sc_term_add(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    if (!a || !b)
        return NULL;
    if (sc_term_is(a, 0))
        return b;
    return sc_term_is(b, 0) ? a : combine(cx, a, 1, b, 1);
}

const ScTerm *sc_term_sum(ScCtx *cx, uint32_t n, const ScTerm *const *t, const int64_t *coef)
{
    Lin l = {0};
    for (uint32_t i = 0; i < n; i++) {
        l.bad = l.bad || is_poison(cx, t[i]);
        lin_add(&l, t[i], coef ? coef[i] : 1);
    }
    return lin_term(cx, &l);
}

const ScTerm *sc_term_sub(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    if (!a || !b)
        return NULL;
    return sc_term_is(b, 0) ? a : combine(cx, a, 1, b, -1);
}

const ScTerm *sc_term_scale(ScCtx *cx, const ScTerm *a, int64_t k)
{
    if (!a || k == 1)
        return a;
    return combine(cx, a, k, sc_term(cx, 0), 1);
}

const ScTerm *sc_term_addc(ScCtx *cx, const ScTerm *a, int64_t k)
{
    return sc_term_add(cx, a, sc_term(cx, k));
}

/* The product of two atoms: their factors merged in order. */
static const ScTerm *mul_atoms(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    bool ma = a->kind == SC_T_MUL, mb = b->kind == SC_T_MUL;
    const ScTerm *const *fa = ma ? a->arg : &a, *const *fb = mb ? b->arg : &b;
    uint32_t na = n_factor(a), nb = n_factor(b), i = 0, j = 0, n = 0;
    const ScTerm **f = sc_realloc(NULL, (na + nb) * sizeof *f);
    while (i < na || j < nb)
        f[n++] = j == nb || (i < na && cmp_atom(fa[i], fb[j]) <= 0) ? fa[i++] : fb[j++];
    const ScTerm *t = sc_term_make(cx, SC_T_MUL, false, 0, n, f, NULL);
    free(f);
    return t;
}

const ScTerm *sc_term_mul(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    if (!a || !b)
        return NULL;
    if (is_poison(cx, a) || is_poison(cx, b))
        return sc_term_poison(cx);
    if (a->kind == SC_T_CONST)
        return sc_term_scale(cx, b, a->c);
    if (b->kind == SC_T_CONST)
        return sc_term_scale(cx, a, b->c);
    uint32_t na = n_summand(a), nb = n_summand(b);
    if ((uint64_t)na * nb > SC_TERM_MAX)
        return sc_term_poison(cx);
    Lin l = {0};
    lin_add(&l, a, addend(b));
    for (uint32_t j = 0; j < nb; j++) { /* (sum of a) * (one summand of b) */
        int64_t k = summand_coef(b, j), x;
        l.bad |= __builtin_mul_overflow(addend(a), k, &x);
        if (l.bad)
            break;
        lin_add_atom(&l, summand(b, j), x);
        for (uint32_t i = 0; i < na && !l.bad; i++) {
            const ScTerm *p = mul_atoms(cx, summand(a, i), summand(b, j));
            l.bad |= __builtin_mul_overflow(summand_coef(a, i), k, &x) || is_poison(cx, p);
            if (!l.bad)
                lin_add_atom(&l, p, x);
        }
    }
    return lin_term(cx, &l);
}

/* --- Least, greatest, log2, broadcast -------------------------------------------------------- */

/* Collects operands of min and max: flat, each linear part once with its best constant. */
typedef struct Extreme {
    ScCtx *cx;
    int sign; /* 1: max, -1: min */
    bool has_c;
    int64_t c;
    uint32_t n, cap;
    const ScTerm **arg;
    bool bad; /* an overflow happened */
} Extreme;

static ScTermKind kind_of(int sign)
{
    return sign > 0 ? SC_T_MAX : SC_T_MIN;
}

static bool is_better(const Extreme *x, int64_t a, int64_t b)
{
    return x->sign > 0 ? a > b : a < b;
}

/* t as an extreme of this kind plus *ret_by, else t itself and 0. */
static const ScTerm *moved(const ScTerm *t, ScTermKind kind, int64_t *ret_by)
{
    bool is = t->kind == SC_T_SUM && t->n == 1 && t->coef[0] == 1 && t->arg[0]->kind == kind;
    *ret_by = is ? t->c : 0;
    return is ? t->arg[0] : t;
}

static void extreme_add(Extreme *x, const ScTerm *t)
{
    int64_t c, by;
    const ScTerm *u = moved(t, kind_of(x->sign), &by);
    x->bad = x->bad || is_poison(x->cx, t);
    if (u->kind == kind_of(x->sign)) { /* max(max(a,b)-1,0) = max(a-1,b-1,0): slices in a chain */
        for (uint32_t i = 0; i < u->n; i++)
            extreme_add(x, sc_term_addc(x->cx, u->arg[i], by));
        if (u->has_c)
            extreme_add(x, sc_term_addc(x->cx, sc_term(x->cx, u->c), by));
        return;
    }
    if (sc_term_const(t, &c)) {
        if (!x->has_c || is_better(x, c, x->c))
            x->c = c;
        x->has_c = true;
        return;
    }
    for (uint32_t i = 0; i < x->n; i++)
        if (sc_term_const(sc_term_sub(x->cx, t, x->arg[i]), &c)) {
            if (is_better(x, c, 0))
                x->arg[i] = t;
            return;
        }
    sc_buf_push(x->arg, x->n, x->cap, t);
}

/* Whether another operand outdoes operand i: max(a, min(a,b)) = a. */
static bool is_outdone(const Extreme *x, uint32_t i)
{
    int64_t by, c;
    const ScTerm *u = moved(x->arg[i], kind_of(-x->sign), &by);
    if (u->kind != kind_of(-x->sign))
        return false;
    if (x->has_c && u->has_c && !__builtin_add_overflow(u->c, by, &c) && !is_better(x, c, x->c))
        return true;
    for (uint32_t k = 0; k < u->n; k++) {
        const ScTerm *t = sc_term_addc(x->cx, u->arg[k], by);
        for (uint32_t j = 0; j < x->n; j++)
            if (j != i && sc_term_const(sc_term_sub(x->cx, t, x->arg[j]), &c) &&
                !is_better(x, c, 0))
                return true;
    }
    return false;
}

static void drop_outdone(Extreme *x)
{
    for (uint32_t i = x->n; i-- > 0;)
        if (is_outdone(x, i))
            memmove(&x->arg[i], &x->arg[i + 1], (--x->n - i) * sizeof *x->arg);
}

static int cmp_terms(const void *a, const void *b)
{
    return sc_term_cmp(*(const ScTerm *const *)a, *(const ScTerm *const *)b);
}

static const ScTerm *extreme(ScCtx *cx, int sign, const ScTerm *a, const ScTerm *b)
{
    if (!a || !b)
        return NULL;
    if (is_poison(cx, a) || is_poison(cx, b))
        return sc_term_poison(cx);
    Extreme x = {.cx = cx, .sign = sign};
    extreme_add(&x, a);
    extreme_add(&x, b);
    drop_outdone(&x);
    const ScTerm *t;
    if (x.bad) {
        t = sc_term_poison(cx);
    } else if (x.n == 0) {
        t = sc_term(cx, x.c);
    } else if (x.n == 1 && !x.has_c) {
        t = x.arg[0];
    } else {
        qsort(x.arg, x.n, sizeof *x.arg, cmp_terms);
        t = sc_term_make(cx, kind_of(sign), x.has_c, x.has_c ? x.c : 0, x.n, x.arg, NULL);
    }
    sc_buf_free(x.arg);
    return t;
}

const ScTerm *sc_term_min(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    return extreme(cx, -1, a, b);
}

const ScTerm *sc_term_max(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    return extreme(cx, 1, a, b);
}

const ScTerm *sc_term_log2(ScCtx *cx, const ScTerm *a)
{
    int64_t c;
    if (!a || is_poison(cx, a))
        return a;
    if (sc_term_const(a, &c))
        return sc_term(cx, c < 1 ? 0 : 63 - __builtin_clzll((unsigned long long)c));
    return sc_term_make(cx, SC_T_LOG2, false, 0, 1, &a, NULL);
}

/* t without the numbers that hold its mins down: min(n,1024) is n. */
static const ScTerm *unheld(ScCtx *cx, const ScTerm *t)
{
    if (t->kind != SC_T_SUM && t->kind != SC_T_MIN && t->kind != SC_T_MAX)
        return t;
    const ScTerm *u =
        t->kind == SC_T_SUM || (t->kind == SC_T_MAX && t->has_c) ? sc_term(cx, t->c) : NULL;
    for (uint32_t i = 0; i < t->n; i++) {
        const ScTerm *x = unheld(cx, t->arg[i]);
        if (t->kind == SC_T_SUM)
            u = sc_term_add(cx, u, sc_term_scale(cx, x, t->coef[i]));
        else
            u = !u ? x : t->kind == SC_T_MIN ? sc_term_min(cx, u, x) : sc_term_max(cx, u, x);
    }
    return u;
}

/* Whether the common extent of t and x, which meet, is x: where t is never more, and not 0 where x
 * is 1. Exported causal masks are sliced to min(n,1024), or to the last n of what a cache holds,
 * and would otherwise double a term in each layer; so a number that such a slice ends at is left
 * out of account (where it makes t 0, and x is 1, the guard of the meeting refuses them). */
static bool takes_other(ScCtx *cx, const ScTerm *t, const ScTerm *x)
{
    const ScTerm *one = sc_term(cx, 1);
    return sc_term_at_most(cx, t, x) &&
           (sc_term_range(cx, x).lo > 1 || sc_term_at_most(cx, sc_term_min(cx, x, one), t) ||
            sc_term_at_most(cx, sc_term_min(cx, x, one), unheld(cx, t)));
}

static uint32_t drop_lesser(ScCtx *cx, uint32_t n, const ScTerm **arg)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        const ScTerm *t = arg[i];
        bool lesser = false;
        for (uint32_t k = 0; k < n && !lesser; k++) /* those before kept stay, those after i too */
            lesser = (k < kept || k > i) && takes_other(cx, t, arg[k]);
        if (!lesser)
            arg[kept++] = t;
    }
    return kept;
}

const ScTerm *sc_term_bcast(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    if (!a || !b)
        return NULL;
    if (is_poison(cx, a) || is_poison(cx, b))
        return sc_term_poison(cx);
    if (a == b || sc_term_is(b, 1))
        return a;
    if (sc_term_is(a, 1))
        return b;
    if (a->kind == SC_T_CONST && b->kind == SC_T_CONST)
        return sc_term_poison(cx);
    if (a->kind == SC_T_CONST || b->kind == SC_T_CONST) /* the other is this or 1 */
        return a->kind == SC_T_CONST ? a : b;
    uint32_t n = 0, na = a->kind == SC_T_BCAST ? a->n : 1, nb = b->kind == SC_T_BCAST ? b->n : 1;
    const ScTerm **arg = sc_realloc(NULL, (na + nb) * sizeof *arg);
    for (uint32_t i = 0; i < na; i++)
        arg[n++] = a->kind == SC_T_BCAST ? a->arg[i] : a;
    for (uint32_t i = 0; i < nb; i++) {
        const ScTerm *t = b->kind == SC_T_BCAST ? b->arg[i] : b;
        uint32_t k = 0;
        while (k < na && arg[k] != t)
            k++;
        if (k == na)
            arg[n++] = t;
    }
    n = drop_lesser(cx, n, arg);
    qsort(arg, n, sizeof *arg, cmp_terms);
    const ScTerm *t = n == 1 ? arg[0] : sc_term_make(cx, SC_T_BCAST, false, 0, n, arg, NULL);
    free(arg);
    return t;
}
