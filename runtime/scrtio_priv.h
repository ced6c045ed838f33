/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of libscrtio. */
#ifndef SCRTIO_PRIV_H
#define SCRTIO_PRIV_H

#include "runtime/num/num.h"
#include "runtime/scrtio.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the file formats are little endian, and so is every target"
#endif

/* Writes the sentence into err (may be NULL) and returns status. Names from files are cut off by
 * the caller's precision, so that the sentence's end is kept. */
ScrtStatus scrt_io_fail(ScrtIoError *err, ScrtStatus status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* scrt_file_open without a limit; err names the file. */
ScrtStatus scrt_file_read(const char *path, ScrtFile *ret, ScrtIoError *err);

/* A file being written under a temporary name beside path, or beside what path is a link to. A path
 * that is there and is no regular file (a device, a pipe) is written directly, and so is "-",
 * standard output; a pipe without a reader is an error. */
typedef struct ScrtOut {
    const char *path;
    char *temporary; /* NULL: written directly */
    char *target;    /* what the temporary file becomes; in the same memory */
    int fd;
    uint64_t n; /* bytes so far */
    bool failed;
    int error; /* errno of the first failure */
} ScrtOut;
ScrtStatus scrt_out_open(ScrtOut *o, const char *path, ScrtIoError *err);
void scrt_out_write(ScrtOut *o, const void *data, size_t n); /* failures are told at the end */
/* Ends the file: keeps it if keep and all was written, else removes what there is. */
ScrtStatus scrt_out_close(ScrtOut *o, bool keep, ScrtIoError *err);

bool scrt_ends_with(const char *text, const char *end);

/* Bools become 0 and 1, which compiled code counts on. */
void scrt_tensor_tidy(ScrtTensor *t);

/* --- Formats of tensor files --- */

enum { SCRT_MOST_TENSORS = 65535, SCRT_MOST_NAMES = 32 << 20 /* bytes, of all together */ };

typedef struct ScrtFileFormat ScrtFileFormat;
struct ScrtTensorFile {
    char *what; /* the path, for messages; from scrt_alloc */
    ScrtFile file;
    const ScrtFileFormat *format;
    ScrtNamed *item; /* [n], without data; one whose head cannot be read has SCRT_DTYPE_NONE */
    uint32_t n;
    size_t names; /* bytes of the items' */
    void *own;    /* the format's, from scrt_alloc */
};
struct ScrtFileFormat {
    const char *suffix;
    bool single;                   /* one tensor, which need not have a name */
    bool by_name;                  /* whatever the content looks like */
    bool (*is)(const ScrtFile *f); /* NULL: the format has no mark */
    ScrtStatus (*heads)(ScrtTensorFile *f, ScrtIoError *err);
    ScrtStatus (*read)(const ScrtTensorFile *f, uint32_t i, ScrtTensor *ret, ScrtIoError *err);
    /* Instead of both, where the file says neither type nor shape. */
    ScrtStatus (*make)(const ScrtTensorFile *f, const ScrtWish *wish, ScrtTensor *ret,
                       ScrtIoError *err);
};
extern const ScrtFileFormat scrt_format_npy, scrt_format_npz, scrt_format_safetensors,
    scrt_format_pb, scrt_format_bytes, scrt_format_picture;
/* As scrt_tensors_open; format NULL: which one, the content says. */
ScrtStatus scrt_tensors_open_as(const char *path, const ScrtFileFormat *format,
                                ScrtTensorFile **ret, ScrtIoError *err);

/* Room for n heads; then each is added, its name copied; then no two may have one name. */
ScrtStatus scrt_tensors_room(ScrtTensorFile *f, uint64_t n, ScrtIoError *err);
ScrtStatus scrt_tensors_add(ScrtTensorFile *f, const char *name, size_t length,
                            const ScrtTensor *head, ScrtIoError *err);
ScrtStatus scrt_tensors_distinct(const ScrtTensorFile *f, ScrtIoError *err);

/* Type and dims of the .npy of total bytes that begins with data[n]: its size is checked. what
 * names it in messages. */
ScrtStatus scrt_npy_head(const char *what, const unsigned char *data, size_t n, uint64_t total,
                         ScrtTensor *ret, ScrtIoError *err);
/* The .npy in n bytes of memory. */
ScrtStatus scrt_npy_parse(const char *what, const unsigned char *data, size_t n, ScrtTensor *ret,
                          ScrtIoError *err);
/* How strings stand in a .npy: elements of width bytes. */
typedef struct ScrtNpyText {
    size_t width;
    bool points; /* code points of 4 bytes: U; else bytes: S */
    bool swap;   /* whose bytes are turned round */
} ScrtNpyText;
/* t's elements, from src in C order; the dims are there. */
ScrtStatus scrt_npy_text_read(const char *what, const ScrtNpyText *f, const unsigned char *src,
                              ScrtTensor *t, ScrtIoError *err);
/* t's elements as U, or as S where one is no UTF-8; the caller frees *ret_data. */
ScrtStatus scrt_npy_text_write(const ScrtTensor *t, ScrtNpyText *ret, unsigned char **ret_data,
                               size_t *ret_bytes);
/* The header of t as a version 1 .npy, and the bytes that follow it. Elements of less than a byte
 * are spread out, one a byte, and strings to one width, into memory that the caller frees:
 * *ret_spread, else NULL. */
enum { SCRT_NPY_HEADER = 512 };
ScrtStatus scrt_npy_header(const ScrtTensor *t, char ret_header[SCRT_NPY_HEADER], size_t *ret_n,
                           const void **ret_data, size_t *ret_bytes, void **ret_spread);

/* --- zip archives --- */

typedef struct ScrtZipEntry {
    const char *name; /* in the archive's memory, not terminated */
    uint32_t name_length;
    uint32_t crc, method;
    uint64_t packed, size;
    const unsigned char *data; /* packed bytes of it */
} ScrtZipEntry;

/* The entries of an archive in memory, all offsets checked; the caller frees *ret_entry. */
ScrtStatus scrt_zip_list(const char *what, const unsigned char *file, size_t n,
                         ScrtZipEntry **ret_entry, uint32_t *ret_n, ScrtIoError *err);
/* An entry's first bytes, at most room. */
ScrtStatus scrt_zip_peek(const char *what, const ScrtZipEntry *e, unsigned char *buf, size_t room,
                         size_t *ret_n, ScrtIoError *err);
/* An entry's contents: in the archive's memory where it is stored, else in *ret_own, which the
 * caller frees. The CRC is checked. */
ScrtStatus scrt_zip_extract(const char *what, const ScrtZipEntry *e, const unsigned char **ret,
                            unsigned char **ret_own, ScrtIoError *err);

typedef struct ScrtZipOut ScrtZipOut; /* entries are stored, not deflated */
ScrtStatus scrt_zip_begin(const char *path, ScrtZipOut **ret, ScrtIoError *err);
/* One entry from two parts. */
ScrtStatus scrt_zip_add(ScrtZipOut *z, const char *name, const void *head, size_t n_head,
                        const void *data, size_t n, ScrtIoError *err);
ScrtStatus scrt_zip_end(ScrtZipOut *z, bool keep, ScrtIoError *err);

#endif
