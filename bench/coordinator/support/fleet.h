/* fleet.h - many peers of one coordinator in one thread, over bare ZeroMQ: what a link does for one peer, without waiting.
 *
 *     struct fleet f;
 *     fleet_open(&f, "ipc:///tmp/x/run/engram.sock", 64, 0);
 *     fleet_say(&f, 3, &message);
 *     while (fleet_hear(&f, 1000, &peer, &arena, &answer)) ...
 *     fleet_close(&f);
 *
 * For measurements: whatever goes wrong ends the program with a line.
 */
#ifndef BENCH_COORDINATOR_FLEET_H
#define BENCH_COORDINATOR_FLEET_H

#include "proto/proto.h"

#include <sys/types.h>

struct fleet {
    void *context, **socket;          /* owned, [n] */
    void *items;                      /* owned, of zmq_poll */
    struct hash *nonce;               /* owned, [n]; of worker groups */
    uint64_t *asked;                  /* owned, [n]: id of the latest message */
    int n, next, ready;
};

/* workers: 1 makes worker groups, each with a nonce of its own; 0 makes users. */
void fleet_open(struct fleet *f, const char *endpoint, int n, int workers);
void fleet_close(struct fleet *f);

/* Sends, with an id of its own if it has none. */
void fleet_say(struct fleet *f, int peer, struct message *m);

/* The next answer to anybody; 0: none came within timeout_ms. The message lives in the arena. */
int fleet_hear(struct fleet *f, int timeout_ms, int *peer, struct arena *a, struct message *m);

/* One question and its answer. */
void fleet_ask(struct fleet *f, int peer, struct message *m, struct arena *a, struct message *answer);

/* ---- the coordinator that is measured ---- */

struct office {
    char home[200], users[256], workers[256];
    pid_t pid;
};

/* Starts engram-coordinator in a home of its own, without worker groups, and waits until it answers. Returns the seconds
 * from exec to its first answer. */
double office_start(struct office *o, const char *home);
void office_stop(struct office *o, int signal);
size_t office_resident(const struct office *o);       /* bytes */
double office_busy(const struct office *o);           /* seconds of processor so far, of all its threads */

double seconds_now(void);
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
