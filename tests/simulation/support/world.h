/* world.h - a whole Engram in one thread and in virtual time: the real core, users, worker groups, launchers that lie, a network,
 * a clock and a disk that misbehave; all from one seed.
 *
 *     struct world *w = world_make(&(struct world_options){.seed = 7, .events = 10000}, &e);
 *     world_run(w);                       // events with faults, then without, until everything has ended
 *     if (w->broken[0]) the line says which invariant, when
 *     world_free(w);
 *
 * An event is one core_step: a message of a user or a group, a launcher's report, a tick. After each of them the ledger, which sees only
 * what was said and what is durable, checks what the event touched; core_check_step does the same from inside; core_check
 * and a comparison of every row with the ledger come now and then, after each restart, and at the end.
 *
 * Files: shape.c (how large and how unlucky), world.c (time and events), network.c, coordinator.c (the process around the core),
 * event.c (what it tells the core), disk.c (rows), people.c, groups.c, launcher.c, ledger*.c (what is true).
 */
#ifndef TESTS_SIMULATION_WORLD_H
#define TESTS_SIMULATION_WORLD_H

#include "coordinator/core/core.h"
#include "coordinator/store/store.h"
#include "tests/simulation/support/agenda.h"
#include "tests/simulation/support/dice.h"
#include "tests/simulation/support/ledger.h"

/* Bugs around the core, planted to see that the checks see; bugs inside it are in mutants.def. */
#define BUG_LIST                                                                                   \
    BUG(answer_early, "answers leave before the disk has them")                                    \
    BUG(torn_write, "a kill leaves half a batch on the disk")                                      \
    BUG(no_fence, "a result is taken whatever its epoch")                                          \
    BUG(no_key, "each retry of a user looks like a new request")                                   \
    BUG(lost_commit, "a restart forgets the newest commit of a lineage")                           \
    BUG(epoch_reused, "a restart begins epochs anew")                                              \
    BUG(other_user, "a request is heard as somebody else's")                                       \
    BUG(silent_refusal, "a batch that the disk refused is answered as if it were there")
enum bug {
    NO_BUG,
#define BUG(name, text) BUG_##name,
    BUG_LIST
#undef BUG
    BUGS
};
extern const char *const bug_names[BUGS];

/* ---- shape.c: a world's size and luck, chosen by its seed ---- */

/* NUMBER(name, smallest it may be shrunk to) */
#define SHAPE_LIST                                                                                 \
    NUMBER(users, 1)                                                                               \
    NUMBER(groups, 1)                                                                              \
    NUMBER(lineages, 1)                                                                            \
    NUMBER(wishes, 1)        /* of one user */                                                     \
    NUMBER(hurry, 0)         /* 0..: the larger, the shorter a user thinks */                      \
    NUMBER(backlog, 1)       /* jobs that have not ended, from which on users wait */              \
    NUMBER(batch, 1)         /* messages in one turn of the coordinator, at most */                \
    NUMBER(bytes, 0)         /* messages that travel as bytes, of 1000 */                          \
    NUMBER(steps, 1)         /* heartbeats of a stage, at most */                                  \
    NUMBER(priors, 1)        /* kinds of class images */                                           \
    NUMBER(weights, 0)       /* 1: users have shares, quotas, roles and teams */                   \
    NUMBER(operations, 0)    /* 1: pause, drain, retry, forget, stop */                            \
    NUMBER(sqlite, 0)        /* 1: the real store, where there is a folder for it */                                               \
    NUMBER(luck, 0)          /* 0: no faults; else how many, in 16ths of the usual */
struct shape {
#define NUMBER(name, least) uint32_t name;
    SHAPE_LIST
#undef NUMBER
};

/* A fault that may happen in a replay; all others may not. */
struct kept { uint8_t fault; uint32_t ordinal; uint64_t who; };

struct world_options {
    uint64_t seed;
    uint64_t events;                  /* with faults; then without until everything has ended */
    uint64_t stop_after;              /* events in all, for shortening a story; 0: no limit */
    enum bug bug;
    const char *mutant;               /* the core has this bug inside; for commands that are printed */
    const char *shape;                /* "users=3,groups=1": numbers set by hand; NULL: all by the seed */
    uint32_t without;                 /* bits 1 << enum fault: these do not happen */
    const struct kept *kept;          /* [n_kept]: only these happen; NULL: all. Borrowed */
    size_t n_kept;
    int tell;                         /* prints every event */
    const char *folder;               /* for databases; NULL: worlds that want the real store run on rows in memory, and go the same way */
};

extern const struct shape_number { const char *name; size_t offset; uint32_t least; } shape_numbers[];    /* ends with NULL */
uint32_t *shape_at(struct shape *s, const struct shape_number *n);
enum code shape_choose(struct shape *s, const struct world_options *o, struct err *e);
void shape_text(const struct shape *s, char *out, size_t room);
extern const uint32_t fault_rates[FAULTS];       /* of 2^20 tries */

/* ---- network.c ---- */

#define COORDINATOR 0u
#define PERSON(i) (1ull << 40 | (uint64_t)(i))
#define GROUP(nonce) (2ull << 40 | (uint64_t)(nonce))
#define IS_PERSON(a) ((a) >> 40 == 1)
#define IS_GROUP(a) ((a) >> 40 == 2)
#define NUMBER_OF(a) ((a) & 0xffffffffffull)

struct parcel {
    struct message m;                 /* when bytes is NULL; its strings live as long as the world or in text */
    struct hash hashes[2];
    char text[32];
    uint8_t *bytes;                   /* owned */
    size_t n;
    uint64_t to, from;
    uint8_t version, tampered;
    uint32_t next;                    /* free ones */
};

struct network { struct parcel **chunks; uint32_t n_chunks, free; };

/* Somebody speaks. d: whose dice decide what goes wrong. */
void network_send(struct world *w, struct dice *d, uint64_t to, uint64_t from, const struct message *m);
struct parcel *network_parcel(struct world *w, uint32_t i);
void network_drop(struct world *w, uint32_t i);
/* The message of a parcel; its strings live in the arena or the parcel. 0: it is none (bits flipped). */
int network_open(struct world *w, struct parcel *p, struct arena *a, struct message *m);
void network_fini(struct world *w);

/* ---- disk.c: rows; all of a batch or nothing ---- */

struct disk_job {
    struct core_job row;
    struct core_stage *stage[STAGE_KINDS];       /* owned; NULL: never had a lease */
    struct hash output[STAGE_KINDS];
    const char *token;
    uint64_t seed;
};
struct disk_lineage { struct core_lineage row; struct core_commit *commits; size_t n, room; };
struct disk_key { uint8_t key[CORE_KEY]; uint64_t job; };

struct disk {
    struct core_clock clock;
    struct core_user *users;
    struct disk_lineage *lineages;
    struct core_prior *priors;
    struct disk_job **jobs;           /* owned, id - 1 */
    struct disk_key *keys;
    struct { char name[PROTO_NAME + 1]; int on; } drains[64];
    size_t n_users, n_lineages, n_priors, n_jobs, n_keys, n_drains;
    size_t users_room, lineages_room, priors_room, jobs_room, keys_room;
    struct arena texts;
    struct store *store;              /* the real one beside it; NULL: none */
    char path[512];
};

int disk_apply(struct world *w, const struct core_actions *a, size_t n_puts);
enum code disk_load(struct world *w, struct core *c, struct err *e);
/* The ended job with this id or key; NULL: none. Lives until the next call. */
const struct core_past *disk_past(struct world *w, struct core_past *room, uint64_t job, const struct hash *key);
void disk_stage_message(struct world *w, const struct core_tell *t, struct message *m, struct hash room[2]);
void disk_fini(struct world *w);

enum code disk_reopen(struct world *w, struct err *e);           /* the real one, as a new process does */

/* ---- event.c ---- */

/* What the core is told of a parcel; lives in the coordinator's arena. 0: nothing, it is no message for the core. */
int event_of(struct world *w, uint32_t parcel, struct core_event *ev);

/* ---- coordinator.c ---- */

struct coordinator {
    struct core *core;                /* NULL: down, or blind */
    struct core_actions actions;
    struct dice dice;
    uint32_t *inbox;                  /* parcels, a ring */
    size_t first, waiting, room;
    int64_t now_ms, ahead_ms, stands_until_ms, up_at_ms;
    uint64_t stamp;                   /* of its next turn */
    int64_t turn_at_ms;
    int blind, down;
    uint64_t stops;
    struct arena arena;
    uint64_t check_at, age;           /* steps until a full check; steps since the start */
};

void coordinator_boot(struct world *w);
void coordinator_hear(struct world *w, uint32_t parcel);
void coordinator_turn(struct world *w);
void coordinator_group_lost(struct world *w, uint64_t nonce);
void coordinator_check(struct world *w);         /* everything, now */
void coordinator_fini(struct world *w);

/* ---- people.c ---- */

struct person {
    struct dice dice;
    char name[16];
    struct message asks;              /* what is being asked until it is answered */
    char text[32];
    struct user_row row;
    struct arena many;                /* rows of submit_many */
    int asking, made_lineages, is_admin;
    uint64_t made;                    /* the job that came of what is being asked; 0: none yet */
    uint32_t user;                    /* its number, as the ledger has it; 0: not known */
    uint32_t wishes;                  /* had */
    uint64_t next_id, stamp, cursor;
    uint64_t jobs[8];                 /* its newest */
    uint32_t n_jobs;
};
void person_act(struct world *w, uint32_t i);
void person_hear(struct world *w, uint32_t i, const struct message *m);
void person_wake(struct world *w, uint32_t i, int64_t in_ms);

/* ---- groups.c, launcher.c ---- */

enum body_state { BODY_NONE, BODY_ASKING, BODY_WORKING, BODY_REPORTING };
struct body {                         /* one running program of a worker group */
    enum body_state state;
    struct dice dice;
    uint64_t nonce, next_id, asked;
    uint32_t slot;                    /* whose launcher began it */
    int64_t asleep_until_ms, heard_ms;
    uint64_t stamp;
    int was_fenced;                   /* it slept or was reported dead while it held a lease */
    struct { uint64_t job, epoch, stage, step, of, seed, term_ms; struct hash parent; enum code end; int falsely; } work;
};
struct slot {                         /* a launcher's place for one group */
    struct dice dice;
    char name[24];
    uint64_t nonce, stamp;
};
void group_act(struct world *w, uint32_t b);
void group_hear(struct world *w, uint64_t nonce, const struct message *m, uint64_t luck);
int group_begin(struct world *w, uint32_t slot, uint64_t nonce);         /* 0: no room for more bodies */
void group_end(struct world *w, uint32_t b);
void launcher_act(struct world *w, uint32_t slot);
void launcher_lies(struct world *w, uint32_t b);
void launcher_saw_end(struct world *w, uint32_t slot, uint64_t nonce);
struct hash nonce_hash(uint64_t nonce);
uint64_t nonce_number(struct hash h);

/* ---- the world ---- */

enum what { DO_PARCEL, DO_PERSON, DO_BODY, DO_LAUNCH, DO_DEATH, DO_TURN, DO_BOOT };

struct nonce { uint32_t body[2], begun; };   /* + 1; who speaks under it now */

struct counts {
    uint64_t events, messages, answers, steps, bytes_sent, corrupted, misread;
    uint64_t jobs, grants, commits, lost_leases, zombies, zombies_refused, restarts, checks;
    uint64_t faults[FAULTS];
};

struct world {
    struct world_options o;
    struct shape shape;
    struct agenda agenda;
    int64_t now_ms, calm_since_ms;
    int calm;
    char broken[640], invariant[48];
    struct network network;
    struct coordinator coordinator;
    struct disk disk;
    struct ledger ledger;
    struct person *people;
    struct slot *slots;
    struct body *bodies;
    uint32_t n_bodies, bodies_room;
    struct nonce *nonces;
    uint64_t n_nonces, nonces_room;
    char (*lineage_names)[16], (*team_names)[8], at_names[4][16];
    const char **names;               /* users and teams, for sharing */
    size_t n_names;
    const char *prompts[2];
    struct hash image;
    uint32_t body_hint;
    uint64_t asking;                  /* people who wait for an answer */
    int64_t calm_ms;
    uint64_t intents;
    struct dice dice, asks;           /* asks: what is asked that changes nothing */
    struct counts counts;
    struct kept *happened;            /* owned: the faults that did, when o.tell or shrinking asks */
    size_t n_happened, happened_room;
    int remember;
};

struct world *world_make(const struct world_options *o, struct err *e);  /* NULL: the shape cannot be read */
void world_run(struct world *w);
void world_free(struct world *w);
int fault(struct world *w, struct dice *d, enum fault f);        /* never when calm */
/* Something that must not be. invariant: a short name by which a shorter story is compared. */
void world_break(struct world *w, const char *invariant, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void world_tell(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
