/* fuzz.c - parts of an input, and files for readers that want a path. */
#include "tests/fuzz/support/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[200];

void fuzz_broken(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

void fuzz_refused(enum code rc, const struct err *e)
{
    must(rc > OK && rc < ERR_CODES && rc != ERR_INTERNAL);
    must(e->code == rc && *e->text);
    for (const char *c = e->text; *c; c++) must((unsigned char)*c >= ' ');
}

void fuzz_split(const uint8_t *data, size_t n, struct fuzz_part *part, int most)
{
    static const uint8_t line[] = "\n%%\n";
    for (int i = 0; i < most; i++) {
        const uint8_t *cut = i + 1 < most && n ? memmem(data, n, line, 4) : NULL;
        part[i] = (struct fuzz_part){data, cut ? (size_t)(cut - data) : n};
        n -= cut ? part[i].n + 4 : n;
        data = cut ? cut + 4 : NULL;
    }
}

char *fuzz_text(struct fuzz_part part)
{
    char *s = malloc(part.n + 1);
    must(s);
    if (part.n) memcpy(s, part.data, part.n);
    s[part.n] = 0;
    return s;
}

static void folder_remove(void)
{
    char command[sizeof folder + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command)) fprintf(stderr, "# could not remove %s\n", folder);
}

const char *fuzz_folder(void)
{
    const char *in = getenv("TMPDIR");
    if (*folder) return folder;
    snprintf(folder, sizeof folder, "%.150s/fuzz-engram-XXXXXX", in ? in : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(99);
    }
    atexit(folder_remove);
    return folder;
}

const char *fuzz_file(const char *name, struct fuzz_part part)
{
    static char path[4][sizeof folder + 100];
    static int next;
    char *at = path[next = (next + 1) % 4];
    snprintf(at, sizeof path[0], "%s/%s", fuzz_folder(), name);
    if (!part.data) {
        unlink(at);
        return at;
    }
    int fd = open(at, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, part.data, part.n) == (ssize_t)part.n);
    close(fd);
    return at;
}
