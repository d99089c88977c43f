/* restore.c - a home from a backup, in a place where there is none.
 *
 * Everything is compared on the way, as when it was backed up. Then the counters are raised: what happened after the backup is not known
 * here, but worker groups and people may still speak of it. An epoch or a job number that was given out then must not be
 * given out again for something else.
 */
#include "coordinator/care/care.h"
#include "coordinator/store/store.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct restore {
    struct care *care;
    struct folder folder;
    uint64_t n, bytes;
};

static enum code path_of(const char *folder, const char *rest, char out[PATH_MAX], struct err *e)
{
    return snprintf(out, PATH_MAX, "%s/%s", folder, rest) < PATH_MAX
               ? OK
               : err_set(e, ERR_USAGE, "the path is too long: %s", folder);
}

/* ---- the list ---- */

static enum code read_list(struct restore *r, struct hash *database, struct err *e)
{
    char path[PATH_MAX];
    json_error_t why;
    const char *text = NULL;
    int version = 0;
    enum code rc = path_of(r->care->from, "backup.json", path, e);
    json_t *list = rc ? NULL : json_load_file(path, 0, &why);

    if (rc) return rc;
    if (!list)
        return err_set(e, ERR_INPUT, "%s is no backup: %s: %s", r->care->from, path, why.text);
    if (json_unpack(list, "{s:i,s:s}", "v", &version, "database", &text) || version != 1 ||
        hash_parse(text, database, NULL))
        rc = err_set(e, ERR_CORRUPT,
                     "%s: it is damaged, or of a program that this one does not know", path);
    json_decref(list);
    return rc;
}

/* ---- pieces ---- */

static enum code take_database(struct restore *r, struct hash want, struct err *e)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct hash found;
    enum code rc = path_of(r->care->from, "coordinator.db", from, e);

    if (!rc) rc = path_of(r->folder.temporary, "coordinator.db", to, e);
    if (!rc) rc = folder_take(from, to, 0, e);
    if (!rc) rc = hash_file(to, &found, NULL, e);
    if (!rc && !hash_equal(found, want))
        rc = err_set(e, ERR_CORRUPT, "%s is damaged: it is not the one that backup.json names",
                     from);
    return rc;
}

static enum code take_object(void *self, const struct object *o, struct err *e)
{
    struct restore *r = self;
    char to[PATH_MAX], name[HASH_TEXT], rest[HASH_TEXT + 16];
    struct hash found;
    enum code rc;

    hash_text(o->hash, name);
    snprintf(rest, sizeof rest, "objects/%.2s/%s", name, name + 2);
    if ((rc = path_of(r->folder.temporary, rest, to, e)) ||
        (rc = folder_take_into(o->path, to, r->care->link, e)) ||
        (rc = hash_file(to, &found, NULL, e)))
        return rc;
    if (!hash_equal(found, o->hash)) {
        remove(to);
        care_say(r->care, "left out: %s is damaged", o->path);
        return OK;
    }
    r->n++;
    r->bytes += o->bytes;
    return OK;
}

static enum code take_objects(struct restore *r, struct err *e)
{
    char path[PATH_MAX];
    struct objects *from = NULL;
    enum code rc = path_of(r->folder.temporary, "objects", path, e);

    if (!rc && mkdir(path, 0700)) rc = err_errno(e, "make folder %s", path);
    if (!rc) rc = path_of(r->care->from, "objects", path, e);
    if (!rc) rc = objects_open(&from, path, e);
    if (!rc) rc = objects_each(from, take_object, r, e);
    objects_close(from);
    return rc;
}

static enum code take_keys(struct restore *r, struct err *e)
{
    char from[PATH_MAX], to[PATH_MAX], rest[300];
    struct dirent *entry;
    struct stat st;
    enum code rc = path_of(r->care->from, "keys", from, e);
    DIR *d = rc ? NULL : opendir(from);

    if (!d) return rc;
    if (!(rc = path_of(r->folder.temporary, "keys", to, e)) && mkdir(to, 0700))
        rc = err_errno(e, "make folder %s", to);
    while (!rc && (entry = readdir(d))) {
        snprintf(rest, sizeof rest, "keys/%.255s", entry->d_name);
        if ((rc = path_of(r->care->from, rest, from, e)) || stat(from, &st) || !S_ISREG(st.st_mode))
            continue;
        if (!(rc = path_of(r->folder.temporary, rest, to, e))) rc = folder_take(from, to, 0, e);
    }
    closedir(d);
    return rc;
}

static enum code make_folders(struct restore *r, struct err *e)
{
    static const char *const folders[] = {"checkpoints", "run", "log"};
    char path[PATH_MAX];
    enum code rc = OK;

    for (size_t i = 0; i < sizeof folders / sizeof *folders && !rc; i++)
        if (!(rc = path_of(r->folder.temporary, folders[i], path, e)) && mkdir(path, 0700))
            rc = err_errno(e, "make folder %s", path);
    return rc;
}

/* ---- all ---- */

static enum code fill(struct restore *r, struct err *e)
{
    char path[PATH_MAX];
    struct hash database;
    enum code rc = read_list(r, &database, e);

    if (!rc) rc = take_database(r, database, e);
    if (!rc) rc = take_objects(r, e);
    if (!rc) rc = take_keys(r, e);
    if (!rc) rc = make_folders(r, e);
    if (!rc) rc = path_of(r->folder.temporary, "coordinator.db", path, e);
    if (!rc) rc = store_leap(path, e);
    return rc ? rc : folder_keep(&r->folder, e);
}

enum code care_restore(struct care *c, struct err *e)
{
    struct restore r = {.care = c};
    char size[32];
    enum code rc = folder_begin(&r.folder, c->home, e);

    if (!rc) rc = fill(&r, e);
    if (!rc) {
        json_object_set_new(c->out, "objects", json_integer((json_int_t)r.n));
        json_object_set_new(c->out, "bytes", json_integer((json_int_t)r.bytes));
        care_say(
            c, "%s: the database and %llu objects of %s; `engram up --home %s` goes on from there",
            r.folder.path, (unsigned long long)r.n, care_bytes(r.bytes, size), r.folder.path);
    }
    folder_drop(&r.folder);
    return rc;
}
