/* metrics.c - the snapshot in the text format that Prometheus reads (version 0.0.4): for each metric its HELP, its TYPE, its
 * samples. Names end in their unit, counters in _total. Labels have few values, all of them ours.
 */
#include "coordinator/web/web.h"

#include <inttypes.h>

static void head(struct text *t, const char *name, const char *type, const char *help)
{
    text_printf(t, "# HELP engram_%s %s\n# TYPE engram_%s %s\n", name, help, name, type);
}

static void one(struct text *t, const char *name, const char *type, const char *help, double value)
{
    head(t, name, type, help);
    text_printf(t, "engram_%s %.15g\n", name, value);
}

static void whole(struct text *t, const char *name, const char *help, uint64_t value)
{
    head(t, name, "gauge", help);
    text_printf(t, "engram_%s %" PRIu64 "\n", name, value);
}

static void labelled(struct text *t, const char *name, const char *label, const char *is,
                     uint64_t value)
{
    text_printf(t, "engram_%s{%s=\"%s\"} %" PRIu64 "\n", name, label, is, value);
}

/* ---- how things stand ---- */

static void jobs(struct text *t, const struct web_snapshot *s)
{
    head(t, "jobs", "gauge", "Jobs that have not ended, by state.");
    for (int i = JOB_QUEUED; i < JOB_DONE; i++)
        labelled(t, "jobs", "state", proto_job_state((uint64_t)i), s->jobs[i]);
    head(t, "jobs_ended_total", "counter",
         "Jobs that have ended, by state, since the home was made.");
    for (int i = JOB_DONE; i <= JOB_CANCELLED; i++)
        labelled(t, "jobs_ended_total", "state", proto_job_state((uint64_t)i), s->jobs[i]);
    one(t, "oldest_waiting_seconds", "gauge",
        "Age of the oldest job that waits and of which nothing has run yet; 0 when none waits.",
        s->oldest_waiting_s);
}

static void stages(struct text *t, const struct web_snapshot *s)
{
    head(t, "stages", "gauge", "Stages that a worker group could begin now, and those that run.");
    labelled(t, "stages", "state", "ready", s->ready);
    labelled(t, "stages", "state", "leased", s->leased);
    whole(t, "groups", "Worker groups that have said hello.", s->groups);
    whole(t, "ranks", "Ranks of these groups, together.", s->ranks);
    whole(t, "groups_waiting", "Worker groups that have nothing to do, and may have.",
          s->groups_waiting);
    whole(t, "groups_draining", "Worker groups that get no new stage.", s->groups_draining);
}

static void people(struct text *t, const struct web_snapshot *s)
{
    whole(t, "users", "Users that are known.", s->users);
    whole(t, "users_queued", "Users who have a job that waits.", s->users_queued);
    whole(t, "users_running", "Users for whom a stage runs.", s->users_running);
    whole(t, "lineages", "Lineages.", s->lineages);
}

static void disk(struct text *t, const struct web_snapshot *s)
{
    whole(t, "database_bytes", "Size of coordinator.db.", s->database_bytes);
    whole(t, "wal_bytes", "Size of its write-ahead log.", s->wal_bytes);
    whole(t, "disk_free_bytes", "What the file system of the home has left.", s->disk_free_bytes);
}

static void process(struct text *t, const struct web_snapshot *s)
{
    head(t, "build_info", "gauge", "Always 1; the label says which build this is.");
    labelled(t, "build_info", "version", ENGRAM_VERSION, 1);
    one(t, "start_time_seconds", "gauge", "When the coordinator started, in Unix time.",
        s->started_s);
    whole(t, "up", "Whether what is asked for can be made durable: 1, else 0.", !s->trouble[0]);
}

/* ---- what has happened ---- */

static int is_stage(int k)
{
    return k != STAGE_CAPTION; /* reserved */
}

static void by_stage(struct text *t, const char *name, const char *help,
                     const uint64_t n[STAGE_KINDS])
{
    head(t, name, "counter", help);
    for (int k = STAGE_PRIOR; k < STAGE_KINDS; k++)
        if (is_stage(k)) labelled(t, name, "stage", proto_stage_kind((uint64_t)k), n[k]);
}

/* Pairs that never came are left out: a hundred zeros help nobody. Good results are always there, for rates. */
static void results(struct text *t, const struct web_counts *c)
{
    head(t, "results_total", "counter", "Results of stages that counted, by the code they had.");
    for (int k = STAGE_PRIOR; k < STAGE_KINDS; k++)
        for (int code = OK; is_stage(k) && code < ERR_CODES; code++)
            if (code == OK || c->results[k][code])
                text_printf(t, "engram_results_total{stage=\"%s\",code=\"%s\"} %" PRIu64 "\n",
                            proto_stage_kind((uint64_t)k), err_name((enum code)code),
                            c->results[k][code]);
    head(t, "stage_seconds", "summary", "How long good stages took, as their groups measured.");
    for (int k = STAGE_PRIOR; k < STAGE_KINDS; k++)
        if (is_stage(k))
            text_printf(t,
                        "engram_stage_seconds_sum{stage=\"%s\"} %.15g\n"
                        "engram_stage_seconds_count{stage=\"%s\"} %" PRIu64 "\n",
                        proto_stage_kind((uint64_t)k), c->stage_seconds[k],
                        proto_stage_kind((uint64_t)k), c->results[k][OK]);
}

static void histogram(struct text *t, const char *name, const char *help,
                      const struct web_histogram *h)
{
    uint64_t n = 0;

    head(t, name, "histogram", help);
    for (int i = 0; i < WEB_BUCKETS; i++)
        text_printf(t, "engram_%s_bucket{le=\"%.15g\"} %" PRIu64 "\n", name, h->bounds[i],
                    n += h->n[i]);
    n += h->n[WEB_BUCKETS];
    text_printf(t, "engram_%s_bucket{le=\"+Inf\"} %" PRIu64 "\nengram_%s_sum %.15g\n", name, n,
                name, h->sum);
    text_printf(t, "engram_%s_count %" PRIu64 "\n", name, n);
}

static void counts(struct text *t, const struct web_counts *c)
{
    head(t, "submissions_total", "counter", "Jobs that were accepted, by kind.");
    for (int k = JOB_LEARN; k <= JOB_EVALUATE; k++)
        labelled(t, "submissions_total", "kind", proto_job_kind((uint64_t)k), c->submissions[k]);
    by_stage(t, "grants_total", "Leases that were granted.", c->grants);
    by_stage(t, "losses_total", "Leases whose group died, fell silent or had an internal error.",
             c->losses);
    results(t, c);
    head(t, "refused_total", "counter", "Messages that were answered by a refusal, by its code.");
    for (int code = ERR_USAGE; code < ERR_CODES; code++)
        labelled(t, "refused_total", "code", err_name((enum code)code), c->refused[code]);
    histogram(t, "batch_messages", "Messages of a turn of the loop that had any.", &c->batch);
    histogram(t, "transaction_seconds", "Time of a transaction that wrote, its sync included.",
              &c->transaction);
}

void web_metrics(const struct web_snapshot *s, struct text *out)
{
    process(out, s);
    jobs(out, s);
    stages(out, s);
    people(out, s);
    disk(out, s);
    counts(out, &s->counts);
}
