/* SPDX-License-Identifier: Apache-2.0 */
/* Scatters: a copy of the data, in which the updates replace what indices name or are combined with
 * it, one after another in the order of the indices, so that the last one wins and sums do not
 * depend on threads. Result and data may be one memory; then nothing is copied. Indices count from
 * the end where they are negative, and all are checked before anything is written. */
#include "runtime/call.h"
#include "runtime/num/num.h"

enum { DATA, INDICES, UPDATES };

static size_t size_of(const ScrtTensor *t)
{
    return scrt_dtype_bits((ScrtDtype)t->dtype) / 8;
}

static void begin(ScrtArgs *a)
{
    const ScrtTensor *x = &a->t[DATA];
    scrt_copy(a->pool, a->out->data, x->data, (size_t)scrt_count(x) * size_of(x));
}

/* --- Elements along an axis ------------------------------------------------------------------ */

/* Indices are walked as rows: their dims but the last. */
typedef struct Rows {
    const ScrtTensor *index;
    int64_t stride[SCRT_MAX_RANK]; /* elements of the data */
    int64_t at[SCRT_MAX_RANK];     /* the row */
    uint32_t axis;
} Rows;

static Rows rows_of(const ScrtArgs *a)
{
    const ScrtTensor *x = &a->t[DATA];
    Rows r = {.index = &a->t[INDICES], .axis = (uint32_t)a->param[1]};
    int64_t stride = 1;
    for (uint32_t d = x->rank; d-- > 0; stride *= x->dims[d])
        r.stride[d] = stride;
    return r;
}

static void next_row(Rows *r)
{
    for (uint32_t d = r->index->rank - 1; d-- > 0;) {
        if (++r->at[d] < r->index->dims[d])
            return;
        r->at[d] = 0;
    }
}

/* Where a row's elements go but for the axis. */
static int64_t base_of(const Rows *r)
{
    int64_t base = 0;
    for (uint32_t d = 0; d + 1 < r->index->rank; d++)
        base += d == r->axis ? 0 : r->at[d] * r->stride[d];
    return base;
}

typedef struct Target { /* of one row of updates */
    const ScrtTensor *index;
    int64_t extent, along, base, step; /* of the axis; elements of the data */
} Target;

static inline int64_t target_of(const Target *t, int64_t first, int64_t j)
{
    return scrt_wrap(scrt_index(t->index, first + j), t->extent) * t->along + t->base + j * t->step;
}

/* Elements first .. first + n - 1 of the updates go where they belong. What is common is written
 * out: replacing elements of 4 bytes, and sums of f32. */
static void put_row(const Target *t, ScrtCombine how, ScrtDtype type, int64_t first, int64_t n,
                    void *out, const void *update)
{
    size_t size = scrt_dtype_bits(type) / 8;
    if (how == SCRT_COMBINE_NONE && size == 4) {
        for (int64_t j = 0; j < n; j++)
            ((uint32_t *)out)[target_of(t, first, j)] = ((const uint32_t *)update)[first + j];
    } else if (how == SCRT_COMBINE_ADD && type == SCRT_F32) {
        for (int64_t j = 0; j < n; j++)
            ((float *)out)[target_of(t, first, j)] += ((const float *)update)[first + j];
    } else {
        for (int64_t j = 0; j < n; j++)
            scrt_combine(how, type, 1, (char *)out + (size_t)target_of(t, first, j) * size,
                         (const char *)update + (size_t)(first + j) * size);
    }
}

/* param: how to combine, the axis in [0, rank). No extent of the indices but the axis' is larger
 * than the data's; updates have their shape. */
ScrtStatus scrt_call_scatter_elements(ScrtArgs *a, const char **ret_why)
{
    Rows r = rows_of(a);
    const ScrtTensor *x = &a->t[DATA];
    (void)ret_why;
    int64_t n = scrt_count(r.index), width = n ? r.index->dims[r.index->rank - 1] : 1;
    Target t = {.index = r.index, .extent = x->dims[r.axis], .along = r.stride[r.axis]};
    t.step = r.axis + 1 == x->rank ? 0 : 1;
    for (int64_t i = 0; i < n; i++)
        if (scrt_wrap(scrt_index(r.index, i), t.extent) < 0)
            return scrt_outside(a, scrt_index(r.index, i), t.extent);
    begin(a);
    for (int64_t i = 0; i < n; i += width, next_row(&r)) {
        t.base = base_of(&r);
        put_row(&t, (ScrtCombine)a->param[0], (ScrtDtype)x->dtype, i, width, a->out->data,
                a->t[UPDATES].data);
    }
    return SCRT_OK;
}

/* --- Slices ---------------------------------------------------------------------------------- */

/* The slice of the data that tuple i of the indices names. */
static int64_t slice_at(const ScrtTensor *x, const ScrtTensor *index, uint32_t depth, int64_t i)
{
    int64_t at = 0;
    for (uint32_t d = 0; d < depth; d++)
        at = at * x->dims[d] + scrt_wrap(scrt_index(index, i * depth + d), x->dims[d]);
    return at;
}

/* param: how to combine. The indices' last axis holds tuples that name slices of the data. */
ScrtStatus scrt_call_scatter_nd(ScrtArgs *a, const char **ret_why)
{
    const ScrtTensor *x = &a->t[DATA], *index = &a->t[INDICES];
    const char *update = a->t[UPDATES].data;
    char *out = a->out->data;
    (void)ret_why;
    uint32_t depth = (uint32_t)index->dims[index->rank - 1];
    int64_t n = scrt_extents(index, 0, index->rank - 1), inner = scrt_extents(x, depth, x->rank);
    size_t bytes = (size_t)inner * size_of(x);
    for (int64_t i = 0; i < n * depth; i++)
        if (scrt_wrap(scrt_index(index, i), x->dims[i % depth]) < 0)
            return scrt_outside(a, scrt_index(index, i), x->dims[i % depth]);
    begin(a);
    for (int64_t i = 0; i < n && inner; i++)
        scrt_combine((ScrtCombine)a->param[0], (ScrtDtype)x->dtype, inner,
                     out + (size_t)slice_at(x, index, depth, i) * bytes,
                     update + (size_t)i * bytes);
    return SCRT_OK;
}

/* --- A stretch along an axis, where each sample says it begins -------------------------------- */

static int64_t begin_of(const ScrtArgs *a, int64_t sample)
{
    return a->n_in > 2 && a->t[2].dtype ? scrt_index(&a->t[2], sample) : 0;
}

/* Operands: cache, update, where it begins (absent: at 0). param: the axis, which is not the first;
 * whether it goes on at the start where the axis ends. The update is no longer than the axis. */
ScrtStatus scrt_call_tensor_scatter(ScrtArgs *a, const char **ret_why)
{
    const ScrtTensor *x = &a->t[0], *u = &a->t[1];
    uint32_t axis = (uint32_t)a->param[0];
    bool turns = a->param[1];
    int64_t extent = x->dims[axis], length = u->dims[axis], samples = x->dims[0];
    int64_t each = scrt_extents(x, 1, axis);
    size_t bytes = (size_t)scrt_extents(x, axis + 1, x->rank) * size_of(x);
    const char *from = u->data;
    char *out = a->out->data;
    for (int64_t i = 0; i < samples; i++) {
        int64_t at = begin_of(a, i);
        if (!turns && (at < 0 || at > extent - length)) {
            *ret_why = "an update would lie outside the cache";
            return SCRT_E_DATA;
        }
    }
    begin(a);
    for (int64_t row = 0; row < samples * each && length && bytes; row++) {
        int64_t at = begin_of(a, row / each) % extent;
        at += at < 0 ? extent : 0;
        int64_t n = extent - at < length ? extent - at : length; /* up to the end of the axis */
        char *to = out + (size_t)(row * extent) * bytes;
        scrt_combine(SCRT_COMBINE_NONE, SCRT_U8, n * (int64_t)bytes, to + (size_t)at * bytes, from);
        scrt_combine(SCRT_COMBINE_NONE, SCRT_U8, (length - n) * (int64_t)bytes, to,
                     from + (size_t)n * bytes);
        from += (size_t)length * bytes;
    }
    return SCRT_OK;
}
