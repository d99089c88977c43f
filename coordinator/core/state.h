/* state.h - what the files of core/ share. Nobody outside includes it. */
#ifndef COORDINATOR_CORE_STATE_H
#define COORDINATOR_CORE_STATE_H

#include "coordinator/core/core.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

/* ---- map.c: from 32 bits of a hash to candidates; whoever asks compares ---- */

struct map { struct map_entry { uint32_t hash, value; } *e; size_t n, room; };
uint32_t map_first(const struct map *m, uint32_t hash, size_t *at);    /* 0: none */
uint32_t map_next(const struct map *m, uint32_t hash, size_t *at);
int map_add(struct map *m, uint32_t hash, uint32_t value);             /* value > 0; 0: out of memory */
void map_remove(struct map *m, uint32_t hash, uint32_t value);
void map_fini(struct map *m);
uint32_t map_hash(uint64_t seed, const void *bytes, size_t n);
uint64_t map_hash64(uint64_t seed, const void *bytes, size_t n);
uint32_t map_hash_id(uint64_t seed, uint64_t id);

/* ---- what is kept ---- */

enum class { URGENT, BESIDE, AHEAD, CLASSES };

/* Where a job stands (core_job.list): in a flow, among those that wait for class images, or nowhere. */
enum list { NOWHERE, IN_FLOW, WAITS_REST, WAITS_TURN };

/* The ready jobs of one user, lineage, priority and class: the unit of turns inside a user. */
struct flow {
    uint32_t user, lineage;
    uint8_t priority, class, ringed, taken;      /* ringed: its turns come; not while the lineage is held */
    uint32_t first, last, n;                     /* jobs, by the order in which they became ready */
    uint32_t next, prev;                         /* in the ring of its user; free ones by next */
    uint32_t more, less;                         /* other flows of the lineage */
    uint32_t tickets, passed;                    /* passed: how often a better placed one went before */
};

/* Those with something at a priority by where they stand; all of them by what they used. */
enum { BY_USED = PRIORITIES, HEAPS };

struct user {
    struct core_user row;
    uint32_t ring[PRIORITIES][CLASSES];          /* flows whose turn comes; the one that is next, 0: none */
    uint32_t ready[PRIORITIES];                  /* jobs in them */
    uint32_t newest, oldest;                     /* open jobs that are not marked */
    size_t heap[HEAPS];                          /* its place among users, + 1; 0: not there */
    uint64_t urgent_in_a_row, counted, stamp;    /* counted: in core.ready; stamp: of the batch that puts it */
};

struct lineage {
    struct core_lineage row;
    uint32_t flows;
    uint64_t stamp;
};

struct prior {
    struct core_prior row;
    uint32_t first[2], last[2];                  /* jobs that wait: the rest, those whose turn it is */
    uint32_t next_made;                          /* made, and somebody still waits: the list of core.made */
    int queued;
    uint64_t stamp;
};

struct group {
    struct core_group row;
    uint32_t slot, next, prev;                   /* those that wait for work; free ones by next */
    uint32_t sooner, later;                      /* by when they were heard */
    int waits;                                   /* 0: no, 1: for work, 2: draining */
};

struct waiting { uint32_t first, last; size_t n; };

struct core {
    struct core_settings settings;
    struct core_clock clock;
    /* Jobs: slots from 1, in chunks that never move. */
    struct core_job **chunks;
    size_t n_chunks, chunks_room;
    uint32_t slots, free_job;
    struct map job_ids, job_keys;
    struct lineage **lineages;                   /* owned, id - 1 */
    size_t n_lineages, lineages_room;
    struct map lineage_names, lineage_keys;
    struct user **users;                         /* owned, id - 1 */
    size_t n_users, users_room;
    struct map user_names, user_keys;
    struct prior **priors;                       /* owned, id - 1 */
    size_t n_priors, priors_room;
    struct map prior_keys;
    uint32_t made_first, made_last;              /* priors that were made and are still waited for */
    struct flow *flows;
    size_t n_flows, flows_room;
    uint32_t free_flow;
    struct map flow_keys;
    struct core_stage **timers;                  /* a heap by when */
    size_t n_timers, timers_room;
    uint32_t *heaps[HEAPS];                      /* users that could begin something; fair.c */
    size_t n_heap[HEAPS], heap_room[HEAPS];
    uint64_t ready_at[PRIORITIES];               /* jobs in flows that are ringed */
    struct group **groups;                       /* owned, slot - 1 */
    size_t n_groups, groups_room;
    uint32_t free_group;
    struct map group_nonces;
    struct waiting waits[3];                     /* by group.waits */
    uint32_t seen_first, seen_last;
    char **drains;                               /* owned names; "" is all */
    size_t n_drains, drains_room;
    /* Counted. */
    uint64_t ready, leased, known_groups, known_ranks, draining_groups;
    uint64_t n_state[JOB_CANCELLED + 1];         /* jobs kept, by state */
    double mean_ms[STAGE_KINDS];                 /* of stages that ended well; 0: none yet */
    double floor_ms;                             /* what the last who was chosen had used: newcomers start there when nobody is there */
    uint64_t users_version, stamps, clock_stamp, last_place;
    int64_t now_ms;
    int stopping, drain, broken, loading;
    /* During a step. */
    const struct core_event *ev;
    struct core_actions *out;
    struct user *asker;                          /* of a user's message */
    enum role role;
    uint32_t *touched, *batch;                   /* slots: of this step, and of the batch since it was cleared */
    size_t n_touched, touched_room, n_batch, batch_room;
    struct core_stage **put_stages;              /* of the batch */
    size_t n_put_stages, put_stages_room;
};

/* ---- core.c, memory ---- */
int core_grow(struct core *c, void *array, size_t *room, size_t n, size_t size);    /* 0: broken */
char *core_own(struct core *c, const char *s);

/* ---- jobs.c: the table of jobs ---- */
struct core_job *job_at(const struct core *c, uint32_t slot);            /* 0: NULL */
struct core_job *jobs_find(const struct core *c, uint64_t id);
struct core_job *jobs_by_key(const struct core *c, const uint8_t key[CORE_KEY]);
struct core_job *jobs_add(struct core *c, const struct core_job *row);   /* NULL: broken */
void jobs_remove(struct core *c, struct core_job *j);
void jobs_free_all(struct core *c);
void jobs_mark(struct core *c, struct core_job *j);                      /* open, and clock.open may pass it */
void jobs_pass(struct core *c);                                          /* clock.open rises over what has ended */
void jobs_count(struct core *c, const struct core_job *j, int by);       /* in the counters of state and owner */

/* ---- actions.c: what a step puts and tells ---- */
void core_answer(struct core *c, struct core_address to, struct message m);
void core_refuse(struct core *c, enum code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void core_done(struct core *c, const char *line);
char *core_line(struct core *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void core_event_row(struct core *c, const struct core_job *j, enum event_type type, const struct core_stage *s,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* s: with its lease, where there is one; NULL: of the job. line may be NULL; it is copied. */
void core_news(struct core *c, const struct core_job *j, const struct core_stage *s, enum core_what what, const char *line);
void core_news_result(struct core *c, const struct core_job *j, const struct core_stage *s, enum code code, double seconds,
                      const char *line);
void core_audit(struct core *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void core_touch(struct core *c, struct core_job *j);                     /* its row is put, once */
void core_touch_stage(struct core *c, struct core_job *j, struct core_stage *s);
void put_user(struct core *c, struct user *u);
void put_lineage(struct core *c, struct lineage *l, const struct message *fresh);
void put_prior(struct core *c, struct prior *p);
void put_job(struct core *c, struct core_job *j, const struct message *fresh);
void put_commit(struct core *c, const struct lineage *l, struct core_commit commit);
void put_drain(struct core *c, const char *name, int on);
void put_forget(struct core *c, uint64_t job);
void tell_forget(struct core *c, uint64_t job);    /* its objects may go */
void tell_stage(struct core *c, struct core_address to, const struct core_stage *s);
void actions_begin(struct core *c);              /* what the batch before put is durable now */
void actions_end(struct core *c);

/* ---- user.c ---- */
struct user *user_at(const struct core *c, uint32_t id);
struct user *user_named(const struct core *c, const char *name);
struct user *user_add(struct core *c, const struct core_user *row);      /* copies; NULL: broken */
struct user *user_of(struct core *c, const char *name, enum role role);  /* found or added */
void user_set(struct core *c, const struct core_event *ev);
int user_must_be_admin(struct core *c, const char *what);                /* 0: refused */
int user_owns(const struct core *c, uint32_t owner);                     /* the asker is owner or admin */
int good_name(const char *s);

/* ---- lineage.c: order ---- */
struct lineage *lineage_at(const struct core *c, uint32_t id);
struct lineage *lineage_of(const struct core *c, const struct core_job *j);
struct lineage *lineage_named(const struct core *c, const char *name);
struct lineage *lineage_add(struct core *c, const struct core_lineage *row);    /* copies; NULL: broken */
void lineage_free(struct lineage *l);
int lineage_share(struct core *c, struct lineage *l, const char *const *names, size_t n);
int lineage_is_turn(const struct core *c, const struct core_job *j);
int lineage_decided(const struct core_job *j);
void lineage_enter(struct core *c, struct lineage *l, struct core_job *j);      /* at its end */
void lineage_leave(struct core *c, struct lineage *l, struct core_job *j);
void lineage_advance(struct core *c, struct lineage *l);
void lineage_commit(struct core *c, struct core_job *j, struct hash commit, double seconds);
int lineage_append(struct core *c, struct lineage *l, struct hash commit, uint64_t job);
uint64_t lineage_find(const struct lineage *l, struct hash commit);             /* its number; 0: not there */
uint64_t lineage_token(const struct core *c, const struct lineage *l, const char *token);   /* the job that has it; 0 */
int lineage_take_token(struct core *c, struct lineage *l, const char *token, uint64_t job);
void lineage_drop_token(struct lineage *l, uint64_t job);

/* ---- prior.c: what jobs share ---- */
struct prior *prior_for(struct core *c, struct hash key);                /* found or added; NULL: broken */
struct prior *prior_at(const struct core *c, uint32_t id);
struct prior *prior_add(struct core *c, const struct core_prior *row);
void prior_join(struct core *c, struct core_job *j);                     /* its prior stage waits: make, wait or take */
void prior_leave(struct core *c, struct core_job *j);                    /* it ends, or is taken away: others may make */
void prior_settle(struct core *c, struct core_job *j);                   /* its turn, hold or lease has changed */
void prior_made(struct core *c, struct core_job *j);                     /* its stage is done */
void prior_share(struct core *c);                                        /* some of those that wait for what is made */
void prior_wait(struct core *c, struct prior *p, struct core_job *j);
void prior_unwait(struct core *c, struct core_job *j);
void prior_queue_made(struct core *c, struct prior *p);                  /* some wait still */

/* ---- fair.c: which stage is next; flow.c: where ready jobs stand ---- */
void fair_list(struct core *c, struct core_job *j, int front);           /* puts j where it belongs now */
void fair_unlist(struct core *c, struct core_job *j);
void fair_hold(struct core *c, struct lineage *l);                       /* its flows, after held has changed */
void fair_user(struct core *c, struct user *u);                          /* after its quota, leases, time have changed */
enum stage_kind fair_choose(struct core *c, struct group **g, struct core_job **job);   /* 0: nothing can begin */
void flow_turned(struct core *c, uint32_t at);                          /* its turn has been */
void fair_charge(struct core *c, struct core_job *j, struct core_stage *s);     /* granted */
void fair_resume(struct core *c, struct core_job *j, struct core_stage *s);     /* held already when the core was loaded */
void fair_settle(struct core *c, struct core_job *j, struct core_stage *s, int good);   /* its lease has ended */
struct flow *flow_at(const struct core *c, uint32_t at);
enum stage_kind fair_ready_stage(const struct core_job *j);              /* that could begin now; 0: none */
enum class fair_class(const struct core *c, const struct core_job *j, enum stage_kind k);

/* ---- timer.c ---- */
void timer_set(struct core *c, struct core_stage *s);                    /* by its deadline or back-off; or takes it out */
int64_t timer_next(const struct core *c);
struct core_stage *timer_due(struct core *c);                            /* NULL: none */

/* ---- group.c, lease.c: what worker groups say ---- */
struct group *group_find(const struct core *c, struct hash nonce);
struct group *group_add(struct core *c, struct hash nonce);
void group_free_all(struct core *c);
void group_remove(struct core *c, struct group *g);
struct group *group_known(struct core *c, const struct core_event *ev);    /* or `who` is answered, and NULL */
void group_go_on(struct core *c);                /* the answer */
void group_hello(struct core *c, const struct core_event *ev);
void group_ready(struct core *c, const struct core_event *ev);
void group_heartbeat(struct core *c, const struct core_event *ev);
void group_result(struct core *c, const struct core_event *ev);
void group_lost(struct core *c, struct hash nonce);
void group_tick(struct core *c);                 /* answers `ready`s that waited, forgets silent groups */
void group_assign(struct core *c);               /* gives ready stages to waiting groups */
void group_drain(struct core *c, const char *name, int on);
int group_drained(const struct core *c, const char *name);

/* ---- submit.c, share.c, operate.c: what users ask ---- */
void submit_one(struct core *c, const struct core_event *ev);
void submit_many(struct core *c, const struct core_event *ev);
void share_create(struct core *c, const struct core_event *ev);
void share_set(struct core *c, const struct core_event *ev);
struct lineage *share_find(struct core *c, const char *name);           /* that the asker may change; NULL: told no */
void operate_cancel(struct core *c, const struct core_event *ev);
void operate_retry(struct core *c, const struct core_event *ev);
void operate_pause(struct core *c, const struct core_event *ev);
void operate_drain(struct core *c, const struct core_event *ev);
void operate_forget(struct core *c, const struct core_event *ev);
void operate_stop(struct core *c, const struct core_event *ev);

/* ---- stage.c, result.c: one stage ---- */

/* What the events of one stage do to its state; the table is in stage.c. */
enum stage_event {
    STAGE_GO,                         /* its inputs are there and it is its turn */
    STAGE_SHARE,                      /* another job made what it would have made */
    STAGE_YIELD,                      /* another job makes it first */
    STAGE_GRANT,
    STAGE_SUCCEED,
    STAGE_AGAIN,                      /* the environment was at fault, or the group was told to leave */
    STAGE_LOSE,                       /* the lease ran out or its group died */
    STAGE_FAIL,
    STAGE_DROP,                       /* its job has ended otherwise */
    STAGE_RETRY,                      /* its job was asked for again */
    STAGE_REDO                        /* the head has moved since: what it made does not count */
};
enum stage_state stage_state(const struct core_job *j, enum stage_kind k);
struct core_stage *stage_of(const struct core_job *j, enum stage_kind k);
struct core_stage *stage_record(struct core *c, struct core_job *j, enum stage_kind k);    /* made if it is not there */
void stage_free_all(struct core *c, struct core_job *j);
void stage_move(struct core *c, struct core_job *j, enum stage_kind k, enum stage_event ev);
void stage_grant(struct core *c, struct core_job *j, enum stage_kind k, struct group *g);
void stage_beat(struct core *c, struct core_job *j, struct core_stage *s, const struct msg_heartbeat *b);
void stage_result(struct core *c, struct core_job *j, struct core_stage *s, const struct message *m);
void stage_lose(struct core *c, struct core_job *j, struct core_stage *s, const char *why);
void stage_release(struct core *c, struct core_job *j, struct core_stage *s);    /* back to READY, nobody's fault */
void stage_take(struct core *c, struct core_job *j, enum stage_kind k);  /* its lease is nobody's any more */
void stage_expire(struct core *c);
void stage_wait(struct core *c, struct core_job *j, struct core_stage *s, int64_t ms);     /* READY, in front, after a while */
void stage_fail(struct core *c, struct core_job *j, struct core_stage *s, const char *line);
void stage_lost(struct core *c, struct core_job *j, struct core_stage *s, const char *why);     /* one more loss */
void stage_set_line(struct core *c, struct core_stage *s, const char *line);
int64_t stage_back_off(uint64_t times, int64_t base_ms);     /* doubling, to a minute */

/* ---- job.c: all stages of one job ---- */
uint32_t job_plan(enum job_kind kind, uint64_t wants);
void job_advance(struct core *c, struct core_job *j);      /* starts what can start */
void job_refresh(struct core *c, struct core_job *j);      /* the state that follows from its stages */
void job_end(struct core *c, struct core_job *j, enum job_state state, const char *line);
void job_set_state(struct core *c, struct core_job *j, enum job_state state);
void job_revive(struct core *c, struct core_job *j);       /* ended: its unfinished stages wait again */

#define EACH_STAGE(k) (enum stage_kind k = STAGE_PRIOR; k < STAGE_KINDS; k++)

#endif
