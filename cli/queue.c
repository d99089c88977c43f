/* queue.c - `engram queue`, `engram watch`: jobs as their owner sees them. */
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

static void print_row(const struct job_row *r, int owner)
{
    char age[32], at[64], whose[PROTO_NAME + 2] = "";
    int64_t end = r->finished_ms ? r->finished_ms : now_ms();
    cli_duration((double)(end - r->submitted_ms) / 1000.0, age);
    if (r->stage && r->of)
        snprintf(at, sizeof at, "%s %" PRIu64 "/%" PRIu64, proto_stage_kind(r->stage), r->step,
                 r->of);
    else snprintf(at, sizeof at, "%s", r->stage ? proto_stage_kind(r->stage) : "");
    if (owner) snprintf(whose, sizeof whose, "%-12s ", r->owner);
    printf("%5" PRIu64 "  %s%-9s %-9s %-16s %-12s %-16s %12s%s%s\n", r->job, whose,
           proto_job_kind(r->kind), proto_job_state(r->state), r->lineage,
           *r->token ? r->token : "-", at, age, *r->line ? "  " : "", r->line);
}

/* What keeps worker groups from starting, if anything does. */
static void say_trouble(struct arena *a)
{
    struct message ask = {.kind = MSG_ping, .ping = {.client = "engram queue"}}, answer;
    struct err e;
    if (!cli_ask(&ask, a, &answer, &e) && *answer.pong.line) cli_say("%s", answer.pong.line);
}

struct asking {
    const char *lineage, *owner, *why;
    int all, all_users;
    int64_t limit, below;
};

static void print_rows(const struct asking *q, const struct job_rows *rows, uint64_t total)
{
    int owners = q->all_users || *q->owner;
    if (!rows->n)
        cli_say(q->all ? "no jobs yet"
                       : "nothing waits or runs; engram queue --all shows what has ended");
    else
        printf("%5s  %s%-9s %-9s %-16s %-12s %-16s %12s\n", "JOB", owners ? "OWNER        " : "",
               "KIND", "STATE", "LINEAGE", "TOKEN", "STAGE", "AGE");
    for (size_t i = 0; i < rows->n; i++) print_row(&rows->v[i], owners);
    if (total <= rows->n || !rows->n) return;
    uint64_t last = rows->v[rows->n - 1].job;
    if (*q->lineage) cli_say("there are more; the next ones: --below %" PRIu64, last);
    else cli_say("%zu of %" PRIu64 " shown; the next ones: --below %" PRIu64, rows->n, total, last);
}

/* What is in its way, and when that may be over. */
static void explain(const struct job_row *r)
{
    char when[32];
    const char *now = proto_job_state(r->state);
    printf("job %" PRIu64 " is %s%s%s\n", r->job, now, *r->line ? ": " : "", r->line);
    if (JOB_ENDED(r->state)) return;
    if (r->state == JOB_RUNNING && r->eta_ms >= 0)
        printf("its stage %s ends in about %s\n", proto_stage_kind(r->stage),
               cli_duration((double)r->eta_ms / 1000.0, when));
    else if (r->state == JOB_RUNNING) return;
    else if (r->starts_in_ms >= 0)
        printf("%s begins in about %s, as far as one can tell\n", proto_stage_kind(r->stage),
               cli_duration((double)r->starts_in_ms / 1000.0, when));
    else printf("when it goes on cannot be told yet\n");
}

static int run_why(const struct asking *q, struct arena *a)
{
    struct message ask = {.kind = MSG_job}, answer;
    struct err e = {0};
    if (cli_job(q->why, &ask.job.job, &e) || cli_ask(&ask, a, &answer, &e)) return cli_fail(&e);
    const struct job_row *r = &answer.job_info.rows.v[0];
    if (cli.json) return cli_print(cli_job_json(r));
    explain(r);
    cli_close();
    return 0;
}

static enum code check_asking(const struct asking *q, const struct words *rest, struct err *e)
{
    if (rest->n)
        return err_set(e, ERR_USAGE,
                       "engram queue takes no \"%s\"; one job is shown by: engram show JOB",
                       rest->v[0]);
    if (q->all_users && *q->owner)
        return err_set(e, ERR_USAGE, "either --owner NAME or --all-users");
    return OK;
}

static int run_queue(int argc, char **argv)
{
    struct asking q = {.lineage = "", .owner = "", .limit = PROTO_ROWS};
    struct option_spec o[] = {
        {"lineage", OPTION_TEXT, &q.lineage, "NAME", "only its jobs"},
        {"all", OPTION_FLAG, &q.all, NULL, "ended jobs too"},
        {"why", OPTION_TEXT, &q.why, "JOB",
         "the one thing that this job waits for, and about how long"},
        {"owner", OPTION_TEXT, &q.owner, "USER", "jobs of somebody else, where you may see them"},
        {"all-users", OPTION_FLAG, &q.all_users, NULL, "jobs of everybody that you may see"},
        {"limit", OPTION_NUMBER, &q.limit, "N", "at most so many, newest first (default 1000)"},
        {"below", OPTION_NUMBER, &q.below, "JOB", "only older jobs than this, for the next page"},
    };
    struct err e = {0};
    struct words rest;
    static struct arena a;
    struct job_rows rows;
    uint64_t total = 0;
    enum code rc = options_read(&verb_queue, o, sizeof o / sizeof *o, argc, argv, &rest, &e);
    if (!rc) rc = check_asking(&q, &rest, &e);
    if (rc) return cli_fail(&e);
    if (q.why) return run_why(&q, &a);
    struct msg_queue ask = {.states = q.all ? 0 : STATES_OPEN,
                            .lineage = q.lineage,
                            .owner = q.all_users ? "*" : q.owner,
                            .below = (uint64_t)q.below};
    if (cli_jobs(&ask, (uint64_t)q.limit, &a, &rows, &total, &e)) return cli_fail(&e);
    if (cli.json) {
        json_t *jobs = json_array();
        for (size_t i = 0; i < rows.n; i++) json_array_append_new(jobs, cli_job_json(&rows.v[i]));
        return cli_print(json_pack("{s:o,s:I}", "jobs", jobs, "total", (json_int_t)total));
    }
    print_rows(&q, &rows, total);
    if (rows.n) say_trouble(&a);
    cli_close();
    return 0;
}

const struct verb verb_queue = {
    .name = "queue",
    .what = "list jobs: waiting, running, paused; with --all ended ones too",
    .usage = "engram queue [--lineage NAME] [--all] | engram queue --why JOB",
    .examples = "  engram queue\n"
                "  engram queue --why 12               why it does not run, and when it may\n"
                "  engram queue --lineage pets --all --json\n"
                "  engram queue --all-users --limit 50\n",
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
    static struct arena a;
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
