/* Durable files: whole or not at all, also when the writer is killed or the disk is full. */
#include "base/file.h"
#include "base/arena.h"
#include "base/philox.h"
#include "tests/tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static char path[400];

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", tap_folder(), name);
    return path;
}

static int count_entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    if (!d) return -1;
    for (struct dirent *entry; (entry = readdir(d));) n += entry->d_name[0] != '.';
    closedir(d);
    return n;
}

static void test_round_trip(void)
{
    struct err e;
    struct bytes b;
    const char *at = in_folder("a");
    is_code(file_write(at, "hello", 5, &e), OK, &e, "a file is written");
    is_code(file_read(at, 5, &b, &e), OK, &e, "and read up to its limit");
    ok(b.n == 5 && !strcmp((char *)b.data, "hello"), "with a NUL behind its bytes");
    free(b.data);
    is_code(file_read(at, 4, &b, &e), ERR_INPUT, &e, "a limit below its size refuses it");
    is_code(file_write(at, "", 0, &e), OK, &e, "nothing replaces it");
    is_code(file_read(at, 0, &b, &e), OK, &e, "and is read");
    is_int(b.n, 0, "as nothing");
    free(b.data);
    is_code(file_read("/proc/self/stat", 1 << 20, &b, &e), OK, &e,
            "a file whose size stat hides is read");
    ok(b.n > 20, "to its end");
    free(b.data);
    is_code(file_read("/dev/zero", 100000, &b, &e), ERR_INPUT, &e,
            "an endless file ends at the limit");
    is_code(file_read(in_folder("none"), 9, &b, &e), ERR_NOT_FOUND, &e,
            "a missing file is not found");
    is_code(file_read(tap_folder(), 9, &b, &e), ERR_IO, &e, "a folder cannot be read");
    is_code(file_write(in_folder("none/x"), "", 0, &e), ERR_NOT_FOUND, &e,
            "nor written into if missing");
    is_int(count_entries(tap_folder()), 1, "no temporary file stays");
    is_code(file_write_private(in_folder("key"), "k", 1, &e), OK, &e, "a secret is written");
    struct stat st;
    ok(!stat(path, &st) && (st.st_mode & 0777) == 0600, "for its owner only");
}

static void test_map(void)
{
    struct err e;
    struct file_map m;
    file_write(in_folder("mapped"), "abc", 3, &e);
    is_code(file_map_open(&m, path, &e), OK, &e, "a file is mapped");
    ok(m.n == 3 && !memcmp(m.data, "abc", 3), "with its bytes");
    file_map_close(&m);
    file_write(in_folder("mapped"), "", 0, &e);
    is_code(file_map_open(&m, path, &e), OK, &e, "an empty file too");
    ok(m.n == 0 && m.data, "to a place of no bytes");
    file_map_close(&m);
    is_code(file_map_open(&m, tap_folder(), &e), ERR_INPUT, &e, "a folder is refused");
}

static void test_release(void)
{
    enum { BYTES = 5 * 4096 + 7 };
    static _Alignas(4096) unsigned char bytes[BYTES];
    struct err e;
    struct file_map m;
    for (int i = 0; i < BYTES; i++) bytes[i] = (unsigned char)(i * 31 + 1);
    file_write(in_folder("large"), bytes, BYTES, &e);
    if (!is_code(file_map_open(&m, path, &e), OK, &e, "several pages are mapped")) return;
    file_map_release(&m, m.data, m.n);
    file_map_release(&m, m.data + 100, 2 * 4096);
    ok(!memcmp(m.data, bytes, BYTES), "pages that were given back come back");
    file_map_release(&m, bytes, BYTES);
    ok(!memcmp(m.data, bytes, BYTES), "memory that is no map's is left alone");
    file_map_close(&m);
}

static void test_dirs(void)
{
    struct err e;
    is_code(file_make_dirs(in_folder("d/e/f/"), &e), OK, &e, "folders are made, all of them");
    is_code(file_make_dirs(in_folder("d/e/f"), &e), OK, &e, "twice is fine");
    ok(file_exists(path), "they exist");
    file_write(in_folder("plain"), "", 0, &e);
    ok(file_make_dirs(in_folder("plain/x"), &e) != OK, "but not inside a file: %s", e.text);
}

/* The n-th allocation fails: an error, no leak (SAN=1 sees those), no leftover, the old bytes. */
static void test_faults(void)
{
    struct err e;
    struct bytes b;
    int failures = 0, good = 1;
    file_write(in_folder("faults"), "old", 3, &e);
    for (long n = 1; n < 20; n++) {
        arena_fail_after(n);
        enum code rc = file_write(in_folder("faults"), "old", 3, &e);
        if (!rc) rc = file_read(path, 10, &b, &e);
        arena_fail_after(0);
        if (!rc) {
            good &= b.n == 3;
            free(b.data);
            break;
        }
        good &= rc == ERR_NOMEM;
        failures++;
    }
    ok(good && failures == 3, "%d failing allocations are all told", failures);
}

static int is_whole(const struct bytes *b)
{
    for (size_t i = 1; i < b->n; i++)
        if (b->data[i] != b->data[0]) return 0;
    return b->n == 40000u + b->data[0];
}

/* Says through the pipe when a version is written: a busy disk may take longer for one than a writer is left alive. */
static void write_forever(const char *at, int pipe_end, unsigned v)
{
    static uint8_t data[41000];
    for (;; v = (v + 1) % 256) {
        memset(data, (int)v, sizeof data);
        if (file_write(at, data, 40000 + v, NULL) || write(pipe_end, "", 1) != 1) _exit(1);
    }
}

/* Each version is 40000 + v bytes of value v: a mixture of two would show. */
static void test_kill(void)
{
    uint64_t seed = tap_seed(20260101);
    struct err e;
    const char *dir = in_folder("killed");
    char at[500];
    int torn = 0, different = 0, last = -1;
    file_make_dirs(dir, &e);
    snprintf(at, sizeof at, "%s/file", dir);
    uint8_t first[40000] = {0};
    file_write(at, first, sizeof first, &e);
    for (uint32_t i = 0; i < 200; i++) {
        int ends[2];
        char written;
        if (pipe(ends)) break;
        pid_t child = fork();
        if (child == 0) write_forever(at, ends[1], i % 256);
        if (read(ends[0], &written, 1) != 1) note("the writer wrote nothing");
        uint32_t us = philox_below(philox_key(seed, PHILOX_TEST), i, 0, 4000);
        nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(ends[0]);
        close(ends[1]);
        struct bytes b = {0};
        if (file_read(at, 1 << 20, &b, &e) || !is_whole(&b)) torn++;
        if (b.data && b.data[0] != last) {
            different++;
            last = b.data[0];
        }
        free(b.data);
    }
    is_int(torn, 0, "after 200 kills the file is always old or new, never torn");
    ok(different > 5, "and was being written (%d versions seen)", different);
    int before = count_entries(dir);
    is_code(file_sweep(dir, &e), OK, &e, "the folder is swept");
    is_int(count_entries(dir), 1, "of all %d leftovers of dead writers", before - 1);
}

static void test_sweep(void)
{
    struct err e;
    struct file_new f;
    char mine[500];
    const char *dir = in_folder("swept");
    snprintf(mine, sizeof mine, "%s", dir);
    file_make_dirs(mine, &e);
    is_code(file_begin(&f, in_folder("swept/x"), &e), OK, &e, "a file is begun");
    const char *innocent = in_folder("swept/notes.tmp-old");
    file_write(innocent, "", 0, &e);
    file_write(in_folder("swept/x.tmp-00000000-1-0"), "", 0, &e);
    file_sweep(mine, &e);
    is_int(count_entries(mine), 3, "files of the living, of other hosts and of other people stay");
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    utimensat(AT_FDCWD, path, old, 0);
    file_sweep(mine, &e);
    is_int(count_entries(mine), 2, "another host's goes when it is a day old");
    is_code(file_add(&f, "ab", 2, &e), OK, &e, "the living writer goes on");
    is_code(file_add(&f, "cd", 2, &e), OK, &e, "in pieces");
    is_code(file_commit(&f, in_folder("swept/y"), &e), OK, &e,
            "and commits under the name it likes");
    file_abandon(&f);
    struct bytes b = {0};
    ok(!file_read(path, 9, &b, &e) && b.n == 4 && !memcmp(b.data, "abcd", 4),
       "all pieces are there");
    free(b.data);
}

/* A writer that was killed, and whose parent has not asked for it yet, writes no more. */
static void test_sweep_zombie(void)
{
    struct err e;
    struct file_new f;
    siginfo_t info;
    char dir[500];
    snprintf(dir, sizeof dir, "%s", in_folder("zombie"));
    file_make_dirs(dir, &e);
    pid_t child = fork();
    if (child == 0) _exit(file_begin(&f, in_folder("zombie/x"), &e));
    waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
    is_int(count_entries(dir), 1, "a writer has died and left its file");
    file_sweep(dir, &e);
    is_int(count_entries(dir), 0, "which goes while the dead one still has its number");
    waitpid(child, NULL, 0);
}

/* A file-size limit stands for a disk that refuses: the write fails, the old file and nothing else stays. */
static void test_refused(void)
{
    struct err e;
    char dir[500];
    snprintf(dir, sizeof dir, "%s", in_folder("refused"));
    file_make_dirs(dir, &e);
    file_write(in_folder("refused/x"), "old", 3, &e);
    pid_t child = fork();
    if (child == 0) {
        static char large[100000];
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){50000, 50000});
        _exit((int)file_write(path, large, sizeof large, NULL));
    }
    int status;
    waitpid(child, &status, 0);
    is_int(WEXITSTATUS(status), ERR_IO, "a write that is refused half-way is an error");
    is_int(count_entries(dir), 1, "its temporary file is removed");
    struct bytes b = {0};
    ok(!file_read(path, 9, &b, &e) && b.n == 3, "the old file stays");
    free(b.data);
}

/* In a child with its own mounts; 77: this machine does not let us. */
static int fill_disk(const char *dir)
{
    static char large[1 << 20];
    char file[600];
    if (unshare(CLONE_NEWNS | (getuid() ? CLONE_NEWUSER : 0))) return 77;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return 77;
    if (mount("tmpfs", dir, "tmpfs", 0, "size=256k")) return 77;
    snprintf(file, sizeof file, "%s/x", dir);
    enum code rc = file_write(file, large, sizeof large, NULL);
    return count_entries(dir) == 0 ? (int)rc : 99;
}

static void test_full(void)
{
    char dir[500];
    snprintf(dir, sizeof dir, "%s", in_folder("full"));
    file_make_dirs(dir, NULL);
    pid_t child = fork();
    if (child == 0) _exit(fill_disk(dir));
    int status;
    waitpid(child, &status, 0);
    const char *sentence = "a full disk is ERR_FULL and leaves nothing";
    if (WEXITSTATUS(status) == 77)
        skip("mounting a small disk is not allowed here", "%s", sentence);
    else is_int(WEXITSTATUS(status), ERR_FULL, "%s", sentence);
}

int main(void)
{
    test_round_trip();
    test_map();
    test_release();
    test_dirs();
    test_faults();
    test_kill();
    test_sweep();
    test_sweep_zombie();
    test_refused();
    test_full();
    return done_testing();
}
