/* SPDX-License-Identifier: Apache-2.0 */
/* The walker, on programs of a few steps: terms, overflows, guards, segments, outputs of a size
 * that only the run knows. */
#include "runtime/num/num.h"
#include "runtime/scrt.h"
#include "tests/harness.h"

#include <string.h>

/* One input x: i64[n], whose elements become values; one output. Values: 0, threads, A, B, C, ...
 */
enum { ZERO, THREADS, A, B, C, D, N_VALUE };
enum { WEIGHTS, X, Y, WORK, MORE }; /* buffers */

static const ScrtPlace places[] = {{X, 0, 0}, {Y, 0, 0}, {WORK, A, 8}, {MORE, 0, 0}, {X, A, 0}};
enum { AT_X, AT_Y, AT_WORK, AT_MORE, AT_XA };

static const ScrtStep nothing[] = {{.kind = SCRT_END}};
static const uint32_t dims_of_y[] = {C | SCRT_LATE};

/* Makes a session of one program; the output has `C` elements. */
static ScrtSession *open_program(ScrtEntry *e, ScrtModel *m, const ScrtStep *run,
                                 const int64_t *word)
{
    static const ScrtPort x = {"x", SCRT_I64, 1, "n"}, y = {"y", SCRT_I64, 1, "c"};
    static const uint32_t *const out_dims[] = {dims_of_y};
    static const ScrtWho who[] = {
        {0},
        {"Slice \"s\"", "a dimension", "n-1", "7", "n is dimension 0 of input 'x'", 0},
        {.input = 0},
    };
    *e = (ScrtEntry){.name = "main",
                     .n_in = 1,
                     .n_out = 1,
                     .in = &x,
                     .out = &y,
                     .out_dims = out_dims,
                     .n_value = N_VALUE,
                     .n_segment = 2,
                     .n_arg = 4,
                     .bind = nothing,
                     .run = run,
                     .word = word,
                     .place = places,
                     .who = who};
    static const ScrtLevel all = {"all", 0, 0};
    *m = (ScrtModel){.abi = SCRT_ABI,
                     .n_entry = 1,
                     .n_level = 1,
                     .name = "p",
                     .info = "{}",
                     .entry = e,
                     .level = &all};
    ScrtSession *s = NULL;
    ck_assert_int_eq(scrt_open(m, &(ScrtOptions){.n_thread = 3}, &s), SCRT_OK);
    return s;
}

static ScrtStatus run_on(ScrtSession *s, int64_t n, int64_t *x, ScrtTensor *out)
{
    ScrtTensor in = {.dtype = SCRT_I64, .rank = 1, .dims = {n}, .data = x};
    return scrt_run(s, &in, out);
}

/* --- Terms ----------------------------------------------------------------------------------- */

/* op on a and b: true and the result where the run was good. */
static bool term(ScrtWord op, int64_t a, int64_t b, int64_t *ret)
{
    const int64_t word[] = {SCRT_W_CONST,
                            8,
                            SCRT_W_STORE,
                            D,
                            SCRT_W_CONST,
                            1,
                            SCRT_W_STORE,
                            B,
                            SCRT_W_VALUE,
                            A,
                            SCRT_W_CONST,
                            b,
                            op,
                            SCRT_W_STORE,
                            C};
    const int64_t log2[] = {SCRT_W_CONST,
                            8,
                            SCRT_W_STORE,
                            D,
                            SCRT_W_CONST,
                            1,
                            SCRT_W_STORE,
                            B,
                            SCRT_W_VALUE,
                            A,
                            SCRT_W_LOG2,
                            SCRT_W_STORE,
                            C};
    bool one = op == SCRT_W_LOG2;
    const ScrtStep run[] = {
        {.kind = SCRT_BIND_ELEMENT, .a = A, .b = AT_X, .c = 0, .d = SCRT_I64},
        {.kind = SCRT_EVAL, .who = 1, .a = 0, .b = one ? 13 : 15},
        {.kind = SCRT_GUARD, .who = 2, .a = SCRT_GUARD_EQUAL, .b = ZERO, .c = B},
        {.kind = SCRT_END},
    };
    ScrtEntry e;
    ScrtModel m;
    ScrtSession *s = open_program(&e, &m, run, one ? log2 : word);
    ScrtTensor out = {0};
    ScrtStatus st = run_on(s, 1, &a, &out);
    ck_assert(st == SCRT_E_MEMORY || st == SCRT_E_SHAPE); /* the guard never holds */
    if (st == SCRT_E_MEMORY)
        ck_assert_str_eq(scrt_error(s),
                         "Slice \"s\": the sizes for these inputs would be too large");
    bool good = st == SCRT_E_SHAPE;
    if (good) { /* the same, with the result as the number of the output's elements */
        const ScrtStep tell[] = {
            run[0], run[1], {.kind = SCRT_ALLOC, .a = Y, .b = D}, {.kind = SCRT_END}};
        e.run = tell;
        ck_assert_int_eq(run_on(s, 1, &a, &out), SCRT_OK);
        *ret = out.dims[0];
        scrt_free(out.data);
    }
    scrt_close(s);
    return good;
}

START_TEST(terms)
{
    static const struct {
        ScrtWord op;
        int64_t a, b, want;
        bool fails;
    } t[] = {
        {SCRT_W_ADD, 3, 4, 7, 0},
        {SCRT_W_ADD, INT64_MAX, 1, 0, 1},
        {SCRT_W_ADD, INT64_MIN, -1, 0, 1},
        {SCRT_W_MUL, -3, 4, -12, 0},
        {SCRT_W_MUL, INT64_C(1) << 62, 2, 0, 1},
        {SCRT_W_FDIV, 7, 2, 3, 0},
        {SCRT_W_FDIV, -7, 2, -4, 0},
        {SCRT_W_FDIV, 7, -2, -4, 0},
        {SCRT_W_FDIV, -8, 2, -4, 0},
        {SCRT_W_FDIV, 7, 0, 0, 1},
        {SCRT_W_FDIV, INT64_MIN, -1, 0, 1},
        {SCRT_W_CDIV, 7, 2, 4, 0},
        {SCRT_W_CDIV, -7, 2, -3, 0},
        {SCRT_W_CDIV, 8, 2, 4, 0},
        {SCRT_W_CDIV, 8, 0, 0, 1},
        {SCRT_W_MOD, 7, 3, 1, 0},
        {SCRT_W_MOD, -7, 3, 2, 0},
        {SCRT_W_MOD, 7, 0, 0, 1},
        {SCRT_W_MIN, 7, -3, -3, 0},
        {SCRT_W_MAX, 7, -3, 7, 0},
        {SCRT_W_LOG2, -5, 0, 0, 0},
        {SCRT_W_LOG2, 1, 0, 0, 0},
        {SCRT_W_LOG2, 1023, 0, 9, 0},
        {SCRT_W_LOG2, INT64_MAX, 0, 62, 0},
        {SCRT_W_BCAST, 1, 9, 9, 0},
        {SCRT_W_BCAST, 9, 1, 9, 0},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        int64_t got = 0;
        bool good = term(t[i].op, t[i].a, t[i].b, &got);
        ck_assert_msg(good == !t[i].fails && (t[i].fails || got == t[i].want),
                      "operation %d of %lld and %lld: %d, %lld", t[i].op, (long long)t[i].a,
                      (long long)t[i].b, good, (long long)got);
    }
}
END_TEST

/* --- Guards ---------------------------------------------------------------------------------- */

START_TEST(guards)
{
    static const struct {
        ScrtGuardKind kind;
        int64_t a, b;
        bool holds;
    } t[] = {
        {SCRT_GUARD_EQUAL, 3, 3, 1},
        {SCRT_GUARD_EQUAL, 3, 4, 0},
        {SCRT_GUARD_DIFFER, 3, 4, 1},
        {SCRT_GUARD_DIFFER, 3, 3, 0},
        {SCRT_GUARD_AT_MOST, 3, 3, 1},
        {SCRT_GUARD_AT_MOST, 4, 3, 0},
        {SCRT_GUARD_DIVIDES, 3, 6, 1},
        {SCRT_GUARD_DIVIDES, 4, 6, 0},
        {SCRT_GUARD_DIVIDES, 0, 0, 1},
        {SCRT_GUARD_DIVIDES, 0, 6, 0},
        {SCRT_GUARD_DIVIDES, -1, INT64_MIN, 1},
        {SCRT_GUARD_MEET, 5, 1, 1},
        {SCRT_GUARD_MEET, 1, 5, 1},
        {SCRT_GUARD_MEET, 4, 5, 0},
        {SCRT_GUARD_FITS, 1, 5, 1},
        {SCRT_GUARD_FITS, 5, 1, 0},
        {SCRT_GUARD_FITS, 5, 5, 1},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        ck_assert_msg(scrt_guard_holds(t[i].kind, t[i].a, t[i].b) == t[i].holds, "guard %zu", i);
}
END_TEST

START_TEST(a_guard_names_the_node_and_its_terms)
{
    static const ScrtStep run[] = {
        {.kind = SCRT_BIND_ELEMENT, .a = A, .b = AT_X, .c = 0, .d = SCRT_I64},
        {.kind = SCRT_BIND_ELEMENT, .a = B, .b = AT_X, .c = 1, .d = SCRT_I64},
        {.kind = SCRT_GUARD, .who = 1, .a = SCRT_GUARD_EQUAL, .b = A, .c = B},
        {.kind = SCRT_END},
    };
    ScrtEntry e;
    ScrtModel m;
    ScrtSession *s = open_program(&e, &m, run, NULL);
    ScrtTensor out = {0};
    ck_assert_int_eq(run_on(s, 2, (int64_t[]){5, 7}, &out), SCRT_E_SHAPE);
    ck_assert_str_eq(scrt_error(s), "Slice \"s\": a dimension: n-1 is 5 and must be 7 "
                                    "(n is dimension 0 of input 'x')");
    ck_assert_ptr_null(out.data);
    scrt_close(s);
}
END_TEST

/* --- Memory ---------------------------------------------------------------------------------- */

/* y = the first A elements of x from element B on, by way of a segment; A and B are read. */
START_TEST(sizes_that_only_a_run_knows)
{
    static const int64_t word[] = {
        SCRT_W_VALUE, C, SCRT_W_CONST, 8, SCRT_W_MUL, SCRT_W_STORE, D, /* bytes of y */
        SCRT_W_VALUE, A, SCRT_W_CONST, 8, SCRT_W_MUL, SCRT_W_STORE, A, /* bytes before it */
        SCRT_W_VALUE, A, SCRT_W_VALUE, D, SCRT_W_ADD, SCRT_W_CONST, 8, SCRT_W_ADD, SCRT_W_STORE, B,
    };
    static const ScrtStep run[] = {
        {.kind = SCRT_BIND_ELEMENT, .a = A, .b = AT_X, .c = 0, .d = SCRT_I64},
        {.kind = SCRT_BIND_ELEMENT, .a = C, .b = AT_X, .c = 1, .d = SCRT_I64},
        {.kind = SCRT_EVAL, .who = 1, .a = 0, .b = sizeof word / sizeof *word},
        {.kind = SCRT_ALLOC, .a = WORK, .b = B},
        {.kind = SCRT_ALLOC, .a = Y, .b = D},
        {.kind = SCRT_COPY, .a = AT_XA, .b = AT_WORK, .c = D},
        {.kind = SCRT_COPY, .a = AT_WORK, .b = AT_Y, .c = D},
        {.kind = SCRT_END},
    };
    ScrtEntry e;
    ScrtModel m;
    ScrtSession *s = open_program(&e, &m, run, word);
    int64_t x[40];
    for (int64_t i = 2; i < 40; i++)
        x[i] = i;
    uint64_t peak = 0;
    for (int64_t n = 0; n < 30; n += 7) {
        ScrtTensor out = {0}, in = {.dtype = SCRT_I64, .rank = 1, .dims = {40}, .data = x};
        x[0] = 3;
        x[1] = n;
        ck_assert_int_eq(scrt_shapes(s, &in, &out), SCRT_OK);
        ck_assert(out.rank == 1 && out.dims[0] == -1);
        ck_assert_msg(run_on(s, 40, x, &out) == SCRT_OK, "%s", scrt_error(s));
        ck_assert_int_eq(out.dims[0], n);
        ck_assert_mem_eq(out.data, x + 3, (size_t)n * 8);
        ck_assert_uint_ge(scrt_peak_bytes(s), peak); /* a segment grows and is kept */
        peak = scrt_peak_bytes(s);
        ck_assert_uint_eq(peak, (uint64_t)(24 + 8 * n + 8 + 8 * n));
        ck_assert_int_eq(run_on(s, 40, x, &out), SCRT_OK); /* into the same memory */
        x[1] = n + 1;
        ck_assert_int_eq(run_on(s, 40, x, &out), SCRT_E_ARGUMENT);
        ck_assert_msg(strstr(scrt_error(s), "output 'y' has ") &&
                          strstr(scrt_error(s), "bytes, more than its room"),
                      "%s", scrt_error(s));
        scrt_free(out.data);
    }
    x[1] = INT64_MAX / 8; /* a size that no memory has: refused, and the session goes on */
    ScrtTensor out = {0};
    x[0] = 0;
    ck_assert_int_eq(run_on(s, 40, x, &out), SCRT_E_MEMORY);
    x[1] = 2;
    ck_assert_int_eq(run_on(s, 40, x, &out), SCRT_OK);
    scrt_free(out.data);
    scrt_close(s);
}
END_TEST

/* --- Kernels --------------------------------------------------------------------------------- */

static void tell(void *const *arg)
{
    const ScrtCall *c = arg[SCRT_ARG_CALL];
    const int64_t *param = arg[SCRT_ARG_PARAMS];
    int64_t *y = arg[SCRT_ARG_PLACES + 1];
    const int64_t *x = arg[SCRT_ARG_PLACES];
    y[0] = param[0];
    y[1] = param[1];
    y[2] = x[2];
    y[3] = c->n_thread;
}

START_TEST(a_kernel_gets_its_places_and_parameters)
{
    static const int64_t word[] = {SCRT_W_CONST, 11, SCRT_W_STORE, A, SCRT_W_CONST, 12,
                                   SCRT_W_STORE, B,  SCRT_W_CONST, 4, SCRT_W_STORE, C,
                                   SCRT_W_CONST, 32, SCRT_W_STORE, D};
    static const ScrtStep run[] = {
        {.kind = SCRT_EVAL, .a = 0, .b = sizeof word / sizeof *word},
        {.kind = SCRT_ALLOC, .a = Y, .b = D},
        {.kind = SCRT_KERNEL, .a = 0, .b = 0, .c = AT_X, .d = 2, .e = A},
        {.kind = SCRT_END},
    };
    ScrtEntry e;
    ScrtModel m;
    ScrtSession *s = open_program(&e, &m, run, word);
    e.n_kernel = 1;
    e.fn = (const ScrtKernel[]){tell};
    ScrtTensor out = {0};
    ck_assert_int_eq(run_on(s, 3, (int64_t[]){1, 2, 3}, &out), SCRT_OK);
    ck_assert_mem_eq(out.data, ((int64_t[]){11, 12, 3, 3}), 32);
    scrt_free(out.data);
    scrt_close(s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runtime-walk");
    TCase *c = tcase_create("walk");
    tcase_add_test(c, terms);
    tcase_add_test(c, guards);
    tcase_add_test(c, a_guard_names_the_node_and_its_terms);
    tcase_add_test(c, sizes_that_only_a_run_knows);
    tcase_add_test(c, a_kernel_gets_its_places_and_parameters);
    suite_add_tcase(s, c);
    return sct_main("runtime-walk", s);
}
