#include "bench/coordinator/support/fleet.h"

#include "proto/link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

void die(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *room(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p) die("out of memory");
    return p;
}

/* ---- peers ---- */

static void *peer_open(struct fleet *f, int i, const char *endpoint, int worker)
{
    uint8_t id[1 + HASH_BYTES] = {'W'};
    int linger = 0, high = 100000;
    void *s = zmq_socket(f->context, ZMQ_DEALER);

    if (!s) die("socket %d: %s (more descriptors? ulimit -n)", i, zmq_strerror(errno));
    zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(s, ZMQ_SNDHWM, &high, sizeof high);
    zmq_setsockopt(s, ZMQ_RCVHWM, &high, sizeof high);
    if (worker) {
        if (getrandom(f->nonce[i].v, HASH_BYTES, 0) != HASH_BYTES) die("no random bytes");
        memcpy(id + 1, f->nonce[i].v, HASH_BYTES);
        zmq_setsockopt(s, ZMQ_ROUTING_ID, id, sizeof id);
    }
    if (zmq_connect(s, endpoint)) die("%s: %s", endpoint, zmq_strerror(errno));
    return s;
}

void fleet_open(struct fleet *f, const char *endpoint, int n, int workers)
{
    zmq_pollitem_t *items = room((size_t)n, sizeof *items);

    *f = (struct fleet){.n = n, .context = zmq_ctx_new(), .items = items};
    zmq_ctx_set(f->context, ZMQ_MAX_SOCKETS, n + 16);
    f->socket = room((size_t)n, sizeof *f->socket);
    f->nonce = room((size_t)n, sizeof *f->nonce);
    f->asked = room((size_t)n, sizeof *f->asked);
    for (int i = 0; i < n; i++) {
        f->socket[i] = peer_open(f, i, endpoint, workers);
        items[i] = (zmq_pollitem_t){.socket = f->socket[i], .events = ZMQ_POLLIN};
    }
}

void fleet_close(struct fleet *f)
{
    for (int i = 0; i < f->n; i++) zmq_close(f->socket[i]);
    zmq_ctx_term(f->context);
    free(f->socket);
    free(f->items);
    free(f->nonce);
    free(f->asked);
}

void fleet_say(struct fleet *f, int peer, struct message *m)
{
    struct arena a = {0};
    struct slice bytes;
    struct err e;

    m->id = ++f->asked[peer];
    if (proto_encode(m, &a, &bytes, &e)) die("%s", e.text);
    if (zmq_send(f->socket[peer], bytes.data, bytes.n, 0) < 0) die("send: %s", zmq_strerror(errno));
    arena_fini(&a);
}

static int take(struct fleet *f, int i, struct arena *a, struct message *m)
{
    zmq_msg_t frame;
    struct err e;
    int n;

    zmq_msg_init(&frame);
    n = zmq_msg_recv(&frame, f->socket[i], ZMQ_DONTWAIT);
    if (n >= 0) {
        void *copy = arena_copy(a, zmq_msg_data(&frame), (size_t)n);
        if (!copy || proto_decode(copy, (size_t)n, a, m, &e)) die("answer: %s", e.text);
    }
    zmq_msg_close(&frame);
    return n >= 0;
}

int fleet_hear(struct fleet *f, int timeout_ms, int *peer, struct arena *a, struct message *m)
{
    zmq_pollitem_t *items = f->items;

    for (;;) {
        for (; f->ready > 0 && f->next < f->n; f->next++) {
            if (!(items[f->next].revents & ZMQ_POLLIN)) continue;
            if (take(f, f->next, a, m)) {
                *peer = f->next;
                return 1;
            }
            f->ready--;
        }
        f->next = 0;
        f->ready = zmq_poll(items, f->n, timeout_ms);
        if (f->ready <= 0) return 0;
    }
}

void fleet_ask(struct fleet *f, int peer, struct message *m, struct arena *a,
               struct message *answer)
{
    int who;

    fleet_say(f, peer, m);
    do {
        if (!fleet_hear(f, 60000, &who, a, answer)) die("%s: no answer", proto_name(m->kind));
    } while (who != peer || answer->id != m->id);
}

/* ---- the coordinator ---- */

static const char *program(void)
{
    static char path[4096];
    const char *bin = getenv("ENGRAM_BIN");

    snprintf(path, sizeof path, "%s/engram-coordinator", bin ? bin : "build");
    if (access(path, X_OK)) die("%s is not there: make, or set ENGRAM_BIN", path);
    return path;
}

static void run(const char *home)
{
    char log[300];
    int fd;

    snprintf(log, sizeof log, "%s.log", home);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0) dup2(fd, 2);
    execl(program(), "engram-coordinator", "--home", home, "--no-workers", "--foreground",
          (char *)NULL);
    _exit(127);
}

double office_start(struct office *o, const char *home)
{
    double began = seconds_now();
    struct link_options lo = {.endpoint = o->users, .timeout_ms = 60000, .tries = 1};
    struct message ask = {.kind = MSG_ping, .ping = {.client = "bench"}}, answer;
    struct arena a = {0};
    struct link *l;
    struct err e;

    snprintf(o->home, sizeof o->home, "%s", home);
    snprintf(o->users, sizeof o->users, "ipc://%s/run/engram.sock", o->home);
    snprintf(o->workers, sizeof o->workers, "ipc://%s/run/worker.sock", o->home);
    program();
    if ((o->pid = fork()) == 0) run(o->home);
    while (!link_alive(o->users)) {
        if (waitpid(o->pid, NULL, WNOHANG) > 0) die("the coordinator ended: see %s.log", o->home);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (link_open(&l, &lo, &e) || link_call(l, &ask, &a, &answer, &e)) die("%s", e.text);
    began = seconds_now() - began;
    link_close(l);
    arena_fini(&a);
    return began;
}

void office_stop(struct office *o, int signal)
{
    kill(o->pid, signal);
    waitpid(o->pid, NULL, 0);
    o->pid = 0;
}

size_t office_resident(const struct office *o)
{
    char path[64], line[256];
    size_t kib = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", (int)o->pid);
    if (!(f = fopen(path, "r"))) return 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %zu", &kib) == 1) break;
    fclose(f);
    return kib << 10;
}

double office_busy(const struct office *o)
{
    unsigned long user = 0, kernel = 0;
    char path[64];
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)o->pid);
    if (!(f = fopen(path, "r"))) return 0;
    if (fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) !=
        2)
        user = kernel = 0;
    fclose(f);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}
