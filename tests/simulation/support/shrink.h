/* shrink.h - a broken world told as short as it goes: fewer users, groups and lineages, less bad luck, fewer events, until nothing can
 * be left out without the same invariant holding again.
 *
 *     struct story s;
 *     shrink(&options, w, 20000000, &s);  // w: the world that broke; events that may be played in others, about
 *     printf("%s\n", s.command);          // replays it exactly
 *     story_fini(&s);
 */
#ifndef TESTS_SIMULATION_SHRINK_H
#define TESTS_SIMULATION_SHRINK_H

#include "tests/simulation/support/world.h"

struct story {
    struct world_options options;     /* shape and kept point into this struct */
    char shape[512];
    struct kept *kept;                /* owned */
    uint64_t events;                  /* until it broke */
    int all_faults;                   /* nothing is left out: kept is not used */
    int runs;
    char *command;                    /* owned */
};

/* Deterministic. A world that is tried is no longer than the shortest so far. */
void shrink(const struct world_options *o, const struct world *broken, uint64_t may_play, struct story *out);
/* `make simulate ...` that plays these options. Owned by the caller. */
char *story_command(const struct world_options *o);
/* "drop.1000.3,kill_after.3.7" */
enum code story_keep(const char *text, struct kept **kept, size_t *n, struct err *e);
void story_fini(struct story *s);

#endif
