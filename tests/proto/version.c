/* Versions 1 and 2 side by side. What a program of version 1 wrote is kept in version_1.txt: it must be read, with all that
 * came later empty, and be written again as the same bytes, which is also what such a program gets to read from us. */
#include "base/file.h"
#include "tests/proto/support/random_message.h"
#include "tests/tap.h"

/* clang-format off */
/* Is every field behind a SINCE empty? */
#define SINCE(version) later = 1;
#define U64(name, max) if (later && m->name) return 0;
#define I64(name) if (later && m->name) return 0;
#define F64(name) if (later && m->name != 0) return 0;
#define STR(name, max) if (later && *m->name) return 0;
#define BYTES(name, max) if (later && m->name.n) return 0;
#define HASH(name) if (later && !hash_is_zero(m->name)) return 0;
#define STRS(name, most, max) if (later && m->name.n) return 0;
#define HASHES(name, most) if (later && m->name.n) return 0;
#define ROWS(name, record, max)                         \
    if (later && m->name.n) return 0;                   \
    for (size_t i = 0; i < m->name.n; i++)              \
        if (!later_empty_##record(&m->name.v[i])) return 0;
#define RECORD(name)                                    \
    static int later_empty_##name(const struct name *m) \
    {                                                   \
        int later = 0;                                  \
        (void)m; (void)later;
#define END_RECORD(name) return 1; }
#define MESSAGE(number, name, from, since)              \
    static int later_empty_msg_##name(const struct msg_##name *m) \
    {                                                   \
        int later = 0;                                  \
        (void)m; (void)later;
#define END(name) return 1; }
#include "proto/messages.def"
/* clang-format on */

static int later_empty(const struct message *m)
{
    int empty = 0;
    switch (m->kind) {
#define MESSAGE(number, name, from, since)        \
    case MSG_##name:                              \
        empty = later_empty_msg_##name(&m->name); \
        break;
#include "proto/messages.def"
    case MSG_none:
    case MSG_KINDS: break;
    }
    return empty;
}

static int same(struct slice a, struct slice b)
{
    return a.n == b.n && memcmp(a.data, b.data, a.n) == 0;
}

static enum code encode_in(struct message m, uint64_t version, struct arena *a, struct slice *out)
{
    m.version = version;
    return proto_encode(&m, a, out, NULL);
}

/* Hexadecimal in place. Bytes, or 0 if it is none. */
static size_t from_hex(char *text)
{
    size_t n = strlen(text) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1) return 0;
        text[i] = (char)byte;
    }
    return n;
}

struct tally {
    int lines, read, later_empty, same, survive_newer, kinds;
    char seen[MSG_KINDS];
};

static void try_line(char *line, struct tally *t)
{
    struct arena a = {0};
    struct message m, newer;
    struct err e;
    struct slice first, second, third, fourth;
    char *hex = strchr(line, ' ');

    *hex++ = '\0';
    first = (struct slice){(const uint8_t *)hex, from_hex(hex)};
    t->lines++;
    if (proto_decode(first.data, first.n, &a, &m, &e) || m.version != 1 ||
        strcmp(line, proto_name(m.kind)) != 0) {
        note("%s: %s", line, e.text);
        goto fini;
    }
    t->read++;
    t->kinds += !t->seen[m.kind];
    t->seen[m.kind] = 1;
    t->later_empty += later_empty(&m);
    t->same += proto_encode(&m, &a, &second, &e) == OK && same(first, second);
    t->survive_newer += encode_in(m, 2, &a, &third) == OK &&
                        proto_decode(third.data, third.n, &a, &newer, &e) == OK &&
                        later_empty(&newer) && encode_in(newer, 1, &a, &fourth) == OK &&
                        same(first, fourth);
fini:
    arena_fini(&a);
}

static void kept_messages(void)
{
    struct bytes file;
    struct err e;
    struct tally t = {0};
    int in_version_1 = 0;

    if (!is_code(file_read("tests/proto/version_1.txt", 1 << 20, &file, &e), OK, &e,
                 "messages of version 1 are kept"))
        return;
    char *text = calloc(1, file.n + 1), *rest = text, *line;
    memcpy(text, file.data, file.n);
    while ((line = strsep(&rest, "\n")))
        if (*line && *line != '#') try_line(line, &t);
    for (int i = 0; i < random_n_kinds; i++) in_version_1 += proto_since(random_kinds[i]) == 1;
    ok(t.lines > 90 && t.read == t.lines, "each is read, and is what its name says: %d", t.lines);
    is_int(t.kinds, in_version_1, "there is one of every kind that version 1 has");
    is_int(t.later_empty, t.lines, "what came later is empty in each");
    is_int(t.same, t.lines, "each is written as the same bytes");
    is_int(t.survive_newer, t.lines, "each comes back from a detour over version 2");
    free(text);
    free(file.data);
}

/* As old as it can be written without losing anything. */
static void least(struct dice *d)
{
    enum { ROUNDS = 100 };
    int right = 0, older = 0;

    for (int i = 0; i < ROUNDS * random_n_kinds; i++) {
        struct arena a = {0};
        struct message m = random_message(d, &a, random_kinds[i % random_n_kinds]), old;
        struct slice v1, v2, again;
        int loses = proto_since(m.kind) > 1 || encode_in(m, 2, &a, &v2) ||
                    encode_in(m, 1, &a, &v1) || proto_decode(v1.data, v1.n, &a, &old, NULL) ||
                    encode_in(old, 2, &a, &again) || !same(v2, again);
        right += proto_least(&m) == (loses ? 2 : 1);
        older += !loses;
        arena_fini(&a);
    }
    ok(right == ROUNDS * random_n_kinds && older > ROUNDS,
       "of %d messages those that lose nothing in version 1 are known, %d", right, older);
}

/* What is said in version 2 and written for somebody of version 1 loses what came later and nothing else. */
static void older_view(struct dice *d, enum msg_kind kind)
{
    enum { ROUNDS = 100 };
    int good = 0;

    for (int i = 0; i < ROUNDS; i++) {
        struct arena a = {0};
        struct message m = random_message(d, &a, kind), old, again;
        struct slice v1, v2, v1_again;
        good += encode_in(m, 1, &a, &v1) == OK &&
                proto_decode(v1.data, v1.n, &a, &old, NULL) == OK && old.id == m.id &&
                later_empty(&old) && encode_in(old, 2, &a, &v2) == OK &&
                proto_decode(v2.data, v2.n, &a, &again, NULL) == OK &&
                encode_in(again, 1, &a, &v1_again) == OK && same(v1, v1_again);
        arena_fini(&a);
    }
    is_int(good, ROUNDS, "%s written for version 1 loses what came later and nothing else",
           proto_name(kind));
}

static void later_kind(enum msg_kind kind)
{
    struct arena a = {0};
    struct message m = {.kind = kind, .id = 9, .version = 1}, in;
    struct slice s;
    struct err e;

    is_code(proto_encode(&m, &a, &s, &e), ERR_INTERNAL, &e, "%s is not written in version 1",
            proto_name(kind));
    m.version = 2;
    if (!is_code(proto_encode(&m, &a, &s, &e), OK, &e, "but in version 2")) return;
    uint8_t *forged = arena_copy(&a, s.data, s.n);
    forged[1] = 1;
    is_code(proto_decode(forged, s.n, &a, &in, &e), ERR_PROTOCOL, NULL, "nor is it read in it");
    ok(strstr(e.text, "since version 2") && strstr(e.text, proto_name(kind)) && in.id == 9,
       "the refusal names both: %s", e.text);
    arena_fini(&a);
}

/* lineage_list of all, in a version that nobody speaks. */
static void foreign(const char *version, size_t n, const char *named)
{
    char bytes[40];
    struct arena a = {0};
    struct message m;
    struct err e;
    size_t at = 0;

    bytes[at++] = '\x94';
    memcpy(bytes + at, version, n);
    at += n;
    memcpy(bytes + at, "\x03\x07\x81\xa4name\xa0", 9);
    is_code(proto_decode(bytes, at + 9, &a, &m, &e), ERR_PROTOCOL, NULL, "version %s is refused",
            named);
    ok(strstr(e.text, named) && strstr(e.text, "1 to 2"), "by name, with ours: %s", e.text);
    is_int(m.version, 0, "and is nobody's version");
    arena_fini(&a);
}

static void encoder_chooses(void)
{
    struct arena a = {0};
    struct message m = {.kind = MSG_cancel, .id = 1};
    struct slice s;
    struct err e;

    is_code(proto_encode(&m, &a, &s, &e), OK, &e, "a message without a version is written");
    is_int(s.data[1], PROTO_VERSION, "in the newest one");
    m.version = PROTO_VERSION + 1;
    is_code(proto_encode(&m, &a, &s, &e), ERR_INTERNAL, NULL, "a version to come is our mistake");
    arena_fini(&a);
}

int main(void)
{
    struct dice d = {tap_seed(3)};

    kept_messages();
    for (int k = 0; k < random_n_kinds; k++)
        if (proto_since(random_kinds[k]) == 1) older_view(&d, random_kinds[k]);
        else later_kind(random_kinds[k]);
    foreign("\x00", 1, "version 0");
    foreign("\x03", 1, "version 3");
    foreign("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, "version 18446744073709551615");
    least(&d);
    encoder_chooses();
    return done_testing();
}
