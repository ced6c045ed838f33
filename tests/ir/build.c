/* SPDX-License-Identifier: Apache-2.0 */
/* The builder, and what finished graphs offer: sharing, poison, dead code, exponents, copies, uses,
 * hashes. */
#include "ir/op.h"
#include "tests/harness.h"

#include <string.h>

static ScCtx *cx;
static ScBuild b;

static void setup(void)
{
    cx = sc_ctx_new();
    sc_build_init(&b, cx, "g", "m.onnx");
}

static void teardown(void)
{
    if (b.priv)
        sc_build_drop(&b);
    sc_ctx_free(cx);
}

static const ScType *type(const char *text)
{
    return sc_type_parse(cx, &text);
}

static ScVal input(const char *name, const char *text)
{
    return sc_input(&b, name, type(text), NULL);
}

static ScGraph *finish(void)
{
    ScGraph *g = sc_build_end(&b);
    ck_assert_msg(g != NULL, "%s", sc_n_diags(cx) ? sc_diag(cx, 0)->detail : "");
    return g;
}

static void expect_text(uint32_t i, const char *want)
{
    ScStr s = {0};
    ck_assert_uint_lt(i, sc_n_diags(cx));
    sc_diag_text(sc_diag(cx, i), &s);
    ck_assert_str_eq(sc_str_get(&s), want);
    sc_str_free(&s);
}

/* Rows of this test alone. */
static bool infer_split(ScInfer *in)
{
    for (uint32_t i = 0; i < in->n_out; i++)
        in->ret[i] = in->in[0];
    return true;
}

static const ScOp op_fresh = {.name = "random",
                              .in = "x: float",
                              .out = "y: float",
                              .flags = SC_FRESH,
                              .infer = sc_infer_same};
static const ScOp op_split = {
    .name = "split", .in = "x: any", .out = "ys...: any", .infer = infer_split};
static const ScOp op_opt = {.name = "opt",
                            .in = "x: any, y?: any, z?: any",
                            .out = "w: any",
                            .attr = {{.name = "k", .kind = SC_A_INT, .def = SC_INT(3)},
                                     {.name = "s", .kind = SC_A_STR, .required = true}},
                            .n_attr = 2,
                            .infer = sc_infer_same};
static const ScOp op_body = {
    .name = "body", .in = "xs?...: any", .out = "y: any", .n_sub = 1, .infer = infer_split};

/* --- Sharing --------------------------------------------------------------------------------- */

START_TEST(test_equal_nodes_are_shared)
{
    ScVal x = input("x", "f32[n]"), y = input("y", "f32[n]");
    ck_assert_uint_eq(sc_op(&b, add, x, y), sc_op(&b, add, x, y));
    ck_assert_uint_eq(sc_op(&b, add, x, y), sc_op(&b, add, y, x)); /* it commutes */
    ck_assert_uint_ne(sc_op(&b, sub, x, y), sc_op(&b, sub, y, x));
    ck_assert_uint_ne(sc_op(&b, add, x, y), sc_op(&b, mul, x, y));
    ck_assert_uint_ne(sc_op(&b, relu, x), sc_op(&b, relu, y));
    ck_assert_uint_ne(sc_node1(&b, &op_fresh, NULL, 1, &x), sc_node1(&b, &op_fresh, NULL, 1, &x));
    ScVal two[2], three[3];
    ck_assert(sc_node(&b, &op_split, NULL, NULL, 1, &x, 2, two));
    ck_assert(sc_node(&b, &op_split, NULL, NULL, 1, &x, 3, three));
    ck_assert_uint_ne(two[0], three[0]);
    ck_assert_uint_eq(two[1], two[0] + 1);
}
END_TEST

START_TEST(test_attributes_tell_nodes_apart)
{
    ScVal x = input("x", "f32[n]");
    const char *s = sc_intern(cx, "s");
    ScVal given = sc_node1(&b, &op_opt, SC_ATTRS(SC_INT(3), SC_STR(s)), 1, &x);
    ScVal by_default = sc_node1(&b, &op_opt, SC_ATTRS({.kind = SC_A_NONE}, SC_STR(s)), 1, &x);
    ScVal other = sc_node1(&b, &op_opt, SC_ATTRS(SC_INT(4), SC_STR(s)), 1, &x);
    ck_assert_uint_ge(given, SC_FIRST);
    ck_assert_uint_eq(given, by_default);
    ck_assert_uint_ne(given, other);
    ck_assert_int_eq(sc_built_def(&b, by_default)->attr[0].i, 3);
}
END_TEST

START_TEST(test_trailing_absent_operands_are_dropped)
{
    ScVal x = input("x", "f32[n]");
    ScAttr *a = SC_ATTRS(SC_INT(1), SC_STR(sc_intern(cx, "s")));
    ScVal v = sc_node1(&b, &op_opt, a, 3, (ScVal[]){x, SC_ABSENT, SC_ABSENT});
    ck_assert_uint_eq(sc_built_def(&b, v)->n_in, 1);
    ck_assert_uint_eq(v, sc_node1(&b, &op_opt, a, 1, &x));
    ScVal w = sc_node1(&b, &op_opt, a, 3, (ScVal[]){x, SC_ABSENT, x});
    ck_assert_uint_eq(sc_built_def(&b, w)->n_in, 3);
    ck_assert_uint_ne(v, w);
}
END_TEST

START_TEST(test_constants)
{
    float data[] = {1, 2, 3, 4};
    int64_t flat[] = {4}, square[] = {2, 2};
    const ScBlob *blob = sc_blob(cx, "w", SCRT_F32, 1, flat, data);
    const ScTerm *e = sc_term(cx, -2), *f = sc_term(cx, 3);
    ScVal v = sc_const(&b, blob, SCRT_F32, NULL);
    ck_assert_uint_eq(v, sc_const(&b, blob, SCRT_F32, NULL));
    ck_assert_uint_eq(v, sc_const_shaped(&b, blob, SCRT_F32, 1, flat, NULL));
    ck_assert_uint_ne(v, sc_const(&b, blob, SCRT_F32, e));
    ck_assert_uint_ne(sc_const(&b, blob, SCRT_F32, f), sc_const(&b, blob, SCRT_F32, e));
    ck_assert_uint_ne(v, sc_const(&b, blob, SCRT_F8E4M3FN, NULL));
    ScVal s = sc_const_shaped(&b, blob, SCRT_F32, 2, square, NULL);
    ck_assert(sc_built(&b, s)->type == type("f32[2,2]"));
    ck_assert(sc_built_def(&b, v)->attr[1].kind == SC_A_NONE);
    ck_assert(sc_built_def(&b, s)->attr[1].kind == SC_A_TERMS);
    ScVal i = sc_const_i64(&b, 2, (int64_t[]){5, -1});
    ck_assert(sc_term_is(sc_built(&b, i)->content[1], -1));
    ck_assert_ptr_null(sc_built(&b, v)->content); /* of floats there is none */
    ck_assert_uint_eq(sc_const_scalar(&b, SCRT_F32, 0.5), sc_const_scalar(&b, SCRT_F32, 0.5));
    ck_assert_uint_eq(sc_n_errors(cx), 0);
    ck_assert_uint_eq(sc_const_shaped(&b, blob, SCRT_F32, 1, (int64_t[]){3}, NULL), SC_POISON);
    expect_text(
        0, "m.onnx: error[E0204]: shapes do not fit: a constant of 4 elements has another shape\n");
}
END_TEST

/* --- Mistakes -------------------------------------------------------------------------------- */

START_TEST(test_poison_is_reported_once)
{
    ScVal x = input("x", "f32[8,3]"), y = input("y", "f32[4]");
    ScVal z = sc_op(&b, relu, sc_op(&b, add, x, y));
    ck_assert_uint_eq(z, SC_POISON);
    ck_assert_uint_eq(sc_op(&b, add, z, x), SC_POISON);
    ck_assert_uint_eq(sc_const_scalar(&b, sc_built(&b, z)->type->dtype, 2), SC_POISON);
    ck_assert_uint_eq(sc_n_errors(cx), 1);
    expect_text(0, "m.onnx: error[E0205] in add: shapes do not broadcast\n"
                   "    A  x   f32[8,3]\n"
                   "    B  y   f32[4]\n"
                   "  note: extents 3 and 4, counted 1 from the last, are neither equal nor 1\n");
    sc_output(&b, "z", z);
    ck_assert_ptr_null(sc_build_end(&b));
    ck_assert_ptr_null(b.priv);
}
END_TEST

START_TEST(test_a_whole_error)
{
    sc_build_drop(&b);
    sc_build_init(&b, cx, "mlp", "mnist.onnx");
    ScOrigin o = {"fc1/MatMul", "MatMul", 17};
    b.at = sc_loc(cx, "mnist.onnx", 0, SC_FORWARD, 1, &o);
    ScVal x = input("relu0_out", "f32[8,64]"), w = input("fc1.weight", "f32[32,10]");
    ck_assert_uint_eq(sc_op(&b, matmul, x, w), SC_POISON);
    expect_text(
        0, "mnist.onnx: error[E0203] in MatMul \"fc1/MatMul\" (node 17): inner dimensions differ\n"
           "    A  relu0_out    f32[8,64]\n"
           "    B  fc1.weight   f32[32,10]\n"
           "  note: A's last extent, 64, must equal B's second to last, 32\n");
}
END_TEST

START_TEST(test_schema_mistakes)
{
    ScVal x = input("x", "f32[2]"), i = input("i", "i64[2]");
    ScAttr *good = SC_ATTRS(SC_INT(1), SC_STR(sc_intern(cx, "s")));
    ck_assert_uint_eq(sc_node1(&b, &sc_op_relu, NULL, 0, NULL), SC_POISON);
    expect_text(
        0, "m.onnx: error[E0201] in relu: wrong number of operands: 0 operands, 1 are needed\n");
    ck_assert_uint_eq(sc_node1(&b, &op_opt, good, 4, (ScVal[]){x, x, x, x}), SC_POISON);
    expect_text(
        1, "m.onnx: error[E0201] in opt: wrong number of operands: 4 operands, 1 to 3 are needed\n"
           "    X          x   f32[2]\n    Y          x   f32[2]\n    Z          x   f32[2]\n"
           "    operand 3  x   f32[2]\n");
    ck_assert_uint_eq(sc_node1(&b, &op_opt, good, 2, (ScVal[]){SC_ABSENT, x}), SC_POISON);
    expect_text(2, "m.onnx: error[E0201] in opt: wrong number of operands: operand x is missing\n"
                   "    Y  x   f32[2]\n");
    ck_assert_uint_eq(sc_node1(&b, &op_fresh, NULL, 1, &i), SC_POISON);
    expect_text(3, "m.onnx: error[E0202] in random: element types do not fit: operand x must be a "
                   "float tensor\n"
                   "    X  i   i64[2]\n");
    ck_assert_uint_eq(sc_node1(&b, &op_opt, NULL, 1, &x), SC_POISON);
    expect_text(
        4,
        "m.onnx: error[E0105] in opt: attribute is not valid: s is missing\n    X  x   f32[2]\n");
    ck_assert_uint_eq(sc_node1(&b, &op_opt, SC_ATTRS(SC_FLOAT(1), SC_STR("s")), 1, &x), SC_POISON);
    expect_text(5, "m.onnx: error[E0105] in opt: attribute is not valid: k must be an integer\n    "
                   "X  x   f32[2]\n");
    ScVal out[2];
    ck_assert(!sc_node(&b, &sc_op_relu, NULL, NULL, 1, &x, 2, out));
    ck_assert(out[0] == SC_POISON && out[1] == SC_POISON);
    ck_assert_uint_eq(sc_op(&b, add, x, i), SC_POISON);
    ck_assert_uint_eq(sc_n_errors(cx), 8);
}
END_TEST

/* An unnamed operand goes by the node that it comes from. */
START_TEST(test_unnamed_operands_in_messages)
{
    ScOrigin o[] = {{"stem/Relu", "Relu", 1}, {"head", NULL, -1}};
    ScVal x = input("x", "f32[3]"), y = input("y", "f32[4]");
    b.at = sc_loc(cx, "g.sc", 4, SC_FORWARD, 1, &o[0]);
    ScVal r = sc_op(&b, relu, x);
    b.at = sc_loc(cx, "g.sc", 5, SC_FORWARD, 0, NULL);
    ScVal t = sc_op(&b, tanh, y);
    b.at = sc_loc(cx, "g.sc", 6, SC_FORWARD, 1, &o[1]);
    ck_assert_uint_eq(sc_op(&b, mul, r, t), SC_POISON);
    expect_text(0, "g.sc:6: error[E0205] in mul \"head\": shapes do not broadcast\n"
                   "    A  stem/Relu   f32[3]\n"
                   "    B  tanh        f32[4]\n"
                   "  note: extents 3 and 4, counted 1 from the last, are neither equal nor 1\n");
}
END_TEST

START_TEST(test_a_double_still_fails_the_graph)
{
    ScVal x = input("x", "f32[3]"), y = input("y", "f32[4]");
    sc_op(&b, add, x, y);
    sc_build_drop(&b);
    sc_build_init(&b, cx, "g", "m.onnx"); /* the same mistake again: its report is dropped */
    x = input("x", "f32[3]");
    y = input("y", "f32[4]");
    sc_op(&b, add, x, y);
    ck_assert_uint_eq(sc_n_errors(cx), 1);
    sc_output(&b, "x", x);
    ck_assert_ptr_null(sc_build_end(&b));
}
END_TEST

/* --- Ending ---------------------------------------------------------------------------------- */

START_TEST(test_dead_code)
{
    ScVal x = input("x", "f32[n]");
    sc_op(&b, exp, x);
    ScVal r = sc_op(&b, relu, x);
    ScVal y = input("unused", "f32[n]");
    sc_op(&b, add, y, r);
    ScVal s = sc_state(&b, "k", type("f32[n]"), NULL, NULL);
    ScVal t = sc_op(&b, tanh, r), next = sc_op(&b, add, s, r);
    sc_state_next(&b, s, next);
    sc_set_name(&b, t, "t");
    sc_set_name(&b, t, "second");
    sc_output(&b, "out", t);
    sc_output(&b, "again", t);
    sc_build_flags(&b, SC_G_SCALED);
    sc_build_source(&b, "w.onnx");
    ScGraph *g = finish();
    const char *want[] = {"input", "input", "state", "relu", "tanh", "add"};
    ck_assert_uint_eq(g->n_node, 6);
    for (uint32_t i = 0; i < 6; i++)
        ck_assert_str_eq(g->node[i].op->name, want[i]);
    ck_assert_uint_eq(g->n_value, SC_FIRST + 6);
    ck_assert(g->value[SC_POISON].type->kind == SC_TYPE_POISON);
    ck_assert(g->value[SC_ABSENT].type->kind == SC_TYPE_ABSENT);
    ck_assert_uint_eq(g->n_in, 2);
    ck_assert_str_eq(g->value[g->in[1]].name, "unused");
    ck_assert_uint_eq(g->n_out, 2);
    ck_assert_uint_eq(g->out[0], g->out[1]);
    ck_assert_str_eq(g->out_name[1], "again");
    ck_assert_str_eq(g->value[g->out[0]].name, "t");
    ck_assert_uint_eq(g->n_state, 1);
    ck_assert_str_eq(sc_def(g, g->state[0].next)->op->name, "add");
    ck_assert_uint_eq(sc_def(g, g->state[0].next)->in[0], g->state[0].past);
    ck_assert_uint_eq(g->flags, SC_G_SCALED);
    ck_assert_str_eq(g->source, "w.onnx");
    for (uint32_t i = 0; i < g->n_node; i++) {
        ck_assert_ptr_nonnull(g->node[i].loc);
        ck_assert_uint_eq(g->value[g->node[i].first].node, i);
        for (uint32_t k = 0; k < g->node[i].n_in; k++)
            ck_assert_uint_lt(g->node[i].in[k], g->node[i].first);
    }
    sc_graph_free(g);
    sc_graph_free(NULL);
}
END_TEST

START_TEST(test_states_need_their_next_value)
{
    ScVal s = sc_state(&b, "k0", type("f32[4]"), NULL, NULL);
    sc_output(&b, "s", s);
    ck_assert_ptr_null(sc_build_end(&b));
    expect_text(0, "m.onnx: error[E0209]: graph is not well formed: no next value for state k0\n");
    sc_build_init(&b, cx, "g", "m.onnx");
    s = sc_state(&b, "k1", type("f32[4]"), NULL, NULL);
    sc_state_next(&b, s, input("x", "f32[5]"));
    ck_assert_ptr_null(sc_build_end(&b));
    expect_text(1, "m.onnx: error[E0202]: element types do not fit: another type than its next "
                   "value has state k1\n");
    sc_build_init(&b, cx, "g", "m.onnx");
    sc_output(&b, "y", SC_ABSENT);
    ck_assert_ptr_null(sc_build_end(&b));
}
END_TEST

START_TEST(test_nested_graphs)
{
    ScBuild in;
    sc_build_init(&in, cx, "body", NULL);
    ScVal x = sc_input(&in, "x", type("f32[n]"), NULL);
    sc_output(&in, "y", sc_op(&in, relu, x));
    ScGraph *sub = sc_build_end(&in), *none = NULL;
    ScVal v = input("v", "f32[n]"), y, z, p;
    ck_assert(sc_node(&b, &op_body, NULL, &sub, 1, &v, 1, &y));
    sub = sc_graph_clone(sub);
    ck_assert(sc_node(&b, &op_body, NULL, &sub, 1, &v, 1, &z));
    ck_assert_uint_ne(y, z);
    sub = sc_graph_clone(sub); /* taken over although the node is poison */
    ck_assert(!sc_node(&b, &op_body, NULL, &sub, 1, (ScVal[]){SC_POISON}, 1, &p));
    ck_assert(!sc_node(&b, &op_body, NULL, &none, 1, &v, 1, &p));
    sc_output(&b, "y", y);
    sc_output(&b, "z", z);
    ScGraph *g = finish();
    ck_assert_uint_eq(g->n_owned, 3);
    ScGraph *c = sc_graph_clone(g);
    ck_assert_uint_eq(c->n_owned, 2); /* what no node has any more is not copied */
    ck_assert_uint_eq(sc_graph_hash(c), sc_graph_hash(g));
    sc_graph_free(g);
    ck_assert_str_eq(c->node[1].sub[0]->node[1].op->name, "relu");
    sc_graph_free(c);
}
END_TEST

/* --- Exponents ------------------------------------------------------------------------------- */

START_TEST(test_rebalance)
{
    const ScTerm *p = sc_term_sym(cx, "p"), *two = sc_term(cx, 2), *five = sc_term(cx, 5);
    ScVal x = sc_input(&b, "x", type("f32[n]"), p);
    ck_assert_uint_eq(sc_rebalance(&b, x, p), x);
    ScVal y = sc_rebalance(&b, x, two);
    ck_assert_str_eq(sc_built_def(&b, y)->op->name, "rebalance");
    ck_assert(sc_built(&b, y)->exp == two);
    ck_assert(sc_built_def(&b, y)->attr[0].ts[0] == two);
    ck_assert_uint_eq(sc_rebalance(&b, x, two), y);
    ck_assert_uint_ne(sc_rebalance(&b, x, five), y);

    const ScBlob *blob = sc_blob_scalar(cx, SCRT_F32, 0.3);
    ScVal c = sc_const(&b, blob, SCRT_F32, two);
    sc_set_g(&b, c, 100);
    ScVal d = sc_rebalance(&b, c, five);
    ck_assert_str_eq(sc_built_def(&b, d)->op->name, "const"); /* its exponent moved */
    ck_assert(sc_built(&b, d)->exp == five);
    ck_assert_uint_eq(d, sc_const(&b, blob, SCRT_F32, five));
    ck_assert_int_eq(sc_built(&b, d)->g, 100 - 3 * 256); /* the data became 2^3 times smaller */
    ck_assert_str_eq(sc_built_def(&b, sc_rebalance(&b, c, p))->op->name, "rebalance");

    ck_assert_uint_eq(sc_rebalance(&b, SC_ABSENT, two), SC_ABSENT);
    ck_assert_uint_eq(sc_rebalance(&b, SC_POISON, two), SC_POISON);
    ScVal i = input("i", "i64[n]");
    ck_assert_uint_eq(sc_rebalance(&b, i, two), i);
}
END_TEST

/* --- Copying, users, hashes ------------------------------------------------------------------ */

/* A graph with everything: x, y -> (x - y) * w + relu of a state. */
static ScGraph *sample(ScBuild *build, const char *swap)
{
    static const float mean[] = {1, 2, 3};
    static const ScMeans means = {.n = 3, .x = mean};
    static const float data[] = {1, 2, 3};
    int64_t dims[] = {3};
    ScVal x = sc_input(build, "x", type("f32[n,3]"), NULL),
          y = sc_input(build, "y", type("f32[n,3]"), NULL);
    ScVal s = sc_state(build, "s", type("f32[n,3]"), NULL, NULL);
    ScVal w = sc_const(build, sc_blob(cx, "w", SCRT_F32, 1, dims, data), SCRT_F32, sc_term(cx, 1));
    ScOrigin o = {"diff", "Sub", 2};
    build->at = sc_loc(cx, "m.onnx", 0, SC_FORWARD, 1, &o);
    ScVal d = *swap ? sc_op(build, sub, y, x) : sc_op(build, sub, x, y);
    sc_set_name(build, d, "d");
    sc_set_exp(build, d, sc_term(cx, 4));
    sc_set_g(build, d, 77);
    sc_set_amax(build, d, 3.5f);
    sc_set_factor(build, d, 1.25f);
    sc_set_means(build, d, &means);
    ScVal m = sc_op(build, mul, d, w), r = sc_op(build, relu, s), z = sc_op(build, add, m, r);
    sc_state_next(build, s, z);
    sc_output(build, "z", z);
    return sc_build_end(build);
}

static ScGraph *copied(const ScGraph *g)
{
    ScBuild c;
    ScVal map[64], in[16], out[16];
    sc_build_init(&c, cx, g->name, g->file);
    map[SC_POISON] = SC_POISON;
    map[SC_ABSENT] = SC_ABSENT;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t k = 0; k < n->n_in; k++)
            in[k] = map[n->in[k]];
        ck_assert(sc_copy_node(&c, g, n, in, out));
        for (uint32_t k = 0; k < n->n_out; k++)
            map[n->first + k] = out[k];
    }
    for (uint32_t i = 0; i < g->n_state; i++)
        sc_state_next(&c, map[g->state[i].past], map[g->state[i].next]);
    for (uint32_t i = 0; i < g->n_out; i++)
        sc_output(&c, g->out_name[i], map[g->out[i]]);
    sc_build_flags(&c, g->flags);
    return sc_build_end(&c);
}

static void expect_same(const ScGraph *g, const ScGraph *c)
{
    ck_assert_uint_eq(g->n_node, c->n_node);
    ck_assert_uint_eq(g->n_value, c->n_value);
    for (uint32_t i = 0; i < g->n_node; i++) {
        ck_assert(g->node[i].op == c->node[i].op);
        ck_assert(g->node[i].loc == c->node[i].loc);
        ck_assert(g->node[i].attr == c->node[i].attr);
        ck_assert_uint_eq(g->node[i].n_in, c->node[i].n_in);
        for (uint32_t k = 0; k < g->node[i].n_in; k++)
            ck_assert_uint_eq(g->node[i].in[k], c->node[i].in[k]);
    }
    for (uint32_t v = SC_FIRST; v < g->n_value; v++) {
        const ScValue *x = &g->value[v], *y = &c->value[v];
        ck_assert(x->type == y->type && x->exp == y->exp && x->name == y->name && x->g == y->g &&
                  x->amax == y->amax && x->factor == y->factor && x->means == y->means &&
                  x->node == y->node && x->content == y->content);
    }
    ck_assert_uint_eq(sc_graph_hash(g), sc_graph_hash(c));
}

START_TEST(test_copies)
{
    ScGraph *g = sample(&b, ""), *c = copied(g), *d = sc_graph_clone(g);
    ck_assert_ptr_nonnull(g);
    ck_assert_ptr_nonnull(c);
    expect_same(g, c);
    expect_same(g, d);
    sc_graph_free(g);
    expect_same(c, d); /* a clone stands alone */
    sc_graph_free(c);
    sc_graph_free(d);
}
END_TEST

/* Operands of another type: what the node's results are is found anew. */
START_TEST(test_copy_infers_anew)
{
    ScBuild other;
    ScVal x = input("x", "f32[n]"), r;
    sc_output(&b, "y", sc_op(&b, relu, x));
    ScGraph *g = finish();
    sc_build_init(&other, cx, "g", NULL);
    ScVal z = sc_input(&other, "z", type("f16[4]"), NULL);
    ck_assert(sc_copy_node(&other, g, sc_def(g, g->out[0]), &z, &r));
    ck_assert(sc_built(&other, r)->type == type("f16[4]"));
    ck_assert(!sc_copy_node(&other, g, sc_def(g, g->out[0]), (ScVal[]){SC_POISON}, &r));
    ck_assert_uint_eq(r, SC_POISON);
    sc_build_drop(&other);
    sc_graph_free(g);
}
END_TEST

START_TEST(test_hash_tells_graphs_apart)
{
    ScBuild other;
    ScCtx *mine = cx;
    ScGraph *g = sample(&b, "");
    sc_build_init(&other, cx, "g", "m.onnx");
    ScGraph *swapped = sample(&other, "swap");
    ck_assert_uint_ne(sc_graph_hash(g), sc_graph_hash(swapped));
    sc_graph_free(swapped);

    cx = sc_ctx_new(); /* another session, other addresses: the same hash */
    for (int i = 0; i < 100; i++)
        sc_term(cx, i);
    sc_build_init(&other, cx, "g", "m.onnx");
    ScGraph *twin = sample(&other, "");
    ck_assert_uint_eq(sc_graph_hash(g), sc_graph_hash(twin));
    sc_graph_free(twin);
    sc_ctx_free(cx);
    cx = mine;
    sc_graph_free(g);
}
END_TEST

START_TEST(test_uses)
{
    ScVal x = input("x", "f32[n]"), y = input("y", "f32[n]");
    ScVal a = sc_op(&b, mul, x, x), s = sc_op(&b, sub, a, x);
    sc_output(&b, "s", s);
    sc_output(&b, "a", a);
    (void)y;
    ScGraph *g = finish();
    ScArena *scratch = sc_arena_new();
    ScUses u = sc_uses(g, scratch);
    ScVal gx = g->in[0], gy = g->in[1], ga = g->out[1], gs = g->out[0];
    ck_assert_uint_eq(u.first[gx + 1] - u.first[gx], 3);
    ck_assert_uint_eq(u.first[gy + 1] - u.first[gy], 0);
    const ScUse *of_x = &u.use[u.first[gx]], *of_a = &u.use[u.first[ga]];
    ck_assert(of_x[0].node == 2 && of_x[0].operand == 0);
    ck_assert(of_x[1].node == 2 && of_x[1].operand == 1);
    ck_assert(of_x[2].node == 3 && of_x[2].operand == 1);
    ck_assert(of_a[0].node == 3 && of_a[0].operand == 0);
    ck_assert(of_a[1].node == UINT32_MAX && of_a[1].operand == 1);
    ck_assert_uint_eq(u.first[gs + 1] - u.first[gs], 1);
    sc_arena_free(scratch);
    sc_graph_free(g);
}
END_TEST

START_TEST(test_many_nodes)
{
    ScVal x = input("x", "f32[n]"), v = x;
    for (int i = 0; i < 20000; i++)
        v = i % 3 ? sc_op(&b, relu, v) : sc_op(&b, add, v, x);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(sc_op(&b, add, x, x), SC_FIRST + 1);
    sc_output(&b, "y", v);
    ScGraph *g = finish();
    ck_assert_uint_eq(g->n_node, 20001);
    sc_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("build");
    TCase *t = tcase_create("build");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_equal_nodes_are_shared);
    tcase_add_test(t, test_attributes_tell_nodes_apart);
    tcase_add_test(t, test_trailing_absent_operands_are_dropped);
    tcase_add_test(t, test_constants);
    tcase_add_test(t, test_poison_is_reported_once);
    tcase_add_test(t, test_a_whole_error);
    tcase_add_test(t, test_schema_mistakes);
    tcase_add_test(t, test_unnamed_operands_in_messages);
    tcase_add_test(t, test_a_double_still_fails_the_graph);
    tcase_add_test(t, test_dead_code);
    tcase_add_test(t, test_states_need_their_next_value);
    tcase_add_test(t, test_nested_graphs);
    tcase_add_test(t, test_rebalance);
    tcase_add_test(t, test_copies);
    tcase_add_test(t, test_copy_infers_anew);
    tcase_add_test(t, test_hash_tells_graphs_apart);
    tcase_add_test(t, test_uses);
    tcase_add_test(t, test_many_nodes);
    suite_add_tcase(s, t);
    return sct_main("ir-build", s);
}
