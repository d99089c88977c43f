#include "coordinator/door/sent.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SENT_S = 7 * 86400 };
static const char SENT[] = ".sent";

static int name_of(const char *incoming, struct hash key, struct hash h, char out[PATH_MAX])
{
    char of[HASH_TEXT], name[HASH_TEXT];
    return snprintf(out, PATH_MAX, "%s/%s/%s%s", incoming, hash_text(key, of), hash_text(h, name),
                    SENT) < PATH_MAX;
}

void sent_note(const char *incoming, struct hash key, struct hash h)
{
    char path[PATH_MAX];
    int fd = -1;

    if (name_of(incoming, key, h, path))
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return;
    futimens(fd, NULL);
    close(fd);
}

static enum code images_sent(const char *incoming, struct hash key, const struct hashes *v,
                             struct err *e)
{
    char path[PATH_MAX], name[HASH_TEXT];

    for (size_t i = 0; i < v->n; i++)
        if (!name_of(incoming, key, v->v[i], path) || access(path, F_OK))
            return err_set(e, ERR_NOT_FOUND,
                           "image %.12s was not sent with this key: send it, then ask again",
                           hash_text(v->v[i], name));
    return OK;
}

enum code sent_all(const char *incoming, struct hash key, const struct message *m, struct arena *a,
                   struct err *e)
{
    enum code rc = OK;

    if (m->kind == MSG_learn) return images_sent(incoming, key, &m->learn.images, e);
    if (m->kind != MSG_submit_many) return OK;
    for (size_t i = 0; i < m->submit_many.rows.n && !rc; i++) {
        struct slice row = m->submit_many.rows.v[i].request;
        struct arena_mark mark = arena_mark(a);
        struct message one;
        /* What cannot be read the coordinator refuses, by itself. */
        if (proto_decode(row.data, row.n, a, &one, NULL) == OK && one.kind == MSG_learn)
            rc = images_sent(incoming, key, &one.learn.images, e);
        arena_reset(a, mark);
    }
    return rc;
}

static int is_note(const char *name)
{
    return strlen(name) == HASH_TEXT - 1 + sizeof SENT - 1 && !strcmp(name + HASH_TEXT - 1, SENT);
}

void sent_sweep(const char *folder)
{
    char path[PATH_MAX];
    struct stat st;
    DIR *d = opendir(folder);

    if (!d) return;
    for (struct dirent *f; (f = readdir(d));)
        if (is_note(f->d_name) &&
            snprintf(path, sizeof path, "%s/%s", folder, f->d_name) < (int)sizeof path &&
            !lstat(path, &st) && time(NULL) - st.st_mtime > SENT_S)
            unlink(path);
    closedir(d);
}
