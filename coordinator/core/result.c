/* result.c - how a result ends a lease: it counts, it blames the environment (a pause), the group was told to leave (again), it is a
 * loss, or it blames the input (the job fails). docs/coordinator.md lists the codes. */
#include "coordinator/core/state.h"

enum verdict { GOOD, PAUSE, AGAIN, LOST, BAD };

static enum verdict judge(uint64_t code)
{
    switch ((enum code)code) {
    case OK: return GOOD;
    case ERR_FULL:
    case ERR_IO:
    case ERR_ENVIRONMENT:
    case ERR_NOMEM:
    case ERR_AGAIN: return PAUSE;
    case ERR_CANCELLED:
    case ERR_STALE: return AGAIN;
    case ERR_INTERNAL: return LOST;
    default: return BAD;
    }
}

static void pause_for(struct core *c, struct core_job *j, struct core_stage *s,
                      const struct msg_result *r)
{
    int64_t wait = stage_back_off(++s->pauses, 5000);

    stage_move(c, j, s->kind, STAGE_AGAIN);
    stage_set_line(c, s, r->line[0] ? r->line : err_name((enum code)r->code));
    core_event_row(c, j, EVENT_STAGE, s, "%s paused, again in %d s: %s",
                   proto_stage_kind((uint64_t)s->kind), (int)(wait / 1000), s->line ? s->line : "");
    stage_wait(c, j, s, wait);
}

/* What is wrong with a result that calls itself good; NULL: nothing. */
static const char *flaw(const struct core *c, const struct core_job *j, const struct core_stage *s,
                        const struct msg_result *r)
{
    if (s->kind == STAGE_TRAIN && (r->outputs.n != 1 || hash_is_zero(r->outputs.v[0])))
        return "a train stage must give exactly one commit";
    if (s->kind == STAGE_TRAIN && lineage_find(lineage_of(c, j), r->outputs.v[0]))
        return "train gave a commit that the lineage has already";
    if ((s->kind == STAGE_PRIOR || s->kind == STAGE_SCORE) && r->outputs.n == 0)
        return "the stage gave no output";
    return NULL;
}

static void succeed(struct core *c, struct core_job *j, struct core_stage *s,
                    const struct message *m)
{
    enum stage_kind k = s->kind;

    if (k == STAGE_TRAIN) lineage_commit(c, j, m->result.outputs.v[0], m->result.seconds);
    stage_move(c, j, k, STAGE_SUCCEED);
    s->seconds = m->result.seconds;
    s->losses = s->pauses = 0;
    s->result = m;
    if (c->ev->bytes) {
        struct user *u = user_at(c, j->owner);
        u->row.bytes += c->ev->bytes;
        put_user(c, u);
    }
    core_event_row(c, j, EVENT_STAGE, s, "%s done in %.1f s", proto_stage_kind((uint64_t)k),
                   s->seconds);
    if (k == STAGE_PRIOR) prior_made(c, j);
    job_advance(c, j);
    if (k == STAGE_TRAIN) lineage_advance(c, lineage_of(c, j));
    job_refresh(c, j);
}

void stage_result(struct core *c, struct core_job *j, struct core_stage *s, const struct message *m)
{
    const struct msg_result *r = &m->result;
    enum verdict v = judge(r->code);
    const char *wrong = v == GOOD ? flaw(c, j, s, r) : NULL;

    if (wrong) v = LOST;
    core_news_result(c, j, s, wrong ? ERR_INTERNAL : (enum code)r->code, r->seconds, r->line);
    switch (v) {
    case GOOD: succeed(c, j, s, m); break;
    case PAUSE: pause_for(c, j, s, r); break;
    case AGAIN:
        stage_move(c, j, s->kind, STAGE_AGAIN);
        stage_wait(c, j, s, 0);
        break;
    case LOST: stage_lost(c, j, s, wrong ? wrong : r->line[0] ? r->line : "internal error"); break;
    case BAD: stage_fail(c, j, s, r->line[0] ? r->line : err_name((enum code)r->code)); break;
    }
}
