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

/* A whole file to read: [n] bytes at data, and a zero byte behind them. */
typedef struct ScrtFile {
    const unsigned char *data;
    size_t n, room;         /* room: bytes of address space; 0: memory from scrt_alloc */
    uint64_t device, inode; /* which file it is */
    bool mapped;            /* one that is cut short meanwhile raises SIGBUS where it is read */
} ScrtFile;

/* Opens path, "-" for standard input. A regular file shows its size first: one of more than limit
 * bytes is refused unread, one of at most 64 MiB is read, a larger one mapped. A pipe or socket is
 * read to its end, of at most limit bytes and 128 MiB, a terminal if it is standard input; any
 * other device is refused, and so is a named pipe without a writer for a second. A signal whose
 * handler does not restart calls ends the reading. err says why, without the path. On failure *ret
 * is untouched. */
ScrtStatus scrt_file_open(const char *path, uint64_t limit, ScrtFile *ret, ScrtIoError *err);
void scrt_file_close(ScrtFile *f); /* takes one that is zero */

/* n bytes as a file, under a temporary name that is then renamed: a failure leaves what was there.
 * A link is followed; what is no regular file (a device, a pipe) is written directly and never
 * replaced. "-" is standard output. */
ScrtStatus scrt_file_write(const char *path, const void *bytes, size_t n, ScrtIoError *err);
/* Whether two paths, either of which need not exist, are one file to write: m, ./m and a link to m
 * are. */
bool scrt_same_file(const char *a, const char *b);

/* Files and folders (of files) that are not to outlive this process: whatever the functions here
 * write under a temporary name notes itself. _done forgets one, _remove removes it too, and
 * scrt_temporaries_remove, which a signal handler may call, removes all that are noted. */
void scrt_temporary(const char *path);
void scrt_temporary_done(const char *path);
void scrt_temporary_remove(const char *path);
void scrt_temporaries_remove(void);
/* For a program's main: SIGINT, SIGTERM and SIGHUP, where they would end the process, remove them
 * first; a handler of the program's own (NULL: none) does so itself. Files beyond the process's
 * limit become errors. */
void scrt_end_on_signals(void (*handler)(int signal_number));

/* --- Files of tensors ------------------------------------------------------------------------- */

/* A file of tensors, opened: a .npy, .npz, .safetensors or ONNX TensorProto, told by its content;
 * or a picture, told so too, or a .bin, by its name. Names, types and dims are known, and that the
 * elements are there; none is read or unpacked yet.
 */
typedef struct ScrtTensorFile ScrtTensorFile;
ScrtStatus scrt_tensors_open(const char *path, ScrtTensorFile **ret, ScrtIoError *err);
void scrt_tensors_close(ScrtTensorFile *f); /* takes NULL */
uint32_t scrt_tensors_count(const ScrtTensorFile *f);
/* Whether it is of a format of one tensor: a .npy, whose name is "", or a TensorProto. */
bool scrt_tensors_single(const ScrtTensorFile *f);
/* Name and head of tensor i; data is NULL. An array that cannot be read has SCRT_DTYPE_NONE:
 * reading it says why. */
const ScrtNamed *scrt_tensors_item(const ScrtTensorFile *f, uint32_t i);
int64_t scrt_tensors_find(const ScrtTensorFile *f, const char *name); /* -1: there is none */
/* Tensor i, its data the caller's. want as for scrt_npy_read. */
ScrtStatus scrt_tensors_read(const ScrtTensorFile *f, uint32_t i, uint32_t want, ScrtTensor *ret,
                             ScrtIoError *err);

/* --- Pictures and bare bytes, which an input's signature makes tensors of --------------------- */

typedef struct ScrtSize {
    uint32_t width, height;
} ScrtSize;

enum { SCRT_MOST_PIXELS = 1 << 26 }; /* no side beyond 65535 */
typedef struct ScrtPixels {
    uint32_t width, height;
    uint8_t *rgb; /* [height,width,3], from scrt_alloc */
} ScrtPixels;

/* PNM (.ppm, .pgm) is read by this library; what else there is, by functions that a program has. f
 * has the format's mark. On failure nothing stays allocated. */
typedef ScrtStatus (*ScrtDecodeFn)(const char *what, const ScrtFile *f, ScrtPixels *ret,
                                   ScrtIoError *err);
typedef struct ScrtDecoders {
    ScrtDecodeFn png, jpeg; /* NULL: not read */
    /* NULL: not written */
    ScrtStatus (*write_png)(const char *path, const ScrtPixels *p, ScrtIoError *err);
} ScrtDecoders;

typedef enum ScrtFilter { SCRT_BILINEAR, SCRT_BICUBIC, SCRT_NEAREST_PIXEL } ScrtFilter;

/* How a picture becomes an input: resized, cut, and each byte x of a colour made
 * (x * scale - mean) / std. All may be zero. */
typedef struct ScrtImage {
    const char *layout; /* "nchw", "nhwc", "chw", "hwc", "hw"; NULL: as the input's dims say */
    bool bgr;
    double scale;    /* 0: 1/255 for floats, 1 for integers */
    double mean[3];  /* in the order of the input's channels, after scale */
    double std[3];   /* the same */
    bool has_std;    /* false: 1 */
    ScrtSize resize; /* height 0: width is the shorter side's length; both 0: to the input's size,
                      * where there is no crop */
    ScrtSize crop;   /* the middle; both 0: to the input's size */
    bool pad;        /* resize keeps the picture's proportions, and the rest is grey */
    uint8_t fill;
    ScrtFilter filter; /* as Pillow resizes, bit for bit */
    const ScrtDecoders *decoders;
} ScrtImage;
/* "layout=nchw,mean=0.485,0.456,0.406,std=0.229,0.224,0.225,resize=256,crop=224": what is not said
 * is zero; decoders stay. */
ScrtStatus scrt_image_parse(const char *text, ScrtImage *ret, ScrtIoError *err);

/* An output as a picture, whose bytes become the tensor again by o; .ppm, .pgm, or a .png where o
 * has what writes it. Values beyond the bytes' are cut off, NaN is 0. Sizes of o do not matter. */
ScrtStatus scrt_picture_write(const char *path, const ScrtTensor *t, const ScrtImage *o,
                              ScrtIoError *err);
bool scrt_picture_name(const char *path); /* whether it ends as such a file does */

/* What an input is to be. */
typedef struct ScrtWish {
    uint32_t dtype, rank;
    int64_t dims[SCRT_MAX_RANK]; /* -1: open */
    const ScrtImage *image;      /* NULL: zero */
} ScrtWish;
/* "1,3,224,224": each 0 or more, at most SCRT_MAX_RANK of them; "" is a scalar's. */
bool scrt_shape_parse(const char *text, uint32_t *ret_rank, int64_t *ret_dims);
/* Whether a file says neither type nor shape: a picture, or the bytes of a .bin. It counts no
 * tensors. */
bool scrt_tensors_bare(const ScrtTensorFile *f);
bool scrt_tensors_picture(const ScrtTensorFile *f); /* which of them */
/* The tensor that such a file gives; it has the wish's dtype, rank, and those dims that are not
 * open. Of a .bin one dim may be open. The caller owns ret->data. */
ScrtStatus scrt_tensors_make(const ScrtTensorFile *f, const ScrtWish *wish, ScrtTensor *ret,
                             ScrtIoError *err);
/* A .bin: the elements as they lie in memory. */
ScrtStatus scrt_bytes_write(const char *path, const ScrtTensor *t, ScrtIoError *err);

/* --- Formats ---------------------------------------------------------------------------------- */

/* .npy, format versions 1 to 3, C or Fortran order (made C), little or big endian (made native),
 * and the types of NumPy that have a ScrtDtype. NumPy has no bf16 and no type of 8 bits or fewer
 * but the integers: elements of those travel as patterns, see scrt_tensor_adopt. want says what the
 * caller would like to have; what cannot be had so is returned as it is, and SCRT_DTYPE_NONE is no
 * wish. On success the caller owns ret->data. "-" is standard input or output. */
ScrtStatus scrt_npy_read(const char *path, uint32_t want, ScrtTensor *ret, ScrtIoError *err);
/* bf16, and floats of 8 bits or fewer one a byte, are written as void of 2 and 1 bytes, as NumPy
 * saves ml_dtypes; packed integers as one byte an element.
 * Written to a temporary name, then renamed. */
ScrtStatus scrt_npy_write(const char *path, const ScrtTensor *t, ScrtIoError *err);

/* Makes t, as a file gave it, a tensor of type want where its elements can be the patterns of want:
 * u8 for floats of at most 8 bits and (also i8, packed by this) for types under a byte, u16 for
 * bf16; NumPy's void of 1 and 2 bytes, in which ml_dtypes are saved, was read as u8 and u16. False
 * where t is not of that type afterwards; then it is as it was. */
bool scrt_tensor_adopt(ScrtTensor *t, uint32_t want);
bool scrt_dtype_adopts(uint32_t is, uint32_t want); /* whether it can */

/* .npz: a zip archive of .npy, stored or deflated, zip64 too; entries in archive order, each of
 * the type that scrt_npy_read gives without a wish. Written stored, at most 4 GiB; the same tensors
 * give the same bytes. */
ScrtStatus scrt_npz_read(const char *path, ScrtNamedList *ret, ScrtIoError *err);
ScrtStatus scrt_npz_write(const char *path, const ScrtNamed *item, uint32_t n, ScrtIoError *err);

/* .safetensors, wide elements first; types that the format lacks (i4 to u2, c128) are refused. */
ScrtStatus scrt_safetensors_write(const char *path, const ScrtNamed *item, uint32_t n,
                                  ScrtIoError *err);

/* The states of a session as an .npz, one entry a state by its name. Written whole or not at all;
 * load leaves the session as it was on failure, and refuses a file that lacks a state, has one that
 * is not the model's, or has another dtype or shape. err names what. */
ScrtStatus scrt_state_save(ScrtSession *s, const char *path, ScrtIoError *err);
ScrtStatus scrt_state_load(ScrtSession *s, const char *path, ScrtIoError *err);

/* An ONNX TensorProto in a file of its own (the input_0.pb of a test_data_set folder), by a wire
 * reader of this library's own: raw_data or the typed fields; external data is refused. */
ScrtStatus scrt_pb_read(const char *path, ScrtNamed *ret, ScrtIoError *err);

/* The main function of an executable compiled from model. */
int scrt_main(const ScrtModel *model, int argc, char **argv);
/* Another way to run: fills out[n_out], whose data it makes with scrt_alloc; err says why it
 * failed. Of model only the names and the ports of inputs and outputs are used; what needs a
 * session (threads, states, timings) is refused. */
typedef ScrtStatus (*ScrtRunFn)(void *self, const ScrtTensor *in, ScrtTensor *out,
                                ScrtIoError *err);
typedef struct ScrtMainOptions {
    ScrtRunFn run; /* NULL: a session */
    void *self;
    const ScrtDecoders *decoders; /* of pictures; NULL: PNM alone */
} ScrtMainOptions;
/* scrt_main for other programs. */
int scrt_main_with(const ScrtModel *model, int argc, char **argv, const ScrtMainOptions *opt);

#ifdef __cplusplus
}
#endif
#endif
