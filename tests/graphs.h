/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of graphs share: random data, texts that must parse, all messages of a session. */
#ifndef SC_TESTS_GRAPHS_H
#define SC_TESTS_GRAPHS_H

#include "ir/op.h"
#include "tests/harness.h"

uint64_t sct_random(uint64_t *r); /* 64 random bits; r is the state, any number */
double sct_uniform(uint64_t *r, double lo, double hi);
int64_t sct_between(uint64_t *r, int64_t lo, int64_t hi); /* both included */

/* Parses a text that must stand, without blobs; fails the test with the messages. */
ScGraph *sct_graph(ScCtx *cx, const char *text);
/* Every message of the session, a line each and more; valid until the next call. */
const char *sct_messages(ScCtx *cx);
/* The canonical text; valid until the next call. */
const char *sct_print(const ScGraph *g);

/* Fails unless g is well formed, reads back from its text as the equal graph and prints the same
 * again. */
void sct_round_trip(const ScGraph *g);

/* The element type that tests draw an operand of. */
ScrtDtype sct_dtype_for(ScOperandClass cls);
/* Makes t's data: floats in [lo, hi] rounded to the type, integers in [-8, 8] or [0, 8], bools. */
void sct_fill(ScrtTensor *t, uint64_t *r, double lo, double hi);
/* Tensors for a graph's inputs, filled; symbols of their dims take the values in env. */
ScrtTensor *sct_inputs(const ScGraph *g, uint64_t *r, double lo, double hi, uint32_t n_env,
                       const ScBinding *env);
/* Symbols and what they stand for. */
enum { SCT_MAX_SYMBOLS = 64 };
typedef struct SctSymbols {
    uint32_t n;
    ScBinding env[SCT_MAX_SYMBOLS];
} SctSymbols;
/* g with symbols, no two alike, for most of its inputs' extents; NULL with messages where that is
 * refused, and without where graphs are nested in it. */
ScGraph *sct_to_symbols(const ScGraph *g, uint64_t *r, SctSymbols *ret);
/* g with numbers for its symbols; NULL likewise. */
ScGraph *sct_to_numbers(const ScGraph *g, const SctSymbols *s);
/* Other values: 0, 1, one more, another symbol's; many stay. */
void sct_other_sizes(SctSymbols *s, uint64_t *r);
void sct_free(ScrtTensor *t, uint32_t n); /* their data and the array */
bool sct_same_bits(const ScrtTensor *a,
                   const ScrtTensor *b); /* dtype, dims, data; NaNs are equal */

#endif
