/* SPDX-License-Identifier: Apache-2.0 */
/* Packed panels against their definition: element (k, n) of matrix b lies in unit k / ku of panel
 * n / nr, at the place of lane (k % ku, n % nr); everything else is zero. */
#include "codegen/product/product.h"
#include "tests/harness.h"

#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252u;

static uint32_t draw(uint32_t lo, uint32_t hi)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return lo + (uint32_t)(state % (hi - lo + 1));
}

/* Packs matrices [batch][k][n] (or stored [n][k]) of the dtype; checks every byte of the result.
 * raised: codes are, and have no high exponents. */
static void check(ScrtDtype dtype, uint32_t way, uint32_t w, uint32_t nv, bool trans,
                  uint32_t raised)
{
    int64_t batch = draw(1, 3), k = draw(0, 9), n = draw(0, 70);
    uint32_t size = scrt_dtype_bits(dtype) / 8;
    CgPanels p = {.unit = {.way = way, .dtype = dtype, .w = w, .nv = nv, .raised = raised},
                  .nr = nv * w,
                  .size = size};
    p.ku = way == CG_UNIT_PLAIN ? 1 : 4 / nv;
    p.deep = p.ku << draw(0, 3);
    p.k = k, p.n = n;
    p.k_stride = trans ? 1 : n;
    p.n_stride = trans ? k : 1;
    p.offset = 3;
    p.n_batch = 1, p.batch[0] = batch, p.batch_stride[0] = k * n;
    size_t count = (size_t)(batch * k * n + 3);
    uint8_t *data = malloc(count * size);
    for (size_t i = 0; i < count * size; i++)
        data[i] = (uint8_t)draw(1, raised ? 0x67 : 255); /* no zeros: padding is told apart */
    ScrtTensor t = {.dtype = dtype, .rank = 1, .dims = {(int64_t)count}, .data = data};
    size_t bytes = cg_panels_bytes(&p);
    unsigned char *out = calloc(bytes + 1, 1);
    cg_pack_panels(&t, &p, out);
    ck_assert_uint_eq(bytes, (size_t)(batch * cg_matrix_bytes(&p)));
    ck_assert_int_eq(cg_panel_bytes(&p), (k + p.deep - 1) / p.deep * p.deep * p.nr * size);

    size_t filled = 0;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < n; j++) {
                uint32_t lane = (uint32_t)(i % p.ku * p.nr + j % p.nr);
                int64_t at = b * cg_matrix_bytes(&p) + j / p.nr * cg_panel_bytes(&p) +
                             i / p.ku * p.ku * p.nr * size;
                at += (int64_t)cg_unit_place(&p.unit, lane) * size;
                int64_t from = p.offset + b * k * n + i * p.k_stride + j * p.n_stride;
                uint8_t *want = data + from * size;
                *want = cg_unit_code(&p.unit, *want);
                ck_assert_msg(memcmp(out + at, want, size) == 0,
                              "%s way %u, %u lanes: (%lld, %lld, %lld)", scrt_dtype_name(dtype),
                              way, w, (long long)b, (long long)i, (long long)j);
                filled += size;
            }
    for (size_t i = 0; i < bytes; i++)
        filled -= out[i] != 0;
    ck_assert_uint_eq(filled, 0);
    free(out);
    free(data);
}

START_TEST(codes)
{
    for (int round = 0; round < 200; round++)
        for (uint32_t way = CG_UNIT_BITS; way <= CG_UNIT_SHIFT; way++)
            for (uint32_t w = way == CG_UNIT_TABLE ? 16 : 4; w <= 16; w *= 2)
                check(SCRT_F8E4M3FN, way, w, draw(1, 2), draw(0, 1),
                      way == CG_UNIT_SHIFT ? 3 * draw(0, 1) : 0);
}
END_TEST

/* Rows of pairs: of codes that are decoded to them, and of bf16. */
START_TEST(pairs)
{
    for (int round = 0; round < 200; round++) {
        check(SCRT_F8E5M2, CG_UNIT_PAIRS, 16, draw(1, 2), draw(0, 1), 0);
        check(SCRT_BF16, CG_UNIT_PAIRS, 16, draw(1, 2), draw(0, 1), 0);
    }
}
END_TEST

START_TEST(plain)
{
    static const ScrtDtype dtype[] = {SCRT_F32, SCRT_F16, SCRT_BF16, SCRT_F64, SCRT_I8};
    for (int round = 0; round < 100; round++)
        for (int i = 0; i < 5; i++)
            check(dtype[i], CG_UNIT_PLAIN, 8, draw(1, 2), draw(0, 1), 0);
}
END_TEST

/* Equal matrices pack to equal bytes, at once and again. */
START_TEST(again)
{
    float x[6] = {1, 2, 3, 4, 5, 6};
    CgPanels p = {.unit = {.way = CG_UNIT_PLAIN, .dtype = SCRT_F32, .w = 4},
                  .nr = 4,
                  .ku = 1,
                  .deep = 1,
                  .size = 4,
                  .k = 2,
                  .n = 3,
                  .k_stride = 3,
                  .n_stride = 1};
    ScrtTensor t = {.dtype = SCRT_F32, .rank = 2, .dims = {2, 3}, .data = x};
    const float want[8] = {1, 2, 3, 0, 4, 5, 6, 0};
    unsigned char a[sizeof want] = {0}, b[sizeof want] = {0};
    ck_assert_uint_eq(cg_panels_bytes(&p), sizeof want);
    cg_pack_panels(&t, &p, a);
    cg_pack_panels(&t, &p, b);
    ck_assert(memcmp(a, want, sizeof want) == 0 && memcmp(a, b, sizeof a) == 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-pack");
    TCase *t = tcase_create("panels");
    tcase_add_test(t, codes);
    tcase_add_test(t, pairs);
    tcase_add_test(t, plain);
    tcase_add_test(t, again);
    suite_add_tcase(s, t);
    return sct_main("codegen-pack", s);
}
