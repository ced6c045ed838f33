/* SPDX-License-Identifier: Apache-2.0 */
/* Does `scalec check` find the sites? Those it ranks first beside the best that a search finds: of
 * all sites alone the twelve that gain most, all triples of these; step by step the site that gains
 * most beside those that are kept already, among all; and the better one of these as long as it
 * gains by exchanging one site of three for any other. Gains are those of the compiled program.
 *
 *   bench-sites MODEL SAMPLES RECIPE SECONDS    what check may spend on single sites
 *
 * One line: sites, how many check measured, dB of the outputs with all sites low, and what the
 * first ones of check, three at most, the best triple, the best three steps and exchanges gain;
 * steps and exchanges may leave fewer than three. Status 1: no result. */
#include "tools/libscalec/switches.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 3, BEST = 12 };

typedef struct Bench {
    ScCtx *cx;
    ScGraph *plain, *low;
    ScalecSamples *samples;
    const ScalecGain *check; /* [n] in check's order */
    uint32_t n, n_measured;
    Switches x;
    double base; /* noise with all sites low */
} Bench;

/* The graphs that `scalec check` compares, with the scales that it takes by default. */
static bool load(Bench *b, const char *path, const char *data, const char *recipe)
{
    ScalecModel m;
    ScalecOptions opt = {.recipe = recipe, .until = "settle"};
    if (!scalec_load(b->cx, path, NULL, &m))
        return false;
    b->plain = scalec_raised(b->cx, &m, &opt);
    opt.stats = b->plain ? scalec_probe(b->cx, b->plain, NULL) : NULL;
    opt.scales = opt.stats ? SC_SCALES_PROBE : SC_SCALES_PROPAGATE;
    b->low = b->plain ? scalec_rewrite(b->cx, &m, &opt) : NULL;
    b->samples = b->low ? scalec_samples_open(b->cx, b->low, data, NULL) : NULL;
    return b->samples && scalec_samples_count(b->samples) > 0;
}

static bool rank(Bench *b, double seconds)
{
    const ScrtTensor *in;
    uint32_t n_report;
    ScDamage *d = sc_damage_begin(b->cx, b->low, b->plain);
    bool ok = true;
    for (uint32_t i = 0; ok && i < scalec_samples_count(b->samples); i++)
        ok = scalec_samples_get(b->samples, i, &in) && sc_damage_add(d, in);
    const ScReport *r = sc_damage_end(d, &n_report);
    if (ok)
        b->check = scalec_gains(b->cx, b->low, b->samples, r, n_report, seconds, NULL,
                                sc_array(sc_ctx_arena(b->cx), double, b->low->n_out + 1), &b->n);
    for (uint32_t i = 0; i < b->n; i++)
        b->n_measured += b->check[i].measured;
    return ok && b->n >= FIRST;
}

/* dB that the outputs gain with the sites kept that are. */
static double gain(Bench *b)
{
    double noise;
    if (!switches_noise(&b->x, NULL, &noise))
        exit(1);
    return 10 * log10(b->base / noise);
}

static double gain_of(Bench *b, const uint32_t *site, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        b->x.keep[site[i]] = true;
    double ret = gain(b);
    memset(b->x.keep, 0, b->n);
    return ret;
}

static double of_check(Bench *b)
{
    ScArena *a = sc_arena_new();
    uint32_t n, i, first[FIRST] = {0};
    const ScVal *site = sc_storage_sites(b->low, a, &n);
    for (i = 0; i < FIRST; i++)
        for (uint32_t k = 0; k < n; k++)
            first[i] = site[k] == b->check[i].v ? k : first[i];
    sc_arena_free(a);
    double most =
        gain_of(b, first, 1); /* one more may make what is behind it round worse: it says so */
    for (i = 2; i <= FIRST; i++)
        most = fmax(most, gain_of(b, first, i));
    return most;
}

/* The site that gains most beside those in kept [n]; ret_gain [b->n] what each gains with them. */
static uint32_t best_beside(Bench *b, uint32_t *kept, uint32_t n, double *ret_gain)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        kept[n] = i;
        ret_gain[i] = gain_of(b, kept, n + 1);
        best = ret_gain[i] > ret_gain[best] ? i : best;
    }
    return best;
}

static double by_steps(Bench *b, double *alone, uint32_t kept[FIRST])
{
    double *one = calloc(b->n, sizeof *one), ret = 0;
    if (!one)
        abort();
    for (uint32_t n = 0; n < FIRST; n++) {
        double *of = n == 0 ? alone : one;
        kept[n] = best_beside(b, kept, n, of);
        ret = of[kept[n]];
    }
    free(one);
    return ret;
}

/* The sites that gain most alone, at most BEST. */
static uint32_t best_alone(const Bench *b, const double *alone, uint32_t ret[BEST])
{
    uint32_t n = 0;
    bool *taken = calloc(b->n, sizeof *taken);
    if (!taken)
        abort();
    for (; n < BEST && n < b->n; n++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t i = 0; i < b->n; i++)
            if (!taken[i] && (best == UINT32_MAX || alone[i] > alone[best]))
                best = i;
        taken[ret[n] = best] = true;
    }
    free(taken);
    return n;
}

static double by_triples(Bench *b, const double *alone, uint32_t kept[FIRST])
{
    uint32_t site[BEST], n = best_alone(b, alone, site);
    double most = -INFINITY;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = i + 1; j < n; j++)
            for (uint32_t k = j + 1; k < n; k++) {
                uint32_t s[FIRST] = {site[i], site[j], site[k]};
                double x = gain_of(b, s, FIRST);
                if (x > most)
                    memcpy(kept, s, sizeof s);
                most = fmax(x, most);
            }
    return most;
}

/* kept gain `most`. */
static double by_exchange(Bench *b, const uint32_t kept[FIRST], double most)
{
    uint32_t s[FIRST], still = 0; /* places in a row where no other site gains more */
    memcpy(s, kept, sizeof s);
    for (uint32_t at = 0; still < FIRST; at = (at + 1) % FIRST) {
        uint32_t was = s[at], best = was;
        for (uint32_t i = 0; i < b->n; i++) {
            s[at] = i;
            double x = gain_of(b, s, FIRST);
            best = x > most ? i : best;
            most = fmax(x, most);
        }
        still = best == was ? still + 1 : 0;
        s[at] = best;
    }
    return most;
}

static void complain(const ScCtx *cx)
{
    ScStr s = {0};
    for (uint32_t i = 0; i < sc_n_diags(cx); i++)
        sc_diag_text(sc_diag(cx, i), &s);
    fputs(s.n ? sc_str_get(&s) : "fewer than three sites, or no sample\n", stderr);
    sc_str_free(&s);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    Bench b = {.cx = sc_ctx_new()};
    bool ok = load(&b, argv[1], argv[2], argv[3]) && rank(&b, strtod(argv[4], NULL)) &&
              switches_open(b.cx, b.low, b.samples, b.n, &b.x) &&
              switches_noise(&b.x, NULL, &b.base);
    double *alone = calloc(b.n + 1, sizeof *alone);
    if (ok && alone) {
        uint32_t step[FIRST], triple[FIRST];
        double check = of_check(&b), steps = by_steps(&b, alone, step);
        double triples = by_triples(&b, alone, triple);
        double exchanged = by_exchange(&b, steps > triples ? step : triple, fmax(steps, triples));
        printf("%u %u %.2f %.2f %.2f %.2f %.2f\n", b.n, b.n_measured, -10 * log10(b.base), check,
               triples, steps, exchanged);
    } else {
        complain(b.cx);
    }
    free(alone);
    switches_close(&b.x);
    scalec_samples_close(b.samples);
    sc_graph_free(b.low);
    sc_graph_free(b.plain);
    sc_ctx_free(b.cx);
    return ok ? 0 : 1;
}
