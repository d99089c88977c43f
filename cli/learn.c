/* learn.c - `engram learn`: check everything here and now, upload, submit, and follow if asked to. All problems of a submission are
 * reported together, and nothing is sent when there is one.
 */
#include "cli/caption.h"
#include "cli/cli.h"
#include "cli/fit.h"
#include "cli/outlook.h"
#include "cli/progress.h"

#include "pipeline/data/concept.h"
#include "pipeline/method/method.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEWEST_PIXELS 32 /* a picture smaller than this teaches nothing */

struct learning {
    const char *lineage, *token, *class_word, *kind, *config, *memory, *priority, *dir;
    struct words set, preview;
    struct caption_wish caption;
    int wait, no_evaluate;
    struct settings settings;
    const char *settings_json;
    uint64_t importance; /* enum priority */
    struct concept concept;
    struct lineage_row row;
    struct commit_rows commits;
    struct problems problems;
    struct arena arena;
};

/* A token that waits to be learned is taken too. The coordinator has the last word when we submit; asking first saves an upload. */
static void check_queue(struct learning *l)
{
    struct err e = {0};
    struct message ask = {.kind = MSG_queue,
                          .queue = {.states = STATES_OPEN, .lineage = l->lineage}},
                   answer;
    if (cli_ask(&ask, &l->arena, &answer, &e)) {
        problems_add(&l->problems, e.code, "%s", e.text);
        return;
    }
    for (size_t i = 0; i < answer.jobs.rows.n; i++) {
        const struct job_row *r = &answer.jobs.rows.v[i];
        if (r->kind == JOB_LEARN && *r->token && !strcmp(r->token, l->concept.token) &&
            hash_is_zero(r->commit))
            problems_add(&l->problems, ERR_EXISTS,
                         "token %s is taken in lineage %s (job %" PRIu64
                         ", \"%s\", is %s); choose another",
                         r->token, l->lineage, r->job, r->class_word, proto_job_state(r->state));
    }
}

/* The coordinator's view: does the lineage exist, is the token free? */
static void check_lineage(struct learning *l)
{
    struct err e = {0};
    enum code rc = cli_lineage(l->lineage, &l->arena, &l->row, &e);
    if (!rc) rc = cli_commits(l->lineage, &l->arena, &l->commits, &e);
    if (rc) {
        problems_add(&l->problems, rc, "%s", e.text);
        return;
    }
    for (size_t i = 0; i < l->commits.n; i++)
        if (!strcmp(l->commits.v[i].token, l->concept.token))
            problems_add(
                &l->problems, ERR_EXISTS,
                "token %s is taken in lineage %s (commit %" PRIu64 ", \"%s\"); choose another",
                l->concept.token, l->lineage, l->commits.v[i].number, l->commits.v[i].class_word);
    check_queue(l);
}

/* Captions and previews must fit the text encoder, or masks, training and pictures would silently see a cut text. */
static void check_texts(struct learning *l)
{
    struct err e = {0};
    char what[4200];
    struct tokenizer *k;
    if (!l->row.base_path) return;
    if (fit_open(&k, l->row.base_path, &l->commits, l->concept.token, &e)) {
        problems_add(&l->problems, e.code, "base model of %s: %s", l->lineage, e.text);
        return;
    }
    for (int i = 0; i < l->concept.n; i++) {
        snprintf(what, sizeof what, "caption of %s", l->concept.image[i].path);
        if (fit_check(k, l->concept.image[i].caption, what, &e))
            problems_add(&l->problems, e.code, "%s", e.text);
    }
    for (size_t i = 0; i < l->preview.n; i++) {
        snprintf(what, sizeof what, "preview \"%.60s\"", l->preview.v[i]);
        if (fit_check(k, l->preview.v[i], what, &e))
            problems_add(&l->problems, e.code, "%s", e.text);
    }
    tokenizer_close(k);
}

/* Ranks of one worker group, as far as the coordinator knows any. */
static int ranks_of_a_group(struct learning *l)
{
    struct message ask = {.kind = MSG_ping, .ping = {.client = "engram learn"}}, answer;
    if (cli_ask(&ask, &l->arena, &answer, NULL) || !answer.pong.groups) return 2;
    uint64_t n = answer.pong.ranks / answer.pong.groups;
    return n > 0 && n <= 4096 ? (int)n : 1;
}

/* Few checkpoints come with a CLIP. A concept is learned without one; a job that fails after its commit helps nobody. */
static void leave_evaluation_out(struct learning *l, const struct err *why)
{
    cli_say(
        "note: not evaluated (%s); ENGRAM_CLIP, here and for `engram up`, may name a CLIP model",
        why->text);
    l->no_evaluate = 1;
}

/* What cannot fit is refused before anything is sent (outlook.h). How many neurons the concept gets is supposed, not scored. */
static void check_room(struct learning *l)
{
    struct err e = {0};
    struct outlook o;
    struct outlook_options x = {.base = l->row.base_path,
                                .base_hash = l->row.base_hash,
                                .commits = l->commits,
                                .concept = &l->concept,
                                .settings = &l->settings,
                                .previews = (int)l->preview.n,
                                .evaluate = !l->no_evaluate};
    if (l->memory && outlook_bytes(l->memory, &x.memory, &e))
        problems_add(&l->problems, e.code, "%s", e.text);
    if (l->problems.n) return;
    if (fit_is_elsewhere(l->row.base_path)) {
        cli_say("note: base model %s is not on this machine: memory and lengths of texts are not "
                "checked beforehand",
                l->row.base_path);
        return;
    }
    x.ranks = ranks_of_a_group(l);
    enum code rc = cli_home(&x.home, &e);
    if (!rc) {
        rc = outlook_make(&o, &x, &e);
        if (!rc) rc = outlook_fits(&o, &e);
        if (!rc && o.forecast.recompute && l->settings.train_recompute == RECOMPUTE_AUTO)
            cli_say("note: memory is short; training makes forward values again (train.recompute)");
        if (!rc && o.no_clip.code) leave_evaluation_out(l, &o.no_clip);
        outlook_close(&o);
    }
    if (rc) problems_add(&l->problems, rc, "%s", e.text);
}

/* A caption that nobody wrote is said. */
static void say_caption(const struct learning *l, int i)
{
    const char *path = l->concept.image[i].path, *caption = l->concept.image[i].caption;
    enum caption_source source = l->concept.image[i].caption_source;
    if (source == CAPTION_CLASS)
        cli_say("note: %s has no caption (.txt beside it); using \"%s\"", path, caption);
    else if (source == CAPTION_COMMAND || source == CAPTION_ENDPOINT)
        cli_say("note: %s, by the %s: \"%s\"", path, caption_source_name(source), caption);
}

static void check(struct learning *l)
{
    struct err e = {0};
    struct concept_options o = {.token = l->token,
                                .class_word = l->class_word,
                                .kind = l->kind,
                                .least_side = FEWEST_PIXELS};
    struct captioning asked;
    if (caption_open(&asked, &l->caption, &e)) {
        problems_add(&l->problems, e.code, "%s", e.text);
        return;
    }
    o.captioner = caption_captioner(&asked);
    if (cli_priority(l->priority, &l->importance, &e))
        problems_add(&l->problems, e.code, "%s", e.text);
    cli_settings(l->config, &l->set, &l->settings, &l->settings_json, &l->arena, &l->problems, &e);
    if (concept_read(l->dir, &o, &l->concept, &l->problems, &e) && !l->problems.n)
        problems_add(&l->problems, e.code, "%s", e.text);
    caption_close(&asked);
    check_lineage(l);
    check_texts(l);
    check_room(l);
    for (int i = 0; i < l->concept.n && !l->problems.n; i++) say_caption(l, i);
}

static enum code upload(struct learning *l, struct hash *image, const char **caption, struct err *e)
{
    struct objects *store;
    enum code rc = cli_objects(&store, e);
    if (rc) return rc;
    objects_sweep(store, NULL); /* of uploads that were killed */
    for (int i = 0; !rc && i < l->concept.n; i++) {
        rc = cli_send(store, l->concept.image[i].path, &image[i], e);
        caption[i] = l->concept.image[i].caption;
    }
    objects_close(store);
    return rc;
}

static enum code submit(struct learning *l, uint64_t *job, struct err *e)
{
    size_t n = (size_t)l->concept.n;
    struct hash *image = arena_alloc(&l->arena, (n + 1) * sizeof *image);
    const char **caption = arena_alloc(&l->arena, (n + 1) * sizeof *caption);
    if (!image || !caption) return err_set(e, ERR_NOMEM, "out of memory for %zu images", n);
    enum code rc = upload(l, image, caption, e);
    if (rc) return rc;
    struct message answer, ask = {.kind = MSG_learn};
    struct msg_learn *m = &ask.learn;
    uint64_t seed = (uint64_t)l->settings.seed_value;
    int prior = l->settings.prior_weight > 0.0 && l->settings.prior_count > 0;
    *m = (struct msg_learn){.key = cli_key(),
                            .lineage = l->lineage,
                            .token = l->concept.token,
                            .class_word = l->concept.class_word,
                            .kind = proto_parse_concept_kind(l->concept.kind),
                            .images = {n, image},
                            .captions = {n, caption},
                            .seed = seed,
                            .preview_prompts = {l->preview.n, l->preview.v},
                            .settings = l->settings_json,
                            .priority = l->importance};
    m->wants = WANT_SCORE | (prior ? (unsigned)WANT_PRIOR : 0u) |
               (l->preview.n ? (unsigned)WANT_SAMPLE : 0u) |
               (l->no_evaluate ? 0u : (unsigned)WANT_EVALUATE);
    if (prior)
        m->prior_key =
            prior_key(l->row.base_hash, &l->settings, m->class_word, l->concept.kind, seed);
    rc = cli_ask(&ask, &l->arena, &answer, e);
    if (!rc) *job = answer.accepted.job;
    return rc;
}

static int finish(struct learning *l, uint64_t job)
{
    struct err e = {0};
    struct job_row row;
    char text[HASH_TEXT], took[32];
    enum code rc = progress_follow(job, &l->arena, &row, &e);
    if (rc && !(cli.json && JOB_ENDED(row.state))) return cli_fail(&e);
    if (cli.json) {
        int status = cli_print(cli_job_json(&row));
        return rc ? err_exit_status(rc) : status;
    }
    printf("%s is learned: commit %.12s of %s, %s\n", l->concept.token, hash_text(row.commit, text),
           l->lineage, cli_duration((double)(row.finished_ms - row.started_ms) / 1000.0, took));
    cli_close();
    return 0;
}

static int run(int argc, char **argv)
{
    struct learning l = {0};
    int settings_wanted = 0;
    struct option_spec o[] = {
        {"lineage", OPTION_TEXT, &l.lineage, "NAME", "the stream of concepts to add to"},
        {"token", OPTION_TEXT, &l.token, "TOKEN", "its name in prompts, like '<rex>'"},
        {"class", OPTION_TEXT, &l.class_word, "WORD", "what it is, like dog"},
        {"kind", OPTION_TEXT, &l.kind, "KIND",
         "animal, object, scene or style (default: concept.yaml, else object)"},
        CAPTION_OPTIONS(l.caption),
        {"config", OPTION_TEXT, &l.config, "FILE", "settings in YAML"},
        {"set", OPTION_LIST, &l.set, "KEY=VALUE",
         "one setting, like train.steps=300; may be repeated"},
        {"preview", OPTION_LIST, &l.preview, "PROMPT",
         "draw this when it is learned; may be repeated"},
        {"no-evaluate", OPTION_FLAG, &l.no_evaluate, NULL,
         "do not measure this and earlier concepts afterwards"},
        {"memory", OPTION_TEXT, &l.memory, "SIZE",
         "what the worker group's machine has, like 8G (default: what is free here)"},
        {"priority", OPTION_TEXT, &l.priority, "HOW",
         "high, normal (default) or low: higher ones go first"},
        {"wait", OPTION_FLAG, &l.wait, NULL, "follow it to the end"},
        {"help-settings", OPTION_FLAG, &settings_wanted, NULL,
         "list every setting with its default"},
    };
    struct err e = {0};
    struct words rest;
    uint64_t job = 0;
    if (options_read(&verb_learn, o, sizeof o / sizeof o[0], argc, argv, &rest, &e))
        return cli_fail(&e);
    if (settings_wanted) {
        struct text t = {0};
        settings_help(&t);
        fputs(t.s, stdout);
        text_fini(&t);
        return 0;
    }
    if (!l.lineage || rest.n != 1) {
        err_set(&e, ERR_USAGE, "usage: %s", verb_learn.usage);
        return cli_fail(&e);
    }
    l.dir = rest.v[0];
    check(&l);
    if (l.problems.n) return cli_fail_all(&l.problems);
    if (submit(&l, &job, &e)) return cli_fail(&e);
    if (l.wait) {
        cli_say("job %" PRIu64 ": %s, %d image%s, lineage %s", job, l.concept.token, l.concept.n,
                l.concept.n == 1 ? "" : "s", l.lineage);
        return finish(&l, job);
    }
    if (cli.json) return cli_print(json_pack("{s:I}", "job", (json_int_t)job));
    printf("job %" PRIu64 " is accepted; engram watch %" PRIu64 " follows it\n", job, job);
    cli_close();
    return 0;
}

const struct verb verb_learn = {
    .name = "learn",
    .what = "teach a lineage one concept from a folder of images",
    .usage = "engram learn --lineage NAME --token '<new>' --class WORD DIR",
    .examples = "  engram learn --lineage pets --token '<rex>' --class dog photos/rex --wait\n"
                "  engram learn --lineage pets photos/mug                      token, class and "
                "kind from photos/mug/concept.yaml\n"
                "  engram learn --lineage pets --token '<ink>' --class painting --kind style "
                "scans/ink --set train.steps=300\n",
    .more = "DIR holds PNG, JPEG or WebP images; x.txt beside x.jpg, or a line of metadata.jsonl, "
            "is its "
            "caption (what is seen, without the\n"
            "token). `engram check --help` tells who can be asked for missing ones. Every image "
            "and caption "
            "is checked before anything is sent.\n",
    .run = run,
};
