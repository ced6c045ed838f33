/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of codegen share: a text graph compiled for a target and loaded into this process, run
 * beside the evaluator. */
#ifndef SC_TESTS_COMPILED_H
#define SC_TESTS_COMPILED_H

#include "codegen/codegen.h"
#include "passes/passes.h"
#include "tests/codegen/cpus.h"
#include "tests/graphs.h"

typedef struct SctModel {
    ScCtx *cx;
    ScGraph *g;       /* as parsed: what the evaluator runs */
    ScGraph *kernels; /* after expand and fuse */
    ScObject *o;
    ScLoaded *loaded;
    const char *cpu;
} SctModel;

/* Compiles a text graph, or fails the test with the messages. opt may be NULL; its cpu is `cpu`. */
SctModel sct_compile(const char *text, const char *cpu, const ScCodegenOptions *opt);
void sct_close(SctModel *m);

/* A session of the compiled model, for scrt_close; n_thread as in ScrtOptions. */
ScrtSession *sct_open(const SctModel *m, uint32_t n_thread);
/* Runs the compiled model on n_thread threads; results are freed with sct_free. */
ScrtTensor *sct_run(const SctModel *m, uint32_t n_thread, const ScrtTensor *in);

/* How results may differ from the evaluator's: elements within max_ulp of their own type or within
 * rel * |x| + abs. 0: equal bits (NaNs are equal). */
typedef struct SctBound {
    double max_ulp, rel, abs;
} SctBound;

/* Random inputs in [lo, hi] for the given symbols: the results on 1, 2 and 3 threads have equal
 * bits and are within the bound of the evaluator's. */
void sct_compare(const SctModel *m, uint64_t seed, double lo, double hi, uint32_t n_env,
                 const ScBinding *env, SctBound bound);
/* The same on given inputs. */
void sct_compare_on(const SctModel *m, const ScrtTensor *in, SctBound bound);
/* For every target that runs here, symbol n (or none) at each of these sizes. */
void sct_everywhere(const char *text, double lo, double hi, SctBound bound, uint32_t n_size,
                    const int64_t *size);

#endif
