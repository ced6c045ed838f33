/* SPDX-License-Identifier: Apache-2.0 */
/* Scalar bodies: sharing, the interpreter's arithmetic, ldexp bit for bit, and the elementary
 * functions within 2 ulp on floats spread over all 2^32. */
#include "ir/expr.h"
#include "tests/harness.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static ScBody begin(ScrtDtype compute)
{
    return (ScBody){.arena = sc_arena_new(), .compute = compute};
}

static void end(ScBody *b)
{
    sc_arena_free(b->arena);
}

static float from_bits(uint32_t i)
{
    float x;
    memcpy(&x, &i, sizeof x);
    return x;
}

static bool same_float(double x, double y)
{
    return (x != x && y != y) || (x == y && !signbit(x) == !signbit(y));
}

/* --- Building -------------------------------------------------------------------------------- */

START_TEST(equal_instructions_are_shared)
{
    ScBody b = begin(SCRT_F32);
    ScX x = sc_x_in(&b, 0, SC_XF), y = sc_x_in(&b, 1, SC_XF);
    ScX s = sc_x(&b, SC_X_ADD, x, y, 0);
    uint32_t n = b.n;
    ck_assert_uint_eq(sc_x(&b, SC_X_ADD, sc_x_in(&b, 0, SC_XF), sc_x_in(&b, 1, SC_XF), 0), s);
    ck_assert_uint_eq(b.n, n);
    ck_assert_uint_ne(sc_x(&b, SC_X_ADD, y, x, 0), s);
    ck_assert_uint_ne(sc_x_const(&b, 0.0), sc_x_const(&b, -0.0));
    ck_assert_uint_eq(sc_x_const(&b, NAN), sc_x_const(&b, NAN));
    ck_assert_uint_ne(sc_x_libm1(&b, SCRT_LIBM1_EXP, x), sc_x_libm1(&b, SCRT_LIBM1_LOG, x));
    end(&b);
}
END_TEST

START_TEST(many_instructions_survive_growing)
{
    ScBody b = begin(SCRT_F64);
    ScX x = sc_x_in(&b, 0, SC_XF), y = x;
    for (int i = 1; i <= 300; i++)
        y = sc_x(&b, SC_X_ADD, y, sc_x_const(&b, i), 0);
    ck_assert(sc_body_run(&b, y, (double[]){0.5}, 0, NULL) == 0.5 + 300 * 150.5);
    end(&b);
}
END_TEST

START_TEST(results_have_their_operands_type)
{
    ScBody b = begin(SCRT_F32);
    ScX f = sc_x_in(&b, 0, SC_XF), i = sc_x_int(&b, 3), lt = sc_x(&b, SC_X_LT, f, f, 0);
    ck_assert_int_eq(b.ins[lt].type, SC_XB);
    ck_assert_int_eq(b.ins[sc_x(&b, SC_X_SELECT, lt, i, i)].type, SC_XI);
    ck_assert_int_eq(b.ins[sc_x(&b, SC_X_SELECT, lt, f, f)].type, SC_XF);
    ck_assert_int_eq(b.ins[sc_x(&b, SC_X_NOT, lt, 0, 0)].type, SC_XB);
    ck_assert_int_eq(b.ins[sc_x(&b, SC_X_BITS, f, 0, 0)].type, SC_XI);
    end(&b);
}
END_TEST

/* --- Interpreting ---------------------------------------------------------------------------- */

static double run2(ScrtDtype compute, ScXType type, ScXOp op, double x, double y)
{
    ScBody b = begin(compute);
    ScX z = sc_x(&b, op, sc_x_in(&b, 0, type), sc_x_in(&b, 1, type), 0);
    double r = sc_body_run(&b, z, (double[]){x, y}, 0, NULL);
    end(&b);
    return r;
}

START_TEST(floats_round_to_the_compute_type)
{
    ck_assert(run2(SCRT_F32, SC_XF, SC_X_ADD, 1, 0x1p-24) == 1);
    ck_assert(run2(SCRT_F64, SC_XF, SC_X_ADD, 1, 0x1p-24) == 1 + 0x1p-24);
    ck_assert(isinf(run2(SCRT_F32, SC_XF, SC_X_MUL, 0x1p100, 0x1p100)));
    ck_assert(run2(SCRT_F32, SC_XF, SC_X_DIV, 1, 3) == (double)(1.0f / 3.0f));
}
END_TEST

START_TEST(bounds_follow_nan_and_take_the_second_of_equals)
{
    ck_assert(isnan(run2(SCRT_F32, SC_XF, SC_X_MAX, NAN, 1)));
    ck_assert(isnan(run2(SCRT_F32, SC_XF, SC_X_MAX, 1, NAN)));
    ck_assert(isnan(run2(SCRT_F32, SC_XF, SC_X_MIN, NAN, 1)));
    ck_assert(isnan(run2(SCRT_F32, SC_XF, SC_X_MIN, 1, NAN)));
    ck_assert(same_float(run2(SCRT_F32, SC_XF, SC_X_MAX, 0.0, -0.0), -0.0));
    ck_assert(run2(SCRT_F32, SC_XF, SC_X_SCALE, 0x1.fffffep0, -150) == 0x1p-149);
    ck_assert(run2(SCRT_F32, SC_XF, SC_X_SCALE, -1, 128) == -INFINITY);
    ck_assert(isnan(run2(SCRT_F32, SC_XF, SC_X_SCALE, 1, NAN)));
    ck_assert(same_float(run2(SCRT_F32, SC_XF, SC_X_MIN, -0.0, 0.0), 0.0));
}
END_TEST

START_TEST(integers_wrap_at_their_width)
{
    ck_assert(run2(SCRT_I8, SC_XI, SC_X_ADD, 127, 1) == -128);
    ck_assert(run2(SCRT_U8, SC_XI, SC_X_ADD, 255, 1) == 0);
    ck_assert(run2(SCRT_U8, SC_XI, SC_X_SUB, 0, 1) == 255);
    ck_assert(run2(SCRT_I32, SC_XI, SC_X_MUL, 0x10000, 0x10000) == 0);
    ck_assert(run2(SCRT_I32, SC_XI, SC_X_DIV, -7, 2) == -3);
    ck_assert(run2(SCRT_U64, SC_XI, SC_X_MAX, 0x1p63, 1) == 0x1p63);
    ck_assert(run2(SCRT_I32, SC_XI, SC_X_SAR, -8, 1) == -4);
    ck_assert(run2(SCRT_I32, SC_XI, SC_X_SHR, -8, 1) == 0x7ffffffc);
    ck_assert(run2(SCRT_I32, SC_XI, SC_X_SHL, 1, 31) == -0x1p31);
}
END_TEST

START_TEST(a_cast_body_has_integers_of_its_own_width)
{
    ScBody b = begin(SCRT_F32);
    b.integer = SCRT_I64;
    ScX y = sc_x(&b, SC_X_TOINT, sc_x_in(&b, 0, SC_XF), 0, 0);
    ck_assert(sc_body_run(&b, y, (double[]){0x1p40}, 0, NULL) == 0x1p40);
    end(&b);
}
END_TEST

START_TEST(bit_patterns_go_both_ways)
{
    ScBody b = begin(SCRT_F32);
    ScX i = sc_x(&b, SC_X_BITS, sc_x_in(&b, 0, SC_XF), 0, 0);
    ScX back = sc_x(&b, SC_X_FLOAT, i, 0, 0);
    ck_assert(sc_body_run(&b, i, (double[]){-1}, 0, NULL) == (double)(int32_t)0xbf800000);
    ck_assert(sc_body_run(&b, back, (double[]){-1}, 0, NULL) == -1);
    ck_assert(same_float(sc_body_run(&b, back, (double[]){-0.0}, 0, NULL), -0.0));
    end(&b);
}
END_TEST

START_TEST(terms_take_their_values_from_the_environment)
{
    ScCtx *cx = sc_ctx_new();
    const ScTerm *n = sc_term_sym(cx, "n");
    ScBody b = begin(SCRT_F32);
    ScX t = sc_x_term(&b, sc_term_addc(cx, n, 1));
    ScX y = sc_x(&b, SC_X_DIV, sc_x_in(&b, 0, SC_XF), sc_x(&b, SC_X_TOFLOAT, t, 0, 0), 0);
    ck_assert_uint_eq(sc_x_term(&b, sc_term_addc(cx, n, 1)), t);
    ck_assert_int_eq(b.ins[sc_x_term(&b, sc_term(cx, 7))].code, SC_X_ICONST);
    ScBinding env = {sc_intern(cx, "n"), 3};
    ck_assert(sc_body_run(&b, y, (double[]){10}, 1, &env) == 2.5);
    end(&b);
    sc_ctx_free(cx);
}
END_TEST

/* --- ldexp ----------------------------------------------------------------------------------- */

static const uint32_t patterns[] = {0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00800000,
                                    0x3f800000, 0xbfffffff, 0x3faaaaab, 0x7f7fffff, 0x00400003,
                                    0x7f800000, 0xff800000, 0x7fc00000, 0x20123457, 0x60fedcbb};

/* By a constant exponent and by one that is known when it runs. */
START_TEST(ldexp_is_exact_for_every_exponent)
{
    ScCtx *cx = sc_ctx_new();
    const ScTerm *e = sc_term_sym(cx, "e");
    ScBody dynamic = begin(SCRT_F32);
    ScX d = sc_x_ldexp(&dynamic, sc_x_in(&dynamic, 0, SC_XF), sc_x_term(&dynamic, e));
    for (int k = -420; k <= 420; k++) {
        ScBody fixed = begin(SCRT_F32);
        ScX f = sc_x_ldexp(&fixed, sc_x_in(&fixed, 0, SC_XF), sc_x_int(&fixed, k));
        ScBinding env = {sc_intern(cx, "e"), k};
        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
            double x = from_bits(patterns[i]), want = ldexpf((float)x, k);
            ck_assert_msg(same_float(sc_body_run(&fixed, f, &x, 0, NULL), want),
                          "%a * 2^%d, constant", x, k);
            ck_assert_msg(same_float(sc_body_run(&dynamic, d, &x, 1, &env), want),
                          "%a * 2^%d, a term", x, k);
        }
        end(&fixed);
    }
    ScBody none = begin(SCRT_F32);
    ScX x = sc_x_in(&none, 0, SC_XF);
    ck_assert_uint_eq(sc_x_ldexp(&none, x, sc_x_int(&none, 0)), x);
    end(&none);
    end(&dynamic);
    sc_ctx_free(cx);
}
END_TEST

START_TEST(ldexp_of_doubles)
{
    const double xs[] = {1, -1.75, DBL_MIN, 0x1p-1074, DBL_MAX, 0x1.fffffffffffffp-1022};
    for (int k = -2200; k <= 2200; k += 7) {
        ScBody b = begin(SCRT_F64);
        ScX f = sc_x_ldexp(&b, sc_x_in(&b, 0, SC_XF), sc_x_int(&b, k));
        for (size_t i = 0; i < sizeof xs / sizeof *xs; i++)
            ck_assert_msg(same_float(sc_body_run(&b, f, &xs[i], 0, NULL), ldexp(xs[i], k)),
                          "%a * 2^%d", xs[i], k);
        end(&b);
    }
}
END_TEST

/* --- Elementary functions -------------------------------------------------------------------- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static const struct {
    const char *name;
    ScX (*build)(ScBody *b, ScX x);
    double (*exact)(double x);
} functions[] = {
    {"exp", sc_x_exp, exp},    {"expm1", sc_x_expm1, expm1}, {"log", sc_x_log, log},
    {"tanh", sc_x_tanh, tanh}, {"erf", sc_x_erf, erf},       {"sigmoid", sc_x_sigmoid, sigmoid},
};

/* Distance from the exact value in units of the last place of an f32 there; HUGE_VAL where one is
 * NaN, infinite or of another sign of zero and the other is not. */
static double ulps(double got, double exact)
{
    float rounded = (float)exact;
    int e;
    if (isnan(got) || isnan(rounded))
        return isnan(got) && isnan(rounded) ? 0 : HUGE_VAL;
    if (isinf(got) || isinf(rounded) || (got == 0 && rounded == 0))
        return same_float(got, rounded) ? 0 : HUGE_VAL;
    frexp(exact, &e);
    return fabs(got - exact) / ldexp(1, (e < -125 ? -125 : e) - 24);
}

static void check_point(int f, const ScBody *b, ScX y, float x)
{
    double in = x, got = sc_body_run(b, y, &in, 0, NULL), exact = functions[f].exact(in);
    ck_assert_msg(ulps(got, exact) <= 2, "%s(%a) is %a, %g ulp from %a", functions[f].name, in, got,
                  ulps(got, exact), exact);
}

START_TEST(functions_are_within_two_ulp)
{
    ScBody b = begin(SCRT_F32);
    ScX y = functions[_i].build(&b, sc_x_in(&b, 0, SC_XF));
    const uint64_t stride = getenv("SCT_FULL") ? 997 : 99991; /* prime: all residues of the bits */
    for (uint64_t i = 0; i < UINT64_C(1) << 32; i += stride)
        check_point(_i, &b, y, from_bits((uint32_t)i));
    for (float x = 0.3f; x < 1.1f; x += 0x1p-12f) { /* where the pieces meet */
        check_point(_i, &b, y, x);
        check_point(_i, &b, y, -x);
    }
    end(&b);
}
END_TEST

START_TEST(functions_at_the_edges)
{
    const float edges[] = {0.0f,        -0.0f,       INFINITY,     -INFINITY,     NAN,
                           FLT_MIN,     -FLT_MIN,    FLT_TRUE_MIN, -FLT_TRUE_MIN, FLT_MAX,
                           -FLT_MAX,    1.0f,        -1.0f,        88.722839f,    88.722847f,
                           -87.336548f, -103.97207f, -103.97208f,  0.625f,        0.92f,
                           9.0109f,     3.9192f};
    ScBody b = begin(SCRT_F32);
    ScX y = functions[_i].build(&b, sc_x_in(&b, 0, SC_XF));
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        check_point(_i, &b, y, edges[i]);
        check_point(_i, &b, y, nextafterf(edges[i], INFINITY));
        check_point(_i, &b, y, nextafterf(edges[i], -INFINITY));
    }
    end(&b);
}
END_TEST

START_TEST(functions_of_doubles_are_those_of_libm)
{
    ScBody b = begin(SCRT_F64);
    ScX y = functions[_i].build(&b, sc_x_in(&b, 0, SC_XF));
    for (double x = -3; x < 3; x += 0.37) {
        double got = sc_body_run(&b, y, &x, 0, NULL), exact = functions[_i].exact(x);
        ck_assert_msg(same_float(got, exact) || fabs(got - exact) <= 4 * DBL_EPSILON * fabs(exact),
                      "%s(%g)", functions[_i].name, x);
    }
    end(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ir-expr");
    TCase *t = tcase_create("expr");
    const int n = sizeof functions / sizeof *functions;
    tcase_add_test(t, equal_instructions_are_shared);
    tcase_add_test(t, many_instructions_survive_growing);
    tcase_add_test(t, results_have_their_operands_type);
    tcase_add_test(t, floats_round_to_the_compute_type);
    tcase_add_test(t, bounds_follow_nan_and_take_the_second_of_equals);
    tcase_add_test(t, integers_wrap_at_their_width);
    tcase_add_test(t, a_cast_body_has_integers_of_its_own_width);
    tcase_add_test(t, bit_patterns_go_both_ways);
    tcase_add_test(t, terms_take_their_values_from_the_environment);
    tcase_add_test(t, ldexp_is_exact_for_every_exponent);
    tcase_add_test(t, ldexp_of_doubles);
    tcase_add_loop_test(t, functions_are_within_two_ulp, 0, n);
    tcase_add_loop_test(t, functions_at_the_edges, 0, n);
    tcase_add_loop_test(t, functions_of_doubles_are_those_of_libm, 0, n);
    suite_add_tcase(s, t);
    return sct_main("ir-expr", s);
}
