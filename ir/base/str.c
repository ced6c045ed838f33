/* SPDX-License-Identifier: Apache-2.0 */
/* Strings under construction, and how names are quoted. Names come out of hostile files: no control
 * character of theirs reaches a terminal, and JSON gets nothing that is not UTF-8. */
#include "ir/base/base_priv.h"

#include "runtime/handles.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for n more bytes and the terminator. */
static void reserve(ScStr *s, size_t n)
{
    size_t need;
    if (__builtin_add_overflow(s->n, n, &need) || need >= SIZE_MAX / 2)
        need = SIZE_MAX / 2; /* no such block: the memory hook is called */
    if (need < s->cap)
        return;
    size_t cap = s->cap ? s->cap : 32;
    while (cap <= need)
        cap *= 2;
    s->s = sc_realloc(s->s, cap);
    s->cap = cap;
}

void sc_str_addn(ScStr *s, const char *text, size_t n)
{
    reserve(s, n);
    if (n)
        memcpy(s->s + s->n, text, n);
    s->n += n;
    s->s[s->n] = '\0';
}

void sc_str_add(ScStr *s, const char *text)
{
    sc_str_addn(s, text, strlen(text));
}

void sc_str_addf(ScStr *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sc_str_addv(s, fmt, ap);
    va_end(ap);
}

void sc_str_addv(ScStr *s, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0) {
        reserve(s, (size_t)n);
        vsnprintf(s->s + s->n, (size_t)n + 1, fmt, again);
        s->n += (size_t)n;
    }
    va_end(again);
}

void sc_str_free(ScStr *s)
{
    free(s->s);
    *s = (ScStr){0};
}

const char *sc_str_get(const ScStr *s)
{
    return s->s ? s->s : "";
}

char *sc_str_keep(ScStr *s, ScArena *a)
{
    char *text = sc_strdup(a, sc_str_get(s));
    sc_str_free(s);
    return text;
}

static bool is_first(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_next(char c)
{
    return is_first(c) || (c >= '0' && c <= '9') || c == '.';
}

void sc_str_name(ScStr *s, const char *name)
{
    const char *p = name;
    if (is_first(*p))
        while (is_next(*p))
            p++;
    if (p == name || *p)
        sc_str_quote(s, name);
    else
        sc_str_addn(s, name, (size_t)(p - name));
}

void sc_str_quote(ScStr *s, const char *text)
{
    sc_str_add(s, "\"");
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\')
            sc_str_addf(s, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            sc_str_addf(s, "\\x%02x", c);
        else
            sc_str_addn(s, p, 1);
    }
    sc_str_add(s, "\"");
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* What follows a backslash at *p: the byte, or -1. \x00 is refused, because it would end the name.
 */
static int read_escape(const char **p)
{
    char c = **p;
    if (c == '"' || c == '\\') {
        ++*p;
        return (unsigned char)c;
    }
    if (c != 'x' || hex((*p)[1]) < 0 || hex((*p)[2]) < 0)
        return -1;
    int byte = hex((*p)[1]) * 16 + hex((*p)[2]);
    if (byte == 0)
        return -1;
    *p += 3;
    return byte;
}

bool sc_read_name(const char **p, ScStr *out)
{
    const char *q = *p;
    if (is_first(*q)) {
        while (is_next(*q))
            q++;
        sc_str_addn(out, *p, (size_t)(q - *p));
        *p = q;
        return true;
    }
    if (*q != '"')
        return false;
    for (q++; *q != '"';) {
        if ((unsigned char)*q < 0x20) { /* also the end of the text */
            *p = q;
            return false;
        }
        char c = *q++;
        if (c == '\\') {
            int byte = read_escape(&q);
            if (byte < 0) {
                *p = q;
                return false;
            }
            c = (char)byte;
        }
        sc_str_addn(out, &c, 1);
    }
    *p = q + 1;
    sc_str_addn(out, "", 0);
    return true;
}

void sc_str_short(ScStr *s, const char *text, size_t n)
{
    enum { MOST = 200, END = 80 };
    size_t head = END, tail = n - END;
    if (n <= MOST) {
        sc_str_addn(s, text, n);
        return;
    }
    while (head > 0 && (text[head] & 0xc0) == 0x80) /* whole characters of UTF-8 */
        head--;
    while (tail < n && (text[tail] & 0xc0) == 0x80)
        tail++;
    sc_str_addn(s, text, head);
    sc_str_addf(s, "...[%zu bytes]...", n);
    sc_str_addn(s, text + tail, n - tail);
}

void sc_str_json(ScStr *s, const char *text)
{
    sc_str_add(s, "\"");
    for (const char *at = text, *end = text + strlen(text); at < end;) {
        const char *begin = at;
        int32_t c = scrt_utf8_read(&at, end);
        if (c < 0)
            sc_str_add(s, "\\ufffd");
        else if (c == '"' || c == '\\')
            sc_str_addf(s, "\\%c", (int)c);
        else if (c == '\n')
            sc_str_add(s, "\\n");
        else if (c < 0x20 || c == 0x7f)
            sc_str_addf(s, "\\u%04x", (unsigned)c);
        else
            sc_str_addn(s, begin, (size_t)(at - begin));
    }
    sc_str_add(s, "\"");
}
