/* watch.c - progress that is worth seeing now and not worth a write: the latest rows of the jobs that were heard of last. */
#include "coordinator/server/server.h"

#include <stdlib.h>
#include <string.h>

enum { JOBS = 128, ROWS_KEPT = 64 };

struct ring {
    uint64_t job, used; /* used: when, by a counter; 0: free */
    struct event_row row[ROWS_KEPT];
    char *text[ROWS_KEPT]; /* owned */
    size_t next;           /* the oldest row stands there */
};

struct rings {
    struct ring ring[JOBS];
    uint64_t clock;
};

struct rings *rings_make(void)
{
    return mem_alloc(1, sizeof(struct rings));
}

static void ring_clear(struct ring *r)
{
    for (size_t i = 0; i < ROWS_KEPT; i++) free(r->text[i]);
    memset(r, 0, sizeof *r);
}

void rings_free(struct rings *r)
{
    for (size_t i = 0; r && i < JOBS; i++) ring_clear(&r->ring[i]);
    free(r);
}

/* The job's ring, or the one that was silent longest, emptied. */
static struct ring *ring_for(struct rings *r, uint64_t job)
{
    struct ring *oldest = &r->ring[0];

    for (size_t i = 0; i < JOBS; i++) {
        if (r->ring[i].used && r->ring[i].job == job) return &r->ring[i];
        if (r->ring[i].used < oldest->used) oldest = &r->ring[i];
    }
    ring_clear(oldest);
    oldest->job = job;
    return oldest;
}

void rings_add(struct rings *r, uint64_t job, const struct event_row *row)
{
    struct ring *g = ring_for(r, job);
    char *text = strdup(row->text);

    if (!text) return;
    g->used = ++r->clock;
    free(g->text[g->next]);
    g->row[g->next] = *row;
    g->text[g->next] = text;
    g->next = (g->next + 1) % ROWS_KEPT;
}

void rings_read(const struct rings *r, uint64_t job, uint64_t after, struct event_rows *rows)
{
    for (size_t i = 0; i < JOBS; i++) {
        const struct ring *g = &r->ring[i];
        if (!g->used || g->job != job) continue;
        for (size_t k = 0; k < ROWS_KEPT && rows->n < PROTO_ROWS; k++) {
            size_t at = (g->next + k) % ROWS_KEPT;
            if (!g->text[at] || g->row[at].seq <= after) continue;
            rows->v[rows->n] = g->row[at];
            rows->v[rows->n++].text = g->text[at];
        }
    }
}
