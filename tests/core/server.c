/* The coordinator as a process, over its real sockets: a user asks, a worker group played by this test works, and in the middle of
 * it all the coordinator is killed and started again. */
#include "base/file.h"
#include "tests/core/support/living.h"

/* How large the coordinator's files may become: a full disk that nobody else notices. */
static void limit_files(pid_t pid, rlim_t bytes)
{
    struct rlimit r = {bytes, RLIM_INFINITY};
    if (prlimit(pid, RLIMIT_FSIZE, &r, NULL)) note("prlimit: %s", strerror(errno));
}

static struct message result_of(const struct msg_stage *s, struct hash *out)
{
    return (struct message){.kind = MSG_result,
                            .result = {.job = s->job,
                                       .stage = s->stage,
                                       .epoch = s->epoch,
                                       .line = "",
                                       .report = "{}",
                                       .seconds = 0.5,
                                       .outputs = {1, out}}};
}

static struct message learn(const char *token, uint64_t wants)
{
    static struct hash image;
    static const char *prompt = "a photo";
    image = hash_bytes(token, strlen(token));
    return (struct message){
        .kind = MSG_learn,
        .learn = {.key = image,
                  .lineage = "pets",
                  .token = token,
                  .class_word = "dog",
                  .kind = CONCEPT_ANIMAL,
                  .wants = wants,
                  .images = {1, &image},
                  .preview_prompts = {1, &prompt},
                  .seed = 5,
                  .prior_key = wants & WANT_PRIOR ? hash_bytes("dogs", 4) : (struct hash){{0}},
                  .settings = "{}"}};
}

/* ---- */

static void users_ask(void)
{
    struct message m = {.kind = MSG_lineage_create,
                        .lineage_create = {.key = hash_bytes("k", 1),
                                           .name = "pets",
                                           .base_path = "/models/base",
                                           .base_hash = hash_bytes("base", 4)}},
                   r;
    is_int(ask(m).kind, MSG_done, "a lineage is made");
    is_int(ask(m).kind, MSG_done, "and made again by the same request");
    r = ask((struct message){.kind = MSG_lineage_list, .lineage_list.name = ""});
    ok(r.kind == MSG_lineages && r.lineages.rows.n == 1 &&
           strcmp(r.lineages.rows.v[0].name, "pets") == 0,
       "it is listed");
    r = ask(learn("<a>", 15));
    ok(r.kind == MSG_accepted && r.accepted.job == 1 && r.accepted.before == 0,
       "a concept is accepted");
    r = ask(learn("<b>", WANT_SCORE | WANT_PRIOR));
    ok(r.kind == MSG_accepted && r.accepted.job == 2 && r.accepted.before == 1,
       "the next one stands behind it");
    r = ask((struct message){.kind = MSG_queue});
    ok(r.kind == MSG_jobs && r.jobs.total == 2 && r.jobs.rows.v[0].job == 2,
       "the queue shows both, the newest first");
    ok(strstr(r.jobs.rows.v[0].line, "job 1") != NULL, "and why: %s", r.jobs.rows.v[0].line);
    ok(strstr(r.jobs.rows.v[1].line, "no worker group") != NULL, "and why: %s",
       r.jobs.rows.v[1].line);
    r = ask((struct message){.kind = MSG_lineage_list, .lineage_list.name = "pet"});
    ok(r.kind == MSG_refused && strstr(r.refused.line, "`pets`") != NULL, "a slip is helped: %s",
       r.refused.line);
    r = ask((struct message){.kind = MSG_ready});
    ok(r.kind == MSG_refused && r.refused.code == ERR_DENIED,
       "a worker's message on the users' socket is refused: %s", r.refused.line);
}

static void prior_and_score(void)
{
    struct hash prior[2] = {hash_bytes("p1", 2), hash_bytes("p2", 2)}, masks = hash_bytes("m", 1);
    struct message s = work((struct message){.kind = MSG_ready}), r;
    ok(s.kind == MSG_stage && s.stage.stage == STAGE_PRIOR && s.stage.job == 1,
       "a group gets the prior");
    is_str(s.stage.base_path, "/models/base", "with the path of the base");
    is_int(s.stage.seed, 5, "and the seed");
    struct message q;
    ok(proto_decode(s.stage.request.data, s.stage.request.n, &arena, &q, &e) == OK &&
           q.kind == MSG_learn && q.learn.images.n == 1,
       "and the request as it was sent");
    is_int(s.stage.term_ms, 1500, "and the term of the lease");
    r = result_of(&s.stage, prior);
    r.result.outputs.n = 2;
    is_int(work(r).kind, MSG_done, "its result counts");
    s = work((struct message){.kind = MSG_ready});
    ok(s.stage.stage == STAGE_SCORE && s.stage.prior.n == 2 &&
           hash_equal(s.stage.prior.v[1], prior[1]),
       "score gets the class images");
    r = work((struct message){.kind = MSG_heartbeat,
                              .heartbeat = {.job = 1,
                                            .stage = STAGE_SCORE,
                                            .epoch = s.stage.epoch,
                                            .step = 3,
                                            .of = 9,
                                            .text = "scoring"}});
    is_int(r.kind, MSG_go_on, "its heartbeat is answered");
    r = ask((struct message){.kind = MSG_watch, .watch.job = 1});
    ok(r.kind == MSG_events && r.events.rows.n > 3 &&
           strcmp(r.events.rows.v[r.events.rows.n - 1].text, "scoring") == 0,
       "and seen by those who watch");
    r = work(result_of(&s.stage, &masks));
    is_int(r.kind, MSG_done, "score is done");
}

static pid_t killed_in_the_middle(pid_t pid)
{
    struct hash commit = hash_bytes("c1", 2), old;
    struct message s = work((struct message){.kind = MSG_ready}), r;
    ok(s.stage.stage == STAGE_TRAIN && s.stage.masks.n == 1 && s.stage.chain.n == 0,
       "train gets the masks and an empty chain");
    kill(pid, SIGKILL);
    status_of(pid);
    pid = launch();
    ok(comes_up(), "the coordinator was killed and is back");
    r = work((struct message){.kind = MSG_heartbeat,
                              .heartbeat = {.job = 1,
                                            .stage = STAGE_TRAIN,
                                            .epoch = s.stage.epoch,
                                            .step = 5,
                                            .of = 9,
                                            .text = ""}});
    is_int(r.kind, MSG_go_on, "the group goes on with its lease");
    old = commit;
    r = work(result_of(&s.stage, &commit));
    is_int(r.kind, MSG_done, "and commits");
    r = ask((struct message){.kind = MSG_log, .log.lineage = "pets"});
    ok(r.kind == MSG_commits && r.commits.total == 1 && hash_equal(r.commits.rows.v[0].commit, old),
       "the log shows the commit");
    is_str(r.commits.rows.v[0].token, "<a>", "with its token");
    near(r.commits.rows.v[0].seconds, 1.0, 1e-9, "and what score and train took");
    s.stage.epoch--;
    is_int(work(result_of(&s.stage, &commit)).kind, MSG_give_up, "an older epoch does not count");
    return pid;
}

static void the_rest(void)
{
    struct hash out = hash_bytes("o", 1);
    int stages = 0, saw_evaluate = 0;
    struct message s;

    while ((s = work((struct message){.kind = MSG_ready})).kind == MSG_stage && stages < 10) {
        stages++;
        if (s.stage.stage == STAGE_EVALUATE)
            saw_evaluate = s.stage.concepts.n == 1 &&
                           strcmp(s.stage.concepts.v[0].token, "<a>") == 0 &&
                           s.stage.concepts.v[0].images.n == 1 &&
                           hash_equal(s.stage.commit, s.stage.chain.v[0]);
        if (s.stage.stage == STAGE_SCORE || s.stage.stage == STAGE_TRAIN)
            ok(s.stage.chain.n == 1 && s.stage.prior.n == 2,
               "the second concept stands on the first and shares its class images");
        out.v[0]++;
        work(result_of(&s.stage, &out));
    }
    is_int(stages, 4, "previews, evaluation, score and train of the second follow");
    ok(saw_evaluate, "evaluate gets its concepts");
    is_int(s.kind, MSG_idle, "then there is nothing to do");
    s = ask((struct message){.kind = MSG_job, .job.job = 1});
    ok(s.kind == MSG_job_info && s.job_info.rows.v[0].state == JOB_DONE && s.job_info.stages.n == 5,
       "the first job is done, with five stages");
    s = ask((struct message){.kind = MSG_log, .log = {.lineage = "pets", .after = 1}});
    ok(s.commits.rows.n == 1 && s.commits.rows.v[0].number == 2 && s.commits.total == 2,
       "the log can be read by pages");
}

/* How often the coordinator had to load everything again. */
static int loads(void)
{
    char path[400];
    struct bytes b;
    int n = 0;

    snprintf(path, sizeof path, "%s.log", home);
    if (file_read(path, 1 << 24, &b, &e)) return -1;
    for (const char *at = (char *)b.data; (at = strstr(at, "refused and loaded again")); at++) n++;
    free(b.data);
    return n;
}

/* A million jobs take a second each time. Few, not one: what a refused batch had written of the log is room for a while. */
static void refused_again_and_again(void)
{
    int before = loads(), refused = 0, n;

    for (int i = 0; i < 100; i++) refused += ask(learn("<again>", WANT_SCORE)).kind == MSG_refused;
    n = loads() - before;
    is_int(refused, 100, "the next hundred are refused, too");
    ok(before >= 0 && before + n > 0 && n < 20,
       "and everything is not loaded anew for each, but %d times", n);
}

static void disk_full(pid_t pid)
{
    char token[32];
    struct message r = {0};
    uint64_t accepted = 0, before = ask((struct message){.kind = MSG_queue}).jobs.total;

    limit_files(pid, 600000);
    for (int i = 0; i < 300 && r.kind != MSG_refused; i++) {
        snprintf(token, sizeof token, "<full%d>", i);
        r = ask(learn(token, WANT_SCORE));
        accepted += r.kind == MSG_accepted;
    }
    ok(r.kind == MSG_refused && (r.refused.code == ERR_FULL || r.refused.code == ERR_IO),
       "a full disk refuses after %d jobs: %s", (int)accepted, r.refused.line);
    refused_again_and_again();
    r = ask((struct message){.kind = MSG_queue});
    is_int(r.jobs.total, before + accepted,
           "questions are answered; what was accepted is there, nothing else");
    r = work(
        (struct message){.kind = MSG_heartbeat, .heartbeat = {.job = 1, .stage = 3, .epoch = 1}});
    is_int(r.kind, MSG_give_up, "groups are still heard");
    limit_files(pid, RLIM_INFINITY);
    r = ask(learn(token, WANT_SCORE));
    ok(r.kind == MSG_accepted && r.accepted.job == before + accepted + 1,
       "with room again the same request is accepted");
    for (uint64_t id = before + 1; id <= before + accepted + 1; id++)
        ask((struct message){.kind = MSG_cancel, .cancel.job = id});
}

static void the_end(pid_t pid)
{
    struct message r;
    pid_t second = launch();
    is_int(status_of(second), 3, "a second coordinator on the same home is refused");
    r = ask((struct message){.kind = MSG_ping, .ping.client = "test"});
    ok(r.pong.groups == 1 && r.pong.ranks == 3, "ping tells of the group");
    r = ask((struct message){.kind = MSG_stop, .stop.drain = 1});
    is_int(r.kind, MSG_done, "stop is answered");
    is_int(work((struct message){.kind = MSG_ready}).kind, MSG_end, "the group is told to leave");
    is_int(status_of(pid), 0, "and the coordinator leaves");
    char path[400];
    snprintf(path, sizeof path, "%s/run/engram.sock", home);
    ok(access(path, F_OK) != 0, "without its socket");
    r = ask((struct message){.kind = MSG_ping});
    ok(r.kind == MSG_refused && r.refused.code == ERR_ENVIRONMENT, "then nobody answers: %s",
       r.refused.line);
}

int main(void)
{
    pid_t pid;

    if (!living_begin()) return skip_all("engram-coordinator is not built");
    pid = living_start();
    if (!ok(comes_up(), "a coordinator comes up")) return done_testing();
    users_ask();
    prior_and_score();
    pid = killed_in_the_middle(pid);
    the_rest();
    disk_full(pid);
    the_end(pid);
    living_end();
    return done_testing();
}
