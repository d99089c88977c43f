/* tally.c - what happened is counted as it happens; how things stand is looked at once a second and published (coordinator/web). A
 * look costs O(users), two stat(2) and a statvfs. */
#include "coordinator/server/server.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

enum {
    LOOK_MS = 1000,
    OLDEST_STEPS =
        20000, /* ids that one look passes: a million of them after a restart take a minute of looks */
};

static int64_t mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void tally_begin(struct tally *t, double now_s)
{
    t->started_s = now_s;
    t->counts.batch.bounds = WEB_MESSAGES;
    t->counts.transaction.bounds = WEB_SECONDS;
}

/* ---- what happens ---- */

void tally_refused(struct tally *t, uint64_t code)
{
    t->counts.refused[code < ERR_CODES ? code : ERR_INTERNAL]++;
}

void tally_batch(struct tally *t, size_t n)
{
    if (n) web_observe(&t->counts.batch, (double)n);
}

void tally_wrote(struct tally *t, double seconds)
{
    web_observe(&t->counts.transaction, seconds);
}

void tally_news(struct tally *t, const struct core_tell *tell)
{
    const struct core_news *n = &tell->news;
    struct web_counts *c = &t->counts;
    enum code code = n->code < ERR_CODES ? n->code : ERR_INTERNAL;

    switch (n->what) {
    case NEWS_SUBMITTED: c->submissions[n->kind]++; break;
    case NEWS_BEGINS: c->grants[tell->stage]++; break;
    case NEWS_LOST: c->losses[tell->stage]++; break;
    case NEWS_RESULT:
        c->results[tell->stage][code]++;
        if (code == OK) c->stage_seconds[tell->stage] += n->seconds;
        break;
    default: break;
    }
}

/* ---- how things stand ---- */

/* Jobs of which nothing has run: none is ever added but behind the newest, so the oldest of them only moves on. */
static double oldest_waiting_s(struct server *s)
{
    uint64_t *id = &s->tally.oldest, last = core_last_job(s->core);

    if (!*id) *id = 1;
    for (int steps = 0; *id <= last && steps < OLDEST_STEPS; steps++, ++*id) {
        const struct core_job *j = core_job(s->core, *id);
        if (j && !JOB_ENDED(j->state) && !j->started_ms)
            return (double)(s->now_ms - j->submitted_ms) / 1000.0;
    }
    return 0;
}

static void look_at_core(struct server *s, struct web_snapshot *w)
{
    struct core_backlog b;

    core_backlog(s->core, &b);
    w->jobs[JOB_QUEUED] = b.queued;
    w->jobs[JOB_RUNNING] = b.running;
    w->jobs[JOB_PAUSED] = b.paused;
    w->ready = b.ready;
    w->leased = b.leased;
    w->groups = b.groups;
    w->ranks = b.ranks;
    w->groups_waiting = b.waiting;
    w->groups_draining = b.draining;
    w->users = b.users;
    w->lineages = b.lineages;
    for (uint32_t id = 1; id <= core_last_user(s->core); id++) {
        const struct core_user *u = core_user(s->core, id);
        if (!u) continue;
        w->users_queued += u->queued > 0;
        w->users_running += u->leased > 0;
        for (int i = 0; i < 3; i++) w->jobs[JOB_DONE + i] += u->ended[i];
    }
    w->oldest_waiting_s = oldest_waiting_s(s);
}

static uint64_t bytes_of(const char *home, const char *name)
{
    char path[4300];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", home, name);
    return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

static void look_at_disk(const struct server *s, struct web_snapshot *w)
{
    struct statvfs v;

    w->database_bytes = bytes_of(s->home, "coordinator.db");
    w->wal_bytes = bytes_of(s->home, "coordinator.db-wal");
    if (!statvfs(s->home, &v)) w->disk_free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
}

void tally_turn(struct server *s)
{
    struct tally *t = &s->tally;
    struct web_snapshot w = {
        .counts = t->counts, .turned_ms = mono_ms(), .started_s = t->started_s};

    if (!s->web || w.turned_ms - t->looked_ms < LOOK_MS) return;
    t->looked_ms = w.turned_ms;
    look_at_disk(s, &w);
    if (s->core) look_at_core(s, &w);
    snprintf(w.trouble, sizeof w.trouble, "%s", s->resting ? s->trouble.text : "");
    web_publish(s->web, &w);
}
