/* fetch.c - part after part, until the other side has as many bytes as this one.
 *
 * Both directions keep no state but what lies on the disk of whoever receives: the receiver says (or knows) how much it has, the rest is
 * sent. So a part that is said twice, a receiver that has forgotten and one that has been helped by somebody else are all the same.
 */
#include "proto/fetch.h"
#include "base/arrival.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* PATIENCE: refusals `again` in a row, 0.25 s apart or more, before it is told. */
enum { PATIENCE = 240, WAIT_MS = 250, BEGINNINGS = 2 };

static int stopped(const struct fetch *f, uint64_t done, uint64_t of)
{
    return f->progress && f->progress(f->self, done, of);
}

static enum code stop(struct err *e)
{
    return err_set(e, ERR_CANCELLED, "stopped while objects were on their way");
}

static void wait_a_while(void)
{
    struct timespec t = {0, WAIT_MS * 1000000L};
    nanosleep(&t, NULL);
}

/* One request, patiently. */
static enum code call(struct fetch *f, struct message *ask, uint64_t done, uint64_t of,
                      struct arena *a, struct message *answer, struct err *e)
{
    enum code rc = ERR_AGAIN;

    for (int i = 0; rc == ERR_AGAIN && i < PATIENCE; i++) {
        if (i) wait_a_while();
        if (stopped(f, done, of)) return stop(e);
        rc = link_call(f->link, ask, a, answer, e);
    }
    return rc;
}

/* ---- get ---- */

static enum code check_part(const struct fetch *f, const struct message *m, struct hash h,
                            uint64_t have, struct err *e)
{
    const struct msg_object_part *p = &m->object_part;
    uint64_t most = f->most_bytes ? f->most_bytes : FETCH_MOST;
    char name[HASH_TEXT];

    hash_text(h, name);
    if (m->kind != MSG_object_part || !hash_equal(p->hash, h) || p->offset != have ||
        (have <= p->size && (p->data.n > p->size - have || (!p->data.n && have < p->size))))
        return err_set(e, ERR_PROTOCOL, "object %.12s: the answer is not its next part", name);
    if (p->size > most)
        return err_set(e, ERR_INPUT, "object %.12s has %llu bytes; at most %llu are taken", name,
                       (unsigned long long)p->size, (unsigned long long)most);
    return OK;
}

/* *size is known when it returns OK, and there is one part more, if one is missing. */
static enum code get_part(struct fetch *f, struct hash h, struct arrival *in, uint64_t *size,
                          struct err *e)
{
    uint64_t have = arrival_have(in);
    struct message ask = {.kind = MSG_object_get,
                          .object_get = {h, have, PROTO_PART, f->job, f->within}},
                   answer;
    struct arena a = {0};
    enum code rc = call(f, &ask, have, *size, &a, &answer, e);

    if (!rc) rc = check_part(f, &answer, h, have, e);
    if (!rc) *size = answer.object_part.size;
    if (!rc && have <= *size)
        rc = arrival_add(in, answer.object_part.data.data, answer.object_part.data.n, e);
    arena_fini(&a);
    return rc;
}

static enum code get_all(struct fetch *f, struct hash h, struct arrival *in, struct err *e)
{
    uint64_t size = 0;
    enum code rc;

    while ((rc = arrival_catch_up(in, e)) == ERR_AGAIN)
        if (stopped(f, 0, 0)) return stop(e);
    do {
        if (!rc) rc = get_part(f, h, in, &size, e);
    } while (!rc && arrival_have(in) < size);
    if (!rc && arrival_have(in) > size) rc = err_set(e, ERR_CORRUPT, "what came was too long");
    return rc;
}

/* Another process fetches it at the same time: wait for that one, or for its place. */
static enum code open_arrival(struct fetch *f, struct hash h, struct arrival **in, struct err *e)
{
    enum code rc;

    while ((rc = arrival_open(in, f->folder, h, e)) == ERR_AGAIN) {
        if (objects_has(f->store, h)) return OK;
        if (stopped(f, 0, 0)) return stop(e);
        wait_a_while();
    }
    return rc;
}

enum code fetch_get(struct fetch *f, struct hash h, struct err *e)
{
    char name[HASH_TEXT];
    enum code rc = ERR_CORRUPT;

    for (int i = 0; rc == ERR_CORRUPT && i < BEGINNINGS; i++) {
        struct arrival *in = NULL;
        if (objects_has(f->store, h)) return objects_keep(f->store, h, e);
        if ((rc = open_arrival(f, h, &in, e))) break;
        if (!in) return objects_keep(f->store, h, e);
        rc = get_all(f, h, in, e);
        if (!rc) rc = arrival_end(&in, f->store, e);
        /* Nothing of it is worth keeping where nothing came, or the wrong thing. */
        if (rc == ERR_CORRUPT || (in && !arrival_have(in))) arrival_drop(in);
        else arrival_close(in);
    }
    if (rc) {
        err_context(e, "fetch object %.12s", hash_text(h, name));
        return rc;
    }
    return OK;
}

/* ---- put ---- */

struct sending {
    int fd;
    uint64_t size;
    uint8_t *piece; /* owned: PROTO_PART */
};

static enum code read_piece(const struct sending *s, const char *path, uint64_t at, size_t *n,
                            struct err *e)
{
    uint64_t left = s->size - at;
    size_t want = left < PROTO_PART ? (size_t)left : PROTO_PART;

    for (*n = 0; *n < want;) {
        ssize_t got = pread(s->fd, s->piece + *n, want - *n, (off_t)(at + *n));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_errno(e, "read %s", path);
        if (got == 0) return err_set(e, ERR_CORRUPT, "%s became shorter while it was sent", path);
        *n += (size_t)got;
    }
    return OK;
}

/* Says n bytes from `at`, hears how many there are. */
static enum code put_part(struct fetch *f, struct hash h, const struct sending *s, uint64_t at,
                          size_t n, uint64_t *have, struct err *e)
{
    struct message answer,
        ask = {.kind = MSG_object_put, .object_put = {h, s->size, at, {s->piece, n}}};
    struct arena a = {0};
    enum code rc = call(f, &ask, at, s->size, &a, &answer, e);

    if (!rc && (answer.kind != MSG_object_got || !hash_equal(answer.object_got.hash, h) ||
                answer.object_got.have > s->size))
        rc = err_set(e, ERR_PROTOCOL, "the answer does not say how much has come");
    if (!rc) *have = answer.object_got.have;
    arena_fini(&a);
    return rc;
}

/* The other side may forget what it had (it was swept, its disk failed): that is seen a few times, not for ever. */
static enum code put_all(struct fetch *f, const char *path, struct hash h, const struct sending *s,
                         struct err *e)
{
    uint64_t at = 0, have = 0;
    size_t n = 0;
    int losses = 0;
    enum code rc = put_part(f, h, s, 0, 0, &have, e);

    while (!rc && have < s->size) {
        if (have <= at && n && ++losses > PATIENCE)
            return err_set(e, ERR_AGAIN, "the other side goes on losing what came");
        at = have;
        if (!(rc = read_piece(s, path, at, &n, e))) rc = put_part(f, h, s, at, n, &have, e);
    }
    return rc;
}

enum code fetch_put(struct fetch *f, const char *path, struct hash h, struct err *e)
{
    char name[HASH_TEXT];
    struct stat st;
    struct sending s = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    enum code rc = OK;

    if (s.fd < 0) return err_errno(e, "open %s", path);
    if (fstat(s.fd, &st)) rc = err_errno(e, "stat %s", path);
    s.size = rc ? 0 : (uint64_t)st.st_size;
    s.piece = mem_alloc(PROTO_PART, 1);
    if (!rc && !s.piece) rc = err_set(e, ERR_NOMEM, "no memory to send %s", path);
    /* What came earlier may have been another's mistake; it is gone now. */
    for (int i = 0; i < BEGINNINGS && (!rc || rc == ERR_CORRUPT); i++)
        if (!(rc = put_all(f, path, h, &s, e))) break;
    if (rc) err_context(e, "send object %.12s", hash_text(h, name));
    free(s.piece);
    close(s.fd);
    return rc;
}
