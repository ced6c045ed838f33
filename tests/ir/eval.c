/* SPDX-License-Identifier: Apache-2.0 */
/* The evaluator as a whole: symbols, constants, states, kernels, expansions, memory. What each row
 * computes is tested over the table. */
#include "tests/graphs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ScCtx *cx;
static ScrtTensor out[4];

static ScrtTensor floats(uint32_t rank, const int64_t *dims, const float *x)
{
    ScrtTensor t = {.dtype = SCRT_F32, .rank = rank};
    for (uint32_t i = 0; i < rank; i++)
        t.dims[i] = dims[i];
    ck_assert_int_eq(scrt_tensor_alloc(&t), SCRT_OK);
    if (scrt_count(&t) > 0)
        memcpy(t.data, x, (size_t)scrt_count(&t) * sizeof *x);
    return t;
}

static ScrtTensor row(int64_t n, const float *x)
{
    return floats(1, &n, x);
}

static void expect(const ScrtTensor *t, int64_t n, const float *x)
{
    ck_assert_uint_eq(t->dtype, SCRT_F32);
    ck_assert_int_eq(scrt_count(t), n);
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(((const float *)t->data)[i] == x[i], "element %d is %g, not %g", (int)i,
                      (double)((const float *)t->data)[i], (double)x[i]);
}

static void evaluate(const ScGraph *g, const ScrtTensor *in, const ScEvalOptions *opt)
{
    ck_assert_msg(sc_eval(g, in, out, opt), "%s", sct_messages(cx));
}

static void finish(ScGraph *g, ScrtTensor *in, uint32_t n_in)
{
    for (uint32_t i = 0; i < g->n_out; i++)
        scrt_free(out[i].data);
    for (uint32_t i = 0; i < n_in; i++)
        scrt_free(in[i].data);
    sc_graph_free(g);
    sc_ctx_free(cx);
}

/* An output that is an input, one that is there twice, one that is a constant: each has its memory.
 */
START_TEST(outputs_are_their_own)
{
    cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, "graph (%x: f32[2]) -> (%x, %y as a, %y as b, %c) {\n"
                               "  %y = neg %x : f32[2]\n  %c = const [5,6] : f32[2]\n}");
    ScrtTensor in = row(2, (float[]){1, -2});
    evaluate(g, &in, NULL);
    expect(&out[0], 2, (float[]){1, -2});
    expect(&out[1], 2, (float[]){-1, 2});
    expect(&out[2], 2, (float[]){-1, 2});
    expect(&out[3], 2, (float[]){5, 6});
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            ck_assert_ptr_ne(out[i].data, out[k].data);
    ck_assert_ptr_ne(out[0].data, in.data);
    finish(g, &in, 1);
}
END_TEST

/* Symbols are bound by the inputs' dims, also where they stand in a sum; 0 is a size. */
START_TEST(symbols)
{
    cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, "graph (%x: f32[2*n+1], %z: f32[n,m]) -> (%y, %t) {\n"
                               "  %y = neg %x : f32[2*n+1]\n  %t = reshape %z : f32[m*n]\n}");
    for (int64_t n = 0; n < 3; n++) {
        float x[5] = {1, 2, 3, 4, 5}, z[6] = {1, 2, 3, 4, 5, 6};
        int64_t dx = 2 * n + 1, dz[2] = {n, 3};
        ScrtTensor in[2] = {floats(1, &dx, x), floats(2, dz, z)};
        evaluate(g, in, NULL);
        expect(&out[0], dx, (float[]){-1, -2, -3, -4, -5});
        expect(&out[1], 3 * n, z);
        ScArena *a = sc_arena_new();
        ScBinding *env;
        uint32_t n_env;
        ck_assert(sc_bind_dims(g, in, NULL, a, &env, &n_env));
        ck_assert_uint_eq(n_env, 2);
        for (uint32_t i = 0; i < 2; i++)
            ck_assert_int_eq(env[i].value, env[i].sym == sc_intern(cx, "n") ? n : 3);
        sc_arena_free(a);
        for (int i = 0; i < 2; i++) {
            scrt_free(in[i].data);
            scrt_free(out[i].data);
        }
    }
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

static const struct {
    const char *type;
    int64_t dims[2];
    uint32_t rank, dtype;
    const char *message;
} misfits[] = {
    {"f32[2,3]",
     {2, 4},
     2,
     SCRT_F32,
     "input does not fit the model: input x is f32[2,4], the graph wants f32[2,3]"},
    {"f32[2,3]",
     {6},
     1,
     SCRT_F32,
     "input does not fit the model: input x is f32[6], the graph wants f32[2,3]"},
    {"f32[n,n]",
     {2, 3},
     2,
     SCRT_F32,
     "input does not fit the model: input x is f32[2,3], the graph wants f32[n,n]"},
    {"f32[2*n]",
     {5},
     1,
     SCRT_F32,
     "input does not fit the model: input x is f32[5], the graph wants f32[2*n]"},
    {"f32[n]",
     {2},
     1,
     SCRT_F64,
     "input does not fit the model: input x is f64[2], the graph wants f32[n]"},
};

START_TEST(inputs_that_do_not_fit)
{
    ScStr s = {0};
    cx = sc_ctx_new();
    sc_str_addf(&s, "graph (%%x: %s) -> (%%x) {\n}", misfits[_i].type);
    ScGraph *g = sct_graph(cx, sc_str_get(&s));
    ScrtTensor in = {.dtype = misfits[_i].dtype, .rank = misfits[_i].rank};
    memcpy(in.dims, misfits[_i].dims, sizeof misfits[_i].dims);
    ck_assert_int_eq(scrt_tensor_alloc(&in), SCRT_OK);
    ck_assert(!sc_eval(g, &in, out, NULL));
    ck_assert_uint_eq(sc_n_errors(cx), 1);
    ck_assert_msg(strstr(sct_messages(cx), misfits[_i].message) != NULL, "%s", sct_messages(cx));
    scrt_free(in.data);
    sc_graph_free(g);
    sc_ctx_free(cx);
    sc_str_free(&s);
}
END_TEST

/* A constant means round_type(blob * 2^-exponent); finite data never becomes infinite. */
START_TEST(constants)
{
    static const struct {
        ScrtDtype from, to;
        double x;
        int64_t exp;
        double want;
    } t[] = {
        {SCRT_F32, SCRT_F32, 3, 0, 3},
        {SCRT_F32, SCRT_F32, 3, 2, 0.75},
        {SCRT_F32, SCRT_F32, 3, -2, 12},
        {SCRT_F32, SCRT_F8E4M3FN, 0.1, -5, 3.25},
        {SCRT_F32, SCRT_F8E4M3FN, 1000, 0, 448},
        {SCRT_F32, SCRT_F8E4M3FN, -1000, 1, -448},
        {SCRT_F32, SCRT_F32, -3.4028234663852886e38, -3, -3.4028234663852886e38},
        {SCRT_F32, SCRT_F16, 1e10, 0, 65504},
        {SCRT_F32, SCRT_F32, -INFINITY, 5, -INFINITY},
        {SCRT_F32, SCRT_F16, INFINITY, 0, INFINITY},
        {SCRT_F32, SCRT_F8E5M2, -INFINITY, 0, -57344},
        {SCRT_F64, SCRT_F32, 0x1p-160, -100, 0x1p-60},
        {SCRT_I64, SCRT_I32, -7, 0, -7},
        {SCRT_I64, SCRT_F32, -7, 1, -3.5},
        {SCRT_F32, SCRT_F32, 1, 1000000, 0},
    };
    cx = sc_ctx_new();
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        ScrtTensor r;
        const ScType *type = sc_type_c(cx, t[i].to, 0, NULL);
        ck_assert(sc_blob_tensor(sc_blob_scalar(cx, t[i].from, t[i].x), type, t[i].exp, &r));
        ck_assert_msg(scrt_load(t[i].to, r.data, 0) == t[i].want, "case %zu: %g, not %g", i,
                      scrt_load(t[i].to, r.data, 0), t[i].want);
        scrt_free(r.data);
    }
    ScrtTensor r;
    int64_t two = 2;
    ck_assert(!sc_blob_tensor(sc_blob(cx, "w", SCRT_F32, 1, &two, NULL),
                              sc_type_c(cx, SCRT_F32, 1, &two), 0, &r));
    ck_assert(
        !sc_blob_tensor(sc_blob_scalar(cx, SCRT_F32, 1), sc_type_c(cx, SCRT_F32, 1, &two), 0, &r));
    sc_ctx_free(cx);
}
END_TEST

START_TEST(constant_without_data)
{
    cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, "graph () -> (%y) {\n  %w = const @fc.w : f32[2]\n"
                               "  %y = neg %w : f32[2]\n}");
    ck_assert(!sc_eval(g, NULL, out, NULL));
    ck_assert_msg(strstr(sct_messages(cx), "error[E0110]: constant has no data: @fc.w") != NULL,
                  "%s", sct_messages(cx));
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

/* A running sum over three runs, from its initial value and from one that is given. */
START_TEST(states)
{
    cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, "graph (%x: f32[2]) -> (%total) {\n"
                               "  state @sum (%past: f32[2] * 2^1 -> %next) = [10,20]\n"
                               "  state @last (%before: f32[2] -> %x)\n"
                               "  %r = rebalance %x, 1 : f32[2] * 2^1\n"
                               "  %next = add %past, %r : f32[2] * 2^1\n"
                               "  %total = rebalance %next, 0 : f32[2]\n}");
    ScrtTensor in = row(2, (float[]){1, 2}), state[2], next[2];
    ScEvalOptions opt = {.ret_next = next};
    for (int run = 1; run <= 3; run++) {
        evaluate(g, &in, &opt);
        expect(&out[0], 2, (float[]){(float)(10 + run), (float)(20 + 2 * run)});
        expect(&next[0], 2, (float[]){(float)(10 + run) / 2, (float)(20 + 2 * run) / 2});
        expect(&next[1], 2, (float[]){1, 2});
        scrt_free(out[0].data);
        for (int i = 0; i < 2 && run > 1; i++)
            scrt_free(state[i].data);
        memcpy(state, next, sizeof next);
        opt.state = state;
    }
    ScrtTensor wrong[2] = {row(1, (float[]){1}), state[1]};
    opt.state = wrong;
    ck_assert(!sc_eval(g, &in, out, &opt));
    ck_assert_msg(strstr(sct_messages(cx), "state sum is f32[1], the graph wants f32[2]") != NULL,
                  "%s", sct_messages(cx));
    scrt_free(wrong[0].data);
    for (int i = 0; i < 2; i++)
        scrt_free(state[i].data);
    scrt_free(in.data);
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

typedef struct Seen {
    ScStr text;
} Seen;

static void see(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                uint32_t depth)
{
    Seen *s = arg;
    (void)exp;
    const ScNode *n = sc_def(g, v);
    sc_str_addf(&s->text, "%u:%s=%g ", depth, n->op->name,
                scrt_load((ScrtDtype)t->dtype, t->data, 0));
}

/* Values are seen as they come to be, those of a kernel one deeper, those of an expansion never. */
START_TEST(kernels_and_expansions)
{
    cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, "graph (%x: f32[n]) -> (%y) {\n"
                               "  %k = kernel %x {class = map} : f32[n]\n"
                               "    graph (%0: f32[n]) -> (%z) {\n"
                               "      %c = const 2 : f32[]\n"
                               "      %m = mul %0, %c : f32[n]\n"
                               "      %z = relu %m : f32[n]\n"
                               "    }\n"
                               "  %y = neg %k : f32[n]\n}");
    Seen s = {0};
    ScrtTensor in = row(1, (float[]){3});
    evaluate(g, &in, &(ScEvalOptions){.see = see, .arg = &s});
    expect(&out[0], 1, (float[]){-6});
    ck_assert_str_eq(sc_str_get(&s.text), "0:input=3 1:input=3 1:const=2 1:mul=6 1:relu=6 "
                                          "0:kernel=6 0:neg=-6 ");
    sc_str_free(&s.text);
    finish(g, &in, 1);
}
END_TEST

/* x * 2 + 1 as a row that has nothing but an expansion. */
static void expand_twice(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, ScVal *ret)
{
    (void)g;
    (void)n;
    ret[0] = sc_op(b, add, sc_op(b, add, in[0], in[0]), sc_const_scalar(b, SCRT_F32, 1));
    ret[1] = in[0];
}

static void expand_wrong(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, ScVal *ret)
{
    expand_twice(b, g, n, in, ret);
    ret[0] = sc_const_scalar(b, SCRT_F32, 1);
}

static bool infer_two(ScInfer *in)
{
    in->ret[0] = in->ret[1] = in->in[0];
    return true;
}

static ScGraph *with_row(const ScOp *op)
{
    ScBuild b;
    ScVal y[2];
    int64_t two = 2;
    sc_build_init(&b, cx, "g", NULL);
    ScVal x = sc_input(&b, sc_intern(cx, "x"), sc_type_c(cx, SCRT_F32, 1, &two), NULL);
    sc_node(&b, op, NULL, NULL, 1, &x, 2, y);
    sc_output(&b, NULL, y[0]);
    sc_output(&b, NULL, y[1]);
    ScGraph *g = sc_build_end(&b);
    ck_assert_msg(g != NULL, "%s", sct_messages(cx));
    return g;
}

START_TEST(rows_without_evaluation)
{
    ScOp op = {.name = "twice",
               .in = "x: float, other?: float",
               .out = "y: float, z: float",
               .scale = "0, 0 -> 0, 0",
               .infer = infer_two,
               .expand = expand_twice};
    cx = sc_ctx_new();
    ScGraph *g = with_row(&op);
    ScrtTensor in = row(2, (float[]){3, 4});
    Seen s = {0};
    evaluate(g, &in, &(ScEvalOptions){.see = see, .arg = &s});
    expect(&out[0], 2, (float[]){7, 9});
    expect(&out[1], 2, (float[]){3, 4});
    ck_assert_str_eq(sc_str_get(&s.text), "0:input=3 0:twice=7 0:twice=3 ");
    sc_str_free(&s.text);
    for (int i = 0; i < 2; i++)
        scrt_free(out[i].data);
    op.expand = expand_wrong;
    ck_assert(!sc_eval(g, &in, out, NULL));
    ck_assert_msg(strstr(sct_messages(cx), "twice gives f32[] by its own graph, not f32[2]") !=
                      NULL,
                  "%s", sct_messages(cx));
    op.expand = NULL;
    ck_assert(!sc_eval(g, &in, out, NULL));
    ck_assert_msg(strstr(sct_messages(cx), "twice has no evaluation") != NULL, "%s",
                  sct_messages(cx));
    scrt_free(in.data);
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

/* Exponents of inputs are symbols that no dim binds; the caller says them. */
START_TEST(exponent_symbols)
{
    cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, "graph (%x: f32[1] * 2^p) -> (%y) {\n"
                               "  %y = rebalance %x, 0 : f32[1]\n}");
    ScrtTensor in = row(1, (float[]){3});
    ck_assert(!sc_eval(g, &in, out, NULL));
    ck_assert_msg(strstr(sct_messages(cx), "the exponent p has no value") != NULL, "%s",
                  sct_messages(cx));
    ScBinding p = {.sym = sc_intern(cx, "p"), .value = 4};
    evaluate(g, &in, &(ScEvalOptions){.n_env = 1, .env = &p});
    expect(&out[0], 1, (float[]){48});
    finish(g, &in, 1);
}
END_TEST

/* --- Memory: counted in the runtime's allocator ---------------------------------------------- */

static size_t live, peak;

static void *counted(void *self, size_t bytes, size_t align)
{
    (void)self;
    live++;
    peak = live > peak ? live : peak;
    return aligned_alloc(align < 64 ? 64 : align, (bytes + 127) / 64 * 64);
}

static void uncounted(void *self, void *p)
{
    (void)self;
    live -= p != NULL;
    free(p);
}

/* A chain of 100 nodes needs two tensors at a time, and keeps none. */
START_TEST(memory_is_freed_after_the_last_use)
{
    ScStr s = {0};
    sc_str_add(&s, "graph (%x: f32[100]) -> (%y) {\n  %w = const @w : f32[100]\n"
                   "  %4 = add %x, %w : f32[100]\n");
    for (int i = 5; i < 100; i++)
        sc_str_addf(&s, "  %%%d = neg %%%d : f32[100]\n", i, i - 1);
    sc_str_add(&s, "  %unused = neg %w : f32[100]\n  %y = add %99, %99 : f32[100]\n}\n");
    scrt_set_allocator(&(ScrtAllocator){.alloc = counted, .free = uncounted});
    cx = sc_ctx_new();
    float w[100] = {0}, x[100] = {0};
    int64_t n = 100;
    const ScBlob *blob = sc_blob(cx, sc_intern(cx, "w"), SCRT_F32, 1, &n, w);
    ScBuild b;
    sc_build_init(&b, cx, NULL, NULL);
    sc_output(&b, NULL, sc_const(&b, blob, SCRT_F32, NULL));
    ScGraph *holder = sc_build_end(&b);
    ScArena *a = sc_arena_new();
    ScBlobSource src = sc_graph_blobs(holder, a);
    ScGraph *g = sc_parse(cx, "t", sc_str_get(&s), &src, NULL);
    ck_assert_msg(g != NULL, "%s", sct_messages(cx));
    ScrtTensor in = row(100, x);
    size_t before = live;
    peak = live;
    evaluate(g, &in, NULL);
    ck_assert_uint_eq(peak - before, 2); /* the constant is stored as it is: borrowed */
    ck_assert_uint_eq(live - before, 1);
    sc_graph_free(holder);
    sc_arena_free(a);
    finish(g, &in, 1);
    ck_assert_uint_eq(live, 0);
    scrt_set_allocator(NULL);
    sc_str_free(&s);
}
END_TEST

static int left; /* allocations until the next fails; negative: none does */

static void *failing(void *self, size_t bytes, size_t align)
{
    if (left >= 0 && left-- == 0)
        return NULL;
    return counted(self, bytes, align);
}

/* Whichever allocation fails: an error, and nothing stays allocated. */
START_TEST(memory_that_ends)
{
    cx = sc_ctx_new();
    scrt_set_allocator(&(ScrtAllocator){.alloc = failing, .free = uncounted});
    left = -1;
    ScGraph *g =
        sct_graph(cx, "graph (%x: f32[3]) -> (%x, %y, %s, %k) {\n"
                      "  state @st (%p: f32[3] -> %s)\n"
                      "  %c = const [1,2,3] as f32[3] : f16[3]\n"
                      "  %f = cast %c : f32[3]\n"
                      "  %y = add %x, %f : f32[3]\n"
                      "  %one = const 1 : f32[]\n"
                      "  %s = softmax %y, %one {axis = 0} : f32[3]\n"
                      "  %k = kernel %s {class = map} : f32[3]\n"
                      "    graph (%0: f32[3]) -> (%z) {\n      %z = neg %0 : f32[3]\n    }\n}");
    ScrtTensor in = row(3, (float[]){1, 2, 3}), next[1];
    size_t before = live;
    int k = 0;
    for (bool ok = false; !ok; k++) {
        ck_assert_int_lt(k, 100);
        left = k;
        ok = sc_eval(g, &in, out, &(ScEvalOptions){.ret_next = next});
        ck_assert_msg(ok || sc_n_errors(cx) > 0, "no message when allocation %d fails", k);
        if (!ok)
            ck_assert_uint_eq(live, before);
        sc_clear_diags(cx);
    }
    ck_assert_int_gt(k, 8);
    left = -1;
    scrt_free(next[0].data);
    finish(g, &in, 1);
    ck_assert_uint_eq(live, 0);
    scrt_set_allocator(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ir-eval");
    TCase *c = tcase_create("eval");
    tcase_add_test(c, outputs_are_their_own);
    tcase_add_test(c, symbols);
    tcase_add_loop_test(c, inputs_that_do_not_fit, 0, (int)(sizeof misfits / sizeof *misfits));
    tcase_add_test(c, constants);
    tcase_add_test(c, constant_without_data);
    tcase_add_test(c, states);
    tcase_add_test(c, kernels_and_expansions);
    tcase_add_test(c, rows_without_evaluation);
    tcase_add_test(c, exponent_symbols);
    tcase_add_test(c, memory_is_freed_after_the_last_use);
    tcase_add_test(c, memory_that_ends);
    suite_add_tcase(s, c);
    return sct_main("ir-eval", s);
}
