/* SPDX-License-Identifier: Apache-2.0 */
/* .safetensors: read, refused in words, damaged in every place, written. */
#include "runtime/num/num.h"
#include "runtime/scrtio.h"
#include "tests/harness.h"
#include "tests/runtime/failing.h"
#include "tests/runtime/scratch.h"

#include <stdio.h>
#include <string.h>

static ScrtIoError err;

/* A file of this header, padded by nothing, and n bytes. */
static void make(const char *header, const void *data, size_t n)
{
    char file[4096];
    uint64_t length = strlen(header);
    memcpy(file, &length, 8);
    memcpy(file + 8, header, length);
    if (n)
        memcpy(file + 8 + length, data, n);
    scratch_write(scratch("t.safetensors"), file, 8 + length + n);
}

static ScrtStatus open_file(ScrtTensorFile **f)
{
    return scrt_tensors_open(scratch("t.safetensors"), f, &err);
}

START_TEST(reads)
{
    ScrtTensorFile *f;
    ScrtTensor t;
    scratch_make();
    make("{ \"__metadata__\" : "
         "{\"a\":\"}\\\"{\"},\"x\\u00e9\\ud83d\\ude00\":{\"dtype\":\"I16\",\"shape\":[2,1],"
         "\"data_offsets\":[1,5]}, \"s\":{\"shape\":[],\"data_offsets\":[0,1],\"dtype\":\"BOOL\"},"
         "\"q\":{\"dtype\":\"Q7\",\"shape\":[9],\"data_offsets\":[0,2]}}  ",
         "\7\1\0\2\0", 5);
    ck_assert_msg(open_file(&f) == SCRT_OK, "%s", err.text);
    ck_assert_uint_eq(scrt_tensors_count(f), 3);
    ck_assert(!scrt_tensors_single(f));
    ck_assert_int_eq(scrt_tensors_find(f, "x\xc3\xa9\xf0\x9f\x98\x80"), 0);
    ck_assert_int_eq(scrt_tensors_read(f, 0, 0, &t, &err), SCRT_OK);
    ck_assert(t.dtype == SCRT_I16 && t.rank == 2 && t.dims[0] == 2 && t.dims[1] == 1);
    ck_assert_mem_eq(t.data, ((int16_t[]){1, 2}), 4);
    scrt_free(t.data);
    ck_assert_int_eq(scrt_tensors_read(f, 1, 0, &t, &err), SCRT_OK);
    ck_assert(t.dtype == SCRT_BOOL && t.rank == 0 && *(char *)t.data == 1);
    scrt_free(t.data);
    ck_assert_int_eq(scrt_tensors_read(f, 2, 0, &t, &err), SCRT_E_FILE);
    ck_assert_msg(strstr(err.text, "'q' has a type"), "%s", err.text);
    scrt_tensors_close(f);
    make("{}", "", 0);
    ck_assert_int_eq(open_file(&f), SCRT_OK);
    ck_assert_uint_eq(scrt_tensors_count(f), 0);
    scrt_tensors_close(f);
    scratch_remove();
}
END_TEST

START_TEST(refuses_in_words)
{
    static const struct {
        const char *header, *says;
    } row[] = {
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,2]}}",
         "not those of its shape"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[0,9]}}",
         "not those of its shape"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,1]}}",
         "not those of its shape"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", "is not described"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1]}}", "is not described"},
        {"{\"x\":{\"dtype\":\"F64\",\"shape\":[4611686018427387904,4611686018427387904],"
         "\"data_offsets\":[0,1]}}",
         "not those of its shape"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
         "two entries named 'x'"},
        {"{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", "zero byte"},
        {"{\"x\":1}", "is not described"},
        {"{\"x\\ud800\":1}", "its header is not one"},
        {"{\"x", "its header is not one"},
        {"{} {}", "its header is not one"},
    };
    scratch_make();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        ScrtTensorFile *f;
        make(row[i].header, "ab", 2);
        ck_assert_int_eq(open_file(&f), SCRT_E_FILE);
        ck_assert_msg(strstr(err.text, row[i].says), "%s: '%s'", row[i].header, err.text);
    }
    scratch_remove();
}
END_TEST

static ScrtNamed two[2] = {
    {(char *)"a\"\n", {.dtype = SCRT_U8, .rank = 1, .dims = {3}, .data = (char *)"abc"}},
    {(char *)"b", {.dtype = SCRT_F32, .rank = 2, .dims = {1, 2}, .data = (float[]){1, 2}}},
};

static ScrtStatus read_both(void)
{
    ScrtTensorFile *f;
    ScrtStatus s = open_file(&f);
    if (s != SCRT_OK)
        return s;
    for (uint32_t i = 0; i < scrt_tensors_count(f) && s == SCRT_OK; i++) {
        ScrtTensor t;
        s = scrt_tensors_read(f, i, 0, &t, &err);
        if (s == SCRT_OK)
            scrt_free(t.data);
    }
    scrt_tensors_close(f);
    return s;
}

static ScrtStatus write_and_read(void)
{
    ScrtStatus s = scrt_safetensors_write(scratch("t.safetensors"), two, 2, &err);
    return s == SCRT_OK ? read_both() : s;
}

START_TEST(writes)
{
    size_t n;
    scratch_make();
    ck_assert_int_eq(write_and_read(), SCRT_OK);
    char *file = sct_read(scratch("t.safetensors"), &n);
    uint64_t length;
    memcpy(&length, file, 8);
    ck_assert_uint_eq(length % 8, 0);
    ck_assert_uint_eq(n, 8 + length + 11);
    ck_assert_mem_eq(file + 8 + length, two[1].tensor.data, 8); /* wide elements first */
    ck_assert_mem_eq(file + 8 + length + 8, "abc", 3);
    free(file);
    ScrtNamed odd = {(char *)"i", {.dtype = SCRT_I4, .rank = 1, .dims = {2}, .data = (char *)"a"}};
    ck_assert_int_eq(scrt_safetensors_write(scratch("o.safetensors"), &odd, 1, &err),
                     SCRT_E_ARGUMENT);
    ck_assert_msg(strstr(err.text, "no type i4"), "%s", err.text);
    ck_assert_uint_ge(fail_each_allocation(write_and_read), 9);
    scratch_remove();
}
END_TEST

START_TEST(damaged_files_end_in_an_error_or_in_tensors)
{
    size_t n;
    scratch_make();
    ck_assert_int_eq(write_and_read(), SCRT_OK);
    char *file = sct_read(scratch("t.safetensors"), &n);
    for (size_t k = 0; k < n; k++) {
        scratch_write(scratch("t.safetensors"), file, k);
        ck_assert_int_ne(read_both(), SCRT_OK);
    }
    for (size_t k = 0; k < n * 8; k++) {
        file[k / 8] ^= (char)(1 << k % 8);
        scratch_write(scratch("t.safetensors"), file, n);
        read_both();
        file[k / 8] ^= (char)(1 << k % 8);
    }
    free(file);
    scratch_remove();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runtime-safetensors");
    TCase *c = tcase_create("safetensors");
    tcase_add_test(c, reads);
    tcase_add_test(c, refuses_in_words);
    tcase_add_test(c, writes);
    tcase_add_test(c, damaged_files_end_in_an_error_or_in_tensors);
    suite_add_tcase(s, c);
    return sct_main("runtime-safetensors", s);
}
