/* submit.c - what users ask: each request is checked as a whole before anything changes (invariant 7), and one that came before
 * (same key) is answered as it was. */
#include "coordinator/core/state.h"

#include <string.h>

/* ---- names ---- */

/* A lineage is typed in shells and stands in paths: letters, digits, . _ - and no leading sign. */
static int good_name(const char *s)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return *s && !strchr("._-", *s) && s[strspn(s, letters)] == '\0';
}

/* Visible from end to end: no control characters, no space at either end; inside only if `inner`. */
static int good_word(const char *s, const char *inner)
{
    size_t n = strlen(s);
    if (n == 0 || s[0] == ' ' || s[n - 1] == ' ') return 0;
    for (; *s; s++)
        if (((unsigned char)*s <= ' ' && !strchr(inner, *s)) || *s == 0x7f) return 0;
    return 1;
}

/* ---- lineages ---- */

/* A key that was used before: 1 when this request has been answered because of it. */
static int lineage_again(struct core *c, const struct core_event *ev, struct hash key)
{
    const struct core_lineage *l = core_lineage(c, map_get(&c->lineage_keys, key));

    if (!l) return 0;
    if (hash_equal(l->digest, ev->digest) && strcmp(l->owner, ev->user) == 0) core_done(c, "");
    else
        core_refuse(c, ERR_EXISTS, "this request key made lineage %s before, with other contents",
                    l->name);
    return 1;
}

void submit_lineage(struct core *c, const struct core_event *ev)
{
    const struct msg_lineage_create *m = &ev->message->lineage_create;
    struct core_lineage l = {.key = m->key, .digest = ev->digest, .created_ms = c->now_ms};
    const struct core_lineage *there = core_lineage_named(c, m->name), *made;

    if (hash_is_zero(m->key)) core_refuse(c, ERR_INPUT, "lineage_create: a request key is needed");
    else if (lineage_again(c, ev, m->key)) return;
    else if (c->stopping)
        core_refuse(c, ERR_ENVIRONMENT, "the coordinator is stopping; try again when it is back");
    else if (!good_name(m->name))
        core_refuse(
            c, ERR_INPUT,
            "lineage name `%s`: letters, digits, `.`, `_`, `-`, beginning with a letter or digit",
            m->name);
    else if (m->base_path[0] != '/' || hash_is_zero(m->base_hash))
        core_refuse(c, ERR_INPUT, "lineage %s: the base model needs an absolute path and a hash",
                    m->name);
    else if (there)
        core_refuse(c, ERR_EXISTS, "lineage %s exists already; owner %s", m->name, there->owner);
    else {
        l.name = core_own(c, m->name);
        l.owner = core_own(c, ev->user);
        if (!(made = core_add_lineage(c, &l))) return;
        core_put_lineage(c, made);
        core_done(c, "");
    }
}

/* ---- jobs ---- */

struct request {
    enum job_kind kind;
    struct hash key, commit;
    const char *lineage;
};

static struct request request_of(const struct message *m)
{
    switch (m->kind) {
    case MSG_learn:
        return (struct request){
            .kind = JOB_LEARN, .key = m->learn.key, .lineage = m->learn.lineage};
    case MSG_sample:
        return (struct request){JOB_SAMPLE, m->sample.key, m->sample.commit, m->sample.lineage};
    default:
        return (struct request){JOB_EVALUATE, m->evaluate.key, m->evaluate.commit,
                                m->evaluate.lineage};
    }
}

static void accept(struct core *c, const struct core_job *j)
{
    struct message m = {.kind = MSG_accepted, .accepted.job = j->id};
    if (j->kind == JOB_LEARN) m.accepted.before = core_before(c, j);
    core_answer(c, c->ev->from, m);
}

static int job_again(struct core *c, const struct core_event *ev, struct hash key)
{
    const struct core_job *j = core_job(c, map_get(&c->job_keys, key));

    if (!j) return 0;
    if (hash_equal(j->digest, ev->digest) && strcmp(j->owner, ev->user) == 0) accept(c, j);
    else
        core_refuse(c, ERR_EXISTS, "this request key made job %llu before, with other contents",
                    (unsigned long long)j->id);
    return 1;
}

static struct core_lineage *lineage_for(struct core *c, const struct core_event *ev,
                                        const char *name)
{
    const struct core_lineage *l = core_lineage_named(c, name);
    const char *near;

    if (l && strcmp(l->owner, ev->user) == 0) return c->lineages[l->id - 1];
    if (l) core_refuse(c, ERR_DENIED, "lineage %s belongs to %s", name, l->owner);
    else if ((near = core_nearest_lineage(c, name)))
        core_refuse(c, ERR_NOT_FOUND, "there is no lineage `%s`; did you mean `%s`?", name, near);
    else core_refuse(c, ERR_NOT_FOUND, "there is no lineage `%s`", name);
    return NULL;
}

/* The learn job that holds a token: it has committed, or may still. */
static const struct core_job *token_holder(const struct core *c, const struct core_lineage *l,
                                           const char *token)
{
    for (size_t i = 0; i < l->n_learns; i++) {
        const struct core_job *j = core_job(c, l->learns[i]);
        if (strcmp(j->token, token) == 0 && (job_is_live(j) || !hash_is_zero(j->commit))) return j;
    }
    return NULL;
}

static int bad_concept(struct core *c, const struct msg_learn *m)
{
    if (!good_word(m->token, ""))
        core_refuse(c, ERR_INPUT, "token `%s`: one word without spaces, such as <rex>", m->token);
    else if (!good_word(m->class_word, " "))
        core_refuse(c, ERR_INPUT, "class `%s` of %s: one or a few plain words, such as dog",
                    m->class_word, m->token);
    else if (m->kind < CONCEPT_ANIMAL || m->kind > CONCEPT_STYLE)
        core_refuse(c, ERR_INPUT, "%s: kind %d is none of animal, object, scene, style", m->token,
                    (int)m->kind);
    else if (m->images.n == 0)
        core_refuse(c, ERR_INPUT, "%s: at least one image is needed", m->token);
    else if (m->captions.n && m->captions.n != m->images.n)
        core_refuse(c, ERR_INPUT, "%s: %zu captions for %zu images; one for each or none", m->token,
                    m->captions.n, m->images.n);
    else if (((m->wants & WANT_PRIOR) == 0) != (hash_is_zero(m->prior_key) != 0))
        core_refuse(c, ERR_INPUT, "%s: a prior needs a prior_key, and only then", m->token);
    else if ((m->wants & WANT_SAMPLE) && m->preview_prompts.n == 0)
        core_refuse(c, ERR_INPUT, "%s: previews need at least one prompt", m->token);
    else return 0;
    return 1;
}

static int bad_learn(struct core *c, const struct core_lineage *l, const struct msg_learn *m)
{
    const struct core_job *holder = token_holder(c, l, m->token);
    size_t waiting = 0;

    if (bad_concept(c, m)) return 1;
    for (size_t i = l->turn; i < l->n_learns; i++)
        waiting += !lineage_decided(core_job(c, l->learns[i]));
    if (holder && hash_is_zero(holder->commit))
        core_refuse(c, ERR_EXISTS, "token %s is taken in %s by job %llu, which is %s", m->token,
                    l->name, (unsigned long long)holder->id,
                    proto_job_state((uint64_t)holder->state));
    else if (holder)
        core_refuse(c, ERR_EXISTS, "token %s is taken in %s by commit %llu (job %llu)", m->token,
                    l->name, (unsigned long long)holder->commit_number,
                    (unsigned long long)holder->id);
    else if (l->n_commits + waiting >= PROTO_CHAIN)
        core_refuse(c, ERR_INPUT, "lineage %s has %zu concepts, learned or waiting; at most %d",
                    l->name, l->n_commits + waiting, PROTO_CHAIN);
    else return 0;
    return 1;
}

static int bad_reading(struct core *c, const struct core_lineage *l, const struct message *m,
                       struct core_job *j)
{
    const struct core_commit *at = lineage_find(l, j->commit);
    char text[HASH_TEXT];

    if (m->kind == MSG_sample && (m->sample.prompts.n == 0 || m->sample.per_prompt == 0)) {
        core_refuse(c, ERR_INPUT, "sample: at least one prompt and one picture for each");
        return 1;
    }
    if (hash_is_zero(j->commit)) {
        j->commit = l->head;
        j->commit_number = l->n_commits;
        return 0;
    }
    if (!at) {
        core_refuse(c, ERR_NOT_FOUND,
                    "commit %.12s is not in lineage %s; `engram log %s` lists its commits",
                    hash_text(j->commit, text), l->name, l->name);
        return 1;
    }
    j->commit_number = at->number;
    return 0;
}

static void start(struct core *c, struct core_lineage *l, const struct core_event *ev,
                  struct core_job *fresh)
{
    const struct msg_learn *learn = ev->message->kind == MSG_learn ? &ev->message->learn : NULL;
    struct core_job *j;

    fresh->owner = core_own(c, ev->user);
    fresh->token = core_own(c, learn ? learn->token : "");
    fresh->class_word = core_own(c, learn ? learn->class_word : "");
    job_plan(fresh, learn ? learn->wants : 0);
    if (!(j = core_add_job(c, fresh))) return;
    core_touch(c, j);
    j->dirty = 2; /* insert, with the request */
    core_event_row(c, j, EVENT_STATE, NULL, "queued");
    if (learn && !lineage_add_learn(c, l, j->id)) return;
    prior_join(c, j);
    if (learn) lineage_advance(c, l);
    else job_advance(c, j);
    accept(c, j);
}

void submit_job(struct core *c, const struct core_event *ev)
{
    const struct message *m = ev->message;
    struct request r = request_of(m);
    struct core_job j = {.kind = r.kind,
                         .state = JOB_QUEUED,
                         .key = r.key,
                         .digest = ev->digest,
                         .submitted_ms = c->now_ms};
    struct core_lineage *l;

    if (hash_is_zero(r.key)) {
        core_refuse(c, ERR_INPUT, "%s: a request key is needed", proto_name(m->kind));
        return;
    }
    if (job_again(c, ev, r.key)) return;
    if (c->stopping) {
        core_refuse(c, ERR_ENVIRONMENT, "the coordinator is stopping; try again when it is back");
        return;
    }
    if (!(l = lineage_for(c, ev, r.lineage))) return;
    j.lineage = l->id;
    if (m->kind == MSG_learn) {
        if (bad_learn(c, l, &m->learn)) return;
        j.concept = (enum concept_kind)m->learn.kind;
        j.prior_key = m->learn.prior_key;
    } else {
        j.commit = r.commit;
        if (bad_reading(c, l, m, &j)) return;
    }
    start(c, l, ev, &j);
}

/* ---- cancel, stop ---- */

void submit_cancel(struct core *c, const struct core_event *ev)
{
    uint64_t id = ev->message->cancel.job;
    struct core_job *j = core_find_job(c, id);

    if (!j) core_refuse(c, ERR_NOT_FOUND, "there is no job %llu", (unsigned long long)id);
    else if (strcmp(j->owner, ev->user))
        core_refuse(c, ERR_DENIED, "job %llu belongs to %s", (unsigned long long)id, j->owner);
    else if (j->state == JOB_CANCELLED) core_done(c, "");
    else if (!job_is_live(j))
        core_refuse(c, ERR_STALE, "job %llu has ended already: %s", (unsigned long long)id,
                    proto_job_state((uint64_t)j->state));
    else {
        const char *line =
            j->kind == JOB_LEARN && !hash_is_zero(j->commit) ? "its commit stays" : "";
        job_end(c, j, JOB_CANCELLED, line);
        core_done(c, line);
    }
}

void submit_stop(struct core *c, const struct core_event *ev)
{
    /* A second stop may only be more impatient. */
    c->drain = ev->message->stop.drain && (!c->stopping || c->drain);
    c->stopping = 1;
    core_done(c, "");
}
