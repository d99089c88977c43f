/* core.c - one step: a message finds its handler, time passes, waiting groups get what became ready, and what has changed is
 * put out once.
 *
 * Memory that runs out makes the core `broken`: the actions say failed, the caller throws them and the core away and loads
 * again from the store. So no function below undoes anything.
 */
#include "coordinator/core/state.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

struct core *core_make(const struct core_settings *s)
{
    struct core *c = mem_alloc(1, sizeof *c);

    if (!c) return NULL;
    if (s) c->settings = *s;
    if (!c->settings.term_ms) c->settings.term_ms = 30000;
    if (!c->settings.poll_ms) c->settings.poll_ms = PROTO_POLL_MS;
    if (!c->settings.loss_limit) c->settings.loss_limit = 5;
    return c;
}

static void free_job(struct core_job *j)
{
    if (!j) return;
    for (int i = 0; i < j->n_stages; i++) {
        free(j->stages[i].line);
        free(j->stages[i].text);
    }
    free(j->owner);
    free(j->token);
    free(j->class_word);
    free(j);
}

static void free_lineage(struct core_lineage *l)
{
    if (!l) return;
    free(l->name);
    free(l->owner);
    free(l->commits);
    free(l->learns);
    free(l);
}

void core_free(struct core *c)
{
    if (!c) return;
    for (size_t i = 0; i < c->n_jobs; i++) free_job(c->jobs[i]);
    for (size_t i = 0; i < c->n_lineages; i++) free_lineage(c->lineages[i]);
    for (size_t i = 0; i < c->n_users; i++) free(c->users[i].name);
    free(c->jobs);
    free(c->lineages);
    free(c->priors);
    free(c->users);
    free(c->groups);
    free(c->dirty);
    map_fini(&c->job_keys);
    map_fini(&c->lineage_keys);
    map_fini(&c->prior_keys);
    free(c);
}

int core_grow(struct core *c, void *array, size_t *room, size_t n, size_t size)
{
    size_t want = *room ? 2 * *room : 16;
    void *old, *fresh;

    if (n < *room) return 1;
    memcpy(&old, array, sizeof old);
    fresh = mem_grow(old, *room, want, size);
    if (!fresh) {
        c->broken = 1;
        return 0;
    }
    memcpy(array, &fresh, sizeof fresh);
    *room = want;
    return 1;
}

char *core_own(struct core *c, const char *s)
{
    size_t n = s ? strlen(s) : 0;
    char *copy = mem_alloc(n + 1, 1);

    if (!copy) c->broken = 1;
    else if (n) memcpy(copy, s, n);
    return copy;
}

void core_actions_clear(struct core_actions *a)
{
    struct arena_mark none = {0};
    a->n_puts = a->n_tells = 0;
    a->failed = 0;
    arena_reset(&a->arena, none);
}

void core_actions_fini(struct core_actions *a)
{
    free(a->puts);
    free(a->tells);
    arena_fini(&a->arena);
    memset(a, 0, sizeof *a);
}

/* ---- tables of jobs, lineages, users ---- */

struct core_job *core_find_job(struct core *c, uint64_t id)
{
    return id && id <= c->n_jobs ? c->jobs[id - 1] : NULL;
}

size_t core_user(struct core *c, const char *name)
{
    for (size_t i = 0; i < c->n_users; i++)
        if (strcmp(c->users[i].name, name) == 0) return i;
    if (!core_grow(c, &c->users, &c->users_room, c->n_users, sizeof *c->users)) return 0;
    struct user u = {.name = core_own(c, name), .served = c->served};
    if (u.name) c->users[c->n_users++] = u;
    return c->n_users ? c->n_users - 1 : 0;
}

struct core_job *core_add_job(struct core *c, struct core_job *fresh)
{
    struct core_job *j = mem_alloc(1, sizeof *j);

    if (j) *j = *fresh;
    if (!j || c->broken || !core_grow(c, &c->jobs, &c->jobs_room, c->n_jobs, sizeof *c->jobs) ||
        !map_set(&c->job_keys, j->key, c->n_jobs + 1)) {
        c->broken = 1;
        free_job(j);
        return NULL;
    }
    c->jobs[c->n_jobs++] = j;
    j->id = c->n_jobs;
    if (JOB_ENDED(j->state)) return j;
    j->live = 1;
    j->prev_live = c->last_live;
    *(c->last_live ? &c->last_live->next_live : &c->first_live) = j;
    c->last_live = j;
    return j;
}

struct core_lineage *core_add_lineage(struct core *c, struct core_lineage *fresh)
{
    struct core_lineage *l = mem_alloc(1, sizeof *l);

    if (l) *l = *fresh;
    if (!l || c->broken ||
        !core_grow(c, &c->lineages, &c->lineages_room, c->n_lineages, sizeof *c->lineages) ||
        !map_set(&c->lineage_keys, l->key, c->n_lineages + 1)) {
        c->broken = 1;
        free_lineage(l);
        return NULL;
    }
    c->lineages[c->n_lineages++] = l;
    l->id = c->n_lineages;
    fair_init(c, l);
    return l;
}

/* ---- actions ---- */

static struct core_put *next_put(struct core *c)
{
    struct core_actions *a = c->out;
    if (!core_grow(c, &a->puts, &a->puts_room, a->n_puts, sizeof *a->puts)) return NULL;
    memset(&a->puts[a->n_puts], 0, sizeof *a->puts);
    return &a->puts[a->n_puts++];
}

static struct core_tell *next_tell(struct core *c)
{
    struct core_actions *a = c->out;
    if (!core_grow(c, &a->tells, &a->tells_room, a->n_tells, sizeof *a->tells)) return NULL;
    memset(&a->tells[a->n_tells], 0, sizeof *a->tells);
    return &a->tells[a->n_tells++];
}

void core_answer(struct core *c, struct core_address to, struct message m)
{
    struct core_tell *t = next_tell(c);
    if (!t) return;
    m.id = to.id;
    *t = (struct core_tell){.type = TELL_ANSWER, .to = to, .answer = m};
}

static char *format_line(struct core *c, const char *fmt, va_list args)
{
    char line[PROTO_LINE + 1];
    vsnprintf(line, sizeof line, fmt, args);
    char *s = arena_strdup(&c->out->arena, proto_line(line));
    if (!s) c->broken = 1;
    return s;
}

void core_refuse(struct core *c, enum code code, const char *fmt, ...)
{
    struct message m = {.kind = MSG_refused, .refused.code = (uint64_t)code};
    va_list args;
    va_start(args, fmt);
    m.refused.line = format_line(c, fmt, args);
    va_end(args);
    core_answer(c, c->ev->from, m);
}

void core_done(struct core *c, const char *line)
{
    core_answer(c, c->ev->from, (struct message){.kind = MSG_done, .done.line = line});
}

/* Event numbers rise with the clock, so that they also rise over a restart that forgot those of mere progress. */
static uint64_t next_seq(struct core *c)
{
    uint64_t by_clock = (uint64_t)c->now_ms << 10;
    c->seq = c->seq + 1 > by_clock ? c->seq + 1 : by_clock;
    return c->seq;
}

void core_event_row(struct core *c, const struct core_job *j, enum event_type type,
                    const struct core_stage *s, const char *fmt, ...)
{
    struct event_row row = {.type = (uint64_t)type, .at_ms = c->now_ms};
    va_list args;

    va_start(args, fmt);
    row.text = format_line(c, fmt, args);
    va_end(args);
    row.seq = next_seq(c);
    if (s) {
        row.stage = (uint64_t)s->kind;
        row.step = s->step;
        row.of = s->of;
    }
    if (type == EVENT_PROGRESS) {
        struct core_tell *t = next_tell(c);
        if (t) *t = (struct core_tell){.type = TELL_PROGRESS, .job = j->id, .event = row};
    } else {
        struct core_put *p = next_put(c);
        if (p) *p = (struct core_put){.type = PUT_EVENT, .job = j, .event = row};
    }
}

void core_touch(struct core *c, struct core_job *j)
{
    if (j->dirty || !core_grow(c, &c->dirty, &c->dirty_room, c->n_dirty, sizeof(struct core_job *)))
        return;
    j->dirty = 1;
    c->dirty[c->n_dirty++] = j;
}

void core_put_lineage(struct core *c, const struct core_lineage *l)
{
    struct core_put *p = next_put(c);
    if (p)
        *p = (struct core_put){
            .type = PUT_LINEAGE, .lineage = l, .fresh = 1, .message = c->ev->message};
}

void core_put_commit(struct core *c, const struct core_lineage *l, struct core_commit commit)
{
    struct core_put *p = next_put(c);
    if (p) *p = (struct core_put){.type = PUT_COMMIT, .lineage = l, .commit = commit};
}

/* Rows of jobs and stages that changed in this step, each once. The job that was submitted in it is inserted, with its
 * request; a fresh job comes before everything that refers to it. */
static void put_changes(struct core *c)
{
    for (size_t i = 0; i < c->n_dirty; i++) {
        struct core_job *j = c->dirty[i];
        struct core_put *p = next_put(c);
        if (!p) return;
        *p = (struct core_put){.type = PUT_JOB,
                               .job = j,
                               .lineage = core_lineage(c, j->lineage),
                               .fresh = j->dirty == 2};
        if (p->fresh) {
            p->message = c->ev->message;
            p->request = c->ev->request;
        }
        j->dirty = 0;
        for (int k = 0; k < j->n_stages; k++) {
            struct core_stage *s = &j->stages[k];
            if (!s->dirty || !(p = next_put(c))) continue;
            *p = (struct core_put){.type = PUT_STAGE, .job = j, .stage = s, .message = s->result};
            s->dirty = 0;
            s->result = NULL;
        }
    }
    c->n_dirty = 0;
}

/* ---- the step ---- */

typedef void handler(struct core *c, const struct core_event *ev);

static handler *const handlers[MSG_KINDS] = {
    [MSG_lineage_create] = submit_lineage,
    [MSG_learn] = submit_job,
    [MSG_sample] = submit_job,
    [MSG_evaluate] = submit_job,
    [MSG_cancel] = submit_cancel,
    [MSG_stop] = submit_stop,
    [MSG_worker_hello] = group_hello,
    [MSG_ready] = group_ready,
    [MSG_heartbeat] = group_heartbeat,
    [MSG_result] = group_result,
};

void core_step(struct core *c, const struct core_event *ev, int64_t now_ms,
               struct core_actions *out)
{
    assert(now_ms >= c->now_ms);
    c->now_ms = now_ms;
    c->ev = ev;
    c->out = out;
    stage_expire(c);
    switch (ev->type) {
    case CORE_MESSAGE:
        if (handlers[ev->message->kind]) handlers[ev->message->kind](c, ev);
        else
            core_refuse(c, ERR_PROTOCOL, "`%s` is nothing one may ask here",
                        proto_name(ev->message->kind));
        break;
    case CORE_GROUP_LOST: group_lost(c, ev->group); break;
    case CORE_TICK: break;
    }
    group_assign(c);
    group_tick(c);
    put_changes(c);
    c->ev = NULL;
    c->out = NULL;
    out->failed |= c->broken;
}

/* ---- looking ---- */

const struct core_job *core_job(const struct core *c, uint64_t id)
{
    return id && id <= c->n_jobs ? c->jobs[id - 1] : NULL;
}

uint64_t core_last_job(const struct core *c)
{
    return c->n_jobs;
}

const struct core_lineage *core_lineage(const struct core *c, uint64_t id)
{
    return id && id <= c->n_lineages ? c->lineages[id - 1] : NULL;
}

uint64_t core_last_lineage(const struct core *c)
{
    return c->n_lineages;
}

const struct core_lineage *core_lineage_named(const struct core *c, const char *name)
{
    for (size_t i = 0; i < c->n_lineages; i++)
        if (strcmp(c->lineages[i]->name, name) == 0) return c->lineages[i];
    return NULL;
}

const char *core_nearest_lineage(const struct core *c, const char *name)
{
    const char **names = mem_alloc(c->n_lineages + 1, sizeof *names);
    const char *best = NULL;

    for (size_t i = 0; names && i < c->n_lineages; i++) names[i] = c->lineages[i]->name;
    if (names) best = text_nearest(name, names, c->n_lineages);
    free(names);
    return best;
}

const struct core_group *core_groups(const struct core *c, size_t *n)
{
    *n = c->n_groups;
    return c->groups;
}

const struct core_stage *core_stage_of(const struct core_job *j, enum stage_kind kind)
{
    for (int i = 0; i < j->n_stages; i++)
        if (j->stages[i].kind == kind) return &j->stages[i];
    return NULL;
}

const struct core_stage *core_stage_now(const struct core_job *j)
{
    const struct core_stage *first = NULL;
    for (int i = 0; i < j->n_stages; i++) {
        const struct core_stage *s = &j->stages[i];
        if (s->state == STAGE_LEASED) return s;
        if (!first && s->state < STAGE_DONE) first = s;
    }
    return first;
}

size_t core_before(const struct core *c, const struct core_job *j)
{
    const struct core_lineage *l = core_lineage(c, j->lineage);
    size_t n = 0;

    for (size_t i = l->turn; i < l->n_learns && l->learns[i] < j->id; i++)
        n += !lineage_decided(core_job(c, l->learns[i]));
    return n;
}

int core_leased(const struct core *c)
{
    return c->leased;
}

int core_stopping(const struct core *c)
{
    return c->stopping;
}

int core_drains(const struct core *c)
{
    return c->drain;
}

int64_t core_next_ms(const struct core *c)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < c->n_groups; i++)
        if (c->groups[i].parked && c->groups[i].parked_until_ms < next)
            next = c->groups[i].parked_until_ms;
    for (const struct core_job *j = c->first_live; j; j = j->next_live) {
        for (int k = 0; k < j->n_stages; k++) {
            const struct core_stage *s = &j->stages[k];
            int64_t at = s->state == STAGE_LEASED ? s->deadline_ms
                         : s->state == STAGE_READY && s->not_before_ms > c->now_ms
                             ? s->not_before_ms
                             : INT64_MAX;
            if (at < next) next = at;
        }
    }
    return next;
}
