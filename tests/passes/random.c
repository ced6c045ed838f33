/* SPDX-License-Identifier: Apache-2.0 */
/* Random graphs through the whole pipeline: every stage is verified, read back, and gives the
 * results of the stage before; fuse gives its bits; graphs, and some without elements, are compiled
 * and run. Graphs are drawn from elementwise rows, reductions, views, products, softmax,
 * concatenation and constants, over small shapes. */
#include "codegen/codegen.h"
#include "passes/passes_priv.h"
#include "tests/graphs.h"
#include "tests/guarded.h"

#include <stdlib.h>
#include <string.h>

#define MAX_VALUES 64

/* $SCT_TIMES: as many graphs again. */
static uint64_t many(uint64_t n)
{
    const char *times = getenv("SCT_TIMES");
    return times ? n * strtoull(times, NULL, 10) : n;
}

typedef struct Draw {
    ScBuild b;
    uint64_t r;
    ScVal v[MAX_VALUES];
    uint32_t n;
} Draw;

static int64_t pick(Draw *d, int64_t lo, int64_t hi)
{
    return sct_between(&d->r, lo, hi);
}

static ScVal any(Draw *d)
{
    return d->v[pick(d, d->n > 6 && pick(d, 0, 2) ? d->n - 6 : 0, d->n - 1)];
}

static const ScType *type_of(Draw *d, ScVal v)
{
    return sc_built(&d->b, v)->type;
}

static void dims_of(Draw *d, ScVal v, int64_t *ret)
{
    ck_assert(sc_type_const_dims(type_of(d, v), ret));
}

static void put(Draw *d, ScVal v)
{
    ck_assert_msg(v != SC_POISON, "%s", sct_messages(d->b.cx));
    if (d->n < MAX_VALUES)
        d->v[d->n++] = v;
}

/* --- Nodes ----------------------------------------------------------------------------------- */

static void draw_unary(Draw *d)
{
    static const ScOp *const op[] = {&sc_op_relu, &sc_op_neg,     &sc_op_tanh,
                                     &sc_op_abs,  &sc_op_sigmoid, &sc_op_identity};
    ScVal x = any(d);
    put(d, sc_node1(&d->b, op[pick(d, 0, 5)], NULL, 1, &x));
}

/* A constant that broadcasts to v: of one element, or of some of its extents. */
static ScVal constant_for(Draw *d, ScVal v)
{
    int64_t dim[SCRT_MAX_RANK], count = 1;
    uint32_t rank = type_of(d, v)->rank, skip = (uint32_t)pick(d, 0, rank);
    dims_of(d, v, dim);
    for (uint32_t i = skip; i < rank; i++) {
        dim[i] = pick(d, 0, 2) ? dim[i] : 1;
        count *= dim[i];
    }
    float *x = sc_alloc(sc_ctx_arena(d->b.cx), (size_t)count * sizeof *x + 1);
    double same = (double)pick(d, -1, 2); /* often 0 or 1, for the identities */
    bool splat = pick(d, 0, 1);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)(splat ? same : sct_uniform(&d->r, -2, 2));
    char name[16];
    snprintf(name, sizeof name, "c%u", d->n);
    return sc_const(
        &d->b, sc_blob(d->b.cx, count > 16 ? name : NULL, SCRT_F32, rank - skip, dim + skip, x),
        SCRT_F32, NULL);
}

static void draw_binary(Draw *d)
{
    static const ScOp *const op[] = {&sc_op_add, &sc_op_sub, &sc_op_mul, &sc_op_max};
    ScVal x = any(d), y = SC_POISON;
    for (int tries = 0; tries < 8 && y == SC_POISON; tries++) {
        ScVal other = any(d);
        y = type_of(d, other) == type_of(d, x) ? other : SC_POISON;
    }
    if (y == SC_POISON || pick(d, 0, 2) == 0)
        y = constant_for(d, x);
    ScVal in[] = {x, y};
    if (pick(d, 0, 1) == 0) {
        in[0] = y;
        in[1] = x;
    }
    put(d, sc_node1(&d->b, op[pick(d, 0, 3)], NULL, 2, in));
}

static void draw_reduce(Draw *d)
{
    static const ScOp *const op[] = {&sc_op_reduce_sum, &sc_op_reduce_mean, &sc_op_reduce_max};
    ScVal x = any(d);
    uint32_t rank = type_of(d, x)->rank, n = 0;
    int64_t axis[SCRT_MAX_RANK];
    for (uint32_t i = 0; i < rank; i++)
        if (pick(d, 0, 1))
            axis[n++] = i;
    if (n == 0)
        return;
    bool keep = pick(d, 0, 2);
    ScVal y = sc_node1(&d->b, op[pick(d, 0, 2)], SC_ATTRS(SC_INTS(n, axis), SC_INT(keep)), 1, &x);
    put(d, y);
    if (keep) /* what comes back to the whole shape makes a chain */
        put(d, sc_op(&d->b, sub, x, y));
}

static void draw_reshape(Draw *d)
{
    ScVal x = any(d);
    int64_t dim[SCRT_MAX_RANK], count = 1;
    const ScTerm *to[3];
    dims_of(d, x, dim);
    for (uint32_t i = 0; i < type_of(d, x)->rank; i++)
        count *= dim[i];
    int64_t first = 1;
    for (int64_t f = pick(d, 1, 6); f > 1 && first == 1; f--)
        first = count % f == 0 ? f : 1;
    to[0] = sc_term(d->b.cx, first);
    to[1] = sc_term(d->b.cx, count / first);
    to[2] = sc_term(d->b.cx, 1);
    put(d, sc_op_at(&d->b, reshape, SC_ATTRS(SC_TERMS((uint32_t)pick(d, 2, 3), to)), x));
}

static void draw_transpose(Draw *d)
{
    ScVal x = any(d);
    uint32_t rank = type_of(d, x)->rank;
    int64_t perm[SCRT_MAX_RANK];
    for (uint32_t i = 0; i < rank; i++) {
        uint32_t k = (uint32_t)pick(d, 0, i);
        perm[i] = perm[k];
        perm[k] = i;
    }
    if (rank > 0)
        put(d, sc_op_at(&d->b, transpose, SC_ATTRS(SC_INTS(rank, perm)), x));
}

static void draw_product(Draw *d)
{
    ScVal x = any(d);
    uint32_t rank = type_of(d, x)->rank;
    int64_t dim[SCRT_MAX_RANK];
    if (rank < 2)
        return;
    dims_of(d, x, dim);
    if (dim[rank - 1] > 12)
        return;
    int64_t w[] = {dim[rank - 1], pick(d, 1, 5)};
    float *data = sc_alloc(sc_ctx_arena(d->b.cx), 256);
    for (int64_t i = 0; i < w[0] * w[1]; i++)
        data[i] = (float)sct_uniform(&d->r, -1, 1);
    char name[16];
    snprintf(name, sizeof name, "w%u", d->n);
    ScVal c = sc_const(&d->b, sc_blob(d->b.cx, name, SCRT_F32, 2, w, data), SCRT_F32, NULL);
    ScVal y = sc_op(&d->b, matmul, x, c);
    put(d, pick(d, 0, 1) ? sc_op(&d->b, add, y, constant_for(d, y)) : y);
}

static void draw_softmax(Draw *d)
{
    ScVal x = any(d);
    uint32_t rank = type_of(d, x)->rank;
    if (rank > 0)
        put(d, sc_op_at(&d->b, softmax, SC_ATTRS(SC_INT(pick(d, 0, rank - 1))), x,
                        sc_const_scalar(&d->b, SCRT_F32, 1)));
}

static void draw_concat(Draw *d)
{
    ScVal x = any(d);
    uint32_t rank = type_of(d, x)->rank;
    ScVal in[] = {x, x};
    if (rank > 0)
        put(d, sc_node1(&d->b, &sc_op_concat, SC_ATTRS(SC_INT(pick(d, 0, rank - 1))), 2, in));
}

/* empty: one extent of the inputs is 0. */
static ScGraph *draw(ScCtx *cx, uint64_t seed, bool empty)
{
    static void (*const node[])(Draw *) = {
        draw_unary,   draw_unary,     draw_binary,  draw_binary,  draw_reduce,
        draw_reshape, draw_transpose, draw_product, draw_softmax, draw_concat,
    };
    Draw d = {.r = seed};
    sc_build_init(&d.b, cx, "g", NULL);
    int64_t a[] = {pick(&d, 1, 3), pick(&d, 1, 4), pick(&d, 2, 5)};
    if (empty)
        a[seed % 3] = 0;
    put(&d, sc_input(&d.b, "x", sc_type_c(cx, SCRT_F32, 3, a), NULL));
    put(&d, sc_input(&d.b, "y", sc_type_c(cx, SCRT_F32, 3, a), NULL));
    for (int64_t i = pick(&d, 4, 24); i > 0 && d.n + 2 < MAX_VALUES; i--) {
        char name[16];
        snprintf(name, sizeof name, "n%u", d.n);
        ScOrigin o = {.name = sc_intern(cx, name), .index = -1};
        d.b.at = sc_loc(cx, NULL, 0, SC_FORWARD, 1, &o);
        node[pick(&d, 0, sizeof node / sizeof *node - 1)](&d);
    }
    sc_output(&d.b, "last", d.v[d.n - 1]);
    sc_output(&d.b, "one", any(&d));
    sc_output(&d.b, "two", any(&d));
    ScGraph *g = sc_build_end(&d.b);
    ck_assert_msg(g != NULL, "seed %llu: %s", (unsigned long long)seed, sct_messages(cx));
    return g;
}

/* --- Tests ----------------------------------------------------------------------------------- */

START_TEST(every_stage_gives_the_same_results)
{
    for (uint64_t seed = 1; seed <= many(150); seed++) {
        ScCtx *cx = sc_ctx_new();
        uint64_t r = seed;
        ScGraph *g = draw(cx, seed, false);
        ScrtTensor *in = sct_inputs(g, &r, -2, 2, 0, NULL);
        uint32_t n_in = g->n_in;
        ScPipeline p = {.verify = true, .eval_in = in, .eval_rtol = 2e-5};
        if (seed % 2)
            p.env.recipe = sc_recipe(cx, "fp8");
        g = sc_pipeline_run(cx, g, &p);
        ck_assert_msg(g != NULL, "seed %llu: %s", (unsigned long long)seed, sct_messages(cx));
        sct_free(in, n_in);
        sc_graph_free(g);
        sc_ctx_free(cx);
    }
}
END_TEST

typedef struct Keep {
    ScGraph *before;
} Keep;

static void keep(void *arg, const char *stage, const ScGraph *g)
{
    if (strcmp(stage, "layout") == 0)
        ((Keep *)arg)->before = sc_graph_clone(g);
}

START_TEST(fuse_keeps_bits_and_repeats)
{
    for (uint64_t seed = 1001; seed <= 1000 + many(150); seed++) {
        ScCtx *cx = sc_ctx_new();
        ScPassEnv env = {0};
        Keep k = {NULL};
        ScStr why = {0};
        uint64_t r = seed;
        ScPipeline p = {.after = keep, .arg = &k};
        ScGraph *fused = sc_pipeline_run(cx, draw(cx, seed, false), &p);
        ck_assert_msg(fused && k.before, "%s", sct_messages(cx));
        ck_assert_msg(sc_verify_kernels(fused), "%s", sct_messages(cx));
        ScGraph *again = sc_pass_run(cx, sc_pass_find(cx, "fuse"), k.before, &env);
        ck_assert_msg(sc_graph_equal(fused, again, &why), "seed %llu: %s", (unsigned long long)seed,
                      sc_str_get(&why));
        ScrtTensor *in = sct_inputs(fused, &r, -2, 2, 0, NULL), a[3] = {{0}}, b[3] = {{0}};
        ck_assert(sc_eval(k.before, in, a, NULL) && sc_eval(fused, in, b, NULL));
        for (uint32_t i = 0; i < 3; i++) {
            ck_assert_msg(sct_same_bits(&a[i], &b[i]), "seed %llu, output %u",
                          (unsigned long long)seed, i);
            scrt_free(a[i].data);
            scrt_free(b[i].data);
        }
        sct_free(in, fused->n_in);
        sc_str_free(&why);
        sc_graph_free(fused);
        sc_graph_free(again);
        sc_graph_free(k.before);
        sc_ctx_free(cx);
    }
}
END_TEST

/* Compiled, run, and beside the evaluator. */
static void run_compiled(ScCtx *cx, const ScGraph *g, const ScrtTensor *in, uint64_t seed)
{
    ScPipeline p = {.verify = true, .eval_in = in, .eval_rtol = 2e-5};
    ScrtTensor want[3] = {{0}}, got[3] = {{0}};
    ck_assert(sc_eval(g, in, want, NULL));
    ScGraph *k = sc_pipeline_run(cx, sc_graph_clone(g), &p);
    ck_assert_msg(k != NULL, "seed %llu: %s", (unsigned long long)seed, sct_messages(cx));
    ScObject *o = sc_codegen(cx, k, NULL, SC_EMIT_OBJ);
    ck_assert_msg(o != NULL, "seed %llu: %s", (unsigned long long)seed, sct_messages(cx));
    ScLoaded *l = sc_load(cx, o);
    ScrtSession *s;
    ScrtOptions opt = {.n_thread = 1, .weights = o->weights};
    ck_assert(l && scrt_open(sc_loaded_model(l), &opt, &s) == SCRT_OK);
    ck_assert_int_eq(scrt_run(s, in, got), SCRT_OK);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(scrt_count(&got[i]), scrt_count(&want[i]));
        for (int64_t e = 0; e < scrt_count(&want[i]); e++) {
            double x = scrt_load(SCRT_F32, got[i].data, (size_t)e);
            double y = scrt_load(SCRT_F32, want[i].data, (size_t)e);
            sct_need(x == y || (x != x && y != y) || (x - y < 1e-4 && y - x < 1e-4),
                     "seed %llu, output %u: %g, not %g", (unsigned long long)seed, i, x, y);
        }
        scrt_free(want[i].data);
        scrt_free(got[i].data);
    }
    scrt_close(s);
    sc_unload(l);
    sc_object_free(o);
    sc_graph_free(k);
}

static void compile_and_run(uint64_t first, uint64_t n, bool empty)
{
    for (uint64_t seed = first; seed < first + n; seed++) {
        ScCtx *cx = sc_ctx_new();
        uint64_t r = seed;
        ScGraph *g = draw(cx, seed, empty);
        ScrtTensor *in = sct_inputs(g, &r, -2, 2, 0, NULL);
        run_compiled(cx, g, in, seed);
        sct_free(in, g->n_in);
        sc_graph_free(g);
        sc_ctx_free(cx);
    }
}

START_TEST(graphs_compile)
{
    compile_and_run(3001, many(20), false);
}
END_TEST

START_TEST(graphs_without_elements_compile)
{
    compile_and_run(2001, many(40), true);
}
END_TEST

int main(void)
{
    sct_guard_memory();
    Suite *s = suite_create("passes-random");
    TCase *t = tcase_create("random");
    tcase_add_test(t, every_stage_gives_the_same_results);
    tcase_add_test(t, fuse_keeps_bits_and_repeats);
    tcase_add_test(t, graphs_compile);
    tcase_add_test(t, graphs_without_elements_compile);
    suite_add_tcase(s, t);
    return sct_main("passes-random", s);
}
