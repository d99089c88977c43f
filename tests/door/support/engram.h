/* engram.h - a whole Engram that the network reaches: the real coordinator with both doors, no worker group of its own, three people
 * and two workers with keys.
 *
 *     struct engram g;
 *     if (!engram_open(&g, tap_folder())) ...
 *     struct link *ann = engram_link(&g, ANN, NULL, 5000);
 */
#ifndef TESTS_DOOR_ENGRAM_H
#define TESTS_DOOR_ENGRAM_H

#include "proto/link.h"

#include <sys/types.h>

/* ann and bob are users, mal is one who turned bad; two workers. */
enum { ANN, BOB, MAL, WORKER_A, WORKER_B, PEOPLE };

struct engram {
    char home[300];
    pid_t coordinator;
    struct hash server_key;
    struct keys keys[PEOPLE];
    char users_at[300], workers_at[300];
    struct link *local;               /* of the owner, over ipc */
};

/* extra: options of the coordinator, NULL-ended, or NULL. 0: failed, and says why. */
int engram_open(struct engram *g, const char *folder, const char *const *extra);
void engram_close(struct engram *g);

/* A link over TCP; with hello one of a worker group. */
struct link *engram_link(struct engram *g, int who, const struct msg_worker_hello *hello, int timeout_ms);

/* Sends a small object; its hash. */
struct hash engram_send(struct link *l, const char *bytes);

/* Asks; a refusal, or no answer, comes back as MSG_refused. Lives until the next call. */
struct message engram_ask(struct link *l, struct message m);

int engram_port(const char *endpoint);
pid_t engram_door(struct engram *g, const char *whose);       /* its pid, 0: not there now */
/* A sanitizer keeps what was freed: there is nothing to learn from how much a process has grown. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { KEEPS_FREED = 1 };
#else
enum { KEEPS_FREED = 0 };
#endif
long engram_memory(pid_t pid, const char *what);              /* kB of /proc/<pid>/status; -1: no such process */

#endif
