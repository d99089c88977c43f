/* The link over real ipc sockets: a child serves (or misbehaves), the parent asks. */
#include "proto/link.h"
#include "tests/tap.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zmq.h>

static char endpoint[320], path[300];

static void place(const char *name)
{
    snprintf(path, sizeof path, "%s/%s/s", tap_folder(), name);
    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
}

/* How the child answers. */
enum manner { PONG, SILENT_TWICE, REFUSE, AGAIN_TWICE, LATE_FIRST, WHO_FIRST, WHO_FOR_EVER };

static void answer(struct link_server *s, const struct link_peer *to, uint64_t id, struct message m)
{
    m.id = id;
    link_server_send(s, to, &m, NULL);
}

static void answer_by(enum manner how, int turn, int *introduced, struct link_server *s,
                      const struct link_peer *from, const struct message *m)
{
    struct message pong = {.kind = MSG_pong, .pong = {.pid = (uint64_t)turn}};
    struct message who = {.kind = MSG_who};
    struct message no = {.kind = MSG_refused, .refused = {ERR_FULL, "disk full"}};
    struct message later = {.kind = MSG_refused, .refused = {ERR_AGAIN, "busy"}};
    struct message go_on = {.kind = MSG_go_on, .go_on = {1000}};

    if (m->kind == MSG_worker_hello) *introduced = 1;
    if (m->kind == MSG_worker_hello) answer(s, from, m->id, go_on);
    else if (how == SILENT_TWICE && turn < 2) return;
    else if (how == REFUSE) answer(s, from, m->id, no);
    else if (how == AGAIN_TWICE && turn < 2) answer(s, from, m->id, later);
    else if (how == WHO_FOR_EVER || (how == WHO_FIRST && !*introduced)) answer(s, from, m->id, who);
    else answer(s, from, how == LATE_FIRST && turn == 0 ? m->id - 1 : m->id, pong);
}

static _Noreturn void serve(enum manner how)
{
    struct link_server *s;
    struct arena a = {0};
    struct link_peer from;
    struct message m;
    int ready, turn = 0, introduced = 0;
    struct err e;

    if (link_serve(&s, &(struct link_place){.endpoint = endpoint}, &e)) {
        fprintf(stderr, "# %s\n", e.text);
        _exit(9);
    }
    for (;;) {
        link_server_wait(&s, 1, 10000, &ready, &e);
        struct arena_mark mark = arena_mark(&a);
        enum code rc = link_server_receive(s, &from, &a, &m, &e);
        if (rc == OK && m.kind == MSG_stop) break;
        if (rc == OK) answer_by(how, turn++, &introduced, s, &from, &m);
        arena_reset(&a, mark);
    }
    arena_fini(&a);
    link_server_close(s);
    _exit(0);
}

static pid_t start(enum manner how)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that dies leaves nobody behind */
        serve(how);
    }
    for (int i = 0; i < 500 && access(path, F_OK); i++) usleep(10000);
    return pid;
}

static void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static enum code ask(const struct link_options *o, struct message *reply, struct err *e)
{
    static struct arena a;
    struct message ping = {.kind = MSG_ping, .ping = {"test"}};
    struct link *l;
    enum code rc = link_open(&l, o, e);
    if (rc == OK) rc = link_call(l, &ping, &a, reply, e);
    if (rc == OK && reply->kind != MSG_pong)
        rc = err_set(e, ERR_PROTOCOL, "answer %s", proto_name(reply->kind));
    link_close(l);
    arena_fini(&a);
    return rc;
}

static void asking(void)
{
    struct message r;
    struct err e;
    struct link_options o = {.endpoint = endpoint, .timeout_ms = 200, .tries = 12};
    struct msg_worker_hello hello = {
        .name = "group-1", .nonce = hash_bytes("n", 1), .ranks = 2, .host = "h"};
    struct link_options worker = {
        .endpoint = endpoint, .timeout_ms = 5000, .tries = 2, .hello = &hello};

    place("none");
    is_code(ask(&o, &r, &e), ERR_ENVIRONMENT, NULL, "nobody there is told at once");
    ok(strstr(e.text, "engram up") != NULL, "with the way out: %s", e.text);

    struct {
        const char *name;
        enum manner how;
        const struct link_options *o;
        enum code want;
        const char *says;
    } cases[] = {
        {"pong", PONG, &o, OK, "a question is answered"},
        {"silent", SILENT_TWICE, &o, OK, "a question that was lost twice is answered"},
        {"refuse", REFUSE, &o, ERR_FULL, "a refusal comes back as its code"},
        {"again", AGAIN_TWICE, &o, OK, "who has too much to do is asked again"},
        {"late", LATE_FIRST, &o, OK, "an answer to another question is dropped"},
        {"who", WHO_FIRST, &worker, OK,
         "a worker introduces itself when asked, and its question is answered"},
        {"loop", WHO_FOR_EVER, &worker, ERR_PROTOCOL,
         "a coordinator that keeps asking who is given up"},
        {"user", WHO_FOR_EVER, &o, ERR_PROTOCOL, "a user has no hello to say"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        place(cases[i].name);
        pid_t pid = start(cases[i].how);
        is_code(ask(cases[i].o, &r, &e), cases[i].want, &e, "%s", cases[i].says);
        stop(pid);
    }
}

/* A raw peer that says what no link would say. */
static void raw_frames(const char *const *frames, int n)
{
    void *ctx = zmq_ctx_new(), *s = zmq_socket(ctx, ZMQ_DEALER);
    int zero = 0, wait = 3000, more = 0;
    char reply[4096];

    zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(s, ZMQ_RCVTIMEO, &wait, sizeof wait);
    zmq_connect(s, endpoint);
    for (int i = 0; i < n; i++)
        zmq_send(s, frames[i], strlen(frames[i]), i + 1 < n ? ZMQ_SNDMORE : 0);
    int got = zmq_recv(s, reply, sizeof reply, 0);
    size_t size = sizeof more;
    zmq_getsockopt(s, ZMQ_RCVMORE, &more, &size);

    struct arena a = {0};
    struct message m;
    int told = got > 0 && !more && proto_decode(reply, (size_t)got, &a, &m, NULL) == OK &&
               m.kind == MSG_refused;
    ok(told, "%d foreign frame%s: refused with a line: %s", n, n == 1 ? "" : "s",
       told ? m.refused.line : "(nothing)");
    arena_fini(&a);
    zmq_close(s);
    zmq_ctx_term(ctx);
}

static void hostile_frames(void)
{
    struct link_options o = {.endpoint = endpoint, .timeout_ms = 2000, .tries = 1};
    const char *frames[] = {"garbage", "b", "c", "d"};
    struct message r;
    struct err e;

    place("raw");
    pid_t pid = start(PONG);
    raw_frames(frames, 1);
    raw_frames(frames, 4);
    is_code(ask(&o, &r, &e), OK, &e, "and others are served as before");
    stop(pid);
}

static void places(void)
{
    struct link_server *s, *other;
    struct stat st;
    struct err e;
    char deep[400];

    place("place");
    pid_t pid = start(PONG);
    struct link_place here = {.endpoint = endpoint}, far = {.endpoint = "tcp://127.0.0.1:1"},
                      under = {.endpoint = deep};
    is_code(link_serve(&other, &here, &e), ERR_EXISTS, NULL,
            "a socket somebody answers at is refused");
    ok(strstr(e.text, path) != NULL, "by its path: %s", e.text);
    stop(pid);
    is_int(access(path, F_OK), 0, "a killed server leaves its socket");
    is_code(link_serve(&s, &here, &e), OK, &e, "which the next one replaces");
    stat(path, &st);
    is_int(st.st_mode & 0777, 0600, "the socket is for its owner only");
    *strrchr(path, '/') = '\0';
    stat(path, &st);
    is_int(st.st_mode & 0777, 0700, "and so is its folder");
    link_server_close(s);
    place("place");
    ok(access(path, F_OK) != 0, "a server that ends removes it");

    snprintf(deep, sizeof deep, "ipc:///%0150d", 0);
    is_code(link_serve(&s, &under, &e), ERR_USAGE, NULL,
            "a path beyond the system's limit is refused: %s", e.text);
    is_code(link_serve(&s, &far, &e), ERR_USAGE, NULL, "and TCP without keys: %s", e.text);
    FILE *f = fopen(path, "w");
    if (f) fclose(f);
    is_code(link_serve(&s, &here, &e), ERR_EXISTS, NULL,
            "and a file that is in the way, which stays");
    is_int(access(path, F_OK), 0, "as it was");
}

static void tell_and_hear(void)
{
    struct link_options o = {.endpoint = endpoint};
    struct message beat = {.kind = MSG_heartbeat,
                           .heartbeat = {.job = 1, .stage = STAGE_TRAIN, .epoch = 1}},
                   r;
    struct arena a = {0};
    struct link *l;
    struct err e;
    enum code rc = ERR_AGAIN;

    place("tell");
    is_code(link_open(&l, &o, &e), OK, &e, "a link opens before anybody is there");
    is_code(link_tell(l, &beat, &e), ERR_AGAIN, &e, "telling nobody does not wait");
    is_code(link_hear(l, 0, &a, &r, &e), ERR_AGAIN, &e, "nor does hearing nobody");
    pid_t pid = start(PONG);
    for (int i = 0; i < 100 && rc == ERR_AGAIN; i++) {
        rc = link_tell(l, &beat, &e);
        if (rc == ERR_AGAIN) usleep(20000);
    }
    is_code(rc, OK, &e, "a coordinator that comes later is told");
    is_code(link_hear(l, 2000, &a, &r, &e), OK, &e, "and heard");
    link_close(l);
    arena_fini(&a);
    stop(pid);
}

int main(void)
{
    asking();
    hostile_frames();
    places();
    tell_and_hear();
    return done_testing();
}
