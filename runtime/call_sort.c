/* SPDX-License-Identifier: Apache-2.0 */
/* Selecting and sorting. Elements of every type are compared as unsigned keys in the order of the
 * numbers: -0 is 0, NaNs are equal and larger than all else. */
#include "runtime/call.h"
#include "runtime/handles.h"
#include "runtime/num/num.h"
#include "runtime/scrt_priv.h"

#include <string.h>

#define SIGN (UINT64_C(1) << 63)

static uint64_t key_of_double(double x)
{
    uint64_t bits;
    if (x != x)
        return UINT64_MAX;
    x += 0.0; /* -0 becomes 0 */
    memcpy(&bits, &x, sizeof bits);
    return bits & SIGN ? ~bits : bits | SIGN;
}

static uint64_t key_of(ScrtDtype t, const void *data, int64_t i)
{
    if (t == SCRT_F32)
        return key_of_double((double)((const float *)data)[i]);
    if (scrt_dtype_is_float(t))
        return key_of_double(scrt_load(t, data, (size_t)i));
    uint64_t x = (uint64_t)scrt_load_int(t, data, (size_t)i);
    return scrt_dtype_kind(t) == SCRT_KIND_INT ? x ^ SIGN : x;
}

/* --- The k largest --------------------------------------------------------------------------- */

typedef struct Pair {
    uint64_t key;
    int64_t index;
} Pair;

typedef struct TopK {
    const ScrtArgs *a;
    int64_t extent, inner, k; /* of the axis, behind it; wanted */
    uint64_t flip;            /* all bits where the smallest are wanted */
    size_t scratch;           /* bytes of each thread */
} TopK;

static bool before(const Pair *a, const Pair *b)
{
    return a->key > b->key || (a->key == b->key && a->index < b->index);
}

/* The subtree at i of n pairs becomes a heap, whose first is the one that comes last. */
static void sift(Pair *heap, int64_t n, int64_t i)
{
    Pair x = heap[i];
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(&heap[child], &heap[child + 1]))
            child++;
        if (!before(&x, &heap[child]))
            break;
        heap[i] = heap[child];
    }
    heap[i] = x;
}

/* Leaves the k pairs that come first in heap, in order; base and inner: where the row lies. */
static void select_row(const TopK *t, int64_t base, Pair *heap)
{
    const ScrtTensor *x = &t->a->t[0];
    for (int64_t i = 0; i < t->extent; i++) {
        Pair p = {key_of((ScrtDtype)x->dtype, x->data, base + i * t->inner) ^ t->flip, i};
        if (i < t->k) {
            heap[i] = p;
            for (int64_t j = t->k / 2; i + 1 == t->k && j-- > 0;)
                sift(heap, t->k, j);
        } else if (before(&p, &heap[0])) {
            heap[0] = p;
            sift(heap, t->k, 0);
        }
    }
    for (int64_t n = t->k; n-- > 1;) {
        Pair last = heap[0];
        heap[0] = heap[n];
        heap[n] = last;
        sift(heap, n, 0);
    }
}

static void topk_rows(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const TopK *t = arg;
    Pair *heap = (Pair *)(void *)(t->a->scratch_thread + thread * t->scratch);
    const char *x = t->a->t[0].data;
    char *value = t->a->out[0].data;
    int64_t *index = t->a->out[1].data;
    size_t size = scrt_dtype_bits((ScrtDtype)t->a->t[0].dtype) / 8;
    for (int64_t row = begin; row < end; row++) {
        int64_t outer = row / t->inner, rest = row % t->inner;
        int64_t base = outer * t->extent * t->inner + rest;
        select_row(t, base, heap);
        for (int64_t i = 0; i < t->k; i++) {
            int64_t to = (outer * t->k + i) * t->inner + rest;
            index[to] = heap[i].index;
            memcpy(value + (size_t)to * size, x + (size_t)(base + heap[i].index * t->inner) * size,
                   size);
        }
    }
}

/* param: the axis, whether the largest are wanted; scratch_thread: 16 bytes for each of the k,
 * which is the results' extent and at most that of the axis. */
ScrtStatus scrt_call_topk(ScrtArgs *a, const char **ret_why)
{
    const ScrtTensor *x = &a->t[0];
    uint32_t axis = (uint32_t)a->param[0];
    TopK t = {.a = a, .extent = x->dims[axis], .k = a->out[0].dims[axis]};
    t.inner = scrt_extents(x, axis + 1, x->rank);
    t.flip = a->param[1] ? 0 : UINT64_MAX;
    t.scratch = ((size_t)t.k * sizeof(Pair) + 63) / 64 * 64;
    int64_t rows = scrt_extents(x, 0, axis) * t.inner;
    (void)ret_why;
    if (t.k) /* an element costs some nanoseconds: a piece is worth 10 microseconds */
        scrt_pool_run(a->pool, topk_rows, &t, rows, 1 + 4096 / (t.extent + 1));
    return SCRT_OK;
}

/* --- Unique slices --------------------------------------------------------------------------- */

typedef struct Slices { /* along an axis of x */
    const ScrtTensor *x;
    int64_t n, outer, inner;
} Slices;

static int compare(const Slices *s, int64_t a, int64_t b)
{
    ScrtDtype t = (ScrtDtype)s->x->dtype;
    for (int64_t i = 0; i < s->outer; i++)
        for (int64_t j = 0; j < s->inner; j++) {
            uint64_t p = key_of(t, s->x->data, (i * s->n + a) * s->inner + j);
            uint64_t q = key_of(t, s->x->data, (i * s->n + b) * s->inner + j);
            if (p != q)
                return p < q ? -1 : 1;
        }
    return 0;
}

/* Sorts by merging, so that equal slices stay in order; answers where the result is: order or
 * other, each [n]. */
static int64_t *sort(const Slices *s, int64_t *order, int64_t *other)
{
    for (int64_t i = 0; i < s->n; i++)
        order[i] = i;
    for (int64_t width = 1; width < s->n; width *= 2) {
        for (int64_t lo = 0; lo < s->n; lo += 2 * width) {
            int64_t mid = lo + width < s->n ? lo + width : s->n;
            int64_t hi = lo + 2 * width < s->n ? lo + 2 * width : s->n;
            for (int64_t i = lo, j = mid, k = lo; k < hi; k++) {
                bool left = j == hi || (i < mid && compare(s, order[i], order[j]) <= 0);
                other[k] = left ? order[i++] : order[j++];
            }
        }
        int64_t *swap = order;
        order = other;
        other = swap;
    }
    return order;
}

/* The groups of equal slices anew, in the order in which they first appear: number [n_group] is
 * room. */
static void by_appearance(const Slices *s, int64_t n_group, int64_t *first, int64_t *inverse,
                          int64_t *count, int64_t *number)
{
    int64_t next = 0;
    for (int64_t k = 0; k < n_group; k++)
        number[k] = -1;
    for (int64_t i = 0; i < s->n; i++) {
        int64_t *k = &number[inverse[i]];
        if (*k < 0) {
            *k = next++;
            first[*k] = i;
        }
        inverse[i] = *k;
    }
    memset(count, 0, (size_t)n_group * sizeof *count);
    for (int64_t i = 0; i < s->n; i++)
        count[inverse[i]]++;
}

/* param: the axis, whether sorted; scratch: 16 bytes for each slice. Results: indices of the first
 * of each group of equal slices, the group of each slice, how many are in each group, and how many
 * groups there are; zero beyond them. */
ScrtStatus scrt_call_unique(ScrtArgs *a, const char **ret_why)
{
    const ScrtTensor *x = &a->t[0];
    uint32_t axis = (uint32_t)a->param[0];
    Slices s = {x, x->dims[axis], scrt_extents(x, 0, axis), scrt_extents(x, axis + 1, x->rank)};
    int64_t *first = a->out[0].data, *inverse = a->out[1].data, *count = a->out[2].data;
    int64_t *order = sort(&s, a->scratch, (int64_t *)a->scratch + s.n), n = 0;
    (void)ret_why;
    for (int64_t i = 0; i < s.n; i++) {
        if (i == 0 || compare(&s, order[i - 1], order[i]) != 0) {
            first[n] = order[i];
            count[n++] = 0;
        }
        inverse[order[i]] = n - 1;
        count[n - 1]++;
    }
    if (!a->param[1])
        by_appearance(&s, n, first, inverse, count, a->scratch);
    for (int64_t i = n; i < s.n; i++)
        first[i] = count[i] = 0;
    *(int64_t *)a->out[3].data = n;
    return SCRT_OK;
}

/* --- Positions among keys --------------------------------------------------------------------- */

static int compare_key(const ScrtArgs *a, int64_t i, int64_t k)
{
    const ScrtTensor *x = &a->t[0], *keys = &a->t[1];
    ScrtDtype t = (ScrtDtype)x->dtype;
    if (t == SCRT_STRING)
        return scrt_chars_compare(scrt_chars(a->call->weights, keys, k),
                                  scrt_chars(a->call->weights, x, i));
    uint64_t p = key_of(t, keys->data, k), q = key_of(t, x->data, i);
    return (p > q) - (p < q);
}

/* keys ascend. */
ScrtStatus scrt_call_lookup(ScrtArgs *a, const char **ret_why)
{
    int64_t n_key = a->t[1].dims[0];
    (void)ret_why;
    for (int64_t i = 0, n = scrt_count(a->out); i < n; i++) {
        int64_t lo = 0, hi = n_key;
        while (lo < hi) { /* the first that is not before it */
            int64_t mid = (lo + hi) / 2;
            if (compare_key(a, i, mid) < 0)
                lo = mid + 1;
            else
                hi = mid;
        }
        ((int64_t *)a->out->data)[i] = lo < n_key && compare_key(a, i, lo) == 0 ? lo : n_key;
    }
    return SCRT_OK;
}
