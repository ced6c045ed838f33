/* SPDX-License-Identifier: Apache-2.0 */
/* Scatters: the rows' own operators, but that products are rows apart. */
#include "frontend/frontend_priv.h"

#include <string.h>

/* The row for a reduction, whose attribute products do not have. */
static bool build(const ImNode *n, const ScOp *plain, const ScOp *product, const ImSet *axis,
                  ScVal *ret_out)
{
    bool ok = true;
    const char *how = im_str(n, "reduction", "none", &ok);
    if (!im_arity(n, 3, 3) || !ok)
        return false;
    bool mul = strcmp(how, "mul") == 0;
    ImSet set[] = {{"reduction", SC_STR(how)}, axis ? *axis : (ImSet){0}};
    return im_answer(im_build(n, mul ? product : plain, (mul ? 0 : 1) + (axis != NULL),
                              mul ? set + 1 : set, 3, n->in),
                     ret_out);
}

static bool scatter_elements(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    const ImSet axis = {"axis", SC_INT(im_int(n, "axis", 0, &ok))};
    return ok && IM_ONLY(n, "axis", "reduction") &&
           build(n, &sc_op_scatter_elements, &sc_op_scatter_elements_mul, &axis, ret_out);
}

static bool scatter_nd(const ImNode *n, ScVal *ret_out)
{
    return IM_ONLY(n, "reduction") &&
           build(n, &sc_op_scatter_nd, &sc_op_scatter_nd_mul, NULL, ret_out);
}

const ImAdapter im_scatter_adapters[] = {
    {"", "Scatter", 9, 10, scatter_elements, 1},
    {"", "ScatterElements", 11, 0, scatter_elements, 1},
    {"", "ScatterND", 11, 0, scatter_nd, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
