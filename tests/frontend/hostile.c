/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged and malicious models, in one process: each ends in a diagnostic, or in a graph that
 * evaluates; some of those are compiled too and must agree with the evaluator. */
#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "passes/passes.h"
#include "tests/frontend/bounds.h"
#include "tests/harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FLIPS = 2000, COMPILE_EVERY = 40, MEASURE_EVERY = 64, MAX_ELEMENTS = 1 << 16 };

static uint64_t next(uint64_t *r) /* splitmix64 */
{
    uint64_t z = *r += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Inputs for g with every symbol at 2; false where they would be huge: a flipped extent. */
static bool make_inputs(const ScGraph *g, ScrtTensor *in)
{
    uint64_t r = 1;
    for (uint32_t i = 0; i < g->n_in; i++) {
        const ScType *t = sc_type_of(g, g->in[i]);
        in[i] = (ScrtTensor){.dtype = t->dtype, .rank = t->rank};
        for (uint32_t k = 0; k < t->rank; k++)
            if (!sc_term_const(t->dim[k], &in[i].dims[k]))
                in[i].dims[k] = 2;
        int64_t n = scrt_count(&in[i]);
        if (n < 0 || n > MAX_ELEMENTS || scrt_tensor_alloc(&in[i]) != SCRT_OK)
            return false;
        for (int64_t k = 0; k < n; k++)
            scrt_store((ScrtDtype)t->dtype, in[i].data, (size_t)k,
                       (double)(next(&r) >> 40) / (1 << 24), true);
    }
    return true;
}

static void free_tensors(ScrtTensor *t, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        scrt_free(t[i].data);
    free(t);
}

/* No value of the graph is so large that evaluating it says more about memory than about the model.
 */
static bool is_small(const ScGraph *g)
{
    for (uint32_t v = SC_FIRST; v < g->n_value; v++) {
        int64_t dims[SCRT_MAX_RANK], n = 1;
        if (!sc_type_const_dims(g->value[v].type, dims))
            continue;
        for (uint32_t k = 0; k < g->value[v].type->rank; k++)
            n = n > MAX_ELEMENTS ? n : n * dims[k];
        if (n > MAX_ELEMENTS)
            return false;
    }
    return true;
}

static void compare_compiled(ScCtx *cx, const ScGraph *g, const ScrtTensor *in,
                             const ScrtTensor *want)
{
    ScPipeline p = {.env.recipe = sc_recipe(cx, "f32"), .verify = true};
    ScGraph *k = sc_pipeline_run(cx, sc_graph_clone(g), &p);
    ck_assert_ptr_nonnull(k);
    ScObject *o = sc_codegen(cx, k, NULL, SC_EMIT_OBJ);
    ck_assert_ptr_nonnull(o);
    ScLoaded *l = sc_load(cx, o);
    ck_assert_ptr_nonnull(l);
    ScrtSession *s;
    ck_assert_int_eq(
        scrt_open(sc_loaded_model(l), &(ScrtOptions){.n_thread = 1, .weights = o->weights}, &s),
        SCRT_OK);
    ScrtTensor *out = calloc(g->n_out + 1, sizeof *out);
    ck_assert_int_eq(scrt_run(s, in, out), SCRT_OK);
    for (uint32_t i = 0; i < g->n_out; i++)
        for (int64_t e = 0; e < scrt_count(&want[i]); e++) {
            double x = scrt_load((ScrtDtype)out[i].dtype, out[i].data, (size_t)e);
            double y = scrt_load((ScrtDtype)want[i].dtype, want[i].data, (size_t)e);
            double tolerance = 1e-3 * fabs(y) + 1e-3;
            ck_assert_msg(x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance ||
                              fabs(y) > 1e30,
                          "element %lld: compiled %g, evaluated %g", (long long)e, x, y);
        }
    free_tensors(out, g->n_out);
    scrt_close(s);
    sc_unload(l);
    sc_object_free(o);
    sc_graph_free(k);
}

/* Returns whether the bytes were accepted. */
static bool try(const char *bytes, size_t n, bool compile)
{
    static uint32_t cases;
    Bounds b;
    bounds_begin(&b, cases++ % MEASURE_EVERY == 0);
    ScCtx *cx = sc_ctx_new();
    ScGraph *g = sc_import(cx, "hostile.onnx", bytes, n, NULL);
    bool accepted = g != NULL;
    if (!g) {
        ck_assert_msg(sc_n_errors(cx) > 0, "refused without a diagnostic");
    } else if (is_small(g)) {
        ScrtTensor *in = calloc(g->n_in + 1, sizeof *in), *out = calloc(g->n_out + 1, sizeof *out);
        if (make_inputs(g, in)) {
            if (!sc_eval(g, in, out, NULL))
                ck_assert_msg(sc_n_errors(cx) > 0, "evaluation failed without a diagnostic");
            else if (compile)
                compare_compiled(cx, g, in, out);
        }
        free_tensors(in, g->n_in);
        free_tensors(out, g->n_out);
    }
    sc_graph_free(g);
    sc_ctx_free(cx);
    bounds_end(&b, "a damaged model");
    return accepted;
}

static char *mnist(size_t *ret_n)
{
    return sct_read(sct_source("tests/model/data/mnist/mnist.onnx"), ret_n);
}

START_TEST(truncations)
{
    size_t n;
    char *bytes = mnist(&n);
    for (size_t k = 0; k < n; k++) {
        char *exact = malloc(k ? k : 1); /* so that reading past the end is seen */
        memcpy(exact, bytes, k);
        bool accepted = try(exact, k, false);
        free(exact);
        /* What follows the graph is the opset import; without it no node has a meaning. */
        ck_assert_msg(!accepted, "cut at %zu of %zu bytes and accepted", k, n);
    }
    free(bytes);
}
END_TEST

START_TEST(bit_flips)
{
    size_t n;
    char *bytes = mnist(&n);
    uint64_t r = 2024;
    uint32_t accepted = 0;
    for (int k = 0; k < FLIPS; k++) {
        uint64_t at = next(&r) % (8 * n);
        bytes[at / 8] ^= (char)(1 << at % 8);
        accepted += try(bytes, n, accepted % COMPILE_EVERY == 0);
        bytes[at / 8] ^= (char)(1 << at % 8);
    }
    ck_assert_msg(accepted > FLIPS / 4, "only %u flips were accepted", accepted);
    free(bytes);
}
END_TEST

/* --- Bombs ------------------------------------------------------------------------------------ */

typedef struct Bytes {
    unsigned char *p;
    size_t n;
} Bytes;

/* Wraps b in field number `field` of a message: built from the inside out, the tag and length in
 * front. */
static void wrap(Bytes *b, size_t cap, unsigned field)
{
    unsigned char head[12];
    size_t k = 0, len = b->n;
    head[k++] = (unsigned char)(field << 3 | 2);
    do {
        head[k++] = (unsigned char)((len & 0x7f) | (len > 0x7f ? 0x80 : 0));
        len >>= 7;
    } while (len);
    b->n += k;
    ck_assert_uint_le(b->n, cap);
    memcpy(b->p + cap - b->n, head, k);
}

static void refused(const unsigned char *p, size_t n, ScDiagId id)
{
    Bounds b;
    bounds_begin(&b, true);
    ScCtx *cx = sc_ctx_new();
    ck_assert_ptr_null(sc_import(cx, "bomb.onnx", p, n, NULL));
    ck_assert_uint_eq(sc_n_errors(cx), 1);
    ck_assert_int_eq(sc_diag(cx, 0)->id, id);
    sc_ctx_free(cx);
    bounds_end(&b, "a bomb");
}

/* Model.graph, then Graph.node, Node.attribute, Attribute.g over and over. */
START_TEST(nested_deep)
{
    enum { DEPTH = 3 * 33334, CAP = 12 * DEPTH };
    Bytes b = {malloc(CAP), 0};
    ck_assert_ptr_nonnull(b.p);
    static const unsigned fields[] = {6, 5, 1};
    for (int i = 0; i < DEPTH; i++)
        wrap(&b, CAP, fields[i % 3]);
    wrap(&b, CAP, 7);
    refused(b.p + CAP - b.n, b.n, SC_E_LIMIT);
    free(b.p);
}
END_TEST

/* A million empty nodes, two bytes each. */
START_TEST(empty_messages)
{
    enum { N = 2000000, CAP = 2 * N + 16 };
    Bytes b = {malloc(CAP), 2 * N};
    ck_assert_ptr_nonnull(b.p);
    for (size_t i = 0; i < N; i++) {
        b.p[CAP - 2 * N + 2 * i] = 1 << 3 | 2;
        b.p[CAP - 2 * N + 2 * i + 1] = 0;
    }
    wrap(&b, CAP, 7);
    refused(b.p + CAP - b.n, b.n, SC_E_LIMIT);
    free(b.p);
}
END_TEST

/* Names are compared with each other, so there are not too many of them. */
START_TEST(many_outputs)
{
    enum { N = 20000, CAP = 2 * N + 16 };
    static const unsigned char tail[] = {8 << 3 | 2, 2, 2 << 3, 13, 1 << 3, 8};
    Bytes b = {malloc(CAP + sizeof tail), 2 * N};
    ck_assert_ptr_nonnull(b.p);
    for (size_t i = 0; i < N; i++) {
        b.p[CAP - 2 * N + 2 * i] = 12 << 3 | 2;
        b.p[CAP - 2 * N + 2 * i + 1] = 0;
    }
    wrap(&b, CAP, 7);
    memcpy(b.p + CAP, tail, sizeof tail);
    refused(b.p + CAP - b.n, b.n + sizeof tail, SC_E_LIMIT);
    free(b.p);
}
END_TEST

START_TEST(not_onnx)
{
    refused((const unsigned char *)"", 0, SC_E_ONNX);
    refused((const unsigned char *)"hello, world", 12, SC_E_ONNX);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("frontend-hostile");
    TCase *t = tcase_create("hostile");
    tcase_set_timeout(t, 900);
    tcase_add_test(t, truncations);
    tcase_add_test(t, bit_flips);
    tcase_add_test(t, nested_deep);
    tcase_add_test(t, empty_messages);
    tcase_add_test(t, many_outputs);
    tcase_add_test(t, not_onnx);
    suite_add_tcase(s, t);
    return sct_main("frontend-hostile", s);
}
