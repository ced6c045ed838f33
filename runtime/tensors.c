/* SPDX-License-Identifier: Apache-2.0 */
/* A file of tensors, opened: what it holds is told by its headers, so that a caller compares names,
 * types and dims with what it wants before an element is read or unpacked. */
#include "runtime/scrtio_priv.h"

#include <errno.h>
#include <stdlib.h>

static const ScrtFileFormat *const formats[] = {&scrt_format_bytes,       &scrt_format_npy,
                                                &scrt_format_npz,         &scrt_format_picture,
                                                &scrt_format_safetensors, &scrt_format_pb};
enum { N_FORMATS = sizeof formats / sizeof *formats };

bool scrt_ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

/* By content; a file that none knows is what its name says, or the one format without a mark. */
static const ScrtFileFormat *format_of(const char *path, const ScrtFile *f)
{
    for (int i = 0; i < N_FORMATS; i++)
        if (formats[i]->by_name && scrt_ends_with(path, formats[i]->suffix))
            return formats[i];
    for (int i = 0; i < N_FORMATS; i++)
        if (formats[i]->is && formats[i]->is(f))
            return formats[i];
    for (int i = 0; i < N_FORMATS; i++)
        if (scrt_ends_with(path, formats[i]->suffix))
            return formats[i];
    return &scrt_format_pb;
}

ScrtStatus scrt_tensors_open_as(const char *path, const ScrtFileFormat *format,
                                ScrtTensorFile **ret, ScrtIoError *err)
{
    const char *what = strcmp(path, "-") ? path : "standard input";
    ScrtTensorFile *f = scrt_alloc(sizeof *f);
    char *copy = scrt_alloc(strlen(what) + 1);
    if (!f || !copy) {
        scrt_free(f);
        scrt_free(copy);
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", what);
    }
    *f = (ScrtTensorFile){.what = memcpy(copy, what, strlen(what) + 1)};
    ScrtStatus s = scrt_file_read(path, &f->file, err);
    if (s == SCRT_OK) {
        f->format = format ? format : format_of(path, &f->file);
        s = f->format->heads ? f->format->heads(f, err) : SCRT_OK;
        if (s == SCRT_E_FILE && !format && f->format == &scrt_format_pb &&
            !scrt_ends_with(path, ".pb"))
            scrt_io_fail(err, s,
                         "%.300s: %s; tensors are read from .npy, .npz, .safetensors, .pb, .bin "
                         "and pictures",
                         what,
                         scrt_ends_with(path, ".onnx") ? "is a model, no tensor"
                                                       : "holds no tensor that is known");
    }
    if (s == SCRT_OK)
        *ret = f;
    else
        scrt_tensors_close(f);
    return s;
}

ScrtStatus scrt_tensors_open(const char *path, ScrtTensorFile **ret, ScrtIoError *err)
{
    return scrt_tensors_open_as(path, NULL, ret, err);
}

void scrt_tensors_close(ScrtTensorFile *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < f->n; i++)
        scrt_free(f->item[i].name);
    scrt_free(f->item);
    scrt_free(f->own);
    scrt_file_close(&f->file);
    scrt_free(f->what);
    scrt_free(f);
}

uint32_t scrt_tensors_count(const ScrtTensorFile *f)
{
    return f->n;
}

bool scrt_tensors_single(const ScrtTensorFile *f)
{
    return f->format->single;
}

const ScrtNamed *scrt_tensors_item(const ScrtTensorFile *f, uint32_t i)
{
    return &f->item[i];
}

int64_t scrt_tensors_find(const ScrtTensorFile *f, const char *name)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (strcmp(f->item[i].name, name) == 0)
            return i;
    return -1;
}

ScrtStatus scrt_tensors_read(const ScrtTensorFile *f, uint32_t i, uint32_t want, ScrtTensor *ret,
                             ScrtIoError *err)
{
    ScrtStatus s = f->format->read(f, i, ret, err);
    if (s == SCRT_OK)
        scrt_tensor_adopt(ret, want); /* another type is the caller's to refuse */
    return s;
}

/* --- What a wish makes tensors of ------------------------------------------------------------- */

bool scrt_tensors_bare(const ScrtTensorFile *f)
{
    return f->format->make;
}

bool scrt_tensors_picture(const ScrtTensorFile *f)
{
    return f->format == &scrt_format_picture;
}

ScrtStatus scrt_tensors_make(const ScrtTensorFile *f, const ScrtWish *wish, ScrtTensor *ret,
                             ScrtIoError *err)
{
    return f->format->make(f, wish, ret, err);
}

bool scrt_shape_parse(const char *text, uint32_t *ret_rank, int64_t *ret_dims)
{
    uint32_t rank = 0;
    for (const char *p = text; *p; p += *p == ',') {
        char *end;
        if (*p < '0' || *p > '9' || rank == SCRT_MAX_RANK)
            return false;
        errno = 0;
        ret_dims[rank++] = strtoll(p, &end, 10);
        if (errno || (*end && *end != ',') || (*end == ',' && !end[1]))
            return false;
        p = end;
    }
    *ret_rank = rank;
    return true;
}

/* The dim that is open, so that the elements fill the file. */
static bool solve_dim(ScrtTensor *t, uint32_t open, size_t bytes)
{
    uint32_t bits = scrt_dtype_bits((ScrtDtype)t->dtype);
    t->dims[open] = 1;
    int64_t each = scrt_count(t), n;
    if (bits == 0 || each < 1 || bytes > INT64_MAX / 8)
        return false;
    n = (int64_t)(bytes * 8 / bits); /* of less than a byte the last may be filling */
    t->dims[open] = n / each;
    return true;
}

static ScrtStatus make_of_bytes(const ScrtTensorFile *f, const ScrtWish *w, ScrtTensor *ret,
                                ScrtIoError *err)
{
    ScrtTensor t = {.dtype = w->dtype, .rank = w->rank};
    uint32_t open = 0, n_open = 0;
    size_t bytes = 0;
    memcpy(t.dims, w->dims, sizeof t.dims);
    for (uint32_t k = 0; k < w->rank; k++)
        if (w->dims[k] < 0) {
            open = k;
            n_open++;
        }
    if (w->dtype == SCRT_STRING)
        return scrt_io_fail(err, SCRT_E_DTYPE, "%.300s: bytes alone are no strings", f->what);
    if (n_open > 1)
        return scrt_io_fail(err, SCRT_E_SHAPE,
                            "%.300s: bytes alone: %u sizes are open, --shape says them", f->what,
                            n_open);
    if ((n_open && !solve_dim(&t, open, f->file.n)) || !scrt_tensor_bytes(&t, &bytes) ||
        bytes != f->file.n)
        return scrt_io_fail(err, SCRT_E_SHAPE, "%.300s: has %zu bytes, the input takes %s%zu%s",
                            f->what, f->file.n, n_open ? "a multiple, like " : "", bytes,
                            scrt_dtype_bits((ScrtDtype)w->dtype) < 8
                                ? " (packed, the first in the lowest bits)"
                                : "");
    ScrtStatus s = scrt_tensor_alloc(&t);
    if (s != SCRT_OK)
        return scrt_io_fail(err, s, "%.300s: %s", f->what, scrt_status_text(s));
    if (bytes)
        memcpy(t.data, f->file.data, bytes);
    scrt_tensor_tidy(&t);
    *ret = t;
    return SCRT_OK;
}

const ScrtFileFormat scrt_format_bytes = {.suffix = ".bin", .by_name = true, .make = make_of_bytes};

ScrtStatus scrt_bytes_write(const char *path, const ScrtTensor *t, ScrtIoError *err)
{
    size_t bytes;
    if (err)
        err->text[0] = '\0';
    if (t->dtype == SCRT_STRING)
        return scrt_io_fail(err, SCRT_E_ARGUMENT,
                            "%.300s: strings are written as .npy and .npz, not as bytes alone",
                            path);
    if (!scrt_tensor_bytes(t, &bytes))
        return scrt_io_fail(err, SCRT_E_ARGUMENT, "%.300s: %s", path,
                            scrt_status_text(SCRT_E_ARGUMENT));
    return scrt_file_write(path, t->data, bytes, err);
}

/* --- For the formats -------------------------------------------------------------------------- */

ScrtStatus scrt_tensors_room(ScrtTensorFile *f, uint64_t n, ScrtIoError *err)
{
    if (n > SCRT_MOST_TENSORS)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: holds %llu arrays of at most %d", f->what,
                            (unsigned long long)n, SCRT_MOST_TENSORS);
    f->item = scrt_alloc((size_t)n * sizeof *f->item);
    return f->item ? SCRT_OK : scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", f->what);
}

ScrtStatus scrt_tensors_add(ScrtTensorFile *f, const char *name, size_t length,
                            const ScrtTensor *head, ScrtIoError *err)
{
    if (length && memchr(name, '\0', length))
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: a name in it holds a zero byte", f->what);
    if (length > SCRT_MOST_NAMES - f->names)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: its names take more than %d bytes", f->what,
                            SCRT_MOST_NAMES);
    char *copy = scrt_alloc(length + 1);
    if (!copy)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", f->what);
    if (length)
        memcpy(copy, name, length);
    copy[length] = '\0';
    f->names += length;
    f->item[f->n] = (ScrtNamed){copy, *head};
    f->item[f->n++].tensor.data = NULL;
    return SCRT_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

ScrtStatus scrt_tensors_distinct(const ScrtTensorFile *f, ScrtIoError *err)
{
    char **name = scrt_alloc((f->n + 1) * sizeof *name);
    ScrtStatus s = SCRT_OK;
    if (!name)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", f->what);
    for (uint32_t i = 0; i < f->n; i++)
        name[i] = f->item[i].name;
    qsort(name, f->n, sizeof *name, by_name);
    for (uint32_t i = 1; i < f->n && s == SCRT_OK; i++)
        if (strcmp(name[i - 1], name[i]) == 0)
            s = scrt_io_fail(err, SCRT_E_FILE, "%.300s: has two entries named '%.100s'", f->what,
                             name[i]);
    scrt_free(name);
    return s;
}

/* --- Files read whole ------------------------------------------------------------------------- */

void scrt_named_free(ScrtNamedList *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        scrt_free(list->item[i].name);
        scrt_free(list->item[i].tensor.data);
    }
    scrt_free(list->item);
    *list = (ScrtNamedList){0};
}

/* The names are moved out of the file: it is closed. */
static ScrtStatus read_all(ScrtTensorFile *f, ScrtNamedList *ret, ScrtIoError *err)
{
    ScrtStatus s = SCRT_OK;
    for (uint32_t i = 0; i < f->n && s == SCRT_OK; i++)
        s = scrt_tensors_read(f, i, SCRT_DTYPE_NONE, &f->item[i].tensor, err);
    ScrtNamedList list = {f->item, f->n};
    f->item = NULL;
    f->n = 0;
    if (s == SCRT_OK)
        *ret = list;
    else
        scrt_named_free(&list);
    return s;
}

ScrtStatus scrt_npz_read(const char *path, ScrtNamedList *ret, ScrtIoError *err)
{
    ScrtTensorFile *f;
    ScrtStatus s = scrt_tensors_open_as(path, &scrt_format_npz, &f, err);
    if (s != SCRT_OK)
        return s;
    s = read_all(f, ret, err);
    scrt_tensors_close(f);
    return s;
}

ScrtStatus scrt_npy_read(const char *path, uint32_t want, ScrtTensor *ret, ScrtIoError *err)
{
    ScrtTensorFile *f;
    ScrtStatus s = scrt_tensors_open_as(path, &scrt_format_npy, &f, err);
    if (s != SCRT_OK)
        return s;
    s = scrt_tensors_read(f, 0, want, ret, err);
    scrt_tensors_close(f);
    return s;
}

ScrtStatus scrt_pb_read(const char *path, ScrtNamed *ret, ScrtIoError *err)
{
    ScrtTensorFile *f;
    ScrtNamedList list;
    ScrtStatus s = scrt_tensors_open_as(path, &scrt_format_pb, &f, err);
    if (s != SCRT_OK)
        return s;
    s = read_all(f, &list, err);
    scrt_tensors_close(f);
    if (s != SCRT_OK)
        return s;
    *ret = list.item[0];
    scrt_free(list.item);
    return SCRT_OK;
}
