/* forget.c - after `forget`: the photos and pictures of a job leave the folder of objects, unless another job names them, too.
 *
 * Objects carry no list of who names them, and few are ever forgotten; so the rows of all jobs are looked through once for
 * all that is to go, a few thousand in each turn. What a batch names meanwhile stays. Killed in between: the jobs are marked
 * in the database, their objects lie there until `forget` is said again or the home is swept.
 */
#include "coordinator/server/server.h"

#include "base/log.h"
#include "base/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS_A_TURN = 2000 };

struct doomed {
    struct hash hash;
    uint64_t job; /* that names it and is forgotten */
    int stays;
};

struct forget {
    struct doomed *v; /* owned, [n]; the first `looked_for` by hash: they are looked for now */
    size_t n, room, looked_for;
    uint64_t *jobs; /* owned: forgotten, not looked up yet */
    size_t n_jobs, jobs_room;
    struct store_place at; /* how far the rows have been looked through */
};

struct forget *forget_make(void)
{
    return mem_alloc(1, sizeof(struct forget));
}

void forget_free(struct forget *f)
{
    if (!f) return;
    free(f->v);
    free(f->jobs);
    free(f);
}

int forget_waits(const struct forget *f)
{
    return f->n > 0 || f->n_jobs > 0;
}

static void *grown(void *old, size_t *room, size_t n, size_t size)
{
    size_t want = *room ? 2 * *room : 64;
    void *v = n < *room ? old : mem_grow(old, *room, want, size);

    if (v && n >= *room) *room = want;
    return v;
}

void forget_job(struct server *s, uint64_t job)
{
    struct forget *f = s->forget;
    uint64_t *v = grown(f->jobs, &f->jobs_room, f->n_jobs, sizeof *v);

    if (!v) return; /* its objects stay; saying it again tries again */
    f->jobs = v;
    f->jobs[f->n_jobs++] = job;
}

/* ---- what is to go ---- */

static void doom(struct forget *f, uint64_t job, const struct hashes *hashes)
{
    for (size_t i = 0; i < hashes->n; i++) {
        struct doomed *v = grown(f->v, &f->room, f->n, sizeof *v);
        if (!v) return;
        f->v = v;
        f->v[f->n++] = (struct doomed){.hash = hashes->v[i], .job = job};
    }
}

static int by_hash(const void *a, const void *b)
{
    const struct doomed *x = a, *y = b;
    return memcmp(x->hash.v, y->hash.v, HASH_BYTES);
}

static void begin(struct server *s)
{
    struct forget *f = s->forget;
    struct arena a = {0};
    struct hashes pictures;
    struct message m;

    while (f->n_jobs) {
        uint64_t job = f->jobs[--f->n_jobs];
        if (store_request(s->store, job, 0, &a, &m, NULL, NULL) == OK && m.kind == MSG_learn)
            doom(f, job, &m.learn.images);
        if (store_outputs(s->store, job, STAGE_SAMPLE, &a, &pictures, NULL, NULL) == OK)
            doom(f, job, &pictures);
    }
    arena_fini(&a);
    if (f->n) qsort(f->v, f->n, sizeof *f->v, by_hash);
    f->looked_for = f->n;
    f->at = (struct store_place){0};
}

/* ---- who else names it ---- */

static void keep(struct forget *f, uint64_t job, struct hash h)
{
    size_t low = 0, high = f->looked_for;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (memcmp(f->v[mid].hash.v, h.v, HASH_BYTES) < 0) low = mid + 1;
        else high = mid;
    }
    for (; low < f->looked_for && hash_equal(f->v[low].hash, h); low++)
        if (f->v[low].job != job) f->v[low].stays = 1;
}

static void named(void *self, uint64_t job, const uint8_t *hashes, size_t n)
{
    struct hash h;

    for (size_t i = 0; i < n; i++) {
        memcpy(h.v, hashes + i * HASH_BYTES, HASH_BYTES);
        keep(self, job, h);
    }
}

void forget_saw(struct server *s, const struct core_actions *a)
{
    struct forget *f = s->forget;

    for (size_t i = 0; f->looked_for && i < a->n_puts; i++) {
        const struct core_put *p = &a->puts[i];
        const struct message *m = p->type == PUT_JOB && p->fresh             ? p->message
                                  : p->type == PUT_STAGE && p->stage->result ? p->stage->result
                                                                             : NULL;
        if (m && m->kind == MSG_learn)
            named(f, p->job->id, (const uint8_t *)m->learn.images.v, m->learn.images.n);
        if (m && m->kind == MSG_result)
            named(f, p->job->id, (const uint8_t *)m->result.outputs.v, m->result.outputs.n);
    }
}

/* ---- turns ---- */

static void remove_objects(struct server *s)
{
    struct forget *f = s->forget;
    char root[4200], path[4400];
    struct objects *o;
    struct err e;
    size_t gone = 0;

    snprintf(root, sizeof root, "%s/objects", s->home);
    if (objects_open(&o, root, &e)) log_line(LOG_WARN, "forget: %s", e.text);
    else {
        for (size_t i = 0; i < f->looked_for; i++) {
            if (f->v[i].stays) continue;
            objects_path(o, f->v[i].hash, path, sizeof path);
            gone += unlink(path) == 0;
        }
        objects_close(o);
        log_line(LOG_INFO, "forget: %zu objects removed", gone);
    }
    f->n = f->looked_for = 0;
}

void forget_turn(struct server *s)
{
    struct forget *f = s->forget;
    struct err e;
    int more;

    if (!f->n && f->n_jobs) begin(s);
    if (!f->n) return;
    if (store_named(s->store, &f->at, ROWS_A_TURN, named, f, &more, &e)) {
        log_line(LOG_WARN, "forget: %s", e.text);
        f->n = f->looked_for = 0;
    } else if (!more) remove_objects(s);
}
