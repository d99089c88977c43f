/* log.h - one line per event on stderr. Only programs call it, never libraries.
 *
 *     log_open("coordinator", LOG_INFO);
 *     log_line(LOG_WARN, "%s is silent for %d s", name, s);
 *     log_event(LOG_INFO, &(struct log_about){.event = "stage_begins", .job = 12, .stage = "train"}, "job 12: train begins");
 *
 *     2026-01-31T12:00:00.123Z info  coordinator: job 12: train begins
 *     {"time":"2026-01-31T12:00:00.123Z","level":"info","program":"coordinator","event":"stage_begins","job":12,"stage":"train",
 *      "text":"job 12: train begins"}                                          (as one line)
 *
 * Plain or JSON: `--log json` of a program, or ENGRAM_LOG=json. docs/operations.md lists fields and events; a test
 * compares. A log may be read by people who may not see jobs: no prompt, caption, token or name of an image in it. Thread-safe.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* What a line is about, for programs: only JSON has it. What is zero is left out. Borrowed. */
struct log_about {
    const char *event;                /* what happened, one of the words in docs/operations.md */
    uint64_t job, epoch;
    const char *lineage, *stage, *group, *code;          /* group: a worker group's name; code: err_name */
};

void log_open(const char *program, enum log_level least);
/* "plain" or "json"; ERR_USAGE: neither. Also for the children of this process, by their environment. */
enum code log_format(const char *name, struct err *e);
/* This process is that worker group: stands in every line, in plain ones in place of the program. */
void log_as(const char *group);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_event(enum log_level level, const struct log_about *about, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Lines of this thread are gathered from here on, and written together by log_release and whenever PIPE_BUF bytes of them have come:
 * for a loop that writes thousands a second. What is gathered dies with the process. */
void log_hold(void);
void log_release(void);

/* May a line of this code stand in a log? Those that blame what somebody asked for may quote it. */
int log_may_quote(enum code code);

#endif
