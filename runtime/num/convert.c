/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays from one type to another: a block of elements is loaded as doubles (or, where both are
 * integers, as 64-bit integers) by a loop for the one type, and stored by a loop for the other, so
 * that 2 n loops serve n * n conversions.
 *
 * Rounding once: every float type but f64 has at most 24 bits, so a double holds every value that
 * is loaded exactly, except 64-bit integers. These are rounded to odd (toward zero, the last bit
 * set if anything was cut off): a double so made rounds to 24 bits or fewer as the integer itself
 * would. (Boldo, Melquiond: When double rounding is odd, 2005.) */
#include "runtime/num/num.h"
#include "runtime/num/num_priv.h"

#include <float.h>

enum { BLOCK = 256 };

typedef struct Side { /* one of the two arrays */
    ScrtDtype t;
    unsigned char *data;
    bool saturate;
    ScrtRound mode;
    const double *value; /* [256] of each pattern, where t is a float of at most 8 bits */
} Side;

static double round_to_odd(uint64_t x, bool negative)
{
    if (x >> 53) {
        int cut = 11 - __builtin_clzll(x);
        bool rest = (x & (((uint64_t)1 << cut) - 1)) != 0;
        x = (x >> cut | rest) << cut;
    }
    return negative ? -(double)x : (double)x;
}

static double odd_from_signed(int64_t x)
{
    return round_to_odd(x < 0 ? 0 - (uint64_t)x : (uint64_t)x, x < 0);
}

#define EACH(expr)                                                                                 \
    for (size_t i = 0; i < n; i++)                                                                 \
        x[i] = (expr);                                                                             \
    break

/* Elements first .. first + n - 1 as doubles; to_f64: the nearest ones. */
static void load_block(const Side *s, size_t first, size_t n, bool to_f64, double *x)
{
    const void *data = s->data;
    switch (s->t) {
    case SCRT_F64:
        EACH(((const ScrtAnyF64 *)data)[first + i]);
    case SCRT_F32:
        EACH(((const ScrtAnyF32 *)data)[first + i]);
    case SCRT_F16:
        EACH(scrt_value_of((ScrtFormat)SCRT_FORMAT_F16, ((const ScrtAnyU16 *)data)[first + i]));
    case SCRT_BF16:
        EACH(scrt_value_of((ScrtFormat)SCRT_FORMAT_BF16, ((const ScrtAnyU16 *)data)[first + i]));
    case SCRT_F8E4M3FN:
    case SCRT_F8E4M3FNUZ:
    case SCRT_F8E5M2:
    case SCRT_F8E5M2FNUZ:
    case SCRT_F8E8M0:
        EACH(s->value[((const uint8_t *)data)[first + i]]);
    case SCRT_I64:
        if (!to_f64) {
            EACH(odd_from_signed(((const ScrtAnyI64 *)data)[first + i]));
        }
        EACH((double)((const ScrtAnyI64 *)data)[first + i]);
    case SCRT_U64:
        if (!to_f64) {
            EACH(round_to_odd(((const ScrtAnyU64 *)data)[first + i], false));
        }
        EACH((double)((const ScrtAnyU64 *)data)[first + i]);
    default:
        EACH(scrt_load(s->t, data, first + i));
    }
}
#undef EACH

#define EACH(type, expr)                                                                           \
    for (size_t i = 0; i < n; i++)                                                                 \
        ((type *)data)[first + i] = (type)(expr);                                                  \
    break
#define ROUND(type, id) EACH(type, scrt_round_to((ScrtFormat)SCRT_FORMAT_##id, x[i], saturate))

static double not_infinite(double x)
{
    return x > DBL_MAX ? DBL_MAX : x < -DBL_MAX ? -DBL_MAX : x;
}

static void store_block(const Side *s, size_t first, size_t n, const double *x)
{
    void *data = s->data;
    bool saturate = s->saturate;
    switch (s->t) {
    case SCRT_F64:
        EACH(ScrtAnyF64, saturate ? not_infinite(x[i]) : x[i]);
    case SCRT_F32:
        ROUND(uint32_t, F32);
    case SCRT_F16:
        ROUND(uint16_t, F16);
    case SCRT_BF16:
        ROUND(uint16_t, BF16);
    case SCRT_F8E4M3FN:
        ROUND(uint8_t, F8E4M3FN);
    case SCRT_F8E4M3FNUZ:
        ROUND(uint8_t, F8E4M3FNUZ);
    case SCRT_F8E5M2:
        ROUND(uint8_t, F8E5M2);
    case SCRT_F8E5M2FNUZ:
        ROUND(uint8_t, F8E5M2FNUZ);
    case SCRT_F8E8M0:
        EACH(uint8_t, scrt_round_e8m0(x[i], saturate, s->mode));
    default:
        for (size_t i = 0; i < n; i++)
            scrt_store(s->t, data, first + i, x[i], saturate);
    }
}
#undef EACH
#undef ROUND

#define ROUND(id)                                                                                  \
    for (size_t i = 0; i < n; i++)                                                                 \
        ret[i] = (uint8_t)scrt_round_to((ScrtFormat)SCRT_FORMAT_##id, x[i], true);                 \
    break

void scrt_round_codes(ScrtDtype t, size_t n, const double *x, uint8_t *ret)
{
    switch (t) {
    case SCRT_F8E4M3FN:
        ROUND(F8E4M3FN);
    case SCRT_F8E4M3FNUZ:
        ROUND(F8E4M3FNUZ);
    case SCRT_F8E5M2:
        ROUND(F8E5M2);
    case SCRT_F8E5M2FNUZ:
        ROUND(F8E5M2FNUZ);
    case SCRT_F6E2M3:
        ROUND(F6E2M3);
    case SCRT_F6E3M2:
        ROUND(F6E3M2);
    case SCRT_F4E2M1:
        ROUND(F4E2M1);
    case SCRT_F8E8M0:
        for (size_t i = 0; i < n; i++)
            ret[i] = (uint8_t)scrt_round_e8m0(x[i], true, SCRT_NEAREST);
        break;
    default:
        break;
    }
}
#undef ROUND

static bool is_integer(ScrtDtype t)
{
    ScrtKind k = scrt_dtype_kind(t);
    return scrt_dtype_bits(t) && (k == SCRT_KIND_INT || k == SCRT_KIND_UINT || k == SCRT_KIND_BOOL);
}

static bool is_complex(ScrtDtype t)
{
    return scrt_dtype_bits(t) && scrt_dtype_kind(t) == SCRT_KIND_COMPLEX;
}

void scrt_convert(size_t n, ScrtDtype to, void *dst, ScrtDtype from, const void *src, bool saturate,
                  ScrtRound mode)
{
    if (is_complex(to) && is_complex(from)) {
        n *= 2; /* of memory that exists, so it does not overflow */
        to = to == SCRT_C64 ? SCRT_F32 : SCRT_F64;
        from = from == SCRT_C64 ? SCRT_F32 : SCRT_F64;
    }
    size_t bytes;
    if (to == from && !saturate && scrt_dtype_kind(to) != SCRT_KIND_BOOL) {
        if (scrt_bytes(to, n, &bytes) && bytes)
            memcpy(dst, src, bytes);
        return;
    }
    if (is_integer(to) && is_integer(from)) {
        for (size_t i = 0; i < n; i++)
            scrt_store_int(to, dst, i, scrt_load_int(from, src, i));
        return;
    }
    Side in = {.t = from, .data = (unsigned char *)src};
    Side out = {.t = to, .data = dst, .saturate = saturate, .mode = mode};
    double x[BLOCK], value[256];
    for (unsigned b = 0; b < 256 && scrt_dtype_is_low(from); b++)
        value[b] = scrt_value(from, b);
    in.value = value;
    bool to_f64 = to == SCRT_F64 || to == SCRT_C128;
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t some = n - i < BLOCK ? n - i : BLOCK;
        load_block(&in, i, some, to_f64, x);
        store_block(&out, i, some, x);
    }
}
