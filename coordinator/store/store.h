/* store.h - what the coordinator has promised, in one SQLite file.
 *
 *     struct store *s;
 *     if (store_open(&s, "/home/ann/.engram/coordinator.db", &e)) ...
 *     if (store_load(s, core, now_ms, &e)) ...
 *     ...
 *     if (store_apply(s, &actions, &e)) { reload; refuse; }       // all puts of a batch, or nothing
 *     store_close(s);
 *
 * WAL, synchronous=FULL: when store_apply returns OK the batch survives kill -9 and power loss. One writer; statements are
 * prepared once. Network file systems are refused: WAL needs shared memory, and locks there are a matter of luck.
 * ERR_FULL, ERR_IO: nothing of the batch is there; the caller's core is ahead of the disk and must be loaded again.
 *
 * Lists that are read live in the arena. Cost: one fsync per store_apply; reads are by key.
 */
#ifndef COORDINATOR_STORE_STORE_H
#define COORDINATOR_STORE_STORE_H

#include "coordinator/core/core.h"

struct store;

/* Makes the database where there is none. One of an older schema version is copied, checked, to "<path>.version-<v>" and
 * brought to this program's; a newer one is refused (ERR_ENVIRONMENT) with a line that says who wrote it. */
enum code store_open(struct store **s, const char *path, struct err *e);
void store_close(struct store *s);                       /* NULL is fine */

/* Brings a database that nobody has open down to an older schema version, for an older program. ERR_INPUT: it holds something
 * that the older version has no place for; the line names it and nothing is changed. */
enum code store_downgrade(const char *path, int version, struct err *e);

/* Fills an empty core and restarts it (core_restart). */
enum code store_load(struct store *s, struct core *c, int64_t now_ms, struct err *e);
enum code store_apply(struct store *s, const struct core_actions *a, struct err *e);

/* Moves the write-ahead log into the database when it has grown by 4 MB; call between batches. */
void store_tidy(struct store *s);

/* ---- reading what the core does not keep. ERR_NOT_FOUND: no such row ---- */

enum code store_base(struct store *s, uint64_t lineage, struct arena *a, const char **path, struct hash *hash,
                     struct err *e);
enum code store_request(struct store *s, uint64_t job, struct arena *a, struct slice *request, struct err *e);
enum code store_images(struct store *s, uint64_t job, struct arena *a, struct hashes *images, struct err *e);
/* Outputs and report of a stage; follows `source`. Empty while there are none. report may be NULL. */
enum code store_outputs(struct store *s, uint64_t job, enum stage_kind kind, struct arena *a, struct hashes *outputs,
                        const char **report, struct err *e);
/* Durable events of a job after seq, at most PROTO_ROWS, oldest first. */
enum code store_events(struct store *s, uint64_t job, uint64_t after, struct arena *a, struct event_rows *rows,
                       struct err *e);

#endif
