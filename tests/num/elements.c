/* SPDX-License-Identifier: Apache-2.0 */
/* Elements and arrays: packing, integers, and that an array converts as its elements do. */
#include "runtime/num/num.h"
#include "tests/harness.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

START_TEST(names_are_found_again)
{
    unsigned n = 0;
    for (int t = -2; t < SCRT_DTYPE_END + 3; t++) {
        const char *name = scrt_dtype_name((ScrtDtype)t);
        if (!name) {
            ck_assert_uint_eq(scrt_dtype_bits((ScrtDtype)t), 0);
            ck_assert(!scrt_dtype_is_float((ScrtDtype)t) && !scrt_dtype_is_low((ScrtDtype)t));
            continue;
        }
        n++;
        ck_assert_int_eq(scrt_dtype_find(name, strlen(name)), t);
        ck_assert_int_eq(scrt_dtype_find(name, strlen(name) - 1), SCRT_DTYPE_NONE);
        ck_assert_int_eq(scrt_dtype_is_low((ScrtDtype)t),
                         scrt_dtype_is_float((ScrtDtype)t) && scrt_dtype_bits((ScrtDtype)t) <= 8);
    }
    ck_assert_uint_eq(n, 28);
    ck_assert_int_eq(scrt_dtype_find("", 0), SCRT_DTYPE_NONE);
    ck_assert_int_eq(SCRT_F32, 1);
    ck_assert_int_eq(SCRT_F8E4M3FN, 17); /* ONNX's codes */
}
END_TEST

START_TEST(bytes_round_up_and_do_not_overflow)
{
    size_t b = 99;
    ck_assert(scrt_bytes(SCRT_I4, 3, &b) && b == 2);
    ck_assert(scrt_bytes(SCRT_U2, 5, &b) && b == 2);
    ck_assert(scrt_bytes(SCRT_F4E2M1, 0, &b) && b == 0);
    ck_assert(scrt_bytes(SCRT_C128, 3, &b) && b == 48);
    ck_assert(scrt_bytes(SCRT_STRING, 3, &b) && b == 24);
    ck_assert(scrt_bytes(SCRT_I4, SIZE_MAX, &b) && b == SIZE_MAX / 2 + 1);
    b = 99;
    ck_assert(!scrt_bytes(SCRT_F32, SIZE_MAX / 4 + 1, &b));
    ck_assert(!scrt_bytes(SCRT_DTYPE_NONE, 1, &b));
    ck_assert(!scrt_bytes((ScrtDtype)77, 1, &b));
    ck_assert_uint_eq(b, 99);
}
END_TEST

START_TEST(packed_elements_leave_their_neighbours_alone)
{
    static const ScrtDtype packed[] = {SCRT_U4, SCRT_I4, SCRT_U2, SCRT_I2, SCRT_F4E2M1};
    for (unsigned k = 0; k < sizeof packed / sizeof *packed; k++) {
        ScrtDtype t = packed[k];
        uint32_t bits = scrt_dtype_bits(t), per = 8 / bits;
        for (unsigned at = 0; at < 2 * per; at++)
            for (unsigned before = 0; before < 256; before += 51) {
                uint8_t byte[2] = {(uint8_t)before, (uint8_t)before};
                scrt_store(t, byte, at, 1, true);
                ck_assert(scrt_load(t, byte, at) == 1);
                unsigned field = ((1u << bits) - 1) << at % per * bits;
                ck_assert_uint_eq(byte[at / per] & ~field & 255, before & ~field & 255);
                ck_assert_uint_eq(byte[1 - at / per], before);
            }
    }
    uint8_t low_first[1] = {0};
    scrt_store_int(SCRT_U4, low_first, 0, 0xa);
    ck_assert_uint_eq(low_first[0], 0x0a);
    scrt_store_int(SCRT_U4, low_first, 1, 0xb);
    ck_assert_uint_eq(low_first[0], 0xba);
    scrt_store_int(SCRT_I2, low_first, 3, -2);
    ck_assert_uint_eq(low_first[0], 0xba);
    ck_assert_int_eq(scrt_load_int(SCRT_I2, low_first, 3), -2);
    ck_assert_int_eq(scrt_load_int(SCRT_I4, low_first, 0), -6);
}
END_TEST

/* Four elements of 6 bits in three bytes, against a stream of bits. */
START_TEST(elements_of_six_bits_cross_bytes)
{
    for (unsigned n = 0; n < 10; n++) {
        size_t bytes;
        ck_assert(scrt_bytes(SCRT_F6E2M3, n, &bytes));
        ck_assert_uint_eq(bytes, (6 * n + 7) / 8);
        for (unsigned fill = 0; fill < 256; fill += 85)
            for (unsigned at = 0; at < n; at++) {
                uint8_t byte[8];
                memset(byte, (int)fill, sizeof byte);
                scrt_store_bits(SCRT_F6E3M2, byte, at, 0x6d); /* bits above the sixth are not */
                ck_assert_uint_eq(scrt_load_bits(SCRT_F6E3M2, byte, at), 0x2d);
                for (unsigned bit = 0; bit < 64; bit++) {
                    unsigned is = byte[bit / 8] >> bit % 8 & 1;
                    bool own = bit >= 6 * at && bit < 6 * at + 6;
                    ck_assert_uint_eq(is, own ? 0x2du >> (bit - 6 * at) & 1 : fill >> bit % 8 & 1);
                }
            }
    }
    /* 1 | (1 & 3) << 6, ... as its text has it */
    static const uint8_t onnx[3] = {0x41, 0x20, 0x0c};
    ck_assert_uint_eq(scrt_load_bits(SCRT_F6E2M3, onnx, 0), 1);
    ck_assert_uint_eq(scrt_load_bits(SCRT_F6E2M3, onnx, 1), 1);
    ck_assert_uint_eq(scrt_load_bits(SCRT_F6E2M3, onnx, 2), 2);
    ck_assert_uint_eq(scrt_load_bits(SCRT_F6E2M3, onnx, 3), 3);
}
END_TEST

START_TEST(integers_truncate_then_wrap_or_saturate)
{
    static const struct {
        ScrtDtype t;
        double x, want;
    } row[] = {
        {SCRT_I8, 3.9, 3},
        {SCRT_I8, -3.9, -3},
        {SCRT_I8, 127.9, 127},
        {SCRT_I8, 128, -128},
        {SCRT_I8, -128.5, -128},
        {SCRT_I8, -129, 127},
        {SCRT_I8, 0x1p63 + 0x1p12, 0},
        {SCRT_I8, INFINITY, 0},
        {SCRT_I8, 0x1p-1074, 0},
        {SCRT_U8, -0.5, 0},
        {SCRT_U8, -5, 251},
        {SCRT_U8, 255.5, 255},
        {SCRT_U8, 256, 0},
        {SCRT_U8, 1e30, 0},
        {SCRT_U8, -INFINITY, 0},
        {SCRT_I4, 7.5, 7},
        {SCRT_I4, 8, -8},
        {SCRT_I4, -9, 7},
        {SCRT_U4, 15.5, 15},
        {SCRT_U4, -9.5, 7},
        {SCRT_I2, 1.5, 1},
        {SCRT_I2, 2, -2},
        {SCRT_I2, -3, 1},
        {SCRT_U2, 5, 1},
        {SCRT_I16, 40000, 40000 - 65536},
        {SCRT_I16, 0x1p63 + 0x1p11, 0x1p11},
        {SCRT_U16, -0x1p66 - 0x1p14, 65536 - 0x1p14},
        {SCRT_U16, 65535.5, 65535},
        {SCRT_U16, -0x1.fffffffffffffp+1023, 0},
        {SCRT_I16, NAN, 0},
        {SCRT_I32, 3e9, 0x7fffffff},
        {SCRT_I32, -3e9, -0x80000000p0},
        {SCRT_U32, 5e9, 0xffffffffp0},
        {SCRT_I64, INFINITY, 0x1p63},
        {SCRT_I64, -INFINITY, -0x1p63},
        {SCRT_U64, 1e30, 0x1p64},
        {SCRT_U64, 0x1p63, 0x1p63},
        {SCRT_I64, NAN, 0},
        {SCRT_U8, NAN, 0},
        {SCRT_BOOL, 0.25, 1},
        {SCRT_BOOL, -0.0, 0},
        {SCRT_BOOL, NAN, 1},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        uint64_t cell = 0;
        scrt_store(row[i].t, &cell, 0, row[i].x, false);
        ck_assert_msg(scrt_load(row[i].t, &cell, 0) == row[i].want, "%s of %g gives %g",
                      scrt_dtype_name(row[i].t), row[i].x, scrt_load(row[i].t, &cell, 0));
    }
    int64_t cell = 0;
    scrt_store(SCRT_I64, &cell, 0, INFINITY, false);
    ck_assert(cell == INT64_MAX);
    scrt_store_int(SCRT_I8, &cell, 0, 200); /* ONNX Cast's own example */
    ck_assert_int_eq(scrt_load_int(SCRT_I8, &cell, 0), -56);
    scrt_store_int(SCRT_BOOL, &cell, 0, 256);
    ck_assert_int_eq(scrt_load_int(SCRT_BOOL, &cell, 0), 1);
}
END_TEST

/* Fills n elements of type t with patterns of all kinds. */
static void fill(ScrtDtype t, unsigned char *p, size_t bytes, uint64_t *seed)
{
    for (size_t i = 0; i < bytes; i++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = (unsigned char)(*seed >> 56);
    }
    if (t == SCRT_BOOL)
        for (size_t i = 0; i < bytes; i++)
            p[i] &= 1;
}

static bool whole(ScrtDtype t)
{
    ScrtKind k = scrt_dtype_kind(t);
    return k == SCRT_KIND_INT || k == SCRT_KIND_UINT || k == SCRT_KIND_BOOL;
}

/* What element i should become, by the one-element functions. */
static void one(ScrtDtype to, void *cell, ScrtDtype from, const void *src, size_t i, bool saturate)
{
    if (whole(to) && whole(from))
        scrt_store_int(to, cell, 0, scrt_load_int(from, src, i));
    else if (to == SCRT_F8E8M0)
        *(uint8_t *)cell = (uint8_t)scrt_round(to, scrt_load(from, src, i), saturate, SCRT_NEAREST);
    else
        scrt_store(to, cell, 0, scrt_load(from, src, i), saturate);
}

static bool same(ScrtDtype t, const void *a, size_t i, const void *b)
{
    if (whole(t))
        return scrt_load_int(t, a, i) == scrt_load_int(t, b, 0);
    double x = scrt_load(t, a, i), y = scrt_load(t, b, 0);
    return (isnan(x) && isnan(y)) || (x == y && signbit(x) == signbit(y));
}

START_TEST(arrays_convert_as_their_elements_do)
{
    enum { N = 603 };
    ScrtDtype from = (ScrtDtype)_i;
    if (!scrt_dtype_bits(from) || scrt_dtype_kind(from) == SCRT_KIND_COMPLEX)
        return;
    uint64_t seed = (uint64_t)_i;
    for (int t = 1; t < SCRT_DTYPE_END; t++) {
        ScrtDtype to = (ScrtDtype)t;
        size_t from_bytes, to_bytes;
        if (!scrt_bytes(from, N, &from_bytes) || !scrt_bytes(to, N, &to_bytes))
            continue;
        for (int saturate = 0; saturate < 2; saturate++) {
            uint64_t src[2 * N], dst[2 * N + 1], cell[2];
            fill(from, (unsigned char *)src, from_bytes, &seed);
            memset(dst, 0x5a, sizeof dst);
            scrt_convert(N, to, dst, from, src, saturate, SCRT_NEAREST);
            /* 64-bit integers to short floats round once and have their own test */
            bool twice = scrt_dtype_bits(from) == 64 && whole(from) && !whole(to);
            for (size_t i = 0; i < N && !twice; i++) {
                one(to, cell, from, src, i, saturate);
                sct_need(same(to, dst, i, cell), "%s to %s, element %zu, saturate %d",
                         scrt_dtype_name(from), scrt_dtype_name(to), i, saturate);
            }
            ck_assert_msg(((unsigned char *)dst)[to_bytes] == 0x5a, "%s to %s wrote too far",
                          scrt_dtype_name(from), scrt_dtype_name(to));
        }
    }
}
END_TEST

/* A code a byte, whatever the type's bits are. */
START_TEST(codes_are_those_of_numbers)
{
    enum { N = 999 };
    ScrtDtype t = (ScrtDtype)_i;
    double x[N];
    uint8_t code[N + 1];
    uint64_t seed = 5;
    fill(SCRT_F64, (unsigned char *)x, sizeof x, &seed);
    for (size_t i = 0; i < N; i++) /* mostly near the formats' ranges */
        x[i] = i < 9 || isnan(x[i]) ? x[i] : ldexp(frexp(x[i], &(int){0}), (int)(i % 40) - 20);
    x[0] = INFINITY;
    x[1] = -INFINITY;
    x[2] = NAN;
    x[3] = -0.0;
    memset(code, 0x5a, sizeof code);
    scrt_round_codes(t, N, x, code);
    for (size_t i = 0; i < N && scrt_dtype_is_low(t); i++)
        sct_need(code[i] == scrt_round(t, x[i], true, SCRT_NEAREST), "%s, %a", scrt_dtype_name(t),
                 x[i]);
    ck_assert_uint_eq(code[scrt_dtype_is_low(t) ? N : 0], 0x5a);
}
END_TEST

START_TEST(wide_integers_round_once)
{
    uint64_t seed = 7;
    for (int i = 0; i < 300000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t u = seed >> (seed >> 58);
        if (i & 1) /* just above the middle of two floats: rounding twice would go down */
            u = (u | (uint64_t)1 << 62) & ~(uint64_t)0x7fffffffff, u |= 0x4000000001;
        int64_t s = (int64_t)u;
        float f, g;
        double d;
        scrt_convert(1, SCRT_F32, &f, SCRT_U64, &u, false, SCRT_NEAREST);
        sct_need(f == (float)u, "%llu", (unsigned long long)u);
        scrt_convert(1, SCRT_F32, &g, SCRT_I64, &s, false, SCRT_NEAREST);
        sct_need(g == (float)s, "%lld", (long long)s);
        scrt_convert(1, SCRT_F64, &d, SCRT_U64, &u, false, SCRT_NEAREST);
        sct_need(d == (double)u, "%llu", (unsigned long long)u);
        scrt_convert(1, SCRT_F64, &d, SCRT_I64, &s, false, SCRT_NEAREST);
        sct_need(d == (double)s, "%lld", (long long)s);
    }
    int64_t least = INT64_MIN;
    float f;
    scrt_convert(1, SCRT_F32, &f, SCRT_I64, &least, false, SCRT_NEAREST);
    ck_assert(f == -0x1p63f);
}
END_TEST

START_TEST(complex_numbers_keep_both_parts)
{
    const double z[4] = {1.5, -2.5, 0x1p-200, 3};
    float c[4];
    double back[4], re[2];
    scrt_convert(2, SCRT_C64, c, SCRT_C128, z, false, SCRT_NEAREST);
    ck_assert(c[0] == 1.5f && c[1] == -2.5f && c[2] == 0 && c[3] == 3);
    scrt_convert(2, SCRT_C128, back, SCRT_C64, c, false, SCRT_NEAREST);
    ck_assert(back[0] == 1.5 && back[1] == -2.5 && back[3] == 3);
    scrt_convert(2, SCRT_F64, re, SCRT_C128, z, false, SCRT_NEAREST);
    ck_assert(re[0] == 1.5 && re[1] == 0x1p-200);
    scrt_convert(2, SCRT_C128, back, SCRT_F64, re, false, SCRT_NEAREST);
    ck_assert(back[0] == 1.5 && back[1] == 0 && back[2] == 0x1p-200 && back[3] == 0);
}
END_TEST

START_TEST(strings_are_no_numbers)
{
    uint64_t cell = 0x55;
    scrt_store(SCRT_STRING, &cell, 0, 1, true);
    scrt_store_int(SCRT_STRING, &cell, 0, 1);
    scrt_store(SCRT_DTYPE_NONE, &cell, 0, 1, true);
    scrt_store_int(SCRT_F32, &cell, 0, 1);
    ck_assert_uint_eq(cell, 0x55);
    ck_assert(scrt_load(SCRT_STRING, &cell, 0) == 0);
    ck_assert_int_eq(scrt_load_int(SCRT_F32, &cell, 0), 0);
}
END_TEST

START_TEST(scales_round_as_asked)
{
    const float x[4] = {1.25f, 1.5f, 1.75f, 2};
    uint8_t e[4];
    scrt_convert(4, SCRT_F8E8M0, e, SCRT_F32, x, true, SCRT_UP);
    ck_assert(e[0] == 128 && e[1] == 128 && e[2] == 128 && e[3] == 128);
    scrt_convert(4, SCRT_F8E8M0, e, SCRT_F32, x, true, SCRT_DOWN);
    ck_assert(e[0] == 127 && e[1] == 127 && e[2] == 127 && e[3] == 128);
    scrt_convert(4, SCRT_F8E8M0, e, SCRT_F32, x, true, SCRT_NEAREST);
    ck_assert(e[0] == 127 && e[1] == 128 && e[2] == 128 && e[3] == 128);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("num-elements");
    TCase *c = tcase_create("elements");
    tcase_add_test(c, names_are_found_again);
    tcase_add_test(c, bytes_round_up_and_do_not_overflow);
    tcase_add_test(c, packed_elements_leave_their_neighbours_alone);
    tcase_add_test(c, elements_of_six_bits_cross_bytes);
    tcase_add_test(c, integers_truncate_then_wrap_or_saturate);
    tcase_add_loop_test(c, arrays_convert_as_their_elements_do, 1, SCRT_DTYPE_END);
    tcase_add_loop_test(c, codes_are_those_of_numbers, 1, SCRT_DTYPE_END);
    tcase_add_test(c, wide_integers_round_once);
    tcase_add_test(c, complex_numbers_keep_both_parts);
    tcase_add_test(c, strings_are_no_numbers);
    tcase_add_test(c, scales_round_as_asked);
    suite_add_tcase(s, c);
    return sct_main("num-elements", s);
}
