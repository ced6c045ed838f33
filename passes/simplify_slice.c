/* SPDX-License-Identifier: Apache-2.0 */
/* A slice of a slice is one slice, where its bounds can be said before anything runs: chains of
 * them, as loops that were unrolled leave, are as cheap as one. */
#include "passes/passes_priv.h"

#define FAR INT32_MAX /* an end from here on is the axis's end, whatever its extent is */

typedef struct Bounds { /* of one axis, each step 1; ends below 0 count from the end */
    int64_t start, end;
} Bounds;

/* The bounds of all axes; false where some are not numbers or a step is not 1. */
static bool bounds_of(const ScNode *n, uint32_t rank, Bounds *ret)
{
    const ScAttr *starts = sc_attr_named(n, "starts"), *ends = sc_attr_named(n, "ends");
    const ScAttr *axes = sc_attr_named(n, "axes"), *steps = sc_attr_named(n, "steps");
    for (uint32_t d = 0; d < rank; d++)
        ret[d] = (Bounds){0, FAR};
    for (uint32_t i = 0; i < starts->n; i++) {
        int64_t axis = axes->kind == SC_A_NONE ? i : axes->is[i];
        Bounds *b = &ret[axis < 0 ? axis + rank : axis];
        if (!sc_term_const(starts->ts[i], &b->start) || !sc_term_const(ends->ts[i], &b->end) ||
            (steps->kind != SC_A_NONE && steps->is[i] != 1))
            return false;
        b->end = b->end > FAR ? FAR : b->end;
    }
    return true;
}

static int64_t clamped(int64_t index, int64_t n)
{
    index = index < 0 ? index + n : index;
    return index < 0 ? 0 : index > n ? n : index;
}

/* Of an axis whose extent is a number: bounds that lie within it. */
static void clamp(Bounds *b, int64_t n)
{
    b->start = clamped(b->start < -FAR ? -FAR : b->start, n);
    b->end = clamped(b->end < -FAR ? -FAR : b->end, n);
    b->end = b->end < b->start ? b->start : b->end;
}

/* a, then b: false where these bounds cannot say it. n: the extent that a cuts, or NULL. */
static bool join(Bounds a, Bounds b, const int64_t *n, Bounds *ret)
{
    if (n) {
        clamp(&a, *n);
        clamp(&b, a.end - a.start);
    }
    bool far = b.end >= FAR, back = b.end < 0;
    if (a.start < 0 || b.start < 0 || a.start + b.start >= FAR || a.end <= -FAR || b.end <= -FAR)
        return false;
    ret->start = a.start + b.start;
    if (a.end >= FAR)
        ret->end = far || back ? b.end : a.start + b.end;
    else if (a.end < 0)
        ret->end = far ? a.end : a.end + b.end;
    else
        ret->end = far || a.start + b.end > a.end ? a.end : a.start + b.end;
    return ret->end <= FAR && (far || back == (a.end < 0) || (back && a.end >= FAR));
}

ScVal sc_slice_of_slice(ScBuild *b, const ScNode *outer, const ScNode *inner, ScVal in)
{
    const ScType *x = sc_built(b, in)->type;
    Bounds first[SCRT_MAX_RANK], then[SCRT_MAX_RANK];
    const ScTerm *start[SCRT_MAX_RANK], *end[SCRT_MAX_RANK];
    int64_t axis[SCRT_MAX_RANK], n;
    uint32_t count = 0;
    if (!bounds_of(inner, x->rank, first) || !bounds_of(outer, x->rank, then))
        return SC_POISON;
    for (uint32_t d = 0; d < x->rank; d++) {
        bool known = sc_term_const(x->dim[d], &n);
        if ((known && n >= FAR) || !join(first[d], then[d], known ? &n : NULL, &then[d]))
            return SC_POISON;
        if (then[d].start == 0 && then[d].end == (known ? n : FAR))
            continue;
        then[d].end = then[d].end == FAR ? INT64_MAX : then[d].end;
        start[count] = sc_term(b->cx, then[d].start);
        end[count] = sc_term(b->cx, then[d].end);
        axis[count++] = d;
    }
    return sc_op_at(
        b, slice, SC_ATTRS(SC_TERMS(count, start), SC_TERMS(count, end), SC_INTS(count, axis)), in);
}
