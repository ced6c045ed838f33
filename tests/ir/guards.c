/* SPDX-License-Identifier: Apache-2.0 */
/* Guards and binders: what rules cannot prove is recorded, checked by whoever runs the graph, and
 * carried along; symbols are bound before they are used. */
#include "passes/passes.h"
#include "tests/graphs.h"

#include <stdlib.h>
#include <string.h>

static ScCtx *cx;

static void begin(void)
{
    cx = sc_ctx_new();
}

static void end(void)
{
    sc_ctx_free(cx);
}

/* The guards that a rule records, as the text says them, or the error. */
static const struct {
    const char *text, *says;
} rules[] = {
    {"graph @g(%a: f32[b,k], %b: f32[64,8]) -> (%y) {\n"
     "  %y = matmul %a, %b : f32[b,8] from \"fc\"\n}\n",
     "guard k = 64 : \"inner dimensions\" from \"fc\""},
    {"graph @g(%a: f32[b,63], %b: f32[64,8]) -> (%y) {\n"
     "  %y = matmul %a, %b : f32[b,8] from \"fc\"\n}\n",
     "inner dimensions differ"},
    {"graph @g(%a: f32[b,2*k], %b: f32[63,8]) -> (%y) {\n"
     "  %y = matmul %a, %b : f32[b,8] from \"fc\"\n}\n",
     "inner dimensions differ"},
    {"graph @g(%a: f32[n,m], %b: f32[4]) -> (%y) {\n"
     "  %y = add %a, %b : f32[n,4] from \"sum\"\n}\n",
     "guard m meets 4"},
    {"graph @g(%a: f32[n], %b: f32[n+1]) -> (%y) {\n"
     "  %y = concat %a, %b {axis = 0} : f32[2*n+1]\n}\n",
     "-> (%y) {\n  %y"},
    {"graph @g(%a: f32[1,n], %b: f32[1,7]) -> (%y) {\n"
     "  %y = concat %a, %b {axis = 0} : f32[2,7] from \"cat\"\n}\n",
     "guard n = 7 : \"extents of operands that lie side by side\" from \"cat\""},
    {"graph @g(%x: f32[n,3,h,w], %k: f32[8,c,3,3]) -> (%y) {\n"
     "  %y = conv %x, %k : f32[n,8,h-2,w-2] from \"conv\"\n}\n",
     "guard 3 = c : \"channels and those of the weights\" from \"conv\""},
    {"graph @g(%x: f32[n,3,h,w], %k: f32[8,3,3,3]) -> (%y) {\n"
     "  %y = conv %x, %k : f32[n,8,h-2,w-2] from \"conv\"\n}\n",
     "guard 3 <= h : \"a window and the extent that it moves over\" from \"conv\""},
    {"graph @g(%x: f32[n,3]) -> (%y) {\n  %y = squeeze %x : f32[n,3] from \"sq\"\n}\n",
     "guard n != 1"},
    {"graph @g(%x: f32[n,4]) -> (%y) {\n  %y = reshape %x : f32[12] from \"r\"\n}\n",
     "guard 4*n = 12"},
    {"graph @g(%x: f32[n,4]) -> (%y) {\n  %y = reshape %x : f32[13] from \"r\"\n}\n",
     "4*n elements cannot be seen as 13"},
    {"graph @g(%x: f32[n], %i: i64[m]) -> (%y) {\n"
     "  %y = gather %x, %i : f32[m] from \"pick\"\n}\n",
     "guard min(m,1) <= n"},
    /* what bounds prove */
    {"graph @g(%x: f32[n,5]) -> (%y) {\n"
     "  %y = slice %x {starts = [1], ends = [9223372036854775807], axes = [0]} : "
     "f32[max(n-1,0),5]\n"
     "}\n",
     "-> (%y) {\n  %y"},
};

START_TEST(rules_say_what_they_need)
{
    ScGraph *g = sc_parse(cx, "t", rules[_i].text, NULL, NULL);
    const char *got = g ? sct_print(g) : sct_messages(cx);
    ck_assert_msg(strstr(got, rules[_i].says) != NULL, "'%s' is not in\n%s", rules[_i].says, got);
    if (g)
        ck_assert_msg(sc_verify(g, NULL), "%s", sct_messages(cx));
    sc_graph_free(g);
}
END_TEST

static bool run(const ScGraph *g, uint32_t n, const ScBinding *env)
{
    uint64_t r = 1;
    ScrtTensor *in = sct_inputs(g, &r, -1, 1, n, env), *out = calloc(g->n_out, sizeof *out);
    bool ok = sc_eval(g, in, out, NULL);
    sct_free(in, g->n_in);
    sct_free(out, ok ? g->n_out : 0);
    return ok;
}

/* An extent that is left out of a common one, since it is never more than another, is that or 1:
 * also where a third one hides it (x is 1, what is cut from c is nothing, q is 1). */
START_TEST(lesser_extents_fit)
{
    ScGraph *g = sct_graph(
        cx, "graph @g(%x: f32[n], %q: f32[q], %k: f32[p], %c: f32[n+p]) -> (%y) {\n"
            "  %m = slice %c {starts = [p], ends = [8], axes = [0]} : f32[max(-p+min(n+p,8),0)]\n"
            "  %a = add %m, %q : f32[bcast(max(-p+min(n+p,8),0),q)]\n"
            "  %y = add %a, %x : f32[bcast(n,q)] from \"second\"\n"
            "}\n");
    ScBinding env[3] = {{sc_intern(cx, "n"), 3}, {sc_intern(cx, "q"), 1}, {sc_intern(cx, "p"), 2}};
    ck_assert_msg(run(g, 3, env), "%s", sct_messages(cx));
    env[0].value = 1;
    env[2].value = 8;
    ck_assert(!run(g, 3, env));
    ck_assert_ptr_nonnull(strstr(sct_messages(cx), "\"second\""));
    sc_graph_free(g);
}
END_TEST

/* Through every pass, kernels included. */
START_TEST(guards_stay)
{
    ScGraph *g = sct_graph(cx, "graph @g(%a: f32[b,k], %b: f32[4,8], %c: f32[m]) -> (%y) {\n"
                               "  %2 = matmul %a, %b : f32[b,8] from \"fc\"\n"
                               "  %y = add %2, %c : f32[b,8] from \"bias\"\n"
                               "}\n");
    ScPipeline p = {.verify = true};
    g = sc_pipeline_run(cx, g, &p);
    ck_assert_msg(g != NULL, "%s", sct_messages(cx));
    ck_assert_uint_eq(g->n_guard, 2);
    ScBinding env[3] = {{sc_intern(cx, "b"), 3}, {sc_intern(cx, "k"), 4}, {sc_intern(cx, "m"), 8}};
    ck_assert_msg(run(g, 3, env), "%s", sct_messages(cx));
    env[2].value = 1;
    ck_assert_msg(run(g, 3, env), "%s", sct_messages(cx));
    env[2].value = 7;
    ck_assert(!run(g, 3, env));
    ck_assert_ptr_nonnull(strstr(sct_messages(cx), "\"bias\""));
    ck_assert_ptr_nonnull(strstr(sct_messages(cx), "m is 7 and must be 1 or 8"));
    sc_graph_free(g);
}
END_TEST

static ScrtTensor ints(int64_t *x, int64_t n)
{
    return (ScrtTensor){.dtype = SCRT_I64, .rank = 1, .dims = {n}, .data = x};
}

START_TEST(a_shape_is_an_input)
{
    ScGraph *g = sct_graph(cx, "graph @g(%x: f32[n,6], %s: i64[2]) -> (%y) {\n"
                               "  %4 = bind %s {as = [d0,d1]} : i64[2]\n"
                               "  %y = reshape %x : f32[d0,d1] from \"view\"\n"
                               "}\n");
    float data[24] = {0};
    int64_t shape[][2] = {{3, 8}, {24, 1}, {5, 5}, {-3, -8}};
    ck_assert_msg(sc_verify(g, NULL), "%s", sct_messages(cx));
    for (int i = 0; i < 4; i++) {
        ScrtTensor in[2] = {{.dtype = SCRT_F32, .rank = 2, .dims = {4, 6}, .data = data},
                            ints(shape[i], 2)};
        ScrtTensor out = {0};
        ck_assert_msg(sc_eval(g, in, &out, NULL) == (i < 2), "%d: %s", i, sct_messages(cx));
        if (i < 2)
            ck_assert_int_eq(out.dims[0], shape[i][0]);
        scrt_free(out.data);
    }
    ck_assert_ptr_nonnull(strstr(sct_messages(cx), "must be d0*d1, which is 25"));
    ck_assert_ptr_nonnull(strstr(sct_messages(cx), "d0 is -3 and must be at least 0"));
    sc_graph_free(g);
}
END_TEST

/* Nobody reads the binder's result, only its symbols; the second binds what nobody needs. */
START_TEST(binders_live_as_long_as_their_symbols)
{
    ScGraph *g = sct_graph(cx, "graph @g(%x: f32[1], %s: i64[1], %t: i64[1]) -> (%y) {\n"
                               "  %4 = bind %s {as = [d]} : i64[1]\n"
                               "  %5 = bind %t {as = [e]} : i64[1]\n"
                               "  %y = expand %x : f32[d]\n"
                               "}\n");
    ck_assert_ptr_nonnull(strstr(sct_print(g), "as = [d]"));
    ck_assert_ptr_null(strstr(sct_print(g), "as = [e]"));
    ScGraph *copy = sc_pass_simplify(cx, g, &(ScPassEnv){0});
    ck_assert_msg(copy && sc_verify(copy, NULL), "%s", sct_messages(cx));
    sc_graph_free(copy);
    sc_graph_free(g);
}
END_TEST

static const struct {
    const char *text, *says;
} unlawful[] = {
    {"graph @g(%x: f32[1]) -> (%y) {\n  %y = expand %x : f32[m]\n}\n", "symbol m is not bound"},
    {"graph @g(%x: f32[1], %s: i64[1]) -> (%y, %z) {\n"
     "  %z = bind %s {as = [n]} : i64[1]\n"
     "  %2 = neg %z : i64[1]\n"
     "  %3 = bind %2 {as = [n]} : i64[1]\n"
     "  %y = add %3, %z : i64[1]\n}\n",
     "symbol n is bound twice"},
    {"graph @g(%x: f32[1], %s: i64[1]) -> (%y, %z) {\n"
     "  %y = expand %x : f32[n]\n"
     "  %z = bind %s {as = [n]} : i64[1]\n}\n",
     "symbol n is not bound"},
    {"graph @g(%x: f32[n]) -> (%y) {\n"
     "  guard n = m : \"sizes\"\n  %y = neg %x : f32[n]\n}\n",
     "symbol m is not bound, and a guard needs it"},
};

START_TEST(symbols_are_bound_once_and_before)
{
    ScGraph *g = sct_graph(cx, unlawful[_i].text);
    ck_assert(!sc_verify(g, NULL));
    ck_assert_msg(strstr(sct_messages(cx), unlawful[_i].says) != NULL, "%s", sct_messages(cx));
    sc_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ir-guards");
    TCase *t = tcase_create("guards");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, rules_say_what_they_need, 0, (int)(sizeof rules / sizeof *rules));
    tcase_add_test(t, lesser_extents_fit);
    tcase_add_test(t, guards_stay);
    tcase_add_test(t, a_shape_is_an_input);
    tcase_add_test(t, binders_live_as_long_as_their_symbols);
    tcase_add_loop_test(t, symbols_are_bound_once_and_before, 0,
                        (int)(sizeof unlawful / sizeof *unlawful));
    suite_add_tcase(s, t);
    return sct_main("ir-guards", s);
}
