/* link.h - how messages travel: ZeroMQ, hidden. Users and worker groups call; the coordinator serves.
 *
 *     struct link_options o = { .endpoint = "ipc:///home/ann/.engram/run/engram.sock", .timeout_ms = 5000, .tries = 3 };
 *     struct link *l;
 *     if (link_open(&l, &o, &e)) ...
 *     struct message ask = { .kind = MSG_ping, .ping = { .client = "engram 0.1" } }, answer;
 *     if (link_call(l, &ask, &arena, &answer, &e)) ...     // refused comes back as an error, with its code and line
 *     link_close(l);
 *
 * Every request has an id, made here. A request without an answer in timeout_ms is sent again, with the same bytes,
 * at most `tries` times; that is harmless because every request may be repeated (PROTOCOL.md). Late answers to earlier
 * requests are dropped.
 *
 * A worker group is the same caller with o.hello set: the link says hello by itself whenever the coordinator asks `who`
 * (the first time, and after a restart of the coordinator) and repeats what it had asked. Its routing id is made of
 * the nonce, so it stays the same group when sockets reconnect.
 *
 * A link belongs to one thread. Make it after fork. SIGINT ends a wait with ERR_CANCELLED (whoever handles the signal
 * without SA_RESTART). CURVE: keys have their place in the options; until they are used, only ipc is accepted.
 */
#ifndef PROTO_LINK_H
#define PROTO_LINK_H

#include "proto/proto.h"

struct link_options {
    const char *endpoint;             /* "ipc://<path>", path at most 107 bytes */
    int timeout_ms;                   /* one try of link_call; 0: 5000 */
    int tries;                        /* 0: 3; negative: for ever (workers, that outlive a coordinator) */
    const struct msg_worker_hello *hello;   /* worker groups only; copied */
    const char *server_key, *public_key, *secret_key;   /* CURVE, Z85. Not yet: must be NULL */
};

/* ---- who asks ---- */

struct link;

/* Connecting never waits: whether somebody is there shows at the first call. */
enum code link_open(struct link **l, const struct link_options *o, struct err *e);
/* Does somebody listen there? Known at once; a socket file that a dead coordinator left says no. */
int link_alive(const char *endpoint);
void link_close(struct link *l);                 /* NULL is fine; drops what was not sent */

/* Sends ask (its id is chosen here; may be sent again as it is) and waits for the answer, which lives in the arena. An answer `refused` is returned as
 * its code with its line. ERR_ENVIRONMENT: nobody answered; the line says how to start a coordinator. */
enum code link_call(struct link *l, struct message *ask, struct arena *a, struct message *answer, struct err *e);

/* The two halves, for heartbeats that must not stop the work: link_tell never blocks (ERR_AGAIN: queue full, nobody
 * there); link_hear waits up to timeout_ms for the answer to the *latest* tell or call (ERR_AGAIN: none yet). `who` is
 * handled inside: hello is said again and the latest tell is repeated. */
enum code link_tell(struct link *l, struct message *ask, struct err *e);
enum code link_hear(struct link *l, int timeout_ms, struct arena *a, struct message *answer, struct err *e);

/* ---- who answers ---- */

struct link_server;
struct link_peer { uint8_t id[64]; uint8_t n; };     /* a peer's routing id: where to answer, not who it is */

/* Binds. Makes the folder of an ipc path 0700 and the socket 0600. A socket on which somebody listens is ERR_EXISTS with a
 * clear line; a dead one left by a kill is replaced. */
enum code link_serve(struct link_server **s, const char *endpoint, struct err *e);
void link_server_close(struct link_server *s);       /* NULL is fine; removes the socket file */

/* Waits until one of n servers has a message; ready[i] says which. Returns early on a signal. */
enum code link_server_wait(struct link_server *const *s, int n, int timeout_ms, int *ready, struct err *e);

/* The next message. ERR_AGAIN: none now. ERR_PROTOCOL: refused (the sender has been told already); go on. */
enum code link_server_receive(struct link_server *s, struct link_peer *from, struct arena *a, struct message *m, struct err *e);

/* Answers. Never blocks; a peer that is gone or does not read loses the answer (it will ask again). */
enum code link_server_send(struct link_server *s, const struct link_peer *to, const struct message *m, struct err *e);

#endif
