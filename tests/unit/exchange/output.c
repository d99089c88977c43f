/* output: a folder appears whole or not at all, and nobody else's is touched. */
#include "pipeline/exchange/output.h"
#include "base/file.h"
#include "tests/tap.h"

#include <sys/stat.h>
#include <sys/wait.h>

static struct err e;

static char *inside(const char *name)
{
    static char path[8][1024];
    static int next;
    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[next], "%s/%s", tap_folder(), name);
    return path[next];
}

static const float numbers[] = {1, 2, 3, 4, 5, 6};
static struct source matrix = {.name = "m",
                               .dtype = STORED_F32,
                               .rank = 2,
                               .dim = {2, 3},
                               .piece = {{.values = numbers, .count = 6}}};

static enum code plan(struct output *o)
{
    enum code rc = output_add_text(o, "a.txt", "hello\n", 6, &e);
    if (!rc) rc = output_add_text(o, "deep/er/empty.txt", "", 0, &e);
    return rc ? rc : output_add_tensors(o, "deep/m.safetensors", &matrix, 1, NULL, &e);
}

struct ticks {
    int n, stop_at;
    uint64_t done, of;
};

static int count(void *self, uint64_t done, uint64_t of)
{
    struct ticks *t = self;
    t->done = done;
    t->of = of;
    return ++t->n == t->stop_at;
}

static long long size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? -1 : (long long)st.st_size;
}

static void writes_a_folder(void)
{
    struct output *o;
    struct ticks t = {0};
    struct output_progress p = {count, &t};
    uint64_t bytes = 0;
    is_code(output_open(&o, inside("new/"), &e), OK, &e, "a folder is opened");
    is_code(plan(o), OK, &e, "files are planned");
    is_str(output_file(o, 2, &bytes), "deep/m.safetensors", "and can be listed");
    ok(!file_exists(inside("new")), "nothing is there before it is written");
    is_code(output_write(o, &p, &e), OK, &e, "they are written");
    ok(t.of == output_bytes(o) && t.done == t.of, "progress ends where it said");
    output_close(o);
    is_int(size_of(inside("new/a.txt")), 6, "a text is there");
    is_int(size_of(inside("new/deep/er/empty.txt")), 0, "an empty one too");
    is_int(size_of(inside("new/deep/m.safetensors")), (long long)bytes,
           "and a container, as long as was said");
    ok(!file_exists(inside("new.part")) && !file_exists(inside("new/.engram-export")),
       "and nothing else");
    is_code(output_open(&o, inside("new"), &e), ERR_EXISTS, &e, "a folder that exists is refused");
    is_int(size_of(inside("new/a.txt")), 6, "and left alone");
}

static void is_refused_early(void)
{
    struct output *o;
    is_code(output_open(&o, "", &e), ERR_USAGE, &e, "no name is no folder");
    is_code(output_open(&o, inside("no/where"), &e), ERR_NOT_FOUND, &e,
            "a folder in a folder that is not there is refused");
    mkdir(inside("mine.part"), 0777);
    file_write(inside("mine.part/photo"), "x", 1, NULL);
    is_code(output_open(&o, inside("mine"), &e), ERR_EXISTS, &e,
            "somebody's own folder in the way is refused");
    ok(file_exists(inside("mine.part/photo")), "and left alone");
}

static void leaves_nothing(void)
{
    struct output *o;
    struct output_progress p;
    for (int stop = 1; stop < 6; stop++) {
        struct ticks t = {.stop_at = stop};
        p = (struct output_progress){count, &t};
        if (output_open(&o, inside("stopped"), &e) || plan(o)) break;
        enum code rc = output_write(o, &p, &e);
        output_close(o);
        ok(rc == ERR_CANCELLED && !file_exists(inside("stopped")) &&
               !file_exists(inside("stopped.part")),
           "stopped at tick %d, nothing is left", stop);
    }
    if (output_open(&o, inside("late"), &e) || plan(o)) return;
    mkdir(inside("late"), 0777);
    is_code(output_write(o, NULL, &e), ERR_EXISTS, &e,
            "a folder that has appeared meanwhile is not replaced");
    output_close(o);
    ok(!file_exists(inside("late.part")) && !file_exists(inside("late/a.txt")), "nor filled");
}

/* A process is killed with its folder half written; then one that lives holds it. */
static void after_a_kill(void)
{
    struct output *o, *second;
    pid_t child = fork();
    if (!child) {
        if (output_open(&o, inside("killed"), &e) || plan(o)) _exit(1);
        struct ticks t = {.stop_at = 3};
        output_write(o, &(struct output_progress){count, &t}, &e);
        _exit(0); /* without output_close */
    }
    int status = 1;
    waitpid(child, &status, 0);
    ok(!status && file_exists(inside("killed.part/a.txt")), "a process dies and leaves its part");
    is_code(output_open(&o, inside("killed"), &e), OK, &e, "the next one takes over");
    ok(!file_exists(inside("killed.part/a.txt")), "from an empty folder");
    is_code(output_open(&second, inside("killed"), &e), ERR_AGAIN, &e,
            "while it works a third is told so");
    is_code(plan(o) ? ERR_INTERNAL : output_write(o, NULL, &e), OK, &e, "and it finishes");
    output_close(o);
    is_int(size_of(inside("killed/a.txt")), 6, "with whole files");
}

static void survives_no_memory(void)
{
    enum code rc = ERR_NOMEM;
    long n;
    int lost = 0;
    for (n = 1; n < 300 && rc; n++) {
        struct output *o;
        arena_fail_after(n);
        rc = output_open(&o, inside("memory"), &e);
        if (!rc) rc = plan(o);
        if (!rc) rc = output_write(o, NULL, &e);
        arena_fail_after(0);
        output_close(o);
        lost += rc && (file_exists(inside("memory")) || file_exists(inside("memory.part")));
        if (rc && rc != ERR_NOMEM) break;
    }
    ok(!rc && n > 10, "each of %ld allocations may fail", n - 1);
    is_int(lost, 0, "and then nothing is left");
}

int main(void)
{
    writes_a_folder();
    is_refused_early();
    leaves_nothing();
    after_a_kill();
    survives_no_memory();
    return done_testing();
}
