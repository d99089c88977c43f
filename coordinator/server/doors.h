/* doors.h - the processes through which the network reaches this coordinator (coordinator/door/door.h): started, watched, and started
 * again when they die, which they may.
 *
 *     struct doors_options o = { .home = home, .listen = { [DOOR_FOR_USERS] = "tcp://127.0.0.1:7700" } };
 *     if (doors_open(&d, &o, &e)) ...              // NULL listens: nothing is opened, and *d is fine all the same
 *     each turn: doors_poll(d, now_ms);
 *     doors_close(d);
 *
 * The coordinator's own pair of keys lies in <home>/keys/coordinator.key and .pub (folder 0700, secret 0600), made when first needed; whoever
 * connects is told the public one. Doors die with the coordinator.
 */
#ifndef COORDINATOR_SERVER_DOORS_H
#define COORDINATOR_SERVER_DOORS_H

#include "base/err.h"

#include <stdint.h>

enum { DOOR_FOR_USERS, DOOR_FOR_WORKERS, DOORS };

struct doors;

struct doors_options {
    const char *home;
    const char *listen[DOORS];        /* "tcp://address:port"; NULL: no such door. Port 0: any */
    int memory_mib;                   /* of each; 0: the door's default */
};

/* Where a door speaks to the coordinator, below the home: "run/door-users.sock", "run/door-workers.sock". */
extern const char *const doors_socket[DOORS];

/* Starts the doors and waits until they are open, 10 s at most: an address that is taken is an error here. Their sockets (doors_socket)
 * must be served already. */
enum code doors_open(struct doors **d, const struct doors_options *o, struct err *e);

/* Starts again what has died: at once, later more slowly while it dies young. Never blocks. */
void doors_poll(struct doors *d, int64_t now_ms);

void doors_close(struct doors *d);    /* ends them; NULL is fine */

#endif
