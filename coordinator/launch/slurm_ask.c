/* slurm_ask.c - what Slurm's three programs are asked, and what their answers change. At most one of each runs at a time. */
#include "coordinator/launch/slurm_state.h"

#include "base/file.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    LOOK_MS = 2000,   /* between two squeues while something moves */
    CALM_MS = 10000,  /* all groups run and are heard: what they say matters more */
    EMPTY_MS = 60000, /* no group: leftovers of an sbatch that outlived us */
    ASK_MS = 20000,   /* Slurm's own MessageTimeout is 10 s */
    SUBMIT_MS = 60000,
    REFUSED_MS = 10000,
    CANCEL_AGAIN_MS = 10000
};

/* ---- squeue ---- */

static void note_leftover(struct launcher *l, const struct squeue *q, int64_t now_ms)
{
    l->leftover[0] = '\0';
    for (size_t i = 0; i < q->n && !l->leftover[0] && now_ms >= l->leftover_ms; i++) {
        int promised = q->rows[i].state == SQUEUE_ENDING;
        for (size_t k = 0; k < l->n && !promised; k++)
            promised = !strcmp(l->groups[k]->intent.name, q->rows[i].name);
        if (!promised) snprintf(l->leftover, sizeof l->leftover, "%s", q->rows[i].name);
    }
}

static void read_look(struct launcher *l, int64_t now_ms)
{
    struct squeue q;
    struct err e;

    if (squeue_read(&q, l->look.out.s ? l->look.out.s : "", l->look.out.n, l->home, &e)) {
        l->look.state = ASK_FAILED;
        l->look.why = e;
        return;
    }
    l->looked_ms = l->look.begun_ms;
    l->knows_nothing = 0;
    for (size_t i = 0; i < l->n; i++)
        slurm_group_listed(l->groups[i], squeue_find(&q, l->groups[i]->intent.name), l->looked_ms);
    note_leftover(l, &q, now_ms);
    squeue_fini(&q);
}

/* Is it time that a look says of somebody whether they are gone or missing, and none since then has? It must not wait for the
 * next turn: the seconds until another group works begin here. Once for each. */
static int decides(const struct launcher *l, int64_t now_ms)
{
    for (size_t i = 0; i < l->n; i++) {
        int64_t at = slurm_group_decides_ms(l->groups[i]);
        if (at && l->look_ms < at && now_ms >= at) return 1;
    }
    return 0;
}

/* How long after the last look the next one is due. */
static int64_t pace(const struct launcher *l, int64_t now_ms)
{
    if (l->knows_nothing || !l->looked_ms || l->stop_ms) return LOOK_MS;
    for (size_t i = 0; i < l->n; i++) {
        const struct slurm_group *g = l->groups[i];
        if (g->state != SQUEUE_RUNNING || slurm_group_silent(g, now_ms) ||
            g->intent.state == INTENT_GIVEN_UP)
            return LOOK_MS;
    }
    return l->n ? CALM_MS : EMPTY_MS;
}

void slurm_look(struct launcher *l, int64_t now_ms)
{
    /* Of the caller's environment nothing may narrow the answer. A name without = is taken away. */
    static const char *const env[] = {"SQUEUE_ACCOUNT",  "SQUEUE_ALL",
                                      "SQUEUE_ARRAY",    "SQUEUE_FORMAT",
                                      "SQUEUE_FORMAT2",  "SQUEUE_LICENSES",
                                      "SQUEUE_NAMES",    "SQUEUE_PARTITION",
                                      "SQUEUE_PRIORITY", "SQUEUE_QOS",
                                      "SQUEUE_SORT",     "SQUEUE_STATES",
                                      "SQUEUE_USERS",    NULL};
    char user[32];
    const char *const argv[] = {"squeue", "--noheader", "--format=%j|%i|%T|%r",
                                "--user", user,         NULL};
    enum ask_state was = l->look.state, is = ask_look(&l->look, now_ms);

    if (was == ASK_ASKED && is == ASK_ANSWERED) read_look(l, now_ms);
    if (was == ASK_ASKED && l->look.state == ASK_FAILED) {
        if (!l->knows_nothing) {
            l->unknown_ms = now_ms;
            log_line(LOG_WARN, "squeue: %s; what it would have said is unknown", l->look.why.text);
        }
        l->knows_nothing = 1;
        l->unknown = l->look.why;
    }
    if (is == ASK_ASKED) return;
    if (now_ms - l->look_ms < pace(l, now_ms) && !decides(l, now_ms)) return;
    snprintf(user, sizeof user, "%u", (unsigned)geteuid());
    l->look_ms = now_ms;
    if (ask_start(&l->look, argv, env, now_ms, ASK_MS, &l->unknown)) l->knows_nothing = 1;
}

/* ---- sbatch ---- */

void slurm_read_submitted(struct launcher *l, int64_t now_ms)
{
    struct slurm_group *g = l->submitting;
    enum ask_state is = g ? ask_look(&l->submit, now_ms) : ASK_NONE;
    struct err e;

    if (!g || is == ASK_ASKED) return;
    l->submitting = NULL;
    g->in_flight = 0;
    g->known_ms = now_ms;
    if (l->refusal.text[0] && is == ASK_ANSWERED) l->fails = 0; /* those were refusals */
    l->refusal = l->submit.why;
    if (is == ASK_ANSWERED &&
        squeue_read_submitted(l->submit.out.s ? l->submit.out.s : "", l->submit.out.n,
                              g->intent.job, &l->refusal) == OK) {
        l->refusal.text[0] = '\0';
        log_event(LOG_INFO, &(struct log_about){.event = "group_started", .group = g->intent.name},
                  "%s is job %s", g->intent.name, g->intent.job);
        if (g->intent.state == INTENT_INTENDED) g->intent.state = INTENT_SUBMITTED;
        if (intent_write(l->folder, &g->intent, &e)) log_line(LOG_WARN, "%s", e.text);
    } else {
        /* It may have been taken all the same: squeue will say. */
        log_line(LOG_WARN, "sbatch for %s: %s", g->intent.name, l->refusal.text);
    }
}

static int free_number(const struct launcher *l)
{
    for (int number = 1;; number++) {
        size_t i = 0;
        while (i < l->n && l->groups[i]->intent.number != number) i++;
        if (i == l->n) return number;
    }
}

static enum code submit(struct launcher *l, struct slurm_group *g, int64_t now_ms, struct err *e)
{
    struct arena a = {0};
    const char *argv[SITE_ARGV];
    struct site_call c = {.home = l->o.home,
                          .endpoint = l->o.endpoint,
                          .worker = l->worker,
                          .name = g->intent.name,
                          .script = l->script,
                          .ranks = l->o.ranks};
    enum code rc;

    c.log = arena_printf(&a, "%s/group-%d.log", l->log, g->intent.number);
    rc = c.log ? site_command(l->site, &c, &a, argv, e) : err_set(e, ERR_NOMEM, "out of memory");
    if (!rc) rc = ask_start(&l->submit, argv, NULL, now_ms, SUBMIT_MS, e);
    arena_fini(&a);
    return rc;
}

/* The promise first, then Slurm. */
void slurm_begin(struct launcher *l, int64_t now_ms)
{
    struct intent i = {.number = free_number(l), .since_ms = now_ms};
    struct slurm_group *g;
    uint32_t nonce;
    enum code rc;

    if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce) return;
    squeue_name_make(i.name, l->home, i.number, nonce);
    if ((rc = intent_write(l->folder, &i, &l->refusal)) || !(g = slurm_add(l, &i))) {
        log_line(LOG_ERROR, "no group is started: %s", rc ? l->refusal.text : "out of memory");
        l->next_ms = now_ms + REFUSED_MS;
        return;
    }
    g->known_ms = now_ms;
    if (submit(l, g, now_ms, &l->refusal)) {
        log_line(LOG_ERROR, "%s: %s", g->intent.name, l->refusal.text);
        l->next_ms = now_ms + REFUSED_MS;
        slurm_drop(l, l->n - 1); /* nobody was asked */
        return;
    }
    g->in_flight = 1;
    l->submitting = g;
}

/* ---- scancel ---- */

/* One that ends may be on its way back: Slurm calls a job that it will start again COMPLETING, too, and scancel keeps it from
 * that. While we stop it is asked once, for nobody will be there to see it come back. */
static int is_due(const struct launcher *l, const struct slurm_group *g, int64_t now_ms)
{
    if (g->state == SQUEUE_ENDING) return l->stop_ms && !g->cancels;
    return now_ms >= g->cancel_ms && !(g->looked_ms && g->state == SQUEUE_ABSENT);
}

static const char *to_cancel(struct launcher *l, int64_t now_ms)
{
    for (size_t i = 0; i < l->n; i++) {
        struct slurm_group *g = l->groups[i];
        int at_work = g->leased && !slurm_group_silent(g, now_ms) && !l->stop_ms;
        if (g->intent.state != INTENT_GIVEN_UP || g->in_flight || at_work || !is_due(l, g, now_ms))
            continue;
        g->cancel_ms = now_ms + CANCEL_AGAIN_MS;
        g->cancels++;
        return g->intent.name;
    }
    if (!l->leftover[0]) return NULL;
    log_line(LOG_WARN, "%s has our name and nobody promised it: it is ended", l->leftover);
    l->leftover_ms = now_ms + LOOK_MS;
    return l->leftover;
}

void slurm_cancel(struct launcher *l, int64_t now_ms)
{
    static const char *const env[] = {"SCANCEL_ACCOUNT",     "SCANCEL_BATCH",
                                      "SCANCEL_CTLD",        "SCANCEL_CRON",
                                      "SCANCEL_FULL",        "SCANCEL_HURRY",
                                      "SCANCEL_INTERACTIVE", "SCANCEL_NAME",
                                      "SCANCEL_PARTITION",   "SCANCEL_QOS",
                                      "SCANCEL_STATE",       "SCANCEL_USER",
                                      "SCANCEL_WCKEY",       NULL};
    enum ask_state was = l->cancel.state;
    char name[SQUEUE_NAME], user[32];
    const char *const argv[] = {"scancel", "--user", user, "--name", name, NULL};
    const char *whom;

    if (was == ASK_ASKED && ask_look(&l->cancel, now_ms) == ASK_FAILED)
        log_line(LOG_WARN, "scancel: %s", l->cancel.why.text);
    if (l->cancel.state == ASK_ASKED || !(whom = to_cancel(l, now_ms))) return;
    snprintf(name, sizeof name, "%s", whom);
    snprintf(user, sizeof user, "%u", (unsigned)geteuid());
    l->leftover[0] = '\0';
    if (ask_start(&l->cancel, argv, env, now_ms, ASK_MS, &l->cancel.why))
        log_line(LOG_WARN, "scancel: %s", l->cancel.why.text);
}
