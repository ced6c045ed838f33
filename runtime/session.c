/* SPDX-License-Identifier: Apache-2.0 */
/* A session: the memory around a compiled model. What depends on the shapes of inputs and states
 * alone (symbols, outputs' dims and sizes) is kept from one run to the next, and Entry.bind is
 * walked again only when a dim has changed, so a run of known shapes allocates nothing but the
 * outputs the caller leaves to it. */
#include "runtime/handles.h"
#include "runtime/num/num.h"
#include "runtime/session_priv.h"

#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *scrt_error(const ScrtSession *s)
{
    return s->error;
}

const ScrtModel *scrt_model(const ScrtSession *s)
{
    return s->model;
}

const ScrtEntry *scrt_entry(const ScrtSession *s)
{
    return s->entry;
}

const ScrtLevel *scrt_level(const ScrtSession *s)
{
    return s->level;
}

uint64_t scrt_peak_bytes(const ScrtSession *s)
{
    return s->peak;
}

uint32_t scrt_threads(const ScrtSession *s)
{
    return scrt_pool_size(s->pool);
}

ScrtStatus scrt_fail(ScrtSession *s, ScrtStatus status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->error, sizeof s->error, fmt, ap);
    va_end(ap);
    return status;
}

/* --- The functions that emitted code calls --- */

static void fn_parallel(void *pool, ScrtBody body, void *arg, int64_t n, int64_t grain)
{
    scrt_pool_run(pool, body, arg, n, grain);
}

static double fn_libm1(uint32_t fn, double x)
{
    static double (*const table[])(double) = {
#define SCRT_LIBM1(id, f) [SCRT_LIBM1_##id] = (f),
#include "runtime/libm.def"
#undef SCRT_LIBM1
    };
    return table[fn](x);
}

static double fn_libm2(uint32_t fn, double x, double y)
{
    static double (*const table[])(double, double) = {
#define SCRT_LIBM2(id, f) [SCRT_LIBM2_##id] = (f),
#include "runtime/libm.def"
#undef SCRT_LIBM2
    };
    return table[fn](x, y);
}

static const ScrtFns fns = {SCRT_ABI, fn_parallel, fn_libm1, fn_libm2};

/* --- Making a session --- */

static bool ranks_are_sane(const ScrtPort *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (p[i].rank > SCRT_MAX_RANK)
            return false;
    return true;
}

static ScrtStatus map_weights(ScrtSession *s, const ScrtOptions *o)
{
    const ScrtModel *m = s->model;
    if (m->weights || m->weights_size == 0) {
        s->buffer[0] = (void *)m->weights;
        return SCRT_OK;
    }
    if (o && o->weights) {
        s->buffer[0] = (void *)o->weights;
        return (uintptr_t)o->weights % 64 == 0 ? SCRT_OK : SCRT_E_ARGUMENT;
    }
    int fd = o && o->weights_file ? open(o->weights_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0)
        return SCRT_E_WEIGHTS;
    struct stat st;
    bool fits =
        fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == m->weights_size;
    void *p = fits ? mmap(NULL, m->weights_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    if (!fits)
        return SCRT_E_WEIGHTS;
    if (p == MAP_FAILED)
        return SCRT_E_MEMORY;
    s->mapping = p;
    s->buffer[0] = p;
    return scrt_hash(p, m->weights_size) == m->weights_hash ? SCRT_OK : SCRT_E_WEIGHTS;
}

/* Room for n pointers or numbers of 8 bytes at the end of *at; with at == NULL only counts. */
static void *carve(unsigned char **at, size_t *bytes, size_t n)
{
    unsigned char *p = at ? *at : NULL;
    if (at)
        *at += 8 * n;
    *bytes += 8 * n;
    return p;
}

/* Lays out the session's small arrays behind it. Called twice: to count, and to carve. */
static size_t lay_out(ScrtSession *s, const ScrtModel *m, const ScrtEntry *e, unsigned char *room)
{
    unsigned char **at = room ? &room : NULL;
    size_t bytes = 0;
    ScrtSession nowhere;
    if (!s)
        s = &nowhere;
    s->first_out = 1 + e->n_in;
    s->first_state = s->first_out + e->n_out;
    s->first_next = s->first_state + m->n_state;
    s->first_segment = s->first_next + m->n_state;
    s->buffer = carve(at, &bytes, s->first_segment + e->n_segment);
    s->value = carve(at, &bytes, e->n_value);
    s->arg = carve(at, &bytes, SCRT_ARG_PLACES + e->n_arg);
    s->room = carve(at, &bytes, e->n_segment);
    s->made = carve(at, &bytes, (e->n_out + 7) / 8);
    s->in_dims = carve(at, &bytes, e->n_in);
    for (uint32_t i = 0; i < e->n_in; i++) {
        int64_t *dims = carve(at, &bytes, e->in[i].rank);
        if (at)
            s->in_dims[i] = dims;
    }
    return bytes;
}

static ScrtStatus make_profile(ScrtSession *s)
{
    size_t bytes = (s->entry->n_kernel + 1) * sizeof *s->profile;
    s->profile = scrt_alloc(bytes);
    if (!s->profile)
        return SCRT_E_MEMORY;
    memset(s->profile, 0, bytes);
    return SCRT_OK;
}

static ScrtStatus make_pool(ScrtSession *s, uint32_t n_thread)
{
    ScrtStatus st = scrt_pool_new(n_thread, &s->pool);
    if (st != SCRT_OK)
        return st;
    s->call = (ScrtCall){
        .fns = &fns, .pool = s->pool, .n_thread = scrt_pool_size(s->pool), .weights = s->buffer[0]};
    s->arg[SCRT_ARG_CALL] = &s->call;
    s->value[1] = scrt_pool_size(s->pool);
    return SCRT_OK;
}

static bool has_features(const ScrtLevel *l)
{
    return !(l->features & ~scrt_cpu_features());
}

uint32_t scrt_level_here(const ScrtModel *m)
{
    uint32_t i = m->n_level;
    while (i > 0 && !has_features(&m->level[i - 1]))
        i--;
    return i > 0 ? i - 1 : m->n_level;
}

/* The level that is asked for, or the last one that runs here; NULL where none does. */
static const ScrtLevel *choose_level(const ScrtModel *m, uint32_t asked)
{
    for (uint32_t i = asked ? asked : m->n_level; i > (asked ? asked - 1 : 0); i--)
        if (has_features(&m->level[i - 1]) && scrt_cpu_enable(m->level[i - 1].features))
            return &m->level[i - 1];
    return NULL;
}

ScrtStatus scrt_open(const ScrtModel *m, const ScrtOptions *options, ScrtSession **ret)
{
    if (!m || !ret)
        return SCRT_E_ARGUMENT;
    if (m->abi != SCRT_ABI)
        return SCRT_E_ABI;
    uint32_t which = options ? options->entry : 0, asked = options ? options->level : 0;
    if (which >= m->n_entry || asked > m->n_level)
        return SCRT_E_ARGUMENT;
    const ScrtEntry *e = &m->entry[which]; /* the ports are those of every level */
    if (!ranks_are_sane(e->in, e->n_in) || !ranks_are_sane(e->out, e->n_out) ||
        !ranks_are_sane(m->state, m->n_state))
        return SCRT_E_ABI;
    const ScrtLevel *level = choose_level(m, asked);
    if (!level)
        return SCRT_E_CPU;
    e += (size_t)(level - m->level) * m->n_entry;

    size_t bytes = sizeof(ScrtSession) + lay_out(NULL, m, e, NULL);
    ScrtSession *s = scrt_alloc(bytes);
    if (!s)
        return SCRT_E_MEMORY;
    memset(s, 0, bytes);
    lay_out(s, m, e, (unsigned char *)(s + 1));
    s->entry = e;
    s->level = level;
    s->model = m;
    s->subnormals = options && options->subnormals;
    ScrtStatus st = map_weights(s, options);
    if (st == SCRT_OK)
        st = scrt_states_open(s, options ? options->states : NULL);
    if (st == SCRT_OK && options && options->profile)
        st = make_profile(s);
    if (st == SCRT_OK)
        st = make_pool(s, options ? options->n_thread : 0);
    if (st != SCRT_OK) {
        scrt_close(s);
        return st;
    }
    s->peak = scrt_states_bytes(s->states);
    *ret = s;
    return SCRT_OK;
}

void scrt_close(ScrtSession *s)
{
    if (!s)
        return;
    scrt_pool_free(s->pool);
    for (uint32_t i = 0; i < s->entry->n_segment; i++)
        scrt_free(s->buffer[s->first_segment + i]);
    scrt_states_close(s->states);
    if (s->mapping)
        munmap(s->mapping, s->model->weights_size);
    scrt_made_free(&s->call.made);
    scrt_free(s->profile);
    scrt_free(s);
}

uint32_t scrt_entry_named(const ScrtModel *m, const char *name)
{
    uint32_t i = 0;
    while (i < m->n_entry && strcmp(m->entry[i].name, name) != 0)
        i++;
    return i;
}

uint32_t scrt_level_named(const ScrtModel *m, const char *name)
{
    uint32_t i = 0;
    while (i < m->n_level && strcmp(m->level[i].name, name) != 0)
        i++;
    return i;
}

/* --- Shapes --- */

const char *scrt_show_dims(char *buf, size_t n, const int64_t *dims, uint32_t rank)
{
    size_t at = 0;
    for (uint32_t i = 0; i <= rank && at < n; i++) {
        int k = i < rank ? snprintf(buf + at, n - at, "%s%lld", i ? "," : "[", (long long)dims[i])
                         : snprintf(buf + at, n - at, "%s]", rank ? "" : "[");
        at += k > 0 ? (size_t)k : 0;
    }
    return buf;
}

static ScrtStatus check_input(ScrtSession *s, uint32_t i, const ScrtTensor *t)
{
    const ScrtPort *p = &s->entry->in[i];
    const char *is = scrt_dtype_name((ScrtDtype)t->dtype);
    char dims[160];
    if (t->dtype != p->dtype)
        return scrt_fail(s, SCRT_E_DTYPE, "input '%.100s' is %s, the model takes %s", p->name,
                         is ? is : "of no known type", scrt_dtype_name((ScrtDtype)p->dtype));
    if (t->rank != p->rank)
        return scrt_fail(s, SCRT_E_SHAPE,
                         "input '%.100s' has %u dimensions, the model takes [%.100s]", p->name,
                         t->rank, p->dims);
    size_t bytes;
    if (!scrt_tensor_bytes(t, &bytes))
        return scrt_fail(s, SCRT_E_SHAPE, "input '%.100s' cannot have the shape %s", p->name,
                         scrt_show_dims(dims, sizeof dims, t->dims, t->rank));
    return SCRT_OK;
}

static bool same_dims(const ScrtSession *s, const ScrtTensor *in)
{
    const ScrtEntry *e = s->entry;
    for (uint32_t i = 0; i < e->n_in; i++) {
        if (in[i].dtype != e->in[i].dtype || in[i].rank != e->in[i].rank)
            return false;
        for (uint32_t k = 0; k < in[i].rank; k++)
            if (in[i].dims[k] != s->in_dims[i][k])
                return false;
    }
    return true;
}

/* Before a run the dims that only a run knows are -1. */
static void output_tensor(const ScrtSession *s, uint32_t i, bool ran, ScrtTensor *t)
{
    const uint32_t *dim = s->entry->out_dims[i];
    t->dtype = s->entry->out[i].dtype;
    t->rank = s->entry->out[i].rank;
    for (uint32_t k = 0; k < t->rank; k++)
        t->dims[k] = ran || !(dim[k] & SCRT_LATE) ? s->value[dim[k] & ~SCRT_LATE] : -1;
}

/* Brings everything that depends on shapes up to in's and the states'. */
static ScrtStatus bind_shapes(ScrtSession *s, const ScrtTensor *in)
{
    if (s->bound && s->version == scrt_states_version(s->states) && same_dims(s, in))
        return SCRT_OK;
    s->bound = false;
    for (uint32_t i = 0; i < s->entry->n_in; i++) {
        ScrtStatus st = check_input(s, i, &in[i]);
        if (st != SCRT_OK)
            return st;
        memcpy(s->in_dims[i], in[i].dims, in[i].rank * sizeof in[i].dims[0]);
    }
    ScrtStatus st = scrt_walk(s, s->entry->bind);
    s->bound = st == SCRT_OK;
    s->version = scrt_states_version(s->states);
    return st;
}

ScrtStatus scrt_shapes(ScrtSession *s, const ScrtTensor *in, ScrtTensor *ret_out)
{
    ScrtStatus st = bind_shapes(s, in);
    if (st != SCRT_OK)
        return st;
    for (uint32_t i = 0; i < s->entry->n_out; i++)
        output_tensor(s, i, false, &ret_out[i]);
    return SCRT_OK;
}

/* --- Running --- */

static ScrtStatus find_inputs(ScrtSession *s, const ScrtTensor *in)
{
    for (uint32_t i = 0; i < s->entry->n_in; i++) {
        s->buffer[1 + i] = in[i].data;
        if (!in[i].data && scrt_count(&in[i]) != 0)
            return scrt_fail(s, SCRT_E_ARGUMENT, "input '%.100s' has no data",
                             s->entry->in[i].name);
    }
    return SCRT_OK;
}

/* Handles leave the run as pointers: in memory of the output's own where the runtime made it. */
static ScrtStatus give_strings(ScrtSession *s, uint32_t i)
{
    void **data = &s->buffer[s->first_out + i];
    ScrtTensor t;
    output_tensor(s, i, true, &t);
    uintptr_t *handle = t.data = *data;
    if (s->made[i]) {
        if (scrt_strings_own(s->call.weights, &t) != SCRT_OK)
            return scrt_fail(s, SCRT_E_MEMORY, "no memory for the strings of output '%.100s'",
                             s->entry->out[i].name);
        scrt_free(*data);
        *data = t.data;
        return SCRT_OK;
    }
    for (int64_t k = 0, n = scrt_count(&t); k < n; k++)
        if (handle[k] & 1)
            handle[k] = (uintptr_t)(s->call.weights + handle[k] / 2);
    return SCRT_OK;
}

static ScrtStatus walk_run(ScrtSession *s, const ScrtTensor *out)
{
    s->out = out;
    s->made_bytes = 0;
    scrt_made_free(&s->call.made);
    scrt_states_begin(s);
    for (uint32_t i = 0; i < s->entry->n_out; i++)
        s->made[i] = false;
    ScrtFpEnv was = scrt_fp_get();
    scrt_fp_set(scrt_fp_plain(s->subnormals));
    ScrtStatus st = scrt_walk(s, s->entry->run);
    scrt_fp_set(was);
    for (uint32_t i = 0; i < s->entry->n_out && st == SCRT_OK; i++)
        if (s->entry->out[i].dtype == SCRT_STRING)
            st = give_strings(s, i);
    for (uint32_t i = 0; i < s->entry->n_out && st != SCRT_OK; i++)
        if (s->made[i])
            scrt_free(s->buffer[s->first_out + i]);
    size_t bytes = s->work_bytes + scrt_states_bytes(s->states) + s->made_bytes +
                   scrt_made_bytes(s->call.made);
    if (st == SCRT_OK && bytes > s->peak)
        s->peak = bytes;
    return st;
}

ScrtStatus scrt_run(ScrtSession *s, const ScrtTensor *in, ScrtTensor *out)
{
    ScrtStatus st = bind_shapes(s, in);
    if (st == SCRT_OK)
        st = find_inputs(s, in);
    if (st == SCRT_OK)
        st = walk_run(s, out);
    if (st != SCRT_OK)
        return st;
    scrt_states_move(s);
    for (uint32_t i = 0; i < s->entry->n_out; i++) {
        output_tensor(s, i, true, &out[i]);
        out[i].data = s->buffer[s->first_out + i];
    }
    return SCRT_OK;
}

/* --- The profile --- */

ScrtProfile scrt_profile(const ScrtSession *s, uint32_t i)
{
    return s->profile && i <= s->entry->n_kernel ? s->profile[i] : (ScrtProfile){0};
}
