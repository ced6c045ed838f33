/* SPDX-License-Identifier: Apache-2.0 */
/* .safetensors: eight bytes with the header's length, a JSON header that says of each tensor its
 * type, shape and where its bytes lie, the bytes.
 *
 * Source: the format's description in the README of huggingface/safetensors. */
#include "runtime/handles.h"
#include "runtime/scrtio_priv.h"
#include "runtime/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { LENGTH = 8, HEADER_MOST = 100000000 /* by the format */ };

static const struct {
    const char *name;
    uint32_t dtype;
} types[] = {
    {"F64", SCRT_F64},
    {"F32", SCRT_F32},
    {"F16", SCRT_F16},
    {"BF16", SCRT_BF16},
    {"I64", SCRT_I64},
    {"I32", SCRT_I32},
    {"I16", SCRT_I16},
    {"I8", SCRT_I8},
    {"U64", SCRT_U64},
    {"U32", SCRT_U32},
    {"U16", SCRT_U16},
    {"U8", SCRT_U8},
    {"BOOL", SCRT_BOOL},
    {"C64", SCRT_C64},
    {"F8_E4M3", SCRT_F8E4M3FN},
    {"F8_E5M2", SCRT_F8E5M2},
    {"F8_E4M3FNUZ", SCRT_F8E4M3FNUZ},
    {"F8_E5M2FNUZ", SCRT_F8E5M2FNUZ},
    {"F8_E8M0", SCRT_F8E8M0},
    {"F6_E2M3", SCRT_F6E2M3},
    {"F6_E3M2", SCRT_F6E3M2},
    {"F4", SCRT_F4E2M1},
};
enum { N_TYPES = sizeof types / sizeof *types };

/* --- The header's JSON ------------------------------------------------------------------------ */

static bool take_hex(ScrtText *t, unsigned *ret)
{
    char digits[5] = "", *end;
    if (t->end - t->at < 4)
        return false;
    memcpy(digits, t->at, 4);
    t->at += 4;
    *ret = (unsigned)strtoul(digits, &end, 16);
    return end == digits + 4 && digits[0] != '-' && digits[0] != '+' && digits[0] != ' ';
}

static bool take_escape(ScrtText *t, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    unsigned c, low;
    if (t->at == t->end)
        return false;
    const char *simple = *t->at ? strchr(from, *t->at) : NULL;
    if (simple) {
        *(*out)++ = to[simple - from];
        t->at++;
        return true;
    }
    if (*t->at++ != 'u' || !take_hex(t, &c))
        return false;
    if (c >= 0xd800 && c < 0xdc00) { /* half of a character beyond 16 bits */
        if (t->end - t->at < 2 || t->at[0] != '\\' || t->at[1] != 'u')
            return false;
        t->at += 2;
        if (!take_hex(t, &low) || low < 0xdc00 || low > 0xdfff)
            return false;
        c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
    }
    *out += scrt_utf8_write((int32_t)c, *out);
    return true;
}

/* A string, unescaped into out, which has room for the text that is left: no escape grows. */
static bool take_string(ScrtText *t, char *out, size_t *ret_n)
{
    char *begin = out;
    if (!scrt_take(t, '"'))
        return false;
    while (t->at < t->end && *t->at != '"') {
        if ((unsigned char)*t->at < 0x20)
            return false;
        if (*t->at == '\\') {
            t->at++;
            if (!take_escape(t, &out))
                return false;
        } else {
            *out++ = *t->at++;
        }
    }
    *ret_n = (size_t)(out - begin);
    return t->at++ < t->end;
}

static bool take_numbers(ScrtText *t, int64_t *x, uint32_t most, uint32_t *ret_n)
{
    uint32_t n = 0;
    if (!scrt_take(t, '['))
        return false;
    if (!scrt_take(t, ']'))
        do
            if (n == most || !scrt_take_number(t, &x[n++]))
                return false;
        while (scrt_take(t, ','));
    else
        return *ret_n = 0, true;
    *ret_n = n;
    return scrt_take(t, ']');
}

/* {"key": "value", ...}: what the writer noted of itself. */
static bool skip_metadata(ScrtText *t, char *scratch)
{
    size_t n;
    if (!scrt_take(t, '{'))
        return false;
    if (scrt_take(t, '}'))
        return true;
    do
        if (!take_string(t, scratch, &n) || !scrt_take(t, ':') || !take_string(t, scratch, &n))
            return false;
    while (scrt_take(t, ','));
    return scrt_take(t, '}');
}

typedef struct Place { /* of a tensor's bytes, behind the header */
    uint64_t at, bytes;
} Place;

static bool take_field(ScrtText *t, char *scratch, ScrtTensor *head, int64_t *offset,
                       unsigned *seen)
{
    size_t n;
    uint32_t count;
    if (!take_string(t, scratch, &n) || !scrt_take(t, ':'))
        return false;
    scratch[n] = '\0';
    unsigned bit = !strcmp(scratch, "dtype") ? 1 : !strcmp(scratch, "shape") ? 2 : 4;
    if ((bit == 4 && strcmp(scratch, "data_offsets")) || (*seen & bit))
        return false;
    *seen |= bit;
    if (bit == 2)
        return take_numbers(t, head->dims, SCRT_MAX_RANK, &head->rank);
    if (bit == 4)
        return take_numbers(t, offset, 2, &count) && count == 2;
    if (!take_string(t, scratch, &n))
        return false;
    scratch[n] = '\0';
    for (int i = 0; i < N_TYPES; i++)
        if (strcmp(types[i].name, scratch) == 0)
            head->dtype = types[i].dtype;
    return true; /* a type that is not known is an error of who reads it */
}

/* The tensor's description; its bytes must lie in the file and be those of its shape. */
static bool take_tensor(ScrtText *t, char *scratch, uint64_t room, ScrtTensor *head, Place *ret)
{
    int64_t offset[2];
    unsigned seen = 0;
    size_t bytes;
    *head = (ScrtTensor){.dtype = SCRT_DTYPE_NONE};
    if (!scrt_take(t, '{'))
        return false;
    do
        if (!take_field(t, scratch, head, offset, &seen))
            return false;
    while (scrt_take(t, ','));
    if (!scrt_take(t, '}') || seen != 7 || offset[0] > offset[1] || (uint64_t)offset[1] > room)
        return false;
    *ret = (Place){(uint64_t)offset[0], (uint64_t)(offset[1] - offset[0])};
    return head->dtype == SCRT_DTYPE_NONE ||
           (scrt_tensor_bytes(head, &bytes) && bytes == ret->bytes);
}

/* --- Reading ---------------------------------------------------------------------------------- */

static uint64_t header_length(const ScrtFile *f)
{
    uint64_t n = 0;
    if (f->n >= LENGTH)
        memcpy(&n, f->data, LENGTH);
    return n;
}

static bool is_safetensors(const ScrtFile *f)
{
    uint64_t n = header_length(f);
    return n >= 2 && n <= f->n - LENGTH && f->data[LENGTH] == '{';
}

static ScrtStatus damaged(const ScrtTensorFile *f, ScrtIoError *err)
{
    return scrt_io_fail(err, SCRT_E_FILE, "%.300s: its header is not one of safetensors", f->what);
}

static ScrtStatus take_items(ScrtTensorFile *f, ScrtText t, char *scratch, uint64_t room,
                             ScrtIoError *err)
{
    Place *place = f->own;
    if (!scrt_take(&t, '{'))
        return damaged(f, err);
    if (!scrt_take(&t, '}')) {
        do {
            static const char meta[] = "__metadata__";
            ScrtTensor head;
            size_t n;
            char *name = scratch;
            if (!take_string(&t, name, &n) || !scrt_take(&t, ':'))
                return damaged(f, err);
            if (n == sizeof meta - 1 && memcmp(name, meta, n) == 0) {
                if (!skip_metadata(&t, scratch + n))
                    return damaged(f, err);
                continue;
            }
            if (!take_tensor(&t, scratch + n, room, &head, &place[f->n]))
                return scrt_io_fail(err, SCRT_E_FILE,
                                    "%.300s: '%.*s' is not described as safetensors are, or its "
                                    "bytes are not those of its shape",
                                    f->what, n < 100 ? (int)n : 100, name);
            ScrtStatus s = scrt_tensors_add(f, name, n, &head, err);
            if (s != SCRT_OK)
                return s;
        } while (scrt_take(&t, ','));
        if (!scrt_take(&t, '}'))
            return damaged(f, err);
    }
    scrt_skip_blanks(&t);
    return t.at == t.end ? scrt_tensors_distinct(f, err) : damaged(f, err);
}

/* A tensor takes at least 40 bytes of the header, and each has one brace. */
static ScrtStatus read_heads(ScrtTensorFile *f, ScrtIoError *err)
{
    uint64_t n = header_length(&f->file), braces = 0;
    if (!is_safetensors(&f->file) || n > HEADER_MOST)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: is no .safetensors file, or is cut off",
                            f->what);
    const char *text = (const char *)f->file.data + LENGTH;
    for (uint64_t i = 0; i < n; i++)
        braces += text[i] == '{';
    ScrtStatus s = scrt_tensors_room(f, braces, err);
    if (s != SCRT_OK)
        return s;
    f->own = scrt_alloc((size_t)braces * sizeof(Place));
    char *scratch = scrt_alloc((size_t)n + 1);
    if (f->own && scratch)
        s = take_items(f, (ScrtText){text, text + n}, scratch, f->file.n - LENGTH - n, err);
    else
        s = scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", f->what);
    scrt_free(scratch);
    return s;
}

static ScrtStatus read_tensor(const ScrtTensorFile *f, uint32_t i, ScrtTensor *ret,
                              ScrtIoError *err)
{
    const Place *p = (const Place *)f->own + i;
    ScrtTensor t = f->item[i].tensor;
    if (t.dtype == SCRT_DTYPE_NONE)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: '%.100s' has a type that is not supported",
                            f->what, f->item[i].name);
    t.data = scrt_alloc((size_t)p->bytes);
    if (!t.data)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", f->what);
    if (p->bytes)
        memcpy(t.data, f->file.data + LENGTH + header_length(&f->file) + p->at, (size_t)p->bytes);
    scrt_tensor_tidy(&t);
    *ret = t;
    return SCRT_OK;
}

const ScrtFileFormat scrt_format_safetensors = {
    .suffix = ".safetensors", .is = is_safetensors, .heads = read_heads, .read = read_tensor};

/* --- Writing ---------------------------------------------------------------------------------- */

static const char *type_name(uint32_t dtype)
{
    for (int i = 0; i < N_TYPES; i++)
        if (types[i].dtype == dtype)
            return types[i].name;
    return NULL;
}

typedef struct Header { /* JSON that grows */
    char *s;
    size_t n, cap;
} Header;

static bool add(Header *h, const char *text, size_t n)
{
    if (h->n + n > h->cap) {
        size_t cap = 2 * (h->n + n) + 1024;
        char *more = scrt_alloc(cap);
        if (!more)
            return false;
        if (h->n)
            memcpy(more, h->s, h->n);
        scrt_free(h->s);
        h->s = more;
        h->cap = cap;
    }
    memcpy(h->s + h->n, text, n);
    h->n += n;
    return true;
}

static bool add_name(Header *h, const char *name)
{
    bool ok = add(h, "\"", 1);
    for (; *name && ok; name++) {
        char text[8];
        unsigned char c = (unsigned char)*name;
        int n = c == '"' || c == '\\' ? snprintf(text, sizeof text, "\\%c", c)
                : c < 0x20            ? snprintf(text, sizeof text, "\\u%04x", c)
                                      : snprintf(text, sizeof text, "%c", c);
        ok = add(h, text, (size_t)n);
    }
    return ok && add(h, "\"", 1);
}

static bool add_item(Header *h, const ScrtNamed *item, uint64_t at, size_t bytes)
{
    char text[32 * (SCRT_MAX_RANK + 4)];
    const ScrtTensor *t = &item->tensor;
    int room = sizeof text,
        n = snprintf(text, sizeof text, ":{\"dtype\":\"%s\",\"shape\":[", type_name(t->dtype));
    for (uint32_t k = 0; k < t->rank; k++)
        n += snprintf(text + n, (size_t)(room - n), k ? ",%lld" : "%lld", (long long)t->dims[k]);
    n += snprintf(text + n, (size_t)(room - n), "],\"data_offsets\":[%llu,%llu]}",
                  (unsigned long long)at, (unsigned long long)(at + bytes));
    return add_name(h, item->name) && add(h, text, (size_t)n);
}

/* The order in the file: wide elements first, so that each lies at a multiple of its size. */
static const uint32_t widths[] = {128, 64, 32, 16, 8, 6, 4, 2};
enum { N_WIDTHS = sizeof widths / sizeof *widths };

static bool make_header(Header *h, const ScrtNamed *item, uint32_t n)
{
    uint64_t at = 0;
    bool ok = add(h, "{", 1), first = true;
    for (int w = 0; w < N_WIDTHS; w++)
        for (uint32_t i = 0; i < n && ok; i++) {
            size_t bytes;
            if (scrt_dtype_bits((ScrtDtype)item[i].tensor.dtype) != widths[w] ||
                !scrt_tensor_bytes(&item[i].tensor, &bytes))
                continue;
            ok = (first || add(h, ",", 1)) && add_item(h, &item[i], at, bytes);
            first = false;
            at += bytes;
        }
    ok = ok && add(h, "}", 1);
    while (ok && h->n % LENGTH)
        ok = add(h, " ", 1);
    return ok;
}

ScrtStatus scrt_safetensors_write(const char *path, const ScrtNamed *item, uint32_t n,
                                  ScrtIoError *err)
{
    Header h = {0};
    ScrtOut o;
    for (uint32_t i = 0; i < n; i++)
        if (!type_name(item[i].tensor.dtype))
            return scrt_io_fail(err, SCRT_E_ARGUMENT,
                                "%.300s: safetensors have no type %s ('%.100s')", path,
                                scrt_dtype_name((ScrtDtype)item[i].tensor.dtype), item[i].name);
    ScrtStatus s = make_header(&h, item, n)
                       ? scrt_out_open(&o, path, err)
                       : scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", path);
    if (s == SCRT_OK) {
        uint64_t length = h.n;
        scrt_out_write(&o, &length, LENGTH);
        scrt_out_write(&o, h.s, h.n);
        for (int w = 0; w < N_WIDTHS; w++)
            for (uint32_t i = 0; i < n; i++) {
                size_t bytes;
                if (scrt_dtype_bits((ScrtDtype)item[i].tensor.dtype) == widths[w] &&
                    scrt_tensor_bytes(&item[i].tensor, &bytes))
                    scrt_out_write(&o, item[i].tensor.data, bytes);
            }
        s = scrt_out_close(&o, true, err);
    }
    scrt_free(h.s);
    return s;
}
