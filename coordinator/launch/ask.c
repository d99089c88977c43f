#include "coordinator/launch/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAID_BYTES = 4096 };

static void close_fd(int *fd)
{
    if (*fd > 0) close(*fd);
    *fd = 0;
}

void ask_fini(struct ask *a)
{
    close_fd(&a->fd[0]);
    close_fd(&a->fd[1]);
    text_fini(&a->out);
    text_fini(&a->said);
    *a = (struct ask){0};
}

enum code ask_start(struct ask *a, const char *const *argv, const char *const *env, int64_t now_ms,
                    int64_t timeout_ms, struct err *e)
{
    int out[2] = {-1, -1}, said[2] = {-1, -1};
    enum code rc = OK;

    ask_fini(a);
    if (pipe2(out, O_CLOEXEC) || pipe2(said, O_CLOEXEC)) rc = err_errno(e, "pipe");
    if (!rc)
        rc = process_start_into(&a->process, (char *const *)(uintptr_t)argv, env, out[1], said[1],
                                e);
    if (out[1] >= 0) close(out[1]);
    if (said[1] >= 0) close(said[1]);
    if (rc) {
        if (out[0] >= 0) close(out[0]);
        if (said[0] >= 0) close(said[0]);
        return rc;
    }
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(said[0], F_SETFL, O_NONBLOCK);
    a->fd[0] = out[0];
    a->fd[1] = said[0];
    a->state = ASK_ASKED;
    a->begun_ms = now_ms;
    a->until_ms = now_ms + timeout_ms;
    return OK;
}

/* All that is there now; what is beyond the limit is read and dropped, so that the program is not held up. 1: dropped some. */
static int drain(int fd, struct text *into, size_t limit)
{
    char buffer[16384];
    ssize_t n;
    int dropped = 0;

    while ((n = read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0) continue;
        size_t room = limit > into->n ? limit - into->n : 0;
        dropped |= (size_t)n > room;
        text_add_bytes(into, buffer, (size_t)n < room ? (size_t)n : room);
    }
    return dropped;
}

/* The last line of its errors that says something, without the program's own "error: " twice. */
static const char *last_words(struct text *said)
{
    char *end, *line;

    if (!said->s) return "";
    for (end = said->s + said->n; end > said->s && strchr("\n\r ", end[-1]); end--) end[-1] = '\0';
    line = strrchr(said->s, '\n');
    return line ? line + 1 : said->s;
}

static enum ask_state fail(struct ask *a, int status)
{
    const char *words = last_words(&a->said);

    a->state = ASK_FAILED;
    if (a->too_late)
        err_set(&a->why, ERR_AGAIN, "no answer in %d s", (int)((a->until_ms - a->begun_ms) / 1000));
    else if (a->too_long || !text_ok(&a->out))
        err_set(&a->why, ERR_FULL, "an answer of more than %d bytes", ASK_BYTES);
    else if (words[0]) err_set(&a->why, ERR_ENVIRONMENT, "%s", words);
    else if (WIFSIGNALED(status))
        err_set(&a->why, ERR_ENVIRONMENT, "ended by signal %d", WTERMSIG(status));
    else err_set(&a->why, ERR_ENVIRONMENT, "status %d", WEXITSTATUS(status));
    return a->state;
}

enum ask_state ask_look(struct ask *a, int64_t now_ms)
{
    int status, runs;

    if (a->state != ASK_ASKED) return a->state;
    runs = process_runs(&a->process,
                        &status); /* before the last read: what an ended program wrote is there */
    a->too_long |= drain(a->fd[0], &a->out, ASK_BYTES);
    drain(a->fd[1], &a->said, SAID_BYTES);
    if (runs) {
        if (now_ms >= a->until_ms) {
            a->too_late = 1;
            process_signal(&a->process,
                           SIGKILL); /* again and again: its session may not be there yet */
        }
        return ASK_ASKED;
    }
    close_fd(&a->fd[0]);
    close_fd(&a->fd[1]);
    if (status != 0 || a->too_late || a->too_long || (a->out.n && !text_ok(&a->out)))
        return fail(a, status);
    return a->state = ASK_ANSWERED;
}
