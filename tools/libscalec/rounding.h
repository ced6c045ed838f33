/* SPDX-License-Identifier: Apache-2.0 */
/* What storing costs, value by value, and the colours that say so. */
#ifndef SCALEC_ROUNDING_H
#define SCALEC_ROUNDING_H

#include "tools/libscalec/scalec.h"

typedef struct Rounding {
    double db; /* by how much the rounding lies below the value; NAN: not stored low, or unknown */
    bool measured; /* else expected */
} Rounding;

/* A step is 6 dB, one bit of a mantissa: normal numbers in the middle of E4M3 lie at 31.5 dB, of
 * E5M2 at 25.5. */
typedef struct RoundingStep {
    double from; /* dB */
    const char *colour;
} RoundingStep;
enum { ROUNDING_STEPS = 5 };
extern const RoundingStep rounding_step[ROUNDING_STEPS]; /* the best first */
#define ROUNDING_UNKNOWN "#e5dbff"

const char *rounding_colour(double db); /* NAN: ROUNDING_UNKNOWN */

/* A float of 8 bits or fewer. */
bool rounding_is_low(const ScGraph *g, ScVal v);

/* [sc_count_values(g)] in a, numbered through as in r [n], reports of g. */
const Rounding *rounding_of(const ScGraph *g, const ScReport *r, uint32_t n, ScArena *a);

/* v joins those of which *worst is the worst, where it is stored low, and *low says that one is. */
void rounding_meet(const ScGraph *g, ScVal v, const Rounding *at, Rounding *worst, bool *low);

/* The worst of what n makes and of the constants that it reads; *ret_low: whether any of them is
 * stored low. at: of g's own values. */
Rounding rounding_worst(const ScGraph *g, const ScNode *n, const Rounding *at, bool *ret_low);

#endif
