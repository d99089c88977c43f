/* sheet.h - pictures from the object store into a folder: one PNG each, and all of them on one contact sheet. */
#ifndef CLI_SHEET_H
#define CLI_SHEET_H

#include "base/err.h"
#include "base/hash.h"
#include "base/objects.h"

#include <stddef.h>

/* Writes dir/<number>-<words of the prompt>.png for each picture and dir/sheet.png: a row per prompt, per_prompt columns. Existing
 * files of these names are replaced. The PNG bytes are the object's own, text chunks included. */
enum code sheet_write(const char *dir, struct objects *store, const char *const *prompt, size_t n_prompts, size_t per_prompt,
                      const struct hash *picture, struct err *e);

#endif
