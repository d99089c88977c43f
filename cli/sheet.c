/* sheet.c - a folder of pictures and their contact sheet. */
#include "cli/sheet.h"

#include "base/arena.h"
#include "base/file.h"
#include "pipeline/data/image.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP 4
#define SLUG 40
#define PICTURE_BYTES (64u << 20)

/* "a <rex> dog on the beach" -> "a-rex-dog-on-the-beach" */
static void slug(const char *prompt, char out[SLUG + 1])
{
    size_t n = 0;
    for (; *prompt && n < SLUG; prompt++) {
        if (isalnum((unsigned char)*prompt)) out[n++] = (char)tolower((unsigned char)*prompt);
        else if (n && out[n - 1] != '-') out[n++] = '-';
    }
    while (n && out[n - 1] == '-') n--;
    out[n] = '\0';
}

static void paste(struct image *sheet, const struct image *im, int x0, int y0)
{
    for (int y = 0; y < im->h && y0 + y < sheet->h; y++)
        memcpy(sheet->rgb + ((size_t)(y0 + y) * (size_t)sheet->w + (size_t)x0) * 3,
               im->rgb + (size_t)y * (size_t)im->w * 3, (size_t)im->w * 3);
}

/* All pictures of a job have one size: the first one's. */
static enum code sheet_room(struct image *sheet, const struct image *first, size_t rows,
                            size_t columns, struct err *e)
{
    sheet->w = (int)columns * (first->w + GAP) + GAP;
    sheet->h = (int)rows * (first->h + GAP) + GAP;
    sheet->rgb = mem_alloc((size_t)sheet->w * (size_t)sheet->h, 3);
    if (!sheet->rgb) return err_set(e, ERR_NOMEM, "out of memory for a contact sheet");
    memset(sheet->rgb, 0xff, (size_t)sheet->w * (size_t)sheet->h * 3);
    return OK;
}

static enum code one(const char *dir, struct objects *store, const char *prompt, size_t number,
                     struct hash h, struct image *im, struct err *e)
{
    char name[SLUG + 1], path[4300];
    struct bytes b = {0};
    slug(prompt, name);
    snprintf(path, sizeof path, "%s/%03zu-%s.png", dir, number, name);
    enum code rc = objects_get(store, h, PICTURE_BYTES, &b, e);
    if (!rc) rc = file_write(path, b.data, b.n, e);
    if (!rc) rc = image_decode(b.data, b.n, path, im, NULL, e);
    free(b.data);
    return rc;
}

enum code sheet_write(const char *dir, struct objects *store, const char *const *prompt,
                      size_t n_prompts, size_t per_prompt, const struct hash *picture,
                      struct err *e)
{
    struct image sheet = {0};
    char path[4300];
    enum code rc = file_make_dirs(dir, e);
    for (size_t i = 0; !rc && i < n_prompts * per_prompt; i++) {
        struct image im = {0};
        size_t row = i / per_prompt, column = i % per_prompt;
        rc = one(dir, store, prompt[row], i + 1, picture[i], &im, e);
        if (!rc && !sheet.rgb) rc = sheet_room(&sheet, &im, n_prompts, per_prompt, e);
        if (!rc)
            paste(&sheet, &im, GAP + (int)column * (im.w + GAP), GAP + (int)row * (im.h + GAP));
        image_fini(&im);
    }
    snprintf(path, sizeof path, "%s/sheet.png", dir);
    if (!rc && sheet.rgb) rc = image_write_png(path, &sheet, NULL, e);
    image_fini(&sheet);
    return rc;
}
