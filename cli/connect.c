#include "cli/connect.h"

#include "base/file.h"
#include "cli/cli.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROFILE_MOST = 64 << 10, WORD_MOST = 1024 };

/* The three things that reach a coordinator elsewhere. */
enum { CONNECT, SERVER_KEY, KEY, THINGS };

static const struct {
    const char *option, *variable, *word;
} THING[THINGS] = {
    [CONNECT] = {"--connect", "ENGRAM_CONNECT", "connect"},
    [SERVER_KEY] = {"--server-key", "ENGRAM_SERVER_KEY", "server-key"},
    [KEY] = {"--key", "ENGRAM_KEY", "key"},
};

struct said {
    char text[THINGS][PATH_MAX + WORD_MOST];
};

enum code connect_path(const char *name, char *out, size_t bytes, struct err *e)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *user = getenv("HOME");
    int n;

    if (config && config[0] == '/') n = snprintf(out, bytes, "%s/engram/%s", config, name);
    else if (user && user[0] == '/') n = snprintf(out, bytes, "%s/.config/engram/%s", user, name);
    else return err_set(e, ERR_ENVIRONMENT, "no folder for settings: set HOME");
    return (size_t)n < bytes ? OK : err_set(e, ERR_USAGE, "%s: the path is too long", out);
}

/* One line of the profile: a word and what stands behind it. */
static enum code read_line(struct said *s, char *line, const char *path, int number, struct err *e)
{
    line += strspn(line, " \t");
    line[strcspn(line, "\r")] = '\0';
    size_t n = strcspn(line, " \t");
    char *value = line + n + strspn(line + n, " \t");

    if (!*line || *line == '#') return OK;
    for (char *end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t');)
        *--end = '\0';
    for (int i = 0; i < THINGS; i++) {
        if (strlen(THING[i].word) != n || strncmp(line, THING[i].word, n)) continue;
        if (!*value || strlen(value) >= WORD_MOST) break;
        /* A key of one's own lies beside the profile. */
        if (i == KEY && value[0] != '/')
            snprintf(s->text[i], sizeof s->text[i], "%.*s/%s", (int)(strrchr(path, '/') - path),
                     path, value);
        else snprintf(s->text[i], sizeof s->text[i], "%s", value);
        return OK;
    }
    return err_set(
        e, ERR_USAGE,
        "%s:%d: expected \"connect tcp://HOST:PORT\", \"server-key KEY\" or \"key FILE\"", path,
        number);
}

static enum code read_profile(struct said *s, struct err *e)
{
    char path[PATH_MAX], *save = NULL;
    struct bytes b;
    int number = 0;
    enum code rc;

    if (connect_path("connect", path, sizeof path, NULL) || !file_exists(path)) return OK;
    if ((rc = file_read(path, PROFILE_MOST, &b, e))) return rc;
    char *rest = (char *)b.data;
    while (!rc && (save = rest)) {
        rest = strchr(rest, '\n');
        if (rest) *rest++ = '\0';
        rc = read_line(s, save, path, ++number, e);
    }
    free(b.data);
    return rc;
}

static const char *first(const char *option, const char *variable, const char *profile)
{
    const char *env = getenv(variable);
    return option ? option : env && *env ? env : *profile ? profile : NULL;
}

static enum code take_keys(struct link_options *o, const char *const what[THINGS], struct err *e)
{
    for (int i = 0; i < THINGS; i++)
        if (!what[i])
            return err_set(e, ERR_USAGE, "%s is needed, or $%s, to reach %s; see docs/users.md",
                           THING[i].option, THING[i].variable, what[CONNECT]);
    if (keys_parse(what[SERVER_KEY], &o->server_key, e)) return err_context(e, "server key");
    return keys_read(&o->keys, what[KEY], e);
}

enum code connect_where(struct link_options *o, struct err *e)
{
    static struct said profile;
    const char *env = getenv(THING[CONNECT].variable), *home = getenv("ENGRAM_HOME");
    int named = cli.connect || (env && *env), at_home = cli.home || (home && *home);
    enum code rc;

    o->endpoint = NULL;
    if (cli.local || (at_home && !named)) return OK;
    if ((rc = read_profile(&profile, e))) return rc;
    const char *what[THINGS] = {
        first(cli.connect, THING[CONNECT].variable, profile.text[CONNECT]),
        first(cli.server_key, THING[SERVER_KEY].variable, profile.text[SERVER_KEY]),
        first(cli.key, THING[KEY].variable, profile.text[KEY])};
    if (!what[CONNECT]) return OK;
    o->endpoint = what[CONNECT];
    return take_keys(o, what, e);
}
