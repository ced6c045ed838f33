/* SPDX-License-Identifier: Apache-2.0 */
/* Scales from a run: compiles the f32 graph with outputs that measure, runs it in this process on
 * synthetic inputs, twice, and reads the statistics. */
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

typedef struct Run {      /* of the f32 graph on inputs of a kind */
    ScrtTensor *in, *out; /* [raised->n_in], [n_out] */
} Run;

static bool fill(ScCtx *cx, const ScGraph *raised, ScProbeKind kind, Run *ret)
{
    ret->in = sc_calloc(raised->n_in + 1, sizeof *ret->in);
    return sc_probe_inputs(cx, raised, kind, ret->in);
}

static bool run_on(ScCtx *cx, Trial *t, Run *r)
{
    r->out = sc_calloc(t->model->entry->n_out + 1, sizeof *r->out);
    return trial_run(cx, t, r->in, r->out);
}

static void forget(Run *r, uint32_t n_in, uint32_t n_out)
{
    if (r->out)
        trial_free(r->out, n_out);
    if (r->in)
        trial_free(r->in, n_in);
    free(r->in);
    free(r->out);
}

/* Runs the f32 graph; ret (NULL: nothing is measured) gets the statistics. False with errors. */
static bool run(ScCtx *cx, const ScGraph *raised, ScalecRuns *runs, const ScStats **ret)
{
    Trial t = {0};
    Run noise = {0}, ramp = {0};
    bool ok = fill(cx, raised, SC_PROBE_NOISE, &noise) &&
              trial_open(cx, ret ? sc_probe_graph(cx, raised) : sc_graph_clone(raised), true, &t);
    uint32_t n_out = ok ? t.model->entry->n_out : 0;
    ok = ok && run_on(cx, &t, &noise);
    if (ok && ret) {
        scrt_state_reset(t.session);
        ok = fill(cx, raised, SC_PROBE_RAMP, &ramp) && run_on(cx, &t, &ramp);
    }
    if (ok && ret)
        ok = (*ret = sc_probe_stats(cx, raised, noise.out, ramp.out)) != NULL;
    if (ok && runs)
        keep(runs, raised, noise.in, noise.out, n_out);
    forget(&noise, raised->n_in, n_out);
    forget(&ramp, raised->n_in, n_out);
    trial_close(&t);
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

bool scalec_try(ScCtx *cx, const ScGraph *raised, ScalecRuns *ret)
{
    uint32_t before = sc_n_diags(cx);
    SC_STAGE(cx, "try");
    bool ok = run(cx, raised, ret, NULL);
    if (!ok)
        excused(cx, before);
    return ok;
}

const ScStats *scalec_probe(ScCtx *cx, const ScGraph *raised, ScalecRuns *ret)
{
    uint32_t before = sc_n_diags(cx);
    SC_STAGE(cx, "probe");
    const ScStats *s = NULL;
    if (run(cx, raised, ret, &s))
        return s;
    sc_warn(cx, NULL, SC_E_SYNTHETIC,
            "the model could not be tried on synthetic inputs (%s): scales are estimates; samples "
            "for --calibrate would be better",
            excused(cx, before));
    return NULL;
}
