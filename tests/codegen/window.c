/* SPDX-License-Identifier: Apache-2.0 */
/* CONV and POOL kernels beside the evaluator: convolutions within K * 2^-24 * sum |a| |b|, maxima
 * bit for bit, means within the bound of their sum; whatever the pads, strides, dilations, groups,
 * ranks.
 */
#include "tests/codegen/rig.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void compare(const Rig *r, const ScrtTensor *got, const ScrtTensor *want,
                    const ScrtTensor *mag, int64_t depth)
{
    ScrtDtype t = (ScrtDtype)want->dtype;
    double last = t == SCRT_F32 || !mag ? 0 : ldexp(1, -scrt_format(t)->man_bits);
    ck_assert_int_eq(scrt_count(got), scrt_count(want));
    for (int64_t i = 0; i < scrt_count(want); i++) {
        double g = scrt_load(t, got->data, (size_t)i), w = scrt_load(t, want->data, (size_t)i);
        double m = mag ? scrt_load(t, mag->data, (size_t)i) : 0;
        double bound = (double)(depth + 2) * 0x1p-24 * m + last * fabs(w);
        ck_assert_msg(fabs(g - w) <= bound || g == w || (isnan(g) && isnan(w)),
                      "element %lld is %.9g, not %.9g (bound %.3g)\n%s\n%s", (long long)i, g, w,
                      bound, rig_what(r, 0), r->text);
    }
}

/* Builds the graph and its inputs; returns how many elements a result is made of. */
typedef int64_t (*Make)(Rig *r, const ScOp *op);

/* exact: the results are to be equal, not within the bound of a sum. */
static void check(const char *cpu, uint64_t seed, const ScOp *op, Make make, bool exact)
{
    Rig r[2];
    ScrtTensor got[RIG_PORTS], want[RIG_PORTS], mag[RIG_PORTS];
    int64_t depth = 0;
    for (int i = 0; i < 2; i++) {
        rig_init(&r[i], cpu, seed);
        r[i].magnitudes = i == 1;
        depth = make(&r[i], op);
    }
    rig_compile(&r[0]);
    rig_evaluate(&r[0], want);
    rig_evaluate(&r[1], mag);
    rig_run_threads(&r[0], got);
    compare(&r[0], &got[0], &want[0], exact ? NULL : &mag[0], depth);
    rig_outputs_free(&r[0], got);
    rig_outputs_free(&r[0], want);
    rig_outputs_free(&r[1], mag);
    rig_free(&r[0]);
    rig_free(&r[1]);
}

static void on_each_cpu(int rounds, const ScOp *op, Make make, bool exact)
{
    for (int c = 0; c < SCT_N_PRODUCT_CPU; c++) {
        if (!sct_runs(sct_product_cpu(c))) {
            sct_note_skip(false, __func__, "this machine does not run %s", sct_product_cpu(c));
            continue;
        }
        for (int i = 0; i < sct_rounds(c, rounds); i++)
            check(sct_levels(c, i), (uint64_t)i * SCT_N_PRODUCT_CPU + (uint64_t)c, op, make, exact);
    }
}

/* --- Nodes as the row draws them: one to three spatial dims, every attribute ----------------- */

static int64_t make_drawn(Rig *r, const ScOp *op)
{
    ScBuild b;
    uint64_t seed = (uint64_t)rig_draw(r, 1, INT32_MAX);
    ScVal y;
    sc_build_init(&b, r->cx, "g", NULL);
    ck_assert_uint_eq(op->domain.make(&b, &seed, &y), 1);
    sc_output(&b, "y", y);
    rig_take(r, sc_build_end(&b));
    rig_inputs(r, NULL, 0);
    int64_t depth = 1;
    const ScType *w = r->g->n_in > 1 ? sc_type_of(r->g, r->g->in[1]) : NULL;
    for (uint32_t d = 1; w && d < w->rank; d++)
        depth *= w->dim[d]->c;
    return w ? depth : 64;
}

START_TEST(drawn_conv)
{
    on_each_cpu(40, &sc_op_conv, make_drawn, false);
}
END_TEST

START_TEST(drawn_maxpool)
{
    on_each_cpu(30, &sc_op_maxpool, make_drawn, true);
}
END_TEST

START_TEST(drawn_avgpool)
{
    on_each_cpu(30, &sc_op_avgpool, make_drawn, false);
}
END_TEST

/* --- Convolutions of two dims in every format, with symbolic batch, groups and an epilogue --- */

static int64_t out_extent(int64_t x, int64_t before, int64_t after, int64_t size, int64_t stride)
{
    return (x + before + after - size) / stride + 1;
}

/* "n,c,y,x", or with channels last "n,y,x,c". */
static const char *shape(char *buf, size_t n, bool last, const char *batch, int64_t c,
                         const int64_t *size)
{
    if (last)
        snprintf(buf, n, "%s,%lld,%lld,%lld", batch, (long long)size[0], (long long)size[1],
                 (long long)c);
    else
        snprintf(buf, n, "%s,%lld,%lld,%lld", batch, (long long)c, (long long)size[0],
                 (long long)size[1]);
    return buf;
}

/* Nodes after value %c that leave it as it is, of type t: in half of the cases so many that several
 * vectors of them, or rows beside one another, are computed at once. Answers the last one's name.
 */
static const char *draw_nodes(Rig *r, const char *t, size_t n, char *ret_text)
{
    bool many = rig_draw(r, 0, 1);
    char from[8] = "c", to[8];
    ret_text[0] = '\0';
    for (int i = 0; many && i < 10; i++) {
        size_t at = strlen(ret_text);
        snprintf(to, sizeof to, "d%d", i);
        snprintf(ret_text + at, n - at, "  %%%s = neg %%%s : %s\n", to, from, t);
        memcpy(from, to, sizeof to);
    }
    return many ? "d9" : "c";
}

static int64_t make_conv(Rig *r, const ScOp *op)
{
    static const char *const type[][3] = {
        {"f8e4m3fn", "f8e4m3fn", "f32"}, {"f32", "f8e4m3fn", "f32"}, {"f8e5m2", "f8e4m3fn", "f32"},
        {"f16", "f16", "f16"},           {"bf16", "bf16", "bf16"},   {"f8e4m3fn", "f32", "f32"},
    };
    (void)op;
    const char *const *t = type[rig_draw(r, 0, 5)];
    int64_t group = rig_draw(r, 1, 3), in = rig_draw(r, 1, 4), out = group * rig_draw(r, 1, 20);
    if (rig_draw(r, 0, 3) == 0) { /* each channel by itself */
        in = 1;
        out = group = rig_draw(r, 2, 40);
    }
    int64_t batch = rig_draw(r, 0, 3), stride[2], pad[4], dil[2], x[2], k[2], y[2];
    for (int i = 0; i < 2; i++) {
        k[i] = rig_draw(r, 1, 5);
        dil[i] = rig_draw(r, 1, 2);
        stride[i] = rig_draw(r, 0, 2) ? 1 : rig_draw(r, 2, 3);
        pad[i] = rig_draw(r, 0, 3);
        pad[2 + i] = rig_draw(r, 0, 3);
        x[i] = (k[i] - 1) * dil[i] + 1 + rig_draw(r, 0, 30);
        y[i] = out_extent(x[i], pad[i], pad[2 + i], (k[i] - 1) * dil[i] + 1, stride[i]);
    }
    rig_blob(r, "w", 4, (int64_t[]){out, in, k[0], k[1]});
    rig_blob(r, "b", 1, &out);
    bool last = rig_draw(r, 0, 1);
    char result[96], from[96], to[96];
    shape(from, sizeof from, last, "n", in * group, x);
    snprintf(result, sizeof result, "%s[%s]", t[2], shape(to, sizeof to, last, "n", out, y));
    char nodes[1024];
    const char *end = draw_nodes(r, result, sizeof nodes, nodes);
    rig_parse(r,
              "graph @g(%%x: %s[%s]) -> (%%y) {\n"
              "  %%w = const @w : %s[%lld,%lld,%lld,%lld]\n"
              "  %%b = const @b : %s[%lld]\n"
              "  %%c = conv %%x, %%w, %%b {strides = [%lld,%lld], pads = [%lld,%lld,%lld,%lld], "
              "dilations = [%lld,%lld], group = %lld, channels_last = %d} : %s\n%s"
              "  %%y = relu %%%s : %s\n}\n",
              t[0], from, t[1], (long long)out, (long long)in, (long long)k[0], (long long)k[1],
              t[2], (long long)out, (long long)stride[0], (long long)stride[1], (long long)pad[0],
              (long long)pad[1], (long long)pad[2], (long long)pad[3], (long long)dil[0],
              (long long)dil[1], (long long)group, last, result, nodes, end, result);
    rig_inputs(r, "n", batch);
    return in * k[0] * k[1];
}

START_TEST(conv_formats)
{
    on_each_cpu(40, &sc_op_conv, make_conv, false);
}
END_TEST

/* Depthwise over FP8, higher than the lines that are decoded at once. */
static int64_t make_lines(Rig *r, const ScOp *op)
{
    static const char *const type[] = {"f8e4m3fn", "f8e5m2"};
    (void)op;
    const char *t = type[rig_draw(r, 0, 1)];
    long long c = rig_draw(r, 1, 40), k = rig_draw(r, 2, 5), s = rig_draw(r, 1, 3);
    long long dil = rig_draw(r, 1, 2), pad = rig_draw(r, 0, 4), end = rig_draw(r, 0, 4);
    long long under = (k - 1) * dil + 1, high = under + rig_draw(r, 0, 60);
    long long wide = under + (rig_draw(r, 0, 1) ? rig_draw(r, 0, 9) : rig_draw(r, 60, 200));
    rig_blob(r, "w", 4, (int64_t[]){c, 1, k, k});
    rig_parse(
        r,
        "graph @g(%%x: %s[n,%lld,%lld,%lld]) -> (%%y) {\n"
        "  %%w = const @w : f8e4m3fn[%lld,1,%lld,%lld]\n"
        "  %%y = conv %%x, %%w {strides = [%lld,%lld], pads = [%lld,%lld,%lld,%lld], "
        "dilations = [%lld,%lld], group = %lld, channels_last = 1} : f32[n,%lld,%lld,%lld]\n}\n",
        t, high, wide, c, c, k, k, s, s, pad, pad, end, end, dil, dil, c,
        (long long)out_extent(high, pad, end, under, s),
        (long long)out_extent(wide, pad, end, under, s), c);
    rig_inputs(r, "n", rig_draw(r, 1, 2));
    return k * k;
}

START_TEST(conv_lines)
{
    on_each_cpu(12, &sc_op_conv, make_lines, false);
}
END_TEST

/* Wide enough for several tiles, panels and chunks of k. */
static int64_t make_big(Rig *r, const ScOp *op)
{
    (void)op;
    int64_t in = rig_draw(r, 30, 40), out = rig_draw(r, 120, 130), x = rig_draw(r, 5, 19);
    long long s = rig_draw(r, 1, 2);
    rig_blob(r, "w", 4, (int64_t[]){out, in, 3, 3});
    bool last = rig_draw(r, 0, 1);
    int64_t y = (x - 1) / s + 1;
    char from[96], to[96];
    rig_parse(r,
              "graph @g(%%x: f32[%s]) -> (%%y) {\n"
              "  %%w = const @w : f8e4m3fn[%lld,%lld,3,3]\n"
              "  %%y = conv %%x, %%w {strides = [%lld,%lld], pads = [1,1,1,1], "
              "channels_last = %d} : f32[%s]\n}\n",
              shape(from, sizeof from, last, "2", in, (int64_t[]){x, x}), (long long)out,
              (long long)in, s, s, last, shape(to, sizeof to, last, "2", out, (int64_t[]){y, y}));
    rig_inputs(r, NULL, 0);
    return in * 9;
}

START_TEST(conv_big)
{
    on_each_cpu(6, &sc_op_conv, make_big, false);
}
END_TEST

/* Channels last, through a view of the input; spatial sizes known at run time only. */
static int64_t make_symbolic(Rig *r, const ScOp *op)
{
    (void)op;
    rig_blob(r, "w", 4, (int64_t[]){5, 3, 3, 3});
    rig_parse(r, "graph @g(%%x: f32[2,s,s,3]) -> (%%y) {\n"
                 "  %%w = const @w : f32[5,3,3,3]\n"
                 "  %%t = transpose %%x {perm = [0,3,1,2]} : f32[2,3,s,s]\n"
                 "  %%y = conv %%t, %%w {strides = [1,1], pads = [1,1,1,1], dilations = [1,1]} "
                 ": f32[2,5,s,s]\n}\n");
    rig_inputs(r, "s", rig_draw(r, 1, 40));
    return 27;
}

START_TEST(conv_symbolic)
{
    on_each_cpu(8, &sc_op_conv, make_symbolic, false);
}
END_TEST

/* One position a window: rows of x that are read where they lie, whole tiles and what is left of
 * them, several panels and chunks of k, groups; with 512 channels they are copied. */
static int64_t make_rows(Rig *r, const ScOp *op)
{
    (void)op;
    long long in = (int64_t[]){1, 7, 24, 300, 512}[rig_draw(r, 0, 4)], out = rig_draw(r, 1, 70);
    long long group = rig_draw(r, 1, 2), all = group * in, x = rig_draw(r, 1, 18);
    bool known = rig_draw(r, 0, 1);
    char size[32] = "s,s";
    if (known)
        snprintf(size, sizeof size, "%lld,%lld", x, x);
    rig_blob(r, "w", 4, (int64_t[]){group * out, in, 1, 1});
    rig_parse(r,
              "graph @g(%%x: f32[1,%s,%lld]) -> (%%y) {\n"
              "  %%w = const @w : f32[%lld,%lld,1,1]\n"
              "  %%c = conv %%x, %%w {group = %lld, channels_last = 1} : f32[1,%s,%lld]\n"
              "  %%y = relu %%c : f32[1,%s,%lld]\n}\n",
              size, all, group * out, in, group, size, group * out, size, group * out);
    rig_inputs(r, known ? NULL : "s", x);
    return in;
}

START_TEST(conv_rows)
{
    on_each_cpu(20, &sc_op_conv, make_rows, false);
}
END_TEST

/* Windows of 3 x 3 over many channels: in fewer multiplications, with pads, squares that the result
 * cuts, several blocks and chunks, and what stands in the epilogue; x and weights of f32 or small,
 * such weights being transformed at run time. */
static int64_t make_squares(Rig *r, const ScOp *op)
{
    static const char *const type[] = {"f32", "f8e4m3fn", "f8e5m2"};
    const char *w = type[rig_draw(r, 0, 2)], *t = type[rig_draw(r, 0, 2)];
    (void)op;
    int64_t in = (int64_t[]){32, 48, 288}[rig_draw(r, 0, 2)], out = rig_draw(r, 17, 70);
    int64_t x = rig_draw(r, 12, 22), pad[4];
    char from[32] = "s,s", to[32];
    bool known = rig_draw(r, 0, 1);
    for (int i = 0; i < 4; i++)
        pad[i] = rig_draw(r, !known, 2);
    if (known)
        snprintf(from, sizeof from, "%lld,%lld", (long long)x, (long long)x);
    if (known)
        snprintf(to, sizeof to, "%lld,%lld", (long long)(x + pad[0] + pad[2] - 2),
                 (long long)(x + pad[1] + pad[3] - 2));
    else
        snprintf(to, sizeof to, "s+%lld,s+%lld", (long long)(pad[0] + pad[2] - 2),
                 (long long)(pad[1] + pad[3] - 2));
    rig_blob(r, "w", 4, (int64_t[]){out, in, 3, 3});
    rig_blob(r, "b", 1, &out);
    rig_parse(r,
              "graph @g(%%x: %s[2,%s,%lld], %%r: f32[%lld]) -> (%%y) {\n"
              "  %%w = const @w : %s[%lld,%lld,3,3]\n"
              "  %%b = const @b : f32[%lld]\n"
              "  %%c = conv %%x, %%w, %%b {pads = [%lld,%lld,%lld,%lld], channels_last = 1} "
              ": f32[2,%s,%lld]\n"
              "  %%y = add %%c, %%r : f32[2,%s,%lld]\n}\n",
              t, from, (long long)in, (long long)out, w, (long long)out, (long long)in,
              (long long)out, (long long)pad[0], (long long)pad[1], (long long)pad[2],
              (long long)pad[3], to, (long long)out, to, (long long)out);
    rig_inputs(r, known ? NULL : "s", rig_draw(r, 1, 22));
    return in * 9;
}

START_TEST(conv_squares)
{
    on_each_cpu(10, &sc_op_conv, make_squares, false);
}
END_TEST

/* --- Pools in low precision ------------------------------------------------------------------ */

static int64_t make_pool(Rig *r, const ScOp *op)
{
    static const char *const type[] = {"f8e4m3fn", "f8e5m2", "f16", "f32"};
    const char *t = type[rig_draw(r, 0, 3)];
    int64_t k = rig_draw(r, 1, 6), s = rig_draw(r, 1, 6), x = k + rig_draw(r, 0, 60);
    int64_t c = rig_draw(r, 1, 20), y = (x - k) / s + 1;
    bool last = rig_draw(r, 0, 1);
    char from[96], to[96];
    rig_parse(r,
              "graph @g(%%x: %s[%s]) -> (%%y) {\n"
              "  %%y = %s %%x {kernel_shape = [%lld,%lld], strides = [%lld,%lld], "
              "channels_last = %d} : %s[%s]\n}\n",
              t, shape(from, sizeof from, last, "n", c, (int64_t[]){x, x}), op->name, (long long)k,
              (long long)k, (long long)s, (long long)s, last, t,
              shape(to, sizeof to, last, "n", c, (int64_t[]){y, y}));
    rig_inputs(r, "n", rig_draw(r, 0, 3));
    return k * k;
}

START_TEST(maxpool_formats)
{
    on_each_cpu(25, &sc_op_maxpool, make_pool, true);
}
END_TEST

/* A NaN stays in every window that sees it, and nowhere else; padding never wins. */
START_TEST(maxpool_nan)
{
    Rig r;
    ScrtTensor y;
    rig_init(&r, "native", 1);
    rig_parse(&r, "graph @g(%%x: f32[1,1,1,40]) -> (%%y) {\n"
                  "  %%y = maxpool %%x {kernel_shape = [1,3], strides = [1,1], pads = [0,1,0,1], "
                  "dilations = [1,1]} : f32[1,1,1,40]\n}\n");
    rig_compile(&r);
    rig_inputs(&r, NULL, 0);
    float *x = r.in[0].data;
    for (int i = 0; i < 40; i++)
        x[i] = -1 - fabsf(x[i]);
    x[20] = NAN;
    rig_run_threads(&r, &y);
    for (int i = 0; i < 40; i++) {
        float got = ((float *)y.data)[i];
        ck_assert_msg(i >= 19 && i <= 21 ? isnan(got) : got <= -1, "element %d is %g", i,
                      (double)got);
    }
    rig_outputs_free(&r, &y);
    rig_free(&r);
}
END_TEST

START_TEST(report)
{
    Rig r;
    rig_init(&r, "x86-64-v3", 1);
    rig_blob(&r, "w", 4, (int64_t[]){16, 8, 5, 5});
    rig_parse(&r, "graph @g(%%x: f8e4m3fn[1,8,14,14]) -> (%%y) {\n"
                  "  %%w = const @w : f8e4m3fn[16,8,5,5]\n"
                  "  %%y = conv %%x, %%w {strides = [1,1], pads = [2,2,2,2], dilations = [1,1]} "
                  ": f32[1,16,14,14]\n}\n");
    ScPassEnv env = {0};
    r.kernels = sc_pass_fuse(r.cx, r.g, &env);
    ScCodegenOptions opt = {.cpu = r.cpu};
    r.object = sc_codegen(r.cx, r.kernels, &opt, SC_EMIT_OBJ);
    ck_assert(r.object != NULL);
    const char *what = rig_what(&r, 0);
    ck_assert_msg(strncmp(what, "conv f8e4m3fn x f8e4m3fn: direct, tile ", 39) == 0, "%s", what);
    ck_assert_uint_ge(r.object->n_weights, 16 * 200);
    ck_assert_uint_le(r.object->n_weights, 16 * 200 + 64);
    rig_free(&r);
}
END_TEST

/* Weights are packed and stay in FP8, in whole panels. */
START_TEST(report_last)
{
    Rig r;
    rig_init(&r, "x86-64-v3", 1);
    rig_blob(&r, "w", 4, (int64_t[]){16, 8, 3, 3});
    rig_blob(&r, "d", 4, (int64_t[]){16, 1, 3, 3});
    rig_parse(&r, "graph @g(%%x: f8e4m3fn[1,14,14,8]) -> (%%z) {\n"
                  "  %%w = const @w : f8e4m3fn[16,8,3,3]\n"
                  "  %%y = conv %%x, %%w {channels_last = 1} : f32[1,12,12,16]\n"
                  "  %%d = const @d : f8e4m3fn[16,1,3,3]\n"
                  "  %%z = conv %%y, %%d {channels_last = 1, group = 16} : f32[1,10,10,16]\n}\n");
    rig_compile(&r);
    const char *what = rig_what(&r, 0);
    ck_assert_msg(strncmp(what, "conv f8e4m3fn x f8e4m3fn packed: channels last, tile ", 53) == 0,
                  "%s", what);
    what = rig_what(&r, 1);
    ck_assert_msg(strcmp(what, "conv f32 x f8e4m3fn packed: depthwise, vectors of 8 channels") == 0,
                  "%s", what);
    ck_assert_uint_le(r.object->n_weights, 16 * 72 + 16 * 12 + 128);
    rig_free(&r);
}
END_TEST

/* Those of many positions only: a few would be padding and weights. */
START_TEST(report_squares)
{
    static const struct {
        const char *x, *t, *w;
        bool squares;
        const char *cpu;
    } c[] = {{"14,14", "f32", "f32", true, "x86-64-v3"},
             {"7,7", "f32", "f32", false, "x86-64-v3"},
             {"s,9", "f32", "f32", true, "x86-64-v3"},
             {"14,14", "f32", "f8e4m3fn", true, "x86-64-v3"},
             {"14,14", "f8e4m3fn", "f8e4m3fn", true, "x86-64-v3"},
             {"14,14", "f32", "f8e4m3fn", true, "sapphirerapids"},
             {"14,14", "f8e4m3fn", "f8e4m3fn", false, "sapphirerapids"}};
    enum { WEIGHTS = 16 * 32 * 9 };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        Rig r;
        rig_init(&r, c[i].cpu, 1);
        rig_blob(&r, "w", 4, (int64_t[]){16, 32, 3, 3});
        rig_parse(&r,
                  "graph @g(%%x: %s[1,%s,32]) -> (%%y) {\n"
                  "  %%w = const @w : %s[16,32,3,3]\n"
                  "  %%y = conv %%x, %%w {pads = [1,1,1,1], channels_last = 1} : f32[1,%s,16]\n}\n",
                  c[i].t, c[i].x, c[i].w, c[i].x);
        rig_compile(&r);
        if (strcmp(c[i].w, "f32") != 0) /* they stay small in the program */
            ck_assert_uint_le(r.object->n_weights, WEIGHTS + 64);
        bool squares = strstr(rig_what(&r, 0), "winograd 4x4") != NULL;
        ck_assert_msg(squares == c[i].squares, "%s [%s]: %s", c[i].t, c[i].x, rig_what(&r, 0));
        rig_free(&r);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-window");
    TCase *t = tcase_create("window");
    tcase_set_timeout(t, 900);
    tcase_add_test(t, drawn_conv);
    tcase_add_test(t, drawn_maxpool);
    tcase_add_test(t, drawn_avgpool);
    tcase_add_test(t, conv_formats);
    tcase_add_test(t, conv_lines);
    tcase_add_test(t, conv_big);
    tcase_add_test(t, conv_symbolic);
    tcase_add_test(t, conv_squares);
    tcase_add_test(t, conv_rows);
    tcase_add_test(t, report_squares);
    tcase_add_test(t, maxpool_formats);
    tcase_add_test(t, maxpool_nan);
    tcase_add_test(t, report);
    tcase_add_test(t, report_last);
    suite_add_tcase(s, t);
    return sct_main("codegen-window", s);
}
