/* SPDX-License-Identifier: Apache-2.0 */
/* The intermediate representation: types, constants, nodes, values, graphs; how they are built,
 * printed, parsed, verified and evaluated. Graphs are SSA and never change once built: a pass reads
 * one and builds the next. What an operator means is in its row: see op.h. */
#ifndef SC_IR_H
#define SC_IR_H

#include "ir/base/base.h"
#include "runtime/num/num.h"
#include "runtime/scrt.h"

#include <pthread.h>

typedef struct ScOp ScOp;
typedef struct ScGraph ScGraph;

/* --- Types ----------------------------------------------------------------------------------- */

typedef enum ScTypeKind {
    SC_TYPE_TENSOR,
    SC_TYPE_POISON, /* what a builder answers after a mistake; absorbs everything */
    SC_TYPE_ABSENT, /* an optional operand that is not there */
} ScTypeKind;

typedef struct ScType { /* interned: equal types are equal pointers */
    ScTypeKind kind;
    ScrtDtype dtype;
    uint32_t rank;
    const ScTerm *const *dim; /* [rank]; of poison, which has rank 0, more: any axis may be read */
} ScType;

const ScType *sc_type(ScCtx *cx, ScrtDtype dtype, uint32_t rank, const ScTerm *const *dim);
const ScType *sc_type_c(ScCtx *cx, ScrtDtype dtype, uint32_t rank, const int64_t *dim);
const ScType *sc_type_poison(ScCtx *cx);
const ScType *sc_type_absent(ScCtx *cx);
const ScType *sc_type_with(ScCtx *cx, const ScType *t, ScrtDtype dtype); /* same shape */
bool sc_type_same_shape(const ScType *a, const ScType *b);
bool sc_type_is_float(const ScType *t);
const ScTerm *sc_type_count(ScCtx *cx, const ScType *t); /* product of the extents */
/* True and the dims where all are constants; ret may be NULL. */
bool sc_type_const_dims(const ScType *t, int64_t *ret);
void sc_type_print(const ScType *t, ScStr *out); /* f32[batch,784] */
const ScType *sc_type_parse(ScCtx *cx, const char **p);

/* --- Constants, attributes ------------------------------------------------------------------- */

/* Read-only data with a name: an initializer of the model, a folded constant ("fold.HASH") or an
 * inline one (no name). Made once a session; no pass copies its data. */
typedef struct ScBlob {
    const char *name; /* or NULL: inline in the text */
    ScrtDtype dtype;  /* as the source stored it */
    uint32_t rank;
    const int64_t *dims; /* [rank] */
    size_t count;        /* elements */
    const void *data;    /* NULL: named by a text graph whose source was not given */
    uint64_t hash;       /* of dtype, dims and data (of the name where there is no data) */
    /* What was rounded to these elements, where that is known, else NULL; reports ask. Element i
     * came from its element i divided by sc_blob_unit, f32. Of the axis with `inner` elements
     * behind each position, each position has a unit, or, where block is not 0, each block of so
     * many of its `extent` positions, for every one of the elements behind. unit NULL: 1. */
    const struct ScBlob *from;
    const float *unit;
    size_t n_unit, inner, extent, block;
    bool computed; /* in this session: it came with no file */
} ScBlob;
/* The data is not copied and must live as long as the session, e.g. in sc_ctx_arena. Blobs of equal
 * name, type and data are one pointer. Of strings the handles are sc_string's. */
const ScBlob *sc_blob(ScCtx *cx, const char *name, ScrtDtype dtype, uint32_t rank,
                      const int64_t *dims, const void *data);
/* The handle of a string, the same for equal ones: NULL or an ScrtString of the session. */
const ScrtString *sc_string(ScCtx *cx, const char *p, size_t n);
/* A constant of t's elements, which are copied: strings of whoever made t become the session's. */
const ScBlob *sc_blob_of(ScCtx *cx, const char *name, const ScrtTensor *t);
/* b was read whole: where its elements lie in a mapped file, their pages may go until they are read
 * again. */
void sc_blob_forget(ScCtx *cx, const ScBlob *b);
/* Calls body for each i < n, once, on as many threads as there are processors, in no order: what
 * bodies write must not depend on it. They have the caller's floating-point environment and leave
 * the session and its arena alone. */
void sc_each(size_t n, void (*body)(void *arg, size_t i), void *arg);
/* A thread beside the caller, which is to be joined; false: there is none. Signals are left to the
 * host program's threads, but for SIGBUS: of a mapped file that is cut short. */
bool sc_thread(pthread_t *ret, void *(*fn)(void *arg), void *arg);
const ScBlob *sc_blob_scalar(ScCtx *cx, ScrtDtype dtype, double x); /* unnamed, rank 0 */
const ScBlob *sc_blob_i64(ScCtx *cx, uint32_t n, const int64_t *x); /* unnamed, rank 1 */
/* A folded constant: its name, "fold." and 16 digits, follows from its content, so that the same
 * model gives the same names in every session. Data as for sc_blob. */
const ScBlob *sc_blob_folded(ScCtx *cx, ScrtDtype dtype, uint32_t rank, const int64_t *dims,
                             const void *data);
/* The same of what `from` was rounded to: b says all but the name, the count and the hash. */
const ScBlob *sc_blob_rounded(ScCtx *cx, const ScBlob *b);
/* A constant that was computed: t's elements, copied as sc_blob_of does; folded, but for few
 * elements, which stand in the text and need no name. */
const ScBlob *sc_blob_computed(ScCtx *cx, const ScrtTensor *t);

typedef enum ScAttrKind {
    SC_A_NONE, /* not given, and there is no default */
    SC_A_INT,
    SC_A_FLOAT,
    SC_A_STR,
    SC_A_DTYPE,
    SC_A_BLOB,
    SC_A_INTS,
    SC_A_FLOATS,
    SC_A_STRS,
    SC_A_TERMS, /* a shape, pads: integers that may be symbolic */
} ScAttrKind;

typedef struct ScAttr {
    ScAttrKind kind;
    uint32_t n; /* elements of the plural kinds */
    union {
        int64_t i;
        double f;
        const char *s; /* interned */
        ScrtDtype dtype;
        const ScBlob *blob;
        const int64_t *is;
        const double *fs;
        const char *const *ss; /* interned */
        const ScTerm *const *ts;
    };
} ScAttr;
#define SC_INT(x)        ((ScAttr){.kind = SC_A_INT, .i = (x)})
#define SC_FLOAT(x)      ((ScAttr){.kind = SC_A_FLOAT, .f = (x)})
#define SC_STR(x)        ((ScAttr){.kind = SC_A_STR, .s = (x)})
#define SC_DT(x)         ((ScAttr){.kind = SC_A_DTYPE, .dtype = (x)})
#define SC_INTS(len, p)  ((ScAttr){.kind = SC_A_INTS, .n = (len), .is = (p)})
#define SC_TERMS(len, p) ((ScAttr){.kind = SC_A_TERMS, .n = (len), .ts = (p)})
/* Floats are equal when their bits are. */
bool sc_attr_equal(const ScAttr *a, const ScAttr *b);
#define SC_MAX_ATTR 16 /* attributes of a row */
/* n <= SC_MAX_ATTR attributes as a session keeps them: equal ones are equal pointers; NULL for
 * none.
 */
const ScAttr *sc_attr_intern(ScCtx *cx, uint32_t n, const ScAttr *a);

/* --- Values and nodes ------------------------------------------------------------------------ */

/* A value is a number in its graph. Operands come before users: that is SSA, acyclic and sorted. */
typedef uint32_t ScVal;
#define SC_POISON 0u /* the value of type poison, first in every graph */
#define SC_ABSENT 1u /* an optional operand that is not there */
#define SC_FIRST  2u /* the first value that a node defines */

#define SC_NO_G        INT32_MIN /* no growth estimate */
#define SC_MAX_CONTENT 256       /* integer tensors of more elements are not tracked as terms */

typedef struct ScMeans { /* of each channel of a value, in bf16's precision */
    uint32_t n, behind;  /* channels; axes behind that of the channels */
    const float *x;      /* [n] */
} ScMeans;

typedef struct ScValue { /* one result of one node */
    const ScType *type;  /* interned: equal types are equal pointers */
    const ScTerm *exp;   /* stands for data * 2^exp; NULL before scalify and for what is no float */
    const char *name;    /* the ONNX value's, interned, or NULL */
    uint32_t node;       /* who defines it: index into the graph's nodes */
    int32_t g;           /* estimate of log2 RMS of the data in 1/256, or SC_NO_G; an annotation, no
                          * part of equality */
    float amax;          /* largest magnitude of the value represented that calibration saw, 0: not
                          * measured; an annotation too */
    float factor;        /* in [1, 2): divided by it the value is best stored in FP8 E4M3, as
                          * calibration saw; 0: not measured; an annotation too */
    const ScMeans *means; /* of the value represented, as calibration saw; NULL: not measured; an
                           * annotation too */
    const ScTerm *const *content; /* elements of an integer tensor that are known as terms,
                                   * row-major [count], or NULL. Derived by the builder; interned,
                                   * so equal contents are equal pointers. */
} ScValue;

typedef struct ScNode {
    const ScOp *op;            /* row of the op table: identity and behaviour both */
    const ScLoc *loc;          /* the ONNX nodes it came from; survives every pass; never NULL */
    const ScAttr *attr;        /* [op->n_attr], schema order, defaults filled in */
    const ScGraph *const *sub; /* [op->n_sub]; captures are ordinary operands */
    const ScVal *in;           /* [n_in], each < first */
    uint32_t n_in, n_out;
    ScVal first; /* results are the values first .. first + n_out - 1 */
} ScNode;

/* An input whose next value is an output. Its exponent is fixed: its initial value's. */
typedef struct ScState {
    const char *name;
    ScVal past;         /* defined by a node of row `state` */
    ScVal next;         /* of the same exponent as past and, but for what grows, of the same type */
    const ScBlob *init; /* NULL: zero */
    /* What grows: the symbol that is one dim of past's type and that the state binds: its extent as
     * it is. Next has any other extent there, up to capacity. NULL: nothing does. What grows begins
     * empty, or with an initial value of as many elements as sc_state_first says. */
    const char *grows;
    int64_t capacity;
} ScState;
/* The dim of past's type that grows; its rank where none does. */
uint32_t sc_state_axis(const ScState *s, const ScType *past);
/* The type of the first value: past's, but for what grows, where the initial value tells the
 * extent: 0 without one. NULL where it has no such extent: the others are not constant, or it is
 * above the capacity. */
const ScType *sc_state_first(ScCtx *cx, const ScState *s, const ScType *past);
/* Whether a value of this type may be the next one. */
bool sc_state_takes(const ScState *s, const ScType *past, const ScType *next);

/* --- Guards ---------------------------------------------------------------------------------- */

/* What the rule of some node needs of two terms and nothing proves: checked while the program runs,
 * as soon as their symbols are bound and before any kernel relies on it. */
typedef enum ScGuardKind {
    SC_GUARD_EQUAL = SCRT_GUARD_EQUAL,     /* a = b */
    SC_GUARD_DIFFER = SCRT_GUARD_DIFFER,   /* a != b */
    SC_GUARD_AT_MOST = SCRT_GUARD_AT_MOST, /* a <= b */
    SC_GUARD_DIVIDES = SCRT_GUARD_DIVIDES, /* b is a multiple of a; 0 divides 0 alone */
    SC_GUARD_MEET =
        SCRT_GUARD_MEET, /* a = b, or one of them is 1: extents that meet in a broadcast */
    SC_GUARD_FITS = SCRT_GUARD_FITS, /* a = b, or a = 1: an extent that is repeated to b */
} ScGuardKind;
#define SC_GUARD_KINDS 6

typedef struct ScGuard {
    ScGuardKind kind;
    const ScTerm *a, *b;
    const ScLoc *loc; /* the node that needs it; never NULL */
    const char *what; /* interned: what a and b are, for messages: "inner dimensions" */
} ScGuard;
bool sc_guard_holds(ScGuardKind kind, int64_t a, int64_t b);
/* What the terms say of it: certain either way only by proof. */
typedef enum ScDecision { SC_NEVER, SC_PERHAPS, SC_ALWAYS } ScDecision;
ScDecision sc_guard_decide(ScCtx *cx, ScGuardKind kind, const ScTerm *a, const ScTerm *b);
/* "inner dimensions: n = 64 is needed" */
void sc_guard_text(const ScGuard *g, ScStr *out);
extern const char *const sc_guard_word[SC_GUARD_KINDS]; /* as it stands between a and b in text */

/* A list of guards without doubles (the first keeps its location and words); {0} is empty. */
typedef struct ScGuards {
    ScGuard *p; /* [n] */
    uint32_t n, cap;
    uint32_t *table, table_cap; /* 1 + index by hash, open addressing */
} ScGuards;
void sc_guards_add(ScGuards *l, const ScGuard *g);
bool sc_guards_have(const ScGuards *l, const ScGuard *g); /* one of this kind, a and b */
void sc_guards_free(ScGuards *l);

/* What is true of a whole graph. */
enum {
    SC_G_SCALED = 1 << 0,    /* every float value has an exponent */
    SC_G_QUANTIZED = 1 << 1, /* casts to low precision were inserted */
    SC_G_KERNELS = 1 << 2,   /* every node but input, state, const is a kernel */
};

struct ScGraph {
    ScCtx *cx;
    ScArena *arena; /* owns all of it */
    const char *name;
    const char *file; /* the model it came from, or NULL */
    const char
        *source; /* where the blobs of a text graph are: a path as the text gives it, or NULL */
    uint32_t flags;
    const ScNode *node;
    const ScValue *value; /* [n_value]; 0 is poison, 1 is absent */
    uint32_t n_node, n_value;
    const ScVal *in; /* values of `input` nodes, in order */
    const ScVal *out;
    const char *const *out_name; /* ONNX output names */
    const ScState *state;
    const ScGuard *guard;  /* [n_guard]; a kernel's graph has none: its node's graph has them */
    ScGraph *const *owned; /* nested graphs of the nodes, freed with this one */
    uint32_t n_in, n_out, n_state, n_guard, n_owned;
};
void sc_graph_free(ScGraph *g); /* takes NULL */

static inline const ScNode *sc_def(const ScGraph *g, ScVal v)
{
    return &g->node[g->value[v].node];
}
static inline const ScType *sc_type_of(const ScGraph *g, ScVal v)
{
    return g->value[v].type;
}

/* --- Building -------------------------------------------------------------------------------- */

/* Appends nodes to a graph under construction: infers types, absorbs poison, finds equal nodes by
 * hashing (rows marked fresh and nodes with nested graphs excepted; the node built first keeps its
 * location and name). Exponents are the caller's to set. Fields are the builder's but for `at`. */
typedef struct ScBuild {
    ScCtx *cx;
    const ScLoc *at; /* the location of what is built next; never NULL after sc_build_init */
    struct ScBuildPriv *priv;
} ScBuild;

void sc_build_init(ScBuild *b, ScCtx *cx, const char *name, const char *file);
/* Ends building. Drops nodes that no output or state reaches, keeps all inputs and states, puts
 * inputs first, then states, numbers anew, and returns the graph. NULL when poison reaches an
 * output or a state or errors were recorded since sc_build_init. Either way b is finished. Flags
 * are what was set with sc_build_flags. */
ScGraph *sc_build_end(ScBuild *b);
void sc_build_drop(ScBuild *b); /* ends building without a graph */
/* Adds a guard to those that rules record, which a pass carries over from the graph it reads. */
void sc_build_guard(ScBuild *b, const ScGuard *g);
/* What the building of nodes needs beside their rules, at b->at: false where it certainly does not
 * hold, which the caller reports; recorded where only a run can tell. */
bool sc_build_require(ScBuild *b, ScGuardKind kind, const ScTerm *x, const ScTerm *y,
                      const char *what);
/* For a kernel's graph: what rules need is guarded in the graph around it. */
void sc_build_guarded_outside(ScBuild *b);
/* For what a model says: operands of a product have one type, where passes may mix codes and
 * numbers. */
void sc_build_one_type(ScBuild *b);
void sc_build_flags(ScBuild *b, uint32_t flags);
void sc_build_source(ScBuild *b, const char *source);

/* exp may be NULL. A name is interned or NULL. The name of a state is not that of its value. */
ScVal sc_input(ScBuild *b, const char *name, const ScType *type, const ScTerm *exp);
ScVal sc_state(ScBuild *b, const char *name, const ScType *type, const ScTerm *exp,
               const ScBlob *init);
/* Each state needs one: a missing one, or one of another type, is an error at sc_build_end. */
void sc_state_next(ScBuild *b, ScVal past, ScVal next);
/* The state grows along the dim of its type that is sym: see ScState. */
void sc_state_grows(ScBuild *b, ScVal past, const char *sym, int64_t capacity);
/* A state as s is, of a type and exponent of its own. Its next value is the caller's to set. */
ScVal sc_state_like(ScBuild *b, const ScState *s, const ScType *type, const ScTerm *exp);
void sc_output(ScBuild *b, const char *name, ScVal v);

/* A constant that means round_dtype(blob * 2^-exp); exp may be NULL (0, before scalify). Its shape
 * is the blob's, or that given to sc_const_shaped: a reshape of constants costs nothing.
 */
ScVal sc_const(ScBuild *b, const ScBlob *blob, ScrtDtype dtype, const ScTerm *exp);
ScVal sc_const_shaped(ScBuild *b, const ScBlob *blob, ScrtDtype dtype, uint32_t rank,
                      const int64_t *dims, const ScTerm *exp);
/* Poison where dtype is that of poison. */
ScVal sc_const_scalar(ScBuild *b, ScrtDtype dtype, double x);
ScVal sc_const_i64(ScBuild *b, uint32_t n, const int64_t *x);

/* A node. attr: [n_attr] of the row's schema, or NULL for all defaults; NONE entries take defaults.
 * sub: [n_sub] finished graphs, which the new graph takes over (freed with it, also after a
 * mistake), or NULL where n_sub is 0; one that is NULL because its building failed is poison.
 * Trailing operands that are absent are dropped. ret_out receives n_out values, all SC_POISON after
 * a mistake. n_out is the row's fixed number, or any number up to its maximum where results are
 * optional. Inputs, states and constants have functions of their own, above. */
bool sc_node(ScBuild *b, const ScOp *op, const ScAttr *attr, ScGraph *const *sub, uint32_t n_in,
             const ScVal *in, uint32_t n_out, ScVal *ret_out);
/* The same for one result. */
ScVal sc_node1(ScBuild *b, const ScOp *op, const ScAttr *attr, uint32_t n_in, const ScVal *in);
/* sc_op(b, add, x, y): a node of row sc_op_add without attributes. */
#define sc_op(b, row, ...)                                                                         \
    sc_node1((b), &sc_op_##row, NULL, sizeof((ScVal[]){__VA_ARGS__}) / sizeof(ScVal),              \
             (ScVal[]){__VA_ARGS__})
/* sc_op_at(b, cast, SC_ATTRS(SC_DT(t)), x): the same with attributes in schema order. */
#define SC_ATTRS(...) ((ScAttr[SC_MAX_ATTR]){__VA_ARGS__})
#define sc_op_at(b, row, attrs, ...)                                                               \
    sc_node1((b), &sc_op_##row, (attrs), sizeof((ScVal[]){__VA_ARGS__}) / sizeof(ScVal),           \
             (ScVal[]){__VA_ARGS__})

/* The expansion of node n of g, whose row has one, of the operands in [n_in]: results [n_out]. */
void sc_expand(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, ScVal *ret_out);

/* Copies node n of graph g with new operands: attributes, nested graphs (cloned), location and
 * value names; also the results' exponents and annotations, where they have none so far. Every
 * pass's default. Inputs and states are copied too; a state's next value is the caller's to set. */
bool sc_copy_node(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, ScVal *ret_out);

void sc_set_exp(ScBuild *b, ScVal v, const ScTerm *exp); /* nothing for poison and absent */
void sc_set_g(ScBuild *b, ScVal v, int32_t g);
void sc_set_amax(ScBuild *b, ScVal v, float amax);
void sc_set_factor(ScBuild *b, ScVal v, float factor);
void sc_set_means(ScBuild *b, ScVal v, const ScMeans *means); /* the session's */
void sc_set_name(ScBuild *b, ScVal v, const char *name);      /* the first name given stays */
/* The elements of an integer value as terms, where what is around this graph knows them; NULL: not
 * known. content: of another value of the session. */
void sc_set_content(ScBuild *b, ScVal v, const ScTerm *const *content);
/* What is known of a value built so far; valid until the next node is built. */
const ScValue *sc_built(const ScBuild *b, ScVal v);
const ScNode *sc_built_def(const ScBuild *b, ScVal v);

/* x brought to exponent t: x itself where it has that exponent, a constant with its exponent moved
 * where x is a float constant and t is constant, else a `rebalance` node. x must have an exponent.
 */
ScVal sc_rebalance(ScBuild *b, ScVal x, const ScTerm *t);

/* A deep copy in an arena of its own. */
ScGraph *sc_graph_clone(const ScGraph *g);
/* The same of a graph without exponents, scaled: every float value has exponent 0, for which every
 * signature holds. */
ScGraph *sc_graph_at_0(ScCtx *cx, const ScGraph *g);

/* Symbols, and the node that binds each; {0} is empty. */
typedef struct ScSymbolSlot {
    const char *sym; /* interned; NULL: free */
    uint32_t node;
} ScSymbolSlot;
typedef struct ScSymbols {
    ScSymbolSlot *slot;
    uint32_t n, cap;
} ScSymbols;
bool sc_symbols_add(ScSymbols *s, ScArena *a, const char *sym, uint32_t node); /* false: is there */
bool sc_symbols_find(const ScSymbols *s, const char *sym, uint32_t *ret_node); /* NULL: no answer */
bool sc_symbols_meet(const ScSymbols *s, const ScTerm *t); /* some symbol of t is one of them */
/* Calls see for each symbol that a node of g binds: an input or a state those of its type and
 * exponent, others what they name. */
void sc_node_binders(const ScGraph *g, uint32_t node,
                     void (*see)(void *arg, const char *sym, uint32_t node), void *arg);
/* Calls see for each symbol that nested graph `sub` of n binds: at its head, where an input has an
 * extent that is a symbol and is not what n's operand has there, and by its nodes. */
void sc_nested_binders(const ScGraph *g, const ScNode *n, uint32_t sub,
                       void (*see)(void *arg, const char *sym, uint32_t node), void *arg);
/* Calls see for each symbol that n needs: in its results' types and exponents, its attributes (but
 * for those that it binds), and in its nested graphs, unless they bind it themselves. */
void sc_node_symbols(const ScGraph *g, const ScNode *n, void (*see)(void *arg, const char *sym),
                     void *arg);

/* Users of each value, in O(n): users of v are use[first[v]] .. use[first[v + 1] - 1]. A graph
 * output or a state's next value counts with node UINT32_MAX. */
typedef struct ScUse {
    uint32_t node, operand;
} ScUse;
typedef struct ScUses {
    const uint32_t *first; /* [n_value + 1] */
    const ScUse *use;
} ScUses;
ScUses sc_uses(const ScGraph *g, ScArena *scratch);

/* --- Text, equality, verification ------------------------------------------------------------ */

/* The canonical text, one node a line; see parse.c for the grammar. Comments: the scale signature
 * and the growth estimate of each row's results, where the graph is scaled. */
enum { SC_PRINT_COMMENTS = 1 };
void sc_print(const ScGraph *g, uint32_t flags, ScStr *out);
/* The same, and on which line of out each node stands, nested ones too. Zeroed before the first
 * graph; several graphs may follow each other in one out. */
typedef struct ScLine {
    const ScNode *node;
    uint32_t line; /* from 1 */
} ScLine;
typedef struct ScLines {
    ScLine *at; /* [n] */
    uint32_t n, cap;
    size_t seen; /* bytes of out whose newlines are counted */
    uint32_t n_before;
} ScLines;
void sc_print_lines(const ScGraph *g, uint32_t flags, ScStr *out, ScLines *lines);
void sc_lines_end(ScLines *l); /* after the last graph, before sc_line_of */
uint32_t sc_line_of(const ScLines *l, const ScNode *n); /* 0: it is not there */
void sc_lines_free(ScLines *l);
void sc_attr_print(const ScAttr *a, ScStr *out); /* the value alone */
/* The printed names of all values, [n_value], without the leading %; in a. */
const char *const *sc_labels(const ScGraph *g, ScArena *a);

/* Finds the data of a named blob for the parser: NULL if there is none (the blob stays without).
 * What holds another number of elements than the text says is refused, so it may come without its
 * data. */
typedef struct ScBlobSource {
    const ScBlob *(*find)(void *self, const char *name, uint64_t count);
    void *self;
} ScBlobSource;
/* A source that knows every named blob of g and of the graphs nested in it; in a. */
ScBlobSource sc_graph_blobs(const ScGraph *g, ScArena *a);
/* Parses one graph; NULL with errors (with line numbers) in cx. src may be NULL. If ret_rest is not
 * NULL text after the graph is allowed and *ret_rest points to it. */
ScGraph *sc_parse(ScCtx *cx, const char *file, const char *text, const ScBlobSource *src,
                  const char **ret_rest);
/* Equal but for growth estimates, comments and numbering. why, if not NULL, receives the
 * difference. */
bool sc_graph_equal(const ScGraph *a, const ScGraph *b, ScStr *why);
uint64_t sc_graph_hash(const ScGraph *g); /* equal graphs have equal hashes */

/* Checks every invariant: order, arity, types as inferred anew, states, flags; where the graph is
 * scaled, each exponent against its signature. False with SC_E_VERIFY or SC_E_EXPONENT errors in cx
 * that name the pass (may be NULL) and the node. */
bool sc_verify(const ScGraph *g, const char *pass);

/* --- Evaluation ------------------------------------------------------------------------------ */

typedef struct ScEvalOptions {
    /* Called for each value once it is known, in order; the tensor is the evaluator's. depth counts
     * nested graphs. May be NULL. */
    void (*see)(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                uint32_t depth);
    void *arg;
    const ScrtTensor *state; /* [n_state] present values, or NULL: initial ones */
    ScrtTensor *ret_next;    /* [n_state] next values, or NULL; freed with scrt_free(data) */
    uint32_t n_env;          /* symbols that no input's dims bind, such as exponents of inputs */
    const ScBinding *env;
} ScEvalOptions;

/* Runs a graph in plain C: accumulates in f64, rounds each result once to its type. in: [n_in] of
 * the graph's types, with dims that bind its symbols; ret_out: [n_out], each data freed with
 * scrt_free. False with an error in cx. opt may be NULL. Data of scaled graphs is data: inputs and
 * outputs have exponent 0 in a finished pipeline, and where they have not, it is data * 2^exp that
 * they stand for. */
bool sc_eval(const ScGraph *g, const ScrtTensor *in, ScrtTensor *ret_out, const ScEvalOptions *opt);
/* The symbols that the dims of in, and of states ([n_state]; NULL: as they begin), bind; false with
 * SC_E_INPUT in cx where the inputs do not fit. */
bool sc_bind_dims(const ScGraph *g, const ScrtTensor *in, const ScrtTensor *state, ScArena *a,
                  ScBinding **ret, uint32_t *ret_n);
/* What element i was divided by before it was rounded: see ScBlob. */
double sc_blob_unit(const ScBlob *b, size_t i);
/* A constant's data: round_dtype(blob * 2^-exp), into room for as many elements of dtype. Finite
 * data stays finite. */
void sc_blob_store(const ScBlob *b, ScrtDtype dtype, int64_t exp, void *dst);
/* The same as a tensor, made with scrt_alloc; false without memory, or where t is not b's shape. */
bool sc_blob_tensor(const ScBlob *b, const ScType *t, int64_t exp, ScrtTensor *ret);

#endif
