/* main.c - engram-coordinator: reads options, takes the home, opens everything, turns until it is told to stop, takes
 * everything down in reverse order. */
#include "coordinator/server/doors.h"
#include "coordinator/server/groups.h"
#include "coordinator/server/home.h"
#include "coordinator/server/notify.h"
#include "coordinator/server/server.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TURN_MS = 200, LINGER_MS = 500, HARD_STOP_MS = 15000 };

/* clang-format off */
static const char HELP[] =
    "engram-coordinator - keeps concepts in order and hands stages to worker groups\n"
    "\n"
    "  engram-coordinator --home DIR [--ranks N] [--groups N | --slurm ...] [--foreground] [--no-workers]\n"
    "\n"
    "  --home DIR      where it lives: objects, database, sockets, logs (made if absent)\n"
    "  --ranks N       ranks of a worker group (default 2)\n"
    "  --groups N      worker groups that it starts through mpirun (default 1; 0: only looks after those that are there)\n"
    "  --slurm         worker groups are jobs of Slurm, started by backlog; slurm/README.md explains the rest:\n"
    "                  --site FILE (default DIR/site.json, if it is there), --sbatch WORD ..., --min-groups N,\n"
    "                  --max-groups N, --idle MINUTES, --print-sbatch (shows script and command, starts nothing)\n"
    "  --no-workers    starts none; they come from elsewhere\n"
    "  --foreground    stays, and logs to stderr; else it returns when the sockets are open and logs to DIR/log\n"
    "  --web PORT      answers /metrics and /healthz over HTTP: a port of this machine, or ADDRESS:PORT (docs/operations.md)\n"
    "  --log FORMAT    plain, or json: one object per line, also of the worker groups (default: $ENGRAM_LOG, else plain)\n"
    "  --listen ENDPOINT          users may come over the network: tcp://address:port, with keys (docs/users.md)\n"
    "  --listen-workers ENDPOINT  so may worker groups\n"
    "  --door-memory MIB          address space of each door, at most (default 256)\n"
    "  --term-ms N     how long a silent worker group keeps its lease (default 30000)\n"
    "\n"
    "Signals: TERM or INT lets running stages end, then leaves; the second one does not wait. `engram up` starts it,\n"
    "`engram down` stops it. Exit status: 0, 2 usage, 3 home taken or damaged, 4 environment.\n";
/* clang-format on */

struct options {
    const char *home, *log, *web, *listen[DOORS];
    int ranks, groups, foreground, no_workers, door_memory;
    struct group_options slurm;
    int64_t term_ms;
};

static volatile sig_atomic_t signals;

static void on_signal(int n)
{
    (void)n;
    signals++;
}

static enum code read_options(int argc, char **argv, struct options *o, struct err *e)
{
    static const struct option names[] = {{"home", 1, 0, 'd'},
                                          {"ranks", 1, 0, 'n'},
                                          {"groups", 1, 0, 'g'},
                                          {"foreground", 0, 0, 'f'},
                                          {"no-workers", 0, 0, 'w'},
                                          {"term-ms", 1, 0, 't'},
                                          {"log", 1, 0, 'l'},
                                          {"web", 1, 0, 'W'},
                                          {"listen", 1, 0, 'U'},
                                          {"listen-workers", 1, 0, 'K'},
                                          {"door-memory", 1, 0, 'm'},
                                          {"help", 0, 0, 'h'},
                                          GROUP_OPTIONS,
                                          {0, 0, 0, 0}};
    long long term = 0;

    *o = (struct options){.slurm = GROUP_OPTIONS_NONE, .ranks = 2, .groups = 1};
    for (int c; (c = getopt_long(argc, argv, "h", names, NULL)) != -1;) {
        switch (c) {
        case 'd': o->home = optarg; break;
        case 'n': o->ranks = atoi(optarg); break;
        case 'g': o->groups = atoi(optarg); break;
        case 'f': o->foreground = 1; break;
        case 'w': o->no_workers = 1; break;
        case 'U': o->listen[DOOR_FOR_USERS] = optarg; break;
        case 'K': o->listen[DOOR_FOR_WORKERS] = optarg; break;
        case 'm': o->door_memory = atoi(optarg); break;
        case 't': term = atoll(optarg); break;
        case 'l': o->log = optarg; break;
        case 'W': o->web = optarg; break;
        case 'h': fputs(HELP, stdout); exit(0);
        default:
            if (groups_option(&o->slurm, c, optarg, e)) return e->code;
        }
    }
    if (optind < argc)
        return err_set(e, ERR_USAGE, "`%s` is no option; see engram-coordinator --help",
                       argv[optind]);
    if (!o->home) return err_set(e, ERR_USAGE, "--home is needed; see engram-coordinator --help");
    if (o->ranks < 1 || o->ranks > 4096)
        return err_set(e, ERR_USAGE, "--ranks %d: expected 1 to 4096", o->ranks);
    if (o->groups < 0 || o->groups > LAUNCH_GROUPS)
        return err_set(e, ERR_USAGE, "--groups %d: expected 0 to %d", o->groups, LAUNCH_GROUPS);
    if (term < 0 || (term && term < 100))
        return err_set(e, ERR_USAGE, "--term-ms %lld: expected at least 100", term);
    o->term_ms = term;
    return o->log ? log_format(o->log, e) : OK;
}

/* ---- into the background ---- */

/* The parent waits for one word through a pipe: whoever called hears of a failed start by the exit status and one line. */
static enum code detach(int *ready, struct err *e)
{
    int ends[2];
    char line[sizeof e->text] = "";
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) || (pid = fork()) < 0) return err_errno(e, "fork");
    if (pid == 0) {
        setsid();
        close(ends[0]);
        *ready = ends[1];
        return OK;
    }
    close(ends[1]);
    ssize_t n = read(ends[0], line, sizeof line - 1);
    if (n > 1) fprintf(stderr, "engram-coordinator: %s\n", line + 1);
    else if (n < 1)
        fprintf(stderr,
                "engram-coordinator: it ended at once; see log/coordinator.log in its home\n");
    _exit(n < 1 ? 1 : line[0]);
}

static void say_ready(int *ready, int status, const char *line)
{
    char text[1 + sizeof((struct err *)0)->text];
    size_t n = strlen(line);

    if (*ready < 0) return;
    text[0] = (char)status;
    memcpy(text + 1, line, n + 1);
    if (write(*ready, text, n ? n + 2 : 1) < 0) log_line(LOG_WARN, "nobody waits for the start");
    close(*ready);
    *ready = -1;
}

static enum code log_to_file(const struct home *h, struct err *e)
{
    char path[PATH_MAX];
    enum code rc = home_path(h, "log/coordinator.log", path, sizeof path, e);
    int in, out;

    if (rc) return rc;
    in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    out = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (in < 0 || out < 0) return err_errno(e, "%s", path);
    dup2(in, 0);
    dup2(out, 1);
    dup2(out, 2);
    close(in);
    close(out);
    return OK;
}

static void handle_signals(void)
{
    struct sigaction s = {.sa_handler = on_signal}; /* no SA_RESTART: a wait ends */

    sigaction(SIGTERM, &s, NULL);
    sigaction(SIGINT, &s, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is a full disk, not a death */
}

/* ---- sockets ---- */

static enum code serve_one(struct server *s, const struct home *h, int socket, const char *below,
                           struct link_place p, struct err *e)
{
    char path[PATH_MAX - 8], endpoint[PATH_MAX];
    enum code rc = home_path(h, below, path, sizeof path, e);

    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    p.endpoint = endpoint;
    return rc ? rc : link_serve(&s->link[socket], &p, e);
}

/* The doors open first: as long as they may still fail nobody here should find somebody who seems to be up. */
static enum code serve_doors(struct server *s, const struct home *h, const struct options *o,
                             struct doors **d, struct err *e)
{
    static const int socket_of[DOORS] = {
        [DOOR_FOR_USERS] = DOOR_USERS, [DOOR_FOR_WORKERS] = DOOR_WORKERS};
    struct doors_options doors = {
        .home = h->path, .listen = {o->listen[0], o->listen[1]}, .memory_mib = o->door_memory};
    struct link_place door = {.relayed = 1};
    enum code rc = OK;

    for (int i = 0; i < DOORS && !rc; i++)
        if (o->listen[i]) rc = serve_one(s, h, socket_of[i], doors_socket[i], door, e);
    return rc ? rc : doors_open(d, &doors, e);
}

static enum code serve_home(struct server *s, const struct home *h, struct err *e)
{
    struct link_place users = {0}, workers = {.takes_over = 1};
    enum code rc = serve_one(s, h, USERS, "run/engram.sock", users, e);

    return rc ? rc : serve_one(s, h, WORKERS, "run/worker.sock", workers, e);
}

/* ---- pages ---- */

/* Where they are stands in run/web, for whoever asked for any free port. */
static enum code open_web(struct web **w, const char *where, const struct home *h, struct err *e)
{
    char path[PATH_MAX], line[128];
    enum code rc;

    if ((rc = home_path(h, "run/web", path, sizeof path, e))) return rc;
    if (!where) {
        unlink(path); /* of one that was killed */
        return OK;
    }
    if ((rc = web_open(w, where, e))) return rc;
    int n = snprintf(line, sizeof line, "%s\n", web_url(*w));
    if ((rc = file_write(path, line, (size_t)n, e))) return rc;
    log_event(LOG_INFO, &(struct log_about){.event = "web"}, "%s/metrics and /healthz answer",
              web_url(*w));
    if (web_is_public(*w))
        log_event(LOG_WARN, &(struct log_about){.event = "web"},
                  "%s can be reached from other machines, and asks nobody who they are",
                  web_url(*w));
    return OK;
}

static void close_web(struct web *w, const struct home *h)
{
    char path[PATH_MAX];

    if (!w) return;
    web_close(w);
    if (!home_path(h, "run/web", path, sizeof path, NULL)) unlink(path);
}

/* ---- the loop ---- */

/* Stopping: stages end or are put back, groups hear `end`, the launcher makes sure, a moment for the last answers. */
static int may_leave(struct server *s, struct groups *g, int drain, int64_t since_ms)
{
    int64_t waited = s->now_ms - since_ms;

    if (s->core && core_leased(s->core) && (drain || waited < HARD_STOP_MS)) return 0;
    if (groups_stop(g, s->now_ms) && waited < 2 * HARD_STOP_MS) return 0;
    return waited >= LINGER_MS;
}

static const char *status(const struct server *s, int stopping, char out[160])
{
    struct core_backlog b;

    if (!s->core) return "the database cannot be read";
    core_backlog(s->core, &b);
    snprintf(out, 160, "%s%llu jobs wait, %llu run, %llu worker groups",
             stopping ? "stopping; " : "", (unsigned long long)(b.queued + b.paused),
             (unsigned long long)b.running, (unsigned long long)b.groups);
    return out;
}

static void loop(struct server *s, struct groups *g, struct doors *d, struct notify *n)
{
    int heard = 0, stopping = 0;
    int64_t since_ms = 0;
    char line[160];

    for (;;) {
        server_turn(s, TURN_MS);
        notify_turn(n, s->now_ms, status(s, stopping, line));
        if (heard < signals) {
            heard = signals;
            log_event(LOG_INFO, &(struct log_about){.event = "stopping"}, "%s",
                      heard > 1 ? "asked twice to stop: not waiting for stages"
                                : "asked to stop: running stages may end");
            server_stop(s, heard < 2);
        }
        if (!stopping && (heard || (s->core && core_stopping(s->core)))) {
            stopping = 1;
            notify_say(n, "STOPPING=1");
            since_ms = s->now_ms;
        }
        groups_turn(g, s, stopping);
        doors_poll(d, s->now_ms);
        if (stopping && may_leave(s, g, heard < 2 && (!s->core || core_drains(s->core)), since_ms))
            return;
    }
}

/* ---- start and end ---- */

static enum code run(const struct options *o, struct home *h, int *ready, struct err *e)
{
    struct server s = {.settings.term_ms = o->term_ms};
    struct groups g = {0};
    struct doors *d = NULL;
    struct launch_options launch = {
        .home = h->path, .ranks = o->ranks, .min_groups = o->groups, .max_groups = o->groups};
    struct notify systemd;
    enum code rc;

    notify_open(&systemd);
    if ((rc = server_open(&s, h->path, e)) || (rc = serve_doors(&s, h, o, &d, e)) ||
        (rc = serve_home(&s, h, e)))
        goto close_server;
    launch.endpoint = link_server_endpoint(s.link[WORKERS]);
    if (!o->no_workers && (rc = groups_open(&g, &o->slurm, &launch, e))) goto close_launcher;
    groups_join(&g, &s);
    if ((rc = open_web(&s.web, o->web, h, e))) goto close_launcher;
    if (home_write_pid(h, e)) log_line(LOG_WARN, "%s: nobody finds this process by it", e->text);
    handle_signals();
    log_event(LOG_INFO, &(struct log_about){.event = "started"},
              "engram-coordinator " ENGRAM_VERSION " serves %s, pid %d", h->path, (int)getpid());
    say_ready(ready, 0, "");
    notify_say(&systemd, "READY=1");
    loop(&s, &g, d, &systemd);
    log_event(LOG_INFO, &(struct log_about){.event = "stopped"}, "stopped");
close_launcher:
    groups_close(&g);
close_server:
    doors_close(d);
    close_web(s.web, h);
    server_close(&s);
    notify_close(&systemd);
    return rc;
}

/* What `engram up --slurm --print-sbatch` shows, without a home being there. */
static enum code print_sbatch(const struct options *o, struct err *e)
{
    char home[PATH_MAX], endpoint[PATH_MAX + 32];
    struct launch_options launch = {.home = home, .endpoint = endpoint, .ranks = o->ranks};

    if (!realpath(o->home, home)) snprintf(home, sizeof home, "%s", o->home);
    snprintf(endpoint, sizeof endpoint, "ipc://%s/run/worker.sock", home);
    return groups_print(&o->slurm, &launch, e);
}

int main(int argc, char **argv)
{
    struct options o;
    struct home h = {.lock = -1};
    struct err e = {0};
    int ready = -1;
    enum code rc;

    log_open("coordinator", LOG_INFO);
    rc = read_options(argc, argv, &o, &e);
    umask(077);
    if (!rc && o.slurm.print) {
        if ((rc = print_sbatch(&o, &e))) fprintf(stderr, "engram-coordinator: %s\n", e.text);
        return rc ? err_exit_status(rc) : 0;
    }
    if (!rc && !o.foreground) rc = detach(&ready, &e);
    if (!rc) rc = home_open(&h, o.home, &e);
    if (!rc && !o.foreground) rc = log_to_file(&h, &e);
    if (!rc) rc = run(&o, &h, &ready, &e);
    if (rc && ready >= 0) say_ready(&ready, err_exit_status(rc), e.text);
    else if (rc) fprintf(stderr, "engram-coordinator: %s\n", e.text);
    home_close(&h);
    return rc ? err_exit_status(rc) : 0;
}
