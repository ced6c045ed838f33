/* SPDX-License-Identifier: Apache-2.0 */
/* Strings as elements. A handle is a pointer to an ScrtString, or NULL for the empty string. In the
 * weights, which lie anywhere and are written by nobody, it is 2 * OFFSET + 1, of the ScrtString's
 * offset into them: such handles travel through a run, and never leave it. Strings that a run makes
 * live until the next one. */
#ifndef SCRT_STRINGS_H
#define SCRT_STRINGS_H

#include "runtime/scrt.h"

#include <string.h>

typedef struct ScrtChars { /* the bytes of a string */
    const char *at;
    size_t n;
} ScrtChars;

/* Element i of a tensor of strings. weights: what odd handles are offsets into. */
static inline ScrtChars scrt_chars(const unsigned char *weights, const ScrtTensor *t, int64_t i)
{
    uintptr_t handle = ((const uintptr_t *)t->data)[i];
    const ScrtString *s = handle & 1 ? (const ScrtString *)(const void *)(weights + handle / 2)
                                     : (const ScrtString *)handle;
    return s ? (ScrtChars){s->bytes, (size_t)s->n} : (ScrtChars){"", 0};
}

/* -1, 0, 1: by bytes, a prefix first. */
static inline int scrt_chars_compare(ScrtChars a, ScrtChars b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.at, b.at, n) : 0;
    return c ? (c > 0) - (c < 0) : (a.n > b.n) - (a.n < b.n);
}

static inline bool scrt_chars_equal(ScrtChars a, ScrtChars b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n) == 0);
}

/* Whether elements i of two tensors that hold pointers alone are the same string. */
static inline bool scrt_strings_equal(const ScrtTensor *a, const ScrtTensor *b, int64_t i)
{
    return scrt_chars_equal(scrt_chars(NULL, a, i), scrt_chars(NULL, b, i));
}

/* The code point at *at, which moves behind it; -1, and one byte on, where the bytes are no UTF-8.
 * at < end. */
int32_t scrt_utf8_read(const char **at, const char *end);
/* Writes a code point, at most 4 bytes; answers how many. */
size_t scrt_utf8_write(int32_t c, char *ret);
/* Whether a terminal might take what scrt_utf8_read answers for a command, or it is no UTF-8. */
static inline bool scrt_is_control(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* --- What is done to one string, for evaluation and runs alike ------------------------------- */

/* c with every letter in the other case where Unicode maps it to one letter (so ß stays), whatever
 * the locale; bytes that are no UTF-8 stay. Bytes of the result, written to ret where it is not
 * NULL. */
size_t scrt_chars_case(ScrtChars c, bool upper, char *ret);

/* A string being split: at each delimiter or, where that is empty, at each run of white space,
 * which also begins and ends no piece; most times, < 0: as often as can be. What is left after the
 * last time is the last piece. */
typedef struct ScrtSplit {
    ScrtChars rest, delimiter;
    int64_t most;
    bool ended;
} ScrtSplit;
ScrtSplit scrt_split(ScrtChars c, ScrtChars delimiter, int64_t most);
bool scrt_split_next(ScrtSplit *s, ScrtChars *ret); /* false: there is no more */

/* The number that a string is, in white space of ASCII or not: decimal, or inf, infinity and nan in
 * any case, as an element of t, an integer or a float; a fraction is cut off an integer. False
 * where it is none, or an integer out of t's range. */
bool scrt_chars_number(ScrtChars c, ScrtDtype t, void *data, size_t i);
/* What is to be said then: c is shown in one line, and cut where it is long. */
enum { SCRT_NO_NUMBER_CHARS = 320 };
void scrt_no_number(ScrtChars c, ScrtDtype t, char ret[SCRT_NO_NUMBER_CHARS]);

/* The reverse of numbers and truth values: eight digits of a float, as ONNX Runtime writes it.
 * Bytes of the text. */
enum { SCRT_NUMBER_CHARS = 32 };
size_t scrt_number_chars(ScrtDtype t, const void *data, size_t i, char ret[SCRT_NUMBER_CHARS]);

/* --- Memory ---------------------------------------------------------------------------------- */

/* Bytes that a string of n bytes takes in memory, n at most PTRDIFF_MAX. */
static inline size_t scrt_string_room(size_t n)
{
    return n ? (sizeof(ScrtString) + n + 7) / 8 * 8 : 0;
}

/* Strings being laid one after the other, each with its handle. */
typedef struct ScrtLaying {
    ScrtTensor *t;
    unsigned char *at;
} ScrtLaying;

/* Allocates t->data for t's dims: handles, all empty, and behind them room bytes, the sum of
 * scrt_string_room. The caller frees it with scrt_free. */
ScrtStatus scrt_strings_alloc(ScrtTensor *t, size_t room, ScrtLaying *ret);
/* Element i gets n bytes, which the caller writes where the answer points. */
char *scrt_strings_lay(ScrtLaying *l, int64_t i, size_t n);

/* t->data becomes memory of its own, as scrt_strings_alloc makes it; what it was stays as it is. */
ScrtStatus scrt_strings_own(const unsigned char *weights, ScrtTensor *t);

/* --- Strings that a run makes ---------------------------------------------------------------- */

/* A string of n bytes, which the caller writes to *ret; its handle goes to *ret_handle. False
 * without memory. */
bool scrt_made_string(ScrtCall *call, size_t n, uintptr_t *ret_handle, char **ret);
void scrt_made_free(struct ScrtMade **made); /* all of them */
size_t scrt_made_bytes(const struct ScrtMade *made);

#endif
