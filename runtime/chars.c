/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to one string: letters, pieces, numbers. */
#include "runtime/handles.h"
#include "runtime/num/num.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* --- Letters ---------------------------------------------------------------------------------- */

typedef struct Letters {
    int32_t first, last, step, difference;
} Letters;

static const Letters upper_of[] = {
#define SCRT_UPPER(first, last, step, difference) {first, last, step, difference},
#include "runtime/letters.def"
};
static const Letters lower_of[] = {
#define SCRT_LOWER(first, last, step, difference) {first, last, step, difference},
#include "runtime/letters.def"
};

static int32_t other_case(int32_t c, bool upper)
{
    if (c < 0x80)
        return c >= (upper ? 'a' : 'A') && c <= (upper ? 'z' : 'Z') ? c ^ 0x20 : c;
    const Letters *l = upper ? upper_of : lower_of;
    const size_t n = (upper ? sizeof upper_of : sizeof lower_of) / sizeof *l;
    size_t lo = 0, hi = n;
    while (lo < hi) { /* the first that does not end before c */
        size_t mid = (lo + hi) / 2;
        if (l[mid].last < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool there = lo < n && c >= l[lo].first && (c - l[lo].first) % l[lo].step == 0;
    return there ? c + l[lo].difference : c;
}

size_t scrt_chars_case(ScrtChars c, bool upper, char *ret)
{
    size_t n = 0;
    for (const char *at = c.at, *end = c.at + c.n; at < end;) {
        const char *begin = at;
        char one[4];
        int32_t x = scrt_utf8_read(&at, end);
        size_t k = x < 0 ? 1 : scrt_utf8_write(other_case(x, upper), one);
        if (ret)
            memcpy(ret + n, x < 0 ? begin : one, k);
        n += k;
    }
    return n;
}

/* --- Pieces ----------------------------------------------------------------------------------- */

/* Bytes of the white space that p begins with, 0: none. Source: Unicode, White_Space. */
static size_t space(const char *p, const char *end)
{
    const char *at = p;
    if (p == end)
        return 0;
    int32_t c = scrt_utf8_read(&at, end);
    bool is = (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
              (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
              c == 0x205f || c == 0x3000;
    return is ? (size_t)(at - p) : 0;
}

static void skip_space(ScrtChars *c)
{
    for (size_t n; (n = space(c->at, c->at + c->n)); c->n -= n)
        c->at += n;
}

ScrtSplit scrt_split(ScrtChars c, ScrtChars delimiter, int64_t most)
{
    ScrtSplit s = {c, delimiter, most, false};
    if (!delimiter.n) {
        skip_space(&s.rest);
        s.ended = !s.rest.n;
    }
    return s;
}

/* Bytes before the next delimiter, and the delimiter's; all where there is none. */
static size_t piece(const ScrtSplit *s, size_t *ret_delimiter)
{
    size_t n = s->delimiter.n;
    const char *end = s->rest.at + s->rest.n;
    for (const char *p = s->rest.at; p < end; p++) {
        *ret_delimiter = n ? n : space(p, end);
        bool here =
            n ? (size_t)(end - p) >= n && memcmp(p, s->delimiter.at, n) == 0 : *ret_delimiter > 0;
        if (here)
            return (size_t)(p - s->rest.at);
    }
    *ret_delimiter = 0;
    return s->rest.n;
}

bool scrt_split_next(ScrtSplit *s, ScrtChars *ret)
{
    size_t delimiter = 0, n;
    if (s->ended)
        return false;
    n = s->most == 0 ? s->rest.n : piece(s, &delimiter);
    *ret = (ScrtChars){s->rest.at, n};
    s->rest = (ScrtChars){s->rest.at + n + delimiter, s->rest.n - n - delimiter};
    s->most -= s->most > 0;
    s->ended = delimiter == 0;
    if (!s->delimiter.n && !s->ended) {
        skip_space(&s->rest);
        s->ended = !s->rest.n;
    }
    return true;
}

/* --- Numbers ---------------------------------------------------------------------------------- */

enum { LONGEST = 800 }; /* bytes of a number: more digits than any double needs */

/* Whether text, up to its NUL, is a number as numbers are written in decimal. */
static bool is_number(const char *p)
{
    p += *p == '-' || *p == '+';
    if ((*p | 0x20) == 'i' || (*p | 0x20) == 'n')
        return !strchr(p, '('); /* strtod takes the words alone, but also "nan(...)" */
    for (const char *q = p; *q; q++)
        if ((*q | 0x20) == 'x' || (*q | 0x20) == 'p')
            return false;
    return (*p >= '0' && *p <= '9') || *p == '.';
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= 9 && c <= 13);
}

/* The digits that text begins with, up to *end, as an integer of t; false where it is out of t's
 * range. */
static bool whole(const char *text, ScrtDtype t, int64_t *ret, char **end)
{
    bool has_sign = scrt_dtype_kind(t) == SCRT_KIND_INT;
    uint32_t spare = 64 - scrt_dtype_bits(t);
    errno = 0;
    if (has_sign || text[0] == '-') {
        long long x = strtoll(text, end, 10);
        *ret = x;
        if (has_sign ? x > INT64_MAX >> spare || x < INT64_MIN >> spare : x != 0)
            return false;
    } else {
        unsigned long long u = strtoull(text, end, 10);
        *ret = (int64_t)u;
        if (u > UINT64_MAX >> spare)
            return false;
    }
    return errno == 0;
}

/* Whether x without its fraction is an integer of t. */
static bool in_range(ScrtDtype t, double x)
{
    int bits = (int)scrt_dtype_bits(t);
    bool has_sign = scrt_dtype_kind(t) == SCRT_KIND_INT;
    x = trunc(x);
    return x >= (has_sign ? -ldexp(1, bits - 1) : 0) && x < ldexp(1, bits - has_sign);
}

bool scrt_chars_number(ScrtChars c, ScrtDtype t, void *data, size_t i)
{
    char text[LONGEST + 1], *end;
    for (; c.n && is_blank(c.at[0]); c.n--)
        c.at++;
    while (c.n && is_blank(c.at[c.n - 1]))
        c.n--;
    if (c.n == 0 || c.n > LONGEST || memchr(c.at, 0, c.n))
        return false;
    memcpy(text, c.at, c.n);
    text[c.n] = '\0';
    if (!is_number(text))
        return false;
    if (!scrt_dtype_is_float(t)) { /* may have more digits than a double */
        int64_t all;
        bool fits = whole(text, t, &all, &end);
        if (!*end) {
            if (fits)
                scrt_store_int(t, data, i, all);
            return fits;
        }
    }
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain)
        return false;
    double x = strtod_l(text, &end, plain);
    freelocale(plain);
    if (*end || (!scrt_dtype_is_float(t) && !in_range(t, x)))
        return false;
    scrt_store(t, data, i, x, scrt_dtype_is_low(t));
    return true;
}

void scrt_no_number(ScrtChars c, ScrtDtype t, char ret[SCRT_NO_NUMBER_CHARS])
{
    enum { SHOWN = 60 };
    int n =
        snprintf(ret, SCRT_NO_NUMBER_CHARS, "a string is no number of %s: \"", scrt_dtype_name(t));
    const char *at = c.at, *end = c.at + c.n;
    while (at < end && at - c.at < SHOWN) {
        const char *begin = at;
        int32_t x = scrt_utf8_read(&at, end);
        if (scrt_is_control(x) || x == '"' || x == '\\')
            for (; begin < at; begin++)
                n += snprintf(ret + n, 5, "\\x%02x", (unsigned char)*begin);
        for (; begin < at; begin++)
            ret[n++] = *begin;
    }
    snprintf(ret + n, 5, "\"%s", at < end ? "..." : "");
}

size_t scrt_number_chars(ScrtDtype t, const void *data, size_t i, char ret[SCRT_NUMBER_CHARS])
{
    if (!scrt_dtype_is_float(t)) {
        long long x = scrt_load_int(t, data, i);
        bool has_sign = scrt_dtype_kind(t) == SCRT_KIND_INT;
        return (size_t)snprintf(ret, SCRT_NUMBER_CHARS, has_sign ? "%lld" : "%llu", x);
    }
    double x = scrt_load(t, data, i);
    if (!isfinite(x))
        return (size_t)snprintf(ret, SCRT_NUMBER_CHARS, "%s",
                                isnan(x) ? "NaN"
                                : x < 0  ? "-INF"
                                         : "INF");
    size_t n = (size_t)snprintf(ret, SCRT_NUMBER_CHARS, "%.8g", x);
    for (size_t k = 0; k < n; k++) /* what the locale of the program has for a point */
        if (!strchr("0123456789+-e", ret[k]))
            ret[k] = '.';
    return n;
}
