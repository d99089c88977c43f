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

#endif
