/* SPDX-License-Identifier: Apache-2.0 */
/* Long graphs take work and memory in proportion to their length, and no stack. What the session
 * interns is counted, which is the same on every machine. Beside it each case is compiled, to an
 * object, within 2 s and 300 MB; not under a sanitizer, which takes twice that and keeps what was
 * freed. */
#include "codegen/codegen.h"
#include "passes/passes.h"
#include "tests/frontend/bounds.h"
#include "tests/graphs.h"

#include <string.h>

typedef struct Chain {
    const char *name;
    /* Row, attributes and type of the even and the odd nodes. # in a type is the number of the
     * node, from 1; @ is 30,000 less that. The input has the odd type, that of node 0, or `in`. */
    const char *op[2], *attr[2], *type[2], *in;
} Chain;

#define SAME(t) {t, t}

static const Chain chains[] = {
    {"identity", SAME("identity"), {"", ""}, SAME("f32[b,6,4]")},
    {"reshape", SAME("reshape"), {"", ""}, {"f32[b,24]", "f32[b,6,4]"}},
    {"flatten", {"flatten", "reshape"}, {"", ""}, {"f32[b,24]", "f32[b,6,4]"}},
    {"squeeze", {"unsqueeze", "squeeze"}, SAME(" {axes = [0]}"), {"f32[1,b,6,4]", "f32[b,6,4]"}},
    {"transpose", SAME("transpose"), SAME(" {perm = [0,2,1]}"), {"f32[b,4,6]", "f32[b,6,4]"}},
    {"expand", SAME("expand"), {"", ""}, SAME("f32[b,6,4]")},
    {"slice of the rest", SAME("slice"),
     SAME(" {starts = [1], ends = [9223372036854775807], axes = [0]}"), SAME("f32[max(b-#,0),4]"),
     "f32[b,4]"},
    {"slice of all but the last", SAME("slice"), SAME(" {starts = [0], ends = [-1], axes = [0]}"),
     SAME("f32[max(b-#,0),4]"), "f32[b,4]"},
    {"slice of numbers", SAME("slice"),
     SAME(" {starts = [1], ends = [9223372036854775807], axes = [0]}"), SAME("f32[@,4]")},
    {"slice backwards", SAME("slice"),
     SAME(" {starts = [-1], ends = [-9223372036854775807], axes = [0], steps = [-1]}"),
     SAME("f32[b,4]")},
    {"copies", /* no strides say the reshape of a transposed buffer */
     {"transpose", "reshape"},
     {" {perm = [2,1,0]}", ""},
     {"f32[4,6,b]", "f32[b,6,4]"}},
    {"turns", /* elementwise nodes want to go before the views */
     {"transpose", "tanh"},
     {" {perm = [1,0]}", ""},
     SAME("f32[b,b]")},
    {"map", {"tanh", "sigmoid"}, {"", ""}, SAME("f32[b,6,4]")},
};

/* t with i in place of #, and what is left of 30,000 in place of @. */
static const char *type_text(const char *t, uint32_t i)
{
    static char buf[64];
    const char *at = strpbrk(t, "#@");
    int n = at ? (int)(at - t) : (int)strlen(t);
    if (at)
        snprintf(buf, sizeof buf, "%.*s%u%s", n, t, *at == '#' ? i : 30000 - i, at + 1);
    else
        snprintf(buf, sizeof buf, "%s", t);
    return buf;
}

static char *chain_text(const Chain *c, uint32_t n)
{
    ScStr s = {0};
    sc_str_addf(&s, "graph @g(%%x: %s) -> (%%y) {\n", c->in ? c->in : type_text(c->type[1], 0));
    for (uint32_t i = 0; i < n; i++) {
        char name[16], from[16];
        snprintf(name, sizeof name, "v%u", i);
        snprintf(from, sizeof from, "v%u", i - 1);
        sc_str_addf(&s, "  %%%s = %s %%%s%s : %s from \"n%u\"\n", i + 1 == n ? "y" : name,
                    c->op[i % 2], i ? from : "x", c->attr[i % 2], type_text(c->type[i % 2], i + 1),
                    i);
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

/* The same of n inputs, no two of which have extents in common. */
static char *inputs_text(uint32_t n)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(");
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&s, "%s%%v%u: f32[b%u,8]", i ? ", " : "", i, i);
    sc_str_add(&s, ") -> (%y) {\n  %y = concat ");
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&s, "%s%%v%u", i ? ", " : "", i);
    sc_str_add(&s, " {axis = 0} : f32[");
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&s, "%sb%u", i ? "+" : "", i);
    sc_str_add(&s, ",8]\n}\n");
    return s.s;
}

/* Layers that each read all before them, as DenseNet's do: n * n / 2 operands, each copied through
 * an epilogue. */
static char *dense_text(uint32_t n)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(%v0: f32[1,16,8,8], %s: f32[1]) -> (%y) {\n");
    for (uint32_t i = 1; i <= n; i++) {
        sc_str_addf(&s, "  %%c%u = concat %%v0", i);
        for (uint32_t k = 1; k < i; k++)
            sc_str_addf(&s, ", %%v%u", k);
        sc_str_addf(&s,
                    " {axis = 1} : f32[1,%u,8,8]\n"
                    "  %%m%u = mul %%c%u, %%s : f32[1,%u,8,8]\n"
                    "  %%r%u = relu %%m%u : f32[1,%u,8,8]\n"
                    "  %%w%u = slice %%r%u {starts = [0], ends = [8], axes = [1]} : f32[1,8,8,8]\n"
                    "  %%v%u = tanh %%w%u : f32[1,8,8,8]\n",
                    8 * i + 8, i, i, 8 * i + 8, i, i, 8 * i + 8, i, i, i, i);
    }
    sc_str_addf(&s, "  %%y = neg %%v%u : f32[1,8,8,8]\n}\n", n);
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

/* Each node two kernels: x + x * x, of products and of elements; exponents are chosen among sums of
 * symbols. */
static char *square_text(uint32_t n, const char *op)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(%x0: f32[b,b]) -> (%y) {\n");
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&s,
                    "  %%m%u = %s %%x%u, %%x%u : f32[b,b]\n"
                    "  %%x%u = add %%x%u, %%m%u : f32[b,b]\n",
                    i, op, i, i, i + 1, i, i);
    sc_str_addf(&s, "  %%y = neg %%x%u : f32[b,b]\n}\n", n);
    return s.s;
}

static char *products_text(uint32_t n)
{
    return square_text(n, "matmul");
}

static char *squares_text(uint32_t n)
{
    return square_text(n, "mul");
}

/* Each value is the one before and a column more, as a chain of pads makes them: no two have the
 * same extents. */
static char *growing_text(uint32_t n)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(%x0: f32[b,6], %z: f32[]) -> (%y) {\n");
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&s,
                    "  %%z%u = expand %%z : f32[b,1]\n"
                    "  %%x%u = concat %%x%u, %%z%u {axis = 1} : f32[b,%u]\n",
                    i, i + 1, i, i, i + 7);
    sc_str_addf(&s, "  %%y = neg %%x%u : f32[b,%u]\n}\n", n, n + 6);
    return s.s;
}

/* Branches and loops, one after the other. */
static char *control_text(uint32_t n)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(%x0: f32[b,4], %c: bool[], %t: i64[]) -> (%y) {\n");
    for (uint32_t i = 0; i < n; i += 2)
        sc_str_addf(&s,
                    "  %%x%u = if %%c, %%x%u : f32[b,4] from \"if%u\"\n"
                    "    graph @then(%%v: f32[b,4]) -> (%%r) {\n"
                    "      %%r = tanh %%v : f32[b,4]\n    }\n"
                    "    graph @else(%%v: f32[b,4]) -> (%%r) {\n"
                    "      %%r = neg %%v : f32[b,4]\n    }\n"
                    "  %%x%u = loop %%t, %%c, %%x%u {carried = 1} : f32[b,4] from \"loop%u\"\n"
                    "    graph @body(%%i: i64[], %%v: f32[b,4]) -> (%%on, %%r) {\n"
                    "      %%on = const true : bool[]\n"
                    "      %%r = sigmoid %%v : f32[b,4]\n    }\n",
                    i + 1, i, i, i + 2, i + 1, i);
    sc_str_addf(&s, "  %%y = neg %%x%u : f32[b,4]\n}\n", n);
    return s.s;
}

static void indent(ScStr *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        sc_str_add(s, "  ");
}

/* A loop in a loop in a loop. */
static char *nested_text(uint32_t n)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(%t: i64[], %c: bool[], %x: f32[b,4]) -> (%r) {\n");
    for (uint32_t i = 0; i < n; i++) {
        indent(&s, 2 * i + 1);
        sc_str_addf(&s, "%%r = loop %%t, %%c, %%x, %%t, %%c {carried = 1} : f32[b,4]\n");
        indent(&s, 2 * i + 2);
        sc_str_add(&s, "graph @body(%i: i64[], %x: f32[b,4], %t: i64[], %c: bool[]) -> (%on, %r) "
                       "{\n");
        indent(&s, 2 * i + 3);
        sc_str_add(&s, "%on = const true : bool[]\n");
    }
    indent(&s, 2 * n + 1);
    sc_str_add(&s, "%r = tanh %x : f32[b,4]\n");
    for (uint32_t i = n; i-- > 0;) {
        indent(&s, 2 * i + 2);
        sc_str_add(&s, "}\n");
    }
    sc_str_add(&s, "}\n");
    return s.s;
}

/* n results, each the same of other numbers. */
static char *results_text(uint32_t n, const char *in, void (*line)(ScStr *s, uint32_t i))
{
    ScStr s = {0};
    sc_str_addf(&s, "graph @g(%s) -> (", in);
    for (uint32_t i = 1; i <= n; i++)
        sc_str_addf(&s, "%s%%y%u", i > 1 ? ", " : "", i);
    sc_str_add(&s, ") {\n");
    for (uint32_t i = 1; i <= n; i++)
        line(&s, i);
    sc_str_add(&s, "}\n");
    return s.s;
}

static void slice_line(ScStr *s, uint32_t i)
{
    sc_str_addf(s, "  %%y%u = slice %%x {starts = [%u], ends = [%u], axes = [1]} : f32[6,%u]\n", i,
                i % 7, i % 7 + i, i);
}

static char *slices_text(uint32_t n)
{
    return results_text(n, "%x: f32[6,3000]", slice_line);
}

static void turn_line(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [0], ends = [%u], axes = [1]} : f32[64,%u]\n"
                "  %%y%u = transpose %%v%u {perm = [1,0]} : f32[%u,64]\n",
                i, i, i, i, i, i);
}

static char *turns_text(uint32_t n)
{
    return results_text(n, "%x: f32[64,3000]", turn_line);
}

static void part_line(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [0], ends = [%u], axes = [1]} : f32[6,%u]\n"
                "  %%y%u = concat %%z, %%v%u {axis = 1} : f32[6,%u]\n",
                i, i, i, i, i, i + 5);
}

static char *parts_text(uint32_t n)
{
    return results_text(n, "%x: f32[6,3000], %z: f32[6,5]", part_line);
}

static void sum_line(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [0], ends = [%u], axes = [1]} : f32[6,%u]\n"
                "  %%y%u = reduce_sum %%v%u {axes = [1]} : f32[6,1]\n",
                i, i, i, i, i);
}

static char *sums_text(uint32_t n)
{
    return results_text(n, "%x: f32[6,3000]", sum_line);
}

static void number_line(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%c%u = const %u.125 : f32[]\n"
                "  %%y%u = mul %%x, %%c%u : f32[b,64]\n",
                i, i, i, i);
}

static char *numbers_text(uint32_t n)
{
    return results_text(n, "%x: f32[b,64]", number_line);
}

/* What follows a product in its epilogue, beyond what one holds. */
static char *factors_text(uint32_t n)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(%x: f32[b,b]");
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&s, ", %%f%u: f32[b,b]", i);
    sc_str_add(&s, ") -> (%y) {\n  %m0 = matmul %x, %x : f32[b,b]\n");
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&s, "  %%m%u = mul %%m%u, %%f%u : f32[b,b]\n", i + 1, i, i);
    sc_str_addf(&s, "  %%y = neg %%m%u : f32[b,b]\n}\n", n);
    return s.s;
}

/* Bytes that the session handed out for parsing the text, the pipeline and the object, within the
 * bounds. Takes the text over. */
static size_t work(const char *name, char *text, ScGraph **ret, ScCtx **ret_cx)
{
    Bounds bounds;
    bounds_begin(&bounds, true);
    ScCtx *cx = sc_ctx_new();
    ScGraph *g = sc_parse(cx, name, text, NULL, NULL);
    ck_assert_msg(g != NULL, "%s: %s", name, sct_messages(cx));
    g = sc_pipeline_run(cx, g, &(ScPipeline){0});
    ck_assert_msg(g != NULL, "%s: %s", name, sct_messages(cx));
    ScObject *o = sc_codegen(cx, g, NULL, SC_EMIT_OBJ);
    ck_assert_msg(o != NULL, "%s: %s", name, sct_messages(cx));
    sc_object_free(o);
    if (!SCT_SANITIZED)
        bounds_end(&bounds, name);
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

/* 20,000 nodes. */
START_TEST(chains_of_nodes)
{
    const Chain *c = &chains[_i];
    grows(c->name, chain_text(c, 5000), chain_text(c, 20000));
}
END_TEST

START_TEST(each_view_is_in_a_chain)
{
    for (uint32_t i = 0; i < sc_op_count; i++) {
        bool found = sc_op_table[i]->lower.cls != SC_VIEW;
        for (uint32_t k = 0; k < 2 * sizeof chains / sizeof *chains && !found; k++)
            found = !strcmp(chains[k / 2].op[k % 2], sc_op_table[i]->name);
        ck_assert_msg(found, "no chain of %s", sc_op_table[i]->name);
    }
}
END_TEST

static const struct {
    const char *name;
    char *(*text)(uint32_t n);
    uint32_t n;
} cases[] = {
    {"states", state_text, 2000},          {"x + x * x", squares_text, 500},
    {"2,000 kernels", products_text, 250}, {"branches and loops", control_text, 500},
    {"loop in loop", nested_text, 4},      {"factors", factors_text, 100},
    {"growing", growing_text, 5000},       {"slices", slices_text, 500},
    {"transposes", turns_text, 500},       {"parts", parts_text, 500},
    {"numbers", numbers_text, 750},        {"sums", sums_text, 500},
};

START_TEST(cases_of_one_kind)
{
    grows(cases[_i].name, cases[_i].text(cases[_i].n), cases[_i].text(4 * cases[_i].n));
}
END_TEST

START_TEST(wide_concatenations)
{
    ScGraph *g;
    ScCtx *cx;
    grows("concat", concat_text(750), concat_text(3000));
    work("concat of inputs", inputs_text(3000), NULL,
         NULL); /* each lies behind a sum of all before */
    work("concat", concat_text(3000), &g, &cx);
    for (uint32_t i = 0; i < g->n_node; i++)
        ck_assert_uint_le(g->node[i].n_in, 64);
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

/* 60 layers, 1,830 operands: code for each would take 2 s. */
START_TEST(dense_concatenations)
{
    work("dense", dense_text(60), NULL, NULL);
}
END_TEST

/* %d0, a vector of one number, and n times one twice as long. */
static void add_doubling(ScStr *s, uint32_t n)
{
    sc_str_add(s, "  %d0 = const [1] : f32[1]\n");
    for (uint32_t i = 1; i <= n; i++)
        sc_str_addf(s, "  %%d%u = concat %%d%u, %%d%u {axis = 0} : f32[%llu]\n", i, i - 1, i - 1,
                    1ULL << i);
}

/* The sum of a vector that doubles n times and of which exp is taken n_exp times then. */
static char *doubling_text(uint32_t n, uint32_t n_exp)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(%x: f32[4]) -> (%y) {\n");
    add_doubling(&s, n);
    for (uint32_t i = n + 1; i <= n + n_exp; i++)
        sc_str_addf(&s, "  %%d%u = exp %%d%u : f32[%llu]\n", i, i - 1, 1ULL << n);
    sc_str_addf(&s,
                "  %%s = reduce_sum %%d%u {keepdims = 0} : f32[]\n"
                "  %%y = mul %%x, %%s : f32[4]\n}\n",
                n + n_exp);
    return s.s;
}

/* A vector that doubles 40 times: what is within the budget is computed, the rest stays nodes. */
START_TEST(folding_has_a_budget)
{
    ck_assert_uint_le(work("doubling", doubling_text(40, 0), NULL, NULL), 80u << 20);
}
END_TEST

/* What was folded counts where it is folded again. */
START_TEST(folding_again_has_the_same_budget)
{
    ScCtx *cx = sc_ctx_new();
    char *text = doubling_text(40, 0);
    ScGraph *g = sct_graph(cx, text), *once = sc_pass_fold(cx, g, &(ScPassEnv){0});
    size_t bytes = sc_arena_bytes(sc_ctx_arena(cx));
    ScGraph *again = sc_pass_fold(cx, once, &(ScPassEnv){0});
    ck_assert_uint_gt(bytes, 32u << 20);
    ck_assert_uint_le(sc_arena_bytes(sc_ctx_arena(cx)) - bytes, 1u << 20);
    sc_graph_free(g);
    sc_graph_free(once);
    sc_graph_free(again);
    sc_ctx_free(cx);
    sc_buf_free(text);
}
END_TEST

static void doubling_branch(ScStr *s, const char *name)
{
    sc_str_addf(s, "    graph @%s(%%v: f32[b,4]) -> (%%r) {\n", name);
    add_doubling(s, 23);
    sc_str_add(s, "      %s = reduce_sum %d23 {keepdims = 0} : f32[]\n"
                  "      %r = mul %v, %s : f32[b,4]\n    }\n");
}

/* What is computed from a large constant is kept, though nobody reads it any more. */
START_TEST(folding_a_chain_has_a_budget)
{
    ck_assert_uint_le(work("chain", doubling_text(20, 40), NULL, NULL), 80u << 20);
}
END_TEST

/* All branches have one budget together. */
START_TEST(folding_in_branches_has_a_budget)
{
    ScStr s = {0};
    sc_str_add(&s, "graph @g(%x0: f32[b,4], %c: bool[]) -> (%y) {\n");
    for (uint32_t i = 0; i < 3; i++) {
        sc_str_addf(&s, "  %%x%u = if %%c, %%x%u : f32[b,4]\n", i + 1, i);
        doubling_branch(&s, "then");
        doubling_branch(&s, "else");
    }
    sc_str_add(&s, "  %y = neg %x3 : f32[b,4]\n}\n");
    ck_assert_uint_le(work("doubling in branches", s.s, NULL, NULL), 80u << 20);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passes-linear");
    TCase *t = tcase_create("linear");
    tcase_add_loop_test(t, chains_of_nodes, 0, sizeof chains / sizeof *chains);
    tcase_add_test(t, each_view_is_in_a_chain);
    tcase_add_loop_test(t, cases_of_one_kind, 0, sizeof cases / sizeof *cases);
    tcase_add_test(t, wide_concatenations);
    tcase_add_test(t, dense_concatenations);
    tcase_add_test(t, folding_has_a_budget);
    tcase_add_test(t, folding_again_has_the_same_budget);
    tcase_add_test(t, folding_in_branches_has_a_budget);
    tcase_add_test(t, folding_a_chain_has_a_budget);
    suite_add_tcase(s, t);
    return sct_main("passes-linear", s);
}
