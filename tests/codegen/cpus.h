/* SPDX-License-Identifier: Apache-2.0 */
/* The targets that tests of codegen compile for. */
#ifndef SC_TESTS_CPUS_H
#define SC_TESTS_CPUS_H

#include "tests/harness.h"

/* Sanitizers see the compiler, not the code that it emits: there the oldest target and the host's
 * are enough. */
enum { SCT_N_CPU = SCT_SANITIZED ? 2 : 4 };
extern const char *const sct_cpus[];
/* Of n random cases those that sct_cpus[c] has: all of them the host's target, without a sanitizer;
 * else half. */
int sct_rounds(int c, int n);
/* sct_cpus[c], or in every second round the same as the least of two levels, whose code reads the
 * panels of one with wider vectors. */
const char *sct_levels(int c, int round);
/* Whether this machine runs code for a target; true for "native". */
bool sct_runs(const char *cpu);

#endif
