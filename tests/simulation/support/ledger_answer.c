/* ledger_answer.c - what was said in a step, and to whom: each request has one answer of the right kind, who may is heard, who may not is not,
 * what was refused changed nothing, and a stale lease is told so. */
#include "tests/simulation/support/world.h"

#include <string.h>

#define N(x) ((unsigned long long)(x))

enum { TERM_MS = 30000 };

/* ---- before ---- */

static uint32_t user_id(struct world *w, uint64_t asker, const char *name)
{
    struct ledger *l = &w->ledger;
    struct person *p = IS_PERSON(asker) ? &w->people[NUMBER_OF(asker)] : NULL;

    if (!name) return 0;
    if (p && p->user && p->user <= l->n_users && strcmp(l->users[p->user].name, name) == 0)
        return p->user;
    uint32_t id = ledger_user_named(l, name);
    if (p) p->user = id;
    return id;
}

void ledger_before(struct world *w, const struct core_event *ev, uint64_t asker, int tampered)
{
    struct ledger *l = &w->ledger;
    const char *name = IS_PERSON(asker) ? w->people[NUMBER_OF(asker)].name : NULL;

    l->ev = ev;
    l->asker = asker;
    l->user = user_id(w, asker, name);
    l->is_admin = ev->role == ROLE_ADMIN || (l->user && l->users[l->user].role == ROLE_ADMIN);
    l->tampered = tampered;
    l->stopping = core_stopping(w->coordinator.core);
    l->made_something = 0;
    l->heard = NULL;
    l->n_changed = 0;
    l->fresh_first = l->n_jobs + 1;
    l->puts_before = w->coordinator.actions.n_puts;
    l->steps++;
}

/* ---- may they? ---- */

static int shared_with(const struct ledger_user *u, const struct ledger_lineage *p)
{
    for (int i = 0; i < p->n_shared; i++) {
        const char *s = p->shared[i];
        if (s[0] == '@' ? u->team[0] && strcmp(s + 1, u->team) == 0 : strcmp(s, u->name) == 0)
            return 1;
    }
    return 0;
}

int ledger_may_add(const struct ledger *l, uint32_t user, int is_admin, uint32_t lineage)
{
    const struct ledger_lineage *p = &l->lineages[lineage];
    return is_admin || (user && (p->owner == user || shared_with(&l->users[user], p)));
}

/* The right to ask for this job; where the lineage is not there, nobody has it. */
static int may_ask(const struct ledger *l, const struct message *m)
{
    const char *name = m->kind == MSG_learn    ? m->learn.lineage
                       : m->kind == MSG_sample ? m->sample.lineage
                                               : m->evaluate.lineage;
    uint32_t id = ledger_lineage_named(l, name);
    const struct ledger_lineage *p = &l->lineages[id];

    return id && (ledger_may_add(l, l->user, l->is_admin, id) ||
                  (m->kind != MSG_learn && p->visibility == VISIBLE_PUBLIC));
}

static int owns_lineage(const struct ledger *l, const char *name)
{
    uint32_t id = ledger_lineage_named(l, name);
    return id && ledger_owns(l, l->lineages[id].owner);
}

static int owns_job(struct ledger *l, uint64_t id)
{
    return id && id <= l->n_jobs && ledger_owns(l, ledger_job(l, id)->owner);
}

/* Must what is asked be refused, whatever else there is to say? */
static int forbidden(struct ledger *l, const struct message *m)
{
    if (l->user && l->users[l->user].revoked) return 1;
    switch (m->kind) {
    case MSG_learn:
    case MSG_sample:
    case MSG_evaluate: return !may_ask(l, m);
    case MSG_cancel: return !owns_job(l, m->cancel.job);
    case MSG_retry: return !owns_job(l, m->retry.job);
    case MSG_forget: return !owns_job(l, m->forget.job);
    case MSG_pause:
        return m->pause.job ? !owns_job(l, m->pause.job) : !owns_lineage(l, m->pause.lineage);
    case MSG_lineage_set: return !owns_lineage(l, m->lineage_set.lineage);
    case MSG_drain:
    case MSG_user_set:
    case MSG_stop: return !l->is_admin;
    default: return 0;
    }
}

/* ---- users ---- */

static struct hash key_in(const struct message *m)
{
    return m->kind == MSG_learn    ? m->learn.key
           : m->kind == MSG_sample ? m->sample.key
                                   : m->evaluate.key;
}

static void accepted(struct world *w, const struct message *m, uint64_t id)
{
    struct ledger *l = &w->ledger;
    const struct ledger_job *j = id && id <= l->n_jobs ? ledger_job(l, id) : NULL;
    struct hash key = key_in(m);

    if (!j) world_break(w, "lost", "job %llu is acknowledged and not there", N(id));
    else if (memcmp(j->key, key.v, CORE_KEY) || j->owner != l->user)
        world_break(w, "answer", "job %llu of another request is acknowledged", N(id));
}

/* Well-formed, by who may, within quota: there is no reason to say no. */
static int is_good(struct world *w, const struct message *m)
{
    struct ledger *l = &w->ledger;
    const struct ledger_user *u = &l->users[l->user];

    if (l->tampered || l->stopping || !l->user || forbidden(l, m)) return 0;
    if ((u->max_queued && u->unended >= u->max_queued) || u->max_bytes) return 0;
    if (m->kind != MSG_learn) return 1;
    const struct ledger_lineage *p = &l->lineages[ledger_lineage_named(l, m->learn.lineage)];
    return m->learn.images.n == 1 && !m->learn.captions.n && m->learn.preview_prompts.n &&
           p->n_commits + p->n_undecided < PROTO_CHAIN;
}

static void request(struct world *w, const struct message *m, uint64_t job, uint64_t code,
                    const char *line)
{
    if (job) accepted(w, m, job);
    if (job >= w->ledger.fresh_first &&
        forbidden(&w->ledger, m)) /* asked again: as it was answered before */
        world_break(w, "denied", "job %llu is accepted from somebody who may not ask for it",
                    N(job));
    if (!job && is_good(w, m) && code != ERR_EXISTS)
        world_break(w, "changed", "a good request is refused: %s", line);
}

static void requests(struct world *w, const struct message *answer)
{
    struct ledger *l = &w->ledger;
    const struct accepted_rows *rows = &answer->accepted_many.rows;

    if (rows->n != l->ev->n_requests) {
        world_break(w, "answer", "%zu answers to %zu requests", rows->n, l->ev->n_requests);
        return;
    }
    /* Quotas fill up on the way: whether the last rows were good is not asked. */
    for (size_t i = 0; i < rows->n; i++)
        if (l->ev->requests[i].message && rows->v[i].job)
            request(w, l->ev->requests[i].message, rows->v[i].job, 0, "");
}

static int audited(const struct world *w, const char *user)
{
    const struct core_actions *a = &w->coordinator.actions;

    for (size_t i = w->ledger.puts_before; i < a->n_puts; i++)
        if (a->puts[i].type == PUT_AUDIT && strcmp(a->puts[i].audit.user, user) == 0) return 1;
    return 0;
}

/* What an admin does and what cannot be undone is written down, with the name of who did it. */
static int needs_audit(const struct ledger *l, const struct message *m)
{
    switch (m->kind) {
    case MSG_user_set:
    case MSG_drain:
    case MSG_stop:
    case MSG_lineage_set: return 1;
    case MSG_cancel:
    case MSG_forget: return l->made_something;
    default: return 0;
    }
}

static void operated(struct world *w, const struct message *m)
{
    struct ledger *l = &w->ledger;

    if (needs_audit(l, m) && !audited(w, l->users[l->user].name))
        world_break(w, "audit", "`%s` of %s is done and not written down", proto_name(m->kind),
                    l->users[l->user].name);

    if (m->kind == MSG_cancel && ledger_job(l, m->cancel.job)->state != JOB_CANCELLED)
        world_break(w, "answer", "job %llu is said to be cancelled and is not", N(m->cancel.job));
    if (m->kind == MSG_retry && JOB_ENDED(ledger_job(l, m->retry.job)->state))
        world_break(w, "answer", "job %llu is said to be tried again and is not", N(m->retry.job));
    if (m->kind == MSG_pause && m->pause.job &&
        !(ledger_job(l, m->pause.job)->flags & JOB_HELD) == !!m->pause.on)
        world_break(w, "answer", "job %llu is said to be paused or resumed and is not",
                    N(m->pause.job));
    if (m->kind == MSG_pause && !m->pause.job &&
        l->lineages[ledger_lineage_named(l, m->pause.lineage)].held != m->pause.on)
        world_break(w, "answer", "lineage %s is said to be paused or resumed and is not",
                    m->pause.lineage);
    if (m->kind == MSG_stop && !l->stopping_now)
        world_break(w, "answer", "the coordinator is said to stop and does not");
    if (m->kind == MSG_lineage_create && !ledger_lineage_named(l, m->lineage_create.name))
        world_break(w, "answer", "lineage %s is said to be there and is not",
                    m->lineage_create.name);
}

static void refused(struct world *w, const struct message *answer)
{
    struct ledger *l = &w->ledger;

    if (l->made_something || l->fresh_first <= l->n_jobs)
        world_break(w, "changed", "a request is refused and changed something: %s",
                    answer->refused.line);
    if (answer->refused.code == ERR_DENIED && !(l->user && l->users[l->user].revoked) &&
        owns_job(l, l->ev->message->kind == MSG_cancel ? l->ev->message->cancel.job : 0))
        world_break(w, "denied", "a user may not cancel their own job: %s", answer->refused.line);
}

static void to_user(struct world *w, const struct message *answer)
{
    struct ledger *l = &w->ledger;
    const struct message *m = l->ev->message;

    l->user = user_id(w, l->asker, w->people[NUMBER_OF(l->asker)].name);
    switch (answer->kind) {
    case MSG_accepted: request(w, m, answer->accepted.job, OK, ""); break;
    case MSG_accepted_many: requests(w, answer); break;
    case MSG_refused:
        refused(w, answer);
        if (m->kind == MSG_learn || m->kind == MSG_sample || m->kind == MSG_evaluate)
            request(w, m, 0, answer->refused.code, answer->refused.line);
        break;
    case MSG_done:
        if (forbidden(l, m))
            world_break(w, "denied", "`%s` is done for somebody who may not", proto_name(m->kind));
        else operated(w, m);
        break;
    default:
        world_break(w, "answer", "`%s` is answered `%s`", proto_name(m->kind),
                    proto_name(answer->kind));
        break;
    }
}

/* ---- groups ---- */

static void unpark(struct ledger *l, struct ledger_group *g)
{
    if (!g->parked) return;
    LEDGER_SET(l, g->parked, 0);
    LEDGER_SET(l, l->parked, l->parked - 1);
}

static void park(struct ledger *l, struct ledger_group *g)
{
    if (g->parked) return;
    LEDGER_SET(l, g->parked, 1);
    LEDGER_SET(l, l->parked, l->parked + 1);
}

static void extend(struct world *w, struct ledger_group *g)
{
    LEDGER_SET(&w->ledger, g->lease.deadline_ms, w->coordinator.now_ms + TERM_MS);
    LEDGER_SET(&w->ledger, g->lease.latest_ms, w->coordinator.now_ms + TERM_MS);
}

static void beat(struct world *w, struct ledger_group *g, const struct message *answer)
{
    struct ledger *l = &w->ledger;
    const struct msg_heartbeat *b = &l->ev->message->heartbeat;
    int holds = b->job && g->lease.job == b->job && (uint64_t)g->lease.kind == b->stage &&
                g->lease.epoch == b->epoch;
    struct ledger_job *j;

    if ((answer->kind == MSG_go_on) != holds) {
        world_break(w, "epoch",
                    "a heartbeat of job %llu under epoch %llu is answered `%s`; its group holds "
                    "job %llu under %llu",
                    N(b->job), N(b->epoch), proto_name(answer->kind), N(g->lease.job),
                    N(g->lease.epoch));
        return;
    }
    if (!holds) return;
    extend(w, g);
    j = ledger_job(l, b->job);
    if (b->step <= j->best[b->stage]) return;
    LEDGER_SET(l, j->best[b->stage], b->step);
    LEDGER_SET(l, j->losses[b->stage], 0);
}

static void result(struct world *w, const struct message *answer)
{
    struct ledger *l = &w->ledger;
    const struct msg_result *r = &l->ev->message->result;
    struct ledger_job *j =
        r->job && r->job <= l->n_jobs && r->stage < STAGE_KINDS ? ledger_job(l, r->job) : NULL;
    int said = j && r->epoch && j->said[r->stage] == r->epoch;
    enum stage_state s = j ? stage_digit(j->stages, (int)r->stage) : 0;

    /* Flipped bits may hit the number that a lease was taken away with; nothing counts by that. */
    if (answer->kind == MSG_done && !said && !(l->tampered && j && j->epoch[r->stage] == r->epoch))
        world_break(w, "epoch",
                    "a result of job %llu under epoch %llu is answered `done` and was never heard",
                    N(r->job), N(r->epoch));
    if (answer->kind == MSG_give_up && said && (s == STAGE_DONE || s == STAGE_FAILED) &&
        j->epoch[r->stage] == r->epoch)
        world_break(w, "answer",
                    "the result of job %llu that counted is refused when it is said again",
                    N(r->job));
}

static void hello(struct ledger *l, struct ledger_group *g)
{
    char name[PROTO_NAME + 1] = "";
    strncpy(name, l->ev->message->worker_hello.name, PROTO_NAME);
    if (!g->known) LEDGER_SET(l, g->known, 1);
    if (strcmp(g->name, name) == 0) return;
    ledger_note(l, g->name, 32);
    ledger_note(l, g->name + 32, sizeof g->name - 32);
    memcpy(g->name, name, sizeof name);
}

static void to_group(struct world *w, const struct message *answer)
{
    struct ledger *l = &w->ledger;
    struct ledger_group *g = ledger_group(l, NUMBER_OF(l->asker));
    enum msg_kind k = l->ev->message->kind;

    if (answer->kind == MSG_who && k != MSG_worker_hello) return;
    if (answer->kind == MSG_refused && (l->tampered || answer->refused.code == ERR_PROTOCOL))
        return;
    if (k == MSG_worker_hello && answer->kind == MSG_go_on) return;
    if (k == MSG_heartbeat && (answer->kind == MSG_go_on || answer->kind == MSG_give_up))
        beat(w, g, answer);
    else if (k == MSG_result && (answer->kind == MSG_done || answer->kind == MSG_give_up))
        result(w, answer);
    else if (k == MSG_ready && (answer->kind == MSG_end || answer->kind == MSG_idle)) unpark(l, g);
    else world_break(w, "answer", "`%s` is answered `%s`", proto_name(k), proto_name(answer->kind));
}

static void to_waiting(struct world *w, uint64_t to, const struct message *answer)
{
    struct ledger_group *g = ledger_group(&w->ledger, NUMBER_OF(to));

    if (!IS_GROUP(to) || !g->parked || (answer->kind != MSG_idle && answer->kind != MSG_end))
        world_break(w, "answer", "`%s` is said to somebody who did not ask",
                    proto_name(answer->kind));
    else unpark(&w->ledger, g);
}

static void stage_given(struct world *w, uint64_t to, const struct core_tell *t)
{
    struct ledger_group *g = ledger_group(&w->ledger, NUMBER_OF(to));

    if (!IS_GROUP(to) || g->lease.job != t->job || g->lease.kind != t->stage ||
        g->lease.epoch != t->epoch)
        world_break(
            w, "epoch",
            "a group is told to run job %llu under epoch %llu and holds job %llu under %llu",
            N(t->job), N(t->epoch), N(g->lease.job), N(g->lease.epoch));
    else extend(w, g);
}

/* ---- all that was said ---- */

static int said(struct world *w, const struct core_tell *t)
{
    struct ledger *l = &w->ledger;
    int own;
    uint64_t to;

    if (t->type != TELL_ANSWER && t->type != TELL_STAGE) return 0;
    memcpy(&to, t->to.peer, sizeof to);
    own = l->asker && to == l->asker && t->to.id == l->ev->from.id;
    if (own && t->to.version != l->ev->from.version)
        world_break(w, "answer", "an answer in another version than the question");
    if (t->type == TELL_STAGE) stage_given(w, to, t);
    else if (own && IS_PERSON(to)) to_user(w, &t->answer);
    else if (own) to_group(w, &t->answer);
    else to_waiting(w, to, &t->answer);
    return own;
}

static void nobody_waits_in_vain(struct world *w)
{
    struct ledger *l = &w->ledger;
    struct core_backlog b;

    if (!l->parked || l->stopping_now) return;
    core_backlog(w->coordinator.core, &b);
    if (!l->draining && l->parked != b.waiting)
        world_break(w, "idle", "%llu groups wait for work, the core counts %llu", N(l->parked),
                    N(b.waiting));
    for (uint32_t i = 1; i <= l->n_users && b.waiting; i++) {
        const struct ledger_user *u = &l->users[i];
        if (ledger_could(u))
            world_break(w, "idle", "a group waits and a job of user %s could begin", u->name);
    }
}

static void answers(struct world *w, size_t tells)
{
    const struct core_actions *a = &w->coordinator.actions;
    struct ledger *l = &w->ledger;
    int own = 0, must = l->ev->type == CORE_MESSAGE;

    if (l->ev->type == CORE_GROUP_LOST) {
        struct ledger_group *g = ledger_group(l, nonce_number(l->ev->group));
        unpark(l, g);
        LEDGER_SET(l, g->known, 0);
    }
    for (size_t i = tells; i < a->n_tells && !w->broken[0]; i++) own += said(w, &a->tells[i]);
    if (must && l->ev->message->kind == MSG_ready && own == 0) must = 0;
    if (own != must && !w->broken[0])
        world_break(w, "answer", "`%s` has %d answers",
                    l->ev->type == CORE_MESSAGE ? proto_name(l->ev->message->kind) : "nothing",
                    own);
}

static int told(const struct world *w, size_t tells, enum msg_kind k)
{
    const struct core_actions *a = &w->coordinator.actions;

    for (size_t i = tells; i < a->n_tells; i++)
        if (a->tells[i].type == TELL_ANSWER && a->tells[i].answer.kind == k) return 1;
    return 0;
}

/* Written down before the grants: who asks, or says by another name who it is, may be given something at once. A core may have
 * forgotten a group that was silent and has no lease; then it asks who that is. */
static void group_speaks(struct world *w, size_t tells)
{
    struct ledger *l = &w->ledger;
    enum msg_kind k = l->ev->type == CORE_MESSAGE ? l->ev->message->kind : MSG_none;
    struct ledger_group *g;

    if (k != MSG_ready && k != MSG_worker_hello) return;
    g = ledger_group(l, NUMBER_OF(l->asker));
    if (k == MSG_worker_hello) {
        if (told(w, tells, MSG_go_on)) hello(l, g);
        return;
    }
    if (told(w, tells, MSG_who)) {
        if (g->parked) world_break(w, "answer", "group %s waits and is asked who it is", g->name);
        return;
    }
    if (l->stopping) return;
    if (g->lease.job) unpark(l, g);
    else park(l, g);
}

void ledger_after(struct world *w, size_t puts, size_t tells)
{
    struct ledger *l = &w->ledger;

    l->stopping_now = core_stopping(w->coordinator.core);
    ledger_rows(w, puts);
    if (!w->broken[0]) ledger_jobs(w);
    if (!w->broken[0]) group_speaks(w, tells);
    if (!w->broken[0]) ledger_grants(w);
    if (!w->broken[0]) answers(w, tells);
    if (!w->broken[0]) nobody_waits_in_vain(w);
}
