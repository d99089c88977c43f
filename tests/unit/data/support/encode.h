/* encode.h - image files made in memory with the codec libraries, for tests of the reader. free(data). */
#ifndef TESTS_DATA_ENCODE_H
#define TESTS_DATA_ENCODE_H

#include "base/file.h"

struct png_wish {
    int w, h, color, depth;           /* libpng's numbers */
    const uint8_t *rows;              /* as libpng wants them packed */
    size_t row_bytes;
    const uint8_t *palette;           /* [n][3] */
    int n_palette, interlaced, exif;  /* exif: orientation or 0 */
    const uint8_t *transparent;       /* alpha of palette entries */
    int n_transparent;
    double gamma;                     /* 0: none */
};
struct bytes png_make(const struct png_wish *p);

/* space: libjpeg's J_COLOR_SPACE of in; file: of the file. No Adobe marker where no_adobe is 1. */
struct jpeg_wish { int w, h, channels, space, file, exif, no_adobe, progressive, quality; const uint8_t *in; };
struct bytes jpeg_make(const struct jpeg_wish *j);

/* channels 3 or 4, lossless. */
struct bytes webp_make(const uint8_t *in, int w, int h, int channels);
/* The same with a VP8X header: EXIF orientation, or the flag of an animation. */
struct bytes webp_extend(struct bytes plain, int w, int h, int orientation, int animated);

/* "Exif\0\0" and a TIFF directory with one entry. Returns its length, at most 40. */
size_t exif_block(int orientation, int big_endian, uint8_t out[40]);

#endif
