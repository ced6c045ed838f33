/* SPDX-License-Identifier: Apache-2.0 */
/* SCAN kernels beside the evaluator, which adds up in f64: tails, axes, views below, elementwise
 * nodes after, element types. */
#include "tests/codegen/compiled.h"

#define SIZES(...)                                                                                 \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[])                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const SctBound exact = {0};
/* Of positive terms: each of up to 100 additions errs by 2^-24 of the sum. */
static const SctBound sums = {.rel = 6e-6};

START_TEST(tails)
{
    int64_t size[41];
    for (int i = 0; i <= 40; i++)
        size[i] = i;
    sct_everywhere("graph @g(%x: f32[3,n], %y: f32[3,5,n]) -> (%1, %2, %3) {\n"
                   "  %1 = cumsum %x {axis = -1} : f32[3,n]\n"
                   "  %2 = cumsum %y {axis = 1, exclusive = 1} : f32[3,5,n]\n"
                   "  %3 = cumsum %y {axis = 0, reverse = 1} : f32[3,5,n]\n"
                   "}\n",
                   0.5, 4, sums, 41, size);
}
END_TEST

START_TEST(axes_views_and_epilogues)
{
    sct_everywhere(
        "graph @g(%x: f32[n,4,3,5], %b: f32[4,1,5], %c: f32[]) -> (%1, %3, %5, %8) {\n"
        "  %1 = cumsum %x {axis = 0, exclusive = 1, reverse = 1} : f32[n,4,3,5]\n"
        "  %2 = cumsum %x {axis = 1} : f32[n,4,3,5]\n"
        "  %3 = mul %2, %b : f32[n,4,3,5]\n"
        "  %4 = transpose %x {perm = [3,1,0,2]} : f32[5,4,n,3]\n"
        "  %5 = cumsum %4 {axis = 2} : f32[5,4,n,3]\n"
        "  %6 = slice %x {starts = [-1], ends = [-9], axes = [2], steps = [-1]} : f32[n,4,3,5]\n"
        "  %7 = cumprod %6 {axis = 2} : f32[n,4,3,5]\n"
        "  %8 = add %7, %c : f32[n,4,3,5]\n"
        "}\n",
        0.5, 1.5, sums, SIZES(1, 2, 19));
}
END_TEST

START_TEST(integers_and_threads)
{
    sct_everywhere("graph @g(%a: i64[n,300], %b: i32[2,n,33], %c: u8[n,2]) -> (%1, %2, %3, %4) {\n"
                   "  %1 = cumsum %a {axis = 1} : i64[n,300]\n"
                   "  %2 = cumsum %b {axis = 1, reverse = 1} : i32[2,n,33]\n"
                   "  %3 = cumprod %b {axis = 2, exclusive = 1} : i32[2,n,33]\n"
                   "  %4 = cumsum %c {axis = 0} : u8[n,2]\n"
                   "}\n",
                   0, 100, exact, SIZES(1, 100, 700));
}
END_TEST

/* Sums stay in f32 on the way and are rounded where they are stored. */
START_TEST(narrow_floats)
{
    sct_everywhere("graph @g(%a: f16[n,9], %b: bf16[n,9], %c: f64[9,n]) -> (%1, %2, %3) {\n"
                   "  %1 = cumsum %a {axis = 0} : f16[n,9]\n"
                   "  %2 = cumsum %b {axis = 0, exclusive = 1} : bf16[n,9]\n"
                   "  %3 = cumsum %c {axis = 1} : f64[9,n]\n"
                   "}\n",
                   0.5, 4, (SctBound){.max_ulp = 1}, SIZES(1, 40));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-scan");
    TCase *t = tcase_create("scan");
    tcase_add_test(t, tails);
    tcase_add_test(t, axes_views_and_epilogues);
    tcase_add_test(t, integers_and_threads);
    tcase_add_test(t, narrow_floats);
    suite_add_tcase(s, t);
    return sct_main("codegen-scan", s);
}
