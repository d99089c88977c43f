#include "coordinator/launch/slurm_group.h"

#include <stdio.h>
#include <string.h>

/* ---- its own words ---- */

int slurm_group_is_now(const struct slurm_group *g, struct hash nonce)
{
    return g->heard && hash_equal(g->nonce, nonce);
}

int slurm_group_was(const struct slurm_group *g, struct hash nonce)
{
    for (int i = 0; i < g->n_before && i < GROUP_STARTS; i++)
        if (hash_equal(g->before[i], nonce)) return 1;
    return 0;
}

/* The nonce of the start that was, into the list; the oldest falls out. */
static void outlive(struct slurm_group *g)
{
    int keep = g->n_before < GROUP_STARTS ? g->n_before : GROUP_STARTS - 1;

    memmove(g->before + 1, g->before, (size_t)keep * sizeof *g->before);
    g->before[0] = g->nonce;
    g->n_before = keep + 1;
    g->heard = g->leased = 0;
}

int slurm_group_hello(struct slurm_group *g, struct hash nonce, int64_t now_ms, struct hash *old,
                      int *lost)
{
    *lost = 0;
    if (g->intent.state == INTENT_GIVEN_UP || slurm_group_was(g, nonce)) return 0;
    if (g->heard && !hash_equal(g->nonce, nonce)) {
        *old = g->nonce;
        *lost = 1;
        outlive(g);
    }
    if (!g->heard) {
        g->nonce = nonce;
        g->hello_ms = g->idle_ms = now_ms;
    }
    g->heard = g->ever_heard = 1;
    g->heard_ms = now_ms;
    return 1;
}

void slurm_group_heard(struct slurm_group *g, int64_t seen_ms, int leased, int64_t now_ms)
{
    if (seen_ms > g->heard_ms) g->heard_ms = seen_ms;
    g->leased = leased;
    if (leased) g->idle_ms = 0;
    else if (!g->idle_ms) g->idle_ms = now_ms;
}

int slurm_group_silent(const struct slurm_group *g, int64_t now_ms)
{
    return !g->heard || now_ms - g->heard_ms >= GROUP_SILENT_MS;
}

/* ---- Slurm's ---- */

void slurm_group_listed(struct slurm_group *g, const struct squeue_row *row, int64_t looked_ms)
{
    enum squeue_state state = row ? row->state : SQUEUE_ABSENT;

    if (state != g->state || !g->looked_ms) g->state_ms = looked_ms;
    g->state = state;
    g->looked_ms = looked_ms;
    snprintf(g->reason, sizeof g->reason, "%s", row ? row->reason : "");
    if (row) {
        snprintf(g->intent.job, sizeof g->intent.job, "%s", row->id);
        g->was_listed = 1;
    }
}

int slurm_group_restarts(struct slurm_group *g, struct hash *old)
{
    if (!g->heard || (g->state != SQUEUE_WAITING && g->state != SQUEUE_HELD) ||
        g->looked_ms - g->heard_ms < GROUP_SILENT_MS)
        return 0;
    *old = g->nonce;
    outlive(g);
    return 1;
}

/* ---- what it is ---- */

/* As of the last look, so that a Slurm that does not answer changes nothing. */
static int silent_then(const struct slurm_group *g, int64_t for_ms)
{
    return !g->heard || g->looked_ms - g->heard_ms >= for_ms;
}

/* Until then it may be on its way into Slurm's list. */
static int64_t arrives_ms(const struct slurm_group *g)
{
    int64_t since = g->intent.since_ms > g->known_ms ? g->intent.since_ms : g->known_ms;

    return g->was_listed ? 0 : since + (g->intent.job[0] ? GROUP_TAKEN_MS : GROUP_AGE_MS);
}

/* Old enough, and a look that began when it was says that it is not there. */
static int is_gone(const struct slurm_group *g)
{
    return !g->in_flight && g->state == SQUEUE_ABSENT && g->looked_ms >= arrives_ms(g) &&
           silent_then(g, GROUP_SILENT_MS);
}

static int is_missing(const struct slurm_group *g)
{
    int64_t in_state = g->looked_ms - g->state_ms;

    switch (g->state) {
    case SQUEUE_RUNNING:
        return g->heard ? silent_then(g, GROUP_MISSING_MS) : in_state >= GROUP_HELLO_MS;
    case SQUEUE_ENDING: return silent_then(g, GROUP_SILENT_MS) && in_state >= GROUP_ENDING_MS;
    case SQUEUE_HELD: return silent_then(g, GROUP_SILENT_MS);
    case SQUEUE_ABSENT:
    case SQUEUE_WAITING: return 0;
    }
    return 0;
}

int64_t slurm_group_decides_ms(const struct slurm_group *g)
{
    int64_t arrives = arrives_ms(g), silent = g->heard ? g->heard_ms + GROUP_SILENT_MS : 0;

    if (g->state == SQUEUE_RUNNING) return g->heard ? g->heard_ms + GROUP_MISSING_MS : 0;
    if (g->state != SQUEUE_ABSENT || g->in_flight) return 0;
    return arrives > silent ? arrives : silent;
}

enum group_is slurm_group_judge(struct slurm_group *g, int64_t now_ms)
{
    if (is_gone(g)) return GROUP_GONE;
    if (is_missing(g)) {
        if (!g->missing_ms) g->missing_ms = g->looked_ms;
        return GROUP_MISSING;
    }
    g->missing_ms = 0;
    return slurm_group_silent(g, now_ms) ? GROUP_WAITS : GROUP_WORKS;
}
