/* progress.c - watching a job. The coordinator is asked four times a second: cheap, and smooth enough for an eye. */
#include "cli/progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 250
#define BAR 28
#define LOOKS_WAITING 8 /* between two stages a job waits for a moment: not worth a line */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

struct view {
    int terminal;                   /* redraw one line */
    uint64_t stage, quarter, state; /* last said, when not on a terminal */
    int looks;                      /* so often in a row it was seen waiting */
    int width;                      /* of the line on the screen */
};

static void wipe(struct view *v)
{
    if (v->terminal && v->width) fprintf(stderr, "\r%*s\r", v->width, "");
    v->width = 0;
}

static void describe(const struct job_row *r, char *out, size_t bytes)
{
    const char *stage = r->stage ? proto_stage_kind(r->stage) : "";
    char eta[32] = "", left[48] = "";
    if (r->eta_ms >= 0 && r->of)
        snprintf(left, sizeof left, "  %s left", cli_duration((double)r->eta_ms / 1000.0, eta));
    if (r->state == JOB_QUEUED) snprintf(out, bytes, "waiting  %s", r->line);
    else if (r->state == JOB_PAUSED) snprintf(out, bytes, "paused: %s", r->line);
    else if (!r->of) snprintf(out, bytes, "%-8s %s", stage, r->line);
    else {
        char bar[BAR + 1];
        int full = (int)(r->step * BAR / r->of);
        for (int i = 0; i < BAR; i++) bar[i] = i < full ? '#' : '.';
        bar[BAR] = '\0';
        snprintf(out, bytes, "%-8s [%s] %" PRIu64 "/%" PRIu64 "%s  %s", stage, bar, r->step, r->of,
                 left, r->line);
    }
}

static void trim(char *line)
{
    size_t n = strlen(line);
    while (n && line[n - 1] == ' ') line[--n] = '\0';
}

/* Not on a terminal: a line per stage and per quarter of it, one for a pause, one for a wait that lasts. */
static int is_news(struct view *v, const struct job_row *r)
{
    uint64_t quarter = r->of ? r->step * 4 / r->of : 0;
    if (r->state == JOB_QUEUED) return ++v->looks == LOOKS_WAITING;
    v->looks = 0;
    if (r->state == v->state && r->stage == v->stage && quarter == v->quarter) return 0;
    v->state = r->state;
    v->stage = r->stage;
    v->quarter = quarter;
    return 1;
}

static void draw(struct view *v, const struct job_row *r)
{
    char line[700];
    describe(r, line, sizeof line);
    trim(line);
    if (v->terminal) {
        int n = (int)strlen(line) > 110 ? 110 : (int)strlen(line);
        fprintf(stderr, "\r%.*s%*s", n, line, v->width > n ? v->width - n : 0, "");
        v->width = n;
        return;
    }
    if (is_news(v, r)) fprintf(stderr, "%s\n", line);
}

static enum code fetch(uint64_t job, struct arena *a, struct job_row *out, struct err *e)
{
    struct message ask = {.kind = MSG_job, .job = {.job = job}}, answer;
    enum code rc = cli_ask(&ask, a, &answer, e);
    if (!rc) *out = answer.job_info.rows.v[0];
    return rc;
}

static enum code verdict(const struct job_row *r, struct err *e)
{
    if (r->state == JOB_DONE) return OK;
    return err_set(e, r->state == JOB_CANCELLED ? ERR_CANCELLED : ERR_FAILED,
                   "job %" PRIu64 " %s%s%s", r->job, proto_job_state(r->state),
                   *r->line ? ": " : "", r->line);
}

enum code progress_follow(uint64_t job, struct arena *a, struct job_row *out, struct err *e)
{
    struct view v = {.terminal = !cli.json && isatty(2) &&
                                 !(getenv("TERM") && !strcmp(getenv("TERM"), "dumb"))};
    struct sigaction handler = {.sa_handler = on_interrupt}, before;
    struct timespec nap = {0, POLL_MS * 1000000L};
    int lost = 0;
    sigaction(SIGINT, &handler, &before);
    enum code rc;
    for (;;) {
        struct arena_mark mark = arena_mark(a);
        rc = fetch(job, a, out, e);
        /* A coordinator that restarts is back in seconds: the job goes on, so the eye should too. */
        if (rc == ERR_ENVIRONMENT && !interrupted && lost++ < 60) {
            nanosleep(&nap, NULL);
            arena_reset(a, mark);
            continue;
        }
        if (rc || JOB_ENDED(out->state) || interrupted) break;
        lost = 0;
        if (!cli.json) draw(&v, out);
        nanosleep(&nap, NULL);
        arena_reset(a, mark);
    }
    wipe(&v);
    sigaction(SIGINT, &before, NULL);
    if (interrupted)
        return err_set(e, ERR_AGAIN,
                       "not waiting any longer; job %" PRIu64 " goes on: engram watch %" PRIu64
                       ", engram cancel %" PRIu64,
                       job, job, job);
    return rc ? rc : verdict(out, e);
}
