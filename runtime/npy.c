/* SPDX-License-Identifier: Apache-2.0 */
/* NumPy's .npy: a magic, a version, a header that is a Python dict literal, the elements.
 *
 * Source: NumPy's documentation, numpy.lib.format, versions 1.0 to 3.0. */
#include "runtime/scrtio_priv.h"
#include "runtime/text.h"

#include <stdio.h>
#include <stdlib.h>

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* --- The header's dict literal --- */

typedef struct Header {
    char descr[16];
    bool fortran;
    uint32_t rank;
    int64_t dims[SCRT_MAX_RANK];
    unsigned seen; /* 1: descr, 2: fortran_order, 4: shape */
} Header;

static bool take_word(ScrtText *t, const char *word)
{
    size_t n = strlen(word);
    scrt_skip_blanks(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0)
        return false;
    t->at += n;
    return true;
}

/* A quoted string without escapes, as all three keys and every type are. */
static bool take_string(ScrtText *t, char *ret, size_t room)
{
    scrt_skip_blanks(t);
    if (t->at == t->end || (*t->at != '\'' && *t->at != '"'))
        return false;
    char quote = *t->at++;
    const char *begin = t->at;
    while (t->at < t->end && *t->at != quote && *t->at != '\\')
        t->at++;
    size_t n = (size_t)(t->at - begin);
    if (t->at == t->end || *t->at != quote || n >= room)
        return false;
    memcpy(ret, begin, n);
    ret[n] = '\0';
    t->at++;
    return true;
}

static bool take_shape(ScrtText *t, Header *h)
{
    if (!scrt_take(t, '('))
        return false;
    bool comma = true;
    while (!scrt_take(t, ')')) {
        if (!comma || h->rank == SCRT_MAX_RANK || !scrt_take_number(t, &h->dims[h->rank]))
            return false;
        scrt_take(t, 'L'); /* Python 2 wrote long integers so */
        h->rank++;
        comma = scrt_take(t, ',');
    }
    return true;
}

static bool take_entry(ScrtText *t, Header *h)
{
    char key[16];
    if (!take_string(t, key, sizeof key) || !scrt_take(t, ':'))
        return false;
    unsigned bit;
    bool ok;
    if (strcmp(key, "descr") == 0) {
        bit = 1;
        ok = take_string(t, h->descr, sizeof h->descr);
    } else if (strcmp(key, "fortran_order") == 0) {
        bit = 2;
        h->fortran = take_word(t, "True");
        ok = h->fortran || take_word(t, "False");
    } else if (strcmp(key, "shape") == 0) {
        bit = 4;
        ok = take_shape(t, h);
    } else {
        return false;
    }
    ok = ok && !(h->seen & bit);
    h->seen |= bit;
    return ok;
}

static bool read_header(ScrtText t, Header *h)
{
    memset(h, 0, sizeof *h);
    if (!scrt_take(&t, '{'))
        return false;
    bool comma = true;
    while (!scrt_take(&t, '}')) {
        if (!comma || !take_entry(&t, h))
            return false;
        comma = scrt_take(&t, ',');
    }
    scrt_skip_blanks(&t);
    return t.at == t.end && h->seen == 7;
}

/* --- Element types --- */

static const struct {
    const char *text; /* kind and bytes */
    uint32_t dtype;
} types[] = {
    {"f2", SCRT_F16}, {"f4", SCRT_F32},  {"f8", SCRT_F64}, {"i1", SCRT_I8},    {"i2", SCRT_I16},
    {"i4", SCRT_I32}, {"i8", SCRT_I64},  {"u1", SCRT_U8},  {"u2", SCRT_U16},   {"u4", SCRT_U32},
    {"u8", SCRT_U64}, {"b1", SCRT_BOOL}, {"c8", SCRT_C64}, {"c16", SCRT_C128},
};

typedef struct Type {
    uint32_t dtype;
    uint32_t bytes; /* of an element in the file */
    uint32_t swap;  /* bytes of what is turned round; 0: nothing */
    bool points;    /* of strings: code points, not bytes */
} Type;

enum { TEXT_MOST = 1 << 24 }; /* characters of an element: in an archive, a width costs nothing */

/* "U5", "S12". */
static bool find_text(const char *descr, Type *ret)
{
    uint64_t n = 0;
    const char *p = descr + 2;
    for (; *p >= '0' && *p <= '9' && n <= TEXT_MOST; p++)
        n = 10 * n + (uint64_t)(*p - '0');
    if (p == descr + 2 || *p || n > TEXT_MOST || (descr[1] != 'U' && descr[1] != 'S'))
        return false;
    ret->points = descr[1] == 'U';
    ret->bytes = (uint32_t)(ret->points ? 4 * n : n);
    ret->swap = descr[0] == '>';
    ret->dtype = SCRT_STRING;
    return true;
}

static bool find_type(const char *descr, Type *ret)
{
    if (!descr[0] || !strchr("<>|=", descr[0]))
        return false;
    const char *kind = descr + 1;
    *ret = (Type){0};
    if (find_text(descr, ret))
        return true;
    if (strcmp(kind, "V1") == 0) /* how NumPy saves the types of ml_dtypes */
        ret->dtype = SCRT_U8;
    else if (strcmp(kind, "V2") == 0)
        ret->dtype = SCRT_U16;
    else if (strcmp(kind, "f1") == 0) /* and the one whose kind it takes for its own, float8_e5m2 */
        ret->dtype = SCRT_F8E5M2;
    for (size_t i = 0; i < sizeof types / sizeof *types && !ret->dtype; i++)
        if (strcmp(kind, types[i].text) == 0)
            ret->dtype = types[i].dtype;
    if (!ret->dtype)
        return false;
    bool complex_number = scrt_dtype_kind((ScrtDtype)ret->dtype) == SCRT_KIND_COMPLEX;
    ret->bytes = scrt_dtype_bits((ScrtDtype)ret->dtype) / 8;
    if (descr[0] == '>' && ret->bytes > 1)
        ret->swap = complex_number ? ret->bytes / 2 : ret->bytes;
    return true;
}

/* --- Elements --- */

/* Copies n elements of that many bytes whose first index runs fastest into C order. */
static void from_fortran(const Header *h, size_t n, size_t bytes, unsigned char *dst,
                         const unsigned char *src)
{
    size_t stride[SCRT_MAX_RANK], at = 0;
    int64_t index[SCRT_MAX_RANK] = {0};
    size_t step = bytes;
    for (uint32_t k = 0; k < h->rank; k++) {
        stride[k] = step;
        step *= (size_t)h->dims[k];
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(dst + i * bytes, src + at, bytes);
        for (uint32_t k = h->rank; k-- > 0;) {
            at += stride[k];
            if (++index[k] < h->dims[k])
                break;
            at -= stride[k] * (size_t)h->dims[k];
            index[k] = 0;
        }
    }
}

static void swap_bytes(unsigned char *p, size_t total, size_t bytes)
{
    for (size_t i = 0; i < total; i += bytes)
        for (size_t k = 0; k < bytes / 2; k++) {
            unsigned char c = p[i + k];
            p[i + k] = p[i + bytes - 1 - k];
            p[i + bytes - 1 - k] = c;
        }
}

/* src is in C order. */
static ScrtStatus read_text(const char *what, const Type *t, const unsigned char *src,
                            ScrtTensor *tensor, ScrtIoError *err)
{
    ScrtNpyText f = {t->bytes, t->points, t->swap != 0};
    return scrt_npy_text_read(what, &f, src, tensor, err);
}

static ScrtStatus read_elements(const char *what, const Header *h, const Type *t,
                                const unsigned char *src, size_t bytes, ScrtTensor *tensor,
                                ScrtIoError *err)
{
    bool text = t->dtype == SCRT_STRING;
    if (text && !h->fortran)
        return read_text(what, t, src, tensor, err);
    unsigned char *p = scrt_alloc(bytes);
    if (!p)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", what);
    if (h->fortran && bytes)
        from_fortran(h, bytes / t->bytes, t->bytes, p, src);
    else if (bytes)
        memcpy(p, src, bytes);
    if (text) {
        ScrtStatus s = read_text(what, t, p, tensor, err);
        scrt_free(p);
        return s;
    }
    if (t->swap)
        swap_bytes(p, bytes, t->swap);
    tensor->data = p;
    scrt_tensor_tidy(tensor);
    return SCRT_OK;
}

void scrt_tensor_tidy(ScrtTensor *t)
{
    unsigned char *p = t->data;
    size_t bytes;
    if (t->dtype == SCRT_BOOL && scrt_tensor_bytes(t, &bytes))
        for (size_t i = 0; i < bytes; i++)
            p[i] = p[i] != 0; /* compiled code counts on 0 and 1 */
}

bool scrt_dtype_adopts(uint32_t is, uint32_t want)
{
    uint32_t bits = scrt_dtype_bits((ScrtDtype)want);
    if (bits == 0 || want == is)
        return want == is;
    bool byte = is == SCRT_U8 || (is == SCRT_I8 && bits < 8);
    bool pattern = bits < 8 || scrt_dtype_is_low((ScrtDtype)want);
    return (byte && pattern) || (is == SCRT_U16 && want == SCRT_BF16);
}

bool scrt_tensor_adopt(ScrtTensor *t, uint32_t want)
{
    uint32_t bits = scrt_dtype_bits((ScrtDtype)want);
    if (!scrt_dtype_adopts(t->dtype, want))
        return false;
    if (t->dtype == want)
        return true;
    if (bits < 8) { /* one a byte in files; an element's place is never after its byte */
        unsigned char *p = t->data;
        size_t n = (size_t)scrt_count(t), bytes = 0;
        for (size_t i = 0; i < n; i++)
            scrt_store_bits((ScrtDtype)want, p, i, p[i]);
        scrt_bytes((ScrtDtype)want, n, &bytes);
        unsigned last = (unsigned)(n * bits % 8);
        if (last) /* the last byte's own high bits are nobody's */
            p[bytes - 1] &= (unsigned char)((1u << last) - 1);
    }
    t->dtype = want;
    return true;
}

typedef struct Start { /* what a .npy begins with */
    Header header;
    Type type;
    size_t elements; /* where they begin */
} Start;

/* From the file's first n bytes of total. */
static ScrtStatus read_start(const char *what, const unsigned char *data, size_t n, uint64_t total,
                             Start *ret, ScrtTensor *ret_head, ScrtIoError *err)
{
    if (n < 10 || memcmp(data, magic, sizeof magic) != 0)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: is no .npy file", what);
    unsigned major = data[6];
    size_t at = major == 1 ? 10 : 12, length = (size_t)data[8] | (size_t)data[9] << 8, bytes;
    if (major < 1 || major > 3)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: .npy version %u is not known", what, major);
    if (major > 1 && n >= at)
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (n < at || length > n - at)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: ends within its header", what);
    const char *text = (const char *)data + at;
    if (!read_header((ScrtText){text, text + length}, &ret->header))
        return scrt_io_fail(err, SCRT_E_FILE,
                            "%.300s: its header is not understood (a plain array of at most %d "
                            "dimensions is)",
                            what, SCRT_MAX_RANK);
    if (!find_type(ret->header.descr, &ret->type))
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: elements of type '%s' are not supported",
                            what, ret->header.descr);
    *ret_head = (ScrtTensor){.dtype = ret->type.dtype, .rank = ret->header.rank};
    memcpy(ret_head->dims, ret->header.dims, sizeof ret_head->dims);
    ret->elements = at + length;
    uint64_t have = total - ret->elements;
    int64_t count = scrt_count(ret_head);
    if (!scrt_tensor_bytes(ret_head, &bytes) ||
        __builtin_mul_overflow((size_t)count, ret->type.bytes, &bytes) ||
        (ret->type.bytes == 0 && count > 0)) /* which would take memory that no file fills */
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: its shape is too large", what);
    if (bytes > have)
        return scrt_io_fail(err, SCRT_E_FILE,
                            "%.300s: ends before its last element: %llu bytes of %zu", what,
                            (unsigned long long)have, bytes);
    if (bytes < have)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: has %llu bytes after its last element", what,
                            (unsigned long long)(have - bytes));
    return SCRT_OK;
}

ScrtStatus scrt_npy_head(const char *what, const unsigned char *data, size_t n, uint64_t total,
                         ScrtTensor *ret, ScrtIoError *err)
{
    Start start;
    return read_start(what, data, n, total, &start, ret, err);
}

ScrtStatus scrt_npy_parse(const char *what, const unsigned char *data, size_t n, ScrtTensor *ret,
                          ScrtIoError *err)
{
    Start start;
    ScrtTensor t;
    ScrtStatus s = read_start(what, data, n, n, &start, &t, err);
    if (s == SCRT_OK)
        s = read_elements(what, &start.header, &start.type, data + start.elements,
                          n - start.elements, &t, err);
    if (s == SCRT_OK)
        *ret = t;
    return s;
}

static bool is_npy(const ScrtFile *f)
{
    return f->n >= sizeof magic && memcmp(f->data, magic, sizeof magic) == 0;
}

static ScrtStatus read_heads(ScrtTensorFile *f, ScrtIoError *err)
{
    ScrtTensor head;
    ScrtStatus s = scrt_npy_head(f->what, f->file.data, f->file.n, f->file.n, &head, err);
    if (s == SCRT_OK)
        s = scrt_tensors_room(f, 1, err);
    return s == SCRT_OK ? scrt_tensors_add(f, "", 0, &head, err) : s;
}

static ScrtStatus read_tensor(const ScrtTensorFile *f, uint32_t i, ScrtTensor *ret,
                              ScrtIoError *err)
{
    (void)i;
    return scrt_npy_parse(f->what, f->file.data, f->file.n, ret, err);
}

const ScrtFileFormat scrt_format_npy = {
    .suffix = ".npy", .single = true, .is = is_npy, .heads = read_heads, .read = read_tensor};

/* --- Writing --- */

static const char *type_text(uint32_t dtype)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].dtype == dtype)
            return types[i].text;
    if (dtype == SCRT_BF16)
        return "V2"; /* as NumPy saves the types of ml_dtypes */
    if (dtype == SCRT_I4 || dtype == SCRT_I2)
        return "i1";
    return scrt_dtype_is_float((ScrtDtype)dtype) ? "V1" : "u1";
}

ScrtStatus scrt_npy_header(const ScrtTensor *t, char ret_header[SCRT_NPY_HEADER], size_t *ret_n,
                           const void **ret_data, size_t *ret_bytes, void **ret_spread)
{
    uint32_t bits = scrt_dtype_bits((ScrtDtype)t->dtype);
    const char *type = type_text(t->dtype);
    char width[24];
    *ret_spread = NULL;
    *ret_data = t->data;
    if (!scrt_tensor_bytes(t, ret_bytes))
        return SCRT_E_ARGUMENT;
    if (t->dtype == SCRT_STRING) {
        ScrtNpyText f;
        unsigned char *p;
        ScrtStatus s = scrt_npy_text_write(t, &f, &p, ret_bytes);
        if (s != SCRT_OK)
            return s;
        *ret_spread = p;
        *ret_data = p;
        snprintf(width, sizeof width, f.points ? "U%zu" : "S%zu", f.width / (f.points ? 4 : 1));
        type = width;
    }
    if (bits < 8) {
        size_t n = (size_t)scrt_count(t);
        unsigned char *p = scrt_alloc(n);
        if (!p)
            return SCRT_E_MEMORY;
        bool number = scrt_dtype_kind((ScrtDtype)t->dtype) != SCRT_KIND_FLOAT;
        for (size_t i = 0; i < n; i++)
            p[i] = (unsigned char)(number ? (uint64_t)scrt_load_int((ScrtDtype)t->dtype, t->data, i)
                                          : scrt_load_bits((ScrtDtype)t->dtype, t->data, i));
        *ret_spread = p;
        *ret_data = p;
        *ret_bytes = n;
    }
    char *text = ret_header + 10;
    int room = SCRT_NPY_HEADER - 10;
    int n = snprintf(text, (size_t)room, "{'descr': '%s%s', 'fortran_order': False, 'shape': (",
                     type[0] == 'S' || (type[1] == '1' && !type[2] && type[0] != 'U') ? "|" : "<",
                     type);
    for (uint32_t k = 0; k < t->rank; k++)
        n += snprintf(text + n, (size_t)(room - n), "%s%lld", k ? ", " : "", (long long)t->dims[k]);
    n += snprintf(text + n, (size_t)(room - n), "%s), }", t->rank == 1 ? "," : "");
    while ((n + 11) % 64) /* the data begins at a multiple of 64 */
        text[n++] = ' ';
    text[n++] = '\n';
    memcpy(ret_header, magic, sizeof magic);
    ret_header[6] = 1;
    ret_header[7] = 0;
    ret_header[8] = (char)(n & 0xff);
    ret_header[9] = (char)(n >> 8);
    *ret_n = (size_t)n + 10;
    return SCRT_OK;
}

ScrtStatus scrt_npy_write(const char *path, const ScrtTensor *t, ScrtIoError *err)
{
    char header[SCRT_NPY_HEADER];
    const void *data;
    void *spread;
    size_t n, bytes;
    ScrtOut o;
    if (err)
        err->text[0] = '\0';
    ScrtStatus s = scrt_npy_header(t, header, &n, &data, &bytes, &spread);
    if (s != SCRT_OK)
        return scrt_io_fail(err, s, "%.300s: %s", path, scrt_status_text(s));
    s = scrt_out_open(&o, path, err);
    if (s == SCRT_OK) {
        scrt_out_write(&o, header, n);
        scrt_out_write(&o, data, bytes);
        s = scrt_out_close(&o, true, err);
    }
    scrt_free(spread);
    return s;
}
