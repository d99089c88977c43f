/* What a network does to a coordinator: strangers, a user who turned bad, workers who lie. After each attack honest people are
 * answered, nothing wrong is known, and the coordinator has not grown.
 * timeout: 240 */
#include "tests/door/support/attacks.h"
#include "tests/door/support/engram.h"
#include "tests/door/support/zmtp.h"
#include "tests/tap.h"

#include "proto/link.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

enum { MOST_GROWTH_KB = 16 << 10, CONNECTIONS = 3000 };

static struct engram g;
static struct link *ann;
static long at_first;

static struct message lineage(const char *name)
{
    return (struct message){.kind = MSG_lineage_create,
                            .lineage_create = {.key = hash_bytes(name, strlen(name)),
                                               .name = name,
                                               .base_path = "/models/base",
                                               .base_hash = hash_bytes("base", 4)}};
}

/* Of a photo that everybody here sends before. */
static const char PHOTO[] = "a photo";

static struct message learn(const char *in, const char *token, const char *class_word)
{
    static struct hash image;

    image = hash_bytes(PHOTO, sizeof PHOTO - 1);
    return (struct message){.kind = MSG_learn,
                            .learn = {.key = hash_bytes(token, strlen(token)),
                                      .lineage = in,
                                      .token = token,
                                      .class_word = class_word,
                                      .kind = CONCEPT_ANIMAL,
                                      .images = {1, &image},
                                      .settings = "{}"}};
}

static struct message ping(struct link *l)
{
    return engram_ask(l, (struct message){.kind = MSG_ping, .ping.client = "test"});
}

/* Ann is answered, also when her connection has to be made again; a newcomer too; the coordinator is as it was. */
static void all_is_well(const char *after)
{
    struct link *bob = engram_link(&g, BOB, NULL, 20000);
    struct message r = ping(ann);

    ok(r.kind == MSG_pong && !strcmp(r.pong.user, "ann"), "%s: who was in is answered%s%s", after,
       r.kind == MSG_refused ? ": " : "", r.kind == MSG_refused ? r.refused.line : "");
    r = ping(bob);
    ok(r.kind == MSG_pong && !strcmp(r.pong.user, "bob"), "%s: who comes now is answered%s%s",
       after, r.kind == MSG_refused ? ": " : "", r.kind == MSG_refused ? r.refused.line : "");
    link_close(bob);
    long grown = engram_memory(g.coordinator, "VmHWM") - at_first;
    if (KEEPS_FREED)
        skip("a sanitizer keeps what was freed", "%s: the coordinator has not grown", after);
    else
        ok(grown < MOST_GROWTH_KB, "%s: the coordinator has grown by %ld kB at most", after, grown);
}

/* ---- strangers ---- */

static void strangers(void)
{
    int port = engram_port(g.users_at), *fd = calloc(CONNECTIONS, sizeof *fd);

    attack_null_flood(port, 64 << 20);
    all_is_well("a message without end and without keys");
    attack_frames(port, 40, 4000000, 3 << 20);
    all_is_well("forty frames of 4 MB before any key");
    attack_frames(port, 1500, 16000, 15900);
    all_is_well("many frames as large as may be");
    attack_random(port, 200, tap_seed(7));
    all_is_well("random bytes");
    int n = fd ? attack_connections(port, CONNECTIONS, 0, fd) : 0;
    all_is_well("thousands who say nothing");
    attack_hang_up(fd, n);
    n = fd ? attack_connections(port, CONNECTIONS, 1, fd) : 0;
    all_is_well("thousands who only greet");
    ok(n == CONNECTIONS, "%d of them", n);
    attack_hang_up(fd, n);
    free(fd);
    attack_frames(engram_port(g.workers_at), 1500, 16000, 15900);
    all_is_well("the workers' door, too");
}

/* ---- with a key ---- */

static void unfinished(void)
{
    size_t sent =
        attack_unfinished(engram_port(g.users_at), g.server_key, &g.keys[MAL], 16000, 400u << 20);

    ok(sent > 50u << 20, "a user sends %zu MB of one message", sent >> 20);
    all_is_well("a message without end, with a key");
}

static void a_door_dies(void)
{
    pid_t door = engram_door(&g, "users"), next = 0;

    ok(door > 0, "there is a door");
    kill(door, SIGKILL);
    all_is_well("the door was killed");
    next = engram_door(&g, "users");
    ok(next > 0 && next != door, "another one is there");
}

static void flood(void)
{
    struct link *mal = engram_link(&g, MAL, NULL, 5000);
    struct message m = {.kind = MSG_queue, .queue = {.owner = "*"}}, r;
    static struct arena a;
    struct err e;

    if (ping(mal).kind != MSG_pong) note("mal is not answered");
    for (int i = 0; i < 20000; i++)
        if (link_tell(mal, &m, &e)) usleep(100);
    all_is_well("twenty thousand questions at once");
    link_hear(mal, 100, &a, &r, &e);
    arena_fini(&a);
    link_close(mal);
}

/* The largest messages that there are. */
static void large(void)
{
    struct link *mal = engram_link(&g, MAL, NULL, 8000);
    static struct request_row rows[3];
    static uint8_t bytes[PROTO_REQUEST];
    struct message m = {.kind = MSG_submit_many, .submit_many.rows = {3, rows}}, r = {0};
    int told = 0;

    for (int i = 0; i < 3; i++) rows[i].request = (struct slice){bytes, sizeof bytes};
    for (int i = 0; i < 8; i++) {
        r = engram_ask(mal, m);
        told += r.kind == MSG_accepted_many || r.kind == MSG_refused;
    }
    ok(told == 8, "3 MB of nonsense are answered with `%s`", proto_name(r.kind));
    link_close(mal);
    all_is_well("large requests");
}

/* ---- replays ---- */

static void *run_tap(void *t)
{
    attack_tap_run(t);
    return NULL;
}

static void replay(void)
{
    struct tap_wire t;
    struct engram through = g;
    pthread_t thread;

    if (!ok(attack_tap_open(&t, engram_port(g.users_at)), "somebody listens on the wire")) return;
    snprintf(through.users_at, sizeof through.users_at, "tcp://127.0.0.1:%d", t.port);
    pthread_create(&thread, NULL, run_tap, &t);
    struct link *bob = engram_link(&through, BOB, NULL, 10000);
    ok(engram_ask(bob, lineage("bobs")).kind == MSG_done, "bob makes a lineage");
    engram_send(bob, PHOTO);
    struct message r = engram_ask(bob, learn("bobs", "<b>", "dog"));
    ok(r.kind == MSG_accepted, "and submits%s%s", r.kind == MSG_refused ? ": " : "",
       r.kind == MSG_refused ? r.refused.line : "");
    uint64_t job = r.kind == MSG_accepted ? r.accepted.job : 0;
    link_close(bob);
    pthread_join(thread, NULL);

    ok(t.n > 64 + 200, "his %zu bytes were recorded", t.n);
    for (int i = 0; i < 5; i++) {
        uint8_t in[64];
        int fd = zmtp_connect(t.to);
        zmtp_send(fd, t.said, t.n);
        zmtp_receive(fd, in, sizeof in); /* its greeting; then it hangs up */
        close(fd);
    }
    r = engram_ask(g.local, (struct message){.kind = MSG_queue, .queue = {.owner = "*"}});
    ok(r.kind == MSG_jobs && r.jobs.total == 1, "said again they do nothing: %d job",
       r.kind == MSG_jobs ? (int)r.jobs.total : -1);
    bob = engram_link(&g, BOB, NULL, 10000);
    r = engram_ask(bob, learn("bobs", "<b>", "dog"));
    ok(r.kind == MSG_accepted && r.accepted.job == job,
       "said again by bob himself it is the same job");
    struct link *mal = engram_link(&g, MAL, NULL, 10000);
    engram_send(mal, PHOTO);
    r = engram_ask(mal, learn("bobs", "<b>", "dog"));
    ok(r.kind == MSG_refused, "said by somebody else it is refused: %s",
       r.kind == MSG_refused ? r.refused.line : "");
    link_close(bob);
    link_close(mal);
    attack_tap_close(&t);
    all_is_well("replays");
}

/* ---- workers who lie ---- */

static struct msg_worker_hello hello(const char *name)
{
    return (struct msg_worker_hello){.name = name,
                                     .nonce = hash_bytes(name, strlen(name)),
                                     .ranks = 1,
                                     .host = "h",
                                     .device = "cpu"};
}

static struct message result(const struct msg_stage *s, uint64_t epoch)
{
    static struct hash out;

    out = hash_bytes("a commit", 8);
    return (struct message){.kind = MSG_result,
                            .result = {.job = s->job,
                                       .stage = s->stage,
                                       .epoch = epoch,
                                       .report = "{}",
                                       .outputs = {1, &out}}};
}

static void forged_epochs(void)
{
    struct msg_worker_hello ha = hello("group-a"), hb = hello("group-b");
    struct link *a = engram_link(&g, WORKER_A, &ha, 10000),
                *b = engram_link(&g, WORKER_B, &hb, 10000), *twin;
    struct message r = engram_ask(a, (struct message){.kind = MSG_ready});
    struct msg_stage s = r.stage;

    if (!ok(r.kind == MSG_stage, "a worker group gets bob's stage over TCP%s%s",
            r.kind == MSG_refused ? ": " : "", r.kind == MSG_refused ? r.refused.line : ""))
        return;
    for (uint64_t epoch = s.epoch; epoch < s.epoch + 3; epoch++) {
        r = engram_ask(b, result(&s, epoch));
        ok(r.kind == MSG_give_up || r.kind == MSG_refused,
           "a result of another group under epoch %d is not heard", (int)epoch);
    }
    r = engram_ask(
        b, (struct message){.kind = MSG_heartbeat,
                            .heartbeat = {.job = s.job, .stage = s.stage, .epoch = s.epoch}});
    ok(r.kind == MSG_give_up || r.kind == MSG_refused, "nor is its heartbeat");
    link_close(a);
    twin = engram_link(&g, WORKER_B, &ha, 10000);
    r = engram_ask(twin, result(&s, s.epoch));
    ok(r.kind == MSG_refused && r.refused.code == ERR_DENIED,
       "nor one with the group's own nonce and another key: %s",
       r.kind == MSG_refused ? r.refused.line : proto_name(r.kind));
    link_close(twin);
    a = engram_link(&g, WORKER_A, &ha, 10000);
    for (int i = 0; i < 3; i++) {
        r = engram_ask(a, result(&s, i == 0 ? 0 : s.epoch + (uint64_t)i * 1000));
        ok(r.kind == MSG_give_up || r.kind == MSG_refused,
           "an epoch of the group's own invention is refused");
    }
    r = engram_ask(g.local, (struct message){.kind = MSG_log, .log.lineage = "bobs"});
    ok(r.kind == MSG_commits && r.commits.total == 0, "nothing was committed");
    r = engram_ask(a, result(&s, s.epoch));
    ok(r.kind == MSG_done, "the true one counts (%s)%s%s", proto_name(r.kind),
       r.kind == MSG_refused   ? ": "
       : r.kind == MSG_give_up ? r.give_up.why
                               : "",
       r.kind == MSG_refused ? r.refused.line : "");
    r = engram_ask(g.local, (struct message){.kind = MSG_log, .log.lineage = "bobs"});
    ok(r.kind == MSG_commits && r.commits.total == 1, "once");
    link_close(a);
    link_close(b);

    struct link *ann_as_worker;
    struct engram wrong = g;
    snprintf(wrong.workers_at, sizeof wrong.workers_at, "%s", g.workers_at);
    wrong.keys[WORKER_A] = g.keys[MAL];
    ann_as_worker = engram_link(&wrong, WORKER_A, &ha, 10000);
    r = engram_ask(ann_as_worker, (struct message){.kind = MSG_ready});
    ok(r.kind == MSG_refused && r.refused.code == ERR_DENIED,
       "a user's key does not open the workers' door");
    link_close(ann_as_worker);
    all_is_well("forged epochs");
}

/* ---- names ---- */

static void names(void)
{
    static const char *const bad[] = {"../../etc/passwd",
                                      "..",
                                      ".",
                                      "/etc/passwd",
                                      "a/b",
                                      "a\\b",
                                      "%00",
                                      "a%2f..%2fb",
                                      "pets\n",
                                      "-rf",
                                      "~ann",
                                      "p\xd0\xb5ts" /* a Cyrillic e */,
                                      "pets\xe2\x80\xae",
                                      "",
                                      " ",
                                      "a b",
                                      "$(id)",
                                      "'; DROP TABLE jobs; --"};
    char longest[PROTO_NAME + 1];
    struct message r;
    int refused = 0;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        r = engram_ask(ann, lineage(bad[i]));
        refused += r.kind == MSG_refused && r.refused.code == ERR_INPUT;
        if (r.kind != MSG_refused) note("a lineage `%s` was made", bad[i]);
    }
    is_int(refused, (long long)(sizeof bad / sizeof *bad),
           "names that are paths, options or look like others are refused");
    memset(longest, 'x', PROTO_NAME);
    longest[PROTO_NAME] = '\0';
    ok(engram_ask(ann, lineage(longest)).kind == MSG_done, "the longest name is fine");
    ok(engram_ask(ann, lineage("pets")).kind == MSG_done, "so is a plain one");

    static const char *const tokens[] = {"../x", "<../../x>", "%00", "<a\nb>", "<a\x01>", "", "<>"};
    engram_send(ann, PHOTO);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        r = engram_ask(ann, learn("pets", tokens[i], "dog"));
        if (r.kind == MSG_accepted) {
            /* What a token may be is the tokenizer's affair; no path is ever made of it. */
            note("token `%s` is accepted", tokens[i]);
            engram_ask(ann, (struct message){.kind = MSG_cancel, .cancel.job = r.accepted.job});
        }
    }
    r = engram_ask(
        ann, (struct message){
                 .kind = MSG_user_set,
                 .user_set.rows = {1, &(struct user_row){.name = "root", .role = ROLE_ADMIN}}});
    ok(r.kind == MSG_refused && r.refused.code == ERR_DENIED, "a user does not make an admin: %s",
       r.kind == MSG_refused ? r.refused.line : "");
    r = engram_ask(
        g.local, (struct message){
                     .kind = MSG_user_set,
                     .user_set.rows = {1, &(struct user_row){.name = "../x", .role = ROLE_USER}}});
    ok(r.kind == MSG_refused && r.refused.code == ERR_INPUT, "and nobody is called ../x: %s",
       r.kind == MSG_refused ? r.refused.line : "");
    all_is_well("odd names");
}

/* ---- a key is taken away ---- */

static void revoked(void)
{
    struct link *mal = engram_link(&g, MAL, NULL, 10000);
    struct user_row row = {
        .name = "mal", .role = ROLE_USER, .key = g.keys[MAL].public, .revoked = 1};
    struct message r = ping(mal);

    ok(r.kind == MSG_pong, "mal is connected%s%s", r.kind == MSG_refused ? ": " : "",
       r.kind == MSG_refused ? r.refused.line : "");
    r = engram_ask(g.local, (struct message){.kind = MSG_user_set, .user_set.rows = {1, &row}});
    is_int(r.kind, MSG_done, "his key is revoked");
    r = ping(mal);
    ok(r.kind == MSG_refused && r.refused.code == ERR_DENIED,
       "his next word on the same connection is refused: %s",
       r.kind == MSG_refused ? r.refused.line : "");
    link_close(mal);
    all_is_well("a revoked key");
}

int main(void)
{
    struct rlimit files;
    char program[600];
    const char *bin = getenv("ENGRAM_BIN");

    snprintf(program, sizeof program, "%s/engram-door", bin ? bin : "build");
    if (access(program, X_OK)) return skip_all("engram-door is not built");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < 2 * CONNECTIONS) return skip_all("too few open files are allowed here");
    if (!ok(engram_open(&g, tap_folder(), NULL), "a coordinator opens its doors"))
        return done_testing();
    ann = engram_link(&g, ANN, NULL, 20000);
    ping(ann);
    at_first = engram_memory(g.coordinator, "VmHWM");
    strangers();
    replay();
    forged_epochs();
    names();
    flood();
    large();
    if (zmtp_has_curve()) unfinished();
    else skip("no libsodium", "a message without end, with a key");
    a_door_dies();
    revoked();
    link_close(ann);
    engram_close(&g);
    return done_testing();
}
