/* SPDX-License-Identifier: Apache-2.0 */
/* The hash of a model's file is XXH64: numbers of its reference implementation. */
#include "tools/libscalec/hash.h"
#include "tests/harness.h"

#include <string.h>

static uint64_t hash(const void *p, size_t n)
{
    return scalec_hash(&(ScrtFile){.data = (unsigned char *)(uintptr_t)p, .n = n}, NULL);
}

START_TEST(known_answers)
{
    static const struct Known {
        const char *text;
        uint64_t hash;
    } known[] = {
        {"", 0xef46db3751d8e999u},
        {"a", 0xd24ec4f1a98c6e5bu},
        {"abc", 0x44bc2cf5ad770999u},
        {"Nobody inspects the spammish repetition", 0xfbcea83c8a378bf1u},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        ck_assert_uint_eq(hash(known[i].text, strlen(known[i].text)), known[i].hash);
}
END_TEST

/* Wherever it lies, pieces or not: every byte counts. */
START_TEST(every_byte_counts)
{
    enum { N = (9 << 20) + 45 };
    static const size_t at[] = {0,      31,    32,   (4 << 20) - 1, 4 << 20, (8 << 20) + 5,
                                N - 14, N - 2, N - 1};
    ScCtx *cx = sc_ctx_new();
    unsigned char *p = sc_array(sc_ctx_arena(cx), unsigned char, N + 1);
    for (size_t i = 0; i < N; i++)
        p[i] = (unsigned char)(i * 31 >> 3);
    uint64_t was = hash(p, N);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        p[at[i]] ^= 1;
        ck_assert_uint_ne(hash(p, N), was);
        p[at[i]] ^= 1;
    }
    memmove(p + 1, p, N);
    ck_assert_uint_eq(hash(p + 1, N), was);
    sc_ctx_free(cx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tools-hash");
    TCase *t = tcase_create("hash");
    tcase_add_test(t, known_answers);
    tcase_add_test(t, every_byte_counts);
    suite_add_tcase(s, t);
    return sct_main("tools-hash", s);
}
