/* link_wait.c - connecting, and waiting for what happens to the connection. */
#include "proto/link_ask.h"

#include <string.h>

enum {
    KNOCKS = 6,          /* a key may just be on its way to the door, */
    KNOCK_MS = 400,      /* which looks about once a second; */
    KNOCK_SLOW_MS = 2000 /* whoever asks for ever need not hurry */
};

static enum code use_keys(struct link *l, struct err *e)
{
    enum code rc;

    if (l->path) return OK;
    if (hash_is_zero(l->server_key) || hash_is_zero(l->keys.secret))
        return err_set(
            e, ERR_USAGE,
            "%s: over TCP the coordinator's public key and a key of one's own are needed",
            l->endpoint);
    if ((rc = link_socket_ask_keys(l->socket, l->server_key, &l->keys, e)) ||
        (rc = link_socket_family(l->socket, l->endpoint, e)))
        return rc;
    return monitor_open(&l->monitor, l->context, l->socket, e);
}

enum code link_connect(struct link *l, struct err *e)
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

void link_disconnect(struct link *l)
{
    monitor_close(&l->monitor);
    if (l->socket) zmq_close(l->socket);
    l->socket = NULL;
}

/* ---- below the socket (tcp) ---- */

enum code link_denied(const struct link *l, struct err *e)
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

    link_disconnect(l);
    l->monitor.denied = 0;
    l->knock_ms = link_now_ms() + (last ? KNOCK_SLOW_MS : KNOCK_MS);
    if (!last || l->tries < 0) return OK;
    l->knocks = 0;
    return link_denied(l, e);
}

enum code link_look_below(struct link *l, struct err *e)
{
    enum code rc;

    monitor_read(&l->monitor);
    if (l->monitor.denied) return knock_later(l, e);
    if (l->knock_ms && link_now_ms() >= l->knock_ms) {
        l->knock_ms = 0;
        if ((rc = link_connect(l, e))) return rc;
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
enum code link_wait_event(struct link *l, short event, int64_t until, struct err *e)
{
    zmq_pollitem_t item[2] = {{.socket = l->socket, .events = event},
                              {.socket = l->monitor.socket, .events = ZMQ_POLLIN}};
    int64_t now = link_now_ms(),
            left = (l->knock_ms && l->knock_ms < until ? l->knock_ms : until) - now;
    enum code rc;

    if (l->repeat) item[0].events |= ZMQ_POLLOUT;
    int n = zmq_poll(item, !l->socket ? 0 : l->monitor.socket ? 2 : 1, left > 0 ? (long)left : 0);
    if (n < 0) return link_socket_error(e, "wait for the coordinator");
    if (l->path) return n ? OK : err_set(e, ERR_AGAIN, "%s: no answer yet", l->endpoint);
    if (n && l->socket && l->repeat && (item[0].revents & ZMQ_POLLOUT) &&
        (rc = link_send_latest(l, e)) != OK && rc != ERR_AGAIN)
        return rc;
    if ((rc = link_look_below(l, e))) return rc;
    return n || link_now_ms() < until ? OK
                                      : err_set(e, ERR_AGAIN, "%s: no answer yet", l->endpoint);
}
