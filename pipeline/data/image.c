/* image.c - from the bytes of a file to upright RGB: which codec, how large, which way up, on what ground. */
#include "pipeline/data/image.h"

#include "base/arena.h"
#include "base/file.h"
#include "pipeline/data/codec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum kind { UNKNOWN, PNG, JPEG, WEBP, OTHER };

/* Formats by their first bytes. Those that are not read are named all the same: the user must know what to convert. */
static const struct magic {
    enum kind kind;
    const char *format;
    size_t at, n;
    const char *bytes;
} magics[] = {
    {PNG, "PNG", 0, 8, "\x89PNG\r\n\x1a\n"},
    {JPEG, "JPEG", 0, 3, "\xff\xd8\xff"},
    {WEBP, "WebP", 8, 4, "WEBP"},
    {OTHER, "GIF", 0, 4, "GIF8"},
    {OTHER, "BMP", 0, 2, "BM"},
    {OTHER, "TIFF", 0, 4, "II*\0"},
    {OTHER, "TIFF", 0, 4, "MM\0*"},
    {OTHER, "AVIF", 4, 8, "ftypavif"},
    {OTHER, "HEIC", 4, 8, "ftypheic"},
    {OTHER, "HEIC", 4, 8, "ftypheix"},
    {OTHER, "HEIC", 4, 8, "ftypmif1"},
    {OTHER, "JPEG XL", 0, 8, "\0\0\0\x0cJXL "},
    {OTHER, "JPEG XL", 0, 2, "\xff\x0a"},
    {OTHER, "a Photoshop file", 0, 4, "8BPS"},
    {OTHER, "a PDF", 0, 4, "%PDF"},
    {OTHER, "SVG", 0, 4, "<svg"},
};

static const struct magic *recognise(const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const struct magic *m = &magics[i];
        if (m->kind == WEBP && (bytes < 4 || memcmp(data, "RIFF", 4) != 0)) continue;
        if (bytes >= m->at + m->n && !memcmp(data + m->at, m->bytes, m->n)) return m;
    }
    return NULL;
}

/* Is the whole file no more than the beginning of something that we read? */
static int beginning_only(const uint8_t *data, size_t bytes)
{
    static const struct {
        size_t n;
        const char *bytes;
    } start[] = {{8, "\x89PNG\r\n\x1a\n"}, {3, "\xff\xd8\xff"}, {4, "RIFF"}};
    for (size_t i = 0; i < sizeof start / sizeof *start; i++) {
        size_t n = bytes < start[i].n ? bytes : start[i].n;
        if (bytes < 12 && !memcmp(data, start[i].bytes, n)) return 1;
    }
    return 0;
}

enum code image_truncated(const char *name, size_t bytes, struct err *e)
{
    return err_set(e, ERR_INPUT, "%s is truncated after %zu bytes; export it again", name, bytes);
}

enum code image_damaged(const char *name, const char *format, const char *why, struct err *e)
{
    return err_set(e, ERR_INPUT, "%s is a damaged %s (%s); export it again", name, format, why);
}

enum code image_check_size(const struct picture *p, size_t w, size_t h, struct err *e)
{
    if (!w || !h)
        return err_set(e, ERR_INPUT, "%s has no pixels (%zux%zu); export it again", p->name, w, h);
    if (w > IMAGE_SIDE || h > IMAGE_SIDE || w * h > IMAGE_PIXELS)
        return err_set(e, ERR_INPUT,
                       "%s says it is %zux%zu; at most %u pixels a side and %u million in all are "
                       "read: make it smaller",
                       p->name, w, h, IMAGE_SIDE, IMAGE_PIXELS / 1000000);
    return OK;
}

enum code image_take_pixels(struct picture *p, uint32_t w, uint32_t h, int channels, struct err *e)
{
    enum code rc = image_check_size(p, w, h, e);
    if (rc) return rc;
    free(p->pixel);
    p->pixel = mem_alloc((size_t)w * h, (size_t)channels);
    if (!p->pixel) return err_set(e, ERR_NOMEM, "%s: no memory for %ux%u pixels", p->name, w, h);
    p->w = (int)w;
    p->h = (int)h;
    p->channels = channels;
    return OK;
}

/* RGBA becomes RGB in place: c a + 255 (1 - a), rounded. */
static void lay_on_white(struct picture *p)
{
    size_t n = (size_t)p->w * (size_t)p->h;
    for (size_t i = 0; i < n; i++) {
        unsigned a = p->pixel[4 * i + 3];
        for (size_t c = 0; c < 3; c++)
            p->pixel[3 * i + c] =
                (uint8_t)((p->pixel[4 * i + c] * a + 255 * (255 - a) + 127) / 255);
        if (a < 255) p->info->had_alpha = 1;
    }
    p->channels = 3;
}

enum code image_decode(const void *data, size_t bytes, const char *name, struct image *out,
                       struct image_info *info, struct err *e)
{
    struct image_info unused = {0};
    struct picture p = {.name = name, .info = info ? info : &unused};
    *p.info = (struct image_info){.format = "unknown"};
    *out = (struct image){0};
    if (!bytes) return err_set(e, ERR_INPUT, "%s is empty; export it again", name);
    const struct magic *m = recognise(data, bytes);
    if (!m && beginning_only(data, bytes)) return image_truncated(name, bytes, e);
    if (!m) return err_set(e, ERR_INPUT, "%s is not a PNG, JPEG or WebP image", name);
    p.info->format = m->format;
    enum code rc =
        m->kind == PNG    ? image_png_decode(data, bytes, &p, e)
        : m->kind == JPEG ? image_jpeg_decode(data, bytes, &p, e)
        : m->kind == WEBP
            ? image_webp_decode(data, bytes, &p, e)
            : err_set(e, ERR_INPUT, "%s is %s, which is not read here; save it as PNG or JPEG",
                      name, m->format);
    if (!rc && p.channels == 4) lay_on_white(&p);
    if (!rc && p.orientation > 1 && p.orientation <= 8) {
        p.info->rotated = 1;
        rc = image_turn(&p.pixel, &p.w, &p.h, p.orientation, e);
    }
    if (rc) free(p.pixel);
    else *out = (struct image){p.pixel, p.w, p.h};
    return rc;
}

enum code image_read(const char *path, struct image *out, struct image_info *info, struct err *e)
{
    struct bytes b = {0};
    struct stat st;
    *out = (struct image){0};
    /* A pipe or a device would block or never end. */
    if (stat(path, &st)) return err_errno(e, "%s", path);
    if (!S_ISREG(st.st_mode)) return err_set(e, ERR_INPUT, "%s is not a file", path);
    enum code rc = file_read(path, IMAGE_FILE_BYTES, &b, e);
    if (!rc) rc = image_decode(b.data, b.n, path, out, info, e);
    free(b.data);
    return rc;
}

void image_fini(struct image *im)
{
    free(im->rgb);
    *im = (struct image){0};
}

void image_flip(struct image *im)
{
    for (int y = 0; y < im->h; y++) {
        uint8_t *row = im->rgb + (size_t)y * (size_t)im->w * 3;
        for (uint8_t *a = row, *b = row + ((size_t)im->w - 1) * 3; a < b; a += 3, b -= 3)
            for (int c = 0; c < 3; c++) {
                uint8_t t = a[c];
                a[c] = b[c];
                b[c] = t;
            }
    }
}

int image_contrast(const struct image *im)
{
    uint8_t least[3] = {255, 255, 255}, most[3] = {0, 0, 0};
    int widest = 0;
    for (size_t i = 0, n = (size_t)im->w * (size_t)im->h * 3; i < n; i++) {
        uint8_t v = im->rgb[i];
        if (v < least[i % 3]) least[i % 3] = v;
        if (v > most[i % 3]) most[i % 3] = v;
    }
    for (int c = 0; c < 3; c++)
        if (most[c] - least[c] > widest) widest = most[c] - least[c];
    return widest;
}
