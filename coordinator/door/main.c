/* main.c - engram-door: reads options, limits itself, opens both sides, passes messages until it is told to stop. */
#include "coordinator/door/address.h"
#include "coordinator/door/door.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Sanitizers map terabytes that they never touch. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CAN_LIMIT_MEMORY = 0 };
#else
enum { CAN_LIMIT_MEMORY = 1 };
#endif

enum { TURN_MS = 100, OWN_FILES = 64, LARGE_BYTES = 32 << 10 };

/* clang-format off */
static const char HELP[] =
    "engram-door - what the network reaches of an Engram: lets known keys in, passes their messages to the coordinator\n"
    "\n"
    "Started by `engram up --listen tcp://ADDRESS:PORT` (users) and `--listen-workers` (worker groups), seldom by hand:\n"
    "\n"
    "  engram-door --for users --listen tcp://127.0.0.1:7700 --connect ipc://HOME/run/door-users.sock \\\n"
    "      --keys HOME/keys/coordinator.key --say HOME/run/door-users\n"
    "\n"
    "  --for users|workers  whose messages it passes\n"
    "  --listen ENDPOINT    where they come from; port 0: any free one\n"
    "  --connect ENDPOINT   where the coordinator takes them\n"
    "  --keys FILE          the coordinator's secret key\n"
    "  --home DIR           whose objects it gives and takes, by hash (default: none)\n"
    "  --object-mib N       size of one object, at most (default 4096)\n"
    "  --say FILE           where it writes, once, \"up ENDPOINT\" or \"failed\" and why\n"
    "  --parent PID         dies with this process\n"
    "  --memory MIB         address space, at most (default 256); beyond it dies and is started again\n"
    "  --connections N      open at once, at most (default 4096)\n"
    "  --rate N             requests a second of one key (default 500; workers: 20000)\n"
    "  --outstanding N      requests of one key without an answer (default 8; workers: 8192)\n"
    "  --log plain|json     how lines on stderr are written (default: $ENGRAM_LOG, else plain)\n"
    "\n"
    "Signals: TERM or INT ends it. Exit status: 0, 2 usage, 3 address taken, 4 environment.\n";
/* clang-format on */

struct options {
    const char *listen, *connect, *keys, *say, *whose, *log, *home;
    long parent, memory_mib, connections, rate, outstanding, object_mib;
};

static volatile sig_atomic_t stop;

static void on_signal(int n)
{
    (void)n;
    stop = 1;
}

static enum code read_options(int argc, char **argv, struct options *o, struct err *e)
{
    static const struct option names[] = {
        {"for", 1, 0, 'f'},         {"listen", 1, 0, 'l'},      {"connect", 1, 0, 'c'},
        {"keys", 1, 0, 'k'},        {"say", 1, 0, 's'},         {"parent", 1, 0, 'p'},
        {"memory", 1, 0, 'm'},      {"connections", 1, 0, 'n'}, {"rate", 1, 0, 'r'},
        {"outstanding", 1, 0, 'o'}, {"home", 1, 0, 'd'},        {"object-mib", 1, 0, 'b'},
        {"log", 1, 0, 'j'},         {"help", 0, 0, 'h'},        {0, 0, 0, 0}};

    *o = (struct options){.memory_mib = 256, .connections = 4096, .object_mib = 4096};
    for (int c; (c = getopt_long(argc, argv, "h", names, NULL)) != -1;) {
        switch (c) {
        case 'f': o->whose = optarg; break;
        case 'l': o->listen = optarg; break;
        case 'c': o->connect = optarg; break;
        case 'k': o->keys = optarg; break;
        case 's': o->say = optarg; break;
        case 'p': o->parent = atol(optarg); break;
        case 'm': o->memory_mib = atol(optarg); break;
        case 'n': o->connections = atol(optarg); break;
        case 'r': o->rate = atol(optarg); break;
        case 'o': o->outstanding = atol(optarg); break;
        case 'd': o->home = optarg; break;
        case 'b': o->object_mib = atol(optarg); break;
        case 'j': o->log = optarg; break;
        case 'h': fputs(HELP, stdout); exit(0);
        default: return err_set(e, ERR_USAGE, "see engram-door --help");
        }
    }
    if (!o->listen || !o->connect || !o->keys || !o->whose ||
        (strcmp(o->whose, "users") && strcmp(o->whose, "workers")))
        return err_set(e, ERR_USAGE,
                       "--for users or workers, --listen, --connect and --keys are needed; see "
                       "engram-door --help");
    if (o->memory_mib < 64 || o->connections < 1 || o->rate < 0 || o->outstanding < 0 ||
        o->object_mib < 1 || o->object_mib > 1 << 20)
        return err_set(e, ERR_USAGE,
                       "--memory takes at least 64, --connections at least 1, --object-mib 1 to "
                       "1048576");
    int workers = strcmp(o->whose, "workers") == 0;
    if (!o->rate) o->rate = workers ? 20000 : 500;
    if (!o->outstanding) o->outstanding = workers ? 8192 : 8;
    return o->log ? log_format(o->log, e) : OK;
}

/* ---- limits of the system ---- */

/* As many files as wanted, or as many as there may be. */
static void limit_files(long connections)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r)) return;
    rlim_t want = (rlim_t)connections + OWN_FILES;
    if (want > r.rlim_max) {
        log_line(LOG_WARN, "the system allows %llu open files: so many connections less %d",
                 (unsigned long long)r.rlim_max, OWN_FILES);
        want = r.rlim_max;
    }
    r.rlim_cur = want;
    setrlimit(RLIMIT_NOFILE, &r);
}

/* Dies alone: with its memory limited, without a dump, with its parent. */
static enum code limit(const struct options *o, struct err *e)
{
    struct rlimit memory = {(rlim_t)o->memory_mib << 20, (rlim_t)o->memory_mib << 20},
                  none = {0, 0};

    limit_files(o->connections);
    mallopt(M_ARENA_MAX, 1); /* each one more would reserve 64 MiB of the address space */
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES); /* what a flood took goes back, and not into holes */
    mallopt(M_TRIM_THRESHOLD, 16 * LARGE_BYTES);
    setrlimit(RLIMIT_CORE, &none);
    if (o->parent) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != (pid_t)o->parent)
            return err_set(e, ERR_ENVIRONMENT, "process %ld, which started this door, is gone",
                           o->parent);
    }
    return CAN_LIMIT_MEMORY && setrlimit(RLIMIT_AS, &memory)
               ? err_errno(e, "limit of %ld MiB", o->memory_mib)
               : OK;
}

/* ---- open, loop, close ---- */

/* Many groups show one worker's key; a person sends a handful of photos. */
static enum code open_objects(struct door *d, const struct options *o, struct err *e)
{
    uint64_t one = (uint64_t)o->object_mib << 20;
    struct door_objects_settings s = {.home = o->home,
                                      .for_workers = d->for_workers,
                                      .most_bytes = one,
                                      .most_waiting_bytes = d->for_workers ? 64 * one : one,
                                      .most_waiting = d->for_workers ? 4096 : 64};
    return door_objects_open(&d->objects, &s, e);
}

static enum code open_door(struct door *d, const struct options *o, struct err *e)
{
    struct keys keys;
    struct link_place p = {.endpoint = o->listen, .keys = &keys, .takes_over = d->for_workers};
    struct quota_settings q = {.per_second = (double)o->rate,
                               .bytes_per_second = d->for_workers ? 256e6 : 16e6,
                               .outstanding = (size_t)o->outstanding,
                               .bytes_under_way = 4u << 20};
    enum code rc = keys_read(&keys, o->keys, e);

    if (rc) return rc;
    p.guests = d->guests = guests_make();
    d->quota = quota_make(&q);
    if (!d->guests || !d->quota) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (!rc && o->home) rc = open_objects(d, o, e);
    if (!rc) rc = link_relay(&d->side[DOOR_BACK], o->connect, e);
    if (!rc) rc = link_serve(&d->side[DOOR_FRONT], &p, e);
    memset(&keys, 0, sizeof keys);
    return rc;
}

static void close_door(struct door *d)
{
    for (int i = 0; i < DOOR_SIDES; i++) link_server_close(d->side[i]);
    guests_free(d->guests);
    quota_free(d->quota);
    door_objects_close(d->objects);
    free(d->listed);
}

/* For whoever started us and waits. */
static void say(const struct options *o, const char *what, const char *line)
{
    char text[600];
    struct err e;
    int n = snprintf(text, sizeof text, "%s %s\n", what, line);

    if (o->say && file_write(o->say, text, (size_t)n, &e)) log_line(LOG_WARN, "%s", e.text);
}

static void run(struct door *d)
{
    uint64_t told = 0;
    int64_t told_ms = 0;

    while (!stop) {
        door_turn(d, TURN_MS);
        if (d->n_refused + d->n_ignored == told || d->now_ms - told_ms < 10000) continue;
        log_line(LOG_INFO, "passed %llu messages, refused %llu, ignored %llu",
                 (unsigned long long)d->n_passed, (unsigned long long)d->n_refused,
                 (unsigned long long)d->n_ignored);
        told = d->n_refused + d->n_ignored;
        told_ms = d->now_ms;
    }
}

int main(int argc, char **argv)
{
    struct sigaction s = {.sa_handler = on_signal};
    struct options o;
    struct door d = {.list_ms = -1000000};
    struct err e = {0};
    enum code rc;

    log_open("door", LOG_INFO);
    rc = read_options(argc, argv, &o, &e);
    umask(077);
    sigaction(SIGTERM, &s, NULL);
    sigaction(SIGINT, &s, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    d.for_workers = !rc && strcmp(o.whose, "workers") == 0;
    if (!rc) rc = limit(&o, &e);
    if (!rc) rc = open_door(&d, &o, &e);
    if (!rc) {
        const char *at = link_server_endpoint(d.side[DOOR_FRONT]);
        log_line(LOG_INFO, "%s come in at %s, pid %d", o.whose, at, (int)getpid());
        if (address_is_public(at)) log_line(LOG_WARN, "%s can be reached from other networks", at);
        say(&o, "up", at);
        run(&d);
    } else {
        fprintf(stderr, "engram-door: %s\n", e.text);
        if (rc != ERR_USAGE) say(&o, "failed", e.text);
    }
    close_door(&d);
    return rc ? err_exit_status(rc) : 0;
}
