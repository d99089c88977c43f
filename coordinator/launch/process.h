/* process.h - a child (or the child of a dead predecessor) that is known for sure: pid and start time, because pids return. */
#ifndef COORDINATOR_LAUNCH_PROCESS_H
#define COORDINATOR_LAUNCH_PROCESS_H

#include "base/err.h"

#include <sys/types.h>

struct process { pid_t pid; unsigned long long started; int is_child; };    /* pid 0: none */

/* Runs argv in a session of its own: stdin is /dev/null, both outputs are appended to log. env: extra "NAME=value", NULL-ended;
 * "NAME" alone takes that variable away; NULL: as ours. */
enum code process_start(struct process *p, char *const *argv, const char *const *env, const char *log, struct err *e);

/* The same with outputs into two open files, which stay the caller's. */
enum code process_start_into(struct process *p, char *const *argv, const char *const *env, int out, int said, struct err *e);

/* Takes over a process that somebody else started; 0 when it is not there (or another one has its pid). */
int process_adopt(struct process *p, pid_t pid, unsigned long long started);

/* Finds one by the name of its program and one of its arguments, for a start whose pid nobody had time to write down. O(processes);
 * 0: there is none. */
int process_find(struct process *p, const char *program, const char *argument);
/* Does any process have a text in its command line? */
int process_mentions(const char *text);

/* Does it still run? A zombie does not. *status: how a child ended (waitpid), -1 where that cannot be known. */
int process_runs(struct process *p, int *status);

void process_signal(const struct process *p, int signal);      /* to its whole session's group */

/* Is there such a program on PATH (or at this path)? */
int process_program(const char *name);

#endif
