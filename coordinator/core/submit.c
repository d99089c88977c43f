/* submit.c - what users ask to be made: each request is checked as a whole before anything changes (invariant 7), and one that
 * came before (same key) is answered as it was. */
#include "coordinator/core/state.h"

#include <stdio.h>

#define N(x) ((unsigned long long)(x))

/* Visible from end to end: no control characters, no space at either end; inside only if `inner`. */
static int good_word(const char *s, const char *inner)
{
    size_t n = strlen(s);
    if (n == 0 || s[0] == ' ' || s[n - 1] == ' ') return 0;
    for (; *s; s++)
        if (((unsigned char)*s <= ' ' && !strchr(inner, *s)) || *s == 0x7f) return 0;
    return 1;
}

/* ---- jobs: what becomes of one request ---- */

struct outcome {
    uint64_t job, before;
    enum code code;
    const char *line;
};

/* One request on its way: what it asks for, and what it will be answered. */
struct asking {
    struct core *c;
    const struct core_request *r;
    struct lineage *l;
    struct outcome *out;
    struct core_job job;
};

#define REFUSE(a, why, ...) refuse(a, why, core_line((a)->c, __VA_ARGS__))

static int refuse(struct asking *a, enum code code, const char *line)
{
    *a->out = (struct outcome){.code = code, .line = line};
    return 0;
}

static void accept(struct asking *a, const struct core_job *j, uint64_t before)
{
    *a->out = (struct outcome){.job = j->id, .before = before, .line = ""};
}

/* The job that this key made before. 1: answered because of it. */
static int job_again(struct asking *a)
{
    const struct core_job *j = jobs_by_key(a->c, a->job.key);

    if (!j && a->r->past) j = &a->r->past->job;
    if (!j) return 0;
    if (memcmp(j->digest, a->job.digest, CORE_DIGEST) == 0 && j->owner == a->job.owner)
        accept(a, j, j->self ? core_before(a->c, j) : 0);
    else
        REFUSE(a, ERR_EXISTS, "this request key made job %llu before, with other contents",
               N(j->id));
    return 1;
}

static int find_lineage(struct asking *a, const char *name)
{
    struct core *c = a->c;
    const struct core_user *who = &c->asker->row;
    struct lineage *l = lineage_named(c, name);
    const char *near;
    int adds = a->job.kind == JOB_LEARN;

    if (l &&
        (adds ? core_may_add(c, who, c->role, &l->row) : core_may_read(c, who, c->role, &l->row))) {
        a->l = l;
        a->job.lineage = l->row.id;
        return 1;
    }
    if (l && adds && core_may_read(c, who, c->role, &l->row))
        return REFUSE(a, ERR_DENIED,
                      "lineage %s belongs to %s and is not shared with you: it may "
                      "be read, not added to",
                      name, user_at(c, l->row.owner)->row.name);
    if (l)
        return REFUSE(a, ERR_DENIED, "lineage %s belongs to %s", name,
                      user_at(c, l->row.owner)->row.name);
    if ((near = core_nearest_lineage(c, name)))
        return REFUSE(a, ERR_NOT_FOUND, "there is no lineage `%s`; did you mean `%s`?", name, near);
    return REFUSE(a, ERR_NOT_FOUND, "there is no lineage `%s`", name);
}

static int within_quota(struct asking *a)
{
    const struct core_user *u = &a->c->asker->row;
    uint64_t open = u->queued + u->running + u->paused;

    if (u->max_queued && open >= u->max_queued)
        return REFUSE(a, ERR_DENIED,
                      "user %s has %llu jobs that have not ended and may have %llu: "
                      "wait for some to end, or cancel them",
                      u->name, N(open), N(u->max_queued));
    if (u->max_bytes && u->bytes + a->r->bytes > u->max_bytes)
        return REFUSE(
            a, ERR_DENIED,
            "user %s keeps %llu bytes of requests, photos and pictures and may keep %llu: "
            "`engram forget` makes room",
            u->name, N(u->bytes), N(u->max_bytes));
    return 1;
}

static int good_concept(struct asking *a, const struct msg_learn *m)
{
    if (!good_word(m->token, ""))
        return REFUSE(a, ERR_INPUT, "token `%s`: one word without spaces, such as <rex>", m->token);
    if (!good_word(m->class_word, " "))
        return REFUSE(a, ERR_INPUT, "class `%s` of %s: one or a few plain words, such as dog",
                      m->class_word, m->token);
    if (m->kind < CONCEPT_ANIMAL || m->kind > CONCEPT_STYLE)
        return REFUSE(a, ERR_INPUT, "%s: kind %d is none of animal, object, scene, style", m->token,
                      (int)m->kind);
    if (m->images.n == 0) return REFUSE(a, ERR_INPUT, "%s: at least one image is needed", m->token);
    if (m->captions.n && m->captions.n != m->images.n)
        return REFUSE(a, ERR_INPUT, "%s: %zu captions for %zu images; one for each or none",
                      m->token, m->captions.n, m->images.n);
    if (((m->wants & WANT_PRIOR) == 0) != (hash_is_zero(m->prior_key) != 0))
        return REFUSE(a, ERR_INPUT, "%s: a prior needs a prior_key, and only then", m->token);
    if ((m->wants & WANT_SAMPLE) && m->preview_prompts.n == 0)
        return REFUSE(a, ERR_INPUT, "%s: previews need at least one prompt", m->token);
    return 1;
}

static char *holder_line(struct core *c, const struct lineage *l, const char *token, uint64_t job)
{
    const struct core_job *j = jobs_find(c, job);

    if (j && !j->commit_number)
        return core_line(c, "token %s is taken in %s by job %llu, which is %s", token, l->row.name,
                         N(job), proto_job_state(j->state));
    for (size_t i = 0; i < l->row.n_commits; i++)
        if (l->row.commits[i].job == job)
            return core_line(c, "token %s is taken in %s by commit %zu (job %llu)", token,
                             l->row.name, i + 1, N(job));
    return core_line(c, "token %s is taken in %s by job %llu", token, l->row.name, N(job));
}

static int room_for_concept(struct asking *a, const char *token)
{
    struct lineage *l = a->l;
    uint64_t holder = lineage_token(a->c, l, token);

    if (holder) return refuse(a, ERR_EXISTS, holder_line(a->c, l, token, holder));
    if (l->row.n_commits + l->row.n_undecided >= PROTO_CHAIN)
        return REFUSE(a, ERR_INPUT, "lineage %s has %zu concepts, learned or waiting; at most %d",
                      l->row.name, l->row.n_commits + l->row.n_undecided, PROTO_CHAIN);
    return 1;
}

static int good_reading(struct asking *a, const struct message *m, struct hash commit)
{
    int is_base = m->kind == MSG_sample && hash_equal(commit, proto_base_alone()),
        is_head = hash_is_zero(commit);
    uint64_t number;
    char text[HASH_TEXT];

    if (m->kind == MSG_sample && (m->sample.prompts.n == 0 || m->sample.per_prompt == 0))
        return REFUSE(a, ERR_INPUT, "sample: at least one prompt and one picture for each");
    number = is_head ? a->l->row.n_commits : is_base ? 0 : lineage_find(a->l, commit);
    if (!number && !is_head && !is_base)
        return REFUSE(a, ERR_NOT_FOUND,
                      "commit %.12s is not in lineage %s; `engram log %s` lists its commits",
                      hash_text(commit, text), a->l->row.name, a->l->row.name);
    a->job.commit_number = (uint32_t)number;
    return 1;
}

static void start(struct asking *a)
{
    const struct message *m = a->r->message;
    const struct msg_learn *learn = m->kind == MSG_learn ? &m->learn : NULL;
    struct core *c = a->c;
    struct prior *p = NULL;
    struct core_job *j;

    a->job.id = c->clock.job + 1;
    a->job.place = a->job.id << 20;
    a->job.stages = job_plan((enum job_kind)a->job.kind, learn ? learn->wants : 0);
    if (learn && (learn->wants & WANT_PRIOR)) {
        if (!(p = prior_for(c, learn->prior_key))) return;
        a->job.prior = p->row.id;
    }
    if (!(j = jobs_add(c, &a->job))) return;
    put_job(c, j, m);
    core_news(c, j, NULL, NEWS_SUBMITTED, NULL);
    core_touch(c, j);
    c->asker->row.bytes += a->r->bytes;
    put_user(c, c->asker);
    if (learn && !lineage_take_token(c, a->l, learn->token, j->id)) return;
    if (learn) lineage_enter(c, a->l, j);
    if (p) prior_join(c, j);
    if (learn) lineage_advance(c, a->l);
    else job_advance(c, j);
    accept(a, j, learn ? a->l->row.n_undecided - 1 : 0);
}

static const char *lineage_in(const struct message *m)
{
    return m->kind == MSG_learn    ? m->learn.lineage
           : m->kind == MSG_sample ? m->sample.lineage
                                   : m->evaluate.lineage;
}

static struct hash key_in(const struct message *m)
{
    return m->kind == MSG_learn    ? m->learn.key
           : m->kind == MSG_sample ? m->sample.key
                                   : m->evaluate.key;
}

static uint64_t priority_in(const struct message *m)
{
    return m->kind == MSG_learn    ? m->learn.priority
           : m->kind == MSG_sample ? m->sample.priority
                                   : m->evaluate.priority;
}

static int good_request(struct asking *a, const struct message *m)
{
    if (a->c->stopping)
        return REFUSE(a, ERR_ENVIRONMENT, "the coordinator is stopping; try again when it is back");
    if (priority_in(m) >= PRIORITIES)
        return REFUSE(a, ERR_INPUT, "%s: priority %d is none of normal, high, low",
                      proto_name(m->kind), (int)priority_in(m));
    if (!find_lineage(a, lineage_in(m)) || !within_quota(a)) return 0;
    if (m->kind == MSG_learn)
        return good_concept(a, &m->learn) && room_for_concept(a, m->learn.token);
    return good_reading(a, m, m->kind == MSG_sample ? m->sample.commit : m->evaluate.commit);
}

/* One request, from its bytes to its answer. */
static void ask(struct core *c, const struct core_request *r, struct outcome *out)
{
    struct asking a = {.c = c, .r = r, .out = out};
    const struct message *m = r->message;
    struct hash key;

    if (!m) {
        refuse(&a, r->code, r->line);
        return;
    }
    key = key_in(m);
    if (hash_is_zero(key)) {
        REFUSE(&a, ERR_INPUT, "%s: a request key is needed", proto_name(m->kind));
        return;
    }
    a.job = (struct core_job){.kind = m->kind == MSG_learn    ? JOB_LEARN
                                      : m->kind == MSG_sample ? JOB_SAMPLE
                                                              : JOB_EVALUATE,
                              .state = JOB_QUEUED,
                              .priority = (uint8_t)priority_in(m),
                              .owner = c->asker->row.id,
                              .submitted_ms = c->now_ms};
    memcpy(a.job.key, key.v, CORE_KEY);
    memcpy(a.job.digest, r->digest.v, CORE_DIGEST);
    if (!job_again(&a) && good_request(&a, m)) start(&a);
}

void submit_one(struct core *c, const struct core_event *ev)
{
    struct outcome o = {.code = ERR_NOMEM, .line = "out of memory"};

    assert(ev->n_requests == 1);
    ask(c, ev->requests, &o);
    if (o.job)
        core_answer(
            c, ev->from,
            (struct message){.kind = MSG_accepted, .accepted = {.job = o.job, .before = o.before}});
    else core_refuse(c, o.code, "%s", o.line ? o.line : "");
}

/* Each by itself: one that is refused stands in nobody's way. */
void submit_many(struct core *c, const struct core_event *ev)
{
    struct message m = {.kind = MSG_accepted_many};
    struct accepted_rows *rows = &m.accepted_many.rows;

    rows->v = arena_alloc(&c->out->arena, (ev->n_requests + 1) * sizeof *rows->v);
    if (!rows->v) {
        c->broken = 1;
        return;
    }
    for (; rows->n < ev->n_requests && !c->broken; rows->n++) {
        struct outcome o = {.code = ERR_NOMEM, .line = "out of memory"};
        ask(c, &ev->requests[rows->n], &o);
        rows->v[rows->n] = (struct accepted_row){
            .job = o.job, .before = o.before, .code = (uint64_t)o.code, .line = o.line};
    }
    core_answer(c, ev->from, m);
}
