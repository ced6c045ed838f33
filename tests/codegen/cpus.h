/* SPDX-License-Identifier: Apache-2.0 */
/* The targets that tests of codegen compile for. */
#ifndef SC_TESTS_CPUS_H
#define SC_TESTS_CPUS_H

#include "codegen/codegen.h"
#include "tests/harness.h"

/* Sanitizers see the compiler, not the code that it emits: there the oldest target and the host's
 * are enough. */
enum { SCT_N_CPU = SCT_SANITIZED ? 2 : 4 };
extern const char *const sct_cpus[];
/* Behind them a target of its own for products: the host's with modelled tile registers (tiles.h).
 */
enum { SCT_N_PRODUCT_CPU = SCT_N_CPU + 1 };
const char *sct_product_cpu(int c);
/* What codegen is told for one of either list. */
ScCodegenOptions sct_cpu_options(const char *cpu);
/* Of n random cases those that target c has: all of them the host's target, without a sanitizer;
 * else half. */
int sct_rounds(int c, int n);
/* sct_product_cpu(c), or in every second round the same as the least of two levels, whose code
 * reads the panels of one with wider vectors. */
const char *sct_levels(int c, int round);
/* Whether this machine runs code for a target; true for "native". */
bool sct_runs(const char *cpu);

#endif
