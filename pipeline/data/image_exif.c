/* image_exif.c - which way up a camera was held: read through libexif, undone by copying pixels. */
#include "base/arena.h"
#include "pipeline/data/codec.h"

#include <libexif/exif-data.h>
#include <stdlib.h>
#include <string.h>

#define EXIF_BLOCK \
    65536u /* as much as fits in a JPEG segment; orientation stands in the first directory */

static int orientation_of(ExifData *d)
{
    ExifEntry *entry = exif_content_get_entry(d->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
    if (!entry || entry->format != EXIF_FORMAT_SHORT || entry->size < 2) return 0;
    int o = exif_get_short(entry->data, exif_data_get_byte_order(d));
    return o >= 1 && o <= 8 ? o : 0;
}

int image_exif_orientation(const void *data, size_t bytes)
{
    static const char head[6] = "Exif\0";
    unsigned char block[EXIF_BLOCK + sizeof head];
    if (bytes >= sizeof head && !memcmp(data, head, sizeof head)) {
        data = (const char *)data + sizeof head;
        bytes -= sizeof head;
    }
    if (bytes > EXIF_BLOCK) bytes = EXIF_BLOCK;
    memcpy(block, head, sizeof head);
    if (bytes) memcpy(block + sizeof head, data, bytes);
    ExifData *d = exif_data_new();
    if (!d) return 0;
    exif_data_unset_option(d, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
    exif_data_load_data(d, block, (unsigned)(bytes + sizeof head));
    int o = orientation_of(d);
    exif_data_unref(d);
    return o;
}

/* What each orientation does: pixel (x, y) of the upright image is taken from the stored one at
 * (x or y, mirrored or not). 5 to 8 swap the axes first. */
static const struct {
    int swap, mirror_x, mirror_y;
} turns[9] = {
    [2] = {0, 1, 0}, [3] = {0, 1, 1}, [4] = {0, 0, 1}, [5] = {1, 0, 0},
    [6] = {1, 0, 1}, [7] = {1, 1, 1}, [8] = {1, 1, 0},
};

enum code image_turn(uint8_t **pixel, int *w, int *h, int orientation, struct err *e)
{
    int swap = turns[orientation].swap, mirror_x = turns[orientation].mirror_x,
        mirror_y = turns[orientation].mirror_y;
    int sw = *w, sh = *h, W = swap ? sh : sw, H = swap ? sw : sh;
    uint8_t *turned = mem_alloc((size_t)W * (size_t)H, 3), *to = turned;
    if (!turned) return err_set(e, ERR_NOMEM, "no memory to turn an image of %dx%d", sw, sh);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++, to += 3) {
            int sx = swap ? y : x, sy = swap ? x : y;
            if (mirror_x) sx = sw - 1 - sx;
            if (mirror_y) sy = sh - 1 - sy;
            memcpy(to, *pixel + ((size_t)sy * (size_t)sw + (size_t)sx) * 3, 3);
        }
    free(*pixel);
    *pixel = turned;
    *w = W;
    *h = H;
    return OK;
}
