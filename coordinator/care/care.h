/* care.h - engram-care: looks after a home, beside its coordinator or without one.
 *
 *     engram-care fsck --home DIR [--quick] [--set-aside]      is all there that was promised, and right?
 *     engram-care gc --home DIR [--older 24h] [--remove]       what nobody names any more, and how much it is
 *     engram-care backup --home DIR --to NEW [--link]          all of it in a folder, whole or not at all
 *     engram-care restore --from BACKUP --home NEW             a home as it was then
 *     engram-care downgrade --home DIR --to-schema N           for an older program; the coordinator must be down
 *
 * `engram fsck`, `gc`, `backup` and `restore` run it. Exit status: 0 well or done, 2 usage, 3 damaged or refused, 4 environment.
 * Nothing here writes to the database of a home that lives; two of these tools do not run at once
 * on one home (flock on objects/).
 *
 * Files: main.c (options, downgrade), say.c, fsck.c, gc.c, backup.c, restore.c, keep.c (which objects somebody names),
 * folder.c (whole folders), incoming.c (uploads that were broken off).
 */
#ifndef COORDINATOR_CARE_CARE_H
#define COORDINATOR_CARE_CARE_H

#include "base/arrival.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/objects.h"
#include "coordinator/store/inspect.h"

#include <jansson.h>

struct care {
    const char *home;                 /* absolute; borrowed */
    const char *to, *from;            /* backup, restore */
    int json, quick, set_aside, remove, link, without_damaged;
    int64_t older_s;
    int schema;
    json_t *out;                      /* what --json prints; owned */
    json_t *lines;                    /* in it */
};

/* One line of the result: to standard output, or into the list of lines of --json. */
void care_say(struct care *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *care_bytes(uint64_t bytes, char out[32]);        /* "12.3 MiB" */
enum code care_path(const struct care *c, const char *rest, char *out, size_t bytes, struct err *e);

/* Each does what its verb says. ERR_CORRUPT: something is damaged, and has been said. */
enum code care_fsck(struct care *c, struct err *e);
enum code care_gc(struct care *c, struct err *e);
enum code care_backup(struct care *c, struct err *e);
enum code care_restore(struct care *c, struct err *e);

/* ---- keep.c: every object that somebody names ---- */

struct kept {
    struct hash hash;
    uint64_t job;                     /* the first that names it */
    uint8_t kind;                     /* enum stage_kind of whose output it is; 0: an image */
    uint8_t optional;                 /* a picture that an evaluation mentions: it can be drawn again */
};
struct keep { struct kept *v; size_t n, room; };              /* by hash, each once */

/* Reports of evaluations are opened: any 64 hex digits in them count as a name. */
enum code keep_make(struct keep *k, struct store *s, struct objects *o, struct err *e);
void keep_fini(struct keep *k);
const struct kept *keep_find(const struct keep *k, struct hash h);    /* NULL: nobody names it */
/* "job 12 (commit)" */
const char *keep_text(const struct kept *k, char out[64]);

/* ---- incoming.c ---- */

/* Uploads through a door that nobody has gone on with for older_s seconds; they are removed where `remove`. One that is under way is
 * locked and left alone, whatever its age. */
enum code incoming_old(const struct care *c, int64_t older_s, int remove, struct arrivals *found, struct err *e);

/* ---- folder.c ---- */

/* A folder in the making beside `path`, which is not there (or empty): "<path>.tmp-...", and what a killed one left is removed.
 * folder_keep makes everything in it durable and gives it its name. folder_drop removes it. */
struct folder { char temporary[4096]; char path[4096]; };
enum code folder_begin(struct folder *f, const char *path, struct err *e);
enum code folder_keep(struct folder *f, struct err *e);
void folder_drop(struct folder *f);
/* A copy of one file, or a second name of it (link: where the file system can). Not yet durable. */
enum code folder_take(const char *from, const char *to, int link, struct err *e);
/* And makes the folder of `to` where there is none. */
enum code folder_take_into(const char *from, const char *to, int link, struct err *e);
/* A file, or a folder with all that is in it. */
enum code folder_remove(const char *path, struct err *e);

#endif
