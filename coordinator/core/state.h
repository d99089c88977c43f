/* state.h - what the files of core/ share. Nobody outside includes it. */
#ifndef COORDINATOR_CORE_STATE_H
#define COORDINATOR_CORE_STATE_H

#include "coordinator/core/core.h"

#include <assert.h>
#include <stdarg.h>

/* A map from hashes to numbers; 0 is "not there". */
struct map { struct hash *key; uint64_t *value; size_t n, room; };
uint64_t map_get(const struct map *m, struct hash key);
int map_set(struct map *m, struct hash key, uint64_t value);       /* 0: out of memory */
void map_fini(struct map *m);

/* One set of class images that jobs share: by whom it is or was made. */
struct prior { uint64_t maker; int made; };      /* maker: job id; 0: nobody at the moment */

struct user { char *name; uint64_t served; };

/* What the events of one stage do to its state; the table is in stage.c. */
enum stage_event {
    STAGE_GO,                         /* its inputs are there and it is its turn */
    STAGE_SHARE,                      /* another job made what it would have made */
    STAGE_GRANT,
    STAGE_SUCCEED,
    STAGE_AGAIN,                      /* the environment was at fault, or the group was told to leave */
    STAGE_LOSE,                       /* the lease ran out or its group died */
    STAGE_FAIL,
    STAGE_DROP                        /* its job has ended otherwise */
};

struct core {
    struct core_settings settings;
    struct core_job **jobs;           /* owned, [n_jobs], id - 1 */
    size_t n_jobs, jobs_room;
    struct core_lineage **lineages;   /* owned, id - 1 */
    size_t n_lineages, lineages_room;
    struct core_job *first_live, *last_live;     /* unended, by id */
    struct map job_keys, lineage_keys, prior_keys;
    struct prior *priors;             /* prior_keys holds index + 1 */
    size_t n_priors, priors_room;
    struct user *users;
    size_t n_users, users_room;
    struct core_group *groups;
    size_t n_groups, groups_room;
    uint64_t epoch, seq, served, urgent_in_a_row;
    int64_t now_ms;
    int leased, stopping, drain, broken;
    /* During a step. */
    const struct core_event *ev;
    struct core_actions *out;
    struct core_job **dirty;
    size_t n_dirty, dirty_room;
};

/* core.c */
int core_grow(struct core *c, void *array, size_t *room, size_t n, size_t size);    /* 0: broken */
char *core_own(struct core *c, const char *s);
void core_answer(struct core *c, struct core_address to, struct message m);
void core_refuse(struct core *c, enum code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void core_done(struct core *c, const char *line);
void core_event_row(struct core *c, const struct core_job *j, enum event_type type, const struct core_stage *s,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void core_touch(struct core *c, struct core_job *j);
void core_put_lineage(struct core *c, const struct core_lineage *l);
void core_put_commit(struct core *c, const struct core_lineage *l, struct core_commit commit);
struct core_job *core_find_job(struct core *c, uint64_t id);
size_t core_user(struct core *c, const char *name);
struct core_job *core_add_job(struct core *c, struct core_job *fresh);    /* takes it; NULL: broken */
struct core_lineage *core_add_lineage(struct core *c, struct core_lineage *fresh);

/* submit.c: what users ask. */
void submit_lineage(struct core *c, const struct core_event *ev);
void submit_job(struct core *c, const struct core_event *ev);
void submit_cancel(struct core *c, const struct core_event *ev);
void submit_stop(struct core *c, const struct core_event *ev);

/* group.c: what worker groups say. */
void group_hello(struct core *c, const struct core_event *ev);
void group_ready(struct core *c, const struct core_event *ev);
void group_heartbeat(struct core *c, const struct core_event *ev);
void group_result(struct core *c, const struct core_event *ev);
void group_lost(struct core *c, struct hash nonce);
void group_tick(struct core *c);                 /* answers `ready`s that waited, forgets silent groups */
void group_assign(struct core *c);               /* gives ready stages to waiting groups */

/* fair.c: which stage is next. */
struct core_stage *fair_choose(struct core *c, struct core_job **job);
void fair_granted(struct core *c, const struct core_job *j, const struct core_stage *s);
void fair_init(struct core *c, struct core_lineage *l);

/* stage.c: one stage. */
void stage_move(struct core *c, struct core_job *j, struct core_stage *s, enum stage_event ev);
void stage_grant(struct core *c, struct core_job *j, struct core_stage *s, struct hash group);
void stage_beat(struct core *c, struct core_job *j, struct core_stage *s, const struct msg_heartbeat *b);
void stage_result(struct core *c, struct core_job *j, struct core_stage *s, const struct message *m);
void stage_lose(struct core *c, struct core_job *j, struct core_stage *s, const char *why);
void stage_release(struct core *c, struct core_job *j, struct core_stage *s);    /* back to READY, nobody's fault */
void stage_expire(struct core *c);
struct core_stage *stage_of(struct core_job *j, enum stage_kind kind);

/* job.c: all stages of one job. */
void job_plan(struct core_job *j, uint64_t wants);
void job_advance(struct core *c, struct core_job *j);      /* starts what can start */
void job_refresh(struct core *c, struct core_job *j);      /* the state that follows from its stages */
void job_end(struct core *c, struct core_job *j, enum job_state state, const char *line);
int job_is_live(const struct core_job *j);

/* lineage.c: order. */
int lineage_is_turn(const struct core *c, const struct core_job *j);
void lineage_advance(struct core *c, struct core_lineage *l);
enum code lineage_commit(struct core *c, struct core_job *j, struct hash commit, double seconds, struct err *e);
const struct core_commit *lineage_find(const struct core_lineage *l, struct hash commit);
int lineage_decided(const struct core_job *j);
int lineage_add_learn(struct core *c, struct core_lineage *l, uint64_t job);
int lineage_append(struct core *c, struct core_lineage *l, struct core_commit commit);

/* prior.c: what jobs share. */
void prior_join(struct core *c, struct core_job *j);       /* a job with a prior stage has come */
void prior_made(struct core *c, struct core_job *j);       /* its stage is done */
void prior_left(struct core *c, struct core_job *j);       /* it has ended without */
void prior_rebuild(struct core *c);                        /* after loading */

#endif
