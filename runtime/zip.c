/* SPDX-License-Identifier: Apache-2.0 */
/* The part of zip that .npz needs. Reading goes by the central directory; a local header is only
 * asked where the data begins. Every offset, length and count is checked against the file before it
 * is used, sizes against what deflate can do, contents against their CRC. Zip64 is read (NumPy
 * writes it where a size needs it); archives of several disks, encryption and other methods are
 * refused. Writing: stored entries, at most 4 GiB in all.
 *
 * Source: PKWARE APPNOTE 6.3.10. */
#include "runtime/scrtio_priv.h"

#include <stdio.h>
#include <zlib.h>

enum {
    LOCAL = 0x04034b50,
    CENTRAL = 0x02014b50,
    END = 0x06054b50,
    END64 = 0x06064b50,
    LOCATOR64 = 0x07064b50,
    LOCAL_SIZE = 30,
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR64_SIZE = 20,
    STORED = 0,
    DEFLATED = 8,
    MAX_DEFLATE_RATIO = 1032,
};

static uint64_t get(const unsigned char *p, int bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++)
        x |= (uint64_t)p[i] << 8 * i;
    return x;
}

typedef struct Archive {
    const char *what;
    const unsigned char *file;
    size_t n;
    ScrtIoError *err;
} Archive;

typedef struct Directory { /* where the central directory is, and how much there should be */
    uint64_t entries, size, at;
} Directory;

static ScrtStatus damaged(const Archive *a, const char *how)
{
    return scrt_io_fail(a->err, SCRT_E_FILE, "%.300s: damaged archive: %s", a->what, how);
}

/* --- Finding the entries --- */

static ScrtStatus find_directory64(const Archive *a, size_t end, Directory *d)
{
    if (end < LOCATOR64_SIZE || get(a->file + end - LOCATOR64_SIZE, 4) != LOCATOR64)
        return damaged(a, "its zip64 directory is not found");
    uint64_t at = get(a->file + end - LOCATOR64_SIZE + 8, 8);
    if (at > end || end - at < END64_SIZE || get(a->file + at, 4) != END64)
        return damaged(a, "its zip64 directory is not found");
    *d = (Directory){get(a->file + at + 32, 8), get(a->file + at + 40, 8),
                     get(a->file + at + 48, 8)};
    return SCRT_OK;
}

/* The end record, which is followed by a comment of a length that it tells. */
static bool find_end(const Archive *a, size_t *ret)
{
    if (a->n < END_SIZE)
        return false;
    size_t last = a->n - END_SIZE, most = last < 0xffff ? last : 0xffff;
    for (size_t comment = 0; comment <= most; comment++) {
        const unsigned char *p = a->file + last - comment;
        if (get(p, 4) == END && get(p + 20, 2) == comment) {
            *ret = last - comment;
            return true;
        }
    }
    return false;
}

static ScrtStatus find_directory(const Archive *a, Directory *d)
{
    size_t at;
    if (!find_end(a, &at))
        return scrt_io_fail(a->err, SCRT_E_FILE, "%.300s: is no .npz file, or is cut off", a->what);
    const unsigned char *p = a->file + at;
    if (get(p + 4, 2) != get(p + 6, 2) && get(p + 4, 2) != 0xffff)
        return damaged(a, "it is one of several disks");
    *d = (Directory){get(p + 10, 2), get(p + 12, 4), get(p + 16, 4)};
    ScrtStatus s = SCRT_OK;
    if (d->entries == 0xffff || d->size == 0xffffffff || d->at == 0xffffffff)
        s = find_directory64(a, at, d);
    if (s != SCRT_OK)
        return s;
    if (d->at > at || d->size > at - d->at || d->entries > d->size / CENTRAL_SIZE)
        return damaged(a, "its directory does not fit");
    return SCRT_OK;
}

/* Sizes and offset that did not fit into 32 bits stand in an extra field, in this order. */
static bool read_extra64(const unsigned char *p, size_t n, ScrtZipEntry *e, uint64_t *offset)
{
    uint64_t *const field[] = {&e->size, &e->packed, offset};
    while (n >= 4) {
        size_t id = get(p, 2), length = get(p + 2, 2);
        p += 4;
        n -= 4;
        if (length > n)
            return false;
        for (size_t k = 0, left = length; id == 1 && k < 3; k++)
            if (*field[k] == 0xffffffff) {
                if (left < 8)
                    return false;
                *field[k] = get(p + length - left, 8);
                left -= 8;
            }
        p += length;
        n -= length;
    }
    return true;
}

static ScrtStatus find_data(const Archive *a, uint64_t offset, ScrtZipEntry *e)
{
    if (offset > a->n || a->n - offset < LOCAL_SIZE || get(a->file + offset, 4) != LOCAL)
        return damaged(a, "an entry is not where the directory says");
    const unsigned char *p = a->file + offset;
    uint64_t begin = offset + LOCAL_SIZE + get(p + 26, 2) + get(p + 28, 2);
    if (begin > a->n || e->packed > a->n - begin)
        return damaged(a, "an entry goes beyond the end");
    e->data = a->file + begin;
    return SCRT_OK;
}

/* The entry at *at in the directory, which ends at end; *at moves behind it. */
static ScrtStatus read_entry(const Archive *a, size_t *at, size_t end, ScrtZipEntry *e)
{
    const unsigned char *p = a->file + *at;
    if (end - *at < CENTRAL_SIZE || get(p, 4) != CENTRAL)
        return damaged(a, "its directory is cut off");
    size_t name = get(p + 28, 2), extra = get(p + 30, 2), comment = get(p + 32, 2);
    if (end - *at - CENTRAL_SIZE < name + extra + comment)
        return damaged(a, "its directory is cut off");
    *e = (ScrtZipEntry){.name = (const char *)p + CENTRAL_SIZE,
                        .name_length = (uint32_t)name,
                        .crc = (uint32_t)get(p + 16, 4),
                        .method = (uint32_t)get(p + 10, 2),
                        .packed = get(p + 20, 4),
                        .size = get(p + 24, 4)};
    uint64_t offset = get(p + 42, 4);
    if (!read_extra64(p + CENTRAL_SIZE + name, extra, e, &offset))
        return damaged(a, "an entry's sizes are missing");
    if (get(p + 8, 2) & 1)
        return scrt_io_fail(a->err, SCRT_E_FILE, "%.300s: is encrypted", a->what);
    if (e->method != STORED && e->method != DEFLATED)
        return scrt_io_fail(a->err, SCRT_E_FILE, "%.300s: compression method %u is not supported",
                            a->what, e->method);
    if (e->method == STORED ? e->size != e->packed : e->size / MAX_DEFLATE_RATIO > e->packed)
        return damaged(a, "an entry's sizes cannot be");
    *at += CENTRAL_SIZE + name + extra + comment;
    return find_data(a, offset, e);
}

ScrtStatus scrt_zip_list(const char *what, const unsigned char *file, size_t n,
                         ScrtZipEntry **ret_entry, uint32_t *ret_n, ScrtIoError *err)
{
    const Archive a = {what, file, n, err};
    Directory d = {0};
    ScrtStatus s = find_directory(&a, &d);
    if (s != SCRT_OK)
        return s;
    if (d.entries > SCRT_MOST_TENSORS)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: holds %llu arrays of at most %d", what,
                            (unsigned long long)d.entries, SCRT_MOST_TENSORS);
    ScrtZipEntry *e = scrt_alloc((size_t)d.entries * sizeof *e);
    if (!e)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", what);
    size_t at = (size_t)d.at, end = (size_t)(d.at + d.size);
    uint64_t packed = 0;
    for (uint64_t i = 0; i < d.entries && s == SCRT_OK; i++) {
        s = read_entry(&a, &at, end, &e[i]);
        if (s == SCRT_OK && (packed += e[i].packed) > n) /* each is at most n: no overflow */
            s = damaged(&a, "its entries overlap");
    }
    if (s != SCRT_OK) {
        scrt_free(e);
        return s;
    }
    *ret_entry = e;
    *ret_n = (uint32_t)d.entries;
    return SCRT_OK;
}

/* --- Contents --- */

static void *z_alloc(void *opaque, unsigned n, unsigned bytes)
{
    (void)opaque;
    return scrt_alloc((size_t)n * bytes);
}

static void z_free(void *opaque, void *p)
{
    (void)opaque;
    scrt_free(p);
}

/* Inflates the entry's first room bytes, or all of it; zlib counts in 32 bits. *ret_whole: the
 * entry ended there, and so did its packed bytes' stream. */
static int inflate_some(const ScrtZipEntry *e, unsigned char *dst, uint64_t room, bool *ret_whole)
{
    z_stream z = {.zalloc = z_alloc, .zfree = z_free};
    int code = inflateInit2(&z, -MAX_WBITS);
    if (code != Z_OK)
        return code;
    uint64_t in = e->packed, out = room;
    z.next_in = (unsigned char *)e->data;
    z.next_out = dst;
    do {
        if (z.avail_in == 0) {
            z.avail_in = in < 1u << 30 ? (unsigned)in : 1u << 30;
            in -= z.avail_in;
        }
        if (z.avail_out == 0) {
            z.avail_out = out < 1u << 30 ? (unsigned)out : 1u << 30;
            out -= z.avail_out;
        }
        code = inflate(&z, Z_NO_FLUSH);
    } while (code == Z_OK && (z.avail_out > 0 || out > 0 || room == e->size));
    *ret_whole = code == Z_STREAM_END && out == 0 && z.avail_out == 0;
    bool full = code == Z_OK && out == 0 && z.avail_out == 0;
    inflateEnd(&z);
    return code == Z_MEM_ERROR ? code : *ret_whole || full ? Z_OK : Z_DATA_ERROR;
}

static ScrtStatus unpack_failed(const char *what, const ScrtZipEntry *e, int code, ScrtIoError *err)
{
    if (code == Z_MEM_ERROR)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", what);
    return scrt_io_fail(err, SCRT_E_FILE, "%.300s: damaged archive: '%.*s' cannot be unpacked",
                        what, e->name_length < 100 ? (int)e->name_length : 100, e->name);
}

ScrtStatus scrt_zip_peek(const char *what, const ScrtZipEntry *e, unsigned char *buf, size_t room,
                         size_t *ret_n, ScrtIoError *err)
{
    bool whole;
    size_t n = e->size < room ? (size_t)e->size : room;
    if (e->method == STORED) {
        memcpy(buf, e->data, n);
    } else {
        int code = inflate_some(e, buf, n, &whole);
        if (code != Z_OK)
            return unpack_failed(what, e, code, err);
    }
    *ret_n = n;
    return SCRT_OK;
}

static uint32_t crc_of(uint32_t crc, const unsigned char *p, size_t n)
{
    return (uint32_t)crc32_z(crc, p, n);
}

ScrtStatus scrt_zip_extract(const char *what, const ScrtZipEntry *e, const unsigned char **ret,
                            unsigned char **ret_own, ScrtIoError *err)
{
    const unsigned char *data = e->data;
    unsigned char *own = NULL;
    if (e->method == DEFLATED) {
        own = e->size <= PTRDIFF_MAX ? scrt_alloc((size_t)e->size) : NULL;
        bool whole = true;
        int code = own ? inflate_some(e, own, e->size, &whole) : Z_MEM_ERROR;
        if (code == Z_OK && !whole)
            code = Z_DATA_ERROR;
        if (code != Z_OK) {
            scrt_free(own);
            return unpack_failed(what, e, code, err);
        }
        data = own;
    }
    if (crc_of(0, data, (size_t)e->size) != e->crc) {
        scrt_free(own);
        return scrt_io_fail(err, SCRT_E_FILE,
                            "%.300s: damaged archive: '%.*s' has another checksum", what,
                            e->name_length < 100 ? (int)e->name_length : 100, e->name);
    }
    *ret = data;
    *ret_own = own;
    return SCRT_OK;
}

/* --- Writing --- */

typedef struct Added {
    uint32_t crc, size, offset;
    uint16_t flags;
    char *name;
} Added;

struct ScrtZipOut {
    ScrtOut out;
    Added *entry;
    uint32_t n, cap;
};

enum { DOS_DATE_1980 = 0x21, UTF8 = 1 << 11, VERSION = 20 };

static void put(unsigned char **p, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *(*p)++ = (unsigned char)(x >> 8 * i);
}

ScrtStatus scrt_zip_begin(const char *path, ScrtZipOut **ret, ScrtIoError *err)
{
    ScrtZipOut *z = scrt_alloc(sizeof *z);
    if (!z)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", path);
    *z = (ScrtZipOut){0};
    ScrtStatus s = scrt_out_open(&z->out, path, err);
    if (s != SCRT_OK) {
        scrt_free(z);
        return s;
    }
    *ret = z;
    return SCRT_OK;
}

static bool make_room(ScrtZipOut *z)
{
    if (z->n < z->cap)
        return true;
    uint32_t cap = z->cap ? 2 * z->cap : 16;
    Added *e = scrt_alloc(cap * sizeof *e);
    if (!e)
        return false;
    if (z->n)
        memcpy(e, z->entry, z->n * sizeof *e);
    scrt_free(z->entry);
    z->entry = e;
    z->cap = cap;
    return true;
}

/* The fields that a local header and a directory entry share, from "version needed" on. */
static void put_common(unsigned char **p, const Added *e)
{
    put(p, VERSION, 2);
    put(p, e->flags, 2);
    put(p, STORED, 2);
    put(p, 0, 2);
    put(p, DOS_DATE_1980, 2);
    put(p, e->crc, 4);
    put(p, e->size, 4);
    put(p, e->size, 4);
    put(p, strlen(e->name), 2);
    put(p, 0, 2);
}

ScrtStatus scrt_zip_add(ScrtZipOut *z, const char *name, const void *head, size_t n_head,
                        const void *data, size_t n, ScrtIoError *err)
{
    size_t length = strlen(name);
    uint64_t size = (uint64_t)n_head + n;
    if (length > 0xffff || z->n == 0xfffe)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: too long a name, or too many entries",
                            z->out.path);
    if (size > UINT32_MAX || z->out.n + size > UINT32_MAX - (1 << 24))
        return scrt_io_fail(err, SCRT_E_FILE,
                            "%.300s: would be larger than 4 GiB, the most that an "
                            ".npz is written with",
                            z->out.path);
    char *copy = make_room(z) ? scrt_alloc(length + 1) : NULL;
    if (!copy)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", z->out.path);
    memcpy(copy, name, length + 1);
    Added *e = &z->entry[z->n++];
    *e = (Added){.size = (uint32_t)size, .offset = (uint32_t)z->out.n, .name = copy};
    for (size_t i = 0; i < length; i++)
        if (name[i] & 0x80)
            e->flags = UTF8;
    e->crc = crc_of(crc_of(0, head, n_head), data ? data : (const void *)"", data ? n : 0);
    unsigned char h[LOCAL_SIZE], *p = h;
    put(&p, LOCAL, 4);
    put_common(&p, e);
    scrt_out_write(&z->out, h, sizeof h);
    scrt_out_write(&z->out, name, length);
    scrt_out_write(&z->out, head, n_head);
    scrt_out_write(&z->out, data, n);
    return SCRT_OK;
}

static void write_directory(ScrtZipOut *z)
{
    uint64_t at = z->out.n;
    for (uint32_t i = 0; i < z->n; i++) {
        unsigned char h[CENTRAL_SIZE], *p = h;
        put(&p, CENTRAL, 4);
        put(&p, VERSION, 2);
        put_common(&p, &z->entry[i]);
        put(&p, 0, 2); /* comment */
        put(&p, 0, 2); /* disk */
        put(&p, 0, 2); /* internal and external attributes */
        put(&p, 0, 4);
        put(&p, z->entry[i].offset, 4);
        scrt_out_write(&z->out, h, sizeof h);
        scrt_out_write(&z->out, z->entry[i].name, strlen(z->entry[i].name));
    }
    unsigned char h[END_SIZE], *p = h;
    put(&p, END, 4);
    put(&p, 0, 4); /* disks */
    put(&p, z->n, 2);
    put(&p, z->n, 2);
    put(&p, z->out.n - at, 4);
    put(&p, at, 4);
    put(&p, 0, 2);
    scrt_out_write(&z->out, h, sizeof h);
}

ScrtStatus scrt_zip_end(ScrtZipOut *z, bool keep, ScrtIoError *err)
{
    if (keep)
        write_directory(z);
    ScrtStatus s = scrt_out_close(&z->out, keep, err);
    for (uint32_t i = 0; i < z->n; i++)
        scrt_free(z->entry[i].name);
    scrt_free(z->entry);
    scrt_free(z);
    return s;
}
