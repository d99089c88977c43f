#include "coordinator/launch/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Start time in clock ticks and state letter, from /proc/<pid>/stat; the name in parentheses may hold anything. 0: no such pid. */
static int look(pid_t pid, unsigned long long *started, char *state)
{
    char path[64], text[1024];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (!f) return 0;
    n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    char *at = strrchr(text, ')');
    if (!at) return 0;
    /* Field 3 is the state, field 22 the start time. */
    *state = at[1] ? at[2] : '?';
    at++;
    for (int field = 3; at && field < 22; field++) at = strchr(at + 1, ' ');
    *started = at ? strtoull(at, NULL, 10) : 0;
    return at != NULL;
}

static _Noreturn void become(char *const *argv, const char *const *env, int in, int out, int said)
{
    sigset_t none;

    setsid();
    dup2(in, 0);
    dup2(out, 1);
    dup2(said, 2);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    for (; env && *env; env++) putenv((char *)(uintptr_t)*env);
    execvp(argv[0], argv);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

enum code process_start_into(struct process *p, char *const *argv, const char *const *env, int out,
                             int said, struct err *e)
{
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    enum code rc = OK;
    char state;

    *p = (struct process){.is_child = 1};
    if (in < 0) rc = err_errno(e, "/dev/null");
    else if ((p->pid = fork()) < 0) rc = err_errno(e, "fork");
    else if (p->pid == 0) become(argv, env, in, out, said);
    else look(p->pid, &p->started, &state);
    if (rc) p->pid = 0;
    if (in >= 0) close(in);
    return rc;
}

enum code process_start(struct process *p, char *const *argv, const char *const *env,
                        const char *log, struct err *e)
{
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    enum code rc;

    if (out < 0) return err_errno(e, "%s", log);
    rc = process_start_into(p, argv, env, out, out, e);
    close(out);
    return rc;
}

int process_adopt(struct process *p, pid_t pid, unsigned long long started)
{
    unsigned long long since;
    char state;

    *p = (struct process){0};
    if (pid <= 1 || !look(pid, &since, &state) || since != started || state == 'Z') return 0;
    *p = (struct process){.pid = pid, .started = started};
    return 1;
}

/* ---- by command line ---- */

/* /proc/<pid>/<name> as bytes with a zero behind them; their number. */
static size_t read_proc(pid_t pid, const char *name, char *text, size_t room)
{
    char path[64];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    if (!(f = fopen(path, "re"))) return 0;
    n = fread(text, 1, room - 1, f);
    fclose(f);
    text[n] = '\0';
    return n;
}

static int has_argument(const char *line, size_t n, const char *argument)
{
    for (const char *at = line; at < line + n; at += strlen(at) + 1)
        if (strcmp(at, argument) == 0) return 1;
    return 0;
}

/* Calls for every process until it says yes; its pid, or 0. */
static pid_t any_process(int (*is)(pid_t pid, const char *program, const char *text),
                         const char *program, const char *text)
{
    DIR *d = opendir("/proc");
    pid_t found = 0;

    for (struct dirent *x; d && !found && (x = readdir(d));) {
        pid_t pid = (pid_t)atoi(x->d_name);
        if (pid > 1 && is(pid, program, text)) found = pid;
    }
    if (d) closedir(d);
    return found;
}

static int is_program_with(pid_t pid, const char *program, const char *argument)
{
    char name[32], line[8192];

    read_proc(pid, "comm", name, sizeof name);
    name[strcspn(name, "\n")] = '\0';
    return strcmp(name, program) == 0 &&
           has_argument(line, read_proc(pid, "cmdline", line, sizeof line), argument);
}

static int mentions(pid_t pid, const char *unused, const char *text)
{
    char line[8192];
    size_t n = read_proc(pid, "cmdline", line, sizeof line);

    (void)unused;
    return n && memmem(line, n, text, strlen(text)) != NULL;
}

int process_find(struct process *p, const char *program, const char *argument)
{
    pid_t pid = any_process(is_program_with, program, argument);
    unsigned long long started;
    char state;

    return pid && look(pid, &started, &state) && process_adopt(p, pid, started);
}

int process_mentions(const char *text)
{
    return any_process(mentions, NULL, text) != 0;
}

int process_runs(struct process *p, int *status)
{
    unsigned long long since;
    char state;

    *status = -1;
    if (p->pid == 0) return 0;
    if (p->is_child) {
        int st;
        pid_t got = waitpid(p->pid, &st, WNOHANG);
        if (got == 0) return 1;
        *status = got == p->pid ? st : -1;
        return 0;
    }
    return look(p->pid, &since, &state) && since == p->started && state != 'Z';
}

void process_signal(const struct process *p, int signal)
{
    if (p->pid > 1) kill(-p->pid, signal);
}

int process_program(const char *name)
{
    const char *path = getenv("PATH");
    char *all, *save = NULL, full[4096];
    int found = 0;

    if (strchr(name, '/')) return access(name, X_OK) == 0;
    all = strdup(path ? path : "/usr/bin:/bin");
    for (char *dir = all ? strtok_r(all, ":", &save) : NULL; dir && !found;
         dir = strtok_r(NULL, ":", &save)) {
        snprintf(full, sizeof full, "%s/%s", dir, name);
        found = access(full, X_OK) == 0;
    }
    free(all);
    return found;
}
