/* sample.c - `engram sample`: pictures of prompts with a lineage's concepts. */
#include "cli/cli.h"
#include "cli/fit.h"
#include "cli/progress.h"
#include "cli/prompt_list.h"
#include "cli/sheet.h"
#include "cli/target.h"

#include "pipeline/method/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVALUATION "customconcept101"

struct sampling {
    const char *lineage, *commit, *out, *config, *negative, *prompts, *layout, *priority;
    struct words set, concepts;
    int64_t per_prompt, seed;
    int no_wait;
};

static enum code check_lengths(const struct sampling *s, const struct prompt_list *prompts,
                               const struct commit_rows *known, struct arena *a, struct err *e)
{
    struct lineage_row row;
    struct tokenizer *t = NULL;
    char what[100];
    enum code rc = cli_lineage(s->lineage, a, &row, e);
    if (!rc) rc = fit_open(&t, row.base_path, known, NULL, e);
    for (size_t i = 0; !rc && i < prompts->n; i++) {
        snprintf(what, sizeof what, "prompt \"%.60s\"", prompts->drawn[i]);
        rc = fit_check(t, prompts->drawn[i], what, e);
    }
    if (!rc) rc = fit_check(t, s->negative, "the negative prompt", e);
    tokenizer_close(t);
    return rc;
}

/* All prompts, filled in and checked against what the lineage knew at `commit`. */
static enum code gather_prompts(const struct sampling *s, const struct words *given,
                                struct hash commit, struct arena *a, struct prompt_list *out,
                                struct err *e)
{
    struct commit_rows known;
    enum code rc = cli_commits(s->lineage, a, &known, e);
    for (size_t i = 0; !rc && i < known.n; i++)
        if (hash_equal(known.v[i].commit, commit)) known.n = i + 1;
    if (hash_equal(commit, proto_base_alone())) known.n = 0;
    if (!rc) rc = prompt_list_add(out, given, a, e);
    if (!rc && s->prompts) rc = prompt_list_read(out, s->prompts, a, e);
    if (!rc) rc = prompt_list_fill(out, &s->concepts, s->lineage, &known, a, e);
    for (size_t i = 0; !rc && i < out->n; i++)
        rc = target_knows_tokens(s->lineage, &known, out->drawn[i], e);
    return rc ? rc : check_lengths(s, out, &known, a, e);
}

static enum code submit(const struct sampling *s, const struct words *given,
                        struct prompt_list *prompts, struct arena *a, uint64_t *job, struct err *e)
{
    struct problems p = {0};
    struct settings settings;
    const char *json;
    struct hash commit;
    struct message answer;
    uint64_t priority;
    enum code rc = cli_priority(s->priority, &priority, e);
    if (!rc) rc = cli_settings(s->config, &s->set, &settings, &json, a, &p, e);
    if (!rc) rc = cli_commit_or_base(s->lineage, s->commit, a, &commit, e);
    if (!rc) rc = gather_prompts(s, given, commit, a, prompts, e);
    problems_fini(&p);
    if (rc) return rc;
    struct message ask = {.kind = MSG_sample,
                          .sample = {.key = cli_key(),
                                     .lineage = s->lineage,
                                     .commit = commit,
                                     .prompts = {prompts->n, prompts->drawn},
                                     .negative = s->negative,
                                     .per_prompt = (uint64_t)s->per_prompt,
                                     .seed = (uint64_t)s->seed,
                                     .settings = json,
                                     .priority = priority}};
    rc = cli_ask(&ask, a, &answer, e);
    if (!rc) *job = answer.accepted.job;
    return rc;
}

static struct sheet sheet_of(const struct sampling *s, const struct prompt_list *prompts,
                             const struct hash *picture, uint64_t job)
{
    return (struct sheet){.dir = s->out,
                          .is_evaluation = !strcmp(s->layout, EVALUATION),
                          .prompt = prompts->drawn,
                          .plain = prompts->plain,
                          .n_prompts = prompts->n,
                          .per_prompt = (size_t)s->per_prompt,
                          .picture = picture,
                          .job = job};
}

static int collect(const struct sampling *s, const struct prompt_list *prompts,
                   const struct job_row *row)
{
    struct err e = {0};
    struct objects *store;
    int on_sheet = 0;
    struct sheet sheet = sheet_of(s, prompts, row->results.v, row->job);
    size_t n = prompts->n * (size_t)s->per_prompt;
    if (row->results.n != n) {
        err_set(&e, ERR_INTERNAL, "job %" PRIu64 " made %zu pictures, expected %zu", row->job,
                row->results.n, n);
        return cli_fail(&e);
    }
    enum code rc = cli_objects(&store, &e);
    if (!rc) {
        rc = sheet_write(&sheet, store, &on_sheet, &e);
        objects_close(store);
    }
    if (rc) return cli_fail(&e);
    if (cli.json) {
        json_t *j = cli_job_json(row);
        json_object_set_new(j, "out", json_string(s->out));
        return cli_print(j);
    }
    printf("%zu picture%s in %s%s, ", n, n == 1 ? "" : "s", s->out,
           sheet.is_evaluation ? "/samples" : "");
    if (on_sheet) printf("all together in %s/sheet.png\n", s->out);
    else printf("too many for one sheet\n");
    cli_close();
    return 0;
}

static int run(int argc, char **argv)
{
    struct sampling s = {.out = "samples", .negative = "", .layout = "plain", .per_prompt = 1};
    struct option_spec o[] = {
        {"lineage", OPTION_TEXT, &s.lineage, "NAME", "whose concepts may be used"},
        {"commit", OPTION_TEXT, &s.commit, "COMMIT",
         "as it was then: number, token or hash (default: now); 0: the base alone"},
        {"out", OPTION_TEXT, &s.out, "DIR", "where pictures go (default: samples)"},
        {"n", OPTION_NUMBER, &s.per_prompt, "N", "pictures per prompt (default 1)"},
        {"seed", OPTION_NUMBER, &s.seed, "N", "same seed, same pictures (default 0)"},
        {"prompts", OPTION_TEXT, &s.prompts, "FILE", "more prompts, one a line"},
        {"concept", OPTION_LIST, &s.concepts, "TOKEN",
         "what {} in prompts stands for (default: the newest); again: the next {}, or {1}"},
        {"layout", OPTION_TEXT, &s.layout, "NAME",
         "plain (default) or " EVALUATION ", for its evaluate.py"},
        {"negative", OPTION_TEXT, &s.negative, "PROMPT", "what not to draw"},
        {"config", OPTION_TEXT, &s.config, "FILE", "settings in YAML"},
        {"set", OPTION_LIST, &s.set, "KEY=VALUE",
         "one setting, like sample.guidance=5; may be repeated"},
        {"priority", OPTION_TEXT, &s.priority, "HOW",
         "high, normal (default) or low: higher ones go first"},
        {"no-wait", OPTION_FLAG, &s.no_wait, NULL, "only submit; engram watch follows it"},
    };
    struct err e = {0};
    struct words given;
    struct prompt_list prompts = {0};
    static struct arena a;
    struct job_row row;
    uint64_t job = 0;
    if (options_read(&verb_sample, o, sizeof o / sizeof o[0], argc, argv, &given, &e))
        return cli_fail(&e);
    if (!s.lineage || (!given.n && !s.prompts))
        err_set(&e, ERR_USAGE, "usage: %s", verb_sample.usage);
    else if (s.per_prompt < 1 || s.per_prompt > 64)
        err_set(&e, ERR_USAGE, "--n %" PRId64 ": expected 1 to 64", s.per_prompt);
    else if (strcmp(s.layout, "plain") != 0 && strcmp(s.layout, EVALUATION) != 0)
        err_set(&e, ERR_USAGE, "--layout %s: choose plain or " EVALUATION, s.layout);
    struct sheet sheet = sheet_of(&s, &prompts, NULL, 0);
    if (e.code || sheet_check(&sheet, &e) || submit(&s, &given, &prompts, &a, &job, &e))
        return cli_fail(&e);
    if (s.no_wait) {
        if (cli.json) return cli_print(json_pack("{s:I}", "job", (json_int_t)job));
        printf("job %" PRIu64 " is accepted; engram watch %" PRIu64 " follows it\n", job, job);
        cli_close();
        return 0;
    }
    if (progress_follow(job, &a, &row, &e)) return cli_fail(&e);
    return collect(&s, &prompts, &row);
}

const struct verb verb_sample = {
    .name = "sample",
    .what = "draw pictures of prompts with a lineage's concepts",
    .usage = "engram sample --lineage NAME [--out DIR] [--prompts FILE] PROMPT...",
    .examples = "  engram sample --lineage pets --out pictures \"a <rex> dog on the beach\"\n"
                "  engram sample --lineage pets --n 4 --seed 7 \"a <rex> dog next to a <cup> mug\" "
                "\"a <rex> dog in the snow\"\n"
                "  engram sample --lineage pets --commit 1 \"a <rex> dog\"            with the "
                "lineage as it was after its first concept\n"
                "  engram sample --lineage pets --set sample.sampler=dpm++2m-karras --set "
                "sample.steps=20 \"a <rex> dog\"\n"
                "  engram sample --lineage pets --prompts prompts/dog.txt --concept '<rex>' --n 5 "
                "--layout " EVALUATION "\n",
    .run = run,
};
