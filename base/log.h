/* log.h - one line per event on stderr: time, level, room, text. Only programs call it, never libraries.
 *
 *     log_open("coordinator", LOG_INFO);
 *     log_line(LOG_WARN, "worker group %s silent for %d s", name, s);
 *
 * Thread-safe. With ENGRAM_LOG=json each line is one JSON object {"t","level","who","text"}.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_open(const char *who, enum log_level least);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
