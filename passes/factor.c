/* SPDX-License-Identifier: Apache-2.0 */
/* Free factors. A scale is a power of two, for that costs nothing; but the steps of a float format
 * are finer, relative to the number, at the end of an octave than at its begin. Where the numbers
 * of a tensor lie close together a factor between two powers of two makes up to 3 dB, and where
 * they are few (a filter of nine weights) it always makes some. It is worth its multiplication in
 * the epilogue.
 *
 * What a factor does to the rounding depends on the mantissas alone, so a histogram of the power
 * over one octave tells for every factor what the squared error would be. */
#include "passes/scale_priv.h"

#include <assert.h>
#include <math.h>
#include <string.h>

double sc_factor_at(uint32_t k)
{
    return 1 + (double)k / SC_N_FACTOR;
}

void sc_mantissas_add(float *power, double x)
{
    static_assert(52 > SC_MANTISSA_BITS, "of f64's mantissa the first bits are looked at");
    enum { REST = 52 - SC_MANTISSA_BITS };
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint64_t man = bits & ((UINT64_C(1) << 52) - 1);
    uint32_t e = bits >> 52 & 0x7ff;
    if (e > 0 && e < 0x7ff) /* to the nearest, so that numbers of few bits are told exactly */
        power[(man + (UINT64_C(1) << (REST - 1))) >> REST & (SC_MANTISSAS - 1)] += (float)(x * x);
}

/* The squared error of 1 unit of power at x, relative, in a format of man mantissa bits. */
static double error_at(double x, uint32_t man)
{
    double step = ldexp(1, -(int)man), y = x < 1 ? 2 * x : x, off = rint(y / step) * step - y;
    return off * off / (y * y);
}

void sc_factors_init(ScFactors *ret, uint32_t man_bits)
{
    for (uint32_t k = 0; k < SC_N_FACTOR; k++)
        for (uint32_t i = 0; i < SC_MANTISSAS; i++)
            ret->error[i][k] =
                (float)error_at((1 + (double)i / SC_MANTISSAS) / sc_factor_at(k), man_bits);
}

/* The squared error that each factor leaves, [SC_N_FACTOR]. */
static void errors(const ScFactors *f, const float *power, double *ret)
{
    enum { SIDE = 8 }; /* sums side by side, in registers */
    for (uint32_t first = 0; first < SC_N_FACTOR; first += SIDE) {
        double sum[SIDE] = {0};
        for (uint32_t i = 0; i < SC_MANTISSAS; i++)
            for (uint32_t k = 0; k < SIDE; k++)
                sum[k] += (double)(f->error[i][first + k] * power[i]);
        memcpy(ret + first, sum, sizeof sum);
    }
}

/* How many dB less factor k costs than 1 does. */
static double gain_of(const double *error, uint32_t k)
{
    return error[0] > 0 ? 10 * log10(error[0] / fmax(error[k], error[0] * 1e-6)) : 0;
}

uint32_t sc_factor_best(const ScFactors *f, const float *power, const float *other,
                        double *ret_gain)
{
    uint32_t which = 0;
    double error[SC_N_FACTOR], other_error[SC_N_FACTOR];
    errors(f, power, error);
    if (other)
        errors(f, other, other_error);
    *ret_gain = 0;
    for (uint32_t k = 1; k < SC_N_FACTOR; k++) {
        double gain = gain_of(error, k);
        if (other)
            gain = fmin(gain, gain_of(other_error, k));
        which = gain > *ret_gain ? k : which;
        *ret_gain = fmax(gain, *ret_gain);
    }
    return which;
}
