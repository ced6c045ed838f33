/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/libscalec/trial.h"

#include <string.h>

bool trial_open(ScCtx *cx, ScGraph *g, Trial *ret)
{
    static const char *const idle[] = {"simplify", "scalify", "quantize", "settle"};
    ScPipeline p = {.disable = idle, .n_disable = sizeof idle / sizeof *idle};
    ScCodegenOptions opt = {.symbol = "trial", .embed_limit = UINT64_MAX};
    *ret = (Trial){0};
    g = g ? sc_pipeline_run(cx, g, &p) : NULL;
    ret->object = g ? sc_codegen(cx, g, &opt, SC_EMIT_OBJ) : NULL;
    sc_graph_free(g);
    ret->loaded = ret->object ? sc_load(cx, ret->object) : NULL;
    if (!ret->loaded)
        return false;
    ret->model = sc_loaded_model(ret->loaded);
    ScrtOptions run = {.weights = ret->object->weights};
    ScrtStatus st = scrt_open(ret->model, &run, &ret->session);
    return st == SCRT_OK || sc_fail(cx, NULL, SC_E_RUN, "%s", scrt_status_text(st));
}

bool trial_run(ScCtx *cx, Trial *t, const ScrtTensor *in, ScrtTensor *out)
{
    memset(out, 0, t->model->entry->n_out * sizeof *out);
    scrt_state_reset(t->session);
    return scrt_run(t->session, in, out) == SCRT_OK ||
           sc_fail(cx, NULL, SC_E_RUN, "%s", scrt_error(t->session));
}

void trial_free(ScrtTensor *t, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        scrt_free(t[i].data);
}

void trial_close(Trial *t)
{
    scrt_close(t->session);
    sc_unload(t->loaded);
    sc_object_free(t->object);
}
