/* link_socket.h - what both ends of a link share: ZeroMQ options, whole messages as frames, endpoints. Inside proto/ only. */
#ifndef PROTO_LINK_SOCKET_H
#define PROTO_LINK_SOCKET_H

#include "proto/link.h"

#include <zmq.h>

/* The one translator of ZeroMQ's errors. */
enum code link_socket_error(struct err *e, const char *what);

/* A socket with our options on it. type: ZMQ_DEALER or ZMQ_ROUTER. */
enum code link_socket_make(void *context, int type, void **socket, struct err *e);

/* Lets a socket speak IPv6 where its endpoint does: "tcp://[::1]:7700". Before it binds or connects. */
enum code link_socket_family(void *socket, const char *endpoint, struct err *e);

/* CURVE on a socket, before it binds or connects. A server asks the ZAP handler of its context about everybody. */
enum code link_socket_serve_keys(void *socket, const struct keys *mine, struct err *e);
enum code link_socket_ask_keys(void *socket, struct hash server, const struct keys *mine, struct err *e);

/* Before a peer has shown its key ZeroMQ takes any one frame of it into memory. Over TCP, where strangers come, a frame is small, and
 * a message that is larger comes in pieces. */
enum { LINK_PIECE = 16 << 10, LINK_PIECES = PROTO_BYTES / LINK_PIECE };

/* Sends a message in pieces of at most `piece` bytes, behind frames that were sent with ZMQ_SNDMORE. Without waiting; either all of it is
 * on its way or nothing. */
enum code link_socket_send(void *socket, struct slice bytes, size_t piece, const char *where, struct err *e);

/* One whole message. */
enum { LINK_FRAMES = 4 + LINK_PIECES };
struct frames {
    zmq_msg_t v[LINK_FRAMES];         /* v[0..kept) are open */
    size_t n, kept;                   /* n: of the message; more than LINK_FRAMES are read and thrown away */
};

/* Receives without waiting. ERR_AGAIN: nothing there. frames_close in any case. */
enum code frames_receive(void *socket, struct frames *f, struct err *e);
void frames_close(struct frames *f);
struct slice frames_bytes(struct frames *f, size_t i);         /* borrowed from f */
/* Copies the contents, frame i and those behind it, into the arena. More than `most` of them, or of PROTO_BYTES: ERR_PROTOCOL. */
enum code frames_take(struct frames *f, size_t i, size_t most, struct arena *a, struct slice *out, struct err *e);
/* The key that CURVE proved for the sender of frame i; zero where there is none. */
struct hash frames_key(struct frames *f, size_t i);

/* What an endpoint says: "ipc://<path>" with its path (borrowed, checked for kind and length), or "tcp://<host>:<port>", where *path is NULL. */
enum code link_socket_endpoint(const char *endpoint, const char **path, struct err *e);

/* Does somebody listen there? */
int link_socket_alive(const char *path);

/* Answers ZeroMQ's question who may come in (ZAP, RFC 27), in a thread, for all servers of a context. Start it before they bind; it
 * ends when the context is shut down (zmq_ctx_shutdown), link_zap_join waits for that. */
struct link_zap;
enum code link_zap_start(struct link_zap **z, void *context, struct guests *g, struct err *e);
void link_zap_join(struct link_zap *z);                        /* NULL is fine */

#endif
