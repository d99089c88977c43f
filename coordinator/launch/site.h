/* site.h - how worker groups are submitted at one place: what its Slurm wants to hear, and what its nodes need before mpirun.
 *
 *     site_defaults(&s, &e);  site_read(&s, "HOME/site.json", &e);  site_add_sbatch(&s, "--partition=gpu", &e);
 *     site_script(&s, &text);                    // the batch script, the same for every group
 *     site_command(&s, &call, argv, &e);         // sbatch ... script HOME ENDPOINT WORKER NAME
 *     site_fini(&s);
 *
 * The file is one JSON object; every key may be left out, an unknown one is refused with the nearest known. slurm/README.md
 * explains each:
 *
 *     { "sbatch": ["--partition=gpu", "--account=lab"], "setup": ["module load openmpi"], "mpirun": [], "export": ["PATH", "HOME"],
 *       "time": "8:00:00", "nodes": 1, "threads": 1, "warn_seconds": 120, "worker": "engram-worker", "connect": "ipc://...",
 *       "log": "/some/folder", "min_groups": 0, "max_groups": 4, "idle_minutes": 10 }
 */
#ifndef COORDINATOR_LAUNCH_SITE_H
#define COORDINATOR_LAUNCH_SITE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

#include <stdint.h>

enum { SITE_WORDS = 64 };             /* of one list */

struct site_words { const char *v[SITE_WORDS]; int n; };

struct site {
    struct arena strings;             /* owned; all texts are in it */
    struct site_words sbatch;         /* as they are, after our own: the last one counts */
    struct site_words setup;          /* lines of shell, before mpirun */
    struct site_words mpirun;         /* more words for it */
    struct site_words exported;       /* names of variables that a job gets */
    const char *time, *worker, *connect, *log;      /* worker, connect, log NULL: the coordinator's own */
    int64_t nodes, threads, warn_seconds, min_groups, max_groups, idle_minutes;
};

enum code site_defaults(struct site *s, struct err *e);
/* Over what s has. ERR_USAGE: a line that names file, key and what was expected. */
enum code site_read(struct site *s, const char *path, struct err *e);
enum code site_add_sbatch(struct site *s, const char *word, struct err *e);
enum code site_check(const struct site *s, struct err *e);
void site_fini(struct site *s);

/* slurm/engram-worker.sbatch with this site's lines in it. Sticky (text.h). */
void site_script(const struct site *s, struct text *out);

struct site_call { const char *home, *endpoint, *worker, *name, *log, *script; int ranks; };
enum { SITE_ARGV = SITE_WORDS + 32 };
/* NULL-ended; words live in the arena. */
enum code site_command(const struct site *s, const struct site_call *c, struct arena *a, const char *argv[SITE_ARGV], struct err *e);
/* For people: one line that a shell would read as this command. */
void site_quote(const char *const *argv, struct text *out);

#endif
