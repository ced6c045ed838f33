/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of kernels share: a graph as text, random constants and inputs, compiled for a
 * processor and run with any number of threads beside the evaluator. */
#ifndef SC_TESTS_CODEGEN_RIG_H
#define SC_TESTS_CODEGEN_RIG_H

#include "codegen/codegen.h"
#include "passes/passes.h"
#include "tests/codegen/cpus.h"

enum { RIG_BLOBS = 8, RIG_PORTS = 8 };

typedef struct Rig {
    ScCtx *cx;
    const char
        *cpu; /* of sct_cpus, sct_levels or sct_product_cpu; of several levels the first runs */
    uint64_t seed;
    bool magnitudes; /* constants and inputs are absolute values */
    double range;    /* their largest magnitude; 0: 2 */
    uint32_t n_blob;
    const ScBlob *blob[RIG_BLOBS];
    ScGraph *g;       /* as the text says */
    ScGraph *kernels; /* fused */
    ScObject *object;
    ScLoaded *loaded;
    ScrtTensor in[RIG_PORTS];
    char text[4096];
} Rig;

void rig_init(Rig *r, const char *cpu, uint64_t seed);
void rig_free(Rig *r);
/* A number in [lo, hi], from the rig's seed. */
int64_t rig_draw(Rig *r, int64_t lo, int64_t hi);
/* A random f32 constant @name of these dims, for texts to name. */
void rig_blob(Rig *r, const char *name, uint32_t rank, const int64_t *dims);
/* Parses the text, formatted; the test fails with the diagnostics where it is refused. */
void rig_parse(Rig *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A graph built otherwise, taken over; it must be there. */
void rig_take(Rig *r, ScGraph *g);
/* Fuses, compiles and loads the graph. */
void rig_compile(Rig *r);
/* Random inputs of the graph's types; symbol `sym` has this value. */
void rig_inputs(Rig *r, const char *sym, int64_t value);
/* The evaluator's outputs, and the compiled model's; freed with rig_outputs_free. */
void rig_evaluate(Rig *r, ScrtTensor *ret_out);
void rig_run(Rig *r, uint32_t n_thread, ScrtTensor *ret_out);
void rig_outputs_free(Rig *r, ScrtTensor *out);
/* Runs with 1 to 3 threads, which must agree to the bit; the outputs of one. */
void rig_run_threads(Rig *r, ScrtTensor *ret_out);
/* What the report says of kernel i. */
const char *rig_what(const Rig *r, uint32_t i);

#endif
