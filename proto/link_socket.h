/* link_socket.h - what both ends of a link share: ZeroMQ options, one message in one frame, ipc paths. Inside proto/ only. */
#ifndef PROTO_LINK_SOCKET_H
#define PROTO_LINK_SOCKET_H

#include "proto/link.h"

/* The one translator of ZeroMQ's errors. */
enum code link_socket_error(struct err *e, const char *what);

/* A socket with our options on it. type: ZMQ_DEALER or ZMQ_ROUTER. */
enum code link_socket_make(void *context, int type, void **socket, struct err *e);

/* Receives without waiting: the peer's routing id if from is not NULL, then exactly one frame, copied into the arena. Surplus
 * frames are read and thrown away, and the message is refused. ERR_AGAIN: nothing there. */
enum code link_socket_receive(void *socket, struct link_peer *from, struct arena *a, struct slice *out,
                              struct err *e);

/* The path inside "ipc://<path>", checked for kind and length. Borrowed from endpoint. */
enum code link_socket_path(const char *endpoint, const char **path, struct err *e);

/* Does somebody listen there? */
int link_socket_alive(const char *path);

#endif
