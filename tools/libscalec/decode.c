/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures that libraries read and write: PNG and JPEG, where they were there when this was built.
 * Sizes are checked before memory is taken. Colour profiles, gamma and orientation are not applied,
 * and transparency is dropped, as Pillow's convert("RGB") does. */
#include "tools/libscalec/scalec.h"

#include <string.h>

#ifdef SC_PNG
#include <png.h>
#endif
#ifdef SC_JPEG
#include <turbojpeg.h>
#endif

#if defined SC_PNG || defined SC_JPEG
static ScrtStatus fail(ScrtIoError *err, ScrtStatus s, const char *what, const char *why)
{
    snprintf(err->text, sizeof err->text, "%.300s: %.200s", what, why);
    return s;
}

/* bytes: of a pixel while it is decoded. */
static ScrtStatus make_room(const char *what, uint64_t width, uint64_t height, size_t bytes,
                            ScrtPixels *ret, ScrtIoError *err)
{
    if (width < 1 || height < 1 || width > UINT16_MAX || height > UINT16_MAX ||
        width * height > SCRT_MOST_PIXELS)
        return fail(err, SCRT_E_SHAPE, what, "the picture is empty or too large");
    *ret = (ScrtPixels){(uint32_t)width, (uint32_t)height,
                        scrt_alloc((size_t)(width * height) * bytes)};
    return ret->rgb ? SCRT_OK : fail(err, SCRT_E_MEMORY, what, "out of memory");
}
#endif

#ifdef SC_PNG
static ScrtStatus decode_png(const char *what, const ScrtFile *f, ScrtPixels *ret, ScrtIoError *err)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    ScrtPixels p = {0};
    if (!png_image_begin_read_from_memory(&png, f->data, f->n))
        return fail(err, SCRT_E_FILE, what, png.message);
    png.format = PNG_FORMAT_RGBA;
    png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB; /* deep ones are no linear light either */
    ScrtStatus s = make_room(what, png.width, png.height, 4, &p, err);
    if (s == SCRT_OK && !png_image_finish_read(&png, NULL, p.rgb, 0, NULL))
        s = fail(err, SCRT_E_FILE, what, png.message);
    png_image_free(&png);
    if (s != SCRT_OK) {
        scrt_free(p.rgb);
        return s;
    }
    for (size_t i = 0; i < (size_t)p.width * p.height; i++) /* a pixel's place is never after its */
        memmove(p.rgb + 3 * i, p.rgb + 4 * i, 3);
    *ret = p;
    return SCRT_OK;
}

static ScrtStatus write_png(const char *path, const ScrtPixels *p, ScrtIoError *err)
{
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = p->width,
                     .height = p->height,
                     .format = PNG_FORMAT_RGB};
    png_alloc_size_t n = PNG_IMAGE_PNG_SIZE_MAX(png); /* more than it will take */
    unsigned char *bytes = scrt_alloc(n);
    if (!bytes)
        return fail(err, SCRT_E_MEMORY, path, "out of memory");
    ScrtStatus s = png_image_write_to_memory(&png, bytes, &n, 0, p->rgb, 0, NULL)
                       ? scrt_file_write(path, bytes, n, err)
                       : fail(err, SCRT_E_FILE, path, png.message);
    scrt_free(bytes);
    return s;
}
#endif

#ifdef SC_JPEG
static ScrtStatus decode_jpeg(const char *what, const ScrtFile *f, ScrtPixels *ret,
                              ScrtIoError *err)
{
    int width = 0, height = 0, sampling, colours;
    ScrtPixels p = {0};
    ScrtStatus s = SCRT_OK;
    if (f->n > 3 * (size_t)SCRT_MOST_PIXELS) /* the header is looked for to the end */
        return fail(err, SCRT_E_FILE, what, "is larger than any picture that is read");
    tjhandle tj = tjInitDecompress();
    if (!tj)
        return fail(err, SCRT_E_MEMORY, what, "out of memory");
    if (tjDecompressHeader3(tj, f->data, f->n, &width, &height, &sampling, &colours) != 0)
        s = fail(err, SCRT_E_FILE, what, tjGetErrorStr2(tj));
    else if (colours == TJCS_CMYK || colours == TJCS_YCCK)
        s = fail(err, SCRT_E_FILE, what, "is a JPEG in CMYK, which is not read");
    if (s == SCRT_OK)
        s = make_room(what, (uint64_t)width, (uint64_t)height, 3, &p, err);
    if (s == SCRT_OK && tjDecompress2(tj, f->data, f->n, p.rgb, width, 0, height, TJPF_RGB,
                                      TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS) != 0)
        s = fail(err, SCRT_E_FILE, what, tjGetErrorStr2(tj));
    tjDestroy(tj);
    if (s == SCRT_OK)
        *ret = p;
    else
        scrt_free(p.rgb);
    return s;
}
#endif

const ScrtDecoders *scalec_decoders(void)
{
    static const ScrtDecoders decoders = {
#ifdef SC_PNG
        .png = decode_png,
        .write_png = write_png,
#endif
#ifdef SC_JPEG
        .jpeg = decode_jpeg,
#endif
    };
    return &decoders;
}
