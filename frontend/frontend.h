/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX in: the bytes of a ModelProto become a graph. Bytes are hostile: depth, counts, sizes, names
 * and paths are checked before they are used. Only this folder sees protobuf. */
#ifndef SC_FRONTEND_H
#define SC_FRONTEND_H

#include "ir/ir.h"

/* Where external data may lie once links are followed: beneath the model's folder, or beneath that
 * of the file that the model's path is a link to (a cache of downloads keeps all files in one
 * folder, and links to them in another). Locations start at the first. */
typedef struct ScDataDirs {
    const char *given;    /* NULL: external data is refused */
    const char *resolved; /* NULL: as given */
} ScDataDirs;

typedef struct ScImportOptions {
    ScDataDirs dirs;
    uint32_t n_dim; /* --dim: a symbol of the model's inputs takes a value */
    const char *const *dim_name;
    const int64_t *dim_value;
    uint32_t n_fix; /* --fix: an input becomes a constant, as a shape computed from it requires */
    const char *const *fix_name;
    const ScrtTensor *fix; /* their data is copied */
    bool lasts;            /* bytes live as long as the session: weights are not copied */
} ScImportOptions;

/* file names the model in messages. bytes need not live longer than the call, unless opt says that
 * they do: what the graph keeps of them is copied into the session. NULL with errors in cx: all
 * unsupported operators at once, each with node name, domain and opset. opt may be NULL. */
ScGraph *sc_import(ScCtx *cx, const char *file, const void *bytes, size_t n,
                   const ScImportOptions *opt);

/* Operators that no row is by itself: import says them by other rows. */
typedef struct ScImportOp {
    const char *domain, *type;
    int since, until; /* opsets; until 0: to the newest known */
} ScImportOp;
/* The i-th of them; false where there are no more. */
bool sc_import_op(ScCtx *cx, uint32_t i, ScImportOp *ret);

/* The model's initializers and Constant tensors by name, for a text graph that names them as its
 * source. */
typedef struct ScInitializers ScInitializers;
ScInitializers *sc_initializers(ScCtx *cx, const char *file, const void *bytes, size_t n,
                                ScDataDirs dirs);
const ScBlob *sc_initializers_find(void *self, const char *name); /* fits ScBlobSource */

#endif
