/* image_webp.c - libwebp for the pixels; the container's chunks are walked here, for EXIF and for an honest length. */
#include "pipeline/data/codec.h"

#include <string.h>
#include <webp/decode.h>

static uint32_t word(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* RIFF: 'RIFF' length 'WEBP' { name length bytes, padded to even }. The length counts from 'WEBP'. */
static int riff_whole(const uint8_t *data, size_t bytes)
{
    return bytes >= 12 && bytes - 8 >= word(data + 4);
}

static int orientation_find(const uint8_t *data, size_t bytes)
{
    size_t end = (size_t)word(data + 4) + 8;
    if (end > bytes) end = bytes;
    for (size_t at = 12; at + 8 <= end;) {
        size_t n = word(data + at + 4);
        if (n > end - at - 8) return 0;
        if (!memcmp(data + at, "EXIF", 4)) return image_exif_orientation(data + at + 8, n);
        at += 8 + n + (n & 1);
    }
    return 0;
}

static enum code refuse(VP8StatusCode status, struct picture *p, size_t bytes, struct err *e)
{
    switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED: return image_truncated(p->name, bytes, e);
    case VP8_STATUS_OUT_OF_MEMORY: return err_set(e, ERR_NOMEM, "%s: out of memory", p->name);
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return image_damaged(p->name, "WebP", "an unknown feature", e);
    default: return image_damaged(p->name, "WebP", "its bit stream makes no sense", e);
    }
}

enum code image_webp_decode(const void *data, size_t bytes, struct picture *p, struct err *e)
{
    WebPDecoderConfig c;
    if (!riff_whole(data, bytes)) return image_truncated(p->name, bytes, e);
    if (!WebPInitDecoderConfig(&c))
        return err_set(e, ERR_INTERNAL, "%s: libwebp of another version", p->name);
    VP8StatusCode status = WebPGetFeatures(data, bytes, &c.input);
    if (status) return refuse(status, p, bytes, e);
    if (c.input.has_animation)
        return err_set(e, ERR_INPUT, "%s is an animation; save one of its pictures as PNG or JPEG",
                       p->name);
    int channels = c.input.has_alpha ? 4 : 3;
    enum code rc =
        image_take_pixels(p, (uint32_t)c.input.width, (uint32_t)c.input.height, channels, e);
    if (rc) return rc;
    c.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
    c.output.is_external_memory = 1;
    c.output.u.RGBA.rgba = p->pixel;
    c.output.u.RGBA.stride = p->w * channels;
    c.output.u.RGBA.size = (size_t)p->w * (size_t)p->h * (size_t)channels;
    status = WebPDecode(data, bytes, &c);
    WebPFreeDecBuffer(&c.output);
    if (status) return refuse(status, p, bytes, e);
    p->orientation = orientation_find(data, bytes);
    return OK;
}
