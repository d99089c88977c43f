/* link.c - who asks: users and worker groups, over a DEALER.
 *
 * One request is outstanding at a time, the latest; `latest` keeps its bytes, because they may have to be said again: when no answer
 * comes, when a coordinator that restarted asks `who` and wants hello first, when the connection broke (tcp), when the other
 * side speaks an older version. Answers with any other id are dropped.
 */
#include "proto/link_monitor.h"
#include "proto/link_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    WHO_LIMIT = 3,        /* a coordinator that keeps asking is broken */
    REACH_MS = 3000,      /* as long as a door may take to start again */
    KNOCKS = 4,           /* a key may just be on its way to the door, */
    KNOCK_MS = 400,       /* which looks about once a second; */
    KNOCK_SLOW_MS = 2000, /* whoever asks for ever need not hurry */
    WAITS = 20,           /* times that `again` is heard before it is told */
    WAIT_MS = 250
};

struct link {
    void *context, *socket;
    struct monitor monitor; /* tcp */
    struct arena strings;   /* endpoint, hello */
    const char *endpoint, *path;
    struct hash server_key;
    struct keys keys;
    int timeout_ms, tries, is_worker;
    struct message hello;
    uint64_t version, next_id, latest_id, hello_id;
    struct arena latest_arena;
    struct slice latest;
    int n_who;        /* since the latest request */
    int sent;         /* the latest is on its way */
    int repeat;       /* it was lost with its connection */
    int knocks;       /* our key was not let in, in a row */
    int64_t knock_ms; /* when to try again; 0: need not */
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

static enum code use_keys(struct link *l, struct err *e)
{
    enum code rc;

    if (l->path) return OK;
    if (hash_is_zero(l->server_key) || hash_is_zero(l->keys.secret))
        return err_set(
            e, ERR_USAGE,
            "%s: over TCP the coordinator's public key and a key of one's own are needed",
            l->endpoint);
    if ((rc = link_socket_ask_keys(l->socket, l->server_key, &l->keys, e))) return rc;
    return monitor_open(&l->monitor, l->context, l->socket, e);
}

static enum code connect_socket(struct link *l, struct err *e)
{
    uint8_t id[1 + HASH_BYTES] = {'W'};
    enum code rc;

    if (!l->context && !(l->context = zmq_ctx_new())) return link_socket_error(e, "zmq context");
    if ((rc = link_socket_make(l->context, ZMQ_DEALER, &l->socket, e))) return rc;
    if (l->is_worker) {
        memcpy(id + 1, l->hello.worker_hello.nonce.v, HASH_BYTES);
        if (zmq_setsockopt(l->socket, ZMQ_ROUTING_ID, id, sizeof id))
            return link_socket_error(e, "zmq routing id");
    }
    if ((rc = use_keys(l, e))) return rc;
    if (zmq_connect(l->socket, l->endpoint)) return link_socket_error(e, l->endpoint);
    return OK;
}

static void disconnect(struct link *l)
{
    monitor_close(&l->monitor);
    if (l->socket) zmq_close(l->socket);
    l->socket = NULL;
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
    if ((rc = copy_options(l, o, e)) || (rc = link_socket_endpoint(l->endpoint, &l->path, e)) ||
        (rc = connect_socket(l, e))) {
        link_close(l);
        return rc;
    }
    *out = l;
    return OK;
}

void link_close(struct link *l)
{
    if (!l) return;
    disconnect(l);
    if (l->context) zmq_ctx_term(l->context);
    arena_fini(&l->strings);
    arena_fini(&l->latest_arena);
    free(l);
}

/* ---- one request ---- */

static enum code send_bytes(struct link *l, struct slice s, struct err *e)
{
    if (!l->socket) return err_set(e, ERR_AGAIN, "%s: our key is not let in", l->endpoint);
    while (zmq_send(l->socket, s.data, s.n, ZMQ_DONTWAIT) < 0)
        if (errno != EINTR) return link_socket_error(e, l->endpoint);
    return OK;
}

static enum code send_latest(struct link *l, struct err *e)
{
    enum code rc = send_bytes(l, l->latest, e);

    if (rc) return rc;
    l->sent = 1;
    l->repeat = 0;
    return OK;
}

/* Encodes m in the version of the link and keeps its bytes as the latest. m may live in the bytes that were kept before. */
static enum code keep(struct link *l, struct message *m, struct err *e)
{
    struct arena fresh = {0};
    struct slice bytes;
    enum code rc;

    m->version = l->version;
    if ((rc = proto_encode(m, &fresh, &bytes, e))) {
        arena_fini(&fresh);
        return rc;
    }
    arena_fini(&l->latest_arena);
    l->latest_arena = fresh;
    l->latest = bytes;
    return OK;
}

/* Gives ask its id and remembers its bytes as the latest. */
static enum code remember(struct link *l, struct message *ask, struct err *e)
{
    enum code rc;

    ask->id = ++l->next_id;
    if ((rc = keep(l, ask, e))) return rc;
    l->latest_id = ask->id;
    l->n_who = l->sent = l->repeat = 0;
    return OK;
}

/* The other side speaks an older version: the latest again, in that one. */
static enum code lower(struct link *l, uint64_t version, struct err *e)
{
    struct arena a = {0};
    struct message m;
    enum code rc;

    l->version = version;
    if (!l->latest.n) return OK;
    if (!(rc = proto_decode(l->latest.data, l->latest.n, &a, &m, e)) && !(rc = keep(l, &m, e)))
        rc = send_latest(l, e);
    arena_fini(&a);
    return rc;
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
    l->hello.version = l->version;
    if (!(rc = proto_encode(&l->hello, &a, &bytes, e)) && !(rc = send_bytes(l, bytes, e)))
        rc = send_latest(l, e);
    arena_fini(&a);
    return rc;
}

static enum code refusal(struct link *l, const struct msg_refused *r, struct err *e)
{
    enum code c = r->code > OK && r->code < ERR_CODES ? (enum code)r->code : ERR_INTERNAL;

    if (c == ERR_PROTOCOL && l->version < PROTO_VERSION)
        return err_set(e, c, "%s (the coordinator speaks version %llu of the protocol, we %d)",
                       r->line, (unsigned long long)l->version, PROTO_VERSION);
    return err_set(e, c, "%s", r->line);
}

/* Is this message what is waited for? *mine says so; else it was handled or does not concern us. */
static enum code judge(struct link *l, const struct message *m, int *mine, struct err *e)
{
    int to_hello = l->hello_id && m->id == l->hello_id;

    *mine = 0;
    /* Whoever does not understand our version cannot know our id. */
    if (m->id == 0 && m->kind == MSG_refused && m->version < l->version)
        return lower(l, m->version, e);
    if ((to_hello && m->kind == MSG_go_on) || (!to_hello && m->id != l->latest_id)) return OK;
    if (m->kind == MSG_who) return introduce(l, e);
    *mine = 1;
    if (m->kind == MSG_refused) return refusal(l, &m->refused, e);
    if (proto_from(m->kind) != FROM_COORDINATOR)
        return err_set(e, ERR_PROTOCOL, "%s answers with `%s`", l->endpoint, proto_name(m->kind));
    return OK;
}

/* ---- below the socket (tcp) ---- */

static enum code denied(const struct link *l, struct err *e)
{
    char key[KEY_TEXT];
    return err_set(e, ERR_DENIED,
                   "%s does not let our key in: its operator adds it with engram admin add NAME "
                   "--key '%s'",
                   l->endpoint, keys_text(l->keys.public, key));
}

/* Our key was not let in, and this socket will not try again: a new one will, after a while. */
static enum code knock_later(struct link *l, struct err *e)
{
    int last = ++l->knocks >= KNOCKS;

    disconnect(l);
    l->monitor.denied = 0;
    l->knock_ms = now_ms() + (last ? KNOCK_SLOW_MS : KNOCK_MS);
    if (!last || l->tries < 0) return OK;
    l->knocks = 0;
    return denied(l, e);
}

static enum code look_below(struct link *l, struct err *e)
{
    enum code rc;

    monitor_read(&l->monitor);
    if (l->monitor.denied) return knock_later(l, e);
    if (l->knock_ms && now_ms() >= l->knock_ms) {
        l->knock_ms = 0;
        if ((rc = connect_socket(l, e))) return rc;
        l->repeat = l->sent;
    }
    if (l->monitor.ready) l->knocks = 0;
    if (l->monitor.lost &&
        l->monitor.ready) { /* not into the old pipe, which goes a little later */
        l->monitor.lost = 0;
        l->repeat = l->sent;
    }
    return OK;
}

/* Waits for one event of the socket. OK: look again. ERR_AGAIN: time is over. ERR_CANCELLED: a signal. */
static enum code wait_event(struct link *l, short event, int64_t until, struct err *e)
{
    zmq_pollitem_t item[2] = {{.socket = l->socket, .events = event},
                              {.socket = l->monitor.socket, .events = ZMQ_POLLIN}};
    int64_t now = now_ms(), left = (l->knock_ms && l->knock_ms < until ? l->knock_ms : until) - now;
    enum code rc;

    if (l->repeat) item[0].events |= ZMQ_POLLOUT;
    int n = zmq_poll(item, !l->socket ? 0 : l->monitor.socket ? 2 : 1, left > 0 ? (long)left : 0);
    if (n < 0) return link_socket_error(e, "wait for the coordinator");
    if (l->path) return n ? OK : err_set(e, ERR_AGAIN, "%s: no answer yet", l->endpoint);
    if (n && l->socket && l->repeat && (item[0].revents & ZMQ_POLLOUT) &&
        (rc = send_latest(l, e)) != OK && rc != ERR_AGAIN)
        return rc;
    if ((rc = look_below(l, e))) return rc;
    return n || now_ms() < until ? OK : err_set(e, ERR_AGAIN, "%s: no answer yet", l->endpoint);
}

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
        if (rc == OK) rc = frames_take(&f, 0, a, &bytes, e);
        if (l->socket) frames_close(&f);
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

    if (rc || (!l->path && (rc = look_below(l, e)))) return rc;
    return send_latest(l, e);
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

    if (!l->path && !l->monitor.reached && l->tries > 0 && l->timeout_ms > REACH_MS)
        until = now_ms() + REACH_MS;
    answer->kind = MSG_none;
    while ((rc = send_latest(l, e)) == ERR_AGAIN && !(rc = wait_event(l, ZMQ_POLLOUT, until, e)))
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
    if (l->knocks) return denied(l, e);
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
    int64_t until = now_ms() + WAIT_MS;
    enum code rc = OK;

    l->sent = 0; /* answered: not lost with its connection */
    while (!rc && now_ms() < until) rc = wait_event(l, 0, until, e);
    return rc == ERR_AGAIN ? OK : rc;
}

enum code link_call(struct link *l, struct message *ask, struct arena *a, struct message *answer,
                    struct err *e)
{
    enum code rc = remember(l, ask, e);
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
