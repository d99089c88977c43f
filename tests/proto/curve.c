/* Keys, and the link over TCP with them: a thread serves, the test asks. */
#include "proto/link.h"
#include "tests/tap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <zmq.h>

static struct keys mine, ann, bob;
static struct err e;
static struct arena arena;

/* ---- keys and their files ---- */

static void keys_and_files(void)
{
    char text[KEY_TEXT], hex[HASH_TEXT], path[300], pub[310];
    struct keys again;
    struct hash key;
    struct stat st;

    is_code(keys_make(&ann, &e), OK, &e, "a pair is made");
    is_code(keys_parse(keys_text(ann.public, text), &key, &e), OK, &e, "its text is read");
    ok(hash_equal(key, ann.public), "as the same key");
    is_code(keys_parse(hash_text(ann.public, hex), &key, &e), OK, &e, "so are hex digits");
    text[39] = '~';
    is_code(keys_parse(text, &key, &e), ERR_INPUT, NULL, "a wrong character is refused: %s",
            e.text);
    is_code(keys_parse("####################"
                       "####################",
                       &key, &e),
            ERR_INPUT, NULL, "and digits beyond 32 bits");
    is_code(keys_parse("", &key, &e), ERR_INPUT, NULL, "and nothing");

    snprintf(path, sizeof path, "%s/ann.key", tap_folder());
    snprintf(pub, sizeof pub, "%s.pub", path);
    is_code(keys_write(&ann, path, &e), OK, &e, "a pair is written");
    stat(path, &st);
    is_int(st.st_mode & 0777, 0600, "the secret for its owner only");
    is_code(keys_read(&again, path, &e), OK, &e, "it is read");
    ok(hash_equal(again.public, ann.public) && hash_equal(again.secret, ann.secret),
       "and is the same pair, its public half made from the secret one");
    is_code(keys_parse(pub, &key, &e), OK, &e, "a file may stand where a key is wanted");
    ok(hash_equal(key, ann.public), "and is the public one");
    is_code(keys_write(&ann, path, &e), ERR_EXISTS, NULL, "a key is not written over: %s", e.text);
    chmod(path, 0640);
    is_code(keys_read(&again, path, &e), ERR_DENIED, NULL, "a secret that others can read: %s",
            e.text);
    FILE *f = fopen(pub, "w");
    if (f) fclose(f);
    is_code(keys_parse(pub, &key, &e), ERR_INPUT, NULL, "an empty file is refused: %s", e.text);
}

/* ---- a server in a thread ---- */

static struct {
    pthread_t thread;
    struct guests *guests;
    struct link_server *server;
    char endpoint[256];
    struct hash key;  /* of the latest message */
    uint64_t seen[8]; /* ids of messages */
    int n;
    atomic_int lose_first, add_who_knocks, over;
    pthread_mutex_t lock;
} s = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void serve_one(void)
{
    struct arena a = {0};
    struct link_peer from;
    struct message m, pong = {.kind = MSG_pong, .pong = {.pid = 7}};
    struct err err;
    enum code rc = link_server_receive(s.server, &from, &a, &m, &err);

    if (rc == OK) {
        pthread_mutex_lock(&s.lock);
        s.key = from.key;
        s.seen[s.n++ % 8] = m.id;
        pthread_mutex_unlock(&s.lock);
        pong.id = m.id;
        if (s.lose_first) { /* dies with the request in its hands, and comes back at the same place */
            struct link_place p = {.endpoint = s.endpoint, .keys = &mine, .guests = s.guests};
            s.lose_first = 0;
            link_server_close(s.server);
            for (int i = 0; i < 100 && link_serve(&s.server, &p, &err); i++) usleep(20000);
        } else {
            link_server_send(s.server, &from, &pong, NULL);
        }
    }
    arena_fini(&a);
}

static void *serve(void *unused)
{
    int ready;

    while (!s.over) {
        if (s.add_who_knocks && guests_knocked(s.guests)) {
            usleep(300000); /* a list takes a while */
            guests_set(s.guests, (struct hash[]){ann.public, bob.public}, 2, NULL);
        }
        link_server_wait(&s.server, 1, 50, &ready, NULL);
        if (ready) serve_one();
    }
    return unused;
}

static enum code start(void)
{
    struct link_place p = {
        .endpoint = "tcp://127.0.0.1:*", .keys = &mine, .guests = s.guests = guests_make()};
    enum code rc = link_serve(&s.server, &p, &e);

    if (rc) return rc;
    snprintf(s.endpoint, sizeof s.endpoint, "%s", link_server_endpoint(s.server));
    guests_set(s.guests, &ann.public, 1, NULL);
    return pthread_create(&s.thread, NULL, serve, NULL) ? ERR_NOMEM : OK;
}

static struct hash latest_key(void)
{
    pthread_mutex_lock(&s.lock);
    struct hash key = s.key;
    pthread_mutex_unlock(&s.lock);
    return key;
}

static int heard(void)
{
    pthread_mutex_lock(&s.lock);
    int n = s.n;
    pthread_mutex_unlock(&s.lock);
    return n;
}

static enum code ping(struct link *l)
{
    struct message m = {.kind = MSG_ping, .ping = {"test"}}, r;
    enum code rc = link_call(l, &m, &arena, &r, &e);
    return rc ? rc : r.kind == MSG_pong ? OK : ERR_PROTOCOL;
}

static struct link *open_as(const struct keys *k, struct hash server, int timeout_ms)
{
    struct link_options o = {.endpoint = s.endpoint,
                             .keys = *k,
                             .server_key = server,
                             .timeout_ms = timeout_ms,
                             .tries = 1};
    struct link *l;
    if (link_open(&l, &o, &e)) note("%s", e.text);
    return l;
}

/* Larger than one frame may be, as large as a message may be, and larger. */
static void large(struct link *l)
{
    static uint8_t bytes[PROTO_REQUEST];
    static const size_t size[] = {100, (16 << 10) - 60, 16 << 10, 100000, PROTO_REQUEST};
    struct request_row row[4];
    struct message m = {.kind = MSG_submit_many, .submit_many.rows = {1, row}}, r;

    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        row[0].request = (struct slice){bytes, size[i]};
        is_code(link_call(l, &m, &arena, &r, &e), OK, &e, "a request of %zu bytes arrives",
                size[i]);
    }
    for (int i = 0; i < 4; i++) row[i].request = (struct slice){bytes, PROTO_REQUEST - 100};
    m.submit_many.rows.n = 4;
    is_code(link_call(l, &m, &arena, &r, &e), OK, &e, "so does one of 4 MiB");
}

static void who_comes_in(void)
{
    struct link *l = open_as(&ann, mine.public, 5000), *other;

    is_code(ping(l), OK, &e, "a key on the list is let in and answered");
    ok(hash_equal(latest_key(), ann.public), "and its messages carry it");

    other = open_as(&bob, mine.public, 5000);
    is_code(ping(other), ERR_DENIED, NULL, "one that is not is told so: %s", e.text);
    char text[KEY_TEXT];
    ok(strstr(e.text, keys_text(bob.public, text)) != NULL, "with the key that is to be added");
    link_close(other);

    s.add_who_knocks = 1;
    other = open_as(&bob, mine.public, 5000);
    is_code(ping(other), OK, &e, "a key that is added while it knocks comes in");
    link_close(other);
    s.add_who_knocks = 0;

    guests_set(s.guests, NULL, 0, NULL);
    is_code(ping(l), OK, &e, "a key that was struck from the list still speaks where it was in");
    ok(hash_equal(latest_key(), ann.public), "but under its name, so that it need not be heard");
    large(l);
    link_close(l);
    l = open_as(&ann, mine.public, 5000);
    is_code(ping(l), ERR_DENIED, NULL, "and does not come in again");
    link_close(l);
    guests_set(s.guests, &ann.public, 1, NULL);

    l = open_as(&ann, bob.public, 700);
    is_code(ping(l), ERR_ENVIRONMENT, NULL, "a wrong server key: %s", e.text);
    ok(strstr(e.text, "server key") != NULL, "is named as such");
    link_close(l);
    struct link_options bare = {.endpoint = s.endpoint};
    is_code(link_open(&l, &bare, &e), ERR_USAGE, NULL, "TCP without keys is refused: %s", e.text);
    bare = (struct link_options){.endpoint = "tcp://127.0.0.1:9",
                                 .keys = ann,
                                 .server_key = mine.public,
                                 .timeout_ms = 300,
                                 .tries = 1};
    if (link_open(&l, &bare, &e)) note("%s", e.text);
    is_code(ping(l), ERR_ENVIRONMENT, NULL, "nobody there: %s", e.text);
    link_close(l);
}

static void without_curve(void)
{
    void *ctx = zmq_ctx_new(), *z = zmq_socket(ctx, ZMQ_DEALER);
    int zero = 0, wait = 500, before = heard();
    char buf[16];

    zmq_setsockopt(z, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(z, ZMQ_RCVTIMEO, &wait, sizeof wait);
    zmq_connect(z, s.endpoint);
    zmq_send(z, "hello", 5, ZMQ_DONTWAIT);
    is_int(zmq_recv(z, buf, sizeof buf, 0), -1, "who speaks without CURVE hears nothing");
    is_int(heard(), before, "and is not heard");
    zmq_close(z);
    zmq_ctx_term(ctx);
}

/* Whoever comes before the server knows anybody is not sent away for good. */
static void too_early(void)
{
    struct guests *g = guests_make();
    struct link_place p = {.endpoint = "tcp://127.0.0.1:*", .keys = &mine, .guests = g};
    struct link_options o = {.keys = ann, .server_key = mine.public, .timeout_ms = 20000};
    struct message m = {.kind = MSG_ping, .ping = {"test"}}, r, pong = {.kind = MSG_pong};
    struct link_server *early;
    struct link_peer from;
    struct link *l;
    int ready = 0;
    enum code rc = ERR_AGAIN;

    if (link_serve(&early, &p, &e)) note("%s", e.text);
    o.endpoint = link_server_endpoint(early);
    if (link_open(&l, &o, &e)) note("%s", e.text);
    is_code(link_hear(l, 500, &arena, &r, &e), ERR_AGAIN, NULL, "before there is a list");
    guests_set(g, &ann.public, 1, NULL);
    for (int i = 0; i < 200 && rc == ERR_AGAIN; i++) {
        rc = link_tell(l, &m, &e);
        if (rc == ERR_AGAIN) link_hear(l, 50, &arena, &r, &e);
    }
    is_code(rc, OK, &e, "nobody is refused: who came too early is let in when there is one");
    link_server_wait(&early, 1, 10000, &ready, &e);
    is_code(link_server_receive(early, &from, &arena, &m, &e), OK, &e, "and heard");
    pong.id = m.id;
    link_server_send(early, &from, &pong, NULL);
    is_code(link_hear(l, 10000, &arena, &r, &e), OK, &e, "and answered");
    link_close(l);
    link_server_close(early);
    guests_free(g);
}

static void six(void)
{
    struct guests *g = guests_make();
    struct link_place p = {.endpoint = "tcp://[::1]:*", .keys = &mine, .guests = g};
    struct link_options o = {.keys = ann, .server_key = mine.public, .timeout_ms = 10000};
    struct message m = {.kind = MSG_ping, .ping = {"test"}};
    struct link_server *there;
    struct link_peer from;
    struct link *l;
    int ready = 0;
    enum code rc = ERR_AGAIN;

    guests_set(g, &ann.public, 1, NULL);
    if (link_serve(&there, &p, &e)) {
        skip("no IPv6 here", "an IPv6 address is served");
    } else {
        o.endpoint = link_server_endpoint(there);
        if (link_open(&l, &o, &e)) note("%s", e.text);
        for (int i = 0; i < 200 && rc == ERR_AGAIN; i++)
            if ((rc = link_tell(l, &m, &e)) == ERR_AGAIN) usleep(20000);
        link_server_wait(&there, 1, 10000, &ready, &e);
        is_code(link_server_receive(there, &from, &arena, &m, &e), OK, &e,
                "an IPv6 address is served: %s", o.endpoint);
        link_close(l);
        link_server_close(there);
    }
    guests_free(g);
}

static void lost_connection(void)
{
    struct link *l = open_as(&ann, mine.public, 20000);
    int before = heard();

    s.lose_first = 1;
    is_code(ping(l), OK, &e, "a request whose server died with it is said again to the next one");
    ok(heard() == before + 2 && s.seen[before % 8] == s.seen[(before + 1) % 8],
       "as the same request");
    link_close(l);
}

/* ---- a door's relay ---- */

static void relay(void)
{
    char endpoint[320];
    struct link_place p = {.endpoint = endpoint, .relayed = 1};
    struct link_server *far, *near;
    struct link_peer guest = {.id = "\0abc", .n = 4, .key = ann.public}, from, back;
    struct message m = {.kind = MSG_ping, .id = 5, .ping = {"door"}}, got;
    struct slice bytes;
    int ready = 0;

    snprintf(endpoint, sizeof endpoint, "ipc://%s/relay/door.sock", tap_folder());
    is_code(link_serve(&far, &p, &e), OK, &e, "a place for a door is served");
    is_code(link_relay(&near, endpoint, &e), OK, &e, "a door connects");
    for (int i = 0; i < 100 && (i == 0 || e.code == ERR_AGAIN); i++) {
        e.code = OK;
        if (link_server_send(near, &guest, &m, &e)) usleep(10000);
    }
    link_server_wait(&far, 1, 3000, &ready, &e);
    is_code(link_server_receive(far, &from, &arena, &got, &e), OK, &e, "what it passes on arrives");
    ok(hash_equal(from.key, ann.public) && from.n == 4 && !memcmp(from.id, guest.id, 4),
       "under the name of its guest");
    m = (struct message){.kind = MSG_pong, .id = got.id};
    is_code(link_server_send(far, &from, &m, &e), OK, &e, "it is answered");
    link_server_wait(&near, 1, 3000, &ready, &e);
    is_code(link_server_take(near, &back, &arena, &bytes, &e), OK, &e, "the answer comes back");
    ok(back.n == 4 && !memcmp(back.id, guest.id, 4), "for the same guest");
    is_code(proto_decode(bytes.data, bytes.n, &arena, &got, &e), OK, &e, "whole");
    link_server_close(near);
    is_code(link_relay(&near, "tcp://127.0.0.1:1", &e), ERR_USAGE, NULL,
            "a door does not relay over the network: %s", e.text);
    link_server_close(far);
}

int main(void)
{
    keys_and_files();
    if (keys_make(&mine, &e) || keys_make(&bob, &e) || start()) {
        ok(0, "a server with keys starts: %s", e.text);
        return done_testing();
    }
    who_comes_in();
    without_curve();
    too_early();
    six();
    lost_connection();
    s.over = 1;
    pthread_join(s.thread, NULL);
    link_server_close(s.server);
    guests_free(s.guests);
    relay();
    arena_fini(&arena);
    return done_testing();
}
