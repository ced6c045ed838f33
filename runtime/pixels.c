/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures as bytes: formats by their marks, PNM, and other sizes of a picture.
 *
 * Resampling is separable: across, then down, each to 8 bits. A kernel is as wide as the step where
 * the picture shrinks, its weights are fixed-point numbers of 22 bits that sum up to 1, and what
 * lies beyond the edge is left out. That is what Pillow does, and so what networks were trained on.
 *
 * Sources: the Netpbm documentation; Pillow's documentation of resize and its filters. */
#include "runtime/image.h"

#include <math.h>
#include <stdlib.h>

enum { FRACTION = 22 };

/* --- Formats ---------------------------------------------------------------------------------- */

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_pnm(const unsigned char *p, size_t n)
{
    return n >= 3 && p[0] == 'P' && p[1] && strchr("2356", p[1]) && (is_space(p[2]) || p[2] == '#');
}

/* Two letters alone begin names too: its reserved words are zero. */
static bool is_bmp(const unsigned char *p, size_t n)
{
    return n >= 14 && memcmp(p, "BM", 2) == 0 && memcmp(p + 6, "\0\0\0", 4) == 0;
}

const char *scrt_picture_format(const unsigned char *p, size_t n)
{
    static const struct {
        const char *name, *mark;
        size_t n;
    } marks[] = {{"PNG", "\x89PNG\r\n\x1a\n", 8},
                 {"JPEG", "\xff\xd8\xff", 3},
                 {"GIF", "GIF8", 4},
                 {"WebP", "RIFF", 4},
                 {"TIFF", "II*\0", 4},
                 {"TIFF", "MM\0*", 4}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (n >= marks[i].n && memcmp(p, marks[i].mark, marks[i].n) == 0)
            return marks[i].name;
    if (n >= 12 && memcmp(p + 4, "ftyp", 4) == 0)
        return "HEIF or AVIF";
    return is_pnm(p, n) ? "PNM" : is_bmp(p, n) ? "BMP" : NULL;
}

static ScrtStatus pixels_alloc(uint64_t width, uint64_t height, ScrtPixels *ret)
{
    if (width < 1 || height < 1 || width > UINT16_MAX || height > UINT16_MAX ||
        width * height > SCRT_MOST_PIXELS)
        return SCRT_E_SHAPE;
    *ret =
        (ScrtPixels){(uint32_t)width, (uint32_t)height, scrt_alloc((size_t)(3 * width * height))};
    return ret->rgb ? SCRT_OK : SCRT_E_MEMORY;
}

typedef struct Text {
    const unsigned char *at, *end;
} Text;

/* A number of a PNM header, after space and comments. */
static bool take_number(Text *t, uint64_t *ret)
{
    while (t->at < t->end && (is_space(*t->at) || *t->at == '#'))
        if (*t->at++ == '#')
            while (t->at < t->end && *t->at != '\n')
                t->at++;
    const unsigned char *begin = t->at;
    uint64_t x = 0;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9' && x < UINT32_MAX; t->at++)
        x = 10 * x + (uint64_t)(*t->at - '0');
    *ret = x;
    return t->at > begin;
}

/* Sample i, of one or two bytes; or the next one as text. False: there is none. */
static bool take_sample(Text *t, bool plain, size_t wide, uint64_t *ret)
{
    if (plain)
        return take_number(t, ret);
    if ((size_t)(t->end - t->at) < wide)
        return false;
    *ret = wide == 2 ? (uint64_t)t->at[0] << 8 | t->at[1] : t->at[0];
    t->at += wide;
    return true;
}

static ScrtStatus decode_pnm(const char *what, const ScrtFile *f, ScrtPixels *ret, ScrtIoError *err)
{
    Text t = {f->data + 2, f->data + f->n};
    bool plain = f->data[1] < '5', grey = f->data[1] == '2' || f->data[1] == '5';
    uint64_t width, height, most, x = 0;
    if (!take_number(&t, &width) || !take_number(&t, &height) || !take_number(&t, &most) ||
        most < 1 || most > 65535 || t.at == t.end || !is_space(*t.at++))
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: its header is not one of PNM", what);
    size_t wide = most > 255 ? 2 : 1;
    ScrtStatus s = pixels_alloc(width, height, ret);
    if (s != SCRT_OK)
        return scrt_io_fail(err, s, "%.300s: a picture of %llu x %llu is too large", what,
                            (unsigned long long)width, (unsigned long long)height);
    for (size_t i = 0; i < (size_t)(3 * width * height); i++) { /* grey: three times the same */
        if ((!grey || i % 3 == 0) && !take_sample(&t, plain, wide, &x)) {
            scrt_free(ret->rgb);
            return scrt_io_fail(err, SCRT_E_FILE, "%.300s: ends before its last pixel", what);
        }
        ret->rgb[i] = (uint8_t)((x > most ? 255 : (x * 255 + most / 2) / most));
    }
    return SCRT_OK;
}

ScrtStatus scrt_picture_decode(const char *what, const ScrtFile *f, const ScrtDecoders *d,
                               ScrtPixels *ret, ScrtIoError *err)
{
    const char *format = scrt_picture_format(f->data, f->n);
    ScrtDecodeFn decode = NULL;
    if (!format)
        return scrt_io_fail(err, SCRT_E_FILE, "%.300s: is no picture", what);
    if (strcmp(format, "PNM") == 0)
        return decode_pnm(what, f, ret, err);
    if (d && strcmp(format, "PNG") == 0)
        decode = d->png;
    if (d && strcmp(format, "JPEG") == 0)
        decode = d->jpeg;
    if (!decode)
        return scrt_io_fail(
            err, SCRT_E_FILE, "%.300s: is a %s, which this program does not read: make it a .ppm%s",
            what, format, d ? "" : " (or, of a PNG or JPEG, let scalec run read it)");
    return decode(what, f, ret, err);
}

/* --- Other sizes ------------------------------------------------------------------------------ */

static double triangle(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static double cubic(double x) /* a = -0.5 */
{
    x = fabs(x);
    if (x < 1)
        return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/* Where an output element's inputs begin, how many there are, and their weights. */
typedef struct Taps {
    uint32_t *first, *count; /* [n] */
    int32_t *weight;         /* [n][most] */
    uint32_t most;
} Taps;

static void free_taps(Taps *t)
{
    scrt_free(t->first);
    scrt_free(t->count);
    scrt_free(t->weight);
}

static void weigh(Taps *t, uint32_t i, double center, double widen, double (*kernel)(double))
{
    double sum = 0;
    int32_t *w = t->weight + (size_t)i * t->most;
    for (uint32_t k = 0; k < t->count[i]; k++)
        sum += kernel((t->first[i] + k - center + 0.5) / widen);
    for (uint32_t k = 0; k < t->count[i]; k++) {
        double x = kernel((t->first[i] + k - center + 0.5) / widen) / sum * (1 << FRACTION);
        w[k] = (int32_t)(x < 0 ? x - 0.5 : x + 0.5);
    }
}

static bool make_taps(uint32_t from, uint32_t to, ScrtFilter filter, Taps *ret)
{
    double step = (double)from / to, widen = step > 1 ? step : 1;
    double support = (filter == SCRT_BICUBIC ? 2 : 1) * widen;
    ret->most = (uint32_t)ceil(support) * 2 + 1;
    ret->first = scrt_alloc(to * sizeof *ret->first);
    ret->count = scrt_alloc(to * sizeof *ret->count);
    ret->weight = scrt_alloc((size_t)to * ret->most * sizeof *ret->weight);
    if (!ret->first || !ret->count || !ret->weight)
        return false;
    for (uint32_t i = 0; i < to; i++) {
        double center = (i + 0.5) * step, end = center + support + 0.5;
        double begin = center - support + 0.5;
        ret->first[i] = begin > 0 ? (uint32_t)begin : 0;
        ret->count[i] = (end < from ? (uint32_t)end : from) - ret->first[i];
        weigh(ret, i, center, widen, filter == SCRT_BICUBIC ? cubic : triangle);
    }
    return true;
}

static uint8_t to_byte(int64_t sum)
{
    int64_t x = sum >> FRACTION;
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

/* Lines of n elements of 3 bytes each; elements of a line are `apart` bytes from each other, lines
 * `line` bytes. */
typedef struct Lines {
    uint8_t *p;
    size_t apart, line;
} Lines;

static void resample(const Taps *t, uint32_t to, uint32_t n_line, Lines src, Lines dst)
{
    for (uint32_t y = 0; y < n_line; y++)
        for (uint32_t i = 0; i < to; i++) {
            const int32_t *w = t->weight + (size_t)i * t->most;
            const uint8_t *p = src.p + y * src.line + t->first[i] * src.apart;
            int64_t sum[3] = {1 << (FRACTION - 1), 1 << (FRACTION - 1), 1 << (FRACTION - 1)};
            for (uint32_t k = 0; k < t->count[i]; k++, p += src.apart)
                for (int c = 0; c < 3; c++)
                    sum[c] += (int64_t)p[c] * w[k];
            for (int c = 0; c < 3; c++)
                dst.p[y * dst.line + i * dst.apart + (size_t)c] = to_byte(sum[c]);
        }
}

static ScrtStatus resize_nearest(const ScrtPixels *from, ScrtPixels *to)
{
    double dx = (double)from->width / to->width, dy = (double)from->height / to->height;
    for (uint32_t y = 0; y < to->height; y++)
        for (uint32_t x = 0; x < to->width; x++) {
            size_t row = (size_t)((y + 0.5) * dy), column = (size_t)((x + 0.5) * dx);
            memcpy(to->rgb + 3 * ((size_t)y * to->width + x),
                   from->rgb + 3 * (row * from->width + column), 3);
        }
    return SCRT_OK;
}

static ScrtStatus resize_across(const ScrtPixels *from, ScrtFilter filter, ScrtPixels *to)
{
    Taps t = {0};
    bool ok = make_taps(from->width, to->width, filter, &t);
    if (ok)
        resample(&t, to->width, to->height, (Lines){from->rgb, 3, 3 * (size_t)from->width},
                 (Lines){to->rgb, 3, 3 * (size_t)to->width});
    free_taps(&t);
    return ok ? SCRT_OK : SCRT_E_MEMORY;
}

static ScrtStatus resize_down(const ScrtPixels *from, ScrtFilter filter, ScrtPixels *to)
{
    Taps t = {0};
    size_t row = 3 * (size_t)to->width;
    bool ok = make_taps(from->height, to->height, filter, &t);
    if (ok)
        resample(&t, to->height, to->width, (Lines){from->rgb, row, 3}, (Lines){to->rgb, row, 3});
    free_taps(&t);
    return ok ? SCRT_OK : SCRT_E_MEMORY;
}

/* into is of its size already. */
static ScrtStatus resize_into(const ScrtPixels *from, ScrtFilter filter, ScrtPixels *into)
{
    ScrtPixels half = *from;
    ScrtStatus s = SCRT_OK;
    if (filter == SCRT_NEAREST_PIXEL)
        return resize_nearest(from, into);
    if (into->height == from->height)
        return resize_across(from, filter, into);
    if (into->width != from->width) {
        s = pixels_alloc(into->width, from->height, &half);
        if (s == SCRT_OK)
            s = resize_across(from, filter, &half);
    }
    if (s == SCRT_OK)
        s = resize_down(&half, filter, into);
    if (half.rgb != from->rgb)
        scrt_free(half.rgb);
    return s;
}

ScrtStatus scrt_pixels_resize(const ScrtPixels *from, uint32_t width, uint32_t height,
                              ScrtFilter filter, ScrtPixels *ret)
{
    ScrtPixels to;
    ScrtStatus s = pixels_alloc(width, height, &to);
    if (s != SCRT_OK)
        return s;
    if (width == from->width && height == from->height)
        memcpy(to.rgb, from->rgb, 3 * (size_t)width * height);
    else
        s = resize_into(from, filter, &to);
    if (s == SCRT_OK)
        *ret = to;
    else
        scrt_free(to.rgb);
    return s;
}

ScrtStatus scrt_pixels_window(const ScrtPixels *from, int64_t x, int64_t y, uint32_t width,
                              uint32_t height, uint8_t fill, ScrtPixels *ret)
{
    ScrtStatus s = pixels_alloc(width, height, ret);
    for (uint32_t v = 0; s == SCRT_OK && v < height; v++)
        for (uint32_t u = 0; u < width; u++) {
            int64_t column = x + u, row = y + v;
            bool in = column >= 0 && column < from->width && row >= 0 && row < from->height;
            uint8_t *p = ret->rgb + 3 * ((size_t)v * width + u);
            if (in)
                memcpy(p, from->rgb + 3 * ((size_t)row * from->width + (size_t)column), 3);
            else
                memset(p, fill, 3);
        }
    return s;
}
