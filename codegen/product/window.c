/* SPDX-License-Identifier: Apache-2.0 */
/* CONV and POOL: which of their loops, by where the channels lie. */
#include "codegen/product/filter.h"
#include "codegen/product/window_priv.h"

static ScConv conv_of(const CgFunc *f)
{
    const ScNode *n = sc_leader(f->sub);
    ScConv c;
    n->op->conv(f->sub, n, &c);
    return c;
}

static bool emit_conv(CgModule *m, CgFunc *f)
{
    const ScNode *n = sc_leader(f->sub);
    ScConv c = conv_of(f);
    return c.window.channels_last ? cg_emit_conv_last(m, f, n, &c) : cg_emit_conv(m, f, n, &c);
}

static uint64_t conv_trait(CgModule *m, const CgFunc *f)
{
    bool packed = conv_of(f).window.channels_last;
    return packed ? cg_operand_facts(m, f, sc_leader(f->sub)->in[1]) : 0;
}

static bool emit_pool(CgModule *m, CgFunc *f)
{
    const ScNode *n = sc_leader(f->sub);
    ScPool p;
    n->op->pool(f->sub, n, &p);
    return p.window.channels_last ? cg_emit_pool_last(m, f, n, &p) : cg_emit_pool(m, f, n, &p);
}

const CgClass cg_conv = {.trait = conv_trait, .emit = emit_conv};
const CgClass cg_pool = {.emit = emit_pool};
