/* memory: peaks that the kernel counted, and the lowest of the limits that hold for a process. */
#include "base/memory.h"
#include "tests/tap.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[256];

static void write_file(const char *name, const char *text)
{
    char command[1024], path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s')\"", path);
    if (system(command)) return;
    FILE *f = fopen(path, "w");
    if (!f) return;
    fputs(text, f);
    fclose(f);
}

static void peaks(void)
{
    enum { BYTES = 64 << 20 };
    memory_peak_reset();
    size_t before = memory_peak();
    char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 1, BYTES);
    munmap(p, BYTES);
    size_t after = memory_peak();
    ok(before > 0 && after >= before + BYTES - (1 << 20),
       "64 MiB that came and went are in the peak");
    memory_peak_reset();
    ok(memory_peak() < after, "and a reset forgets them");
    ok(memory_free().bytes > 0 && memory_free().what, "something is free here");
}

static void shared(void)
{
    enum { BYTES = 16 << 20 };
    size_t before = memory_shared();
    char *alone = malloc(BYTES),
         *both = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(alone, 1, BYTES);
    memset(both, 1, BYTES);
    size_t after = memory_shared();
    ok(before > 0 && after >= before + BYTES && after < before + 2 * (size_t)BYTES,
       "memory that others may have, too, is told from memory of our own");
    munmap(both, BYTES);
    free(alone);
}

static void limits(void)
{
    snprintf(root, sizeof root, "%s/limits", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    ok(memory_free_at(root).bytes == SIZE_MAX, "without any file nothing is known");
    write_file("proc/meminfo", "MemTotal:       100 kB\nMemAvailable:    90 kB\n");
    is_int(memory_free_at(root).bytes, 90 * 1024, "MemAvailable is a limit");
    write_file("proc/self/cgroup", "0::/a/b\n");
    is_int(memory_free_at(root).bytes, 90 * 1024, "a group without files is none");
    write_file("sys/fs/cgroup/a/b/memory.max", "max\n");
    write_file("sys/fs/cgroup/a/b/memory.current", "5000\n");
    is_int(memory_free_at(root).bytes, 90 * 1024, "\"max\" is none");
    write_file("sys/fs/cgroup/a/memory.max", "70000\n");
    write_file("sys/fs/cgroup/a/memory.current", "30000\n");
    write_file("sys/fs/cgroup/a/memory.stat", "anon 20000\ninactive_file 10000\n");
    is_int(memory_free_at(root).bytes, 50000,
           "a parent's limit holds, pages of files can be dropped");
    ok(strstr(memory_free_at(root).what, "control group") != NULL, "and is named");
    write_file("proc/self/cgroup", "9:cpu:/x\n4:memory:/job\n");
    write_file("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "40000\n");
    write_file("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "50000\n");
    write_file("sys/fs/cgroup/memory/job/memory.stat", "total_inactive_file 20000\n");
    is_int(memory_free_at(root).bytes, 10000, "version 1 is read, too");
    write_file("sys/fs/cgroup/memory/job/memory.stat", "");
    is_int(memory_free_at(root).bytes, 0, "more used than allowed leaves nothing");
}

enum { HELD = 32 << 20 };
#ifdef __SANITIZE_THREAD__
enum { SHADOWS = 8 }; /* the sanitizer keeps a history of every byte */
#else
enum { SHADOWS = 1 };
#endif

/* What a child of this program does: takes memory, says so, and waits until nobody listens any more. */
static int hold(void)
{
    char *p = malloc(HELD), c;
    memset(p, 1, HELD);
    int told = write(1, p, 1) == 1;
    while (told && read(0, &c, 1) > 0) continue;
    free(p);
    return 0;
}

static void held(const char *self)
{
    int up[2], down[2];
    char c;
    if (pipe(up) || pipe(down)) return;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(down[0], 0);
        dup2(up[1], 1);
        close(down[1]);
        execl(self, self, "hold", "/a/home", (char *)NULL);
        _exit(127);
    }
    close(down[0]);
    ok(read(up[0], &c, 1) == 1, "a child holds memory");
    const char *name = strrchr(self, '/') ? strrchr(self, '/') + 1 : self;
    size_t bytes = memory_held(name, "/a/home");
    ok(bytes >= HELD && bytes < 2 * SHADOWS * (size_t)HELD, "it is found by program and argument");
    is_int(memory_held(name, "/another/home"), 0, "and only by its own argument");
    is_int(memory_held("no-such-program", "/a/home"), 0, "and only by its own name");
    close(down[1]);
    waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "hold")) return hold();
    peaks();
    shared();
    limits();
    held(argv[0]);
    return done_testing();
}
