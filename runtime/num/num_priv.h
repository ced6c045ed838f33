/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding and decoding for a format known at compile time, so that loops over arrays do not look
 * it up for each element. format.c offers the same by dtype. */
#ifndef SCRT_NUM_PRIV_H
#define SCRT_NUM_PRIV_H

#include "runtime/num/num.h"

#include <string.h>

#define SCRT_INLINE static inline __attribute__((always_inline))

/* The formats that share one encoding: sign, exponent, mantissa, subnormals below the smallest
 * exponent. f64 is the machine's own and f8e8m0 has neither sign nor mantissa. */
#define SCRT_FORMAT_F16        {16, 5, 10, 15, true, true, true, true, 65504.0, 0x1p-14, 0x1p-24}
#define SCRT_FORMAT_BF16       {16, 8, 7, 127, true, true, true, true, 0x1.fep127, 0x1p-126, 0x1p-133}
#define SCRT_FORMAT_F32        {32, 8, 23, 127, true, true, true, true, 0x1.fffffep127, 0x1p-126, 0x1p-149}
#define SCRT_FORMAT_F8E4M3FN   {8, 4, 3, 7, true, false, true, true, 448.0, 0x1p-6, 0x1p-9}
#define SCRT_FORMAT_F8E4M3FNUZ {8, 4, 3, 8, true, false, true, false, 240.0, 0x1p-7, 0x1p-10}
#define SCRT_FORMAT_F8E5M2     {8, 5, 2, 15, true, true, true, true, 57344.0, 0x1p-14, 0x1p-16}
#define SCRT_FORMAT_F8E5M2FNUZ {8, 5, 2, 16, true, false, true, false, 57344.0, 0x1p-15, 0x1p-17}
#define SCRT_FORMAT_F6E2M3     {6, 2, 3, 1, true, false, false, true, 7.5, 1.0, 0.125}
#define SCRT_FORMAT_F6E3M2     {6, 3, 2, 3, true, false, false, true, 28.0, 0.25, 0.0625}
#define SCRT_FORMAT_F4E2M1     {4, 2, 1, 1, true, false, false, true, 6.0, 1.0, 0.5}

SCRT_INLINE uint64_t scrt_double_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

SCRT_INLINE double scrt_bits_double(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Pattern of the largest finite value. What lies above it is infinity and NaN (IEEE), NaN alone
 * (E4M3FN), or nothing (FNUZ, whose NaN is the pattern of -0; the formats under 8 bits). */
SCRT_INLINE uint64_t scrt_max_pattern(ScrtFormat f)
{
    uint64_t all = ((uint64_t)1 << (f.bits - 1)) - 1;
    if (f.has_inf)
        return all - ((uint64_t)1 << f.man_bits);
    return f.has_nan && f.has_neg_zero ? all - 1 : all;
}

SCRT_INLINE uint64_t scrt_nan_pattern(ScrtFormat f, uint64_t sign)
{
    if (!f.has_nan)
        return sign;
    if (!f.has_neg_zero)
        return (uint64_t)1 << (f.bits - 1);
    uint64_t first = scrt_max_pattern(f) + 1;
    return sign | (f.has_inf ? first | (uint64_t)1 << (f.man_bits - 1) : first);
}

/* x as the pattern of f, by integers alone: no rounding mode and no flush to zero can change it;
 * and without branches, for which way numbers go no processor foresees. With value = sig * 2^(e -
 * 52), the format's grid at that magnitude is 2^(e - 52 + drop); adding the rounded-up unit to the
 * pattern carries into the exponent by itself. What is below half of the smallest drops 54 bits,
 * all of it, a subnormal double too. */
SCRT_INLINE uint64_t scrt_round_to(ScrtFormat f, double x, bool saturate)
{
    const uint64_t one = 1, u = scrt_double_bits(x), man = u & ((one << 52) - 1);
    const uint64_t sign = (u >> 63) << (f.bits - 1), max = scrt_max_pattern(f);
    const uint64_t over = saturate || (!f.has_inf && !f.has_nan) ? max
                          : f.has_inf                            ? max + 1
                                                                 : scrt_nan_pattern(f, 0);
    int raw = (int)(u >> 52 & 0x7ff), up = raw - 1023 - (1 - f.bias); /* octaves above the least */
    int low = up < 0 ? -up : 0, drop = 52 - f.man_bits + low;
    drop = drop < 54 ? drop : 54;
    uint64_t sig = man | one << 52, even = sig >> drop & 1;
    uint64_t r = (sig + (one << (drop - 1)) - 1 + even) >> drop;
    r += (uint64_t)(up > 0 ? up : 0) << f.man_bits;
    r = r > max ? over : r;
    bool plain = !f.has_neg_zero && (r == 0 || r > max); /* without a sign */
    r |= plain ? 0 : sign;
    return raw == 0x7ff && man ? scrt_nan_pattern(f, sign) : r;
}

/* 0 and negative numbers are no powers of two: see num.h. */
SCRT_INLINE uint64_t scrt_round_e8m0(double x, bool saturate, ScrtRound mode)
{
    enum { LEAST = 0, MOST = 254, NOT = 255 };
    uint64_t u = scrt_double_bits(x), man = u & (((uint64_t)1 << 52) - 1);
    int e = (int)(u >> 52 & 0x7ff) - 1023;
    if (u << 1 > (uint64_t)0x7ff << 53 || (u >> 63 && u << 1)) /* NaN, or negative */
        return NOT;
    if (mode == SCRT_UP)
        e += man != 0;
    else if (mode == SCRT_NEAREST)
        e += man >> 51 != 0;
    if (e > 127)
        return saturate ? MOST : NOT;
    if (e < -127)
        return saturate ? LEAST : NOT;
    return (uint64_t)(e + 127);
}

SCRT_INLINE double scrt_value_e8m0(uint64_t bits)
{
    bits &= 0xff;
    return scrt_bits_double(bits == 0xff ? (uint64_t)0x7ff8 << 48 : (bits + 1023 - 127) << 52);
}

SCRT_INLINE double scrt_value_of(ScrtFormat f, uint64_t bits)
{
    uint64_t sign = bits >> (f.bits - 1) & 1, rest = bits & (((uint64_t)1 << (f.bits - 1)) - 1);
    uint64_t e = rest >> f.man_bits, man = rest & (((uint64_t)1 << f.man_bits) - 1);
    if (!f.has_neg_zero && f.has_nan && sign && !rest)
        return scrt_bits_double((uint64_t)0x7ff8 << 48);
    if (rest > scrt_max_pattern(f)) {
        bool inf = f.has_inf && rest == scrt_max_pattern(f) + 1;
        return scrt_bits_double(sign << 63 | (uint64_t)(inf ? 0x7ff0 : 0x7ff8) << 48);
    }
    if (e == 0) {
        double x = (double)man * f.min_denorm;
        return sign ? -x : x;
    }
    return scrt_bits_double(sign << 63 | (e + 1023 - (uint64_t)f.bias) << 52 |
                            man << (52 - f.man_bits));
}

/* x truncated, modulo 2^64; 0 where it is not finite. For types of fewer than 32 bits. */
SCRT_INLINE uint64_t scrt_wrap_int(double x)
{
    uint64_t u = scrt_double_bits(x), sig = (u & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
    int e = (int)(u >> 52 & 0x7ff) - 1023 - 52; /* |x| = sig * 2^e */
    if (e <= -53 || e >= 64)
        return 0;
    sig = e < 0 ? sig >> -e : sig << e;
    return u >> 63 ? 0 - sig : sig;
}

/* x truncated to an integer of that many bits, saturating; NaN gives 0. */
SCRT_INLINE int64_t scrt_clamp_int(uint32_t bits, double x)
{
    double end = (double)((uint64_t)1 << (bits - 1));
    int64_t max = (int64_t)(((uint64_t)1 << (bits - 1)) - 1);
    return x >= end ? max : x <= -end ? -max - 1 : x == x ? (int64_t)x : 0;
}

SCRT_INLINE uint64_t scrt_clamp_uint(uint32_t bits, double x)
{
    uint64_t max = ~(uint64_t)0 >> (64 - bits);
    return x >= 2.0 * (double)((uint64_t)1 << (bits - 1)) ? max : x > 0 ? (uint64_t)x : 0;
}

/* Elements as they are read: constants point into model files, where nothing is aligned. */
typedef uint16_t ScrtAnyU16 __attribute__((aligned(1), may_alias));
typedef uint32_t ScrtAnyU32 __attribute__((aligned(1), may_alias));
typedef uint64_t ScrtAnyU64 __attribute__((aligned(1), may_alias));
typedef int64_t ScrtAnyI64 __attribute__((aligned(1), may_alias));
typedef float ScrtAnyF32 __attribute__((aligned(1), may_alias));
typedef double ScrtAnyF64 __attribute__((aligned(1), may_alias));

#endif
