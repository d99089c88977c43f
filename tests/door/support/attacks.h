/* attacks.h - what a hostile peer does, at one door. Each returns when it has done its worst; none needs the door to survive. */
#ifndef TESTS_DOOR_ATTACKS_H
#define TESTS_DOOR_ATTACKS_H

#include "proto/keys.h"

#include <stddef.h>
#include <stdint.h>

/* Strangers. */
void attack_null_flood(int port, size_t bytes);       /* a message that never ends, without any security */
void attack_frames(int port, int n, size_t says, size_t sends);       /* n connections with a frame of `says` bytes, `sends` of it */
void attack_random(int port, int n, uint64_t seed);   /* n connections of random bytes, some behind a right greeting */

/* n connections that say nothing (or only their greeting) and stay. Returns how many came about; fd has room for n. */
int attack_connections(int port, int n, int greet, int *fd);
void attack_hang_up(int *fd, int n);

/* A user who turned bad. Returns bytes sent; 0: was not let in. */
size_t attack_unfinished(int port, struct hash server, const struct keys *k, size_t part, size_t most);

/* A wire tap: passes one connection on to port and keeps what its client said. */
struct tap_wire { int listens, port, to; uint8_t *said; size_t n, room; };
int attack_tap_open(struct tap_wire *t, int to);      /* connect to t->port */
void attack_tap_run(struct tap_wire *t);              /* until the client hangs up */
void attack_tap_close(struct tap_wire *t);

#endif
