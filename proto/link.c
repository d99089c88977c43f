/* link.c - who asks: users and worker groups, over a DEALER. */
#include "proto/link_ask.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    REACH_MS = 3000, /* as long as a door may take to start again */
    WAITS = 20,      /* times that `again` is heard before it is told */
    WAIT_MS = 250
};

int64_t link_now_ms(void)
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
    l->version = PROTO_VERSION;
    l->server_key = o->server_key;
    l->keys = o->keys;
    if (!h) return OK;
    l->is_worker = 1;
    l->hello = (struct message){.kind = MSG_worker_hello, .worker_hello = *h};
    l->hello.worker_hello.name = arena_strdup(&l->strings, h->name ? h->name : "");
    l->hello.worker_hello.host = arena_strdup(&l->strings, h->host ? h->host : "");
    l->hello.worker_hello.device = arena_strdup(&l->strings, h->device ? h->device : "");
    if (!l->hello.worker_hello.name || !l->hello.worker_hello.host || !l->hello.worker_hello.device)
        return err_set(e, ERR_NOMEM, "out of memory");
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
        l->next_id = (uint64_t)link_now_ms();
    l->next_id >>= 8;
    if ((rc = copy_options(l, o, e)) || (rc = link_socket_endpoint(l->endpoint, &l->path, e)) ||
        (rc = link_connect(l, e))) {
        link_close(l);
        return rc;
    }
    *out = l;
    return OK;
}

void link_close(struct link *l)
{
    if (!l) return;
    link_disconnect(l);
    if (l->context) zmq_ctx_term(l->context);
    arena_fini(&l->strings);
    arena_fini(&l->latest_arena);
    free(l);
}

/* ---- calls ---- */

static enum code hear_until(struct link *l, int64_t until, struct arena *a, struct message *answer,
                            struct err *e)
{
    struct arena_mark mark = arena_mark(a);
    struct frames f;
    struct slice bytes;
    enum code rc;
    int mine;

    for (;;) {
        rc = l->socket ? frames_receive(l->socket, &f, e) : ERR_AGAIN;
        if (rc == OK) rc = frames_take(&f, 0, 1, a, &bytes, e);
        if (l->socket) frames_close(&f);
        if (rc == ERR_AGAIN) {
            if ((rc = link_wait_event(l, ZMQ_POLLIN, until, e))) return rc;
            continue;
        }
        if (rc || (rc = proto_decode(bytes.data, bytes.n, a, answer, e))) return rc;
        if ((rc = link_judge(l, answer, &mine, e)) || mine) return rc;
        arena_reset(a, mark);
    }
}

enum code link_tell(struct link *l, struct message *ask, struct err *e)
{
    enum code rc = link_remember(l, ask, e);

    if (rc || (!l->path && (rc = link_look_below(l, e)))) return rc;
    return link_send_latest(l, e);
}

enum code link_hear(struct link *l, int timeout_ms, struct arena *a, struct message *answer,
                    struct err *e)
{
    return hear_until(l, link_now_ms() + timeout_ms, a, answer, e);
}

/* One try. *over: its time is over, nobody answered. */
static enum code try_once(struct link *l, struct arena *a, struct message *answer, int *over,
                          struct err *e)
{
    int64_t until = link_now_ms() + l->timeout_ms;
    enum code rc;

    if (!l->path && !l->monitor.reached && l->tries > 0 && l->timeout_ms > REACH_MS)
        until = link_now_ms() + REACH_MS;
    answer->kind = MSG_none;
    while ((rc = link_send_latest(l, e)) == ERR_AGAIN &&
           !(rc = link_wait_event(l, ZMQ_POLLOUT, until, e)))
        ;
    if (rc == OK) rc = hear_until(l, until, a, answer, e);
    *over = rc == ERR_AGAIN && answer->kind != MSG_refused;
    return rc;
}

/* Nobody answered: what is known of why. */
static enum code explain(const struct link *l, struct err *e)
{
    if (l->path)
        return err_set(e, ERR_ENVIRONMENT, "the coordinator at %s did not answer %d times in %d ms",
                       l->path, l->tries, l->timeout_ms);
    if (l->knocks) return link_denied(l, e);
    if (!l->monitor.reached)
        return err_set(e, ERR_ENVIRONMENT,
                       "nobody listens at %s: is the address right, and is a coordinator up there?",
                       l->endpoint);
    if (l->monitor.failed && !l->monitor.ready)
        return err_set(e, ERR_ENVIRONMENT,
                       "somebody listens at %s, but breaks off when greeted: is the server key "
                       "right?",
                       l->endpoint);
    return err_set(e, ERR_ENVIRONMENT, "the coordinator at %s did not answer %d times in %d ms",
                   l->endpoint, l->tries, l->timeout_ms);
}

/* `again` is said by who has too much to do at the moment: it passes. */
static enum code wait_a_while(struct link *l, struct err *e)
{
    int64_t until = link_now_ms() + WAIT_MS;
    enum code rc = OK;

    l->sent = 0; /* answered: not lost with its connection */
    while (!rc && link_now_ms() < until) rc = link_wait_event(l, 0, until, e);
    return rc == ERR_AGAIN ? OK : rc;
}

enum code link_call(struct link *l, struct message *ask, struct arena *a, struct message *answer,
                    struct err *e)
{
    enum code rc = link_remember(l, ask, e);
    int over = 0;

    if (rc) return rc;
    /* Somebody who types a command should not wait for a coordinator that is plainly not there. */
    if (l->tries > 0 && l->path && !link_socket_alive(l->path))
        return err_set(e, ERR_ENVIRONMENT,
                       "no coordinator answers at %s: start one with `engram up`", l->path);
    for (int i = 0, waits = 0; l->tries < 0 || i < l->tries; i++) {
        rc = try_once(l, a, answer, &over, e);
        if (rc == ERR_AGAIN && !over && !l->is_worker && waits++ < WAITS) {
            if ((rc = wait_a_while(l, e))) return rc;
            i--;
            continue;
        }
        if (!over) return rc;
        if (l->tries > 0 && !l->path && !l->monitor.reached) break;
    }
    return explain(l, e);
}
