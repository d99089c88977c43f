/* arena.h - memory by lifetime: whoever allocates takes an arena, and results die with it.
 *
 *     struct arena a = {0};
 *     char *s = arena_alloc(&a, n);      // aligned to 64, zeroed
 *     arena_fini(&a);
 *
 *      block 0                     block 1
 *     +---------+---------+----+  +-------------------+-----------+
 *     | alloc 0 | alloc 1 | .. |  | alloc 2           |   free    |   red zones between
 *     +---------+---------+----+  +-------------------+-----------+   under SAN=1
 *
 * Blocks grow by doubling and never move. Not thread-safe. arena_alloc returns NULL when memory is out
 * (or when arena_fail_after says so, for tests); callers turn that into ERR_NOMEM.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *blocks;   /* owned, newest first */
    size_t used;                  /* bytes handed out, for reports */
};
struct arena_mark { struct arena_block *block; size_t block_used, used; };

void *arena_alloc(struct arena *a, size_t bytes);             /* zeroed, 64-aligned, O(bytes) */
void *arena_copy(struct arena *a, const void *from, size_t bytes);
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct arena_mark arena_mark(const struct arena *a);
void arena_reset(struct arena *a, struct arena_mark m);       /* forgets everything after the mark */
void arena_fini(struct arena *a);                             /* frees all; the arena is empty again */

/* For tests: the n-th allocation from now fails, once. 0 switches off. Also counted by mem_alloc. */
void arena_fail_after(long n);

/* Heap with the same fault injection, for objects that outlive any arena. free() them. */
void *mem_alloc(size_t n, size_t size);                       /* calloc; NULL on overflow or no memory */
void *mem_grow(void *old, size_t n_old, size_t n_new, size_t size); /* zeroes the new tail; NULL keeps old */

#endif
