/* Every message with random contents in every version that has it, through our codec and, as a witness, through the msgpack
 * library. */
#include "tests/proto/support/random_message.h"
#include "tests/tap.h"

#include <msgpack.h>

enum { ROUNDS = 300 };

/* The library reads our bytes to the last one and finds an envelope of four with as many keys as fields. */
static int library_reads(struct slice s, size_t n_fields)
{
    msgpack_unpacked u;
    size_t off = 0;
    int good;

    msgpack_unpacked_init(&u);
    good = msgpack_unpack_next(&u, (const char *)s.data, s.n, &off) == MSGPACK_UNPACK_SUCCESS &&
           off == s.n && u.data.type == MSGPACK_OBJECT_ARRAY && u.data.via.array.size == 4 &&
           u.data.via.array.ptr[3].type == MSGPACK_OBJECT_MAP &&
           u.data.via.array.ptr[3].via.map.size == n_fields;
    msgpack_unpacked_destroy(&u);
    return good;
}

/* clang-format off */
static size_t n_fields(enum msg_kind kind, uint64_t version)
{
#define RECORD(name) if (0) return (0
#define MESSAGE(number, name, from, since) if (kind == MSG_##name) return (0
#define SINCE(since) ) + (version < since ? 0 : 0
#define END(name) );
#define U64(name, max) + 1
#define I64(name) + 1
#define F64(name) + 1
#define STR(name, max) + 1
#define BYTES(name, max) + 1
#define HASH(name) + 1
#define STRS(name, n, max) + 1
#define HASHES(name, n) + 1
#define ROWS(name, record, n) + 1
#include "proto/messages.def"
    return 0;
}
/* clang-format on */

struct tally {
    int encoded, same, read_by_library;
};

static void try_once(struct dice *d, enum msg_kind kind, uint64_t version, struct tally *t,
                     struct err *e)
{
    struct arena a = {0};
    struct message m = random_message(d, &a, kind), back;
    struct slice first = {0}, second = {0};

    m.version = version;
    if (proto_encode(&m, &a, &first, e) == OK) t->encoded++;
    if (proto_decode(first.data, first.n, &a, &back, e) == OK && back.id == m.id &&
        back.kind == kind && back.version == version && proto_encode(&back, &a, &second, e) == OK &&
        second.n == first.n && memcmp(first.data, second.data, first.n) == 0)
        t->same++;
    t->read_by_library += library_reads(first, n_fields(kind, version));
    arena_fini(&a);
}

static void comes_back(struct dice *d, enum msg_kind kind, uint64_t version)
{
    const char *name = proto_name(kind);
    struct tally t = {0};
    struct err e = {0};

    for (int i = 0; i < ROUNDS; i++) try_once(d, kind, version, &t, &e);
    if (!(ok(t.encoded == ROUNDS && t.same == ROUNDS,
             "%s of version %d comes back with the same bytes, %d times", name, (int)version,
             ROUNDS) &
          ok(t.read_by_library == ROUNDS, "%s of version %d is msgpack to the library", name,
             (int)version)))
        note("%d written, %d the same; %s", t.encoded, t.same, e.text);
}

static void values_survive(void)
{
    struct arena a = {0};
    const char *captions[] = {"a photo of <rex>", ""};
    struct hash images[] = {hash_bytes("1", 1), hash_bytes("2", 1)};
    struct message m = {.kind = MSG_learn,
                        .id = UINT64_MAX,
                        .learn = {.lineage = "pets",
                                  .token = "<rex>",
                                  .images = {2, images},
                                  .captions = {2, captions},
                                  .seed = 1u << 31,
                                  .wants = WANT_PRIOR}},
                   back;
    struct slice s;
    struct err e;

    is_code(proto_encode(&m, &a, &s, &e), OK, &e, "a learn request is written");
    is_code(proto_decode(s.data, s.n, &a, &back, &e), OK, &e, "and read");
    is_str(back.learn.lineage, "pets", "the lineage comes back");
    is_str(back.learn.captions.v[0], captions[0], "a caption comes back");
    is_str(back.learn.settings, "", "text that was not set comes back empty");
    is_int(back.learn.seed, 1u << 31, "the seed comes back");
    ok(hash_equal(back.learn.images.v[1], images[1]), "an image's hash comes back");
    arena_fini(&a);
}

static void limits_are_kept(void)
{
    struct arena a = {0};
    char name[PROTO_NAME + 2] = {0};
    struct message m = {.kind = MSG_log, .log = {.lineage = name}};
    struct slice s;
    struct err e;

    memset(name, 'x', PROTO_NAME);
    is_code(proto_encode(&m, &a, &s, &e), OK, &e, "a name of the full length is written");
    name[PROTO_NAME] = 'x';
    is_code(proto_encode(&m, &a, &s, &e), ERR_INPUT, NULL, "a longer one is refused");
    ok(strstr(e.text, "log.lineage") != NULL, "by the name of its field: %s", e.text);
    m.log.lineage = "\xff";
    is_code(proto_encode(&m, &a, &s, &e), ERR_INPUT, NULL, "and one that is no UTF-8");
    m.log.lineage = "pets";
    m.log.limit = PROTO_ROWS + 1;
    is_code(proto_encode(&m, &a, &s, &e), ERR_INPUT, NULL, "and a number beyond its limit");
    m = (struct message){.kind = MSG_result, .result = {.seconds = NAN}};
    is_code(proto_encode(&m, &a, &s, &e), ERR_INPUT, NULL, "and a NaN");
    m = (struct message){.kind = (enum msg_kind)77};
    is_code(proto_encode(&m, &a, &s, &e), ERR_INTERNAL, NULL, "and a kind that does not exist");
    arena_fini(&a);
}

static void memory_may_run_out(void)
{
    struct arena a = {0};
    struct dice d = {5};
    struct message m = random_message(&d, &a, MSG_stage), back;
    struct slice s;
    struct err e;
    int failures = 0, leaks_or_lies = 0;

    proto_encode(&m, &a, &s, &e);
    for (long n = 1;; n++) {
        struct arena b = {0};
        arena_fail_after(n);
        enum code rc = proto_decode(s.data, s.n, &b, &back, &e);
        arena_fail_after(0);
        arena_fini(&b);
        if (rc == OK) break;
        failures++;
        leaks_or_lies += rc != ERR_NOMEM;
    }
    ok(failures > 3 && !leaks_or_lies, "each of %d allocations may fail, and says so", failures);
    arena_fini(&a);
}

int main(void)
{
    struct dice d = {tap_seed(1)};

    for (int k = 0; k < random_n_kinds; k++)
        for (uint64_t v = proto_since(random_kinds[k]); v <= PROTO_VERSION; v++)
            comes_back(&d, random_kinds[k], v);
    values_survive();
    limits_are_kept();
    memory_may_run_out();
    return done_testing();
}
