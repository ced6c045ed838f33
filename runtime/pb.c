/* SPDX-License-Identifier: Apache-2.0 */
/* An ONNX TensorProto from its wire format, in two passes: the first finds dims, type and name and
 * counts the elements, the second copies them into memory of the size so found. Fields that do not
 * matter here are stepped over; each length is checked against what is left.
 *
 * Source: onnx.proto (TensorProto); the protocol buffers' encoding. */
#include "runtime/handles.h"
#include "runtime/scrtio_priv.h"

enum { /* fields of TensorProto */
       DIMS = 1,
       DATA_TYPE = 2,
       SEGMENT = 3,
       FLOAT_DATA = 4,
       INT32_DATA = 5,
       STRING_DATA = 6,
       INT64_DATA = 7,
       NAME = 8,
       RAW_DATA = 9,
       DOUBLE_DATA = 10,
       UINT64_DATA = 11,
       EXTERNAL_DATA = 13,
       DATA_LOCATION = 14,
};
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

typedef struct Bytes {
    const unsigned char *at, *end;
} Bytes;

typedef struct Field {
    uint32_t number, wire;
    uint64_t value; /* of a varint or fixed number */
    Bytes bytes;
} Field;

typedef struct Proto { /* what the first pass finds */
    ScrtTensor tensor;
    Bytes name, raw;
    bool has_raw;
    uint32_t typed;  /* the field that holds elements, 0: none */
    uint64_t values; /* in that field */
    size_t room;     /* that strings take in memory; no more than 16 times the file */
} Proto;

static bool take_varint(Bytes *b, uint64_t *ret)
{
    uint64_t x = 0;
    for (unsigned shift = 0; shift < 64 && b->at < b->end; shift += 7) {
        unsigned char c = *b->at++;
        x |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret = x;
            return true;
        }
    }
    return false;
}

static bool take_fixed(Bytes *b, size_t n, uint64_t *ret)
{
    if ((size_t)(b->end - b->at) < n)
        return false;
    *ret = 0;
    memcpy(ret, b->at, n);
    b->at += n;
    return true;
}

static bool take_field(Bytes *b, Field *f)
{
    uint64_t tag, length;
    if (!take_varint(b, &tag) || tag >> 32 || tag >> 3 == 0)
        return false;
    f->number = (uint32_t)tag >> 3;
    f->wire = (uint32_t)tag & 7;
    switch (f->wire) {
    case VARINT:
        return take_varint(b, &f->value);
    case FIXED64:
        return take_fixed(b, 8, &f->value);
    case FIXED32:
        return take_fixed(b, 4, &f->value);
    case BYTES:
        if (!take_varint(b, &length) || length > (uint64_t)(b->end - b->at))
            return false;
        f->bytes = (Bytes){b->at, b->at + length};
        b->at += length;
        return true;
    default:
        return false;
    }
}

/* How the values of a typed field are written: as varints, in 4 or 8 bytes, or each with its
 * length.
 */
static uint32_t wire_of(uint32_t field)
{
    return field == FLOAT_DATA    ? FIXED32
           : field == DOUBLE_DATA ? FIXED64
           : field == STRING_DATA ? BYTES
                                  : VARINT;
}

static bool take_value(Bytes *b, uint32_t wire, uint64_t *ret)
{
    return wire == VARINT ? take_varint(b, ret) : take_fixed(b, wire == FIXED32 ? 4 : 8, ret);
}

/* Which typed field holds elements of a type; 0: none does. */
static uint32_t field_of(uint32_t dtype)
{
    switch (dtype) {
    case SCRT_F32:
    case SCRT_C64:
        return FLOAT_DATA;
    case SCRT_F64:
    case SCRT_C128:
        return DOUBLE_DATA;
    case SCRT_I64:
        return INT64_DATA;
    case SCRT_U32:
    case SCRT_U64:
        return UINT64_DATA;
    case SCRT_STRING:
        return STRING_DATA;
    default:
        return scrt_dtype_bits((ScrtDtype)dtype) ? INT32_DATA : 0;
    }
}

static bool add_dim(Proto *p, uint64_t x)
{
    if (p->tensor.rank == SCRT_MAX_RANK || x > INT64_MAX)
        return false;
    p->tensor.dims[p->tensor.rank++] = (int64_t)x;
    return true;
}

/* One occurrence of a repeated number: packed or single. Calls each(arg, value). */
static bool each_value(const Field *f, uint32_t wire, bool (*each)(void *, uint64_t), void *arg)
{
    uint64_t x;
    if (f->wire == wire)
        return each(arg, f->value);
    if (f->wire != BYTES)
        return false;
    for (Bytes b = f->bytes; b.at < b.end;)
        if (!take_value(&b, wire, &x) || !each(arg, x))
            return false;
    return true;
}

static bool each_dim(void *arg, uint64_t x)
{
    return add_dim(arg, x);
}

static bool each_count(void *arg, uint64_t x)
{
    (void)x;
    ((Proto *)arg)->values++;
    return true;
}

/* NULL, or what is wrong. */
static const char *scan_field(Proto *p, const Field *f)
{
    static const char damaged[] = "is no TensorProto, or is damaged";
    switch (f->number) {
    case DIMS:
        return each_value(f, VARINT, each_dim, p) ? NULL : "has a shape that cannot be";
    case DATA_TYPE:
        p->tensor.dtype = (uint32_t)f->value;
        return f->wire == VARINT && f->value <= UINT32_MAX ? NULL : damaged;
    case NAME:
        p->name = f->bytes;
        return f->wire == BYTES ? NULL : damaged;
    case RAW_DATA:
        p->raw = f->bytes;
        p->has_raw = true;
        return f->wire == BYTES ? NULL : damaged;
    case FLOAT_DATA:
    case INT32_DATA:
    case INT64_DATA:
    case DOUBLE_DATA:
    case UINT64_DATA:
    case STRING_DATA:
        if (p->typed && p->typed != f->number)
            return "holds elements of two types";
        p->typed = f->number;
        if (f->number == STRING_DATA)
            p->room += scrt_string_room((size_t)(f->bytes.end - f->bytes.at));
        return each_value(f, wire_of(f->number), each_count, p) ? NULL : damaged;
    case SEGMENT:
        return "is one of several segments, which is not supported";
    case EXTERNAL_DATA:
        return "keeps its elements in another file, which is not supported here";
    case DATA_LOCATION:
        return f->value == 0 ? NULL
                             : "keeps its elements in another file, which is not supported here";
    default:
        return NULL;
    }
}

static const char *scan(Bytes b, Proto *p)
{
    const char *wrong = NULL;
    Field f = {0};
    while (b.at < b.end && !wrong)
        wrong = take_field(&b, &f) ? scan_field(p, &f) : "is no TensorProto, or is damaged";
    return wrong;
}

/* --- The second pass --- */

typedef struct Sink {
    unsigned char *at;
    size_t width;    /* bytes of a value in memory */
    ScrtDtype loose; /* or SCRT_DTYPE_NONE: values are elements of this type, to be packed */
    size_t n;        /* elements so far */
} Sink;

static bool each_store(void *arg, uint64_t x)
{
    Sink *s = arg;
    if (s->loose) {
        scrt_store_bits(s->loose, s->at, s->n++, x);
        return true;
    }
    memcpy(s->at, &x, s->width); /* the low bytes */
    s->at += s->width;
    return true;
}

/* Bytes in memory of one value of the typed field: int32_data holds bytes, halves and words, and
 * packed elements by the byte; complex numbers are two values. */
static size_t width_of(uint32_t dtype)
{
    uint32_t bits = scrt_dtype_bits((ScrtDtype)dtype);
    if (scrt_dtype_kind((ScrtDtype)dtype) == SCRT_KIND_COMPLEX)
        bits /= 2;
    return bits < 8 ? 1 : bits / 8;
}

/* Whether int32_data holds one element of few bits each time, where raw data packs them: FP6. */
static bool is_loose(uint32_t dtype)
{
    return dtype == SCRT_F6E2M3 || dtype == SCRT_F6E3M2;
}

/* NULL, or what is wrong. */
static const char *compare_counts(uint64_t have, uint64_t want)
{
    return have < want   ? "has fewer elements than its shape"
           : have > want ? "has more elements than its shape"
                         : NULL;
}

/* NULL, or what is wrong. */
static const char *fill_strings(Bytes b, const Proto *p, ScrtLaying *l)
{
    Field f = {0};
    const char *wrong = compare_counts(p->values, (uint64_t)scrt_count(&p->tensor));
    for (int64_t i = 0; !wrong && b.at < b.end && take_field(&b, &f);)
        if (f.number == STRING_DATA) {
            size_t n = (size_t)(f.bytes.end - f.bytes.at);
            memcpy(scrt_strings_lay(l, i++, n), f.bytes.at, n);
        }
    return wrong;
}

static const char *fill(Bytes b, const Proto *p, unsigned char *data, size_t bytes)
{
    bool loose = !p->has_raw && is_loose(p->tensor.dtype);
    size_t have = p->has_raw ? (size_t)(p->raw.end - p->raw.at) : p->values;
    size_t want = loose ? (size_t)scrt_count(&p->tensor) : bytes;
    if (!p->has_raw && !loose &&
        __builtin_mul_overflow(p->values, width_of(p->tensor.dtype), &have))
        return "has more elements than its shape";
    const char *wrong = compare_counts(have, want);
    if (wrong)
        return wrong;
    if (p->has_raw && bytes)
        memcpy(data, p->raw.at, bytes);
    Sink sink = {.at = data, .width = width_of(p->tensor.dtype)};
    if (loose) {
        sink.loose = (ScrtDtype)p->tensor.dtype;
        memset(data, 0, bytes);
    }
    Field f = {0};
    while (!p->has_raw && b.at < b.end && take_field(&b, &f))
        if (f.number == p->typed)
            each_value(&f, wire_of(f.number), each_store, &sink);
    return NULL;
}

/* NULL, or what is wrong with what the first pass finds. */
static const char *scan_all(Bytes file, Proto *p)
{
    size_t bytes;
    const char *wrong = scan(file, p);
    if (wrong)
        return wrong;
    if (!field_of(p->tensor.dtype))
        return "has elements of a type that is not supported";
    if (p->has_raw && p->tensor.dtype == SCRT_STRING)
        return "has strings as raw data";
    if (p->has_raw && p->values)
        return "has its elements twice";
    if (!p->has_raw && p->values && p->typed != field_of(p->tensor.dtype))
        return "has elements of another type than it says";
    if (!scrt_tensor_bytes(&p->tensor, &bytes))
        return "has a shape that cannot be";
    /* no more memory than the file can fill */
    return bytes > 8 * (size_t)(file.end - file.at) ? "has fewer elements than its shape" : NULL;
}

static Bytes all_of(const ScrtFile *f)
{
    return (Bytes){f->data, f->data + f->n};
}

static ScrtStatus read_heads(ScrtTensorFile *f, ScrtIoError *err)
{
    Proto p = {0};
    const char *wrong = scan_all(all_of(&f->file), &p);
    if (wrong)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: %s", f->what, wrong);
    ScrtStatus s = scrt_tensors_room(f, 1, err);
    if (s != SCRT_OK)
        return s;
    return scrt_tensors_add(f, (const char *)p.name.at, (size_t)(p.name.end - p.name.at), &p.tensor,
                            err);
}

static ScrtStatus read_tensor(const ScrtTensorFile *f, uint32_t i, ScrtTensor *ret,
                              ScrtIoError *err)
{
    Proto p = {0};
    size_t bytes = 0;
    const char *wrong = scan_all(all_of(&f->file), &p);
    ScrtTensor t = p.tensor;
    ScrtLaying l;
    bool text = t.dtype == SCRT_STRING;
    (void)i;
    if (!wrong && !(text ? scrt_strings_alloc(&t, p.room, &l) == SCRT_OK
                         : scrt_tensor_bytes(&t, &bytes) && (t.data = scrt_alloc(bytes))))
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", f->what);
    if (!wrong)
        wrong = text ? fill_strings(all_of(&f->file), &p, &l)
                     : fill(all_of(&f->file), &p, t.data, bytes);
    if (wrong) {
        scrt_free(t.data);
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: %s", f->what, wrong);
    }
    scrt_tensor_tidy(&t);
    *ret = t;
    return SCRT_OK;
}

const ScrtFileFormat scrt_format_pb = {
    .suffix = ".pb", .single = true, .heads = read_heads, .read = read_tensor};
