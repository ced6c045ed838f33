/* SPDX-License-Identifier: Apache-2.0 */
/* Operand schemas, scale signatures, and the binding of their variables. */
#include "ir/op.h"
#include "tests/harness.h"

#include <string.h>

static ScCtx *cx;

static void setup(void)
{
    cx = sc_ctx_new();
}

static void teardown(void)
{
    sc_ctx_free(cx);
}

START_TEST(test_operands)
{
    static const ScOp op = {
        .name = "t", .in = "x: float, axes?: shape, xs?...: any", .out = "y: num, i: int"};
    const ScSchema *s = sc_schema(cx, &op);
    ck_assert_ptr_nonnull(s);
    ck_assert(s == sc_schema(cx, &op));
    ck_assert_uint_eq(s->n_in, 3);
    ck_assert_uint_eq(s->min_in, 1);
    ck_assert_uint_eq(s->n_out, 2);
    ck_assert_uint_eq(s->min_out, 2);
    ck_assert(s->in_repeats && !s->out_repeats && !s->has_scale);
    ck_assert_str_eq(s->in[1].name, "axes");
    ck_assert(s->in[1].cls == SC_IS_SHAPE && s->in[1].optional && !s->in[1].repeats);
    ck_assert(s->in[2].cls == SC_IS_ANY && s->in[2].optional && s->in[2].repeats);
    static const ScOp middle = {
        .name = "middle", .in = "x: any, y?: any, z: any, w?: any", .out = ""};
    ck_assert_uint_eq(sc_schema(cx, &middle)->min_in, 3);
    static const ScOp none = {.name = "none", .out = "y: any"};
    ck_assert_uint_eq(sc_schema(cx, &none)->n_in, 0);
}
END_TEST

START_TEST(test_signatures)
{
    static const ScOp norm = {.name = "norm",
                              .in = "x: float, s: float, b: float, e: float",
                              .out = "y: float, m: float, r: float",
                              .scale = "a, s, s, 2a -> s, a, -a"};
    const ScSchema *s = sc_schema(cx, &norm);
    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(s->n_var, 2);
    ck_assert(s->var[0] == 'a' && s->var[1] == 's');
    ck_assert_int_eq(s->scale_in[3].coef[0], 2);
    ck_assert_int_eq(s->scale_out[2].coef[0], -1);
    static const ScOp where = {.name = "where",
                               .in = "c: bool, x: any, y: any",
                               .out = "z: any",
                               .scale = "_, a\u2026 -> a"};
    s = sc_schema(cx, &where);
    ck_assert_ptr_nonnull(s);
    ck_assert(s->scale_in[0].none && s->scale_in[1].repeats && s->scale_in[2].repeats);
    ck_assert_int_eq(s->scale_in[2].coef[0], 1);
    static const ScOp many = {
        .name = "many", .in = "xs...: num", .out = "y: num", .scale = "a... -> a"};
    ck_assert_int_eq(sc_scale_in(sc_schema(cx, &many), 9)->coef[0], 1);
    static const ScOp attention = {.name = "attention",
                                   .in = "q: float, k: float, v: float, s: float",
                                   .out = "y: float",
                                   .scale = "a, b, c, -a-b -> c"};
    s = sc_schema(cx, &attention);
    ck_assert(s->scale_in[3].coef[0] == -1 && s->scale_in[3].coef[1] == -1);
    static const ScOp softmax = {.name = "softmax",
                                 .in = "x: float, beta: float",
                                 .out = "y: float",
                                 .scale = "a!, -a -> 0"};
    s = sc_schema(cx, &softmax);
    ck_assert(s->scale_in[0].wants0 && !s->scale_in[1].wants0);
    ck_assert_int_eq(s->scale_out[0].coef[0], 0);
}
END_TEST

static const struct {
    ScOp op;
    const char *why;
} bad[] = {
    {{.name = "r", .in = "x float", .out = ""}, "a colon is missing"},
    {{.name = "r", .in = "x: flaot", .out = ""}, "an operand's class is not known"},
    {{.name = "r", .in = ": any", .out = ""}, "an operand has no name"},
    {{.name = "r", .in = "x...: any, y: any", .out = ""}, "only the last operand may repeat"},
    {{.name = "r", .in = "x: any y: any", .out = ""}, "an operand is followed by something else"},
    {{.name = "r", .in = "x: num", .out = "y: num", .scale = "a -> b"},
     "a result has a variable of no operand"},
    {{.name = "r", .in = "x: num", .out = "y: num", .scale = "a"}, "the signature has no ->"},
    {{.name = "r", .in = "x: num", .out = "y: num", .scale = "a, b -> a"},
     "the signature has more expressions than there are operands or results"},
    {{.name = "r", .in = "x: num, y: num", .out = "y: num", .scale = "a -> a"},
     "the signature has fewer expressions than there are operands or results"},
    {{.name = "r", .in = "x: num", .out = "y: num", .scale = "a -> a b"},
     "the signature is followed by something else"},
    {{.name = "r", .in = "x: num", .out = "y: num", .scale = "3 -> 0"},
     "an expression of the signature is not understood"},
    {{.name = "r", .in = "x: num", .out = "y: num", .scale = "A -> 0"},
     "an expression of the signature is not understood"},
    {{.name = "r", .in = "x: float", .out = "y: num", .scale = "_ -> 0"},
     "_ stands at a float operand"},
    {{.name = "r", .in = "x: num", .out = "y: float", .scale = "a -> _"},
     "_ stands at a float result"},
};

START_TEST(test_bad_rows_are_named)
{
    char want[200];
    ck_assert_ptr_null(sc_schema(cx, &bad[_i].op));
    ck_assert_ptr_null(sc_schema(cx, &bad[_i].op));
    ck_assert_uint_eq(sc_n_errors(cx), 1);
    snprintf(want, sizeof want, "row r of the op table: %s", bad[_i].why);
    ck_assert_str_eq(sc_diag(cx, 0)->detail, want);
}
END_TEST

START_TEST(test_every_row_parses)
{
    for (uint32_t i = 0; i < sc_op_count; i++)
        ck_assert_msg(sc_schema(cx, sc_op_table[i]) != NULL, "%s: %s", sc_op_table[i]->name,
                      sc_n_diags(cx) ? sc_diag(cx, 0)->detail : "");
}
END_TEST

/* Types and exponents as short strings: "f -3", "i" (an integer), "_" (absent). */
static const ScType *type_of(const char *s)
{
    if (*s == '_')
        return sc_type_absent(cx);
    return sc_type_c(cx, *s == 'f' ? SCRT_F32 : SCRT_I32, 0, NULL);
}

static const ScTerm *exp_of(const char *s)
{
    const char *p = s + 1;
    return *s == 'f' ? sc_term_parse(cx, &p) : NULL;
}

static const struct {
    const char *in, *out, *scale; /* rows' strings */
    const char *operand[4], *result;
    const char *a; /* the first variable's exponent */
    int bad;       /* the operand that does not fit, or -1 */
} checks[] = {
    {"x: num, y: num", "z: num", "a, b -> a+b", {"f3", "f-p"}, "f", "3", -1},
    {"x: num, y: num", "z: num", "a, b -> a+b", {"i", "i"}, "i", "0", -1},
    {"x: num, y: num, b?: num", "z: num", "a, b, a+b -> a+b", {"f3", "fp", "fp+3"}, "f", "3", -1},
    {"x: num, y: num, b?: num", "z: num", "a, b, a+b -> a+b", {"f3", "fp", "fp"}, "f", "3", 2},
    {"x: num, y: num, b?: num", "z: num", "a, b, a+b -> a+b", {"f3", "fp", "_"}, "f", "3", -1},
    {"x...: num", "z: num", "a... -> a", {"f2", "f2", "f2"}, "f", "2", -1},
    {"x...: num", "z: num", "a... -> a", {"f2", "f2", "f3"}, "f", "2", 2},
    {"x...: num", "z: num", "a... -> a", {"_", "f3", "f3"}, "f", "3", -1},
    {"x: num", "z: num", "a -> a", {"i"}, "f", "0", -1},  /* cast from an integer */
    {"x: num", "z: num", "a -> a", {"f0"}, "i", "0", -1}, /* cast to an integer: exponent 0 */
    {"x: num", "z: num", "a -> a", {"f1"}, "i", "0", 0},
    {"x: num", "z: num", "2a -> a", {"f6"}, "f", "3", -1},
    {"x: num", "z: num", "2a -> a", {"f7"}, "f", "3", 0}, /* the odd bit belongs in the data */
    {"x: num", "z: num", "2a -> a", {"f2*p"}, "f", "p", -1},
    {"x: num", "z: num", "2a -> a", {"f-7"}, "f", "-4", 0},
    {"x: num, b: num", "z: num", "a!, -a -> 0", {"f5", "f-5"}, "f", "5", -1},
    {"x: num, b: num", "z: num", "a!, -a -> 0", {"f5", "f5"}, "f", "5", 1},
    {"x: num", "z: num", "0 -> 0", {"f1"}, "f", NULL, 0},
    {"x: any, i: int", "z: num", "a, _ -> a", {"f1", "i"}, "f", "1", -1},
};

START_TEST(test_scale_check)
{
    ScOp op = {.name = "t", .in = checks[_i].in, .out = checks[_i].out, .scale = checks[_i].scale};
    const ScSchema *s = sc_schema(cx, &op);
    ck_assert_ptr_nonnull(s);
    const ScType *type[4], *out = type_of(checks[_i].result);
    const ScTerm *exp[4], *var[SC_MAX_VARS];
    uint32_t n = 0, which = 99;
    for (; n < 4 && checks[_i].operand[n]; n++) {
        type[n] = type_of(checks[_i].operand[n]);
        exp[n] = exp_of(checks[_i].operand[n]);
    }
    ck_assert(sc_scale_check(cx, s, n, type, exp, 1, &out, var, &which) == (checks[_i].bad < 0));
    if (checks[_i].bad >= 0)
        ck_assert_uint_eq(which, (uint32_t)checks[_i].bad);
    if (checks[_i].a) {
        const char *p = checks[_i].a;
        ck_assert(var[0] == sc_term_parse(cx, &p));
    }
}
END_TEST

START_TEST(test_apply)
{
    ScScaleExpr e = {.coef = {1, -2, 3}};
    const ScTerm *var[SC_MAX_VARS] = {sc_term_sym(cx, "p"), sc_term(cx, 5)};
    const char *want = "p-10";
    ck_assert(sc_scale_apply(cx, &e, var) == sc_term_parse(cx, &want)); /* unbound is 0 */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("schema");
    TCase *t = tcase_create("schema");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_operands);
    tcase_add_test(t, test_signatures);
    tcase_add_loop_test(t, test_bad_rows_are_named, 0, sizeof bad / sizeof *bad);
    tcase_add_test(t, test_every_row_parses);
    tcase_add_loop_test(t, test_scale_check, 0, sizeof checks / sizeof *checks);
    tcase_add_test(t, test_apply);
    suite_add_tcase(s, t);
    return sct_main("ir-schema", s);
}
