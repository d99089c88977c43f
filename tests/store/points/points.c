/* Crash points: a working life of a home (support/work.h) is broken at each of its calls that change the disk, in each way that
 * interpose.h and disk.h know. After each: it opens, every invariant holds, what was promised is there, nothing is there twice, and its
 * life goes on to the same end.
 *
 * A quick share by default; POINTS=all is `make crash-points`, POINTS=n every n-th; WAYS="torn eio" only these.
 * timeout: 7200 */
#include "tests/store/interpose/interpose.h"
#include "tests/store/points/support/disk.h"
#include "tests/store/points/support/judge.h"
#include "tests/store/points/support/work.h"
#include "base/file.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SHARE = 6, ARGS = 16 }; /* points of each way in `make test` */

static char folder[300], home[320], before[320], lost[320], trace[320], acks[320];
static const char *program, *library;

/* ---- folders ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

static void remove_all(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int copy_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    char to[PATH_MAX];
    struct bytes b;
    (void)st, (void)where;

    snprintf(to, sizeof to, "%s%s", home, path + strlen(before));
    if (type == FTW_D) return mkdir(to, 0700);
    if (file_read(path, 1 << 24, &b, NULL)) return 1;
    FILE *f = fopen(to, "w");
    int well = f && fwrite(b.data, 1, b.n, f) == b.n;
    if (f) fclose(f);
    free(b.data);
    return !well;
}

static void fresh_home(void)
{
    remove_all(home);
    if (nftw(before, copy_one, 16, FTW_PHYS)) note("%s cannot be copied", before);
}

/* ---- one life, broken or not ---- */

enum then { JUDGED, LOSES_POWER, LIVES_AND_LOSES_POWER };

struct way {
    const char *name; /* for WAYS */
    const char *to;   /* what is done to a call: INTERPOSE_DO */
    int in_a_row;
    const char *only; /* letters of the calls that it is done to; NULL: all */
    int lives;        /* the process goes on and must come to its end; 0: it is killed */
    enum then then;
    const char *sentence;
};

static void put(char *words[ARGS], char text[ARGS][400], const char *name, const char *value)
{
    int n = 0;

    while (words[n]) n++;
    snprintf(text[n], sizeof *text, "%s=%s", name, value);
    words[n] = text[n];
}

/* Lives in a process of its own, broken or not (NULL). The status as waitpid has it. */
static int live(const struct way *w, long point, int traced)
{
    char text[ARGS][400], number[32], *env[ARGS] = {0};
    char self[] = "points", work[] = "work", where[320];
    char *args[] = {self, work, where, NULL};
    int status = -1;
    pid_t pid;

    snprintf(where, sizeof where, "%s", home);
    put(env, text, "LD_PRELOAD", library);
    put(env, text, "ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0");
    put(env, text, "INTERPOSE_UNDER", home);
    put(env, text, "INTERPOSE_ACKS", acks);
    snprintf(number, sizeof number, "%ld", point);
    put(env, text, "INTERPOSE_POINT", number);
    snprintf(number, sizeof number, "%d", w ? w->in_a_row : 1);
    put(env, text, "INTERPOSE_FOR", number);
    put(env, text, "INTERPOSE_DO", w ? w->to : "");
    if (w && w->only) put(env, text, "INTERPOSE_ONLY", w->only);
    if (traced) put(env, text, "INTERPOSE_TRACE", trace);
    fflush(stdout);
    if (posix_spawn(&pid, program, NULL, NULL, args, env) == 0) waitpid(pid, &status, 0);
    return status;
}

static int work(const char *where, const char *ack_path)
{
    struct err e = {0};
    int fd = open(ack_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    enum code rc = work_run(where, 0, fd, &e);

    if (rc) fprintf(stderr, "# %s\n", e.text);
    return rc ? 1 : 0;
}

/* ---- verdicts ---- */

/* Of one way: the first ones are told, of the others the points. */
static struct {
    long n;
    char points[1000];
} complaints;

static void complain(const char *way, long point, const char *line)
{
    size_t used = strlen(complaints.points);

    if (++complaints.n <= 20) note("%s at point %ld: %s", way, point, line);
    else snprintf(complaints.points + used, sizeof complaints.points - used, " %ld", point);
}

static void end_of_way(void)
{
    if (complaints.n > 20) note("and %ld more, at points%s", complaints.n - 20, complaints.points);
    memset(&complaints, 0, sizeof complaints);
}

static int judged(const char *way, long point, const char *where, const char *said, size_t n)
{
    char line[JUDGE_LINE];

    if (!judge_home(where, said, n, 1, line)) return 1;
    complain(way, point, line);
    return 0;
}

/* The power goes `tries` times at moments of the rest of this life. */
static int power_later(const struct way *w, long point, int tries)
{
    uint64_t dice = (uint64_t)point * 2654435761u;
    struct disk *d;
    struct err e;
    int well = 1;

    if (disk_open(&d, trace, before, home, &e)) {
        complain(w->name, point, e.text);
        return 0;
    }
    size_t first = 0, n;
    while (first < disk_records(d) && disk_point(d, first) < (uint32_t)point) first++;
    for (int i = 1; i <= tries; i++) {
        disk_play(d, first + (disk_records(d) - first) * (size_t)i / (size_t)tries);
        const char *said = disk_acks(d, &n);
        remove_all(lost);
        disk_lose(d, i % 2 ? DISK_NOTHING : DISK_SOME, dice++, lost);
        well &= judged(w->name, point, lost, said, n);
    }
    disk_close(d);
    return well;
}

static int first_life(const struct way *w, long point, int traced)
{
    fresh_home();
    unlink(acks);
    unlink(trace);
    return live(w, point, traced);
}

static int break_at(const struct way *w, long point)
{
    struct bytes said = {0};
    int status = first_life(w, point, w->then != JUDGED), well = 1;

    if (w->lives && status) {
        complain(w->name, point, "it did not come to its end");
        well = 0;
    } else if (!w->lives && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) {
        complain(w->name, point, "it was not killed");
        well = 0;
    }
    file_read(acks, 1 << 20, &said, NULL);
    if (w->then == LIVES_AND_LOSES_POWER) well &= live(NULL, 0, 1) == 0;
    if (well && w->then != JUDGED) well = power_later(w, point, 4);
    if (well) well = judged(w->name, point, home, (char *)said.data, said.n);
    free(said.data);
    return well;
}

/* ---- all points, or a share ---- */

static long stride(long points)
{
    const char *text = getenv("POINTS");
    long n = text ? strcmp(text, "all") == 0 ? 1 : atol(text) : points / SHARE;
    return n > 0 ? n : 1;
}

static int wanted(const char *way)
{
    const char *ways = getenv("WAYS");
    return !ways || strstr(ways, way) != NULL;
}

/* Does the way apply to this call? Kills do to each; torn and short ones to writes only. */
static int applies(const struct way *w, const char *letters, long point)
{
    return !w->only || strchr(w->only, letters[point]) != NULL;
}

static void each_point(const struct way *w, const char *letters, long points)
{
    long step = stride(points), tried = 0, well = 0, next = 1 + step / 2;

    if (!wanted(w->name)) return;
    for (long p = 1; p <= points; p++) {
        if (p < next || !applies(w, letters, p)) continue;
        well += break_at(w, p);
        tried++;
        next += step;
        if (next <= p) next = p + 1;
    }
    end_of_way();
    ok(tried && well == tried, "%s: %ld of %ld well, of %ld calls", w->sentence, well, tried,
       points);
}

static void each_loss(enum disk_loss loss, int times, const char *sentence)
{
    long tried = 0, well = 0, next = 1;
    struct disk *d;
    struct err e;
    size_t n;

    if (!wanted("power")) return;
    if (!is_code(disk_open(&d, trace, before, home, &e), OK, &e, "the trace is read")) return;
    long step = stride((long)disk_records(d)) * (times > 1 ? 2 : 1);
    for (size_t i = 0; i < disk_records(d); i++) {
        disk_play(d, i + 1);
        if (!disk_point(d, i) || (long)i < next) continue;
        const char *said = disk_acks(d, &n);
        for (int t = 0; t < times; t++) {
            remove_all(lost);
            disk_lose(d, loss, i * 1000 + (uint64_t)t, lost);
            well += judged(sentence, (long)disk_point(d, i), lost, said, n);
            tried++;
        }
        next += step;
    }
    disk_close(d);
    end_of_way();
    ok(tried && well == tried, "%s: %ld of %ld well", sentence, well, tried);
}

/* ---- the quiet life ---- */

/* The kind of each point, by letter, from 1; the caller frees. */
static char *read_letters(long *points)
{
    struct trace_record r;
    struct bytes b;
    char *out = NULL;

    *points = 0;
    if (file_read(trace, SIZE_MAX / 2, &b, NULL) || !(out = calloc(1, b.n / sizeof r + 2)))
        return out;
    for (size_t at = 0; at < b.n; at += sizeof r + r.bytes) {
        memcpy(&r, b.data + at, sizeof r);
        if (r.point) out[ *points = r.point] = TRACE_LETTERS[r.kind];
    }
    free(b.data);
    return out;
}

static void count(const char *letters, long points)
{
    static const char *const names[] = {"creates",          "writes",  "truncates",   "syncs",
                                        "syncs of folders", "renames", "unlinks",     "mkdirs",
                                        "rmdirs",           "links",   "syncs of all"};
    char line[400] = "";
    size_t used = 0;

    for (int k = 0; TRACE_LETTERS[k]; k++) {
        long n = 0;
        for (long p = 1; p <= points; p++) n += letters[p] == TRACE_LETTERS[k];
        if (n && used < sizeof line)
            used += (size_t)snprintf(line + used, sizeof line - used, "%s%ld %s", used ? ", " : "",
                                     n, names[k]);
    }
    note("%ld points: %s", points, line);
}

/* clang-format off */
static const struct way ways[] = {
    { "before", "before", 1, NULL, 0, JUDGED, "killed before a call" },
    { "after",  "after",  1, NULL, 0, JUDGED, "killed after a call" },
    { "torn",   "torn",   1, "w",  0, JUDGED, "killed in the middle of a write" },
    { "short",  "short",  1, "w",  1, JUDGED, "a write is cut short" },
    { "eio",    "eio",    1, NULL, 1, JUDGED, "a call fails with EIO" },
    { "enospc", "enospc", 1, NULL, 1, JUDGED, "a call fails with ENOSPC" },
    { "full",   "enospc", 40, "owtmrl", 1, JUDGED, "the disk is full for 40 calls" },
    { "sync",   "eio",    1, "sfa", 1, LOSES_POWER, "a sync fails, and later the power goes" },
    { "syncs",  "eio",    6, "sfa", 1, LOSES_POWER, "some syncs in a row fail, and later the power goes" },
    { "gate",   "drop",   1, "sfa", 0, LIVES_AND_LOSES_POWER, "killed when a sync fails, begun again, and later the power goes" },
};
/* clang-format on */

/* The library lies in the folder of this program's neighbour; all the rest in memory, because a model of a disk needs none. */
static int set_up(void)
{
    static char self[PATH_MAX], preload[PATH_MAX + 64];

    if (!realpath("/proc/self/exe", self)) return 0;
    snprintf(preload, sizeof preload, "%s", self);
    *strrchr(preload, '/') = '\0';
    strcat(preload, "/../interpose/interpose.so");
    program = self;
    library = preload;
    snprintf(folder, sizeof folder, "/dev/shm/points-%d", (int)getpid());
    snprintf(home, sizeof home, "%s/home", folder);
    snprintf(before, sizeof before, "%s/before", folder);
    snprintf(lost, sizeof lost, "%s/lost", folder);
    snprintf(trace, sizeof trace, "%s/trace", folder);
    snprintf(acks, sizeof acks, "%s/acks", folder);
    mkdir(folder, 0700);
    mkdir(before, 0700);
    work_template(before);
    return file_exists(library);
}

int main(int argc, char **argv)
{
    long points = 0;

    if (argc > 2) return work(argv[2], getenv("INTERPOSE_ACKS"));
    if (!ok(set_up(), "a home with an old database is made")) return done_testing();
    is_int(first_life(NULL, 0, 1), 0, "a quiet life comes to its end");
    char *letters = read_letters(&points);
    ok(points > 300, "it has many calls");
    count(letters, points);
    each_loss(DISK_NOTHING, 1, "the power goes, what was not synced is lost");
    each_loss(DISK_NAMES, 1, "the power goes, names are there before their bytes");
    each_loss(DISK_BYTES, 1, "the power goes, bytes are there without their names");
    each_loss(DISK_SOME, 4, "the power goes, some of it is there, some is torn");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) each_point(&ways[i], letters, points);
    if (!getenv("KEEP")) remove_all(folder);
    free(letters);
    return done_testing();
}
