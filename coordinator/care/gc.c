/* gc.c - objects that nobody names any more, checkpoints of jobs that have ended, uploads that were broken off, leftovers of writers that
 * were killed.
 *
 * Says what and how much; --remove removes. An object that somebody is about to name is younger than --older: writing it, also a
 * second time, makes it new (base/objects.c). What happens between looking and removing:
 *
 *     1. the object is named by nobody, and old          as of one moment
 *     2. it is renamed into objects/trash
 *     3. it is looked at again: has it been touched?     who put it before 2 made it new; who puts it after 2 writes it anew
 *     4. when all are in the trash, the database is read again: is one of them named now?
 *     5. what is new or named gets its place back; the rest goes
 *
 * A kill leaves objects in the trash; every run begins with 4 and 5 for what lies there.
 */
#include "coordinator/care/care.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct gc {
    struct care *care;
    struct store *store;
    struct objects *objects;
    struct keep keep;
    char trash[PATH_MAX];
    int64_t before_s; /* only what was changed before this */
    uint64_t n, bytes, n_back, n_checkpoints, checkpoint_bytes;
    struct arrivals uploads;
};

/* ---- who names what, as of now ---- */

static enum code look(struct gc *g, struct err *e)
{
    char path[PATH_MAX];
    enum code rc = care_path(g->care, "coordinator.db", path, sizeof path, e);

    keep_fini(&g->keep);
    if (!rc && !(rc = store_look(&g->store, path, e))) {
        rc = inspect_still(g->store, 1, e);
        if (!rc) rc = keep_make(&g->keep, g->store, g->objects, e);
    }
    return rc;
}

static void look_away(struct gc *g)
{
    store_close(g->store);
    g->store = NULL;
}

/* ---- the trash ---- */

static enum code give_back(struct gc *g, const char *from, struct hash h, struct err *e)
{
    char place[PATH_MAX];

    objects_path(g->objects, h, place, sizeof place);
    g->n_back++;
    /* Somebody may have put it again meanwhile: the same bytes. */
    if (rename(from, place)) return err_errno(e, "rename %s to %s", from, place);
    return file_sync_name(place, e);
}

static enum code judge(struct gc *g, const char *name, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;
    struct hash h;

    if (hash_parse(name, &h, NULL)) return OK;
    snprintf(path, sizeof path, "%.3900s/%s", g->trash, name);
    if (stat(path, &st)) return errno == ENOENT ? OK : err_errno(e, "%s", path);
    if (keep_find(&g->keep, h) || st.st_mtime >= g->before_s) return give_back(g, path, h, e);
    g->n++;
    g->bytes += (uint64_t)st.st_size;
    return unlink(path) && errno != ENOENT ? err_errno(e, "remove %s", path) : OK;
}

/* Steps 4 and 5. */
static enum code empty_trash(struct gc *g, struct err *e)
{
    DIR *d = opendir(g->trash);
    struct dirent *entry;
    enum code rc;

    if (!d) return errno == ENOENT ? OK : err_errno(e, "open folder %s", g->trash);
    rc = look(g, e);
    while (!rc && (entry = readdir(d))) rc = judge(g, entry->d_name, e);
    closedir(d);
    look_away(g);
    return rc;
}

/* ---- objects ---- */

static enum code throw_away(struct gc *g, const struct object *o, struct err *e)
{
    char to[PATH_MAX], name[HASH_TEXT];

    snprintf(to, sizeof to, "%.3900s/%s", g->trash, hash_text(o->hash, name));
    if (rename(o->path, to))
        return errno == ENOENT ? OK : err_errno(e, "rename %s to %s", o->path, to);
    return OK;
}

static enum code on_object(void *self, const struct object *o, struct err *e)
{
    struct gc *g = self;

    if (o->changed_s >= g->before_s || keep_find(&g->keep, o->hash)) return OK;
    if (g->care->remove) return throw_away(g, o, e);
    g->n++;
    g->bytes += o->bytes;
    return OK;
}

/* What fsck set aside, and is old. */
static enum code on_damaged(struct gc *g, struct err *e)
{
    char folder[PATH_MAX], path[PATH_MAX];
    enum code rc = care_path(g->care, "objects/damaged", folder, sizeof folder, e);
    struct dirent *entry;
    struct stat st;
    DIR *d = rc ? NULL : opendir(folder);

    while (!rc && d && (entry = readdir(d))) {
        snprintf(path, sizeof path, "%.3800s/%.250s", folder, entry->d_name);
        if (stat(path, &st) || !S_ISREG(st.st_mode) || st.st_ctime >= g->before_s) continue;
        g->n++;
        g->bytes += (uint64_t)st.st_size;
        if (g->care->remove && unlink(path)) rc = err_errno(e, "remove %s", path);
    }
    if (d) closedir(d);
    return rc;
}

/* ---- checkpoints: "job-<n>-<stage>", a file or a folder ---- */

static uint64_t measured;

static int measure_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)path, (void)where;
    if (type == FTW_F) measured += (uint64_t)st->st_size;
    return 0;
}

static enum code on_checkpoint(struct gc *g, const char *folder, const char *name, struct err *e)
{
    char path[PATH_MAX];
    unsigned long long job;
    struct stat st;
    int ended;
    enum code rc;

    if (sscanf(name, "job-%llu-", &job) != 1) return OK;
    snprintf(path, sizeof path, "%.3800s/%.250s", folder, name);
    if (stat(path, &st) || st.st_mtime >= g->before_s) return OK;
    if ((rc = inspect_ended(g->store, job, &ended, e)) || !ended) return rc;
    measured = 0;
    nftw(path, measure_one, 16, FTW_PHYS);
    g->n_checkpoints++;
    g->checkpoint_bytes += measured;
    return g->care->remove ? folder_remove(path, e) : OK;
}

static enum code checkpoints(struct gc *g, struct err *e)
{
    char folder[PATH_MAX];
    enum code rc = care_path(g->care, "checkpoints", folder, sizeof folder, e);
    struct dirent *entry;
    DIR *d = rc ? NULL : opendir(folder);

    while (!rc && d && (entry = readdir(d))) rc = on_checkpoint(g, folder, entry->d_name, e);
    if (d) closedir(d);
    return rc;
}

/* ---- all ---- */

static enum code sweep(struct gc *g, struct err *e)
{
    static const char *const folders[] = {"", "checkpoints", "keys"};
    char path[PATH_MAX];
    enum code rc = objects_sweep(g->objects, e);

    for (size_t i = 0; i < sizeof folders / sizeof *folders && !rc; i++)
        if (!(rc = care_path(g->care, folders[i], path, sizeof path, e)) && file_exists(path))
            rc = file_sweep(path, e);
    return rc;
}

static void say(struct gc *g)
{
    char a[32], b[32];
    const char *did = g->care->remove ? "removed" : "would be removed (--remove does it)";

    json_object_set_new(g->care->out, "removed", json_boolean(g->care->remove));
    json_object_set_new(g->care->out, "objects", json_integer((json_int_t)g->n));
    json_object_set_new(g->care->out, "object_bytes", json_integer((json_int_t)g->bytes));
    json_object_set_new(g->care->out, "checkpoints", json_integer((json_int_t)g->n_checkpoints));
    json_object_set_new(g->care->out, "checkpoint_bytes",
                        json_integer((json_int_t)g->checkpoint_bytes));
    json_object_set_new(g->care->out, "uploads", json_integer((json_int_t)g->uploads.n));
    json_object_set_new(g->care->out, "upload_bytes", json_integer((json_int_t)g->uploads.bytes));
    care_say(g->care, "%llu objects of %s and %llu checkpoints of %s %s", (unsigned long long)g->n,
             care_bytes(g->bytes, a), (unsigned long long)g->n_checkpoints,
             care_bytes(g->checkpoint_bytes, b), did);
    if (g->uploads.n)
        care_say(g->care, "%llu uploads that were broken off, of %s, %s",
                 (unsigned long long)g->uploads.n, care_bytes(g->uploads.bytes, a), did);
    if (g->n_back)
        care_say(g->care, "%llu objects were named meanwhile and stay",
                 (unsigned long long)g->n_back);
}

static enum code run(struct gc *g, struct err *e)
{
    char path[PATH_MAX];
    enum code rc = care_path(g->care, "objects", path, sizeof path, e);

    if (!rc) rc = objects_open(&g->objects, path, e);
    if (!rc) rc = care_path(g->care, "objects/trash", g->trash, sizeof g->trash, e);
    if (!rc && g->care->remove) rc = file_make_dirs(g->trash, e);
    if (!rc && g->care->remove) rc = empty_trash(g, e);
    if (!rc) rc = look(g, e);
    if (!rc) rc = objects_each(g->objects, on_object, g, e);
    if (!rc) rc = checkpoints(g, e);
    look_away(g);
    if (!rc) rc = on_damaged(g, e);
    if (!rc && g->care->remove) rc = empty_trash(g, e);
    if (!rc) rc = incoming_old(g->care, g->care->older_s, g->care->remove, &g->uploads, e);
    return !rc && g->care->remove ? sweep(g, e) : rc;
}

enum code care_gc(struct care *c, struct err *e)
{
    struct gc g = {.care = c, .before_s = (int64_t)time(NULL) - c->older_s};
    enum code rc = run(&g, e);

    if (!rc) say(&g);
    keep_fini(&g.keep);
    objects_close(g.objects);
    return rc;
}
