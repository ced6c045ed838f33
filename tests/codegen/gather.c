/* SPDX-License-Identifier: Apache-2.0 */
/* GATHER kernels beside the evaluator, bit for bit: nothing of them computes. */
#include "tests/codegen/compiled.h"

#include <stdio.h>
#include <string.h>

static const SctBound exact = {0};
#define SIZES(...)                                                                                 \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[])                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* Rows of every length up to a few vectors, and many indices: integers are drawn from [-8, 8]. */
START_TEST(tails)
{
    int64_t size[41];
    for (int i = 0; i <= 40; i++)
        size[i] = i;
    sct_everywhere("graph @g(%x: f32[9,n], %i: i64[3]) -> (%y) {\n"
                   "  %y = gather %x, %i : f32[3,n]\n"
                   "}\n",
                   -2, 2, exact, 41, size);
    sct_everywhere("graph @g(%x: f32[9,7], %i: i32[n]) -> (%y) {\n"
                   "  %y = gather %x, %i : f32[n,7]\n"
                   "}\n",
                   -2, 2, exact, 41, size);
}
END_TEST

/* Nothing lies behind the axis: lanes are indices, of every number up to a few vectors. */
START_TEST(last_axis)
{
    static const char *const type[] = {"f32", "f16", "i64", "bool"};
    for (size_t k = 0; k < sizeof type / sizeof *type; k++) {
        char text[512];
        snprintf(text, sizeof text,
                 "graph @g(%%x: %s[5,9,1], %%i: i32[n]) -> (%%y) {\n"
                 "  %%y = gather %%x, %%i {axis = 1} : %s[5,n,1]\n"
                 "}\n",
                 type[k], type[k]);
        sct_everywhere(text, -2, 2, exact, SIZES(0, 1, 2, 7, 8, 15, 16, 17, 33));
    }
    sct_everywhere(
        "graph @g(%x: f32[n,3,9], %i: i64[4,5], %b: f32[5], %c: f32[n,3,1,1]) -> (%y) {\n"
        "  %1 = gather %x, %i {axis = 2} : f32[n,3,4,5]\n"
        "  %2 = mul %1, %b : f32[n,3,4,5]\n"
        "  %y = add %2, %c : f32[n,3,4,5]\n"
        "}\n",
        -2, 2, exact, SIZES(1, 7, 40));
    sct_everywhere("graph @g(%x: f32[9,3,n], %i: i64[20]) -> (%y) {\n"
                   "  %1 = transpose %x {perm = [2,1,0]} : f32[n,3,9]\n"
                   "  %y = gather %1, %i {axis = 2} : f32[n,3,20]\n"
                   "}\n",
                   -2, 2, exact, SIZES(1, 7, 40));
}
END_TEST

START_TEST(axes_and_ranks)
{
    sct_everywhere(
        "graph @g(%x: f32[n,10,9,11], %i: i64[2,3], %s: i64[]) -> (%a, %b, %c, %d, %e) {\n"
        "  %a = gather %x, %i : f32[2,3,10,9,11]\n"
        "  %b = gather %x, %i {axis = 1} : f32[n,2,3,9,11]\n"
        "  %c = gather %x, %i {axis = -1} : f32[n,10,9,2,3]\n"
        "  %d = gather %x, %s {axis = 2} : f32[n,10,11]\n"
        "  %1 = reshape %x {shape = [990*n]} : f32[990*n]\n"
        "  %e = gather %1, %s : f32[]\n"
        "}\n",
        -2, 2, exact, SIZES(9, 10, 19));
}
END_TEST

/* Large ones go to the pool in pieces. */
START_TEST(threads_share_rows)
{
    sct_everywhere("graph @g(%x: f16[50,33], %i: i64[n,9]) -> (%y) {\n"
                   "  %y = gather %x, %i : f16[n,9,33]\n"
                   "}\n",
                   -2, 2, exact, SIZES(1, 100, 1111));
    sct_everywhere("graph @g(%x: i16[3,n], %i: i64[70]) -> (%y) {\n"
                   "  %y = gather %x, %i {axis = 1} : i16[3,70]\n"
                   "}\n",
                   -2, 2, exact, SIZES(9, 150));
    sct_everywhere("graph @g(%x: f32[19], %i: i64[n,3]) -> (%y) {\n"
                   "  %y = gather %x, %i : f32[n,3]\n"
                   "}\n",
                   -2, 2, exact, SIZES(1, 2000, 30000));
    sct_everywhere("graph @g(%x: f32[n,19], %i: i64[70]) -> (%y) {\n"
                   "  %y = gather %x, %i {axis = 1} : f32[n,70]\n"
                   "}\n",
                   -2, 2, exact, SIZES(1, 1200));
}
END_TEST

/* Elements of every type move with their bits. */
START_TEST(types)
{
    static const char *const data[] = {"f64",        "f32",    "f16",        "bf16", "f8e4m3fn",
                                       "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz", "bool", "i8",
                                       "u16",        "i32",    "u64"};
    for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "graph @g(%%x: %s[9,21], %%i: i64[n]) -> (%%y) {\n"
                 "  %%y = gather %%x, %%i : %s[n,21]\n"
                 "}\n",
                 data[i], data[i]);
        sct_everywhere(text, -2, 2, exact, SIZES(13));
    }
}
END_TEST

/* The program's answer to one index, which must be that of the evaluator; "" where both run. */
static const char *says(const SctModel *m, ScrtDtype type, int64_t value)
{
    static char text[512];
    float x[5] = {10, 11, 12, 13, 14};
    int64_t index[9] = {0};
    for (size_t k = 0; k < 9; k++) /* among others, which are inside */
        scrt_store_int(type, index, k, k == 7 ? value : 2);
    ScrtTensor in[] = {{.dtype = SCRT_F32, .rank = 1, .dims = {5}, .data = x},
                       {.dtype = type, .rank = 1, .dims = {9}, .data = index}};
    ScrtTensor out = {0}, want = {0};
    ScrtSession *s = sct_open(m, 2);
    ScrtStatus st = scrt_run(s, in, &out);
    ck_assert(st == SCRT_OK || st == SCRT_E_DATA);
    ck_assert_int_eq(sc_eval(m->g, in, &want, NULL), st == SCRT_OK);
    if (st == SCRT_OK)
        ck_assert_float_eq(((float *)out.data)[7], ((float *)want.data)[7]);
    snprintf(text, sizeof text, "%s", scrt_error(s));
    scrt_free(out.data);
    scrt_free(want.data);
    out = (ScrtTensor){0}; /* the session goes on */
    scrt_store_int(type, index, 7, 1);
    ck_assert_int_eq(scrt_run(s, in, &out), SCRT_OK);
    scrt_free(out.data);
    scrt_close(s);
    return text;
}

/* Indices of every type, at both ends of it and of the axis: those outside end the run, compiled as
 * evaluated. */
START_TEST(indices)
{
    static const ScrtDtype ints[] = {SCRT_I8,  SCRT_U8,  SCRT_I16, SCRT_U16,
                                     SCRT_I32, SCRT_U32, SCRT_I64};
    static const int64_t value[] = {0, 4, 5, -1, -5, -6, INT64_MIN, INT64_MAX, 0x7fffffff7fff7f7f};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        char text[256], want[64];
        snprintf(text, sizeof text,
                 "graph @g(%%x: f32[5], %%i: %s[n]) -> (%%y) {\n"
                 "  %%y = gather %%x, %%i : f32[n] from \"pick\"\n"
                 "}\n",
                 scrt_dtype_name(ints[i]));
        SctModel m = sct_compile(text, "native", NULL);
        for (size_t k = 0; k < sizeof value / sizeof *value; k++) {
            int64_t stored = 0;
            scrt_store_int(ints[i], &stored, 0, value[k]);
            stored = scrt_load_int(ints[i], &stored, 0);
            snprintf(want, sizeof want, "\"pick\": index %lld is outside an axis of 5",
                     (long long)stored);
            ck_assert_str_eq(says(&m, ints[i], value[k]), stored >= -5 && stored < 5 ? "" : want);
        }
        sct_close(&m);
    }
}
END_TEST

/* What comes after is computed on the way; a table in low precision is decoded there. */
START_TEST(epilogues)
{
    sct_everywhere("graph @g(%t: f8e4m3fn[30,12], %i: i64[n,4], %p: f32[4,12], %s: f32[n,1,1])"
                   " -> (%y) {\n"
                   "  %1 = gather %t, %i : f8e4m3fn[n,4,12]\n"
                   "  %2 = cast %1 : f32[n,4,12]\n"
                   "  %3 = add %2, %p : f32[n,4,12]\n"
                   "  %4 = mul %3, %s : f32[n,4,12]\n"
                   "  %y = cast %4 : f16[n,4,12]\n"
                   "}\n",
                   -2, 2, exact, SIZES(0, 1, 17));
    sct_everywhere("graph @g(%t: f8e4m3fn[9,150], %i: i64[n], %p: f32[150]) -> (%y) {\n"
                   "  %1 = gather %t, %i : f8e4m3fn[n,150]\n"
                   "  %2 = cast %1 : f32[n,150]\n"
                   "  %3 = mul %2, %p : f32[n,150]\n"
                   "  %y = cast %3 : f8e4m3fn[n,150]\n"
                   "}\n",
                   -8, 8, exact, SIZES(0, 1, 5));
    sct_everywhere("graph @g(%t: f32[3,n,8], %i: i64[5], %r: f32[5,1,8]) -> (%y) {\n"
                   "  %1 = transpose %t {perm = [1,0,2]} : f32[n,3,8]\n"
                   "  %2 = gather %1, %i : f32[5,3,8]\n"
                   "  %y = sub %2, %r : f32[5,3,8]\n"
                   "}\n",
                   -2, 2, exact, SIZES(9, 17));
}
END_TEST

START_TEST(views_of_data_and_of_indices)
{
    sct_everywhere("graph @g(%x: f32[n,26,4], %i: i64[4,3]) -> (%y, %z) {\n"
                   "  %1 = transpose %x {perm = [2,1,0]} : f32[4,26,n]\n"
                   "  %2 = transpose %i : i64[3,4]\n"
                   "  %y = gather %1, %2 {axis = 1} : f32[4,3,4,n]\n"
                   "  %3 = slice %x {starts = [1], ends = [26], axes = [1], steps = [3]}"
                   " : f32[n,9,4]\n"
                   "  %z = gather %3, %i {axis = 1} : f32[n,4,3,4]\n"
                   "}\n",
                   -2, 2, exact, SIZES(1, 16, 33));
}
END_TEST

/* Constants lie in the weights as they are stored, once, whoever gathers from them. */
START_TEST(constants_are_stored_raw)
{
    ScCodegenOptions opt = {0};
    SctModel m = sct_compile("graph @g(%i: i64[n]) -> (%y, %z) {\n"
                             "  %t = const [1,2,3,-4,5,6,7,-8,9,0.5,1,1.5] : f8e4m3fn[4,3]\n"
                             "  %y = gather %t, %i : f8e4m3fn[n,3]\n"
                             "  %k = const [3,-1,0] : i32[3]\n"
                             "  %z = gather %t, %k : f8e4m3fn[3,3]\n"
                             "}\n",
                             "native", &opt);
    int64_t index[] = {-1, -4, 1, 3, 0, 2, -3};
    ScrtTensor in = {.dtype = SCRT_I64, .rank = 1, .dims = {7}, .data = index};
    sct_compare_on(&m, &in, exact);
    ck_assert_uint_le(m.o->n_weights, 128);
    sct_close(&m);
}
END_TEST

/* Where there is nothing to pick from the model says so, compiled as evaluated. */
START_TEST(an_empty_axis_is_refused)
{
    SctModel m = sct_compile("graph @g(%x: f32[n,3], %i: i64[m]) -> (%y) {\n"
                             "  %y = gather %x, %i : f32[m,3]\n"
                             "}\n",
                             "native", NULL);
    int64_t index[2] = {0, 1};
    float none[1] = {0};
    ScrtTensor in[2] = {{.dtype = SCRT_F32, .rank = 2, .dims = {0, 3}, .data = none},
                        {.dtype = SCRT_I64, .rank = 1, .dims = {2}, .data = index}};
    ScrtTensor out = {0};
    ScrtSession *s = sct_open(&m, 0);
    ck_assert_int_ne(scrt_run(s, in, &out), SCRT_OK);
    ck_assert_msg(strstr(scrt_error(s), "x") != NULL, "%s", scrt_error(s));
    ck_assert(!sc_eval(m.g, in, &out, NULL));
    ck_assert_msg(strstr(sct_messages(m.cx), "an axis that has no element to pick") != NULL, "%s",
                  sct_messages(m.cx));
    in[1].dims[0] = 0;
    ck_assert_int_eq(scrt_run(s, in, &out), SCRT_OK);
    ck_assert_int_eq(out.dims[0], 0);
    scrt_free(out.data);
    scrt_close(s);
    sct_close(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-gather");
    TCase *t = tcase_create("gather");
    tcase_add_test(t, tails);
    tcase_add_test(t, last_axis);
    tcase_add_test(t, axes_and_ranks);
    tcase_add_test(t, threads_share_rows);
    tcase_add_test(t, types);
    tcase_add_test(t, indices);
    tcase_add_test(t, epilogues);
    tcase_add_test(t, views_of_data_and_of_indices);
    tcase_add_test(t, constants_are_stored_raw);
    tcase_add_test(t, an_empty_axis_is_refused);
    suite_add_tcase(s, t);
    return sct_main("codegen-gather", s);
}
