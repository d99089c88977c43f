/* groups.h - the launcher beside the server: what it is told of the backlog, what it is asked about a group.
 *
 *     struct groups g = {.table = launcher_slurm()};
 *     g.table->open(&g.l, &options, &e);  groups_join(&g, &server);
 *     each turn: groups_turn(&g, &server, stopping);
 */
#ifndef COORDINATOR_SERVER_GROUPS_H
#define COORDINATOR_SERVER_GROUPS_H

#include "coordinator/launch/launcher.h"
#include "coordinator/server/server.h"

struct groups {
    const struct launcher_table *table;
    struct launcher *l;               /* NULL: none, groups come from elsewhere */
    struct launch_want want;          /* of the last look at the core */
    struct launch_seen *seen;         /* owned */
    size_t seen_room;
    int64_t looked_ms;
};

/* From now on the server asks the launcher whether a group may work, and shows its trouble in `ping`. */
void groups_join(struct groups *g, struct server *s);
void groups_turn(struct groups *g, struct server *s, int stopping);
void groups_close(struct groups *g);

#endif
