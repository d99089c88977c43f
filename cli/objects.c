/* objects.c - where a command finds objects: in the home, or fetched into a cache when the coordinator is far away. */
#include "cli/cli.h"
#include "cli/connect.h"

#include "base/cache.h"
#include "proto/fetch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cache *cache;

int cli_is_far(void)
{
    struct link_options o = {0};
    int far = connect_where(&o, NULL) == OK && o.endpoint && strncmp(o.endpoint, "ipc:", 4) != 0;
    memset(&o.keys, 0, sizeof o.keys);
    return far;
}

static enum code cache_path(char *out, size_t bytes, struct err *e)
{
    const char *own = getenv("XDG_CACHE_HOME"), *user = getenv("HOME");
    int n;

    if (own && own[0] == '/') n = snprintf(out, bytes, "%s/engram", own);
    else if (user && user[0] == '/') n = snprintf(out, bytes, "%s/.cache/engram", user);
    else
        return err_set(e, ERR_ENVIRONMENT,
                       "no folder for what is fetched: set HOME or XDG_CACHE_HOME");
    return (size_t)n < bytes ? OK : err_set(e, ERR_USAGE, "%s: the path is too long", out);
}

enum code cli_objects(struct objects **out, struct err *e)
{
    char path[PATH_MAX];
    enum code rc;

    if (!cli_is_far()) {
        rc = cli_path("objects", path, sizeof path, e);
        return rc ? rc : objects_open(out, path, e);
    }
    if ((rc = cache_path(path, sizeof path, e))) return rc;
    if (!cache) rc = cache_open(&cache, path, CLI_CACHE_BYTES, e);
    if (!rc) rc = cache_hold(cache, NULL, 0, e);
    size_t n = strlen(path);
    snprintf(path + n, sizeof path - n, "/objects");
    return rc ? rc : objects_open(out, path, e);
}

void cli_objects_release(void)
{
    if (cache) cache_release(cache, NULL);
    cache_close(cache);
    cache = NULL;
}

enum code cli_bring(struct objects *o, struct origin from, const struct hash *h, size_t n,
                    struct err *e)
{
    struct fetch f = {.store = o, .job = from.job, .within = from.within};
    enum code rc = OK;

    if (!cache) return OK;
    f.folder = cache_incoming(cache);
    for (size_t i = 0; !rc && i < n; i++) {
        if (hash_is_zero(h[i])) continue;
        rc = cache_use(cache, h[i], e);
        if (!rc && objects_has(o, h[i])) continue;
        if (!rc) rc = cli_link(&f.link, e);
        if (!rc) rc = fetch_get(&f, h[i], e);
    }
    return rc;
}

enum code cli_object(struct objects *o, struct origin from, struct hash h, size_t limit,
                     struct bytes *out, struct err *e)
{
    enum code rc = cli_bring(o, from, &h, 1, e);
    char name[HASH_TEXT];

    if (!rc) rc = objects_get(o, h, limit, out, e);
    if (rc != ERR_NOT_FOUND) return rc;
    return err_set(
        e, rc,
        "object %.12s is not there: its job was forgotten (engram queue --all says which "
        "ones were), or it never came",
        hash_text(h, name));
}

enum code cli_send(struct objects *o, const char *path, struct hash *out, struct err *e)
{
    struct fetch f = {.store = o};
    enum code rc;

    if (!cache) return objects_put_file(o, path, out, e);
    rc = hash_file(path, out, NULL, e);
    if (!rc) rc = cli_link(&f.link, e);
    return rc ? rc : fetch_put(&f, path, *out, e);
}
