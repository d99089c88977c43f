/* object.c - what a door says about bytes of objects: object_get out of the home's objects, object_put into them. Whether a user may have
 * an object the coordinator has looked at before; what an evaluation names inside is looked at here.
 *
 * A few uploads are held open, each with the hash of what has come; whoever is pushed out goes on later from what lies in the folder,
 * which is read again in steps while the sender hears `again`. Repeating any request is harmless: bytes that are there already
 * are not looked at, and the answer says how many there are.
 */
#include "coordinator/door/door.h"
#include "coordinator/door/sent.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* EVALUATION: bytes of one, at most. */
enum { EVALUATION = 16 << 20, OPEN = 64, IDLE_MS = 60 * 1000, SWEEP_MS = 3600 * 1000 };

/* Left free on the disk: what the coordinator needs to go on writing for a while. */
#define RESERVE_BYTES (UINT64_C(128) << 20)

struct coming {
    struct arrival *arrival; /* owned; NULL: this place is free */
    struct hash key, hash;
    int64_t used_ms;
};

struct door_objects {
    struct door_objects_settings settings; /* home: not kept */
    struct objects *store;                 /* owned */
    char incoming[PATH_MAX - 200];
    struct coming coming[OPEN];
    int64_t swept_ms;
};

/* What the system says names paths, which are nobody's business: the log has them. */
static enum code hide(enum code rc, struct err *e)
{
    if (rc != ERR_FULL && rc != ERR_IO && rc != ERR_DENIED && rc != ERR_ENVIRONMENT) return rc;
    log_line(LOG_WARN, "objects: %s", e->text);
    return err_set(e, rc, "the coordinator's disk %s",
                   rc == ERR_FULL ? "is full" : "refuses; its log says why");
}

/* ---- life ---- */

static void sweep(const struct door_objects *o)
{
    char path[PATH_MAX];
    DIR *d = opendir(o->incoming);

    if (!d) return;
    for (struct dirent *f; (f = readdir(d));) {
        if (f->d_name[0] == '.') continue;
        if (snprintf(path, sizeof path, "%s/%s", o->incoming, f->d_name) >= (int)sizeof path)
            continue;
        arrival_sweep(path, NULL);
        sent_sweep(path);
        rmdir(path); /* only if nothing is left */
    }
    closedir(d);
}

enum code door_objects_open(struct door_objects **out, const struct door_objects_settings *s,
                            struct err *e)
{
    char root[PATH_MAX];
    struct door_objects *o = mem_alloc(1, sizeof *o);
    enum code rc = OK;

    *out = NULL;
    if (!o) return err_set(e, ERR_NOMEM, "out of memory");
    o->settings = *s;
    o->settings.home = NULL;
    int n = snprintf(o->incoming, sizeof o->incoming, "%s/incoming/%s", s->home,
                     s->for_workers ? "workers" : "users");
    if (n >= (int)sizeof o->incoming || n + 8 >= (int)sizeof root)
        rc = err_set(e, ERR_INPUT, "the path of the home is too long: %s", s->home);
    snprintf(root, sizeof root, "%s/objects", s->home);
    if (!rc) rc = objects_open(&o->store, root, e);
    if (!rc) rc = file_make_dirs(o->incoming, e);
    if (rc) {
        door_objects_close(o);
        return rc;
    }
    sweep(o);
    *out = o;
    return OK;
}

void door_objects_close(struct door_objects *o)
{
    if (!o) return;
    for (size_t i = 0; i < OPEN; i++) arrival_close(o->coming[i].arrival);
    objects_close(o->store);
    free(o);
}

static void leave(struct coming *c)
{
    arrival_close(c->arrival);
    *c = (struct coming){0};
}

void door_objects_turn(struct door_objects *o, int64_t now_ms)
{
    if (!o->swept_ms) o->swept_ms = now_ms;
    if (now_ms - o->swept_ms > SWEEP_MS) {
        sweep(o);
        o->swept_ms = now_ms;
    }
    for (size_t i = 0; i < OPEN; i++)
        if (o->coming[i].arrival && now_ms - o->coming[i].used_ms > IDLE_MS) leave(&o->coming[i]);
}

/* ---- object_get ---- */

static enum code read_part(int fd, uint64_t offset, uint8_t *to, size_t n, struct err *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, to + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_errno(e, "read an object");
        if (got == 0) return err_set(e, ERR_IO, "an object became shorter while it was read");
        done += (size_t)got;
    }
    return OK;
}

static enum code open_object(struct door_objects *o, struct hash h, int *fd, uint64_t *size,
                             struct err *e)
{
    char path[PATH_MAX], name[HASH_TEXT];
    struct stat st;

    objects_path(o->store, h, path, sizeof path);
    *size = 0;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "there is no object %.12s here", hash_text(h, name));
    if (*fd < 0 || fstat(*fd, &st) || !S_ISREG(st.st_mode)) return err_errno(e, "open an object");
    *size = (uint64_t)st.st_size;
    return OK;
}

/* An evaluation is JSON, in which a hash stands as 64 digits. */
static enum code named_within(struct door_objects *o, struct hash within, struct hash h,
                              struct arena *a, struct err *e)
{
    char text[HASH_TEXT];
    uint8_t *data = NULL;
    uint64_t size;
    int fd, found = 0;
    enum code rc = open_object(o, within, &fd, &size, e);

    if (!rc && size <= EVALUATION && !(data = arena_alloc(a, (size_t)size + 1)))
        rc = err_set(e, ERR_NOMEM, "the door has no memory at the moment");
    if (data && !(rc = read_part(fd, 0, data, (size_t)size, e)))
        found = memmem(data, (size_t)size, hash_text(h, text), 2 * HASH_BYTES) != NULL;
    if (fd >= 0) close(fd);
    return rc || found ? rc
                       : err_set(e, ERR_NOT_FOUND, "this evaluation does not name object %.12s",
                                 hash_text(h, text));
}

static enum code get(struct door_objects *o, const struct msg_object_get *m, struct arena *a,
                     struct msg_object_part *out, struct err *e)
{
    uint64_t size;
    int fd;
    enum code rc = hash_is_zero(m->within) ? OK : named_within(o, m->within, m->hash, a, e);

    if (rc) return hide(rc, e);
    rc = open_object(o, m->hash, &fd, &size, e);
    uint64_t left = m->offset < size ? size - m->offset : 0;
    size_t n = (size_t)(left < m->length ? left : m->length);
    uint8_t *data = arena_alloc(a, n + 1);
    if (!rc && !data) rc = err_set(e, ERR_NOMEM, "the door has no memory at the moment");
    if (!rc) rc = read_part(fd, m->offset, data, n, e);
    if (fd >= 0) close(fd);
    *out = (struct msg_object_part){m->hash, size, m->offset, {data, rc ? 0 : n}};
    return rc ? hide(rc, e) : OK;
}

/* ---- object_put ---- */

static struct coming *find(struct door_objects *o, struct hash key, struct hash hash)
{
    for (size_t i = 0; i < OPEN; i++) {
        struct coming *c = &o->coming[i];
        if (c->arrival && hash_equal(c->key, key) && hash_equal(c->hash, hash)) return c;
    }
    return NULL;
}

static struct coming *place(struct door_objects *o)
{
    struct coming *oldest = &o->coming[0];

    for (size_t i = 0; i < OPEN; i++) {
        if (!o->coming[i].arrival) return &o->coming[i];
        if (o->coming[i].used_ms < oldest->used_ms) oldest = &o->coming[i];
    }
    leave(oldest);
    return oldest;
}

/* May this key begin, or go on with, something that is not whole? */
static enum code has_room(const struct door_objects *o, const char *folder, uint64_t size,
                          struct err *e)
{
    struct statvfs disk;
    uint64_t bytes;
    size_t n;

    arrival_count(folder, &n, &bytes);
    if (n > o->settings.most_waiting || bytes > o->settings.most_waiting_bytes)
        return err_set(e, ERR_FULL,
                       "%zu objects of this key have come in part: finish those, or wait a day", n);
    if (!statvfs(o->incoming, &disk) && disk.f_bavail * disk.f_frsize < size + RESERVE_BYTES)
        return err_set(e, ERR_FULL, "the coordinator's disk has no room for %llu bytes more",
                       (unsigned long long)size);
    return OK;
}

static enum code begin(struct door_objects *o, struct hash key, const struct msg_object_put *m,
                       int64_t now_ms, struct coming **out, struct err *e)
{
    char folder[PATH_MAX], name[HASH_TEXT];
    struct arrival *arrival;
    enum code rc;

    snprintf(folder, sizeof folder, "%s/%s", o->incoming, hash_text(key, name));
    if ((rc = has_room(o, folder, m->size, e))) return rc;
    if ((rc = arrival_open(&arrival, folder, m->hash, e))) return hide(rc, e);
    *out = place(o);
    **out = (struct coming){arrival, key, m->hash, now_ms};
    return OK;
}

/* It has as many bytes as it was said to have. */
static enum code end(struct door_objects *o, struct coming *c, uint64_t *have, struct err *e)
{
    struct hash key = c->key, h = c->hash;

    *have = arrival_have(c->arrival);
    enum code rc = arrival_end(&c->arrival, o->store, e);

    leave(c);
    if (rc) return hide(rc, e);
    if (!o->settings.for_workers) sent_note(o->incoming, key, h);
    return OK;
}

static enum code put(struct door_objects *o, struct hash key, const struct msg_object_put *m,
                     int64_t now_ms, uint64_t *have, struct err *e)
{
    struct coming *c = find(o, key, m->hash);
    enum code rc = OK;

    if (m->size > o->settings.most_bytes || m->offset > m->size || m->data.n > m->size - m->offset)
        return err_set(e, ERR_INPUT, "an object has at most %llu bytes, and its parts lie in it",
                       (unsigned long long)o->settings.most_bytes);
    /* A user who only has the hash, or the same file, does not learn that somebody else has sent it: he sends all of it. */
    if (!c && o->settings.for_workers && objects_has(o->store, m->hash)) {
        *have = m->size;
        rc = objects_keep(o->store, m->hash, e);
        return rc ? hide(rc, e) : OK;
    }
    if (!c && (rc = begin(o, key, m, now_ms, &c, e))) return rc;
    c->used_ms = now_ms;
    if (arrival_have(c->arrival) > m->size) { /* it was said to be longer */
        arrival_drop(c->arrival);
        *c = (struct coming){0};
        return err_set(e, ERR_AGAIN, "what came earlier was longer: begin again");
    }
    if ((rc = arrival_catch_up(c->arrival, e))) return hide(rc, e);
    if (m->data.n && m->offset == arrival_have(c->arrival))
        rc = arrival_add(c->arrival, m->data.data, m->data.n, e);
    *have = arrival_have(c->arrival);
    if (rc) return hide(rc, e);
    return *have < m->size ? OK : end(o, c, have, e);
}

/* ---- */

void door_object(struct door_objects *o, struct hash key, const struct message *ask, int64_t now_ms,
                 struct arena *a, struct message *answer)
{
    struct err e = {0};
    uint64_t have = 0;
    enum code rc;

    *answer = (struct message){0};
    if (ask->kind == MSG_object_get) {
        answer->kind = MSG_object_part;
        rc = get(o, &ask->object_get, a, &answer->object_part, &e);
    } else {
        rc = put(o, key, &ask->object_put, now_ms, &have, &e);
        answer->kind = MSG_object_got;
        answer->object_got = (struct msg_object_got){ask->object_put.hash, have};
    }
    if (!rc) return;
    proto_line(e.text);
    const char *line = arena_strdup(a, e.text);
    *answer = (struct message){.kind = MSG_refused, .refused = {(uint64_t)rc, line ? line : ""}};
}

enum code door_objects_sent(const struct door_objects *o, struct hash key, const struct message *m,
                            struct arena *a, struct err *e)
{
    return sent_all(o->incoming, key, m, a, e);
}
