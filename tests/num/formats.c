/* SPDX-License-Identifier: Apache-2.0 */
/* The floating-point formats against an enumeration that knows nothing of encodings: a format is
 * the ascending list of the numbers m * 2^e that its definition allows. Every format numbers its
 * non-negative values in ascending order from pattern 0, so a pattern is an index into the list,
 * and rounding is a search in it. */
#include "runtime/num/num.h"
#include "tests/harness.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Spec {
    ScrtDtype t;
    int precision, e_min; /* normal numbers have that many bits; the smallest is 2^e_min */
    double max;
    int64_t inf, nan, neg; /* patterns of infinity, a NaN, and the bit of the sign; -1: none */
} Spec;

/* From OCP OFP8 1.0, OCP Microscaling 1.0, IEEE 754, and the ONNX float8 page for FNUZ. */
static const Spec specs[] = {
    {SCRT_F8E4M3FN, 4, -6, 448, -1, 0x7f, 0x80},
    {SCRT_F8E4M3FNUZ, 4, -7, 240, -1, 0x80, 0x80},
    {SCRT_F8E5M2, 3, -14, 57344, 0x7c, 0x7e, 0x80},
    {SCRT_F8E5M2FNUZ, 3, -15, 57344, -1, 0x80, 0x80},
    {SCRT_F4E2M1, 2, 0, 6, -1, -1, 0x8},
    {SCRT_F6E2M3, 4, 0, 7.5, -1, -1, 0x20},
    {SCRT_F6E3M2, 3, -2, 28, -1, -1, 0x20},
    {SCRT_F16, 11, -14, 65504, 0x7c00, 0x7e00, 0x8000},
    {SCRT_BF16, 8, -126, 0x1.fep127, 0x7f80, 0x7fc0, 0x8000},
};
enum { N_SPEC = sizeof specs / sizeof *specs };

static double *list; /* values 0 .. n_list - 1 of the format under test */
static size_t n_list;

static void enumerate(const Spec *s)
{
    size_t half = (size_t)1 << (s->precision - 1);
    n_list = 0;
    list = malloc(sizeof *list << 16);
    for (size_t m = 0; m < half; m++)
        list[n_list++] = ldexp((double)m, s->e_min - s->precision + 1);
    for (int e = s->e_min;; e++)
        for (size_t m = half; m < 2 * half; m++) {
            double v = ldexp((double)m, e - s->precision + 1);
            if (v > s->max)
                return;
            list[n_list++] = v;
        }
}

static void forget(void)
{
    free(list);
    list = NULL;
}

/* The value after the largest, were there no end. */
static double beyond(const Spec *s)
{
    return list[n_list - 1] + ldexp(1, ilogb(s->max) - s->precision + 1);
}

/* The pattern that x rounds to. */
static uint64_t expect(const Spec *s, double x, bool saturate)
{
    bool fnuz = s->nan == s->neg;
    uint64_t sign = signbit(x) ? (uint64_t)s->neg : 0;
    if (isnan(x))
        return s->nan < 0 ? sign : fnuz ? (uint64_t)s->nan : sign | (uint64_t)s->nan;
    double a = fabs(x), end = beyond(s);
    size_t lo = 0, hi = n_list; /* the answer's index is lo or lo + 1; hi stands for beyond */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (list[mid] <= a)
            lo = mid;
        else
            hi = mid;
    }
    double above = hi == n_list ? end : list[hi];
    double middle = list[lo] + (above - list[lo]) / 2;
    size_t at = a > middle || (a == middle && (lo & 1)) ? hi : lo;
    if (at == n_list) {
        if (saturate || (s->inf < 0 && s->nan < 0))
            at = n_list - 1;
        else if (s->inf >= 0)
            return sign | (uint64_t)s->inf;
        else
            return fnuz ? (uint64_t)s->nan : sign | (uint64_t)s->nan;
    }
    return at == 0 && fnuz ? 0 : sign | at;
}

static void check_round(const Spec *s, double x)
{
    for (int saturate = 0; saturate < 2; saturate++) {
        uint64_t want = expect(s, x, saturate), got = scrt_round(s->t, x, saturate, SCRT_NEAREST);
        if (want != got)
            ck_abort_msg("%s: %a (saturate %d) gives %#llx, not %#llx", scrt_dtype_name(s->t), x,
                         saturate, (unsigned long long)got, (unsigned long long)want);
    }
}

static void check_around(const Spec *s, double x)
{
    check_round(s, x);
    check_round(s, -x);
    check_round(s, nextafter(x, INFINITY));
    check_round(s, -nextafter(x, INFINITY));
    if (x > 0) {
        check_round(s, nextafter(x, 0));
        check_round(s, -nextafter(x, 0));
        check_round(s, nextafterf((float)x, 0));
        check_round(s, nextafterf((float)x, INFINITY));
    }
}

START_TEST(every_pattern_has_the_value_of_its_place)
{
    const Spec *s = &specs[_i];
    enumerate(s);
    uint64_t n = (uint64_t)1 << scrt_dtype_bits(s->t), finite = 0;
    for (uint64_t p = 0; p < n; p++) {
        double v = scrt_value(s->t, p);
        uint64_t rest = p & ((uint64_t)s->neg - 1);
        if ((int64_t)p == s->nan && s->nan == s->neg) {
            sct_need(isnan(v), "%#llx is %a", (unsigned long long)p, v);
        } else if (rest < n_list) {
            finite++;
            sct_need(fabs(v) == list[rest] && (signbit(v) != 0) == (p != rest), "%#llx is %a",
                     (unsigned long long)p, v);
            sct_need(scrt_round(s->t, v, false, SCRT_NEAREST) == p, "%a is not rounded to itself",
                     v);
        } else {
            sct_need(((int64_t)rest == s->inf ? isinf(v) : isnan(v)) &&
                         (signbit(v) != 0) == (p != rest),
                     "%#llx is %a", (unsigned long long)p, v);
        }
        sct_need(isnan(v) == isnan(scrt_value(s->t, p | ~(n - 1))), "higher bits count");
    }
    ck_assert_uint_eq(finite, 2 * n_list - (s->nan == s->neg));
    forget();
}
END_TEST

START_TEST(facts_are_those_of_the_list)
{
    const Spec *s = &specs[_i];
    enumerate(s);
    const ScrtFormat *f = scrt_format(s->t);
    ck_assert_ptr_nonnull(f);
    ck_assert(f->max == list[n_list - 1] && f->max == s->max);
    ck_assert(f->min_denorm == list[1]);
    ck_assert(f->min_normal == list[(size_t)1 << (s->precision - 1)]);
    ck_assert_uint_eq(f->bits, scrt_dtype_bits(s->t));
    ck_assert_int_eq(f->man_bits, s->precision - 1);
    ck_assert_int_eq(f->exp_bits, f->bits - s->precision);
    ck_assert_int_eq(f->bias, 1 - s->e_min);
    ck_assert_int_eq(f->has_inf, s->inf >= 0);
    ck_assert_int_eq(f->has_nan, s->nan >= 0);
    ck_assert_int_eq(f->has_neg_zero, s->nan != s->neg);
    ck_assert(f->has_sign);
    forget();
}
END_TEST

START_TEST(rounds_right_at_every_value_and_middle)
{
    const Spec *s = &specs[_i];
    enumerate(s);
    for (size_t i = 0; i < n_list; i++) {
        double above = i + 1 < n_list ? list[i + 1] : beyond(s);
        check_around(s, list[i]);
        check_around(s, list[i] + (above - list[i]) / 2);
    }
    check_around(s, beyond(s));
    check_around(s, 2 * beyond(s));
    check_around(s, DBL_MAX / 2);
    check_around(s, DBL_TRUE_MIN);
    check_around(s, DBL_MIN);
    check_around(s, FLT_TRUE_MIN);
    check_around(s, FLT_MIN);
    check_around(s, FLT_MAX);
    check_round(s, INFINITY);
    check_round(s, -INFINITY);
    check_round(s, NAN);
    check_round(s, -NAN);
    forget();
}
END_TEST

START_TEST(rounds_floats_of_every_region)
{
    const Spec *s = &specs[_i];
    enumerate(s);
    for (uint64_t u = 0; u <= UINT32_MAX; u += 12289) { /* a prime: 350,000 floats */
        uint32_t b = (uint32_t)u;
        float x;
        memcpy(&x, &b, sizeof x);
        check_round(s, x);
    }
    for (uint32_t p = 0; p < 1 << 16; p++) { /* floats that are f16 and bf16 numbers */
        check_round(s, scrt_value(SCRT_F16, p));
        check_round(s, scrt_value(SCRT_BF16, p));
    }
    forget();
}
END_TEST

/* A generator of bits for tests: xorshift64. */
static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

START_TEST(f32_is_the_processors)
{
    uint64_t state = 0x9e3779b97f4a7c15;
    for (int i = 0; i < 2000000; i++) {
        uint64_t u = draw(&state);
        if (i & 1) /* exponents near f32's range */
            u = (u & 0x800fffffffffffff) | (1023 - 160 + (u >> 52) % 320) << 52;
        if (i & 2) /* middles of neighbouring floats */
            u = (u & ~(uint64_t)0x1fffffff) | 0x10000000;
        double x;
        memcpy(&x, &u, sizeof x);
        if (isnan(x))
            continue;
        float f = (float)x, back;
        uint32_t got = (uint32_t)scrt_round(SCRT_F32, x, false, SCRT_NEAREST);
        memcpy(&back, &got, sizeof back);
        sct_need(memcmp(&back, &f, sizeof f) == 0, "%a gives %a, not %a", x, (double)back,
                 (double)f);
        sct_need(scrt_value(SCRT_F32, got) == (double)f, "the value of %#x", got);
        got = (uint32_t)scrt_round(SCRT_F32, x, true, SCRT_NEAREST);
        memcpy(&back, &got, sizeof back);
        sct_need(back == (isinf(f) ? copysignf(FLT_MAX, f) : f), "%a saturates to %a", x,
                 (double)back);
    }
    ck_assert_uint_eq(scrt_round(SCRT_F32, NAN, false, SCRT_NEAREST), 0x7fc00000);
    ck_assert_uint_eq(scrt_round(SCRT_F32, -NAN, true, SCRT_NEAREST), 0xffc00000);
    ck_assert(scrt_value(SCRT_F32, 1) == FLT_TRUE_MIN);
}
END_TEST

START_TEST(f64_is_itself)
{
    uint64_t max, inf;
    double x = DBL_MAX, y = INFINITY;
    memcpy(&max, &x, sizeof x);
    memcpy(&inf, &y, sizeof y);
    ck_assert_uint_eq(scrt_round(SCRT_F64, INFINITY, false, SCRT_NEAREST), inf);
    ck_assert_uint_eq(scrt_round(SCRT_F64, INFINITY, true, SCRT_NEAREST), max);
    ck_assert_uint_eq(scrt_round(SCRT_F64, -INFINITY, true, SCRT_NEAREST), max | (uint64_t)1 << 63);
    ck_assert(scrt_value(SCRT_F64, scrt_round(SCRT_F64, -0x1.8p-1070, true, SCRT_NEAREST)) ==
              -0x1.8p-1070);
    ck_assert(isnan(scrt_value(SCRT_F64, scrt_round(SCRT_F64, NAN, true, SCRT_NEAREST))));
}
END_TEST

/* f8e8m0 has no list of middles that "nearest" could speak of alone: three ways, told apart by the
 * fraction of x over the power of two below it. */
static uint64_t expect_e8m0(double x, bool saturate, ScrtRound mode)
{
    if (!(x >= 0))
        return 255;
    if (isinf(x) || x == 0)
        return !saturate ? 255 : x == 0 ? 0 : 254;
    int e;
    double m = 2 * frexp(x, &e); /* x = m * 2^(e-1), 1 <= m < 2 */
    e -= 1;
    e += mode == SCRT_UP ? m > 1 : mode == SCRT_NEAREST ? m >= 1.5 : 0;
    if (e < -127 || e > 127)
        return !saturate ? 255 : e < 0 ? 0 : 254;
    return 127 + (uint64_t)(int64_t)e;
}

START_TEST(powers_of_two_round_three_ways)
{
    for (int e = -1074; e <= 1023; e++) {
        const double at[] = {1,
                             1.25,
                             1.5,
                             1.75,
                             nextafter(1, 2),
                             nextafter(1.5, 1),
                             nextafter(1.5, 2),
                             nextafter(2, 1)};
        for (unsigned k = 0; k < sizeof at / sizeof *at; k++)
            for (int mode = SCRT_NEAREST; mode <= SCRT_DOWN; mode++)
                for (int saturate = 0; saturate < 2; saturate++) {
                    double x = ldexp(at[k], e);
                    sct_need(scrt_round(SCRT_F8E8M0, x, saturate, (ScrtRound)mode) ==
                                 expect_e8m0(x, saturate, (ScrtRound)mode),
                             "%a, mode %d, saturate %d", x, mode, saturate);
                }
    }
    for (unsigned p = 0; p < 255; p++) {
        ck_assert(scrt_value(SCRT_F8E8M0, p) == ldexp(1, (int)p - 127));
        ck_assert_uint_eq(scrt_round(SCRT_F8E8M0, ldexp(1, (int)p - 127), false, SCRT_NEAREST), p);
    }
    ck_assert(isnan(scrt_value(SCRT_F8E8M0, 255)));
    for (int saturate = 0; saturate < 2; saturate++) {
        ck_assert_uint_eq(scrt_round(SCRT_F8E8M0, NAN, saturate, SCRT_UP), 255);
        ck_assert_uint_eq(scrt_round(SCRT_F8E8M0, -1, saturate, SCRT_UP), 255);
        ck_assert_uint_eq(scrt_round(SCRT_F8E8M0, -DBL_TRUE_MIN, saturate, SCRT_UP), 255);
        ck_assert_uint_eq(scrt_round(SCRT_F8E8M0, -INFINITY, saturate, SCRT_DOWN), 255);
        ck_assert_uint_eq(scrt_round(SCRT_F8E8M0, -0.0, saturate, SCRT_UP), saturate ? 0 : 255);
        ck_assert_uint_eq(scrt_round(SCRT_F8E8M0, INFINITY, saturate, SCRT_UP),
                          saturate ? 254 : 255);
    }
}
END_TEST

/* The rows of the table of ONNX Cast, spelled out. */
START_TEST(onnx_cast_table)
{
    static const struct {
        ScrtDtype t;
        unsigned max, inf, neg_inf, nan, neg_nan, neg_zero;
    } row[] = {
        {SCRT_F8E4M3FN, 0x7e, 0x7f, 0xff, 0x7f, 0xff, 0x80},
        {SCRT_F8E4M3FNUZ, 0x7f, 0x80, 0x80, 0x80, 0x80, 0},
        {SCRT_F8E5M2, 0x7b, 0x7c, 0xfc, 0x7e, 0xfe, 0x80},
        {SCRT_F8E5M2FNUZ, 0x7f, 0x80, 0x80, 0x80, 0x80, 0},
    };
    for (unsigned i = 0; i < 4; i++) {
        ScrtDtype t = row[i].t;
        const double big[] = {INFINITY, 1e9, FLT_MAX};
        for (unsigned k = 0; k < 3; k++) {
            ck_assert_uint_eq(scrt_round(t, big[k], true, SCRT_NEAREST), row[i].max);
            ck_assert_uint_eq(scrt_round(t, -big[k], true, SCRT_NEAREST), row[i].max | 0x80);
            ck_assert_uint_eq(scrt_round(t, big[k], false, SCRT_NEAREST), row[i].inf);
            ck_assert_uint_eq(scrt_round(t, -big[k], false, SCRT_NEAREST), row[i].neg_inf);
        }
        for (int saturate = 0; saturate < 2; saturate++) {
            ck_assert_uint_eq(scrt_round(t, NAN, saturate, SCRT_NEAREST), row[i].nan);
            ck_assert_uint_eq(scrt_round(t, -NAN, saturate, SCRT_NEAREST), row[i].neg_nan);
            ck_assert_uint_eq(scrt_round(t, 0, saturate, SCRT_NEAREST), 0);
            ck_assert_uint_eq(scrt_round(t, -0.0, saturate, SCRT_NEAREST), row[i].neg_zero);
        }
    }
}
END_TEST

START_TEST(other_types_have_no_format)
{
    for (int t = -2; t < SCRT_DTYPE_END + 3; t++)
        if (!scrt_dtype_is_float((ScrtDtype)t)) {
            ck_assert_ptr_null(scrt_format((ScrtDtype)t));
            ck_assert_uint_eq(scrt_round((ScrtDtype)t, 1, true, SCRT_NEAREST), 0);
            ck_assert(scrt_value((ScrtDtype)t, 1) == 0);
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("num-formats");
    TCase *c = tcase_create("formats");
    tcase_add_loop_test(c, every_pattern_has_the_value_of_its_place, 0, N_SPEC);
    tcase_add_loop_test(c, facts_are_those_of_the_list, 0, N_SPEC);
    tcase_add_loop_test(c, rounds_right_at_every_value_and_middle, 0, N_SPEC);
    tcase_add_loop_test(c, rounds_floats_of_every_region, 0, N_SPEC);
    tcase_add_test(c, f32_is_the_processors);
    tcase_add_test(c, f64_is_itself);
    tcase_add_test(c, powers_of_two_round_three_ways);
    tcase_add_test(c, onnx_cast_table);
    tcase_add_test(c, other_types_have_no_format);
    suite_add_tcase(s, c);
    return sct_main("num-formats", s);
}
