/* SPDX-License-Identifier: Apache-2.0 */
/* Operators whose results have as many elements as data says. How many there are is counted by a
 * node of its own and bound to a symbol; with it the rest is rows of known extents: so what comes
 * after them is compiled as all else. */
#include "frontend/frontend_priv.h"

#include <string.h>

/* The only element of an integer value as a term; NULL where it is not known, or not the only. */
static const ScTerm *known_one(const ImNode *n, ScVal v)
{
    const ScValue *x = sc_built(&n->im->b, v);
    int64_t c;
    if (!sc_term_is(sc_type_count(n->im->cx, x->type), 1))
        return NULL;
    if (x->content)
        return x->content[0];
    return im_known_int(n, v, &c) ? sc_term(n->im->cx, c) : NULL;
}

/* The same, or a symbol bound to it. */
const ScTerm *im_counted(const ImNode *n, ScVal v)
{
    const ScTerm *known = v == SC_POISON ? NULL : known_one(n, v);
    if (known || v == SC_POISON)
        return known;
    v = im_bind(n, v);
    const ScValue *x = sc_built(&n->im->b, v);
    if (v < SC_FIRST || !x->content) {
        sc_fail(n->im->cx, n->loc, SC_E_DYNAMIC, "the number of elements");
        return NULL;
    }
    return x->content[0];
}

/* --- NonZero, Compress ------------------------------------------------------------------------ */

/* Counted as u64, of which it is known that it is not negative. */
ScVal im_positions(const ImNode *n, ScVal x)
{
    const ScType *t = im_type_of(n, x);
    int64_t axes[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < t->rank; d++)
        axes[d] = d;
    ScVal each = im_cast(n, im_cast(n, x, SCRT_BOOL), SCRT_U64);
    ScVal all = t->rank ? im_reduce(n, &sc_op_reduce_sum, each, t->rank, axes, false) : each;
    const ScTerm *count = im_counted(n, all);
    return count ? im_build(n, &sc_op_nonzero, IM_SET({"count", SC_TERMS(1, &count)}), IM_IN(x))
                 : SC_POISON;
}

static bool nonzero(const ImNode *n, ScVal *ret_out)
{
    return im_arity(n, 1, 1) && IM_ONLY(n) && im_answer(im_positions(n, im_in(n, 0)), ret_out);
}

/* The flattened operand where there is no attribute "axis". */
static ScVal along(const ImNode *n, uint32_t *ret_axis)
{
    bool ok = true;
    const ScType *t = im_type(n, 0);
    *ret_axis = 0;
    if (im_attr(n, "axis"))
        return im_axis(n, im_int(n, "axis", 0, &ok), t->rank, ret_axis) && ok ? im_in(n, 0)
                                                                              : SC_POISON;
    const ScTerm *count = sc_type_count(n->im->cx, t);
    return im_reshape(n, im_in(n, 0), 1, &count);
}

static bool compress(const ImNode *n, ScVal *ret_out)
{
    uint32_t axis;
    if (!im_arity(n, 2, 2) || !IM_ONLY(n, "axis"))
        return false;
    ScVal x = along(n, &axis);
    const ScType *condition = im_type(n, 1);
    if (x == SC_POISON)
        return false;
    if (condition->rank != 1)
        return sc_fail(n->im->cx, n->loc, SC_E_RANK, "a condition of rank %u", condition->rank);
    if (!im_require(n, SC_GUARD_AT_MOST, condition->dim[0], im_type_of(n, x)->dim[axis],
                    "conditions, and slices to choose from"))
        return false;
    ScVal at = im_positions(n, im_in(n, 1));
    if (at == SC_POISON)
        return false;
    at = im_reshape(n, at, 1, im_type_of(n, at)->dim + 1);
    return im_answer(im_gather(n, x, axis, at), ret_out);
}

/* --- Unique ----------------------------------------------------------------------------------- */

static bool unique(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    uint32_t axis;
    ScVal group[4];
    if (!im_arity(n, 1, 1) || !IM_ONLY(n, "axis", "sorted"))
        return false;
    if (im_type(n, 0)->dtype == SCRT_STRING)
        return sc_fail(n->im->cx, n->loc, SC_E_UNSUPPORTED, "Unique of strings");
    ScVal x = along(n, &axis);
    const ScAttr attr[] = {SC_INT(axis), SC_INT(im_int(n, "sorted", 1, &ok))};
    if (x == SC_POISON || !ok || !sc_node(&n->im->b, &sc_op_unique, attr, NULL, 1, &x, 4, group))
        return false;
    const ScTerm *count = im_counted(n, group[3]), *zero = sc_term(n->im->cx, 0);
    if (!count)
        return false;
    ScVal first = im_slice(n, group[0], 0, zero, count);
    ScVal result[] = {im_gather(n, x, axis, first), first, group[1],
                      im_slice(n, group[2], 0, zero, count)};
    for (uint32_t i = 0; i < n->n_out; i++)
        ret_out[i] = result[i];
    return ret_out[0] != SC_POISON;
}

/* --- TopK ------------------------------------------------------------------------------------- */

/* Sorted always, as any order will do where "sorted" is 0. */
static bool topk(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    ScVal out[2], x = im_in(n, 0);
    int64_t axis = im_int(n, "axis", -1, &ok), largest = im_int(n, "largest", 1, &ok);
    if (!im_arity(n, n->opset < 10 ? 1 : 2, 2) || !ok ||
        !IM_ONLY(n, "axis", "k", "largest", "sorted"))
        return false;
    const ScTerm *k =
        n->opset < 10 ? sc_term(n->im->cx, im_int(n, "k", -1, &ok)) : im_content1(n, 1);
    if (!k || !ok)
        return false;
    const ScAttr attr[] = {SC_TERMS(1, &k), SC_INT(axis), SC_INT(largest)};
    if (!sc_node(&n->im->b, &sc_op_topk, attr, NULL, 1, &x, 2, out))
        return false;
    for (uint32_t i = 0; i < n->n_out; i++)
        ret_out[i] = out[i];
    return true;
}

/* --- NonMaxSuppression ------------------------------------------------------------------------ */

enum { BOXES, SCORES, WANTED };

/* Rows of a class: as many as are wanted, where that is known, and no more than there are boxes. */
static const ScTerm *room(const ImNode *n)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *all = im_type(n, SCORES)->dim[2];
    const ScTerm *wanted = known_one(n, im_in(n, WANTED));
    return wanted ? sc_term_max(cx, sc_term(cx, 0), sc_term_min(cx, wanted, all)) : all;
}

static bool non_max_suppression(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    ScVal out[2];
    int64_t center = im_int(n, "center_point_box", 0, &ok);
    if (!im_arity(n, 2, 5) || !ok || !IM_ONLY(n, "center_point_box"))
        return false;
    if (im_type(n, SCORES)->rank != 3)
        return sc_fail(b->cx, n->loc, SC_E_RANK, "scores of rank %u", im_type(n, SCORES)->rank);
    const ScTerm *most = im_has(n, WANTED) ? room(n) : sc_term(b->cx, 0);
    const ScAttr attr[] = {SC_TERMS(1, &most), SC_INT(center)};
    if (!sc_node(b, &sc_op_non_max_suppression, attr, NULL, n->n_in, n->in, 2, out))
        return false;
    const ScTerm *count = im_counted(n, out[1]);
    return count && im_answer(im_slice(n, out[0], 0, sc_term(b->cx, 0), count), ret_out);
}

/* --- RoiAlign --------------------------------------------------------------------------------- */

static bool roi_align(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    const char *mode = im_str(n, "mode", "avg", &ok);
    const char *where = im_str(n, "coordinate_transformation_mode",
                               n->opset < 16 ? "output_half_pixel" : "half_pixel", &ok);
    bool half = strcmp(where, "half_pixel") == 0;
    const ImSet set[] = {{"output_height", SC_INT(im_int(n, "output_height", 1, &ok))},
                         {"output_width", SC_INT(im_int(n, "output_width", 1, &ok))},
                         {"sampling_ratio", SC_INT(im_int(n, "sampling_ratio", 0, &ok))},
                         {"spatial_scale", SC_FLOAT(im_float(n, "spatial_scale", 1, &ok))},
                         {"mode", SC_STR(mode)},
                         {"half_pixel", SC_INT(half)}};
    if (!ok || !im_arity(n, 3, 3) ||
        !IM_ONLY(n, "coordinate_transformation_mode", "mode", "output_height", "output_width",
                 "sampling_ratio", "spatial_scale"))
        return false;
    if (!half && strcmp(where, "output_half_pixel") != 0)
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"coordinate_transformation_mode\" %s",
                       where);
    return im_answer(im_build(n, &sc_op_roi_align, sizeof set / sizeof *set, set, 3, n->in),
                     ret_out);
}

const ImAdapter im_select_adapters[] = {
    {"", "NonZero", 9, 0, nonzero, 1},
    {"", "Compress", 9, 0, compress, 1},
    {"", "Unique", 11, 0, unique, 4},
    {"", "TopK", 1, 0, topk, 2},
    {"", "NonMaxSuppression", 10, 0, non_max_suppression, 1},
    {"", "RoiAlign", 10, 0, roi_align, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
