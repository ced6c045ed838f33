/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of the element types: dtype.def as arrays indexed by the ONNX code. */
#include "runtime/num/num.h"

#include <string.h>

static const char *const name_of[SCRT_DTYPE_END] = {
#define SCRT_DTYPE(id, text, code, bits, kind) [code] = (text),
#include "runtime/num/dtype.def"
#undef SCRT_DTYPE
};

static const uint8_t bits_of[SCRT_DTYPE_END] = {
#define SCRT_DTYPE(id, text, code, bits, kind) [code] = (bits),
#include "runtime/num/dtype.def"
#undef SCRT_DTYPE
};

static const uint8_t kind_of[SCRT_DTYPE_END] = {
#define SCRT_DTYPE(id, text, code, bits, kind) [code] = SCRT_KIND_##kind,
#include "runtime/num/dtype.def"
#undef SCRT_DTYPE
};

/* A dtype often comes from a file, so any number may arrive here. */
static bool known(ScrtDtype t)
{
    return (unsigned)t < SCRT_DTYPE_END && name_of[t];
}

const char *scrt_dtype_name(ScrtDtype t)
{
    return known(t) ? name_of[t] : NULL;
}

ScrtDtype scrt_dtype_find(const char *name, size_t length)
{
    for (unsigned t = 0; t < SCRT_DTYPE_END; t++)
        if (known(t) && strlen(name_of[t]) == length && memcmp(name_of[t], name, length) == 0)
            return (ScrtDtype)t;
    return SCRT_DTYPE_NONE;
}

uint32_t scrt_dtype_bits(ScrtDtype t)
{
    return known(t) ? bits_of[t] : 0;
}

ScrtKind scrt_dtype_kind(ScrtDtype t)
{
    return known(t) ? (ScrtKind)kind_of[t] : (ScrtKind)0;
}

bool scrt_dtype_is_float(ScrtDtype t)
{
    return known(t) && kind_of[t] == SCRT_KIND_FLOAT;
}

bool scrt_dtype_is_integer(ScrtDtype t)
{
    ScrtKind k = scrt_dtype_kind(t);
    return k == SCRT_KIND_INT || k == SCRT_KIND_UINT;
}

bool scrt_dtype_is_low(ScrtDtype t)
{
    return scrt_dtype_is_float(t) && bits_of[t] <= 8;
}

bool scrt_bytes(ScrtDtype t, size_t n, size_t *ret_bytes)
{
    size_t bits = scrt_dtype_bits(t);
    if (!bits)
        return false;
    if (bits < 8) { /* n / 8 whole groups of 8 elements take `bits` bytes each */
        *ret_bytes = n / 8 * bits + (n % 8 * bits + 7) / 8;
        return true;
    }
    size_t bytes;
    if (__builtin_mul_overflow(n, bits / 8, &bytes))
        return false;
    *ret_bytes = bytes;
    return true;
}
