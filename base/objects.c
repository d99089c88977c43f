/* objects.c - blobs under the names of their hashes.
 *
 * An object is there when its file is there under its final name; file_commit makes that atomic and durable, also
 * between processes: two writers of one object rename equal bytes over each other. A name that is there is not yet a name
 * that stays: its writer may have been killed, or refused by the disk, before it synced the folder. So nobody says of an object
 * "it is there already" without syncing its folder, and nobody trusts one of the 256 folders before having synced the root once.
 */
#include "base/objects.h"
#include "base/arena.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_ROOM = HASH_TEXT + 2, PIECE = 256 << 10 };

struct objects {
    char *root;                  /* owned */
    _Atomic uint8_t stands[256]; /* the name of this folder is durable */
};

enum code objects_open(struct objects **o, const char *root, struct err *e)
{
    enum code rc = ERR_NOMEM;
    struct objects *made = mem_alloc(1, sizeof *made);
    char *copy = mem_alloc(strlen(root) + 1, 1);
    if (!made || !copy) {
        err_set(e, rc, "no memory to open the object store %s", root);
        goto free_both;
    }
    if (strlen(root) + NAME_ROOM > PATH_MAX / 2) {
        rc = err_set(e, ERR_INPUT, "the path of the object store is too long: %s", root);
        goto free_both;
    }
    if ((rc = file_make_dirs(root, e))) goto free_both;
    made->root = strcpy(copy, root);
    *o = made;
    return OK;
free_both:
    free(copy);
    free(made);
    return rc;
}

void objects_close(struct objects *o)
{
    if (!o) return;
    free(o->root);
    free(o);
}

void objects_path(const struct objects *o, struct hash h, char *out, size_t out_bytes)
{
    char name[HASH_TEXT];
    hash_text(h, name);
    snprintf(out, out_bytes, "%s/%.2s/%s", o->root, name, name + 2);
}

int objects_has(struct objects *o, struct hash h)
{
    char path[PATH_MAX];
    objects_path(o, h, path, sizeof path);
    return file_exists(path);
}

/* Fills path and makes sure of the folder that it lies in. */
static enum code make_place(struct objects *o, struct hash h, char path[PATH_MAX], struct err *e)
{
    enum code rc = OK;
    objects_path(o, h, path, PATH_MAX);
    if (o->stands[h.v[0]]) return OK;
    char *slash = strrchr(path, '/');
    *slash = 0;
    rc = file_make_dirs(path, e);
    *slash = '/';
    if (!rc) o->stands[h.v[0]] = 1;
    return rc;
}

/* The object was found: its name becomes durable, whoever wrote it, and it is as new, so that nobody tidies it away before
 * somebody names it. *gone: it was tidied away at this moment. */
static enum code keep_found(struct objects *o, struct hash h, int *gone, struct err *e)
{
    char path[PATH_MAX];
    enum code rc = make_place(o, h, path, e);
    /* Another user's object cannot be touched; it is theirs to keep. */
    *gone = !rc && utimensat(AT_FDCWD, path, NULL, 0) && errno == ENOENT;
    return rc || *gone ? rc : file_sync_name(path, e);
}

static int is_right(struct objects *o, struct hash h)
{
    char path[PATH_MAX];
    struct hash found;
    objects_path(o, h, path, sizeof path);
    return hash_file(path, &found, NULL, NULL) == OK && hash_equal(found, h);
}

/* 1: it is there, and stays. One that is damaged is not there: whoever has the bytes writes it anew. */
static int is_kept(struct objects *o, struct hash h, enum code *rc, struct err *e)
{
    int gone;
    *rc = OK;
    if (!objects_has(o, h) || !is_right(o, h)) return 0;
    *rc = keep_found(o, h, &gone, e);
    return !gone;
}

enum code objects_put(struct objects *o, const void *data, size_t bytes, struct hash *out,
                      struct err *e)
{
    char path[PATH_MAX];
    struct hash h = hash_bytes(data, bytes);
    enum code rc;
    if (!is_kept(o, h, &rc, e) && !(rc = make_place(o, h, path, e)))
        rc = file_write(path, data, bytes, e);
    if (!rc && out) *out = h;
    return rc;
}

enum code objects_keep(struct objects *o, struct hash h, struct err *e)
{
    char name[HASH_TEXT];
    int gone = !objects_has(o, h);
    enum code rc = gone ? OK : keep_found(o, h, &gone, e);
    if (gone)
        return err_set(e, ERR_NOT_FOUND, "object %s is not in %s", hash_text(h, name), o->root);
    return rc;
}

enum code objects_take(struct objects *o, const char *path, struct hash h, struct err *e)
{
    char place[PATH_MAX];
    enum code rc = make_place(o, h, place, e);
    if (rc) return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return err_errno(e, "open %s", path);
    if (fsync(fd)) rc = err_errno(e, "sync %s", path);
    close(fd);
    if (!rc && rename(path, place)) rc = err_errno(e, "rename %s to %s", path, place);
    return rc ? rc : file_sync_name(place, e);
}

/* Copies and hashes in one pass: the object is named by the bytes that were written, even if the source changes. */
static enum code copy_hashed(int from, const char *path, struct file_new *to, struct hash *out,
                             struct err *e)
{
    enum code rc = OK;
    unsigned char *piece = mem_alloc(1, PIECE);
    struct hash_stream *s = hash_begin();
    if (!piece || !s) rc = err_set(e, ERR_NOMEM, "no memory to copy %s", path);
    while (!rc) {
        ssize_t n = read(from, piece, PIECE);
        if (n == 0) break;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            rc = err_errno(e, "read %s", path);
            break;
        }
        hash_add(s, piece, (size_t)n);
        rc = file_add(to, piece, (size_t)n, e);
    }
    struct hash h = hash_end(s);
    if (!rc) *out = h;
    free(piece);
    return rc;
}

static enum code store_copy(struct objects *o, int from, const char *source, struct hash *out,
                            struct err *e)
{
    char path[PATH_MAX];
    struct file_new f;
    struct hash h;
    enum code rc;
    snprintf(path, sizeof path, "%s/copy", o->root);
    if ((rc = file_begin(&f, path, e))) return rc;
    if ((rc = copy_hashed(from, source, &f, &h, e))) goto abandon;
    if (!is_kept(o, h, &rc, e) && !(rc = make_place(o, h, path, e))) rc = file_commit(&f, path, e);
    if (!rc && out) *out = h;
abandon:
    file_abandon(&f);
    return rc;
}

/* Hashes first, because most files that are put a second time are large (base models) and need no copy. */
enum code objects_put_file(struct objects *o, const char *path, struct hash *out, struct err *e)
{
    struct hash h;
    enum code rc = hash_file(path, &h, NULL, e);
    if (rc) return rc;
    if (is_kept(o, h, &rc, e)) {
        if (out) *out = h;
        return rc;
    }
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0) return err_errno(e, "open %s", path);
    rc = store_copy(o, from, path, out, e);
    close(from);
    return rc;
}

enum code objects_get(struct objects *o, struct hash h, size_t limit, struct bytes *out,
                      struct err *e)
{
    char path[PATH_MAX], name[HASH_TEXT];
    struct bytes b;
    objects_path(o, h, path, sizeof path);
    if (!file_exists(path))
        return err_set(e, ERR_NOT_FOUND, "object %s is not in %s", hash_text(h, name), o->root);
    enum code rc = file_read(path, limit, &b, e);
    if (rc) return rc;
    if (!hash_equal(hash_bytes(b.data, b.n), h)) {
        free(b.data);
        return err_set(e, ERR_CORRUPT, "object %s is damaged on disk: restore or remove %s",
                       hash_text(h, name), path);
    }
    *out = b;
    return OK;
}

/* <root>/ab/cdef... back to a hash. */
static int parse_name(int folder, const char *rest, struct hash *h)
{
    char text[HASH_TEXT];
    if (strlen(rest) != HASH_TEXT - 3) return 0;
    snprintf(text, sizeof text, "%02x%.62s", (unsigned)(folder & 255), rest);
    return hash_parse(text, h, NULL) == OK;
}

static enum code each_in(struct objects *o, int folder, objects_fn *each, void *self, struct err *e)
{
    char path[PATH_MAX];
    struct dirent **names = NULL;
    struct object found = {.path = path};
    struct stat st;
    enum code rc = OK;
    snprintf(path, sizeof path, "%s/%02x", o->root, (unsigned)folder);
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) return errno == ENOENT ? OK : err_errno(e, "open folder %s", path);
    for (int i = 0; i < n; i++) {
        if (!rc && parse_name(folder, names[i]->d_name, &found.hash)) {
            objects_path(o, found.hash, path, sizeof path);
            if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
                found.bytes = (uint64_t)st.st_size;
                found.changed_s = st.st_mtime;
                rc = each(self, &found, e);
            }
        }
        free(names[i]);
    }
    free(names);
    return rc;
}

enum code objects_each(struct objects *o, objects_fn *each, void *self, struct err *e)
{
    enum code rc = OK;
    for (int folder = 0; !rc && folder < 256; folder++) rc = each_in(o, folder, each, self, e);
    return rc;
}

enum code objects_sweep(struct objects *o, struct err *e)
{
    char path[PATH_MAX];
    enum code rc = file_sweep(o->root, e);
    for (int i = 0; !rc && i < 256; i++) {
        snprintf(path, sizeof path, "%s/%02x", o->root, (unsigned)i);
        if (file_exists(path)) rc = file_sweep(path, e);
    }
    return rc;
}
