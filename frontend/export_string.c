/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of strings, and of what is looked up, in ONNX's words. */
#include "frontend/export_priv.h"

void ex_string_cast(Export *x, const ScNode *n)
{
    Onnxpb__Node *c = ex_same(x, "Cast", 13, 1, (const char *[]){ex_operand(x, n, 0)}, n);
    ex_int(x, c, "to", sc_type_of(x->at->g, n->first)->dtype);
}

/* The operator takes one row. */
void ex_string_case(Export *x, const ScNode *n)
{
    const int64_t all = -1;
    const char *in = ex_operand(x, n, 0), *y = NULL, *out = ex_result(x, n->first), *shape = NULL;
    ex_node(x, "Shape", 15, 1, &in, 1, &shape);
    const char *row = ex_op(x, "Reshape", 14, in, ex_i64(x, 1, 1, &all));
    Onnxpb__Node *c = ex_node(x, "StringNormalizer", 10, 1, &row, 1, &y);
    ex_string(x, c, "case_change_action", n->attr[0].i ? "UPPER" : "LOWER");
    ex_int(x, ex_node(x, "Reshape", 14, 2, (const char *[]){y, shape}, 1, &out), "allowzero", 1);
}

static const ScBlob *blob_of(const Export *x, ScVal v)
{
    return sc_def(x->at->g, v)->attr[0].blob;
}

/* StringSplit of a row's operands, the second of which is a constant. */
static void split(Export *x, const ScNode *n, const char *out[2])
{
    enum { MOST };
    const char *in = ex_operand(x, n, 0);
    const ScrtTensor delimiter = {.dtype = SCRT_STRING,
                                  .data = (void *)(uintptr_t)blob_of(x, n->in[1])->data};
    Onnxpb__Node *s = ex_node(x, "StringSplit", 20, 1, &in, 2, out);
    ex_chars(x, s, "delimiter", scrt_chars(NULL, &delimiter, 0));
    if (n->attr[MOST].i >= 0)
        ex_int(x, s, "maxsplit", n->attr[MOST].i);
}

void ex_string_parts(Export *x, const ScNode *n)
{
    split(x, n, (const char *[]){NULL, ex_result(x, n->first)});
}

/* As many pieces as the row says, whatever the longest has: empty ones stand behind, then it is cut
 * off. */
void ex_string_split(Export *x, const ScNode *n)
{
    enum { MOST, PARTS };
    const ScType *t = sc_type_of(x->at->g, n->first);
    const int64_t first = 0, last = -1;
    const ScrtString *none = NULL;
    const char *out[2] = {NULL}, *room = NULL, *longer = NULL;
    split(x, n, out);
    const ScBlob *empty =
        sc_blob(x->cx, NULL, SCRT_STRING, 0, NULL,
                sc_memdup(sc_ctx_arena(x->cx), &none, sizeof(const ScrtString *)));
    room = ex_op(x, "Expand", 13, ex_constant(x, NULL, empty, sc_type(x->cx, SCRT_STRING, 0, NULL)),
                 ex_numbers(x, t->rank, t->dim));
    ex_int(x, ex_node(x, "Concat", 13, 2, (const char *[]){out[0], room}, 1, &longer), "axis", -1);
    const char *in[] = {longer, ex_i64(x, 1, 1, &first), ex_numbers(x, 1, n->attr[PARTS].ts),
                        ex_i64(x, 1, 1, &last)};
    ex_same(x, "Slice", 13, 4, in, n);
}

static ScrtDtype comparable(ScrtDtype t)
{
    return t == SCRT_STRING || t == SCRT_F64 ? t : scrt_dtype_is_float(t) ? SCRT_F32 : SCRT_I64;
}

/* Every element beside every key, and one that is always equal behind them: the first is it. */
static void lookup_among(Export *x, const ScNode *n)
{
    const int64_t last = -1;
    const ScrtDtype t = sc_type_of(x->at->g, n->in[0])->dtype, as = comparable(t);
    const char *in[] = {ex_operand(x, n, 0), ex_operand(x, n, 1)}, *all = NULL, *shape = NULL;
    for (uint32_t k = 0; k < 2; k++)
        in[k] = t == as ? in[k] : ex_cast(x, in[k], as);
    in[0] = ex_op(x, "Unsqueeze", 13, in[0], ex_i64(x, 1, 1, &last));
    const char *is = ex_op(x, "Equal", t == SCRT_STRING ? 19 : 13, in[0], in[1]);
    if (scrt_dtype_is_float(t)) {
        const char *both = ex_op(x, "And", 7, ex_op(x, "IsNaN", 13, in[0], NULL),
                                 ex_op(x, "IsNaN", 13, in[1], NULL));
        is = ex_op(x, "Or", 7, is, both);
    }
    ex_node(x, "Shape", 15, 1, in, 1, &shape);
    const char *part[] = {ex_cast(x, is, SCRT_I32),
                          ex_op(x, "Expand", 13, ex_scalar(x, SCRT_I32, 1), shape)};
    ex_int(x, ex_node(x, "Concat", 13, 2, part, 1, &all), "axis", -1);
    Onnxpb__Node *y = ex_same(x, "ArgMax", 13, 1, &all, n);
    ex_int(x, y, "axis", -1);
    ex_int(x, y, "keepdims", 0);
}

/* Positions are labels. Keys of few bits are looked up among those of a type that has them all. */
void ex_lookup(Export *x, const ScNode *n)
{
    const ScNode *def = n->in[1] >= SC_FIRST ? sc_def(x->at->g, n->in[1]) : NULL;
    if (!def || !(def->op->flags & SC_CONST_OP) || def->attr[0].blob->count == 0) {
        lookup_among(x, n);
        return;
    }
    const ScBlob *b = blob_of(x, n->in[1]);
    int64_t count = (int64_t)b->count, *place = sc_array(x->a, int64_t, b->count + 1);
    ScrtTensor keys = {.dtype = b->dtype, .rank = 1, .dims = {count}};
    ScrtTensor at = {.dtype = SCRT_I64, .rank = 1, .dims = {count}, .data = place};
    ScrtTensor none = {.dtype = SCRT_I64, .rank = 1, .dims = {1}, .data = &place[count]};
    keys.dtype = comparable(b->dtype);
    void *data = sc_alloc(x->a, b->count * sizeof(int64_t));
    sc_blob_store(b, (ScrtDtype)keys.dtype, 0, data);
    keys.data = data;
    for (int64_t i = 0; i <= count; i++)
        place[i] = i;
    const char *in = ex_operand(x, n, 0);
    in = keys.dtype == (uint32_t)b->dtype ? in : ex_cast(x, in, (ScrtDtype)keys.dtype);
    Onnxpb__Node *e = ex_node_ml(x, "LabelEncoder", 4, in, ex_result(x, n->first));
    ex_tensor(x, e, "keys_tensor", &keys);
    ex_tensor(x, e, "values_tensor", &at);
    ex_tensor(x, e, "default_tensor", &none);
}
