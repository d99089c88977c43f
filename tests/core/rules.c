/* The core's rules one by one, in sentences: what waits for what, who is refused, what a failure does to others. */
#include "tests/core/support/say.h"

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
        is_int(job(j)->state, JOB_RUNNING, "the job runs");
        is_int(beat("g1", &s, 3).kind, MSG_go_on, "its heartbeat is answered go_on");
        is_int(result("g1", &s, OK, "").kind, MSG_done, "its result counts");
        is_int(result("g1", &s, OK, "").kind, MSG_done, "and may be said again");
    }
    is_int(job(j)->state, JOB_DONE, "after its last stage the job is done");
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
    is_int(stage(a, STAGE_TRAIN), STAGE_LEASED, "the first one trains, at whoever waited");
    t = (struct message){
        .kind = MSG_stage,
        .stage = {.job = a, .stage = STAGE_TRAIN, .epoch = record(a, STAGE_TRAIN)->epoch}};
    is_int(result("g2", &t, OK, "").kind, MSG_done, "the first one commits");
    is_int(stage(b, STAGE_SCORE), STAGE_LEASED,
           "and the waiting group gets the score of the second at once");
    ok(record(b, STAGE_SCORE)->chain == 1 && hash_equal(core_lineage(core, 1)->head, commit_of(a)),
       "on the commit of the first");
    u = ready("g2");
    IS_STAGE(u, a, STAGE_SAMPLE, "while the first one's previews are drawn beside it");
    is_int(stage(a, STAGE_SAMPLE), STAGE_LEASED, "at the same time");
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
    REFUSED(say(m), ERR_INPUT, "cancelling what has ended is refused");
    m.cancel.job = 99;
    REFUSED(say(m), ERR_NOT_FOUND, "and what never was");
    m = (struct message){.kind = MSG_sample,
                         .sample = {.key = name("s"),
                                    .lineage = "pets",
                                    .commit = name("no"),
                                    .per_prompt = 1,
                                    .prompts = {1, (const char *[]){"x"}}}};
    REFUSED(say(m), ERR_NOT_FOUND, "a commit of elsewhere is refused");
    m = (struct message){
        .kind = MSG_evaluate,
        .evaluate = {.key = name("v"), .lineage = "pets", .commit = proto_base_alone()}};
    REFUSED(say(m), ERR_NOT_FOUND, "and so is measuring the base alone");
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
    is_int(stage(b, STAGE_PRIOR), STAGE_LEASED,
           "and the second makes them, at the group that waited");
    s = (struct message){
        .stage = {.job = b, .stage = STAGE_PRIOR, .epoch = record(b, STAGE_PRIOR)->epoch}};
    result("g2", &s, OK, "");
    uint64_t c = learn("pets", "<c>", WANT_PRIOR);
    is_int(stage(c, STAGE_PRIOR), STAGE_DONE, "a third job finds them made");
    is_int(core_prior(core, job(c)->prior)->maker, b, "and knows by whom");
}

static void failures(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t a = learn("pets", "<a>", 0), b = learn("pets", "<b>", 0);
    struct message s = ready("g1");
    result("g1", &s, ERR_INPUT, "image 2 is no image");
    is_int(job(a)->state, JOB_FAILED, "bad input fails a job at once");
    is_str(record(a, STAGE_TRAIN)->line, "image 2 is no image", "with its line");
    s = ready("g1");
    IS_STAGE(s, b, STAGE_TRAIN, "the next concept goes on without it");
    result("g1", &s, ERR_FULL, "disk full");
    is_int(job(b)->state, JOB_PAUSED, "a full disk pauses a job");
    is_int(ready("g1").kind, MSG_none, "which is not tried at once");
    pass(4999);
    is_int(job(b)->state, JOB_PAUSED, "nor after 4.999 s");
    ready("g1");
    pass(1);
    is_int(job(b)->state, JOB_RUNNING, "but after 5 s");
    uint64_t c = learn("pets", "<a>", 0);
    ok(c != 0, "the token of a failed job is free again");
}

static void losses(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t a = learn("pets", "<a>", 0);
    for (int i = 0; i < 3; i++) {
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
    is_int(job(a)->state, JOB_FAILED, "the third loss without progress ends the job");
    ok(strstr(record(a, STAGE_TRAIN)->line, "step 7") != NULL, "with evidence: %s",
       record(a, STAGE_TRAIN)->line);

    begin();
    lineage_as("ann", "pets");
    a = learn("pets", "<a>", 0);
    for (uint64_t i = 0; i < 12; i++) {
        struct message s = ready("g1");
        beat("g1", &s, i + 1);
        pass(30000);
        pass(60000);
    }
    is_int(job(a)->state, JOB_QUEUED, "a dozen losses, each further on, do not");
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
    step(&gone);
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
    say_as("root", stop, NULL);
    int told = 0;
    for (size_t i = 0; i < actions.n_tells; i++) told += actions.tells[i].answer.kind == MSG_end;
    is_int(told, 1, "a group that waits is told to leave");
    REFUSED(say(learn_with("pets", "<b>", 0, "")), ERR_ENVIRONMENT, "new work is refused");
    is_int(beat("g1", &s, 1).kind, MSG_go_on, "what runs may end");
    stop.stop.drain = 0;
    say_as("root", stop, NULL);
    is_int(beat("g1", &s, 2).kind, MSG_give_up, "unless one is asked not to wait");
    is_int(core_leased(core), 0, "then the stage goes back");
    is_int(record(1, STAGE_TRAIN)->losses, 0, "and that is nobody's loss");
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
    end();
    return done_testing();
}
