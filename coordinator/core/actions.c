/* actions.c - what a step puts and tells. Within a batch each row is put once: puts are pointers that are read when the batch
 * is written, so what changes twice is written once, in its last state. */
#include "coordinator/core/state.h"

#include <stdio.h>
#include <stdlib.h>

void core_actions_clear(struct core_actions *a)
{
    struct arena_mark none = {0};
    a->n_puts = a->n_tells = 0;
    a->failed = 0;
    a->stamp = 0;
    arena_reset(&a->arena, none);
}

void core_actions_fini(struct core_actions *a)
{
    free(a->puts);
    free(a->tells);
    arena_fini(&a->arena);
    memset(a, 0, sizeof *a);
}

/* ---- a batch ---- */

/* Jobs that ended in the last batch have been told of: the store has them now. */
static void forget_ended(struct core *c)
{
    for (size_t i = 0; i < c->n_put_stages; i++) {
        c->put_stages[i]->put = 0;
        c->put_stages[i]->result = NULL;
    }
    for (size_t i = 0; i < c->n_batch; i++) {
        struct core_job *j = job_at(c, c->batch[i]);
        j->put = 0;
        if (JOB_ENDED(j->state) && !(j->flags & JOB_HOLDS)) jobs_remove(c, j);
    }
    c->n_batch = c->n_put_stages = 0;
}

void actions_begin(struct core *c)
{
    for (size_t i = 0; i < c->n_touched; i++) job_at(c, c->touched[i])->touched = 0;
    c->n_touched = 0;
    if (c->out->stamp) return;
    c->out->stamp = ++c->stamps;
    forget_ended(c);
}

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

/* ---- rows ---- */

static int first_time(struct core *c, uint64_t *stamp)
{
    int first = *stamp != c->out->stamp;
    *stamp = c->out->stamp;
    return first;
}

void put_user(struct core *c, struct user *u)
{
    struct core_put *p = first_time(c, &u->stamp) ? next_put(c) : NULL;
    if (p) *p = (struct core_put){.type = PUT_USER, .user = &u->row};
}

void put_lineage(struct core *c, struct lineage *l, const struct message *fresh)
{
    struct core_put *p = first_time(c, &l->stamp) ? next_put(c) : NULL;
    if (p)
        *p = (struct core_put){
            .type = PUT_LINEAGE, .lineage = &l->row, .fresh = fresh != NULL, .message = fresh};
}

void put_prior(struct core *c, struct prior *r)
{
    struct core_put *p = first_time(c, &r->stamp) ? next_put(c) : NULL;
    if (p) *p = (struct core_put){.type = PUT_PRIOR, .prior = &r->row};
}

/* The counters, once, when the batch has anything else to write. */
void actions_end(struct core *c)
{
    struct core_put *p;

    if (c->out->n_puts) jobs_pass(c);
    p = c->out->n_puts && first_time(c, &c->clock_stamp) ? next_put(c) : NULL;

    if (p) *p = (struct core_put){.type = PUT_CLOCK, .clock = &c->clock};
    c->out->failed |= c->broken;
}

static void remember(struct core *c, uint32_t **list, size_t *n, size_t *room, uint32_t slot)
{
    if (core_grow(c, list, room, *n, sizeof **list)) (*list)[(*n)++] = slot;
}

void put_job(struct core *c, struct core_job *j, const struct message *fresh)
{
    struct core_put *p;

    if (j->put || !(p = next_put(c))) return;
    j->put = 1;
    remember(c, &c->batch, &c->n_batch, &c->batch_room, j->self);
    *p = (struct core_put){.type = PUT_JOB, .job = j, .fresh = fresh != NULL, .message = fresh};
}

void core_touch(struct core *c, struct core_job *j)
{
    put_job(c, j, NULL);
    if (j->touched) return;
    j->touched = 1;
    remember(c, &c->touched, &c->n_touched, &c->touched_room, j->self);
}

void core_touch_stage(struct core *c, struct core_job *j, struct core_stage *s)
{
    struct core_put *p;

    core_touch(c, j);
    if (s->put || !core_grow(c, &c->put_stages, &c->put_stages_room, c->n_put_stages,
                             sizeof(struct core_stage *)))
        return;
    if (!(p = next_put(c))) return;
    s->put = 1;
    c->put_stages[c->n_put_stages++] = s;
    *p = (struct core_put){.type = PUT_STAGE, .job = j, .stage = s};
}

void put_commit(struct core *c, const struct lineage *l, struct core_commit commit)
{
    struct core_put *p = next_put(c);
    if (p) *p = (struct core_put){.type = PUT_COMMIT, .lineage = &l->row, .commit = commit};
}

void put_drain(struct core *c, const char *name, int on)
{
    struct core_put *p = next_put(c);
    if (p) *p = (struct core_put){.type = PUT_DRAIN, .name = name, .on = on};
}

void put_forget(struct core *c, uint64_t job)
{
    struct core_put *p = next_put(c);
    if (p) *p = (struct core_put){.type = PUT_FORGET, .id = job};
}

void tell_forget(struct core *c, uint64_t job)
{
    struct core_tell *t = next_tell(c);
    if (t) *t = (struct core_tell){.type = TELL_FORGET, .job = job};
}

/* ---- words ---- */

static char *format_line(struct core *c, const char *fmt, va_list args)
{
    char line[PROTO_LINE + 1];
    vsnprintf(line, sizeof line, fmt, args);
    char *s = arena_strdup(&c->out->arena, proto_line(line));
    if (!s) c->broken = 1;
    return s;
}

char *core_line(struct core *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *s = format_line(c, fmt, args);
    va_end(args);
    return s;
}

void core_answer(struct core *c, struct core_address to, struct message m)
{
    struct core_tell *t = next_tell(c);
    if (!t) return;
    m.id = to.id;
    m.version = to.version;
    *t = (struct core_tell){.type = TELL_ANSWER, .to = to, .answer = m};
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

void tell_stage(struct core *c, struct core_address to, const struct core_stage *s)
{
    struct core_tell *t = next_tell(c);
    if (t)
        *t = (struct core_tell){
            .type = TELL_STAGE, .to = to, .job = s->job, .epoch = s->epoch, .stage = s->kind};
}

/* Event numbers rise with the clock, so that they also rise over a restart that forgot those of mere progress. */
static uint64_t next_seq(struct core *c)
{
    uint64_t by_clock = (uint64_t)c->now_ms << 10;
    c->clock.seq = c->clock.seq + 1 > by_clock ? c->clock.seq + 1 : by_clock;
    return c->clock.seq;
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
        if (p) *p = (struct core_put){.type = PUT_EVENT, .id = j->id, .event = row};
    }
}

/* ---- news ---- */

static const char *copy(struct core *c, const char *s)
{
    char *mine = s && *s ? arena_strdup(&c->out->arena, s) : NULL;
    if (s && *s && !mine) c->broken = 1;
    return mine ? mine : "";
}

static struct core_news *next_news(struct core *c, const struct core_job *j,
                                   const struct core_stage *s, enum core_what what,
                                   const char *line)
{
    struct core_tell *t = next_tell(c);
    const struct group *g = s ? group_find(c, s->group) : NULL;

    if (!t) return NULL;
    *t = (struct core_tell){.type = TELL_NEWS,
                            .job = j->id,
                            .epoch = s ? s->epoch : 0,
                            .stage = s ? s->kind : (enum stage_kind)0};
    t->news = (struct core_news){.what = what,
                                 .kind = (enum job_kind)j->kind,
                                 .state = (enum job_state)j->state,
                                 .lineage = j->lineage,
                                 .group = g && g->row.known ? copy(c, g->row.name) : "",
                                 .line = copy(c, line)};
    return &t->news;
}

void core_news(struct core *c, const struct core_job *j, const struct core_stage *s,
               enum core_what what, const char *line)
{
    next_news(c, j, s, what, line);
}

void core_news_result(struct core *c, const struct core_job *j, const struct core_stage *s,
                      enum code code, double seconds, const char *line)
{
    struct core_news *n = next_news(c, j, s, NEWS_RESULT, line);
    if (!n) return;
    n->code = code;
    n->seconds = seconds;
}

void core_audit(struct core *c, const char *fmt, ...)
{
    struct audit_row row = {.at_ms = c->now_ms, .user = c->asker ? c->asker->row.name : ""};
    struct core_put *p;
    va_list args;

    va_start(args, fmt);
    row.what = format_line(c, fmt, args);
    va_end(args);
    row.seq = next_seq(c);
    if ((p = next_put(c))) *p = (struct core_put){.type = PUT_AUDIT, .audit = row};
}
