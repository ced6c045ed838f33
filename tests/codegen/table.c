/* SPDX-License-Identifier: Apache-2.0 */
/* Every row that can be compiled, on random nodes, beside the evaluator: equal bits, or within the
 * distance that the row states. */
#include "tests/codegen/compiled.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One or more inputs of one small random shape, default attributes. */
static uint32_t make_default(ScBuild *b, const ScOp *op, uint64_t *r, ScVal *ret_out)
{
    const ScSchema *s = sc_schema(b->cx, op);
    ScVal in[SC_MAX_IN];
    int64_t dims[3] = {sct_between(r, 1, 5), sct_between(r, 1, 5), sct_between(r, 1, 40)};
    uint32_t n = s->in_repeats ? s->n_in + 1 : s->n_in, rank = (uint32_t)sct_between(r, 1, 3);
    for (uint32_t i = 0; i < n; i++) {
        const ScOperand *o = &s->in[i < s->n_in ? i : s->n_in - 1];
        ScrtDtype t = sct_dtype_for(o->cls);
        char name[16];
        snprintf(name, sizeof name, "x%u", i);
        in[i] = sc_input(b, sc_intern(b->cx, name), sc_type_c(b->cx, t, rank, dims), NULL);
    }
    ScVal out[SC_MAX_OUT];
    sc_node(b, op, NULL, NULL, n, in, 1, out);
    ret_out[0] = out[0];
    return 1;
}

static ScGraph *make(ScCtx *cx, const ScOp *op, uint64_t *r)
{
    ScBuild b;
    ScVal out[SC_MAX_OUT];
    sc_build_init(&b, cx, op->name, NULL);
    uint32_t n = op->domain.make ? op->domain.make(&b, r, out) : make_default(&b, op, r, out);
    for (uint32_t i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%u", i);
        sc_output(&b, sc_intern(cx, name), out[i]);
    }
    ScGraph *g = sc_build_end(&b);
    ck_assert_msg(g != NULL, "%s: %s", op->name, sct_messages(cx));
    return g;
}

static bool compiled(const ScOp *op)
{
    bool required = false;
    for (uint32_t i = 0; i < op->n_attr; i++)
        required |= op->attr[i].required;
    return op->lower.cls != SC_SOURCE && op->lower.cls != SC_STEP && op->lower.cls != SC_KERNEL &&
           (op->lower.cls != SC_NO_LOWERING || op->expand) && (op->domain.make || !required);
}

START_TEST(rows)
{
    const ScOp *op = sc_op_table[_i];
    bool lo_hi = op->domain.lo != 0 || op->domain.hi != 0;
    uint64_t r = 1;
    if (!compiled(op))
        return;
    for (int c = 0; c < SCT_N_CPU; c++) {
        for (int round = 0; sct_runs(sct_cpus[c]) && round < sct_rounds(c, 2); round++) {
            ScCtx *cx = sc_ctx_new();
            ScGraph *g = make(cx, op, &r);
            ScStr text = {0};
            sc_print(g, 0, &text);
            SctModel m = sct_compile(text.s, sct_cpus[c], NULL);
            SctBound bound = {.max_ulp = op->max_ulp};
            if (op->flags & SC_SUMS || op->expand || op->reduce || op->scan) /* in f32 beside f64 */
                bound = (SctBound){.max_ulp = fmax(op->max_ulp, 16), .rel = 1e-5, .abs = 2e-5};
            sct_compare(&m, r, lo_hi ? op->domain.lo : -4, lo_hi ? op->domain.hi : 4, 0, NULL,
                        bound);
            sct_close(&m);
            sc_str_free(&text);
            sc_graph_free(g);
            sc_ctx_free(cx);
        }
    }
}
END_TEST

/* With symbols for extents a compiled row refuses what the evaluator refuses, and else agrees. */
static void at_sizes(const SctModel *m, const ScOp *op, const SctSymbols *s, uint64_t *r,
                     SctBound bound)
{
    bool lo_hi = op->domain.lo != 0 || op->domain.hi != 0;
    ScrtTensor *in =
        sct_inputs(m->g, r, lo_hi ? op->domain.lo : -4, lo_hi ? op->domain.hi : 4, s->n, s->env);
    ScrtTensor *out = calloc(m->g->n_out + 1u, sizeof *out);
    ck_assert_ptr_nonnull(out);
    bool right = sc_eval(m->g, in, out, NULL);
    sct_free(out, right ? m->g->n_out : 0);
    if (right) {
        sct_compare_on(m, in, bound);
    } else {
        out = calloc(m->g->n_out + 1u, sizeof *out);
        ScrtSession *session = sct_open(m, 0);
        ck_assert_msg(scrt_run(session, in, out) != SCRT_OK, "%s runs where it should not: %s",
                      op->name, sct_messages(m->cx));
        scrt_close(session);
        free(out);
    }
    sc_clear_diags(m->cx);
    sct_free(in, m->g->n_in);
}

START_TEST(rows_of_symbols)
{
    const ScOp *op = sc_op_table[_i];
    uint64_t r = 7;
    SctSymbols s, own;
    if (!compiled(op))
        return;
    ScCtx *cx = sc_ctx_new();
    ScGraph *plain = make(cx, op, &r), *g = NULL;
    for (uint32_t i = 0; i < 8 && !g; i++)
        g = sct_to_symbols(plain, &r, &s);
    if (g) {
        SctModel m = sct_compile(sct_print(g), "native", NULL);
        SctBound bound = {.max_ulp = op->max_ulp};
        if (op->flags & SC_SUMS || op->expand || op->reduce || op->scan)
            bound = (SctBound){.max_ulp = fmax(op->max_ulp, 16), .rel = 1e-5, .abs = 2e-5};
        own.n = s.n;
        for (uint32_t i = 0; i < s.n; i++) /* the model's session has names of its own */
            own.env[i] = (ScBinding){sc_intern(m.cx, s.env[i].sym), s.env[i].value};
        for (uint32_t i = 0; i < 4; i++) {
            at_sizes(&m, op, &own, &r, bound);
            sct_other_sizes(&own, &r);
        }
        sct_close(&m);
    }
    sc_graph_free(g);
    sc_graph_free(plain);
    sc_ctx_free(cx);
}
END_TEST

/* --- The elementary functions over a net of all floats --------------------------------------- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static const struct Function {
    const char *name;
    double (*f)(double);
} functions[] = {{"exp", exp}, {"log", log}, {"tanh", tanh}, {"erf", erf}, {"sigmoid", sigmoid}};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

static double ulps(float got, double want)
{
    float near = (float)want;
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got) ? 0 : INFINITY;
    if (got == near || isinf(got) || isinf(near))
        return got == near ? 0 : INFINITY;
    double size = fmax(fabs(want), 0x1p-126);
    return fabs((double)got - want) / ldexp(1, ilogb(size) - 23);
}

/* A prime stride meets every exponent and all kinds of mantissas. */
START_TEST(sweep)
{
    const struct Function *f = &functions[_i];
    enum { STRIDE = 4099, N = UINT32_MAX / STRIDE };
    char text[256];
    snprintf(text, sizeof text, "graph @g(%%x: f32[n]) -> (%%y) {\n  %%y = %s %%x : f32[n]\n}\n",
             f->name);
    ScrtTensor in = {.dtype = SCRT_F32, .rank = 1, .dims = {N}};
    ck_assert_int_eq(scrt_tensor_alloc(&in), SCRT_OK);
    for (uint32_t i = 0; i < N; i++)
        ((uint32_t *)in.data)[i] = i * STRIDE;
    ScrtTensor *first = NULL;
    for (int c = 0; c < SCT_N_CPU; c++) {
        if (!sct_runs(sct_cpus[c]))
            continue;
        SctModel m = sct_compile(text, sct_cpus[c], NULL);
        ScrtTensor *out = sct_run(&m, 1, &in);
        const float *x = in.data, *y = out->data;
        for (uint32_t i = 0; i < N && !first; i++)
            ck_assert_msg(ulps(y[i], f->f(x[i])) <= 2, "%s(%a) is %a, not %a", f->name,
                          (double)x[i], (double)y[i], f->f(x[i]));
        if (first) /* no target computes anything else */
            ck_assert(sct_same_bits(first, out));
        sct_close(&m);
        if (first)
            sct_free(out, 1);
        first = first ? first : out;
    }
    sct_free(first, 1);
    scrt_free(in.data);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-table");
    TCase *t = tcase_create("table");
    tcase_add_loop_test(t, rows, 0, (int)sc_op_count);
    tcase_add_loop_test(t, rows_of_symbols, 0, (int)sc_op_count);
    tcase_add_loop_test(t, sweep, 0, N_FUNCTIONS);
    suite_add_tcase(s, t);
    return sct_main("codegen-table", s);
}
