#include "tests/door/support/house.h"

#include "proto/link.h"

#include "tests/tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { ARGS = 40 };

static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    struct link_server *server;
    int over;
    const char *argv[ARGS];
    char program[600], listen[300], connect[400], keys[400], say[400], parent[24];
} own = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the coordinator ---- */

static struct message list_of(struct house *h, struct arena *a)
{
    struct message m = {.kind = MSG_users};
    struct user_row *rows = arena_alloc(a, HOUSE_USERS * sizeof *rows);

    m.users.rows.v = rows;
    for (int i = 0; i < HOUSE_USERS; i++)
        if (h->role[i])
            rows[m.users.rows.n++] = (struct user_row){.name = "u",
                                                       .role = (uint64_t)h->role[i],
                                                       .key = h->user[i].public,
                                                       .revoked = (uint64_t)h->revoked[i]};
    return m;
}

static void serve_one(struct house *h)
{
    struct arena a = {0};
    struct link_peer from;
    struct message m, answer = {.kind = MSG_pong, .pong = {.pid = 1}};

    if (link_server_receive(own.server, &from, &a, &m, NULL) == OK) {
        pthread_mutex_lock(&own.lock);
        if (m.kind == MSG_user_list) {
            answer = list_of(h, &a);
        } else {
            if (m.kind == MSG_object_get && !h->denies) answer = m;
            if (m.kind == MSG_object_get && h->denies)
                answer = (struct message){.kind = MSG_refused,
                                          .refused = {ERR_NOT_FOUND, "not yours to see"}};
            h->heard++;
            h->heard_key = from.key;
        }
        answer.id = m.id;
        if (!h->deaf || m.kind == MSG_user_list) link_server_send(own.server, &from, &answer, NULL);
        pthread_mutex_unlock(&own.lock);
    }
    arena_fini(&a);
}

static void *serve(void *self)
{
    struct house *h = self;
    int ready;

    while (!__atomic_load_n(&own.over, __ATOMIC_ACQUIRE)) {
        link_server_wait(&own.server, 1, 50, &ready, NULL);
        if (ready) serve_one(h);
    }
    return NULL;
}

uint64_t house_heard(struct house *h, struct hash *key)
{
    pthread_mutex_lock(&own.lock);
    uint64_t n = h->heard;
    if (key) *key = h->heard_key;
    pthread_mutex_unlock(&own.lock);
    return n;
}

/* ---- the door ---- */

static int read_port(struct house *h)
{
    for (int i = 0; i < 500; i++) {
        char line[400] = "";
        FILE *f = fopen(own.say, "r");
        if (f && fgets(line, sizeof line, f)) {
            fclose(f);
            if (strncmp(line, "up ", 3)) {
                note("door: %s", line);
                return 0;
            }
            snprintf(h->endpoint, sizeof h->endpoint, "%.*s", (int)strcspn(line + 3, "\n"),
                     line + 3);
            h->port = atoi(strrchr(h->endpoint, ':') + 1);
            snprintf(own.listen, sizeof own.listen, "%s",
                     h->endpoint); /* the next one comes to the same place */
            return 1;
        }
        if (f) fclose(f);
        usleep(20000);
    }
    note("the door did not come up");
    return 0;
}

int house_start_door(struct house *h)
{
    char log[400];

    unlink(own.say);
    snprintf(log, sizeof log, "%s/door.log", h->folder);
    h->door = fork();
    if (h->door == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen(log, "a", stderr)) _exit(98);
        execv(own.program, (char *const *)(uintptr_t)own.argv);
        _exit(99);
    }
    return h->door > 0 && read_port(h);
}

int house_door_runs(struct house *h)
{
    if (h->door > 0 && waitpid(h->door, NULL, WNOHANG) == h->door) h->door = 0;
    return h->door > 0;
}

int house_open(struct house *h, const char *folder, const char *whose, const char *const *extra)
{
    struct link_place p = {.endpoint = own.connect, .relayed = 1};
    const char *bin = getenv("ENGRAM_BIN"),
               *argv[] = {own.program, "--for",     whose,     "--listen", own.listen,
                          "--connect", own.connect, "--keys",  own.keys,   "--say",
                          own.say,     "--parent",  own.parent};
    size_t n = sizeof argv / sizeof *argv;
    struct err e = {0};

    snprintf(h->folder, sizeof h->folder, "%s", folder);
    snprintf(own.program, sizeof own.program, "%s/engram-door", bin ? bin : "build");
    snprintf(own.listen, sizeof own.listen, "tcp://127.0.0.1:*");
    snprintf(own.connect, sizeof own.connect, "ipc://%s/run/door.sock", folder);
    snprintf(own.keys, sizeof own.keys, "%s/coordinator.key", folder);
    snprintf(own.say, sizeof own.say, "%s/door", folder);
    snprintf(own.parent, sizeof own.parent, "%d", (int)getpid());
    memcpy(own.argv, argv, sizeof argv);
    for (size_t i = 0; extra && extra[i]; i++) own.argv[n++] = extra[i];
    own.argv[n] = NULL;
    for (int i = 0; i < HOUSE_USERS; i++)
        if (keys_make(&h->user[i], &e)) note("%s", e.text);
    if (keys_make(&h->keys, &e) || keys_write(&h->keys, own.keys, &e) ||
        link_serve(&own.server, &p, &e)) {
        note("%s", e.text);
        return 0;
    }
    return !pthread_create(&own.thread, NULL, serve, h) && house_start_door(h);
}

void house_close(struct house *h)
{
    if (h->door > 0) {
        kill(h->door, SIGKILL);
        waitpid(h->door, NULL, 0);
    }
    __atomic_store_n(&own.over, 1, __ATOMIC_RELEASE);
    pthread_join(own.thread, NULL);
    link_server_close(own.server);
}

long house_memory(pid_t pid, const char *what)
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

/* ---- guests ---- */

struct link *house_link(struct house *h, int i, int timeout_ms)
{
    struct link_options o = {.endpoint = h->endpoint,
                             .server_key = h->keys.public,
                             .keys = h->user[i],
                             .timeout_ms = timeout_ms,
                             .tries = 1};
    struct link *l = NULL;
    struct err e;

    if (link_open(&l, &o, &e)) note("%s", e.text);
    return l;
}

enum code house_ping(struct link *l, struct err *e)
{
    struct message ask = {.kind = MSG_ping, .ping.client = "test"}, answer;
    struct arena a = {0};
    enum code rc = link_call(l, &ask, &a, &answer, e);

    if (!rc && answer.kind != MSG_pong)
        rc = err_set(e, ERR_PROTOCOL, "answer %s", proto_name(answer.kind));
    arena_fini(&a);
    return rc;
}
