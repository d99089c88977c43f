/* office.h - a core and its store side by side, driven by hand: what a coordinator does, without sockets. */
#ifndef TESTS_STORE_OFFICE_H
#define TESTS_STORE_OFFICE_H

#include "coordinator/core/core.h"
#include "coordinator/store/store.h"

struct office {
    struct store *store;
    struct core *core;
    struct core_actions actions;
    int64_t now;
    uint64_t asked;
};

enum code office_open(struct office *o, const char *path, struct err *e);
void office_close(struct office *o);

/* One step, made durable. out: the answer to it (MSG_none: none yet); its strings live until the next step. */
enum code office_ask(struct office *o, const struct message *m, struct hash group, struct message *out, struct err *e);

struct hash office_hash(const char *what, uint64_t n);
struct message office_lineage(const char *name);
struct message office_learn(const char *lineage, uint64_t n, uint64_t wants);   /* token <n>, key of n */
/* Lets a group do the next stage that is ready, with the given result. *did: the stage; kind MSG_none: nothing was ready. */
enum code office_work(struct office *o, uint64_t group, enum code result, struct message *did, struct err *e);

#endif
