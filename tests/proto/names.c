/* Numbers of the wire as words, and words as numbers. */
#include "proto/proto.h"
#include "tests/tap.h"

typedef const char *(*word_fn)(uint64_t number);
typedef enum code (*parse_fn)(const char *word, uint64_t *out, struct err *e);

static void both_ways(const char *what, word_fn word, parse_fn parse, uint64_t first, uint64_t n,
                      const char *expected)
{
    struct err e;
    uint64_t back = 77;
    int good = 0;

    for (uint64_t i = first; i < n; i++)
        good += parse(word(i), &back, &e) == OK && back == i && *word(i) != '?';
    is_int(good, n - first, "every word of %s leads back to its number", what);
    is_str(word(n), "?", "a number beyond them has no word");
    is_str(word(UINT64_MAX), "?", "the largest has none either");
    back = 77;
    is_code(parse("boss", &back, &e), ERR_USAGE, NULL, "a word that is none is refused");
    ok(strstr(e.text, expected) != NULL, "with those that there are: %s", e.text);
    is_code(parse("?", &back, &e), ERR_USAGE, NULL, "so is the mark for none");
    is_code(parse("", &back, &e), ERR_USAGE, NULL, "and no word at all");
    is_int(back, 77, "and nothing was set");
}

static void messages(void)
{
    int kinds = 0, later = 0;

    for (int k = 0; k < 256; k++) {
        enum msg_kind kind = (enum msg_kind)k;
        int is_one = proto_from(kind) != FROM_NOBODY;
        kinds += is_one;
        later += proto_since(kind) > 1;
        if (is_one != (proto_since(kind) >= PROTO_OLDEST && proto_since(kind) <= PROTO_VERSION))
            ok(0, "number %d has a version and is no message, or the other way round", k);
    }
    ok(kinds > 40 && later > 10, "%d messages have numbers, %d of them later ones", kinds, later);
    is_str(proto_name(MSG_learn), "learn", "a message has a name");
    is_str(proto_name((enum msg_kind)31), "?", "a hole between the numbers has none");
    is_int(proto_since(MSG_learn), 1, "learn is as old as the protocol");
    is_int(proto_since(MSG_retry), 2, "retry is younger");
}

int main(void)
{
    both_ways("priority", proto_priority, proto_parse_priority, 0, PRIORITIES,
              "normal, high or low");
    both_ways("role", proto_role, proto_parse_role, ROLE_USER, ROLE_WORKER + 1,
              "user, admin or worker");
    both_ways("visibility", proto_visibility, proto_parse_visibility, 0, VISIBLE_PUBLIC + 1,
              "private or public");
    both_ways("on failure", proto_on_failure, proto_parse_on_failure, 0, FAILURE_WAIT + 1,
              "skip or wait");
    messages();
    return done_testing();
}
