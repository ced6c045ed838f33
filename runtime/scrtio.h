/* SPDX-License-Identifier: Apache-2.0 */
/* libscrtio: tensor files and the main function of a compiled executable. Files are hostile: every
 * size, count and name is checked before it is used. Errors are sentences in a caller's buffer. */
#ifndef SCRTIO_H
#define SCRTIO_H

#include "scrt.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ScrtIoError {
    char text[512]; /* names the file and what is wrong with it; "" after success */
} ScrtIoError;

typedef struct ScrtNamed {
    char *name;
    ScrtTensor tensor; /* owns its data: scrt_free */
} ScrtNamed;

typedef struct ScrtNamedList {
    ScrtNamed *item;
    uint32_t n;
} ScrtNamedList;
void scrt_named_free(ScrtNamedList *list);

/* .npy, format versions 1 to 3, C or Fortran order (made C), little or big endian (made native),
 * and the types of NumPy that have a ScrtDtype; the types of ml_dtypes, which NumPy saves as raw
 * void, are read as u8 or u16 patterns ('|V1', '<V2') when want names a float type of that width.
 * want may be SCRT_DTYPE_NONE. On success the caller owns t->data. "-" is standard input or output.
 */
ScrtStatus scrt_npy_read(const char *path, uint32_t want, ScrtTensor *ret, ScrtIoError *err);
/* Low-precision floats are written as u8 or u16 patterns. Written to a temporary name, then
 * renamed. */
ScrtStatus scrt_npy_write(const char *path, const ScrtTensor *t, ScrtIoError *err);

/* .npz: a zip archive of .npy, stored or deflated; entries in archive order. */
ScrtStatus scrt_npz_read(const char *path, ScrtNamedList *ret, ScrtIoError *err);
ScrtStatus scrt_npz_write(const char *path, const ScrtNamed *item, uint32_t n, ScrtIoError *err);

/* The states of a session as an .npz, one entry a state by its name. Written whole or not at all;
 * load leaves the session as it was on failure, and refuses a file that lacks a state, has one that
 * is not the model's, or has another dtype or shape. err names what. */
ScrtStatus scrt_state_save(const ScrtSession *s, const char *path, ScrtIoError *err);
ScrtStatus scrt_state_load(ScrtSession *s, const char *path, ScrtIoError *err);

/* An ONNX TensorProto in a file of its own (the input_0.pb of a test_data_set folder), by a wire
 * reader of this library's own: raw_data or the typed fields; external data is refused. */
ScrtStatus scrt_pb_read(const char *path, ScrtNamed *ret, ScrtIoError *err);

/* What the arguments of -i say, for scrt_main and for `scalec run`: each is "name=x.npy",
 * "all.npz", or "x.npy" for a model of one input. Fills ret[n] with tensors that the caller frees
 * with scrt_free; dtypes and ranks fit the ports. On failure nothing stays allocated. Implemented
 * in inputs.c. */
ScrtStatus scrt_inputs_read(const ScrtPort *port, uint32_t n, const char *const *arg,
                            uint32_t n_arg, ScrtTensor *ret, ScrtIoError *err);
/* Outputs to path (.npz, or .npy for a single one), or to standard output as text where path is
 * NULL: all elements, or a summary of large ones, or with top > 0 the largest ones with their
 * indices. */
ScrtStatus scrt_outputs_write(const ScrtPort *port, uint32_t n, const ScrtTensor *out,
                              const char *path, uint32_t top, ScrtIoError *err);

/* The main function of an executable compiled from model. */
int scrt_main(const ScrtModel *model, int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
