/* rank_loop.h - the life of a worker group: ask for a stage, run it on all ranks, report, ask again.
 *
 *     rank_loop(&g, link, supply, &e);    // link: rank 0's, NULL on the others; supply: rank 0's, NULL where the home is at hand
 *
 * Returns OK when the coordinator said `end` or a signal asked the group to leave; an error when the coordinator has been silent for
 * SILENCE_MS or a rank cannot go on.
 */
#ifndef WORKERS_RANK_LOOP_H
#define WORKERS_RANK_LOOP_H

#include "proto/link.h"
#include "workers/group.h"

/* A group without a coordinator gives up after this long. A coordinator that was killed is back in seconds; ten minutes leave
 * time for a person, and no group lingers for ever. */
#define SILENCE_MS (10 * 60 * 1000)

struct supply;
enum code rank_loop(struct group *g, struct link *link, struct supply *supply, struct err *e);

#endif
