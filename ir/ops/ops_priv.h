/* SPDX-License-Identifier: Apache-2.0 */
/* What the families of rows share. Evaluation: loops over indices in f64, nothing of the lowerings.
 * Inference: small questions about terms. Tests: random inputs. */
#ifndef SC_OPS_PRIV_H
#define SC_OPS_PRIV_H

#include "ir/op.h"

#include <math.h>

/* --- Evaluation ------------------------------------------------------------------------------ */

/* One element of result 0 from one element of each operand (0 where absent): floats as doubles, or,
 * where no operand is a float, integers and bools exactly (u64 as its bits). */
typedef double ScMapF(const ScEval *e, const double *x);
typedef int64_t ScMapI(const ScEval *e, const int64_t *x);
/* Runs f over the result's index space with operands broadcast; i is for integers, NULL where the
 * row takes floats only. */
bool sc_ops_map(ScEval *e, ScMapF *f, ScMapI *i);

/* The elements of a tensor as an array in a. */
double *sc_ops_doubles(ScArena *a, const ScrtTensor *t);
int64_t *sc_ops_ints(ScArena *a, const ScrtTensor *t);
/* Stores a result's element, rounded once; a low-precision result saturates, as a cast would. */
void sc_ops_store(ScrtTensor *t, int64_t i, double x);
/* Copies element j of src to element i of dst, of the same dtype, bit for bit. */
void sc_ops_move(ScrtTensor *dst, int64_t i, const ScrtTensor *src, int64_t j);

/* Row-major strides of t's elements seen as rank dims, aligned at the last, 0 where t repeats. */
void sc_ops_strides(const ScrtTensor *t, uint32_t rank, int64_t *ret);
/* Moves idx to the next index in row-major order; false after the last. */
bool sc_ops_next(uint32_t rank, const int64_t *dims, int64_t *idx);
static inline int64_t sc_ops_at(uint32_t rank, const int64_t *idx, const int64_t *stride)
{
    int64_t at = 0;
    for (uint32_t d = 0; d < rank; d++)
        at += idx[d] * stride[d];
    return at;
}
/* An axis attribute of an evaluated or lowered node in [0, rank). */
static inline uint32_t sc_ops_axis(int64_t axis, uint32_t rank)
{
    return (uint32_t)(axis < 0 ? axis + rank : axis);
}

/* --- Inference ------------------------------------------------------------------------------- */

/* Result 0: this dtype and these extents. */
bool sc_ops_result(ScInfer *in, ScrtDtype dtype, uint32_t rank, const ScTerm *const *dim);
/* Content of result 0, an integer tensor, elementwise from operands whose content is known; f
 * answers NULL where it has no term. Nothing where something is unknown or the tensor is large. */
typedef const ScTerm *ScTermFn(ScCtx *cx, const ScTerm *const *x);
bool sc_ops_content(ScInfer *in, ScTermFn *f);
/* What a type holds of a number: an integer modulo its width. Terms are taken to fit 32 bits; of
 * narrower integers they are not known, nor is a number that a float would round: NULL. */
const ScTerm *sc_ops_held(ScCtx *cx, ScrtDtype dtype, const ScTerm *t);
/* Result 0 has the elements of operand 0 in the same order. */
bool sc_ops_same_content(ScInfer *in);
#define SC_CONTENT_MAX 1024 /* elements; shapes are far smaller */

static inline bool sc_ops_nonneg(ScCtx *cx, const ScTerm *t)
{
    return sc_term_range(cx, t).lo >= 0;
}
/* Text of a term in the session's memory, for messages. */
const char *sc_ops_text(const ScInfer *in, const ScTerm *t);
/* Operand i broadcasts into result 0 (already inferred), which stays as it is; fails where it
 * cannot. */
bool sc_ops_fits_result(const ScInfer *in, uint32_t i);
/* The same, and an extent of the result that operand i says as a number becomes that number. */
bool sc_ops_repeats_to_result(const ScInfer *in, uint32_t i);

/* Products of operands 0 and 1 are accumulated in f32 where either is stored in low precision or
 * they are f32, or where operand 0 is f32 numbers stored in i16, i8 or u8; otherwise both have one
 * type, which is the result's. Attribute `out` (index given) asks for an f32 result of narrower
 * floats, or the i32 one of i16, modulo 2^32. The addend (operand bias, may be absent or beyond
 * n_in) has the result's type. */
bool sc_ops_product_dtype(const ScInfer *in, uint32_t bias, uint32_t out, ScrtDtype *ret);
#define SC_OPS_OUT                                                                                 \
    {.name = "out",                                                                                \
     .kind = SC_A_DTYPE,                                                                           \
     .doc = "f32: the sum of narrower operands as it was added up; i32: that of i16"}
/* Attribute `to`, for rows whose result has the element type that is asked for. */
#define SC_OPS_TO                                                                                  \
    {.name = "to",                                                                                 \
     .kind = SC_A_DTYPE,                                                                           \
     .required = true,                                                                             \
     .doc = "the element type",                                                                    \
     .text = SC_TEXT_DTYPE}

/* --- Growth ---------------------------------------------------------------------------------- */

/* A number of elements: constant ones in c, symbolic ones in sym (NULL: none). */
typedef struct ScCount {
    double c;
    const ScTerm *sym;
} ScCount;
void sc_ops_count(ScCtx *cx, ScCount *n, const ScTerm *extent); /* n times extent; starts as {1} */
/* Adds halves/2 * log2 n to result 0's estimate, for symbolic extents to its exponent. A sum of n
 * independent terms has n times their variance: 1. Terms of one sign: 2. */
void sc_ops_grow(const ScGrow *g, ScCount n, int halves);
/* The same for the mean of n elements: 1/n of the power of what has no sign is left, and all of
 * what leans to one side; of a symbolic number, by whichever is more. */
void sc_ops_grow_mean(const ScGrow *g, ScCount n);
#define SC_LEANS 250              /* of 255: x gate(x), which is nearly all of one sign */
double sc_ops_exp2(int32_t x256); /* 2^(x256 / 256), the same on every machine */
/* What `a...` gives where the operands are added, and where one of them is picked; operands without
 * an estimate (no floats, `any`) do not count. */
void sc_ops_grow_add(const ScGrow *g);
void sc_ops_grow_pick(const ScGrow *g);
/* What rectifies: half of what has no sign disappears, and nothing of what leans to one side. */
void sc_ops_grow_relu(const ScGrow *g);
/* `0 -> 0`: x times a gate between 0 and 1; what bends x to at most 1. */
void sc_ops_grow_gate(const ScGrow *g);
void sc_ops_grow_bend(const ScGrow *g);
/* Adds operand i, a bias of the result's exponent, to result 0's estimate; nothing if absent. */
void sc_ops_grow_bias(const ScGrow *g, uint32_t i);
static inline const ScType *sc_ops_in(const ScGrow *g, uint32_t i)
{
    return sc_type_of(g->g, g->n->in[i]);
}

/* --- Bounds ---------------------------------------------------------------------------------- */

void sc_ops_top_first(const ScTop *t);   /* that of operand 0 */
void sc_ops_top_through(const ScTop *t); /* that of the largest float operand */
void sc_ops_top_add(const ScTop *t);     /* the sum of all operands' */

/* --- Bodies ---------------------------------------------------------------------------------- */

/* The number c in the type of x: a float or an integer. */
ScX sc_ops_num(ScBody *b, ScX x, double c);
/* A constant in the body's precision: what an f32 body can hold. */
ScX sc_ops_const(ScBody *b, double c);
#define SC_X1(b, op, x)       sc_x((b), SC_X_##op, (x), 0, 0)
#define SC_X2(b, op, x, y)    sc_x((b), SC_X_##op, (x), (y), 0)
#define SC_SELECT(b, c, x, y) sc_x((b), SC_X_SELECT, (c), (x), (y))

/* --- Functions of one float ------------------------------------------------------------------ */

/* body_NAME, and eval_NAME of x, from an expression each; and their schema. */
#define UNARY_BODY(name, expression)                                                               \
    static void body_##name(ScBody *b, const ScNode *n, const ScX *in, ScX *ret_out)               \
    {                                                                                              \
        (void)n;                                                                                   \
        ret_out[0] = (expression);                                                                 \
    }
#define UNARY_EVAL(name, expression)                                                               \
    static double value_##name(const ScEval *e, const double *v)                                   \
    {                                                                                              \
        (void)e;                                                                                   \
        const double x = v[0];                                                                     \
        return (expression);                                                                       \
    }                                                                                              \
    static bool eval_##name(ScEval *e)                                                             \
    {                                                                                              \
        return sc_ops_map(e, value_##name, NULL);                                                  \
    }
#define FLOAT_TO_FLOAT .in = "X: float", .out = "Y: float", .infer = sc_infer_same

/* --- Reductions ------------------------------------------------------------------------------ */

/* ONNX gives the axes as an attribute or as an operand; import resolves both to the attribute. */
#define SC_REDUCE_ATTRS                                                                            \
    .attr =                                                                                        \
        {                                                                                          \
            {.name = "axes", .kind = SC_A_INTS, .doc = "all where not given"},                     \
            {.name = "keepdims", .kind = SC_A_INT, .def = SC_INT(1), .doc = "leave extents of 1"}, \
    },                                                                                             \
    .n_attr = 2
bool sc_ops_infer_reduce(ScInfer *in); /* for rows with these attributes first */

/* --- Table tests ----------------------------------------------------------------------------- */

uint32_t sc_ops_pick(uint64_t *r, uint32_t lo, uint32_t hi); /* uniform in [lo, hi] */
ScVal sc_ops_input(ScBuild *b, const char *name, ScrtDtype dtype, uint32_t rank,
                   const int64_t *dims);
/* A random shape of rank lo to hi with extents 1 to 5. */
uint32_t sc_ops_shape(uint64_t *r, uint32_t lo, uint32_t hi, int64_t *ret);

#endif
