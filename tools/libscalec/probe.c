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

/* Runs the f32 graph; ret (NULL: nothing is measured) gets the statistics. False with errors. */
static bool run(ScCtx *cx, const ScGraph *raised, const char *output, ScalecRuns *runs,
                const ScStats **ret)
{
    Trial t = {0};
    ScrtTensor *in = calloc(raised->n_in + 1, sizeof *in), *out = NULL;
    if (!in)
        abort();
    bool ok =
        sc_probe_inputs(cx, raised, in) &&
        trial_open(cx, ret ? sc_probe_graph(cx, raised) : sc_graph_clone(raised), output, true, &t);
    uint32_t n_out = ok ? t.model->entry->n_out : 0;
    if (ok && !(out = calloc(n_out + 1, sizeof *out)))
        abort();
    ok = ok && trial_run(cx, &t, in, out);
    if (ok && ret)
        ok = (*ret = sc_probe_stats(cx, raised, out)) != NULL;
    if (ok && runs)
        keep(runs, raised, in, out, n_out);
    if (out)
        trial_free(out, n_out);
    trial_free(in, raised->n_in);
    trial_close(&t);
    free(in);
    free(out);
    return ok;
}

/* The last error since `before`, which is none any more. */
static const char *excused(ScCtx *cx, uint32_t before)
{
    const ScDiag *why = before < sc_n_diags(cx) ? sc_diag(cx, sc_n_diags(cx) - 1) : NULL;
    const char *detail = why && why->detail ? why->detail : "";
    sc_forget_diags(cx, before);
    return detail;
}

bool scalec_try(ScCtx *cx, const ScGraph *raised, const char *output, ScalecRuns *ret)
{
    uint32_t before = sc_n_diags(cx);
    SC_STAGE(cx, "try");
    bool ok = run(cx, raised, output, ret, NULL);
    if (!ok)
        excused(cx, before);
    return ok;
}

const ScStats *scalec_probe(ScCtx *cx, const ScGraph *raised, const char *output, ScalecRuns *ret)
{
    uint32_t before = sc_n_diags(cx);
    SC_STAGE(cx, "probe");
    const ScStats *s = NULL;
    if (run(cx, raised, output, ret, &s))
        return s;
    sc_warn(cx, NULL, SC_E_CALIBRATION,
            "the model could not be tried on synthetic inputs (%s): scales are estimates; samples "
            "for --calibrate would be better",
            excused(cx, before));
    return NULL;
}
