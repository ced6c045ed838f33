/* SPDX-License-Identifier: Apache-2.0 */
/* Elementary functions as instructions of scalar bodies.
 *
 * In f32 they are polynomials, so that they inline into vector loops and give the same bits on
 * every target and in every lane. Rules for whoever adds one:
 *  1. At most 2 ulp from the exact value over all 2^32 floats, with infinities, NaN and subnormal
 *     results; tests/ir/expr.c samples them. A full sweep against libm in f64 gave, in ulp:
 *     exp 0.99, expm1 1.59, log 0.87, tanh 1.33, erf 1.35, sigmoid 1.78.
 *  2. Only operations that every target has and that are never undefined: no float to integer
 *     conversion (a NaN has none), no fused multiply-add.
 *  3. Every coefficient says where it is from.
 *
 * Coefficients: minimax fits of our own, made with the Remez exchange on 4001 Chebyshev points in
 * double precision against 40-digit values, weighted so that the error is relative to the
 * function; then rounded to f32 one after the other from the lowest, fitting the rest anew each
 * time. The error given is what remains after rounding, that of f32 arithmetic aside.
 *
 * In f64 they are libm's. */
#include "ir/expr.h"

#include <math.h>

#define X1(op, x)       sc_x(b, SC_X_##op, (x), 0, 0)
#define X2(op, x, y)    sc_x(b, SC_X_##op, (x), (y), 0)
#define SELECT(c, x, y) sc_x(b, SC_X_SELECT, (c), (x), (y))
#define CONST(c)        sc_x_const(b, (c))
#define INT(c)          sc_x_int(b, (c))

/* c[0] + c[1] x + ... + c[n - 1] x^(n - 1) */
static ScX poly(ScBody *b, ScX x, uint32_t n, const float *c)
{
    ScX y = CONST(c[n - 1]);
    for (uint32_t i = n - 1; i-- > 0;)
        y = X2(ADD, X2(MUL, y, x), CONST(c[i]));
    return y;
}
#define POLY(x, c) poly(b, (x), sizeof(c) / sizeof *(c), (c))

static ScX with_sign_of(ScBody *b, ScX magnitude, ScX x)
{
    ScX sign = X2(AND, X1(BITS, x), INT(INT32_MIN));
    return X1(FLOAT, X2(OR, X1(BITS, magnitude), sign));
}

/* e^x = p * 2^n, |x| < 2^7: n = round(x / ln 2), by adding a number so large that its last bit is
 * worth 1, and p = e^r for the rest r, |r| <= ln 2 / 2. ln 2 is subtracted in two parts, the first
 * of 9 bits, so that n times it is exact. (e^r - 1 - r) / r^2 by a polynomial: 2^-28.1. above1 is
 * p - 1, low what rounding took from p; either may be NULL. */
static ScX exp_parts(ScBody *b, ScX x, ScX *ret_n, ScX *ret_above1, ScX *ret_low)
{
    static const float q[] = {0x1.fffffcp-2f, 0x1.555494p-3f, 0x1.5558cep-5f, 0x1.123888p-7f,
                              0x1.6a26fep-10f};
    const double large = 0x1.8p23;
    ScX t = X2(ADD, X2(MUL, x, CONST((float)M_LOG2E)), CONST(large));
    ScX whole = X2(SUB, t, CONST(large));
    ScX r = X2(SUB, x, X2(MUL, whole, CONST(0x1.63p-1)));
    r = X2(SUB, r, X2(MUL, whole, CONST(-0x1.bd0106p-13f)));
    *ret_n = whole;
    ScX above1 = X2(ADD, r, X2(MUL, X2(MUL, r, r), POLY(r, q)));
    if (ret_above1)
        *ret_above1 = above1;
    ScX p = X2(ADD, CONST(1), above1);
    if (ret_low)
        *ret_low = X2(SUB, above1, X2(SUB, p, CONST(1)));
    return p;
}

/* x between about -80 and 80. */
static ScX exp_inside(ScBody *b, ScX x)
{
    ScX n, p = exp_parts(b, x, &n, NULL, NULL);
    return X2(SCALE, p, n);
}

/* Any x: beyond the bounds the result is 0 or infinite already. */
static ScX exp_any(ScBody *b, ScX x, ScX *ret_low)
{
    ScX n, p = exp_parts(b, X2(MIN, CONST(89), X2(MAX, CONST(-104), x)), &n, NULL, ret_low);
    return X2(SCALE, p, n);
}

ScX sc_x_exp(ScBody *b, ScX x)
{
    return b->compute == SCRT_F64 ? sc_x_libm1(b, SCRT_LIBM1_EXP, x) : exp_any(b, x, NULL);
}

/* e^x - 1 without cancellation: with e^r = 1 + above1 it is (2^n - 1) + 2^n above1, exact but for
 * above1 where n = 0. Halved, since 2^n may be too large; 2^n below 2^-40 no longer counts. */
ScX sc_x_expm1(ScBody *b, ScX x)
{
    if (b->compute == SCRT_F64)
        return sc_x_libm1(b, SCRT_LIBM1_EXPM1, x);
    ScX n, above1;
    exp_parts(b, X2(MIN, CONST(89), X2(MAX, CONST(-30), x)), &n, &above1, NULL);
    ScX half = X2(SCALE, CONST(0.5), n);
    ScX y = X2(ADD, X2(SUB, half, CONST(0.5)), X2(MUL, half, above1));
    return SELECT(X2(LT, X1(ABS, x), CONST(0x1p-25)), x, X2(ADD, y, y)); /* -0 for -0 */
}

/* x = m * 2^k with m in [sqrt 1/2, sqrt 2), f = m - 1: log x = k ln 2 + f - f^2 / 2 + f^3 R(f).
 * R by a polynomial: 2^-29.2. ln 2 in two parts as above. */
ScX sc_x_log(ScBody *b, ScX x)
{
    static const float c[] = {0x1.555548p-2f,  -0x1.00007p-2f,  0x1.99a542p-3f,
                              -0x1.552f04p-3f, 0x1.230304p-3f,  -0x1.01069ep-3f,
                              0x1.f000d4p-4f,  -0x1.beff46p-4f, 0x1.b4cfbp-5f};
    const int64_t root = 0x3f3504f3; /* bits of sqrt 1/2 */
    if (b->compute == SCRT_F64)
        return sc_x_libm1(b, SCRT_LIBM1_LOG, x);
    ScX tiny = X2(LT, x, CONST(0x1p-126));
    ScX bits = X2(SUB, X1(BITS, SELECT(tiny, X2(MUL, x, CONST(0x1p23)), x)), INT(root));
    ScX k = X2(SUB, X2(SAR, bits, INT(23)), SELECT(tiny, INT(23), INT(0)));
    ScX m = X1(FLOAT, X2(ADD, X2(AND, bits, INT(0x7fffff)), INT(root)));
    ScX f = X2(SUB, m, CONST(1)), kf = X1(TOFLOAT, k), f2 = X2(MUL, f, f);
    ScX y = X2(SUB, X2(MUL, X2(MUL, f2, f), POLY(f, c)), X2(MUL, f2, CONST(0.5)));
    y = X2(ADD, y, X2(MUL, kf, CONST(-0x1.bd0106p-13f)));
    y = X2(ADD, X2(MUL, kf, CONST(0x1.63p-1)), X2(ADD, f, y));
    y = SELECT(X2(LT, x, CONST(INFINITY)), y, x); /* infinity and NaN stay */
    y = SELECT(X2(EQ, x, CONST(0)), CONST(-INFINITY), y);
    return SELECT(X2(LT, x, CONST(0)), CONST(NAN), y);
}

/* |x| < 0.625: x + x^3 P(x^2), P by a polynomial: 2^-27.7. Beyond: 1 - 2 / (e^2|x| + 1), 1
 * from 9.02 on. */
ScX sc_x_tanh(ScBody *b, ScX x)
{
    static const float c[] = {-0x1.555532p-2f, 0x1.1106f6p-3f, -0x1.b835a4p-5f, 0x1.51f8cep-6f,
                              -0x1.750ce4p-8f};
    if (b->compute == SCRT_F64)
        return sc_x_libm1(b, SCRT_LIBM1_TANH, x);
    ScX size = X1(ABS, x), z = X2(MUL, x, x);
    ScX small = X2(ADD, size, X2(MUL, size, X2(MUL, z, POLY(z, c))));
    ScX bounded = X2(MIN, size, CONST(10));
    ScX e = exp_inside(b, X2(ADD, bounded, bounded));
    ScX big = X2(SUB, CONST(1), X2(DIV, CONST(2), X2(ADD, e, CONST(1))));
    return with_sign_of(b, SELECT(X2(LT, size, CONST(0.625)), small, big), x); /* -0 for -0 */
}

/* |x| < 0.92: x + x P(x^2), P by a polynomial: 2^-29.9. Beyond: 1 - e^Q(|x|), where Q, a
 * polynomial, is log(1 - erf) as far as 1 - e^Q needs it: 2^-31.7; 1 from 3.92 on. */
ScX sc_x_erf(ScBody *b, ScX x)
{
    static const float p[] = {0x1.06eba8p-3f, -0x1.812740p-2f,  0x1.ce2d76p-4f, -0x1.b80438p-6f,
                              0x1.54760ep-8f, -0x1.a7f352p-11f, 0x1.56b836p-14f};
    static const float q[] = {0x1.182ee6p-12f, -0x1.2147c6p+0f,  -0x1.43b70cp-1f,
                              -0x1.c116f4p-4f, 0x1.ac7538p-6f,   -0x1.313492p-8f,
                              0x1.2c97ecp-11f, -0x1.697756p-15f, 0x1.8cbd9cp-20f};
    if (b->compute == SCRT_F64)
        return sc_x_libm1(b, SCRT_LIBM1_ERF, x);
    ScX size = X1(ABS, x), z = X2(MUL, x, x);
    ScX small = X2(ADD, x, X2(MUL, x, POLY(z, p)));
    ScX bounded = X2(MIN, size, CONST(4));
    ScX big = X2(SUB, CONST(1), exp_inside(b, POLY(bounded, q)));
    return SELECT(X2(LT, size, CONST(0.92f)), small, with_sign_of(b, big, x));
}

/* e = e^-|x| never overflows, and a small result keeps its precision: e / (1 + e) below 0. There
 * the rounding of e would count twice, so it is taken up by the denominator: with e (1 + d) instead
 * of e the quotient is e / (1 + e - d), nearly; d is low, nearly. */
ScX sc_x_sigmoid(ScBody *b, ScX x)
{
    ScX size = X1(NEG, X1(ABS, x)), negative = X2(LT, x, CONST(0)), low;
    if (b->compute == SCRT_F64) {
        ScX e = sc_x_libm1(b, SCRT_LIBM1_EXP, size);
        return X2(DIV, SELECT(negative, e, CONST(1)), X2(ADD, CONST(1), e));
    }
    ScX e = exp_any(b, size, &low);
    ScX denominator = X2(ADD, CONST(1), SELECT(negative, X2(SUB, e, low), e));
    return X2(DIV, SELECT(negative, e, CONST(1)), denominator);
}
