/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of scale propagation share: random tensors, running a graph, comparing bits. */
#ifndef SC_TESTS_SCALE_UTIL_H
#define SC_TESTS_SCALE_UTIL_H

#include "passes/passes.h"
#include "tests/harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* xorshift64*: the same numbers on every machine. */
static inline uint64_t st_next(uint64_t *r)
{
    *r ^= *r >> 12;
    *r ^= *r << 25;
    *r ^= *r >> 27;
    return *r * 0x2545f4914f6cdd1du;
}

static inline double st_uniform(uint64_t *r) /* [0, 1) */
{
    return (double)(st_next(r) >> 11) * 0x1p-53;
}

static inline uint32_t st_pick(uint64_t *r, uint32_t n)
{
    return (uint32_t)(st_next(r) >> 33) % n;
}

/* About normal: twelve uniforms. */
static inline double st_normal(uint64_t *r)
{
    double x = -6;
    for (int i = 0; i < 12; i++)
        x += st_uniform(r);
    return x;
}

/* A constant of normal numbers times `scale`, named. */
static inline ScVal st_weight(ScBuild *b, uint64_t *r, const char *name, uint32_t rank,
                              const int64_t *dims, double scale)
{
    size_t n = 1;
    for (uint32_t i = 0; i < rank; i++)
        n *= (size_t)dims[i];
    float *x = sc_array(sc_ctx_arena(b->cx), float, n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(st_normal(r) * scale);
    return sc_const(b, sc_blob(b->cx, sc_intern(b->cx, name), SCRT_F32, rank, dims, x), SCRT_F32,
                    NULL);
}

static inline ScVal st_input(ScBuild *b, const char *name, ScrtDtype t, uint32_t rank,
                             const int64_t *dims)
{
    return sc_input(b, sc_intern(b->cx, name), sc_type_c(b->cx, t, rank, dims), NULL);
}

/* Inputs of g with constant shapes: normal floats, fair bools, small integers. [g->n_in] */
static inline ScrtTensor *st_inputs(const ScGraph *g, uint64_t *r)
{
    ScrtTensor *in = calloc(g->n_in + 1, sizeof *in);
    for (uint32_t i = 0; i < g->n_in; i++) {
        const ScType *t = sc_type_of(g, g->in[i]);
        in[i].dtype = t->dtype;
        in[i].rank = t->rank;
        ck_assert(sc_type_const_dims(t, in[i].dims));
        ck_assert_int_eq(scrt_tensor_alloc(&in[i]), SCRT_OK);
        int64_t n = scrt_count(&in[i]);
        for (int64_t k = 0; k < n; k++) {
            double x = scrt_dtype_is_float(t->dtype) ? st_normal(r)
                       : t->dtype == SCRT_BOOL       ? (double)st_pick(r, 2)
                                                     : (double)st_pick(r, 5);
            scrt_store(t->dtype, in[i].data, (size_t)k, x, true);
        }
    }
    return in;
}

static inline void st_free(ScrtTensor *t, uint32_t n)
{
    for (uint32_t i = 0; t && i < n; i++)
        scrt_free(t[i].data);
    free(t);
}

static inline void st_show(ScCtx *cx)
{
    for (uint32_t i = 0; i < sc_n_diags(cx); i++) {
        ScStr s = {0};
        sc_diag_text(sc_diag(cx, i), &s);
        printf("%s", sc_str_get(&s));
        sc_str_free(&s);
    }
}

static inline void st_print(const ScGraph *g)
{
    ScStr s = {0};
    sc_print(g, SC_PRINT_COMMENTS, &s);
    printf("%s\n", sc_str_get(&s));
    fflush(stdout); /* a failing test ends its process */
    sc_str_free(&s);
}

/* A file of that text, whose path is good until the next call; the caller removes it. */
static inline const char *st_recipe(const char *text)
{
    static char path[] = "/tmp/scalec-recipe-XXXXXX";
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
    return path;
}

/* Everything that was said, for assertions on words. The session's memory. */
static inline const char *st_words(ScCtx *cx)
{
    ScStr s = {0};
    for (uint32_t i = 0; i < sc_n_diags(cx); i++)
        sc_diag_text(sc_diag(cx, i), &s);
    const char *words = sc_intern(cx, sc_str_get(&s));
    sc_str_free(&s);
    return words;
}
#define st_said(cx, part)                                                                          \
    ck_assert_msg(strstr(st_words(cx), part) != NULL, "said: %s", st_words(cx))

static inline ScrtTensor *st_eval(const ScGraph *g, const ScrtTensor *in, const ScEvalOptions *opt)
{
    ScrtTensor *out = calloc(g->n_out + 1, sizeof *out);
    if (!sc_eval(g, in, out, opt)) {
        st_show(g->cx);
        st_print(g);
        ck_abort_msg("evaluation failed");
    }
    return out;
}

/* Equal elements, all NaN alike. Returns the first that differs, or -1. */
static inline int64_t st_differs(const ScrtTensor *a, const ScrtTensor *b)
{
    int64_t n = scrt_count(a);
    ck_assert_int_eq(n, scrt_count(b));
    ck_assert_uint_eq(a->dtype, b->dtype);
    for (int64_t i = 0; i < n; i++) {
        double x = scrt_load((ScrtDtype)a->dtype, a->data, (size_t)i);
        double y = scrt_load((ScrtDtype)b->dtype, b->data, (size_t)i);
        if (x != y && !(isnan(x) && isnan(y)))
            return i;
    }
    return -1;
}

static inline ScGraph *st_pass(ScGraph *(*pass)(ScCtx *, const ScGraph *, const ScPassEnv *),
                               const ScGraph *g, const ScPassEnv *env, const char *name)
{
    static const ScPassEnv none;
    ScGraph *out = pass(g->cx, g, env ? env : &none);
    if (!out || !sc_verify(out, name)) {
        st_show(g->cx);
        st_print(out ? out : g);
        ck_abort_msg("%s failed", name);
    }
    return out;
}

/* Both graphs give the same bits on random inputs. */
static inline void st_same(const ScGraph *a, const ScGraph *b, uint64_t *r, const char *what)
{
    ScrtTensor *in = st_inputs(a, r), *x = st_eval(a, in, NULL), *y = st_eval(b, in, NULL);
    for (uint32_t i = 0; i < a->n_out; i++) {
        int64_t k = st_differs(&x[i], &y[i]);
        if (k >= 0) {
            st_print(a);
            st_print(b);
            ck_abort_msg("%s: output %u differs at %lld: %.9g and %.9g", what, i, (long long)k,
                         scrt_load((ScrtDtype)x[i].dtype, x[i].data, (size_t)k),
                         scrt_load((ScrtDtype)y[i].dtype, y[i].data, (size_t)k));
        }
    }
    st_free(in, a->n_in);
    st_free(x, a->n_out);
    st_free(y, b->n_out);
}

/* x [4, 16] -> relu(x W1) W2, the weights about 0.01 and 3. */
static inline ScGraph *st_net(ScCtx *cx)
{
    uint64_t r = 3;
    ScBuild b;
    sc_build_init(&b, cx, "net", NULL);
    ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){4, 16});
    ScVal w1 = st_weight(&b, &r, "w1", 2, (int64_t[]){16, 32}, 0.01);
    ScVal w2 = st_weight(&b, &r, "w2", 2, (int64_t[]){32, 8}, 3);
    b.at = sc_loc(cx, NULL, 0, SC_FORWARD, 1, &(ScOrigin){sc_intern(cx, "body/fc1"), NULL, -1});
    ScVal h = sc_op(&b, matmul, x, w1);
    sc_set_name(&b, h, "h");
    h = sc_op(&b, relu, h);
    sc_set_name(&b, h, "a");
    b.at = sc_loc(cx, NULL, 0, SC_FORWARD, 1, &(ScOrigin){sc_intern(cx, "head/fc2"), NULL, -1});
    sc_output(&b, sc_intern(cx, "y"), sc_op(&b, matmul, h, w2));
    return sc_build_end(&b);
}

static inline ScGraph *st_lowered(const ScGraph *g, const ScPassEnv *env)
{
    ScGraph *s = st_pass(sc_pass_scalify, g, env, "scalify");
    ScGraph *q = st_pass(sc_pass_quantize, s, env, "quantize");
    ScGraph *t = st_pass(sc_pass_settle, q, env, "settle");
    sc_graph_free(s);
    sc_graph_free(q);
    return t;
}

/* The stored operands of g's matmuls in order: [2 * matmuls]. */
static inline uint32_t st_operands(const ScGraph *g, ScVal *ret)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; k < 2 && g->node[i].op == &sc_op_matmul; k++)
            ret[n++] = g->node[i].in[k];
    return n;
}

static inline int64_t st_exp(const ScGraph *g, ScVal v)
{
    int64_t e;
    ck_assert(sc_term_const(g->value[v].exp, &e));
    return e;
}

#endif
