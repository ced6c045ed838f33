/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share and nobody else sees. */
#ifndef SC_PASSES_PRIV_H
#define SC_PASSES_PRIV_H

#include "passes/passes.h"

/* exponents.c: the rewrite half of simplify for graphs that are scaled. What scalify chose matters
 * only where a value is stored in low precision; here every other exponent is chosen again so that
 * nearly all rebalances disappear: inputs, outputs and constants stay where they are (at 0 in the
 * pipeline), the rest follows from the signatures. Values that the graph stands for do not change.
 * env->recipe says which 16-bit formats are storage. Returns a new scaled graph (g is not freed),
 * or NULL with errors in cx. */
ScGraph *sc_recompute_exponents(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);

#endif
