/* SPDX-License-Identifier: Apache-2.0 */
/* A blob's data as what a constant means: rounded to its type at its exponent. */
#include <math.h>
#include <string.h>

#include "ir/ir.h"

enum { BLOCK = 512 };

/* x * 2^shift is exact in f64 for every element of these types and such shifts. */
static bool is_exact(ScrtDtype t, int shift)
{
    return scrt_dtype_is_float(t) && scrt_dtype_bits(t) <= 32 && shift > -800 && shift < 800;
}

/* Elements first .. first + n - 1, one by one: finite data stays finite, so that a mask does;
 * infinity has to be said. */
static void store_each(const ScBlob *b, ScrtDtype dtype, int shift, size_t first, size_t n,
                       void *dst)
{
    for (size_t i = first; i < first + n; i++) {
        double x = scrt_load(b->dtype, b->data, i);
        bool saturate = isfinite(x) || scrt_dtype_is_low(dtype);
        scrt_store(dtype, dst, i, ldexp(x, shift), saturate);
    }
}

void sc_blob_store(const ScBlob *b, ScrtDtype dtype, int64_t exp, void *dst)
{
    int shift = (int)(exp > 100000 ? -100000 : exp < -100000 ? 100000 : -exp);
    size_t bytes, from = scrt_dtype_bits(b->dtype) / 8, to = scrt_dtype_bits(dtype) / 8;
    if (b->dtype == dtype && exp == 0 && scrt_bytes(dtype, b->count, &bytes)) {
        memcpy(dst, b->data, bytes);
        return;
    }
    if (!scrt_dtype_is_float(dtype)) {
        scrt_convert(b->count, dtype, dst, b->dtype, b->data, true, SCRT_NEAREST);
        return;
    }
    bool blocks = is_exact(b->dtype, shift) && from > 0 && to > 0;
    for (size_t i = 0, n; i < b->count; i += n) {
        double x[BLOCK], factor = ldexp(1, shift);
        bool finite = true;
        n = b->count - i < BLOCK ? b->count - i : BLOCK;
        if (blocks)
            scrt_convert(n, SCRT_F64, x, b->dtype, (const char *)b->data + i * from, false,
                         SCRT_NEAREST);
        for (size_t k = 0; blocks && k < n; k++) {
            finite = finite && isfinite(x[k]);
            x[k] *= factor;
        }
        if (blocks && (finite || scrt_dtype_is_low(dtype)))
            scrt_convert(n, dtype, (char *)dst + i * to, SCRT_F64, x, true, SCRT_NEAREST);
        else
            store_each(b, dtype, shift, i, n, dst);
    }
}

bool sc_blob_tensor(const ScBlob *b, const ScType *t, int64_t exp, ScrtTensor *ret)
{
    ScrtTensor r = {.dtype = t->dtype, .rank = t->rank};
    if (!b->data || t->rank > SCRT_MAX_RANK || !sc_type_const_dims(t, r.dims) ||
        scrt_count(&r) != (int64_t)b->count || scrt_tensor_alloc(&r) != SCRT_OK)
        return false;
    sc_blob_store(b, t->dtype, exp, r.data);
    *ret = r;
    return true;
}
