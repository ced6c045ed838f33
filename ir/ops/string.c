/* SPDX-License-Identifier: Apache-2.0 */
/* Strings. What moves them is what moves numbers (views, where, gather, concat): an element is a
 * handle. What looks at their bytes is here, each a function of the runtime. */
#include "ir/ops/ops_priv.h"

#include "runtime/handles.h"

#include <string.h>

/* --- Evaluation ------------------------------------------------------------------------------- */

static ScrtChars chars(const ScrtTensor *t, int64_t i)
{
    return scrt_chars(NULL, t, i);
}

/* Strings that are computed are the session's. */
static void put(ScEval *e, int64_t i, const char *p, size_t n)
{
    ((const ScrtString **)e->out[0].data)[i] = sc_string(e->cx, p, n);
}

/* Calls each(e, i, places) for each element i of the result; places: of what the operands have
 * there, which broadcast. */
static bool each_pair(ScEval *e, void (*each)(ScEval *e, int64_t i, const int64_t *place))
{
    const ScrtTensor *y = &e->out[0];
    int64_t stride[2][SCRT_MAX_RANK], idx[SCRT_MAX_RANK] = {0}, n = scrt_count(y);
    for (uint32_t k = 0; k < 2; k++)
        sc_ops_strides(e->in[k], y->rank, stride[k]);
    for (int64_t i = 0; i < n; i++, sc_ops_next(y->rank, y->dims, idx))
        each(e, i,
             (int64_t[]){sc_ops_at(y->rank, idx, stride[0]), sc_ops_at(y->rank, idx, stride[1])});
    return true;
}

#define CALL(row, CALLEE)                                                                          \
    static void call_##row(const ScGraph *g, const ScNode *n, ScCall *ret)                         \
    {                                                                                              \
        (void)g, (void)n;                                                                          \
        ret->callee = SCRT_CALLEE_##CALLEE;                                                        \
    }

/* --- string_equal ----------------------------------------------------------------------------- */

static void equal(ScEval *e, int64_t i, const int64_t *place)
{
    bool same = scrt_chars_compare(chars(e->in[0], place[0]), chars(e->in[1], place[1])) == 0;
    scrt_store_int(SCRT_BOOL, e->out[0].data, (size_t)i, same);
}

static bool eval_string_equal(ScEval *e)
{
    return each_pair(e, equal);
}

CALL(string_equal, STRING_EQUAL)

const ScOp sc_op_string_equal = {
    .name = "string_equal",
    .doc = "whether a and b have the same bytes",
    .in = "A: string, B: string",
    .out = "C: bool",
    .infer = sc_infer_compare,
    .scale = "_, _ -> _",
    .lower = {SC_CALL},
    .call = call_string_equal,
    .eval = eval_string_equal,
};

/* --- string_concat ---------------------------------------------------------------------------- */

static void concat(ScEval *e, int64_t i, const int64_t *place)
{
    ScStr s = {0};
    for (uint32_t k = 0; k < 2; k++) {
        ScrtChars c = chars(e->in[k], place[k]);
        sc_str_addn(&s, c.at, c.n);
    }
    put(e, i, sc_str_get(&s), s.n);
    sc_str_free(&s);
}

static bool eval_string_concat(ScEval *e)
{
    return each_pair(e, concat);
}

CALL(string_concat, STRING_CONCAT)

const ScOp sc_op_string_concat = {
    .name = "string_concat",
    .doc = "the bytes of x, then those of y",
    .onnx = {"", "StringConcat", 20},
    .in = "X: string, Y: string",
    .out = "Z: string",
    .infer = sc_infer_broadcast,
    .scale = "_, _ -> _",
    .lower = {SC_CALL},
    .call = call_string_concat,
    .eval = eval_string_concat,
};

/* --- string_case ------------------------------------------------------------------------------ */

enum { UPPER };

static bool eval_string_case(ScEval *e)
{
    bool upper = sc_attr(e->n, UPPER)->i != 0;
    ScArena *a = sc_arena_new();
    for (int64_t i = 0; i < scrt_count(e->in[0]); i++) {
        ScrtChars c = chars(e->in[0], i);
        size_t n = scrt_chars_case(c, upper, NULL);
        char *p = sc_alloc(a, n + 1);
        scrt_chars_case(c, upper, p);
        put(e, i, p, n);
    }
    sc_arena_free(a);
    return true;
}

static void call_string_case(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    ret->callee = SCRT_CALLEE_STRING_CASE;
    ret->param[ret->n_param++] = sc_term(g->cx, sc_attr(n, UPPER)->i != 0);
}

const ScOp sc_op_string_case = {
    .name = "string_case",
    .doc = "letters of the other case, where Unicode maps one to one, as that one",
    .in = "X: string",
    .out = "Y: string",
    .attr = {{.name = "upper", .kind = SC_A_INT, .def = SC_INT(0), .doc = "1: upper, 0: lower"}},
    .n_attr = 1,
    .infer = sc_infer_same,
    .scale = "_ -> _",
    .lower = {SC_CALL},
    .call = call_string_case,
    .eval = eval_string_case,
};

/* --- string_parts, string_split --------------------------------------------------------------- */

enum { MOST, PARTS };
#define MOST_ATTR                                                                                  \
    {.name = "most",                                                                               \
     .kind = SC_A_INT,                                                                             \
     .def = SC_INT(-1),                                                                            \
     .doc = "how often it is split, -1: as often as can be"}

static bool check_delimiter(ScInfer *in)
{
    const ScTerm *n = sc_type_count(in->cx, in->in[1]);
    return sc_require_equal(in, n, sc_term(in->cx, 1), "delimiters and 1");
}

static bool infer_parts(ScInfer *in)
{
    in->ret[0] = sc_type_with(in->cx, in->in[0], SCRT_I64);
    return check_delimiter(in);
}

static bool infer_split(ScInfer *in)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t rank = in->in[0]->rank;
    if (in->attr[PARTS].n != 1)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "`parts` must be one term");
    if (rank == SCRT_MAX_RANK)
        return sc_infer_fail(in, SC_E_RANK, "the result would have more than %d dimensions", rank);
    for (uint32_t d = 0; d < rank; d++)
        dim[d] = in->in[0]->dim[d];
    dim[rank] = in->attr[PARTS].ts[0];
    return check_delimiter(in) && sc_require_nonneg(in, dim[rank], "pieces") &&
           sc_ops_result(in, SCRT_STRING, rank + 1, dim);
}

static ScrtSplit split(const ScEval *e, int64_t i)
{
    return scrt_split(chars(e->in[0], i), chars(e->in[1], 0), sc_attr(e->n, MOST)->i);
}

static bool eval_string_parts(ScEval *e)
{
    for (int64_t i = 0; i < scrt_count(e->in[0]); i++) {
        ScrtSplit s = split(e, i);
        ScrtChars c;
        int64_t n = 0;
        while (scrt_split_next(&s, &c))
            n++;
        scrt_store_int(SCRT_I64, e->out[0].data, (size_t)i, n);
    }
    return true;
}

static bool eval_string_split(ScEval *e)
{
    int64_t parts = e->out[0].dims[e->out[0].rank - 1];
    for (int64_t i = 0; i < scrt_count(e->in[0]); i++) {
        ScrtSplit s = split(e, i);
        ScrtChars c;
        for (int64_t k = 0; k < parts && scrt_split_next(&s, &c); k++)
            put(e, i * parts + k, c.at, c.n);
    }
    return true;
}

static void call_string_parts(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    ret->callee = SCRT_CALLEE_STRING_PARTS;
    ret->param[ret->n_param++] = sc_term(g->cx, sc_attr(n, MOST)->i);
}

static void call_string_split(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    call_string_parts(g, n, ret);
    ret->callee = SCRT_CALLEE_STRING_SPLIT;
}

/* X and a delimiter. */
static void draw_split(ScBuild *b, uint64_t *r, ScVal *ret)
{
    static const char *const delimiter[] = {"", ".", " ", "..", "a"};
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ret[0] = sc_ops_input(b, "x", SCRT_STRING, rank, dims);
    const char *s = delimiter[sc_ops_pick(r, 0, 4)];
    const ScrtString **handle = sc_new(sc_ctx_arena(b->cx), const ScrtString *);
    *handle = sc_string(b->cx, s, strlen(s));
    ret[1] = sc_const(b, sc_blob(b->cx, NULL, SCRT_STRING, 0, NULL, handle), SCRT_STRING, NULL);
}

static ScAttr draw_most(uint64_t *r)
{
    return SC_INT((int64_t)sc_ops_pick(r, 0, 3) - 1);
}

static uint32_t make_string_parts(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    ScVal in[2];
    draw_split(b, r, in);
    ret_out[0] = sc_node1(b, &sc_op_string_parts, SC_ATTRS(draw_most(r)), 2, in);
    return 1;
}

static uint32_t make_string_split(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    ScVal in[2];
    const ScTerm *parts = sc_term(b->cx, sc_ops_pick(r, 0, 3));
    draw_split(b, r, in);
    ret_out[0] =
        sc_node1(b, &sc_op_string_split, SC_ATTRS(draw_most(r), SC_TERMS(1, &parts)), 2, in);
    return 1;
}

/* An empty string at a delimiter that is given is deliberately one empty piece, as ONNX's reference
 * evaluator has it (and Python); ONNX Runtime counts none. */
const ScOp sc_op_string_parts = {
    .name = "string_parts",
    .doc = "into how many pieces delimiters split each string; an empty delimiter: white space",
    .in = "X: string, delimiter: string",
    .out = "count: int",
    .attr = {MOST_ATTR},
    .n_attr = 1,
    .infer = infer_parts,
    .scale = "_, _ -> _",
    .lower = {SC_CALL},
    .call = call_string_parts,
    .eval = eval_string_parts,
    .domain = {.make = make_string_parts},
};

const ScOp sc_op_string_split = {
    .name = "string_split",
    .doc = "the first `parts` of those pieces along a new last axis, empty where there are fewer",
    .in = "X: string, delimiter: string",
    .out = "Y: string",
    .attr = {MOST_ATTR, {.name = "parts", .kind = SC_A_TERMS, .required = true, .doc = "one term"}},
    .n_attr = 2,
    .infer = infer_split,
    .scale = "_, _ -> _",
    .lower = {SC_CALL},
    .call = call_string_split,
    .eval = eval_string_split,
    .domain = {.make = make_string_split},
};

/* --- parse ------------------------------------------------------------------------------------ */

static bool infer_parse(ScInfer *in)
{
    ScrtDtype to = in->attr[0].dtype;
    bool is_number = scrt_dtype_is_float(to) || scrt_dtype_is_integer(to);
    if (!is_number && to != SCRT_BOOL)
        return sc_infer_fail(in, SC_E_TYPE, "strings as %s", scrt_dtype_name(to));
    if (!is_number || scrt_dtype_bits(to) < 8) /* ONNX has them */
        return sc_infer_fail(in, SC_E_UNSUPPORTED, "strings as %s", scrt_dtype_name(to));
    in->ret[0] = sc_type_with(in->cx, in->in[0], to);
    return true;
}

static bool eval_parse(ScEval *e)
{
    ScrtDtype t = (ScrtDtype)e->out[0].dtype;
    char why[SCRT_NO_NUMBER_CHARS];
    for (int64_t i = 0; i < scrt_count(e->in[0]); i++)
        if (!scrt_chars_number(chars(e->in[0], i), t, e->out[0].data, (size_t)i)) {
            scrt_no_number(chars(e->in[0], i), t, why);
            return sc_fail(e->cx, e->n->loc, SC_E_INPUT, "%s", why);
        }
    return true;
}

CALL(parse, PARSE)

static uint32_t make_parse(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const ScrtDtype to[] = {SCRT_F32, SCRT_F64, SCRT_I64, SCRT_I8, SCRT_F16};
    int64_t dims[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    ScVal x = sc_op(b, format, sc_ops_input(b, "x", SCRT_F32, rank, dims));
    ret_out[0] = sc_op_at(b, parse, SC_ATTRS(SC_DT(to[sc_ops_pick(r, 0, 4)])), x);
    return 1;
}

/* A number written with a point or an exponent is read whole, then its fraction is cut off: "1e3"
 * as an integer is 1000, of which ONNX Runtime reads the 1 alone. */
const ScOp sc_op_parse = {
    .name = "parse",
    .doc = "the numbers that strings are; one that is none, or out of range, ends the run",
    .in = "input: string",
    .out = "output: num",
    .attr = {SC_OPS_TO},
    .n_attr = 1,
    .infer = infer_parse,
    .scale = "_ -> 0",
    .lower = {SC_CALL},
    .call = call_parse,
    .eval = eval_parse,
    .domain = {.make = make_parse},
};

/* --- format ----------------------------------------------------------------------------------- */

static bool infer_format(ScInfer *in)
{
    ScrtDtype t = in->in[0]->dtype;
    if (scrt_dtype_bits(t) < 8 || scrt_dtype_kind(t) == SCRT_KIND_COMPLEX)
        return sc_infer_fail(in, SC_E_UNSUPPORTED, "%s as strings", scrt_dtype_name(t));
    in->ret[0] = sc_type_with(in->cx, in->in[0], SCRT_STRING);
    return true;
}

static bool eval_format(ScEval *e)
{
    char text[SCRT_NUMBER_CHARS];
    for (int64_t i = 0; i < scrt_count(e->in[0]); i++)
        put(e, i, text,
            scrt_number_chars((ScrtDtype)e->in[0]->dtype, e->in[0]->data, (size_t)i, text));
    return true;
}

CALL(format, FORMAT)

const ScOp sc_op_format = {
    .name = "format",
    .doc = "numbers as strings, floats in eight digits",
    .in = "input: plain",
    .out = "output: string",
    .infer = infer_format,
    .scale = "0 -> _",
    .lower = {SC_CALL},
    .call = call_format,
    .eval = eval_format,
};

/* --- lookup ----------------------------------------------------------------------------------- */

static bool infer_lookup(ScInfer *in)
{
    const ScType *x = in->in[0], *keys = in->in[1];
    if (x->dtype != keys->dtype)
        return sc_infer_fail(in, SC_E_TYPE, "keys must have the type of what is looked for");
    if (scrt_dtype_kind(x->dtype) == SCRT_KIND_COMPLEX)
        return sc_infer_fail(in, SC_E_TYPE, "complex numbers have no order");
    if (keys->rank != 1)
        return sc_infer_fail(in, SC_E_RANK, "keys of rank %u", keys->rank);
    in->ret[0] = sc_type_with(in->cx, x, SCRT_I64);
    return true;
}

static bool is_key(const ScEval *e, int64_t i, int64_t k)
{
    const ScrtTensor *x = e->in[0], *keys = e->in[1];
    ScrtDtype t = (ScrtDtype)x->dtype;
    if (t == SCRT_STRING)
        return scrt_chars_compare(chars(x, i), chars(keys, k)) == 0;
    if (!scrt_dtype_is_float(t))
        return scrt_load_int(t, x->data, (size_t)i) == scrt_load_int(t, keys->data, (size_t)k);
    double a = scrt_load(t, x->data, (size_t)i), b = scrt_load(t, keys->data, (size_t)k);
    return a == b || (isnan(a) && isnan(b));
}

static bool eval_lookup(ScEval *e)
{
    int64_t n_key = e->in[1]->dims[0];
    for (int64_t i = 0; i < scrt_count(e->in[0]); i++) {
        int64_t k = 0;
        while (k < n_key && !is_key(e, i, k))
            k++;
        scrt_store_int(SCRT_I64, e->out[0].data, (size_t)i, k);
    }
    return true;
}

CALL(lookup, LOOKUP)

static uint32_t make_lookup(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    static const char *const word[] = {"", "Monday", "a", "a b", "b"};
    static const float number[] = {-1, 0, 1, 2, NAN};
    int64_t dims[SCRT_MAX_RANK], n = sc_ops_pick(r, 0, 5);
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    bool text = sc_ops_pick(r, 0, 1);
    ScrtDtype t = text ? SCRT_STRING : SCRT_F32;
    ScVal x = sc_ops_input(b, "x", t, rank, dims);
    const ScrtString **p = sc_array(sc_ctx_arena(b->cx), const ScrtString *, 5);
    for (int i = 0; i < 5; i++)
        p[i] = sc_string(b->cx, word[i], strlen(word[i]));
    const void *data = text ? (const void *)p : number;
    ScVal keys = sc_const(b, sc_blob(b->cx, NULL, t, 1, &n, data), t, NULL);
    ret_out[0] = sc_op(b, lookup, text ? x : sc_op(b, sign, x), keys);
    return 1;
}

const ScOp sc_op_lookup = {
    .name = "lookup",
    .doc = "where each element stands among keys, which ascend; their number where it does not",
    .in = "X: any, keys: any",
    .out = "index: int",
    .infer = infer_lookup,
    .scale = "a... -> _",
    .lower = {SC_CALL},
    .call = call_lookup,
    .eval = eval_lookup,
    .domain = {.make = make_lookup},
};
