/* incoming.c - objects that came in part: HOME/incoming/users and /workers have a folder for each key, and in it a file for each
 * (base/arrival.h). An open door looks after them once an hour; one that is shut does not. */
#include "coordinator/care/care.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static enum code of_one_door(const char *door, int64_t older_s, int remove, struct arrivals *found,
                             struct err *e)
{
    char key[PATH_MAX];
    enum code rc = OK;
    struct dirent *f;
    DIR *d = opendir(door);

    if (!d) return errno == ENOENT ? OK : err_errno(e, "open folder %s", door);
    while (!rc && (f = readdir(d))) {
        if (f->d_name[0] == '.') continue;
        snprintf(key, sizeof key, "%.3800s/%.250s", door, f->d_name);
        rc = arrival_old(key, older_s, remove, found, e);
        if (!rc && remove) rmdir(key); /* only if nothing is left; whoever comes makes it again */
    }
    closedir(d);
    return rc;
}

enum code incoming_old(const struct care *c, int64_t older_s, int remove, struct arrivals *found,
                       struct err *e)
{
    static const char *const doors[] = {"incoming/users", "incoming/workers"};
    char path[PATH_MAX];
    enum code rc = OK;

    *found = (struct arrivals){0};
    for (size_t i = 0; i < sizeof doors / sizeof *doors && !rc; i++)
        if (!(rc = care_path(c, doors[i], path, sizeof path, e)))
            rc = of_one_door(path, older_s, remove, found, e);
    return rc;
}
