/* SPDX-License-Identifier: Apache-2.0 */
/* Number formats: the element types and the conversions between them. They live here once; the
 * evaluator, the compiler and the compiled program all agree with this file bit for bit. */
#ifndef SCRT_NUM_H
#define SCRT_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ScrtKind {
    SCRT_KIND_FLOAT,
    SCRT_KIND_INT,
    SCRT_KIND_UINT,
    SCRT_KIND_BOOL,
    SCRT_KIND_COMPLEX,
    SCRT_KIND_STRING,
} ScrtKind;

typedef enum ScrtDtype {
    SCRT_DTYPE_NONE = 0,
#define SCRT_DTYPE(id, text, code, bits, kind) SCRT_##id = (code),
#include "dtype.def"
#undef SCRT_DTYPE
    SCRT_DTYPE_END,
} ScrtDtype;

/* Facts of a type; any value outside the enum answers NULL, 0 or false. */
const char *scrt_dtype_name(ScrtDtype t);                   /* "f8e4m3fn" */
ScrtDtype scrt_dtype_find(const char *name, size_t length); /* SCRT_DTYPE_NONE if there is none */
uint32_t scrt_dtype_bits(ScrtDtype t); /* bits of an element; of a string its handle's */
ScrtKind scrt_dtype_kind(ScrtDtype t);
bool scrt_dtype_is_float(ScrtDtype t);
bool scrt_dtype_is_integer(ScrtDtype t); /* bool is none */
bool scrt_dtype_is_low(ScrtDtype t);     /* a float of 8 bits or fewer */

/* A binary floating-point format of at most 64 bits. */
typedef struct ScrtFormat {
    uint8_t bits, exp_bits, man_bits;
    int16_t bias;
    bool has_sign;
    bool has_inf;
    bool has_nan;      /* false: the formats under 8 bits */
    bool has_neg_zero; /* false: the FNUZ formats, whose NaN is the pattern of -0; f8e8m0 */
    double max;        /* largest finite value */
    double min_normal; /* smallest normal value */
    double min_denorm; /* smallest value above 0; equals min_normal where there are no subnormals */
} ScrtFormat;

/* The format of a float type, or NULL for any other type. */
const ScrtFormat *scrt_format(ScrtDtype t);

typedef enum ScrtRound {
    SCRT_NEAREST, /* nearest, ties to even (f8e8m0, which has no mantissa: up); the default */
    SCRT_UP,      /* f8e8m0 only, as ONNX Cast's round_mode */
    SCRT_DOWN,    /* f8e8m0 only */
} ScrtRound;

/* Rounds x once to the float type t; returns its bits in the low bits. Infinity and what rounds
 * beyond the largest finite value: the largest finite value of that sign if saturate, else infinity
 * where the format has one, else NaN, as the ONNX Cast table says. NaN stays NaN, of its sign,
 * where the format has one. x is a double, so an f64 accumulator rounds once. Formats without
 * what the table asks for: those under 8 bits saturate always and take NaN for 0; f8e8m0, whose
 * numbers are powers of two, takes -x for NaN, and 0 and what rounds below its smallest number for
 * that number if saturate, else for NaN. Any other t answers 0. The floating-point environment does
 * not matter.
 *
 * Sources: OCP OFP8 1.0, OCP Microscaling 1.0, IEEE 754, ONNX Cast-28. */
uint64_t scrt_round(ScrtDtype t, double x, bool saturate, ScrtRound mode);

/* Rounds n numbers to nearest to a float type of at most 8 bits, saturating: ret [n], a code a
 * byte. Any other t: nothing. */
void scrt_round_codes(ScrtDtype t, size_t n, const double *x, uint8_t *ret);

/* The value of a bit pattern of a float type, exactly; higher bits are ignored. 0 for any other t.
 */
double scrt_value(ScrtDtype t, uint64_t bits);

/* Element i of an array of any numeric type as a double (i64 beyond 2^53 rounds), and back:
 * integers truncate toward zero. Beyond their range those of 32 and 64 bits saturate and NaN gives
 * 0; narrower ones keep their low bits, infinities and NaN give 0: what NumPy does, and so what
 * ONNX Cast, which leaves it open, is tested for. A bool is whether x is not 0. Types under 8 bits
 * are packed, element 0 in the low bits. Of a complex number the real part is loaded; the imaginary
 * part is stored as 0. Strings, which are handles (scrt.h): 0, nothing. */
double scrt_load(ScrtDtype t, const void *data, size_t i);
void scrt_store(ScrtDtype t, void *data, size_t i, double x, bool saturate);
/* The same for integer types and bool, exactly: u64 beyond INT64_MAX wraps, and so does what is
 * stored out of range. Any other type: 0, nothing. */
int64_t scrt_load_int(ScrtDtype t, const void *data, size_t i);
void scrt_store_int(ScrtDtype t, void *data, size_t i, int64_t x);
/* The same for the bits of an element of a type of at most 64 bits, whatever its kind; higher bits
 * of what is stored are ignored. */
uint64_t scrt_load_bits(ScrtDtype t, const void *data, size_t i);
void scrt_store_bits(ScrtDtype t, void *data, size_t i, uint64_t x);

/* Bytes of n elements, or false on overflow of size_t. */
bool scrt_bytes(ScrtDtype t, size_t n, size_t *ret_bytes);

/* Converts n elements between any two numeric types, with scrt_load and scrt_store's meaning, but
 * every element rounds once: integers to integers are exact (and wrap, as ONNX Cast), a 64-bit
 * integer goes to f32 directly, complex to complex keeps both parts. dst and src must not overlap.
 */
void scrt_convert(size_t n, ScrtDtype to, void *dst, ScrtDtype from, const void *src, bool saturate,
                  ScrtRound mode);

#ifdef __cplusplus
}
#endif
#endif
