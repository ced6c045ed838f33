/* SPDX-License-Identifier: Apache-2.0 */
/* Strings. What moves them is what moves numbers (views, where, gather, concat): an element is a
 * handle. What looks at their bytes is here, each a function of the runtime. */
#include "ir/ops/ops_priv.h"

#include "runtime/strings.h"

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
