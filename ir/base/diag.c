/* SPDX-License-Identifier: Apache-2.0 */
/* Diagnostics: recorded in order, printed by the tools. */
#include "ir/base/base_priv.h"

#include <stdarg.h>
#include <string.h>

enum { MAX_EACH = 100, SHOWN_ORIGINS = 3 };

static const struct {
    uint32_t number;
    const char *title, *explanation;
} entries[] = {
#define SC_DIAG(id, number, title, explanation) {(number), (title), (explanation)},
#include "diag.def"
#undef SC_DIAG
};

const char *sc_diag_title(uint32_t number)
{
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (entries[i].number == number)
            return entries[i].title;
    return NULL;
}

const char *sc_diag_explain(uint32_t number)
{
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (entries[i].number == number)
            return entries[i].explanation;
    return NULL;
}

/* --- Recording ------------------------------------------------------------------------------- */

static bool is_recorded(const ScCtx *cx, bool warning, const ScLoc *loc, ScDiagId id,
                        const char *detail)
{
    for (uint32_t i = 0; i < cx->n_diag; i++) {
        const ScDiag *d = cx->diag[i];
        if (d->id == id && d->loc == loc && d->warning == warning && !strcmp(d->detail, detail))
            return true;
    }
    return false;
}

ScStr sc_without_middles(const char *text)
{
    ScStr s = {0};
    while (*text) {
        size_t space = strspn(text, " \n"), word = strcspn(text + space, " \n");
        sc_str_addn(&s, text, space);
        sc_str_short(&s, text + space, word);
        text += space + word;
    }
    return s;
}

static void record(ScCtx *cx, bool warning, const ScLoc *loc, ScDiagId id, const char *fmt,
                   va_list ap)
{
    ScStr whole = {0};
    sc_str_addv(&whole, fmt, ap);
    ScStr text = sc_without_middles(sc_str_get(&whole));
    const char *detail = sc_str_get(&text);
    sc_str_free(&whole);
    cx->last = NULL;
    if (!is_recorded(cx, warning, loc, id, detail)) {
        uint32_t *n = warning ? &cx->n_warning : &cx->n_error;
        if (++*n <= MAX_EACH) {
            ScDiag *d = sc_new(cx->arena, ScDiag);
            d->id = id;
            d->warning = warning;
            d->loc = loc;
            d->file = loc && loc->file ? loc->file : cx->file;
            d->detail = sc_strdup(cx->arena, detail);
            sc_buf_push(cx->diag, cx->n_diag, cx->diag_cap, d);
            cx->last = d;
            cx->row_cap = cx->note_cap = 0;
        }
    }
    sc_str_free(&text);
}

bool sc_fail(ScCtx *cx, const ScLoc *loc, ScDiagId id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    record(cx, false, loc, id, fmt, ap);
    va_end(ap);
    return false;
}

bool sc_fail_file(ScCtx *cx, const char *file, ScDiagId id, const char *fmt, ...)
{
    const char *model = cx->file;
    va_list ap;
    va_start(ap, fmt);
    sc_set_file(cx, file);
    record(cx, false, NULL, id, fmt, ap);
    cx->file = model;
    va_end(ap);
    return false;
}

void sc_warn(ScCtx *cx, const ScLoc *loc, ScDiagId id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    record(cx, true, loc, id, fmt, ap);
    va_end(ap);
}

/* Rows and notes live in the arena: an array of doubled size is made when one is full. */
static void *grown(ScArena *a, const void *p, uint32_t n, uint32_t *cap, size_t size)
{
    *cap = *cap ? 2 * *cap : 4;
    void *q = sc_alloc_array(a, *cap, size);
    if (n)
        memcpy(q, p, n * size);
    return q;
}

void sc_detail(ScCtx *cx, const char *label, const char *name, const char *text)
{
    ScDiag *d = cx->last;
    if (!d)
        return;
    if (d->n_row == cx->row_cap)
        d->row = grown(cx->arena, d->row, d->n_row, &cx->row_cap, sizeof *d->row);
    const char **row = d->row[d->n_row++], *const cell[] = {label, name, text};
    for (int i = 0; i < 3; i++) {
        ScStr s = {0};
        sc_str_short(&s, cell[i], strlen(cell[i]));
        row[i] = sc_intern(cx, sc_str_get(&s));
        sc_str_free(&s);
    }
}

void sc_note(ScCtx *cx, const char *fmt, ...)
{
    ScDiag *d = cx->last;
    if (!d)
        return;
    va_list ap;
    va_start(ap, fmt);
    ScStr text = {0};
    sc_str_addv(&text, fmt, ap);
    va_end(ap);
    if (d->n_note == cx->note_cap)
        d->note = grown(cx->arena, d->note, d->n_note, &cx->note_cap, sizeof *d->note);
    d->note[d->n_note++] = sc_str_keep(&text, cx->arena);
}

uint32_t sc_n_errors(const ScCtx *cx)
{
    return cx->n_error;
}

uint32_t sc_n_diags(const ScCtx *cx)
{
    return cx->n_diag;
}

const ScDiag *sc_diag(const ScCtx *cx, uint32_t i)
{
    return i < cx->n_diag ? cx->diag[i] : NULL;
}

void sc_clear_diags(ScCtx *cx)
{
    cx->n_diag = cx->n_error = cx->n_warning = 0;
    cx->last = NULL;
}

void sc_forget_diags(ScCtx *cx, uint32_t n)
{
    for (; cx->n_diag > n; cx->n_diag--)
        --*(cx->diag[cx->n_diag - 1]->warning ? &cx->n_warning : &cx->n_error);
    cx->last = NULL;
}

void sc_set_file(ScCtx *cx, const char *file)
{
    cx->file = file ? sc_intern(cx, file) : NULL;
}

/* --- Printing -------------------------------------------------------------------------------- */

/* Text of a model as part of a line: control characters become \xNN. */
static void add_clean(ScStr *out, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c == 0x7f)
            sc_str_addf(out, "\\x%02x", c);
        else
            sc_str_addn(out, s, 1);
    }
}

static void add_padded(ScStr *out, const char *s, size_t width)
{
    size_t from = out->n;
    add_clean(out, s);
    while (out->n - from < width)
        sc_str_add(out, " ");
}

static size_t clean_length(const char *s)
{
    ScStr t = {0};
    add_clean(&t, s);
    size_t n = t.n;
    sc_str_free(&t);
    return n;
}

static void add_origin(ScStr *out, const ScOrigin *o)
{
    ScStr op = {0}, name = {0};
    sc_str_short(&op, o->op ? o->op : "", o->op ? strlen(o->op) : 0);
    sc_str_short(&name, o->name ? o->name : "", o->name ? strlen(o->name) : 0);
    add_clean(out, sc_str_get(&op));
    if (name.n) {
        sc_str_add(out, o->op ? " " : "");
        sc_str_quote(out, sc_str_get(&name));
    }
    sc_str_free(&op);
    sc_str_free(&name);
    if (o->index >= 0)
        sc_str_addf(out, " (node %d)", o->index);
}

static void add_headline(const ScDiag *d, ScStr *out)
{
    if (d->file) {
        ScStr file = sc_without_middles(d->file);
        add_clean(out, sc_str_get(&file));
        sc_str_free(&file);
        if (d->loc && d->loc->line)
            sc_str_addf(out, ":%u", d->loc->line);
        sc_str_add(out, ": ");
    }
    sc_str_addf(out, "%s[E%04u]", d->warning ? "warning" : "error", (unsigned)d->id);
    uint32_t n = d->loc ? d->loc->n : 0;
    for (uint32_t i = 0; i < n && i < SHOWN_ORIGINS; i++) {
        sc_str_add(out, i ? ", " : " in ");
        add_origin(out, &d->loc->origin[i]);
    }
    if (n > SHOWN_ORIGINS)
        sc_str_addf(out, " and %u more", n - SHOWN_ORIGINS);
    sc_str_addf(out, ": %s", sc_diag_title(d->id));
    if (*d->detail) {
        sc_str_add(out, ": ");
        add_clean(out, d->detail);
    }
    sc_str_add(out, "\n");
}

/* Notes may hold lines, such as another program's words; each is indented. */
static void add_note(ScStr *out, const char *note)
{
    sc_str_add(out, "  note: ");
    for (const char *end; (end = strchr(note, '\n')); note = end + 1) {
        ScStr line = {0};
        sc_str_addn(&line, note, (size_t)(end - note));
        add_clean(out, sc_str_get(&line));
        sc_str_add(out, "\n        ");
        sc_str_free(&line);
    }
    add_clean(out, note);
    sc_str_add(out, "\n");
}

void sc_diag_text(const ScDiag *d, ScStr *out)
{
    size_t width[2] = {0, 0};
    for (uint32_t i = 0; i < d->n_row; i++)
        for (int k = 0; k < 2; k++) {
            size_t n = clean_length(d->row[i][k]);
            if (n > width[k])
                width[k] = n;
        }
    add_headline(d, out);
    for (uint32_t i = 0; i < d->n_row; i++) {
        sc_str_add(out, "    ");
        add_padded(out, d->row[i][0], width[0] + 2);
        add_padded(out, d->row[i][1], width[1] + 3);
        add_clean(out, d->row[i][2]);
        sc_str_add(out, "\n");
    }
    for (uint32_t i = 0; i < d->n_note; i++) {
        add_note(out, d->note[i]);
    }
}

/* "key": text, or null. */
static void json_field(ScStr *out, const char *key, const char *text)
{
    sc_str_addf(out, "\"%s\": ", key);
    if (text)
        sc_str_json(out, text);
    else
        sc_str_add(out, "null");
}

static void json_nodes(const ScLoc *l, ScStr *out)
{
    sc_str_add(out, ", \"nodes\": [");
    for (uint32_t i = 0; l && i < l->n; i++) {
        const ScOrigin *o = &l->origin[i];
        sc_str_add(out, i ? ", {" : "{");
        json_field(out, "name", o->name);
        sc_str_add(out, ", ");
        json_field(out, "op", o->op);
        if (o->index >= 0)
            sc_str_addf(out, ", \"index\": %d}", o->index);
        else
            sc_str_add(out, ", \"index\": null}");
    }
    sc_str_add(out, "]");
}

void sc_diag_json(const ScDiag *d, ScStr *out)
{
    sc_str_addf(out, "{\"severity\": \"%s\", \"id\": \"E%04u\", ", d->warning ? "warning" : "error",
                (unsigned)d->id);
    json_field(out, "file", d->file);
    if (d->loc && d->loc->line)
        sc_str_addf(out, ", \"line\": %u, ", d->loc->line);
    else
        sc_str_add(out, ", \"line\": null, ");
    json_field(out, "title", sc_diag_title(d->id));
    sc_str_add(out, ", ");
    json_field(out, "detail", d->detail);
    json_nodes(d->loc, out);
    sc_str_add(out, ", \"rows\": [");
    for (uint32_t i = 0; i < d->n_row; i++) {
        sc_str_add(out, i ? ", {" : "{");
        json_field(out, "label", d->row[i][0]);
        sc_str_add(out, ", ");
        json_field(out, "name", d->row[i][1]);
        sc_str_add(out, ", ");
        json_field(out, "text", d->row[i][2]);
        sc_str_add(out, "}");
    }
    sc_str_add(out, "], \"notes\": [");
    for (uint32_t i = 0; i < d->n_note; i++) {
        sc_str_add(out, i ? ", " : "");
        sc_str_json(out, d->note[i]);
    }
    sc_str_add(out, "]}");
}
