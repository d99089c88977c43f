/* Objects through a door: there and back, over its death, and what a key may not do. */
#include "base/arrival.h"
#include "proto/fetch.h"
#include "tests/door/support/house.h"
#include "tests/tap.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { ANN, BOB, SIZE = (9 << 20) + 77, KILL_AT = 4 << 20 };

static struct house h;
static struct err e;
static struct objects *home, *cache;
static char home_path[300], file[320], folder[320];
static uint8_t *data;
static int kills;
static uint64_t begun_at;

/* Kills the door in the middle, once. */
static int kill_door(void *self, uint64_t done, uint64_t of)
{
    (void)self;
    (void)of;
    if (begun_at == UINT64_MAX && done) begun_at = done;
    if (kills || done < KILL_AT) return 0;
    kills++;
    kill(h.door, SIGKILL);
    waitpid(h.door, NULL, 0);
    return !house_start_door(&h);
}

static int stop_soon(void *self, uint64_t done, uint64_t of)
{
    (void)self;
    (void)of;
    return done >= KILL_AT;
}

static struct fetch fetch_of(struct link *l)
{
    return (struct fetch){.link = l, .store = cache, .folder = folder};
}

static struct message call(struct link *l, struct message ask)
{
    static struct arena a;
    struct message r = {0};
    enum code rc = link_call(l, &ask, &a, &r, &e);
    return rc ? (struct message){.kind = MSG_refused, .refused = {(uint64_t)rc, e.text}} : r;
}

static void there_and_back(void)
{
    struct link *ann = house_link(&h, ANN, 8000);
    struct fetch f = fetch_of(ann);
    struct hash hash = hash_bytes(data, SIZE), empty = hash_bytes(NULL, 0);
    struct bytes b = {0};
    char path[400];

    f.progress = kill_door;
    is_code(fetch_put(&f, file, hash, &e), OK, &e,
            "an object is sent, though the door is killed in the middle");
    is_int(kills, 1, "which it was");
    ok(objects_has(home, hash), "it is in the home's store");
    is_code(fetch_put(&f, file, hash, &e), OK, &e, "sending it again is nothing");
    kills = 0;
    is_code(fetch_get(&f, hash, &e), OK, &e,
            "it is fetched, though the door is killed in the middle");
    is_int(kills, 1, "which it was");
    is_code(objects_get(cache, hash, SIZE, &b, &e), OK, &e, "with its bytes");
    free(b.data);

    objects_path(cache, hash, path, sizeof path);
    unlink(path);
    f.progress = stop_soon;
    is_code(fetch_get(&f, hash, &e), ERR_CANCELLED, NULL, "one that is stopped in the middle");
    begun_at = UINT64_MAX;
    f.progress = kill_door;
    is_code(fetch_get(&f, hash, &e), OK, &e, "is fetched later");
    ok(begun_at >= KILL_AT, "from where it stopped, not from the beginning");

    f.progress = NULL;
    is_code(fetch_get(&f, hash_bytes("?", 1), &e), ERR_NOT_FOUND, NULL, "there is none: %s",
            e.text);
    is_code(objects_put(home, NULL, 0, NULL, &e), OK, &e, "the empty object");
    is_code(fetch_get(&f, empty, &e), OK, &e, "can be fetched");
    link_close(ann);
}

static void damaged(void)
{
    struct link *ann = house_link(&h, ANN, 8000);
    struct fetch f = fetch_of(ann);
    struct hash hash = hash_bytes("abc", 3);
    char path[400];

    is_code(objects_put(home, "abc", 3, NULL, &e), OK, &e, "an object");
    objects_path(home, hash, path, sizeof path);
    is_code(file_write(path, "abd", 3, &e), OK, &e, "that is damaged on the disk");
    is_code(fetch_get(&f, hash, &e), ERR_CORRUPT, NULL, "is not taken for whole: %s", e.text);
    ok(!objects_has(cache, hash), "and not kept");
    unlink(path);
    is_code(file_write(file, "other", 5, &e), OK, &e, "a file");
    is_code(fetch_put(&f, file, hash, &e), ERR_CORRUPT, NULL,
            "that changed since it was hashed is refused: %s", e.text);
    ok(!objects_has(home, hash), "and no object");
    link_close(ann);
}

/* What bob sends under the hash of ann's object spoils his own only. */
static void spoiled(void)
{
    struct link *ann = house_link(&h, ANN, 8000), *bob = house_link(&h, BOB, 8000);
    struct hash hash = hash_bytes("hers", 4);
    struct message r;

    r = call(bob, (struct message){.kind = MSG_object_put,
                                   .object_put = {hash, 4, 0, {(const uint8_t *)"hi", 2}}});
    ok(r.kind == MSG_object_got && r.object_got.have == 2, "bob begins with wrong bytes");
    r = call(ann, (struct message){.kind = MSG_object_put, .object_put = {hash, 4, 0, {NULL, 0}}});
    ok(r.kind == MSG_object_got && r.object_got.have == 0, "ann begins at the beginning");
    r = call(ann, (struct message){.kind = MSG_object_put,
                                   .object_put = {hash, 4, 2, {(const uint8_t *)"rs", 2}}});
    ok(r.kind == MSG_object_got && r.object_got.have == 0, "a part that is too early is not taken");
    r = call(ann, (struct message){.kind = MSG_object_put,
                                   .object_put = {hash, 4, 0, {(const uint8_t *)"hers", 4}}});
    ok(r.kind == MSG_object_got && r.object_got.have == 4, "and ends well");
    ok(objects_has(home, hash), "with an object");
    r = call(bob, (struct message){.kind = MSG_object_put, .object_put = {hash, 4, 0, {NULL, 0}}});
    ok(r.kind == MSG_object_got && r.object_got.have == 2,
       "that it is there now is not told to bob, who has sent two bytes");
    struct hash new = hash_bytes("new", 3);
    is_code(objects_put(home, "new", 3, NULL, &e), OK, &e, "nor of another one");
    r = call(bob, (struct message){.kind = MSG_object_put, .object_put = {new, 3, 0, {NULL, 0}}});
    ok(r.kind == MSG_object_got && r.object_got.have == 0, "that he has not begun");
    r = call(bob, (struct message){.kind = MSG_object_put,
                                   .object_put = {new, 3, 0, {(const uint8_t *)"new", 3}}});
    ok(r.kind == MSG_object_got && r.object_got.have == 3 && objects_has(home, new),
       "when he has sent all of it, it is there as it was");
    link_close(ann);
    link_close(bob);
}

/* The coordinator says who may have what; what an evaluation names only the door can read. */
static void by_right(void)
{
    static const char LIST[] = "{\"concepts\":[{\"pictures\":[\"%s\"]}]}";
    struct link *bob = house_link(&h, BOB, 8000);
    struct hash picture = hash_bytes("picture", 7), hers = hash_bytes("hers", 4), list;
    char text[200], name[HASH_TEXT];
    struct message ask = {.kind = MSG_object_get, .object_get = {picture, 0, 100, 7, {{0}}}}, r;
    struct hash key;

    int n = snprintf(text, sizeof text, LIST, hash_text(picture, name));
    is_code(objects_put(home, text, (size_t)n, &list, &e), OK, &e, "an evaluation");
    is_code(objects_put(home, "picture", 7, NULL, &e), OK, &e, "and a picture that it names");
    uint64_t heard = house_heard(&h, NULL);
    r = call(bob, ask);
    ok(r.kind == MSG_object_part && r.object_part.data.n == 7, "an object is fetched");
    ok(house_heard(&h, &key) == heard + 1 && hash_equal(key, h.user[BOB].public),
       "after the coordinator heard who asks");
    ask.object_get.within = list;
    r = call(bob, ask);
    ok(r.kind == MSG_object_part && r.object_part.data.n == 7, "one that is named within, too");
    ask.object_get.hash = hers;
    r = call(bob, ask);
    ok(r.kind == MSG_refused && r.refused.code == ERR_NOT_FOUND, "one that is not is refused: %s",
       r.kind == MSG_refused ? r.refused.line : "");
    ask.object_get = (struct msg_object_get){picture, 0, 100, 7, hash_bytes("?", 1)};
    r = call(bob, ask);
    ok(r.kind == MSG_refused && r.refused.code == ERR_NOT_FOUND,
       "so is one within what is not there");
    h.denies = 1;
    ask.object_get = (struct msg_object_get){hers, 0, 100, 7, {{0}}};
    r = call(bob, ask);
    ok(r.kind == MSG_refused && r.refused.code == ERR_NOT_FOUND &&
           !strcmp(r.refused.line, "not yours to see"),
       "what the coordinator denies is not given");
    h.denies = 0;
    link_close(bob);
}

static void refused(void)
{
    struct link *bob = house_link(&h, BOB, 8000);
    struct hash hash = hash_bytes("large", 5);
    struct message r;

    r = call(bob, (struct message){.kind = MSG_object_put,
                                   .object_put = {hash, (64u << 20) + 1, 0, {NULL, 0}}});
    ok(r.kind == MSG_refused && r.refused.code == ERR_INPUT, "too large: %s", r.refused.line);
    r = call(bob, (struct message){.kind = MSG_object_put,
                                   .object_put = {hash, 4, 3, {(const uint8_t *)"hi", 2}}});
    ok(r.kind == MSG_refused && r.refused.code == ERR_INPUT, "beyond its end: %s", r.refused.line);
    for (uint8_t i = 0; i < 80; i++) {
        hash.v[0] = i;
        r = call(bob, (struct message){.kind = MSG_object_put,
                                       .object_put = {hash, 4, 0, {(const uint8_t *)"hi", 2}}});
    }
    ok(r.kind == MSG_refused && r.refused.code == ERR_FULL, "many that never end: %s",
       r.refused.line);
    r = call(bob, (struct message){.kind = MSG_object_get,
                                   .object_get = {.hash = hash_bytes("hers", 4),
                                                  .offset = UINT64_MAX,
                                                  .length = 100}});
    ok(r.kind == MSG_object_part && r.object_part.data.n == 0, "beyond the end is nothing");
    link_close(bob);
}

int main(void)
{
    const char *extra[] = {"--home", home_path, "--object-mib", "64", NULL},
               *bin = getenv("ENGRAM_BIN");
    char program[600], path[320];

    snprintf(program, sizeof program, "%s/engram-door", bin ? bin : "build");
    if (access(program, X_OK)) return skip("engram-door is not built", "a door"), done_testing();
    snprintf(home_path, sizeof home_path, "%s/home", tap_folder());
    snprintf(file, sizeof file, "%s/file", tap_folder());
    snprintf(folder, sizeof folder, "%s/cache/incoming", tap_folder());
    snprintf(path, sizeof path, "%s/objects", home_path);
    is_code(objects_open(&home, path, &e), OK, &e, "a home");
    snprintf(path, sizeof path, "%s/cache/objects", tap_folder());
    is_code(objects_open(&cache, path, &e), OK, &e, "a cache");
    data = mem_alloc(SIZE, 1);
    for (size_t i = 0; data && i < SIZE; i++) data[i] = (uint8_t)(i * 2654435761u >> 24);
    is_code(file_write(file, data, SIZE, &e), OK, &e, "a file");
    h.role[ANN] = h.role[BOB] = ROLE_USER;
    if (!ok(house_open(&h, tap_folder(), "users", extra), "a door opens")) return done_testing();
    there_and_back();
    damaged();
    spoiled();
    by_right();
    refused();
    house_close(&h);
    objects_close(home);
    objects_close(cache);
    free(data);
    return done_testing();
}
