/* What people do to jobs that are there: retry, pause, drain, forget; lineages that wait for a failed concept; quarantine. */
#include "tests/core/support/say.h"

static struct message on(enum msg_kind kind, uint64_t id)
{
    switch (kind) {
    case MSG_retry: return say((struct message){.kind = MSG_retry, .retry.job = id});
    case MSG_cancel: return say((struct message){.kind = MSG_cancel, .cancel.job = id});
    case MSG_forget: return say((struct message){.kind = MSG_forget, .forget.job = id});
    default: return (struct message){0};
    }
}

static struct message hold(uint64_t id, const char *lineage, uint64_t yes)
{
    return say((struct message){.kind = MSG_pause, .pause = {id, lineage, yes}});
}

static void policy(const char *lineage, uint64_t on_failure)
{
    say((struct message){.kind = MSG_lineage_set,
                         .lineage_set = {.lineage = lineage, .on_failure = on_failure}});
}

static enum core_reason why(uint64_t id)
{
    struct core_why w = {0};
    if (core_job(core, id)) core_why(core, core_job(core, id), &w);
    return w.reason;
}

/* The next stage ends with a code. */
static struct message work(const char *group, enum code code)
{
    struct message s = ready(group);
    result(group, &s, code, code ? "as bad luck would have it" : "");
    pass(0);
    return s;
}

/* ---- sentences ---- */

/* Memory runs out at each allocation of a step in turn, and the batch goes on: it is refused as a whole. */
static void memory_runs_out(void)
{
    struct message m = {.kind = MSG_drain, .drain = {"g1", 1}};
    struct core_event ev = {
        .type = CORE_MESSAGE, .message = &m, .user = "root", .role = ROLE_ADMIN};
    struct core_event tick = {.type = CORE_TICK};
    int failed = 0;

    for (long n = 1; n < 12; n++) {
        begin();
        ready("g1");
        core_actions_clear(&actions);
        arena_fail_after(n);
        core_step(core, &ev, now, &actions);
        arena_fail_after(0);
        failed += actions.failed;
        core_step(core, &tick, now, &actions);
    }
    ok(failed > 2, "a drain that finds no memory is refused, %d times of 11", failed);
}

static void a_maker_that_paused(void)
{
    begin();
    lineage_as("ann", "pets");
    lineage_as("ann", "toys");
    uint64_t a = learn("pets", "<a>", WANT_PRIOR), b = learn("toys", "<b>", WANT_PRIOR);
    work("g1", ERR_IO);
    is_int(job(a)->state, JOB_PAUSED, "who makes class images for two is paused by a broken disk");
    hold(a, "", 1);
    is_int(job(a)->state, JOB_QUEUED, "and held, so the other makes them");
    on(MSG_cancel, b);
    is_int(stage(a, STAGE_PRIOR), STAGE_READY, "who is cancelled, so they are the first's again");
    is_int(job(a)->state, JOB_PAUSED, "which is paused, as before");
}

static void retry_of_a_reading(void)
{
    begin();
    lineage_as("ann", "pets");
    const char *prompt = "x";
    uint64_t j = say((struct message){.kind = MSG_sample,
                                      .sample = {.key = name("s"),
                                                 .lineage = "pets",
                                                 .per_prompt = 1,
                                                 .prompts = {1, &prompt}}})
                     .accepted.job;
    is_int(on(MSG_retry, j).kind, MSG_done, "a job that waits may be retried: nothing changes");
    work("g1", ERR_INPUT);
    is_int(job(j)->state, JOB_FAILED, "a sample has failed");
    ok(!core_job(core, j), "and is forgotten");
    is_int(on(MSG_retry, j).kind, MSG_done, "it is retried");
    is_int(job(j)->state, JOB_QUEUED, "and waits again");
    struct message s = work("g1", OK);
    ok(is_stage(&s, j, STAGE_SAMPLE) && s.stage.epoch > 1, "under a higher epoch");
    is_int(job(j)->state, JOB_DONE, "it is done");
    REFUSED(on(MSG_retry, j), ERR_INPUT, "what is done is not retried");
    REFUSED(say_as("bob", (struct message){.kind = MSG_retry, .retry.job = j}, NULL), ERR_DENIED,
            "nor another's job");
}

static void retry_after_its_turn(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t a = learn("pets", "<a>", WANT_SCORE), b = learn("pets", "<b>", 0),
             c = learn("pets", "<c>", 0);
    work("g1", OK);
    is_int(stage(a, STAGE_SCORE), STAGE_DONE, "the first one has its masks");
    work("g1", ERR_INPUT);
    is_int(job(a)->state, JOB_FAILED, "and fails in train");
    on(MSG_retry, a);
    struct message s = work("g1", OK);
    IS_STAGE(s, b, STAGE_TRAIN, "the turn has passed to the second");
    restart();
    s = work("g1", OK);
    IS_STAGE(s, c, STAGE_TRAIN, "then the third, also after a restart");
    is_int(stage(a, STAGE_SCORE), STAGE_READY, "its masks are of another head: scored anew");
    s = work("g1", OK);
    IS_STAGE(s, a, STAGE_SCORE, "the one that was retried comes last");
    work("g1", OK);
    is_int(core_lineage_named(core, "pets")->n_commits, 3, "and commits");
}

static void token_taken_since(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t a = learn("pets", "<a>", 0), b;
    work("g1", ERR_INPUT);
    now++;
    b = learn("pets", "<a>", 0);
    ok(b > a, "the token of a failed job is free");
    REFUSED(on(MSG_retry, a), ERR_EXISTS, "so the failed one cannot have it back");
    work("g1", ERR_INPUT);
    is_int(on(MSG_retry, a).kind, MSG_done, "until the other one has failed as well");
}

static void waiting_for_the_failed(void)
{
    begin();
    lineage_as("ann", "pets");
    policy("pets", FAILURE_WAIT);
    uint64_t a = learn("pets", "<a>", 0), b = learn("pets", "<b>", 0);
    work("g1", ERR_INPUT);
    ok(job(a)->state == JOB_FAILED && core_job(core, a), "a failed concept keeps its turn");
    is_int(ready("g1").kind, MSG_none, "the next one waits");
    is_int(why(b), WHY_FAILED, "and says for what");
    restart();
    is_int(ready("g1").kind, MSG_none, "also after a restart");
    on(MSG_retry, a);
    is_int(stage(a, STAGE_TRAIN), STAGE_LEASED, "retried, it goes on at its place");
    struct message s = {
        .stage = {.job = a, .stage = STAGE_TRAIN, .epoch = record(a, STAGE_TRAIN)->epoch}};
    result("g1", &s, ERR_INPUT, "again");
    is_int(on(MSG_cancel, a).kind, MSG_done, "cancelled, it gives its turn away");
    is_int(job(a)->state, JOB_CANCELLED, "and is cancelled");
    is_int(on(MSG_cancel, a).kind, MSG_done, "twice is as good as once");
    s = work("g1", ERR_INPUT);
    IS_STAGE(s, b, STAGE_TRAIN, "the next one has it");
    uint64_t c = learn("pets", "<c>", 0);
    is_int(ready("g1").kind, MSG_none, "fails, and is waited for");
    policy("pets", FAILURE_SKIP);
    is_int(stage(c, STAGE_TRAIN), STAGE_LEASED, "until the lineage is told to skip");
    ok(shelf.jobs[b - 1].job.flags == 0, "which lets the failed one go");
}

static void pausing(void)
{
    begin();
    lineage_as("ann", "pets");
    lineage_as("ann", "toys");
    uint64_t a = learn("pets", "<a>", 0), b = learn("toys", "<b>", 0);
    is_int(hold(a, "", 1).kind, MSG_done, "a job is paused");
    is_int(hold(a, "", 1).kind, MSG_done, "twice is as good as once");
    is_int(why(a), WHY_HELD, "it says so");
    hold(0, "toys", 1);
    is_int(why(b), WHY_HELD, "a lineage may be, too");
    struct core_backlog there;
    core_backlog(core, &there);
    is_int(there.ready, 0, "nothing of them could begin");
    restart();
    is_int(ready("g1").kind, MSG_none, "nor after a restart");
    hold(0, "toys", 0);
    is_int(stage(b, STAGE_TRAIN), STAGE_LEASED, "a lineage that is resumed goes on");
    hold(b, "", 1);
    struct message s = {
        .stage = {.job = b, .stage = STAGE_TRAIN, .epoch = record(b, STAGE_TRAIN)->epoch}};
    is_int(beat("g1", &s, 1).kind, MSG_go_on, "a stage that runs may end");
    is_int(result("g1", &s, OK, "").kind, MSG_done, "and counts");
    hold(a, "", 0);
    s = work("g1", OK);
    IS_STAGE(s, a, STAGE_TRAIN, "a job that is resumed goes on");
    pass(1);
    REFUSED(hold(a, "", 1), ERR_INPUT, "what has ended is not paused");
    REFUSED(hold(0, "", 1), ERR_INPUT, "and nothing is not, either");
}

static void paused_maker(void)
{
    begin();
    lineage_as("ann", "pets");
    lineage_as("ann", "toys");
    uint64_t a = learn("pets", "<a>", WANT_PRIOR), b = learn("toys", "<b>", WANT_PRIOR);
    hold(a, "", 1);
    is_int(core_prior(core, job(b)->prior)->maker, b,
           "who waits for the class images of a paused job makes them");
    hold(a, "", 0);
    struct message s = work("g1", OK);
    IS_STAGE(s, b, STAGE_PRIOR, "once");
    is_int(stage(a, STAGE_PRIOR), STAGE_DONE, "for both");
}

static void draining(void)
{
    begin();
    lineage_as("ann", "pets");
    ready("g1");
    ready("g2");
    say_as("root", (struct message){.kind = MSG_drain, .drain = {"g1", 1}}, NULL);
    uint64_t a = learn("pets", "<a>", 0);
    ok(hash_equal(record(a, STAGE_TRAIN)->group, name("g2")), "a group that drains gets nothing");
    say_as("root", (struct message){.kind = MSG_drain, .drain = {"", 1}}, NULL);
    struct message s = {
        .stage = {.job = a, .stage = STAGE_TRAIN, .epoch = record(a, STAGE_TRAIN)->epoch}};
    is_int(result("g2", &s, OK, "").kind, MSG_done, "what runs may end");
    uint64_t b = learn("pets", "<b>", 0);
    is_int(ready("g2").kind, MSG_none, "when all drain nobody gets anything");
    is_int(why(b), WHY_DRAINING, "and the job says so");
    say_as("root", (struct message){.kind = MSG_drain, .drain = {"", 0}}, NULL);
    is_int(stage(b, STAGE_TRAIN), STAGE_LEASED, "until they are used again");
    ok(hash_equal(record(b, STAGE_TRAIN)->group, name("g2")), "g1 still is not");
}

static void forgetting(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t a = learn("pets", "<a>", 0);
    REFUSED(on(MSG_forget, a), ERR_INPUT, "a job that waits is not forgotten");
    work("g1", OK);
    pass(1);
    is_int(on(MSG_forget, a).kind, MSG_done, "one that has ended is");
    int put = 0, told = 0;
    for (size_t i = 0; i < actions.n_puts; i++) put += actions.puts[i].type == PUT_FORGET;
    for (size_t i = 0; i < actions.n_tells; i++) told += actions.tells[i].type == TELL_FORGET;
    ok(put == 1 && told == 1, "its row loses its prompts, then its objects go");
    is_int(on(MSG_forget, a).kind, MSG_done, "twice is as good as once");
    is_int(core_lineage_named(core, "pets")->n_commits, 1, "its commit stays");
}

static void quarantine(void)
{
    begin();
    lineage_as("ann", "pets");
    uint64_t a = learn("pets", "<a>", 0);
    for (int i = 0; i < 3; i++) {
        struct message s = ready("g1");
        beat("g1", &s, 7);
        result("g1", &s, ERR_INTERNAL, "crashed");
        pass(60000);
    }
    is_int(job(a)->state, JOB_FAILED, "three losses without progress are a quarantine");
    ok(strstr(record(a, STAGE_TRAIN)->line, "retry") != NULL, "which says how it is left: %s",
       record(a, STAGE_TRAIN)->line);
    on(MSG_retry, a);
    struct message s = ready("g1");
    IS_STAGE(s, a, STAGE_TRAIN, "a retry lets it run again");
    is_int(record(a, STAGE_TRAIN)->losses, 0, "with its losses forgotten");
}

static void old_ones(void)
{
    begin();
    lineage_as("ann", "pets");
    lineage_as("ann", "toys");
    uint64_t a = learn("pets", "<a>", 0);
    hold(a, "", 1);
    for (int i = 0; i < 6000; i++) {
        char token[32];
        snprintf(token, sizeof token, "<t%d>", i);
        uint64_t b = learn("toys", token, 0);
        on(MSG_cancel, b);
    }
    ok(job(a)->flags & JOB_MARKED, "a job that is open for very long is marked");
    ok(shelf.clock.open > a, "so that a restart need not read all that ended since");
    restart();
    ok(core_job(core, a) != NULL, "and is there after it");
    hold(a, "", 0);
    struct message s = ready("g1");
    IS_STAGE(s, a, STAGE_TRAIN, "and runs");
}

int main(void)
{
    memory_runs_out();
    a_maker_that_paused();
    retry_of_a_reading();
    retry_after_its_turn();
    token_taken_since();
    waiting_for_the_failed();
    pausing();
    paused_maker();
    draining();
    forgetting();
    quarantine();
    old_ones();
    end();
    return done_testing();
}
