/* codec.h - what stands between image.c and one codec library each. Only the image_*.c files include it.
 *
 *     struct picture p = {.name = name, .info = &info};
 *     rc = image_jpeg_decode(data, bytes, &p, e);      // pixels as stored; p.orientation says how to hold them
 *
 * A decoder checks the size that the file declares with image_check_size before it takes memory for pixels, calls
 * anything that the library found wrong an error, and prints nothing.
 */
#ifndef DATA_CODEC_H
#define DATA_CODEC_H

#include "base/err.h"
#include "pipeline/data/image.h"

#include <stddef.h>
#include <stdint.h>

#define IMAGE_SIDE 32768u            /* a longer side is no photograph, and products of two sides stay small */

struct picture {
    const char *name;                /* for errors */
    struct image_info *info;
    uint8_t *pixel;                  /* owned by image.c, [h][w][channels]; also after a failure */
    int w, h, channels;              /* 3, or 4 with alpha still in it */
    int orientation;                 /* 1..8 as EXIF numbers them; 0: not said */
};

enum code image_png_decode(const void *data, size_t bytes, struct picture *p, struct err *e);
enum code image_jpeg_decode(const void *data, size_t bytes, struct picture *p, struct err *e);
enum code image_webp_decode(const void *data, size_t bytes, struct picture *p, struct err *e);

/* Refuses what a file declares: no pixels, or more of them than are read. */
enum code image_check_size(const struct picture *p, size_t w, size_t h, struct err *e);
/* The same, then takes memory for them. */
enum code image_take_pixels(struct picture *p, uint32_t w, uint32_t h, int channels, struct err *e);
/* The two lines every decoder needs. */
enum code image_truncated(const char *name, size_t bytes, struct err *e);
enum code image_damaged(const char *name, const char *format, const char *why, struct err *e);

/* Orientation in an EXIF block, with or without its "Exif\0\0"; 0 if it says none. */
int image_exif_orientation(const void *data, size_t bytes);
/* Turns pixels [h][w][3] upright: 2 to 8; *w and *h are swapped for 5 to 8. */
enum code image_turn(uint8_t **pixel, int *w, int *h, int orientation, struct err *e);

#endif
