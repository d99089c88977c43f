/* progress.h - following a job: a bar with an honest estimate on a terminal, a line now and then elsewhere.
 *
 *     int status = progress_follow(job, &row, &a);        // returns when the job has ended; its last row
 *
 * On a terminal one line is redrawn; else a line per stage and per quarter. Ctrl-C leaves the job running and says how to come back.
 * NO_COLOR and TERM=dumb are honoured.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/cli.h"

/* OK: the job is done. ERR_FAILED, ERR_CANCELLED with the job's own line, or why following broke off. */
enum code progress_follow(uint64_t job, struct arena *a, struct job_row *out, struct err *e);

/* The same for work that this process does itself: bytes written. (progress_bytes.c)
 *
 *     struct progress_bytes p;
 *     progress_bytes_begin(&p, "export");  ... tick(&p, done, of) ...  progress_bytes_end(&p);
 *
 * Between begin and end Ctrl-C, SIGTERM and SIGHUP do not end the process: the next tick returns 1, for the work to stop and
 * clean up. Not on a terminal there is a line every half minute. */
struct progress_bytes { const char *what; double began, said; int terminal, width; };
void progress_bytes_begin(struct progress_bytes *p, const char *what);
int progress_bytes_tick(void *self, uint64_t done, uint64_t of);
void progress_bytes_end(struct progress_bytes *p);

#endif
