/* SPDX-License-Identifier: Apache-2.0 */
/* libscalec: everything that the command line does, for other programs. Load a model, run passes,
 * compile, evaluate. The command line uses this header and no private door. */
#ifndef SCALEC_H
#define SCALEC_H

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "passes/passes.h"
#include "runtime/scrtio.h"

#define SCALEC_VERSION "0.1.0"

/* Loads an ONNX file or a text graph ("-": standard input), told apart by content. NULL with
 * errors. */
ScGraph *scalec_load(ScCtx *cx, const char *path, const ScImportOptions *opt);

typedef struct ScalecOptions {
    const char *recipe; /* name or file; NULL: f32 */
    ScScales scales;
    const ScStats *stats;
    const char *cpu, *target;
    const char *const *disable;
    uint32_t n_disable;
    bool verify;
    const char *until;
    void (*after)(void *arg, const char *stage, const ScGraph *g, double seconds);
    void *arg;
    uint64_t source_hash; /* of the model's bytes, for --info */
    const char *source;   /* its file name */
    uint64_t embed_limit; /* 0: the default, 64 MiB */
    const char *symbol;
    bool fault_tail;
    const ScrtTensor *eval_in;
    double eval_rtol;
} ScalecOptions;

/* Runs the pipeline; takes g over. NULL with errors. */
ScGraph *scalec_rewrite(ScCtx *cx, ScGraph *g, const ScalecOptions *opt);
/* Pipeline and codegen; takes g over. */
ScObject *scalec_compile(ScCtx *cx, ScGraph *g, const ScalecOptions *opt, ScEmit emit);

/* Writes what --emit names: exe and so are linked by `cc` with libscrt.a and libscrtio.a found
 * beside the program or where they were installed; obj comes with a header PATH.h (and PATH.weights
 * above the embed limit). Written to temporary names, then renamed. */
typedef enum ScalecOutput {
    SCALEC_EXE,
    SCALEC_SO,
    SCALEC_OBJ,
    SCALEC_ASM,
    SCALEC_LLVM
} ScalecOutput;
bool scalec_write(ScCtx *cx, const ScObject *o, ScalecOutput kind, const char *path);

#endif
