/* SPDX-License-Identifier: Apache-2.0 */
/* What the outputs gain where one storage site alone keeps its f32: a run each of the program with
 * switches. Sites go in the order of a first-order estimate, until the time is up: noise of
 * roundings adds up as powers, so a site's estimate is its part of them all.
 *
 * Gains of single sites do not say what several gain together: both operands of a product may have
 * to be kept, and whatever is kept makes what lies behind it round otherwise, which is as much
 * again as most sites gain. So the sites that gain most together are searched for, and measured:
 * pairs of the best ones with any, then triples of the best pairs with any, as many as there is
 * time for. */
#include "tools/libscalec/switches.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TOGETHER = 3, /* sites that are searched for together */
    WIDTH = 4,    /* sets that are made larger by any one site */
    FIRST = 5,    /* places, these included, that go to the site that gains most beside the rest */
    CANDIDATES = 12, /* that gain most alone */
};
/* The share of the time that is over when sets of so many sites have been tried. */
static const double until[TOGETHER + 1] = {0, 0.5, 0.7, 0.95};

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
    if (!switches_noise(&x->switches, NULL, &noise))
        return false;
    *ret = x->base == noise ? 0 : 10 * log10(x->base / noise);
    return true;
}

static bool *keeps(Trials *x, uint32_t i)
{
    return &x->switches.keep[x->number[x->gain[i].v]];
}

/* So much of what may take the time from share `from` to share `to` is done. */
static void progress(const Trials *x, double from, double to, double done)
{
    double spent = (now() - x->begin) / x->seconds, tried = from + (to - from) * done;
    sc_stage_share(x->switches.cx, (uint64_t)(1000 * fmin(1, fmax(tried, spent))), 1000);
}

/* gain is in the order of estimates. sqnr: as of try_all. */
static bool measure(Trials *x, uint32_t n, double *sqnr)
{
    x->begin = now();
    if (!switches_noise(&x->switches, NULL, &x->base))
        return false;
    for (uint32_t i = 0; i < x->switches.trial.model->entry->n_out; i++)
        if (x->switches.sum[i].counts)
            sqnr[i] = -10 * log10(trial_ratio(&x->switches.sum[i]));
    for (uint32_t i = 0; i < n && !is_late(x, until[1]); i++) {
        *keeps(x, i) = true;
        if (!gain_now(x, &x->gain[i].gain))
            return false;
        *keeps(x, i) = false;
        x->gain[i].measured = true;
        progress(x, 0, until[1], (i + 1.0) / n);
    }
    return true;
}

/* The site of place k: of the candidates from there on, n in all, the one that gains most with
 * those before it. */
static bool place(Trials *x, uint32_t k, uint32_t n)
{
    uint32_t best = k;
    double most = -INFINITY, together;
    for (uint32_t i = k; i < n; i++) {
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

/* --- Sites together --------------------------------------------------------------------------- */

typedef struct Set {
    uint32_t site[TOGETHER], n; /* by their places in the order of gains, ascending */
    double gain;
} Set;

typedef struct Sets {
    Set *set;
    uint32_t n, cap;
} Sets;

static int by_gain_of_set(const void *a, const void *b)
{
    const Set *x = a, *y = b;
    if (x->gain != y->gain)
        return x->gain > y->gain ? -1 : 1;
    return memcmp(x->site, y->site, sizeof x->site);
}

/* s and site i; false where s has it. */
static bool joined(const Set *s, uint32_t i, Set *ret)
{
    uint32_t k = s->n;
    *ret = *s;
    for (; k > 0 && s->site[k - 1] >= i; k--) {
        if (s->site[k - 1] == i)
            return false;
        ret->site[k] = s->site[k - 1];
    }
    ret->site[k] = i;
    ret->n++;
    return true;
}

static bool has_set(const Sets *x, const Set *s)
{
    for (uint32_t i = 0; i < x->n; i++)
        if (!memcmp(x->set[i].site, s->site, sizeof s->site))
            return true;
    return false;
}

static bool try_set(Trials *x, Set *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        *keeps(x, s->site[i]) = true;
    bool ok = gain_now(x, &s->gain);
    for (uint32_t i = 0; i < s->n; i++)
        *keeps(x, s->site[i]) = false;
    return ok;
}

/* The best sets, each with any site of those that were measured, until it is late. ret: empty. */
static bool grow(Trials *x, const Sets *best, uint32_t n_measured, Sets *ret)
{
    uint32_t width = best->n < WIDTH ? best->n : WIDTH, size = best->set[0].n + 1;
    for (uint32_t k = 0; k < width; k++)
        for (uint32_t i = 0; i < n_measured && !is_late(x, until[size]); i++) {
            Set s;
            if (!joined(&best->set[k], i, &s) || has_set(ret, &s))
                continue;
            if (!try_set(x, &s))
                return false;
            sc_buf_push(ret->set, ret->n, ret->cap, s);
            progress(x, until[size - 1], until[size],
                     (k * n_measured + i + 1.0) / (width * n_measured));
        }
    if (ret->n)
        qsort(ret->set, ret->n, sizeof *ret->set, by_gain_of_set);
    return true;
}

/* Sites in the order of gains: those of s come first. */
static void to_front(ScalecGain *gain, const Set *s)
{
    for (uint32_t k = 0; k < s->n; k++) {
        ScalecGain first = gain[s->site[k]];
        memmove(&gain[k + 1], &gain[k], (s->site[k] - k) * sizeof first);
        gain[k] = first;
    }
}

/* Looks for the sites that gain most together; they come first then, *ret of them. */
static bool search(Trials *x, uint32_t n_measured, uint32_t *ret)
{
    Sets best = {0};
    bool ok = true;
    for (uint32_t i = 0; i < n_measured; i++)
        sc_buf_push(best.set, best.n, best.cap, ((Set){{i}, 1, x->gain[i].gain}));
    while (ok && best.n > 0 && best.set[0].n < TOGETHER) {
        Sets larger = {0};
        ok = grow(x, &best, n_measured, &larger);
        bool gains = larger.n > 0 && larger.set[0].gain > best.set[0].gain;
        sc_buf_free(*(gains ? &best.set : &larger.set));
        if (!gains) /* what is kept beside them moves others' rounding for the worse */
            break;
        best = larger;
    }
    *ret = best.n > 0 ? best.set[0].n : 0;
    if (ok && best.n > 0)
        to_front(x->gain, &best.set[0]);
    sc_buf_free(best.set);
    return ok;
}

/* gain is in the order of gains. */
static bool try_together(Trials *x, uint32_t n)
{
    uint32_t n_measured = 0, n_set;
    while (n_measured < n && x->gain[n_measured].measured)
        n_measured++;
    if (!search(x, n_measured, &n_set))
        return false;
    uint32_t last = n_measured < CANDIDATES ? n_measured : CANDIDATES;
    bool ok = true;
    for (uint32_t k = 0; ok && k < FIRST && k < last && (k < n_set || !is_late(x, 1)); k++)
        ok = place(x, k, k < n_set ? n_set : last);
    memset(x->switches.keep, 0, n);
    return ok;
}

/* The first k sites stay high: what the outputs have then, *ret_enough: whether that is as wanted.
 */
static bool try_first(Trials *x, uint32_t k, ScalecSuggest *s, bool *ret_enough)
{
    double noise, worth = (double)NAN;
    Metric asked = {0};
    ScCtx *cx = x->switches.cx;
    for (uint32_t i = 0; i < x->switches.n_site; i++)
        *keeps(x, i) = i < k;
    bool ok = (!s->metric || metric_open(cx, s->metric, x->switches.n_sample, &asked)) &&
              switches_noise(&x->switches, s->metric ? &asked : NULL, &noise) &&
              (!s->metric || metric_ask(&asked, &worth));
    metric_close(&asked);
    if (!ok)
        return false;
    double sqnr = -10 * log10(noise);
    s->step[s->n_step].keep = k;
    s->step[s->n_step].sqnr = sqnr;
    s->step[s->n_step++].metric = worth;
    *ret_enough = (s->metric ? worth : sqnr) >= s->want;
    return true;
}

static bool suggest(Trials *x, ScalecSuggest *s)
{
    uint32_t few = 0, many = x->switches.n_site; /* too few; enough: all high have no noise, */
    bool enough;
    s->n_step = 0;
    s->reached = true;
    if (s->metric && !try_first(x, many, s, &s->reached)) /* but what are they worth? */
        return false;
    if (s->reached && !try_first(x, 0, s, &enough))
        return false;
    if (s->reached && enough)
        many = 0;
    while (s->reached && many > few + 1) {
        uint32_t middle = (few + many) / 2;
        if (!try_first(x, middle, s, &enough))
            return false;
        *(enough ? &many : &few) = middle;
    }
    s->keep = many;
    return true;
}

/* All that is measured, and the order of the result; sqnr [low->n_out]: with all sites low. */
static bool try_all(Trials *x, const ScGraph *low, ScalecSamples *s, uint32_t n, double *sqnr)
{
    bool ok = switches_open(x->switches.cx, low, s, n, &x->switches) && measure(x, n, sqnr);
    qsort(x->gain, n, sizeof *x->gain, by_gain);
    return ok && try_together(x, n);
}

const ScalecGain *scalec_gains(ScCtx *cx, const ScGraph *low, ScalecSamples *s,
                               const ScReport *report, uint32_t n_report, double seconds,
                               ScalecSuggest *wanted, double *sqnr, uint32_t *ret_n)
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
    for (uint32_t i = 0; i < low->n_out; i++)
        sqnr[i] = (double)NAN;
    bool ok = n == 0 || try_all(&x, low, s, n, sqnr);
    if (!ok) {
        sc_forget_diags(cx, before);
        sc_warn(cx, NULL, SC_E_RUN, "the sites could not be tried one by one: gains are estimates");
    }
    ok = !ok || n == 0 || !wanted || suggest(&x, wanted);
    if (n > 0)
        switches_close(&x.switches);
    sc_arena_free(a);
    *ret_n = n;
    return ok ? gain : NULL;
}
