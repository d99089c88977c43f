/* caption_command.c - a program of the user's writes the caption: `--caption-command 'blip --short {image}'`.
 *
 * It runs in a process group of its own, so that one that hangs is ended with all its children. Its standard error is ours: what
 * it has to say, the user reads.
 */
#include "base/arena.h"
#include "cli/caption.h"
#include "pipeline/data/words.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IMAGE "{image}"
#define WORDS_MOST 64
#define PATIENCE_MS (5 * 60 * 1000) /* loading a large model from disk takes a minute or two */
#define OUTPUT_BYTES 65536          /* more is a log, not a caption */

struct command {
    char *text;             /* owned; the words lie in it */
    char *word[WORDS_MOST]; /* in text */
    int n;
};

/* Splits c->text in place. NULL, or what is wrong with it. */
static const char *split(struct command *c)
{
    char *from = c->text, *to = c->text;
    while (*from) {
        while (*from == ' ' || *from == '\t' || *from == '\n') from++;
        if (!*from) break;
        if (c->n == WORDS_MOST) return "has too many words";
        c->word[c->n++] = to;
        for (char quote = 0; *from && (quote || !strchr(" \t\n", *from)); from++) {
            if (quote ? *from == quote : *from == '\'' || *from == '"') quote = quote ? 0 : *from;
            else if (*from == '\\' && quote != '\'' && from[1]) *to++ = *++from;
            else *to++ = *from;
            if (quote && !from[1]) return "has a quotation mark without its pair";
        }
        if (*from) from++;
        *to++ = 0;
    }
    return c->n ? NULL : "is empty";
}

/* The word with every {image} replaced; malloc'ed. NULL: no memory. */
static char *fill(const char *word, const char *image)
{
    size_t n = 0, room = strlen(word) + 1;
    for (const char *at = word; (at = strstr(at, IMAGE)); at += strlen(IMAGE))
        room += strlen(image);
    char *out = mem_alloc(room, 1);
    while (out && *word) {
        int hit = !strncmp(word, IMAGE, strlen(IMAGE));
        const char *part = hit ? image : word;
        size_t length = hit ? strlen(image) : 1;
        memcpy(out + n, part, length);
        n += length;
        word += hit ? strlen(IMAGE) : 1;
    }
    return out;
}

static _Noreturn void become(char **argv, int out)
{
    int in = open("/dev/null", O_RDONLY);
    setpgid(0, 0);
    dup2(in, 0);
    dup2(out, 1);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Everything the program writes until it closes its output. NULL, or why not. */
static const char *listen_to(int fd, char *out, size_t *n)
{
    int64_t until = now_ms() + PATIENCE_MS;
    for (*n = 0;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until - now_ms();
        if (left <= 0) return "said nothing for five minutes and was ended";
        if (poll(&p, 1, (int)left) < 0 && errno != EINTR) return "could not be heard";
        if (!p.revents) continue;
        ssize_t got = read(fd, out + *n, OUTPUT_BYTES - *n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return NULL;
        if ((*n += (size_t)got) == OUTPUT_BYTES) return "writes without end and was ended";
    }
}

static enum code run(char **argv, const char *image, char *said, size_t *n, struct err *e)
{
    int ends[2], status = 0;
    if (pipe(ends)) return err_errno(e, "caption command %s", argv[0]);
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    pid_t pid = fork();
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return err_errno(e, "caption command %s", argv[0]);
    }
    if (!pid) become(argv, ends[1]);
    setpgid(pid, pid); /* whoever comes first; the other call is harmless */
    close(ends[1]);
    const char *why = listen_to(ends[0], said, n);
    close(ends[0]);
    if (why) kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (why)
        return err_set(e, ERR_ENVIRONMENT, "caption command %s for %s %s", argv[0], image, why);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return OK;
    if (WIFEXITED(status))
        return err_set(e, ERR_ENVIRONMENT,
                       "caption command %s for %s exited with %d; try it by hand", argv[0], image,
                       WEXITSTATUS(status));
    return err_set(e, ERR_ENVIRONMENT, "caption command %s for %s died of signal %d", argv[0],
                   image, WTERMSIG(status));
}

static enum code ask(void *self, const char *image, const char *class_word, char *out, size_t room,
                     struct err *e)
{
    const struct command *c = self;
    char *argv[WORDS_MOST + 1] = {0}, place[600];
    char *said = mem_alloc(OUTPUT_BYTES, 1);
    enum code rc = said ? OK : ERR_NOMEM;
    size_t n = 0;
    (void)class_word;
    for (int i = 0; !rc && i < c->n; i++)
        if (!(argv[i] = fill(c->word[i], image))) rc = ERR_NOMEM;
    if (rc) err_set(e, rc, "out of memory for the caption of %s", image);
    else rc = run(argv, image, said, &n, e);
    if (!rc) {
        snprintf(place, sizeof place, "caption command's words for %.500s", image);
        rc = words_clean(said, n, place, out, room, e);
    }
    if (!rc && !*out)
        rc = err_set(e, ERR_INPUT, "caption command %s has no word for %s", argv[0], image);
    for (int i = 0; i < c->n; i++) free(argv[i]);
    free(said);
    return rc;
}

static void close_command(void *self)
{
    struct command *c = self;
    free(c->text);
    free(c);
}

enum code caption_command_open(struct captioning *out, const char *command, struct err *e)
{
    struct command *c = mem_alloc(1, sizeof *c);
    if (c) c->text = mem_alloc(strlen(command) + 1, 1);
    if (!c || !c->text) {
        free(c);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    memcpy(c->text, command, strlen(command));
    const char *why = split(c);
    if (!why && !strstr(command, IMAGE)) why = "does not say where the image goes";
    if (why) {
        close_command(c);
        return err_set(e, ERR_USAGE, "--caption-command %s; write it like 'prog --short " IMAGE "'",
                       why);
    }
    *out = (struct captioning){{CAPTION_COMMAND, ask, c}, close_command};
    return OK;
}
