/* record.h - writes histories for check.py: each request and its answer is a line of JSON (README.md).
 *
 *     struct record r;
 *     record_open(&r, "history/ann-3.jsonl", "ann-3", "ann");      // one per client; clients may share a file
 *     struct record_call c = record_ask(&r, &ask);                 // before the request leaves
 *     enum code rc = link_call(l, &ask, &arena, &answer, &e);
 *     record_answer(&r, &c, rc == OK || answer.kind == MSG_refused ? &answer : NULL);
 *     record_close(&r);
 *
 * record_ask writes the line without an answer, record_answer the whole line once more: whoever is killed in between has asked, and
 * nobody knows what came of it. A line is one write(2) at the end of the file. Times are of CLOCK_MONOTONIC, which all processes of
 * one machine share. Worker groups record ready, heartbeat and result in the same way. Messages that the checker does not know
 * (ping ...) leave no line. A test that includes this includes proto/proto.h, too, so that proto is linked. Not for several threads; nothing here may fail but for want of disk or memory, which aborts.
 */
#ifndef TESTS_HISTORY_RECORD_H
#define TESTS_HISTORY_RECORD_H

#include "base/text.h"
#include "proto/proto.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct record {
    int fd;
    const char *client, *user;        /* borrowed */
    uint64_t n;
};

struct record_call {
    struct text line;                 /* the beginning, without the end of the line; empty: not of interest */
    int whole_list;                   /* a queue of all jobs of who asks */
};

#define RECORD_FN __attribute__((unused)) static

RECORD_FN void record_must(int held, const char *what)
{
    if (held) return;
    perror(what);
    abort();
}

RECORD_FN void record_open(struct record *r, const char *path, const char *client, const char *user)
{
    *r = (struct record){.client = client, .user = user};
    r->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    record_must(r->fd >= 0, path);
}

RECORD_FN void record_close(struct record *r)
{
    close(r->fd);
}

RECORD_FN uint64_t record_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- JSON ---- */

/* A value that is not there is left out. */
RECORD_FN void record_word(struct text *t, const char *name, const char *value)
{
    if (!value || !*value) return;
    text_printf(t, ",\"%s\":\"", name);
    for (const char *c = value; *c; c++) {
        if ((unsigned char)*c < ' ') text_printf(t, "\\u%04x", (unsigned)*c);
        else if (*c == '"' || *c == '\\') text_printf(t, "\\%c", *c);
        else text_add_bytes(t, c, 1);
    }
    text_add(t, "\"");
}

RECORD_FN void record_number(struct text *t, const char *name, uint64_t value)
{
    text_printf(t, ",\"%s\":%" PRIu64, name, value);
}

RECORD_FN void record_hash(struct text *t, const char *name, struct hash h)
{
    char hex[HASH_TEXT];
    text_printf(t, ",\"%s\":\"%s\"", name, hash_text(h, hex));
}

/* Zero is null: there is no commit yet. */
RECORD_FN void record_commit(struct text *t, struct hash h)
{
    if (hash_is_zero(h)) text_add(t, ",\"commit\":null");
    else record_hash(t, "commit", h);
}

/* ---- what is asked ---- */

/* Two requests with one key must have the same contents; a short hash tells. */
RECORD_FN void record_body(struct text *t, const struct message *ask)
{
    struct message copy = *ask;
    struct arena a = {0};
    struct slice s;
    char hex[HASH_TEXT];

    copy.id = 0;
    if (proto_encode(&copy, &a, &s, NULL) == OK)
        text_printf(t, ",\"body\":\"%.16s\"", hash_text(hash_bytes(s.data, s.n), hex));
    arena_fini(&a);
}

RECORD_FN void record_submit(struct text *t, const struct message *ask, struct hash key,
                             const char *lineage, const char *token)
{
    record_hash(t, "key", key);
    record_word(t, "lineage", lineage);
    record_word(t, "token", token);
    record_body(t, ask);
}

RECORD_FN void record_lease(struct text *t, const char *group, uint64_t job, uint64_t stage,
                            uint64_t epoch)
{
    record_word(t, "group", group);
    record_number(t, "job", job);
    record_word(t, "stage", proto_stage_kind(stage));
    record_number(t, "epoch", epoch);
}

/* 0: the checker does not know this request. */
RECORD_FN int record_asked(struct text *t, const char *client, const struct message *m)
{
    switch (m->kind) {
    case MSG_lineage_create:
        record_submit(t, m, m->lineage_create.key, m->lineage_create.name, NULL);
        return 1;
    case MSG_learn: record_submit(t, m, m->learn.key, m->learn.lineage, m->learn.token); return 1;
    case MSG_sample: record_submit(t, m, m->sample.key, m->sample.lineage, NULL); return 1;
    case MSG_evaluate: record_submit(t, m, m->evaluate.key, m->evaluate.lineage, NULL); return 1;
    case MSG_cancel: record_number(t, "job", m->cancel.job); return 1;
    case MSG_retry: record_number(t, "job", m->retry.job); return 1;
    case MSG_job: record_number(t, "job", m->job.job); return 1;
    case MSG_watch: record_number(t, "job", m->watch.job); return 1;
    case MSG_log: record_word(t, "lineage", m->log.lineage); return 1;
    case MSG_ready: record_word(t, "group", client); return 1;
    case MSG_heartbeat:
        record_lease(t, client, m->heartbeat.job, m->heartbeat.stage, m->heartbeat.epoch);
        return 1;
    case MSG_result:
        record_lease(t, client, m->result.job, m->result.stage, m->result.epoch);
        if (m->result.stage == STAGE_TRAIN && m->result.code == OK && m->result.outputs.n)
            record_commit(t, m->result.outputs.v[0]);
        return 1;
    case MSG_queue:
    case MSG_lineage_list: return 1;
    default: return 0;
    }
}

/* ---- what is answered ---- */

RECORD_FN void record_job_row(struct text *t, const struct job_row *r)
{
    record_word(t, "state", proto_job_state(r->state));
    if (r->kind == JOB_LEARN) record_commit(t, r->commit);
}

RECORD_FN void record_rows(struct text *t, const struct message *m)
{
    size_t n = m->kind == MSG_jobs      ? m->jobs.rows.n
               : m->kind == MSG_commits ? m->commits.rows.n
                                        : m->lineages.rows.n;
    text_add(t, ",\"rows\":[");
    for (size_t i = 0; i < n; i++) {
        text_add(t, i ? ",{" : "{");
        if (m->kind == MSG_jobs) {
            const struct job_row *r = &m->jobs.rows.v[i];
            text_printf(t, "\"job\":%" PRIu64, r->job);
            record_word(t, "kind", proto_job_kind(r->kind));
            record_word(t, "lineage", r->lineage);
            record_word(t, "token", r->token);
            record_job_row(t, r);
        } else if (m->kind == MSG_commits) {
            const struct commit_row *r = &m->commits.rows.v[i];
            text_printf(t, "\"number\":%" PRIu64, r->number);
            record_commit(t, r->commit);
            record_hash(t, "parent", r->parent);
            record_number(t, "job", r->job);
        } else {
            const struct lineage_row *r = &m->lineages.rows.v[i];
            text_printf(t, "\"commits\":%" PRIu64, r->n_commits);
            record_word(t, "lineage", r->name);
            record_hash(t, "head", r->head);
        }
        text_add(t, "}");
    }
    text_add(t, "]");
}

RECORD_FN void record_answered(struct text *t, const struct message *m, int whole_list)
{
    record_word(t, "answer", proto_name(m->kind));
    switch (m->kind) {
    case MSG_accepted: record_number(t, "job", m->accepted.job); break;
    case MSG_refused: record_word(t, "code", err_name((enum code)m->refused.code)); break;
    case MSG_job_info:
        if (m->job_info.rows.n) record_job_row(t, &m->job_info.rows.v[0]);
        break;
    case MSG_events: record_word(t, "state", proto_job_state(m->events.state)); break;
    case MSG_jobs:
        record_rows(t, m);
        if (whole_list && m->jobs.rows.n == m->jobs.total) text_add(t, ",\"complete\":true");
        break;
    case MSG_commits:
        record_rows(t, m);
        record_number(t, "total", m->commits.total);
        break;
    case MSG_lineages: record_rows(t, m); break;
    case MSG_stage:
        record_number(t, "job", m->stage.job);
        record_word(t, "stage", proto_stage_kind(m->stage.stage));
        record_number(t, "epoch", m->stage.epoch);
        break;
    default: break;
    }
}

/* ---- lines ---- */

RECORD_FN void record_write(struct record *r, const struct text *line, const char *end)
{
    struct text whole = {0};
    text_add_bytes(&whole, line->s, line->n);
    text_add(&whole, end);
    record_must(text_ok(&whole) && write(r->fd, whole.s, whole.n) == (ssize_t)whole.n, "history");
    text_fini(&whole);
}

RECORD_FN struct record_call record_ask(struct record *r, const struct message *ask)
{
    struct record_call c = {0};
    struct text asked = {0};

    if (record_asked(&asked, r->client, ask)) {
        text_printf(&c.line, "{\"n\":%" PRIu64 ",\"call\":%" PRIu64, ++r->n, record_now_ns());
        record_word(&c.line, "client", r->client);
        record_word(&c.line, "user", r->user);
        record_word(&c.line, "ask", proto_name(ask->kind));
        if (asked.n) text_add_bytes(&c.line, asked.s, asked.n);
        c.whole_list = ask->kind == MSG_queue && !ask->queue.states && !ask->queue.below &&
                       !(ask->queue.lineage && *ask->queue.lineage) &&
                       !(ask->queue.owner && *ask->queue.owner);
        record_write(r, &c.line, ",\"back\":null}\n");
    }
    text_fini(&asked);
    return c;
}

/* answer NULL: none came. c is empty afterwards. */
RECORD_FN void record_answer(struct record *r, struct record_call *c, const struct message *answer)
{
    if (c->line.n && answer) {
        uint64_t back = record_now_ns();
        record_number(&c->line, "back", back);
        record_answered(&c->line, answer, c->whole_list);
        record_write(r, &c->line, "}\n");
    }
    text_fini(&c->line);
}

#endif
