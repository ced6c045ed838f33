/* SPDX-License-Identifier: Apache-2.0 */
/* Elements in memory: every pattern of 8 and 16 bits decoded, rounding beside the evaluator's
 * (which is runtime/num's) over a net of all floats. */
#include "tests/codegen/compiled.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ScrtDtype formats[] = {SCRT_F16,    SCRT_BF16,       SCRT_F8E4M3FN, SCRT_F8E4M3FNUZ,
                                    SCRT_F8E5M2, SCRT_F8E5M2FNUZ, SCRT_F8E8M0};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static void on_all_targets(const char *text, const ScrtTensor *in)
{
    for (int c = 0; c < SCT_N_CPU; c++) {
        if (!sct_runs(sct_cpus[c]))
            continue;
        SctModel m = sct_compile(text, sct_cpus[c], NULL);
        sct_compare_on(&m, in, (SctBound){0});
        sct_close(&m);
    }
}

static ScrtTensor vector(ScrtDtype t, int64_t n)
{
    ScrtTensor x = {.dtype = t, .rank = 1, .dims = {n}};
    ck_assert_int_eq(scrt_tensor_alloc(&x), SCRT_OK);
    return x;
}

START_TEST(decoding)
{
    ScrtDtype t = formats[_i];
    char text[256];
    int64_t n = scrt_dtype_bits(t) == 8 ? 256 : 65536;
    ScrtTensor in = vector(t, n);
    for (int64_t i = 0; i < n; i++) {
        if (n == 256)
            ((uint8_t *)in.data)[i] = (uint8_t)i;
        else
            ((uint16_t *)in.data)[i] = (uint16_t)i;
    }
    snprintf(text, sizeof text,
             "graph @g(%%x: %s[n]) -> (%%y, %%z) {\n"
             "  %%y = cast %%x : f32[n]\n"
             "  %%z = cast %%x : f64[n]\n"
             "}\n",
             scrt_dtype_name(t));
    on_all_targets(text, &in);
    scrt_free(in.data);
}
END_TEST

/* NaN keeps its sign, in vectors and behind them. */
START_TEST(signs_of_nan)
{
    ScrtTensor in = vector(SCRT_F8E4M3FN, 19);
    for (int i = 0; i < 19; i++)
        ((uint8_t *)in.data)[i] = i % 3 ? 0x7f : 0xff;
    for (int c = 0; c < SCT_N_CPU; c++) {
        if (!sct_runs(sct_cpus[c]))
            continue;
        SctModel m = sct_compile(
            "graph @g(%x: f8e4m3fn[n]) -> (%y) {\n  %y = cast %x : f32[n]\n}\n", sct_cpus[c], NULL);
        ScrtTensor *y = sct_run(&m, 1, &in);
        for (int i = 0; i < 19; i++) {
            float x = ((float *)y->data)[i];
            ck_assert_msg(isnan(x) && !signbit(x) == (i % 3 != 0), "%s: element %d is %g",
                          sct_cpus[c], i, (double)x);
        }
        sct_free(y, 1);
        sct_close(&m);
    }
    scrt_free(in.data);
}
END_TEST

static void encoding_text(char *text, size_t n, ScrtDtype from, ScrtDtype to)
{
    bool modes = to == SCRT_F8E8M0;
    const char *a = scrt_dtype_name(from), *b = scrt_dtype_name(to);
    int len = snprintf(text, n,
                       "graph @g(%%x: %s[n]) -> (%%y, %%z%s) {\n"
                       "  %%y = cast %%x : %s[n]\n"
                       "  %%z = cast %%x {saturate = 0} : %s[n]\n",
                       a, modes ? ", %u, %d, %v" : "", b, b);
    if (modes)
        len += snprintf(text + len, n - (size_t)len,
                        "  %%u = cast %%x {round_mode = 1} : %s[n]\n"
                        "  %%d = cast %%x {round_mode = 2} : %s[n]\n"
                        "  %%v = cast %%x {round_mode = 1, saturate = 0} : %s[n]\n",
                        b, b, b);
    snprintf(text + len, n - (size_t)len, "}\n");
}

/* All upper halves of a float, with lower halves that lie on, below and above every tie. */
static ScrtTensor net_of_floats(void)
{
    static const uint32_t low[] = {0, 1, 0x0fff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xffff};
    enum { N_LOW = sizeof low / sizeof *low };
    ScrtTensor ret = vector(SCRT_F32, 65536 * N_LOW);
    for (uint32_t i = 0; i < 65536 * N_LOW; i++)
        ((uint32_t *)ret.data)[i] = i / N_LOW << 16 | low[i % N_LOW];
    return ret;
}

START_TEST(rounding)
{
    char text[512];
    ScrtTensor in = net_of_floats();
    encoding_text(text, sizeof text, SCRT_F32, formats[_i]);
    on_all_targets(text, &in);
    scrt_free(in.data);
}
END_TEST

/* What was rounded is read in the same kernel: as a number, without a code, where there is a way.
 */
START_TEST(rounded_numbers)
{
    char text[1024];
    const char *t = scrt_dtype_name(formats[_i]);
    ScrtTensor in = net_of_floats();
    snprintf(text, sizeof text,
             "graph @g(%%x: f32[n]) -> (%%y, %%z, %%b) {\n"
             "  %%a = cast %%x : %s[n]\n  %%y = cast %%a : f32[n]\n"
             "  %%r = relu %%x : f32[n]\n  %%b = cast %%r : %s[n]\n  %%z = cast %%b : f32[n]\n}\n",
             t, t);
    on_all_targets(text, &in);
    scrt_free(in.data);
}
END_TEST

/* Doubles near every value and every tie of the format: they round once. */
START_TEST(rounding_doubles)
{
    ScrtDtype t = formats[_i];
    uint32_t codes = scrt_dtype_bits(t) == 8 ? 256 : 65536, n = 0;
    char text[512];
    ScrtTensor in = vector(SCRT_F64, 7 * codes);
    double *x = in.data;
    for (uint32_t c = 0; c < codes; c++) {
        double v = scrt_value(t, c), up = scrt_value(t, c + 1 < codes ? c + 1 : c);
        double tie = v / 2 + up / 2;
        double all[] = {v,        nextafter(v, INFINITY),   nextafter(v, -INFINITY),
                        tie,      nextafter(tie, INFINITY), nextafter(tie, -INFINITY),
                        v * 1e-30};
        for (int i = 0; i < 7; i++)
            x[n++] = all[i];
    }
    encoding_text(text, sizeof text, SCRT_F64, t);
    on_all_targets(text, &in);
    scrt_free(in.data);
}
END_TEST

START_TEST(narrowing)
{
    char text[512];
    ScrtTensor in = vector(SCRT_F64, 1 << 16);
    for (uint32_t i = 0; i < 1 << 16; i++) {
        uint64_t bits = (uint64_t)i << 48 | (i % 3 == 0 ? 0x10000000 : i % 3 == 1 ? 0x0fffffff : 1);
        memcpy((double *)in.data + i, &bits, sizeof bits);
    }
    encoding_text(text, sizeof text, SCRT_F64, SCRT_F32);
    on_all_targets(text, &in);
    scrt_free(in.data);
}
END_TEST

/* --- Integers -------------------------------------------------------------------------------- */

static const char *const ints[] = {"i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "bool"};
enum { N_INTS = sizeof ints / sizeof *ints };

static int casts_from(char *text, size_t n, const char *from)
{
    int len = snprintf(text, n,
                       "graph @g(%%x: %s[n]) -> (%%0, %%1, %%2, %%3, %%4, %%5, %%6, %%7, "
                       "%%8, %%f, %%d) {\n",
                       from);
    for (int i = 0; i < N_INTS; i++)
        len += snprintf(text + len, n - (size_t)len, "  %%%d = cast %%x : %s[n]\n", i, ints[i]);
    return len + snprintf(text + len, n - (size_t)len,
                          "  %%f = cast %%x : f32[n]\n  %%d = cast %%x : f64[n]\n}\n");
}

START_TEST(integers)
{
    char text[1024];
    ScrtDtype t = scrt_dtype_find(ints[_i], strlen(ints[_i]));
    static const int64_t edge[] = {0,         1,         -1,         127,       128,
                                   -128,      255,       256,        -129,      32767,
                                   32768,     -32768,    65535,      65536,     16777217,
                                   INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN};
    enum { N_EDGE = sizeof edge / sizeof *edge };
    ScrtTensor in = vector(t, N_EDGE);
    for (size_t i = 0; i < N_EDGE; i++)
        scrt_store_int(t, in.data, i, edge[i]);
    casts_from(text, sizeof text, ints[_i]);
    on_all_targets(text, &in);
    scrt_free(in.data);
}
END_TEST

/* Out of range: the limits; NaN: 0. */
START_TEST(floats_to_integers)
{
    static const double edge[] = {
        0,          -0.0,         0.5,           -0.5,         1.5,      -1.5,      127.9,
        128,        -128.9,       -129,          255.9,        256,      32767.5,   65535.9,
        2147483647, 2147483648.0, -2147483649.0, 4294967296.0, 9.2e18,   9.3e18,    -9.3e18,
        1.8e19,     1.9e19,       1e30,          -1e30,        INFINITY, -INFINITY, NAN};
    enum { N_EDGE = sizeof edge / sizeof *edge };
    char text[1024];
    ScrtDtype t = _i ? SCRT_F64 : SCRT_F32;
    ScrtTensor in = vector(t, N_EDGE);
    for (size_t i = 0; i < N_EDGE; i++)
        scrt_store(t, in.data, i, edge[i], false);
    casts_from(text, sizeof text, scrt_dtype_name(t));
    on_all_targets(text, &in);
    scrt_free(in.data);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-formats");
    TCase *t = tcase_create("formats");
    tcase_add_loop_test(t, decoding, 0, N_FORMATS);
    tcase_add_loop_test(t, rounding, 0, N_FORMATS);
    tcase_add_loop_test(t, rounded_numbers, 0, N_FORMATS);
    tcase_add_loop_test(t, rounding_doubles, 0, N_FORMATS);
    tcase_add_test(t, narrowing);
    tcase_add_test(t, signs_of_nan);
    tcase_add_loop_test(t, integers, 0, N_INTS);
    tcase_add_loop_test(t, floats_to_integers, 0, 2);
    suite_add_tcase(s, t);
    return sct_main("codegen-formats", s);
}
