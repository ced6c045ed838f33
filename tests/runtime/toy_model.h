/* SPDX-License-Identifier: Apache-2.0 */
/* A model made by hand, as the compiler would emit it, for the tests of the runtime:
 *
 *   x: f32[batch,3], k: i64[]          y = x + s + w, scaled by k; total: f32[] = sum of y
 *   state s: f32[3], zero at first     s' = s + the sum of x's rows
 *   state steps: i64[], 5 at first     steps' = steps + 1
 *
 * batch may be anything up to TOY_MOST; w is [0.5, 1.5, 2.5], in the object or in a file. */
#ifndef SCT_TOY_MODEL_H
#define SCT_TOY_MODEL_H

#include "runtime/scrt.h"

enum { TOY_MOST = 1 << 20 };

extern const ScrtModel toy;
extern const ScrtEntry toy_entry; /* toy's only one */
extern const float toy_weights[16];

/* y, total and the next states for n rows by the shortest code, for comparison. */
void toy_reference(int64_t n, const float *x, int64_t k, const float *s, float *ret_y,
                   float *ret_total, float *ret_s);

#endif
