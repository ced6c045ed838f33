/* SPDX-License-Identifier: Apache-2.0 */
/* Every claim of every row, on random nodes; and wrong copies of rows, each caught by name. */
#include "tests/table/table.h"

#include <math.h>
#include <string.h>

#define SEEDS 40 /* cases a row and check */

static const struct {
    const char *name;
    Check *run;
} checks[] = {
    {"schema", check_schema},       {"inference", check_inference}, {"text", check_text},
    {"signature", check_signature}, {"scaled", check_scaled},       {"bound", check_bound},
    {"expansion", check_expansion}, {"lowering", check_lowering},   {"symbols", check_symbols},
    {"flags", check_flags},         {"ONNX", check_onnx},
};

static bool computes(const ScOp *op)
{
    return op->lower.cls != SC_SOURCE && op->lower.cls != SC_KERNEL;
}

/* The first complaint of a check over all seeds, or NULL. */
static const char *over_seeds(Check *check, const ScOp *op)
{
    const char *why = NULL;
    for (uint64_t seed = 1; seed <= SEEDS && !why; seed++)
        why = check(op, seed * 0x9e3779b97f4a7c15u);
    return why;
}

START_TEST(every_claim)
{
    const ScOp *op = sc_op_table[_i];
    const char *why = check_schema(op, 0);
    ck_assert_msg(why == NULL, "%s", why);
    for (size_t i = 1; i < sizeof checks / sizeof *checks && computes(op); i++) {
        why = over_seeds(checks[i].run, op);
        ck_assert_msg(why == NULL, "%s check: %s", checks[i].name, why);
    }
}
END_TEST

/* The check of symbols passes where no symbols could be drawn: that must not be a row's way
 * through.
 */
START_TEST(every_row_meets_symbols)
{
    const ScOp *op = sc_op_table[_i];
    uint32_t n = 0;
    bool has_extents = computes(op) && *op->in && !(op->flags & SC_BINDS);
    for (uint64_t seed = 1; seed <= SEEDS && has_extents; seed++)
        n += draws_symbols(op, seed * 0x9e3779b97f4a7c15u);
    ck_assert_msg(!has_extents || n >= SEEDS / 2, "%s meets symbols in %u of %d cases", op->name, n,
                  SEEDS);
}
END_TEST

/* Names are unique; one ONNX operator at one opset is one row. */
START_TEST(rows_are_told_apart)
{
    ScCtx *cx = sc_ctx_new();
    for (uint32_t i = 0; i < sc_op_count; i++) {
        const ScOp *a = sc_op_table[i];
        ck_assert_msg(sc_op_find(cx, a->name) == a, "%s is not found by its name", a->name);
        if (a->onnx.type)
            ck_assert_msg(sc_op_onnx(cx, a->onnx.domain, a->onnx.type, a->onnx.since) == a,
                          "%s is not found as %s", a->name, a->onnx.type);
        for (uint32_t k = 0; k < i; k++) {
            const ScOp *b = sc_op_table[k];
            bool same = a->onnx.type && b->onnx.type && strcmp(a->onnx.type, b->onnx.type) == 0 &&
                        strcmp(a->onnx.domain, b->onnx.domain) == 0;
            bool apart = (a->onnx.until && a->onnx.until < b->onnx.since) ||
                         (b->onnx.until && b->onnx.until < a->onnx.since);
            ck_assert_msg(!same || apart, "%s and %s are one ONNX operator", a->name, b->name);
        }
    }
    ck_assert_ptr_null(sc_op_find(cx, "no_such_row"));
    sc_ctx_free(cx);
}
END_TEST

/* --- Planted faults -------------------------------------------------------------------------- */

static void body_abs(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)
{
    (void)n;
    ret_out[0] = sc_x(b, SC_X_ABS, in[0], 0, 0);
}

static void expand_without_sum(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                               ScVal *ret_out)
{
    (void)g;
    (void)n;
    ret_out[0] = sc_op(b, exp, sc_op(b, mul, in[0], in[1]));
}

/* gelu with the other sign in its argument: differs from evaluation and from lowering. */
static void expand_other_sign(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                              ScVal *ret_out)
{
    ScVal x[2] = {sc_op(b, neg, in[0]), in[1]};
    sc_op_gelu.expand(b, g, n, x, ret_out);
}

static void product_of_all(const ScGraph *g, const ScNode *n, ScReduce *ret)
{
    sc_op_reduce_sum.reduce(g, n, ret);
    ret->monoid = SC_PROD;
}

static void shifted(const ScGraph *g, const ScNode *n, ScConv *ret)
{
    sc_op_conv.conv(g, n, ret);
    for (uint32_t d = 0; d < ret->window.n_spatial; d++)
        ret->window.pad_begin[d] = sc_term_addc(g->cx, ret->window.pad_begin[d], 1);
}

static void without_masks(const ScGraph *g, const ScNode *n, ScAttention *ret)
{
    sc_op_attention.attention(g, n, ret);
    ret->addend = ret->keep = -1;
}

static void without_ends(const ScGraph *g, const ScNode *n, ScPool *ret)
{
    sc_op_avgpool.pool(g, n, ret);
    for (uint32_t d = 0; d < ret->window.n_spatial; d++)
        ret->window.pad_end[d] = sc_term(g->cx, 0);
}

static bool view_untransposed(ScCtx *cx, const ScGraph *g, const ScNode *n, ScView *io)
{
    ScView x = *io;
    bool ok = sc_op_transpose.view(cx, g, n, io);
    memcpy(io->stride, x.stride, sizeof x.stride);
    return ok;
}

static uint32_t first_axis(const ScGraph *g, const ScNode *n)
{
    (void)g;
    (void)n;
    return 0;
}

static int calls;

static bool infer_moody(ScInfer *in)
{
    in->ret[0] = in->in[0];
    int64_t dims[1] = {++calls};
    if (calls > 1)
        in->ret[0] = sc_type_c(in->cx, in->in[0]->dtype, 1, dims);
    return true;
}

/* Takes extents that are not proven unlike for equal ones. */
static bool infer_trusting(ScInfer *in)
{
    in->ret[0] = in->in[0];
    return sc_type_const_dims(in->in[0], NULL) && sc_type_const_dims(in->in[1], NULL)
               ? sc_infer_broadcast(in)
               : true;
}

static bool eval_off(ScEval *e)
{
    for (int64_t i = 0; i < scrt_count(e->in[0]); i++) {
        double x = scrt_load(SCRT_F32, e->in[0]->data, (size_t)i);
        scrt_store(SCRT_F32, e->out[0].data, (size_t)i,
                   (double)nextafterf((float)tanh(x), 2) + 1e-6, false);
    }
    return true;
}

static bool eval_moving(ScEval *e)
{
    for (int64_t i = 0; i < scrt_count(e->in[0]); i++)
        scrt_store(SCRT_F32, e->out[0].data, (size_t)i,
                   2 * scrt_load(SCRT_F32, e->in[0]->data, (size_t)i), false);
    return true;
}

struct Fault {
    const ScOp *row;
    void (*plant)(ScOp *op);
    Check *check;
    const char *says; /* how the sentence begins */
};

#define PLANT(name, code)                                                                          \
    static void name(ScOp *op)                                                                     \
    {                                                                                              \
        code;                                                                                      \
    }
PLANT(sqrt_scale, op->scale = "a -> a")
PLANT(matmul_scale, op->scale = "a, b, c -> a")
PLANT(exp_scale, op->scale = "a -> a")
PLANT(add_scale, op->scale = "a, b -> a")
PLANT(unbound_scale, op->scale = "a -> b")
PLANT(no_scale, op->scale = NULL)
PLANT(softmax_expand, op->expand = expand_without_sum)
PLANT(gelu_expand, op->expand = expand_other_sign)
PLANT(relu_body, op->lower.body = body_abs)
PLANT(sum_monoid, op->reduce = product_of_all)
PLANT(gemm_bias, op->bias = 0)
PLANT(conv_bias, op->bias_axis = first_axis)
PLANT(no_operand_bias, op->bias = 1)
PLANT(sum_averages, op->flags |= SC_AVERAGES)
PLANT(neg_converts, op->flags |= SC_CONVERTS)
PLANT(conv_pads, op->conv = shifted)
PLANT(pool_ends, op->pool = without_ends)
PLANT(transpose_view, op->view = view_untransposed)
PLANT(concat_first, op->concat_axis = first_axis)
PLANT(gather_first, op->gather_axis = first_axis)
PLANT(cumsum_scan, op->scan = sc_op_cumprod.scan)
PLANT(attention_mask, op->attention = without_masks)
PLANT(moody, op->infer = infer_moody)
PLANT(trusting, op->infer = infer_trusting)
PLANT(tanh_eval, op->eval = eval_off)
PLANT(rebalance_eval, op->eval = eval_moving)
PLANT(sigmoid_most, op->most = 0.5f)
PLANT(add_top, op->top = sc_op_gather.top)
PLANT(no_body, op->lower.body = NULL)

START_TEST(planted_faults)
{
    const struct Fault fault[] = {
        {&sc_op_sqrt, sqrt_scale, check_signature, "sqrt does not keep 'a -> a' at a = "},
        {&sc_op_matmul, matmul_scale, check_signature,
         "matmul does not keep 'a, b, c -> a' at a = "},
        {&sc_op_exp, exp_scale, check_signature, "exp does not keep 'a -> a' at a = "},
        {&sc_op_add, add_scale, check_signature, "add does not keep 'a, b -> a' at a = "},
        {&sc_op_relu, unbound_scale, check_schema, "relu: "},
        {&sc_op_relu, no_scale, check_schema,
         "relu: takes or gives floats and has no scale signature"},
        {&sc_op_relu, no_body, check_schema, "relu: has not the descriptor of its class"},
        {&sc_op_softmax, softmax_expand, check_expansion, "softmax: its expansion gives "},
        {&sc_op_gelu, gelu_expand, check_expansion, "gelu: its expansion gives "},
        {&sc_op_relu, relu_body, check_lowering, "relu: its body gives "},
        {&sc_op_reduce_sum, sum_monoid, check_lowering, "reduce_sum: its lowering gives "},
        {&sc_op_gemm, gemm_bias, check_lowering, "gemm: its lowering gives "},
        {&sc_op_conv, conv_bias, check_lowering, "conv: its lowering gives "},
        {&sc_op_relu, no_operand_bias, check_schema, "relu: its bias is no optional operand"},
        {&sc_op_reduce_sum, sum_averages, check_flags, "reduce_sum: is no mean"},
        {&sc_op_neg, neg_converts, check_flags, "neg: converts 1 to "},
        {&sc_op_conv, conv_pads, check_lowering, "conv: its lowering gives "},
        {&sc_op_avgpool, pool_ends, check_lowering, "avgpool: its lowering gives "},
        {&sc_op_transpose, transpose_view, check_lowering, "transpose: its "},
        {&sc_op_concat, concat_first, check_lowering, "concat: its lowering gives "},
        {&sc_op_gather, gather_first, check_lowering, "gather: its lowering gives "},
        {&sc_op_attention, attention_mask, check_lowering, "attention: its lowering gives "},
        {&sc_op_cumsum, cumsum_scan, check_lowering, "cumsum: its lowering gives "},
        {&sc_op_tanh, moody, check_inference, "tanh: "},
        {&sc_op_sub, trusting, check_symbols, "sub: "},
        {&sc_op_tanh, tanh_eval, check_lowering, "tanh: its body gives "},
        {&sc_op_sigmoid, sigmoid_most, check_bound, "sigmoid: result 0 holds "},
        {&sc_op_add, add_top, check_bound, "add: result 0 holds "},
        {&sc_op_rebalance, rebalance_eval, check_signature,
         "rebalance does not keep the numbers from 2^"},
    };
    for (size_t i = 0; i < sizeof fault / sizeof *fault; i++) {
        ScOp op = *fault[i].row;
        const char *why = over_seeds(fault[i].check, &op);
        ck_assert_msg(why == NULL, "a copy without a fault is blamed: %s", why);
        fault[i].plant(&op);
        calls = 0;
        why = over_seeds(fault[i].check, &op);
        ck_assert_msg(why != NULL, "fault %zu of %s was not found", i, op.name);
        ck_assert_msg(strncmp(why, fault[i].says, strlen(fault[i].says)) == 0,
                      "fault %zu: expected '%s...', got '%s'", i, fault[i].says, why);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("table");
    TCase *c = tcase_create("table");
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, every_claim, 0, (int)sc_op_count);
    tcase_add_loop_test(c, every_row_meets_symbols, 0, (int)sc_op_count);
    tcase_add_test(c, rows_are_told_apart);
    tcase_add_test(c, planted_faults);
    suite_add_tcase(s, c);
    return sct_main("table", s);
}
