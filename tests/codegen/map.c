/* SPDX-License-Identifier: Apache-2.0 */
/* MAP, VIEW and CONCAT kernels against the evaluator, bit for bit. */
#include "tests/codegen/compiled.h"
#include "tests/codegen/rig.h"

#include <math.h>
#include <string.h>

static const SctBound exact = {0};
#define SIZES(...)                                                                                 \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[])                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define NO_SIZES 0, NULL

START_TEST(tails)
{
    int64_t size[71];
    for (int i = 0; i <= 70; i++)
        size[i] = i;
    sct_everywhere("graph @g(%x: f32[n], %y: f32[n]) -> (%z, %w) {\n"
                   "  %m = mul %x, %y : f32[n]\n"
                   "  %z = add %m, %x : f32[n]\n"
                   "  %w = relu %m : f32[n]\n"
                   "}\n",
                   -4, 4, exact, 71, size);
}
END_TEST

START_TEST(threads_share_large_ones)
{
    sct_everywhere("graph @g(%x: f32[n,3], %y: f32[3]) -> (%z) {\n"
                   "  %z = sub %x, %y : f32[n,3]\n"
                   "}\n",
                   -4, 4, exact, SIZES(40000, 100001));
}
END_TEST

START_TEST(broadcasts)
{
    sct_everywhere("graph @g(%a: f32[n,1,5], %b: f32[4,1], %c: f32[], %d: f32[1,4,5])"
                   " -> (%z, %w) {\n"
                   "  %1 = mul %a, %b : f32[n,4,5]\n"
                   "  %2 = sub %1, %c : f32[n,4,5]\n"
                   "  %z = div %2, %d : f32[n,4,5]\n"
                   "  %w = less %2, %d : bool[n,4,5]\n"
                   "}\n",
                   0.5, 4, exact, SIZES(0, 1, 2, 33));
}
END_TEST

/* Two symbols meet: which of them is 1 shows at run time. */
START_TEST(symbolic_broadcasts)
{
    static const int64_t size[][2] = {{1, 1}, {1, 19}, {19, 1}, {19, 19}, {0, 1}, {1, 0}};
    for (int c = 0; c < SCT_N_CPU; c++) {
        if (!sct_runs(sct_cpus[c]))
            continue;
        SctModel m = sct_compile("graph @g(%a: f32[3,n], %b: f32[m], %k: f32[m,1])"
                                 " -> (%z, %w) {\n"
                                 "  %z = add %a, %b : f32[3,bcast(m,n)]\n"
                                 "  %w = mul %z, %b : f32[3,bcast(m,n)]\n"
                                 "}\n",
                                 sct_cpus[c], NULL);
        for (uint32_t i = 0; i < sizeof size / sizeof *size; i++) {
            ScBinding env[] = {{sc_intern(m.cx, "n"), size[i][0]},
                               {sc_intern(m.cx, "m"), size[i][1]}};
            sct_compare(&m, i, -4, 4, 2, env, exact);
        }
        sct_close(&m);
    }
}
END_TEST

START_TEST(integers_and_bools)
{
    sct_everywhere("graph @g(%a: i64[n], %b: i64[n], %c: i8[n], %p: bool[n], %q: bool[1])"
                   " -> (%1, %2, %3, %4, %5, %6, %7, %8) {\n"
                   "  %1 = mul %a, %b : i64[n]\n"
                   "  %2 = less %a, %b : bool[n]\n"
                   "  %3 = where %p, %a, %b : i64[n]\n"
                   "  %4 = neg %c : i8[n]\n"
                   "  %5 = cast %c : f32[n]\n"
                   "  %6 = cast %p : i32[n]\n"
                   "  %7 = equal %p, %q : bool[n]\n"
                   "  %8 = cast %a : u8[n]\n"
                   "}\n",
                   -4, 4, exact, SIZES(1, 37));
}
END_TEST

START_TEST(doubles)
{
    sct_everywhere("graph @g(%a: f64[n], %b: f32[n]) -> (%1, %2, %3, %4) {\n"
                   "  %1 = mul %a, %a : f64[n]\n"
                   "  %2 = cast %a : f32[n]\n"
                   "  %3 = cast %b : f64[n]\n"
                   "  %4 = sqrt %1 : f64[n]\n"
                   "}\n",
                   -4, 4, exact, SIZES(1, 37));
}
END_TEST

/* Every value between two nodes is rounded to its type, in a register as in memory. */
START_TEST(low_precision)
{
    sct_everywhere("graph @g(%a: f16[n], %b: bf16[n], %c: f32[n]) -> (%1, %3, %5, %7, %8) {\n"
                   "  %1 = mul %a, %a : f16[n]\n"
                   "  %2 = add %1, %a : f16[n]\n"
                   "  %3 = sqrt %2 : f16[n]\n"
                   "  %4 = sub %b, %b : bf16[n]\n"
                   "  %5 = mul %b, %b : bf16[n]\n"
                   "  %6 = cast %c : f8e4m3fn[n]\n"
                   "  %7 = cast %6 : f32[n]\n"
                   "  %8 = cast %c : f8e5m2[n]\n"
                   "}\n",
                   0, 600, exact, SIZES(1, 37));
}
END_TEST

/* What is computed for several vectors at once, in groups of them, whole vectors and tails. */
START_TEST(long_bodies)
{
    sct_everywhere("graph @g(%x: f32[n], %h: f16[n], %c: f8e4m3fn[n]) -> (%4, %7, %8, %9, %10) {\n"
                   "  %a = cast %h : f32[n]\n"
                   "  %b = cast %c : f32[n]\n"
                   "  %1 = mul %x, %a : f32[n]\n"
                   "  %2 = sub %1, %x : f32[n]\n"
                   "  %3 = div %2, %x : f32[n]\n"
                   "  %4 = less %3, %b : bool[n]\n"
                   "  %5 = where %4, %3, %2 : f32[n]\n"
                   "  %6 = sqrt %5 : f32[n]\n"
                   "  %7 = add %6, %1 : f32[n]\n"
                   "  %8 = cast %7 : f8e4m3fn[n]\n"
                   "  %9 = cast %3 : f8e5m2[n]\n"
                   "  %10 = cast %2 : f16[n]\n"
                   "}\n",
                   0.5, 40, exact,
                   SIZES(0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 79, 80, 127, 128, 150));
    sct_everywhere("graph @g(%x: f32[3,n], %a: f32[n]) -> (%y) {\n"
                   "  %1 = mul %x, %a : f32[3,n]\n"
                   "  %y = cast %1 : f8e4m3fn[3,n]\n"
                   "}\n",
                   -40, 40, exact, SIZES(1, 5, 16, 33, 64, 95, 150));
}
END_TEST

/* An element has the same bits whatever it lies in: a group of vectors, a vector, a tail. */
static void same_in_any_length(const char *cpu)
{
    enum { MOST = 150 };
    Rig r;
    ScrtTensor all[2], some[2];
    rig_init(&r, cpu, 7);
    r.range = 5;
    rig_parse(&r, "graph @g(%%x: f32[n]) -> (%%y, %%c) {\n"
                  "  %%1 = erf %%x : f32[n]\n"
                  "  %%2 = tanh %%x : f32[n]\n"
                  "  %%y = sigmoid %%1 : f32[n]\n"
                  "  %%3 = mul %%2, %%x : f32[n]\n"
                  "  %%c = cast %%3 : f8e4m3fn[n]\n"
                  "}\n");
    rig_compile(&r);
    rig_inputs(&r, "n", MOST);
    rig_run(&r, 1, all);
    for (int64_t n = 1; n < MOST; n++) {
        r.in[0].dims[0] = n;
        rig_run(&r, 1, some);
        ck_assert_msg(!memcmp(some[0].data, all[0].data, (size_t)n * 4), "%s, f32: %d", cpu,
                      (int)n);
        ck_assert_msg(!memcmp(some[1].data, all[1].data, (size_t)n), "%s, FP8: %d", cpu, (int)n);
        rig_outputs_free(&r, some);
    }
    r.in[0].dims[0] = MOST;
    rig_outputs_free(&r, all);
    rig_free(&r);
}

START_TEST(lengths)
{
    for (int c = 0; c < SCT_N_CPU; c++)
        if (sct_runs(sct_cpus[c]))
            same_in_any_length(sct_cpus[c]);
}
END_TEST

START_TEST(views)
{
    sct_everywhere("graph @g(%x: f32[n,3,4]) -> (%t, %r, %s, %u) {\n"
                   "  %t = transpose %x {perm = [2,0,1]} : f32[4,n,3]\n"
                   "  %r = reshape %x : f32[3*n,4]\n"
                   "  %1 = transpose %x {perm = [0,2,1]} : f32[n,4,3]\n"
                   "  %2 = neg %1 : f32[n,4,3]\n"
                   "  %s = add %2, %1 : f32[n,4,3]\n"
                   "  %3 = relu %x : f32[n,3,4]\n"
                   "  %u = flatten %3 : f32[n,12]\n"
                   "}\n",
                   -4, 4, exact, SIZES(0, 1, 2, 9));
}
END_TEST

/* Transposed operands are copied in tiles: all sizes of tails, all sizes of elements. */
START_TEST(transposes)
{
    static const char *const type[] = {"i8", "f16", "f32", "f64", "bool"};
    for (int i = 0; i < 5; i++) {
        char text[1024];
        const char *t = type[i];
        snprintf(
            text, sizeof text,
            "graph @g(%%x: %s[n,19], %%b: %s[2,n,3,5], %%c: %s[n], %%p: %s[2,3,n], %%q: %s[2,n])"
            " -> (%%1, %%2, %%3, %%5, %%6, %%7) {\n"
            "  %%1 = transpose %%x : %s[19,n]\n"
            "  %%2 = transpose %%b {perm = [3,0,2,1]} : %s[5,2,3,n]\n"
            "  %%3 = transpose %%b {perm = [2,1,3,0]} : %s[3,n,5,2]\n"
            "  %%4 = transpose %%x : %s[19,n]\n"
            "  %%5 = equal %%4, %%c : bool[19,n]\n"
            "  %%6 = transpose %%p {perm = [0,2,1]} : %s[2,n,3]\n"
            "  %%7 = transpose %%q : %s[n,2]\n"
            "}\n",
            t, t, t, t, t, t, t, t, t, t, t);
        sct_everywhere(text, -4, 4, exact, SIZES(0, 1, 2, 15, 16, 17, 31, 32, 40, 67));
    }
}
END_TEST

/* Neighbours that stay so move together: depth to space, whose rows are channels and lines by
 * turns; heads of few channels. */
START_TEST(transposed_atoms)
{
    static const char *const type[] = {"i8", "f16", "f32", "f64"};
    for (int i = 0; i < 4; i++) {
        char text[2048];
        const char *t = type[i];
        snprintf(text, sizeof text,
                 "graph @g(%%x: %s[n,5,24], %%y: %s[5,n,24], %%z: %s[n,19,4], %%c: %s[n,2])"
                 " -> (%%3, %%6, %%7, %%8, %%9) {\n"
                 "  %%1 = transpose %%x {perm = [2,0,1]} : %s[24,n,5]\n"
                 "  %%2 = reshape %%1 : %s[6,2,2,n,5]\n"
                 "  %%3 = transpose %%2 {perm = [0,3,1,4,2]} : %s[6,n,2,5,2]\n"
                 "  %%4 = transpose %%y {perm = [2,0,1]} : %s[24,5,n]\n"
                 "  %%5 = reshape %%4 : %s[6,2,2,5,n]\n"
                 "  %%6 = transpose %%5 {perm = [0,3,1,4,2]} : %s[6,5,2,n,2]\n"
                 "  %%7 = equal %%6, %%c : bool[6,5,2,n,2]\n"
                 "  %%8 = transpose %%z {perm = [1,0,2]} : %s[19,n,4]\n"
                 "  %%9 = transpose %%4 {perm = [0,2,1]} : %s[24,n,5]\n"
                 "}\n",
                 t, t, t, t, t, t, t, t, t, t, t, t);
        sct_everywhere(text, -4, 4, exact, SIZES(0, 1, 2, 7, 8, 9, 16, 33));
    }
}
END_TEST

/* Outputs that no kernel writes: inputs, constants, twice the same, a view of an input. */
START_TEST(copies)
{
    sct_everywhere("graph @g(%x: f32[n,2]) -> (%x, %c, %v, %y, %y as again) {\n"
                   "  %c = const [1,2,3] : f32[3]\n"
                   "  %v = reshape %x : f32[2*n]\n"
                   "  %y = neg %x : f32[n,2]\n"
                   "}\n",
                   -4, 4, exact, SIZES(0, 1, 5));
}
END_TEST

/* What comes before a leader in its kernel and does not lead to it is an epilogue's too. */
START_TEST(beside_an_anchor)
{
    sct_everywhere("graph @g(%x: f32[n,8], %w: f32[8,8], %a: f32[1,2,n,8],"
                   " %b: f32[n,16]) -> (%5, %8, %11) {\n"
                   "  %1 = neg %x : f32[n,8]\n"
                   "  %2 = less %x, %1 : bool[n,8]\n"
                   "  %3 = matmul %x, %w : f32[n,8]\n"
                   "  %5 = where %2, %3, %x : f32[n,8]\n"
                   "  %6 = neg %a : f32[1,2,n,8]\n"
                   "  %7 = avgpool %a {kernel_shape = [1,1]} : f32[1,2,n,8]\n"
                   "  %8 = sub %7, %6 : f32[1,2,n,8]\n"
                   "  %9 = abs %b : f32[n,16]\n"
                   "  %10 = concat %x, %1 {axis = 1} : f32[n,16]\n"
                   "  %11 = add %9, %10 : f32[n,16]\n"
                   "}\n",
                   -4, 4, (SctBound){.rel = 1e-5, .abs = 1e-5}, SIZES(1, 5, 33));
}
END_TEST

/* An output that is the first rows of a larger value: that one is computed elsewhere. */
START_TEST(first_rows)
{
    static const char text[] =
        "graph @g(%x: f32[9]) -> (%y) {\n"
        "  %1 = neg %x : f32[9]\n"
        "  %y = slice %1 {starts = [0], ends = [2], axes = [0], steps = [1]} : f32[2]\n"
        "}\n";
    SctModel m = sct_compile(text, "native", NULL);
    ScrtSession *s = sct_open(&m, 0);
    float x[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, y[9] = {0};
    ScrtTensor in = {.dtype = SCRT_F32, .rank = 1, .dims = {9}, .data = x};
    ScrtTensor out = {.data = y};
    ck_assert_int_eq(scrt_run(s, &in, &out), SCRT_OK);
    ck_assert_float_eq(y[0], -1);
    ck_assert_float_eq(y[1], -2);
    for (int i = 2; i < 9; i++)
        ck_assert_msg(y[i] == 0, "element %d, beyond the output, was written", i);
    scrt_close(s);
    sct_close(&m);
}
END_TEST

START_TEST(concatenation)
{
    sct_everywhere("graph @g(%x: f32[n,70], %z: f32[n,45], %a: f32[115]) -> (%y) {\n"
                   "  %1 = concat %x, %z {axis = 1} : f32[n,115]\n"
                   "  %2 = mul %1, %a : f32[n,115]\n"
                   "  %y = cast %2 : f8e4m3fn[n,115]\n"
                   "}\n",
                   -20, 20, exact, SIZES(0, 1, 3));
    sct_everywhere("graph @g(%a: f32[n,3], %b: f32[n,18], %c: f32[4,n], %d: f32[2,n])"
                   " -> (%x, %y, %z) {\n"
                   "  %x = concat %a, %b, %a {axis = 1} : f32[n,24]\n"
                   "  %y = concat %c, %d {axis = 0} : f32[6,n]\n"
                   "  %1 = concat %d, %c {axis = -2} : f32[6,n]\n"
                   "  %2 = transpose %1 : f32[n,6]\n"
                   "  %3 = concat %2, %a {axis = 1} : f32[n,9]\n"
                   "  %z = relu %3 : f32[n,9]\n"
                   "}\n",
                   -4, 4, exact, SIZES(0, 1, 2, 17));
}
END_TEST

/* Operands of one shape share a body; those of another type, or that lie otherwise, do not. The
 * epilogue has a number for each place along the axis, and one operand is a part and its factor. */
START_TEST(parts_of_one_shape)
{
    sct_everywhere(
        "graph @g(%a: f32[n,3,5], %b: f32[n,3,5], %c: f32[n,3,5], %d: f32[n,4,5], %e: "
        "f32[n,3,10],\n"
        "         %t: f32[5,3,n], %k: f32[14,1], %p: f32[1,n], %q: f32[1,n]) -> (%x, %y, %z) {\n"
        "  %1 = concat %a, %d, %b, %c, %a {axis = 1} : f32[n,16,5]\n"
        "  %x = relu %1 : f32[n,16,5]\n"
        "  %2 = slice %e {starts = [0], ends = [5], axes = [2]} : f32[n,3,5]\n"
        "  %3 = slice %e {starts = [5], ends = [10], axes = [2]} : f32[n,3,5]\n"
        "  %4 = slice %e {starts = [-1], ends = [-11], axes = [2], steps = [-2]} : f32[n,3,5]\n"
        "  %5 = transpose %t {perm = [2,1,0]} : f32[n,3,5]\n"
        "  %6 = slice %5 {starts = [0], ends = [2], axes = [1]} : f32[n,2,5]\n"
        "  %7 = concat %2, %3, %4, %5, %6 {axis = 1} : f32[n,14,5]\n"
        "  %y = mul %7, %k : f32[n,14,5]\n"
        "  %8 = concat %p, %q, %p {axis = 0} : f32[3,n]\n"
        "  %z = mul %8, %p : f32[3,n]\n"
        "}\n",
        -4, 4, exact, SIZES(0, 1, 2, 17));
}
END_TEST

/* Powers of two beyond a float's range, a symbolic one, saturation; infinities and subnormals. */
START_TEST(rebalances)
{
    static const char text[] =
        "graph @g [scaled] (%x: f32[n], %h: f16[n]) -> (%1, %2, %3, %4, %5, %6, %8, %10, %11) {\n"
        "  %1 = rebalance %x, 3 : f32[n] * 2^3\n"
        "  %2 = rebalance %x, -126 : f32[n] * 2^-126\n"
        "  %3 = rebalance %x, 200 : f32[n] * 2^200\n"
        "  %4 = rebalance %x, -300 {saturate = 1} : f32[n] * 2^-300\n"
        "  %5 = rebalance %x, log2(n) : f32[n] * 2^log2(n)\n"
        "  %6 = rebalance %x, -40*log2(n) : f32[n] * 2^(-40*log2(n))\n"
        "  %7 = rebalance %x, 2 : f32[n] * 2^2\n"
        "  %8 = cast %7 : f8e4m3fn[n] * 2^2\n"
        "  %10 = rebalance %h, -4 : f16[n] * 2^-4\n"
        "  %11 = rebalance %h, -40 {saturate = 1} : f16[n] * 2^-40\n"
        "}\n";
    static const float x[] = {0,         -0.0f,  1,      -1.5f,    3e38f,     -3e38f, INFINITY,
                              -INFINITY, NAN,    1e-38f, 1e-45f,   -1.2e-42f, 448,    0.001f,
                              7e-5f,     123.4f, 2e-10f, -8.8e20f, 100};
    enum { N = sizeof x / sizeof *x };
    for (int c = 0; c < SCT_N_CPU; c++) {
        if (!sct_runs(sct_cpus[c]))
            continue;
        SctModel m = sct_compile(text, sct_cpus[c], NULL);
        ScrtTensor in[2] = {{.dtype = SCRT_F32, .rank = 1, .dims = {N}},
                            {.dtype = SCRT_F16, .rank = 1, .dims = {N}}};
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(scrt_tensor_alloc(&in[i]), SCRT_OK);
            for (size_t k = 0; k < N; k++)
                scrt_store((ScrtDtype)in[i].dtype, in[i].data, k, x[k], false);
        }
        sct_compare_on(&m, in, exact);
        scrt_free(in[0].data);
        scrt_free(in[1].data);
        sct_close(&m);
    }
}
END_TEST

#if defined(__x86_64__)
/* Without ScrtOptions.subnormals a result below the least normal number is 0, on each thread; all
 * else is as it was: operands, and f16. */
START_TEST(flushes_subnormals)
{
    static const char text[] = "graph @g(%x: f32[n], %h: f16[n]) -> (%p, %q, %i) {\n"
                               "  %p = mul %x, %x : f32[n]\n"
                               "  %q = div %x, %x : f32[n]\n"
                               "  %i = add %h, %h : f16[n]\n"
                               "}\n";
    enum { N = 1 << 16 }; /* for both threads */
    static const float pattern[] = {0x1p-149f, -0x1p-127f, 0x1p-70f,  -0x1p-64f,
                                    -0x1p-63f, 0x1p-50f,   -0x1p-10f, 3};
    SctModel m = sct_compile(text, "native", NULL);
    ScrtOptions opt = {.n_thread = 2};
    ScrtSession *s = NULL;
    ck_assert_int_eq(scrt_open(sc_loaded_model(m.loaded), &opt, &s), SCRT_OK);
    ScrtTensor in[2] = {{.dtype = SCRT_F32, .rank = 1, .dims = {N}},
                        {.dtype = SCRT_F16, .rank = 1, .dims = {N}}};
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(scrt_tensor_alloc(&in[i]), SCRT_OK);
    for (int k = 0; k < N; k++) {
        ((float *)in[0].data)[k] = pattern[k % 8];
        scrt_store(SCRT_F16, in[1].data, k, 0x1p-24, false);
    }
    ScrtTensor out[3] = {0};
    ck_assert_int_eq(scrt_run(s, in, out), SCRT_OK);
    for (int k = 0; k < N; k++) {
        float x = pattern[k % 8], square = k % 8 < 4 ? 0 : x * x;
        float p = ((float *)out[0].data)[k], q = ((float *)out[1].data)[k];
        sct_need(p == square && q == 1, "element %d: %a, %a of %a", k, p, q, x);
        ck_assert(scrt_load(SCRT_F16, out[2].data, k) == 0x1p-23);
    }
    for (int i = 0; i < 3; i++)
        scrt_free(out[i].data);
    for (int i = 0; i < 2; i++)
        scrt_free(in[i].data);
    scrt_close(s);
    sct_close(&m);
}
END_TEST
#endif

START_TEST(states)
{
    static const char text[] = "graph @sum(%x: f32[5]) -> (%total, %was) {\n"
                               "  state @acc (%past: f32[5] -> %total) = [0.5,0,-0,1,2]\n"
                               "  state @last (%was: f32[5] -> %x)\n"
                               "  %total = add %past, %x : f32[5]\n"
                               "}\n";
    SctModel m = sct_compile(text, "native", NULL);
    ScrtSession *s = sct_open(&m, 0);
    static const float init[] = {0.5f, 0, 0, 1, 2};
    float x[5], total[5], was[5];
    for (int step = 0; step < 3; step++) {
        ScrtTensor in = {.dtype = SCRT_F32, .rank = 1, .dims = {5}, .data = x};
        ScrtTensor out[2] = {{.data = total}, {.data = was}};
        for (int i = 0; i < 5; i++)
            x[i] = (float)(step + 1);
        ck_assert_int_eq(scrt_run(s, &in, out), SCRT_OK);
        for (int i = 0; i < 5; i++) {
            int sum = (step + 1) * (step + 2) / 2;
            ck_assert(total[i] == init[i] + (float)sum);
            ck_assert(was[i] == (float)step);
        }
    }
    scrt_close(s);
    sct_close(&m);
}
END_TEST

/* Extents that leave the graph, or are computed with. */
START_TEST(shapes)
{
    sct_everywhere("graph @g(%x: f32[n,3], %y: f16[2,n+1]) -> (%s, %t, %u, %r, %e) {\n"
                   "  %s = shape %x : i64[2]\n"
                   "  %1 = concat %x, %x {axis = 0} : f32[2*n,3]\n"
                   "  %t = shape %1 {end = 1} : i64[1]\n"
                   "  %u = mul %s, %t : i64[2]\n"
                   "  %2 = shape %y {start = -1} : i64[1]\n"
                   "  %r = cast %2 : f32[1]\n"
                   "  %e = shape %x {start = 2} : i64[0]\n"
                   "}\n",
                   -4, 4, exact, SIZES(0, 1, 70));
}
END_TEST

/* What is larger than the caches is stored past them: vectors begin at multiples of their size,
 * wherever the result and its rows begin. */
START_TEST(past_the_caches)
{
    sct_everywhere("graph @g(%x: f64[4195001]) -> (%y) {\n"
                   "  %y = neg %x : f64[4195001]\n"
                   "}\n",
                   -2, 2, exact, SIZES(1));
    sct_everywhere("graph @g(%x: f16[4099,4099], %a: f16[4099]) -> (%y) {\n"
                   "  %y = add %x, %a : f16[4099,4099]\n"
                   "}\n",
                   -2, 2, exact, SIZES(1));
    /* of long bodies several vectors at once, each of which is aligned and no more */
    sct_everywhere("graph @g(%x: f16[4099,4099], %a: f16[4099]) -> (%y) {\n"
                   "  %1 = add %x, %a : f16[4099,4099]\n"
                   "  %2 = relu %1 : f16[4099,4099]\n"
                   "  %3 = neg %2 : f16[4099,4099]\n"
                   "  %y = add %3, %a : f16[4099,4099]\n"
                   "}\n",
                   -2, 2, exact, SIZES(1));
    sct_everywhere("graph @g(%x: f32[8191,4099]) -> (%y) {\n"
                   "  %y = cast %x : f8e4m3fn[8191,4099]\n"
                   "}\n",
                   -2, 2, exact, SIZES(1));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-map");
    TCase *t = tcase_create("map");
    tcase_add_test(t, tails);
    tcase_add_test(t, threads_share_large_ones);
    tcase_add_test(t, broadcasts);
    tcase_add_test(t, symbolic_broadcasts);
    tcase_add_test(t, integers_and_bools);
    tcase_add_test(t, doubles);
    tcase_add_test(t, low_precision);
    tcase_add_test(t, long_bodies);
    tcase_add_test(t, lengths);
    tcase_add_test(t, views);
    tcase_add_test(t, transposes);
    tcase_add_test(t, transposed_atoms);
    tcase_add_test(t, copies);
    tcase_add_test(t, beside_an_anchor);
    tcase_add_test(t, first_rows);
    tcase_add_test(t, concatenation);
    tcase_add_test(t, parts_of_one_shape);
    tcase_add_test(t, rebalances);
#if defined(__x86_64__)
    tcase_add_test(t, flushes_subnormals);
#endif
    tcase_add_test(t, states);
    tcase_add_test(t, shapes);
    tcase_add_test(t, past_the_caches);
    suite_add_tcase(s, t);
    return sct_main("codegen-map", s);
}
