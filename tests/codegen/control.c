/* SPDX-License-Identifier: Apache-2.0 */
/* Branches and loops, compiled, beside the evaluator. */
#include "tests/codegen/compiled.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static const SctBound exact = {0}, product = {.rel = 1e-5, .abs = 1e-5};

/* Every pass of the pipeline, with exponents: results keep their bits but where low precision
 * rounds. */
static void run_pipeline(const char *text, double lo, double hi, const char *recipe)
{
    ScCtx *cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, text);
    uint64_t seed = 7;
    ScBinding env[] = {{sc_intern(cx, "n"), 4}};
    ScrtTensor *in = sct_inputs(g, &seed, lo, hi, 1, env);
    uint32_t n_in = g->n_in;
    ScPipeline p = {.env = {.recipe = sc_recipe(cx, recipe)}, .verify = true, .eval_in = in};
    p.eval_rtol = 1e-6;
    g = sc_pipeline_run(cx, g, &p);
    ck_assert_msg(g != NULL, "%s", sct_messages(cx));
    ScObject *o = sc_codegen(cx, g, NULL, SC_EMIT_OBJ);
    ck_assert_msg(o != NULL, "%s", sct_messages(cx));
    sc_object_free(o);
    sct_free(in, n_in);
    sc_graph_free(g);
    sc_ctx_free(cx);
}

/* Compiles text and compares where inputs are drawn from [lo, hi], symbol n is 3 and then 5. */
static void compare(const char *text, double lo, double hi, SctBound bound)
{
    SctModel m = sct_compile(text, "native", NULL);
    sct_round_trip(m.g);
    sct_round_trip(m.kernels);
    run_pipeline(text, lo, hi, "f32");
    run_pipeline(text, lo, hi, "fp8");
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

/* --- What goes wrong ------------------------------------------------------------------------- */

static size_t out, most, limit; /* bytes that are out, were at most, may be */

static void *alloc(void *self, size_t bytes, size_t align)
{
    (void)self;
    size_t *p =
        out + bytes <= limit ? aligned_alloc(align, (bytes + 2 * align - 1) / align * align) : NULL;
    (void)align;
    if (!p)
        return NULL;
    out += malloc_usable_size(p);
    most = out > most ? out : most;
    return p;
}

static void release(void *self, void *p)
{
    (void)self;
    out -= malloc_usable_size(p);
    free(p);
}

/* A number of turns that nobody has memory for: what is made counts, and no more. */
START_TEST(endless)
{
    static const char text[] = "graph @g(%t: i64[], %stop: i64[]) -> (%all) {\n"
                               "  %c = const true : bool[]\n"
                               "  %all = loop %t, %c, %stop {as = [turns,0], carried = 0} : "
                               "f32[turns,1000] from \"fill\"\n"
                               "    graph @body(%i: i64[], %s: i64[]) -> (%on, %row) {\n"
                               "      %on = less %i, %s : bool[]\n"
                               "      %f = cast %i : f32[]\n"
                               "      %row = expand %f {shape = [1000]} : f32[1000]\n"
                               "    }\n"
                               "}\n";
    static const struct {
        int64_t trips, stop;
        ScrtStatus status;
        int64_t turns;
    } t[] = {{INT64_C(1) << 60, INT64_C(1) << 60, SCRT_E_MEMORY, 0},
             {INT64_C(1) << 60, 9, SCRT_OK, 10},
             {-1, 9, SCRT_OK, 0},
             {INT64_MIN, 9, SCRT_OK, 0},
             {4, 9, SCRT_OK, 4}};
    SctModel m = sct_compile(text, "native", NULL);
    scrt_set_allocator(&(ScrtAllocator){alloc, release, NULL});
    limit = 40 << 20;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        int64_t trips = t[i].trips, stop = t[i].stop;
        ScrtTensor in[] = {{.dtype = SCRT_I64, .data = &trips}, {.dtype = SCRT_I64, .data = &stop}};
        ScrtTensor got = {0};
        most = 0;
        ScrtSession *s = sct_open(&m, 1);
        ck_assert_int_eq(scrt_run(s, in, &got), t[i].status);
        ck_assert(t[i].status != SCRT_OK || got.dims[0] == t[i].turns);
        ck_assert(t[i].status != SCRT_OK || most < 400000);
        scrt_free(got.data);
        scrt_close(s);
        ck_assert_uint_eq(out, 0);
    }
    scrt_set_allocator(NULL);
    sct_close(&m);
}
END_TEST

/* What each turn gives must have the extents of what the first one gave. */
START_TEST(unlike_turns)
{
    SctModel m =
        sct_compile("graph @g(%t: i64[], %x: f32[n]) -> (%last, %all) {\n"
                    "  %c = const true : bool[]\n"
                    "  %last, %all = loop %t, %c, %x, %x {as = [m,turns,k], carried = 1} : f32[m], "
                    "f32[turns,k] "
                    "from \"grows\"\n"
                    "    graph @body(%i: i64[], %v: f32[a], %x: f32[n]) -> (%on, %w, %w as e) {\n"
                    "      %on = const true : bool[]\n"
                    "      %w = concat %v, %x {axis = 0} : f32[a+n]\n"
                    "    }\n"
                    "}\n",
                    "native", NULL);
    float x[] = {1, 2};
    for (int64_t n = 0; n < 3; n++) {
        ScrtTensor in[] = {{.dtype = SCRT_I64, .data = &n},
                           {.dtype = SCRT_F32, .rank = 1, .dims = {2}, .data = x}};
        ScrtTensor got[2] = {0};
        ScrtSession *s = sct_open(&m, 0);
        ck_assert_int_eq(scrt_run(s, in, got), n < 2 ? SCRT_OK : SCRT_E_SHAPE);
        ck_assert(n < 2 || strstr(scrt_error(s), "\"grows\""));
        ck_assert(n != 1 || (got[0].dims[0] == 4 && got[1].dims[0] == 1 && got[1].dims[1] == 4));
        ck_assert(n != 0 || (got[0].dims[0] == 2 && got[1].dims[0] == 0 && got[1].dims[1] == 0));
        scrt_free(got[0].data);
        scrt_free(got[1].data);
        scrt_close(s);
    }
    sct_close(&m);
}
END_TEST

/* Nested graphs that do not fit, and what is said of them. */
START_TEST(refused)
{
#define BODY(head, result, line)                                                                   \
    "graph @g(%t: i64[], %c: bool[], %x: f32[n]) -> (%y) {\n  %y = loop %t, %c, %x " head          \
    " : " result "\n    graph @b(" line "    }\n}\n"
    static const struct {
        const char *text, *words;
    } t[] = {
        {BODY("{carried = 1}", "f32[n]",
              "%i: i64[], %v: f32[n]) -> (%on, %w) {\n      %on = const true : bool[]\n"
              "      %w = concat %v, %v {axis = 0} : f32[2*n]\n"),
         "leaves a turn in another type"},
        {BODY("{carried = 1}", "f32[n]",
              "%i: i64[], %v: f32[k]) -> (%on, %v as w) {\n      %on = const true : bool[]\n"),
         "has no name in `as`"},
        {BODY("{as = [0,0], carried = 1}", "f32[n]",
              "%i: i64[], %v: f32[n]) -> (%on, %v as w) {\n      %on = const true : bool[]\n"),
         "for each extent"},
        {BODY("{carried = 2}", "f32[n]",
              "%i: i64[], %v: f32[n]) -> (%on, %v as w) {\n      %on = const true : bool[]\n"),
         "carries 2"},
        {BODY("{carried = 0}", "f32[n]",
              "%i: i64[], %v: f32[n]) -> (%on) {\n      %on = const true : bool[]\n"),
         "outputs carries 0"},
        {BODY("{carried = 1}", "f32[n]",
              "%i: f32[], %v: f32[n]) -> (%on, %v as w) {\n      %on = const true : bool[]\n"),
         "a body takes the turn"},
        {BODY("{carried = 1}", "f32[n]",
              "%i: i64[], %v: f32[n,1]) -> (%on, %v as w) {\n      %on = const true : bool[]\n"),
         "is not what a nested graph takes"},
        {"graph @g(%c: bool[], %x: f32[n]) -> (%y) {\n  %y = if %c, %x : f32[n]\n"
         "    graph @a(%v: f32[n]) -> (%v) {\n    }\n"
         "    graph @b(%v: f32[n]) -> (%w) {\n      %w = cast %v : i64[n]\n    }\n}\n",
         "the branches give result 0"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        ScCtx *cx = sc_ctx_new();
        ScGraph *g = sc_parse(cx, "t", t[i].text, NULL, NULL);
        ck_assert_msg(g == NULL, "%s", t[i].text);
        ck_assert_msg(strstr(sct_messages(cx), t[i].words), "%s\n%s", t[i].words, sct_messages(cx));
        sc_ctx_free(cx);
    }
}
END_TEST

/* A symbol inside that is also bound outside would mean two things. */
START_TEST(shadows)
{
    ScCtx *cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, "graph @g(%t: i64[], %x: f32[n], %z: f32[m]) -> (%y, %z as z) {\n"
                               "  %c = const true : bool[]\n"
                               "  %y = loop %t, %c, %x {as = [k], carried = 1} : f32[k]\n"
                               "    graph @b(%i: i64[], %v: f32[m]) -> (%on, %v as w) {\n"
                               "      %on = const true : bool[]\n"
                               "    }\n"
                               "}\n");
    ck_assert(!sc_verify(g, NULL));
    ck_assert_msg(strstr(sct_messages(cx), "bound outside"), "%s", sct_messages(cx));
    sc_graph_free(g);
    sc_ctx_free(cx);
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
    tcase_add_test(t, endless);
    tcase_add_test(t, unlike_turns);
    tcase_add_test(t, refused);
    tcase_add_test(t, shadows);
    suite_add_tcase(s, t);
    return sct_main("codegen-control", s);
}
