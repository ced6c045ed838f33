/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution whose kernel has extents that only the run knows, which no kernel of row conv is
 * made for: what each position sees is gathered, and a product sums it up. */
#include "frontend/frontend_priv.h"

#define OP(op, ...) sc_op(&n->im->b, op, __VA_ARGS__)

enum { MAX_SPACE = (SCRT_MAX_RANK - 2) / 2 }; /* each spatial axis becomes two */

/* One spatial axis. */
typedef struct Axis {
    const ScTerm *in, *kernel, *out, *before; /* before: the padding */
    int64_t stride, dilation;
    bool padded;
} Axis;

static bool plan_axis(const ImNode *n, const ImWindow *w, uint32_t i, Axis *a)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *one = sc_term(cx, 1), *after = w->pads[w->n + i];
    *a = (Axis){.in = im_type(n, 0)->dim[2 + i],
                .kernel = im_type(n, 1)->dim[2 + i],
                .before = w->pads[i],
                .stride = w->stride[i],
                .dilation = w->dilation[i],
                .padded = !sc_term_is(w->pads[i], 0) || !sc_term_is(after, 0)};
    const ScTerm *reach = sc_term_scale(cx, sc_term_addc(cx, a->kernel, -1), a->dilation);
    const ScTerm *whole = sc_term_add(cx, a->in, sc_term_add(cx, a->before, after));
    const ScTerm *rest = sc_term_sub(cx, whole, sc_term_addc(cx, reach, 1));
    a->out = sc_term_addc(cx, sc_term_fdiv(cx, rest, sc_term(cx, a->stride)), 1);
    return im_require(n, SC_GUARD_AT_MOST, one, a->kernel, "an extent of the kernel") &&
           im_require(n, SC_GUARD_AT_MOST, sc_term_addc(cx, reach, 1), whole,
                      "the window fits into the padded input");
}

/* Axis `at` of x becomes two: where the window lies, and where in the window. */
static ScVal unfolded(const ImNode *n, const Axis *a, uint32_t at, ScVal x)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *dim[SCRT_MAX_RANK] = {a->out, a->kernel};
    ScVal where_it_lies = OP(mul, im_iota(n, a->out, 1), im_number(n, sc_term(cx, a->stride)));
    ScVal within = OP(mul, im_iota(n, a->kernel, 0), im_number(n, sc_term(cx, a->dilation)));
    ScVal index = OP(add, where_it_lies, within);
    if (!a->padded)
        return im_gather(n, x, at, index);
    ScVal zero = im_number(n, sc_term(cx, 0)), last = im_number(n, sc_term_addc(cx, a->in, -1));
    index = OP(sub, index, im_number(n, a->before));
    ScVal inside = OP(and, OP(greater_or_equal, index, zero), OP(less_or_equal, index, last));
    ScVal y = im_gather(n, x, at, OP(max, OP(min, index, last), zero));
    const uint32_t rank = im_type_of(n, x)->rank + 1 - at;
    for (uint32_t d = 2; d < rank; d++)
        dim[d] = sc_term(cx, 1);
    inside = im_reshape(n, inside, rank, dim);
    return OP(where, inside, y, im_scalar(n, im_type(n, 0)->dtype, 0));
}

/* [N, C, out, kernel, out, kernel, ...] as [N, group, channels and kernel, out]. */
static ScVal columns(const ImNode *n, uint32_t n_axis, const Axis *a, int64_t group, ScVal x)
{
    ScCtx *cx = n->im->cx;
    int64_t perm[SCRT_MAX_RANK] = {0, 1};
    const ScTerm *depth = im_type(n, 1)->dim[1], *count = sc_term(cx, 1);
    for (uint32_t i = 0; i < n_axis; i++) {
        perm[2 + i] = 3 + 2 * i;
        perm[2 + n_axis + i] = 2 + 2 * i;
        depth = sc_term_mul(cx, depth, a[i].kernel);
        count = sc_term_mul(cx, count, a[i].out);
    }
    const ScTerm *dim[] = {im_type(n, 0)->dim[0], sc_term(cx, group), depth, count};
    return im_reshape(n, im_transpose(n, x, 2 + 2 * n_axis, perm), 4, dim);
}

bool im_conv_unfolded(const ImNode *n, const ImWindow *w, int64_t group, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    const ScType *x = im_type(n, 0), *f = im_type(n, 1), *bias = im_type(n, 2);
    Axis a[MAX_SPACE];
    if (w->n > MAX_SPACE || group < 1 || group > INT32_MAX)
        return sc_fail(cx, n->loc, SC_E_UNSUPPORTED,
                       "a kernel that only the run knows, of %u spatial extents, \"group\" %lld",
                       w->n, (long long)group);
    const ScTerm *groups = sc_term(cx, group), *each = sc_term_fdiv(cx, f->dim[0], groups);
    if (!im_require(n, SC_GUARD_EQUAL, sc_term_scale(cx, f->dim[1], group), x->dim[1],
                    "channels and those of the weights") ||
        !im_require(n, SC_GUARD_DIVIDES, groups, f->dim[0], "group and the output channels"))
        return false;
    if (im_has(n, 2) && bias->rank != 1)
        return sc_fail(cx, n->loc, SC_E_RANK, "the bias has rank %u", bias->rank);
    ScVal y = im_in(n, 0);
    for (uint32_t i = w->n; i-- > 0;) { /* those before keep their places */
        if (!plan_axis(n, w, i, &a[i]))
            return false;
        y = unfolded(n, &a[i], 2 + i, y);
    }
    const ScTerm *dim[SCRT_MAX_RANK] = {x->dim[0], f->dim[0]};
    const ScTerm *rows[] = {groups, each, f->dim[1]};
    const ScTerm *beside[SCRT_MAX_RANK] = {f->dim[0]};
    for (uint32_t i = 0; i < w->n; i++) {
        rows[2] = sc_term_mul(cx, rows[2], a[i].kernel);
        dim[2 + i] = a[i].out;
        beside[1 + i] = sc_term(cx, 1);
    }
    y = OP(matmul, im_reshape(n, im_in(n, 1), 3, rows), columns(n, w->n, a, group, y));
    y = im_reshape(n, y, 2 + w->n, dim);
    if (im_has(n, 2))
        y = OP(add, y, im_reshape(n, im_in(n, 2), 1 + w->n, beside));
    return im_answer(y, ret_out);
}
