/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds of terms, by interval arithmetic over the bounds of their symbols. */
#include "ir/base/term_priv.h"

/* The symbols that are not extents, by name: open addressing, at most half full. */
typedef struct Bounds {
    struct Bound {
        const char *sym; /* interned; NULL: free */
        ScRange range;
    } *slot;
    uint32_t n, cap;
} Bounds;
static const char bounds_key;

static uint32_t slot_of(const Bounds *b, const char *sym)
{
    uint32_t i = (uint32_t)sc_hash_word(SC_HASH, (uintptr_t)sym) & (b->cap - 1);
    while (b->slot[i].sym && b->slot[i].sym != sym)
        i = (i + 1) & (b->cap - 1);
    return i;
}

void sc_sym_bound(ScCtx *cx, const char *sym, ScRange range)
{
    Bounds *b = sc_ctx_slot(cx, &bounds_key, sizeof *b);
    if (2 * b->n >= b->cap) {
        Bounds old = *b;
        b->cap = old.cap ? 2 * old.cap : 16;
        b->slot = sc_array(sc_ctx_arena(cx), struct Bound, b->cap);
        for (uint32_t i = 0; i < old.cap; i++)
            if (old.slot[i].sym)
                b->slot[slot_of(b, old.slot[i].sym)] = old.slot[i];
    }
    struct Bound *s = &b->slot[slot_of(b, sym)];
    if (!s->sym) {
        *s = (struct Bound){sym, {0, INT64_MAX}};
        b->n++;
    }
    s->range.lo = range.lo < s->range.lo ? range.lo : s->range.lo;
    s->range.hi = range.hi > s->range.hi ? range.hi : s->range.hi;
}

static ScRange of_symbol(ScCtx *cx, const char *sym)
{
    const Bounds *b = sc_ctx_slot(cx, &bounds_key, sizeof *b);
    uint32_t i = b->cap ? slot_of(b, sym) : 0;
    return b->cap && b->slot[i].sym ? b->slot[i].range : (ScRange){0, INT64_MAX};
}

/* --- Arithmetic; the ends of int64_t stand for no bound -------------------------------------- */

static int64_t clamp(__int128 x)
{
    return x < INT64_MIN ? INT64_MIN : x > INT64_MAX ? INT64_MAX : (int64_t)x;
}

static bool is_end(int64_t x)
{
    return x == INT64_MIN || x == INT64_MAX;
}

static int64_t plus(int64_t a, int64_t b)
{
    return is_end(a) ? a : is_end(b) ? b : clamp((__int128)a + b);
}

static int64_t times(int64_t a, int64_t b)
{
    if (a == 0 || b == 0)
        return 0;
    if (is_end(a) || is_end(b))
        return (a < 0) != (b < 0) ? INT64_MIN : INT64_MAX;
    return clamp((__int128)a * b);
}

/* Rounded down or up; b is not 0. */
static int64_t over(int64_t a, int64_t b, bool up)
{
    if (is_end(a))
        return (a < 0) != (b < 0) ? INT64_MIN : INT64_MAX;
    if (is_end(b))
        return a == 0 ? 0 : (a < 0) != (b < 0) ? -!up : up;
    __int128 q = (__int128)a / b;
    bool rest = (__int128)a % b != 0, negative = (a < 0) != (b < 0);
    return clamp(q - (rest && negative && !up) + (rest && !negative && up));
}

/* The hull of f at the four corners. */
static ScRange corners(ScRange a, ScRange b, int64_t (*f)(int64_t, int64_t, bool), bool up)
{
    const int64_t x[] = {f(a.lo, b.lo, up), f(a.lo, b.hi, up), f(a.hi, b.lo, up),
                         f(a.hi, b.hi, up)};
    ScRange r = {x[0], x[0]};
    for (int i = 1; i < 4; i++) {
        r.lo = x[i] < r.lo ? x[i] : r.lo;
        r.hi = x[i] > r.hi ? x[i] : r.hi;
    }
    return r;
}

static int64_t product(int64_t a, int64_t b, bool up)
{
    (void)up;
    return times(a, b);
}

static ScRange division(ScTermKind kind, ScRange a, ScRange b)
{
    const ScRange all = {INT64_MIN, INT64_MAX};
    if (b.lo == 0)
        b.lo = 1; /* by 0 there is no value */
    if (b.lo < 1 || b.hi < b.lo)
        return all;
    if (kind == SC_T_MOD)
        return (ScRange){0, a.lo >= 0 && a.hi < b.hi ? a.hi : b.hi == INT64_MAX ? b.hi : b.hi - 1};
    return corners(a, b, over, kind == SC_T_CDIV);
}

static ScRange join(ScTermKind kind, ScRange a, ScRange b)
{
    switch (kind) {
    case SC_T_MUL:
        return corners(a, b, product, false);
    case SC_T_MIN:
        return (ScRange){a.lo < b.lo ? a.lo : b.lo, a.hi < b.hi ? a.hi : b.hi};
    case SC_T_MAX:
        return (ScRange){a.lo > b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
    case SC_T_BCAST:
        return (ScRange){a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
    default:
        return division(kind, a, b);
    }
}

ScRange sc_term_range(ScCtx *cx, const ScTerm *t)
{
    if (t->kind == SC_T_CONST)
        return (ScRange){t->c, t->c};
    if (sc_term_overflowed(t))
        return (ScRange){INT64_MIN, INT64_MAX};
    if (t->kind == SC_T_SYM)
        return of_symbol(cx, t->sym);
    if (t->kind == SC_T_LOG2)
        return (ScRange){0, 62};
    ScRange r = t->kind == SC_T_SUM ? (ScRange){t->c, t->c} : sc_term_range(cx, t->arg[0]);
    for (uint32_t i = t->kind != SC_T_SUM; i < t->n; i++) {
        ScRange x = sc_term_range(cx, t->arg[i]);
        if (t->kind != SC_T_SUM) {
            r = join(t->kind, r, x);
            continue;
        }
        int64_t p = times(x.lo, t->coef[i]), q = times(x.hi, t->coef[i]);
        r.lo = plus(r.lo, p < q ? p : q);
        r.hi = plus(r.hi, p < q ? q : p);
    }
    return t->has_c ? join(t->kind, r, (ScRange){t->c, t->c}) : r;
}

/* --- Order ----------------------------------------------------------------------------------- */

#define MAX_DEPTH 6 /* of what shape chains nest; and each level tries all pairs of operands */

static bool at_most(ScCtx *cx, const ScTerm *t, const ScTerm *u, uint32_t depth);

/* Whether that holds for all, or for any, of the operands of one side. */
static bool of_operands(ScCtx *cx, const ScTerm *t, const ScTerm *u, bool of_t, bool all,
                        uint32_t depth)
{
    const ScTerm *x = of_t ? t : u;
    uint32_t n = x->n + x->has_c, holds = 0;
    for (uint32_t i = 0; i < n && (all ? holds == i : !holds); i++) {
        const ScTerm *arg = i < x->n ? x->arg[i] : sc_term(cx, x->c);
        holds += at_most(cx, of_t ? arg : t, of_t ? u : arg, depth);
    }
    return all ? holds == n : holds > 0;
}

/* A sum is less than u where it is so with an operand of a min in the min's place. */
static bool sum_at_most(ScCtx *cx, const ScTerm *t, const ScTerm *u, uint32_t depth)
{
    bool ok = false;
    for (uint32_t i = 0; i < t->n && !ok; i++) {
        const ScTerm *m = t->arg[i];
        if (t->coef[i] != 1 || m->kind != SC_T_MIN)
            continue;
        const ScTerm *rest = sc_term_sub(cx, t, m);
        for (uint32_t k = 0; k < m->n && !ok; k++)
            ok = at_most(cx, sc_term_add(cx, rest, m->arg[k]), u, depth);
        ok = ok || (m->has_c && at_most(cx, sc_term_addc(cx, rest, m->c), u, depth));
    }
    return ok;
}

static bool at_most(ScCtx *cx, const ScTerm *t, const ScTerm *u, uint32_t depth)
{
    if (t == u || sc_term_range(cx, sc_term_sub(cx, u, t)).lo >= 0)
        return true;
    if (depth-- == 0)
        return false;
    if (t->kind == SC_T_MAX)
        return of_operands(cx, t, u, true, true, depth);
    if (u->kind == SC_T_MIN)
        return of_operands(cx, t, u, false, true, depth);
    return (u->kind == SC_T_MAX && of_operands(cx, t, u, false, false, depth)) ||
           (t->kind == SC_T_MIN && of_operands(cx, t, u, true, false, depth)) ||
           (t->kind == SC_T_SUM && sum_at_most(cx, t, u, depth));
}

bool sc_term_at_most(ScCtx *cx, const ScTerm *t, const ScTerm *u)
{
    return at_most(cx, t, u, MAX_DEPTH);
}
