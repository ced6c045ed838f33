/* SPDX-License-Identifier: Apache-2.0 */
/* What low precision cost: a compiled program beside runs of the f32 graph that were made anyhow.
 */
#include "tools/libscalec/runs.h"

#include "runtime/handles.h"
#include "tools/libscalec/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_RUNS 8

static ScrtTensor *grown(ScrtTensor *x, uint32_t n, uint32_t more)
{
    ScrtTensor *p = sc_realloc(x, ((size_t)n + more + 1) * sizeof *p);
    memset(p + n, 0, more * sizeof *p);
    return p;
}

ScrtTensor *runs_add(ScalecRuns *r, const ScGraph *g, const ScrtTensor *in)
{
    if (r->n == MOST_RUNS)
        return NULL;
    r->n_in = g->n_in;
    r->n_out = g->n_out;
    r->in = grown(r->in, r->n * r->n_in, r->n_in);
    r->out = grown(r->out, r->n * r->n_out, r->n_out);
    for (uint32_t i = 0; i < r->n_in; i++) {
        ScrtTensor *t = &r->in[r->n * r->n_in + i];
        size_t bytes;
        *t = in[i];
        if (t->dtype == SCRT_STRING) {
            if (scrt_strings_own(NULL, t) != SCRT_OK)
                sc_out_of_memory(0);
            continue;
        }
        if (!scrt_tensor_bytes(t, &bytes) || scrt_tensor_alloc(t) != SCRT_OK)
            sc_out_of_memory(0);
        if (bytes > 0)
            memcpy(t->data, in[i].data, bytes);
    }
    return &r->out[r->n++ * r->n_out];
}

void scalec_runs_free(ScalecRuns *r)
{
    trial_free(r->in, r->n * r->n_in);
    trial_free(r->out, r->n * r->n_out);
    free(r->in);
    free(r->out);
    *r = (ScalecRuns){0};
}

static bool measure(ScCtx *cx, Trial *t, const ScalecRuns *r, ScalecCost *ret)
{
    ScrtTensor *out = sc_calloc(r->n_out + 1, sizeof *out);
    TrialNoise *sum = sc_calloc(r->n_out + 1, sizeof *sum);
    *ret = (ScalecCost){0};
    bool ok = true;
    for (uint32_t i = 0; ok && i < r->n; i++) {
        const ScrtTensor *want = &r->out[i * r->n_out];
        ok = trial_run(cx, t, &r->in[i * r->n_in], out);
        for (uint32_t k = 0; ok && k < r->n_out; k++)
            trial_add_noise(&sum[k], &out[k], &want[k]);
        if (ok)
            trial_count_rows(out, want, r->n_out, &ret->rows, &ret->same);
        trial_free(out, r->n_out);
    }
    ret->sqnr = -10 * log10(trial_mean_ratio(sum, r->n_out));
    free(out);
    free(sum);
    return ok;
}

bool scalec_cost(ScCtx *cx, ScObject *o, const ScalecRuns *r, ScalecCost *ret)
{
    Trial t = {0};
    uint32_t before = sc_n_diags(cx);
    bool ok = r->n > 0 && r->n_out > 0 && trial_borrow(cx, o, &t) &&
              t.model->entry->n_in == r->n_in && t.model->entry->n_out == r->n_out &&
              measure(cx, &t, r, ret);
    trial_close(&t);
    sc_forget_diags(cx, before);
    return ok;
}
