/* supply.c - what a stage reads and what it makes, over the link. */
#include "workers/supply.h"

#include "base/cache.h"
#include "base/log.h"
#include "pipeline/evaluate/evaluate.h"
#include "proto/fetch.h"
#include "workers/rank_loop.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A try is shorter than the shortest lease: between two the group says that it lives. Nobody comes back to an older checkpoint. */
enum { TRY_MS = 2000, WAIT_MS = 500, OLD_S = 7 * 24 * 3600 };

#define EVALUATION_BYTES (UINT64_C(1) << 28)

struct supply {
    struct cache *cache; /* owned */
    struct link *link;   /* owned */
    struct group *group; /* borrowed, during a call: whose progress is said */
    const char *doing;
    int64_t since_ms; /* nobody has answered since */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- life ---- */

static void drop_old_checkpoints(const char *dir)
{
    char path[PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/checkpoints", dir);
    if (file_make_dirs(path, NULL)) return;
    DIR *d = opendir(path);

    for (struct dirent *f; d && (f = readdir(d));)
        if (f->d_name[0] != '.' && !fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
            S_ISREG(st.st_mode) && time(NULL) - st.st_mtime > OLD_S)
            unlinkat(dirfd(d), f->d_name, 0);
    if (d) closedir(d);
}

enum code supply_open(struct supply **out, const struct supply_options *o, struct err *e)
{
    struct link_options l = *o->link;
    struct supply *s = mem_alloc(1, sizeof *s);

    *out = NULL;
    if (!s) return err_set(e, ERR_NOMEM, "out of memory");
    l.timeout_ms = TRY_MS;
    l.tries = 1;
    l.hello = NULL; /* a caller like any other: objects belong to no group */
    enum code rc = cache_open(&s->cache, o->dir, o->cache_bytes, e);
    if (!rc) rc = link_open(&s->link, &l, e);
    memset(&l.keys, 0, sizeof l.keys);
    if (rc) {
        supply_close(s);
        return rc;
    }
    drop_old_checkpoints(o->dir);
    *out = s;
    return OK;
}

void supply_close(struct supply *s)
{
    if (!s) return;
    link_close(s->link);
    cache_close(s->cache);
    free(s);
}

void supply_rest(struct supply *s)
{
    struct err e;
    if (cache_release(s->cache, &e)) log_line(LOG_WARN, "cache: %s", e.text);
}

/* ---- one object ---- */

static int progress(void *self, uint64_t done, uint64_t of)
{
    struct supply *s = self;
    struct group *g = s->group;

    (void)of;
    if (done) s->since_ms = now_ms();
    return g->progress && g->progress(g->progress_self, 0, 0, s->doing);
}

static struct fetch fetch_of(struct supply *s)
{
    return (struct fetch){.link = s->link,
                          .store = cache_objects(s->cache),
                          .folder = cache_incoming(s->cache),
                          .progress = progress,
                          .self = s};
}

/* Nobody answers, or too much is asked at the moment: once more, for a while. */
static int again(struct supply *s, enum code rc)
{
    struct timespec t = {0, WAIT_MS * 1000000L};

    if (rc != ERR_ENVIRONMENT && rc != ERR_AGAIN) return 0;
    if (now_ms() - s->since_ms > SILENCE_MS) return 0;
    nanosleep(&t, NULL);
    return !progress(s, 0, 0);
}

static enum code bring(struct supply *s, const struct hash *h, size_t n, struct err *e)
{
    struct fetch f = fetch_of(s);
    enum code rc = OK;

    for (size_t i = 0; !rc && i < n; i++) {
        if (hash_is_zero(h[i]) || objects_has(f.store, h[i])) continue;
        s->since_ms = now_ms();
        do rc = fetch_get(&f, h[i], e);
        while (rc && again(s, rc));
    }
    return rc;
}

static enum code send(struct supply *s, const struct hash *h, size_t n, struct err *e)
{
    struct fetch f = fetch_of(s);
    char path[PATH_MAX];
    enum code rc = OK;

    for (size_t i = 0; !rc && i < n; i++) {
        if (hash_is_zero(h[i])) continue;
        s->since_ms = now_ms();
        objects_path(f.store, h[i], path, sizeof path);
        do rc = fetch_put(&f, path, h[i], e);
        while (rc && again(s, rc));
    }
    return rc;
}

/* ---- what a stage reads ---- */

struct wanted {
    struct hash *v; /* in the arena */
    size_t n;
};

static void want(struct wanted *w, struct hashes h)
{
    if (h.n) memcpy(w->v + w->n, h.v, h.n * sizeof *h.v);
    w->n += h.n;
}

/* Photos are read by train; evaluate has those of each concept in its message. */
static enum code list(const struct msg_stage *m, struct arena *a, struct wanted *w, struct err *e)
{
    struct message request = {0};
    size_t room = m->chain.n + m->prior.n + m->masks.n;
    enum code rc = proto_decode(m->request.data, m->request.n, a, &request, e);

    if (rc) return rc;
    int photos = m->stage == STAGE_TRAIN && request.kind == MSG_learn;
    if (photos) room += request.learn.images.n;
    for (size_t i = 0; i < m->concepts.n; i++) room += m->concepts.v[i].images.n;
    *w = (struct wanted){.v = arena_alloc(a, (room + 1) * sizeof *w->v)};
    if (!w->v) return err_set(e, ERR_NOMEM, "out of memory for %zu objects", room);
    want(w, m->chain);
    want(w, m->prior);
    want(w, m->masks);
    if (photos) want(w, request.learn.images);
    for (size_t i = 0; i < m->concepts.n; i++) want(w, m->concepts.v[i].images);
    return OK;
}

enum code supply_bring(struct supply *s, const struct msg_stage *m, struct group *g,
                       struct arena *a, struct err *e)
{
    struct wanted w;
    enum code rc = list(m, a, &w, e);

    s->group = g;
    s->doing = "fetching objects";
    if (!rc) rc = cache_hold(s->cache, w.v, w.n, e);
    return rc ? rc : bring(s, w.v, w.n, e);
}

/* ---- what it made ---- */

/* An evaluation names pictures that its ranks put beside it. */
static enum code send_pictures(struct supply *s, struct hash h, struct err *e)
{
    struct bytes b = {0};
    struct evaluation v = {0};
    enum code rc = objects_get(cache_objects(s->cache), h, EVALUATION_BYTES, &b, e);

    if (!rc) rc = evaluation_read((const char *)b.data, b.n, &v, e);
    for (int i = 0; !rc && i < v.n; i++) {
        const struct concept_score *c = &v.concept[i];
        rc = send(s, c->picture, (size_t)c->n_pictures, e);
        if (!rc) rc = send(s, c->before, (size_t)c->n_pictures, e);
    }
    evaluation_fini(&v);
    free(b.data);
    return rc;
}

enum code supply_send(struct supply *s, const struct msg_stage *m, const struct outcome *o,
                      struct group *g, struct err *e)
{
    enum code rc = OK;

    s->group = g;
    s->doing = "sending objects";
    for (size_t i = 0; !rc && m->stage == STAGE_EVALUATE && i < o->n; i++)
        rc = send_pictures(s, o->output[i], e);
    return rc ? rc : send(s, o->output, o->n, e);
}

/* ---- one folder for all ranks ---- */

enum code supply_is_shared(const char *dir, struct collectives *c, struct err *e)
{
    char path[PATH_MAX];
    long number[2] = {(long)getpid(), (long)time(NULL)};
    enum code rc = c->broadcast(c, number, sizeof number, 0, e);

    if (rc) return rc;
    snprintf(path, sizeof path, "%s/checkpoints/here-%ld-%ld", dir, number[0], number[1]);
    if (c->rank == 0) rc = file_write(path, "", 0, e);
    rc = collectives_agree(c, rc, e);
    if (!rc && !file_exists(path))
        rc = err_set(e, ERR_ENVIRONMENT,
                     "rank %d does not see the cache %s of rank 0: a group of several hosts needs "
                     "a folder that they share",
                     c->rank, dir);
    rc = collectives_agree(c, rc, e);
    if (c->rank == 0) unlink(path);
    return rc;
}
