/* ledger_lease.c - leases: each begins under a new epoch with a group that asked, and ends for one of few reasons. */
#include "tests/simulation/support/world.h"

#include <stdlib.h>
#include <string.h>

#define N(x) ((unsigned long long)(x))

enum { TERM_MS = 30000, LOSS_LIMIT = 3 };

static int says(const struct ledger *l, enum msg_kind k)
{
    return l->ev->type == CORE_MESSAGE && l->ev->message->kind == k;
}

/* ---- ends ---- */

enum end { BY_RESULT, BY_GROUP, BY_TERM, BY_JOB, BY_STOP, BY_NOTHING };

static enum end why_ended(struct world *w, uint64_t id, const struct ledger_job *j,
                          const struct core_job *row, enum stage_kind k)
{
    struct ledger *l = &w->ledger;
    uint64_t holder = j->holder[k];
    const struct msg_result *r = says(l, MSG_result) ? &l->ev->message->result : NULL;
    const struct msg_heartbeat *b = says(l, MSG_heartbeat) ? &l->ev->message->heartbeat : NULL;

    if (w->coordinator.now_ms >= ledger_group(l, holder)->lease.deadline_ms) return BY_TERM;
    if (r && r->job == id && r->stage == (uint64_t)k && r->epoch == j->epoch[k] &&
        l->asker == GROUP(holder))
        return BY_RESULT;
    if (l->ev->type == CORE_GROUP_LOST && nonce_number(l->ev->group) == holder) return BY_GROUP;
    if (JOB_ENDED(row->state) && core_stage_state(row, k) == STAGE_DROPPED) return BY_JOB;
    if (b && b->job == id && b->stage == (uint64_t)k && l->asker == GROUP(holder) && l->stopping)
        return BY_STOP;
    return BY_NOTHING;
}

static int blames_input(uint64_t code)
{
    switch ((enum code)code) {
    case OK:
    case ERR_FULL:
    case ERR_IO:
    case ERR_ENVIRONMENT:
    case ERR_NOMEM:
    case ERR_AGAIN:
    case ERR_CANCELLED:
    case ERR_STALE:
    case ERR_INTERNAL: return 0;
    default: return 1;
    }
}

/* A train gives one commit that its lineage does not have: at least not the head on which it was learned. */
static int is_good(struct world *w, const struct ledger_job *j, enum stage_kind k,
                   const struct msg_result *r)
{
    if (r->code != OK) return 0;
    if (k == STAGE_TRAIN)
        return r->outputs.n == 1 && !hash_is_zero(r->outputs.v[0]) &&
               (j->commit_number ||
                !hash_equal(r->outputs.v[0], w->ledger.lineages[j->lineage].head));
    return k == STAGE_SAMPLE || k == STAGE_EVALUATE || r->outputs.n > 0;
}

static void after_result(struct world *w, uint64_t id, struct ledger_job *j,
                         const struct core_job *row, enum stage_kind k)
{
    struct ledger *l = &w->ledger;
    const struct msg_result *r = &l->ev->message->result;
    enum stage_state to = core_stage_state(row, k);

    LEDGER_SET(l, j->said[k], j->epoch[k]);
    l->heard = "counts";
    if (is_good(w, j, k, r) && to != STAGE_DONE && !l->tampered)
        world_break(w, "result", "a good result of job %llu, %s, does not count", N(id),
                    proto_stage_kind(k));
    if (!is_good(w, j, k, r) && to == STAGE_DONE)
        world_break(w, "result", "a bad result of job %llu, %s, counts", N(id),
                    proto_stage_kind(k));
    if (blames_input(r->code) && to != STAGE_FAILED)
        world_break(w, "result", "%s of job %llu blames its input and is not failed",
                    proto_stage_kind(k), N(id));
    if (k == STAGE_TRAIN && to == STAGE_DONE && !j->commit_number)
        world_break(w, "twice", "train of job %llu is done without a commit", N(id));
}

/* Losses are counted one by one, and only they or a result that blames the input fail a stage. */
static void after_loss(struct world *w, uint64_t id, struct ledger_job *j,
                       const struct core_job *row, enum stage_kind k)
{
    const struct core_stage *s = core_stage_of(row, k);
    uint64_t losses = j->losses[k] + 1u;

    w->counts.lost_leases++;
    if (!s || s->losses != losses)
        world_break(w, "quarantine",
                    "%s of job %llu was lost %llu times in a row, its row says %llu",
                    proto_stage_kind(k), N(id), N(losses), N(s ? s->losses : 0));
    if ((losses >= LOSS_LIMIT) != (core_stage_state(row, k) == STAGE_FAILED))
        world_break(w, "quarantine", "%s of job %llu is %s after %llu losses in a row",
                    proto_stage_kind(k), N(id), proto_stage_state(core_stage_state(row, k)),
                    N(losses));
}

/* A result that says so, or calls itself good and is not. */
static int is_loss(struct world *w, const struct ledger_job *j, enum stage_kind k)
{
    const struct msg_result *r = &w->ledger.ev->message->result;
    return r->code == ERR_INTERNAL || (r->code == OK && !is_good(w, j, k, r));
}

static void forget_lease(struct ledger *l, struct ledger_group *g)
{
    uint64_t last = l->leases[l->leased - 1];
    struct ledger_group *moved = ledger_group(l, last);
    struct ledger_lease none = {0};

    LEDGER_SET(l, l->leases[g->at - 1], last);
    LEDGER_SET(l, moved->at, g->at);
    LEDGER_SET(l, g->at, 0);
    LEDGER_SET(l, l->leased, l->leased - 1);
    ledger_note(l, &g->lease, 32);
    ledger_note(l, (char *)&g->lease + 32, sizeof g->lease - 32);
    g->lease = none;
}

void ledger_lease_ends(struct world *w, uint64_t id, struct ledger_job *j,
                       const struct core_job *row, enum stage_kind k)
{
    struct ledger *l = &w->ledger;
    struct ledger_group *g = ledger_group(l, j->holder[k]);
    struct ledger_user *u = &l->users[j->owner];
    enum end why = why_ended(w, id, j, row, k);
    enum stage_state to = core_stage_state(row, k);

    if (g->lease.job != id || !g->at) {
        world_break(w, "epoch", "a lease of job %llu ends that nobody held", N(id));
        return;
    }
    if (why == BY_RESULT) after_result(w, id, j, row, k);
    if (why == BY_RESULT && is_loss(w, j, k)) after_loss(w, id, j, row, k);
    if (why == BY_GROUP || why == BY_TERM) after_loss(w, id, j, row, k);
    if (why == BY_NOTHING)
        world_break(
            w, "spurious", "%s of job %llu was taken from its group %lld ms before its term",
            proto_stage_kind(k), N(id), (long long)(g->lease.deadline_ms - w->coordinator.now_ms));
    if (why != BY_RESULT &&
        (to == STAGE_DONE || (to == STAGE_FAILED && core_stage_of(row, k)->losses < LOSS_LIMIT)))
        world_break(w, "result", "%s of job %llu is %s without a result", proto_stage_kind(k),
                    N(id), proto_stage_state(to));
    if (why != BY_RESULT && core_stage_of(row, k)->epoch <= j->epoch[k])
        world_break(w, "epoch", "a lease of job %llu was taken away and its epoch stays", N(id));
    int64_t ms = w->coordinator.now_ms - g->lease.granted_ms;
    LEDGER_SET(l, u->leased, u->leased - 1);
    ledger_fair_settle(w, j->owner, ms > 0 ? (double)ms + 1 : 1,
                       g->lease.charged_ms); /* less: a clock set back */
    forget_lease(l, g);
}

/* ---- begins ---- */

static void remember_lease(struct world *w, uint64_t id, const struct core_stage *s)
{
    struct ledger *l = &w->ledger;
    uint64_t nonce = nonce_number(s->group);
    struct ledger_group *g = ledger_group(l, nonce);
    int64_t now = w->coordinator.now_ms;

    if (l->leased == l->room_leases) {
        world_break(w, "idle", "more leases than groups could hold");
        return;
    }
    LEDGER_SET(l, l->leases[l->leased], nonce);
    LEDGER_SET(l, l->leased, l->leased + 1);
    LEDGER_SET(l, g->at, (uint32_t)l->leased);
    ledger_note(l, &g->lease, 32);
    ledger_note(l, (char *)&g->lease + 32, sizeof g->lease - 32);
    g->lease = (struct ledger_lease){.job = id,
                                     .epoch = s->epoch,
                                     .kind = s->kind,
                                     .granted_ms = now,
                                     .charged_ms = s->charged_ms,
                                     .deadline_ms = now + TERM_MS,
                                     .latest_ms = now + TERM_MS};
    if (g->parked) {
        LEDGER_SET(l, g->parked, 0);
        LEDGER_SET(l, l->parked, l->parked - 1);
    }
}

/* The head on which a concept is learned is the one of its first score or train. */
static void note_parent(struct world *w, uint64_t id, struct ledger_job *j,
                        const struct core_stage *s)
{
    struct ledger *l = &w->ledger;
    const struct ledger_lineage *p = &l->lineages[j->lineage];

    if (s->kind != STAGE_SCORE && s->kind != STAGE_TRAIN) return;
    if (s->chain != p->n_commits)
        world_break(w, "parent", "%s of job %llu is to work on %llu commits, %s has %llu",
                    proto_stage_kind(s->kind), N(id), N(s->chain), p->name, N(p->n_commits));
    if (s->kind == STAGE_TRAIN && stage_digit(j->stages, STAGE_SCORE) &&
        !hash_equal(j->parent, p->head))
        world_break(w, "parent", "the head of %s moved between score and train of job %llu",
                    p->name, N(id));
    LEDGER_SET(l, j->has_parent, 1);
    LEDGER_SET(l, j->parent, p->head);
}

static void begin(struct world *w, uint64_t id, struct ledger_job *j, const struct core_stage *s)
{
    struct ledger *l = &w->ledger;
    struct ledger_group *g = ledger_group(l, nonce_number(s->group));
    struct ledger_user *u = &l->users[j->owner];
    const char *stage = proto_stage_kind(s->kind);

    if (s->epoch <= l->newest_epoch)
        world_break(w, "epoch", "epoch %llu is given after epoch %llu", N(s->epoch),
                    N(l->newest_epoch));
    if (g->lease.job)
        world_break(w, "epoch", "group %s holds job %llu and is given job %llu", g->name,
                    N(g->lease.job), N(id));
    if (!g->parked)
        world_break(w, "idle", "group %s is given job %llu and did not ask", g->name, N(id));
    if (ledger_drained(l, g->name))
        world_break(w, "held", "group %s is drained and is given job %llu", g->name, N(id));
    if (l->stopping_now) world_break(w, "held", "the coordinator stops and gives job %llu", N(id));
    if (j->flags & JOB_HELD || l->lineages[j->lineage].held)
        world_break(w, "held", "%s of job %llu begins and is paused", stage, N(id));
    if (j->not_before_ms[s->kind] > w->coordinator.now_ms)
        world_break(w, "held", "%s of job %llu begins %lld ms before its back-off ends", stage,
                    N(id), (long long)(j->not_before_ms[s->kind] - w->coordinator.now_ms));
    if (!ledger_may_run(u))
        world_break(w, "held", "%s of job %llu begins and user %s may run no more", stage, N(id),
                    u->name);
    note_parent(w, id, j, s);
    ledger_fair_grant(w, id, j, s);
    LEDGER_SET(l, l->newest_epoch, s->epoch);
    LEDGER_SET(l, u->leased, u->leased + 1);
    LEDGER_SET(l, j->epoch[s->kind], s->epoch);
    LEDGER_SET(l, j->holder[s->kind], nonce_number(s->group));
    LEDGER_SET(l, j->stages,
               (j->stages & ~(7u << 3 * s->kind)) | (uint32_t)STAGE_LEASED << 3 * s->kind);
    if (s->losses != j->losses[s->kind]) LEDGER_SET(l, j->losses[s->kind], (uint8_t)s->losses);
    remember_lease(w, id, s);
    ledger_list(w, id, j);
    w->counts.grants++;
}

/* Grants of one step are looked at by rising epoch: as they were chosen. */
struct grant {
    uint64_t job;
    const struct core_stage *stage;
};

static int by_epoch(const void *a, const void *b)
{
    uint64_t x = ((const struct grant *)a)->stage->epoch,
             y = ((const struct grant *)b)->stage->epoch;
    return x < y ? -1 : x > y;
}

void ledger_grants(struct world *w)
{
    struct ledger *l = &w->ledger;
    struct grant few[16], *v = few;
    size_t n = 0, room = 16;

    for (size_t i = 0; i < l->n_changed; i++) {
        const struct core_job *row = core_job(w->coordinator.core, l->changed[i]);
        struct ledger_job *j = ledger_job(l, l->changed[i]);
        for (int k = STAGE_PRIOR; k < STAGE_KINDS; k++) {
            const struct core_stage *s = core_stage_of(row, (enum stage_kind)k);
            if (stage_digit(row->stages, k) != STAGE_LEASED ||
                stage_digit(j->stages, k) == STAGE_LEASED)
                continue;
            if (n == room) {
                struct grant *more = malloc(2 * room * sizeof *more);
                if (!more) abort();
                memcpy(more, v, n * sizeof *v);
                if (v != few) free(v);
                v = more;
                room *= 2;
            }
            v[n++] = (struct grant){l->changed[i], s};
        }
    }
    if (n > 1) qsort(v, n, sizeof *v, by_epoch);
    ledger_fair_before(w);
    for (size_t i = 0; i < n && !w->broken[0]; i++)
        begin(w, v[i].job, ledger_job(l, v[i].job), v[i].stage);
    if (v != few) free(v);
}
