/* SPDX-License-Identifier: Apache-2.0 */
/* What the outputs gain where one storage site alone keeps its f32. One program with a switch at
 * each site is compiled; its run with all of them on is the reference, with none the graph as it
 * is, and one run a site answers. Sites go in the order of a first-order estimate, until the time
 * is up: noise of roundings adds up as powers, so a site's estimate is its part of them all. */
#include "tools/libscalec/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Gains {
    ScCtx *cx;
    Trial trial;
    ScalecSamples *samples;
    uint32_t n_sample, n_in, n_site;
    bool *keep;        /* [n_site] read by the program */
    ScrtTensor *in;    /* [n_in + n_site] */
    ScrtTensor **want; /* [n_sample] the outputs with all switches on, or NULL so far */
    ScrtTensor *out;
} Gains;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* All samples with the switches as they are: the mean noise to signal of outputs; false where a run
 * fails. reference: keeps the outputs to compare with. */
static bool run_all(Gains *x, bool reference, double *ret)
{
    const ScrtTensor *in;
    uint32_t n_out = x->trial.model->entry->n_out;
    double sum = 0;
    for (uint32_t i = 0; i < x->n_sample; i++) {
        if (!scalec_samples_get(x->samples, i, &in))
            return false;
        memcpy(x->in, in, x->n_in * sizeof *in);
        if (!trial_run(x->cx, &x->trial, x->in, x->out))
            return false;
        for (uint32_t k = 0; k < n_out && !reference; k++)
            sum += trial_noise(&x->out[k], &x->want[i][k]);
        if (reference)
            memcpy(x->want[i], x->out, n_out * sizeof *x->out);
        else
            trial_free(x->out, n_out);
    }
    *ret = sum / (n_out * x->n_sample);
    return true;
}

static double power(const ScReport *r)
{
    return r && !isnan(r->rounding) ? pow(10, -r->rounding / 10) : 0;
}

static void estimate(const ScReport *const *report, uint32_t n, ScalecGain *gain)
{
    double all = 0;
    for (uint32_t i = 0; i < n; i++)
        all += power(report[i]);
    for (uint32_t i = 0; i < n; i++) {
        double part = all > 0 ? power(report[i]) / all : 0;
        gain[i].gain = part < 1 ? -10 * log10(1 - part) : INFINITY;
    }
}

static int by_gain(const void *a, const void *b)
{
    const ScalecGain *x = a, *y = b;
    if (x->gain != y->gain)
        return x->gain > y->gain ? -1 : 1;
    return x->v < y->v ? -1 : x->v > y->v;
}

static bool begin(Gains *x, const ScGraph *low, ScalecSamples *s, uint32_t n_site)
{
    *x = (Gains){.cx = low->cx,
                 .samples = s,
                 .n_sample = scalec_samples_count(s),
                 .n_in = low->n_in,
                 .n_site = n_site};
    x->keep = calloc(n_site + 1, sizeof *x->keep);
    x->in = calloc(low->n_in + n_site + 1, sizeof *x->in);
    x->want = calloc(x->n_sample + 1, sizeof *x->want);
    x->out = calloc(low->n_out + 1, sizeof *x->out);
    for (uint32_t i = 0; x->want && i < x->n_sample; i++)
        if (!(x->want[i] = calloc(low->n_out + 1, sizeof **x->want)))
            abort();
    if (!x->keep || !x->in || !x->want || !x->out)
        abort();
    for (uint32_t i = 0; i < n_site; i++)
        x->in[low->n_in + i] = (ScrtTensor){.dtype = SCRT_BOOL, .data = &x->keep[i]};
    return trial_open(x->cx, sc_switched_graph(x->cx, low), NULL, false, &x->trial);
}

static void end(Gains *x)
{
    for (uint32_t i = 0; i < x->n_sample; i++) {
        if (x->trial.model)
            trial_free(x->want[i], x->trial.model->entry->n_out);
        free(x->want[i]);
    }
    trial_close(&x->trial);
    free(x->keep);
    free(x->in);
    free(x->want);
    free(x->out);
}

/* gain is in the order of estimates; number: of each site among the switches. */
static bool measure(Gains *x, ScalecGain *gain, const uint32_t *number, double seconds)
{
    double base, one, begin = now();
    memset(x->keep, 1, x->n_site);
    if (!run_all(x, true, &base))
        return false;
    memset(x->keep, 0, x->n_site);
    if (!run_all(x, false, &base))
        return false;
    for (uint32_t i = 0; i < x->n_site && now() - begin < seconds; i++) {
        x->keep[number[i]] = true;
        if (!run_all(x, false, &one))
            return false;
        x->keep[number[i]] = false;
        gain[i].gain = base == one ? 0 : 10 * log10(base / one);
        gain[i].measured = true;
        double tried = (i + 1.0) / x->n_site, spent = (now() - begin) / seconds;
        sc_stage_share(x->cx, (uint64_t)(1000 * fmin(1, fmax(tried, spent))), 1000);
    }
    return true;
}

/* The first k sites by gain stay high: what the outputs have then. */
static bool try_first(Gains *x, const ScalecGain *gain, const ScVal *site, uint32_t k,
                      ScalecSuggest *s)
{
    double noise;
    for (uint32_t j = 0; j < x->n_site; j++) {
        x->keep[j] = false;
        for (uint32_t i = 0; i < k; i++)
            x->keep[j] = x->keep[j] || gain[i].v == site[j];
    }
    if (!run_all(x, false, &noise))
        return false;
    s->step[s->n_step].keep = k;
    s->step[s->n_step++].sqnr = -10 * log10(noise);
    return true;
}

static bool suggest(Gains *x, const ScalecGain *gain, const ScVal *site, ScalecSuggest *s)
{
    uint32_t few = 0, many = x->n_site; /* too few; enough: with all high there is no noise */
    s->n_step = 0;
    if (!try_first(x, gain, site, 0, s))
        return false;
    if (s->step[0].sqnr >= s->want)
        many = 0;
    while (many > few + 1) {
        uint32_t middle = (few + many) / 2;
        if (!try_first(x, gain, site, middle, s))
            return false;
        *(s->step[s->n_step - 1].sqnr >= s->want ? &many : &few) = middle;
    }
    s->keep = many;
    return true;
}

const ScalecGain *scalec_gains(ScCtx *cx, const ScGraph *low, ScalecSamples *s,
                               const ScReport *report, uint32_t n_report, double seconds,
                               ScalecSuggest *wanted, uint32_t *ret_n)
{
    SC_STAGE(cx, "gains");
    ScArena *a = sc_arena_new();
    uint32_t n, before = sc_n_diags(cx);
    const ScVal *site = sc_storage_sites(low, a, &n);
    ScalecGain *gain = sc_array(sc_ctx_arena(cx), ScalecGain, n + 1);
    const ScReport **of = sc_array(a, const ScReport *, n + 1);
    uint32_t *number = sc_array(a, uint32_t, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        gain[i] = (ScalecGain){.v = site[i]};
        for (uint32_t k = 0; k < n_report && !of[i]; k++)
            of[i] = report[k].v == site[i] ? &report[k] : NULL;
    }
    estimate(of, n, gain);
    qsort(gain, n, sizeof *gain, by_gain);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < n; k++)
            number[i] = site[k] == gain[i].v ? k : number[i];
    Gains x = {0};
    bool ok = n == 0 || (begin(&x, low, s, n) && measure(&x, gain, number, seconds));
    qsort(gain, n, sizeof *gain, by_gain);
    if (wanted)
        wanted->n_step = 0;
    ok = ok && (!wanted || n == 0 || suggest(&x, gain, site, wanted));
    if (!ok) {
        sc_forget_diags(cx, before);
        sc_warn(cx, NULL, SC_E_RUN, "the sites could not be tried one by one: gains are estimates");
    }
    if (n > 0)
        end(&x);
    sc_arena_free(a);
    *ret_n = n;
    return gain;
}
