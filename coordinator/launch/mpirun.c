/* mpirun.c - worker groups on this machine.
 *
 *     mpirun --oversubscribe --bind-to none --mca pml ob1 --mca btl self,vader --mca mpi_yield_when_idle 1
 *         --mca btl_vader_backing_directory RUN --mca orte_tmpdir_base RUN -np N
 *         engram-worker --connect ... --home ... --name group-1 --nonce ...   </dev/null
 *
 * Why these words (measured, reference/cluster.md 2.2): two groups bind to the same core by default; ob1 halves the start;
 * waiting ranks would burn the cores that the working ones need; shared-memory files of a killed group are left behind,
 * so each group has its own RUN folder, and cleaning is removing it. It lies in memory: on a full disk a mapped file is SIGBUS,
 * and a group that could have paused dies. Without mpirun: the worker alone, one rank.
 *
 * RUN is named by the home and the nonce, so that a coordinator finds those of its home, whatever happened to the files in it:
 * what no process mentions any more is removed at the start.
 *
 * run/group-N.pid holds pid, start time and nonce: first the intent, with pid 0, before RUN is made, then the group. A
 * coordinator that finds a living one adopts the group, also beyond the number it would start itself; else it removes the
 * RUN folder that the nonce names, so that a kill at any instant leaves nothing that nobody can find.
 */
#include "coordinator/launch/launcher.h"
#include "coordinator/launch/process.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    YOUNG_MS = 10000,
    WAIT_FIRST_MS = 1000,
    WAIT_MOST_MS = 60000,
    GENTLE_MS = 3000,
    TERM_MS = 10000
};

struct local {
    char name[24];
    const char *pid_file, *log;
    struct process process; /* mpirun, or the one worker */
    struct hash nonce;
    char run[4096]; /* the group's folder; "": none */
    int64_t started_ms, next_ms, fails;
    int termed, died_before; /* died_before: with an earlier coordinator; nobody has been told */
    struct err trouble;
};

struct launcher {
    struct arena strings;
    const char *home, *endpoint, *worker;
    int ranks, has_mpirun;
    struct local *groups; /* owned, [n] */
    int n, n_wanted;      /* groups[n_wanted..] were adopted and are not started again */
    int64_t stop_ms;
};

/* ---- files ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    remove(path);
    return 0;
}

static void remove_tree(const char *path)
{
    if (path[0]) nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* The folder of groups that lies in memory, and what the names of this home's begin with. */
static const char MEMORY[] = "/dev/shm";

static void name_mine(const struct launcher *l, char out[32])
{
    char home[HASH_TEXT];
    snprintf(out, 32, "engram-%.12s-", hash_text(hash_bytes(l->home, strlen(l->home)), home));
}

static void name_run(const struct launcher *l, struct local *g)
{
    char text[HASH_TEXT], mine[32];
    hash_text(g->nonce, text);
    name_mine(l, mine);
    if (access(MEMORY, W_OK | X_OK) == 0)
        snprintf(g->run, sizeof g->run, "%s/%s%.12s", MEMORY, mine, text);
    else snprintf(g->run, sizeof g->run, "%s/run/g%.8s", l->home, text);
}

static void sweep_runs(const struct launcher *l)
{
    char mine[32], path[300];
    DIR *d = opendir(MEMORY);

    name_mine(l, mine);
    for (struct dirent *x; d && (x = readdir(d));) {
        if (strncmp(x->d_name, mine, strlen(mine))) continue;
        snprintf(path, sizeof path, "%s/%s", MEMORY, x->d_name);
        if (!process_mentions(path)) remove_tree(path);
    }
    if (d) closedir(d);
}

static enum code write_pid(const struct local *g, struct err *e)
{
    char text[HASH_TEXT], line[256];
    int n = snprintf(line, sizeof line, "%d %llu %s\n", (int)g->process.pid, g->process.started,
                     hash_text(g->nonce, text));
    return file_write(g->pid_file, line, (size_t)n, e);
}

/* A group that outlived its coordinator. */
static void adopt(struct launcher *l, struct local *g)
{
    struct bytes b;
    int pid;
    unsigned long long started;
    char line[256] = "", text[HASH_TEXT];

    if (file_read(g->pid_file, sizeof line - 1, &b, NULL)) return;
    memcpy(line, b.data, b.n);
    free(b.data);
    if (sscanf(line, "%d %llu %64s", &pid, &started, text) != 3 ||
        hash_parse(text, &g->nonce, NULL))
        return;
    name_run(l, g);
    if (process_adopt(&g->process, (pid_t)pid, started) ||
        process_find(&g->process, l->has_mpirun ? "mpirun" : "engram-worker",
                     l->has_mpirun ? g->run : text)) {
        log_event(LOG_INFO, &(struct log_about){.event = "group_taken_over", .group = g->name},
                  "%s (pid %d) is there from before; it is taken over", g->name,
                  (int)g->process.pid);
        return;
    }
    remove_tree(g->run);
    unlink(g->pid_file);
    g->run[0] = '\0';
    g->died_before = 1;
}

/* ---- open ---- */

static void mpirun_close(struct launcher *l)
{
    if (!l) return;
    free(l->groups);
    arena_fini(&l->strings);
    free(l);
}

static enum code name_group(struct launcher *l, int i, struct err *e)
{
    struct local *g = &l->groups[i];

    snprintf(g->name, sizeof g->name, "group-%d", i + 1);
    g->pid_file = arena_printf(&l->strings, "%s/run/%s.pid", l->home, g->name);
    g->log = arena_printf(&l->strings, "%s/log/%s.log", l->home, g->name);
    return g->pid_file && g->log ? OK : err_set(e, ERR_NOMEM, "out of memory");
}

/* All that may be there: as many as are wanted, and those of an earlier coordinator up to the last one with a file. */
static enum code find_groups(struct launcher *l, struct err *e)
{
    enum code rc;

    if (!(l->groups = mem_alloc(LAUNCH_GROUPS, sizeof *l->groups)))
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < LAUNCH_GROUPS; i++) {
        if ((rc = name_group(l, i, e))) return rc;
        if (i < l->n_wanted || file_exists(l->groups[i].pid_file)) l->n = i + 1;
    }
    for (int i = 0; i < l->n; i++) adopt(l, &l->groups[i]);
    sweep_runs(l);
    return OK;
}

static enum code mpirun_open(struct launcher **out, const struct launch_options *o, struct err *e)
{
    struct launcher *l = mem_alloc(1, sizeof *l);
    char worker[PATH_MAX] = "";
    enum code rc = ERR_NOMEM;

    if (!l) return err_set(e, ERR_NOMEM, "out of memory");
    if (o->max_groups && (rc = launch_find_worker(worker, sizeof worker, e))) goto close;
    l->home = arena_strdup(&l->strings, o->home);
    l->endpoint = arena_strdup(&l->strings, o->endpoint);
    l->worker = arena_strdup(&l->strings, worker);
    l->ranks = o->ranks;
    l->n_wanted = o->max_groups < LAUNCH_GROUPS ? o->max_groups : LAUNCH_GROUPS;
    const char *run = arena_printf(&l->strings, "%s/run", o->home);
    if (!l->home || !l->endpoint || !l->worker || !run) {
        rc = err_set(e, ERR_NOMEM, "out of memory");
        goto close;
    }
    l->has_mpirun = process_program("mpirun");
    if (!l->has_mpirun && l->ranks > 1)
        log_line(LOG_WARN, "mpirun is not on PATH: a worker group has one rank, not %d", l->ranks);
    file_sweep(run, NULL);
    if ((rc = find_groups(l, e))) goto close;
    *out = l;
    return OK;
close:
    mpirun_close(l);
    return rc;
}

/* ---- start ---- */

static enum code launch(const struct launcher *l, struct local *g, struct err *e)
{
    static const char *const env[] = {"OMPI_ALLOW_RUN_AS_ROOT=1",
                                      "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1", NULL};
    char nonce[HASH_TEXT], ranks[16];
    char *argv[40];
    int n = 0;

    hash_text(g->nonce, nonce);
    snprintf(ranks, sizeof ranks, "%d", l->ranks);
    /* clang-format off */
    const char *const mpirun[] = { "mpirun", "--oversubscribe", "--bind-to", "none", "--mca", "pml", "ob1", "--mca", "btl",
        "self,vader", "--mca", "mpi_yield_when_idle", "1", "--mca", "btl_vader_backing_directory", g->run,
        "--mca", "orte_tmpdir_base", g->run, "-np", ranks };
    const char *const worker[] = { l->worker, "--connect", l->endpoint, "--home", l->home, "--name", g->name, "--nonce", nonce };
    /* clang-format on */
    for (size_t i = 0; l->has_mpirun && i < sizeof mpirun / sizeof *mpirun; i++)
        argv[n++] = (char *)(uintptr_t)mpirun[i]; /* exec's prototype predates const */
    for (size_t i = 0; i < sizeof worker / sizeof *worker; i++)
        argv[n++] = (char *)(uintptr_t)worker[i];
    argv[n] = NULL;
    return process_start(&g->process, argv, env, g->log, e);
}

static enum code start(const struct launcher *l, struct local *g, int64_t now_ms, struct err *e)
{
    enum code rc;

    if (getrandom(g->nonce.v, HASH_BYTES, 0) != HASH_BYTES) return err_errno(e, "random numbers");
    name_run(l, g);
    g->termed = 0;
    if (write_pid(g, e))
        log_line(LOG_WARN, "%s: a kill now would leave %s behind", e->text, g->run);
    if ((rc = file_make_dirs(g->run, e)) || (rc = launch(l, g, e))) {
        remove_tree(g->run);
        g->run[0] = '\0';
        return rc;
    }
    g->started_ms = now_ms;
    if (write_pid(g, e))
        log_line(LOG_WARN, "%s: a coordinator after a crash will not find this group", e->text);
    log_event(LOG_INFO, &(struct log_about){.event = "group_started", .group = g->name},
              "%s started, %d rank%s, pid %d, log %s", g->name, l->has_mpirun ? l->ranks : 1,
              l->has_mpirun && l->ranks > 1 ? "s" : "", (int)g->process.pid, g->log);
    return OK;
}

/* ---- watch ---- */

static void say_ended(const struct local *g, int status)
{
    const struct log_about about = {.event = "group_ended", .group = g->name};

    if (status == -1) log_event(LOG_WARN, &about, "%s has ended", g->name);
    else if (WIFSIGNALED(status))
        log_event(LOG_WARN, &about, "%s ended by signal %d; see %s", g->name, WTERMSIG(status),
                  g->log);
    else
        log_event(WEXITSTATUS(status) ? LOG_WARN : LOG_INFO, &about, "%s ended with status %d%s%s",
                  g->name, WEXITSTATUS(status), WEXITSTATUS(status) ? "; see " : "",
                  WEXITSTATUS(status) ? g->log : "");
}

static void ended(struct local *g, int64_t now_ms, int status)
{
    int64_t wait = WAIT_FIRST_MS;

    say_ended(g, status);
    g->process.pid = 0;
    remove_tree(g->run);
    g->run[0] = '\0';
    unlink(g->pid_file);
    g->fails = now_ms - g->started_ms < YOUNG_MS ? g->fails + 1 : 0;
    for (int64_t i = 1; i < g->fails && wait < WAIT_MOST_MS; i++) wait *= 2;
    g->next_ms = now_ms + (wait < WAIT_MOST_MS ? wait : WAIT_MOST_MS);
    g->trouble.text[0] = '\0';
    if (g->fails > 1)
        err_set(&g->trouble, ERR_ENVIRONMENT, "%s dies at once, %d times now; see %s", g->name,
                (int)g->fails, g->log);
}

static void mpirun_poll(struct launcher *l, int64_t now_ms, const struct launch_want *want,
                        struct hash lost[LAUNCH_LOST], int *n_lost)
{
    int status;

    *n_lost = 0;
    for (int i = 0; i < l->n && *n_lost < LAUNCH_LOST; i++) {
        struct local *g = &l->groups[i];
        if (g->died_before) {
            g->died_before = 0;
            lost[(*n_lost)++] = g->nonce;
            continue; /* its successor has another nonce */
        }
        if (g->process.pid && !process_runs(&g->process, &status)) {
            lost[(*n_lost)++] = g->nonce;
            ended(g, now_ms, status);
        }
        if (g->process.pid && g->fails && now_ms - g->started_ms >= YOUNG_MS) {
            g->fails = 0;
            g->trouble.text[0] = '\0';
        }
        if (want->stopping || i >= l->n_wanted || g->process.pid || now_ms < g->next_ms) continue;
        if (start(l, g, now_ms, &g->trouble)) {
            log_line(LOG_ERROR, "%s: %s", g->name, g->trouble.text);
            g->next_ms = now_ms + WAIT_MOST_MS;
        }
    }
}

/* A group that is not wanted is killed here, not told. */
static int mpirun_knows(struct launcher *l, const char *name, struct hash nonce, int64_t now_ms)
{
    (void)l;
    (void)name;
    (void)nonce;
    (void)now_ms;
    return 1;
}

static void mpirun_stop(struct launcher *l, int64_t now_ms)
{
    if (!l->stop_ms) l->stop_ms = now_ms;
    for (int i = 0; i < l->n; i++) {
        struct local *g = &l->groups[i];
        if (now_ms - l->stop_ms >= TERM_MS) {
            process_signal(&g->process, SIGKILL);
        } else if (now_ms - l->stop_ms >= GENTLE_MS && !g->termed) {
            g->termed = 1;
            process_signal(&g->process, SIGTERM);
        }
    }
}

static int mpirun_running(const struct launcher *l)
{
    int n = 0;

    for (int i = 0; i < l->n; i++) n += l->groups[i].process.pid != 0;
    return n;
}

static const char *mpirun_trouble(const struct launcher *l)
{
    for (int i = 0; i < l->n; i++)
        if (l->groups[i].trouble.text[0]) return l->groups[i].trouble.text;
    return "";
}

const struct launcher_table *launcher_mpirun(void)
{
    static const struct launcher_table table = {
        .name = "mpirun",
        .open = mpirun_open,
        .poll = mpirun_poll,
        .knows = mpirun_knows,
        .stop = mpirun_stop,
        .running = mpirun_running,
        .trouble = mpirun_trouble,
        .close = mpirun_close,
    };
    return &table;
}
