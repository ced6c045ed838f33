/* SPDX-License-Identifier: Apache-2.0 */
/* Between image.c, image_out.c and pixels.c: pictures as bytes. */
#ifndef SCRT_IMAGE_H
#define SCRT_IMAGE_H

#include "runtime/scrtio_priv.h"

/* Whether the bytes begin a picture; its format's name ("PNG"), or NULL. */
const char *scrt_picture_format(const unsigned char *p, size_t n);
/* Decodes a picture by its content: PNM here, others by d (may be NULL). */
ScrtStatus scrt_picture_decode(const char *what, const ScrtFile *f, const ScrtDecoders *d,
                               ScrtPixels *ret, ScrtIoError *err);
/* Which dims of a tensor are what; -1: none of them. */
typedef struct ScrtPlaces {
    int channel, row, column;
} ScrtPlaces;
/* By the layout that the wish's image names, else by its dims: one picture of one or three colours.
 * port: "input" or "output", for the message. */
ScrtStatus scrt_image_places(const char *what, const char *port, const ScrtWish *w, ScrtPlaces *ret,
                             ScrtIoError *err);
/* What a byte is multiplied by. */
double scrt_image_scale(const ScrtImage *o, ScrtDtype d);
/* The picture at another size, in new memory; from is the caller's still. As Pillow's resize does,
 * bit for bit. */
ScrtStatus scrt_pixels_resize(const ScrtPixels *from, uint32_t width, uint32_t height,
                              ScrtFilter filter, ScrtPixels *ret);
/* A window of width x height whose upper left corner lies at (x, y) of from, which may lie outside:
 * there each byte is fill. */
ScrtStatus scrt_pixels_window(const ScrtPixels *from, int64_t x, int64_t y, uint32_t width,
                              uint32_t height, uint8_t fill, ScrtPixels *ret);

#endif
