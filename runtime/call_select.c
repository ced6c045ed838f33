/* SPDX-License-Identifier: Apache-2.0 */
/* Where elements are that are not zero; where indices are; the boxes that overlap no better one. */
#include "runtime/call.h"
#include "runtime/num/num.h"

#include <string.h>

/* --- Elements that are not zero -------------------------------------------------------------- */

static bool is_zero(const ScrtTensor *t, int64_t i)
{
    ScrtDtype type = (ScrtDtype)t->dtype;
    return scrt_dtype_is_float(type) ? scrt_load(type, t->data, (size_t)i) == 0
                                     : scrt_load_int(type, t->data, (size_t)i) == 0;
}

/* The result, [rank, n], has a column for each such element, in row-major order. */
ScrtStatus scrt_call_nonzero(ScrtArgs *a, const char **ret_why)
{
    const ScrtTensor *x = &a->t[0];
    int64_t *out = a->out->data, n = a->out->dims[1], k = 0, count = scrt_count(x);
    for (int64_t i = 0; i < count; i++) {
        if (is_zero(x, i))
            continue;
        for (int64_t d = x->rank, rest = i; k < n && d-- > 0; rest /= x->dims[d])
            out[d * n + k] = rest % x->dims[d];
        k++;
    }
    *ret_why = "the elements that are not zero are not as many as were counted";
    return k == n ? SCRT_OK : SCRT_E_DATA;
}

/* --- Indices --------------------------------------------------------------------------------- */

/* param: the extent that the operand's elements count, from the end where they are negative. The
 * result, i64, has its shape. */
ScrtStatus scrt_call_position(ScrtArgs *a, const char **ret_why)
{
    const ScrtTensor *index = &a->t[0];
    int64_t *out = a->out->data, n = scrt_count(index), extent = a->param[0];
    (void)ret_why;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = scrt_index(index, i);
        out[i] = scrt_wrap(at, extent);
        if (out[i] < 0)
            return scrt_outside(a, at, extent);
    }
    return SCRT_OK;
}

/* --- Boxes ----------------------------------------------------------------------------------- */

typedef struct Box { /* corners, ordered */
    float x0, y0, x1, y1;
} Box;

static void order(float *lo, float *hi)
{
    float a = *lo, b = *hi;
    *lo = a >= b ? b : a;
    *hi = a >= b ? a : b;
}

static Box box_of(const float *p, bool center)
{
    if (center) {
        float w = p[2] / 2, h = p[3] / 2;
        return (Box){p[0] - w, p[1] - h, p[0] + w, p[1] + h};
    }
    Box b = {p[1], p[0], p[3], p[2]};
    order(&b.x0, &b.x1);
    order(&b.y0, &b.y1);
    return b;
}

static bool overlap(const Box *a, const Box *b, float threshold)
{
    float x0 = a->x0 > b->x0 ? a->x0 : b->x0, x1 = a->x1 < b->x1 ? a->x1 : b->x1;
    float y0 = a->y0 > b->y0 ? a->y0 : b->y0, y1 = a->y1 < b->y1 ? a->y1 : b->y1;
    if (!(x1 > x0) || !(y1 > y0))
        return false;
    float both = (x1 - x0) * (y1 - y0);
    float of_a = (a->x1 - a->x0) * (a->y1 - a->y0), of_b = (b->x1 - b->x0) * (b->y1 - b->y0);
    float either = of_a + of_b - both;
    if (!(both > 0) || !(of_a > 0) || !(of_b > 0) || !(either > 0))
        return false;
    return both / either > threshold;
}

enum { BOXES, SCORES, MOST, IOU, SCORE };

typedef struct Class { /* one class of one image */
    const float *box, *score;
    int64_t n, most;
    bool center, has_least;
    float iou, least;
    int64_t *rank; /* [n] candidates, the best first */
    int64_t *room; /* [n] */
} Class;

static float number(const ScrtArgs *a, uint32_t i, bool *ret_has)
{
    *ret_has = i < a->n_in && a->t[i].dtype;
    return *ret_has ? *(const float *)a->t[i].data : 0;
}

/* The candidates by score, the first of equals first: sorted by merging. */
static int64_t rank_candidates(Class *c)
{
    int64_t n = 0;
    for (int64_t i = 0; i < c->n; i++)
        if (!c->has_least || c->score[i] > c->least)
            c->rank[n++] = i;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t lo = 0; lo < n; lo += 2 * width) {
            int64_t mid = lo + width < n ? lo + width : n;
            int64_t hi = lo + 2 * width < n ? lo + 2 * width : n;
            for (int64_t i = lo, j = mid, k = lo; k < hi; k++) {
                bool left = j == hi || (i < mid && !(c->score[c->rank[i]] < c->score[c->rank[j]]));
                c->room[k] = left ? c->rank[i++] : c->rank[j++];
            }
        }
        int64_t *swap = c->rank;
        c->rank = c->room;
        c->room = swap;
    }
    return n;
}

/* Leaves the boxes that are kept at the front of rank; returns their number. */
static int64_t keep(Class *c)
{
    int64_t n = rank_candidates(c), kept = 0;
    for (int64_t i = 0; i < n && kept < c->most; i++) {
        Box box = box_of(c->box + 4 * c->rank[i], c->center);
        bool good = true;
        for (int64_t k = 0; k < kept && good; k++) {
            Box better = box_of(c->box + 4 * c->rank[k], c->center);
            good = !overlap(&box, &better, c->iou);
        }
        if (good)
            c->rank[kept++] = c->rank[i];
    }
    return kept;
}

/* boxes f32[images, n, 4], scores f32[images, classes, n], the most of a class, thresholds; param:
 * whether boxes are given by their center; scratch: 16 bytes a box. Results: rows of image, class
 * and box, zero beyond those that there are, and the number of rows. Where there is no room for the
 * most of a class, that room is the most. */
ScrtStatus scrt_call_non_max_suppression(ScrtArgs *a, const char **ret_why)
{
    const ScrtTensor *box = &a->t[BOXES], *score = &a->t[SCORES];
    int64_t images = score->dims[0], classes = score->dims[1], n = score->dims[2];
    int64_t room = images && classes ? a->out->dims[0] / (images * classes) : 0, rows = 0;
    int64_t *out = a->out->data, most = 0;
    bool has;
    Class c = {.n = n, .center = a->param[0] != 0};
    c.iou = number(a, IOU, &has);
    c.least = number(a, SCORE, &c.has_least);
    if (a->n_in > MOST && a->t[MOST].dtype)
        most = scrt_index(&a->t[MOST], 0);
    c.most = most < room ? most : room;
    for (int64_t i = 0; i < images * classes; i++) {
        c.box = (const float *)box->data + i / classes * n * 4;
        c.score = (const float *)score->data + i * n;
        c.rank = a->scratch;
        c.room = c.rank + n;
        int64_t kept = keep(&c);
        for (int64_t k = 0; k < kept; k++, rows++) {
            out[3 * rows] = i / classes;
            out[3 * rows + 1] = i % classes;
            out[3 * rows + 2] = c.rank[k];
        }
    }
    if (scrt_count(a->out) > 3 * rows)
        memset(out + 3 * rows, 0, (size_t)(scrt_count(a->out) - 3 * rows) * sizeof *out);
    *(int64_t *)a->out[1].data = rows;
    (void)ret_why;
    return SCRT_OK;
}
