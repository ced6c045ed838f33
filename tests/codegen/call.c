/* SPDX-License-Identifier: Apache-2.0 */
/* CALL kernels, functions of the runtime, beside the evaluator: bit for bit, for every type; what
 * data may not say; where they work in place. */
#include "tests/codegen/compiled.h"

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
    ck_assert_int_eq(scrt_open(sc_loaded_model(m->loaded),
                               &(ScrtOptions){.weights = m->o->weights, .profile = true}, &s),
                     SCRT_OK);
    ScrtStatus st = scrt_run(s, in, out);
    snprintf(error, 512, "%s", scrt_error(s));
    scrt_close(s);
    return st;
}

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
        char error[512];
        ScrtTensor in[] = {{.dtype = SCRT_F32, .rank = 2, .dims = {3, 2}, .data = x},
                           {.dtype = SCRT_I64, .rank = 1, .dims = {1}, .data = &index},
                           {.dtype = SCRT_F32, .rank = 2, .dims = {1, 2}, .data = u}};
        ScrtTensor out = {0};
        ck_assert_int_eq(run_with(&m, in, &out, error), SCRT_E_DATA);
        ck_assert_str_eq(error, "\"put\": an index is outside the axis that it counts");
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
    ScrtSession *s;
    ck_assert_int_eq(scrt_open(sc_loaded_model(m.loaded), NULL, &s), SCRT_OK);
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

int main(void)
{
    Suite *s = suite_create("codegen-call");
    TCase *t = tcase_create("call");
    tcase_add_loop_test(t, scatters_of_every_type, 0, N_TYPE);
    tcase_add_test(t, axes);
    tcase_add_test(t, an_index_outside);
    tcase_add_test(t, in_place);
    suite_add_tcase(s, t);
    return sct_main("codegen-call", s);
}
