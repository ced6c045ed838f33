/* SPDX-License-Identifier: Apache-2.0 */
/* NumPy's strings: elements of one width, U of code points in 4 bytes, S of bytes, filled up with
 * zeros, which therefore end no string. */
#include "runtime/handles.h"
#include "runtime/scrtio_priv.h"

/* --- Reading --- */

static uint32_t point(const unsigned char *p, bool swap)
{
    uint32_t c = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return swap ? __builtin_bswap32(c) : c;
}

/* Bytes of an element of that many, written to ret where it is not NULL; SIZE_MAX: is no text. */
static size_t element(const ScrtNpyText *f, const unsigned char *p, char *ret)
{
    size_t n = f->width, bytes = 0;
    char one[4];
    if (!f->points) {
        while (n > 0 && !p[n - 1])
            n--;
        if (ret && n)
            memcpy(ret, p, n);
        return n;
    }
    for (n /= 4; n > 0 && !point(p + 4 * (n - 1), f->swap);)
        n--;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = point(p + 4 * i, f->swap);
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return SIZE_MAX;
        bytes += scrt_utf8_write((int32_t)c, ret ? ret + bytes : one);
    }
    return bytes;
}

ScrtStatus scrt_npy_text_read(const char *what, const ScrtNpyText *f, const unsigned char *src,
                              ScrtTensor *t, ScrtIoError *err)
{
    ScrtLaying l;
    size_t room = 0;
    int64_t n = scrt_count(t);
    for (int64_t i = 0; i < n; i++) {
        size_t bytes = element(f, src + (size_t)i * f->width, NULL);
        if (bytes == SIZE_MAX)
            return scrt_io_fail(err, SCRT_E_FILE, "%.300s: element %lld is no text", what,
                                (long long)i);
        if (__builtin_add_overflow(room, scrt_string_room(bytes), &room))
            return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", what);
    }
    if (scrt_strings_alloc(t, room, &l) != SCRT_OK)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", what);
    for (int64_t i = 0; i < n; i++) {
        const unsigned char *p = src + (size_t)i * f->width;
        element(f, p, scrt_strings_lay(&l, i, element(f, p, NULL)));
    }
    return SCRT_OK;
}

/* --- Writing --- */

/* Code points of a string; -1: it is no UTF-8. */
static int64_t points_of(ScrtChars c)
{
    int64_t n = 0;
    for (const char *p = c.at, *end = c.at + c.n; p < end; n++)
        if (scrt_utf8_read(&p, end) < 0)
            return -1;
    return n;
}

ScrtStatus scrt_npy_text_write(const ScrtTensor *t, ScrtNpyText *ret, unsigned char **ret_data,
                               size_t *ret_bytes)
{
    int64_t n = scrt_count(t), most = 1;
    size_t bytes = 1;
    *ret = (ScrtNpyText){.points = true};
    for (int64_t i = 0; i < n; i++) {
        ScrtChars c = scrt_chars(NULL, t, i);
        int64_t k = points_of(c);
        ret->points = ret->points && k >= 0;
        most = k > most ? k : most;
        bytes = c.n > bytes ? c.n : bytes;
    }
    ret->width = ret->points ? 4 * (size_t)most : bytes;
    if (__builtin_mul_overflow((size_t)n, ret->width, ret_bytes) || *ret_bytes > PTRDIFF_MAX)
        return SCRT_E_MEMORY;
    unsigned char *p = scrt_alloc(*ret_bytes);
    if (!p)
        return SCRT_E_MEMORY;
    memset(p, 0, *ret_bytes);
    for (int64_t i = 0; i < n; i++) {
        ScrtChars c = scrt_chars(NULL, t, i);
        unsigned char *to = p + (size_t)i * ret->width;
        if (!ret->points)
            memcpy(to, c.at, c.n);
        for (const char *at = c.at; ret->points && at < c.at + c.n; to += 4) {
            int32_t x = scrt_utf8_read(&at, c.at + c.n);
            for (int k = 0; k < 4; k++)
                to[k] = (unsigned char)(x >> 8 * k);
        }
    }
    *ret_data = p;
    return SCRT_OK;
}
