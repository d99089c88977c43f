/* ledger_row.c - rows of a step: users, lineages, drains, counters, fresh jobs; and which jobs have changed. A row is put once in a batch
 * and read when the batch is written, so all of them are looked at after every step. */
#include "tests/simulation/support/world.h"

#include <stdlib.h>
#include <string.h>

#define N(x) ((unsigned long long)(x))

static int says(const struct ledger *l, enum msg_kind k)
{
    return l->ev->type == CORE_MESSAGE && l->ev->message->kind == k;
}

int ledger_owns(const struct ledger *l, uint32_t owner)
{
    return l->is_admin || (l->user && l->user == owner);
}

static void set_name(struct ledger *l, char *to, const char *from)
{
    char name[PROTO_NAME + 1] = "";
    size_t n = from ? strlen(from) : 0;

    memcpy(name, from ? from : "", n <= PROTO_NAME ? n : PROTO_NAME);
    for (size_t i = 0; i <= PROTO_NAME; i += 32)
        ledger_note(l, to + i, i + 32 <= PROTO_NAME ? 32 : PROTO_NAME + 1 - i);
    memcpy(to, name, sizeof name);
}

/* ---- users ---- */

static void add_user(struct world *w, const struct core_user *row)
{
    struct ledger *l = &w->ledger;
    struct ledger_user *u = &l->users[row->id];

    if (row->id != l->n_users + 1 || row->id > l->room_users) {
        world_break(w, "changed", "user %s comes with number %u", row->name, row->id);
        return;
    }
    int self = IS_PERSON(l->asker) && strcmp(row->name, w->people[NUMBER_OF(l->asker)].name) == 0;
    if (!self && !says(l, MSG_user_set))
        world_break(w, "changed", "user %s came to be and nobody asked", row->name);
    if (self) l->user = row->id;
    LEDGER_SET(l, l->n_users, row->id);
    LEDGER_SET(l, u->known, 1);
    set_name(l, u->name, row->name);
    LEDGER_SET(l, u->weight, row->weight);
    LEDGER_SET(l, u->role, (uint8_t)row->role);
    if (!self && says(l, MSG_user_set) && !l->is_admin)
        world_break(w, "denied", "user %s was made by %s, who is no admin", row->name, l->ev->user);
}

static void user_row(struct world *w, const struct core_user *row)
{
    struct ledger *l = &w->ledger;
    struct ledger_user *u = &l->users[row->id];
    uint64_t could;
    int might_run;

    if (row->id > l->n_users) add_user(w, row);
    if (row->bytes > u->bytes && row->max_bytes && row->bytes > row->max_bytes)
        world_break(w, "held", "user %s keeps %llu bytes of requests and may keep %llu", u->name,
                    N(row->bytes), N(row->max_bytes));
    if (row->bytes != u->bytes) LEDGER_SET(l, u->bytes, row->bytes);
    if (row->max_bytes != u->max_bytes) LEDGER_SET(l, u->max_bytes, row->max_bytes);
    if (u->role == (uint8_t)row->role && u->revoked == row->revoked && u->weight == row->weight &&
        u->max_queued == row->max_queued && u->max_running == row->max_running &&
        strcmp(u->team, row->group ? row->group : "") == 0)
        return;
    if (!says(l, MSG_user_set) || !l->is_admin ||
        strcmp(l->ev->message->user_set.rows.v[0].name, row->name))
        world_break(w, "denied", "user %s was changed and no admin asked", row->name);
    might_run = ledger_may_run(u);
    could = ledger_could(u);
    LEDGER_SET(l, u->role, (uint8_t)row->role);
    LEDGER_SET(l, u->revoked, (uint8_t)row->revoked);
    u->reweighed = l->steps;
    u->old_weight = u->weight;
    LEDGER_SET(l, u->weight, row->weight);
    LEDGER_SET(l, u->max_queued, row->max_queued);
    LEDGER_SET(l, u->max_running, row->max_running);
    /* Only who might not run before, or may not now, comes or goes: a new weight or team makes nobody a newcomer. */
    if (ledger_may_run(u) != might_run) {
        LEDGER_SET(l, u->since, l->steps);
        if (could) LEDGER_SET(l, u->went, l->steps);
        LEDGER_SET(l, u->is_new, 0);
    }
    set_name(l, u->team, row->group);
    l->made_something = 1;
}

/* ---- lineages ---- */

static void shared_row(struct ledger *l, struct ledger_lineage *p, const struct core_lineage *row)
{
    uint8_t n = (uint8_t)(row->n_shared < 8 ? row->n_shared : 8);

    LEDGER_SET(l, p->n_shared, n);
    for (uint8_t i = 0; i < n; i++)
        if (strcmp(p->shared[i], row->shared[i])) set_name(l, p->shared[i], row->shared[i]);
}

static void add_lineage(struct world *w, const struct core_lineage *row)
{
    struct ledger *l = &w->ledger;
    struct ledger_lineage *p = &l->lineages[row->id];

    if (row->id != l->n_lineages + 1 || row->id > l->room_lineages ||
        ledger_lineage_named(l, row->name)) {
        world_break(w, "twice", "lineage %s is made twice, or with number %u", row->name, row->id);
        return;
    }
    if (!says(l, MSG_lineage_create) || !l->user || row->owner != l->user ||
        strcmp(row->name, l->ev->message->lineage_create.name))
        world_break(w, "changed", "lineage %s came to be and its owner did not ask", row->name);
    LEDGER_SET(l, l->n_lineages, row->id);
    LEDGER_SET(l, p->known, 1);
    LEDGER_SET(l, p->owner, row->owner);
    set_name(l, p->name, row->name);
    LEDGER_SET(l, p->visibility, row->visibility);
    LEDGER_SET(l, p->on_failure, row->on_failure);
    shared_row(l, p, row);
    l->made_something = 1;
}

/* Held or not: its jobs count among what their owners could begin, or do not. */
static void hold_lineage(struct world *w, struct ledger_lineage *p, const struct core_lineage *row)
{
    struct ledger *l = &w->ledger;

    if (!says(l, MSG_pause) || !ledger_owns(l, p->owner) ||
        strcmp(l->ev->message->pause.lineage, p->name) || l->ev->message->pause.on != row->held)
        world_break(w, "denied", "lineage %s was paused or resumed and nobody who may asked",
                    p->name);
    LEDGER_SET(l, p->held, row->held);
    for (uint64_t id = 1; id <= l->n_jobs; id++) {
        struct ledger_job *j = ledger_job(l, id);
        if (j->lineage == row->id && !JOB_ENDED(j->state)) ledger_list(w, id, j);
    }
}

static void lineage_row(struct world *w, const struct core_lineage *row)
{
    struct ledger *l = &w->ledger;
    struct ledger_lineage *p = &l->lineages[row->id];
    int same = row->id <= l->n_lineages && p->visibility == row->visibility &&
               p->on_failure == row->on_failure && p->n_shared == row->n_shared;

    if (row->id > l->n_lineages) add_lineage(w, row);
    if (p->held != row->held) hold_lineage(w, p, row);
    for (size_t i = 0; same && i < row->n_shared; i++)
        same = strcmp(p->shared[i], row->shared[i]) == 0;
    if (same || !p->known || w->broken[0]) return;
    if (says(l, MSG_lineage_create) && l->made_something) return; /* this step made it */
    if (!says(l, MSG_lineage_set) || !ledger_owns(l, p->owner) ||
        strcmp(l->ev->message->lineage_set.lineage, p->name))
        world_break(w, "denied", "lineage %s was changed and nobody who may asked", p->name);
    LEDGER_SET(l, p->visibility, row->visibility);
    LEDGER_SET(l, p->on_failure, row->on_failure);
    shared_row(l, p, row);
    l->made_something = 1;
}

/* ---- drains, counters, what is forgotten ---- */

static void drain_row(struct world *w, const char *name, int on)
{
    struct ledger *l = &w->ledger;
    size_t i = 0;

    if (!says(l, MSG_drain) || !l->is_admin)
        world_break(w, "denied", "`%s` is drained and no admin asked", name);
    l->made_something = 1;
    while (i < l->n_drains && strcmp(l->drains[i].name, name)) i++;
    if (i == 64) return;
    if (i == l->n_drains) {
        LEDGER_SET(l, l->n_drains, i + 1);
        set_name(l, l->drains[i].name, name);
    }
    if (l->drains[i].on == (on != 0)) return;
    LEDGER_SET(l, l->draining, l->draining + (on ? 1 : (uint64_t)-1));
    LEDGER_SET(l, l->drains[i].on, (uint8_t)(on != 0));
}

static void clock_row(struct world *w, const struct core_clock *c)
{
    if (c->job < w->ledger.n_jobs || c->epoch < w->ledger.newest_epoch)
        world_break(w, "epoch", "the counters stand at job %llu, epoch %llu; given were %llu, %llu",
                    N(c->job), N(c->epoch), N(w->ledger.n_jobs), N(w->ledger.newest_epoch));
}

static void forget_row(struct world *w, uint64_t id)
{
    struct ledger *l = &w->ledger;

    if (!says(l, MSG_forget) || l->ev->message->forget.job != id || id > l->n_jobs ||
        !ledger_owns(l, ledger_job(l, id)->owner) || !JOB_ENDED(ledger_job(l, id)->state))
        world_break(w, "denied", "job %llu is forgotten and nobody who may asked", N(id));
    l->made_something = 1;
}

/* ---- jobs ---- */

static void mark_changed(struct ledger *l, uint64_t id)
{
    struct ledger_job *j = ledger_job(l, id);

    if (j->seen == l->steps) return;
    j->seen = l->steps;
    if (l->n_changed == l->changed_room) {
        l->changed_room = l->changed_room ? 2 * l->changed_room : 64;
        l->changed = realloc(l->changed, l->changed_room * sizeof *l->changed);
        if (!l->changed) abort();
    }
    l->changed[l->n_changed++] = id;
}

static uint64_t seed_in(const struct message *m)
{
    return m->kind == MSG_learn    ? m->learn.seed
           : m->kind == MSG_sample ? m->sample.seed
                                   : m->evaluate.seed;
}

/* A job that nobody has seen before: who asked, for what, and may they? */
static void fresh_job(struct world *w, const struct core_put *p)
{
    struct ledger *l = &w->ledger;
    const struct core_job *row = p->job;
    struct ledger_job *j = ledger_job(l, row->id);
    const struct ledger_user *u = &l->users[row->owner];

    if (!p->fresh || row->id != l->n_jobs + 1) {
        world_break(w, "twice", "job %llu comes after job %llu", N(row->id), N(l->n_jobs));
        return;
    }
    if (!(says(l, MSG_learn) || says(l, MSG_sample) || says(l, MSG_evaluate) ||
          says(l, MSG_submit_many)) ||
        row->owner != l->user || u->revoked)
        world_break(w, "denied", "job %llu of %s was made and they did not ask", N(row->id),
                    u->name);
    LEDGER_SET(l, l->n_jobs, row->id);
    LEDGER_SET(l, l->unended, l->unended + 1);
    LEDGER_SET(l, l->users[row->owner].unended, u->unended + 1);
    if (u->max_queued && u->unended > u->max_queued)
        world_break(w, "held", "user %s has %llu jobs and may have %llu", u->name, N(u->unended),
                    N(u->max_queued));
    for (size_t i = 0; i < sizeof *j; i += 32)
        ledger_note(l, (char *)j + i, i + 32 <= sizeof *j ? 32 : sizeof *j - i);
    *j = (struct ledger_job){.place = row->place,
                             .lineage = row->lineage,
                             .owner = row->owner,
                             .prior = row->prior,
                             .kind = row->kind,
                             .state = JOB_QUEUED,
                             .priority = row->priority,
                             .known = 1,
                             .tampered = (uint8_t)l->tampered,
                             .seed = seed_in(p->message),
                             .commit_number = row->kind == JOB_LEARN ? 0 : row->commit_number};
    memcpy(j->key, row->key, CORE_KEY);
    for (int k = STAGE_PRIOR; k < STAGE_KINDS; k++)
        if (stage_digit(row->stages, k)) j->stages |= (uint32_t)STAGE_WAITING << 3 * k;
    w->counts.jobs++;
}

static int differs(const struct ledger_job *j, const struct core_job *row)
{
    return j->state != row->state || j->stages != row->stages || j->flags != row->flags ||
           j->place != row->place ||
           (row->kind == JOB_LEARN && j->commit_number != row->commit_number);
}

static int stage_differs(const struct ledger_job *j, const struct core_stage *s)
{
    return j->epoch[s->kind] != s->epoch || j->not_before_ms[s->kind] != s->not_before_ms ||
           j->losses[s->kind] != s->losses || j->best[s->kind] != s->best_step;
}

void ledger_rows(struct world *w, size_t puts)
{
    const struct core_actions *a = &w->coordinator.actions;
    struct ledger *l = &w->ledger;

    for (size_t i = 0; i < a->n_puts && !w->broken[0]; i++) {
        const struct core_put *p = &a->puts[i];
        switch (p->type) {
        case PUT_USER: user_row(w, p->user); break;
        case PUT_LINEAGE: lineage_row(w, p->lineage); break;
        case PUT_JOB:
            if (p->job->id > l->n_jobs) {
                fresh_job(w, p);
                mark_changed(l, p->job->id);
            } else if (differs(ledger_job(l, p->job->id), p->job)) {
                mark_changed(l, p->job->id);
            }
            l->users[p->job->owner].touched = l->steps;
            break;
        case PUT_STAGE:
            if (stage_differs(ledger_job(l, p->stage->job), p->stage))
                mark_changed(l, p->stage->job);
            break;
        case PUT_CLOCK: clock_row(w, p->clock); break;
        case PUT_DRAIN:
            if (i >= puts) drain_row(w, p->name, p->on);
            break;
        case PUT_FORGET:
            if (i >= puts) forget_row(w, p->id);
            break;
        case PUT_PRIOR:
        case PUT_COMMIT:
        case PUT_EVENT:
        case PUT_AUDIT: break;
        }
    }
}
