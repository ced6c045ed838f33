/* SPDX-License-Identifier: Apache-2.0 */
/* An output as a picture: what --image does to an input, the other way. */
#include "runtime/image.h"

#include <math.h>
#include <stdio.h>

/* ret: its rgb is new. */
static ScrtStatus make_pixels(const char *path, const ScrtTensor *t, const ScrtImage *o,
                              ScrtPixels *ret, bool *ret_grey, ScrtIoError *err)
{
    ScrtWish w = {.dtype = t->dtype, .rank = t->rank, .image = o};
    ScrtPlaces at;
    memcpy(w.dims, t->dims, sizeof w.dims);
    ScrtStatus s = scrt_image_places(path, "output", &w, &at, err);
    if (s != SCRT_OK)
        return s;
    int64_t height = t->dims[at.row], width = t->dims[at.column];
    if (height < 1 || width < 1 || height > UINT16_MAX || width > UINT16_MAX ||
        height * width > SCRT_MOST_PIXELS)
        return scrt_io_fail(err, SCRT_E_SHAPE, "%.300s: %lld x %lld is no picture", path,
                            (long long)width, (long long)height);
    ScrtPixels p = {(uint32_t)width, (uint32_t)height, scrt_alloc((size_t)(3 * width * height))};
    if (!p.rgb)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", path);
    size_t pixels = (size_t)(width * height), n = at.channel < 0 ? 1 : (size_t)t->dims[at.channel];
    double scale = scrt_image_scale(o, (ScrtDtype)t->dtype);
    for (size_t i = 0; i < 3 * pixels; i++) {
        size_t c = n == 1 ? 0 : o->bgr ? 2 - i % 3 : i % 3;
        size_t k = at.channel > at.row ? i / 3 * n + c : c * pixels + i / 3;
        double x = scrt_load((ScrtDtype)t->dtype, t->data, k);
        x = rint((x * (o->has_std ? o->std[c] : 1) + o->mean[c]) / scale);
        p.rgb[i] = x > 255 ? 255 : x > 0 ? (uint8_t)x : 0; /* NaN is black */
    }
    *ret = p;
    *ret_grey = n == 1;
    return SCRT_OK;
}

static ScrtStatus write_pnm(const char *path, const ScrtPixels *p, bool grey, ScrtIoError *err)
{
    size_t n = (size_t)p->width * p->height * (grey ? 1 : 3);
    unsigned char *bytes = scrt_alloc(n + 32);
    if (!bytes)
        return scrt_io_fail(err, SCRT_E_MEMORY, "%.300s: out of memory", path);
    size_t head = (size_t)snprintf((char *)bytes, 32, "P%c\n%u %u\n255\n", grey ? '5' : '6',
                                   p->width, p->height);
    for (size_t i = 0; i < n; i++)
        bytes[head + i] = p->rgb[grey ? 3 * i : i];
    ScrtStatus s = scrt_file_write(path, bytes, head + n, err);
    scrt_free(bytes);
    return s;
}

bool scrt_picture_name(const char *path)
{
    return scrt_ends_with(path, ".ppm") || scrt_ends_with(path, ".pgm") ||
           scrt_ends_with(path, ".png");
}

ScrtStatus scrt_picture_write(const char *path, const ScrtTensor *t, const ScrtImage *o,
                              ScrtIoError *err)
{
    bool png = scrt_ends_with(path, ".png"), pgm = scrt_ends_with(path, ".pgm"), grey = false;
    ScrtPixels p;
    if (png && !(o->decoders && o->decoders->write_png))
        return scrt_io_fail(err, SCRT_E_FILE,
                            "%.300s: this program does not write PNG: name it .ppm%s", path,
                            o->decoders ? "" : ", or let scalec run write it");
    ScrtStatus s = make_pixels(path, t, o, &p, &grey, err);
    if (s != SCRT_OK)
        return s;
    if (pgm && !grey)
        s = scrt_io_fail(err, SCRT_E_SHAPE, "%.300s: has three colours, which need a .ppm", path);
    else
        s = png ? o->decoders->write_png(path, &p, err) : write_pnm(path, &p, pgm, err);
    scrt_free(p.rgb);
    return s;
}
