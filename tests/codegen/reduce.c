/* SPDX-License-Identifier: Apache-2.0 */
/* REDUCE kernels: row-wise chains beside the evaluator, which sums in f64. */
#include "tests/codegen/compiled.h"

#include <math.h>
#include <stdlib.h>

static const SctBound exact = {0};
#define SIZES(...)                                                                                 \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[])                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* A sum of positive terms: each of the partial sums errs by less than count * 2^-24. */
static const SctBound sums = {.rel = 1e-6};

START_TEST(tails)
{
    int64_t size[71];
    for (int i = 0; i <= 70; i++)
        size[i] = i;
    sct_everywhere("graph @g(%x: f32[3,n]) -> (%1, %2, %3, %4) {\n"
                   "  %1 = reduce_sum %x {axes = [1]} : f32[3,1]\n"
                   "  %2 = reduce_max %x {axes = [1], keepdims = 0} : f32[3]\n"
                   "  %3 = reduce_min %x {axes = [-1]} : f32[3,1]\n"
                   "  %4 = reduce_mean %x : f32[1,1]\n"
                   "}\n",
                   0.5, 4, sums, 71, size);
}
END_TEST

START_TEST(long_rows)
{
    sct_everywhere("graph @g(%x: f32[2,n]) -> (%1, %2) {\n"
                   "  %1 = reduce_mean %x {axes = [1]} : f32[2,1]\n"
                   "  %2 = reduce_sum %x {axes = [0,1], keepdims = 0} : f32[]\n"
                   "}\n",
                   0.5, 4, sums, SIZES(1000, 100003));
}
END_TEST

START_TEST(any_axes)
{
    sct_everywhere("graph @g(%x: f32[n,3,4,5]) -> (%1, %2, %3, %4, %5) {\n"
                   "  %1 = reduce_sum %x {axes = [0]} : f32[1,3,4,5]\n"
                   "  %2 = reduce_sum %x {axes = [1,3], keepdims = 0} : f32[n,4]\n"
                   "  %3 = reduce_mean %x {axes = [2]} : f32[n,3,1,5]\n"
                   "  %4 = reduce_max %x {axes = [2,3], keepdims = 0} : f32[n,3]\n"
                   "  %5 = reduce_min %x {axes = [0,1,2,3], keepdims = 0} : f32[]\n"
                   "}\n",
                   0.5, 4, sums, SIZES(1, 2, 18));
}
END_TEST

START_TEST(element_types)
{
    sct_everywhere("graph @g(%a: i64[3,n], %b: i8[3,n], %c: f16[3,n], %d: f64[3,n])"
                   " -> (%1, %2, %3, %4, %5, %6) {\n"
                   "  %1 = reduce_sum %a {axes = [1]} : i64[3,1]\n"
                   "  %2 = reduce_max %a {axes = [1]} : i64[3,1]\n"
                   "  %3 = reduce_min %b {axes = [1]} : i8[3,1]\n"
                   "  %4 = reduce_sum %b {axes = [1]} : i8[3,1]\n"
                   "  %5 = reduce_max %c {axes = [1]} : f16[3,1]\n"
                   "  %6 = reduce_max %d {axes = [1]} : f64[3,1]\n"
                   "}\n",
                   -4, 4, exact, SIZES(1, 7, 16, 33, 200));
    sct_everywhere("graph @g(%c: f16[3,n], %d: f64[3,n], %e: bf16[3,n]) -> (%1, %2, %3) {\n"
                   "  %1 = reduce_mean %c {axes = [1]} : f16[3,1]\n"
                   "  %2 = reduce_sum %d {axes = [1]} : f64[3,1]\n"
                   "  %3 = reduce_sum %e {axes = [1]} : bf16[3,1]\n"
                   "}\n",
                   0.5, 4, (SctBound){.max_ulp = 1, .rel = 1e-13}, SIZES(1, 7, 16, 33, 200));
}
END_TEST

START_TEST(softmax)
{
    sct_everywhere("graph @g(%x: f32[2,3,n], %beta: f32[]) -> (%y) {\n"
                   "  %y = softmax %x, %beta : f32[2,3,n]\n"
                   "}\n",
                   -3, 3, (SctBound){.rel = 2e-6}, SIZES(0, 1, 2, 10, 16, 17, 31, 64, 100, 1001));
    sct_everywhere("graph @g(%x: f32[5,n,7], %beta: f32[]) -> (%y) {\n"
                   "  %y = softmax %x, %beta {axis = 1} : f32[5,n,7]\n"
                   "}\n",
                   -3, 3, (SctBound){.rel = 2e-6}, SIZES(1, 10, 33));
}
END_TEST

START_TEST(layernorm)
{
    sct_everywhere("graph @g(%x: f32[3,n], %s: f32[n], %b: f32[n], %e: f32[]) -> (%y, %m, %i) {\n"
                   "  %y, %m, %i = layernorm %x, %s, %b, %e : f32[3,n], f32[3,1], f32[3,1]\n"
                   "}\n",
                   0.5, 2, (SctBound){.rel = 1e-5, .abs = 1e-6}, SIZES(1, 2, 16, 17, 100, 768));
    sct_everywhere("graph @g(%x: f16[2,n,3], %s: f16[n,3], %b: f16[3], %e: f32[]) -> (%y) {\n"
                   "  %y = layernorm %x, %s, %b, %e {axis = 1} : f16[2,n,3]\n"
                   "}\n",
                   0.5, 2, (SctBound){.max_ulp = 1, .rel = 4e-3, .abs = 4e-3}, SIZES(2, 16, 17));
}
END_TEST

/* Nodes before, between and after reductions, on rows and along them. */
START_TEST(chains)
{
    sct_everywhere("graph @g(%x: f32[n,20], %s: f32[n,1], %v: f32[20]) -> (%y, %r) {\n"
                   "  %1 = mul %x, %s : f32[n,20]\n"
                   "  %2 = exp %1 : f32[n,20]\n"
                   "  %3 = mul %2, %v : f32[n,20]\n"
                   "  %4 = reduce_sum %3 {axes = [1]} : f32[n,1]\n"
                   "  %5 = add %4, %s : f32[n,1]\n"
                   "  %6 = div %3, %5 : f32[n,20]\n"
                   "  %7 = reduce_max %6 {axes = [1]} : f32[n,1]\n"
                   "  %8 = sub %6, %7 : f32[n,20]\n"
                   "  %y = add %8, %2 : f32[n,20]\n"
                   "  %r = sqrt %7 : f32[n,1]\n"
                   "}\n",
                   0.5, 2, (SctBound){.rel = 4e-6, .abs = 4e-6}, SIZES(1, 5, 70));
}
END_TEST

START_TEST(not_a_number)
{
    SctModel m = sct_compile("graph @g(%x: f32[n,37]) -> (%1, %2, %3) {\n"
                             "  %1 = reduce_max %x {axes = [1]} : f32[n,1]\n"
                             "  %2 = reduce_min %x {axes = [1]} : f32[n,1]\n"
                             "  %3 = reduce_sum %x {axes = [1]} : f32[n,1]\n"
                             "}\n",
                             "native", NULL);
    ScrtTensor in = {.dtype = SCRT_F32, .rank = 2, .dims = {37, 37}};
    ck_assert_int_eq(scrt_tensor_alloc(&in), SCRT_OK);
    for (int i = 0; i < 37; i++)
        ((float *)in.data)[i * 37 + i] = i % 2 ? (float)NAN : -INFINITY;
    sct_compare_on(&m, &in, exact);
    scrt_free(in.data);
    sct_close(&m);
}
END_TEST

/* What is larger than the caches is stored past them, from rows that begin anywhere. */
START_TEST(past_the_caches)
{
    static const int64_t one = 1;
    sct_everywhere("graph @g(%x: f64[1025,4099]) -> (%y) {\n"
                   "  %1 = reduce_max %x {axes = [1]} : f64[1025,1]\n"
                   "  %y = sub %x, %1 : f64[1025,4099]\n"
                   "}\n",
                   -2, 2, exact, 1, &one);
    /* of long bodies several vectors at once */
    sct_everywhere("graph @g(%x: f16[4099,4099]) -> (%y) {\n"
                   "  %1 = reduce_max %x {axes = [1]} : f16[4099,1]\n"
                   "  %2 = sub %x, %1 : f16[4099,4099]\n"
                   "  %3 = neg %2 : f16[4099,4099]\n"
                   "  %4 = relu %3 : f16[4099,4099]\n"
                   "  %y = add %4, %x : f16[4099,4099]\n"
                   "}\n",
                   -2, 2, exact, 1, &one);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-reduce");
    TCase *t = tcase_create("reduce");
    tcase_add_test(t, tails);
    tcase_add_test(t, long_rows);
    tcase_add_test(t, any_axes);
    tcase_add_test(t, element_types);
    tcase_add_test(t, softmax);
    tcase_add_test(t, layernorm);
    tcase_add_test(t, chains);
    tcase_add_test(t, not_a_number);
    tcase_add_test(t, past_the_caches);
    suite_add_tcase(s, t);
    return sct_main("codegen-reduce", s);
}
