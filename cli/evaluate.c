/* evaluate.c - `engram evaluate`: scores of a lineage, and its report. What learn has measured already is not measured again. */
#include "cli/cli.h"
#include "cli/fit.h"
#include "cli/progress.h"

#include "pipeline/evaluate/patterns.h"
#include "pipeline/evaluate/report.h"
#include "pipeline/method/settings.h"
#include "pipeline/neurons/commit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBJECT_BYTES (UINT64_C(1) << 31)

struct evaluating {
    const char *lineage, *commit, *out, *summary, *config, *title, *priority;
    struct words set, prompts, gallery;
    int again;
    int64_t seed;
    struct arena arena;
    struct objects *store;
    struct commit_rows commits;
    uint64_t *measured_by; /* [commits.n] jobs whose evaluations the rows name */
    struct lineage_row row;
};

/* The patterns of the command line, filled in for one concept, are read whole. */
static enum code check_concept(const struct evaluating *v, const struct tokenizer *t,
                               const struct commit_row *row, struct err *e)
{
    const char *kind = proto_concept_kind(row->kind);
    const char **chosen = mem_alloc(v->prompts.n + 1, sizeof *chosen);
    enum code rc = chosen ? OK : err_set(e, ERR_NOMEM, "out of memory for prompts");
    int n =
        rc ? 0 : patterns_choose(kind, v->prompts.v, (int)v->prompts.n, chosen, (int)v->prompts.n);
    for (int i = 0; !rc && i < n; i++) {
        char text[PATTERN_TEXT], what[200];
        pattern_fill(chosen[i], kind, row->token, row->class_word, text);
        snprintf(what, sizeof what, "evaluation prompt \"%.100s\"", text);
        rc = fit_check(t, text, what, e);
    }
    free(chosen);
    return rc;
}

static enum code check_prompts(const struct evaluating *v, struct err *e)
{
    struct tokenizer *t = NULL;
    if (!v->prompts.n || !v->row.base_path) return OK;
    enum code rc = patterns_check(v->prompts.v, (int)v->prompts.n, e);
    if (!rc) rc = fit_open(&t, v->row.base_path, &v->commits, NULL, e);
    for (size_t i = 0; !rc && i < v->commits.n; i++) rc = check_concept(v, t, &v->commits.v[i], e);
    tokenizer_close(t);
    return rc;
}

/* Submits an evaluation and waits; its report replaces the one that learn made for that commit. */
static enum code measure(struct evaluating *v, struct err *e)
{
    struct problems p = {0};
    struct settings settings;
    const char *json;
    struct hash commit;
    struct message answer;
    struct job_row row;
    uint64_t priority;
    enum code rc = cli_priority(v->priority, &priority, e);
    if (!rc) rc = cli_settings(v->config, &v->set, &settings, &json, &v->arena, &p, e);
    problems_fini(&p);
    if (!rc) rc = cli_commit(v->lineage, v->commit, &v->arena, &commit, e);
    if (!rc) rc = check_prompts(v, e);
    if (rc) return rc;
    struct message ask = {.kind = MSG_evaluate,
                          .evaluate = {.key = cli_key(),
                                       .lineage = v->lineage,
                                       .commit = commit,
                                       .prompts = {v->prompts.n, v->prompts.v},
                                       .seed = (uint64_t)v->seed,
                                       .settings = json,
                                       .priority = priority}};
    rc = cli_ask(&ask, &v->arena, &answer, e);
    if (!rc) rc = progress_follow(answer.accepted.job, &v->arena, &row, e);
    if (!rc && !row.results.n)
        rc = err_set(e, ERR_INTERNAL, "job %" PRIu64 " left no evaluation", row.job);
    for (size_t i = 0; !rc && i < v->commits.n; i++)
        if (hash_equal(v->commits.v[i].commit, row.commit)) {
            v->commits.v[i].evaluation = row.results.v[0];
            v->measured_by[i] = row.job;
        }
    return rc;
}

static enum code read_commits(struct evaluating *v, struct err *e)
{
    enum code rc = cli_commits(v->lineage, &v->arena, &v->commits, e);
    if (rc) return rc;
    v->measured_by = arena_alloc(&v->arena, (v->commits.n + 1) * sizeof *v->measured_by);
    if (!v->measured_by) return err_set(e, ERR_NOMEM, "out of memory for commits");
    for (size_t i = 0; i < v->commits.n; i++) v->measured_by[i] = v->commits.v[i].job;
    return OK;
}

static enum code made_of(struct evaluating *v, const struct commit_row *row, const char **made,
                         struct err *e)
{
    struct bytes b = {0};
    struct commit c = {0};
    enum code rc =
        cli_object(v->store, (struct origin){.job = row->job}, row->commit, OBJECT_BYTES, &b, e);
    if (!rc) rc = commit_decode(b.data, b.n, &c, e);
    if (!rc && !(*made = arena_strdup(&v->arena, c.made)))
        rc = err_set(e, ERR_NOMEM, "out of memory for a report");
    commit_fini(&c);
    free(b.data);
    return rc;
}

static enum code report_commits(struct evaluating *v, struct report *r, struct err *e)
{
    struct report_commit *c = arena_alloc(&v->arena, (v->commits.n + 1) * sizeof *c);
    enum code rc = c ? OK : err_set(e, ERR_NOMEM, "out of memory for a report");
    for (size_t i = 0; !rc && i < v->commits.n; i++) {
        const struct commit_row *row = &v->commits.v[i];
        c[i] = (struct report_commit){.commit = row->commit,
                                      .token = row->token,
                                      .class_word = row->class_word,
                                      .kind = proto_concept_kind(row->kind),
                                      .photo = row->images.v,
                                      .n_photos = (int)row->images.n,
                                      .evaluation = row->evaluation,
                                      .seconds = row->seconds};
        rc = made_of(v, row, &c[i].made, e);
    }
    r->commit = c;
    r->n = (int)v->commits.n;
    return rc;
}

/* The pictures of one sample job, a row per prompt. What is not there any more (it was forgotten) is left out of a report. */
static enum code gallery_job(struct evaluating *v, const char *name, struct report_sample *out,
                             size_t room, size_t *n, struct err *e)
{
    uint64_t job = 0;
    struct message answer, request;
    enum code rc = cli_job(name, &job, e);
    struct message ask = {.kind = MSG_job, .job = {.job = job}};
    if (!rc) rc = cli_ask(&ask, &v->arena, &answer, e);
    if (!rc)
        rc = proto_decode(answer.job_info.request.data, answer.job_info.request.n, &v->arena,
                          &request, e);
    if (rc) return rc;
    const struct job_row *row = &answer.job_info.rows.v[0];
    if (request.kind != MSG_sample || row->state != JOB_DONE)
        return err_set(e, ERR_USAGE, "--gallery %s: not a sample job that is done", name);
    const struct strs *prompts = &request.sample.prompts;
    size_t per = prompts->n ? row->results.n / prompts->n : 0;
    rc = cli_bring(v->store, (struct origin){.job = job}, row->results.v, row->results.n, e);
    if (rc && rc != ERR_NOT_FOUND) return rc;
    for (size_t i = 0; i < prompts->n && *n < room; i++) {
        struct report_sample *s = &out[(*n)++];
        s->prompt = prompts->v[i];
        s->n = (int)(per < 16 ? per : 16);
        memcpy(s->picture, row->results.v + i * per, (size_t)s->n * sizeof *s->picture);
    }
    return OK;
}

static enum code report_gallery(struct evaluating *v, struct report *r, struct err *e)
{
    size_t room = v->gallery.n * PROTO_PROMPTS, n = 0;
    struct report_sample *s = arena_alloc(&v->arena, (room + 1) * sizeof *s);
    enum code rc = s ? OK : err_set(e, ERR_NOMEM, "out of memory for a report");
    for (size_t i = 0; !rc && i < v->gallery.n; i++)
        rc = gallery_job(v, v->gallery.v[i], s, room, &n, e);
    r->sample = s;
    r->n_samples = (int)n;
    return rc;
}

/* The pictures that the evaluation of a commit names. */
static enum code bring_pictures(struct evaluating *v, size_t commit, struct err *e)
{
    struct bytes b = {0};
    struct evaluation x = {0};
    struct hash h = v->commits.v[commit].evaluation;
    struct origin from = {.job = v->measured_by[commit]};
    if (hash_is_zero(h)) return OK;
    enum code rc = cli_object(v->store, from, h, OBJECT_BYTES, &b, e);
    from.within = h;
    if (!rc) rc = evaluation_read((const char *)b.data, b.n, &x, e);
    for (int i = 0; !rc && i < x.n; i++) {
        const struct concept_score *s = &x.concept[i];
        rc = cli_bring(v->store, from, s->picture, (size_t)s->n_pictures, e);
        if (!rc) rc = cli_bring(v->store, from, s->before, (size_t)s->n_pictures, e);
    }
    evaluation_fini(&x);
    free(b.data);
    return rc;
}

/* Photos and pictures of the commits, where the coordinator is far. What is not there any more is left out. */
static enum code bring(struct evaluating *v, struct err *e)
{
    enum code rc = OK;
    for (size_t i = 0; (!rc || rc == ERR_NOT_FOUND) && i < v->commits.n; i++) {
        const struct commit_row *c = &v->commits.v[i];
        rc = bring_pictures(v, i, e);
        for (size_t k = 0; (!rc || rc == ERR_NOT_FOUND) && k < c->images.n; k++)
            rc = cli_bring(v->store, (struct origin){.job = c->job}, &c->images.v[k], 1, e);
    }
    return rc == ERR_NOT_FOUND ? OK : rc;
}

static enum code report(struct evaluating *v, struct err *e)
{
    char base[HASH_TEXT], title[200], base_text[300];
    snprintf(title, sizeof title, "%s", v->title ? v->title : v->lineage);
    const char *name = strrchr(v->row.base_path, '/');
    snprintf(base_text, sizeof base_text, "%.180s (%.12s)", name ? name + 1 : v->row.base_path,
             hash_text(v->row.base_hash, base));
    struct report r = {
        .title = title, .lineage = v->lineage, .base_model = base_text, .store = v->store};
    enum code rc = report_commits(v, &r, e);
    if (!rc) rc = report_gallery(v, &r, e);
    if (!rc && cli_is_far()) rc = bring(v, e);
    if (!rc && v->out) rc = report_write(v->out, &r, e);
    if (!rc && v->summary) rc = report_summary(v->summary, &r, e);
    return rc;
}

static enum code newest(struct evaluating *v, struct evaluation *out, struct err *e)
{
    struct bytes b = {0};
    for (size_t i = v->commits.n; i-- > 0;) {
        if (hash_is_zero(v->commits.v[i].evaluation)) continue;
        enum code rc = cli_object(v->store, (struct origin){.job = v->measured_by[i]},
                                  v->commits.v[i].evaluation, OBJECT_BYTES, &b, e);
        if (!rc) rc = evaluation_read((const char *)b.data, b.n, out, e);
        if (cli.json && !rc) {
            json_t *j = json_loadb((const char *)b.data, b.n, 0, NULL);
            cli_print(json_pack("{s:s,s:o}", "lineage", v->lineage, "evaluation", j));
        }
        free(b.data);
        return rc;
    }
    return err_set(e, ERR_NOT_FOUND, "nothing of %s has been measured", v->lineage);
}

static void print_table(const struct evaluation *v)
{
    printf("%-14s %-12s %8s %8s %8s %8s %8s %8s\n", "CONCEPT", "CLASS", "CLIP-I", "before",
           "CLIP-T", "before", "drift", "owns %");
    for (int i = 0; i < v->n; i++) {
        const struct concept_score *c = &v->concept[i];
        printf("%-14s %-12s %8.4f %8.4f %8.4f %8.4f %8.4f %8.2f\n", c->token, c->class_word,
               c->clip_i, c->before_i, c->clip_t, c->before_t, c->drift, 100.0 * c->owned);
    }
}

static enum code gather(struct evaluating *v, struct err *e)
{
    enum code rc = cli_lineage(v->lineage, &v->arena, &v->row, e);
    if (!rc) rc = read_commits(v, e);
    if (!rc && !v->commits.n)
        rc = err_set(e, ERR_NOT_FOUND,
                     "%s has no commits to evaluate; engram learn --lineage %s ... makes one",
                     v->lineage, v->lineage);
    if (!rc) rc = cli_objects(&v->store, e);
    int measured = !rc && !hash_is_zero(v->commits.v[v->commits.n - 1].evaluation);
    if (!rc && (v->again || !measured || v->commit || v->prompts.n)) rc = measure(v, e);
    return rc;
}

static int run(int argc, char **argv)
{
    static struct evaluating v;
    struct option_spec o[] = {
        {"lineage", OPTION_TEXT, &v.lineage, "NAME", "the lineage"},
        {"commit", OPTION_TEXT, &v.commit, "COMMIT", "measure it as it was then (default: now)"},
        {"out", OPTION_TEXT, &v.out, "FILE",
         "write the report, one HTML file with everything inside"},
        {"summary", OPTION_TEXT, &v.summary, "FILE", "write the figures of every commit as JSON"},
        {"gallery", OPTION_LIST, &v.gallery, "JOB",
         "show the pictures of this sample job in the report; may be repeated"},
        {"title", OPTION_TEXT, &v.title, "TEXT", "of the report (default: the lineage's name)"},
        {"prompt", OPTION_LIST, &v.prompts, "PATTERN",
         "measure with this prompt, like \"a {concept} at night\"; may be repeated"},
        {"again", OPTION_FLAG, &v.again, NULL, "measure even if it has been"},
        {"seed", OPTION_NUMBER, &v.seed, "N", "of the pictures (default 0)"},
        {"priority", OPTION_TEXT, &v.priority, "HOW",
         "high, normal (default) or low: higher ones go first"},
        {"config", OPTION_TEXT, &v.config, "FILE", "settings in YAML"},
        {"set", OPTION_LIST, &v.set, "KEY=VALUE",
         "one setting, like evaluate.per_prompt=8; may be repeated"},
    };
    struct err e = {0};
    struct words rest;
    struct evaluation figures = {0};
    if (options_read(&verb_evaluate, o, sizeof o / sizeof o[0], argc, argv, &rest, &e))
        return cli_fail(&e);
    if (!v.lineage || rest.n) {
        err_set(&e, ERR_USAGE, "usage: %s", verb_evaluate.usage);
        return cli_fail(&e);
    }
    enum code rc = gather(&v, &e);
    if (!rc && (v.out || v.summary)) rc = report(&v, &e);
    if (!rc) rc = newest(&v, &figures, &e);
    objects_close(v.store);
    if (rc) return cli_fail(&e);
    if (!cli.json) print_table(&figures);
    if (v.out) cli_say("report: %s", v.out);
    if (v.summary) cli_say("figures: %s", v.summary);
    evaluation_fini(&figures);
    cli_close();
    return 0;
}

const struct verb verb_evaluate = {
    .name = "evaluate",
    .what = "measure what a lineage can do and what it has forgotten; write its report",
    .usage = "engram evaluate --lineage NAME [--out report.html] [--summary summary.json]",
    .examples = "  engram evaluate --lineage pets\n"
                "  engram evaluate --lineage pets --out report.html --gallery 14\n"
                "  engram evaluate --lineage pets --again --set evaluate.per_prompt=8 --prompt \"a "
                "{concept} at night\"\n",
    .more = "CLIP-I: likeness to the concept's own images. CLIP-T: likeness to the prompt. before: "
            "the base model with the class word\n"
            "alone. drift: how far pictures have moved since the concept was learned (0: not at "
            "all).\n",
    .run = run,
};
