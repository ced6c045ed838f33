/* SPDX-License-Identifier: Apache-2.0 */
/* Terms: canonical forms, text both ways, evaluation against plain arithmetic. */
#include "ir/base/base.h"
#include "tests/harness.h"

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

static const ScTerm *parse(const char *text)
{
    const char *p = text;
    const ScTerm *t = sc_term_parse(cx, &p);
    ck_assert_msg(t && !*p, "'%s' does not parse at '%s'", text, p);
    return t;
}

/* The printed form; one of few static buffers. */
static const char *show(const ScTerm *t)
{
    static char buf[4][4096];
    static int k;
    ScStr s = {0};
    sc_term_print(t, &s);
    k = (k + 1) % 4;
    snprintf(buf[k], sizeof buf[k], "%s", sc_str_get(&s));
    sc_str_free(&s);
    return buf[k];
}

static const struct {
    const char *text, *canonical;
} forms[] = {
    {"4", "4"},
    {"n+n", "2*n"},
    {"m+n-m", "n"},
    {"q+p", "p+q"},
    {"3+n*2", "2*n+3"},
    {"n-n", "0"},
    {"-(n-m)", "m-n"},
    {"n*m*2", "2*m*n"},
    {"(n+1)*(m-2)", "m+m*n-2*n-2"},
    {"(n+1)*(n-1)", "n*n-1"},
    {"0*n", "0"},
    {"floordiv(4*n,4)", "n"},
    {"floordiv(784*n,n)", "784"},
    {"floordiv(n*m*6,2*m)", "3*n"},
    {"floordiv(5*n+7,4)", "n+floordiv(n+3,4)+1"},
    {"floordiv(2*n+1,4)", "floordiv(n,2)"},
    {"floordiv(floordiv(n,2),3)", "floordiv(n,6)"},
    {"floordiv(floordiv(n-3,2)-3,2)", "floordiv(n+3,4)-3"},
    {"floordiv(2*n+2,n+1)", "2"},
    {"floordiv(n*m+3,n)", "m+floordiv(3,n)"},
    {"floordiv(n,-m)", "floordiv(-n,m)"},
    {"floordiv(-7,2)", "-4"},
    {"floordiv(7,-2)", "-4"},
    {"floordiv(n,1)", "n"},
    {"ceildiv(n,2)", "floordiv(n+1,2)"},
    {"ceildiv(7,2)", "4"},
    {"ceildiv(-7,2)", "-3"},
    {"ceildiv(n,m)", "ceildiv(n,m)"},
    {"ceildiv(n*m,m)", "n"},
    {"mod(6*n+5,4)", "2*mod(n,2)+1"},
    {"mod(4*n+3,4)", "3"},
    {"mod(-7,4)", "1"},
    {"mod(-n,-4)", "-mod(n,4)"},
    {"mod(mod(n,4),4)", "mod(n,4)"},
    {"mod(n*m,n)", "0"},
    {"max(q,p+q,3,max(p,2))", "max(p,p+q,q,3)"},
    {"max(max(n-1,0)-1,0)", "max(n-2,0)"},
    {"min(min(n,m+2)+1,m)", "min(m,n+1)"},
    {"max(n,min(m,n))", "n"},
    {"min(n-1,max(n-1,0))", "n-1"},
    {"max(n-2,min(m,n-3)+1)", "n-2"},
    {"max(min(n,m)+1,n)", "max(n,min(m,n)+1)"},
    {"min(5,max(n,7))", "5"},
    {"max(n,n+1)", "n+1"},
    {"min(n,n+1)", "n"},
    {"min(4,7,n)", "min(n,4)"},
    {"max(n,n)", "n"},
    {"min(max(a,b),max(b,a))", "max(a,b)"},
    {"log2(1)", "0"},
    {"log2(1023)", "9"},
    {"log2(1024)", "10"},
    {"log2(0)", "0"},
    {"log2(n*n)", "log2(n*n)"},
    {"bcast(b,a)", "bcast(a,b)"},
    {"bcast(a,bcast(b,a))", "bcast(a,b)"},
    {"bcast(a,1)", "a"},
    {"bcast(a,min(a,8))", "a"},
    {"bcast(min(a,8),b,a)", "bcast(a,b)"},
    {"bcast(a,min(a,1))", "a"},
    {"bcast(n,max(min(n+p,8)-p,0))", "n"},
    {"bcast(n,max(min(n+p,8)-p,2))", "bcast(n,max(-p+min(n+p,8),2))"},
    {"bcast(n,max(min(n,3)-2,0))", "bcast(n,max(min(n,3)-2,0))"},
    {"bcast(n,max(min(m,n)-1,0))", "bcast(n,max(min(m,n)-1,0))"},
    {"bcast(a,3)", "3"},
    {"bcast(3,3)", "3"},
    {"\"my dim\"*2", "2*\"my dim\""},
    {"\"n\"", "n"},
    {"-9223372036854775808*n", "-9223372036854775808*n"},
};

START_TEST(test_canonical)
{
    ck_assert_str_eq(show(parse(forms[_i].text)), forms[_i].canonical);
    ck_assert_msg(parse(forms[_i].canonical) == parse(forms[_i].text), "%s: not one term",
                  forms[_i].text);
}
END_TEST

START_TEST(test_equal_is_same_pointer)
{
    const ScTerm *n = sc_term_sym(cx, "n"), *m = sc_term_sym(cx, "m");
    ck_assert(sc_term_add(cx, n, m) == sc_term_add(cx, m, n));
    ck_assert(sc_term_mul(cx, n, m) == sc_term_mul(cx, m, n));
    ck_assert(sc_term_max(cx, n, m) == sc_term_max(cx, m, n));
    ck_assert(sc_term_sub(cx, sc_term_add(cx, n, m), m) == n);
    ck_assert(n != m);
    ck_assert_ptr_null(sc_term_add(cx, n, NULL));
    ck_assert_ptr_null(sc_term_fdiv(cx, NULL, n));
}
END_TEST

/* The order of building must not show: b's symbols are made in the opposite order of a's. */
START_TEST(test_order_is_no_address)
{
    const char *text = "max(z+a,q*b,floordiv(z,a),mod(b,q),3)";
    ScCtx *other = sc_ctx_new();
    const char *names[] = {"a", "b", "q", "z"};
    for (int i = 0; i < 4; i++) {
        sc_term_sym(cx, names[i]);
        sc_term_sym(other, names[3 - i]);
    }
    const char *p = text;
    const ScTerm *t = sc_term_parse(other, &p);
    ck_assert_str_eq(show(parse(text)), show(t));
    sc_ctx_free(other);
}
END_TEST

START_TEST(test_overflow_is_poison)
{
    const char *text[] = {"9223372036854775807+1",
                          "9223372036854775807*2",
                          "9223372036854775807*n+n",
                          "(9223372036854775807+n)*(2+m)",
                          "floordiv(n,0)",
                          "mod(n,0)",
                          "ceildiv(-9223372036854775808,-1)",
                          "floordiv(-9223372036854775808*n,-n)",
                          "bcast(2,3)",
                          "0*(9223372036854775807+1)",
                          "min(1,9223372036854775807+1)",
                          "floordiv(9223372036854775807+1,2)"};
    ScBinding env = {sc_intern(cx, "overflow!"), 1};
    int64_t x;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        ck_assert_str_eq(show(parse(text[i])), "\"overflow!\"");
        ck_assert(sc_term_overflowed(parse(text[i])));
        ck_assert(!sc_term_eval(parse(text[i]), 1, &env, &x));
    }
}
END_TEST

/* A model may call a dimension what it likes. */
START_TEST(test_symbol_named_overflow)
{
    const ScTerm *t = parse("\"overflow!\"*2+1");
    ScBinding env = {sc_intern(cx, "overflow!"), 4};
    int64_t x;
    ck_assert(!sc_term_overflowed(t));
    ck_assert(sc_term_eval(t, 1, &env, &x));
    ck_assert_int_eq(x, 9);
}
END_TEST

START_TEST(test_range)
{
    const struct {
        const char *text;
        int64_t lo, hi;
    } want[] = {
        {"7", 7, 7},
        {"n", 0, INT64_MAX},
        {"i", INT64_MIN, INT64_MAX},
        {"n-9", -9, INT64_MAX},
        {"3-n", INT64_MIN, 3},
        {"2*n+m", 0, INT64_MAX},
        {"n*m", 0, INT64_MAX},
        {"n*i", INT64_MIN, INT64_MAX},
        {"min(n,4)", 0, 4},
        {"max(n-9,0)", 0, INT64_MAX},
        {"floordiv(n-1,2)", -1, INT64_MAX},
        {"mod(i,8)", 0, 7},
        {"bcast(n,m)", 0, INT64_MAX},
        {"log2(n)", 0, 62},
        {"min(n,8)-8", -8, 0},
        {"min(n,4)*min(m,3)", 0, 12},
    };
    sc_sym_bound(cx, sc_intern(cx, "i"), (ScRange){INT64_MIN, INT64_MAX});
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        ScRange r = sc_term_range(cx, parse(want[i].text));
        ck_assert_msg(r.lo == want[i].lo && r.hi == want[i].hi, "%s: %lld to %lld", want[i].text,
                      (long long)r.lo, (long long)r.hi);
    }
}
END_TEST

START_TEST(test_size_is_bounded)
{
    const ScTerm *t = sc_term_sym(cx, "n");
    for (int i = 0; i < 10000; i++)
        t = sc_term_log2(cx, sc_term_addc(cx, t, 1));
    ck_assert_str_eq(show(t), "\"overflow!\"");
    /* (a0 + a1 + ... a63)^4 would have 766,480 summands. */
    const ScTerm *sum = sc_term(cx, 0), *product = sc_term(cx, 1);
    for (int i = 0; i < 64; i++) {
        char name[8];
        snprintf(name, sizeof name, "a%d", i);
        sum = sc_term_add(cx, sum, sc_term_sym(cx, name));
    }
    for (int i = 0; i < 4; i++)
        product = sc_term_mul(cx, product, sum);
    ck_assert_str_eq(show(product), "\"overflow!\"");
}
END_TEST

START_TEST(test_parse_stops)
{
    static const struct {
        const char *text, *canonical, *rest;
    } cases[] = {
        {"n->", "n", "->"},
        {"n,784]", "n", ",784]"},
        {"2*n* 2", "2*n", "* 2"},
        {"n+ 1", "n", "+ 1"},
        {"4 : f32", "4", " : f32"},
        {"(p+q)*2)", "2*p+2*q", ")"},
        {"max(a,b)]", "max(a,b)", "]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *p = cases[i].text;
        const ScTerm *t = sc_term_parse(cx, &p);
        ck_assert_ptr_nonnull(t);
        ck_assert_str_eq(show(t), cases[i].canonical);
        ck_assert_str_eq(p, cases[i].rest);
    }
}
END_TEST

START_TEST(test_parse_refuses)
{
    const char *bad[] = {
        "",         "*",          "max(", "max()", "max(a",    "foo(a)",     "log2(a,b)",
        "mod(a)",   "mod(a,b,c)", "(a",   "\"a",   "\"a\\q\"", "\"a\\x00\"", "9223372036854775808",
        "floordiv", "--n",        ")"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (strcmp(bad[i], "floordiv") == 0)
            continue; /* without its operands it is a symbol like any other */
        const char *p = bad[i];
        ck_assert_msg(sc_term_parse(cx, &p) == NULL, "'%s' parsed", bad[i]);
    }
    char deep[4001];
    memset(deep, '(', 4000);
    deep[4000] = '\0';
    const char *p = deep;
    ck_assert_ptr_null(sc_term_parse(cx, &p));
}
END_TEST

/* --- Random terms ---------------------------------------------------------------------------- */

static uint64_t seed;

static uint32_t draw(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

enum { N_SYM = 3 };
static const char *const syms[N_SYM] = {"n", "m", "a b"};

/* A random term, and what plain arithmetic makes of it at x; *ok becomes false where that divides
 * by zero or an extent does not fit. */
static const ScTerm *draw_term(int depth, const int64_t *x, int64_t *ret, bool *ok)
{
    int64_t a, b;
    uint32_t kind = depth == 0 ? draw(2) : draw(11);
    if (kind == 0) {
        *ret = (int64_t)draw(13) - 4;
        return sc_term(cx, *ret);
    }
    if (kind == 1) {
        uint32_t i = draw(N_SYM);
        *ret = x[i];
        return sc_term_sym(cx, syms[i]);
    }
    const ScTerm *s = draw_term(depth - 1, x, &a, ok), *t = draw_term(depth - 1, x, &b, ok);
    int64_t q = b ? a / b : 0, r = b ? a % b : 0;
    bool down = r != 0 && (r < 0) != (b < 0);
    *ret = 0;
    switch (kind) {
    case 2:
        *ret = a + b;
        return sc_term_add(cx, s, t);
    case 3:
        *ret = a - b;
        return sc_term_sub(cx, s, t);
    case 4:
        *ret = a * b;
        return sc_term_mul(cx, s, t);
    case 5:
        *ok &= b != 0;
        *ret = down ? q - 1 : q;
        return sc_term_fdiv(cx, s, t);
    case 6:
        *ok &= b != 0;
        *ret = r != 0 && !down ? q + 1 : q;
        return sc_term_cdiv(cx, s, t);
    case 7:
        *ok &= b != 0;
        *ret = down ? r + b : r;
        return sc_term_mod(cx, s, t);
    case 8:
        *ret = a < b ? a : b;
        return sc_term_min(cx, s, t);
    case 9:
        *ret = a > b ? a : b;
        return sc_term_max(cx, s, t);
    default:
        while (a > 1) {
            a >>= 1;
            ++*ret;
        }
        return sc_term_log2(cx, s);
    }
}

START_TEST(test_random)
{
    uint32_t tried = 0;
    seed = 20;
    for (int round = 0; round < 20000; round++) {
        int64_t x[N_SYM], want, got, by_subst;
        ScBinding env[N_SYM];
        const char *names[N_SYM];
        const ScTerm *to[N_SYM];
        for (int i = 0; i < N_SYM; i++) {
            x[i] = (int64_t)draw(9) - 3;
            names[i] = sc_intern(cx, syms[i]);
            env[i] = (ScBinding){names[i], x[i]};
            to[i] = sc_term(cx, x[i]);
        }
        bool ok = true;
        const ScTerm *t = draw_term((int)draw(5), x, &want, &ok);
        ck_assert_msg(sc_term_overflowed(t) || parse(show(t)) == t, "%s is not what it parses to",
                      show(t));
        if (!ok)
            continue;
        ck_assert_msg(sc_term_eval(t, N_SYM, env, &got), "%s has no value", show(t));
        ck_assert_msg(got == want, "%s at n=%lld m=%lld 'a b'=%lld is %lld, not %lld", show(t),
                      (long long)x[0], (long long)x[1], (long long)x[2], (long long)got,
                      (long long)want);
        ck_assert(sc_term_const(sc_term_subst(cx, t, N_SYM, names, to), &by_subst));
        ck_assert_int_eq(by_subst, want);
        tried++;
    }
    ck_assert_uint_gt(tried, 10000);
}
END_TEST

START_TEST(test_order_is_total)
{
    const ScTerm *t[60];
    int64_t x[N_SYM] = {1, 2, 3}, ignored;
    bool ok = true;
    seed = 7;
    for (int i = 0; i < 60; i++)
        t[i] = draw_term(3, x, &ignored, &ok);
    for (int i = 0; i < 60; i++)
        for (int j = 0; j < 60; j++) {
            int d = sc_term_cmp(t[i], t[j]);
            ck_assert_int_eq(d, -sc_term_cmp(t[j], t[i]));
            ck_assert_int_eq(d == 0, t[i] == t[j]);
            for (int k = 0; k < 60; k++)
                if (d < 0 && sc_term_cmp(t[j], t[k]) < 0)
                    ck_assert_int_lt(sc_term_cmp(t[i], t[k]), 0);
        }
}
END_TEST

START_TEST(test_eval_fails)
{
    int64_t x;
    ScBinding env[] = {{sc_intern(cx, "n"), INT64_MAX}, {sc_intern(cx, "z"), 0}};
    ck_assert(!sc_term_eval(parse("m"), 2, env, &x));
    ck_assert(!sc_term_eval(parse("n+1"), 2, env, &x));
    ck_assert(!sc_term_eval(parse("n*n"), 2, env, &x));
    ck_assert(!sc_term_eval(parse("floordiv(n,z)"), 2, env, &x));
    ck_assert(!sc_term_eval(parse("bcast(n,z)"), 2, env, &x));
    ck_assert(sc_term_eval(parse("mod(n,10)"), 2, env, &x));
    ck_assert_int_eq(x, 7);
    ck_assert(sc_term_eval(parse("floordiv(784*z,z)"), 2, env, &x)); /* no rows, but 784 columns */
    ck_assert_int_eq(x, 784);
    env[1].value = 1;
    ck_assert(sc_term_eval(parse("bcast(n,z)"), 2, env, &x));
    ck_assert_int_eq(x, INT64_MAX);
}
END_TEST

static void count(void *arg, const char *sym)
{
    ck_assert(sym == sc_intern(cx, sym));
    ++*(int *)arg;
}

START_TEST(test_symbols)
{
    int n = 0;
    sc_term_symbols(parse("max(n*m,2*n+3,q)"), count, &n);
    ck_assert_int_eq(n, 4);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("terms");
    TCase *t = tcase_create("terms");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_canonical, 0, sizeof forms / sizeof *forms);
    tcase_add_test(t, test_equal_is_same_pointer);
    tcase_add_test(t, test_order_is_no_address);
    tcase_add_test(t, test_overflow_is_poison);
    tcase_add_test(t, test_symbol_named_overflow);
    tcase_add_test(t, test_range);
    tcase_add_test(t, test_size_is_bounded);
    tcase_add_test(t, test_parse_stops);
    tcase_add_test(t, test_parse_refuses);
    tcase_add_test(t, test_random);
    tcase_add_test(t, test_order_is_total);
    tcase_add_test(t, test_eval_fails);
    tcase_add_test(t, test_symbols);
    suite_add_tcase(s, t);
    return sct_main("base-terms", s);
}
