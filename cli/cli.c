/* cli.c - home, connection, errors, JSON. */
#include "cli/cli.h"
#include "cli/connect.h"

#include "base/text.h"
#include "pipeline/method/settings.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

struct cli cli;
static struct link *connection;

int cli_fail(const struct err *e)
{
    fprintf(stderr, "engram: %s\n", e->text);
    cli_close();
    return err_exit_status(e->code);
}

int cli_fail_all(const struct problems *p)
{
    for (size_t i = 0; i < p->n; i++) fprintf(stderr, "engram: %s\n", p->line[i]);
    if (p->n_dropped) fprintf(stderr, "engram: ... and %zu more\n", p->n_dropped);
    if (p->n > 1)
        fprintf(stderr, "engram: %zu problems; nothing was changed\n", p->n + p->n_dropped);
    cli_close();
    return err_exit_status(p->n ? p->code[0] : ERR_INTERNAL);
}

void cli_say(const char *fmt, ...)
{
    va_list args;
    if (cli.json) return;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

int cli_print(json_t *document)
{
    json_t *root = json_object();
    json_object_set_new(root, "v", json_integer(1));
    json_object_update(root, document);
    int bad = json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    fputc('\n', stdout);
    bad |= fflush(stdout) != 0;
    json_decref(root);
    json_decref(document);
    cli_close();
    return bad ? err_exit_status(ERR_IO) : 0;
}

enum code cli_home(const char **out, struct err *e)
{
    static char home[PATH_MAX];
    const char *own = cli.home ? cli.home : getenv("ENGRAM_HOME"),
               *state = getenv("XDG_STATE_HOME"), *user = getenv("HOME");
    int n;
    if (own && own[0] == '/') n = snprintf(home, sizeof home, "%s", own);
    else if (own && own[0]) {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) return err_errno(e, "current directory");
        n = snprintf(home, sizeof home, "%s/%s", here, own);
    } else if (state && state[0] == '/') n = snprintf(home, sizeof home, "%s/engram", state);
    else if (user && user[0] == '/')
        n = snprintf(home, sizeof home, "%s/.local/state/engram", user);
    else return err_set(e, ERR_ENVIRONMENT, "no home: set ENGRAM_HOME or give --home");
    if (n >= (int)sizeof home)
        return err_set(e, ERR_USAGE, "the home directory's path is too long");
    *out = home;
    return OK;
}

enum code cli_path(const char *name, char *out, size_t bytes, struct err *e)
{
    const char *home;
    enum code rc = cli_home(&home, e);
    if (rc) return rc;
    if ((size_t)snprintf(out, bytes, "%s/%s", home, name) >= bytes)
        return err_set(e, ERR_USAGE, "path %s/%s is too long", home, name);
    return OK;
}

/* The coordinator of this home: known at once when it is not there. */
static enum code open_local(struct link_options *o, struct err *e)
{
    static char socket[PATH_MAX], endpoint[PATH_MAX + 8];
    enum code rc = cli_path("run/engram.sock", socket, sizeof socket, e);
    if (rc) return rc;
    if (access(socket, F_OK))
        return err_set(e, ERR_ENVIRONMENT,
                       "no coordinator is running (no %s); start one with: engram up", socket);
    snprintf(endpoint, sizeof endpoint, "ipc://%s", socket);
    if (!link_alive(endpoint))
        return err_set(e, ERR_ENVIRONMENT,
                       "the coordinator here has died (nobody listens on %s); engram up starts "
                       "it again, nothing is lost",
                       socket);
    o->endpoint = endpoint;
    return OK;
}

enum code cli_link(struct link **out, struct err *e)
{
    struct link_options o = {.timeout_ms = 5000, .tries = 2};
    enum code rc = OK;
    if (!connection) {
        rc = connect_where(&o, e);
        if (!rc && !o.endpoint) rc = open_local(&o, e);
        if (!rc) rc = link_open(&connection, &o, e);
        memset(&o.keys, 0, sizeof o.keys);
    }
    *out = connection;
    return rc;
}

enum code cli_ask(struct message *ask, struct arena *a, struct message *answer, struct err *e)
{
    struct link *l;
    enum code rc = cli_link(&l, e);
    return rc ? rc : link_call(l, ask, a, answer, e);
}

void cli_close(void)
{
    cli_objects_release();
    link_close(connection);
    connection = NULL;
}

struct hash cli_key(void)
{
    struct hash h = {{0}};
    while (getrandom(h.v, sizeof h.v, 0) != sizeof h.v) continue;
    return h;
}

enum code cli_lineage(const char *name, struct arena *a, struct lineage_row *out, struct err *e)
{
    struct message ask = {.kind = MSG_lineage_list, .lineage_list = {.name = ""}}, answer;
    enum code rc = cli_ask(&ask, a, &answer, e);
    if (rc) return rc;
    const struct lineage_rows *rows = &answer.lineages.rows;
    const char **names = arena_alloc(a, (rows->n + 1) * sizeof *names);
    for (size_t i = 0; i < rows->n; i++) {
        if (!strcmp(rows->v[i].name, name)) {
            *out = rows->v[i];
            return OK;
        }
        if (names) names[i] = rows->v[i].name;
    }
    const char *near = names ? text_nearest(name, names, rows->n) : NULL;
    if (near) return err_set(e, ERR_NOT_FOUND, "no lineage %s; did you mean %s?", name, near);
    return err_set(e, ERR_NOT_FOUND,
                   "no lineage %s; make it with: engram lineage create %s --base PATH", name, name);
}

enum code cli_commits(const char *lineage, struct arena *a, struct commit_rows *out, struct err *e)
{
    struct message ask = {.kind = MSG_log, .log = {.lineage = lineage}}, answer;
    *out = (struct commit_rows){0};
    for (;;) {
        enum code rc = cli_ask(&ask, a, &answer, e);
        const struct commit_rows *page = &answer.commits.rows;
        if (rc) return rc;
        if (!page->n) return OK;
        struct commit_row *all = arena_alloc(a, (out->n + page->n) * sizeof *all);
        if (!all) return err_set(e, ERR_NOMEM, "out of memory for the commits of %s", lineage);
        if (out->n) memcpy(all, out->v, out->n * sizeof *all);
        memcpy(all + out->n, page->v, page->n * sizeof *all);
        *out = (struct commit_rows){out->n + page->n, all};
        if (out->n >= answer.commits.total) return OK;
        ask.log.after = out->n;
    }
}

size_t cli_n_images(const struct commit_row *r)
{
    return r->n_images ? (size_t)r->n_images : r->images.n;
}

enum code cli_commit_row(const char *lineage, const char *name, struct arena *a,
                         struct commit_row *out, struct err *e)
{
    struct commit_rows rows;
    char text[HASH_TEXT];
    enum code rc = cli_commits(lineage, a, &rows, e);
    size_t n = strlen(name), found = 0;
    for (size_t i = 0; !rc && i < rows.n; i++) {
        int by_hash = n >= 4 && !strncmp(hash_text(rows.v[i].commit, text), name, n);
        int by_number = n < 4 && strtoull(name, NULL, 10) == rows.v[i].number;
        if (!by_hash && !by_number && strcmp(rows.v[i].token, name)) continue;
        *out = rows.v[i];
        found++;
    }
    if (!rc && found == 1) return OK;
    if (rc) return rc;
    if (found)
        return err_set(e, ERR_USAGE, "commit %s of %s is ambiguous; give more digits", name,
                       lineage);
    return err_set(e, ERR_NOT_FOUND, "no commit %s in %s; engram log %s lists them", name, lineage,
                   lineage);
}

enum code cli_commit(const char *lineage, const char *name, struct arena *a, struct hash *out,
                     struct err *e)
{
    struct commit_row row = {0};
    enum code rc = name && *name ? cli_commit_row(lineage, name, a, &row, e) : OK;
    *out = row.commit;
    return rc;
}

enum code cli_commit_or_base(const char *lineage, const char *name, struct arena *a,
                             struct hash *out, struct err *e)
{
    if (!name || strcmp(name, "0") != 0) return cli_commit(lineage, name, a, out, e);
    *out = proto_base_alone();
    return OK;
}

static enum code add_rows(struct job_rows *to, const struct job_rows *page, size_t *room,
                          struct arena *a, struct err *e)
{
    if (to->n + page->n > *room) {
        *room = 2 * *room + page->n;
        struct job_row *all = arena_alloc(a, *room * sizeof *all);
        if (!all) return err_set(e, ERR_NOMEM, "out of memory for jobs");
        if (to->n) memcpy(all, to->v, to->n * sizeof *all);
        to->v = all;
    }
    if (page->n) memcpy(to->v + to->n, page->v, page->n * sizeof *page->v);
    to->n += page->n;
    return OK;
}

enum code cli_jobs(const struct msg_queue *q, uint64_t limit, struct arena *a, struct job_rows *out,
                   uint64_t *total, struct err *e)
{
    struct message ask = {.kind = MSG_queue, .queue = *q}, answer;
    size_t room = 0;
    *out = (struct job_rows){0};
    if (total) *total = 0;
    for (int more = 1; more && out->n < limit;) {
        uint64_t left = limit - out->n;
        ask.queue.limit = left < PROTO_ROWS ? left : PROTO_ROWS;
        enum code rc = cli_ask(&ask, a, &answer, e);
        const struct job_rows *page = &answer.jobs.rows;
        if (!rc) rc = add_rows(out, page, &room, a, e);
        if (rc) return rc;
        more = page->n && answer.jobs.total > page->n;
        if (out->n) ask.queue.below = out->v[out->n - 1].job;
        /* Of one lineage nobody counts them: a page says only whether there are more. */
        if (total) *total = *q->lineage ? out->n + (size_t)more : answer.jobs.total;
    }
    return OK;
}

enum code cli_job(const char *text, uint64_t *out, struct err *e)
{
    char *end;
    const char *digits = strncmp(text, "job-", 4) ? text : text + 4;
    *out = strtoull(digits, &end, 10);
    if (end == digits || *end || !*out)
        return err_set(e, ERR_USAGE, "\"%s\" is no job; engram queue lists them", text);
    return OK;
}

enum code cli_priority(const char *text, uint64_t *out, struct err *e)
{
    *out = PRIORITY_NORMAL;
    if (!text || !proto_parse_priority(text, out, e)) return OK;
    return err_context(e, "--priority");
}

enum code cli_settings(const char *config, const struct words *set, struct settings *out,
                       const char **json, struct arena *a, struct problems *p, struct err *e)
{
    size_t before = p->n;
    enum code rc = OK;
    settings_default(out);
    if (config) rc = settings_read(out, config, p, e);
    for (size_t i = 0; i < set->n; i++) {
        enum code one = settings_set(out, set->v[i], e);
        if (one) problems_add(p, one, "--set %s", e->text);
        if (one) rc = one;
    }
    enum code whole = settings_check(out, e);
    if (whole) problems_add(p, rc = whole, "%s", e->text);
    struct text t = {0};
    settings_write(out, &t);
    *json = text_ok(&t) ? arena_strdup(a, t.s) : NULL;
    text_fini(&t);
    if (!*json) return err_set(e, ERR_NOMEM, "out of memory for settings");
    return p->n > before ? rc : OK;
}

json_t *cli_hash_json(struct hash h)
{
    char text[HASH_TEXT];
    return hash_is_zero(h) ? json_null() : json_string(hash_text(h, text));
}

json_t *cli_job_json(const struct job_row *r)
{
    json_t *results = json_array();
    for (size_t i = 0; i < r->results.n; i++)
        json_array_append_new(results, cli_hash_json(r->results.v[i]));
    return json_pack(
        "{s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:I,s:I,s:I,s:I,s:o,s:o,s:s,s:b,s:I}",
        "job", (json_int_t)r->job, "kind", proto_job_kind(r->kind), "state",
        proto_job_state(r->state), "owner", r->owner, "lineage", r->lineage, "token", r->token,
        "class", r->class_word, "stage", r->stage ? proto_stage_kind(r->stage) : "", "step",
        (json_int_t)r->step, "of", (json_int_t)r->of, "eta_ms", (json_int_t)r->eta_ms, "line",
        r->line, "submitted_ms", (json_int_t)r->submitted_ms, "started_ms",
        (json_int_t)r->started_ms, "finished_ms", (json_int_t)r->finished_ms, "attempts",
        (json_int_t)r->attempts, "commit", cli_hash_json(r->commit), "results", results, "priority",
        proto_priority(r->priority), "held", (int)r->held, "starts_in_ms",
        (json_int_t)r->starts_in_ms);
}

const char *cli_size(uint64_t bytes, char out[32])
{
    double b = (double)bytes;
    if (b >= 1073741824.0) snprintf(out, 32, "%.1f GiB", b / 1073741824.0);
    else if (b >= 1048576.0) snprintf(out, 32, "%.1f MiB", b / 1048576.0);
    else snprintf(out, 32, "%.1f KiB", b / 1024.0);
    return out;
}

const char *cli_duration(double seconds, char out[32])
{
    long s = (long)(seconds + 0.5);
    if (seconds < 0) snprintf(out, 32, "?");
    else if (seconds < 9.95) snprintf(out, 32, "%.1f s", seconds);
    else if (s < 60) snprintf(out, 32, "%ld s", s);
    else if (s < 3600) snprintf(out, 32, "%ld min %02ld s", s / 60, s % 60);
    else snprintf(out, 32, "%ld h %02ld min", s / 3600, s % 3600 / 60);
    return out;
}
