/* SPDX-License-Identifier: Apache-2.0 */
/* The targets that tests of codegen compile for. */
#ifndef SC_TESTS_CPUS_H
#define SC_TESTS_CPUS_H

#include "tests/harness.h"

/* Sanitizers see the compiler, not the code that it emits: there the oldest target and the host's
 * are enough, and half the random cases. */
enum { SCT_N_CPU = SCT_SANITIZED ? 2 : 4, SCT_HALF = SCT_SANITIZED ? 2 : 1 };
extern const char *const sct_cpus[];
enum { SCT_NATIVE = 1 }; /* its place there: of random cases it has the most */
/* Whether this machine runs code for a target; true for "native". */
bool sct_runs(const char *cpu);

#endif
