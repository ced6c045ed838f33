/* SPDX-License-Identifier: Apache-2.0 */
/* Probing: what inputs are given by what they mean, and that its statistics are those of the graph.
 */
#include "tests/passes/scale_util.h"

static ScCtx *cx;

static void setup(void)
{
    cx = sc_ctx_new();
}

static void teardown(void)
{
    sc_ctx_free(cx);
}

/* ids [n, s] into an embedding of 50 rows, a mask that becomes 0 or -1e9, products between. */
static ScGraph *tiny(void)
{
    uint64_t r = 2;
    ScBuild b;
    sc_build_init(&b, cx, "tiny", NULL);
    const ScTerm *dim[] = {sc_term_sym(cx, "batch"), sc_term_sym(cx, "seq")};
    ScVal ids = sc_input(&b, "ids", sc_type(cx, SCRT_I64, 2, dim), NULL);
    ScVal mask = sc_input(&b, "mask", sc_type(cx, SCRT_I64, 2, dim), NULL);
    ScVal bias = sc_input(&b, "bias", sc_type(cx, SCRT_F32, 2, dim), NULL);
    ScVal table = st_weight(&b, &r, "table", 2, (int64_t[]){50, 16}, 0.02);
    ScVal h = sc_op_at(&b, gather, SC_ATTRS(SC_INT(0)), table, ids);
    sc_set_name(&b, h, "h");
    ScVal w = st_weight(&b, &r, "w", 2, (int64_t[]){16, 16}, 8);
    h = sc_op(&b, matmul, h, w);
    sc_set_name(&b, h, "y");
    sc_output(&b, sc_intern(cx, "y"), h);
    ScVal m = sc_op_at(&b, cast, SC_ATTRS(SC_DT(SCRT_F32)), mask);
    ScVal one = sc_const_scalar(&b, SCRT_F32, 1), low = sc_const_scalar(&b, SCRT_F32, -1e9);
    m = sc_op(&b, mul, sc_op(&b, sub, one, m), low);
    ScVal n = sc_op(&b, mul, sc_op(&b, sub, one, bias), low);
    sc_output(&b, sc_intern(cx, "m"), sc_op(&b, add, m, n));
    return sc_build_end(&b);
}

START_TEST(inputs_by_their_meaning)
{
    ScGraph *g = tiny();
    ScrtTensor in[3];
    bool different = false;
    ck_assert_msg(sc_probe_inputs(cx, g, SC_PROBE_NOISE, in), "%s", st_words(cx));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(in[i].dims[0], 1);
        ck_assert_int_eq(in[i].dims[1], 64);
    }
    for (size_t k = 0; k < 64; k++) {
        int64_t id = scrt_load_int(SCRT_I64, in[0].data, k);
        ck_assert(id >= 0 && id < 50);
        different = different || id != scrt_load_int(SCRT_I64, in[0].data, 0);
        ck_assert_int_eq(scrt_load_int(SCRT_I64, in[1].data, k), 1);
        ck_assert(scrt_load(SCRT_F32, in[2].data, k) == 1);
    }
    ck_assert(different);
    for (int i = 0; i < 3; i++)
        scrt_free(in[i].data);
    sc_graph_free(g);
}
END_TEST

/* The measuring graph, evaluated, says what calibration on the same inputs says. */
START_TEST(statistics_are_those_of_a_calibration)
{
    ScGraph *g = tiny(), *p = sc_probe_graph(cx, g);
    ScrtTensor in[3];
    ck_assert(p && sc_verify(p, "probe"));
    ck_assert(sc_probe_inputs(cx, g, SC_PROBE_NOISE, in));
    ScrtTensor *out = st_eval(p, in, NULL);
    const ScStats *s = sc_probe_stats(cx, g, out, NULL);
    ScCalibrator *c = sc_calibrate_begin(cx, g);
    ck_assert(sc_calibrate_add(c, in, NULL));
    const ScStats *want = sc_calibrate_end(c);
    ck_assert_uint_eq(s->n, 1);
    ck_assert_str_eq(s->stat[0].name, "h");
    ck_assert_uint_eq(s->graph, want->graph);
    for (uint32_t i = 0; i < want->n; i++)
        if (strcmp(want->stat[i].name, "h") == 0) {
            ck_assert(fabs(s->stat[0].rms / want->stat[i].rms - 1) < 1e-5);
            ck_assert(s->stat[0].amax == want->stat[i].amax);
        }
    ScPassEnv env = {.recipe = sc_recipe(cx, "fp8"), .scales = SC_SCALES_PROBE, .stats = s};
    ScGraph *scaled = st_pass(sc_pass_scalify, g, &env, "scalify");
    sc_graph_free(scaled);
    st_free(out, p->n_out);
    for (int i = 0; i < 3; i++)
        scrt_free(in[i].data);
    sc_graph_free(p);
    sc_graph_free(g);
}
END_TEST

/* Synthetic inputs may be much smaller than real ones: what they pin has its RMS at 4, where
 * samples that peak as high would have left a bit and a half; f16, whose range is wide, at 1,
 * whatever was measured. The file of what they measured is read again. */
START_TEST(room_is_left_for_larger_inputs)
{
    uint64_t r = 3;
    ScBuild b;
    ScrtTensor in[1];
    sc_build_init(&b, cx, "one product", NULL);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){8, 64});
    ScVal w = st_weight(&b, &r, "w", 2, (int64_t[]){64, 16}, 1);
    sc_output(&b, sc_intern(cx, "y"), sc_op(&b, matmul, x, w));
    ScGraph *g = sc_build_end(&b), *p = sc_probe_graph(cx, g);
    ck_assert(p && sc_probe_inputs(cx, g, SC_PROBE_NOISE, in));
    ScrtTensor *out = st_eval(p, in, NULL);
    const ScStats *s = sc_probe_stats(cx, g, out, NULL);
    ScStr text = {0};
    sc_stats_print(s, &text);
    const ScStats *read = sc_stats_parse(cx, "stats", sc_str_get(&text));
    ck_assert_msg(read && read->n == s->n, "%s", st_words(cx));
    ck_assert(read->stat[0].rms == s->stat[0].rms && read->stat[0].amax == s->stat[0].amax);
    sc_str_free(&text);

    int64_t e[3];
    static const struct {
        ScScales source;
        const char *recipe;
        ScrtDtype low;
    } way[] = {{SC_SCALES_PROBE, "fp8", SCRT_F8E4M3FN},
               {SC_SCALES_CALIBRATE, "fp8", SCRT_F8E4M3FN},
               {SC_SCALES_CALIBRATE, "f16", SCRT_F16}};
    for (int k = 0; k < 3; k++) {
        ScPassEnv env = {
            .recipe = sc_recipe(cx, way[k].recipe), .scales = way[k].source, .stats = read};
        ScGraph *scaled = st_pass(sc_pass_scalify, g, &env, "scalify");
        ScGraph *low = st_pass(sc_pass_quantize, scaled, &env, "quantize");
        x = SC_POISON;
        for (uint32_t i = 0; i < low->n_node; i++)
            if (low->node[i].op == &sc_op_matmul)
                x = low->node[i].in[0];
        ck_assert(x != SC_POISON && sc_type_of(low, x)->dtype == way[k].low);
        ck_assert(sc_term_const(low->value[x].exp, &e[k]));
        sc_graph_free(low);
        sc_graph_free(scaled);
    }
    ck_assert_int_eq(e[2], e[0] + 2);
    double amax = ldexp(s->stat[0].amax, (int)-e[1]), rms = ldexp(s->stat[0].rms, (int)-e[0]);
    ck_assert_msg(amax > 90 && amax < 182, "%g", amax); /* 2^7, to the nearest power */
    ck_assert_msg(rms > 1.99 && rms < 4.01, "%g", rms);
    st_free(out, p->n_out);
    scrt_free(in[0].data);
    sc_graph_free(p);
    sc_graph_free(g);
}
END_TEST

/* A one-hot written out: what is compared with 0, 1, 2, ... is one of them, not a mask of ones; on
 * the other run few are repeated. */
START_TEST(what_is_compared_with_all_is_one_of_them)
{
    ScBuild b;
    ScrtTensor in[1];
    int64_t all[40], count[2] = {0};
    for (int i = 0; i < 40; i++)
        all[i] = i;
    sc_build_init(&b, cx, "bytes", NULL);
    ScVal x = st_input(&b, "x", SCRT_I64, 2, (int64_t[]){64, 1});
    ScVal k = sc_const(&b, sc_blob(cx, "all", SCRT_I64, 1, (int64_t[]){40}, all), SCRT_I64, NULL);
    x = sc_op_at(&b, cast, SC_ATTRS(SC_DT(SCRT_F32)), sc_op(&b, equal, x, k));
    sc_output(&b, sc_intern(cx, "y"), x);
    ScGraph *g = sc_build_end(&b);
    ck_assert_int_eq(sc_index_limit(g, 0), 40);
    ck_assert(sc_probe_confirms(g));
    ck_assert(sc_probe_inputs(cx, g, SC_PROBE_NOISE, in));
    bool met[40] = {false};
    for (size_t i = 0; i < 64; i++) {
        int64_t v = scrt_load_int(SCRT_I64, in[0].data, i);
        ck_assert(v >= 0 && v < 40);
        count[0] += !met[v];
        met[v] = true;
    }
    ck_assert_int_gt(count[0], 20);
    scrt_free(in[0].data);
    sc_graph_free(g);

    sc_build_init(&b, cx, "ids", NULL);
    x = st_input(&b, "x", SCRT_I64, 1, (int64_t[]){64});
    uint64_t r = 4;
    ScVal table = st_weight(&b, &r, "table", 2, (int64_t[]){1000, 4}, 1);
    sc_output(&b, sc_intern(cx, "y"), sc_op_at(&b, gather, SC_ATTRS(SC_INT(0)), table, x));
    g = sc_build_end(&b);
    ck_assert(sc_probe_inputs(cx, g, SC_PROBE_RAMP, in));
    for (size_t i = 1; i < 64; i++)
        count[1] +=
            scrt_load_int(SCRT_I64, in[0].data, i) != scrt_load_int(SCRT_I64, in[0].data, i - 1);
    ck_assert_int_eq(count[1], 7);
    scrt_free(in[0].data);
    sc_graph_free(g);
}
END_TEST

/* What both runs gain by is a factor: here all numbers are 0 or 1.0625, between two
 * codes. */
START_TEST(factors_are_those_of_both_runs)
{
    ScBuild b;
    uint64_t r = 6;
    ScrtTensor in[1], *out[2];
    sc_build_init(&b, cx, "steps", NULL);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){64, 64});
    ScVal h = sc_op(&b, relu, sc_op(&b, sign, x));
    h = sc_op(&b, mul, h, sc_const_scalar(&b, SCRT_F32, 1.0625));
    sc_set_name(&b, h, "h");
    ScVal w = st_weight(&b, &r, "w", 2, (int64_t[]){64, 16}, 1);
    sc_output(&b, sc_intern(cx, "y"), sc_op(&b, matmul, h, w));
    sc_output(&b, sc_intern(cx, "z"), sc_op(&b, matmul, x, w));
    ScGraph *g = sc_build_end(&b), *p = sc_probe_graph(cx, g);
    for (int k = 0; k < 2; k++) {
        ck_assert(p && sc_probe_inputs(cx, g, k ? SC_PROBE_RAMP : SC_PROBE_NOISE, in));
        out[k] = st_eval(p, in, NULL);
        scrt_free(in[0].data);
    }
    const ScStats *s = sc_probe_stats(cx, g, out[0], out[1]);
    ck_assert_uint_eq(s->n, 2);
    ck_assert_str_eq(s->stat[0].name, "h");
    ck_assert_msg(s->stat[0].gain > 20, "%g", s->stat[0].gain); /* 1.0625 is between two codes */
    double code = 1.0625 / s->stat[0].factor * 16;
    ck_assert_msg(code == rint(code), "%g", s->stat[0].factor);
    ck_assert(s->stat[1].factor == 0); /* of x, which we made up all */
    s = sc_probe_stats(cx, g, out[0], NULL);
    ck_assert(s->stat[0].factor == 0);
    for (int k = 0; k < 2; k++)
        st_free(out[k], p->n_out);
    sc_graph_free(p);
    sc_graph_free(g);
}
END_TEST

/* In loops over all turns, in the branch that was taken, and deeper; each has its name. */
START_TEST(nested_graphs_are_measured)
{
    static const char *const path[] = {"loop.sc", "branches.sc"};
    static const char *const site[][2] = {{"1/e", "1/h"}, {"1/w", "3/1/v"}};
    for (int k = 0; k < 2; k++) {
        char file[64];
        snprintf(file, sizeof file, "tests/model/data/identity/%s", path[k]);
        char *text = sct_read(sct_source(file), NULL);
        ScGraph *g = sc_parse(cx, path[k], text, NULL, NULL), *p = g ? sc_probe_graph(cx, g) : NULL;
        ck_assert_msg(p && sc_verify(p, "probe"), "%s", st_words(cx));
        ScrtTensor *in = calloc(g->n_in, sizeof *in);
        ck_assert_ptr_nonnull(in);
        ck_assert(sc_probe_inputs(cx, g, SC_PROBE_NOISE, in));
        if (k == 1) /* the first branch */
            *(float *)in[2].data = 1;
        ScrtTensor *out = st_eval(p, in, NULL);
        const ScStats *s = sc_probe_stats(cx, g, out, NULL);
        ScCalibrator *c = sc_calibrate_begin(cx, g);
        ck_assert(sc_calibrate_add(c, in, NULL));
        const ScStats *want = sc_calibrate_end(c);
        ScStr file_text = {0};
        sc_stats_print(want, &file_text);
        want = sc_stats_parse(cx, "stats", sc_str_get(&file_text)); /* 1/"the sum" among them */
        ck_assert_msg(want != NULL, "%s", st_words(cx));
        sc_str_free(&file_text);
        uint32_t found[2] = {0}, same = 0;
        for (uint32_t i = 0; i < s->n; i++)
            for (uint32_t j = 0; j < want->n; j++) {
                if (strcmp(s->stat[i].name, want->stat[j].name) != 0)
                    continue;
                ck_assert_msg(fabs(s->stat[i].rms / want->stat[j].rms - 1) < 1e-5 &&
                                  s->stat[i].amax == want->stat[j].amax,
                              "%s: rms %g, not %g", s->stat[i].name, s->stat[i].rms,
                              want->stat[j].rms);
                same++;
                for (int f = 0; f < 2; f++)
                    found[f] += !strcmp(s->stat[i].name, site[k][f]);
            }
        ck_assert_uint_eq(same, s->n);
        ck_assert_msg(found[0] && found[1], "%s: a site is not measured", path[k]);
        ScPassEnv env = {.recipe = sc_recipe(cx, "fp8"), .scales = SC_SCALES_PROBE, .stats = s};
        sc_graph_free(st_pass(sc_pass_scalify, g, &env, "scalify"));
        st_free(out, p->n_out);
        st_free(in, g->n_in);
        sc_graph_free(p);
        sc_graph_free(g);
        free(text);
    }
}
END_TEST

/* An id that a loop carries and a branch looks up, how many turns, and whether: what runs inside
 * says what they mean. */
START_TEST(meanings_of_what_enters)
{
    static const char text[] =
        "graph @g(%turns: i64[], %whether: bool[], %id: i64[3], %table: f32[40,16], "
        "%h: f32[3,16]) -> (%last, %y) {\n"
        "  %on = const true : bool[]\n"
        "  %last, %all = loop %turns, %on, %id, %table {as = [0,some,0,0], carried = 1} : i64[3], "
        "f32[some,3,16]\n"
        "    graph @body(%i: i64[], %id: i64[3], %table: f32[40,16]) -> (%on, %id, %e) {\n"
        "      %on = const true : bool[]\n"
        "      %e = gather %table, %id {axis = 0} : f32[3,16]\n"
        "    }\n"
        "  %y = if %whether, %h, %id : f32[3,16]\n"
        "    graph @then(%h: f32[3,16], %id: i64[3]) -> (%h) {\n"
        "    }\n"
        "    graph @else(%h: f32[3,16], %id: i64[3]) -> (%r) {\n"
        "      %r = neg %h : f32[3,16]\n"
        "    }\n"
        "}\n";
    ScrtTensor in[5] = {0};
    ScGraph *g = sc_parse(cx, "enters", text, NULL, NULL);
    ck_assert_msg(g && sc_probe_inputs(cx, g, SC_PROBE_NOISE, in), "%s", st_words(cx));
    ck_assert_int_eq(scrt_load_int(SCRT_I64, in[0].data, 0), 1);
    ck_assert_int_eq(scrt_load_int(SCRT_BOOL, in[1].data, 0), 1);
    ck_assert_int_eq(sc_index_limit(g, 2), 40);
    for (uint32_t i = 0; i < g->n_in; i++)
        scrt_free(in[i].data);
    sc_graph_free(g);
}
END_TEST

static double mean_square(const ScrtTensor *t)
{
    double sum = 0;
    for (int64_t k = 0; k < scrt_count(t); k++) {
        double x = scrt_load(SCRT_F32, t->data, (size_t)k);
        sum += x * x;
    }
    return sum / (double)scrt_count(t);
}

/* What a window moves over as one channel is a waveform, also in a branch and behind mirrored ends,
 * and lies between -1 and 1; several channels are not, of which nobody knows how large they are. */
START_TEST(waveforms_are_quiet)
{
    static const char text[] =
        "graph @g(%x: f32[1,4096], %i: i64[4096], %w: f32[2,1,16], %z: f32[1,2,64], "
        "%v: f32[2,2,16], %rate: i64[]) -> (%y, %u) {\n"
        "  %u = conv %z, %v {strides = [1], pads = [0,0], dilations = [1]} : f32[1,2,49]\n"
        "  %some = const 16000 : i64[]\n"
        "  %is = equal %rate, %some : bool[]\n"
        "  %y = if %is, %x, %i, %w : f32[1,2,4081]\n"
        "    graph @then(%x: f32[1,4096], %i: i64[4096], %w: f32[2,1,16]) -> (%y) {\n"
        "      %m = gather %x, %i {axis = 1} : f32[1,4096]\n"
        "      %r = reshape %m : f32[1,1,4096]\n"
        "      %y = conv %r, %w {strides = [1], pads = [0,0], dilations = [1]} : f32[1,2,4081]\n"
        "    }\n"
        "    graph @else(%x: f32[1,4096], %i: i64[4096], %w: f32[2,1,16]) -> (%y) {\n"
        "      %r = reshape %x : f32[1,1,4096]\n"
        "      %c = conv %r, %w {strides = [1], pads = [0,0], dilations = [1]} : f32[1,2,4081]\n"
        "      %y = neg %c : f32[1,2,4081]\n"
        "    }\n"
        "}\n";
    ScrtTensor in[2][6];
    ScGraph *g = sc_parse(cx, "speech", text, NULL, NULL);
    ck_assert_msg(g != NULL, "%s", st_words(cx));
    for (int kind = 0; kind < 2; kind++) {
        ck_assert(sc_probe_inputs(cx, g, kind ? SC_PROBE_RAMP : SC_PROBE_NOISE, in[kind]));
        double wave = sqrt(mean_square(&in[kind][0])), other = sqrt(mean_square(&in[kind][3]));
        ck_assert_msg(wave > 0.05 && wave < 0.2, "%g", wave);
        other *= kind ? 16 : 1;
        ck_assert_msg(other > 0.4 && other < 1.3, "%g", other);
    }
    ck_assert(!sc_probe_confirms(g) && !sc_probe_knows_size(g));
    /* The rate is the one that it is compared with, and another one, so that both branches run. */
    ck_assert_int_eq(scrt_load_int(SCRT_I64, in[0][5].data, 0), 16000);
    ck_assert_int_eq(scrt_load_int(SCRT_I64, in[1][5].data, 0), 1);
    ScGraph *p = sc_probe_graph(cx, g);
    ScrtTensor *out[2] = {st_eval(p, in[0], NULL), st_eval(p, in[1], NULL)};
    const ScStats *s = sc_probe_stats(cx, g, out[0], out[1]);
    uint32_t inside = 0;
    for (uint32_t i = 0; i < s->n; i++)
        inside += (s->stat[i].name[0] == '1' || s->stat[i].name[0] == '2') && s->stat[i].amax > 0;
    ck_assert_msg(inside >= 2, "%u sites of %u are inside", inside, s->n);
    for (int kind = 0; kind < 2; kind++) {
        st_free(out[kind], p->n_out);
        for (int i = 0; i < 6; i++)
            scrt_free(in[kind][i].data);
    }
    sc_graph_free(p);
    sc_graph_free(g);
}
END_TEST

/* As many nodes as an edge's ends are picked from, not one. */
START_TEST(what_is_picked_from_is_many)
{
    ScrtTensor in[2];
    ScGraph *g = sc_parse(cx, "gnn",
                          "graph @g(%x: f32[nodes,8], %e: i64[edges]) -> (%y) {\n"
                          "  guard min(edges,1) <= nodes : \"picked\"\n"
                          "  %y = gather %x, %e {axis = 0} : f32[edges,8]\n}\n",
                          NULL, NULL);
    ck_assert_msg(g && sc_probe_inputs(cx, g, SC_PROBE_NOISE, in), "%s", st_words(cx));
    ck_assert_int_eq(in[0].dims[0], 64);
    for (int i = 0; i < 2; i++)
        scrt_free(in[i].data);
    sc_graph_free(g);
}
END_TEST

/* As long as the window that moves over it needs. */
START_TEST(sizes_fit_what_is_asked_of_them)
{
    ScrtTensor in[1];
    ScGraph *g = sc_parse(cx, "stft",
                          "graph @g(%x: f32[batch,length]) -> (%y) {\n"
                          "  guard 200 <= length : \"a window\"\n"
                          "  %y = relu %x : f32[batch,length]\n}\n",
                          NULL, NULL);
    ck_assert_msg(g && sc_probe_inputs(cx, g, SC_PROBE_NOISE, in), "%s", st_words(cx));
    ck_assert_int_eq(in[0].dims[0], 1);
    ck_assert_int_eq(in[0].dims[1], 256);
    scrt_free(in[0].data);
    sc_graph_free(g);
}
END_TEST

/* A decoder's mask is as long as its cache and the new tokens, by a symbol of its own, whose name
 * may be their sum. */
START_TEST(an_extent_that_is_the_sum_of_others)
{
    ScrtTensor in[3];
    ScGraph *g =
        sc_parse(cx, "decoder",
                 "graph @g(%m: f32[batch,\"past + new\"], %p: f32[batch,past], "
                 "%x: f32[batch,new]) -> (%y) {\n"
                 "  guard past+new meets min(past+new,\"past + new\") : \"a mask\"\n"
                 "  %c = concat %p, %x {axis = 1} : f32[batch,past+new]\n"
                 "  %s = slice %m {starts = [0], ends = [past+new], axes = [1], steps = [1]} : "
                 "f32[batch,min(past+new,\"past + new\")]\n"
                 "  %y = add %c, %s : f32[batch,bcast(past+new,min(past+new,\"past + new\"))]\n}\n",
                 NULL, NULL);
    ck_assert_msg(g && sc_probe_inputs(cx, g, SC_PROBE_NOISE, in), "%s", st_words(cx));
    ck_assert_int_eq(in[0].dims[1], in[1].dims[1] + in[2].dims[1]);
    for (int i = 0; i < 3; i++)
        scrt_free(in[i].data);
    sc_graph_free(g);
}
END_TEST

/* Pixels of 8 bits; and a number of which nothing is known. */
START_TEST(pixels_and_mysteries)
{
    ScBuild b;
    ScrtTensor in[1];
    double least = 255, most = 0;
    sc_build_init(&b, cx, "pixels", NULL);
    ScVal x = st_input(&b, "x", SCRT_U8, 2, (int64_t[]){8, 64});
    sc_output(&b, sc_intern(cx, "y"), sc_op_at(&b, cast, SC_ATTRS(SC_DT(SCRT_F32)), x));
    ScGraph *g = sc_build_end(&b);
    ck_assert(sc_probe_inputs(cx, g, SC_PROBE_NOISE, in));
    for (size_t k = 0; k < 512; k++) {
        double v = (double)scrt_load_int(SCRT_U8, in[0].data, k);
        least = fmin(least, v);
        most = fmax(most, v);
    }
    ck_assert(least < 20 && most > 235);
    scrt_free(in[0].data);
    sc_graph_free(g);

    sc_build_init(&b, cx, "mystery", NULL);
    x = st_input(&b, "how many", SCRT_I64, 1, (int64_t[]){4});
    sc_output(&b, sc_intern(cx, "y"), sc_op(&b, neg, x));
    g = sc_build_end(&b);
    ck_assert(!sc_probe_inputs(cx, g, SC_PROBE_NOISE, in));
    st_said(cx, "what input \"how many\" means is not known");
    scrt_free(in[0].data);
    sc_graph_free(g);
}
END_TEST

/* A softmax over a length that nobody knows, measured at one: its exponent is what was measured,
 * not that and the length's share again. */
START_TEST(what_extents_do_is_counted_once)
{
    ScBuild b;
    ScrtTensor in[2];
    sc_build_init(&b, cx, "attention", NULL);
    const ScTerm *n = sc_term_sym(cx, "n"), *heads = sc_term(cx, 2);
    const ScTerm *rows[] = {heads, sc_term(cx, 4), n}, *v[] = {heads, n, sc_term(cx, 8)};
    ScVal x = sc_input(&b, "x", sc_type(cx, SCRT_F16, 3, rows), NULL);
    ScVal y = sc_input(&b, "v", sc_type(cx, SCRT_F16, 3, v), NULL);
    x = sc_op_at(&b, softmax, SC_ATTRS(SC_INT(2)), x, sc_const_scalar(&b, SCRT_F16, 1));
    sc_output(&b, sc_intern(cx, "y"), sc_op(&b, matmul, x, y));
    ScGraph *g = sc_build_end(&b), *p = sc_probe_graph(cx, g);
    ck_assert(sc_probe_inputs(cx, g, SC_PROBE_NOISE, in));
    ScrtTensor *out = st_eval(p, in, NULL);
    ScPassEnv env = {.recipe = sc_recipe(cx, "fp8"),
                     .scales = SC_SCALES_PROBE,
                     .stats = sc_probe_stats(cx, g, out, NULL)};
    ScGraph *scaled = st_pass(sc_pass_scalify, g, &env, "scalify");
    ScVal weights = SC_POISON;
    for (uint32_t i = 0; i < scaled->n_node; i++)
        if (scaled->node[i].op == &sc_op_matmul)
            weights = scaled->node[i].in[0];
    int64_t e = 0;
    bool known = sc_term_const(scaled->value[weights].exp, &e);
    ck_assert_msg(known && (e == -5 || e == -6), "%lld", (long long)e); /* 1/64, unevenly */
    sc_graph_free(scaled);
    st_free(out, p->n_out);
    for (int i = 0; i < 2; i++)
        scrt_free(in[i].data);
    sc_graph_free(p);
    sc_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("probe");
    TCase *t = tcase_create("probe");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, inputs_by_their_meaning);
    tcase_add_test(t, statistics_are_those_of_a_calibration);
    tcase_add_test(t, room_is_left_for_larger_inputs);
    tcase_add_test(t, what_is_compared_with_all_is_one_of_them);
    tcase_add_test(t, factors_are_those_of_both_runs);
    tcase_add_test(t, nested_graphs_are_measured);
    tcase_add_test(t, meanings_of_what_enters);
    tcase_add_test(t, waveforms_are_quiet);
    tcase_add_test(t, what_is_picked_from_is_many);
    tcase_add_test(t, sizes_fit_what_is_asked_of_them);
    tcase_add_test(t, an_extent_that_is_the_sum_of_others);
    tcase_add_test(t, pixels_and_mysteries);
    tcase_add_test(t, what_extents_do_is_counted_once);
    suite_add_tcase(s, t);
    return sct_main("probe", s);
}
