/* dispatch.c - one turn of the loop: messages in, questions answered, one transaction, the other answers out. */
#include "coordinator/server/server.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A turn hears so many messages, and while people ask so few of worker groups: who asks waits for half of a turn and a whole one. */
enum { BATCH = 256, FROM_GROUPS = 48 };
enum {
    PEOPLE_MS = 1000, /* people ask: somebody was heard so lately */
    IDLE_MS = 1000    /* a group that the resting disk keeps from work comes again */
};

/* ---- one batch ---- */

struct batch {
    struct asked *v;
    size_t n;
    struct arena arena;
    struct core_actions actions;
};

/* May this message come from this socket? */
static int allowed(struct server *s, struct asked *q)
{
    struct err e;

    if (!server_who(s, q, &e)) return 1;
    server_refuse(s, &q->from, &e);
    return 0;
}

static int is_door_itself(const struct asked *q)
{
    return (q->from.socket == DOOR_USERS || q->from.socket == DOOR_WORKERS) && q->from.n == 0;
}

/* Does somebody sit there? Not a door that asks for its list, and hardly one who sends a heap. */
static int waits(const struct asked *q)
{
    return !server_is_worker_socket(q->from.socket) && !is_door_itself(q) &&
           q->m.kind != MSG_submit_many;
}

static int people_ask(const struct server *s)
{
    return s->now_ms - s->asked_ms < PEOPLE_MS;
}

static size_t room_for(const struct server *s, int socket, const struct batch *b)
{
    size_t most = server_is_worker_socket(socket) && people_ask(s) ? FROM_GROUPS : BATCH;
    return most < BATCH - b->n ? most : BATCH - b->n;
}

static void receive(struct server *s, int socket, struct batch *b)
{
    size_t end = b->n + room_for(s, socket, b);
    struct link_peer from;
    struct err e;

    /* Refused ones count too: a flood of garbage must not keep the loop from everything else. */
    for (int seen = 0; b->n < end && seen < 2 * BATCH; seen++) {
        struct asked *q = &b->v[b->n];
        enum code rc = link_server_receive(s->link[socket], &from, &b->arena, &q->m, &e);
        if (rc == ERR_AGAIN) return;
        if (rc) {
            log_line(LOG_WARN, "%s socket: %s", server_is_worker_socket(socket) ? "worker" : "user",
                     e.text);
            continue;
        }
        q->from = (struct core_address){
            .n = from.n, .version = from.version, .socket = (uint8_t)socket, .id = q->m.id};
        memcpy(q->from.peer, from.id, sizeof from.id);
        q->key = from.key;
        if (!allowed(s, q)) continue;
        if (waits(q)) s->asked_ms = s->now_ms;
        b->n++;
    }
}

/* A group whose name its launcher has given up is told to leave, before the core hears of it. */
static int sent_away(struct server *s, const struct asked *q)
{
    struct message end = {.kind = MSG_end, .end.why = "this worker group was given up"};
    struct hash nonce;

    if (!server_is_worker_socket(q->from.socket) || !s->launch_knows ||
        (q->m.kind != MSG_worker_hello && q->m.kind != MSG_ready))
        return 0;
    memcpy(nonce.v, q->from.peer + 1, HASH_BYTES);
    if (s->launch_knows(s->launch_self,
                        q->m.kind == MSG_worker_hello ? q->m.worker_hello.name : NULL, nonce,
                        s->now_ms))
        return 0;
    server_answer(s, &q->from, &end);
    return 1;
}

/* What can be heard while the disk takes nothing. */
static int keeps_nothing(enum msg_kind kind)
{
    return kind == MSG_heartbeat || kind == MSG_worker_hello;
}

/* Whoever is answered here (or later: bulk.c) is not answered again. */
static int put_off(struct server *s, struct asked *q)
{
    struct message idle = {.kind = MSG_idle, .idle.wait_ms = IDLE_MS};

    if (!s->resting || keeps_nothing(q->m.kind)) return 0;
    if (q->m.kind == MSG_ready) server_answer(s, &q->from, &idle);
    else server_refuse(s, &q->from, &s->trouble);
    q->from.socket = NOBODY;
    return 1;
}

static void step(struct server *s, struct batch *b, struct asked *q)
{
    struct core_event ev;
    struct err e;

    if (sent_away(s, q) || put_off(s, q)) return;
    if (event_make(s, q, &b->arena, &ev, &e)) server_refuse(s, &q->from, &e);
    else core_step(s->core, &ev, s->now_ms, &b->actions);
}

static void tell(struct server *s, struct batch *b, struct core_tell *t)
{
    struct message m;
    struct err e;

    switch (t->type) {
    case TELL_ANSWER: server_answer(s, &t->to, &t->answer); break;
    case TELL_STAGE:
        if (stage_message(s, t, &b->arena, &m, &e)) {
            log_line(LOG_ERROR, "stage %s of job %llu: %s", proto_stage_kind((uint64_t)t->stage),
                     (unsigned long long)t->job, e.text);
            server_refuse(s, &t->to, &e);
        } else {
            server_answer(s, &t->to, &m);
        }
        break;
    case TELL_PROGRESS: rings_add(s->rings, t->job, &t->event); break;
    case TELL_FORGET: forget_job(s, t->job); break;
    case TELL_NEWS:
        tally_news(&s->tally, t);
        news_say(s, t);
        break;
    }
}

/* Who did what. */
static void log_audit(const struct core_actions *a)
{
    for (size_t i = 0; i < a->n_puts; i++) {
        const struct core_put *p = &a->puts[i];
        if (p->type == PUT_AUDIT)
            log_event(LOG_INFO, &(struct log_about){.event = "audit"}, "%s: %s", p->audit.user,
                      p->audit.what);
    }
}

static double clock_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static enum code write_down(struct server *s, const struct core_actions *a, struct err *e)
{
    double begin = clock_s();
    enum code rc = store_apply(s->store, a, e);

    if (a->n_puts) tally_wrote(&s->tally, clock_s() - begin);
    return rc;
}

/* Makes the actions durable, then carries them out. 0: nothing of them happened. */
static int carry_out(struct server *s, struct batch *b)
{
    struct err e = {0};
    enum code rc = b->actions.failed ? err_set(&e, ERR_NOMEM, "out of memory")
                                     : write_down(s, &b->actions, &e);

    if (rc) {
        for (size_t i = 0; i < b->n; i++)
            if (!answer_knows(b->v[i].m.kind)) server_refuse(s, &b->v[i].from, &e);
        server_recover(s, &e);
        return 0;
    }
    log_hold();
    forget_saw(s, &b->actions);
    log_audit(&b->actions);
    store_hold(s->store);
    for (size_t i = 0; i < b->actions.n_tells; i++) tell(s, b, &b->actions.tells[i]);
    store_let_go(s->store);
    log_release();
    return 1;
}

/* A door asks who may come in. */
static void tell_keys(struct server *s, struct batch *b, struct asked *q)
{
    struct message m;
    struct err e;

    for (uint32_t next = 1; next;) {
        if (answer_keys(s, &next, &b->arena, &m, &e)) {
            server_refuse(s, &q->from, &e);
            return;
        }
        server_answer(s, &q->from, &m);
    }
}

static void answer_question(struct server *s, struct batch *b, struct asked *q)
{
    struct message m;
    struct err e;

    if (q->m.kind == MSG_queue) {
        if (pages_ask(s, q, &e)) server_refuse(s, &q->from, &e);
    } else if (q->m.kind == MSG_user_list && is_door_itself(q)) tell_keys(s, b, q);
    else if (answer_make(s, q, &b->arena, &m, &e)) server_refuse(s, &q->from, &e);
    else server_answer(s, &q->from, &m);
}

static void batch_fini(struct batch *b)
{
    core_actions_fini(&b->actions);
    arena_fini(&b->arena);
    free(b->v);
}

/* ---- turns ---- */

static int wait_for(struct server *s, int timeout_ms)
{
    int64_t next = s->resting ? s->retry_ms : core_next_ms(s->core);
    int64_t left = next - server_now(s);
    if (s->core && (pages_wait(s->pages) || forget_waits(s->forget) || bulk_waits(s->bulk)))
        return 0;
    return left < 0 ? 0 : left < timeout_ms ? (int)left + 1 : timeout_ms;
}

/* Does somebody ask for what must be kept? */
static int is_wanted(const struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        enum msg_kind kind = b->v[i].m.kind;
        if (!answer_knows(kind) && !keeps_nothing(kind) && kind != MSG_ready) return 1;
    }
    return 0;
}

static void questions(struct server *s, struct batch *b)
{
    store_hold(s->store);
    for (size_t i = 0; i < b->n; i++) {
        if (!s->core) server_refuse(s, &b->v[i].from, &s->trouble);
        else if (answer_knows(b->v[i].m.kind)) answer_question(s, b, &b->v[i]);
    }
    store_let_go(s->store);
}

/* Who stops takes nothing any more, and half of a message is no answer: what has begun goes in first. */
static void end_bulk(struct server *s)
{
    struct asked piece;

    while (s->core && !s->resting && bulk_piece(s, 0, &piece)) {
        struct batch b = {0};
        store_hold(s->store);
        step(s, &b, &piece);
        store_let_go(s->store);
        carry_out(s, &b);
        bulk_turn(s, &s->trouble);
        batch_fini(&b);
    }
}

static void steps(struct server *s, struct batch *b)
{
    struct core_event tick = {.type = CORE_TICK};
    struct asked piece;

    store_hold(s->store); /* jobs of the past are looked for */
    for (size_t i = 0; i < b->n; i++) {
        struct asked *q = &b->v[i];
        if (answer_knows(q->m.kind)) continue;
        if (bulk_take(s, q)) q->from.socket = NOBODY;
        else step(s, b, q);
    }
    if (bulk_piece(s, people_ask(s), &piece)) step(s, b, &piece);
    store_let_go(s->store);
    if (!s->resting) core_step(s->core, &tick, s->now_ms, &b->actions);
}

void server_turn(struct server *s, int timeout_ms)
{
    struct batch b = {.v = mem_alloc(BATCH, sizeof *b.v)};
    int ready[SOCKETS] = {0};
    struct err e;

    if (link_server_wait(s->link, SOCKETS, wait_for(s, timeout_ms), ready, &e))
        log_line(LOG_ERROR, "%s", e.text);
    server_now(s);
    for (int i = 0; b.v && i < SOCKETS; i++)
        if (ready[i]) receive(s, i, &b);
    tally_batch(&s->tally, b.n);
    if (s->resting) server_try_again(s, is_wanted(&b));
    questions(s, &b);
    for (size_t i = 0; i < b.n; i++)
        if (b.v[i].m.kind == MSG_stop) end_bulk(s);
    if (s->core) {
        steps(s, &b);
        carry_out(s, &b);
    }
    bulk_turn(s, &s->trouble);
    if (s->core) {
        pages_turn(s);
        forget_turn(s);
    }
    store_tidy(s->store);
    tally_turn(s);
    batch_fini(&b);
}

/* An event of our own, outside the sockets. */
static void own_event(struct server *s, struct core_event *ev)
{
    struct batch b = {0};

    if (s->core && !s->resting) {
        core_step(s->core, ev, server_now(s), &b.actions);
        carry_out(s, &b);
    }
    batch_fini(&b);
}

void server_stop(struct server *s, int drain)
{
    struct message m = {.kind = MSG_stop, .stop.drain = (uint64_t)drain};
    struct core_event ev = {.type = CORE_MESSAGE,
                            .message = &m,
                            .user = s->user,
                            .role = ROLE_ADMIN,
                            .from = {.socket = NOBODY}};
    end_bulk(s);
    own_event(s, &ev);
}

void server_group_lost(struct server *s, struct hash nonce)
{
    struct core_event ev = {.type = CORE_GROUP_LOST, .group = nonce};
    own_event(s, &ev);
}
