/* web.h - what the coordinator shows of itself over HTTP: /metrics for Prometheus, /healthz for whoever restarts it.
 *
 *     struct web *w;
 *     if (web_open(&w, "9464", &e)) ...                       // a port of loopback, or "0.0.0.0:9464", "[::1]:9464"
 *     each second: fill a struct web_snapshot; web_publish(w, &snapshot);
 *     web_close(w);                                           // waits for its thread
 *
 * It has a thread of its own and reads nothing but the snapshot that was published last, a copy behind a mutex: whatever a
 * visitor does, the loop does not wait for them, and a loop that is stuck can be seen. Who can reach the address can read
 * it: there are numbers only, no name of a user, lineage, concept or file. Nothing can be changed through it.
 *
 * Files: page.c (from a question to a page, pure), metrics.c (the page of numbers), count.c (histograms), serve.c (libmicrohttpd).
 * docs/operations.md says what each number means; a test compares.
 */
#ifndef COORDINATOR_WEB_WEB_H
#define COORDINATOR_WEB_WEB_H

#include "base/err.h"
#include "base/text.h"
#include "proto/proto.h"

enum { WEB_BUCKETS = 12, WEB_STALE_MS = 5000 };   /* a loop that has not turned for so long is stuck: it turns each 200 ms */

/* How often a value was at most so much. */
struct web_histogram {
    const double *bounds;             /* [WEB_BUCKETS], rising; static */
    uint64_t n[WEB_BUCKETS + 1];      /* between a bound and the one before; the last: beyond all */
    double sum;
};
extern const double WEB_MESSAGES[WEB_BUCKETS], WEB_SECONDS[WEB_BUCKETS];
void web_observe(struct web_histogram *h, double value);

/* What happened since the start; rises. Indices are those of proto.h and err.h. */
struct web_counts {
    uint64_t submissions[JOB_EVALUATE + 1];       /* accepted, by kind */
    uint64_t grants[STAGE_KINDS], losses[STAGE_KINDS];
    uint64_t results[STAGE_KINDS][ERR_CODES];     /* that counted */
    double stage_seconds[STAGE_KINDS];            /* of good results, as their groups measured */
    uint64_t refused[ERR_CODES];
    struct web_histogram batch, transaction;      /* messages of a batch; seconds of one that wrote */
};

/* How things stand; copied as a whole. */
struct web_snapshot {
    struct web_counts counts;
    int64_t turned_ms;                /* CLOCK_MONOTONIC: when the loop was there */
    double started_s;                 /* Unix time */
    uint64_t jobs[JOB_CANCELLED + 1]; /* by state; those that have ended: of all time */
    uint64_t ready, leased;           /* stages */
    uint64_t groups, ranks, groups_waiting, groups_draining;
    uint64_t users, users_queued, users_running, lineages;     /* users who have jobs that wait, stages that run */
    double oldest_waiting_s;          /* age of the oldest job that nothing of has run yet; 0: none waits */
    uint64_t database_bytes, wal_bytes, disk_free_bytes;
    char trouble[PROTO_LINE + 1];     /* "" when all is well; else why nothing can be promised */
};

/* ---- the thread; web_open after the last fork ---- */

struct web;
/* ERR_USAGE: no address; ERR_EXISTS: something listens there. */
enum code web_open(struct web **w, const char *where, struct err *e);
void web_close(struct web *w);                    /* NULL is fine */
const char *web_url(const struct web *w);         /* "http://127.0.0.1:9464" */
int web_is_public(const struct web *w);           /* other machines can reach it */
void web_publish(struct web *w, const struct web_snapshot *s);

/* ---- pages, pure ---- */

struct web_page {
    unsigned status;                  /* 200, 404, 405, 503 */
    const char *type;                 /* static */
    struct text body;                 /* the caller's: text_fini */
};
/* The answer to a method and a path, whatever they hold. s NULL: nothing was published yet. now_ms: CLOCK_MONOTONIC. */
void web_page(const char *method, const char *path, const struct web_snapshot *s, int64_t now_ms, struct web_page *out);
void web_metrics(const struct web_snapshot *s, struct text *out);

#endif
