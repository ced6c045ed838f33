/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: runs, shapes, states, weights, refusals, and every allocation failing once. */
#include "runtime/num/num.h"
#include "runtime/scrt.h"
#include "tests/harness.h"
#include "tests/runtime/failing.h"
#include "tests/runtime/toy_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 100 };

static float x_data[ROWS * 3];
static int64_t two = 2;

/* Inputs of the toy: n rows and k = 2. */
static void inputs(ScrtTensor in[2], int64_t n)
{
    for (int i = 0; i < ROWS * 3; i++)
        x_data[i] = (float)(i % 7) - 2.5f;
    in[0] = (ScrtTensor){.dtype = SCRT_F32, .rank = 2, .dims = {n, 3}, .data = x_data};
    in[1] = (ScrtTensor){.dtype = SCRT_I64, .rank = 0, .data = &two};
}

static ScrtSession *open_toy(uint32_t n_thread)
{
    ScrtSession *s = NULL;
    ScrtOptions o = {.n_thread = n_thread};
    ck_assert_int_eq(scrt_open(&toy, &o, &s), SCRT_OK);
    ck_assert_ptr_eq(scrt_model(s), &toy);
    ck_assert_str_eq(scrt_error(s), "");
    return s;
}

static void drop(ScrtTensor out[2])
{
    for (int i = 0; i < 2; i++) {
        scrt_free(out[i].data);
        out[i].data = NULL;
    }
}

START_TEST(runs_and_moves_its_states)
{
    ScrtSession *s = open_toy((uint32_t)_i);
    float state[3] = {0}, y[ROWS * 3], total, next[3];
    static const int64_t sizes[] = {1, 100, 7, 0, 64, 64, 33};
    for (unsigned k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int64_t n = sizes[k];
        ScrtTensor in[2], out[2] = {0}, st;
        inputs(in, n);
        if (n == 0)
            in[0].data = NULL;
        ck_assert_int_eq(scrt_run(s, in, out), SCRT_OK);
        toy_reference(n, x_data, two, state, y, &total, next);
        ck_assert_uint_eq(out[0].dtype, SCRT_F32);
        ck_assert(out[0].rank == 2 && out[0].dims[0] == n && out[0].dims[1] == 3);
        ck_assert(out[1].rank == 0 && out[1].data);
        ck_assert_uint_eq((uintptr_t)out[0].data % 64, 0);
        ck_assert_mem_eq(out[0].data, y, (size_t)n * 12);
        ck_assert(*(float *)out[1].data == total);
        ck_assert_int_eq(scrt_state_get(s, 0, &st), SCRT_OK);
        ck_assert_mem_eq(st.data, next, sizeof next);
        ck_assert_int_eq(scrt_state_get(s, 1, &st), SCRT_OK);
        ck_assert_int_eq(*(int64_t *)st.data, 6 + (int64_t)k);
        memcpy(state, next, sizeof state);
        drop(out);
    }
    ScrtTensor st;
    scrt_state_reset(s);
    ck_assert(scrt_state_get(s, 0, &st) == SCRT_OK && ((float *)st.data)[1] == 0);
    ck_assert(scrt_state_get(s, 1, &st) == SCRT_OK && *(int64_t *)st.data == 5);
    ck_assert_int_eq(scrt_state_get(s, 2, &st), SCRT_E_ARGUMENT);
    scrt_close(s);
}
END_TEST

/* Steps that bind x's rows are walked when they change and not before: a program that nobody may
 * walk twice says so. */
START_TEST(binds_only_when_a_dim_changes)
{
    ScrtEntry e = toy_entry;
    ScrtStep bind[6];
    ScrtModel m = toy;
    m.entry = &e;
    memcpy(bind, toy_entry.bind, sizeof bind);
    e.bind = bind;
    ScrtSession *s = NULL;
    ScrtOptions o = {.n_thread = 1};
    ck_assert_int_eq(scrt_open(&m, &o, &s), SCRT_OK);
    ScrtTensor in[2], out[2] = {0};
    inputs(in, 10);
    ck_assert_int_eq(scrt_shapes(s, in, out), SCRT_OK);
    ck_assert(out[0].dims[0] == 10 && !out[0].data && out[1].rank == 0);
    bind[0] = (ScrtStep){.kind = SCRT_GUARD, .who = 2, .a = SCRT_GUARD_DIFFER}; /* 0 from 0 */
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(scrt_run(s, in, out),
                         SCRT_OK); /* into its own outputs from the second on */
    drop(out);
    in[0].dims[0] = 11;
    ck_assert_int_eq(scrt_run(s, in, out), SCRT_E_SHAPE);
    memcpy(bind, toy_entry.bind, sizeof bind);
    ck_assert_int_eq(scrt_run(s, in, out), SCRT_OK);
    drop(out);
    /* peak: workspace of 11 rows, both states twice, outputs of 11 rows */
    ck_assert_uint_eq(scrt_peak_bytes(s), 11 * 8 + 2 * (12 + 8) + 11 * 12 + 4);
    scrt_close(s);
}
END_TEST

START_TEST(refuses_what_does_not_fit_in_words)
{
    ScrtSession *s = open_toy(1);
    ScrtTensor in[2], out[2] = {0}, st;
    inputs(in, 10);
    in[0].dims[1] = 4;
    ck_assert_int_eq(scrt_run(s, in, out), SCRT_E_SHAPE);
    ck_assert_str_eq(scrt_error(s), "input 'x' has the shape [10,4], the model takes [batch,3]");
    inputs(in, 10);
    in[0].rank = 1;
    ck_assert_int_eq(scrt_run(s, in, out), SCRT_E_SHAPE);
    ck_assert_str_eq(scrt_error(s), "input 'x' has 1 dimensions, the model takes [batch,3]");
    inputs(in, 10);
    in[1].dtype = SCRT_I32;
    ck_assert_int_eq(scrt_run(s, in, out), SCRT_E_DTYPE);
    ck_assert_str_eq(scrt_error(s), "input 'k' is i32, the model takes i64");
    in[1].dtype = 12345;
    ck_assert_int_eq(scrt_run(s, in, out), SCRT_E_DTYPE);
    ck_assert_str_eq(scrt_error(s), "input 'k' is of no known type, the model takes i64");
    inputs(in, -1);
    ck_assert_int_eq(scrt_shapes(s, in, out), SCRT_E_SHAPE);
    ck_assert_str_eq(scrt_error(s), "input 'x' cannot have the shape [-1,3]");
    inputs(in, INT64_MAX);
    ck_assert_int_eq(scrt_shapes(s, in, out), SCRT_E_SHAPE);
    inputs(in, TOY_MOST + 1);
    ck_assert_int_eq(scrt_shapes(s, in, out), SCRT_E_SHAPE);
    ck_assert_str_eq(scrt_error(s),
                     "Add \"add0\": rows: batch is 1048577 and must be at most 1048576 "
                     "(batch is dimension 0 of input 'x')");
    inputs(in, 3);
    in[0].data = NULL;
    ck_assert_int_eq(scrt_run(s, in, out), SCRT_E_ARGUMENT);
    ck_assert_str_eq(scrt_error(s), "input 'x' has no data");
    ck_assert(!out[0].data && !out[1].data);
    ck_assert(scrt_state_get(s, 1, &st) == SCRT_OK && *(int64_t *)st.data == 5); /* none moved */
    inputs(in, 3);
    ck_assert_int_eq(scrt_run(s, in, out), SCRT_OK); /* and it works again */
    drop(out);
    scrt_close(s);
}
END_TEST

START_TEST(sets_states)
{
    ScrtSession *s = open_toy(1);
    float v[3] = {1, 2, 3};
    ScrtTensor t = {.dtype = SCRT_F32, .rank = 1, .dims = {3}, .data = v}, now;
    ck_assert_int_eq(scrt_state_set(s, 0, &t), SCRT_OK);
    ck_assert_int_eq(scrt_state_get(s, 0, &now), SCRT_OK);
    ck_assert(now.data != (void *)v);
    ck_assert_mem_eq(now.data, v, sizeof v);
    t.dims[0] = 2;
    ck_assert_int_eq(scrt_state_set(s, 0, &t), SCRT_E_STATE);
    ck_assert_str_eq(scrt_error(s), "state 's' has the shape [3], not [2]");
    t.dtype = SCRT_F16;
    ck_assert_int_eq(scrt_state_set(s, 0, &t), SCRT_E_STATE);
    ck_assert_int_eq(scrt_state_set(s, 2, &t), SCRT_E_ARGUMENT);
    ck_assert_mem_eq(now.data, v, sizeof v);
    scrt_close(s);
}
END_TEST

START_TEST(refuses_other_models)
{
    ScrtSession *s = NULL;
    ScrtModel m = toy;
    ScrtEntry e = toy_entry;
    ScrtLevel level[2] = {{"least", (uint64_t)1 << 63, 0}, {"most", (uint64_t)3 << 62, 0}};
    m.abi = SCRT_ABI + 1;
    ck_assert_int_eq(scrt_open(&m, NULL, &s), SCRT_E_ABI);
    m = toy;
    m.entry = &e;
    m.level = level; /* no processor has them */
    ck_assert_int_eq(scrt_open(&m, NULL, &s), SCRT_E_CPU);
    ck_assert_uint_eq(scrt_level_here(&m), 1);
    ck_assert_int_eq(scrt_open(&m, &(ScrtOptions){.level = 1}, &s), SCRT_E_CPU);
    ck_assert_int_eq(scrt_open(&m, &(ScrtOptions){.level = 2}, &s), SCRT_E_ARGUMENT);
    m = toy;
    m.entry = &e;
    ck_assert_int_eq(scrt_open(&m, &(ScrtOptions){.entry = 1}, &s), SCRT_E_ARGUMENT);
    ScrtPort port = {"x", SCRT_F32, SCRT_MAX_RANK + 1, "?"};
    e = toy_entry;
    e.n_in = 1;
    e.in = &port;
    ck_assert_int_eq(scrt_open(&m, NULL, &s), SCRT_E_ABI);
    ck_assert_int_eq(scrt_open(NULL, NULL, &s), SCRT_E_ARGUMENT);
    ck_assert_ptr_null(s);
    scrt_close(NULL);
}
END_TEST

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

START_TEST(takes_weights_from_memory_or_a_file)
{
    ScrtModel m = toy;
    m.weights = NULL;
    m.weights_hash = scrt_hash(toy_weights, sizeof toy_weights);
    char path[] = "/tmp/sct-weights-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    write_file(path, toy_weights, sizeof toy_weights);

    const ScrtOptions from_file = {.n_thread = 1, .weights_file = path};
    const ScrtOptions from_memory = {.n_thread = 1, .weights = (const unsigned char *)toy_weights};
    const ScrtOptions *both[] = {&from_file, &from_memory};
    for (int i = 0; i < 2; i++) {
        ScrtSession *s = NULL;
        ScrtTensor in[2], out[2] = {0};
        inputs(in, 1);
        ck_assert_int_eq(scrt_open(&m, both[i], &s), SCRT_OK);
        ck_assert_int_eq(scrt_run(s, in, out), SCRT_OK);
        ck_assert(((float *)out[0].data)[2] == 2 * (x_data[2] + 2.5f));
        drop(out);
        scrt_close(s);
    }
    ScrtSession *s = NULL;
    ck_assert_int_eq(scrt_open(&m, NULL, &s), SCRT_E_WEIGHTS);
    ScrtOptions o = {.weights_file = "/nonexistent/weights"};
    ck_assert_int_eq(scrt_open(&m, &o, &s), SCRT_E_WEIGHTS);
    o.weights_file = "/tmp";
    ck_assert_int_eq(scrt_open(&m, &o, &s), SCRT_E_WEIGHTS);
    o.weights_file = path;
    float other[16];
    memcpy(other, toy_weights, sizeof other);
    other[1] = -other[1]; /* one bit */
    write_file(path, other, sizeof other);
    ck_assert_int_eq(scrt_open(&m, &o, &s), SCRT_E_WEIGHTS);
    write_file(path, toy_weights, sizeof toy_weights - 1);
    ck_assert_int_eq(scrt_open(&m, &o, &s), SCRT_E_WEIGHTS);
    o = (ScrtOptions){.weights = (const unsigned char *)toy_weights + 4};
    ck_assert_int_eq(scrt_open(&m, &o, &s), SCRT_E_ARGUMENT);
    unlink(path);
}
END_TEST

START_TEST(hash_sees_every_bit_and_the_length)
{
    unsigned char p[100];
    for (unsigned i = 0; i < sizeof p; i++)
        p[i] = (unsigned char)(i * 37);
    for (size_t n = 0; n < sizeof p; n++) {
        uint64_t h = scrt_hash(p, n);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            p[bit / 8] ^= (unsigned char)(1u << bit % 8);
            sct_need(scrt_hash(p, n) != h, "bit %zu of %zu bytes", bit, n);
            p[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        unsigned char was = p[n];
        p[n] = 0;
        ck_assert(scrt_hash(p, n + 1) != h);
        p[n] = was;
    }
}
END_TEST

#if defined(__x86_64__)
/* _i: subnormals are kept */
START_TEST(the_callers_floating_point_environment_does_not_matter)
{
    ScrtSession *s = NULL;
    ScrtOptions o = {.n_thread = 2, .subnormals = _i};
    ck_assert_int_eq(scrt_open(&toy, &o, &s), SCRT_OK);
    ScrtTensor in[2], out[2] = {0};
    inputs(in, ROWS);
    for (int i = 0; i < ROWS * 3; i++)
        x_data[i] = i % 2 ? 0x1p-149f : 0x1p-25f;
    float less_w[3] = {-0.5f, -1.5f, -2.5f}; /* (x + s) + w: a tie, and s + w is 0 */
    ScrtTensor t = {.dtype = SCRT_F32, .rank = 1, .dims = {3}, .data = less_w};
    /* subnormals as they are not wanted, round up, division by zero traps; inexact is flagged */
    uint32_t odd = (0x1f80 & ~0x200u) | (_i ? 0x8000 : 0) | 0x40 | 0x4000 | 0x20;
    uint32_t was = __builtin_ia32_stmxcsr(), wanted = _i ? 0x1f80 : 0x1f80 | 0x8000;
    for (int zero = 0; zero < 2; zero++) {
        float y[ROWS * 3], total, next[3], plain[3] = {0};
        ck_assert_int_eq(zero ? SCRT_OK : scrt_state_set(s, 0, &t), SCRT_OK);
        if (zero)
            scrt_state_reset(s);
        __builtin_ia32_ldmxcsr(wanted);
        toy_reference(ROWS, x_data, two, zero ? plain : less_w, y, &total, next);
        __builtin_ia32_ldmxcsr(odd);
        ScrtStatus st = scrt_run(s, in, out);
        uint32_t after = __builtin_ia32_stmxcsr();
        __builtin_ia32_ldmxcsr(was);
        ck_assert_int_eq(st, SCRT_OK);
        ck_assert_uint_eq(after, odd);
        ck_assert_mem_eq(out[0].data, y, sizeof y);
    }
    drop(out);
    scrt_close(s);
}
END_TEST
#endif

START_TEST(profiles_kernels)
{
    ScrtSession *s = NULL;
    ScrtOptions o = {.n_thread = 1, .profile = true};
    ck_assert_int_eq(scrt_open(&toy, &o, &s), SCRT_OK);
    ScrtTensor in[2], out[2] = {0};
    inputs(in, ROWS);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(scrt_run(s, in, out), SCRT_OK);
    for (uint32_t k = 0; k < 2; k++) {
        ScrtProfile p = scrt_profile(s, k);
        ck_assert_uint_eq(p.runs, 3);
        ck_assert_uint_gt(p.ns, 0);
    }
    ck_assert_uint_eq(scrt_profile(s, 3).runs, 0);
    drop(out);
    scrt_close(s);
}
END_TEST

/* --- Every allocation failing once --- */

/* All of a session's life; the first failure ends it. */
static ScrtStatus life(void)
{
    ScrtSession *s = NULL;
    ScrtOptions o = {.n_thread = 2, .profile = true};
    ScrtStatus st = scrt_open(&toy, &o, &s);
    if (st != SCRT_OK) {
        ck_assert_ptr_null(s);
        return st;
    }
    for (int64_t n = 1; n <= ROWS && st == SCRT_OK; n += 33) {
        ScrtTensor in[2], out[2] = {0}, before, after;
        inputs(in, n);
        ck_assert_int_eq(scrt_state_get(s, 1, &before), SCRT_OK);
        int64_t steps = *(int64_t *)before.data;
        st = scrt_run(s, in, out);
        ck_assert_int_eq(scrt_state_get(s, 1, &after), SCRT_OK);
        ck_assert_int_eq(*(int64_t *)after.data, steps + (st == SCRT_OK));
        if (st != SCRT_OK) {
            ck_assert(!out[0].data && !out[1].data);
            ck_assert_msg(strstr(scrt_error(s), "out of memory"), "'%s'", scrt_error(s));
            ScrtStatus again = scrt_run(s, in, out); /* memory is back: so is the session */
            ck_assert_int_eq(again, SCRT_OK);
        }
        drop(out);
    }
    scrt_close(s);
    return st;
}

START_TEST(every_allocation_may_fail)
{
    ck_assert_uint_ge(fail_each_allocation(life), 12);
}
END_TEST

START_TEST(counts_elements)
{
    ScrtTensor t = {.dtype = SCRT_I4, .rank = 2, .dims = {3, 3}};
    size_t bytes = 0;
    ck_assert_int_eq(scrt_count(&t), 9);
    ck_assert(scrt_tensor_bytes(&t, &bytes) && bytes == 5);
    ck_assert_int_eq(scrt_tensor_alloc(&t), SCRT_OK);
    ck_assert_uint_eq(((unsigned char *)t.data)[4], 0);
    scrt_free(t.data);
    t.dims[0] = -1;
    ck_assert_int_eq(scrt_count(&t), -1);
    ck_assert_int_eq(scrt_tensor_alloc(&t), SCRT_E_SHAPE);
    t.dims[0] = INT64_MAX;
    ck_assert_int_eq(scrt_count(&t), -1);
    t.dims[1] = 0;
    ck_assert_int_eq(scrt_count(&t), 0);
    t.dims[0] = -3;
    ck_assert_int_eq(scrt_count(&t), -1);
    t = (ScrtTensor){.dtype = SCRT_C128, .rank = 1, .dims = {INT64_MAX / 4}};
    ck_assert(!scrt_tensor_bytes(&t, &bytes));
    t = (ScrtTensor){.dtype = SCRT_F32, .rank = SCRT_MAX_RANK + 1};
    ck_assert_int_eq(scrt_count(&t), -1);
    t = (ScrtTensor){.dtype = SCRT_DTYPE_NONE};
    ck_assert_int_eq(scrt_tensor_alloc(&t), SCRT_E_DTYPE);
}
END_TEST

START_TEST(every_status_has_words)
{
    for (int s = SCRT_OK; s <= SCRT_E_ARGUMENT; s++) {
        const char *text = scrt_status_text((ScrtStatus)s);
        ck_assert_str_ne(text, "unknown status");
        ck_assert_int_ne(text[strlen(text) - 1], '.');
        for (int o = 0; o < s; o++)
            ck_assert_str_ne(text, scrt_status_text((ScrtStatus)o));
    }
    ck_assert_str_eq(scrt_status_text((ScrtStatus)99), "unknown status");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runtime-session");
    TCase *c = tcase_create("session");
    tcase_add_loop_test(c, runs_and_moves_its_states, 1, 5);
    tcase_add_test(c, binds_only_when_a_dim_changes);
    tcase_add_test(c, refuses_what_does_not_fit_in_words);
    tcase_add_test(c, sets_states);
    tcase_add_test(c, refuses_other_models);
    tcase_add_test(c, takes_weights_from_memory_or_a_file);
    tcase_add_test(c, hash_sees_every_bit_and_the_length);
#if defined(__x86_64__)
    tcase_add_loop_test(c, the_callers_floating_point_environment_does_not_matter, 0, 2);
#endif
    tcase_add_test(c, profiles_kernels);
    tcase_add_test(c, every_allocation_may_fail);
    tcase_add_test(c, counts_elements);
    tcase_add_test(c, every_status_has_words);
    suite_add_tcase(s, c);
    return sct_main("runtime-session", s);
}
