#include "tests/store/points/support/disk.h"
#include "tests/store/interpose/interpose.h"

#include "base/arena.h"
#include "base/file.h"

#include <assert.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, SECTOR = 512 };

struct node {            /* a file, whatever its names */
    uint8_t *now, *kept; /* what programs read; what the disk holds */
    size_t n_now, n_kept, room;
    uint8_t *dirty; /* [room / PAGE] */
    struct node *next;
};

struct name {
    char *path;
    struct node *node; /* NULL: a folder */
};
struct names {
    struct name *v;
    size_t n, room;
};

struct change { /* of names, in one step: `add` appears, `del` goes; either may be NULL */
    char *add, *del;
    struct node *node;
    int done;
};

struct disk {
    struct bytes trace;
    size_t *at; /* of each record in the trace */
    size_t n, played;
    struct names now, kept;
    struct change *changes;
    size_t n_changes, changes_room;
    struct node **handles, *nodes;
    size_t handles_room;
    char *acks;
    size_t n_acks;
    size_t n_home;
};

static void *more(void *old, size_t n_old, size_t n_new, size_t size)
{
    void *p = mem_grow(old, n_old, n_new, size);
    assert(p);
    return p;
}

/* ---- files ---- */

static struct node *node_make(struct disk *d)
{
    struct node *f = more(NULL, 0, 1, sizeof *f);

    f->next = d->nodes;
    d->nodes = f;
    return f;
}

static void node_room(struct node *f, size_t n)
{
    size_t room = f->room ? f->room : PAGE;

    while (room < n) room *= 2;
    if (room == f->room) return;
    f->now = more(f->now, f->room, room, 1);
    f->kept = more(f->kept, f->room, room, 1);
    f->dirty = more(f->dirty, f->room / PAGE, room / PAGE, 1);
    f->room = room;
}

static void node_touch(struct node *f, size_t from, size_t to)
{
    for (size_t p = from / PAGE; p * PAGE < to; p++) f->dirty[p] = 1;
}

static void node_write(struct node *f, size_t at, const uint8_t *data, size_t n)
{
    node_room(f, at + n);
    memcpy(f->now + at, data, n);
    node_touch(f, at, at + n);
    if (f->n_now < at + n) f->n_now = at + n;
}

static void node_truncate(struct node *f, size_t n)
{
    node_room(f, n);
    if (n < f->n_now) {
        memset(f->now + n, 0, f->n_now - n);
        node_touch(f, n, f->n_now);
    }
    f->n_now = n;
}

static void node_sync(struct node *f, int failed)
{
    for (size_t p = 0; p * PAGE < f->room; p++) {
        if (f->dirty[p] && !failed) memcpy(f->kept + p * PAGE, f->now + p * PAGE, PAGE);
        f->dirty[p] = 0;
    }
    if (!failed) f->n_kept = f->n_now;
}

/* ---- names ---- */

static struct name *names_find(struct names *s, const char *path)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].path, path) == 0) return &s->v[i];
    return NULL;
}

static void names_del(struct names *s, const char *path)
{
    struct name *at = names_find(s, path);

    if (!at) return;
    free(at->path);
    *at = s->v[--s->n];
}

static void names_add(struct names *s, const char *path, struct node *node)
{
    names_del(s, path);
    if (s->n == s->room) {
        s->v = more(s->v, s->room, 2 * s->room + 16, sizeof *s->v);
        s->room = 2 * s->room + 16;
    }
    s->v[s->n++] = (struct name){strdup(path), node};
}

/* A folder gets another name, and with it all that is in it. */
static void names_move(struct names *s, const char *from, const char *to)
{
    char path[2 * PATH_MAX];
    size_t n = strlen(from);

    for (size_t i = 0; i < s->n; i++) {
        if (strncmp(s->v[i].path, from, n) != 0 || s->v[i].path[n] != '/') continue;
        snprintf(path, sizeof path, "%s%s", to, s->v[i].path + n);
        free(s->v[i].path);
        s->v[i].path = strdup(path);
    }
}

static void names_apply(struct names *s, const struct change *c)
{
    if (c->add && c->del && !c->node) names_move(s, c->del, c->add);
    if (c->del) names_del(s, c->del);
    if (c->add) names_add(s, c->add, c->node);
}

static void names_fini(struct names *s)
{
    for (size_t i = 0; i < s->n; i++) free(s->v[i].path);
    free(s->v);
}

static void change(struct disk *d, const char *add, const char *del, struct node *node)
{
    if (d->n_changes == d->changes_room) {
        d->changes =
            more(d->changes, d->changes_room, 2 * d->changes_room + 64, sizeof *d->changes);
        d->changes_room = 2 * d->changes_room + 64;
    }
    struct change *c = &d->changes[d->n_changes++];
    *c = (struct change){add ? strdup(add) : NULL, del ? strdup(del) : NULL, node, 0};
    names_apply(&d->now, c);
}

static int is_in(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

static void sync_folder(struct disk *d, const char *folder)
{
    for (size_t i = 0; i < d->n_changes; i++) {
        struct change *c = &d->changes[i];
        if (c->done || !is_in(c->add ? c->add : c->del, folder)) continue;
        names_apply(&d->kept, c);
        c->done = 1;
    }
}

/* A sync of everything that failed leaves everything clean and nothing written, like one of a file. */
static void sync_all(struct disk *d, int failed)
{
    for (struct node *f = d->nodes; f; f = f->next) node_sync(f, failed);
    for (size_t i = 0; i < d->n_changes && !failed; i++) {
        if (!d->changes[i].done) names_apply(&d->kept, &d->changes[i]);
        d->changes[i].done = 1;
    }
}

/* ---- playing ---- */

static struct node **handle(struct disk *d, uint32_t h)
{
    if (h >= d->handles_room) {
        d->handles = more(d->handles, d->handles_room, 2 * (size_t)h + 64, sizeof *d->handles);
        d->handles_room = 2 * (size_t)h + 64;
    }
    return &d->handles[h];
}

static void play_open(struct disk *d, const struct trace_record *r, const char *path)
{
    struct name *at = names_find(&d->now, path);

    if (r->offset == 1) change(d, path, NULL, node_make(d));
    if (r->offset == 2 && at) node_truncate(at->node, 0);
    at = names_find(&d->now, path);
    *handle(d, r->handle) = at ? at->node : NULL;
}

static void play_names(struct disk *d, const struct trace_record *r, const char *a)
{
    const char *b = a + strlen(a) + 1;
    struct name *at = names_find(&d->now, a);

    switch (r->kind) {
    case TRACE_RENAME: change(d, b, a, at ? at->node : NULL); break;
    case TRACE_LINK: change(d, b, NULL, at ? at->node : NULL); break;
    case TRACE_MKDIR: change(d, a, NULL, NULL); break;
    default: change(d, NULL, a, NULL); break;
    }
}

static void play_ack(struct disk *d, const uint8_t *word, size_t n)
{
    d->acks = more(d->acks, d->n_acks, d->n_acks + n, 1);
    memcpy(d->acks + d->n_acks, word, n);
    d->n_acks += n;
}

static void play(struct disk *d, const struct trace_record *r, const uint8_t *data)
{
    struct node *f = r->handle ? *handle(d, r->handle) : NULL;

    if (r->kind == TRACE_SYNC && f) node_sync(f, r->failed);
    if (r->kind == TRACE_SYNC_ALL) sync_all(d, r->failed);
    if (r->failed) return;
    switch (r->kind) {
    case TRACE_OPEN: play_open(d, r, (const char *)data); break;
    case TRACE_WRITE:
        if (f) node_write(f, r->offset, data, r->bytes);
        break;
    case TRACE_TRUNCATE:
        if (f) node_truncate(f, r->offset);
        break;
    case TRACE_SYNC_ALL:
    case TRACE_SYNC: break;
    case TRACE_SYNC_FOLDER: sync_folder(d, (const char *)data); break;
    case TRACE_ACK: play_ack(d, data, r->bytes); break;
    default: play_names(d, r, (const char *)data); break;
    }
}

static struct trace_record record(const struct disk *d, size_t i)
{
    struct trace_record r;
    memcpy(&r, d->trace.data + d->at[i], sizeof r);
    return r;
}

void disk_play(struct disk *d, size_t records)
{
    for (; d->played < records && d->played < d->n; d->played++) {
        struct trace_record r = record(d, d->played);
        play(d, &r, d->trace.data + d->at[d->played] + sizeof r);
    }
}

/* ---- losing ---- */

static uint64_t roll(uint64_t *dice)
{
    *dice = *dice * 6364136223846793005u + 1442695040888963407u;
    return *dice >> 33;
}

/* Pages that were not synced: old, new, or torn at sectors. */
static size_t some_bytes(const struct node *f, uint64_t *dice, uint8_t *out)
{
    memcpy(out, f->kept, f->room);
    for (size_t p = 0; p * PAGE < f->room; p++) {
        uint64_t how = f->dirty[p] ? roll(dice) % 4 : 0;
        for (size_t s = p * PAGE; s < (p + 1) * PAGE && how >= 2; s += SECTOR)
            if (how == 2 || roll(dice) % 2) memcpy(out + s, f->now + s, SECTOR);
    }
    return roll(dice) % 2 ? f->n_now : f->n_kept;
}

static void lose_file(const struct node *f, enum disk_loss loss, uint64_t *dice, const char *path)
{
    uint8_t *out = more(NULL, 0, f->room + 1, 1);
    size_t n = loss == DISK_BYTES ? f->n_now : f->n_kept;

    if (f->room) memcpy(out, loss == DISK_BYTES ? f->now : f->kept, f->room);
    if (f->room && loss == DISK_SOME) n = some_bytes(f, dice, out);
    FILE *to = fopen(path, "w");
    if (to) {
        if (fwrite(out, 1, n, to) != n) perror(path);
        fclose(to);
    }
    free(out);
}

static int by_length(const void *a, const void *b)
{
    size_t n = strlen(((const struct name *)a)->path), m = strlen(((const struct name *)b)->path);
    return n < m ? -1 : n > m;
}

static struct names names_left(const struct disk *d, enum disk_loss loss, uint64_t *dice)
{
    struct names left = {0};
    size_t n = loss == DISK_NAMES  ? d->n_changes
               : loss == DISK_SOME ? roll(dice) % (d->n_changes + 1)
                                   : 0;

    for (size_t i = 0; i < d->kept.n; i++) names_add(&left, d->kept.v[i].path, d->kept.v[i].node);
    for (size_t i = 0; i < n; i++)
        if (!d->changes[i].done) names_apply(&left, &d->changes[i]);
    qsort(left.v, left.n, sizeof *left.v, by_length); /* a folder comes before what is in it */
    return left;
}

void disk_lose(const struct disk *d, enum disk_loss loss, uint64_t dice, const char *to)
{
    struct names left = names_left(d, loss, &dice);
    char path[2 * PATH_MAX];

    mkdir(to, 0700);
    for (size_t i = 0; i < left.n; i++) {
        snprintf(path, sizeof path, "%s%s", to, left.v[i].path + d->n_home);
        if (left.v[i].node) lose_file(left.v[i].node, loss, &dice, path);
        else mkdir(path, 0700);
    }
    names_fini(&left);
}

/* ---- opening ---- */

/* All that is there before the trace begins is durable. */
static void read_before(struct disk *d, const char *before, const char *home)
{
    char path[2 * PATH_MAX], name[2 * PATH_MAX];
    struct bytes b;
    struct node *f;
    DIR *dir = opendir(before);

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", before, entry->d_name);
        snprintf(name, sizeof name, "%s/%s", home, entry->d_name);
        f = NULL;
        if (entry->d_type == DT_DIR) read_before(d, path, name);
        else if (file_read(path, SIZE_MAX / 2, &b, NULL) == OK) {
            f = node_make(d);
            node_write(f, 0, b.data, b.n);
            node_sync(f, 0);
            free(b.data);
        }
        names_add(&d->now, name, f);
        names_add(&d->kept, name, f);
    }
    if (dir) closedir(dir);
}

enum code disk_open(struct disk **out, const char *trace, const char *before, const char *home,
                    struct err *e)
{
    struct disk *d = more(NULL, 0, 1, sizeof *d);
    enum code rc = file_read(trace, SIZE_MAX / 2, &d->trace, e);

    *out = d;
    if (rc) return rc;
    size_t room = d->trace.n / sizeof(struct trace_record) + 1;
    d->at = more(NULL, 0, room, sizeof *d->at);
    for (size_t at = 0; at < d->trace.n;) {
        d->at[d->n++] = at;
        at += sizeof(struct trace_record) + record(d, d->n - 1).bytes;
    }
    d->n_home = strlen(home);
    read_before(d, before, home);
    return OK;
}

void disk_close(struct disk *d)
{
    if (!d) return;
    for (struct node *f = d->nodes, *next; f; f = next) {
        next = f->next;
        free(f->now);
        free(f->kept);
        free(f->dirty);
        free(f);
    }
    for (size_t i = 0; i < d->n_changes; i++) {
        free(d->changes[i].add);
        free(d->changes[i].del);
    }
    names_fini(&d->now);
    names_fini(&d->kept);
    free(d->changes);
    free(d->handles);
    free(d->acks);
    free(d->at);
    free(d->trace.data);
    free(d);
}

size_t disk_records(const struct disk *d)
{
    return d->n;
}

uint32_t disk_point(const struct disk *d, size_t i)
{
    return record(d, i).point;
}

const char *disk_acks(const struct disk *d, size_t *n)
{
    *n = d->n_acks;
    return d->acks ? d->acks : "";
}
