/* The object store: named by content, damaged bytes never served, safe between processes. */
#include "base/objects.h"
#include "base/arena.h"
#include "tests/tap.h"

#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char root[300];

static void test_put_get(struct objects *o)
{
    struct err e;
    struct hash h;
    struct bytes b = {0};
    char text[HASH_TEXT], path[PATH_MAX];
    is_code(objects_put(o, "abc", 3, &h, &e), OK, &e, "an object is put");
    is_str(hash_text(h, text), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
           "under the hash of its bytes");
    objects_path(o, h, path, sizeof path);
    is_str(path + strlen(root),
           "/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
           "two digits, then sixty-two");
    is_code(objects_get(o, h, 100, &b, &e), OK, &e, "it is got");
    ok(b.n == 3 && !memcmp(b.data, "abc", 3), "with its bytes");
    free(b.data);
    is_code(objects_get(o, h, 2, &b, &e), ERR_INPUT, &e, "not beyond the limit");
    struct stat before, after;
    stat(path, &before);
    is_code(objects_put(o, "abc", 3, &h, &e), OK, &e, "putting it again is fine");
    stat(path, &after);
    is_int(after.st_ino, before.st_ino, "and writes nothing");
    is_code(objects_put(o, NULL, 0, &h, &e), OK, &e, "the empty object is an object");
    ok(objects_has(o, h) && !objects_has(o, hash_bytes("?", 1)), "objects_has tells");
    is_code(objects_get(o, hash_bytes("?", 1), 9, &b, &e), ERR_NOT_FOUND, &e,
            "an unknown one is not found");
}

static void test_damage(struct objects *o)
{
    struct err e;
    struct hash h;
    struct bytes b;
    char path[PATH_MAX];
    uint8_t data[5000];
    memset(data, 7, sizeof data);
    objects_put(o, data, sizeof data, &h, &e);
    objects_path(o, h, path, sizeof path);
    data[1234] ^= 1;
    file_write(path, data, sizeof data, &e);
    is_code(objects_get(o, h, 1 << 20, &b, &e), ERR_CORRUPT, &e, "a flipped bit is found");
    data[1234] ^= 1;
    file_write(path, data, sizeof data - 1, &e);
    is_code(objects_get(o, h, 1 << 20, &b, &e), ERR_CORRUPT, &e, "a lost byte is found");
    ok(strstr(e.text, path) != NULL, "and the line says where: %s", e.text);
}

static void test_put_file(struct objects *o)
{
    struct err e;
    struct hash h;
    char path[400];
    static uint8_t data[700001];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * i >> 3);
    snprintf(path, sizeof path, "%s/../source", root);
    file_write(path, data, sizeof data, &e);
    is_code(objects_put_file(o, path, &h, &e), OK, &e, "a file is put");
    ok(hash_equal(h, hash_bytes(data, sizeof data)), "under the hash of its bytes");
    struct bytes b = {0};
    is_code(objects_get(o, h, sizeof data, &b, &e), OK, &e, "and got");
    free(b.data);
    is_code(objects_put_file(o, path, &h, &e), OK, &e, "putting it again is fine");
    is_code(objects_put_file(o, "/nonexistent", &h, &e), ERR_NOT_FOUND, &e,
            "a missing file is not found");
}

static void test_faults(struct objects *o)
{
    struct err e;
    struct hash h;
    char path[400];
    int failures = 0, whole = 0;
    snprintf(path, sizeof path, "%s/../other", root);
    file_write(path, "other", 5, &e);
    for (long n = 1; n < 50 && !whole; n++) {
        arena_fail_after(n);
        enum code rc = objects_put_file(o, path, &h, &e);
        arena_fail_after(0);
        whole = !rc;
        failures += rc == ERR_NOMEM;
    }
    ok(whole && failures > 5, "%d failing allocations are all told, and nothing leaks", failures);
    is_code(file_sweep(root, &e), OK, &e, "nor stays");
}

/* Four processes put the same hundred objects at the same time. */
static void test_together(struct objects *o)
{
    int failed = 0;
    for (int p = 0; p < 4; p++) {
        if (fork()) continue;
        for (int i = 0; i < 100; i++)
            if (objects_put(o, &i, sizeof i, NULL, NULL)) _exit(1);
        _exit(0);
    }
    for (int p = 0, status; p < 4; p++) {
        wait(&status);
        failed += status != 0;
    }
    is_int(failed, 0, "four processes put the same objects without a quarrel");
    for (int i = 0; i < 100; i++) {
        struct bytes b = {0};
        failed += objects_get(o, hash_bytes(&i, sizeof i), 4, &b, NULL) != OK;
        free(b.data);
    }
    is_int(failed, 0, "and all are whole");
}

int main(void)
{
    struct err e;
    struct objects *o;
    snprintf(root, sizeof root, "%s/made/here", tap_folder());
    if (!is_code(objects_open(&o, root, &e), OK, &e, "a store is made")) return done_testing();
    test_put_get(o);
    test_damage(o);
    test_put_file(o);
    test_faults(o);
    test_together(o);
    objects_close(o);
    objects_close(NULL);
    return done_testing();
}
