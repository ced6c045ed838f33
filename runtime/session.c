/* SPDX-License-Identifier: Apache-2.0 */
/* A session: the memory around a compiled model. What depends on the shapes alone (symbols,
 * outputs' dims and sizes, workspace) is kept from one run to the next and asked for again only
 * when a dim has changed, so a run of known shapes allocates nothing but the outputs the caller
 * leaves to it. States are double-buffered: the kernels read `now`, write `next`, and the two are
 * swapped. */
#include "runtime/num/num.h"
#include "runtime/scrt_priv.h"

#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Profile {
    uint64_t since;
    struct {
        uint64_t ns, runs;
    } kernel[];
} Profile;

struct ScrtSession {
    const ScrtModel *model;
    ScrtPool *pool;
    Profile *profile; /* NULL: not wanted */
    const unsigned char *weights;
    void *mapping; /* of the sidecar file, or NULL */

    bool bound;         /* the four below are those of in_dims */
    int64_t **in_dims;  /* [n_in][rank] */
    int64_t **out_dims; /* [n_out][rank] */
    size_t *out_bytes;  /* [n_out] */
    int64_t *sym;       /* [n_sym] */
    uint64_t need;      /* bytes of workspace */

    unsigned char *work;
    size_t work_bytes;
    void **now, **next; /* [n_state] */
    void **in, **out;   /* [n_in], [n_out] data, during a run */
    size_t state_bytes, peak;
    char error[384];
};

const char *scrt_error(const ScrtSession *s)
{
    return s->error;
}

const ScrtModel *scrt_model(const ScrtSession *s)
{
    return s->model;
}

uint64_t scrt_peak_bytes(const ScrtSession *s)
{
    return s->peak;
}

uint32_t scrt_threads(const ScrtSession *s)
{
    return scrt_pool_size(s->pool);
}

static ScrtStatus __attribute__((format(printf, 3, 4))) fail(ScrtSession *s, ScrtStatus status,
                                                             const char *fmt, ...)
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

static void fn_enter(void *profile, uint32_t kernel)
{
    (void)kernel;
    ((Profile *)profile)->since = scrt_now_ns();
}

static void fn_leave(void *profile, uint32_t kernel)
{
    Profile *p = profile;
    p->kernel[kernel].ns += scrt_now_ns() - p->since;
    p->kernel[kernel].runs++;
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

static const ScrtFns plain_fns = {SCRT_ABI, fn_parallel, NULL, NULL, fn_libm1, fn_libm2};
static const ScrtFns profile_fns = {SCRT_ABI, fn_parallel, fn_enter, fn_leave, fn_libm1, fn_libm2};

/* --- Making a session --- */

static void state_tensor(const ScrtModel *m, uint32_t i, ScrtTensor *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->dtype = m->state[i].dtype;
    ret->rank = m->state[i].rank;
    for (uint32_t k = 0; k < ret->rank; k++)
        ret->dims[k] = m->state_dims[i][k];
}

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
        s->weights = m->weights;
        return SCRT_OK;
    }
    if (o && o->weights) {
        s->weights = o->weights;
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
    s->weights = p;
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
static size_t lay_out(ScrtSession *s, const ScrtModel *m, unsigned char *room)
{
    unsigned char **at = room ? &room : NULL;
    size_t bytes = 0;
    ScrtSession nowhere;
    if (!s)
        s = &nowhere;
    s->in_dims = carve(at, &bytes, m->n_in);
    s->out_dims = carve(at, &bytes, m->n_out);
    s->out_bytes = carve(at, &bytes, m->n_out);
    s->sym = carve(at, &bytes, m->n_sym);
    s->now = carve(at, &bytes, m->n_state);
    s->next = carve(at, &bytes, m->n_state);
    s->in = carve(at, &bytes, m->n_in);
    s->out = carve(at, &bytes, m->n_out);
    for (uint32_t i = 0; i < m->n_in; i++) {
        int64_t *dims = carve(at, &bytes, m->in[i].rank);
        if (at)
            s->in_dims[i] = dims;
    }
    for (uint32_t i = 0; i < m->n_out; i++) {
        int64_t *dims = carve(at, &bytes, m->out[i].rank);
        if (at)
            s->out_dims[i] = dims;
    }
    return bytes;
}

static ScrtStatus make_states(ScrtSession *s)
{
    const ScrtModel *m = s->model;
    for (uint32_t i = 0; i < m->n_state; i++) {
        ScrtTensor t;
        size_t bytes;
        state_tensor(m, i, &t);
        if (!scrt_tensor_bytes(&t, &bytes))
            return SCRT_E_ABI;
        s->now[i] = scrt_alloc(bytes);
        s->next[i] = scrt_alloc(bytes);
        if (!s->now[i] || !s->next[i])
            return SCRT_E_MEMORY;
        s->state_bytes += 2 * bytes;
    }
    s->peak = s->state_bytes;
    scrt_state_reset(s);
    return SCRT_OK;
}

static ScrtStatus make_profile(ScrtSession *s)
{
    size_t bytes = sizeof(Profile) + s->model->n_kernel * sizeof s->profile->kernel[0];
    s->profile = scrt_alloc(bytes);
    if (!s->profile)
        return SCRT_E_MEMORY;
    memset(s->profile, 0, bytes);
    return SCRT_OK;
}

ScrtStatus scrt_open(const ScrtModel *m, const ScrtOptions *options, ScrtSession **ret)
{
    if (!m || !ret)
        return SCRT_E_ARGUMENT;
    if (m->abi != SCRT_ABI || !ranks_are_sane(m->in, m->n_in) ||
        !ranks_are_sane(m->out, m->n_out) || !ranks_are_sane(m->state, m->n_state))
        return SCRT_E_ABI;
    if ((m->features & ~scrt_cpu_features()) || !scrt_cpu_enable(m->features))
        return SCRT_E_CPU;

    size_t bytes = sizeof(ScrtSession) + lay_out(NULL, m, NULL);
    ScrtSession *s = scrt_alloc(bytes);
    if (!s)
        return SCRT_E_MEMORY;
    memset(s, 0, bytes);
    lay_out(s, m, (unsigned char *)(s + 1));
    s->model = m;
    ScrtStatus st = map_weights(s, options);
    if (st == SCRT_OK)
        st = make_states(s);
    if (st == SCRT_OK && options && options->profile)
        st = make_profile(s);
    if (st == SCRT_OK)
        st = scrt_pool_new(options ? options->n_thread : 0, &s->pool);
    if (st != SCRT_OK) {
        scrt_close(s);
        return st;
    }
    *ret = s;
    return SCRT_OK;
}

void scrt_close(ScrtSession *s)
{
    if (!s)
        return;
    scrt_pool_free(s->pool);
    for (uint32_t i = 0; i < s->model->n_state; i++) {
        scrt_free(s->now[i]);
        scrt_free(s->next[i]);
    }
    if (s->mapping)
        munmap(s->mapping, s->model->weights_size);
    scrt_free(s->work);
    scrt_free(s->profile);
    scrt_free(s);
}

/* --- Shapes --- */

/* "[3,784]", cut off where it does not fit. */
static const char *show_dims(char *buf, size_t n, const int64_t *dims, uint32_t rank)
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
    const ScrtPort *p = &s->model->in[i];
    const char *is = scrt_dtype_name((ScrtDtype)t->dtype);
    char dims[160];
    if (t->dtype != p->dtype)
        return fail(s, SCRT_E_DTYPE, "input '%.100s' is %s, the model takes %s", p->name,
                    is ? is : "of no known type", scrt_dtype_name((ScrtDtype)p->dtype));
    if (t->rank != p->rank)
        return fail(s, SCRT_E_SHAPE, "input '%.100s' has %u dimensions, the model takes [%.100s]",
                    p->name, t->rank, p->dims);
    size_t bytes;
    if (!scrt_tensor_bytes(t, &bytes))
        return fail(s, SCRT_E_SHAPE, "input '%.100s' cannot have the shape %s", p->name,
                    show_dims(dims, sizeof dims, t->dims, t->rank));
    return SCRT_OK;
}

static bool same_dims(const ScrtSession *s, const ScrtTensor *in)
{
    const ScrtModel *m = s->model;
    for (uint32_t i = 0; i < m->n_in; i++) {
        if (in[i].dtype != m->in[i].dtype || in[i].rank != m->in[i].rank)
            return false;
        for (uint32_t k = 0; k < in[i].rank; k++)
            if (in[i].dims[k] != s->in_dims[i][k])
                return false;
    }
    return true;
}

static void output_tensor(const ScrtSession *s, uint32_t i, ScrtTensor *t)
{
    t->dtype = s->model->out[i].dtype;
    t->rank = s->model->out[i].rank;
    for (uint32_t k = 0; k < t->rank; k++)
        t->dims[k] = s->out_dims[i][k];
}

static ScrtStatus size_outputs(ScrtSession *s)
{
    const ScrtModel *m = s->model;
    for (uint32_t i = 0; i < m->n_out; i++) {
        ScrtTensor t;
        output_tensor(s, i, &t);
        if (!scrt_tensor_bytes(&t, &s->out_bytes[i]))
            return fail(s, SCRT_E_MEMORY, "output '%.100s' would be too large", m->out[i].name);
    }
    if (s->need > PTRDIFF_MAX)
        return fail(s, SCRT_E_MEMORY, "the workspace for these inputs would be too large");
    return SCRT_OK;
}

/* Brings everything that depends on the shapes up to in's. */
static ScrtStatus bind_shapes(ScrtSession *s, const ScrtTensor *in)
{
    if (s->bound && same_dims(s, in))
        return SCRT_OK;
    const ScrtModel *m = s->model;
    char dims[160];
    s->bound = false;
    for (uint32_t i = 0; i < m->n_in; i++) {
        ScrtStatus st = check_input(s, i, &in[i]);
        if (st != SCRT_OK)
            return st;
        memcpy(s->in_dims[i], in[i].dims, in[i].rank * sizeof in[i].dims[0]);
    }
    uint32_t bad = m->shapes((const int64_t *const *)s->in_dims, scrt_pool_size(s->pool), s->sym,
                             s->out_dims, &s->need);
    if (bad && bad <= m->n_in)
        return fail(s, SCRT_E_SHAPE, "input '%.100s' has the shape %s, the model takes [%.100s]",
                    m->in[bad - 1].name,
                    show_dims(dims, sizeof dims, in[bad - 1].dims, in[bad - 1].rank),
                    m->in[bad - 1].dims);
    if (bad)
        return fail(s, SCRT_E_SHAPE, "the shapes of the inputs do not fit each other");
    ScrtStatus st = size_outputs(s);
    s->bound = st == SCRT_OK;
    return st;
}

ScrtStatus scrt_shapes(ScrtSession *s, const ScrtTensor *in, ScrtTensor *ret_out)
{
    ScrtStatus st = bind_shapes(s, in);
    if (st != SCRT_OK)
        return st;
    for (uint32_t i = 0; i < s->model->n_out; i++)
        output_tensor(s, i, &ret_out[i]);
    return SCRT_OK;
}

/* --- Running --- */

static ScrtStatus grow_work(ScrtSession *s)
{
    if (s->need <= s->work_bytes)
        return SCRT_OK;
    scrt_free(s->work); /* its contents mean nothing between runs */
    s->work_bytes = 0;
    s->work = scrt_alloc((size_t)s->need);
    if (!s->work)
        return fail(s, SCRT_E_MEMORY, "out of memory: %llu bytes of workspace",
                    (unsigned long long)s->need);
    s->work_bytes = (size_t)s->need;
    return SCRT_OK;
}

static ScrtStatus find_outputs(ScrtSession *s, const ScrtTensor *out)
{
    const ScrtModel *m = s->model;
    for (uint32_t i = 0; i < m->n_out; i++) {
        s->out[i] = out[i].data ? out[i].data : scrt_alloc(s->out_bytes[i]);
        if (s->out[i])
            continue;
        while (i-- > 0)
            if (!out[i].data)
                scrt_free(s->out[i]);
        return fail(s, SCRT_E_MEMORY, "out of memory for the outputs");
    }
    return SCRT_OK;
}

static ScrtStatus find_inputs(ScrtSession *s, const ScrtTensor *in)
{
    for (uint32_t i = 0; i < s->model->n_in; i++) {
        s->in[i] = in[i].data;
        if (!in[i].data && scrt_count(&in[i]) != 0)
            return fail(s, SCRT_E_ARGUMENT, "input '%.100s' has no data", s->model->in[i].name);
    }
    return SCRT_OK;
}

static void call_model(ScrtSession *s)
{
    const ScrtCall call = {
        .fns = s->profile ? &profile_fns : &plain_fns,
        .pool = s->pool,
        .profile = s->profile,
        .weights = s->weights,
        .sym = s->sym,
        .in = s->in,
        .out = s->out,
        .state = s->now,
        .next = s->next,
        .work = s->work,
        .n_thread = scrt_pool_size(s->pool),
    };
    ScrtFpEnv was = scrt_fp_enter();
    s->model->run(&call);
    scrt_fp_leave(was);
}

static void note_peak(ScrtSession *s, const ScrtTensor *out)
{
    size_t bytes = s->work_bytes + s->state_bytes;
    for (uint32_t i = 0; i < s->model->n_out; i++)
        if (!out[i].data)
            bytes += s->out_bytes[i];
    if (bytes > s->peak)
        s->peak = bytes;
}

ScrtStatus scrt_run(ScrtSession *s, const ScrtTensor *in, ScrtTensor *out)
{
    ScrtStatus st = bind_shapes(s, in);
    if (st == SCRT_OK)
        st = find_inputs(s, in);
    if (st == SCRT_OK)
        st = grow_work(s);
    if (st == SCRT_OK)
        st = find_outputs(s, out);
    if (st != SCRT_OK)
        return st;
    note_peak(s, out);
    call_model(s);
    void **swap = s->now;
    s->now = s->next;
    s->next = swap;
    for (uint32_t i = 0; i < s->model->n_out; i++) {
        output_tensor(s, i, &out[i]);
        out[i].data = s->out[i];
    }
    return SCRT_OK;
}

/* --- States and the profile --- */

void scrt_state_reset(ScrtSession *s)
{
    const ScrtModel *m = s->model;
    for (uint32_t i = 0; i < m->n_state; i++) {
        ScrtTensor t;
        size_t bytes = 0;
        state_tensor(m, i, &t);
        scrt_tensor_bytes(&t, &bytes); /* was checked when the session was made */
        if (m->state_init[i])
            memcpy(s->now[i], m->state_init[i], bytes);
        else
            memset(s->now[i], 0, bytes);
    }
}

ScrtStatus scrt_state_get(const ScrtSession *s, uint32_t i, ScrtTensor *ret)
{
    if (i >= s->model->n_state)
        return SCRT_E_ARGUMENT;
    state_tensor(s->model, i, ret);
    ret->data = s->now[i];
    return SCRT_OK;
}

ScrtStatus scrt_state_set(ScrtSession *s, uint32_t i, const ScrtTensor *t)
{
    ScrtTensor own;
    size_t bytes;
    char is[160], want[160];
    if (scrt_state_get(s, i, &own) != SCRT_OK || !scrt_tensor_bytes(&own, &bytes))
        return fail(s, SCRT_E_ARGUMENT, "the model has %u states, none numbered %u",
                    s->model->n_state, i);
    const char *name = s->model->state[i].name;
    if (t->dtype != own.dtype)
        return fail(s, SCRT_E_STATE, "state '%.100s' has another element type", name);
    if (t->rank != own.rank || memcmp(t->dims, own.dims, own.rank * sizeof own.dims[0]) != 0)
        return fail(s, SCRT_E_STATE, "state '%.60s' has the shape %s, not %s", name,
                    show_dims(want, sizeof want, own.dims, own.rank),
                    t->rank > SCRT_MAX_RANK ? "one of so high a rank"
                                            : show_dims(is, sizeof is, t->dims, t->rank));
    if (bytes)
        memcpy(own.data, t->data, bytes);
    return SCRT_OK;
}

uint64_t scrt_profile(const ScrtSession *s, uint32_t i, uint64_t *ret_runs)
{
    bool have = s->profile && i < s->model->n_kernel;
    if (ret_runs)
        *ret_runs = have ? s->profile->kernel[i].runs : 0;
    return have ? s->profile->kernel[i].ns : 0;
}
