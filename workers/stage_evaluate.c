/* stage_evaluate.c - scores and pictures of every concept of the chain, as one JSON object.
 *
 * Prompt patterns: the request's own, else the base model's evaluate.txt (one a line; a small world has words of its own), else the
 * evaluator's.
 */
#include "workers/stage.h"

#include "base/file.h"
#include "pipeline/evaluate/evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum code concepts(const struct msg_stage *s, struct arena *a, struct evaluate_task *t,
                          struct err *e)
{
    struct evaluate_concept *c = arena_alloc(a, (s->concepts.n + 1) * sizeof *c);
    if (!c) return err_set(e, ERR_NOMEM, "out of memory for %zu concepts", s->concepts.n);
    for (size_t i = 0; i < s->concepts.n; i++) {
        const struct concept_row *row = &s->concepts.v[i];
        c[i] = (struct evaluate_concept){.token = row->token,
                                         .class_word = row->class_word,
                                         .kind = proto_concept_kind(row->kind),
                                         .reference = row->images.v,
                                         .n_references = (int)row->images.n,
                                         .commit = row->commit};
    }
    t->concept = c;
    t->n = (int)s->concepts.n;
    return OK;
}

/* The base model's own patterns, if it has any. */
static enum code base_patterns(struct group *g, struct arena *a, struct evaluate_task *t,
                               struct err *e)
{
    char path[4200];
    struct prompts p = {0};
    snprintf(path, sizeof path, "%s/evaluate.txt", g->model_path);
    if (!file_exists(path)) return OK;
    enum code rc = prompts_read(path, &p, e);
    const char **pattern = rc ? NULL : arena_alloc(a, ((size_t)p.n + 1) * sizeof *pattern);
    for (int i = 0; pattern && i < p.n; i++) pattern[i] = arena_strdup(a, p.prompt[i].text);
    t->pattern = pattern;
    t->n_patterns = p.n;
    prompts_fini(&p);
    return rc || pattern ? rc : err_set(e, ERR_NOMEM, "out of memory for prompts");
}

static enum code task_make(struct group *g, const struct msg_stage *s,
                           const struct message *request, struct arena *a, struct evaluate_task *t,
                           struct err *e)
{
    int own = request->kind == MSG_evaluate;
    *t = (struct evaluate_task){.model = g->model,
                                .clip = g->clip,
                                .kernels = g->kernels,
                                .w0 = g->w0,
                                .store = g->objects,
                                .ranks = g->ranks,
                                .progress = g->progress,
                                .progress_self = g->progress_self,
                                .seed = s->seed};
    enum code rc =
        settings_parse(&t->settings, own ? request->evaluate.settings : request->learn.settings, e);
    if (own && request->evaluate.per_prompt)
        t->settings.evaluate_per_prompt = (int64_t)request->evaluate.per_prompt;
    if (own) {
        t->pattern = request->evaluate.prompts.v;
        t->n_patterns = (int)request->evaluate.prompts.n;
    }
    if (!rc && !t->n_patterns) rc = base_patterns(g, a, t, e);
    return rc ? rc : concepts(s, a, t, e);
}

enum code stage_evaluate(struct group *g, const struct msg_stage *s, const struct message *request,
                         struct arena *a, struct outcome *out, struct err *e)
{
    struct evaluate_task t;
    struct evaluation v = {0};
    struct text json = {0};
    struct hash h;
    enum code rc = group_clip(g, e);
    if (!rc) rc = task_make(g, s, request, a, &t, e);
    rc = collectives_agree(g->ranks, rc, e);
    if (!rc) rc = evaluate_run(&t, &v, e);
    if (!rc) evaluation_write(&v, &json);
    if (!rc && !text_ok(&json)) rc = err_set(e, ERR_NOMEM, "out of memory writing an evaluation");
    if (!rc) rc = objects_put(g->objects, json.s, json.n, &h, e);
    if (!rc) rc = outcome_set(out, a, &h, 1, e);
    if (!rc) text_printf(&out->report, "{\"concepts\":%d}", v.n);
    text_fini(&json);
    evaluation_fini(&v);
    return rc;
}
