/* output.h - a folder that appears whole or not at all.
 *
 *     output_open(&o, "out/pets", &e);                            // refuses what exists; out/pets.part is ours from now on
 *     output_add_text(o, "README.md", text, bytes, &e);           // copies
 *     output_add_tensors(o, "unet/weights.safetensors", source, n, metadata, &e);
 *     output_write(o, &progress, &e);                             // room on the disk, folders, files, sync, rename
 *     output_close(o);                                            // removes what was not renamed
 *
 * Adding only plans: how many bytes there will be is known before the first is written. A process that was killed leaves
 * <dir>.part; the next one for the same folder removes it, unless its maker lives. Not for folders that others write to.
 */
#ifndef EXCHANGE_OUTPUT_H
#define EXCHANGE_OUTPUT_H

#include "base/arena.h"
#include "base/err.h"
#include "pipeline/exchange/source.h"

#include <stdint.h>

struct output;
/* ERR_EXISTS: dir is there. ERR_AGAIN: another process writes it now. The parent must exist. */
enum code output_open(struct output **o, const char *dir, struct err *e);
void output_close(struct output *o);              /* NULL is fine */
/* What output_open would refuse for the name's sake, for whoever has long work before it. */
enum code output_check(const char *dir, struct err *e);

/* Lives until output_close: for names, sources and whatever a plan needs. */
struct arena *output_arena(struct output *o);
/* output_close calls last(self). */
enum code output_finally(struct output *o, void (*last)(void *self), void *self, struct err *e);
/* path is relative, with '/', names that exchange_file_name or a constant gave. */
enum code output_add_text(struct output *o, const char *path, const void *text, size_t bytes, struct err *e);
/* source and metadata (key, value, ..., NULL) must live until output_close. */
enum code output_add_tensors(struct output *o, const char *path, const struct source *source, size_t n,
                             const char *const *metadata, struct err *e);
uint64_t output_bytes(const struct output *o);    /* of all files so far */

/* For whoever wants to tell: file i's path and size. i from 0; NULL after the last. */
const char *output_file(const struct output *o, size_t i, uint64_t *bytes);

struct output_progress {
    int (*tick)(void *self, uint64_t done, uint64_t of);     /* bytes; other than 0: stop, ERR_CANCELLED */
    void *self;
};
/* p may be NULL. ERR_FULL, with both figures, before anything is written. */
enum code output_write(struct output *o, const struct output_progress *p, struct err *e);

#endif
