/* SPDX-License-Identifier: Apache-2.0 */
/* One element of an array of any type. */
#include "runtime/num/num.h"
#include "runtime/num/num_priv.h"

/* The bits of element i of an unsigned integer array of that many bits. */
static uint64_t get(uint32_t bits, const void *data, size_t i)
{
    const uint8_t *byte = data;
    switch (bits) {
    case 2:
        return byte[i / 4] >> (i % 4 * 2) & 3;
    case 4:
        return byte[i / 2] >> (i % 2 * 4) & 15;
    case 6: /* four in three bytes, low bits first: ONNX's packing of FP6 */
        byte += i / 4 * 3 + i % 4 * 6 / 8;
        return (byte[0] >> i % 4 * 6 % 8 | (i % 4 % 3 ? byte[1] << (8 - i % 4 * 6 % 8) : 0)) & 63;
    case 8:
        return byte[i];
    case 16:
        return ((const ScrtAnyU16 *)data)[i];
    case 32:
        return ((const ScrtAnyU32 *)data)[i];
    default:
        return ((const ScrtAnyU64 *)data)[i];
    }
}

static void put(uint32_t bits, void *data, size_t i, uint64_t x)
{
    uint8_t *byte = data;
    unsigned at;
    switch (bits) {
    case 2:
        at = (unsigned)(i % 4 * 2);
        byte[i / 4] = (uint8_t)((byte[i / 4] & ~(3u << at)) | (unsigned)(x & 3) << at);
        break;
    case 4:
        at = (unsigned)(i % 2 * 4);
        byte[i / 2] = (uint8_t)((byte[i / 2] & ~(15u << at)) | (unsigned)(x & 15) << at);
        break;
    case 6: /* elements 1 and 2 of four reach into the next byte */
        byte += i / 4 * 3 + i % 4 * 6 / 8;
        at = (unsigned)(i % 4 * 6 % 8);
        byte[0] = (uint8_t)((byte[0] & ~(63u << at)) | (unsigned)(x & 63) << at);
        if (i % 4 % 3)
            byte[1] = (uint8_t)((byte[1] & ~(63u >> (8 - at))) | (unsigned)(x & 63) >> (8 - at));
        break;
    case 8:
        byte[i] = (uint8_t)x;
        break;
    case 16:
        ((uint16_t *)data)[i] = (uint16_t)x;
        break;
    case 32:
        ((uint32_t *)data)[i] = (uint32_t)x;
        break;
    default:
        ((uint64_t *)data)[i] = x;
    }
}

int64_t scrt_load_int(ScrtDtype t, const void *data, size_t i)
{
    uint32_t bits = scrt_dtype_bits(t);
    if (!bits)
        return 0;
    switch (scrt_dtype_kind(t)) {
    case SCRT_KIND_INT: /* the shift back brings the sign along */
        return (int64_t)(get(bits, data, i) << (64 - bits)) >> (64 - bits);
    case SCRT_KIND_UINT:
        return (int64_t)get(bits, data, i);
    case SCRT_KIND_BOOL:
        return get(bits, data, i) != 0;
    default:
        return 0;
    }
}

void scrt_store_int(ScrtDtype t, void *data, size_t i, int64_t x)
{
    uint32_t bits = scrt_dtype_bits(t);
    if (!bits)
        return;
    switch (scrt_dtype_kind(t)) {
    case SCRT_KIND_INT:
    case SCRT_KIND_UINT:
        put(bits, data, i, (uint64_t)x);
        break;
    case SCRT_KIND_BOOL:
        put(bits, data, i, x != 0);
        break;
    default:
        break;
    }
}

uint64_t scrt_load_bits(ScrtDtype t, const void *data, size_t i)
{
    uint32_t bits = scrt_dtype_bits(t);
    return bits && bits <= 64 ? get(bits, data, i) : 0;
}

void scrt_store_bits(ScrtDtype t, void *data, size_t i, uint64_t x)
{
    uint32_t bits = scrt_dtype_bits(t);
    if (bits && bits <= 64)
        put(bits, data, i, x);
}

double scrt_load(ScrtDtype t, const void *data, size_t i)
{
    uint32_t bits = scrt_dtype_bits(t);
    if (!bits)
        return 0;
    switch (scrt_dtype_kind(t)) {
    case SCRT_KIND_FLOAT:
        return scrt_value(t, get(bits, data, i));
    case SCRT_KIND_COMPLEX:
        return scrt_value(t == SCRT_C64 ? SCRT_F32 : SCRT_F64, get(bits / 2, data, 2 * i));
    case SCRT_KIND_UINT:
        return (double)get(bits, data, i);
    default:
        return (double)scrt_load_int(t, data, i);
    }
}

void scrt_store(ScrtDtype t, void *data, size_t i, double x, bool saturate)
{
    uint32_t bits = scrt_dtype_bits(t);
    if (!bits)
        return;
    switch (scrt_dtype_kind(t)) {
    case SCRT_KIND_FLOAT:
        put(bits, data, i, scrt_round(t, x, saturate, SCRT_NEAREST));
        break;
    case SCRT_KIND_COMPLEX:
        t = t == SCRT_C64 ? SCRT_F32 : SCRT_F64;
        put(bits / 2, data, 2 * i, scrt_round(t, x, saturate, SCRT_NEAREST));
        put(bits / 2, data, 2 * i + 1, 0);
        break;
    case SCRT_KIND_INT:
        put(bits, data, i, bits < 32 ? scrt_wrap_int(x) : (uint64_t)scrt_clamp_int(bits, x));
        break;
    case SCRT_KIND_UINT:
        put(bits, data, i, bits < 32 ? scrt_wrap_int(x) : scrt_clamp_uint(bits, x));
        break;
    case SCRT_KIND_BOOL:
        put(bits, data, i, x != 0);
        break;
    default:
        break;
    }
}
