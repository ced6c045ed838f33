/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the op table: an operator is one constant that states facts, and the functions named
 * there. Passes ask rows for facts and never which row it is. Adding one: see ops/README.md. */
#ifndef SC_OP_H
#define SC_OP_H

#include "ir/expr.h"
#include "ir/ir.h"

#define SC_MAX_IN   16 /* operands of a row that is not variadic */
#define SC_MAX_OUT  8  /* results */
#define SC_MAX_VARS 8  /* variables of a scale signature */

/* Facts that are yes or no. */
enum {
    SC_FRESH = 1 << 0,    /* another result on every run: never merged, never folded */
    SC_COMMUTES = 1 << 1, /* the first two operands may be exchanged */
    SC_BARRIER = 1 << 2,  /* input, state: no operands, not folded */
    SC_CONST_OP = 1 << 3, /* const: its value is known at compile time */
    SC_INDEX = 1 << 4,    /* iota: element k is k, so kernels compute it where they read it */
    /* Attribute `as`, the first, names symbols that the node binds: to the elements of its operand;
     * of a row with nested graphs: to the extents of its results, one after another, where an entry
     * is a symbol. */
    SC_BINDS = 1 << 5,
    SC_MEASURES = 1 << 6, /* the result is an exponent that suits operand 0's data in this run */

    /* What is done to elements. */
    SC_VIEW_OP = 1 << 7,   /* moved, none changed: also passes g, sign, softmax and `any` on */
    SC_CONVERTS = 1 << 8,  /* cast: the result is operand 0, rounded to another type */
    SC_SUMS = 1 << 9,      /* matmul, conv, sums: adds up many products or elements */
    SC_AVERAGES = 1 << 10, /* and divides by how many: a mean */
    /* What an expansion computes of narrow floats is in f32, results are rounded at its end. */
    SC_ROUNDS_ONCE = 1 << 11,
    /* rebalance: the result's exponent is the node's own, attribute `to`, not the signature's.
     * `saturate` (int, default 0): finite data that would become infinite becomes the largest of
     * its sign, so that a mask stays finite. */
    SC_REBALANCES = 1 << 12,

    /* What is known of the first result's sign, and where weights that sum to 1 are. */
    SC_NONNEG = 1 << 13,        /* it is never negative */
    SC_SQUARES = 1 << 14,       /* it is never negative when both operands are the same value */
    SC_CONVEX = 1 << 15,        /* it holds weights that sum to 1: softmax */
    SC_PASSES_CONVEX = 1 << 16, /* from its float operands: views, casts, where */

    /* Masks: SCALES, `any`. */
    SC_ANY_THROUGH = 1 << 17, /* a result of `any` operands is `any`: views, casts, where, concat */
    SC_ANY_SINGLE = 1 << 18,  /* a single mask-sized constant as an operand here is `any` */
    SC_ANY_PRODUCT = 1 << 19, /* a product with a finite `any` constant is `any` */
    SC_MASK_ENDS = 1 << 20,   /* a mask has no effect beyond this op: softmax, matmul */
};

/* How an attribute stands in the text form. */
typedef enum ScAttrText {
    SC_TEXT_NAMED,   /* {axis = 1}, left out where it has its default */
    SC_TEXT_OPERAND, /* after the operands: rebalance %6, 0. At most one of a row */
    SC_TEXT_DTYPE,   /* left out: it is the element type of result 0 */
    SC_TEXT_SHAPE,   /* left out: it is the shape of result 0 */
} ScAttrText;

/* One attribute of the schema. */
typedef struct ScAttrDef {
    const char *name;
    ScAttrKind kind;
    bool required;
    ScAttr def; /* default; kind SC_A_NONE: none */
    const char *doc;
    ScAttrText text;
} ScAttrDef;

/* What inference is told and answers. */
typedef struct ScInfer {
    ScCtx *cx;
    const ScLoc *loc;
    const ScOp *op;
    const ScAttr *attr;
    const ScGraph *const *sub;
    uint32_t n_in, n_out;
    const ScType *const *in; /* [n_in], and absent ones up to the schema's number of operands;
                              * absent ones have kind SC_TYPE_ABSENT; none is poison */
    const char *const *name; /* [n_in] names of the operands for messages, never NULL */
    const ScTerm *const *const *content; /* [n_in] elements known as terms, or NULL each */
    const ScType **ret;                  /* [n_out] */
    const ScTerm *const **ret_content;   /* [n_out] NULL, or elements of integer results as terms */
    ScArena *arena;                      /* for ret_content */
    ScGuards *guards;                    /* takes what is not proven; NULL: nobody asks */
    bool one_type;                       /* see sc_build_one_type */
    bool *unnamed; /* rows with control, asked what lacks a name: see sc_control_unnamed */
} ScInfer;
/* Of a node of row op, which has control, on these operands: which extents of its results, one
 * after another, attribute `as` must name, true in ret. [*ret_n] in the session. False after errors
 * at b->at. */
bool sc_control_unnamed(ScBuild *b, const ScOp *op, int64_t carried, ScGraph *const *sub,
                        uint32_t n_in, const ScVal *in, uint32_t n_out, bool **ret,
                        uint32_t *ret_n);
/* Records SC_E_... at the node with a row for each operand: label (the operand's name in the row,
 * in the ONNX spelling where given), value name, type. Returns false. */
bool sc_infer_fail(const ScInfer *in, ScDiagId id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Checks arity, required attributes and the operands' classes by the schema, then asks the row: the
 * one way in which rows infer. in->in must have room as said above. */
bool sc_infer(ScInfer *in);
/* Common rules. */
bool sc_infer_same(ScInfer *in);      /* every result like operand 0 */
bool sc_infer_broadcast(ScInfer *in); /* operands broadcast, dtypes equal; results of that shape */
bool sc_infer_compare(ScInfer *in);   /* as broadcast, results bool */
/* Broadcasts shapes a and b: terms of max rank, or fails with SC_E_BROADCAST. */
bool sc_broadcast(const ScInfer *in, const ScType *a, const ScType *b, uint32_t *ret_rank,
                  const ScTerm **ret_dim);
/* What a rule needs of terms. True where it holds certainly, or may: then it is recorded as a
 * guard. False where it certainly does not hold: then sc_require_... have recorded SC_E_SHAPE at
 * the node. what: what a and b are, in plain words. */
bool sc_holds(const ScInfer *in, ScGuardKind kind, const ScTerm *a, const ScTerm *b,
              const char *what);
bool sc_require_equal(const ScInfer *in, const ScTerm *a, const ScTerm *b, const char *what);
bool sc_require_differ(const ScInfer *in, const ScTerm *a, const ScTerm *b, const char *what);
bool sc_require_at_most(const ScInfer *in, const ScTerm *a, const ScTerm *b, const char *what);
bool sc_require_nonneg(const ScInfer *in, const ScTerm *t, const char *what);
bool sc_require_divides(const ScInfer *in, const ScTerm *a, const ScTerm *b, const char *what);
/* The extent of a result where a and b were required to be equal: the number, where one is one. */
const ScTerm *sc_unified(const ScTerm *a, const ScTerm *b);
/* The stride along an extent `have` seen as one of extent `space`, of which it is 1 or equal:
 * nothing where it is 1. Where only a run knows, the stride is multiplied by min(have - 1, 1). */
const ScTerm *sc_broadcast_stride(ScCtx *cx, const ScTerm *have, const ScTerm *space,
                                  const ScTerm *stride);
/* Normalises an axis to [0, rank), or fails with SC_E_AXIS. */
bool sc_axis(const ScInfer *in, int64_t axis, uint32_t rank, uint32_t *ret);

/* What evaluation is told. Results have dtype and dims and zeroed data. The rule computes in f64
 * and stores each element once. False after sc_fail. */
typedef struct ScEval {
    ScCtx *cx;
    const ScGraph *g;
    const ScNode *n;
    const ScrtTensor *const *in; /* [n_in], NULL where absent */
    ScrtTensor *out;             /* [n_out] */
    const int64_t *exp_in; /* [n_in] exponents of the operands where the graph is scaled, else 0s */
    const int64_t *exp_out; /* [n_out] */
    const ScBinding *env;   /* values of symbols, for attributes that are terms */
    uint32_t n_env;
} ScEval;
int64_t sc_eval_term(const ScEval *e,
                     const ScTerm *t); /* 0 and an error in cx if it has no value */

/* How elements of one loop class are computed: see classes.def. */
typedef enum ScClass {
#define SC_CLASS(id, name, facts, descriptor, meaning) SC_##id,
#include "ir/classes.def"
#undef SC_CLASS
    SC_N_CLASS,
} ScClass;

/* What fuse and codegen are told of a class. */
enum {
    SC_LEADS = 1 << 0,    /* one such node makes the kernel */
    SC_EPILOGUE = 1 << 1, /* and MAP nodes may stand beside and after it, over its result's space */
    SC_FED = 1 << 2,      /* nodes of the kernel may compute its operands */
    SC_OVER_VIEWS = 1 << 3, /* views may stand on its operands in the kernel, */
    SC_OVER_INDEX = 1 << 4, /* and on iota */
    SC_ANY_LAYOUT =
        1 << 5,          /* the operands' dims may be in another order, if its results' are too */
    SC_STRIDED = 1 << 6, /* its operands and its result may lie with strides */
    SC_SEVERAL = 1 << 7, /* a kernel may have several results */
};
enum {
    SC_EPILOGUE_MAX = 32, /* of a kernel with a leader: values that its MAP nodes read from outside,
                           * and results */
    SC_WAY_MAX = 8,       /* MAP nodes on the way into a leader's operand */
};
typedef struct ScClassFacts {
    const char *name, *meaning;
    uint32_t facts;
} ScClassFacts;
extern const ScClassFacts sc_class[SC_N_CLASS];
static inline bool sc_class_is(ScClass c, uint32_t facts)
{
    return (sc_class[c].facts & facts) == facts;
}
ScClass sc_class_named(const char *name); /* SC_N_CLASS where there is none */
/* The node of a kernel's graph that leads it, or NULL: see SC_LEADS. */
const ScNode *sc_leader(const ScGraph *sub);
/* What MAP node n computes its result from, element by element: the one value that it reads beside
 * constants of one element, of its result's shape. SC_POISON where it reads others. */
ScVal sc_way_from(const ScGraph *g, const ScNode *n);
/* Whether n is one of a chain of at most SC_WAY_MAX such nodes that ends in one of the leader's
 * first `n_way` operands: applied to the elements as the leader reads them. */
bool sc_on_way(const ScGraph *g, const ScNode *lead, const ScNode *n);
bool sc_is_on_way_to(const ScGraph *g, ScVal operand, const ScNode *n); /* to this operand of one */

typedef enum ScMonoid { SC_SUM, SC_MAX, SC_MIN, SC_PROD } ScMonoid;

typedef struct ScReduce {
    ScMonoid monoid;
    uint32_t n_axis;
    uint32_t axis[SCRT_MAX_RANK]; /* ascending, of operand 0 */
    bool keep;                    /* reduced axes stay with extent 1 */
} ScReduce;

/* Element k along the axis is what elements 0 .. k of operand 0 combine to. */
typedef struct ScScan {
    ScMonoid monoid;
    uint32_t axis;
    bool exclusive; /* element k itself is left out: the first is the monoid's neutral element */
    bool reverse;   /* from the last to the first */
} ScScan;

/* out[.., m, n] = sum over k of A[.., m, k] * B[.., k, n], leading dims broadcast. A rank 1 operand
 * has no m or n. */
typedef struct ScContract {
    bool trans_a, trans_b; /* stored as [k, m], [n, k] */
    uint32_t scales; /* the operand with a factor for each `block` rows of a column of B, a constant
                      * as B is; the product of both is rounded to f32; 0: none */
    int64_t block;   /* see sc_block_fits */
    uint32_t a_bits; /* 8 or 16: elements of A may be rounded to integers of so many bits, as many
                      * times smaller as the largest of their `block` needs; 0: they may not */
} ScContract;
enum {
    SC_LONGEST_BLOCK = 1 << 16, /* elements, of rows quantize and dequantize */
    SC_MEASURE_LIMIT = 64,      /* exponent of row measure, either way: no product of data and 2^e
                                 * leaves the range of f32 */
};
/* The sizes of blocks that a product reads: powers of two. */
static inline bool sc_block_fits(int64_t block)
{
    return block >= 4 && block <= 4096 && (block & (block - 1)) == 0;
}

/* What a query [B, H, L, E] takes of values v [B, Hkv, S, Ev] by its products with keys k
 * [B, Hkv, S, E], operands 0 to 2; operand 3 scales the products. H is a multiple of Hkv. */
typedef struct ScAttention {
    int keep;    /* operand index, or -1; both broadcast to [B, H, L, S]. True: the score stays */
    double fill; /* else it becomes this */
    int addend;  /* then this is added */
    const ScTerm *diagonal; /* query i sees keys up to i + diagonal; NULL: all */
    double softcap;         /* scaled products become softcap tanh(s / softcap); 0: they stay */
    int zeros; /* 0: a query that sees no key gives NaN; 1: 0; 2: so does one of weights NaN */
} ScAttention;

/* A window slides over the last n_spatial dims of x [batch, channel, spatial...]. */
typedef struct ScWindow {
    uint32_t n_spatial;
    int64_t kernel[SCRT_MAX_RANK], stride[SCRT_MAX_RANK], dilation[SCRT_MAX_RANK];
    const ScTerm *pad_begin[SCRT_MAX_RANK], *pad_end[SCRT_MAX_RANK]; /* elements */
    bool hangs;         /* the last window may reach beyond pad_end */
    bool channels_last; /* x and the result are [batch, spatial..., channel] */
} ScWindow;

/* Sums of products with w [out, in / group, kernel...], operand 1, which is not turned round where
 * channels are last. */
typedef struct ScConv {
    ScWindow window;
    int64_t group;
} ScConv;

/* What the elements of a window combine to; positions outside x are skipped. */
typedef struct ScPool {
    ScWindow window;
    ScMonoid monoid;
    bool mean, count_pad; /* divided by the positions used, or those in pads too */
} ScPool;

/* Where element (i0, i1, ...) of a result lies in the operand's own buffer: offset + sum i *
 * stride. */
typedef struct ScView {
    uint32_t rank;
    const ScTerm *dim[SCRT_MAX_RANK], *stride[SCRT_MAX_RANK], *offset;
} ScView;

/* What a step of the program calls: a function of the runtime, on dense operands. */
typedef struct ScCall {
    ScrtCallee callee;
    uint32_t n_param;
    const ScTerm *param[4]; /* as the function says */
    /* Bytes that it works in, shared by the threads and for each of them; NULL: none. */
    const ScTerm *scratch, *scratch_thread;
    int in_place; /* the operand whose memory may be result 0's as well, or -1 */
} ScCall;

typedef struct ScLower {
    ScClass cls;
    /* MAP: element of each result from elements of the operands. REDUCE: `body` runs before and
     * `post` after combining; either may be NULL for the identity. */
    void (*body)(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out);
    void (*post)(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out);
} ScLower;

/* What growth is told: see SCALES. All in 1/256 of a bit. */
typedef struct ScGrow {
    const ScGraph *g; /* the graph being rewritten and its node: for extents and attributes */
    const ScNode *n;
    const int32_t *in;  /* [n_in] g of the operands as rebalanced; SC_NO_G where there is none */
    const bool *nonneg; /* [n_in] has one sign */
    const bool *convex; /* [n_in] weights that sum to 1: a softmax, through views, casts, where */
    int64_t e_first;    /* exponent of the first operand as rebalanced, where constant */
    /* [n_in] how much of the operand's power has one sign, in 1/255: all of a relu's, none of a
     * product's; of a sum with such a branch, that branch's share. */
    const uint8_t *lean;
    int32_t *ret; /* [n_out] in: what the signature gives, SC_NO_G if unknown; out: the estimate */
    uint8_t *ret_lean; /* [n_out] in: 255 where nothing is negative, else what is carried on or 0 */
    const ScTerm *
        *ret_shift; /* [n_out] bits to add to the exponent for symbolic extents, or NULL */
} ScGrow;
/* round(256 log2 x), the same on every machine; SC_NO_G unless x is finite and above 0. */
int32_t sc_log2_256(double x);

/* What a bound is told: 256 log2 of magnitudes, of the numbers that values stand for. */
#define SC_NO_TOP INT32_MAX /* not known */
typedef struct ScTop {
    const ScGraph *g;
    const ScNode *n;
    const int32_t *in;    /* [n_in] no element is larger */
    const int32_t *least; /* [n_in] of constants: no element is smaller */
    const bool *nonneg;   /* [n_in] no element is below 0 */
    int32_t *ret;         /* [n_out] in: SC_NO_TOP; out: what is provable of the results */
} ScTop;
/* The row's bound: .most, .top or what is carried on. */
void sc_row_top(const ScTop *t);

/* What the steps of a row of class STEP do with its nested graphs. */
typedef enum ScControl {
    SC_NO_CONTROL,
    SC_BRANCH, /* run the first where operand 0 is true, else the second */
    SC_TURNS,  /* run the only one again and again: see row loop */
} ScControl;

struct ScOp {
    const char *name; /* of the row, in text and messages */
    const char *doc;  /* one line */
    struct {
        const char *domain,
            *type;        /* "" is ai.onnx; type NULL: no ONNX operator is this row by itself */
        int since, until; /* opsets whose meaning this is; until 0: to the newest known */
    } onnx;
    /* Operands and results: "x: float, axes?: int, xs...: any". Classes: float, int, bool, any, num
     * (float or int), shape (i64), plain (no string), string. `?` optional, `...` repeats (last
     * only). Results likewise. */
    const char *in, *out;
    ScAttrDef attr[SC_MAX_ATTR];
    uint32_t n_attr, n_sub;
    /* How operands enter nested graphs: operand enter.operand + k is input enter.input + k of each.
     */
    ScControl control;
    struct {
        uint8_t operand, input;
    } enter;
    uint32_t flags;

    bool (*infer)(ScInfer *in); /* required */

    const char
        *scale; /* scale signature, SCALES.md; required where an operand or result is a float */
    /* Adds to the signature's g what the op itself grows; NULL: nothing. */
    void (*growth)(const ScGrow *g);
    float grow[2]; /* increments in bits for results 0 and 1, where growth is NULL */
    /* A ceiling of the results' magnitude that follows from the operands'; NULL: none, but rows
     * that only carry elements on (views, casts, where, concat) have that of their float operands.
     * most: one for result 0 whatever the operands are; 0: none. SCALES, Bounds. */
    void (*top)(const ScTop *t);
    float most;
    uint32_t quantizable; /* bit i: operand i may be stored in low precision */
    uint32_t storable;    /* bit i: operand i too, where it is a constant: its result is widened */
    uint32_t unpacks;     /* bit i: constant i is read packed, though its elements have few bits */
    uint32_t bias;        /* the optional operand that is added to result 0; 0: there is none */
    /* The dim of result 0 along which a bias, of rank 1, lies; NULL: it broadcasts to the result.
     */
    uint32_t (*bias_axis)(const ScGraph *g, const ScNode *n);

    ScLower lower;
    uint32_t n_way; /* of a row that leads: of so many first operands elements may be computed as
                     * they are read, by MAP nodes: see sc_on_way */
    /* The descriptors of the classes; required by the class in `lower`. */
    void (*reduce)(const ScGraph *g, const ScNode *n, ScReduce *ret);
    void (*contract)(const ScGraph *g, const ScNode *n, ScContract *ret);
    void (*conv)(const ScGraph *g, const ScNode *n, ScConv *ret);
    void (*pool)(const ScGraph *g, const ScNode *n, ScPool *ret);
    void (*scan)(const ScGraph *g, const ScNode *n, ScScan *ret);
    void (*attention)(const ScGraph *g, const ScNode *n, ScAttention *ret);
    /* Rewrites the view of operand 0 into that of result 0; false where strides cannot say it. */
    bool (*view)(ScCtx *cx, const ScGraph *g, const ScNode *n, ScView *io);
    uint32_t (*concat_axis)(const ScGraph *g, const ScNode *n); /* in [0, rank) */
    /* The axis of operand 0, in [0, rank), that the integers of operand 1 count: the result has
     * their extents in its place. Negative ones count from the end; one that is then outside ends
     * the run. */
    uint32_t (*gather_axis)(const ScGraph *g, const ScNode *n);
    /* The extent that the integers of an operand count, from either end; NULL: they count none. */
    const ScTerm *(*counts)(const ScGraph *g, const ScNode *n, uint32_t operand);
    void (*call)(const ScGraph *g, const ScNode *n, ScCall *ret); /* ret is zero, in_place -1 */
    /* The row of the same operands and attributes that gives its results packed, where they have
     * fewer than 8 bits, which kernels do not store. */
    const ScOp *packs;

    /* The op as other ops, built on b; operands and results as the node's. */
    void (*expand)(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, ScVal *ret_out);
    /* Plain C, independent of the lowering. NULL: the evaluator runs the expansion. */
    bool (*eval)(ScEval *e);
    /* Reverse mode: from results' gradients to operands'; absent ones SC_ABSENT. */
    void (*grad)(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, const ScVal *out,
                 const ScVal *d_out, ScVal *ret_d_in);

    struct {
        double lo, hi; /* the table tests draw float operands from here; both 0: [-4, 4] */
        /* Makes a random legal node on b for the table tests, seeded by r: inputs, attributes,
         * nodes. NULL: one or more inputs of one small random shape, default attributes. Returns
         * the number of results written to ret_out. */
        uint32_t (*make)(ScBuild *b, uint64_t *r, ScVal *ret_out);
    } domain;
    /* How far a compiled result may lie from the f64 evaluation rounded; 0: equal bits. In units of
     * the last place: of the element for a body, of the result's largest element for an expansion,
     * whose sums may cancel. */
    float max_ulp;
};

/* --- The table ------------------------------------------------------------------------------- */

#define SC_OP(name) extern const ScOp sc_op_##name;
#include "ops.def"
#undef SC_OP

extern const ScOp *const sc_op_table[]; /* the rows that every session has */
extern const uint32_t sc_op_count;
/* Adds a row of the caller's to one session, where parser, importer and `ops` then find it; op must
 * outlive the session. False with SC_E_NAME where the name, or the ONNX operator at one of its
 * opsets, is another row's already, or with SC_E_VERIFY where the row's strings are not well
 * formed. */
bool sc_op_register(ScCtx *cx, const ScOp *op);
/* All rows of a session, the table's first; valid until the next one is added. */
const ScOp *const *sc_op_rows(ScCtx *cx, uint32_t *ret_n);
const ScOp *sc_op_find(ScCtx *cx, const char *name); /* or NULL */
/* The row that is ONNX domain::type at this opset, or NULL. */
const ScOp *sc_op_onnx(ScCtx *cx, const char *domain, const char *type, int opset);

/* The row has the descriptor that its class needs. */
bool sc_op_described(const ScOp *op);

/* How many values the nested graph of n carries from turn to turn: of row control SC_TURNS,
 * attribute 1; the first operands that enter, the first results. */
static inline uint32_t sc_carried(const ScNode *n)
{
    return n->op->control == SC_TURNS ? (uint32_t)n->attr[1].i : 0;
}

/* The operand of n that is its bias, or -1 where it has none. */
static inline int sc_bias(const ScNode *n)
{
    uint32_t i = n->op->bias;
    return i && i < n->n_in && n->in[i] != SC_ABSENT ? (int)i : -1;
}

/* The dim of result 0, which has this rank, along which a bias of rank 1 of n lies. */
static inline uint32_t sc_bias_axis(const ScGraph *g, const ScNode *n, uint32_t rank)
{
    return n->op->bias_axis ? n->op->bias_axis(g, n) : rank - 1;
}

/* The index of an attribute, or -1. */
int sc_attr_index(const ScOp *op, const char *name);
static inline const ScAttr *sc_attr(const ScNode *n, uint32_t i)
{
    return &n->attr[i];
}
bool sc_attrs_known(const ScNode *n); /* those that are terms are numbers */

/* --- Operand schemas and scale signatures, parsed once a session ----------------------------- */

typedef enum ScOperandClass {
    SC_IS_ANY,
    SC_IS_FLOAT,
    SC_IS_INT,
    SC_IS_BOOL,
    SC_IS_NUM,
    SC_IS_SHAPE,
    SC_IS_PLAIN,
    SC_IS_STRING,
} ScOperandClass;
/* Whether what is of this class may have this element type. */
bool sc_class_takes(ScOperandClass cls, ScrtDtype t);

typedef struct ScOperand {
    const char *name; /* interned */
    ScOperandClass cls;
    bool optional, repeats;
} ScOperand;

/* One expression of a signature: sum of coef[v] * variable v. */
typedef struct ScScaleExpr {
    bool none;    /* _ : carries no scale */
    bool wants0;  /* ! */
    bool repeats; /* the ellipsis */
    int8_t coef[SC_MAX_VARS];
} ScScaleExpr;

typedef struct ScSchema {
    uint32_t n_in, min_in, n_out, min_out; /* n_in counts a repeated operand once; min_in: up to
                                            * the last one that is not optional */
    bool in_repeats, out_repeats;
    ScOperand in[SC_MAX_IN], out[SC_MAX_OUT];
    uint32_t n_var;
    char var[SC_MAX_VARS]; /* letters in order of appearance */
    bool has_scale;
    ScScaleExpr scale_in[SC_MAX_IN],
        scale_out[SC_MAX_OUT]; /* [n_in], [n_out]: ellipses filled in */
} ScSchema;

/* The parsed form of a row (any row, in the table or not); NULL and an SC_E_VERIFY error naming the
 * row where its strings are not well formed. */
const ScSchema *sc_schema(ScCtx *cx, const ScOp *op);
/* The expression of operand or result i, counting repeated ones. */
const ScScaleExpr *sc_scale_in(const ScSchema *s, uint32_t i);
const ScScaleExpr *sc_scale_out(const ScSchema *s, uint32_t i);
/* An expression's exponent, given the variables' (NULL term: unbound, taken as 0). */
const ScTerm *sc_scale_apply(ScCtx *cx, const ScScaleExpr *e, const ScTerm *const *var);
/* Binds variables from operand exponents by SCALES' order 1 to 3, without `any` and demand: what
 * the verifier recomputes. Operands under the ellipsis must agree. exp[i] NULL: not a float. False
 * where some operand does not have the exponent that the binding gives it; then *ret_bad is its
 * index. */
bool sc_scale_check(ScCtx *cx, const ScSchema *s, uint32_t n_in, const ScType *const *type,
                    const ScTerm *const *exp, uint32_t n_out, const ScType *const *out_type,
                    const ScTerm **ret_var, uint32_t *ret_bad);

#endif
