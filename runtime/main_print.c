/* SPDX-License-Identifier: Apache-2.0 */
/* What a compiled executable prints of tensors and of its kernels. */
#include "runtime/handles.h"
#include "runtime/main_priv.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

void scrtio_print_text(FILE *f, const char *text)
{
    for (; *text; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, f);
}

int scrtio_fail(const Cli *c, int status, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    scrtio_print_text(stderr, c->program);
    fputs(": ", stderr);
    scrtio_print_text(stderr, text);
    fputc('\n', stderr);
    return status;
}

/* What is no UTF-8 becomes U+FFFD. */
static void print_json_chars(FILE *f, ScrtChars text)
{
    fputc('"', f);
    for (const char *at = text.at, *end = at + text.n; at < end;) {
        const char *begin = at;
        int32_t c = scrt_utf8_read(&at, end);
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", (int)c);
        else if (c < 0x20)
            fprintf(f, "\\u%04x", c < 0 ? 0xfffdu : (unsigned)c);
        else
            fwrite(begin, 1, (size_t)(at - begin), f);
    }
    fputc('"', f);
}

void scrtio_print_json_string(FILE *f, const char *text)
{
    print_json_chars(f, (ScrtChars){text, strlen(text)});
}

void scrtio_print_dims(FILE *f, const ScrtTensor *t)
{
    fputc('[', f);
    for (uint32_t k = 0; k < t->rank; k++)
        fprintf(f, "%s%lld", k ? "," : "", (long long)t->dims[k]);
    fputc(']', f);
}

void scrtio_show_dims(char *buf, size_t room, const ScrtTensor *t)
{
    size_t n = (size_t)snprintf(buf, room, "[");
    for (uint32_t k = 0; k < t->rank && n < room; k++)
        n += (size_t)snprintf(buf + n, room - n, "%s%lld", k ? "," : "", (long long)t->dims[k]);
    if (n < room)
        snprintf(buf + n, room - n, "]");
}

static void print_title(const char *name, const ScrtTensor *t)
{
    scrtio_print_text(stdout, name);
    printf(": %s", scrt_dtype_name((ScrtDtype)t->dtype));
    scrtio_print_dims(stdout, t);
    putchar('\n');
}

/* --- One element --- */

static void show_float(char *buf, size_t room, double x, int digits)
{
    if (isnan(x))
        snprintf(buf, room, "nan"); /* printf may add a sign */
    else
        snprintf(buf, room, "%.*g", digits, x);
}

static void show_complex(char buf[ELEMENT], const ScrtTensor *t, size_t i, int digits)
{
    ScrtDtype part = t->dtype == SCRT_C64 ? SCRT_F32 : SCRT_F64;
    char re[ELEMENT / 2], im[ELEMENT / 2 - 2];
    show_float(re, sizeof re, scrt_load(part, t->data, 2 * i), digits);
    show_float(im, sizeof im, scrt_load(part, t->data, 2 * i + 1), digits);
    snprintf(buf, ELEMENT, "%s%s%sj", re, im[0] == '-' ? "" : "+", im);
}

/* In quotes, its end cut off where it is long; what a terminal might take for a command, and what
 * is no UTF-8, is '?'. */
static void show_string(char buf[ELEMENT], ScrtChars c)
{
    static const char cut[] = "...'";
    size_t n = 0;
    buf[n++] = '\'';
    for (const char *at = c.at, *end = at + c.n; at < end;) {
        const char *begin = at;
        int32_t x = scrt_utf8_read(&at, end);
        bool hidden = scrt_is_control(x);
        size_t k = hidden ? 1 : (size_t)(at - begin);
        if (n + k + sizeof cut > ELEMENT) {
            memcpy(buf + n, cut, sizeof cut);
            return;
        }
        memcpy(buf + n, hidden ? "?" : begin, k);
        n += k;
    }
    buf[n++] = '\'';
    buf[n] = '\0';
}

static void show_element(char buf[ELEMENT], const ScrtTensor *t, size_t i)
{
    ScrtDtype d = (ScrtDtype)t->dtype;
    switch (scrt_dtype_kind(d)) {
    case SCRT_KIND_BOOL:
        snprintf(buf, ELEMENT, scrt_load_int(d, t->data, i) ? "True" : "False");
        break;
    case SCRT_KIND_INT:
        snprintf(buf, ELEMENT, "%lld", (long long)scrt_load_int(d, t->data, i));
        break;
    case SCRT_KIND_UINT:
        snprintf(buf, ELEMENT, "%llu", (unsigned long long)scrt_load_int(d, t->data, i));
        break;
    case SCRT_KIND_COMPLEX:
        show_complex(buf, t, i, 6);
        break;
    case SCRT_KIND_STRING:
        show_string(buf, scrt_chars(NULL, t, (int64_t)i));
        break;
    default:
        show_float(buf, ELEMENT, scrt_load(d, t->data, i), d == SCRT_F64 ? 9 : 7);
    }
}

void scrtio_show_exact(char buf[ELEMENT], const ScrtTensor *t, size_t i)
{
    ScrtDtype d = (ScrtDtype)t->dtype;
    if (scrt_dtype_is_float(d))
        show_float(buf, ELEMENT, scrt_load(d, t->data, i), d == SCRT_F64 ? 17 : 9);
    else if (scrt_dtype_kind(d) == SCRT_KIND_COMPLEX)
        show_complex(buf, t, i, d == SCRT_C128 ? 17 : 9);
    else
        show_element(buf, t, i);
}

/* --- Arrays --- */

enum { LONG = 1000 /* elements: cut short beyond */, EDGE = 3, LINE = 78 };

typedef struct Layout {
    const ScrtTensor *t;
    bool cut;
    int width; /* of the widest element shown; measuring: it grows */
    bool measuring;
} Layout;

static void show_row(Layout *l, size_t at, uint32_t depth)
{
    int64_t n = l->t->dims[l->t->rank - 1];
    bool gap = l->cut && n > 2 * EDGE;
    int column = (int)depth + 1;
    for (int64_t i = 0; i < n; i++) {
        char text[ELEMENT];
        if (gap && i == EDGE) {
            i = n - EDGE;
            if (!l->measuring)
                column += printf(" ...");
        }
        show_element(text, l->t, at + (size_t)i);
        int length = (int)strlen(text);
        if (l->measuring) {
            l->width = length > l->width ? length : l->width;
            continue;
        }
        if (i > 0 && column + 1 + l->width > LINE) {
            printf("\n%*s", (int)depth + 1, "");
            column = (int)depth + 1;
        } else if (i > 0) {
            putchar(' ');
            column++;
        }
        column += printf("%*s", l->width, text);
    }
}

/* The part of the array that begins at element `at`, dims depth and later; step elements long. */
static void show_part(Layout *l, size_t at, size_t step, uint32_t depth)
{
    const ScrtTensor *t = l->t;
    if (!l->measuring)
        putchar('[');
    if (depth + 1 == t->rank) {
        show_row(l, at, depth);
    } else {
        int64_t n = t->dims[depth];
        size_t inner = step / (size_t)n;
        for (int64_t i = 0; i < n; i++) {
            if (i > 0 && !l->measuring)
                printf("\n%*s", (int)depth + 1, "");
            if (l->cut && n > 2 * EDGE && i == EDGE) {
                i = n - EDGE;
                if (!l->measuring)
                    printf("...\n%*s", (int)depth + 1, "");
            }
            show_part(l, at + (size_t)i * inner, inner, depth + 1);
        }
    }
    if (!l->measuring)
        putchar(']');
}

void scrtio_print_tensor(const char *name, const ScrtTensor *t)
{
    int64_t n = scrt_count(t);
    print_title(name, t);
    if (n <= 0) {
        puts("[]");
        return;
    }
    if (t->rank == 0) {
        char text[ELEMENT];
        show_element(text, t, 0);
        puts(text);
        return;
    }
    Layout l = {.t = t, .cut = n > LONG, .measuring = true};
    show_part(&l, 0, (size_t)n, 0);
    l.measuring = false;
    show_part(&l, 0, (size_t)n, 0);
    putchar('\n');
}

void scrtio_print_json_tensor(const char *name, const ScrtTensor *t)
{
    bool complex_number = scrt_dtype_kind((ScrtDtype)t->dtype) == SCRT_KIND_COMPLEX;
    fputs("{\"name\": ", stdout);
    scrtio_print_json_string(stdout, name);
    printf(", \"type\": \"%s\", \"dims\": ", scrt_dtype_name((ScrtDtype)t->dtype));
    scrtio_print_dims(stdout, t);
    fputs(", \"data\": [", stdout);
    for (int64_t i = 0, n = scrt_count(t); i < n; i++) {
        char text[ELEMENT];
        fputs(i ? ", " : "", stdout);
        if (t->dtype == SCRT_STRING) {
            print_json_chars(stdout, scrt_chars(NULL, t, i));
            continue;
        }
        scrtio_show_exact(text, t, (size_t)i);
        bool none = strstr(text, "nan") || strstr(text, "inf");
        if (scrt_dtype_kind((ScrtDtype)t->dtype) == SCRT_KIND_BOOL)
            fputs(text[0] == 'T' ? "true" : "false", stdout);
        else
            printf(complex_number && !none ? "\"%s\"" : "%s", none ? "null" : text);
    }
    fputs("]}", stdout);
}

/* --- The largest --- */

static bool precedes(double x, double y) /* x before y in descending order, NaN first */
{
    return isnan(y) ? false : isnan(x) || x > y;
}

/* Indices of the k largest of elements at .. at + n - 1, by insertion: k is small. */
static int64_t largest(const ScrtTensor *t, size_t at, int64_t n, int64_t k, int64_t *index)
{
    int64_t have = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = scrt_load((ScrtDtype)t->dtype, t->data, at + (size_t)i);
        int64_t place = have;
        while (place > 0 &&
               precedes(x, scrt_load((ScrtDtype)t->dtype, t->data, at + (size_t)index[place - 1])))
            place--;
        if (place == k)
            continue;
        have += have < k;
        for (int64_t j = have - 1; j > place; j--)
            index[j] = index[j - 1];
        index[place] = i;
    }
    return have;
}

/* Line i of the file of --labels; lines may end as on Windows. */
static void print_label(const Cli *c, int64_t i)
{
    const char *at = (const char *)c->label.data, *end = at ? at + c->label.n : at;
    for (; at < end && i > 0; i--) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        at = line ? line + 1 : end;
    }
    if (at < end)
        fputs("  ", stdout);
    for (; at < end && *at != '\n' && (*at != '\r' || (at + 1 < end && at[1] != '\n')); at++)
        fputc((unsigned char)*at < 0x20 || *at == 0x7f ? ' ' : *at, stdout);
}

void scrtio_check_labels(const Cli *c, const char *name, const ScrtTensor *t)
{
    const char *at = (const char *)c->label.data, *end = at ? at + c->label.n : at;
    int64_t lines = 0, row = t->rank ? t->dims[t->rank - 1] : 1;
    while (end > at && (end[-1] == '\n' || end[-1] == '\r')) /* empty ones at the end are none */
        end--;
    for (const char *p = at; p < end; lines++) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        p = line ? line + 1 : end;
    }
    if (t->rank <= 2 && lines != row)
        scrtio_fail(c, DONE, "note: %.300s: names %lld elements, output '%.200s' has %lld",
                    c->labels, (long long)lines, name, (long long)row);
}

/* "  7    12.5", or with all indices where one index does not tell the place: "  2,0,7    12.5". */
static void print_ranked(const Cli *c, const ScrtTensor *t, size_t at, int64_t i, bool all)
{
    char text[ELEMENT], place[24 * SCRT_MAX_RANK] = "";
    int64_t rest = i;
    size_t end = sizeof place - 1;
    place[end] = '\0';
    if (all) {
        for (uint32_t k = t->rank; k-- > 0; rest /= t->dims[k]) {
            char one[24];
            int n = snprintf(one, sizeof one, k ? ",%lld" : "%lld", (long long)(rest % t->dims[k]));
            end -= (size_t)n;
            memcpy(place + end, one, (size_t)n);
        }
    } else {
        end -= 23;
        snprintf(place + end, 24, "%lld", (long long)i);
    }
    show_element(text, t, at + (size_t)i);
    printf("  %6s  %s", place + end, text);
    if (!all)
        print_label(c, i);
    putchar('\n');
}

void scrtio_print_top(const Cli *c, const char *name, const ScrtTensor *t, int64_t k)
{
    int64_t n = scrt_count(t);
    print_title(name, t);
    if (n <= 0)
        return;
    int64_t row = t->rank && t->rank <= 2 ? t->dims[t->rank - 1] : n;
    if (k > row)
        k = row;
    int64_t *index = scrt_alloc((size_t)k * sizeof *index);
    if (!index) {
        puts("  (out of memory)");
        return;
    }
    for (int64_t at = 0; at < n; at += row) {
        int64_t have = largest(t, (size_t)at, row, k, index);
        if (n > row)
            printf("row %lld\n", (long long)(at / row));
        for (int64_t i = 0; i < have; i++)
            print_ranked(c, t, (size_t)at, index[i], t->rank > 2);
    }
    scrt_free(index);
}

/* --- Kernels --- */

typedef struct Spent {
    uint32_t kernel; /* n_kernel: the copies between kernels */
    ScrtProfile p;
} Spent;

static int by_time(const void *a, const void *b)
{
    const Spent *x = a, *y = b;
    if (x->p.ns != y->p.ns)
        return x->p.ns < y->p.ns ? 1 : -1;
    return (x->kernel > y->kernel) - (x->kernel < y->kernel);
}

/* Bytes in six columns: 999, 12.3K, 4.56M. */
static void print_bytes(double n)
{
    static const char unit[] = " KMGT";
    int i = 0;
    for (; n >= 999.5 && unit[i + 1]; i++)
        n /= 1000;
    printf(" %6.*f%c", i == 0 || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2, n, unit[i]);
}

static void print_spent(const char *name, ScrtProfile p, uint64_t all_ns)
{
    double runs = p.runs ? (double)p.runs : 1;
    printf("%-8s %10.4f %5.1f%% %8llu", name, (double)p.ns * 1e-6 / runs,
           all_ns ? 100.0 * (double)p.ns / (double)all_ns : 0, (unsigned long long)p.runs);
    print_bytes((double)p.weights / runs);
    print_bytes((double)p.read / runs);
    print_bytes((double)p.written / runs);
    double moved = (double)(p.weights + p.read + p.written);
    printf(" %6.1f  ", p.ns ? moved / (double)p.ns : 0);
}

void scrtio_print_profile(const Cli *c)
{
    uint32_t n = c->entry->n_kernel;
    Spent *spent = scrt_alloc((n + 1) * sizeof *spent);
    uint64_t all = 0;
    if (!spent) {
        puts("(out of memory)");
        return;
    }
    for (uint32_t i = 0; i <= n; i++) {
        spent[i] = (Spent){i, scrt_profile(c->session, i)};
        all += spent[i].p.ns;
    }
    qsort(spent, n + 1, sizeof *spent, by_time);
    printf("%-8s %10s %6s %8s %7s %7s %7s %6s  %s\n", "kernel", "ms/run", "share", "runs",
           "weights", "read", "written", "GB/s", "what, and from where");
    for (uint32_t i = 0; i <= n; i++) {
        if (spent[i].kernel == n) {
            if (spent[i].p.runs) {
                print_spent("copies", spent[i].p, all);
                puts("between kernels");
            }
            continue;
        }
        const ScrtKernelInfo *k = &c->entry->kernel[spent[i].kernel];
        print_spent(k->name, spent[i].p, all);
        scrtio_print_text(stdout, k->what);
        fputs("; ", stdout);
        scrtio_print_text(stdout, k->from);
        putchar('\n');
    }
    scrt_free(spent);
}
