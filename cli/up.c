/* up.c - `engram up` and `engram down`: a coordinator of this home, and with it a worker group. */
#include "cli/cli.h"
#include "cli/up_slurm.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 15000 /* a coordinator answers within a second; a loaded machine may need more */
#define STOP_MS 60000 /* a running step may take long; after that the pid is named and left alone */
#define LOOK_MS 50

static void nap(void)
{
    struct timespec t = {0, LOOK_MS * 1000000L};
    nanosleep(&t, NULL);
}

/* The coordinator lies beside this program, wherever that was installed or built. */
static enum code find_coordinator(char *out, size_t bytes, struct err *e)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) return err_errno(e, "/proc/self/exe");
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) *slash = '\0';
    if ((size_t)snprintf(out, bytes, "%s/engram-coordinator", self) >= bytes || access(out, X_OK))
        return err_set(e, ERR_ENVIRONMENT,
                       "engram-coordinator is not beside engram in %s; run make, or make install",
                       self);
    return OK;
}

static enum code ping(struct arena *a, struct message *answer, struct err *e)
{
    struct message ask = {.kind = MSG_ping, .ping = {.client = "engram up"}};
    enum code rc = cli_ask(&ask, a, answer, e);
    if (rc) cli_close();
    return rc;
}

/* Runs in its own session, so that it outlives this terminal. Its first words go to log/start.log. */
static enum code start(const char *const *argv, pid_t *pid, struct err *e)
{
    char log[PATH_MAX];
    enum code rc = cli_path("log", log, sizeof log, e);
    if (!rc) rc = file_make_dirs(log, e);
    if (!rc) rc = cli_path("log/start.log", log, sizeof log, e);
    if (rc) return rc;
    int out = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (out < 0) return err_errno(e, "%s", log);
    *pid = fork();
    if (*pid == 0) {
        int in = open("/dev/null", O_RDONLY);
        setsid();
        dup2(in, 0);
        dup2(out, 1);
        dup2(out, 2);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(out);
    return *pid < 0 ? err_errno(e, "fork") : OK;
}

/* The last line that a coordinator wrote before it gave up. */
static enum code explain(struct err *e)
{
    char log[PATH_MAX];
    struct bytes b = {0};
    if (!cli_path("log/start.log", log, sizeof log, e) && !file_read(log, 1 << 20, &b, NULL) &&
        b.n) {
        size_t end = b.n, from;
        while (end && b.data[end - 1] == '\n') end--;
        for (from = end; from && b.data[from - 1] != '\n'; from--) continue;
        err_set(e, ERR_ENVIRONMENT, "the coordinator did not start: %.*s", (int)(end - from),
                (const char *)b.data + from);
    } else {
        err_set(e, ERR_ENVIRONMENT, "the coordinator did not start; see %s", log);
    }
    free(b.data);
    return e->code;
}

/* Until it answers, and so many groups have said hello. */
static enum code wait_ready(pid_t pid, uint64_t groups, struct arena *a, struct message *answer,
                            struct err *e)
{
    for (int waited = 0; waited < START_MS; waited += LOOK_MS) {
        int status;
        char socket[PATH_MAX];
        if (waitpid(pid, &status, WNOHANG) == pid &&
            !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
            return explain(e);
        if (!cli_path("run/engram.sock", socket, sizeof socket, e) && !access(socket, F_OK) &&
            !ping(a, answer, e) && answer->pong.groups >= groups)
            return OK;
        nap();
    }
    return err_set(e, ERR_ENVIRONMENT,
                   "not every worker group came up within %d s; see log/ in the home directory",
                   START_MS / 1000);
}

static json_t *pong_json(const struct msg_pong *p)
{
    return json_pack("{s:s,s:I,s:s,s:I,s:I,s:I,s:I,s:s}", "version", p->version, "pid",
                     (json_int_t)p->pid, "home", p->home, "queued", (json_int_t)p->queued,
                     "running", (json_int_t)p->running, "groups", (json_int_t)p->groups, "ranks",
                     (json_int_t)p->ranks, "line", p->line);
}

static int say_pong(const struct msg_pong *p, const char *what)
{
    if (cli.json) return cli_print(pong_json(p));
    printf("%s: coordinator pid %llu, %llu worker group%s of %llu rank%s in all, home %s\n", what,
           (unsigned long long)p->pid, (unsigned long long)p->groups, p->groups == 1 ? "" : "s",
           (unsigned long long)p->ranks, p->ranks == 1 ? "" : "s", p->home);
    cli_close();
    return 0;
}

static int run_up(int argc, char **argv)
{
    int64_t ranks = 2, groups = 1;
    const char *web = NULL, *log = NULL;
    int no_workers = 0;
    const char *listen = NULL, *listen_workers = NULL;
    struct up_slurm slurm = {0};
    struct option_spec o[7 + UP_SLURM_OPTIONS] = {
        {"ranks", OPTION_NUMBER, &ranks, "N", "ranks of a worker group (default 2)"},
        {"groups", OPTION_NUMBER, &groups, "N", "worker groups (default 1)"},
        {"no-workers", OPTION_FLAG, &no_workers, NULL,
         "start no worker group; they come from elsewhere"},
        {"web", OPTION_TEXT, &web, "PORT",
         "/metrics and /healthz over HTTP, on this machine alone or at ADDRESS:PORT"},
        {"log", OPTION_TEXT, &log, "FORMAT", "logs as plain lines (default) or json"},
        {"listen", OPTION_TEXT, &listen, "tcp://A:P",
         "users may come over the network, to this address and port (docs/users.md)"},
        {"listen-workers", OPTION_TEXT, &listen_workers, "tcp://A:P", "so may worker groups"},
    };
    struct err e = {0};
    struct words rest;
    static struct arena a;
    struct message answer;
    const char *home;
    char program[PATH_MAX], n_ranks[24], n_groups[24];
    pid_t pid = 0;
    cli.local = 1;
    enum code rc =
        options_read(&verb_up, o, 7 + up_slurm_options(&slurm, o + 7), argc, argv, &rest, &e);
    if (!rc && rest.n)
        rc = err_set(&e, ERR_USAGE, "engram up takes no \"%s\"; see engram up --help", rest.v[0]);
    if (!rc && (ranks < 1 || ranks > 4096))
        rc = err_set(&e, ERR_USAGE, "--ranks %lld: expected 1 to 4096", (long long)ranks);
    if (!rc && (groups < 1 || groups > 256))
        rc = err_set(&e, ERR_USAGE, "--groups %lld: expected 1 to 256", (long long)groups);
    if (!rc && slurm.on && (no_workers || groups != 1))
        rc = err_set(&e, ERR_USAGE, "--slurm starts groups by backlog; %s does not go with it",
                     no_workers ? "--no-workers" : "--groups (--min-groups and --max-groups do)");
    if (!rc) rc = cli_home(&home, &e);
    if (!rc && !slurm.print) rc = file_make_dirs(home, &e);
    if (rc) return cli_fail(&e);
    if (!slurm.print && !ping(&a, &answer, &e)) return say_pong(&answer.pong, "already up");
    snprintf(n_ranks, sizeof n_ranks, "%lld", (long long)ranks);
    snprintf(n_groups, sizeof n_groups, "%lld", (long long)groups);
    const char *words[20 + UP_SLURM_WORDS] = {program, "--home",   home,    "--ranks",
                                              n_ranks, "--groups", n_groups};
    size_t n = 7;
    if (no_workers) words[n++] = "--no-workers";
    if (web) words[n++] = "--web", words[n++] = web;
    if (log) words[n++] = "--log", words[n++] = log;
    if (listen) words[n++] = "--listen", words[n++] = listen;
    if (listen_workers) words[n++] = "--listen-workers", words[n++] = listen_workers;
    rc = find_coordinator(program, sizeof program, &e);
    if (!rc) rc = up_slurm_words(&slurm, words, &n, &e);
    if (!rc && slurm.print) {
        execv(program, (char *const *)(uintptr_t)words);
        rc = err_errno(&e, "%s", program);
    }
    if (!rc) rc = start(words, &pid, &e);
    if (!rc) rc = wait_ready(pid, no_workers || slurm.on ? 0 : (uint64_t)groups, &a, &answer, &e);
    return rc ? cli_fail(&e) : say_pong(&answer.pong, "up");
}

const struct verb verb_up = {
    .name = "up",
    .what = "start a coordinator, and worker groups on this machine or through Slurm",
    .usage = "engram up [--ranks N] [--groups N | --slurm ... | --no-workers]",
    .examples =
        "  engram up                          a coordinator, and two ranks that share this "
        "machine's cores\n"
        "  engram up --home /data/engram      with its own home\n"
        "  engram up --groups 2 --ranks 1     two lineages at a time, or pictures beside training\n"
        "  engram up --slurm -p gpu -A lab -t 8:00:00 --gres=gpu:2 --max-groups 4\n"
        "  engram up --slurm --print-sbatch   what would be submitted\n"
        "  engram up --web 9464 --log json    to be watched (docs/operations.md)\n"
        "  engram up --listen tcp://10.0.0.5:7700          for a whole group of people; see "
        "engram admin --help\n",
    .more = "Returns when the coordinator answers and its groups on this machine have said hello. "
            "Starting twice is fine. After a\n"
            "crash, up goes on where things stood: nothing that was accepted is lost.\n",
    .run = run_up,
};

/* Gone: no such process, or one that has ended and only waits for its parent. */
static int gone(pid_t pid)
{
    char path[64], line[512];
    if (kill(pid, 0) && errno == ESRCH) return 1;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f) return 1;
    char *got = fgets(line, sizeof line, f), *end = got ? strrchr(line, ')') : NULL;
    fclose(f);
    return end && end[1] == ' ' && end[2] == 'Z';
}

static int files_like(const char *pattern)
{
    char path[PATH_MAX];
    struct err e;
    glob_t found;
    if (cli_path(pattern, path, sizeof path, &e) || glob(path, GLOB_NOSORT, NULL, &found)) return 0;
    globfree(&found);
    return 1;
}

/* A coordinator that was killed leaves its groups at work; their files say so. A new one takes them over, and can stop them as
 * they should be stopped. It starts none. */
static enum code take_over(int of_slurm, struct arena *a, struct message *answer, struct err *e)
{
    char program[PATH_MAX];
    const char *home;
    pid_t pid = 0;
    enum code rc = cli_home(&home, e);
    if (!rc) rc = find_coordinator(program, sizeof program, e);
    const char *const here[] = {program, "--home", home, "--groups", "0", NULL};
    const char *const slurm[] = {program, "--home",       home, "--slurm", "--min-groups",
                                 "0",     "--max-groups", "0",  NULL};
    if (!rc) rc = start(of_slurm ? slurm : here, &pid, e);
    return rc ? rc : wait_ready(pid, 0, a, answer, e);
}

static int run_down(int argc, char **argv)
{
    int now = 0;
    struct option_spec o[] = {{"now", OPTION_FLAG, &now, NULL,
                               "running stages stop at their next step (with a checkpoint)"}};
    struct err e = {0};
    struct words rest;
    static struct arena a;
    struct message answer, ask = {.kind = MSG_stop, .stop = {.drain = 1}}, stopped;
    cli.local = 1;
    enum code rc = options_read(&verb_down, o, 1, argc, argv, &rest, &e);
    if (!rc && rest.n)
        rc = err_set(&e, ERR_USAGE, "engram down takes no \"%s\"; see engram down --help",
                     rest.v[0]);
    if (rc) return cli_fail(&e);
    rc = ping(&a, &answer, &e);
    int of_slurm = rc && files_like("groups/*.group");
    int abandoned = of_slurm || (rc && files_like("run/group-*.pid"));
    if (abandoned) rc = take_over(of_slurm, &a, &answer, &e);
    if (rc) {
        if (abandoned || rc != ERR_ENVIRONMENT) return cli_fail(&e);
        cli_say("nothing is running here");
        return cli.json ? cli_print(json_pack("{s:b}", "was_running", 0)) : 0;
    }
    ask.stop.drain = !now;
    rc = cli_ask(&ask, &a, &stopped, &e);
    if (rc) return cli_fail(&e);
    pid_t pid = (pid_t)answer.pong.pid;
    for (int waited = 0; waited < STOP_MS && !gone(pid); waited += LOOK_MS) nap();
    if (!gone(pid)) {
        err_set(
            &e, ERR_AGAIN,
            "coordinator %d still finishes a stage; engram down --now stops it at its next step",
            (int)pid);
        return cli_fail(&e);
    }
    if (cli.json)
        return cli_print(json_pack("{s:b,s:I}", "was_running", 1, "pid", (json_int_t)pid));
    printf("down: coordinator %d has stopped; jobs that wait are kept\n", (int)pid);
    cli_close();
    return 0;
}

const struct verb verb_down = {
    .name = "down",
    .what = "stop the coordinator and its worker groups",
    .usage = "engram down [--now]",
    .examples = "  engram down                        after the running stage has ended\n"
                "  engram down --now                  at the next step; the stage goes on from its "
                "checkpoint after engram up\n",
    .run = run_down,
};
