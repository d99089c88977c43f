/* A picture: PNG, JPEG or WebP as its first bytes say. Checksums of a PNG's chunks are put right first, for otherwise
 * nearly every damage ends there. What comes out goes through the resampler, into a PNG and back without a change. */
#include "pipeline/data/image.h"
#include "base/file.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { ROUND_TRIP = 1 << 16, SIDE = 32 };

static uint32_t crc(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    while (n--) {
        c ^= *p++;
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return ~c;
}

static uint32_t get(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Chunks: length, name, data, checksum of name and data. */
static void png_mend(uint8_t *p, size_t n)
{
    if (n < 8 || memcmp(p, "\x89PNG\r\n\x1a\n", 8) != 0) return;
    for (size_t at = 8; at + 12 <= n;) {
        size_t length = get(p + at);
        if (length > n - at - 12) return;
        uint32_t c = crc(p + at + 4, length + 4);
        for (int i = 0; i < 4; i++) p[at + 8 + length + (size_t)i] = (uint8_t)(c >> (24 - 8 * i));
        at += 12 + length;
    }
}

static void round_trip(const struct image *im)
{
    struct bytes png;
    struct image back;
    must(!image_encode_png(im, NULL, &png, NULL));
    must(!image_decode(png.data, png.n, "written", &back, NULL, NULL));
    must(back.w == im->w && back.h == im->h);
    must(!memcmp(back.rgb, im->rgb, (size_t)im->w * (size_t)im->h * 3));
    image_fini(&back);
    free(png.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct image im;
    struct image_info info;
    struct err e = {0};
    uint8_t *copy = malloc(n + !n);
    if (n) memcpy(copy, data, n);
    png_mend(copy, n);
    enum code rc = image_decode(copy, n, "input", &im, &info, &e);
    free(copy);
    if (rc) {
        fuzz_refused(rc, &e);
        must(!im.rgb && info.format);
        return 0;
    }
    must(im.w > 0 && im.h > 0 && (uint64_t)im.w * (uint64_t)im.h <= IMAGE_PIXELS);
    if (im.w * im.h <= ROUND_TRIP) round_trip(&im);
    must(!image_square(&im, SIDE, &e) && im.w == SIDE && im.h == SIDE);
    image_fini(&im);
    return 0;
}
