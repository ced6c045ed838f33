/* SPDX-License-Identifier: Apache-2.0 */
/* Objects as such: what they need, that they are the same each time, guards of the shapes function,
 * messages, the planted fault. */
#include "tests/codegen/compiled.h"
#include "tests/guarded.h"

#include <elf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One kernel of each kind and each type of element that is awkward. */
static const char everything[] =
    "graph @g(%x: f32[n,37], %h: f16[n,37], %b: bf16[n,37], %d: f64[n,37], %i: i64[n,37])"
    " -> (%1, %2, %3, %4, %5, %6, %8, %11, %13) {\n"
    "  %1 = exp %x : f32[n,37]\n"
    "  %2 = exp %h : f16[n,37]\n"
    "  %3 = tanh %b : bf16[n,37]\n"
    "  %4 = exp %d : f64[n,37]\n"
    "  %5 = cast %i : f16[n,37]\n"
    "  %6 = cast %d : i64[n,37]\n"
    "  %7 = const 1 : f32[]\n"
    "  %8 = softmax %x, %7 : f32[n,37]\n"
    "  %9 = cast %x : f8e4m3fn[n,37]\n"
    "  %10 = cast %9 : f32[n,37]\n"
    "  %11 = transpose %10 : f32[37,n]\n"
    "  %12 = transpose %x : f32[37,n]\n"
    "  %13 = matmul %x, %12 : f32[n,n]\n"
    "}\n";

static ScObject *compile(ScCtx *cx, const char *text, const ScCodegenOptions *opt, ScEmit emit)
{
    ScPassEnv env = {0};
    ScGraph *g = sct_graph(cx, text), *e = sc_pass_expand(cx, g, &env);
    ScGraph *k = sc_pass_fuse(cx, e, &env);
    ck_assert_msg(k != NULL, "%s", sct_messages(cx));
    ScObject *o = sc_codegen(cx, k, opt, emit);
    sc_graph_free(g);
    sc_graph_free(e);
    sc_graph_free(k);
    return o;
}

/* Names of undefined symbols, each after a blank. */
static void undefined(const ScObject *o, char *ret, size_t n)
{
    const char *p = o->bytes;
    const Elf64_Ehdr *h = o->bytes;
    ck_assert(o->n > sizeof *h && memcmp(h->e_ident, ELFMAG, SELFMAG) == 0);
    const Elf64_Shdr *s = (const Elf64_Shdr *)(p + h->e_shoff);
    *ret = '\0';
    for (int i = 0; i < h->e_shnum; i++) {
        if (s[i].sh_type != SHT_SYMTAB)
            continue;
        const Elf64_Sym *sym = (const Elf64_Sym *)(p + s[i].sh_offset);
        const char *names = p + s[s[i].sh_link].sh_offset;
        for (uint64_t k = 1; k < s[i].sh_size / sizeof *sym; k++) {
            if (sym[k].st_shndx == SHN_UNDEF)
                snprintf(ret + strlen(ret), n - strlen(ret), " %s", names + sym[k].st_name);
        }
    }
}

START_TEST(needs_nothing)
{
    char names[1024];
    ScCtx *cx = sc_ctx_new();
    ScObject *o = compile(cx, everything, &(ScCodegenOptions){.cpu = sct_cpus[_i]}, SC_EMIT_OBJ);
    ck_assert_msg(o != NULL, "%s", sct_messages(cx));
    undefined(o, names, sizeof names);
    const char *allowed[] = {"", " memcpy", " memset", " memcpy memset", " memset memcpy"};
    bool ok = false;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        ok |= strcmp(names, allowed[i]) == 0;
    ck_assert_msg(ok, "%s: undefined:%s", sct_cpus[_i], names);
    sc_object_free(o);
    sc_ctx_free(cx);
}
END_TEST

START_TEST(same_bytes)
{
    ScCtx *cx[2] = {sc_ctx_new(), sc_ctx_new()};
    for (int emit = SC_EMIT_OBJ; emit <= SC_EMIT_LLVM; emit++) {
        ScObject *o[2];
        for (int i = 0; i < 2; i++) {
            ScCodegenOptions opt = {.cpu = sct_cpus[_i], .embed_limit = 1 << 20};
            o[i] = compile(cx[i], everything, &opt, (ScEmit)emit);
            ck_assert_msg(o[i] != NULL, "%s", sct_messages(cx[i]));
        }
        ck_assert_uint_eq(o[0]->n, o[1]->n);
        ck_assert(memcmp(o[0]->bytes, o[1]->bytes, o[0]->n) == 0);
        sc_object_free(o[0]);
        sc_object_free(o[1]);
    }
    sc_ctx_free(cx[0]);
    sc_ctx_free(cx[1]);
}
END_TEST

/* --- Kernels and buffers --------------------------------------------------------------------- */

START_TEST(equal_kernels_share_code)
{
    SctModel m = sct_compile("graph @g(%x: f32[n], %y: f32[n]) -> (%1, %2, %3) {\n"
                             "  %1 = exp %x : f32[n] from \"a\"\n"
                             "  %2 = exp %y : f32[n] from \"b\", \"c\"\n"
                             "  %3 = neg %y : f32[n]\n"
                             "}\n",
                             "x86-64-v3", NULL);
    ck_assert_uint_eq(m.o->n_kernel, 3);
    ck_assert_str_eq(m.o->kernel[0].what, "map: 1 dims as 1, 8 lanes");
    ck_assert_str_eq(m.o->kernel[1].what, "map: 1 dims as 1, 8 lanes (the code of k0)");
    ck_assert_str_eq(m.o->kernel[1].from, "b,c");
    sct_close(&m);
}
END_TEST

/* Bytes that a run takes beside its input x: f32[n] and its output. */
static uint64_t workspace(const SctModel *m, int64_t n)
{
    ScrtSession *s = sct_open(m, 2);
    ScrtTensor in = {.dtype = SCRT_F32, .rank = 1, .dims = {n}}, out = {0};
    size_t bytes = 0;
    ck_assert_int_eq(scrt_tensor_alloc(&in), SCRT_OK);
    ck_assert_msg(scrt_run(s, &in, &out) == SCRT_OK, "%s", scrt_error(s));
    ck_assert(scrt_tensor_bytes(&out, &bytes));
    uint64_t peak = scrt_peak_bytes(s) - bytes;
    scrt_free(in.data);
    scrt_free(out.data);
    scrt_close(s);
    return peak;
}

/* A chain of reductions over columns keeps two of its rows at a time, whatever their number. */
START_TEST(buffers_are_shared)
{
    SctModel m = sct_compile("graph @g(%x: f32[n]) -> (%7) {\n"
                             "  %1 = reduce_sum %x {axes = [0]} : f32[1]\n"
                             "  %2 = mul %x, %1 : f32[n]\n"
                             "  %3 = reduce_sum %2 {axes = [0]} : f32[1]\n"
                             "  %4 = mul %2, %3 : f32[n]\n"
                             "  %5 = reduce_sum %4 {axes = [0]} : f32[1]\n"
                             "  %6 = concat %4, %2 {axis = 0} : f32[2*n]\n"
                             "  %8 = mul %6, %5 : f32[2*n]\n"
                             "  %9 = concat %8, %8 {axis = 0} : f32[4*n]\n"
                             "  %7 = exp %9 : f32[4*n]\n"
                             "}\n",
                             "native", NULL);
    ck_assert_uint_le(workspace(&m, 1024), 6 * 4096 + 4 * 64);
    ScrtSession *s = sct_open(&m, 2);
    ScrtTensor in = {.dtype = SCRT_F32, .rank = 1, .dims = {INT64_C(1) << 60}}, out;
    ck_assert_int_eq(scrt_shapes(s, &in, &out), SCRT_E_MEMORY);
    ck_assert_msg(strstr(scrt_error(s), "the sizes for these inputs would be too large"), "%s",
                  scrt_error(s));
    scrt_close(s);
    ScBinding env = {sc_intern(m.cx, "n"), 50};
    sct_compare(&m, 3, 0, 0.01, 1, &env, (SctBound){.rel = 1e-5, .abs = 1e-6});
    sct_close(&m);
}
END_TEST

/* The same model with its weights in the object and beside it. */
START_TEST(weights_beside_the_object)
{
    static const char text[] = "graph @g(%x: f32[2,n]) -> (%y, %c) {\n"
                               "  %c = const [1,2,3,4,5,6] as f32[6] : f32[2,3]\n"
                               "  %1 = transpose %c : f32[3,2]\n"
                               "  %2 = matmul %1, %x : f32[3,n]\n"
                               "  %3 = const [1,2,3] as f32[3] : f32[3,1]\n"
                               "  %y = mul %2, %3 : f32[3,n]\n"
                               "}\n";
    for (uint64_t limit = 0; limit <= 1 << 20; limit += 1 << 20) {
        SctModel m = sct_compile(text, "native", &(ScCodegenOptions){.embed_limit = limit});
        ck_assert_uint_eq(m.o->embedded, limit != 0);
        ck_assert_uint_gt(m.o->n_weights, 0);
        ck_assert_uint_eq((uintptr_t)m.o->weights % 64, 0);
        ck_assert_uint_eq(sc_loaded_model(m.loaded)->weights_hash,
                          scrt_hash(m.o->weights, m.o->n_weights));
        ScBinding env = {sc_intern(m.cx, "n"), 5};
        sct_compare(&m, 3, -1, 1, 1, &env, (SctBound){.rel = 1e-6, .abs = 1e-6});
        sct_close(&m);
    }
}
END_TEST

/* --- Shapes ---------------------------------------------------------------------------------- */

/* What the model says of inputs of these dims: "" where they fit. */
static const char *shapes(const SctModel *m, const int64_t *a, const int64_t *b)
{
    static char text[512];
    ScrtSession *s = sct_open(m, 2);
    const ScrtEntry *e = scrt_entry(s);
    ScrtTensor in[2] = {0}, out[3];
    const int64_t *dims[] = {a, b};
    for (uint32_t i = 0; i < e->n_in; i++) {
        in[i].dtype = e->in[i].dtype;
        in[i].rank = e->in[i].rank;
        memcpy(in[i].dims, dims[i], in[i].rank * sizeof in[i].dims[0]);
    }
    ScrtStatus st = scrt_shapes(s, in, out);
    ck_assert(st == SCRT_OK || st == SCRT_E_SHAPE);
    snprintf(text, sizeof text, "%s", st == SCRT_OK ? "" : scrt_error(s));
    scrt_close(s);
    return text;
}
#define DIMS(...) ((int64_t[]){__VA_ARGS__})

START_TEST(shapes_are_checked)
{
    SctModel m = sct_compile("graph @g(%a: f32[n,3], %b: f32[m,n]) -> (%c) {\n"
                             "  %1 = transpose %b : f32[n,m]\n"
                             "  %2 = reduce_sum %a {axes = [1]} : f32[n,1]\n"
                             "  %c = mul %1, %2 : f32[n,m]\n"
                             "}\n",
                             "native", NULL);
    ck_assert_str_eq(shapes(&m, DIMS(5, 3), DIMS(7, 5)), "");
    ck_assert_str_eq(shapes(&m, DIMS(5, 4), DIMS(7, 5)),
                     "input 'a' has the shape [5,4], the model takes [n,3]");
    ck_assert_str_eq(shapes(&m, DIMS(5, 3), DIMS(7, 6)),
                     "input 'b' has the shape [7,6], the model takes [m,n], and n is 5 (n is "
                     "dimension 0 of input 'a')");
    sct_close(&m);
    m = sct_compile("graph @g(%a: f32[n], %b: f32[m]) -> (%c) {\n"
                    "  %c = mul %a, %b : f32[bcast(m,n)] from \"times\"\n"
                    "}\n",
                    "native", NULL);
    ck_assert_str_eq(shapes(&m, DIMS(5), DIMS(5)), "");
    ck_assert_str_eq(shapes(&m, DIMS(1), DIMS(5)), "");
    const char *says = shapes(&m, DIMS(4), DIMS(5));
    ck_assert_msg(strstr(says, "\"times\": ") && strstr(says, "n is 4") && strstr(says, "m is 5") &&
                      strstr(says, "they must be equal, or one of them 1") &&
                      strstr(says, "n is dimension 0 of input 'a'"),
                  "%s", says);
    sct_close(&m);
}
END_TEST

/* --- Messages -------------------------------------------------------------------------------- */

static void refused(const char *text, const ScCodegenOptions *opt, const char *words)
{
    ScCtx *cx = sc_ctx_new();
    ck_assert_ptr_null(compile(cx, text, opt, SC_EMIT_OBJ));
    ck_assert_uint_eq(sc_n_errors(cx), 1);
    ck_assert_msg(strstr(sct_messages(cx), words) != NULL, "'%s' is not in: %s", words,
                  sct_messages(cx));
    sc_ctx_free(cx);
}

START_TEST(messages)
{
    static const char plain[] = "graph @g(%x: f32[n]) -> (%y) {\n  %y = neg %x : f32[n]\n}\n";
    refused(plain, &(ScCodegenOptions){.cpu = "x86-64-v5"},
            "error[E0402]: target is not known: processor \"x86-64-v5\"");
    refused(plain, &(ScCodegenOptions){.cpu = "x86-64"}, "x86-64-v2 is the least");
    refused(plain, &(ScCodegenOptions){.target = "riscv64-linux-gnu"},
            "target \"riscv64-linux-gnu\": code is made for Linux on x86_64 and aarch64");
    refused("graph @g(%x: complex64[n,2]) -> (%y) {\n"
            "  %y = transpose %x {perm = [1,0]} : complex64[2,n] from \"the node\"\n}\n",
            NULL,
            "error[E0401] in \"the node\": operator cannot be compiled: element type complex");
    refused("graph @g(%x: f32[2*n]) -> (%y) {\n  %y = neg %x : f32[2*n]\n}\n", NULL,
            "no input has the extent n by itself");
    refused("graph @g(%x: f32[2305843009213693952]) -> (%y) {\n"
            "  %y = neg %x : f32[2305843009213693952] from \"big\"\n}\n",
            NULL, "the model exceeds a limit: a value of more than 2^48 bytes");
}
END_TEST

START_TEST(header)
{
    SctModel m = sct_compile("graph @\"9 */ lives\"(%\"x*/\": f32[n]) -> (%y) {\n"
                             "  %y = neg %\"x*/\" : f32[n]\n}\n",
                             "native", NULL);
    ck_assert_str_eq(m.o->symbol, "model_9____lives");
    ck_assert_ptr_nonnull(strstr(m.o->header, "extern const ScrtModel model_9____lives;"));
    ck_assert_ptr_nonnull(strstr(m.o->header, " *   in[0]  x*?: f32[n]\n *   out[0]  y: f32[n]\n"));
    sct_close(&m);
}
END_TEST

/* --- The planted fault ----------------------------------------------------------------------- */

START_TEST(ignored_tails_are_caught)
{
#ifdef SC_DEBUG
    SctModel m =
        sct_compile("graph @g(%x: f32[n]) -> (%y) {\n  %y = exp %x : f32[n]\n}\n", "native",
                    &(ScCodegenOptions){.fault_tail = true, .embed_limit = 1024});
    ScrtTensor in = {.dtype = SCRT_F32, .rank = 1, .dims = {70}}, want;
    uint64_t r = 1;
    sct_fill(&in, &r, -1, 1);
    ScrtTensor *got = sct_run(&m, 1, &in);
    ck_assert(sc_eval(m.g, &in, &want, NULL));
    int wrong = 0;
    for (int i = 0; i < 70; i++)
        wrong += fabsf(((float *)got->data)[i] - ((float *)want.data)[i]) > 1e-3f;
    ck_assert_int_gt(wrong, 0);
    sct_free(got, 1);
    scrt_free(want.data);
    scrt_free(in.data);
    sct_close(&m);
#else
    sct_skip("the fault is in debug builds only");
#endif
}
END_TEST

int main(void)
{
    sct_guard_memory();
    Suite *s = suite_create("codegen-object");
    TCase *t = tcase_create("object");
    tcase_add_loop_test(t, needs_nothing, 0, SCT_N_CPU);
    tcase_add_loop_test(t, same_bytes, 0, SCT_N_CPU);
    tcase_add_test(t, equal_kernels_share_code);
    tcase_add_test(t, buffers_are_shared);
    tcase_add_test(t, weights_beside_the_object);
    tcase_add_test(t, shapes_are_checked);
    tcase_add_test(t, messages);
    tcase_add_test(t, header);
    tcase_add_test(t, ignored_tails_are_caught);
    suite_add_tcase(s, t);
    return sct_main("codegen-object", s);
}
