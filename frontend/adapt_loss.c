/* SPDX-License-Identifier: Apache-2.0 */
/* Losses against class labels. x is [N, C, ..], labels are [N, ..]; the element that a label names
 * is picked by comparing it with all classes, which reads x once. */
#include "frontend/frontend_priv.h"

#include <string.h>

/* -x[label] weight[label] of each position, reduced as the node asks; labels that are ignored weigh
 * nothing. */
static ScVal loss_of(const ImNode *n, ScVal x, const ScType *t)
{
    ScBuild *b = &n->im->b;
    ScCtx *cx = b->cx;
    bool ok = true;
    const ScType *labels = im_type(n, 1);
    const int64_t classes = 1;
    const ScTerm *apart[SCRT_MAX_RANK];
    int64_t all[SCRT_MAX_RANK], ignored = im_int(n, "ignore_index", 0, &ok);
    const char *how = im_str(n, "reduction", "mean", &ok);
    bool mean = !strcmp(how, "mean"), sum = !strcmp(how, "sum");
    if (!ok || (!mean && !sum && strcmp(how, "none"))) {
        sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"reduction\" is \"%s\"", how);
        return SC_POISON;
    }
    if (t->rank < 2 || labels->rank + 1 != t->rank) {
        sc_fail(cx, n->loc, SC_E_RANK, "ranks %u and %u", t->rank, labels->rank);
        return SC_POISON;
    }
    for (uint32_t d = 0; d < t->rank; d++)
        apart[d] = d == 1 ? sc_term(cx, 1) : labels->dim[d - (d > 1)];
    ScVal zero = im_scalar(n, t->dtype, 0), label = im_cast(n, im_in(n, 1), SCRT_I64);
    ScVal out = SC_ABSENT;
    if (im_attr(n, "ignore_index")) { /* it need not be a class */
        out = sc_op(b, equal, label, im_number(n, sc_term(cx, ignored)));
        label = sc_op(b, where, out, im_number(n, sc_term(cx, 0)), label);
    }
    label = sc_op_at(b, position, SC_ATTRS(SC_TERMS(1, &t->dim[1])), label);
    ScVal hit =
        sc_op(b, equal, im_reshape(n, label, t->rank, apart), im_iota(n, t->dim[1], t->rank - 2));
    ScVal picked =
        im_reduce(n, &sc_op_reduce_sum, sc_op(b, where, hit, x, zero), 1, &classes, false);
    ScVal weight = im_scalar(n, t->dtype, 1);
    if (im_has(n, 2)) {
        for (uint32_t d = 0; d + 1 < t->rank; d++)
            apart[d] = d ? sc_term(cx, 1) : t->dim[1];
        ScVal w = im_reshape(n, im_in(n, 2), t->rank - 1, apart);
        weight = im_reduce(n, &sc_op_reduce_sum, sc_op(b, where, hit, w, zero), 1, &classes, false);
    }
    if (out != SC_ABSENT)
        weight = sc_op(b, where, out, zero, weight);
    ScVal loss = sc_op(b, neg, sc_op(b, mul, picked, weight));
    for (uint32_t d = 0; d < labels->rank; d++)
        all[d] = d;
    if (!mean && !sum)
        return loss;
    if (mean && !im_has(n, 2) && !im_attr(n, "ignore_index"))
        return im_reduce(n, &sc_op_reduce_mean, loss, labels->rank, all, false);
    ScVal total = im_reduce(n, &sc_op_reduce_sum, loss, labels->rank, all, false);
    weight = im_expand(n, weight, labels->rank, labels->dim);
    return sum ? total
               : sc_op(b, div, total,
                       im_reduce(n, &sc_op_reduce_sum, weight, labels->rank, all, false));
}

static bool nll_loss(const ImNode *n, ScVal *ret_out)
{
    return im_arity(n, 2, 3) && IM_ONLY(n, "ignore_index", "reduction") &&
           im_answer(loss_of(n, im_in(n, 0), im_type(n, 0)), ret_out);
}

/* The loss of the logarithm of a softmax over the classes, which is the second result. */
static bool softmax_loss(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 2, 3) || !IM_ONLY(n, "ignore_index", "reduction"))
        return false;
    const ScType *t = im_type(n, 0);
    ScVal one = im_scalar(n, t->dtype, 1);
    ScVal x = im_build(n, &sc_op_log_softmax, IM_SET({"axis", SC_INT(1)}), IM_IN(im_in(n, 0), one));
    if (n->n_out > 1)
        ret_out[1] = x;
    return im_answer(loss_of(n, x, t), ret_out) && x != SC_POISON;
}

const ImAdapter im_loss_adapters[] = {
    {"", "NegativeLogLikelihoodLoss", 12, 0, nll_loss, 1},
    {"", "SoftmaxCrossEntropyLoss", 12, 0, softmax_loss, 2},
    {NULL, NULL, 0, 0, NULL, 0},
};
