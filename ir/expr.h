/* SPDX-License-Identifier: Apache-2.0 */
/* Scalar bodies: what one element of a loop computes, as a list of instructions in SSA. Rows write
 * them with the functions below; codegen emits them as vectors; sc_body_run interprets them. Each
 * operation rounds once to the body's float type, on every target: nothing is contracted to fma. */
#ifndef SC_EXPR_H
#define SC_EXPR_H

#include "ir/ir.h"

typedef uint16_t ScX; /* an instruction's result, by index */

typedef enum ScXType {
    SC_XF, /* the compute float: f32, or f64 where an operand is f64 */
    SC_XI, /* an integer: see ScBody.integer */
    SC_XB, /* a truth value */
} ScXType;

/* SC_XOP(enumerator, text, operands, result): result F float, I integer, B bool, T the type of the
 * first operand (of the second for select). */
typedef enum ScXOp {
#define SC_XOP(id, text, n, type) SC_X_##id,
#include "expr.def"
#undef SC_XOP
    SC_N_XOP,
} ScXOp;

typedef struct ScXIns {
    uint8_t code; /* ScXOp */
    uint8_t type; /* ScXType */
    ScX a, b, c;
    double f;  /* SC_X_CONST: the number; it must be exact in f32 where the compute float is f32 */
    int64_t i; /* SC_X_ICONST: the number; SC_X_IN: which operand; SC_X_TERM: which term;
                * SC_X_LIBM1, SC_X_LIBM2: which function */
} ScXIns;

typedef struct ScBody { /* begins as {.arena = ..., .g = ..., .compute = ...} */
    ScArena *arena;
    const ScGraph *g;  /* whose nodes are lowered: rows ask it for extents, types and exponents */
    ScrtDtype compute; /* F32 or F64 for float bodies; the integer type or BOOL for others */
    /* What SC_XI is: NONE for `compute`, or in a float body an integer as wide. The integer type of
     * the operand or result where a node has both kinds: cast, where with integers, a power. */
    ScrtDtype integer;
    const ScTerm *count; /* of a REDUCE node: how many elements are combined into one */
    uint32_t n, cap;
    ScXIns *ins;
    const ScTerm **term; /* terms that the body uses as numbers: extents, exponents */
    uint32_t n_term, cap_term;
} ScBody;

ScX sc_x(ScBody *b, ScXOp op, ScX x, ScX y, ScX z); /* unused operands: 0; equal ones are shared */
ScX sc_x_in(ScBody *b, uint32_t operand, ScXType type);
ScX sc_x_const(ScBody *b, double f);
ScX sc_x_int(ScBody *b, int64_t i);
ScX sc_x_term(ScBody *b, const ScTerm *t); /* a term's value, as an SC_XI */
/* x * 2^e for an integer e, constant or not: exact ldexp, in two factors beyond +-126, infinities
 * and subnormals as ldexp gives them. */
ScX sc_x_ldexp(ScBody *b, ScX x, ScX e);
ScX sc_x_libm1(ScBody *b, ScrtLibm1 fn, ScX x);
ScX sc_x_libm2(ScBody *b, ScrtLibm2 fn, ScX x, ScX y);

/* Functions as polynomials of the operations above for f32 (at most 2 ulp over all floats), and
 * libm for f64. Sources of the coefficients stand with them in math.c. */
ScX sc_x_exp(ScBody *b, ScX x);
ScX sc_x_expm1(ScBody *b, ScX x); /* e^x - 1 */
ScX sc_x_log(ScBody *b, ScX x);
ScX sc_x_tanh(ScBody *b, ScX x);
ScX sc_x_erf(ScBody *b, ScX x);
ScX sc_x_sigmoid(ScBody *b, ScX x);

/* Interprets a body for one element: in[i] for operand i (integers and bools as doubles), env for
 * terms. Rounds every float operation to the compute type. */
double sc_body_run(const ScBody *b, ScX result, const double *in, uint32_t n_env,
                   const ScBinding *env);

#endif
