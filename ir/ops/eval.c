/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that evaluation rules share. They are plain on purpose: the compiled kernels are measured
 * against them, so nothing here is shared with a lowering. */
#include "ir/ops/ops_priv.h"

#include <string.h>

double *sc_ops_doubles(ScArena *a, const ScrtTensor *t)
{
    size_t n = (size_t)scrt_count(t);
    double *x = sc_array(a, double, n + 1);
    scrt_convert(n, SCRT_F64, x, t->dtype, t->data, false, SCRT_NEAREST);
    return x;
}

int64_t *sc_ops_ints(ScArena *a, const ScrtTensor *t)
{
    size_t n = (size_t)scrt_count(t);
    int64_t *x = sc_array(a, int64_t, n + 1);
    scrt_convert(n, SCRT_I64, x, t->dtype, t->data, false, SCRT_NEAREST);
    return x;
}

void sc_ops_store(ScrtTensor *t, int64_t i, double x)
{
    scrt_store(t->dtype, t->data, (size_t)i, x, scrt_dtype_is_low(t->dtype));
}

void sc_ops_move(ScrtTensor *dst, int64_t i, const ScrtTensor *src, int64_t j)
{
    uint32_t bits = scrt_dtype_bits(dst->dtype);
    if (bits >= 8) {
        size_t size = bits / 8;
        memcpy((char *)dst->data + (size_t)i * size, (const char *)src->data + (size_t)j * size,
               size);
        return;
    }
    scrt_store_bits(dst->dtype, dst->data, (size_t)i,
                    scrt_load_bits(src->dtype, src->data, (size_t)j));
}

void sc_ops_strides(const ScrtTensor *t, uint32_t rank, int64_t *ret)
{
    int64_t stride = 1;
    for (uint32_t d = 1; d <= rank; d++) {
        int64_t extent = d <= t->rank ? t->dims[t->rank - d] : 1;
        ret[rank - d] = extent == 1 ? 0 : stride;
        stride *= extent;
    }
}

bool sc_ops_next(uint32_t rank, const int64_t *dims, int64_t *idx)
{
    for (uint32_t d = rank; d-- > 0;) {
        if (++idx[d] < dims[d])
            return true;
        idx[d] = 0;
    }
    return false;
}

/* Operands as arrays of one kind, and how each is walked. */
typedef struct Walk {
    uint32_t n;
    const double **f;
    const int64_t **i;
    int64_t (*stride)[SCRT_MAX_RANK];
} Walk;

static Walk walk(ScEval *e, ScArena *a, bool ints)
{
    uint32_t n = e->n->n_in;
    Walk w = {n, sc_array(a, const double *, n + 1), sc_array(a, const int64_t *, n + 1),
              sc_alloc_array(a, n + 1, sizeof *w.stride)};
    for (uint32_t k = 0; k < n; k++) {
        if (!e->in[k])
            continue;
        sc_ops_strides(e->in[k], e->out[0].rank, w.stride[k]);
        if (ints)
            w.i[k] = sc_ops_ints(a, e->in[k]);
        else
            w.f[k] = sc_ops_doubles(a, e->in[k]);
    }
    return w;
}

bool sc_ops_map(ScEval *e, ScMapF *f, ScMapI *i)
{
    ScrtTensor *out = &e->out[0];
    ScArena *a = sc_arena_new();
    bool ints = true;
    for (uint32_t k = 0; k < e->n->n_in; k++)
        ints = ints && (!e->in[k] || !scrt_dtype_is_float(e->in[k]->dtype));
    Walk w = walk(e, a, ints);
    double *x = sc_array(a, double, w.n + 1);
    int64_t *y = sc_array(a, int64_t, w.n + 1), idx[SCRT_MAX_RANK] = {0}, n = scrt_count(out);
    for (int64_t at = 0; at < n; at++, sc_ops_next(out->rank, out->dims, idx)) {
        for (uint32_t k = 0; k < w.n; k++) {
            int64_t from = sc_ops_at(out->rank, idx, w.stride[k]);
            if (w.f[k])
                x[k] = w.f[k][from];
            if (w.i[k])
                y[k] = w.i[k][from];
        }
        if (ints)
            scrt_store_int(out->dtype, out->data, (size_t)at, i(e, y));
        else
            sc_ops_store(out, at, f(e, x));
    }
    sc_arena_free(a);
    return true;
}
