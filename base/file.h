/* file.h - files that survive: whole or not at all, on disk before anyone is told.
 *
 *     file_write(path, data, n, &e);        // new file, fsync, rename, fsync of the folder
 *     file_read(path, limit, &buf, &e);     // refuses files larger than limit
 *     free(buf.data);
 *
 * After a kill at any instant a path written by file_write holds the old bytes or the new ones.
 * Temporary names are "<path>.tmp-<host>-<pid>-<n>" (host: 8 hex digits of the hash of the host's name, because a
 * folder may be shared by hosts, whose process numbers mean nothing to each other).
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct bytes { uint8_t *data; size_t n; };        /* owned by the holder, free(data) */

/* The whole file; one NUL stands after the last byte and is not counted. More than limit bytes: ERR_INPUT. */
enum code file_read(const char *path, size_t limit, struct bytes *out, struct err *e);

/* Costs two fsyncs. On any failure the old file stays and nothing is left behind. */
enum code file_write(const char *path, const void *data, size_t bytes, struct err *e);
enum code file_write_private(const char *path, const void *data, size_t bytes, struct err *e);    /* 0600: secrets */

/* file_write in pieces, for bytes that do not fit in memory or whose name is known only at the end:
 *     file_begin(&f, folder_or_path, &e);  file_add(&f, data, n, &e) ...;  file_commit(&f, path, &e);
 * `near` and the final path must lie on one file system. file_abandon removes what file_commit did not rename; calling
 * it after file_commit, successful or not, is fine. */
struct file_new { int fd; char *temporary; };         /* owned; zeroed when over */
enum code file_begin(struct file_new *f, const char *near, struct err *e);
enum code file_add(struct file_new *f, const void *data, size_t bytes, struct err *e);
/* Overwrites bytes that were added. */
enum code file_mend(struct file_new *f, size_t at, const void *data, size_t bytes, struct err *e);
enum code file_commit(struct file_new *f, const char *path, struct err *e);
void file_abandon(struct file_new *f);

enum code file_make_dirs(const char *path, struct err *e);            /* like mkdir -p, mode 0700, durable */
/* Makes it durable that path is there (or is not): syncs the folder that holds it. */
enum code file_sync_name(const char *path, struct err *e);
int file_exists(const char *path);                                    /* a file, a folder, anything */

/* Removes temporary files in dir that nobody will finish: of dead processes of this host, and any older than a day. */
enum code file_sweep(const char *dir, struct err *e);

/* Read-only map of a whole file; shared between processes by the system. */
struct file_map { const uint8_t *data; size_t n; };
enum code file_map_open(struct file_map *m, const char *path, struct err *e);
void file_map_close(struct file_map *m);
/* Gives the whole pages of at..at+n back to the system's cache: they count no longer as this process's memory and come back
 * when they are touched. What is not in the map is left alone. */
void file_map_release(const struct file_map *m, const uint8_t *at, size_t n);

#endif
