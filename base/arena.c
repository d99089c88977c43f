/* arena.c - blocks that double, allocations that never move, and allocation failure on demand.
 *
 * A block is a 64-byte header and its data. Only the newest block is handed out from; what is left of an older one is
 * lost until the arena dies or is reset to a mark in it. Under the address sanitizer everything that is not handed out
 * is poisoned, and so is a line after each allocation: the arena must not hide the overruns that malloc would show.
 */
#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define POISONED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONED 1
#endif
#endif

#ifdef POISONED
#include <sanitizer/asan_interface.h>
#define RED_ZONE ALIGN
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define RED_ZONE ((size_t)0)
#endif

#define ALIGN ((size_t)64) /* a cache line, and the widest vector */
#define BLOCK_FIRST ((size_t)16 << 10)
#define BLOCK_LARGEST \
    ((size_t)64 << 20) /* doubling stops here; a larger request gets a block of its size */

struct arena_block {
    struct arena_block *older;
    size_t used, room; /* bytes of data */
};
static_assert(sizeof(struct arena_block) <= 64,
              "the header must fit before the first aligned byte");

/* Allocations left before the one that fails; 0: off. Tests only, so one for the process is enough. */
static atomic_long fail_after;

void arena_fail_after(long n)
{
    atomic_store(&fail_after, n);
}

static int must_fail(void)
{
    if (atomic_load_explicit(&fail_after, memory_order_relaxed) <= 0) return 0;
    return atomic_fetch_sub(&fail_after, 1) == 1;
}

static unsigned char *block_data(struct arena_block *b)
{
    return (unsigned char *)b + ALIGN;
}

static struct arena_block *block_make(struct arena_block *older, size_t at_least)
{
    size_t room = BLOCK_FIRST;
    if (older) room = older->room < BLOCK_LARGEST / 2 ? older->room * 2 : BLOCK_LARGEST;
    if (room < at_least) room = at_least;
    struct arena_block *b = aligned_alloc(ALIGN, ALIGN + room);
    if (!b) return NULL;
    *b = (struct arena_block){.older = older, .room = room};
    ASAN_POISON_MEMORY_REGION(block_data(b), room);
    return b;
}

static void block_free(struct arena_block *b)
{
    ASAN_UNPOISON_MEMORY_REGION(block_data(b), b->room);
    free(b);
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (must_fail() || bytes > SIZE_MAX / 2) return NULL;
    size_t whole = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (whole == 0) whole = ALIGN; /* so that no two results are equal */
    whole += RED_ZONE;
    struct arena_block *b = a->blocks;
    if (!b || b->room - b->used < whole) {
        if (!(b = block_make(a->blocks, whole))) return NULL;
        a->blocks = b;
    }
    unsigned char *p = block_data(b) + b->used;
    b->used += whole;
    a->used += bytes;
    ASAN_UNPOISON_MEMORY_REGION(p, bytes);
    return memset(p, 0, bytes);
}

void *arena_copy(struct arena *a, const void *from, size_t bytes)
{
    void *to = arena_alloc(a, bytes);
    if (to && bytes) memcpy(to, from, bytes);
    return to;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_copy(a, s, strlen(s) + 1);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    char *s = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (s) vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(args);
    return s;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->blocks, a->blocks ? a->blocks->used : 0, a->used};
}

void arena_reset(struct arena *a, struct arena_mark m)
{
    while (a->blocks != m.block) {
        struct arena_block *b = a->blocks;
        assert(b && "the mark is of another arena, or older than a reset");
        a->blocks = b->older;
        block_free(b);
    }
    a->used = m.used;
    if (!m.block) return;
    assert(m.block_used <= m.block->used);
    m.block->used = m.block_used;
    ASAN_POISON_MEMORY_REGION(block_data(m.block) + m.block_used, m.block->room - m.block_used);
}

void arena_fini(struct arena *a)
{
    arena_reset(a, (struct arena_mark){0});
}

/* Weights and arenas are walked in strides of kilobytes: with pages of 4 KB nearly every step misses the TLB, and a
 * convolution over a small image takes half as long again. Where the kernel has no large pages nothing changes. */
static void ask_for_large_pages(void *p, size_t bytes)
{
    enum { PAGE = 2 << 20 };
    uintptr_t first = ((uintptr_t)p + PAGE - 1) / PAGE * PAGE,
              end = ((uintptr_t)p + bytes) / PAGE * PAGE;
    if (p && end > first) madvise((void *)first, end - first, MADV_HUGEPAGE);
}

void *mem_alloc(size_t n, size_t size)
{
    if (must_fail() || (size && n > SIZE_MAX / 2 / size)) return NULL;
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (n * size >= (size_t)4 << 20) ask_for_large_pages(p, n * size);
    return p;
}

void *mem_grow(void *old, size_t n_old, size_t n_new, size_t size)
{
    assert(n_new >= n_old && size > 0);
    if (must_fail() || n_new > SIZE_MAX / 2 / size) return NULL;
    unsigned char *p = realloc(old, n_new ? n_new * size : 1);
    if (p) memset(p + n_old * size, 0, (n_new - n_old) * size);
    return p;
}
