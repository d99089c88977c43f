/* inspect.h - a database looked at from outside: for tools beside a coordinator, or where there is none.
 *
 *     inspect_pages(path, &pages, &e);                  // the file, page by page, without SQLite
 *     store_look(&s, path, &e);                         // for reading; changes nothing on the disk
 *     inspect_still(s, 1, &e);                          // from here on everything is seen as of one moment
 *     inspect_sound(s, said, self, &e);  inspect_rows(s, said, self, &e);  inspect_kept(s, kept, self, &e);
 *     store_close(s);
 *
 * Findings are said one line each: what is damaged, and what of it cannot be read. A coordinator may be at work all the while: it is
 * not waited for and does not wait, but its log grows until the store is closed.
 */
#ifndef COORDINATOR_STORE_INSPECT_H
#define COORDINATOR_STORE_INSPECT_H

#include "coordinator/store/store.h"

typedef void inspect_said(void *self, const char *line);

/* ERR_ENVIRONMENT: of another schema version. ERR_NOT_FOUND: no such file. */
enum code store_look(struct store **s, const char *path, struct err *e);
enum code inspect_still(struct store *s, int on, struct err *e);

/* Pages whose sum does not fit, also in parts of the file that nothing uses. A page that is being written by a coordinator is read
 * again, a few times. ERR_CORRUPT is not an error here: it is counted. */
struct inspect_pages {
    uint32_t pages, damaged;
    uint32_t first[16];               /* the first of them */
    int has_sums;                     /* 0: they carry none (an old version, or page 1 is damaged) */
};
enum code inspect_pages(const char *path, struct inspect_pages *out, struct err *e);

/* How far it had come when that was last acknowledged, and how far it goes. */
enum code inspect_batches(struct store *s, uint64_t *acknowledged, uint64_t *there, int *mark_damaged, struct err *e);

/* SQLite's own checks, and references to rows that are not there. O(everything). */
enum code inspect_sound(struct store *s, inspect_said *said, void *self, struct err *e);
/* Every row is read and every request unpacked: what cannot be, by name, and which indexes. */
enum code inspect_rows(struct store *s, inspect_said *said, void *self, struct err *e);

/* Every object that somebody may still ask for: images of learn jobs (kind 0), outputs of stages, commits. Not those that were
 * forgotten. An object is named as often as rows name it. */
typedef void inspect_names(void *self, uint64_t job, uint64_t kind, const uint8_t *hashes, size_t n);
enum code inspect_kept(struct store *s, inspect_names *names, void *self, struct err *e);

/* Has this job ended, or was it never there? Then nothing goes on from its checkpoints. */
enum code inspect_ended(struct store *s, uint64_t job, int *ended, struct err *e);

/* What is seen now, checked, as one file. */
enum code store_copy(struct store *s, const char *to, struct err *e);

#endif
