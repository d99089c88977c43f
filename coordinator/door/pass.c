/* pass.c - one turn: answers out, messages in. */
#include "coordinator/door/door.h"

#include "base/log.h"

#include <time.h>

enum { BATCH = 256 };

int64_t door_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- guests -> coordinator ---- */

static void refuse(struct door *d, const struct link_peer *to, uint64_t id, enum code c,
                   const char *line)
{
    struct message no = {.kind = MSG_refused, .id = id, .refused = {(uint64_t)c, line}};

    d->n_refused++;
    link_server_send(d->side[DOOR_FRONT], to, &no, NULL);
}

static int belongs_here(const struct door *d, enum msg_kind kind)
{
    enum msg_from from = proto_from(kind);
    return from == FROM_ANYONE || from == (d->for_workers ? FROM_WORKER : FROM_USER);
}

/* What a message counts for beside one: a full page of jobs takes four milliseconds, a request in a heap a tenth of one alone. */
static double weight_of(const struct message *m)
{
    switch (m->kind) {
    case MSG_queue: return (double)(m->queue.limit ? m->queue.limit : PROTO_ROWS) / 40;
    case MSG_log: return 9;
    case MSG_submit_many: return (double)m->submit_many.rows.n / 10;
    default: return 0;
    }
}

static void pass_on(struct door *d, const struct link_peer *from, struct slice bytes,
                    const struct message *m)
{
    enum quota_verdict v = quota_begin(d->quota, from, m->id, bytes.n, d->now_ms);

    if (v == QUOTA_IGNORE) d->n_ignored++;
    else if (v == QUOTA_REFUSE)
        refuse(d, from, m->id, ERR_AGAIN, "too much is under way with this key: try again shortly");
    else if (link_server_pass(d->side[DOOR_BACK], from, bytes, NULL)) {
        struct link_peer who = *from;
        quota_end(d->quota, &who, m->id, 0, d->now_ms);
        refuse(d, from, m->id, ERR_AGAIN, "the coordinator is not there at the moment: try again");
    } else {
        d->n_passed++;
        quota_weigh(d->quota, from->key, weight_of(m), d->now_ms);
    }
}

static void answer_object(struct door *d, const struct link_peer *to, const struct message *m,
                          struct arena *a)
{
    struct message answer;

    door_object(d->objects, to->key, m, d->now_ms, a, &answer);
    answer.id = m->id;
    if (answer.kind == MSG_object_part)
        quota_charge(d->quota, to->key, answer.object_part.data.n, d->now_ms);
    if (answer.kind == MSG_refused) d->n_refused++;
    else d->n_passed++;
    link_server_send(d->side[DOOR_FRONT], to, &answer, NULL);
}

/* What a user may fetch the coordinator knows, who sees which job; it gives the question back if he may. */
static void look_at_object(struct door *d, const struct link_peer *from, struct slice bytes,
                           const struct message *m, struct arena *a)
{
    if (!d->objects) refuse(d, from, m->id, ERR_DENIED, "this door has no objects");
    else if (m->kind == MSG_object_get && !d->for_workers) pass_on(d, from, bytes, m);
    else answer_object(d, from, m, a);
}

/* A message whose key is fine. Decoding is what costs, so it comes after the quota. */
static void look_at(struct door *d, struct link_peer *from, struct slice bytes, struct arena *a,
                    enum quota_verdict v)
{
    struct message m;
    struct err e;
    enum code rc = proto_decode(bytes.data, bytes.n, a, &m, &e);

    from->version = (uint8_t)m.version;
    if (!rc && m.id == 0) rc = err_set(&e, ERR_PROTOCOL, "request id 0 cannot be answered");
    if (!rc && v == QUOTA_REFUSE)
        rc = err_set(&e, ERR_AGAIN, "too many requests with this key: try again shortly");
    if (!rc && !belongs_here(d, m.kind))
        rc = err_set(&e, ERR_DENIED, "`%s` does not belong at this door", proto_name(m.kind));
    if (!rc && d->objects) rc = door_objects_sent(d->objects, from->key, &m, a, &e);
    if (rc) {
        proto_line(e.text);
        refuse(d, from, m.id, rc, e.text);
    } else if (m.kind == MSG_object_get || m.kind == MSG_object_put) {
        look_at_object(d, from, bytes, &m, a);
    } else {
        pass_on(d, from, bytes, &m);
    }
}

/* A connection that is open although its key was revoked. */
static void turn_away(struct door *d, struct link_peer *from, struct slice bytes)
{
    struct proto_envelope m = proto_peek(bytes.data, bytes.n);

    from->version = (uint8_t)m.version;
    refuse(d, from, m.id, ERR_DENIED, "this key is not known here any more");
}

static void take_from_guests(struct door *d, struct arena *a)
{
    struct arena_mark mark = arena_mark(a);

    for (int i = 0; i < BATCH; i++) {
        struct link_peer from;
        struct slice bytes;
        enum quota_verdict v;
        enum code rc = link_server_take(d->side[DOOR_FRONT], &from, a, &bytes, NULL);

        if (rc == ERR_AGAIN) return;
        /* Refused by the link for its frames: that counts, too. */
        v = hash_is_zero(from.key) ? QUOTA_IGNORE : quota_ask(d->quota, from.key, d->now_ms);
        if (v == QUOTA_IGNORE) d->n_ignored++;
        else if (rc) d->n_refused++;
        else if (!guests_let_in(d->guests, from.key)) turn_away(d, &from, bytes);
        else look_at(d, &from, bytes, a, v);
        arena_reset(a, mark);
    }
}

/* ---- coordinator -> guests ---- */

/* An answer, or a question about an object that may be answered. */
static void hand_out(struct door *d, struct link_peer *to, struct slice bytes, struct arena *a)
{
    struct message m;

    if (proto_peek(bytes.data, bytes.n).kind != MSG_object_get) {
        link_server_pass(d->side[DOOR_FRONT], to, bytes, NULL);
        return;
    }
    if (proto_decode(bytes.data, bytes.n, a, &m, NULL)) return;
    to->version = (uint8_t)m.version;
    answer_object(d, to, &m, a);
}

static void take_from_coordinator(struct door *d, struct arena *a)
{
    struct arena_mark mark = arena_mark(a);

    for (int i = 0; i < BATCH; i++) {
        struct link_peer to;
        struct slice bytes;
        enum code rc = link_server_take(d->side[DOOR_BACK], &to, a, &bytes, NULL);

        if (rc == ERR_AGAIN) return;
        if (rc) continue;
        if (to.n == 0) list_take(d, bytes);
        else if (quota_end(d->quota, &to, proto_peek(bytes.data, bytes.n).id, bytes.n, d->now_ms))
            hand_out(d, &to, bytes, a);
        arena_reset(a, mark);
    }
}

void door_turn(struct door *d, int timeout_ms)
{
    int ready[DOOR_SIDES];
    struct arena a = {0};
    struct err e;

    if (link_server_wait(d->side, DOOR_SIDES, timeout_ms, ready, &e))
        log_line(LOG_ERROR, "%s", e.text);
    d->now_ms = door_clock();
    if (ready[DOOR_BACK]) take_from_coordinator(d, &a);
    if (ready[DOOR_FRONT]) take_from_guests(d, &a);
    arena_fini(&a);
    if (d->objects) door_objects_turn(d->objects, d->now_ms);
    list_ask(d);
}
