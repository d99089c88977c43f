#include "tests/door/support/engram.h"

#include "proto/link.h"
#include "tests/tap.h"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { ARGS = 24 };

static const char *const NAME[PEOPLE] = {"ann", "bob", "mal", "worker-a", "worker-b"};

/* ---- processes ---- */

long engram_memory(pid_t pid, const char *what)
{
    char path[64], line[256];
    long kb = -1;
    size_t n = strlen(what);

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, what, n) && line[n] == ':') kb = atol(line + n + 1);
    if (f) fclose(f);
    return kb;
}

/* Is this the door for whose, with this parent? */
static int is_door(pid_t pid, pid_t parent, const char *whose)
{
    char path[64], text[4096] = "", want[64];
    size_t n;

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    for (size_t i = 0; i < n; i++)
        if (!text[i]) text[i] = ' ';
    snprintf(want, sizeof want, "engram-door --for %s ", whose);
    return strstr(text, want) && engram_memory(pid, "PPid") == parent &&
           engram_memory(pid, "VmRSS") > 0;
}

pid_t engram_door(struct engram *g, const char *whose)
{
    DIR *d = opendir("/proc");
    pid_t found = 0;

    for (struct dirent *x; d && !found && (x = readdir(d));)
        if (atoi(x->d_name) > 0 && is_door(atoi(x->d_name), g->coordinator, whose))
            found = atoi(x->d_name);
    if (d) closedir(d);
    return found;
}

static pid_t launch(struct engram *g, const char *const *extra)
{
    char program[600], log[400];
    const char *bin = getenv("ENGRAM_BIN"), *argv[ARGS] = {program,
                                                           "--home",
                                                           g->home,
                                                           "--foreground",
                                                           "--no-workers",
                                                           "--listen",
                                                           "tcp://127.0.0.1:0",
                                                           "--listen-workers",
                                                           "tcp://127.0.0.1:0",
                                                           "--term-ms",
                                                           "20000"};
    size_t n = 11;

    for (size_t i = 0; extra && extra[i] && n + 1 < ARGS; i++) argv[n++] = extra[i];
    snprintf(program, sizeof program, "%s/engram-coordinator", bin ? bin : "build");
    snprintf(log, sizeof log, "%s.log", g->home);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen(log, "a", stderr)) _exit(98);
        execv(program, (char *const *)(uintptr_t)argv);
        _exit(99);
    }
    return pid;
}

/* ---- open ---- */

/* "up tcp://..." out of a file that a door writes. */
static int read_endpoint(struct engram *g, const char *whose, char *out, size_t bytes)
{
    char path[400], line[300] = "";

    snprintf(path, sizeof path, "%s/run/door-%s", g->home, whose);
    for (int i = 0; i < 500; i++) {
        FILE *f = fopen(path, "r");
        int got = f && fgets(line, sizeof line, f);
        if (f) fclose(f);
        if (got && !strncmp(line, "up ", 3)) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, bytes, "%s", line + 3);
            return 1;
        }
        usleep(20000);
    }
    note("the door for %s did not come up", whose);
    return 0;
}

static int introduce(struct engram *g)
{
    for (int i = 0; i < PEOPLE; i++) {
        struct user_row row = {.name = NAME[i], .role = i < WORKER_A ? ROLE_USER : ROLE_WORKER};
        struct err e;
        if (keys_make(&g->keys[i], &e)) return note("%s", e.text), 0;
        row.key = g->keys[i].public;
        struct message r = engram_ask(
            g->local, (struct message){.kind = MSG_user_set, .user_set.rows = {1, &row}});
        if (r.kind != MSG_done) return note("user %s: %s", NAME[i], r.refused.line), 0;
    }
    return 1;
}

int engram_open(struct engram *g, const char *folder, const char *const *extra)
{
    char local[400], pub[400];
    struct link_options o = {.endpoint = local, .timeout_ms = 20000, .tries = -1};
    struct err e;

    memset(g, 0, sizeof *g);
    snprintf(g->home, sizeof g->home, "%s/home", folder);
    snprintf(local, sizeof local, "ipc://%s/run/engram.sock", g->home);
    snprintf(pub, sizeof pub, "%s/keys/coordinator.key.pub", g->home);
    g->coordinator = launch(g, extra);
    if (!read_endpoint(g, "users", g->users_at, sizeof g->users_at) ||
        !read_endpoint(g, "workers", g->workers_at, sizeof g->workers_at))
        return 0;
    if (keys_parse(pub, &g->server_key, &e) || link_open(&g->local, &o, &e))
        return note("%s", e.text), 0;
    return introduce(g);
}

void engram_close(struct engram *g)
{
    link_close(g->local);
    if (g->coordinator > 0) {
        kill(g->coordinator, SIGTERM);
        for (int i = 0; i < 200 && waitpid(g->coordinator, NULL, WNOHANG) == 0; i++) usleep(20000);
        kill(g->coordinator, SIGKILL);
        waitpid(g->coordinator, NULL, 0);
    }
}

/* ---- people ---- */

struct link *engram_link(struct engram *g, int who, const struct msg_worker_hello *hello,
                         int timeout_ms)
{
    struct link_options o = {.endpoint = who < WORKER_A ? g->users_at : g->workers_at,
                             .server_key = g->server_key,
                             .keys = g->keys[who],
                             .timeout_ms = timeout_ms,
                             .tries = 1,
                             .hello = hello};
    struct link *l = NULL;
    struct err e;

    if (link_open(&l, &o, &e)) note("%s", e.text);
    return l;
}

struct message engram_ask(struct link *l, struct message m)
{
    static struct arena a;
    static struct err e;
    struct message r = {0};

    arena_fini(&a);
    enum code rc = link_call(l, &m, &a, &r, &e);
    return rc ? (struct message){.kind = MSG_refused, .refused = {(uint64_t)rc, e.text}} : r;
}

struct hash engram_send(struct link *l, const char *bytes)
{
    size_t n = strlen(bytes);
    struct hash h = hash_bytes(bytes, n);
    struct message r =
        engram_ask(l, (struct message){.kind = MSG_object_put,
                                       .object_put = {h, n, 0, {(const uint8_t *)bytes, n}}});

    if (r.kind != MSG_object_got || r.object_got.have != n)
        note("object `%s` is not taken: %s", bytes,
             r.kind == MSG_refused ? r.refused.line : proto_name(r.kind));
    return h;
}

int engram_port(const char *endpoint)
{
    return atoi(strrchr(endpoint, ':') + 1);
}
