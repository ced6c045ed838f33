/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that write ONNX share: the model under construction and the words that it is built
 * with. All of it lies in one arena until the message is packed. */
#ifndef SC_EXPORT_PRIV_H
#define SC_EXPORT_PRIV_H

#include "frontend/frontend_priv.h"
#include "runtime/handles.h"

/* Nodes whose operator came later than this are written by their row's expansion, where there is
 * one: few runtimes have the newest operators. */
#define EX_OPSET_WIDESPREAD 21
#define EX_OPSET_BASE       19 /* QuantizeLinear and Cast know FP8 */
#define EX_OPSET_TYPED      21 /* QuantizeLinear has attribute output_dtype */
#define EX_OPSET_E8M0       24

/* Where a symbol has its value when the model runs. */
typedef struct ExSymbol {
    const char *sym;
    const char *value; /* ONNX name */
    uint32_t at;       /* which extent of it, or which element */
    bool element;
} ExSymbol;

typedef struct ExNumber { /* a term that was computed: an i64 tensor of one element */
    const ScTerm *t;
    const char *value;
} ExNumber;

/* How a node takes part in a QuantizeLinear or DequantizeLinear: export_quant.c's notes. */
typedef struct ExRole {
    enum { EX_ITSELF, EX_SKIPPED, EX_QUANTIZES, EX_DEQUANTIZES } kind;
    ScVal x;       /* what is quantized, or the codes */
    ScVal scale;   /* a constant of the graph, or SC_ABSENT: 1 */
    bool inverse;  /* the scale is one over that */
    uint32_t axis; /* of a scale of more than one element */
} ExRole;

/* One graph, nested or not. */
typedef struct ExScope {
    struct ExScope *outer;
    const ScGraph *g;
    const char **name;  /* [n_value] ONNX names; NULL: not made yet */
    const ExRole *role; /* [n_node] */
    Onnxpb__Node **node;
    Onnxpb__ValueInfo **input, **output;
    ExSymbol *symbol;
    ExNumber *number;
    uint32_t n_node, cap_node, n_input, cap_input, n_output, cap_output;
    uint32_t n_symbol, cap_symbol, n_number, cap_number;
} ExScope;

typedef struct ExConst { /* an initializer */
    const ScBlob *blob;
    const ScType *type;
    const char *name;
} ExConst;

typedef struct Export {
    ScCtx *cx;
    ScArena *a;
    const ScExportOptions *opt;
    int opset, opset_ml;     /* the newest that was needed; of ai.onnx.ml, 0: none was */
    ImNames taken;           /* names of values and nodes */
    ExScope *at;             /* the graph that is being written */
    const ScLoc *loc;        /* of the node that is */
    Onnxpb__Tensor **tensor; /* initializers, all of the outermost graph */
    ExConst *constant;       /* what the first of them hold */
    uint32_t n_tensor, cap_tensor, n_constant, cap_constant;
} Export;

/* --- Words: export_make.c --------------------------------------------------------------------- */

/* base, or base and a number; the session's. */
const char *ex_fresh(Export *x, const char *base);
/* A node of ai.onnx's operator `type`, which is as in opset `since`; results of NULL are named. */
Onnxpb__Node *ex_node(Export *x, const char *type, int since, uint32_t n_in, const char *const *in,
                      uint32_t n_out, const char **io_out);
/* The same with up to two operands and one result: its name. */
const char *ex_op(Export *x, const char *type, int since, const char *a, const char *b);
/* One of ai.onnx.ml, with one operand and one result. */
Onnxpb__Node *ex_node_ml(Export *x, const char *type, int since, const char *in, const char *out);
/* One of ai.onnx with the result of n, whose name it has. */
Onnxpb__Node *ex_same(Export *x, const char *type, int since, uint32_t n_in, const char *const *in,
                      const ScNode *n);
void ex_int(Export *x, Onnxpb__Node *n, const char *name, int64_t v);
void ex_ints(Export *x, Onnxpb__Node *n, const char *name, uint32_t count, const int64_t *v);
void ex_float(Export *x, Onnxpb__Node *n, const char *name, double v);
void ex_string(Export *x, Onnxpb__Node *n, const char *name, const char *v);
void ex_chars(Export *x, Onnxpb__Node *n, const char *name, ScrtChars v);
void ex_tensor(Export *x, Onnxpb__Node *n, const char *name, const ScrtTensor *t);
void ex_graph(Export *x, Onnxpb__Node *n, const char *name, Onnxpb__Graph *g);
const char *ex_cast(Export *x, const char *value, ScrtDtype to);
/* Initializers. An i64 of rank 0 (count 1) or 1; one number of any type. */
const char *ex_i64(Export *x, uint32_t rank, uint32_t count, const int64_t *v);
const char *ex_scalar(Export *x, ScrtDtype t, double v);
/* Called `name`, or as the blob is (NULL). NULL after sc_fail. */
const char *ex_constant(Export *x, const char *name, const ScBlob *b, const ScType *t);
/* An input's default. b: NULL is zeros. */
void ex_default(Export *x, const char *name, const ScBlob *b, const ScType *t);
/* The model needs an operator set that knows the type. */
void ex_need(Export *x, ScrtDtype t);
/* The name of value v of the graph at hand, "" where it is absent. */
const char *ex_value(Export *x, ScVal v);
/* That of operand i of n. */
const char *ex_operand(Export *x, const ScNode *n, uint32_t i);
/* The name that value v is to have, made now. */
const char *ex_result(Export *x, ScVal v);
void ex_alias(Export *x, ScVal v, const char *name);
Onnxpb__ValueInfo *ex_info(Export *x, const char *name, const ScType *t);

/* --- Sizes: export_terms.c -------------------------------------------------------------------- */

void ex_symbol(Export *x, const char *sym, const char *value, uint32_t at, bool element);
/* Symbols that the extents of a value bind, where nothing around it does. */
void ex_symbols_of(Export *x, const ScType *t, const char *value);
/* The number t as an i64 tensor of one element; "" after sc_fail. */
const char *ex_number(Export *x, const ScTerm *t);
/* Numbers as an i64 tensor of rank 1: an initializer where all are known. */
const char *ex_numbers(Export *x, uint32_t n, const ScTerm *const *t);

/* --- Nodes ------------------------------------------------------------------------------------ */

/* export_rows.c: whether the node can be written; and writes it. */
bool ex_says(const ScGraph *g, const ScNode *n);
void ex_row(Export *x, const ScNode *n);
/* export_quant.c: which nodes are QuantizeLinear and DequantizeLinear; in x->a. */
const ExRole *ex_roles(Export *x, const ScGraph *g);
void ex_role(Export *x, const ScNode *n, const ExRole *r);
/* export_forms.c: rows that are said in words of their own. */
void ex_reshape(Export *x, const ScNode *n);
void ex_clip(Export *x, const ScNode *n);
void ex_cast_row(Export *x, const ScNode *n);
void ex_block_matmul(Export *x, const ScNode *n);
void ex_bind(Export *x, const ScNode *n);
void ex_term_row(Export *x, const ScNode *n);
void ex_iota(Export *x, const ScNode *n);
void ex_nonzero(Export *x, const ScNode *n);
void ex_unique(Export *x, const ScNode *n);
void ex_select_boxes(Export *x, const ScNode *n);
void ex_roi_align(Export *x, const ScNode *n);
/* export_string.c */
void ex_string_cast(Export *x, const ScNode *n);
void ex_string_case(Export *x, const ScNode *n);
void ex_string_parts(Export *x, const ScNode *n);
void ex_string_split(Export *x, const ScNode *n);
void ex_lookup(Export *x, const ScNode *n);
/* export.c */
void ex_if(Export *x, const ScNode *n);
void ex_loop(Export *x, const ScNode *n);

#endif
