/* submit_check.c - wishes become requests, or problems. Nothing is written or sent here; the coordinator is asked about each
 * lineage once, and about a job whose token a wish wants. */
#include "cli/prompt_list.h"
#include "cli/submit.h"

#include "pipeline/data/yaml.h"
#include "pipeline/evaluate/patterns.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What lesson_room said of the wishes that are alike. */
struct room {
    const struct target *target;
    const char *settings_json;
    int previews, no_evaluate, answer_no_evaluate;
    enum code code;
    const char *line;
    struct room *next;
};

struct checking {
    struct submitting *s;
    struct problems *p;   /* of all */
    struct settings base; /* of the command line */
    const char *base_json;
    struct captioning captioning;
    struct room *rooms;
};

static void refuse(struct checking *c, struct wish *w, enum code code, const char *line)
{
    problems_add(c->p, code, "%s: %s", w->where, line);
    if (!w->code) w->code = code;
    if (!w->line) w->line = arena_strdup(&c->s->arena, line);
}

static void refuse_err(struct checking *c, struct wish *w, const struct err *e)
{
    refuse(c, w, e->code, e->text);
}

/* ---- its lineage and settings ---- */

static struct target *find_target(struct checking *c, const char *name, struct err *e)
{
    struct target *t = c->s->targets;
    while (t && strcmp(t->name, name) != 0) t = t->next;
    if (t) {
        if (t->row.name) return t;
        *e = t->no_texts; /* what was wrong with it the first time */
        return NULL;
    }
    if (!(t = arena_alloc(&c->s->arena, sizeof *t))) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    t->name = name;
    t->next = c->s->targets;
    c->s->targets = t;
    if (!target_open(t, &c->s->arena, e)) return t;
    t->row.name = NULL;
    t->no_texts = *e;
    return NULL;
}

static enum code choose_settings(struct checking *c, struct wish *w, struct err *e)
{
    struct text t = {0};
    enum code rc = OK;
    char seed[64];
    int own = w->set.n > 0 || (w->kind == JOB_LEARN && w->seed >= 0);
    w->settings = c->base;
    w->settings_json = c->base_json;
    if (!own) return OK;
    for (size_t i = 0; !rc && i < w->set.n; i++) rc = settings_set(&w->settings, w->set.v[i], e);
    snprintf(seed, sizeof seed, "seed.value=%" PRId64, w->seed);
    if (!rc && w->kind == JOB_LEARN && w->seed >= 0) rc = settings_set(&w->settings, seed, e);
    if (!rc) rc = settings_check(&w->settings, e);
    if (rc) return rc;
    settings_write(&w->settings, &t);
    w->settings_json = text_ok(&t) ? arena_strdup(&c->s->arena, t.s) : NULL;
    text_fini(&t);
    return w->settings_json ? OK : err_set(e, ERR_NOMEM, "out of memory for settings");
}

/* ---- learn ---- */

/* Looked at once for all that are alike: the model is opened each time. */
static void check_room(struct checking *c, struct wish *w)
{
    struct lesson *l = &w->lesson;
    struct problems p = {0};
    struct room *r = c->rooms;
    while (r && (r->target != w->target || strcmp(r->settings_json, w->settings_json) ||
                 r->previews != (l->previews.n > 0) || r->no_evaluate != l->no_evaluate))
        r = r->next;
    if (!r && (r = arena_alloc(&c->s->arena, sizeof *r))) {
        *r = (struct room){w->target, w->settings_json, l->previews.n > 0, l->no_evaluate,
                           .next = c->rooms};
        c->rooms = r;
        lesson_room(l, w->target, c->s->memory, &p);
        r->answer_no_evaluate = l->no_evaluate;
        r->code = p.n ? p.code[0] : OK;
        r->line = p.n ? arena_strdup(&c->s->arena, p.line[0]) : "";
        problems_fini(&p);
    }
    if (!r) refuse(c, w, ERR_NOMEM, "out of memory");
    else if (r->code) refuse(c, w, r->code, r->line);
    else l->no_evaluate = r->answer_no_evaluate;
}

/* Two concepts of one token in one run: nobody could say which is meant. */
static int is_twice(const struct submitting *s, const struct wish *w, struct err *e)
{
    for (const struct wish *o = s->wish; o < w; o++)
        if (o->kind == JOB_LEARN && o->target == w->target &&
            !strcmp(o->lesson.concept.token, w->lesson.concept.token)) {
            err_set(e, ERR_EXISTS, "token %s is wanted by %s, too", w->lesson.concept.token,
                    o->where);
            return 1;
        }
    return 0;
}

/* Then that is its class; --class is for folders that say none. What cannot be read is complained of by who reads the folder. */
static int says_class(const char *dir)
{
    char path[PATH_MAX];
    struct yaml y = {0};
    int says = 0;

    if (snprintf(path, sizeof path, "%s/concept.yaml", dir) >= (int)sizeof path) return 0;
    if (access(path, F_OK) || yaml_read(path, &y, NULL)) return 0;
    for (size_t i = 0; i < y.n; i++) says |= !strcmp(y.entry[i].path, "class");
    yaml_fini(&y);
    return says;
}

static void check_learn(struct checking *c, struct wish *w)
{
    struct lesson *l = &w->lesson;
    struct problems p = {0};
    struct err e = {0};
    if (!l->dir) {
        refuse(c, w, ERR_INPUT, "learn needs a folder");
        return;
    }
    if (w->prompt) {
        const char **one = arena_copy(&c->s->arena, &w->prompt, sizeof w->prompt);
        l->previews = (struct words){one, one ? 1 : 0};
    }
    if (l->class_word == c->s->class_word && says_class(l->dir)) l->class_word = NULL;
    l->priority = w->priority;
    l->settings = &w->settings;
    l->settings_json = w->settings_json;
    lesson_read(l, caption_captioner(&c->captioning), &p);
    lesson_check(l, w->target, &p);
    for (size_t i = 0; i < p.n; i++) refuse(c, w, p.code[i], p.line[i]);
    problems_fini(&p);
    if (w->code) return;
    if (is_twice(c->s, w, &e)) refuse_err(c, w, &e);
    check_room(c, w);
    if (w->code) return;
    w->message.kind = MSG_learn;
    if (lesson_message(l, w->target, &c->s->arena, &w->message.learn, &e)) refuse_err(c, w, &e);
    lesson_say_captions(l);
}

/* ---- sample, evaluate ---- */

static enum code choose_commit(struct checking *c, struct wish *w, struct hash *commit,
                               struct commit_rows *known, struct err *e)
{
    enum code rc = cli_commit_or_base(w->target->name, w->commit, &c->s->arena, commit, e);
    *known = w->target->commits;
    for (size_t i = 0; !rc && i < known->n; i++)
        if (hash_equal(known->v[i].commit, *commit)) known->n = i + 1;
    if (!rc && hash_equal(*commit, proto_base_alone())) known->n = 0;
    return rc;
}

static enum code make_sample(struct checking *c, struct wish *w, struct err *e)
{
    struct msg_sample *m = &w->message.sample;
    struct words given = {&w->prompt, 1}, concepts = {&w->lesson.token, w->lesson.token ? 1 : 0};
    struct prompt_list list = {0};
    struct commit_rows known;
    char what[100];
    if (!w->prompt) return err_set(e, ERR_INPUT, "sample needs a prompt");
    enum code rc = choose_commit(c, w, &m->commit, &known, e);
    if (!rc) rc = prompt_list_add(&list, &given, &c->s->arena, e);
    if (!rc) rc = prompt_list_fill(&list, &concepts, w->target->name, &known, &c->s->arena, e);
    if (!rc) rc = target_knows_tokens(w->target->name, &known, list.drawn[0], e);
    snprintf(what, sizeof what, "prompt \"%.60s\"", w->prompt);
    if (!rc) rc = target_fits(w->target, list.drawn[0], what, e);
    if (!rc && w->negative) rc = target_fits(w->target, w->negative, "the negative prompt", e);
    w->message.kind = MSG_sample;
    m->lineage = w->target->name;
    m->prompts = (struct strs){list.n, list.drawn};
    m->negative = w->negative ? w->negative : "";
    m->per_prompt = w->per_prompt > 0 ? (uint64_t)w->per_prompt : 1;
    m->seed = w->seed > 0 ? (uint64_t)w->seed : 0;
    m->settings = w->settings_json;
    m->priority = w->priority;
    return rc;
}

static enum code make_evaluate(struct checking *c, struct wish *w, struct err *e)
{
    struct msg_evaluate *m = &w->message.evaluate;
    struct commit_rows known;
    const char **one = arena_copy(&c->s->arena, &w->prompt, sizeof w->prompt);
    enum code rc = choose_commit(c, w, &m->commit, &known, e);
    if (!one) return err_set(e, ERR_NOMEM, "out of memory");
    if (!rc && !known.n)
        rc = err_set(e, ERR_NOT_FOUND, "%s has no commits to evaluate", w->target->name);
    if (!rc && w->prompt) rc = patterns_check(one, 1, e);
    w->message.kind = MSG_evaluate;
    m->lineage = w->target->name;
    if (w->prompt) m->prompts = (struct strs){1, one};
    m->per_prompt = w->per_prompt > 0 ? (uint64_t)w->per_prompt : 0;
    m->seed = w->seed > 0 ? (uint64_t)w->seed : 0;
    m->settings = w->settings_json;
    m->priority = w->priority;
    return rc;
}

static void check_one(struct checking *c, struct wish *w)
{
    struct err e = {0};
    enum code rc;
    if (!w->lineage) {
        refuse(c, w, ERR_INPUT, "which lineage? a column says it, or --lineage for all");
        return;
    }
    w->target = find_target(c, w->lineage, &e);
    rc = w->target ? choose_settings(c, w, &e) : e.code;
    if (!rc && w->kind == JOB_LEARN) check_learn(c, w);
    else if (!rc) rc = w->kind == JOB_SAMPLE ? make_sample(c, w, &e) : make_evaluate(c, w, &e);
    if (rc) refuse_err(c, w, &e);
}

/* ---- keys ---- */

struct content {
    struct hash hash;
    struct wish *wish;
};

static int by_content(const void *a, const void *b)
{
    const struct content *x = a, *y = b;
    int order = memcmp(&x->hash, &y->hash, sizeof x->hash);
    return order ? order : (x->wish > y->wish) - (x->wish < y->wish);
}

static struct hash *key_in(struct message *m)
{
    return m->kind == MSG_learn    ? &m->learn.key
           : m->kind == MSG_sample ? &m->sample.key
                                   : &m->evaluate.key;
}

static struct hash make_key(const struct submitting *s, struct hash content, uint64_t nth)
{
    char text[HASH_TEXT + 64];
    struct text t = {0};
    hash_text(content, text);
    text_printf(&t, "engram submit 1\n%s\n%" PRIu64 "\n%s", text, nth, s->run ? s->run : "");
    struct hash key = text_ok(&t) ? hash_bytes(t.s, t.n) : (struct hash){{0}};
    text_fini(&t);
    return key;
}

/* Requests that are alike are told apart by their order. */
static void give_keys(struct checking *c)
{
    struct submitting *s = c->s;
    struct content *v = arena_alloc(&s->arena, (s->n + 1) * sizeof *v);
    struct err e = {0};
    size_t n = 0;
    uint64_t nth = 0;
    for (struct wish *w = s->wish; w < s->wish + s->n; w++) {
        struct slice bytes;
        if (w->code) continue;
        if (!v) err_set(&e, ERR_NOMEM, "out of memory");
        if (!v || proto_encode(&w->message, &s->arena, &bytes, &e)) refuse_err(c, w, &e);
        else v[n++] = (struct content){hash_bytes(bytes.data, bytes.n), w};
    }
    if (n) qsort(v, n, sizeof *v, by_content);
    for (size_t i = 0; i < n; i++) {
        nth = i && hash_equal(v[i].hash, v[i - 1].hash) ? nth + 1 : 0;
        *key_in(&v[i].wish->message) = make_key(s, v[i].hash, nth);
    }
}

/* Whoever has its token may be this very request, sent before. */
static int is_itself(struct wish *w, uint64_t job)
{
    struct message ask = {.kind = MSG_job, .job.job = job}, answer, was;
    struct arena a = {0};
    int same =
        job && !cli_ask(&ask, &a, &answer, NULL) &&
        !proto_decode(answer.job_info.request.data, answer.job_info.request.n, &a, &was, NULL) &&
        was.kind == MSG_learn && hash_equal(was.learn.key, w->message.learn.key);
    arena_fini(&a);
    return same;
}

static void finish_one(struct checking *c, struct wish *w)
{
    struct taken taken;
    struct err e = {0};
    if (w->kind == JOB_LEARN && target_token_taken(w->target, w->lesson.concept.token, &taken) &&
        !is_itself(w, taken.job))
        refuse(c, w, ERR_EXISTS, taken.line);
    else if (proto_encode(&w->message, &c->s->arena, &w->request, &e)) refuse_err(c, w, &e);
}

void submit_check(struct submitting *s, struct problems *p)
{
    struct checking c = {.s = s, .p = p};
    struct err e = {0};
    if (cli_settings(s->config, &s->set, &c.base, &c.base_json, &s->arena, p, &e)) return;
    if (caption_open(&c.captioning, &s->caption, &e)) {
        problems_add(p, e.code, "%s", e.text);
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (!s->wish[i].code) check_one(&c, &s->wish[i]);
        submit_tick("checked", i + 1, s->n);
    }
    caption_close(&c.captioning);
    give_keys(&c);
    for (size_t i = 0; i < s->n; i++)
        if (!s->wish[i].code) finish_one(&c, &s->wish[i]);
}
