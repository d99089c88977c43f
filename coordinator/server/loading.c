/* loading.c - store and core: opened, loaded again when memory and disk may disagree, left alone while the disk takes nothing. */
#include "coordinator/server/server.h"

#include "base/log.h"
#include "base/objects.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    RETRY_MS = 1000,
    REST = 4 /* times as long as loading took: at most a fifth of the time goes into it */
};

/* ---- clock ---- */

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Wall time at the start, moved on by the clock that nobody sets: leases must not end because an administrator corrected
 * the time. CLOCK_BOOTTIME, so that a laptop's sleep counts. */
int64_t server_now(struct server *s)
{
    int64_t now = s->wall_ms + read_clock(CLOCK_BOOTTIME) - s->mono_ms;
    if (now > s->now_ms) s->now_ms = now;
    return s->now_ms;
}

/* ---- open, load, close ---- */

static enum code load(struct server *s, struct err *e)
{
    enum code rc;

    core_free(s->core);
    s->core = core_make(&s->settings);
    rc = s->core ? store_load(s->store, s->core, server_now(s), e)
                 : err_set(e, ERR_NOMEM, "out of memory");
    if (rc) {
        core_free(s->core);
        s->core = NULL;
    }
    return rc;
}

static void rest(struct server *s, int64_t ms)
{
    if (!s->resting)
        log_event(LOG_ERROR,
                  &(struct log_about){.event = "store_rests", .code = err_name(s->trouble.code)},
                  "%s: changes are refused until the disk takes them", s->trouble.text);
    s->resting = 1;
    s->rest_ms = s->now_ms + ms;
    s->retry_ms = s->now_ms + (ms > RETRY_MS ? ms : RETRY_MS);
}

static void name_user(struct server *s)
{
    const struct passwd *p = getpwuid(geteuid());
    if (p) snprintf(s->user, sizeof s->user, "%s", p->pw_name);
    else snprintf(s->user, sizeof s->user, "uid-%u", (unsigned)geteuid());
}

/* Of the core's hash tables. Without randomness a user could slow down the others; nothing else depends on it. */
static uint64_t secret(void)
{
    uint64_t n = 0;
    if (getrandom(&n, sizeof n, GRND_NONBLOCK) != sizeof n)
        n = (uint64_t)read_clock(CLOCK_REALTIME);
    return n;
}

enum code server_open(struct server *s, const char *home, struct err *e)
{
    char path[4200];
    enum code rc;

    s->home = home;
    s->wall_ms = read_clock(CLOCK_REALTIME);
    s->mono_ms = read_clock(CLOCK_BOOTTIME);
    name_user(s);
    snprintf(path, sizeof path, "%s/coordinator.db", home);
    s->settings.seed = secret();
    tally_begin(&s->tally, (double)s->wall_ms / 1000.0);
    s->rings = rings_make();
    s->pages = pages_make();
    s->bulk = bulk_make();
    s->forget = forget_make();
    s->badges = badges_make(s->settings.seed);
    if (!s->rings || !s->pages || !s->bulk || !s->forget || !s->badges)
        return err_set(e, ERR_NOMEM, "out of memory");
    if ((rc = store_open(&s->store, path, e)) || (rc = load(s, e))) return rc;
    if (store_probe(s->store, &s->trouble)) rest(s, 0);
    return OK;
}

void server_close(struct server *s)
{
    for (int i = 0; i < SOCKETS; i++) link_server_close(s->link[i]);
    core_free(s->core);
    store_close(s->store);
    rings_free(s->rings);
    pages_free(s->pages);
    bulk_free(s->bulk);
    forget_free(s->forget);
    badges_free(s->badges);
    objects_close(s->objects);
    memset(s, 0, sizeof *s);
}

/* Memory and disk may disagree: only the disk counts. */
void server_recover(struct server *s, const struct err *why)
{
    int64_t began = read_clock(CLOCK_BOOTTIME), took;
    enum code rc;

    log_event(LOG_ERROR, &(struct log_about){.event = "store_failed", .code = err_name(why->code)},
              "%s: refused and loaded again", why->text);
    s->tally.oldest = 0;
    s->trouble = *why;
    if ((rc = load(s, &s->trouble)))
        log_line(LOG_ERROR, "%s: everything is refused until it can be read", s->trouble.text);
    took = read_clock(CLOCK_BOOTTIME) - began;
    if (rc || why->code != ERR_NOMEM) rest(s, REST * took);
}

void server_try_again(struct server *s, int wanted)
{
    struct err e = {0};
    enum code rc;

    if (!s->resting || s->now_ms < (wanted ? s->rest_ms : s->retry_ms)) return;
    s->retry_ms = s->now_ms + RETRY_MS;
    rc = store_probe(s->store, &e);
    if (!s->core && load(s, &s->trouble) == OK)
        log_event(LOG_INFO, &(struct log_about){.event = "store_back"},
                  "the database can be read again");
    if (rc && s->core) s->trouble = e;
    if (rc || !s->core) return;
    s->resting = 0;
    log_event(LOG_INFO, &(struct log_about){.event = "store_writes"},
              "the database can be written again");
}
