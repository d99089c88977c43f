/* work.h - a working life of one home, from an old database to a full one, that can be broken off anywhere and taken up again.
 *
 * It climbs from schema version 1, takes jobs, stores objects, does stages, commits, moves the log into the database, makes a backup,
 * tidies, closes and opens again, makes a second database. Every request has a fixed key, so that a second life asks for the same and gets the same. What fails is tried again, as
 * the coordinator does: loaded from the disk, then asked again.
 *
 * What is promised is said to `acks`, a line each, after it was promised:
 *
 *     job 7 <key>          commit 7 <hash>          object <hash>          backup <jobs in it> <name in the home>
 */
#ifndef TESTS_STORE_WORK_H
#define TESTS_STORE_WORK_H

#include "base/err.h"

enum { WORK_JOBS = 5, WORK_OLD_JOBS = 5 };    /* taken in this life; in the old database */

/* The state in which the first life begins: an old database and what its jobs name. */
void work_template(const char *home);

/* life: 0, 1, ...: each is a day later than the one before. acks: a descriptor, -1: nobody listens. OK: all is done. */
enum code work_run(const char *home, int life, int acks, struct err *e);

#endif
