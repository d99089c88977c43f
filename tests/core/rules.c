/* The core's rules one by one, in sentences: what waits for what, who is refused, what a failure does to others. */
#include "coordinator/core/core.h"
#include "tests/tap.h"

static struct core *core;
static struct core_actions actions;
static int64_t now = 1000000;
static uint64_t asked;

/* ---- one question, one answer ---- */

static struct hash name(const char *s)
{
    return hash_bytes(s, strlen(s));
}

static struct message say_as(const char *user, struct message m, const char *group)
{
    struct core_event ev = {
        .type = CORE_MESSAGE, .message = &m, .user = user, .from = {.id = ++asked}};
    struct message none = {0};

    if (group) ev.group = name(group);
    if (m.kind == MSG_learn) ev.digest = hash_bytes(m.learn.token, strlen(m.learn.token));
    core_actions_clear(&actions);
    core_step(core, &ev, now, &actions);
    for (size_t i = 0; i < actions.n_tells; i++) {
        struct core_tell *t = &actions.tells[i];
        if (t->to.id != asked) continue;
        if (t->type == TELL_ANSWER) return t->answer;
        if (t->type == TELL_STAGE)
            return (struct message){
                .kind = MSG_stage,
                .stage = {.job = t->job, .stage = (uint64_t)t->stage, .epoch = t->epoch}};
    }
    return none;
}

static struct message say(struct message m)
{
    return say_as("ann", m, NULL);
}

static void pass(int64_t ms)
{
    struct core_event tick = {.type = CORE_TICK};
    now += ms;
    core_actions_clear(&actions);
    core_step(core, &tick, now, &actions);
}

static void begin(void)
{
    core_free(core);
    core = core_make(NULL);
}

static struct message lineage_as(const char *user, const char *lineage)
{
    return say_as(user,
                  (struct message){.kind = MSG_lineage_create,
                                   .lineage_create = {.key = name(lineage),
                                                      .name = lineage,
                                                      .base_path = "/base",
                                                      .base_hash = name("base")}},
                  NULL);
}

static struct message learn_with(const char *lineage, const char *token, uint64_t wants,
                                 const char *prior)
{
    static struct hash image;
    static const char *prompt = "a photo";
    char key[128];

    image = name("image");
    snprintf(key, sizeof key, "%s %s %lld", lineage, token, (long long)now);
    return (struct message){
        .kind = MSG_learn,
        .learn = {.key = name(key),
                  .lineage = lineage,
                  .token = token,
                  .class_word = "dog",
                  .kind = CONCEPT_ANIMAL,
                  .wants = wants,
                  .images = {1, &image},
                  .preview_prompts = {1, &prompt},
                  .prior_key = wants & WANT_PRIOR ? name(prior) : (struct hash){{0}}}};
}

static uint64_t learn(const char *lineage, const char *token, uint64_t wants)
{
    struct message m = say(learn_with(lineage, token, wants, "dogs"));
    return m.kind == MSG_accepted ? m.accepted.job : 0;
}

/* A group that says hello and asks for work. */
static struct message ready(const char *group)
{
    say_as("ann",
           (struct message){
               .kind = MSG_worker_hello,
               .worker_hello =
                   {.name = group, .nonce = name(group), .host = "h", .device = "cpu", .ranks = 2}},
           group);
    return say_as("ann", (struct message){.kind = MSG_ready}, group);
}

static struct message result(const char *group, const struct message *stage, enum code code,
                             const char *line)
{
    static struct hash out;
    char text[64];

    snprintf(text, sizeof text, "%d %d", (int)stage->stage.job, (int)stage->stage.stage);
    out = name(text);
    return say_as("ann",
                  (struct message){.kind = MSG_result,
                                   .result = {.job = stage->stage.job,
                                              .stage = stage->stage.stage,
                                              .epoch = stage->stage.epoch,
                                              .code = (uint64_t)code,
                                              .line = line,
                                              .report = "",
                                              .seconds = 2,
                                              .outputs = {code == OK, &out}}},
                  group);
}

static struct message beat(const char *group, const struct message *stage, uint64_t step)
{
    return say_as("ann",
                  (struct message){.kind = MSG_heartbeat,
                                   .heartbeat = {.job = stage->stage.job,
                                                 .stage = stage->stage.stage,
                                                 .epoch = stage->stage.epoch,
                                                 .step = step,
                                                 .of = 10,
                                                 .text = ""}},
                  group);
}

static int is_stage(const struct message *m, uint64_t job, enum stage_kind kind)
{
    return m->kind == MSG_stage && m->stage.job == job && m->stage.stage == (uint64_t)kind;
}

#define IS_STAGE(m, j, k, ...)                                           \
    (ok(is_stage(&(m), j, k), __VA_ARGS__) ||                            \
     (note("got %s job %d %s", proto_name((m).kind), (int)(m).stage.job, \
           proto_stage_kind((m).stage.stage)),                           \
      0))

static int is_refused(struct message m, enum code code)
{
    note("%s", m.kind == MSG_refused ? m.refused.line : proto_name(m.kind));
    return m.kind == MSG_refused && m.refused.code == (uint64_t)code;
}

#define REFUSED(m, c, ...) ok(is_refused(m, c), __VA_ARGS__)

/* ---- sentences ---- */

static void one_concept(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t j = learn("pets", "<rex>", 15);
    const enum stage_kind order[] = {STAGE_PRIOR, STAGE_SCORE, STAGE_TRAIN, STAGE_SAMPLE,
                                     STAGE_EVALUATE};
    for (int i = 0; i < 5; i++) {
        struct message s = ready("g1");
        IS_STAGE(s, j, order[i], "stage %d of a learn job is %s", i + 1,
                 proto_stage_kind((uint64_t)order[i]));
        is_int(core_job(core, j)->state, JOB_RUNNING, "the job runs");
        is_int(beat("g1", &s, 3).kind, MSG_go_on, "its heartbeat is answered go_on");
        is_int(result("g1", &s, OK, "").kind, MSG_done, "its result counts");
        is_int(result("g1", &s, OK, "").kind, MSG_done, "and may be said again");
    }
    is_int(core_job(core, j)->state, JOB_DONE, "after its last stage the job is done");
    is_int(core_lineage_named(core, "pets")->n_commits, 1, "the lineage has one commit");
    is_int(ready("g1").kind, MSG_none, "then a group waits");
    pass(2000);
    ok(actions.n_tells == 1 && actions.tells[0].answer.kind == MSG_idle,
       "and hears idle after two seconds");
}

static void order_in_a_lineage(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t a = learn("pets", "<a>", WANT_SCORE | WANT_SAMPLE),
             b = learn("pets", "<b>", WANT_SCORE | WANT_PRIOR);
    struct message s = ready("g1"), t, u;
    IS_STAGE(s, a, STAGE_SCORE, "the first concept scores");
    t = ready("g2");
    IS_STAGE(t, b, STAGE_PRIOR, "the prior of the second runs ahead, as nothing else can");
    result("g2", &t, OK, "");
    is_int(ready("g2").kind, MSG_none, "its score waits for its turn");
    result("g1", &s, OK, "");
    s = ready("g1");
    is_int(core_job(core, a)->stages[1].state, STAGE_LEASED,
           "the first one trains, at whoever waited");
    t = (struct message){
        .kind = MSG_stage,
        .stage = {.job = a, .stage = STAGE_TRAIN, .epoch = core_job(core, a)->stages[1].epoch}};
    is_int(result("g2", &t, OK, "").kind, MSG_done, "the first one commits");
    const struct core_stage *score = core_stage_of(core_job(core, b), STAGE_SCORE),
                            *sample = core_stage_of(core_job(core, a), STAGE_SAMPLE);
    is_int(score->state, STAGE_LEASED,
           "and the waiting group gets the score of the second at once");
    ok(hash_equal(core_job(core, b)->parent, core_job(core, a)->commit),
       "on the commit of the first");
    u = ready("g2");
    IS_STAGE(u, a, STAGE_SAMPLE, "while the first one's previews are drawn beside it");
    is_int(sample->state, STAGE_LEASED, "at the same time");
}

static void refusals(void)
{
    begin();
    lineage_as("ann", "pets");
    struct message m = learn_with("pet", "<rex>", 0, "");
    REFUSED(say(m), ERR_NOT_FOUND, "an unknown lineage is refused");
    ok(strstr(say(m).refused.line, "`pets`") != NULL, "with the nearest name");
    uint64_t a = learn("pets", "<rex>", 0);
    now++;
    REFUSED(say(learn_with("pets", "<rex>", 0, "")), ERR_EXISTS, "a token that waits is taken");
    struct message s = ready("g1");
    result("g1", &s, OK, "");
    REFUSED(say(learn_with("pets", "<rex>", 0, "")), ERR_EXISTS,
            "a token that is committed is taken");
    m = learn_with("pets", "<b>", 0, "");
    uint64_t b = say(m).accepted.job;
    is_int(say(m).accepted.job, b, "the same key is the same job");
    m.learn.token = "<c>";
    REFUSED(say(m), ERR_EXISTS, "the same key with other contents is refused");
    m = learn_with("pets", "two words", 0, "");
    REFUSED(say(m), ERR_INPUT, "a token of two words is refused");
    m = learn_with("pets", "<d>", WANT_PRIOR, "dogs");
    m.learn.prior_key = (struct hash){{0}};
    REFUSED(say(m), ERR_INPUT, "a prior without a key is refused");
    m = learn_with("pets", "<e>", 0, "");
    m.learn.images.n = 0;
    REFUSED(say(m), ERR_INPUT, "no images are refused");
    REFUSED(lineage_as("ann", "../x"), ERR_INPUT, "a lineage with a path for a name is refused");
    REFUSED(say_as("bob", learn_with("pets", "<f>", 0, ""), NULL), ERR_DENIED,
            "another user's lineage is refused");
    m = (struct message){.kind = MSG_cancel, .cancel.job = a};
    REFUSED(say_as("bob", m, NULL), ERR_DENIED, "cancelling another's job is refused");
    REFUSED(say(m), ERR_STALE, "cancelling what has ended is refused");
    m.cancel.job = 99;
    REFUSED(say(m), ERR_NOT_FOUND, "and what never was");
    m = (struct message){.kind = MSG_sample,
                         .sample = {.key = name("s"),
                                    .lineage = "pets",
                                    .commit = name("no"),
                                    .per_prompt = 1,
                                    .prompts = {1, (const char *[]){"x"}}}};
    REFUSED(say(m), ERR_NOT_FOUND, "a commit of elsewhere is refused");
    is_int(core_last_job(core), 2, "and none of these made a job");
}

static void priors_are_shared(void)
{
    begin();
    lineage_as("ann", "pets");
    lineage_as("ann", "toys");
    uint64_t a = learn("pets", "<a>", WANT_PRIOR), b = learn("toys", "<b>", WANT_PRIOR);
    struct message s = ready("g1"), m = {.kind = MSG_cancel, .cancel.job = a};
    IS_STAGE(s, a, STAGE_PRIOR, "the first job makes the class images");
    is_int(ready("g2").kind, MSG_none, "the second does not make them again");
    say(m);
    struct message g = beat("g1", &s, 1);
    ok(g.kind == MSG_give_up && g.give_up.code == ERR_CANCELLED,
       "when its owner cancels, its group is told to give up");
    is_int(core_stage_of(core_job(core, b), STAGE_PRIOR)->state, STAGE_LEASED,
           "and the second makes them, at the group that waited");
    s = (struct message){.stage = {.job = b,
                                   .stage = STAGE_PRIOR,
                                   .epoch = core_stage_of(core_job(core, b), STAGE_PRIOR)->epoch}};
    result("g2", &s, OK, "");
    uint64_t c = learn("pets", "<c>", WANT_PRIOR);
    is_int(core_stage_of(core_job(core, c), STAGE_PRIOR)->state, STAGE_DONE,
           "a third job finds them made");
    is_int(core_stage_of(core_job(core, c), STAGE_PRIOR)->source, b, "and knows by whom");
}

static void failures(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t a = learn("pets", "<a>", 0), b = learn("pets", "<b>", 0);
    struct message s = ready("g1");
    result("g1", &s, ERR_INPUT, "image 2 is no image");
    is_int(core_job(core, a)->state, JOB_FAILED, "bad input fails a job at once");
    is_str(core_job(core, a)->stages[0].line, "image 2 is no image", "with its line");
    s = ready("g1");
    IS_STAGE(s, b, STAGE_TRAIN, "the next concept goes on without it");
    result("g1", &s, ERR_FULL, "disk full");
    is_int(core_job(core, b)->state, JOB_PAUSED, "a full disk pauses a job");
    is_int(ready("g1").kind, MSG_none, "which is not tried at once");
    pass(4999);
    is_int(core_job(core, b)->state, JOB_PAUSED, "nor after 4.999 s");
    ready("g1");
    pass(1);
    is_int(core_job(core, b)->state, JOB_RUNNING, "but after 5 s");
    uint64_t c = learn("pets", "<a>", 0);
    ok(c != 0, "the token of a failed job is free again");
}

static void losses(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t a = learn("pets", "<a>", 0);
    for (int i = 0; i < 5; i++) {
        struct message s = ready("g1");
        if (!IS_STAGE(s, a, STAGE_TRAIN, "attempt %d", i + 1)) return;
        beat("g1", &s, 7);
        pass(29999);
        is_int(core_leased(core), 1, "a lease lasts for its term");
        pass(1);
        is_int(core_leased(core), 0, "and not longer");
        struct message g = result("g1", &s, OK, "");
        ok(g.kind == MSG_give_up && g.give_up.code == ERR_STALE,
           "a result that comes later does not count");
        pass(60000);
    }
    is_int(core_job(core, a)->state, JOB_FAILED, "five losses without progress end the job");
    ok(strstr(core_job(core, a)->stages[0].line, "step 7") != NULL, "with evidence: %s",
       core_job(core, a)->stages[0].line);

    begin();
    lineage_as("ann", "pets");
    a = learn("pets", "<a>", 0);
    for (uint64_t i = 0; i < 12; i++) {
        struct message s = ready("g1");
        beat("g1", &s, i + 1);
        pass(30000);
        pass(60000);
    }
    is_int(core_job(core, a)->state, JOB_QUEUED, "a dozen losses, each further on, do not");
}

static void group_death(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t a = learn("pets", "<a>", 0);
    struct message s = ready("g1"), t;
    struct core_event gone = {.type = CORE_GROUP_LOST, .group = name("g1")};
    t = say_as("ann", (struct message){.kind = MSG_ready}, "g1");
    ok(is_stage(&t, a, STAGE_TRAIN) && t.stage.epoch == s.stage.epoch,
       "ready said again gives the same lease");
    core_step(core, &gone, now, &actions);
    is_int(core_leased(core), 0, "a group that died loses its lease at once");
    is_int(beat("g1", &s, 1).kind, MSG_who, "a group that is not known is asked who it is");
    pass(500);
    t = ready("g2");
    ok(is_stage(&t, a, STAGE_TRAIN) && t.stage.epoch > s.stage.epoch,
       "another gets the stage under a higher epoch");
}

static void fairness(void)
{
    begin();
    lineage_as("ann", "pets");
    lineage_as("bob", "cars");
    for (int i = 0; i < 8; i++) {
        char token[16];
        struct message m = {
            .kind = MSG_sample,
            .sample = {.lineage = "pets", .per_prompt = 1, .prompts = {1, (const char *[]){"x"}}}};
        snprintf(token, sizeof token, "s%d", i);
        m.sample.key = name(token);
        say(m);
    }
    struct message m = {.kind = MSG_sample,
                        .sample = {.key = name("bob"),
                                   .lineage = "cars",
                                   .per_prompt = 1,
                                   .prompts = {1, (const char *[]){"x"}}}};
    uint64_t bobs = say_as("bob", m, NULL).accepted.job;
    struct message s = ready("g1");
    result("g1", &s, OK, "");
    s = ready("g1");
    ok(s.stage.job == bobs, "eight jobs of one user do not stand before another's first");

    begin();
    lineage_as("ann", "pets");
    for (int i = 0; i < 5; i++) {
        char token[16];
        snprintf(token, sizeof token, "<t%d>", i);
        learn("pets", token, 0);
    }
    m.sample.lineage = "pets";
    uint64_t wish = say(m).accepted.job;
    int waited = 0;
    for (; waited < 10; waited++) {
        s = ready("g1");
        if (s.stage.job == wish) break;
        result("g1", &s, OK, "");
    }
    is_int(waited, 3, "a picture waits for three urgent stages, not for a whole lineage");
}

static void stopping(void)
{
    begin();
    lineage_as("ann", "pets");
    learn("pets", "<a>", 0);
    struct message s = ready("g1"), stop = {.kind = MSG_stop, .stop.drain = 1};
    ready("g2");
    say(stop);
    int told = 0;
    for (size_t i = 0; i < actions.n_tells; i++) told += actions.tells[i].answer.kind == MSG_end;
    is_int(told, 1, "a group that waits is told to leave");
    REFUSED(say(learn_with("pets", "<b>", 0, "")), ERR_ENVIRONMENT, "new work is refused");
    is_int(beat("g1", &s, 1).kind, MSG_go_on, "what runs may end");
    stop.stop.drain = 0;
    say(stop);
    is_int(beat("g1", &s, 2).kind, MSG_give_up, "unless one is asked not to wait");
    is_int(core_leased(core), 0, "then the stage goes back");
    is_int(core_job(core, 1)->stages[0].losses, 0, "and that is nobody's loss");
    is_int(say_as("ann", (struct message){.kind = MSG_ready}, "g1").kind, MSG_end,
           "and its group leaves");
}

static void cancelling(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t a = learn("pets", "<a>", WANT_SAMPLE), b = learn("pets", "<b>", 0),
             c = learn("pets", "<c>", 0);
    struct message m = {.kind = MSG_cancel, .cancel.job = b};
    is_int(say(m).kind, MSG_done, "a waiting job is cancelled");
    is_int(say(m).kind, MSG_done, "twice is as good as once");
    struct message s = ready("g1");
    result("g1", &s, OK, "");
    m.cancel.job = a;
    is_int(say(m).kind, MSG_done, "a job may be cancelled after its commit");
    is_int(core_lineage_named(core, "pets")->n_commits, 1, "which stays");
    s = ready("g1");
    IS_STAGE(s, c, STAGE_TRAIN, "and the one after the cancelled one is next");
}

int main(void)
{
    one_concept();
    order_in_a_lineage();
    refusals();
    priors_are_shared();
    failures();
    losses();
    group_death();
    fairness();
    stopping();
    cancelling();
    core_free(core);
    core_actions_fini(&actions);
    return done_testing();
}
