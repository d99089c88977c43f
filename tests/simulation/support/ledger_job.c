/* ledger_job.c - what became of a job in one step: each stage moved as it may, for a reason; its state follows; its lineage keeps its
 * order; a commit is where and what it must be. */
#include "tests/simulation/support/world.h"

#include <stdlib.h>
#include <string.h>

#define N(x) ((unsigned long long)(x))

static int says(const struct ledger *l, enum msg_kind k)
{
    return l->ev->type == CORE_MESSAGE && l->ev->message->kind == k;
}

/* ---- what its owner could begin ---- */

static void remember_time(struct ledger *l, uint64_t id, int64_t at_ms)
{
    if (l->n_backing_off == l->backing_off_room) {
        l->backing_off_room = l->backing_off_room ? 2 * l->backing_off_room : 64;
        l->backing_off = realloc(l->backing_off, l->backing_off_room * sizeof *l->backing_off);
        if (!l->backing_off) abort();
    }
    if (!l->n_backing_off || at_ms < l->back_ms) l->back_ms = at_ms;
    l->backing_off[l->n_backing_off++] = id;
}

/* The first stage of it that could begin now; 0: none, and *next_ms says when one could by itself, 0: never. */
static int could_begin(struct world *w, const struct ledger_job *j, int64_t *next_ms)
{
    *next_ms = 0;
    if (JOB_ENDED(j->state) || j->flags & JOB_HELD || w->ledger.lineages[j->lineage].held) return 0;
    for (int k = STAGE_PRIOR; k < STAGE_KINDS; k++) {
        if (stage_digit(j->stages, k) != STAGE_READY) continue;
        if (j->not_before_ms[k] <= w->coordinator.now_ms) return k;
        if (!*next_ms || j->not_before_ms[k] < *next_ms) *next_ms = j->not_before_ms[k];
    }
    return 0;
}

static void count(struct ledger *l, uint64_t *n, uint64_t by)
{
    LEDGER_SET(l, *n, *n + by);
}

static void list(struct ledger *l, struct ledger_job *j, int could)
{
    struct ledger_user *u = &l->users[j->owner];
    int p = j->priority < PRIORITIES ? j->priority : 0, was = j->listed;
    uint64_t all = u->listed[0] + u->listed[1] + u->listed[2];

    if (could == was) return;
    if (could && !was && !all) LEDGER_SET(l, u->since, l->steps);
    if (!could && u->is_new && all == 1) LEDGER_SET(l, u->is_new, 0);
    if (!could && all == 1 && ledger_may_run(u)) LEDGER_SET(l, u->went, l->steps);
    if (!could != !was) count(l, &u->listed[p], could ? 1 : (uint64_t)-1);
    if ((could >= STAGE_SAMPLE) != (was >= STAGE_SAMPLE))
        count(l, &u->beside[p], could >= STAGE_SAMPLE ? 1 : (uint64_t)-1);
    LEDGER_SET(l, j->listed, (uint8_t)could);
}

void ledger_list(struct world *w, uint64_t id, struct ledger_job *j)
{
    int64_t next_ms;
    int could = could_begin(w, j, &next_ms);

    if (next_ms) remember_time(&w->ledger, id, next_ms);
    list(&w->ledger, j, could);
}

/* Those whose time has come since. */
static void time_passes(struct world *w)
{
    struct ledger *l = &w->ledger;
    int64_t next = INT64_MAX;

    if (!l->n_backing_off || l->back_ms > w->coordinator.now_ms) return;
    size_t n = l->n_backing_off;
    l->n_backing_off = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t id = l->backing_off[i];
        struct ledger_job *j = ledger_job(l, id);
        int64_t next_ms;
        list(l, j, could_begin(w, j, &next_ms));
        if (!next_ms) continue;
        l->backing_off[l->n_backing_off++] = id;
        if (next_ms < next) next = next_ms;
    }
    l->back_ms = next;
}

/* ---- order in a lineage ---- */

static int undecided(const struct ledger_job *j)
{
    return j->kind == JOB_LEARN && !j->commit_number &&
           (!JOB_ENDED(j->state) || j->flags & JOB_HOLDS);
}

static void leave(struct ledger *l, uint64_t id, struct ledger_job *j)
{
    struct ledger_lineage *p = &l->lineages[j->lineage];

    if (j->prev) LEDGER_SET(l, ledger_job(l, j->prev)->next, j->next);
    else LEDGER_SET(l, p->first, j->next);
    if (j->next) LEDGER_SET(l, ledger_job(l, j->next)->prev, j->prev);
    else LEDGER_SET(l, p->last, j->prev);
    LEDGER_SET(l, p->n_undecided, p->n_undecided - 1);
    LEDGER_SET(l, j->next, 0);
    LEDGER_SET(l, j->prev, 0);
    (void)id;
}

static void enter(struct world *w, uint64_t id, struct ledger_job *j)
{
    struct ledger *l = &w->ledger;
    struct ledger_lineage *p = &l->lineages[j->lineage];

    if (p->last && ledger_job(l, p->last)->place >= j->place)
        world_break(w, "turn", "job %llu enters %s at a place before the last", N(id), p->name);
    LEDGER_SET(l, j->prev, p->last);
    LEDGER_SET(l, j->next, 0);
    if (p->last) LEDGER_SET(l, ledger_job(l, p->last)->next, id);
    else LEDGER_SET(l, p->first, id);
    LEDGER_SET(l, p->last, id);
    LEDGER_SET(l, p->n_undecided, p->n_undecided + 1);
}

/* ---- commits ---- */

/* What a quiet run would have made of this concept on this parent (groups.c makes the same). */
struct hash made_of(struct hash parent, uint64_t seed, enum stage_kind k)
{
    uint64_t h[4];
    memcpy(h, parent.v, sizeof h);
    uint64_t all = dice_mix(h[0] ^ h[2], h[1] + h[3], seed << 4 | (uint64_t)k);
    for (int i = 0; i < 4; i++) h[i] = dice_mix(all, (uint64_t)i, seed) | 1;
    memcpy(parent.v, h, sizeof h);
    return parent;
}

static void commit(struct world *w, const struct core_put *p)
{
    struct ledger *l = &w->ledger;
    const struct core_commit *k = &p->commit;
    struct ledger_lineage *g = &l->lineages[p->lineage->id];
    struct ledger_job *j = k->job && k->job <= l->n_jobs ? ledger_job(l, k->job) : NULL;

    if (!j || j->kind != JOB_LEARN || j->lineage != p->lineage->id || !says(l, MSG_result) ||
        l->ev->message->result.job != k->job || l->ev->message->result.stage != STAGE_TRAIN) {
        world_break(w, "twice", "a commit of job %llu in %s comes from nowhere", N(k->job),
                    g->name);
        return;
    }
    if (!hash_equal(k->parent, g->head) || k->number != g->n_commits + 1)
        world_break(w, "parent", "job %llu commits on a parent that is not the head of %s",
                    N(k->job), g->name);
    if (!j->has_parent || !hash_equal(k->parent, j->parent))
        world_break(w, "parent", "the head of %s moved while job %llu worked on it", g->name,
                    N(k->job));
    if (g->first != k->job)
        world_break(w, "turn", "job %llu commits to %s out of its turn", N(k->job), g->name);
    if (j->commit_number) world_break(w, "twice", "job %llu commits twice", N(k->job));
    if (!j->tampered && !l->tampered &&
        !hash_equal(k->hash, made_of(g->head, j->seed, STAGE_TRAIN)))
        world_break(w, "function", "job %llu commits something else than a quiet run would",
                    N(k->job));
    leave(l, k->job, j);
    LEDGER_SET(l, j->commit_number, (uint32_t)k->number);
    LEDGER_SET(l, g->head, k->hash);
    LEDGER_SET(l, g->n_commits, k->number);
    w->counts.commits++;
}

/* ---- stages ---- */

static int input_done(const struct core_job *row, enum stage_kind k)
{
    enum stage_state s = core_stage_state(row, k);
    return s == (enum stage_state)0 || s == STAGE_DONE;
}

static void begins(struct world *w, uint64_t id, const struct ledger_job *j,
                   const struct core_job *row, enum stage_kind k)
{
    int holds = k == STAGE_SCORE || k == STAGE_TRAIN;

    if (holds &&
        (!input_done(row, STAGE_PRIOR) || (k == STAGE_TRAIN && !input_done(row, STAGE_SCORE))))
        world_break(w, "stages", "%s of job %llu may begin before its inputs are there",
                    proto_stage_kind(k), N(id));
    if (!holds && k != STAGE_PRIOR && j->kind == JOB_LEARN && !j->commit_number)
        world_break(w, "stages", "%s of job %llu may begin before its commit", proto_stage_kind(k),
                    N(id));
}

/* Turn: looked at when all commits and ends of the step are written down. */
static void has_turn(struct world *w, uint64_t id, const struct ledger_job *j, enum stage_kind k)
{
    const struct ledger_lineage *p = &w->ledger.lineages[j->lineage];

    if (k != STAGE_SCORE && k != STAGE_TRAIN) return;
    if (p->first != id)
        world_break(w, "turn", "%s of job %llu may begin in %s, where it is the turn of job %llu",
                    proto_stage_kind(k), N(id), p->name, N(p->first));
}

static int may_move(enum stage_state from, enum stage_state to, enum stage_kind k, int retried)
{
    switch (to) {
    case STAGE_WAITING:
        return (from == STAGE_READY && k == STAGE_PRIOR) ||
               (from == STAGE_LEASED && k == STAGE_PRIOR) ||
               (from == STAGE_DONE && k == STAGE_SCORE) || (retried && from >= STAGE_FAILED);
    case STAGE_READY:
    case STAGE_LEASED:
        return from == STAGE_WAITING || from == STAGE_READY || from == STAGE_LEASED ||
               (from == STAGE_DONE && k == STAGE_SCORE) || (retried && from >= STAGE_FAILED);
    case STAGE_DONE:
        return from == STAGE_LEASED || (k == STAGE_PRIOR && (from == STAGE_WAITING || retried));
    case STAGE_FAILED: return from == STAGE_LEASED;
    case STAGE_DROPPED: return from == STAGE_WAITING || from == STAGE_READY || from == STAGE_LEASED;
    default: return 0;
    }
}

static void shared(struct world *w, uint64_t id, const struct core_job *row)
{
    const struct core_prior *p = core_prior(w->coordinator.core, row->prior);
    const struct core_job *maker = p ? core_job(w->coordinator.core, p->maker) : NULL;

    if (!p || !p->made || !p->maker || p->maker > w->ledger.n_jobs ||
        stage_digit(maker ? maker->stages : ledger_job(&w->ledger, p->maker)->stages,
                    STAGE_PRIOR) != STAGE_DONE)
        world_break(w, "stages", "job %llu takes class images that nobody made", N(id));
}

static void move(struct world *w, uint64_t id, struct ledger_job *j, const struct core_job *row,
                 enum stage_kind k, int retried)
{
    struct ledger *l = &w->ledger;
    enum stage_state from = stage_digit(j->stages, k), to = core_stage_state(row, k);
    const struct core_stage *s = core_stage_of(row, k);

    if (from == STAGE_LEASED && (to != STAGE_LEASED || !s || s->epoch != j->epoch[k]))
        ledger_lease_ends(w, id, j, row, k);
    if (from != to && !may_move(from, to, k, retried))
        world_break(w, "stages", "%s of job %llu went from %s to %s", proto_stage_kind(k), N(id),
                    proto_stage_state(from), proto_stage_state(to));
    if (to == STAGE_DONE && from != STAGE_DONE && from != STAGE_LEASED) shared(w, id, row);
    if ((to == STAGE_READY || to == STAGE_LEASED) && from != to) begins(w, id, j, row, k);
    if (!s) return;
    if (to != STAGE_LEASED && s->epoch != j->epoch[k]) {
        if (s->epoch < j->epoch[k]) world_break(w, "epoch", "the epoch of job %llu fell", N(id));
        LEDGER_SET(l, j->epoch[k], s->epoch);
    }
    if (s->not_before_ms != j->not_before_ms[k])
        LEDGER_SET(l, j->not_before_ms[k], s->not_before_ms);
    if (s->losses != j->losses[k]) LEDGER_SET(l, j->losses[k], (uint8_t)s->losses);
    if (s->best_step != j->best[k]) LEDGER_SET(l, j->best[k], s->best_step);
}

/* ---- the job ---- */

static enum job_state follows(const struct core_job *row)
{
    int open = 0, leased = 0, failed = 0, dropped = 0, paused = 0;

    for (int k = STAGE_PRIOR; k < STAGE_KINDS; k++) {
        enum stage_state s = core_stage_state(row, (enum stage_kind)k);
        const struct core_stage *r =
            s == STAGE_READY ? core_stage_of(row, (enum stage_kind)k) : NULL;
        open += s && s != STAGE_DONE;
        leased += s == STAGE_LEASED;
        failed += s == STAGE_FAILED;
        dropped += s == STAGE_DROPPED;
        paused += r && r->pauses > 0;
    }
    return failed    ? JOB_FAILED
           : dropped ? JOB_CANCELLED
           : !open   ? JOB_DONE
           : leased  ? JOB_RUNNING
           : paused  ? JOB_PAUSED
                     : JOB_QUEUED;
}

static void new_state(struct world *w, uint64_t id, struct ledger_job *j,
                      const struct core_job *row)
{
    struct ledger *l = &w->ledger;
    enum job_state should = follows(row);
    int was = JOB_ENDED(j->state), is = JOB_ENDED(row->state);
    int cancelled =
        says(l, MSG_cancel) && l->ev->message->cancel.job == id && ledger_owns(l, j->owner);

    if (row->state != should && !(row->state == JOB_CANCELLED && cancelled))
        world_break(w, "stages", "job %llu is %s, by its stages %o it is %s", N(id),
                    proto_job_state(row->state), row->stages, proto_job_state(should));
    if (j->state == row->state) return;
    if (row->state == JOB_CANCELLED) l->made_something = 1;
    if (row->state == JOB_CANCELLED && !cancelled)
        world_break(w, "denied", "job %llu is cancelled and nobody who may asked", N(id));
    if (was && !is &&
        !(says(l, MSG_retry) && l->ev->message->retry.job == id && ledger_owns(l, j->owner)))
        world_break(w, "stages", "job %llu was %s and lives again", N(id),
                    proto_job_state(j->state));
    if (was && is && !(j->state == JOB_FAILED && j->flags & JOB_HOLDS && cancelled))
        world_break(w, "stages", "job %llu was %s and is %s", N(id), proto_job_state(j->state),
                    proto_job_state(row->state));
    if (was != is) {
        struct ledger_user *u = &l->users[j->owner];
        LEDGER_SET(l, u->unended, u->unended + (was ? 1 : (uint64_t)-1));
        LEDGER_SET(l, l->unended, l->unended + (was ? 1 : (uint64_t)-1));
    }
    LEDGER_SET(l, j->state, row->state);
}

static void new_flags(struct world *w, uint64_t id, struct ledger_job *j,
                      const struct core_job *row, int lived)
{
    struct ledger *l = &w->ledger;
    int changed = j->flags ^ row->flags;

    if (changed & JOB_HELD &&
        !(says(l, MSG_pause) && l->ev->message->pause.job == id && ledger_owns(l, j->owner)))
        world_break(w, "denied", "job %llu was paused or resumed and nobody who may asked", N(id));
    if (row->flags & JOB_HOLDS && l->lineages[j->lineage].on_failure != FAILURE_WAIT &&
        !(j->flags & JOB_HOLDS))
        world_break(w, "stages", "%s waits for job %llu, which failed",
                    l->lineages[j->lineage].name, N(id));
    if (row->state == JOB_FAILED && lived && j->kind == JOB_LEARN && !j->commit_number &&
        l->lineages[j->lineage].on_failure == FAILURE_WAIT && !(row->flags & JOB_HOLDS))
        world_break(w, "stages", "job %llu failed, and %s, which is to wait for it, does not",
                    N(id), l->lineages[j->lineage].name);
    if (changed) LEDGER_SET(l, j->flags, row->flags);
}

static void change(struct world *w, uint64_t id)
{
    struct ledger *l = &w->ledger;
    struct ledger_job *j = ledger_job(l, id);
    const struct core_job *row = core_job(w->coordinator.core, id);
    int was = undecided(j), lived = !JOB_ENDED(j->state), retried;

    if (!row) {
        world_break(w, "lost", "job %llu is put and not there", N(id));
        return;
    }
    l->users[j->owner].touched = l->steps;
    retried = !lived && !JOB_ENDED(row->state);
    for (int k = STAGE_PRIOR; k < STAGE_KINDS && !w->broken[0]; k++)
        if (stage_digit(row->stages, k) || stage_digit(j->stages, k))
            move(w, id, j, row, (enum stage_kind)k, retried);
    new_state(w, id, j, row);
    new_flags(w, id, j, row, lived);
    if (j->place != row->place) LEDGER_SET(l, j->place, row->place);
    if (j->kind == JOB_LEARN && j->commit_number != row->commit_number)
        world_break(w, "twice", "job %llu names commit %u, the lineage got %u of it", N(id),
                    row->commit_number, j->commit_number);
    if (was && !undecided(j)) leave(l, id, j);
    else if ((!was || (id >= l->fresh_first && !j->prev && l->lineages[j->lineage].first != id)) &&
             undecided(j))
        enter(w, id, j);
}

/* What began to be possible needs its turn; what was granted is written down as if it could begin, and granted after. */
static void settle(struct world *w, uint64_t id)
{
    struct ledger *l = &w->ledger;
    struct ledger_job *j = ledger_job(l, id);
    const struct core_job *row = core_job(w->coordinator.core, id);
    uint32_t stages = row->stages;

    for (int k = STAGE_PRIOR; k < STAGE_KINDS; k++) {
        enum stage_state from = stage_digit(j->stages, k), to = stage_digit(row->stages, k);
        const struct core_stage *s = core_stage_of(row, (enum stage_kind)k);
        if (to == STAGE_LEASED && (!s || from != STAGE_LEASED || s->epoch != j->epoch[k])) {
            stages = (stages & ~(7u << 3 * k)) | (uint32_t)STAGE_READY << 3 * k;
            to = STAGE_READY;
        }
        if (to == STAGE_READY && from != STAGE_READY) has_turn(w, id, j, (enum stage_kind)k);
    }
    if (stages != j->stages) LEDGER_SET(l, j->stages, stages);
    ledger_list(w, id, j);
}

void ledger_jobs(struct world *w)
{
    struct ledger *l = &w->ledger;
    const struct core_actions *a = &w->coordinator.actions;

    time_passes(w);
    for (size_t i = l->puts_before; i < a->n_puts && !w->broken[0]; i++)
        if (a->puts[i].type == PUT_COMMIT) commit(w, &a->puts[i]);
    for (size_t i = 0; i < l->n_changed && !w->broken[0]; i++) change(w, l->changed[i]);
    for (size_t i = 0; i < l->n_changed && !w->broken[0]; i++) settle(w, l->changed[i]);
}
