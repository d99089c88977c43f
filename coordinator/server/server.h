/* server.h - the coordinator as a process: sockets, clock and disk around the core.
 *
 *     one turn:   wait -> receive up to BATCH messages -> core_step for each -> one transaction -> answers
 *
 * Nothing is answered before it is durable; reading questions are answered last, so that they see what is durable. When the
 * transaction fails nobody of the batch is told anything but `refused`, the core is thrown away and loaded again from the
 * disk (SQLite's pager has an ERROR state for the same reason: memory and disk may disagree). While even that fails
 * everything is refused, and loading is tried again each second.
 *
 * One thread. Files: main.c (process), dispatch.c (the turn), answer.c (questions), stage.c (what a group is handed),
 * why.c (one line about a job), watch.c (progress in memory), groups.c (the launcher beside it), home.c (folders, lock).
 */
#ifndef COORDINATOR_SERVER_SERVER_H
#define COORDINATOR_SERVER_SERVER_H

#include "coordinator/core/core.h"
#include "coordinator/store/store.h"
#include "proto/link.h"

enum { USERS, WORKERS, SOCKETS, NOBODY = 255 };

struct rings;

struct server {
    const char *home;                 /* borrowed */
    struct core_settings settings;
    struct store *store;              /* owned, all below */
    struct core *core;                /* NULL: in trouble */
    struct link_server *link[SOCKETS];
    struct rings *rings;
    char user[PROTO_NAME + 1];        /* who runs this: ipc sockets are theirs alone */
    int64_t now_ms, wall_ms, mono_ms, retry_ms;
    struct err trouble;               /* why the core is not there */
    /* Optional, of the launcher: a line for `ping`; may the group that says hello (name) or asks for a stage (NULL) work? */
    const char *(*launch_trouble)(void *self);
    int (*launch_knows)(void *self, const char *name, struct hash nonce, int64_t now_ms);
    void *launch_self;
};

/* ---- dispatch.c ---- */

/* Store and core. The sockets are opened by the caller after this. */
enum code server_open(struct server *s, const char *home, struct err *e);
void server_close(struct server *s);

void server_turn(struct server *s, int timeout_ms);
void server_stop(struct server *s, int drain);           /* as if a user had asked */
void server_group_lost(struct server *s, struct hash nonce);
int64_t server_now(struct server *s);

/* ---- answer.c ---- */

int answer_knows(enum msg_kind kind);                     /* is it a question that only reads? */
/* The answer lives in the arena. */
enum code answer_make(struct server *s, const struct message *ask, struct arena *a, struct message *out, struct err *e);

/* ---- stage.c ---- */

/* What the group is told: everything the stage needs, from core and store. */
enum code stage_message(struct server *s, uint64_t job, enum stage_kind kind, uint64_t epoch, struct arena *a,
                        struct message *out, struct err *e);

/* ---- why.c ---- */

/* Why a job waits, pauses, failed, or what it does: one line, in the arena. */
const char *why_line(const struct core *c, const struct core_job *j, int64_t now_ms, struct arena *a);

/* ---- watch.c ---- */

struct rings *rings_make(void);
void rings_free(struct rings *r);
void rings_add(struct rings *r, uint64_t job, const struct event_row *row);
/* Rows of a job after seq, oldest first, into an array with room for *n more up to PROTO_ROWS; texts are borrowed. */
void rings_read(const struct rings *r, uint64_t job, uint64_t after, struct event_rows *rows);

#endif
