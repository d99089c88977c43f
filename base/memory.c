/* memory.c - a few numbers from text files of the kernel. A file that is absent or says nothing readable sets no limit.
 *
 * A group's pages of files count as used although they can be dropped, so its inactive_file is added to what is left. A limit of
 * a parent group holds for its children: the whole path is walked.
 */
#include "base/memory.h"

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number behind `key` (or at the beginning, for ""), 1 if it is there. "max" is no number. */
static int number_in(const char *path, const char *key, size_t *out)
{
    char line[512];
    int found = 0;
    FILE *f = fopen(path, "r");
    while (f && !found && fgets(line, sizeof line, f)) {
        char *end;
        size_t n = strlen(key);
        if (strncmp(line, key, n) != 0) continue;
        unsigned long long v = strtoull(line + n, &end, 10);
        found = end != line + n;
        if (found) *out = v > SIZE_MAX ? SIZE_MAX : (size_t)v;
    }
    if (f) fclose(f);
    return found;
}

size_t memory_peak(void)
{
    size_t kib = 0;
    number_in("/proc/self/status", "VmHWM:", &kib);
    return kib * 1024;
}

void memory_peak_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (!f) return;
    fputs("5", f);
    fclose(f);
}

size_t memory_shared(void)
{
    size_t file = 0, shmem = 0;
    number_in("/proc/self/status", "RssFile:", &file);
    number_in("/proc/self/status", "RssShmem:", &shmem);
    return (file + shmem) * 1024;
}

static void lower(struct memory_limit *l, size_t bytes, const char *what)
{
    if (bytes < l->bytes) *l = (struct memory_limit){bytes, what};
}

/* One group's folder: what its limit leaves. Names differ between the versions, not the arithmetic. */
static void group_limit(struct memory_limit *l, const char *dir, const char *limit,
                        const char *usage, const char *inactive)
{
    char path[PATH_MAX + 64];
    size_t most, used, droppable = 0;
    snprintf(path, sizeof path, "%s/%s", dir, limit);
    if (!number_in(path, "", &most)) return;
    snprintf(path, sizeof path, "%s/%s", dir, usage);
    if (!number_in(path, "", &used)) return;
    snprintf(path, sizeof path, "%s/memory.stat", dir);
    number_in(path, inactive, &droppable);
    used -= droppable < used ? droppable : used;
    lower(l, most > used ? most - used : 0, "left by the control group of this process");
}

/* "0::/a/b" or "4:memory:/a/b": the group of each version, then its parents. */
static void walk_groups(struct memory_limit *l, const char *root, char *line)
{
    int second = !strncmp(line, "0::", 3);
    char *at = second ? line + 2 : strstr(line, ":memory:");
    char dir[PATH_MAX];
    if (!at) return;
    at = strchr(at + 1, '/');
    if (!at) return;
    at[strcspn(at, "\n")] = '\0';
    for (;;) {
        snprintf(dir, sizeof dir, "%s/sys/fs/cgroup%s%s", root, second ? "" : "/memory", at);
        if (second) group_limit(l, dir, "memory.max", "memory.current", "inactive_file ");
        else
            group_limit(l, dir, "memory.limit_in_bytes", "memory.usage_in_bytes",
                        "total_inactive_file ");
        char *slash = strrchr(at, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

struct memory_limit memory_free_at(const char *root)
{
    struct memory_limit l = {SIZE_MAX, "not limited here"};
    char path[PATH_MAX], line[PATH_MAX];
    size_t kib;
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    if (number_in(path, "MemAvailable:", &kib)) lower(&l, kib * 1024, "free on this machine");
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) walk_groups(&l, root, line);
    if (f) fclose(f);
    return l;
}

struct memory_limit memory_free(void)
{
    return memory_free_at("");
}

/* argv[0] ends in the program's name, and one of the others is the argument. */
static int is_process(const char *pid, const char *program, const char *argument)
{
    char path[PATH_MAX], line[4096];
    snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(line, 1, sizeof line - 1, f) : 0;
    if (f) fclose(f);
    line[n] = '\0';
    const char *name = strrchr(line, '/');
    if (!n || strcmp(name ? name + 1 : line, program) != 0) return 0;
    for (size_t i = strlen(line) + 1; i < n; i += strlen(line + i) + 1)
        if (!strcmp(line + i, argument)) return 1;
    return 0;
}

size_t memory_held(const char *program, const char *argument)
{
    size_t sum = 0, kib;
    DIR *d = opendir("/proc");
    for (struct dirent *p; d && (p = readdir(d));) {
        char path[PATH_MAX];
        if (p->d_name[0] < '1' || p->d_name[0] > '9') continue;
        if (!is_process(p->d_name, program, argument)) continue;
        snprintf(path, sizeof path, "/proc/%.20s/status", p->d_name);
        if (number_in(path, "RssAnon:", &kib)) sum += kib * 1024;
        snprintf(path, sizeof path, "/proc/%.20s/smaps_rollup", p->d_name);
        if (number_in(path, "Pss_Shmem:", &kib)) sum += kib * 1024; /* its part of what it shares */
    }
    if (d) closedir(d);
    return sum;
}
