/* SPDX-License-Identifier: Apache-2.0 */
/* By what CONTRACT kernels multiply: which tile, what they report of it, what tile registers are
 * asked to do, how many bytes weights take. What comes out is tested in contract.c. */
#include "tests/codegen/rig.h"
#include "tests/codegen/tiles.h"

#include <stdio.h>
#include <string.h>

/* --- Tile registers -------------------------------------------------------------------------- */

/* Products that a kernel makes in them: each run of the body loads one configuration and gives the
 * registers back, and no more tiles are multiplied than rows, columns and depth ask for. */
static void tile_products(int64_t m, int64_t k, int64_t n, const char *type, uint64_t want)
{
    Rig r;
    ScrtTensor y;
    long long mm = m, kk = k, nn = n;
    rig_init(&r, sct_product_cpu(SCT_N_CPU), 1);
    rig_blob(&r, "w", 2, (int64_t[]){k, n});
    rig_parse(&r,
              "graph @g(%%x: %s[%lld,%lld]) -> (%%y) {\n  %%w = const @w : %s[%lld,%lld]\n"
              "  %%y = matmul %%x, %%w : %s[%lld,%lld]\n}\n",
              type, mm, kk, type, kk, nn, strcmp(type, "bf16") == 0 ? type : "f32", mm, nn);
    rig_compile(&r);
    rig_inputs(&r, NULL, 0);
    SctTileCounts was = sct_tile_counts(), now;
    rig_run(&r, 1, &y);
    now = sct_tile_counts();
    rig_outputs_free(&r, &y);
    ck_assert_uint_eq(now.dot - was.dot, want);
    ck_assert_uint_eq(now.config - was.config, 1);
    ck_assert_uint_eq(now.release - was.release, 1);
    rig_free(&r);
}

START_TEST(tile_registers)
{
    static const char *const type[] = {"f8e4m3fn", "f8e5m2", "bf16"};
    if (!sct_runs(sct_product_cpu(SCT_N_CPU))) {
        sct_skip("this machine decodes no bf16 pairs");
        return;
    }
    for (int i = 0; i < 3; i++) {
        tile_products(40, 70, 70, type[i], 3 * 3 * 6);   /* rows of 14, 14 and 12 */
        tile_products(32, 300, 64, type[i], 2 * 10 * 4); /* two chunks */
        tile_products(16, 256, 16, type[i], 8);
        tile_products(5, 40, 33, type[i], 2 * 4);
    }
}
END_TEST

/* Text from the label on to the end of its function. */
static const char *function_text(const char *all, const char *label)
{
    static char text[1 << 16];
    const char *begin = strstr(all, label), *end = begin ? strstr(begin, ".Lfunc_end") : NULL;
    ck_assert_msg(end != NULL, "no function %s", label);
    snprintf(text, sizeof text, "%.*s", (int)(end - begin), begin);
    return text;
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, word)); p++)
        n++;
    return n;
}

/* Code for a processor that has them: two by two products of four loads, nothing called between
 * those, one configuration and its end in the body of the kernel. */
START_TEST(tile_instructions)
{
    Rig r;
    rig_init(&r, "sapphirerapids", 1);
    rig_blob(&r, "w", 2, (int64_t[]){256, 64});
    rig_parse(&r, "graph @g(%%x: f8e4m3fn[64,256]) -> (%%y) {\n"
                  "  %%w = const @w : f8e4m3fn[256,64]\n"
                  "  %%y = matmul %%x, %%w : f32[64,64]\n}\n");
    ScPassEnv env = {0};
    r.kernels = sc_pass_fuse(r.cx, r.g, &env);
    r.object = sc_codegen(r.cx, r.kernels, &(ScCodegenOptions){.cpu = r.cpu}, SC_EMIT_ASM);
    ck_assert(r.object != NULL);
    const char *body = function_text(r.object->bytes, "\nk0_tiles:");
    ck_assert_int_eq(count(body, "ldtilecfg"), 1);
    ck_assert_int_eq(count(body, "tilerelease"), 1);
    const char *tile = function_text(r.object->bytes, "\ntile_registers_");
    ck_assert_int_eq(count(tile, "tdpbf16ps"), 4);
    ck_assert_int_eq(count(tile, "tilezero"), 4);
    ck_assert_int_eq(count(tile, "tileloadd"), 4 + 4); /* of A and B; of sums made so far */
    ck_assert_int_eq(count(tile, "tilestored"), 4);
    ck_assert_int_eq(count(tile, "call"), 0);
    rig_free(&r);
}
END_TEST

/* --- Reports --------------------------------------------------------------------------------- */

static void reports_of(const char *cpu, const char *a, const char *b, const char *rows, int64_t k,
                       int64_t n, const char *what)
{
    Rig r;
    long long kk = k, nn = n;
    rig_init(&r, cpu, 1);
    rig_blob(&r, "w", 2, (int64_t[]){k, n});
    rig_parse(&r,
              "graph @g(%%x: %s[%s,%lld]) -> (%%y) {\n  %%w = const @w : %s[%lld,%lld]\n"
              "  %%y = matmul %%x, %%w : %s[%s,%lld]\n}\n",
              a, rows, kk, b, kk, nn, strcmp(a, "bf16") == 0 ? a : "f32", rows, nn);
    ScPassEnv env = {0};
    r.kernels = sc_pass_fuse(r.cx, r.g, &env);
    ScCodegenOptions opt = {.cpu = r.cpu};
    r.object = sc_codegen(r.cx, r.kernels, &opt, SC_EMIT_OBJ);
    ck_assert(r.object != NULL);
    ck_assert_str_eq(rig_what(&r, 0), what);
    rig_free(&r);
}

static void reports(const char *cpu, const char *a, const char *b, const char *what)
{
    reports_of(cpu, a, b, "m", 784, 512, what);
}

/* What multiplies follows from the features and both types. */
START_TEST(report)
{
    reports("x86-64-v3", "f8e4m3fn", "f8e4m3fn",
            "contract f8e4m3fn x f8e4m3fn packed: rows <= 3 stream 2 panels of 16; else tile 6x16, "
            "kc 264; decode by shift");
    reports_of("x86-64-v3", "f32", "f32", "3136", 144, 24,
               "contract f32 x f32 packed: tile 3x24, kc 144");
    reports_of("x86-64-v3", "f32", "f8e4m3fn", "3136", 144, 24, /* codes are packed by 32 */
               "contract f32 x f8e4m3fn packed: tile 12x8, kc 144; decode by shift");
    reports("znver4", "f8e4m3fn", "f8e5m2",
            "contract f8e4m3fn x f8e5m2 packed: rows <= 3 stream 4 panels of 32; else tile 8x32 of "
            "bf16 pairs, kc 196; decode by pairs");
    reports("znver4", "f32", "f8e5m2",
            "contract f32 x f8e5m2 packed: rows <= 3 stream 4 panels of 32; else tile 8x32, kc "
            "196; decode by shift");
    reports("sapphirerapids", "f8e5m2", "f8e5m2",
            "contract f8e5m2 x f8e5m2 packed: rows <= 3 stream 4 panels of 32; else tile 32x32 in "
            "tile registers, kc 224; decode by pairs");
    reports("sapphirerapids", "bf16", "bf16",
            "contract bf16 x bf16 packed: rows <= 3 stream 4 panels of 32; else tile 32x32 in tile "
            "registers, kc 224; decode by pairs");
    reports_of("sapphirerapids", "f8e4m3fn", "f8e4m3fn", "16", 512, 64,
               "contract f8e4m3fn x f8e4m3fn packed: tile 16x32 in tile registers, kc 256; decode "
               "by pairs");
    reports_of("sapphirerapids", "f8e4m3fn", "f8e4m3fn", "15", 512, 512,
               "contract f8e4m3fn x f8e4m3fn packed: tile 8x32, kc 256; decode by shift");
    reports_of("sapphirerapids", "f8e4m3fn", "f8e4m3fn", "16", 64, 32,
               "contract f8e4m3fn x f8e4m3fn packed: tile 8x32, kc 64; decode by shift");
    reports("sapphirerapids", "f32", "f8e5m2",
            "contract f32 x f8e5m2 packed: rows <= 3 stream 4 panels of 32; else tile 8x32, kc "
            "196; decode by shift");
}
END_TEST

/* FP8 weights stay bytes: the blob holds the panels and no more (whole steps of any micro-kernel).
 */
START_TEST(weights_stay_small)
{
    Rig r;
    rig_init(&r, "native", 1);
    rig_blob(&r, "w", 2, (int64_t[]){768, 512});
    rig_parse(&r, "graph @g(%%x: f8e4m3fn[m,768]) -> (%%y) {\n"
                  "  %%w = const @w : f8e4m3fn[768,512]\n"
                  "  %%y = matmul %%x, %%w : f32[m,512]\n}\n");
    rig_compile(&r);
    ck_assert_uint_ge(r.object->n_weights, 768 * 512);
    ck_assert_uint_le(r.object->n_weights, 768 * 512 + 64);
    rig_free(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-products");
    TCase *t = tcase_create("products");
    tcase_add_test(t, tile_registers);
    tcase_add_test(t, tile_instructions);
    tcase_add_test(t, report);
    tcase_add_test(t, weights_stay_small);
    suite_add_tcase(s, t);
    return sct_main("codegen-products", s);
}
