/* cli.h - what all verbs of the `engram` command share: where home is, how to reach the coordinator, how to talk to people.
 *
 * Results go to standard output, talk to standard error. With --json standard output is one JSON document {"v":1,...} and nothing
 * else. Errors are one line, "engram: what, where, what to do"; the exit status is err_exit_status. Verbs are one file each;
 * main.c has their table.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/arena.h"
#include "base/err.h"
#include "base/objects.h"
#include "cli/options.h"
#include "proto/link.h"
#include "proto/proto.h"

#include <jansson.h>

/* What the common options said; filled by options_read. */
extern struct cli {
    const char *home, *connect, *server_key, *key;
    int json, help;
    int local;                         /* a verb that is about this home, whatever the profile says */
} cli;

extern const struct verb verb_doctor, verb_check, verb_plan, verb_up, verb_down, verb_lineage, verb_learn, verb_queue, verb_watch, verb_cancel, verb_retry, verb_pause,
    verb_resume, verb_forget, verb_groups, verb_drain, verb_submit,
    verb_log, verb_show, verb_sample, verb_evaluate, verb_export, verb_import, verb_admin, verb_fsck, verb_gc,
    verb_backup, verb_restore;

/* Prints "engram: <line>" and returns the exit status. cli_fail_all prints every problem and returns the first one's. */
int cli_fail(const struct err *e);
int cli_fail_all(const struct problems *p);
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));       /* to standard error; quiet with --json */
int cli_print(json_t *document);                   /* takes document; adds "v":1; returns an exit status */

/* --home, $ENGRAM_HOME, $XDG_STATE_HOME/engram or ~/.local/state/engram, absolute. Lives as long as the process. */
enum code cli_home(const char **out, struct err *e);
/* <home>/<name> */
enum code cli_path(const char *name, char *out, size_t bytes, struct err *e);

/* One question to the coordinator; the answer lives in the arena. The connection is kept for the next call. */
enum code cli_ask(struct message *ask, struct arena *a, struct message *answer, struct err *e);
void cli_close(void);
/* The connection itself, made if there is none; cli_close ends it. */
enum code cli_link(struct link **out, struct err *e);

/* ---- objects.c ---- */

/* Is the coordinator across the network, with a file system of its own? */
int cli_is_far(void);
/* The objects of the coordinator that is spoken to: its home's; of one that is far a cache of what was fetched, $XDG_CACHE_HOME/engram or
 * ~/.cache/engram, of CLI_CACHE_BYTES. */
enum code cli_objects(struct objects **out, struct err *e);
/* What names an object: a job, among its images, outputs, or as its commit; and where it is not zero an evaluation that the job made. Who sees
 * the job may fetch it. */
struct origin { uint64_t job; struct hash within; };
/* Fetches those that are not there, if the coordinator is far; zero hashes are none. */
enum code cli_bring(struct objects *o, struct origin from, const struct hash *h, size_t n, struct err *e);
/* cli_bring, then objects_get. */
enum code cli_object(struct objects *o, struct origin from, struct hash h, size_t limit, struct bytes *out, struct err *e);
/* A file becomes an object where the coordinator is. */
enum code cli_send(struct objects *o, const char *path, struct hash *out, struct err *e);
void cli_objects_release(void);                    /* of the cache, by cli_close */

#define CLI_CACHE_BYTES (UINT64_C(4) << 30)

/* A fresh 32-byte key for a request that creates something. */
struct hash cli_key(void);

/* The lineage's row; ERR_NOT_FOUND names the nearest. */
enum code cli_lineage(const char *name, struct arena *a, struct lineage_row *out, struct err *e);
/* Every commit row of a lineage, oldest first. */
enum code cli_commits(const char *lineage, struct arena *a, struct commit_rows *out, struct err *e);
/* Its images, also for who does not see which. */
size_t cli_n_images(const struct commit_row *r);
/* The row of a commit of the lineage: by hash prefix (4 digits or more), by number ("3"), by token. */
enum code cli_commit_row(const char *lineage, const char *name, struct arena *a, struct commit_row *out, struct err *e);
/* A commit of the lineage by hash prefix (4 digits or more), by number ("3"), or the head ("" or NULL: zero hash). */
enum code cli_commit(const char *lineage, const char *name, struct arena *a, struct hash *out, struct err *e);
/* The same, or the base model without any commit ("0": proto_base_alone). */
enum code cli_commit_or_base(const char *lineage, const char *name, struct arena *a, struct hash *out, struct err *e);
/* Up to `limit` jobs that match, newest first, in pages; *total (may be NULL) counts all that do. */
enum code cli_jobs(const struct msg_queue *ask, uint64_t limit, struct arena *a, struct job_rows *out, uint64_t *total,
                   struct err *e);
enum code cli_job(const char *text, uint64_t *out, struct err *e);          /* "12" or "job-12" */

/* --priority high, normal or low; text NULL: normal. */
enum code cli_priority(const char *text, uint64_t *out, struct err *e);

/* Reads --config files and --set assignments over the defaults; canonical JSON into the arena. */
struct settings;
enum code cli_settings(const char *config, const struct words *set, struct settings *out, const char **json, struct arena *a,
                       struct problems *p, struct err *e);

#define STATES_OPEN (1u << JOB_QUEUED | 1u << JOB_RUNNING | 1u << JOB_PAUSED)      /* for queue.states: not ended */

json_t *cli_hash_json(struct hash h);              /* hex, or null for zero */
json_t *cli_job_json(const struct job_row *r);
const char *cli_size(uint64_t bytes, char out[32]);          /* "7.9 GiB", "512.0 MiB", "38.2 KiB" */
const char *cli_duration(double seconds, char out[32]);      /* "4 s", "2 min 05 s" */

#endif
