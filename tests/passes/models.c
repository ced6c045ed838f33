/* SPDX-License-Identifier: Apache-2.0 */
/* Scale propagation on real models: the graph that scalify receives and the one it gives evaluate
 * to the same bits; recipe f32 ends in the graph that scalify received; recipe fp8 stores every
 * operand of a product in FP8, at little cost; calibrated statistics change exponents, no bits. */
#include "frontend/frontend.h"
#include "tests/passes/scale_util.h"

static const char *const models[] = {
    "mnist/mnist.onnx",
    "marabou/mnist5x20_leaky_relu.onnx",
    "marabou/cnn_max_mninst2.onnx",
    "marabou/self-attention-mnist-pgd-medium-sim.onnx",
};

static ScCtx *cx;

static void setup(void)
{
    cx = sc_ctx_new();
}

static void teardown(void)
{
    sc_ctx_free(cx);
}

/* The model's graph as scalify receives it; symbolic sizes are 3. */
static ScGraph *received(int i)
{
    char path[256];
    size_t n;
    snprintf(path, sizeof path, "tests/model/data/%s", models[i]);
    char *bytes = sct_read(sct_source(path), &n);
    ScImportOptions opt = {.n_dim = 1, .dim_value = (const int64_t[]){3}};
    ScGraph *g = sc_import(cx, models[i], bytes, n, NULL);
    ck_assert_msg(g != NULL, "%s", st_words(cx));
    const ScTerm *batch = sc_type_of(g, g->in[0])->dim[0];
    if (!sc_term_const(batch, NULL)) {
        opt.dim_name = &batch->sym;
        sc_graph_free(g);
        g = sc_import(cx, models[i], bytes, n, &opt);
    }
    free(bytes);
    g = sc_pipeline_run(cx, g, &(ScPipeline){.until = "raise", .verify = true});
    ck_assert_msg(g != NULL, "%s", st_words(cx));
    return g;
}

/* Pixels about as bright as those of a digit: most are 0. */
static ScrtTensor *pixels(const ScGraph *g, uint64_t *r)
{
    ScrtTensor *in = st_inputs(g, r);
    for (int64_t k = 0; k < scrt_count(&in[0]); k++)
        ((float *)in[0].data)[k] = st_uniform(r) < 0.8 ? 0 : (float)st_uniform(r);
    return in;
}

static void same_bits(const ScGraph *a, const ScGraph *b, uint64_t *r, const char *what)
{
    for (int round = 0; round < 2; round++) {
        ScrtTensor *in = pixels(a, r), *x = st_eval(a, in, NULL), *y = st_eval(b, in, NULL);
        ck_assert_msg(st_differs(&x[0], &y[0]) < 0, "%s: another result", what);
        st_free(in, a->n_in);
        st_free(x, a->n_out);
        st_free(y, b->n_out);
    }
}

static bool has_exponents(const ScGraph *g)
{
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        if (g->value[v].exp && !sc_term_is(g->value[v].exp, 0))
            return true;
    return false;
}

/* The text of g from its inputs on: without its flags. */
static const char *text_of(const ScGraph *g, ScArena *a)
{
    ScStr s = {0};
    sc_print(g, 0, &s);
    const char *text = strchr(sc_strdup(a, sc_str_get(&s)), '(');
    sc_str_free(&s);
    return text;
}

START_TEST(recipe_f32)
{
    uint64_t r = 7;
    ScArena *a = sc_arena_new();
    ScGraph *g = received(_i), *s = st_pass(sc_pass_scalify, g, NULL, "scalify");
    ck_assert(has_exponents(s));
    same_bits(g, s, &r, "scalify");
    ScGraph *q = st_pass(sc_pass_settle, s, NULL, "settle");
    ck_assert_str_eq(text_of(q, a), text_of(g, a));
    same_bits(g, q, &r, "settle");
    sc_graph_free(q);
    sc_graph_free(s);
    sc_graph_free(g);
    sc_arena_free(a);
}
END_TEST

/* Largest difference of the outputs, relative to the largest output. */
static double distance(const ScGraph *a, const ScGraph *b, uint64_t *r)
{
    ScrtTensor *in = pixels(a, r), *x = st_eval(a, in, NULL), *y = st_eval(b, in, NULL);
    double most = 0, worst = 0;
    for (int64_t i = 0; i < scrt_count(&x[0]); i++) {
        double p = scrt_load(SCRT_F32, x[0].data, (size_t)i);
        double q = scrt_load(SCRT_F32, y[0].data, (size_t)i);
        most = fmax(most, fabs(p));
        worst = fmax(worst, fabs(p - q));
    }
    st_free(in, a->n_in);
    st_free(x, a->n_out);
    st_free(y, b->n_out);
    return worst / most;
}

static void check_stored(const ScGraph *q)
{
    uint32_t products = 0;
    for (uint32_t i = 0; i < q->n_node; i++)
        for (uint32_t k = 0; k < q->node[i].n_in; k++)
            if (q->node[i].op->quantizable >> k & 1) {
                ck_assert_msg(sc_type_of(q, q->node[i].in[k])->dtype == SCRT_F8E4M3FN,
                              "operand %u of a %s is not FP8", k, q->node[i].op->name);
                products++;
            }
    ck_assert_uint_ge(products, 4);
}

/* A rebalance is left before each cast and output, and where a bias that is no constant or the sum
 * of two branches meets a product. */
START_TEST(recipe_fp8)
{
    uint64_t r = 8;
    ScGraph *g = received(_i);
    ScCalibrator *c = sc_calibrate_begin(cx, g);
    for (int k = 0; k < 4; k++) {
        ScrtTensor *in = pixels(g, &r);
        ck_assert(sc_calibrate_add(c, in, NULL));
        st_free(in, g->n_in);
    }
    const ScStats *stats = sc_calibrate_end(c);
    for (int mode = 0; mode < 2; mode++) {
        ScPassEnv env = {.recipe = sc_recipe(cx, "fp8"),
                         .scales = mode ? SC_SCALES_CALIBRATE : SC_SCALES_PROPAGATE,
                         .stats = stats};
        ScGraph *s = st_pass(sc_pass_scalify, g, &env, "scalify");
        same_bits(g, s, &r, "scalify");
        ScGraph *q = st_pass(sc_pass_quantize, s, &env, "quantize");
        check_stored(q);
        ScGraph *t = st_pass(sc_pass_settle, q, &env, "settle");
        check_stored(t);
        same_bits(q, t, &r, "recomputed exponents");
        double d = distance(g, t, &r);
        ck_assert_msg(d > 0 && d < 0.25, "the largest output is off by %.3f", d);
        uint32_t products = 0, factors = 0;
        for (uint32_t i = 0; i < t->n_node; i++) {
            products += (t->node[i].op->quantizable & 3) != 0;
            factors += (t->node[i].op->flags & SC_REBALANCES) != 0;
        }
        ck_assert_msg(factors <= 3 * products, "%u rebalances for %u products", factors, products);
        sc_graph_free(s);
        sc_graph_free(q);
        sc_graph_free(t);
    }
    sc_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("models");
    TCase *t = tcase_create("models");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, recipe_f32, 0, 4);
    tcase_add_loop_test(t, recipe_fp8, 0, 4);
    suite_add_tcase(s, t);
    return sct_main("passes-models", s);
}
