/* core.h - who does what, when. A pure state machine: no socket, clock, disk or randomness that it is not handed.
 *
 *     struct core *c = core_make(&settings);
 *     store_load(store, c, now_ms, &e);                          // or core_restart(c, now_ms, &e), for an empty one
 *
 *     core_step(c, &event, now_ms, &actions);                    // as often as there are messages
 *     make actions.put durable, in one transaction;              // if that fails: throw c away, load again
 *     carry actions.tell out;                                    // only then
 *     core_actions_clear(&actions);                              // tells the core that the batch is durable
 *
 * The same function serves the living coordinator, the replay after a crash and the simulation (tests/core).
 * docs/coordinator.md draws the machine; stage.c holds its table.
 *
 * What is kept. Users, lineages with the hashes of their commits, class images, worker groups, and jobs that have not
 * ended (and failed ones for which a lineage waits). A job that has ended is forgotten with the first step of the next
 * batch; what somebody asks about it, the store answers. Where a message needs such a job the event brings it: core_wants_past
 * says so. Texts, prompts and requests are never kept.
 *
 * Cost of a step: O(log users + log leases), whatever waits; a batch of puts is as long as what changed. Memory: about
 * 150 bytes for a job that waits (docs/coordinator.md has the measured figure).
 *
 * Invariants (design.md, section 4), kept here and checked by core_check:
 *   1  a commit's parent was the head when its score began and is when it commits
 *   2  a job commits at most once; result, commit row and head move are one transaction
 *   5  what was answered is durable; only the newest epoch of a stage is heard
 *   6  only those who may see, cancel and add
 *
 * Times are ms of Unix time. They may stand still but never run back (the caller sees to it; core_step asserts).
 * One struct core_actions at a time. Not thread-safe.
 */
#ifndef COORDINATOR_CORE_CORE_H
#define COORDINATOR_CORE_CORE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "proto/proto.h"

/* ---- what is known; read-only outside core/ ---- */

enum {
    CORE_STAGES = 5,                      /* of a job, at most: prior, score, train, sample, evaluate */
    CORE_KEY = 16,                        /* bytes of a request key that count */
    CORE_DIGEST = 8                       /* bytes of a request's digest that count: only its own user could forge it */
};

/* What a stage needs from its first lease on; a stage that never had one has no record. Its state stands in its job. */
struct core_stage {
    enum stage_kind kind;
    uint64_t job;
    uint64_t epoch;                       /* of the newest lease; higher than any before */
    uint64_t attempts;                    /* leases granted */
    uint64_t losses;                      /* in a row without new progress */
    uint64_t pauses;                      /* in a row: results that blame the environment */
    uint64_t best_step;                   /* furthest step heard of, over all attempts */
    uint64_t chain;                       /* how many commits of its lineage it works on; fixed by the job's first lease */
    int64_t granted_ms;                   /* the newest lease began then */
    struct hash group;                    /* LEASED: the nonce of its group; else zero */
    double seconds;                       /* of the attempt that counted */
    char *line;                           /* owned; NULL: "" */
    /* Not durable. */
    int64_t not_before_ms;                /* READY: back-off until then; 0: none */
    int64_t deadline_ms;                  /* LEASED: the lease ends then, unless a heartbeat comes */
    uint64_t step, of, first_step;        /* progress */
    int64_t first_ms;
    char *text;                           /* owned; last word of the worker */
    double charged_ms;                    /* LEASED: virtual time that its user was charged ahead */
    const struct message *result;         /* during a batch: the result to be kept with it; else NULL */
    struct core_stage *next;              /* of the same job */
    size_t timer;                         /* its place among the timers + 1; 0: none */
    uint8_t put;
};

enum core_job_flag {
    JOB_HELD = 1,                         /* paused by somebody: no stage of it begins */
    JOB_HOLDS = 2,                        /* failed, and its lineage waits for a retry or cancel (FAILURE_WAIT) */
    JOB_FORGOTTEN = 4,                    /* photos, previews, prompts are gone */
    JOB_MARKED = 8                        /* open though its id is below clock.open: retried, or open for very long */
};

struct core_job {
    uint64_t id;
    uint8_t key[CORE_KEY], digest[CORE_DIGEST];
    int64_t submitted_ms, started_ms, finished_ms;     /* 0: not yet */
    uint64_t place;                       /* learn: its order in the lineage; retried ones come later than their id says */
    uint32_t lineage, owner;              /* ids */
    uint32_t commit_number;               /* learn: its own, 0 before; else the one to read, 0: the base */
    uint32_t prior;                       /* id of its class images; 0: wants none */
    uint32_t stages;                      /* octal digits: at 8 to the power of its kind the state of a stage, 0: not planned */
    uint8_t kind, state, priority, flags; /* enum job_kind, job_state, priority; core_job_flag */
    struct core_stage *records;           /* owned; of stages that had a lease */
    /* Where it stands: slots of other jobs. */
    uint32_t self, next, prev;            /* among ready ones of its flow, or those that wait for class images */
    uint32_t later, earlier;              /* learn: in its lineage */
    uint32_t newer, older;                /* open jobs of its owner, by id; not those that are marked */
    uint32_t flow, ticket;
    uint8_t list, touched, put;           /* put: a PUT_JOB of this batch reads it */
};

/* A commit as it is put and loaded. */
struct core_commit {
    struct hash hash, parent;
    uint64_t number, job;
    int64_t committed_ms;
    double seconds;
};

/* And what is kept of it. */
struct core_link { struct hash hash; uint64_t job; };

struct core_lineage {
    uint32_t id, owner;                   /* owner: of a user */
    char *name;                           /* owned */
    struct hash key, digest, base_hash, head;
    int64_t created_ms;
    uint8_t visibility, on_failure, held; /* enum visibility, on_failure; held: no stage of it begins */
    char **shared;                        /* owned, [n_shared]: users and "@group"s who may read and add */
    size_t n_shared;
    struct core_link *commits;            /* owned, [n_commits], oldest first */
    size_t n_commits, commits_room;
    uint32_t first, last;                 /* its undecided learn jobs in order (slots); the first has the turn */
    size_t n_undecided;                   /* of them, with failed ones it waits for */
    uint64_t n_waiting;                   /* learn jobs that have not ended */
    struct core_token { uint64_t hash, job; } *tokens; /* owned: taken by jobs that have committed or may still */
    size_t n_tokens, tokens_room;
};

struct core_user {
    uint32_t id;                          /* from 1 */
    char *name, *group;                   /* owned; group "": none */
    struct hash key;                      /* CURVE public key; zero: none */
    enum role role;
    int revoked;
    uint64_t weight;                      /* at least 1 */
    uint64_t max_queued, max_running, max_bytes;    /* 0: no limit */
    int64_t added_ms;
    double used_ms;                       /* virtual time: lease time over weight; who has the least is next */
    uint64_t bytes;                       /* that they keep here: requests, photos, pictures */
    uint64_t ended[3];                    /* jobs done, failed, cancelled */
    /* Not durable: counted. */
    uint64_t queued, running, paused;     /* jobs that have not ended, by state */
    uint64_t leased;                      /* stages that run */
    uint64_t ready;                       /* jobs with a stage that a group could begin, quota aside */
    double ahead_ms;                      /* virtual time that running leases are charged ahead; who is next goes by both */
};

/* Class images that jobs share by their key (prior.c). */
struct core_prior {
    uint32_t id;
    struct hash key;
    uint64_t maker;                       /* the job that makes or made them; 0: nobody at the moment */
    int made;
};

/* Opaque to the core, but for id and version: where an answer goes, and in which version of the protocol. */
struct core_address { uint8_t peer[64]; uint8_t n, socket, version; uint64_t id; };

struct core_group {                       /* not durable: a restarted coordinator asks `who` */
    struct hash nonce;
    char name[PROTO_NAME + 1], host[PROTO_NAME + 1], device[PROTO_NAME + 1];
    uint64_t ranks, pid;
    struct hash base, commit;             /* what it said it holds in memory */
    int64_t seen_ms;
    int known;                            /* has said hello; else only its lease is known */
    int draining;                         /* gets no new stage */
    const struct core_stage *lease;       /* NULL: none */
    int parked;                           /* its `ready` waits for an answer until parked_until_ms */
    int64_t parked_until_ms;
    struct core_address parked_at;
};

/* Counters that only rise, durable with the batch that raised them. */
struct core_clock {
    uint64_t job, epoch, seq;             /* the newest of each */
    uint64_t open;                        /* no job with a smaller id is open, but those that are marked or hold a lineage */
};

struct core_settings {
    int64_t term_ms;                      /* of a lease; 0: 30000 */
    int64_t poll_ms;                      /* how long `ready` may wait; 0: PROTO_POLL_MS */
    uint64_t loss_limit;                  /* losses in a row until a stage is quarantined; 0: 3 */
    uint64_t seed;                        /* of hash tables: a secret, so that nobody chooses keys that collide; any number */
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

/* A job that has ended, as the store has it. Lent. */
struct core_past {
    struct core_job job;                  /* without records and places */
    struct core_stage stage[CORE_STAGES]; /* those that had a lease, [n_stages] */
    int n_stages;
    const char *token;                    /* learn */
    uint64_t bytes;                       /* forget: that it counted with, request, photos and pictures */
};

/* Something that is asked for under a key: learn, sample, evaluate, lineage_create. */
struct core_request {
    const struct message *message;        /* NULL: could not be read; code and line say why */
    struct hash digest;                   /* of its bytes without id: tells two uses of a key apart */
    uint64_t bytes;                       /* with the photos that it names */
    const struct core_past *past;         /* the ended job that this key made; NULL: none */
    enum code code;
    const char *line;
};

struct core_event {
    enum core_event_type type;
    const struct message *message;        /* borrowed, as all below, until the actions are cleared */
    struct core_address from;
    const char *user;                     /* who asks, from the transport, not from the message; NULL: nobody (workers) */
    enum role role;                       /* as the transport knows; the higher of this and the user's row counts. 0: user */
    struct hash group;                    /* worker messages, GROUP_LOST: the nonce */
    const struct core_request *requests;  /* of learn, sample, evaluate, lineage_create: one; submit_many: one per row */
    size_t n_requests;
    uint64_t bytes;                       /* result: of the pictures that a sample stage made */
    const struct core_past *past;         /* cancel, retry, pause, forget, heartbeat, result: the ended job; NULL: none */
};

/* Must the store be asked before this message (or this row of submit_many) is stepped? CORE_PAST_KEY: for the job that
 * this key made; CORE_PAST_JOB: for this job. Whatever is not found leaves `past` NULL. O(1). */
enum core_past_by { CORE_PAST_NONE, CORE_PAST_KEY, CORE_PAST_JOB };
enum core_past_by core_wants_past(const struct core *c, const struct message *m, struct hash *key, uint64_t *job);

/* ---- what is to be done ---- */

enum core_put_type {
    PUT_USER,                             /* insert or replace */
    PUT_LINEAGE,
    PUT_PRIOR,                            /* insert or replace */
    PUT_JOB,
    PUT_STAGE,                            /* insert or replace; with stage->result, if there is one */
    PUT_COMMIT,                           /* append it and move the head of lineage to it */
    PUT_EVENT,
    PUT_AUDIT,
    PUT_DRAIN,                            /* name is drained (on) or not; "": all groups */
    PUT_FORGET,                           /* job: its prompts and captions go, hashes stay */
    PUT_CLOCK                             /* once per batch */
};

/* Durable, all of a batch or nothing, in this order. Rows are pointers: read them when the batch is written. */
struct core_put {
    enum core_put_type type;
    const struct core_user *user;         /* USER */
    const struct core_lineage *lineage;   /* LINEAGE, COMMIT */
    const struct core_prior *prior;       /* PRIOR */
    const struct core_job *job;           /* JOB, STAGE */
    const struct core_stage *stage;       /* STAGE */
    const struct core_clock *clock;       /* CLOCK */
    uint64_t id;                          /* EVENT, FORGET: the job */
    struct core_commit commit;            /* COMMIT */
    int fresh;                            /* LINEAGE, JOB: insert, with message's contents; else update */
    const struct message *message;        /* fresh LINEAGE: lineage_create; fresh JOB: the request */
    struct event_row event;               /* EVENT */
    struct audit_row audit;               /* AUDIT */
    const char *name; int on;             /* DRAIN */
};

enum core_tell_type { TELL_ANSWER, TELL_STAGE, TELL_PROGRESS, TELL_FORGET, TELL_NEWS };

/* What has happened to a job, for logs and counters: nobody is answered by it. */
enum core_what { NEWS_SUBMITTED, NEWS_BEGINS, NEWS_RESULT, NEWS_LOST, NEWS_QUARANTINED, NEWS_PUT_BACK, NEWS_ENDED };
struct core_news {
    enum core_what what;
    enum job_kind kind;
    enum job_state state;                 /* of the job, afterwards */
    uint32_t lineage;
    enum code code;                       /* RESULT */
    double seconds;                       /* RESULT */
    const char *group;                    /* BEGINS, RESULT, LOST: who has or had the lease; "" where it is not known */
    const char *line;                     /* RESULT, LOST: why, in a worker's words, which may quote what was asked for */
};

struct core_tell {                        /* after the puts are durable */
    enum core_tell_type type;
    struct core_address to;               /* ANSWER, STAGE */
    struct message answer;                /* ANSWER: strings live in the actions' arena; version is the asker's */
    uint64_t job, epoch;                  /* STAGE: assemble it from the store; PROGRESS: for those who watch; FORGET, NEWS */
    enum stage_kind stage;                /* STAGE, NEWS; 0: of the job as a whole */
    struct event_row event;               /* PROGRESS */
    struct core_news news;                /* NEWS */
};

struct core_actions {                     /* zero-initialise; a batch may gather several steps */
    struct core_put *puts;
    struct core_tell *tells;
    size_t n_puts, puts_room, n_tells, tells_room;
    struct arena arena;
    int failed;                           /* memory ran out: treat like a store that failed */
    uint64_t stamp;                       /* the core's: which batch this is; 0: none yet */
};
void core_actions_clear(struct core_actions *a);
void core_actions_fini(struct core_actions *a);

void core_step(struct core *c, const struct core_event *ev, int64_t now_ms, struct core_actions *out);

/* ---- after a restart: rows in, in this order: clock, users, drains, lineages, their commits by number, class images, jobs,
 * stages of jobs. Jobs by rising id (it is the order in which they are served): those from clock.open on, and of those before it
 * the ones with JOB_HOLDS or JOB_MARKED. Ended jobs and their stages may be left out or given; they are passed over.
 * ERR_CORRUPT names what does not fit. ---- */

void core_load_clock(struct core *c, struct core_clock clock);
enum code core_load_user(struct core *c, const struct core_user *row, struct err *e);          /* copies, as all */
enum code core_load_drain(struct core *c, const char *name, struct err *e);
enum code core_load_lineage(struct core *c, const struct core_lineage *row, struct err *e);    /* without commits */
enum code core_load_commit(struct core *c, uint32_t lineage, const struct core_commit *row, const char *token, struct err *e);
enum code core_load_prior(struct core *c, const struct core_prior *row, struct err *e);
enum code core_load_job(struct core *c, const struct core_job *row, const char *token, struct err *e);
enum code core_load_stage(struct core *c, const struct core_stage *row, struct err *e);
/* Rebuilds what follows from the rows, starts the leases of running stages anew (their groups may still be at work) and
 * ends all back-off. O(everything), with a core_check. */
enum code core_restart(struct core *c, int64_t now_ms, struct err *e);

/* ---- looking; all O(1) unless said ---- */

const struct core_job *core_job(const struct core *c, uint64_t id);              /* NULL: never was, or has ended */
/* Jobs that are kept, one after the other in no order; begin with *cursor 0; NULL: no more. */
const struct core_job *core_each_job(const struct core *c, uint32_t *cursor);
uint64_t core_last_job(const struct core *c);                                    /* ids are 1..this */
enum stage_state core_stage_state(const struct core_job *j, enum stage_kind k);  /* 0: not planned */
const struct core_stage *core_stage_of(const struct core_job *j, enum stage_kind k);    /* NULL: never had a lease */
/* The stage a job is at: the leased one, else the first not ended; 0 when all have ended. */
enum stage_kind core_stage_now(const struct core_job *j);
int core_job_held(const struct core *c, const struct core_job *j);               /* itself, or with its lineage */
struct hash core_job_commit(const struct core *c, const struct core_job *j);     /* of commit_number; zero: none */

/* Open jobs of a user in one of these states (bits 1 << enum job_state; 0: any), newest first, below an id (0: from the newest),
 * without those that are marked; into ids, at most limit. Looks at no more than *budget jobs and takes off how many;
 * *below becomes where to go on, 0: no more. How many there are. */
size_t core_page(const struct core *c, uint32_t owner, uint64_t states, uint64_t *below, size_t limit, size_t *budget,
                 uint64_t *ids);

const struct core_lineage *core_lineage(const struct core *c, uint32_t id);      /* ids from 1; NULL: none */
const struct core_lineage *core_lineage_named(const struct core *c, const char *name);
uint32_t core_last_lineage(const struct core *c);
const struct core_job *core_turn(const struct core *c, const struct core_lineage *l);   /* NULL: nobody's */
const char *core_nearest_lineage(const struct core *c, const char *name);        /* "did you mean"; NULL. O(lineages) */
uint64_t core_before(const struct core *c, const struct core_job *j);            /* learn jobs that come first; O(them) */

const struct core_user *core_user(const struct core *c, uint32_t id);            /* NULL: none */
const struct core_user *core_user_named(const struct core *c, const char *name);
const struct core_user *core_user_by_key(const struct core *c, struct hash key); /* CURVE; revoked ones too */
uint32_t core_last_user(const struct core *c);
uint64_t core_users_version(const struct core *c);                               /* rises when a user is added or set */
/* May `who` (of this role at least; NULL: somebody new) see the jobs of owner in full? Owner, admin, the owner's group. */
int core_sees(const struct core *c, const struct core_user *who, enum role role, uint32_t owner);
int core_may_read(const struct core *c, const struct core_user *who, enum role role, const struct core_lineage *l);
int core_may_add(const struct core *c, const struct core_user *who, enum role role, const struct core_lineage *l);

const struct core_prior *core_prior(const struct core *c, uint32_t id);          /* NULL: none */

size_t core_n_groups(const struct core *c);                                      /* that have said hello */
const struct core_group *core_each_group(const struct core *c, uint32_t *cursor);       /* as core_each_job */
const struct core_stage *core_each_lease(const struct core *c, uint32_t *cursor);

/* What launchers and metrics want to know. */
struct core_backlog {
    uint64_t ready;                       /* stages that groups could begin now: not held, not beyond a quota, no back-off */
    uint64_t leased;                      /* stages that run */
    uint64_t groups, ranks;               /* worker groups that have said hello, and their ranks */
    uint64_t waiting;                     /* of them: have nothing to do and may have */
    uint64_t draining;                    /* of them */
    uint64_t queued, running, paused;     /* jobs, by state */
    uint64_t users, lineages;
};
void core_backlog(const struct core *c, struct core_backlog *out);

/* Why a job does not run, and when it may: the first reason that holds. */
enum core_reason {
    WHY_NOT,                              /* it runs, or has ended */
    WHY_HELD,                             /* paused by somebody */
    WHY_TURN,                             /* `job` comes first in its lineage; `before` of them do */
    WHY_FAILED,                           /* `job` failed, and its lineage waits until it is retried or cancelled */
    WHY_PRIOR,                            /* `job` makes its class images (0: nobody yet) */
    WHY_BACK_OFF,                         /* until at_ms */
    WHY_REVOKED,                          /* its owner is not heard any more */
    WHY_QUOTA,                            /* its owner runs as much as they may */
    WHY_STOPPING,
    WHY_NO_GROUP,
    WHY_DRAINING,                         /* all groups are */
    WHY_SHARE                             /* `before` stages come first by priority and share, about */
};
struct core_why {
    enum core_reason reason;
    enum stage_kind stage;
    uint64_t job, before;
    int64_t at_ms;
    int64_t starts_in_ms;                 /* estimate from the stages that were seen; -1: not known; 0: it runs */
};
void core_why(const struct core *c, const struct core_job *j, struct core_why *out);

int core_leased(const struct core *c);                                           /* stages that run now */
int core_stopping(const struct core *c);
int core_drains(const struct core *c);                                           /* running stages may end first */
/* When the next thing happens by itself (a deadline, an end of back-off, an `idle`); INT64_MAX: never. O(1). */
int64_t core_next_ms(const struct core *c);

/* ---- checking ---- */

/* Every invariant that can be seen in the state; ERR_CORRUPT names the first that is broken. O(everything). */
enum code core_check(const struct core *c, struct err *e);
/* The same for what the last step touched, and the counters: after every step of a simulation. O(what it touched). */
enum code core_check_step(const struct core *c, struct err *e);

#endif
