/* SPDX-License-Identifier: Apache-2.0 */
/* How rows are said in ONNX. A row whose operands and attributes are those of its operator needs
 * nothing here: it says which operator that is. The others have a line in the table: what becomes
 * of attributes and operands that are not the operator's. Those that need nodes beside the operator
 * name a function (export_forms.c). A row that cannot be said so is written by its expansion. */
#include "frontend/export_priv.h"

#include <string.h>

typedef enum Act {
    END,
    ATTR,     /* attribute `name` is called `to` */
    DROP,     /* attribute `name` is not the operator's: it must have its default */
    INPUT,    /* attribute `name` is the next operand: a list, or one number */
    CONSTANT, /* operand `i`, a constant, is attribute `to` */
    ONE,      /* operand `i` must be 1 */
    TIMES,    /* operand `i` multiplies the first one before */
    PLUS,     /* operand `i` is added to the result */
    BIAS,     /* the same of [channel], where the first operands are dequantized */
    FIXED,    /* attribute `name` is `to` */
} Act;

typedef struct Word {
    Act act;
    uint8_t i;
    const char *name, *to;
} Word;

#define MAX_WORDS 6

typedef struct Spelling {
    const ScOp *op;
    const char *type; /* NULL: as the row says */
    int since;        /* of what is written; 0: as the row says */
    uint8_t constant; /* the operand that must be a constant with elements; 0: none */
    bool as_i64;      /* integers of other types are computed so: runtimes lack kernels for them */
    bool adds;        /* a constant operand may be the bias of a product: see bias() */
    void (*write)(Export *x, const ScNode *n);
    Word word[MAX_WORDS];
} Spelling;

#define ROW(row) .op = &sc_op_##row
#define REDUCE(row)                                                                                \
    {                                                                                              \
        ROW(row), .since = 18, .as_i64 = true, .word = { {INPUT, 0, "axes", NULL} }                \
    }

static const Spelling table[] = {
    {ROW(cast), .write = ex_cast_row},
    {ROW(convert), .since = 13, .write = ex_cast_row},
    {ROW(parse), .since = 13, .write = ex_string_cast},
    {ROW(format), .since = 13, .write = ex_string_cast},
    {ROW(string_case), .since = 10, .write = ex_string_case},
    {ROW(string_parts), .since = 20, .constant = 1, .write = ex_string_parts},
    {ROW(string_split), .since = 20, .constant = 1, .write = ex_string_split},
    {ROW(lookup), .since = 19, .write = ex_lookup},
    {ROW(block_matmul), .since = 21, .write = ex_block_matmul},
    {ROW(add), .since = 14, .as_i64 = true, .adds = true},
    {ROW(sub), .since = 14, .as_i64 = true},
    {ROW(mul), .since = 14, .as_i64 = true},
    {ROW(div), .since = 14, .as_i64 = true},
    {ROW(clip), .since = 13, .write = ex_clip},
    {ROW(isinf), .since = 20},
    REDUCE(reduce_sum),
    REDUCE(reduce_mean),
    REDUCE(reduce_max),
    REDUCE(reduce_min),
    REDUCE(reduce_prod),
    REDUCE(reduce_l1),
    REDUCE(reduce_l2),
    REDUCE(reduce_sum_square),
    REDUCE(reduce_log_sum),
    REDUCE(reduce_log_sum_exp),
    {ROW(cumsum), "CumSum", 14, .as_i64 = true, .word = {{INPUT, 0, "axis", NULL}}},
    {ROW(cumprod), "CumProd", 26, .as_i64 = true, .word = {{INPUT, 0, "axis", NULL}}},
    {ROW(softmax), .word = {{TIMES, 1, NULL, NULL}}},
    {ROW(log_softmax), .word = {{TIMES, 1, NULL, NULL}}},
    {ROW(gelu), .word = {{ONE, 1, NULL, NULL}}},
    {ROW(layernorm), .word = {{CONSTANT, 3, NULL, "epsilon"}}},
    {ROW(rmsnorm), .word = {{CONSTANT, 2, NULL, "epsilon"}}},
    {ROW(batchnorm), .since = 15, .word = {{CONSTANT, 5, NULL, "epsilon"}}},
    {ROW(matmul), .since = 13, .word = {{PLUS, 2, NULL, NULL}, {DROP, 0, "out", NULL}}},
    {ROW(gemm), .since = 13,
     .word = {{BIAS, 2, NULL, NULL},
              {ATTR, 0, "trans_a", "transA"},
              {ATTR, 0, "trans_b", "transB"},
              {DROP, 0, "out", NULL}}},
    {ROW(conv), .since = 11,
     .word = {{BIAS, 2, NULL, NULL}, {DROP, 0, "out", NULL}, {DROP, 0, "channels_last", NULL}}},
    {ROW(maxpool), .since = 12, .word = {{DROP, 0, "channels_last", NULL}}},
    {ROW(avgpool), .since = 19, .word = {{DROP, 0, "channels_last", NULL}}},
    {ROW(reshape), .since = 14, .write = ex_reshape},
    {ROW(squeeze), .since = 13, .word = {{INPUT, 0, "axes", NULL}}},
    {ROW(unsqueeze), .since = 13, .word = {{INPUT, 0, "axes", NULL}}},
    {ROW(expand), .since = 13, .word = {{INPUT, 0, "shape", NULL}}},
    {ROW(slice), .since = 13,
     .word = {{INPUT, 0, "starts", NULL},
              {INPUT, 0, "ends", NULL},
              {INPUT, 0, "axes", NULL},
              {INPUT, 0, "steps", NULL}}},
    {ROW(shape), .since = 15},
    {ROW(scatter_elements), .since = 18},
    {ROW(scatter_elements_mul), "ScatterElements", 18, .word = {{FIXED, 0, "reduction", "mul"}}},
    {ROW(scatter_nd), .since = 18},
    {ROW(scatter_nd_mul), "ScatterND", 18, .word = {{FIXED, 0, "reduction", "mul"}}},
    {ROW(topk), .since = 11, .word = {{INPUT, 0, "k", NULL}}},
    {ROW(bind), .since = 1, .write = ex_bind},
    {ROW(term), .since = 1, .write = ex_term_row},
    {ROW(string_equal), "Equal", 19},
    {ROW(iota), .since = 11, .write = ex_iota},
    {ROW(nonzero), .since = 13, .write = ex_nonzero},
    {ROW(unique), .write = ex_unique},
    {ROW(non_max_suppression), .since = 11, .write = ex_select_boxes},
    {ROW(roi_align), .since = 16, .write = ex_roi_align},
    {ROW(if), .since = 19, .write = ex_if},
    {ROW(loop), .since = 19, .write = ex_loop},
};

static const Spelling *spelling(const ScOp *op)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].op == op)
            return &table[i];
    return NULL;
}

/* --- Whether a node can be said --------------------------------------------------------------- */

static bool known_number(const ScGraph *g, ScVal v, double *ret)
{
    const ScNode *def = v >= SC_FIRST ? sc_def(g, v) : NULL;
    const ScBlob *b = def && (def->op->flags & SC_CONST_OP) ? def->attr[0].blob : NULL;
    if (!b || b->count != 1 || !b->data)
        return false;
    *ret = scrt_load(b->dtype, b->data, 0);
    return true;
}

static bool is_filled_constant(const ScGraph *g, ScVal v)
{
    const ScNode *def = v >= SC_FIRST ? sc_def(g, v) : NULL;
    const ScBlob *b = def && (def->op->flags & SC_CONST_OP) ? def->attr[0].blob : NULL;
    return b && b->count > 0 && b->data;
}

static bool is_default(const ScNode *n, const char *name)
{
    int i = sc_attr_index(n->op, name);
    return i < 0 || sc_attr_equal(&n->attr[i], &n->op->attr[i].def);
}

static bool fits(const ScGraph *g, const ScNode *n, const Word *w)
{
    double c;
    ScVal v = w->i < n->n_in ? n->in[w->i] : SC_ABSENT;
    switch (w->act) {
    case DROP:
        return is_default(n, w->name);
    case CONSTANT:
        return known_number(g, v, &c);
    case ONE:
        return known_number(g, v, &c) && c == 1;
    default:
        return true;
    }
}

static const Word *about(const Spelling *s, const char *attr)
{
    for (const Word *w = s ? s->word : NULL; w && w < s->word + MAX_WORDS && w->act != END; w++)
        if (w->name && !strcmp(w->name, attr) && w->act != FIXED)
            return w;
    return NULL;
}

/* An attribute that has a spelling in ONNX. */
static bool attr_fits(const Spelling *s, const ScNode *n, uint32_t i)
{
    const ScAttr *a = &n->attr[i];
    const Word *w = about(s, n->op->attr[i].name);
    int64_t c;
    bool ok = a->kind != SC_A_BLOB && a->kind != SC_A_STRS && a->kind != SC_A_FLOATS;
    for (uint32_t k = 0; ok && a->kind == SC_A_TERMS && !(w && w->act == INPUT) && k < a->n; k++)
        ok = sc_term_const(a->ts[k], &c);
    return ok;
}

bool ex_says(const ScGraph *g, const ScNode *n)
{
    const Spelling *s = spelling(n->op);
    bool ok = (s && (s->type || s->write)) || n->op->onnx.type;
    int since = s && s->since ? s->since : n->op->onnx.since;
    if (n->op->flags & (SC_BARRIER | SC_CONST_OP))
        return true;
    if (!ok || (n->op->expand && since > EX_OPSET_WIDESPREAD))
        return false;
    if (s && s->constant && !is_filled_constant(g, n->in[s->constant]))
        return false;
    if (s && s->write)
        return true;
    for (uint32_t i = 0; ok && s && i < MAX_WORDS && s->word[i].act != END; i++)
        ok = fits(g, n, &s->word[i]);
    for (uint32_t i = 0; ok && i < n->op->n_attr; i++)
        ok = attr_fits(s, n, i);
    return ok && n->op->n_sub == 0;
}

/* --- Writing ---------------------------------------------------------------------------------- */

static void write_attr(Export *x, Onnxpb__Node *to, const char *name, const ScAttr *a)
{
    int64_t *v;
    switch (a->kind) {
    case SC_A_INT:
        ex_int(x, to, name, a->i);
        return;
    case SC_A_DTYPE:
        ex_int(x, to, name, a->dtype);
        return;
    case SC_A_FLOAT:
        ex_float(x, to, name, a->f);
        return;
    case SC_A_STR:
        ex_string(x, to, name, a->s);
        return;
    case SC_A_INTS:
        ex_ints(x, to, name, a->n, a->is);
        return;
    case SC_A_TERMS:
        v = sc_array(x->a, int64_t, a->n + 1u);
        for (uint32_t i = 0; i < a->n; i++)
            sc_term_const(a->ts[i], &v[i]);
        ex_ints(x, to, name, a->n, v);
        return;
    default:
        return;
    }
}

/* An attribute as an operand; "" where there is none. */
static const char *attr_operand(Export *x, const ScAttr *a)
{
    return a->kind == SC_A_INT     ? ex_i64(x, 0, 1, &a->i)
           : a->kind == SC_A_INTS  ? ex_i64(x, 1, a->n, a->is)
           : a->kind == SC_A_TERMS ? ex_numbers(x, a->n, a->ts)
                                   : "";
}

/* An integer type that runtimes compute little with. */
static bool is_odd_int(const Export *x, ScVal v)
{
    const ScType *t = sc_type_of(x->at->g, v);
    return v >= SC_FIRST && scrt_dtype_is_integer(t->dtype) && t->dtype != SCRT_I64 &&
           t->dtype != SCRT_I32;
}

static bool is_dequantized(const Export *x, ScVal v)
{
    return x->at->role[x->at->g->value[v].node].kind == EX_DEQUANTIZES;
}

/* The operand that is added behind the operator. ONNX Runtime (1.32) rounds a bias to integers in
 * units of the product of the scales where both operands are dequantized, and FP8 has such units
 * that are no smaller than the bias. */
static const Word *added(const Export *x, const ScNode *n, const Spelling *s)
{
    for (uint32_t k = 0; s && k < MAX_WORDS && s->word[k].act != END; k++) {
        const Word *w = &s->word[k];
        if (w->i < n->n_in && n->in[w->i] != SC_ABSENT &&
            (w->act == PLUS ||
             (w->act == BIAS && is_dequantized(x, n->in[0]) && is_dequantized(x, n->in[1]))))
            return w;
    }
    return NULL;
}

/* Value v, which is added to the result of node product. Behind one of two dequantized operands a
 * constant [n] is written as [1,n]: of MatMul and Add ONNX Runtime (1.32) makes a Gemm, whose bias
 * it rounds, as above, but not one of rank 2. */
static const char *bias(Export *x, ScVal v, const ScNode *product)
{
    const ScGraph *g = x->at->g;
    const ScNode *def = v >= SC_FIRST ? sc_def(g, v) : NULL;
    if (!def || !(def->op->flags & SC_CONST_OP) || sc_type_of(g, v)->rank != 1 ||
        !product->op->contract || sc_type_of(g, product->first)->rank < 2 ||
        !is_dequantized(x, product->in[0]) || !is_dequantized(x, product->in[1]))
        return ex_value(x, v);
    const ScBlob *b = def->attr[0].blob;
    const int64_t dims[] = {1, (int64_t)b->count};
    return ex_constant(x, g->value[v].name, b, sc_type_c(x->cx, sc_type_of(g, v)->dtype, 2, dims));
}

/* A bias of [channel] as an addend of result v, whose second extent that is. */
static const char *addend(Export *x, const ScNode *n, const Word *w)
{
    const ScType *t = sc_type_of(x->at->g, n->first), *b = sc_type_of(x->at->g, n->in[w->i]);
    int64_t dims[SCRT_MAX_RANK] = {-1, 1};
    if (w->act == PLUS || t->rank == 2 || b->rank != 1)
        return bias(x, n->in[w->i], n);
    for (uint32_t d = 2; d < t->rank; d++)
        dims[d - 1] = 1;
    const ScNode *def = sc_def(x->at->g, n->in[w->i]);
    if (!(def->op->flags & SC_CONST_OP))
        return ex_op(x, "Reshape", 14, ex_value(x, n->in[w->i]), ex_i64(x, 1, t->rank - 1, dims));
    dims[0] = (int64_t)def->attr[0].blob->count;
    return ex_constant(x, NULL, def->attr[0].blob, sc_type_c(x->cx, b->dtype, t->rank - 1, dims));
}

/* The operands that are left when words took theirs. */
static uint32_t operands(Export *x, const ScNode *n, const Spelling *s, const char **in)
{
    const Word *plus = added(x, n, s);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->n_in; i++) {
        bool taken = plus && plus->i == i;
        for (uint32_t k = 0; s && k < MAX_WORDS && s->word[k].act != END; k++)
            taken = taken ||
                    (s->word[k].i == i && s->word[k].act >= CONSTANT && s->word[k].act <= PLUS);
        if (!taken)
            in[count++] = s && s->adds ? bias(x, n->in[i], sc_def(x->at->g, n->in[1 - i]))
                                       : ex_value(x, n->in[i]);
    }
    for (uint32_t i = 0; s && s->as_i64 && i < count; i++)
        in[i] = is_odd_int(x, n->in[i]) ? ex_cast(x, in[i], SCRT_I64) : in[i];
    for (uint32_t k = 0; s && k < MAX_WORDS && s->word[k].act != END; k++) {
        const Word *w = &s->word[k];
        double c;
        if (w->act == INPUT)
            in[count++] = attr_operand(x, &n->attr[sc_attr_index(n->op, w->name)]);
        else if (w->act == TIMES && (!known_number(x->at->g, n->in[w->i], &c) || c != 1))
            in[0] = ex_op(x, "Mul", 14, in[0], ex_value(x, n->in[w->i]));
    }
    return count;
}

static void attributes(Export *x, const ScNode *n, const Spelling *s, Onnxpb__Node *to)
{
    double c;
    for (uint32_t i = 0; i < n->op->n_attr; i++) {
        const Word *w = about(s, n->op->attr[i].name);
        if (!w || w->act == ATTR)
            write_attr(x, to, w ? w->to : n->op->attr[i].name, &n->attr[i]);
    }
    for (uint32_t k = 0; s && k < MAX_WORDS && s->word[k].act != END; k++) {
        const Word *w = &s->word[k];
        if (w->act == FIXED)
            ex_string(x, to, w->name, w->to);
        else if (w->act == CONSTANT && known_number(x->at->g, n->in[w->i], &c))
            ex_float(x, to, w->to, c);
    }
}

void ex_row(Export *x, const ScNode *n)
{
    const Spelling *s = spelling(n->op);
    const char *in[SC_MAX_IN + MAX_WORDS], *out[SC_MAX_OUT] = {NULL}, *result[SC_MAX_OUT];
    const char **operand = in, *plus = NULL;
    if (s && s->write) {
        s->write(x, n);
        return;
    }
    if (n->n_in > SC_MAX_IN)
        operand = sc_array(x->a, const char *, n->n_in + MAX_WORDS);
    uint32_t n_in = operands(x, n, s, operand);
    bool narrow = s && s->as_i64 && is_odd_int(x, n->first);
    const Word *w = added(x, n, s);
    plus = w ? addend(x, n, w) : NULL;
    for (uint32_t i = 0; i < n->n_out; i++) {
        result[i] = ex_result(x, n->first + i);
        out[i] = plus || narrow ? NULL : result[i];
    }
    const char *type = s && s->type ? s->type : n->op->onnx.type;
    Onnxpb__Node *to = ex_node(x, type, s && s->since ? s->since : n->op->onnx.since, n_in, operand,
                               n->n_out, out);
    attributes(x, n, s, to);
    if (plus)
        ex_node(x, "Add", 14, 2, (const char *[]){out[0], plus}, 1, result);
    if (narrow)
        ex_int(x, ex_node(x, "Cast", 6, 1, out, 1, result), "to",
               sc_type_of(x->at->g, n->first)->dtype);
}
