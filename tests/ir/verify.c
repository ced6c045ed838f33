/* SPDX-License-Identifier: Apache-2.0 */
/* The verifier: each invariant is broken once in a graph that stands, and the message says which,
 * of which node, after which pass. */
#include "tests/graphs.h"

#include <stdlib.h>
#include <string.h>

#define PLAIN                                                                                      \
    "graph @g(%x: f32[2,3], %i: i64[3]) -> (%y) {\n"                                               \
    "  state @s (%p: f32[2,3] -> %y)\n"                                                            \
    "  state @t (%q: f32[2,3] -> %q)\n"                                                            \
    "  %c = const 2 : f32[]\n"                                                                     \
    "  %m = mul %x, %c : f32[2,3] from \"scale\"\n"                                                \
    "  %a = add %m, %p : f32[2,3] from \"sum\"\n"                                                  \
    "  %y = leaky_relu %a {alpha = 0.5} : f32[2,3] from \"act\"\n"                                 \
    "}\n"
#define SCALED                                                                                     \
    "graph @g(%a: f32[4] * 2^p, %b: f32[4] * 2^q, %i: i64[4]) -> (%s) {\n"                         \
    "  %m = mul %a, %b : f32[4] * 2^(p+q) from \"product\"\n"                                      \
    "  %r = rebalance %b, p+q : f32[4] * 2^(p+q)\n"                                                \
    "  %s = add %m, %r : f32[4] * 2^(p+q) from \"sum\"\n"                                          \
    "}\n"
#define KERNEL                                                                                     \
    "graph @g(%x: f32[n,4] * 2^p) -> (%y) {\n"                                                     \
    "  %y = kernel %x {class = map} : f32[n,4] * 2^p from \"a\", \"b\"\n"                          \
    "    graph @k0(%2: f32[n,4] * 2^p) -> (%z) {\n"                                                \
    "      %3 = neg %2 : f32[n,4] * 2^p from \"a\"\n"                                              \
    "      %z = relu %3 : f32[n,4] * 2^p from \"b\"\n"                                             \
    "    }\n"                                                                                      \
    "}\n"

/* --- Faults, planted by hand: graphs are const to everybody else ----------------------------- */

static ScGraph *g;

static ScVal named(const char *name)
{
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        if (g->value[v].name && strcmp(g->value[v].name, name) == 0)
            return v;
    ck_abort_msg("no value %s", name);
}

static ScValue *value(const char *name)
{
    return (ScValue *)(uintptr_t)&g->value[named(name)];
}

static ScNode *node(const char *name)
{
    return (ScNode *)(uintptr_t)sc_def(g, named(name));
}

static ScVal *operands(const char *name)
{
    return (ScVal *)(uintptr_t)node(name)->in;
}

/* A node's attributes are interned, so a copy is changed. */
static ScAttr *attrs(const char *name)
{
    ScNode *n = node(name);
    ScAttr *a = sc_memdup(g->arena, n->attr, n->op->n_attr * sizeof *a);
    n->attr = a;
    return a;
}

static void later_operand(void)
{
    operands("a")[0] = named("y");
}
static void own_operand(void)
{
    operands("a")[1] = named("a");
}
static void poison_operand(void)
{
    operands("a")[1] = SC_POISON;
}
static void operand_beyond(void)
{
    operands("a")[1] = 1000;
}
static void absent_operand(void)
{
    operands("a")[0] = SC_ABSENT;
}
static void too_many_operands(void)
{
    node("y")->in = node("a")->in;
    node("y")->n_in = 2;
}
static void too_few_operands(void)
{
    node("a")->n_in = 1;
}
static void wrong_definer(void)
{
    value("a")->node = 0;
}
static void wrong_first(void)
{
    node("a")->first++;
}
static void too_few_values(void)
{
    g->n_value--;
}
static void wrong_type(void)
{
    int64_t dims[2] = {3, 2};
    value("a")->type = sc_type_c(g->cx, SCRT_F32, 2, dims);
}
static void operands_that_differ(void)
{
    int64_t dims[2] = {5, 3};
    value("p")->type = value("y")->type = sc_type_c(g->cx, SCRT_F32, 2, dims);
}
static void wrong_class(void)
{
    operands("y")[0] = named("i");
}
static void wrong_attr_kind(void)
{
    attrs("y")[0] = SC_INT(1);
}
static void missing_attr(void)
{
    attrs("y")[0] = (ScAttr){0};
}
static void no_location(void)
{
    node("a")->loc = NULL;
}
static void no_row(void)
{
    node("a")->op = NULL;
}
static void const_of_another_count(void)
{
    int64_t two = 2;
    value("c")->type = sc_type_c(g->cx, SCRT_F32, 1, &two);
}
static void input_twice(void)
{
    ((ScVal *)(uintptr_t)g->in)[1] = g->in[0];
}
static void input_is_no_input(void)
{
    ((ScVal *)(uintptr_t)g->in)[1] = named("a");
}
static void input_lost(void)
{
    g->n_in = 1;
}
static void output_beyond(void)
{
    ((ScVal *)(uintptr_t)g->out)[0] = g->n_value;
}
static void output_absent(void)
{
    ((ScVal *)(uintptr_t)g->out)[0] = SC_ABSENT;
}
static void state_of_another_type(void)
{
    ((ScState *)(uintptr_t)g->state)[1].next = named("i");
}
static void state_without_next(void)
{
    ((ScState *)(uintptr_t)g->state)[1].next = SC_ABSENT;
}
static void states_of_one_name(void)
{
    ((ScState *)(uintptr_t)g->state)[1].name = g->state[0].name;
}
static void state_that_cannot_grow(void)
{
    ((ScState *)(uintptr_t)g->state)[1].grows = sc_intern(g->cx, "n");
    ((ScState *)(uintptr_t)g->state)[1].capacity = 4;
}
static void says_scaled(void)
{
    g->flags |= SC_G_SCALED;
}
static void says_kernels(void)
{
    g->flags |= SC_G_KERNELS;
}
static void exponent_in_plain(void)
{
    value("a")->exp = sc_term(g->cx, 0);
}

/* The pass that drops a rebalance and keeps the exponent: the sum takes %b as if it had p+q. */
static void dropped_rebalance(void)
{
    operands("s")[1] = named("b");
}
static void wrong_exponent(void)
{
    value("s")->exp = sc_term_addc(g->cx, value("s")->exp, 1);
}
static void wrong_product(void)
{
    value("m")->exp = value("a")->exp;
}
static void no_exponent(void)
{
    value("m")->exp = NULL;
}
static void integer_with_exponent(void)
{
    value("i")->exp = sc_term(g->cx, 0);
}
static void rebalance_to_another(void)
{
    value("r")->exp = value("a")->exp;
}
static void kernel_exponent(void)
{
    value("y")->exp = sc_term(g->cx, 1);
}
static void kernel_type(void)
{
    value("y")->type = sc_type_with(g->cx, value("y")->type, SCRT_F16);
}
static void inside_kernel(void)
{
    const ScGraph *k = node("y")->sub[0];
    ((ScValue *)(uintptr_t)k->value)[3].exp = sc_term(g->cx, 7);
}
static void kernel_without_graph(void)
{
    node("y")->sub = NULL;
}

static const struct {
    const char *text;
    void (*plant)(void);
    const char *message; /* of one of the errors */
} faults[] = {
    {PLAIN, later_operand,
     "in \"sum\": graph is not well formed: after fold: %a = add: operand 0 is not defined before "
     "it"},
    {PLAIN, own_operand,
     "in \"sum\": graph is not well formed: after fold: %a = add: operand 1 is not defined before "
     "it"},
    {PLAIN, poison_operand,
     "in \"sum\": graph is not well formed: after fold: %a = add: operand 1 is not defined before "
     "it"},
    {PLAIN, operand_beyond,
     "in \"sum\": graph is not well formed: after fold: %a = add: operand 1 is not defined before "
     "it"},
    {PLAIN, absent_operand,
     "in \"sum\": graph is not well formed: after fold: %a = add: operand 0 (A) is absent"},
    {PLAIN, too_many_operands,
     "in \"act\": graph is not well formed: after fold: %y = leaky_relu: has 2 operands, takes 1 "
     "to 1"},
    {PLAIN, too_few_operands,
     "in \"sum\": graph is not well formed: after fold: %a = add: has 1 operands, takes 2 to 2"},
    {PLAIN, wrong_definer,
     "in \"sum\": graph is not well formed: after fold: %a = add: result 0 is not a tensor of this "
     "node"},
    {PLAIN, wrong_first,
     "graph is not well formed: after fold: graph @g: node 6 (add): results are not the next "
     "values"},
    {PLAIN, too_few_values,
     "graph is not well formed: after fold: graph @g: node 7 (leaky_relu): results are not the "
     "next "
     "values"},
    {PLAIN, wrong_type,
     "in \"sum\": graph is not well formed: after fold: %a = add: result 0 is of type f32[3,2], "
     "its "
     "rule gives f32[2,3]"},
    {PLAIN, operands_that_differ,
     "in \"sum\": graph is not well formed: after fold: %a = add: its operands do not fit"},
    {PLAIN, wrong_class,
     "in \"act\": graph is not well formed: after fold: %y = leaky_relu: operand 0 "
     "(X) may not be of type i64[3]"},
    {PLAIN, wrong_attr_kind,
     "in \"act\": graph is not well formed: after fold: %y = leaky_relu: attribute alpha is of "
     "another "
     "kind"},
    {PLAIN, missing_attr,
     "in \"act\": graph is not well formed: after fold: %y = leaky_relu: attribute alpha is "
     "missing"},
    {PLAIN, no_location, "graph is not well formed: after fold: %a = add: node 6 has no location"},
    {PLAIN, no_row,
     "in \"sum\": graph is not well formed: after fold: %a = (no operator): node 6 has no row"},
    {PLAIN, const_of_another_count,
     "graph is not well formed: after fold: %c = const: it has 1 elements, its type f32[2]"},
    {PLAIN, input_twice,
     "graph is not well formed: after fold: graph @g: input 1 is not defined by a "
     "node of its own"},
    {PLAIN, input_is_no_input,
     "graph is not well formed: after fold: graph @g: input 1 is not defined by a node of its own"},
    {PLAIN, input_lost,
     "graph is not well formed: after fold: graph @g: 4 input and state nodes, but 1 "
     "inputs and 2 states"},
    {PLAIN, output_beyond,
     "graph is not well formed: after fold: graph @g: output 0 is not a value"},
    {PLAIN, output_absent,
     "graph is not well formed: after fold: graph @g: output 0 is not a value"},
    {PLAIN, state_of_another_type,
     "graph is not well formed: after fold: graph @g: state @t is f32[2,3], but its next value %i "
     "is "
     "i64[3]"},
    {PLAIN, state_without_next,
     "graph is not well formed: after fold: graph @g: state @t has no next value"},
    {PLAIN, state_that_cannot_grow,
     "graph is not well formed: after fold: graph @g: state @t is f32[2,3] and cannot grow along "
     "n"},
    {PLAIN, states_of_one_name,
     "graph is not well formed: after fold: graph @g: two states are named @s"},
    {PLAIN, says_scaled,
     "in \"act\": exponent does not follow from the signature: after fold: %y = "
     "leaky_relu: %y has no exponent"},
    {PLAIN, says_kernels,
     "in \"act\": graph is not well formed: after fold: %y = leaky_relu: stands outside the "
     "kernels"},
    {PLAIN, exponent_in_plain,
     "in \"sum\": exponent does not follow from the signature: after fold: %a = add: %a has an "
     "exponent "
     "in a graph that is not scaled"},
    {SCALED, dropped_rebalance,
     "in \"sum\": exponent does not follow from the signature: after fold: %s = add: operand 1, "
     "%b, has "
     "exponent q; by 'a... -> a' expected p+q"},
    {SCALED, wrong_exponent,
     "in \"sum\": exponent does not follow from the signature: after fold: %s = add: result 0, %s, "
     "has "
     "exponent p+q+1; by 'a... -> a' expected p+q"},
    {SCALED, wrong_product,
     "in \"sum\": exponent does not follow from the signature: after fold: %s = add: operand 1, "
     "%r, has "
     "exponent p+q; by 'a... -> a' expected p"},
    {SCALED, no_exponent,
     "in \"product\": exponent does not follow from the signature: after fold: %m = mul: %m has no "
     "exponent"},
    {SCALED, integer_with_exponent,
     "exponent does not follow from the signature: after fold: %i = input: %i has an exponent and "
     "is no "
     "float"},
    {SCALED, rebalance_to_another,
     "in \"sum\": exponent does not follow from the signature: after fold: %s = add: operand 1, "
     "%r, has "
     "exponent p; by 'a... -> a' expected p+q"},
    {KERNEL, kernel_exponent,
     "in \"a\", \"b\": exponent does not follow from the signature: after fold: %y = kernel: "
     "result 0 "
     "has exponent 1, in its graph p"},
    {KERNEL, kernel_type,
     "in \"a\", \"b\": graph is not well formed: after fold: %y = kernel: result 0 is of type "
     "f16[n,4], "
     "its rule gives f32[n,4]"},
    {KERNEL, inside_kernel,
     "in \"a\", \"b\": graph is not well formed: after fold: %y = kernel: nested graph 0 is not "
     "well "
     "formed"},
    {KERNEL, kernel_without_graph,
     "in \"a\", \"b\": graph is not well formed: after fold: %y = kernel: nested graph 0 is "
     "missing"},
};

START_TEST(planted_faults)
{
    ScCtx *cx = sc_ctx_new();
    g = sct_graph(cx, faults[_i].text);
    uint32_t n_in = g->n_in, n_value = g->n_value;
    ck_assert_msg(sc_verify(g, NULL), "%s", sct_messages(cx));
    faults[_i].plant();
    ck_assert_msg(!sc_verify(g, "fold"), "nothing found");
    ck_assert_uint_gt(sc_n_errors(cx), 0);
    ck_assert_msg(strstr(sct_messages(cx), faults[_i].message) != NULL,
                  "got:      %s\nexpected: %s", sct_messages(cx), faults[_i].message);
    g->n_in = n_in;
    g->n_value = n_value;
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

/* The rebalance itself is told apart from what uses it. */
START_TEST(rebalance_says_its_exponent)
{
    ScCtx *cx = sc_ctx_new();
    g = sct_graph(cx, SCALED);
    rebalance_to_another();
    ck_assert(!sc_verify(g, "scalify"));
    ck_assert_msg(strstr(sct_messages(cx),
                         "after scalify: %r = rebalance: has exponent p, rebalances "
                         "to p+q") != NULL,
                  "%s", sct_messages(cx));
    const char *line = strstr(sct_messages(cx), "note: the program\n");
    line = line ? strstr(line, "  %r = rebalance") : NULL; /* and under it what is wrong */
    line = line ? strchr(line, '\n') : NULL;
    const char *said = line ? strstr(line, "^ has exponent p, rebalances to p+q") : NULL;
    ck_assert_msg(said && said <= line + 16, "%s", sct_messages(cx));
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

/* Each fault of a graph is reported, not the first alone; without a pass the graph speaks. */
START_TEST(all_at_once)
{
    ScCtx *cx = sc_ctx_new();
    g = sct_graph(cx, PLAIN);
    wrong_attr_kind();
    const_of_another_count();
    ck_assert(!sc_verify(g, NULL));
    ck_assert_msg(
        strstr(sct_messages(cx), "graph is not well formed: %y = leaky_relu: attribute") &&
            strstr(sct_messages(cx), "graph is not well formed: %c = const: it has"),
        "%s", sct_messages(cx));
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ir-verify");
    TCase *c = tcase_create("verify");
    tcase_add_loop_test(c, planted_faults, 0, (int)(sizeof faults / sizeof *faults));
    tcase_add_test(c, rebalance_says_its_exponent);
    tcase_add_test(c, all_at_once);
    suite_add_tcase(s, c);
    return sct_main("ir-verify", s);
}
