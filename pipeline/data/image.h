/* image.h - pictures in and out: PNG, JPEG, WebP -> RGB 8 bit, upright, on white; and PNG again.
 *
 *     struct image im;
 *     image_read("rex/03.jpg", &im, &info, &e);        // what the bytes say counts, not the file name
 *     image_square(&im, 512, &e);                      // shorter side to 512 (bicubic as Pillow), centre crop
 *     image_write_png("out.png", &im, text, &e);
 *     image_fini(&im);
 *
 * Refused with one line: empty, truncated, damaged, unknown, animated, larger by its own header than IMAGE_PIXELS or
 * 32768 a side (before any pixel is decoded). EXIF orientation is applied; alpha is laid on white; of 16 bits the upper 8
 * count; grey becomes RGB; CMYK JPEG is converted, with Adobe's polarity. Gamma and colour profiles are ignored. All of this
 * as Pillow does it, within 1 of 255 (docs/formats.md, "Pictures").
 */
#ifndef DATA_IMAGE_H
#define DATA_IMAGE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define IMAGE_PIXELS (100u * 1000 * 1000)
#define IMAGE_FILE_BYTES (256u << 20)

struct image { uint8_t *rgb; int w, h; };                 /* owned, [h][w][3] */
struct image_info {
    const char *format;               /* "PNG", "JPEG", "WebP": what the bytes say */
    int rotated, had_16_bit, was_grey, was_cmyk;
    int had_alpha;                    /* some pixel was not opaque */
};

/* info may be NULL. A failure leaves *out empty. */
enum code image_read(const char *path, struct image *out, struct image_info *info, struct err *e);
enum code image_decode(const void *data, size_t bytes, const char *name, struct image *out, struct image_info *info,
                       struct err *e);
void image_fini(struct image *im);

/* Pillow's antialiased bicubic (a = -0.5, 22-bit fixed point), horizontal first; replaces im's pixels. */
enum code image_resize(struct image *im, int w, int h, struct err *e);
/* Shorter side to `side`, then centre crop side x side, as OpenAI's CLIP preprocessing (crops at half the excess, halves
 * to even). Costs the pixels of the square, however long the image. */
enum code image_square(struct image *im, int side, struct err *e);
void image_flip(struct image *im);                        /* left-right */
/* How far the colours of a picture lie apart: the largest difference between two pixels in one channel, 0 to 255. */
int image_contrast(const struct image *im);

/* text: keyword, value, keyword, value, NULL (UTF-8; tEXt where Latin-1 will do, else iTXt); may be NULL. Same bytes for same input. */
enum code image_write_png(const char *path, const struct image *im, const char *const *text, struct err *e);
struct bytes;
enum code image_encode_png(const struct image *im, const char *const *text, struct bytes *out, struct err *e);

#endif
