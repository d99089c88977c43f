/* backup.c - a home in a folder: the database as of one moment, every object that it names, keys. Whole or not at all.
 *
 * A coordinator goes on meanwhile. The database is copied first, in one read transaction; then the objects that the copy names, each
 * compared with its hash on the way. An object that is damaged or gone ends the backup with its name, unless
 * --without-damaged leaves it out and says so in backup.json. One that was forgotten since the copy was made is left out silently.
 * Checkpoints, logs and run/ are left out: jobs go on without them.
 */
#include "coordinator/care/care.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct backup {
    struct care *care;
    struct folder folder;
    struct objects *from;
    struct keep keep;
    json_t *left_out;
    uint64_t n, bytes;
};

static enum code place(const struct backup *b, const char *rest, char out[PATH_MAX], struct err *e)
{
    return snprintf(out, PATH_MAX, "%s/%s", b->folder.temporary, rest) < PATH_MAX
               ? OK
               : err_set(e, ERR_USAGE, "the path is too long: %s", b->folder.path);
}

/* ---- objects ---- */

/* Does the living home still name it? */
static int is_forgotten(struct backup *b, struct hash h)
{
    char path[PATH_MAX];
    struct keep now = {0};
    struct store *s = NULL;
    int gone = 0;

    if (care_path(b->care, "coordinator.db", path, sizeof path, NULL) == OK &&
        store_look(&s, path, NULL) == OK && inspect_still(s, 1, NULL) == OK &&
        keep_make(&now, s, b->from, NULL) == OK)
        gone = !keep_find(&now, h);
    keep_fini(&now);
    store_close(s);
    return gone;
}

static enum code without(struct backup *b, const struct kept *k, const char *what, struct err *e)
{
    char name[HASH_TEXT], by[64];

    hash_text(k->hash, name);
    if (k->optional || is_forgotten(b, k->hash)) return OK;
    if (!b->care->without_damaged)
        return err_set(e, ERR_CORRUPT,
                       "object %s %s: %s; --without-damaged makes a backup without it", name, what,
                       keep_text(k, by));
    care_say(b->care, "left out: object %s %s: %s", name, what, keep_text(k, by));
    json_array_append_new(b->left_out, json_string(name));
    return OK;
}

static enum code take_object(struct backup *b, const struct kept *k, struct err *e)
{
    char from[PATH_MAX], to[PATH_MAX], name[HASH_TEXT], rest[HASH_TEXT + 16];
    struct hash found;
    uint64_t bytes;
    enum code rc;

    hash_text(k->hash, name);
    objects_path(b->from, k->hash, from, sizeof from);
    if (!file_exists(from)) return without(b, k, "is not there", e);
    snprintf(rest, sizeof rest, "objects/%.2s/%s", name, name + 2);
    if ((rc = place(b, rest, to, e)) || (rc = folder_take_into(from, to, b->care->link, e)) ||
        (rc = hash_file(to, &found, &bytes, e)))
        return rc;
    if (!hash_equal(found, k->hash)) {
        remove(to);
        return without(b, k, "is damaged", e);
    }
    b->n++;
    b->bytes += bytes;
    return OK;
}

static enum code take_objects(struct backup *b, struct err *e)
{
    char path[PATH_MAX];
    enum code rc = place(b, "objects", path, e);

    if (!rc && mkdir(path, 0700)) rc = err_errno(e, "make folder %s", path);
    for (size_t i = 0; i < b->keep.n && !rc; i++) rc = take_object(b, &b->keep.v[i], e);
    return rc;
}

/* ---- keys ---- */

static enum code take_keys(struct backup *b, struct err *e)
{
    char from[PATH_MAX], to[PATH_MAX], rest[300];
    struct dirent *entry;
    struct stat st;
    enum code rc = care_path(b->care, "keys", from, sizeof from, e);
    DIR *d = rc ? NULL : opendir(from);

    if (!d) return rc;
    if (!(rc = place(b, "keys", to, e)) && mkdir(to, 0700)) rc = err_errno(e, "make folder %s", to);
    while (!rc && (entry = readdir(d))) {
        snprintf(rest, sizeof rest, "keys/%.255s", entry->d_name);
        if ((rc = care_path(b->care, rest, from, sizeof from, e)) || stat(from, &st) ||
            !S_ISREG(st.st_mode))
            continue;
        if (!(rc = place(b, rest, to, e))) rc = folder_take(from, to, 0, e);
    }
    closedir(d);
    return rc;
}

/* ---- the database ---- */

static enum code take_database(struct backup *b, struct err *e)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct store *s = NULL;
    enum code rc = care_path(b->care, "coordinator.db", from, sizeof from, e);

    if (!rc) rc = place(b, "coordinator.db", to, e);
    if (!rc) rc = store_look(&s, from, e);
    if (!rc) rc = store_copy(s, to, e);
    store_close(s);
    s = NULL;
    if (!rc) rc = store_look(&s, to, e);
    if (!rc) rc = keep_make(&b->keep, s, b->from, e);
    store_close(s);
    return rc;
}

static enum code write_list(struct backup *b, struct err *e)
{
    char path[PATH_MAX], name[HASH_TEXT];
    struct hash h;
    enum code rc = place(b, "coordinator.db", path, e);
    json_t *list;
    char *text;

    if (rc || (rc = hash_file(path, &h, NULL, e))) return rc;
    list =
        json_pack("{s:i,s:s,s:I,s:s,s:I,s:I,s:O}", "v", 1, "program", "engram " ENGRAM_VERSION,
                  "at_ms", (json_int_t)time(NULL) * 1000, "database", hash_text(h, name), "objects",
                  (json_int_t)b->n, "bytes", (json_int_t)b->bytes, "left_out", b->left_out);
    text = list ? json_dumps(list, JSON_INDENT(2)) : NULL;
    rc = text ? place(b, "backup.json", path, e) : err_set(e, ERR_NOMEM, "out of memory");
    if (!rc) rc = file_write(path, text, strlen(text), e);
    free(text);
    json_decref(list);
    return rc;
}

static enum code fill(struct backup *b, struct err *e)
{
    char path[PATH_MAX];
    enum code rc = care_path(b->care, "objects", path, sizeof path, e);

    if (!rc) rc = objects_open(&b->from, path, e);
    if (!rc) rc = take_database(b, e);
    if (!rc) rc = take_objects(b, e);
    if (!rc) rc = take_keys(b, e);
    if (!rc) rc = write_list(b, e);
    return rc ? rc : folder_keep(&b->folder, e);
}

enum code care_backup(struct care *c, struct err *e)
{
    struct backup b = {.care = c, .left_out = json_array()};
    char size[32];
    enum code rc = folder_begin(&b.folder, c->to, e);

    if (!rc) rc = fill(&b, e);
    if (!rc) {
        json_object_set_new(c->out, "objects", json_integer((json_int_t)b.n));
        json_object_set_new(c->out, "bytes", json_integer((json_int_t)b.bytes));
        json_object_set(c->out, "left_out", b.left_out);
        care_say(c, "%s: the database and %llu objects of %s", b.folder.path,
                 (unsigned long long)b.n, care_bytes(b.bytes, size));
    }
    folder_drop(&b.folder);
    objects_close(b.from);
    keep_fini(&b.keep);
    json_decref(b.left_out);
    return rc;
}
