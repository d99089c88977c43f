/* ask.h - a program that is asked something: started, read as it speaks, ended when its time is over. Nothing here waits.
 *
 *     ask_start(&a, argv, env, now_ms, 20000, &e);
 *     each turn:  state = ask_look(&a, now_ms);
 *         ASK_ANSWERED: status 0, all it wrote is in a.out        ASK_FAILED: a.why says what happened, nothing is known
 *     ask_fini(&a);                          // also in the middle: the program is left to itself
 *
 * Its output comes through a pipe, not a file: on a full disk a file would be a shorter answer, and a shorter answer a lie.
 */
#ifndef COORDINATOR_LAUNCH_ASK_H
#define COORDINATOR_LAUNCH_ASK_H

#include "coordinator/launch/process.h"

#include "base/text.h"

#include <stdint.h>

enum { ASK_BYTES = 16 << 20 };        /* of an answer: a hundred thousand jobs of one user */

enum ask_state { ASK_NONE, ASK_ASKED, ASK_ANSWERED, ASK_FAILED };

struct ask {                          /* zero-initialise */
    enum ask_state state;
    struct process process;
    int fd[2];                        /* its output, its errors; valid while ASKED */
    struct text out, said;            /* owned; said: the beginning of its errors */
    int64_t begun_ms, until_ms;
    int too_long, too_late;
    struct err why;
};

/* env as in process_start; a name without = takes that variable away. a must not be ASKED. */
enum code ask_start(struct ask *a, const char *const *argv, const char *const *env, int64_t now_ms, int64_t timeout_ms, struct err *e);
enum ask_state ask_look(struct ask *a, int64_t now_ms);
void ask_fini(struct ask *a);

#endif
