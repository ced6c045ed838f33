/* SPDX-License-Identifier: Apache-2.0 */
/* Stages live in the blocks that they are: the session knows the innermost. */
#include "ir/base/base_priv.h"

static void tell(const ScCtx *cx)
{
    if (cx->watch)
        cx->watch(cx->watch_arg, cx->stage);
}

void sc_stage_begin(ScCtx *cx, ScStage *s, const char *name)
{
    *s = (ScStage){cx, name, cx->stage, 0, 0};
    cx->stage = s;
    tell(cx);
}

void sc_stage_end(ScStage *s)
{
    s->cx->stage = s->around;
    tell(s->cx);
}

void sc_stage_share(ScCtx *cx, uint64_t done, uint64_t all)
{
    if (!cx->stage)
        return;
    cx->stage->done = done;
    cx->stage->all = all;
    tell(cx);
}

void sc_watch_stages(ScCtx *cx, void (*watch)(void *arg, const ScStage *innermost), void *arg)
{
    cx->watch = watch;
    cx->watch_arg = arg;
}
