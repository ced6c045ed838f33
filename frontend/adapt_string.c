/* SPDX-License-Identifier: Apache-2.0 */
/* Strings: what reads their bytes has rows of its own. */
#include "frontend/frontend_priv.h"

static bool equal(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 2, 2) || !IM_ONLY(n))
        return false;
    const ScOp *op = im_type(n, 0)->dtype == SCRT_STRING ? &sc_op_string_equal : &sc_op_equal;
    return im_answer(im_build(n, op, 0, NULL, 2, n->in), ret_out);
}

const ImAdapter im_string_adapters[] = {
    {"", "Equal", 7, 0, equal, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
