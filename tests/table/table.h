/* SPDX-License-Identifier: Apache-2.0 */
/* Tests over the op table. A case is one random legal node of a row with data for its operands; a
 * check holds a row to one of its claims and answers NULL or a sentence that names the row. Checks
 * take any row, so that a wrong copy of one can be planted. */
#ifndef SC_TESTS_TABLE_H
#define SC_TESTS_TABLE_H

#include "tests/graphs.h"

typedef struct Case {
    ScCtx *cx;
    const ScOp *op;
    ScGraph *drawn;  /* what the row's domain made */
    ScGraph *g;      /* the node alone: its present operands are the inputs */
    const ScNode *n; /* of g */
    ScrtTensor *in;  /* [n->n_in]; data NULL where absent */
    ScrtTensor *out; /* [n->n_out] what the evaluator gives */
} Case;

/* NULL, or why there is no such case; the case is to be freed either way. */
const char *case_make(Case *c, const ScOp *op, uint64_t seed);
void case_free(Case *c);
/* Runs the node on other data for its operands; the caller frees ret_out's data. */
bool case_run(const Case *c, const ScrtTensor *in, ScrtTensor *ret_out);

/* A sentence in a static buffer. */
const char *say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Distance in units of the last place of format t at the larger of a and b; 0 where the bits agree
 * or both are NaN; infinite where only one is finite. at_least: measure no finer than at this
 * number. */
double ulps(ScrtDtype t, double a, double b, double at_least);
/* Compares result k with got: NULL, or "... at [1,2]: 3, not 4". whole: measure at the largest. */
const char *compare(const Case *c, uint32_t k, const ScrtTensor *got, double max_ulp, bool whole,
                    const char *what);

/* How a float of type t is stored by the node, as the compiler stores it. */
bool stores_saturated(const ScNode *n, ScrtDtype t);

typedef const char *Check(const ScOp *op, uint64_t seed);
Check check_schema;    /* strings, functions and descriptors of the row fit together */
Check check_inference; /* the same node infers the same, and the verifier agrees */
Check check_text;      /* it prints, and reads back equal */
Check check_signature; /* its law, bit for bit */
Check check_scaled;    /* with symbolic exponents by the signature, the verifier agrees */
Check check_symbols;   /* with symbols for its extents it is guarded or right */
Check check_bound;     /* no result lies above its bound */
Check check_flags;     /* what a mean and a conversion make of ones */
Check check_expansion; /* evaluation and expansion agree */
Check check_lowering;  /* evaluation and lowering agree */
Check check_onnx;      /* it is written as ONNX, and read back gives the same */

/* Whether check_symbols has something to try at this seed. */
bool draws_symbols(const ScOp *op, uint64_t seed);

/* The lowering by class, each a naive loop over the descriptor. */
const char *lower_map(Case *c);
const char *lower_reduce(Case *c);
const char *lower_contract(Case *c);
const char *lower_conv(Case *c);
const char *lower_pool(Case *c);
const char *lower_view(Case *c);
const char *lower_concat(Case *c);
const char *lower_gather(Case *c);
const char *lower_scan(Case *c);
const char *lower_attention(Case *c);

#endif
