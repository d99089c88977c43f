/* Objects that come in pieces: what came stays over a kill, wrong bytes never become an object. */
#include "base/arrival.h"
#include "base/arena.h"
#include "tests/tap.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

enum { SIZE = 3 * ARRIVAL_STEP + 5 };

static char root[300], folder[320];
static struct err e;

static void in_pieces(struct objects *o, const uint8_t *data)
{
    struct hash h = hash_bytes(data, 1000);
    struct arrival *a, *other;
    struct bytes b = {0};

    is_code(arrival_open(&a, folder, h, &e), OK, &e, "an arrival is opened");
    is_int(arrival_have(a), 0, "nothing has come");
    is_code(arrival_open(&other, folder, h, &e), ERR_AGAIN, NULL, "it is open once only");
    is_code(arrival_add(a, data, 400, &e), OK, &e, "a piece");
    arrival_close(a);
    is_code(arrival_open(&a, folder, h, &e), OK, &e, "opened again");
    is_int(arrival_have(a), 400, "the piece is there");
    is_code(arrival_add(a, data + 400, 1, &e), ERR_INTERNAL, NULL, "it is read before more comes");
    is_code(arrival_catch_up(a, &e), OK, &e, "it is read");
    is_code(arrival_add(a, data + 400, 600, &e), OK, &e, "the rest");
    ok(!objects_has(o, h), "no object before the end");
    is_code(arrival_end(&a, o, &e), OK, &e, "the end");
    ok(!a && objects_has(o, h), "makes an object");
    is_code(objects_get(o, h, 2000, &b, &e), OK, &e, "with the bytes of its name");
    free(b.data);
}

static void wrong_bytes(struct objects *o, const uint8_t *data)
{
    struct hash h = hash_bytes("something else", 14);
    struct arrival *a;
    size_t n;
    uint64_t bytes;

    is_code(arrival_open(&a, folder, h, &e), OK, &e, "another one");
    is_code(arrival_add(a, data, 14, &e), OK, &e, "gets bytes that are not its own");
    arrival_count(folder, &n, &bytes);
    ok(n == 1 && bytes == 14, "they are counted");
    is_code(arrival_end(&a, o, &e), ERR_CORRUPT, NULL, "which is found at the end: %s", e.text);
    ok(!objects_has(o, h), "it is no object");
    arrival_count(folder, &n, &bytes);
    is_int(n, 0, "and nothing is left of it");
}

/* A process adds without end and is killed: what is there is a beginning of what came. */
static void killed(struct objects *o, const uint8_t *data)
{
    struct hash h = hash_bytes(data, SIZE);
    struct arrival *a;
    int steps = 0;
    pid_t child = fork();

    if (!child) {
        if (arrival_open(&a, folder, h, NULL)) _exit(1);
        for (size_t at = 0; at + 64 < SIZE; at += 64) arrival_add(a, data + at, 64, NULL);
        for (;;) pause();
    }
    usleep(100000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    is_code(arrival_open(&a, folder, h, &e), OK, &e, "opened after a kill");
    while (arrival_catch_up(a, &e) == ERR_AGAIN) steps++;
    uint64_t have = arrival_have(a);
    ok(steps == (int)(have ? (have - 1) / ARRIVAL_STEP : 0), "read in steps");
    is_code(arrival_add(a, data + have, SIZE - have, &e), OK, &e, "the rest comes");
    is_code(arrival_end(&a, o, &e), OK, &e, "and it is whole");
}

static void old_ones(void)
{
    char path[400], name[HASH_TEXT];
    struct hash h = hash_bytes("old", 3);
    struct utimbuf long_ago = {1000, 1000};
    struct arrival *a;

    snprintf(path, sizeof path, "%s/%s", folder, hash_text(h, name));
    is_code(arrival_open(&a, folder, h, &e), OK, &e, "one that nobody goes on with");
    utime(path, &long_ago);
    arrival_sweep(folder, NULL);
    ok(file_exists(path), "stays while it is open");
    arrival_close(a);
    arrival_sweep(folder, NULL);
    ok(!file_exists(path), "and goes after a day");
}

int main(void)
{
    struct objects *o;
    uint8_t *data = mem_alloc(SIZE, 1);

    snprintf(root, sizeof root, "%s", tap_folder());
    if (!ok(data != NULL, "memory")) return done_testing();
    for (size_t i = 0; i < SIZE; i++) data[i] = (uint8_t)(i * 2654435761u >> 24);
    snprintf(folder, sizeof folder, "%s/incoming", root);
    is_code(objects_open(&o, root, &e), OK, &e, "a store");
    in_pieces(o, data);
    wrong_bytes(o, data);
    killed(o, data);
    old_ones();
    objects_close(o);
    free(data);
    return done_testing();
}
