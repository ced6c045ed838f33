/* SPDX-License-Identifier: Apache-2.0 */
/* .npy files: as NumPy writes them, round trips of every type, and hostile ones. */
#include "runtime/handles.h"
#include "runtime/num/num.h"
#include "runtime/scrtio.h"
#include "tests/harness.h"
#include "tests/runtime/failing.h"
#include "tests/runtime/scratch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Writes a file with that header text (padded as NumPy does) and data; returns its path. */
static const char *npy(int version, const char *header, const void *data, size_t n)
{
    unsigned char file[2048] = {0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)version, 0};
    size_t at = version == 1 ? 10 : 12, length = strlen(header);
    memcpy(file + at, header, length);
    while ((at + length + 1) % 64)
        file[at + length++] = ' ';
    file[at + length++] = '\n';
    file[8] = (unsigned char)length;
    file[9] = (unsigned char)(length >> 8);
    ck_assert_uint_lt(at + length + n, sizeof file);
    if (n)
        memcpy(file + at + length, data, n);
    const char *path = scratch("t.npy");
    scratch_write(path, file, at + length + n);
    return path;
}

static ScrtTensor read_ok(const char *path, uint32_t want)
{
    ScrtTensor t;
    ScrtIoError err;
    ScrtStatus s = scrt_npy_read(path, want, &t, &err);
    ck_assert_msg(s == SCRT_OK, "%s", err.text);
    ck_assert_str_eq(err.text, "");
    return t;
}

static bool is(const ScrtTensor *t, int64_t i, const char *p, size_t n)
{
    return scrt_chars_equal(scrt_chars(NULL, t, i), (ScrtChars){p, n});
}

/* Code points of either order, bytes, and what is no text. */
START_TEST(strings)
{
    scratch_make();
    static const unsigned char u[] = {0xdc, 0,    0, 0, 'a', 0, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0,
                                      0x00, 0xf6, 1, 0, 0,   0, 0, 0, 'b', 0, 0, 0, 0, 0, 0, 0};
    ScrtTensor t =
        read_ok(npy(1, "{'descr': '<U2', 'fortran_order': True, 'shape': (2, 2), }", u, 32), 0);
    ck_assert(t.dtype == SCRT_STRING &&
              is(&t, 0,
                 "\xc3\x9c"
                 "a",
                 3) &&
              is(&t, 2, "", 0));
    ck_assert(is(&t, 1, "\xf0\x9f\x98\x80", 4) && is(&t, 3, "b", 1));
    ScrtIoError err;
    ck_assert_int_eq(scrt_npy_write(scratch("u.npy"), &t, &err), SCRT_OK);
    scrt_free(t.data);
    t = read_ok(scratch("u.npy"), SCRT_STRING);
    ck_assert(is(&t, 0,
                 "\xc3\x9c"
                 "a",
                 3) &&
              is(&t, 1, "\xf0\x9f\x98\x80", 4));
    scrt_free(t.data);
    t = read_ok(npy(1, "{'descr': '>U1', 'fortran_order': False, 'shape': (), }", "\0\0\1\2", 4),
                0);
    ck_assert(is(&t, 0, "\xc4\x82", 2));
    scrt_free(t.data);
    t = read_ok(
        npy(1, "{'descr': '|S3', 'fortran_order': False, 'shape': (2,), }", "a\0b\xff\0\0", 6), 0);
    ck_assert(is(&t, 0, "a\0b", 3) && is(&t, 1, "\xff", 1));
    ck_assert_int_eq(scrt_npy_write(scratch("s.npy"), &t, &err), SCRT_OK); /* no UTF-8: S again */
    scrt_free(t.data);
    t = read_ok(scratch("s.npy"), SCRT_STRING);
    ck_assert(is(&t, 0, "a\0b", 3) && is(&t, 1, "\xff", 1));
    ck_assert_int_eq(scrt_bytes_write(scratch("s.bin"), &t, &err), SCRT_E_ARGUMENT);
    scrt_free(t.data);
    static const struct {
        const char *header, *data, *says;
        size_t n;
    } bad[] = {{"<U1", "\0\xd8\0\0", "element 0 is no text", 4},
               {"<U1", "\0\0\x11\0", "element 0 is no text", 4},
               {"<U1", "\1\1\1\xff", "element 0 is no text", 4},
               {"<U2", "a\0\0\0", "ends before its last element", 4},
               {"|S0", "", "its shape is too large", 0},
               {"<U4294967296", "a", "are not supported", 1},
               {"<U16777217", "a", "are not supported", 1},
               {"<U16777216", "a", "ends before its last element", 1},
               {"<U", "a", "are not supported", 1},
               {"<S2x", "ab", "are not supported", 2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char header[128];
        snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (1,), }",
                 bad[i].header);
        ck_assert_int_eq(scrt_npy_read(npy(1, header, bad[i].data, bad[i].n), 0, &t, &err),
                         SCRT_E_FILE);
        ck_assert_msg(strstr(err.text, bad[i].says), "%s: %s", bad[i].header, err.text);
    }
}
END_TEST

START_TEST(reads_what_numpy_writes)
{
    scratch_make();
    const float f[6] = {1, 2, 3, 4, 5, 6};
    for (int version = 1; version <= 3; version++) {
        ScrtTensor t = read_ok(npy(version,
                                   "{'descr': '<f4', 'fortran_order': False, "
                                   "'shape': (2, 3), }",
                                   f, sizeof f),
                               SCRT_F32);
        ck_assert(t.dtype == SCRT_F32 && t.rank == 2 && t.dims[0] == 2 && t.dims[1] == 3);
        ck_assert_mem_eq(t.data, f, sizeof f);
        ck_assert_uint_eq((uintptr_t)t.data % 64, 0);
        scrt_free(t.data);
    }
    /* keys in any order, double quotes, Python 2's long integers, no trailing commas */
    ScrtTensor t = read_ok(
        npy(1, "{\"shape\":(6L,),\"fortran_order\":False,\"descr\":\"<f4\"}", f, sizeof f), 0);
    ck_assert(t.rank == 1 && t.dims[0] == 6);
    scrt_free(t.data);
    t = read_ok(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", f, 4), 0);
    ck_assert(t.rank == 0 && *(float *)t.data == 1);
    scrt_free(t.data);
    t = read_ok(npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (0, 7), }", f, 0), 0);
    ck_assert(t.rank == 2 && t.dims[0] == 0 && t.dims[1] == 7 && t.data);
    scrt_free(t.data);
    const unsigned char b[3] = {0, 1, 7};
    t = read_ok(npy(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", b, 3), 0);
    ck_assert(t.dtype == SCRT_BOOL && ((unsigned char *)t.data)[2] == 1);
    scrt_free(t.data);
    scratch_remove();
}
END_TEST

START_TEST(turns_bytes_and_dimensions_round)
{
    scratch_make();
    const unsigned char big[8] = {0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0}; /* 1, -2 */
    ScrtTensor t =
        read_ok(npy(1, "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", big, 8), 0);
    ck_assert(((float *)t.data)[0] == 1 && ((float *)t.data)[1] == -2);
    scrt_free(t.data);
    t = read_ok(npy(1, "{'descr': '>c8', 'fortran_order': False, 'shape': (1,), }", big, 8), 0);
    ck_assert(t.dtype == SCRT_C64 && ((float *)t.data)[0] == 1 && ((float *)t.data)[1] == -2);
    scrt_free(t.data);
    int16_t x[24];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++)
                x[i + 2 * j + 6 * k] = (int16_t)(100 * i + 10 * j + k);
    t = read_ok(
        npy(1, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3, 4), }", x, sizeof x), 0);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++)
                ck_assert_int_eq(((int16_t *)t.data)[12 * i + 4 * j + k], 100 * i + 10 * j + k);
    scrt_free(t.data);
    scratch_remove();
}
END_TEST

START_TEST(patterns_become_what_is_wanted)
{
    scratch_make();
    const unsigned char p[4] = {0x38, 0xc0, 0x0f, 0xf1};
    static const struct {
        const char *descr;
        uint32_t want, get;
    } row[] = {
        {"<V1", SCRT_F8E4M3FN, SCRT_F8E4M3FN},
        {"|V1", SCRT_F8E5M2, SCRT_F8E5M2},
        {"|u1", SCRT_F8E8M0, SCRT_F8E8M0},
        {"|u1", SCRT_U8, SCRT_U8},
        {"|V1", SCRT_DTYPE_NONE, SCRT_U8},
        {"|u1", SCRT_F32, SCRT_U8},
        {"|i1", SCRT_F8E4M3FN, SCRT_I8},
        {"|i1", SCRT_I8, SCRT_I8},
        {"|i1", SCRT_I4, SCRT_I4},
        {"|V1", SCRT_F4E2M1, SCRT_F4E2M1},
        {"|V1", SCRT_F6E3M2, SCRT_F6E3M2},
        {"|u1", SCRT_U2, SCRT_U2},
        {"<V2", SCRT_BF16, SCRT_BF16},
        {"<u2", SCRT_BF16, SCRT_BF16},
        {"<u2", SCRT_F16, SCRT_U16},
        {"<V2", SCRT_DTYPE_NONE, SCRT_U16},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        char header[128];
        int n = row[i].descr[2] == '1' ? 4 : 2;
        snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%d,), }",
                 row[i].descr, n);
        ScrtTensor t = read_ok(npy(1, header, p, sizeof p), row[i].want);
        ck_assert_msg(t.dtype == row[i].get, "%s wanted as %u", row[i].descr, row[i].want);
        if (scrt_dtype_bits((ScrtDtype)t.dtype) >= 8)
            ck_assert_mem_eq(t.data, p, sizeof p);
        else
            for (size_t k = 0; k < 4; k++)
                ck_assert_uint_eq(scrt_load_bits((ScrtDtype)t.dtype, t.data, k),
                                  p[k] & ((1u << scrt_dtype_bits((ScrtDtype)t.dtype)) - 1));
        scrt_free(t.data);
    }
    scratch_remove();
}
END_TEST

START_TEST(every_type_comes_back)
{
    scratch_make();
    ScrtDtype type = (ScrtDtype)_i;
    if (scrt_dtype_bits(type)) {
        for (int64_t n = 0; n < 8; n += 3) {
            ScrtTensor t = {.dtype = type, .rank = 2, .dims = {n, 1}}, back;
            ck_assert_int_eq(scrt_tensor_alloc(&t), SCRT_OK);
            for (size_t i = 0; i < (size_t)n; i++)
                scrt_store(type, t.data, i, (double)i - 1, true);
            ScrtIoError err;
            ck_assert_int_eq(scrt_npy_write(scratch("a.npy"), &t, &err), SCRT_OK);
            ck_assert_uint_eq(scratch_count(), 1);
            back = read_ok(scratch("a.npy"), type);
            ck_assert_uint_eq(back.dtype, type);
            ck_assert(back.rank == 2 && back.dims[0] == n && back.dims[1] == 1);
            size_t bytes;
            ck_assert(scrt_tensor_bytes(&t, &bytes));
            ck_assert_mem_eq(back.data, t.data, bytes);
            scrt_free(t.data);
            scrt_free(back.data);
        }
    }
    scratch_remove();
}
END_TEST

START_TEST(refuses_in_words)
{
    scratch_make();
    static const struct {
        const char *header, *words;
    } row[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
         "ends before its last element"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "has 4 bytes after its last"},
        {"{'descr': '<f4', 'fortran_order': False, }", "its header is not understood"},
        {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }", "not understood"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'shape': (2,)}",
         "not understood"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", "not understood"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "not understood"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 1), }", "not understood"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
         "not understood"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x", "not understood"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': "
         "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2), }",
         "at most 16 dimensions"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "not understood"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
         "its shape is too large"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807,), }",
         "its shape is too large"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "type '|O' are not supported"},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': (2,), }", "type 'f4' are not supported"},
        {"{'descr': '<f4%s%n', 'fortran_order': False, 'shape': (2,), }", "type '<f4%s%n' are not"},
        {"", "not understood"},
        {"{", "not understood"},
        {"{'descr", "not understood"},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        ScrtTensor t = {.dtype = 77};
        ScrtIoError err;
        const char *path = npy(1, row[i].header, "12345678", 8);
        ck_assert_int_eq(scrt_npy_read(path, 0, &t, &err), SCRT_E_FILE);
        ck_assert_msg(strstr(err.text, row[i].words) && strstr(err.text, "t.npy: "),
                      "'%s' gives '%s'", row[i].header, err.text);
        ck_assert_uint_eq(t.dtype, 77);
    }
    ScrtIoError err;
    ScrtTensor t;
    scratch_write(scratch("t.npy"), "\x93NUMPZ\1\0\0\0", 10);
    ck_assert_int_eq(scrt_npy_read(scratch("t.npy"), 0, &t, &err), SCRT_E_FILE);
    ck_assert_msg(strstr(err.text, "is no .npy file"), "%s", err.text);
    ck_assert_int_eq(scrt_npy_read(npy(4, "{}", "", 0), 0, &t, &err), SCRT_E_FILE);
    ck_assert_msg(strstr(err.text, "version 4 is not known"), "%s", err.text);
    ck_assert_int_eq(scrt_npy_read(scratch("absent"), 0, &t, &err), SCRT_E_FILE);
    ck_assert_msg(strstr(err.text, "cannot be read: No such file"), "%s", err.text);
    ck_assert_int_eq(scrt_npy_read("/tmp", 0, &t, &err), SCRT_E_FILE);
    ck_assert_msg(strstr(err.text, "it is a folder"), "%s", err.text);
    scratch_remove();
}
END_TEST

START_TEST(damaged_files_end_in_an_error_or_an_array)
{
    scratch_make();
    const int32_t x[4] = {1, 2, 3, 4};
    const char *path = npy(1, "{'descr': '<i4', 'fortran_order': True, 'shape': (2, 2), }", x, 16);
    size_t n;
    char *file = sct_read(path, &n);
    ScrtIoError err;
    ScrtTensor t;
    for (size_t k = 0; k < n; k++) {
        scratch_write(scratch("cut.npy"), file, k);
        ck_assert_int_eq(scrt_npy_read(scratch("cut.npy"), 0, &t, &err), SCRT_E_FILE);
    }
    for (size_t bit = 0; bit < 8 * n; bit++) {
        file[bit / 8] ^= (char)(1 << bit % 8);
        scratch_write(scratch("cut.npy"), file, n);
        if (scrt_npy_read(scratch("cut.npy"), 0, &t, &err) == SCRT_OK)
            scrt_free(t.data);
        else
            ck_assert_str_ne(err.text, "");
        file[bit / 8] ^= (char)(1 << bit % 8);
    }
    free(file);
    scratch_remove();
}
END_TEST

START_TEST(a_failed_write_leaves_the_old_file)
{
    scratch_make();
    float x = 1;
    ScrtTensor t = {.dtype = SCRT_F32, .data = &x};
    ScrtIoError err;
    ck_assert_int_eq(scrt_npy_write("/dev/full", &t, &err), SCRT_E_FILE);
    ck_assert_msg(strstr(err.text, "/dev/full: cannot be written: No space left"), "%s", err.text);
    ck_assert_int_eq(scrt_npy_write("/nonexistent/x.npy", &t, &err), SCRT_E_FILE);
    ck_assert_msg(strstr(err.text, "cannot be written: No such file"), "%s", err.text);
    ck_assert_int_eq(scrt_npy_write(scratch("x.npy"), &t, NULL), SCRT_OK);
    t.rank = 1;
    t.dims[0] = -1;
    ck_assert_int_eq(scrt_npy_write(scratch("x.npy"), &t, &err), SCRT_E_ARGUMENT);
    ScrtTensor back = read_ok(scratch("x.npy"), SCRT_F32);
    ck_assert_int_eq(back.rank, 0);
    scrt_free(back.data);
    ck_assert_uint_eq(scratch_count(), 1);
    scratch_remove();
}
END_TEST

static ScrtStatus write_and_read(void)
{
    unsigned char x[3] = {0x21, 0x43, 0x05};
    ScrtTensor t = {.dtype = SCRT_I4, .rank = 1, .dims = {5}, .data = x}, back;
    ScrtIoError err;
    ScrtStatus s = scrt_npy_write(scratch("x.npy"), &t, &err);
    if (s == SCRT_OK)
        s = scrt_npy_read(scratch("x.npy"), SCRT_I4, &back, &err);
    if (s != SCRT_OK) {
        ck_assert_msg(strstr(err.text, "out of memory"), "%s", err.text);
        return s;
    }
    ck_assert_mem_eq(back.data, x, 3);
    scrt_free(back.data);
    return s;
}

START_TEST(every_allocation_may_fail)
{
    scratch_make();
    ck_assert_uint_ge(fail_each_allocation(write_and_read), 4);
    ck_assert_uint_le(scratch_count(), 1);
    scratch_remove();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runtime-npy");
    TCase *c = tcase_create("npy");
    tcase_add_test(c, strings);
    tcase_add_test(c, reads_what_numpy_writes);
    tcase_add_test(c, turns_bytes_and_dimensions_round);
    tcase_add_test(c, patterns_become_what_is_wanted);
    tcase_add_loop_test(c, every_type_comes_back, 1, SCRT_DTYPE_END);
    tcase_add_test(c, refuses_in_words);
    tcase_add_test(c, damaged_files_end_in_an_error_or_an_array);
    tcase_add_test(c, a_failed_write_leaves_the_old_file);
    tcase_add_test(c, every_allocation_may_fail);
    suite_add_tcase(s, c);
    return sct_main("runtime-npy", s);
}
