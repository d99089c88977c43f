/* output.c - plans files, then writes them into <dir>.part and renames it.
 *
 * <dir>.part belongs to whoever holds a lock (flock) on it. A file in it, MARK, says that Engram made the folder: one without
 * it is somebody's own and is left alone. Order: every file is synced as it is written, its folder too; the rename; the
 * parent is synced; the mark goes. So <dir> is never there in part, and a kill leaves the old world and <dir>.part (or, in
 * the last moment, the new world with a mark in it, which nothing reads).
 */
#include "pipeline/exchange/output.h"

#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PATH_MOST 4096
#define MARK ".engram-export"

struct planned {
    const char *path;
    uint64_t bytes;
    const void *text; /* NULL: tensors */
    const struct source *source;
    size_t n;
    const char *const *metadata;
};

struct finally {
    void (*last)(void *self);
    void *self;
    struct finally *next;
};

struct output {
    struct arena arena;
    const char *dir, *part;
    int lock; /* of part; -1: renamed or never ours */
    struct planned *file;
    size_t n;
    uint64_t bytes;
    struct finally *finally; /* in the arena */
};

/* ---- the folder in work --------------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static enum code sync_folder(const char *dir, struct err *e)
{
    enum code rc = OK;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) && errno != EINVAL)) rc = err_errno(e, "sync folder %s", dir);
    if (fd >= 0) close(fd);
    return rc;
}

static char *parent_of(struct arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return arena_strdup(a, ".");
    return arena_printf(a, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* Locks the folder part, which exists. 1: ours. 0: not there any more, or renamed meanwhile: try again; or *rc is set. A file
 * system without locks is taken at its word. */
static int lock_folder(struct output *o, enum code *rc, struct err *e)
{
    struct stat by_name, by_lock;
    int fd = open(o->part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) return 0;
    if (fd < 0) *rc = err_errno(e, "open %s", o->part);
    else if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        *rc = err_set(e, ERR_AGAIN,
                      "another export writes %s now; wait for it or choose another "
                      "folder",
                      o->part);
    else if (!stat(o->part, &by_name) && !fstat(fd, &by_lock) && by_name.st_ino == by_lock.st_ino &&
             by_name.st_dev == by_lock.st_dev) {
        o->lock = fd;
        return 1;
    }
    if (fd >= 0) close(fd);
    return 0;
}

/* part stood there before us and is locked by us now: a leftover of an export that was killed, or somebody's own. */
static enum code take_over(struct output *o, struct err *e)
{
    char mark[PATH_MOST];
    snprintf(mark, sizeof mark, "%s/" MARK, o->part);
    if (!file_exists(mark) && rmdir(o->part))
        return err_set(e, ERR_EXISTS,
                       "%s is in the way and was not made by an export; move it or choose another "
                       "folder",
                       o->part);
    if (file_exists(mark) && nftw(o->part, remove_one, 16, FTW_DEPTH | FTW_PHYS))
        return err_errno(e, "remove the leftover %s", o->part);
    return OK;
}

static enum code make_mark(struct output *o, struct err *e)
{
    char mark[PATH_MOST];
    static const char text[] = "written by engram export\n";
    snprintf(mark, sizeof mark, "%s/" MARK, o->part);
    return file_write(mark, text, sizeof text - 1, e);
}

/* Makes part and locks it. Between the two another process may come first, hence the loop, which is bounded. */
static enum code claim(struct output *o, struct err *e)
{
    enum code rc = OK;
    for (int i = 0; i < 100 && !rc; i++) {
        int is_new = !mkdir(o->part, 0777);
        if (!is_new && errno == ENOENT)
            return err_set(e, ERR_NOT_FOUND,
                           "%s: the folder that it goes into is not there; make it "
                           "first",
                           o->dir);
        if (!is_new && errno != EEXIST) return err_errno(e, "make folder %s", o->part);
        if (!lock_folder(o, &rc, e)) continue;
        if (is_new) return make_mark(o, e);
        rc = take_over(o, e);
        close(o->lock);
        o->lock = -1;
    }
    return rc ? rc : err_set(e, ERR_AGAIN, "%s comes and goes; try again", o->part);
}

enum code output_check(const char *dir, struct err *e)
{
    size_t n = strlen(dir);
    if (!n || n > PATH_MOST - 1024)
        return err_set(e, ERR_USAGE, "\"%.60s\" is no name for a folder", dir);
    if (file_exists(dir))
        return err_set(e, ERR_EXISTS,
                       "%s exists; an export makes a new folder, choose another name", dir);
    return OK;
}

enum code output_open(struct output **out, const char *dir, struct err *e)
{
    size_t n = strlen(dir);
    enum code rc = output_check(dir, e);
    struct output *o = rc ? NULL : mem_alloc(1, sizeof *o);
    *out = NULL;
    if (!o) return rc ? rc : err_set(e, ERR_NOMEM, "no memory for an export");
    o->lock = -1;
    while (n > 1 && dir[n - 1] == '/') n--;
    o->dir = arena_printf(&o->arena, "%.*s", (int)n, dir);
    o->part = arena_printf(&o->arena, "%.*s.part", (int)n, dir);
    if (!o->dir || !o->part) rc = err_set(e, ERR_NOMEM, "no memory for an export");
    else rc = claim(o, e);
    if (rc) {
        output_close(o);
        return rc;
    }
    *out = o;
    return OK;
}

void output_close(struct output *o)
{
    if (!o) return;
    if (o->lock >= 0) {
        nftw(o->part, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        close(o->lock);
    }
    for (struct finally *f = o->finally; f; f = f->next) f->last(f->self);
    free(o->file);
    arena_fini(&o->arena);
    free(o);
}

/* ---- planning ------------------------------------------------------------------------------------------------------- */

struct arena *output_arena(struct output *o)
{
    return &o->arena;
}

enum code output_finally(struct output *o, void (*last)(void *self), void *self, struct err *e)
{
    struct finally *f = arena_alloc(&o->arena, sizeof *f);
    if (!f) return err_set(e, ERR_NOMEM, "no memory to plan an export");
    *f = (struct finally){last, self, o->finally};
    o->finally = f;
    return OK;
}

uint64_t output_bytes(const struct output *o)
{
    return o->bytes;
}

const char *output_file(const struct output *o, size_t i, uint64_t *bytes)
{
    if (i >= o->n) return NULL;
    *bytes = o->file[i].bytes;
    return o->file[i].path;
}

static enum code add(struct output *o, const char *path, struct planned p, struct err *e)
{
    struct planned *grown = mem_grow(o->file, o->n, o->n + 1, sizeof *grown);
    if (grown) o->file = grown;
    p.path = arena_strdup(&o->arena, path);
    if (!grown || !p.path) return err_set(e, ERR_NOMEM, "no memory to plan %s", path);
    o->file[o->n++] = p;
    o->bytes += p.bytes;
    return OK;
}

enum code output_add_text(struct output *o, const char *path, const void *text, size_t bytes,
                          struct err *e)
{
    void *copy = arena_copy(&o->arena, text, bytes ? bytes : 1);
    if (!copy) return err_set(e, ERR_NOMEM, "no memory to plan %s", path);
    return add(o, path, (struct planned){.text = copy, .bytes = bytes}, e);
}

/* The same tensors as the writer of containers knows them. free() it. */
static struct stored_entry *entries_of(const struct source *source, size_t n)
{
    struct stored_entry *entry = mem_alloc(n + 1, sizeof *entry);
    for (size_t i = 0; entry && i < n; i++) {
        entry[i] = (struct stored_entry){
            .name = source[i].name, .dtype = source[i].dtype, .rank = source[i].rank};
        memcpy(entry[i].dim, source[i].dim, sizeof entry[i].dim);
    }
    return entry;
}

enum code output_add_tensors(struct output *o, const char *path, const struct source *source,
                             size_t n, const char *const *metadata, struct err *e)
{
    uint64_t bytes = 0;
    struct stored_entry *entry = entries_of(source, n);
    enum code rc = entry ? safetensors_bytes(entry, n, metadata, &bytes, e)
                         : err_set(e, ERR_NOMEM, "no memory to plan %s", path);
    free(entry);
    if (rc) return rc;
    return add(o, path,
               (struct planned){.source = source, .n = n, .metadata = metadata, .bytes = bytes}, e);
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

struct writing {
    struct output *o;
    const struct output_progress *progress;
    uint64_t done;
    const struct source *source; /* of the file in work */
    const struct stored_entry *entry;
};

static enum code tick(struct writing *w, uint64_t more, struct err *e)
{
    w->done += more;
    if (!w->progress || !w->progress->tick(w->progress->self, w->done, w->o->bytes)) return OK;
    return err_set(e, ERR_CANCELLED, "stopped; %s was not made", w->o->dir);
}

static enum code make_elements(void *self, const struct stored_entry *t, int64_t first, int64_t n,
                               void *out, struct err *e)
{
    struct writing *w = self;
    enum code rc = source_read(&w->source[t - w->entry], first, n, out, e);
    return rc ? rc : tick(w, (uint64_t)n * (uint64_t)source_element(t->dtype), e);
}

static enum code write_tensors(struct writing *w, const char *path, const struct planned *p,
                               struct err *e)
{
    struct stored_maker maker = {make_elements, w};
    struct stored_entry *entry = entries_of(p->source, p->n);
    if (!entry) return err_set(e, ERR_NOMEM, "no memory to write %s", path);
    w->source = p->source;
    w->entry = entry;
    enum code rc = safetensors_stream(path, entry, p->n, p->metadata, &maker, e);
    free(entry);
    return rc;
}

/* The folders between part and a file. Each entry is durable when its folder is synced. */
static enum code make_folders(const struct output *o, char *path, struct err *e)
{
    enum code rc = OK;
    for (char *c = path + strlen(o->part) + 1; !rc && (c = strchr(c, '/')); c++) {
        *c = '\0';
        if (!mkdir(path, 0777)) {
            char *last = strrchr(path, '/');
            *last = '\0';
            rc = sync_folder(path, e);
            *last = '/';
        } else if (errno != EEXIST) {
            rc = err_errno(e, "make folder %s", path);
        }
        *c = '/';
    }
    return rc;
}

static enum code write_file(struct writing *w, const struct planned *p, struct err *e)
{
    char path[PATH_MOST];
    uint64_t before = w->done;
    if (snprintf(path, sizeof path, "%s/%s", w->o->part, p->path) >= PATH_MOST)
        return err_set(e, ERR_INPUT, "path too long: %.200s/%.200s", w->o->part, p->path);
    enum code rc = make_folders(w->o, path, e);
    if (!rc && p->text) rc = file_write(path, p->text, (size_t)p->bytes, e);
    else if (!rc) rc = write_tensors(w, path, p, e);
    return rc ? rc : tick(w, p->bytes - (w->done - before), e);
}

/* Every file ends in a block of its own, and folders need some too. */
static enum code check_room(const struct output *o, struct err *e)
{
    struct statvfs fs;
    if (statvfs(o->part, &fs)) return err_errno(e, "look for room in %s", o->part);
    uint64_t block = fs.f_frsize ? fs.f_frsize : 4096, need = 16 * block,
             room = fs.f_bavail * block;
    for (size_t i = 0; i < o->n; i++) need += (o->file[i].bytes + block - 1) / block * block;
    if (need <= room) return OK;
    return err_set(e, ERR_FULL,
                   "%s needs %.1f MB, the disk has %.1f MB left; free some or export elsewhere",
                   o->dir, (double)need / 1e6, (double)room / 1e6);
}

/* The new name. An empty folder that has appeared under it would be replaced by plain rename. */
static enum code publish(struct output *o, struct err *e)
{
    char mark[PATH_MOST];
    char *parent = parent_of(&o->arena, o->dir);
    if (!parent) return err_set(e, ERR_NOMEM, "no memory to finish %s", o->dir);
    int failed = renameat2(AT_FDCWD, o->part, AT_FDCWD, o->dir, RENAME_NOREPLACE);
    if (failed && (errno == EINVAL || errno == ENOSYS) && !file_exists(o->dir))
        failed = rename(o->part, o->dir); /* a file system without the flag */
    if (failed && errno == EEXIST)
        return err_set(e, ERR_EXISTS, "%s has appeared meanwhile; choose another name", o->dir);
    if (failed) return err_errno(e, "rename %s to %s", o->part, o->dir);
    close(o->lock);
    o->lock = -1;
    snprintf(mark, sizeof mark, "%s/" MARK, o->dir);
    unlink(mark);
    return sync_folder(parent, e);
}

enum code output_write(struct output *o, const struct output_progress *p, struct err *e)
{
    struct writing w = {.o = o, .progress = p};
    assert(o->lock >= 0);
    enum code rc = check_room(o, e);
    if (!rc) rc = tick(&w, 0, e);
    for (size_t i = 0; !rc && i < o->n; i++) rc = write_file(&w, &o->file[i], e);
    return rc ? rc : publish(o, e);
}
