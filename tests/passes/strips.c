/* SPDX-License-Identifier: Apache-2.0 */
/* Weights so large that threads share them: what is found of a channel depends neither on threads
 * nor on how the weight lies in memory. */
#include "passes/scale_priv.h"
#include "tests/passes/scale_util.h"

#include <sched.h>

static ScCtx *cx;

static void setup(void)
{
    cx = sc_ctx_new();
}

static void teardown(void)
{
    sc_ctx_free(cx);
}

enum { K = 300, N = 1001, SMALL = 600 }; /* channels from SMALL on are scaled */

/* x W or x W^T with the same numbers: of every seventh channel they are zeros. */
static ScGraph *product(bool trans, double scale)
{
    uint64_t r = 9;
    ScBuild b;
    float *w = sc_array(sc_ctx_arena(cx), float, K *N);
    for (int k = 0; k < K; k++)
        for (int n = 0; n < N; n++)
            w[trans ? n * K + k : k * N + n] = (float)(st_normal(&r) * (n % 7 == 3  ? 0
                                                                        : n < SMALL ? 1
                                                                                    : scale));
    sc_build_init(&b, cx, "large", NULL);
    const ScBlob *blob = sc_blob(cx, sc_intern(cx, "w"), SCRT_F32, 2,
                                 trans ? (int64_t[]){N, K} : (int64_t[]){K, N}, w);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){4, K});
    ScVal c = sc_const(&b, blob, SCRT_F32, NULL);
    sc_output(&b, sc_intern(cx, "y"), sc_op_at(&b, gemm, SC_ATTRS(SC_INT(0), SC_INT(trans)), x, c));
    return sc_build_end(&b);
}

/* The weight as a recipe stores it. */
static const ScBlob *stored_by(const char *recipe, bool trans, double scale)
{
    ScGraph *g = product(trans, scale);
    ScGraph *q = st_lowered(g, &(ScPassEnv){.recipe = sc_recipe(cx, recipe)});
    const ScBlob *ret = NULL;
    for (uint32_t i = 0; i < q->n_node; i++)
        if (q->node[i].op->flags & SC_CONST_OP && q->node[i].attr[0].blob->unit)
            ret = q->node[i].attr[0].blob;
    ck_assert_ptr_nonnull(ret);
    sc_graph_free(q);
    sc_graph_free(g);
    return ret;
}

static const ScBlob *stored(bool trans, double scale)
{
    const ScBlob *ret = stored_by("fp8-weights", trans, scale);
    ck_assert(ret->dtype == SCRT_F8E4M3FN && ret->n_unit == N);
    return ret;
}

START_TEST(channels_lie_along_or_across)
{
    const ScBlob *a = stored(false, 1), *b = stored(true, 1);
    for (size_t n = 0; n < N; n++)
        ck_assert_msg(a->unit[n] == b->unit[n], "channel %zu: %g and %g", n, (double)a->unit[n],
                      (double)b->unit[n]);
    for (size_t k = 0; k < K; k++)
        for (size_t n = 0; n < N; n++)
            ck_assert_uint_eq(((const uint8_t *)a->data)[k * N + n],
                              ((const uint8_t *)b->data)[n * K + k]);
}
END_TEST

/* Whatever lies behind a channel's index: strips are no wider than what is kept of one, and their
 * runs are all elements, each of its channel. */
START_TEST(strips_are_all_of_it)
{
    static const int64_t inner[] = {1, 2, 63, 64, 65, 1023, 1024, 1025, 2048, 65535, 65536, 65537};
    enum { CHANNELS = 130, OUTER = 2 };
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        ScScaledProduct p = {.channels = CHANNELS, .inner = inner[i]};
        size_t count = (size_t)inner[i] * CHANNELS * OUTER, seen = 0;
        ScStrips s = sc_strips(&(ScBlob){.dtype = SCRT_F32, .count = count}, &p);
        ck_assert_msg(s.width > 0 && s.width <= SC_RUN, "%zu channels of %zu", s.width, s.inner);
        size_t next = 0;
        for (size_t k = 0; k < s.n; k++) {
            ScRun r = sc_run_begin(&s, k);
            ck_assert_uint_eq(r.first, next);
            next = r.past;
            while (sc_run_next(&s, &r)) {
                ck_assert(r.n > 0 && r.n <= SC_RUN && r.c >= r.first && r.c < r.past);
                ck_assert_uint_eq(r.at / s.inner % CHANNELS, r.c);
                seen += r.n;
            }
        }
        ck_assert_uint_eq(next, CHANNELS);
        ck_assert_uint_eq(seen, count);
    }
}
END_TEST

/* Powers of two move nothing, even where squares would leave the range of f32. */
START_TEST(far_channels_are_like_near_ones)
{
    for (int trans = 0; trans < 2; trans++)
        for (int e = -75; e <= 75; e += 50) {
            const ScBlob *a = stored(trans, 1), *b = stored(trans, exp2(e));
            for (size_t n = 0; n < N; n++) {
                double by = n % 7 == 3 || n < SMALL ? 1 : exp2(e);
                ck_assert_msg((double)a->unit[n] * by == (double)b->unit[n],
                              "channel %zu: %g and %g", n, (double)a->unit[n], (double)b->unit[n]);
            }
            ck_assert_int_eq(memcmp(a->data, b->data, a->count), 0);
        }
}
END_TEST

START_TEST(codes_are_rounded_elements)
{
    const ScBlob *b = stored(false, 1);
    for (size_t i = 0; i < b->count; i++) {
        double x = scrt_load(b->from->dtype, b->from->data, i) / sc_blob_unit(b, i);
        ck_assert_uint_eq(((const uint8_t *)b->data)[i],
                          scrt_round(SCRT_F8E4M3FN, x, true, SCRT_NEAREST));
    }
}
END_TEST

static double error_at(const double *x, int n, int e)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        uint64_t code = scrt_round(SCRT_F4E2M1, ldexp(x[i], -e), true, SCRT_NEAREST);
        double off = ldexp(scrt_value(SCRT_F4E2M1, code), e) - x[i];
        sum += off * off;
    }
    return sum;
}

/* Of the least scale that clips nothing and the one below it a block has the better one. */
START_TEST(blocks_have_the_better_scale)
{
    enum { BLOCK = 32 };
    bool trans = _i;
    const ScBlob *b = stored_by("mxfp4-weights", trans, 1);
    ck_assert(b->dtype == SCRT_F4E2M1 && b->block == BLOCK);
    int below = 0;
    for (int n = 0; n < N; n++)
        for (int first = 0; first < K; first += BLOCK) {
            int count = K - first < BLOCK ? K - first : BLOCK, e = -127;
            double x[BLOCK], amax = 0;
            for (int k = 0; k < count; k++) {
                size_t at = (size_t)(trans ? n * K + first + k : (first + k) * N + n);
                x[k] = scrt_load(SCRT_F32, b->from->data, at);
                amax = fmax(amax, fabs(x[k]));
            }
            while (amax > 0 && ldexp(6, e) < amax)
                e++;
            bool less = amax > 0 && error_at(x, count, e - 1) < error_at(x, count, e);
            below += less;
            for (int k = 0; k < count; k++) {
                size_t at = (size_t)(trans ? n * K + first + k : (first + k) * N + n);
                ck_assert(sc_blob_unit(b, at) == ldexp(1, e - less));
                ck_assert_uint_eq(
                    scrt_load_bits(SCRT_F4E2M1, b->data, at),
                    scrt_round(SCRT_F4E2M1, ldexp(x[k], less - e), true, SCRT_NEAREST));
            }
        }
    ck_assert_int_gt(below, 100);
}
END_TEST

/* What is stored has its hash for a name. */
START_TEST(threads_do_not_show)
{
    cpu_set_t all, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    const char *name[2], *block[2];
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(sched_setaffinity(0, sizeof one, i ? &all : &one), 0);
        name[i] = stored(false, 3)->name;
        block[i] = stored_by("mxfp4-weights", true, 3)->name;
    }
    ck_assert_str_eq(name[0], name[1]);
    ck_assert_str_eq(block[0], block[1]);
}
END_TEST

/* Of a large constant every element is looked at: what is not finite keeps it in f32, wherever it
 * is, and the largest is the ceiling. */
START_TEST(no_element_is_overlooked)
{
    static const size_t at[] = {0, 3, 64, 70001, K * N - 2, K * N - 1};
    static const float odd[] = {INFINITY, -NAN, -2048};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
            ScGraph *g = product(false, 1);
            ScArena *a = sc_arena_new();
            const ScNode *c = &g->node[1];
            ck_assert(c->op->flags & SC_CONST_OP);
            ScBuild b;
            float *w = sc_array(sc_ctx_arena(cx), float, K *N);
            memcpy(w, c->attr[0].blob->data, sizeof *w * K * N);
            w[at[i]] = odd[k];
            sc_build_init(&b, cx, "odd", NULL);
            ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){4, K});
            const ScBlob *blob = sc_blob(cx, sc_intern(cx, "w"), SCRT_F32, 2, (int64_t[]){K, N}, w);
            ScVal v = sc_const(&b, blob, SCRT_F32, NULL);
            sc_output(&b, sc_intern(cx, "y"), sc_op(&b, matmul, x, v));
            sc_graph_free(g);
            g = sc_build_end(&b);
            ScGraph *q = st_lowered(g, &(ScPassEnv){.recipe = sc_recipe(cx, "fp8-weights")});
            bool low = false;
            for (uint32_t n = 0; n < q->n_node; n++)
                low = low || q->value[q->node[n].first].type->dtype == SCRT_F8E4M3FN;
            ck_assert_int_eq(low, isfinite(odd[k]));
            const int32_t *top = sc_ceilings(g, a);
            v = g->node[1].first;
            if (isfinite(odd[k]))
                ck_assert_int_eq(top[v], 11 * 256 + 1);
            else
                ck_assert_int_eq(top[v], SC_NO_TOP);
            sc_graph_free(q);
            sc_graph_free(g);
            sc_arena_free(a);
        }
}
END_TEST

/* Codes are counted: of every type of few bits the facts are those of its elements one by one. */
START_TEST(codes_have_the_facts_of_elements)
{
    static const ScrtDtype type[] = {SCRT_U2,     SCRT_I2,     SCRT_U4,       SCRT_I4,
                                     SCRT_F4E2M1, SCRT_F6E2M3, SCRT_F8E4M3FN, SCRT_U8};
    const int64_t count = 1027;
    uint8_t *data = sc_array(sc_ctx_arena(cx), uint8_t, (size_t)count + 1);
    uint64_t r = 5;
    size_t n = 0;
    double sum = 0, amax = 0;
    bool nonneg = true;
    for (int64_t i = 0; i < count; i++)
        scrt_store_bits(type[_i], data, (size_t)i, st_next(&r) >> 32 & 0x7e); /* no NaN */
    for (int64_t i = 0; i < count; i++) {
        double x = scrt_load(type[_i], data, (size_t)i);
        n += x != 0;
        sum += x * x;
        amax = fmax(amax, fabs(x));
        nonneg = nonneg && x >= 0;
    }
    const ScConstFacts *c =
        sc_const_facts(cx, sc_blob(cx, NULL, type[_i], 1, (int64_t[]){count}, data));
    ck_assert_uint_eq(c->n, n);
    ck_assert_double_eq(c->amax, amax);
    ck_assert_double_eq_tol(c->rms, sqrt(sum / (double)n), 1e-12 * amax);
    ck_assert_int_eq(c->nonneg, nonneg);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("strips");
    TCase *t = tcase_create("strips");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, channels_lie_along_or_across);
    tcase_add_test(t, strips_are_all_of_it);
    tcase_add_test(t, far_channels_are_like_near_ones);
    tcase_add_test(t, codes_are_rounded_elements);
    tcase_add_loop_test(t, blocks_have_the_better_scale, 0, 2);
    tcase_add_test(t, threads_do_not_show);
    tcase_add_test(t, no_element_is_overlooked);
    tcase_add_loop_test(t, codes_have_the_facts_of_elements, 0, 8);
    suite_add_tcase(s, t);
    return sct_main("strips", s);
}
