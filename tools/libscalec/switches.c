/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/libscalec/switches.h"

#include <stdlib.h>
#include <string.h>

static void allocate(Switches *x, const ScGraph *low)
{
    x->keep = sc_calloc(x->n_site + 1, sizeof *x->keep);
    x->in = sc_calloc(low->n_in + x->n_site + 1, sizeof *x->in);
    x->want = sc_calloc(x->n_sample + 1, sizeof *x->want);
    x->out = sc_calloc(low->n_out + 1, sizeof *x->out);
    x->sum = sc_calloc(low->n_out + 1, sizeof *x->sum);
    for (uint32_t i = 0; i < x->n_sample; i++)
        x->want[i] = sc_calloc(low->n_out + 1, sizeof **x->want);
}

/* Sample i, with the switches as they are. */
static bool run(Switches *x, uint32_t i, ScrtTensor *out)
{
    const ScrtTensor *in;
    if (!scalec_samples_get(x->samples, i, &in))
        return false;
    memcpy(x->in, in, x->n_in * sizeof *in);
    return trial_run(x->cx, &x->trial, x->in, out);
}

bool switches_open(ScCtx *cx, const ScGraph *low, ScalecSamples *s, uint32_t n_site, Switches *ret)
{
    *ret = (Switches){.cx = cx,
                      .samples = s,
                      .n_sample = scalec_samples_count(s),
                      .n_in = low->n_in,
                      .n_site = n_site};
    allocate(ret, low);
    for (uint32_t i = 0; i < n_site; i++)
        ret->in[low->n_in + i] = (ScrtTensor){.dtype = SCRT_BOOL, .data = &ret->keep[i]};
    if (!trial_open(cx, sc_switched_graph(cx, low), false, &ret->trial))
        return false;
    memset(ret->keep, 1, n_site);
    for (uint32_t i = 0; i < ret->n_sample; i++)
        if (!run(ret, i, ret->want[i]))
            return false;
    memset(ret->keep, 0, n_site);
    return true;
}

bool switches_noise(Switches *x, Metric *m, double *ret)
{
    uint32_t n_out = x->trial.model->entry->n_out;
    memset(x->sum, 0, n_out * sizeof *x->sum);
    for (uint32_t i = 0; i < x->n_sample; i++) {
        if (!run(x, i, x->out))
            return false;
        for (uint32_t k = 0; k < n_out; k++)
            trial_add_noise(&x->sum[k], &x->out[k], &x->want[i][k]);
        bool ok = !m || metric_add(m, x->trial.model, i, x->out);
        trial_free(x->out, n_out);
        if (!ok)
            return false;
    }
    *ret = trial_mean_ratio(x->sum, n_out);
    return true;
}

void switches_close(Switches *x)
{
    for (uint32_t i = 0; x->want && i < x->n_sample; i++) {
        if (x->trial.model && x->want[i])
            trial_free(x->want[i], x->trial.model->entry->n_out);
        free(x->want[i]);
    }
    trial_close(&x->trial);
    free(x->keep);
    free(x->in);
    free(x->want);
    free(x->out);
    free(x->sum);
}
