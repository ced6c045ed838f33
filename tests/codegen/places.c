/* SPDX-License-Identifier: Apache-2.0 */
/* Values that lie inside others: parts of a concatenation are written where they belong, slices are
 * read where they lie, and what cannot be is copied; what kernels move is counted. */
#include "tests/codegen/compiled.h"

#include <string.h>

static const SctBound exact = {0};

/* What the kernel with result or ONNX name `from` says of itself. */
static const char *what(const SctModel *m, const char *from)
{
    for (uint32_t i = 0; i < m->o->n_kernel; i++)
        if (strcmp(m->o->kernel[i].from, from) == 0)
            return m->o->kernel[i].what;
    ck_abort_msg("no kernel from %s", from);
    return "";
}

static void says(const SctModel *m, const char *from, const char *words)
{
    ck_assert_msg(strstr(what(m, from), words), "%s: %s", from, what(m, from));
}

/* Equal bits on every target and at each size of n and b; the kernel "cat" says `words`. */
static void check(const char *text, const char *words, SctBound bound)
{
    static const int64_t size[][2] = {{1, 1}, {2, 3}, {5, 17}, {3, 40}, {0, 4}, {4, 0}};
    for (int c = 0; c < SCT_N_CPU; c++) {
        if (!sct_runs(sct_cpus[c]))
            continue;
        SctModel m = sct_compile(text, sct_cpus[c], NULL);
        says(&m, "cat", words);
        for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
            ScBinding env[] = {{sc_intern(m.cx, "b"), size[i][0]},
                               {sc_intern(m.cx, "n"), size[i][1]}};
            sct_compare(&m, i + 1, -2, 2, 2, env, bound);
        }
        sct_close(&m);
    }
}

/* --- Parts ----------------------------------------------------------------------------------- */

START_TEST(elementwise_parts)
{
    check("graph @g(%x: f32[b,n,24], %y: f32[b,n,40]) -> (%z) {\n"
          "  %1 = neg %x : f32[b,n,24]\n"
          "  %2 = abs %y : f32[b,n,40]\n"
          "  %3 = concat %1, %2, %1 {axis = 2} : f32[b,n,88] from \"cat\"\n"
          "  %4 = transpose %3 {perm = [2,1,0]} : f32[88,n,b]\n"
          "  %z = add %4, %4 : f32[88,n,b]\n"
          "}\n",
          "3 operands, 1 in place", exact); /* what is a part twice is copied both times */
    check("graph @g(%x: f32[b,n,24], %y: f32[b,3,24]) -> (%3, %u) {\n"
          "  %1 = neg %x : f32[b,n,24]\n"
          "  %2 = transpose %y {perm = [2,1,0]} : f32[24,3,b]\n"
          "  %p = transpose %2 {perm = [2,1,0]} : f32[b,3,24]\n"
          "  %q = exp %p : f32[b,3,24]\n"
          "  %3 = concat %1, %y, %q {axis = 1} : f32[b,n+6,24] from \"cat\"\n"
          "  %u = mul %1, %1 : f32[b,n,24]\n" /* reads the part where it lies */
          "}\n",
          "3 operands, 2 in place", (SctBound){.max_ulp = 4});
}
END_TEST

START_TEST(parts_of_every_class)
{
    check("graph @g(%x: f32[b,n,24], %w: f32[24,32], %i: f32[b,n,32], %s: f32[b,32,n]) -> (%z) {\n"
          "  %m = matmul %x, %w : f32[b,n,32]\n"
          "  %h = reduce_max %i {axes = [2]} : f32[b,n,1]\n"
          "  %e = sub %i, %h : f32[b,n,32]\n"
          "  %t = transpose %s {perm = [0,2,1]} : f32[b,n,32]\n"
          "  %k = cumsum %i {axis = 1} : f32[b,n,32]\n"
          "  %c = concat %m, %e, %t, %k {axis = 2} : f32[b,n,128] from \"cat\"\n"
          "  %z = reduce_max %c {axes = [0]} : f32[1,n,128]\n"
          "}\n",
          "4 operands, no code", (SctBound){.rel = 1e-5, .abs = 1e-5});
    check("graph @g(%x: f32[b,6,9,9], %w: f32[20,6,3,3], %y: f32[b,20,n,7]) -> (%z, %p) {\n"
          "  %1 = conv %x, %w {strides = [1,1], pads = [0,0,0,0],"
          " dilations = [1,1]} : f32[b,20,7,7]\n"
          "  %2 = tanh %y : f32[b,20,n,7]\n"
          "  %3 = concat %1, %2 {axis = 2} : f32[b,20,n+7,7] from \"cat\"\n"
          "  %z = reduce_max %3 {axes = [3]} : f32[b,20,n+7,1]\n"
          "  %p = maxpool %1 {kernel_shape = [2,2], strides = [1,1], pads = [0,0,0,0],"
          " dilations = [1,1]} : f32[b,20,6,6]\n"
          "}\n",
          "2 operands, no code", (SctBound){.rel = 1e-5, .abs = 1e-5});
}
END_TEST

START_TEST(parts_of_parts)
{
    check("graph @g(%x: f32[b,n,16], %y: f32[b,2,16]) -> (%z) {\n"
          "  %1 = neg %x : f32[b,n,16]\n"
          "  %2 = abs %y : f32[b,2,16]\n"
          "  %3 = concat %1, %2 {axis = 1} : f32[b,n+2,16] from \"inner\"\n"
          "  %4 = relu %y : f32[b,2,16]\n"
          "  %5 = concat %4, %3 {axis = 1} : f32[b,n+4,16] from \"cat\"\n"
          "  %z = transpose %5 {perm = [1,0,2]} : f32[n+4,b,16]\n"
          "}\n",
          "2 operands, no code", exact);
    check("graph @g(%x: f32[b,n,16], %y: f32[b,n,16]) -> (%z) {\n"
          "  %1 = neg %x : f32[b,n,16]\n"
          "  %2 = abs %y : f32[b,n,16]\n"
          "  %3 = concat %1, %2 {axis = 1} : f32[b,2*n,16] from \"inner\"\n"
          "  %4 = concat %3, %3 {axis = 2} : f32[b,2*n,32] from \"twice\"\n"
          "  %5 = concat %4, %4 {axis = 0} : f32[2*b,2*n,32] from \"cat\"\n"
          "  %z = neg %5 : f32[2*b,2*n,32]\n"
          "}\n",
          "2 operands", exact);
}
END_TEST

/* A view of what lies inside, whose extents before the pitch are the same: a rotary embedding that
 * is appended. */
START_TEST(views_of_parts)
{
    check("graph @g(%x: f32[b,n,24], %y: f32[b,2,24]) -> (%z) {\n"
          "  %0 = reshape %x {shape = [b,n,2,12]} : f32[b,n,2,12]\n"
          "  %1 = slice %0 {starts = [-1], ends = [-9], axes = [2], steps = [-1]} : f32[b,n,2,12]\n"
          "  %2 = mul %0, %1 : f32[b,n,2,12]\n"
          "  %3 = reshape %2 {shape = [b,n,24]} : f32[b,n,24]\n"
          "  %4 = abs %y : f32[b,2,24]\n"
          "  %5 = concat %4, %3 {axis = 1} : f32[b,n+2,24] from \"cat\"\n"
          "  %6 = transpose %5 {perm = [2,1,0]} : f32[24,n+2,b]\n"
          "  %z = add %6, %6 : f32[24,n+2,b]\n"
          "}\n",
          "2 operands, no code", exact);
}
END_TEST

/* What leaves, what a pitch would cost more than a copy, and what comes later than the whole. */
START_TEST(copies)
{
    check("graph @g(%x: f32[b,n,24]) -> (%1, %3) {\n"
          "  %1 = neg %x : f32[b,n,24]\n"
          "  %3 = concat %1, %x {axis = 2} : f32[b,n,48] from \"cat\"\n"
          "}\n",
          "2 operands", exact);
    check("graph @g(%x: f32[b,n,2]) -> (%3) {\n"
          "  %1 = neg %x : f32[b,n,2]\n"
          "  %3 = concat %1, %x {axis = 2} : f32[b,n,4] from \"cat\"\n"
          "}\n",
          "2 operands", exact);
    SctModel m = sct_compile("graph @g(%x: f32[4,8], %s: i64[2]) -> (%z) {\n"
                             "  %1 = neg %x : f32[4,8]\n"
                             "  %i = add %s, %s : i64[2]\n"
                             "  %k = bind %i {as = [a,c]} : i64[2]\n"
                             "  %2 = abs %x : f32[4,8]\n"
                             "  %3 = expand %2 {shape = [a,4,8]} : f32[a,4,8]\n"
                             "  %4 = exp %3 : f32[a,4,8]\n"
                             "  %5 = reshape %4 {shape = [4*a,8]} : f32[4*a,8]\n"
                             "  %z = concat %1, %5 {axis = 0} : f32[4*a+4,8] from \"cat\"\n"
                             "}\n",
                             "native", NULL);
    says(&m, "cat", "2 operands, 1 in place");
    float x[32];
    int64_t s[2] = {3, 1};
    for (int i = 0; i < 32; i++)
        x[i] = (float)i / 8;
    ScrtTensor in[] = {{.dtype = SCRT_F32, .rank = 2, .dims = {4, 8}, .data = x},
                       {.dtype = SCRT_I64, .rank = 1, .dims = {2}, .data = s}};
    sct_compare_on(&m, in, (SctBound){.max_ulp = 4});
    sct_close(&m);
}
END_TEST

/* --- Slices ---------------------------------------------------------------------------------- */

START_TEST(slices_lie_where_they_are)
{
    SctModel m = sct_compile(
        "graph @g(%x: f32[1,40,9,9], %w: f32[8,20,3,3]) -> (%z, %o) {\n"
        "  %1 = relu %x : f32[1,40,9,9]\n"
        "  %2 = slice %1 {starts = [20], ends = [40], axes = [1], steps = [1]} : f32[1,20,9,9] from"
        " \"slice\"\n"
        "  %z = conv %2, %w {strides = [1,1], pads = [0,0,0,0],"
        " dilations = [1,1]} : f32[1,8,7,7]\n"
        "  %o = slice %1 {starts = [0], ends = [20], axes = [1], steps = [1]} : f32[1,20,9,9]\n"
        "}\n",
        "native", NULL);
    says(&m, "slice", "no code");
    sct_compare(&m, 5, -2, 2, 0, NULL, (SctBound){.rel = 1e-5, .abs = 1e-5});
    sct_close(&m);
}
END_TEST

/* An elementwise kernel works in the memory of an operand that dies with it. */
START_TEST(over_what_dies)
{
    SctModel m = sct_compile("graph @g(%x: f32[n,64], %w: f32[64,2]) -> (%z) {\n"
                             "  %a = exp %x : f32[n,64]\n"
                             "  %s = cumsum %a {axis = 1} : f32[n,64]\n"
                             "  %b = div %a, %s : f32[n,64]\n"
                             "  %z = matmul %b, %w : f32[n,2]\n"
                             "}\n",
                             "native", NULL);
    enum { N = 8192 };
    ScBinding env[] = {{sc_intern(m.cx, "n"), N}};
    uint64_t seed = 1;
    ScrtTensor *in = sct_inputs(m.g, &seed, -2, 2, 1, env), out = {0};
    sct_compare_on(&m, in, (SctBound){.rel = 1e-5, .abs = 1e-5});
    ScrtSession *s = sct_open(&m, 1);
    ck_assert_int_eq(scrt_run(s, in, &out), SCRT_OK);
    ck_assert_uint_lt(scrt_peak_bytes(s), (2 * 64 + 2) * 4 * N + (1 << 20));
    scrt_free(out.data);
    scrt_close(s);
    sct_free(in, 2);
    sct_close(&m);
}
END_TEST

/* --- Bytes ----------------------------------------------------------------------------------- */

static ScrtProfile profile(ScrtSession *s, const char *from)
{
    const ScrtEntry *e = scrt_entry(s);
    for (uint32_t i = 0; i < e->n_kernel; i++)
        if (strcmp(e->kernel[i].from, from) == 0)
            return scrt_profile(s, i);
    ck_abort_msg("no kernel from %s", from);
    return (ScrtProfile){0};
}

static void moves(ScrtSession *s, const char *from, uint64_t weights, uint64_t read,
                  uint64_t written)
{
    ScrtProfile p = profile(s, from);
    ck_assert_msg(p.weights == weights && p.read == read && p.written == written,
                  "%s: %llu bytes of weights, %llu read, %llu written", from,
                  (unsigned long long)p.weights, (unsigned long long)p.read,
                  (unsigned long long)p.written);
}

START_TEST(bytes_are_counted)
{
    SctModel m = sct_compile(
        "graph @g(%x: f32[n,24], %i: i64[3]) -> (%z, %1) {\n"
        "  %c = const 3 : f32[]\n"
        "  %1 = mul %x, %c : f32[n,24] from \"mul\"\n"
        "  %2 = slice %1 {starts = [0], ends = [8], axes = [1], steps = [1]} : f32[n,8]\n"
        "  %3 = expand %2 {shape = [5,n,8]} : f32[5,n,8]\n"
        "  %4 = exp %3 : f32[5,n,8] from \"exp\"\n"
        "  %5 = gather %4, %i {axis = 0} : f32[3,n,8] from \"gather\"\n"
        "  %6 = abs %5 : f32[3,n,8]\n"
        "  %z = concat %6, %4 {axis = 0} : f32[8,n,8] from \"cat\"\n"
        "}\n",
        "native", NULL);
    says(&m, "cat", "2 operands, no code");
    ScrtSession *s = NULL;
    ScrtOptions o = {.n_thread = 1, .profile = true};
    float x[10 * 24] = {0};
    int64_t i[] = {4, 0, 2};
    ScrtTensor in[] = {{.dtype = SCRT_F32, .rank = 2, .dims = {10, 24}, .data = x},
                       {.dtype = SCRT_I64, .rank = 1, .dims = {3}, .data = i}};
    ScrtTensor out[2] = {0};
    ck_assert_int_eq(scrt_open(sc_loaded_model(m.loaded), &o, &s), SCRT_OK);
    ck_assert_int_eq(scrt_run(s, in, out), SCRT_OK);
    moves(s, "mul", 0, 960, 960);
    moves(s, "exp", 0, 320, 1600);           /* a slice, repeated */
    moves(s, "gather", 0, 960 + 3 * 8, 960); /* as much as is gathered, and the indices */
    moves(s, "cat", 0, 0, 0);
    ck_assert_uint_eq(scrt_profile(s, m.o->n_kernel).runs, 0);
    for (int k = 0; k < 2; k++)
        scrt_free(out[k].data);
    scrt_close(s);
    sct_close(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-places");
    TCase *t = tcase_create("places");
    tcase_add_test(t, elementwise_parts);
    tcase_add_test(t, parts_of_every_class);
    tcase_add_test(t, parts_of_parts);
    tcase_add_test(t, views_of_parts);
    tcase_add_test(t, copies);
    tcase_add_test(t, slices_lie_where_they_are);
    tcase_add_test(t, over_what_dies);
    tcase_add_test(t, bytes_are_counted);
    suite_add_tcase(s, t);
    return sct_main("codegen-places", s);
}
