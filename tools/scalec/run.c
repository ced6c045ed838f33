/* SPDX-License-Identifier: Apache-2.0 */
/* scalec run: compiles in memory and hands over to the main function that every compiled executable
 * has; or compares with the expected outputs of a test_data_set; or uses the evaluator. */
#include "tools/scalec/cli.h"
#include "tools/scalec/hooks.h"

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
    json_t *info; /* what --data asks of a model that is not compiled */
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
    json_decref(r->info);
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
    for (char *p = strchr(err->text, '\n'); p; p = strchr(p, '\n')) /* it is to be one line */
        *p = p[1] ? ';' : '\0';
    sc_str_free(&s);
    return SCRT_E_ARGUMENT;
}

/* The compiled model's own main, with the options that are its. */
static int run_main(Runner *r)
{
    const Cli *cli = r->cli;
    char number[5][32];
    const char *argv[128] = {"scalec run"};
    int n = 1;
    struct {
        const char *name, *value;
    } text[] = {
        {"-o", cli->output},   {"--state-load", cli->state_load}, {"--state-save", cli->state_save},
        {"--data", cli->data}, {"--labels", cli->labels},         {"--image", cli->image},
    };
    struct {
        const char *name;
        uint32_t value;
    } count[] = {{"--threads", cli->threads}, {"--top", cli->top}, {"--repeat", cli->repeat}};
    struct {
        const char *name;
        bool on;
    } flag[] = {{"--bench", cli->bench},
                {"--profile", cli->profile},
                {"--json", cli->json},
                {"--saturations", cli->opt.count_saturated}};
    static const char *const tolerance[] = {"--rtol", "--atol"};
    const double limit[] = {cli->rtol, cli->atol};
    if (cli->input.n > 16 || cli->shape.n > 16)
        return cli_misuse(cli, "more than 16 inputs: put them into one .npz");
    for (uint32_t i = 0; i < cli->input.n; i++) {
        argv[n++] = "-i";
        argv[n++] = cli->input.item[i];
    }
    for (uint32_t i = 0; i < cli->shape.n; i++) {
        argv[n++] = "--shape";
        argv[n++] = cli->shape.item[i];
    }
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        if (text[i].value) {
            argv[n++] = text[i].name;
            argv[n++] = text[i].value;
        }
    for (size_t i = 0; i < 2 && cli->tolerance_given; i++) {
        snprintf(number[3 + i], sizeof number[0], "%.17g", limit[i]);
        argv[n++] = tolerance[i];
        argv[n++] = number[3 + i];
    }
    for (size_t i = 0; i < sizeof count / sizeof *count; i++)
        if (count[i].value) {
            snprintf(number[i], sizeof number[0], "%u", count[i].value);
            argv[n++] = count[i].name;
            argv[n++] = number[i];
        }
    for (size_t i = 0; i < sizeof flag / sizeof *flag; i++)
        if (flag[i].on)
            argv[n++] = flag[i].name;
    ScrtMainOptions opt = {.decoders = scalec_decoders()};
    if (!cli->evaluate)
        return scrt_main_with(sc_loaded_model(r->loaded), n, (char **)argv, &opt);
    opt.run = evaluate;
    opt.self = r;
    ScrtEntry ports = {.in = r->in, .out = r->out, .n_in = r->n_in, .n_out = r->n_out};
    ScrtModel model = {.abi = SCRT_ABI, .name = r->g->name, .n_entry = 1, .entry = &ports};
    char *info = json_dumps(r->info, JSON_COMPACT);
    model.info = info ? info : "{}";
    int status = scrt_main_with(&model, n, (char **)argv, &opt);
    free(info);
    return status;
}

/* Asked twice: before much is done, and once the recipe has been read. States that are saved where
 * they were loaded move on. */
static bool outputs_are_free(Cli *cli)
{
    const char *save = cli->state_save, *load = cli->state_load;
    if (save && !(load && scrt_same_file(save, load)) && !scalec_may_write(cli->cx, save))
        return false;
    if (load)
        scalec_note_file(cli->cx, load);
    return !cli->output || scalec_may_write(cli->cx, cli->output);
}

int cmd_run(Cli *cli)
{
    ScalecModel m;
    ScalecSamples *samples = NULL;
    Runner r = {.cli = cli};
    int status;
    if (!cli_load(cli, &m))
        return cli_failed(cli);
    cli->opt.embed_limit = UINT64_MAX;
    if (cli->evaluate)
        r.info = json_pack("{s:o}", "rounds", scalec_rounding(m.graph));
    bool ok = outputs_are_free(cli) && cli_statistics(cli, &m) && outputs_are_free(cli) &&
              hooks_begin(cli, &m, &samples);
    if (ok && cli->evaluate)
        r.g = scalec_rewrite(cli->cx, &m, &cli->opt);
    else if (ok)
        r.object = scalec_compile(cli->cx, &m, &cli->opt, SC_EMIT_OBJ);
    ok = hooks_end(cli, samples, r.g || r.object) && (cli->evaluate || open_compiled(&r));
    if (ok && cli->evaluate)
        graph_ports(&r);
    if (ok)
        cli_watch_hand_over(cli->watch, "run");
    if (ok)
        cli_done(cli); /* the model's warnings, before what the run prints */
    status = ok ? run_main(&r) : cli_failed(cli);
    close_runner(&r);
    sc_graph_free(m.graph);
    return status;
}
