/* SPDX-License-Identifier: Apache-2.0 */
/* WINDOW: a convolution or a pool, as its node says. */
#include "codegen/product/filter.h"
#include "codegen/product/window_priv.h"

static bool emit(CgModule *m, CgFunc *f)
{
    for (uint32_t i = 0; i < f->sub->n_node; i++) {
        const ScNode *n = &f->sub->node[i];
        if (n->op->lower.cls != SC_WINDOW)
            continue;
        ScWindow d = {0};
        n->op->window(f->sub, n, &d);
        if (d.channels_last)
            return d.is_conv ? cg_emit_conv_last(m, f, n) : cg_emit_pool_last(m, f, n);
        return d.is_conv ? cg_emit_conv(m, f, n) : cg_emit_pool(m, f, n);
    }
    return sc_fail(m->cx, f->node->loc, SC_E_LOWER, "a window kernel without a window");
}

static uint64_t trait(CgModule *m, const CgFunc *f)
{
    for (uint32_t i = 0; i < f->sub->n_node; i++) {
        const ScNode *n = &f->sub->node[i];
        ScWindow d = {0};
        if (n->op->lower.cls != SC_WINDOW)
            continue;
        n->op->window(f->sub, n, &d);
        return d.is_conv && d.channels_last ? cg_operand_facts(m, f, n->in[1]) : 0;
    }
    return 0;
}

const CgClass cg_window = {"window", trait, emit};
