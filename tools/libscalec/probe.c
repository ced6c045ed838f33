/* SPDX-License-Identifier: Apache-2.0 */
/* Scales from one run: compiles the f32 graph with outputs that measure, runs it in this process on
 * synthetic inputs and reads the statistics. */
#include "tools/libscalec/scalec.h"

#include <stdlib.h>

/* The measuring graph as an object for this machine. */
static ScObject *compile(ScCtx *cx, const ScGraph *raised)
{
    static const char *const idle[] = {"scalify", "settle"};
    ScPipeline p = {.disable = idle, .n_disable = 2};
    ScGraph *g = sc_probe_graph(cx, raised);
    g = g ? sc_pipeline_run(cx, g, &p) : NULL;
    ScCodegenOptions opt = {.symbol = "probe", .embed_limit = UINT64_MAX};
    ScObject *o = g ? sc_codegen(cx, g, &opt, SC_EMIT_OBJ) : NULL;
    sc_graph_free(g);
    return o;
}

static bool run(ScCtx *cx, const ScrtModel *m, const ScObject *o, const ScrtTensor *in,
                ScrtTensor *out)
{
    ScrtSession *s = NULL;
    ScrtOptions opt = {.weights = o->weights};
    ScrtStatus st = scrt_open(m, &opt, &s);
    if (st != SCRT_OK)
        return sc_fail(cx, NULL, SC_E_RUN, "%s", scrt_status_text(st));
    bool ok = scrt_run(s, in, out) == SCRT_OK || sc_fail(cx, NULL, SC_E_RUN, "%s", scrt_error(s));
    scrt_close(s);
    return ok;
}

static const ScStats *probe(ScCtx *cx, const ScGraph *raised)
{
    ScrtTensor *in = calloc(raised->n_in + 1, sizeof *in), *out = NULL;
    if (!in)
        abort();
    bool ok = sc_probe_inputs(cx, raised, in);
    ScObject *o = ok ? compile(cx, raised) : NULL;
    ScLoaded *l = o ? sc_load(cx, o) : NULL;
    const ScrtModel *m = l ? sc_loaded_model(l) : NULL;
    if (m && !(out = calloc(m->n_out + 1, sizeof *out)))
        abort();
    ok = m && run(cx, m, o, in, out);
    const ScStats *stats = ok ? sc_probe_stats(cx, raised, out) : NULL;
    for (uint32_t i = 0; m && i < m->n_out; i++)
        scrt_free(out[i].data);
    for (uint32_t i = 0; i < raised->n_in; i++)
        scrt_free(in[i].data);
    sc_unload(l);
    sc_object_free(o);
    free(in);
    free(out);
    return stats;
}

const ScStats *scalec_probe(ScCtx *cx, const ScGraph *raised)
{
    uint32_t before = sc_n_diags(cx);
    const ScStats *s = probe(cx, raised);
    if (s)
        return s;
    const ScDiag *why = before < sc_n_diags(cx) ? sc_diag(cx, sc_n_diags(cx) - 1) : NULL;
    const char *detail = why ? why->detail : "";
    sc_forget_diags(cx, before);
    sc_warn(cx, NULL, SC_E_CALIBRATION,
            "the model could not be tried on synthetic inputs (%s): scales are estimates; samples "
            "for --calibrate would be better",
            detail);
    return NULL;
}
