/* SPDX-License-Identifier: Apache-2.0 */
/* What the outputs gain where one storage site alone keeps its f32: a run each of the program with
 * switches. Sites go in the order of a first-order estimate, until the time is up: noise of
 * roundings adds up as powers, so a site's estimate is its part of them all.
 *
 * Gains of single sites do not say what several gain together (both operands of a product may
 * have to be kept), so the first places go to the site that gains most beside those above it. */
#include "tools/libscalec/switches.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    FIRST = 5,      /* places that are found by trying sites together */
    CANDIDATES = 12 /* that gain most alone */
};
static const double alone = 0.75; /* the share of the time that single sites may take */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
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
    if (x->measured != y->measured)
        return x->measured ? -1 : 1;
    if (x->gain != y->gain)
        return x->gain > y->gain ? -1 : 1;
    return x->v < y->v ? -1 : x->v > y->v;
}

typedef struct Trials {
    Switches switches;
    ScalecGain *gain;
    const uint32_t *number; /* of each site, by value, among the switches */
    double base;            /* noise with all sites low */
    double begin, seconds;
} Trials;

static bool is_late(const Trials *x, double share)
{
    return now() - x->begin >= share * x->seconds;
}

static bool gain_now(Trials *x, double *ret)
{
    double noise;
    if (!switches_noise(&x->switches, &noise))
        return false;
    *ret = x->base == noise ? 0 : 10 * log10(x->base / noise);
    return true;
}

static bool *keeps(Trials *x, uint32_t i)
{
    return &x->switches.keep[x->number[x->gain[i].v]];
}

/* gain is in the order of estimates. */
static bool measure(Trials *x, uint32_t n)
{
    x->begin = now();
    if (!switches_noise(&x->switches, &x->base))
        return false;
    for (uint32_t i = 0; i < n && !is_late(x, alone); i++) {
        *keeps(x, i) = true;
        if (!gain_now(x, &x->gain[i].gain))
            return false;
        *keeps(x, i) = false;
        x->gain[i].measured = true;
        double spent = (now() - x->begin) / (alone * x->seconds);
        double tried = (i + 1.0) / n;
        sc_stage_share(x->switches.cx, (uint64_t)(1000 * fmin(1, fmax(tried, spent))), 1000);
    }
    return true;
}

/* The site of place k: of the candidates from there on, n in all, the one that gains most with
 * those before it. */
static bool place(Trials *x, uint32_t k, uint32_t n)
{
    uint32_t best = k;
    double most = -INFINITY, together;
    for (uint32_t i = k; i < n && x->gain[i].measured; i++) {
        *keeps(x, i) = true;
        if (!gain_now(x, &together))
            return false;
        *keeps(x, i) = false;
        best = together > most ? i : best;
        most = fmax(most, together);
    }
    ScalecGain first = x->gain[best];
    memmove(&x->gain[k + 1], &x->gain[k], (best - k) * sizeof first);
    first.together = most;
    x->gain[k] = first;
    *keeps(x, k) = true;
    return true;
}

/* gain is in the order of gains. */
static bool try_together(Trials *x, uint32_t n)
{
    if (n > 0 && x->gain[0].measured) {
        x->gain[0].together = x->gain[0].gain;
        *keeps(x, 0) = true;
    }
    uint32_t last = n < CANDIDATES ? n : CANDIDATES;
    bool ok = true;
    for (uint32_t k = 1; ok && k < FIRST && k < last && x->gain[k].measured; k++) {
        if (is_late(x, 1))
            break;
        ok = place(x, k, last);
    }
    memset(x->switches.keep, 0, n);
    return ok;
}

/* The first k sites stay high: what the outputs have then. */
static bool try_first(Trials *x, uint32_t k, ScalecSuggest *s)
{
    double noise;
    for (uint32_t i = 0; i < x->switches.n_site; i++)
        *keeps(x, i) = i < k;
    if (!switches_noise(&x->switches, &noise))
        return false;
    s->step[s->n_step].keep = k;
    s->step[s->n_step++].sqnr = -10 * log10(noise);
    return true;
}

static bool suggest(Trials *x, ScalecSuggest *s)
{
    uint32_t few = 0, many = x->switches.n_site; /* too few; enough: all high have no noise */
    s->n_step = 0;
    if (!try_first(x, 0, s))
        return false;
    if (s->step[0].sqnr >= s->want)
        many = 0;
    while (many > few + 1) {
        uint32_t middle = (few + many) / 2;
        if (!try_first(x, middle, s))
            return false;
        *(s->step[s->n_step - 1].sqnr >= s->want ? &many : &few) = middle;
    }
    s->keep = many;
    return true;
}

/* All that is measured, and the order of the result. */
static bool try_all(Trials *x, const ScGraph *low, ScalecSamples *s, uint32_t n,
                    ScalecSuggest *wanted)
{
    bool ok = switches_open(x->switches.cx, low, s, n, &x->switches) && measure(x, n);
    qsort(x->gain, n, sizeof *x->gain, by_gain);
    return ok && try_together(x, n) && (!wanted || suggest(x, wanted));
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
    uint32_t *number = sc_array(a, uint32_t, sc_count_values(low));
    for (uint32_t i = 0; i < n; i++) {
        gain[i] = (ScalecGain){.v = site[i], .together = (double)NAN};
        number[site[i]] = i;
        for (uint32_t k = 0; k < n_report && !of[i]; k++)
            of[i] = report[k].v == site[i] ? &report[k] : NULL;
    }
    estimate(of, n, gain);
    qsort(gain, n, sizeof *gain, by_gain);
    Trials x = {.switches.cx = cx, .gain = gain, .number = number, .seconds = seconds};
    if (wanted)
        wanted->n_step = 0;
    bool ok = n == 0 || try_all(&x, low, s, n, wanted);
    if (!ok) {
        sc_forget_diags(cx, before);
        sc_warn(cx, NULL, SC_E_RUN, "the sites could not be tried one by one: gains are estimates");
    }
    if (n > 0)
        switches_close(&x.switches);
    sc_arena_free(a);
    *ret_n = n;
    return gain;
}
