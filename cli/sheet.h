/* sheet.h - pictures from the object store into a folder: one PNG each, and all of them on one contact sheet. */
#ifndef CLI_SHEET_H
#define CLI_SHEET_H

#include "base/err.h"
#include "base/hash.h"
#include "base/objects.h"

#include <stddef.h>

struct sheet {
    const char *dir;
    int is_evaluation;                 /* 1: laid out as CustomConcept101's evaluate.py reads it */
    const char *const *prompt;         /* [n_prompts] for file names */
    const char *const *plain;          /* [n_prompts] for the evaluation: without tokens */
    size_t n_prompts, per_prompt;
    const struct hash *picture;        /* [n_prompts][per_prompt] */
    uint64_t job;                      /* that made them */
};

/* Writes dir/<number>-<words of the prompt>.png for each picture and dir/sheet.png: a row per prompt, per_prompt columns. For an
 * evaluation the pictures stand in dir/samples, and dir/prompts.json says for each of their names, without .png, the plain
 * prompt. Existing files of these names are replaced. The PNG bytes are the object's own, text chunks included.
 * *on_sheet: 0 if the sheet was left out because it would pass IMAGE_PIXELS (data/image.h). */
enum code sheet_write(const struct sheet *s, struct objects *store, int *on_sheet, struct err *e);
/* For an evaluation, before anything is drawn: dir/samples must be empty or not there, because its reader counts. */
enum code sheet_check(const struct sheet *s, struct err *e);

#endif
