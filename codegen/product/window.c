/* SPDX-License-Identifier: Apache-2.0 */
/* WINDOW: a convolution or a pool, as its node says. */
#include "codegen/product/window_priv.h"

static bool emit(CgModule *m, CgFunc *f)
{
    for (uint32_t i = 0; i < f->sub->n_node; i++) {
        const ScNode *n = &f->sub->node[i];
        if (n->op->lower.cls != SC_WINDOW)
            continue;
        ScWindow d = {0};
        n->op->window(f->sub, n, &d);
        return d.is_conv ? cg_emit_conv(m, f, n) : cg_emit_pool(m, f, n);
    }
    return sc_fail(m->cx, f->node->loc, SC_E_LOWER, "a window kernel without a window");
}

const CgClass cg_window = {"window", NULL, emit};
