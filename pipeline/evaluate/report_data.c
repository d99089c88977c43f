/* report_data.c - evaluations and records behind a report, and the same figures as JSON. */
#include "pipeline/evaluate/report_data.h"

#include "base/arena.h"
#include "base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVALUATION_BYTES (64u << 20)
#define LOSSES 100000

static const char *const density_key[4] = {"base", "general", "concept", "reg"};

/* Tolerant: other methods and later versions say other things, and a report shows what it knows. */
static void made_read(struct made *m, const char *json)
{
    json_t *root = json ? json_loads(json, 0, NULL) : NULL;
    const json_t *losses = json_object_get(root, "losses");
    size_t n = json_array_size(losses);
    for (int i = 0; i < 4; i++) {
        const json_t *v = json_object_get(json_object_get(root, "densities"), density_key[i]);
        m->density[i] = json_is_number(v) ? json_number_value(v) : (double)NAN;
    }
    m->steps = json_integer_value(json_object_get(root, "steps"));
    const char *method = json_string_value(json_object_get(root, "method"));
    snprintf(m->method, sizeof m->method, "%s", method ? method : "");
    m->loss = n && n <= LOSSES ? mem_alloc(n, sizeof *m->loss) : NULL;
    m->n_losses = m->loss ? (int)n : 0;
    for (int i = 0; i < m->n_losses; i++) {
        const json_t *v = json_array_get(losses, (size_t)i);
        m->loss[i] = json_is_number(v) ? json_number_value(v) : (double)NAN;
    }
    json_decref(root);
}

static enum code evaluation_get(struct chapters *c, int i, struct err *e)
{
    struct chapter *x = &c->v[i];
    struct bytes b = {0};
    if (hash_is_zero(x->c->evaluation)) return OK;
    enum code rc = objects_get(c->r->store, x->c->evaluation, EVALUATION_BYTES, &b, e);
    if (!rc) rc = evaluation_read((const char *)b.data, b.n, &x->evaluation, e);
    free(b.data);
    if (!rc && x->evaluation.n != i + 1)
        rc = err_set(e, ERR_CORRUPT, "it is of %d concepts, the commit is number %d",
                     x->evaluation.n, i + 1);
    for (int k = 0; !rc && k <= i; k++)
        if (strcmp(x->evaluation.concept[k].token, c->v[k].c->token) != 0)
            rc = err_set(e, ERR_CORRUPT, "its concept %d is %s, the lineage's is %s", k + 1,
                         x->evaluation.concept[k].token, c->v[k].c->token);
    if (rc) err_context(e, "evaluation after %s", x->c->token);
    return rc;
}

enum code chapters_read(struct chapters *out, const struct report *r, struct err *e)
{
    enum code rc = OK;
    *out = (struct chapters){.r = r, .n = r->n};
    out->v = mem_alloc((size_t)r->n + 1, sizeof *out->v);
    if (!out->v) return err_set(e, ERR_NOMEM, "out of memory for a report");
    for (int i = 0; i < r->n; i++) out->v[i].c = &r->commit[i];
    for (int i = 0; !rc && i < r->n; i++) {
        made_read(&out->v[i].made, r->commit[i].made);
        rc = evaluation_get(out, i, e);
    }
    if (rc) chapters_fini(out);
    return rc;
}

void chapters_fini(struct chapters *c)
{
    for (int i = 0; c->v && i < c->n; i++) {
        evaluation_fini(&c->v[i].evaluation);
        free(c->v[i].made.loss);
    }
    free(c->v);
    *c = (struct chapters){0};
}

const struct concept_score *score_at(const struct chapters *c, int commit, int concept)
{
    const struct evaluation *v = &c->v[commit].evaluation;
    return concept < v->n ? &v->concept[concept] : NULL;
}

const struct concept_score *score_now(const struct chapters *c, int concept)
{
    for (int i = c->n - 1; i >= concept; i--)
        if (score_at(c, i, concept)) return score_at(c, i, concept);
    return NULL;
}

const struct concept_score *score_then(const struct chapters *c, int concept)
{
    return score_at(c, concept, concept);
}

struct forgetting forgetting_of(const struct chapters *c)
{
    struct forgetting f = {0};
    int last = c->n - 1;
    for (int k = 0; k < last; k++) {
        const struct concept_score *then = score_then(c, k), *now = score_at(c, last, k);
        if (!then || !now) continue;
        f.then_i += then->clip_i;
        f.now_i += now->clip_i;
        f.drift += now->drift;
        f.n++;
    }
    if (f.n) f.then_i /= f.n, f.now_i /= f.n, f.drift /= f.n;
    return f;
}

/* ---- the summary ---- */

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *score_json(const struct concept_score *s)
{
    return json_pack("{s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "token", s->token, "clip_i",
                     s->clip_i, "clip_t", s->clip_t, "clip_t_scaled", s->clip_t_scaled, "before_i",
                     s->before_i, "before_t", s->before_t, "before_t_scaled", s->before_t_scaled,
                     "drift", s->drift, "pixel_drift", s->pixel_drift, "owned", s->owned,
                     "regularised", s->regularised);
}

static json_t *chapter_json(const struct chapter *x)
{
    char hex[HASH_TEXT];
    json_t *densities = json_object(), *concepts = json_array();
    for (int i = 0; i < 4; i++)
        json_object_set_new(densities, density_key[i], number(x->made.density[i]));
    for (int k = 0; k < x->evaluation.n; k++)
        json_array_append_new(concepts, score_json(&x->evaluation.concept[k]));
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:f,s:o,s:o}", "commit",
                     hash_text(x->c->commit, hex), "token", x->c->token, "class", x->c->class_word,
                     "kind", x->c->kind, "method", x->made.method, "steps",
                     (json_int_t)x->made.steps, "seconds", x->c->seconds, "densities", densities,
                     "concepts", concepts);
}

enum code report_summary(const char *path, const struct report *r, struct err *e)
{
    struct chapters c;
    enum code rc = chapters_read(&c, r, e);
    if (rc) return rc;
    struct forgetting f = forgetting_of(&c);
    json_t *commits = json_array(), *forgetting = json_null();
    for (int i = 0; i < c.n; i++) json_array_append_new(commits, chapter_json(&c.v[i]));
    if (f.n)
        forgetting = json_pack("{s:i,s:f,s:f,s:f}", "concepts", f.n, "clip_i_when_learned",
                               f.then_i, "clip_i_now", f.now_i, "drift", f.drift);
    json_t *root = json_pack("{s:i,s:s,s:s,s:o,s:o}", "v", 1, "lineage", r->lineage, "base_model",
                             r->base_model, "forgetting", forgetting, "commits", commits);
    char *s =
        root ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(10)) : NULL;
    rc =
        s ? file_write(path, s, strlen(s), e)
          : err_set(e, ERR_INPUT,
                    "a name in the lineage is not UTF-8, or memory is out: no summary was written");
    free(s);
    json_decref(root);
    chapters_fini(&c);
    return rc;
}
