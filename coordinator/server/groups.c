#include "coordinator/server/groups.h"

#include "base/file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOK_MS = 500 }; /* the groups are walked so often; they come and go in seconds */

/* ---- options ---- */

enum { GROUPS_MOST = 128, IDLE_MOST = 100000 };

static enum code number(int64_t *into, const char *text, int64_t most, struct err *e)
{
    char *end;
    long long n = strtoll(text, &end, 10);

    *into = n;
    return *text && !*end && n >= 0 && n <= most
               ? OK
               : err_set(e, ERR_USAGE, "`%s`: expected a whole number from 0 to %lld", text,
                         (long long)most);
}

enum code groups_option(struct group_options *o, int which, const char *value, struct err *e)
{
    switch (which) {
    case GROUP_SLURM: o->slurm = 1; return OK;
    case GROUP_PRINT: o->slurm = o->print = 1; return OK;
    case GROUP_SITE: o->site_file = value; return OK;
    case GROUP_LEAST: return number(&o->min_groups, value, GROUPS_MOST, e);
    case GROUP_MOST: return number(&o->max_groups, value, GROUPS_MOST, e);
    case GROUP_IDLE: return number(&o->idle_minutes, value, IDLE_MOST, e);
    case GROUP_SBATCH:
        if (o->n_sbatch == SITE_WORDS)
            return err_set(e, ERR_USAGE, "--sbatch: more than %d words", SITE_WORDS);
        o->sbatch[o->n_sbatch++] = value;
        return OK;
    default: return err_set(e, ERR_USAGE, "see engram-coordinator --help");
    }
}

/* ---- open and close ---- */

/* The site's file, and the command line over it. */
static enum code read_site(struct site *s, const struct group_options *o, const char *home,
                           struct err *e)
{
    char path[PATH_MAX];
    enum code rc = site_defaults(s, e);

    snprintf(path, sizeof path, "%s/site.json", home);
    if (!rc && o->site_file) rc = site_read(s, o->site_file, e);
    else if (!rc && file_exists(path)) rc = site_read(s, path, e);
    for (int i = 0; !rc && i < o->n_sbatch; i++) rc = site_add_sbatch(s, o->sbatch[i], e);
    if (o->min_groups >= 0) s->min_groups = o->min_groups;
    if (o->max_groups >= 0) s->max_groups = o->max_groups;
    else if (s->max_groups < s->min_groups && o->min_groups >= 0) s->max_groups = s->min_groups;
    if (o->idle_minutes >= 0) s->idle_minutes = o->idle_minutes;
    return rc ? rc : site_check(s, e);
}

enum code groups_open(struct groups *g, const struct group_options *o,
                      const struct launch_options *launch, struct err *e)
{
    struct launch_options here = *launch;
    enum code rc;

    *g = (struct groups){.table = o->slurm ? launcher_slurm() : launcher_mpirun()};
    if (o->slurm) {
        if ((rc = read_site(&g->site, o, launch->home, e))) return rc;
        here.site = &g->site;
        here.min_groups = (int)g->site.min_groups;
        here.max_groups = (int)g->site.max_groups;
        here.idle_ms = g->site.idle_minutes * 60000;
    }
    return g->table->open(&g->l, &here, e);
}

void groups_close(struct groups *g)
{
    if (g->l) g->table->close(g->l);
    free(g->seen);
    site_fini(&g->site);
    g->l = NULL;
    g->seen = NULL;
}

int groups_stop(struct groups *g, int64_t now_ms)
{
    if (!g->l) return 0;
    g->table->stop(g->l, now_ms);
    return g->table->running(g->l);
}

enum code groups_print(const struct group_options *o, const struct launch_options *launch,
                       struct err *e)
{
    struct site s = {0};
    struct arena a = {0};
    struct text script = {0}, command = {0};
    char worker[PATH_MAX] = "engram-worker";
    const char *argv[SITE_ARGV];
    struct site_call call = {.home = launch->home,
                             .endpoint = launch->endpoint,
                             .worker = worker,
                             .name = "engram-HOME-gN-NONCE",
                             .ranks = launch->ranks};
    enum code rc = read_site(&s, o, launch->home, e);

    if (!rc && !s.worker) rc = launch_find_worker(worker, sizeof worker, e);
    call.log = arena_printf(&a, "%s/group-N.log",
                            s.log ? s.log : arena_printf(&a, "%s/log", launch->home));
    call.script = arena_printf(&a, "%s/groups/worker.sbatch", launch->home);
    if (!rc && !(call.log && call.script)) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (!rc) rc = site_command(&s, &call, &a, argv, e);
    if (!rc) {
        site_script(&s, &script);
        site_quote(argv, &command);
        if (!text_ok(&script) || !text_ok(&command)) rc = err_set(e, ERR_NOMEM, "out of memory");
    }
    if (!rc)
        printf("%s\n# This script, submitted for each group with a name of its own:\n# %s",
               script.s, command.s);
    text_fini(&script);
    text_fini(&command);
    arena_fini(&a);
    site_fini(&s);
    return rc;
}

/* ---- what there is to do, and who is there ---- */

static void backlog(struct groups *g, const struct core *c)
{
    struct core_backlog now;

    core_backlog(c, &now);
    g->want.ready = (size_t)now.ready;
    g->want.leased = (size_t)now.leased;
}

static void look_at_groups(struct groups *g, const struct core *c)
{
    size_t n = core_n_groups(c);
    const struct core_group *known;
    uint32_t at = 0;

    if (n > g->seen_room) {
        struct launch_seen *grown = mem_grow(g->seen, g->seen_room, n, sizeof *grown);
        if (!grown) n = g->seen_room;
        else {
            g->seen = grown;
            g->seen_room = n;
        }
    }
    g->want.n_seen = 0;
    while (g->want.n_seen < n && (known = core_each_group(c, &at)))
        g->seen[g->want.n_seen++] = (struct launch_seen){.name = known->name,
                                                         .nonce = known->nonce,
                                                         .seen_ms = known->seen_ms,
                                                         .leased = known->lease != NULL};
    g->want.seen = g->seen;
}

void groups_turn(struct groups *g, struct server *s, int stopping)
{
    struct hash lost[LAUNCH_LOST];
    int n = 0;

    if (!g->l) return;
    g->want.n_seen = 0; /* names are borrowed from the core */
    if (s->core && s->now_ms - g->looked_ms >= LOOK_MS) {
        g->looked_ms = s->now_ms;
        look_at_groups(g, s->core);
        backlog(g, s->core);
    }
    g->want.stopping = stopping;
    g->table->poll(g->l, s->now_ms, &g->want, lost, &n);
    for (int i = 0; i < n; i++) server_group_lost(s, lost[i]);
}

/* ---- what the server asks ---- */

static const char *trouble(void *self)
{
    struct groups *g = self;
    return g->l ? g->table->trouble(g->l) : "";
}

static int knows(void *self, const char *name, struct hash nonce, int64_t now_ms)
{
    struct groups *g = self;
    return g->l ? g->table->knows(g->l, name, nonce, now_ms) : 1;
}

void groups_join(struct groups *g, struct server *s)
{
    s->launch_trouble = trouble;
    s->launch_waits = g->l && g->table->by_backlog;
    s->launch_knows = knows;
    s->launch_self = g;
}
