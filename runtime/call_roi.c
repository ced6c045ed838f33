/* SPDX-License-Identifier: Apache-2.0 */
/* Regions of images, resampled to one size. */
#include "runtime/call.h"
#include "runtime/num/num.h"
#include "runtime/scrt_priv.h"

#include <math.h>

enum { X, ROIS, IMAGE };
enum { MOST_PIXELS = 4096 }; /* of an element each way: else a bad region would take for ever */

typedef struct Sample { /* four elements of an image and their weights */
    int64_t at[4];
    double w[4];
} Sample;

typedef struct Roi {
    const ScrtArgs *a;
    bool max, half_pixel;
    int64_t ratio; /* samples of a bin each way; 0: as many as it has pixels */
    double scale;
    int64_t h, w, out_h, out_w;
} Roi;

/* Where y lies between rows: false outside. Beyond the last row, and before the first, is that. */
static bool between(double y, int64_t extent, int64_t *ret_lo, int64_t *ret_hi, double *ret_part)
{
    if (!(y >= -1 && y <= (double)extent) || extent == 0)
        return false;
    y = y > 0 ? y : 0;
    *ret_lo = (int64_t)y;
    *ret_hi = *ret_lo + 1;
    if (*ret_lo >= extent - 1)
        *ret_lo = *ret_hi = extent - 1;
    *ret_part = *ret_lo == *ret_hi ? 0 : y - (double)*ret_lo;
    return true;
}

/* Outside all weights are 0. */
static Sample sample_at(const Roi *r, double y, double x)
{
    int64_t y0, y1, x0, x1;
    double py, px;
    if (!between(y, r->h, &y0, &y1, &py) || !between(x, r->w, &x0, &x1, &px))
        return (Sample){0};
    return (Sample){{y0 * r->w + x0, y0 * r->w + x1, y1 * r->w + x0, y1 * r->w + x1},
                    {(1 - py) * (1 - px), (1 - py) * px, py * (1 - px), py * px}};
}

typedef struct Bins { /* of one region along one axis */
    double start, size;
    int64_t n_sample;
} Bins;

static Bins bins(const Roi *r, double from, double to, int64_t n)
{
    double offset = r->half_pixel ? 0.5 : 0, size = (to - from) * r->scale;
    if (!r->half_pixel && size < 1)
        size = 1;
    return (Bins){from * r->scale - offset, size / (double)n,
                  r->ratio > 0 ? r->ratio : (int64_t)ceil(size / (double)n)};
}

static bool region_fits(const Roi *r, const double *p)
{
    double w = (p[2] - p[0]) * r->scale / (double)r->out_w;
    double h = (p[3] - p[1]) * r->scale / (double)r->out_h;
    return fabs(w) <= MOST_PIXELS && fabs(h) <= MOST_PIXELS;
}

static void read_region(const ScrtTensor *roi, int64_t n, double p[4])
{
    for (int64_t k = 0; k < 4; k++)
        p[k] = scrt_load((ScrtDtype)roi->dtype, roi->data, (size_t)(4 * n + k));
}

static double position(const Bins *b, int64_t bin, int64_t i)
{
    return b->start + (double)bin * b->size + ((double)i + 0.5) * b->size / (double)b->n_sample;
}

/* One element of the result: image points to channel c of it. */
static double pool(const Roi *r, const Bins *by, const Bins *bx, int64_t py, int64_t px,
                   int64_t image)
{
    const ScrtTensor *x = &r->a->t[X];
    double sum = 0, top = 0;
    bool first = true;
    for (int64_t i = 0; i < by->n_sample; i++)
        for (int64_t j = 0; j < bx->n_sample; j++) {
            Sample s = sample_at(r, position(by, py, i), position(bx, px, j));
            for (uint32_t k = 0; k < 4; k++) {
                double v = s.w[k] == 0 ? 0
                                       : s.w[k] * scrt_load((ScrtDtype)x->dtype, x->data,
                                                            (size_t)(image + s.at[k]));
                sum += v;
                top = first || v > top ? v : top;
                first = false;
            }
        }
    int64_t n = by->n_sample * bx->n_sample;
    return r->max ? top : sum / (double)(n > 1 ? n : 1);
}

static void regions(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const Roi *r = arg;
    const ScrtTensor *x = &r->a->t[X], *roi = &r->a->t[ROIS];
    int64_t channels = x->dims[1], each = r->out_h * r->out_w;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t n = i / channels, c = i % channels;
        int64_t image = (scrt_index(&r->a->t[IMAGE], n) * channels + c) * r->h * r->w;
        double p[4];
        read_region(roi, n, p);
        Bins bx = bins(r, p[0], p[2], r->out_w), by = bins(r, p[1], p[3], r->out_h);
        for (int64_t k = 0; k < each; k++)
            scrt_store((ScrtDtype)r->a->out->dtype, r->a->out->data, (size_t)(i * each + k),
                       pool(r, &by, &bx, k / r->out_w, k % r->out_w, image), false);
    }
}

/* x [images, channels, h, w], regions [n, 4] (x and y of two corners), the image of each. param:
 * whether the largest of the weighted elements is taken, not their mean; whether pixels have their
 * center at 0.5; samples of a bin each way, 0: as many as pixels; the bits of the f64 that
 * coordinates are multiplied by. */
ScrtStatus scrt_call_roi_align(ScrtArgs *a, const char **ret_why)
{
    const ScrtTensor *x = &a->t[X], *y = a->out;
    union {
        int64_t i;
        double f;
    } scale = {a->param[3]};
    Roi r = {.a = a, .max = a->param[0], .half_pixel = a->param[1], .ratio = a->param[2]};
    r.scale = scale.f;
    r.h = x->dims[2];
    r.w = x->dims[3];
    r.out_h = y->dims[2];
    r.out_w = y->dims[3];
    for (int64_t i = 0; i < y->dims[0]; i++) {
        double p[4];
        read_region(&a->t[ROIS], i, p);
        if (!region_fits(&r, p)) {
            *ret_why = "a region covers more than 4096 pixels for an element";
            return SCRT_E_DATA;
        }
        int64_t image = scrt_index(&a->t[IMAGE], i);
        if (image < 0 || image >= x->dims[0]) {
            *ret_why = "a region is of an image that there is not";
            return SCRT_E_DATA;
        }
    }
    if (r.out_h > 0 && r.out_w > 0)
        scrt_pool_run(a->pool, regions, &r, y->dims[0] * y->dims[1], 1 + 256 / (r.out_h * r.out_w));
    return SCRT_OK;
}
