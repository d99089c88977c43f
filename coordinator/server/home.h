/* home.h - the folder in which an Engram lives, and the lock that makes it one coordinator's.
 *
 *     objects/           immutable blobs by their SHA-256: images, class images, commits, pictures, reports
 *     checkpoints/       of running stages, written by worker groups; may be deleted when nothing runs
 *     coordinator.db     lineages, jobs, commits (SQLite, with -wal and -shm beside it)
 *     groups/            with Slurm: what was promised to it, one file per worker group, and the script (launch/intent.h)
 *     site.json          with Slurm: how this site wants to be asked, by whoever runs it (launch/site.h)
 *     run/               sockets, pids, folders of running groups; nothing here survives or needs to
 *     log/               coordinator.log, group-N.log
 */
#ifndef COORDINATOR_SERVER_HOME_H
#define COORDINATOR_SERVER_HOME_H

#include "base/err.h"

struct home { char path[4096]; int lock; };

/* Makes the folders (0700), takes the lock. ERR_EXISTS: another coordinator has it; the line names its pid. */
enum code home_open(struct home *h, const char *path, struct err *e);
enum code home_write_pid(const struct home *h, struct err *e);
void home_close(struct home *h);      /* removes the pid file */

/* "<home>/<rest>" in the caller's buffer. ERR_USAGE: too long. */
enum code home_path(const struct home *h, const char *rest, char *out, unsigned long bytes, struct err *e);

#endif
