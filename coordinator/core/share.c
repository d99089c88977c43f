/* share.c - lineages are made, shared, and told what to do after a failure. */
#include "coordinator/core/state.h"

/* ---- making one ---- */

/* A key that was used before: 1 when this request has been answered because of it. */
static int lineage_again(struct core *c, const struct core_request *r, struct hash key)
{
    uint32_t hash = map_hash(c->settings.seed, key.v, HASH_BYTES);
    size_t at;

    for (uint32_t i = map_first(&c->lineage_keys, hash, &at); i;
         i = map_next(&c->lineage_keys, hash, &at)) {
        const struct core_lineage *l = &lineage_at(c, i)->row;
        if (!hash_equal(l->key, key)) continue;
        if (hash_equal(l->digest, r->digest) && l->owner == c->asker->row.id) core_done(c, "");
        else
            core_refuse(c, ERR_EXISTS,
                        "this request key made lineage %s before, with other contents", l->name);
        return 1;
    }
    return 0;
}

static int good_sharing(struct core *c, const char *name, uint64_t visibility, uint64_t on_failure,
                        const struct strs *shared)
{
    if (visibility > VISIBLE_PUBLIC)
        core_refuse(c, ERR_INPUT, "lineage %s: visibility %d is none of private, public", name,
                    (int)visibility);
    else if (on_failure > FAILURE_WAIT)
        core_refuse(c, ERR_INPUT, "lineage %s: on failure %d is none of skip, wait", name,
                    (int)on_failure);
    else {
        for (size_t i = 0; i < shared->n; i++) {
            const char *s = shared->v[i];
            if (good_name(s[0] == '@' ? s + 1 : s)) continue;
            core_refuse(c, ERR_INPUT, "lineage %s: `%s` is no user and no @group", name, s);
            return 0;
        }
        return 1;
    }
    return 0;
}

static int bad_lineage(struct core *c, const struct msg_lineage_create *m)
{
    const struct lineage *there = lineage_named(c, m->name);

    if (!good_name(m->name))
        core_refuse(
            c, ERR_INPUT,
            "lineage name `%s`: letters, digits, `.`, `_`, `-`, beginning with a letter or digit",
            m->name);
    else if (m->base_path[0] != '/' || hash_is_zero(m->base_hash))
        core_refuse(c, ERR_INPUT, "lineage %s: the base model needs an absolute path and a hash",
                    m->name);
    else if (there)
        core_refuse(c, ERR_EXISTS, "lineage %s exists already; owner %s", m->name,
                    user_at(c, there->row.owner)->row.name);
    else return !good_sharing(c, m->name, m->visibility, m->on_failure, &m->shared_with);
    return 1;
}

void share_create(struct core *c, const struct core_event *ev)
{
    const struct msg_lineage_create *m = &ev->message->lineage_create;
    struct core_lineage row = {.owner = c->asker->row.id,
                               .key = m->key,
                               .base_hash = m->base_hash,
                               .created_ms = c->now_ms,
                               .visibility = (uint8_t)m->visibility,
                               .on_failure = (uint8_t)m->on_failure,
                               .n_shared = m->shared_with.n};
    struct lineage *l;

    assert(ev->n_requests == 1);
    if (hash_is_zero(m->key)) {
        core_refuse(c, ERR_INPUT, "lineage_create: a request key is needed");
        return;
    }
    if (lineage_again(c, ev->requests, m->key)) return;
    if (c->stopping) {
        core_refuse(c, ERR_ENVIRONMENT, "the coordinator is stopping; try again when it is back");
        return;
    }
    if (bad_lineage(c, m)) return;
    row.name = (char *)(uintptr_t)m->name;
    row.shared = (char **)(uintptr_t)m->shared_with.v;
    row.digest = ev->requests->digest;
    if (!(l = lineage_add(c, &row))) return;
    put_lineage(c, l, ev->message);
    core_done(c, "");
}

/* ---- changing one ---- */

struct lineage *share_find(struct core *c, const char *name)
{
    struct lineage *l = lineage_named(c, name);
    const char *near = l ? NULL : core_nearest_lineage(c, name);

    if (l && user_owns(c, l->row.owner)) return l;
    if (l)
        core_refuse(c, ERR_DENIED, "lineage %s belongs to %s", name,
                    user_at(c, l->row.owner)->row.name);
    else if (near)
        core_refuse(c, ERR_NOT_FOUND, "there is no lineage `%s`; did you mean `%s`?", name, near);
    else core_refuse(c, ERR_NOT_FOUND, "there is no lineage `%s`", name);
    return NULL;
}

/* Failed jobs that a lineage waited for go, when it waits no more. */
static void let_go(struct core *c, struct lineage *l)
{
    for (struct core_job *j = job_at(c, l->row.first), *next; j; j = next) {
        next = job_at(c, j->later);
        if (!(j->flags & JOB_HOLDS)) continue;
        j->flags &= (uint8_t)~JOB_HOLDS;
        lineage_leave(c, l, j);
        lineage_drop_token(l, j->id);
        core_touch(c, j);
    }
    lineage_advance(c, l);
}

void share_set(struct core *c, const struct core_event *ev)
{
    const struct msg_lineage_set *m = &ev->message->lineage_set;
    struct lineage *l = share_find(c, m->lineage);

    if (!l || !good_sharing(c, m->lineage, m->visibility, m->on_failure, &m->shared_with)) return;
    if (!lineage_share(c, l, m->shared_with.v, m->shared_with.n)) return;
    l->row.visibility = (uint8_t)m->visibility;
    l->row.on_failure = (uint8_t)m->on_failure;
    put_lineage(c, l, NULL);
    if (l->row.on_failure == FAILURE_SKIP) let_go(c, l);
    core_audit(c, "set lineage %s: %s, shared with %zu, on failure %s", l->row.name,
               l->row.visibility == VISIBLE_PUBLIC ? "public" : "private", l->row.n_shared,
               l->row.on_failure == FAILURE_WAIT ? "wait" : "skip");
    core_done(c, "");
}
