/* submit.c - `engram submit`: many requests at once. */
#include "cli/submit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wish *submit_add(struct submitting *s, const char *where, struct err *e)
{
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        struct wish *grown = mem_grow(s->wish, s->room, room, sizeof *grown);
        if (!grown) {
            err_set(e, ERR_NOMEM, "out of memory for %zu requests", room);
            return NULL;
        }
        s->wish = grown;
        s->room = room;
    }
    struct wish *w = &s->wish[s->n++];
    *w = (struct wish){.where = where, .lineage = s->lineage, .per_prompt = -1, .seed = -1};
    w->lesson.class_word = s->class_word;
    w->lesson.no_evaluate = s->no_evaluate;
    cli_priority(s->priority, &w->priority, NULL);
    return w;
}

void submit_fini(struct submitting *s)
{
    for (size_t i = 0; i < s->n; i++) lesson_fini(&s->wish[i].lesson);
    for (struct target *t = s->targets; t; t = t->next) target_close(t);
    free(s->wish);
    arena_fini(&s->arena);
}

/* ---- what came of them ---- */

static json_t *wish_json(const struct wish *w)
{
    return json_pack("{s:s,s:s,s:s,s:I,s:s,s:s}", "where", w->where, "kind",
                     proto_job_kind((uint64_t)w->kind), "lineage", w->lineage ? w->lineage : "",
                     "job", (json_int_t)w->job, "code", err_name(w->code), "line",
                     w->line ? w->line : "");
}

static int end_json(const struct submitting *s, size_t accepted, int status)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < s->n; i++) json_array_append_new(rows, wish_json(&s->wish[i]));
    int printed = cli_print(json_pack("{s:I,s:I,s:o}", "accepted", (json_int_t)accepted, "refused",
                                      (json_int_t)(s->n - accepted), "requests", rows));
    return status ? status : printed;
}

/* Problems that were found here stand in p; those of the coordinator are added. */
static int end(struct submitting *s, struct problems *p)
{
    uint64_t first = 0, last = 0;
    size_t accepted = 0;
    for (const struct wish *w = s->wish; w < s->wish + s->n; w++) {
        accepted += w->job != 0;
        if (w->job && (!first || w->job < first)) first = w->job;
        if (w->job > last) last = w->job;
        if (!w->job && w->request.n)
            problems_add(p, w->code, "%s: %s", w->where, w->line ? w->line : err_name(w->code));
    }
    for (size_t i = 0; i < p->n; i++) fprintf(stderr, "engram: %s\n", p->line[i]);
    if (p->n_dropped) fprintf(stderr, "engram: ... and %zu more\n", p->n_dropped);
    int status = p->n ? err_exit_status(p->code[0]) : 0;
    if (cli.json) return end_json(s, accepted, status);
    if (accepted)
        printf("%zu of %zu accepted, jobs %" PRIu64 " to %" PRIu64 "; engram queue lists them\n",
               accepted, s->n, first, last);
    else printf("none of %zu accepted\n", s->n);
    cli_close();
    return status;
}

static int fail(struct submitting *s, const struct err *e)
{
    int status = cli_fail(e);
    submit_fini(s);
    return status;
}

static int submit(struct submitting *s, const char *path)
{
    struct problems p = {0};
    struct err e = {0};
    enum code rc = s->recursive ? submit_tree(s, path, &e) : submit_table(s, path, &p, &e);
    if (rc) return fail(s, &e);
    submit_check(s, &p);
    if (p.n && !s->keep_going) {
        int status = cli_fail_all(&p);
        cli_say("of %zu requests none was sent; --keep-going sends those that are right", s->n);
        problems_fini(&p);
        submit_fini(s);
        return status;
    }
    if (submit_send(s, &e)) {
        err_context(&e, "not all was sent; the same command again sends the rest, nothing twice");
        return fail(s, &e);
    }
    int status = end(s, &p);
    problems_fini(&p);
    submit_fini(s);
    return status;
}

static int run(int argc, char **argv)
{
    struct submitting s = {0};
    struct option_spec o[] = {
        {"recursive", OPTION_FLAG, &s.recursive, NULL,
         "every folder below DIR that holds images is a concept to be learned"},
        {"lineage", OPTION_TEXT, &s.lineage, "NAME", "of requests that do not say another"},
        {"class", OPTION_TEXT, &s.class_word, "WORD", "of concepts that do not say another"},
        {"run", OPTION_TEXT, &s.run, "NAME", "another name: the same requests again are new jobs"},
        {"keep-going", OPTION_FLAG, &s.keep_going, NULL, "send what is right, name what is not"},
        {"priority", OPTION_TEXT, &s.priority, "HOW", "high, normal (default) or low"},
        {"config", OPTION_TEXT, &s.config, "FILE", "settings in YAML"},
        {"set", OPTION_LIST, &s.set, "KEY=VALUE", "one setting for all; may be repeated"},
        CAPTION_OPTIONS(s.caption),
        {"no-evaluate", OPTION_FLAG, &s.no_evaluate, NULL, "concepts are not measured afterwards"},
        {"memory", OPTION_TEXT, &s.memory, "SIZE",
         "what a worker group's machine has, like 8G (default: what is free here)"},
    };
    struct err e = {0};
    struct words rest;
    uint64_t priority;
    enum code rc = options_read(&verb_submit, o, sizeof o / sizeof *o, argc, argv, &rest, &e);
    if (!rc && rest.n != 1) rc = err_set(&e, ERR_USAGE, "usage: %s", verb_submit.usage);
    if (!rc && s.recursive && !s.lineage)
        rc = err_set(&e, ERR_USAGE, "--recursive needs --lineage NAME");
    if (!rc) rc = cli_priority(s.priority, &priority, &e);
    return rc ? cli_fail(&e) : submit(&s, rest.v[0]);
}

const struct verb verb_submit = {
    .name = "submit",
    .what = "send many requests at once, from a table or from folders",
    .usage = "engram submit FILE.csv | engram submit --recursive DIR --lineage NAME",
    .examples = "  engram submit jobs.csv\n"
                "  engram submit --recursive photos --lineage pets --class dog\n"
                "  engram submit jobs.csv --lineage pets --priority low --keep-going --json\n",
    .more =
        "A table has a line of names, then a line for each request (RFC 4180; folders are meant "
        "from where the table lies):\n"
        "\n"
        "  kind,lineage,folder,token,class,prompt,n,seed,priority,set:train.steps\n"
        "  learn,pets,photos/rex,<rex>,dog,a <rex> dog in the snow,,,,300\n"
        "  sample,pets,,,,\"a <mug> cup, empty\",4,7,high,\n"
        "  evaluate,pets,,,,,,,low,\n"
        "\n"
        "kind: learn, sample, evaluate; where it is left out: learn if there is a folder, else "
        "sample. concept: animal, object, scene,\n"
        "style. prompt: of a learn, its preview; of an evaluate, a pattern. token of a sample: "
        "what {} stands for. negative, commit: as\n"
        "for engram sample. set:KEY: a setting of this request.\n"
        "\n"
        "With --recursive a folder's concept.yaml says token and class; without one the token is "
        "the folder's name and the class --class.\n"
        "\n"
        "Everything is checked before anything is sent, and where something is wrong nothing is, "
        "unless --keep-going; then the exit\n"
        "status is that of the first problem. The same command said again means the same jobs.\n",
    .run = run,
};
