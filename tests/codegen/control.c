/* SPDX-License-Identifier: Apache-2.0 */
/* Branches and loops, compiled, beside the evaluator. */
#include "tests/codegen/compiled.h"

#include <string.h>

static const SctBound exact = {0}, product = {.rel = 1e-5, .abs = 1e-5};

/* Compiles text and compares where inputs are drawn from [lo, hi], symbol n is 3 and then 5. */
static void compare(const char *text, double lo, double hi, SctBound bound)
{
    SctModel m = sct_compile(text, "native", NULL);
    for (int64_t n = 3; n <= 5; n += 2) {
        ScBinding env[] = {{sc_intern(m.cx, "n"), n}};
        sct_compare(&m, (uint64_t)n, lo, hi, 1, env, bound);
    }
    sct_close(&m);
}

/* What loops carry and gather, for constant numbers of turns, 0 among them. */
START_TEST(counted)
{
    static const char text[] =
        "graph @g(%%x: f32[n,3], %%y: f32[n,3]) -> (%%last, %%all) {\n"
        "  %%t = const %d : i64[]\n"
        "  %%c = const true : bool[]\n"
        "  %%last, %%all = loop %%t, %%c, %%x, %%y {carried = 1} : f32[n,3], f32[%d,n,3]\n"
        "    graph @body(%%i: i64[], %%v: f32[n,3], %%w: f32[n,3]) -> (%%on, %%next, %%half) {\n"
        "      %%on = const true : bool[]\n"
        "      %%f = cast %%i : f32[]\n"
        "      %%a = add %%v, %%w : f32[n,3]\n"
        "      %%next = mul %%a, %%f : f32[n,3]\n"
        "      %%h = const 0.5 : f32[]\n"
        "      %%half = mul %%next, %%h : f32[n,3]\n"
        "    }\n"
        "}\n";
    char buf[2048];
    for (int turns = 0; turns < 4; turns++) {
        snprintf(buf, sizeof buf, text, turns, turns);
        compare(buf, -4, 4, exact);
    }
}
END_TEST

/* The number of turns is an input; the first value above 20 ends the loop. */
START_TEST(early_exit)
{
    compare("graph @g(%t: i64[], %c: bool[], %x: f32[n]) -> (%last, %all, %ends) {\n"
            "  %last, %all, %ends = loop %t, %c, %x {as = [0,turns,0,turns2], carried = 1} : "
            "f32[n], f32[turns,n], i64[turns2]\n"
            "    graph @body(%i: i64[], %v: f32[n]) -> (%on, %next, %next as b, %i as c) {\n"
            "      %two = const 2 : f32[]\n"
            "      %next = mul %v, %two : f32[n]\n"
            "      %m = reduce_max %next {axes = [0], keepdims = 0} : f32[]\n"
            "      %top = const 20 : f32[]\n"
            "      %on = less %m, %top : bool[]\n"
            "    }\n"
            "}\n",
            0, 4, exact);
}
END_TEST

/* A carried value grows, two change places, one stays; extents of what leaves are bound. */
START_TEST(carried)
{
    compare("graph @g(%x: f32[n], %y: f32[n]) -> (%l, %p, %q, %s, %z) {\n"
            "  %t = const 3 : i64[]\n"
            "  %c = const true : bool[]\n"
            "  %e = const [1.5] : f32[1]\n"
            "  %l, %p, %q, %s = loop %t, %c, %e, %x, %y, %x {as = [m,0,0,0], carried = 4} : "
            "f32[m], f32[n], f32[n], f32[n]\n"
            "    graph @body(%i: i64[], %a: f32[k], %b: f32[n], %d: f32[n], %s: f32[n]) -> (%on, "
            "%more, %d as e, %b as f, %s as h) {\n"
            "      %on = const true : bool[]\n"
            "      %more = concat %a, %b, %a {axis = 0} : f32[n+2*k]\n"
            "    }\n"
            "  %z = neg %l : f32[m]\n"
            "}\n",
            -4, 4, exact);
}
END_TEST

/* Loops in loops, and a product with a weight that is packed once. */
START_TEST(nested)
{
    compare("graph @g(%x: f32[n,3]) -> (%y, %r) {\n"
            "  %t = const 3 : i64[]\n"
            "  %c = const true : bool[]\n"
            "  %y, %r = loop %t, %c, %x {carried = 1} : f32[n,3], f32[3,2,n,3]\n"
            "    graph @outer(%i: i64[], %v: f32[n,3]) -> (%on, %a, %b) {\n"
            "      %on = const true : bool[]\n"
            "      %u = const 2 : i64[]\n"
            "      %a, %b = loop %u, %on, %v, %i {carried = 1} : f32[n,3], f32[2,n,3]\n"
            "        graph @inner(%k: i64[], %w: f32[n,3], %o: i64[]) -> (%on, %p, %d) {\n"
            "          %on = const true : bool[]\n"
            "          %m = const [0.5,1,-1,0.25,0.5,1,0.125,-0.5,1] : f32[9]\n"
            "          %q = reshape %m {shape = [3,3]} : f32[3,3]\n"
            "          %p = matmul %w, %q : f32[n,3]\n"
            "          %s = add %k, %o : i64[]\n"
            "          %f = cast %s : f32[]\n"
            "          %d = add %p, %f : f32[n,3]\n"
            "        }\n"
            "    }\n"
            "}\n",
            -1, 1, product);
}
END_TEST

/* Branches whose results have other extents; what a branch reads of around it. */
START_TEST(branches)
{
    compare("graph @g(%c: bool[], %x: f32[n], %y: f32[4]) -> (%z, %w) {\n"
            "  %z, %w = if %c, %x, %y {as = [m,0]} : f32[m], f32[4]\n"
            "    graph @then(%a: f32[n], %b: f32[4]) -> (%p, %b as q) {\n"
            "      %p = concat %a, %b {axis = 0} : f32[n+4]\n"
            "    }\n"
            "    graph @else(%a: f32[n], %b: f32[4]) -> (%p, %q) {\n"
            "      %p = exp %a : f32[n]\n"
            "      %q = neg %b : f32[4]\n"
            "    }\n"
            "}\n",
            -1, 1, (SctBound){.max_ulp = 2});
}
END_TEST

/* What a nested graph reads lies in the workspace around it, which its own memory is not. */
START_TEST(reads)
{
    compare("graph @g(%x: f32[n]) -> (%y, %z) {\n"
            "  %t = const 3 : i64[]\n"
            "  %c = const true : bool[]\n"
            "  %e = exp %x : f32[n]\n"
            "  %r = reduce_max %e {axes = [0]} : f32[1]\n"
            "  %y, %z = loop %t, %c, %x, %r, %e {carried = 1} : f32[n], f32[3,1]\n"
            "    graph @body(%i: i64[], %v: f32[n], %r: f32[1], %e: f32[n]) -> (%on, %w, %s) {\n"
            "      %on = const true : bool[]\n"
            "      %m = reduce_max %v {axes = [0]} : f32[1]\n"
            "      %q = reduce_min %e {axes = [0]} : f32[1]\n"
            "      %p = sub %m, %r : f32[1]\n"
            "      %s = mul %p, %q : f32[1]\n"
            "      %u = mul %v, %s : f32[n]\n"
            "      %w = add %u, %e : f32[n]\n"
            "    }\n"
            "}\n",
            -1, 1, (SctBound){.max_ulp = 8, .rel = 1e-5});
}
END_TEST

/* A branch in a loop that reads the turn; a loop in a branch. */
START_TEST(mixed)
{
    compare("graph @g(%x: f32[n]) -> (%y, %all) {\n"
            "  %t = const 5 : i64[]\n"
            "  %c = const true : bool[]\n"
            "  %y, %all = loop %t, %c, %x {carried = 1} : f32[n], f32[5,n]\n"
            "    graph @body(%i: i64[], %v: f32[n]) -> (%on, %z, %v as was) {\n"
            "      %on = const true : bool[]\n"
            "      %two = const 2 : i64[]\n"
            "      %odd = mod %i, %two : i64[]\n"
            "      %is = cast %odd : bool[]\n"
            "      %z = if %is, %v, %i : f32[n]\n"
            "        graph @then(%a: f32[n], %k: i64[]) -> (%r) {\n"
            "          %on = const true : bool[]\n"
            "          %r = loop %k, %on, %a {carried = 1} : f32[n]\n"
            "            graph @b(%j: i64[], %w: f32[n]) -> (%on, %q) {\n"
            "              %on = const true : bool[]\n"
            "              %h = const 1.5 : f32[]\n"
            "              %q = mul %w, %h : f32[n]\n"
            "            }\n"
            "        }\n"
            "        graph @else(%a: f32[n], %k: i64[]) -> (%r) {\n"
            "          %f = cast %k : f32[]\n"
            "          %r = add %a, %f : f32[n]\n"
            "        }\n"
            "    }\n"
            "}\n",
            -1, 1, exact);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-control");
    TCase *t = tcase_create("control");
    tcase_add_test(t, counted);
    tcase_add_test(t, early_exit);
    tcase_add_test(t, carried);
    tcase_add_test(t, nested);
    tcase_add_test(t, branches);
    tcase_add_test(t, reads);
    tcase_add_test(t, mixed);
    suite_add_tcase(s, t);
    return sct_main("codegen-control", s);
}
