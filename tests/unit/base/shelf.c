/* The shelf of one process: what make writes is there until it is put, and what fails leaves nothing. */
#include "base/shelf.h"
#include "base/arena.h"
#include "tests/tap.h"

struct job {
    int made;
    enum code rc;
};

static enum code fill(void *self, void *memory, struct err *e)
{
    struct job *j = self;
    j->made++;
    memset(memory, 'x', 100);
    return j->rc ? err_set(e, j->rc, "not today") : OK;
}

int main(void)
{
    struct shelf s = shelf_private();
    struct job j = {0};
    struct shelf_item item = {.number = 3, .bytes = 100, .make = fill, .self = &j};
    struct err e = {0};
    const void *a = NULL, *b = NULL;
    is_str(s.name, "private", "its name");
    is_code(s.get(&s, &item, &a, &e), OK, &e, "an item is made");
    ok(a && ((const char *)a)[99] == 'x', "and holds what was written");
    is_code(s.get(&s, &item, &b, &e), OK, &e, "again under the same number");
    ok(b != a && j.made == 2, "it is another: whoever asks keeps what he got");
    s.put(&s, a);
    s.put(&s, b);
    s.put(&s, NULL);
    j.rc = ERR_CORRUPT;
    is_code(s.get(&s, &item, &a, &e), ERR_CORRUPT, &e, "what make says, get says");
    is_str(e.text, "not today", "with its line");
    ok(!a, "and gives nothing");
    arena_fail_after(1);
    is_code(s.get(&s, &item, &a, &e), ERR_NOMEM, &e, "without memory it says so");
    arena_fail_after(0);
    return done_testing();
}
