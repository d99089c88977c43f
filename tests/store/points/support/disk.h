/* disk.h - what a disk may hold after the power went: a model of a file system, fed by a trace (interpose.h).
 *
 *     disk_open(&d, trace, before, home, &e);   // `before`: a folder like the home before the trace began
 *     disk_play(&d, n);                         // the first n records happen
 *     disk_lose(&d, DISK_NOTHING, dice, to);    // the power goes: a folder with what may be left
 *
 * The rules: a file's pages (4 KiB) are clean or dirty; a sync makes the dirty ones durable and with them the size. A sync that failed leaves
 * them clean without having written them: what Linux does. What was not synced may be there or not, page by page, and torn
 * at sectors of 512 bytes. Names (create, rename, unlink, mkdir, link) are durable with the sync of their folder; what was not
 * synced is there up to some point in order, because file systems keep a journal of names.
 */
#ifndef TESTS_STORE_DISK_H
#define TESTS_STORE_DISK_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum disk_loss {
    DISK_NOTHING,         /* nothing that was not synced is there */
    DISK_NAMES,           /* all names, no bytes that were not synced */
    DISK_BYTES,           /* all bytes, no names that were not synced */
    DISK_SOME,            /* some pages, some sectors, names up to some point: by dice */
    DISK_LOSSES
};

struct disk;
enum code disk_open(struct disk **d, const char *trace, const char *before, const char *home, struct err *e);
void disk_close(struct disk *d);

size_t disk_records(const struct disk *d);
uint32_t disk_point(const struct disk *d, size_t record);     /* the number of its point; 0: none */
void disk_play(struct disk *d, size_t records);               /* up to there; only forward */
/* Makes `to`, which is not there, as the home is found after the power went. */
void disk_lose(const struct disk *d, enum disk_loss loss, uint64_t dice, const char *to);
const char *disk_acks(const struct disk *d, size_t *n);       /* what was said so far; lent */

#endif
