/* learn.c - `engram learn`: check everything here and now, upload, submit, and follow if asked to. All problems of a submission are
 * reported together, and nothing is sent when there is one.
 */
#include "cli/caption.h"
#include "cli/cli.h"
#include "cli/lesson.h"
#include "cli/progress.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct learning {
    const char *config, *memory, *priority;
    struct words set;
    struct caption_wish caption;
    int wait;
    struct settings settings;
    struct target target;
    struct lesson lesson;
    struct problems problems;
    struct arena arena;
};

static void read_folder(struct learning *l)
{
    struct err e = {0};
    struct captioning asked;
    if (caption_open(&asked, &l->caption, &e)) {
        problems_add(&l->problems, e.code, "%s", e.text);
        return;
    }
    if (cli_priority(l->priority, &l->lesson.priority, &e))
        problems_add(&l->problems, e.code, "%s", e.text);
    cli_settings(l->config, &l->set, &l->settings, &l->lesson.settings_json, &l->arena,
                 &l->problems, &e);
    l->lesson.settings = &l->settings;
    lesson_read(&l->lesson, caption_captioner(&asked), &l->problems);
    caption_close(&asked);
}

static void check(struct learning *l)
{
    struct err e = {0};
    struct taken taken;
    read_folder(l);
    if (target_open(&l->target, &l->arena, &e)) {
        problems_add(&l->problems, e.code, "%s", e.text);
        return;
    }
    if (target_token_taken(&l->target, l->lesson.concept.token, &taken))
        problems_add(&l->problems, ERR_EXISTS, "%s", taken.line);
    lesson_check(&l->lesson, &l->target, &l->problems);
    lesson_room(&l->lesson, &l->target, l->memory, &l->problems);
    if (!l->problems.n) lesson_say_captions(&l->lesson);
}

static enum code submit(struct learning *l, uint64_t *job, struct err *e)
{
    struct objects *store;
    struct message answer, ask = {.kind = MSG_learn};
    enum code rc = lesson_message(&l->lesson, &l->target, &l->arena, &ask.learn, e);
    if (rc || (rc = cli_objects(&store, e))) return rc;
    objects_sweep(store, NULL); /* of uploads that were killed */
    rc = lesson_upload(&l->lesson, &ask.learn.images, store, e);
    objects_close(store);
    ask.learn.key = cli_key();
    if (!rc) rc = cli_ask(&ask, &l->arena, &answer, e);
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
    printf("%s is learned: commit %.12s of %s, %s\n", l->lesson.concept.token,
           hash_text(row.commit, text), l->target.name,
           cli_duration((double)(row.finished_ms - row.started_ms) / 1000.0, took));
    cli_close();
    return 0;
}

static int run(int argc, char **argv)
{
    static struct learning l;
    int settings_wanted = 0;
    struct option_spec o[] = {
        {"lineage", OPTION_TEXT, &l.target.name, "NAME", "the stream of concepts to add to"},
        {"token", OPTION_TEXT, &l.lesson.token, "TOKEN", "its name in prompts, like '<rex>'"},
        {"class", OPTION_TEXT, &l.lesson.class_word, "WORD", "what it is, like dog"},
        {"kind", OPTION_TEXT, &l.lesson.kind, "KIND",
         "animal, object, scene or style (default: concept.yaml, else object)"},
        CAPTION_OPTIONS(l.caption),
        {"config", OPTION_TEXT, &l.config, "FILE", "settings in YAML"},
        {"set", OPTION_LIST, &l.set, "KEY=VALUE",
         "one setting, like train.steps=300; may be repeated"},
        {"preview", OPTION_LIST, &l.lesson.previews, "PROMPT",
         "draw this when it is learned; may be repeated"},
        {"no-evaluate", OPTION_FLAG, &l.lesson.no_evaluate, NULL,
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
    if (!l.target.name || rest.n != 1) {
        err_set(&e, ERR_USAGE, "usage: %s", verb_learn.usage);
        return cli_fail(&e);
    }
    l.lesson.dir = rest.v[0];
    check(&l);
    if (l.problems.n) return cli_fail_all(&l.problems);
    if (submit(&l, &job, &e)) return cli_fail(&e);
    if (l.wait) {
        cli_say("job %" PRIu64 ": %s, %d image%s, lineage %s", job, l.lesson.concept.token,
                l.lesson.concept.n, l.lesson.concept.n == 1 ? "" : "s", l.target.name);
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
