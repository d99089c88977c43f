/* link_socket.c - ZeroMQ's defaults are made for a trusted room (no size limit, no end to a handshake, messages kept at exit
 * for ever); here each one is set, with its reason. */
#include "proto/link_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct option {
    int type;
    int name, value;
}; /* type 0: any socket */

/* clang-format off */
static const struct option options[] = {
    { 0, ZMQ_HANDSHAKE_IVL, 3000 },        /* a slow handshake holds a descriptor so long */
    { 0, ZMQ_HEARTBEAT_IVL, 5000 },        /* finds dead peers; leases are kept by our own heartbeats */
    { 0, ZMQ_HEARTBEAT_TIMEOUT, 15000 },
    { 0, ZMQ_RCVHWM, 1000 },
    { 0, ZMQ_SNDHWM, 1000 },
    { 0, ZMQ_TCP_MAXRT, 10000 },           /* a peer that reads nothing for so long is gone */
    { ZMQ_DEALER, ZMQ_LINGER, 0 },         /* an asker that leaves wants no more */
    { ZMQ_ROUTER, ZMQ_LINGER, 200 },       /* the answer to `stop` is the last one */
    { ZMQ_DEALER, ZMQ_IMMEDIATE, 1 },      /* nothing is queued for somebody who is not there */
    { ZMQ_DEALER, ZMQ_RECONNECT_IVL, 50 },
    { ZMQ_DEALER, ZMQ_RECONNECT_IVL_MAX, 1000 },
    { ZMQ_ROUTER, ZMQ_ROUTER_MANDATORY, 1 },   /* an answer to nobody is an error, not silence */
    { ZMQ_ROUTER, ZMQ_BACKLOG, 1024 },
};
/* clang-format on */

enum code link_socket_error(struct err *e, const char *what)
{
    int no = errno;
    enum code c = no == ENOMEM                         ? ERR_NOMEM
                  : no == EMFILE || no == ENOSPC       ? ERR_FULL
                  : no == EACCES || no == EPERM        ? ERR_DENIED
                  : no == EADDRINUSE                   ? ERR_EXISTS
                  : no == EAGAIN || no == EHOSTUNREACH ? ERR_AGAIN
                  : no == EINTR                        ? ERR_CANCELLED
                                                       : ERR_IO;
    return err_set(e, c, "%s: %s", what, zmq_strerror(no));
}

enum code link_socket_make(void *context, int type, void **socket_out, struct err *e)
{
    void *s = zmq_socket(context, type);
    int64_t most = PROTO_BYTES;
    int failed = 0;

    if (!s) return link_socket_error(e, "zmq socket");
    failed |= zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &most, sizeof most);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].type == 0 || options[i].type == type)
            failed |=
                zmq_setsockopt(s, options[i].name, &options[i].value, sizeof options[i].value);
    if (failed) {
        enum code rc = link_socket_error(e, "zmq socket option");
        zmq_close(s);
        return rc;
    }
    *socket_out = s;
    return OK;
}

/* Not always: with both families a name is looked up as IPv6 first, where nobody may listen. */
enum code link_socket_family(void *s, const char *endpoint, struct err *e)
{
    int six = strchr(endpoint, '[') != NULL;
    return zmq_setsockopt(s, ZMQ_IPV6, &six, sizeof six) ? link_socket_error(e, "zmq address") : OK;
}

/* ---- keys ---- */

/* Where no ZAP handler answers, ZeroMQ lets everybody in; link_server.c then sees messages without a key, and hears none of them. */
enum code link_socket_serve_keys(void *s, const struct keys *mine, struct err *e)
{
    int one = 1, failed = 0;

    failed |= zmq_setsockopt(s, ZMQ_CURVE_SERVER, &one, sizeof one);
    failed |= zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, mine->secret.v, HASH_BYTES);
    failed |= zmq_setsockopt(s, ZMQ_ZAP_DOMAIN, "engram", 6);
    return failed ? link_socket_error(e, "zmq keys") : OK;
}

enum code link_socket_ask_keys(void *s, struct hash server, const struct keys *mine, struct err *e)
{
    int failed = 0;

    failed |= zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, server.v, HASH_BYTES);
    failed |= zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, mine->public.v, HASH_BYTES);
    failed |= zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, mine->secret.v, HASH_BYTES);
    return failed ? link_socket_error(e, "zmq keys") : OK;
}

/* ---- whole messages ---- */

static enum code frame_receive(void *s, zmq_msg_t *frame, struct err *e)
{
    while (zmq_msg_recv(frame, s, ZMQ_DONTWAIT) < 0)
        if (errno != EINTR) return link_socket_error(e, "receive");
    return OK;
}

/* ZeroMQ delivers whole messages only, so no frame is ever missing here. */
enum code frames_receive(void *s, struct frames *f, struct err *e)
{
    zmq_msg_t surplus;
    int more = 1;
    enum code rc = OK;

    f->n = f->kept = 0;
    while (!rc && more) {
        zmq_msg_t *frame = f->kept < LINK_FRAMES ? &f->v[f->kept] : &surplus;
        zmq_msg_init(frame);
        if ((rc = frame_receive(s, frame, e)) == OK) {
            more = zmq_msg_more(frame);
            f->n++;
        }
        if (rc || frame == &surplus) zmq_msg_close(frame);
        else f->kept++;
    }
    return rc;
}

void frames_close(struct frames *f)
{
    for (size_t i = 0; i < f->kept; i++) zmq_msg_close(&f->v[i]);
    f->kept = 0;
}

struct slice frames_bytes(struct frames *f, size_t i)
{
    return (struct slice){zmq_msg_data(&f->v[i]), zmq_msg_size(&f->v[i])};
}

enum code frames_take(struct frames *f, size_t i, size_t most, struct arena *a, struct slice *out,
                      struct err *e)
{
    size_t n = f->n > i ? f->n - i : 0, at = 0, total = 0;
    uint8_t *all;

    *out = (struct slice){0};
    if (n == 0 || n > most)
        return err_set(e, ERR_PROTOCOL, "a message of %zu frames; at most %zu expected", n, most);
    for (size_t k = i; k < f->kept; k++) total += frames_bytes(f, k).n;
    if (f->kept < f->n || total > PROTO_BYTES)
        return err_set(e, ERR_PROTOCOL, "message of %zu bytes; at most %u are read", total,
                       PROTO_BYTES);
    if (!(all = arena_alloc(a, total)) && total)
        return err_set(e, ERR_NOMEM, "out of memory for a message of %zu bytes", total);
    for (size_t k = i; k < f->n; k++) {
        struct slice s = frames_bytes(f, k);
        if (s.n) memcpy(all + at, s.data, s.n);
        at += s.n;
    }
    *out = (struct slice){all, total};
    return OK;
}

enum code link_socket_send(void *socket, struct slice bytes, size_t piece, const char *where,
                           struct err *e)
{
    for (size_t at = 0, n;; at += n) {
        n = bytes.n - at < piece ? bytes.n - at : piece;
        int more = at + n < bytes.n ? ZMQ_SNDMORE : 0;
        while (zmq_send(socket, bytes.data + at, n, ZMQ_DONTWAIT | more) < 0)
            if (errno != EINTR) return link_socket_error(e, where);
        if (!more) return OK;
    }
}

/* Our ZAP handler names everybody by the hex digits of their key. */
struct hash frames_key(struct frames *f, size_t i)
{
    const char *id = i < f->kept ? zmq_msg_gets(&f->v[i], "User-Id") : NULL;
    struct hash key = {{0}};

    if (!id || hash_parse(id, &key, NULL)) return (struct hash){{0}};
    return key;
}

/* ---- endpoints ---- */

static enum code check_path(const char *endpoint, const char *path, struct err *e)
{
    size_t room = sizeof((struct sockaddr_un *)0)->sun_path;

    if (*path != '/')
        return err_set(e, ERR_USAGE, "endpoint %s: the path must begin with /", endpoint);
    if (strlen(path) >= room)
        return err_set(e, ERR_USAGE,
                       "socket path %s has %zu bytes, the system allows %zu: choose a shorter home",
                       path, strlen(path), room - 1);
    return OK;
}

enum code link_socket_endpoint(const char *endpoint, const char **path, struct err *e)
{
    const char *colon = endpoint ? strrchr(endpoint, ':') : NULL;

    *path = NULL;
    if (endpoint && !strncmp(endpoint, "ipc://", 6)) {
        *path = endpoint + 6;
        return check_path(endpoint, *path, e);
    }
    if (endpoint && !strncmp(endpoint, "tcp://", 6) && colon > endpoint + 6 && colon[1]) return OK;
    return err_set(e, ERR_USAGE,
                   "endpoint %s: ipc:///path/to/socket or tcp://host:port is expected",
                   endpoint ? endpoint : "(none)");
}

int link_socket_alive(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), alive;

    if (fd < 0 || strlen(path) >= sizeof to.sun_path) {
        if (fd >= 0) close(fd);
        return 0;
    }
    memcpy(to.sun_path, path, strlen(path) + 1);
    alive =
        connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EAGAIN || errno == EACCES;
    close(fd);
    return alive;
}

int link_alive(const char *endpoint)
{
    const char *path = NULL;
    return link_socket_endpoint(endpoint, &path, NULL) == OK && (!path || link_socket_alive(path));
}
