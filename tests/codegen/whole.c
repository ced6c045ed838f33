/* SPDX-License-Identifier: Apache-2.0 */
/* Few rows as integers beside blocks of 4-bit codes: each element lies within what f32 and the
 * rounding of A allow of the evaluator's; what is not finite stays so. */
#include "tests/codegen/rig.h"

#include <math.h>
#include <string.h>

/* A product of m rows of k elements and n columns. */
typedef struct Product {
    ScrtDtype codes, scale;
    int64_t m, n, k, block;
    int a_bits;
    bool trans;
} Product;

static int64_t blocks_of(const Product *p)
{
    return (p->k + p->block - 1) / p->block;
}

/* Constants of random codes and of scales, powers of two where their type has no others. */
static void constants(Rig *r, const Product *p)
{
    ScArena *a = sc_ctx_arena(r->cx);
    const int64_t blocks = blocks_of(p), n = p->n, k = p->k;
    uint8_t *codes = sc_array(a, uint8_t, (size_t)(n * k));
    float *scale = sc_array(a, float, (size_t)(n * blocks));
    int64_t most = scrt_dtype_bits(p->codes) == 8 ? 0x7e : r->magnitudes ? 7 : 15;
    for (int64_t i = 0; i < n * k; i++)
        scrt_store_bits(p->codes, codes, (size_t)i, (uint32_t)rig_draw(r, 0, most));
    for (int64_t i = 0; i < n * blocks; i++)
        scale[i] = ldexpf((float)rig_draw(r, 64, 127) / 64, (int)rig_draw(r, -9, 9));
    r->blob[r->n_blob++] = sc_blob(r->cx, sc_intern(r->cx, "w"), p->codes, 2,
                                   p->trans ? (int64_t[]){n, k} : (int64_t[]){k, n}, codes);
    r->blob[r->n_blob++] =
        sc_blob(r->cx, sc_intern(r->cx, "s"), SCRT_F32, 2,
                p->trans ? (int64_t[]){n, blocks} : (int64_t[]){blocks, n}, scale);
}

static void make(Rig *r, const Product *p)
{
    long long n = p->n, k = p->k, blocks = blocks_of(p);
    if (!r->n_blob)
        constants(r, p);
    rig_parse(r,
              "graph @g(%%x: f32[m,%lld]) -> (%%y) {\n  %%w = const @w : %s[%lld,%lld]\n"
              "  %%s = const @s : %s[%lld,%lld]\n"
              "  %%y = block_matmul %%x, %%w, %%s {trans_b = %d, block = %d, a_bits = %d} : "
              "f32[m,%lld]\n}\n",
              k, scrt_dtype_name(p->codes), p->trans ? n : k, p->trans ? k : n,
              scrt_dtype_name(p->scale), p->trans ? n : blocks, p->trans ? blocks : n, p->trans,
              (int)p->block, p->a_bits, n);
    rig_inputs(r, "m", p->m);
}

/* Each element of A as the largest of those that are rounded with it, in 8 bits 32 at most: what
 * all of them may be off by, times twice the largest integer. */
static void to_largest(ScrtTensor *a, const Product *p)
{
    float *x = a->data;
    int64_t n = p->a_bits == 8 && p->block > 32 ? 32 : p->block;
    for (int64_t i = 0, past; i < scrt_count(a); i = past) {
        float most = 0;
        past = i % p->k + n < p->k ? i + n : i - i % p->k + p->k;
        for (int64_t j = i; j < past; j++)
            most = fmaxf(most, fabsf(x[j]));
        for (int64_t j = i; j < past; j++)
            x[j] = most;
    }
}

/* Blocks of 8 to 4096 elements, of which the last one need not be whole. */
static Product draw(Rig *r)
{
    static const ScrtDtype scale[] = {SCRT_F8E8M0, SCRT_F16, SCRT_F32};
    Product p = {.codes = rig_draw(r, 0, 1) ? SCRT_F4E2M1 : SCRT_I4};
    p.a_bits = rig_draw(r, 0, 1) ? 8 : 16;
    p.scale = scale[rig_draw(r, 0, 2)];
    p.n = rig_draw(r, 0, 2) ? rig_draw(r, 1, 70) : 300;
    p.m = rig_draw(r, 1, 4);
    p.block = 8 << rig_draw(r, 0, 9);
    p.k = rig_draw(r, 0, 1) ? 32 * rig_draw(r, 1, 30) : rig_draw(r, 1, 2500);
    p.trans = rig_draw(r, 0, 1);
    return p;
}

static void compare(const char *cpu, uint64_t seed)
{
    Rig r[3];
    ScrtTensor got, want[3];
    Product p;
    for (int i = 0; i < 3; i++) { /* as drawn, in magnitudes, and as large as blocks are */
        rig_init(&r[i], cpu, seed);
        r[i].range = 100;
        r[i].magnitudes = i > 0;
        p = draw(&r[i]);
        make(&r[i], &p);
        if (i == 2)
            to_largest(&r[i].in[0], &p);
        rig_evaluate(&r[i], &want[i]);
    }
    rig_compile(&r[0]);
    rig_run_threads(&r[0], &got);
    for (int64_t i = 0; i < scrt_count(&got); i++) {
        double y = ((float *)got.data)[i], x = ((float *)want[0].data)[i];
        double bound = (double)(p.k + 4) * 0x1p-24 * ((float *)want[1].data)[i] +
                       ((float *)want[2].data)[i] / (p.a_bits == 8 ? 254 : 32768);
        ck_assert_msg(fabs(y - x) <= bound, "element %lld is %.9g, not %.9g (bound %.3g)\n%s\n%s",
                      (long long)i, y, x, bound, rig_what(&r[0], 0), r[0].text);
    }
    rig_outputs_free(&r[0], &got);
    for (int i = 0; i < 3; i++) {
        rig_outputs_free(&r[i], &want[i]);
        rig_free(&r[i]);
    }
}

START_TEST(near)
{
    for (int c = 0; c < SCT_N_PRODUCT_CPU; c++)
        for (uint64_t seed = 1; sct_runs(sct_product_cpu(c)) && seed <= 16; seed++)
            compare(sct_levels(c, (int)seed), seed);
}
END_TEST

/* [m,k] by [n,k] in blocks of 32 with scales of E8M0. */
static void make_mx(Rig *r, ScrtDtype codes, int64_t n, int64_t k, int a_bits)
{
    make(r, &(Product){.codes = codes,
                       .scale = SCRT_F8E8M0,
                       .m = 1,
                       .n = n,
                       .k = k,
                       .block = 32,
                       .trans = true,
                       .a_bits = a_bits});
}

/* With AVX2 they are integers, and only where the product allows it. */
START_TEST(said)
{
    static const char *const want[] = {NULL, "integers of 8 bits", "integers of 16 bits"};
    for (int i = 0; i < 3; i++) {
        Rig r;
        rig_init(&r, "x86-64-v3", 1);
        make_mx(&r, SCRT_F4E2M1, 64, 64, 8 * i);
        rig_compile(&r);
        const char *what = rig_what(&r, 0);
        ck_assert_msg(i ? strstr(what, want[i]) != NULL : !strstr(what, "integers"), "%s", what);
        rig_free(&r);
    }
}
END_TEST

/* Rows of zeros, of the least numbers, of so large ones that sums of a block do not fit f32 before
 * they are scaled, and of one that is not finite. */
static void extreme(Rig *r, int64_t m, float most)
{
    ScrtTensor got, want;
    rig_inputs(r, "m", m);
    float *x = r->in[0].data;
    for (int64_t i = 0; i < 64 * m; i++)
        x[i] = i % 64 ? x[i] * (isfinite(most) ? most / 4 : 1) : most;
    rig_run_threads(r, &got);
    rig_evaluate(r, &want);
    for (int64_t i = 0; i < m * 40; i++) {
        double y = ((float *)got.data)[i], z = ((float *)want.data)[i];
        double bound = isfinite(most) ? 64 * 448 * 512 * 0x1p-8 * most + 0x1p-120 : 0;
        bool right = isfinite(z) ? fabs(y - z) <= bound : y == z || (isnan(y) && isnan(z));
        ck_assert_msg(right, "m %lld, largest %g: element %lld is %g, not %g\n%s", (long long)m,
                      (double)most, (long long)i, y, z, r->text);
    }
    rig_outputs_free(r, &got);
    rig_outputs_free(r, &want);
}

static void extremes(const char *cpu, ScrtDtype t, int a_bits)
{
    static const float most[] = {0, 0x1p-149f, 0x1p-120f, 0x1p101f, INFINITY, NAN};
    Rig r;
    rig_init(&r, cpu, 7);
    make_mx(&r, t, 40, 64, a_bits);
    rig_compile(&r);
    for (int64_t m = 1; m <= 3; m++)
        for (size_t e = 0; e < sizeof most / sizeof *most; e++)
            extreme(&r, m, most[e]);
    rig_free(&r);
}

START_TEST(ends)
{
    for (int c = 0; c < SCT_N_PRODUCT_CPU; c++) {
        if (!sct_runs(sct_product_cpu(c)))
            continue;
        for (int bits = 0; bits <= 16; bits += 8)
            extremes(sct_product_cpu(c), SCRT_F4E2M1, bits);
        extremes(sct_product_cpu(c), SCRT_F8E4M3FN, 0);
    }
}
END_TEST

/* Codes of one number, the largest or the least, beside equal elements, which are the largest
 * integer: sums as large as they may be. scale: of the columns in turns, codes of E8M0 without a
 * number among them. */
static void as_large(const char *cpu, ScrtDtype t, uint32_t code, int64_t block, int a_bits)
{
    enum { N = 40, MOST = 128 };
    static const float scale[] = {0x1p-127f, 1, NAN, 0x1p5f};
    uint8_t codes[N * MOST / 2];
    float s[N];
    Rig r;
    ScrtTensor got, want;
    rig_init(&r, cpu, 7);
    for (int i = 0; i < N * MOST; i++)
        scrt_store_bits(t, codes, (size_t)i, code);
    for (int i = 0; i < N; i++)
        s[i] = scale[i % 4];
    r.blob[r.n_blob++] = sc_blob(r.cx, sc_intern(r.cx, "w"), t, 2, (int64_t[]){N, block}, codes);
    r.blob[r.n_blob++] = sc_blob(r.cx, sc_intern(r.cx, "s"), SCRT_F32, 2, (int64_t[]){N, 1}, s);
    make(&r, &(Product){.codes = t,
                        .scale = SCRT_F8E8M0,
                        .m = 2,
                        .n = N,
                        .k = block,
                        .block = block,
                        .trans = true,
                        .a_bits = a_bits});
    for (int64_t i = 0; i < 2 * block; i++)
        ((float *)r.in[0].data)[i] = i < block ? 3.5f : -3.5f;
    rig_compile(&r);
    rig_run_threads(&r, &got);
    rig_evaluate(&r, &want);
    for (int i = 0; i < 2 * N; i++) {
        double y = ((float *)got.data)[i], z = ((float *)want.data)[i];
        ck_assert_msg(isnan(z) ? isnan(y) : fabs(y - z) <= 1e-5 * fabs(z),
                      "%s, code %u, block %lld: element %d is %g, not %g", cpu, code,
                      (long long)block, i, y, z);
    }
    rig_outputs_free(&r, &got);
    rig_outputs_free(&r, &want);
    rig_free(&r);
}

START_TEST(largest_sums)
{
    for (int c = 0; c < SCT_N_PRODUCT_CPU; c++)
        for (int i = 0; sct_runs(sct_product_cpu(c)) && i < 6; i++) {
            const char *cpu = sct_levels(c, i);
            const int bits = i % 2 ? 16 : 8;
            const int64_t block = 32 << i / 2;
            as_large(cpu, SCRT_F4E2M1, 7, block, bits);
            as_large(cpu, SCRT_F4E2M1, 15, block, bits);
            as_large(cpu, SCRT_I4, 7, block, bits);
            as_large(cpu, SCRT_I4, 8, block, bits);
        }
}
END_TEST

/* Few rows and many read the same panels, whatever is known of their scales. */
START_TEST(stored_once)
{
    static const char *const text[] = {
        "graph @g(%x: f32[m,64]) -> (%y) {\n  %w = const @w : f4e2m1[40,64]\n"
        "  %s = const @s : f8e8m0[40,2]\n"
        "  %y = block_matmul %x, %w, %s {trans_b = 1, a_bits = 8} : f32[m,40]\n}\n",
        "graph @g(%x: f32[m,64], %z: f32[64,64]) -> (%y, %v) {\n"
        "  %w = const @w : f4e2m1[40,64]\n  %s = const @s : f8e8m0[40,2]\n"
        "  %t = const @t : f8e8m0[40,2]\n"
        "  %y = block_matmul %x, %w, %s {trans_b = 1, a_bits = 8} : f32[m,40]\n"
        "  %v = block_matmul %z, %w, %t {trans_b = 1, a_bits = 8} : f32[64,40]\n}\n"};
    uint64_t bytes[2];
    for (int i = 0; i < 2; i++) {
        Rig r;
        float s[2][80];
        rig_init(&r, "x86-64-v3", 1);
        rig_blob(&r, "w", 2, (int64_t[]){40, 64});
        for (int k = 0; k < 160; k++)
            s[k / 80][k % 80] = k == 80 ? 0x1p-127f : 1;
        for (int k = 0; k < 2; k++)
            r.blob[r.n_blob++] = sc_blob(r.cx, sc_intern(r.cx, k ? "t" : "s"), SCRT_F32, 2,
                                         (int64_t[]){40, 2}, s[k]);
        rig_parse(&r, "%s", text[i]);
        rig_compile(&r);
        bytes[i] = r.object->n_weights;
        rig_free(&r);
    }
    ck_assert_uint_lt(bytes[1], bytes[0] + 48 * 64 / 2); /* the scales alone */
}
END_TEST

/* Codes of zeros at a scale that, times rows of large numbers, is beyond f32: nothing is added. */
START_TEST(zeros)
{
    static const uint8_t codes[32 * 40 / 2];
    float scale[40];
    for (int i = 0; i < 40; i++)
        scale[i] = 0x1p100f;
    for (int c = 0; c < SCT_N_PRODUCT_CPU; c++) {
        Rig r;
        ScrtTensor got;
        if (!sct_runs(sct_product_cpu(c)))
            continue;
        rig_init(&r, sct_product_cpu(c), 7);
        r.blob[r.n_blob++] =
            sc_blob(r.cx, sc_intern(r.cx, "w"), SCRT_F4E2M1, 2, (int64_t[]){40, 32}, codes);
        r.blob[r.n_blob++] =
            sc_blob(r.cx, sc_intern(r.cx, "s"), SCRT_F32, 2, (int64_t[]){40, 1}, scale);
        make_mx(&r, SCRT_F4E2M1, 40, 32, 8);
        for (int i = 0; i < 32; i++)
            ((float *)r.in[0].data)[i] = 0x1p90f;
        rig_compile(&r);
        rig_run_threads(&r, &got);
        for (int i = 0; i < 40; i++)
            ck_assert_msg(((float *)got.data)[i] == 0, "element %d is %g\n%s", i,
                          (double)((float *)got.data)[i], rig_what(&r, 0));
        rig_outputs_free(&r, &got);
        rig_free(&r);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-whole");
    TCase *t = tcase_create("whole");
    tcase_set_timeout(t, 900);
    tcase_add_test(t, near);
    tcase_add_test(t, said);
    tcase_add_test(t, ends);
    tcase_add_test(t, zeros);
    tcase_add_test(t, largest_sums);
    tcase_add_test(t, stored_once);
    suite_add_tcase(s, t);
    return sct_main("codegen-whole", s);
}
