/* lineage.c - `engram lineage create` and `engram lineage list`. */
#include "cli/cli.h"

#include "pipeline/model/base_model.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The absolute path of a base model. A file keeps its own name even if it is a link, as in the caches of model hubs: what
 * belongs to it lies beside that name. */
static enum code find_base(const char *base, char out[PATH_MAX], struct err *e)
{
    char dir[PATH_MAX];
    struct stat st;
    const char *slash = strrchr(base, '/'), *name = slash ? slash + 1 : base;
    if (!realpath(base, out)) return err_errno(e, "base model %s", base);
    if (stat(out, &st) || S_ISDIR(st.st_mode)) return OK;
    if (snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - base) + 1 : 1,
                 slash ? base : ".") >= PATH_MAX ||
        !realpath(dir, out) || strlen(out) + strlen(name) + 2 > PATH_MAX)
        return err_set(e, ERR_INPUT, "path too long: %.200s", base);
    strcat(strcat(out, strcmp(out, "/") ? "/" : ""), name);
    return OK;
}

static int create(const char *name, const char *base, struct arena *a)
{
    struct err e = {0};
    char path[PATH_MAX], hash[HASH_TEXT];
    struct base_model *m = NULL;
    struct message answer;
    if (!base)
        err_set(&e, ERR_USAGE,
                "which base model? engram lineage create %s --base PATH (Storybook: "
                "examples/storybook/model)",
                name);
    else find_base(base, path, &e);
    if (e.code || base_model_open(&m, path, &e)) return cli_fail(&e);
    struct message ask = {
        .kind = MSG_lineage_create,
        .lineage_create = {
            .key = cli_key(), .name = name, .base_path = path, .base_hash = m->hash}};
    hash_text(m->hash, hash);
    size_t weights = m->kv.n_weights;
    base_model_close(m);
    if (cli_ask(&ask, a, &answer, &e)) return cli_fail(&e);
    if (cli.json)
        return cli_print(json_pack("{s:s,s:s,s:s,s:I}", "lineage", name, "base_path", path, "base",
                                   hash, "neurons", (json_int_t)weights));
    printf("lineage %s on base %.12s (%zu neurons, %s)\n", name, hash, weights, path);
    cli_close();
    return 0;
}

static json_t *row_json(const struct lineage_row *r)
{
    return json_pack("{s:s,s:s,s:s,s:o,s:o,s:I,s:I,s:I}", "lineage", r->name, "owner", r->owner,
                     "base_path", r->base_path, "base", cli_hash_json(r->base_hash), "head",
                     cli_hash_json(r->head), "commits", (json_int_t)r->n_commits, "waiting",
                     (json_int_t)r->n_waiting, "created_ms", (json_int_t)r->created_ms);
}

static int list(struct arena *a)
{
    struct err e = {0};
    struct message ask = {.kind = MSG_lineage_list, .lineage_list = {.name = ""}}, answer;
    if (cli_ask(&ask, a, &answer, &e)) return cli_fail(&e);
    const struct lineage_rows *rows = &answer.lineages.rows;
    if (cli.json) {
        json_t *all = json_array();
        for (size_t i = 0; i < rows->n; i++) json_array_append_new(all, row_json(&rows->v[i]));
        return cli_print(json_pack("{s:o}", "lineages", all));
    }
    if (!rows->n) cli_say("no lineages yet; engram lineage create NAME --base PATH");
    else printf("%-20s %8s %8s  %-12s  %s\n", "LINEAGE", "CONCEPTS", "WAITING", "HEAD", "BASE");
    for (size_t i = 0; i < rows->n; i++) {
        char head[HASH_TEXT];
        const struct lineage_row *r = &rows->v[i];
        printf("%-20s %8llu %8llu  %-12.12s  %s\n", r->name, (unsigned long long)r->n_commits,
               (unsigned long long)r->n_waiting,
               hash_is_zero(r->head) ? "-" : hash_text(r->head, head), r->base_path);
    }
    cli_close();
    return 0;
}

static int run(int argc, char **argv)
{
    const char *base = getenv("ENGRAM_BASE");
    struct option_spec o[] = {
        {"base", OPTION_TEXT, &base, "PATH",
         "base model: a diffusers folder or one checkpoint (default: $ENGRAM_BASE)"}};
    struct err e = {0};
    struct words rest;
    struct arena a = {0};
    if (options_read(&verb_lineage, o, 1, argc, argv, &rest, &e)) return cli_fail(&e);
    if (rest.n == 2 && !strcmp(rest.v[0], "create")) return create(rest.v[1], base, &a);
    if (rest.n == 0 || (rest.n == 1 && !strcmp(rest.v[0], "list"))) return list(&a);
    err_set(&e, ERR_USAGE,
            "expected \"engram lineage create NAME --base PATH\" or \"engram lineage list\"");
    return cli_fail(&e);
}

const struct verb verb_lineage = {
    .name = "lineage",
    .what = "make a named stream of concepts, or list them",
    .usage = "engram lineage create NAME --base PATH | engram lineage list",
    .examples = "  engram lineage create pets --base examples/storybook/model\n"
                "  engram lineage list\n",
    .more = "A lineage is one base model and the concepts learned on it, in order. Its base never "
            "changes.\n",
    .run = run,
};
