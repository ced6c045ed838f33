/* SPDX-License-Identifier: Apache-2.0 */
/* Long graphs take work and memory in proportion to their length, and no stack. What the session
 * interns is counted, which is the same on every machine; the time limit is far above what is
 * needed and far below what a quadratic step would take. */
#include <time.h>

#include "passes/passes.h"
#include "tests/graphs.h"

enum { SECONDS = 60 };

typedef struct Chain {
    const char *name;
    /* Row, attributes and type of the even and the odd nodes; the input has the odd type. */
    const char *op[2], *attr[2], *type[2];
    uint32_t n;
} Chain;

static const Chain chains[] = {
    {"identity", {"identity", "identity"}, {"", ""}, {"f32[b,6,4]", "f32[b,6,4]"}, 5000},
    {"reshape", {"reshape", "reshape"}, {"", ""}, {"f32[b,24]", "f32[b,6,4]"}, 5000},
    {"flatten", {"flatten", "reshape"}, {"", ""}, {"f32[b,24]", "f32[b,6,4]"}, 5000},
    {"squeeze",
     {"unsqueeze", "squeeze"},
     {" {axes = [0]}", " {axes = [0]}"},
     {"f32[1,b,6,4]", "f32[b,6,4]"},
     5000},
    {"transpose",
     {"transpose", "transpose"},
     {" {perm = [0,2,1]}", " {perm = [0,2,1]}"},
     {"f32[b,4,6]", "f32[b,6,4]"},
     5000},
    {"expand", {"expand", "expand"}, {"", ""}, {"f32[b,6,4]", "f32[b,6,4]"}, 5000},
    {"copies", /* no strides say the reshape of a transposed buffer */
     {"transpose", "reshape"},
     {" {perm = [2,1,0]}", ""},
     {"f32[4,6,b]", "f32[b,6,4]"},
     2500},
    {"turns", /* elementwise nodes want to go before the views */
     {"transpose", "tanh"},
     {" {perm = [1,0]}", ""},
     {"f32[b,b]", "f32[b,b]"},
     5000},
    {"map", {"tanh", "sigmoid"}, {"", ""}, {"f32[b,6,4]", "f32[b,6,4]"}, 25000},
};

static char *chain_text(const Chain *c, uint32_t n)
{
    ScStr s = {0};
    sc_str_addf(&s, "graph @g(%%x: %s) -> (%%y) {\n", c->type[1]);
    for (uint32_t i = 0; i < n; i++) {
        char name[16], from[16];
        snprintf(name, sizeof name, "v%u", i);
        snprintf(from, sizeof from, "v%u", i - 1);
        sc_str_addf(&s, "  %%%s = %s %%%s%s : %s from \"n%u\"\n", i + 1 == n ? "y" : name,
                    c->op[i % 2], i ? from : "x", c->attr[i % 2], c->type[i % 2], i);
    }
    sc_str_add(&s, "}\n");
    return s.s;
}

/* One concatenation of n values. */
static char *concat_text(uint32_t n)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(%v0: f32[4,8]) -> (%y) {\n");
    for (uint32_t i = 1; i < n; i++)
        sc_str_addf(&s, "  %%v%u = tanh %%v%u : f32[4,8]\n", i, i - 1);
    sc_str_add(&s, "  %y = concat ");
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&s, "%s%%v%u", i ? ", " : "", i);
    sc_str_addf(&s, " {axis = 0} : f32[%u,8]\n}\n", 4 * n);
    return s.s;
}

static char *state_text(uint32_t n)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(%x: f32[4]) -> (%y) {\n");
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&s, "  state @s%u (%%p%u: f32[4] -> %%n%u)\n", i, i, i);
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&s, "  %%n%u = add %%p%u, %%x : f32[4]\n", i, i);
    sc_str_add(&s, "  %y = neg %x : f32[4]\n}\n");
    return s.s;
}

/* Bytes that the session handed out for parsing the text and running the pipeline on it. Takes the
 * text over. */
static size_t work(const char *name, char *text, ScGraph **ret, ScCtx **ret_cx)
{
    ScCtx *cx = sc_ctx_new();
    clock_t begin = clock();
    ScGraph *g = sc_parse(cx, name, text, NULL, NULL);
    ck_assert_msg(g != NULL, "%s: %s", name, sct_messages(cx));
    g = sc_pipeline_run(cx, g, &(ScPipeline){0});
    ck_assert_msg(g != NULL, "%s: %s", name, sct_messages(cx));
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    ck_assert_msg(seconds < SECONDS, "%s takes %.1f s", name, seconds);
    size_t bytes = sc_arena_bytes(sc_ctx_arena(cx));
    sc_buf_free(text);
    if (ret) {
        *ret = g;
        *ret_cx = cx;
        return bytes;
    }
    sc_graph_free(g);
    sc_ctx_free(cx);
    return bytes;
}

static void grows(const char *name, char *one, char *four)
{
    size_t a = work(name, one, NULL, NULL), b = work(name, four, NULL, NULL);
    ck_assert_msg((double)b <= 4.4 * (double)a, "%s: %zu bytes, of four times the length %zu", name,
                  a, b);
}

START_TEST(chains_of_nodes)
{
    const Chain *c = &chains[_i];
    grows(c->name, chain_text(c, c->n), chain_text(c, 4 * c->n));
}
END_TEST

START_TEST(wide_concatenations)
{
    ScGraph *g;
    ScCtx *cx;
    grows("concat", concat_text(750), concat_text(3000));
    work("concat", concat_text(3000), &g, &cx);
    for (uint32_t i = 0; i < g->n_node; i++)
        ck_assert_uint_le(g->node[i].n_in, 64);
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

START_TEST(many_states)
{
    grows("states", state_text(2000), state_text(8000));
}
END_TEST

/* A vector that doubles 40 times: what is within the budget is computed, the rest stays nodes. */
START_TEST(folding_has_a_budget)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(%x: f32[4]) -> (%y) {\n  %d0 = const [1] : f32[1]\n");
    for (uint32_t i = 1; i <= 40; i++)
        sc_str_addf(&s, "  %%d%u = concat %%d%u, %%d%u {axis = 0} : f32[%llu]\n", i, i - 1, i - 1,
                    1ULL << i);
    sc_str_add(&s,
               "  %s = reduce_sum %d40 {keepdims = 0} : f32[]\n  %y = mul %x, %s : f32[4]\n}\n");
    ck_assert_uint_le(work("doubling", s.s, NULL, NULL), 80u << 20);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passes-linear");
    TCase *t = tcase_create("linear");
    tcase_add_loop_test(t, chains_of_nodes, 0, sizeof chains / sizeof *chains);
    tcase_add_test(t, wide_concatenations);
    tcase_add_test(t, many_states);
    tcase_add_test(t, folding_has_a_budget);
    suite_add_tcase(s, t);
    return sct_main("passes-linear", s);
}
