/* SPDX-License-Identifier: Apache-2.0 */
/* Each clause of the kernel contract, broken on purpose; and what fold must not touch. */
#include "passes/passes_priv.h"
#include "tests/graphs.h"

#include <string.h>

/* A graph of one kernel with this operand, class and body; the body's input is %a. */
static void broken(const char *operand, const char *cls, const char *result, const char *body,
                   const char *words)
{
    ScCtx *cx = sc_ctx_new();
    ScStr s = {0};
    sc_str_addf(&s,
                "graph @g(%%x: %s) -> (%%y) {\n  %%y = kernel %%x {class = %s} : %s from \"Node\"\n"
                "    graph @k(%%a: %s) -> (%%r) {\n%s    }\n}\n",
                operand, cls, result, operand, body);
    ScGraph *g = sct_graph(cx, sc_str_get(&s));
    bool ok = sc_verify_kernels(g);
    if (words) {
        ck_assert_msg(!ok && strstr(sct_messages(cx), words), "'%s' expected, got '%s'", words,
                      sct_messages(cx));
        ck_assert_msg(strstr(sct_messages(cx), "in \"Node\"") != NULL, "%s", sct_messages(cx));
    } else {
        ck_assert_msg(ok, "%s", sct_messages(cx));
    }
    sc_graph_free(g);
    sc_str_free(&s);
    sc_ctx_free(cx);
}

START_TEST(each_clause)
{
    static const char exp_sum[] = "      %r = reduce_sum %a {axes = [1]} : f32[4,1]\n";
    broken("f32[4,4]", "reduce", "f32[4,1]", exp_sum, NULL);
    broken("f32[4,4]", "map", "f32[4,1]", exp_sum, "map has another loop");
    broken("f32[4,4]", "gather", "f32[4,1]", exp_sum, "gather has another loop beside its own");
    broken("f32[4,4]", "scatter", "f32[4,1]", exp_sum, "there is no class \"scatter\"");
    broken("f32[4,4]", "reduce", "f32[1,4]", "      %r = reduce_sum %a {axes = [0]} : f32[1,4]\n",
           "a reduced axis is not among the last");
    broken("f32[4,4]", "reduce", "f32[4]",
           "      %r = reduce_sum %a {axes = [1], keepdims = 0} : f32[4]\n",
           "a reduction drops its axes");
    broken("f32[4,4]", "reduce", "f32[1,1]",
           "      %1 = reduce_sum %a {axes = [1]} : f32[4,1]\n"
           "      %r = reduce_sum %1 {axes = [0,1]} : f32[1,1]\n",
           "reductions differ in space or axes");
    broken("f32[4,4]", "contract", "f32[4,4]",
           "      %1 = exp %a : f32[4,4]\n      %r = matmul %1, %1 : f32[4,4]\n",
           "matmul reads what the kernel computes");
    broken("f32[4,4]", "contract", "f32[4,4]",
           "      %1 = matmul %a, %a : f32[4,4]\n      %r = matmul %a, %1 : f32[4,4]\n",
           "contract has another loop beside its own");
    broken("f32[4,4]", "contract", "f32[4,4]", "      %r = exp %a : f32[4,4]\n",
           "contract has another loop beside its own");
    broken("f32[4,4]", "kernel", "f32[4,4]", "      %r = exp %a : f32[4,4]\n",
           "there is no class \"kernel\"");
    broken("f32[4,4]", "map", "f32[4,4]",
           "      %1 = exp %a : f32[4,4]\n      %2 = transpose %1 : f32[4,4]\n"
           "      %r = exp %2 : f32[4,4]\n",
           "a view stands on what the kernel computes");
    broken("f32[4,6]", "map", "f32[24]",
           "      %1 = transpose %a : f32[6,4]\n      %2 = reshape %1 : f32[24]\n"
           "      %r = exp %2 : f32[24]\n",
           "strides cannot say its views");
    broken("f32[4,4]", "view", "f32[4,4]", "      %r = exp %a : f32[4,4]\n",
           "view computes something");
    broken("f32[4]", "map", "f32[4]",
           "      %c = const [1,2,3,4] : f32[4]\n      %r = add %a, %c : f32[4]\n",
           "a constant inside has more than one element");
    broken("f32[4,4]", "contract", "f32[4,4]",
           "      %1 = const 1 : f32[]\n      %2 = exp %1 : f32[]\n"
           "      %3 = matmul %a, %a : f32[4,4]\n      %r = add %3, %2 : f32[4,4]\n",
           "exp works on another iteration space");
}
END_TEST

/* What may stand on the way into a product's rows: a chain of few nodes of one value each. */
START_TEST(on_the_way)
{
    broken("f32[4,4]", "contract", "f32[4,4]",
           "      %1 = neg %a : f32[4,4]\n      %2 = add %1, %1 : f32[4,4]\n"
           "      %r = matmul %2, %a : f32[4,4]\n",
           NULL);
    broken("f32[4,4]", "contract", "f32[4,4]",
           "      %1 = neg %a : f32[4,4]\n      %r = matmul %a, %1 : f32[4,4]\n",
           "matmul reads what the kernel computes");
    broken("f32[4,4]", "contract", "f32[4,4]",
           "      %1 = neg %a : f32[4,4]\n      %2 = add %1, %a : f32[4,4]\n"
           "      %r = matmul %2, %a : f32[4,4]\n",
           "matmul reads what the kernel computes");
    ScStr s = {0};
    sc_str_addf(&s, "      %%0 = neg %%a : f32[4,4]\n");
    for (int i = 0; i < SC_WAY_MAX; i++)
        sc_str_addf(&s, "      %%%d = neg %%%d : f32[4,4]\n", i + 1, i);
    sc_str_addf(&s, "      %%r = matmul %%%d, %%a : f32[4,4]\n", SC_WAY_MAX);
    broken("f32[4,4]", "contract", "f32[4,4]", sc_str_get(&s),
           "more than 8 nodes on the way into contract");
    sc_str_free(&s);
}
END_TEST

/* Not every class's kernels have several results. */
START_TEST(one_result)
{
    ScCtx *cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, "graph @g(%x: f32[4]) -> (%y, %z) {\n"
                               "  %y, %z = kernel %x {class = concat} : f32[8], f32[8]\n"
                               "    graph @k(%a: f32[4]) -> (%r, %s) {\n"
                               "      %r = concat %a, %a {axis = 0} : f32[8]\n"
                               "      %s = exp %r : f32[8]\n    }\n}\n");
    ck_assert(!sc_verify_kernels(g));
    ck_assert_msg(strstr(sct_messages(cx), "concat has several results"), "%s", sct_messages(cx));
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

/* What an epilogue reads is limited, and fuse keeps to it: factors that are too many for the
 * product's kernel go into one after it. */
START_TEST(many_factors)
{
    ScCtx *cx = sc_ctx_new();
    ScStr s = {0};
    sc_str_addf(&s, "graph @g(%%x: f32[4,8], %%w: f32[8,6]");
    for (int i = 0; i < 40; i++)
        sc_str_addf(&s, ", %%f%d: f32[6]", i);
    sc_str_addf(&s, ") -> (%%p40) {\n  %%p0 = matmul %%x, %%w : f32[4,6]\n");
    for (int i = 0; i < 40; i++)
        sc_str_addf(&s, "  %%p%d = mul %%p%d, %%f%d : f32[4,6]\n", i + 1, i, i);
    sc_str_addf(&s, "}\n");
    ScGraph *g = sct_graph(cx, sc_str_get(&s)), *k = sc_pass_fuse(cx, g, NULL);
    ck_assert_msg(k && sc_verify_kernels(k), "%s", sct_messages(cx));
    uint32_t kernels = 0;
    for (uint32_t i = 0; i < k->n_node; i++)
        kernels += k->node[i].op->lower.cls == SC_KERNEL;
    ck_assert_uint_eq(kernels, 2);
    sc_graph_free(k);
    sc_graph_free(g);
    sc_str_free(&s);
    sc_ctx_free(cx);
}
END_TEST

START_TEST(everything_is_a_kernel)
{
    ScCtx *cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, "graph @g(%x: f32[4]) -> (%y) {\n"
                               "  %y = exp %x : f32[4] from \"Exp\"\n}\n");
    ck_assert(!sc_verify_kernels(g));
    ck_assert_msg(strstr(sct_messages(cx), "in \"Exp\"") &&
                      strstr(sct_messages(cx), "exp is no kernel"),
                  "%s", sct_messages(cx));
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

/* A result that is fresh on every run is neither computed now nor shared. */
START_TEST(fold_leaves_fresh_rows)
{
    ScCtx *cx = sc_ctx_new();
    ScOp fresh = sc_op_exp;
    ScPassEnv env = {0};
    ScBuild b;
    fresh.flags |= SC_FRESH;
    sc_build_init(&b, cx, "g", NULL);
    ScVal c = sc_const_scalar(&b, SCRT_F32, 1);
    sc_output(&b, "a", sc_node1(&b, &fresh, NULL, 1, &c));
    sc_output(&b, "b", sc_node1(&b, &fresh, NULL, 1, &c));
    sc_output(&b, "c", sc_op(&b, exp, c));
    ScGraph *g = sc_build_end(&b);
    ScGraph *folded = sc_pass_run(cx, sc_pass_find(cx, "fold"), g, &env);
    ck_assert_msg(folded != NULL, "%s", sct_messages(cx));
    ck_assert_uint_ne(folded->out[0], folded->out[1]);
    ck_assert_ptr_eq(sc_def(folded, folded->out[0])->op, &fresh);
    ck_assert_ptr_eq(sc_def(folded, folded->out[1])->op, &fresh);
    ck_assert_ptr_eq(sc_def(folded, folded->out[2])->op, &sc_op_const);
    sc_graph_free(g);
    sc_graph_free(folded);
    sc_ctx_free(cx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passes-kernels");
    TCase *t = tcase_create("kernels");
    tcase_add_test(t, each_clause);
    tcase_add_test(t, on_the_way);
    tcase_add_test(t, one_result);
    tcase_add_test(t, many_factors);
    tcase_add_test(t, everything_is_a_kernel);
    tcase_add_test(t, fold_leaves_fresh_rows);
    suite_add_tcase(s, t);
    return sct_main("passes-kernels", s);
}
