/* SPDX-License-Identifier: Apache-2.0 */
/* A picture as a model's input: its size, its colours' order and scale, its layout. The words are
 * those of --image. */
#include "runtime/image.h"

#include <math.h>
#include <stdlib.h>

/* --- Words ------------------------------------------------------------------------------------ */

typedef struct Word { /* key=value, the value up to the comma before the next key */
    const char *key, *value;
    size_t n_key, n_value;
} Word;

/* The next word at *p, which is moved past it: a part without '=' goes on with the value before. */
static bool take_word(const char **p, Word *ret)
{
    const char *at = *p;
    ret->key = at;
    ret->n_key = strcspn(at, "=,");
    if (at[ret->n_key] != '=' || ret->n_key == 0)
        return false;
    at = ret->value = at + ret->n_key + 1;
    at += strcspn(at, ",");
    while (*at == ',' && at[1 + strcspn(at + 1, "=,")] != '=' && at[1])
        at += 1 + strcspn(at + 1, ",");
    ret->n_value = (size_t)(at - ret->value);
    *p = *at ? at + 1 : at;
    return *at == '\0' || at[1];
}

static bool is_word(const Word *w, const char *text)
{
    return w->n_value == strlen(text) && memcmp(w->value, text, w->n_value) == 0;
}

/* "0.5" or "1/255" */
static bool take_real(const char **p, double *ret)
{
    char *end;
    *ret = strtod(*p, &end);
    bool ok = end != *p;
    if (ok && *end == '/') {
        const char *below = end + 1;
        *ret /= strtod(below, &end);
        ok = end != below;
    }
    *p = end;
    return ok && isfinite(*ret);
}

/* One number or three. */
static bool take_channels(const Word *w, double ret[3], bool *given)
{
    const char *p = w->value, *end = p + w->n_value;
    int n = 0;
    while (n < 3 && take_real(&p, &ret[n])) {
        n++;
        if (p == end || *p != ',')
            break;
        p++;
    }
    if (n == 1)
        ret[1] = ret[2] = ret[0];
    *given = true;
    return p == end && (n == 1 || n == 3);
}

static bool take_side(const char **p, uint32_t *ret)
{
    char *end;
    unsigned long x = **p >= '0' && **p <= '9' ? strtoul(*p, &end, 10) : 0;
    if (x < 1 || x > UINT16_MAX)
        return false;
    *p = end;
    *ret = (uint32_t)x;
    return true;
}

/* "256" or "320x240"; one number leaves the other 0. */
static bool take_size(const Word *w, ScrtSize *ret)
{
    const char *p = w->value, *end = p + w->n_value;
    *ret = (ScrtSize){0};
    if (!take_side(&p, &ret->width))
        return false;
    if (*p == 'x' && (p++, !take_side(&p, &ret->height)))
        return false;
    return p == end;
}

static bool take_layout(const Word *w, ScrtImage *ret)
{
    static const char *const layouts[] = {"nchw", "nhwc", "chw", "hwc", "hw"};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (is_word(w, layouts[i]))
            ret->layout = layouts[i];
    return ret->layout;
}

static bool take_filter(const Word *w, ScrtImage *ret)
{
    static const char *const names[] = {"bilinear", "bicubic", "nearest"};
    for (int i = 0; i < 3; i++)
        if (is_word(w, names[i])) {
            ret->filter = (ScrtFilter)i;
            return true;
        }
    return false;
}

static bool take_pad(const Word *w, ScrtImage *ret)
{
    const char *p = w->value;
    double x;
    if (!take_real(&p, &x) || p != w->value + w->n_value || !(x >= 0 && x <= 255))
        return false;
    ret->fill = (uint8_t)x;
    return ret->pad = true;
}

static bool take_order(const Word *w, ScrtImage *ret)
{
    ret->bgr = is_word(w, "bgr");
    return ret->bgr || is_word(w, "rgb");
}

static bool take_scale(const Word *w, ScrtImage *ret)
{
    const char *p = w->value;
    return take_real(&p, &ret->scale) && p == w->value + w->n_value && ret->scale != 0;
}

static bool take_mean(const Word *w, ScrtImage *ret)
{
    bool given;
    return take_channels(w, ret->mean, &given);
}

static bool take_std(const Word *w, ScrtImage *ret)
{
    return take_channels(w, ret->std, &ret->has_std) && ret->std[0] != 0 && ret->std[1] != 0 &&
           ret->std[2] != 0;
}

static bool take_resize(const Word *w, ScrtImage *ret)
{
    return take_size(w, &ret->resize);
}

static bool take_crop(const Word *w, ScrtImage *ret)
{
    bool ok = take_size(w, &ret->crop);
    if (!ret->crop.height)
        ret->crop.height = ret->crop.width;
    return ok;
}

static const struct {
    const char *key, *what;
    bool (*take)(const Word *w, ScrtImage *ret);
} keys[] = {
    {"layout", "nchw, nhwc, chw, hwc or hw", take_layout},
    {"order", "rgb or bgr", take_order},
    {"scale", "a number that is not 0, like 1/255", take_scale},
    {"mean", "a number, or three", take_mean},
    {"std", "a number that is not 0, or three", take_std},
    {"resize", "the shorter side, or WIDTHxHEIGHT", take_resize},
    {"crop", "a side, or WIDTHxHEIGHT", take_crop},
    {"pad", "a grey of 0 to 255", take_pad},
    {"filter", "bilinear, bicubic or nearest", take_filter},
};
enum { N_KEYS = sizeof keys / sizeof *keys };

ScrtStatus scrt_image_parse(const char *text, ScrtImage *ret, ScrtIoError *err)
{
    *ret = (ScrtImage){.decoders = ret->decoders};
    while (*text) {
        Word w;
        int k = 0;
        const char *at = text;
        if (!take_word(&text, &w))
            return scrt_io_fail(err, SCRT_E_ARGUMENT, "'%.100s' is not KEY=VALUE", at);
        while (k < N_KEYS &&
               (strlen(keys[k].key) != w.n_key || memcmp(keys[k].key, w.key, w.n_key) != 0))
            k++;
        if (k == N_KEYS)
            return scrt_io_fail(err, SCRT_E_ARGUMENT,
                                "there is no '%.*s'; there are layout, order, scale, mean, std, "
                                "resize, crop, pad and filter",
                                w.n_key < 100 ? (int)w.n_key : 100, w.key);
        if (!keys[k].take(&w, ret))
            return scrt_io_fail(err, SCRT_E_ARGUMENT, "%s is %s, not '%.*s'", keys[k].key,
                                keys[k].what, w.n_value < 100 ? (int)w.n_value : 100, w.value);
    }
    if (ret->pad && (ret->crop.width || (ret->resize.width && !ret->resize.height)))
        return scrt_io_fail(err, SCRT_E_ARGUMENT, "pad goes with neither crop nor resize=SIDE");
    return SCRT_OK;
}

/* --- The tensor's dims ------------------------------------------------------------------------ */

static ScrtPlaces place_of(const char *layout)
{
    const char *c = strchr(layout, 'c');
    return (ScrtPlaces){c ? (int)(c - layout) : -1, (int)(strchr(layout, 'h') - layout),
                        (int)(strchr(layout, 'w') - layout)};
}

static bool is_channels(int64_t dim)
{
    return dim == 1 || dim == 3;
}

/* The layout that the dims speak for: channels are 1 or 3. NULL: none, or two; a matrix may
 * be anything. */
static const char *layout_of(const ScrtWish *w)
{
    bool batch = w->rank == 4;
    if (w->rank != 3 && w->rank != 4)
        return NULL;
    bool first = is_channels(w->dims[batch]), last = is_channels(w->dims[w->rank - 1]);
    if (first == last)
        return NULL;
    return first ? (batch ? "nchw" : "chw") : (batch ? "nhwc" : "hwc");
}

ScrtStatus scrt_image_places(const char *what, const char *port, const ScrtWish *w, ScrtPlaces *ret,
                             ScrtIoError *err)
{
    const char *layout = w->image && w->image->layout ? w->image->layout : layout_of(w);
    if (!layout)
        return scrt_io_fail(err, SCRT_E_SHAPE,
                            "%.300s: the %s's shape does not say where height, width and "
                            "colours lie: --image layout=nchw, nhwc, chw, hwc or hw",
                            what, port);
    if (strlen(layout) != w->rank)
        return scrt_io_fail(err, SCRT_E_SHAPE,
                            "%.300s: a picture of layout %s has %zu dimensions, the %s %u", what,
                            layout, strlen(layout), port, w->rank);
    ScrtPlaces p = place_of(layout);
    int64_t c = p.channel < 0 ? 1 : w->dims[p.channel];
    if (c >= 0 && !is_channels(c))
        return scrt_io_fail(err, SCRT_E_SHAPE, "%.300s: the %s has %lld channels of colour", what,
                            port, (long long)c);
    if (*layout == 'n' && w->dims[0] >= 0 && w->dims[0] != 1)
        return scrt_io_fail(err, SCRT_E_SHAPE, "%.300s: one picture for an %s of %lld", what, port,
                            (long long)w->dims[0]);
    *ret = p;
    return SCRT_OK;
}

/* --- Its size --------------------------------------------------------------------------------- */

static void replace(ScrtPixels *p, const ScrtPixels *by)
{
    scrt_free(p->rgb);
    *p = *by;
}

static ScrtStatus resize(ScrtPixels *p, uint32_t width, uint32_t height, ScrtFilter filter)
{
    ScrtPixels to;
    ScrtStatus s = scrt_pixels_resize(p, width, height, filter, &to);
    if (s == SCRT_OK)
        replace(p, &to);
    return s;
}

static ScrtStatus window(ScrtPixels *p, int64_t x, int64_t y, ScrtSize size, uint8_t fill)
{
    ScrtPixels to;
    ScrtStatus s = scrt_pixels_window(p, x, y, size.width, size.height, fill, &to);
    if (s == SCRT_OK)
        replace(p, &to);
    return s;
}

/* The shorter side becomes so long; the other one is rounded down, as torchvision does. */
static ScrtStatus resize_shorter(ScrtPixels *p, uint32_t side, ScrtFilter filter)
{
    uint64_t w = p->width, h = p->height;
    uint64_t width = w < h ? side : side * w / h, height = w < h ? side * h / w : side;
    return width > UINT16_MAX || height > UINT16_MAX
               ? SCRT_E_SHAPE
               : resize(p, (uint32_t)width, (uint32_t)height, filter);
}

static ScrtStatus letterbox(ScrtPixels *p, ScrtSize box, const ScrtImage *o)
{
    double across = (double)box.width / p->width, down = (double)box.height / p->height;
    double by = across < down ? across : down;
    double width = rint(p->width * by), height = rint(p->height * by);
    ScrtStatus s =
        resize(p, width < 1 ? 1 : (uint32_t)width, height < 1 ? 1 : (uint32_t)height, o->filter);
    int64_t x = ((int64_t)box.width - p->width) / 2, y = ((int64_t)box.height - p->height) / 2;
    return s == SCRT_OK ? window(p, -x, -y, box, o->fill) : s;
}

/* Half of what is cut off, to even: as torchvision's centre. */
static int64_t margin(uint32_t have, uint32_t want)
{
    return (int64_t)rint(((double)have - want) / 2);
}

/* want: the input's size, 0 where it is open. */
static ScrtStatus fit(const char *what, ScrtPixels *p, const ScrtImage *o, ScrtSize want,
                      ScrtIoError *err)
{
    bool known = want.width && want.height;
    ScrtSize box = o->resize.height ? o->resize : want, cut = o->crop;
    ScrtStatus s = SCRT_OK;
    if (o->pad && !(box.width && box.height))
        return scrt_io_fail(err, SCRT_E_SHAPE,
                            "%.300s: the input's size is open: pad needs resize=WIDTHxHEIGHT",
                            what);
    if (o->pad)
        s = letterbox(p, box, o);
    else if (o->resize.height || (known && !o->resize.width && !cut.width))
        s = resize(p, box.width, box.height, o->filter);
    else if (o->resize.width)
        s = resize_shorter(p, o->resize.width, o->filter);
    if (!cut.width && known && !o->pad)
        cut = want;
    if (s == SCRT_OK && cut.width && (cut.width > p->width || cut.height > p->height))
        return scrt_io_fail(err, SCRT_E_SHAPE, "%.300s: %u x %u is too small to cut %u x %u out",
                            what, p->width, p->height, cut.width, cut.height);
    if (s == SCRT_OK && cut.width)
        s = window(p, margin(p->width, cut.width), margin(p->height, cut.height), cut, 0);
    if (s != SCRT_OK)
        return scrt_io_fail(err, s, "%.300s: %s", what,
                            s == SCRT_E_SHAPE ? "its new size is too large" : scrt_status_text(s));
    if (want.width && p->width != want.width)
        return scrt_io_fail(err, SCRT_E_SHAPE, "%.300s: is %u wide now, the input takes %u", what,
                            p->width, want.width);
    if (want.height && p->height != want.height)
        return scrt_io_fail(err, SCRT_E_SHAPE, "%.300s: is %u high now, the input takes %u", what,
                            p->height, want.height);
    return SCRT_OK;
}

/* --- Its elements ----------------------------------------------------------------------------- */

static uint32_t grey(const uint8_t *rgb) /* Rec. 601 luma, as Pillow rounds it */
{
    return (19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 0x8000u) >> 16;
}

double scrt_image_scale(const ScrtImage *o, ScrtDtype d)
{
    return o->scale != 0 ? o->scale : scrt_dtype_is_float(d) ? 1.0 / 255 : 1;
}

static ScrtStatus fill_tensor(const ScrtPixels *p, const ScrtImage *o, ScrtPlaces at, ScrtTensor *t)
{
    ScrtStatus s = scrt_tensor_alloc(t);
    if (s != SCRT_OK)
        return s;
    ScrtDtype d = (ScrtDtype)t->dtype;
    bool real = scrt_dtype_is_float(d);
    int64_t n = at.channel < 0 ? 1 : t->dims[at.channel];
    bool last = at.channel > at.row;
    size_t pixels = (size_t)p->width * p->height;
    double scale = scrt_image_scale(o, d);
    for (size_t i = 0; i < pixels; i++)
        for (int64_t c = 0; c < n; c++) {
            const uint8_t *rgb = p->rgb + 3 * i;
            double x = n == 1 ? grey(rgb) : rgb[o->bgr ? 2 - c : c];
            x = (x * scale - o->mean[c]) / (o->has_std ? o->std[c] : 1);
            size_t k = last ? i * (size_t)n + (size_t)c : (size_t)c * pixels + i;
            scrt_store(d, t->data, k, real ? x : rint(x), true);
        }
    return SCRT_OK;
}

static ScrtStatus make(const ScrtTensorFile *file, const ScrtWish *wish, ScrtTensor *ret,
                       ScrtIoError *err)
{
    static const ScrtImage defaults;
    const ScrtImage *o = wish->image ? wish->image : &defaults;
    const char *what = file->what;
    ScrtPixels p;
    ScrtPlaces at;
    ScrtStatus s = scrt_image_places(what, "input", wish, &at, err);
    if (s == SCRT_OK)
        s = scrt_picture_decode(what, &file->file, o->decoders, &p, err);
    if (s != SCRT_OK)
        return s;
    int64_t height = wish->dims[at.row], width = wish->dims[at.column];
    ScrtSize want = {width > 0 && width <= UINT16_MAX ? (uint32_t)width : 0,
                     height > 0 && height <= UINT16_MAX ? (uint32_t)height : 0};
    s = fit(what, &p, o, want, err);
    if (s == SCRT_OK) {
        ScrtTensor t = {.dtype = wish->dtype, .rank = wish->rank, .dims = {1}};
        t.dims[at.row] = p.height;
        t.dims[at.column] = p.width;
        if (at.channel >= 0)
            t.dims[at.channel] = wish->dims[at.channel] > 0 ? wish->dims[at.channel] : 3;
        s = fill_tensor(&p, o, at, &t);
        if (s == SCRT_OK)
            *ret = t;
        else
            scrt_io_fail(err, s, "%.300s: %s", what, scrt_status_text(s));
    }
    scrt_free(p.rgb);
    return s;
}

static bool is_picture(const ScrtFile *f)
{
    return scrt_picture_format(f->data, f->n);
}

const ScrtFileFormat scrt_format_picture = {.suffix = ".ppm", .is = is_picture, .make = make};
