/* queue.c - `engram queue`, `engram watch`, `engram cancel`: jobs as their owner sees them. */
#include "cli/cli.h"
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void print_row(const struct job_row *r)
{
    char age[32], at[64];
    int64_t end = r->finished_ms ? r->finished_ms : now_ms();
    cli_duration((double)(end - r->submitted_ms) / 1000.0, age);
    if (r->stage && r->of)
        snprintf(at, sizeof at, "%s %" PRIu64 "/%" PRIu64, proto_stage_kind(r->stage), r->step,
                 r->of);
    else snprintf(at, sizeof at, "%s", r->stage ? proto_stage_kind(r->stage) : "");
    printf("%5" PRIu64 "  %-9s %-9s %-16s %-12s %-16s %12s%s%s\n", r->job, proto_job_kind(r->kind),
           proto_job_state(r->state), r->lineage, *r->token ? r->token : "-", at, age,
           *r->line ? "  " : "", r->line);
}

/* What keeps worker groups from starting, if anything does. */
static void say_trouble(struct arena *a)
{
    struct message ask = {.kind = MSG_ping, .ping = {.client = "engram queue"}}, answer;
    struct err e;
    if (!cli_ask(&ask, a, &answer, &e) && *answer.pong.line) cli_say("%s", answer.pong.line);
}

static int run_queue(int argc, char **argv)
{
    int all = 0;
    const char *lineage = "";
    int64_t limit = 0;
    struct option_spec o[] = {
        {"lineage", OPTION_TEXT, &lineage, "NAME", "only its jobs"},
        {"all", OPTION_FLAG, &all, NULL, "ended jobs too"},
        {"limit", OPTION_NUMBER, &limit, "N", "at most so many, newest first"},
    };
    struct err e = {0};
    struct words rest;
    struct arena a = {0};
    struct message answer;
    if (options_read(&verb_queue, o, 3, argc, argv, &rest, &e)) return cli_fail(&e);
    if (rest.n)
        err_set(&e, ERR_USAGE, "engram queue takes no \"%s\"; one job is shown by: engram show JOB",
                rest.v[0]);
    else if (limit > PROTO_ROWS)
        err_set(&e, ERR_USAGE, "--limit %" PRId64 ": expected 1 to %d", limit, PROTO_ROWS);
    if (e.code) return cli_fail(&e);
    struct message ask = {
        .kind = MSG_queue,
        .queue = {.states = all ? 0 : STATES_OPEN, .lineage = lineage, .limit = (uint64_t)limit}};
    if (cli_ask(&ask, &a, &answer, &e)) return cli_fail(&e);
    const struct job_rows *rows = &answer.jobs.rows;
    if (cli.json) {
        json_t *jobs = json_array();
        for (size_t i = 0; i < rows->n; i++) json_array_append_new(jobs, cli_job_json(&rows->v[i]));
        return cli_print(
            json_pack("{s:o,s:I}", "jobs", jobs, "total", (json_int_t)answer.jobs.total));
    }
    if (!rows->n)
        cli_say(all ? "no jobs yet"
                    : "nothing waits or runs; engram queue --all shows what has ended");
    else
        printf("%5s  %-9s %-9s %-16s %-12s %-16s %12s\n", "JOB", "KIND", "STATE", "LINEAGE",
               "TOKEN", "STAGE", "AGE");
    for (size_t i = 0; i < rows->n; i++) print_row(&rows->v[i]);
    if (answer.jobs.total > rows->n)
        cli_say("%zu of %" PRIu64 " shown; --limit N shows more", rows->n, answer.jobs.total);
    if (rows->n) say_trouble(&a);
    cli_close();
    return 0;
}

const struct verb verb_queue = {
    .name = "queue",
    .what = "list jobs: waiting, running, paused; with --all ended ones too",
    .usage = "engram queue [--lineage NAME] [--all]",
    .examples = "  engram queue\n"
                "  engram queue --lineage pets --all --json\n",
    .run = run_queue,
};

static int one_job(const struct verb *v, int argc, char **argv, uint64_t *job, struct err *e)
{
    struct words rest;
    if (options_read(v, NULL, 0, argc, argv, &rest, e)) return 1;
    if (rest.n != 1) return err_set(e, ERR_USAGE, "usage: %s", v->usage) != OK;
    return cli_job(rest.v[0], job, e) != OK;
}

static int run_watch(int argc, char **argv)
{
    struct err e = {0};
    struct arena a = {0};
    struct job_row row;
    uint64_t job = 0;
    char took[32];
    if (one_job(&verb_watch, argc, argv, &job, &e)) return cli_fail(&e);
    enum code rc = progress_follow(job, &a, &row, &e);
    if (rc && !(cli.json && JOB_ENDED(row.state))) return cli_fail(&e);
    if (cli.json) {
        int status = cli_print(cli_job_json(&row));
        return rc ? err_exit_status(rc) : status;
    }
    printf("job %" PRIu64 " is done after %s\n", job,
           cli_duration((double)(row.finished_ms - row.started_ms) / 1000.0, took));
    cli_close();
    return 0;
}

const struct verb verb_watch = {
    .name = "watch",
    .what = "follow a job to its end",
    .usage = "engram watch JOB",
    .examples = "  engram watch 12                    Ctrl-C stops watching, not the job\n"
                "  engram watch 12 --json             silent until it has ended, then its row\n",
    .run = run_watch,
};

static int run_cancel(int argc, char **argv)
{
    struct err e = {0};
    struct arena a = {0};
    struct message answer;
    uint64_t job = 0;
    if (one_job(&verb_cancel, argc, argv, &job, &e)) return cli_fail(&e);
    struct message ask = {.kind = MSG_cancel, .cancel = {.job = job}};
    if (cli_ask(&ask, &a, &answer, &e)) return cli_fail(&e);
    if (cli.json)
        return cli_print(json_pack("{s:I,s:s}", "job", (json_int_t)job, "line", answer.done.line));
    printf("job %" PRIu64 ": %s\n", job,
           answer.done.line && *answer.done.line ? answer.done.line : "cancelled");
    cli_close();
    return 0;
}

const struct verb verb_cancel = {
    .name = "cancel",
    .what = "end a job; a commit that has happened stays",
    .usage = "engram cancel JOB",
    .examples = "  engram cancel 12\n",
    .run = run_cancel,
};
