/* SPDX-License-Identifier: Apache-2.0 */
/* What one hostile case may cost: 4 s and 300 MB, measured here, in the process that runs it. */
#ifndef SC_TESTS_BOUNDS_H
#define SC_TESTS_BOUNDS_H

#include <stdbool.h>

typedef struct Bounds {
    double cpu, wall; /* s */
    long kilobytes;   /* resident; -1: not measured */
} Bounds;

/* memory: of this case too, which takes a while where much is mapped. */
void bounds_begin(Bounds *b, bool memory);
/* Fails the test where the case took more. The time that counts is the processor's, since other
 * programs may have it; but whoever waits for a pipe spends none, so 20 s by the clock are the end.
 */
void bounds_end(const Bounds *b, const char *what);

#endif
