/* slurm.c - worker groups as Slurm jobs: few, long-lived, started by backlog, never one per stage.
 *
 *     intent (durable) -> sbatch -> squeue lists it -> it says hello -> idle for too long: `end` -> not listed, silent: gone
 *
 * At most one sbatch, one squeue and one scancel run at a time, as children with a time limit; a turn of the coordinator never
 * waits for one. One squeue asks for all groups at once, at most every two seconds, and only its success says anything.
 *
 * HOME/groups/ has an intent per group (intent.h) and worker.sbatch, the script. Names hold the home's id: eight hex digits that follow
 * from host and folder, so that two homes on one cluster never touch each other's groups, and a home that was deleted and made again
 * still finds what it had started.
 */
#include "coordinator/launch/slurm_state.h"

#include "base/file.h"
#include "base/log.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GENTLE_MS = 3000 }; /* from `end` to scancel when the coordinator stops */

/* ---- open ---- */

static uint32_t home_id(const char *home)
{
    char host[256] = "", line[PATH_MAX + 256];
    struct hash h;

    gethostname(host, sizeof host - 1);
    int n = snprintf(line, sizeof line, "%s %s", host, home);
    h = hash_bytes(line, (size_t)n);
    return (uint32_t)h.v[0] << 24 | (uint32_t)h.v[1] << 16 | (uint32_t)h.v[2] << 8 | h.v[3];
}

struct slurm_group *slurm_add(struct launcher *l, const struct intent *i)
{
    struct slurm_group *g = l->n < LAUNCH_GROUPS ? mem_alloc(1, sizeof *g) : NULL;

    if (!g) return NULL;
    g->intent = *i;
    return l->groups[l->n++] = g;
}

/* What an earlier coordinator promised. Whether Slurm has it shows at the first squeue. */
static enum code find_groups(struct launcher *l, struct err *e)
{
    struct intent *found = mem_alloc(LAUNCH_GROUPS, sizeof *found);
    size_t n = 0;
    enum code rc = found ? intent_list(l->folder, l->home, found, LAUNCH_GROUPS, &n, e)
                         : err_set(e, ERR_NOMEM, "out of memory");

    for (size_t i = 0; !rc && i < n; i++) {
        struct slurm_group *g = slurm_add(l, &found[i]);
        if (!g) rc = err_set(e, ERR_NOMEM, "out of memory");
        else
            log_event(LOG_INFO,
                      &(struct log_about){.event = "group_taken_over", .group = g->intent.name},
                      "%s is there from before; squeue will say what became of it", g->intent.name);
    }
    free(found);
    return rc;
}

static enum code write_script(struct launcher *l, struct err *e)
{
    struct text t = {0};
    enum code rc;

    site_script(l->site, &t);
    rc = text_ok(&t) ? file_write(l->script, t.s, t.n, e) : err_set(e, ERR_NOMEM, "out of memory");
    text_fini(&t);
    return rc;
}

/* While we stop: it may still be there, or come back, as far as a look since then says. */
static int is_there(const struct launcher *l, const struct slurm_group *g)
{
    int fresh = g->looked_ms > l->stop_ms && g->looked_ms;
    if (!fresh || g->in_flight) return 1;
    return g->state == SQUEUE_ENDING ? !g->cancels : g->state != SQUEUE_ABSENT;
}

static void slurm_close(struct launcher *l)
{
    if (!l) return;
    for (size_t i = 0; i < l->n; i++) {
        const struct slurm_group *g = l->groups[i];
        /* Slurm is at it; if it comes back all the same, its name says whose it is. */
        if (g->intent.state == INTENT_GIVEN_UP && !is_there(l, g))
            intent_remove(l->folder, &g->intent);
        free(l->groups[i]);
    }
    ask_fini(&l->look);
    ask_fini(&l->submit);
    ask_fini(&l->cancel);
    arena_fini(&l->strings);
    free(l);
}

static enum code copy_options(struct launcher *l, const struct launch_options *o, struct err *e)
{
    char worker[PATH_MAX];
    enum code rc;

    if (!o->site->worker && (rc = launch_find_worker(worker, sizeof worker, e))) return rc;
    l->site = o->site;
    l->home = home_id(o->home);
    l->o = *o;
    l->o.home = arena_strdup(&l->strings, o->home);
    l->o.endpoint = arena_strdup(&l->strings, o->endpoint);
    l->worker = arena_strdup(&l->strings, o->site->worker ? o->site->worker : worker);
    l->folder = arena_printf(&l->strings, "%s/groups", o->home);
    l->script = arena_printf(&l->strings, "%s/groups/worker.sbatch", o->home);
    l->log = o->site->log ? arena_strdup(&l->strings, o->site->log)
                          : arena_printf(&l->strings, "%s/log", o->home);
    return l->o.home && l->o.endpoint && l->worker && l->folder && l->script && l->log
               ? OK
               : err_set(e, ERR_NOMEM, "out of memory");
}

static enum code slurm_open(struct launcher **out, const struct launch_options *o, struct err *e)
{
    static const char *const programs[] = {"sbatch", "squeue", "scancel"};
    struct launcher *l;
    enum code rc = OK;

    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (!process_program(programs[i]))
            return err_set(e, ERR_ENVIRONMENT,
                           "%s is not on PATH: is this a host that may submit to Slurm?",
                           programs[i]);
    if (!(l = mem_alloc(1, sizeof *l))) return err_set(e, ERR_NOMEM, "out of memory");
    if ((rc = copy_options(l, o, e)) || (rc = file_make_dirs(l->folder, e))) goto close;
    file_sweep(l->folder, NULL);
    if ((rc = write_script(l, e)) || (rc = find_groups(l, e))) goto close;
    *out = l;
    return OK;
close:
    slurm_close(l);
    return rc;
}

/* ---- giving up ---- */

void slurm_lose(struct launcher *l, struct hash nonce)
{
    if (l->n_lost < (int)(sizeof l->lost / sizeof *l->lost)) l->lost[l->n_lost++] = nonce;
}

void slurm_give_up(struct launcher *l, struct slurm_group *g, int64_t cancel_ms, const char *why)
{
    struct err e;

    if (g->intent.state == INTENT_GIVEN_UP) {
        if (!g->cancels && cancel_ms < g->cancel_ms) g->cancel_ms = cancel_ms;
        return;
    }
    log_event(LOG_INFO, &(struct log_about){.event = "group_given_up", .group = g->intent.name},
              "%s is given up: %s", g->intent.name, why);
    g->intent.state = INTENT_GIVEN_UP;
    g->cancel_ms = cancel_ms;
    if (intent_write(l->folder, &g->intent, &e)) log_line(LOG_WARN, "%s", e.text);
}

void slurm_drop(struct launcher *l, size_t i)
{
    struct slurm_group *g = l->groups[i];

    if (g->heard) slurm_lose(l, g->nonce);
    intent_remove(l->folder, &g->intent);
    free(g);
    l->groups[i] = l->groups[--l->n];
}

/* ---- the table ---- */

static void slurm_poll(struct launcher *l, int64_t now_ms, const struct launch_want *want,
                       struct hash lost[LAUNCH_LOST], int *n_lost)
{
    for (size_t i = 0; i < l->n; i++)
        if (!l->groups[i]->known_ms) l->groups[i]->known_ms = now_ms; /* found at open */
    slurm_hear(l, want, now_ms);
    slurm_read_submitted(l, now_ms);
    slurm_look(l, now_ms);
    slurm_adjust(l, want, now_ms);
    slurm_cancel(l, now_ms);
    slurm_say_trouble(l, now_ms);
    for (*n_lost = 0; *n_lost < LAUNCH_LOST && l->n_lost; (*n_lost)++)
        lost[*n_lost] = l->lost[--l->n_lost];
}

static struct slurm_group *named(struct launcher *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->groups[i]->intent.name, name)) return l->groups[i];
    return NULL;
}

/* Asks for a stage: refused if it is an earlier start of a name, or one that was given up. */
static int may_go_on(const struct launcher *l, struct hash nonce)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct slurm_group *g = l->groups[i];
        if (slurm_group_was(g, nonce)) return 0;
        if (slurm_group_is_now(g, nonce)) return g->intent.state != INTENT_GIVEN_UP;
    }
    return 1;
}

static int slurm_knows(struct launcher *l, const char *name, struct hash nonce, int64_t now_ms)
{
    struct slurm_group *g;
    struct hash old;
    uint32_t home;
    int number, wanted_here, superseded;

    if (!name) return may_go_on(l, nonce);
    if (!squeue_name_read(name, strlen(name), &home, &number)) return 1; /* started by hand */
    if (home != l->home || !(g = named(l, name))) return 0;
    wanted_here = slurm_group_hello(g, nonce, now_ms, &old, &superseded);
    if (superseded) {
        log_line(LOG_WARN, "%s has started again; its earlier start is not heard any more", name);
        slurm_lose(l, old);
    }
    return wanted_here;
}

static void slurm_stop(struct launcher *l, int64_t now_ms)
{
    if (!l->stop_ms) l->stop_ms = now_ms;
    for (size_t i = 0; i < l->n; i++)
        slurm_give_up(l, l->groups[i], l->groups[i]->heard ? l->stop_ms + GENTLE_MS : now_ms,
                      "the coordinator stops");
}

static int slurm_running(const struct launcher *l)
{
    int n = l->cancel.state == ASK_ASKED; /* its answer is the end of it */

    for (size_t i = 0; i < l->n; i++) n += is_there(l, l->groups[i]);
    return n;
}

static const char *slurm_trouble(const struct launcher *l)
{
    return l->trouble;
}

const struct launcher_table *launcher_slurm(void)
{
    static const struct launcher_table table = {
        .name = "slurm",
        .by_backlog = 1,
        .open = slurm_open,
        .poll = slurm_poll,
        .knows = slurm_knows,
        .stop = slurm_stop,
        .running = slurm_running,
        .trouble = slurm_trouble,
        .close = slurm_close,
    };
    return &table;
}
