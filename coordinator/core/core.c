/* core.c - one step: a message finds its handler, time passes, waiting groups get what became ready, and what has changed is
 * put out once.
 *
 * Memory that runs out makes the core `broken`: the actions say failed, the caller throws them and the core away and loads
 * again from the store. So no function below undoes anything.
 */
#include "coordinator/core/state.h"

#include <stdlib.h>

/* ---- memory ---- */

struct core *core_make(const struct core_settings *s)
{
    struct core *c = mem_alloc(1, sizeof *c);

    if (!c) return NULL;
    if (s) c->settings = *s;
    if (!c->settings.term_ms) c->settings.term_ms = 30000;
    if (!c->settings.poll_ms) c->settings.poll_ms = PROTO_POLL_MS;
    if (!c->settings.loss_limit) c->settings.loss_limit = 3;
    c->clock.open = 1;
    return c;
}

static void free_users(struct core *c)
{
    for (size_t i = 0; i < c->n_users; i++) {
        free(c->users[i]->row.name);
        free(c->users[i]->row.group);
        free(c->users[i]);
    }
    free(c->users);
    map_fini(&c->user_names);
    map_fini(&c->user_keys);
}

void core_free(struct core *c)
{
    if (!c) return;
    jobs_free_all(c);
    for (size_t i = 0; i < c->n_lineages; i++) lineage_free(c->lineages[i]);
    for (size_t i = 0; i < c->n_priors; i++) free(c->priors[i]);
    for (size_t i = 0; i < c->n_drains; i++) free(c->drains[i]);
    for (int h = 0; h < HEAPS; h++) free(c->heaps[h]);
    free_users(c);
    group_free_all(c);
    free(c->lineages);
    free(c->priors);
    free(c->drains);
    free(c->flows);
    free(c->timers);
    free(c->touched);
    free(c->batch);
    free(c->put_stages);
    map_fini(&c->lineage_names);
    map_fini(&c->lineage_keys);
    map_fini(&c->prior_keys);
    map_fini(&c->flow_keys);
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

/* ---- the step ---- */

typedef void handler(struct core *c, const struct core_event *ev);

static handler *const handlers[MSG_KINDS] = {
    [MSG_lineage_create] = share_create, [MSG_learn] = submit_one,
    [MSG_sample] = submit_one,           [MSG_evaluate] = submit_one,
    [MSG_submit_many] = submit_many,     [MSG_lineage_set] = share_set,
    [MSG_cancel] = operate_cancel,       [MSG_retry] = operate_retry,
    [MSG_pause] = operate_pause,         [MSG_drain] = operate_drain,
    [MSG_forget] = operate_forget,       [MSG_user_set] = user_set,
    [MSG_stop] = operate_stop,           [MSG_worker_hello] = group_hello,
    [MSG_ready] = group_ready,           [MSG_heartbeat] = group_heartbeat,
    [MSG_result] = group_result,
};

/* Who asks. 0: nobody who may (invariant 6), and they have been told. */
static int know_asker(struct core *c, const struct core_event *ev)
{
    enum role role = ev->role > ROLE_USER ? ev->role : ROLE_USER;

    c->asker = NULL;
    c->role = role;
    if (!ev->user) return 1;
    if (!(c->asker = user_of(c, ev->user, role))) return 0;
    if (c->asker->row.role == ROLE_ADMIN) c->role = ROLE_ADMIN;
    if (!c->asker->row.revoked) return 1;
    core_refuse(c, ERR_DENIED, "user %s is not heard any more: an admin revoked them", ev->user);
    return 0;
}

static void hear(struct core *c, const struct core_event *ev)
{
    handler *h = handlers[ev->message->kind];
    enum msg_from from = proto_from(ev->message->kind);

    if (!h)
        core_refuse(c, ERR_PROTOCOL, "`%s` is nothing one may ask here",
                    proto_name(ev->message->kind));
    else if (from == FROM_USER && !ev->user)
        core_refuse(c, ERR_DENIED, "`%s` needs a user", proto_name(ev->message->kind));
    else if (from == FROM_WORKER || know_asker(c, ev)) h(c, ev);
}

void core_step(struct core *c, const struct core_event *ev, int64_t now_ms,
               struct core_actions *out)
{
    assert(now_ms >= c->now_ms);
    if (c->broken) { /* the rest of a batch in which memory ran out */
        out->failed = 1;
        return;
    }
    c->now_ms = now_ms;
    c->ev = ev;
    c->out = out;
    c->asker = NULL;
    actions_begin(c);
    stage_expire(c);
    switch (ev->type) {
    case CORE_MESSAGE: hear(c, ev); break;
    case CORE_GROUP_LOST: group_lost(c, ev->group); break;
    case CORE_TICK: break;
    }
    prior_share(c);
    group_assign(c);
    group_tick(c);
    actions_end(c);
    c->ev = NULL;
    c->out = NULL;
}

/* ---- what a message needs of the past ---- */

/* One that has ended may be forgotten as the next step begins. */
static int stays(const struct core_job *j)
{
    return j && (!JOB_ENDED(j->state) || (j->flags & JOB_HOLDS));
}

static enum core_past_by ended(const struct core *c, uint64_t id, uint64_t *job)
{
    if (!id || id > c->clock.job || stays(jobs_find(c, id))) return CORE_PAST_NONE;
    *job = id;
    return CORE_PAST_JOB;
}

static enum core_past_by made_before(const struct core *c, struct hash asked, struct hash *key)
{
    if (hash_is_zero(asked) || stays(jobs_by_key(c, asked.v))) return CORE_PAST_NONE;
    *key = asked;
    return CORE_PAST_KEY;
}

enum core_past_by core_wants_past(const struct core *c, const struct message *m, struct hash *key,
                                  uint64_t *job)
{
    switch (m->kind) {
    case MSG_learn: return made_before(c, m->learn.key, key);
    case MSG_sample: return made_before(c, m->sample.key, key);
    case MSG_evaluate: return made_before(c, m->evaluate.key, key);
    case MSG_cancel: return ended(c, m->cancel.job, job);
    case MSG_retry: return ended(c, m->retry.job, job);
    case MSG_pause: return ended(c, m->pause.job, job);
    case MSG_forget: return ended(c, m->forget.job, job);
    case MSG_heartbeat: return ended(c, m->heartbeat.job, job);
    case MSG_result: return ended(c, m->result.job, job);
    default: return CORE_PAST_NONE;
    }
}

/* ---- looking ---- */

int core_leased(const struct core *c)
{
    return (int)c->leased;
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
    int64_t next = timer_next(c);

    if (c->made_first) return c->now_ms;
    for (int i = 1; i <= 2; i++) {
        const struct group *g = c->waits[i].first ? c->groups[c->waits[i].first - 1] : NULL;
        if (g && g->row.parked_until_ms < next) next = g->row.parked_until_ms;
    }
    return next;
}

void core_backlog(const struct core *c, struct core_backlog *out)
{
    *out = (struct core_backlog){.ready = c->ready,
                                 .leased = c->leased,
                                 .groups = c->known_groups,
                                 .ranks = c->known_ranks,
                                 .waiting = c->waits[1].n,
                                 .draining = c->draining_groups,
                                 .queued = c->n_state[JOB_QUEUED],
                                 .running = c->n_state[JOB_RUNNING],
                                 .paused = c->n_state[JOB_PAUSED],
                                 .users = c->n_users,
                                 .lineages = c->n_lineages};
}
