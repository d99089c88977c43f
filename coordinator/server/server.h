/* server.h - the coordinator as a process: sockets, clock and disk around the core.
 *
 *     one turn:   wait -> receive some messages -> answers to questions -> core_step for each of the others -> one transaction -> answers
 *
 * Nothing is answered before it is durable; questions that only read are answered first, by what the turns before
 * have made durable, and a turn is short while people ask. When the transaction fails nobody of the batch is told
 * anything but `refused`, the core is thrown away and loaded again from the disk (SQLite's pager has an ERROR state
 * for the same reason: memory and disk may disagree). While even that fails everything is refused, and loading is
 * tried again each second. Loading costs seconds where a million jobs wait, so a disk that took nothing is left alone
 * for a while: what would change something is refused before the core hears of it, what is read is answered,
 * heartbeats are heard, and groups that ask for work are told to ask later.
 *
 * No turn walks over all jobs: what is counted is counted in the core, and a page that must look at many rows goes on in the
 * next turn (pages.c).
 *
 * One thread. Files: main.c (process), loading.c (store and core), dispatch.c (the turn), who.c (who speaks), event.c
 * (from a message to an event of the core), bulk.c (submissions of many jobs), answer.c (questions), jobs.c (rows
 * about jobs), pages.c (pages of the queue), object.c (who may have an object), stage.c (what a group is handed),
 * why.c (one line about a job), reply.c (answers leave), watch.c (progress in memory), forget.c (objects that nobody
 * needs any more), news.c (the log), tally.c (what is counted and shown), notify.c (systemd), groups.c (the launcher
 * beside it), home.c (folders, lock).
 */
#ifndef COORDINATOR_SERVER_SERVER_H
#define COORDINATOR_SERVER_SERVER_H

#include "coordinator/core/core.h"
#include "coordinator/server/badge.h"
#include "coordinator/store/store.h"
#include "coordinator/web/web.h"
#include "proto/link.h"

/* The doors' sockets are there when doors are (doors.h). */
enum { USERS, WORKERS, DOOR_USERS, DOOR_WORKERS, SOCKETS, BULK = 254, NOBODY = 255 };    /* BULK: an answer to bulk.c */

struct rings;
struct pages;
struct bulk;
struct forget;

/* One message and who sent it. */
struct asked {
    struct message m;
    struct core_address from;
    struct hash key;                  /* that the sender proved by CURVE at a door; zero: ipc */
    char user[PROTO_NAME + 1];        /* as whom they are heard; "": a worker group */
    enum role role;
};

/* What was counted since the start, and what the web pages need beside it. */
struct tally {
    struct web_counts counts;
    double started_s;
    int64_t looked_ms;
    uint64_t oldest;                  /* no job before this one waits for its first stage */
};

struct server {
    const char *home;                 /* borrowed */
    struct core_settings settings;
    struct store *store;              /* owned, all below */
    struct core *core;                /* NULL: in trouble */
    struct link_server *link[SOCKETS];    /* NULL: not served */
    struct badges *badges;
    struct rings *rings;
    struct pages *pages;
    struct bulk *bulk;
    struct forget *forget;
    char user[PROTO_NAME + 1];        /* who runs this: ipc sockets are theirs alone */
    int64_t now_ms, wall_ms, mono_ms, retry_ms;
    int64_t asked_ms;                 /* when a user was heard last, with less than many jobs */
    int resting;                      /* the disk takes nothing: tried again at retry_ms, and for whoever asks after rest_ms */
    int64_t rest_ms;
    struct err trouble;               /* why the core is not there, or why it rests */
    struct tally tally;
    struct objects *objects;          /* of the home; NULL: not looked at yet */
    struct web *web;                  /* borrowed; NULL: no pages */
    /* Optional, of the launcher: a line for `ping`; may the group that says hello (name) or asks for a stage (NULL) work? */
    const char *(*launch_trouble)(void *self);
    int launch_waits;                            /* without work there need be no group */
    int (*launch_knows)(void *self, const char *name, struct hash nonce, int64_t now_ms);
    void *launch_self;
};

/* ---- loading.c ---- */

/* Store and core. The sockets are opened by the caller after this. */
enum code server_open(struct server *s, const char *home, struct err *e);
void server_close(struct server *s);
int64_t server_now(struct server *s);

/* A batch could not be kept: only what is on the disk counts, and is loaded again. s->core may be NULL after it. */
void server_recover(struct server *s, const struct err *why);
/* While it rests: looks whether the disk takes something, sooner where somebody wants something kept. */
void server_try_again(struct server *s, int wanted);

/* ---- dispatch.c ---- */

void server_turn(struct server *s, int timeout_ms);
void server_stop(struct server *s, int drain);           /* as if a user had asked */
void server_group_lost(struct server *s, struct hash nonce);

/* ---- reply.c: to whoever is gone nothing is sent, and that is no error ---- */

void server_answer(struct server *s, const struct core_address *to, struct message *m);
void server_refuse(struct server *s, const struct core_address *to, struct err *why);

/* ---- who.c ---- */

int server_is_worker_socket(int socket);
/* May it come this way, and as whom is it heard, from the socket and the key (invariant 6). ERR_DENIED says why it is not. */
enum code server_who(struct server *s, struct asked *q, struct err *e);
const struct core_user *server_user(const struct server *s, const struct asked *q);      /* NULL: never heard of */

/* ---- event.c ---- */

/* The event of a message with all that the core wants beside it: digests, requests, jobs of the past. Lives in the arena. */
enum code event_make(struct server *s, const struct asked *q, struct arena *a, struct core_event *ev, struct err *e);

/* ---- answer.c ---- */

int answer_knows(enum msg_kind kind);                     /* is it a question that only reads? */
/* The answer lives in the arena. */
enum code answer_make(struct server *s, const struct asked *q, struct arena *a, struct message *out, struct err *e);
/* What a door asks: a page of the keys that may come in, from user *next (1 at first) on. *next is 0 after the last, which is the only
 * one with less than PROTO_ROWS. */
enum code answer_keys(struct server *s, uint32_t *next, struct arena *a, struct message *out, struct err *e);
enum code answer_no_lineage(const struct server *s, const char *name, struct err *e);

/* ---- jobs.c ---- */

/* A row about a job, of the core where it is kept and of the store else. ERR_NOT_FOUND: no such job. */
enum code jobs_row(struct server *s, uint64_t id, struct arena *a, struct job_row *r, struct err *e);
enum code jobs_answer(struct server *s, const struct asked *q, struct arena *a, struct message *out, struct err *e);
enum code jobs_watch(struct server *s, const struct asked *q, struct arena *a, struct message *out, struct err *e);

/* ---- object.c ---- */

/* OK: who asks object_get may have the bytes. ERR_NOT_FOUND: the job is not there, is not theirs to see, or does not name the object. */
enum code object_allowed(struct server *s, const struct asked *q, struct arena *a, struct err *e);

/* ---- pages.c ---- */

struct pages *pages_make(void);
void pages_free(struct pages *p);
/* Takes the question `queue`; the answer leaves in this turn or a later one. */
enum code pages_ask(struct server *s, const struct asked *q, struct err *e);
void pages_turn(struct server *s);
int pages_wait(const struct pages *p);                    /* somebody waits: do not sleep */

/* ---- bulk.c ---- */

struct bulk *bulk_make(void);
void bulk_free(struct bulk *b);
/* 1: a long submit_many is taken, and answered in a later turn; 0: it is to be stepped as it is. */
int bulk_take(struct server *s, const struct asked *q);
/* The next piece to step, if any; it is answered to the socket BULK. small: people wait. Lent until bulk_turn. */
int bulk_piece(struct server *s, int small, struct asked *piece);
void bulk_heard(struct server *s, struct message *m);
/* Ends the turn: refuses a piece that was not answered, or everything while there is no core, and lets go what has its answer. */
void bulk_turn(struct server *s, struct err *why);
int bulk_waits(const struct bulk *b);                     /* there is something to do: do not sleep */

/* ---- stage.c ---- */

/* What the group is told: everything the stage needs, from core and store. */
enum code stage_message(struct server *s, const struct core_tell *t, struct arena *a, struct message *out, struct err *e);

/* ---- why.c ---- */

/* Why a job that has not ended waits or pauses, or what it does: one line, in the arena. */
const char *why_line(const struct core *c, const struct core_job *j, int64_t now_ms, struct arena *a);
/* Why one that has ended ended so. */
const char *why_ended(const struct core_past *p, struct arena *a);

/* ---- forget.c ---- */

struct forget *forget_make(void);
void forget_free(struct forget *f);
void forget_job(struct server *s, uint64_t job);          /* its objects go, unless somebody else needs them */
void forget_saw(struct server *s, const struct core_actions *a);     /* what a batch refers to stays */
void forget_turn(struct server *s);
int forget_waits(const struct forget *f);                 /* there is something to do: do not sleep */

/* ---- news.c, tally.c ---- */

void news_say(const struct server *s, const struct core_tell *t);

void tally_begin(struct tally *t, double now_s);
void tally_batch(struct tally *t, size_t n_messages);
void tally_wrote(struct tally *t, double seconds);
void tally_refused(struct tally *t, uint64_t code);
void tally_news(struct tally *t, const struct core_tell *tell);
void tally_turn(struct server *s);                        /* shows it all, once a second */

/* ---- watch.c ---- */

struct rings *rings_make(void);
void rings_free(struct rings *r);
void rings_add(struct rings *r, uint64_t job, const struct event_row *row);
/* Rows of a job after seq, oldest first, into an array with room for *n more up to PROTO_ROWS; texts are borrowed. */
void rings_read(const struct rings *r, uint64_t job, uint64_t after, struct event_rows *rows);

#endif
