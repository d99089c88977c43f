/* submit_send.c - images into the store, then requests in batches. A batch that got lost on its way is safe to be said again. */
#include "cli/submit.h"

#include <stdio.h>
#include <time.h>

enum { BATCH_BYTES = 3 << 20 }; /* of a message of 4 MiB */

void submit_tick(const char *what, size_t done, size_t of)
{
    static double said;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double now = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    if (said == 0.0) said = now;
    if (now - said < 2.0) return;
    said = now;
    cli_say("%s %zu of %zu", what, done, of);
}

static int is_sent(const struct wish *w)
{
    return w->request.n && !w->code;
}

static enum code upload(struct submitting *s, struct err *e)
{
    struct objects *store;
    enum code rc = cli_objects(&store, e);
    if (rc) return rc;
    objects_sweep(store, NULL); /* of uploads that were killed */
    for (size_t i = 0; !rc && i < s->n; i++) {
        const struct wish *w = &s->wish[i];
        if (is_sent(w) && w->kind == JOB_LEARN)
            rc = lesson_upload(&w->lesson, &w->message.learn.images, store, e);
        submit_tick("uploaded", i + 1, s->n);
    }
    objects_close(store);
    return rc;
}

static void take_answer(struct submitting *s, struct wish *const *sent, size_t n,
                        const struct accepted_rows *rows)
{
    for (size_t i = 0; i < n && i < rows->n; i++) {
        sent[i]->job = rows->v[i].job;
        if (rows->v[i].job) continue;
        sent[i]->code = (enum code)rows->v[i].code;
        sent[i]->line = arena_strdup(&s->arena, rows->v[i].line);
        if (!sent[i]->code) sent[i]->code = ERR_INTERNAL;
    }
}

static enum code send(struct submitting *s, struct wish *const *sent, size_t n, struct err *e)
{
    struct request_row rows[PROTO_ROWS];
    struct message answer, ask = {.kind = MSG_submit_many, .submit_many.rows = {n, rows}};
    struct arena a = {0};
    for (size_t i = 0; i < n; i++) rows[i] = (struct request_row){sent[i]->request};
    enum code rc = n ? cli_ask(&ask, &a, &answer, e) : OK;
    if (!rc && n && answer.accepted_many.rows.n != n)
        rc = err_set(e, ERR_PROTOCOL, "%zu requests, but %zu answers", n,
                     answer.accepted_many.rows.n);
    if (!rc && n) take_answer(s, sent, n, &answer.accepted_many.rows);
    arena_fini(&a);
    return rc;
}

enum code submit_send(struct submitting *s, struct err *e)
{
    struct wish *batch[PROTO_ROWS];
    size_t n = 0, bytes = 0;
    enum code rc = upload(s, e);
    for (size_t i = 0; !rc && i < s->n; i++) {
        struct wish *w = &s->wish[i];
        if (!is_sent(w)) continue;
        if (n == PROTO_ROWS || (n && bytes + w->request.n > BATCH_BYTES)) {
            rc = send(s, batch, n, e);
            n = bytes = 0;
            submit_tick("sent", i, s->n);
        }
        batch[n++] = w;
        bytes += w->request.n;
    }
    return rc ? rc : send(s, batch, n, e);
}
