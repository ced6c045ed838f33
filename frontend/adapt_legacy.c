/* SPDX-License-Identifier: Apache-2.0 */
/* Operators as opsets 1 to 6 (some to 8) had them: broadcasting is asked for and says along which
 * axis, consumed_inputs told old runtimes what they may overwrite, is_test that nothing is trained.
 * Each is said as a later opset says it, and imported so. */
#include "frontend/frontend_priv.h"

#include <string.h>

static bool is_old(const char *name)
{
    return !strcmp(name, "consumed_inputs") || !strcmp(name, "broadcast") ||
           !strcmp(name, "is_test");
}

/* The node on operands in, as of an opset; without the attributes that only old ones have, and
 * "axis" where that was broadcasting's, with one more (NULL: none) and n_out results. */
static bool modern(const ImNode *n, int opset, const ScVal *in, bool axis, Onnxpb__Attribute *more,
                   uint32_t n_out, ScVal *ret_out)
{
    ScArena *a = sc_ctx_arena(n->im->cx);
    Onnxpb__Node pb = *n->pb;
    pb.attribute = sc_array(a, Onnxpb__Attribute *, pb.n_attribute + 1);
    pb.n_attribute = 0;
    for (size_t i = 0; i < n->pb->n_attribute; i++) {
        const char *name = n->pb->attribute[i]->name ? n->pb->attribute[i]->name : "";
        if (!is_old(name) && (axis || strcmp(name, "axis") != 0))
            pb.attribute[pb.n_attribute++] = n->pb->attribute[i];
    }
    if (more)
        pb.attribute[pb.n_attribute++] = more;
    pb.n_output = n_out < pb.n_output ? n_out : pb.n_output;
    ImNode now = *n;
    now.pb = &pb;
    now.opset = opset;
    now.in = in;
    now.n_out = n_out < n->n_out ? n_out : n->n_out;
    const ImAdapter *adapter = im_adapter("", im_node_op(&pb), opset);
    return adapter ? adapter->build(&now, ret_out)
                   : im_row(&now, sc_op_onnx(n->im->cx, "", im_node_op(&pb), opset), ret_out);
}

static bool same(const ImNode *n, ScVal *ret_out)
{
    return modern(n, 6, n->in, true, NULL, UINT32_MAX, ret_out);
}

static bool variadic(const ImNode *n, ScVal *ret_out)
{
    return modern(n, 8, n->in, true, NULL, UINT32_MAX, ret_out);
}

/* x with extents of 1 behind its own, so that its first stands at an axis of `rank`. */
static ScVal aligned(const ImNode *n, ScVal x, uint32_t axis, uint32_t rank)
{
    const ScType *t = im_type_of(n, x);
    const ScTerm *dim[SCRT_MAX_RANK];
    for (uint32_t d = axis; d < rank; d++)
        dim[d - axis] = d - axis < t->rank ? t->dim[d - axis] : sc_term(n->im->cx, 1);
    return im_reshape(n, x, rank - axis, dim);
}

/* B is a part of A's extents in a row, the last ones or those from an axis on. */
static bool broadcast(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    bool ok = true;
    const int64_t asked = im_int(n, "broadcast", 0, &ok), given = im_int(n, "axis", 0, &ok);
    if (!ok || !im_arity(n, 2, 2))
        return false;
    const ScType *a = im_type(n, 0), *b = im_type(n, 1);
    ScVal in[] = {im_in(n, 0), im_in(n, 1)};
    if (!asked && a->rank != b->rank)
        return sc_fail(cx, n->loc, SC_E_RANK, "ranks %u and %u, and \"broadcast\" is 0", a->rank,
                       b->rank);
    for (uint32_t d = 0; !asked && d < a->rank; d++)
        if (!im_require(n, SC_GUARD_EQUAL, a->dim[d], b->dim[d], "extents of the operands"))
            return false;
    if (asked && im_attr(n, "axis") && b->rank < a->rank) {
        uint32_t axis;
        if (!im_axis(n, given, a->rank, &axis))
            return false;
        if (axis + b->rank > a->rank)
            return sc_fail(cx, n->loc, SC_E_AXIS, "%u for ranks %u and %u", axis, a->rank, b->rank);
        in[1] = aligned(n, in[1], axis, a->rank);
    }
    return modern(n, 7, in, false, NULL, UINT32_MAX, ret_out);
}

/* A slope a channel. */
static bool prelu(const ImNode *n, ScVal *ret_out)
{
    if (!im_arity(n, 2, 2))
        return false;
    const ScType *x = im_type(n, 0), *slope = im_type(n, 1);
    ScVal in[] = {im_in(n, 0), im_in(n, 1)};
    if (n->opset < 7 && slope->rank == 1 && x->rank > 2 &&
        !sc_term_is(sc_type_count(n->im->cx, slope), 1))
        in[1] = aligned(n, in[1], 1, x->rank);
    return modern(n, 9, in, true, NULL, UINT32_MAX, ret_out);
}

static bool batchnorm(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    const bool test = im_int(n, "is_test", 0, &ok) != 0;
    Onnxpb__Attribute *training = im_new_attr(n->im->cx, "training_mode");
    training->has_i = 1;
    training->i = 1;
    return ok && modern(n, 8, n->in, true, test ? NULL : training, test ? 1 : UINT32_MAX, ret_out);
}

static bool dropout(const ImNode *n, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    bool ok = true;
    const int64_t test = im_int(n, "is_test", 0, &ok);
    const double ratio = im_float(n, "ratio", 0.5, &ok);
    const ScType *x = im_type(n, 0);
    ScVal y = im_in(n, 0), mask = sc_const_scalar(b, x->dtype, 1);
    if (!ok || !im_arity(n, 1, 1) || !IM_ONLY(n, "consumed_inputs", "is_test", "ratio"))
        return false;
    if (!test && !im_drop(n, im_scalar(n, SCRT_F32, ratio), &y, &mask))
        return false;
    if (n->n_out > 1)
        ret_out[1] = im_expand(n, im_cast(n, mask, x->dtype), x->rank, x->dim);
    return im_answer(y, ret_out);
}

/* The axis had a default. */
static bool concat(const ImNode *n, ScVal *ret_out)
{
    bool ok = true;
    uint32_t axis;
    const int64_t given = im_int(n, "axis", 1, &ok);
    return ok && IM_ONLY(n, "axis") && im_arity(n, 1, UINT32_MAX) &&
           im_axis(n, given, im_type(n, 0)->rank, &axis) &&
           im_answer(im_concat(n, axis, n->n_in, n->in), ret_out);
}

/* The type was a word. */
static bool cast(const ImNode *n, ScVal *ret_out)
{
    static const struct {
        const char *word;
        ScrtDtype t;
    } type[] = {{"FLOAT", SCRT_F32},  {"FLOAT16", SCRT_F16}, {"DOUBLE", SCRT_F64},
                {"BOOL", SCRT_BOOL},  {"INT8", SCRT_I8},     {"INT16", SCRT_I16},
                {"INT32", SCRT_I32},  {"INT64", SCRT_I64},   {"UINT8", SCRT_U8},
                {"UINT16", SCRT_U16}, {"UINT32", SCRT_U32},  {"UINT64", SCRT_U64}};
    bool ok = true;
    const char *to = im_str(n, "to", "", &ok);
    if (!ok || !im_arity(n, 1, 1) || !IM_ONLY(n, "to"))
        return false;
    for (size_t i = 0; i < sizeof type / sizeof *type; i++)
        if (!strcmp(type[i].word, to))
            return im_answer(im_cast(n, im_in(n, 0), type[i].t), ret_out);
    return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"to\" is \"%s\"", to);
}

#define OLD(type)    {"", #type, 1, 5, same, 1, 0}
#define BINARY(type) {"", #type, 1, 6, broadcast, 1, 0}
#define MANY(type)   {"", #type, 1, 7, variadic, 1, 0}

const ImAdapter im_legacy_adapters[] = {
    OLD(Abs),
    OLD(Ceil),
    OLD(Elu),
    OLD(Exp),
    OLD(Floor),
    OLD(HardSigmoid),
    OLD(LeakyRelu),
    OLD(Log),
    OLD(Neg),
    OLD(Reciprocal),
    OLD(Relu),
    OLD(Selu),
    OLD(Sigmoid),
    OLD(Sqrt),
    OLD(Tanh),
    BINARY(Add),
    BINARY(And),
    BINARY(Div),
    BINARY(Equal),
    BINARY(Greater),
    BINARY(Less),
    BINARY(Mul),
    BINARY(Or),
    BINARY(Pow),
    BINARY(Sub),
    BINARY(Xor),
    MANY(Max),
    MANY(Mean),
    MANY(Min),
    MANY(Sum),
    {"", "PRelu", 1, 8, prelu, 1, 0},
    {"", "BatchNormalization", 1, 6, batchnorm, 5, 0},
    {"", "Dropout", 1, 6, dropout, 2, 0},
    {"", "Concat", 1, 3, concat, 1, 0},
    {"", "Cast", 1, 5, cast, 1, 0},
    {NULL, NULL, 0, 0, NULL, 0, 0},
};
