/* SPDX-License-Identifier: Apache-2.0 */
/* The spelling of names and numbers, and the order of the text. Whatever is written here reads back
 * to the same bits. */
#include "ir/text_priv.h"

#include "runtime/handles.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const sc_text_phase[3] = {"forward", "backward", "optimizer"};
const char *const sc_text_flag_name[3] = {"scaled", "quantized", "kernels"};

locale_t sc_text_locale_begin(locale_t *ret_old)
{
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    *ret_old = c ? uselocale(c) : (locale_t)0;
    return c;
}

void sc_text_locale_end(locale_t c, locale_t old)
{
    if (!c)
        return;
    uselocale(old);
    freelocale(c);
}

/* --- Order and flags ------------------------------------------------------------------------- */

const uint32_t *sc_text_order(const ScGraph *g, ScArena *a, uint32_t *ret_n_header)
{
    uint32_t *order = sc_array(a, uint32_t, g->n_node + 1u), n = 0;
    bool *done = sc_array(a, bool, g->n_node + 1u);
    for (uint32_t i = 0; i < g->n_in + g->n_state; i++) {
        ScVal v = i < g->n_in ? g->in[i] : g->state[i - g->n_in].past;
        if (v < SC_FIRST || v >= g->n_value || g->value[v].node >= g->n_node)
            continue;
        uint32_t k = g->value[v].node;
        if (!done[k])
            order[n++] = k;
        done[k] = true;
    }
    *ret_n_header = n;
    for (uint32_t k = 0; k < g->n_node; k++)
        if (!done[k])
            order[n++] = k;
    return order;
}

bool sc_text_has_exponents(const ScGraph *g)
{
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        if (g->value[v].exp && !sc_term_is(g->value[v].exp, 0))
            return true;
    return false;
}

uint32_t sc_text_flags(const ScGraph *g, uint32_t outer, bool scaled)
{
    uint32_t flags = scaled ? SC_G_SCALED : outer & SC_G_SCALED;
    for (ScVal v = SC_FIRST; v < g->n_value && flags & SC_G_SCALED; v++)
        if (g->value[v].type->kind == SC_TYPE_TENSOR && scrt_dtype_is_low(g->value[v].type->dtype))
            flags |= SC_G_QUANTIZED;
    for (uint32_t i = 0; i < g->n_node; i++)
        if (g->node[i].op->lower.cls == SC_KERNEL)
            flags |= SC_G_KERNELS;
    return flags;
}

/* --- Names ----------------------------------------------------------------------------------- */

static bool bare_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

bool sc_text_bare(const char *s)
{
    size_t n = 0;
    while (bare_char(s[n]))
        n++;
    return n > 0 && s[n] == '\0';
}

bool sc_text_all_digits(const char *s)
{
    return *s != '\0' && s[strspn(s, "0123456789")] == '\0';
}

const char *sc_text_origin(const ScLoc *l, uint32_t i)
{
    const char *name = l->origin[i].name ? l->origin[i].name : "";
    for (uint32_t k = 0; k < i; k++)
        if (strcmp(l->origin[k].name ? l->origin[k].name : "", name) == 0)
            return NULL;
    return name;
}

static void quoted(ScStr *out, const char *s, size_t n)
{
    sc_str_add(out, "\"");
    for (; n > 0; s++, n--) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            sc_str_addf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            sc_str_addf(out, "\\x%02x", c);
        else
            sc_str_addn(out, s, 1);
    }
    sc_str_add(out, "\"");
}

void sc_text_quoted(ScStr *out, const char *s)
{
    quoted(out, s, strlen(s));
}

void sc_text_name(ScStr *out, const char *s)
{
    if (sc_text_bare(s))
        sc_str_add(out, s);
    else
        sc_text_quoted(out, s);
}

/* --- Numbers --------------------------------------------------------------------------------- */

static const char *special(double x)
{
    return isnan(x) ? "nan" : isinf(x) ? (x > 0 ? "inf" : "-inf") : NULL;
}

/* The shortest decimal of x that reads back to it, as float or as double; whole numbers that are
 * not large are written without an exponent. */
static void shortest(double x, bool as_float, char *buf, size_t size)
{
    if (fabs(x) < 1e9 && x == trunc(x)) {
        snprintf(buf, size, "%.0f", x);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buf, size, "%.*g", digits, x);
        double back = strtod(buf, NULL);
        if (as_float ? (float)back == (float)x : back == x)
            return;
    }
}

void sc_text_double(ScStr *out, double x)
{
    char d[40], f[40];
    if (special(x)) {
        sc_str_add(out, special(x));
        return;
    }
    shortest(x, false, d, sizeof d);
    if (fabs(x) <= FLT_MAX && (double)(float)x == x) {
        shortest(x, true, f, sizeof f);
        if (strlen(f) + 1 < strlen(d)) {
            sc_str_addf(out, "%sf", f);
            return;
        }
    }
    sc_str_add(out, d);
}

static bool read_word(const char **p, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*p, word, n) || bare_char((*p)[n]))
        return false;
    *p += n;
    return true;
}

bool sc_text_read_double(const char **p, double *ret)
{
    const char *s = *p;
    bool minus = *s == '-';
    s += minus;
    if (read_word(&s, "inf") || (!minus && read_word(&s, "nan"))) {
        *ret = s[-1] == 'n' ? NAN : minus ? -INFINITY : INFINITY;
        *p = s;
        return true;
    }
    if (!(*s >= '0' && *s <= '9') || (s[0] == '0' && (s[1] | 0x20) == 'x'))
        return false;
    char *end;
    double x = strtod(*p, &end);
    if (*end == 'f') {
        x = (double)(float)x;
        end++;
    }
    *p = end;
    *ret = x;
    return true;
}

bool sc_text_read_int(const char **p, int64_t *ret)
{
    char *end;
    const char *s = *p + (**p == '-');
    if (!(*s >= '0' && *s <= '9'))
        return false;
    errno = 0;
    long long x = strtoll(*p, &end, 10);
    if (errno)
        return false;
    *p = end;
    *ret = x;
    return true;
}

static void bits_element(ScStr *out, ScrtDtype t, const void *data, size_t i)
{
    uint32_t bytes = scrt_dtype_bits(t) / 8;
    sc_str_add(out, "0x");
    if (bytes <= 8) {
        sc_str_addf(out, "%llx", (unsigned long long)scrt_load_bits(t, data, i));
        return;
    }
    for (uint32_t k = bytes; k-- > 0;)
        sc_str_addf(out, "%02x", ((const unsigned char *)data)[i * bytes + k]);
}

/* Formats of fewer bits than f32 write the f32 that they are, not the shortest decimal that would
 * round to them: 448 and not 4.5e+02. */
static void float_element(ScStr *out, ScrtDtype t, const void *data, size_t i)
{
    double x = scrt_load(t, data, i);
    uint64_t got = 0;
    char buf[40];
    if (special(x))
        snprintf(buf, sizeof buf, "%s", special(x));
    else
        shortest(x, t != SCRT_F64, buf, sizeof buf);
    scrt_store(t, &got, 0, strtod(buf, NULL), false);
    if (scrt_load_bits(t, &got, 0) == scrt_load_bits(t, data, i))
        sc_str_add(out, buf);
    else
        bits_element(out, t, data, i);
}

void sc_text_element(ScStr *out, ScrtDtype t, const void *data, size_t i)
{
    switch (scrt_dtype_kind(t)) {
    case SCRT_KIND_FLOAT:
        float_element(out, t, data, i);
        break;
    case SCRT_KIND_INT:
        sc_str_addf(out, "%lld", (long long)scrt_load_int(t, data, i));
        break;
    case SCRT_KIND_UINT:
        sc_str_addf(out, "%llu", (unsigned long long)scrt_load_bits(t, data, i));
        break;
    case SCRT_KIND_BOOL:
        if (scrt_load_bits(t, data, i) <= 1) {
            sc_str_add(out, scrt_load_bits(t, data, i) ? "true" : "false");
            break;
        }
        bits_element(out, t, data, i);
        break;
    case SCRT_KIND_COMPLEX:
        bits_element(out, t, data, i);
        break;
    case SCRT_KIND_STRING: {
        const ScrtTensor strings = {.dtype = t, .data = (void *)(uintptr_t)data};
        ScrtChars c = scrt_chars(NULL, &strings, (int64_t)i);
        quoted(out, c.at, c.n);
        break;
    }
    }
}

/* 0x and hexadecimal digits, at most as many as the type has bits for. */
static bool read_bits(const char **p, ScrtDtype t, void *data, size_t i)
{
    uint32_t bits = scrt_dtype_bits(t), n = 0, most = (bits + 3) / 4;
    const char *s = *p + 2;
    while (isxdigit((unsigned char)s[n]))
        n++;
    if (n == 0 || n > most)
        return false;
    for (uint32_t half = 0; half * 16 < most; half++) { /* 16 digits at a time, the last first */
        uint64_t x = 0;
        uint32_t end = n > half * 16 ? n - half * 16 : 0, begin = end > 16 ? end - 16 : 0;
        for (uint32_t k = begin; k < end; k++)
            x = x << 4 |
                (uint64_t)(isdigit((unsigned char)s[k]) ? s[k] - '0' : (s[k] | 0x20) - 'a' + 10);
        if (bits == 128)
            memcpy((unsigned char *)data + i * 16 + half * 8, &x, 8);
        else
            scrt_store_bits(t, data, i, x);
    }
    *p = s + n;
    return true;
}

bool sc_text_read_element(const char **p, ScrtDtype t, void *data, size_t i)
{
    double x;
    int64_t k;
    if ((*p)[0] == '0' && (*p)[1] == 'x')
        return read_bits(p, t, data, i);
    if (scrt_dtype_is_float(t)) {
        if (!sc_text_read_double(p, &x))
            return false;
        scrt_store(t, data, i, x, false);
        return true;
    }
    if (scrt_dtype_kind(t) == SCRT_KIND_BOOL) {
        bool yes = read_word(p, "true");
        if (!yes && !read_word(p, "false"))
            return false;
        scrt_store_bits(t, data, i, yes);
        return true;
    }
    if (t == SCRT_U64 && isdigit((unsigned char)**p)) {
        char *end;
        errno = 0;
        uint64_t u = strtoull(*p, &end, 10);
        if (errno)
            return false;
        scrt_store_bits(t, data, i, u);
        *p = end;
        return true;
    }
    const char *s = *p;
    if (!sc_text_read_int(&s, &k))
        return false;
    scrt_store_bits(t, data, i, (uint64_t)k);
    if (scrt_load_int(t, data, i) != k)
        return false;
    *p = s;
    return true;
}
