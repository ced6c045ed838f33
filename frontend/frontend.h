/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX in and out. In: the bytes of a ModelProto become a graph. Bytes are hostile: depth, counts,
 * sizes, names and paths are checked before they are used. Only this folder sees protobuf. */
#ifndef SC_FRONTEND_H
#define SC_FRONTEND_H

#include "ir/op.h"

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
    bool every_node; /* E0104 lists the nodes, not the operators alone */
    uint32_t n_fix;  /* --fix: an input becomes a constant, as a shape computed from it requires */
    const char *const *fix_name;
    const ScrtTensor *fix; /* their data is copied */
    bool lasts;            /* bytes live as long as the session: weights are not copied */
    /* The input whose next value output `out` is to be, interned, or NULL: where that has an
     * initializer, it is a state with this first value, and its own next one until sc_make_states.
     * May be NULL. */
    const char *(*past_of)(void *arg, ScCtx *cx, const char *out);
    void *past_arg;
} ScImportOptions;

/* file names the model in messages. bytes need not live longer than the call, unless opt says that
 * they do: what the graph keeps of them is copied into the session. NULL with errors in cx: all
 * unsupported operators in one error, each with its opset, how many nodes it has and the first
 * one's name. opt may be NULL. */
ScGraph *sc_import(ScCtx *cx, const char *file, const void *bytes, size_t n,
                   const ScImportOptions *opt);

/* An operator of a model. */
typedef struct ScModelOp {
    const char *domain, *type; /* interned; "" is ai.onnx */
    int opset;                 /* of its domain */
    bool known;                /* at that opset */
    uint32_t n;                /* its nodes, those of nested graphs too */
    uint32_t place;            /* among the operators as they come in the model */
    const char *first;         /* the first node's name */
} ScModelOp;
/* The operators of a model, the most frequent first: [*ret_n], the session's. NULL with errors
 * where the bytes are no model. */
const ScModelOp *sc_model_ops(ScCtx *cx, const char *file, const void *bytes, size_t n,
                              uint32_t *ret_n);

/* An ONNX operator that is imported. */
typedef struct ScImported {
    const char *domain, *type;
    int since, until; /* opsets; until 0: to the newest */
    const ScOp *row;  /* that it becomes, NULL: several, or none of its name */
} ScImported;
const ScImported *sc_imported_ops(ScCtx *cx, uint32_t *ret_n); /* by name, the session's */

/* The model's initializers and Constant tensors by name, for a text graph that names them as its
 * source. */
typedef struct ScInitializers ScInitializers;
ScInitializers *sc_initializers(ScCtx *cx, const char *file, const void *bytes, size_t n,
                                ScDataDirs dirs);
const ScBlob *sc_initializers_find(void *self, const char *name);

/* --- Out -------------------------------------------------------------------------------------- */

typedef struct ScExportOptions {
    bool qdq;          /* QuantizeLinear and DequantizeLinear, not Cast, where 8 bits are stored */
    size_t data_limit; /* constants of more bytes in all stand in a file of their own, */
    const char *data_name; /* which the model calls so */
} ScExportOptions;
typedef struct ScExported {
    void *model, *data; /* [n_model], [n_data]: NULL where there is none */
    size_t n_model, n_data;
} ScExported;
/* The ModelProto of a graph without exponents and kernels, in operators of ai.onnx. False with
 * SC_E_EXPORT errors that name every node that cannot be said. */
bool sc_export(ScCtx *cx, const ScGraph *g, const ScExportOptions *opt, ScExported *ret);
void sc_exported_free(ScExported *e);
/* Whether sc_export can say the node, or nothing else can be done about it: fits sc_plain_graph. */
bool sc_export_says(void *arg, const ScGraph *g, const ScNode *n);

#endif
