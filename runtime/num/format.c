/* SPDX-License-Identifier: Apache-2.0 */
/* The floating-point formats by dtype: what they hold, rounding to them, the value of a pattern. */
#include "runtime/num/num.h"
#include "runtime/num/num_priv.h"

#include <float.h>

static const ScrtFormat format_of[SCRT_DTYPE_END] = {
    [SCRT_F64] = {64, 11, 52, 1023, true, true, true, true, DBL_MAX, DBL_MIN, DBL_TRUE_MIN},
    [SCRT_F32] = SCRT_FORMAT_F32,
    [SCRT_F16] = SCRT_FORMAT_F16,
    [SCRT_BF16] = SCRT_FORMAT_BF16,
    [SCRT_F8E4M3FN] = SCRT_FORMAT_F8E4M3FN,
    [SCRT_F8E4M3FNUZ] = SCRT_FORMAT_F8E4M3FNUZ,
    [SCRT_F8E5M2] = SCRT_FORMAT_F8E5M2,
    [SCRT_F8E5M2FNUZ] = SCRT_FORMAT_F8E5M2FNUZ,
    [SCRT_F6E2M3] = SCRT_FORMAT_F6E2M3,
    [SCRT_F6E3M2] = SCRT_FORMAT_F6E3M2,
    [SCRT_F4E2M1] = SCRT_FORMAT_F4E2M1,
    [SCRT_F8E8M0] = {8, 8, 0, 127, false, false, true, false, 0x1p127, 0x1p-127, 0x1p-127},
};

const ScrtFormat *scrt_format(ScrtDtype t)
{
    return scrt_dtype_is_float(t) ? &format_of[t] : NULL;
}

uint64_t scrt_round(ScrtDtype t, double x, bool saturate, ScrtRound mode)
{
    if (!scrt_dtype_is_float(t))
        return 0;
    if (t == SCRT_F8E8M0)
        return scrt_round_e8m0(x, saturate, mode);
    if (t == SCRT_F64) {
        bool inf = x > DBL_MAX || x < -DBL_MAX;
        return scrt_double_bits(!saturate || !inf ? x : x < 0 ? -DBL_MAX : DBL_MAX);
    }
    return scrt_round_to(format_of[t], x, saturate);
}

double scrt_value(ScrtDtype t, uint64_t bits)
{
    if (!scrt_dtype_is_float(t))
        return 0;
    if (t == SCRT_F8E8M0)
        return scrt_value_e8m0(bits);
    if (t == SCRT_F64)
        return scrt_bits_double(bits);
    return scrt_value_of(format_of[t], bits);
}
