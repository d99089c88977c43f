/* err.h - how anything in Engram fails: a code for programs, one line for people.
 *
 *     if (!f) return err_set(e, ERR_IO, "open %s: %s", path, strerror(errno));
 *
 * A function that can fail returns `enum code` (0 is OK) and takes `struct err *` last; the pointer
 * may be NULL. The line says what, where and what to do. Libraries never print and never exit; only
 * a main does, with err_exit_status. Numbers of codes are stable: they cross the wire and stand in
 * the database. Append only.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

enum code {
    OK = 0,
    ERR_USAGE = 1,        /* command line or configuration is wrong                       exit 2 */
    ERR_INPUT = 2,        /* data refused: image, caption, checkpoint, name               exit 3 */
    ERR_NOT_FOUND = 3,    /* lineage, job, commit, object or file does not exist          exit 3 */
    ERR_EXISTS = 4,       /* token, name or socket is taken                               exit 3 */
    ERR_CORRUPT = 5,      /* bytes do not match their hash, checksum or format            exit 3 */
    ERR_ENVIRONMENT = 6,  /* coordinator not running, missing program, wrong permissions  exit 4 */
    ERR_IO = 7,           /* the system refused a read or a write                         exit 4 */
    ERR_FULL = 8,         /* no space left on device, quota                               exit 4 */
    ERR_NOMEM = 9,        /* out of memory                                                exit 4 */
    ERR_DENIED = 10,      /* not yours                                                    exit 4 */
    ERR_PROTOCOL = 11,    /* a message that does not follow PROTOCOL.md                   exit 4 */
    ERR_STALE = 12,       /* an epoch or head that has moved on                           exit 75 */
    ERR_CANCELLED = 13,   /* the user asked to stop                                       exit 75 */
    ERR_AGAIN = 14,       /* nothing wrong, try later                                     exit 75 */
    ERR_FAILED = 15,      /* a job ended in failure                                       exit 1 */
    ERR_INTERNAL = 16,    /* a bug of ours                                                exit 1 */
    ERR_CODES
};

struct err {
    enum code code;
    char text[480];       /* one line, no newline at the end */
};

/* Writes code and line into e (which may be NULL) and returns code. Newlines and control characters
 * that come from outside are replaced by '?', so that one error stays one line. */
enum code err_set(struct err *e, enum code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<context>: " before the line already in e and returns e's code. For room borders. Where e may be NULL the code
 * is not known here (ERR_INTERNAL is returned, never OK): write `err_context(e, ...); return rc;`. */
enum code err_context(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Translates errno: ENOSPC and EDQUOT become ERR_FULL, ENOMEM ERR_NOMEM, ENOENT ERR_NOT_FOUND, EACCES and
 * EPERM ERR_DENIED, all else ERR_IO. The line is "<what>: <strerror>". */
enum code err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Stable lower-case name ("input", "not-found", ...) and the exit status of the comment above. */
const char *err_name(enum code code);
int err_exit_status(enum code code);

/* All problems of one submission, so that a user hears of them together and not one by one.
 * Zero-initialise; problems_fini frees. Keeps the first 200 lines and counts the rest. */
struct problems {
    char **line;          /* owned */
    enum code *code;      /* owned, one per line */
    size_t n, n_dropped;
};
void problems_add(struct problems *p, enum code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void problems_fini(struct problems *p);

#endif
