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
