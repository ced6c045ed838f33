/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline: what may be left out, what passes need and refuse, and that each step is checked.
 * The faulty passes here are the test's own. */
#include "passes/passes_priv.h"
#include "tests/graphs.h"

#include <string.h>

static const char text[] = "graph @g(%x: f32[n,4]) -> (%y) {\n"
                           "  %c = const [1,2,3,4] : f32[4]\n"
                           "  %1 = mul %x, %c : f32[n,4] from \"mul\"\n"
                           "  %y = relu %1 : f32[n,4] from \"relu\"\n"
                           "}\n";

static bool said(ScCtx *cx, const char *words)
{
    return strstr(sct_messages(cx), words) != NULL;
}

/* Runs the text through the pipeline, or through these passes, and forgets the result. */
static bool run(ScCtx *cx, const ScPipeline *p, uint32_t n, const ScPass *const *pass)
{
    ScGraph *g = sct_graph(cx, text);
    g = n ? sc_pipeline_passes(cx, g, p, n, pass) : sc_pipeline_run(cx, g, p);
    bool ok = g != NULL;
    sc_graph_free(g);
    return ok;
}

/* --- Faulty passes --------------------------------------------------------------------------- */

static ScGraph *copy_with(ScCtx *cx, const ScGraph *g, const ScOp *from, const ScOp *to)
{
    SC_PASS(cx, g, b, env);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        b.at = n->loc;
        if (n->op == from)
            env[n->first] = sc_node1(&b, to, NULL, n->n_in, sc_map(env, n));
        else if (!(n->op->flags & SC_BARRIER))
            sc_copy_node(&b, g, n, sc_map(env, n), &env[n->first]);
    }
    return sc_pass_end(&b, env);
}

static ScGraph *run_copy(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    (void)env;
    return copy_with(cx, g, NULL, NULL);
}

static ScGraph *run_wrong(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    (void)env;
    return copy_with(cx, g, &sc_op_mul, &sc_op_add);
}

/* Says that the graph is scaled, though nothing has an exponent. */
static ScGraph *run_liar(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    (void)env;
    ScGraph *ret = copy_with(cx, g, NULL, NULL);
    ret->flags |= SC_G_SCALED;
    return ret;
}

static const ScPass pass_copy = {.name = "copy", .doc = "copies", .run = run_copy};
static const ScPass pass_wrong = {.name = "wrong", .doc = "adds for mul", .run = run_wrong};
static const ScPass pass_lossy = {
    .name = "lossy", .doc = "as wrong, and says so", .lossy = true, .run = run_wrong};
static const ScPass pass_liar = {
    .name = "liar", .doc = "lies", .gives = SC_G_SCALED, .run = run_liar};

/* What calibration saw of an input and of what is copied stays with it. */
START_TEST(annotations_stay)
{
    static const float mean = 2;
    static const ScMeans means = {.n = 1, .x = &mean};
    ScCtx *cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, text);
    ScValue *v = (ScValue *)(uintptr_t)g->value;
    for (ScVal i = SC_FIRST; i < g->n_value; i++) {
        v[i].amax = 3;
        v[i].factor = 1.5f;
        v[i].means = &means;
    }
    ScGraph *c = sc_pass_run(cx, &pass_copy, g, &(ScPassEnv){0});
    ck_assert_uint_eq(c->n_value, g->n_value);
    for (ScVal i = SC_FIRST; i < c->n_value; i++)
        ck_assert(c->value[i].amax == 3 && c->value[i].factor == 1.5f &&
                  c->value[i].means == &means);
    sc_graph_free(c);
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

/* --- What may run ---------------------------------------------------------------------------- */

START_TEST(required_passes_stay)
{
    ScCtx *cx = sc_ctx_new();
    const char *name = "fuse";
    ck_assert(!run(cx, &(ScPipeline){.disable = &name, .n_disable = 1}, 0, NULL));
    ck_assert_msg(said(cx, "error[E0405]: passes do not fit together: fuse cannot be left out"),
                  "%s", sct_messages(cx));
    ck_assert_uint_eq(sc_n_errors(cx), 1);
    sc_ctx_free(cx);
}
END_TEST

START_TEST(unknown_names_are_mistakes)
{
    ScCtx *cx = sc_ctx_new();
    const char *name = "vectorize";
    ck_assert(!run(cx, &(ScPipeline){.disable = &name, .n_disable = 1}, 0, NULL));
    ck_assert_msg(said(cx, "there is no pass \"vectorize\""), "%s", sct_messages(cx));
    ck_assert(!run(cx, &(ScPipeline){.until = "vectorise"}, 0, NULL));
    ck_assert_msg(said(cx, "there is no stage \"vectorise\""), "%s", sct_messages(cx));
    ck_assert_ptr_null(sc_pass_find(cx, "vectorize"));
    sc_ctx_free(cx);
}
END_TEST

START_TEST(needs_are_named)
{
    ScCtx *cx = sc_ctx_new();
    const char *name = "scalify";
    ScPassEnv env = {.recipe = sc_recipe(cx, "fp8")};
    ck_assert_ptr_nonnull(env.recipe);
    ck_assert(!run(cx, &(ScPipeline){.env = env, .disable = &name, .n_disable = 1}, 0, NULL));
    ck_assert_msg(said(cx, "quantize needs a graph that is scaled") &&
                      said(cx, "pass scalify makes it so"),
                  "%s", sct_messages(cx));
    sc_clear_diags(cx); /* a recipe that stores nothing in low precision needs no scales */
    ck_assert(run(cx, &(ScPipeline){.disable = &name, .n_disable = 1}, 0, NULL));
    sc_ctx_free(cx);
}
END_TEST

START_TEST(refusals_are_named)
{
    ScCtx *cx = sc_ctx_new();
    ScPassEnv env = {0};
    ScGraph *g = sct_graph(cx, text);
    ScGraph *scaled = sc_pass_run(cx, sc_pass_find(cx, "scalify"), g, &env);
    ck_assert_ptr_nonnull(scaled);
    ck_assert_ptr_null(sc_pass_run(cx, sc_pass_find(cx, "scalify"), scaled, &env));
    ck_assert_msg(said(cx, "error[E0304]: graph is scaled already: scalify takes a graph without"),
                  "%s", sct_messages(cx));
    ScGraph *kernels = sc_pass_run(cx, sc_pass_find(cx, "fuse"), scaled, &env);
    ck_assert_ptr_nonnull(kernels);
    ck_assert_ptr_null(sc_pass_run(cx, sc_pass_find(cx, "expand"), kernels, &env));
    ck_assert_msg(said(cx, "expand refuses a graph that is made of kernels"), "%s",
                  sct_messages(cx));
    sc_graph_free(g);
    sc_graph_free(scaled);
    sc_graph_free(kernels);
    sc_ctx_free(cx);
}
END_TEST

/* --- Stages ---------------------------------------------------------------------------------- */

typedef struct Seen {
    char stages[256];
    ScGraph *copy; /* of the stage called keep */
    const char *keep;
} Seen;

static void see(void *arg, const char *stage, const ScGraph *g)
{
    Seen *s = arg;
    strcat(strcat(s->stages, stage), " ");
    if (s->keep && strcmp(stage, s->keep) == 0)
        s->copy = sc_graph_clone(g);
}

START_TEST(stages_in_order)
{
    ScCtx *cx = sc_ctx_new();
    Seen s = {0};
    ScPipeline p = {.after = see, .arg = &s, .verify = true};
    ck_assert_msg(run(cx, &p, 0, NULL), "%s", sct_messages(cx));
    ck_assert_str_eq(s.stages,
                     "import fold simplify raise scalify quantize settle expand layout fuse ");
    s.stages[0] = '\0';
    p.until = "raise";
    ck_assert(run(cx, &p, 0, NULL));
    ck_assert_str_eq(s.stages, "import fold simplify raise ");
    s.stages[0] = '\0';
    p.until = "import";
    ck_assert(run(cx, &p, 0, NULL));
    ck_assert_str_eq(s.stages, "import ");
    sc_ctx_free(cx);
}
END_TEST

/* What was dumped after a stage goes on from there, to the same end. */
START_TEST(a_dumped_stage_goes_on)
{
    static const char *const stage[] = {"scalify", "settle", "fuse"};
    for (uint32_t i = 0; i < 3; i++) {
        ScCtx *cx = sc_ctx_new();
        ScStr why = {0};
        Seen s = {.keep = stage[i]};
        ScPipeline p = {.after = see, .arg = &s, .verify = true};
        ScGraph *end = sc_pipeline_run(cx, sct_graph(cx, text), &p);
        ck_assert_ptr_nonnull(s.copy);
        ScGraph *again = sc_pipeline_run(cx, s.copy, &(ScPipeline){.verify = true});
        ck_assert_msg(again != NULL, "%s", sct_messages(cx));
        ck_assert_msg(sc_graph_equal(end, again, &why), "from %s: %s", stage[i], sc_str_get(&why));
        sc_str_free(&why);
        sc_graph_free(end);
        sc_graph_free(again);
        sc_ctx_free(cx);
    }
}
END_TEST

/* --- Checks ---------------------------------------------------------------------------------- */

START_TEST(a_faulty_pass_is_caught_by_name)
{
    ScCtx *cx = sc_ctx_new();
    uint64_t r = 1;
    ScBinding env = {.sym = sc_intern(cx, "n"), .value = 3};
    ScGraph *g = sct_graph(cx, text);
    ScrtTensor *in = sct_inputs(g, &r, -2, 2, 1, &env);
    ScPipeline p = {.eval_in = in, .verify = true};
    const ScPass *const good[] = {&pass_copy, &pass_lossy, &pass_copy};
    const ScPass *const bad[] = {&pass_copy, &pass_wrong, &pass_copy};
    ck_assert_msg(run(cx, &p, 3, good), "%s", sct_messages(cx));
    ck_assert(!run(cx, &p, 3, bad));
    ck_assert_msg(said(cx, "error[E0502]: results differ: pass wrong changes output \"y\""), "%s",
                  sct_messages(cx));
    ck_assert_uint_eq(sc_n_errors(cx), 1);
    sc_clear_diags(cx);
    p.eval_rtol = 100;
    ck_assert_msg(run(cx, &p, 3, bad), "%s", sct_messages(cx));
    sct_free(in, g->n_in);
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

START_TEST(each_step_is_verified)
{
    ScCtx *cx = sc_ctx_new();
    const ScPass *const bad[] = {&pass_liar};
    ck_assert(run(cx, &(ScPipeline){0}, 1, bad));
    ck_assert(!run(cx, &(ScPipeline){.verify = true}, 1, bad));
    ck_assert_msg(said(cx, "liar"), "%s", sct_messages(cx));
    sc_ctx_free(cx);
}
END_TEST

/* A flag that the text has no word for: a dump would lose it. */
static ScGraph *run_mark(ScCtx *cx, const ScGraph *g, const ScPassEnv *env)
{
    ScGraph *ret = run_copy(cx, g, env);
    ret->flags |= 1u << 20;
    return ret;
}

START_TEST(each_step_is_read_back)
{
    static const ScPass marks = {.name = "mark", .doc = "marks", .run = run_mark};
    ScCtx *cx = sc_ctx_new();
    const ScPass *const pass[] = {&marks};
    ck_assert(!run(cx, &(ScPipeline){.verify = true}, 1, pass));
    ck_assert_msg(said(cx, "after mark: the parsed text is another graph"), "%s", sct_messages(cx));
    sc_ctx_free(cx);
}
END_TEST

START_TEST(the_table_is_the_pipeline)
{
    ScCtx *cx = sc_ctx_new();
    for (uint32_t i = 0; i < sc_pass_count; i++) {
        const ScPass *p = sc_pass_table[i];
        ck_assert_ptr_eq(sc_pass_find(cx, p->name), p);
        ck_assert(p->doc && p->run);
        ck_assert_uint_eq(p->needs & p->refuses, 0);
        ck_assert_uint_eq(p->gives & ~p->refuses, 0); /* no pass runs twice on one graph */
    }
    sc_ctx_free(cx);
}
END_TEST

static char seen[200];

static void note_stage(void *arg, const char *stage, const ScGraph *g)
{
    (void)arg, (void)g;
    size_t n = strlen(seen);
    snprintf(seen + n, sizeof seen - n, "%s ", stage);
}

/* A session's own passes are found by name and run where they were put; other sessions lack them.
 */
START_TEST(a_session_adds_passes)
{
    static const ScPass one = {.name = "one", .doc = "copies", .run = run_copy},
                        two = {.name = "two", .doc = "copies", .run = run_copy},
                        apart = {.name = "apart", .doc = "copies", .run = run_copy};
    ScCtx *cx = sc_ctx_new(), *other = sc_ctx_new();
    ck_assert(sc_pass_register(cx, &one, "raise"));
    ck_assert(sc_pass_register(cx, &two, "raise"));
    ck_assert(sc_pass_register(cx, &apart, NULL));
    ck_assert_ptr_eq(sc_pass_find(cx, "two"), &two);
    ck_assert_ptr_eq(sc_pass_find(cx, "apart"), &apart);
    ck_assert_ptr_null(sc_pass_find(other, "two"));
    ck_assert(run(cx, &(ScPipeline){.after = note_stage, .until = "scalify"}, 0, NULL));
    ck_assert_str_eq(seen, "import fold simplify raise one two scalify ");
    ck_assert(!sc_pass_register(cx, &one, "raise"));
    ck_assert_msg(said(cx, "there is a pass \"one\" already"), "%s", sct_messages(cx));
    ck_assert(!sc_pass_register(other, &one, "rise"));
    ck_assert_msg(said(other, "there is no stage \"rise\""), "%s", sct_messages(other));
    sc_ctx_free(cx);
    sc_ctx_free(other);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passes-manager");
    TCase *t = tcase_create("manager");
    tcase_add_test(t, required_passes_stay);
    tcase_add_test(t, annotations_stay);
    tcase_add_test(t, unknown_names_are_mistakes);
    tcase_add_test(t, needs_are_named);
    tcase_add_test(t, refusals_are_named);
    tcase_add_test(t, stages_in_order);
    tcase_add_test(t, a_dumped_stage_goes_on);
    tcase_add_test(t, a_faulty_pass_is_caught_by_name);
    tcase_add_test(t, each_step_is_verified);
    tcase_add_test(t, each_step_is_read_back);
    tcase_add_test(t, the_table_is_the_pipeline);
    tcase_add_test(t, a_session_adds_passes);
    suite_add_tcase(s, t);
    return sct_main("passes-manager", s);
}
