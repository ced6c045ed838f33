/* SPDX-License-Identifier: Apache-2.0 */
/* --data: runs the sets of an ONNX test_data_set and compares the outputs with the expected ones,
 * so that whoever holds an executable can prove it without the compiler. */
#include "runtime/handles.h"
#include "runtime/main_priv.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PATH_ROOM = 4096 };

/* --- Comparing -------------------------------------------------------------------------------- */

typedef struct Difference {
    int64_t bad, count, worst_at; /* elements beyond the tolerance; the worst one's index */
    double worst;                 /* |got - want| - atol - rtol |want| is largest there */
    double power, noise;          /* sums of want^2 and (got - want)^2, of floats */
} Difference;

/* Numbers of an element: two for a complex one. */
static uint32_t parts(uint32_t dtype)
{
    return scrt_dtype_kind((ScrtDtype)dtype) == SCRT_KIND_COMPLEX ? 2 : 1;
}

static ScrtDtype part_type(uint32_t dtype)
{
    return dtype == SCRT_C64 ? SCRT_F32 : dtype == SCRT_C128 ? SCRT_F64 : (ScrtDtype)dtype;
}

static bool is_integer(uint32_t dtype)
{
    ScrtKind k = scrt_dtype_kind((ScrtDtype)dtype);
    return k == SCRT_KIND_INT || k == SCRT_KIND_UINT || k == SCRT_KIND_BOOL;
}

/* |a - b| of integers, which a double holds exactly where it is small, whatever they are. */
static double distance(ScrtDtype t, int64_t a, int64_t b)
{
    bool above = scrt_dtype_kind(t) == SCRT_KIND_INT ? a > b : (uint64_t)a > (uint64_t)b;
    return (double)(above ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a);
}

static Difference compare_strings(const ScrtTensor *got, const ScrtTensor *want)
{
    Difference d = {.count = scrt_count(want)};
    for (int64_t i = d.count; i-- > 0;)
        if (!scrt_strings_equal(got, want, i)) {
            d.bad++;
            d.worst_at = i;
        }
    return d;
}

/* What is relative is rounding, which integers have none of: they are held to atol alone. */
static Difference compare(const Cli *c, const ScrtTensor *got, const ScrtTensor *want)
{
    Difference d = {.count = scrt_count(want), .worst = -INFINITY};
    uint32_t per = parts(want->dtype);
    ScrtDtype t = part_type(want->dtype);
    bool integer = is_integer(want->dtype);
    for (int64_t i = 0; i < d.count * per; i++) {
        double x = scrt_load(t, got->data, (size_t)i), y = scrt_load(t, want->data, (size_t)i);
        double over = integer ? distance(t, scrt_load_int(t, got->data, (size_t)i),
                                         scrt_load_int(t, want->data, (size_t)i)) -
                                    c->atol
                      : x == y || (isnan(x) && isnan(y))
                          ? -INFINITY
                          : fabs(x - y) - c->atol - c->rtol * fabs(y);
        if (!integer && x != y) /* equal infinities differ by nothing */
            d.noise += (x - y) * (x - y);
        d.power += y * y;
        bool beyond = !(over <= 0);
        d.bad += beyond;
        if (beyond && !(over <= d.worst)) {
            d.worst = over;
            d.worst_at = i / per;
        }
    }
    return d;
}

/* --- What the model rounds -------------------------------------------------------------------- */

/* A model that rounds between its nodes gives other last digits wherever sums are taken in another
 * order: noise, which in f16 is 60 dB below the output, in bf16 and in codes of 8 bits 40 dB. It is
 * granted four times that, no more, and an element may stand out of it as noise does: four times
 * again, beside its row. What is beyond is a fault, and one wrong element is beyond. */
typedef struct Rounding {
    double mean; /* RMS of the differences, of the expected output's */
    double each; /* a difference, of the element and the RMS of its row */
} Rounding;

static Rounding rounding_of(ScrtDtype t)
{
    return t == SCRT_F16 ? (Rounding){0x1p-9, 0x1p-7} : (Rounding){0x1p-6, 0x1p-4};
}

/* Fewer elements than this say little of a row: then all are one. */
enum { ROW = 16 };

static bool is_row_near(ScrtDtype t, const ScrtTensor *got, const ScrtTensor *want, size_t at,
                        size_t n, double each)
{
    double power = 0;
    for (size_t i = at; i < at + n; i++) {
        double y = scrt_load(t, want->data, i);
        power += isfinite(y) ? y * y : 0;
    }
    double rms = sqrt(power / (double)n);
    for (size_t i = at; i < at + n; i++) {
        double x = scrt_load(t, got->data, i), y = scrt_load(t, want->data, i);
        if (x != y && !(isnan(x) && isnan(y)) && !(fabs(x - y) <= each * (fabs(y) + rms)))
            return false;
    }
    return true;
}

/* Whether the model's own rounding to a type accounts for all differences d. */
static bool is_rounding(ScrtDtype rounds, const Difference *d, const ScrtTensor *got,
                        const ScrtTensor *want)
{
    ScrtDtype t = part_type(want->dtype);
    if (rounds == SCRT_DTYPE_NONE || scrt_dtype_kind(t) != SCRT_KIND_FLOAT)
        return false;
    Rounding r = rounding_of(rounds);
    size_t n = (size_t)d->count * parts(want->dtype);
    size_t row = want->rank ? (size_t)want->dims[want->rank - 1] * parts(want->dtype) : n;
    if (row < ROW)
        row = n;
    bool near = d->noise <= r.mean * r.mean * d->power;
    for (size_t i = 0; near && i < n; i += row)
        near = is_row_near(t, got, want, i, row, r.each);
    return near;
}

static double sqnr(const Difference *d)
{
    return 10 * log10(d->power / d->noise);
}

typedef struct Tally {
    uint32_t differ, compared, rounded;
    double sqnr;  /* the least of those that are rounded */
    ScrtDtype to; /* what they are rounded to; of several one that is coarser than f16 */
} Tally;

/* One expected output; a line for one that differs. */
static void judge(const Cli *c, const char *set, uint32_t k, const ScrtTensor *want, Tally *t)
{
    const ScrtTensor *got = &c->out[k];
    t->compared++;
    if (!scrtio_same_shape(got, want)) {
        char is[256], should[256];
        scrtio_show_dims(is, sizeof is, got);
        scrtio_show_dims(should, sizeof should, want);
        t->differ++;
        scrtio_print_text(stdout, set);
        fputs(": output ", stdout);
        scrtio_print_text(stdout, c->entry->out[k].name);
        printf(" is %s%s, expected %s%s\n", scrt_dtype_name((ScrtDtype)got->dtype), is,
               scrt_dtype_name((ScrtDtype)want->dtype), should);
        return;
    }
    Difference d = want->dtype == SCRT_STRING ? compare_strings(got, want) : compare(c, got, want);
    if (!d.bad)
        return;
    ScrtDtype rounds =
        c->tolerance_given ? SCRT_DTYPE_NONE : scrtio_rounding(c->model, c->entry->out[k].name);
    if (is_rounding(rounds, &d, got, want)) {
        t->to = t->rounded && t->to != SCRT_F16 ? t->to : rounds;
        t->sqnr = t->rounded++ ? fmin(t->sqnr, sqnr(&d)) : sqnr(&d);
        return;
    }
    t->differ++;
    scrtio_print_text(stdout, set);
    fputs(": output ", stdout);
    scrtio_print_text(stdout, c->entry->out[k].name);
    char is[ELEMENT], should[ELEMENT];
    scrtio_show_exact(is, got, (size_t)d.worst_at);
    scrtio_show_exact(should, want, (size_t)d.worst_at);
    printf(": %lld of %lld elements differ; worst at %lld: %s, expected %s", (long long)d.bad,
           (long long)d.count * parts(want->dtype), (long long)d.worst_at, is, should);
    if (!is_integer(want->dtype) && isfinite(sqnr(&d)))
        printf("; SQNR %.1f dB", sqnr(&d));
    putchar('\n');
}

/* --- Sets ------------------------------------------------------------------------------------- */

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static bool is_set(const Cli *c, const char *path)
{
    char file[PATH_ROOM];
    snprintf(file, sizeof file, "%s/%s_0.pb", path, c->entry->n_in ? "input" : "output");
    return exists(file);
}

/* The port of a tensor file: by the name inside where a port has it, else by the file's place. */
static uint32_t port_of(const ScrtPort *port, uint32_t n, const char *name, uint32_t place)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(port[i].name, name) == 0)
            return i;
    return place;
}

static int load_set(Cli *c, const char *set)
{
    ScrtTensorFile *f;
    ScrtIoError err;
    char path[PATH_ROOM];
    for (uint32_t i = 0; i < c->entry->n_in; i++) {
        snprintf(path, sizeof path, "%s/input_%u.pb", set, i);
        if (scrt_tensors_open(path, &f, &err) != SCRT_OK)
            return scrtio_fail(c, FAULT, "%s", err.text);
        uint32_t k = port_of(c->entry->in, c->entry->n_in, scrt_tensors_item(f, 0)->name, i);
        int status = scrtio_take_tensor(c, k, f, 0, set);
        scrt_tensors_close(f);
        if (status != DONE)
            return status;
    }
    return DONE;
}

static int judge_set(Cli *c, const char *set, Tally *t)
{
    ScrtTensorFile *f;
    ScrtIoError err;
    char path[PATH_ROOM];
    for (uint32_t i = 0; i < c->entry->n_out; i++) {
        ScrtTensor want;
        snprintf(path, sizeof path, "%s/output_%u.pb", set, i);
        if (!exists(path))
            continue;
        if (scrt_tensors_open(path, &f, &err) != SCRT_OK)
            return scrtio_fail(c, FAULT, "%s", err.text);
        uint32_t k = port_of(c->entry->out, c->entry->n_out, scrt_tensors_item(f, 0)->name, i);
        ScrtStatus s = scrt_tensors_read(f, 0, c->entry->out[k].dtype, &want, &err);
        scrt_tensors_close(f);
        if (s != SCRT_OK)
            return scrtio_fail(c, FAULT, "%s", err.text);
        judge(c, set, k, &want, t);
        scrt_free(want.data);
    }
    return DONE;
}

/* Sets are apart: each begins with the states that the model begins with. */
static int run_set(Cli *c, const char *set, Tally *t)
{
    if (c->session)
        scrt_state_reset(c->session);
    int status = load_set(c, set);
    if (status == DONE)
        status = scrtio_run_model(c);
    if (status == DONE)
        status = judge_set(c, set, t);
    scrtio_free_tensors(c);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The sets in a folder, in the order of their names: *ret[*ret_n], each and all from scrt_alloc. */
static int find_sets(const Cli *c, char ***ret, uint32_t *ret_n)
{
    DIR *d = opendir(c->data);
    uint32_t n = 0, cap = 0;
    char **list = NULL;
    if (!d)
        return scrtio_fail(c, FAULT, "%.300s: %s; --data takes a folder, an ONNX test_data_set",
                           c->data, strerror(errno));
    for (struct dirent *e; (e = readdir(d));) {
        char path[PATH_ROOM];
        if (e->d_name[0] == '.' ||
            snprintf(path, sizeof path, "%s/%s", c->data, e->d_name) >= PATH_ROOM ||
            !is_set(c, path))
            continue;
        if (n == cap) {
            cap = cap ? 2 * cap : 16;
            char **more = scrt_alloc(cap * sizeof *more);
            if (more && n)
                memcpy(more, list, n * sizeof *more);
            scrt_free(list);
            list = more;
        }
        char *copy = list ? scrt_alloc(strlen(path) + 1) : NULL;
        if (!copy)
            break;
        list[n++] = memcpy(copy, path, strlen(path) + 1);
    }
    closedir(d);
    if (n)
        qsort(list, n, sizeof *list, by_name);
    *ret = list;
    *ret_n = n;
    return DONE;
}

int scrtio_run_data(Cli *c)
{
    Tally t = {0};
    int status = DONE;
    if (is_set(c, c->data)) {
        status = run_set(c, c->data, &t);
    } else {
        char **set = NULL;
        uint32_t n = 0;
        status = find_sets(c, &set, &n);
        for (uint32_t i = 0; i < n; i++) {
            if (status == DONE)
                status = run_set(c, set[i], &t);
            scrt_free(set[i]);
        }
        scrt_free(set);
        if (status == DONE && n == 0)
            return scrtio_fail(c, FAULT, "%.300s: holds no set (%s_0.pb)", c->data,
                               c->entry->n_in ? "input" : "output");
    }
    if (status == DONE && t.compared == 0)
        return scrtio_fail(c, FAULT, "%.300s: holds no expected outputs (output_0.pb)", c->data);
    if (status != DONE)
        return status;
    printf("%u of %u outputs agree within rtol %g and atol %g", t.compared - t.differ, t.compared,
           c->rtol, c->atol);
    if (t.rounded)
        printf(", or, %u of them, the model's own rounding to %s: SQNR %.1f dB at least", t.rounded,
               scrt_dtype_name(t.to), t.sqnr);
    putchar('\n');
    return t.differ ? DIFFER : DONE;
}
