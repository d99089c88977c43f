/* mpirun.c - one worker group on this machine.
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
 * run/group-1.pid holds pid, start time and nonce: first the intent, with pid 0, before RUN is made, then the group. A
 * coordinator that finds a living one adopts the group; else it removes the RUN folder that the nonce names, so that a kill
 * at any instant leaves nothing that nobody can find.
 */
#include "coordinator/launch/launcher.h"
#include "coordinator/launch/process.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <ftw.h>
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

static const char NAME[] = "group-1";

struct launcher {
    struct arena strings;
    const char *home, *endpoint, *worker, *pid_file, *log;
    int ranks, has_mpirun;
    struct process process; /* mpirun, or the one worker */
    struct hash nonce;
    char run[4096]; /* the group's folder; "": none */
    int64_t started_ms, next_ms, stop_ms, fails;
    int termed;
    struct err trouble;
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

static void name_run(struct launcher *l)
{
    char text[HASH_TEXT];
    hash_text(l->nonce, text);
    if (access("/dev/shm", W_OK | X_OK) == 0)
        snprintf(l->run, sizeof l->run, "/dev/shm/engram-%.16s", text);
    else snprintf(l->run, sizeof l->run, "%s/run/g%.8s", l->home, text);
}

static enum code write_pid(struct launcher *l, struct err *e)
{
    char text[HASH_TEXT], line[256];
    int n = snprintf(line, sizeof line, "%d %llu %s\n", (int)l->process.pid, l->process.started,
                     hash_text(l->nonce, text));
    return file_write(l->pid_file, line, (size_t)n, e);
}

/* A group that outlived its coordinator. */
static void adopt(struct launcher *l)
{
    struct bytes b;
    int pid;
    unsigned long long started;
    char line[256] = "", text[HASH_TEXT];

    if (file_read(l->pid_file, sizeof line - 1, &b, NULL)) return;
    memcpy(line, b.data, b.n);
    free(b.data);
    if (sscanf(line, "%d %llu %64s", &pid, &started, text) != 3 ||
        hash_parse(text, &l->nonce, NULL))
        return;
    name_run(l);
    if (process_adopt(&l->process, (pid_t)pid, started)) {
        log_line(LOG_INFO, "%s (pid %d) is there from before; it is taken over", NAME, pid);
        return;
    }
    remove_tree(l->run);
    unlink(l->pid_file);
    l->run[0] = '\0';
}

/* ---- open ---- */

static const char *find_worker(struct launcher *l)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash;
    const char *path;

    if (n < 0) return NULL;
    self[n] = '\0';
    slash = strrchr(self, '/');
    *(slash ? slash : self) = '\0';
    path = arena_printf(&l->strings, "%s/engram-worker", self);
    return path && access(path, X_OK) == 0    ? path
           : process_program("engram-worker") ? "engram-worker"
                                              : NULL;
}

static void mpirun_close(struct launcher *l)
{
    if (!l) return;
    arena_fini(&l->strings);
    free(l);
}

static enum code mpirun_open(struct launcher **out, const struct launch_options *o, struct err *e)
{
    struct launcher *l = mem_alloc(1, sizeof *l);

    if (!l) return err_set(e, ERR_NOMEM, "out of memory");
    l->home = arena_strdup(&l->strings, o->home);
    l->endpoint = arena_strdup(&l->strings, o->endpoint);
    l->pid_file = arena_printf(&l->strings, "%s/run/%s.pid", o->home, NAME);
    l->log = arena_printf(&l->strings, "%s/log/%s.log", o->home, NAME);
    l->ranks = o->ranks;
    const char *run = arena_printf(&l->strings, "%s/run", o->home);
    if (!l->home || !l->endpoint || !l->pid_file || !l->log || !run) {
        mpirun_close(l);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    l->has_mpirun = process_program("mpirun");
    l->worker = find_worker(l);
    if (!l->worker) {
        mpirun_close(l);
        return err_set(e, ERR_ENVIRONMENT,
                       "engram-worker is neither beside engram-coordinator nor on PATH: "
                       "build it (it needs MPI), or start with --no-workers");
    }
    if (!l->has_mpirun && l->ranks > 1)
        log_line(LOG_WARN, "mpirun is not on PATH: the worker group has one rank, not %d",
                 l->ranks);
    file_sweep(run, NULL);
    adopt(l);
    *out = l;
    return OK;
}

/* ---- start ---- */

static enum code launch(struct launcher *l, struct err *e)
{
    static const char *const env[] = {"OMPI_ALLOW_RUN_AS_ROOT=1",
                                      "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1", NULL};
    char nonce[HASH_TEXT], ranks[16];
    char *argv[40];
    int n = 0;

    hash_text(l->nonce, nonce);
    snprintf(ranks, sizeof ranks, "%d", l->ranks);
    /* clang-format off */
    const char *const mpirun[] = { "mpirun", "--oversubscribe", "--bind-to", "none", "--mca", "pml", "ob1", "--mca", "btl",
        "self,vader", "--mca", "mpi_yield_when_idle", "1", "--mca", "btl_vader_backing_directory", l->run,
        "--mca", "orte_tmpdir_base", l->run, "-np", ranks };
    const char *const worker[] = { l->worker, "--connect", l->endpoint, "--home", l->home, "--name", NAME, "--nonce", nonce };
    /* clang-format on */
    for (size_t i = 0; l->has_mpirun && i < sizeof mpirun / sizeof *mpirun; i++)
        argv[n++] = (char *)(uintptr_t)mpirun[i]; /* exec's prototype predates const */
    for (size_t i = 0; i < sizeof worker / sizeof *worker; i++)
        argv[n++] = (char *)(uintptr_t)worker[i];
    argv[n] = NULL;
    return process_start(&l->process, argv, env, l->log, e);
}

static enum code start(struct launcher *l, int64_t now_ms, struct err *e)
{
    enum code rc;

    if (getrandom(l->nonce.v, HASH_BYTES, 0) != HASH_BYTES) return err_errno(e, "random numbers");
    name_run(l);
    if ((rc = write_pid(l, e)))
        log_line(LOG_WARN, "%s: a kill now would leave %s behind", e->text, l->run);
    if ((rc = file_make_dirs(l->run, e)) || (rc = launch(l, e))) return rc;
    l->started_ms = now_ms;
    if ((rc = write_pid(l, e)))
        log_line(LOG_WARN, "%s: a coordinator after a crash will not find this group", e->text);
    log_line(LOG_INFO, "%s started, %d rank%s, pid %d, log %s", NAME, l->has_mpirun ? l->ranks : 1,
             l->has_mpirun && l->ranks > 1 ? "s" : "", (int)l->process.pid, l->log);
    return OK;
}

/* ---- watch ---- */

static void say_ended(const struct launcher *l, int status)
{
    if (status == -1) log_line(LOG_WARN, "%s has ended", NAME);
    else if (WIFSIGNALED(status))
        log_line(LOG_WARN, "%s ended by signal %d; see %s", NAME, WTERMSIG(status), l->log);
    else
        log_line(WEXITSTATUS(status) ? LOG_WARN : LOG_INFO, "%s ended with status %d%s%s", NAME,
                 WEXITSTATUS(status), WEXITSTATUS(status) ? "; see " : "",
                 WEXITSTATUS(status) ? l->log : "");
}

static void ended(struct launcher *l, int64_t now_ms, int status)
{
    int64_t wait = WAIT_FIRST_MS;

    say_ended(l, status);
    l->process.pid = 0;
    remove_tree(l->run);
    l->run[0] = '\0';
    unlink(l->pid_file);
    l->fails = now_ms - l->started_ms < YOUNG_MS ? l->fails + 1 : 0;
    for (int64_t i = 1; i < l->fails && wait < WAIT_MOST_MS; i++) wait *= 2;
    l->next_ms = now_ms + (wait < WAIT_MOST_MS ? wait : WAIT_MOST_MS);
    l->trouble.text[0] = '\0';
    if (l->fails > 1)
        err_set(&l->trouble, ERR_ENVIRONMENT, "the worker group dies at once, %d times now; see %s",
                (int)l->fails, l->log);
}

static void mpirun_poll(struct launcher *l, int64_t now_ms, int want, struct hash lost[LAUNCH_LOST],
                        int *n_lost)
{
    int status;

    *n_lost = 0;
    if (l->process.pid && !process_runs(&l->process, &status)) {
        lost[(*n_lost)++] = l->nonce;
        ended(l, now_ms, status);
    }
    if (l->process.pid && l->fails && now_ms - l->started_ms >= YOUNG_MS) {
        l->fails = 0;
        l->trouble.text[0] = '\0';
    }
    if (!want || l->process.pid || now_ms < l->next_ms) return;
    if (start(l, now_ms, &l->trouble)) {
        log_line(LOG_ERROR, "%s: %s", NAME, l->trouble.text);
        l->next_ms = now_ms + WAIT_MOST_MS;
    }
}

static void mpirun_stop(struct launcher *l, int64_t now_ms)
{
    if (!l->stop_ms) l->stop_ms = now_ms;
    if (now_ms - l->stop_ms >= TERM_MS) {
        process_signal(&l->process, SIGKILL);
    } else if (now_ms - l->stop_ms >= GENTLE_MS && !l->termed) {
        l->termed = 1;
        process_signal(&l->process, SIGTERM);
    }
}

static int mpirun_running(const struct launcher *l)
{
    return l->process.pid != 0;
}

static const char *mpirun_trouble(const struct launcher *l)
{
    return l->trouble.text;
}

const struct launcher_table *launcher_mpirun(void)
{
    static const struct launcher_table table = {
        .name = "mpirun",
        .open = mpirun_open,
        .poll = mpirun_poll,
        .stop = mpirun_stop,
        .running = mpirun_running,
        .trouble = mpirun_trouble,
        .close = mpirun_close,
    };
    return &table;
}
