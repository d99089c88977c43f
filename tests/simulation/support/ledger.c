/* ledger.c - the pages themselves: made, remembered until durable, put back, held against a core that was loaded anew. */
#include "tests/simulation/support/world.h"

#include <stdlib.h>
#include <string.h>

#define N(x) ((unsigned long long)(x))

enum { CHUNK = 256 };

/* ---- pages ---- */

static void *chunk(void *table, size_t *n, size_t want, size_t size)
{
    void ***chunks = table;

    if (want >= *n) {
        *chunks = realloc(*chunks, (want + 1) * sizeof **chunks);
        if (!*chunks) abort();
        while (*n <= want)
            if (!((*chunks)[(*n)++] = calloc(CHUNK, size))) abort();
    }
    return (*chunks)[want];
}

struct ledger_job *ledger_job(struct ledger *l, uint64_t id)
{
    size_t at = (size_t)(id - 1);
    struct ledger_job *c = chunk(&l->jobs, &l->job_chunks, at / CHUNK, sizeof *c);
    return &c[at % CHUNK];
}

struct ledger_group *ledger_group(struct ledger *l, uint64_t nonce)
{
    struct ledger_group *c = chunk(&l->groups, &l->group_chunks, nonce / CHUNK, sizeof *c);
    return &c[nonce % CHUNK];
}

uint32_t ledger_lineage_named(const struct ledger *l, const char *name)
{
    for (uint32_t i = 1; i <= l->n_lineages; i++)
        if (strcmp(l->lineages[i].name, name) == 0) return i;
    return 0;
}

uint32_t ledger_user_named(const struct ledger *l, const char *name)
{
    for (uint32_t i = 1; i <= l->n_users; i++)
        if (strcmp(l->users[i].name, name) == 0) return i;
    return 0;
}

int ledger_drained(const struct ledger *l, const char *group)
{
    for (size_t i = 0; i < l->n_drains && l->draining; i++)
        if (l->drains[i].on && (!l->drains[i].name[0] || strcmp(l->drains[i].name, group) == 0))
            return 1;
    return 0;
}

void ledger_init(struct world *w)
{
    struct ledger *l = &w->ledger;

    l->room_lineages = 2 * w->shape.lineages + 64;
    l->room_users = w->shape.users + 64;
    l->room_leases = 8 * w->shape.groups + 256;
    l->lineages = calloc(l->room_lineages + 1, sizeof *l->lineages);
    l->users = calloc(l->room_users + 1, sizeof *l->users);
    l->leases = calloc(l->room_leases, sizeof *l->leases);
    if (!l->lineages || !l->users || !l->leases) abort();
}

void ledger_fini(struct world *w)
{
    struct ledger *l = &w->ledger;

    for (size_t i = 0; i < l->job_chunks; i++) free(l->jobs[i]);
    for (size_t i = 0; i < l->group_chunks; i++) free(l->groups[i]);
    free(l->jobs);
    free(l->groups);
    free(l->lineages);
    free(l->users);
    free(l->leases);
    free(l->undo);
    free(l->changed);
    free(l->backing_off);
}

/* ---- undoing ---- */

void ledger_note(struct ledger *l, void *at, size_t n)
{
    if (l->n_undo == l->undo_room) {
        l->undo_room = l->undo_room ? 2 * l->undo_room : 256;
        l->undo = realloc(l->undo, l->undo_room * sizeof *l->undo);
        if (!l->undo) abort();
    }
    struct ledger_undo *u = &l->undo[l->n_undo++];
    u->at = at;
    u->n = (uint32_t)n;
    memcpy(u->old, at, n);
}

void ledger_durable(struct world *w)
{
    w->ledger.n_undo = 0;
}

void ledger_undo(struct world *w)
{
    struct ledger *l = &w->ledger;

    while (l->n_undo) {
        struct ledger_undo *u = &l->undo[--l->n_undo];
        memcpy(u->at, u->old, u->n);
    }
}

/* Whatever is said rests on everything that was written down before it was said. */
void ledger_told(struct world *w, const struct core_tell *t)
{
    if (w->ledger.n_undo)
        world_break(w, "early", "`%s` is said before the disk has its batch",
                    t->type == TELL_STAGE ? "stage" : proto_name(t->answer.kind));
}

/* ---- comparing ---- */

static void compare_job(struct world *w, uint64_t id, const struct ledger_job *j)
{
    const struct core_job *row = core_job(w->coordinator.core, id);
    int kept = !JOB_ENDED(j->state) || j->flags & JOB_HOLDS;

    if (!kept && (!row || row->state == j->state)) return;
    if (!row) {
        world_break(w, "lost", "job %llu, %s, is not known any more", N(id),
                    proto_job_state(j->state));
        return;
    }
    if (row->state != j->state || row->stages != j->stages || row->flags != j->flags ||
        row->commit_number != j->commit_number || row->lineage != j->lineage ||
        row->owner != j->owner || row->priority != j->priority || row->prior != j->prior)
        world_break(w, "whole", "job %llu is %s/%o/%x, its rows said %s/%o/%x", N(id),
                    proto_job_state(row->state), row->stages, row->flags, proto_job_state(j->state),
                    j->stages, j->flags);
    for (int k = STAGE_PRIOR; k < STAGE_KINDS; k++) {
        const struct core_stage *s = core_stage_of(row, (enum stage_kind)k);
        if ((s ? s->epoch : 0) != j->epoch[k])
            world_break(w, "epoch", "job %llu, %s: epoch %llu, its rows said %llu", N(id),
                        proto_stage_kind((uint64_t)k), N(s ? s->epoch : 0), N(j->epoch[k]));
        if (stage_digit(j->stages, k) == STAGE_LEASED && nonce_number(s->group) != j->holder[k])
            world_break(w, "epoch", "job %llu, %s: another group holds it than its rows said",
                        N(id), proto_stage_kind((uint64_t)k));
    }
}

static void compare_lineage(struct world *w, uint32_t id, const struct ledger_lineage *l)
{
    const struct core_lineage *row = core_lineage(w->coordinator.core, id);
    const struct core_job *turn = row ? core_turn(w->coordinator.core, row) : NULL;

    if (!row || strcmp(row->name, l->name) || row->owner != l->owner)
        world_break(w, "lost", "lineage %s is not known any more", l->name);
    else if (!hash_equal(row->head, l->head) || row->n_commits != l->n_commits)
        world_break(w, "whole", "lineage %s has %zu commits, its rows said %llu, or another head",
                    l->name, row->n_commits, N(l->n_commits));
    else if (row->held != l->held || row->visibility != l->visibility ||
             row->on_failure != l->on_failure || row->n_shared != l->n_shared)
        world_break(w, "whole", "lineage %s is not as it was set", l->name);
    else if ((turn ? turn->id : 0) != l->first || row->n_undecided != l->n_undecided)
        world_break(w, "turn", "in %s it is the turn of job %llu, by its rows of job %llu", l->name,
                    N(turn ? turn->id : 0), N(l->first));
}

static void compare_user(struct world *w, uint32_t id, const struct ledger_user *u)
{
    const struct core_user *row = core_user(w->coordinator.core, id);

    if (!row || strcmp(row->name, u->name)) {
        world_break(w, "lost", "user %s is not known any more", u->name);
        return;
    }
    if (row->role != (enum role)u->role || row->revoked != u->revoked || row->weight != u->weight ||
        row->max_queued != u->max_queued || row->max_running != u->max_running ||
        strcmp(row->group, u->team))
        world_break(w, "whole", "user %s is not as they were set", u->name);
    if (row->queued + row->running + row->paused != u->unended || row->leased != u->leased)
        world_break(w, "counts",
                    "user %s is counted with %llu jobs and %llu leases, has %llu and %llu", u->name,
                    N(row->queued + row->running + row->paused), N(row->leased), N(u->unended),
                    N(u->leased));
}

static void compare_counts(struct world *w)
{
    struct ledger *l = &w->ledger;
    uint64_t jobs = 0, leases = 0;
    uint32_t cursor = 0;

    for (const struct core_job *j; (j = core_each_job(w->coordinator.core, &cursor));)
        jobs += !JOB_ENDED(j->state);
    cursor = 0;
    while (core_each_lease(w->coordinator.core, &cursor)) leases++;
    if (jobs != l->unended || core_last_job(w->coordinator.core) != l->n_jobs)
        world_break(w, "lost", "%llu jobs of %llu have not ended, by their rows %llu of %llu",
                    N(jobs), N(core_last_job(w->coordinator.core)), N(l->unended), N(l->n_jobs));
    if (leases != l->leased || core_leased(w->coordinator.core) != (int)l->leased)
        world_break(w, "epoch", "%llu leases, by their rows %llu", N(leases), N(l->leased));
}

/* A lease whose group fell silent ends when its term does. */
static void compare_leases(struct world *w)
{
    struct ledger *l = &w->ledger;

    for (size_t i = 0; i < l->leased; i++) {
        const struct ledger_group *g = ledger_group(l, l->leases[i]);
        if (g->lease.latest_ms < w->coordinator.now_ms)
            world_break(w, "expiry", "job %llu is held by a group that was silent for %lld ms",
                        N(g->lease.job),
                        (long long)(w->coordinator.now_ms - g->lease.latest_ms + 30000));
    }
}

void ledger_compare(struct world *w)
{
    struct ledger *l = &w->ledger;

    for (uint64_t id = 1; id <= l->n_jobs && !w->broken[0]; id++)
        compare_job(w, id, ledger_job(l, id));
    for (uint32_t i = 1; i <= l->n_lineages; i++) compare_lineage(w, i, &l->lineages[i]);
    for (uint32_t i = 1; i <= l->n_users; i++) compare_user(w, i, &l->users[i]);
    if (core_last_lineage(w->coordinator.core) != l->n_lineages ||
        core_last_user(w->coordinator.core) != l->n_users)
        world_break(w, "whole", "there are users or lineages that nobody wrote");
    compare_counts(w);
    compare_leases(w);
    if (!w->broken[0]) ledger_ask(w);
}

/* ---- a new core ---- */

static void forget_group(struct ledger_group *g, int64_t now_ms)
{
    g->known = g->parked = 0;
    if (g->lease.job) g->lease.deadline_ms = g->lease.latest_ms = now_ms + 30000;
}

/* What a running lease is charged ahead, and how far a stage came, is in memory only: a new core guesses anew. */
static void resume_lease(struct world *w, struct ledger_group *g)
{
    const struct core_job *row = core_job(w->coordinator.core, g->lease.job);
    const struct core_stage *s = row ? core_stage_of(row, g->lease.kind) : NULL;

    g->lease.charged_ms = s ? s->charged_ms : 0;
    w->ledger.users[ledger_job(&w->ledger, g->lease.job)->owner].ahead_ms += g->lease.charged_ms;
}

static void read_progress(struct world *w, uint64_t id, struct ledger_job *j)
{
    const struct core_job *row = core_job(w->coordinator.core, id);

    for (int k = STAGE_PRIOR; row && k < STAGE_KINDS; k++) {
        const struct core_stage *s = core_stage_of(row, (enum stage_kind)k);
        j->losses[k] = s ? (uint8_t)s->losses : 0;
        j->best[k] = s ? s->best_step : 0;
    }
}

void ledger_restarted(struct world *w)
{
    struct ledger *l = &w->ledger;

    for (uint64_t n = 0; n < w->n_nonces && n / CHUNK < l->group_chunks; n++)
        forget_group(ledger_group(l, n), w->coordinator.now_ms);
    l->parked = 0;
    l->n_backing_off = 0;
    for (uint64_t id = 1; id <= l->n_jobs; id++) {
        struct ledger_job *j = ledger_job(l, id);
        if (JOB_ENDED(j->state)) continue;
        memset(j->not_before_ms, 0, sizeof j->not_before_ms);
        read_progress(w, id, j);
        ledger_list(w, id, j);
    }
    l->chosen_ms = 0;
    for (uint32_t i = 1; i <= l->n_users; i++) {
        l->users[i].ahead_ms = l->users[i].is_new = 0;
        l->users[i].urgent_in_a_row = 0;
        if (l->users[i].used_ms > l->chosen_ms) l->chosen_ms = l->users[i].used_ms;
    }
    for (size_t i = 0; i < l->leased; i++) resume_lease(w, ledger_group(l, l->leases[i]));
    l->n_undo = 0;
    ledger_compare(w);
}

void ledger_final(struct world *w)
{
    struct ledger *l = &w->ledger;

    for (uint64_t id = 1; id <= l->n_jobs; id++)
        if (!JOB_ENDED(ledger_job(l, id)->state))
            world_break(w, "live", "job %llu has not ended", N(id));
}
