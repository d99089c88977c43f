#include "coordinator/server/doors.h"

#include "coordinator/door/address.h"
#include "coordinator/launch/process.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "proto/keys.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_MS = 10000, LOOK_MS = 20, YOUNG_MS = 10000, WAIT_MOST_MS = 2000, END_MS = 2000 };

const char *const doors_socket[DOORS] = {"run/door-users.sock", "run/door-workers.sock"};
static const char *const SAYS[DOORS] = {"run/door-users", "run/door-workers"};
static const char *const WHOSE[DOORS] = {"users", "workers"};

struct one {
    const char *listen, *connect, *say; /* NULL listen: none; in the arena */
    struct process process;
    int64_t started_ms, next_ms, wait_ms; /* next_ms: not started again before then */
};

struct doors {
    struct arena strings;
    const char *program, *home, *keys, *log, *memory;
    char parent[24];
    struct one one[DOORS];
};

/* ---- the coordinator's keys ---- */

static enum code make_keys(struct doors *d, const char *home, struct err *e)
{
    char *folder = arena_printf(&d->strings, "%s/keys", home);
    struct keys k;
    enum code rc;

    d->keys = arena_printf(&d->strings, "%s/keys/coordinator.key", home);
    if (!folder || !d->keys) return err_set(e, ERR_NOMEM, "out of memory");
    if ((rc = file_make_dirs(folder, e))) return rc;
    if (file_exists(d->keys)) rc = keys_read(&k, d->keys, e);
    else if (!(rc = keys_make(&k, e))) rc = keys_write(&k, d->keys, e);
    memset(&k.secret, 0, sizeof k.secret);
    if (!rc) {
        char text[KEY_TEXT];
        log_line(LOG_INFO, "the public key of this coordinator is %s", keys_text(k.public, text));
    }
    return rc;
}

/* ---- one door ---- */

static enum code start(struct doors *d, int i, int64_t now_ms, struct err *e)
{
    struct one *o = &d->one[i];
    const char *argv[] = {d->program, "--for",     WHOSE[i],   "--listen",
                          o->listen,  "--connect", o->connect, "--keys",
                          d->keys,    "--say",     o->say,     "--parent",
                          d->parent,  "--home",    d->home,    d->memory ? "--memory" : NULL,
                          d->memory,  NULL};

    unlink(o->say);
    o->started_ms = now_ms;
    return process_start(&o->process, (char *const *)(uintptr_t)argv, NULL, d->log, e);
}

/* What the door wrote: 0 nothing yet, 1 it is open (and listens where it says), -1 it failed, with its line. */
static int heard(struct doors *d, struct one *o, struct err *e)
{
    struct bytes b;
    char *line;

    if (file_read(o->say, 2000, &b, NULL)) return 0;
    line = (char *)b.data;
    line[strcspn(line, "\n")] = '\0';
    int up = strncmp(line, "up ", 3) == 0;
    /* A port that the system chose stays the same when the door is started again. */
    const char *at = up ? arena_strdup(&d->strings, line + 3) : NULL;
    if (at) o->listen = at;
    if (!up)
        err_set(e, ERR_ENVIRONMENT, "the door for %s: %s", o->listen,
                strchr(line, ' ') ? strchr(line, ' ') + 1 : line);
    free(b.data);
    return up ? 1 : -1;
}

static enum code wait_open(struct doors *d, struct one *o, struct err *e)
{
    struct timespec nap = {0, LOOK_MS * 1000000L};
    int status = 0;

    for (int waited = 0; waited < OPEN_MS; waited += LOOK_MS) {
        int runs = process_runs(&o->process, &status), said = heard(d, o, e);
        if (said) return said > 0 ? OK : e->code;
        if (!runs) break;
        nanosleep(&nap, NULL);
    }
    return err_set(e, ERR_ENVIRONMENT, "the door for %s did not open; see %s", o->listen, d->log);
}

/* ---- all ---- */

static enum code find_program(struct doors *d, struct err *e)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) *slash = '\0';
    d->program = arena_printf(&d->strings, "%s/engram-door", self);
    if (!d->program || access(d->program, X_OK))
        return err_set(
            e, ERR_ENVIRONMENT,
            "engram-door is not beside engram-coordinator in %s; run make, or make install", self);
    return OK;
}

static enum code name_things(struct doors *d, const struct doors_options *o, struct err *e)
{
    struct arena *a = &d->strings;

    snprintf(d->parent, sizeof d->parent, "%d", (int)getpid());
    d->home = arena_strdup(a, o->home);
    d->log = arena_printf(a, "%s/log/door.log", o->home);
    if (o->memory_mib) d->memory = arena_printf(a, "%d", o->memory_mib);
    for (int i = 0; i < DOORS; i++) {
        if (!o->listen[i]) continue;
        d->one[i].listen = arena_strdup(a, o->listen[i]);
        d->one[i].connect = arena_printf(a, "ipc://%s/%s", o->home, doors_socket[i]);
        d->one[i].say = arena_printf(a, "%s/%s", o->home, SAYS[i]);
        if (!d->one[i].listen || !d->one[i].connect || !d->one[i].say)
            return err_set(e, ERR_NOMEM, "out of memory");
    }
    return d->home && d->log ? OK : err_set(e, ERR_NOMEM, "out of memory");
}

static void say_open(const char *whose, const char *at)
{
    log_line(LOG_INFO, "%s come in at %s", whose, at);
    if (address_is_public(at))
        log_line(LOG_WARN, "%s can be reached from other networks; who has no key is not let in",
                 at);
}

/* What a killed coordinator left of doors that this one does not have. */
static void tidy(const struct doors_options *o)
{
    char path[PATH_MAX];

    for (int i = 0; i < DOORS; i++) {
        if (o->listen[i]) continue;
        if (snprintf(path, sizeof path, "%s/%s", o->home, SAYS[i]) < (int)sizeof path) unlink(path);
        if (snprintf(path, sizeof path, "%s/%s", o->home, doors_socket[i]) < (int)sizeof path)
            unlink(path);
    }
}

enum code doors_open(struct doors **out, const struct doors_options *o, struct err *e)
{
    struct doors *d = mem_alloc(1, sizeof *d);
    enum code rc = OK;

    *out = NULL;
    if (!d) return err_set(e, ERR_NOMEM, "out of memory");
    tidy(o);
    if (o->listen[DOOR_FOR_USERS] || o->listen[DOOR_FOR_WORKERS]) {
        if ((rc = name_things(d, o, e)) || (rc = find_program(d, e)) ||
            (rc = make_keys(d, o->home, e)))
            goto fail;
        for (int i = 0; i < DOORS; i++)
            if (d->one[i].listen &&
                ((rc = start(d, i, 0, e)) || (rc = wait_open(d, &d->one[i], e))))
                goto fail;
        for (int i = 0; i < DOORS; i++)
            if (d->one[i].listen) say_open(WHOSE[i], d->one[i].listen);
    }
    *out = d;
    return OK;
fail:
    doors_close(d);
    return rc;
}

static void start_again(struct doors *d, int i, int64_t now_ms)
{
    struct one *o = &d->one[i];
    struct err e;

    if (now_ms < o->next_ms) return;
    if (start(d, i, now_ms, &e)) log_line(LOG_ERROR, "%s", e.text);
    else
        log_line(LOG_WARN, "the door for %s is started again, pid %d", WHOSE[i],
                 (int)o->process.pid);
}

void doors_poll(struct doors *d, int64_t now_ms)
{
    for (int i = 0; d && i < DOORS; i++) {
        struct one *o = &d->one[i];
        int status;
        if (!o->listen) continue;
        if (o->process.pid && !process_runs(&o->process, &status)) {
            int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
            o->wait_ms = now_ms - o->started_ms > YOUNG_MS ? 0
                         : o->wait_ms < WAIT_MOST_MS / 2   ? 2 * o->wait_ms + 50
                                                           : WAIT_MOST_MS;
            o->next_ms = now_ms + o->wait_ms;
            o->process.pid = 0;
            log_event(LOG_WARN, &(struct log_about){.event = "door_died"},
                      "the door for %s has died (%s %d)", WHOSE[i],
                      signal ? "signal" : "exit status", signal ? signal : WEXITSTATUS(status));
        }
        if (!o->process.pid) start_again(d, i, now_ms);
    }
}

/* They have nothing to lose. */
static void end(struct one *o)
{
    struct timespec nap = {0, LOOK_MS * 1000000L};
    int status;

    if (!o->process.pid) return;
    process_signal(&o->process, SIGTERM);
    for (int waited = 0; waited < END_MS && process_runs(&o->process, &status); waited += LOOK_MS)
        nanosleep(&nap, NULL);
    if (process_runs(&o->process, &status)) process_signal(&o->process, SIGKILL);
    unlink(o->say);
}

void doors_close(struct doors *d)
{
    if (!d) return;
    for (int i = 0; i < DOORS; i++) end(&d->one[i]);
    arena_fini(&d->strings);
    free(d);
}
