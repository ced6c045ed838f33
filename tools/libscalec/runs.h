/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of the f32 graph that are kept. */
#ifndef SCALEC_RUNS_H
#define SCALEC_RUNS_H

#include "tools/libscalec/scalec.h"

/* One more run of g on copies of in; answers where its outputs go, [n_out], zero so far. NULL once
 * enough are kept: a few are enough to tell what outputs are worth. */
ScrtTensor *runs_add(ScalecRuns *r, const ScGraph *g, const ScrtTensor *in);

#endif
