/* file.h - files that survive: whole or not at all, on disk before anyone is told.
 *
 *     file_write(path, data, n, &e);        // new file, fsync, rename, fsync of the folder
 *     file_read(path, limit, &buf, &e);     // refuses files larger than limit
 *     free(buf.data);
 *
 * After a kill at any instant a path written by file_write holds the old bytes or the new ones.
 * Temporary names are "<path>.tmp-<pid>-<n>"; leftovers of dead processes are removed by file_sweep.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct bytes { uint8_t *data; size_t n; };        /* owned by the holder, free(data) */

enum code file_read(const char *path, size_t limit, struct bytes *out, struct err *e);
enum code file_write(const char *path, const void *data, size_t bytes, struct err *e);
enum code file_make_dirs(const char *path, struct err *e);            /* like mkdir -p, mode 0700 */
enum code file_sweep(const char *dir, struct err *e);
int file_exists(const char *path);

/* Read-only map of a whole file; shared between processes by the system. */
struct file_map { const uint8_t *data; size_t n; };
enum code file_map_open(struct file_map *m, const char *path, struct err *e);
void file_map_close(struct file_map *m);

#endif
