/* house.h - a door among people: the real engram-door, and a coordinator played by a thread of the test, which answers `user_list` with
 * whom it knows, `ping` with a pong, `object_get` as one that may be answered, and remembers what it heard. */
#ifndef TESTS_DOOR_HOUSE_H
#define TESTS_DOOR_HOUSE_H

#include "proto/link.h"

#include <stdatomic.h>
#include <sys/types.h>

enum { HOUSE_USERS = 8 };

struct house {
    struct keys keys;                 /* of the coordinator */
    struct keys user[HOUSE_USERS];
    atomic_int revoked[HOUSE_USERS], role[HOUSE_USERS];     /* role 0: not there; the thread reads them */
    char folder[300], endpoint[300];  /* endpoint: of the door */
    int port;
    pid_t door;
    /* Written by the thread; read with house_heard. */
    uint64_t heard;
    struct hash heard_key;
    atomic_int deaf;                  /* answers nothing but the list */
    atomic_int denies;                /* lets nobody have an object; else everybody */
};

/* Starts both. extra: options of the door, NULL-ended. 0: failed, and says why. */
int house_open(struct house *h, const char *folder, const char *whose, const char *const *extra);
void house_close(struct house *h);

/* Starts the door alone, as its supervisor would. */
int house_start_door(struct house *h);
int house_door_runs(struct house *h);                /* takes away one that has died */

uint64_t house_heard(struct house *h, struct hash *key);
long house_memory(pid_t pid, const char *what);      /* kB of /proc/<pid>/status: "VmRSS", "VmHWM" */

/* A link of user i (0..), and one ping over it: its code. */
struct link *house_link(struct house *h, int i, int timeout_ms);
enum code house_ping(struct link *l, struct err *e);

#endif
