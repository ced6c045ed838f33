/* SPDX-License-Identifier: Apache-2.0 */
/* The pre-scan: protobuf-c recurses without a limit and a two-byte message unpacks to a hundred
 * bytes, so the wire format is walked first, guided by the same descriptors, counting what
 * unpacking would take. Nothing is allocated here. */
#include "frontend/frontend_priv.h"

#include <stdlib.h>
#include <string.h>

/* What protobuf-c allocates beside the structure itself: an entry for each field while it parses,
 * and the allocator's own header. */
enum { FIELD_COST = 48, ALLOC_COST = 32 };

typedef struct Scan {
    ScCtx *cx;
    const uint8_t *base;
    uint64_t cost, limit;
} Scan;

static bool bad(Scan *s, const uint8_t *at, const char *why)
{
    return sc_fail(s->cx, NULL, SC_E_ONNX, "%s at byte %td", why, at - s->base);
}

static bool varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && *p < end; shift += 7) {
        uint8_t byte = *(*p)++;
        v |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (!(byte & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

/* Bytes that a packed field's payload takes as an array: fixed-width elements as they are, varints
 * counted by their last bytes. */
static uint64_t packed_cost(ProtobufCType type, const uint8_t *p, size_t n)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return n;
    default:
        break;
    }
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += !(p[i] & 0x80);
    return 8 * count;
}

static bool scan(Scan *s, const ProtobufCMessageDescriptor *d, const uint8_t *p, const uint8_t *end,
                 unsigned depth)
{
    if (depth > IM_MAX_DEPTH)
        return sc_fail(s->cx, NULL, SC_E_LIMIT, "messages are nested more than %u deep",
                       IM_MAX_DEPTH);
    s->cost += d->sizeof_message + ALLOC_COST;
    while (p < end) {
        const uint8_t *at = p;
        uint64_t tag, len;
        if (!varint(&p, end, &tag))
            return bad(s, at, "a field's tag is cut short");
        if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
            return bad(s, at, "a field has an impossible number");
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
        s->cost += FIELD_COST;
        switch (tag & 7) {
        case 0:
            if (!varint(&p, end, &len))
                return bad(s, at, "a number is cut short");
            break;
        case 1:
        case 5:
            len = (tag & 7) == 1 ? 8 : 4;
            if ((size_t)(end - p) < len)
                return bad(s, at, "a number is cut short");
            p += len;
            break;
        case 2:
            if (!varint(&p, end, &len) || len > (size_t)(end - p))
                return bad(s, at, "a field is longer than what holds it");
            if (f && f->type == PROTOBUF_C_TYPE_MESSAGE) {
                if (!scan(s, f->descriptor, p, p + len, depth + 1))
                    return false;
            } else if (f && f->label == PROTOBUF_C_LABEL_REPEATED &&
                       f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_BYTES) {
                s->cost += packed_cost(f->type, p, len);
            } else if (f && f->type == PROTOBUF_C_TYPE_STRING && memchr(p, 0, len)) {
                return bad(s, at, "a text holds a zero byte");
            } else {
                s->cost += len + ALLOC_COST;
            }
            p += len;
            break;
        default:
            return bad(s, at, "a field has an unknown wire type");
        }
        if (s->cost > s->limit)
            return sc_fail(
                s->cx, NULL, SC_E_LIMIT,
                "unpacking takes more than %llu bytes, %u times the file's size and more",
                (unsigned long long)s->limit, IM_RATIO_LIMIT);
    }
    return true;
}

bool im_scan(ScCtx *cx, const void *bytes, size_t n)
{
    Scan s = {.cx = cx, .base = bytes, .limit = IM_MIN_LIMIT};
    if (n > IM_MIN_LIMIT / IM_RATIO_LIMIT)
        s.limit = (uint64_t)n * IM_RATIO_LIMIT;
    if (n == 0)
        return sc_fail(cx, NULL, SC_E_ONNX, "the file is empty");
    return scan(&s, &onnxpb__model__descriptor, bytes, s.base + n, 0);
}

/* --- Slimming --------------------------------------------------------------------------------- */

/* Weights are nearly all of a file and need no unpacking: the message is copied without them, with
 * their places instead. */
typedef struct Slim {
    ScCtx *cx;
    bool
        lasts; /* the file's bytes live as long as the session; else the weights are copied there */
    ScStr out;
} Slim;

enum { RAW_AT = 536870910, RAW_N = 536870911, LENGTH_BYTES = 5 };

static void put_fixed64(ScStr *out, uint32_t field, uint64_t x)
{
    unsigned char b[5 + 8];
    uint32_t tag = field << 3 | 1, n = 0; /* the field numbers take five bytes */
    for (; n < 5; n++, tag >>= 7)
        b[n] = (unsigned char)((tag & 0x7f) | (n < 4 ? 0x80 : 0));
    memcpy(b + n, &x, 8);
    sc_str_addn(out, (const char *)b, sizeof b);
}

static void put_place(Slim *s, const uint8_t *p, uint64_t n)
{
    const void *at = s->lasts ? p : sc_memdup(sc_ctx_arena(s->cx), p, n);
    put_fixed64(&s->out, RAW_AT, (uintptr_t)at);
    put_fixed64(&s->out, RAW_N, n);
}

static bool is_raw(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f)
{
    return d == &onnxpb__tensor__descriptor && f && !strcmp(f->name, "raw_data");
}

static void put_message(Slim *s, const ProtobufCMessageDescriptor *d, const uint8_t *at,
                        const uint8_t *body, const uint8_t *end);

/* Bytes that im_scan accepted: whatever is read here is there. */
static void slim(Slim *s, const ProtobufCMessageDescriptor *d, const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        const uint8_t *at = p, *body;
        uint64_t tag = 0, len = 0;
        varint(&p, end, &tag);
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
        bool message = (tag & 7) == 2 && f && f->type == PROTOBUF_C_TYPE_MESSAGE;
        body = p;
        if ((tag & 7) == 0 || (tag & 7) == 2)
            varint(&p, end, &len);
        if ((tag & 7) == 2)
            body = p, p += len;
        else if ((tag & 7) != 0)
            p += (tag & 7) == 1 ? 8 : 4;
        if (message)
            put_message(s, f->descriptor, at, body, p);
        else if ((tag & 7) == 2 && len >= IM_LARGE && is_raw(d, f))
            put_place(s, body, len);
        else if (d != &onnxpb__tensor__descriptor || (tag >> 3 != RAW_AT && tag >> 3 != RAW_N))
            sc_str_addn(&s->out, (const char *)at, (size_t)(p - at));
    }
}

/* A field that is a message: its tag, the new length in as many bytes as any length has, and what
 * is left of it. */
static void put_message(Slim *s, const ProtobufCMessageDescriptor *d, const uint8_t *at,
                        const uint8_t *body, const uint8_t *end)
{
    static const char room[LENGTH_BYTES];
    size_t tag = 0;
    while (at[tag] & 0x80)
        tag++;
    sc_str_addn(&s->out, (const char *)at, tag + 1);
    sc_str_addn(&s->out, room, sizeof room);
    size_t from = s->out.n;
    slim(s, d, body, end);
    uint64_t len = s->out.n - from;
    for (size_t i = 0; i < LENGTH_BYTES; i++, len >>= 7)
        s->out.s[from - LENGTH_BYTES + i] =
            (char)((len & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
}

/* --- Unpacking -------------------------------------------------------------------------------- */

/* Unpacking with two homes: what is large goes into the session's arena, where a blob may point at
 * it for good; the rest is malloc'd and freed with the message. A header in front says which. */
enum { HEADER = 16 };

static void *unpack_alloc(void *cx, size_t n)
{
    if (n > SIZE_MAX - HEADER)
        return NULL;
    bool large = n >= IM_LARGE;
    char *p = large ? sc_alloc(sc_ctx_arena(cx), n + HEADER) : malloc(n + HEADER);
    if (!p)
        return NULL;
    p[0] = large;
    return p + HEADER;
}

static void unpack_free(void *cx, void *data)
{
    (void)cx;
    char *p = data;
    if (p && !p[-HEADER])
        free(p - HEADER);
}

Onnxpb__Model *im_model_unpack(ScCtx *cx, const void *bytes, size_t n, bool lasts)
{
    ProtobufCAllocator alloc = {unpack_alloc, unpack_free, cx};
    Slim s = {.cx = cx, .lasts = lasts};
    slim(&s, &onnxpb__model__descriptor, bytes, (const uint8_t *)bytes + n);
    Onnxpb__Model *m = onnxpb__model__unpack(&alloc, s.out.n, (const uint8_t *)sc_str_get(&s.out));
    sc_str_free(&s.out);
    if (!m)
        sc_fail(cx, NULL, SC_E_ONNX, "a field has another type than ONNX gives it");
    return m;
}

void im_model_free(Onnxpb__Model *m)
{
    ProtobufCAllocator alloc = {unpack_alloc, unpack_free, NULL};
    if (m)
        onnxpb__model__free_unpacked(m, &alloc);
}
