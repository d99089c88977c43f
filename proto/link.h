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
 * Two ways. ipc: who may speak is a matter of file permissions. tcp: encrypted and authenticated by CURVE, always; each side
 * has a pair of keys (keys.h) and knows the other's public one. A key that is not let in is an error with a line that says so,
 * after a short while: somebody may just be adding it. Over tcp a broken connection is noticed, and the latest request
 * is said again as soon as there is a new one.
 *
 * Versions. A link begins with the newest version of the protocol that it speaks. When the other side refuses it in an older one,
 * the link repeats its request in that one and stays there.
 *
 * A link belongs to one thread. Make it after fork. SIGINT ends a wait with ERR_CANCELLED (whoever handles the signal
 * without SA_RESTART).
 */
#ifndef PROTO_LINK_H
#define PROTO_LINK_H

#include "proto/guests.h"
#include "proto/keys.h"
#include "proto/proto.h"

struct link_options {
    const char *endpoint;             /* "ipc://<path>", path at most 107 bytes; "tcp://<host>:<port>" */
    int timeout_ms;                   /* one try of link_call; 0: 5000 */
    int tries;                        /* 0: 3; negative: for ever (workers, that outlive a coordinator) */
    const struct msg_worker_hello *hello;   /* worker groups only; copied */
    struct hash server_key;           /* tcp: the coordinator's public key */
    struct keys keys;                 /* tcp: one's own */
};

/* ---- who asks ---- */

struct link;

/* Connecting never waits: whether somebody is there shows at the first call. */
enum code link_open(struct link **l, const struct link_options *o, struct err *e);
/* Does somebody listen there? Known at once for ipc (a socket file that a dead coordinator left says no); tcp: 1. */
int link_alive(const char *endpoint);
void link_close(struct link *l);                 /* NULL is fine; drops what was not sent */

/* Sends ask (its id and version are chosen here; may be sent again as it is) and waits for the answer, which lives in the arena.
 * An answer `refused` is returned as its code with its line; `again` to a user
 * only when it was heard for some seconds. ERR_ENVIRONMENT: nobody answered; the line says how to start a
 * coordinator. ERR_DENIED: our key is not let in there. */
enum code link_call(struct link *l, struct message *ask, struct arena *a, struct message *answer, struct err *e);

/* The two halves, for heartbeats that must not stop the work: link_tell never blocks (ERR_AGAIN: queue full, nobody
 * there); link_hear waits up to timeout_ms for the answer to the *latest* tell or call (ERR_AGAIN: none yet). `who` is
 * handled inside: hello is said again and the latest tell is repeated. */
enum code link_tell(struct link *l, struct message *ask, struct err *e);
enum code link_hear(struct link *l, int timeout_ms, struct arena *a, struct message *answer, struct err *e);

/* ---- who answers ---- */

struct link_server;

/* Where to answer, and who it is as far as the transport knows. */
struct link_peer {
    uint8_t id[64];                   /* routing id: chosen by the peer, proves nothing */
    uint8_t n;                        /* 0: the door itself (below) */
    uint8_t version;                  /* of the protocol in which it asked, for the answer; 0: not known */
    struct hash key;                  /* its public key, proved by CURVE; zero: ipc, where permissions decide */
};

struct link_place {
    const char *endpoint;
    const struct keys *keys;          /* tcp: the server's own. Copied */
    struct guests *guests;            /* tcp: who is let in. Borrowed, must outlive the server */
    int takes_over;                   /* a peer that comes with a routing id in use takes it over: groups that reconnect. Else
                                         it is not heard */
    int relayed;                      /* ipc: a door speaks here for its guests (below) */
};

/* Binds. ipc: makes the folder of the path 0700 and the socket 0600. A socket on which somebody listens is ERR_EXISTS with a
 * clear line; a dead one left by a kill is replaced. tcp: port 0 or * lets the system choose, see link_server_endpoint. */
enum code link_serve(struct link_server **s, const struct link_place *p, struct err *e);
void link_server_close(struct link_server *s);       /* NULL is fine; removes the socket file */
const char *link_server_endpoint(const struct link_server *s);      /* as bound; lives as long as the server */

/* Waits until one of n servers has a message; ready[i] says which. Returns early on a signal. s[i] may be NULL: not ready. */
enum code link_server_wait(struct link_server *const *s, int n, int timeout_ms, int *ready, struct err *e);

/* The next message. ERR_AGAIN: none now. ERR_PROTOCOL: refused (the sender has been told already); go on. */
enum code link_server_receive(struct link_server *s, struct link_peer *from, struct arena *a, struct message *m, struct err *e);

/* Answers, in the version of m or, where that is 0, of the peer. Never blocks; a peer that is gone or does not read loses the
 * answer (it will ask again). */
enum code link_server_send(struct link_server *s, const struct link_peer *to, const struct message *m, struct err *e);

/* ---- a door: passes messages on for others ----
 *
 *     guest --tcp, CURVE--> door --ipc: [routing id of the guest][its key, 32 bytes][message]--> coordinator
 *                                <--ipc: [routing id of the guest][message]--
 *
 * A door has two servers: one that is bound for its guests, one that is connected to a place with .relayed set, where the coordinator
 * serves. link_server_take and link_server_pass move bytes from one to the other with the peer unchanged; at the far end
 * link_server_receive yields the guest as peer. With an empty routing id, which no guest can have, and key zero the door speaks for
 * itself. */
enum code link_relay(struct link_server **s, const char *endpoint, struct err *e);

/* The next message as bytes in the arena; the caller looks at them (proto_decode) and answers. ERR_AGAIN, ERR_PROTOCOL as above. */
enum code link_server_take(struct link_server *s, struct link_peer *from, struct arena *a, struct slice *bytes, struct err *e);
enum code link_server_pass(struct link_server *s, const struct link_peer *to, struct slice bytes, struct err *e);

#endif
