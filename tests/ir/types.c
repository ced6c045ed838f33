/* SPDX-License-Identifier: Apache-2.0 */
/* Types, blobs and attributes: interned, compared, printed and parsed. */
#include "ir/op.h"
#include "tests/harness.h"

#include <math.h>
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

static const ScType *parse(const char *text)
{
    const char *p = text;
    const ScType *t = sc_type_parse(cx, &p);
    ck_assert_msg(t && !*p, "'%s' does not parse at '%s'", text, p);
    return t;
}

static void expect_type(const ScType *t, const char *want)
{
    ScStr s = {0};
    sc_type_print(t, &s);
    ck_assert_str_eq(sc_str_get(&s), want);
    sc_str_free(&s);
}

START_TEST(test_types_round_trip)
{
    const char *text[] = {"f32[]",
                          "f32[batch,784]",
                          "i64[3]",
                          "bool[n,n]",
                          "f8e4m3fn[2*n+3,1]",
                          "bf16[max(a,b),floordiv(n,2)]",
                          "f32[\"my dim\",0]",
                          "complex64[1]"};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        expect_type(parse(text[i]), text[i]);
        ck_assert(parse(text[i]) == parse(text[i]));
    }
}
END_TEST

START_TEST(test_types_refuse)
{
    const char *bad[] = {
        "f32",       "f33[1]",  "",
        "f32[1",     "f32[1,]", "f32[,1]",
        "f32[1 ,2]", "[1]",     "f32[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"}; /* rank 17 */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *p = bad[i];
        ck_assert_msg(sc_type_parse(cx, &p) == NULL, "'%s' parsed", bad[i]);
        ck_assert(p >= bad[i] && p <= bad[i] + strlen(bad[i]));
    }
}
END_TEST

START_TEST(test_type_facts)
{
    int64_t dims[2] = {2, 3}, got[2] = {7, 7}, count;
    const ScType *t = sc_type_c(cx, SCRT_F32, 2, dims);
    ck_assert(t == parse("f32[2,3]"));
    ck_assert(sc_type_const_dims(t, got));
    ck_assert_int_eq(got[1], 3);
    got[0] = 7;
    ck_assert(!sc_type_const_dims(parse("f32[2,n]"), got));
    ck_assert_int_eq(got[0], 7); /* untouched on failure */
    ck_assert(sc_type_with(cx, t, SCRT_BOOL) == parse("bool[2,3]"));
    ck_assert(sc_type_same_shape(t, parse("i8[2,3]")));
    ck_assert(!sc_type_same_shape(t, parse("f32[3,2]")));
    ck_assert(!sc_type_same_shape(parse("f32[n,3]"), parse("f32[m,3]")));
    ck_assert(sc_type_is_float(parse("f8e8m0[]")) && !sc_type_is_float(parse("i8[]")));
    ck_assert(sc_term_const(sc_type_count(cx, t), &count) && count == 6);
    ck_assert(sc_term_is(sc_type_count(cx, parse("f32[]")), 1));
    ck_assert(!sc_type_is_float(sc_type_poison(cx)));
    ck_assert(sc_type_poison(cx) != sc_type_absent(cx));
    expect_type(sc_type_poison(cx), "poison");
    expect_type(sc_type_absent(cx), "_");
}
END_TEST

START_TEST(test_blobs)
{
    float x[] = {1, 2, 3, 4}, y[] = {1, 2, 3, 4}, z[] = {1, 2, 3, 5};
    int64_t flat[] = {4}, square[] = {2, 2};
    const ScBlob *b = sc_blob(cx, "w", SCRT_F32, 1, flat, x);
    ck_assert(b->data == x);
    ck_assert_uint_eq(b->count, 4);
    ck_assert(sc_blob(cx, "w", SCRT_F32, 1, flat, y) == b);
    ck_assert(sc_blob(cx, "w", SCRT_F32, 1, flat, z) != b);
    ck_assert(sc_blob(cx, "v", SCRT_F32, 1, flat, x) != b);
    ck_assert(sc_blob(cx, "w", SCRT_F32, 2, square, x) != b);
    ck_assert(sc_blob(cx, "w", SCRT_I32, 1, flat, x) != b);
    ck_assert(sc_blob(cx, NULL, SCRT_F32, 1, flat, x) != b);
    ck_assert_uint_ne(sc_blob(cx, "w", SCRT_F32, 1, flat, z)->hash, b->hash);
    ck_assert_uint_eq(sc_blob(cx, "v", SCRT_F32, 1, flat, x)->hash, b->hash); /* of the data */
    const ScBlob *lost = sc_blob(cx, "w", SCRT_F32, 1, flat, NULL);
    ck_assert(lost != b && lost == sc_blob(cx, "w", SCRT_F32, 1, flat, NULL));

    const ScBlob *s = sc_blob_scalar(cx, SCRT_F16, 0.5);
    ck_assert_uint_eq(s->rank, 0);
    ck_assert_uint_eq(s->count, 1);
    ck_assert_ptr_null(s->name);
    ck_assert_double_eq(scrt_load(SCRT_F16, s->data, 0), 0.5);
    ck_assert(sc_blob_scalar(cx, SCRT_F16, 0.5) == s);
    ck_assert(sc_blob_scalar(cx, SCRT_F32, 0.0) != sc_blob_scalar(cx, SCRT_F32, -0.0));
    ck_assert(sc_blob_scalar(cx, SCRT_F32, NAN) == sc_blob_scalar(cx, SCRT_F32, NAN));
    const ScBlob *i = sc_blob_i64(cx, 2, (int64_t[]){7, -1});
    ck_assert_int_eq(scrt_load_int(SCRT_I64, i->data, 1), -1);
    ck_assert_uint_eq(sc_blob_i64(cx, 0, NULL)->count, 0);
}
END_TEST

START_TEST(test_fold_names)
{
    float x[] = {1, 2}, same[] = {1, 2}, other[] = {2, 1}, stranger[] = {3, 4};
    int64_t two = 2;
    const ScBlob *b = sc_blob_folded(cx, SCRT_F32, 1, &two, x);
    ck_assert_int_eq(strncmp(b->name, "fold.", 5), 0);
    ck_assert_ptr_eq(sc_blob_folded(cx, SCRT_F32, 1, &two, same), b);
    ck_assert_str_ne(sc_blob_folded(cx, SCRT_F32, 1, &two, other)->name, b->name);
    ScCtx *later = sc_ctx_new(); /* another session, with another constant of this name */
    sc_blob(later, "w", SCRT_F32, 1, &two, other);
    ck_assert_str_eq(sc_blob_folded(later, SCRT_F32, 1, &two, x)->name, b->name);
    sc_ctx_free(later);
    later = sc_ctx_new();
    sc_blob(later, b->name, SCRT_F32, 1, &two, stranger);
    ck_assert_str_ne(sc_blob_folded(later, SCRT_F32, 1, &two, x)->name, b->name);
    sc_ctx_free(later);
}
END_TEST

START_TEST(test_attributes)
{
    int64_t i1[] = {1, 2}, i2[] = {1, 2};
    double f1[] = {0.0, NAN}, f2[] = {-0.0, NAN};
    const ScTerm *t1[] = {sc_term(cx, 3)}, *t2[] = {sc_term(cx, 3)};
    ScAttr floats = {.kind = SC_A_FLOATS, .n = 2, .fs = f1},
           other = {.kind = SC_A_FLOATS, .n = 2, .fs = f2};
    ScAttr same[][2] = {{SC_INT(1), SC_INT(1)},
                        {SC_FLOAT(NAN), SC_FLOAT(NAN)},
                        {SC_INTS(2, i1), SC_INTS(2, i2)},
                        {SC_TERMS(1, t1), SC_TERMS(1, t2)},
                        {SC_INTS(0, NULL), SC_INTS(0, i1)},
                        {floats, floats},
                        {{.kind = SC_A_NONE, .i = 1}, {.kind = SC_A_NONE}},
                        {{.kind = SC_A_INT, .n = 3, .i = 1}, SC_INT(1)}};
    ScAttr differ[][2] = {{SC_INT(1), SC_INT(2)},
                          {SC_INT(0), SC_FLOAT(0)},
                          {SC_FLOAT(0.0), SC_FLOAT(-0.0)},
                          {SC_INTS(2, i1), SC_INTS(1, i1)},
                          {floats, other},
                          {SC_DT(SCRT_F32), SC_DT(SCRT_F16)}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        ck_assert(sc_attr_equal(&same[i][0], &same[i][1]));
        ck_assert(sc_attr_intern(cx, 1, &same[i][0]) == sc_attr_intern(cx, 1, &same[i][1]));
    }
    for (size_t i = 0; i < sizeof differ / sizeof *differ; i++) {
        ck_assert(!sc_attr_equal(&differ[i][0], &differ[i][1]));
        ck_assert(sc_attr_intern(cx, 1, &differ[i][0]) != sc_attr_intern(cx, 1, &differ[i][1]));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("types");
    TCase *t = tcase_create("types");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_types_round_trip);
    tcase_add_test(t, test_types_refuse);
    tcase_add_test(t, test_type_facts);
    tcase_add_test(t, test_blobs);
    tcase_add_test(t, test_fold_names);
    tcase_add_test(t, test_attributes);
    suite_add_tcase(s, t);
    return sct_main("ir-types", s);
}
