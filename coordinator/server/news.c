/* news.c - what has happened, as lines of the log. Nothing that a user wrote stands in them but names of lineages: a line of a worker
 * that blames what was asked for may quote it, and is left to `engram show`. */
#include "coordinator/server/server.h"

#include "base/log.h"

#include <stdio.h>

static const char *lineage_name(const struct server *s, uint32_t id)
{
    const struct core_lineage *l = s->core ? core_lineage(s->core, id) : NULL;
    return l ? l->name : "";
}

/* "; disk full", or "" where it is not to be repeated. */
static const char *because(const struct core_news *n, char out[PROTO_LINE + 3])
{
    if (!n->line[0] || !log_may_quote(n->code)) return "";
    snprintf(out, PROTO_LINE + 3, ": %s", n->line);
    return out;
}

static void say_result(struct log_about *a, const struct core_news *n)
{
    char why[PROTO_LINE + 3];
    unsigned long long job = a->job;

    a->event = n->code ? "stage_failed" : "stage_done";
    if (n->code) {
        a->code = err_name(n->code);
        log_event(LOG_WARN, a, "job %llu: %s ended with `%s`%s", job, a->stage, a->code,
                  because(n, why));
    } else {
        log_event(LOG_INFO, a, "job %llu: %s done in %.1f s", job, a->stage, n->seconds);
    }
}

static void say_end(struct log_about *a, const struct core_news *n)
{
    static const char *const events[] = {"job_done", "job_failed", "job_cancelled"};

    a->event = events[n->state - JOB_DONE];
    log_event(n->state == JOB_FAILED ? LOG_WARN : LOG_INFO, a, "job %llu: %s",
              (unsigned long long)a->job, proto_job_state((uint64_t)n->state));
}

void news_say(const struct server *s, const struct core_tell *t)
{
    const struct core_news *n = &t->news;
    struct log_about a = {.job = t->job,
                          .epoch = t->epoch,
                          .lineage = lineage_name(s, n->lineage),
                          .stage = t->stage ? proto_stage_kind((uint64_t)t->stage) : NULL,
                          .group = n->group};
    unsigned long long job = t->job;

    switch (n->what) {
    case NEWS_SUBMITTED:
        a.event = "job_submitted";
        log_event(LOG_INFO, &a, "job %llu: %s in lineage %s", job,
                  proto_job_kind((uint64_t)n->kind), a.lineage);
        break;
    case NEWS_BEGINS:
        a.event = "stage_begins";
        log_event(LOG_INFO, &a, "job %llu: %s begins, on %s", job, a.stage, n->group);
        break;
    case NEWS_RESULT: say_result(&a, n); break;
    case NEWS_LOST:
        a.event = "stage_lost";
        log_event(LOG_WARN, &a, "job %llu: %s is lost: %s", job, a.stage, n->line);
        break;
    case NEWS_QUARANTINED:
        a.event = "stage_quarantined";
        log_event(LOG_ERROR, &a,
                  "job %llu: %s is quarantined; engram show %llu has the evidence, engram retry "
                  "%llu releases it",
                  job, a.stage, job, job);
        break;
    case NEWS_PUT_BACK:
        a.event = "stage_put_back";
        log_event(LOG_INFO, &a, "job %llu: %s is put back", job, a.stage);
        break;
    case NEWS_ENDED: say_end(&a, n); break;
    }
}
