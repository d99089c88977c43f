/* image_jpeg.c - libjpeg-turbo, silenced: its errors and the warnings that mean lost pixels end in one line of ours.
 *
 * setjmp is entered once, in image_jpeg_decode; everything that must survive a jump lies in struct reader. */
#include "pipeline/data/codec.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#define SCANS 256 /* a progressive picture has about ten; thousands are an attack on our time */

struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    enum code code; /* set before a jump when the line is ours */
    struct err *e;
    struct picture *p;
    size_t bytes;
    uint8_t *row; /* owned; one row of CMYK */
};

static struct reader *reader_of(j_common_ptr c)
{
    return c->client_data;
}

_Noreturn static void fail(struct reader *r, enum code code)
{
    r->code = code;
    longjmp(r->jump, 1);
}

static void on_error(j_common_ptr c)
{
    char why[JMSG_LENGTH_MAX];
    c->err->format_message(c, why);
    fail(reader_of(c), image_damaged(reader_of(c)->p->name, "JPEG", why, reader_of(c)->e));
}

/* Warnings that cameras and editors earn without losing a pixel. */
static int harmless(int warning)
{
    return warning == JWRN_EXTRANEOUS_DATA || warning == JWRN_JFIF_MAJOR ||
           warning == JWRN_ADOBE_XFORM || warning == JWRN_TOO_MUCH_DATA ||
           warning == JWRN_BOGUS_ICC;
}

static void on_message(j_common_ptr c, int level)
{
    struct reader *r = reader_of(c);
    if (level >= 0 || harmless(c->err->msg_code)) return;
    if (c->err->msg_code == JWRN_JPEG_EOF) fail(r, image_truncated(r->p->name, r->bytes, r->e));
    on_error(c);
}

static void print_nothing(j_common_ptr c)
{
    (void)c;
}

static void on_progress(j_common_ptr c)
{
    struct reader *r = reader_of(c);
    if (r->jpeg.input_scan_number > SCANS)
        fail(r, image_damaged(r->p->name, "JPEG", "too many scans", r->e));
}

static void orientation_read(struct reader *r)
{
    for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length >= 6 && !memcmp(m->data, "Exif\0", 6)) {
            r->p->orientation = image_exif_orientation(m->data, m->data_length);
            return;
        }
}

/* One row of C M Y K to RGB as Pillow does it: (1 - k)(1 - c). Files hold the light, not the ink: Adobe's do, and those
 * without its marker are taken for the same, by Pillow and so by everything that was trained through it. */
static void row_from_cmyk(const uint8_t *in, uint8_t *out, int w)
{
    for (int x = 0; x < w; x++, in += 4, out += 3)
        for (int c = 0; c < 3; c++) {
            unsigned t = (255u - in[c]) * in[3] + 128, shade = ((t >> 8) + t) >> 8;
            out[c] = (uint8_t)(in[3] - shade);
        }
}

static void decode(struct reader *r, const void *data)
{
    struct jpeg_decompress_struct *j = &r->jpeg;
    struct picture *p = r->p;
    jpeg_mem_src(j, data, r->bytes);
    jpeg_save_markers(j, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(j, TRUE);
    orientation_read(r);
    int cmyk = j->jpeg_color_space == JCS_CMYK || j->jpeg_color_space == JCS_YCCK;
    p->info->was_cmyk = cmyk;
    p->info->was_grey = j->jpeg_color_space == JCS_GRAYSCALE;
    j->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    enum code rc = image_take_pixels(p, j->image_width, j->image_height, 3, r->e);
    if (rc) fail(r, rc);
    jpeg_start_decompress(j);
    if (cmyk && !(r->row = calloc(j->output_width, 4)))
        fail(r, err_set(r->e, ERR_NOMEM, "%s: no memory for a row of pixels", p->name));
    while (j->output_scanline < j->output_height) {
        uint8_t *to = p->pixel + (size_t)j->output_scanline * (size_t)p->w * 3,
                *row = cmyk ? r->row : to;
        jpeg_read_scanlines(j, &row, 1);
        if (cmyk) row_from_cmyk(row, to, p->w);
    }
    jpeg_finish_decompress(j);
}

enum code image_jpeg_decode(const void *data, size_t bytes, struct picture *p, struct err *e)
{
    struct reader *r = calloc(1, sizeof *r);
    if (!r) return err_set(e, ERR_NOMEM, "%s: out of memory", p->name);
    r->e = e;
    r->p = p;
    r->bytes = bytes;
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    r->errors.output_message = print_nothing;
    r->progress.progress_monitor = on_progress;
    if (!setjmp(r->jump)) {
        jpeg_create_decompress(&r->jpeg);
        r->jpeg.client_data = r;
        r->jpeg.progress = &r->progress;
        decode(r, data);
    }
    enum code rc = r->code;
    jpeg_destroy_decompress(&r->jpeg);
    free(r->row);
    free(r);
    return rc;
}
