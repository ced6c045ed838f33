/* SPDX-License-Identifier: Apache-2.0 */
/* What rows say beyond what the tests over the table check: the words of their errors, content of
 * integers that are shapes, growth, views that cost nothing, finding rows. */
#include "ir/op.h"
#include "tests/graphs.h"
#include "tests/harness.h"

#include <math.h>
#include <string.h>

static ScCtx *cx;
static ScBuild b;

static void setup(void)
{
    cx = sc_ctx_new();
    sc_build_init(&b, cx, "g", NULL);
}

static void teardown(void)
{
    if (b.priv)
        sc_build_drop(&b);
    sc_ctx_free(cx);
}

static ScVal input(const char *name, const char *type)
{
    return sc_input(&b, sc_intern(cx, name), sc_type_parse(cx, &type), NULL);
}

static void type_is(ScVal v, const char *want)
{
    ScStr s = {0};
    ck_assert_msg(v != SC_POISON, "%s", sc_n_diags(cx) ? sc_diag(cx, 0)->detail : "poison");
    sc_type_print(sc_built(&b, v)->type, &s);
    ck_assert_str_eq(sc_str_get(&s), want);
    sc_str_free(&s);
}

/* The elements that are known of an integer value, with commas. */
static void content_is(ScVal v, const char *want)
{
    const ScValue *x = sc_built(&b, v);
    ScStr s = {0};
    int64_t n;
    ck_assert(x->content && sc_term_const(sc_type_count(cx, x->type), &n));
    for (int64_t i = 0; i < n; i++) {
        sc_str_add(&s, i ? "," : "");
        sc_term_print(x->content[i], &s);
    }
    ck_assert_str_eq(sc_str_get(&s), want);
    sc_str_free(&s);
}

/* v is poison, and the one error has this number and these words in its text. */
static void fails(ScVal v, ScDiagId id, const char *words)
{
    ScStr s = {0};
    ck_assert_uint_eq(v, SC_POISON);
    ck_assert_uint_eq(sc_n_errors(cx), 1);
    ck_assert_int_eq(sc_diag(cx, 0)->id, id);
    sc_diag_text(sc_diag(cx, 0), &s);
    ck_assert_msg(strstr(sc_str_get(&s), words) != NULL, "%s", sc_str_get(&s));
    sc_str_free(&s);
    sc_clear_diags(cx);
}

/* --- Errors ---------------------------------------------------------------------------------- */

START_TEST(products_name_the_extents_that_differ)
{
    ScVal a = input("a", "f32[8,64]"), w = input("w", "f32[32,10]"), v = input("v", "f32[7]");
    fails(sc_op(&b, matmul, a, w), SC_E_INNER,
          "note: A's last extent, 64, must equal B's second to last, 32");
    fails(sc_op(&b, matmul, a, v), SC_E_INNER, "A's last extent, 64, must equal B's only, 7");
    fails(sc_op_at(&b, gemm, SC_ATTRS(SC_INT(1), SC_INT(1)), a, w), SC_E_INNER,
          "A's first extent, 8, must equal B's last, 10");
    fails(sc_op(&b, matmul, input("x", "f32[2,3,4]"), input("y", "f32[5,4,6]")), SC_E_BROADCAST,
          "extents 2 and 5, counted 3 from the last, are neither equal nor 1");
    fails(sc_op(&b, matmul, a, input("s", "f32[]")), SC_E_RANK, "a scalar is no matrix");
    fails(sc_op(&b, matmul, a, input("h", "f16[64,2]")), SC_E_TYPE,
          "f32 and f16 cannot be multiplied");
    fails(sc_op(&b, matmul, a, input("k", "f32[64,2]"), input("bias", "f32[3]")), SC_E_BROADCAST,
          "operand 2 must broadcast to the result, f32[8,2]");
}
END_TEST

START_TEST(windows_say_what_does_not_fit)
{
    ScVal x = input("x", "f32[1,3,8,8]"), w = input("w", "f32[4,2,3,3]");
    const int64_t big[] = {9, 2}, none[] = {0, 2};
    fails(sc_op(&b, conv, x, w), SC_E_SHAPE,
          "X's channels, 3, must equal W's second extent, 2, times group, 1");
    fails(sc_op_at(&b, maxpool, SC_ATTRS(SC_INTS(2, big)), x), SC_E_SHAPE,
          "the window, 9 long, does not fit into axis 2");
    fails(sc_op_at(&b, maxpool, SC_ATTRS(SC_INTS(2, none)), x), SC_E_ATTRIBUTE,
          "kernel_shape must be positive");
    fails(sc_op_at(&b, maxpool, SC_ATTRS(SC_INTS(1, big)), x), SC_E_ATTRIBUTE,
          "kernel_shape must have 2 elements");
    fails(sc_op(&b, conv, input("y", "f32[3,8]"), w), SC_E_RANK, "1 to 3 spatial extents");
    fails(sc_op_at(&b, maxpool, SC_ATTRS(SC_INTS(1, &big[1])), input("i", "i32[1,1,8]")), SC_E_TYPE,
          "integers must have 8 bits");
}
END_TEST

START_TEST(views_say_what_does_not_fit)
{
    ScVal x = input("x", "f32[2,6]");
    const ScTerm *five[] = {sc_term(cx, 5), sc_term(cx, 2)};
    const int64_t axis0 = 0, twice[] = {1, 1};
    fails(sc_op_at(&b, reshape, SC_ATTRS(SC_TERMS(2, five)), x), SC_E_SHAPE,
          "12 elements cannot be seen as 10");
    fails(sc_op_at(&b, squeeze, SC_ATTRS(SC_INTS(1, &axis0)), x), SC_E_SHAPE,
          "axis 0 has extent 2, not 1");
    fails(sc_op_at(&b, transpose, SC_ATTRS(SC_INTS(2, twice)), x), SC_E_ATTRIBUTE,
          "perm must hold each axis once");
    fails(sc_op_at(&b, expand, SC_ATTRS(SC_TERMS(2, five)), x), SC_E_BROADCAST,
          "operand 0 must broadcast to the result, f32[5,2]");
    fails(sc_op_at(&b, concat, SC_ATTRS(SC_INT(0)), x, input("y", "f32[2,5]")), SC_E_SHAPE,
          "operand 1 differs at axis 1");
}
END_TEST

/* --- Shapes ---------------------------------------------------------------------------------- */

START_TEST(products_of_low_precision_are_f32)
{
    ScVal a = input("a", "f8e4m3fn[n,4]"), w = input("w", "f8e5m2[4,3]");
    type_is(sc_op(&b, matmul, a, w), "f32[n,3]");
    type_is(sc_op(&b, matmul, a, input("v", "f32[4]")), "f32[n]");
    type_is(sc_op(&b, matmul, input("h", "f16[2,4]"), input("k", "f16[4,2]")), "f16[2,2]");
}
END_TEST

START_TEST(windows_follow_symbols)
{
    ScVal x = input("x", "f32[n,1,h,9]"), w = input("w", "f32[2,1,3,3]");
    const int64_t two[] = {2, 2}, three[] = {3, 3};
    const ScTerm *pad[] = {sc_term(cx, 1), sc_term(cx, 0), sc_term(cx, 1), sc_term(cx, 0)};
    type_is(sc_op_at(&b, conv, SC_ATTRS(SC_INTS(2, two), SC_TERMS(4, pad)), x, w),
            "f32[n,2,floordiv(h+1,2),4]");
    ScAttr ceil[8] = {SC_INTS(2, three), SC_INTS(2, two), [4] = SC_INT(1)};
    type_is(sc_node1(&b, &sc_op_maxpool, ceil, 1, (ScVal[]){input("y", "f32[1,1,4,6]")}),
            "f32[1,1,2,3]");
}
END_TEST

START_TEST(slices_count_as_onnx_does)
{
    ScVal x = input("x", "f32[n,10]");
    const ScTerm *start[] = {sc_term(cx, 1), sc_term(cx, -1)};
    const ScTerm *end[] = {sc_term(cx, INT64_MAX), sc_term(cx, INT64_MIN)};
    const int64_t step[] = {1, -3};
    ScAttr attr[8] = {SC_TERMS(2, start), SC_TERMS(2, end), [3] = SC_INTS(2, step)};
    ScVal y = sc_node1(&b, &sc_op_slice, attr, 1, &x);
    const ScType *t = sc_built(&b, y)->type;
    ck_assert(sc_term_is(t->dim[1], 4));
    ScBinding env = {sc_intern(cx, "n"), 0};
    for (int64_t n = 0; n < 4; n++) { /* min(1, n) up to n */
        int64_t count;
        env.value = n;
        ck_assert(sc_term_eval(t->dim[0], 1, &env, &count));
        ck_assert_int_eq(count, n > 1 ? n - 1 : 0);
    }
}
END_TEST

/* Shape -> Gather -> Mul -> Concat, as exporters write the target of a Reshape. */
START_TEST(content_follows_the_shapes_that_exporters_compute)
{
    ScVal x = input("x", "f32[batch,7,4]");
    ScVal shape = sc_op(&b, shape, x);
    content_is(shape, "batch,7,4");
    ScVal first = sc_op(&b, gather, shape, sc_const_i64(&b, 1, (int64_t[]){0}));
    ScVal last = sc_op(&b, gather, shape, sc_const_i64(&b, 1, (int64_t[]){-1}));
    content_is(first, "batch");
    ScVal product = sc_op(&b, mul, last, sc_const_i64(&b, 1, (int64_t[]){7}));
    ScVal target = sc_op_at(&b, concat, SC_ATTRS(SC_INT(0)), first, product);
    content_is(target, "batch,28");
    content_is(sc_op(&b, div, target, sc_const_i64(&b, 1, (int64_t[]){2})), "floordiv(batch,2),14");
    content_is(sc_op(&b, neg, target), "-batch,-28");
    content_is(sc_op(&b, reduce_prod, target), "28*batch");
    ScVal down = sc_op(&b, sub, target, sc_const_i64(&b, 1, (int64_t[]){3}));
    ScVal halved = sc_op(&b, div, down, sc_const_i64(&b, 1, (int64_t[]){2}));
    ck_assert_ptr_null(sc_built(&b, halved)->content); /* batch - 3 may be negative: no floor */
}
END_TEST

/* --- Views ----------------------------------------------------------------------------------- */

static ScView dense(const ScType *t)
{
    ScView v = {.rank = t->rank, .offset = sc_term(cx, 0)};
    const ScTerm *stride = sc_term(cx, 1);
    for (uint32_t d = t->rank; d-- > 0; stride = sc_term_mul(cx, stride, t->dim[d])) {
        v.dim[d] = t->dim[d];
        v.stride[d] = stride;
    }
    return v;
}

static void strides_are(const ScView *v, const char *want)
{
    ScStr s = {0};
    for (uint32_t d = 0; d < v->rank; d++) {
        sc_str_add(&s, d ? "," : "");
        sc_term_print(v->stride[d], &s);
    }
    ck_assert_str_eq(sc_str_get(&s), want);
    sc_str_free(&s);
}

/* A transposed [n, 2, 3, 4] -> [n, 3, 2, 4] splits and merges where its elements lie evenly. */
START_TEST(reshapes_of_views_stay_views_where_strides_can_say_them)
{
    const int64_t perm[] = {0, 2, 1, 3};
    const ScTerm *n = sc_term_sym(cx, "n"), *two = sc_term(cx, 2), *three = sc_term(cx, 3);
    const ScTerm *split[] = {n, three, sc_term(cx, 1), two, two, two};
    const ScTerm *merge[] = {n, sc_term(cx, 6), sc_term(cx, 4)};
    ScVal x = input("x", "f32[n,2,3,4]");
    ScVal t = sc_op_at(&b, transpose, SC_ATTRS(SC_INTS(4, perm)), x);
    ScVal s = sc_op_at(&b, reshape, SC_ATTRS(SC_TERMS(6, split)), t);
    ScVal m = sc_op_at(&b, reshape, SC_ATTRS(SC_TERMS(3, merge)), t);
    sc_output(&b, sc_intern(cx, "s"), s);
    sc_output(&b, sc_intern(cx, "m"), m);
    ScGraph *g = sc_build_end(&b);
    ck_assert_ptr_nonnull(g);
    const ScNode *split_node = sc_def(g, g->out[0]), *merge_node = sc_def(g, g->out[1]);
    const ScNode *transpose_node = sc_def(g, split_node->in[0]);
    ScView v = dense(sc_type_of(g, g->in[0]));
    ck_assert(sc_op_transpose.view(cx, g, transpose_node, &v));
    strides_are(&v, "24,4,12,1");
    ScView w = v;
    ck_assert(sc_op_reshape.view(cx, g, split_node, &w));
    strides_are(&w, "24,4,0,12,2,1");
    ck_assert(!sc_op_reshape.view(cx, g, merge_node, &v));
    sc_graph_free(g);
}
END_TEST

/* --- Growth ---------------------------------------------------------------------------------- */

START_TEST(logarithms_are_rounded_to_the_nearest)
{
    ck_assert_int_eq(sc_log2_256(1), 0);
    ck_assert_int_eq(sc_log2_256(0x1p-20), -20 * 256);
    for (double x = 0x1p-9; x < 0x1p9; x *= 1.0037)
        ck_assert_int_eq(sc_log2_256(x), (int32_t)lround(256 * log2(x)));
    ck_assert_int_eq(sc_log2_256(0), SC_NO_G);
    ck_assert_int_eq(sc_log2_256(-1), SC_NO_G);
    ck_assert_int_eq(sc_log2_256(INFINITY), SC_NO_G);
    ck_assert_int_eq(sc_log2_256(NAN), SC_NO_G);
}
END_TEST

/* What the row of the graph's last node answers for operands of these g. */
static int32_t grow(const ScGraph *g, const int32_t *in, uint32_t one_sign, uint32_t convex,
                    int32_t signature, const ScTerm **ret_shift)
{
    const ScNode *n = sc_def(g, g->out[0]);
    bool nonneg[4], is_convex[4];
    uint8_t lean[4];
    int32_t ret = signature;
    for (uint32_t i = 0; i < 4; i++) {
        nonneg[i] = one_sign >> i & 1;
        is_convex[i] = convex >> i & 1;
        lean[i] = nonneg[i] ? 255 : 0;
    }
    *ret_shift = NULL;
    n->op->growth(&(ScGrow){.g = g,
                            .n = n,
                            .in = in,
                            .nonneg = nonneg,
                            .convex = is_convex,
                            .e_first = -3,
                            .lean = lean,
                            .ret_lean = &(uint8_t){0},
                            .ret = &ret,
                            .ret_shift = ret_shift});
    return ret;
}

static ScGraph *graph_of(ScVal v)
{
    sc_output(&b, sc_intern(cx, "y"), v);
    ScGraph *g = sc_build_end(&b);
    ck_assert_ptr_nonnull(g);
    return g;
}

START_TEST(a_product_grows_by_half_the_logarithm_of_its_length)
{
    const ScTerm *shift;
    const int32_t in[] = {100, 28, 128 + 512};
    ScGraph *g = graph_of(sc_op(&b, matmul, input("a", "f32[4,256]"), input("b", "f32[256,5]")));
    ck_assert_int_eq(grow(g, in, 0, 0, 128, &shift), 128 + 4 * 256);
    ck_assert_int_eq(grow(g, in, 3, 0, 128, &shift), 128 + 8 * 256);          /* of one sign */
    ck_assert_int_eq(grow(g, in, 1, 1, 128, &shift), 28 - 2 * 256 + 3 * 256); /* a softmax */
    ck_assert_ptr_null(shift);
    sc_graph_free(g);
}
END_TEST

START_TEST(a_bias_of_equal_size_adds_half_a_bit)
{
    const ScTerm *shift;
    const int32_t in[] = {0, 0, 2 * 256};
    ScGraph *g = graph_of(
        sc_op(&b, matmul, input("a", "f32[4,16]"), input("b", "f32[16,5]"), input("c", "f32[5]")));
    ck_assert_int_eq(grow(g, in, 0, 0, 0, &shift), 2 * 256 + 128);
    sc_graph_free(g);
}
END_TEST

START_TEST(symbolic_lengths_move_the_exponent)
{
    const ScTerm *shift, *n = sc_term_sym(cx, "n");
    const int64_t axes[] = {0, 1};
    ScGraph *g = graph_of(
        sc_op_at(&b, reduce_mean, SC_ATTRS(SC_INTS(2, axes), SC_INT(0)), input("x", "f32[n,4,2]")));
    ck_assert_int_eq(grow(g, (int32_t[]){50}, 0, 0, 50, &shift), 50 - 256);
    ck_assert_ptr_eq(shift,
                     sc_term_scale(cx, sc_term_fdiv(cx, sc_term_log2(cx, n), sc_term(cx, 2)), -1));
    ck_assert_int_eq(grow(g, (int32_t[]){50}, 1, 0, 50, &shift), 50);
    ck_assert_ptr_null(shift);
    sc_graph_free(g);
}
END_TEST

START_TEST(softmax_is_as_large_as_one_of_n)
{
    const ScTerm *shift;
    ScGraph *g = graph_of(sc_op(&b, softmax, input("x", "f32[2,100]"), input("beta", "f32[]")));
    ck_assert_int_eq(grow(g, (int32_t[]){0, 0}, 0, 0, 0, &shift), -6 * 256);
    sc_graph_free(g);
}
END_TEST

/* --- The table ------------------------------------------------------------------------------- */

START_TEST(rows_are_found_by_name_and_by_onnx)
{
    ck_assert_ptr_eq(sc_op_find(cx, "reduce_sum"), &sc_op_reduce_sum);
    ck_assert_ptr_null(sc_op_find(cx, "nothing"));
    ck_assert_ptr_eq(sc_op_onnx(cx, "", "Add", 7), &sc_op_add);
    ck_assert_ptr_eq(sc_op_onnx(cx, "ai.onnx", "Add", 20), &sc_op_add);
    ck_assert_ptr_null(sc_op_onnx(cx, "", "Add", 6));
    ck_assert_ptr_null(sc_op_onnx(cx, "com.example", "Add", 7));
    ck_assert_ptr_null(sc_op_onnx(cx, "", "Nothing", 7));
}
END_TEST

/* A session's own row is read in text and named by ONNX; another session does not know it. */
START_TEST(a_session_adds_rows)
{
    static const ScOp twice = {.name = "twice",
                               .doc = "2 x",
                               .onnx = {"com.example", "Twice", 1},
                               .in = "x: float",
                               .out = "y: float",
                               .scale = "a -> a",
                               .infer = sc_infer_same},
                      other = {.name = "add2", .onnx = {"", "Add", 20}, .infer = sc_infer_same},
                      same = {.name = "relu", .infer = sc_infer_same};
    const char text[] = "graph @g(%x: f32[2]) -> (%y) {\n  %y = twice %x : f32[2]\n}\n";
    uint32_t n;
    ck_assert_ptr_null(sc_parse(cx, "t", text, NULL, NULL));
    sc_clear_diags(cx);
    ck_assert(sc_op_register(cx, &twice));
    ck_assert_ptr_eq(sc_op_find(cx, "twice"), &twice);
    ck_assert_ptr_eq(sc_op_onnx(cx, "com.example", "Twice", 3), &twice);
    const ScOp *const *row = sc_op_rows(cx, &n);
    ck_assert_uint_eq(n, sc_op_count + 1);
    ck_assert_ptr_eq(row[n - 1], &twice);
    ScGraph *g = sc_parse(cx, "t", text, NULL, NULL);
    ck_assert_ptr_nonnull(g);
    sc_graph_free(g);
    ck_assert(!sc_op_register(cx, &other));
    ck_assert_ptr_nonnull(strstr(sct_messages(cx), "rows \"add\" and \"add2\" are both Add"));
    ck_assert(!sc_op_register(cx, &same));
    ck_assert_ptr_nonnull(strstr(sct_messages(cx), "there is a row \"relu\" already"));
    ScCtx *fresh = sc_ctx_new();
    ck_assert_ptr_null(sc_op_find(fresh, "twice"));
    sc_ctx_free(fresh);
}
END_TEST

START_TEST(every_row_is_well_formed)
{
    for (uint32_t i = 0; i < sc_op_count; i++) {
        const ScOp *op = sc_op_table[i];
        ck_assert_msg(sc_schema(cx, op) != NULL, "%s", op->name);
        ck_assert_ptr_eq(sc_op_find(cx, op->name), op);
        ck_assert_msg(op->doc && op->infer, "%s", op->name);
        ck_assert_msg(op->lower.cls || op->expand || op->eval, "%s has no meaning", op->name);
        ck_assert_msg(!op->lower.post || op->lower.cls == SC_REDUCE, "%s", op->name);
        ck_assert_msg(sc_op_described(op), "%s", op->name);
        if (op->onnx.type)
            ck_assert_ptr_eq(sc_op_onnx(cx, op->onnx.domain, op->onnx.type, op->onnx.since), op);
    }
    ck_assert_uint_eq(sc_n_errors(cx), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ir-ops");
    TCase *t = tcase_create("ops");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, products_name_the_extents_that_differ);
    tcase_add_test(t, windows_say_what_does_not_fit);
    tcase_add_test(t, views_say_what_does_not_fit);
    tcase_add_test(t, products_of_low_precision_are_f32);
    tcase_add_test(t, windows_follow_symbols);
    tcase_add_test(t, slices_count_as_onnx_does);
    tcase_add_test(t, content_follows_the_shapes_that_exporters_compute);
    tcase_add_test(t, reshapes_of_views_stay_views_where_strides_can_say_them);
    tcase_add_test(t, logarithms_are_rounded_to_the_nearest);
    tcase_add_test(t, a_product_grows_by_half_the_logarithm_of_its_length);
    tcase_add_test(t, a_bias_of_equal_size_adds_half_a_bit);
    tcase_add_test(t, symbolic_lengths_move_the_exponent);
    tcase_add_test(t, softmax_is_as_large_as_one_of_n);
    tcase_add_test(t, rows_are_found_by_name_and_by_onnx);
    tcase_add_test(t, a_session_adds_rows);
    tcase_add_test(t, every_row_is_well_formed);
    suite_add_tcase(s, t);
    return sct_main("ir-ops", s);
}
