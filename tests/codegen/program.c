/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: kernels that layers share, whatever their symbols, exponents and constants are called;
 * symbols that are bound half way. */
#include "tests/codegen/compiled.h"

#include <string.h>

/* --- Kernels have parameters ----------------------------------------------------------------- */

/* How many functions the kernels of a model share. */
static uint32_t functions(const SctModel *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->o->n_kernel; i++)
        n += strstr(m->o->kernel[i].what, "(the code of ") == NULL;
    return n;
}

START_TEST(layers_share_kernels)
{
    static const SctBound exact = {0};
    SctModel m = sct_compile("graph @g [scaled] (%x: f32[n,4], %y: f32[m,4]) -> (%b, %d) {\n"
                             "  %c1 = const 3 : f32[] * 2^1\n"
                             "  %1 = mul %x, %c1 : f32[n,4] * 2^1 from \"first\"\n"
                             "  %a = rebalance %1, -4 : f32[n,4] * 2^-4\n"
                             "  %b = rebalance %a, 0 : f32[n,4]\n"
                             "  %c2 = const 6 : f32[] * 2^2\n"
                             "  %2 = mul %y, %c2 : f32[m,4] * 2^2 from \"second\"\n"
                             "  %c = rebalance %2, 9 : f32[m,4] * 2^9\n"
                             "  %d = rebalance %c, 0 : f32[m,4]\n"
                             "}\n",
                             "native", NULL);
    ck_assert_uint_eq(m.o->n_kernel, 2);
    ck_assert_uint_eq(functions(&m), 1);
    ScBinding env[] = {{sc_intern(m.cx, "n"), 5}, {sc_intern(m.cx, "m"), 9}};
    sct_compare(&m, 3, -4, 4, 2, env, exact);
    sct_close(&m);
    m = sct_compile("graph @g [scaled] (%x: f32[n,4], %y: f32[n,4]) -> (%b, %d) {\n"
                    "  %a = rebalance %x, -4 : f32[n,4] * 2^-4\n"
                    "  %1 = relu %a : f32[n,4] * 2^-4\n"
                    "  %b = rebalance %1, 0 : f32[n,4]\n"
                    "  %c = rebalance %y, 300 : f32[n,4] * 2^300\n" /* takes more than a factor */
                    "  %2 = relu %c : f32[n,4] * 2^300\n"
                    "  %d = rebalance %2, 0 : f32[n,4]\n"
                    "}\n",
                    "native", NULL);
    ck_assert_uint_eq(functions(&m), 2);
    env[0].sym = sc_intern(m.cx, "n");
    sct_compare(&m, 3, -4, 4, 1, env, exact);
    sct_close(&m);
}
END_TEST

/* --- Symbols that are bound half way --------------------------------------------------------- */

static const char reshaped[] = "graph @g(%x: f32[n], %shape: i64[2]) -> (%z, %t, %u) {\n"
                               "  %u = neg %x : f32[n]\n"
                               "  %s = bind %shape {as = [a,b]} : i64[2]\n"
                               "  %v = reshape %u {shape = [a,b]} : f32[a,b] from \"reshape\"\n"
                               "  %w = exp %v : f32[a,b]\n"
                               "  %t = reduce_sum %w {axes = [0]} : f32[1,b]\n"
                               "  %y = mul %w, %t : f32[a,b]\n"
                               "  %p = transpose %y : f32[b,a]\n"
                               "  %q = add %p, %p : f32[b,a]\n"
                               "  %z = concat %q, %q {axis = 1} : f32[b,2*a]\n"
                               "}\n";

START_TEST(sizes_from_data)
{
    SctModel m = sct_compile(reshaped, "native", NULL);
    float x[60];
    int64_t shape[2] = {1, 60};
    for (int i = 0; i < 60; i++)
        x[i] = (float)(i % 7) / 4;
    ScrtTensor in[] = {{.dtype = SCRT_F32, .rank = 1, .dims = {60}, .data = x},
                       {.dtype = SCRT_I64, .rank = 1, .dims = {2}, .data = shape}};
    for (; shape[0] <= 60; shape[0]++) {
        shape[1] = 60 / shape[0];
        if (shape[0] * shape[1] == 60)
            sct_compare_on(&m, in, (SctBound){.rel = 1e-5, .abs = 1e-6});
    }
    sct_close(&m);
}
END_TEST

START_TEST(failures_half_way_name_the_node)
{
    SctModel m = sct_compile(reshaped, "native", NULL);
    float x[60] = {0};
    ScrtSession *s = sct_open(&m, 1);
    static const struct {
        int64_t shape[2];
        ScrtStatus status;
        const char *says;
    } t[] = {
        {{7, 9}, SCRT_E_SHAPE, "n is 60 and must be a*b, which is 63"},
        {{-6, -10}, SCRT_E_SHAPE, "a is -6 and must be at least 0"},
        {{INT64_MAX, 2}, SCRT_E_MEMORY, "would be too large"},
        {{6, 10}, SCRT_OK, ""},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        ScrtTensor in[] = {{.dtype = SCRT_F32, .rank = 1, .dims = {60}, .data = x},
                           {.dtype = SCRT_I64, .rank = 1, .dims = {2}, .data = (void *)t[i].shape}};
        ScrtTensor out[3] = {0};
        ck_assert_int_eq(scrt_shapes(s, in, out), SCRT_OK);
        ck_assert(out[0].dims[0] == -1 && out[0].dims[1] == -1 && out[2].dims[0] == 60);
        memset(out, 0, sizeof out);
        ck_assert_int_eq(scrt_run(s, in, out), t[i].status);
        if (t[i].status != SCRT_OK) {
            ck_assert(!out[0].data && !out[1].data && !out[2].data);
            ck_assert_msg(strstr(scrt_error(s), t[i].says) && strstr(scrt_error(s), "\"reshape\""),
                          "%s", scrt_error(s));
        }
        for (int k = 0; k < 3; k++)
            scrt_free(out[k].data);
    }
    scrt_close(s);
    sct_close(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-program");
    TCase *t = tcase_create("program");
    tcase_add_test(t, layers_share_kernels);
    tcase_add_test(t, sizes_from_data);
    tcase_add_test(t, failures_half_way_name_the_node);
    suite_add_tcase(s, t);
    return sct_main("codegen-program", s);
}
