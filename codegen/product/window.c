/* SPDX-License-Identifier: Apache-2.0 */
/* CONV and POOL: which of their loops, by where the channels lie. */
#include "codegen/product/filter.h"
#include "codegen/product/window_priv.h"

void cg_shape_window(CgShape *s, ScWindow *w)
{
    cg_shape_word(s, w->n_spatial);
    cg_shape_word(s, (uint64_t)w->hangs << 1 | w->channels_last);
    for (uint32_t i = 0; i < w->n_spatial; i++) {
        cg_shape_word(s, (uint64_t)w->kernel[i]);
        cg_shape_word(s, (uint64_t)w->stride[i]);
        cg_shape_word(s, (uint64_t)w->dilation[i]);
        cg_shape_term(s, &w->pad_begin[i]);
        cg_shape_term(s, &w->pad_end[i]);
    }
}

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

static ScPool pool_of(const CgFunc *f)
{
    const ScNode *n = sc_leader(f->sub);
    ScPool p;
    n->op->pool(f->sub, n, &p);
    return p;
}

static bool plan_pool(CgModule *m, CgFunc *f, CgShape *ret)
{
    ScPool p = pool_of(f);
    cg_shape_nodes(f, ret);
    cg_shape_word(ret, p.monoid);
    cg_shape_word(ret, (uint64_t)p.mean << 1 | p.count_pad);
    return p.window.channels_last ? cg_plan_pool_last(m, f, &p, ret) : cg_plan_pool(m, f, &p, ret);
}

static bool emit_pool(CgModule *m, CgFunc *f)
{
    return pool_of(f).window.channels_last ? cg_emit_pool_last(m, f) : cg_emit_pool(m, f);
}

const CgClass cg_conv = {.trait = conv_trait, .emit = emit_conv};
const CgClass cg_pool = {.plan = plan_pool, .emit = emit_pool};
