/* link_server.c - who answers: the coordinator and its doors, over a ROUTER.
 *
 * Frames on the wire (the ROUTER puts the first one there by itself):
 *
 *     plain       [route][message]                    no key: the permissions of an ipc socket
 *     keyed       [route][message]                    the key is CURVE's
 *     relayed     [door][route][key][message]         one door speaks for its guests; its own routing id is always "door"
 *                 [door][route][message]              the answer
 *     relay                                           the door's end of it, a DEALER
 */
#include "proto/link_socket.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SERVERS = 8,
    ENDPOINT_MOST = 256,
    SEALED = 64
}; /* SEALED: what CURVE adds to a frame, and some */

static const char DOOR[] = "door";

enum manner { PLAIN, KEYED, RELAYED, RELAY };

struct link_server {
    void *context, *socket;
    struct link_zap *zap;
    enum manner manner;
    char *path; /* owned; ipc: bound, removed at the end */
    char endpoint[ENDPOINT_MOST];
};

/* ---- open and close ---- */

/* A folder for one user only, and no socket in the way. */
static enum code make_place(const char *path, struct err *e)
{
    char *dir = strdup(path), *slash;
    struct stat st;
    enum code rc;

    if (!dir) return err_set(e, ERR_NOMEM, "out of memory");
    slash = strrchr(dir, '/');
    *(slash == dir ? slash + 1 : slash) = '\0';
    if (!(rc = file_make_dirs(dir, e)) && slash != dir && chmod(dir, 0700))
        rc = err_errno(e, "%s: make private", dir);
    free(dir);
    if (rc || lstat(path, &st)) return rc;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_EXISTS, "%s is in the way and no socket: move it", path);
    if (link_socket_alive(path))
        return err_set(e, ERR_EXISTS, "somebody answers at %s already: `engram down` stops it",
                       path);
    return OK; /* left by a kill: ZeroMQ replaces it */
}

static enum code bind_private(struct link_server *s, const char *endpoint, struct err *e)
{
    mode_t old = umask(0177); /* never, not for a moment, open to others */
    int failed = zmq_bind(s->socket, endpoint);

    umask(old);
    if (failed) return link_socket_error(e, endpoint);
    if (chmod(s->path, 0600)) return err_errno(e, "%s: make private", s->path);
    return OK;
}

static enum code bind_ipc(struct link_server *s, const char *endpoint, const char *path,
                          struct err *e)
{
    enum code rc = make_place(path, e);

    if (rc) return rc;
    if (!(s->path = strdup(path))) return err_set(e, ERR_NOMEM, "out of memory");
    return bind_private(s, endpoint, e);
}

static enum code bind_tcp(struct link_server *s, const struct link_place *p, struct err *e)
{
    int few = 64;
    int64_t piece = LINK_PIECE + SEALED;
    enum code rc;

    if (!p->keys || !p->guests || p->relayed)
        return err_set(e, ERR_USAGE, "endpoint %s: TCP is served with keys only", p->endpoint);
    if ((rc = link_zap_start(&s->zap, s->context, p->guests, e)) ||
        (rc = link_socket_serve_keys(s->socket, p->keys, e)) ||
        (rc = link_socket_family(s->socket, p->endpoint, e)))
        return rc;
    /* A guest who does not read loses answers before they fill a door. */
    if (zmq_setsockopt(s->socket, ZMQ_SNDHWM, &few, sizeof few) ||
        zmq_setsockopt(s->socket, ZMQ_MAXMSGSIZE, &piece, sizeof piece))
        return link_socket_error(e, "zmq queue");
    return zmq_bind(s->socket, p->endpoint) ? link_socket_error(e, p->endpoint) : OK;
}

static enum code make(struct link_server **out, int type, enum manner manner, struct err *e)
{
    struct link_server *s = *out = mem_alloc(1, sizeof *s);

    if (!s) return err_set(e, ERR_NOMEM, "out of memory");
    s->manner = manner;
    if (!(s->context = zmq_ctx_new())) return link_socket_error(e, "zmq context");
    /* One thread may be busy with strangers. */
    if (manner == KEYED) zmq_ctx_set(s->context, ZMQ_IO_THREADS, 2);
    return link_socket_make(s->context, type, &s->socket, e);
}

static enum code name_endpoint(struct link_server *s, struct err *e)
{
    size_t n = sizeof s->endpoint;
    return zmq_getsockopt(s->socket, ZMQ_LAST_ENDPOINT, s->endpoint, &n)
               ? link_socket_error(e, "zmq endpoint")
               : OK;
}

enum code link_serve(struct link_server **out, const struct link_place *p, struct err *e)
{
    struct link_server *s = NULL;
    const char *path;
    int over = p->takes_over || p->relayed;
    enum code rc;

    *out = NULL;
    if ((rc = link_socket_endpoint(p->endpoint, &path, e)) || (rc = make(&s, ZMQ_ROUTER,
                                                                         p->relayed ? RELAYED
                                                                         : path     ? PLAIN
                                                                                    : KEYED,
                                                                         e)))
        goto fail;
    if (zmq_setsockopt(s->socket, ZMQ_ROUTER_HANDOVER, &over, sizeof over)) {
        rc = link_socket_error(e, "zmq handover");
        goto fail;
    }
    if ((rc = path ? bind_ipc(s, p->endpoint, path, e) : bind_tcp(s, p, e)) ||
        (rc = name_endpoint(s, e)))
        goto fail;
    *out = s;
    return OK;
fail:
    link_server_close(s);
    return rc;
}

enum code link_relay(struct link_server **out, const char *endpoint, struct err *e)
{
    struct link_server *s = NULL;
    const char *path;
    enum code rc;

    *out = NULL;
    if ((rc = link_socket_endpoint(endpoint, &path, e))) return rc;
    if (!path) return err_set(e, ERR_USAGE, "endpoint %s: a door relays over ipc only", endpoint);
    if ((rc = make(&s, ZMQ_DEALER, RELAY, e))) goto fail;
    if (zmq_setsockopt(s->socket, ZMQ_ROUTING_ID, DOOR, sizeof DOOR - 1) ||
        zmq_connect(s->socket, endpoint)) {
        rc = link_socket_error(e, endpoint);
        goto fail;
    }
    if ((rc = name_endpoint(s, e))) goto fail;
    *out = s;
    return OK;
fail:
    link_server_close(s);
    return rc;
}

void link_server_close(struct link_server *s)
{
    if (!s) return;
    if (s->socket) zmq_close(s->socket);
    if (s->zap) zmq_ctx_shutdown(s->context); /* ends its wait */
    link_zap_join(s->zap);
    if (s->context) zmq_ctx_term(s->context);
    if (s->path) unlink(s->path);
    free(s->path);
    free(s);
}

const char *link_server_endpoint(const struct link_server *s)
{
    return s->endpoint;
}

enum code link_server_wait(struct link_server *const *s, int n, int timeout_ms, int *ready,
                           struct err *e)
{
    zmq_pollitem_t items[SERVERS];
    int at[SERVERS], open = 0;

    if (n > SERVERS)
        return err_set(e, ERR_INTERNAL, "%d sockets in one loop, at most %d", n, SERVERS);
    for (int i = 0; i < n; i++) {
        ready[i] = 0;
        if (!s[i]) continue;
        items[open] = (zmq_pollitem_t){.socket = s[i]->socket, .events = ZMQ_POLLIN};
        at[open++] = i;
    }
    int got = zmq_poll(items, open, timeout_ms);
    if (got < 0 && errno != EINTR) return link_socket_error(e, "wait for messages");
    for (int i = 0; got > 0 && i < open; i++) ready[at[i]] = (items[i].revents & ZMQ_POLLIN) != 0;
    return OK;
}

/* ---- messages in ---- */

/* How many frames come before the message. */
static size_t envelope(const struct link_server *s)
{
    return s->manner == RELAYED ? 3 : 1;
}

/* The peer out of the frames before the message. */
static enum code read_peer(struct link_server *s, struct frames *f, struct link_peer *from,
                           struct err *e)
{
    size_t at = s->manner == RELAYED ? 1 : 0;

    if (f->n < envelope(s) + 1) return err_set(e, ERR_PROTOCOL, "a message without contents");
    struct slice id = frames_bytes(f, at);
    if ((id.n == 0 && s->manner <= KEYED) || id.n > sizeof from->id)
        return err_set(e, ERR_PROTOCOL, "a message with a routing id of %zu bytes", id.n);
    if (s->manner == KEYED) {
        from->key = frames_key(f, 1);
        if (hash_is_zero(from->key)) return err_set(e, ERR_DENIED, "a message without a key");
    } else if (s->manner == RELAYED) {
        struct slice key = frames_bytes(f, at + 1);
        if (key.n != HASH_BYTES)
            return err_set(e, ERR_PROTOCOL, "a door that passes a key of %zu bytes", key.n);
        memcpy(from->key.v, key.data, HASH_BYTES);
        if (hash_is_zero(from->key) != (id.n == 0))
            return err_set(e, ERR_PROTOCOL, "a door that passes a guest without a key");
    }
    memcpy(from->id, id.data, id.n);
    from->n = (uint8_t)id.n;
    return OK;
}

static void tell_refused(struct link_server *s, const struct link_peer *to, uint64_t id,
                         struct err *why)
{
    struct message no = proto_refused(why);
    no.id = id;
    link_server_send(s, to, &no, NULL);
}

enum code link_server_take(struct link_server *s, struct link_peer *from, struct arena *a,
                           struct slice *bytes, struct err *e)
{
    struct frames f;
    struct err local;
    enum code rc;

    if (!e) e = &local;
    *from = (struct link_peer){.n = 0};
    *bytes = (struct slice){0};
    if ((rc = frames_receive(s->socket, &f, e)) == OK && (rc = read_peer(s, &f, from, e)) == OK)
        rc = frames_take(&f, envelope(s), s->manner == KEYED ? LINK_PIECES + 1 : 1, a, bytes, e);
    frames_close(&f);
    if (rc && rc != ERR_AGAIN && from->n && s->manner <= KEYED) tell_refused(s, from, 0, e);
    return rc;
}

enum code link_server_receive(struct link_server *s, struct link_peer *from, struct arena *a,
                              struct message *m, struct err *e)
{
    struct slice bytes;
    struct err local;
    enum code rc;

    if (!e) e = &local;
    memset(m, 0, sizeof *m);
    if ((rc = link_server_take(s, from, a, &bytes, e))) return rc;
    rc = proto_decode(bytes.data, bytes.n, a, m, e);
    from->version = (uint8_t)m->version;
    if (rc == OK && m->id == 0)
        rc = err_set(e, ERR_PROTOCOL, "%s: request id 0 cannot be answered", proto_name(m->kind));
    if (rc) tell_refused(s, from, m->id, e);
    return rc;
}

/* ---- messages out ---- */

static int send_frame(struct link_server *s, const void *data, size_t n, int more)
{
    return zmq_send(s->socket, data, n, ZMQ_DONTWAIT | more) < 0;
}

enum code link_server_pass(struct link_server *s, const struct link_peer *to, struct slice bytes,
                           struct err *e)
{
    if ((s->manner == RELAYED && send_frame(s, DOOR, sizeof DOOR - 1, ZMQ_SNDMORE)) ||
        send_frame(s, to->id, to->n, ZMQ_SNDMORE) ||
        (s->manner == RELAY && send_frame(s, to->key.v, HASH_BYTES, ZMQ_SNDMORE)) ||
        send_frame(s, bytes.data, bytes.n, 0))
        return link_socket_error(e, "answer");
    return OK;
}

enum code link_server_send(struct link_server *s, const struct link_peer *to,
                           const struct message *m, struct err *e)
{
    struct arena a = {0};
    struct slice bytes;
    struct message in_kind = *m;
    enum code rc;

    if (!in_kind.version) in_kind.version = to->version;
    if ((rc = proto_encode(&in_kind, &a, &bytes, e)) == OK) rc = link_server_pass(s, to, bytes, e);
    arena_fini(&a);
    return rc;
}
