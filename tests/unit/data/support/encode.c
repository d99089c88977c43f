/* encode.c - thin calls to libpng, libjpeg and libwebp; a failure of theirs ends the test. */
#include "tests/unit/data/support/encode.h"

#include "base/text.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <webp/encode.h>

#include <jpeglib.h>

static void on_write(png_structp png, png_bytep data, png_size_t n)
{
    text_add_bytes(png_get_io_ptr(png), data, n);
}

static void on_flush(png_structp png)
{
    (void)png;
}

size_t exif_block(int orientation, int big_endian, uint8_t out[40])
{
    static const uint8_t little[] =
        "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0\0\0";
    static const uint8_t big[] =
        "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";
    memcpy(out, big_endian ? big : little, 32);
    out[big_endian ? 25 : 24] = (uint8_t)orientation;
    return 32;
}

struct bytes png_make(const struct png_wish *p)
{
    struct text t = {0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_color palette[256] = {{0, 0, 0}};
    uint8_t exif[40];
    png_set_write_fn(png, &t, on_write, on_flush);
    png_set_IHDR(png, info, (png_uint_32)p->w, (png_uint_32)p->h, p->depth, p->color,
                 p->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
    for (int i = 0; i < p->n_palette; i++)
        palette[i] = (png_color){p->palette[3 * i], p->palette[3 * i + 1], p->palette[3 * i + 2]};
    if (p->n_palette) png_set_PLTE(png, info, palette, p->n_palette);
    if (p->n_transparent) png_set_tRNS(png, info, p->transparent, p->n_transparent, NULL);
    if (p->gamma > 0) png_set_gAMA(png, info, p->gamma);
    size_t n = p->exif ? exif_block(p->exif, 0, exif) : 0;
    if (n) png_set_eXIf_1(png, info, (png_uint_32)(n - 6), exif + 6);
    uint8_t **rows = calloc((size_t)p->h, sizeof *rows);
    uint8_t *copy = malloc(p->row_bytes * (size_t)p->h);
    memcpy(copy, p->rows, p->row_bytes * (size_t)p->h);
    for (int y = 0; y < p->h; y++) rows[y] = copy + (size_t)y * p->row_bytes;
    png_set_rows(png, info, rows);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&png, &info);
    free(rows);
    free(copy);
    return (struct bytes){(uint8_t *)t.s, t.n};
}

struct bytes jpeg_make(const struct jpeg_wish *w)
{
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long n = 0;
    uint8_t exif[40];
    j.err = jpeg_std_error(&errors);
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, &data, &n);
    j.image_width = (JDIMENSION)w->w;
    j.image_height = (JDIMENSION)w->h;
    j.input_components = w->channels;
    j.in_color_space = (J_COLOR_SPACE)w->space;
    jpeg_set_defaults(&j);
    jpeg_set_colorspace(&j, (J_COLOR_SPACE)w->file);
    jpeg_set_quality(&j, w->quality ? w->quality : 100, TRUE);
    for (int c = 0; c < j.num_components; c++)
        j.comp_info[c].h_samp_factor = j.comp_info[c].v_samp_factor = 1;
    if (w->no_adobe) j.write_Adobe_marker = FALSE;
    if (w->progressive) jpeg_simple_progression(&j);
    jpeg_start_compress(&j, TRUE);
    if (w->exif) jpeg_write_marker(&j, JPEG_APP0 + 1, exif, (unsigned)exif_block(w->exif, 1, exif));
    uint8_t *row = malloc((size_t)w->w * (size_t)w->channels);
    while (j.next_scanline < j.image_height) {
        size_t n_row = (size_t)w->w * (size_t)w->channels;
        memcpy(row, w->in + j.next_scanline * n_row, n_row);
        jpeg_write_scanlines(&j, &row, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    free(row);
    return (struct bytes){data, n};
}

struct bytes webp_make(const uint8_t *in, int w, int h, int channels)
{
    uint8_t *data = NULL;
    size_t n = channels == 4 ? WebPEncodeLosslessRGBA(in, w, h, w * 4, &data)
                             : WebPEncodeLosslessRGB(in, w, h, w * 3, &data);
    struct bytes out = {malloc(n), n};
    memcpy(out.data, data, n);
    WebPFree(data);
    return out;
}

static void chunk(struct text *t, const char *name, const uint8_t *data, size_t n)
{
    uint8_t length[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), 0};
    text_add_bytes(t, name, 4);
    text_add_bytes(t, length, 4);
    text_add_bytes(t, data, n);
    if (n & 1) text_add_bytes(t, "", 1);
}

struct bytes webp_extend(struct bytes plain, int w, int h, int orientation, int animated)
{
    struct text t = {0};
    uint8_t exif[40], head[10] = {0};
    head[0] = (uint8_t)((orientation ? 8 : 0) | (animated ? 2 : 0));
    head[4] = (uint8_t)(w - 1);
    head[7] = (uint8_t)(h - 1);
    text_add_bytes(&t, "RIFF....WEBP", 12);
    chunk(&t, "VP8X", head, sizeof head);
    if (animated) {
        static const uint8_t anim[6], frame[16];
        chunk(&t, "ANIM", anim, sizeof anim);
        chunk(&t, "ANMF", frame, sizeof frame);
    }
    text_add_bytes(&t, plain.data + 12, plain.n - 12);
    if (orientation) {
        size_t n = exif_block(orientation, 0, exif);
        chunk(&t, "EXIF", exif + 6, n - 6);
    }
    uint32_t n = (uint32_t)t.n - 8;
    for (int i = 0; i < 4; i++) t.s[4 + i] = (char)(n >> 8 * i);
    free(plain.data);
    return (struct bytes){(uint8_t *)t.s, t.n};
}
