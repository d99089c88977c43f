/* object.c - may a user have this object? The bytes are the door's; here is only looked at who asks, and by which job.
 *
 * A job names the images of its request and what its stages made, to whoever sees the job; and its commit to whoever may read the
 * lineage. An evaluation that it made names pictures inside, which only the door can read: the coordinator says yes to the evaluation.
 */
#include "coordinator/server/server.h"

static int holds(const struct hashes *list, struct hash h)
{
    for (size_t i = 0; i < list->n; i++)
        if (hash_equal(list->v[i], h)) return 1;
    return 0;
}

/* Is it among what these stages made? */
static enum code look_in(struct server *s, uint64_t job, enum stage_kind first,
                         enum stage_kind last, struct hash h, struct arena *a, int *named,
                         struct err *e)
{
    struct hashes outputs;
    enum code rc = OK;

    for (enum stage_kind k = first; k <= last && !rc && !*named; k++)
        if (!(rc = store_outputs(s->store, job, k, a, &outputs, NULL, e)))
            *named = holds(&outputs, h);
    return rc;
}

static enum code look(struct server *s, const struct msg_object_get *m, struct arena *a, int *named,
                      struct err *e)
{
    struct message request;
    enum code rc;

    if (!hash_is_zero(m->within))
        return look_in(s, m->job, STAGE_EVALUATE, STAGE_EVALUATE, m->within, a, named, e);
    if ((rc = store_request(s->store, m->job, 0, a, &request, NULL, e))) return rc;
    *named = request.kind == MSG_learn && holds(&request.learn.images, m->hash);
    return look_in(s, m->job, STAGE_PRIOR, STAGE_EVALUATE, m->hash, a, named, e);
}

static int is_commit_of(const struct core_lineage *l, uint64_t job, struct hash h)
{
    for (size_t i = 0; i < l->n_commits; i++)
        if (l->commits[i].job == job) return hash_equal(l->commits[i].hash, h);
    return 0;
}

enum code object_allowed(struct server *s, const struct asked *q, struct arena *a, struct err *e)
{
    const struct msg_object_get *m = &q->m.object_get;
    const struct core_user *who = server_user(s, q);
    unsigned long long id = m->job;
    const struct core_lineage *l;
    struct store_job row;
    int named = 0, sees;
    enum code rc;

    if (!m->job)
        return err_set(e, ERR_INPUT,
                       "object_get: name a job that you see and that names the object");
    rc = store_job(s->store, m->job, a, &row, e);
    if (rc && rc != ERR_NOT_FOUND) return rc;
    if (rc) return err_set(e, ERR_NOT_FOUND, "there is no job %llu", id);
    l = core_lineage(s->core, row.past.job.lineage);
    if (hash_is_zero(m->within) && is_commit_of(l, m->job, m->hash) &&
        core_may_read(s->core, who, q->role, l))
        return OK;
    sees = core_sees(s->core, who, q->role, row.past.job.owner);
    if (sees && row.past.job.flags & JOB_FORGOTTEN)
        return err_set(e, ERR_NOT_FOUND, "job %llu was forgotten", id);
    if (sees && (rc = look(s, m, a, &named, e))) return rc;
    if (named) return OK;
    return sees ? err_set(e, ERR_NOT_FOUND, "job %llu does not name this object", id)
                : err_set(e, ERR_NOT_FOUND, "there is no job %llu", id);
}
