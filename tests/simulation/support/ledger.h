/* ledger.h - what is true, from outside: what was said to the core, which rows it put, what it answered. The core's own bookkeeping
 * is not believed; its rows are held against these pages after every step.
 *
 * A step is written down at once but may never happen: the coordinator can die before its batch is durable. So every change goes through
 * LEDGER_SET, which remembers what stood there; ledger_durable forgets that, ledger_undo puts it back.
 *
 * Invariants by the names under which they are reported:
 *   parent    1: a commit's parent is the head, and was when its first score or train was granted
 *   turn      1: score and train only for the first undecided concept of its lineage, in order of its place
 *   twice     2: a job commits once, with the result of its train; a stage is done once
 *   whole     2: after a restart everything of a batch is there or nothing
 *   function  3, 4: a commit is the function of its parent and its concept that a quiet run would have made
 *   lost      5: what was acknowledged is there, also after a kill
 *   epoch     5: epochs rise; only the newest of a stage is heard, by the group that has it; a group has one lease
 *   early     5: no answer leaves before its batch is durable
 *   spurious  5: a lease ends by its result, its term, its group's end, its job's end or a stop, not otherwise
 *   expiry    5: a silent lease does end
 *   denied    6: nobody touches another's unless shared; 6: nobody is kept from their own
 *   changed   7: what was refused changed nothing; 7: what is good is not refused
 *   answer    one request, one answer, of the right kind, about the right thing, the same when asked again
 *   stages    a stage moves as the table of stage.c allows, and for a reason; inputs first
 *   held      nothing that is paused, drained, revoked, in back-off or beyond a quota begins
 *   idle      no group waits while a stage could begin
 *   reason, page  what people are told of jobs that wait is so
 *   audit     what an admin does, and what cannot be undone, is written down
 *   fair, wait, patience  F1, F2: the lowest share first; newcomers; no picture waits for a whole lineage
 *   result, quarantine, counts, check, assert, live: see where they are reported
 */
#ifndef TESTS_SIMULATION_LEDGER_H
#define TESTS_SIMULATION_LEDGER_H

#include "coordinator/core/core.h"

struct world;

struct ledger_job {
    uint8_t key[CORE_KEY];
    uint64_t seed, place;
    uint64_t next, prev;              /* undecided concepts of its lineage */
    uint32_t lineage, owner, prior, stages, commit_number;
    uint8_t kind, state, priority, flags;
    uint8_t known, tampered;
    uint8_t listed;                   /* the stage by which it is counted among what its owner could begin; 0: it is not */
    uint8_t bad[STAGE_KINDS];         /* a result that blames the input came in time */
    uint8_t losses[STAGE_KINDS];
    uint64_t epoch[STAGE_KINDS];      /* of the newest lease; when that was taken away, higher */
    uint64_t holder[STAGE_KINDS];     /* LEASED: the nonce of its group */
    uint64_t said[STAGE_KINDS];       /* the epoch whose result counted */
    uint64_t best[STAGE_KINDS];
    int64_t not_before_ms[STAGE_KINDS];
    struct hash parent;               /* the head when its score or train was granted first */
    uint64_t chain;
    uint8_t has_parent;
    uint64_t seen;                    /* step in which it was looked at last; not undone */
};

struct ledger_lease { uint64_t job, epoch; enum stage_kind kind; int64_t deadline_ms, latest_ms, granted_ms; double charged_ms; };

struct ledger_group {
    struct ledger_lease lease;        /* job 0: none */
    uint8_t known, parked;
    int64_t until_ms;                 /* parked: an answer is due by then */
    char name[PROTO_NAME + 1];
    uint32_t at;                      /* its place among the leases + 1 */
};

struct ledger_lineage {
    uint32_t known, owner;
    char name[PROTO_NAME + 1];
    uint8_t visibility, on_failure, held, n_shared;
    char shared[8][PROTO_NAME + 1];
    struct hash head;
    uint64_t n_commits;
    uint64_t first, last, n_undecided;
};

struct ledger_user {
    uint32_t known;
    char name[PROTO_NAME + 1], team[PROTO_NAME + 1];
    uint8_t role, revoked;
    uint64_t weight, max_queued, max_running, max_bytes, bytes;
    uint64_t unended, leased;         /* jobs, stages */
    uint64_t listed[PRIORITIES];      /* jobs of which a stage could begin, quota aside */
    uint64_t beside[PRIORITIES];      /* of them: whose sample or evaluate could */
    uint64_t urgent_in_a_row;         /* stages that began before one of these */
    uint64_t since;                   /* the step in which it had something to begin after it had nothing, or could after quota */
    uint64_t went;                    /* the step in which it had nothing to begin any more, or might not */
    uint64_t touched;                 /* the step in which a job of it changed last; not undone */
    uint64_t reweighed, old_weight;   /* the step in which its weight was set last; not undone */
    uint64_t passed;                  /* grants to others since it came without anything */
    uint8_t is_new;
    double used_ms;                   /* lease time over weight, of leases that have ended */
    uint64_t settled;                 /* the step in which a lease ended last; not undone */
    double settled_ms;                /* what it had used before that step */
    double ahead_ms;                  /* what running leases are charged ahead */
};

struct ledger_drain { char name[PROTO_NAME + 1]; uint8_t on; };

struct ledger_undo { void *at; uint32_t n; uint8_t old[36]; };

struct ledger {
    struct ledger_job **jobs;         /* chunks that never move, by id - 1 */
    struct ledger_group **groups;     /* chunks, by nonce */
    struct ledger_lineage *lineages;  /* [room_lineages + 1], by id; never moves, as all below */
    struct ledger_user *users;
    struct ledger_drain drains[64];
    uint64_t *leases;                 /* nonces, [leased], in no order */
    size_t job_chunks, group_chunks, room_lineages, room_users, room_leases;
    uint64_t n_jobs, n_lineages, n_users, n_drains, draining; /* draining: drains that are on */
    double chosen_ms;                 /* what the last who was given something had used */
    uint64_t newest_epoch, leased, unended, parked;
    struct ledger_undo *undo;
    size_t n_undo, undo_room;
    uint64_t steps;
    /* During a step. */
    const struct core_event *ev;
    size_t puts_before;
    uint64_t asker;                   /* address; COORDINATOR: nobody */
    uint32_t user;                    /* id of who asks; 0: nobody, or not known yet */
    int is_admin, tampered, stopping, stopping_now, made_something;
    const char *heard;                /* what became of a heartbeat or result: see ledger_answer.c */
    uint64_t *backing_off;            /* jobs with a stage that waits for its time; some do not any more */
    size_t n_backing_off, backing_off_room;
    int64_t back_ms;                  /* the first of them */
    uint64_t *changed;                /* jobs */
    size_t n_changed, changed_room;
    uint64_t fresh_first;             /* first job id made in this step */
};

void ledger_note(struct ledger *l, void *at, size_t n);
#define LEDGER_SET(l, where, value)                                                                \
    do {                                                                                           \
        ledger_note((l), &(where), sizeof(where));                                                 \
        (where) = (value);                                                                         \
    } while (0)

void ledger_init(struct world *w);
void ledger_fini(struct world *w);
struct ledger_job *ledger_job(struct ledger *l, uint64_t id);                /* made when it is not there */
struct ledger_group *ledger_group(struct ledger *l, uint64_t nonce);
uint32_t ledger_lineage_named(const struct ledger *l, const char *name);     /* its id; 0: none */
uint32_t ledger_user_named(const struct ledger *l, const char *name);
int ledger_drained(const struct ledger *l, const char *group);

/* Around core_step. puts, tells: how many there were before. */
void ledger_before(struct world *w, const struct core_event *ev, uint64_t asker, int tampered);
void ledger_after(struct world *w, size_t puts, size_t tells);

void ledger_durable(struct world *w);                        /* the batch is on the disk */
void ledger_undo(struct world *w);                           /* it never was */
void ledger_told(struct world *w, const struct core_tell *t);    /* an answer leaves now */
void ledger_restarted(struct world *w);                      /* a new core was loaded */
void ledger_compare(struct world *w);                        /* every row with every page. O(everything) */
void ledger_final(struct world *w);                          /* everything has ended */

/* ---- what its files share ---- */

static inline enum stage_state stage_digit(uint32_t stages, int k)
{
    return (enum stage_state)(stages >> 3 * k & 7);
}

/* ledger_row.c: rows of users, lineages, drains, fresh jobs. */
void ledger_rows(struct world *w, size_t puts);
/* ledger_job.c: what became of the jobs that changed. */
void ledger_jobs(struct world *w);
void ledger_list(struct world *w, uint64_t id, struct ledger_job *j);     /* counts it among what its owner could begin, or not */
struct hash made_of(struct hash parent, uint64_t seed, enum stage_kind k);    /* what a quiet run makes */
/* ledger_lease.c: leases that end and begin. */
void ledger_lease_ends(struct world *w, uint64_t id, struct ledger_job *j, const struct core_job *row, enum stage_kind k);
void ledger_grants(struct world *w);
/* ledger_fair.c */
void ledger_fair_before(struct world *w);                    /* all but the grants of this step is written down */
void ledger_fair_grant(struct world *w, uint64_t id, const struct ledger_job *j, const struct core_stage *s);
void ledger_fair_settle(struct world *w, uint32_t user, double took_ms, double charged_ms);
int ledger_may_run(const struct ledger_user *u);
uint64_t ledger_could(const struct ledger_user *u);      /* jobs of which a stage could begin */
/* ledger_ask.c */
void ledger_ask(struct world *w);
/* ledger_answer.c: what was said. */
void ledger_answers(struct world *w, size_t tells);
int ledger_may_add(const struct ledger *l, uint32_t user, int is_admin, uint32_t lineage);
int ledger_owns(const struct ledger *l, uint32_t owner);     /* who asks is the owner or an admin */

#endif
