/* doctor.c - `engram doctor`: is this machine ready, and if not, what to do about it. */
#include "cli/cli.h"

#include "base/file.h"
#include "pipeline/model/base_model.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum health { HEALTHY, WARNING, BROKEN };
static const char *const WORD[] = {"ok", "warn", "FAIL"};

struct examination {
    json_t *list;
    enum health worst;
};

static void finding(struct examination *x, enum health h, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void finding(struct examination *x, enum health h, const char *what, const char *fmt, ...)
{
    char text[700];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (h > x->worst) x->worst = h;
    json_array_append_new(
        x->list, json_pack("{s:s,s:s,s:s}", "what", what, "health", WORD[h], "line", text));
    if (!cli.json) printf("%-5s %-12s %s\n", WORD[h], what, text);
}

static void machine(struct examination *x)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES),
         page = sysconf(_SC_PAGE_SIZE);
    double gib = (double)pages * (double)page / (1024.0 * 1024.0 * 1024.0);
    finding(x, cores >= 2 ? HEALTHY : WARNING, "machine", "%ld core%s, %.1f GiB of memory", cores,
            cores == 1 ? "" : "s", gib);
    finding(x, HEALTHY, "device", "%s",
            kernels_cuda() ? "CUDA"
                           : "no GPU in this build or machine; everything runs on the CPU");
}

static int on_path(const char *program, char *out, size_t bytes)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t n = strcspn(path, ":");
        snprintf(out, bytes, "%.*s/%s", (int)n, path, program);
        if (!access(out, X_OK)) return 1;
        path += n + (path[n] == ':');
    }
    return 0;
}

/* `engram up --slurm` needs all three; half an installation is worth a word. */
static void slurm(struct examination *x)
{
    static const char *const names[] = {"sbatch", "squeue", "scancel"};
    char path[PATH_MAX], missing[64] = "";
    for (size_t i = 0; i < 3; i++)
        if (!on_path(names[i], path, sizeof path))
            snprintf(missing + strlen(missing), sizeof missing - strlen(missing), " %s", names[i]);
    if (!*missing)
        finding(x, HEALTHY, "slurm", "sbatch, squeue and scancel are there; see slurm/README.md");
    else if (on_path("sbatch", path, sizeof path))
        finding(x, WARNING, "slurm", "%s, but not%s: engram up --slurm needs all three", path,
                missing);
    else finding(x, HEALTHY, "slurm", "not found; not needed on one machine");
}

static void programs(struct examination *x)
{
    char path[PATH_MAX];
    if (on_path("mpirun", path, sizeof path)) finding(x, HEALTHY, "mpirun", "%s", path);
    else
        finding(x, WARNING, "mpirun",
                "not found: worker groups run as one rank; install openmpi-bin for more");
    slurm(x);
}

static void home(struct examination *x)
{
    struct err e = {0};
    const char *dir;
    struct statvfs fs;
    if (cli_home(&dir, &e) || file_make_dirs(dir, &e)) {
        finding(x, BROKEN, "home", "%s", e.text);
        return;
    }
    if (access(dir, W_OK))
        finding(x, BROKEN, "home", "%s cannot be written; set ENGRAM_HOME to a directory of yours",
                dir);
    else if (strlen(dir) > 80)
        finding(x, BROKEN, "home",
                "%s is too long for a socket's path (107 bytes); choose a shorter ENGRAM_HOME",
                dir);
    else finding(x, HEALTHY, "home", "%s", dir);
    if (statvfs(dir, &fs)) return;
    double gib = (double)fs.f_bavail * (double)fs.f_frsize / (1024.0 * 1024.0 * 1024.0);
    finding(x,
            gib < 0.1 ? BROKEN
            : gib < 2 ? WARNING
                      : HEALTHY,
            "disk", "%.1f GiB free%s", gib, gib < 2 ? "; checkpoints and pictures need room" : "");
}

static void coordinator(struct examination *x)
{
    struct err e = {0};
    struct arena a = {0};
    struct message ask = {.kind = MSG_ping, .ping = {.client = "engram doctor"}}, answer;
    if (cli_ask(&ask, &a, &answer, &e)) finding(x, WARNING, "coordinator", "%s", e.text);
    else {
        const struct msg_pong *p = &answer.pong;
        finding(x, *p->line ? WARNING : HEALTHY, "coordinator",
                "pid %llu, %llu group(s), %llu rank(s)%s%s", (unsigned long long)p->pid,
                (unsigned long long)p->groups, (unsigned long long)p->ranks, *p->line ? ": " : "",
                p->line);
    }
    arena_fini(&a);
}

static void model(struct examination *x, const char *dir)
{
    struct err e = {0};
    struct base_model *m;
    char hash[HASH_TEXT];
    if (base_model_open(&m, dir, &e)) {
        finding(x, BROKEN, "base model", "%s", e.text);
        return;
    }
    finding(x, HEALTHY, "base model", "%s: %.12s, %zu neurons", dir, hash_text(m->hash, hash),
            m->kv.n_weights);
    base_model_close(m);
}

static int run(int argc, char **argv)
{
    const char *base = getenv("ENGRAM_BASE");
    struct option_spec o[] = {{"base", OPTION_TEXT, &base, "PATH",
                               "look at this base model too (default: $ENGRAM_BASE)"}};
    struct err e = {0};
    struct words rest;
    if (options_read(&verb_doctor, o, 1, argc, argv, &rest, &e)) return cli_fail(&e);
    if (rest.n) {
        err_set(&e, ERR_USAGE, "engram doctor takes no \"%s\"; a base model is named by --base",
                rest.v[0]);
        return cli_fail(&e);
    }
    struct examination x = {.list = json_array()};
    machine(&x);
    programs(&x);
    home(&x);
    coordinator(&x);
    if (base) model(&x, base);
    int status = x.worst == BROKEN ? err_exit_status(ERR_ENVIRONMENT) : 0;
    if (cli.json) {
        int printed =
            cli_print(json_pack("{s:s,s:o}", "health", WORD[x.worst], "findings", x.list));
        return status ? status : printed;
    }
    json_decref(x.list);
    cli_close();
    return status;
}

const struct verb verb_doctor = {
    .name = "doctor",
    .what = "look at this machine and say what is missing",
    .usage = "engram doctor [--base PATH]",
    .examples = "  engram doctor\n"
                "  engram doctor --base examples/storybook/model --json\n",
    .run = run,
};
