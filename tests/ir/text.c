/* SPDX-License-Identifier: Apache-2.0 */
/* Printer and parser: what is printed reads back to the equal graph, what does not parse is refused
 * with a line and a sentence, and no text breaks the parser. */
#include "tests/graphs.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static ScCtx *cx;

static void begin(void)
{
    cx = sc_ctx_new();
}

static void end(void)
{
    sc_ctx_free(cx);
}

/* Texts in canonical form: they print as they stand. */
static const char *const canonical[] = {
    /* A model, plain and scaled. */
    "graph @mlp(%x: f32[batch,784]) -> (%y) {\n"
    "  %w = const @fc1.weight : f32[784,512]\n"
    "  %4 = matmul %x, %w : f32[batch,512] from \"fc1/MatMul\"\n"
    "  %y = relu %4 : f32[batch,512] from \"relu1\"\n"
    "}\n",
    "graph @mlp(%x: f32[batch,784]) -> (%y) {\n"
    "  %3 = cast %x : f8e4m3fn[batch,784]\n"
    "  %w = const @fc1.weight : f8e4m3fn[784,512] * 2^-5\n"
    "  %5 = matmul %3, %w : f32[batch,512] * 2^-5 from \"fc1/MatMul\"\n"
    "  %6 = relu %5 : f32[batch,512] * 2^-5 from \"relu1\"\n"
    "  %y = rebalance %6, 0 : f32[batch,512]\n"
    "}\n",
    /* What only a run can decide. */
    "graph @g(%a: f32[n,m], %b: f32[p,4], %c: f32[\"my dim\"]) -> (%s) {\n"
    "  guard n meets p : \"extents that meet in a broadcast\" from \"sum\"\n"
    "  guard m meets 4 : \"extents that meet in a broadcast\" from \"sum\"\n"
    "  guard 2*n <= m+8 : \"sizes\" from \"a\", \"b\" (backward)\n"
    "  guard n != 3 : \"sizes\"\n"
    "  guard 4 divides m*n : \"elements\"\n"
    "  guard n fits \"my dim\" : \"say \\\"x\\\"\"\n"
    "  guard n = p : \"inner dimensions\" from \"dot\"\n"
    "  %s = add %a, %b : f32[bcast(n,p),4] from \"sum\"\n"
    "}\n",
    /* Symbols that a node binds. */
    "graph @g(%x: f32[n,6], %s: i64[2]) -> (%y) {\n"
    "  guard 0 <= d0 : \"an extent of the result\" from \"view\"\n"
    "  guard 0 <= d1 : \"an extent of the result\" from \"view\"\n"
    "  guard 6*n = d0*d1 : \"elements, and those of the shape asked for\" from \"view\"\n"
    "  %4 = bind %s {as = [d0,d1]} : i64[2]\n"
    "  %y = reshape %x : f32[d0,d1] from \"view\"\n"
    "}\n",
    /* Scaled inputs, exponents that are terms. */
    "graph @g(%a: f32[4] * 2^p, %b: f32[4] * 2^q) -> (%s) {\n"
    "  %m = mul %a, %b : f32[4] * 2^(p+q)\n"
    "  %5 = rebalance %m, max(p+q,q) : f32[4] * 2^max(p+q,q)\n"
    "  %6 = rebalance %b, max(p+q,q) : f32[4] * 2^max(p+q,q)\n"
    "  %s = add %5, %6 : f32[4] * 2^max(p+q,q)\n"
    "}\n",
    /* A state, with and without an initial value. */
    "graph @sum(%x: f32[4]) -> (%total) {\n"
    "  state @acc (%past: f32[4] -> %total) = [0.5,0,-0,1e-30]\n"
    "  state @\"a b\" (%4: f32[4] -> %x)\n"
    "  %5 = add %past, %x : f32[4]\n"
    "  %total = add %5, %4 : f32[4]\n"
    "}\n",
    /* One that grows. */
    "graph @cache(%x: f32[b,s]) -> (%y) {\n"
    "  state @k (%past: f32[b,p] up to p = 8 -> %all)\n"
    "  state @\"a b\" (%4: f32[b,\"p 2\"] up to \"p 2\" = 9 -> %x)\n"
    "  %all = concat %past, %x {axis = 1} : f32[b,p+s]\n"
    "  %y = concat %all, %4 {axis = 1} : f32[b,p+\"p 2\"+s]\n"
    "}\n",
    "graph @full(%x: f32[2,s]) -> (%all) {\n"
    "  state @k (%past: f32[2,p] up to p = 8 from 2 -> %all) = [1,2,3,4]\n"
    "  state @e (%4: f32[2,q] up to q = 8 -> %x)\n"
    "  %all = concat %past, %x {axis = 1} : f32[2,p+s]\n"
    "}\n",
    /* Constants in line: shapes, types, what a decimal cannot say. */
    "graph @c() -> (%a, %b, %c, %d, %e, %f) {\n"
    "  %a = const [1.5,inf,-inf,nan,0x7fc00001,1e-45,3.4028235e+38] : f32[7]\n"
    "  %b = const [-9223372036854775808,9223372036854775807] : i64[2]\n"
    "  %c = const 18446744073709551615 : u64[]\n"
    "  %d = const [true,false,0x2] : bool[3]\n"
    "  %e = const 0.1 as f32[] : f8e4m3fn[]\n"
    "  %f = const [1,2,3,4] as f32[4] : f32[2,2]\n"
    "}\n",
    "graph @low() -> (%a, %b, %c, %d, %e) {\n"
    "  %a = const [0.099975586,65504,nan] : f16[3]\n"
    "  %b = const [448,0.001953125,-0] : f8e4m3fn[3]\n"
    "  %c = const [0.5,6,-1.5] : f4e2m1[3]\n"
    "  %d = const [1.7976931348623157e+308,5e-324,0.1] : f64[3]\n"
    "  %e = const [] : f32[0]\n"
    "}\n",
    /* Names that are no words, numbers, twice there; outputs of another name. */
    "graph @\"my \\\"graph\\\"\"(%\"12\": f32[], %\"a/b\": f32[], %\"\": f32[]) -> (%\"12\", %5 as "
    "\"_\", %y~2 as out, %y as _, %6 as z) {\n"
    "  %5 = neg %\"a/b\" : f32[] from \"\\x01\\\\\"\n"
    "  %6 = neg %\"\" : f32[] (backward)\n"
    "  %y = abs %\"12\" : f32[] from \"a\", \"b\" (optimizer)\n"
    "  %y~2 = abs %\"a/b\" : f32[]\n"
    "}\n",
    /* Attributes: default ones are left out. */
    "graph @a(%x: f32[2,n,3]) -> (%y, %z, %t) {\n"
    "  %y = reduce_sum %x {axes = [1]} : f32[2,1,3]\n"
    "  %z = leaky_relu %x {alpha = 0.2f} : f32[2,n,3]\n"
    "  %t = reshape %x : f32[6*n]\n"
    "}\n",
    /* A kernel and the flags. */
    "source \"models/a b.onnx\"\n"
    "graph @k [scaled, kernels] (%x: f32[n,4]) -> (%y) {\n"
    "  %y = kernel %x {class = map} : f32[n,4] from \"a\", \"b\"\n"
    "    graph @k0(%2: f32[n,4]) -> (%z) {\n"
    "      %3 = neg %2 : f32[n,4] from \"a\"\n"
    "      %z = relu %3 : f32[n,4] from \"b\"\n"
    "    }\n"
    "}\n",
    "graph (%x: f32[]) -> (%x) {\n}\n",
};

START_TEST(canonical_texts)
{
    begin();
    ScGraph *g = sct_graph(cx, canonical[_i]);
    ck_assert_str_eq(sct_print(g), canonical[_i]);
    sct_round_trip(g);
    sc_graph_free(g);
    end();
}
END_TEST

/* The example of the README is the indented block that begins with a source line. */
START_TEST(readme_example)
{
    char *text = sct_read(sct_source("ir/README.md"), NULL), *block = strstr(text, "    source ");
    ck_assert_ptr_nonnull(block);
    char *end_of_block = strstr(block, "\n    }\n");
    ck_assert_ptr_nonnull(end_of_block);
    end_of_block[7] = '\0';
    begin();
    ScGraph *g = sct_graph(cx, block);
    ck_assert_uint_eq(g->n_state, 2);
    ck_assert_str_eq(g->out_name[0], "out");
    sct_round_trip(g);
    sc_graph_free(g);
    end();
    free(text);
}
END_TEST

/* Freely written text: comments, blanks, any numbers, any order of what may be left out. */
START_TEST(free_form)
{
    begin();
    ScGraph *g = sct_graph(cx, "; a comment\n\n  graph@f( %x :f32[2] ,\n   %7: f32[2] ; inputs\n"
                               " )->( %r )\n{ %9=add %x,%7:f32[2]from\"n\" ; what\n"
                               " %8 = neg %9 : f32[2]\r\n  %r = const [1,2] : f32[2] }\n; end");
    ck_assert_str_eq(sct_print(g), "graph @f(%x: f32[2], %3: f32[2]) -> (%r) {\n"
                                   "  %r = const [1,2] : f32[2]\n"
                                   "}\n");
    sc_graph_free(g);
    const char *rest;
    g = sc_parse(cx, NULL, "graph (%x: f32[]) -> (%x) {}\n  ; --- more\ngraph", NULL, &rest);
    ck_assert_ptr_nonnull(g);
    ck_assert_str_eq(rest, "graph");
    sc_graph_free(g);
    end();
}
END_TEST

static const struct {
    const char *text, *message;
} refused[] = {
    {"", "t:1: error[E0109]: text does not parse: expected 'graph', found the end of the text"},
    {"graf @x", "t:1: error[E0109]: text does not parse: expected 'graph', found 'graf'"},
    {"graph @(", "t:1: error[E0109]: text does not parse: expected the graph's name, found '('"},
    {"graph (x: f32[])", "t:1: error[E0109]: text does not parse: expected '%', found 'x'"},
    {"graph (%x f32[])", "t:1: error[E0109]: text does not parse: expected ':', found 'f32'"},
    {"graph (%x: f33[])",
     "t:1: error[E0109]: text does not parse: expected a type such as f32[2,n], found 'f33'"},
    {"graph (%x: f32[] * 3) -> () {",
     "t:1: error[E0109]: text does not parse: expected '2^', found '3'"},
    {"graph (%x: f32[] * 2^(p) -> () {",
     "t:1: error[E0109]: text does not parse: expected ',' or ')', found '->'"},
    {"graph (%x: f32[] * 2^(p",
     "t:1: error[E0109]: text does not parse: expected ')', found the end of the text"},
    {"graph [scaled, fast] () -> () {}",
     "t:1: error[E0109]: text does not parse: expected 'scaled', 'quantized' or 'kernels', found "
     "'fast'"},
    {"graph () -> (%y)\n{ %y = frob %y : f32[] }",
     "t:2: error[E0109]: text does not parse: expected an operator's name, found 'frob'"},
    {"graph () -> (%y) { %y = input : f32[] }",
     "t:1: error[E0109]: text does not parse: expected an operator's name, found 'input'"},
    {"graph (%x: f32[]) -> (%y) {\n  %y = relu %x : f32[] %x\n}",
     "t:2: error[E0109]: text does not parse: expected the end of the line, found '%x'"},
    {"graph (%x: f32[]) -> (%y) {\n\n  %y = relu %x {axis = 3} : f32[]\n}",
     "t:3: error[E0109]: text does not parse: expected an attribute of relu, found 'axis'"},
    {"graph (%x: f32[]) -> (%y) { %y = leaky_relu %x {alpha = 1, alpha = 2} : f32[] }",
     "t:1: error[E0109]: text does not parse: expected one value for alpha, found 'alpha'"},
    {"graph (%x: f32[]) -> (%y) { %y = leaky_relu %x {alpha = big} : f32[] }",
     "t:1: error[E0109]: text does not parse: expected a number, found 'big'"},
    {"graph (%x: f32[]) -> (%y) { %y = relu %z : f32[] }",
     "t:1: error[E0108]: value is not defined: %z"},
    {"graph (%x: f32[]) -> (%y) { }", "t:1: error[E0108]: value is not defined: %y"},
    {"graph (%x: f32[], %x: f32[]) -> (%x) { }",
     "t:1: error[E0108]: value is not defined: %x is defined twice"},
    {"graph (%x: f32[4]) -> (%y) {\n  %y = relu %x : f32[5] from \"r\"\n}",
     "t:2: error[E0209] in \"r\": graph is not well formed: %y is of type f32[4], the text says "
     "f32[5]"},
    {"graph () -> (%y) {\n %y = const [1,2,3] : f32[2]\n}",
     "t:2: error[E0109]: text does not parse: expected 2 elements for f32[2], found 3"},
    {"graph () -> (%y) {\n %y = const 1 : f32[1]\n}",
     "t:2: error[E0109]: text does not parse: expected elements in brackets for f32[1]"},
    {"graph () -> (%y) { %y = const [1] : f32[n] }",
     "t:1: error[E0109]: text does not parse: expected constant dimensions for a constant, found "
     "'}'"},
    {"graph () -> (%y) { %y = const [1,300] : u8[2] }",
     "t:1: error[E0109]: text does not parse: expected an element of type u8, found '300'"},
    {"graph () -> (%y) { %y = const [1,2] : f32[1000000,1000000,1000000,1000000] }",
     "t:1: error[E0109]: text does not parse: expected constant dimensions for a constant, found "
     "'}'"},
    {"graph @\"a\\q\" () -> () {}",
     "t:1: error[E0109]: text does not parse: expected \\\", \\\\ or \\x and two hexadecimal "
     "digits, found '\\q\"'"},
    {"graph @\"a\n", "t:1: error[E0109]: text does not parse: expected '\"', found the end of the "
                     "line"},
    {"graph @\"\\x00\" () -> () {}",
     "t:1: error[E0109]: text does not parse: expected \\\", \\\\ or \\x and two hexadecimal "
     "digits, found '\\x00\"'"},
    {"graph (%x: f32[]) -> (%y) { %y = relu %x : f32[] from relu }",
     "t:1: error[E0109]: text does not parse: expected a quoted name, found 'relu'"},
    {"graph (%x: f32[]) -> (%y) { %y = relu %x : f32[] (sideways) }",
     "t:1: error[E0109]: text does not parse: expected 'forward', 'backward' or 'optimizer', found "
     "'sideways'"},
    {"graph (%x: f32[]) -> (%x) { }\ngraph",
     "t:2: error[E0109]: text does not parse: expected the end of the text, found 'graph'"},
    {"source models\ngraph (%x: f32[]) -> (%x) { }",
     "t:1: error[E0109]: text does not parse: expected a quoted path, found 'models'"},
    {"graph (%x: f32[]) -> (%x) { state @s (%p: f32[] -> %q) }",
     "t:1: error[E0108]: value is not defined: %q"},
    {"graph (%x: f32[]) -> (%x) { state @s (%p: f32[n] up to 4 = 4 -> %p) }",
     "t:1: error[E0109]: text does not parse: expected the extent that grows, a symbol, before "
     "this, found '='"},
    {"graph (%x: f32[]) -> (%x) { state @s (%p: f32[n] up to n = 0 -> %p) }",
     "t:1: error[E0109]: text does not parse: expected a capacity of 1 or more, found '0'"},
    {"graph (%x: f32[]) -> (%x) { state @s (%p: f32[n,n] up to n = 4 -> %p) }",
     "t:1: error[E0202]: element types do not fit: no dim that could grow has state s"},
    {"graph (%x: f32[]) -> (%x) { state @s (%p: f32[2,n] up to n = 4 from 5 -> %p) = 1 }",
     "t:1: error[E0109]: text does not parse: expected an extent from 0 up to the capacity, found "
     "'5'"},
    {"graph (%x: f32[]) -> (%x) { state @s (%p: f32[2,n] up to n = 4 from 1 -> %p) }",
     "t:1: error[E0109]: text does not parse: expected '=' and the initial value, found '}'"},
    {"graph (%x: f32[m]) -> (%x) { state @s (%p: f32[m,n] up to n = 4 from 1 -> %p) = @k }",
     "t:1: error[E0109]: text does not parse: expected constant dimensions for a constant, found "
     "' '"},
    {"graph (%99999999999999999999: f32[]) -> () {}",
     "t:1: error[E0109]: text does not parse: expected a smaller number, found "
     "'99999999999999999999'"},
    {"graph (%x~1: f32[]) -> () {}",
     "t:1: error[E0109]: text does not parse: expected a number of 2 or more, found ':'"},
};

START_TEST(refused_texts)
{
    begin();
    ScGraph *g = sc_parse(cx, "t", refused[_i].text, NULL, NULL);
    ck_assert_msg(g == NULL, "accepted: %s", refused[_i].text);
    ck_assert_uint_eq(sc_n_errors(cx), 1);
    ScStr s = {0};
    sc_diag_text(sc_diag(cx, 0), &s);
    while (s.n > 0 && s.s[s.n - 1] == '\n')
        s.s[--s.n] = '\0';
    ck_assert_str_eq(sc_str_get(&s), refused[_i].message);
    sc_str_free(&s);
    end();
}
END_TEST

/* Several mistakes of meaning are reported at once; a mistake of form ends the reading. */
START_TEST(many_mistakes)
{
    begin();
    ScGraph *g = sc_parse(cx, "t",
                          "graph (%x: f32[4]) -> (%y) {\n"
                          "  %a = relu %x : f32[5]\n"
                          "  %b = relu %nope : f32[4]\n"
                          "  %y = add %a, %x : f64[4]\n"
                          "}\n",
                          NULL, NULL);
    ck_assert_ptr_null(g);
    ck_assert_uint_eq(sc_n_errors(cx), 3);
    end();
}
END_TEST

/* Every prefix of every sample ends in a message, none in a graph and none in a crash. */
START_TEST(every_truncation)
{
    const char *text = canonical[_i];
    size_t n = strlen(text);
    while (text[n - 1] != '}')
        n--;
    for (size_t k = 0; k < n; k++) {
        char *cut = malloc(k + 1); /* its own block, so that reading past the end is seen */
        memcpy(cut, text, k);
        cut[k] = '\0';
        begin();
        ScGraph *g = sc_parse(cx, "t", cut, NULL, NULL);
        ck_assert_msg(g == NULL, "accepted: %s", cut);
        ck_assert_msg(sc_n_errors(cx) > 0, "no message for: %s", cut);
        end();
        free(cut);
    }
}
END_TEST

/* Flipped bytes, lost and doubled pieces: a message, or a graph that keeps all invariants. */
START_TEST(mutations)
{
    uint64_t r = 7 + (uint64_t)_i;
    const char *text = canonical[_i];
    size_t n = strlen(text);
    static const char alphabet[] = "%@*^()[]{},:;=<>-\"\\_~ \n0129abnx2^.";
    for (int round = 0; round < 1500; round++) {
        char *s = malloc(n + 65);
        size_t len = n, at = (size_t)(sct_random(&r) % n), piece = (size_t)(sct_random(&r) % 32);
        memcpy(s, text, n + 1);
        piece = piece > n - at ? n - at : piece;
        switch (sct_random(&r) % 4) {
        case 0:
            s[at] = alphabet[sct_random(&r) % (sizeof alphabet - 1)];
            break;
        case 1:
            s[at] = (char)(sct_random(&r) % 255 + 1);
            break;
        case 2:
            memmove(s + at, s + at + piece, n - at - piece + 1);
            break;
        case 3:
            memmove(s + at + piece, s + at, n - at + 1);
            len += piece;
            break;
        }
        (void)len;
        begin();
        ScGraph *g = sc_parse(cx, "t", s, NULL, NULL);
        ck_assert_msg((g == NULL) == (sc_n_errors(cx) > 0), "%s", s);
        if (g && sc_verify(g, NULL))
            sct_round_trip(g);
        sc_graph_free(g);
        end();
        free(s);
    }
}
END_TEST

static char *repeated(const char *head, const char *piece, int times, const char *tail)
{
    ScStr s = {0};
    sc_str_add(&s, head);
    for (int i = 0; i < times; i++)
        sc_str_add(&s, piece);
    sc_str_add(&s, tail);
    return s.s;
}

/* Depth is bounded everywhere, and size does not make it slow. */
START_TEST(hostile_size)
{
    static const struct {
        const char *head, *piece, *tail;
        int times;
    } t[] = {
        {"", "graph (%x: f32[]) -> (%y) {\n%y = kernel %x {class = map} : f32[]\n", "", 100000},
        {"graph (%x: f32[", "max(1,", "", 100000},
        {"graph (%x: f32[] * 2^", "(", "", 100000},
        {"graph (%x: f32[", "-", "", 100000},
        {"graph (%x: f32[1", ",1", "]) -> (%x) {}", 100000},
        {"graph (%x: f32[]) -> (%y) { %y = add ", "%x, ", "%x : f32[] }", 100000},
        {"graph @", "aaaaaaaa", "(", 100000},
        {"graph (%x: f32[]) -> (%y) { %y = relu %x {", "{", "", 100000},
        {"graph (%x: f32[]) -> (%y) { %y = ", "%x = ", "", 100000},
        {"graph (%x: f32[]) -> (", "%y, ", "", 100000},
        {"graph ", "\n", "", 100000},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char *s = repeated(t[i].head, t[i].piece, t[i].times, t[i].tail);
        begin();
        ScGraph *g = sc_parse(cx, "t", s, NULL, NULL);
        ck_assert_msg(g == NULL && sc_n_errors(cx) > 0, "accepted: %.60s...", s);
        end();
        free(s);
    }
}
END_TEST

/* The longest of chains reads in linear time. */
START_TEST(many_nodes)
{
    ScStr s = {0};
    int n = 20000;
    sc_str_add(&s, "graph (%x: f32[]) -> (%y) {\n  %3 = neg %x : f32[]\n");
    for (int i = 4; i < n; i++)
        sc_str_addf(&s, "  %%%d = neg %%%d : f32[] from \"n%d\"\n", i, i - 1, i);
    sc_str_addf(&s, "  %%y = abs %%%d : f32[]\n}\n", n - 1);
    begin();
    ScGraph *g = sct_graph(cx, sc_str_get(&s));
    ck_assert_str_eq(sct_print(g), sc_str_get(&s));
    sc_graph_free(g);
    end();
    sc_str_free(&s);
}
END_TEST

/* Whatever the locale, a decimal point is a point. */
START_TEST(no_locale)
{
    const char *names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    bool set = false;
    for (size_t i = 0; i < 4 && !set; i++)
        set = setlocale(LC_ALL, names[i]) != NULL;
    if (!set)
        sct_skip("no locale with a decimal comma is installed");
    begin();
    ScGraph *g = sct_graph(cx, "graph () -> (%y) {\n  %y = const 0.5 : f32[]\n}\n");
    ck_assert_str_eq(sct_print(g), "graph () -> (%y) {\n  %y = const 0.5 : f32[]\n}\n");
    sc_graph_free(g);
    end();
}
END_TEST

/* Every bit pattern of the small formats, and drawn ones of the large, is kept by its element. */
START_TEST(elements_keep_their_bits)
{
    static const ScrtDtype types[] = {
        SCRT_F16,        SCRT_BF16,   SCRT_F8E4M3FN, SCRT_F8E5M2, SCRT_F8E4M3FNUZ,
        SCRT_F8E5M2FNUZ, SCRT_F8E8M0, SCRT_I8,       SCRT_U8,     SCRT_I16,
        SCRT_U16,        SCRT_BOOL,   SCRT_F32,      SCRT_F64,    SCRT_I32,
        SCRT_U32,        SCRT_I64,    SCRT_U64,      SCRT_C64,    SCRT_C128,
    };
    ScrtDtype t = types[_i];
    uint32_t bytes = scrt_dtype_bits(t) / 8;
    uint64_t r = 3;
    int64_t n = bytes == 1 ? 256 : bytes == 2 ? 65536 : 4096;
    begin();
    unsigned char *data = calloc((size_t)n, bytes);
    for (int64_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < bytes; k++)
            data[(size_t)i * bytes + k] =
                (unsigned char)(bytes <= 2 ? i >> (8 * k) : (int64_t)sct_random(&r));
    ScBuild b;
    sc_build_init(&b, cx, "g", NULL);
    sc_output(&b, "y", sc_const(&b, sc_blob(cx, NULL, t, 1, &n, data), t, NULL));
    ScGraph *g = sc_build_end(&b);
    ck_assert_ptr_nonnull(g);
    sct_round_trip(g);
    sc_graph_free(g);
    end();
    free(data);
}
END_TEST

/* What the two graphs differ in is said. */
static const struct {
    const char *a, *b, *why;
} unequal[] = {
    {"%y = relu %x : f32[n] from \"a\"", "%y = relu %x : f32[n] from \"b\"", "%y: origins"},
    {"%y = relu %x : f32[n]", "%y = relu %x : f32[n] (backward)", "%y: origins"},
    {"%y = relu %x : f32[n]", "%y = abs %x : f32[n]", "%y: operator relu against abs"},
    {"%y = add %x, %z : f32[n]", "%y = add %z, %x : f32[n]", "%y: operand 0 is %x against %z"},
    {"%3 = neg %x : f32[n]\n%y = relu %3 : f32[n]", "%v = neg %x : f32[n]\n%y = relu %v : f32[n]",
     "%4: name (none) against v"},
    {"%y = relu %x : f32[n]", "%3 = relu %x : f32[n]\n%y = relu %3 : f32[n]", "nodes: 3 against 4"},
    {"%y = leaky_relu %x {alpha = 1} : f32[n]", "%y = leaky_relu %x {alpha = 2} : f32[n]",
     "%y: attribute alpha of leaky_relu"},
    {"%y = cast %x : f16[n]", "%y = cast %x : bf16[n]", "%y: attribute to of cast"},
    {"%k = const 1 : f32[]\n%y = mul %x, %k : f32[n]",
     "%k = const 2 : f32[]\n%y = mul %x, %k : f32[n]", "%k: attribute blob of const"},
    {"%k = const @a : f32[]\n%y = mul %x, %k : f32[n]",
     "%k = const @b : f32[]\n%y = mul %x, %k : f32[n]", "%k: attribute blob of const"},
};

START_TEST(differences_are_named)
{
    begin();
    ScGraph *g[2];
    for (int i = 0; i < 2; i++) {
        ScStr s = {0}, why = {0};
        sc_str_addf(&s, "graph @g(%%x: f32[n], %%z: f32[n]) -> (%%y) {\n%s\n}",
                    i ? unequal[_i].b : unequal[_i].a);
        g[i] = sct_graph(cx, sc_str_get(&s));
        ck_assert(sc_graph_equal(g[i], g[i], &why));
        sc_str_free(&s);
        sc_str_free(&why);
    }
    ScStr why = {0};
    ck_assert(!sc_graph_equal(g[0], g[1], &why));
    ck_assert_str_eq(sc_str_get(&why), unequal[_i].why);
    ck_assert(!sc_graph_equal(g[0], g[1], NULL));
    sc_str_free(&why);
    sc_graph_free(g[0]);
    sc_graph_free(g[1]);
    end();
}
END_TEST

/* Numbering and growth estimates do not count. */
START_TEST(what_does_not_count)
{
    begin();
    ScGraph *a = sct_graph(cx, "graph (%x: f32[]) -> (%y) {\n%3 = neg %x : f32[]\n"
                               "%y = relu %3 : f32[]\n}");
    ScGraph *b = sct_graph(cx, "graph (%x: f32[]) -> (%y) { ; other numbers\n%77 = neg %x : f32[]\n"
                               "%y = relu %77 : f32[]\n}");
    ((ScValue *)(uintptr_t)b->value)[3].g = 256;
    ScStr why = {0};
    ck_assert_msg(sc_graph_equal(a, b, &why), "%s", sc_str_get(&why));
    ck_assert_uint_eq(sc_graph_hash(a), sc_graph_hash(b));
    sc_str_free(&why);
    sc_graph_free(a);
    sc_graph_free(b);
    end();
}
END_TEST

/* A dump names each row's signature and the growth estimate, and reads back all the same. */
START_TEST(comments)
{
    begin();
    ScGraph *g = sct_graph(cx, "graph @g(%a: f32[4] * 2^p, %b: f32[4] * 2^q) -> (%s) {\n"
                               "  %s = mul %a, %b : f32[4] * 2^(p+q)\n}\n");
    ((ScValue *)(uintptr_t)g->value)[g->out[0]].g = 110;
    ScStr s = {0};
    sc_print(g, SC_PRINT_COMMENTS, &s);
    ck_assert_str_eq(sc_str_get(&s),
                     "graph @g(%a: f32[4] * 2^p, %b: f32[4] * 2^q) -> (%s) {\n"
                     "  %s = mul %a, %b : f32[4] * 2^(p+q)                                    "
                     "; a, b -> a+b  g 0.43\n}\n");
    ScGraph *back = sct_graph(cx, sc_str_get(&s));
    ck_assert(sc_graph_equal(g, back, NULL));
    sc_graph_free(back);
    sc_graph_free(g);
    sc_str_free(&s);
    end();
}
END_TEST

/* Named constants: without a source the graph stands without their data, with one it has it. */
START_TEST(blob_sources)
{
    begin();
    const char *text = "graph () -> (%y) {\n  %y = const @w : f32[2]\n}\n";
    ScGraph *bare = sct_graph(cx, text);
    ck_assert_ptr_null(bare->node[0].attr[0].blob->data);
    float data[2] = {1, 2};
    int64_t two = 2;
    ScBuild b;
    sc_build_init(&b, cx, NULL, NULL);
    ScVal w =
        sc_const(&b, sc_blob(cx, sc_intern(cx, "w"), SCRT_F32, 1, &two, data), SCRT_F32, NULL);
    sc_set_name(&b, w, sc_intern(cx, "y"));
    sc_output(&b, sc_intern(cx, "y"), w);
    ScGraph *full = sc_build_end(&b);
    ScArena *a = sc_arena_new();
    ScBlobSource src = sc_graph_blobs(full, a);
    ck_assert_ptr_null(src.find(src.self, "v", 1));
    ScGraph *back = sc_parse(cx, NULL, text, &src, NULL);
    ck_assert_ptr_nonnull(back);
    ck_assert_ptr_eq(back->node[0].attr[0].blob, full->node[0].attr[0].blob);
    ck_assert(sc_graph_equal(full, back, NULL));
    ck_assert(!sc_graph_equal(full, bare, NULL));
    ck_assert_ptr_null(
        sc_parse(cx, "t", "graph () -> (%y) {\n  %y = const @w : f32[3]\n}\n", &src, NULL));
    ck_assert_str_eq(sct_messages(cx),
                     "t:2: error[E0109]: text does not parse: the constant @w has 2 "
                     "elements, its type 3\n\n");
    sc_arena_free(a);
    sc_graph_free(bare);
    sc_graph_free(full);
    sc_graph_free(back);
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ir-text");
    TCase *c = tcase_create("text");
    int n = (int)(sizeof canonical / sizeof *canonical);
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, canonical_texts, 0, n);
    tcase_add_test(c, readme_example);
    tcase_add_test(c, free_form);
    tcase_add_loop_test(c, refused_texts, 0, (int)(sizeof refused / sizeof *refused));
    tcase_add_test(c, many_mistakes);
    tcase_add_loop_test(c, every_truncation, 0, n);
    tcase_add_loop_test(c, mutations, 0, n);
    tcase_add_test(c, hostile_size);
    tcase_add_test(c, many_nodes);
    tcase_add_test(c, no_locale);
    tcase_add_loop_test(c, elements_keep_their_bits, 0, 20);
    tcase_add_loop_test(c, differences_are_named, 0, (int)(sizeof unequal / sizeof *unequal));
    tcase_add_test(c, what_does_not_count);
    tcase_add_test(c, comments);
    tcase_add_test(c, blob_sources);
    suite_add_tcase(s, c);
    return sct_main("ir-text", s);
}
