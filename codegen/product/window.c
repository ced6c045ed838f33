/* SPDX-License-Identifier: Apache-2.0 */
/* WINDOW: a convolution or a pool, as its node says. */
#include "codegen/product/filter.h"
#include "codegen/product/window_priv.h"

static bool emit(CgModule *m, CgFunc *f)
{
    const ScNode *n = sc_leader(f->sub);
    ScWindow d = {0};
    n->op->window(f->sub, n, &d);
    if (d.channels_last)
        return d.is_conv ? cg_emit_conv_last(m, f, n) : cg_emit_pool_last(m, f, n);
    return d.is_conv ? cg_emit_conv(m, f, n) : cg_emit_pool(m, f, n);
}

static uint64_t trait(CgModule *m, const CgFunc *f)
{
    const ScNode *n = sc_leader(f->sub);
    ScWindow d = {0};
    n->op->window(f->sub, n, &d);
    return d.is_conv && d.channels_last ? cg_operand_facts(m, f, n->in[1]) : 0;
}

const CgClass cg_window = {trait, emit};
