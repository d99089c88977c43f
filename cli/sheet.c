/* sheet.c - a folder of pictures and their contact sheet. */
#include "cli/sheet.h"

#include "base/arena.h"
#include "base/file.h"
#include "cli/cli.h"
#include "pipeline/data/image.h"

#include <ctype.h>
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP 4
#define SAMPLES "samples"
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

static int fits(const struct image *first, size_t rows, size_t columns)
{
    return (double)(first->w + GAP) * (double)columns * (double)(first->h + GAP) * (double)rows <
           IMAGE_PIXELS;
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

/* "003-a-rex-dog": picture `number`, counted from 1. */
static void stem(const char *prompt, size_t number, char out[SLUG + 24])
{
    char words[SLUG + 1];
    slug(prompt, words);
    snprintf(out, SLUG + 24, "%03zu-%s", number, words);
}

static enum code one(const struct sheet *s, struct objects *store, size_t i, struct image *im,
                     struct err *e)
{
    char name[SLUG + 24], path[4300];
    struct bytes b = {0};
    stem(s->prompt[i / s->per_prompt], i + 1, name);
    snprintf(path, sizeof path, "%s/%s%s.png", s->dir, s->is_evaluation ? SAMPLES "/" : "", name);
    enum code rc =
        cli_object(store, (struct origin){.job = s->job}, s->picture[i], PICTURE_BYTES, &b, e);
    if (!rc) rc = file_write(path, b.data, b.n, e);
    if (!rc) rc = image_decode(b.data, b.n, path, im, NULL, e);
    free(b.data);
    return rc;
}

/* {"001-a-rex-dog": "a dog", ...} */
static enum code prompts_write(const struct sheet *s, struct err *e)
{
    char name[SLUG + 24], path[4300];
    json_t *j = json_object();
    int bad = !j;
    for (size_t i = 0; !bad && i < s->n_prompts * s->per_prompt; i++) {
        stem(s->prompt[i / s->per_prompt], i + 1, name);
        bad = json_object_set_new(j, name, json_string(s->plain[i / s->per_prompt])) != 0;
    }
    char *text = bad ? NULL : json_dumps(j, JSON_INDENT(2));
    json_decref(j);
    if (!text) return err_set(e, ERR_NOMEM, "out of memory for prompts.json");
    snprintf(path, sizeof path, "%s/prompts.json", s->dir);
    enum code rc = file_write(path, text, strlen(text), e);
    free(text);
    return rc;
}

enum code sheet_check(const struct sheet *s, struct err *e)
{
    char path[4300];
    if (!s->is_evaluation) return OK;
    snprintf(path, sizeof path, "%s/" SAMPLES, s->dir);
    DIR *d = opendir(path);
    int found = 0;
    for (struct dirent *f; d && (f = readdir(d));)
        found |= strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0;
    if (d) closedir(d);
    return found ? err_set(e, ERR_EXISTS,
                           "%s has files already, and an evaluation counts what is there; choose "
                           "another --out",
                           path)
                 : OK;
}

enum code sheet_write(const struct sheet *s, struct objects *store, int *on_sheet, struct err *e)
{
    struct image sheet = {0};
    char path[4300];
    snprintf(path, sizeof path, "%s%s", s->dir, s->is_evaluation ? "/" SAMPLES : "");
    enum code rc = file_make_dirs(path, e);
    *on_sheet = 1;
    for (size_t i = 0; !rc && i < s->n_prompts * s->per_prompt; i++) {
        struct image im = {0};
        size_t row = i / s->per_prompt, column = i % s->per_prompt;
        rc = one(s, store, i, &im, e);
        if (!rc && i == 0 && (*on_sheet = fits(&im, s->n_prompts, s->per_prompt)))
            rc = sheet_room(&sheet, &im, s->n_prompts, s->per_prompt, e);
        if (!rc && *on_sheet)
            paste(&sheet, &im, GAP + (int)column * (im.w + GAP), GAP + (int)row * (im.h + GAP));
        image_fini(&im);
    }
    snprintf(path, sizeof path, "%s/sheet.png", s->dir);
    if (!rc && sheet.rgb) rc = image_write_png(path, &sheet, NULL, e);
    if (!rc && s->is_evaluation) rc = prompts_write(s, e);
    image_fini(&sheet);
    return rc;
}
