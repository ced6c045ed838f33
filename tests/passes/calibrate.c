/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration, its file, and where quantize stores what was measured. */
#include "tests/passes/scale_util.h"

static ScCtx *cx;

static void setup(void)
{
    cx = sc_ctx_new();
}

static void teardown(void)
{
    sc_ctx_free(cx);
}

static const ScStats *calibrate(const ScGraph *g, double scale)
{
    uint64_t r = 8;
    ScCalibrator *c = sc_calibrate_begin(cx, g);
    for (int i = 0; i < 3; i++) {
        ScrtTensor *in = st_inputs(g, &r);
        for (int64_t k = 0; k < scrt_count(&in[0]); k++)
            ((float *)in[0].data)[k] *= (float)scale;
        ck_assert(sc_calibrate_add(c, in, NULL));
        st_free(in, g->n_in);
    }
    return sc_calibrate_end(c);
}

static const ScStat *stat_of(const ScStats *s, const char *name)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (strcmp(s->stat[i].name, name) == 0)
            return &s->stat[i];
    ck_abort_msg("no statistics of %s", name);
}

/* What it is divided by, where that gains enough. */
static double factor_of(const ScStats *s, const char *name)
{
    const ScStat *t = stat_of(s, name);
    return t->gain >= 0.2 ? t->factor : 1;
}

/* Activations of few different magnitudes, all at the begin of an octave's coarse steps, are stored
 * with a factor that the product gives back; the report tells it. Weights of one magnitude a
 * channel are exact. */
START_TEST(factors_between_powers_of_two)
{
    ScBuild b;
    sc_build_init(&b, cx, "narrow", NULL);
    int64_t dims[2] = {16, 8};
    float *w = sc_array(sc_ctx_arena(cx), float, 128);
    for (int i = 0; i < 128; i++)
        w[i] = (i * 7 % 3 ? 1.0f : -1.0f) * (1.03f + 0.1f * (float)(i % 8));
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){4, 16});
    const ScBlob *wb = sc_blob(cx, sc_intern(cx, "w"), SCRT_F32, 2, dims, w);
    ScVal y = sc_op(&b, matmul, x, sc_const(&b, wb, SCRT_F32, NULL));
    sc_output(&b, sc_intern(cx, "y"), y);
    ScGraph *g = sc_build_end(&b);
    uint64_t r = 5;
    ScrtTensor *in = st_inputs(g, &r);
    for (int i = 0; i < 64; i++)
        ((float *)in[0].data)[i] = (i * 5 % 3 ? 1.0f : -1.0f) * (1.055f + 0.0001f * (float)(i % 4));
    ScCalibrator *c = sc_calibrate_begin(cx, g);
    ck_assert(sc_calibrate_add(c, in, NULL));
    const ScStats *s = sc_calibrate_end(c);
    ck_assert_msg(stat_of(s, "x")->gain > 10, "gain %g", stat_of(s, "x")->gain);
    ScrtTensor *want = st_eval(g, in, NULL);
    for (int scale = SC_BY_TENSOR; scale <= SC_BY_BLOCK; scale++) {
        ScRecipe recipe = *sc_recipe(cx, "fp8");
        recipe.scale = (ScGranularity)scale;
        recipe.keep_bias = true;
        ScPassEnv env = {.recipe = &recipe, .scales = SC_SCALES_CALIBRATE, .stats = s};
        ScGraph *q = st_lowered(g, &env);
        ScrtTensor *got = st_eval(q, in, NULL);
        double signal = 0, noise = 0;
        for (int i = 0; i < 32; i++) {
            double t = ((float *)want[0].data)[i], off = ((float *)got[0].data)[i] - t;
            signal += t * t;
            noise += off * off;
        }
        double db = 10 * log10(signal / noise);
        ck_assert_msg(scale == SC_BY_TENSOR ? db < 32 : db > 40, "scale %d: %.1f dB", scale, db);
        st_free(got, 1);
        uint32_t n;
        ScDamage *d = sc_damage_begin(cx, q, g);
        ck_assert(sc_damage_add(d, in));
        const ScReport *rep = sc_damage_end(d, &n), *stored = NULL;
        for (uint32_t i = 0; i < n; i++) /* of x, before which nothing was lost */
            stored = isnan(rep[i].rounding) || rep[i].constant ? stored : &rep[i];
        ck_assert(stored && !strcmp(stored->name, "x"));
        ck_assert_msg(fabs(stored->sqnr - stored->rounding) < 0.1, "scale %d: %g and %g dB", scale,
                      stored->sqnr, stored->rounding);
        sc_graph_free(q);
    }
    st_free(want, 1);
    st_free(in, 1);
    sc_graph_free(g);
}
END_TEST

START_TEST(statistics_round_trip)
{
    ScGraph *g = st_net(cx);
    const ScStats *s = calibrate(g, 1);
    ScStr text = {0}, again = {0};
    sc_stats_print(s, &text);
    const ScStats *t = sc_stats_parse(cx, "x.stats", sc_str_get(&text));
    ck_assert_msg(t != NULL, "%s", st_words(cx));
    sc_stats_print(t, &again);
    ck_assert_str_eq(sc_str_get(&text), sc_str_get(&again));
    ck_assert_uint_eq(t->graph, sc_graph_hash(g));
    ck_assert_uint_eq(stat_of(t, "x")->n_finite, 3 * 4 * 16);
    ck_assert(stat_of(t, "x")->rms > 0.8 && stat_of(t, "x")->rms < 1.2);
    for (uint32_t i = 0; i < t->n; i++) /* weights are known without samples */
        ck_assert(strcmp(t->stat[i].name, "w1") != 0);
    sc_str_free(&text);
    sc_str_free(&again);
    sc_graph_free(g);
}
END_TEST

START_TEST(statistics_that_do_not_parse)
{
    static const char *const bad[] = {
        "",
        "scalec-stats 2\n",
        "scalec-stats 1\ngraph xyz\n",
        "scalec-stats 1\ngraph 12\nx rms\n",
        "scalec-stats 1\ngraph 12\nx rms 1 amax inf finite 3\n",
        "scalec-stats 1\ngraph 12\nx rms 1 amax 2 finite -3\n",
        "scalec-stats 1\ngraph 12\nx rms 1 amax 2 finite 3 more\n",
        "scalec-stats 4\ngraph 12\nx rms 1 amax 2 finite 3\n",
        "scalec-stats 3\ngraph 12\nx rms 1 amax 2 finite 3 means\n",
        "scalec-stats 3\ngraph 12\nx rms 1 amax 2 finite 3 means 0\n",
        "scalec-stats 3\ngraph 12\nx rms 1 amax 2 finite 3 means 99 1\n",
        "scalec-stats 3\ngraph 12\nx rms 1 amax 2 finite 3 means 0 1 inf\n",
        "scalec-stats 2\ngraph 12\nx rms 1 amax 2 finite 3 factor 2 gain 1\n",
        "scalec-stats 2\ngraph 12\nx rms 1 amax 2 finite 3 factor 1.5\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sc_clear_diags(cx);
        ck_assert_msg(sc_stats_parse(cx, "bad.stats", bad[i]) == NULL, "%s", bad[i]);
        st_said(cx, "E0303");
        st_said(cx, "bad.stats");
    }
}
END_TEST

/* The largest magnitude lands at 2^7, to the nearest power: within [2^6.5, 2^7.5]. */
START_TEST(calibrated_activations_are_pinned_by_amax)
{
    ScGraph *g = st_net(cx);
    for (int i = -9; i <= 9; i += 3) {
        const ScStats *s = calibrate(g, exp2(i) * 1.1);
        ScPassEnv env = {.recipe = sc_recipe(cx, "fp8"), .scales = SC_SCALES_CALIBRATE, .stats = s};
        ScGraph *q = st_lowered(g, &env);
        ScVal v[4];
        st_operands(q, v);
        double x = stat_of(s, "x")->amax / factor_of(s, "x") / exp2((double)st_exp(q, v[0]));
        double a = stat_of(s, "a")->amax / factor_of(s, "a") / exp2((double)st_exp(q, v[2]));
        ck_assert_msg(x >= exp2(6.5) && x <= exp2(7.5), "amax of x is stored as %g", x);
        ck_assert_msg(a >= exp2(6.5) && a <= exp2(7.5), "amax of a is stored as %g", a);
        sc_graph_free(q);
    }
    sc_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("calibrate");
    TCase *t = tcase_create("calibrate");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, factors_between_powers_of_two);
    tcase_add_test(t, statistics_round_trip);
    tcase_add_test(t, statistics_that_do_not_parse);
    tcase_add_test(t, calibrated_activations_are_pinned_by_amax);
    suite_add_tcase(s, t);
    return sct_main("passes-calibrate", s);
}
