/* SPDX-License-Identifier: Apache-2.0 */
/* Products of i16, whose sums are i32 modulo 2^32, f32 sums of whole numbers that i16 stores, and
 * row codes: bit for bit beside the evaluator, whatever the shapes, also where sums wrap. */
#include "tests/codegen/rig.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void compare(const Rig *r, const ScrtTensor *got, const ScrtTensor *want)
{
    size_t bytes = scrt_dtype_bits((ScrtDtype)want->dtype) / 8;
    ck_assert_int_eq(scrt_count(got), scrt_count(want));
    for (int64_t i = 0; i < scrt_count(want); i++)
        ck_assert_msg(memcmp((const char *)got->data + (size_t)i * bytes,
                             (const char *)want->data + (size_t)i * bytes, bytes) == 0,
                      "element %lld is %.9g, not %.9g\n%s\n%s", (long long)i,
                      scrt_load((ScrtDtype)got->dtype, got->data, (size_t)i),
                      scrt_load((ScrtDtype)want->dtype, want->data, (size_t)i), rig_what(r, 0),
                      r->text);
}

static void run(Rig *r)
{
    ScrtTensor got[RIG_PORTS], want[RIG_PORTS];
    rig_compile(r);
    rig_evaluate(r, want);
    rig_run_threads(r, got);
    compare(r, &got[0], &want[0]);
    rig_outputs_free(r, got);
    rig_outputs_free(r, want);
}

typedef void (*Make)(Rig *r);

static void on_each_cpu(int rounds, Make make)
{
    for (int c = 0; c < SCT_N_PRODUCT_CPU; c++) {
        if (!sct_runs(sct_product_cpu(c))) {
            sct_note_skip(false, __func__, "this machine does not run %s", sct_product_cpu(c));
            continue;
        }
        for (int i = 0; i < sct_rounds(c, rounds); i++) {
            Rig r;
            rig_init(&r, sct_levels(c, i), (uint64_t)i * SCT_N_PRODUCT_CPU + (uint64_t)c);
            make(&r);
            run(&r);
            rig_free(&r);
        }
    }
}

/* A constant of whole numbers up to `most`. */
static void whole_blob(Rig *r, const char *name, uint32_t rank, const int64_t *dims, int64_t most)
{
    size_t n = 1;
    for (uint32_t i = 0; i < rank; i++)
        n *= (size_t)dims[i];
    float *data = sc_array(sc_ctx_arena(r->cx), float, n + 1);
    for (size_t i = 0; i < n; i++)
        data[i] = (float)rig_draw(r, -most, most);
    r->blob[r->n_blob++] = sc_blob(r->cx, sc_intern(r->cx, name), SCRT_F32, rank, dims, data);
}

/* What follows sum %c, of type i32 or f32 and this shape: little, or scale, bias and codes. */
static void parse(Rig *r, const char *head, const char *type, const char *shape)
{
    char tail[1024];
    bool whole = strcmp(type, "i32") == 0;
    if (rig_draw(r, 0, 2) == 0) {
        snprintf(tail, sizeof tail, "  %%y = %s %%c : %s[%s]\n", whole ? "neg" : "relu", type,
                 shape);
    } else {
        long long zero = rig_draw(r, 0, 255), bias = rig_draw(r, 1, 9);
        snprintf(tail, sizeof tail,
                 "  %%f = cast %%c : f32[%s]\n"
                 "  %%s = const %.9g : f32[]\n"
                 "  %%m = mul %%f, %%s : f32[%s]\n"
                 "  %%b = const %lld.25 : f32[]\n"
                 "  %%a = add %%m, %%b : f32[%s]\n"
                 "  %%y = codes %%a, %%s {least = %lld, most = %lld, nan = 0} : i16[%s]\n",
                 shape, r->range != 0 ? 0.37e-6 : 0.0037, shape, bias, shape, -zero, 255 - zero,
                 shape);
    }
    rig_parse(r, "%s%s}\n", head, tail);
}

/* --- Convolutions ----------------------------------------------------------------------------- */

static const char *shape_of(char *to, size_t n, bool last, int64_t c, const int64_t *size)
{
    if (last)
        snprintf(to, n, "n,%lld,%lld,%lld", (long long)size[0], (long long)size[1], (long long)c);
    else
        snprintf(to, n, "n,%lld,%lld,%lld", (long long)c, (long long)size[0], (long long)size[1]);
    return to;
}

static void make_conv(Rig *r)
{
    bool sums = rig_draw(r, 0, 2), last = rig_draw(r, 0, 3), depthwise = rig_draw(r, 0, 2) == 0;
    int64_t group = rig_draw(r, 1, 3), in = rig_draw(r, 1, 40), out = group * rig_draw(r, 1, 40);
    int64_t stride[2], pad[4], dil[2], x[2], k[2], y[2];
    char from[96], to[96], head[2048];
    if (depthwise) {
        in = 1;
        out = group = rig_draw(r, 2, 40);
    }
    for (int i = 0; i < 2; i++) {
        k[i] = rig_draw(r, 1, 3);
        dil[i] = rig_draw(r, 1, 2);
        stride[i] = rig_draw(r, 0, 2) ? 1 : rig_draw(r, 2, 3);
        pad[i] = rig_draw(r, 0, 2);
        pad[2 + i] = rig_draw(r, 0, 2);
        x[i] = (k[i] - 1) * dil[i] + 1 + rig_draw(r, 0, 17);
        y[i] = (x[i] + pad[i] + pad[2 + i] - (k[i] - 1) * dil[i] - 1) / stride[i] + 1;
    }
    r->range = sums && rig_draw(r, 0, 1) ? 40000 : 0;
    whole_blob(r, "w", 4, (int64_t[]){out, in, k[0], k[1]}, r->range != 0 ? 32768 : 128);
    snprintf(head, sizeof head,
             "graph @g(%%x: i16[%s]) -> (%%y) {\n"
             "  %%w = const @w : %s[%lld,%lld,%lld,%lld]\n"
             "  %%c = conv %%x, %%w {strides = [%lld,%lld], pads = [%lld,%lld,%lld,%lld], "
             "dilations = [%lld,%lld], group = %lld, %schannels_last = %d} : %s[%s]\n",
             shape_of(from, sizeof from, last, in * group, x), sums ? "i16" : "f32", (long long)out,
             (long long)in, (long long)k[0], (long long)k[1], (long long)stride[0],
             (long long)stride[1], (long long)pad[0], (long long)pad[1], (long long)pad[2],
             (long long)pad[3], (long long)dil[0], (long long)dil[1], (long long)group,
             sums ? "out = i32, " : "", last, sums ? "i32" : "f32",
             shape_of(to, sizeof to, last, out, y));
    parse(r, head, sums ? "i32" : "f32", to);
    rig_inputs(r, "n", rig_draw(r, 0, 2));
}

START_TEST(convolutions)
{
    on_each_cpu(60, make_conv);
}
END_TEST

/* One position a window, which is read where it lies if channels are even; several chunks. */
static void make_rows(Rig *r)
{
    long long in = (int64_t[]){1, 7, 24, 300, 800}[rig_draw(r, 0, 4)], out = rig_draw(r, 1, 70);
    long long group = rig_draw(r, 1, 2), x = rig_draw(r, 1, 18);
    char head[1024], to[96];
    r->range = rig_draw(r, 0, 1) ? 40000 : 0;
    whole_blob(r, "w", 4, (int64_t[]){group * out, in, 1, 1}, 32768);
    snprintf(to, sizeof to, "1,%lld,%lld,%lld", x, x, group * out);
    snprintf(head, sizeof head,
             "graph @g(%%x: i16[1,%lld,%lld,%lld]) -> (%%y) {\n"
             "  %%w = const @w : i16[%lld,%lld,1,1]\n"
             "  %%c = conv %%x, %%w {group = %lld, out = i32, channels_last = 1} : i32[%s]\n",
             x, x, group * in, group * out, in, group, to);
    parse(r, head, "i32", to);
    rig_inputs(r, NULL, 0);
}

START_TEST(rows)
{
    on_each_cpu(20, make_rows);
}
END_TEST

/* --- Products of matrices --------------------------------------------------------------------- */

/* Few rows and many, either matrix turned, B a constant or not. */
static void make_gemm(Rig *r)
{
    bool sums = rig_draw(r, 0, 2), fixed = rig_draw(r, 0, 2);
    long long k = rig_draw(r, 0, 1) ? rig_draw(r, 1, 40) : rig_draw(r, 300, 900);
    long long m = rig_draw(r, 0, 20), n = rig_draw(r, 1, 70), ta = rig_draw(r, 0, 1),
              tb = rig_draw(r, 0, 1);
    char b[64], to[64], head[1024], a[64];
    r->range = sums && rig_draw(r, 0, 1) ? 40000 : 0;
    snprintf(a, sizeof a, ta ? "%lld,m" : "m,%lld", k);
    snprintf(b, sizeof b, "%s[%lld,%lld]", sums ? "i16" : "f32", tb ? n : k, tb ? k : n);
    snprintf(to, sizeof to, "m,%lld", n);
    whole_blob(r, "w", 2, (int64_t[]){tb ? n : k, tb ? k : n}, r->range != 0 ? 32768 : 128);
    snprintf(head, sizeof head,
             "graph @g(%%x: i16[%s]%s%s) -> (%%y) {\n"
             "%s%s%s"
             "  %%c = gemm %%x, %%w {trans_a = %lld, trans_b = %lld%s} : %s[%s]\n",
             a, fixed ? "" : ", %w: ", fixed ? "" : b, fixed ? "  %w = const @w : " : "",
             fixed ? b : "", fixed ? "\n" : "", ta, tb, sums ? ", out = i32" : "",
             sums ? "i32" : "f32", to);
    parse(r, head, sums ? "i32" : "f32", to);
    rig_inputs(r, "m", m);
    for (int64_t i = 0; !sums && !fixed && i < scrt_count(&r->in[1]); i++)
        ((float *)r->in[1].data)[i] = rintf(64 * ((float *)r->in[1].data)[i]);
}

START_TEST(matrices)
{
    on_each_cpu(60, make_gemm);
}
END_TEST

/* --- codes ------------------------------------------------------------------------------------ */

static float some_scale(Rig *r)
{
    static const float end[] = {FLT_MIN, 0x1p-149f, FLT_MAX, 0x1p-7f, 1, INFINITY, NAN, 0, -0.03f};
    int64_t i = rig_draw(r, 0, 40);
    return i < 9 ? end[i]
                 : ldexpf((float)rig_draw(r, 1 << 23, (1 << 24) - 1), (int)rig_draw(r, -40, -20));
}

/* Numbers about each place where the code changes, and those at the ends of f32. */
static void make_codes(Rig *r)
{
    enum { ABOUT = 9 };
    static const float end[] = {0, -0.0f, INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MAX, 0x1p-149f};
    float scale = some_scale(r);
    int64_t zero = rig_draw(r, 0, 255), sign = rig_draw(r, 0, 1) * 128, n = 0;
    float *s = sc_memdup(sc_ctx_arena(r->cx), &scale, sizeof scale);
    r->blob[r->n_blob++] = sc_blob(r->cx, sc_intern(r->cx, "s"), SCRT_F32, 0, NULL, s);
    rig_parse(r,
              "graph @g(%%x: f32[n]) -> (%%y) {\n"
              "  %%s = const @s : f32[]\n"
              "  %%y = codes %%x, %%s {least = %lld, most = %lld, nan = %lld} : i16[n]\n}\n",
              (long long)(-sign - zero), (long long)(255 - sign - zero), (long long)-zero);
    rig_inputs(r, "n", 257 * ABOUT + 8);
    float *x = r->in[0].data;
    for (int64_t c = -1; c < 256; c++) {
        float y = (float)((double)(c - sign - zero + 0.5) * scale);
        for (int i = 0; i < ABOUT / 2; i++)
            y = nextafterf(y, -INFINITY);
        for (int i = 0; i < ABOUT; i++, y = nextafterf(y, INFINITY))
            x[n++] = y;
    }
    memcpy(x + n, end, sizeof end);
}

START_TEST(hard_codes)
{
    on_each_cpu(60, make_codes);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-integers");
    TCase *t = tcase_create("integers");
    tcase_set_timeout(t, 900);
    tcase_add_test(t, convolutions);
    tcase_add_test(t, rows);
    tcase_add_test(t, matrices);
    tcase_add_test(t, hard_codes);
    suite_add_tcase(s, t);
    return sct_main("codegen-integers", s);
}
