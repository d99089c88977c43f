/* ledger.c - what is true, from outside: only durable puts, grants, answers, and what a restarted core says of itself. The core's own
 * bookkeeping is not believed. */
#include "tests/core/support/world.h"

#include <string.h>

#define N(x) ((unsigned long long)(x))

static void put_job(struct world *w, const struct core_job *j)
{
    struct ledger_job *l;

    if (j->id > JOBS) {
        world_break(w, "more jobs than wishes");
        return;
    }
    l = &w->ledger.job[j->id];
    if (!l->known) {
        l->known = 1;
        memcpy(l->key.v, j->key, CORE_KEY);
        l->lineage = j->lineage;
        w->ledger.jobs++;
    }
    if (l->ended && l->ended != (int)j->state)
        world_break(w, "job %llu was %s and is %s", N(j->id), proto_job_state((uint64_t)l->ended),
                    proto_job_state((uint64_t)j->state));
    if (JOB_ENDED(j->state)) l->ended = (int)j->state;
    if (j->state == JOB_CANCELLED && !l->cancelled_by_user)
        world_break(w, "job %llu is cancelled and nobody asked", N(j->id));
}

static void put_result(struct world *w, const struct core_put *p)
{
    const struct msg_result *r = &p->stage->result->result;
    struct ledger_stage *s = &w->ledger.job[p->job->id].stage[p->stage->kind];

    /* The epoch as the group knew it: the one in the message may have been tampered with (a planted bug). */
    if ((uint64_t)r->seconds != s->granted)
        world_break(
            w, "invariant 5: job %llu, %s: a result of epoch %llu counts, the newest lease is %llu",
            N(p->job->id), proto_stage_kind((uint64_t)p->stage->kind),
            (unsigned long long)r->seconds, N(s->granted));
    if (s->done)
        world_break(w, "job %llu: two results of %s count", N(p->job->id),
                    proto_stage_kind((uint64_t)p->stage->kind));
    s->done = 1;
}

static void put_commit(struct world *w, const struct core_put *p)
{
    struct ledger *l = &w->ledger;
    uint64_t id = p->lineage->id;
    const struct core_commit *k = &p->commit;
    struct ledger_job *j = &l->job[k->job];
    enum stage_kind first =
        core_stage_state(core_job(w->core, k->job), STAGE_SCORE) ? STAGE_SCORE : STAGE_TRAIN;

    if (!hash_equal(k->parent, l->head[id]))
        world_break(w, "invariant 1: job %llu commits on a parent that is not the head", N(k->job));
    if (!hash_equal(k->parent, j->stage[first].head))
        world_break(w, "invariant 1: the head moved between score and commit of job %llu",
                    N(k->job));
    if (k->job <= l->last_job[id])
        world_break(w, "order: job %llu commits after job %llu", N(k->job), N(l->last_job[id]));
    if (j->stage[STAGE_TRAIN].done)
        world_break(w, "invariant 2: job %llu commits twice", N(k->job));
    l->head[id] = k->hash;
    l->last_job[id] = k->job;
    l->commits++;
}

/* A lease that was not there before. Epochs rise from batch to batch; inside one batch rows come in any order. */
static void put_grant(struct world *w, const struct core_put *p, uint64_t newest_before,
                      uint64_t *newest)
{
    struct ledger_stage *s = &w->ledger.job[p->job->id].stage[p->stage->kind];
    const struct core_stage *g = p->stage;

    if (core_stage_state(p->job, g->kind) != STAGE_LEASED || g->epoch == s->granted) return;
    if (g->epoch <= newest_before)
        world_break(w, "invariant 5: epoch %llu is given after %llu", N(g->epoch),
                    N(newest_before));
    if (s->done)
        world_break(w, "job %llu: %s is done and given again", N(p->job->id),
                    proto_stage_kind((uint64_t)g->kind));
    if (g->epoch > *newest) *newest = g->epoch;
    if (!s->granted) s->head = w->ledger.head[p->job->lineage];
    s->granted = g->epoch;
    if (!hash_equal(s->head, w->ledger.head[p->job->lineage]) &&
        (g->kind == STAGE_SCORE || g->kind == STAGE_TRAIN))
        world_break(w, "invariant 1: job %llu is given %s again on another head", N(p->job->id),
                    proto_stage_kind((uint64_t)g->kind));
}

/* Commits first: they end what was granted before, and what is granted in the same batch stands on them. */
void ledger_puts(struct world *w, const struct core_actions *a)
{
    uint64_t before = w->ledger.newest_epoch, newest = before;

    for (size_t i = 0; i < a->n_puts; i++)
        if (a->puts[i].type == PUT_COMMIT) put_commit(w, &a->puts[i]);
    for (size_t i = 0; i < a->n_puts; i++) {
        const struct core_put *p = &a->puts[i];
        if (p->type == PUT_JOB) put_job(w, p->job);
        if (p->type == PUT_STAGE) put_grant(w, p, before, &newest);
        if (p->type == PUT_STAGE && p->stage->result) put_result(w, p);
        if (p->type == PUT_EVENT && strstr(p->event.text, " lost:")) w->ledger.lost_leases++;
    }
    w->ledger.newest_epoch = newest;
}

/* A restarted core, or the disk beside it, knows at least what outsiders know. */
void ledger_loaded(struct world *w)
{
    struct arena a = {0};

    for (uint64_t id = 1; id <= JOBS && w->ledger.job[id].known; id++) {
        const struct ledger_job *l = &w->ledger.job[id];
        const struct core_past *p = disk_job(w, id, &a);
        if (!p || memcmp(p->job.key, l->key.v, CORE_KEY) ||
            !core_job(w->core, id) != JOB_ENDED(p->job.state))
            world_break(w, "invariant 5: job %llu was %s and is gone after a restart", N(id),
                        l->acknowledged ? "acknowledged" : "durable");
        else if (l->ended && p->job.state != l->ended)
            world_break(w, "job %llu was %s before the restart", N(id),
                        proto_job_state((uint64_t)l->ended));
    }
    arena_fini(&a);
    for (uint32_t id = 1; id <= core_last_lineage(w->core); id++)
        if (!hash_equal(core_lineage(w->core, id)->head, w->ledger.head[id]))
            world_break(w, "invariant 2: lineage %u has another head after the restart", id);
}

static void final_job(struct world *w, const struct core_past *p, long *committed)
{
    const struct core_job *j = &p->job;
    const struct ledger_job *l = &w->ledger.job[j->id];
    uint64_t losses = 0;

    for (int k = 0; k < p->n_stages; k++) losses += p->stage[k].losses >= 3;
    if (j->state == JOB_FAILED && !l->bad_result && !losses)
        world_break(w, "job %llu failed for no reason", N(j->id));
    if (j->kind == JOB_LEARN && j->state == JOB_DONE && !j->commit_number)
        world_break(w, "job %llu is done without a commit", N(j->id));
    *committed += j->kind == JOB_LEARN && j->commit_number;
}

void ledger_final(struct world *w)
{
    uint64_t wishes = 0;
    long committed = 0;
    struct arena a = {0};

    for (int i = 0; i < CLIENTS; i++) wishes += (uint64_t)w->client[i].n;
    if (core_last_job(w->core) != wishes)
        world_break(w, "%llu jobs came of %llu wishes", N(core_last_job(w->core)), N(wishes));
    for (uint64_t id = 1; id <= core_last_job(w->core) && !w->broken[0]; id++) {
        const struct core_past *p = disk_job(w, id, &a);
        if (p) final_job(w, p, &committed);
        else world_break(w, "job %llu is nowhere", N(id));
    }
    arena_fini(&a);
    if (committed != w->ledger.commits)
        world_break(w, "%ld jobs committed, %ld commits were seen", committed, w->ledger.commits);
}
