/* Arenas: alignment, zeroes, marks, and a failing allocation at every place. */
#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "tests/tap.h"

static int is_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return 0;
    return 1;
}

static void test_alloc(void)
{
    struct arena a = {0};
    int aligned = 1, zero = 1;
    for (size_t n = 0; n < 3000; n += 7) {
        unsigned char *p = arena_alloc(&a, n);
        aligned &= (uintptr_t)p % 64 == 0;
        zero &= is_zero(p, n);
        memset(p, 0xab, n);
    }
    ok(aligned, "every allocation is aligned to 64");
    ok(zero, "every allocation is zeroed");
    unsigned char *large = arena_alloc(&a, 100 << 20);
    ok(large && is_zero(large, 100 << 20), "an allocation larger than any block works");
    ok(arena_alloc(&a, 0) != arena_alloc(&a, 0), "allocations of nothing differ");
    ok(!arena_alloc(&a, SIZE_MAX), "an impossible size is refused");
    is_str(arena_printf(&a, "%d-%s", 7, "seven"), "7-seven", "arena_printf formats");
    is_str(arena_strdup(&a, "word"), "word", "arena_strdup copies");
    arena_fini(&a);
    ok(!a.blocks && !a.used, "arena_fini leaves an empty arena");
}

static void test_mark(void)
{
    struct arena a = {0};
    struct arena_mark empty = arena_mark(&a);
    char *kept = arena_strdup(&a, "kept");
    struct arena_mark m = arena_mark(&a);
    unsigned char *first = arena_alloc(&a, 100);
    memset(first, 0xff, 100);
    for (int i = 0; i < 50; i++) arena_alloc(&a, 10000);
    arena_reset(&a, m);
    unsigned char *again = arena_alloc(&a, 100);
    ok(again == first, "a reset arena hands out the same place");
    ok(is_zero(again, 100), "and zeroes it again");
    is_str(kept, "kept", "what lies before the mark stays");
    arena_reset(&a, empty);
    ok(!a.blocks && !a.used, "a mark of the empty arena frees everything");
}

/* A body that allocates in all ways; returns whether all of it worked. Must not leak wherever it fails. */
static int body(void)
{
    struct arena a = {0};
    struct text t = {0};
    struct problems p = {0};
    int *grown = mem_alloc(4, sizeof *grown);
    int worked = grown != NULL;
    int *more = grown ? mem_grow(grown, 4, 400, sizeof *grown) : NULL;
    if (more) grown = more;
    worked = worked && more && more[399] == 0;
    worked =
        worked && arena_strdup(&a, "x") && arena_alloc(&a, 100000) && arena_printf(&a, "%d", 1);
    for (int i = 0; i < 200; i++) text_add(&t, "some words ");
    worked = worked && text_ok(&t);
    problems_add(&p, ERR_INPUT, "a problem");
    worked = worked && p.n == 1;
    worked = worked && p.n + p.n_dropped == 1;
    problems_fini(&p);
    text_fini(&t);
    arena_fini(&a);
    free(grown);
    return worked;
}

static void test_faults(void)
{
    int failures = 0, whole = 0;
    for (long n = 1; n < 100 && !whole; n++) {
        arena_fail_after(n);
        whole = body();
        failures += !whole;
    }
    arena_fail_after(0);
    ok(whole, "the body works when no allocation fails");
    ok(failures >= 9, "and says so for each of its %d allocations", failures);
    ok(body(), "a failure happens once");
    ok(!mem_alloc(SIZE_MAX / 2, 4), "mem_alloc refuses a product that overflows");
    ok(!mem_grow(NULL, 0, SIZE_MAX / 2, 4), "mem_grow too");
}

int main(void)
{
    test_alloc();
    test_mark();
    test_faults();
    return done_testing();
}
