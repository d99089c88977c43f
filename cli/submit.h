/* submit.h - many requests at once: wishes come from a table or a tree of folders, are all checked, and only then sent.
 *
 *     submit_table.c     a CSV file -> wishes            submit_check.c     a wish -> a request, or what is wrong with it
 *     submit_tree.c      folders -> wishes               submit_send.c      requests -> jobs, a thousand at a time
 *
 * The key of a request follows from its content, the name of the run and how often the same came before it: the same command said
 * again means the same jobs, whatever became of the first one.
 */
#ifndef CLI_SUBMIT_H
#define CLI_SUBMIT_H

#include "cli/caption.h"
#include "cli/lesson.h"

/* One request that somebody wants. Strings are the arena's. */
struct wish {
    const char *where;                 /* "jobs.csv:12" or the folder: for messages */
    enum job_kind kind;
    const char *lineage, *commit, *prompt, *negative, *concept;      /* NULL: not said. concept: what {} stands for */
    int64_t per_prompt, seed;          /* -1: not said */
    uint64_t priority;
    struct words set;                  /* of this wish alone, behind those of the command */
    struct lesson lesson;              /* learn */
    struct settings settings;          /* of submit_check, as all below */
    const char *settings_json;
    struct target *target;             /* borrowed from struct submitting */
    struct message message;            /* what will be sent */
    struct slice request;              /* its bytes, with its key; empty: it was refused here */
    uint64_t job;                      /* accepted as; 0: not */
    enum code code;                    /* why not; OK: accepted, or nobody knows yet */
    const char *line;
};

struct submitting {
    const char *lineage, *class_word, *run, *memory, *config, *priority;       /* of the command line; NULL: not said */
    struct words set;
    int keep_going, no_evaluate, recursive;
    struct caption_wish caption;
    struct wish *wish;                 /* owned */
    size_t n, room;
    struct target *targets;            /* in the arena */
    struct arena arena;
};

/* A new wish with what the command line says; NULL: out of memory (said in e). Valid until the next one is added. */
struct wish *submit_add(struct submitting *s, const char *where, struct err *e);

/* ERR_INPUT: the table or a cell of it is wrong: "jobs.csv:3:17: ..." */
enum code submit_table(struct submitting *s, const char *path, struct problems *p, struct err *e);
/* Every folder below `path` that holds images is a concept, in byte order of their paths. */
enum code submit_tree(struct submitting *s, const char *path, struct err *e);

/* All of them; what is wrong stands in the wish (code, line) and in p. */
void submit_check(struct submitting *s, struct problems *p);
void submit_fini(struct submitting *s);

/* Objects first, then requests. A failure of the connection is the return value; what was refused stands in the wishes. */
enum code submit_send(struct submitting *s, struct err *e);

/* "checked 120 of 2000", now and then, to standard error. */
void submit_tick(const char *what, size_t done, size_t of);

#endif
