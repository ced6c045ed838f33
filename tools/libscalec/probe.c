/* SPDX-License-Identifier: Apache-2.0 */
/* Scales from one run: compiles the f32 graph with outputs that measure, runs it in this process on
 * synthetic inputs and reads the statistics. */
#include "tools/libscalec/runs.h"
#include "tools/libscalec/trial.h"

#include <stdlib.h>
#include <string.h>

/* Keeps the run: the outputs that are the graph's own follow those that measure. */
static void keep(ScalecRuns *runs, const ScGraph *raised, const ScrtTensor *in, ScrtTensor *out,
                 uint32_t n_out)
{
    ScrtTensor *own = out + n_out - raised->n_out;
    ScrtTensor *kept = runs_add(runs, raised, in);
    memcpy(kept, own, raised->n_out * sizeof *kept);
    memset(own, 0, raised->n_out * sizeof *own);
}

static const ScStats *probe(ScCtx *cx, const ScGraph *raised, const char *output, ScalecRuns *runs)
{
    Trial t = {0};
    ScrtTensor *in = calloc(raised->n_in + 1, sizeof *in), *out = NULL;
    const ScStats *stats = NULL;
    if (!in)
        abort();
    bool ok = sc_probe_inputs(cx, raised, in) &&
              trial_open(cx, sc_probe_graph(cx, raised), output, true, &t);
    uint32_t n_out = ok ? t.model->entry->n_out : 0;
    if (ok && !(out = calloc(n_out + 1, sizeof *out)))
        abort();
    if (ok && trial_run(cx, &t, in, out)) {
        stats = sc_probe_stats(cx, raised, out);
        if (runs)
            keep(runs, raised, in, out, n_out);
    }
    if (out)
        trial_free(out, n_out);
    trial_free(in, raised->n_in);
    trial_close(&t);
    free(in);
    free(out);
    return stats;
}

const ScStats *scalec_probe(ScCtx *cx, const ScGraph *raised, const char *output, ScalecRuns *ret)
{
    uint32_t before = sc_n_diags(cx);
    SC_STAGE(cx, "probe");
    const ScStats *s = probe(cx, raised, output, ret);
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
