/* SPDX-License-Identifier: Apache-2.0 */
/* CONTRACT kernels beside the evaluator: each element lies within K * 2^-24 * sum |a| |b| of it,
 * and does not depend on the number of threads. */
#include "tests/codegen/rig.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Unit roundoff of the sum, and of the result beyond it. */
static void roundoff(ScrtDtype result, double *ret_sum, double *ret_result)
{
    const ScrtFormat *f = scrt_format(result);
    *ret_sum = result == SCRT_F64 ? 0x1p-53 : 0x1p-24;
    *ret_result = f ? ldexp(1, -f->man_bits) : 0;
}

/* got within the bound of want; mag holds sum |a| |b| + |bias| for each element. */
static void compare(const Rig *r, const ScrtTensor *got, const ScrtTensor *want,
                    const ScrtTensor *mag, int64_t depth)
{
    double unit, last;
    ScrtDtype t = (ScrtDtype)want->dtype;
    roundoff(t, &unit, &last);
    ck_assert_int_eq(scrt_count(got), scrt_count(want));
    for (int64_t i = 0; i < scrt_count(want); i++) {
        double g = scrt_load(t, got->data, (size_t)i), w = scrt_load(t, want->data, (size_t)i);
        double m = scrt_load(t, mag->data, (size_t)i);
        double bound = scrt_dtype_is_float(t) ? (double)(depth + 2) * unit * m : 0;
        if (t != SCRT_F32 && t != SCRT_F64)
            bound += last * fabs(w);
        ck_assert_msg(fabs(g - w) <= bound || (isnan(g) && isnan(w)),
                      "element %lld is %.9g, not %.9g (bound %.3g)\n%s\n%s", (long long)i, g, w,
                      bound, rig_what(r, 0), r->text);
    }
}

/* The same random graph twice, the second time in magnitudes: `make` fills both rigs alike and
 * returns the depth of the sum. */
typedef int64_t (*Make)(Rig *r);

static void check(const char *cpu, uint64_t seed, Make make)
{
    Rig r[2];
    ScrtTensor got[RIG_PORTS], want[RIG_PORTS], mag[RIG_PORTS];
    int64_t depth = 0;
    for (int i = 0; i < 2; i++) {
        rig_init(&r[i], cpu, seed);
        r[i].magnitudes = i == 1;
        depth = make(&r[i]);
    }
    rig_compile(&r[0]);
    rig_evaluate(&r[0], want);
    rig_evaluate(&r[1], mag);
    rig_run_threads(&r[0], got);
    compare(&r[0], &got[0], &want[0], &mag[0], depth);
    rig_outputs_free(&r[0], got);
    rig_outputs_free(&r[0], want);
    rig_outputs_free(&r[1], mag);
    rig_free(&r[0]);
    rig_free(&r[1]);
}

/* --- Matrices: every size, type, order, constant and not ------------------------------------- */

typedef struct Pair {
    const char *a, *b, *y;
} Pair;
static const Pair pair[] = {
    {"f8e4m3fn", "f8e4m3fn", "f32"}, {"f32", "f8e4m3fn", "f32"},  {"f32", "f32", "f32"},
    {"f8e4m3fn", "f8e5m2", "f32"},   {"f8e5m2", "f32", "f32"},    {"f32", "f8e5m2", "f32"},
    {"f8e5m2", "f8e4m3fn", "f32"},   {"f8e5m2", "f8e5m2", "f32"}, {"f8e4m3fnuz", "f8e5m2", "f32"},
    {"f16", "f16", "f16"},           {"bf16", "bf16", "bf16"},    {"f64", "f64", "f64"},
    {"i32", "i32", "i32"},           {"i64", "i64", "i64"},
};
enum { N_PAIR = sizeof pair / sizeof *pair };

static int64_t draw_extent(Rig *r)
{
    static const int64_t often[] = {0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 20, 31, 32, 33, 64, 65};
    return rig_draw(r, 0, 9) ? often[rig_draw(r, 0, 16)] : rig_draw(r, 100, 300);
}

static int64_t make_gemm(Rig *r)
{
    char x[64], w[64], rows[16] = "m";
    const Pair *p = &pair[rig_draw(r, 0, N_PAIR - 1)];
    int64_t m = draw_extent(r), k = draw_extent(r), n = draw_extent(r);
    bool ta = rig_draw(r, 0, 3) == 0, tb = rig_draw(r, 0, 1), constant = rig_draw(r, 0, 3) > 0;
    bool bias = rig_draw(r, 0, 1), symbol = rig_draw(r, 0, 1);
    if (strcmp(p->a, "i32") == 0 || strcmp(p->a, "i64") == 0)
        constant = bias = false;
    if (!symbol)
        snprintf(rows, sizeof rows, "%lld", (long long)m);
    if (ta)
        snprintf(x, sizeof x, "%s[%lld,%s]", p->a, (long long)k, rows);
    else
        snprintf(x, sizeof x, "%s[%s,%lld]", p->a, rows, (long long)k);
    snprintf(w, sizeof w, "%s[%lld,%lld]", p->b, (long long)(tb ? n : k), (long long)(tb ? k : n));
    r->range = rig_draw(r, 0, 2) ? 0 : 400; /* of these FP8 codes are raised, of those not */
    rig_blob(r, "w", 2, (int64_t[]){tb ? n : k, tb ? k : n});
    r->range = 0;
    rig_blob(r, "b", 1, &n);
    char decl[96] = "", param[96] = "", addend[96] = "";
    if (constant)
        snprintf(decl, sizeof decl, "  %%w = const @w : %s\n", w);
    else
        snprintf(param, sizeof param, ", %%w: %s", w);
    if (bias)
        snprintf(addend, sizeof addend, "  %%b = const @b : %s[%lld]\n", p->y, (long long)n);
    rig_parse(r,
              "graph @g(%%x: %s%s) -> (%%y) {\n%s%s"
              "  %%y = gemm %%x, %%w%s {trans_a = %d, trans_b = %d} : %s[%s,%lld]\n}\n",
              x, param, decl, addend, bias ? ", %b" : "", ta, tb, p->y, rows, (long long)n);
    rig_inputs(r, symbol ? "m" : NULL, m);
    return k;
}

static void on_each_cpu(int rounds, Make make)
{
    for (int c = 0; c < SCT_N_PRODUCT_CPU; c++) {
        if (!sct_runs(sct_product_cpu(c))) {
            sct_note_skip(false, __func__, "this machine does not run %s", sct_product_cpu(c));
            continue;
        }
        for (int i = 0; i < sct_rounds(c, rounds); i++)
            check(sct_levels(c, i), (uint64_t)i * SCT_N_PRODUCT_CPU + (uint64_t)c, make);
    }
}

START_TEST(matrices)
{
    on_each_cpu(50, make_gemm);
}
END_TEST

/* Several chunks of whole tiles and of others: no tile may write where another one lies. */
static int64_t make_chunks(Rig *r)
{
    const Pair *p = &pair[rig_draw(r, 0, N_PAIR - 3)];
    long long m = rig_draw(r, 1, 24), k = rig_draw(r, 257, 800), n = rig_draw(r, 1, 40);
    bool symbol = rig_draw(r, 0, 1);
    char rows[16] = "m";
    if (!symbol)
        snprintf(rows, sizeof rows, "%lld", m);
    rig_blob(r, "w", 2, (int64_t[]){k, n});
    rig_parse(r,
              "graph @g(%%x: %s[%s,%lld]) -> (%%y) {\n  %%w = const @w : %s[%lld,%lld]\n"
              "  %%y = matmul %%x, %%w : %s[%s,%lld]\n}\n",
              p->a, rows, k, p->b, k, n, p->y, rows, n);
    rig_inputs(r, symbol ? "m" : NULL, m);
    return k;
}

START_TEST(chunks)
{
    on_each_cpu(30, make_chunks);
}
END_TEST

/* So many items that threads share them out: panels of one block of rows, or blocks. */
static int64_t make_shared(Rig *r)
{
    const Pair *p = &pair[rig_draw(r, 0, N_PAIR - 3)];
    bool blocks = rig_draw(r, 0, 1);
    long long m = blocks ? 1600 : 64, k = blocks ? 64 : 260, n = blocks ? 70 : 420;
    rig_blob(r, "w", 2, (int64_t[]){k, n});
    rig_parse(r,
              "graph @g(%%x: %s[m,%lld]) -> (%%y) {\n  %%w = const @w : %s[%lld,%lld]\n"
              "  %%y = matmul %%x, %%w : %s[m,%lld]\n}\n",
              p->a, k, p->b, k, n, p->y, n);
    rig_inputs(r, "m", m);
    return k;
}

START_TEST(shared)
{
    on_each_cpu(6, make_shared);
}
END_TEST

/* --- Batches that broadcast, and vectors ----------------------------------------------------- */

static void shape_text(char *to, size_t size, uint32_t rank, const int64_t *dims)
{
    size_t n = 0;
    to[0] = '\0';
    for (uint32_t i = 0; i < rank; i++)
        n += (size_t)snprintf(to + n, size - n, i ? ",%lld" : "%lld", (long long)dims[i]);
}

static int64_t make_batches(Rig *r)
{
    int64_t a[5], b[5], y[6], k = rig_draw(r, 0, 40), common[3];
    uint32_t ra = (uint32_t)rig_draw(r, 1, 5), rb = (uint32_t)rig_draw(r, 1, 5), ry = 0;
    const Pair *p = &pair[rig_draw(r, 0, 5)];
    bool constant = rig_draw(r, 0, 1);
    for (int i = 0; i < 3; i++)
        common[i] = rig_draw(r, 0, 4);
    uint32_t ba = ra > 2 ? ra - 2 : 0, bb = rb > 2 ? rb - 2 : 0, by = ba > bb ? ba : bb;
    for (uint32_t i = 0; i < by; i++) {
        uint32_t from_end = by - 1 - i; /* place among the batch dims, counted from the last */
        bool in_a = from_end < ba, in_b = from_end < bb;
        bool one_a = in_a && rig_draw(r, 0, 2) == 0, one_b = in_b && rig_draw(r, 0, 2) == 0;
        if (in_a)
            a[ba - 1 - from_end] = one_a ? 1 : common[from_end];
        if (in_b)
            b[bb - 1 - from_end] = one_b ? 1 : common[from_end];
        y[ry++] = (in_a && !one_a) || (in_b && !one_b) ? common[from_end] : 1;
    }
    if (ra > 1)
        a[ra - 2] = y[ry++] = rig_draw(r, 0, 9);
    a[ra - 1] = k;
    b[rb > 1 ? rb - 2 : 0] = k;
    if (rb > 1)
        b[rb - 1] = y[ry++] = rig_draw(r, 0, 40);
    char ta[64], tb[64], ty[64], decl[96] = "", param[96] = "";
    shape_text(ta, sizeof ta, ra, a);
    shape_text(tb, sizeof tb, rb, b);
    shape_text(ty, sizeof ty, ry, y);
    rig_blob(r, "w", rb, b);
    if (constant)
        snprintf(decl, sizeof decl, "  %%w = const @w : %s[%s]\n", p->b, tb);
    else
        snprintf(param, sizeof param, ", %%w: %s[%s]", p->b, tb);
    rig_parse(r, "graph @g(%%x: %s[%s]%s) -> (%%y) {\n%s  %%y = matmul %%x, %%w : %s[%s]\n}\n",
              p->a, ta, param, decl, p->y, ty);
    rig_inputs(r, NULL, 0);
    return k;
}

START_TEST(batches)
{
    on_each_cpu(40, make_batches);
}
END_TEST

/* Views of the operands are read in place: transposed heads, as attention has them. */
static int64_t make_views(Rig *r)
{
    int64_t s = rig_draw(r, 1, 9), h = rig_draw(r, 1, 3), d = rig_draw(r, 1, 20);
    rig_parse(r,
              "graph @g(%%q: f32[%lld,%lld,%lld], %%k: f32[%lld,%lld,%lld]) -> (%%y) {\n"
              "  %%1 = transpose %%q {perm = [1,0,2]} : f32[%lld,%lld,%lld]\n"
              "  %%2 = transpose %%k {perm = [1,2,0]} : f32[%lld,%lld,%lld]\n"
              "  %%y = matmul %%1, %%2 : f32[%lld,%lld,%lld]\n}\n",
              (long long)s, (long long)h, (long long)d, (long long)s, (long long)h, (long long)d,
              (long long)h, (long long)s, (long long)d, (long long)h, (long long)d, (long long)s,
              (long long)h, (long long)s, (long long)s);
    rig_inputs(r, NULL, 0);
    return d;
}

START_TEST(views)
{
    on_each_cpu(10, make_views);
}
END_TEST

/* No extent is known when the code is made. */
static int64_t make_symbolic(Rig *r)
{
    static const int64_t size[] = {0, 1, 2, 3, 4, 17, 65, 300};
    int64_t s = size[rig_draw(r, 0, 7)];
    bool tb = rig_draw(r, 0, 1), ta = rig_draw(r, 0, 1);
    rig_parse(r,
              "graph @g(%%x: f8e4m3fn[s,s], %%w: f32[s,s], %%b: f32[s]) -> (%%y) {\n"
              "  %%y = gemm %%x, %%w, %%b {trans_a = %d, trans_b = %d} : f32[s,s]\n}\n",
              ta, tb);
    rig_inputs(r, "s", s);
    return s;
}

START_TEST(symbolic)
{
    on_each_cpu(12, make_symbolic);
}
END_TEST

/* --- On the way in --------------------------------------------------------------------------- */

/* What is computed of A's elements as they are read: of a slice, with lanes that a tail leaves out,
 * which must not become more than zeros. */
static int64_t make_way(Rig *r)
{
    int64_t m = draw_extent(r), k = draw_extent(r), n = rig_draw(r, 1, 70);
    bool low = rig_draw(r, 0, 1), rows = rig_draw(r, 0, 1);
    const char *from = low ? "f32" : "i8", *to = low ? "f8e4m3fn" : "f32";
    long long kk = k, nn = n;
    char first[64], then[64];
    snprintf(first, sizeof first, low ? "mul %%1, %%c : f32" : "cast %%1 : f32");
    snprintf(then, sizeof then, low ? "cast %%2 : f8e4m3fn" : "add %%2, %%c : f32");
    rig_blob(r, "w", 2, (int64_t[]){k, n});
    rig_parse(r,
              "graph @g(%%x: %s[2,m,%lld]) -> (%%y) {\n"
              "  %%w = const @w : %s[%lld,%lld]\n  %%c = const 0.5 : f32[]\n"
              "  %%0 = slice %%x {starts = [1], ends = [2], axes = [0]} : %s[1,m,%lld]\n"
              "  %%1 = reshape %%0 {shape = [%s,%lld]} : %s[%s,%lld]\n"
              "  %%2 = %s[%s,%lld]\n  %%3 = %s[%s,%lld]\n"
              "  %%y = matmul %%3, %%w : f32[%s,%lld]\n}\n",
              from, kk, to, kk, nn, from, kk, rows ? "m" : "m,1", kk, from, rows ? "m" : "m,1", kk,
              first, rows ? "m" : "m,1", kk, then, rows ? "m" : "m,1", kk, rows ? "m" : "m,1", nn);
    rig_inputs(r, "m", m);
    return k;
}

START_TEST(on_the_way)
{
    on_each_cpu(20, make_way);
}
END_TEST

/* --- Epilogues ------------------------------------------------------------------------------- */

/* The stored code is the rounding of some number within the bound of the evaluator's. */
static void compare_codes(const Rig *r, ScrtDtype t, const ScrtTensor *got, const ScrtTensor *want,
                          const ScrtTensor *mag, int64_t depth)
{
    for (int64_t i = 0; i < scrt_count(want); i++) {
        double w = ((const float *)want->data)[i], m = ((const float *)mag->data)[i];
        double bound = (double)(depth + 2) * 0x1p-24 * m, g = scrt_load(t, got->data, (size_t)i);
        double lo = scrt_value(t, scrt_round(t, w - bound, true, SCRT_NEAREST));
        double hi = scrt_value(t, scrt_round(t, w + bound, true, SCRT_NEAREST));
        ck_assert_msg(lo <= g && g <= hi, "element %lld is %g, not in [%g, %g]\n%s", (long long)i,
                      g, lo, hi, r->text);
    }
}

/* Bias, relu, the epilogue's factor and, in the first graph, a cast to FP8. */
static void make_epilogue(Rig *r, const char *low, int64_t m, int64_t k, int64_t n)
{
    char cast[96] = "";
    rig_blob(r, "w", 2, (int64_t[]){k, n});
    rig_blob(r, "b", 1, &n);
    if (low)
        snprintf(cast, sizeof cast, "  %%y = cast %%4 : %s[m,%lld]\n", low, (long long)n);
    long long kk = k, nn = n;
    rig_parse(r,
              "graph @g(%%x: f8e4m3fn[m,%lld]) -> (%%%s) {\n"
              "  %%w = const @w : f8e4m3fn[%lld,%lld] * 2^-5\n"
              "  %%b = const @b : f32[%lld] * 2^-5\n"
              "  %%2 = matmul %%x, %%w, %%b : f32[m,%lld] * 2^-5\n"
              "  %%3 = relu %%2 : f32[m,%lld] * 2^-5\n"
              "  %%4 = rebalance %%3, 0 : f32[m,%lld]\n%s}\n",
              kk, low ? "y" : "4", kk, nn, nn, nn, nn, nn, cast);
    rig_inputs(r, "m", m);
}

static void epilogue_case(const char *cpu, uint64_t seed, const char *low)
{
    Rig r[3]; /* with the cast; without; magnitudes without */
    ScrtTensor got, want, mag;
    int64_t k = 0;
    for (int i = 0; i < 3; i++) {
        rig_init(&r[i], cpu, seed);
        r[i].magnitudes = i == 2;
        int64_t m = rig_draw(&r[i], 1, 40), n = rig_draw(&r[i], 1, 40);
        k = rig_draw(&r[i], 1, 60);
        make_epilogue(&r[i], i ? NULL : low, m, k, n);
    }
    rig_compile(&r[0]);
    ck_assert_uint_eq(r[0].object->n_kernel, 1);
    rig_run_threads(&r[0], &got);
    rig_evaluate(&r[1], &want);
    rig_evaluate(&r[2], &mag);
    compare_codes(&r[0], scrt_dtype_find(low, strlen(low)), &got, &want, &mag, k);
    rig_outputs_free(&r[0], &got);
    rig_outputs_free(&r[1], &want);
    rig_outputs_free(&r[2], &mag);
    for (int i = 0; i < 3; i++)
        rig_free(&r[i]);
}

START_TEST(epilogues)
{
    for (int c = 0; c < SCT_N_PRODUCT_CPU; c++)
        for (int i = 0; sct_runs(sct_product_cpu(c)) && i < sct_rounds(c, 20); i++)
            epilogue_case(sct_product_cpu(c), (uint64_t)i, i % 2 ? "f8e5m2" : "f8e4m3fn");
}
END_TEST

/* A NaN and an infinity of the input arrive in their rows and nowhere else. */
static void arrive(const char *cpu)
{
    Rig r;
    rig_init(&r, cpu, 1);
    rig_blob(&r, "w", 2, (int64_t[]){20, 33});
    rig_parse(&r, "graph @g(%%x: f8e5m2[m,20]) -> (%%y) {\n"
                  "  %%w = const @w : f8e4m3fn[20,33]\n"
                  "  %%y = matmul %%x, %%w : f32[m,33]\n}\n");
    rig_compile(&r);
    for (int64_t m = 2; m < 40; m += 17) {
        ScrtTensor y;
        rig_inputs(&r, "m", m);
        ((uint8_t *)r.in[0].data)[7] = 0x7f;
        ((uint8_t *)r.in[0].data)[(m - 1) * 20 + 3] = 0x7c;
        rig_run_threads(&r, &y);
        for (int64_t i = 0; i < m * 33; i++) {
            float x = ((float *)y.data)[i];
            ck_assert_msg(i < 33            ? isnan(x)
                          : i < m * 33 - 33 ? isfinite(x)
                                            : !isfinite(x),
                          "m %lld: element %lld is %g", (long long)m, (long long)i, (double)x);
        }
        rig_outputs_free(&r, &y);
    }
    rig_free(&r);
}

START_TEST(not_finite)
{
    for (int c = 0; c < SCT_N_PRODUCT_CPU; c++)
        if (sct_runs(sct_product_cpu(c)))
            arrive(sct_product_cpu(c));
}
END_TEST

/* --- Scales of blocks ------------------------------------------------------------------------- */

/* Powers of two, one for each block of rows of a column. */
static void scale_blob(Rig *r, int64_t rows, int64_t cols)
{
    float *x = sc_array(sc_ctx_arena(r->cx), float, (size_t)(rows * cols));
    for (int64_t i = 0; i < rows * cols; i++)
        x[i] = ldexpf(1, (int)rig_draw(r, -9, 9));
    int64_t dim[2] = {rows, cols};
    r->blob[r->n_blob++] = sc_blob(r->cx, sc_intern(r->cx, "s"), SCRT_F32, 2, dim, x);
}

static int64_t make_blocks(Rig *r)
{
    static const char *const types[] = {"f4e2m1", "f8e4m3fn", "f6e3m2", "f8e5m2"};
    const char *t = types[rig_draw(r, 0, 3)];
    int64_t block = 16 << rig_draw(r, 0, 1), k = block * rig_draw(r, 1, 20);
    int64_t m = rig_draw(r, 1, 5), n = rig_draw(r, 0, 3) ? rig_draw(r, 1, 70) : 300;
    bool trans = rig_draw(r, 0, 1);
    rig_blob(r, "w", 2, (int64_t[]){trans ? n : k, trans ? k : n});
    scale_blob(r, trans ? n : k / block, trans ? k / block : n);
    long long kk = k, nn = n, blocks = k / block;
    rig_parse(r,
              "graph @g(%%x: f32[m,%lld]) -> (%%y) {\n  %%w = const @w : %s[%lld,%lld]\n"
              "  %%s = const @s : f8e8m0[%lld,%lld]\n"
              "  %%y = block_matmul %%x, %%w, %%s {trans_b = %d, block = %lld} : f32[m,%lld]\n}\n",
              kk, t, trans ? nn : kk, trans ? kk : nn, trans ? nn : blocks, trans ? blocks : nn,
              trans, (long long)block, nn);
    rig_inputs(r, "m", m);
    return k;
}

/* Few rows scale the sum of a block, tiles its elements. */
START_TEST(blocks)
{
    on_each_cpu(20, make_blocks);
}
END_TEST

/* --- Rows, tiles and few rows alike ---------------------------------------------------------- */

/* A row of the result has the same bits however many rows there are, streamed or tiled, where no
 * blocks have scales. Of numbers in a large range each sum is rounded; range: of B, then A, which
 * decides what is multiplied by a power of two. */
static void rows_of(const char *cpu, const Pair *p, int64_t k, int64_t n, double range_b,
                    double range_a)
{
    static const int64_t rows[] = {1, 2, 3, 5, 40};
    Rig r;
    ScrtTensor all, some;
    char text[256];
    rig_init(&r, cpu, (uint64_t)(k + n));
    r.range = range_b;
    rig_blob(&r, "w", 2, (int64_t[]){k, n});
    r.range = range_a;
    long long kk = k, nn = n;
    snprintf(text, sizeof text,
             "graph @g(%%x: %s[m,%lld]) -> (%%y) {\n  %%w = const @w : %s[%lld,%lld]\n"
             "  %%y = matmul %%x, %%w : %s[m,%lld]\n}\n",
             p->a, kk, p->b, kk, nn, p->y, nn);
    rig_parse(&r, "%s", text);
    rig_compile(&r);
    rig_inputs(&r, "m", rows[4]);
    rig_run_threads(&r, &all);
    uint32_t bits = scrt_dtype_bits((ScrtDtype)all.dtype);
    for (int i = 0; i < 4; i++) {
        r.in[0].dims[0] = rows[i];
        rig_run_threads(&r, &some);
        ck_assert_mem_eq(some.data, all.data, (size_t)scrt_count(&some) * bits / 8);
        rig_outputs_free(&r, &some);
    }
    r.in[0].dims[0] = rows[4];
    rig_outputs_free(&r, &all);
    rig_free(&r);
}

START_TEST(rows_alike)
{
    for (int c = 0; c < SCT_N_PRODUCT_CPU; c++)
        for (int i = 0; sct_runs(sct_product_cpu(c)) && i < N_PAIR - 2; i++) {
            rows_of(sct_product_cpu(c), &pair[i], 33, 70, 0, 0);
            rows_of(sct_product_cpu(c), &pair[i], 600, 16, 400, 400);
            rows_of(sct_product_cpu(c), &pair[i], 41, 40, 0, 2e4);
        }
}
END_TEST

/* The least FP8 numbers: their products are added exactly, none is lost. */
static void least_products(const char *cpu, const char *type)
{
    enum { K = 300, N = 33 };
    Rig r;
    ScrtTensor y;
    rig_init(&r, cpu, 1);
    ScrtDtype t = scrt_dtype_find(type, strlen(type));
    double least = scrt_format(t)->min_denorm;
    float w[K * N];
    for (int i = 0; i < K * N; i++)
        w[i] = (float)least;
    int64_t dim[2] = {K, N};
    r.blob[r.n_blob++] = sc_blob(r.cx, sc_intern(r.cx, "w"), SCRT_F32, 2, dim, w);
    rig_parse(&r,
              "graph @g(%%x: %s[m,%d]) -> (%%y) {\n  %%w = const @w : %s[%d,%d]\n"
              "  %%y = matmul %%x, %%w : f32[m,%d]\n}\n",
              type, K, type, K, N, N);
    rig_compile(&r);
    for (int64_t m = 1; m < 30; m += 19) {
        rig_inputs(&r, "m", m);
        memset(r.in[0].data, 1, (size_t)(m * K)); /* the code of the least number */
        rig_run_threads(&r, &y);
        for (int64_t i = 0; i < m * N; i++)
            ck_assert_double_eq((double)((float *)y.data)[i], K * least * least);
        rig_outputs_free(&r, &y);
    }
    rig_free(&r);
}

START_TEST(least)
{
    for (int c = 0; c < SCT_N_PRODUCT_CPU; c++) {
        if (!sct_runs(sct_product_cpu(c)))
            continue;
        least_products(sct_product_cpu(c), "f8e4m3fn");
        least_products(sct_product_cpu(c), "f8e5m2");
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-contract");
    TCase *t = tcase_create("contract");
    tcase_set_timeout(t, 900);
    tcase_add_test(t, matrices);
    tcase_add_test(t, batches);
    tcase_add_test(t, views);
    tcase_add_test(t, symbolic);
    tcase_add_test(t, on_the_way);
    tcase_add_test(t, epilogues);
    tcase_add_test(t, not_finite);
    tcase_add_test(t, rows_alike);
    tcase_add_test(t, least);
    suite_add_tcase(s, t);
    t = tcase_create("chunks");
    tcase_set_timeout(t, 900);
    tcase_add_test(t, chunks);
    tcase_add_test(t, shared);
    suite_add_tcase(s, t);
    t = tcase_create("blocks");
    tcase_set_timeout(t, 900);
    tcase_add_test(t, blocks);
    suite_add_tcase(s, t);
    return sct_main("codegen-contract", s);
}
