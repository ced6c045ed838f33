/* SPDX-License-Identifier: Apache-2.0 */
/* States: the memory that a model keeps from one run to the next, apart from the session, so that
 * several may share it. A state that is written in place has one memory; what grows lies there as
 * if it had its capacity already, and an append writes the new part only. Any other is dense and
 * has two: a run reads one and writes the other, and they change places. */
#include "runtime/num/num.h"
#include "runtime/session_priv.h"

#include <string.h>

typedef struct State {
    void *now, *next; /* next: NULL where the state is written in place */
    void *dense;      /* the last answer of scrt_state_get, where it had to be made; or NULL */
    size_t room;      /* bytes of now, and of next */
    void *new_now, *new_next; /* more room, that the next value set or used takes; or NULL */
    size_t new_room;
    int64_t *dims; /* [rank] of the value; 0 where no run has told the extent yet */
    int64_t after; /* during a run: the next value's extent along what grows */
    bool known;    /* the dims are those of a value: no run may ask for others */
} State;

struct ScrtStates {
    const ScrtModel *model;
    State *state;     /* [n_state] */
    size_t bytes;     /* of all memory in use but `dense` */
    uint64_t version; /* another one after each change of an extent */
    uint32_t users;   /* sessions */
};

static bool grows(const ScrtModel *m, uint32_t i)
{
    return m->state_info[i].axis < m->state[i].rank;
}

static bool is_strided(const ScrtModel *m, uint32_t i)
{
    return m->state_info[i].in_place && grows(m, i);
}

/* The state's value as a tensor; where `full`, with its capacity along what grows. */
static ScrtTensor tensor_of(const ScrtModel *m, uint32_t i, const int64_t *dims, bool full)
{
    ScrtTensor t = {.dtype = m->state[i].dtype, .rank = m->state[i].rank};
    for (uint32_t k = 0; k < t.rank; k++)
        t.dims[k] = full && k == m->state_info[i].axis ? m->state_info[i].capacity : dims[k];
    return t;
}

/* --- Memory --- */

/* Memory for a value of these dims, beside the present one where that is too small. */
static ScrtStatus reserve(ScrtStates *all, uint32_t i, const int64_t *dims)
{
    const ScrtModel *m = all->model;
    State *s = &all->state[i];
    ScrtTensor t = tensor_of(m, i, dims, true);
    size_t bytes;
    if (!scrt_tensor_bytes(&t, &bytes))
        return SCRT_E_MEMORY;
    if ((s->now && bytes <= s->room) || (s->new_now && bytes <= s->new_room))
        return SCRT_OK;
    bool two = !m->state_info[i].in_place;
    void *now = scrt_alloc(bytes), *next = two ? scrt_alloc(bytes) : NULL;
    if (!now || (two && !next)) {
        scrt_free(now);
        scrt_free(next);
        return SCRT_E_MEMORY;
    }
    scrt_free(s->new_now);
    scrt_free(s->new_next);
    s->new_now = now;
    s->new_next = next;
    s->new_room = bytes;
    return SCRT_OK;
}

/* The same, and the state lies there; what it held is lost where there was less. */
static ScrtStatus make_room(ScrtStates *all, uint32_t i, const int64_t *dims)
{
    State *s = &all->state[i];
    ScrtStatus st = reserve(all, i, dims);
    if (st != SCRT_OK || !s->new_now)
        return st;
    scrt_free(s->now);
    scrt_free(s->next);
    all->bytes += (s->new_room - s->room) * (s->new_next ? 2 : 1);
    s->now = s->new_now;
    s->next = s->new_next;
    s->room = s->new_room;
    s->new_now = s->new_next = NULL;
    return SCRT_OK;
}

static void free_states(ScrtStates *s)
{
    for (uint32_t i = 0; i < s->model->n_state; i++) {
        scrt_free(s->state[i].now);
        scrt_free(s->state[i].next);
        scrt_free(s->state[i].new_now);
        scrt_free(s->state[i].new_next);
        scrt_free(s->state[i].dense);
    }
    scrt_free(s);
}

/* The extents of the first value, [rank], as far as the model tells them; whether there is one:
 * what is empty gets its memory when it is used. */
static bool first_dims(const ScrtModel *m, uint32_t i, int64_t *ret)
{
    const ScrtStateInfo *info = &m->state_info[i];
    bool all = !grows(m, i) || info->first > 0;
    for (uint32_t k = 0; k < m->state[i].rank; k++) {
        ret[k] = k == info->axis ? info->first : info->dims[k];
        all = all && ret[k] >= 0;
        ret[k] = ret[k] < 0 ? 0 : ret[k];
    }
    return all;
}

static ScrtStatus new_states(const ScrtModel *m, ScrtStates **ret)
{
    size_t bytes = sizeof(ScrtStates) + m->n_state * sizeof(State);
    for (uint32_t i = 0; i < m->n_state; i++)
        bytes += m->state[i].rank * sizeof(int64_t);
    ScrtStates *s = scrt_alloc(bytes);
    if (!s)
        return SCRT_E_MEMORY;
    memset(s, 0, bytes);
    s->model = m;
    s->state = (State *)(s + 1);
    int64_t *dims = (int64_t *)(s->state + m->n_state);
    ScrtStatus st = SCRT_OK;
    for (uint32_t i = 0; i < m->n_state; i++) {
        s->state[i].dims = dims;
        dims += m->state[i].rank;
        if (!first_dims(m, i, s->state[i].dims) || st != SCRT_OK)
            continue;
        ScrtTensor t = tensor_of(m, i, s->state[i].dims, true);
        size_t unused;
        st = scrt_tensor_bytes(&t, &unused) ? make_room(s, i, s->state[i].dims) : SCRT_E_ABI;
    }
    if (st == SCRT_OK)
        *ret = s;
    else
        free_states(s);
    return st;
}

ScrtStatus scrt_states_open(ScrtSession *s, ScrtStates *shared)
{
    if (shared && shared->model != s->model)
        return SCRT_E_ARGUMENT;
    ScrtStatus st = shared ? SCRT_OK : new_states(s->model, &s->states);
    if (st != SCRT_OK)
        return st;
    if (shared)
        s->states = shared;
    else
        scrt_state_reset(s);
    s->states->users++;
    return SCRT_OK;
}

void scrt_states_close(ScrtStates *s)
{
    if (s && --s->users == 0)
        free_states(s);
}

ScrtStates *scrt_states(const ScrtSession *s)
{
    return s->states;
}

size_t scrt_states_bytes(const ScrtStates *s)
{
    return s->bytes;
}

uint64_t scrt_states_version(const ScrtStates *s)
{
    return s->version;
}

int64_t scrt_states_extent(const ScrtStates *s, uint32_t i)
{
    return s->state[i].dims[s->model->state_info[i].axis];
}

/* --- In a run --- */

static void show_buffers(ScrtSession *s, uint32_t i)
{
    s->buffer[s->first_state + i] = s->states->state[i].now;
    s->buffer[s->first_next + i] = s->states->state[i].next;
}

void scrt_states_begin(ScrtSession *s)
{
    for (uint32_t i = 0; i < s->model->n_state; i++)
        show_buffers(s, i);
}

ScrtStatus scrt_states_use(ScrtSession *s, uint32_t i, const int64_t *dims, int64_t after)
{
    const ScrtModel *m = s->model;
    const char *name = m->state[i].name;
    uint32_t rank = m->state[i].rank, axis = m->state_info[i].axis;
    State *x = &s->states->state[i];
    char has[160], want[160];
    bool other = x->known ? memcmp(x->dims, dims, rank * sizeof *dims) != 0
                          : grows(m, i) && x->dims[axis] != dims[axis];
    if (other)
        return scrt_fail(s, SCRT_E_SHAPE, "state '%.60s' has the shape %s, these inputs need %s",
                         name, scrt_show_dims(has, sizeof has, x->dims, rank),
                         scrt_show_dims(want, sizeof want, dims, rank));
    if (grows(m, i) && after > m->state_info[i].capacity)
        return scrt_fail(s, SCRT_E_FULL,
                         "state '%.100s' would have %lld along dimension %u, and has room for %lld",
                         name, (long long)after, axis, (long long)m->state_info[i].capacity);
    bool blank = !x->known && !grows(m, i);
    if (!x->known) {
        ScrtStatus st = make_room(s->states, i, dims);
        if (st != SCRT_OK)
            return scrt_fail(s, st, "out of memory for state '%.100s'", name);
        memcpy(x->dims, dims, rank * sizeof *dims);
    }
    if (blank) /* it begins as zero, of the shape that these inputs need */
        memset(x->now, 0, x->room);
    x->after = after;
    show_buffers(s, i);
    return SCRT_OK;
}

void scrt_states_move(ScrtSession *s)
{
    const ScrtModel *m = s->model;
    for (uint32_t k = 0; k < s->entry->n_state; k++) {
        uint32_t i = s->entry->state[k];
        State *x = &s->states->state[i];
        if (!m->state_info[i].in_place) {
            void *was = x->now;
            x->now = x->next;
            x->next = was;
        }
        x->known = true;
        if (!grows(m, i))
            continue;
        int64_t *extent = &x->dims[m->state_info[i].axis];
        s->states->version += *extent != x->after;
        *extent = x->after;
        x->known = x->after > 0;
    }
}

/* --- From outside --- */

/* Copies a dense value into the state's memory, or back. */
static void copy_value(const ScrtModel *m, uint32_t i, const State *x, void *dense, bool in)
{
    ScrtTensor t = tensor_of(m, i, x->dims, false), full = tensor_of(m, i, x->dims, true);
    size_t row, pitch;
    uint32_t axis = is_strided(m, i) ? m->state_info[i].axis : 0;
    int64_t rows = 1;
    for (uint32_t k = 0; k < axis; k++)
        rows *= t.dims[k];
    memmove(t.dims, t.dims + axis, (t.rank - axis) * sizeof *t.dims);
    memmove(full.dims, full.dims + axis, (t.rank - axis) * sizeof *t.dims);
    t.rank = full.rank = t.rank - axis;
    if (!scrt_tensor_bytes(&t, &row) || !scrt_tensor_bytes(&full, &pitch) || row == 0)
        return;
    for (int64_t r = 0; r < rows; r++) {
        char *here = (char *)x->now + (size_t)r * pitch, *there = (char *)dense + (size_t)r * row;
        memcpy(in ? here : there, in ? there : here, row);
    }
}

void scrt_state_reset(ScrtSession *s)
{
    const ScrtModel *m = s->model;
    for (uint32_t i = 0; i < m->n_state; i++) {
        State *x = &s->states->state[i];
        const ScrtStateInfo *info = &m->state_info[i];
        x->known = first_dims(m, i, x->dims);
        s->states->version++;
        if (!x->known)
            continue;
        if (info->init >= 0)
            copy_value(m, i, x, (unsigned char *)s->buffer[0] + info->init, true);
        else
            memset(x->now, 0, x->room);
    }
}

ScrtStatus scrt_state_get(ScrtSession *s, uint32_t i, ScrtTensor *ret)
{
    const ScrtModel *m = s->model;
    if (i >= m->n_state)
        return SCRT_E_ARGUMENT;
    State *x = &s->states->state[i];
    ScrtTensor t = tensor_of(m, i, x->dims, false);
    size_t bytes;
    t.data = x->now;
    if (is_strided(m, i) && scrt_tensor_bytes(&t, &bytes) && bytes) {
        void *dense = scrt_alloc(bytes);
        if (!dense)
            return scrt_fail(s, SCRT_E_MEMORY, "out of memory for a copy of state '%.100s'",
                             m->state[i].name);
        copy_value(m, i, x, dense, false);
        scrt_free(x->dense);
        t.data = x->dense = dense;
    }
    *ret = t;
    return SCRT_OK;
}

/* t has the type of state i: every extent that the model knows, and no more than its capacity. */
static bool shape_fits(const ScrtModel *m, uint32_t i, const ScrtTensor *t)
{
    const ScrtStateInfo *info = &m->state_info[i];
    size_t unused;
    if (t->rank != m->state[i].rank || !scrt_tensor_bytes(t, &unused))
        return false;
    for (uint32_t k = 0; k < t->rank; k++)
        if ((info->dims[k] >= 0 && t->dims[k] != info->dims[k]) ||
            (k == info->axis && t->dims[k] > info->capacity))
            return false;
    return true;
}

ScrtStatus scrt_state_check(ScrtSession *s, uint32_t i, const ScrtTensor *t)
{
    const ScrtModel *m = s->model;
    char is[160];
    if (i >= m->n_state)
        return scrt_fail(s, SCRT_E_ARGUMENT, "the model has %u states, none numbered %u",
                         m->n_state, i);
    const char *name = m->state[i].name;
    if (t->dtype != m->state[i].dtype)
        return scrt_fail(s, SCRT_E_STATE, "state '%.100s' has another element type", name);
    ScrtStatus st = SCRT_OK;
    if (shape_fits(m, i, t))
        st = reserve(s->states, i, t->dims);
    if (st != SCRT_OK)
        return scrt_fail(s, st, "out of memory for state '%.100s'", name);
    if (shape_fits(m, i, t))
        return SCRT_OK;
    const char *shape = t->rank > SCRT_MAX_RANK ? "one of so high a rank"
                                                : scrt_show_dims(is, sizeof is, t->dims, t->rank);
    if (grows(m, i))
        return scrt_fail(s, SCRT_E_STATE,
                         "state '%.60s' has the shape [%.100s], dimension %u up to %lld, not %s",
                         name, m->state[i].dims, m->state_info[i].axis,
                         (long long)m->state_info[i].capacity, shape);
    return scrt_fail(s, SCRT_E_STATE, "state '%.60s' has the shape [%.100s], not %s", name,
                     m->state[i].dims, shape);
}

ScrtStatus scrt_state_set(ScrtSession *s, uint32_t i, const ScrtTensor *t)
{
    const ScrtModel *m = s->model;
    ScrtStatus st = scrt_state_check(s, i, t);
    if (st != SCRT_OK)
        return st;
    State *x = &s->states->state[i];
    make_room(s->states, i, t->dims); /* which was reserved */
    memcpy(x->dims, t->dims, t->rank * sizeof *t->dims);
    copy_value(m, i, x, t->data, true);
    x->known = !grows(m, i) || x->dims[m->state_info[i].axis] > 0;
    s->states->version++;
    return SCRT_OK;
}
