/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs of a compiled executable: from the files of -i, or made up for a benchmark. */
#include "runtime/main_priv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* --- Numbers and signatures --- */

bool scrtio_parse_number(const char *text, int64_t least, int64_t *ret)
{
    char *end;
    if (*text < '0' || *text > '9') /* strtoll would take spaces and signs */
        return false;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (errno || *end || x < least)
        return false;
    *ret = x;
    return true;
}

/* Bytes up to the comma behind a dim: those in max(a,b) and in a quoted name do not count. */
static size_t dim_length(const char *at)
{
    size_t n = 0;
    bool quoted = false;
    for (int depth = 0; at[n] && (at[n] != ',' || depth > 0 || quoted); n++) {
        if (quoted && at[n] == '\\' && at[n + 1])
            n++;
        else if (at[n] == '"')
            quoted = !quoted;
        else if (!quoted)
            depth += (at[n] == '(') - (at[n] == ')');
    }
    return n;
}

bool scrtio_port_dim(const ScrtPort *p, uint32_t i, int64_t *ret, const char **ret_text,
                     size_t *ret_n)
{
    const char *at = p->dims;
    size_t n = dim_length(at);
    for (; i > 0 && at[n]; i--) {
        at += n + 1;
        n = dim_length(at);
    }
    *ret_text = at;
    *ret_n = n;
    int64_t x = 0;
    for (size_t k = 0; k < n; k++)
        if (at[k] < '0' || at[k] > '9' || __builtin_mul_overflow(x, 10, &x) ||
            __builtin_add_overflow(x, at[k] - '0', &x))
            return false;
    *ret = x;
    return n > 0;
}

/* Checks a tensor's head against the signature, so far as numbers stand in it: the rest is the
 * model's. */
static int check_head(const Cli *c, uint32_t i, const ScrtTensor *t, const char *path)
{
    const ScrtPort *p = &c->entry->in[i];
    if (t->dtype == SCRT_DTYPE_NONE) /* reading it says why */
        return DONE;
    if (!scrt_dtype_adopts(t->dtype, p->dtype))
        return scrtio_fail(c, FAULT, "%.300s: input '%.100s' is %s, the model takes %s", path,
                           p->name, scrt_dtype_name((ScrtDtype)t->dtype),
                           scrt_dtype_name((ScrtDtype)p->dtype));
    bool fits = t->rank == p->rank;
    for (uint32_t k = 0; fits && k < t->rank; k++) {
        const char *text;
        size_t n;
        int64_t want;
        fits = !scrtio_port_dim(p, k, &want, &text, &n) || want == t->dims[k];
    }
    if (fits)
        return DONE;
    char shape[256];
    scrtio_show_dims(shape, sizeof shape, t);
    return scrtio_fail(c, FAULT,
                       "%.300s: input '%.100s' has the shape %s, the model takes [%.200s]", path,
                       p->name, shape, p->dims);
}

/* --- Files --- */

int scrtio_take_tensor(Cli *c, uint32_t i, const ScrtTensorFile *f, uint32_t k, const char *path)
{
    ScrtIoError err;
    const ScrtPort *p = &c->entry->in[i];
    if (c->in[i].data)
        return scrtio_fail(c, USAGE, "input '%.100s' is given twice: %.300s and %.300s", p->name,
                           c->source[i], path);
    int status = check_head(c, i, &scrt_tensors_item(f, k)->tensor, path);
    if (status != DONE)
        return status;
    if (scrt_tensors_read(f, k, p->dtype, &c->in[i], &err) != SCRT_OK)
        return scrtio_fail(c, FAULT, "input '%.100s': %s", p->name, err.text);
    c->source[i] = path;
    return DONE;
}

static void list_inputs(const ScrtEntry *e, char *buf, size_t room)
{
    buf[0] = '\0';
    for (uint32_t i = 0; i < e->n_in; i++) {
        size_t n = strlen(buf);
        snprintf(buf + n, room - n, "%s%s", i ? ", " : "", e->in[i].name);
    }
}

/* The names are not the model's: what there is. */
static int fail_names(const Cli *c, const ScrtTensorFile *f, const char *path)
{
    char names[400], holds[400] = "";
    list_inputs(c->entry, names, sizeof names);
    for (uint32_t k = 0; k < scrt_tensors_count(f); k++) {
        size_t n = strlen(holds);
        snprintf(holds + n, sizeof holds - n, "%s%s", k ? ", " : "", scrt_tensors_item(f, k)->name);
    }
    return scrtio_fail(c, FAULT,
                       "%.300s: none of its arrays is an input; it holds: %s; inputs are: %s", path,
                       holds[0] ? holds : "nothing", names);
}

/* Every input that the file names. Entries that are no inputs are left: a file may hold labels too.
 * The only tensor of a file is the only input, whatever its name. */
static int take_by_name(Cli *c, const ScrtTensorFile *f, const char *path)
{
    const ScrtEntry *e = c->entry;
    int status = DONE;
    uint32_t found = 0;
    for (uint32_t i = 0; i < e->n_in && status == DONE; i++) {
        int64_t k = scrt_tensors_find(f, e->in[i].name);
        if (k < 0)
            continue;
        found++;
        status = scrtio_take_tensor(c, i, f, (uint32_t)k, path);
    }
    if (found > 0)
        return status;
    if (e->n_in == 1 && scrt_tensors_count(f) == 1)
        return scrtio_take_tensor(c, 0, f, 0, path);
    if (!scrt_tensors_single(f))
        return fail_names(c, f, path);
    char names[400];
    list_inputs(e, names, sizeof names);
    return scrtio_fail(c, USAGE, "-i %.300s: say which input it is, NAME=%.300s, of: %s", path,
                       path, names);
}

static int take_named(Cli *c, uint32_t i, const ScrtTensorFile *f, const char *path)
{
    int64_t k = scrt_tensors_find(f, c->entry->in[i].name);
    if (k < 0 && scrt_tensors_count(f) != 1)
        return fail_names(c, f, path);
    return scrtio_take_tensor(c, i, f, k < 0 ? 0 : (uint32_t)k, path);
}

/* The input of the longest name that NAME=FILE begins with, as names may hold '='; -1: none. */
static int64_t input_of(const ScrtEntry *e, const char *argument)
{
    int64_t best = -1;
    for (uint32_t i = 0; i < e->n_in; i++) {
        size_t n = strlen(e->in[i].name);
        if (strncmp(argument, e->in[i].name, n) == 0 && argument[n] == '=' &&
            (best < 0 || n > strlen(e->in[best].name)))
            best = i;
    }
    return best;
}

/* --- Files that say neither type nor shape --- */

/* The shape that an argument of --shape says, of input i; NULL: of another input. */
static const char *shape_for(const Cli *c, const char *argument, uint32_t i)
{
    int64_t named = input_of(c->entry, argument);
    if (named >= 0)
        return named == i ? argument + strlen(c->entry->in[i].name) + 1 : NULL;
    return c->entry->n_in == 1 ? argument : NULL;
}

static int wish_for(const Cli *c, uint32_t i, ScrtWish *ret)
{
    const ScrtPort *p = &c->entry->in[i];
    const char *text;
    size_t n;
    *ret = (ScrtWish){.dtype = p->dtype, .rank = p->rank, .image = &c->image};
    for (uint32_t k = 0; k < p->rank; k++)
        if (!scrtio_port_dim(p, k, &ret->dims[k], &text, &n))
            ret->dims[k] = -1;
    for (int k = 0; k < c->n_shape; k++) {
        uint32_t rank;
        const char *shape = shape_for(c, c->shape[k], i);
        if (!shape)
            continue;
        if (!scrt_shape_parse(shape, &rank, ret->dims) || rank != p->rank)
            return scrtio_fail(c, USAGE, "--shape %.200s: input '%.100s' is [%.200s]", c->shape[k],
                               p->name, p->dims);
    }
    return DONE;
}

static int take_bare(Cli *c, int64_t named, const ScrtTensorFile *f, const char *path)
{
    uint32_t i = named < 0 ? 0 : (uint32_t)named;
    const ScrtPort *p = &c->entry->in[i];
    char names[400];
    ScrtIoError err;
    ScrtWish wish;
    if (named < 0 && c->entry->n_in != 1) {
        list_inputs(c->entry, names, sizeof names);
        return scrtio_fail(c, USAGE, "-i %.300s: say which input it is, NAME=%.300s, of: %s", path,
                           path, names);
    }
    if (c->in[i].data)
        return scrtio_fail(c, USAGE, "input '%.100s' is given twice: %.300s and %.300s", p->name,
                           c->source[i], path);
    int status = wish_for(c, i, &wish);
    if (status != DONE)
        return status;
    if (scrt_tensors_make(f, &wish, &c->in[i], &err) != SCRT_OK)
        return scrtio_fail(c, FAULT, "input '%.100s': %s", p->name, err.text);
    c->source[i] = path;
    c->bare[i] = true;
    c->used_image |= scrt_tensors_picture(f);
    return check_head(c, i, &c->in[i], path);
}

static int check_shapes(const Cli *c)
{
    for (int k = 0; k < c->n_shape; k++) {
        bool used = false;
        for (uint32_t i = 0; i < c->entry->n_in; i++)
            used |= c->bare[i] && shape_for(c, c->shape[k], i);
        if (!used)
            return scrtio_fail(c, USAGE,
                               "--shape %.200s: is for an input that is a .bin or a picture: "
                               "NAME=D,D,...",
                               c->shape[k]);
    }
    if (c->has_image && !c->used_image && !(c->output && scrt_picture_name(c->output)))
        return scrtio_fail(c, USAGE, "--image: neither an input nor the output is a picture");
    return DONE;
}

static int load_argument(Cli *c, const char *argument)
{
    int64_t i = input_of(c->entry, argument);
    const char *path = i < 0 ? argument : argument + strlen(c->entry->in[i].name) + 1;
    const char *equals = strchr(argument, '=');
    ScrtTensorFile *f;
    ScrtIoError err;
    if (i < 0 && equals && access(argument, F_OK) != 0) {
        char names[400];
        list_inputs(c->entry, names, sizeof names);
        size_t n = (size_t)(equals - argument);
        bool is_state = false;
        for (uint32_t k = 0; k < c->model->n_state; k++) {
            const char *name = c->model->state[k].name;
            is_state = is_state || (strlen(name) == n && memcmp(name, argument, n) == 0);
        }
        return scrtio_fail(c, USAGE, "-i %.300s: the model has no input '%.*s'%s; it has: %s",
                           argument, n < 100 ? (int)n : 100, argument,
                           is_state ? ", but a state (--state-load)" : "", names);
    }
    if (scrt_tensors_open(path, &f, &err) != SCRT_OK)
        return i < 0 ? scrtio_fail(c, FAULT, "%s", err.text)
                     : scrtio_fail(c, FAULT, "input '%.100s': %s", c->entry->in[i].name, err.text);
    int status = scrt_tensors_bare(f) ? take_bare(c, i, f, path)
                 : i < 0              ? take_by_name(c, f, path)
                                      : take_named(c, (uint32_t)i, f, path);
    scrt_tensors_close(f);
    return status;
}

int scrtio_load_inputs(Cli *c)
{
    const ScrtEntry *e = c->entry;
    int status = DONE;
    for (int i = 0; i < c->n_input && status == DONE; i++)
        status = load_argument(c, c->input[i]);
    for (uint32_t i = 0; i < e->n_in && status == DONE; i++)
        if (!c->in[i].data)
            status = scrtio_fail(c, USAGE,
                                 "input '%.100s', %s[%.200s], is missing: -i %s, a .npy, .npz, "
                                 ".safetensors, .pb, .bin or a picture",
                                 e->in[i].name, scrt_dtype_name((ScrtDtype)e->in[i].dtype),
                                 e->in[i].dims, e->n_in == 1 ? "FILE" : "NAME=FILE");
    return status == DONE ? check_shapes(c) : status;
}

/* --- Made up --- */

/* splitmix64: the same numbers on every machine. */
static uint64_t draw(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static double uniform(uint64_t *state) /* in (0, 1) */
{
    return ((double)(draw(state) >> 12) + 0.5) * 0x1p-52;
}

static double normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(uniform(state)));
    return radius * cos(2 * 3.14159265358979323846 * uniform(state));
}

int64_t scrtio_find_symbol(const Cli *c, const char *name, size_t n)
{
    for (uint32_t k = 0; k < c->entry->n_sym; k++)
        if (strlen(c->entry->sym[k]) == n && memcmp(c->entry->sym[k], name, n) == 0)
            return k;
    return -1;
}

bool scrtio_given_size(const Cli *c, const char *name, size_t n, int64_t *ret)
{
    for (int k = c->n_dim - 1; k >= 0; k--)
        if (strncmp(c->dim[k], name, n) == 0 && c->dim[k][n] == '=')
            return scrtio_parse_number(c->dim[k] + n + 1, 0, ret);
    return false;
}

int64_t scrtio_made_up_size(const Cli *c, uint32_t sym)
{
    const char *name = c->entry->sym[sym];
    int64_t sum = 0, x;
    if (scrtio_given_size(c, name, strlen(name), &x))
        return x;
    for (const char *at = name;; at += 3) {
        const char *plus = strstr(at, " + ");
        size_t n = plus ? (size_t)(plus - at) : strlen(at);
        char text[24];
        snprintf(text, sizeof text, "%.*s", n < sizeof text ? (int)n : 0, at);
        bool symbol = scrtio_find_symbol(c, at, n) >= 0;
        if ((!plus && at == name) || (!symbol && !scrtio_parse_number(text, 0, &x)))
            return 1;
        if (symbol && !scrtio_given_size(c, at, n, &x))
            x = 1;
        if (__builtin_add_overflow(sum, x, &sum))
            return 1;
        if (!plus)
            return sum;
        at = plus;
    }
}

static int dim_value(const Cli *c, const ScrtPort *p, uint32_t i, int64_t *ret)
{
    const char *text;
    size_t n;
    if (scrtio_port_dim(p, i, ret, &text, &n))
        return DONE;
    bool quoted = n >= 2 && text[0] == '"' && text[n - 1] == '"';
    int64_t sym = scrtio_find_symbol(c, text + quoted, n - 2 * quoted);
    if (sym < 0)
        return scrtio_fail(c, USAGE,
                           "input '%.100s' has the dimension '%.*s': give the input with -i",
                           p->name, n < 100 ? (int)n : 100, text);
    *ret = scrtio_made_up_size(c, (uint32_t)sym);
    return DONE;
}

int scrtio_make_inputs(Cli *c)
{
    uint64_t state = 1;
    c->made_up = true;
    for (uint32_t i = 0; i < c->entry->n_in; i++) {
        const ScrtPort *p = &c->entry->in[i];
        ScrtTensor *t = &c->in[i];
        t->dtype = p->dtype;
        t->rank = p->rank;
        for (uint32_t k = 0; k < p->rank; k++) {
            int status = dim_value(c, p, k, &t->dims[k]);
            if (status != DONE)
                return status;
        }
        ScrtStatus s = scrt_tensor_alloc(t);
        if (s != SCRT_OK)
            return scrtio_fail(c, FAULT, "input '%.100s': %s", p->name, scrt_status_text(s));
        bool is_float = scrt_dtype_is_float((ScrtDtype)t->dtype);
        int64_t lo = 0, hi = 2;
        bool known = !is_float && scrtio_input_range(c->model, p->name, &lo, &hi);
        for (int64_t k = 0, n = scrt_count(t); k < n; k++)
            scrt_store((ScrtDtype)t->dtype, t->data, (size_t)k,
                       is_float ? normal(&state)
                       : known  ? (double)(lo + (int64_t)(draw(&state) % (uint64_t)(hi - lo)))
                                : (double)(k & 1),
                       true);
    }
    return DONE;
}
