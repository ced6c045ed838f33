/* SPDX-License-Identifier: Apache-2.0 */
/* The graph with switches: all off it is the low one, all on the plain one, one on in between. */
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

/* Two layers; the second weight has an outlier. */
static ScGraph *net(void)
{
    uint64_t r = 11;
    ScBuild b;
    sc_build_init(&b, cx, "net", NULL);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){4, 16});
    ScVal h =
        sc_op(&b, relu, sc_op(&b, matmul, x, st_weight(&b, &r, "w1", 2, (int64_t[]){16, 32}, 0.1)));
    float *w = sc_array(sc_ctx_arena(cx), float, 32 * 8);
    for (int i = 0; i < 32 * 8; i++)
        w[i] = (float)(st_normal(&r) * 1e-5);
    w[3] = 1;
    ScVal w2 = sc_const(&b, sc_blob(cx, sc_intern(cx, "w2"), SCRT_F32, 2, (int64_t[]){32, 8}, w),
                        SCRT_F32, NULL);
    sc_output(&b, sc_intern(cx, "y"), sc_op(&b, matmul, h, w2));
    return sc_build_end(&b);
}

static void add_weight(ScStr *out, uint64_t *r, const char *name, int rows, int columns)
{
    sc_str_addf(out, "%%%s = const [", name);
    for (int i = 0; i < rows * columns; i++)
        sc_str_addf(out, "%s%.9g", i ? "," : "", st_normal(r));
    sc_str_addf(out, "] : f32[%d,%d]\n", rows, columns);
}

/* Three turns of a layer and of one of two others: all but the last layer's sites are nested. */
static ScGraph *turns(void)
{
    uint64_t r = 12;
    ScStr t = {0};
    sc_str_add(&t, "graph @turns(%x: f32[4,8], %low: bool[]) -> (%y) {\n"
                   "  %t = const 3 : i64[]\n"
                   "  %c = const true : bool[]\n  ");
    add_weight(&t, &r, "w", 8, 8);
    sc_str_add(&t, "  %l = loop %t, %c, %x, %low {carried = 1} : f32[4,8]\n"
                   "    graph @body(%i: i64[], %v: f32[4,8], %lower: bool[]) -> (%on, %next) {\n"
                   "      %on = const true : bool[]\n      ");
    add_weight(&t, &r, "u", 8, 8);
    sc_str_add(&t, "      %a = matmul %v, %u : f32[4,8]\n"
                   "      %b = tanh %a : f32[4,8]\n"
                   "      %next = if %lower, %b, %v : f32[4,8]\n"
                   "        graph @then(%p: f32[4,8], %q: f32[4,8]) -> (%s) {\n          ");
    add_weight(&t, &r, "m", 8, 8);
    sc_str_add(&t, "          %s = matmul %p, %m : f32[4,8]\n"
                   "        }\n"
                   "        graph @else(%p: f32[4,8], %q: f32[4,8]) -> (%s) {\n          ");
    add_weight(&t, &r, "n", 8, 8);
    sc_str_add(&t, "          %s = matmul %q, %n : f32[4,8]\n"
                   "        }\n"
                   "    }\n"
                   "  %y = matmul %l, %w : f32[4,8]\n"
                   "}\n");
    ScGraph *g = sc_parse(cx, "turns", sc_str_get(&t), NULL, NULL);
    ck_assert_msg(g, "%s", st_words(cx));
    sc_str_free(&t);
    return g;
}

/* A weight as [n, k], whose last block is a part of one, and one as [k, n]. */
static ScGraph *both_ways(void)
{
    uint64_t r = 13;
    ScStr t = {0};
    sc_str_add(&t, "graph @g(%x: f32[4,40]) -> (%y) {\n  ");
    add_weight(&t, &r, "w", 36, 40);
    sc_str_add(&t, "  ");
    add_weight(&t, &r, "u", 36, 5);
    sc_str_add(&t, "  %a = gemm %x, %w {trans_b = 1} : f32[4,36]\n"
                   "  %y = matmul %a, %u : f32[4,5]\n}\n");
    ScGraph *g = sc_parse(cx, "both", sc_str_get(&t), NULL, NULL);
    ck_assert_msg(g, "%s", st_words(cx));
    sc_str_free(&t);
    return g;
}

/* Noise to signal of switched's output against want, with the switches in bits on. */
static double noise(const ScGraph *s, ScrtTensor *in, uint32_t n_site, uint32_t bits,
                    const ScrtTensor *want)
{
    double sum = 0, all = 0;
    for (uint32_t i = 0; i < n_site; i++)
        *(bool *)in[s->n_in - n_site + i].data = bits >> i & 1;
    ScrtTensor *out = st_eval(s, in, NULL);
    for (int64_t i = 0; i < scrt_count(want); i++) {
        double x = scrt_load(SCRT_F32, want->data, (size_t)i);
        double y = scrt_load(SCRT_F32, out[0].data, (size_t)i);
        sum += (x - y) * (x - y);
        all += x * x;
    }
    st_free(out, s->n_out);
    return sum / all;
}

/* g in the recipe has n sites, and their switches do what they say. */
static void check(ScGraph *g, const char *recipe, uint32_t want_n)
{
    uint64_t r = 6;
    uint32_t n, n_level;
    ScArena *a = sc_arena_new();
    ScPassEnv env = {.recipe = sc_recipe(cx, recipe)};
    ScGraph *s = st_pass(sc_pass_scalify, g, &env, "scalify");
    ScGraph *q = st_pass(sc_pass_quantize, s, &env, "quantize");
    ScGraph *low = st_pass(sc_pass_settle, q, &env, "settle");
    ScGraph *sw = sc_switched_graph(cx, low);
    ck_assert_msg(sw && sc_verify(sw, "switched"), "%s", st_words(cx));
    const ScLevel *level = sc_levels(low, a, &n_level);
    const ScVal *site = sc_storage_sites(low, a, &n);
    ck_assert_uint_eq(n, want_n);
    ck_assert_uint_eq(sw->n_in, g->n_in + n);
    for (uint32_t i = 0; i < n; i++) {
        const ScLevel *l = sc_level_of(level, n_level, site[i]);
        ScVal v = site[i] - l->first;
        ck_assert(scrt_dtype_bits(sc_type_of(l->g, v)->dtype) < 32 ||
                  sc_def(l->g, v)->op == &sc_op_dequantize);
    }
    ScrtTensor *in = st_inputs(sw, &r), *plain = st_eval(g, in, NULL);
    ScrtTensor *stored = st_eval(low, in, NULL);
    double none = noise(sw, in, n, 0, plain), least = none;
    ck_assert(noise(sw, in, n, 0, stored) < 1e-12);
    ck_assert(noise(sw, in, n, (1u << n) - 1, plain) < 1e-12);
    for (uint32_t i = 0; i < n; i++)
        least = fmin(least, noise(sw, in, n, 1u << i, plain));
    ck_assert(least < none);
    st_free(in, sw->n_in);
    st_free(plain, 1);
    st_free(stored, 1);
    ScGraph *all[] = {g, s, q, low, sw};
    for (int i = 0; i < 5; i++)
        sc_graph_free(all[i]);
    sc_arena_free(a);
}

START_TEST(switches)
{
    check(net(), "fp8", 4);
    check(net(), "fp8-weights", 2);
    check(net(), "f16", 4);
    check(net(), "mxfp8", 4);
    check(net(), "mxfp4-weights", 2);
    check(both_ways(), "mxfp8", 4);
    check(both_ways(), "mxfp4-weights", 2);
    check(turns(), "mxfp6", 8);
    check(turns(), "fp8", 8);
    check(turns(), "fp8-weights", 4);
    check(turns(), "f16", 8);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("switch");
    TCase *t = tcase_create("switch");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, switches);
    suite_add_tcase(s, t);
    return sct_main("switch", s);
}
