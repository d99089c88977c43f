/* Bytes made to hurt: what cluster tests measured against the msgpack library, and what a strict reader must also refuse. */
#include "proto/proto.h"
#include "tests/tap.h"

#include <sys/resource.h>

static struct arena arena;

static enum code decode(const void *bytes, size_t n, struct err *e)
{
    struct message m;
    return proto_decode(bytes, n, &arena, &m, e);
}

#define REFUSED(bytes, ...) \
    is_code(decode(bytes, sizeof(bytes) - 1, NULL), ERR_PROTOCOL, NULL, __VA_ARGS__)
#define READ(bytes, ...)                                                      \
    do {                                                                      \
        struct err e_;                                                        \
        is_code(decode(bytes, sizeof(bytes) - 1, &e_), OK, &e_, __VA_ARGS__); \
    } while (0)

static void structure(void)
{
    REFUSED("", "no bytes at all");
    REFUSED("\xdd\xff\xff\xff\xff", "an array of 4 G elements in 5 bytes");
    REFUSED("\xdd\x10\x00\x00\x00", "an array of 256 M elements in 5 bytes");
    REFUSED("\xdf\xff\xff\xff\xff", "a map of 4 G pairs in 5 bytes");
    REFUSED("\xdb\xff\xff\xff\xff", "text of 4 G in 5 bytes");
    REFUSED("\xc6\xff\xff\xff\xff", "bytes of 4 G in 5 bytes");
    REFUSED("\xc1", "the byte that never occurs");
    REFUSED("\xc7\x01\x05x", "an extension");
    REFUSED("\xd4\x01x", "a fixed extension");
    REFUSED("\x94\x01\x0c\x01", "an envelope that ends early");
    REFUSED("\xdc", "a head that ends early");
}

static void depth_and_mass(void)
{
    static uint8_t nest[155], mass[PROTO_BYTES + 1];
    struct err e;

    for (size_t i = 0; i < sizeof nest; i += 5) memcpy(nest + i, "\xdd\x08\x00\x00\x00", 5);
    is_code(decode(nest, sizeof nest, &e), ERR_PROTOCOL, NULL,
            "31 nested arrays of 128 M elements in 155 bytes");
    memset(nest, 0x91, sizeof nest);
    is_code(decode(nest, sizeof nest, &e), ERR_PROTOCOL, NULL, "155 nested arrays of one element");
    memcpy(mass, "\xdd\x00\x30\x00\x00", 5);
    memset(mass + 5, 0xc0, sizeof mass - 5);
    is_code(decode(mass, 5 + 0x300000, &e), ERR_PROTOCOL, NULL, "three million nils");
    is_code(decode(mass, sizeof mass, &e), ERR_PROTOCOL, NULL,
            "one byte more than a message may have");
    ok(arena.used == 0, "and nothing was allocated for any of them");

    memcpy(mass, "\x94\x02\x25\x01\x82\xa4rows\xdc\x03\xe8", 13);
    memset(mass + 13, 0xc0, 1000);
    memcpy(mass + 1013, "\xa5total\x00", 7);
    is_code(decode(mass, 1020, &e), ERR_PROTOCOL, NULL, "a thousand rows in a thousand bytes");
    ok(arena.used == 0, "and nothing was allocated for them: %s", e.text);
}

/* ping of client "x": [1, 1, 7, {"client": "x"}] and every way to say it wrongly. */
static void schema(void)
{
    READ("\x94\x01\x01\x07\x81\xa6"
         "client\xa1x",
         "a ping is read");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\xa1x\x00",
            "a byte after the end");
    REFUSED("\x94\x03\x01\x07\x81\xa6"
            "client\xa1x",
            "another version");
    REFUSED("\x94\x01\x5f\x07\x81\xa6"
            "client\xa1x",
            "a number without a message");
    REFUSED("\x94\x01\x00\x07\x81\xa6"
            "client\xa1x",
            "the number 0");
    REFUSED("\x95\x01\x01\x07\x81\xa6"
            "client\xa1x\xc0",
            "an envelope of five");
    REFUSED("\x94\x01\x01\x07\x80", "a missing field");
    REFUSED("\x94\x01\x01\x07\x82\xa6"
            "client\xa1x\xa1y\x01",
            "an unknown field after the known ones");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "cliend\xa1x",
            "an unknown field instead");
    REFUSED("\x94\x01\x01\x07\x82\xa6"
            "client\xa1x\xa6"
            "client\xa1x",
            "a field twice");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\x01",
            "a number where text belongs");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\xc4\x01x",
            "bytes where text belongs");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\xc0",
            "nil");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\xd9\x01x",
            "text with a longer head than it needs");
    REFUSED("\x94\x01\x01\x07\x81\xd9\x06"
            "client\xa1x",
            "a field name with a longer head than it needs");
    REFUSED("\xdc\x00\x04\x01\x01\x07\x81\xa6"
            "client\xa1x",
            "an array with a longer head than it needs");
    REFUSED("\x94\x01\x01\x07\xde\x00\x01\xa6"
            "client\xa1x",
            "a map with a longer head than it needs");
    REFUSED("\x94\x01\x01\xcc\x07\x81\xa6"
            "client\xa1x",
            "7 in two bytes");
    REFUSED("\x94\x01\x01\xcf\x00\x00\x00\x00\x00\x00\x00\x07\x81\xa6"
            "client\xa1x",
            "7 in nine bytes");
    REFUSED("\x94\x01\x01\xd0\x07\x81\xa6"
            "client\xa1x",
            "7 with a sign");
    REFUSED("\x94\x01\x01\xff\x81\xa6"
            "client\xa1x",
            "-1 as an id");
    REFUSED("\x94\x01\x01\xca\x00\x00\x00\x00\x81\xa6"
            "client\xa1x",
            "a float as an id");
}

static void text(void)
{
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\xa1\x00",
            "NUL in text");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\xa1\xff",
            "a byte that is no UTF-8");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\xa2\xc0\xaf",
            "a slash in two bytes");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\xa3\xe0\x80\xaf",
            "a slash in three bytes");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\xa3\xed\xa0\x80",
            "half a surrogate pair");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\xa4\xf4\x90\x80\x80",
            "a character after the last one");
    REFUSED("\x94\x01\x01\x07\x81\xa6"
            "client\xa2\xe2\x82",
            "a character cut short");
    READ("\x94\x01\x01\x07\x81\xa6"
         "client\xa4\xf4\x8f\xbf\xbf",
         "the last character");
    READ("\x94\x01\x01\x07\x81\xa6"
         "client\xa3\xed\x9f\xbf",
         "the character before the surrogates");
}

static void numbers(void)
{
    /* idle: [1, 97, 1, {"wait_ms": n}], stop: [1, 12, 1, {"drain": n}] */
    READ("\x94\x01\x61\x01\x81\xa7wait_ms\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
         "the largest number");
    READ("\x94\x01\x0c\x01\x81\xa5"
         "drain\x01",
         "a number at its limit");
    REFUSED("\x94\x01\x0c\x01\x81\xa5"
            "drain\x02",
            "a number beyond its limit");
    REFUSED("\x94\x01\x08\x01\x81\xa3job\xcf\x80\x00\x00\x00\x00\x00\x00\x00",
            "a job id above 2^63 - 1");
}

/* pong of version 1 has nine fields, of version 2 twelve; queue has three and five. */
static void versions_are_not_mixed(void)
{
#define QUEUE_1 "\xa6states\x00\xa7lineage\xa0\xa5limit\x00"
#define QUEUE_2         \
    "\xa5owner\xa0\xa5" \
    "below\x00"
    READ("\x94\x01\x07\x01\x83" QUEUE_1, "a queue of version 1");
    READ("\x94\x02\x07\x01\x85" QUEUE_1 QUEUE_2, "a queue of version 2");
    REFUSED("\x94\x02\x07\x01\x83" QUEUE_1, "version 2 without what it added");
    REFUSED("\x94\x02\x07\x01\x84" QUEUE_1 "\xa5owner\xa0", "version 2 with half of it");
    REFUSED("\x94\x01\x07\x01\x85" QUEUE_1 QUEUE_2, "version 1 with what came later");
    REFUSED("\x94\x02\x07\x01\x85" QUEUE_2 QUEUE_1, "what came later first");
    REFUSED("\x94\xcc\x01\x07\x01\x83" QUEUE_1, "version 1 in two bytes");
    REFUSED("\x94\xa1"
            "2\x07\x01\x85" QUEUE_1 QUEUE_2,
            "a version in letters");
    REFUSED("\x94\xc0\x07\x01\x85" QUEUE_1 QUEUE_2, "no version");
}

/* lineages with one row of version 1, or with the row of another version than its message. */
static void rows_of_the_wrong_version(void)
{
    struct lineage_row row = {.name = "pets", .held = 1};
    struct message m = {.kind = MSG_lineages, .id = 3, .lineages.rows = {1, &row}}, in;
    struct slice old, new;
    struct err e;

    m.version = 1;
    proto_encode(&m, &arena, &old, NULL);
    m.version = 2;
    proto_encode(&m, &arena, &new, NULL);
    uint8_t *a = arena_copy(&arena, old.data, old.n), *b = arena_copy(&arena, new.data, new.n);
    a[1] = 2;
    b[1] = 1;
    is_code(proto_decode(a, old.n, &arena, &in, &e), ERR_PROTOCOL, NULL,
            "a row without what its version added");
    ok(strstr(e.text, "lineages.rows") != NULL, "is named: %s", e.text);
    is_code(proto_decode(b, new.n, &arena, &in, &e), ERR_PROTOCOL, NULL,
            "a row with more than its version has");
    ok(strstr(e.text, "lineages.rows") != NULL, "is named: %s", e.text);
}

/* What version 2 added, said wrongly. */
static void later_messages(void)
{
    READ("\x94\x02\x0e\x01\x81\xa3job\x05", "a retry");
    REFUSED("\x94\x02\x0e\x01\x81\xa3job\xff", "a retry of job -1");
    REFUSED("\x94\x02\x0e\x01\x81\xa3job\xcb\x40\x14\x00\x00\x00\x00\x00\x00", "of job 5.0");
    REFUSED("\x94\x02\x0e\x01\x91\x05", "a list where its map belongs");
    READ("\x94\x02\x0f\x01\x83\xa3job\x00\xa7lineage\xa4pets\xa2on\x01", "a pause");
    REFUSED("\x94\x02\x0f\x01\x83\xa3job\x00\xa7lineage\xa4pets\xa2on\x02", "a pause of kind 2");
    REFUSED("\x94\x02\x0f\x01\x83\xa3job\x00\xa7lineage\xa4pets\xa2on\xc3", "with a boolean");
    READ("\x94\x02\x16\x01\x81\xa4rows\x91\x81\xa7request\xc4\x00", "a batch of one request");
    REFUSED("\x94\x02\x16\x01\x81\xa4rows\x91\x81\xa7request\xa0", "a request in letters");
    REFUSED("\x94\x02\x16\x01\x81\xa4rows\x91\xc4\x00", "a request that is no row");
    REFUSED("\x94\x02\x16\x01\x81\xa4rows\x92\x81\xa7request\xc4\x00", "a row that does not come");
    REFUSED("\x94\x02\x16\x01\x81\xa4rows\xdd\xff\xff\xff\xff", "four billion of them");
    REFUSED("\x94\x02\x16\x01\x81\xa4rows\x91\x81\xa7request\xc6\xff\xff\xff\xff",
            "a request of 4 G");
    REFUSED("\x94\x02\x18\x01\x83\xa4hash\xc4\x01x\xa6offset\x00\xa6length\x00",
            "an object with a hash of one byte");
    REFUSED("\x94\x02\x18\x01\x83\xa4hash\xc4\x00\xa6offset\x00\xa6length\x00",
            "an object with a hash of none");
    REFUSED("\x94\x02\x0d\x01\x84\xa7lineage\xa0\xaavisibility\x00\xaaon_failure\x00"
            "\xabshared_with\x92\xa3"
            "ann\xa1\xff",
            "somebody to share with who has no UTF-8");
    REFUSED("\x94\x02\x0d\x01\x84\xa7lineage\xa0\xaavisibility\x00\xaaon_failure\x00"
            "\xabshared_with\x81\xa3"
            "ann\xa0",
            "a map of them");
}

static void names_what_is_wrong(void)
{
    struct message m;
    struct err e;
    static const char future[] = "\x94\x03\x01\x07\x81\xa6"
                                 "client\xa1x";
    static const char bad[] = "\x94\x01\x01\x07\x81\xa6"
                              "client\xa1\xff";

    proto_decode(future, sizeof future - 1, &arena, &m, &e);
    ok(strstr(e.text, "version 3") != NULL, "the other version is named: %s", e.text);
    is_code(proto_decode(bad, sizeof bad - 1, &arena, &m, &e), ERR_PROTOCOL, &e,
            "a bad field is refused");
    ok(strstr(e.text, "ping.client") != NULL, "and named: %s", e.text);
    is_int(m.id, 7, "the id of a refused message is known, so that its sender can be told");
    is_int(m.kind, MSG_ping, "and its kind");
}

static void lines_are_cleaned(void)
{
    char bad[] = "caf\xe9 \xc3\xa9 \xff", cut[PROTO_LINE + 20];

    is_str(proto_line(bad), "caf? \xc3\xa9 ?", "bytes that are no UTF-8 become question marks");
    memset(cut, 'a', sizeof cut);
    memcpy(cut + PROTO_LINE - 1, "\xc3\xa9", 2);
    cut[sizeof cut - 1] = '\0';
    is_int(strlen(proto_line(cut)), PROTO_LINE, "a long line is cut");
    is_int(cut[PROTO_LINE - 1], '?', "and half a character at the cut is no exception");
}

int main(void)
{
    structure();
    depth_and_mass();
    schema();
    text();
    numbers();
    versions_are_not_mixed();
    rows_of_the_wrong_version();
    later_messages();
    names_what_is_wrong();
    lines_are_cleaned();
    arena_fini(&arena);
    return done_testing();
}
