/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/lex_priv.h"

#include "ir/text_priv.h"

#include <ctype.h>
#include <string.h>

void sc_lex_begin(ScLex *l, ScCtx *cx, const char *file, const char *text)
{
    *l = (ScLex){.cx = cx, .file = file, .p = text, .counted = text, .line = 1};
}

const ScLoc *sc_lex_loc(ScLex *l)
{
    for (; l->counted < l->p; l->counted++)
        l->line += *l->counted == '\n';
    return sc_loc(l->cx, l->file, l->line, SC_FORWARD, 0, NULL);
}

/* The next token for a message: cut at 24 bytes, unprintable bytes shown as '?'. */
static void describe(const char *p, char *buf, size_t size)
{
    if (*p == '\0') {
        snprintf(buf, size, "the end of the text");
        return;
    }
    if (*p == '\n' || *p == ';') {
        snprintf(buf, size, "the end of the line");
        return;
    }
    size_t n = 1;
    while (n < 24 && p[n] && !strchr(" \t\r\n,;:()[]{}", p[n]))
        n++;
    snprintf(buf, size, "'%.*s'", (int)n, p);
    for (size_t i = 1; i <= n; i++)
        if ((unsigned char)buf[i] < 0x20 || (unsigned char)buf[i] >= 0x7f)
            buf[i] = '?';
}

bool sc_lex_expected(ScLex *l, const char *what)
{
    if (l->failed)
        return false;
    char found[40];
    describe(l->p, found, sizeof found);
    l->failed = true;
    return sc_fail(l->cx, sc_lex_loc(l), SC_E_TEXT, "expected %s, found %s", what, found);
}

void sc_lex_blanks(ScLex *l)
{
    while (*l->p == ' ' || *l->p == '\t' || *l->p == '\r')
        l->p++;
    if (*l->p == ';')
        l->p += strcspn(l->p, "\n");
}

void sc_lex_lines(ScLex *l)
{
    for (sc_lex_blanks(l); *l->p == '\n'; sc_lex_blanks(l))
        l->p++;
}

bool sc_lex_accept(ScLex *l, const char *token)
{
    sc_lex_blanks(l);
    size_t n = strlen(token);
    if (l->failed || strncmp(l->p, token, n) != 0)
        return false;
    char after[2] = {l->p[n], '\0'};
    if (isalpha((unsigned char)token[0]) && sc_text_bare(after))
        return false;
    l->p += n;
    return true;
}

bool sc_lex_need(ScLex *l, const char *token)
{
    if (sc_lex_accept(l, token))
        return true;
    char what[40];
    snprintf(what, sizeof what, "'%s'", token);
    return sc_lex_expected(l, what);
}

bool sc_lex_next_is(ScLex *l, char c)
{
    sc_lex_blanks(l);
    return !l->failed && *l->p == c;
}

bool sc_lex_end_of_line(ScLex *l)
{
    sc_lex_blanks(l);
    if (!l->failed && (*l->p == '\n' || *l->p == '\0' || *l->p == '}'))
        return true;
    return sc_lex_expected(l, "the end of the line");
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The string after its opening quote, added to ret. */
static bool read_quoted(ScLex *l, bool may_be_nul, ScStr *ret)
{
    const char *p = l->p + 1;
    for (; *p && *p != '"' && *p != '\n'; p++) {
        char c = *p;
        if (c == '\\' && (p[1] == '"' || p[1] == '\\')) {
            c = *++p;
        } else if (c == '\\') {
            int high = p[1] == 'x' ? hex_digit(p[2]) : -1;
            int low = high >= 0 ? hex_digit(p[3]) : -1;
            if (low < 0 || (high + low == 0 && !may_be_nul))
                break;
            c = (char)(high * 16 + low);
            p += 3;
        }
        sc_str_addn(ret, &c, 1);
    }
    l->p = p + (*p == '"');
    return *p == '"' ||
           sc_lex_expected(l, *p == '\\' ? "\\\", \\\\ or \\x and two hexadecimal digits" : "'\"'");
}

/* A NUL cannot be written: names are C strings. */
static const char *unquote(ScLex *l)
{
    ScStr s = {0};
    const char *name = read_quoted(l, false, &s) ? sc_intern(l->cx, sc_str_get(&s)) : NULL;
    sc_str_free(&s);
    return name;
}

bool sc_lex_string(ScLex *l, ScStr *ret)
{
    return sc_lex_next_is(l, '"') ? read_quoted(l, true, ret)
                                  : sc_lex_expected(l, "a quoted string");
}

const char *sc_lex_quoted(ScLex *l, const char *what)
{
    if (sc_lex_next_is(l, '"'))
        return unquote(l);
    sc_lex_expected(l, what);
    return NULL;
}

const char *sc_lex_name(ScLex *l, const char *what, bool *ret_quoted)
{
    if (ret_quoted)
        *ret_quoted = false;
    if (sc_lex_next_is(l, '"')) {
        if (ret_quoted)
            *ret_quoted = true;
        return unquote(l);
    }
    size_t n = 0;
    for (char c[2] = {0}; (c[0] = l->p[n]) && sc_text_bare(c);)
        n++;
    if (n == 0 || l->failed) {
        sc_lex_expected(l, what);
        return NULL;
    }
    const char *name = sc_intern_n(l->cx, l->p, n);
    l->p += n;
    return name;
}
