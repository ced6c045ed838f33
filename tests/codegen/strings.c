/* SPDX-License-Identifier: Apache-2.0 */
/* Strings through every stage: read from text, evaluated, compiled and run; who owns them. */
#include "runtime/handles.h"
#include "tests/codegen/compiled.h"
#include "tests/runtime/failing.h"

#define WORDS(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / 8

/* A tensor of words, each up to its NUL. */
static ScrtTensor strings(const char *const *word, size_t n)
{
    ScrtTensor t = {.dtype = SCRT_STRING, .rank = 1, .dims = {(int64_t)n}};
    ScrtLaying l;
    size_t room = 0;
    for (size_t i = 0; i < n; i++)
        room += scrt_string_room(strlen(word[i]));
    ck_assert_int_eq(scrt_strings_alloc(&t, room, &l), SCRT_OK);
    for (size_t i = 0; i < n; i++)
        memcpy(scrt_strings_lay(&l, (int64_t)i, strlen(word[i])), word[i], strlen(word[i]));
    return t;
}

static void expect(const char *who, const ScrtTensor *t, const char *const *word, size_t n)
{
    ck_assert_int_eq(t->dtype, SCRT_STRING);
    ck_assert_msg(scrt_count(t) == (int64_t)n, "%s: %lld elements of %zu", who,
                  (long long)scrt_count(t), n);
    for (size_t i = 0; i < n; i++) {
        ScrtChars c = scrt_chars(NULL, t, (int64_t)i);
        ck_assert_msg(c.n == strlen(word[i]) && memcmp(c.at, word[i], c.n) == 0,
                      "%s: element %zu is '%.*s', expected '%s'", who, i, (int)c.n, c.at, word[i]);
    }
}

/* The one output of a graph on x, evaluated and compiled, and of its text read back. */
static void gives(const char *text, ScrtTensor x, const char *const *word, size_t n)
{
    SctModel m = sct_compile(text, "native", NULL);
    ScrtTensor y;
    ck_assert_msg(sc_eval(m.g, &x, &y, NULL), "%s", sct_messages(m.cx));
    ScrtTensor *got = sct_run(&m, 2, &x);
    scrt_free(x.data); /* outputs do not need it */
    expect("evaluated", &y, word, n);
    expect("compiled", got, word, n);
    scrt_free(y.data);
    sct_free(got, 1);
    sct_round_trip(m.kernels);
    sct_close(&m);
}

/* What moves numbers moves strings; constants of one element, of many, equal ones and empty ones.
 */
START_TEST(moved)
{
    gives("graph @g(%x: string[4]) -> (%y) {\n"
          "  %c = const [\"b\",\"b\",\"\",\"long enough to lie in two words\"] : string[4]\n"
          "  %one = const \"none\" : string[]\n"
          "  %e = string_equal %x, %c : bool[4]\n"
          "  %w = where %e, %one, %x : string[4]\n"
          "  %z = concat %w, %c {axis = 0} : string[8]\n"
          "  %i = const [-1,0,1,2,-2,6] : i64[6]\n"
          "  %g = gather %z, %i : string[6]\n"
          "  %r = reshape %g : string[2,3]\n"
          "  %t = transpose %r {perm = [1,0]} : string[3,2]\n"
          "  %y = slice %t {starts = [1], ends = [3], axes = [0]} : string[2,2]\n"
          "}\n",
          strings(WORDS("a", "b", "", "d")), WORDS("a", "", "none", ""));
}
END_TEST

START_TEST(bytes_compared_and_joined)
{
    gives("graph @g(%x: string[n]) -> (%y) {\n"
          "  %r = reshape %x : string[n,1]\n"
          "  %c = const [\"\",\"\\x01\\\"],[@;\"] : string[2]\n"
          "  %z = string_concat %r, %c : string[n,2]\n"
          "  %e = string_equal %z, %r : bool[n,2]\n"
          "  %y = where %e, %r, %z : string[n,2]\n"
          "}\n",
          strings(WORDS("", "Ü")), WORDS("", "\1\"],[@;", "Ü", "Ü\1\"],[@;"));
}
END_TEST

/* A loop carries them: what an earlier turn made lasts. */
START_TEST(carried)
{
    gives("graph @g(%x: string[n]) -> (%y) {\n"
          "  %trips = const 5 : i64[]\n"
          "  %on = const true : bool[]\n"
          "  %y = loop %trips, %on, %x {carried = 1} : string[n]\n"
          "    graph @body(%i: i64[], %s: string[n]) -> (%go, %t) {\n"
          "      %go = const true : bool[]\n"
          "      %c = const \"-\" : string[]\n"
          "      %t = string_concat %s, %c : string[n]\n"
          "    }\n"
          "}\n",
          strings(WORDS("a", "")), WORDS("a-----", "-----"));
}
END_TEST

/* Each as it should be: letters that Unicode maps, pieces, numbers. */
START_TEST(looked_into)
{
    gives("graph @g(%x: string[n]) -> (%y) {\n"
          "  %a = string_case %x : string[n]\n"
          "  %y = string_case %a {upper = 1} : string[n]\n"
          "}\n",
          strings(WORDS("aZ[`{", "ßÀéÿŸ", "σς", "ж\xff\xc3z", "ǆǅ𐐨ﬁ")),
          WORDS("AZ[`{", "ßÀÉŸŸ", "ΣΣ", "Ж\xff\xc3Z", "ǄǄ𐐀ﬁ"));
    static const char *const delimiter[] = {"", ".", "ab"};
    static const struct {
        const char *x, *y[4];
    } piece[] = {{" \t a  b\u00a0\u3000c ", {"a", "b", "c", ""}},
                 {"", {"", "", "", ""}},
                 {".a..", {"", "a", "", ""}},
                 {"...", {"", "", "", ""}},
                 {"aababb", {"a", "", "b", ""}},
                 {"ab", {"", "", "", ""}}};
    for (size_t i = 0; i < sizeof piece / sizeof *piece; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "graph @g(%%x: string[1]) -> (%%y) {\n"
                 "  %%d = const \"%s\" : string[]\n"
                 "  %%s = string_split %%x, %%d {parts = [4]} : string[1,4]\n"
                 "  %%y = reshape %%s : string[4]\n"
                 "}\n",
                 delimiter[i / 2]);
        gives(text, strings(&piece[i].x, 1), piece[i].y, 4);
    }
    gives("graph @g(%x: string[1]) -> (%y) {\n"
          "  %d = const \"\" : string[]\n"
          "  %s = string_split %x, %d {most = 1, parts = [3]} : string[1,3]\n"
          "  %c = string_parts %x, %d {most = 1} : i64[1]\n"
          "  %f = format %c : string[1]\n"
          "  %r = reshape %s : string[3]\n"
          "  %y = concat %r, %f {axis = 0} : string[4]\n"
          "}\n",
          strings(WORDS(" a  b c ")), WORDS("a", "b c ", "", "2"));
    gives("graph @g(%x: string[n]) -> (%y) {\n"
          "  %f = parse %x {to = f32} : f32[n]\n"
          "  %d = parse %x {to = f64} : f64[n]\n"
          "  %i = parse %x {to = i64} : i64[n]\n"
          "  %b = parse %x {to = i8} : i8[n]\n"
          "  %p = format %f : string[n]\n"
          "  %q = format %d : string[n]\n"
          "  %r = format %i : string[n]\n"
          "  %s = format %b : string[n]\n"
          "  %y = concat %p, %q, %r, %s {axis = 0} : string[4*n]\n"
          "}\n",
          strings(WORDS("1e-5", " 100\n", "-7.9", "-128.5")),
          WORDS("9.9999997e-06", "100", "-7.9000001", "-128.5", "1e-05", "100", "-7.9", "-128.5",
                "0", "100", "-7", "-128", "0", "100", "-7", "-128"));
    gives("graph @g(%x: string[n]) -> (%y) {\n"
          "  %i = parse %x {to = i64} : i64[n]\n"
          "  %u = parse %x {to = u64} : u64[n]\n"
          "  %p = format %i : string[n]\n"
          "  %q = format %u : string[n]\n"
          "  %y = concat %p, %q {axis = 0} : string[2*n]\n"
          "}\n",
          strings(WORDS("9007199254740993", "9223372036854775807", "-0", "1e3")),
          WORDS("9007199254740993", "9223372036854775807", "0", "1000", "9007199254740993",
                "9223372036854775807", "0", "1000"));
    gives("graph @g(%x: string[n]) -> (%y) {\n"
          "  %f = parse %x {to = f64} : f64[n]\n"
          "  %y = format %f : string[n]\n"
          "}\n",
          strings(WORDS("1e400")), WORDS("INF"));
    gives("graph @g(%x: string[n]) -> (%y) {\n"
          "  %f = parse %x {to = f16} : f16[n]\n"
          "  %y = format %f : string[n]\n"
          "}\n",
          strings(WORDS("nan", "-Infinity", "+INF", "70000", "-0")),
          WORDS("NaN", "-INF", "INF", "INF", "-0"));
    gives("graph @g(%x: string[n]) -> (%y) {\n"
          "  %k = const [\"\",\"a\",\"a\\x00\",\"b\",\"Ü\"] : string[5]\n"
          "  %i = lookup %x, %k : i64[n]\n"
          "  %y = format %i : string[n]\n"
          "}\n",
          strings(WORDS("Ü", "", "a", "aa", "b", "c")), WORDS("4", "0", "1", "5", "3", "5"));
}
END_TEST

/* What is no number of a type ends the run, evaluated and compiled, with the node's name. */
START_TEST(no_numbers)
{
    static const struct {
        const char *type, *bad[14], *shown;
    } t[] = {
        {"i32",
         {"2147483648", "-2147483649", "1e10", "", "1x", "0x10", "1 2", "nan(1)", "--1", "1e",
          "inf", ".", "abc"},
         "abc\""},
        {"u8", {"99999999999999999999", "-1", "256", "256.0", "-1.5", "1\"\n"}, "1\\x22\\x0a\""},
        {"i8", {"128", "-129"}, "-129\""},
        {"i64", {"9223372036854775808", "-9223372036854775809", "1e19"}, "1e19\""},
        {"u64", {"18446744073709551616", "-5", "1e300"}, "1e300\""},
        {"f32",
         {"\u00a01", "1\u00a0", "123456789 123456789 123456789 123456789 123456789 12345678Ü Ü"},
         "123456789 123456789 123456789 123456789 123456789 12345678Ü\"..."},
    };
    for (size_t k = 0; k < sizeof t / sizeof *t; k++) {
        char text[160], says[160];
        snprintf(text, sizeof text,
                 "graph @g(%%x: string[1]) -> (%%y) {\n"
                 "  %%y = parse %%x {to = %s} : %s[1] from \"numbers\"\n"
                 "}\n",
                 t[k].type, t[k].type);
        SctModel m = sct_compile(text, "native", NULL);
        for (size_t i = 0; t[k].bad[i]; i++) {
            bool last = !t[k].bad[i + 1];
            snprintf(says, sizeof says, "\"numbers\": a string is no number of %s: \"%s", t[k].type,
                     last ? t[k].shown : "");
            ScrtTensor x = strings(&t[k].bad[i], 1), y = {0};
            ScrtSession *s = sct_open(&m, 0);
            ck_assert_msg(scrt_run(s, &x, &y) == SCRT_E_DATA, "'%s' is taken", t[k].bad[i]);
            if (last)
                ck_assert_str_eq(scrt_error(s), says);
            ck_assert_ptr_nonnull(strstr(scrt_error(s), says));
            ck_assert_msg(!sc_eval(m.g, &x, &y, NULL), "'%s' is taken", t[k].bad[i]);
            ck_assert_msg(strstr(sct_messages(m.cx), strchr(says, ':') + 2), "%s",
                          sct_messages(m.cx));
            sc_clear_diags(m.cx);
            scrt_free(x.data);
            scrt_close(s);
        }
        sct_close(&m);
    }
}
END_TEST

static const char concat_text[] = "graph @g(%x: string[2]) -> (%y, %z) {\n"
                                  "  %c = const [\"!\",\"constant\"] : string[2]\n"
                                  "  %y = string_concat %x, %c : string[2] from \"join\"\n"
                                  "  %z = identity %c : string[2]\n"
                                  "}\n";

/* Into the caller's memory: handles, never offsets; they last until the next run. */
START_TEST(into_memory_of_the_caller)
{
    SctModel m = sct_compile(concat_text, "native", NULL);
    ScrtSession *s = sct_open(&m, 0);
    uintptr_t handle[2][2] = {{0}};
    ScrtTensor x = strings(WORDS("a", "b")), out[2] = {{.data = handle[0]}, {.data = handle[1]}};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(scrt_run(s, &x, out), SCRT_OK);
        expect("made", &out[0], WORDS("a!", "bconstant"));
        expect("of the weights", &out[1], WORDS("!", "constant"));
    }
    scrt_free(x.data);
    scrt_close(s);
    sct_close(&m);
}
END_TEST

static const ScrtModel *failing_model;

static ScrtStatus run_failing(void)
{
    uintptr_t handle[2] = {0};
    ScrtTensor x = {.dtype = SCRT_STRING, .rank = 1, .dims = {2}, .data = handle}, out[2] = {{0}};
    ScrtSession *s = NULL;
    ScrtStatus st = scrt_open(failing_model, &(ScrtOptions){.n_thread = 1}, &s);
    if (st == SCRT_OK) {
        st = scrt_run(s, &x, out);
        ck_assert(st == SCRT_OK || (!out[0].data && !out[1].data));
    }
    scrt_free(out[0].data);
    scrt_free(out[1].data);
    scrt_close(s);
    return st;
}

START_TEST(without_memory)
{
    SctModel m = sct_compile(concat_text, "native", NULL);
    failing_model = sc_loaded_model(m.loaded);
    ck_assert_uint_ge(fail_each_allocation(run_failing), 5);
    sct_close(&m);
}
END_TEST

/* Texts that must not be read, and words of the message. */
START_TEST(refused)
{
    static const struct {
        const char *text, *says;
    } t[] = {
        {"%y = const [\"a,b : string[1]", "expected a constant"},
        {"%y = const [\"a\",b] : string[2]", "expected a quoted string, found 'b'"},
        {"%y = const [\"a\"] : string[2]", "expected 2 elements for string[2], found 1"},
        {"%y = const [\"\\q\"] : string[1]", "two hexadecimal digits"},
        {"%y = const [\"a\"] as string[1] : f32[1]", "a constant of string cannot be one of f32"},
        {"%y = const [1] as f32[1] : string[1]", "a constant of f32 cannot be one of string"},
        {"%y = equal %x, %x : bool[2]", "operand A must be a tensor that is not of strings"},
        {"%y = nonzero %x {count = [1]} : i64[1,1]", "must be a tensor that is not of strings"},
        {"%y = cast %x : f32[2]", "must be a tensor that is not of strings"},
        {"%y = bit_cast %x {to = i64} : i64[2]", "must be a tensor that is not of strings"},
        {"%y = add %x, %x : string[2]", "must be a tensor of numbers"},
        {"%i = const [0,1] : i64[2]\n  %y = scatter_elements %x, %i, %x {reduction = \"max\"} : "
         "string[2]",
         "strings are replaced, not combined"},
        {"%k = const [0x0] : complex64[1]\n  %z = lookup %k, %k : i64[1]\n  %y = format %z : "
         "string[1]",
         "complex numbers have no order"},
        {"state @s (%p: string[2] -> %x)\n  %y = identity %p : string[2]",
         "strings are not kept from run to run"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        ScCtx *cx = sc_ctx_new();
        char text[512];
        snprintf(text, sizeof text, "graph @g(%%x: string[2]) -> (%%y) {\n  %s\n}\n", t[i].text);
        ScGraph *g = sc_parse(cx, "t", text, NULL, NULL);
        ck_assert_msg(!g, "accepted: %s", t[i].text);
        ck_assert_msg(strstr(sct_messages(cx), t[i].says), "%s\nsays %s", t[i].text,
                      sct_messages(cx));
        sc_ctx_free(cx);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-strings");
    TCase *t = tcase_create("strings");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, moved);
    tcase_add_test(t, bytes_compared_and_joined);
    tcase_add_test(t, carried);
    tcase_add_test(t, looked_into);
    tcase_add_test(t, no_numbers);
    tcase_add_test(t, into_memory_of_the_caller);
    tcase_add_test(t, without_memory);
    tcase_add_test(t, refused);
    suite_add_tcase(s, t);
    return sct_main("codegen-strings", s);
}
