/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: what rules need of extents, decided where terms can decide it and recorded where only a
 * run can. */
#include "ir/op.h"

#include <string.h>

bool sc_guard_holds(ScGuardKind kind, int64_t a, int64_t b)
{
    return scrt_guard_holds(kind, a, b);
}

/* --- Deciding -------------------------------------------------------------------------------- */

/* Whether d, a difference, can be 0: by its bounds, and because 2 n is not 7. */
static bool can_vanish(ScCtx *cx, const ScTerm *d)
{
    ScRange r = sc_term_range(cx, d);
    uint64_t g = 0;
    if (r.lo > 0 || r.hi < 0)
        return false;
    if (d->kind != SC_T_SUM)
        return true;
    for (uint32_t i = 0; i < d->n; i++)
        g = sc_gcd(g, (uint64_t)(d->coef[i] < 0 ? -(d->coef[i] + 1) : d->coef[i] - 1) + 1);
    uint64_t c = d->c < 0 ? 0 - (uint64_t)d->c : (uint64_t)d->c;
    return g == 0 || c % g == 0;
}

static ScDecision decide_equal(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    if (a == b)
        return SC_ALWAYS;
    const ScTerm *d = sc_term_sub(cx, a, b);
    return sc_term_overflowed(d) || can_vanish(cx, d) ? SC_PERHAPS : SC_NEVER;
}

static ScDecision decide_at_most(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    const ScTerm *d = sc_term_sub(cx, b, a);
    if (sc_term_overflowed(d))
        return SC_PERHAPS;
    ScRange r = sc_term_range(cx, d);
    return r.lo >= 0 ? SC_ALWAYS : r.hi < 0 ? SC_NEVER : SC_PERHAPS;
}

static ScDecision decide_divides(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    int64_t x, y;
    if (sc_term_const(a, &x) && sc_term_const(b, &y))
        return sc_guard_holds(SC_GUARD_DIVIDES, x, y) ? SC_ALWAYS : SC_NEVER;
    if (a == b || sc_term_is(b, 0) || sc_term_is(a, 1))
        return SC_ALWAYS;
    if (sc_term_is(a, 0))
        return decide_equal(cx, a, b);
    const ScTerm *r = sc_term_mod(cx, b, a);
    if (sc_term_const(r, &y) && sc_term_range(cx, a).lo > 0)
        return y == 0 ? SC_ALWAYS : SC_NEVER;
    return SC_PERHAPS;
}

static bool has_arg(const ScTerm *bcast, const ScTerm *t)
{
    for (uint32_t i = 0; i < bcast->n; i++)
        if (bcast->arg[i] == t)
            return true;
    return false;
}

/* A common extent was guarded when it was made. */
static bool is_common(const ScTerm *of, const ScTerm *t)
{
    return of->kind == SC_T_BCAST && has_arg(of, t);
}

static ScDecision decide_meet(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    if (sc_term_is(a, 1) || sc_term_is(b, 1) || is_common(a, b) || is_common(b, a))
        return SC_ALWAYS;
    ScDecision equal = decide_equal(cx, a, b), one = SC_PERHAPS;
    if (decide_equal(cx, a, sc_term(cx, 1)) == SC_NEVER &&
        decide_equal(cx, b, sc_term(cx, 1)) == SC_NEVER)
        one = SC_NEVER;
    return one == SC_NEVER || equal == SC_ALWAYS ? equal : SC_PERHAPS;
}

static ScDecision decide_fits(ScCtx *cx, const ScTerm *a, const ScTerm *b)
{
    if (sc_term_is(a, 1) || is_common(b, a))
        return SC_ALWAYS;
    ScDecision equal = decide_equal(cx, a, b);
    bool never_one = decide_equal(cx, a, sc_term(cx, 1)) == SC_NEVER;
    return never_one || equal == SC_ALWAYS ? equal : SC_PERHAPS;
}

ScDecision sc_guard_decide(ScCtx *cx, ScGuardKind kind, const ScTerm *a, const ScTerm *b)
{
    ScDecision d;
    switch (kind) {
    case SC_GUARD_EQUAL:
        return decide_equal(cx, a, b);
    case SC_GUARD_DIFFER:
        d = decide_equal(cx, a, b);
        return d == SC_ALWAYS ? SC_NEVER : d == SC_NEVER ? SC_ALWAYS : SC_PERHAPS;
    case SC_GUARD_AT_MOST:
        return decide_at_most(cx, a, b);
    case SC_GUARD_DIVIDES:
        return decide_divides(cx, a, b);
    case SC_GUARD_MEET:
        return decide_meet(cx, a, b);
    case SC_GUARD_FITS:
        return decide_fits(cx, a, b);
    }
    return SC_PERHAPS;
}

/* --- The list -------------------------------------------------------------------------------- */

static uint64_t hash_of(const ScGuard *g)
{
    return sc_hash_word(sc_hash_word(sc_hash_word(SC_HASH, g->kind), (uintptr_t)g->a),
                        (uintptr_t)g->b);
}

/* The place of an equal guard in the table, or the free one. */
static uint32_t slot_of(const ScGuards *l, const ScGuard *g)
{
    uint32_t i = (uint32_t)(hash_of(g) >> 20) & (l->table_cap - 1);
    for (; l->table[i]; i = (i + 1) & (l->table_cap - 1)) {
        const ScGuard *o = &l->p[l->table[i] - 1];
        if (o->kind == g->kind && o->a == g->a && o->b == g->b)
            break;
    }
    return i;
}

bool sc_guards_have(const ScGuards *l, const ScGuard *g)
{
    return l->table_cap && l->table[slot_of(l, g)];
}

void sc_guards_add(ScGuards *l, const ScGuard *g)
{
    if (2 * l->n >= l->table_cap) {
        sc_buf_free(l->table);
        uint32_t cap = l->table_cap ? l->table_cap : 8;
        l->table = sc_buf_grow(NULL, &cap, sizeof *l->table);
        l->table_cap = 1;
        while (2 * l->table_cap <= cap)
            l->table_cap *= 2;
        memset(l->table, 0, l->table_cap * sizeof *l->table);
        for (uint32_t i = 0; i < l->n; i++)
            l->table[slot_of(l, &l->p[i])] = i + 1;
    }
    uint32_t i = slot_of(l, g);
    if (l->table[i])
        return;
    sc_buf_push(l->p, l->n, l->cap, *g);
    l->table[i] = l->n;
}

void sc_guards_free(ScGuards *l)
{
    sc_buf_free(l->p);
    sc_buf_free(l->table);
    *l = (ScGuards){0};
}

/* --- Text ------------------------------------------------------------------------------------ */

const char *const sc_guard_word[SC_GUARD_KINDS] = {
    [SC_GUARD_EQUAL] = "=",         [SC_GUARD_DIFFER] = "!=",  [SC_GUARD_AT_MOST] = "<=",
    [SC_GUARD_DIVIDES] = "divides", [SC_GUARD_MEET] = "meets", [SC_GUARD_FITS] = "fits",
};

void sc_guard_text(const ScGuard *g, ScStr *out)
{
    static const char *const words[][2] = {
        [SC_GUARD_EQUAL] = {" and ", " must be equal"},
        [SC_GUARD_DIFFER] = {" and ", " must differ"},
        [SC_GUARD_AT_MOST] = {" must be at most ", ""},
        [SC_GUARD_DIVIDES] = {" must divide ", ""},
        [SC_GUARD_MEET] = {" and ", " must be equal, or one of them 1"},
        [SC_GUARD_FITS] = {" must be 1 or ", ""},
    };
    sc_str_addf(out, "%s: ", g->what);
    sc_term_print(g->a, out);
    sc_str_add(out, words[g->kind][0]);
    sc_term_print(g->b, out);
    sc_str_add(out, words[g->kind][1]);
}

/* --- What rules say -------------------------------------------------------------------------- */

bool sc_holds(const ScInfer *in, ScGuardKind kind, const ScTerm *a, const ScTerm *b,
              const char *what)
{
    ScDecision d = sc_guard_decide(in->cx, kind, a, b);
    if (d == SC_PERHAPS && in->guards) {
        ScGuard g = {.kind = kind, .a = a, .b = b, .loc = in->loc, .what = sc_intern(in->cx, what)};
        sc_guards_add(in->guards, &g);
    }
    return d != SC_NEVER;
}

static bool require(const ScInfer *in, ScGuardKind kind, const ScTerm *a, const ScTerm *b,
                    const char *what)
{
    if (sc_holds(in, kind, a, b, what))
        return true;
    ScGuard g = {.kind = kind, .a = a, .b = b, .what = what};
    ScStr s = {0};
    sc_guard_text(&g, &s);
    sc_infer_fail(in, SC_E_SHAPE, "%s", sc_str_get(&s));
    sc_str_free(&s);
    return false;
}

bool sc_require_equal(const ScInfer *in, const ScTerm *a, const ScTerm *b, const char *what)
{
    return require(in, SC_GUARD_EQUAL, a, b, what);
}

bool sc_require_differ(const ScInfer *in, const ScTerm *a, const ScTerm *b, const char *what)
{
    return require(in, SC_GUARD_DIFFER, a, b, what);
}

bool sc_require_at_most(const ScInfer *in, const ScTerm *a, const ScTerm *b, const char *what)
{
    return require(in, SC_GUARD_AT_MOST, a, b, what);
}

bool sc_require_nonneg(const ScInfer *in, const ScTerm *t, const char *what)
{
    return require(in, SC_GUARD_AT_MOST, sc_term(in->cx, 0), t, what);
}

bool sc_require_divides(const ScInfer *in, const ScTerm *a, const ScTerm *b, const char *what)
{
    return require(in, SC_GUARD_DIVIDES, a, b, what);
}

const ScTerm *sc_unified(const ScTerm *a, const ScTerm *b)
{
    return b->kind == SC_T_CONST ? b : a;
}
