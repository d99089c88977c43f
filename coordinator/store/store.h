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
 * brought to this program's; a newer one is refused (ERR_ENVIRONMENT) with a line that says who wrote it. OK on a disk that is full or
 * refuses syncs: what is there can be read, store_probe says when it can be written; until then nothing may be answered that
 * rests on what a batch would keep. */
enum code store_open(struct store **s, const char *path, struct err *e);
void store_close(struct store *s);                       /* NULL is fine */

/* Brings a database that nobody has open down to an older schema version, for an older program. ERR_INPUT: it holds something
 * that the older version has no place for; the line names it and nothing is changed. */
enum code store_downgrade(const char *path, int version, struct err *e);

/* For a database that came back from a backup: raises the counters of epochs, jobs and events far beyond what may have been given
 * out since, so that nothing is given out twice. Nobody has it open. */
enum code store_leap(const char *path, struct err *e);

/* Fills an empty core and restarts it (core_restart). */
enum code store_load(struct store *s, struct core *c, int64_t now_ms, struct err *e);
/* After an error of the disk everything is refused until store_load was called. After a failed sync that opens the file anew, without
 * what was not acknowledged; while the disk goes on refusing syncs, or has no room, the store can be read, and this says ERR_IO or
 * ERR_FULL. */
enum code store_apply(struct store *s, const struct core_actions *a, struct err *e);

/* Can anything be written? Opens anew what could only be read, and writes a number that is there already. One fsync. */
enum code store_probe(struct store *s, struct err *e);

/* Moves the write-ahead log into the database when it has grown by 4 MB; call between batches. */
void store_tidy(struct store *s);

/* ---- reading what the core does not keep. ERR_NOT_FOUND: no such row ---- */

/* Between these many reads cost as few locks of the file as one. Nothing is written between them. */
void store_hold(struct store *s);
void store_let_go(struct store *s);

/* A job as it is durable, ended or not. Strings live in the arena. */
struct store_job {
    struct core_past past;            /* bytes is 0: see store_request */
    const char *class_word;
    uint64_t concept;
};
enum code store_job(struct store *s, uint64_t id, struct arena *a, struct store_job *out, struct err *e);
/* The ended job that a request key made; *there is 0 when there is none. Those that have not ended the core knows. */
enum code store_job_by_key(struct store *s, struct hash key, struct arena *a, struct store_job *out, int *there,
                           struct err *e);

enum code store_base(struct store *s, uint64_t lineage, struct arena *a, const char **path, struct hash *hash,
                     struct err *e);
/* The request that made a job, as message and as bytes (either may be NULL): as it was sent, but not newer than `version` (0:
 * whatever it is), with id 0. After `forget` without prompts and captions. */
enum code store_request(struct store *s, uint64_t job, uint64_t version, struct arena *a, struct message *m,
                        struct slice *bytes, struct err *e);
/* Outputs and report of a stage, also of class images that another job made. Empty while there are none. report may be NULL. */
enum code store_outputs(struct store *s, uint64_t job, enum stage_kind kind, struct arena *a, struct hashes *outputs,
                        const char **report, struct err *e);
/* Durable events of a job after seq, at most PROTO_ROWS, oldest first; "queued" is the first. */
enum code store_events(struct store *s, uint64_t job, uint64_t after, struct arena *a, struct event_rows *rows,
                       struct err *e);
enum code store_commit(struct store *s, uint32_t lineage, uint64_t number, struct core_commit *out, struct err *e);
enum code store_audit(struct store *s, uint64_t after, size_t limit, struct arena *a, struct audit_rows *rows,
                      struct err *e);

/* Ids of jobs below `below` (0: from the newest), newest first, into ids [limit]. store_page: of one owner, in one of these states
 * (bits 1 << enum job_state); those that have ended or are marked, joined to the *n that are there (core_page). O(limit). */
enum code store_page(struct store *s, uint32_t owner, uint64_t states, uint64_t below, size_t limit, uint64_t *ids,
                     size_t *n, struct err *e);
/* store_walk: those that the caller wants, looking at no more than *budget rows; *next is the id to go on below (0: no more), and
 * *budget what is left. */
typedef int store_wants(void *self, uint32_t owner, uint64_t state, uint32_t lineage);
enum code store_walk(struct store *s, uint64_t below, store_wants *wants, void *self, size_t limit, size_t *budget,
                     uint64_t *ids, size_t *n, uint64_t *next, struct err *e);

/* Who names which objects: images of learn jobs that are not forgotten, pictures and other outputs of stages of such jobs. Looks at
 * most at `rows` rows from *at on (zero: the beginning) and moves it; *more: there are others. */
struct store_place { uint64_t job, stage_job, stage_kind; int jobs_done; };
typedef void store_names(void *self, uint64_t job, const uint8_t *hashes, size_t n);
enum code store_named(struct store *s, struct store_place *at, size_t rows, store_names *named, void *self, int *more,
                      struct err *e);

#endif
