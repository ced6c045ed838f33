/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that differ in numbers alone: many share one function, whose parameters they are; few are
 * compiled each with its own. Either way they compute what the evaluator does. */
#include "tests/codegen/compiled.h"

#include <string.h>

enum { FEW = 16, SOME = 17, MORE = 23 };

/* Sums in another order than the evaluator's, of numbers in [-3, 3]. */
#define SUMS {.rel = 2e-6, .abs = 1e-5}

typedef struct Case {
    const char *name, *in; /* in: the inputs that all read */
    void (*line)(ScStr *s, uint32_t i);
    bool symbol; /* n */
    SctBound bound;
} Case;

static void rows(ScStr *s, uint32_t i)
{
    sc_str_addf(s, "  %%y%u = slice %%x {starts = [%u], ends = [%u], axes = [0]} : f32[%u,3]\n", i,
                i % 5 + 1, i % 5 + 1 + i, i);
}

static void columns(ScStr *s, uint32_t i)
{
    sc_str_addf(s, "  %%y%u = slice %%x {starts = [%u], ends = [%u], axes = [1]} : f32[4,%u]\n", i,
                i % 5 + 1, i % 5 + 1 + i, i);
}

static void backwards(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%y%u = slice %%x {starts = [%u], ends = [-9223372036854775807], axes = [1], "
                "steps = [-1]} : f32[4,%u]\n",
                i, i, i + 1);
}

static void transposes(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [0], ends = [%u], axes = [1]} : f32[40,%u]\n"
                "  %%y%u = transpose %%v%u {perm = [1,0]} : f32[%u,40]\n",
                i, i + 8, i + 8, i, i, i + 8);
}

static void turned(ScStr *s, uint32_t i) /* a copy in scratch comes first */
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [0], ends = [%u], axes = [1]} : f32[40,%u]\n"
                "  %%t%u = transpose %%v%u {perm = [1,0]} : f32[%u,40]\n"
                "  %%y%u = abs %%t%u : f32[%u,40]\n",
                i, i + 8, i + 8, i, i, i + 8, i, i, i + 8);
}

static void elements(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [%u], ends = [%u], axes = [1]} : f32[4,%u]\n"
                "  %%w%u = abs %%v%u : f32[4,%u]\n  %%y%u = mul %%w%u, %%z : f32[4,%u]\n",
                i, i % 5, i % 5 + i, i, i, i, i, i, i, i);
}

static void parts(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [1], ends = [%u], axes = [1]} : f32[4,%u]\n"
                "  %%c%u = concat %%z, %%v%u, %%z {axis = 1} : f32[4,%u]\n"
                "  %%k%u = const %u.5 : f32[]\n  %%y%u = mul %%c%u, %%k%u : f32[4,%u]\n",
                i, i + 1, i, i, i, i + 10, i, i, i, i, i, i + 10);
}

static void gathered(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [0], ends = [%u], axes = [1]} : f32[9,%u]\n"
                "  %%y%u = gather %%v%u, %%i {axis = 0} : f32[3,%u]\n",
                i, i, i, i, i, i);
}

/* One element an index. */
static void picked(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [%u], ends = [40], axes = [1]} : f32[4,%u]\n"
                "  %%y%u = gather %%v%u, %%i {axis = 1} : f32[4,3]\n",
                i, i, 40 - i, i, i);
}

static void from_end(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%y%u = slice %%x {starts = [%u], ends = [9223372036854775807], axes = [0]} : "
                "f32[max(n-%u,0),3]\n",
                i, i, i);
}

/* Each of an input of its own: what is made of one value would be one kernel. */
static void number(ScStr *s, uint32_t i, const char *op, const char *type, long long whole,
                   const char *point)
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [%u], ends = [%u], axes = [0]} : %s[1,n]\n"
                "  %%k%u = const %lld%s : %s[]\n  %%y%u = %s %%v%u, %%k%u : %s[1,n]\n",
                i, i, i + 1, type, i, whole, point, type, i, op, i, i, type);
}

static void numbers(ScStr *s, uint32_t i)
{
    number(s, i, "add", "f32", -(long long)i, ".0625");
}

static void doubles(ScStr *s, uint32_t i)
{
    number(s, i, "mul", "f64", -(long long)i, ".1");
}

static void halves(ScStr *s, uint32_t i)
{
    number(s, i, "mul", "bf16", i, ".5");
}

static void bytes(ScStr *s, uint32_t i)
{
    number(s, i, "max", "i8", -(long long)i, "");
}

static void longs(ScStr *s, uint32_t i)
{
    number(s, i, "add", "i64", (1LL << 62) + i, "");
}

static void columns_of(ScStr *s, uint32_t i, const char *type, uint32_t rows)
{
    sc_str_addf(s, "  %%v%u = slice %%x {starts = [0], ends = [%u], axes = [1]} : %s[%u,%u]\n", i,
                i, type, rows, i);
}

static void sums_of_rows(ScStr *s, uint32_t i)
{
    columns_of(s, i, "f32", 4);
    sc_str_addf(s, "  %%y%u = reduce_sum %%v%u {axes = [1]} : f32[4,1]\n", i, i);
}

static void means_of_rows(ScStr *s, uint32_t i)
{
    columns_of(s, i, "f16", 4);
    sc_str_addf(s, "  %%y%u = reduce_mean %%v%u {axes = [1], keepdims = 0} : f16[4]\n", i, i);
}

static void softmax_of_rows(ScStr *s, uint32_t i) /* phases, and a row that is kept */
{
    columns_of(s, i, "f32", 4);
    sc_str_addf(s,
                "  %%w%u = tanh %%v%u : f32[4,%u]\n"
                "  %%y%u = softmax %%w%u, %%beta : f32[4,%u]\n",
                i, i, i, i, i, i);
}

static void sums_of_columns(ScStr *s, uint32_t i) /* columns are turned round first */
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [0], ends = [%u], axes = [0]} : f32[%u,9]\n"
                "  %%y%u = reduce_sum %%v%u {axes = [0]} : f32[1,9]\n",
                i, i + 2, i + 2, i, i);
}

static void running_sums(ScStr *s, uint32_t i)
{
    columns_of(s, i, "f32", 4);
    sc_str_addf(s, "  %%y%u = cumsum %%v%u {axis = 0} : f32[4,%u]\n", i, i, i);
}

static void pools(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [0], ends = [%u], axes = [3]} : f32[1,2,6,%u]\n"
                "  %%y%u = maxpool %%v%u {kernel_shape = [2,2], strides = [2,1]} : f32[1,2,3,%u]\n",
                i, i + 1, i + 1, i, i, i);
}

static void means_of_windows(ScStr *s, uint32_t i) /* of which those of the border hold less */
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [0], ends = [%u], axes = [3]} : f32[1,2,6,%u]\n"
                "  %%y%u = avgpool %%v%u {kernel_shape = [3,3], pads = [1,1,1,1]} : "
                "f32[1,2,6,%u]\n",
                i, i, i, i, i, i);
}

static void means_of_pixels(ScStr *s, uint32_t i)
{
    sc_str_addf(s,
                "  %%v%u = slice %%x {starts = [0], ends = [%u], axes = [2]} : f32[1,6,%u,5]\n"
                "  %%y%u = avgpool %%v%u {kernel_shape = [3,3], pads = [1,1,1,1], "
                "channels_last = 1} : f32[1,6,%u,5]\n",
                i, i, i, i, i, i);
}

static const Case cases[] = {
    {"rows", "%x: f32[40,3]", rows, false},
    {"columns", "%x: f32[4,40]", columns, false},
    {"backwards", "%x: f32[4,40]", backwards, false},
    {"transposes", "%x: f32[40,50]", transposes, false},
    {"turned", "%x: f32[40,50]", turned, false},
    {"elements", "%x: f32[4,40], %z: f32[4,1]", elements, false},
    {"parts", "%x: f32[4,40], %z: f32[4,5]", parts, false},
    {"gathered", "%x: f32[9,40], %i: i64[3]", gathered, false},
    {"picked", "%x: f32[4,40], %i: i64[3]", picked, false},
    {"from the end", "%x: f32[n,3]", from_end, true},
    {"numbers", "%x: f32[30,n]", numbers, true},
    {"numbers of 64 bits", "%x: f64[30,n]", doubles, true},
    {"numbers of 16 bits", "%x: bf16[30,n]", halves, true},
    {"bytes", "%x: i8[30,n]", bytes, true},
    {"integers of 64 bits", "%x: i64[30,n]", longs, true},
    {"sums of rows", "%x: f32[4,40]", sums_of_rows, false, SUMS},
    {"means of rows", "%x: f16[4,40]", means_of_rows, false, {.max_ulp = 1}},
    {"softmax of rows", "%x: f32[4,40], %beta: f32[]", softmax_of_rows, false, SUMS},
    {"sums of columns", "%x: f32[40,9]", sums_of_columns, false, SUMS},
    {"running sums", "%x: f32[4,40]", running_sums, false, SUMS},
    {"pools", "%x: f32[1,2,6,40]", pools, false},
    {"means of windows", "%x: f32[1,2,6,40]", means_of_windows, false, SUMS},
    {"means of pixels", "%x: f32[1,6,40,5]", means_of_pixels, false, SUMS},
};

static char *text_of(const Case *c, uint32_t n)
{
    ScStr s = {0};
    sc_str_addf(&s, "graph @g(%s) -> (", c->in);
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&s, "%s%%y%u", i ? ", " : "", i + 2);
    sc_str_add(&s, ") {\n");
    for (uint32_t i = 0; i < n; i++)
        c->line(&s, i + 2);
    sc_str_add(&s, "}\n");
    return s.s;
}

/* Kernels that have code of their own. */
static uint32_t own_code(const ScObject *o)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->n_kernel; i++)
        n += !strstr(o->kernel[i].what, "the code of") && !strstr(o->kernel[i].what, "no code");
    return n;
}

static void check(const Case *c, uint32_t n, uint32_t want)
{
    static const int64_t size[] = {0, 1, 30, 300};
    char *text = text_of(c, n);
    SctModel m = sct_compile(text, "native", NULL);
    ck_assert_msg(own_code(m.o) == want, "%s: %u of %u kernels have code of their own, not %u",
                  c->name, own_code(m.o), n, want);
    sct_close(&m);
    sct_everywhere(text, -3, 3, c->bound, c->symbol ? 4 : 0, size);
    sc_buf_free(text);
}

START_TEST(many_share)
{
    check(&cases[_i], SOME, 1);
}
END_TEST

START_TEST(few_do_not)
{
    check(&cases[_i], FEW, FEW);
}
END_TEST

/* The second entry asks for some of what the first has, and for one more. */
START_TEST(entries_share)
{
    ScCtx *cx = sc_ctx_new();
    ScPassEnv env = {0};
    ScCodegenEntry entry[2] = {{"one", NULL}, {"two", NULL}};
    ScGraph *kernels[2];
    for (uint32_t i = 0; i < 2; i++) {
        char *text = text_of(&cases[1], i ? MORE : MORE - 1);
        ScGraph *g = sct_graph(cx, text);
        entry[i].g = kernels[i] = sc_pass_fuse(cx, g, &env);
        ck_assert_msg(kernels[i] != NULL, "%s", sct_messages(cx));
        sc_graph_free(g);
        sc_buf_free(text);
    }
    ScObject *o = sc_codegen_entries(cx, 2, entry, NULL, SC_EMIT_OBJ);
    ck_assert_msg(o != NULL, "%s", sct_messages(cx));
    ck_assert_uint_eq(own_code(o), 2);
    sc_object_free(o);
    sc_graph_free(kernels[0]);
    sc_graph_free(kernels[1]);
    sc_ctx_free(cx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-share");
    TCase *t = tcase_create("share");
    tcase_add_loop_test(t, many_share, 0, sizeof cases / sizeof *cases);
    tcase_add_loop_test(t, few_do_not, 0, sizeof cases / sizeof *cases);
    tcase_add_test(t, entries_share);
    suite_add_tcase(s, t);
    return sct_main("codegen-share", s);
}
