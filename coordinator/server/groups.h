/* groups.h - the launcher beside the server: what it is told of the backlog, what it is asked about a group.
 *
 *     groups_open(&g, &options, &launch, &e);  groups_join(&g, &server);
 *     each turn: groups_turn(&g, &server, stopping);
 *     at the end: groups_stop(&g, now_ms) until it says 0; groups_close(&g);
 */
#ifndef COORDINATOR_SERVER_GROUPS_H
#define COORDINATOR_SERVER_GROUPS_H

#include "coordinator/launch/launcher.h"
#include "coordinator/launch/site.h"
#include "coordinator/server/server.h"

/* What the command line says about Slurm; borrowed. Numbers below 0: nothing. */
struct group_options {
    int slurm, print;
    const char *site_file;            /* NULL: HOME/site.json if it is there */
    const char *sbatch[SITE_WORDS];
    int n_sbatch;
    int64_t min_groups, max_groups, idle_minutes;
};
#define GROUP_OPTIONS_NONE { .min_groups = -1, .max_groups = -1, .idle_minutes = -1 }

/* Rows for getopt_long; what it returns for them goes to groups_option. ERR_USAGE: no such option, or a wrong number. */
enum { GROUP_SLURM = 300, GROUP_SITE, GROUP_SBATCH, GROUP_LEAST, GROUP_MOST, GROUP_IDLE, GROUP_PRINT };
#define GROUP_OPTIONS \
    {"slurm", 0, 0, GROUP_SLURM}, {"site", 1, 0, GROUP_SITE}, {"sbatch", 1, 0, GROUP_SBATCH}, \
    {"min-groups", 1, 0, GROUP_LEAST}, {"max-groups", 1, 0, GROUP_MOST}, {"idle", 1, 0, GROUP_IDLE}, \
    {"print-sbatch", 0, 0, GROUP_PRINT}
enum code groups_option(struct group_options *o, int which, const char *value, struct err *e);

struct groups {
    const struct launcher_table *table;
    struct site site;                 /* owned; Slurm */
    struct launcher *l;               /* NULL: none, groups come from elsewhere */
    struct launch_want want;          /* of the last look at the core */
    struct launch_seen *seen;         /* owned */
    size_t seen_room;
    int64_t looked_ms;
};

/* The launcher of `launch`, or Slurm's if o says so. ERR_USAGE: the profile of the site; ERR_ENVIRONMENT: a program is missing. */
enum code groups_open(struct groups *g, const struct group_options *o, const struct launch_options *launch, struct err *e);
/* The script and the command that Slurm would get, to standard output. Nothing is started. */
enum code groups_print(const struct group_options *o, const struct launch_options *launch, struct err *e);

/* From now on the server asks the launcher whether a group may work, and shows its trouble in `ping`. */
void groups_join(struct groups *g, struct server *s);
void groups_turn(struct groups *g, struct server *s, int stopping);
int groups_stop(struct groups *g, int64_t now_ms);         /* returns how many are still there */
void groups_close(struct groups *g);

#endif
