/* SPDX-License-Identifier: Apache-2.0 */
/* `round = down` against values recorded from jax-scalify 0.1.1 (data/jax-scalify): where both have
 * an op, exponents must be equal and data too. What scalec does otherwise on purpose is named in
 * `otherwise` below; a case of those groups that agrees is an error as well. */
#include "tests/passes/scale_util.h"

#include <jansson.h>

static ScCtx *cx;
static uint32_t n_equal, n_first, n_data;

static const ScRecipe down = {
    .name = "down", .activation = SCRT_F32, .weight = SCRT_F32, .round_down = true};

typedef struct Row {
    const char *primitive;
    const ScOp *op;
    enum { MAP, REDUCE, SELECT, CONCAT, DOT, TRANSPOSE, CAST } how;
} Row;

static const Row rows[] = {
    {"neg", &sc_op_neg, MAP},
    {"abs", &sc_op_abs, MAP},
    {"exp", &sc_op_exp, MAP},
    {"log", &sc_op_log, MAP},
    {"sqrt", &sc_op_sqrt, MAP},
    {"add", &sc_op_add, MAP},
    {"add_any", &sc_op_add, MAP},
    {"sub", &sc_op_sub, MAP},
    {"mul", &sc_op_mul, MAP},
    {"div", &sc_op_div, MAP},
    {"max", &sc_op_max, MAP},
    {"min", &sc_op_min, MAP},
    {"reduce_sum", &sc_op_reduce_sum, REDUCE},
    {"reduce_max", &sc_op_reduce_max, REDUCE},
    {"reduce_min", &sc_op_reduce_min, REDUCE},
    {"select_n", &sc_op_where, SELECT},
    {"concatenate", &sc_op_concat, CONCAT},
    {"dot_general", &sc_op_matmul, DOT},
    {"transpose", &sc_op_transpose, TRANSPOSE},
    {"convert_element_type", &sc_op_cast, CAST},
};

static const char *text(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static double number(json_t *x)
{
    const char *s = json_string_value(x);
    if (!s)
        return json_number_value(x);
    return strcmp(s, "nan") == 0 ? (double)NAN : strtod(s, NULL); /* "inf", "-inf", "-0" */
}

static ScrtDtype dtype(const char *numpy)
{
    static const struct {
        const char *numpy;
        ScrtDtype t;
    } name[] = {
        {"float32", SCRT_F32}, {"float16", SCRT_F16}, {"bfloat16", SCRT_BF16}, {"bool", SCRT_BOOL}};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        if (strcmp(name[i].numpy, numpy) == 0)
            return name[i].t;
    return SCRT_DTYPE_NONE;
}

/* A tensor as the file describes it; data NULL where it gives none. */
static bool tensor(json_t *o, ScrtTensor *ret)
{
    json_t *shape = json_object_get(o, "shape"), *data = json_object_get(o, "data");
    *ret = (ScrtTensor){.dtype = dtype(text(o, "dtype")), .rank = (uint32_t)json_array_size(shape)};
    if (ret->dtype == SCRT_DTYPE_NONE)
        return false;
    for (uint32_t i = 0; i < ret->rank; i++)
        ret->dims[i] = json_integer_value(json_array_get(shape, i));
    if (!json_is_array(data))
        return true;
    ck_assert_int_eq(scrt_tensor_alloc(ret), SCRT_OK);
    for (size_t i = 0; i < json_array_size(data); i++) {
        json_t *x = json_array_get(data, i);
        scrt_store((ScrtDtype)ret->dtype, ret->data, i,
                   json_is_boolean(x) ? json_is_true(x) : number(x), false);
    }
    return true;
}

/* Why recorded cases are not compared; each is for one reason, and all are counted. */
enum {
    NO_ROW,      /* a primitive of JAX that no row here is, or of jax-scalify's own */
    FAILED,      /* an error was recorded */
    PROGRAM,     /* many primitives, or a custom function */
    ROUNDING,    /* not DOWN */
    SCALE,       /* no power of two, or none at all; zero, for which log2 is no number */
    STATIC,      /* NumPy data: known when traced, zeros are then special */
    SCALAR_PICK, /* select_n of more or fewer than two */
    NO_FLOAT,    /* a cast to what has no scale: the record keeps one, and its result is wrong */
    NO_TYPE,     /* of an element type that ONNX lacks */
    OTHERWISE,   /* see otherwise() */
    N_REASON
};
static const char *const reason[N_REASON] = {
    "no such row",  "recorded errors",     "programs",          "other rounding",
    "other scales", "static data",         "select_n not of 2", "casts to no float",
    "no such type", "otherwise on purpose"};
static uint32_t left_out[N_REASON];

static const Row *left(int why)
{
    left_out[why]++;
    return NULL;
}

/* The row, if the case is one that both can do: default rounding, powers of two, plain parameters;
 * else NULL, with the reason counted. */
static const Row *comparable(json_t *c)
{
    json_t *config = json_object_get(c, "config"), *in = json_object_get(c, "inputs"), *o;
    json_t *result = json_array_get(json_object_get(c, "outputs"), 0);
    size_t k;
    const Row *row = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].primitive, text(c, "primitive")) == 0)
            row = &rows[i];
    if (!row)
        return left(NO_ROW);
    if (json_object_get(c, "error"))
        return left(FAILED);
    if (json_is_string(json_object_get(c, "expr")))
        return left(PROGRAM);
    if (strcmp(text(config, "rounding_mode"), "DOWN") != 0)
        return left(ROUNDING);
    if (!json_is_integer(json_object_get(result, "scale_exp")))
        return left(SCALE);
    json_array_foreach(in, k, o)
    {
        bool plain = strcmp(text(o, "dtype"), "bool") == 0;
        if (!plain && !json_is_integer(json_object_get(o, "scale_exp")))
            return left(SCALE);
        if (json_is_true(json_object_get(o, "static")))
            return left(STATIC);
    }
    if (row->how == SELECT && json_array_size(in) != 3)
        return left(SCALAR_PICK);
    if (row->how == CAST &&
        !scrt_dtype_is_float(dtype(text(json_object_get(c, "params"), "new_dtype"))))
        return left(NO_FLOAT);
    return row;
}

static ScVal build(ScBuild *b, const Row *row, json_t *c, const ScVal *v, uint32_t n)
{
    json_t *params = json_object_get(c, "params"), *list;
    int64_t ints[8];
    ScAttr *attrs = NULL;
    ScVal swapped[3] = {v[0], v[2], v[1]}; /* select_n: false takes the first */
    switch (row->how) {
    case REDUCE:
    case TRANSPOSE:
        list = json_object_get(params, row->how == REDUCE ? "axes" : "permutation");
        for (size_t i = 0; i < json_array_size(list); i++)
            ints[i] = json_integer_value(json_array_get(list, i));
        attrs = SC_ATTRS(SC_INTS((uint32_t)json_array_size(list), ints), SC_INT(0));
        if (row->how == TRANSPOSE)
            attrs[1] = (ScAttr){0};
        return sc_node1(b, row->op, attrs, n, v);
    case CONCAT:
        attrs = SC_ATTRS(SC_INT(json_integer_value(json_object_get(params, "dimension"))));
        return sc_node1(b, row->op, attrs, n, v);
    case CAST:
        attrs = SC_ATTRS(SC_DT(dtype(text(params, "new_dtype"))));
        return sc_node1(b, row->op, attrs, n, v);
    case DOT: /* contracts one dimension of each matrix or vector */
        list = json_array_get(json_object_get(params, "dimension_numbers"), 0);
        for (uint32_t i = 0; i < 2; i++) {
            int64_t at = json_integer_value(json_array_get(json_array_get(list, i), 0));
            bool turn = sc_built(b, v[i])->type->rank == 2 && at == (i == 0 ? 0 : 1);
            swapped[i] =
                turn ? sc_op_at(b, transpose, SC_ATTRS(SC_INTS(2, ((int64_t[]){1, 0}))), v[i])
                     : v[i];
        }
        return sc_node1(b, row->op, NULL, 2, swapped);
    case SELECT:
        return sc_node1(b, row->op, NULL, n, swapped);
    default:
        return sc_node1(b, row->op, NULL, n, v);
    }
}

/* What scalec does otherwise on purpose, or what the recorded program does wrong. */
static const char *otherwise(const Row *row, json_t *c)
{
    json_t *in = json_array_get(json_object_get(c, "inputs"), 0);
    if (row->op == &sc_op_sqrt && json_integer_value(json_object_get(in, "scale_exp")) % 2)
        return "sqrt leaves the powers of two; here the odd bit moves into the data";
    if ((row->how == DOT || row->op == &sc_op_reduce_sum) &&
        strcmp(text(in, "dtype"), "float16") == 0)
        return "sqrt(n) is rounded to the scale's type before the floor";
    return NULL;
}

static int64_t scale_exp(json_t *tensors, size_t i)
{
    return json_integer_value(json_object_get(json_array_get(tensors, i), "scale_exp"));
}

/* Whether unlike exponents meet. The recorded program knows them as numbers and takes the largest;
 * here they are symbols, the largest of which is neither, so the first is taken. */
static bool unlike_meet(const Row *row, json_t *in)
{
    size_t first = row->how == SELECT ? 1 : 0;
    bool unlike = false;
    for (size_t i = first + 1; i < json_array_size(in); i++)
        unlike = unlike || scale_exp(in, i) != scale_exp(in, first);
    return unlike && strstr(row->op->scale, "a...");
}

static void compare_data(json_t *c, const ScGraph *s, const ScrtTensor *in, const ScBinding *env,
                         uint32_t n_env)
{
    json_t *result = json_array_get(json_object_get(c, "outputs"), 0);
    ScrtTensor want;
    bool given = tensor(result, &want) && want.data;
    for (uint32_t i = 0; i < s->n_in; i++)
        given = given && in[i].data;
    if (!given || !json_is_true(json_object_get(c, "data_exact"))) {
        scrt_free(want.data);
        return;
    }
    ScrtTensor *got = st_eval(s, in, &(ScEvalOptions){.n_env = n_env, .env = env});
    int64_t k = st_differs(&got[0], &want);
    ck_assert_msg(k < 0, "%s: data differs at %lld: %.9g, recorded %.9g", text(c, "id"),
                  (long long)k, scrt_load((ScrtDtype)want.dtype, got[0].data, (size_t)k),
                  scrt_load((ScrtDtype)want.dtype, want.data, (size_t)k));
    n_data++;
    st_free(got, s->n_out);
    scrt_free(want.data);
}

static void compare(json_t *c, const Row *row)
{
    json_t *in = json_object_get(c, "inputs"), *o;
    ScrtTensor t[4] = {0};
    ScVal v[4];
    ScBuild b;
    uint32_t n = (uint32_t)json_array_size(in);
    size_t k;
    ck_assert_uint_le(n, 4);
    sc_build_init(&b, cx, "case", NULL);
    json_array_foreach(in, k, o)
    {
        char name[8];
        snprintf(name, sizeof name, "x%zu", k);
        if (!tensor(o, &t[k])) {
            sc_build_drop(&b);
            left(NO_TYPE);
            return;
        }
        v[k] = st_input(&b, name, (ScrtDtype)t[k].dtype, t[k].rank, t[k].dims);
    }
    sc_output(&b, sc_intern(cx, "y"), build(&b, row, c, v, n));
    ScGraph *g = sc_build_end(&b);
    ck_assert_msg(g != NULL, "%s: %s", text(c, "id"), st_words(cx));
    ScGraph *s =
        st_pass(sc_pass_scalify, g, &(ScPassEnv){.recipe = &down, .scaled_io = true}, "scalify");

    ScBinding env[4];
    uint32_t n_env = 0;
    int64_t got = 0, want = scale_exp(json_object_get(c, "outputs"), 0);
    for (uint32_t i = 0; i < n; i++) {
        const ScTerm *e = s->value[s->in[i]].exp;
        if (e)
            env[n_env++] = (ScBinding){e->sym, scale_exp(in, i)};
    }
    ck_assert(sc_term_eval(s->value[s->out[0]].exp, n_env, env, &got));
    const char *why = otherwise(row, c);
    if (unlike_meet(row, in)) {
        int64_t first = scale_exp(in, row->how == SELECT ? 2 : 0); /* select_n: false is first */
        ck_assert_msg(got == first, "%s: exponent %lld, the first is %lld", text(c, "id"),
                      (long long)got, (long long)first);
        n_first++;
    } else if (!why) {
        ck_assert_msg(got == want, "%s: exponent %lld, recorded %lld", text(c, "id"),
                      (long long)got, (long long)want);
        compare_data(c, s, t, env, n_env);
        n_equal++;
    } else {
        left(OTHERWISE);
    }
    for (uint32_t i = 0; i < n; i++)
        scrt_free(t[i].data);
    sc_graph_free(s);
    sc_graph_free(g);
}

START_TEST(recorded_cases)
{
    const char *path = sct_data("jax-scalify/cases.json");
    if (!path)
        sct_skip("data/jax-scalify is not here");
    json_error_t e;
    json_t *file = json_load_file(path, 0, &e), *c;
    ck_assert_msg(file != NULL, "%s", e.text);
    size_t i;
    json_t *cases = json_object_get(file, "cases");
    cx = sc_ctx_new();
    json_array_foreach(cases, i, c)
    {
        const Row *row = comparable(c);
        if (row)
            compare(c, row);
    }
    printf("jax-scalify: %u exponents equal, data too in %u; the first of unlike symbols in %u\n",
           n_equal, n_data, n_first);
    uint32_t all = n_equal + n_first;
    printf("not compared:");
    for (uint32_t k = 0; k < N_REASON; k++) {
        printf("%s %s %u", k ? "," : "", reason[k], left_out[k]);
        all += left_out[k];
    }
    printf("\n");
    ck_assert_uint_eq(all, json_array_size(cases)); /* none is passed over in silence */
    ck_assert_uint_ge(n_equal, 110);
    ck_assert_uint_ge(n_equal + n_first, 160);
    ck_assert_uint_gt(n_data, 60);
    json_decref(file);
    sc_ctx_free(cx);
}
END_TEST

/* The gain of a sum for every K from 1 to 1024. */
START_TEST(recorded_gains)
{
    const char *path = sct_data("jax-scalify/gains.json");
    if (!path)
        sct_skip("data/jax-scalify is not here");
    json_error_t e;
    json_t *file = json_load_file(path, 0, &e), *run;
    ck_assert_msg(file != NULL, "%s", e.text);
    json_t *runs =
        json_object_get(json_object_get(json_object_get(file, "dot_general"), "DOWN"), "runs");
    ck_assert_uint_gt(json_array_size(runs), 0);
    size_t i;
    cx = sc_ctx_new();
    json_array_foreach(runs, i, run)
    {
        int64_t last = json_integer_value(json_array_get(run, 1));
        for (int64_t k = json_integer_value(json_array_get(run, 0)); k <= last; k++) {
            ScBuild b;
            sc_build_init(&b, cx, "gain", NULL);
            ScVal x = st_input(&b, "x", SCRT_F32, 2, (int64_t[]){1, k});
            ScVal w = st_input(&b, "w", SCRT_F32, 2, (int64_t[]){k, 1});
            sc_output(&b, sc_intern(cx, "y"), sc_op(&b, matmul, x, w));
            ScGraph *g = sc_build_end(&b);
            ScGraph *s = st_pass(sc_pass_scalify, g,
                                 &(ScPassEnv){.recipe = &down, .scaled_io = true}, "scalify");
            ScBinding env[2] = {{s->value[s->in[0]].exp->sym, 0}, {s->value[s->in[1]].exp->sym, 0}};
            int64_t got;
            ck_assert(sc_term_eval(s->value[s->out[0]].exp, 2, env, &got));
            ck_assert_msg(ldexp(1, (int)got) == json_number_value(json_array_get(run, 2)),
                          "gain of K = %lld is 2^%lld", (long long)k, (long long)got);
            sc_graph_free(s);
            sc_graph_free(g);
        }
    }
    json_decref(file);
    sc_ctx_free(cx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("jax-scalify");
    TCase *t = tcase_create("jax");
    tcase_add_test(t, recorded_cases);
    tcase_add_test(t, recorded_gains);
    suite_add_tcase(s, t);
    return sct_main("jax-scalify", s);
}
