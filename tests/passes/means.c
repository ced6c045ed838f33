/* SPDX-License-Identifier: Apache-2.0 */
/* Biases that take back what rounded weights add on average. Fed with the means themselves, a
 * corrected product gives what it gives in f32, whatever its weights were rounded to. */
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

enum { N = 8 }; /* channels */

/* What a channel's mean is here: few bits, so that FP8 has it too. */
static float mean_of(int64_t c)
{
    static const float x[N] = {1, -2, 0.5, 3, 0.25, 1.5, -1, 2};
    return x[c];
}

/* Every element of x, whose channels have `behind` axes behind them, is its channel's mean. */
static void fill_with_means(const ScrtTensor *x, uint32_t behind)
{
    int64_t inner = 1;
    for (uint32_t d = x->rank - behind; d < x->rank; d++)
        inner *= x->dims[d];
    for (int64_t i = 0; i < scrt_count(x); i++)
        ((float *)x->data)[i] = mean_of(i / inner % x->dims[x->rank - 1 - behind]);
}

typedef struct Kind {
    const char *op, *x, *w, *attr, *y;
    int n_w, n_b;
    uint32_t behind; /* axes of x behind its channels */
} Kind;

static const Kind kinds[] = {
    {"matmul", "2,4,8", "8,6", "", "2,4,6", 48, 6, 0},
    {"gemm", "4,8", "8,6", "", "4,6", 48, 6, 0},
    {"gemm", "8,4", "8,6", "{trans_a = 1}", "4,6", 48, 6, 1},
    {"gemm", "4,8", "6,8", "{trans_b = 1}", "4,6", 48, 6, 0},
    {"conv", "2,8,4,4", "6,8,3,2", "", "2,6,2,3", 288, 6, 2},
    {"conv", "2,8,4,4", "6,4,3,2", "{group = 2}", "2,6,2,3", 144, 6, 2},
    {"conv", "2,8,4,4", "16,1,3,2", "{group = 8}", "2,16,2,3", 96, 16, 2},
};
enum { N_KIND = sizeof kinds / sizeof *kinds };

static void add_constant(ScStr *t, uint64_t *r, const char *name, int n, const char *dims)
{
    sc_str_addf(t, "  %%%s = const [", name);
    for (int i = 0; i < n; i++)
        sc_str_addf(t, "%s%.9g", i ? "," : "", st_normal(r));
    sc_str_addf(t, "] : f32[%s]\n", dims);
}

static ScGraph *parsed(ScStr *t)
{
    ScGraph *g = sc_parse(cx, "means", sc_str_get(t), NULL, NULL);
    ck_assert_msg(g, "%s\n%s", st_words(cx), sc_str_get(t));
    sc_str_free(t);
    return g;
}

/* given: x is the input, else computed from it, the same. */
static ScGraph *product_of(const Kind *k, bool bias, bool given)
{
    uint64_t r = 21;
    ScStr t = {0};
    char n[8];
    sc_str_addf(&t, "graph @one(%%%s: f32[%s]) -> (%%y) {\n", given ? "x" : "in", k->x);
    if (!given)
        sc_str_addf(&t, "  %%m = neg %%in : f32[%s]\n  %%x = neg %%m : f32[%s]\n", k->x, k->x);
    add_constant(&t, &r, "w", k->n_w, k->w);
    snprintf(n, sizeof n, "%d", k->n_b);
    if (bias)
        add_constant(&t, &r, "b", k->n_b, n);
    sc_str_addf(&t, "  %%y = %s %%x, %%w%s %s : f32[%s]\n}\n", k->op, bias ? ", %b" : "", k->attr,
                k->y);
    return parsed(&t);
}

static ScGraph *one_product(const Kind *k, bool bias)
{
    return product_of(k, bias, true);
}

/* g under env and measured on x. */
static ScGraph *lowered(const ScGraph *g, ScPassEnv *env, const ScrtTensor *x)
{
    ScCalibrator *c = sc_calibrate_begin(cx, g);
    ck_assert(sc_calibrate_add(c, x, NULL));
    env->scales = SC_SCALES_CALIBRATE;
    env->stats = sc_calibrate_end(c);
    return st_lowered(g, env);
}

/* The largest difference, as a part of the largest of want. */
static double difference(const ScrtTensor *got, const ScrtTensor *want)
{
    double most = 0, all = 0;
    for (int64_t i = 0; i < scrt_count(want); i++) {
        double x = scrt_load(SCRT_F32, want->data, (size_t)i);
        most = fmax(most, fabs(scrt_load(SCRT_F32, got->data, (size_t)i) - x));
        all = fmax(all, fabs(x));
    }
    return most / all;
}

/* What the corrected and the kept product are off by. */
static void check_product(const Kind *k, const ScRecipe *r, bool bias)
{
    uint64_t seed = 3;
    double off[2];
    ScGraph *g = one_product(k, bias);
    ScrtTensor *in = st_inputs(g, &seed);
    fill_with_means(in, k->behind);
    ScrtTensor *want = st_eval(g, in, NULL);
    for (int keep = 0; keep < 2; keep++) {
        ScRecipe mine = *r;
        mine.keep_bias = keep;
        ScPassEnv env = {.recipe = &mine};
        ScGraph *q = lowered(g, &env, in);
        ScrtTensor *got = st_eval(q, in, NULL);
        off[keep] = difference(got, want);
        st_free(got, 1);
        sc_graph_free(q);
    }
    ck_assert_msg(off[0] < 1e-5 && off[1] > 1e-3, "%s %s, scale %d, bias %d: off by %g and %g",
                  k->op, k->attr, r->scale, bias, off[0], off[1]);
    st_free(want, 1);
    st_free(in, 1);
    sc_graph_free(g);
}

START_TEST(means_come_out_as_in_f32)
{
    for (int i = 0; i < N_KIND; i++)
        for (int bias = 0; bias < 2; bias++)
            for (int scale = SC_BY_TENSOR; scale <= SC_BY_BLOCK; scale++) {
                ScRecipe r = *sc_recipe(cx, "fp8-weights");
                r.scale = (ScGranularity)scale;
                check_product(&kinds[i], &r, bias);
                if (scale != SC_BY_BLOCK) /* activations that are stored low, exactly here */
                    r.activation = SCRT_F8E4M3FN;
                check_product(&kinds[i], &r, bias);
                if (scale == SC_BY_BLOCK && kinds[i].behind == 0)
                    check_product(&kinds[i], sc_recipe(cx, "mxfp4-weights"), bias);
            }
}
END_TEST

/* What padding adds is nothing: the mean over all of a channel's results comes out. */
START_TEST(padding_is_no_mean)
{
    static const Kind padded = {
        "conv", "2,8,4,4", "6,8,3,2", "{strides = [2,1], pads = [2,1,1,1]}", "2,6,3,5", 288, 6, 2};
    uint64_t seed = 3;
    ScGraph *g = one_product(&padded, true);
    ScrtTensor *in = st_inputs(g, &seed);
    fill_with_means(in, 2);
    ScPassEnv env = {.recipe = sc_recipe(cx, "fp8")};
    ScGraph *q = lowered(g, &env, in);
    ScrtTensor *want = st_eval(g, in, NULL), *got = st_eval(q, in, NULL);
    for (int c = 0; c < 6; c++) {
        double off = 0, all = 0;
        for (int i = 0; i < 15; i++) {
            double x = ((float *)want[0].data)[c * 15 + i];
            off += ((float *)got[0].data)[c * 15 + i] - x;
            all += fabs(x);
        }
        ck_assert_msg(fabs(off) < 1e-5 * all, "off by %g of %g", off, all);
    }
    st_free(got, 1);
    st_free(want, 1);
    st_free(in, 1);
    sc_graph_free(q);
    sc_graph_free(g);
}
END_TEST

/* Rows with factors of their own, and their bias behind them. */
START_TEST(rows_are_corrected)
{
    ScRecipe r = *sc_recipe(cx, "fp8");
    r.source = SC_DYNAMIC_ROWS;
    for (int bias = 0; bias < 2; bias++)
        check_product(&kinds[1], &r, bias);
}
END_TEST

/* The first product's weight times 2^-12 and the second's times 2^10 give the same bits times 2^-2.
 */
START_TEST(weights_of_another_size_give_the_same_bits)
{
    ScrtTensor *out[2];
    uint64_t seed = 3;
    ScrtTensor *in = NULL;
    for (int k = 0; k < 2; k++) {
        static const char *const names[] = {"w", "v"};
        static const int e[] = {-12, 10};
        uint64_t r = 8;
        ScStr t = {0};
        sc_str_add(&t, "graph @two(%x: f32[4,8]) -> (%y) {\n");
        for (int i = 0; i < 2; i++) {
            sc_str_addf(&t, "  %%%s = const [", names[i]);
            for (int j = 0; j < 64; j++)
                sc_str_addf(&t, "%s%.9g", j ? "," : "",
                            ldexp((double)(float)st_normal(&r), k ? e[i] : 0));
            sc_str_add(&t, "] : f32[8,8]\n");
        }
        sc_str_add(&t, "  %h = matmul %x, %w : f32[4,8]\n  %a = relu %h : f32[4,8]\n"
                       "  %y = matmul %a, %v : f32[4,8]\n}\n");
        ScGraph *g = parsed(&t);
        in = in ? in : st_inputs(g, &seed);
        ScPassEnv env = {.recipe = sc_recipe(cx, "fp8")};
        ScGraph *q = lowered(g, &env, in);
        out[k] = st_eval(q, in, NULL);
        sc_graph_free(q);
        sc_graph_free(g);
    }
    for (int i = 0; i < 32; i++)
        ck_assert(((float *)out[0][0].data)[i] == 4 * ((float *)out[1][0].data)[i]);
    for (int k = 0; k < 2; k++)
        st_free(out[k], 1);
    st_free(in, 1);
}
END_TEST

/* Where a weight stays in f32, its bias is what it was: nothing is left to take back. */
START_TEST(a_switch_gives_the_bias_back)
{
    for (int i = 0; i < N_KIND; i++)
        for (int how = 0; how < 4; how++) {
            uint64_t seed = 3;
            int bias = how % 2;
            ScRecipe recipe = *sc_recipe(cx, "fp8-weights");
            recipe.scale = how / 2 ? SC_BY_BLOCK : SC_BY_CHANNEL;
            ScPassEnv env = {.recipe = &recipe};
            ScGraph *g = one_product(&kinds[i], bias);
            ScrtTensor *x = st_inputs(g, &seed);
            fill_with_means(x, kinds[i].behind);
            ScGraph *q = lowered(g, &env, x), *sw = sc_switched_graph(cx, q);
            ck_assert_msg(sw && sc_verify(sw, "switched"), "%s", st_words(cx));
            ck_assert_uint_eq(sw->n_in, 2);
            ScrtTensor *in = st_inputs(sw, &seed), *want = st_eval(g, in, NULL);
            for (int keep = 0; keep < 2; keep++) {
                *(bool *)in[1].data = keep;
                ScrtTensor *got = st_eval(sw, in, NULL), *low = st_eval(q, in, NULL);
                ck_assert_msg(difference(got, keep ? want : low) < 1e-5, "%s %s: off by %g",
                              kinds[i].op, kinds[i].attr, difference(got, keep ? want : low));
                st_free(got, 1);
                st_free(low, 1);
            }
            st_free(in, 2);
            st_free(want, 1);
            st_free(x, 1);
            sc_graph_free(sw);
            sc_graph_free(q);
            sc_graph_free(g);
        }
}
END_TEST

/* A file of statistics has them, to the bit. */
START_TEST(files_have_means)
{
    uint64_t seed = 5;
    ScGraph *g = one_product(&kinds[4], true);
    ScrtTensor *in = st_inputs(g, &seed);
    ScCalibrator *c = sc_calibrate_begin(cx, g);
    ck_assert(sc_calibrate_add(c, in, NULL));
    const ScStats *s = sc_calibrate_end(c);
    ScStr text = {0};
    sc_stats_print(s, &text);
    const ScStats *t = sc_stats_parse(cx, "x.stats", sc_str_get(&text));
    ck_assert_msg(t, "%s", st_words(cx));
    const ScMeans *a = NULL, *b = NULL;
    for (uint32_t i = 0; i < s->n; i++)
        if (strcmp(s->stat[i].name, "x") == 0) {
            a = s->stat[i].means;
            b = t->stat[i].means;
        }
    ck_assert(a && b && a->n == N && b->n == N && a->behind == 2 && b->behind == 2);
    for (int k = 0; k < N; k++) {
        double sum = 0;
        for (int i = 0; i < 32; i++)
            sum += (double)((float *)in[0].data)[i / 16 * N * 16 + k * 16 + i % 16] / 32;
        ck_assert(a->x[k] == b->x[k] && fabs(a->x[k] - sum) <= fabs(sum) / 256);
    }
    sc_str_free(&text);
    st_free(in, 1);
    sc_graph_free(g);
}
END_TEST

/* One run on synthetic inputs measures them too. */
START_TEST(a_probe_measures_means)
{
    for (int i = 0; i < N_KIND; i++) {
        ScrtTensor in[1];
        ScGraph *g = product_of(&kinds[i], true, false), *p = sc_probe_graph(cx, g);
        ck_assert(p && sc_verify(p, "probe") && sc_probe_inputs(cx, g, SC_PROBE_NOISE, in));
        ScrtTensor *out = st_eval(p, in, NULL);
        const ScStats *s = sc_probe_stats(cx, g, out, out);
        ScCalibrator *c = sc_calibrate_begin(cx, g);
        ck_assert(sc_calibrate_add(c, in, NULL));
        const ScStats *want = sc_calibrate_end(c);
        const ScMeans *a = s->stat[0].means, *b = NULL;
        for (uint32_t k = 0; k < want->n; k++)
            b = strcmp(want->stat[k].name, "x") == 0 ? want->stat[k].means : b;
        ck_assert(s->n == 1 && a && b && a->n == b->n && a->behind == b->behind);
        for (uint32_t k = 0; k < a->n; k++)
            ck_assert(fabs(a->x[k] - b->x[k]) < 1e-2 * fabs(b->x[k]) + 1e-6);
        st_free(out, p->n_out);
        scrt_free(in[0].data);
        sc_graph_free(p);
        sc_graph_free(g);
    }
}
END_TEST

/* Of two runs on inputs of different kinds, what both say, of the lesser one's size or up to half
 * as much again; of one alone, nothing. */
START_TEST(two_probes_must_agree)
{
    ScrtTensor in[1], *out[2];
    ScGraph *g = product_of(&kinds[4], true, false), *p = sc_probe_graph(cx, g);
    const ScMeans *m[2], *both;
    double rms[2];
    for (int k = 0; k < 2; k++) {
        ck_assert(p && sc_probe_inputs(cx, g, k ? SC_PROBE_RAMP : SC_PROBE_NOISE, in));
        for (int64_t i = 0; k && i < scrt_count(&in[0]); i++) /* one channel of another sign */
            ((float *)in[0].data)[i] *= i / 16 % N == 3 ? -1 : 1;
        out[k] = st_eval(p, in, NULL);
        const ScStat *one = sc_probe_stats(cx, g, out[k], out[k])->stat;
        m[k] = one->means;
        rms[k] = one->rms;
        scrt_free(in[0].data);
    }
    both = sc_probe_stats(cx, g, out[0], out[1])->stat[0].means;
    for (int c = 0; c < N; c++) {
        double x = (double)m[0]->x[c] * fmin(rms[1] / rms[0], 1), y = (double)m[1]->x[c];
        double more = fmin(sqrt(rms[0] / rms[1]), 1.5);
        double want = x * y <= 0 ? 0 : copysign(sqrt(x * y), y) * more;
        ck_assert(rms[1] < rms[0] && fabs((double)both->x[c] - want) <= fabs(want) / 64);
        ck_assert(c == 3 ? y < -0.3 : y > 0.3); /* about 1/2, of a ramp from 0 to 1 */
    }
    ck_assert_ptr_null(sc_probe_stats(cx, g, out[0], NULL)->stat[0].means);
    for (int k = 0; k < 2; k++)
        st_free(out[k], p->n_out);
    sc_graph_free(p);
    sc_graph_free(g);
}
END_TEST

static const ScStats *probed(const ScGraph *g)
{
    ScrtTensor in[1], *out[2];
    ScGraph *p = sc_probe_graph(cx, g);
    for (int k = 0; k < 2; k++) {
        ck_assert(p && sc_probe_inputs(cx, g, k ? SC_PROBE_RAMP : SC_PROBE_NOISE, in));
        out[k] = st_eval(p, in, NULL);
        scrt_free(in[0].data);
    }
    const ScStats *s = sc_probe_stats(cx, g, out[0], out[1]);
    for (int k = 0; k < 2; k++)
        st_free(out[k], p->n_out);
    sc_graph_free(p);
    return s;
}

/* Of what follows inputs whose size nobody knows means are nearly none, or they would be many times
 * as large as what comes; not so behind a picture, nor where a bias gives them. An input's own are
 * none. */
START_TEST(means_that_follow_unknown_inputs)
{
    static const struct {
        const char *x, *bias;
        double least, most; /* of the RMS of the means over that of the values */
    } with[] = {{"32,8", "", 0, 0.06},
                {"1,1,32,8", "", 0.3, 1},
                {"32,8", "  %b = const [9,9,9,9,9,9,9,9] : f32[8]\n", 0.3, 1.1}};
    for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
        uint64_t r = 5;
        ScStr t = {0};
        sc_str_addf(&t, "graph @two(%%x: f32[%s]) -> (%%y) {\n", with[i].x);
        add_constant(&t, &r, "w", 64, "8,8");
        add_constant(&t, &r, "u", 48, "8,6");
        sc_str_addf(&t,
                    "%s  %%v = reshape %%x : f32[32,8]\n  %%g = gemm %%v, %%w%s : f32[32,8]\n"
                    "  %%h = relu %%g : f32[32,8]\n  %%y = gemm %%h, %%u : f32[32,6]\n}\n",
                    with[i].bias, *with[i].bias ? ", %b" : "");
        ScGraph *g = parsed(&t);
        const ScStats *s = probed(g);
        const ScStat *h = NULL;
        for (uint32_t k = 0; k < s->n; k++)
            if (strcmp(s->stat[k].name, "h") == 0)
                h = &s->stat[k];
            else
                ck_assert_ptr_null(s->stat[k].means);
        ck_assert(h && h->means && h->means->n == 8);
        double sum = 0;
        for (uint32_t c = 0; c < 8; c++)
            sum += (double)h->means->x[c] * (double)h->means->x[c] / 8;
        double part = sqrt(sum) / h->rms;
        ck_assert_msg(part >= with[i].least && part <= with[i].most, "case %zu: %g", i, part);
        sc_graph_free(g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("means");
    TCase *t = tcase_create("means");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, means_come_out_as_in_f32);
    tcase_add_test(t, padding_is_no_mean);
    tcase_add_test(t, rows_are_corrected);
    tcase_add_test(t, weights_of_another_size_give_the_same_bits);
    tcase_add_test(t, a_switch_gives_the_bias_back);
    tcase_add_test(t, files_have_means);
    tcase_add_test(t, a_probe_measures_means);
    tcase_add_test(t, two_probes_must_agree);
    tcase_add_test(t, means_that_follow_unknown_inputs);
    suite_add_tcase(s, t);
    return sct_main("means", s);
}
