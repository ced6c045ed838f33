/* SPDX-License-Identifier: Apache-2.0 */
/* ATTENTION kernels beside the evaluator, which computes in f64: few rows and many, one block of
 * keys and several, widths with tails, masks, the diagonal, shared heads, views, epilogues, types.
 */
#include "tests/codegen/compiled.h"

#define SIZES(...)                                                                                 \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[])                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* Scores of up to some tens err by 2^-24 of the sum of their terms' magnitudes, weights by as much
 * relative to themselves; the values are of magnitude 1. */
static const SctBound bound = {.rel = 2e-5, .abs = 2e-5};

START_TEST(rows_and_keys)
{
    sct_everywhere("graph @g(%q: f32[2,3,n,20], %k: f32[2,3,37,20], %v: f32[2,3,37,9], %s: f32[],\n"
                   "         %r: f32[1,2,5,7], %l: f32[1,2,n,7], %w: f32[1,2,n,70]) -> (%1, %2) {\n"
                   "  %1 = attention %q, %k, %v, %s : f32[2,3,n,9]\n"
                   "  %2 = attention %r, %l, %w, %s : f32[1,2,5,70]\n"
                   "}\n",
                   -1, 1, bound, SIZES(0, 1, 2, 7, 8, 9, 16, 33, 150, 300, 600));
}
END_TEST

/* Numbers of keys that fill blocks nearly, with tiles of all widths. */
START_TEST(whole_blocks)
{
    sct_everywhere(
        "graph @g(%q: f32[1,1,9,4], %r: f32[1,1,6,4], %k: f32[1,1,250,4], %l: f32[1,1,47,4], "
        "%m: f32[1,1,513,4], %s: f32[]) -> (%1, %2, %3, %4) {\n"
        "  %1 = attention %q, %k, %k, %s : f32[1,1,9,4]\n"
        "  %2 = attention %r, %k, %k, %s : f32[1,1,6,4]\n"
        "  %3 = attention %q, %l, %l, %s : f32[1,1,9,4]\n"
        "  %4 = attention %r, %m, %m, %s : f32[1,1,6,4]\n"
        "}\n",
        -1, 1, bound, 0, NULL);
}
END_TEST

START_TEST(shared_heads)
{
    sct_everywhere(
        "graph @g(%q: f32[2,6,n,16], %k: f32[2,2,n,16], %v: f32[2,2,n,16], %s: f32[],\n"
        "         %d: f32[1,4,1,64], %l: f32[1,1,n,64], %w: f32[1,1,n,64]) -> (%1, %2) {\n"
        "  %1 = attention %q, %k, %v, %s {diagonal = [0]} : f32[2,6,n,16]\n"
        "  %2 = attention %d, %l, %w, %s : f32[1,4,1,64]\n"
        "}\n",
        -1, 1, bound, SIZES(1, 3, 40, 530));
}
END_TEST

START_TEST(masks)
{
    sct_everywhere(
        "graph @g(%q: f32[2,3,n,8], %k: f32[2,3,19,8], %v: f32[2,3,19,8], %s: f32[],\n"
        "         %b: bool[2,1,n,19], %f: f32[3,1,19], %c: bool[n,1], %d: f32[2,3,n,19]) -> "
        "(%1, %2, %3, %4) {\n"
        "  %1 = attention %q, %k, %v, %s, _, %b {zeros = 1} : f32[2,3,n,8]\n"
        "  %2 = attention %q, %k, %v, %s, %f {softcap = 0.5, diagonal = [2]} : f32[2,3,n,8]\n"
        "  %3 = attention %q, %k, %v, %s, %d, %c : f32[2,3,n,8]\n"
        "  %4 = attention %q, %k, %v, %s, %d, %b {diagonal = [-3], zeros = 2, fill = -2}"
        " : f32[2,3,n,8]\n"
        "}\n",
        -1, 1, bound, SIZES(1, 5, 24));
}
END_TEST

/* A query that sees no key: NaN where the softmax is written out, or 0; of no keys at all 0. */
START_TEST(nothing_is_seen)
{
    sct_everywhere("graph @g(%q: f32[1,2,n,8], %k: f32[1,2,n,8], %v: f32[1,2,n,8], %s: f32[],\n"
                   "         %e: f32[1,2,0,8]) -> (%1, %2, %3) {\n"
                   "  %1 = attention %q, %k, %v, %s {diagonal = [-1]} : f32[1,2,n,8]\n"
                   "  %2 = attention %q, %k, %v, %s {diagonal = [-300], zeros = 1} : f32[1,2,n,8]\n"
                   "  %3 = attention %q, %e, %e, %s : f32[1,2,n,8]\n"
                   "}\n",
                   -1, 1, bound, SIZES(1, 8, 20, 270));
}
END_TEST

/* Heads beside each other in rows, keys that lie across, values over a slice; what follows. */
START_TEST(views_and_epilogues)
{
    sct_everywhere(
        "graph @g(%q: f32[2,n,3,8], %k: f32[2,3,8,n], %v: f32[2,n,3,24], %s: f32[], %b: f32[8]) -> "
        "(%6, %8) {\n"
        "  %1 = transpose %q {perm = [0,2,1,3]} : f32[2,3,n,8]\n"
        "  %2 = transpose %k {perm = [0,1,3,2]} : f32[2,3,n,8]\n"
        "  %3 = slice %v {starts = [8], ends = [16], axes = [3]} : f32[2,n,3,8]\n"
        "  %4 = transpose %3 {perm = [0,2,1,3]} : f32[2,3,n,8]\n"
        "  %5 = attention %1, %2, %4, %s : f32[2,3,n,8]\n"
        "  %6 = mul %5, %b : f32[2,3,n,8]\n"
        "  %7 = attention %1, %1, %4, %s {diagonal = [1]} : f32[2,3,n,8]\n"
        "  %8 = relu %7 : f32[2,3,n,8]\n"
        "}\n",
        -1, 1, bound, SIZES(1, 2, 8, 21, 60));
}
END_TEST

/* Parts of one product's result, scaled and rounded as they are read. */
START_TEST(on_the_way)
{
    sct_everywhere("graph @g(%x: f32[2,n,72], %s: f32[]) -> (%y) {\n"
                   "  %h = const 0.5 : f32[]\n"
                   "  %1 = slice %x {starts = [0], ends = [24], axes = [2]} : f32[2,n,24]\n"
                   "  %2 = reshape %1 {shape = [2,n,3,8]} : f32[2,n,3,8]\n"
                   "  %3 = transpose %2 {perm = [0,2,1,3]} : f32[2,3,n,8]\n"
                   "  %q = add %3, %h : f32[2,3,n,8]\n"
                   "  %4 = slice %x {starts = [24], ends = [48], axes = [2]} : f32[2,n,24]\n"
                   "  %5 = reshape %4 {shape = [2,n,3,8]} : f32[2,n,3,8]\n"
                   "  %6 = transpose %5 {perm = [0,2,1,3]} : f32[2,3,n,8]\n"
                   "  %7 = mul %6, %h : f32[2,3,n,8]\n"
                   "  %k = cast %7 : f8e4m3fn[2,3,n,8]\n"
                   "  %8 = slice %x {starts = [48], ends = [72], axes = [2]} : f32[2,n,24]\n"
                   "  %9 = reshape %8 {shape = [2,n,3,8]} : f32[2,n,3,8]\n"
                   "  %10 = transpose %9 {perm = [0,2,1,3]} : f32[2,3,n,8]\n"
                   "  %v = cast %10 : f8e5m2[2,3,n,8]\n"
                   "  %y = attention %q, %k, %v, %s : f32[2,3,n,8]\n"
                   "}\n",
                   -1, 1, bound, SIZES(1, 2, 7, 9, 33, 150, 300));
}
END_TEST

START_TEST(types)
{
    sct_everywhere(
        "graph @g(%q: f32[1,2,n,24], %k: f8e4m3fn[1,2,n,24], %v: f8e5m2[1,2,n,24], %s: f32[],\n"
        "         %a: f64[1,2,n,5], %t: f64[], %h: f16[1,2,n,24]) -> (%1, %2, %3, %4) {\n"
        "  %1 = attention %q, %k, %v, %s : f32[1,2,n,24]\n"
        "  %2 = attention %a, %a, %a, %t {diagonal = [0]} : f64[1,2,n,5]\n"
        "  %3 = attention %h, %h, %h, %s {out = f32} : f32[1,2,n,24]\n"
        "  %4 = attention %h, %h, %h, %s : f16[1,2,n,24]\n"
        "}\n",
        -1, 1, (SctBound){.max_ulp = 1, .rel = 2e-5, .abs = 2e-5}, SIZES(1, 9, 40));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-attention");
    TCase *t = tcase_create("attention");
    tcase_add_test(t, rows_and_keys);
    tcase_add_test(t, whole_blocks);
    tcase_add_test(t, shared_heads);
    tcase_add_test(t, masks);
    tcase_add_test(t, nothing_is_seen);
    tcase_add_test(t, views_and_epilogues);
    tcase_add_test(t, on_the_way);
    tcase_add_test(t, types);
    suite_add_tcase(s, t);
    return sct_main("codegen-attention", s);
}
