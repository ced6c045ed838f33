/* SPDX-License-Identifier: Apache-2.0 */
/* Codes that are kept as numbers: which values, and that they stay the same numbers. */
#include "codegen/codegen.h"
#include "passes/passes_priv.h"
#include "tests/graphs.h"

#include <string.h>

#define WINDOW "{pads = [1,1,1,1], channels_last = 1}"

static ScGraph *kernels(ScCtx *cx, const char *text)
{
    ScGraph *g = sct_graph(cx, text), *k = sc_pass_fuse(cx, g, &(ScPassEnv){0});
    ck_assert_msg(k != NULL, "%s", sct_messages(cx));
    sc_graph_free(g);
    return k;
}

static uint32_t count_codes(const ScGraph *g)
{
    uint32_t n = 0;
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        n += sc_is_fp8(sc_type_of(g, v)->dtype) && sc_def(g, v)->op == &sc_op_kernel;
    return n;
}

/* Of the graph's values so many are codes, and of them with numbers so many stay; outputs have the
 * same bits. */
static void expect(const char *text, uint32_t before, uint32_t after)
{
    ScCtx *cx = sc_ctx_new();
    uint64_t r = 7;
    ScGraph *k = kernels(cx, text), *n = sc_keep_numbers(cx, k);
    ck_assert_uint_eq(count_codes(k), before);
    ck_assert_msg(sct_messages(cx)[0] == '\0', "%s", sct_messages(cx));
    ck_assert_msg((n == NULL) == (before == after), "%s", sct_print(n ? n : k));
    if (n) {
        ck_assert_msg(count_codes(n) == after, "%s", sct_print(n));
        ck_assert_msg(sc_verify(n, NULL), "%s", sct_messages(cx));
        ScrtTensor *in = sct_inputs(k, &r, -4, 4, 0, NULL), a[2], b[2];
        ck_assert(sc_eval(k, in, a, NULL) && sc_eval(n, in, b, NULL));
        for (uint32_t i = 0; i < k->n_out; i++) {
            ck_assert(sct_same_bits(&a[i], &b[i]));
            scrt_free(a[i].data);
            scrt_free(b[i].data);
        }
        sct_free(in, k->n_in);
    }
    sc_graph_free(n);
    sc_graph_free(k);
    sc_ctx_free(cx);
}

START_TEST(between_products)
{
    expect("graph @g(%x: f32[5,3], %v: f8e4m3fn[3,4], %w: f8e4m3fn[4,6]) -> (%y) {\n"
           "  %1 = cast %x : f8e4m3fn[5,3]\n"
           "  %2 = matmul %1, %v : f32[5,4]\n"
           "  %3 = cast %2 : f8e4m3fn[5,4]\n"
           "  %y = matmul %3, %w : f32[5,6]\n}\n",
           1, 0);
}
END_TEST

START_TEST(between_windows)
{
    expect("graph @g(%x: f32[1,6,6,3], %v: f8e4m3fn[8,3,3,3], %w: f8e4m3fn[4,8,3,3]) -> (%y) {\n"
           "  %1 = cast %x : f8e4m3fn[1,6,6,3]\n"
           "  %2 = conv %1, %v " WINDOW " : f32[1,6,6,8]\n"
           "  %3 = relu %2 : f32[1,6,6,8]\n"
           "  %4 = cast %3 : f8e4m3fn[1,6,6,8]\n"
           "  %y = conv %4, %w " WINDOW " : f32[1,6,6,4]\n}\n",
           2, 0);
}
END_TEST

/* One of two that read it adds it to something. */
START_TEST(beside_a_sum)
{
    expect("graph @g(%x: f32[1,6,6,8], %w: f8e5m2[8,8,3,3]) -> (%y) {\n"
           "  %1 = cast %x : f8e5m2[1,6,6,8]\n"
           "  %2 = conv %1, %w " WINDOW " : f32[1,6,6,8]\n"
           "  %3 = cast %1 : f32[1,6,6,8]\n"
           "  %y = add %2, %3 : f32[1,6,6,8]\n}\n",
           1, 0);
}
END_TEST

START_TEST(through_what_carries)
{
    expect("graph @g(%x: f32[1,3,6,6], %y: f32[1,5,6,6], %w: f8e4m3fn[4,8,3,3]) -> (%z) {\n"
           "  %1 = cast %x : f8e4m3fn[1,3,6,6]\n"
           "  %2 = cast %y : f8e4m3fn[1,5,6,6]\n"
           "  %3 = concat %1, %2 {axis = 1} : f8e4m3fn[1,8,6,6]\n"
           "  %4 = transpose %3 {perm = [0,2,3,1]} : f8e4m3fn[1,6,6,8]\n"
           "  %z = conv %4, %w " WINDOW " : f32[1,6,6,4]\n}\n",
           4, 0);
}
END_TEST

/* The caller's codes are codes, and so is what lies beside them; so are those that are handed out,
 * in the place of weights, or too many for a cache. */
START_TEST(what_stays)
{
    expect("graph @g(%x: f32[1,6,6,3], %c: f8e4m3fn[1,6,6,5], %w: f8e4m3fn[4,8,3,3]) -> (%z) {\n"
           "  %1 = cast %x : f8e4m3fn[1,6,6,3]\n"
           "  %2 = concat %1, %c {axis = 3} : f8e4m3fn[1,6,6,8]\n"
           "  %z = conv %2, %w " WINDOW " : f32[1,6,6,4]\n}\n",
           2, 2);
    expect("graph @g(%x: f32[1,6,6,3], %v: f8e4m3fn[8,3,3,3]) -> (%1, %y) {\n"
           "  %1 = cast %x : f8e4m3fn[1,6,6,3]\n"
           "  %y = conv %1, %v " WINDOW " : f32[1,6,6,8]\n}\n",
           1, 1);
    expect("graph @g(%x: f32[3,4], %m: f8e4m3fn[5,3]) -> (%y) {\n"
           "  %1 = cast %x : f8e4m3fn[3,4]\n"
           "  %y = matmul %m, %1 : f32[5,4]\n}\n",
           1, 1);
    expect("graph @g(%x: f32[1,2048,2048,1], %v: f8e4m3fn[1,1,3,3]) -> (%y) {\n"
           "  %1 = cast %x : f8e4m3fn[1,2048,2048,1]\n"
           "  %y = conv %1, %v " WINDOW " : f32[1,2048,2048,1]\n}\n",
           1, 1);
}
END_TEST

/* Which of the two a level computes follows from its features. */
START_TEST(levels)
{
    static const struct {
        const char *cpu, *reads;
    } of[] = {
        {"x86-64-v2", "conv f32 x"}, {"x86-64-v3", "conv f32 x"}, {"x86-64-v4", "conv f8e4m3fn x"}};
    ScCtx *cx = sc_ctx_new();
    ScGraph *k = kernels(cx, "graph @g(%x: f32[1,6,6,8], %w: f8e4m3fn[8,8,3,3]) -> (%y) {\n"
                             "  %1 = cast %x : f8e4m3fn[1,6,6,8]\n"
                             "  %y = conv %1, %w " WINDOW " : f32[1,6,6,8]\n}\n");
    ScGraph *n = sc_keep_numbers(cx, k);
    for (uint32_t i = 0; i < sizeof of / sizeof *of; i++) {
        const ScCodegenEntry e = {"main", k, n};
        ScObject *o =
            sc_codegen_entries(cx, 1, &e, &(ScCodegenOptions){.cpu = of[i].cpu}, SC_EMIT_ASM);
        ck_assert_msg(o != NULL, "%s", sct_messages(cx));
        ck_assert_str_ne(o->kernel[1].what, "");
        ck_assert_msg(strncmp(o->kernel[1].what, of[i].reads, strlen(of[i].reads)) == 0, "%s: %s",
                      of[i].cpu, o->kernel[1].what);
        sc_object_free(o);
    }
    sc_graph_free(n);
    sc_graph_free(k);
    sc_ctx_free(cx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passes-numbers");
    TCase *t = tcase_create("numbers");
    tcase_add_test(t, between_products);
    tcase_add_test(t, between_windows);
    tcase_add_test(t, beside_a_sum);
    tcase_add_test(t, through_what_carries);
    tcase_add_test(t, what_stays);
    tcase_add_test(t, levels);
    suite_add_tcase(s, t);
    return sct_main("passes-numbers", s);
}
