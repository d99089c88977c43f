/* A bounded copy of objects: what was used longest ago goes, what somebody uses stays, a kill holds nothing. */
#include "base/cache.h"
#include "base/arena.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { N = 8, EACH = 1000, MOST = 3 * EACH };

static char dir[300];
static struct err e;
static struct hash h[N];

static void put(struct cache *c, int i)
{
    char data[EACH] = {(char)(i + 1)};
    is_code(objects_put(cache_objects(c), data, EACH, &h[i], &e), OK, &e, "object %d comes", i);
}

/* As if it had been used so many seconds ago. */
static void age(struct cache *c, int i, int seconds)
{
    char path[400];
    struct timespec t[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    objects_path(cache_objects(c), h[i], path, sizeof path);
    utimensat(AT_FDCWD, path, t, 0);
}

static int has(struct cache *c, int i)
{
    return objects_has(cache_objects(c), h[i]);
}

static void the_oldest_go(struct cache *c)
{
    size_t n;
    uint64_t bytes;

    for (int i = 0; i < 5; i++) {
        put(c, i);
        age(c, i, 100 - i);
    }
    is_code(cache_hold(c, &h[0], 1, &e), OK, &e, "a hold that wants the oldest");
    ok(has(c, 0), "which stays");
    ok(!has(c, 1) && !has(c, 2) && has(c, 3) && has(c, 4), "the next two go: used longest ago");
    cache_count(c, &n, &bytes);
    ok(n == 3 && bytes == MOST, "as many as the bound allows stay");
    put(c, 5);
    put(c, 6);
    put(c, 7);
    is_code(cache_hold(c, NULL, 0, &e), OK, &e, "held anew");
    is_code(cache_release(c, &e), OK, &e, "and released");
    cache_count(c, &n, &bytes);
    is_int(bytes, MOST, "the bound holds");
    ok(has(c, 7) && !has(c, 3) && !has(c, 4), "of what was used last");
}

static void another_holds(struct cache *c)
{
    struct cache *other;
    int go[2], status;
    char byte;

    if (pipe(go)) return;
    pid_t child = fork();
    if (!child) { /* holds everything there is and never lets go */
        if (cache_open(&other, dir, MOST, &e)) _exit(1);
        struct hash want[N];
        memcpy(want, h, sizeof want);
        if (cache_hold(other, want, N, &e)) _exit(2);
        if (write(go[1], "x", 1) != 1) _exit(3);
        for (;;) pause();
    }
    ok(read(go[0], &byte, 1) == 1, "another process holds what is there");
    for (int i = 0; i < 3; i++) put(c, i);
    is_code(cache_hold(c, NULL, 0, &e), OK, &e, "this one holds, too");
    is_code(cache_release(c, &e), OK, &e, "and lets go");
    ok(has(c, 5) && has(c, 6) && has(c, 7), "what the other wants stays");
    ok(has(c, 0) && has(c, 1) && has(c, 2), "and what came since: it may be its own");
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(go[0]);
    close(go[1]);
    size_t n;
    uint64_t bytes;
    is_code(cache_release(c, &e), OK, &e, "when the other was killed");
    cache_count(c, &n, &bytes);
    is_int(bytes, MOST, "the bound holds again");
}

int main(void)
{
    struct cache *c;

    snprintf(dir, sizeof dir, "%s/cache", tap_folder());
    if (!is_code(cache_open(&c, dir, MOST, &e), OK, &e, "a cache")) return done_testing();
    the_oldest_go(c);
    another_holds(c);
    cache_close(c);
    cache_close(NULL);
    return done_testing();
}
