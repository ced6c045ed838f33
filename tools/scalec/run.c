/* SPDX-License-Identifier: Apache-2.0 */
/* scalec run: compiles in memory and hands over to the main function that every compiled executable
 * has; or compares with the expected outputs of a test_data_set; or uses the evaluator. */
#include "tools/scalec/cli.h"
#include "tools/scalec/hooks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- Something that runs ---------------------------------------------------------------------- */

typedef struct Runner {
    Cli *cli;
    ScGraph *g;       /* --evaluate */
    ScObject *object; /* or compiled */
    ScLoaded *loaded;
    ScrtSession *session;
    uint32_t n_in, n_out;
    ScrtPort *in, *out;
} Runner;

static void graph_ports(Runner *r)
{
    const ScGraph *g = r->g;
    ScArena *a = sc_ctx_arena(r->cli->cx);
    r->n_in = g->n_in;
    r->n_out = g->n_out;
    r->in = sc_array(a, ScrtPort, g->n_in);
    r->out = sc_array(a, ScrtPort, g->n_out);
    for (uint32_t i = 0; i < g->n_in + g->n_out; i++) {
        bool is_in = i < g->n_in;
        ScVal v = is_in ? g->in[i] : g->out[i - g->n_in];
        const ScType *t = sc_type_of(g, v);
        ScStr dims = {0};
        for (uint32_t k = 0; k < t->rank; k++) {
            sc_str_add(&dims, k ? "," : "");
            sc_term_print(t->dim[k], &dims);
        }
        const char *name = is_in ? g->value[v].name : g->out_name[i - g->n_in];
        *(is_in ? &r->in[i] : &r->out[i - g->n_in]) = (ScrtPort){
            name ? name : "", t->dtype, t->rank, sc_intern(r->cli->cx, sc_str_get(&dims))};
        sc_str_free(&dims);
    }
}

static bool open_compiled(Runner *r)
{
    ScCtx *cx = r->cli->cx;
    const ScrtModel *m;
    r->loaded = sc_load(cx, r->object);
    if (!r->loaded)
        return false;
    m = sc_loaded_model(r->loaded);
    ScrtOptions opt = {.n_thread = r->cli->threads, .weights = r->object->weights};
    ScrtStatus st = scrt_open(m, &opt, &r->session);
    if (st != SCRT_OK)
        return sc_fail(cx, NULL, SC_E_RUN, "%s", scrt_status_text(st));
    const ScrtEntry *e = scrt_entry(r->session);
    r->n_in = e->n_in;
    r->n_out = e->n_out;
    r->in = (ScrtPort *)e->in;
    r->out = (ScrtPort *)e->out;
    return true;
}

/* out[n_out] owned by the caller. */
static bool run_once(Runner *r, const ScrtTensor *in, ScrtTensor *out)
{
    memset(out, 0, r->n_out * sizeof *out);
    if (!r->session)
        return sc_eval(r->g, in, out, NULL);
    return scrt_run(r->session, in, out) == SCRT_OK ||
           sc_fail(r->cli->cx, NULL, SC_E_RUN, "%s", scrt_error(r->session));
}

static void close_runner(Runner *r)
{
    scrt_close(r->session);
    if (r->loaded)
        sc_unload(r->loaded);
    scalec_object_free(r->object);
    sc_graph_free(r->g);
}

static void free_tensors(ScrtTensor *t, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        scrt_free(t[i].data);
}

/* --- Comparing -------------------------------------------------------------------------------- */

typedef struct Difference {
    int64_t bad, count, worst_at; /* elements beyond the tolerance; the worst one's index */
    double worst, got, want;      /* |got - want| - atol - rtol |want| is largest there */
} Difference;

static Difference compare(const Cli *cli, const ScrtTensor *got, const ScrtTensor *want)
{
    Difference d = {.count = scrt_count(want), .worst = -INFINITY};
    for (int64_t i = 0; i < d.count; i++) {
        double x = scrt_load((ScrtDtype)got->dtype, got->data, (size_t)i);
        double y = scrt_load((ScrtDtype)want->dtype, want->data, (size_t)i);
        bool same = x == y || (isnan(x) && isnan(y));
        double over = same ? -INFINITY : fabs(x - y) - cli->atol - cli->rtol * fabs(y);
        bool beyond = !same && !(over <= 0);
        d.bad += beyond;
        if (beyond && !(over <= d.worst)) {
            d.worst = over;
            d.worst_at = i;
            d.got = x;
            d.want = y;
        }
    }
    return d;
}

static bool same_shape(const ScrtTensor *a, const ScrtTensor *b)
{
    bool same = a->dtype == b->dtype && a->rank == b->rank;
    for (uint32_t i = 0; same && i < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    return same;
}

/* Runs set i; counts the outputs that differ. */
static bool compare_set(Runner *r, ScalecSamples *s, uint32_t i, uint32_t *differ,
                        uint32_t *compared)
{
    const ScrtTensor *in, *want;
    ScrtTensor *out = calloc(r->n_out + 1, sizeof *out);
    uint32_t n_want = 0;
    bool ok = out && scalec_samples_get(s, i, &in) && run_once(r, in, out);
    if (ok)
        n_want = scalec_samples_expected(s, i, &want);
    for (uint32_t k = 0; ok && k < n_want; k++) {
        if (!want[k].data)
            continue;
        ++*compared;
        if (!same_shape(&out[k], &want[k])) {
            printf("set %u, output %s: its type or shape is not the expected one\n", i,
                   r->out[k].name);
            ++*differ;
            continue;
        }
        Difference d = compare(r->cli, &out[k], &want[k]);
        if (d.bad) {
            printf("set %u, output %s: %lld of %lld elements differ; worst at %lld: %.9g, expected "
                   "%.9g\n",
                   i, r->out[k].name, (long long)d.bad, (long long)d.count, (long long)d.worst_at,
                   d.got, d.want);
            ++*differ;
        }
    }
    if (out)
        free_tensors(out, r->n_out);
    free(out);
    return ok;
}

/* --data: expected outputs are compared; without any, that is said. */
static int run_data(Runner *r, const ScGraph *ports)
{
    Cli *cli = r->cli;
    ScalecSamples *s = scalec_samples_open(cli->cx, ports, cli->data);
    uint32_t differ = 0, compared = 0, n = s ? scalec_samples_count(s) : 0;
    bool ok = s != NULL;
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = compare_set(r, s, i, &differ, &compared);
        cli_progress(cli, i + 1, n);
    }
    cli_progress_end();
    scalec_samples_close(s);
    if (ok && compared == 0)
        ok = sc_fail(cli->cx, NULL, SC_E_INPUT, "%s holds no expected outputs (output_0.pb)",
                     cli->data);
    if (!ok)
        return cli_failed(cli);
    printf("%u of %u outputs agree within rtol %g and atol %g\n", compared - differ, compared,
           cli->rtol, cli->atol);
    return differ ? EXIT_DIFFER : cli_done(cli);
}

/* --- Running ---------------------------------------------------------------------------------- */

static ScrtStatus evaluate(void *self, const ScrtTensor *in, ScrtTensor *out, ScrtIoError *err)
{
    Runner *r = self;
    ScStr s = {0};
    if (run_once(r, in, out))
        return SCRT_OK;
    sc_diag_text(sc_diag(r->cli->cx, sc_n_diags(r->cli->cx) - 1), &s);
    snprintf(err->text, sizeof err->text, "%s", sc_str_get(&s));
    sc_str_free(&s);
    return SCRT_E_ARGUMENT;
}

/* The compiled model's own main, with the options that are its. */
static int run_main(Runner *r)
{
    const Cli *cli = r->cli;
    char number[3][16];
    const char *argv[64] = {"scalec run"};
    int n = 1;
    struct {
        const char *name, *value;
    } text[] = {
        {"-o", cli->output}, {"--state-load", cli->state_load}, {"--state-save", cli->state_save}};
    struct {
        const char *name;
        uint32_t value;
    } count[] = {{"--threads", cli->threads}, {"--top", cli->top}, {"--repeat", cli->repeat}};
    struct {
        const char *name;
        bool on;
    } flag[] = {
        {"--bench", cli->bench}, {"--profile", cli->profile}, {"--json", cli->json && cli->bench}};
    if (cli->input.n > 16)
        return cli_misuse(cli, "more than 16 inputs: put them into one .npz");
    for (uint32_t i = 0; i < cli->input.n; i++) {
        argv[n++] = "-i";
        argv[n++] = cli->input.item[i];
    }
    for (size_t i = 0; i < 3; i++) {
        if (text[i].value) {
            argv[n++] = text[i].name;
            argv[n++] = text[i].value;
        }
        if (count[i].value) {
            snprintf(number[i], sizeof number[i], "%u", count[i].value);
            argv[n++] = count[i].name;
            argv[n++] = number[i];
        }
        if (flag[i].on)
            argv[n++] = flag[i].name;
    }
    if (!cli->evaluate)
        return scrt_main(sc_loaded_model(r->loaded), n, (char **)argv);
    ScrtEntry ports = {.in = r->in, .out = r->out, .n_in = r->n_in, .n_out = r->n_out};
    ScrtModel model = {.abi = SCRT_ABI, .name = r->g->name, .n_entry = 1, .entry = &ports};
    return scrt_main_with(&model, n, (char **)argv, evaluate, r);
}

int cmd_run(Cli *cli)
{
    ScalecModel m;
    ScalecSamples *samples = NULL;
    Runner r = {.cli = cli};
    int status;
    if (!cli_load(cli, &m))
        return cli_failed(cli);
    if ((cli->output && !scalec_may_write(cli->cx, cli->output)) ||
        (cli->state_save && !scalec_may_write(cli->cx, cli->state_save))) {
        sc_graph_free(m.graph);
        return cli_failed(cli);
    }
    ScGraph *ports = sc_graph_clone(m.graph);
    cli->opt.embed_limit = UINT64_MAX;
    bool ok = cli_statistics(cli, &m) && hooks_begin(cli, &m, &samples);
    if (ok && cli->evaluate)
        r.g = scalec_rewrite(cli->cx, &m, &cli->opt);
    else if (ok)
        r.object = scalec_compile(cli->cx, &m, &cli->opt, SC_EMIT_OBJ);
    ok = hooks_end(cli, samples, r.g || r.object) && (cli->evaluate || open_compiled(&r));
    if (ok && cli->evaluate)
        graph_ports(&r);
    if (!ok)
        status = cli_failed(cli);
    else if (cli->data)
        status = run_data(&r, ports);
    else
        status = run_main(&r);
    close_runner(&r);
    sc_graph_free(ports);
    sc_graph_free(m.graph);
    return status;
}
