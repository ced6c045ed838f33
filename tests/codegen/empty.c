/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors without elements: every row that can be drawn, and the kernels that keep or walk rows,
 * with extents of 0 known when compiled and found when run. Reductions of nothing have their
 * neutral elements, as the evaluator says. */
#include "tests/codegen/compiled.h"

static const SctBound bound = {.max_ulp = 16, .rel = 1e-5, .abs = 2e-5};

enum { RANK = 2 };

static ScGraph *draw(ScCtx *cx, const ScOp *op, uint32_t zero)
{
    static const char *const name[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    const ScSchema *s = sc_schema(cx, op);
    int64_t dims[RANK];
    ScVal in[8], out[SC_MAX_OUT];
    ScBuild b;
    sc_build_init(&b, cx, "empty", NULL);
    for (uint32_t d = 0; d < RANK; d++)
        dims[d] = d == zero ? 0 : 3;
    for (uint32_t i = 0; i < s->n_in && i < 8; i++) {
        ScrtDtype t = sct_dtype_for(s->in[i].cls);
        in[i] = sc_input(&b, sc_intern(cx, name[i]), sc_type_c(cx, t, RANK, dims), NULL);
    }
    bool ok = s->n_in <= 8 && sc_node(&b, op, NULL, NULL, s->n_in, in, 1, out);
    if (ok)
        sc_output(&b, "y", out[0]);
    ScGraph *g = ok ? sc_build_end(&b) : NULL;
    if (!ok)
        sc_build_drop(&b);
    return g;
}

/* Rows that do not take operands of one shape say so, and are not tried. */
START_TEST(rows)
{
    const ScOp *op = sc_op_table[_i];
    bool made = op->lower.cls != SC_NO_LOWERING || op->expand;
    if (!made || op->lower.cls == SC_SOURCE || op->n_sub || op->flags & SC_REBALANCES)
        return;
    for (uint32_t zero = 0; zero < RANK; zero++) {
        ScCtx *cx = sc_ctx_new();
        ScGraph *g = draw(cx, op, zero);
        ScStr text = {0};
        if (g) {
            sc_print(g, 0, &text);
            SctModel m = sct_compile(text.s, "native", NULL);
            sct_compare(&m, 1, -4, 4, 0, NULL, bound);
            sct_close(&m);
        }
        sc_str_free(&text);
        sc_graph_free(g);
        sc_ctx_free(cx);
    }
}
END_TEST

static const char *const graphs[] = {
    /* costly values kept along a row */
    "graph @g(%x: f32[n,0]) -> (%y) {\n  %b = const 1 : f32[]\n"
    "  %y = softmax %x, %b {axis = 1} : f32[n,0]\n}\n",
    "graph @g(%x: f32[n,0,3]) -> (%y) {\n  %b = const 1 : f32[]\n"
    "  %y = softmax %x, %b {axis = 1} : f32[n,0,3]\n}\n",
    "graph @g(%x: f32[3,n]) -> (%y) {\n  %b = const 1 : f32[]\n"
    "  %y = log_softmax %x, %b {axis = 1} : f32[3,n]\n}\n",
    "graph @g(%x: f32[n,0]) -> (%z, %e) {\n  %e = exp %x : f32[n,0]\n"
    "  %t = tanh %e : f32[n,0]\n  %s = reduce_sum %t {axes = [1]} : f32[n,1]\n"
    "  %d = sub %t, %s : f32[n,0]\n  %z = reduce_sum %d {axes = [1]} : f32[n,1]\n}\n",
    "graph @g(%x: f32[n,0], %s: f32[0]) -> (%y, %m) {\n  %e = const 0.001 : f32[]\n"
    "  %y, %m = layernorm %x, %s, _, %e {axis = 1} : f32[n,0], f32[n,1]\n}\n",
    /* reductions of nothing, and of all */
    "graph @g(%x: f32[n,0]) -> (%y) {\n  %y = reduce_sum %x {axes = [0,1], keepdims = 0} : f32[]\n"
    "}\n",
    "graph @g(%x: f32[n,0]) -> (%y) {\n  %y = reduce_max %x {axes = [1], keepdims = 0} : f32[n]\n"
    "}\n",
    "graph @g(%x: f32[n,3]) -> (%y) {\n  %y = reduce_mean %x {axes = [0], keepdims = 0} : f32[3]\n"
    "}\n",
    "graph @g(%x: i64[n,0]) -> (%y) {\n  %y = reduce_prod %x {axes = [1], keepdims = 0} : i64[n]\n"
    "}\n",
    "graph @g(%x: f32[n,0]) -> (%y) {\n"
    "  %y = reduce_log_sum_exp %x {axes = [1], keepdims = 0} : f32[n]\n}\n",
    /* products over nothing, and of nothing */
    "graph @g(%x: f32[n,0], %w: f32[0,5]) -> (%y) {\n  %y = matmul %x, %w : f32[n,5]\n}\n",
    "graph @g(%x: f32[n,4], %w: f32[4,0]) -> (%y) {\n  %y = matmul %x, %w : f32[n,0]\n}\n",
    "graph @g(%x: f32[3,n], %w: f32[n,5], %c: f32[5]) -> (%y) {\n"
    "  %y = gemm %x, %w, %c : f32[3,5]\n}\n",
    "graph @g(%x: f32[n,2,5,5], %w: f32[3,2,3,3]) -> (%y) {\n  %y = conv %x, %w {strides = [1,1], "
    "pads = [0,0,0,0], dilations = [1,1]} : f32[n,3,3,3]\n}\n",
    "graph @g(%x: f32[n,2,4,4]) -> (%y) {\n  %y = maxpool %x {kernel_shape = [2,2], strides = "
    "[2,2], pads = [0,0,0,0], dilations = [1,1]} : f32[n,2,2,2]\n}\n",
    /* parts and views */
    "graph @g(%x: f32[n,3], %y: f32[0,3]) -> (%z) {\n"
    "  %z = concat %x, %y {axis = 0} : f32[n,3]\n}\n",
    "graph @g(%x: f32[n,0]) -> (%y) {\n  %y = transpose %x {perm = [1,0]} : f32[0,n]\n}\n",
    "graph @g(%x: f32[4,n], %i: i64[0]) -> (%y) {\n  %y = gather %x, %i : f32[0,n]\n}\n",
};

START_TEST(kernels)
{
    static const int64_t size[] = {0, 1, 3};
    sct_everywhere(graphs[_i], -2, 2, bound, 3, size);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-empty");
    TCase *t = tcase_create("empty");
    tcase_add_loop_test(t, rows, 0, (int)sc_op_count);
    tcase_add_loop_test(t, kernels, 0, (int)(sizeof graphs / sizeof *graphs));
    suite_add_tcase(s, t);
    return sct_main("codegen-empty", s);
}
