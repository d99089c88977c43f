/* proto.h - what users, the coordinator and worker groups say to each other, and its bytes.
 *
 *     struct message m = { .kind = MSG_cancel, .id = 7, .cancel = { .job = 12 } };
 *     struct slice out;
 *     if (proto_encode(&m, &arena, &out, &e)) ...
 *
 *     struct message in;
 *     if (proto_decode(data, n, &arena, &in, &e)) ...     // strings and lists live in the arena
 *     switch (in.kind) { case MSG_cancel: cancel(in.cancel.job); }
 *
 * messages.def is the list; PROTOCOL.md explains it. A message is msgpack: [version, number, id, {fields}].
 * Each value has exactly one encoding (shortest integers, all keys, in order): messages can be hashed and compared,
 * and proto_encode(proto_decode(x)) == x for every x that is accepted. A zeroed field is valid: NULL strings
 * travel as "".
 *
 * Decoding trusts nothing: the size, then the whole structure is checked before anything is allocated; what it
 * allocates is bounded by the size of the message times a small constant. Pure: no socket, no clock, no global.
 */
#ifndef PROTO_PROTO_H
#define PROTO_PROTO_H

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"

#include <stddef.h>
#include <stdint.h>

#define PROTO_VERSION 2
#define PROTO_OLDEST 1                /* versions from here on are understood, and answered in kind */

/* ---- limits, each with its reason ---- */

#define PROTO_BYTES (4u << 20)        /* a whole message: a page of rows, or eight reports */
#define PROTO_DEPTH 8                 /* arrays and maps inside each other; we use 4 */
#define PROTO_ITEMS 100000            /* values in one message; 1000 job rows are 40,000 */
#define PROTO_NAME 64                 /* lineage, user, token, class word: fits a table column */
#define PROTO_LINE 480                /* one line for people, as long as struct err's */
#define PROTO_PATH 4096               /* PATH_MAX */
#define PROTO_PROMPT 2048             /* CLIP reads 77 tokens; nobody needs more */
#define PROTO_PROMPTS 256
#define PROTO_IMAGES 64               /* of one concept */
#define PROTO_SETTINGS (16u << 10)
#define PROTO_REPORT (256u << 10)
#define PROTO_REQUEST (1u << 20)      /* a learn, sample or evaluate inside another message */
#define PROTO_OUTPUTS 1024            /* objects made by one stage: 1000 class images and a list of them */
#define PROTO_CHAIN 1000              /* commits of one lineage */
#define PROTO_ROWS 1000
#define PROTO_SHARED 64               /* users and groups that one lineage is shared with */
#define PROTO_WEIGHT 1000000
#define PROTO_PART (1u << 20)         /* of an object in one message */
#define PROTO_ID INT64_MAX            /* SQLite's integers end here */
#define PROTO_ANY UINT64_MAX
#define PROTO_SMALL 255

/* The coordinator answers `ready` after this long at the latest, so that a worker can tell "nothing to do" from "nobody there". */
#define PROTO_POLL_MS 2000

/* ---- numbers that cross the wire and stand in the database: append only ---- */

enum job_kind { JOB_LEARN = 1, JOB_SAMPLE = 2, JOB_EVALUATE = 3 };

enum stage_kind {
    STAGE_PRIOR = 1,                  /* class images from the base */
    STAGE_CAPTION = 2,                /* reserved: captions for images without */
    STAGE_SCORE = 3,                  /* masks */
    STAGE_TRAIN = 4,                  /* its one output is the commit */
    STAGE_SAMPLE = 5,
    STAGE_EVALUATE = 6,
    STAGE_KINDS
};

enum job_state {
    JOB_QUEUED = 1,                   /* nothing of it runs now */
    JOB_RUNNING = 2,                  /* a group holds a lease of one of its stages */
    JOB_PAUSED = 3,                   /* the disk is full or the like: tried again by itself, see line */
    JOB_DONE = 4,
    JOB_FAILED = 5,
    JOB_CANCELLED = 6
};
#define JOB_ENDED(state) ((state) >= JOB_DONE)

enum stage_state {
    STAGE_WAITING = 1,                /* for an input or for its turn */
    STAGE_READY = 2,                  /* for a group */
    STAGE_LEASED = 3,
    STAGE_DONE = 4,
    STAGE_FAILED = 5,
    STAGE_DROPPED = 6                 /* its job was cancelled or failed before */
};

enum concept_kind { CONCEPT_ANIMAL = 1, CONCEPT_OBJECT = 2, CONCEPT_SCENE = 3, CONCEPT_STYLE = 4 };

enum priority { PRIORITY_NORMAL = 0, PRIORITY_HIGH = 1, PRIORITY_LOW = 2, PRIORITIES };

enum role { ROLE_USER = 1, ROLE_ADMIN = 2, ROLE_WORKER = 3 };

enum visibility {
    VISIBLE_PRIVATE = 0,              /* to the owner, the owner's group (counts only) and whom it is shared with */
    VISIBLE_PUBLIC = 1                /* everybody may sample and evaluate; only those it is shared with may add */
};

enum on_failure {
    FAILURE_SKIP = 0,                 /* the next concept takes its turn */
    FAILURE_WAIT = 1                  /* until somebody retries or cancels the failed one */
};

enum learn_wants { WANT_PRIOR = 1, WANT_SCORE = 2, WANT_SAMPLE = 4, WANT_EVALUATE = 8 };

enum event_type {
    EVENT_STATE = 1,                  /* the job changed: text says how. Durable */
    EVENT_STAGE = 2,                  /* a stage began, ended, was lost: text says how. Durable */
    EVENT_PROGRESS = 3,               /* step, of, text of a heartbeat. In memory only, latest ones kept */
};

/* ---- structs, made from messages.def ---- */

struct slice { const uint8_t *data; size_t n; };         /* borrowed from the arena or the caller */
struct strs { size_t n; const char **v; };
struct hashes { size_t n; struct hash *v; };

#define RECORD(name) struct name {
#define END_RECORD(name) }; struct name##s { size_t n; struct name *v; };
#define MESSAGE(number, name, from, since) struct msg_##name {
#define END(name) };
#define U64(name, max) uint64_t name;
#define I64(name) int64_t name;
#define F64(name) double name;
#define STR(name, max) const char *name;
#define BYTES(name, max) struct slice name;
#define HASH(name) struct hash name;
#define STRS(name, n, max) struct strs name;
#define HASHES(name, n) struct hashes name;
#define ROWS(name, record, n) struct record##s name;
#include "proto/messages.def"

enum msg_kind {
    MSG_none = 0,
#define MESSAGE(number, name, from, since) MSG_##name = number,
#include "proto/messages.def"
    MSG_KINDS
};

enum msg_from { FROM_NOBODY, FROM_USER, FROM_WORKER, FROM_COORDINATOR, FROM_ANYONE };

struct message {
    enum msg_kind kind;
    uint64_t id;                      /* chosen by who asks, repeated by who answers; 0: no request can be named */
    uint64_t version;                 /* of the protocol, as it travels; 0 when encoding: PROTO_VERSION */
    union {
#define MESSAGE(number, name, from, since) struct msg_##name name;
#include "proto/messages.def"
    };
};

/* ---- bytes ---- */

/* Writes m into the arena. ERR_INPUT names the field that is beyond its limit or no UTF-8; ERR_NOMEM. */
enum code proto_encode(const struct message *m, struct arena *a, struct slice *out, struct err *e);

/* The oldest version that says all of m: writing it in that one loses nothing. The same for two messages that mean the same,
 * whatever versions they came in. O(fields and rows). */
uint64_t proto_least(const struct message *m);

/* Reads exactly one message. ERR_PROTOCOL says what is wrong and where; ERR_NOMEM. After an error out holds kind and id
 * as far as they were understood (MSG_none, 0 otherwise) so that the sender can be told. */
enum code proto_decode(const void *data, size_t n, struct arena *a, struct message *out, struct err *e);

/* The envelope alone, for whoever passes messages on. 0 where it cannot be read. O(1). */
struct proto_envelope { uint64_t version, id; enum msg_kind kind; };
struct proto_envelope proto_peek(const void *data, size_t n);

/* ---- names, for people and logs; never NULL ---- */

const char *proto_name(enum msg_kind kind);              /* "learn" */
enum msg_from proto_from(enum msg_kind kind);            /* FROM_NOBODY: no such message */
uint64_t proto_since(enum msg_kind kind);                /* first version that has it; 0: no such message */
const char *proto_job_kind(uint64_t kind);               /* "learn" */
const char *proto_job_state(uint64_t state);             /* "running" */
const char *proto_stage_kind(uint64_t kind);             /* "train" */
const char *proto_stage_state(uint64_t state);           /* "leased" */
struct hash proto_base_alone(void);                      /* sample.commit: the base model, no commit of the lineage */
const char *proto_concept_kind(uint64_t kind);           /* "animal" */
uint64_t proto_parse_concept_kind(const char *name);     /* 0: no such kind */
const char *proto_priority(uint64_t number);             /* "high" */
const char *proto_role(uint64_t number);                 /* "admin" */
const char *proto_visibility(uint64_t number);           /* "private" */
const char *proto_on_failure(uint64_t number);           /* "wait" */

/* The number of such a word, exactly as written above. ERR_USAGE lists the words that there are; *out stays. */
enum code proto_parse_priority(const char *word, uint64_t *out, struct err *e);
enum code proto_parse_role(const char *word, uint64_t *out, struct err *e);
enum code proto_parse_visibility(const char *word, uint64_t *out, struct err *e);
enum code proto_parse_on_failure(const char *word, uint64_t *out, struct err *e);

/* Makes a line fit for a STR(PROTO_LINE) field, in place: bytes that are no UTF-8 become '?', the rest is cut. */
char *proto_line(char *s);

/* A `refused` made from an error. The text is borrowed from why, and cleaned there. */
struct message proto_refused(struct err *why);

#endif
