/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share: the import in progress and readers of its attributes. */
#ifndef SC_FRONTEND_PRIV_H
#define SC_FRONTEND_PRIV_H

#include "frontend/frontend.h"
#include "ir/op.h"
#include "onnx.pb-c.h"

/* A string of the message; protobuf leaves out what is empty. */
static inline const char *im_text(const char *s)
{
    return s ? s : "";
}

#define IM_MAX_DEPTH   100u        /* nested messages; one level of control flow takes three */
#define IM_MIN_LIMIT   (64u << 20) /* unpacked bytes that any file may take */
#define IM_RATIO_LIMIT 8u          /* and how many times its size a larger file may take */
#define IM_MAX_NODES   1000000u
/* Nodes of nested graphs, counted each time one is walked; beside 16 times those of the one at
 * hand. */
#define IM_MAX_NESTED  10000u
#define IM_MAX_PORTS   10000u      /* inputs without an initializer, outputs */
#define IM_MAX_DOMAINS 1000u       /* operator sets that a model imports */
#define IM_MAX_LISTED  (4u << 20)  /* elements of sequences that are copied, on the whole */
#define IM_SEQ_FIRST   0x80000000u /* values from here on are handles: see sequence.h */
#define IM_LARGE       (64u << 10) /* fields of so many bytes are unpacked into the session */
#define IM_MAX_OPSET   28          /* the newest version of ai.onnx whose meaning is known here */
#define IM_MAX_IR      14          /* the newest file format */

/* Checks the wire format of a ModelProto without unpacking it: well formed, nesting and unpacked
 * size within the limits above. False after sc_fail. */
bool im_scan(ScCtx *cx, const void *bytes, size_t n);

/* Unpacks bytes that im_scan accepted. Large raw_data stays where it is (Tensor.raw_at) where bytes
 * lasts as long as the session; other large fields lie in the session and stay too; the rest is
 * freed by im_model_free. NULL after sc_fail. */
Onnxpb__Model *im_model_unpack(ScCtx *cx, const void *bytes, size_t n, bool lasts);
void im_model_free(Onnxpb__Model *m);

/* The model with its functions inlined, in the session's memory but for what it shares with m: m
 * itself where it has none. NULL after sc_fail. */
const Onnxpb__Model *im_inline(ScCtx *cx, const Onnxpb__Model *m);

/* A tensor as a blob of the session; name may be NULL. NULL after sc_fail at loc (NULL: the file).
 */
const ScBlob *im_tensor(ScCtx *cx, const ScLoc *loc, ScDataDirs dirs, const char *name,
                        const Onnxpb__Tensor *t);
/* Handles of n strings, [n], in the session's memory. */
const ScrtString **im_strings(ScCtx *cx, size_t n, const ProtobufCBinaryData *x);

/* Interned names and a number for each: open addressing, at most half full. {0} is empty. */
typedef struct ImNames {
    struct {
        const char *name;
        ScVal v;
    } *slot;
    uint32_t n, cap;             /* cap is a power of two */
    const struct ImNames *outer; /* of the scope around, or NULL: where reading goes on */
} ImNames;
bool im_names_define(ImNames *m, const char *name, ScVal v); /* false where it is there already */
bool im_names_get(const ImNames *m, const char *name, ScVal *ret);
void im_names_set(ImNames *m, const char *name, ScVal v); /* of one that is there */
void im_names_free(ImNames *m);

typedef struct Import {
    ScCtx *cx;
    ScBuild b;
    const char *file;
    const ScImportOptions *opt;
    const Onnxpb__Model *model;
    ImNames *names;     /* ONNX value name -> ScVal */
    ImNames *root;      /* those of the model's own graph */
    uint32_t depth;     /* of the graph that is being built: 0 is the model's own */
    ImNames *infos;     /* ONNX value name -> 1 + place among outputs, then value_info */
    ImNames *dims;      /* the names that dimensions have */
    ImNames *reads;     /* names that a node or an output reads */
    ImNames *pasts;     /* names of opt->past_of */
    ScVal bound[64][2]; /* [n_bound] values whose elements were bound, and the binders' results */
    uint32_t n_bound;
    uint32_t n_unrolled; /* nodes of loops that were written out */
    uint32_t n_own;      /* extents of carried values that are bound anew each turn */
    uint32_t n_nested;   /* nodes of nested graphs, each time that one was walked */
    uint32_t n_drawn;    /* nodes that draw random numbers */
    struct ImSeq **seq;  /* [n_seq] the sequences that handles stand for */
    uint32_t n_seq, cap_seq;
    uint64_t n_listed; /* elements of sequences that were copied */
    uint64_t n_dense;  /* bytes that sparse tensors took when they were filled up */
} Import;

static inline ScDataDirs im_dirs(const Import *im)
{
    return im->opt ? im->opt->dirs : (ScDataDirs){0};
}

/* tensor.c: a tensor of the graph at hand. In the model's own it is found again by its name, in a
 * nested one, where others may have the name, by what it holds. */
const ScBlob *im_own_tensor(Import *im, const ScLoc *loc, const char *name,
                            const Onnxpb__Tensor *t);
/* A sparse tensor with its zeros; all of them take IM_MIN_LIMIT bytes at most. NULL after
 * sc_fail. Its name is that of its values. */
const ScBlob *im_sparse(Import *im, const ScLoc *loc, const char *name,
                        const Onnxpb__SparseTensor *t);
static inline const char *im_sparse_name(const Onnxpb__SparseTensor *t)
{
    return t->values ? im_text(t->values->name) : "";
}

/* A value, or a handle, under its ONNX name; false after sc_fail where the name is taken. */
bool im_define(Import *im, const ScLoc *loc, const char *name, ScVal v);
/* ports.c: the model's inputs that have no initializer; its outputs. */
bool im_inputs(Import *im);
/* im->pasts, and the state that one of them is which has an initializer; SC_ABSENT where the name
 * is none of them, SC_POISON after sc_fail. */
void im_pasts(Import *im);
ScVal im_past(Import *im, const char *name, const ScBlob *blob);
bool im_outputs(Import *im);
const char *im_domain(const char *domain); /* "" for ai.onnx */
/* The version of a node's domain: its function's, or that which the model imports, the newest known
 * for a newer one; 0: none. */
int im_opset(const Onnxpb__Model *m, const Onnxpb__Node *n);
const char *im_node_name(const Onnxpb__Node *n); /* or its first output's */
const char *im_node_op(const Onnxpb__Node *n);
/* False after an error that names every operator which nothing here imports. */
bool im_check_supported(Import *im);

/* The node that is being imported. */
typedef struct ImNode {
    Import *im;
    const Onnxpb__Node *pb;
    const ScLoc *loc;
    int opset;     /* of the node's domain */
    uint32_t n_in; /* trailing absent ones are cut off */
    const ScVal *in;
    uint32_t n_out; /* up to the last one that somebody reads, but one at least */
} ImNode;

/* Whether somebody reads result i; im->reads is complete once im_order was asked. */
bool im_wanted(const ImNode *n, uint32_t i);

/* Indices of g's nodes, [n_node], so that each comes after those whose results it or its nested
 * graphs read, otherwise as they stand; a warning where that is another order than the file's. NULL
 * after sc_fail: nodes that need each other. Notes in im->reads what g reads. */
const uint32_t *im_order(Import *im, const Onnxpb__Graph *g);

/* Calls see for each name that g, a nested graph, reads from around it, once for each place. */
void im_each_free(ScCtx *cx, const Onnxpb__Graph *g, void (*see)(void *arg, const char *name),
                  void *arg);

/* The names that g itself defines. */
void im_names_of_graph(ScCtx *cx, const Onnxpb__Graph *g, ImNames *ret);

/* How an operator is imported that is not simply a row with the same operands and attributes.
 * Answers n_out values, poison after a mistake. */
typedef struct ImAdapter {
    const char *domain, *type;
    int since, until; /* opsets, until 0: to the newest */
    bool (*build)(const ImNode *n, ScVal *ret_out);
    uint32_t max_out; /* results it can answer; more are refused */
    uint32_t seqs;    /* bit i: operand i may be a sequence; bit 31: and those behind it */
    bool draws;       /* its results depend on the run: random numbers */
} ImAdapter;
const ImAdapter *im_adapter(const char *domain, const char *type, int opset);
const ImAdapter *im_adapter_at(uint32_t i); /* all of them; NULL past the last */
/* The adapters of a family each; they end with a NULL type. */
extern const ImAdapter im_basic_adapters[];
extern const ImAdapter im_window_adapters[];
extern const ImAdapter im_reduce_adapters[];
extern const ImAdapter im_parts_adapters[];
extern const ImAdapter im_index_adapters[];
extern const ImAdapter im_norm_adapters[];
extern const ImAdapter im_loss_adapters[];
extern const ImAdapter im_quant_adapters[];
extern const ImAdapter im_resize_adapters[];
extern const ImAdapter im_attention_adapters[];
extern const ImAdapter im_einsum_adapters[];
extern const ImAdapter im_grid_adapters[];
extern const ImAdapter im_gate_adapters[];
extern const ImAdapter im_pick_adapters[];
extern const ImAdapter im_control_adapters[];
extern const ImAdapter im_transposed_adapters[];
extern const ImAdapter im_scatter_adapters[];
extern const ImAdapter im_select_adapters[];
extern const ImAdapter im_recurrent_adapters[];
extern const ImAdapter im_fused_adapters[];
extern const ImAdapter im_fourier_adapters[];
extern const ImAdapter im_unpool_adapters[];
extern const ImAdapter im_heads_adapters[];
extern const ImAdapter im_sequence_adapters[];
extern const ImAdapter im_random_adapters[];
extern const ImAdapter im_grouped_adapters[];
extern const ImAdapter im_bits_adapters[];
extern const ImAdapter im_linear_adapters[];
extern const ImAdapter im_deform_adapters[];
extern const ImAdapter im_string_adapters[];
extern const ImAdapter im_legacy_adapters[];
/* A node whose ONNX operands and attributes are the row's. */
bool im_row(const ImNode *n, const ScOp *op, ScVal *ret_out);
/* adapt_window.c: Conv, for those that convolve other operands than the node's or have attributes
 * beside these. */
#define IM_CONV_ATTRS "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"
bool im_conv(const ImNode *n, ScVal *ret_out);
/* adapt.c: Gemm, likewise. */
#define IM_GEMM_ATTRS "alpha", "beta", "transA", "transB"
bool im_gemm(const ImNode *n, ScVal *ret_out);
/* What slides over the extents behind the second. */
typedef struct ImWindow {
    uint32_t n;                    /* spatial dims */
    int64_t kernel[SCRT_MAX_RANK]; /* 0: only the run knows: that of operand 1 */
    int64_t stride[SCRT_MAX_RANK], dilation[SCRT_MAX_RANK];
    const ScTerm *pads[2 * SCRT_MAX_RANK]; /* begins, then ends */
} ImWindow;
/* Whether nothing but the extents of operand 1 says how large the kernel is, and they are symbols.
 */
bool im_late_kernel(const ImNode *n);
/* adapt_unfold.c: Conv by a kernel of extents that only the run knows; w has no extents of it. */
bool im_conv_unfolded(const ImNode *n, const ImWindow *w, int64_t group, ScVal *ret_out);
/* Strides and dilations, ones where they are absent. */
bool im_window(const ImNode *n, ImWindow *w);
/* The kernel's extents are those of operand 1; where the attribute is there too it must say the
 * same, and says it where only a run knows those. */
bool im_window_of_weight(const ImNode *n, ImWindow *w);
/* Operand 1 with extents that are so known. */
ScVal im_weight(const ImNode *n, const ImWindow *w);
/* adapt_unpool.c: where the maxima of a pool of operand 0 lie in it, seen as one row of elements,
 * i64; by_column: in a channel the first spatial axis is the fastest. out: the pool's extents,
 * [rank]. */
ScVal im_pool_indices(const ImNode *n, const ImWindow *w, bool by_column, const ScTerm *const *out);
/* adapt_attention.c: the pairs (a, b) of the last axis of x turned by an angle for each position.
 */
typedef struct ImRotary {
    ScVal x;             /* [B, H, L, E], or [B, L, H E] of `heads` */
    ScVal cosine, sine;  /* [position, half] where `at` picks, else [B, L, half] */
    ScVal at;            /* [B, L] positions, or SC_ABSENT */
    int64_t heads;       /* 0: not known */
    bool pairs;          /* neighbours; else the halves of the axis */
    const ScTerm *width; /* of what is turned; NULL: all of E */
} ImRotary;
ScVal im_rotated(const ImNode *n, const ImRotary *r); /* of x's shape; SC_POISON after sc_fail */
/* adapt_norm.c: the type that "stash_type" says, f32 by default: means and deviations have it. What
 * is reckoned in fewer bits than f32 is so in f32; that is exacter. False after sc_fail. */
bool im_stash(const ImNode *n, ScrtDtype *ret);
/* Attribute "epsilon", in what is computed in for t. */
ScVal im_epsilon(const ImNode *n, ScrtDtype t, double def, bool *ok);
/* a [B, heads, m, k] by b [B, kv, k, n]: groups of heads share one of b's. */
ScVal im_heads_product(const ImNode *n, ScVal a, ScVal b, const ScTerm *heads, const ScTerm *kv);
/* adapt_select.c. The only element of an integer value as a term, a symbol bound to it where it
 * depends on data: of u64 it is known that it is not negative. NULL after SC_E_DYNAMIC. */
const ScTerm *im_counted(const ImNode *n, ScVal v);
/* [rank, how many]: where x is not zero. SC_POISON after sc_fail. */
ScVal im_positions(const ImNode *n, ScVal x);
/* adapt_random.c. Whether a node of g, or of a graph nested in it, may draw random numbers; then
 * the number that makes each run's others, u32, has a name in each scope, which no model gives. */
bool im_draws(const Onnxpb__Graph *g);
const char *im_run_name(ScCtx *cx);
ScVal im_run(Import *im); /* the number: in the model's own graph it is made, a state */
/* In a loop's body, whose names are in scope: the number is another each turn. */
void im_count_turns(const ImNode *n, ImNames *scope, ScVal turn);
/* Operand 0 with each element 0 with probability `ratio`, the others divided by what is left of 1;
 * the mask is true for those. */
bool im_drop(const ImNode *n, ScVal ratio, ScVal *ret_y, ScVal *ret_mask);
/* Imports a graph nested in n in place, in a scope of its own: in are its inputs, [g->n_input];
 * ret_out its first n_out outputs. False after sc_fail. */
bool im_body(const ImNode *n, const Onnxpb__Graph *g, const ScVal *in, uint32_t n_out,
             ScVal *ret_out);

/* --- Graphs that stay nested: nested.c ------------------------------------------------------- */

/* What graphs read from around them: constants, which each has for itself, and the others, which
 * become operands and inputs. A sequence is followed by its elements, which have no names. */
typedef struct ImCaptures {
    struct ImCapture {
        const char *name;   /* ONNX value name, or NULL */
        ScVal v;            /* around */
        const ScBlob *blob; /* of a constant, of this type; else NULL */
        const ScType *type;
        const ScTerm *const *content;
    } *p;
    uint32_t n, cap;
} ImCaptures;
/* Of n_graph graphs together. */
void im_captures(const ImNode *n, uint32_t n_graph, const Onnxpb__Graph *const *g, ImCaptures *ret);
void im_captures_free(ImCaptures *c);
/* Those that are operands, appended to in, which has room for c->n; how many. */
uint32_t im_capture_operands(const ImCaptures *c, ScVal *in);

/* From begin to end n->im->b builds the nested graph, whose inputs are those that the caller makes,
 * then, with im_nested_captures, those of the captures; names are those of the captures. */
typedef struct ImNested {
    ScBuild around;
    ImNames *names, scope;
} ImNested;
void im_nested_begin(const ImNode *n, ImNested *x, const char *name);
bool im_nested_captures(const ImNode *n, ImNested *x, const ImCaptures *c);
ScGraph *im_nested_end(const ImNode *n, ImNested *x, bool ok); /* NULL where not ok, or errors */
/* A node of row `if` or `loop`; the extents that it binds are named after the node. Takes sub. */
bool im_control(const ImNode *n, const ScOp *op, int64_t carried, ScGraph *const *sub,
                uint32_t n_in, const ScVal *in, uint32_t n_out, ScVal *ret_out);

/* Attributes by name. The readers with a default answer it where there is none, and record
 * SC_E_ATTRIBUTE and set *ok to false where the type is another. */
const Onnxpb__Attribute *im_attr(const ImNode *n, const char *name);
int64_t im_int(const ImNode *n, const char *name, int64_t def, bool *ok);
double im_float(const ImNode *n, const char *name, double def, bool *ok);
const char *im_str(const ImNode *n, const char *name, const char *def, bool *ok);
/* The list and its length; NULL and 0 where there is none. */
const int64_t *im_ints(const ImNode *n, const char *name, uint32_t *ret_n, bool *ok);
/* False with SC_E_ATTRIBUTE if the node has an attribute that is not in the list (ended by NULL).
 */
bool im_only_attrs(const ImNode *n, const char *const *known);

/* Operand i, or SC_ABSENT. */
static inline ScVal im_in(const ImNode *n, uint32_t i)
{
    return i < n->n_in ? n->in[i] : SC_ABSENT;
}
static inline bool im_has(const ImNode *n, uint32_t i)
{
    return im_in(n, i) != SC_ABSENT;
}
/* An attribute without a value, for a node that import makes; the session's. */
Onnxpb__Attribute *im_new_attr(ScCtx *cx, const char *name);
/* What is computed in: f64 where t is, else f32. */
static inline ScrtDtype im_at_least_f32(ScrtDtype t)
{
    return t == SCRT_F64 ? SCRT_F64 : SCRT_F32;
}
/* Of operand i; poison and absent have types too, a sequence is absent. */
const ScType *im_type(const ImNode *n, uint32_t i);
/* Of a value that is built. */
static inline const ScType *im_type_of(const ImNode *n, ScVal v)
{
    return sc_built(&n->im->b, v)->type;
}
/* The data of a constant; NULL: v is none. */
static inline const ScBlob *im_const(const ImNode *n, ScVal v)
{
    const ScNode *def = v < SC_FIRST ? NULL : sc_built_def(&n->im->b, v);
    return def && (def->op->flags & SC_CONST_OP) ? sc_attr(def, 0)->blob : NULL;
}
/* After an error about operand i, of which something must be known and is not: says which --dim
 * would tell more of it, if one does. */
void im_advise(const ImNode *n, uint32_t i);
/* False after the error that operand i must be constant, with such advice. */
bool im_unknown(const ImNode *n, uint32_t i);
/* The number that t is; false after SC_E_DYNAMIC, with the --dim that would make it one. */
bool im_number_of(const ImNode *n, const ScTerm *t, const char *what, int64_t *ret);
/* False after SC_E_DYNAMIC, with the --dim that decides what `by` depends on (NULL: nothing does).
 */
bool im_undecided(const ImNode *n, const char *what, const ScTerm *by);
/* False where the model or the import calls a symbol so; else it is taken from now on. */
bool im_name_symbol(Import *im, const char *name);
/* Whether the extents of t mean something outside of what a loop's turn computes: they are numbers,
 * or of inputs of the model. */
bool im_outlives(const ImNode *n, const ScType *t);
/* A symbol that nothing else is called by: base and i, and what it takes. */
const ScTerm *im_fresh_symbol(Import *im, const char *base, uint32_t i);
/* An integer value whose elements symbols of its own are bound to; SC_ABSENT where their number is
 * not known or large. */
ScVal im_bind(const ImNode *n, ScVal v);
/* v, with symbols of their own for extents that have become so long that no operation on them could
 * be said any more. */
ScVal im_short_dims(const ImNode *n, ScVal v);
/* The elements of integer operand i as terms: of symbols bound to them where they depend on data.
 * SC_E_DYNAMIC and NULL where that cannot be. */
const ScTerm *const *im_content(const ImNode *n, uint32_t i, uint32_t *ret_n);
/* The same of an operand that must have this many elements: where its extent is a symbol, guarded.
 */
const ScTerm *const *im_content_of(const ImNode *n, uint32_t i, uint32_t count);
/* Those of im_content as constants. */
const int64_t *im_const_ints(const ImNode *n, uint32_t i, uint32_t *ret_n);
/* The rank that the model declares for the node's result i; -1 where it says nothing. */
int im_declared_rank(const ImNode *n, uint32_t i);
int im_rank_of(const Onnxpb__ValueInfo *v); /* -1 where it says none, or too much */
/* What the node needs of two terms: false with SC_E_SHAPE where it certainly does not hold; a guard
 * of the graph where only a run can tell. */
bool im_require(const ImNode *n, ScGuardKind kind, const ScTerm *a, const ScTerm *b,
                const char *what);
/* The only element of integer operand i as a term; NULL as above. */
const ScTerm *im_content1(const ImNode *n, uint32_t i);
/* The elements of a value that depends on constants and known extents alone, small ones: the
 * tensor's data is freed with scrt_free. False without an error where it is not known. */
bool im_known(const ImNode *n, ScVal v, ScrtTensor *ret);
/* What depends on constants alone as a constant, however large: for types that no kernel reads. v
 * itself where it depends on others. */
ScVal im_folded(const ImNode *n, ScVal v);
/* The only element of operand i, known like that; false after SC_E_DYNAMIC or SC_E_SHAPE. */
bool im_known1(const ImNode *n, uint32_t i, double *ret);
/* The number that v is, known like that; false without an error where it is not, or not one. */
bool im_known_int(const ImNode *n, ScVal v, int64_t *ret);
/* Builds row op with attributes given by name; the rest take defaults. */
typedef struct ImSet {
    const char *name;
    ScAttr value;
} ImSet;
ScVal im_build(const ImNode *n, const ScOp *op, uint32_t n_set, const ImSet *set, uint32_t n_in,
               const ScVal *in);
#define IM_SET(...)                                                                                \
    sizeof((ImSet[]){__VA_ARGS__}) / sizeof(ImSet), (ImSet[])                                      \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define IM_IN(...)                                                                                 \
    sizeof((ScVal[]){__VA_ARGS__}) / sizeof(ScVal), (ScVal[])                                      \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* --- Short words for adapters that write several nodes: make.c ------------------------------- */

/* The one result of an adapter; false where it is poison. */
bool im_answer(ScVal v, ScVal *ret_out);
#define IM_ONLY(n, ...) im_only_attrs((n), (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
/* An axis in [-rank, rank) brought to [0, rank), or SC_E_AXIS. */
bool im_axis(const ImNode *n, int64_t axis, uint32_t rank, uint32_t *ret);
/* SC_E_ARITY unless the node has lo to hi operands, the first lo of which are there. */
bool im_arity(const ImNode *n, uint32_t lo, uint32_t hi);

/* The extents of t, copied to ret. */
void im_dims(const ScType *t, const ScTerm **ret);

/* Each answers its operand where there is nothing to do. */
ScVal im_cast(const ImNode *n, ScVal x, ScrtDtype to);
ScVal im_reshape(const ImNode *n, ScVal x, uint32_t rank, const ScTerm *const *dim);
ScVal im_expand(const ImNode *n, ScVal x, uint32_t rank, const ScTerm *const *dim);
ScVal im_transpose(const ImNode *n, ScVal x, uint32_t rank, const int64_t *perm);
/* Axis `from` of x at place `to`, the others in their order. */
ScVal im_moved(const ImNode *n, ScVal x, uint32_t from, uint32_t to);
/* Indices [start, end) of an axis of x; end NULL: to the last. */
ScVal im_slice(const ImNode *n, ScVal x, uint32_t axis, const ScTerm *start, const ScTerm *end);
ScVal im_gather(const ImNode *n, ScVal x, uint32_t axis, ScVal index);
ScVal im_concat(const ImNode *n, uint32_t axis, uint32_t n_in, const ScVal *in);
ScVal im_scalar(const ImNode *n, ScrtDtype t, double x);
/* The number t as an i64 scalar: a constant, or computed when the model runs. */
ScVal im_number(const ImNode *n, const ScTerm *t);
/* The i64 numbers 0 .. count - 1 along one axis, `after` axes of extent 1 behind it, so that they
 * broadcast. */
ScVal im_iota(const ImNode *n, const ScTerm *count, uint32_t after);
ScVal im_reduce(const ImNode *n, const ScOp *op, ScVal x, uint32_t n_axis, const int64_t *axis,
                bool keep);

#endif
