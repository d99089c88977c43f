/* Programs one version apart: bytes of version 1, written by hand, on either side of today's link. */
#include "proto/link.h"
#include "tests/tap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <zmq.h>

static struct err e;
static struct arena arena;
static char endpoint[320], path[300];

/* What version 1 says. Its ping has one field, its pong nine; id is a small number here. */
static const uint8_t PING_1[] = {0x94, 1,   1,   9,   0x81, 0xa6, 'c', 'l',
                                 'i',  'e', 'n', 't', 0xa3, 'o',  'l', 'd'};
static const uint8_t PONG_1[] = "\x89\xa7"
                                "version"
                                "\xa5"
                                "0.1.0"
                                "\xa3"
                                "pid"
                                "\x07\xa4"
                                "home"
                                "\xa2"
                                "/h"
                                "\xa6"
                                "now_ms"
                                "\x00\xa6"
                                "queued"
                                "\x01\xa7"
                                "running"
                                "\x02\xa6"
                                "groups"
                                "\x03\xa5"
                                "ranks"
                                "\x04\xa4"
                                "line"
                                "\xa0";
static const uint8_t GO_ON_1[] = "\x81\xa7"
                                 "term_ms"
                                 "\x64";
static const uint8_t REFUSED_1[] = "\x94\x01\x21\x00\x82\xa4"
                                   "code"
                                   "\x0b\xa4"
                                   "line"
                                   "\xb0"
                                   "spoken here is 1";

/* ---- an old coordinator ---- */

static struct {
    void *context, *socket;
    atomic_int heard[8], kind[8]; /* the asker reads them as soon as it is answered */
    int n;
} old;

/* [1, number, id of the ask, fields] */
static void answer_old(const uint8_t *peer, size_t n_peer, const uint8_t *ask, size_t n_id,
                       uint8_t number, const uint8_t *fields, size_t n)
{
    uint8_t out[256] = {0x94, 1, number};

    memcpy(out + 3, ask + 3, n_id);
    memcpy(out + 3 + n_id, fields, n);
    zmq_send(old.socket, peer, n_peer, ZMQ_SNDMORE);
    zmq_send(old.socket, out, 3 + n_id + n, 0);
}

static void serve_old_one(void)
{
    uint8_t peer[64], ask[4096];
    int n_peer = zmq_recv(old.socket, peer, sizeof peer, 0);
    int n = zmq_recv(old.socket, ask, sizeof ask, 0);

    if (n_peer < 0 || n < 5) return;
    old.heard[old.n % 8] = ask[1];
    old.kind[old.n++ % 8] = ask[2];
    /* An id takes one byte, or as many as its head says. */
    size_t n_id = ask[3] < 0x80 ? 1 : 1 + ((size_t)1 << (ask[3] - 0xcc));
    if (ask[1] != 1) {
        zmq_send(old.socket, peer, (size_t)n_peer, ZMQ_SNDMORE);
        zmq_send(old.socket, REFUSED_1, sizeof REFUSED_1 - 1, 0);
    } else if (ask[2] == MSG_ping) {
        answer_old(peer, (size_t)n_peer, ask, n_id, MSG_pong, PONG_1, sizeof PONG_1 - 1);
    } else if (ask[2] == MSG_heartbeat || ask[2] == MSG_worker_hello) {
        answer_old(peer, (size_t)n_peer, ask, n_id, MSG_go_on, GO_ON_1, sizeof GO_ON_1 - 1);
    }
}

static void *serve_old(void *unused)
{
    int wait = 10000;
    zmq_setsockopt(old.socket, ZMQ_RCVTIMEO, &wait, sizeof wait);
    for (int i = 0; i < 5; i++) serve_old_one();
    return unused;
}

static void new_asks_old(void)
{
    struct link_options o = {.endpoint = endpoint, .timeout_ms = 8000, .tries = 1};
    struct message ping = {.kind = MSG_ping, .ping = {"test"}}, r = {0},
                   drain = {.kind = MSG_drain},
                   beat = {.kind = MSG_heartbeat, .heartbeat = {.job = 1, .stage = 4, .epoch = 2}};
    struct link *l;
    pthread_t thread;

    snprintf(path, sizeof path, "%s/old.sock", tap_folder());
    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    old.context = zmq_ctx_new();
    old.socket = zmq_socket(old.context, ZMQ_ROUTER);
    zmq_bind(old.socket, endpoint);
    pthread_create(&thread, NULL, serve_old, NULL);

    if (link_open(&l, &o, &e)) note("%s", e.text);
    is_code(link_call(l, &ping, &arena, &r, &e), OK, &e, "a coordinator of version 1 answers");
    is_int(r.kind, MSG_pong, "what was asked");
    ok(r.version == 1 && r.pong.ranks == 4 && !strcmp(r.pong.home, "/h"), "with what it knows");
    ok(!strcmp(r.pong.user, "") && r.pong.ready == 0, "and what it does not know is empty");
    ok(old.heard[0] == PROTO_VERSION && old.heard[1] == 1,
       "after it was asked in the newest version, then in its own");
    is_code(link_call(l, &ping, &arena, &r, &e), OK, &e, "it is asked again");
    is_int(old.heard[2], 1, "in its own version at once");
    is_code(link_call(l, &drain, &arena, &r, &e), ERR_ENVIRONMENT, NULL,
            "what it cannot know is not asked: %s", e.text);
    link_close(l);

    if (link_open(&l, &o, &e)) note("%s", e.text);
    is_code(link_call(l, &drain, &arena, &r, &e), ERR_ENVIRONMENT, NULL,
            "nor when that is found out only by asking");
    is_code(link_call(l, &beat, &arena, &r, &e), OK, &e, "a worker is understood as well");
    ok(r.kind == MSG_go_on && r.go_on.term_ms == 100, "and understands");
    link_close(l);
    pthread_join(thread, NULL);
    zmq_close(old.socket);
    zmq_ctx_term(old.context);
}

/* ---- an old client ---- */

static void old_asks_new(void)
{
    struct link_place p = {.endpoint = endpoint};
    struct link_server *s;
    struct link_peer from;
    struct message m, pong = {.kind = MSG_pong,
                              .pong = {.version = "0.1.0",
                                       .pid = 7,
                                       .home = "/h",
                                       .queued = 1,
                                       .running = 2,
                                       .groups = 3,
                                       .ranks = 4,
                                       .user = "ann",
                                       .role = ROLE_ADMIN,
                                       .ready = 5}};
    uint8_t got[512], want[512] = {0x94, 1, MSG_pong, 9};
    int ready, wait = 5000;

    snprintf(path, sizeof path, "%s/new.sock", tap_folder());
    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    is_code(link_serve(&s, &p, &e), OK, &e, "a coordinator of today serves");
    void *ctx = zmq_ctx_new(), *z = zmq_socket(ctx, ZMQ_DEALER);
    zmq_setsockopt(z, ZMQ_RCVTIMEO, &wait, sizeof wait);
    zmq_connect(z, endpoint);
    zmq_send(z, PING_1, sizeof PING_1, 0);
    link_server_wait(&s, 1, 5000, &ready, &e);
    is_code(link_server_receive(s, &from, &arena, &m, &e), OK, &e, "it reads version 1");
    ok(m.id == 9 && from.version == 1 && !strcmp(m.ping.client, "old"), "and knows that it is");
    pong.id = m.id;
    is_code(link_server_send(s, &from, &pong, &e), OK, &e, "it answers");
    int n = zmq_recv(z, got, sizeof got, 0);
    memcpy(want + 4, PONG_1, sizeof PONG_1 - 1);
    ok(n == 4 + (int)sizeof PONG_1 - 1 && !memcmp(got, want, (size_t)n),
       "in version 1, to the byte");

    uint8_t future[sizeof PING_1];
    memcpy(future, PING_1, sizeof future);
    future[1] = PROTO_VERSION + 1;
    zmq_send(z, future, sizeof future, 0);
    link_server_wait(&s, 1, 5000, &ready, &e);
    is_code(link_server_receive(s, &from, &arena, &m, &e), ERR_PROTOCOL, NULL,
            "a version of tomorrow is refused: %s", e.text);
    n = zmq_recv(z, got, sizeof got, 0);
    ok(n > 4 && got[1] == PROTO_VERSION && got[2] == MSG_refused && got[3] == 0,
       "in today's, without an id, which it could not read");
    zmq_close(z);
    zmq_ctx_term(ctx);
    link_server_close(s);
}

int main(void)
{
    new_asks_old();
    old_asks_new();
    arena_fini(&arena);
    return done_testing();
}
