/* SPDX-License-Identifier: Apache-2.0 */
/* Quotients by a constant of which no more is asked than which integer is nearest. A division takes
 * a processor as long as the rest of what makes codes of a sum (Zen 3: 5 clocks for 8 lanes), and
 * x / d is nearly always fma(x, high, x * low), where high + low is 1 / d in twice the bits.
 *
 * Source: Brisebarre, Muller, Raina, "Accelerating correctly rounded floating-point division when
 * the divisor is known in advance", 2004. What they prove for all x is not needed here: both ways
 * keep order, so they give the same integers everywhere if they do so at both sides of each place
 * where the integer changes; and each place is tried. */
#include "codegen/emit/emit.h"

#include <math.h>

enum { LEAST_EXP = -60, MOST_EXP = 60, LOW_EXP = -40 }; /* far from where numbers are subnormal */

typedef struct Inverse {
    float high, low;
} Inverse;

static float product(const Inverse *d, float x)
{
    return d->low != 0 ? fmaf(x, d->high, x * d->low) : x * d->high;
}

/* The least x beyond which x / d rounds to more than k; d > 0. */
static float last_of(float d, int k)
{
    float x = (float)((k + 0.5) * d);
    while (rintf(x / d) > (float)k)
        x = nextafterf(x, -INFINITY);
    while (rintf(nextafterf(x, INFINITY) / d) <= (float)k)
        x = nextafterf(x, INFINITY);
    return x;
}

/* high is rounded toward zero, so both parts have one sign and the quotient of infinity is it. */
static bool inverse(float d, int most, Inverse *ret)
{
    int e;
    double y = 1 / (double)d;
    if (!isfinite(d) || !(d > 0))
        return false;
    frexpf(d, &e);
    ret->high = (float)y;
    if (ret->high > y)
        ret->high = nextafterf(ret->high, 0);
    ret->low = (float)(y - ret->high);
    if (e < LEAST_EXP || e > MOST_EXP || (ret->low != 0 && ret->low < ldexp(y, LOW_EXP)))
        return false;
    for (int k = -most; k < most; k++) {
        float x = last_of(d, k);
        if (rintf(product(ret, x)) != rintf(x / d) ||
            rintf(product(ret, nextafterf(x, INFINITY))) != rintf(nextafterf(x, INFINITY) / d))
            return false;
    }
    return true;
}

/* The number that x, one or a vector, is everywhere. */
static bool is_number(LLVMValueRef x, float *ret)
{
    LLVMBool loses;
    if (!LLVMIsConstant(x))
        return false;
    if (LLVMIsAConstantDataVector(x))
        x = LLVMGetAggregateElement(x, 0); /* the others are equal: of splats */
    if (!LLVMIsAConstantFP(x))
        return false;
    *ret = (float)LLVMConstRealGetDouble(x, &loses);
    return true;
}

LLVMValueRef cg_quotient(Cg *cg, LLVMValueRef x, LLVMValueRef by, LLVMValueRef most)
{
    LLVMTypeRef t = LLVMTypeOf(x);
    float d, n;
    Inverse y;
    bool f32 = t == cg->m->f32 ||
               (LLVMGetTypeKind(t) == LLVMVectorTypeKind && LLVMGetElementType(t) == cg->m->f32);
    if (!f32 || !cg->m->target.fma || !is_number(by, &d) || !is_number(most, &n) || n > INT16_MAX ||
        !inverse(d, (int)n, &y))
        return LLVMBuildFDiv(cg->b, x, by, "");
    if (y.low == 0)
        return LLVMBuildFMul(cg->b, x, cg_fconst(t, y.high), "");
    LLVMValueRef low = LLVMBuildFMul(cg->b, x, cg_fconst(t, y.low), "");
    return cg_fma(cg, x, cg_fconst(t, y.high), low);
}
