/* SPDX-License-Identifier: Apache-2.0 */
/* Packed constants: equal ones have one place, whichever kernels read them and whatever their
 * names; in a file they are the bytes that they are in memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/codegen/compiled.h"

enum { K = 64, N = 96 };

static const ScBlob *blob(ScCtx *cx, const char *name, uint32_t seed)
{
    int64_t dims[2] = {K, N};
    float *x = sc_array(sc_ctx_arena(cx), float, K *N);
    for (uint32_t i = 0; i < K * N; i++)
        x[i] = (float)((i * 2654435761u + seed) >> 8) * 0x1p-24f - 0.5f;
    return sc_blob(cx, sc_intern(cx, name), SCRT_F32, 2, dims, x);
}

/* x W_i for each blob, added up. */
static ScObject *products(ScCtx *cx, uint32_t n, const ScBlob *const *w,
                          const ScCodegenOptions *opt)
{
    ScBuild b;
    const ScTerm *dim[2] = {sc_term_sym(cx, sc_intern(cx, "m")), sc_term(cx, K)};
    sc_build_init(&b, cx, "g", NULL);
    ScVal x = sc_input(&b, sc_intern(cx, "x"), sc_type(cx, SCRT_F32, 2, dim), NULL);
    ScVal sum = SC_ABSENT;
    for (uint32_t i = 0; i < n; i++) {
        ScVal y = sc_op(&b, matmul, x, sc_const(&b, w[i], SCRT_F32, NULL));
        y = sc_op(&b, tanh, y);
        sum = i ? sc_op(&b, add, sum, y) : y;
    }
    sc_output(&b, "y", sum);
    ScGraph *g = sc_pipeline_run(cx, sc_build_end(&b), &(ScPipeline){0});
    ck_assert_msg(g != NULL, "%s", sct_messages(cx));
    ScObject *o = sc_codegen(cx, g, opt, SC_EMIT_OBJ);
    ck_assert_msg(o != NULL, "%s", sct_messages(cx));
    sc_graph_free(g);
    return o;
}

START_TEST(equal_data_has_one_place)
{
    ScCtx *cx = sc_ctx_new();
    ScCodegenOptions opt = {0};
    const ScBlob *tied[] = {blob(cx, "a", 1), blob(cx, "b", 1), blob(cx, "c", 1)};
    const ScBlob *apart[] = {blob(cx, "a", 1), blob(cx, "d", 2), blob(cx, "e", 3)};
    ck_assert_ptr_ne(tied[0], tied[1]);
    ScObject *one = products(cx, 1, tied, &opt), *three = products(cx, 3, tied, &opt),
             *all = products(cx, 3, apart, &opt);
    ck_assert_uint_ge(one->n_weights, K * N * sizeof(float));
    ck_assert_uint_eq(three->n_weights, one->n_weights);
    ck_assert_uint_gt(all->n_weights, 2 * one->n_weights);
    sc_object_free(one);
    sc_object_free(three);
    sc_object_free(all);
    sc_ctx_free(cx);
}
END_TEST

static int open_file(void *arg)
{
    return dup(fileno(arg));
}

START_TEST(a_file_holds_what_memory_would)
{
    ScCtx *cx = sc_ctx_new();
    FILE *f = tmpfile();
    ck_assert_ptr_nonnull(f);
    const ScBlob *w[] = {blob(cx, "a", 1), blob(cx, "b", 2), blob(cx, "c", 1)};
    ScObject *memory = products(cx, 3, w, &(ScCodegenOptions){.embed_limit = 100});
    ScObject *file = products(
        cx, 3, w, &(ScCodegenOptions){.embed_limit = 100, .weights_file = open_file, .arg = f});
    ck_assert(!memory->embedded && !file->embedded);
    ck_assert(memory->weights && !file->weights);
    ck_assert_uint_eq(memory->n, file->n); /* the object says the same hash */
    ck_assert(memcmp(memory->bytes, file->bytes, file->n) == 0);
    struct stat st;
    ck_assert(fstat(fileno(f), &st) == 0 && (uint64_t)st.st_size == memory->n_weights);
    unsigned char *p = malloc(memory->n_weights);
    ck_assert(pread(fileno(f), p, memory->n_weights, 0) == (ssize_t)memory->n_weights);
    ck_assert(memcmp(p, memory->weights, memory->n_weights) == 0);
    free(p);
    fclose(f);
    sc_object_free(memory);
    sc_object_free(file);
    sc_ctx_free(cx);
}
END_TEST

/* What is not packed is written in pieces: here of a table as it is, and of it rounded to a code of
 * 8 bits at another exponent. */
START_TEST(large_tables_are_whole)
{
    enum { ROWS = 1021, WIDTH = 600 };
    ScCtx *cx = sc_ctx_new();
    FILE *f = tmpfile();
    ck_assert_ptr_nonnull(f);
    float *x = sc_array(sc_ctx_arena(cx), float, ROWS *WIDTH);
    unsigned char *code = sc_array(sc_ctx_arena(cx), unsigned char, ROWS *WIDTH);
    for (uint32_t i = 0; i < ROWS * WIDTH; i++)
        x[i] = (float)(i * 2654435761u >> 8) * 0x1p-24f - 0.5f;
    const ScBlob *table = sc_blob(cx, sc_intern(cx, "t"), SCRT_F32, 2, (int64_t[]){ROWS, WIDTH}, x);
    sc_blob_store(table, SCRT_F8E4M3FN, -9, code);
    ScBuild b;
    const ScTerm *dim[1] = {sc_term(cx, 3)};
    sc_build_init(&b, cx, "g", NULL);
    sc_build_flags(&b, SC_G_SCALED);
    ScVal ids = sc_input(&b, sc_intern(cx, "ids"), sc_type(cx, SCRT_I64, 1, dim), NULL);
    ScVal plain = sc_const(&b, table, SCRT_F32, sc_term(cx, 0));
    ScVal low = sc_const(&b, table, SCRT_F8E4M3FN, sc_term(cx, -9));
    ScVal y[2] = {sc_op_at(&b, gather, SC_ATTRS(SC_INT(0)), plain, ids),
                  sc_op_at(&b, gather, SC_ATTRS(SC_INT(0)), low, ids)};
    sc_set_exp(&b, y[0], sc_term(cx, 0));
    sc_set_exp(&b, y[1], sc_term(cx, -9));
    y[1] = sc_op_at(&b, cast, SC_ATTRS(SC_DT(SCRT_F32)), y[1]);
    sc_set_exp(&b, y[1], sc_term(cx, -9));
    sc_output(&b, "y", y[0]);
    sc_output(&b, "z", y[1]);
    ScGraph *g = sc_pipeline_run(cx, sc_build_end(&b), &(ScPipeline){0});
    ck_assert_msg(g != NULL, "%s", sct_messages(cx));
    ScObject *o = sc_codegen(
        cx, g, &(ScCodegenOptions){.embed_limit = 100, .weights_file = open_file, .arg = f},
        SC_EMIT_OBJ);
    ck_assert_msg(o != NULL, "%s", sct_messages(cx));
    size_t n = o->n_weights;
    unsigned char *p = malloc(n);
    ck_assert(pread(fileno(f), p, n, 0) == (ssize_t)n);
    ck_assert_ptr_nonnull(memmem(p, n, x, sizeof *x * ROWS * WIDTH));
    ck_assert_ptr_nonnull(memmem(p, n, code, ROWS * WIDTH));
    free(p);
    fclose(f);
    sc_object_free(o);
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

static int no_file(void *arg)
{
    (void)arg;
    return -1;
}

START_TEST(no_file_is_an_error)
{
    ScCtx *cx = sc_ctx_new();
    ScGraph *g = sct_graph(cx, "graph @g(%x: f32[4]) -> (%y, %c) {\n"
                               "  %c = const [1,2,3,4] : f32[4]\n"
                               "  %y = neg %x : f32[4]\n}\n");
    g = sc_pipeline_run(cx, g, &(ScPipeline){0});
    ck_assert_ptr_null(
        sc_codegen(cx, g, &(ScCodegenOptions){.weights_file = no_file}, SC_EMIT_OBJ));
    ck_assert_msg(strstr(sct_messages(cx), "the weights: ") != NULL, "%s", sct_messages(cx));
    sc_graph_free(g);
    sc_ctx_free(cx);
}
END_TEST

/* In pieces of any length the hash is that of the whole. */
START_TEST(hashes_in_pieces)
{
    unsigned char p[300];
    for (size_t i = 0; i < sizeof p; i++)
        p[i] = (unsigned char)(i * 7);
    for (size_t n = 0; n <= sizeof p; n += 13)
        for (size_t piece = 1; piece < 70; piece += 3) {
            ScrtHash h = scrt_hash_begin();
            for (size_t i = 0; i < n; i += piece)
                scrt_hash_add(&h, p + i, n - i < piece ? n - i : piece);
            ck_assert_uint_eq(scrt_hash_end(&h), scrt_hash(p, n));
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codegen-weights");
    TCase *t = tcase_create("weights");
    tcase_add_test(t, equal_data_has_one_place);
    tcase_add_test(t, a_file_holds_what_memory_would);
    tcase_add_test(t, large_tables_are_whole);
    tcase_add_test(t, no_file_is_an_error);
    tcase_add_test(t, hashes_in_pieces);
    suite_add_tcase(s, t);
    return sct_main("codegen-weights", s);
}
