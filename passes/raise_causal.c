/* SPDX-License-Identifier: Apache-2.0 */
/* Masks that say no more than "keys up to the query's place": a triangle among the constants,
 * sliced perhaps, or a comparison of places that count up. The attention row knows that as a
 * number, its diagonal, and its kernel does not look at what lies beyond. Key j of query i is kept
 * where j <= i + diagonal. */
#include <math.h>

#include "passes/match.h"

enum { DEEP = 16 }; /* views and masks that stand on each other */

typedef struct Search {
    ScMatch *m;
    const ScTerm *queries, *keys;
} Search;

/* --- Places that count up -------------------------------------------------------------------- */

/* Element .., i, .. of a value is i + offset, i its index along one axis. */
typedef struct Places {
    int axis; /* from the last one, 0; -1: one number */
    const ScTerm *offset;
} Places;

static bool places(ScMatch *m, ScVal v, uint32_t depth, Places *ret);

/* The axis of `to`, from the last, that alone is not 1 and has this extent. */
static int axis_of(const ScType *to, const ScTerm *extent)
{
    int axis = -1;
    for (uint32_t d = 0; d < to->rank; d++) {
        if (sc_term_is(to->dim[d], 1))
            continue;
        if (axis >= 0 || to->dim[d] != extent)
            return -1;
        axis = (int)(to->rank - 1 - d);
    }
    return axis;
}

/* What a slice begins at, along an axis counted from the last: 0 where it takes all of it. False
 * where it has steps or begins from the end. */
static bool begins(ScMatch *m, const ScNode *n, uint32_t from_last, const ScTerm **ret)
{
    const ScAttr *starts = sc_attr_named(n, "starts"), *axes = sc_attr_named(n, "axes");
    const ScAttr *steps = sc_attr_named(n, "steps");
    const int64_t rank = match_type(m, n->in[0])->rank;
    *ret = sc_term(m->b.cx, 0);
    for (uint32_t i = 0; i < starts->n; i++) {
        int64_t axis = axes->kind == SC_A_NONE ? i : axes->is[i];
        if ((axis < 0 ? axis + rank : axis) != rank - 1 - (int64_t)from_last)
            continue;
        if ((steps->kind != SC_A_NONE && steps->is[i] != 1) ||
            sc_term_range(m->b.cx, starts->ts[i]).lo < 0)
            return false;
        *ret = starts->ts[i];
    }
    return true;
}

/* A view of places, where they still lie along one axis. */
static bool viewed(ScMatch *m, const ScNode *n, const ScType *to, Places *p)
{
    const ScType *from = match_type(m, n->in[0]);
    if (p->axis < 0)
        return n->op == &sc_op_reshape || n->op == &sc_op_expand;
    const ScTerm *extent = from->dim[from->rank - 1 - (uint32_t)p->axis], *start;
    if (n->op == &sc_op_reshape) {
        p->axis = axis_of(from, extent) < 0 ? -1 : axis_of(to, extent);
        return p->axis >= 0;
    }
    if (n->op == &sc_op_expand)
        return to->dim[to->rank - 1 - (uint32_t)p->axis] == extent;
    if (n->op != &sc_op_slice || !begins(m, n, (uint32_t)p->axis, &start))
        return false;
    p->offset = sc_term_add(m->b.cx, p->offset, start);
    return true;
}

/* Places and a number, added or subtracted. */
static bool moved(ScMatch *m, const ScNode *n, uint32_t depth, Places *ret)
{
    Places a, b;
    const bool minus = n->op == &sc_op_sub;
    if (!places(m, n->in[0], depth, &a) || !places(m, n->in[1], depth, &b) ||
        (b.axis >= 0 && (minus || a.axis >= 0)))
        return false;
    ret->axis = a.axis >= 0 ? a.axis : b.axis;
    ret->offset =
        minus ? sc_term_sub(m->b.cx, a.offset, b.offset) : sc_term_add(m->b.cx, a.offset, b.offset);
    return true;
}

static bool places(ScMatch *m, ScVal v, uint32_t depth, Places *ret)
{
    if (v < SC_FIRST || depth == DEEP)
        return false;
    const ScValue *value = sc_built(&m->b, v);
    const ScNode n = *sc_built_def(&m->b, v);
    const ScType *t = value->type;
    if (!scrt_dtype_is_integer(t->dtype))
        return false;
    if (value->content && sc_term_is(sc_type_count(m->b.cx, t), 1)) {
        *ret = (Places){-1, value->content[0]};
        return true;
    }
    if (n.op == &sc_op_iota && t->rank == 1) {
        *ret = (Places){0, sc_term(m->b.cx, 0)};
        return true;
    }
    if (n.op == &sc_op_add || n.op == &sc_op_sub)
        return moved(m, &n, depth + 1, ret);
    if (n.op == &sc_op_cast)
        return places(m, n.in[0], depth + 1, ret);
    return n.n_in == 1 && places(m, n.in[0], depth + 1, ret) && viewed(m, &n, t, ret);
}

/* --- Triangles ------------------------------------------------------------------------------- */

/* A constant whose last two axes are a triangle: keys up to query i's own and *ret more are
 * `inside`, the others are not. */
static bool is_triangle(const ScBlob *b, const ScType *t, bool (*inside)(double x), int64_t *ret)
{
    int64_t dim[SCRT_MAX_RANK];
    if (!b || !b->data || t->rank < 2 || !sc_type_const_dims(t, dim))
        return false;
    const int64_t rows = dim[t->rank - 2], columns = dim[t->rank - 1];
    int64_t d = -1;
    if (rows < 2 || columns < 2 || b->count != (size_t)(rows * columns))
        return false;
    while (d + 1 < columns && inside(scrt_load(b->dtype, b->data, (size_t)(d + 1))))
        d++;
    if (d + 1 >= columns)
        return false; /* one row looks at all: no triangle */
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            if (inside(scrt_load(b->dtype, b->data, (size_t)(i * columns + j))) != (j <= i + d))
                return false;
    *ret = d;
    return true;
}

static bool is_set(double x)
{
    return x != 0;
}

static bool is_clear(double x)
{
    return x == 0;
}

/* An extent of a mask that must be that of the scores or 1, and is not 1 unless they have 1. */
static bool is_whole(const ScTerm *mask, const ScTerm *scores)
{
    bool min_of = mask->kind == SC_T_MIN && mask->n == 1 && mask->has_c && mask->c > 1;
    return mask == scores || (min_of && mask->arg[0] == scores);
}

static bool covers(const Search *s, ScVal v)
{
    const ScType *t = match_type(s->m, v);
    return t->rank >= 2 && is_whole(t->dim[t->rank - 1], s->keys) &&
           is_whole(t->dim[t->rank - 2], s->queries);
}

/* The constant triangle below views of v: its diagonal as v has it. *ret_const: the constant. */
static bool triangle(ScMatch *m, ScVal v, bool (*inside)(double x), uint32_t depth,
                     const ScTerm **ret, ScVal *ret_const)
{
    const ScTerm *row, *column;
    int64_t d;
    if (v < SC_FIRST || depth == DEEP)
        return false;
    const ScNode n = *sc_built_def(&m->b, v);
    const ScType *t = match_type(m, v);
    if (n.op->flags & SC_CONST_OP) {
        if (!is_triangle(sc_built_blob(&m->b, v), t, inside, &d))
            return false;
        *ret = sc_term(m->b.cx, d);
        *ret_const = v;
        return true;
    }
    if (n.n_in != 1 || !triangle(m, n.in[0], inside, depth + 1, ret, ret_const))
        return false;
    const ScType *from = match_type(m, n.in[0]);
    if (n.op == &sc_op_slice) {
        if (!begins(m, &n, 0, &column) || !begins(m, &n, 1, &row))
            return false;
        *ret = sc_term_add(m->b.cx, *ret, sc_term_sub(m->b.cx, row, column));
        return true;
    }
    bool same = t->rank >= 2 && t->dim[t->rank - 1] == from->dim[from->rank - 1] &&
                t->dim[t->rank - 2] == from->dim[from->rank - 2];
    return n.op == &sc_op_cast || (same && (n.op == &sc_op_reshape || n.op == &sc_op_expand));
}

/* --- Masks ----------------------------------------------------------------------------------- */

/* v, or what is not v where `hides`, keeps just the keys up to the diagonal. */
static bool compared(const Search *s, ScVal v, bool hides, const ScTerm **ret)
{
    ScMatch *m = s->m;
    const ScNode n = *sc_built_def(&m->b, v);
    Places a, b;
    ScVal of;
    if (n.op == &sc_op_equal && match_with_const(m, v, &sc_op_equal, 0, &of))
        return covers(s, v) && triangle(m, of, hides ? is_set : is_clear, 0, ret, &of);
    const bool or_equal = n.op == &sc_op_less_or_equal || n.op == &sc_op_greater_or_equal;
    if (!or_equal && n.op != &sc_op_less && n.op != &sc_op_greater)
        return covers(s, v) && triangle(m, v, hides ? is_clear : is_set, 0, ret, &of);
    if (!covers(s, v) || !places(m, n.in[0], 0, &a) || !places(m, n.in[1], 0, &b))
        return false;
    /* As j <= i + d, or j < i + d: of what is hidden the opposite, i + d <= j. */
    bool keys_first = n.op == &sc_op_less || n.op == &sc_op_less_or_equal;
    const Places *j = keys_first != hides ? &a : &b, *i = keys_first != hides ? &b : &a;
    if (j->axis != 0 || i->axis != 1)
        return false;
    *ret = sc_term_sub(m->b.cx, i->offset, j->offset);
    *ret = or_equal != hides ? *ret : sc_term_addc(m->b.cx, *ret, -1);
    return true;
}

static ScVal negated(ScMatch *m, ScVal v)
{
    const ScNode *n = sc_built_def(&m->b, v);
    return n->op == &sc_op_not ? n->in[0] : sc_op(&m->b, not, v);
}

/* The diagonal of mask v, which keeps keys, or hides them; *ret_rest is what it says beside, a mask
 * that keeps, or absent. */
static bool kept(const Search *s, ScVal v, bool hides, uint32_t depth, const ScTerm **ret,
                 ScVal *ret_rest)
{
    ScMatch *m = s->m;
    if (v < SC_FIRST || depth == DEEP)
        return false;
    const ScNode n = *sc_built_def(&m->b, v);
    *ret_rest = SC_ABSENT;
    if (n.op == &sc_op_not)
        return kept(s, n.in[0], !hides, depth + 1, ret, ret_rest);
    if (n.op != (hides ? &sc_op_or : &sc_op_and))
        return compared(s, v, hides, ret);
    for (uint32_t i = 0; i < 2; i++) {
        if (!kept(s, n.in[i], hides, depth + 1, ret, ret_rest))
            continue;
        ScVal other = hides ? negated(m, n.in[1 - i]) : n.in[1 - i];
        *ret_rest = *ret_rest == SC_ABSENT ? other : sc_op(&m->b, and, *ret_rest, other);
        return true;
    }
    return false;
}

/* A number that weighs nothing once it is added to a score. */
static bool is_nothing(double x)
{
    return x <= -65504;
}

/* The same of a mask that is added, 0 or a number that weighs nothing, *ret_fill. */
static bool added(const Search *s, ScVal v, uint32_t depth, const ScTerm **ret, ScVal *ret_rest,
                  double *ret_fill)
{
    ScMatch *m = s->m;
    ScVal mask, triangular;
    double x, y;
    if (v < SC_FIRST || depth == DEEP)
        return false;
    const ScNode n = *sc_built_def(&m->b, v);
    *ret_rest = SC_ABSENT;
    for (uint32_t i = 0; n.op == &sc_op_add && i < 2; i++)
        if (added(s, n.in[i], depth + 1, ret, ret_rest, ret_fill)) {
            *ret_rest =
                *ret_rest == SC_ABSENT ? n.in[1 - i] : sc_op(&m->b, add, *ret_rest, n.in[1 - i]);
            return true;
        }
    if (n.op == &sc_op_where && sc_built_splat(&m->b, n.in[1], &x) &&
        sc_built_splat(&m->b, n.in[2], &y)) {
        const bool hides = y == 0;
        *ret_fill = hides ? x : y;
        if ((x != 0 && y != 0) || !is_nothing(*ret_fill) ||
            !kept(s, n.in[0], hides, depth, ret, &mask))
            return false;
        if (mask != SC_ABSENT)
            *ret_rest = sc_op(&m->b, where, mask, n.in[hides ? 2 : 1], n.in[hides ? 1 : 2]);
        return true;
    }
    if (!covers(s, v) || !triangle(m, v, is_clear, 0, ret, &triangular))
        return false;
    /* Beside zeros all is one number. */
    const ScBlob *b = sc_built_blob(&m->b, triangular);
    *ret_fill = 0;
    for (size_t i = 0; i < b->count; i++) {
        x = scrt_load(b->dtype, b->data, i);
        if (x != 0 && *ret_fill != 0 && x != *ret_fill)
            return false;
        *ret_fill = x != 0 ? x : *ret_fill;
    }
    return is_nothing(*ret_fill);
}

/* Where another mask may hide all keys of a query, or the diagonal does, keys with a finite number
 * share what is left with those beyond the diagonal: that is no diagonal then. */
static bool is_exact(ScMatch *m, const ScTerm *diagonal, double fill, bool alone)
{
    return isinf(fill) || (alone && sc_term_range(m->b.cx, diagonal).lo >= 0);
}

const ScTerm *match_causal(ScMatch *m, const ScTerm *queries, const ScTerm *keys, double fill,
                           ScVal *addend, ScVal *keep)
{
    const Search s = {m, queries, keys};
    const ScTerm *d;
    ScVal rest;
    double x;
    if (*keep != SC_ABSENT && is_nothing(fill) && kept(&s, *keep, false, 0, &d, &rest) &&
        is_exact(m, d, fill, *addend == SC_ABSENT && rest == SC_ABSENT)) {
        *keep = rest;
        return d;
    }
    if (*addend != SC_ABSENT && added(&s, *addend, 0, &d, &rest, &x) &&
        is_exact(m, d, x, *keep == SC_ABSENT && rest == SC_ABSENT)) {
        *addend = rest;
        return d;
    }
    return NULL;
}
