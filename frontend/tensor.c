/* SPDX-License-Identifier: Apache-2.0 */
/* TensorProto to blob. dims times the element's bits must be the length of the data that is there,
 * in whichever field it is; external data must lie beneath the model's folder. */
#include "frontend/frontend_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAP_MORE = 64 << 20 }; /* bytes of a file of tensors that is read; a larger one is mapped */

typedef struct Source { /* where a tensor is, for messages */
    ScCtx *cx;
    const ScLoc *loc;
    const char *name;
} Source;

/* Opens path beneath dir, one component at a time, following no link: the path is resolved, so one
 * that is met now was put there since. -1 with errno. */
static int open_beneath(const char *dir, const char *path)
{
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (const char *p = path; at >= 0;) {
        size_t n = strcspn(p, "/");
        char part[NAME_MAX + 1];
        bool last = p[n] == '\0', fits = n > 0 && n < sizeof part;
        int next = -1, why = ENAMETOOLONG;
        if (fits) {
            memcpy(part, p, n);
            part[n] = '\0';
            next =
                openat(at, part,
                       O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (last ? 0 : O_DIRECTORY));
            why = errno;
        }
        close(at);
        errno = why;
        at = next;
        if (last)
            break;
        p += n + 1;
    }
    return at;
}

/* What is left of a resolved path beneath a resolved folder; NULL where it does not lie there. */
static const char *beneath(const char *dir, const char *path)
{
    size_t n = strlen(dir);
    while (n > 0 && dir[n - 1] == '/') /* the root alone ends with one */
        n--;
    return !strncmp(path, dir, n) && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

/* Opens the file that a location means, wherever links lead within the folders allowed. -1 after
 * sc_fail. */
static int open_location(const Source *s, ScDataDirs dirs, const char *location)
{
    const char *const allowed[] = {dirs.given, dirs.resolved ? dirs.resolved : dirs.given};
    const char *path = sc_printf(sc_ctx_arena(s->cx), "%s/%s", dirs.given, location);
    char *real = *location && *location != '/' ? realpath(path, NULL) : NULL;
    int fd = -1, why = errno;
    bool inside = false;
    for (size_t i = 0; real && !inside && i < 2; i++) {
        char *dir = realpath(allowed[i], NULL);
        const char *rest = dir ? beneath(dir, real) : NULL;
        inside = rest != NULL;
        if (inside) {
            fd = open_beneath(dir, rest);
            why = errno;
        }
        free(dir);
    }
    if (!*location || *location == '/' || (real && !inside))
        sc_fail(s->cx, s->loc, SC_E_EXTERNAL,
                "tensor \"%s\": \"%s\" is not a path beneath the model", s->name, location);
    else if (fd < 0)
        sc_fail(s->cx, s->loc, SC_E_EXTERNAL, "tensor \"%s\": cannot open \"%s\": %s", s->name,
                location, strerror(why));
    free(real);
    return fd;
}

static bool parse_size(const char *text, uint64_t *ret)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool read_all(int fd, void *p, size_t n, uint64_t offset)
{
    char *to = p;
    while (n > 0) {
        ssize_t got = pread(fd, to, n, (off_t)offset);
        if (got <= 0)
            return false;
        to += got;
        offset += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}

typedef struct Mapped {
    void *p; /* NULL: not yet */
    size_t n;
} Mapped;

static void unmap(void *arg)
{
    Mapped *m = arg;
    munmap(m->p, m->n);
}

/* A large file, mapped once for all of its tensors until the session ends; NULL where that fails.
 */
static const unsigned char *map_file(ScCtx *cx, int fd, const struct stat *st)
{
    static const char tag;
    struct {
        const void *tag;
        uint64_t device, inode, size;
    } key = {&tag, st->st_dev, st->st_ino, (uint64_t)st->st_size};
    Mapped *m = sc_ctx_slot(cx, sc_intern_bytes(cx, &key, sizeof key), sizeof *m);
    if (!m->p) {
        size_t n = (size_t)st->st_size;
        void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            return NULL;
        *m = (Mapped){p, n};
        sc_note_mapped(cx, p, n);
        sc_at_end(cx, unmap, m);
    }
    return m->p;
}

/* What lies in a file at offset; NULL where it cannot be read. */
static const void *bytes_at(ScCtx *cx, int fd, const struct stat *st, uint64_t offset, size_t bytes)
{
    const unsigned char *file = st->st_size > MAP_MORE ? map_file(cx, fd, st) : NULL;
    if (file)
        return file + offset;
    void *p = sc_alloc(sc_ctx_arena(cx), bytes ? bytes : 1);
    return read_all(fd, p, bytes, offset) ? p : NULL;
}

/* The bytes of a tensor whose data is in a file of its own; NULL after sc_fail. */
static const void *external(const Source *s, ScDataDirs dirs, const Onnxpb__Tensor *t, size_t bytes)
{
    const char *location = NULL;
    uint64_t offset = 0, length = bytes;
    for (size_t i = 0; i < t->n_external_data; i++) {
        const char *key = t->external_data[i]->key, *value = t->external_data[i]->value;
        bool ok = key && value;
        if (ok && !strcmp(key, "location"))
            location = value;
        else if (ok && !strcmp(key, "offset"))
            ok = parse_size(value, &offset);
        else if (ok && !strcmp(key, "length"))
            ok = parse_size(value, &length);
        if (!ok) {
            sc_fail(s->cx, s->loc, SC_E_EXTERNAL, "tensor \"%s\": \"%s\" is not a number", s->name,
                    key ? key : "");
            return NULL;
        }
    }
    if (!location || !dirs.given || length != bytes) {
        sc_fail(s->cx, s->loc, SC_E_EXTERNAL, "tensor \"%s\": %s", s->name,
                !location     ? "no location is given"
                : !dirs.given ? "the model was not read from a folder"
                              : "the length is not that of the shape");
        return NULL;
    }
    int fd = open_location(s, dirs, location);
    if (fd < 0)
        return NULL;
    struct stat st;
    const void *ret = NULL;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        sc_fail(s->cx, s->loc, SC_E_EXTERNAL, "tensor \"%s\": \"%s\" is %s, not a file", s->name,
                location, S_ISDIR(st.st_mode) ? "a folder" : "a pipe or a device");
    } else if (offset > (uint64_t)st.st_size || length > (uint64_t)st.st_size - offset) {
        sc_fail(s->cx, s->loc, SC_E_EXTERNAL,
                "tensor \"%s\": offset and length do not lie inside \"%s\"", s->name, location);
    } else {
        sc_note_read(s->cx, location, st.st_dev, st.st_ino);
        ret = bytes_at(s->cx, fd, &st, offset, bytes);
        if (!ret)
            sc_fail(s->cx, s->loc, SC_E_EXTERNAL, "tensor \"%s\": reading \"%s\" failed", s->name,
                    location);
    }
    close(fd);
    return ret;
}

/* The typed field that holds a type's elements, and how many bytes of each entry count. */
typedef struct Field {
    const void *data;
    size_t n, entry;
} Field;

static Field typed_field(const Onnxpb__Tensor *t, ScrtDtype dtype)
{
    switch (dtype) {
    case SCRT_F32:
        return (Field){t->float_data, t->n_float_data, 4};
    case SCRT_C64:
        return (Field){t->float_data, t->n_float_data, 4};
    case SCRT_F64:
    case SCRT_C128:
        return (Field){t->double_data, t->n_double_data, 8};
    case SCRT_I64:
        return (Field){t->int64_data, t->n_int64_data, 8};
    case SCRT_U32:
    case SCRT_U64:
        return (Field){t->uint64_data, t->n_uint64_data, 8};
    default:
        return (Field){t->int32_data, t->n_int32_data, 4};
    }
}

/* FP6 has one element an entry in int32_data, and four in three bytes elsewhere. */
static const void *fp6_from_field(const Source *s, const Onnxpb__Tensor *t, ScrtDtype dtype,
                                  size_t count, size_t bytes)
{
    if (t->n_int32_data != count) {
        sc_fail(s->cx, s->loc, SC_E_ONNX,
                "tensor \"%s\" has %zu elements of data for a shape of %zu", s->name,
                t->n_int32_data, count);
        return NULL;
    }
    unsigned char *p = sc_array(sc_ctx_arena(s->cx), unsigned char, bytes ? bytes : 1);
    for (size_t i = 0; i < count; i++)
        scrt_store_bits(dtype, p, i, (uint64_t)t->int32_data[i]);
    return p;
}

/* Entries wider than what they hold keep it in their low bytes (little endian, as this host). */
static const void *from_field(const Source *s, const Onnxpb__Tensor *t, ScrtDtype dtype,
                              size_t bytes)
{
    Field f = typed_field(t, dtype);
    uint32_t bits = scrt_dtype_bits(dtype);
    size_t unit = bits < 8 ? 1 : dtype == SCRT_C64 ? 4 : dtype == SCRT_C128 ? 8 : bits / 8;
    if (f.n != bytes / unit) {
        sc_fail(s->cx, s->loc, SC_E_ONNX,
                "tensor \"%s\" has %zu elements of data for a shape of %zu", s->name, f.n,
                bytes / unit);
        return NULL;
    }
    if (unit == f.entry)
        return f.n && bytes >= IM_LARGE ? f.data : sc_memdup(sc_ctx_arena(s->cx), f.data, bytes);
    char *p = sc_alloc(sc_ctx_arena(s->cx), bytes ? bytes : 1);
    for (size_t i = 0; i < f.n; i++)
        memcpy(p + i * unit, (const char *)f.data + i * f.entry, unit);
    return p;
}

static const void *from_raw(const Source *s, const Onnxpb__Tensor *t, size_t bytes)
{
    size_t n = t->has_raw_at ? t->raw_n : t->raw_data.len;
    if (n != bytes) {
        sc_fail(s->cx, s->loc, SC_E_ONNX, "tensor \"%s\" has %zu bytes of data for a shape of %zu",
                s->name, n, bytes);
        return NULL;
    }
    return t->has_raw_at ? (const void *)(uintptr_t)t->raw_at
                         : sc_memdup(sc_ctx_arena(s->cx), t->raw_data.data, bytes);
}

const ScrtString **im_strings(ScCtx *cx, size_t n, const ProtobufCBinaryData *x)
{
    const ScrtString **p = sc_array(sc_ctx_arena(cx), const ScrtString *, n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = sc_string(cx, (const char *)x[i].data, x[i].len);
    return p;
}

static const void *from_strings(const Source *s, const Onnxpb__Tensor *t, size_t count)
{
    if (t->n_string_data != count || t->has_raw_data || t->has_raw_at) {
        sc_fail(s->cx, s->loc, SC_E_ONNX, "tensor \"%s\" has %zu strings for a shape of %zu",
                s->name, t->n_string_data, count);
        return NULL;
    }
    return im_strings(s->cx, count, t->string_data);
}

const ScBlob *im_tensor(ScCtx *cx, const ScLoc *loc, ScDataDirs dirs, const char *name,
                        const Onnxpb__Tensor *t)
{
    Source s = {cx, loc, name ? name : ""};
    ScrtDtype dtype = (ScrtDtype)t->data_type;
    if (!t->has_data_type || scrt_dtype_bits(dtype) == 0) {
        sc_fail(cx, loc, SC_E_TYPE, "tensor \"%s\" has element type %d, which cannot be stored",
                s.name, t->data_type);
        return NULL;
    }
    if (t->n_dims > SCRT_MAX_RANK || t->segment) {
        sc_fail(cx, loc, SC_E_LIMIT, "tensor \"%s\" has %zu dimensions of at most %d, or segments",
                s.name, t->n_dims, SCRT_MAX_RANK);
        return NULL;
    }
    ScrtTensor shape = {.dtype = dtype, .rank = (uint32_t)t->n_dims};
    for (size_t i = 0; i < t->n_dims; i++)
        shape.dims[i] = t->dims[i];
    int64_t count = scrt_count(&shape);
    size_t bytes;
    if (count < 0 || !scrt_bytes(dtype, (size_t)count, &bytes)) {
        sc_fail(cx, loc, SC_E_LIMIT, "tensor \"%s\" has a negative or too large shape", s.name);
        return NULL;
    }
    if (dtype == SCRT_STRING && t->has_data_location && t->data_location == 1) {
        sc_fail(cx, loc, SC_E_EXTERNAL, "tensor \"%s\" has strings in another file", s.name);
        return NULL;
    }
    bool fp6 = dtype == SCRT_F6E2M3 || dtype == SCRT_F6E3M2;
    const void *data = t->has_data_location && t->data_location == 1 ? external(&s, dirs, t, bytes)
                       : dtype == SCRT_STRING             ? from_strings(&s, t, (size_t)count)
                       : t->has_raw_data || t->has_raw_at ? from_raw(&s, t, bytes)
                       : fp6 ? fp6_from_field(&s, t, dtype, (size_t)count, bytes)
                             : from_field(&s, t, dtype, bytes);
    return data ? sc_blob(cx, name, dtype, shape.rank, shape.dims, data) : NULL;
}

const ScBlob *im_own_tensor(Import *im, const ScLoc *loc, const char *name, const Onnxpb__Tensor *t)
{
    const ScBlob *b = im_tensor(im->cx, loc, im_dirs(im), name, t);
    return !b || im->names == im->root
               ? b
               : sc_blob_folded(im->cx, b->dtype, b->rank, b->dims, b->data);
}

/* --- Sparse tensors --------------------------------------------------------------------------- */

/* Where element i stands, counted through the tensor; -1 where that is outside it. Positions are
 * one number each, or one for each axis. */
static int64_t place(const ScBlob *at, const ScrtTensor *t, int64_t count, int64_t i)
{
    int64_t to = 0;
    if (at->rank == 1) {
        to = scrt_load_int(SCRT_I64, at->data, (size_t)i);
        return to >= 0 && to < count ? to : -1;
    }
    for (uint32_t d = 0; d < t->rank; d++) {
        int64_t k = scrt_load_int(SCRT_I64, at->data, (size_t)(i * t->rank + d));
        if (k < 0 || k >= t->dims[d])
            return -1;
        to = to * t->dims[d] + k;
    }
    return to;
}

static bool is_sparse(const Source *s, const ScBlob *value, const ScBlob *at, const ScrtTensor *t)
{
    bool fits = value->rank == 1 && at->dtype == SCRT_I64 &&
                (at->rank == 1 || (at->rank == 2 && at->dims[1] == t->rank)) &&
                at->dims[0] == value->dims[0];
    if (value->dtype == SCRT_STRING || scrt_dtype_bits(value->dtype) > 64)
        return sc_fail(s->cx, s->loc, SC_E_UNSUPPORTED, "sparse tensor \"%s\" of %s", s->name,
                       scrt_dtype_name(value->dtype));
    return fits ||
           sc_fail(s->cx, s->loc, SC_E_ONNX,
                   "sparse tensor \"%s\": values and indices do not belong together", s->name);
}

const ScBlob *im_sparse(Import *im, const ScLoc *loc, const char *name,
                        const Onnxpb__SparseTensor *t)
{
    ScCtx *cx = im->cx;
    Source s = {cx, loc, name};
    size_t bytes;
    ScrtTensor y = {.rank = t->n_dims <= SCRT_MAX_RANK ? (uint32_t)t->n_dims : 0};
    if (!t->values || !t->indices || t->n_dims == 0 || t->n_dims > SCRT_MAX_RANK) {
        sc_fail(cx, loc, SC_E_ONNX, "sparse tensor \"%s\" has %zu dimensions, or no values", name,
                t->n_dims);
        return NULL;
    }
    const ScBlob *value = im_tensor(cx, loc, im_dirs(im), name, t->values);
    const ScBlob *at = value ? im_tensor(cx, loc, im_dirs(im), name, t->indices) : NULL;
    if (!at || !is_sparse(&s, value, at, &y))
        return NULL;
    y.dtype = value->dtype;
    memcpy(y.dims, t->dims, y.rank * sizeof *y.dims);
    int64_t count = scrt_count(&y);
    if (count < 0 || !scrt_bytes(value->dtype, (size_t)count, &bytes) ||
        bytes > IM_MIN_LIMIT - im->n_dense) {
        sc_fail(cx, loc, SC_E_LIMIT, "sparse tensor \"%s\": with their zeros, all take %u at most",
                name, IM_MIN_LIMIT);
        return NULL;
    }
    im->n_dense += bytes;
    char *data = sc_array(sc_ctx_arena(cx), char, bytes + 1);
    for (size_t i = 0; i < value->count; i++) {
        int64_t to = place(at, &y, count, (int64_t)i);
        if (to < 0) {
            sc_fail(cx, loc, SC_E_ONNX, "sparse tensor \"%s\": element %zu lies outside", name, i);
            return NULL;
        }
        scrt_store_bits(value->dtype, data, (size_t)to,
                        scrt_load_bits(value->dtype, value->data, i));
    }
    return sc_blob_folded(cx, value->dtype, y.rank, y.dims, data);
}
