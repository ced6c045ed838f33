/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of several results: a value and what is made of it, in every class that has them. */
#include "tests/codegen/compiled.h"

#include <stdio.h>

static const SctBound exact = {0}, sums = {.rel = 1e-5, .abs = 1e-5};
#define SIZES(...)                                                                                 \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[])                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* The graph is so many kernels, and computes what the evaluator does. */
static void kernels(const char *text, uint32_t n, SctBound bound, uint32_t n_size,
                    const int64_t *size)
{
    SctModel m = sct_compile(text, "native", NULL);
    uint32_t found = 0, results = 0;
    for (uint32_t i = 0; i < m.kernels->n_node; i++) {
        found += m.kernels->node[i].op == &sc_op_kernel;
        results = m.kernels->node[i].n_out > results ? m.kernels->node[i].n_out : results;
    }
    ck_assert_msg(found == n, "%u kernels, not %u, of %s", found, n, text);
    ck_assert_msg(results > 1, "no kernel of several results in %s", text);
    sct_close(&m);
    sct_everywhere(text, -3, 3, bound, n_size, size);
}

/* The state of a cell and its output; a sum, its rows' norm, and what else is made of it. */
START_TEST(loops)
{
    kernels("graph @g(%f: f32[3,n], %c: f32[3,n], %o: f32[3,n]) -> (%d, %h) {\n"
            "  %d = mul %f, %c : f32[3,n]\n  %1 = abs %d : f32[3,n]\n"
            "  %h = mul %o, %1 : f32[3,n]\n}\n",
            1, exact, SIZES(0, 1, 7, 40, 3000));
    kernels("graph @g(%x: f32[5,n], %y: f32[5,n]) -> (%s, %m, %l, %c) {\n"
            "  %s = add %x, %y : f32[5,n]\n"
            "  %m = reduce_max %s {axes = [1]} : f32[5,1]\n"
            "  %l = sub %s, %m : f32[5,n]\n"
            "  %c = cast %s : f8e4m3fn[5,n]\n}\n",
            1, exact, SIZES(1, 7, 40, 3000));
}
END_TEST

/* What a product, a window, a table or a running sum gives, and its low form. */
START_TEST(leaders)
{
    kernels("graph @g(%x: f32[n,20], %w: f32[20,33]) -> (%r, %c) {\n"
            "  %1 = matmul %x, %w : f32[n,33]\n  %r = relu %1 : f32[n,33]\n"
            "  %c = cast %r : bf16[n,33]\n}\n",
            1, (SctBound){.rel = 8e-3, .abs = 1e-5}, SIZES(1, 2, 5, 70));
    kernels("graph @g(%x: f32[2,3,n,6], %w: f32[17,3,3,3]) -> (%r, %c) {\n"
            "  %r = conv %x, %w {pads = [1,1,1,1]} : f32[2,17,n,6]\n"
            "  %c = neg %r : f32[2,17,n,6]\n}\n",
            1, sums, SIZES(1, 5, 30));
    kernels("graph @g(%x: f32[2,3,n,6]) -> (%r, %c) {\n"
            "  %r = maxpool %x {kernel_shape = [3,3], pads = [1,1,1,1]} : f32[2,3,n,6]\n"
            "  %c = neg %r : f32[2,3,n,6]\n}\n",
            1, exact, SIZES(1, 5, 30));
    kernels("graph @g(%x: f32[9,n], %i: i64[4]) -> (%r, %c) {\n"
            "  %r = gather %x, %i : f32[4,n]\n  %c = neg %r : f32[4,n]\n}\n",
            1, exact, SIZES(0, 1, 5, 300));
    kernels("graph @g(%x: f32[9,n]) -> (%r, %c) {\n"
            "  %r = cumsum %x {axis = 1} : f32[9,n]\n  %c = neg %r : f32[9,n]\n}\n",
            1, sums, SIZES(0, 1, 5, 300));
}
END_TEST

/* What the later part reads must be there where the earlier one is computed; a value that only the
 * joined parts read is not stored. */
START_TEST(order)
{
    kernels("graph @g(%x: f32[n], %y: f32[n]) -> (%a, %d, %e) {\n"
            "  %a = exp %x : f32[n]\n"
            "  %b = cumsum %a {axis = 0} : f32[n]\n" /* waits for %a */
            "  %d = add %a, %b : f32[n]\n"
            "  %e = add %a, %y : f32[n]\n}\n",
            2, sums, SIZES(1, 40));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("several");
    TCase *t = tcase_create("several");
    tcase_set_timeout(t, 200);
    tcase_add_test(t, loops);
    tcase_add_test(t, leaders);
    tcase_add_test(t, order);
    suite_add_tcase(s, t);
    return sct_main("codegen-several", s);
}
