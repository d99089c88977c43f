/* A client and a worker group of version 1 beside today's coordinator: a whole job, asked for, worked on and looked at in version 1,
 * and every answer in version 1, also the one that a `ready` had to wait for. Beside them people of today. */
#include "proto/link.h"
#include "tests/tap.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <zmq.h>

static char home[300], program[600];
static struct arena arena;
static void *context;
static uint64_t next_id = 100;

static pid_t launch(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char log[400];
        snprintf(log, sizeof log, "%s.log", home);
        if (!freopen(log, "a", stderr)) _exit(98);
        execl(program, program, "--home", home, "--foreground", "--no-workers", (char *)NULL);
        _exit(99);
    }
    return pid;
}

/* A bare socket: today's link would begin in today's version. */
static void *dial(const char *socket, const void *route, size_t n)
{
    char endpoint[400];
    int zero = 0, wait = 20000;
    void *z = zmq_socket(context, ZMQ_DEALER);

    snprintf(endpoint, sizeof endpoint, "ipc://%s/run/%s", home, socket);
    zmq_setsockopt(z, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(z, ZMQ_RCVTIMEO, &wait, sizeof wait);
    if (n) zmq_setsockopt(z, ZMQ_ROUTING_ID, route, n);
    zmq_connect(z, endpoint);
    return z;
}

static void say(void *z, struct message m)
{
    struct slice s;
    struct err e;

    m.version = 1;
    m.id = ++next_id;
    if (proto_encode(&m, &arena, &s, &e)) note("%s", e.text);
    else zmq_send(z, s.data, s.n, 0);
}

/* The answer, or MSG_none when it is not of version 1. */
static struct message hear(void *z)
{
    static uint8_t buf[1 << 20];
    struct message m = {0};
    struct err e = {0};
    int n = zmq_recv(z, buf, sizeof buf, 0);

    if (n < 0 || proto_decode(arena_copy(&arena, buf, (size_t)n), (size_t)n, &arena, &m, &e))
        note("answer of %d bytes: %s", n, e.text);
    if (m.version != 1) {
        note("`%s` comes in version %d", proto_name(m.kind), (int)m.version);
        m.kind = MSG_none;
    }
    return m;
}

static struct message ask(void *z, struct message m)
{
    say(z, m);
    return hear(z);
}

static struct message learn(struct hash *image)
{
    *image = hash_bytes("i", 1);
    return (struct message){.kind = MSG_learn,
                            .learn = {.key = hash_bytes("l", 1),
                                      .lineage = "pets",
                                      .token = "<rex>",
                                      .class_word = "dog",
                                      .kind = CONCEPT_ANIMAL,
                                      .images = {1, image},
                                      .settings = "{}"}};
}

static void a_day(void *user, void *worker)
{
    struct hash image, commit = hash_bytes("c", 1);
    struct message r = ask(user, (struct message){.kind = MSG_ping, .ping.client = "engram 0.1"}),
                   request;

    ok(r.kind == MSG_pong && !*r.pong.user,
       "ping is answered, without what version 1 does not know");
    r = ask(user, (struct message){.kind = MSG_lineage_create,
                                   .lineage_create = {.key = hash_bytes("k", 1),
                                                      .name = "pets",
                                                      .base_path = "/models/base",
                                                      .base_hash = hash_bytes("b", 1)}});
    is_int(r.kind, MSG_done, "a lineage is made");
    r = ask(worker, (struct message){.kind = MSG_ready});
    is_int(r.kind, MSG_who, "a group of version 1 is asked who it is");
    r = ask(worker, (struct message){.kind = MSG_worker_hello,
                                     .worker_hello = {.name = "old",
                                                      .nonce = hash_bytes("n", 1),
                                                      .ranks = 2,
                                                      .host = "h",
                                                      .device = "cpu"}});
    is_int(r.kind, MSG_go_on, "and says it");
    say(worker, (struct message){.kind = MSG_ready}); /* waits: there is nothing to do */
    r = ask(user, learn(&image));
    ok(r.kind == MSG_accepted && r.accepted.job == 1, "a concept is accepted");
    r = hear(worker);
    ok(r.kind == MSG_stage && r.stage.stage == STAGE_TRAIN, "who waited gets its stage");
    is_code(proto_decode(r.stage.request.data, r.stage.request.n, &arena, &request, NULL), OK, NULL,
            "with the request inside");
    is_int(request.version, 1, "which can be read in version 1");
    uint64_t epoch = r.stage.epoch;
    r = ask(worker,
            (struct message){
                .kind = MSG_heartbeat,
                .heartbeat = {.job = 1, .stage = STAGE_TRAIN, .epoch = epoch, .step = 1, .of = 2}});
    is_int(r.kind, MSG_go_on, "its heartbeat is heard");
    r = ask(user, (struct message){.kind = MSG_watch, .watch.job = 1});
    ok(r.kind == MSG_events && r.events.rows.n > 0, "its user sees it");
    r = ask(worker, (struct message){.kind = MSG_result,
                                     .result = {.job = 1,
                                                .stage = STAGE_TRAIN,
                                                .epoch = epoch,
                                                .report = "{}",
                                                .outputs = {1, &commit}}});
    is_int(r.kind, MSG_done, "its result counts");
    r = ask(user, (struct message){.kind = MSG_queue});
    ok(r.kind == MSG_jobs && r.jobs.total == 1 && r.jobs.rows.v[0].state == JOB_DONE,
       "the job is done");
    r = ask(user, (struct message){.kind = MSG_job, .job.job = 1});
    ok(r.kind == MSG_job_info && r.job_info.stages.n == 1, "and can be looked at");
    r = ask(user, (struct message){.kind = MSG_log, .log.lineage = "pets"});
    ok(r.kind == MSG_commits && r.commits.total == 1, "so can its commit");
    r = ask(user, (struct message){.kind = MSG_cancel, .cancel.job = 7});
    ok(r.kind == MSG_refused && r.refused.code == ERR_NOT_FOUND,
       "a refusal is one of version 1, too: %s", r.refused.line);
}

static void beside_today(void)
{
    char endpoint[400];
    struct link_options o = {.endpoint = endpoint, .timeout_ms = 10000, .tries = 1};
    struct message m = {.kind = MSG_job, .job.job = 1}, r = {0};
    struct link *l;
    struct err e;

    snprintf(endpoint, sizeof endpoint, "ipc://%s/run/engram.sock", home);
    if (link_open(&l, &o, &e)) note("%s", e.text);
    is_code(link_call(l, &m, &arena, &r, &e), OK, &e, "somebody of today asks for the same job");
    ok(r.version == PROTO_VERSION && r.kind == MSG_job_info, "and is answered in today's version");
    struct hash image;
    m = learn(&image);
    is_code(link_call(l, &m, &arena, &r, &e), OK, &e, "says again what was said in version 1");
    ok(r.kind == MSG_accepted && r.accepted.job == 1, "and it is known to be the same: %s",
       r.kind == MSG_refused ? r.refused.line : "job 1");
    link_close(l);
}

static uint64_t kept(struct link *l)
{
    struct message m = {.kind = MSG_user_list, .user_list.name = ""}, r = {0};
    struct err e;
    enum code rc = link_call(l, &m, &arena, &r, &e);

    return rc || r.users.rows.n != 1 ? 0 : r.users.rows.v[0].bytes;
}

/* What forgetting gives back of a user's share is what the request took, in whatever version it came. */
static void bytes_back(void)
{
    char endpoint[400];
    struct link_options o = {.endpoint = endpoint, .timeout_ms = 10000, .tries = 1};
    struct hash image;
    struct message m = learn(&image), r = {0};
    struct link *l;
    struct err e;

    snprintf(endpoint, sizeof endpoint, "ipc://%s/run/engram.sock", home);
    if (link_open(&l, &o, &e)) note("%s", e.text);
    uint64_t before = kept(l);
    m.learn.key = hash_bytes("bytes", 5);
    m.learn.token = "<bea>";
    is_code(link_call(l, &m, &arena, &r, &e), OK, &e, "a request of today");
    uint64_t job = r.kind == MSG_accepted ? r.accepted.job : 0;
    ok(before && kept(l) > before, "takes bytes");
    m = (struct message){.kind = MSG_cancel, .cancel.job = job};
    is_code(link_call(l, &m, &arena, &r, &e), OK, &e, "it is cancelled");
    m = (struct message){.kind = MSG_forget, .forget.job = job};
    is_code(link_call(l, &m, &arena, &r, &e), OK, &e, "and forgotten");
    is_int(kept(l), before, "all of them come back, and no more");
    link_close(l);
}

int main(void)
{
    const char *bin = getenv("ENGRAM_BIN");
    uint8_t route[1 + HASH_BYTES] = {'W'};
    struct hash nonce = hash_bytes("n", 1);
    char path[400];

    snprintf(program, sizeof program, "%s/engram-coordinator", bin ? bin : "build");
    if (access(program, X_OK)) return skip_all("engram-coordinator is not built");
    snprintf(home, sizeof home, "%s/home", tap_folder());
    pid_t pid = launch();
    snprintf(path, sizeof path, "%s/run/worker.sock", home);
    for (int i = 0; i < 500 && access(path, F_OK); i++) usleep(20000);
    memcpy(route + 1, nonce.v, HASH_BYTES);
    context = zmq_ctx_new();
    void *user = dial("engram.sock", NULL, 0), *worker = dial("worker.sock", route, sizeof route);
    a_day(user, worker);
    beside_today();
    bytes_back();
    zmq_close(user);
    zmq_close(worker);
    zmq_ctx_term(context);
    arena_fini(&arena);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return done_testing();
}
