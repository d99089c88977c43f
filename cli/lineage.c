/* lineage.c - `engram lineage create`, `set` and `list`. */
#include "cli/cli.h"

#include "base/text.h"
#include "pipeline/model/base_model.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Who may do what with a lineage, as far as the command line says it. */
struct sharing {
    const char *share, *on_failure;
    int is_public, is_private;
};

/* "ann,bob,@vision" */
static enum code parse_share(const char *list, struct arena *a, struct strs *out, struct err *e)
{
    char *copy = arena_strdup(a, list), *at = copy;
    *out = (struct strs){0, arena_alloc(a, PROTO_SHARED * sizeof *out->v)};
    if (!copy || !out->v) return err_set(e, ERR_NOMEM, "out of memory");
    for (char *name; (name = strsep(&at, ","));) {
        if (!*name) continue;
        if (strlen(name) > PROTO_NAME)
            return err_set(e, ERR_USAGE, "--share: \"%.40s...\" is too long for a name", name);
        if (out->n == PROTO_SHARED)
            return err_set(e, ERR_USAGE, "--share: at most %d users and groups", PROTO_SHARED);
        out->v[out->n++] = name;
    }
    return OK;
}

/* What is not said stays as *m has it. */
static enum code read_sharing(const struct sharing *s, struct arena *a, struct msg_lineage_set *m,
                              struct err *e)
{
    if (s->is_public && s->is_private) return err_set(e, ERR_USAGE, "either --public or --private");
    if (s->is_public) m->visibility = VISIBLE_PUBLIC;
    if (s->is_private) m->visibility = VISIBLE_PRIVATE;
    if (s->on_failure) {
        enum code rc = proto_parse_on_failure(s->on_failure, &m->on_failure, e);
        if (rc) return err_context(e, "--on-failure");
    }
    return s->share ? parse_share(s->share, a, &m->shared_with, e) : OK;
}

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

static int create(const char *name, const char *base, const struct sharing *sharing,
                  struct arena *a)
{
    struct err e = {0};
    struct msg_lineage_set wish = {0};
    char path[PATH_MAX], hash[HASH_TEXT];
    struct base_model *m = NULL;
    struct message answer;
    if (!base)
        err_set(&e, ERR_USAGE,
                "which base model? engram lineage create %s --base PATH (Storybook: "
                "examples/storybook/model)",
                name);
    else find_base(base, path, &e);
    if (!e.code) read_sharing(sharing, a, &wish, &e);
    if (e.code || base_model_open(&m, path, &e)) return cli_fail(&e);
    struct message ask = {.kind = MSG_lineage_create,
                          .lineage_create = {.key = cli_key(),
                                             .name = name,
                                             .base_path = path,
                                             .base_hash = m->hash,
                                             .visibility = wish.visibility,
                                             .on_failure = wish.on_failure,
                                             .shared_with = wish.shared_with}};
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

/* ---- set ---- */

static json_t *names_json(const struct strs *names)
{
    json_t *list = json_array();
    for (size_t i = 0; i < names->n; i++) json_array_append_new(list, json_string(names->v[i]));
    return list;
}

/* "private", "public", "private, shared with ann and 2 others" */
static const char *access_text(uint64_t visibility, const struct strs *with, char out[120])
{
    char others[40] = "";
    if (with->n > 1) snprintf(others, sizeof others, " and %zu more", with->n - 1);
    snprintf(out, 120, "%s%s%s%s", proto_visibility(visibility), with->n ? ", shared with " : "",
             with->n ? with->v[0] : "", others);
    return out;
}

static int set(const char *name, const struct sharing *sharing, struct arena *a)
{
    struct err e = {0};
    struct lineage_row row;
    char text[120];
    if (!sharing->share && !sharing->on_failure && !sharing->is_public && !sharing->is_private)
        err_set(&e, ERR_USAGE,
                "nothing to set: --public, --private, --share or --on-failure; see engram lineage "
                "--help");
    if (e.code || cli_lineage(name, a, &row, &e)) return cli_fail(&e);
    struct message answer, ask = {.kind = MSG_lineage_set,
                                  .lineage_set = {.lineage = name,
                                                  .visibility = row.visibility,
                                                  .on_failure = row.on_failure,
                                                  .shared_with = row.shared_with}};
    struct msg_lineage_set *m = &ask.lineage_set;
    if (read_sharing(sharing, a, m, &e) || cli_ask(&ask, a, &answer, &e)) return cli_fail(&e);
    if (cli.json)
        return cli_print(json_pack("{s:s,s:s,s:s,s:o}", "lineage", name, "visibility",
                                   proto_visibility(m->visibility), "on_failure",
                                   proto_on_failure(m->on_failure), "shared_with",
                                   names_json(&m->shared_with)));
    printf("lineage %s: %s; after a failure: %s\n", name,
           access_text(m->visibility, &m->shared_with, text), proto_on_failure(m->on_failure));
    cli_close();
    return 0;
}

/* ---- list ---- */

static json_t *row_json(const struct lineage_row *r)
{
    return json_pack("{s:s,s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:s,s:s,s:b,s:o}", "lineage", r->name,
                     "owner", r->owner, "base_path", r->base_path, "base",
                     cli_hash_json(r->base_hash), "head", cli_hash_json(r->head), "commits",
                     (json_int_t)r->n_commits, "waiting", (json_int_t)r->n_waiting, "created_ms",
                     (json_int_t)r->created_ms, "visibility", proto_visibility(r->visibility),
                     "on_failure", proto_on_failure(r->on_failure), "held", (int)r->held,
                     "shared_with", names_json(&r->shared_with));
}

static const char *access_word(const struct lineage_row *r)
{
    if (r->visibility == VISIBLE_PUBLIC) return "public";
    return r->shared_with.n ? "shared" : "private";
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
    else
        printf("%-20s %-12s %8s %8s  %-12s  %-8s %s\n", "LINEAGE", "OWNER", "CONCEPTS", "WAITING",
               "HEAD", "ACCESS", "BASE");
    for (size_t i = 0; i < rows->n; i++) {
        char head[HASH_TEXT];
        const struct lineage_row *r = &rows->v[i];
        printf("%-20s %-12s %8llu %8llu  %-12.12s  %-8s %s%s\n", r->name, r->owner,
               (unsigned long long)r->n_commits, (unsigned long long)r->n_waiting,
               hash_is_zero(r->head) ? "-" : hash_text(r->head, head), access_word(r), r->base_path,
               r->held ? "  (paused)" : "");
    }
    cli_close();
    return 0;
}

static int run(int argc, char **argv)
{
    const char *base = getenv("ENGRAM_BASE");
    struct sharing sharing = {0};
    struct option_spec o[] = {
        {"base", OPTION_TEXT, &base, "PATH",
         "base model: a diffusers folder or one checkpoint (default: $ENGRAM_BASE)"},
        {"public", OPTION_FLAG, &sharing.is_public, NULL, "everybody may sample and evaluate"},
        {"private", OPTION_FLAG, &sharing.is_private, NULL,
         "only its owner and those it is shared with (default)"},
        {"share", OPTION_TEXT, &sharing.share, "WHO,..",
         "users, and @groups of users, who may read and add; \"\" takes it back"},
        {"on-failure", OPTION_TEXT, &sharing.on_failure, "WHAT",
         "skip: the next concept takes its turn (default); wait: until somebody retries or "
         "cancels the failed one"},
    };
    struct err e = {0};
    struct words rest;
    static struct arena a;
    if (options_read(&verb_lineage, o, sizeof o / sizeof *o, argc, argv, &rest, &e))
        return cli_fail(&e);
    if (rest.n == 2 && !strcmp(rest.v[0], "create")) return create(rest.v[1], base, &sharing, &a);
    if (rest.n == 2 && !strcmp(rest.v[0], "set")) return set(rest.v[1], &sharing, &a);
    if (rest.n == 0 || (rest.n == 1 && !strcmp(rest.v[0], "list"))) return list(&a);
    err_set(&e, ERR_USAGE,
            "expected \"engram lineage create NAME --base PATH\", \"set NAME\" or \"list\"; see "
            "engram lineage --help");
    return cli_fail(&e);
}

const struct verb verb_lineage = {
    .name = "lineage",
    .what = "make a named stream of concepts, share it, or list them",
    .usage = "engram lineage create NAME --base PATH | set NAME | list",
    .examples = "  engram lineage create pets --base examples/storybook/model\n"
                "  engram lineage set pets --share ann,@vision          they may read and add\n"
                "  engram lineage set pets --public --on-failure wait\n"
                "  engram lineage list\n",
    .more = "A lineage is one base model and the concepts learned on it, in order. Its base never "
            "changes.\n",
    .run = run,
};
