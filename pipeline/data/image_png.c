/* image_png.c - libpng both ways. Reading: every kind of PNG to RGB or RGBA of 8 bits, gamma ignored as Pillow ignores it.
 * Writing: the same bytes for the same pixels and texts; no time, no software name.
 *
 * setjmp is entered in image_png_decode and image_encode_png; what must survive a jump lies in struct stream. */
#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "pipeline/data/codec.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

struct stream {
    png_structp png;
    png_infop info;
    enum code code;
    struct err *e;
    const char *name;
    const uint8_t *data; /* reading: borrowed */
    size_t bytes, at;
    uint8_t **rows;  /* reading: owned */
    struct text out; /* writing: owned */
    char *latin1;    /* writing: owned, a text on its way */
};

_Noreturn static void fail(struct stream *s, enum code code)
{
    s->code = code;
    png_longjmp(s->png, 1);
}

static void on_error(png_structp png, png_const_charp why)
{
    struct stream *s = png_get_error_ptr(png);
    fail(s, image_damaged(s->name, "PNG", why, s->e));
}

static void on_warning(png_structp png, png_const_charp why)
{
    (void)png, (void)why;
}

static void on_read(png_structp png, png_bytep to, png_size_t n)
{
    struct stream *s = png_get_io_ptr(png);
    if (n > s->bytes - s->at) fail(s, image_truncated(s->name, s->bytes, s->e));
    memcpy(to, s->data + s->at, n);
    s->at += n;
}

/* ---- the container -------------------------------------------------------------------------------------------------- */

struct chunks {
    const uint8_t *exif; /* borrowed; the one before or behind the pixels */
    size_t n_exif;
};

static size_t word(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

/* Length, name, data, checksum, one behind the other up to IEND. Walked before libpng sees them, for it allocates what a
 * length says before it reads: a file of a hundred bytes could ask for two gigabytes. */
static enum code chunks_read(const uint8_t *data, size_t bytes, struct picture *p, struct chunks *c,
                             struct err *e)
{
    enum code rc;
    for (size_t at = 8; bytes - at >= 12;) {
        const uint8_t *name = data + at + 4, *inside = data + at + 8;
        size_t n = word(data + at);
        if (n > bytes - at - 12) break;
        if (at == 8 && (n != 13 || memcmp(name, "IHDR", 4) != 0))
            return image_damaged(p->name, "PNG", "no header", e);
        if (at == 8 && (rc = image_check_size(p, word(inside), word(inside + 4), e))) return rc;
        if (!memcmp(name, "IEND", 4)) return OK;
        if (!memcmp(name, "acTL", 4) && n >= 4 && word(inside) > 1)
            return err_set(e, ERR_INPUT,
                           "%s is an animation of %zu pictures; save one of them as PNG or JPEG",
                           p->name, word(inside));
        if (!memcmp(name, "eXIf", 4)) *c = (struct chunks){inside, n};
        at += 12 + n;
    }
    return image_truncated(p->name, bytes, e);
}

/* ---- the pixels ----------------------------------------------------------------------------------------------------- */

static void to_8_bit_rgb(struct stream *s, struct picture *p)
{
    int kind = png_get_color_type(s->png, s->info);
    int alpha = (kind & PNG_COLOR_MASK_ALPHA) || png_get_valid(s->png, s->info, PNG_INFO_tRNS);
    p->info->had_16_bit = png_get_bit_depth(s->png, s->info) == 16;
    p->info->was_grey = !(kind & PNG_COLOR_MASK_COLOR);
    png_set_strip_16(
        s->png); /* the upper byte, as Pillow; rounding can end two steps away once resized */
    png_set_expand(s->png); /* palettes, less than 8 bits, tRNS */
    png_set_gray_to_rgb(s->png);
    png_set_interlace_handling(s->png);
    enum code rc = image_take_pixels(p, png_get_image_width(s->png, s->info),
                                     png_get_image_height(s->png, s->info), alpha ? 4 : 3, s->e);
    if (rc) fail(s, rc);
    png_read_update_info(s->png, s->info);
    if (png_get_rowbytes(s->png, s->info) != (size_t)p->w * (size_t)p->channels)
        fail(s, err_set(s->e, ERR_INTERNAL, "%s: rows of an unexpected length", s->name));
}

static void decode(struct stream *s, struct picture *p)
{
    png_set_read_fn(s->png, s, on_read);
    png_set_user_limits(s->png, 0x7fffffff, 0x7fffffff); /* ours were checked, in our words */
    /* Texts, profiles and the like, which may be packed a thousandfold, are passed over. */
    png_set_keep_unknown_chunks(s->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(s->png, s->info);
    to_8_bit_rgb(s, p);
    s->rows = calloc((size_t)p->h, sizeof *s->rows);
    if (!s->rows) fail(s, err_set(s->e, ERR_NOMEM, "%s: out of memory", s->name));
    for (int y = 0; y < p->h; y++)
        s->rows[y] = p->pixel + (size_t)y * (size_t)p->w * (size_t)p->channels;
    png_read_image(s->png, s->rows);
    png_read_end(s->png, s->info);
}

enum code image_png_decode(const void *data, size_t bytes, struct picture *p, struct err *e)
{
    struct chunks c = {0};
    enum code rc = chunks_read(data, bytes, p, &c, e);
    struct stream *s = rc ? NULL : calloc(1, sizeof *s);
    if (rc) return rc;
    if (!s) return err_set(e, ERR_NOMEM, "%s: out of memory", p->name);
    *s = (struct stream){.e = e, .name = p->name, .data = data, .bytes = bytes};
    s->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, s, on_error, on_warning);
    s->info = s->png ? png_create_info_struct(s->png) : NULL;
    if (!s->info) s->code = err_set(e, ERR_NOMEM, "%s: out of memory", p->name);
    else if (!setjmp(png_jmpbuf(s->png))) decode(s, p);
    rc = s->code;
    if (!rc && c.exif) p->orientation = image_exif_orientation(c.exif, c.n_exif);
    png_destroy_read_struct(&s->png, &s->info, NULL);
    free(s->rows);
    free(s);
    return rc;
}

/* ---- writing ---- */

static void on_write(png_structp png, png_bytep data, png_size_t n)
{
    struct stream *s = png_get_io_ptr(png);
    text_add_bytes(&s->out, data, n);
    if (!text_ok(&s->out)) fail(s, err_set(s->e, ERR_NOMEM, "out of memory writing a PNG"));
}

static void on_flush(png_structp png)
{
    (void)png;
}

static void write_error(png_structp png, png_const_charp why)
{
    struct stream *s = png_get_error_ptr(png);
    fail(s, err_set(s->e, ERR_INTERNAL, "writing a PNG: %s", why));
}

/* libpng's interface is not const; it copies keyword and text. */
static char *not_const(const char *s)
{
    union {
        const char *in;
        char *out;
    } u = {s};
    return u.out;
}

/* UTF-8 as Latin-1 into out (as long as the text), or 0 if a character has no place there. Control characters but the line
 * feed have none: the standard keeps them out of tEXt. */
static int to_latin1(const char *text, char *out)
{
    for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
        unsigned c = *s;
        if ((c == 0xc2 || c == 0xc3) && (s[1] & 0xc0) == 0x80) c = (c & 3) << 6 | (*++s & 0x3f);
        else if (c >= 0x80) return 0;
        if ((c < 0x20 && c != '\n') || (c >= 0x7f && c < 0xa0)) return 0;
        *out++ = (char)c;
    }
    *out = 0;
    return 1;
}

/* tEXt where Latin-1 has all characters, else iTXt: as Pillow writes, so that programs which read only tEXt find it. */
static void text_set(struct stream *s, const char *keyword, const char *text)
{
    char *latin1 = mem_alloc(strlen(text) + 1, 1);
    if (!latin1) fail(s, err_set(s->e, ERR_NOMEM, "out of memory writing a PNG"));
    png_text t = {.key = not_const(keyword), .lang = not_const(""), .lang_key = not_const("")};
    if (to_latin1(text, latin1)) {
        t.compression = PNG_TEXT_COMPRESSION_NONE;
        t.text = latin1;
        t.text_length = strlen(latin1);
    } else {
        t.compression = PNG_ITXT_COMPRESSION_NONE;
        t.text = not_const(text);
        t.itxt_length = strlen(text);
    }
    s->latin1 = latin1; /* freed with the stream if libpng jumps */
    png_set_text(s->png, s->info, &t, 1);
    s->latin1 = NULL;
    free(latin1);
}

static void texts_set(struct stream *s, const char *const *text)
{
    for (; text && text[0] && text[1]; text += 2) text_set(s, text[0], text[1]);
}

static void encode(struct stream *s, const struct image *im, const char *const *text)
{
    png_set_write_fn(s->png, s, on_write, on_flush);
    png_set_IHDR(s->png, s->info, (png_uint_32)im->w, (png_uint_32)im->h, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    /* Fixed, so that a change of the library's defaults does not change names of objects. */
    png_set_compression_level(s->png, 6);
    png_set_filter(s->png, PNG_FILTER_TYPE_BASE, PNG_ALL_FILTERS);
    texts_set(s, text);
    png_write_info(s->png, s->info);
    for (int y = 0; y < im->h; y++) png_write_row(s->png, im->rgb + (size_t)y * (size_t)im->w * 3);
    png_write_end(s->png, s->info);
}

enum code image_encode_png(const struct image *im, const char *const *text, struct bytes *out,
                           struct err *e)
{
    *out = (struct bytes){0};
    struct stream *s = calloc(1, sizeof *s);
    if (!s) return err_set(e, ERR_NOMEM, "out of memory writing a PNG");
    s->e = e;
    s->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, s, write_error, on_warning);
    s->info = s->png ? png_create_info_struct(s->png) : NULL;
    if (!s->info) s->code = err_set(e, ERR_NOMEM, "out of memory writing a PNG");
    else if (!setjmp(png_jmpbuf(s->png))) encode(s, im, text);
    enum code rc = s->code;
    png_destroy_write_struct(&s->png, &s->info);
    free(s->latin1);
    if (rc) text_fini(&s->out);
    else *out = (struct bytes){(uint8_t *)s->out.s, s->out.n};
    free(s);
    return rc;
}

enum code image_write_png(const char *path, const struct image *im, const char *const *text,
                          struct err *e)
{
    struct bytes b;
    enum code rc = image_encode_png(im, text, &b, e);
    if (!rc) rc = file_write(path, b.data, b.n, e);
    free(b.data);
    return rc;
}
