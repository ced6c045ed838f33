/* SPDX-License-Identifier: Apache-2.0 */
/* The table of passes, which is the pipeline in its order, and the run that checks every step. */
#include <math.h>
#include <string.h>

#include "passes/passes_priv.h"
#include "runtime/handles.h"

/* --- The table ------------------------------------------------------------------------------- */

static const ScPass pass_fold = {
    .name = "fold",
    .doc = "computes what depends on constants only",
    .refuses = SC_G_SCALED | SC_G_KERNELS,
    .run = sc_pass_fold,
};
static const ScPass pass_simplify = {
    .name = "simplify",
    .doc = "removes what changes nothing",
    .refuses = SC_G_KERNELS,
    .run = sc_pass_simplify,
};
static const ScPass pass_raise = {
    .name = "raise",
    .doc = "finds idioms that are one operator: bias, softmax, gelu, normalisations, activations, "
           "attention; and operands that are stored in FP8",
    .refuses = SC_G_SCALED | SC_G_KERNELS,
    .run = sc_pass_raise,
};
static const ScPass pass_scalify = {
    .name = "scalify",
    .doc = "gives every float value an exponent by its operator's scale signature",
    .refuses = SC_G_SCALED | SC_G_QUANTIZED | SC_G_KERNELS,
    .gives = SC_G_SCALED,
    .run = sc_pass_scalify,
};

static bool nothing_low(const ScPassEnv *env)
{
    const ScRecipe *r = env->recipe;
    return !r || (r->activation == SCRT_F32 && r->weight == SCRT_F32 &&
                  r->cache == SCRT_DTYPE_NONE && r->n_rule == 0);
}

static const ScPass pass_quantize = {
    .name = "quantize",
    .doc = "casts to the recipe's formats where values are stored in low precision",
    .needs = SC_G_SCALED,
    .refuses = SC_G_QUANTIZED | SC_G_KERNELS,
    .gives = SC_G_QUANTIZED,
    .lossy = true,
    .idle = nothing_low,
    .run = sc_pass_quantize,
};
static const ScPass pass_settle = {
    .name = "settle",
    .doc = "chooses exponents anew where nothing narrow is stored",
    .refuses = SC_G_KERNELS,
    .run = sc_pass_settle,
};
static const ScPass pass_expand = {
    .name = "expand",
    .doc = "replaces operators without a lowering by their expansions",
    .refuses = SC_G_KERNELS,
    .required = true,
    .run = sc_pass_expand,
};
static const ScPass pass_layout = {
    .name = "layout",
    .doc = "computes convolutions of many channels, and what lies between them, with channels last",
    .refuses = SC_G_KERNELS,
    .run = sc_pass_layout,
};
static const ScPass pass_fuse = {
    .name = "fuse",
    .doc = "groups nodes into kernels of one loop class",
    .refuses = SC_G_KERNELS,
    .gives = SC_G_KERNELS,
    .required = true,
    .run = sc_pass_fuse,
};

const ScPass *const sc_pass_table[] = {
    &pass_fold,   &pass_simplify, &pass_raise,  &pass_scalify, &pass_quantize,
    &pass_settle, &pass_expand,   &pass_layout, &pass_fuse,
};
const uint32_t sc_pass_count = sizeof sc_pass_table / sizeof *sc_pass_table;

/* What a session's user added, and the pipeline with it. */
typedef struct Added {
    const ScPass **pass; /* [n] */
    const ScPass **all;  /* [n_all] NULL: the pipeline is the table */
    uint32_t n, n_all;
} Added;

static Added *added(ScCtx *cx)
{
    static const char key;
    return sc_ctx_slot(cx, &key, sizeof(Added));
}

static const ScPass *const *pipeline(ScCtx *cx, uint32_t *ret_n)
{
    const Added *a = added(cx);
    *ret_n = a->all ? a->n_all : sc_pass_count;
    return a->all ? a->all : sc_pass_table;
}

const ScPass *sc_pass_find(ScCtx *cx, const char *name)
{
    const Added *a = added(cx);
    for (uint32_t i = 0; i < sc_pass_count; i++)
        if (strcmp(sc_pass_table[i]->name, name) == 0)
            return sc_pass_table[i];
    for (uint32_t i = 0; i < a->n; i++)
        if (strcmp(a->pass[i]->name, name) == 0)
            return a->pass[i];
    return NULL;
}

/* The pipeline with a pass at place k. */
static void insert_pass(ScCtx *cx, Added *a, uint32_t k, const ScPass *pass)
{
    uint32_t n;
    const ScPass *const *old = pipeline(cx, &n);
    const ScPass **all = sc_array(sc_ctx_arena(cx), const ScPass *, n + 1);
    for (uint32_t i = 0; i <= n; i++)
        all[i] = i == k ? pass : old[i - (i > k)];
    a->all = all;
    a->n_all = n + 1;
}

static bool is_added(const Added *a, const ScPass *pass)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (a->pass[i] == pass)
            return true;
    return false;
}

bool sc_pass_register(ScCtx *cx, const ScPass *pass, const char *after)
{
    Added *a = added(cx);
    uint32_t n, k = 0;
    const ScPass *const *old = pipeline(cx, &n);
    if (sc_pass_find(cx, pass->name))
        return sc_fail(cx, NULL, SC_E_PASS, "there is a pass \"%s\" already", pass->name);
    while (after && k < n && strcmp(old[k]->name, after) != 0)
        k++;
    if (after && k == n)
        return sc_fail(cx, NULL, SC_E_STAGE, "there is no stage \"%s\"", after);
    if (after) {
        for (k++; k < n && is_added(a, old[k]);) /* behind those added before */
            k++;
        insert_pass(cx, a, k, pass);
    }
    const ScPass **more = sc_array(sc_ctx_arena(cx), const ScPass *, a->n + 1);
    if (a->n)
        memcpy(more, a->pass, a->n * sizeof *more);
    more[a->n++] = pass;
    a->pass = more;
    return true;
}

/* --- Running one ----------------------------------------------------------------------------- */

/* A flag as a person says it. */
static const char *flag_text(uint32_t flag)
{
    if (flag & SC_G_SCALED)
        return "scaled";
    return flag & SC_G_QUANTIZED ? "quantized" : "made of kernels";
}

static const char *who_gives(uint32_t flag)
{
    for (uint32_t i = 0; i < sc_pass_count; i++)
        if (sc_pass_table[i]->gives & flag)
            return sc_pass_table[i]->name;
    return "none";
}

ScGraph *sc_pass_run(ScCtx *cx, const ScPass *pass, const ScGraph *g, const ScPassEnv *env)
{
    uint32_t lacks = pass->needs & ~g->flags, refused = pass->refuses & g->flags;
    lacks &= -lacks; /* the lowest is the one that comes first */
    if (lacks) {
        sc_fail(cx, NULL, SC_E_PASS, "%s needs a graph that is %s", pass->name, flag_text(lacks));
        sc_note(cx, "pass %s makes it so", who_gives(lacks));
        return NULL;
    }
    if (refused & SC_G_SCALED)
        sc_fail(cx, NULL, SC_E_SCALED, "%s takes a graph without exponents", pass->name);
    else if (refused)
        sc_fail(cx, NULL, SC_E_PASS, "%s refuses a graph that is %s", pass->name,
                flag_text(refused));
    if (refused)
        return NULL;
    return pass->run(cx, g, env);
}

/* --- Checking a step ------------------------------------------------------------------------- */

/* Printing and parsing gives the equal graph. */
static bool round_trip(ScCtx *cx, const ScGraph *g, const char *pass)
{
    ScStr text = {0}, why = {0};
    ScArena *scratch = sc_arena_new();
    sc_print(g, 0, &text);
    ScBlobSource src = sc_graph_blobs(g, scratch);
    ScGraph *back = sc_parse(cx, "round trip", sc_str_get(&text), &src, NULL);
    bool ok = back != NULL;
    if (!ok)
        sc_fail(cx, NULL, SC_E_VERIFY, "after %s: the graph's text does not parse", pass);
    else if (!sc_graph_equal(g, back, &why))
        ok = sc_fail(cx, NULL, SC_E_VERIFY, "after %s: the parsed text is another graph: %s", pass,
                     sc_str_get(&why));
    sc_graph_free(back);
    sc_arena_free(scratch);
    sc_str_free(&text);
    sc_str_free(&why);
    return ok;
}

static bool check(ScCtx *cx, const ScGraph *g, const char *pass)
{
    SC_STAGE(cx, "verify");
    return sc_verify(g, pass) && (!(g->flags & SC_G_KERNELS) || sc_verify_kernels(g)) &&
           round_trip(cx, g, pass);
}

/* Outputs, then next states, of the stage before. */
typedef struct Results {
    ScrtTensor *t; /* [n], data owned; NULL: none yet */
    uint32_t n;
} Results;

static void results_free(Results *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        scrt_free(r->t[i].data);
    sc_buf_free(r->t);
    *r = (Results){0};
}

static const char *result_name(const ScGraph *g, uint32_t i)
{
    const char *name = i < g->n_out ? g->out_name[i] : g->state[i - g->n_out].name;
    return name ? name : "";
}

/* Element i of a differs from b's by more than rtol of the largest finite one. */
static bool differs(const ScrtTensor *a, const ScrtTensor *b, double rtol, size_t *ret)
{
    int64_t n = scrt_count(a);
    double largest = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = fabs(scrt_load(a->dtype, a->data, (size_t)i));
        largest = x < INFINITY && x > largest ? x : largest;
    }
    for (int64_t i = 0; i < n; i++) {
        double x = scrt_load(a->dtype, a->data, (size_t)i);
        double y = scrt_load(b->dtype, b->data, (size_t)i);
        *ret = (size_t)i;
        if (a->dtype == SCRT_STRING && !scrt_strings_equal(a, b, i))
            return true;
        if (isnan(x) != isnan(y) || (x != y && !isnan(x) && !(fabs(x - y) <= rtol * largest)))
            return true;
    }
    return false;
}

static bool same_results(ScCtx *cx, const ScGraph *g, const char *pass, const Results *was,
                         const Results *is, double rtol)
{
    for (uint32_t i = 0; i < is->n; i++) {
        const ScrtTensor *a = &was->t[i], *b = &is->t[i];
        const char *name = result_name(g, i);
        size_t at;
        if (a->dtype != b->dtype || a->rank != b->rank ||
            memcmp(a->dims, b->dims, a->rank * sizeof *a->dims) != 0)
            return sc_fail(cx, NULL, SC_E_DIFFER, "pass %s changes the type of output \"%s\"", pass,
                           name);
        if (differs(a, b, rtol, &at))
            return sc_fail(cx, NULL, SC_E_DIFFER,
                           "pass %s changes output \"%s\": element %zu is %.9g, was %.9g", pass,
                           name, at, scrt_load(b->dtype, b->data, at),
                           scrt_load(a->dtype, a->data, at));
    }
    return true;
}

/* Runs g and compares with the stage before, unless there is none or the pass may change results.
 * last becomes g's results. */
static bool eval_stage(ScCtx *cx, const ScGraph *g, const char *pass, bool lossy,
                       const ScPipeline *p, Results *last)
{
    Results now = {0};
    uint32_t cap = 0;
    for (uint32_t i = 0; i < g->n_out + g->n_state; i++)
        sc_buf_push(now.t, now.n, cap, (ScrtTensor){0});
    ScEvalOptions opt = {.ret_next = g->n_state ? now.t + g->n_out : NULL};
    bool ok = sc_eval(g, p->eval_in, now.t, &opt);
    if (ok && last->t && !lossy)
        ok = same_results(cx, g, pass, last, &now, p->eval_rtol);
    results_free(last);
    *last = now;
    return ok;
}

/* --- The pipeline ---------------------------------------------------------------------------- */

/* Fails with the names that there are. */
static bool no_such(ScCtx *cx, const char *kind, const char *name, uint32_t n,
                    const ScPass *const *pass)
{
    bool stages = strcmp(kind, "stage") == 0;
    ScStr names = {0};
    sc_str_add(&names, stages ? "import" : "");
    for (uint32_t i = 0; i < n; i++)
        if (stages || !pass[i]->required)
            sc_str_addf(&names, "%s%s", names.n ? ", " : "", pass[i]->name);
    sc_fail_file(cx, NULL, SC_E_STAGE, "there is no %s \"%s\"", kind, name);
    sc_note(cx, stages ? "stages are %s" : "what may be left out: %s", sc_str_get(&names));
    sc_str_free(&names);
    return false;
}

/* The stage to stop at is one of these passes, and so is what is disabled, which may be left out.
 */
static bool check_names(ScCtx *cx, const ScPipeline *p, uint32_t n, const ScPass *const *pass)
{
    bool until = !p->until || strcmp(p->until, "import") == 0;
    for (uint32_t i = 0; i < n; i++)
        until = until || strcmp(pass[i]->name, p->until) == 0;
    if (!until)
        return no_such(cx, "stage", p->until, n, pass);
    for (uint32_t k = 0; k < p->n_disable; k++) {
        const ScPass *found = NULL;
        for (uint32_t i = 0; i < n && !found; i++)
            found = strcmp(pass[i]->name, p->disable[k]) == 0 ? pass[i] : NULL;
        if (!found)
            return no_such(cx, "pass", p->disable[k], n, pass);
        if (found->required)
            return sc_fail_file(cx, NULL, SC_E_PASS, "%s cannot be left out", found->name);
    }
    return true;
}

static bool disabled(const ScPipeline *p, const ScPass *pass)
{
    for (uint32_t k = 0; k < p->n_disable; k++)
        if (strcmp(p->disable[k], pass->name) == 0)
            return true;
    return false;
}

static ScGraph *rewrite(ScCtx *cx, ScGraph *g, const ScPassEnv *env, const ScPass *pass)
{
    SC_STAGE(cx, pass->name);
    ScGraph *next = sc_pass_run(cx, pass, g, env);
    sc_graph_free(g);
    return next;
}

/* One step: *g is replaced by the pass's result and freed. */
static bool run_step(ScCtx *cx, ScGraph **g, const ScPipeline *p, const ScPass *pass, Results *last)
{
    if (!pass->idle || !pass->idle(&p->env)) {
        *g = rewrite(cx, *g, &p->env, pass);
        if (!*g || (p->verify && !check(cx, *g, pass->name)))
            return false;
    }
    if (p->eval_in && !eval_stage(cx, *g, pass->name, pass->lossy, p, last))
        return false;
    if (p->after)
        p->after(p->arg, pass->name, *g);
    return true;
}

ScGraph *sc_pipeline_passes(ScCtx *cx, ScGraph *g, const ScPipeline *p, uint32_t n,
                            const ScPass *const *pass)
{
    Results last = {0};
    uint32_t past = g->flags; /* passes that this graph has behind it are left out */
    bool ok = check_names(cx, p, n, pass) && (!p->verify || check(cx, g, "import")) &&
              (!p->eval_in || eval_stage(cx, g, "import", false, p, &last));
    if (ok && p->after)
        p->after(p->arg, "import", g);
    bool done = p->until && strcmp(p->until, "import") == 0;
    for (uint32_t i = 0; ok && !done && i < n; i++) {
        if (!disabled(p, pass[i]) && !(past & (pass[i]->gives | pass[i]->refuses)))
            ok = run_step(cx, &g, p, pass[i], &last);
        done = p->until && strcmp(p->until, pass[i]->name) == 0;
    }
    results_free(&last);
    if (ok)
        return g;
    sc_graph_free(g);
    return NULL;
}

ScGraph *sc_pipeline_run(ScCtx *cx, ScGraph *g, const ScPipeline *p)
{
    uint32_t n;
    const ScPass *const *pass = pipeline(cx, &n);
    return sc_pipeline_passes(cx, g, p, n, pass);
}
