/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled programs beside the f32 program, on all samples: the columns of `scalec check` with
 * several recipes, and what a command of the user's makes of the outputs. */
#include "tools/libscalec/metric.h"
#include "tools/libscalec/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ScalecReference {
    uint32_t n_sample, n_out;
    ScrtTensor *out; /* [n_sample * n_out] */
};

static bool open_trial(ScCtx *cx, const ScalecModel *m, const ScalecOptions *opt, Trial *ret,
                       ScObject **ret_object)
{
    ScalecModel copy = *m;
    copy.graph = sc_graph_clone(m->graph);
    ScalecOptions o = *opt;
    o.until = NULL;
    o.cpu = o.target = NULL; /* it runs here */
    *ret_object = scalec_compile(cx, &copy, &o, SC_EMIT_OBJ);
    return *ret_object && trial_borrow(cx, *ret_object, ret);
}

/* Runs all samples; see gets each one's outputs, which it may take over. */
static bool run_all(ScCtx *cx, Trial *t, ScalecSamples *s,
                    void (*see)(void *arg, uint32_t i, ScrtTensor *out), void *arg)
{
    uint32_t n = scalec_samples_count(s), n_out = t->model->entry->n_out;
    ScrtTensor *out = sc_calloc(n_out + 1, sizeof *out);
    const ScrtTensor *in;
    bool ok = true;
    for (uint32_t i = 0; ok && i < n; i++) {
        sc_stage_share(cx, i, n);
        ok = scalec_samples_get(s, i, &in) && trial_run(cx, t, in, out);
        if (ok)
            see(arg, i, out);
        trial_free(out, n_out);
    }
    free(out);
    return ok;
}

static void take(void *arg, uint32_t i, ScrtTensor *out)
{
    ScalecReference *r = arg;
    memcpy(r->out + i * r->n_out, out, r->n_out * sizeof *out);
    memset(out, 0, r->n_out * sizeof *out);
}

ScalecReference *scalec_reference(ScCtx *cx, const ScalecModel *m, const ScalecOptions *opt,
                                  ScalecSamples *s)
{
    SC_STAGE(cx, "reference");
    Trial t = {0};
    ScObject *o = NULL;
    ScalecOptions f32 = *opt;
    f32.recipe = NULL;
    f32.scales = SC_SCALES_PROPAGATE;
    ScalecReference *r = sc_calloc(1, sizeof *r);
    bool ok = open_trial(cx, m, &f32, &t, &o);
    if (ok) {
        r->n_sample = scalec_samples_count(s);
        r->n_out = t.model->entry->n_out;
        r->out = sc_calloc((size_t)r->n_sample * r->n_out + 1, sizeof *r->out);
        ok = run_all(cx, &t, s, take, r);
    }
    trial_close(&t);
    scalec_object_free(o);
    if (ok)
        return r;
    scalec_reference_free(r);
    return NULL;
}

void scalec_reference_free(ScalecReference *r)
{
    if (r && r->out)
        trial_free(r->out, r->n_sample * r->n_out);
    free(r ? r->out : NULL);
    free(r);
}

/* --- One column ------------------------------------------------------------------------------- */

typedef struct Column {
    ScCtx *cx;
    const ScalecReference *ref;
    const ScrtModel *model;
    Metric *metric; /* or NULL */
    bool ok;
    TrialNoise *sum; /* [ref->n_out] */
    ScalecColumn *ret;
} Column;

static void largest_error(const ScrtTensor *got, const ScrtTensor *want, double *ret)
{
    if (!scrt_dtype_is_float((ScrtDtype)want->dtype) || scrt_count(got) != scrt_count(want))
        return;
    for (int64_t i = 0; i < scrt_count(want); i++) {
        double x = scrt_load((ScrtDtype)want->dtype, want->data, (size_t)i);
        double off = fabs(scrt_load((ScrtDtype)got->dtype, got->data, (size_t)i) - x);
        if (isfinite(x) && !(off <= *ret))
            *ret = isnan(off) ? INFINITY : off;
    }
}

static void compare(void *arg, uint32_t i, ScrtTensor *out)
{
    Column *c = arg;
    const ScrtTensor *want = c->ref->out + i * c->ref->n_out;
    for (uint32_t k = 0; k < c->ref->n_out; k++) {
        trial_add_noise(&c->sum[k], &out[k], &want[k]);
        largest_error(&out[k], &want[k], &c->ret->max_error);
    }
    trial_count_rows(out, want, c->ref->n_out, &c->ret->rows, &c->ret->same);
    if (c->metric && c->ok)
        c->ok = metric_add(c->metric, c->model, i, out);
}

bool scalec_column(ScCtx *cx, const ScalecModel *m, const ScalecOptions *opt, ScalecSamples *s,
                   const ScalecReference *ref, const char *metric, ScalecColumn *ret)
{
    SC_STAGE(cx, "column");
    Trial t = {0};
    ScObject *o = NULL;
    Metric asked = {0};
    Column c = {.cx = cx, .ref = ref, .ret = ret, .ok = true};
    *ret = (ScalecColumn){.metric = (double)NAN};
    bool ok = open_trial(cx, m, opt, &t, &o);
    if (ok && metric) {
        ok = metric_open(cx, metric, ref->n_sample, &asked);
        c.metric = &asked;
    }
    if (ok) {
        c.model = t.model;
        c.sum = sc_calloc(ref->n_out + 1, sizeof *c.sum);
        ret->bytes = o->n_weights;
        ok = run_all(cx, &t, s, compare, &c) && c.ok;
        ret->sqnr = -10 * log10(trial_mean_ratio(c.sum, ref->n_out));
        free(c.sum);
    }
    ok = ok && (!metric || metric_ask(&asked, &ret->metric));
    metric_close(&asked);
    trial_close(&t);
    scalec_object_free(o);
    return ok;
}
