/* link.c - who asks: users and worker groups, over a DEALER.
 *
 * One request is outstanding at a time, the latest; `latest` keeps its bytes, because a coordinator that restarted answers
 * `who` and wants hello first and then the same again. Answers with any other id are dropped.
 */
#include "proto/link_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <zmq.h>

enum { WHO_LIMIT = 3 }; /* a coordinator that keeps asking is broken */

struct link {
    void *context, *socket;
    struct arena strings; /* endpoint, hello */
    const char *endpoint, *path;
    int timeout_ms, tries, is_worker;
    struct message hello;
    uint64_t next_id, latest_id, hello_id;
    struct arena latest_arena;
    struct slice latest;
    int n_who; /* since the latest request */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- open and close ---- */

static enum code copy_options(struct link *l, const struct link_options *o, struct err *e)
{
    const struct msg_worker_hello *h = o->hello;

    l->endpoint = arena_strdup(&l->strings, o->endpoint ? o->endpoint : "");
    if (!l->endpoint) return err_set(e, ERR_NOMEM, "out of memory");
    l->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : 5000;
    l->tries = o->tries ? o->tries : 3;
    if (o->server_key || o->public_key || o->secret_key)
        return err_set(e, ERR_USAGE, "endpoint %s: keys are not spoken yet, only ipc", l->endpoint);
    if (!h) return link_socket_path(l->endpoint, &l->path, e);
    l->is_worker = 1;
    l->hello = (struct message){.kind = MSG_worker_hello, .worker_hello = *h};
    l->hello.worker_hello.name = arena_strdup(&l->strings, h->name ? h->name : "");
    l->hello.worker_hello.host = arena_strdup(&l->strings, h->host ? h->host : "");
    l->hello.worker_hello.device = arena_strdup(&l->strings, h->device ? h->device : "");
    if (!l->hello.worker_hello.name || !l->hello.worker_hello.host || !l->hello.worker_hello.device)
        return err_set(e, ERR_NOMEM, "out of memory");
    return link_socket_path(l->endpoint, &l->path, e);
}

static enum code connect_socket(struct link *l, struct err *e)
{
    uint8_t id[1 + HASH_BYTES] = {'W'};
    enum code rc;

    l->context = zmq_ctx_new();
    if (!l->context) return link_socket_error(e, "zmq context");
    if ((rc = link_socket_make(l->context, ZMQ_DEALER, &l->socket, e))) return rc;
    if (l->is_worker) {
        memcpy(id + 1, l->hello.worker_hello.nonce.v, HASH_BYTES);
        if (zmq_setsockopt(l->socket, ZMQ_ROUTING_ID, id, sizeof id))
            return link_socket_error(e, "zmq routing id");
    }
    if (zmq_connect(l->socket, l->endpoint)) return link_socket_error(e, l->endpoint);
    return OK;
}

enum code link_open(struct link **out, const struct link_options *o, struct err *e)
{
    struct link *l = mem_alloc(1, sizeof *l);
    enum code rc;

    *out = NULL;
    if (!l) return err_set(e, ERR_NOMEM, "out of memory");
    /* Ids begin anywhere: a worker keeps its routing id over a restart of itself only with a new nonce, but a
     * reconnecting socket may still hear answers to its former self. */
    if (getrandom(&l->next_id, sizeof l->next_id, 0) != sizeof l->next_id)
        l->next_id = (uint64_t)now_ms();
    l->next_id >>= 8;
    if ((rc = copy_options(l, o, e)) || (rc = connect_socket(l, e))) {
        link_close(l);
        return rc;
    }
    *out = l;
    return OK;
}

void link_close(struct link *l)
{
    if (!l) return;
    if (l->socket) zmq_close(l->socket);
    if (l->context) zmq_ctx_term(l->context);
    arena_fini(&l->strings);
    arena_fini(&l->latest_arena);
    free(l);
}

/* ---- one request ---- */

static enum code send_bytes(struct link *l, struct slice s, struct err *e)
{
    while (zmq_send(l->socket, s.data, s.n, ZMQ_DONTWAIT) < 0)
        if (errno != EINTR) return link_socket_error(e, l->endpoint);
    return OK;
}

/* Gives ask its id and remembers its bytes as the latest. */
static enum code remember(struct link *l, struct message *ask, struct err *e)
{
    struct arena fresh = {0};
    struct slice bytes;
    enum code rc;

    ask->id = ++l->next_id;
    if ((rc = proto_encode(ask, &fresh, &bytes, e))) {
        arena_fini(&fresh);
        return rc;
    }
    arena_fini(&l->latest_arena);
    l->latest_arena = fresh;
    l->latest = bytes;
    l->latest_id = ask->id;
    l->n_who = 0;
    return OK;
}

/* The coordinator does not know us: hello, then the latest request again. */
static enum code introduce(struct link *l, struct err *e)
{
    struct arena a = {0};
    struct slice bytes;
    enum code rc;

    if (!l->is_worker || ++l->n_who > WHO_LIMIT)
        return err_set(e, ERR_PROTOCOL, "%s: the coordinator does not take our hello", l->endpoint);
    l->hello.id = l->hello_id = ++l->next_id;
    if (!(rc = proto_encode(&l->hello, &a, &bytes, e)) && !(rc = send_bytes(l, bytes, e)))
        rc = send_bytes(l, l->latest, e);
    arena_fini(&a);
    return rc;
}

/* Is this message what is waited for? *mine says so; else it was handled or does not concern us. */
static enum code judge(struct link *l, const struct message *m, int *mine, struct err *e)
{
    int to_hello = l->hello_id && m->id == l->hello_id;

    *mine = 0;
    if ((to_hello && m->kind == MSG_go_on) || (!to_hello && m->id != l->latest_id)) return OK;
    if (m->kind == MSG_who) return introduce(l, e);
    *mine = 1;
    if (m->kind == MSG_refused)
        return err_set(e,
                       m->refused.code > OK && m->refused.code < ERR_CODES
                           ? (enum code)m->refused.code
                           : ERR_INTERNAL,
                       "%s", m->refused.line);
    if (proto_from(m->kind) != FROM_COORDINATOR)
        return err_set(e, ERR_PROTOCOL, "%s answers with `%s`", l->endpoint, proto_name(m->kind));
    return OK;
}

/* Waits for one event. ERR_AGAIN: time is over. ERR_CANCELLED: a signal. */
static enum code wait_event(struct link *l, short event, int64_t until, struct err *e)
{
    zmq_pollitem_t item = {.socket = l->socket, .events = event};
    int64_t left = until - now_ms();
    int n = zmq_poll(&item, 1, left > 0 ? (long)left : 0);

    if (n < 0) return link_socket_error(e, "wait for the coordinator");
    return n ? OK : err_set(e, ERR_AGAIN, "%s: no answer yet", l->endpoint);
}

static enum code hear_until(struct link *l, int64_t until, struct arena *a, struct message *answer,
                            struct err *e)
{
    struct arena_mark mark = arena_mark(a);
    struct slice bytes;
    enum code rc;
    int mine;

    for (;;) {
        rc = link_socket_receive(l->socket, NULL, a, &bytes, e);
        if (rc == ERR_AGAIN) {
            if ((rc = wait_event(l, ZMQ_POLLIN, until, e))) return rc;
            continue;
        }
        if (rc || (rc = proto_decode(bytes.data, bytes.n, a, answer, e))) return rc;
        if ((rc = judge(l, answer, &mine, e)) || mine) return rc;
        arena_reset(a, mark);
    }
}

enum code link_tell(struct link *l, struct message *ask, struct err *e)
{
    enum code rc = remember(l, ask, e);
    return rc ? rc : send_bytes(l, l->latest, e);
}

enum code link_hear(struct link *l, int timeout_ms, struct arena *a, struct message *answer,
                    struct err *e)
{
    return hear_until(l, now_ms() + timeout_ms, a, answer, e);
}

/* One try. *over: its time is over, nobody answered. */
static enum code try_once(struct link *l, struct arena *a, struct message *answer, int *over,
                          struct err *e)
{
    int64_t until = now_ms() + l->timeout_ms;
    enum code rc;

    answer->kind = MSG_none;
    while ((rc = send_bytes(l, l->latest, e)) == ERR_AGAIN &&
           !(rc = wait_event(l, ZMQ_POLLOUT, until, e)))
        ;
    if (rc == OK) rc = hear_until(l, until, a, answer, e);
    *over = rc == ERR_AGAIN && answer->kind != MSG_refused;
    return rc;
}

enum code link_call(struct link *l, struct message *ask, struct arena *a, struct message *answer,
                    struct err *e)
{
    enum code rc = remember(l, ask, e);
    int over = 0;

    if (rc) return rc;
    /* Somebody who types a command should not wait for a coordinator that is plainly not there. */
    if (l->tries > 0 && !link_socket_alive(l->path))
        return err_set(e, ERR_ENVIRONMENT,
                       "no coordinator answers at %s: start one with `engram up`", l->path);
    for (int i = 0; l->tries < 0 || i < l->tries; i++) {
        rc = try_once(l, a, answer, &over, e);
        if (!over) return rc;
    }
    return err_set(e, ERR_ENVIRONMENT, "the coordinator at %s did not answer %d times in %d ms",
                   l->path, l->tries, l->timeout_ms);
}
