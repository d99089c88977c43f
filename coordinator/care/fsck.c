/* fsck.c - is all there that was promised, and is it right? Looks, and says what is not; changes nothing but on --set-aside.
 *
 * From the outside in: pages of the file, how far the database goes, SQLite's checks, each row, the core with all its invariants,
 * then each object by its hash. What cannot be read is named by job, lineage or object, because that is what people know.
 */
#include "coordinator/care/care.h"

#include "base/file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { UPLOAD_OLD_S = 24 * 3600 };

struct fsck {
    struct care *care;
    struct objects *objects;
    struct keep keep;
    uint8_t *seen; /* [keep.n] */
    size_t findings, n_objects;
    uint64_t bytes;
};

static void finding(void *self, const char *line)
{
    struct fsck *f = self;

    f->findings++;
    care_say(f->care, "%s", line);
}

/* ---- the database ---- */

static void say_pages(struct fsck *f, const struct inspect_pages *p)
{
    char list[300] = "", line[400];
    size_t used = 0, n = sizeof p->first / sizeof *p->first;

    for (size_t i = 0; i < p->damaged && i < n; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%u", i ? ", " : "",
                                 (unsigned)p->first[i]);
    snprintf(line, sizeof line, "coordinator.db: %u of %u pages are damaged: %s%s",
             (unsigned)p->damaged, (unsigned)p->pages, list, p->damaged > n ? ", ..." : "");
    finding(f, line);
}

static enum code check_batches(struct fsck *f, struct store *s, struct err *e)
{
    uint64_t said, there;
    int damaged;
    char line[300];
    enum code rc = inspect_batches(s, &said, &there, &damaged, e);

    if (rc) return rc;
    if (damaged)
        care_say(f->care, "coordinator.db-mark: one of its two numbers is damaged; the next batch "
                          "writes it anew");
    if (said <= there) return OK;
    snprintf(line, sizeof line,
             "coordinator.db: %llu batches were acknowledged, and it ends with number %llu: "
             "coordinator.db-wal is damaged "
             "or gone",
             (unsigned long long)said, (unsigned long long)there);
    finding(f, line);
    return OK;
}

static void check_core(struct fsck *f, struct store *s)
{
    struct core *c = core_make(NULL);
    struct err e = {0};
    enum code rc = c ? store_load(s, c, (int64_t)time(NULL) * 1000, &e)
                     : err_set(&e, ERR_NOMEM, "out of memory");

    if (!rc) rc = core_check(c, &e);
    if (rc) finding(f, e.text);
    core_free(c);
}

static enum code check_rows(struct fsck *f, struct store *s, const struct inspect_pages *p,
                            struct err *e)
{
    size_t before = f->findings;
    enum code rc = inspect_rows(s, finding, f, e);

    if (rc) return rc;
    if (p->damaged && before == f->findings)
        care_say(f->care,
                 "everything in it can be read: what is damaged lies in parts that nothing uses");
    if (before != f->findings) return OK; /* the rest would say the same again */
    if ((rc = inspect_sound(s, finding, f, e))) return rc;
    check_core(f, s);
    return OK;
}

/* ---- objects ---- */

static enum code set_aside(struct fsck *f, const struct object *o, struct err *e)
{
    char folder[PATH_MAX], to[PATH_MAX], name[HASH_TEXT];
    enum code rc = care_path(f->care, "objects/damaged", folder, sizeof folder, e);

    if (rc || (rc = file_make_dirs(folder, e))) return rc;
    snprintf(to, sizeof to, "%.3900s/%s", folder, hash_text(o->hash, name));
    if (rename(o->path, to)) return err_errno(e, "rename %s to %s", o->path, to);
    care_say(f->care, "  set aside as %s", to);
    return OK;
}

static enum code check_object(void *self, const struct object *o, struct err *e)
{
    struct fsck *f = self;
    const struct kept *k = keep_find(&f->keep, o->hash);
    char name[HASH_TEXT], by[64], line[400];
    struct hash found;
    enum code rc;

    f->n_objects++;
    f->bytes += o->bytes;
    if (k) f->seen[k - f->keep.v] = 1;
    if (f->care->quick) return OK;
    rc = hash_file(o->path, &found, NULL, e);
    if (rc == ERR_NOT_FOUND) return OK; /* tidied away at this moment */
    if (!rc && hash_equal(found, o->hash)) return OK;
    snprintf(line, sizeof line, "object %s is damaged%s%s: %s", hash_text(o->hash, name),
             rc ? ", it cannot be read" : "", k ? "" : ", nobody names it",
             k ? keep_text(k, by) : o->path);
    finding(f, line);
    return f->care->set_aside ? set_aside(f, o, e) : OK;
}

static void say_missing(struct fsck *f)
{
    char name[HASH_TEXT], by[64], line[300];
    size_t drawn_again = 0;

    for (size_t i = 0; i < f->keep.n; i++) {
        if (f->seen[i]) continue;
        if (f->keep.v[i].optional) {
            drawn_again++;
            continue;
        }
        snprintf(line, sizeof line, "object %s is not there: %s",
                 hash_text(f->keep.v[i].hash, name), keep_text(&f->keep.v[i], by));
        finding(f, line);
    }
    if (drawn_again)
        care_say(
            f->care,
            "%zu pictures of evaluations are not there; they are drawn again when they are needed",
            drawn_again);
}

static enum code check_objects(struct fsck *f, struct store *s, struct err *e)
{
    char path[PATH_MAX];
    enum code rc = care_path(f->care, "objects", path, sizeof path, e);

    if (!rc) rc = objects_open(&f->objects, path, e);
    if (!rc) rc = keep_make(&f->keep, s, f->objects, e);
    if (!rc && !(f->seen = calloc(f->keep.n + 1, 1))) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (!rc) rc = objects_each(f->objects, check_object, f, e);
    if (!rc) say_missing(f);
    return rc;
}

/* ---- all ---- */

static enum code look(struct fsck *f, const char *path, const struct inspect_pages *p,
                      struct err *e)
{
    struct store *s;
    size_t before;
    enum code rc = store_look(&s, path, e);

    if (rc == ERR_CORRUPT) finding(f, e->text);
    if (rc) return rc == ERR_CORRUPT ? OK : rc;
    if (!(rc = inspect_still(s, 1, e)) && !(rc = check_batches(f, s, e)))
        rc = check_rows(f, s, p, e);
    /* With rows that cannot be read nobody can say which objects are named. */
    before = f->findings;
    if (!rc) rc = check_objects(f, s, before ? NULL : e);
    if (rc && before) {
        care_say(f->care, "objects were not looked at: what names them cannot be read");
        rc = OK;
    }
    store_close(s);
    return rc;
}

/* No damage, but room that nobody uses. */
static enum code count_uploads(struct fsck *f, struct err *e)
{
    struct arrivals old;
    char size[32];
    enum code rc = incoming_old(f->care, UPLOAD_OLD_S, 0, &old, e);

    if (rc) return rc;
    json_object_set_new(f->care->out, "uploads", json_integer((json_int_t)old.n));
    json_object_set_new(f->care->out, "upload_bytes", json_integer((json_int_t)old.bytes));
    if (old.n)
        care_say(f->care,
                 "%llu uploads of %s were broken off more than a day ago; engram gc --remove "
                 "removes them",
                 (unsigned long long)old.n, care_bytes(old.bytes, size));
    return OK;
}

static enum code sum_up(struct fsck *f)
{
    char size[32];

    json_object_set_new(f->care->out, "findings", json_integer((json_int_t)f->findings));
    json_object_set_new(f->care->out, "objects", json_integer((json_int_t)f->n_objects));
    json_object_set_new(f->care->out, "bytes", json_integer((json_int_t)f->bytes));
    if (!f->findings) {
        care_say(f->care, "all is well: %zu objects of %s%s", f->n_objects,
                 care_bytes(f->bytes, size), f->care->quick ? ", not read" : "");
        return OK;
    }
    care_say(f->care,
             "%zu finding%s. A damaged object comes back by sending it again (engram fsck "
             "--set-aside makes room); for "
             "a damaged database: engram restore --from BACKUP",
             f->findings, f->findings == 1 ? "" : "s");
    return ERR_CORRUPT;
}

enum code care_fsck(struct care *c, struct err *e)
{
    struct fsck f = {.care = c};
    struct inspect_pages pages;
    char path[PATH_MAX];
    enum code rc = care_path(c, "coordinator.db", path, sizeof path, e);

    if (!rc) rc = inspect_pages(path, &pages, e);
    if (!rc && pages.damaged) say_pages(&f, &pages);
    if (!rc) rc = look(&f, path, &pages, e);
    if (!rc) rc = count_uploads(&f, e);
    if (!rc) rc = sum_up(&f);
    objects_close(f.objects);
    keep_fini(&f.keep);
    free(f.seen);
    return rc;
}
