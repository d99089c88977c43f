/* core.h - who does what, when. A pure state machine: no socket, clock, disk or randomness that it is not handed.
 *
 *     struct core *c = core_make(&settings);
 *     store_load(store, c);  core_restart(c, now_ms);            // or neither, for an empty one
 *
 *     core_step(c, &event, now_ms, &actions);
 *     make actions.put durable, in one transaction;              // if that fails: throw c away, load again
 *     carry actions.tell out;                                    // only then
 *     core_actions_clear(&actions);
 *
 * The same function serves the living coordinator, the replay after a crash and the simulation (tests/core).
 * docs/coordinator.md draws the machine; stage.c holds its table.
 *
 * Invariants (design.md, section 4), kept here and checked by core_check:
 *   1  a commit's parent was the head when its score began and is when it commits
 *   2  a job commits at most once; result, commit row and head move are one transaction
 *   5  what was answered is durable; only the newest epoch of a stage is heard
 *   6  only the owner of a lineage or job writes to it
 *
 * Times are ms of Unix time. They may stand still but never run back (the caller sees to it; core_step asserts).
 * Not thread-safe. Cost of a step: O(unended jobs) at worst, of a heartbeat O(1).
 */
#ifndef COORDINATOR_CORE_CORE_H
#define COORDINATOR_CORE_CORE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "proto/proto.h"

/* ---- what is known; read-only outside core/ ---- */

enum { CORE_STAGES = 5 };                 /* of a job, at most: prior, score, train, sample, evaluate */

struct core_stage {
    enum stage_kind kind;
    enum stage_state state;
    uint64_t epoch;                       /* of the newest lease; higher than any before. 0: never leased */
    uint64_t attempts;                    /* leases granted */
    uint64_t losses;                      /* in a row without new progress */
    uint64_t pauses;                      /* in a row: results that blame the environment */
    uint64_t best_step;                   /* furthest step heard of, over all attempts */
    uint64_t source;                      /* prior: the job whose outputs count; 0: this one */
    int64_t not_before_ms;                /* back-off; 0: none */
    int64_t deadline_ms;                  /* LEASED: the lease ends then, unless a heartbeat comes */
    struct hash group;                    /* LEASED: its nonce */
    double seconds;
    char *line;                           /* owned; NULL: "" */
    /* Not durable: progress. */
    uint64_t step, of, first_step;
    int64_t first_ms;
    char *text;                           /* owned; last word of the worker */
    const struct message *result;         /* during a step: the result to be kept with it */
    int dirty;
};

struct core_job {
    uint64_t id;
    enum job_kind kind;
    enum job_state state;
    uint64_t lineage;                     /* its id */
    char *owner, *token, *class_word;     /* owned; token and class_word "" unless learn */
    enum concept_kind concept;
    struct hash key, digest, prior_key;
    struct hash parent;                   /* learn: the head when score (or train) was first granted */
    struct hash commit;                   /* learn: its own, zero before; else: the one asked for */
    uint64_t commit_number;               /* of commit; 0: the base */
    int64_t submitted_ms, started_ms, finished_ms;
    int n_stages;
    struct core_stage stages[CORE_STAGES];
    struct core_job *next_live, *prev_live;
    int dirty, live, parent_known;
};

struct core_commit {
    struct hash hash, parent;
    uint64_t number, job;
    int64_t committed_ms;
    double seconds;
};

struct core_lineage {
    uint64_t id;
    char *name, *owner;                   /* owned */
    struct hash key, digest, head;
    int64_t created_ms;
    struct core_commit *commits;          /* owned, [n_commits], oldest first */
    size_t n_commits, commits_room;
    uint64_t *learns;                     /* owned, ids of its learn jobs in order of submission */
    size_t n_learns, learns_room;
    size_t turn;                          /* learns[turn] is the one whose turn it is; before it all are decided */
    uint64_t served;                      /* when a stage of it was last granted, by a counter */
    size_t user;                          /* of its owner, in the core's table */
};

/* Opaque to the core: where an answer goes. */
struct core_address { uint8_t peer[64]; uint8_t n, socket, version; uint64_t id; };

struct core_group {                       /* not durable: a restarted coordinator asks `who` */
    struct hash nonce;
    char name[PROTO_NAME + 1], host[PROTO_NAME + 1], device[PROTO_NAME + 1];
    uint64_t ranks, pid;
    int64_t seen_ms;
    int parked;                           /* its `ready` waits for an answer until parked_until_ms */
    int64_t parked_until_ms;
    struct core_address parked_at;
};

struct core_settings {
    int64_t term_ms;                      /* of a lease; 0: 30000 */
    int64_t poll_ms;                      /* how long `ready` may wait; 0: PROTO_POLL_MS */
    uint64_t loss_limit;                  /* losses in a row until a stage is given up; 0: 5 */
};

struct core;

struct core *core_make(const struct core_settings *s);     /* NULL: out of memory */
void core_free(struct core *c);

/* ---- what happens ---- */

enum core_event_type {
    CORE_MESSAGE,                         /* a message of a user or worker group */
    CORE_GROUP_LOST,                      /* a launcher saw the process group end */
    CORE_TICK                             /* time has passed; a few times a second */
};

struct core_event {
    enum core_event_type type;
    const struct message *message;        /* borrowed until the actions are cleared */
    struct core_address from;
    const char *user;                     /* who asks, from the transport, not from the message */
    struct hash group;                    /* worker messages, GROUP_LOST: the nonce */
    struct hash digest;                   /* of the request's contents without its id: tells two uses of a key apart */
    struct slice request;                 /* learn, sample, evaluate: its bytes, to be kept */
};

/* ---- what is to be done ---- */

enum core_put_type { PUT_LINEAGE, PUT_JOB, PUT_STAGE, PUT_COMMIT, PUT_EVENT };

struct core_put {                         /* durable, all of a batch or nothing. Rows are read when the batch is written */
    enum core_put_type type;
    const struct core_lineage *lineage;   /* LINEAGE, COMMIT, fresh JOB */
    const struct core_job *job;           /* JOB, STAGE, EVENT */
    const struct core_stage *stage;       /* STAGE */
    struct core_commit commit;            /* COMMIT: append it and move the head of lineage to it */
    int fresh;                            /* LINEAGE, JOB: insert with message's contents; else update */
    const struct message *message;        /* fresh LINEAGE: lineage_create; fresh JOB: the request; STAGE: result or NULL */
    struct slice request;                 /* fresh JOB */
    struct event_row event;               /* EVENT */
};

enum core_tell_type { TELL_ANSWER, TELL_STAGE, TELL_PROGRESS };

struct core_tell {                        /* after the puts are durable */
    enum core_tell_type type;
    struct core_address to;               /* ANSWER, STAGE */
    struct message answer;                /* ANSWER: strings live in the actions' arena */
    uint64_t job, epoch;                  /* STAGE: assemble it from the store; PROGRESS: for those who watch */
    enum stage_kind stage;
    struct event_row event;               /* PROGRESS */
};

struct core_actions {                     /* zero-initialise; a batch may gather several steps */
    struct core_put *puts;
    struct core_tell *tells;
    size_t n_puts, puts_room, n_tells, tells_room;
    struct arena arena;
    int failed;                           /* memory ran out: treat like a store that failed */
};
void core_actions_clear(struct core_actions *a);
void core_actions_fini(struct core_actions *a);

void core_step(struct core *c, const struct core_event *ev, int64_t now_ms, struct core_actions *out);

/* ---- after a restart: rows in, in this order: lineages, their commits by number, jobs by id, stages ---- */

enum code core_load_lineage(struct core *c, const struct core_lineage *row, struct err *e);      /* copies */
enum code core_load_commit(struct core *c, uint64_t lineage, const struct core_commit *row, struct err *e);
enum code core_load_job(struct core *c, const struct core_job *row, struct err *e);   /* without stages */
enum code core_load_stage(struct core *c, uint64_t job, const struct core_stage *row, struct err *e);
/* Rebuilds what follows from the rows, starts the leases of running stages anew (their groups may still be at work) and
 * ends all back-off. last_seq: the highest event number in the store. ERR_CORRUPT names what does not fit. */
enum code core_restart(struct core *c, uint64_t last_seq, int64_t now_ms, struct err *e);

/* ---- looking ---- */

const struct core_job *core_job(const struct core *c, uint64_t id);              /* NULL: none */
uint64_t core_last_job(const struct core *c);                                    /* ids are 1..this */
const struct core_lineage *core_lineage(const struct core *c, uint64_t id);      /* ids from 1; NULL: none */
const struct core_lineage *core_lineage_named(const struct core *c, const char *name);
uint64_t core_last_lineage(const struct core *c);
const struct core_group *core_groups(const struct core *c, size_t *n);
const struct core_stage *core_stage_of(const struct core_job *j, enum stage_kind k);    /* NULL: not planned */
/* The stage a job is at: the leased one, else the first not ended; NULL when all have ended. */
const struct core_stage *core_stage_now(const struct core_job *j);
const char *core_nearest_lineage(const struct core *c, const char *name);        /* "did you mean"; NULL */
size_t core_before(const struct core *c, const struct core_job *j);              /* learn jobs that come first */
int core_leased(const struct core *c);                                           /* stages that run now */
int core_stopping(const struct core *c);
int core_drains(const struct core *c);                                           /* running stages may end first */
/* When the next thing happens by itself (a deadline, an end of back-off, an `idle`); INT64_MAX: never. */
int64_t core_next_ms(const struct core *c);

/* Every invariant that can be seen in the state; ERR_CORRUPT names the first that is broken. O(everything). */
enum code core_check(const struct core *c, struct err *e);

#endif
