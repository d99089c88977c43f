/* groups.c - `engram groups`: who computes. `engram drain`: who shall get nothing new. */
#include "cli/cli.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static enum code ask_groups(struct arena *a, struct group_rows *out, struct err *e)
{
    struct message ask = {.kind = MSG_group_list, .group_list.name = ""}, answer;
    enum code rc = cli_ask(&ask, a, &answer, e);
    *out = rc ? (struct group_rows){0} : answer.groups.rows;
    return rc;
}

static const char *state(const struct group_row *r)
{
    if (r->draining) return r->job ? "draining" : "drained";
    return r->job ? "works" : "waits";
}

static json_t *row_json(const struct group_row *r)
{
    return json_pack("{s:s,s:s,s:s,s:I,s:I,s:s,s:b,s:I,s:s,s:I,s:I}", "group", r->name, "host",
                     r->host, "device", r->device, "ranks", (json_int_t)r->ranks, "pid",
                     (json_int_t)r->pid, "state", state(r), "draining", (int)r->draining, "job",
                     (json_int_t)r->job, "stage", r->job ? proto_stage_kind(r->stage) : "", "epoch",
                     (json_int_t)r->epoch, "seen_ms", (json_int_t)r->seen_ms);
}

static void print_row(const struct group_row *r)
{
    char work[64] = "-", seen[32];
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t silent_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 - r->seen_ms;
    if (r->job)
        snprintf(work, sizeof work, "job %" PRIu64 " %s", r->job, proto_stage_kind(r->stage));
    printf("%-16s %-20s %-10s %5" PRIu64 "  %-9s %-20s %10s\n", r->name, r->host, r->device,
           r->ranks, state(r), work,
           cli_duration(silent_ms > 0 ? (double)silent_ms / 1000.0 : 0, seen));
}

static int run_groups(int argc, char **argv)
{
    struct err e = {0};
    struct words rest;
    static struct arena a;
    struct group_rows rows;
    if (options_read(&verb_groups, NULL, 0, argc, argv, &rest, &e)) return cli_fail(&e);
    if (rest.n) err_set(&e, ERR_USAGE, "engram groups takes no \"%s\"", rest.v[0]);
    if (e.code || ask_groups(&a, &rows, &e)) return cli_fail(&e);
    if (cli.json) {
        json_t *all = json_array();
        for (size_t i = 0; i < rows.n; i++) json_array_append_new(all, row_json(&rows.v[i]));
        return cli_print(json_pack("{s:o}", "groups", all));
    }
    if (!rows.n) cli_say("no worker group has said hello");
    else
        printf("%-16s %-20s %-10s %5s  %-9s %-20s %10s\n", "GROUP", "HOST", "DEVICE", "RANKS",
               "STATE", "WORK", "SEEN");
    for (size_t i = 0; i < rows.n; i++) print_row(&rows.v[i]);
    cli_close();
    return 0;
}

const struct verb verb_groups = {
    .name = "groups",
    .what = "list worker groups: where they are, what they do, when they were heard",
    .usage = "engram groups",
    .examples = "  engram groups\n"
                "  engram groups --json\n",
    .run = run_groups,
};

/* ---- drain ---- */

/* A group that is not there may be drained all the same, before it comes; a slip of the finger is said. */
static void hint(const char *name, const struct group_rows *there)
{
    for (size_t i = 0; i < there->n; i++)
        if (!strcmp(there->v[i].name, name)) return;
    cli_say("note: no group %s is there now; engram groups lists those that are", name);
}

static enum code drain(const char *name, int on, struct arena *a, struct err *e)
{
    struct message ask = {.kind = MSG_drain, .drain = {.group = name, .on = (uint64_t)on}}, answer;
    return cli_ask(&ask, a, &answer, e);
}

static int run_drain(int argc, char **argv)
{
    int all = 0, off = 0;
    struct option_spec o[] = {{"all", OPTION_FLAG, &all, NULL, "every group, also those to come"},
                              {"off", OPTION_FLAG, &off, NULL, "they get stages again"}};
    struct err e = {0};
    struct words names;
    static struct arena a;
    struct group_rows there;
    static const char *const everybody[] = {""};
    if (options_read(&verb_drain, o, 2, argc, argv, &names, &e)) return cli_fail(&e);
    if ((all != 0) == (names.n > 0)) {
        err_set(&e, ERR_USAGE, "usage: %s", verb_drain.usage);
        return cli_fail(&e);
    }
    const char *const *v = all ? everybody : names.v;
    size_t n = all ? 1 : names.n;
    if (ask_groups(&a, &there, &e)) return cli_fail(&e);
    for (size_t i = 0; i < n; i++)
        if (drain(v[i], !off, &a, &e)) return cli_fail(&e);
    if (cli.json) {
        json_t *said = json_array();
        for (size_t i = 0; i < n; i++) json_array_append_new(said, json_string(v[i]));
        return cli_print(json_pack("{s:o,s:b,s:b}", "groups", said, "all", all, "draining", !off));
    }
    for (size_t i = 0; !all && !off && i < n; i++) hint(v[i], &there);
    if (all) printf("all worker groups: %s\n", off ? "get stages again" : "get no new stage");
    for (size_t i = 0; !all && i < n; i++)
        printf("%s: %s\n", v[i], off ? "gets stages again" : "gets no new stage");
    cli_close();
    return 0;
}

const struct verb verb_drain = {
    .name = "drain",
    .what = "give worker groups no new stage; what they run ends",
    .usage = "engram drain GROUP... | engram drain --all [--off]",
    .examples = "  engram drain group-2                before its machine is needed for something "
                "else\n"
                "  engram drain --all                  before the machine is restarted; engram "
                "groups says when they are drained\n"
                "  engram drain --all --off\n",
    .more =
        "Remembered over a restart. A group that is drained by its name is given stages again by "
        "its name only. For admins.\n",
    .run = run_drain,
};
