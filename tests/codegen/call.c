/* SPDX-License-Identifier: Apache-2.0 */
/* CALL kernels, functions of the runtime, beside the evaluator: bit for bit, for every type; what
 * data may not say; where they work in place. */
#include "tests/codegen/compiled.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const SctBound exact = {0};
#define SIZES(...)                                                                                 \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[])                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const char *const types[] = {"f64",  "f32", "f16", "bf16",      "f8e4m3fn", "f8e5m2",
                                    "bool", "i8",  "u8",  "i16",       "u16",      "i32",
                                    "u32",  "i64", "u64", "f8e4m3fnuz"};
enum { N_TYPE = sizeof types / sizeof *types };

/* --- Scatters -------------------------------------------------------------------------------- */

/* Random indices fall on each other: what the second does to the first is compared too. */
START_TEST(scatters_of_every_type)
{
    static const char *const how[] = {"none", "add", "max", "min"};
    for (size_t i = 0; i < 5; i++) {
        char text[640], attr[48] = "{axis = 0}", nd_attr[32] = "";
        const char *mul = i == 4 ? "_mul" : "", *t = types[_i];
        if (i < 4) {
            snprintf(attr, sizeof attr, "{reduction = \"%s\", axis = 0}", how[i]);
            snprintf(nd_attr, sizeof nd_attr, "{reduction = \"%s\"}", how[i]);
        }
        snprintf(text, sizeof text,
                 "graph @g(%%x: %s[7,n], %%u: %s[5,n], %%v: %s[2,2,n]) -> (%%y, %%z) {\n"
                 "  %%i = const [1,-2,1,6,1] : i64[5,1]\n"
                 "  %%j = expand %%i {shape = [5,n]} : i64[5,n]\n"
                 "  %%y = scatter_elements%s %%x, %%j, %%u %s : %s[7,n]\n"
                 "  %%k = const [3,3,-7,6] : i32[2,2,1]\n"
                 "  %%z = scatter_nd%s %%x, %%k, %%v %s : %s[7,n]\n"
                 "}\n",
                 t, t, t, mul, attr, t, mul, nd_attr, t);
        sct_everywhere(text, -9, 9, exact, SIZES(0, 1, 19));
    }
}
END_TEST

/* The axis first, in the middle and last; indices that reach less far than the data. */
START_TEST(axes)
{
    sct_everywhere(
        "graph @g(%x: f32[4,n,6], %u: f32[3,2,5], %v: f32[3,2,9]) -> (%a, %b, %c) {\n"
        "  %i = const [0,1,-1,0,1,1] : i64[3,2,1]\n"
        "  %j = expand %i {shape = [3,2,5]} : i64[3,2,5]\n"
        "  %a = scatter_elements %x, %j, %u : f32[4,n,6]\n"
        "  %b = scatter_elements %x, %j, %u {reduction = \"add\", axis = 1} : f32[4,n,6]\n"
        "  %k = expand %i {shape = [3,2,9]} : i64[3,2,9]\n"
        "  %c = scatter_elements %x, %k, %v {reduction = \"add\", axis = -1} : f32[4,n,6]\n"
        "}\n",
        -9, 9, exact, SIZES(2, 5));
}
END_TEST

static ScrtStatus run_with(const SctModel *m, const ScrtTensor *in, ScrtTensor *out, char *error)
{
    ScrtSession *s;
    ck_assert_int_eq(scrt_open(sc_loaded_model(m->loaded), &(ScrtOptions){.profile = true}, &s),
                     SCRT_OK);
    ScrtStatus st = scrt_run(s, in, out);
    snprintf(error, 512, "%s", scrt_error(s));
    scrt_close(s);
    return st;
}

/* An axis of nothing has no index inside. */
START_TEST(an_index_of_an_empty_axis)
{
    SctModel m = sct_compile("graph @g(%x: f32[n], %i: i64[1], %u: f32[1]) -> (%y) {\n"
                             "  %y = scatter_elements %x, %i, %u : f32[n] from \"put\"\n"
                             "}\n",
                             "native", NULL);
    float u = 7;
    int64_t index = 0;
    char error[512];
    ScrtTensor in[] = {{.dtype = SCRT_F32, .rank = 1, .dims = {0}, .data = &u},
                       {.dtype = SCRT_I64, .rank = 1, .dims = {1}, .data = &index},
                       {.dtype = SCRT_F32, .rank = 1, .dims = {1}, .data = &u}};
    ScrtTensor out = {0};
    ck_assert_int_eq(run_with(&m, in, &out, error), SCRT_E_DATA);
    ck_assert_str_eq(error, "\"put\": index 0 is outside an axis of 0");
    sct_close(&m);
}
END_TEST

/* An index outside its axis ends the run before anything is written, and says whose it is. */
START_TEST(an_index_outside)
{
    static const int64_t bad[] = {3, -4, INT64_MAX, INT64_MIN};
    SctModel m = sct_compile("graph @g(%x: f32[3,2], %i: i64[1], %u: f32[1,2]) -> (%y) {\n"
                             "  %k = reshape %i {shape = [1,1]} : i64[1,1]\n"
                             "  %y = scatter_nd %x, %k, %u : f32[3,2] from \"put\"\n"
                             "}\n",
                             "native", NULL);
    float x[6] = {1, 2, 3, 4, 5, 6}, u[2] = {7, 8};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t index = bad[i];
        char error[512], want[80];
        ScrtTensor in[] = {{.dtype = SCRT_F32, .rank = 2, .dims = {3, 2}, .data = x},
                           {.dtype = SCRT_I64, .rank = 1, .dims = {1}, .data = &index},
                           {.dtype = SCRT_F32, .rank = 2, .dims = {1, 2}, .data = u}};
        ScrtTensor out = {0};
        ck_assert_int_eq(run_with(&m, in, &out, error), SCRT_E_DATA);
        snprintf(want, sizeof want, "\"put\": index %lld is outside an axis of 3",
                 (long long)index);
        ck_assert_str_eq(error, want);
        ck_assert_ptr_null(out.data);
        ck_assert(!sc_eval(m.g, in, &out, NULL));
        sc_clear_diags(m.cx);
    }
    sct_close(&m);
}
END_TEST

static uint64_t workspace(const char *text, int64_t n)
{
    SctModel m = sct_compile(text, "native", NULL);
    ScBinding env = {sc_intern(m.cx, "n"), n};
    sct_compare(&m, 3, -9, 9, 1, &env, exact);
    uint64_t r = 1, peak;
    ScrtTensor *in = sct_inputs(m.g, &r, -9, 9, 1, &env), out = {0};
    ScrtSession *s = sct_open(&m, 0);
    ck_assert_int_eq(scrt_run(s, in, &out), SCRT_OK);
    peak = scrt_peak_bytes(s);
    scrt_close(s);
    scrt_free(out.data);
    sct_free(in, m.g->n_in);
    sct_close(&m);
    return peak;
}

/* Data that nobody reads afterwards is written over; what is read again, or is the updates too, is
 * not. */
START_TEST(in_place)
{
    static const char head[] = "graph @g(%x: f32[n,16], %u: f32[1,16]) -> (%y) {\n"
                               "  %i = const [0] : i64[1,1]\n"
                               "  %j = const [2] : i64[1,1]\n"
                               "  %1 = relu %x : f32[n,16]\n"
                               "  %2 = scatter_nd %1, %i, %u : f32[n,16]\n"
                               "  %3 = scatter_nd %2, %j, %u : f32[n,16]\n";
    char dies[512], lives[512];
    snprintf(dies, sizeof dies, "%s  %%y = abs %%3 : f32[n,16]\n}\n", head);
    snprintf(lives, sizeof lives, "%s  %%y = add %%1, %%3 : f32[n,16]\n}\n", head);
    ck_assert_uint_eq(workspace(dies, 64), 2 * 64 * 64); /* the output, and one value */
    ck_assert_uint_eq(workspace(lives, 64), 3 * 64 * 64);
    sct_everywhere("graph @g(%x: f32[n]) -> (%y) {\n"
                   "  %i = iota {shape = [n]} : i64[n]\n"
                   "  %m = const -1 : i64[]\n"
                   "  %j = sub %m, %i : i64[n]\n"
                   "  %1 = neg %x : f32[n]\n"
                   "  %2 = scatter_elements %1, %j, %1 : f32[n]\n"
                   "  %y = abs %2 : f32[n]\n"
                   "}\n",
                   -9, 9, exact, SIZES(0, 1, 40));
}
END_TEST

/* --- Order, and sizes that data decides ------------------------------------------------------- */

START_TEST(order_of_every_type)
{
    char text[1024];
    const char *t = types[_i];
    if (strcmp(t, "bool") == 0)
        return;
    snprintf(text, sizeof text,
             "graph @g(%%x: %s[n,7,3]) -> (%%a, %%b, %%c, %%d, %%e, %%f, %%g, %%h) {\n"
             "  %%a, %%b = topk %%x {k = [4], axis = 1} : %s[n,4,3], i64[n,4,3]\n"
             "  %%c, %%d = topk %%x {k = [n], axis = 0, largest = 0} : %s[n,7,3], i64[n,7,3]\n"
             "  %%e, %%f, %%g, %%h = unique %%x {axis = 1} : i64[7], i64[7], i64[7], u64[]\n"
             "}\n",
             t, t, t);
    sct_everywhere(text, -3, 3, exact, SIZES(0, 1, 40));
}
END_TEST

/* Counted, bound, found: positions are an input of what comes next. Truth values, too. */
START_TEST(positions_of_every_type)
{
    char text[1024];
    snprintf(text, sizeof text,
             "graph @g(%%x: %s[n,5], %%v: f32[5,n]) -> (%%y, %%z) {\n"
             "  %%1 = cast %%x : bool[n,5]\n"
             "  %%2 = cast %%1 : u64[n,5]\n"
             "  %%3 = reduce_sum %%2 {axes = [0,1], keepdims = 0} : u64[]\n"
             "  %%4 = bind %%3 {as = [k]} : u64[]\n"
             "  %%y = nonzero %%x {count = [k]} : i64[2,k]\n"
             "  %%5 = transpose %%y {perm = [1,0]} : i64[k,2]\n"
             "  %%6 = slice %%5 {starts = [1], ends = [2], axes = [1]} : i64[k,1]\n"
             "  %%7 = reshape %%6 {shape = [k]} : i64[k]\n"
             "  %%8 = gather %%v, %%7 : f32[k,n]\n"
             "  %%z = relu %%8 : f32[k,n]\n"
             "}\n",
             types[_i]);
    sct_everywhere(text, -1, 1, exact, SIZES(0, 1, 23));
}
END_TEST

/* A NaN comes first among the largest and last among the smallest; zeros of both signs are one
 * number; of equals the first comes first, and its bits stay. */
START_TEST(order_of_what_is_no_number)
{
    SctModel m =
        sct_compile("graph @g(%x: f32[n]) -> (%a, %b, %c, %d, %e, %f, %g, %h) {\n"
                    "  %a, %b = topk %x {k = [n]} : f32[n], i64[n]\n"
                    "  %c, %d = topk %x {k = [n], largest = 0} : f32[n], i64[n]\n"
                    "  %e, %f, %g, %h = unique %x {axis = 0} : i64[n], i64[n], i64[n], u64[]\n"
                    "}\n",
                    "native", NULL);
    float x[] = {0, NAN, -INFINITY, -0.0f, 2, -NAN, INFINITY, 2};
    static const int64_t down[] = {1, 5, 6, 4, 7, 0, 3, 2}, up[] = {2, 0, 3, 4, 7, 6, 1, 5};
    static const int64_t group[] = {1, 4, 0, 1, 2, 4, 3, 2};
    ScrtTensor in = {.dtype = SCRT_F32, .rank = 1, .dims = {8}, .data = x};
    ScrtTensor *out = sct_run(&m, 1, &in);
    ck_assert_mem_eq(out[1].data, down, sizeof down);
    ck_assert_mem_eq(out[3].data, up, sizeof up);
    ck_assert_mem_eq(out[5].data, group, sizeof group);
    ck_assert_uint_eq(*(uint64_t *)out[7].data, 5);
    ck_assert(signbit(((float *)out[2].data)[2]) && !signbit(((float *)out[2].data)[1]));
    sct_free(out, 8);
    sct_compare_on(&m, &in, exact);
    sct_close(&m);
}
END_TEST

/* A count that is not true ends the run with the node's name: nothing is written beyond it. */
START_TEST(a_wrong_count)
{
    SctModel m = sct_compile("graph @g(%x: f32[4]) -> (%y) {\n"
                             "  %y = nonzero %x {count = [3]} : i64[1,3] from \"find\"\n"
                             "}\n",
                             "native", NULL);
    float x[] = {1, 0, 2, 0};
    for (int i = 0; i < 2; i++) {
        ScrtTensor in = {.dtype = SCRT_F32, .rank = 1, .dims = {4}, .data = x}, out = {0};
        char error[512];
        ck_assert_int_eq(run_with(&m, &in, &out, error), SCRT_E_DATA);
        ck_assert_msg(strstr(error, "\"find\": the elements that are not zero") != NULL, "%s",
                      error);
        x[1] = x[3] = 1; /* too few, then too many */
    }
    sct_close(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-call");
    TCase *t = tcase_create("call");
    tcase_add_loop_test(t, scatters_of_every_type, 0, N_TYPE);
    tcase_add_test(t, axes);
    tcase_add_test(t, an_index_outside);
    tcase_add_test(t, an_index_of_an_empty_axis);
    tcase_add_test(t, in_place);
    tcase_add_loop_test(t, order_of_every_type, 0, N_TYPE);
    tcase_add_loop_test(t, positions_of_every_type, 0, N_TYPE);
    tcase_add_test(t, order_of_what_is_no_number);
    tcase_add_test(t, a_wrong_count);
    suite_add_tcase(s, t);
    return sct_main("codegen-call", s);
}
