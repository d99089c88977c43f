/* admin.c - `engram admin`: who may speak to a coordinator, and how much. */
#include "cli/cli.h"
#include "cli/connect.h"

#include "base/file.h"
#include "base/text.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    const char *key, *role, *group, *out;
    int64_t weight, max_queued, max_running, max_bytes, limit;
} o = {.weight = -1, .max_queued = -1, .max_running = -1, .max_bytes = -1};

static const char *const ROLES[] = {
    [ROLE_USER] = "user", [ROLE_ADMIN] = "admin", [ROLE_WORKER] = "worker"};
enum { N_ROLES = sizeof ROLES / sizeof *ROLES };

static const char *role_name(uint64_t role)
{
    return role >= ROLE_USER && role < N_ROLES ? ROLES[role] : "?";
}

static enum code parse_role(const char *name, uint64_t *out, struct err *e)
{
    for (*out = ROLE_USER; *out < N_ROLES; ++*out)
        if (!strcmp(name, ROLES[*out])) return OK;
    return err_set(e, ERR_USAGE, "--role %s: expected user, admin or worker", name);
}

/* ---- keygen ---- */

static int keygen(void)
{
    char path[PATH_MAX], folder[PATH_MAX], public[KEY_TEXT];
    struct keys k;
    struct err e = {0};
    enum code rc = OK;

    if (o.out) snprintf(path, sizeof path, "%s", o.out);
    else rc = connect_path("key", path, sizeof path, &e);
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = '\0';
    if (!rc && slash && *folder) rc = file_make_dirs(folder, &e);
    if (!rc) rc = keys_make(&k, &e);
    if (!rc) rc = keys_write(&k, path, &e);
    memset(&k.secret, 0, sizeof k.secret);
    if (rc) return cli_fail(&e);
    keys_text(k.public, public);
    if (cli.json) return cli_print(json_pack("{s:s,s:s}", "public_key", public, "file", path));
    printf("%s\n", public);
    cli_say(
        "the secret half is in %s, yours alone. Give the line above, or %s.pub, to whoever runs "
        "the coordinator:\n"
        "  engram admin add NAME --key %s.pub",
        path, path, path);
    return 0;
}

/* ---- users ---- */

/* All whom we may see, page by page. */
static enum code ask_users(struct arena *a, struct user_rows *out, struct err *e)
{
    struct message ask = {.kind = MSG_user_list, .user_list = {.name = "", .after = ""}}, answer;
    enum code rc;

    *out = (struct user_rows){0};
    do {
        if ((rc = cli_ask(&ask, a, &answer, e))) return rc;
        const struct user_rows *page = &answer.users.rows;
        struct user_row *all = arena_alloc(a, (out->n + page->n + 1) * sizeof *all);
        if (!all) return err_set(e, ERR_NOMEM, "out of memory for users");
        if (out->n) memcpy(all, out->v, out->n * sizeof *all);
        if (page->n) memcpy(all + out->n, page->v, page->n * sizeof *all);
        *out = (struct user_rows){out->n + page->n, all};
        if (out->n) ask.user_list.after = all[out->n - 1].name;
    } while (answer.users.rows.n == PROTO_ROWS);
    return OK;
}

static const struct user_row *find(const struct user_rows *rows, const char *name)
{
    for (size_t i = 0; i < rows->n; i++)
        if (!strcmp(rows->v[i].name, name)) return &rows->v[i];
    return NULL;
}

static enum code set_user(struct user_row *row, struct arena *a, struct err *e)
{
    struct message ask = {.kind = MSG_user_set, .user_set.rows = {1, row}}, answer;
    return cli_ask(&ask, a, &answer, e);
}

static int add(const char *name, struct arena *a)
{
    struct user_row row = {.name = name, .group = "", .role = ROLE_USER};
    struct user_rows there;
    struct err e = {0};
    enum code rc = ask_users(a, &there, &e);
    const struct user_row *old = rc ? NULL : find(&there, name);

    /* What is not said stays. */
    if (old) row = *old;
    row.revoked = 0;
    if (!rc && o.role) rc = parse_role(o.role, &row.role, &e);
    if (!rc && o.key) rc = keys_parse(o.key, &row.key, &e);
    if (o.group) row.group = o.group;
    if (o.weight >= 0) row.weight = (uint64_t)o.weight;
    if (o.max_queued >= 0) row.max_queued = (uint64_t)o.max_queued;
    if (o.max_running >= 0) row.max_running = (uint64_t)o.max_running;
    if (o.max_bytes >= 0) row.max_bytes = (uint64_t)o.max_bytes;
    if (rc || set_user(&row, a, &e)) return cli_fail(&e);
    if (cli.json)
        return cli_print(json_pack("{s:s,s:s,s:b}", "user", name, "role", role_name(row.role),
                                   "was_there", old != NULL));
    printf("%s %s, role %s%s\n", name, old ? "is changed" : "is added", role_name(row.role),
           hash_is_zero(row.key) ? ", without a key: not from elsewhere" : "");
    cli_close();
    return 0;
}

static int revoke(const char *name, struct arena *a)
{
    struct user_rows there;
    struct err e = {0};

    if (ask_users(a, &there, &e)) return cli_fail(&e);
    const struct user_row *old = find(&there, name);
    if (!old) {
        const char **names = arena_alloc(a, (there.n + 1) * sizeof *names);
        for (size_t i = 0; names && i < there.n; i++) names[i] = there.v[i].name;
        const char *near = names ? text_nearest(name, names, there.n) : NULL;
        if (near) err_set(&e, ERR_NOT_FOUND, "there is no user %s; did you mean %s?", name, near);
        else err_set(&e, ERR_NOT_FOUND, "there is no user %s; engram admin list shows them", name);
        return cli_fail(&e);
    }
    struct user_row row = *old;
    row.revoked = 1;
    if (set_user(&row, a, &e)) return cli_fail(&e);
    if (cli.json) return cli_print(json_pack("{s:s,s:b}", "user", name, "revoked", 1));
    printf("%s is not heard any more, on open connections neither; what %s owns stays\n", name,
           name);
    cli_close();
    return 0;
}

static const char *number(uint64_t n, char out[24])
{
    if (n) snprintf(out, 24, "%" PRIu64, n);
    else snprintf(out, 24, "-");
    return out;
}

static json_t *row_json(const struct user_row *r)
{
    char key[KEY_TEXT];
    return json_pack("{s:s,s:s,s:s,s:o,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "user", r->name,
                     "role", role_name(r->role), "group", r->group, "key",
                     hash_is_zero(r->key) ? json_null() : json_string(keys_text(r->key, key)),
                     "revoked", (int)r->revoked, "weight", (json_int_t)r->weight, "max_queued",
                     (json_int_t)r->max_queued, "max_running", (json_int_t)r->max_running,
                     "max_bytes", (json_int_t)r->max_bytes, "queued", (json_int_t)r->queued,
                     "running", (json_int_t)r->running, "bytes", (json_int_t)r->bytes, "added_ms",
                     (json_int_t)r->added_ms);
}

static void print_row(const struct user_row *r)
{
    char queued[24], running[24], key[KEY_TEXT], most[24];

    printf("%-16s %-8s %-12s %6" PRIu64 " %8" PRIu64 " %-8s %8" PRIu64 " %-8s %-8s %s\n", r->name,
           role_name(r->role), *r->group ? r->group : "-", r->weight ? r->weight : 1, r->queued,
           number(r->max_queued, queued), r->running, number(r->max_running, running),
           number(r->max_bytes, most),
           r->revoked             ? "revoked"
           : hash_is_zero(r->key) ? "local"
                                  : keys_text(r->key, key));
}

static int list(struct arena *a)
{
    struct user_rows rows;
    struct err e = {0};

    if (ask_users(a, &rows, &e)) return cli_fail(&e);
    if (cli.json) {
        json_t *all = json_array();
        for (size_t i = 0; i < rows.n; i++) json_array_append_new(all, row_json(&rows.v[i]));
        return cli_print(json_pack("{s:o}", "users", all));
    }
    printf("%-16s %-8s %-12s %6s %8s %-8s %8s %-8s %-8s %s\n", "USER", "ROLE", "GROUP", "WEIGHT",
           "QUEUED", "(MOST)", "RUNNING", "(MOST)", "BYTES", "KEY");
    for (size_t i = 0; i < rows.n; i++) print_row(&rows.v[i]);
    cli_close();
    return 0;
}

/* ---- the record of who did what ---- */

static enum code print_page(const struct audit_rows *rows, json_t *all)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct audit_row *r = &rows->v[i];
        time_t at = (time_t)(r->at_ms / 1000);
        struct tm t;
        char when[32] = "?";
        if (localtime_r(&at, &t)) strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &t);
        if (all)
            json_array_append_new(all, json_pack("{s:I,s:I,s:s,s:s}", "seq", (json_int_t)r->seq,
                                                 "at_ms", (json_int_t)r->at_ms, "user", r->user,
                                                 "what", r->what));
        else printf("%s  %-16s %s\n", when, r->user, r->what);
    }
    return OK;
}

static int record(struct arena *a)
{
    struct message ask = {.kind = MSG_audit}, answer;
    struct err e = {0};
    json_t *all = cli.json ? json_array() : NULL;
    uint64_t left = o.limit > 0 ? (uint64_t)o.limit : UINT64_MAX;

    while (left) {
        ask.audit.limit = left < PROTO_ROWS ? left : 0;
        if (cli_ask(&ask, a, &answer, &e)) return cli_fail(&e);
        const struct audit_rows *rows = &answer.audit_log.rows;
        if (!rows->n) break;
        print_page(rows, all);
        ask.audit.after_seq = rows->v[rows->n - 1].seq;
        left -= rows->n < left ? rows->n : left;
    }
    if (all) return cli_print(json_pack("{s:o}", "audit", all));
    cli_close();
    return 0;
}

/* ---- */

static int run(int argc, char **argv)
{
    struct option_spec spec[] = {
        {"key", OPTION_TEXT, &o.key, "KEY", "add: the public key, or a file that holds it"},
        {"role", OPTION_TEXT, &o.role, "ROLE", "add: user (default), admin or worker"},
        {"group", OPTION_TEXT, &o.group, "NAME", "add: sees what others of this group own"},
        {"weight", OPTION_NUMBER, &o.weight, "N",
         "add: share of the machine beside others (default 1)"},
        {"max-queued", OPTION_NUMBER, &o.max_queued, "N", "add: jobs that have not ended, at most"},
        {"max-running", OPTION_NUMBER, &o.max_running, "N", "add: stages at a time, at most"},
        {"max-bytes", OPTION_NUMBER, &o.max_bytes, "N",
         "add: of requests, photos and pictures, at most"},
        {"out", OPTION_TEXT, &o.out, "FILE",
         "keygen: where the key goes (default: ~/.config/engram/key)"},
        {"limit", OPTION_NUMBER, &o.limit, "N", "log: at most so many lines"},
    };
    struct err e = {0};
    struct words rest;
    static struct arena a;
    const char *what;

    if (options_read(&verb_admin, spec, sizeof spec / sizeof *spec, argc, argv, &rest, &e))
        return cli_fail(&e);
    what = rest.n ? rest.v[0] : "";
    if (strcmp(what, "add")) cli.key = o.key; /* one's own, as everywhere */
    if (rest.n == 1 && !strcmp(what, "keygen")) return keygen();
    if (rest.n == 2 && !strcmp(what, "add")) return add(rest.v[1], &a);
    if (rest.n == 2 && !strcmp(what, "revoke")) return revoke(rest.v[1], &a);
    if (rest.n == 1 && !strcmp(what, "list")) return list(&a);
    if (rest.n == 1 && !strcmp(what, "log")) return record(&a);
    err_set(&e, ERR_USAGE,
            "expected \"engram admin keygen\", \"add NAME\", \"list\", \"revoke NAME\" or \"log\"; "
            "see engram admin --help");
    return cli_fail(&e);
}

const struct verb verb_admin = {
    .name = "admin",
    .what = "who may speak to this coordinator: make keys, add, list, revoke",
    .usage = "engram admin keygen | add NAME | list | revoke NAME | log",
    .examples =
        "  engram admin keygen                                        a pair of keys of one's own\n"
        "  engram admin add ann --key ann.key.pub                     may submit from anywhere\n"
        "  engram admin add node7 --role worker --key node7.key.pub   may run stages\n"
        "  engram admin add bob --key bob.key.pub --group vision --weight 2 --max-queued 1000\n"
        "  engram admin list\n"
        "  engram admin revoke bob                                    at once, on open "
        "connections, too\n"
        "  engram admin log                                           who did what\n",
    .more = "Adding a name again changes what is said and leaves the rest: a key that was lost, a "
            "quota, somebody who was revoked.\n"
            "docs/users.md tells the whole story.\n",
    .run = run,
};
