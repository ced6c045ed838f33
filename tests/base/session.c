/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas, strings, interning, slots, locations, diagnostics. */
#include "ir/base/base.h"
#include "tests/harness.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static ScCtx *cx;

static void setup(void)
{
    cx = sc_ctx_new();
}

static void teardown(void)
{
    sc_ctx_free(cx);
}

/* --- Memory ---------------------------------------------------------------------------------- */

static bool is_filled(const unsigned char *p, int byte, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != byte)
            return false;
    return true;
}

START_TEST(test_arena)
{
    ScArena *a = sc_arena_new();
    size_t sizes[] = {0, 1, 15, 16, 17, 1000, 5000, 1 << 20, (3 << 20) + 5, 7}, total = 0;
    unsigned char *p[2000];
    for (int i = 0; i < 2000; i++) {
        size_t n = sizes[i % 10] >> (i > 20 ? 8 : 0);
        p[i] = sc_alloc(a, n);
        total += n;
        ck_assert_uint_eq((uintptr_t)p[i] % 16, 0);
        ck_assert(is_filled(p[i], 0, n));
        memset(p[i], i & 0xff, n);
    }
    ck_assert_uint_eq(sc_arena_bytes(a), total);
    for (int i = 0; i < 2000; i++)
        ck_assert(is_filled(p[i], i & 0xff, sizes[i % 10] >> (i > 20 ? 8 : 0)));
    ck_assert_str_eq(sc_printf(a, "%s-%d", "x", 7), "x-7");
    ck_assert_str_eq(sc_strdup(a, "abc"), "abc");
    sc_arena_free(a);
    sc_arena_free(NULL);
}
END_TEST

static jmp_buf caught;
static size_t asked;

static void hook(size_t bytes)
{
    asked = bytes;
    longjmp(caught, 1);
}

START_TEST(test_memory_hook)
{
    ScArena *a = sc_arena_new();
    sc_set_memory_hook(hook);
    if (!setjmp(caught)) {
        sc_alloc_array(a, SIZE_MAX / 2, 4);
        ck_abort_msg("an overflow was not noticed");
    }
    ck_assert_uint_eq(asked, SIZE_MAX);
    sc_set_memory_hook(NULL);
    sc_arena_free(a);
}
END_TEST

START_TEST(test_buf)
{
    int *p = NULL;
    uint32_t n = 0, cap = 0;
    for (int i = 0; i < 1000; i++)
        sc_buf_push(p, n, cap, i);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(p[i], i);
    sc_buf_free(p);
}
END_TEST

/* --- Strings --------------------------------------------------------------------------------- */

static const struct {
    const char *plain, *name, *json;
} strings[] = {
    {"fc1.weight", "fc1.weight", "\"fc1.weight\""},
    {"_", "_", "\"_\""},
    {"", "\"\"", "\"\""},
    {"1x", "\"1x\"", "\"1x\""},
    {"a/b", "\"a/b\"", "\"a/b\""},
    {"say \"x\\y\"", "\"say \\\"x\\\\y\\\"\"", "\"say \\\"x\\\\y\\\"\""},
    {"a\nb\x1b[0m\x7f", "\"a\\x0ab\\x1b[0m\\x7f\"", "\"a\\nb\\u001b[0m\\u007f\""},
    {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"", "\"gr\xc3\xbc\xc3\x9f\""},
    {"\xff\xc3", "\"\xff\xc3\"", "\"\\ufffd\\ufffd\""},
    {"\xed\xa0\x80", "\"\xed\xa0\x80\"", "\"\\ufffd\\ufffd\\ufffd\""}, /* a surrogate */
    {"\xc0\xaf", "\"\xc0\xaf\"", "\"\\ufffd\\ufffd\""},                /* an overlong slash */
};

START_TEST(test_names)
{
    ScStr s = {0};
    ck_assert_str_eq(sc_str_get(&s), "");
    sc_str_name(&s, strings[_i].plain);
    ck_assert_str_eq(sc_str_get(&s), strings[_i].name);
    ScStr back = {0};
    const char *p = sc_str_get(&s);
    ck_assert(sc_read_name(&p, &back));
    ck_assert_str_eq(p, "");
    ck_assert_str_eq(sc_str_get(&back), strings[_i].plain);
    sc_str_free(&back);
    sc_str_free(&s);
    sc_str_json(&s, strings[_i].plain);
    ck_assert_str_eq(sc_str_get(&s), strings[_i].json);
    sc_str_free(&s);
}
END_TEST

START_TEST(test_str_grows)
{
    ScStr s = {0};
    for (int i = 0; i < 10000; i++)
        sc_str_addf(&s, "%d,", i % 10);
    ck_assert_uint_eq(s.n, 20000);
    ck_assert_uint_eq(strlen(s.s), 20000);
    sc_str_free(&s);
    ck_assert_ptr_null(s.s);
}
END_TEST

START_TEST(test_interning)
{
    char text[16];
    const char *first[5000];
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "s%d", i);
        first[i] = sc_intern(cx, text);
        ck_assert_str_eq(first[i], text);
        ck_assert(first[i] != text);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "s%d", i);
        ck_assert(sc_intern(cx, text) == first[i]);
    }
    ck_assert(sc_intern_n(cx, "s12345", 3) == first[12]);
    int64_t x[] = {1, 2}, y[] = {1, 2}, z[] = {2, 1};
    const void *p = sc_intern_bytes(cx, x, sizeof x);
    ck_assert(p == sc_intern_bytes(cx, y, sizeof y));
    ck_assert(p != sc_intern_bytes(cx, z, sizeof z));
    ck_assert(p != sc_intern_bytes(cx, x, sizeof *x));
    ck_assert_uint_eq((uintptr_t)p % 16, 0);
    ck_assert_ptr_nonnull(sc_intern_bytes(cx, NULL, 0));
}
END_TEST

START_TEST(test_slots)
{
    static int key[500];
    int *slot[500];
    for (int i = 0; i < 500; i++) {
        slot[i] = sc_ctx_slot(cx, &key[i], sizeof(int));
        ck_assert_int_eq(*slot[i], 0);
        *slot[i] = i;
    }
    for (int i = 0; i < 500; i++)
        ck_assert(sc_ctx_slot(cx, &key[i], sizeof(int)) == slot[i]);
}
END_TEST

START_TEST(test_hash)
{
    ck_assert_uint_eq(sc_hash(SC_HASH, "", 0), 0xcbf29ce484222325u);
    ck_assert_uint_eq(sc_hash(SC_HASH, "a", 1), 0xaf63dc4c8601ec8cu); /* FNV-1a's own test vector */
    ck_assert_uint_eq(sc_hash(sc_hash(SC_HASH, "foo", 3), "bar", 3), 0x85944171f73967e8u);
}
END_TEST

/* --- Locations ------------------------------------------------------------------------------- */

START_TEST(test_locations)
{
    ScOrigin o[] = {{"conv", "Conv", 3}, {"add", "Add", 4}, {"relu", "Relu", 5}};
    const ScLoc *conv = sc_loc(cx, "m.onnx", 0, SC_FORWARD, 1, &o[0]);
    ck_assert(conv == sc_loc(cx, "m.onnx", 0, SC_FORWARD, 1, &o[0]));
    ck_assert(conv != sc_loc(cx, "m.onnx", 0, SC_BACKWARD, 1, &o[0]));
    const ScLoc *rest = sc_loc(cx, "m.onnx", 0, SC_FORWARD, 2, &o[1]);
    const ScLoc *all = sc_loc_join(cx, rest, conv);
    ck_assert_uint_eq(all->n, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(all->origin[i].name, o[i].name); /* in model order */
    ck_assert(sc_loc_join(cx, all, conv) == all);
    ck_assert(sc_loc_join(cx, NULL, conv) == conv);
    ck_assert(sc_loc_join(cx, conv, NULL) == conv);
    ScOrigin twice[] = {o[1], o[1], o[0]};
    ck_assert_uint_eq(sc_loc(cx, NULL, 0, SC_FORWARD, 3, twice)->n, 2);
}
END_TEST

/* --- Diagnostics ----------------------------------------------------------------------------- */

static const ScLoc *at(const char *file, const char *name, const char *op, int index)
{
    ScOrigin o = {name, op, index};
    return sc_loc(cx, file, 0, SC_FORWARD, 1, &o);
}

static void expect_text(uint32_t i, const char *want)
{
    ScStr s = {0};
    sc_diag_text(sc_diag(cx, i), &s);
    ck_assert_str_eq(sc_str_get(&s), want);
    sc_str_free(&s);
}

START_TEST(test_text_of_all_parts)
{
    ck_assert(!sc_fail(cx, at("mnist.onnx", "fc1/MatMul", "MatMul", 17), SC_E_INNER, "%s", ""));
    sc_detail(cx, "A", "relu0_out", "f32[8,64]");
    sc_detail(cx, "B", "fc1.weight", "f32[32,10]");
    sc_note(cx, "A's last extent, %d, must equal B's second to last, %d", 64, 32);
    expect_text(
        0, "mnist.onnx: error[E0203] in MatMul \"fc1/MatMul\" (node 17): inner dimensions differ\n"
           "    A  relu0_out    f32[8,64]\n"
           "    B  fc1.weight   f32[32,10]\n"
           "  note: A's last extent, 64, must equal B's second to last, 32\n");
}
END_TEST

START_TEST(test_other_texts)
{
    sc_set_file(cx, "bad.onnx");
    sc_fail(cx, NULL, SC_E_ONNX, "byte %d", 12);
    expect_text(0, "bad.onnx: error[E0102]: not a valid ONNX model: byte 12\n");
    sc_warn(cx, sc_loc(cx, "g.sc", 7, SC_FORWARD, 0, NULL), SC_E_SHAPE, "%s", "");
    expect_text(1, "g.sc:7: warning[E0204]: shapes do not fit\n");
    ScOrigin o[5];
    for (int i = 0; i < 5; i++)
        o[i] = (ScOrigin){(const char *[]){"a", "b", "c", "d", "e"}[i], NULL, -1};
    sc_fail(cx, sc_loc(cx, NULL, 0, SC_FORWARD, 5, o), SC_E_AXIS, "axis %d", 3);
    expect_text(
        2,
        "bad.onnx: error[E0206] in \"a\", \"b\", \"c\" and 2 more: axis is out of range: axis 3\n");
    sc_set_file(cx, NULL);
    sc_fail(cx, at(NULL, NULL, "matmul", -1), SC_E_RANK, "%s", "");
    expect_text(3, "error[E0207] in matmul: rank does not fit\n");
    sc_fail(cx, NULL, SC_E_LINK, "%s", "");
    sc_note(cx, "cc said\nld: no\n\033[1m");
    expect_text(4, "error[E0403]: cannot link the program\n"
                   "  note: cc said\n        ld: no\n        \\x1b[1m\n");
    ck_assert_uint_eq(sc_n_errors(cx), 4);
    ck_assert_uint_eq(sc_n_diags(cx), 5);
    ck_assert_ptr_null(sc_diag(cx, 5));
}
END_TEST

/* Names are data: neither escape sequences nor formats of theirs work. */
START_TEST(test_hostile_names)
{
    sc_fail(cx, at("m.onnx", "%s%n\033[2J\"", "Mat\nMul", 0), SC_E_SHAPE, "%s", "%s\n");
    sc_detail(cx, "A", "x\033[0m", "f32[]");
    expect_text(0, "m.onnx: error[E0204] in Mat\\x0aMul \"%s%n\\x1b[2J\\\"\" (node 0): "
                   "shapes do not fit: %s\\x0a\n    A  x\\x1b[0m   f32[]\n");
}
END_TEST

START_TEST(test_doubles_are_dropped)
{
    const ScLoc *l = at("m.onnx", "a", "Add", 1);
    for (int i = 0; i < 3; i++) {
        sc_fail(cx, l, SC_E_SHAPE, "operand %d", 0);
        sc_detail(cx, "A", "x", "f32[]");
        sc_note(cx, "note");
    }
    ck_assert_uint_eq(sc_n_errors(cx), 1);
    ck_assert_uint_eq(sc_n_diags(cx), 1);
    ck_assert_uint_eq(sc_diag(cx, 0)->n_row, 1); /* nor do the rows of the doubles land on it */
    ck_assert_uint_eq(sc_diag(cx, 0)->n_note, 1);
    sc_fail(cx, l, SC_E_SHAPE, "operand %d", 1);
    ck_assert_uint_eq(sc_n_errors(cx), 2);
    sc_clear_diags(cx);
    ck_assert_uint_eq(sc_n_errors(cx), 0);
    sc_fail(cx, l, SC_E_SHAPE, "operand %d", 0);
    ck_assert_uint_eq(sc_n_errors(cx), 1);
}
END_TEST

START_TEST(test_flood)
{
    for (int i = 0; i < 300; i++) {
        sc_warn(cx, NULL, SC_E_SHAPE, "warning %d", i);
        sc_fail(cx, NULL, SC_E_SHAPE, "error %d", i);
        for (int k = 0; k < 20; k++)
            sc_note(cx, "note %d", k);
    }
    ck_assert_uint_eq(sc_n_errors(cx), 300);
    ck_assert_uint_eq(sc_n_diags(cx), 200);
    for (uint32_t i = 0; i < 200; i++)
        ck_assert_uint_eq(sc_diag(cx, i)->n_note, i % 2 ? 20 : 0);
}
END_TEST

START_TEST(test_json)
{
    sc_fail(cx, at("m.onnx", "fc\"1", "MatMul", 17), SC_E_INNER, "%s", "");
    sc_detail(cx, "A", "x\n", "f32[8,64]");
    sc_note(cx, "first");
    sc_note(cx, "second");
    ScStr s = {0};
    sc_diag_json(sc_diag(cx, 0), &s);
    ck_assert_str_eq(
        sc_str_get(&s),
        "{\"severity\": \"error\", \"id\": \"E0203\", \"file\": \"m.onnx\", \"line\": null, "
        "\"title\": \"inner dimensions differ\", \"detail\": \"\", \"nodes\": [{\"name\": "
        "\"fc\\\"1\", \"op\": \"MatMul\", \"index\": 17}], \"rows\": [{\"label\": \"A\", "
        "\"name\": \"x\\n\", \"text\": \"f32[8,64]\"}], \"notes\": [\"first\", \"second\"]}");
    sc_str_free(&s);
}
END_TEST

START_TEST(test_every_number_is_explained)
{
    static const uint32_t numbers[] = {
#define SC_DIAG(id, number, title, explanation) (number),
#include "ir/base/diag.def"
#undef SC_DIAG
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        ck_assert_ptr_nonnull(sc_diag_title(numbers[i]));
        ck_assert_uint_gt(strlen(sc_diag_explain(numbers[i])), 20);
        for (size_t k = 0; k < i; k++)
            ck_assert_uint_ne(numbers[k], numbers[i]);
    }
    ck_assert_ptr_null(sc_diag_title(9999));
    ck_assert_ptr_null(sc_diag_explain(9999));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("session");
    TCase *t = tcase_create("session");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_arena);
    tcase_add_test(t, test_memory_hook);
    tcase_add_test(t, test_buf);
    tcase_add_loop_test(t, test_names, 0, sizeof strings / sizeof *strings);
    tcase_add_test(t, test_str_grows);
    tcase_add_test(t, test_interning);
    tcase_add_test(t, test_slots);
    tcase_add_test(t, test_hash);
    tcase_add_test(t, test_locations);
    tcase_add_test(t, test_text_of_all_parts);
    tcase_add_test(t, test_other_texts);
    tcase_add_test(t, test_hostile_names);
    tcase_add_test(t, test_doubles_are_dropped);
    tcase_add_test(t, test_flood);
    tcase_add_test(t, test_json);
    tcase_add_test(t, test_every_number_is_explained);
    suite_add_tcase(s, t);
    return sct_main("base-session", s);
}
