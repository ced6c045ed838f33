/* SPDX-License-Identifier: Apache-2.0 */
/* quantize and what decides for it: where a stored operand is pinned, recipes and their files, the
 * report of damage. */
#include "tests/passes/scale_util.h"

#include <stdio.h>

static ScCtx *cx;

static void setup(void)
{
    cx = sc_ctx_new();
}

static void teardown(void)
{
    sc_ctx_free(cx);
}

static double amax_of(const ScBlob *b)
{
    double m = 0;
    for (size_t i = 0; i < b->count; i++)
        m = fmax(m, fabs(scrt_load(b->dtype, b->data, i)));
    return m;
}

/* A weight never clips, and one bit less would. */
START_TEST(weights_are_pinned_by_amax)
{
    static const char *const recipe[] = {"fp8", "fp8-weights", "f16"};
    ScGraph *g = st_net(cx);
    for (int i = 0; i < 3; i++) {
        const ScRecipe *r = sc_recipe(cx, recipe[i]);
        ScGraph *q = st_lowered(g, &(ScPassEnv){.recipe = r});
        ScVal v[4];
        ck_assert_uint_eq(st_operands(q, v), 4);
        for (int k = 1; k < 4; k += 2) {
            ck_assert_int_eq(sc_type_of(q, v[k])->dtype, r->weight);
            double amax = amax_of(sc_def(q, v[k])->attr[0].blob), e = (double)st_exp(q, v[k]);
            double max = scrt_format(r->weight)->max;
            if (r->scale == SC_BY_CHANNEL && r->weight == SCRT_F8E4M3FN)
                max = 60; /* see exponents_stay_free */
            ck_assert_msg(amax <= max * exp2(e) && amax > max * exp2(e - 1),
                          "%s: amax %g at exponent %g", recipe[i], amax, e);
        }
        ck_assert_int_eq(sc_type_of(q, v[0])->dtype, r->activation);
        ck_assert_int_eq(sc_type_of(q, q->out[0])->dtype, SCRT_F32);
        sc_graph_free(q);
    }
    sc_graph_free(g);
}
END_TEST

/* RMS 4: two bits below the exponent at which the estimate says RMS 1. */
START_TEST(activations_are_pinned_at_rms_4)
{
    ScGraph *g = st_net(cx), *q = st_lowered(g, &(ScPassEnv){.recipe = sc_recipe(cx, "fp8")});
    ScVal v[4];
    st_operands(q, v);
    ck_assert_int_eq(st_exp(q, v[0]), -2);
    for (int k = 0; k < 4; k += 2) {
        ck_assert_int_ge(q->value[v[k]].g, 2 * 256 - 128);
        ck_assert_int_le(q->value[v[k]].g, 2 * 256 + 128);
    }
    sc_graph_free(q);
    sc_graph_free(g);
}
END_TEST

START_TEST(round_down_casts_at_rms_1)
{
    ScRecipe r = *sc_recipe(cx, "fp8");
    r.round_down = true;
    ScGraph *g = st_net(cx), *q = st_lowered(g, &(ScPassEnv){.recipe = &r});
    ScVal v[4];
    st_operands(q, v);
    ck_assert_int_eq(st_exp(q, v[0]), 0);
    sc_graph_free(q);
    sc_graph_free(g);
}
END_TEST

/* Tables that are gathered from: a large one is stored low, its rows are widened at once; a small
 * one saves nothing. The large one is a site that can be switched. */
START_TEST(large_tables_are_stored)
{
    uint64_t r = 4;
    ScBuild b;
    uint32_t n_site, n_low = 0;
    ScArena *a = sc_arena_new();
    sc_build_init(&b, cx, "embedding", NULL);
    ScVal at = st_input(&b, "ids", SCRT_I64, 1, (int64_t[]){4});
    ScVal big = st_weight(&b, &r, "big", 2, (int64_t[]){2048, 32}, 0.02);
    ScVal small = st_weight(&b, &r, "small", 2, (int64_t[]){64, 32}, 3);
    ScVal x = sc_op_at(&b, gather, SC_ATTRS(SC_INT(0)), big, at);
    ScVal y = sc_op_at(&b, gather, SC_ATTRS(SC_INT(0)), small, at);
    sc_output(&b, sc_intern(cx, "x"), x);
    sc_output(&b, sc_intern(cx, "y"), y);
    ScGraph *g = sc_build_end(&b);
    ScGraph *q = st_lowered(g, &(ScPassEnv){.recipe = sc_recipe(cx, "fp8-weights")});
    for (uint32_t i = 0; i < q->n_node; i++) {
        const ScNode *n = &q->node[i];
        bool low = n->n_out && sc_type_is_float(sc_type_of(q, n->first)) &&
                   sc_type_of(q, n->first)->dtype == SCRT_F8E4M3FN;
        n_low += low;
        ck_assert(!low || n->op == &sc_op_gather || !strcmp(n->attr[0].blob->name, "big"));
    }
    ck_assert_uint_eq(n_low, 2);
    const ScVal *site = sc_storage_sites(q, a, &n_site);
    ck_assert_uint_eq(n_site, 1);
    ck_assert_str_eq(sc_def(q, site[0])->attr[0].blob->name, "big");
    ScGraph *sw = sc_switched_graph(cx, q);
    ck_assert_msg(sw && sc_verify(sw, "switched"), "%s", st_words(cx));
    int64_t ids[] = {3, 60, 7, 0};
    bool keep = true;
    ScrtTensor in[] = {{.dtype = SCRT_I64, .rank = 1, .dims = {4}, .data = ids},
                       {.dtype = SCRT_BOOL, .data = &keep}};
    ScrtTensor *plain = st_eval(g, in, NULL), *low = st_eval(q, in, NULL),
               *kept = st_eval(sw, in, NULL);
    double off = 0, all = 0;
    for (size_t i = 0; i < 128; i++) {
        double want = scrt_load(SCRT_F32, plain[0].data, i);
        all += want * want;
        off += pow(want - scrt_load(SCRT_F32, low[0].data, i), 2);
        ck_assert(scrt_load(SCRT_F32, kept[0].data, i) == want);
        ck_assert(scrt_load(SCRT_F32, low[1].data, i) == scrt_load(SCRT_F32, plain[1].data, i));
    }
    ck_assert_msg(off > 0 && off < all * 1e-2, "%g of %g", off, all);
    st_free(plain, 2);
    st_free(low, 2);
    st_free(kept, 2);
    sc_graph_free(sw);
    sc_graph_free(q);
    sc_graph_free(g);
    sc_arena_free(a);
}
END_TEST

/* The graph of recipe f32 is the one that scalify received, but for flags. */
START_TEST(nothing_low_nothing_left)
{
    ScGraph *g = st_net(cx), *q = st_lowered(g, &(ScPassEnv){.recipe = sc_recipe(cx, "f32")});
    ck_assert_uint_eq(q->n_node, g->n_node);
    for (uint32_t i = 0; i < g->n_node; i++) {
        ck_assert_ptr_eq(q->node[i].op, g->node[i].op);
        ck_assert_ptr_eq(q->node[i].loc, g->node[i].loc);
        ck_assert_ptr_eq(q->node[i].attr, g->node[i].attr);
        ck_assert_uint_eq(q->node[i].first, g->node[i].first);
        for (uint32_t k = 0; k < g->node[i].n_in; k++)
            ck_assert_uint_eq(q->node[i].in[k], g->node[i].in[k]);
    }
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        ck_assert_ptr_eq(q->value[v].type, g->value[v].type);
        ck_assert_ptr_eq(q->value[v].name, g->value[v].name);
    }
    sc_graph_free(q);
    sc_graph_free(g);
}
END_TEST

/* --- Narrow types ---------------------------------------------------------------------------- */

/* Pairs of layers of type t whose weights are about 2^-9 and 2^2: in the original numbers every
 * value fits, at exponents that add up from layer to layer none of f16 would. */
static ScGraph *deep(ScrtDtype t)
{
    uint64_t r = 5;
    ScBuild b;
    sc_build_init(&b, cx, "deep", NULL);
    ScVal x = st_input(&b, "x", t, 2, (int64_t[]){8, 64});
    for (int i = 0; i < 8; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        ScVal w = st_weight(&b, &r, name, 2, (int64_t[]){64, 64}, i % 2 ? 0x1p2 : 0x1p-9);
        if (t != SCRT_F32)
            w = sc_op_at(&b, cast, SC_ATTRS(SC_DT(t)), w);
        x = sc_op(&b, relu, sc_op(&b, matmul, x, w));
    }
    sc_output(&b, sc_intern(cx, "y"), x);
    ScGraph *g = sc_build_end(&b), *folded = st_pass(sc_pass_fold, g, NULL, "fold");
    sc_graph_free(g);
    return folded;
}

static void see_narrow(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                       uint32_t depth)
{
    const ScrtFormat *f = scrt_format((ScrtDtype)t->dtype);
    double *worst = arg, top = 0;
    (void)exp;
    if (depth > 0 || !f || f->exp_bits >= 8 || (sc_def(g, v)->op->flags & SC_CONST_OP))
        return;
    for (int64_t i = 0; i < scrt_count(t); i++)
        top = fmax(top, fabs(scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i)) / f->max);
    *worst = fmax(*worst, top);
}

/* Models of every type under recipes of every narrow format: what is stored stays in its range, and
 * the results stand for those of f32. */
START_TEST(narrow_values_keep_their_exponents)
{
    static const ScrtDtype model[] = {SCRT_F32, SCRT_F16, SCRT_BF16};
    static const ScrtDtype low[] = {SCRT_F16, SCRT_F8E4M3FN, SCRT_F8E4M3FNUZ, SCRT_F8E5M2,
                                    SCRT_F8E5M2FNUZ};
    ScGraph *ref = deep(SCRT_F32);
    for (size_t m = 0; m < 3; m++)
        for (size_t k = 0; k < 2 * sizeof low / sizeof *low; k++) {
            uint64_t r = 9;
            ScRecipe recipe = {
                .name = "r", .activation = k % 2 ? SCRT_F32 : low[k / 2], .weight = low[k / 2]};
            ScPassEnv env = {.recipe = &recipe};
            ScGraph *g = deep(model[m]), *q = st_lowered(g, &env);
            ScrtTensor *x = st_inputs(ref, &r), *want = st_eval(ref, x, NULL), in = x[0];
            double worst = 0, signal = 0, noise = 0;
            in.dtype = model[m];
            ck_assert_int_eq(scrt_tensor_alloc(&in), SCRT_OK);
            for (int64_t i = 0; i < scrt_count(&in); i++)
                scrt_store(model[m], in.data, (size_t)i, scrt_load(SCRT_F32, x[0].data, (size_t)i),
                           true);
            ScrtTensor *got = st_eval(q, &in, &(ScEvalOptions){.see = see_narrow, .arg = &worst});
            for (int64_t i = 0; i < scrt_count(want); i++) {
                double a = scrt_load(SCRT_F32, want->data, (size_t)i);
                double b = scrt_load(model[m], got->data, (size_t)i);
                signal += a * a;
                noise += (a - b) * (a - b);
            }
            double db = 10 * log10(signal / noise);
            uint32_t bits = scrt_format(low[k / 2])->man_bits;
            if (scrt_format(model[m])->man_bits < bits)
                bits = scrt_format(model[m])->man_bits;
            ck_assert_msg(worst <= 0.5 && db > 6 * bits - 6,
                          "%s model, %s: %.1f dB, largest at %.3f of the format's",
                          scrt_dtype_name(model[m]), scrt_dtype_name(low[k / 2]), db, worst);
            scrt_free(in.data);
            st_free(x, 1);
            st_free(want, 1);
            st_free(got, 1);
            sc_graph_free(g);
            sc_graph_free(q);
        }
    sc_graph_free(ref);
}
END_TEST

/* --- Channels -------------------------------------------------------------------------------- */

/* Decibels of the worst column of a result [rows, 24]. */
static double worst_column(const ScrtTensor *want, const ScrtTensor *got)
{
    double worst = INFINITY;
    for (int64_t c = 0; c < 24; c++) {
        double signal = 0, noise = 0;
        for (int64_t i = c; i < scrt_count(want); i += 24) {
            double x = scrt_load(SCRT_F32, want->data, (size_t)i);
            double y = scrt_load(SCRT_F32, got->data, (size_t)i);
            signal += x * x;
            noise += (x - y) * (x - y);
        }
        worst = fmin(worst, 10 * log10(signal / noise));
    }
    return worst;
}

/* x times a matrix whose columns are 2^0 to 2^-23 large, as matmul, as gemm with a bias, as a
 * convolution and as a depthwise one, each to [rows, 24]. */
static ScGraph *columns(int how)
{
    uint64_t r = 7;
    ScBuild b;
    bool depthwise = how == 3;
    int64_t k = depthwise ? 1 : 24, dims[] = {24, 24}, one[] = {24, k, 1, 1}, channel = 24,
            ones[] = {1, 1};
    float *w = sc_array(sc_ctx_arena(cx), float, (size_t)(24 * k));
    float *bias = sc_array(sc_ctx_arena(cx), float, 24);
    sc_build_init(&b, cx, "columns", NULL);
    for (int64_t i = 0; i < 24 * k; i++) {
        int64_t c = how == 0 ? i % 24 : i / k;
        w[i] = (float)(ldexp(st_normal(&r) + 3, -(int)c));
        bias[c] = ldexpf(0.5f, -(int)c);
    }
    const ScBlob *bb = sc_blob(cx, sc_intern(cx, "bias"), SCRT_F32, 1, &channel, bias);
    const ScBlob *wb =
        sc_blob(cx, sc_intern(cx, "w"), SCRT_F32, how < 2 ? 2 : 4, how < 2 ? dims : one, w);
    ScVal x = st_input(&b, "x", SCRT_F32, how < 2 ? 2 : 4,
                       how < 2 ? (int64_t[]){64, 24} : (int64_t[]){64, 24, 1, 1});
    ScVal wv = sc_const(&b, wb, SCRT_F32, NULL), bv = sc_const(&b, bb, SCRT_F32, NULL), y;
    const ScTerm *zero = sc_term(cx, 0), *pads[] = {zero, zero, zero, zero};
    if (how == 0)
        y = sc_op(&b, matmul, x, wv);
    else if (how == 1)
        y = sc_op_at(&b, gemm, SC_ATTRS(SC_INT(0), SC_INT(1)), x, wv, bv);
    else
        y = sc_op_at(&b, conv,
                     SC_ATTRS(SC_INTS(2, ones), SC_TERMS(4, pads), SC_INTS(2, ones),
                              SC_INT(depthwise ? 24 : 1)),
                     x, wv, bv);
    sc_set_name(&b, y, "y");
    sc_output(&b, sc_intern(cx, "z"), sc_op(&b, relu, sc_op(&b, neg, sc_op(&b, neg, y))));
    sc_output(&b, sc_intern(cx, "y"), y);
    return sc_build_end(&b);
}

START_TEST(each_channel_has_its_exponent)
{
    for (int channels = 0; channels < 2; channels++) {
        uint64_t r = 3;
        ScRecipe recipe = {"r", SCRT_F32, SCRT_F8E4M3FN,
                           .scale = channels ? SC_BY_CHANNEL : SC_BY_TENSOR};
        ScPassEnv env = {.recipe = &recipe};
        ScGraph *g = columns(_i), *q = st_lowered(g, &env);
        ScrtTensor *in = st_inputs(g, &r), *want = st_eval(g, in, NULL),
                   *got = st_eval(q, in, NULL);
        double db = worst_column(&want[1], &got[1]);
        if (channels)
            ck_assert_msg(db > 24, "the worst channel has %.1f dB", db);
        else
            ck_assert_msg(db < 3, "without, the worst channel has %.1f dB", db);
        st_free(in, 1);
        st_free(want, 2);
        st_free(got, 2);
        sc_graph_free(q);
        sc_graph_free(g);
    }
}
END_TEST

/* The largest of the weights as they are stored: [256, 4], of which the first may lie far out. */
static double largest_stored(double first)
{
    uint64_t r = 7;
    int64_t dims[] = {256, 4};
    float *w = sc_array(sc_ctx_arena(cx), float, 1024);
    ScBuild b;
    for (int i = 0; i < 1024; i++)
        w[i] = (float)(i || first == 0 ? st_normal(&r) : first);
    sc_build_init(&b, cx, "g", NULL);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){3, 256});
    const ScBlob *wb = sc_blob(cx, sc_intern(cx, "w"), SCRT_F32, 2, dims, w);
    sc_output(&b, sc_intern(cx, "y"), sc_op(&b, matmul, x, sc_const(&b, wb, SCRT_F32, NULL)));
    ScGraph *g = sc_build_end(&b);
    ScRecipe recipe = {"r", SCRT_F32, SCRT_F8E4M3FN, .scale = SC_BY_CHANNEL};
    ScGraph *q = st_lowered(g, &(ScPassEnv){.recipe = &recipe});
    double most = 0;
    for (uint32_t i = 0; i < q->n_node; i++) {
        const ScNode *n = &q->node[i];
        if (n->op != &sc_op_const || sc_type_of(q, n->first)->dtype != SCRT_F8E4M3FN)
            continue;
        const ScBlob *codes = n->attr[0].blob;
        for (size_t k = 0; k < codes->count; k++)
            most = fmax(most, fabs(scrt_load(codes->dtype, codes->data, k)));
    }
    sc_graph_free(q);
    sc_graph_free(g);
    return most;
}

/* Weights leave the highest exponents free, but where that costs accuracy. */
START_TEST(exponents_stay_free)
{
    const double usual = largest_stored(0), far = largest_stored(99),
                 too_far = largest_stored(4096);
    ck_assert_msg(usual > 28 && usual <= 60, "%g", usual);
    ck_assert_msg(far > 28 && far <= 60, "%g", far);
    ck_assert_msg(too_far > 200, "%g", too_far);
}
END_TEST

/* --- Recipes --------------------------------------------------------------------------------- */

START_TEST(recipe_files)
{
    const char *path = st_recipe("; mostly E5M2\nname = careful\nactivation = f8e5m2\n"
                                 "weight = f8e4m3fn\nround = growth\nscales = delayed\n"
                                 "window = 4\nrescale \"add*\"\n\n"
                                 "layer \"head/*\" activation=f32 weight=f16 scales=static "
                                 "; the last one\n");
    const ScRecipe *r = sc_recipe(cx, path);
    unlink(path);
    ck_assert_msg(r != NULL, "%s", st_words(cx));
    ScStr text = {0};
    sc_recipe_print(r, &text);
    ck_assert_str_eq(sc_str_get(&text),
                     "name = careful\nactivation = f8e5m2\nweight = f8e4m3fn\nscale = tensor\n"
                     "scales = delayed\nwindow = 4\nmargin = 1\nround = growth\nrescale \"add*\"\n"
                     "layer \"head/*\" activation=f32 weight=f16 scales=static\n");
    path = st_recipe(sc_str_get(&text));
    ScStr again = {0};
    sc_recipe_print(sc_recipe(cx, path), &again);
    unlink(path);
    ck_assert_str_eq(sc_str_get(&text), sc_str_get(&again));
    sc_str_free(&text);
    sc_str_free(&again);

    ScGraph *g = st_net(cx), *q = st_lowered(g, &(ScPassEnv){.recipe = r});
    ScVal v[4];
    st_operands(q, v);
    ck_assert_int_eq(sc_type_of(q, v[0])->dtype, SCRT_F8E5M2);
    ck_assert_int_eq(sc_type_of(q, v[1])->dtype, SCRT_F8E4M3FN);
    ck_assert_int_eq(sc_type_of(q, v[2])->dtype, SCRT_F32);
    ck_assert_int_eq(sc_type_of(q, v[3])->dtype, SCRT_F16);
    sc_graph_free(q);
    sc_graph_free(g);
}
END_TEST

/* A recipe cannot store weights whose data nobody gave. */
START_TEST(weights_without_data)
{
    ScBuild b;
    sc_build_init(&b, cx, "g", NULL);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){4, 16});
    const ScBlob *w = sc_blob(cx, sc_intern(cx, "w"), SCRT_F32, 2, (int64_t[]){16, 4}, NULL);
    sc_output(&b, sc_intern(cx, "y"), sc_op(&b, matmul, x, sc_const(&b, w, SCRT_F32, NULL)));
    ScGraph *g = sc_build_end(&b);
    ScPassEnv env = {.recipe = sc_recipe(cx, "fp8")};
    ScGraph *s = st_pass(sc_pass_scalify, g, &env, "scalify");
    ck_assert_ptr_null(sc_pass_quantize(cx, s, &env));
    st_said(cx, "E0110");
    sc_graph_free(s);
    sc_graph_free(g);
}
END_TEST

/* --- Damage ---------------------------------------------------------------------------------- */

static const ScReport *report_of(const ScReport *r, uint32_t n, ScVal v)
{
    for (uint32_t i = 0; i < n; i++)
        if (r[i].v == v)
            return &r[i];
    ck_abort_msg("no report of value %u", v);
}

START_TEST(damage_names_the_worst)
{
    uint64_t r = 4;
    uint32_t n;
    ScGraph *g = st_net(cx), *q = st_lowered(g, &(ScPassEnv){.recipe = sc_recipe(cx, "fp8")});
    ScDamage *d = sc_damage_begin(cx, q, g);
    for (int i = 0; i < 4; i++) {
        ScrtTensor *in = st_inputs(q, &r);
        in[0].dims[0] = 4;
        ((float *)in[0].data)[0] = 1e6f;  /* saturates at RMS 4 */
        ((float *)in[0].data)[1] = 1e-9f; /* underflows */
        ck_assert(sc_damage_add(d, in));
        st_free(in, q->n_in);
    }
    const ScReport *rep = sc_damage_end(d, &n);
    ScVal v[4];
    st_operands(q, v);
    const ScReport *x = report_of(rep, n, v[0]);
    ck_assert_str_eq(x->name, "x"); /* the cast is the stored form of x */
    ck_assert(x->saturated == 1.0 / 64 && x->underflow == 1.0 / 64);
    ck_assert(x->amax == 448);
    ck_assert(x->sqnr < 1 && x->rounding == x->sqnr); /* losing 1e6 is the worst that can happen */
    const ScReport *w = report_of(rep, n, v[1]);
    ck_assert_msg(w->sqnr > 25 && w->sqnr < 40, "weights in E4M3 have %g dB", w->sqnr);
    ck_assert(w->rounding == w->sqnr);
    for (uint32_t i = 1; i < n; i++)
        ck_assert_uint_lt(rep[i - 1].v, rep[i].v);
    const ScReport *later =
        report_of(rep, n, v[2]); /* the second product's operand, stored again */
    ck_assert_msg(later->rounding > 25 && later->sqnr < later->rounding, "%g and %g dB",
                  later->rounding, later->sqnr);
    sc_graph_free(q);

    /* against itself nothing is lost */
    d = sc_damage_begin(cx, g, g);
    ScrtTensor *in = st_inputs(g, &r);
    ck_assert(sc_damage_add(d, in));
    st_free(in, g->n_in);
    rep = sc_damage_end(d, &n);
    ck_assert_uint_eq(n, 4); /* x, h, a, y */
    for (uint32_t i = 0; i < n; i++)
        ck_assert(isnan(rep[i].rounding) && isinf(rep[i].sqnr));
    sc_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quantize");
    TCase *t = tcase_create("quantize");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, weights_are_pinned_by_amax);
    tcase_add_test(t, activations_are_pinned_at_rms_4);
    tcase_add_test(t, round_down_casts_at_rms_1);
    tcase_add_test(t, large_tables_are_stored);
    tcase_add_test(t, nothing_low_nothing_left);
    tcase_add_test(t, narrow_values_keep_their_exponents);
    tcase_add_loop_test(t, each_channel_has_its_exponent, 0, 4);
    tcase_add_test(t, exponents_stay_free);
    tcase_add_test(t, recipe_files);
    tcase_add_test(t, weights_without_data);
    tcase_add_test(t, damage_names_the_worst);
    suite_add_tcase(s, t);
    return sct_main("quantize", s);
}
