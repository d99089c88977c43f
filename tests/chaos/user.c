/* user.c - one user during chaos: asks for pictures, looks, cancels, and keeps a history of all that it asked and heard.
 *
 *     user HOME NAME SEED PATTERN HISTORY STOP
 *
 * PATTERN: a sample job that was made before; what this user asks for is that with other seeds. Goes on until the file STOP is
 * there, then waits until all its jobs have ended and looks at each a last time. A request without an answer is said
 * again under the same key, as a new line of the history: that is what keys are for. Exit status 1: a job never ended.
 */
#include "proto/link.h"
#include "tests/history/record.h"

#include <sys/random.h>
#include <sys/stat.h>

enum { MOST_JOBS = 4000, LAST_S = 600, PAUSE_MS = 60 };

struct user {
    struct link *link;
    struct record record;
    struct arena strings;
    struct message pattern;
    char lineage[PROTO_NAME + 1];
    uint64_t job[MOST_JOBS], seed;
    size_t n_jobs;
};

static void wait_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* One request and its answer into the history. 1: there was an answer, also a refusal. */
static int ask(struct user *u, struct message *m, struct arena *a, struct message *answer)
{
    struct record_call call = record_ask(&u->record, m);
    struct err e = {0};
    enum code rc = link_call(u->link, m, a, answer, &e);
    int heard = rc == OK || answer->kind == MSG_refused;

    record_answer(&u->record, &call, heard ? answer : NULL);
    return heard;
}

static struct hash fresh_key(void)
{
    struct hash h;
    record_must(getrandom(h.v, sizeof h.v, 0) == sizeof h.v, "random bytes");
    return h;
}

static void submit(struct user *u)
{
    struct message m = u->pattern, answer;
    int heard = 0;

    m.sample.key = fresh_key();
    m.sample.seed = ++u->seed;
    for (int i = 0; i < 200 && !heard; i++) {
        struct arena a = {0};
        heard = ask(u, &m, &a, &answer) &&
                (answer.kind == MSG_accepted || answer.refused.code == ERR_DENIED);
        if (heard && answer.kind == MSG_accepted && u->n_jobs < MOST_JOBS)
            u->job[u->n_jobs++] = answer.accepted.job;
        if (!heard) wait_ms(PAUSE_MS);
        arena_fini(&a);
    }
}

static void look(struct user *u, struct message m)
{
    struct arena a = {0};
    struct message answer;

    ask(u, &m, &a, &answer);
    arena_fini(&a);
}

static uint64_t some_job(struct user *u)
{
    return u->n_jobs ? u->job[(size_t)rand() % u->n_jobs] : 1;
}

static void something(struct user *u)
{
    int dice = rand() % 100;

    if (dice < 12) submit(u);
    else if (dice < 60) look(u, (struct message){.kind = MSG_job, .job.job = some_job(u)});
    else if (dice < 66) look(u, (struct message){.kind = MSG_cancel, .cancel.job = some_job(u)});
    else if (dice < 80) look(u, (struct message){.kind = MSG_log, .log.lineage = u->lineage});
    else if (dice < 90) look(u, (struct message){.kind = MSG_watch, .watch.job = some_job(u)});
    else if (dice < 95) look(u, (struct message){.kind = MSG_queue});
    else look(u, (struct message){.kind = MSG_lineage_list});
}

/* The last look: 1 when the job has ended. */
static int has_ended(struct user *u, uint64_t job)
{
    struct message m = {.kind = MSG_job, .job.job = job}, answer;
    struct arena a = {0};
    int ended = ask(u, &m, &a, &answer) && answer.kind == MSG_job_info && answer.job_info.rows.n &&
                JOB_ENDED(answer.job_info.rows.v[0].state);
    arena_fini(&a);
    return ended;
}

static int settle(struct user *u)
{
    time_t until = time(NULL) + LAST_S;

    for (size_t i = 0; i < u->n_jobs;) {
        if (has_ended(u, u->job[i])) i++;
        else if (time(NULL) > until) return 0;
        else wait_ms(200);
    }
    look(u, (struct message){.kind = MSG_queue});
    look(u, (struct message){.kind = MSG_log, .log.lineage = u->lineage});
    return 1;
}

static void learn_pattern(struct user *u, uint64_t job)
{
    struct message m = {.kind = MSG_job, .job.job = job}, answer;
    struct err e = {0};

    if (link_call(u->link, &m, &u->strings, &answer, &e) ||
        proto_decode(
            arena_copy(&u->strings, answer.job_info.request.data, answer.job_info.request.n),
            answer.job_info.request.n, &u->strings, &u->pattern, &e) ||
        u->pattern.kind != MSG_sample) {
        fprintf(stderr, "user: job %llu is no sample: %s\n", (unsigned long long)job, e.text);
        exit(2);
    }
    u->pattern.id = 0;
    snprintf(u->lineage, sizeof u->lineage, "%s", u->pattern.sample.lineage);
}

int main(int argc, char **argv)
{
    char endpoint[300];
    static struct user u;
    struct link_options o = {.endpoint = endpoint, .timeout_ms = 3000, .tries = 1};
    struct stat st;
    struct err e;

    if (argc != 7) {
        printf("1..0 # SKIP a part of chaos, not a test by itself\n");
        return 0;
    }
    snprintf(endpoint, sizeof endpoint, "ipc://%s/run/engram.sock", argv[1]);
    srand((unsigned)strtoul(argv[3], NULL, 0));
    u.seed = strtoull(argv[3], NULL, 0) << 32;
    record_open(&u.record, argv[5], argv[2], NULL);
    if (link_open(&u.link, &o, &e)) {
        fprintf(stderr, "user: %s\n", e.text);
        return 2;
    }
    learn_pattern(&u, strtoull(argv[4], NULL, 0));
    while (stat(argv[6], &st)) {
        something(&u);
        wait_ms(PAUSE_MS);
    }
    int settled = settle(&u);
    printf("%s: %zu jobs, %llu requests%s\n", argv[2], u.n_jobs, (unsigned long long)u.record.n,
           settled ? "" : "; one never ended");
    record_close(&u.record);
    link_close(u.link);
    return !settled;
}
