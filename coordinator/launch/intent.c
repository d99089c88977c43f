#include "coordinator/launch/intent.h"

#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char SUFFIX[] = ".group";
static const char *const state_name[] = {[INTENT_INTENDED] = "intended",
                                         [INTENT_SUBMITTED] = "submitted",
                                         [INTENT_GIVEN_UP] = "given-up"};

static enum code path_of(const char *folder, const char *name, char out[PATH_MAX], struct err *e)
{
    int n = snprintf(out, PATH_MAX, "%s/%s%s", folder, name, SUFFIX);
    return n > 0 && n < PATH_MAX ? OK : err_set(e, ERR_USAGE, "%s: the path is too long", folder);
}

enum code intent_write(const char *folder, const struct intent *i, struct err *e)
{
    char path[PATH_MAX], text[160];
    enum code rc = path_of(folder, i->name, path, e);
    int n = snprintf(text, sizeof text, "engram group 1\nstate %s\nsince_ms %" PRId64 "\njob %s\n",
                     state_name[i->state], i->since_ms, i->job[0] ? i->job : "-");

    return rc ? rc : file_write(path, text, (size_t)n, e);
}

void intent_remove(const char *folder, const struct intent *i)
{
    char path[PATH_MAX];
    if (path_of(folder, i->name, path, NULL) == OK) unlink(path);
}

static int parse(const char *text, struct intent *i)
{
    char state[16], job[SQUEUE_ID];
    int end = 0;

    if (sscanf(text, "engram group 1\nstate %15[a-z-]\nsince_ms %" SCNd64 "\njob %23s%n", state,
               &i->since_ms, job, &end) != 3 ||
        text[end] != '\n' || text[end + 1])
        return 0;
    snprintf(i->job, sizeof i->job, "%s", strcmp(job, "-") ? job : "");
    for (size_t s = 0; s < sizeof state_name / sizeof *state_name; s++)
        if (!strcmp(state, state_name[s])) {
            i->state = (enum intent_state)s;
            return 1;
        }
    return 0;
}

static enum code read_one(const char *folder, struct intent *i, struct err *e)
{
    char path[PATH_MAX];
    struct bytes b;
    enum code rc = path_of(folder, i->name, path, e);

    if (rc || (rc = file_read(path, 4096, &b, e))) return rc;
    if (!parse((const char *)b.data, i)) {
        log_line(LOG_WARN, "%s is damaged; its group is looked for by name", path);
        i->state = INTENT_SUBMITTED;
        i->since_ms = 0;
        i->job[0] = '\0';
    }
    free(b.data);
    return OK;
}

enum code intent_list(const char *folder, uint32_t home, struct intent *out, size_t most, size_t *n,
                      struct err *e)
{
    DIR *d = opendir(folder);
    enum code rc = OK;

    *n = 0;
    if (!d) return err_errno(e, "open folder %s", folder);
    for (struct dirent *f; !rc && *n < most && (f = readdir(d));) {
        size_t length = strlen(f->d_name), tail = sizeof SUFFIX - 1;
        struct intent i = {0};
        uint32_t whose;
        if (length <= tail || strcmp(f->d_name + length - tail, SUFFIX)) continue;
        if (!squeue_name_read(f->d_name, length - tail, &whose, &i.number)) continue;
        memcpy(i.name, f->d_name, length - tail);
        if (whose != home) {
            log_line(LOG_WARN, "group %s belongs to another home; it is forgotten here", i.name);
            intent_remove(folder, &i);
        } else if (!(rc = read_one(folder, &i, e))) {
            out[(*n)++] = i;
        }
    }
    closedir(d);
    return rc;
}
