/* SPDX-License-Identifier: Apache-2.0 */
/* scalify: the scaled graph gives the plain graph's bits, masks of every kind among them; its
 * exponents verify; its data stays near RMS 1; what is wrong is refused by name. */
#include "tests/graphs.h"
#include "tests/passes/scale_util.h"

#include <float.h>

static ScCtx *cx;

static void setup(void)
{
    cx = sc_ctx_new();
}

static void teardown(void)
{
    sc_ctx_free(cx);
}

static ScGraph *finish(ScBuild *b)
{
    ScGraph *g = sc_build_end(b);
    if (!g)
        st_show(cx);
    ck_assert_ptr_nonnull(g);
    return g;
}

static void out(ScBuild *b, const char *name, ScVal v)
{
    sc_output(b, sc_intern(b->cx, name), v);
}

static ScVal scalar(ScBuild *b, double x)
{
    return sc_const_scalar(b, SCRT_F32, x);
}

/* Scalifies, compares, recomputes the exponents and compares again. */
static void check(ScGraph *g, uint64_t *r, const char *what)
{
    ScGraph *s = st_pass(sc_pass_scalify, g, NULL, "scalify");
    st_same(g, s, r, what);
    ScGraph *t = st_pass(sc_pass_settle, s, NULL, "settle");
    st_same(g, t, r, what);
    for (ScVal v = SC_FIRST; v < t->n_value; v++)
        ck_assert_msg(!t->value[v].exp || sc_term_is(t->value[v].exp, 0),
                      "%s: an exponent is left although nothing is stored low", what);
    sc_graph_free(t);
    sc_graph_free(s);
    sc_graph_free(g);
}

/* --- Masks ----------------------------------------------------------------------------------- */

static const double mask_numbers[] = {-INFINITY, -FLT_MAX, -0x1.FEp127, -65504, -1e9, -10000, 0};
#define N_MASK (sizeof mask_numbers / sizeof *mask_numbers)

#define ROWS 5

/* Additive constant mask: row 2 is masked whole. */
static ScVal mask_const(ScBuild *b, double number)
{
    float *x = sc_array(sc_ctx_arena(cx), float, ROWS *ROWS);
    for (int i = 0; i < ROWS * ROWS; i++)
        x[i] = i / ROWS == 2 || i % ROWS > i / ROWS ? (float)number : 0;
    char name[32];
    snprintf(name, sizeof name, "mask%g", number);
    return sc_const(b, sc_blob(cx, sc_intern(cx, name), SCRT_F32, 2, (int64_t[]){ROWS, ROWS}, x),
                    SCRT_F32, NULL);
}

/* Scores whose exponent is far from 0: x W1 (x W2)^T with small weights. */
static ScVal scores(ScBuild *b, uint64_t *r, ScVal x)
{
    ScVal q = sc_op(b, matmul, x, st_weight(b, r, "wq", 2, (int64_t[]){8, 6}, 0x1p-5));
    ScVal k = sc_op(b, matmul, x, st_weight(b, r, "wk", 2, (int64_t[]){8, 6}, 0x1p-3));
    ScVal kt = sc_op_at(b, transpose, SC_ATTRS(SC_INTS(2, ((int64_t[]){1, 0}))), k);
    return sc_op(b, mul, sc_op(b, matmul, q, kt), scalar(b, 300));
}

enum { BY_ADD, BY_ADD_WHERE, BY_ADD_MUL, BY_WHERE, BY_MAX, BY_MAX_WHERE, N_BY };
static const char *const by_name[] = {
    "add of a constant", "add of a where", "add of a product", "where into the scores", "max",
    "max of a where"};

static ScVal masked(ScBuild *b, int by, double number, ScVal s, ScVal m, ScVal mb)
{
    ScVal w;
    switch (by) {
    case BY_ADD:
        return sc_op(b, add, s, mask_const(b, number));
    case BY_ADD_WHERE:
        return sc_op(b, add, s, sc_op(b, where, mb, scalar(b, 0), scalar(b, number)));
    case BY_ADD_MUL: /* (1 - cast(m)) * number; an infinite one would give NaN in the original too
                      */
        w = sc_op(b, sub, scalar(b, 1), sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_F32)), m));
        return sc_op(b, add, s, sc_op(b, mul, w, scalar(b, number)));
    case BY_WHERE:
        return sc_op(b, where, mb, s, scalar(b, number));
    case BY_MAX:
        return sc_op(b, max, s, scalar(b, number));
    default:
        return sc_op(b, max, s, sc_op(b, where, mb, scalar(b, 0), scalar(b, number)));
    }
}

enum { PLAIN, NEGATED, CLIPPED, TIMES, SECOND_USE, VIEWED, N_BETWEEN };
static const char *const between_name[] = {"nothing",   "two negations", "a clip",
                                           "a product", "a second use",  "views"};

static ScVal between(ScBuild *b, int how, ScVal s)
{
    switch (how) {
    case NEGATED:
        return sc_op(b, neg, sc_op(b, neg, s));
    case CLIPPED:
        return sc_op(b, clip, s, scalar(b, -FLT_MAX), scalar(b, FLT_MAX));
    case TIMES:
        return sc_op(b, mul, s, scalar(b, 0.375));
    case SECOND_USE:
        out(b, "scores", sc_op(b, relu, s));
        return s;
    case VIEWED:
        s = sc_op_at(b, transpose, SC_ATTRS(SC_INTS(2, ((int64_t[]){1, 0}))), s);
        return sc_op_at(b, transpose, SC_ATTRS(SC_INTS(2, ((int64_t[]){1, 0}))), s);
    default:
        return s;
    }
}

START_TEST(masks)
{
    double number = mask_numbers[_i];
    uint64_t r = 77 + (uint64_t)_i;
    for (int by = 0; by < N_BY; by++)
        for (int how = 0; how < N_BETWEEN; how++) {
            char what[128];
            snprintf(what, sizeof what, "mask %g by %s, then %s", number, by_name[by],
                     between_name[how]);
            ScBuild b;
            sc_build_init(&b, cx, "attention", NULL);
            ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){ROWS, 8});
            ScVal m = st_input(&b, "m", SCRT_I64, 2, (int64_t[]){ROWS, ROWS});
            ScVal mb = sc_op(&b, less, m, sc_const_scalar(&b, SCRT_I64, 2));
            ScVal s = between(&b, how, masked(&b, by, number, scores(&b, &r, x), m, mb));
            ScVal p = sc_op(&b, softmax, s, scalar(&b, 1));
            ScVal v = sc_op(&b, matmul, x, st_weight(&b, &r, "wv", 2, (int64_t[]){8, 4}, 0x1p-4));
            out(&b, "y", sc_op(&b, matmul, p, v));
            check(finish(&b), &r, what);
        }
}
END_TEST

/* A mask must not take part in the vote: with -1e9 the scores would move to 2^29. */
START_TEST(mask_does_not_vote)
{
    uint64_t r = 5;
    ScBuild b;
    sc_build_init(&b, cx, "g", NULL);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){ROWS, 8});
    ScVal mb = st_input(&b, "m", SCRT_BOOL, 2, (int64_t[]){ROWS, ROWS});
    ScVal w = sc_op(&b, where, mb, scores(&b, &r, x), scalar(&b, -1e9));
    out(&b, "y", sc_op(&b, relu, w));
    ScGraph *g = finish(&b), *s = st_pass(sc_pass_scalify, g, NULL, "scalify");
    for (uint32_t i = 0; i < s->n_node; i++)
        if (s->node[i].op == &sc_op_where) {
            int64_t e;
            ck_assert(sc_term_const(s->value[s->node[i].first].exp, &e));
            ck_assert_int_lt(e, 8);
            ck_assert_int_gt(e, -8);
        }
    sc_graph_free(s);
    sc_graph_free(g);
}
END_TEST

/* Where a mask of -1e9 was added the measured RMS says 2^28; calibration must not believe it. */
START_TEST(masked_values_are_not_calibrated)
{
    uint64_t r = 6;
    ScBuild b;
    sc_build_init(&b, cx, "g", NULL);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){ROWS, 8});
    ScVal sum = sc_op(&b, add, scores(&b, &r, x), mask_const(&b, -1e9));
    out(&b, "y", sc_op(&b, relu, sum));
    ScGraph *g = finish(&b);
    ScCalibrator *c = sc_calibrate_begin(cx, g);
    ScrtTensor *in = st_inputs(g, &r);
    ck_assert(sc_calibrate_add(c, in, NULL));
    st_free(in, g->n_in);
    ScPassEnv env = {.scales = SC_SCALES_CALIBRATE, .stats = sc_calibrate_end(c)};
    ScGraph *s = st_pass(sc_pass_scalify, g, &env, "scalify");
    st_same(g, s, &r, "calibrated mask");
    for (ScVal v = SC_FIRST; v < s->n_value; v++) {
        int64_t e = 0;
        ck_assert(!s->value[v].exp || sc_term_const(s->value[v].exp, &e));
        ck_assert_msg(e > -20 && e < 20, "%%%u has exponent %lld", v, (long long)e);
    }
    sc_graph_free(s);
    sc_graph_free(g);
}
END_TEST

/* --- Random graphs --------------------------------------------------------------------------- */

#define WIDTH 6

/* A pool of [WIDTH, WIDTH] values; each step makes one of the others. */
static ScVal step(ScBuild *b, uint64_t *r, const ScVal *pool, uint32_t n)
{
    ScVal x = pool[st_pick(r, n)], y = pool[st_pick(r, n)];
    char name[32];
    snprintf(name, sizeof name, "w%u", (unsigned)(st_next(r) >> 40));
    double scale = ldexp(1, (int)st_pick(r, 17) - 8);
    int64_t swap[] = {1, 0}, last[] = {-1};
    ScVal s;
    switch (st_pick(r, 20)) {
    case 0:
        return sc_op(b, add, x, y);
    case 1:
        return sc_op(b, sub, x, y);
    case 2:
        return sc_op(b, mul, x, y);
    case 3:
        return sc_op(b, max, x, sc_op(b, neg, y));
    case 4:
        return sc_op(b, min, x, scalar(b, scale));
    case 5:
        return sc_op(b, div, x, sc_op(b, add, sc_op(b, abs, y), scalar(b, scale)));
    case 6:
        return sc_op(b, sqrt, sc_op(b, abs, x));
    case 7:
        return sc_op(b, relu, x);
    case 8:
        return sc_op_at(b, transpose, SC_ATTRS(SC_INTS(2, swap)), x);
    case 9:
        s = sc_op_at(b, reduce_sum, SC_ATTRS(SC_INTS(1, last), SC_INT(1)), x);
        return sc_op(b, sub, x, s);
    case 10:
        s = sc_op_at(b, reduce_mean, SC_ATTRS(SC_INTS(1, last), SC_INT(1)), x);
        return sc_op(b, mul, x, s);
    case 11:
        s = sc_op_at(b, reduce_max, SC_ATTRS(SC_INTS(1, last), SC_INT(1)), x);
        return sc_op(b, max, s, y);
    case 12:
        return sc_op(b, softmax, x, scalar(b, 1));
    case 13:
        return sc_op(b, tanh, x);
    case 14:
        return sc_op(b, where, sc_op(b, less, x, y), x, y);
    case 15:
        return sc_op(b, clip, x, scalar(b, -scale), scalar(b, scale));
    case 16:
        return sc_op(b, matmul, x, y);
    default:
        return sc_op(b, matmul, x, st_weight(b, r, name, 2, (int64_t[]){WIDTH, WIDTH}, scale));
    }
}

START_TEST(random_graphs)
{
    uint64_t r = 1000 + (uint64_t)_i;
    ScBuild b;
    ScVal pool[24];
    uint32_t n = 2;
    sc_build_init(&b, cx, "random", NULL);
    pool[0] = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){WIDTH, WIDTH});
    pool[1] = st_input(&b, "y", SCRT_F32, 2, (int64_t[]){WIDTH, WIDTH});
    while (n < 12)
        pool[n] = step(&b, &r, pool, n), n++;
    out(&b, "a", pool[n - 1]);
    out(&b, "b", pool[n - 2]);
    check(finish(&b), &r, "random graph");
}
END_TEST

/* --- RMS near 1 ------------------------------------------------------------------------------ */

typedef struct Range {
    const ScGraph *g;
    const ScUses *uses;
    uint32_t n, outside;
} Range;

/* Values that are only rebalanced again are on their way. */
static bool in_transit(const Range *k, ScVal v)
{
    bool any = false;
    for (uint32_t i = k->uses->first[v]; i < k->uses->first[v + 1]; i++) {
        uint32_t n = k->uses->use[i].node;
        if (n == UINT32_MAX || !(k->g->node[n].op->flags & SC_REBALANCES))
            return false;
        any = true;
    }
    return any;
}

static void see_range(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                      uint32_t depth)
{
    Range *k = arg;
    (void)depth;
    (void)exp;
    int32_t est = g->value[v].g; /* beyond half a bit: on its way to meet a larger addend */
    if (!scrt_dtype_is_float((ScrtDtype)t->dtype) || in_transit(k, v) || est < -128 || est > 128)
        return;
    for (uint32_t i = 0; i < g->n_out; i++)
        if (g->out[i] == v)
            return;
    double sum = 0;
    int64_t n = scrt_count(t);
    for (int64_t i = 0; i < n; i++) {
        double x = scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i);
        sum += x * x;
    }
    double rms = sqrt(sum / (double)n);
    k->n++;
    k->outside += rms < 0x1p-3 || rms > 0x1p3;
}

/* One block of a network on x [24, d], an MLP or an attention, around which x goes on. */
static ScVal block(ScBuild *b, uint64_t *r, ScVal x, int64_t d, int at)
{
    char name[5][32];
    for (int i = 0; i < 5; i++)
        snprintf(name[i], sizeof *name, "w%d.%d.%u", at, i, (unsigned)(st_next(r) >> 40));
    double s = ldexp(1, (int)st_pick(r, 9) - 7); /* weights from 2^-7 to 2 */
    if (st_pick(r, 2)) {
        ScVal h = sc_op(b, relu,
                        sc_op(b, matmul, x, st_weight(b, r, name[0], 2, (int64_t[]){d, 2 * d}, s)));
        return sc_op(b, add, x,
                     sc_op(b, matmul, h, st_weight(b, r, name[1], 2, (int64_t[]){2 * d, d}, s)));
    }
    int64_t swap[] = {1, 0};
    ScVal q = sc_op(b, matmul, x, st_weight(b, r, name[2], 2, (int64_t[]){d, d}, s));
    ScVal k = sc_op(b, matmul, x, st_weight(b, r, name[3], 2, (int64_t[]){d, d}, s));
    ScVal v = sc_op(b, matmul, x, st_weight(b, r, name[4], 2, (int64_t[]){d, d}, s));
    ScVal kt = sc_op_at(b, transpose, SC_ATTRS(SC_INTS(2, swap)), k);
    /* temperature for the scores of these weights, so that softmax is neither flat nor one-hot */
    ScVal a = sc_op(b, mul, sc_op(b, matmul, q, kt),
                    scalar(b, 1 / (s * s * (double)d * sqrt((double)d))));
    return sc_op(b, add, x, sc_op(b, matmul, sc_op(b, softmax, a, scalar(b, 1)), v));
}

START_TEST(data_stays_near_one)
{
    uint64_t r = 31 + (uint64_t)_i;
    int64_t d = 16 << (_i % 3);
    ScBuild b;
    sc_build_init(&b, cx, "net", NULL);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){24, d});
    for (int i = 0; i < 3; i++)
        x = block(&b, &r, x, d, i);
    out(&b, "y", x);
    ScGraph *g = finish(&b), *s = st_pass(sc_pass_scalify, g, NULL, "scalify");
    st_same(g, s, &r, "network");
    ScArena *a = sc_arena_new();
    ScUses uses = sc_uses(s, a);
    Range k = {.g = s, .uses = &uses};
    ScrtTensor *in = st_inputs(s, &r);
    st_free(st_eval(s, in, &(ScEvalOptions){.see = see_range, .arg = &k}), s->n_out);
    st_free(in, s->n_in);
    if (k.outside > 0)
        st_print(s);
    ck_assert_uint_gt(k.n, 10);
    ck_assert_msg(k.outside == 0, "%u of %u tensors lie outside [2^-3, 2^3]", k.outside, k.n);
    sc_arena_free(a);
    sc_graph_free(s);
    sc_graph_free(g);
}
END_TEST

/* Bounded values between layers whose weights amplify: however far the estimate drifts, the number
 * that it stands for stays below what the rows can prove. */
START_TEST(estimates_stay_below_bounds)
{
    uint64_t r = 4;
    ScBuild b;
    sc_build_init(&b, cx, "deep", NULL);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){4, 32});
    for (int i = 0; i < 24; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        ScVal w = st_weight(&b, &r, name, 2, (int64_t[]){32, 32}, 3);
        x = sc_op(&b, matmul, x, w);
        if (i % 3 == 0)
            x = sc_op(&b, clip, x, sc_const_scalar(&b, SCRT_F32, 0),
                      sc_const_scalar(&b, SCRT_F32, 6));
        else if (i % 3 == 1)
            x = sc_op(&b, mul, sc_op(&b, sigmoid, x), sc_const_scalar(&b, SCRT_F32, 6));
        else
            x = sc_op(&b, min, sc_op(&b, relu, x), sc_const_scalar(&b, SCRT_F32, 6));
        snprintf(name, sizeof name, "a%d", i);
        sc_set_name(&b, x, name);
    }
    sc_output(&b, sc_intern(cx, "y"), x);
    ScGraph *g = sc_build_end(&b), *s = st_pass(sc_pass_scalify, g, NULL, "scalify");
    uint32_t seen = 0;
    for (ScVal v = SC_FIRST; v < s->n_value; v++) {
        const ScValue *val = &s->value[v];
        int64_t e;
        if (!val->name || val->name[0] != 'a' || val->g == SC_NO_G)
            continue;
        ck_assert(sc_term_const(val->exp, &e));
        ck_assert_msg(val->g / 256.0 + (double)e <= 2.6, "%s: 2^%.2f", val->name,
                      val->g / 256.0 + (double)e);
        seen++;
    }
    ck_assert_uint_ge(seen, 23); /* the last is the output */
    sc_graph_free(s);
    sc_graph_free(g);
}
END_TEST

/* --- What is refused ------------------------------------------------------------------------- */

static ScGraph *small(void)
{
    uint64_t r = 9;
    ScBuild b;
    sc_build_init(&b, cx, "small", NULL);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){2, 16});
    b.at = sc_loc(cx, NULL, 0, SC_FORWARD, 1, &(ScOrigin){sc_intern(cx, "fc/MatMul"), NULL, -1});
    ScVal y = sc_op(&b, matmul, x, st_weight(&b, &r, "w", 2, (int64_t[]){16, 3}, 0.01));
    out(&b, "y", sc_op(&b, add, y, scalar(&b, 1)));
    return finish(&b);
}

START_TEST(scaled_is_refused)
{
    ScGraph *g = small(), *s = st_pass(sc_pass_scalify, g, NULL, "scalify");
    ck_assert_ptr_null(sc_pass_scalify(cx, s, &(ScPassEnv){0}));
    st_said(cx, "E0304");
    sc_graph_free(s);
    sc_graph_free(g);
}
END_TEST

START_TEST(statistics_of_another_graph_are_refused)
{
    ScGraph *g = small();
    ScStats stats = {.graph = 1};
    ScPassEnv env = {.scales = SC_SCALES_CALIBRATE};
    ck_assert_ptr_null(sc_pass_scalify(cx, g, &env));
    st_said(cx, "no statistics were given");
    sc_clear_diags(cx);
    env.stats = &stats;
    ck_assert_ptr_null(sc_pass_scalify(cx, g, &env));
    st_said(cx, "measured on another graph");
    sc_graph_free(g);
}
END_TEST

/* The planted fault: a pass that drops a rebalance but keeps the exponent behind it. */
START_TEST(dropped_rebalance_is_caught)
{
    ScGraph *g = small(), *s = st_pass(sc_pass_scalify, g, NULL, "scalify");
    ScBuild b;
    ScVal *env = calloc(s->n_value, sizeof *env);
    env[SC_ABSENT] = SC_ABSENT;
    uint32_t dropped = 0;
    sc_build_init(&b, cx, s->name, NULL);
    sc_build_flags(&b, s->flags);
    for (uint32_t i = 0; i < s->n_node; i++) {
        const ScNode *n = &s->node[i];
        ScVal in[4];
        b.at = n->loc;
        for (uint32_t k = 0; k < n->n_in; k++)
            in[k] = env[n->in[k]];
        if (n->op->flags & SC_BARRIER)
            env[n->first] = sc_input(&b, s->value[n->first].name, sc_type_of(s, n->first),
                                     s->value[n->first].exp);
        else if ((n->op->flags & SC_REBALANCES) && dropped++ == 0)
            env[n->first] = in[0];
        else
            sc_copy_node(&b, s, n, in, &env[n->first]);
        sc_set_exp(&b, env[n->first], s->value[n->first].exp);
    }
    out(&b, "y", env[s->out[0]]);
    ck_assert_uint_gt(dropped, 0);
    ScGraph *bad = finish(&b);
    if (sc_verify(bad, "careless")) {
        st_print(bad);
        ck_abort_msg("a dropped rebalance was not noticed");
    }
    st_said(cx, "E0301");
    st_said(cx, "careless");
    st_said(cx, "fc/MatMul");
    st_said(cx, "by 'a, b, a+b -> a+b' expected -7");
    sc_graph_free(bad);
    free(env);
    sc_graph_free(s);
    sc_graph_free(g);
}
END_TEST

/* Each loop's estimate is found in trials of its body, with the loops in it: no trial more for each
 * level around it, or this would never end. */
START_TEST(loops_in_loops)
{
    enum { LEVELS = 16 };
    ScStr text = {0};
    sc_str_addf(&text, "graph @g(%%x0: f32[4], %%t: i64[]) -> (%%y0) {\n");
    for (int i = 0; i < LEVELS; i++)
        sc_str_addf(&text,
                    "%%c%d = const true : bool[]\n"
                    "%%y%d = loop %%t, %%c%d, %%x%d, %%t {carried = 1} : f32[4]\n"
                    "graph @l%d(%%i%d: i64[], %%x%d: f32[4], %%t: i64[]) -> (%%on%d, %%z%d) {\n",
                    i, i, i, i, i, i, i + 1, i, i);
    sc_str_addf(&text, "%%y%d = add %%x%d, %%x%d : f32[4]\n", LEVELS, LEVELS, LEVELS);
    for (int i = LEVELS; i-- > 0;)
        sc_str_addf(&text,
                    "%%on%d = const true : bool[]\n"
                    "%%z%d = add %%y%d, %%x%d : f32[4]\n}\n",
                    i, i, i + 1, i + 1);
    sc_str_addf(&text, "}\n");
    ScGraph *g = sct_graph(cx, sc_str_get(&text)), *s = sc_pass_scalify(cx, g, &(ScPassEnv){0});
    ck_assert_ptr_nonnull(s);
    ck_assert(sc_verify(s, NULL));
    sc_graph_free(s);
    sc_graph_free(g);
    sc_str_free(&text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("scalify");
    TCase *t = tcase_create("scalify");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, masks, 0, (int)N_MASK);
    tcase_add_test(t, mask_does_not_vote);
    tcase_add_test(t, masked_values_are_not_calibrated);
    tcase_add_loop_test(t, random_graphs, 0, 200);
    tcase_add_loop_test(t, data_stays_near_one, 0, 24);
    tcase_add_test(t, estimates_stay_below_bounds);
    tcase_add_test(t, loops_in_loops);
    tcase_add_test(t, scaled_is_refused);
    tcase_add_test(t, statistics_of_another_graph_are_refused);
    tcase_add_test(t, dropped_rebalance_is_caught);
    suite_add_tcase(s, t);
    return sct_main("scalify", s);
}
