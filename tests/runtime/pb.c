/* SPDX-License-Identifier: Apache-2.0 */
/* TensorProtos in files: every way elements are written, and hostile ones. */
#include "runtime/handles.h"
#include "runtime/num/num.h"
#include "runtime/scrtio.h"
#include "tests/harness.h"
#include "tests/runtime/failing.h"
#include "tests/runtime/scratch.h"

#include <string.h>

static unsigned char file[4096];
static size_t n_file;

static void varint(uint64_t x)
{
    for (; x > 0x7f; x >>= 7)
        file[n_file++] = (unsigned char)(x | 0x80);
    file[n_file++] = (unsigned char)x;
}

static void tag(unsigned field, unsigned wire)
{
    varint(field << 3 | wire);
}

static void number(unsigned field, uint64_t x)
{
    tag(field, 0);
    varint(x);
}

static void bytes(unsigned field, const void *p, size_t n)
{
    tag(field, 2);
    varint(n);
    memcpy(file + n_file, p, n);
    n_file += n;
}

static void begin(uint32_t dtype, int64_t dim)
{
    n_file = 0;
    if (dim >= 0)
        number(1, (uint64_t)dim);
    number(2, dtype);
}

static ScrtStatus read_made(ScrtNamed *ret, ScrtIoError *err)
{
    scratch_write(scratch("t.pb"), file, n_file);
    return scrt_pb_read(scratch("t.pb"), ret, err);
}

/* The file made is a tensor of that type with those n elements. */
static void expect(uint32_t dtype, const double *x, size_t n)
{
    ScrtNamed t;
    ScrtIoError err;
    ScrtStatus s = read_made(&t, &err);
    ck_assert_msg(s == SCRT_OK, "%s", err.text);
    ck_assert_uint_eq(t.tensor.dtype, dtype);
    ck_assert_int_eq(scrt_count(&t.tensor), (int64_t)n);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(scrt_load((ScrtDtype)dtype, t.tensor.data, i) == x[i], "%s, element %zu",
                      scrt_dtype_name((ScrtDtype)dtype), i);
    scrt_free(t.name);
    scrt_free(t.tensor.data);
}

static void refuse(const char *words)
{
    ScrtNamed t;
    ScrtIoError err;
    ck_assert_int_eq(read_made(&t, &err), SCRT_E_FILE);
    ck_assert_msg(strstr(err.text, words) && strstr(err.text, "t.pb: "), "'%s', not '%s'", err.text,
                  words);
}

START_TEST(raw_data)
{
    scratch_make();
    const float f[4] = {1, -2, 3.5f, 0};
    n_file = 0;
    bytes(1, "\2\2", 2); /* dims, packed */
    number(2, SCRT_F32);
    bytes(8, "a name", 6);
    bytes(9, f, sizeof f);
    bytes(12, "a doc string", 12);
    ScrtNamed t;
    ScrtIoError err;
    ck_assert_int_eq(read_made(&t, &err), SCRT_OK);
    ck_assert_str_eq(t.name, "a name");
    ck_assert(t.tensor.rank == 2 && t.tensor.dims[0] == 2 && t.tensor.dims[1] == 2);
    ck_assert_mem_eq(t.tensor.data, f, sizeof f);
    scrt_free(t.name);
    scrt_free(t.tensor.data);

    begin(SCRT_U4, 3);
    bytes(9, "\x21\x03", 2);
    expect(SCRT_U4, (const double[]){1, 2, 3}, 3);
    begin(SCRT_BOOL, 3);
    bytes(9, "\0\1\5", 3);
    expect(SCRT_BOOL, (const double[]){0, 1, 1}, 3);
    begin(SCRT_F8E4M3FN, 2);
    bytes(9, "\x38\xc0", 2);
    expect(SCRT_F8E4M3FN, (const double[]){1, -2}, 2);
    begin(SCRT_F64, -1); /* a scalar */
    bytes(9, (const double[]){0.25}, 8);
    expect(SCRT_F64, (const double[]){0.25}, 1);
    begin(SCRT_F32, 0);
    expect(SCRT_F32, NULL, 0);
    scratch_remove();
}
END_TEST

START_TEST(strings)
{
    scratch_make();
    begin(SCRT_STRING, 3);
    bytes(6, "a\0b", 3);
    bytes(6, "", 0);
    bytes(8, "name", 4);
    bytes(6, "longer than eight bytes", 23);
    ScrtNamed t;
    ScrtIoError err;
    ck_assert_int_eq(read_made(&t, &err), SCRT_OK);
    ScrtChars c = scrt_chars(NULL, &t.tensor, 0);
    ck_assert(c.n == 3 && memcmp(c.at, "a\0b", 3) == 0);
    ck_assert_uint_eq(scrt_chars(NULL, &t.tensor, 1).n, 0);
    c = scrt_chars(NULL, &t.tensor, 2);
    ck_assert(c.n == 23 && memcmp(c.at, "longer than eight bytes", 23) == 0);
    scrt_free(t.name);
    scrt_free(t.tensor.data);
    /* each byte wrong: an error, or strings that were in the file */
    for (size_t i = 0, n = n_file; i < n; i++)
        for (unsigned flip = 1; flip < 256; flip *= 2) {
            file[i] ^= (unsigned char)flip;
            if (read_made(&t, &err) == SCRT_OK) {
                size_t all = 0;
                for (int64_t k = 0; k < scrt_count(&t.tensor) && t.tensor.dtype == SCRT_STRING; k++)
                    all += scrt_chars(NULL, &t.tensor, k).n;
                ck_assert_uint_le(all, n);
                scrt_free(t.name);
                scrt_free(t.tensor.data);
            }
            file[i] ^= (unsigned char)flip;
        }
    begin(SCRT_STRING, 2);
    bytes(6, "a", 1);
    refuse("has fewer elements than its shape");
    begin(SCRT_STRING, 0);
    bytes(6, "a", 1);
    refuse("has more elements than its shape");
    begin(SCRT_STRING, 1);
    bytes(9, "12345678", 8);
    refuse("has strings as raw data");
    begin(SCRT_STRING, (int64_t)1 << 40);
    refuse("has fewer elements than its shape");
    begin(SCRT_STRING, 1);
    bytes(6, "a", 1);
    number(7, 1);
    refuse("holds elements of two types");
    begin(SCRT_STRING, 1);
    number(6, 1);
    refuse("is damaged");
    scratch_remove();
}
END_TEST

START_TEST(typed_fields)
{
    scratch_make();
    const float f[2] = {1.5f, -2};
    begin(SCRT_F32, 2);
    bytes(4, f, sizeof f);
    expect(SCRT_F32, (const double[]){1.5, -2}, 2);
    begin(SCRT_F32, 2); /* unpacked */
    for (int i = 0; i < 2; i++) {
        tag(4, 5);
        memcpy(file + n_file, &f[i], 4);
        n_file += 4;
    }
    expect(SCRT_F32, (const double[]){1.5, -2}, 2);
    begin(SCRT_C64, 1);
    bytes(4, f, sizeof f);
    expect(SCRT_C64, (const double[]){1.5}, 1);
    begin(SCRT_F64, 1);
    bytes(10, (const double[]){0.1}, 8);
    expect(SCRT_F64, (const double[]){0.1}, 1);
    begin(SCRT_I64, 2);
    number(7, (uint64_t)-5);
    number(7, 1 << 20);
    expect(SCRT_I64, (const double[]){-5, 1 << 20}, 2);
    begin(SCRT_I32, 2);
    number(5, (uint64_t)-5);
    number(5, 7);
    expect(SCRT_I32, (const double[]){-5, 7}, 2);
    begin(SCRT_I8, 1);
    number(5, (uint64_t)-128);
    expect(SCRT_I8, (const double[]){-128}, 1);
    begin(SCRT_F16, 1);
    number(5, 0xc000);
    expect(SCRT_F16, (const double[]){-2}, 1);
    begin(SCRT_BF16, 1);
    number(5, 0x3fc0);
    expect(SCRT_BF16, (const double[]){1.5}, 1);
    begin(SCRT_F8E5M2, 1);
    number(5, 0x3c);
    expect(SCRT_F8E5M2, (const double[]){1}, 1);
    begin(SCRT_BOOL, 2);
    number(5, 1);
    number(5, 0);
    expect(SCRT_BOOL, (const double[]){1, 0}, 2);
    begin(SCRT_I4, 3); /* two elements a number */
    number(5, 0x21);
    number(5, 0x0f);
    expect(SCRT_I4, (const double[]){1, 2, -1}, 3);
    begin(SCRT_U32, 1);
    number(11, 4000000000u);
    expect(SCRT_U32, (const double[]){4e9}, 1);
    begin(SCRT_U64, 1);
    number(11, (uint64_t)1 << 63);
    expect(SCRT_U64, (const double[]){0x1p63}, 1);
    scratch_remove();
}
END_TEST

START_TEST(refuses_in_words)
{
    scratch_make();
    begin(SCRT_F32, 3);
    bytes(9, "12345678", 8);
    refuse("has fewer elements than its shape");
    begin(SCRT_F32, 1);
    bytes(9, "12345678", 8);
    refuse("has more elements than its shape");
    begin(SCRT_F32, 1);
    bytes(9, "1234", 4);
    bytes(4, "1234", 4);
    refuse("has its elements twice");
    begin(SCRT_F32, 1);
    bytes(4, "1234", 4);
    number(7, 1);
    refuse("holds elements of two types");
    begin(SCRT_F32, 1);
    number(7, 1);
    refuse("has elements of another type than it says");
    begin(SCRT_F32, 1);
    bytes(6, "x", 1);
    refuse("has elements of another type than it says");
    begin(99, 1);
    refuse("has elements of a type that is not supported");
    begin(SCRT_F32, 1);
    bytes(13, "\x0a\x08location", 10);
    refuse("keeps its elements in another file");
    begin(SCRT_F32, 1);
    number(14, 1);
    refuse("keeps its elements in another file");
    begin(SCRT_F32, 1);
    bytes(3, "", 0);
    refuse("is one of several segments");
    begin(SCRT_F32, INT64_MAX);
    number(1, 4);
    refuse("has a shape that cannot be");
    begin(SCRT_F32, -1);
    number(1, (uint64_t)-1);
    refuse("has a shape that cannot be");
    begin(SCRT_F32, (int64_t)1 << 40); /* no memory is taken for what the file cannot hold */
    refuse("has fewer elements than its shape");
    begin(SCRT_F32, -1);
    for (int i = 0; i < 17; i++)
        number(1, 1);
    refuse("has a shape that cannot be");
    begin(SCRT_F32, 1);
    bytes(8, "a\0b", 3);
    bytes(9, "1234", 4);
    refuse("name in it holds a zero byte");
    n_file = 0;
    refuse("has elements of a type that is not supported");
    memcpy(file, "\x93NUMPY", n_file = 6);
    refuse("is no TensorProto, or is damaged");
    begin(SCRT_F32, 1);
    tag(9, 2);
    varint((uint64_t)-1); /* a length that wraps */
    refuse("is no TensorProto, or is damaged");
    scratch_remove();
}
END_TEST

START_TEST(damaged_files_end_in_an_error_or_a_tensor)
{
    scratch_make();
    begin(SCRT_I32, 4);
    bytes(8, "name", 4);
    bytes(5, "\1\2\3\4", 4);
    size_t whole = n_file;
    ScrtNamed t;
    ScrtIoError err;
    for (n_file = 0; n_file < whole; n_file++)
        ck_assert_int_eq(read_made(&t, &err), SCRT_E_FILE);
    for (size_t bit = 0; bit < 8 * whole; bit++) {
        file[bit / 8] ^= (unsigned char)(1 << bit % 8);
        if (read_made(&t, &err) == SCRT_OK) {
            scrt_free(t.name);
            scrt_free(t.tensor.data);
        } else {
            ck_assert_str_ne(err.text, "");
        }
        file[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    scratch_remove();
}
END_TEST

static ScrtStatus read_and_free(void)
{
    ScrtNamed t;
    ScrtIoError err;
    ScrtStatus s = read_made(&t, &err);
    if (s == SCRT_OK) {
        scrt_free(t.name);
        scrt_free(t.tensor.data);
    }
    return s;
}

START_TEST(every_allocation_may_fail)
{
    scratch_make();
    begin(SCRT_I32, 2);
    bytes(5, "\1\2", 2);
    ck_assert_uint_eq(fail_each_allocation(read_and_free), 6);
    scratch_remove();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runtime-pb");
    TCase *c = tcase_create("pb");
    tcase_add_test(c, raw_data);
    tcase_add_test(c, strings);
    tcase_add_test(c, typed_fields);
    tcase_add_test(c, refuses_in_words);
    tcase_add_test(c, damaged_files_end_in_an_error_or_a_tensor);
    tcase_add_test(c, every_allocation_may_fail);
    suite_add_tcase(s, c);
    return sct_main("runtime-pb", s);
}
