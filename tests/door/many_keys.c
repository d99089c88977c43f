/* More people than one answer has room for: two thousand keys, each of which is let in, and one that is taken away from an open
 * connection. What it costs the door is said. */
#include "tests/door/support/engram.h"
#include "tests/tap.h"

#include <unistd.h>

enum { USERS = 2000, GONE = 1500 };

static struct engram g;
static struct keys keys[USERS];

static struct message set(int i, int revoked)
{
    static struct user_row row;
    static char name[32];

    snprintf(name, sizeof name, "user-%04d", i);
    row = (struct user_row){
        .name = name, .role = ROLE_USER, .key = keys[i].public, .revoked = (uint64_t)revoked};
    return engram_ask(g.local, (struct message){.kind = MSG_user_set, .user_set.rows = {1, &row}});
}

static struct link *link_of(int i)
{
    struct link_options o = {.endpoint = g.users_at,
                             .server_key = g.server_key,
                             .keys = keys[i],
                             .timeout_ms = 10000,
                             .tries = 3};
    struct link *l = NULL;
    struct err e;

    if (link_open(&l, &o, &e)) note("%s", e.text);
    return l;
}

static void is_heard(int i)
{
    char name[32];
    struct link *l = link_of(i);
    struct message r = engram_ask(l, (struct message){.kind = MSG_ping});

    snprintf(name, sizeof name, "user-%04d", i);
    ok(r.kind == MSG_pong && !strcmp(r.pong.user, name), "%s comes in under their name%s%s", name,
       r.kind == MSG_refused ? ": " : "", r.kind == MSG_refused ? r.refused.line : "");
    link_close(l);
}

static void one_goes(void)
{
    struct link *gone = link_of(GONE), *stays = link_of(GONE + 1);
    struct message ping = {.kind = MSG_ping}, r = engram_ask(gone, ping);

    is_int(r.kind, MSG_pong, "one of them is connected");
    is_int(engram_ask(stays, ping).kind, MSG_pong, "and the next one");
    is_int(set(GONE, 1).kind, MSG_done, "the first one's key is revoked");
    r = engram_ask(gone, ping);
    ok(r.kind == MSG_refused && r.refused.code == ERR_DENIED,
       "their next word on the open connection is refused: %s",
       r.kind == MSG_refused ? r.refused.line : "");
    is_int(engram_ask(stays, ping).kind, MSG_pong, "the other one is heard as before");
    link_close(gone);
    link_close(stays);
}

/* Lines of what `engram admin WORDS` prints that hold this text. */
static int says(const char *words, const char *text)
{
    const char *bin = getenv("ENGRAM_BIN");
    char command[900], line[400];
    int n = 0;

    snprintf(command, sizeof command, "%s/engram admin %s --home %s", bin ? bin : "build", words,
             g.home);
    FILE *f = popen(command, "r");
    while (f && fgets(line, sizeof line, f)) n += strstr(line, text) != NULL;
    if (f) pclose(f);
    return n;
}

static void the_operator(void)
{
    is_int(says("list", "user-"), USERS, "the operator's list has all of them");
    is_int(says("add user-1700 --weight 3", "is changed"), 1, "somebody beyond the first thousand");
    is_int(says("add user-1700 --max-queued 7", "is changed"), 1, "is changed, and once more");
    struct message r =
        engram_ask(g.local, (struct message){.kind = MSG_user_list, .user_list.name = "user-1700"});
    ok(r.kind == MSG_users && r.users.rows.n == 1 && r.users.rows.v[0].weight == 3 &&
           r.users.rows.v[0].max_queued == 7 &&
           hash_equal(r.users.rows.v[0].key, keys[1700].public),
       "what is not said stays");
    is_int(says("revoke user-1800", "is not heard any more"), 1, "another one is revoked");
}

int main(void)
{
    char program[600];
    const char *bin = getenv("ENGRAM_BIN");
    struct err e;
    int made = 0;

    snprintf(program, sizeof program, "%s/engram-door", bin ? bin : "build");
    if (access(program, X_OK)) return skip_all("engram-door is not built");
    if (!ok(engram_open(&g, tap_folder(), NULL), "a coordinator opens its doors"))
        return done_testing();
    pid_t door = engram_door(&g, "users");
    long before = engram_memory(door, "VmRSS");
    for (int i = 0; i < USERS; i++)
        made += keys_make(&keys[i], &e) == OK && set(i, 0).kind == MSG_done;
    is_int(made, USERS, "two thousand users are added");
    is_heard(0);
    is_heard(998);
    is_heard(1000);
    is_heard(USERS - 1);
    one_goes();
    the_operator();
    long after = engram_memory(engram_door(&g, "users"), "VmRSS");
    note("the door's memory: %ld kB with five keys, %ld kB with %d more", before, after, USERS);
    if (KEEPS_FREED) skip("a sanitizer keeps what was freed", "the door has not grown");
    else ok(after - before < 16 << 10, "the door grew by less than 16 MiB");
    ok(engram_door(&g, "users") == door, "and is the same process");
    engram_close(&g);
    return done_testing();
}
