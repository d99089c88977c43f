/* supply.h - objects for a worker group that has no part in the home's file system: fetched before a stage, sent before its result is said.
 *
 *     supply_open(&s, &options, &e);                            // rank 0; the group's home is the cache's folder
 *     supply_bring(s, &stage, &group, &arena, &e);              // all that the stage reads is in group->objects now
 *     ... group_run ...
 *     supply_send(s, &stage, &outcome, &group, &e);             // all that it made is in the coordinator's objects now
 *     supply_rest(s);                                           // the stage is over: the cache may shrink
 *
 * The cache (base/cache.h) lies where all ranks of the group see it: on the disk of their host or, where a group spans hosts, in a folder that
 * these share. Rank 0 fetches, all read. Checkpoints stay in the cache: a stage that goes on with a group elsewhere starts anew, and gives
 * the same bytes. A connection of its own, so that heartbeats go on meanwhile.
 */
#ifndef WORKERS_SUPPLY_H
#define WORKERS_SUPPLY_H

#include "proto/link.h"
#include "workers/group.h"

struct supply;

struct supply_options {
    const char *dir;                       /* of the cache */
    uint64_t cache_bytes;
    const struct link_options *link;       /* endpoint and keys of the group's own link */
};

enum code supply_open(struct supply **s, const struct supply_options *o, struct err *e);
void supply_close(struct supply *s);       /* NULL is fine */

/* Both try for SILENCE_MS while nobody answers, and stop with ERR_CANCELLED when the group's progress says so. */
enum code supply_bring(struct supply *s, const struct msg_stage *m, struct group *g, struct arena *a, struct err *e);
enum code supply_send(struct supply *s, const struct msg_stage *m, const struct outcome *o, struct group *g, struct err *e);
void supply_rest(struct supply *s);

/* Every rank: do all see the cache of rank 0? */
enum code supply_is_shared(const char *dir, struct collectives *c, struct err *e);

#endif
