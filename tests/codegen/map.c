/* SPDX-License-Identifier: Apache-2.0 */
/* MAP and VIEW kernels against the evaluator, bit for bit. */
#include "tests/codegen/compiled.h"

static const SctBound exact = {0};
#define SIZES(...)                                                                                 \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[])                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

START_TEST(tails)
{
    int64_t size[71];
    for (int i = 0; i <= 70; i++)
        size[i] = i;
    sct_everywhere("graph @g(%x: f32[n], %y: f32[n]) -> (%z, %w) {\n"
                   "  %m = mul %x, %y : f32[n]\n"
                   "  %z = add %m, %x : f32[n]\n"
                   "  %w = relu %m : f32[n]\n"
                   "}\n",
                   -4, 4, exact, 71, size);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-map");
    TCase *t = tcase_create("map");
    tcase_add_test(t, tails);
    suite_add_tcase(s, t);
    return sct_main("codegen-map", s);
}
