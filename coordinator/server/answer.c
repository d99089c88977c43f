/* answer.c - questions that change nothing: ping, lineage_list, log, user_list, group_list, audit, object_get; jobs.c and pages.c answer
 * those about jobs. Answers are pages that fit into one message; what does not fit is said by `total`. */
#include "coordinator/server/server.h"

#include <string.h>
#include <unistd.h>

enum { PAGE_BYTES = 3 << 20 }; /* of a message of 4 MiB; rows are estimated generously */

static enum code nomem(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

/* Who asks, and what they may see (invariant 6). */
struct asker {
    const struct core_user *row; /* NULL: never heard of */
    enum role role;
};

static int may_read(const struct server *s, const struct asker *by, const struct core_lineage *l)
{
    return core_may_read(s->core, by->row, by->role, l);
}

static enum code admins_only(const struct asker *by, const char *what, struct err *e)
{
    int admin = by->role == ROLE_ADMIN || (by->row && by->row->role == ROLE_ADMIN);
    return admin ? OK : err_set(e, ERR_DENIED, "%s is for admins", what);
}

enum code answer_no_lineage(const struct server *s, const char *name, struct err *e)
{
    const char *near = core_nearest_lineage(s->core, name);

    if (near)
        return err_set(e, ERR_NOT_FOUND, "there is no lineage `%s`; did you mean `%s`?", name,
                       near);
    return err_set(e, ERR_NOT_FOUND, "there is no lineage `%s`", name);
}

/* ---- ping ---- */

static enum code answer_ping(struct server *s, const struct asked *q, const struct asker *by,
                             struct arena *a, struct message *out, struct err *e)
{
    const char *launcher = s->launch_trouble ? s->launch_trouble(s->launch_self) : "";
    struct core_backlog now;

    (void)a;
    (void)e;
    core_backlog(s->core, &now);
    *out = (struct message){
        .kind = MSG_pong,
        .pong = {.version = ENGRAM_VERSION,
                 .pid = (uint64_t)getpid(),
                 .home = s->home,
                 .now_ms = s->now_ms,
                 .queued = now.queued + now.paused,
                 .running = now.running,
                 .groups = now.groups,
                 .ranks = now.ranks,
                 .user = q->user,
                 .role = (uint64_t)(by->row && by->row->role == ROLE_ADMIN ? ROLE_ADMIN : by->role),
                 .ready = now.ready}};
    out->pong.line = core_stopping(s->core) ? "stopping"
                     : s->resting           ? proto_line(s->trouble.text)
                     : launcher[0]          ? launcher
                     : !now.groups && (!s->launch_waits || now.ready)
                         ? "no worker group has said hello yet"
                     : now.groups && now.draining == now.groups ? "all worker groups are draining"
                                                                : "";
    return OK;
}

/* ---- lineages ---- */

static enum code lineage_row(struct server *s, const struct core_lineage *l, struct arena *a,
                             struct lineage_row *r, struct err *e)
{
    *r = (struct lineage_row){.name = l->name,
                              .owner = core_user(s->core, l->owner)->name,
                              .head = l->head,
                              .n_commits = l->n_commits,
                              .n_waiting = l->n_waiting,
                              .created_ms = l->created_ms,
                              .visibility = l->visibility,
                              .on_failure = l->on_failure,
                              .held = l->held,
                              .shared_with = {l->n_shared, (const char **)(uintptr_t)l->shared}};
    return store_base(s->store, l->id, a, &r->base_path, &r->base_hash, e);
}

static enum code answer_lineages(struct server *s, const struct asked *q, const struct asker *by,
                                 struct arena *a, struct message *out, struct err *e)
{
    const char *name = q->m.lineage_list.name;
    const struct core_lineage *one = name[0] ? core_lineage_named(s->core, name) : NULL;
    uint32_t first = one ? one->id : 1, last = name[0] ? first : core_last_lineage(s->core);
    struct lineage_rows *rows = &out->lineages.rows;
    size_t bytes = 0;
    enum code rc;

    *out = (struct message){.kind = MSG_lineages};
    if (name[0] && (!one || !may_read(s, by, one))) return answer_no_lineage(s, name, e);
    rows->v = arena_alloc(a, (PROTO_ROWS + 1) * sizeof *rows->v);
    if (!rows->v) return nomem(e);
    for (uint32_t id = first; id <= last && rows->n < PROTO_ROWS && bytes < PAGE_BYTES; id++) {
        const struct core_lineage *l = core_lineage(s->core, id);
        if (!may_read(s, by, l)) continue;
        if ((rc = lineage_row(s, l, a, &rows->v[rows->n], e))) return rc;
        bytes += 1024 + strlen(rows->v[rows->n].base_path) + l->n_shared * PROTO_NAME;
        rows->n++;
    }
    return OK;
}

/* ---- log ---- */

/* Photos and pictures are for who sees the job; others are told how many there are. */
static void hide(struct commit_row *r)
{
    r->images = r->previews = (struct hashes){0};
    r->evaluation = (struct hash){{0}};
}

static enum code commit_row(struct server *s, const struct asker *by, const struct core_lineage *l,
                            uint64_t number, struct arena *a, struct commit_row *r, struct err *e)
{
    const struct core_link *k = &l->commits[number - 1];
    struct store_job job;
    struct hashes reports = {0};
    struct core_commit row;
    struct message learn;
    enum code rc;

    if ((rc = store_commit(s->store, l->id, number, &row, e)) ||
        (rc = store_job(s->store, k->job, a, &job, e)) ||
        (rc = store_request(s->store, k->job, 0, a, &learn, NULL, e)))
        return rc;
    *r = (struct commit_row){.number = number,
                             .commit = k->hash,
                             .parent = row.parent,
                             .job = k->job,
                             .token = learn.learn.token,
                             .class_word = learn.learn.class_word,
                             .kind = learn.learn.kind,
                             .images = learn.learn.images,
                             .seconds = row.seconds,
                             .committed_ms = row.committed_ms};
    if ((rc = store_outputs(s->store, k->job, STAGE_SAMPLE, a, &r->previews, NULL, e)) ||
        (rc = store_outputs(s->store, k->job, STAGE_EVALUATE, a, &reports, NULL, e)))
        return rc;
    if (reports.n) r->evaluation = reports.v[0];
    r->n_images = r->images.n;
    r->n_previews = r->previews.n;
    if (!core_sees(s->core, by->row, by->role, job.past.job.owner)) hide(r);
    return OK;
}

static enum code answer_log(struct server *s, const struct asked *q, const struct asker *by,
                            struct arena *a, struct message *out, struct err *e)
{
    const struct msg_log *ask = &q->m.log;
    const struct core_lineage *l = core_lineage_named(s->core, ask->lineage);
    size_t most = ask->limit ? (size_t)ask->limit : PROTO_ROWS, bytes = 0;
    struct commit_rows *rows = &out->commits.rows;
    enum code rc;

    *out = (struct message){.kind = MSG_commits};
    if (!l || !may_read(s, by, l)) return answer_no_lineage(s, ask->lineage, e);
    out->commits.total = l->n_commits;
    rows->v = arena_alloc(a, most * sizeof *rows->v);
    if (!rows->v) return nomem(e);
    for (uint64_t n = ask->after + 1; n <= l->n_commits && rows->n < most && bytes < PAGE_BYTES;
         n++) {
        struct commit_row *r = &rows->v[rows->n];
        if ((rc = commit_row(s, by, l, n, a, r, e))) return rc;
        bytes += 700 + (r->images.n + r->previews.n) * HASH_BYTES;
        rows->n++;
    }
    return OK;
}

/* ---- users, groups, audit ---- */

static void user_row(const struct core_user *u, struct user_row *r)
{
    *r = (struct user_row){.name = u->name,
                           .role = (uint64_t)u->role,
                           .group = u->group,
                           .key = u->key,
                           .revoked = (uint64_t)u->revoked,
                           .weight = u->weight,
                           .max_queued = u->max_queued,
                           .max_running = u->max_running,
                           .max_bytes = u->max_bytes,
                           .queued = u->queued + u->running + u->paused,
                           .running = u->leased,
                           .bytes = u->bytes,
                           .added_ms = u->added_ms};
}

static enum code answer_users(struct server *s, const struct asked *q, const struct asker *by,
                              struct arena *a, struct message *out, struct err *e)
{
    const char *name = q->m.user_list.name;
    const char *after = q->m.user_list.after;
    const struct core_user *last = after[0] ? core_user_named(s->core, after) : NULL;
    int all = admins_only(by, "", NULL) == OK;
    struct user_rows *rows = &out->users.rows;
    uint32_t id = last ? last->id + 1 : 1;

    *out = (struct message){.kind = MSG_users};
    rows->v = arena_alloc(a, (PROTO_ROWS + 1) * sizeof *rows->v);
    if (!rows->v) return nomem(e);
    if (after[0] && (!last || (!all && last != by->row)))
        return err_set(e, ERR_NOT_FOUND, "there is no user `%s`", after);
    for (; id <= core_last_user(s->core) && rows->n < PROTO_ROWS; id++) {
        const struct core_user *u = core_user(s->core, id);
        if ((all || u == by->row) && (!name[0] || strcmp(name, u->name) == 0))
            user_row(u, &rows->v[rows->n++]);
    }
    return name[0] && !rows->n ? err_set(e, ERR_NOT_FOUND, "there is no user `%s`", name) : OK;
}

enum code answer_keys(struct server *s, uint32_t *next, struct arena *a, struct message *out,
                      struct err *e)
{
    struct user_rows *rows = &out->users.rows;
    uint32_t id = *next;

    *out = (struct message){.kind = MSG_users};
    rows->v = arena_alloc(a, PROTO_ROWS * sizeof *rows->v);
    if (!rows->v) return nomem(e);
    for (; id <= core_last_user(s->core) && rows->n < PROTO_ROWS; id++) {
        const struct core_user *u = core_user(s->core, id);
        if (!u->revoked && !hash_is_zero(u->key))
            rows->v[rows->n++] = (struct user_row){
                .name = "", .group = "", .role = (uint64_t)u->role, .key = u->key};
    }
    *next = rows->n < PROTO_ROWS ? 0 : id;
    return OK;
}

/* Without its nonce: who knows that could pass for the group. The field stays in the protocol, zero. */
static void group_row(const struct core_group *g, struct group_row *r)
{
    *r = (struct group_row){.name = g->name,
                            .host = g->host,
                            .device = g->device,
                            .ranks = g->ranks,
                            .pid = g->pid,
                            .draining = (uint64_t)g->draining,
                            .seen_ms = g->seen_ms};
    if (!g->lease) return;
    r->job = g->lease->job;
    r->stage = (uint64_t)g->lease->kind;
    r->epoch = g->lease->epoch;
}

static enum code answer_groups(struct server *s, const struct asked *q, const struct asker *by,
                               struct arena *a, struct message *out, struct err *e)
{
    const char *name = q->m.group_list.name;
    struct group_rows *rows = &out->groups.rows;
    const struct core_group *g;
    uint32_t at = 0;

    (void)by;
    *out = (struct message){.kind = MSG_groups};
    rows->v = arena_alloc(a, (PROTO_ROWS + 1) * sizeof *rows->v);
    if (!rows->v) return nomem(e);
    while (rows->n < PROTO_ROWS && (g = core_each_group(s->core, &at)))
        if (!name[0] || strcmp(name, g->name) == 0) group_row(g, &rows->v[rows->n++]);
    return OK;
}

static enum code answer_audit(struct server *s, const struct asked *q, const struct asker *by,
                              struct arena *a, struct message *out, struct err *e)
{
    const struct msg_audit *ask = &q->m.audit;
    enum code rc = admins_only(by, "the audit", e);

    *out = (struct message){.kind = MSG_audit_log};
    if (rc) return rc;
    return store_audit(s->store, ask->after_seq, ask->limit ? (size_t)ask->limit : PROTO_ROWS, a,
                       &out->audit_log.rows, e);
}

/* ---- jobs: elsewhere ---- */

static enum code answer_job(struct server *s, const struct asked *q, const struct asker *by,
                            struct arena *a, struct message *out, struct err *e)
{
    (void)by;
    return jobs_answer(s, q, a, out, e);
}

static enum code answer_watch(struct server *s, const struct asked *q, const struct asker *by,
                              struct arena *a, struct message *out, struct err *e)
{
    (void)by;
    return jobs_watch(s, q, a, out, e);
}

/* ---- objects ---- */

/* A door has the bytes: what it may answer goes back to it as it came. */
static enum code answer_object(struct server *s, const struct asked *q, const struct asker *by,
                               struct arena *a, struct message *out, struct err *e)
{
    (void)by;
    *out = q->m;
    if (q->from.socket != DOOR_USERS)
        return err_set(e, ERR_DENIED, "objects lie in the folder of the home");
    return object_allowed(s, q, a, e);
}

/* ---- table ---- */

typedef enum code answer_fn(struct server *s, const struct asked *q, const struct asker *by,
                            struct arena *a, struct message *out, struct err *e);

static answer_fn *const answers[MSG_KINDS] = {
    [MSG_ping] = answer_ping,         [MSG_lineage_list] = answer_lineages,
    [MSG_job] = answer_job,           [MSG_watch] = answer_watch,
    [MSG_log] = answer_log,           [MSG_user_list] = answer_users,
    [MSG_group_list] = answer_groups, [MSG_audit] = answer_audit,
    [MSG_object_get] = answer_object,
};

int answer_knows(enum msg_kind kind)
{
    return answers[kind] != NULL || kind == MSG_queue;
}

enum code answer_make(struct server *s, const struct asked *q, struct arena *a, struct message *out,
                      struct err *e)
{
    struct asker by = {.row = server_user(s, q), .role = q->role};

    if (by.row && by.row->revoked)
        return err_set(e, ERR_DENIED, "user %s is not heard any more: an admin revoked them",
                       by.row->name);
    return answers[q->m.kind](s, q, &by, a, out, e);
}
