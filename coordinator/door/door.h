/* door.h - engram-door: the process that the network reaches. It passes messages on to the coordinator and answers back.
 *
 *     guests --tcp, CURVE--> [ engram-door ] --ipc, run/door-users.sock--> coordinator
 *
 * Why a process of its own: ZeroMQ lets a peer fill memory (a message that never ends, big frames before the handshake), so whoever is
 * reached by strangers must be able to die. The door has a limit on memory, keeps nothing, and the coordinator starts it again;
 * clients repeat what was on its way. One door is for users, another one for worker groups: neither can take the other down.
 *
 * What it does with a message, in this order:
 *
 *     its key is not on the list          -> refused(denied)       the list comes from the coordinator, once a second and when an
 *                                                                  unknown key knocks. The coordinator looks again itself
 *     too many of this key                -> refused(again), and silence for whoever does not listen even to that
 *     not a whole, correct message        -> refused(protocol)
 *     not one that belongs here           -> refused(denied)
 *     object_put; a worker's object_get   -> answered here, from and into the home's objects
 *     a user's object_get                 -> to the coordinator, which gives it back if they may have it; then ditto
 *     else                                -> to the coordinator, with the key; the answer goes back the same way
 *
 * One thread, beside ZeroMQ's and the one that answers who may come in. Files: main.c (process, limits of the system), pass.c (the
 * turn), quota.c (how much of each key), list.c (whose keys), object.c (bytes of
 * objects), sent.c (which of them who has sent).
 */
#ifndef COORDINATOR_DOOR_DOOR_H
#define COORDINATOR_DOOR_DOOR_H

#include "base/arrival.h"
#include "coordinator/door/quota.h"
#include "proto/link.h"

enum { DOOR_FRONT, DOOR_BACK, DOOR_SIDES };

struct door_objects;

struct door {
    struct link_server *side[DOOR_SIDES];    /* owned: for guests, to the coordinator */
    struct guests *guests;            /* owned */
    struct quota *quota;              /* owned */
    struct door_objects *objects;     /* owned; NULL: no home was named, and this door has none */
    int for_workers;                  /* whose messages it passes */
    uint64_t list_id;                 /* of the latest question for the list */
    struct hash *listed;              /* owned: keys of the pages that have come, [n_listed] */
    size_t n_listed;
    uint64_t listed_id;               /* to which question */
    int64_t list_ms, now_ms;          /* monotonic */
    uint64_t n_passed, n_refused, n_ignored;
};

/* ---- pass.c ---- */

/* Waits, passes what there is, keeps the list fresh. */
void door_turn(struct door *d, int timeout_ms);
int64_t door_clock(void);             /* ms, monotonic */

/* ---- object.c ----
 *
 * Bytes of objects come from and go to HOME/objects by hash alone; no name that comes over the wire is ever a path. What is not whole
 * lies in HOME/incoming/users or /workers, a folder for each key, so that nobody can spoil what another sends. There is
 * written, too, what a user has sent whole (sent.h). */

struct door_objects_settings {
    const char *home;
    int for_workers;
    uint64_t most_bytes;              /* of one object */
    uint64_t most_waiting_bytes;      /* half-done, of one key; and */
    size_t most_waiting;              /* so many */
};

enum code door_objects_open(struct door_objects **o, const struct door_objects_settings *s, struct err *e);
void door_objects_close(struct door_objects *o);     /* NULL is fine */
void door_objects_turn(struct door_objects *o, int64_t now_ms);      /* closes what is idle; looks once an hour for what is a day old */

/* ERR_NOT_FOUND: this request (learn, or a row of submit_many) names an image that this key has not sent; the line says which. */
enum code door_objects_sent(const struct door_objects *o, struct hash key, const struct message *m, struct arena *a,
                            struct err *e);

/* The answer to object_get or object_put of this key; its bytes live in the arena. Blocks for a disk, not for a peer: at most
 * ARRIVAL_STEP bytes are hashed, or PROTO_PART written, a call. */
void door_object(struct door_objects *o, struct hash key, const struct message *ask, int64_t now_ms, struct arena *a,
                 struct message *answer);

/* ---- list.c ---- */

void list_ask(struct door *d);        /* when it is time */
void list_take(struct door *d, struct slice answer);          /* a page; after the last one the list counts */

#endif
