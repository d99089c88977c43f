/* migrate.h - the ladder between schema versions, up and down.
 *
 *     migrate_open(s, migrate_ladder(), &e);        // an empty file is made, an old one climbs, a newer one is refused
 *     migrate_down(s, migrate_ladder(), 1, &e);     // where nothing that came after version 1 is used
 *
 * A rung leads from version v - 1 to v and back. Its texts are files of this folder:
 *
 *     rung_<v>_up.sql      what to do to a database of version v - 1
 *     rung_<v>_down.sql    the way back
 *     rung_<v>_uses.sql    one SELECT of one text column: a row for each thing that version v - 1 could not hold
 *
 * and its line stands in migrate.c. schema.sql makes the newest version from nothing; a test holds the two ways against each
 * other. The first rung leads to 2; version 1 is the oldest that is known.
 *
 * Nothing is done to the database itself. Its contents are written to a new file beside it, with room for sums in the pages (vfs.h:
 * version 2 and later have them); the rungs are taken there, the result is checked as a whole, the old file stays under the name
 * "<database>.version-<v>", and the new one gets the name of the old: a kill at any instant leaves one or the other. Inside a
 * rung foreign keys are off (tables may be made anew under their names). Each version and the program that made it stands in
 * the table `versions`, which belongs to the ladder and to no rung, so that any program can say who wrote a database it
 * does not know.
 *
 * For the files of store/ and for tests. One connection, nobody else at the database. Costs a copy, and a pass to check it.
 */
#ifndef COORDINATOR_STORE_MIGRATE_H
#define COORDINATOR_STORE_MIGRATE_H

#include "coordinator/store/db.h"

struct sql_text { const char *start, *end; };     /* borrowed; end is one past the last byte */
struct rung { struct sql_text up, down, uses; };

struct ladder {
    int oldest, newest;
    struct sql_text schema;               /* makes newest */
    const struct rung *rungs;             /* [newest - oldest], the first one leads to oldest + 1 */
};

const struct ladder *migrate_ladder(void);        /* the one of this program */

/* ERR_CORRUPT: not a database of ours. ERR_ENVIRONMENT: a version this program does not know; the line says who wrote it and
 * how to go back. After any error the database is as it was. */
enum code migrate_open(struct store *s, const struct ladder *l, struct err *e);

/* Down to `version`. ERR_INPUT: something newer is used; the line names it. */
enum code migrate_down(struct store *s, const struct ladder *l, int version, struct err *e);

#endif
