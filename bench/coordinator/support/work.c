#include "bench/coordinator/support/work.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BATCH = 1000, STEADY_MS = 200 };

static const char SETTINGS[] = "{\"general\":{\"k\":20},\"sample\":{\"guidance\":7.5,\"negative\":"
                               "\"\",\"sampler\":\"ddim\",\"side\":0,"
                               "\"steps\":50},\"score\":{\"fraction\":0.3,\"group\":\"row\","
                               "\"tokens\":\"all\"},\"train\":{\"batch\":1,"
                               "\"lr\":3e-05,\"lr_token\":0.0005,\"steps\":500}}";

/* ---- jobs ---- */

static struct hash fresh_key(void)
{
    struct hash h;
    if (getrandom(h.v, sizeof h.v, 0) != sizeof h.v) die("no random bytes");
    return h;
}

static void expect(const struct message *m, enum msg_kind kind)
{
    if (m->kind == MSG_refused) die("refused: %s", m->refused.line);
    if (m->kind != kind) die("`%s` was not expected", proto_name(m->kind));
}

void backlog_open(struct backlog *b, const struct office *o, int clients)
{
    struct message answer,
        m = {.kind = MSG_lineage_create,
             .lineage_create = {
                 .key = {{1}}, .name = "bench", .base_path = "/nowhere", .base_hash = {{2}}}};

    *b = (struct backlog){0};
    fleet_open(&b->users, o->users, clients, 0);
    fleet_ask(&b->users, 0, &m, &b->arena, &answer);
    expect(&answer, MSG_done);
}

void backlog_close(struct backlog *b)
{
    fleet_close(&b->users);
    arena_fini(&b->arena);
}

struct message backlog_job(struct backlog *b)
{
    static const char *prompt[] = {"a <rex> dog in a meadow"};

    return (struct message){.kind = MSG_sample,
                            .id = 1,
                            .sample = {.key = fresh_key(),
                                       .lineage = "bench",
                                       .prompts = {1, prompt},
                                       .per_prompt = 1,
                                       .seed = b->submitted++,
                                       .settings = SETTINGS}};
}

static void add_batch(struct backlog *b, size_t n)
{
    struct arena a = {0};
    struct message answer, m = {.kind = MSG_submit_many};
    struct request_row *rows = arena_alloc(&a, n * sizeof *rows);
    struct err e;

    for (size_t i = 0; i < n; i++) {
        struct message one = backlog_job(b);
        if (proto_encode(&one, &a, &rows[i].request, &e)) die("%s", e.text);
    }
    m.submit_many.rows = (struct request_rows){n, rows};
    fleet_ask(&b->users, 0, &m, &a, &answer);
    expect(&answer, MSG_accepted_many);
    for (size_t i = 0; i < answer.accepted_many.rows.n; i++)
        if (answer.accepted_many.rows.v[i].code) die("%s", answer.accepted_many.rows.v[i].line);
    b->level += (long)n;
    arena_fini(&a);
}

double backlog_add(struct backlog *b, long n)
{
    double began = seconds_now();

    for (; n > 0; n -= BATCH) add_batch(b, (size_t)(n < BATCH ? n : BATCH));
    return seconds_now() - began;
}

double backlog_add_singly(struct backlog *b, long n)
{
    double began = seconds_now();
    struct message m, answer;
    long sent = 0, heard = 0;
    int peer;

    for (; sent < b->users.n && sent < n; sent++) {
        m = backlog_job(b);
        fleet_say(&b->users, (int)sent, &m);
    }
    while (heard < sent) {
        struct arena a = {0};
        if (!fleet_hear(&b->users, 60000, &peer, &a, &answer)) die("no answer");
        expect(&answer, MSG_accepted);
        heard++;
        arena_fini(&a);
        if (sent == n) continue;
        m = backlog_job(b);
        fleet_say(&b->users, peer, &m);
        sent++;
    }
    b->level += n;
    return seconds_now() - began;
}

/* ---- groups ---- */

static void say_hello(struct groups *g, int i)
{
    struct message m = {.kind = MSG_worker_hello,
                        .worker_hello = {.name = "bench",
                                         .nonce = g->peers.nonce[i],
                                         .ranks = 1,
                                         .pid = 1,
                                         .host = "here",
                                         .device = "none"}};
    struct message answer;
    struct arena a = {0};

    fleet_ask(&g->peers, i, &m, &a, &answer);
    expect(&answer, MSG_go_on);
    arena_fini(&a);
}

void groups_open(struct groups *g, const struct office *o, int n)
{
    *g = (struct groups){0};
    fleet_open(&g->peers, o->workers, n, 1);
    for (int i = 0; i < n; i++) say_hello(g, i);
}

void groups_close(struct groups *g)
{
    fleet_close(&g->peers);
    arena_fini(&g->arena);
}

static void say_ready(struct groups *g, int i)
{
    struct message m = {.kind = MSG_ready};
    fleet_say(&g->peers, i, &m);
}

static void finish(struct groups *g, int i, const struct msg_stage *s)
{
    struct message m = {
        .kind = MSG_result,
        .result = {.job = s->job, .stage = s->stage, .epoch = s->epoch, .seconds = 0.001}};
    fleet_say(&g->peers, i, &m);
}

/* 1: this answer was a stage, and it is finished. */
static int obey(struct groups *g, int i, const struct message *m, int more)
{
    switch (m->kind) {
    case MSG_stage: finish(g, i, &m->stage); break;
    case MSG_idle: break;
    case MSG_done: g->done++; return 0;
    case MSG_refused: die("refused: %s", m->refused.line);
    default: return 0;
    }
    if (more) say_ready(g, i);
    return m->kind == MSG_stage;
}

double groups_run(struct groups *g, struct backlog *b, long level, double seconds)
{
    double began = seconds_now();
    long before = g->done;
    struct message m;
    int peer;

    for (int i = 0; i < g->peers.n; i++) say_ready(g, i);
    for (int out = g->peers.n; out > 0;) {
        struct arena a = {0};
        int more = seconds_now() - began < seconds;
        if (!fleet_hear(&g->peers, more ? 5000 : STEADY_MS, &peer, &a, &m)) {
            arena_fini(&a);
            break;
        }
        b->level -= obey(g, peer, &m, more);
        out -= !more && (m.kind == MSG_stage || m.kind == MSG_idle);
        arena_fini(&a);
        if (more && level && b->level < level) add_batch(b, BATCH);
    }
    /* What was granted and not finished stays leased until its group speaks again. */
    return (double)(g->done - before) / (seconds_now() - began);
}
