/* log.c - `engram log`: the commits of a lineage. `engram show`: one commit, or one job, in full. */
#include "cli/cli.h"

#include "pipeline/neurons/commit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMIT_BYTES (UINT64_C(1) << 31)
#define HISTORY 30 /* lines: three losses and what led to them */

static const char *date(int64_t ms, char out[32])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    localtime_r(&t, &tm);
    strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm);
    return out;
}

static json_t *hashes_json(const struct hashes *h)
{
    json_t *list = json_array();
    for (size_t i = 0; i < h->n; i++) json_array_append_new(list, cli_hash_json(h->v[i]));
    return list;
}

static json_t *commit_row_json(const struct commit_row *r)
{
    return json_pack("{s:I,s:o,s:o,s:I,s:s,s:s,s:s,s:o,s:I,s:f,s:I,s:o,s:o}", "number",
                     (json_int_t)r->number, "commit", cli_hash_json(r->commit), "parent",
                     cli_hash_json(r->parent), "job", (json_int_t)r->job, "token", r->token,
                     "class", r->class_word, "kind", proto_concept_kind(r->kind), "images",
                     hashes_json(&r->images), "n_images", (json_int_t)cli_n_images(r), "seconds",
                     r->seconds, "committed_ms", (json_int_t)r->committed_ms, "evaluation",
                     cli_hash_json(r->evaluation), "previews", hashes_json(&r->previews));
}

static int run_log(int argc, char **argv)
{
    struct err e = {0};
    struct words rest;
    static struct arena a;
    struct commit_rows rows;
    if (options_read(&verb_log, NULL, 0, argc, argv, &rest, &e)) return cli_fail(&e);
    if (rest.n != 1) {
        err_set(&e, ERR_USAGE, "usage: %s", verb_log.usage);
        return cli_fail(&e);
    }
    if (cli_commits(rest.v[0], &a, &rows, &e)) return cli_fail(&e);
    if (cli.json) {
        json_t *list = json_array();
        for (size_t i = 0; i < rows.n; i++)
            json_array_append_new(list, commit_row_json(&rows.v[i]));
        return cli_print(json_pack("{s:s,s:o}", "lineage", rest.v[0], "commits", list));
    }
    if (!rows.n) cli_say("%s has no commits yet", rest.v[0]);
    for (size_t i = rows.n; i-- > 0;) { /* newest first, as a reader of logs expects */
        const struct commit_row *r = &rows.v[i];
        char hash[HASH_TEXT], when[32], took[32];
        printf("%3" PRIu64 "  %.12s  %-14s %-12s %-7s %2zu images  %9s  %s  job %" PRIu64 "\n",
               r->number, hash_text(r->commit, hash), r->token, r->class_word,
               proto_concept_kind(r->kind), cli_n_images(r), cli_duration(r->seconds, took),
               date(r->committed_ms, when), r->job);
    }
    cli_close();
    return 0;
}

const struct verb verb_log = {
    .name = "log",
    .what = "list the commits of a lineage, newest first",
    .usage = "engram log LINEAGE",
    .examples = "  engram log pets\n"
                "  engram log pets --json             oldest first, with hashes of images, "
                "evaluation and previews\n",
    .run = run_log,
};

static enum code read_commit(const struct commit_row *row, struct commit *c, struct err *e)
{
    struct objects *store;
    struct bytes b = {0};
    enum code rc = cli_objects(&store, e);
    if (rc) return rc;
    rc = cli_object(store, (struct origin){.job = row->job}, row->commit, COMMIT_BYTES, &b, e);
    if (!rc) rc = commit_decode(b.data, b.n, c, e);
    free(b.data);
    objects_close(store);
    return rc;
}

static int show_commit(const char *lineage, const char *name, struct arena *a)
{
    struct err e = {0};
    struct commit_row row;
    struct commit c;
    char own[HASH_TEXT], parent[HASH_TEXT], base[HASH_TEXT];
    if (cli_commit_row(lineage, name, a, &row, &e) || read_commit(&row, &c, &e))
        return cli_fail(&e);
    json_t *made = json_loads(c.made, 0, NULL);
    hash_text(row.commit, own);
    if (cli.json) {
        json_t *j =
            json_pack("{s:s,s:o,s:o,s:s,s:s,s:s,s:I,s:I,s:o}", "commit", own, "parent",
                      cli_hash_json(c.parent), "base", cli_hash_json(c.base), "token", c.token,
                      "class", c.class_word, "kind", c.kind, "neurons", (json_int_t)c.n_values,
                      "of", (json_int_t)c.mask.n_bits, "made", made);
        commit_fini(&c);
        return cli_print(j);
    }
    printf("commit %s\nparent %s\nbase   %s\ntoken  %s, %s (%s)\nowns   %zu of %zu neurons (%.2f "
           "%%)\n",
           own, hash_is_zero(c.parent) ? "none: the base model" : hash_text(c.parent, parent),
           hash_text(c.base, base), c.token, c.class_word, c.kind, c.n_values, c.mask.n_bits,
           100.0 * (double)c.n_values / (double)(c.mask.n_bits ? c.mask.n_bits : 1));
    char *text = json_dumps(made, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
    printf("made   %s\n", text ? text : "");
    free(text);
    json_decref(made);
    commit_fini(&c);
    cli_close();
    return 0;
}

static json_t *stage_json(const struct stage_row *s)
{
    json_t *report = *s->report ? json_loads(s->report, 0, NULL) : NULL;
    return json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:f,s:s,s:o,s:o}", "stage",
                     proto_stage_kind(s->stage), "state", proto_stage_state(s->state), "attempts",
                     (json_int_t)s->attempts, "losses", (json_int_t)s->losses, "epoch",
                     (json_int_t)s->epoch, "step", (json_int_t)s->step, "of", (json_int_t)s->of,
                     "seconds", s->seconds, "line", s->line, "report",
                     report ? report : json_null(), "outputs", hashes_json(&s->outputs));
}

/* "  63.9 MiB a rank, 75.4 MiB a host, arenas 4.7 MiB" of a stage that has run; "" where its report does not say. */
static const char *memory_of(const struct stage_row *s, char out[128])
{
    static const char *const key[] = {"rank", "host", "arena"};
    char size[3][32];
    json_t *report = *s->report ? json_loads(s->report, 0, NULL) : NULL;
    const json_t *memory = json_object_get(report, "memory");
    for (int i = 0; i < 3; i++)
        cli_size((uint64_t)json_integer_value(json_object_get(memory, key[i])), size[i]);
    out[0] = '\0';
    if (json_integer_value(json_object_get(memory, "rank")) > 0)
        snprintf(out, 128, "  %s a rank, %s a host, arenas %s", size[0], size[1], size[2]);
    json_decref(report);
    return out;
}

/* What is durable of a job's life; progress comes and goes. */
static enum code ask_history(uint64_t job, struct arena *a, struct event_rows *out, struct err *e)
{
    struct message ask = {.kind = MSG_watch, .watch.job = job}, answer;
    enum code rc = cli_ask(&ask, a, &answer, e);
    *out = rc ? (struct event_rows){0} : answer.events.rows;
    size_t n = 0;
    for (size_t i = 0; i < out->n; i++)
        if (out->v[i].type != EVENT_PROGRESS) out->v[n++] = out->v[i];
    out->n = n;
    return rc;
}

/* Of a job that went straight on nobody asks for it; of others it is the evidence: which group was lost, where, at which step. */
static int is_history_wanted(const struct msg_job_info *info)
{
    if (info->rows.v[0].state == JOB_FAILED) return 1;
    for (size_t i = 0; i < info->stages.n; i++)
        if (info->stages.v[i].attempts > 1) return 1;
    return 0;
}

static void print_history(const struct event_rows *rows)
{
    size_t from = rows->n > HISTORY ? rows->n - HISTORY : 0;
    char when[32];
    printf("history%s\n", from ? ", the end of it (--json has all)" : "");
    for (size_t i = from; i < rows->n; i++)
        printf("  %s  %s\n", date(rows->v[i].at_ms, when), rows->v[i].text);
}

static json_t *history_json(const struct event_rows *rows)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rows->n; i++) {
        const struct event_row *r = &rows->v[i];
        json_array_append_new(
            list, json_pack("{s:I,s:s,s:I,s:I,s:s}", "at_ms", (json_int_t)r->at_ms, "stage",
                            r->stage ? proto_stage_kind(r->stage) : "", "step", (json_int_t)r->step,
                            "of", (json_int_t)r->of, "text", r->text));
    }
    return list;
}

static int print_job_json(const struct msg_job_info *info, const struct event_rows *history)
{
    json_t *stages = json_array(), *root = cli_job_json(&info->rows.v[0]);
    for (size_t i = 0; i < info->stages.n; i++)
        json_array_append_new(stages, stage_json(&info->stages.v[i]));
    json_object_set_new(root, "stages", stages);
    json_object_set_new(root, "history", history_json(history));
    return cli_print(root);
}

static int show_job(uint64_t job, struct arena *a)
{
    struct err e = {0};
    struct message ask = {.kind = MSG_job, .job = {.job = job}}, answer;
    struct event_rows history;
    if (cli_ask(&ask, a, &answer, &e) || ask_history(job, a, &history, &e)) return cli_fail(&e);
    const struct msg_job_info *info = &answer.job_info;
    const struct job_row *r = &info->rows.v[0];
    if (cli.json) return print_job_json(info, &history);
    char when[32], took[32], memory[128];
    printf("job %" PRIu64 "  %s  %s  lineage %s%s%s\nsubmitted %s by %s\n", r->job,
           proto_job_kind(r->kind), proto_job_state(r->state), r->lineage,
           *r->token ? "  token " : "", r->token, date(r->submitted_ms, when), r->owner);
    if (*r->line) printf("%s\n", r->line);
    for (size_t i = 0; i < info->stages.n; i++) {
        const struct stage_row *s = &info->stages.v[i];
        printf("  %-9s %-8s %9s  attempts %" PRIu64 "%s%s%s\n", proto_stage_kind(s->stage),
               proto_stage_state(s->state),
               s->state == STAGE_DONE ? cli_duration(s->seconds, took) : "", s->attempts,
               memory_of(s, memory), *s->line ? "  " : "", s->line);
    }
    if (is_history_wanted(info)) print_history(&history);
    cli_close();
    return 0;
}

static int run_show(int argc, char **argv)
{
    const char *lineage = NULL;
    struct option_spec o[] = {
        {"lineage", OPTION_TEXT, &lineage, "NAME", "show a commit of it: number, token or hash"}};
    struct err e = {0};
    struct words rest;
    static struct arena a;
    uint64_t job = 0;
    if (options_read(&verb_show, o, 1, argc, argv, &rest, &e)) return cli_fail(&e);
    if (rest.n != 1) {
        err_set(&e, ERR_USAGE, "usage: %s", verb_show.usage);
        return cli_fail(&e);
    }
    if (lineage) return show_commit(lineage, rest.v[0], &a);
    return cli_job(rest.v[0], &job, &e) ? cli_fail(&e) : show_job(job, &a);
}

const struct verb verb_show = {
    .name = "show",
    .what = "show one job with its stages, or one commit with how it was made",
    .usage = "engram show JOB | engram show --lineage NAME COMMIT",
    .examples = "  engram show 12\n"
                "  engram show --lineage pets '<rex>'          by token, number (3) or hash (4 "
                "digits or more)\n",
    .run = run_show,
};
