/* The door as it should be: who comes in, what is passed on, what is refused, and that it may die. */
#include "coordinator/door/address.h"
#include "tests/door/support/house.h"
#include "tests/tap.h"

#include <signal.h>
#include <sys/wait.h>

enum { ANN, BOB, WORKER, LATE };

static struct house h;
static struct err e;

static struct message call(struct link *l, struct message ask)
{
    static struct arena a;
    struct message r = {0};
    enum code rc = link_call(l, &ask, &a, &r, &e);
    return rc ? (struct message){.kind = MSG_refused, .refused = {(uint64_t)rc, e.text}} : r;
}

/* Pings until that is the answer, or for ten seconds. */
static enum code until(struct link *l, enum code want)
{
    enum code rc = ERR_INTERNAL;
    for (int i = 0; i < 200 && rc != want; i++) {
        rc = house_ping(l, &e);
        if (rc != want) usleep(50000);
    }
    return rc;
}

static void who_comes_in(void)
{
    struct link *ann = house_link(&h, ANN, 8000), *other;
    struct hash key;

    is_code(house_ping(ann, &e), OK, &e, "a user's question is answered");
    house_heard(&h, &key);
    ok(hash_equal(key, h.user[ANN].public), "the coordinator hears whose it is");
    other = house_link(&h, WORKER, 8000);
    is_code(house_ping(other, &e), ERR_DENIED, NULL,
            "a worker's key does not open the users' door");
    link_close(other);
    other = house_link(&h, LATE, 8000);
    is_code(house_ping(other, &e), ERR_DENIED, NULL, "nor does one that nobody knows: %s", e.text);
    h.role[LATE] = ROLE_USER;
    is_code(house_ping(other, &e), OK, &e, "until it is added");
    link_close(other);

    h.revoked[ANN] = 1; /* the list is asked for once a second */
    is_code(until(ann, ERR_DENIED), ERR_DENIED, NULL,
            "a revoked key is refused where it is connected: %s", e.text);
    uint64_t before = house_heard(&h, NULL);
    is_code(house_ping(ann, &e), ERR_DENIED, NULL, "again and again");
    is_int(house_heard(&h, NULL), before, "and not passed on");
    h.revoked[ANN] = 0;
    is_code(until(ann, OK), OK, &e, "until it is not revoked any more");
    link_close(ann);
}

static void what_is_passed(void)
{
    struct link *bob = house_link(&h, BOB, 8000);
    struct message r;
    uint64_t before = house_heard(&h, NULL);

    is_code(house_ping(bob, &e), OK, &e, "another user is let in");
    r = call(bob, (struct message){.kind = MSG_ready});
    ok(r.kind == MSG_refused && r.refused.code == ERR_DENIED, "a worker's message is refused: %s",
       r.refused.line);
    is_int(house_heard(&h, NULL), before + 1, "by the door itself");
    h.deaf = 1;
    struct message ask = {.kind = MSG_ping, .ping.client = "x"};
    static struct arena a;
    enum code rc = OK;
    for (int i = 0; i < 12 && !rc; i++)
        if ((rc = link_tell(bob, &ask, &e)) == OK) link_hear(bob, 0, &a, &r, &e);
    rc = link_hear(bob, 5000, &a, &r, &e);
    is_code(rc, ERR_AGAIN, NULL, "more without an answer than one key may have: %s", e.text);
    ok(strstr(e.text, "under way") != NULL, "is said by the door");
    h.deaf = 0;
    link_close(bob);
}

static void it_dies(void)
{
    struct link *bob = house_link(&h, ANN, 15000);

    is_code(house_ping(bob, &e), OK, &e, "a user asks");
    kill(h.door, SIGKILL);
    waitpid(h.door, NULL, 0);
    ok(house_start_door(&h), "the door dies and comes back at the same place");
    is_code(house_ping(bob, &e), OK, &e, "and the same user goes on");
    link_close(bob);
}

static void addresses(void)
{
    static const struct {
        const char *at;
        int is;
    } cases[] = {
        {"tcp://127.0.0.1:7700", 0},
        {"tcp://10.1.2.3:1", 0},
        {"tcp://192.168.0.9:1", 0},
        {"tcp://172.31.0.1:1", 0},
        {"tcp://172.32.0.1:1", 1},
        {"tcp://0.0.0.0:1", 1},
        {"tcp://*:1", 1},
        {"tcp://8.8.8.8:1", 1},
        {"tcp://[::1]:1", 0},
        {"tcp://[::]:1", 1},
        {"tcp://[fd00::1]:1", 0},
        {"tcp://[2001:db8::1]:1", 1},
        {"tcp://eth0:1", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        is_int(address_is_public(cases[i].at), cases[i].is, "%s %s", cases[i].at,
               cases[i].is ? "can be reached by others" : "is at home");
}

int main(void)
{
    char program[600];
    const char *bin = getenv("ENGRAM_BIN");

    addresses();
    snprintf(program, sizeof program, "%s/engram-door", bin ? bin : "build");
    if (access(program, X_OK)) return skip("engram-door is not built", "a door"), done_testing();
    h.role[ANN] = ROLE_USER;
    h.role[BOB] = ROLE_ADMIN;
    h.role[WORKER] = ROLE_WORKER;
    if (!ok(house_open(&h, tap_folder(), "users", NULL), "a door opens")) return done_testing();
    who_comes_in();
    what_is_passed();
    it_dies();
    house_close(&h);
    return done_testing();
}
