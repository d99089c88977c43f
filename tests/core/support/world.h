/* world.h - a whole Engram in one thread and in virtual time: the real core, clients, worker groups, a network and a disk that
 * misbehave, all from one seed.
 *
 *     struct world *w = world_make(&(struct world_options){ .seed = 7, .events = 4000 });
 *     world_run(w);                       // events with faults, then without, until everything has ended
 *     if (w->broken[0]) the line says which invariant, when
 *
 * What is true is kept apart from the core, in the ledger: only from what was made durable and what was said. Files: world.c
 * (time and events), server.c (core + disk as a process), disk.c, client.c, worker.c, ledger.c.
 */
#ifndef TESTS_CORE_WORLD_H
#define TESTS_CORE_WORLD_H

#include "coordinator/core/core.h"
#include "coordinator/store/store.h"
#include "tests/core/support/shelf.h"

/* Bugs planted around the core, to see that the checks see. */
enum planted {
    NO_BUG,
    BUG_ANSWER_EARLY,                 /* answers leave before the disk has them */
    BUG_TORN_WRITE,                   /* a crash leaves half a batch on the disk */
    BUG_NO_FENCE,                     /* a result is taken whatever its epoch */
    BUG_NO_KEY,                       /* each retry of a client looks like a new request */
    BUG_NO_EXPIRY,                    /* leases last for ever */
    BUG_LOST_COMMIT,                  /* a restart forgets the newest commit of a lineage */
    BUG_EPOCH_REUSED,                 /* a restart begins epochs anew */
    PLANTED
};
extern const char *const planted_names[PLANTED];

struct world_options {
    uint64_t seed;
    long events;                      /* steps of the core with faults */
    enum planted bug;
    const char *database;             /* use the real store in this folder; NULL: the model */
};

enum { CLIENTS = 3, GROUPS = 3, LINEAGES = 4, INTENTS = 400, JOBS = CLIENTS * INTENTS * 2 };

/* ---- ledger.c: what outsiders know ---- */

struct ledger_stage { uint64_t granted, recorded; struct hash head; int done; };
struct ledger_job {
    int known, ended, acknowledged, cancelled_by_user, bad_result;
    uint64_t lineage;
    struct hash key;
    struct ledger_stage stage[STAGE_KINDS];
};
struct ledger {
    struct ledger_job job[JOBS + 1];
    struct hash head[LINEAGES + 1];
    uint64_t last_job[LINEAGES + 1];  /* that committed */
    uint64_t newest_epoch, jobs;
    long commits, results_dropped, lost_leases, restarts, full, acknowledged;
};

/* ---- actors ---- */

struct intent { struct hash key; int kind, wants_cancel, lineage; uint64_t job; int settled, refused; };
struct client {
    struct intent intent[INTENTS];
    int n, at, made_lineages, asking, waiting;
    uint64_t next_id;
    int64_t ask_again_ms;
};
enum group_state { GROUP_DEAD, GROUP_ASKING, GROUP_WORKING, GROUP_REPORTING };
struct group {
    enum group_state state;
    struct hash nonce;
    uint64_t next_id, waiting_id;
    int64_t act_ms, stalled_until_ms, heard_ms;
    int doubted;                      /* it was told to give up: must not report */
    struct { uint64_t job, epoch, stage, step, of; struct hash parent; } work;
};

struct parcel { int64_t at; uint64_t order; int to, from; struct hash nonce; uint8_t *data; size_t n; };

struct world {
    struct world_options o;
    uint64_t dice, order;
    int64_t now;
    long steps;
    int calm;                         /* no more faults */
    char broken[512];
    struct parcel *parcels;           /* a heap by (at, order) */
    size_t n_parcels, parcels_room;
    struct core *core;                /* NULL: down */
    int64_t up_at;
    struct core_actions actions;
    struct store *store;
    struct shelf disk;                /* rows; all of a batch or nothing */
    struct ledger ledger;
    struct client client[CLIENTS];
    struct group group[GROUPS];
    uint64_t keys, nonces;
};

enum { TO_SERVER = -1 };              /* else: client index, or CLIENTS + group index */

struct world *world_make(const struct world_options *o);
void world_run(struct world *w);
void world_free(struct world *w);

uint64_t world_roll(struct world *w, uint64_t bound);              /* 0..bound-1 */
int world_chance(struct world *w, int per_mille);                  /* a fault: never when calm */
struct hash world_name(struct world *w, const char *what, uint64_t n);
void world_send(struct world *w, int to, int from, const struct message *m);
void world_break(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void server_deliver(struct world *w, struct parcel *p, int n);     /* a batch for the core */
void server_tick(struct world *w);
void server_crash(struct world *w);
void server_boot(struct world *w);
void server_group_died(struct world *w, struct hash nonce);

void client_act(struct world *w, int i);
void client_hear(struct world *w, int i, const struct message *m);
int client_settled(const struct world *w, int i);
void group_act(struct world *w, int i);
void group_hear(struct world *w, int i, const struct message *m);
void group_die(struct world *w, int i);

int disk_apply(struct world *w, const struct core_actions *a, size_t n_puts);
enum code disk_load(struct world *w, struct core *c, struct err *e);
const struct core_past *disk_past(struct world *w, const struct message *m, struct arena *a);
const struct core_past *disk_job(struct world *w, uint64_t id, struct arena *a);   /* NULL: not there */
void disk_fini(struct world *w);

void ledger_puts(struct world *w, const struct core_actions *a);   /* durable now */
void ledger_loaded(struct world *w);
void ledger_final(struct world *w);

#endif
