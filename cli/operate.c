/* operate.c - `engram cancel`, `retry`, `pause`, `resume`, `forget`: one word about each of several jobs. Each job is asked about by
 * itself; where one is refused the others are done all the same, and the exit status is that of the first refusal.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct operation {
    const struct verb *verb;
    const char *done; /* "cancelled" */
    void (*make)(uint64_t job, struct message *ask);
    json_t *jobs;     /* with --json */
    struct err first; /* of those that were refused */
};

static void about_one(struct operation *o, uint64_t job)
{
    struct arena a = {0};
    struct message ask = {0}, answer;
    struct err e = {0};
    o->make(job, &ask);
    enum code rc = cli_ask(&ask, &a, &answer, &e);
    const char *line = rc ? e.text : *answer.done.line ? answer.done.line : o->done;
    if (rc && !o->first.code) o->first = e;
    if (o->jobs)
        json_array_append_new(o->jobs, json_pack("{s:I,s:s,s:s}", "job", (json_int_t)job, "code",
                                                 err_name(rc), "line", line));
    else if (rc) fprintf(stderr, "engram: %s\n", e.text);
    else printf("job %" PRIu64 ": %s\n", job, line);
    arena_fini(&a);
}

static int end(struct operation *o)
{
    int status = o->first.code ? err_exit_status(o->first.code) : 0;
    if (o->jobs) {
        int printed = cli_print(json_pack("{s:o}", "jobs", o->jobs));
        return status ? status : printed;
    }
    cli_close();
    return status;
}

/* All ids are understood before anything is asked. */
static int about_each(struct operation *o, const struct words *ids)
{
    struct err e = {0};
    uint64_t job;
    if (!ids->n) {
        err_set(&e, ERR_USAGE, "usage: %s", o->verb->usage);
        return cli_fail(&e);
    }
    for (size_t i = 0; i < ids->n; i++)
        if (cli_job(ids->v[i], &job, &e)) return cli_fail(&e);
    o->jobs = cli.json ? json_array() : NULL;
    for (size_t i = 0; i < ids->n; i++)
        if (!cli_job(ids->v[i], &job, NULL)) about_one(o, job);
    return end(o);
}

/* ---- cancel ---- */

static void make_cancel(uint64_t job, struct message *ask)
{
    *ask = (struct message){.kind = MSG_cancel, .cancel.job = job};
}

static int run_cancel(int argc, char **argv)
{
    struct operation o = {.verb = &verb_cancel, .done = "cancelled", .make = make_cancel};
    struct err e = {0};
    struct words ids;
    if (options_read(&verb_cancel, NULL, 0, argc, argv, &ids, &e)) return cli_fail(&e);
    return about_each(&o, &ids);
}

const struct verb verb_cancel = {
    .name = "cancel",
    .what = "end jobs; a commit that has happened stays",
    .usage = "engram cancel JOB...",
    .examples = "  engram cancel 12\n"
                "  engram cancel 12 13 14\n",
    .run = run_cancel,
};

/* ---- retry ---- */

static void make_retry(uint64_t job, struct message *ask)
{
    *ask = (struct message){.kind = MSG_retry, .retry.job = job};
}

/* Everything of the caller's that has failed, oldest first, so that concepts keep their order. */
static int retry_failed(struct operation *o, const char *lineage)
{
    struct message ask = {.kind = MSG_queue,
                          .queue = {.states = 1u << JOB_FAILED, .lineage = lineage}};
    static struct arena a;
    struct job_rows rows;
    struct err e = {0};
    if (cli_jobs(&ask.queue, UINT64_MAX, &a, &rows, NULL, &e)) return cli_fail(&e);
    o->jobs = cli.json ? json_array() : NULL;
    if (!rows.n) cli_say("nothing has failed");
    for (size_t i = rows.n; i-- > 0;) about_one(o, rows.v[i].job);
    return end(o);
}

static int run_retry(int argc, char **argv)
{
    struct operation o = {.verb = &verb_retry, .done = "queued again", .make = make_retry};
    const char *lineage = NULL;
    int failed = 0;
    struct option_spec spec[] = {
        {"failed", OPTION_FLAG, &failed, NULL, "every job of yours that has failed"},
        {"lineage", OPTION_TEXT, &lineage, "NAME", "with --failed: of this lineage only"}};
    struct err e = {0};
    struct words ids;
    if (options_read(&verb_retry, spec, 2, argc, argv, &ids, &e)) return cli_fail(&e);
    if (!failed && !lineage) return about_each(&o, &ids);
    if (failed && !ids.n) return retry_failed(&o, lineage ? lineage : "");
    err_set(&e, ERR_USAGE, "either jobs, or --failed [--lineage NAME]; see engram retry --help");
    return cli_fail(&e);
}

const struct verb verb_retry = {
    .name = "retry",
    .what = "queue failed or cancelled jobs again",
    .usage = "engram retry JOB... | engram retry --failed [--lineage NAME]",
    .examples = "  engram retry 12\n"
                "  engram retry --failed --lineage pets\n",
    .more =
        "What was finished stays finished. A concept takes its place at the end of its lineage, "
        "or keeps it where the lineage waited\n"
        "for it (engram lineage set --on-failure wait). A stage that was quarantined may begin "
        "again: look at engram show first.\n",
    .run = run_retry,
};

/* ---- pause, resume ---- */

static void make_pause(uint64_t job, struct message *ask)
{
    *ask = (struct message){.kind = MSG_pause, .pause = {.job = job, .lineage = "", .on = 1}};
}

static void make_resume(uint64_t job, struct message *ask)
{
    *ask = (struct message){.kind = MSG_pause, .pause = {.job = job, .lineage = ""}};
}

static int about_lineage(const struct operation *o, const char *lineage)
{
    struct message ask, answer;
    static struct arena a;
    struct err e = {0};
    o->make(0, &ask);
    ask.pause.lineage = lineage;
    if (cli_ask(&ask, &a, &answer, &e)) return cli_fail(&e);
    if (cli.json)
        return cli_print(json_pack("{s:s,s:b}", "lineage", lineage, "held", (int)ask.pause.on));
    printf("lineage %s: %s\n", lineage, o->done);
    cli_close();
    return 0;
}

static int hold(struct operation *o, int argc, char **argv)
{
    const char *lineage = NULL;
    struct option_spec spec[] = {
        {"lineage", OPTION_TEXT, &lineage, "NAME", "everything of this lineage"}};
    struct err e = {0};
    struct words ids;
    if (options_read(o->verb, spec, 1, argc, argv, &ids, &e)) return cli_fail(&e);
    if (!lineage) return about_each(o, &ids);
    if (!ids.n) return about_lineage(o, lineage);
    err_set(&e, ERR_USAGE, "either jobs or --lineage; usage: %s", o->verb->usage);
    return cli_fail(&e);
}

static int run_pause(int argc, char **argv)
{
    struct operation o = {.verb = &verb_pause, .done = "held", .make = make_pause};
    return hold(&o, argc, argv);
}

static int run_resume(int argc, char **argv)
{
    struct operation o = {.verb = &verb_resume, .done = "resumed", .make = make_resume};
    return hold(&o, argc, argv);
}

const struct verb verb_pause = {
    .name = "pause",
    .what = "hold jobs, or a lineage: no stage of them begins, running ones end",
    .usage = "engram pause JOB... | engram pause --lineage NAME",
    .examples = "  engram pause 12 13\n"
                "  engram pause --lineage pets\n",
    .more = "A concept that is held keeps its place: those behind it in the lineage wait for it.\n",
    .run = run_pause,
};

const struct verb verb_resume = {
    .name = "resume",
    .what = "let held jobs, or a lineage, go on",
    .usage = "engram resume JOB... | engram resume --lineage NAME",
    .examples = "  engram resume 12 13\n"
                "  engram resume --lineage pets\n",
    .run = run_resume,
};

/* ---- forget ---- */

static void make_forget(uint64_t job, struct message *ask)
{
    *ask = (struct message){.kind = MSG_forget, .forget.job = job};
}

static int run_forget(int argc, char **argv)
{
    struct operation o = {.verb = &verb_forget, .done = "forgotten", .make = make_forget};
    struct err e = {0};
    struct words ids;
    if (options_read(&verb_forget, NULL, 0, argc, argv, &ids, &e)) return cli_fail(&e);
    return about_each(&o, &ids);
}

const struct verb verb_forget = {
    .name = "forget",
    .what = "remove photos, captions, prompts and previews of ended jobs",
    .usage = "engram forget JOB...",
    .examples = "  engram forget 12\n",
    .more =
        "For good, and at once: what another job needs too stays. Hashes stay, and so does what "
        "was learned: a commit is not undone by\n"
        "forgetting its photos.\n",
    .run = run_forget,
};
