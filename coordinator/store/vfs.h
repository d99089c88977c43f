/* vfs.h - what the store asks of the disk, below SQLite: a layer between it and the system's files.
 *
 *     vfs_register(&e);                                              // once; again is free
 *     sqlite3_open_v2(path, &db, flags, VFS_NAME);
 *     vfs_begin_sums(db, &e);                                        // before its first table
 *
 * 1. Sums. The last 8 bytes of each page of a database made so hold a sum of its other bytes and its number. It is written with the
 *    page and compared whenever one is read from the file; a page whose sum does not fit is never handed to SQLite
 *    (SQLITE_IOERR_DATA, vfs_look names the page). Any flipped bit of a page is found; docs/decisions/0013 says why.
 *    A database of a schema version before VFS_SUMS_FROM, or without the 8 bytes, is read and written as it is: programs that
 *    know of no sums have it, or had it. While one is made from such a one it is opened as "file:PATH?sums=1".
 * 2. The log has sums of SQLite's own, which SQLite compares only when it opens the file. Here they are compared at each read.
 * 3. A sync that failed is not forgotten. What was written since the last good one may be in memory only, and the next sync would not
 *    write it (Linux takes the pages for clean). From then on the connection writes nothing: every write fails until the database is
 *    opened anew. vfs_look says up to which byte the log is good, so that the rest can be cut off.
 *
 * Pages are 4096 bytes. Maps are not used. Costs a pass over each page that is read or written, and two small reads for a page
 * of the log.
 */
#ifndef COORDINATOR_STORE_VFS_H
#define COORDINATOR_STORE_VFS_H

#include "base/err.h"

#include <sqlite3.h>
#include <stdint.h>

#define VFS_NAME "engram"

enum { VFS_PAGE = 4096, VFS_SUM = 8, VFS_SUMS_FROM = 2 };

enum code vfs_register(struct err *e);

/* The pages of this database, which is empty, get sums. */
enum code vfs_begin_sums(sqlite3 *db, struct err *e);
/* There will be room for sums in what VACUUM INTO makes of this database. */
enum code vfs_make_room(sqlite3 *db, struct err *e);
/* The name under which it is made; the caller frees it. NULL: out of memory. */
char *vfs_name_with_sums(const char *path);

struct vfs_state {
    int has_sums;                         /* they are written and compared */
    int suspect;                          /* a sync failed: this connection writes nothing more */
    int64_t log_good;                     /* bytes of the log that are on the disk for certain; INT64_MAX: it was not read yet */
    uint32_t bad_page;                    /* the last page whose sum did not fit; 0: none */
    int bad_log;                          /* it stood in the log */
};
struct vfs_state vfs_look(sqlite3 *db);
/* From now on this connection writes nothing, as if a sync of it had failed. */
void vfs_distrust(sqlite3 *db);

/* For whoever reads the file without SQLite: does the sum of this page fit? page: VFS_PAGE bytes; number: from 1. */
int vfs_page_fits(const uint8_t *page, uint32_t number);

/* Writes the log of the database at path over itself, the same bytes, and syncs. What a process that died may have
 * left in memory only is on the disk then. Nobody may be writing. OK where there is no log. Costs the log's size. */
enum code vfs_renew_log(const char *path, struct err *e);
/* Cuts the log of a database that nobody writes; who has it open has not seen what is cut off. */
enum code vfs_cut_log(const char *path, int64_t bytes, struct err *e);

#endif
