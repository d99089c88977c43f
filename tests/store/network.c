/* A database on a network file system is refused by name, and nothing is made there; on others it opens. The program's own
 * statfs says where it lies. */
#include "coordinator/store/store.h"
#include "base/file.h"
#include "tests/tap.h"

#include <limits.h>
#include <sys/vfs.h>

static long lies_on;

int statfs(const char *path, struct statfs *out)
{
    (void)path;
    memset(out, 0, sizeof *out);
    out->f_type = lies_on;
    return 0;
}

static void try_on(long type, const char *name)
{
    char path[PATH_MAX];
    struct store *s = NULL;
    struct err e = {0};

    snprintf(path, sizeof path, "%s/%s.db", tap_folder(), name);
    lies_on = type;
    enum code rc = store_open(&s, path, &e);
    store_close(s);
    if (strcmp(name, "local") == 0) {
        is_code(rc, OK, &e, "a database of type %lx opens", (unsigned long)type);
        return;
    }
    is_code(rc, ERR_ENVIRONMENT, NULL, "on %s it is refused", name);
    ok(strstr(e.text, path) && strstr(e.text, name) && strstr(e.text, "--home") &&
           !strchr(e.text, '\n'),
       "in one line, which says what to do: %s", e.text);
    ok(!file_exists(path), "and nothing was made");
}

int main(void)
{
    try_on(0x6969, "NFS");
    try_on((long)0xff534d42, "CIFS");
    try_on((int)0xff534d42, "CIFS"); /* as some kernels extend it */
    try_on(0xef53, "local");
    try_on(0x01021994, "local");
    return done_testing();
}
