/* slurm_count.c - what has become of each group, how many there should be, and what people are told. */
#include "coordinator/launch/slurm_state.h"

#include "base/log.h"

#include <stdio.h>

enum {
    YOUNG_MS = 10000, /* a group that ends so soon after its hello did not do well */
    WAIT_MOST_MS = 60000,
    LEAVE_MS = 30000,  /* from `end` to scancel for a group that was idle */
    UNKNOWN_MS = 10000 /* no word from squeue for so long is worth a line */
};

/* How the next start is delayed by how this one ended. The first bad end costs nothing: Slurm loses jobs. */
static void learn_from(struct launcher *l, const struct slurm_group *g, int64_t now_ms)
{
    int64_t wait = 1000;

    if (g->intent.state == INTENT_GIVEN_UP) return;
    if (g->ever_heard && now_ms - g->hello_ms >= YOUNG_MS) l->fails = 0;
    else if (++l->fails > 1) {
        for (int64_t i = 2; i < l->fails && wait < WAIT_MOST_MS; i++) wait *= 2;
        l->next_ms = now_ms + (wait < WAIT_MOST_MS ? wait : WAIT_MOST_MS);
    }
    log_event(LOG_WARN, &(struct log_about){.event = "group_ended", .group = g->intent.name},
              "%s (job %s) is gone%s", g->intent.name, g->intent.job[0] ? g->intent.job : "unknown",
              g->ever_heard ? "" : " and never said hello");
}

/* ---- how many ---- */

void slurm_hear(struct launcher *l, const struct launch_want *w, int64_t now_ms)
{
    for (size_t k = 0; k < w->n_seen; k++)
        for (size_t i = 0; i < l->n; i++)
            if (slurm_group_is_now(l->groups[i], w->seen[k].nonce))
                slurm_group_heard(l->groups[i], w->seen[k].seen_ms, w->seen[k].leased, now_ms);
}

/* What has become of each; *counted: those that work or will. Returns those that are not given up. */
static size_t judge(struct launcher *l, int64_t now_ms, size_t *counted)
{
    size_t kept = 0;

    *counted = 0;
    for (size_t i = 0; i < l->n;) {
        struct slurm_group *g = l->groups[i];
        enum group_is is = slurm_group_judge(g, now_ms);
        struct hash old;
        if (slurm_group_restarts(g, &old)) {
            log_line(LOG_INFO, "%s was put back by Slurm: %s", g->intent.name, g->reason);
            slurm_lose(l, old);
        }
        if (is == GROUP_GONE) {
            learn_from(l, g, now_ms);
            slurm_drop(l, i);
            continue;
        }
        if (is == GROUP_MISSING && g->looked_ms - g->missing_ms >= GROUP_GIVE_UP_MS)
            slurm_give_up(l, g, now_ms, "it has not been heard for too long");
        if (g->intent.state != INTENT_GIVEN_UP) {
            kept++;
            *counted += is != GROUP_MISSING;
        }
        if (g->ever_heard && is == GROUP_WORKS && now_ms - g->hello_ms >= YOUNG_MS) l->fails = 0;
        i++;
    }
    return kept;
}

/* More than are wanted: one that waits in Slurm, else one without a stage for long enough. */
static void retire(struct launcher *l, int64_t now_ms)
{
    struct slurm_group *best = NULL;

    for (size_t i = 0; i < l->n; i++) {
        struct slurm_group *g = l->groups[i];
        if (g->intent.state == INTENT_GIVEN_UP || g->in_flight || g->leased) continue;
        if (g->state == SQUEUE_WAITING && !g->heard && now_ms - l->surplus_ms >= l->o.idle_ms) {
            slurm_give_up(l, g, now_ms, "it waits in Slurm and there is nothing to do");
            return;
        }
        if (g->heard && g->idle_ms && now_ms - g->idle_ms >= l->o.idle_ms &&
            (!best || g->intent.number > best->intent.number))
            best = g;
    }
    if (best) slurm_give_up(l, best, now_ms + LEAVE_MS, "it has had nothing to do for long enough");
}

static size_t wanted(const struct launcher *l, const struct launch_want *w)
{
    size_t n = w->ready + w->leased;

    if (n < (size_t)l->o.min_groups) n = (size_t)l->o.min_groups;
    return n > (size_t)l->o.max_groups ? (size_t)l->o.max_groups : n;
}

void slurm_adjust(struct launcher *l, const struct launch_want *w, int64_t now_ms)
{
    size_t counted, kept = judge(l, now_ms, &counted), n = wanted(l, w);

    if (counted <= n) l->surplus_ms = 0;
    else if (!l->surplus_ms) l->surplus_ms = now_ms;
    if (w->stopping || l->stop_ms) {
        for (size_t i = 0; i < l->n; i++)
            if (!l->groups[i]->heard)
                slurm_give_up(l, l->groups[i], now_ms, "the coordinator stops");
        return;
    }
    if (l->surplus_ms) retire(l, now_ms);
    /* Those that do not count may still hold what they were given: at most as many again. */
    if (counted < n && kept < 2 * (size_t)l->o.max_groups && l->n < LAUNCH_GROUPS &&
        !l->submitting && l->looked_ms && !l->knows_nothing && now_ms >= l->next_ms)
        slurm_begin(l, now_ms);
}

/* ---- trouble ---- */

void slurm_say_trouble(struct launcher *l, int64_t now_ms)
{
    const struct slurm_group *waits = NULL, *held = NULL;
    int64_t said_ms = l->looked_ms ? l->looked_ms : l->unknown_ms;
    int works = 0;

    for (size_t i = 0; i < l->n; i++) {
        const struct slurm_group *g = l->groups[i];
        if (g->intent.state == INTENT_GIVEN_UP) continue;
        works |= g->heard;
        if (g->state == SQUEUE_WAITING && !g->heard) waits = g;
        if (g->state == SQUEUE_HELD) held = g;
    }
    l->trouble[0] = '\0';
    if (l->refusal.text[0])
        snprintf(l->trouble, sizeof l->trouble, "sbatch: %.400s", l->refusal.text);
    else if (l->knows_nothing && now_ms - said_ms >= UNKNOWN_MS)
        snprintf(l->trouble, sizeof l->trouble, "squeue has not answered for %d s: %.400s",
                 (int)((now_ms - said_ms) / 1000), l->unknown.text);
    else if (l->fails > 1)
        snprintf(l->trouble, sizeof l->trouble,
                 "worker groups end at once, %d times now; see %.300s/group-*.log", (int)l->fails,
                 l->log);
    else if (held)
        snprintf(l->trouble, sizeof l->trouble, "%s (job %s) does not start by itself: %s",
                 held->intent.name, held->intent.job, held->reason);
    else if (waits && !works)
        snprintf(l->trouble, sizeof l->trouble, "%s (job %s) waits in Slurm: %s",
                 waits->intent.name, waits->intent.job, waits->reason);
}
