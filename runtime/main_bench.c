/* SPDX-License-Identifier: Apache-2.0 */
/* --bench: runs the model until the median is steady enough, and tells it. */
#include "runtime/main_priv.h"

#include <stdlib.h>
#include <time.h>

enum { LEAST_RUNS = 7, MOST_RUNS = 20000 };
static const double warm_s = 0.1, measure_s = 1.0;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, int n, double q)
{
    double at = q * (n - 1);
    int i = (int)at;
    return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[i];
}

static void print_profile_json(ScrtProfile p)
{
    printf("\"runs\": %llu, \"ms\": %.6g, \"weight_bytes\": %llu, \"read_bytes\": %llu, "
           "\"written_bytes\": %llu",
           (unsigned long long)p.runs, (double)p.ns * 1e-6, (unsigned long long)p.weights,
           (unsigned long long)p.read, (unsigned long long)p.written);
}

void scrtio_print_kernels_json(const Cli *c)
{
    fputs("\"kernels\": [", stdout);
    for (uint32_t i = 0; i < c->entry->n_kernel; i++) {
        ScrtProfile p = scrt_profile(c->session, i);
        fputs(i ? ", {\"name\": " : "{\"name\": ", stdout);
        scrtio_print_json_string(stdout, c->entry->kernel[i].name);
        fputs(", \"from\": ", stdout);
        scrtio_print_json_string(stdout, c->entry->kernel[i].from);
        fputs(", ", stdout);
        print_profile_json(p);
        fputc('}', stdout);
    }
    fputs("], \"copies\": {", stdout);
    print_profile_json(scrt_profile(c->session, c->entry->n_kernel));
    fputc('}', stdout);
}

static void print_json(const Cli *c, const double *ms, int n, double mean)
{
    fputs("{\"model\": ", stdout);
    scrtio_print_json_string(stdout, c->model->name);
    fputs(", \"inputs\": {", stdout);
    for (uint32_t i = 0; i < c->entry->n_in; i++) {
        fputs(i ? ", " : "", stdout);
        scrtio_print_json_string(stdout, c->entry->in[i].name);
        fputs(": ", stdout);
        scrtio_print_dims(stdout, &c->in[i]);
    }
    printf("}, \"threads\": %u, \"runs\": %d, \"median_ms\": %.6g, \"min_ms\": %.6g, "
           "\"mean_ms\": %.6g, \"p10_ms\": %.6g, \"p90_ms\": %.6g, \"peak_bytes\": %llu",
           scrt_threads(c->session), n, quantile(ms, n, 0.5), ms[0], mean, quantile(ms, n, 0.1),
           quantile(ms, n, 0.9), (unsigned long long)scrt_peak_bytes(c->session));
    if (c->profile) {
        fputs(", ", stdout);
        scrtio_print_kernels_json(c);
    }
    puts("}");
}

static void print_words(const Cli *c, const double *ms, int n, double mean)
{
    for (uint32_t i = 0; i < c->entry->n_in; i++) {
        fputs("input ", stdout);
        scrtio_print_text(stdout, c->entry->in[i].name);
        printf(": %s", scrt_dtype_name((ScrtDtype)c->in[i].dtype));
        scrtio_print_dims(stdout, &c->in[i]);
        if (c->made_up && !scrt_dtype_is_float((ScrtDtype)c->in[i].dtype) &&
            scrt_count(&c->in[i]) == 1) { /* how often a loop turns, say */
            char text[ELEMENT];
            scrtio_show_exact(text, &c->in[i], 0);
            printf(" = %s", text);
        }
        puts(c->made_up ? ", random" : "");
    }
    printf("median %.6g ms, p10 %.6g, p90 %.6g, least %.6g, mean %.6g (%d runs, %u thread%s)\n",
           quantile(ms, n, 0.5), quantile(ms, n, 0.1), quantile(ms, n, 0.9), ms[0], mean, n,
           scrt_threads(c->session), scrt_threads(c->session) == 1 ? "" : "s");
    if (c->profile)
        scrtio_print_profile(c);
}

static bool run_once(Cli *c, double *ret_s, ScrtStatus *ret)
{
    *ret = scrtio_fit_outputs(c);
    double t = now_s();
    if (*ret == SCRT_OK)
        *ret = scrt_run(c->session, c->in, c->out);
    *ret_s = now_s() - t;
    return *ret == SCRT_OK;
}

/* States move on from run to run; where one is full, all begin anew, which is not timed. */
static bool run_timed(Cli *c, double *ret_s)
{
    ScrtStatus s;
    return run_once(c, ret_s, &s) ||
           (s == SCRT_E_FULL && scrtio_begin_states(c) == DONE && run_once(c, ret_s, &s));
}

int scrtio_run_bench(Cli *c)
{
    double *ms = scrt_alloc(MOST_RUNS * sizeof *ms), mean = 0;
    int n = 0;
    if (!ms)
        return scrtio_fail(c, FAULT, "out of memory");
    double begin = now_s();
    double total = 0, spent = 0;
    do {
        if (!run_timed(c, &spent)) {
            scrt_free(ms);
            return scrtio_fail_run(c);
        }
    } while (now_s() - begin < warm_s);
    while (n < MOST_RUNS && (n < LEAST_RUNS || total < measure_s)) {
        if (!run_timed(c, &spent)) {
            scrt_free(ms);
            return scrtio_fail_run(c);
        }
        ms[n] = spent * 1e3;
        total += spent;
        n++;
    }
    for (int i = 0; i < n; i++)
        mean += ms[i] / n;
    qsort(ms, (size_t)n, sizeof *ms, by_size);
    if (c->json)
        print_json(c, ms, n, mean);
    else
        print_words(c, ms, n, mean);
    scrt_free(ms);
    return DONE;
}
