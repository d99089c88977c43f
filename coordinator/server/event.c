/* event.c - from a message to an event of the core: the digest that tells two uses of a request key apart, the requests of a
 * submit_many one by one, how many bytes a job keeps on the disk, and the jobs of the past that only the store knows. */
#include "coordinator/server/server.h"

#include "base/objects.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static enum code no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

/* The request without its id, in the oldest version that says all of it: what tells two uses of a key apart, and what counts as
 * its bytes. Who asks again after an upgrade, in a newer version, means the same. */
static enum code encode_meaning(const struct message *m, struct arena *a, struct slice *bytes,
                                struct err *e)
{
    struct message copy = *m;

    copy.id = 0;
    copy.version = proto_least(m);
    return proto_encode(&copy, a, bytes, e);
}

/* ---- bytes ---- */

/* As large as their files are; what is not there counts nothing. Two jobs that name one object both count it. */
static uint64_t weigh(struct server *s, const struct hashes *v)
{
    char path[PATH_MAX];
    uint64_t sum = 0;
    struct stat st;

    snprintf(path, sizeof path, "%.4000s/objects", s->home);
    if (!s->objects && objects_open(&s->objects, path, NULL)) return 0;
    for (size_t i = 0; i < v->n; i++) {
        objects_path(s->objects, v->v[i], path, sizeof path);
        if (!lstat(path, &st) && S_ISREG(st.st_mode)) sum += (uint64_t)st.st_size;
    }
    return sum;
}

/* What the job will have counted when it is forgotten: photos and pictures do not change, and are there as long as it names them. */
static enum code weigh_past(struct server *s, uint64_t job, struct arena *a, uint64_t *out,
                            struct err *e)
{
    struct hashes pictures;
    struct message kept;
    struct slice bytes;
    enum code rc;

    if ((rc = store_request(s->store, job, 0, a, &kept, NULL, e)) ||
        (rc = encode_meaning(&kept, a, &bytes, e)) ||
        (rc = store_outputs(s->store, job, STAGE_SAMPLE, a, &pictures, NULL, e)))
        return rc;
    *out = bytes.n + weigh(s, &pictures);
    if (kept.kind == MSG_learn) *out += weigh(s, &kept.learn.images);
    return OK;
}

/* ---- from the store ---- */

/* The job of the past that the message (or row) is about. *past stays NULL where there is none. */
static enum code bring_past(struct server *s, const struct message *m, struct arena *a,
                            const struct core_past **past, struct err *e)
{
    struct hash key;
    uint64_t job;
    enum core_past_by by = core_wants_past(s->core, m, &key, &job);
    struct store_job *found;
    enum code rc;
    int there = 1;

    if (by == CORE_PAST_NONE) return OK;
    if (!(found = arena_alloc(a, sizeof *found))) return no_memory(e);
    if (by == CORE_PAST_KEY) rc = store_job_by_key(s->store, key, a, found, &there, e);
    else if ((rc = store_job(s->store, job, a, found, e)) == ERR_NOT_FOUND) return OK;
    if (rc || !there) return rc;
    if (m->kind == MSG_forget && (rc = weigh_past(s, job, a, &found->past.bytes, e))) return rc;
    *past = &found->past;
    return OK;
}

static enum code read_request(struct server *s, const struct message *m, struct arena *a,
                              struct core_request *r, struct err *e)
{
    struct slice bytes;
    enum code rc = encode_meaning(m, a, &bytes, e);

    if (rc) return rc;
    if (bytes.n > PROTO_REQUEST)
        return err_set(e, ERR_INPUT, "%s: a request of %zu bytes; at most %u", proto_name(m->kind),
                       bytes.n, PROTO_REQUEST);
    r->message = m;
    r->digest = hash_bytes(bytes.data, bytes.n);
    r->bytes = bytes.n + (m->kind == MSG_learn ? weigh(s, &m->learn.images) : 0);
    return m->kind == MSG_lineage_create ? OK : bring_past(s, m, a, &r->past, e);
}

static int is_request(enum msg_kind k)
{
    return k == MSG_learn || k == MSG_sample || k == MSG_evaluate;
}

/* A row that cannot be read is refused by itself; a store that cannot be read refuses all. */
static enum code read_row(struct server *s, struct slice bytes, struct arena *a,
                          struct core_request *r, struct err *e)
{
    struct message *m = arena_alloc(a, sizeof *m);
    struct err why = {0};
    char *line;

    if (!m) return no_memory(e);
    if (proto_decode(bytes.data, bytes.n, a, m, &why) == OK) {
        if (is_request(m->kind)) return read_request(s, m, a, r, e);
        err_set(&why, ERR_PROTOCOL, "`%s` is no learn, sample or evaluate", proto_name(m->kind));
    }
    if (!(line = arena_strdup(a, why.text))) return no_memory(e);
    *r = (struct core_request){.code = why.code, .line = proto_line(line)};
    return OK;
}

static enum code read_requests(struct server *s, const struct message *m, struct arena *a,
                               struct core_event *ev, struct err *e)
{
    int many = m->kind == MSG_submit_many;
    size_t n = many ? m->submit_many.rows.n : 1;
    struct core_request *r = arena_alloc(a, (n + 1) * sizeof *r);
    enum code rc = OK;

    if (!r) return no_memory(e);
    ev->requests = r;
    ev->n_requests = n;
    if (!many) return read_request(s, m, a, r, e);
    for (size_t i = 0; i < n && !rc; i++)
        rc = read_row(s, m->submit_many.rows.v[i].request, a, &r[i], e);
    return rc;
}

enum code event_make(struct server *s, const struct asked *q, struct arena *a,
                     struct core_event *ev, struct err *e)
{
    const struct message *m = &q->m;

    *ev = (struct core_event){.type = CORE_MESSAGE,
                              .message = m,
                              .from = q->from,
                              .user = q->user[0] ? q->user : NULL,
                              .role = q->role};
    if (m->kind == MSG_result && m->result.stage == STAGE_SAMPLE)
        ev->bytes = weigh(s, &m->result.outputs);
    if (server_is_worker_socket(q->from.socket)) memcpy(ev->group.v, q->from.peer + 1, HASH_BYTES);
    if (is_request(m->kind) || m->kind == MSG_lineage_create || m->kind == MSG_submit_many)
        return read_requests(s, m, a, ev, e);
    return bring_past(s, m, a, &ev->past, e);
}
