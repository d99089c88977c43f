/* Mutations of good messages: whatever is accepted must come back as the same bytes, and nothing may crash, hang or
 * allocate more than its size allows. ENGRAM_FUZZ=n for a longer run. */
#include "tests/proto/support/random_message.h"
#include "tests/tap.h"

static void mutate(struct dice *d, uint8_t *p, size_t *n, size_t room)
{
    static const uint8_t heads[] = {0x00, 0x7f, 0x80, 0x90, 0xa0, 0xbf, 0xc0, 0xc1,
                                    0xc4, 0xc6, 0xca, 0xcb, 0xcc, 0xcf, 0xd0, 0xd3,
                                    0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff};
    size_t at = *n ? (size_t)dice_below(d, *n) : 0;

    switch (dice_below(d, 6)) {
    case 0:
        if (*n) p[at] ^= (uint8_t)(1u << dice_below(d, 8));
        break;
    case 1:
        if (*n) p[at] = heads[dice_below(d, sizeof heads)];
        break;
    case 2: *n = at; break;
    case 3:
        if (*n < room) {
            memmove(p + at + 1, p + at, *n - at);
            p[at] = (uint8_t)dice_roll(d);
            ++*n;
        }
        break;
    case 4:
        if (*n) {
            memmove(p + at, p + at + 1, *n - at - 1);
            --*n;
        }
        break;
    default: /* a piece of it once more */
        if (*n > 8 && *n + 8 < room) {
            size_t from = (size_t)dice_below(d, *n - 8);
            memmove(p + at, p + from, *n - at < 8 ? *n - at : 8);
        }
    }
}

/* Bytes in the arena for one byte of message: a list of empty texts is the worst, a pointer for each byte. */
enum { EXPANSION = 8, GROUND = 64 };

int main(void)
{
    struct dice d = {tap_seed(2)};
    const char *more = getenv("ENGRAM_FUZZ");
    long rounds = more ? atol(more) : 200000, accepted = 0, changed = 0, fat = 0;
    struct arena a = {0};
    struct arena_mark empty = arena_mark(&a);

    for (long i = 0; i < rounds;) {
        struct message m =
            random_message(&d, &a, random_kinds[dice_below(&d, (uint64_t)random_n_kinds)]);
        struct slice s;
        if (proto_since(m.kind) == 1) m.version = 1 + dice_below(&d, 2);
        if (proto_encode(&m, &a, &s, NULL)) return 1;
        size_t room = s.n + 64;
        uint8_t *p = arena_alloc(&a, room);
        for (int k = 0; k < 50; k++, i++) {
            struct arena_mark mark = arena_mark(&a);
            size_t n = s.n, before;
            struct message back;
            struct slice again;
            memcpy(p, s.data, s.n);
            for (uint64_t j = dice_below(&d, 3) + 1; j; j--) mutate(&d, p, &n, room);
            before = a.used;
            enum code rc = proto_decode(p, n, &a, &back, NULL);
            fat += a.used - before > n * EXPANSION + GROUND;
            if (rc == OK) {
                accepted++;
                changed += proto_encode(&back, &a, &again, NULL) != OK || again.n != n ||
                           memcmp(again.data, p, n) != 0;
            }
            arena_reset(&a, mark);
        }
        arena_reset(&a, empty);
    }
    is_int(changed, 0, "what is accepted has one encoding (%ld mutations, %ld accepted)", rounds,
           accepted);
    is_int(fat, 0, "no message takes more memory than its size allows");
    ok(accepted > rounds / 100, "mutations reach beyond the first check");
    arena_fini(&a);
    return done_testing();
}
