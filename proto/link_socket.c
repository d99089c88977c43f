/* link_socket.c - ZeroMQ's defaults are made for a trusted room (no size limit, no end to a handshake, messages kept at exit
 * for ever); here each one is set, with its reason. */
#include "proto/link_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

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
    { ZMQ_DEALER, ZMQ_LINGER, 0 },         /* an asker that leaves wants no more */
    { ZMQ_ROUTER, ZMQ_LINGER, 200 },       /* the answer to `stop` is the last one */
    { ZMQ_DEALER, ZMQ_IMMEDIATE, 1 },      /* nothing is queued for somebody who is not there */
    { ZMQ_DEALER, ZMQ_RECONNECT_IVL, 50 },
    { ZMQ_DEALER, ZMQ_RECONNECT_IVL_MAX, 1000 },
    { ZMQ_ROUTER, ZMQ_ROUTER_MANDATORY, 1 },   /* an answer to nobody is an error, not silence */
    { ZMQ_ROUTER, ZMQ_ROUTER_HANDOVER, 1 },    /* a group that reconnects takes its name over */
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

/* One frame. OK, ERR_AGAIN, or worse. The caller closes the frame in any case. */
static enum code frame_receive(void *s, zmq_msg_t *frame, struct err *e)
{
    while (zmq_msg_recv(frame, s, ZMQ_DONTWAIT) < 0)
        if (errno != EINTR) return link_socket_error(e, "receive");
    return OK;
}

/* Reads the rest of a message. ZeroMQ delivers whole messages only, so no frame is ever missing here. */
static size_t frames_drain(void *s, zmq_msg_t *frame, struct err *e)
{
    size_t n = 0;
    while (zmq_msg_more(frame)) {
        if (frame_receive(s, frame, e)) break;
        n++;
    }
    return n;
}

enum code link_socket_receive(void *s, struct link_peer *from, struct arena *a, struct slice *out,
                              struct err *e)
{
    zmq_msg_t frame;
    enum code rc;
    size_t surplus;

    *out = (struct slice){0};
    zmq_msg_init(&frame);
    if ((rc = frame_receive(s, &frame, e))) goto close;
    if (from) {
        size_t n = zmq_msg_size(&frame);
        from->n = (uint8_t)(n <= sizeof from->id ? n : 0);
        memcpy(from->id, zmq_msg_data(&frame), from->n);
        if (from->n == 0 || !zmq_msg_more(&frame)) {
            frames_drain(s, &frame, e);
            rc = err_set(e, ERR_PROTOCOL,
                         "a message without contents or with a routing id of %zu bytes", n);
            goto close;
        }
        if ((rc = frame_receive(s, &frame, e))) goto close;
    }
    out->n = zmq_msg_size(&frame);
    out->data = arena_copy(a, zmq_msg_data(&frame), out->n);
    if (!out->data && out->n)
        rc = err_set(e, ERR_NOMEM, "out of memory for a message of %zu bytes", out->n);
    if ((surplus = frames_drain(s, &frame, e)))
        rc = err_set(e, ERR_PROTOCOL, "a message of %zu frames; one is expected", surplus + 1);
close:
    zmq_msg_close(&frame);
    return rc;
}

enum code link_socket_path(const char *endpoint, const char **path, struct err *e)
{
    size_t room = sizeof((struct sockaddr_un *)0)->sun_path;

    if (!endpoint || strncmp(endpoint, "ipc://", 6))
        return err_set(e, ERR_USAGE, "endpoint %s: only ipc:///path/to/socket is spoken",
                       endpoint ? endpoint : "(none)");
    *path = endpoint + 6;
    if (**path != '/')
        return err_set(e, ERR_USAGE, "endpoint %s: the path must begin with /", endpoint);
    if (strlen(*path) >= room)
        return err_set(e, ERR_USAGE,
                       "socket path %s has %zu bytes, the system allows %zu: choose a shorter home",
                       *path, strlen(*path), room - 1);
    return OK;
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
    return link_socket_path(endpoint, &path, NULL) == OK && link_socket_alive(path);
}
